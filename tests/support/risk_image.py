"""All state of the risk gate as one flat array, of both gates, so cheap that it is compared after every event.

SPDX-License-Identifier: MIT

The C gate's image is written anew from its memory each time (risk_image.c). The golden model's is kept: after an event
those of its records are written again that were looked at since the last time, which is more than can have changed, as
the model reaches every record through its tables. A record that changed unseen would keep its old image, and the C
gate's would differ from it; what both gates forgot to change is found by the dumps, which are made from scratch.
"""

from __future__ import annotations

import os
import struct
from collections import defaultdict
from functools import cache
from typing import Any

from cffi import FFI
from hwgw_sim.golden.risk import INSTRUMENTS_MAX, RECENT_MAX, SLOT_CNT, STRATEGIES_MAX, Risk
from hwgw_sim.golden.risk_state import ACCOUNTS_MAX

from hwgw.native import lib as native

from .gate_build import ROOT, SOURCES, library

WORD_SZ = 8
GLOBALS = ("generation", "halt", "last_beat", "last_ref", "last_ts")
MONEY = ("cash", "mark")  # two words, the lower first
RECENT_W, ACCOUNT_W, STRATEGY_W, INSTRUMENT_W, SLOT_W = 6, 9, 5, 12 + ACCOUNTS_MAX, 12
RECENT_AT = len(GLOBALS)
GATEWAY_AT = RECENT_AT + RECENT_MAX * RECENT_W
ACCOUNT_AT = GATEWAY_AT + ACCOUNT_W
STRATEGY_AT = ACCOUNT_AT + ACCOUNTS_MAX * ACCOUNT_W
INSTRUMENT_AT = STRATEGY_AT + STRATEGIES_MAX * STRATEGY_W
SLOT_AT = INSTRUMENT_AT + INSTRUMENTS_MAX * INSTRUMENT_W
WORDS = SLOT_AT + SLOT_CNT * SLOT_W
U64_MAX = 2**64 - 1

ffi = FFI()
ffi.cdef(
    "uint32_t risk_image_gate_sz_bytes(void);"
    "bool risk_image_is(uintptr_t risk, uint64_t *image, const uint64_t *want, uint32_t words);"
    "bool hwgw_risk_carry(uintptr_t risk, uintptr_t order, uint32_t px);"
)


@cache
def inner() -> Any:
    """What the native module does not show of the gate, for the gates of it: the image, and hwgw_risk_carry."""
    built = ROOT / "build" / "tests" / f"risk-image-{os.getpid()}.so"
    gate = (ROOT / "cffi_build" / "src" / name for name in SOURCES)
    library(built, ROOT / "tests" / "support" / "risk_image.c", *gate)
    lib = ffi.dlopen(str(built))
    built.unlink()
    if lib.risk_image_gate_sz_bytes() != native.hwgw_risk_sz_bytes():
        raise RuntimeError("risk_image.c: struct hwgw_risk is another than that of the native module; make build")
    return lib


def _words(record: Any) -> list[int]:
    """The items of a record in order; a negative one as the 64 bits of its two's complement."""
    words: list[int] = []
    for name, value in vars(record).items():
        if name in MONEY:
            words += (value & U64_MAX, value >> 64 & U64_MAX)
        else:
            items = value if isinstance(value, list) else (value,)
            words += [item if item >= 0 else item + U64_MAX + 1 for item in items]
    return words


class Seen(defaultdict[int, Any]):
    """A table of the golden model that remembers which of its records were looked at."""

    def __init__(self, table: defaultdict[int, Any]) -> None:
        super().__init__(table.default_factory, table)
        self.seen: set[int] = set(table)

    def __getitem__(self, index: int) -> Any:
        self.seen.add(index)
        return super().__getitem__(index)

    def __setitem__(self, index: int, record: Any) -> None:
        self.seen.add(index)
        super().__setitem__(index, record)


class Image:
    """The golden model's image, and its comparison with the C gate's."""

    def __init__(self, golden: Risk) -> None:
        self.golden = golden
        self._want, self._got = ffi.new("uint64_t[]", WORDS), ffi.new("uint64_t[]", WORDS)
        self._bytes = ffi.buffer(self._want)
        self._recent: list[Any] = []
        self._tables: list[tuple[Seen, int, int]] = []
        for name, at, width in (
            ("accounts", ACCOUNT_AT, ACCOUNT_W),
            ("strategies", STRATEGY_AT, STRATEGY_W),
            ("instruments", INSTRUMENT_AT, INSTRUMENT_W),
            ("slots", SLOT_AT, SLOT_W),
        ):
            table = Seen(getattr(golden, name))
            setattr(golden, name, table)
            self._tables.append((table, at, width))

    def _put(self, at: int, words: list[int], width: int) -> None:
        assert len(words) == width
        struct.pack_into(f"<{width}Q", self._bytes, at * WORD_SZ, *words)

    def _update(self) -> None:
        golden = self.golden
        self._put(0, [getattr(golden, name) for name in GLOBALS], len(GLOBALS))
        self._put(GATEWAY_AT, _words(golden.gateway), ACCOUNT_W)
        if golden.recent is not self._recent:
            self._recent = golden.recent
            for age, recent in enumerate(golden.recent):
                self._put(RECENT_AT + age * RECENT_W, _words(recent), RECENT_W)
        for table, at, width in self._tables:
            for index in table.seen:
                self._put(at + index * width, _words(table.get(index)), width)
            table.seen.clear()

    def is_equal(self, address: int) -> bool:
        """Whether the C gate at that address (struct hwgw_risk) has the golden model's state."""
        self._update()
        return bool(inner().risk_image_is(address, self._got, self._want, WORDS))
