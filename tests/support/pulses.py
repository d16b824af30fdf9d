"""What a jitter meter has to say of interruptions that are known: where they were, and how long.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwgw.jitter import Cpu

Array = np.ndarray[Any, Any]


def inside(gaps: Array, truth: Array) -> Array:
    """The pulses (start, end) that lie within the time that the meter ran."""
    start = gaps["t_ticks"].astype(np.int64)
    end = start + gaps["ticks"].astype(np.int64)
    return truth[(truth[:, 0] >= start[0]) & (truth[:, 1] <= end[-1])]


def check(gaps: Array, truth: Array, tick_ns: float, length_ns_wanted: float) -> int:
    """Hold gaps against pulses; how many pulses lie in a gap that holds nothing else.

    Every second pulse is four times as long as the others, so that a wrong rate cannot pass for longer switches. A
    pulse that ran on the core lies within a gap that the meter saw there, and one that holds nothing else is as long
    as it and two context switches. AssertionError when one does not fit.
    """
    start = gaps["t_ticks"].astype(np.int64)
    end = start + gaps["ticks"].astype(np.int64)
    at = np.searchsorted(start, truth[:, 0], side="right") - 1
    assert (start[at] <= truth[:, 0]).all()
    assert (end[at] >= truth[:, 1]).all(), "a pulse ran while the meter says that it had the core"
    length_ns = (truth[:, 1] - truth[:, 0]) * tick_ns
    rest_ns = (end - start)[at] * tick_ns - length_ns
    clean = rest_ns < 60_000
    is_long = length_ns > 2 * length_ns_wanted
    assert np.median(length_ns[~is_long]) == pytest.approx(length_ns_wanted, rel=0.1), "no pulses as they should be"
    if min((clean & is_long).sum(), (clean & ~is_long).sum()) < 10:
        return int(clean.sum())
    longer = [np.median(row[clean & is_long]) - np.median(row[clean & ~is_long]) for row in (length_ns, rest_ns)]
    assert abs(longer[1]) < 0.02 * longer[0], "the longer pulses are not longer by as much"
    # p99 of what was seen, less the usual switch, is p99 of what there was
    seen = (end - start)[at][clean] * tick_ns - np.median(rest_ns[clean])
    for chosen in (is_long, ~is_long):
        there = np.median(length_ns[clean & chosen])
        assert np.median(seen[chosen[clean]]) == pytest.approx(there, rel=0.02)
    quiet = np.percentile(rest_ns[clean], 99) - np.median(rest_ns[clean]) < 0.02 * length_ns_wanted
    if quiet:
        assert np.percentile(seen, 99) == pytest.approx(np.percentile(length_ns[clean], 99), rel=0.02)
    return int(clean.sum())


def check_statistics(found: Cpu, tick_ns: float) -> None:
    """The statistics are those of the list of gaps, computed anew."""
    assert found.gaps is not None
    gap_ns = found.gaps["ticks"] * tick_ns
    assert found.cnt == len(gap_ns)
    assert found.total_ns == pytest.approx(gap_ns.sum(), rel=1e-6, abs=1)  # whole nanoseconds
    assert found.max_ns == pytest.approx(gap_ns.max(), rel=1e-6, abs=1)
    ordered = np.sort(gap_ns)
    for pct, value in found.percentile_ns.items():
        rank = max(1, int(np.ceil(pct / 100 * len(ordered))))
        assert value == pytest.approx(ordered[rank - 1], rel=0.002), pct
    for over, share in found.wait.items():
        expected = np.maximum(0, gap_ns - over).sum() / found.run_ns
        assert share == pytest.approx(expected, rel=0.01, abs=1e-6), over
