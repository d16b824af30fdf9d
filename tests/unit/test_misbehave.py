"""A venue that answers late, twice, never, refuses in storms, breaks trades and cuts the connection at any byte.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from hwgw_sim.exchange.misbehave import MisbehavingVenue, Misbehaviour
from support.exchange import running
from support.soup_venue import MS, Client

from hwgw.native import lib

PATIENCE_S = 30.0
KINDS = {
    getattr(lib, f"HWGW_ORDER_KIND_{name}"): name
    for name in ("ACCEPTED", "REJECTED", "CANCELED", "EXECUTED", "REPLACED", "BROKEN", "HALT")
}
BUY, SELL = lib.HWGW_ORDER_SIDE_BUY, lib.HWGW_ORDER_SIDE_SELL


class Trader:
    """A session to the misbehaving venue, with every event it gave."""

    def __init__(self, port: int, symbol: str) -> None:
        options = {"username": b"HWGW01", "password": b"SIMULATOR ", "reconnect_ms": 1}
        self.client = Client(port, options, (symbol.ljust(8).encode(),))
        self.events: list[Any] = []
        self.skew_ns = 0

    def until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            if self.client.state == "LOST":
                self.skew_ns += MS
            self.client.now_ns = time.monotonic_ns() + self.skew_ns
            self.events += self.client.poll()
            assert time.monotonic() < end, f"{self.client.state}: {self.client.reason}, {self.kinds()}"
            time.sleep(0.0002)

    def kinds(self) -> list[str]:
        return [KINDS[event.kind] for event in self.events]

    def position(self) -> int:
        """What the events say: executed less broken, bought less sold."""
        signs = {"EXECUTED": 1, "BROKEN": -1}
        return sum(
            signs.get(KINDS[event.kind], 0) * (1 if event.side == BUY else -1) * event.qty for event in self.events
        )


def trade(how: Misbehaviour, play: Callable[[Trader, MisbehavingVenue], None]) -> dict[str, Any]:
    """Run play against an exchange behind a venue that misbehaves; the exchange's report of the user."""
    with running(depth=0) as run:
        with MisbehavingVenue(run.address, ("HWGW01", "SIMULATOR"), how) as venue:
            trader = Trader(venue.port, run.symbol)
            try:
                trader.until(lambda: trader.client.state == "UP")
                play(trader, venue)
                trader.client.ledger()
                assert venue.errors == []
            finally:
                trader.client.close()
        report: dict[str, Any] = run.end()["users"]["HWGW01"]
        return report


def cross(trader: Trader, first: int, qty: int) -> None:
    """A sale and a purchase that trade with each other."""
    for ref, side in ((first, SELL), (first + 1, BUY)):
        fields = {"ref": ref, "qty": qty, "px": 1_000_000, "side": side}
        assert trader.client.send(**fields) == lib.HWGW_CNT_ORDER_ENCODED


def test_late_answers_come_in_order_and_change_nothing() -> None:
    def play(trader: Trader, venue: MisbehavingVenue) -> None:
        before = time.monotonic()
        cross(trader, 1, 30)
        trader.until(lambda: len(trader.events) == 4)
        assert time.monotonic() - before >= 0.3
        assert sorted(trader.kinds()) == ["ACCEPTED"] * 2 + ["EXECUTED"] * 2
        assert venue.counts["late"] >= 4

    trade(Misbehaviour(late=1, late_s=0.3), play)


@pytest.mark.parametrize("how", [Misbehaviour(duplicate=1), Misbehaviour(missing=1)], ids=["twice", "never"])
def test_answers_that_come_twice_halt_and_those_that_never_come_leave_the_order_open(how: Misbehaviour) -> None:
    def play(trader: Trader, venue: MisbehavingVenue) -> None:
        cross(trader, 1, 30)
        if how.duplicate:
            trader.until(lambda: "HALT" in trader.kinds())
            assert trader.kinds()[:2] == ["ACCEPTED", "HALT"]
        else:
            trader.until(lambda: venue.counts["missing"] == 4)
            assert trader.client.send(ref=3, qty=1, px=1) == lib.HWGW_CNT_ORDER_ENCODED
            trader.until(lambda: venue.counts["missing"] == 5)
            assert trader.kinds() == []

    trade(how, play)


def test_missing_acknowledgement_shows_at_the_execution_and_halts() -> None:
    """An execution of an order that was never accepted cannot be."""

    def play(trader: Trader, venue: MisbehavingVenue) -> None:
        venue.how = Misbehaviour(missing=1)
        assert trader.client.send(ref=1, qty=30, px=1_000_000, side=SELL) == lib.HWGW_CNT_ORDER_ENCODED
        trader.until(lambda: venue.counts["missing"] == 1)
        venue.how = Misbehaviour()
        assert trader.client.send(ref=2, qty=30, px=1_000_000, side=BUY) == lib.HWGW_CNT_ORDER_ENCODED
        trader.until(lambda: "HALT" in trader.kinds())
        halted = next(event for event in trader.events if KINDS[event.kind] == "HALT")
        assert halted.ref == 1

    trade(Misbehaviour(), play)


def test_storm_of_rejects_ends_every_order_and_the_next_goes_through() -> None:
    def play(trader: Trader, venue: MisbehavingVenue) -> None:
        for ref in range(1, 201):
            assert trader.client.send(ref=ref, qty=10, px=1_000_000) == lib.HWGW_CNT_ORDER_ENCODED
        trader.until(lambda: len(trader.events) == 200)
        assert trader.kinds() == ["REJECTED"] * 200
        assert trader.client.send(ref=201, qty=10, px=1_000_000) == lib.HWGW_CNT_ORDER_ENCODED
        trader.until(lambda: len(trader.events) == 201)
        assert trader.kinds()[-1] == "ACCEPTED"
        assert venue.counts["stormed"] == 200

    assert trade(Misbehaviour(reject_storm=200), play)["open_orders"] == 1


def test_every_broken_trade_is_undone() -> None:
    def play(trader: Trader, venue: MisbehavingVenue) -> None:
        for pair in range(20):
            cross(trader, 1 + 2 * pair, 10 + pair)
        trader.until(lambda: trader.kinds().count("BROKEN") == 40)
        done = [(e.ref, e.qty, e.px, e.venue_ref) for e in trader.events if KINDS[e.kind] == "EXECUTED"]
        undone = [(e.ref, e.qty, e.px, e.venue_ref) for e in trader.events if KINDS[e.kind] == "BROKEN"]
        assert sorted(done) == sorted(undone)
        assert (len(done), trader.position(), venue.counts["broken"]) == (40, 0, 40)

    trade(Misbehaviour(breaks=1), play)


def test_cut_at_any_byte_loses_nothing_and_repeats_nothing(rng: random.Random) -> None:
    """From inside the answer to a login to inside any message; the events are those of an undisturbed session."""
    cuts = tuple(rng.randrange(1, 400) for _ in range(25))

    def play(trader: Trader, venue: MisbehavingVenue) -> None:
        client = trader.client
        for pair in range(30):
            for side in (SELL, BUY):
                outcome = lib.HWGW_CNT_ORDER_DROP_SESSION
                while outcome == lib.HWGW_CNT_ORDER_DROP_SESSION:
                    trader.until(lambda: client.state == "UP")
                    ref = lib.hwgw_session_next_ref(client.handle)
                    outcome = client.send(ref=ref, qty=10, px=1_000_000 + pair * 100, side=side)
                assert outcome == lib.HWGW_CNT_ORDER_ENCODED
                trader.until(lambda ref=ref: any(event.ref == ref for event in trader.events))
        trader.until(lambda: client.state == "UP" and venue.cursor == len(venue.said) and not venue.waiting)
        assert "HALT" not in trader.kinds()
        assert venue.counts["cuts"] >= 10

    positions: list[int] = []

    def play_and_keep(trader: Trader, venue: MisbehavingVenue) -> None:
        play(trader, venue)
        positions.append(trader.position())

    report = trade(Misbehaviour(cut_after=cuts), play_and_keep)
    assert positions == [sum(report["positions"].values())]
