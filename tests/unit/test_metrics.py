"""Metrics: every counter once with its value, whole histograms, names by convention, and nothing hidden.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
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

from hwgw import cli, specs
from hwgw.native import ffi, lib
from hwgw.relay import Report
from hwgw.relay_metrics import RelayCollector
from hwgw.segment import STAGES, Segment
from hwgw.telemetry.clock import clock
from hwgw.telemetry.histogram import BUCKETS_NS
from hwgw.telemetry.metrics import GatewayCollector, families_of
from hwgw.telemetry.usage import usage


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
        in_use(made)
        yield made
        made.resume_instrument("MSFT")
        made.resume()


def in_use(made: Segment) -> None:
    """One row of everything that has rows: a session, a strategy, an account, a channel, a rule, a position."""
    made.threads[0]["session_cnt"] = 1
    made.strategy_rows[3]["name"] = b"maker"
    dtype = specs.dtype("segment", "quality")
    quality = np.frombuffer(ffi.buffer(lib.hwgw_segment_quality(made.pointer, 0, 3), dtype.itemsize), dtype)
    for key in ("sent", "acknowledged", "rejected", "filled", "executed_qty", "arrival_qty", "arrival_money"):
        quality[key] = 10
    quality["reject_code"][0, 0], quality["reject_cnt"][0, 0] = 29, 10
    quality["ack_ns"][0, 20] = quality["fill_ns"][0, 30] = 5
    made.exposures[5]["is_used"] = 1
    made.exposures[5]["open_notional"] = 2**60
    made.exposures[-1]["cash"] = -(2**61)
    made.threads["alive_ns"] = int(lib.hwgw_now_ns())
    made.beat()
    made.halt_instrument("MSFT", "for the test")
    made.positions[1]["pos"] = -300
    made.positions[1]["short_worst"] = 400
    made.positions[1]["fill_cnt"] = 7
    channel = lib.hwgw_segment_channel(made.pointer, 0, 0)
    rows = np.frombuffer(
        ffi.buffer(channel, specs.dtype("segment", "channel").itemsize), specs.dtype("segment", "channel")
    )
    rows["line_cnt"], rows["state"], rows["missing_cnt"], rows["repairs"] = 2, 1, 17, 4
    rule = lib.hwgw_segment_breaker(made.pointer, 0)
    rules = np.frombuffer(
        ffi.buffer(rule, specs.dtype("breaker", "breaker_row").itemsize), specs.dtype("breaker", "breaker_row")
    )
    rules["name"], rules["kind"], rules["scope"], rules["action"], rules["trips"] = b"rejects", 1, 1, 1, 9


@pytest.fixture(scope="module")
def promtool(root: Path) -> str:
    """Prometheus' own tool: of the machine, or as `make promtool` unpacks it."""
    unpacked = root / ".deps" / "prometheus" / "usr" / "bin" / "promtool"
    found = shutil.which("promtool") or (str(unpacked) if unpacked.exists() else None)
    if not found:
        pytest.skip("promtool is not installed (make promtool)")
    return found


def registry_of(*names: str) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(GatewayCollector(names))
    return registry


def scrape(*names: str) -> dict[str, Metric]:
    found = list(text_string_to_metric_families(generate_latest(registry_of(*names)).decode()))
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


def test_what_is_used_of_each_limit_is_what_the_gate_compares(segment):
    ratios = {
        (sample.labels["scope"], sample.labels["of"], sample.labels["limit"]): sample.value
        for sample in scrape(segment.name)["hwgw_limit_usage_ratio"].samples
    }
    assert ratios["gateway", "gateway", "loss_max"] == pytest.approx(0.5)
    assert ratios["gateway", "gateway", "credit_max"] == 0
    assert ratios["account", "5", "credit_max"] == pytest.approx(0.25)
    assert ratios["instrument", "MSFT", "short_max"] == pytest.approx(
        400 / segment.limits()[0]["instrument"][1]["short_max"]
    )
    assert ratios["instrument", "MSFT", "long_max"] == 0
    assert ("account", "4", "credit_max") not in ratios


def test_a_limit_of_nothing_that_is_used_is_beyond_every_bound(segment):
    table = segment.limits()
    table[0]["instrument"][1]["short_max"] = 0
    table[0]["instrument"][1]["long_max"] = 0
    segment.threads["generation_ack"] = 1
    segment.publish_limits(table)
    rows = {(row.of, row.limit): row for row in usage(segment)}
    assert rows["MSFT", "short_max"].ratio == float("inf")
    assert rows["MSFT", "short_max"].as_dict()["ratio"] is None
    assert rows["MSFT", "long_max"].ratio == 0


def test_feed_breakers_positions_processes_and_clock_are_there(segment):
    found = scrape(segment.name)

    def one(family: str, **labels: str) -> float:
        (value,) = (s.value for s in found[family].samples if labels.items() <= s.labels.items())
        return value

    assert one("hwgw_feed_missing_messages", channel="0") == 17
    assert one("hwgw_feed_repairs", channel="0") == 4
    assert one("hwgw_feed_state", channel="0", state="good") == 1
    assert one("hwgw_breaker_trips", rule="rejects") == 9
    assert one("hwgw_instrument_halted", symbol="MSFT", reason="operator") == 1
    assert one("hwgw_position_shares", symbol="MSFT") == -300
    assert one("hwgw_process_up", process="control") == 1
    assert one("hwgw_process_up", process="data") == 0  # none was started
    assert 0 <= one("hwgw_heartbeat_age_seconds") < 60
    assert one("hwgw_tsc_hertz") == int(segment.head["tsc_hz"])
    now = clock()
    assert one("hwgw_clock_synchronized") == now.is_synchronized
    assert one("hwgw_clock_error_max_seconds") == pytest.approx(now.error_ns_max / 1e9, abs=1)


def test_the_kernels_clock_is_read_as_the_kernel_tells_it():
    """The same words through Python's own clock: a time that is not disciplined says so."""
    now = clock()
    assert now.error_ns_max >= now.error_ns_estimated >= 0
    assert abs(now.frequency_ppm) <= 500  # MAXFREQ of linux/timex.h


def test_promtool_has_nothing_to_say(segment, promtool):
    text = generate_latest(registry_of(segment.name))
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_each_alert_fires_and_is_quiet_as_its_test_says(root: Path, promtool):
    folder = root / "deploy" / "prometheus"
    command = [promtool, "test", "rules", "hwgw.rules.test.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    alerts = re.findall(r"- alert: (\w+)", (folder / "hwgw.rules.yml").read_text())
    tried = re.findall(r"alertname: (\w+)\n +exp_alerts:\n", (folder / "hwgw.rules.test.yml").read_text())
    assert alerts == tried
    page = (root / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert f"has {len(alerts)} alerts, each with what to look at" in page


def test_prometheus_understands_every_query_of_the_dashboards(root: Path, promtool, tmp_path: Path):
    files = sorted((root / "deploy" / "grafana").glob("*.json"))
    panels = [panel for file in files for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    written = {"$__rate_interval": "1m", "$gateway": "one|two"}  # what Grafana puts there
    rules = []
    for number, query in enumerate(queries):
        for name, value in written.items():
            query = query.replace(name, value)
        assert "$" not in query
        rules.append({"record": f"query:{number}", "expr": query})
    path = tmp_path / "queries.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rules) > 100
    assert f"{len(rules)} rules found" in done.stdout


def test_rules_and_dashboards_name_only_what_is_exported(segment, root: Path):
    relay = RelayCollector(Report("0000000001", readers=2), segment.name, "tcp://127.0.0.1:1").collect()
    known = {sample.name for family in (*scrape(segment.name).values(), *relay) for sample in family.samples}
    files = [*sorted((root / "deploy" / "grafana").glob("*.json")), root / "deploy" / "prometheus" / "hwgw.rules.yml"]
    named = {file.name: set(re.findall(r"\bhwgw_[a-z0-9_]+", file.read_text(encoding="utf-8"))) for file in files}
    assert {name: names - known for name, names in named.items()} == {name: set() for name in named}
    assert {name: len(names) for name, names in named.items()} == {
        "hwgw-stages.json": pytest.approx(165, abs=30),
        "hwgw-trading.json": pytest.approx(38, abs=8),
        "hwgw.json": pytest.approx(45, abs=15),
        "hwgw.rules.yml": pytest.approx(32, abs=8),
    }
    counters = {name for name in known if any(name.startswith(f"hwgw_{stage}_") for stage in ("rx", "mold", "risk"))}
    assert {name for name in counters if name.endswith("_total")} <= named["hwgw-stages.json"]
    assert {name for name in known if name.startswith("hwgw_relay_")} <= named["hwgw.json"]
    shown = set().union(*(names for name, names in named.items() if name.endswith(".json")))
    whole = {name.removesuffix("_bucket") for name in shown}
    assert {name for name, *_ in families_of(GatewayCollector([segment.name]))} - whole == set()


def test_dashboards_are_those_that_the_tables_make(root: Path):
    path = root / "deploy" / "grafana" / "make.py"
    spec = importlib.util.spec_from_file_location("grafana_make", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, text in module.made().items():
        assert (path.parent / name).read_text(encoding="utf-8") == text, "python deploy/grafana/make.py writes them"
        panels = json.loads(text)["panels"]
        places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
        assert len(set(places)) == len(places) > 20


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


def test_the_page_is_what_is_exported(segment, root: Path):
    page = (root / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `hwgw_")]
    found = [
        f"| `{name}` | {kind} | {', '.join(labels)} | {text} |"
        for name, kind, text, labels in families_of(GatewayCollector([segment.name]))
    ]
    assert len(found) > 130
    assert rows == found


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


def test_what_has_no_effect_is_no_option_and_what_is_not_installed_is_named(segment, hwgw, monkeypatch, capsys):
    done = hwgw("metrics", segment.name, "--seconds", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--seconds: so long they are served, which takes --listen" in done.stderr
    monkeypatch.setitem(sys.modules, "prometheus_client", None)  # as where the extra is not installed
    assert cli.execute(["metrics", segment.name]) == 2
    assert "pip install 'hwgw[metrics]'" in capsys.readouterr().err


@pytest.mark.parametrize("listen", ["9464", "localhost:", "127.0.0.1:0", "127.0.0.1:70000", ":9464"])
def test_a_bad_address_is_named(hwgw, listen):
    done = hwgw("metrics", "--listen", listen)
    assert done.returncode == 2
    assert f"--listen {listen}: ADDRESS:PORT is allowed, such as 127.0.0.1:9464" in done.stderr
