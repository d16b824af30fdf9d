"""What a gateway shows of its books beside their tops, when its configuration says so: best levels, and features.

SPDX-License-Identifier: MIT

Rows of the shared segment under a seqlock; what is given here is a copy that is consistent in itself. Units:
hwgw/specs/features.yaml and segment.yaml (prices 1/10,000, quantities shares).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import specs
from .errors import CheckFailed

if TYPE_CHECKING:
    from .segment import Segment

__all__ = ["consistent", "depth", "feature_names", "features", "levels", "readable"]

_TRIES = 1000
_ONE = 65_536


def consistent(rows: NDArray[np.void], names: Sequence[str], whose: str) -> NDArray[np.void]:
    """A copy of rows under a seqlock, each whole. CheckFailed when a gateway died while it wrote one of them."""
    copies: NDArray[np.void] = np.empty(len(rows), rows.dtype)
    left = np.arange(len(rows))
    for _ in range(_TRIES):
        before = rows["lock"][left]
        copies[left] = rows[left]
        torn = (before & 1 == 1) | (rows["lock"][left] != before)
        left = left[torn]
        if not len(left):
            return copies
    raise CheckFailed(f"{whose} of {names[left[0]]} was left half written")


def depth(segment: Segment, instrument: int) -> NDArray[np.void]:
    """The best levels of one instrument, best first: rows of bid and ask, each px, cnt, qty; 0: none."""
    if segment.depth_rows is None:
        raise CheckFailed(f"{segment.name} shows no levels: its configuration has no publish.depth")
    one = slice(instrument, instrument + 1)
    row = consistent(segment.depth_rows[one], segment.instruments[one], f"{segment.name}: the depth")[0]
    levels = int(segment.head["depth_levels"])
    level = specs.dtype("hook", "level")
    sides: NDArray[np.void] = np.empty(levels, [("bid", level), ("ask", level)])
    sides["bid"], sides["ask"] = row["bid"][:levels], row["ask"][:levels]
    return sides


def levels(segment: Segment) -> dict[str, dict[str, list[list[int]]]]:
    """The best levels of every instrument, as JSON carries them: by symbol and side [px, qty, cnt], best first."""
    if segment.depth_rows is None:
        return {}
    whole = consistent(segment.depth_rows, segment.instruments, f"{segment.name}: the depth")
    most = int(segment.head["depth_levels"])
    sides = {}
    for side in ("bid", "ask"):
        rows = whole[side][:, :most]
        sides[side] = np.stack([rows[key].astype(np.int64) for key in ("px", "qty", "cnt")], axis=2).tolist()
    return {
        symbol: {side: [level for level in rows[number] if level[2]] for side, rows in sides.items()}
        for number, symbol in enumerate(segment.instruments)
    }


def feature_names(segment: Segment) -> dict[str, int | None]:
    """The features that are shown, each with its parameter; empty: none are."""
    mask, params = int(segment.head["feature_mask"]), segment.head["feature_param"]
    return {
        each.name: int(params[each.index]) if each.param else None
        for each in specs.features()
        if mask >> each.index & 1
    }


def features(segment: Segment) -> NDArray[np.void]:
    """A row per instrument: ts_ns, seq, row_cnt and each feature that is shown, behind the last change of its top."""
    names = [*feature_names(segment)]
    if segment.feature_rows is None:
        raise CheckFailed(f"{segment.name} shows no features: its configuration has no publish.features")
    whole = consistent(segment.feature_rows, segment.instruments, f"{segment.name}: the features")
    head = ("ts_ns", "seq", "row_cnt")
    rows: NDArray[np.void] = np.empty(
        len(whole), [*((name, whole.dtype[name]) for name in head), *((name, np.int64) for name in names)]
    )
    for name in head:
        rows[name] = whole[name]
    for name in names:
        rows[name] = whole["features"][name]
    return rows


def readable(value: int, unit: str) -> float:
    """A feature for people: prices in units of the currency, ratios and sums without their binary places."""
    scaled = value / _ONE if "2^16" in unit or "2^-16" in unit else float(value)
    if "per 1/10,000" in unit:
        return scaled * 10_000
    return scaled / 10_000 if unit.startswith("1/10,000") else scaled
