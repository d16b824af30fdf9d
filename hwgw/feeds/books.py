"""Order books of a whole file, in C: top-of-book or depth rows as NumPy arrays, counters, hash.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgw import specs
from hwgw.errors import UsageError
from hwgw.native import call, ffi, lib

from .columns import SYMBOL_SZ, Selection
from .progress import batches
from .source import Batch, Flow, named_counters, open_source
from .tables import RowTables

INSTRUMENTS_MAX = 65_536
ORDERS_MAX = 4 << 20
DEPTH_MAX = int(lib.HWGW_SCAN_DEPTH_MAX)
ROWS_BYTES = 8 << 20  # per batch, about


FEATURE_ROW = np.dtype(
    [
        ("seq", "u8"), ("ts_ns", "u8"), ("instrument", "u4"), ("channel", "u4"),
        *((feature.name, "i8") for feature in specs.features()),
    ]
)  # fmt: skip
assert ffi.sizeof("struct hwgw_scan_feature_row") == FEATURE_ROW.itemsize  # noqa: S101 (the struct is C's)


def row_dtype(depth: int) -> np.dtype[np.void]:
    """The dtype of a row: struct hwgw_scan_row and the levels behind it; (depth,) arrays when there are several."""
    levels = () if depth == 1 else (depth,)
    return np.dtype(
        [
            ("seq", "u8"), ("ts_ns", "u8"), ("instrument", "u4"), ("channel", "u4"),
            ("bid_qty", "u8", levels), ("ask_qty", "u8", levels), ("bid_px", "u4", levels), ("ask_px", "u4", levels),
        ]
    )  # fmt: skip


class FeedBooks:
    """Instruments, books, counters and totals that batches of messages run through; one thread at a time."""

    def __init__(self, symbols: Iterable[str] = (), orders_max: int = ORDERS_MAX, *, resident: bool = False) -> None:
        wanted = list(dict.fromkeys(symbols))
        Selection(symbols=frozenset(wanted))  # refuses what no symbol can be
        names = b"".join(symbol.strip().ljust(SYMBOL_SZ).encode() for symbol in wanted)
        instrument_cnt = self._instrument_cnt = len(wanted) or INSTRUMENTS_MAX
        instruments, books = ffi.new("struct hwgw_instruments **"), ffi.new("struct hwgw_books **")
        call(lib.hwgw_instruments_open, instruments, names, len(wanted), instrument_cnt, not wanted)
        self._instruments = ffi.gc(instruments[0], lib.hwgw_instruments_close)
        cfg = {"instrument_cnt": instrument_cnt, "orders_max": orders_max, "huge_pages": resident}
        call(lib.hwgw_books_open, books, ffi.new("struct hwgw_books_cfg *", cfg))
        self._books = ffi.gc(books[0], lib.hwgw_books_close)
        self._counters = ffi.new("uint64_t[]", int(lib.HWGW_COUNTER_CNT))
        self.totals: Any = ffi.new("struct hwgw_scan_totals *")

    def _input(self, batch: Batch) -> tuple[Any, ...]:
        messages = ffi.cast("struct hwgw_scan_message *", batch.messages.ctypes.data)
        own = (self._instruments, self._books, self._counters, self.totals)
        return ffi.from_buffer("uint8_t[]", batch.data), messages, len(batch), *own

    def apply(self, batch: Batch) -> None:
        """Every message of the batch."""
        lib.hwgw_scan_apply(*self._input(batch))

    def rows(self, batch: Batch, depth: int) -> NDArray[np.void]:
        """Every message of the batch; a row for each that changed one of the best levels."""
        rows = np.empty(len(batch) + 1, row_dtype(depth))
        cnt = lib.hwgw_scan_rows(*self._input(batch), depth, ffi.cast("uint8_t *", rows.ctypes.data))
        return rows[:cnt]

    def feature_rows(self, batch: Batch, features: Any) -> NDArray[np.void]:
        """Every message of the batch; a row of these features (struct hwgw_feature_set *) for each change of a top."""
        rows = np.empty(len(batch), FEATURE_ROW)
        instruments, books, counters = self._instruments, self._books, self._counters
        cnt = lib.hwgw_scan_features(
            *self._input(batch)[:3], instruments, books, features, counters,
            ffi.cast("struct hwgw_scan_feature_row *", rows.ctypes.data),
        )  # fmt: skip
        return rows[:cnt]

    @property
    def counters(self) -> dict[str, int]:
        """The itch and book counters that are not 0."""
        return named_counters(self._counters)

    @property
    def symbols(self) -> list[str]:
        """By instrument number, as far as they are known."""
        cnt = lib.hwgw_instruments_cnt(self._instruments)
        names = (lib.hwgw_instruments_name(self._instruments, index) for index in range(cnt))
        return [ffi.unpack(name, SYMBOL_SZ).decode("latin-1").rstrip() for name in names]

    @property
    def instrument_cnt(self) -> int:
        """How many instruments there may be."""
        return self._instrument_cnt

    @property
    def live(self) -> int:
        """Live orders."""
        return int(lib.hwgw_books_live(self._books))

    def hash(self) -> int:
        """Of every order of every book, as hwgw_books_hash defines it."""
        return int(lib.hwgw_books_hash(self._books))


class BookRows(RowTables):
    """What books() returns: iterate it once for the rows; symbols and errors grow as it goes."""

    def __init__(
        self,
        path: Path,
        symbols: Iterable[str],
        depth: int,
        groups: tuple[Flow, ...],
        orders_max: int,
        progress: bool | None = None,
    ) -> None:
        self._progress = progress
        if not 1 <= depth <= DEPTH_MAX:
            raise UsageError(f"depth={depth}: allowed is 1 to {DEPTH_MAX}")
        self.depth = depth
        self.dtype = row_dtype(depth)
        wanted = tuple(symbols)
        self._is_some = bool(wanted)
        self._source = open_source(path, groups)
        self._feed = FeedBooks(wanted, orders_max)

    def __iter__(self) -> Iterator[NDArray[np.void]]:
        step = max(64, ROWS_BYTES // self.dtype.itemsize)
        for batch in batches(self._source, progress=self._progress):
            for at in range(0, len(batch), step):
                rows = self._feed.rows(Batch(batch.data, batch.messages[at : at + step], batch.base), self.depth)
                if len(rows):
                    yield rows

    @property
    def symbols(self) -> list[str]:
        """Names by `instrument` of the rows: those asked for, else in order of appearance so far."""
        return self._feed.symbols

    @property
    def errors(self) -> dict[str, int]:
        """Messages so far that could not be decoded or contradict the book, and lost ones, by cause; {} is sound."""
        return found_errors(self._source.counters() | self._feed.counters, is_some=self._is_some)


def found_errors(counters: dict[str, int], *, is_some: bool) -> dict[str, int]:
    """What of the counters is wrong; is_some: only some symbols were asked for, the others are no error."""
    no_error = {"mold.drop_duplicate"}  # a second line of the same stream
    no_error |= {"book.drop_instrument"} if is_some else set()
    wrong = (name for name in counters if ".drop_" in name or name == "mold.missing")
    return {name: counters[name] for name in wrong if name not in no_error}


def books(
    path: str | os.PathLike[str],
    symbols: Iterable[str] | None = None,
    depth: int = 1,
    *,
    groups: Iterable[str] = (),
    orders_max: int = ORDERS_MAX,
    progress: bool | None = None,
) -> BookRows:
    """Rebuild the books of a file and give a row for every change of its best levels.

    path: BinaryFILE of ITCH 5.0 (also gzipped), or a pcap or pcapng of MoldUDP64; groups restricts a capture to
    "G:P" of those named. symbols: only these, in this order; None: all. orders_max: live orders at a time.
    progress: a bar on stderr; None: when that is a terminal and it takes longer than a second.

    Iterating the result gives structured NumPy arrays in the order of the file, in bounded memory: `seq` (number of the
    message), `ts_ns` (exchange time since midnight), `instrument` (index into the result's `symbols`), `channel`,
    `bid_px`, `ask_px` (1/10,000), `bid_qty`, `ask_qty` (shares); 0 where there is no level, arrays of `depth` (best
    first, up to 64) when it is above 1. A row stands behind every message that changed a level it shows. `.arrow()`
    gives Arrow tables instead, `.parquet(output)` writes a file. After the last one `errors` says what was wrong with
    the messages. UsageError: an argument out of range; CheckFailed: the file is damaged, after every row before it.
    """
    flows = tuple(Flow.parse(group) for group in groups)
    return BookRows(Path(path), symbols or (), depth, flows, orders_max, progress)
