"""Features of a whole file, by the C code that makes them for strategies, as NumPy rows.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hwgw.errors import UsageError
from hwgw.feature_choice import Wanted, native_features, parse_all
from hwgw.native import call, ffi, lib

from .books import ORDERS_MAX, FeedBooks, found_errors
from .progress import batches
from .source import Flow, open_source
from .tables import RowTables

SIDES = {"buy": int(lib.HWGW_ORDER_SIDE_BUY), "sell": int(lib.HWGW_ORDER_SIDE_SELL)}


class FeatureRows(RowTables):
    """What features() returns: iterate it once for the rows; symbols and errors grow as it goes."""

    def __init__(
        self,
        path: Path,
        wanted: Wanted,
        symbols: Iterable[str],
        groups: tuple[Flow, ...],
        orders_max: int,
        progress: bool | None = None,
    ) -> None:
        self._progress = progress
        names = tuple(symbols)
        self._is_some = bool(names)
        self._source = open_source(path, groups)
        self._feed = FeedBooks(names, orders_max)
        made = ffi.new("struct hwgw_feature_set **")
        call(lib.hwgw_features_open, made, native_features(wanted), self._feed.instrument_cnt)
        self._set = ffi.gc(made[0], lib.hwgw_features_close)
        self._names = tuple(wanted)
        self._followed = 0

    def follow(self, symbol: str, side: str, ref: int) -> None:
        """Take an order of the file for our own, so that the queue features speak of it; before the first row.

        symbol: one of those asked for. side: buy or sell. ref: its reference in the feed.
        """
        if symbol not in self._feed.symbols or side not in SIDES or ref < 1:
            raise UsageError(f"follow {symbol!r} {side!r} {ref}: a symbol asked for, buy or sell, a reference from 1")
        self._followed += 1
        instrument = self._feed.symbols.index(symbol)
        if not lib.hwgw_features_follow(self._set, instrument, SIDES[side], self._followed, ref):
            raise UsageError(f"follow {symbol!r} {ref}: at most {lib.HWGW_FEATURES_OWN_MAX} orders of a symbol")

    def __iter__(self) -> Iterator[NDArray[Any]]:
        from numpy.lib.recfunctions import repack_fields

        for batch in batches(self._source, progress=self._progress):
            rows = self._feed.feature_rows(batch, self._set)
            if len(rows):
                yield repack_fields(rows[["seq", "ts_ns", "instrument", "channel", *self._names]])

    @property
    def symbols(self) -> list[str]:
        """Names by `instrument` of the rows."""
        return self._feed.symbols

    @property
    def errors(self) -> dict[str, int]:
        """As of hwgw.books: what was wrong so far, by cause; {} is sound."""
        return found_errors(self._source.counters() | self._feed.counters, is_some=self._is_some)


def features(
    path: str | os.PathLike[str],
    wanted: Iterable[str],
    symbols: Iterable[str] | None = None,
    *,
    groups: Iterable[str] = (),
    orders_max: int = ORDERS_MAX,
    progress: bool | None = None,
) -> FeatureRows:
    """Make features of a file: a row behind every message that changed a top of book, as a strategy would get it.

    wanted: names of docs/features.md, with a parameter behind a colon: "imbalance:5". The other arguments, and the
    columns in front of the features, are those of hwgw.books. Every feature is an int64 in the unit of its table.
    """
    chosen = parse_all(wanted)
    if not chosen:
        raise UsageError("features: none is asked for")
    flows = tuple(Flow.parse(group) for group in groups)
    return FeatureRows(Path(path), chosen, symbols or (), flows, orders_max, progress)
