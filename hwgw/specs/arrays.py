"""The NumPy view of the tables; the only module of hwgw.specs that imports NumPy.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from . import load
from .model import TEXT, Field, Layout


@cache
def dtype(table: str, layout: str) -> np.dtype[Any]:
    """See hwgw.specs.dtype."""
    order = ">" if load(table).byte_order == "big" else "="
    return _record(table, load(table).layout(layout), order)


def column(array: np.ndarray[Any, Any], field: str) -> np.ndarray[Any, Any]:
    """See hwgw.specs.column."""
    values = array[field]
    if values.dtype.kind in "iu" and values.ndim == array.ndim:
        return values.astype(values.dtype.newbyteorder("="))
    if values.dtype == np.uint8 and values.ndim == array.ndim + 1:
        result = np.zeros(array.shape, np.uint64)
        for index in range(values.shape[-1]):
            result = (result << np.uint64(8)) | values[..., index].astype(np.uint64)
        return result
    return values


def _record(table: str, layout: Layout, order: str) -> np.dtype[Any]:
    return np.dtype(
        {
            "names": [field.name for field in layout.fields],
            "formats": [_format(table, field, order) for field in layout.fields],
            "offsets": [field.offset for field in layout.fields],
            "itemsize": layout.length,
        }
    )


def _format(table: str, field: Field, order: str) -> Any:
    base: Any
    if field.is_record:
        base = _find(table, field.type)
    elif field.type in TEXT:
        base = np.dtype(f"S{field.size}")
    elif field.size in (1, 2, 4, 8):
        base = np.dtype(f"{order}{'i' if field.is_signed else 'u'}{field.size}")
    else:
        base = np.dtype((np.uint8, (field.size,)))
    return base if field.count == 1 else np.dtype((base, (field.count,)))


def _find(table: str, layout: str) -> np.dtype[Any]:
    """A record of this table, or of a native one before it."""
    from . import NATIVE

    for name in (table, *NATIVE):
        if any(x.name == layout for x in load(name).layouts):
            return dtype(name, layout)
    raise KeyError(f"no record {layout}")
