"""Limits that rise step by step while all goes well, and fall back when it does not.

SPDX-License-Identifier: MIT

Carried out by the control process, on the path of every change of limits: compared, recorded, flipped, acknowledged.
A step is a share of the sizes that the configuration allows; what stops a loss, rates, collars and checks are never
scaled. It holds for a time, with so many orders, before the next one comes. A refusal too many, a loss, rejects or a
halt take the step back at once, and the time begins anew. Limits that somebody else has changed stay, and end the ramp.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hwgw.errors import HwgwError
from hwgw.risk.control import Book, apply
from hwgw.segment import Segment
from hwgw.settings import Ramp as Plan

__all__ = ["Mark", "Ramp", "broken", "scaled"]

SIZES = {"instrument": ("qty_max", "notional_max", "long_max", "short_max"), "account": ("credit_max", "open_max")}
ANSWERS_MIN = 20  # of the venue, before their share says anything


def scaled(book: Book, pct: int) -> Book:
    """A copy with the sizes at so many percent; what was not 0 stays at least 1."""
    table = book.table.copy()
    record = table[0]
    for place, keys in (
        (record["instrument"], SIZES["instrument"]),
        (record["account"], SIZES["account"]),
        (record["gateway"], SIZES["account"]),
    ):
        for key in keys:
            full = place[key]
            part = full // 100 * pct + full % 100 * pct // 100
            place[key] = part + ((part == 0) & (full != 0))
    return Book(book.gateway, book.symbols, book.strategies, table)


@dataclass(frozen=True)
class Mark:
    """What conditions look at, at one time; money in 1/10,000."""

    orders: int
    refused: dict[str, int]
    accepted: int
    rejected: int
    pnl: int
    halted: str

    @classmethod
    def of(cls, segment: Segment) -> Mark:
        """As it is now."""
        counters = segment.counters()
        refused = {name[13:]: cnt for name, cnt in counters.items() if name.startswith("risk.refused_")}
        halt = segment.halted
        return cls(
            counters["risk.passed"], refused, counters["session.accepted"], counters["session.rejected"],
            segment.exposure()["gateway"]["pnl"], str(halt["reason"]) if halt else "",
        )  # fmt: skip


def broken(plan: Plan, then: Mark, now: Mark) -> str:
    """Which condition no longer holds since then; empty when all do."""
    for reason, most in plan.refusals.items():
        if (cnt := now.refused.get(reason, 0) - then.refused.get(reason, 0)) > most:
            return f"{cnt} orders refused for {reason}, {most} allowed"
    rejected, accepted = now.rejected - then.rejected, now.accepted - then.accepted
    answers, most_pct = rejected + accepted, plan.rejects_pct
    if most_pct is not None and answers >= ANSWERS_MIN and 100 * 10_000 * rejected > most_pct * answers:
        return f"the venue rejected {rejected} of {answers} orders, {most_pct / 10_000:g} % allowed"
    if plan.loss_max is not None and then.pnl - now.pnl > plan.loss_max:
        return f"{(then.pnl - now.pnl) / 10_000:,.2f} lost since the step began, {plan.loss_max / 10_000:,.2f} allowed"
    return f"halted: {now.halted}" if now.halted else ""


class Ramp:
    """The ramp of a running gateway, whose limits are those of its first step."""

    def __init__(self, segment: Segment, full: Book, plan: Plan, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """full: the limits of the configuration; the last step may be less than all of them."""
        self._segment, self._full, self._plan, self._clock = segment, full, plan, clock
        self.step = 0
        self.has_ended = False
        self._generation = int(segment.control["limits_generation"])
        self._told = ""
        self._begin()

    def _begin(self) -> None:
        self._since_ns, self._mark = self._clock(), Mark.of(self._segment)

    @property
    def text(self) -> str:
        """The step that is in force."""
        return f"step {self.step + 1} of {len(self._plan.steps)} ({self._plan.steps[self.step]} %)"

    def look(self) -> Iterator[str]:
        """Rise, fall or stay; what there is to say of it."""
        if self.has_ended:
            return
        if int(self._segment.control["limits_generation"]) != self._generation:
            self.has_ended = True
            yield f"ramp: ended at {self.text}: the limits were changed by somebody else"
            return
        now = Mark.of(self._segment)
        why = broken(self._plan, self._mark, now)
        if why and self.step == 0:
            if why != self._told:
                yield f"ramp: stays at {self.text}: {why}"
            self._told = why
            self._begin()
        elif why:
            yield from self._go(self.step - 1, f"falls back: {why}")
        elif self.step + 1 < len(self._plan.steps) and self._has_held(now):
            self._told = ""
            yield from self._go(self.step + 1, "rises")

    def _has_held(self, now: Mark) -> bool:
        is_long = self._clock() - self._since_ns >= self._plan.hold_ns
        return is_long and now.orders - self._mark.orders >= self._plan.orders_min

    def _go(self, step: int, what: str) -> Iterator[str]:
        book, before = scaled(self._full, self._plan.steps[step]), self.step
        self.step = step
        try:
            applied = apply(self._segment, book, f"ramp {what} to {self.text}", allow_looser=True)
        except HwgwError as error:
            self.step, self.has_ended = before, True
            yield f"ramp: ended at {self.text}: {error}"
            return
        self._generation = applied.generation
        self._begin()
        yield f"ramp: {what} to {self.text}"
