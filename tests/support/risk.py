"""The risk gate twice: the golden model and the C code on the same events, compared after each.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from hwgw_sim.golden import limits
from hwgw_sim.golden.risk import BUY, DAY, INSTRUMENTS_MAX, LIMIT, SELL, SLOT_CNT, STRATEGIES_MAX, Kind, Reason, Risk
from hwgw_sim.golden.risk_state import ACCOUNTS_MAX, Instrument

from hwgw import specs
from hwgw.native import ffi, lib

from .risk_image import Image, inner

FIELDS = tuple(field.name for field in specs.load("order").layout("order").fields)
NAMES = {reason.code: reason.name for reason in specs.load("risk").reasons}
KIND_NAMES = {value: name.lower() for name, value in vars(Kind).items()}
DUMP_SZ = 8 << 20
TABLE_SZ = limits.LAYOUT.length
ALIGN = 128

Event = dict[str, int]


def make(kind: str, **fields: int) -> Event:
    """An event with every field; what is not given is 0."""
    return dict.fromkeys(FIELDS, 0) | fields | {"kind": getattr(Kind, kind.upper())}


class Native:
    """The C gate."""

    def __init__(self) -> None:
        self._memory = ffi.new("char[]", lib.hwgw_risk_sz_bytes() + ALIGN)
        address = int(ffi.cast("uintptr_t", self._memory))
        self.address = address + -address % ALIGN
        self.risk = ffi.cast("struct hwgw_risk *", self.address)
        self._record = ffi.new("struct hwgw_order *")
        self._text = ffi.new("char[]", DUMP_SZ)
        self._table: Any = None  # in force: the gate reads it where it is
        lib.hwgw_risk_init(self.risk)

    def _fill(self, event: Event) -> None:
        for name in FIELDS:
            setattr(self._record, name, event[name])

    def event(self, event: Event, table: bytes | None = None) -> int:
        """As hwgw_risk_event."""
        self._fill(event)
        given = ffi.NULL
        if table is not None:
            memory = ffi.new("struct hwgw_limits *")
            ffi.memmove(memory, table, TABLE_SZ)
            given = memory
        if event["kind"] == Kind.LIMITS:
            self._table, before = given, self._table
            del before
        return int(lib.hwgw_risk_event(self.risk, self._record, given))

    def carry(self, event: Event, px: int) -> bool:
        """As hwgw_risk_carry."""
        self._fill(event)
        return bool(inner().hwgw_risk_carry(self.address, int(ffi.cast("uintptr_t", self._record)), px))

    def dump(self) -> str:
        """As hwgw_risk_dump."""
        size = lib.hwgw_risk_dump(self.risk, self._text, DUMP_SZ)
        return bytes(ffi.buffer(self._text, size)).decode()


class Pair:
    """Both gates; send() fails when they differ.

    All state is compared as text after every dump_every events, and with is_imaged after every event as an image
    (risk_image.py).
    """

    def __init__(self, dump_every: int = 1, is_imaged: bool = False) -> None:
        self.golden = Risk()
        self.native = Native()
        self.image = Image(self.golden) if is_imaged else None
        self.dump_every = dump_every
        self.event_cnt = 0
        self.image_cnt = 0
        self.dump_cnt = 0
        self.answers: Counter[tuple[str, str]] = Counter()
        self.history: deque[Event] = deque(maxlen=20)

    def send(self, event: Event, table: bytes | None = None) -> str:
        """One event into both; the name of their reason."""
        self.history.append(event)
        want = self.golden.event(event, table)
        got = self.native.event(event, table)
        self.event_cnt += 1
        assert NAMES[got] == NAMES[want], f"event {self.event_cnt}, the last ones: {list(self.history)}"
        if self.image and not self.image.is_equal(self.native.address):
            self.compare()
            raise AssertionError(f"event {self.event_cnt}, {event}: the images of the state differ, the texts do not")
        self.image_cnt += self.image is not None
        if self.event_cnt % self.dump_every == 0:
            self.compare()
        kind = KIND_NAMES.get(event["kind"], "none")
        self.answers[kind, NAMES[want]] += 1
        return NAMES[want]

    def carry(self, event: Event, px: int) -> bool:
        """An order that passed elsewhere into both; whether they took it."""
        self.history.append(event)
        taken = self.golden.carry(event, px)
        assert self.native.carry(event, px) == taken, f"carried at {px}: {event}"
        self.compare()
        return taken

    def compare(self) -> None:
        """The complete state of both."""
        want, got = self.golden.dump(), self.native.dump()
        if want != got:
            lines = sorted(set(want.splitlines()) ^ set(got.splitlines()))
            raise AssertionError(f"state after event {self.event_cnt}, {self.history[-1]}:\n" + "\n".join(lines[:20]))
        self.dump_cnt += 1
        self.compare_readouts()

    def compare_readouts(self) -> None:
        """hwgw_risk_halted, _position and _order against the golden state."""
        golden, native = self.golden, self.native
        reason = ffi.new("uint32_t *")
        assert lib.hwgw_risk_halted(native.risk, reason) == (golden.halt != 0)
        assert reason[0] == golden.halt
        row = ffi.new("struct hwgw_position *", {"cash": -7, "fill_cnt": 7})
        for index in (*golden.instruments, INSTRUMENTS_MAX, 2**32 - 1):
            state = golden.instruments[index] if index < INSTRUMENTS_MAX else Instrument()
            lib.hwgw_risk_position(native.risk, index, row)
            for name in ("pos", "long_worst", "short_worst", "open_buy_cnt", "open_sell_cnt", "ref_px"):
                assert getattr(row, name) == getattr(state, name), (index, name)
        assert (row.cash, row.fill_cnt) == (-7, 7)
        out = ffi.new("struct hwgw_order *")
        for index, slot in golden.slots.items():
            if slot.ref % SLOT_CNT != index:  # looked at, but never filled
                continue
            assert lib.hwgw_risk_order(native.risk, slot.ref, out) == (slot.leaves > 0)
            assert not lib.hwgw_risk_order(native.risk, (slot.ref + SLOT_CNT) & (2**32 - 1), out)
            if slot.leaves:
                lib.hwgw_risk_order(native.risk, slot.ref, out)
                want = dict.fromkeys(FIELDS, 0) | vars(slot) | {"kind": Kind.NEW, "qty": slot.leaves}
                assert all(getattr(out, name) == want[name] for name in FIELDS), slot


PX = 1_000_000  # reference price of a Bench
INSTRUMENT, ACCOUNT, STRATEGY = 5, 2, 3
USED = (INSTRUMENT, INSTRUMENTS_MAX - 2, INSTRUMENTS_MAX - 1)  # instruments of a Bench that have limits
GENEROUS_BUCKET = {"rate_burst": 1000, "rate_refill_ns": 1000}
GENEROUS_ACCOUNT = GENEROUS_BUCKET | {"credit_max": 2**64 - 1, "loss_max": 2**64 - 1, "open_max": 2**32 - 1}
GENEROUS = {
    "checks_enabled": 2**32 - 1,
    "beat_age_max_ns": 10**12,
    "ref_age_max_ns": 10**12,
    "dup_window_ns": 0,
}


class Bench(Pair):
    """Both gates, up and armed with generous limits: one instrument, account and strategy, reference price PX."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.ts = 10**9
        self.ref = 0
        self.generation = 0
        self.limit(**changes)
        assert self.say("beat") == "pass"
        assert self.say("arm") == "pass"
        assert self.say("feed", instrument=INSTRUMENT, qty=1) == "pass"
        assert self.say("ref", instrument=INSTRUMENT, px=PX) == "pass"

    def limit(self, **changes: Any) -> None:
        """Loads generous limits with these changes: whole-table fields, or instrument, account, gateway, strategy."""
        record = dict(GENEROUS)
        parts = {
            "instrument": {
                "flags": 1, "qty_max": 2**32 - 1, "notional_max": 2**64 - 1, "collar_px_min": PX // 2,
                "long_max": 2**31 - 1, "short_max": 2**31 - 1, "locate_qty": 2**32 - 1,
            },
            "account": dict(GENEROUS_ACCOUNT),
            "gateway": dict(GENEROUS_ACCOUNT),
            "strategy": GENEROUS_BUCKET | {"fills_max": 2**32 - 1, "rejects_run_max": 2**32 - 1},
        }  # fmt: skip
        for name, value in changes.items():
            if name in parts:
                parts[name] |= value
            else:
                record[name] = value
        self.generation += 1
        record |= {
            "generation": self.generation,
            "gateway": parts["gateway"],
            "account": [parts["account"]] * ACCOUNTS_MAX,
            "strategy": [parts["strategy"]] * STRATEGIES_MAX,
            "instrument": [parts["instrument"] if i in USED else {} for i in range(INSTRUMENTS_MAX)],
        }
        assert self.say("limits", limits.seal(record), venue_ref=self.generation) == "pass"

    def say(self, kind: str, table: bytes | None = None, **fields: int) -> str:
        """An event 1 us after the last one, of the bench's strategy."""
        self.ts += 1000
        return self.send(make(kind, **{"ts_ns": self.ts, "strategy": STRATEGY} | fields), table)

    def order(self, side: int = BUY, kind: str = "new", **fields: int) -> str:
        """An order at the reference price with the next ref; sells are marked short unless flags are given."""
        self.ref = fields.pop("ref", self.ref + 1)
        usual = {
            "ref": self.ref, "instrument": INSTRUMENT, "account": ACCOUNT, "side": side, "type": LIMIT, "tif": DAY,
            "px": PX, "qty": 100, "flags": int(side == SELL),
        }  # fmt: skip
        return self.say(kind, **usual | fields)

    @property
    def at(self) -> Instrument:
        """The golden model's state of the instrument."""
        return self.golden.instruments[INSTRUMENT]

    @property
    def worst(self) -> tuple[int, int, int]:
        """Worst long, worst short and position."""
        return self.at.long_worst, self.at.short_worst, self.at.pos

    def hold(self, qty: int) -> None:
        """Brings the position to qty by one executed order."""
        side = BUY if qty > 0 else SELL
        assert self.order(side, qty=abs(qty)) == "pass"
        assert self.say("executed", ref=self.ref, qty=abs(qty), px=PX) == "pass"


__all__ = [
    "ACCOUNT",
    "INSTRUMENT",
    "NAMES",
    "PX",
    "STRATEGY",
    "Bench",
    "Event",
    "Kind",
    "Native",
    "Pair",
    "Reason",
    "make",
]
