"""The receive benchmark at its smallest size: it runs, and its figures are those that were promised.

SPDX-License-Identifier: MIT
"""

import os

import pytest

from tests.bench import bench_rx
from tests.bench.harness import Options

pytestmark = [pytest.mark.root, pytest.mark.afxdp, pytest.mark.slow]


def test_every_figure_is_measured_against_a_baseline_of_the_same_run():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    results = {result.name: result for result in bench_rx.run(Options(smoke=True, quiet=True))}
    assert set(results) >= {"rx_afxdp_mpps", "rx_oneway_us_p50", "rx_oneway_us_p99", "rx_udp_mpps"}
    for result in results.values():
        assert result.min > 0
        assert result.min <= result.value <= result.max
        assert result.baseline.startswith("kernel recv")
        assert result.ratio > 0
        assert result.runs == 2
