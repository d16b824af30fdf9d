"""One pipeline, two venues: books, orders, positions, losses and restarts are told apart.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from support import rig as r
from support import soup_venue as sv
from support.desk import probe
from support.restored import judged
from support.rig import Rig

from hwgw import specs
from hwgw.errors import CheckFailed
from hwgw.native import ffi, lib

from .test_recovery import RING, TYPES, Records, opening

SYMBOLS = ("AAPL", "MSFT")
NAMES = ("NORTH", "SOUTH")
PX = 1_000_000
DAY, IOC = lib.HWGW_ORDER_TIF_DAY, lib.HWGW_ORDER_TIF_IOC
ROUTE = lib.HWGW_ORDER_OPTION_ROUTE
STATES = {name: getattr(lib, f"HWGW_SEGMENT_SESSION_STATE_{name}") for name in ("UP", "LOST")}


class Floor:
    """A rig with two sessions and their venues, logged in unless told to wait."""

    def __init__(
        self,
        *,
        names: tuple[str, ...] = NAMES,
        wait: bool = False,
        halts: bool = False,
        session: dict[str, Any] | None = None,
        sessions: dict[int, dict[str, Any]] | None = None,
        **options: Any,
    ) -> None:
        """session: settings of each; sessions: of single ones, by number; strategy: instead of the probe."""
        self.names = names
        self.venues = [sv.Venue() for _ in names]
        self.packets: list[list[bytes]] = [[] for _ in names]
        cfgs = ffi.new("struct hwgw_session_cfg[]", len(names))
        for number, (cfg, venue, name) in enumerate(zip(cfgs, self.venues, names, strict=True)):
            values = {
                "address": 0x7F000001, "port": venue.port, "username": sv.USERNAME, "password": sv.PASSWORD,
                "requested_session": b" " * 10, "firm": b"    ", "capacity": b"P", "display": b"Y", "requested_seq": 1,
                "login_timeout_ms": 5000, "dead_link_ms": 15000, "reconnect_ms": 1, "venue": name.encode(),
                "halts_alone": halts,
            } | (session or {}) | (sessions or {}).get(number, {})  # fmt: skip
            for key, value in values.items():
                setattr(cfg, key, value)
        strategy = options.pop("strategy", None) or probe(**options.pop("probe", {}))
        try:
            self.rig = Rig(SYMBOLS, strategy, session=cfgs, venues=names, journal_sz_bytes=RING, **options)
        except BaseException:
            for venue in self.venues:
                venue.close()
            raise
        for number in range(0 if wait else len(names)):
            self.log_in(number)

    def __enter__(self) -> Floor:
        return self

    def __exit__(self, *_: object) -> None:
        self.rig.__exit__()
        for venue in self.venues:
            venue.close()

    def until(self, done: Callable[[], bool], what: str = "") -> None:
        end = time.monotonic() + sv.PATIENCE_S
        while not done():
            self.rig.step()
            for venue, packets in zip(self.venues, self.packets, strict=True):
                venue.step()
                packets += [packet for packet in venue.packets() if packet[2:3] != b"R"]  # heartbeats
            assert time.monotonic() < end, f"gave up waiting: {what} {self.rig.segment.halts}"

    def log_in(self, number: int, seq: int = 1, messages: tuple[bytes, ...] = (), next_ref: int = 1) -> None:
        venue, packets = self.venues[number], self.packets[number]
        self.until(lambda: len(packets) >= 1, "a login")
        assert packets.pop(0) == sv.login_request(sv.SESSION if seq > 1 else b" " * 10, seq)
        venue.send(sv.login_accepted(seq=seq))
        self.until(lambda: len(packets) >= 1, "the account query")
        assert packets.pop(0) == sv.soup(b"U", b"Q")
        venue.sequenced(*messages, sv.query_response(next_ref))
        self.until(lambda: self.state(number) == STATES["UP"], "up")

    def state(self, number: int) -> int:
        return int(self.rig.segment.threads[0]["session"][number]["state"])

    def book(self, number: int, bid: tuple[int, int], ask: tuple[int, int], symbol: int = 0) -> None:
        """An order on each side, with the same references at every venue."""
        name, locate = SYMBOLS[symbol], 7 + symbol
        self.rig.feed(r.directory(locate, name), channel=number)
        self.rig.feed(r.add(locate, name, 11 + symbol, "B", bid[1], bid[0]), channel=number)
        self.rig.feed(r.add(locate, name, 21 + symbol, "S", ask[1], ask[0]), channel=number)

    def orders(self, number: int, cnt: int) -> list[bytes]:
        """The messages of the next packets that a venue has got."""
        self.until(lambda: len(self.packets[number]) >= cnt, f"{cnt} packets at {number}")
        taken, self.packets[number][:] = self.packets[number][:], []
        return [packet[3:] for packet in taken]

    def say(self, number: int, *messages: bytes) -> None:
        total = self.rig.cnt("session.sequenced") + len(messages)
        self.venues[number].sequenced(*messages)
        self.until(lambda: self.rig.cnt("session.sequenced") == total, "messages")

    def row(self, number: int) -> dict[str, Any]:
        self.rig.publish()
        return self.rig.segment.sessions()[number]

    def held(self) -> dict[str, int]:
        rows = zip(self.rig.segment.instruments, self.rig.segment.positions, strict=True)
        return {name: int(row["pos"]) for name, row in rows if int(row["pos"])}


def enter(ref: int, qty: int, px: int, tif: bytes = b"3") -> bytes:
    return sv.enter(ref, b"B", qty, b"AAPL    ", px, tif)


def bought(ref: int, qty: int, px: int, match: int) -> tuple[bytes, bytes]:
    return sv.accepted(ref, b"B", qty, b"AAPL    ", px), sv.executed(ref, qty, px, match)


def test_the_same_references_at_two_venues_are_two_orders():
    with Floor(probe={"every": 10**6}) as floor:
        floor.book(0, (PX - 2, 100), (PX + 2, 200))
        floor.book(1, (PX - 1, 300), (PX + 1, 400))
        floor.rig.feed(r.delete(7, 11), channel=1)
        tops = dict(zip(floor.rig.segment.instruments, floor.rig.segment.top, strict=True))
        assert set(tops) == {"AAPL@NORTH", "MSFT@NORTH", "AAPL@SOUTH", "MSFT@SOUTH"}
        assert [int(tops["AAPL@NORTH"][key]) for key in ("bid_px", "bid_qty", "ask_px", "ask_qty")] == [
            PX - 2,
            100,
            PX + 2,
            200,
        ]
        assert [int(tops["AAPL@SOUTH"][key]) for key in ("bid_px", "bid_qty", "ask_px", "ask_qty")] == [
            0,
            0,
            PX + 1,
            400,
        ]
        assert floor.rig.cnt("book.drop_duplicate_ref") == floor.rig.cnt("book.drop_unknown_ref") == 0


def test_an_order_goes_to_the_venue_whose_book_it_was_decided_on():
    """References rise over both; exposure is one, positions are each venue's own."""
    with Floor(probe={"every": 1, "qty": 100}) as floor:
        floor.book(0, (PX - 5, 100), (PX + 5, 200))
        assert floor.orders(0, 1) == [enter(1, 100, PX + 5)]
        floor.book(1, (PX - 3, 100), (PX + 3, 200))
        assert floor.orders(1, 1) == [enter(2, 100, PX + 3)]
        floor.say(1, *bought(2, 100, PX + 3, 5))
        floor.say(0, *bought(1, 60, PX + 5, 5)[:1])
        assert floor.held() == {"AAPL@SOUTH": 100}
        floor.say(0, sv.executed(1, 60, PX + 5, 6))
        assert floor.held() == {"AAPL@NORTH": 60, "AAPL@SOUTH": 100}
        assert floor.rig.segment.halted is None
        north, south = floor.row(0), floor.row(1)
        assert (north["sent"], north["executed_qty"], south["sent"], south["executed_qty"]) == (1, 60, 1, 100)
        assert {int(floor.rig.segment.positions[i]["long_worst"]) for i in (0, 2)} == {160}
        floor.rig.ledgers()


def test_a_feed_that_is_not_good_stops_the_orders_of_its_venue_alone():
    with Floor(probe={"every": 1, "qty": 100}) as floor:
        floor.book(0, (PX - 5, 100), (PX + 5, 200))
        floor.orders(0, 1)
        floor.rig.seqs[1] += 5  # a hole, first of all
        floor.book(1, (PX - 3, 100), (PX + 3, 200))
        assert floor.rig.cnt("risk.refused_feed") > 0
        passed = floor.rig.cnt("risk.passed")
        floor.rig.feed(r.add(7, "AAPL", 31, "B", 10, PX - 4), channel=0)
        assert floor.rig.cnt("risk.passed") == passed + 1


# ---- the router in its place ----


def routes(floor: Floor) -> list[tuple[dict[str, int], list[dict[str, int]]]]:
    """The records of the router: the parent, and the venues as it saw them."""
    head, row = specs.dtype("journal", "journal_route"), specs.dtype("journal", "journal_candidate")
    found = []
    for kind, _, payload in Records(floor.rig):
        if kind == TYPES["route"]:
            parent = np.frombuffer(payload[: head.itemsize], head)[0]
            rows = np.frombuffer(payload[head.itemsize :], row)
            found.append((
                {key: int(parent[key]) for key in ("parent", "qty", "placed_qty", "first_ref", "child_cnt")},
                [{key: int(each[key]) for key in ("venue", "rank", "qty", "px", "shown", "cause")} for each in rows],
            ))  # fmt: skip
    return found


def test_a_parent_is_split_by_price_and_the_journal_says_why():
    with Floor(probe={"every": 2, "qty": 150, "px": PX + 5, "option": ROUTE}) as floor:
        floor.book(0, (PX - 5, 100), (PX + 5, 200))
        floor.book(1, (PX - 3, 100), (PX + 3, 60))
        assert floor.orders(1, 1) == [enter(1, 60, PX + 5)]
        assert floor.orders(0, 1) == [enter(2, 90, PX + 5)]
        assert routes(floor) == [(
            {"parent": 1, "qty": 150, "placed_qty": 150, "first_ref": 1, "child_cnt": 2},
            [
                {"venue": 0, "rank": 2, "qty": 90, "px": PX + 5, "shown": 200, "cause": 0},
                {"venue": 1, "rank": 1, "qty": 60, "px": PX + 3, "shown": 60, "cause": 0},
            ],
        )]  # fmt: skip
        assert (floor.rig.cnt("router.placed"), floor.rig.cnt("router.children")) == (1, 2)
        assert floor.rig.ledgers() >= 8


def test_a_venue_that_is_lost_is_passed_over_and_its_orders_are_not():
    """Its order stays open and reserved while the other goes on; back again, the answers that were missed come."""
    with Floor(probe={"every": 1, "qty": 50, "px": PX + 5, "option": ROUTE, "tif": DAY}) as floor:
        floor.book(0, (PX - 5, 100), (PX + 5, 200))  # the other has no feed yet
        assert floor.orders(0, 1) == [enter(1, 50, PX + 5, b"0")]
        floor.book(1, (PX - 3, 100), (PX + 3, 60))
        assert floor.orders(1, 1) == [enter(2, 50, PX + 5, b"0")]
        floor.say(1, sv.accepted(2, b"B", 50, b"AAPL    ", PX + 5))
        floor.venues[1].drop()
        floor.until(lambda: floor.row(1)["losses"] == 1, "a loss")
        assert floor.rig.segment.halted is None
        assert (floor.row(1)["open_cnt"], int(floor.rig.segment.positions[0]["long_worst"])) == (1, 100)
        floor.rig.feed(r.add(7, "AAPL", 41, "B", 10, PX - 2), channel=1)  # its better price is still seen
        assert floor.orders(0, 1) == [enter(3, 50, PX + 5, b"0")]
        causes = {code.value: code.slug for code in specs.load("journal").enum("route_cause").values}
        assert [[causes[at["cause"]] for at in seen] for _, seen in routes(floor)] == [
            ["none", "feed"], ["not_needed", "none"], ["none", "session"],
        ]  # fmt: skip
        floor.log_in(1, seq=3, messages=(sv.executed(2, 50, PX + 3, 9),), next_ref=3)
        assert floor.held() == {"AAPL@SOUTH": 50}
        floor.rig.feed(r.add(7, "AAPL", 51, "B", 10, PX - 3), channel=0)
        assert floor.orders(1, 1) == [enter(4, 50, PX + 5, b"0")]
        floor.rig.ledgers()


def test_what_finds_no_venue_comes_back_to_the_strategy_and_is_counted():
    with Floor(probe={"every": 1, "qty": 50, "px": PX, "option": ROUTE}, wait=True) as floor:
        floor.book(0, (PX - 5, 100), (PX + 5, 200))
        assert (floor.rig.cnt("router.parents"), floor.rig.cnt("router.drop_unplaced")) == (1, 1)
        assert floor.rig.cnt("strategy.intents") == 0
        floor.rig.ledgers()


@pytest.mark.parametrize(("halts", "lost"), [(True, (1,)), (False, (1, 0))])
def test_a_loss_halts_where_that_was_asked_for_or_no_session_is_left(halts, lost):
    with Floor(probe={"every": 1, "qty": 50}, halts=halts) as floor:
        for number in (0, 1):
            floor.book(number, (PX - 5, 100), (PX + 5, 200))
            floor.orders(number, 1)
        for number in lost:
            assert floor.rig.segment.halted is None
            floor.venues[number].drop()
            floor.until(lambda: floor.row(number)["losses"] == 1, "a loss")  # noqa: B023
        assert [row["reason"] for row in floor.rig.segment.halts] == ["session"]


# ---- a restart ----


@contextmanager
def past() -> Iterator[tuple[bytes, int]]:
    """The records of a day: filled at the north, open at the south, and one at each without an answer."""
    with Floor(probe={"every": 1, "qty": 100, "tif": DAY}) as floor:
        for number in (0, 1):
            floor.book(number, (PX - 5, 100), (PX + 5, 200))
            floor.orders(number, 1)
        floor.say(0, *bought(1, 100, PX + 5, 5))
        floor.say(1, sv.accepted(2, b"B", 100, b"AAPL    ", PX + 5))
        for number in (0, 1):
            floor.rig.feed(r.add(7, "AAPL", 61, "B", 10, PX - 4), channel=number)
            floor.orders(number, 1)
        assert floor.held() == {"AAPL@NORTH": 100}
        records = Records(floor.rig)
        yield records.first(len(records.ends))


@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]])
def test_a_restart_goes_on_when_every_venue_agrees(names):
    """Sessions are found by the names of their venues, in whatever order."""
    with past() as records, Floor(names=names, wait=True, replay=[opening(SYMBOLS * 2), records]) as again:
        north, south = names.index("NORTH"), names.index("SOUTH")
        assert [row["reason"] for row in again.rig.segment.halts] == ["reconcile"]
        assert (again.row(north)["unknown_cnt"], again.row(south)["unknown_cnt"]) == (1, 1)
        assert (again.row(north)["open_cnt"], again.row(south)["open_cnt"]) == (1, 2)
        again.log_in(north, seq=4, next_ref=3)  # order 3 never came
        again.until(lambda: not again.row(north)["reconciling"], "the north agrees")
        assert again.rig.segment.halted is not None
        again.log_in(south, seq=3, messages=(sv.accepted(4, b"B", 100, b"AAPL    ", PX + 5),), next_ref=5)
        again.until(lambda: not again.rig.segment.halts, "the south agrees")
        assert again.held() == {"AAPL@NORTH": 100}
        assert (again.row(north)["open_cnt"], again.row(south)["open_cnt"]) == (0, 2)
        assert int(again.rig.segment.threads[0]["open_cnt"]) == 2
        again.rig.segment.halt_venue("SOUTH", "drill")
        for number in (north, south):  # one leaves, one is refused ahead of the gate
            again.book(number, (PX - 5, 100), (PX + 5, 200))
        again.orders(north, 1)
        own = Records(again.rig)
    run = opening(SYMBOLS * 2)
    found = judged(run, records, run, own.first(len(own.ends)))
    assert (found.counts["differences"], found.contradiction) == (0, "")
    assert (found.counts["orders"], found.counts["ahead"], found.counts["rebuilt_runs"]) == (5, 1, 1)


def test_a_restart_without_a_venue_that_was_traded_at_is_refused():
    with past() as records, pytest.raises(CheckFailed, match="order session 1; now none is configured"):
        Floor(names=("NORTH", "WEST"), wait=True, replay=[opening(SYMBOLS * 2), records])
