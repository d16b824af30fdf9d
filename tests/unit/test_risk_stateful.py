"""The gate as a state machine: Hypothesis chooses the events, C must equal the golden model in all state after each.

SPDX-License-Identifier: MIT

Two instruments, accounts and strategies, few prices and quantities, references of orders that were sent: a world small
enough for sequences that mean something, and for a failure to be shrunk to a few events.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any, ClassVar

import hypothesis
from hwgw_sim.golden import limits
from hwgw_sim.golden.risk import BUY, DAY, IOC, LIMIT, MARKET, SELL, SLOT_CNT
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.risk import Pair, make

EXAMPLES = int(os.environ.get("HWGW_STATEFUL", "20"))
STEPS = 50

INSTRUMENT = st.sampled_from((0, 1))
ACCOUNT = st.sampled_from((0, 1, 1, 16))
STRATEGY = st.sampled_from((0, 0, 1, 64))
SIDE = st.sampled_from((BUY, SELL))
PX = st.sampled_from((90, 99, 100, 101, 110, 0))
QTY = st.sampled_from((1, 2, 3, 5, 0))
BACK = st.integers(0, 5)
STEP_NS = st.sampled_from((0, 1, 10, 1000))


def table(generation: int, scale: int, off: int = 0) -> bytes:
    """Limits that a few orders reach, the larger the scale the later."""
    bucket = {"rate_burst": 3 * scale, "rate_refill_ns": 20}
    account = bucket | {"credit_max": 2000 * scale, "loss_max": 20 * scale, "open_max": 3 * scale}
    instrument = {
        "flags": 1, "qty_max": 3, "notional_max": 300, "collar_px_min": 5, "collar_q16": 655, "long_max": 4 * scale,
        "short_max": 4 * scale, "locate_qty": 5 * scale,
    }  # fmt: skip
    record = {
        "generation": generation, "checks_enabled": 2**32 - 1 - off, "beat_age_max_ns": 50_000,
        "ref_age_max_ns": 20_000, "dup_window_ns": 10, "gateway": account, "account": [account] * 16,
        "strategy": [bucket | {"fills_max": 6, "rejects_run_max": 8}] * 64,
        "instrument": [instrument, instrument | {"flags": 3, "restricted_accounts": 2}],
    }  # fmt: skip
    return limits.seal(record)


TABLES = (table(1, 1), table(2, 3), table(3, 3, off=1 << 2 | 1 << 10 | 1 << 17))


class Gate(RuleBasedStateMachine):
    """Both gates."""

    seen: ClassVar[Counter[tuple[str, str]]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair(dump_every=10**9)
        self.ts = 10_000

    def say(self, kind: str, given: bytes | None = None, step_ns: int = 1, **fields: Any) -> None:
        """One event, some time after the last one."""
        self.ts += step_ns
        self.seen[kind, self.pair.send(make(kind, ts_ns=self.ts, **fields), given)] += 1

    def recent(self, back: int) -> Any:
        """The order that passed so many before the newest, and what is known of it."""
        ref = max(self.pair.golden.last_ref - back, 0)
        return ref, self.pair.golden.slots[ref % SLOT_CNT]

    @initialize()
    def start(self) -> None:
        """Up, with tight limits."""
        self.say("limits", TABLES[1], venue_ref=2)
        self.say("beat")
        for number in (0, 1):
            self.say("arm", strategy=number)
            self.say("feed", instrument=number, qty=1)
            self.say("ref", instrument=number, px=100)

    @rule(
        instrument=INSTRUMENT, account=ACCOUNT, strategy=STRATEGY, side=SIDE, px=PX, qty=QTY, step_ns=STEP_NS,
        kind=st.sampled_from((LIMIT, LIMIT, LIMIT, MARKET)), tif=st.sampled_from((DAY, IOC)), short=st.integers(0, 2),
    )  # fmt: skip
    def new(self, px: int, kind: int, side: int, short: int, **fields: int) -> None:
        """A new order."""
        fields |= {"ref": self.pair.golden.last_ref + 1, "px": 0 if kind == MARKET else px, "type": kind, "side": side}
        self.say("new", flags=short if side == SELL else 0, **fields)

    @rule(back=BACK, px=PX, qty=QTY, step_ns=STEP_NS)
    def replace(self, back: int, **fields: int) -> None:
        """A replace of a recent order, as it was but for price and quantity."""
        orig, old = self.recent(back)
        for name in ("instrument", "account", "strategy", "side", "flags", "type", "tif"):
            fields[name] = getattr(old, name)
        self.say("replace", ref=self.pair.golden.last_ref + 1, orig_ref=orig, **fields)

    @rule(back=BACK)
    def cancel(self, back: int) -> None:
        """A cancel of a recent order."""
        self.say("cancel", ref=self.recent(back)[0])

    @rule(kind=st.sampled_from(("accepted", "rejected", "canceled", "executed")), back=BACK, qty=QTY, px=PX)
    def venue(self, kind: str, back: int, qty: int, px: int) -> None:
        """What the venue says of a recent order, mostly of what is open."""
        ref, old = self.recent(back)
        self.say(kind, ref=ref, qty=min(qty, old.leaves) or qty, px=px)

    @rule(back=BACK, qty=QTY)
    def replaced(self, back: int, qty: int) -> None:
        """The venue replaced an order."""
        ref, old = self.recent(back)
        self.say("replaced", ref=ref, orig_ref=old.orig_ref, qty=qty)

    @rule(back=BACK, qty=QTY, px=PX)
    def broken(self, back: int, qty: int, px: int) -> None:
        """A trade is broken."""
        ref, old = self.recent(back)
        same = {name: getattr(old, name) for name in ("instrument", "account", "side")}
        self.say("broken", ref=ref, qty=qty, px=px, **same)

    @rule(instrument=INSTRUMENT, px=PX, step_ns=STEP_NS)
    def ref(self, **fields: int) -> None:
        """A reference price."""
        self.say("ref", **fields)

    @rule(instrument=INSTRUMENT, qty=st.sampled_from((0, 1, 1, 1)))
    def feed(self, **fields: int) -> None:
        """A feed comes or goes."""
        self.say("feed", **fields)

    @rule(kind=st.sampled_from(("beat", "beat", "resume", "resume", "arm", "disarm", "halt")), strategy=STRATEGY)
    def control(self, kind: str, strategy: int) -> None:
        """The control plane."""
        self.say(kind, strategy=strategy, reason=20)

    @rule()
    def resume(self) -> None:
        """A person has looked."""
        self.say("resume")

    @rule(which=st.sampled_from((0, 1, 1, 2)), off=st.sampled_from((0, 0, 0, 0, 0, 1)))
    def limits(self, which: int, off: int) -> None:
        """Another table, or one that is not to be taken."""
        self.say("limits", TABLES[which], venue_ref=which + 1 + off)

    @rule()
    def step_back(self) -> None:
        """The clock steps back for one event."""
        self.say("beat", step_ns=-5)
        self.ts += 5

    @invariant()
    def same(self) -> None:
        """All state is equal."""
        self.pair.compare()


def test_stateful_sequences_leave_both_gates_in_the_same_state(seed: int) -> None:
    """HWGW_STATEFUL sets how many sequences; the default is 20 of at most 50 events."""
    Gate.seen.clear()
    bounded = settings(
        max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(hypothesis.seed(seed)(Gate), settings=bounded)
    assert Gate.seen.total() > EXAMPLES * STEPS // 3
    verdicts = Counter({key: cnt for key, cnt in Gate.seen.items() if key[0] in ("new", "replace")})
    assert len(verdicts) >= 4, verdicts
