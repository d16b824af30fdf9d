"""One look at a gateway for people: everything `hwgw top` and `hwgw serve` show, as values that JSON can carry.

SPDX-License-Identifier: MIT

It is the snapshot of `hwgw status --json` and beside it what moves: tops of books, use of limits, latencies in steps.
"""

from __future__ import annotations

import time
from typing import Any

from .. import specs
from ..native import lib
from ..published import feature_names, features, levels
from ..segment import Segment
from .clock import clock
from .histogram import BUCKETS_NS, histograms
from .snapshot import snapshot
from .usage import usage

__all__ = ["SCHEMA", "view"]

SCHEMA = "hwgw.view/1"
_BOOK = ("bid_px", "bid_qty", "bid_cnt", "ask_px", "ask_qty", "ask_cnt", "last_px", "last_qty", "ts_ns", "update_cnt")


def _books(segment: Segment) -> dict[str, dict[str, Any]]:
    """The top of each book, consistent in itself; good and trading as the gate sees them."""
    found = {}
    for number, symbol in enumerate(segment.instruments):
        row = segment.tob(number)
        flags = int(row["flags"])
        found[symbol] = {key: int(row[key]) for key in _BOOK} | {
            "good": bool(flags & lib.HWGW_SEGMENT_TOB_FLAGS_FEED_GOOD),
            "trading": bool(flags & lib.HWGW_SEGMENT_TOB_FLAGS_TRADING),
            "crossed": bool(flags & lib.HWGW_SEGMENT_TOB_FLAGS_CROSSED),
            "position": int(segment.positions[number]["pos"]),
        }
    return found


def _features(segment: Segment) -> dict[str, Any]:
    """The features that are shown: their units, and the values by symbol."""
    names = feature_names(segment)
    if not names:
        return {"features": {}, "feature_rows": {}}
    units = {each.name: each.unit for each in specs.features()}
    return {
        "features": {name: {"unit": units[name], "parameter": value} for name, value in names.items()},
        "feature_rows": {
            symbol: {name: int(row[name]) for name in names}
            for symbol, row in zip(segment.instruments, features(segment), strict=True)
        },
    }


def _journal(segment: Segment) -> list[dict[str, int]]:
    rows = []
    for thread in range(segment.thread_cnt):
        if ring := lib.hwgw_segment_journal(segment.pointer, thread):
            head = int(ring.head)
            rows.append(
                {
                    "pipeline": thread,
                    "records": int(ring.records),
                    "waiting_bytes": head - int(ring.written),
                    "not_durable_bytes": head - int(ring.durable),
                    "ring_bytes": int(ring.sz_bytes),
                    "error": int(ring.error),
                }
            )
    return rows


def view(segment: Segment) -> dict[str, Any]:
    """Prices in 1/10,000, money in price x shares, times in ns. Costs the gateway nothing."""
    now, beat_ns = int(lib.hwgw_now_ns()), int(segment.control["beat_ns"])
    host = clock()
    rows = [row.as_dict() for row in usage(segment)]
    return {
        "schema": SCHEMA,
        "time_ns": time.time_ns(),
        "running": segment.running(),
        **snapshot(segment),
        "heartbeat_age_ns": max(0, now - beat_ns) if beat_ns else None,
        "books": _books(segment),
        "depth_levels": int(segment.head["depth_levels"]),
        "depth": levels(segment),
        **_features(segment),
        "usage": [row for row in rows if row["scope"] != "instrument" or row["used"]],
        "buckets_ns": BUCKETS_NS,
        "steps": {stage: row.steps for stage, row in histograms(segment).items()},
        "journal": _journal(segment),
        "clock": {
            "synchronized": host.is_synchronized,
            "offset_ns": host.offset_ns,
            "error_ns_max": host.error_ns_max,
            "tsc_hz": int(segment.head["tsc_hz"]),
        },
    }
