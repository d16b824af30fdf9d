"""Rows of books and features as Arrow tables and Parquet files.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from .writers import arrow_module

if TYPE_CHECKING:
    import pyarrow as pa


def rows_table(rows: NDArray[Any]) -> pa.Table:
    """Structured rows as a table; a column of several levels becomes lists of that length."""
    arrow = arrow_module("pyarrow")
    columns = {}
    for name in rows.dtype.names or ():
        values = rows[name]
        flat = arrow.array(values.reshape(-1))
        is_list = values.ndim == 2
        columns[name] = arrow.FixedSizeListArray.from_arrays(flat, values.shape[1]) if is_list else flat
    return arrow.table(columns)


class RowTables:
    """What gives rows in batches also gives tables."""

    def __iter__(self) -> Iterator[NDArray[Any]]:
        raise NotImplementedError

    def arrow(self) -> Iterator[pa.Table]:
        """The rows of each batch as an Arrow table; needs pyarrow."""
        return map(rows_table, self)

    def parquet(self, output: str | os.PathLike[str]) -> None:
        """Write all rows into one file, a row group per batch; needs pyarrow. No file without rows."""
        writer = None
        try:
            for table in self.arrow():
                writer = writer or arrow_module("pyarrow.parquet").ParquetWriter(Path(output), table.schema)
                writer.write_table(table)
        finally:
            if writer:
                writer.close()
