"""Metrics of gateways for Prometheus, read from their shared segments at every scrape; the data path does nothing.

SPDX-License-Identifier: MIT

Families follow hwgw/specs/counters.yaml: hwgw_STAGE_NAME_total for a counter, hwgw_STAGE_drops_total{cause} for what
was lost, hwgw_risk_refused_total{reason} for what was refused, a gauge for what is so now. Seconds, bytes and units of
the currency are base units; docs/metrics.md lists all families.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from .. import specs
from ..errors import HwgwError
from ..segment import Segment, gateways
from .families import Families
from .histogram import BUCKETS_NS, histograms
from .metrics_state import of_state
from .snapshot import snapshot

__all__ = ["GatewayCollector", "families_of", "family_of", "is_gauge"]


def family_of(name: str) -> tuple[str, str, str]:
    """Family, label and value of a counter: rx.drop_ring_full -> hwgw_rx_drops, cause, ring_full."""
    stage, _, rest = name.partition(".")
    for prefix, family, label in (("drop_", "drops", "cause"), ("refused_", "refused", "reason")):
        if rest.startswith(prefix):
            return f"hwgw_{stage}_{family}", label, rest.removeprefix(prefix)
    return f"hwgw_{stage}_{rest}", "", ""


def is_gauge(name: str) -> bool:
    """Whether a counter of the table tells what is so now."""
    return name.endswith((".now", "_now"))


def _units() -> dict[str, str]:
    """Help of each counter family: what is counted, in which unit."""
    texts: dict[str, str] = {}
    grouped: defaultdict[str, list[str]] = defaultdict(list)
    for counter in specs.counters():
        family, label, _ = family_of(counter.full_name)
        grouped[family].append(counter.unit)
        stage = counter.full_name.partition(".")[0]
        texts[family] = f"{stage}: {counter.note} ({counter.unit})" if not label else f"{stage}: by {label}"
    return {
        family: text + (f" ({', '.join(sorted(set(grouped[family])))})" if ": by " in text else "")
        for family, text in texts.items()
    }


def _counters(families: Families, gateway: str, counters: dict[str, int]) -> None:
    texts = _units()
    for name, value in counters.items():
        family, label, cause = family_of(name)
        labels = {"gateway": gateway} | ({label: cause} if label else {})
        kind = GaugeMetricFamily if is_gauge(name) else CounterMetricFamily
        families.add(kind, family, texts[family], labels, value)


def _latency(families: Families, segment: Segment) -> None:
    """Cumulative buckets, lowest first: what is recorded meanwhile can only make a later one larger."""
    family = HistogramMetricFamily(
        "hwgw_stage_latency_seconds", "Time of a stage, from descriptor to order bytes", labels=["gateway", "stage"]
    )
    for stage, row in histograms(segment).items():
        buckets = [(f"{ns / 1e9:g}", float(cnt)) for ns, cnt in zip(BUCKETS_NS, row.upto, strict=True)]
        family.add_metric([segment.name, stage], [*buckets, ("+Inf", row.cnt)], sum_value=row.sum_ns / 1e9)
    families.put(family)


def of_segment(families: Families, segment: Segment) -> None:
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
    of_state(families, look, segment)


class GatewayCollector(Collector):
    """Collects the gateways that are named, or all that are there, anew at each scrape.

    One that is gone has hwgw_up 0 and nothing else: a name that was asked for never disappears.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = tuple(names)

    def collect(self) -> Iterable[Metric]:
        """The families of Prometheus' text format."""
        families = Families()
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
