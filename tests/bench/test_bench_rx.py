"""The receive benchmark: its figures are those that were promised, and its table is written from them.

SPDX-License-Identifier: MIT
"""

import os
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import bench_rx
from tests.bench.harness import Options, result

pytestmark = [pytest.mark.root, pytest.mark.afxdp, pytest.mark.slow]


@pytest.fixture(scope="module")
def results():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    before = Path("/proc/sys/vm/nr_hugepages").read_text()
    ways = ("udp", "afxdp", "afxdp_pipeline", "python")
    found = bench_rx.run(Options(smoke=True, quiet=True), ways, bench_rx.SIZES)
    assert Path("/proc/sys/vm/nr_hugepages").read_text() == before
    return {each.name: each for each in found}


def test_every_figure_is_measured_in_the_same_run_as_its_baseline(results):
    promised = {"rx_afxdp_mpps", "rx_oneway_us_p50"}
    assert set(results) >= promised | {"rx_udp_1000b_mpps", "rx_afxdp_pipeline_mpps", "rx_oneway_us_1000b_p999"}
    assert len(results) >= 4 * 2 * 4
    for each in results.values():
        assert each.value > 0
        if each.baseline:
            assert each.baseline == "kernel recvmmsg"
            assert each.ratio > 0
    assert results["rx_afxdp_pipeline_mpps"].baseline == "kernel recvmmsg"
    assert 0.05 < results["rx_injector_mpps"].value < 50


def test_percentiles_rise(results):
    for middle in ("", "udp_", "python_"):
        p50, p99, p999 = (results[f"rx_oneway_{middle}us_{field}"].value for field in ("p50", "p99", "p999"))
        assert 0 < p50 <= p99 <= p999


def test_the_table_has_a_row_per_way_and_leaves_other_figures_alone(results, tmp_path):
    page = tmp_path / "page.md"
    frame = (
        "<!-- figures begin -->\nkept\n<!-- figures end -->\n<!-- receive begin -->\nold\n<!-- receive end -->\ntail\n"
    )
    page.write_text(frame)
    bench.document(page, list(results.values()), 0.0, [("rx_dpdk", "this hwgw has no backend dpdk")])
    text = page.read_text()
    assert text.startswith("<!-- figures begin -->\nkept\n<!-- figures end -->\n<!-- receive begin -->\nMachine: ")
    assert text.endswith("<!-- receive end -->\ntail\n")
    assert "old" not in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [row.split("|")[1].strip() for row in rows] == [
        bench_rx.TEXTS[way] for way in ("udp", "afxdp", "afxdp_pipeline", "python")
    ]
    rate = results["rx_afxdp_1000b_mpps"].value
    assert f" {rate:.2f} (" in rows[1]
    assert {row.count("|") for row in rows} == {8}
    assert "Not measured: `rx_dpdk`: this hwgw has no backend dpdk." in text


def test_other_figures_leave_the_receive_table_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- figures begin -->\n<!-- figures end -->\n<!-- receive begin -->\nkept\n<!-- receive end -->\n"
    )
    bench.document(page, [result("risk_ns_p50", "ns", [40.0])], 0.0, [])
    assert "| `risk_ns_p50` | 40 | ns |" in page.read_text()
    assert "<!-- receive begin -->\nkept\n" in page.read_text()
    page.write_text("nothing")
    with pytest.raises(SystemExit, match="it has no <!-- figures begin -->"):
        bench.document(page, [result("risk_ns_p50", "ns", [40.0])], 0.0, [])
