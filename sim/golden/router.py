"""Golden router: docs/routing.md in plain integers.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from hwgw import specs

ORDER, JOURNAL = specs.load("order"), specs.load("journal")
SLOT_CNT = specs.load("risk").constant("open_orders_max")
Kind = SimpleNamespace(**{code.slug.upper(): code.value for code in ORDER.enum("kind").values})
Cause = SimpleNamespace(**{code.slug.upper(): code.value for code in JOURNAL.enum("route_cause").values})
BUY, MARKET, IOC = ORDER.enum("side").code("buy"), ORDER.enum("type").code("market"), ORDER.enum("tif").code("ioc")
POST_ONLY = ORDER.enum("option").code("post_only")
ALL_OR_NONE = ORDER.enum("option").code("all_or_none")
OPTION_SHIFT = ORDER.constant("option_shift")
SECOND_NS = 10**9


@dataclass(frozen=True)
class Venue:
    """What is said of a venue; fees in price units per share."""

    is_off: bool = False
    take_fee: int = 0
    make_fee: int = 0
    order_max: int = 2**32 - 1
    open_max: int = 2**32 - 1


@dataclass(frozen=True)
class Quote:
    """A venue at the moment of an order: the best price of the far side and what is displayed there."""

    px: int
    shown: int
    is_up: bool = True
    is_good: bool = True
    is_halted: bool = False
    is_refused: bool = False


@dataclass
class Recent:
    """What became of a venue's earlier orders."""

    ack_ns: int = 0
    fill_q16: int = 1 << 16
    open_cnt: int = 0


@dataclass
class Candidate:
    """A venue as the router saw it, and what it got."""

    venue: int
    cause: int = Cause.NONE
    rank: int = 0
    qty: int = 0
    px: int = 0
    shown: int = 0
    room: int = 0
    open_cnt: int = 0
    take_fee: int = 0
    make_fee: int = 0
    ack_ns: int = 0
    fill_q16: int = 0
    is_far: int = 0
    take_cost: int = 0
    rest_cost: int = 0


@dataclass
class Router:
    """Route orders; tell it what was sent and what the venues answered."""

    venues: Sequence[Venue]
    children_max: int
    latency_px: int = 0
    fill_px: int = 0
    recent: list[Recent] = field(default_factory=list)
    orders: dict[int, dict[str, int]] = field(default_factory=dict)  # by slot

    def __post_init__(self) -> None:
        self.recent = [Recent() for _ in self.venues]

    def _candidate(self, number: int, order: Mapping[str, int], quote: Quote) -> Candidate:
        venue, recent = self.venues[number], self.recent[number]
        options = order["venue_ref"] >> OPTION_SHIFT
        sign = 1 if order["side"] == BUY else -1
        no_limit = order["type"] == MARKET
        far = quote.px == 0 or (not no_limit and sign * (quote.px - order["px"]) > 0)
        wait = (recent.ack_ns * self.latency_px << 16) // 1_000_000
        miss = self.fill_px * ((1 << 16) - recent.fill_q16)
        rests = not no_limit and order["tif"] != IOC
        causes = {
            Cause.OFF: venue.is_off,
            Cause.HALTED: quote.is_halted,
            Cause.REFUSED: quote.is_refused,
            Cause.SESSION: not quote.is_up,
            Cause.FEED: not quote.is_good,
            Cause.OPEN_ORDERS: recent.open_cnt >= venue.open_max,
            Cause.NO_PRICE: not rests and quote.px == 0,
            Cause.WOULD_TAKE: bool(options & POST_ONLY) and not far,
            Cause.TOO_SMALL: bool(options & ALL_OR_NONE) and venue.order_max < order["qty"],
        }
        return Candidate(
            venue=number,
            cause=next((cause for cause, holds in causes.items() if holds), Cause.NONE),
            px=quote.px,
            shown=quote.shown,
            room=venue.order_max,
            open_cnt=recent.open_cnt,
            take_fee=venue.take_fee,
            make_fee=venue.make_fee,
            ack_ns=recent.ack_ns,
            fill_q16=recent.fill_q16,
            is_far=int(far),
            take_cost=((sign * quote.px + venue.take_fee) << 16) + wait + miss,
            rest_cost=(venue.make_fee << 16) + wait + miss,
        )

    def route(self, order: Mapping[str, int], quotes: Sequence[Quote]) -> tuple[int, list[Candidate]]:
        """The shares placed, and a candidate per venue."""
        found = [self._candidate(number, order, quote) for number, quote in enumerate(quotes)]
        is_whole = bool(order["venue_ref"] >> OPTION_SHIFT & ALL_OR_NONE)
        children_max = 1 if is_whole else self.children_max
        rests = order["type"] != MARKET and order["tif"] != IOC
        left = order["qty"]
        able = [at for at in found if at.cause == Cause.NONE]

        def give(at: Candidate, most: int) -> None:
            nonlocal left
            qty = min(left, most, at.room - at.qty)
            children = sum(other.rank > 0 for other in found)
            if qty == 0 or (at.rank == 0 and children == children_max):
                return
            at.rank = at.rank or children + 1
            at.qty += qty
            left -= qty

        for at in sorted(able, key=lambda at: (at.take_cost, -at.shown, at.venue)):
            if not at.is_far and not (is_whole and at.shown < left):
                give(at, at.shown)
        cost = "rest_cost" if rests else "take_cost"
        for at in sorted(able, key=lambda at: (getattr(at, cost), -at.shown, at.venue)):
            give(at, left)
        for at in able:
            at.cause = Cause.NONE if at.qty else Cause.NOT_NEEDED
        return order["qty"] - left, found

    def sent(self, venue: int, order: Mapping[str, int]) -> None:
        """An order or a replace went out."""
        self.orders[order["ref"] % SLOT_CNT] = {
            "ref": order["ref"], "qty": order["qty"], "executed": 0, "sent_ns": order["ts_ns"],
        }  # fmt: skip
        self.recent[venue].open_cnt += 1

    def _end(self, venue: int, ref: int, counts: bool) -> None:
        order = self.orders.pop(ref % SLOT_CNT)
        recent = self.recent[venue]
        if counts:
            part = (min(order["executed"], order["qty"]) << 16) // order["qty"] if order["qty"] else 0
            recent.fill_q16 = (recent.fill_q16 * 15 + part) // 16
        recent.open_cnt -= 1

    def answer(self, venue: int, event: Mapping[str, int], is_live: bool) -> None:
        """The venue answered; is_live: the order is open behind it."""
        order: dict[str, Any] = self.orders.get(event["ref"] % SLOT_CNT, {"ref": 0})
        if not event["ref"] or order["ref"] != event["ref"]:
            return
        is_own = event["kind"] == Kind.REJECTED and event["reason"] == 0
        if not is_own and order["sent_ns"]:
            ns = min(max(event["ts_ns"] - order["sent_ns"], 0), SECOND_NS)
            self.recent[venue].ack_ns = (self.recent[venue].ack_ns * 7 + ns) // 8
            order["sent_ns"] = 0
        if event["kind"] == Kind.EXECUTED:
            order["executed"] += event["qty"]
        if event["kind"] == Kind.REPLACED:
            original = self.orders.get(event["orig_ref"] % SLOT_CNT)
            if original and event["orig_ref"] and original["ref"] == event["orig_ref"]:
                self._end(venue, event["orig_ref"], counts=False)
        if not is_live:
            self._end(venue, event["ref"], counts=not is_own)
