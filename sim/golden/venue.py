"""Golden venue model of backtests: the market that was recorded, with our orders standing in it.

A price of a side is a list, in time priority, of the feed's orders and our own; who is in front of whom can be read off
it. An order of ours that arrives meets the feed's orders of the other side, best price first, each at its price; what
is left of a day order goes to the end of its price's list, of any other it is cancelled. Events of the feed:

execution  of q shares of an order at price p: own orders of that side at a better price get the shares first
           (through), then at p each own order in line: one in front of the executed order gets the shares that are
           left (queue); one behind it gets, once nothing of the feed is in front of it, only those shares that we had
           taken from the executed order before. One that is not printable, or while halted, brings no shares.
add        (and the new half of a replace) at price p: own orders of the other side at p or better get its shares
           (crossed); with impact they are then missing from it.
trade      outside the book at p: own orders at a price better than p get its shares at their own price (print); a
           cross likewise, at p, even while halted.

Nothing gives more shares than it has. With impact, shares we take are gone for all that follows; without it the market
stays as recorded. When trading resumes, own orders meet the other side in place. Answers are told a drawn delay after
the venue's time, never before an earlier one; so do orders arrive.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

BUY, SELL = 1, 2
NEW, REPLACE, CANCEL, ACCEPTED, REJECTED, CANCELED, EXECUTED, REPLACED = range(1, 9)  # kind, order.yaml
LIMIT, DAY = 1, 1  # type and time in force, order.yaml
ADD, EXECUTE, EXECUTE_WITH_PRICE, REDUCE, DELETE, FEED_REPLACE, TRADE, CROSS, BREAK, STATUS = range(1, 11)  # event.yaml
PRINTABLE, TRADING = 1, 2
TAKER, QUEUE, THROUGH, CROSSED, PRINT = range(1, 6)  # cause, backtest.yaml
_U64 = (1 << 64) - 1


class Delay:
    """Equally likely delays, picked by splitmix64."""

    def __init__(self, values: Sequence[int], seed: int) -> None:
        self.values, self.state = list(values), seed & _U64

    def draw(self) -> int:
        """The next one."""
        if len(self.values) == 1:
            return self.values[0]
        self.state = (self.state + 0x9E3779B97F4A7C15) & _U64
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _U64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _U64
        z ^= z >> 31
        return self.values[(z >> 32) * len(self.values) >> 32]


@dataclass(eq=False)
class Shown:
    """An order of the feed; taken: shares of it that we took."""

    ref: int
    side: int
    px: int
    qty: int
    taken: int = 0

    @property
    def real(self) -> int:
        """What others still find."""
        return max(0, self.qty - self.taken)


@dataclass(eq=False)
class Own:
    """An order of ours."""

    order: dict[str, int]
    leaves: int
    executed: int = 0

    def __getattr__(self, name: str) -> int:
        return self.order[name]


@dataclass
class Market:
    """One instrument: per side, per price the line."""

    sides: dict[int, dict[int, list[Any]]] = field(default_factory=lambda: {BUY: {}, SELL: {}})
    shown: dict[int, Shown] = field(default_factory=dict)
    is_halted: bool = False

    def prices(self, side: int) -> list[int]:
        """Best first."""
        return sorted(self.sides[side], reverse=side == BUY)

    def remove(self, side: int, px: int, entry: Any) -> None:
        """Takes one out of its line, and an empty line away."""
        line = self.sides[side][px]
        line.remove(entry)
        if not line:
            del self.sides[side][px]


def better(side: int, px: int, than: int) -> bool:
    """Is a price served before another on that side."""
    return px > than if side == BUY else px < than


class Venue:
    """The market of some instruments with our orders in it; answers and fills grow."""

    def __init__(
        self, instrument_cnt: int, order: Sequence[int], answer: Sequence[int], seed: int, *,
        impact: bool = True, fee_maker: int = 0, fee_taker: int = 0,
    ) -> None:  # fmt: skip
        self.markets = [Market() for _ in range(instrument_cnt)]
        self.order_delay, self.answer_delay = Delay(order, seed ^ 1), Delay(answer, seed ^ 2)
        self.impact, self.fee_maker, self.fee_taker = impact, fee_maker, fee_taker
        self.live: dict[int, Own] = {}
        self.answers: list[dict[str, int]] = []
        self.fills: list[dict[str, int]] = []
        self.now = self.told = self.arrived = 0

    # ---- answers ----

    def _answer(self, order: dict[str, int], kind: int, qty: int = 0, px: int = 0, orig_ref: int = 0) -> None:
        self.told = max(self.told, self.now + self.answer_delay.draw())
        same = {name: order[name] for name in ("ref", "instrument", "side")}
        self.answers.append({"kind": kind, "qty": qty, "px": px, "orig_ref": orig_ref, "ts_ns": self.told, **same})

    def _fill(self, own: Own, qty: int, px: int, cause: int) -> None:
        own.leaves -= qty
        own.executed += qty
        self._answer(own.order, EXECUTED, qty, px)
        fee = qty * (self.fee_taker if cause == TAKER else self.fee_maker)
        row = {"ts_ns": self.now, "told_ns": self.told, "ref": own.ref, "px": px, "qty": qty, "left": own.leaves}
        self.fills.append({**row, "cause": cause, "fee": fee, "instrument": own.instrument, "side": own.side})

    # ---- orders ----

    def arrival(self, sent_ns: int) -> int:
        """When an order that leaves now is here; to be asked once for each, in the order they leave."""
        self.arrived = max(self.arrived, sent_ns + self.order_delay.draw())
        return self.arrived

    def arrive(self, order: dict[str, int], at_ns: int) -> None:
        """An order, replace or cancel; quantities of the last two are of the whole chain."""
        self.now = at_ns
        if order["kind"] == NEW:
            self._answer(order, ACCEPTED, order["qty"], order["px"])
            self._enter(Own(order, order["qty"]))
        elif order["kind"] == REPLACE:
            self._replace(order)
        elif own := self.live.get(order["ref"]):
            kept = min(max(order["qty"] - own.executed, 0), own.leaves)
            if kept == own.leaves:
                return
            gone, own.leaves = own.leaves - kept, kept
            self._answer(own.order, CANCELED, gone)
            if not own.leaves:
                self._end(own)

    def _replace(self, order: dict[str, int]) -> None:
        original = self.live.get(order["orig_ref"])
        if original is None:
            self._answer(order, REJECTED)
            return
        if order["qty"] <= original.executed:
            self._answer(original.order, CANCELED, original.leaves)
            self._answer(order, REJECTED)
            self._end(original)
            return
        self._end(original)
        own = Own(order, order["qty"] - original.executed, original.executed)
        self._answer(order, REPLACED, own.leaves, order["px"], order["orig_ref"])
        self._enter(own)

    def _end(self, own: Own) -> None:
        if self.live.pop(own.ref, None):
            self.markets[own.instrument].remove(own.side, own.px, own)

    def _meet(self, own: Own) -> None:
        market, other = self.markets[own.instrument], SELL if own.side == BUY else BUY
        for px in market.prices(other):
            if own.type == LIMIT and better(other, own.px, px):
                return
            for entry in list(market.sides[other][px]):
                if isinstance(entry, Shown) and (qty := min(entry.real, own.leaves)):
                    entry.taken += qty if self.impact else 0
                    self._fill(own, qty, px, TAKER)

    def _enter(self, own: Own) -> None:
        market = self.markets[own.instrument]
        if not market.is_halted:
            self._meet(own)
        if own.leaves and not (own.type == LIMIT and own.tif == DAY):
            gone, own.leaves = own.leaves, 0
            self._answer(own.order, CANCELED, gone)
        if own.leaves:
            market.sides[own.side].setdefault(own.px, []).append(own)
            self.live[own.ref] = own

    # ---- the feed ----

    def _resting(self, instrument: int, side: int) -> Iterator[Own]:
        market = self.markets[instrument]
        for px in market.prices(side):
            yield from [entry for entry in market.sides[side].get(px, []) if isinstance(entry, Own)]

    def _give(self, own: Own, qty: int, px: int, cause: int) -> int:
        """Shares to a resting order; how many it took."""
        took = min(qty, own.leaves)
        if took:
            self._fill(own, took, px, cause)
        if not own.leaves:
            self._end(own)
        return took

    def _sweep(
        self, instrument: int, side: int, px: int, qty: int, cause: int, *, equal: bool = False, at: int = 0
    ) -> int:
        """Shares to every own order of a side at a better price than px, or that price; what is left."""
        for own in list(self._resting(instrument, side)):
            if better(side, own.px, px) or (equal and own.px == px):
                qty -= self._give(own, qty, at or own.px, cause)
        return qty

    def _less(self, instrument: int, shown: Shown, qty: int, executed: int) -> None:
        market = self.markets[instrument]
        before = shown.real
        shown.qty -= qty
        gone = before - shown.real
        left = self._sweep(instrument, shown.side, shown.px, executed, THROUGH)
        beyond = max(0, executed - gone)
        in_front, passed = 0, False
        for entry in list(market.sides[shown.side][shown.px]):
            if isinstance(entry, Shown):
                in_front += entry.real
                passed = passed or entry is shown
            elif not passed:
                left -= self._give(entry, left, entry.px, QUEUE)
            elif not in_front:
                took = self._give(entry, min(beyond, left), entry.px, QUEUE)
                beyond, left = beyond - took, left - took
        if not shown.qty:
            market.remove(shown.side, shown.px, shown)
            del market.shown[shown.ref]

    def _more(self, instrument: int, shown: Shown) -> None:
        market = self.markets[instrument]
        market.shown[shown.ref] = shown
        market.sides[shown.side].setdefault(shown.px, []).append(shown)
        if market.is_halted:
            return
        other = SELL if shown.side == BUY else BUY
        left = self._sweep(instrument, other, shown.px, shown.qty, CROSSED, equal=True)
        shown.taken += shown.qty - left if self.impact else 0

    def event(self, event: dict[str, int]) -> None:
        """One event of the feed (fields of event.yaml, instrument resolved)."""
        if event["instrument"] >= len(self.markets):
            return
        self.now = event["ts_ns"]
        market, kind, qty = self.markets[event["instrument"]], event["kind"], event["qty"]
        if kind == ADD:
            if event["ref"] not in market.shown and qty and event["side"] in (BUY, SELL):
                self._more(event["instrument"], Shown(event["ref"], event["side"], event["px"], qty))
        elif kind in (EXECUTE, EXECUTE_WITH_PRICE, REDUCE, DELETE, FEED_REPLACE):
            if shown := market.shown.get(event["ref"]):
                self._change(event, market, shown)
        elif kind in (TRADE, CROSS) and qty and event["px"] and (kind == CROSS or not market.is_halted):
            for side in (BUY, SELL):
                at = event["px"] if kind == CROSS else 0
                self._sweep(event["instrument"], side, event["px"], qty, PRINT, at=at)
        elif kind == STATUS:
            was, market.is_halted = market.is_halted, not event["flags"] & TRADING
            if was and not market.is_halted:
                for side in (BUY, SELL):
                    for own in list(self._resting(event["instrument"], side)):
                        self._meet(own)
                        if not own.leaves:
                            self._end(own)

    def _change(self, event: dict[str, int], market: Market, shown: Shown) -> None:
        kind, qty = event["kind"], event["qty"]
        if kind == FEED_REPLACE and (event["ref_new"] in market.shown or not qty):
            return
        if kind in (DELETE, FEED_REPLACE):
            self._less(event["instrument"], shown, shown.qty, 0)
        elif 0 < qty <= shown.qty:
            is_trade = kind != REDUCE and event["flags"] & PRINTABLE and not market.is_halted
            self._less(event["instrument"], shown, qty, qty if is_trade else 0)
        if kind == FEED_REPLACE:
            self._more(event["instrument"], Shown(event["ref_new"], shown.side, event["px"], qty))
