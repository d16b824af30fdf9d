"""Writes the Grafana dashboards beside it from the tables: python deploy/grafana/make.py [FOLDER].

SPDX-License-Identifier: MIT

hwgw.json is for the person on watch; hwgw-trading.json for who trades: money, positions, strategies, venues, execution;
hwgw-stages.json has every counter of every stage, feed channels and the process. What is exported is in one of them.
Nothing in them is typed that hwgw/specs already says: stages, counters, causes, states and ledgers come from there.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwgw import specs
from hwgw.relay_metrics import FIELDS
from hwgw.segment import STAGES
from hwgw.telemetry.metrics import family_of, is_gauge

COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${source}"}
WHO = 'gateway=~"$gateway"'


def target(expr: str, legend: str, **more: Any) -> dict[str, Any]:
    """A query of a panel."""
    return {"datasource": SOURCE, "expr": expr, "legendFormat": legend, **more}


def panel(kind: str, title: str, size: tuple[int, int], *targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A panel of so many columns and rows."""
    unit = more.pop("unit", "short")
    defaults = {"unit": unit, **more.pop("defaults", {})}
    return {
        "type": kind,
        "title": title,
        "datasource": SOURCE,
        "targets": list(targets),
        "gridPos": {"w": size[0], "h": size[1]},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        **more,
    }


def row(title: str) -> dict[str, Any]:
    """A heading over the panels that follow."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": COLUMNS, "h": 1}}


def rate(metric: str) -> str:
    """Events a second."""
    return f"rate({metric}{{{WHO}}}[$__rate_interval])"


def steps(*levels: tuple[str, float | None]) -> dict[str, Any]:
    """Colours from a value on."""
    return {"thresholds": {"mode": "absolute", "steps": [{"color": color, "value": at} for color, at in levels]}}


def quantile(part: float, stage: str) -> str:
    """A percentile of a stage's latency."""
    bucket = f'hwgw_stage_latency_seconds_bucket{{{WHO},stage="{stage}"}}'
    return f"histogram_quantile({part}, sum by (gateway, le) (rate({bucket}[$__rate_interval])))"


def states(metric: str, title: str, legend: str) -> dict[str, Any]:
    """Which state each had when."""
    return panel(
        "state-timeline",
        title,
        (12, 6),
        target(f"{metric}{{{WHO}}} == 1", f"{legend} {{{{state}}}}"),
        options={"mergeValues": True, "showValue": "never"},
    )


def now() -> Iterator[dict[str, Any]]:
    """Runs, halted, and what needs a person."""
    yield row("Now")
    red, green = ("red", None), ("green", 1)
    yield panel("stat", "Runs", (4, 4), target(f"hwgw_up{{{WHO}}}", "{{gateway}}"), defaults=steps(red, green))
    halted = f"max by (gateway) (hwgw_halted{{{WHO}}})"
    yield panel("stat", "Halted", (4, 4), target(halted, "{{gateway}}"), defaults=steps(("green", None), ("red", 1)))
    venues = f"sum by (gateway) (hwgw_venue_halted{{{WHO}}})"
    yield panel(
        "stat",
        "Instruments and venues halted",
        (4, 4),
        target(f"hwgw_instruments_halted{{{WHO}}}", "{{gateway}}"),
        target(venues, "{{gateway}} venues"),
        defaults=steps(("green", None), ("red", 1)),
    )
    yield panel("stat", "Open orders", (4, 4), target(f"hwgw_open_orders{{{WHO}}}", "{{gateway}}"))
    yield panel(
        "stat",
        "Heartbeat age",
        (4, 4),
        target(f"hwgw_heartbeat_age_seconds{{{WHO}}}", "{{gateway}}"),
        unit="s",
        defaults=steps(("green", None), ("red", 1)),
    )
    yield panel(
        "stat",
        "Breaker trips",
        (4, 4),
        target(f"sum by (gateway, rule) (hwgw_breaker_trips_total{{{WHO}}})", "{{gateway}} {{rule}}"),
    )


def feed() -> Iterator[dict[str, Any]]:
    """The feed: what each channel is in, what comes, what is lost."""
    yield row("Feed")
    yield states("hwgw_feed_state", "Feed channels", "{{gateway}} {{pipeline}}/{{channel}}")
    yield states("hwgw_receive_state", "Receive path", "{{gateway}} {{pipeline}}")
    flow = {
        "packets": "hwgw_mold_frames_total",
        "messages": "hwgw_itch_messages_total",
        "book updates": "hwgw_book_updates_total",
        "orders": "hwgw_order_encoded_total",
    }
    yield panel(
        "timeseries", "Flow", (12, 8), *(target(rate(m), f"{{{{gateway}}}} {n}") for n, m in flow.items()), unit="ops"
    )
    drops = sorted({family_of(c.full_name)[0] for c in specs.counters() if ".drop_" in c.full_name})
    lost = [target(f"{rate(f'{m}_total')} > 0", f"{m.split('_')[1]} {{{{cause}}}}") for m in drops]
    yield panel("timeseries", "Dropped, by cause", (12, 8), *lost, unit="ops")
    line = "{{gateway}} {{channel}} {{line}}"
    yield panel(
        "timeseries",
        "First with a message, by line",
        (12, 7),
        target(rate("hwgw_feed_line_first_total"), line),
        unit="ops",
    )
    yield panel(
        "timeseries",
        "Missing and held",
        (12, 7),
        target(f"hwgw_feed_missing_messages{{{WHO}}}", "{{gateway}} {{channel}} missing"),
        target(f"hwgw_feed_held_messages{{{WHO}}}", "{{gateway}} {{channel}} held"),
    )


def latency() -> Iterator[dict[str, Any]]:
    """Latency, in sum and by stage."""
    yield row("Latency")
    parts = ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"))
    yield panel(
        "timeseries",
        "Descriptor to order bytes",
        (12, 8),
        *(target(quantile(part, "total"), f"{{{{gateway}}}} {name}") for part, name in parts),
        unit="s",
    )
    yield panel(
        "timeseries",
        "p99 of each stage",
        (12, 8),
        *(target(quantile(0.99, stage), f"{{{{gateway}}}} {stage}") for stage in STAGES),
        unit="s",
    )
    heat = f'sum by (le) (increase(hwgw_stage_latency_seconds_bucket{{{WHO},stage="total"}}[$__rate_interval]))'
    yield panel(
        "heatmap",
        "Descriptor to order bytes, heat",
        (24, 8),
        target(heat, "{{le}}", format="heatmap"),
        unit="s",
        options={"calculate": False, "yAxis": {"unit": "s"}, "color": {"mode": "scheme", "scheme": "Viridis"}},
    )


def risk() -> Iterator[dict[str, Any]]:
    """Limits, refusals, the venue."""
    yield row("Risk and orders")
    yield panel(
        "bargauge",
        "Used of each limit",
        (12, 9),
        target(f"topk(16, hwgw_limit_usage_ratio{{{WHO}}})", "{{gateway}} {{of}} {{limit}}", instant=True),
        unit="percentunit",
        defaults={"min": 0, "max": 1, **steps(("green", None), ("yellow", 0.7), ("red", 0.9))},
        options={"orientation": "horizontal", "displayMode": "gradient"},
    )
    yield panel(
        "timeseries",
        "Refused, by reason",
        (12, 9),
        target(f"{rate('hwgw_risk_refused_total')} > 0", "{{gateway}} {{reason}}"),
        unit="ops",
    )
    venue = ("accepted", "filled", "canceled", "rejected", "replaced")
    yield panel(
        "timeseries",
        "Said by the venue",
        (12, 8),
        *(target(rate(f"hwgw_session_{name}_total"), f"{{{{gateway}}}} {name}") for name in venue),
        unit="ops",
    )
    yield panel(
        "timeseries", "Profit and loss", (12, 8), target(f"hwgw_exposure_pnl{{{WHO}}}", "{{gateway}} {{account}}")
    )
    beside = f"hwgw_strategy_pnl{{{WHO}}} and on (gateway, strategy) hwgw_strategy_live{{{WHO}}} == 0"
    yield panel("timeseries", "On paper: profit and loss", (12, 8), target(beside, "{{gateway}} {{strategy}}"))
    yield states("hwgw_session_state", "Order session", "{{gateway}} {{pipeline}}")
    yield states("hwgw_venue_state", "Venues", "{{gateway}} {{venue}}")
    yield panel(
        "timeseries",
        "Orders by venue",
        (12, 6),
        *(
            target(rate(f"hwgw_venue_{name}_total"), f"{{{{gateway}}}} {{{{venue}}}} {name}")
            for name in ("sent", "executed")
        ),
        unit="ops",
    )
    yield panel(
        "timeseries",
        "Journal waiting",
        (12, 6),
        target(f"hwgw_journal_waiting_bytes{{{WHO}}}", "{{gateway}} waiting"),
        target(f"hwgw_journal_not_durable_bytes{{{WHO}}}", "{{gateway}} not durable"),
        unit="bytes",
    )


def relays() -> Iterator[dict[str, Any]]:
    """What relays gave out and to whom, what was lost on which way, and how far the ways out are behind."""
    yield row("Relays")
    who = "{{gateway}} to {{to}}"
    groups = {
        "Given out": ("messages", "packets"),
        "Asked for again": ("requests", "requests_bad", "resent"),
        "Not given out, by cause": ("missed", "dropped", "send_errors"),
    }
    for title, names in groups.items():
        shown = [target(rate(f"hwgw_relay_{name}_total"), f"{who}: {name.replace('_', ' ')}") for name in names]
        yield panel("timeseries", title, (8, 7), *shown, unit="ops")
    marks = {"behind": steps(("green", None), ("red", 100_000)), "readers": steps(("blue", None))}  # as HwgwRelayBehind
    for name, defaults in marks.items():
        shown = [target(f"hwgw_relay_{name}{{{WHO}}}", who)]
        yield panel("timeseries", FIELDS[name][1], (12, 6), *shown, defaults=defaults)


def host() -> Iterator[dict[str, Any]]:
    """What the host does to it."""
    yield row("Host")
    yield panel(
        "timeseries",
        "Clock: bound on its error",
        (12, 6),
        target(f"hwgw_clock_error_max_seconds{{{WHO}}}", "{{gateway}}"),
        unit="s",
    )
    yield panel(
        "timeseries",
        "Pipeline: since its last round",
        (12, 6),
        target(f"hwgw_pipeline_alive_age_seconds{{{WHO}}}", "{{gateway}} {{pipeline}}"),
        unit="s",
    )


def overview() -> Iterator[dict[str, Any]]:
    """What the person on watch looks at."""
    for part in (now, feed, latency, risk, relays, host):
        yield from part()


def lines(title: str, legend: str, *metrics: str, unit: str = "short", width: int = 12) -> dict[str, Any]:
    """Metrics over time: counters as events a second, others as they are; each is told by the end of its name."""
    shown = []
    for metric in metrics:
        told = metric.removeprefix("hwgw_").removesuffix("_total").partition("_")[2].replace("_", " ")
        shown.append(target(rate(metric) if metric.endswith("_total") else f"{metric}{{{WHO}}}", f"{legend} {told}"))
    return panel("timeseries", title, (width, 7), *shown, unit=unit)


def trading() -> Iterator[dict[str, Any]]:
    """What a gateway trades: money and positions, by strategy, by venue, and how well."""
    yield row("Money and positions")
    who = "{{gateway}} {{account}}"
    at_stake = ("hwgw_exposure_open_notional", "hwgw_exposure_filled_notional")
    yield lines("At stake", who, *at_stake)
    yield lines(
        "Cash, and positions at their marks", who, "hwgw_exposure_cash", "hwgw_exposure_mark", "hwgw_exposure_pnl"
    )
    yield lines("Limits in money", "{{gateway}} {{limit}}", "hwgw_limit_money")
    yield lines("Open orders", who, "hwgw_exposure_open_orders")
    yield lines("Positions", "{{gateway}} {{symbol}}", "hwgw_position_shares")
    yield lines("Instruments halted", "{{gateway}} {{symbol}} {{reason}}", "hwgw_instrument_halted")
    yield row("Strategies")
    who = "{{gateway}} {{strategy}}"
    yield lines("Profit and loss, by strategy", who, "hwgw_strategy_pnl")
    yield lines("Armed, live", who, "hwgw_strategy_armed", "hwgw_strategy_live")
    yield lines(
        "Orders that passed or were refused",
        who,
        "hwgw_strategy_passed_total",
        "hwgw_strategy_refused_total",
        unit="ops",
    )
    yield lines("Fills, rejects", who, "hwgw_strategy_fills_total", "hwgw_strategy_rejects_total", unit="ops")
    yield row("Venues")
    who = "{{gateway}} {{venue}}"
    told = ("sent", "cancels", "accepted", "rejected", "canceled", "executed")
    yield lines("Said to a venue and by it", who, *(f"hwgw_venue_{key}_total" for key in told), unit="ops")
    yield lines("Shares executed", who, "hwgw_venue_executed_qty_total", unit="ops")
    yield lines("Open orders, by venue", who, "hwgw_venue_open_orders")
    held = ("hwgw_venue_halted", "hwgw_venue_reconciling", "hwgw_venue_losses_total")
    yield lines("Halted, reconciling, lost", who, *held)
    yield row("Execution")
    who = "{{gateway}} {{strategy}} {{venue}}"
    counts = ("sent", "acknowledged", "rejected", "lost", "filled", "executed_qty")
    yield lines("Orders, and shares executed", who, *(f"hwgw_execution_{key}_total" for key in counts), unit="ops")
    yield lines(
        "Rejections, by the venue's reason", f"{who} {{{{code}}}}", "hwgw_execution_reject_reasons_total", unit="ops"
    )
    yield lines("Fill rate", who, "hwgw_execution_fill_ratio", unit="percentunit")
    yield lines(
        "Slippage against the book at arrival", f"{who} {{{{of}}}}", "hwgw_execution_slippage_ratio", unit="percentunit"
    )
    spans = ("hwgw_execution_sent_to_ack_seconds", "hwgw_execution_ack_to_fill_seconds")
    yield lines("To the venue's answer, to the fill", f"{who} {{{{percentile}}}}", *spans, unit="s", width=24)


def process() -> Iterator[dict[str, Any]]:
    """Feed channels one by one, and the process: what it runs by, its memory, its clock, its journal."""
    yield row("Feed channels")
    who = "{{gateway}} {{pipeline}}/{{channel}}"
    repaired = ("state_changes", "repairs", "requests", "snapshots", "snapshot_failures")
    yield lines("Changes and repairs", who, *(f"hwgw_feed_{key}_total" for key in repaired), unit="ops")
    yield lines("Next message that is expected", who, "hwgw_feed_next_sequence")
    late = ("hwgw_feed_line_frames_total", "hwgw_feed_line_late_total", "hwgw_feed_line_missed_total")
    yield lines("Packets, late and missed messages, by line", f"{who} {{{{line}}}}", *late, unit="ops", width=24)
    yield row("Process")
    yield lines("Runs", "{{gateway}} {{version}} {{backend}}", "hwgw_gateway_info")
    yield lines("Limits in force", "{{gateway}} {{hash}}", "hwgw_limits_info", "hwgw_limits_generation")
    up = panel(
        "stat",
        "Up since",
        (12, 7),
        target(f"hwgw_start_time_seconds{{{WHO}}} * 1000", "{{gateway}}"),
        unit="dateTimeAsIso",
    )
    yield up
    yield lines("Given up by the data process", "{{gateway}} {{what}}", "hwgw_confined")
    yield lines("Memory", "{{gateway}}", "hwgw_memory_locked_bytes", "hwgw_memory_huge_bytes", unit="bytes")
    yield lines("Clock: what is still slewed", "{{gateway}}", "hwgw_clock_offset_seconds", unit="s")
    yield lines("Clock of latencies", "{{gateway}}", "hwgw_tsc_hertz", unit="hertz")
    yield lines("Does not agree with the venue yet", "{{gateway}} {{pipeline}}", "hwgw_reconciling")
    yield lines("Journal: records", "{{gateway}} {{pipeline}}", "hwgw_journal_records_total", unit="ops")
    yield lines(
        "Journal: its ring, errno of its writer",
        "{{gateway}} {{pipeline}}",
        "hwgw_journal_ring_bytes",
        "hwgw_journal_error",
    )
    yield lines("Processes that are there", "{{gateway}} {{process}}", "hwgw_process_up")
    yield lines("Clock disciplined; fell back to udp", "{{gateway}}", "hwgw_clock_synchronized", "hwgw_fell_back")
    yield lines("System calls refused", "{{gateway}}", "hwgw_refused_system_calls_total", unit="ops")


def stages() -> Iterator[dict[str, Any]]:
    """Every counter, stage by stage, in the order of the data flow; then feed channels and the process."""
    yield from counters()
    yield from process()


def counters() -> Iterator[dict[str, Any]]:
    """Every counter, stage by stage, in the order of the data flow."""
    grouped: dict[str, dict[str, str]] = defaultdict(dict)
    for counter in specs.counters():
        if counter.full_name != "none.none":
            family, label, _ = family_of(counter.full_name)
            metric = family if is_gauge(counter.full_name) else f"{family}_total"
            grouped[counter.full_name.partition(".")[0]][metric] = label
    for stage, metrics in grouped.items():
        yield row(stage)
        plain = [metric for metric, label in metrics.items() if not label and metric.endswith("_total")]
        if plain:
            yield panel(
                "timeseries",
                f"{stage}: events",
                (12, 8),
                *(target(rate(m), m.removeprefix(f"hwgw_{stage}_").removesuffix("_total")) for m in plain),
                unit="ops",
            )
        for metric, label in metrics.items():
            if label:
                title = "refused, by reason" if label == "reason" else "dropped, by cause"
                yield panel(
                    "timeseries", f"{stage}: {title}", (12, 8), target(rate(metric), f"{{{{{label}}}}}"), unit="ops"
                )
            elif not metric.endswith("_total"):
                yield panel(
                    "timeseries", metric.removeprefix("hwgw_"), (12, 8), target(f"{metric}{{{WHO}}}", "{{gateway}}")
                )


def place(panels: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Panels from left to right, top to bottom, numbered."""
    placed, x, y, height = [], 0, 0, 0
    for number, each in enumerate(panels, 1):
        at = each["gridPos"]
        if x + at["w"] > COLUMNS:
            x, y, height = 0, y + height, 0
        placed.append({"id": number, **each, "gridPos": {"x": x, "y": y, **at}})
        x, height = x + at["w"], max(height, at["h"])
    return placed


def dashboard(uid: str, title: str, panels: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """A dashboard with a choice of data source and gateways."""
    gateways = {
        "name": "gateway",
        "type": "query",
        "label": "Gateway",
        "datasource": SOURCE,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "query": {"query": "label_values(hwgw_up, gateway)", "refId": "gateway"},
    }
    source = {"name": "source", "type": "datasource", "label": "Source", "query": "prometheus"}
    return {
        "uid": uid,
        "title": title,
        "tags": ["hwgw"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [source, gateways]},
        "annotations": {"list": []},
        "panels": place(panels),
    }


def made() -> dict[str, str]:
    """File name and text of every dashboard."""
    found = {
        "hwgw.json": dashboard("hwgw", "hwgw", overview()),
        "hwgw-trading.json": dashboard("hwgw-trading", "hwgw: money, venues, execution", trading()),
        "hwgw-stages.json": dashboard("hwgw-stages", "hwgw: every counter", stages()),
    }
    return {name: json.dumps(each, indent=1, ensure_ascii=False) + "\n" for name, each in found.items()}


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, text in made().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)
