"""A FIX session rebuilt from the journal: its numbers of both directions, and what became of each order.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import soup_venue as sv
from support.desk import SYMBOLS, probe, session_cfg
from support.fix_venue import FixVenue, Message
from support.restored import judged
from support.rig import Rig

from hwgw.errors import CheckFailed
from hwgw.native import lib

from .test_recovery import RING, Records, opening

pytest.importorskip("simplefix", reason="needs tests/peers/requirements.txt")


class Seat:
    """A pipeline with a FIX session, rebuilt from records when there are some, and its venue."""

    def __init__(self, venue: FixVenue, *blocks: tuple[bytes, int], **options: Any) -> None:
        self.venue = venue
        session = {
            "protocol": lib.HWGW_PROTOCOL_FIX44, "sender": b"HWGW", "target": b"VENUE", "heartbeat_s": 10,
            "username": b" " * 6, "password": b" " * 10,
        }  # fmt: skip
        cfg = session_cfg(venue.port, **(session | options))
        strategies = probe(orders=4, tif=lib.HWGW_ORDER_TIF_DAY, px=900_000)
        self.rig = Rig(SYMBOLS, strategies, session=cfg, journal_sz_bytes=RING, replay=blocks)
        self.found: list[Message] = []

    def until(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + sv.PATIENCE_S
        while not done():
            self.rig.step()
            self.venue.step()
            self.found += self.venue.messages()
            assert time.monotonic() < end, f"gave up waiting until {what}: {self.found} {self.rig.segment.halts}"

    def read(self, cnt: int) -> list[Message]:
        self.until(lambda: len(self.found) >= cnt, f"{cnt} messages have come")
        taken, self.found = self.found[:cnt], self.found[cnt:]
        return taken

    def confirm(self) -> None:
        (test,) = self.read(1)
        assert test[35] == "1", test
        self.venue.send("0", (112, test[112]))
        state = lib.HWGW_SEGMENT_SESSION_STATE_UP
        self.until(lambda: int(self.rig.segment.threads[0]["session_state"]) == state, "it is up")

    def halts(self) -> list[str]:
        self.rig.publish()
        return [row["reason"] for row in self.rig.segment.halts]

    def open_orders(self) -> int:
        self.rig.publish()
        return int(self.rig.segment.threads[0]["open_cnt"])


@contextmanager
def seat(*args: Any, **options: Any) -> Iterator[Seat]:
    made = Seat(*args, **options)
    try:
        yield made
    finally:
        made.rig.__exit__()
        made.venue.drop()


@pytest.fixture
def venue() -> Iterator[FixVenue]:
    made = FixVenue("44")
    yield made
    made.close()


def trade(venue: FixVenue) -> tuple[list[Message], tuple[bytes, int]]:
    """Four orders: one filled in part, one accepted, two without an answer; the orders, and the records of that day."""
    with seat(venue) as here:
        (logon,) = here.read(1)
        venue.send("A", (98, 0), (108, logon[108]))
        here.confirm()
        here.rig.quote()
        orders = here.read(4)
        assert [order[35] for order in orders] == ["D"] * 4
        for order in orders[:2]:
            venue.send("8", *venue.report(order, "0"))
        venue.send("0")  # of the session itself: it counts, and is not on record
        venue.send("8", *venue.report(orders[0], "F", cum=40), (32, 40), (31, "90.00"))
        here.until(lambda: here.rig.cnt("session.executed") == 1, "it is executed")
        records = Records(here.rig)
        return orders, records.first(len(records.ends))


def test_numbers_orders_and_positions_go_on_and_what_never_arrived_is_over(venue: FixVenue) -> None:
    orders, block = trade(venue)
    missed = [venue.make("8", *venue.report(orders[2], "0"))]  # said while nobody listened
    missed.append(venue.make("8", *venue.report(orders[0], "F", cum=100), (32, 60), (31, "90.00")))
    with seat(venue, opening(), block) as here:
        assert here.halts() == ["reconcile"]
        assert here.open_orders() == 4
        (logon,) = here.read(1)
        assert (logon[35], int(logon[34])) == ("A", int(orders[3][34]) + 1)
        assert 141 not in logon
        venue.send("A", (98, 0), (108, logon[108]))
        (resend,) = here.read(1)
        assert (resend[35], int(resend[7])) == ("2", venue.tx_seq - 3)
        venue.send("2", (7, orders[3][34]), (16, 0), seq=venue.tx_seq)  # the last order never reached it
        venue.tx_seq += 1
        (fill,) = here.read(1)
        assert (fill[35], fill[34], fill[123]) == ("4", orders[3][34], "Y")
        for message in missed:
            venue.raw(message)
        venue.raw(venue.make("4", (123, "Y"), (36, venue.tx_seq), seq=venue.tx_seq - 2, dup=True))
        here.confirm()
        here.until(lambda: here.halts() == [], "the venue agrees")
        assert here.open_orders() == 2
        row = here.rig.segment.positions[0]
        assert (int(row["pos"]), int(row["cash"])) == (100, -100 * 900_000)
        assert here.rig.cnt("session.withdrawn") == 1
        assert int(here.rig.segment.threads[0]["last_ref"]) == 4
        here.rig.ledgers()


def test_a_day_and_the_run_behind_it_are_judged_again(venue: FixVenue) -> None:
    """Of whom the session is only a digest is on record: it is enough."""
    orders, block = trade(venue)
    with seat(venue, opening(), block) as here:
        (logon,) = here.read(1)
        venue.send("A", (98, 0), (108, logon[108]))
        here.confirm()
        for order in orders[2:]:
            venue.send("8", *venue.report(order, "8"))
        here.until(lambda: here.halts() == [], "the venue agrees")
        here.rig.quote()
        assert [order[35] for order in here.read(4)] == ["D"] * 4
        records = Records(here.rig)
    found = judged(opening(), block, opening(), records.first(len(records.ends)))
    assert (found.counts["differences"], found.contradiction, found.is_rebuilt) == (0, "", True)
    assert (found.counts["orders"], found.counts["rebuilt_runs"], found.counts["unknown_runs"]) == (8, 1, 0)


def test_an_order_that_the_venue_has_not_answered_stays_unknown_and_halted(venue: FixVenue) -> None:
    orders, block = trade(venue)
    with seat(venue, opening(), block) as here:
        (logon,) = here.read(1)
        venue.send("A", (98, 0), (108, logon[108]))
        here.confirm()
        here.rig.publish()
        assert here.halts() == ["reconcile"]
        assert "of 2 orders nobody knows what became" in here.rig.segment.halts[0]["text"]
        for order in orders[2:]:
            venue.send("8", *venue.report(order, "8"))
        here.until(lambda: here.halts() == [], "it has answered late")
        assert here.open_orders() == 2


def test_numbers_the_venue_does_not_take_keep_it_halted(venue: FixVenue) -> None:
    _, block = trade(venue)
    with seat(venue, opening(), block) as here:
        here.read(1)
        venue.send("5", (58, "MsgSeqNum too low"))
        here.until(lambda: "logon refused" in str(here.rig.segment.halts), "it says so")
        assert here.halts() == ["reconcile"]
        assert here.open_orders() == 4


def test_with_nothing_open_both_sides_begin_anew_where_that_is_asked_for(venue: FixVenue) -> None:
    with seat(venue) as here:
        (logon,) = here.read(1)
        venue.send("A", (98, 0), (108, logon[108]))
        here.confirm()
        records = Records(here.rig)
    venue.tx_seq = 1
    with seat(venue, opening(), records.first(len(records.ends)), reset_seq=True) as here:
        (logon,) = here.read(1)
        assert (logon[34], logon[141]) == ("1", "Y")
        venue.send("A", (98, 0), (108, logon[108]), (141, "Y"))
        here.confirm()
        here.until(lambda: here.halts() == [], "nothing is to be compared")


def test_a_journal_of_another_session_is_refused(venue: FixVenue) -> None:
    _, block = trade(venue)
    with (
        pytest.raises(CheckFailed, match="SenderCompID or TargetCompID"),
        seat(venue, opening(), block, sender=b"OTHER"),
    ):
        pass
