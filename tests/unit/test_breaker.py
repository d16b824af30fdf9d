"""Circuit breakers: C equals the golden model on random streams; at the limit nothing trips, one above it does.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest
from hwgw_sim.golden import limits
from hwgw_sim.golden.breaker import ALL, STEPS, Action, On, Scope
from support.breaker import PAIRS, BreakerPair, BreakerStream
from support.risk import ACCOUNT, INSTRUMENT, STRATEGY, Bench, Kind, Reason, make
from support.streams import each

STEP = 1_000_000
WHO = {Scope.GATEWAY: 0, Scope.ACCOUNT: ACCOUNT, Scope.STRATEGY: STRATEGY, Scope.INSTRUMENT: INSTRUMENT}


def random_stream(name: str, turn: int, length: int) -> tuple[Counter[tuple[int, int]], int, int]:
    rng = random.Random(name)
    pair = BreakerPair()
    stream = BreakerStream(pair.gates.golden, rng)
    stream.turn = turn
    for event, table in stream.start():
        pair.send(event, table)
    while pair.event_cnt < length:
        event, table = stream.next()
        pair.send(event, table)
        if event["kind"] == Kind.NEW:
            pair.latency(event | {"ts_ns": pair.gates.golden.last_ts}, rng.choice((0, 1000, 1001, 60_000)))
        if pair.event_cnt % 50 == 0:
            pair.compare()
    pair.compare()
    return pair.trips, pair.event_cnt, pair.window_cnt


def test_random_streams_trip_the_same_rules_at_the_same_events(seed):
    """HWGW_BREAKER_EVENTS sets the length, in as many processes as processors; the default is 15,000 events."""
    length = int(os.environ.get("HWGW_BREAKER_EVENTS", "15000")) // 12
    jobs = [(f"{seed} breaker {turn}", turn, length) for turn in range(12)]
    trips: Counter[tuple[int, int]] = Counter()
    events = windows = 0
    for tripped, event_cnt, window_cnt in each(random_stream, jobs, is_long="HWGW_BREAKER_EVENTS" in os.environ):
        trips += tripped
        events += event_cnt
        windows += window_cnt
    print(f"{events} events, {windows} windows compared, trips by kind and scope {dict(sorted(trips.items()))}")
    assert events >= 12 * length
    assert windows > events // 10
    assert set(trips) == set(PAIRS), set(PAIRS) - set(trips)


class Breakers(Bench):
    """The bench's gates with breakers beside them."""

    def __init__(self, **rule: int) -> None:
        self.pair: BreakerPair | None = None
        self.trips: list[tuple[int, int, int]] = []
        super().__init__()
        self.pair = BreakerPair()
        self.pair.gates, self.pair.golden.gate, self.pair.native.gate = self, self.golden, self.native
        self.pair.golden.good.add(INSTRUMENT)
        self.pair.native.event(make("feed", instrument=INSTRUMENT, qty=1), Reason.PASS)
        usual = {"only": ALL, "action": Action.WARN, "step_ns": STEP, "name": 1}
        self.limit(breaker=[usual | rule])

    def send(self, event, table=None):
        """One event into gates and breakers."""
        reason = super().send(event, table)
        if self.pair:
            code = getattr(Reason, reason.upper())
            self.trips = self.pair._same(
                self.pair.golden.event(event, code), self.pair.native.event(event, code), event
            )
            self.pair.compare()
        return reason

    def cause(self, kind: int, ts: int | None = None) -> list[tuple[int, int, int]]:
        """One event that the kind counts, of the bench's account, strategy and instrument; the trips."""
        at = {} if ts is None else {"ts_ns": ts}
        if kind == On.ORDER_RATE:
            self.order(qty=1, **at)
        elif kind == On.REFUSAL_RATE:
            assert self.order(qty=0, **at) == "malformed"
        elif kind == On.REJECT_RATE:
            self.order(qty=1, **at)
            self.say("rejected", ref=self.ref, **at)
        elif kind == On.FILL_RATE:
            self.order(qty=1, **at)
            self.say("executed", ref=self.ref, qty=1, px=1_000_000, **at)
        elif kind == On.FEED_GAP:
            self.say("feed", instrument=INSTRUMENT, qty=1, **at)
            self.say("feed", instrument=INSTRUMENT, qty=0, **at)
        else:
            order = make("new", account=ACCOUNT, strategy=STRATEGY, instrument=INSTRUMENT, ts_ns=ts or self.ts)
            self.trips = self.pair.latency(order, 1001)
        return self.trips


COUNTS = [(kind, scope) for kind, scope in PAIRS if kind not in (On.LATENCY_P99, On.LOSS)]


@pytest.mark.parametrize(("kind", "scope"), COUNTS)
def test_at_the_limit_nothing_trips_and_one_more_does_and_begins_anew(kind, scope):
    bench = Breakers(kind=kind, scope=scope, limit=3)
    for _ in range(2):
        for _ in range(3):
            assert bench.cause(kind) == []
        assert bench.cause(kind) == [(0, WHO[scope], 4)]


@pytest.mark.parametrize(("kind", "scope"), [(kind, scope) for kind, scope in COUNTS if scope != Scope.GATEWAY])
def test_a_rule_for_one_counts_no_other(kind, scope):
    bench = Breakers(kind=kind, scope=scope, limit=0, only=WHO[scope] + 1)
    assert bench.cause(kind) == []
    bench = Breakers(kind=kind, scope=scope, limit=0, only=WHO[scope])
    assert bench.cause(kind) == [(0, WHO[scope], 1)]


@pytest.mark.parametrize(("after", "trips"), [(7 * STEP, True), (8 * STEP - 1, True), (8 * STEP, False)])
def test_what_is_a_window_apart_is_counted_together_and_a_step_more_never(after, trips):
    """The first event opens a step, so the window is exactly STEPS steps from there."""
    bench = Breakers(kind=On.REFUSAL_RATE, scope=Scope.GATEWAY, limit=1)
    start = bench.ts + 100 * STEP
    assert bench.cause(On.REFUSAL_RATE, start) == []
    bench.ts = start
    assert bool(bench.cause(On.REFUSAL_RATE, start + after)) == trips


def test_events_within_seven_steps_are_together_wherever_the_steps_begin(rng):
    """Whatever the grid, a window of (STEPS - 1) steps is never missed."""
    tried = 0
    for _ in range(60):
        bench = Breakers(kind=On.REFUSAL_RATE, scope=Scope.GATEWAY, limit=1)
        ts = bench.ts + 100 * STEP
        bench.cause(On.REFUSAL_RATE, ts)  # sets the grid
        first = ts + rng.randrange(8 * STEP, 40 * STEP)
        assert bench.cause(On.REFUSAL_RATE, first) == []
        assert bench.cause(On.REFUSAL_RATE, first + (STEPS - 1) * STEP) != []
        tried += 1
    assert tried == 60


def test_a_refusal_while_halted_and_a_step_back_of_the_clock_count_nothing():
    bench = Breakers(kind=On.REFUSAL_RATE, scope=Scope.GATEWAY, limit=0)
    bench.say("halt", reason=Reason.OPERATOR)
    assert bench.order() == "halted"
    assert bench.trips == []
    bench.say("resume")
    assert bench.order(ts_ns=1) == "clock"
    assert bench.trips == []


@pytest.mark.parametrize("scope", [Scope.GATEWAY, Scope.STRATEGY, Scope.INSTRUMENT])
def test_more_than_one_slow_order_in_a_hundred_trips(scope):
    """99 fast orders and one slow one are exactly one in a hundred: no trip. The next slow one is more."""
    order = make("new", account=ACCOUNT, strategy=STRATEGY, instrument=INSTRUMENT, ts_ns=10**12)
    bench = Breakers(kind=On.LATENCY_P99, scope=scope, limit=0, bound_ns=1000)
    for _ in range(99):
        assert bench.pair.latency(order, 1000) == []
    assert bench.pair.latency(order, 1001) == []
    assert bench.pair.latency(order, 1001) == [(0, WHO[scope], 99)]
    bench = Breakers(kind=On.LATENCY_P99, scope=scope, limit=200, bound_ns=1000)
    assert [bool(bench.pair.latency(order, 1001)) for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("scope", [Scope.GATEWAY, Scope.ACCOUNT])
def test_a_fall_from_the_highest_equity_of_the_window_trips_above_the_limit(scope):
    bench = Breakers(kind=On.LOSS, scope=scope, limit=5_000)
    bench.hold(10)
    for px in (1_000_300, 1_000_400):
        bench.say("ref", instrument=INSTRUMENT, px=px)
    bench.say("ref", instrument=INSTRUMENT, px=999_900)
    assert bench.trips == []  # from 4,000 to -1,000: 5,000
    bench.say("ref", instrument=INSTRUMENT, px=999_899)
    assert bench.trips == [(0, WHO[scope], 5_010)]
    bench.say("ref", instrument=INSTRUMENT, px=999_399)
    assert bench.trips == []  # it began anew
    bench.say("ref", instrument=INSTRUMENT, px=999_398)
    assert bench.trips == [(0, WHO[scope], 5_010)]


def test_a_slow_fall_does_not_trip_and_a_fall_after_silence_does():
    bench = Breakers(kind=On.LOSS, scope=Scope.GATEWAY, limit=5_000)
    bench.hold(10)
    px = 1_000_000
    for _ in range(40):
        px -= 50  # 500 a step, at most 9 x 500 in a window with both its ends
        bench.ts += STEP
        bench.say("ref", instrument=INSTRUMENT, px=px)
        assert bench.trips == []
    bench.ts += 1000 * STEP
    bench.say("ref", instrument=INSTRUMENT, px=px - 501)
    assert bench.trips == [(0, 0, 5_010)]  # what it was worth all the time


def test_a_rule_that_stays_goes_on_counting_and_one_that_changes_begins_anew():
    rule = {"kind": On.REFUSAL_RATE, "scope": Scope.GATEWAY, "limit": 2, "only": ALL, "action": 1, "step_ns": 10**12}
    bench = Breakers(**rule)
    assert (bench.cause(On.REFUSAL_RATE), bench.cause(On.REFUSAL_RATE)) == ([], [])
    bench.limit(breaker=[rule | {"name": 1}], dup_window_ns=1)
    assert bench.cause(On.REFUSAL_RATE) == [(0, 0, 3)]
    assert (bench.cause(On.REFUSAL_RATE), bench.cause(On.REFUSAL_RATE)) == ([], [])
    bench.limit(breaker=[rule | {"name": 2}])
    assert (bench.cause(On.REFUSAL_RATE), bench.cause(On.REFUSAL_RATE)) == ([], [])
    assert bench.cause(On.REFUSAL_RATE) == [(0, 0, 3)]


def test_one_event_may_trip_several_rules_and_instruments():
    bench = Breakers()
    rule = {"kind": On.FEED_GAP, "scope": Scope.INSTRUMENT, "limit": 0, "only": ALL, "action": 2, "step_ns": STEP}
    bench.limit(breaker=[rule, {}, rule | {"action": 3}])
    bench.say("feed", instrument=2**32 - 1, qty=1)
    assert bench.trips == []
    bench.say("feed", instrument=2**32 - 1, qty=0)
    assert bench.trips == [(number, index, 1) for number in (0, 2) for index in range(1024)]


def test_the_table_of_limits_holds_the_rules_at_its_end():
    field = limits.LAYOUT.fields[-1]
    assert (field.name, field.offset + field.length) == ("breaker", limits.LAYOUT.length)
