"""A batch of messages as one structured array per type, by the dtypes of the tables; which messages are wanted.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwgw import specs
from hwgw.errors import UsageError
from hwgw.native import lib
from hwgw.specs import Layout

from .source import Batch

LAYOUTS: dict[str, Layout] = {
    str(layout.code): layout for layout in specs.load("itch50").layouts if layout.kind == "message"
}
SYMBOL = "stock"
SYMBOL_SZ = 8


def _lengths() -> NDArray[np.uint16]:
    lengths = np.zeros(256, np.uint16)
    for code, layout in LAYOUTS.items():
        lengths[ord(code)] = layout.length
    return lengths


LENGTHS = _lengths()


@dataclass(frozen=True)
class TypeColumns:
    """The messages of one type. rows: their places in the batch; array: their fields as they are on the wire."""

    layout: Layout
    rows: NDArray[np.intp]
    array: NDArray[np.void]

    @property
    def has_symbol(self) -> bool:
        """Whether the type carries the symbol itself."""
        return any(field.name == SYMBOL for field in self.layout.fields)

    def column(self, name: str) -> NDArray[np.generic]:
        """A field: integers as native integers, text as bytes with its padding."""
        return specs.column(self.array, name)


def gather(batch: Batch, rows: NDArray[np.intp], layout: Layout) -> NDArray[np.void]:
    """Messages of one type and length, copied out of the batch into one array."""
    places = batch.messages["offset"][rows].astype(np.intp)[:, None] + np.arange(layout.length)
    found: NDArray[np.void] = batch.data[places].view(specs.dtype("itch50", layout.name))
    return found[:, 0]


def split(batch: Batch, selected: NDArray[np.bool_]) -> Iterator[TypeColumns]:
    """The selected messages that can be decoded, by type."""
    types = batch.types
    fits = selected & (batch.messages["len"] == LENGTHS[types]) & (LENGTHS[types] > 0)
    for byte in np.unique(types[fits]):
        rows = np.flatnonzero(fits & (types == byte))
        layout = LAYOUTS[chr(byte)]
        yield TypeColumns(layout, rows, gather(batch, rows, layout))


def broken(batch: Batch, selected: NDArray[np.bool_]) -> Iterator[tuple[int, str]]:
    """The selected messages that cannot be decoded: their place and the counter that names the cause."""
    types = batch.types
    known = (LENGTHS[types] > 0) | (batch.messages["len"] == 0)
    wrong = selected & (batch.messages["len"] != LENGTHS[types]) | selected & ~known
    for row in np.flatnonzero(wrong):
        yield int(row), "itch.drop_length" if known[row] else "itch.drop_unknown"


@dataclass
class Selection:
    """Which messages are wanted; empty means all. Learns which locates are the symbols' as the messages go by."""

    types: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()
    _wanted: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        for code in self.types - LAYOUTS.keys():
            raise UsageError(f"--type {code}: allowed are {' '.join(sorted(LAYOUTS))}")
        for symbol in self.symbols:
            if not symbol.isascii() or not 0 < len(symbol.strip()) <= SYMBOL_SZ:
                raise UsageError(f"--symbol {symbol}: allowed are 1 to {SYMBOL_SZ} ASCII characters")
        channels = int(lib.HWGW_FLOWS_MAX) if self.symbols else 0
        self._wanted = np.zeros((channels, specs.load("itch50").constant("locate_cnt")), np.bool_)

    def select(self, batch: Batch) -> NDArray[np.bool_]:
        """A mask over the messages of the batch."""
        mask = np.ones(len(batch), np.bool_)
        if self.symbols:
            mask = self._of_symbols(batch)
        if self.types:
            mask &= np.isin(batch.types, [ord(code) for code in self.types])
        return mask

    def _of_symbols(self, batch: Batch) -> NDArray[np.bool_]:
        wanted = [symbol.strip().ljust(SYMBOL_SZ).encode() for symbol in self.symbols]
        mask = np.zeros(len(batch), np.bool_)
        parts = list(split(batch, np.ones(len(batch), np.bool_)))
        for part in parts:
            if part.has_symbol:
                mask[part.rows] = is_its = np.isin(part.array[SYMBOL], wanted)
                locates = part.column("stock_locate")
                self._wanted[batch.messages["channel"][part.rows], locates] = is_its & (locates != 0)
        for part in parts:
            if not part.has_symbol:
                mask[part.rows] = self._wanted[batch.messages["channel"][part.rows], part.column("stock_locate")]
        return mask
