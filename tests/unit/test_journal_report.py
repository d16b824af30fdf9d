"""What a journal says of the execution of orders, against sums done by hand; the records beside the gate's, shown.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from support import soup_venue as sv
from support.desk import Desk

from hwgw import journal
from hwgw.journal.report import report
from hwgw.journal.writer import Writer
from hwgw.native import lib
from hwgw.settings import Journal

AAPL = b"AAPL    "
BID, ASK = 1_000_000, 1_000_200


def trade(folder: Path) -> list[Path]:
    """Two buys at the ask of 500 by 500, one filled at 1_000_200 and in part at 1_000_150, one rejected."""
    with Desk(journal_sz_bytes=2**20, orders=1, every=1) as desk:
        desk.rig.quote("AAPL", 1, BID, ASK)
        desk.wait(3)
        (enter,) = desk.packets[2:]
        ref, qty = int.from_bytes(enter[4:8], "big"), int.from_bytes(enter[9:13], "big")
        assert (ref, qty) == (1, 100)
        desk.venue.sequenced(
            sv.accepted(ref, b"B", qty, AAPL, ASK), sv.executed(ref, 60, ASK, 1), sv.executed(ref, 40, ASK - 50, 2)
        )
        desk.until(lambda: desk.cnt("session.executed") == 2)
        desk.rig.quote("MSFT", 2, BID, ASK)
        desk.wait(4)
        desk.venue.sequenced(sv.rejected(2, 19))
        desk.until(lambda: desk.cnt("session.rejected") == 1)
        segment = desk.rig.segment
        writer = Writer(segment, Journal(str(folder), ring_bytes=2**20), segment.name)
        assert writer.close() == 0
        return journal.files_of(folder, segment.name)


def test_the_report_adds_up_what_the_venue_did(tmp_path: Path) -> None:
    (group,) = report(trade(tmp_path))
    row = group.as_dict()
    assert row["venue"].startswith("trader@127.0.0.1:")
    assert row["strategy"] == "probe"
    assert (row["new"], row["replaces"], row["refused"], row["lost"]) == (2, 0, {}, 0)
    assert (row["acknowledged"], row["orders_filled"], row["fill_rate"]) == (1, 1, 1.0)
    assert row["rejected"] == {"invalid_quantity": 1}
    assert (row["executed_qty"], row["slippage_qty"]) == (100, 100)
    mid = (BID + ASK) / 2  # 500 shares on each side: the microprice, too
    want = ((ASK - mid) * 60 + (ASK - 50 - mid) * 40) / 100 / mid * 10_000
    assert row["slippage_bps"] == {"mid": pytest.approx(want), "microprice": pytest.approx(want)}
    times = row["latency_ns"]
    assert {span: row["cnt"] for span, row in times.items()} == {
        "decided_to_sent": 2, "sent_to_acknowledged": 2, "decided_to_first_fill": 1,
    }  # fmt: skip
    assert 0 < times["decided_to_sent"]["p50"] < times["decided_to_first_fill"]["max"]


def test_the_command_says_it_and_shows_every_kind_of_record(hwgw, tmp_path: Path) -> None:
    trade(tmp_path)
    done = hwgw("journal", "report", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "acknowledged, 0 never arrived; rejected: invalid_quantity 1" in done.stdout
    assert "bp against microprice, over 100 shares" in done.stdout
    found = json.loads(hwgw("journal", "report", str(tmp_path), "--json").stdout)
    assert (found["schema"], len(found["groups"])) == ("hwgw.journal-report/1", 1)
    done = hwgw("journal", "show", str(tmp_path), "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = {row["type"] for row in rows}
    assert kinds == {
        *("open", "gate", "login", "venue", "strategy", "restored", "arrival", "sent", "limits", "basis", "table",
        "session"),
    }  # fmt: skip
    (login,) = (row for row in rows if row["type"] == "login")
    assert (login["session"], login["number"], login["login"]) == (sv.SESSION.decode().strip(), 1, 1)
    messages = [bytes.fromhex(row["message"]) for row in rows if row["type"] == "venue"]
    assert messages[0] == sv.query_response(1)
    assert messages[-1] == sv.rejected(2, 19)
    assert hwgw("journal", "show", str(tmp_path)).stdout.count("\n") == len(rows)
    assert lib.HWGW_JOURNAL_VERSION == 2


# ---- a start with a journal that cannot be trusted ----


def test_a_damaged_journal_starts_nothing_and_anew_says_why(tmp_path: Path, rng: random.Random) -> None:
    from hwgw.errors import CheckFailed
    from hwgw.journal import replay, start

    (file,) = trade(tmp_path)
    name = file.name.rsplit("-", 1)[0]
    whole = file.read_bytes()
    assert replay(tmp_path, name).records > 10
    raw = bytearray(whole)
    raw[rng.randrange(128, 128 + 256)] ^= 1  # within the first block's records
    file.write_bytes(raw)
    with pytest.raises(CheckFailed, match=r"block \d+ does not have the hash .*--anew REASON"):
        replay(tmp_path, name)
    with pytest.raises(CheckFailed, match="begin anew: hwgw run CONFIG --anew REASON"):
        start.start(tmp_path, name)
    assert start.start(tmp_path, name, anew=True) == start.Start(2)
    file.write_bytes(whole)
    file.rename(tmp_path / f"{name}-000002.journal")
    assert replay(tmp_path, name).records > 10  # it begins with block 1: nothing is missing before it
