"""The C feed path as the tests call it, in the shapes of the golden models.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwgw import specs
from hwgw.native import call, ffi, lib

COUNTERS = {counter.index: f"{counter.stage}.{counter.name}" for counter in specs.counters()}
EVENT_FIELDS = tuple(field.name for field in specs.load("event").layout("event").fields)
TOB_FIELDS = ("bid_px", "ask_px", "bid_qty", "ask_qty", "bid_cnt", "ask_cnt", "last_px", "last_qty", "update_cnt")
SIDES = (1, 2)
BOOK_ORDER = np.dtype([("ref", "u8"), ("qty", "u4"), ("px", "u4")])  # struct hwgw_book_order


def data_file(shared: Path, name: str) -> Path:
    """A file of ../shared/data, or a skip that names it."""
    path = shared / "data" / name
    if not path.exists():
        pytest.skip(f"../shared/data/{name} is not here")
    return path


def decode(message: bytes, event: Any) -> str | None:
    """hwgw_itch_decode; the cause of a drop or None."""
    cause = lib.hwgw_itch_decode(message, len(message), event)
    return COUNTERS[cause] if cause else None


class NativeBooks:
    """struct hwgw_books with the methods of hwgw_sim.golden.book.Books."""

    def __init__(
        self, instrument_cnt: int, orders_max: int = 100_000, levels_max: int = 0, *, resident: bool = False
    ) -> None:
        cfg = {
            "instrument_cnt": instrument_cnt,
            "orders_max": orders_max,
            "levels_max": levels_max,
            "huge_pages": resident,
        }
        out = ffi.new("struct hwgw_books **")
        call(lib.hwgw_books_open, out, ffi.new("struct hwgw_books_cfg *", cfg))
        self.native = ffi.gc(out[0], lib.hwgw_books_close)
        self.instrument_cnt = instrument_cnt
        self._event = ffi.new("struct hwgw_event *")
        self._changed = ffi.new("bool *")

    def apply(self, event: dict[str, int]) -> tuple[str, bool]:
        ffi.memmove(self._event, bytes(ffi.sizeof("struct hwgw_event")), ffi.sizeof("struct hwgw_event"))
        for name, value in event.items():
            setattr(self._event, name, value)
        result = self.apply_native(self._event)
        event["px"] = self._event.px
        return result

    def apply_native(self, event: Any) -> tuple[str, bool]:
        cause = lib.hwgw_books_apply(self.native, event, self._changed)
        return COUNTERS[cause], self._changed[0]

    def clear(self) -> None:
        lib.hwgw_books_clear(self.native)

    def clear_instrument(self, instrument: int) -> None:
        lib.hwgw_books_clear_instrument(self.native, instrument)

    def live(self) -> int:
        return int(lib.hwgw_books_live(self.native))

    def top(self, instrument: int) -> dict[str, int]:
        top = ffi.new("struct hwgw_tob *")
        lib.hwgw_books_top(self.native, instrument, top)
        return {name: getattr(top, name) for name in TOB_FIELDS}

    def depth(self, instrument: int, side: int, level_max: int) -> list[tuple[int, int, int]]:
        levels = ffi.new("struct hwgw_level[]", level_max)
        cnt = lib.hwgw_books_depth(self.native, instrument, side, levels, level_max)
        return [(level.px, level.cnt, level.qty) for level in levels[0:cnt]]

    def orders(self, instrument: int, side: int) -> list[tuple[int, int, int]]:
        cnt = lib.hwgw_books_orders(self.native, instrument, side, ffi.NULL, 0)
        orders = np.empty(cnt, BOOK_ORDER)
        place = ffi.cast("struct hwgw_book_order *", orders.ctypes.data)
        assert lib.hwgw_books_orders(self.native, instrument, side, place, cnt) == cnt
        return list(orders.tolist())

    def hash_instrument(self, instrument: int) -> int:
        return int(lib.hwgw_books_hash_instrument(self.native, instrument))

    def hash(self) -> int:
        return int(lib.hwgw_books_hash(self.native))

    def state(self) -> Iterator[tuple[Any, ...]]:
        """Everything a reader can see of every instrument."""
        for instrument in range(self.instrument_cnt):
            yield self.top(instrument), *(self.orders(instrument, side) for side in SIDES)
