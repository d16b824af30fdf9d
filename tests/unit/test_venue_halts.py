"""A venue that a person halts: no order goes there, others go on; who said so is on record, and it outlives a restart.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

import pytest
from support import rig as r
from support import soup_venue as sv
from support.desk import Desk

from hwgw import audit, cli
from hwgw.errors import UsageError
from hwgw.segment import Segment

from .test_recovery import TYPES, Records, opening
from .test_venues import DAY, NAMES, PX, ROUTE, SYMBOLS, Floor, enter, routes

HALTED = 9  # of enum route_cause


@pytest.fixture(autouse=True)
def _state(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWGW_STATE_DIR", str(tmp_path))


def words(floor: Floor) -> list[tuple[str, int, str, int]]:
    """The records of halted venues: name, halted, text, uid."""
    layout = struct.Struct("<16sIIQII96s8x")
    rows = [layout.unpack(payload) for kind, _, payload in Records(floor.rig) if kind == TYPES["venue_halt"]]
    return [(row[0].rstrip(b"\0").decode(), row[2], row[6].rstrip(b"\0").decode(), row[4]) for row in rows]


def settled(floor: Floor) -> None:
    seq = int(floor.rig.segment.control["halt_seq"])
    floor.until(lambda: int(floor.rig.segment.threads[0]["halt_seq_ack"]) == seq, "the halt is acknowledged")


def test_orders_to_it_are_refused_others_go_on_and_the_journal_has_who(capsys: pytest.CaptureFixture[str]) -> None:
    with Floor(probe={"every": 1, "qty": 100}) as floor:
        name = floor.rig.segment.name
        assert floor.rig.segment.halt_venue("NORTH", "odd fills")
        assert not floor.rig.segment.halt_venue("NORTH", "again")
        floor.book(0, (PX - 5, 100), (PX + 5, 200))
        assert (floor.rig.cnt("risk.refused_venue_halt"), floor.rig.cnt("risk.passed")) == (1, 0)
        floor.book(1, (PX - 3, 100), (PX + 3, 200))
        assert floor.orders(1, 1) == [enter(2, 100, PX + 3)]
        settled(floor)
        assert cli.execute(["status", name]) == 0
        said = capsys.readouterr().out
        assert f"venue      NORTH HALTED: odd fills (uid {os.getuid()}, pid {os.getpid()})" in said
        assert "venue      NORTH: HALTED, up" in said
        assert "venue      SOUTH: up" in said
        assert floor.rig.segment.resume_venue("NORTH")
        assert not floor.rig.segment.resume_venue("NORTH")
        settled(floor)
        floor.rig.feed(r.delete(7, 21), channel=0)
        floor.rig.feed(r.add(7, "AAPL", 31, "S", 200, PX + 4), channel=0)
        assert floor.rig.cnt("risk.refused_venue_halt") == 1
        assert floor.orders(0, 1)[0][:1] == b"O"
        assert words(floor) == [("NORTH", 1, "odd fills", os.getuid()), ("NORTH", 0, "resumed", os.getuid())]
        floor.rig.ledgers()


def test_the_router_passes_it_over_and_says_so() -> None:
    with Floor(probe={"every": 2, "qty": 150, "px": PX + 5, "option": ROUTE}) as floor:
        floor.rig.segment.halt_venue("SOUTH", "drill")
        floor.book(0, (PX - 5, 100), (PX + 3, 200))
        floor.book(1, (PX - 5, 100), (PX + 1, 400))
        ((parent, rows),) = routes(floor)[:1]
        assert (parent["placed_qty"], parent["child_cnt"]) == (150, 1)
        assert [(row["qty"], row["cause"]) for row in rows] == [(150, 0), (0, HALTED)]
        assert floor.orders(0, 1) == [enter(1, 150, PX + 5)]


def test_what_is_open_there_is_cancelled_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    probe = {"every": 1, "qty": 100, "tif": DAY, "px": PX - 9, "orders": 1}
    with Floor(probe=probe, cancel_on_halt=True) as floor:
        for number in (0, 1):
            floor.book(number, (PX - 5, 100), (PX + 5, 200))
            (order,) = floor.orders(number, 1)
            ref = int.from_bytes(order[1:5], "big")
            floor.say(number, sv.accepted(ref, b"B", 100, b"AAPL    ", PX - 9))
        floor.rig.segment.halt_venue("SOUTH", "drill")
        assert floor.orders(1, 1) == [sv.cancel(ref, 0)]
        floor.say(1, sv.canceled(ref, 100))
        assert [floor.row(number)["open_cnt"] for number in (0, 1)] == [1, 0]
        assert floor.packets[0] == []


def test_order_entry_is_disabled_at_that_venue_alone() -> None:
    options = {"disable_on_halt": True, "firm": b"FIRM"}
    with Floor(probe={"every": 10**6}, session=options) as floor:
        for number in (0, 1):
            (request,) = floor.orders(number, 1)
            floor.say(number, sv.entry_changed(int.from_bytes(request[1:5], "big"), b"K", b"FIRM"))
        floor.rig.segment.halt_venue("SOUTH", "drill")
        assert floor.orders(1, 1) == [struct.pack(">cI4sH", b"D", 3, b"FIRM", 0)]
        floor.say(1, sv.entry_changed(3, b"G", b"FIRM"))
        assert [floor.row(number)["entry"] for number in (0, 1)] == ["enabled", "disabled"]
        floor.rig.segment.resume_venue("SOUTH")
        assert floor.orders(1, 1) == [struct.pack(">cI4sH", b"E", 4, b"FIRM", 0)]
        assert floor.packets[0] == []


def test_a_gateway_with_one_session_has_no_venue_to_halt() -> None:
    with Desk(qty=1) as desk, pytest.raises(UsageError, match="it has one session: halt the gateway"):
        desk.rig.segment.halt_venue("NORTH", "drill")


def test_it_outlives_the_gateway_by_name_and_a_venue_that_is_gone_halts_all() -> None:
    def made(name: str, venues: tuple[str, ...]) -> Segment:
        return Segment.create(name, SYMBOLS * len(venues), venues=venues)

    name = f"venue-halt-{os.getpid()}"
    with made(name, ("NORTH", "SOUTH")) as first:
        first.halt_venue("SOUTH", "drill")
    with made(name, ("SOUTH", "WEST", "NORTH")) as second:  # the halt has kept the segment
        assert {venue: row["text"] for venue, row in second.venue_halts.items()} == {"SOUTH": "drill"}
        assert second.halts == ()
    with made(name, ("WEST", "NORTH")) as third:
        assert third.venue_halts == {}
        assert [row["reason"] for row in third.halts] == ["state"]
        assert third.halts[0]["text"] == "SOUTH was halted and is no venue of this gateway any more"
        third.resume("state")


@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]])
def test_it_comes_back_from_the_journal_when_the_segment_is_gone(names: tuple[str, ...]) -> None:
    with Floor(probe={"every": 10**6}) as floor:
        for said in ("one", "two"):
            floor.rig.segment.halt_venue("NORTH", "gone by then")
            floor.rig.segment.halt_venue("SOUTH", said)
            settled(floor)
            floor.rig.segment.resume_venue("NORTH")
            settled(floor)
            if said == "one":
                floor.rig.segment.resume_venue("SOUTH")
                settled(floor)
        records = Records(floor.rig)
    blocks = (opening(), records.first(len(records.ends)))
    with Floor(names=names, wait=True, replay=blocks, replay_halts=True, probe={"every": 10**6}) as again:
        text = f"uid {os.getuid()}, before a restart: two"
        assert {venue: row["text"] for venue, row in again.rig.segment.venue_halts.items()} == {"SOUTH": text}
        settled(again)
        assert words(again) == [("SOUTH", 1, text, os.getuid())]  # the new journal begins with it


def test_the_command_line_halts_shows_and_resumes_it(capsys: pytest.CaptureFixture[str]) -> None:
    name = f"venue-cli-{os.getpid()}"
    with Segment.create(name, SYMBOLS * 2, venues=NAMES) as segment:
        assert cli.execute(["halt", name, "--venue", "EAST"]) == 2
        assert f"{name} has no venue 'EAST'; it has NORTH, SOUTH" in capsys.readouterr().err
        assert cli.execute(["halt", name, "--venue", "SOUTH", "--instrument", "AAPL"]) == 2
        assert cli.execute(["halt", name, "--venue", "SOUTH", "--cancel"]) == 2
        assert "with --venue set control.cancel_on_halt" in capsys.readouterr().err
        assert cli.execute(["halt", name, "--venue", "SOUTH", "--reason", "odd fills", "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)["gateways"]
        assert (row["venue"], row["newly"], row["acknowledged"]) == ("SOUTH", True, True)
        assert cli.execute(["status", name, "--json"]) == 0
        (look,) = json.loads(capsys.readouterr().out)["gateways"]
        assert {venue: halt["text"] for venue, halt in look["venue_halts"].items()} == {"SOUTH": "odd fills"}
        assert cli.execute(["resume", name]) == 1
        assert "not halted, but of it SOUTH: hwgw resume" in capsys.readouterr().err
        assert cli.execute(["resume", name, "--venue", "SOUTH"]) == 2
        assert f"hwgw resume {name} --venue SOUTH --reason operator" in capsys.readouterr().err
        assert cli.execute(["resume", name, "--venue", "NORTH", "--reason", "operator"]) == 1
        assert cli.execute(["resume", name, "--venue", "SOUTH", "--reason", "operator"]) == 0
        assert segment.venue_halts == {}
        entries = [json.loads(line) for line in audit.path(name).read_text().splitlines()]
        acts = [(each["action"], each.get("venue", each.get("venues"))) for each in entries]
        assert acts == [("halt", "SOUTH"), ("resume", ["SOUTH"])]
