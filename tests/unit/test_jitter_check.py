"""The check of the jitter meter finds a meter that is broken: one that misses, shortens, moves or miscounts.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support import pulses

from hwgw import jitter, native
from hwgw.jitter import Cpu

TICK_NS = 0.4
CNT, PULSE, PERIOD, SWITCH = 200, 250_000, 25_000_000, 5_000  # ticks: 100 us every 10 ms, 2 us of switches
Array = np.ndarray[Any, Any]


def honest() -> tuple[Array, Array]:
    """Return the gaps of a good meter and the pulses that made them, with a switch before and after."""
    rng = np.random.default_rng(int(os.environ.get("HWGW_SEED", "1")))
    start = np.arange(1, CNT + 1, dtype=np.int64) * PERIOD
    length = np.where(np.arange(CNT) % 2, 4 * PULSE, PULSE) + rng.integers(0, 2_000, CNT)
    truth = np.stack([start, start + length], axis=1)
    gaps = np.zeros(CNT, dtype=[("t_ticks", "u8"), ("ticks", "u8")])
    before, after = rng.integers(SWITCH - 500, SWITCH, (2, CNT))
    gaps["t_ticks"] = start - before
    gaps["ticks"] = truth[:, 1] + after - gaps["t_ticks"].astype(np.int64)
    return gaps, truth


def changed(column: str, how: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Return what a meter tells whose column is wrong."""

    def broken(gaps: Array) -> Array:
        gaps = gaps.copy()
        gaps[column] = how(gaps[column].astype(np.float64)).astype(np.uint64)
        return gaps

    return broken


BROKEN = {
    "misses one in ten": lambda gaps: np.delete(gaps, np.arange(5, CNT, 10)),
    "misses one of all": lambda gaps: np.delete(gaps, CNT // 2),
    "does not see the switch back": changed("ticks", lambda ticks: ticks - 2 * SWITCH),
    "a clock that is 3 % slow": changed("ticks", lambda ticks: ticks * 0.97),
    "a clock that is 3 % fast": changed("ticks", lambda ticks: ticks * 1.03),
    "begins a gap at its end": changed("t_ticks", lambda at: at + PULSE),
    "cuts long gaps off": changed("ticks", lambda ticks: np.minimum(ticks, PULSE + 10_000)),
    "rounds to 32 us": changed("ticks", lambda ticks: np.ceil(ticks / 80_000) * 80_000),
}


def test_a_good_meter_passes() -> None:
    gaps, truth = honest()
    assert pulses.check(gaps, pulses.inside(gaps, truth), TICK_NS, 100_000) == CNT


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_meter_is_found(name: str) -> None:
    gaps, truth = honest()
    with pytest.raises(AssertionError):
        pulses.check(BROKEN[name](gaps), truth, TICK_NS, 100_000)


def test_statistics_that_are_not_those_of_the_gaps_are_found() -> None:
    """A real run; then each figure of it changed."""
    tick_ns = 1e9 / native.lib.hwgw_ticks_hz()
    found = jitter.measure([max(os.sched_getaffinity(0))], 0.1, threshold_ns=2_000)[0]
    if found.gaps is None or found.cnt < 3 or found.cnt != len(found.gaps):
        pytest.skip("this machine was not interrupted often enough, or too often")
    pulses.check_statistics(found, tick_ns)
    wrong: list[Cpu] = [
        replace(found, cnt=found.cnt - 1), replace(found, total_ns=int(found.total_ns * 0.99)),
        replace(found, max_ns=int(found.max_ns * 1.01)),
        replace(found, percentile_ns={pct: int(value * 1.01) for pct, value in found.percentile_ns.items()}),
        replace(found, wait={over: share * 2 + 0.01 for over, share in found.wait.items()}),
    ]  # fmt: skip
    for each in wrong:
        with pytest.raises(AssertionError):
            pulses.check_statistics(each, tick_ns)
