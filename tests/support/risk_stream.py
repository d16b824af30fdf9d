"""Seeded event streams for the risk gate: values at the edges of limits and state, whatever the venue might say.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from typing import Any

from hwgw_sim.golden import limits
from hwgw_sim.golden.risk import BUY, DAY, IOC, LIMIT, MARKET, PX_MAX, SELL, SLOT_CNT, Kind, Reason, Risk

from .risk import Event, make

INSTRUMENTS = (0, 1, 7, 1023)
ACCOUNTS = (0, 1, 15)
STRATEGIES = (0, 1, 63)
U32, U64 = 0xFFFFFFFF, (1 << 64) - 1
EDGES = {
    "side": (0, 1, 2, 3, 255),
    "type": (0, 1, 2, 3, 255),
    "tif": (0, 1, 2, 3, 255),
    "flags": (0, 1, 2, 3, 4, 0x8000, 0xFFFF),
    "account": (15, 16, 255),
    "strategy": (63, 64, 255),
    "instrument": (1023, 1024, 0xFFFF, 0x10000, U32),
    "qty": (0, 1, U32),
    "px": (0, 1, PX_MAX, PX_MAX + 1, U32),
    "orig_ref": (1, U32),
}


class Stream:
    """Makes the next event from what the golden gate remembers."""

    def __init__(
        self, gate: Risk, rng: random.Random, step_ns: int = 1_000_000, back: float = 0.004, tables: float = 0.005
    ) -> None:
        self.gate = gate
        self.rng = rng
        self.ts = 10**9
        self.step_ns = step_ns
        self.back = back
        self.tables = tables  # share of events that bring new limits
        self.generation = 0
        self._passed: dict[int, Any] = {}  # every order that passed, less those that live() found to have ended

    # ---- limits ----

    def table(self) -> limits.Record:
        """Limits: most of them generous, some around what is in use now, a few absurd."""
        rng, gate = self.rng, self.gate

        def pick(generous: int, *tight: int) -> int:
            return rng.choice(tight) if rng.random() < 0.2 else generous

        def bucket() -> dict[str, int]:
            refill = pick(self.step_ns // 100, 0, self.step_ns // 10, self.step_ns, U64)
            return {"rate_burst": pick(100, 1, 3, U32), "rate_refill_ns": refill}

        def account(used: Any) -> dict[str, int]:
            credit = used.open_notional + used.filled_notional + rng.choice((10**7, 10**9))
            loss = max(0, -(used.cash + used.mark)) + rng.choice((10**4, 10**6))
            return bucket() | {
                "credit_max": pick(U64, min(credit, U64)),
                "loss_max": rng.choice((U64, U64, min(loss, U64))),
                "open_max": pick(U32, 0, used.open_cnt, used.open_cnt + 3),
            }

        def strategy() -> dict[str, int]:
            return bucket() | {"fills_max": pick(U32, 5, 50), "rejects_run_max": pick(U32, 5, 50)}

        instruments: list[limits.Record] = [{} for _ in range(INSTRUMENTS[-1] + 1)]
        for index in INSTRUMENTS:
            state = gate.instruments[index]
            instruments[index] = {
                "flags": pick(1, 0, 3),
                "restricted_accounts": pick(0, 1, 1 << 15),
                "qty_max": pick(5000, 100, U32),
                "collar_px_min": pick(5000, 0, 100, U32),
                "notional_max": pick(U64, 10**7, 10**9),
                "collar_q16": pick(6553, 0, 655, 65536, U32),
                "long_max": pick(2**31 - 1, 0, -5, min(state.long_worst + 500, 2**31 - 1)),
                "short_max": pick(2**31 - 1, 0, -5, min(state.short_worst + 500, 2**31 - 1)),
                "locate_qty": pick(U32, 0, min(state.short_used + 500, U32)),
            }
        off = sum(1 << reason for reason in range(1, 19) if rng.random() < 0.06)
        return {
            "generation": self.generation,
            "checks_enabled": U32 & ~off,
            "beat_age_max_ns": pick(U64, 10 * self.step_ns, 50 * self.step_ns),
            "ref_age_max_ns": pick(U64, 10 * self.step_ns, 50 * self.step_ns),
            "dup_window_ns": rng.choice((0, self.step_ns, 10 * self.step_ns)),
            "gateway": account(gate.gateway),
            "account": [account(gate.accounts[index]) for index in range(16)],
            "strategy": [strategy() for _ in range(64)],
            "instrument": instruments,
        }

    def limits(self) -> tuple[Event, bytes | None]:
        """A limits event; one in four is not to be taken."""
        self.generation += 1
        table: bytes | None = limits.seal(self.table())
        generation = self.generation
        if self.rng.random() < 0.25:
            fault = self.rng.randrange(4)
            if fault == 0:
                table = None
            elif fault == 1:
                generation += 1
            elif fault == 2:
                generation = 0
            else:
                assert table is not None
                at = self.rng.randrange(len(table))
                table = table[:at] + bytes([table[at] ^ 1 << self.rng.randrange(8)]) + table[at + 1 :]
        return self.stamp(make("limits", venue_ref=generation)), table

    # ---- events ----

    def stamp(self, event: Event) -> Event:
        """Gives the event its time, now and then an older one than the last."""
        rng = self.rng
        self.ts += rng.choice((0, 0, 1, self.step_ns // 10, self.step_ns, self.step_ns * 3))
        event["ts_ns"] = self.ts
        if rng.random() < self.back:
            event["ts_ns"] = max(0, self.gate.last_ts - rng.choice((1, self.step_ns)))
        return event

    def start(self) -> list[tuple[Event, bytes | None]]:
        """What brings a gate up from reset."""
        events: list[tuple[Event, bytes | None]] = [self.limits(), (self.stamp(make("beat")), None)]
        events += [(self.stamp(make("arm", strategy=strategy)), None) for strategy in STRATEGIES]
        for instrument in INSTRUMENTS:
            events.append((self.stamp(make("feed", instrument=instrument, qty=1)), None))
            events.append((self.stamp(make("ref", instrument=instrument, px=100_000)), None))
        return events

    def next(self) -> tuple[Event, bytes | None]:
        """The next event and, for limits, its table; every event that came before has been applied to the gate."""
        rng, gate = self.rng, self.gate
        self._note()
        if (gate.halt or gate.generation == 0) and rng.random() < 0.4:
            if gate.generation == 0:
                return self.limits()
            return self.stamp(make("resume")), None
        if rng.random() < 0.03:
            return self.stamp(make("arm", strategy=rng.choice((*STRATEGIES, 64)))), None
        if rng.random() < self.tables:
            return self.limits()
        makers = (
            (45, self.new),
            (6, self.replace),
            (6, self.cancel),
            (30, self.venue),
            (7, self.ref),
            (4, self.beat),
            (2, self.control),
        )
        maker = rng.choices([maker for _, maker in makers], [weight for weight, _ in makers])[0]
        return self.stamp(maker()), None

    def price(self, instrument: int) -> int:
        """Near the reference or an edge of its collar."""
        rng = self.rng
        state, limit = self.gate.instruments[instrument], self.gate.limits["instrument"][instrument]
        band = max(limit["collar_px_min"], state.ref_px * limit["collar_q16"] >> 16)
        near = state.ref_px + rng.choice((0, 0, -1, 1, 50, -50, band, -band, band + 1, -band - 1))
        own = rng.choice((state.own_ask_min, state.own_bid_max))
        return min(max(rng.choices((near, own, PX_MAX, 1), (85, 10, 2, 2))[0], 1), PX_MAX)

    def quantity(self, instrument: int, side: int, px: int) -> int:
        """Ordinary, or what some limit just allows, or one more."""
        rng = self.rng
        state, limit = self.gate.instruments[instrument], self.gate.limits["instrument"][instrument]
        room = rng.choice(
            (
                limit["qty_max"],
                limit["long_max"] - state.long_worst if side == BUY else limit["short_max"] - state.short_worst,
                -state.short_worst,
                limit["locate_qty"] - state.short_used,
                limit["notional_max"] // max(px, 1),
            )
        )
        return min(max(rng.choices((1, 10, 100, 300, room, room + 1), (10, 10, 40, 10, 6, 6))[0], 1), U32)

    def new(self) -> Event:
        """A new order."""
        rng, gate = self.rng, self.gate
        instrument, side = rng.choice(INSTRUMENTS), rng.choice((BUY, SELL))
        px = self.price(instrument)
        event = make(
            "new",
            ref=gate.last_ref + rng.choice((1, 1, 1, 2, 50)),
            instrument=instrument,
            account=rng.choice(ACCOUNTS),
            strategy=rng.choice(STRATEGIES),
            side=side,
            type=LIMIT,
            tif=rng.choice((DAY, DAY, IOC)),
            px=px,
            qty=self.quantity(instrument, side, px),
        )
        if side == SELL:
            event["flags"] = rng.choice((0, 1, 1, 1, 2, 3))
        if rng.random() < 0.08:
            event |= {"type": MARKET, "px": 0}
        if rng.random() < 0.1 and gate.recent:
            again = rng.choice(gate.recent)
            event |= {name: getattr(again, name) for name in ("account", "instrument", "px", "qty", "side")}
            event |= {"type": LIMIT, "flags": 0 if again.side == BUY else 1}
        if rng.random() < 0.05:
            live = self.live()
            if live:
                event["ref"] = rng.choice(live).ref + SLOT_CNT * rng.choice((1, 2))
        if rng.random() < 0.02:
            event["ref"] = rng.choice((0, gate.last_ref, max(gate.last_ref - 1, 0)))
        if rng.random() < 0.03:
            name = rng.choice(tuple(EDGES))
            event[name] = rng.choice(EDGES[name])
        return event

    def _note(self) -> None:
        """Remembers the order that passed last: at most one does with an event."""
        self._passed[self.gate.last_ref] = self.gate.slots[self.gate.last_ref % SLOT_CNT]

    def live(self) -> list[Any]:
        """The live orders."""
        self._note()
        self._passed = {ref: order for ref, order in self._passed.items() if order.leaves}
        return list(self._passed.values())

    def some_ref(self) -> int:
        """Mostly of a live order, else any."""
        live = self.live()
        if live and self.rng.random() < 0.985:
            return self.rng.choice(live).ref
        return self.rng.choice((0, 1, self.gate.last_ref, self.gate.last_ref + 1, U32))

    def replace(self) -> Event:
        """A replace of some order."""
        if not self.live():
            return self.new()
        event = self.new() | {"kind": Kind.REPLACE, "orig_ref": self.some_ref()}
        order = self.gate.slots[event["orig_ref"] % SLOT_CNT]
        if self.rng.random() < 0.95:
            event |= {name: getattr(order, name) for name in ("instrument", "account", "side", "flags")}
        return event

    def cancel(self) -> Event:
        """A cancel of some order."""
        if not self.live():
            return self.new()
        return make("cancel", ref=self.some_ref(), qty=self.rng.choice((0, 10)))

    def venue(self) -> Event:
        """What the venue says of some order, rarely nonsense."""
        rng, gate = self.rng, self.gate
        pending = [order for order in self.live() if gate.slots[order.orig_ref % SLOT_CNT].leaves]
        if pending and rng.random() < 0.3:
            order = rng.choice(pending)
            qty = rng.choice((order.leaves, order.leaves, max(order.leaves // 2, 1)))
            return make("replaced", ref=order.ref, orig_ref=order.orig_ref, qty=qty)
        if not self.live() and rng.random() < 0.95:
            return self.new()
        ref = self.some_ref()
        order = gate.slots[ref % SLOT_CNT]
        part = rng.choice((order.leaves, order.leaves, max(order.leaves // 2, 1), 1))
        if rng.random() < 0.01:
            part = rng.choice((0, order.leaves + 1, U32))
        px = max(1, min(PX_MAX, order.px + rng.choice((0, 0, -10, 10, 5000, -5000))))
        if rng.random() < 0.005:
            px = rng.choice((0, PX_MAX, PX_MAX + 1))
        kind = rng.choices(
            ("accepted", "rejected", "canceled", "executed", "broken", "replaced"), (15, 8, 15, 50, 8, 1)
        )[0]
        if kind == "broken":
            return self.broken()
        return make(kind, ref=ref, qty=part & U32, px=px, orig_ref=rng.choice((0, ref)))

    def broken(self) -> Event:
        """A broken trade, of an order that is known or long over."""
        rng = self.rng
        executed = [order for order in self.gate.slots.values() if order.executed]
        if not executed or rng.random() < 0.05:
            return make("broken", ref=self.some_ref(), qty=1, px=100, side=BUY, instrument=rng.choice(INSTRUMENTS))
        order = rng.choice(executed)
        qty = rng.choice((order.executed, 1, max(order.executed // 2, 1)))
        event = make("broken", ref=order.ref, qty=qty, px=max(order.px, 1))
        event |= {name: getattr(order, name) for name in ("instrument", "account", "side")}
        if rng.random() < 0.1 and order.ref > SLOT_CNT:
            event["ref"] = order.ref - SLOT_CNT
        if rng.random() < 0.04:
            name = rng.choice(("instrument", "account", "side", "qty", "px"))
            event[name] = rng.choice(EDGES[name])
        return event

    def ref(self) -> Event:
        """A new reference price, near the last one."""
        rng = self.rng
        instrument = rng.choice((*INSTRUMENTS, *INSTRUMENTS, 1024))
        last = self.gate.instruments[instrument].ref_px if instrument < 1024 else 0
        px = min(max((last or 100_000) + rng.choice((-200, -10, 0, 10, 200)), 1), PX_MAX)
        return make("ref", instrument=instrument, px=rng.choices((px, 0, PX_MAX + 1), (97, 1, 1))[0])

    def beat(self) -> Event:
        """The control plane is alive."""
        return make("beat")

    def control(self) -> Event:
        """Feeds come and go, strategies are disarmed, someone halts, something unknown comes."""
        rng = self.rng
        kind = rng.choices(("feed", "disarm", "halt", "resume", "none"), (80, 4, 4, 4, 4))[0]
        if kind == "feed":
            instrument = rng.choices((*INSTRUMENTS, 0xFFFFFFFF, 1024), (30, 30, 30, 30, 1, 3))[0]
            return make("feed", instrument=instrument, qty=rng.choices((1, 0, 2), (85, 12, 3))[0])
        event = make(kind, strategy=rng.choice((*STRATEGIES, 64)))
        event["reason"] = rng.choice((0, 1, Reason.OPERATOR, Reason.SESSION, 23, U32))
        if kind == "none":
            event["kind"] = rng.choice((0, 18, 255))
        return event
