"""What is so now, as metrics: feed, session, risk, limits, journal, processes, clock.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from typing import Any

from prometheus_client.core import CounterMetricFamily, InfoMetricFamily

from .. import specs
from ..native import lib
from ..risk.control import in_force
from ..segment import Segment, process_alive
from .clock import clock
from .families import MONEY, Families
from .usage import usage

__all__ = ["of_state"]

_CHANNEL_COUNTS = {
    "state_changes": "changes of state",
    "repairs": "times it became good again",
    "requests": "re-requests sent",
    "snapshots": "snapshots loaded",
    "snapshot_failures": "snapshots that failed",
}
_VENUE_COUNTS = {
    "sent": "orders and replaces",
    "cancels": "cancels sent",
    "accepted": "orders and replaces accepted",
    "rejected": "orders rejected, taken back or lost",
    "canceled": "cancels and reductions by the venue",
    "executed": "executions",
    "executed_qty": "shares executed",
    "losses": "times it was lost while up",
}
_CHANNEL_KEYS = {"state_changes": "change_cnt"}
_EXPOSURE = ("cash", "mark", "open_notional", "filled_notional", "pnl")


def _states(families: Families, labels: dict[str, str], name: str, text: str, enum: str, now: str) -> None:
    for code in specs.load("segment").enum(enum).values:
        families.gauge(name, text, labels | {"state": code.slug}, float(code.slug == now))


_QUALITY = {
    "sent": "orders and replaces sent (orders)", "acknowledged": "accepted and replaced (orders)",
    "rejected": "rejected by the venue (orders)", "lost": "taken back or lost on the way (orders)",
    "filled": "with an execution (orders)", "executed_qty": "executed (shares)",
}  # fmt: skip


def _feed(families: Families, gateway: str, look: dict[str, Any]) -> None:
    for number, thread in enumerate(look["pipelines"]):
        labels = {"gateway": gateway, "pipeline": str(number)}
        _states(families, labels, "hwgw_session_state", "1 for the state of the order session", "session_state",
                thread["session"])  # fmt: skip
        _states(families, labels, "hwgw_receive_state", "1 for the state of the receive path", "receive_state",
                thread["receive"])  # fmt: skip
        families.gauge("hwgw_open_orders", "Orders open at the venue", labels, thread["open_orders"])
        families.gauge(
            "hwgw_reconciling",
            "1 while what was rebuilt from the journal does not agree with the venue",
            labels,
            float(thread["reconciling"]),
        )
        if thread["alive_age_ns"] is not None:
            families.gauge("hwgw_pipeline_alive_age_seconds", "Since the pipeline's last housekeeping round", labels,
                           thread["alive_age_ns"] / 1e9)  # fmt: skip
    for row in look["sessions"]:
        labels = {"gateway": gateway, "pipeline": str(row["pipeline"]), "venue": row["venue"]}
        _states(families, labels, "hwgw_venue_state", "1 for the state of a venue's session", "session_state",
                row["state"])  # fmt: skip
        families.gauge("hwgw_venue_halted", "1 for a venue that is halted", labels,
                       float(row["venue"] in look["venue_halts"]))  # fmt: skip
        families.gauge("hwgw_venue_open_orders", "Open at a venue", labels, row["open_cnt"])
        families.gauge("hwgw_venue_reconciling", "1 while a venue does not agree with what the journal says", labels,
                       float(row["reconciling"]))  # fmt: skip
        for key, text in _VENUE_COUNTS.items():
            families.counter(f"hwgw_venue_{key}", f"Of a venue's session: {text}", labels, row[key])
    for row in look["channels"]:
        labels = {"gateway": gateway, "pipeline": str(row["pipeline"]), "channel": str(row["channel"])}
        _states(families, labels, "hwgw_feed_state", "1 for the state of a feed channel", "feed_state", row["state"])
        families.gauge("hwgw_feed_next_sequence", "Next message that is expected", labels, row["next_seq"])
        families.gauge("hwgw_feed_missing_messages", "Waited for", labels, row["missing_cnt"])
        families.gauge("hwgw_feed_held_messages", "Kept behind a hole", labels, row["held_cnt"])
        for key, text in _CHANNEL_COUNTS.items():
            families.counter(f"hwgw_feed_{key}", f"Of a feed channel: {text}", labels, row[_CHANNEL_KEYS.get(key, key)])
        for line, counts in row["lines"].items():
            for key in ("frames", "first", "late", "missed"):
                families.add(CounterMetricFamily, f"hwgw_feed_line_{key}", f"Of one line of a channel: {key}",
                             labels | {"line": line}, counts[key])  # fmt: skip


def _risk(families: Families, gateway: str, look: dict[str, Any], segment: Segment) -> None:
    own = {"gateway": gateway}
    halted = {halt["reason"] for halt in look["halts"]}
    for reason in specs.reasons()[1:]:
        families.gauge("hwgw_halted", "1 for each reason that the gateway is halted for", own | {"reason": reason.name},
                       float(reason.name in halted))  # fmt: skip
    families.gauge("hwgw_instruments_halted", "Instruments halted one by one", own, len(look["instrument_halts"]))
    for symbol, halt in look["instrument_halts"].items():
        families.gauge("hwgw_instrument_halted", "1 for an instrument that is halted", own | {"symbol": symbol,
                       "reason": halt["reason"]}, 1.0)  # fmt: skip
    for rule, row in look["breakers"].items():
        labels = own | {"rule": rule, "kind": row["kind"], "scope": row["scope"], "action": row["action"]}
        families.counter("hwgw_breaker_trips", "Trips of a circuit breaker rule", labels, row["trips"])
    for symbol, row in look["positions"].items():
        labels = own | {"symbol": symbol}
        families.gauge("hwgw_position_shares", "Position of an instrument that was traded", labels, row["position"])
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
        families.gauge("hwgw_strategy_live", "0 for one on paper or a shadow, whose orders are never sent", labels,
                       float(row["mode"] == "live"))  # fmt: skip
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
    for row in usage(segment):
        families.gauge("hwgw_limit_usage_ratio", "What is used of a limit, 1 at the limit", own | {"scope": row.scope,
                       "of": row.of, "limit": row.limit}, row.ratio)  # fmt: skip


def _quality(families: Families, gateway: str, look: dict[str, Any]) -> None:
    for row in look["quality"]:
        labels = {"gateway": gateway, "venue": row["venue"], "strategy": row["strategy"]}
        for key, text in _QUALITY.items():
            families.counter(f"hwgw_execution_{key}", f"Of a strategy at a venue: {text}", labels, row[key])
        for code, cnt in row["reject_reasons"].items():
            families.counter("hwgw_execution_reject_reasons", "Rejections by the venue's reason",
                             labels | {"code": code}, cnt)  # fmt: skip
        if row["fill_rate"] is not None:
            families.gauge("hwgw_execution_fill_ratio", "Orders with an execution, of those acknowledged", labels,
                           row["fill_rate"])  # fmt: skip
        for base in ("mid", "micro"):
            if (slip := row[f"slip_{base}_bps"]) is not None:
                families.gauge("hwgw_execution_slippage_ratio", "Cost of executed shares beyond the book at arrival",
                               labels | {"of": base}, slip / 1e4)  # fmt: skip
        for span in ("sent_to_ack", "ack_to_fill"):
            for percentile, ns in row[f"{span}_ns"].items():
                if ns is not None:
                    families.gauge(f"hwgw_execution_{span}_seconds", "Upper end of the slot it lies in, half an octave",
                                   labels | {"percentile": percentile}, ns / 1e9)  # fmt: skip


def _processes(families: Families, look: dict[str, Any], segment: Segment) -> None:
    own = {"gateway": segment.name}
    for process in ("control", "data"):
        is_alive = process_alive(look[f"{process}_pid"])
        families.gauge("hwgw_process_up", "1 while the process exists", own | {"process": process}, float(is_alive))
    if beat_ns := int(segment.control["beat_ns"]):
        age = max(0, int(lib.hwgw_now_ns()) - beat_ns) / 1e9
        families.gauge("hwgw_heartbeat_age_seconds", "Since the control process last said that it is alive", own, age)
    confined, placed = look["confined"], look["placement"]
    for name in ("privileges_dropped", "calls_filtered"):
        families.gauge("hwgw_confined", "1 for what the data process has given up", own | {"what": name},
                       float(confined[name]))  # fmt: skip
    families.counter(
        "hwgw_refused_system_calls", "System calls that the filter refused", own, confined["refused_calls"]
    )
    families.gauge("hwgw_memory_locked_bytes", "Memory of the data process that is locked", own,
                   placed["locked_kib"] * 1024)  # fmt: skip
    families.gauge("hwgw_memory_huge_bytes", "Memory of it on huge pages", own, placed["huge_kib"] * 1024)
    families.gauge(
        "hwgw_fell_back", "1 when udp receives because AF_XDP could not be had", own, float(look["fell_back"])
    )


def _clock(families: Families, segment: Segment) -> None:
    own, now = {"gateway": segment.name}, clock()
    families.gauge(
        "hwgw_tsc_hertz", "Rate of the clock that latencies are taken with", own, int(segment.head["tsc_hz"])
    )
    families.gauge(
        "hwgw_clock_synchronized", "1 while the kernel's clock is disciplined", own, float(now.is_synchronized)
    )
    families.gauge("hwgw_clock_offset_seconds", "What the kernel still slews", own, now.offset_ns / 1e9)
    families.gauge("hwgw_clock_error_max_seconds", "Bound on the clock's error, as its discipline says", own,
                   now.error_ns_max / 1e9)  # fmt: skip


def _journal(families: Families, segment: Segment) -> None:
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


def of_state(families: Families, look: dict[str, Any], segment: Segment) -> None:
    """Every family that tells a state, of one gateway and one look at it."""
    _feed(families, segment.name, look)
    _risk(families, segment.name, look, segment)
    _quality(families, segment.name, look)
    _journal(families, segment)
    _processes(families, look, segment)
    _clock(families, segment)
