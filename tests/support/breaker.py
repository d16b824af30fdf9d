"""The circuit breakers twice, each beside its gate: golden and C on the same events, compared after each.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hwgw_sim.golden import breaker, limits
from hwgw_sim.golden.breaker import ALL, STEPS, Action, On, Scope

from hwgw import specs
from hwgw.native import ffi, lib

from .risk import FIELDS, Event, Kind, Native, Pair, make
from .risk_stream import ACCOUNTS, INSTRUMENTS, STRATEGIES, Stream

RULES_MAX = specs.load("breaker").constant("rules_max")
PAIRS = [(kind, scope) for kind, mask in breaker.SCOPES_OF.items() for scope in range(4) if mask >> scope & 1]


class NativeBreakers:
    """The C breakers beside a C gate."""

    def __init__(self, gate: Native) -> None:
        self.gate = gate
        self._memory = ffi.new("uint64_t[]", lib.hwgw_breaker_sz_bytes() // 8 + 1)
        self.state = ffi.cast("struct hwgw_breaker *", self._memory)
        self._record = ffi.new("struct hwgw_order *")
        self._trip = ffi.new("struct hwgw_trip *")
        self._window = ffi.new("int64_t[]", STEPS + 1)
        lib.hwgw_breaker_init(self.state)

    def _fill(self, event: Event) -> None:
        for name in FIELDS:
            setattr(self._record, name, event[name])

    def _take(self, is_pending: bool) -> list[tuple[int, int, int]]:
        found = []
        while lib.hwgw_breaker_take(self.state, self._trip):
            found.append((self._trip.rule, self._trip.index, self._trip.value))
        assert is_pending == bool(found)
        return found

    def event(self, event: Event, answer: int) -> list[tuple[int, int, int]]:
        """As hwgw_breaker_event and _take."""
        self._fill(event)
        return self._take(lib.hwgw_breaker_event(self.state, self.gate.risk, self._record, answer))

    def latency(self, order: Event, latency_ns: int) -> list[tuple[int, int, int]]:
        """As hwgw_breaker_latency and _take."""
        self._fill(order)
        return self._take(lib.hwgw_breaker_latency(self.state, self._record, latency_ns))

    def window(self, rule: int, index: int) -> list[int]:
        """Start and steps of a window, newest first."""
        lib.hwgw_breaker_window(self.state, rule, index, self._window)
        return list(self._window)


class BreakerPair:
    """Both, with both gates; what they answer and every window that was touched must be equal."""

    def __init__(self) -> None:
        self.gates = Pair(dump_every=10**9)
        self.golden = breaker.Breakers(self.gates.golden)
        self.native = NativeBreakers(self.gates.native)
        self.trips: Counter[tuple[int, int]] = Counter()  # by kind and scope
        self.event_cnt = self.window_cnt = 0

    def send(self, event: Event, table: bytes | None = None) -> list[tuple[int, int, int]]:
        """One event into gates and breakers; the trips."""
        reason = self.gates.send(event, table)
        code = next(entry.code for entry in specs.reasons() if entry.name == reason)
        return self._same(self.golden.event(event, code), self.native.event(event, code), event)

    def latency(self, order: Event, latency_ns: int) -> list[tuple[int, int, int]]:
        """One latency into both breakers; the trips."""
        return self._same(self.golden.latency(order, latency_ns), self.native.latency(order, latency_ns), order)

    def _same(self, want: list[Any], got: list[Any], event: Event) -> list[tuple[int, int, int]]:
        self.event_cnt += 1
        assert [tuple(trip) for trip in want] == got, f"event {self.event_cnt}: {event}"
        for rule, _, _ in got:
            self.trips[self.golden.rules[rule]["kind"], self.golden.rules[rule]["scope"]] += 1
        return got

    def compare(self) -> None:
        """Every window that either has used."""
        for (rule, index), window in self.golden.windows.items():
            steps = [window.steps.get(at, 0) for at in range(STEPS)]
            assert self.native.window(rule, index) == [window.start, *steps], (rule, index, window)
            self.window_cnt += 1


class BreakerStream(Stream):
    """Limits with rules of every kind, scope and action, tight enough to trip, some of them no rules at all."""

    turn = 0  # streams of a run begin with other rules, so that together they have all

    def rule(self, number: int) -> limits.Record:
        """A rule, by turns of each kind and scope."""
        rng = self.rng
        kind, scope = PAIRS[(number + 11 * self.turn) % len(PAIRS)]
        if self.generation > 1 and rng.random() < 0.05:
            kind = rng.choice((0, 8, 255))
        if self.generation > 1 and rng.random() < 0.05:
            scope = rng.choice((0, 1, 2, 3, 4, 255))
        actions = [Action.WARN, Action.HALT_GATEWAY] + ([Action.HALT_INSTRUMENT] if scope == Scope.INSTRUMENT else [])
        action = rng.choice(actions)
        if self.generation > 1 and rng.random() < 0.05:
            action = rng.choice((0, 1, 2, 3, 4, 255))
        some = {Scope.ACCOUNT: ACCOUNTS, Scope.STRATEGY: STRATEGIES, Scope.INSTRUMENT: INSTRUMENTS}.get(scope, (0,))
        money = rng.choice((0, 10**4, 10**6, 10**8))
        limit = {On.LOSS: money, On.LATENCY_P99: rng.choice((0, 98, 99, 100, 300))}.get(kind, rng.choice((0, 0, 1, 3)))
        step = rng.choice((self.step_ns, 7 * self.step_ns, 50 * self.step_ns, 1))
        rule = {
            "name": rng.randrange(2**32),
            "kind": kind,
            "scope": scope,
            "action": action,
            "only": ALL,
            "limit": limit,
            "bound_ns": rng.choice((0, 1000, 50_000)),
            "step_ns": step,
        }
        if self.generation > 1:  # the first ones can trip
            rule["only"] = rng.choice((ALL, ALL, ALL, rng.choice(some)))
            rule["limit"] = rng.choices((limit, 2**63, 2**64 - 1), (20, 1, 1))[0]
            rule["step_ns"] = rng.choices((step, 0, 2**64 - 1), (20, 1, 1))[0]
        return rule

    def next(self) -> tuple[Event, bytes | None]:
        """Feeds come and go, and the venue rejects, more often than the gate alone needs."""
        if self.live() and self.rng.random() < 0.05:
            return self.stamp(make("rejected", ref=self.some_ref())), None
        if self.rng.random() < 0.04:
            return self.stamp(make("feed", instrument=self.rng.choice(INSTRUMENTS), qty=self.rng.randrange(2))), None
        return super().next()

    def table(self) -> limits.Record:
        record = super().table()
        rules = [self.rule(number) for number in range(RULES_MAX)]
        before = self.gate.limits["breaker"]
        for number in range(RULES_MAX):
            if self.generation > 1 and self.rng.random() < 0.5:  # some stay as they were, and go on counting
                rules[number] = before[number]
        return record | {"breaker": rules}


__all__ = ["PAIRS", "BreakerPair", "BreakerStream", "Kind"]
