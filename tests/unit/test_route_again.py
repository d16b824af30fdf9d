"""Shares of a child that was refused go to the next-best venue: bounded, on record, and every share is accounted for.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import soup_venue as sv
from support.rig import open_limits

from hwgw import specs
from hwgw.errors import ConfigError
from hwgw.native import ffi, lib

from .test_recovery import TYPES, Records
from .test_venues import DAY, IOC, PX, ROUTE, SYMBOLS, Floor, enter

CAUSES = {code.slug: int(code.value) for code in specs.load("journal").enum("route_cause").values}
THREE = ("NORTH", "SOUTH", "WEST")
NEW, REJECTED = lib.HWGW_ORDER_KIND_NEW, lib.HWGW_ORDER_KIND_REJECTED


class Told:
    """Routes one order when a book has two sides for the n-th time, and keeps what it is told of orders."""

    def __init__(self, at: int, qty: int, tif: int = IOC, options: int = 0) -> None:
        self.at, self.qty, self.tif, self.options, self.seen = at, qty, tif, options, 0
        self.orders: list[tuple[int, int, int, int]] = []  # kind, ref, qty, reason
        self.fn = ffi.callback("hwgw_strategy_fn", self.hook)
        self.name = ffi.new("char[]", b"told")
        self.desc = ffi.new(
            "struct hwgw_strategy *", {"abi": lib.HWGW_SEGMENT_ABI, "depth": 1, "name": self.name, "fn": self.fn}
        )

    def hook(self, hook: Any, _state: Any, out: Any, _out_max: int) -> int:
        if hook.cause == lib.HWGW_HOOK_CAUSE_ORDER:
            order = hook.order
            self.orders.append((order.kind, order.ref, order.qty, order.reason))
            return 0
        self.seen += bool(hook.flags & lib.HWGW_HOOK_FLAGS_TWO_SIDED)
        if self.seen != self.at or not hook.flags & lib.HWGW_HOOK_FLAGS_TWO_SIDED:
            return 0
        out[0].kind, out[0].side, out[0].type = NEW, lib.HWGW_ORDER_SIDE_BUY, lib.HWGW_ORDER_TYPE_LIMIT
        out[0].tif, out[0].px, out[0].qty, out[0].instrument = self.tif, PX + 9, self.qty, 0
        out[0].venue_ref = (ROUTE | self.options) << lib.HWGW_ORDER_OPTION_SHIFT
        return 1


def floor(told: Told, retries: int, **options: Any) -> Floor:
    return Floor(names=THREE, strategy=[(told.desc, {})], router={"retries_max": retries}, **options)


def books(made: Floor) -> None:
    """The cheapest is NORTH, then SOUTH, then WEST; each shows 100."""
    for number, above in enumerate((1, 2, 3)):
        made.book(number, (PX - 5, 100), (PX + above, 100))


def attempts(made: Floor) -> list[dict[str, Any]]:
    """The records of the router."""
    head, row = specs.dtype("journal", "journal_route"), specs.dtype("journal", "journal_candidate")
    found = []
    for kind, _, payload in Records(made.rig):
        if kind == TYPES["route"]:
            parent = np.frombuffer(payload[: head.itemsize], head)[0]
            rows = np.frombuffer(payload[head.itemsize :], row)
            keys = ("parent", "retry", "refused_ref", "refused_reason", "qty", "placed_qty", "first_ref")
            found.append({
                **{key: int(parent[key]) for key in keys},
                "got": [int(each["qty"]) for each in rows], "causes": [int(each["cause"]) for each in rows],
            })  # fmt: skip
    return found


def counted(made: Floor) -> dict[str, int]:
    names = ("parents", "placed", "children", "retries", "retried", "retry_partly", "retry_unplaced")
    return {name: cnt for name in names if (cnt := made.rig.cnt(f"router.{name}"))}


def test_what_a_venue_rejects_goes_to_the_next_best_and_the_record_says_so() -> None:
    told = Told(3, 100)
    with floor(told, 1) as made:
        books(made)
        assert made.orders(0, 1) == [enter(1, 100, PX + 9)]
        made.say(0, sv.rejected(1, 7))
        assert made.orders(1, 1) == [enter(2, 100, PX + 9)]
        assert made.packets[0] == made.packets[2] == []
        first, again = attempts(made)
        assert (first["parent"], first["retry"], first["refused_ref"], first["refused_reason"]) == (1, 0, 0, 0)
        assert first["got"] == [100, 0, 0]
        assert (again["parent"], again["retry"], again["refused_ref"], again["refused_reason"]) == (1, 1, 1, 7)
        assert (again["got"], again["first_ref"]) == ([0, 100, 0], 2)
        assert again["causes"] == [CAUSES["refused"], 0, CAUSES["not_needed"]]
        made.say(1, *(sv.accepted(2, b"B", 100, b"AAPL    ", PX + 9), sv.executed(2, 100, PX + 2, 1)))
        assert made.held() == {"AAPL@SOUTH": 100}
        # of the new child first, then that the old one has ended and that none of its shares is left
        assert told.orders[:3] == [
            (NEW, 1, 100, 0), (NEW, 2, 100, 0), (REJECTED, 1, 0, lib.HWGW_CNT_ROUTER_RETRIED),
        ]  # fmt: skip
        assert counted(made) == {"parents": 1, "placed": 1, "children": 2, "retries": 1, "retried": 1}
        made.rig.ledgers()


def test_a_rejection_without_a_code_is_routed_again_as_well() -> None:
    told = Told(3, 100)
    with floor(told, 1) as made:
        books(made)
        assert made.orders(0, 1) == [enter(1, 100, PX + 9)]
        made.say(0, sv.rejected(1, 0))
        assert made.orders(1, 1) == [enter(2, 100, PX + 9)]
        assert [at["refused_reason"] for at in attempts(made)] == [0, lib.HWGW_ORDER_REJECT_UNSAID]
        made.rig.ledgers()


@pytest.mark.parametrize(("retries", "venues"), [(0, 1), (1, 2), (2, 3), (3, 3)])
def test_each_venue_has_them_once_and_no_more_often_than_was_said(retries: int, venues: int) -> None:
    told = Told(3, 100)
    with floor(told, retries) as made:
        books(made)
        for number in range(venues):
            assert made.orders(number, 1) == [enter(1 + number, 100, PX + 9)]
            made.say(number, sv.rejected(1 + number, 7))
        for _ in range(20):
            made.rig.step()
        assert [len(packets) for packets in made.packets] == [0, 0, 0]
        tried = min(retries, 3)
        want = {"parents": 1, "placed": 1, "children": venues, "retries": tried, "retried": venues - 1}
        if tried == 3:
            want["retry_unplaced"] = 1
        assert counted(made) == {name: cnt for name, cnt in want.items() if cnt}
        ended = [order for order in told.orders if order[0] == REJECTED]
        assert [order[1] for order in ended] == list(range(1, venues + 1))
        assert all(order[2:] == (0, lib.HWGW_CNT_ROUTER_RETRIED) for order in ended[:-1])
        assert ended[-1][2:] == (100 if tried == 3 else 0, 7)  # the last: with the venue's own reason
        made.rig.ledgers()


def test_what_cannot_be_sent_waits_for_its_siblings_and_references_follow_the_rank() -> None:
    """NORTH takes one message and no more: of the second parent its part goes to WEST, behind the part of SOUTH."""
    throttle = {"throttle_ns": 10**12, "throttle_burst": 1}
    told = Told(3, 50)
    with floor(told, 1, sessions={0: throttle}) as made:
        books(made)
        assert made.orders(0, 1) == [enter(1, 50, PX + 9)]
        told.at, told.qty = told.seen + 1, 200
        made.book(0, (PX - 6, 100), (PX + 1, 100), symbol=1)  # of another symbol: the hook comes once more
        assert made.orders(1, 1) == [enter(3, 100, PX + 9)]
        assert made.orders(2, 1) == [enter(4, 100, PX + 9)]
        assert made.rig.cnt("order.drop_throttle") == 1
        _, parent, again = attempts(made)
        assert (parent["got"], parent["first_ref"]) == ([100, 100, 0], 2)
        assert (again["retry"], again["refused_ref"], again["refused_reason"], again["got"]) == (
            1, 2, lib.HWGW_CNT_ORDER_DROP_THROTTLE, [0, 0, 100],
        )  # fmt: skip
        assert (REJECTED, 2, 0, lib.HWGW_CNT_ROUTER_RETRIED) in told.orders
        made.rig.ledgers()


def test_what_the_gate_holds_against_the_order_is_not_tried_elsewhere() -> None:
    limits = open_limits(len(SYMBOLS))
    limits["instrument"]["qty_max"] = 99
    told = Told(3, 100)
    with floor(told, 3, limits=limits) as made:
        books(made)
        assert (made.rig.cnt("risk.refused_qty"), made.rig.cnt("router.retries")) == (1, 0)
        assert [order[:3] for order in told.orders] == [(REJECTED, 1, 100)]
        made.rig.ledgers()


def test_an_order_that_the_connection_lost_is_not_sent_again() -> None:
    told = Told(3, 100, tif=DAY)
    with floor(told, 3) as made:
        books(made)
        made.orders(0, 1)
        made.venues[0].drop()
        made.until(lambda: made.row(0)["losses"] == 1, "NORTH is lost")
        made.log_in(0, seq=2, next_ref=1)  # it never saw the order
        made.until(lambda: made.rig.cnt("session.withdrawn") == 1, "it is taken back")
        assert made.rig.cnt("router.retries") == 0
        assert (REJECTED, 1) in [order[:2] for order in told.orders]


def test_nothing_is_tried_elsewhere_while_halted() -> None:
    told = Told(3, 100)
    with floor(told, 3) as made:
        books(made)
        made.orders(0, 1)
        made.rig.segment.halt("drill")
        made.say(0, sv.rejected(1, 7))
        assert made.rig.cnt("risk.refused_halted") == 1
        assert made.packets[1] == made.packets[2] == []
        assert counted(made)["retries"] == 1
        made.rig.ledgers()


def test_more_retries_than_allowed_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"4 retries: .* and 3 are allowed"):
        floor(Told(1, 1), 4)
