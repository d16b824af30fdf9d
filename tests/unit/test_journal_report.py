"""What a journal says of the execution of orders, against sums done by hand; the records beside the gate's, shown.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import datetime
import json
import os
import random
from pathlib import Path

import pytest
from support import rig as r
from support import soup_venue as sv
from support.desk import Desk

from hwgw import compliance, journal
from hwgw import venue_model as models
from hwgw.errors import DeviceError
from hwgw.journal.report import _rejects as rejects
from hwgw.journal.report import histograms, report
from hwgw.journal.writer import Writer
from hwgw.native import lib
from hwgw.settings import Journal

from .test_recovery import RING
from .test_venues import PX, Floor

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
        "decided_to_sent": 2, "sent_to_acknowledged": 2, "decided_to_acknowledged": 2, "decided_to_first_fill": 1,
    }  # fmt: skip
    assert 0 < times["decided_to_sent"]["p50"] < times["decided_to_first_fill"]["max"]


def test_times_become_a_latency_of_a_model(tmp_path: Path) -> None:
    """What the journal measured is what a backtest draws from: the same times, as often."""
    groups = report(traded_at_two(tmp_path / "journal"))
    (tmp_path / "model.yaml").write_text(
        "feed_latency: {constant: 0us}\norder_latency: {histogram: SOUTH-probe-decided_to_acknowledged.csv}\n"
        "fees: {maker: 0, taker: 0}\nimpact: false\n"
    )
    written = histograms(groups, tmp_path)
    assert len(written) == sum(bool(times) for group in groups for times in group.times.values())
    times = groups[1].times["decided_to_acknowledged"]
    assert set(models.load(tmp_path / "model.yaml").order.ns.tolist()) == set(times)
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="--histograms"):
        histograms(groups, tmp_path / "file")


def traded_at_two(folder: Path) -> list[Path]:
    """A buy of 100 at each of two venues: filled at NORTH, half at SOUTH; then one refused and one rejected there."""
    with Floor(probe={"every": 1, "qty": 100}) as floor:
        segment = floor.rig.segment
        floor.book(0, (PX - 4, 100), (PX + 4, 100))
        floor.orders(0, 1)
        floor.book(1, (PX - 6, 100), (PX + 2, 100))
        floor.orders(1, 1)
        floor.say(1, sv.accepted(2, b"B", 100, AAPL, PX + 2), sv.executed(2, 50, PX + 2, 1), sv.canceled(2, 50, b"I"))
        floor.say(0, sv.accepted(1, b"B", 100, AAPL, PX + 4), sv.executed(1, 100, PX + 4, 1))
        segment.halt_venue("SOUTH", "odd fills")
        floor.rig.step()
        floor.rig.feed(r.add(7, "AAPL", 31, "B", 10, PX - 5), channel=1)
        floor.rig.feed(r.delete(7, 21), channel=1)
        floor.rig.feed(r.add(7, "AAPL", 41, "S", 100, PX + 3), channel=1)
        segment.resume_venue("SOUTH")
        floor.rig.step()
        floor.rig.feed(r.delete(7, 41), channel=1)
        floor.rig.feed(r.add(7, "AAPL", 51, "S", 100, PX + 1), channel=1)
        (order,) = floor.orders(1, 1)
        floor.say(1, sv.rejected(int.from_bytes(order[1:5], "big"), 7))
        floor.rig.publish()
        writer = Writer(segment, Journal(str(folder), ring_bytes=RING), segment.name)
        assert writer.close() == 0
        return journal.files_of(folder, segment.name)


def test_venues_are_told_apart_each_by_its_name(tmp_path: Path) -> None:
    north, south = (group.as_dict() for group in report(traded_at_two(tmp_path)))
    assert [(row["venue"], row["strategy"]) for row in (north, south)] == [("NORTH", "probe"), ("SOUTH", "probe")]
    assert [(row["new"], row["acknowledged"], row["executed_qty"]) for row in (north, south)] == [
        (1, 1, 100), (2, 1, 50),
    ]  # fmt: skip
    assert (north["refused"], north["rejected"], south["rejected"]) == ({}, {}, {"halted": 1})
    assert set(south["refused"]) == {"venue_halt"}
    mids = (PX, PX - 2)  # of the book of the order's own venue
    for row, mid, px in zip((north, south), mids, (PX + 4, PX + 2), strict=True):
        assert row["slippage_bps"]["mid"] == pytest.approx((px - mid) / mid * 10_000)
        assert row["latency_ns"]["decided_to_sent"]["cnt"] == row["new"]
        assert row["latency_ns"]["sent_to_acknowledged"]["cnt"] == row["new"]


def test_market_access_counts_by_venue_and_names_who_halted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWGW_STATE_DIR", str(tmp_path / "state"))
    files = traded_at_two(tmp_path / "journal")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    made = compliance.make(files[0].name.rsplit("-", 1)[0], compliance.day_of(today, "UTC"), files, None)
    venues = made.as_dict()["venues"]
    refused = made.as_dict()["refused"]["venue_halt"]
    assert refused > 0
    assert venues["NORTH"] == {"new": 1, "accepted": 1, "executed": 1, "executed_qty": 100}
    assert venues["SOUTH"] == {
        "new": 2, "accepted": 1, "executed": 1, "executed_qty": 50, "canceled": 1, "rejected": 1, "refused": refused,
    }  # fmt: skip
    by = f"(uid {os.getuid()})"
    assert [(row["what"], row["reason"]) for row in made.halts] == [
        ("halt", f"venue SOUTH: odd fills {by}"), ("resume", f"venue SOUTH: resumed {by}"),
    ]  # fmt: skip
    text = compliance.markdown(made)
    assert "| SOUTH | 2 | 0 |" in text
    assert "| NORTH | 1 | 0 | 0 | 1 | 0 | 1 | 100 | 0 |" in text


@pytest.mark.parametrize(
    ("protocol", "kind", "code", "word"),
    [
        ("ouch50", "new", 7, "halted"), ("ouch42", "new", ord("H"), "halted"), ("fix44", "new", 3, "exceeds_limit"),
        ("fix42", "replace", 0, "too_late"),
    ],
)  # fmt: skip
def test_reasons_are_those_of_the_protocol(protocol: str, kind: str, code: int, word: str) -> None:
    """The codes of the specifications: OUCH 5.0 appendix, OUCH 4.2 letters, FIX tags 103 and 102."""
    assert rejects(protocol, kind)[code] == word


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
