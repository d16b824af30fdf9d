"""The risk gate twice: the golden model and the C code on the same events, compared after each.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hwgw_sim.golden import limits
from hwgw_sim.golden.risk import Kind, Reason, Risk

from hwgw import specs
from hwgw.native import ffi, lib

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
        self.risk = ffi.cast("struct hwgw_risk *", address + -address % ALIGN)
        self._record = ffi.new("struct hwgw_order *")
        self._text = ffi.new("char[]", DUMP_SZ)
        self._table: Any = None  # in force: the gate reads it where it is
        lib.hwgw_risk_init(self.risk)

    def event(self, event: Event, table: bytes | None = None) -> int:
        """As hwgw_risk_event."""
        for name in FIELDS:
            setattr(self._record, name, event[name])
        given = ffi.NULL
        if table is not None:
            memory = ffi.new("struct hwgw_limits *")
            ffi.memmove(memory, table, TABLE_SZ)
            given = memory
        if event["kind"] == Kind.LIMITS:
            self._table, before = given, self._table
            del before
        return int(lib.hwgw_risk_event(self.risk, self._record, given))

    def dump(self) -> str:
        """As hwgw_risk_dump."""
        size = lib.hwgw_risk_dump(self.risk, self._text, DUMP_SZ)
        return bytes(ffi.buffer(self._text, size)).decode()


class Pair:
    """Both gates; send() fails when they differ."""

    def __init__(self, dump_every: int = 1) -> None:
        self.golden = Risk()
        self.native = Native()
        self.dump_every = dump_every
        self.event_cnt = 0
        self.dump_cnt = 0
        self.answers: Counter[tuple[str, str]] = Counter()
        self.history: list[Event] = []

    def send(self, event: Event, table: bytes | None = None) -> str:
        """One event into both; the name of their reason."""
        self.history.append(event)
        want = self.golden.event(event, table)
        got = self.native.event(event, table)
        self.event_cnt += 1
        assert NAMES[got] == NAMES[want], f"event {self.event_cnt}: {event}"
        if self.event_cnt % self.dump_every == 0:
            self.compare()
        kind = KIND_NAMES.get(event["kind"], "none")
        self.answers[kind, NAMES[want]] += 1
        return NAMES[want]

    def compare(self) -> None:
        """The complete state of both."""
        want, got = self.golden.dump(), self.native.dump()
        if want != got:
            lines = sorted(set(want.splitlines()) ^ set(got.splitlines()))
            raise AssertionError(f"state after event {self.event_cnt}, {self.history[-1]}:\n" + "\n".join(lines[:20]))
        self.dump_cnt += 1

    def reasons(self, *kinds: str) -> Counter[str]:
        """How often each reason was the answer to events of these kinds."""
        counts: Counter[str] = Counter()
        for (kind, reason), count in self.answers.items():
            if kind in kinds:
                counts[reason] += count
        return counts


__all__ = ["NAMES", "Event", "Kind", "Native", "Pair", "Reason", "make"]
