"""Metrics: every counter once with its value, whole histograms, names by convention, and nothing hidden.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from support.market import free_port
from support.rig import open_limits

from hwgw import specs
from hwgw.native import ffi, lib
from hwgw.segment import STAGES, Segment
from hwgw.telemetry.metrics import BUCKETS_NS, GatewayCollector, families_of


@pytest.fixture
def segment() -> Iterator[Segment]:
    """A gateway whose counters are their own numbers, with latencies from 1 to 1,000 us."""
    name = f"metrics-{os.getpid()}"
    with Segment.create(name, ["AAPL", "MSFT"], thread_cnt=2, journal_sz_bytes=65_536) as made:
        for thread in range(2):
            block = lib.hwgw_segment_counters(made.pointer, thread)
            cnt = len(specs.counters())
            np.frombuffer(ffi.buffer(block, 8 * cnt), np.uint64)[:] = np.arange(cnt) * (thread + 1)
        rate = int(made.head["tsc_hz"]) / 1e6
        for us in range(1, 1001):
            lib.hwgw_hist_record(lib.hwgw_segment_hist(made.pointer, us % 2, 0), round(us * rate))
        made.publish_limits(open_limits(2))
        made.halt("for the test", "operator")
        yield made
        made.resume()


def scrape(*names: str) -> dict[str, Metric]:
    registry = CollectorRegistry()
    registry.register(GatewayCollector(names))
    found = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert len({family.name for family in found}) == len(found)
    return {family.name: family for family in found}


def test_every_counter_stands_once_with_its_value(segment):
    found = scrape(segment.name)
    values = {
        (
            sample.name.removesuffix("_total"),
            sample.labels.get("cause") or sample.labels.get("reason") or "",
        ): sample.value
        for family in found.values()
        for sample in family.samples
    }
    seen = 0
    for index, counter in enumerate(specs.counters()):
        if counter.full_name == "none.none":
            continue
        stage, _, name = counter.full_name.partition(".")
        for prefix, plural in (("drop_", "drops"), ("refused_", "refused")):
            if name.startswith(prefix):
                key = (f"hwgw_{stage}_{plural}", name.removeprefix(prefix))
                break
        else:
            key = (f"hwgw_{stage}_{name}", "")
        assert values[key] == 3 * index, counter.full_name
        seen += 1
    assert seen == len(specs.counters()) - 1 > 150


def test_histograms_are_cumulative_and_whole(segment):
    family = scrape(segment.name)["hwgw_stage_latency_seconds"]
    for stage in STAGES:
        rows = [sample for sample in family.samples if sample.labels["stage"] == stage]
        buckets = [sample.value for sample in rows if sample.name.endswith("_bucket")]
        assert len(buckets) == len(BUCKETS_NS) + 1
        assert buckets == sorted(buckets)
        count, total = (next(row.value for row in rows if row.name.endswith(end)) for end in ("_count", "_sum"))
        assert buckets[-1] == count
        if stage == STAGES[0]:
            assert count == 1000
            assert total == pytest.approx(sum(range(1, 1001)) * 1e-6, rel=1e-3)
            at = {float(row.labels["le"]): row.value for row in rows if "le" in row.labels}
            for us in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
                assert at[us / 1e6] == pytest.approx(us, abs=1 + us / 1000)


def test_halts_limits_and_journal_are_there(segment):
    found = scrape(segment.name)
    halted = {sample.labels["reason"]: sample.value for sample in found["hwgw_halted"].samples}
    assert halted["operator"] == 1
    assert sum(halted.values()) == 1
    assert set(halted) == {reason.name for reason in specs.reasons()[1:]}
    assert found["hwgw_limits_generation"].samples[0].value == 1
    assert len(found["hwgw_limits_info"].samples[0].labels["hash"]) >= 16
    limits = {sample.labels["limit"]: sample.value for sample in found["hwgw_limit_money"].samples}
    assert limits["gateway.credit_max"] == pytest.approx(2**62 / 10_000)
    assert found["hwgw_journal_ring_bytes"].samples[0].value == 65_536
    assert found["hwgw_up"].samples[0].value == 1


def test_names_and_labels_follow_the_conventions(segment):
    for family in scrape(segment.name).values():
        assert re.fullmatch(r"hwgw_[a-z][a-z0-9_]*", family.name)
        assert family.documentation, family.name
        assert family.type in ("counter", "gauge", "histogram"), family.name
        assert family.type == "counter" or not family.name.endswith("_total")
        for sample in family.samples:
            assert sample.labels["gateway"] == segment.name
            assert sample.value >= 0 or family.type == "gauge"


def test_a_gateway_that_is_gone_is_down(segment):
    found = scrape("nobody-of-this-name", segment.name)
    ups = {sample.labels["gateway"]: sample.value for sample in found["hwgw_up"].samples}
    assert ups == {"nobody-of-this-name": 0, segment.name: 1}
    assert scrape("nobody-of-this-name").keys() == {"hwgw_up"}


def test_the_page_names_every_family(segment, root: Path):
    page = (root / "docs" / "metrics.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(hwgw_[a-z0-9_]+)` \|", page, re.MULTILINE))
    found = {name for name, *_ in families_of(GatewayCollector([segment.name]))}
    assert len(found) > 100
    assert found - listed == set()
    runs_only = {
        "hwgw_feed_state",
        "hwgw_feed_next_sequence",
        *(f"hwgw_feed_line_{key}_total" for key in ("frames", "first", "late", "missed")),
    }
    runs_only |= {
        name for name in listed if name.startswith(("hwgw_strategy_", "hwgw_exposure_", "hwgw_pipeline_alive"))
    }
    assert listed - found - runs_only == set()


def test_it_is_served_until_it_is_told_to_end(segment):
    port = free_port()
    command = [sys.executable, "-m", "hwgw.cli", "metrics", segment.name, "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == f"http://127.0.0.1:{port}/metrics\n"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
            assert f'hwgw_up{{gateway="{segment.name}"}} 1.0' in text
        finally:
            process.terminate()
        _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (0, "")


@pytest.mark.parametrize("listen", ["9464", "localhost:", "127.0.0.1:0", "127.0.0.1:70000", ":9464"])
def test_a_bad_address_is_named(hwgw, listen):
    done = hwgw("metrics", "--listen", listen)
    assert done.returncode == 2
    assert f"--listen {listen}: ADDRESS:PORT is allowed, such as 127.0.0.1:9464" in done.stderr
