"""Golden circuit breakers: docs/breakers.md in plain integers.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

from hwgw_sim.golden import limits
from hwgw_sim.golden.risk import ALL_INSTRUMENTS, INSTRUMENTS_MAX, SLOT_CNT, STRATEGIES_MAX, Kind, Reason, Risk
from hwgw_sim.golden.risk_state import ACCOUNTS_MAX

from hwgw import specs

TABLE = specs.load("breaker")
STEPS = TABLE.constant("steps")
ALL = (1 << 32) - 1
I64_MAX = (1 << 63) - 1

Event = Mapping[str, int]


def _codes(enum: str) -> Any:
    return SimpleNamespace(**{code.slug.upper(): code.value for code in TABLE.enum(enum).values})


On, Action, Scope = _codes("kind"), _codes("action"), _codes("scope")
SCOPES_OF = {
    code.value: TABLE.constant(f"scopes_{code.slug}") for code in TABLE.enum("kind").values if code.value != On.NONE
}
INDEX_MAX = {
    Scope.GATEWAY: 1,
    Scope.ACCOUNT: ACCOUNTS_MAX,
    Scope.STRATEGY: STRATEGIES_MAX,
    Scope.INSTRUMENT: INSTRUMENTS_MAX,
}


class Trip(NamedTuple):
    """A rule was above its limit."""

    rule: int
    index: int
    value: int


@dataclass
class Window:
    """What a rule counted of one account, strategy, instrument or the gateway: by step, the running one is 0."""

    start: int = 0
    steps: dict[int, int] = field(default_factory=dict)
    newest: int = 0  # equity, of loss

    def move(self, ts: int, length: int) -> int:
        """Put ts into the running step; by how many steps that moved, STEPS when nothing is left."""
        age = max(ts - self.start, 0)
        if age >= STEPS * length:
            self.start, self.steps = ts, {}
            return STEPS
        moved = age // length
        self.start += moved * length
        self.steps = {at + moved: value for at, value in self.steps.items() if at + moved < STEPS}
        return moved


class Breakers:
    """The rules of a gate. Give event() each event and the gate's answer; it gives the trips, by rule and index."""

    def __init__(self, gate: Risk) -> None:
        self.gate = gate
        self.rules: list[limits.Record] = []
        self.windows: dict[tuple[int, int], Window] = {}
        self.good: set[int] = set()
        self.trips: list[Trip] = []

    def event(self, event: Event, answer: int) -> list[Trip]:
        """Counts one event that the gate answered."""
        kind, ts = event["kind"], event["ts_ns"]
        is_counted = answer not in (Reason.CLOCK, Reason.STATE)
        slot = self.gate.slots[event["ref"] % SLOT_CNT]
        if kind == Kind.LIMITS:
            self._load()
        elif kind == Kind.FEED:
            self._feed(event, is_counted)
        elif not is_counted:
            pass
        elif kind in (Kind.NEW, Kind.REPLACE):
            if answer != Reason.HALTED:
                who = (event["account"], event["strategy"], event["instrument"])
                self._count(On.REFUSAL_RATE if answer else On.ORDER_RATE, *who, ts)
        elif kind == Kind.REJECTED:
            self._count(On.REJECT_RATE, slot.account, slot.strategy, slot.instrument, ts)
        elif kind == Kind.EXECUTED:
            self._count(On.FILL_RATE, slot.account, slot.strategy, slot.instrument, ts)
            self._losses(slot.instrument, slot.account, ts)
        elif kind == Kind.BROKEN:
            self._losses(event["instrument"], event["account"], ts)
        elif kind == Kind.REF and event["instrument"] < INSTRUMENTS_MAX:
            self._losses(event["instrument"], None, ts)
        return self._take()

    def latency(self, order: Event, latency_ns: int) -> list[Trip]:
        """Counts how long an order that left took: 100 x slow orders - all orders, so that above 0 is above 1 %."""
        for number, rule, index in self._fitting(
            On.LATENCY_P99, order["account"], order["strategy"], order["instrument"]
        ):
            self._add(number, rule, index, 99 if latency_ns > rule["bound_ns"] else -1, order["ts_ns"])
        return self._take()

    def _take(self) -> list[Trip]:
        last = {(trip.rule, trip.index): trip for trip in self.trips}
        self.trips = []
        return sorted(last.values())

    # ---- rules ----

    def _load(self) -> None:
        new = self.gate.limits["breaker"] if self.gate.generation else []
        for number in range(TABLE.constant("rules_max")):
            before = self.rules[number] if number < len(self.rules) else None
            after = new[number] if number < len(new) else None
            if before != after:
                for key in [key for key in self.windows if key[0] == number]:
                    del self.windows[key]
                if after and self._is_rule(after) and after["kind"] == On.LOSS:
                    for index in range(INDEX_MAX[after["scope"]]):
                        self._restart(number, index, self._equity(after["scope"], index))
        self.rules = list(new)

    @staticmethod
    def _is_rule(rule: limits.Record) -> bool:
        return (
            SCOPES_OF.get(rule["kind"], 0) >> rule["scope"] & 1 == 1
            and rule["action"] in (Action.WARN, Action.HALT_INSTRUMENT, Action.HALT_GATEWAY)
            and (rule["action"] != Action.HALT_INSTRUMENT or rule["scope"] == Scope.INSTRUMENT)
        )

    def _fitting(self, kind: int, account: int, strategy: int, instrument: int) -> list[tuple[int, limits.Record, int]]:
        """The rules of a kind that an event concerns, each with the number of its window."""
        found = []
        for number, rule in enumerate(self.rules):
            if rule["kind"] != kind or not self._is_rule(rule):
                continue
            index = {Scope.ACCOUNT: account, Scope.STRATEGY: strategy, Scope.INSTRUMENT: instrument}.get(
                rule["scope"], 0
            )
            if index < INDEX_MAX[rule["scope"]] and rule["only"] in (ALL, index):
                found.append((number, rule, index))
        return found

    # ---- sums ----

    def _window(self, number: int, index: int) -> Window:
        return self.windows.setdefault((number, index), Window())

    def _count(self, kind: int, account: int, strategy: int, instrument: int, ts: int) -> None:
        for number, rule, index in self._fitting(kind, account, strategy, instrument):
            self._add(number, rule, index, 1, ts)

    def _add(self, number: int, rule: limits.Record, index: int, by: int, ts: int) -> None:
        window = self._window(number, index)
        window.move(ts, rule["step_ns"]) if rule["step_ns"] else self._forget(window, ts)
        window.steps[0] = window.steps.get(0, 0) + by
        total = sum(window.steps.values())
        if total > 0 and total > rule["limit"]:
            window.steps = {}
            self.trips.append(Trip(number, index, min(total, I64_MAX)))

    @staticmethod
    def _forget(window: Window, ts: int) -> None:
        """Windows of no length: each event is alone."""
        window.start, window.steps = ts, {}

    def _feed(self, event: Event, is_counted: bool) -> None:
        for index in range(INSTRUMENTS_MAX) if event["instrument"] == ALL_INSTRUMENTS else [event["instrument"]]:
            if index >= INSTRUMENTS_MAX:
                continue
            if event["qty"] == 1:
                self.good.add(index)
            elif index in self.good:
                self.good.remove(index)
                if is_counted:
                    self._count(On.FEED_GAP, 0, 0, index, event["ts_ns"])

    # ---- loss ----

    def _equity(self, scope: int, index: int) -> int:
        account = self.gate.gateway if scope == Scope.GATEWAY else self.gate.accounts[index]
        return max(-I64_MAX - 1, min(I64_MAX, account.cash + account.mark))

    def _restart(self, number: int, index: int, equity: int) -> None:
        window = self._window(number, index)
        window.steps = dict.fromkeys(range(STEPS), equity)
        window.newest = equity

    def _losses(self, instrument: int, account: int | None, ts: int) -> None:
        """What the gateway, that account and the holders of the instrument have lost since their highest equity."""
        holders = {i for i, pos in enumerate(self.gate.instruments[instrument].account_pos) if pos}
        for at in sorted(holders | ({account} if account is not None else set())):
            for number, rule, index in self._fitting(On.LOSS, at, 0, 0):
                if rule["scope"] == Scope.ACCOUNT:
                    self._lost(number, rule, index, ts)
        for number, rule, index in self._fitting(On.LOSS, 0, 0, 0):
            if rule["scope"] == Scope.GATEWAY:
                self._lost(number, rule, index, ts)

    def _lost(self, number: int, rule: limits.Record, index: int, ts: int) -> None:
        window, equity = self._window(number, index), self._equity(rule["scope"], index)
        before = window.newest
        if rule["step_ns"]:
            moved = window.move(ts, rule["step_ns"])
        else:
            self._forget(window, ts)
            moved = STEPS
        for at in range(moved):
            window.steps[at] = before  # in a step without an event it stayed as it was
        window.newest = equity
        window.steps[0] = max(window.steps.get(0, before), equity)
        lost = max(window.steps.values()) - equity
        if lost > rule["limit"]:
            self._restart(number, index, equity)
            self.trips.append(Trip(number, index, min(lost, I64_MAX)))
