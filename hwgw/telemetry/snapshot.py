"""One look at a gateway: everything `hwgw status` and the demo's panel show, as plain values.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from typing import Any

from ..risk.control import in_force
from ..segment import Segment
from .ledger import ledger_rows

__all__ = ["snapshot"]


def _text(field: bytes) -> str:
    return bytes(field).rstrip(b"\0").decode("utf-8", "replace")


def snapshot(segment: Segment) -> dict[str, Any]:
    """State, counters, ledgers, latencies (ns), positions that are not flat, refusals by reason and the halt."""
    head = segment.head
    counters = segment.counters()
    refused = {
        name.removeprefix("risk.refused_"): value
        for name, value in counters.items()
        if name.startswith("risk.refused_") and value
    }
    threads, strategies = segment.thread_status(), segment.strategies()
    positions = {
        symbol: {
            "position": int(row["pos"]),
            "cash": int(row["cash"]),
            "fills": int(row["fill_cnt"]),
            "open_buys": int(row["open_buy_cnt"]),
            "open_sells": int(row["open_sell_cnt"]),
        }
        for symbol, row in zip(segment.instruments, segment.positions, strict=True)
        if int(row["fill_cnt"]) or int(row["open_buy_cnt"]) or int(row["open_sell_cnt"])
    }
    return {
        "name": segment.name,
        "mode": next((row["mode"] for row in strategies.values()), "live"),
        "backend": _text(head["backend"]),
        "receive": _text(head["receive"]),
        "fell_back": bool(head["fell_back"]),
        "version": _text(head["version"]),
        "control_pid": int(head["control_pid"]),
        "data_pid": int(head["data_pid"]),
        "up_seconds": round((time.time_ns() - int(head["start_ns"])) / 1e9, 3),
        "halted": segment.halted,
        "halts": segment.halts,
        "instrument_halts": segment.instrument_halts,
        "venue_halts": segment.venue_halts,
        "breakers": segment.breakers(),
        "limits_generation": int(segment.control["limits_generation"]),
        "confined": segment.confined(),
        "placement": segment.placement(),
        "limits_hash": in_force(segment).digest if int(segment.control["limits_generation"]) else "",
        "pipelines": threads,
        "sessions": segment.sessions(),
        "quality": segment.quality(),
        "channels": segment.channel_status(),
        "counters": counters,
        "ledgers": {row.name: row.as_dict() for row in ledger_rows(counters)},
        "refused": refused,
        "exposure": segment.exposure(),
        "strategies": strategies,
        "positions": positions,
        "latency_ns": segment.latency_ns(),
    }
