"""Decoded messages of a file as columns: NumPy arrays, Arrow tables, Parquet.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .columns import LAYOUTS, Selection, TypeColumns, broken, split
from .progress import batches
from .source import Batch, Flow, open_source

if TYPE_CHECKING:
    import pyarrow as pa

Columns = dict[str, dict[str, NDArray[Any]]]


class Messages:
    """What decode() returns: iterate it once, in one of its ways; errors grow as it goes."""

    def __init__(
        self, path: Path, selection: Selection, groups: tuple[Flow, ...], progress: bool | None = None
    ) -> None:
        self._progress = progress
        self._source = open_source(path, groups)
        self._selection = selection
        self._errors: Counter[str] = Counter()

    def _parts(self) -> Iterator[tuple[Batch, list[TypeColumns]]]:
        for batch in batches(self._source, progress=self._progress):
            mask = self._selection.select(batch)
            self._errors.update(cause for _, cause in broken(batch, mask))
            yield batch, list(split(batch, mask))

    def __iter__(self) -> Iterator[Columns]:
        """A batch: message type by its name, then field by its name, with `seq` in front."""
        for batch, parts in self._parts():
            yield {part.layout.name: _columns(batch, part) for part in parts}

    def arrow(self) -> Iterator[dict[str, pa.Table]]:
        """The same as Arrow tables, text as strings."""
        from .writers import arrow_table

        for batch, parts in self._parts():
            yield {part.layout.name: arrow_table(batch, part) for part in parts}

    def parquet(self, output: str | os.PathLike[str]) -> None:
        """Write them all: a file when one type was asked for, else a folder with a file per type."""
        from .writers import ParquetWriter

        writer = ParquetWriter(Path(output), self._selection.types or LAYOUTS)
        try:
            for batch, parts in self._parts():
                writer.write(batch, parts, [])
        finally:
            writer.close()

    @property
    def errors(self) -> dict[str, int]:
        """Messages so far that could not be decoded, and what a capture lost, by cause; {} is sound."""
        found = self._source.counters()
        found.pop("mold.drop_duplicate", None)  # a second line of the same stream is no error
        lost = {name: cnt for name, cnt in found.items() if ".drop_" in name or name == "mold.missing"}
        return lost | dict(self._errors)


def _columns(batch: Batch, part: TypeColumns) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {"seq": np.asarray(batch.messages["seq"][part.rows])}
    return columns | {field.name: part.column(field.name) for field in part.layout.fields}


def decode(
    path: str | os.PathLike[str],
    types: Iterable[str] = (),
    symbols: Iterable[str] = (),
    *,
    groups: Iterable[str] = (),
    progress: bool | None = None,
) -> Messages:
    """Decode a file into columns.

    path: BinaryFILE of ITCH 5.0 (also gzipped), or a pcap or pcapng of MoldUDP64; groups restricts a capture to
    "G:P" of those named. types ("A", "E" ...) and symbols restrict the messages; none means all. progress: a bar on
    stderr; None: when that is a terminal and it takes longer than a second.

    Iterating the result gives, for every batch of the file (bounded memory), {type name: {field: NumPy array}}: the
    integers of the wire in host order (prices in 1/10,000, times in ns since midnight), text as bytes. `.arrow()` gives
    Arrow tables, `.parquet(output)` writes files; both need pyarrow. After the last batch `errors` says what could not
    be decoded. UsageError: a type or symbol that is none; CheckFailed: the file is damaged, after all before it.
    """
    flows = tuple(Flow.parse(group) for group in groups)
    return Messages(Path(path), Selection(frozenset(types), frozenset(symbols)), flows, progress)
