"""The report on a day's market access: it counts what is in the journal, names who changed what, and hides no doubt.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import datetime
import html.parser
import json
import os
import re
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import journal_proof

from hwgw import audit, compliance, journal, specs
from hwgw.cli import execute
from hwgw.errors import UsageError
from hwgw.journal.writer import Writer
from hwgw.native import lib
from hwgw.risk import control
from hwgw.segment import Segment
from hwgw.settings import Journal

GATE, RING = 2, 65_536
SYMBOLS = ["AAPL", "MSFT", "ZVZZT"]
KIND = {code.slug: int(code.value) for code in specs.load("order").enum("kind").values}
REASON = {reason.name: reason.code for reason in specs.reasons()}
# kind, instrument, quantity, price in 1/10,000, verdict: AAPL may take 1000 shares and 250,000.00, MSFT 500 shares
PUT = [
    ("new", 0, 100, 1_500_000, "pass"), ("new", 0, 900, 1_500_000, "pass"), ("new", 0, 899, 1_500_000, "pass"),
    ("new", 0, 1001, 1_500_000, "qty"), ("new", 1, 100, 9_000_000, "collar"), ("replace", 1, 450, 1_000_000, "pass"),
    ("new", 0, 1000, 2_400_000, "pass"), ("cancel", 1, 0, 0, "malformed"), ("new", 2, 1, 10_000, "instrument"),
    ("new", 1, 100, 9_000_000, "collar"), ("executed", 0, 100, 1_500_000, "pass"),
]  # fmt: skip
NEAR = [  # by hand: 900 and 1000 of 1000, 240,000.00 of 250,000.00, 450 of 500
    ("AAPL", "instruments.AAPL.qty_max", 100.0), ("AAPL", "instruments.AAPL.notional_max", 96.0),
    ("AAPL", "instruments.AAPL.qty_max", 90.0), ("MSFT", "instruments.MSFT.qty_max", 90.0),
]  # fmt: skip


@pytest.fixture
def day(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path, Path]]:
    """Return a gateway's name, its configuration and its journal of today, written by the real writer."""
    monkeypatch.setenv("HWGW_STATE_DIR", str(tmp_path / "state"))
    name = f"day-{os.getpid()}-{time.monotonic_ns() % 1_000_000}"
    config = tmp_path / "gateway.yaml"
    text = (
        (root / "deploy/examples/gateway.yaml").read_text(encoding="utf-8").replace("name: example", f"name: {name}", 1)
    )
    config.write_text(text, encoding="utf-8")
    folder = tmp_path / "journal"
    folder.mkdir()
    segment = Segment.create(name, SYMBOLS, journal_sz_bytes=RING)
    side = lib.hwgw_journal_open(segment.pointer, 0)
    try:
        writer = Writer(segment, Journal(str(folder), ring_bytes=RING), name)
        for ref, (kind, instrument, qty, px, verdict) in enumerate(PUT, 1):
            order = np.zeros((), specs.dtype("order", "order"))
            order["kind"], order["instrument"], order["qty"], order["px"] = KIND[kind], instrument, qty, px
            order["ref"] = ref
            assert lib.hwgw_journal_put(side, GATE, REASON[verdict], lib.hwgw_now_ns(), order.tobytes(), 64)
        halt = np.zeros((), specs.dtype("order", "order"))
        halt["kind"], halt["reason"] = KIND["halt"], REASON["loss"]
        assert lib.hwgw_journal_put(side, GATE, 0, lib.hwgw_now_ns(), halt.tobytes(), 64)
        assert writer.close() == 0
        yield name, config, folder
    finally:
        lib.hwgw_journal_close(side)
        segment.close()


def today() -> str:
    """The day of this run; a test that runs across midnight looks at the day it began."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def test_the_report_counts_what_the_journal_holds(day: tuple[str, Path, Path], tmp_path: Path) -> None:
    """Against the second reader, and near misses against a calculation by hand."""
    name, config, folder = day
    audit.record(name, "limits", source="gateway.yaml", hash=control.read(config).digest, key="", changes=["a 1 -> 2"])
    audit.record(name, "resume", reasons=["loss"], halts=[])
    report = compliance.make(
        name, compliance.day_of(today(), "UTC"), journal.files_of(folder, name), control.read(config)
    )
    assert report.problems == []
    files = journal.files_of(folder, name)
    verdicts = Counter(verdict for kind, _, _, verdict, _ in journal_proof.read(files) if kind == "gate" and verdict)
    assert {REASON[reason]: cnt for reason, cnt in report.refused.items()} == verdicts
    assert report.refused == {"collar": 2, "qty": 1, "malformed": 1, "instrument": 1}
    assert report.by_symbol["MSFT", "collar"] == 2
    assert report.orders == {"new": 8, "replace": 1, "cancel": 1, "executed": 1, "halt": 1}
    assert [(row["what"], row["reason"]) for row in report.halts] == [("halt", "loss")]
    assert report.near_all == len(NEAR)
    assert sorted((r["symbol"], r["limit"], r["pct"]) for r in report.near) == sorted(NEAR)
    assert [act["action"] for act in report.acts] == ["limits", "resume"]
    assert report.limits_note == "equal to the day's last change on record"
    assert report.limits["instruments.AAPL.qty_max"] == "1,000"
    assert [run["name"] for run in report.versions] == [name]
    empty = compliance.make(name, compliance.day_of("2001-01-01", "UTC"), files, None)
    assert (empty.orders, empty.acts, empty.versions) == ({}, [], [])


def test_every_form_says_the_same_and_ends_with_0_only_when_all_is_proven(
    day: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Markdown, HTML without anything from elsewhere, JSON; then a damaged record, a damaged journal, other limits."""
    name, config, folder = day
    args = ["report", "market-access", name, "--day", today(), "--journal", str(folder), "--config", str(config)]
    assert execute(args) == 1
    assert "| not proven | " in capsys.readouterr().out  # nothing is on record
    audit.record(name, "halt", text="<b>|fire|</b>", newly=True)
    for end in ("md", "html", "json"):
        assert execute([*args, "--write", str(tmp_path / f"day.{end}")]) == 0
    text = (tmp_path / "day.md").read_text(encoding="utf-8")
    assert "| collar | 2 | no reference price, one too old, or a price outside the band |" in text
    assert "text <b>\\|fire\\|</b>" in text
    assert text.count("\n## ") == 9
    page = (tmp_path / "day.html").read_text(encoding="utf-8")
    html.parser.HTMLParser().feed(page)
    assert "&lt;b&gt;|fire|&lt;/b&gt;" in page
    assert not {word for word in ("http:", "https:", "src=", "href=") if word in page}
    assert json.loads((tmp_path / "day.json").read_text(encoding="utf-8"))["refused"]["collar"] == 2

    audit.record(name, "limits", source="set", hash="00" * 32, key="", changes=["x 1 -> 2"])
    capsys.readouterr()
    assert execute(args) == 1
    assert "are not those of the day's last change" in capsys.readouterr().out
    file = journal.files_of(folder, name)[-1]
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(bytes(raw))
    record = audit.path(name)
    record.write_bytes(record.read_bytes().replace(b"fire", b"hire"))
    assert execute(args) == 1
    said = capsys.readouterr().out
    assert "the journal is damaged: " in said
    assert "the record is not whole: " in said


def words_of(paper: bytes) -> list[str]:
    """What the pages of a PDF say in Helvetica, by its own operators."""
    # what is behind the compressed data is not cut off: their last byte may be that of a line end, too
    found = re.findall(rb"stream\r?\n(.*?)\nendstream", paper, re.DOTALL)
    streams = [zlib.decompressobj().decompress(raw) for raw in found]
    pieces = [piece for stream in streams for piece in re.findall(rb"\(((?:[^()\\]|\\.)*)\) Tj", stream)]
    return " ".join(re.sub(rb"\\(.)", rb"\1", piece).decode("latin-1") for piece in pieces).split()


def test_paper_says_every_word_of_the_other_forms(
    day: tuple[str, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A font without Cyrillic writes the number of a character; pages are counted."""
    pytest.importorskip("fpdf", reason="needs fpdf2 (pip install 'hwgw[pdf]')")
    monkeypatch.setattr("hwgw.compliance_pdf._FONTS", tmp_path)
    monkeypatch.chdir(tmp_path)
    name, config, folder = day
    for turn in range(60):
        audit.record(name, "halt", text=f"Жара (2) \\ {turn} | {'long ' * 40}", newly=True)
    args = ["report", "market-access", name, "--day", today(), "--journal", str(folder), "--config", str(config)]
    assert execute([*args, "--pdf"]) == 0
    paper = (tmp_path / f"{name}-{today()}.pdf").read_bytes()
    assert paper.startswith(b"%PDF-")
    assert paper.rstrip().endswith(b"%%EOF")
    report = compliance.make(
        name, compliance.day_of(today(), "UTC"), journal.files_of(folder, name), control.read(config)
    )
    said = Counter(re.sub(r"[\s]", "", "".join(words_of(paper))))
    cells = [cell for _, _, heads, body in compliance._tables(report) for row in (heads, *body) for cell in row]
    wanted = Counter("".join("".join(cells).encode("latin-1", "backslashreplace").decode("latin-1").split()))
    assert len(cells) > 400
    assert not wanted - said  # every character of every cell is there
    assert "\\u0416\\u0430\\u0440\\u0430" in "".join(words_of(paper))
    pages = len(re.findall(rb"/Type /Page\b", paper))
    assert pages > 3
    assert f"{pages} of {pages}" in " ".join(words_of(paper))


@pytest.mark.parametrize(("text", "zone", "hours"), [("2026-11-20", "UTC", 24), ("2026-11-01", "America/New_York", 25),
                                                     ("2026-03-08", "America/New_York", 23)])  # fmt: skip
def test_a_day_is_that_of_the_venue(text: str, zone: str, hours: int) -> None:
    """Days on which clocks change are shorter or longer."""
    try:
        found = compliance.day_of(text, zone)
    except UsageError:
        pytest.skip("this machine has no table of time zones")
    assert found.end_ns - found.start_ns == hours * 3600 * 10**9
    assert found.holds(found.start_ns)
    assert not found.holds(found.end_ns)


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--day", "yesterday"), 2, "a day is YYYY-MM-DD"),
        (("--day", "2026-11-20", "--zone", "Mars/Base"), 2, "a zone such as America/New_York"),
        (("--day", "2026-11-20", "--write", "x.doc"), 2, "the name ends with .md, .html, .json, .pdf"),
        (("--day", "2026-11-20", "--pdf", "--write", "x.md"), 2, "with --pdf the name ends with .pdf"),
        (("--day", "2026-11-20", "--journal", "/nonexistent"), 2, "no journal of gw"),
    ],
)
def test_a_mistake_is_named(args: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["report", "market-access", "gw", *args]) == code
    assert said in capsys.readouterr().err
