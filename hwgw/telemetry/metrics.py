"""Metrics of gateways for Prometheus, read from their shared segments at every scrape; the data path does nothing.

SPDX-License-Identifier: MIT

Families follow hwgw/specs/counters.yaml: hwgw_STAGE_NAME_total for a counter, hwgw_STAGE_drops_total{cause} for what
was lost, hwgw_risk_refused_total{reason} for what was refused, a gauge for what is so now. Seconds, bytes and units of
the currency are base units; docs/metrics.md lists all families.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from .. import specs
from ..errors import HwgwError
from ..native import ffi, lib
from ..risk.control import in_force
from ..segment import STAGES, Segment, gateways
from .snapshot import snapshot

__all__ = ["GatewayCollector", "families_of"]

MONEY = 10_000  # wire units of one unit of the currency
BUCKETS_NS = [step * 10**power for power in range(1, 9) for step in (1, 2, 5)]  # 10 ns to 500 ms
_EXPOSURE = ("cash", "mark", "open_notional", "filled_notional", "pnl")
_STATES = ("feed_state", "session_state", "receive_state")


def _sound(name: str) -> tuple[str, str, str]:
    """Family, label and value of a counter: rx.drop_ring_full -> hwgw_rx_drops, cause, ring_full."""
    stage, _, rest = name.partition(".")
    for prefix, family, label in (("drop_", "drops", "cause"), ("refused_", "refused", "reason")):
        if rest.startswith(prefix):
            return f"hwgw_{stage}_{family}", label, rest.removeprefix(prefix)
    return f"hwgw_{stage}_{rest}", "", ""


def _is_gauge(name: str) -> bool:
    return name.endswith((".now", "_now"))


class _Families:
    """Metric families that rows are added to as they are found."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}

    def add(self, kind: Any, name: str, text: str, labels: dict[str, str], value: float) -> None:
        """One row; the family is made with the first."""
        family = self._found.get(name)
        if family is None:
            family = self._found[name] = kind(name, text, labels=list(labels))
        family.add_metric(list(labels.values()), value)

    def gauge(self, name: str, text: str, labels: dict[str, str], value: float) -> None:
        """What is so now."""
        self.add(GaugeMetricFamily, name, text, labels, value)

    def put(self, family: Any) -> None:
        """A family that is complete, or one that another gateway has rows in."""
        if family.name in self._found:
            self._found[family.name].samples += family.samples
        else:
            self._found[family.name] = family

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._found.values())


def _units() -> dict[str, str]:
    """Help of each counter family: what is counted, in which unit."""
    texts: dict[str, str] = {}
    grouped: defaultdict[str, list[str]] = defaultdict(list)
    for counter in specs.counters():
        family, label, _ = _sound(counter.full_name)
        grouped[family].append(counter.unit)
        stage = counter.full_name.partition(".")[0]
        texts[family] = f"{stage}: {counter.note} ({counter.unit})" if not label else f"{stage}: by {label}"
    return {
        family: text + (f" ({', '.join(sorted(set(grouped[family])))})" if ": by " in text else "")
        for family, text in texts.items()
    }


def _counters(families: _Families, gateway: str, counters: dict[str, int]) -> None:
    texts = _units()
    for name, value in counters.items():
        family, label, cause = _sound(name)
        labels = {"gateway": gateway} | ({label: cause} if label else {})
        kind = GaugeMetricFamily if _is_gauge(name) else CounterMetricFamily
        families.add(kind, family, texts[family], labels, value)


def _latency(families: _Families, segment: Segment) -> None:
    """Cumulative buckets, lowest first: what is recorded meanwhile can only make a later one larger."""
    hist = ffi.new("char[]", lib.hwgw_hist_sz_bytes())
    rate = int(segment.head["tsc_hz"]) / 1e9
    family = HistogramMetricFamily(
        "hwgw_stage_latency_seconds", "Time of a stage, from descriptor to order bytes", labels=["gateway", "stage"]
    )
    for index, stage in enumerate(STAGES):
        merged = ffi.cast("struct hwgw_hist *", hist)
        ffi.memmove(hist, bytes(len(hist)), len(hist))
        for thread in range(segment.thread_cnt):
            lib.hwgw_hist_merge(merged, lib.hwgw_segment_hist(segment.pointer, thread, index))
        rows = [(f"{ns / 1e9:g}", lib.hwgw_hist_upto(merged, round(ns * rate))) for ns in BUCKETS_NS]
        total = max(int(lib.hwgw_hist_cnt(merged)), rows[-1][1])
        rows.append(("+Inf", total))
        family.add_metric([segment.name, stage], rows, sum_value=lib.hwgw_hist_sum(merged) / rate / 1e9)
    families.put(family)


def _states(families: _Families, labels: dict[str, str], name: str, text: str, enum: str, now: str) -> None:
    for code in specs.load("segment").enum(enum).values:
        families.gauge(name, text, labels | {"state": code.slug}, float(code.slug == now))


def _feed(families: _Families, gateway: str, look: dict[str, Any]) -> None:
    for number, thread in enumerate(look["pipelines"]):
        labels = {"gateway": gateway, "pipeline": str(number)}
        _states(families, labels, "hwgw_session_state", "1 for the state of the order session", "session_state",
                thread["session"])  # fmt: skip
        _states(families, labels, "hwgw_receive_state", "1 for the state of the receive path", "receive_state",
                thread["receive"])  # fmt: skip
        families.gauge("hwgw_open_orders", "Orders open at the venue", labels, thread["open_orders"])
        if thread["alive_age_ns"] is not None:
            families.gauge("hwgw_pipeline_alive_age_seconds", "Since the pipeline's last housekeeping round", labels,
                           thread["alive_age_ns"] / 1e9)  # fmt: skip
    for row in look["channels"]:
        labels = {"gateway": gateway, "pipeline": str(row["pipeline"]), "channel": str(row["channel"])}
        _states(families, labels, "hwgw_feed_state", "1 for the state of a feed channel", "feed_state", row["state"])
        families.gauge("hwgw_feed_next_sequence", "Next message that is expected", labels, row["next_seq"])
        for line, counts in row["lines"].items():
            for key in ("frames", "first", "late", "missed"):
                families.add(CounterMetricFamily, f"hwgw_feed_line_{key}", f"Of one line of a channel: {key}",
                             labels | {"line": line}, counts[key])  # fmt: skip


def _risk(families: _Families, gateway: str, look: dict[str, Any], segment: Segment) -> None:
    own = {"gateway": gateway}
    halted = {halt["reason"] for halt in look["halts"]}
    for reason in specs.reasons()[1:]:
        families.gauge("hwgw_halted", "1 for each reason that the gateway is halted for", own | {"reason": reason.name},
                       float(reason.name in halted))  # fmt: skip
    families.gauge("hwgw_instruments_halted", "Instruments halted one by one", own, len(look["instrument_halts"]))
    families.gauge("hwgw_limits_generation", "Generation of the limits in force", own, look["limits_generation"])
    for account, row in look["exposure"].items():
        labels = own | {"account": account}
        for key in _EXPOSURE:
            families.gauge(f"hwgw_exposure_{key}", f"{key.replace('_', ' ')}, in units of the currency", labels,
                           row[key] / MONEY)  # fmt: skip
        families.gauge("hwgw_exposure_open_orders", "Open orders of an account", labels, row["open_cnt"])
    for strategy, row in look["strategies"].items():
        labels = own | {"strategy": strategy}
        families.gauge("hwgw_strategy_armed", "1 while orders of the strategy may pass", labels, float(row["armed"]))
        families.gauge("hwgw_strategy_pnl", "In units of the currency", labels, row["pnl"] / MONEY)
        for key in ("passed", "refused", "fills", "rejects"):
            families.add(CounterMetricFamily, f"hwgw_strategy_{key}", f"Of one strategy: {key}", labels, row[key])
    if not look["limits_generation"]:
        return
    families.put(InfoMetricFamily("hwgw_limits", "Hash of the limits in force", {**own, "hash": look["limits_hash"]}))
    for limit in in_force(segment).limits.values():
        section = limit.name.partition(".")[0]
        if limit.unit == "money" and section in ("gateway", "accounts"):
            families.gauge("hwgw_limit_money", "A limit in units of the currency", own | {"limit": limit.name},
                           limit.value / MONEY)  # fmt: skip


def _journal(families: _Families, segment: Segment) -> None:
    for thread in range(segment.thread_cnt):
        ring = lib.hwgw_segment_journal(segment.pointer, thread)
        if not ring:
            return
        labels = {"gateway": segment.name, "pipeline": str(thread)}
        families.add(CounterMetricFamily, "hwgw_journal_records", "Records put", labels, ring.records)
        families.gauge("hwgw_journal_waiting_bytes", "Put and not yet written", labels, ring.head - ring.written)
        families.gauge("hwgw_journal_not_durable_bytes", "Put and not yet said to be on the disk", labels,
                       ring.head - ring.durable)  # fmt: skip
        families.gauge("hwgw_journal_ring_bytes", "Size of the ring", labels, ring.sz_bytes)
        families.gauge("hwgw_journal_error", "errno of the writer, 0 while it writes", labels, ring.error)


def of_segment(families: _Families, segment: Segment) -> None:
    """Every family of one gateway."""
    look = snapshot(segment)
    gateway = segment.name
    told = {"gateway": gateway, "version": look["version"], "backend": look["backend"]}
    families.put(InfoMetricFamily("hwgw_gateway", "What runs", told))
    families.gauge("hwgw_up", "1 while the gateway runs", {"gateway": gateway}, float(segment.running()))
    families.gauge("hwgw_start_time_seconds", "When the gateway was started", {"gateway": gateway},
                   int(segment.head["start_ns"]) / 1e9)  # fmt: skip
    _counters(families, gateway, look["counters"])
    _latency(families, segment)
    _feed(families, gateway, look)
    _risk(families, gateway, look, segment)
    _journal(families, segment)


class GatewayCollector(Collector):
    """Collects the gateways that are named, or all that are there, anew at each scrape.

    One that is gone has hwgw_up 0 and nothing else: a name that was asked for never disappears.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = tuple(names)

    def collect(self) -> Iterable[Metric]:
        """The families of Prometheus' text format."""
        families = _Families()
        for name in self._names or gateways():
            try:
                with Segment.attach(name) as segment:
                    of_segment(families, segment)
            except HwgwError:
                families.gauge("hwgw_up", "1 while the gateway runs", {"gateway": name}, 0.0)
        yield from families


def families_of(collector: GatewayCollector) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Name as it is exposed, type, help and labels of every family that has rows now: for the documentation."""
    found = []
    for metric in collector.collect():
        labels = sorted({label for sample in metric.samples for label in sample.labels} - {"le"})
        suffix = {"counter": "_total", "info": "_info"}.get(metric.type, "")
        found.append((metric.name + suffix, metric.type, metric.documentation, tuple(labels)))
    return sorted(found)
