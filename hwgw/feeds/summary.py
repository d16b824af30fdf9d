"""A whole file through decoder and books, in C: what it holds, what is wrong with it, what book it leaves.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hwgw.errors import CheckFailed
from hwgw.native import call, ffi, lib

from .source import Batch, Capture, Flow, RecordFile, named_counters

INSTRUMENTS_MAX = 65_536
ORDERS_MAX = 4 << 20


@dataclass(frozen=True)
class Summary:
    """messages are those handed to the decoder; errors are the drop counters, and what mold found missing."""

    format: str
    messages: int = 0
    types: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    first_timestamp_ns: int | None = None
    last_timestamp_ns: int | None = None
    book_hash: str = ""
    instruments: int = 0
    orders_live: int = 0
    flows: tuple[Flow, ...] = ()
    damage: str = ""


class _Totals:
    """The C side: instruments in order of appearance, their books, counters."""

    def __init__(self) -> None:
        instruments, books = ffi.new("struct hwgw_instruments **"), ffi.new("struct hwgw_books **")
        call(lib.hwgw_instruments_open, instruments, ffi.NULL, 0, INSTRUMENTS_MAX, True)
        self.instruments = ffi.gc(instruments[0], lib.hwgw_instruments_close)
        cfg = {"instrument_cnt": INSTRUMENTS_MAX, "orders_max": ORDERS_MAX}
        call(lib.hwgw_books_open, books, ffi.new("struct hwgw_books_cfg *", cfg))
        self.books = ffi.gc(books[0], lib.hwgw_books_close)
        self.counters = ffi.new("uint64_t[]", int(lib.HWGW_COUNTER_CNT))
        self.totals = ffi.new("struct hwgw_scan_totals *")

    def apply(self, batch: Batch) -> None:
        lib.hwgw_scan_apply(
            ffi.from_buffer("uint8_t[]", batch.data),
            ffi.cast("struct hwgw_scan_message *", batch.messages.ctypes.data),
            len(batch), self.instruments, self.books, self.counters, self.totals,
        )  # fmt: skip


def _errors(counters: dict[str, int]) -> dict[str, int]:
    return {name: cnt for name, cnt in counters.items() if ".drop_" in name or name == "mold.missing"}


def summarize(source: RecordFile | Capture) -> Summary:
    """Read a source to its end; damage is in the result, not raised."""
    totals, messages, damage = _Totals(), 0, ""
    try:
        for batch in source.batches():
            totals.apply(batch)
            messages += len(batch)
    except CheckFailed as error:
        damage = str(error)
    counters = source.counters()
    # a second line of the same stream is no error
    counters.pop("mold.drop_duplicate", None)
    found: Any = totals.totals
    decoded = totals.counters[lib.HWGW_CNT_ITCH_MESSAGES]
    return Summary(
        format=source.format,
        messages=messages,
        types={chr(byte): cnt for byte, cnt in enumerate(found.types) if cnt},
        errors=_errors(counters) | _errors(named_counters(totals.counters)) | ({"file.damage": 1} if damage else {}),
        first_timestamp_ns=found.first_ts_ns if decoded else None,
        last_timestamp_ns=found.last_ts_ns if decoded else None,
        book_hash=f"{lib.hwgw_books_hash(totals.books):016x}",
        instruments=lib.hwgw_instruments_cnt(totals.instruments),
        orders_live=lib.hwgw_books_live(totals.books),
        flows=tuple(source.flows()),
        damage=damage,
    )
