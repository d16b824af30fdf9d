"""Rows of the shared segment as NumPy views, names and figures.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import specs
from .logs import plain
from .native import ffi

__all__ = ["enum_names", "field_text", "quality_of", "slots_ns", "view"]

QUALITY_SHARES = {"p50": 0.5, "p99": 0.99}


def view(pointer: Any, layout: str, cnt: int, table: str = "segment") -> np.ndarray[Any, Any]:
    """Rows of a layout at a native pointer, live and not copied; valid as long as what the pointer is of."""
    dtype = specs.dtype(table, layout)
    return np.frombuffer(ffi.buffer(pointer, dtype.itemsize * cnt), dtype)


def enum_names(enum: str, table: str = "segment") -> dict[int, str]:
    """The names of an enumeration by value."""
    return {int(code.value): code.slug for code in specs.load(table).enums[enum].values if code.value is not None}


def field_text(field: Any) -> str:
    """What stands in a field, of which others may have written every byte: a venue, a feed, a person."""
    return plain(bytes(field).split(b"\0")[0].decode("utf-8", "replace"))


def slots_ns(slots: np.ndarray[Any, Any], share: float) -> int | None:
    """Upper end of the slot below which so many of the times lie; None when there are none."""
    sums = np.cumsum(slots.astype(np.uint64))
    if not int(sums[-1]):
        return None
    slot = int(np.searchsorted(sums, share * float(sums[-1])))
    return 3 * (1 << slot // 2) // 2 if slot % 2 == 0 else 1 << slot // 2 + 1


def quality_of(row: Any) -> dict[str, Any]:
    """A row `quality` in figures: rates as shares of one, slippage in basis points (positive is worse), times in ns."""
    count = {key: int(row[key]) for key in ("sent", "acknowledged", "rejected", "lost", "filled", "executed_qty")}
    money = int(row["arrival_money"])
    codes = zip(row["reject_code"].tolist(), row["reject_cnt"].tolist(), strict=True)
    return {
        **count,
        "fill_rate": count["filled"] / count["acknowledged"] if count["acknowledged"] else None,
        "slip_mid_bps": 1e4 * int(row["slip_mid"]) / money if money else None,
        "slip_micro_bps": 1e4 * int(row["slip_micro"]) / money if money else None,
        "reject_reasons": {str(code): cnt for code, cnt in codes if cnt}
        | ({"other": int(row["reject_other"])} if int(row["reject_other"]) else {}),
        "sent_to_ack_ns": {name: slots_ns(row["ack_ns"], share) for name, share in QUALITY_SHARES.items()},
        "ack_to_fill_ns": {name: slots_ns(row["fill_ns"], share) for name, share in QUALITY_SHARES.items()},
    }
