"""Random orders, replaces and cancels against a venue that answers at random: each reserve is given back exactly once.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from support import rig as r
from support import soup_venue as sv
from support.chains import Monkey, Venue, gate, open_orders, settle
from support.desk import SYMBOLS, Desk

from hwgw.native import lib

ROUNDS = 1500


def test_what_was_reserved_is_given_back_exactly_once_over_any_chain_of_answers(rng):
    venue, monkey = Venue(rng), Monkey(rng)
    compared = replaced = 0
    with Desk(strategy=monkey.desc) as desk:
        for locate, symbol in enumerate(SYMBOLS, 1):
            desk.rig.quote(symbol, locate)
        seen = 2
        for turn in range(ROUNDS):
            desk.rig.feed(r.add(1, "AAPL", 10_000 + turn, "B", 1, 1_000_000))
            fills = [message for _ in range(4) for message in venue.trade()] if rng.random() < 0.6 else []
            if fills:
                total = desk.cnt("session.sequenced") + len(fills)
                desk.venue.sequenced(*fills)
                desk.until(lambda: desk.cnt("session.sequenced") == total)  # noqa: B023
            seen = settle(desk, venue, seen)
            assert desk.rig.segment.halted is None
            for ref, asked in venue.asked.items():  # an execution that crosses a replace takes from it
                assert asked <= monkey.wanted[ref] if fills else asked == monkey.wanted[ref]
            replaced += len(venue.asked)
            venue.asked.clear()
            if turn % 10 == 0:
                # a replace that the venue ignored without a word stays reserved until its original ends
                ours, theirs = open_orders(gate(desk)), {ref: order.leaves for ref, order in venue.live.items()}
                assert {ref: ours[ref] for ref in theirs} == theirs
                compared += len(theirs)
        for ref in list(venue.live):
            desk.venue.sequenced(*venue.cancel(ref, 0))
        desk.until(lambda: not open_orders(gate(desk)))
        desk.rig.publish()
        state = gate(desk)
        assert desk.rig.segment.halted is None
        for index, symbol in enumerate(f"{name:<8}".encode() for name in SYMBOLS):
            own = {key: state[f"instrument.{index:04}.{key}"] for key in (
                "pos", "long_worst", "short_worst", "short_used", "open_buy_cnt", "open_sell_cnt")}  # fmt: skip
            pos = venue.position[symbol]
            assert own == {"pos": pos, "long_worst": pos, "short_worst": -pos, "short_used": venue.short[symbol],
                           "open_buy_cnt": 0, "open_sell_cnt": 0}  # fmt: skip
            row = desk.rig.segment.positions[index]
            assert (int(row["pos"]), int(row["bought_qty"]), int(row["sold_qty"])) == (
                pos, venue.bought[symbol], venue.sold[symbol])  # fmt: skip
        assert int(desk.rig.segment.threads[0]["cash"]) == state["gateway.cash"] == venue.cash
        assert (state["gateway.open_cnt"], state["gateway.open_notional"]) == (0, 0)
        assert (state["account.00.open_cnt"], state["account.00.open_notional"]) == (0, 0)
        assert desk.cnt("session.executed_shares") == sum(venue.bought.values()) + sum(venue.sold.values())
        desk.rig.ledgers()
    assert compared > 100
    assert replaced > 50
    wanted = {
        "rejected", "accepted less", "accepted D", "accepted L", "replaced L", "replaced D", "replaced L after fills",
        "replace rejected", "canceled", "reduced", "filled", "filled in part",
    }  # fmt: skip
    assert {name for name in wanted if venue.did[name] < 5} == set()


def test_orders_go_on_behind_a_reference_that_somebody_else_used() -> None:
    """The venue tells of an order that is not ours; when a person has looked, the next one has a higher reference."""
    with Desk(orders=1, every=1, tif=lib.HWGW_ORDER_TIF_DAY, px=900_000) as desk:
        desk.venue.sequenced(sv.accepted(1000, b"B", 100, b"AAPL    ", 900_000))
        desk.until(lambda: bool(desk.rig.segment.halts))
        assert [row["reason"] for row in desk.rig.segment.halts] == ["state"]
        desk.rig.segment.resume("state")
        desk.rig.publish()
        desk.rig.quote()
        desk.until(lambda: desk.cnt("risk.passed") == 1)
        assert desk.cnt("order.drop_encode") == 0
        wanted = sv.soup(b"U", sv.enter(1001, b"B", 100, b"AAPL    ", 900_000))
        desk.until(lambda: wanted in desk.packets)


def test_a_reference_out_of_the_air_does_not_use_up_those_that_are_left() -> None:
    with Desk(every=10**9) as desk:
        desk.venue.sequenced(sv.accepted(2**32 - 16, b"B", 100, b"AAPL    ", 900_000))
        desk.until(lambda: bool(desk.rig.segment.halts))
        desk.rig.publish()
        assert int(desk.rig.segment.threads[0]["last_ref"]) == 0
