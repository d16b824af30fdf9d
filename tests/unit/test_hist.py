"""Histograms: every percentile is the exact one within a 1,024th, max and count are exact."""

import os

import numpy as np
import pytest

from hwgw.native import ffi, lib

SEED = int(os.environ.get("HWGW_SEED", "7"))


def new_hist():
    memory = ffi.new("char[]", lib.hwgw_hist_sz_bytes())
    return memory, ffi.cast("struct hwgw_hist *", memory)


def exact_percentile(values: np.ndarray, pct: float) -> int:
    """Smallest value with at least pct percent of all values at or below it."""
    rank = max(1, int(np.ceil(pct / 100 * len(values))))
    return int(np.sort(values)[rank - 1])


@pytest.mark.parametrize("scale", [1, 100, 2_047, 2_048, 1 << 20, 1 << 39])
def test_percentiles_are_exact_within_a_1024th(scale):
    values = (np.random.default_rng(SEED).pareto(1.5, 20_000) * scale).astype(np.uint64)
    values = np.minimum(values, (1 << 41) - 1)
    _memory, hist = new_hist()
    for value in values.tolist():
        lib.hwgw_hist_record(hist, value)
    compared = 0
    for pct in (0, 1, 10, 50, 90, 99, 99.9, 99.99, 100):
        exact = exact_percentile(values, pct)
        found = lib.hwgw_hist_percentile(hist, pct)
        assert exact <= found <= exact + exact / 1024, (pct, exact, found)
        compared += 1
    assert compared == 9
    assert lib.hwgw_hist_cnt(hist) == len(values)
    assert lib.hwgw_hist_max(hist) == values.max()


def test_values_below_2048_are_exact():
    _memory, hist = new_hist()
    for value in range(2048):
        lib.hwgw_hist_record(hist, value)
    for value in range(2048):
        assert lib.hwgw_hist_percentile(hist, 100 * (value + 1) / 2048) == value


def test_a_value_too_large_keeps_its_maximum():
    _memory, hist = new_hist()
    lib.hwgw_hist_record(hist, 2**64 - 1)
    assert lib.hwgw_hist_max(hist) == 2**64 - 1
    assert lib.hwgw_hist_cnt(hist) == 1
    assert lib.hwgw_hist_percentile(hist, 50) >= (1 << 41) - 1


def test_merge_adds_counts_and_keeps_the_larger_maximum():
    _first_memory, first = new_hist()
    _second_memory, second = new_hist()
    for value in range(1000):
        lib.hwgw_hist_record(first, value)
        lib.hwgw_hist_record(second, 1000 + value)
    lib.hwgw_hist_merge(first, second)
    assert lib.hwgw_hist_cnt(first) == 2000
    assert lib.hwgw_hist_max(first) == 1999
    assert lib.hwgw_hist_percentile(first, 50) == 999
    assert lib.hwgw_hist_percentile(first, 75) == 1499


def test_an_empty_histogram_says_0():
    _memory, hist = new_hist()
    assert [lib.hwgw_hist_percentile(hist, pct) for pct in (0, 50, 100)] == [0, 0, 0]
