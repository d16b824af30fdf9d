"""The shared segment of a gateway: NumPy views of /dev/shm/hwgw-NAME, and the words that a control tool may write.

SPDX-License-Identifier: MIT

Views are zero-copy and live: they change while you look, and cost the data path nothing. Copy what must hold together;
tob() does so under the seqlock. Layouts: hwgw/specs/segment.yaml. Times are ns, prices 1/10,000, quantities shares.
"""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from . import specs
from .errors import CheckFailed, UsageError
from .feature_choice import Wanted, native_features
from .native import call, ffi, lib, text
from .segment_halts import Halts
from .segment_rows import enum_names, field_text, quality_of, view

__all__ = ["PERCENTILES", "STAGES", "Segment", "gateways", "process_alive", "remove_left_over"]

PERCENTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9, "p9999": 99.99}
STAGES = tuple(code.slug for code in specs.load("segment").enums["hist"].values)
_ACKNOWLEDGE_SECONDS = 1.0  # a pipeline looks before every order and each millisecond
_SHM = Path("/dev/shm")  # noqa: S108 (the segment's place is part of the interface)

_CHANNEL_KEYS = (
    "next_seq", "seen_seq", "missing_cnt", "held_cnt", "sessions", "repairs", "requests", "snapshots",
    "snapshot_failures", "changed_ns", "change_cnt",
)  # fmt: skip
SESSION_KEYS = (
    "port", "open_cnt", "unknown_cnt", "last_ref", "login", "losses", "next_seq", "sent", "cancels", "accepted",
    "rejected", "canceled", "executed", "executed_qty",
)  # fmt: skip


def gateways() -> list[str]:
    """Names of the gateways that have a segment on this host, running or left over."""
    return sorted(path.name.removeprefix("hwgw-") for path in _SHM.glob("hwgw-*") if "." not in path.name)


def remove_left_over(name: str) -> bool:
    """Remove the segment of a gateway that is gone, and what it says of open orders; False when the gateway runs."""
    with Segment.attach(name) as segment:
        if segment.running():
            return False
    (_SHM / f"hwgw-{name}").unlink(missing_ok=True)
    return True


class Segment(Halts):
    """A mapping of a gateway's segment. Close it (or use it as a context) when the views are no longer needed."""

    def __init__(self, pointer: Any, name: str, *, owner: bool = False) -> None:
        self._pointer = pointer
        self._owner = owner
        self.name = name
        self.head = view(lib.hwgw_segment_head(pointer), "segment_header", 1)[0]
        self.control = view(lib.hwgw_segment_control(pointer), "control", 1)[0]
        self.thread_cnt = int(self.head["thread_cnt"])
        self.instrument_cnt = int(self.head["instrument_cnt"])
        first = lib.hwgw_segment_thread(pointer, 0)
        self.threads = view(first, "thread", self.thread_cnt)
        symbols = ffi.buffer(lib.hwgw_segment_symbols(pointer), 8 * self.instrument_cnt)[:]
        names = [symbols[i : i + 8].decode("ascii", "replace").rstrip() for i in range(0, len(symbols), 8)]
        venues = self.venues
        self.symbols = tuple(names[: len(names) // max(1, len(venues))])
        """What the gate, the limits and halts go by."""
        self.instruments = tuple(f"{s}@{v}" for v in venues for s in self.symbols) if venues else self.symbols
        """What has a book and a position: a symbol, or with several sessions a symbol at a venue."""
        self.positions = view(lib.hwgw_segment_position(pointer, 0), "position", self.instrument_cnt)
        self.top = view(lib.hwgw_segment_tob(pointer, 0), "tob", self.instrument_cnt)
        depth, feature = lib.hwgw_segment_depth(pointer, 0), lib.hwgw_segment_feature_row(pointer, 0)
        self.depth_rows = view(depth, "depth", self.instrument_cnt) if depth else None
        self.feature_rows = view(feature, "feature_row", self.instrument_cnt) if feature else None
        risk = specs.load("risk")
        self.exposures = view(lib.hwgw_segment_exposure(pointer, 0), "exposure", risk.constant("accounts_max") + 1)
        self.strategy_rows = view(
            lib.hwgw_segment_strategy(pointer, 0), "strategy_row", risk.constant("strategies_max")
        )
        self.strategy_params = view(
            lib.hwgw_segment_param(pointer, 0), "strategy_param", risk.constant("strategies_max")
        )
        self.rule_rows = view(
            lib.hwgw_segment_rule(pointer, 0), "rule_row", specs.load("segment").constant("rules_max")
        )

    @classmethod
    def attach(cls, name: str, *, writable: bool = False) -> Self:
        """Map a gateway's segment; UsageError when there is none, PrivilegeError when not permitted."""
        pointer = ffi.new("struct hwgw_segment **")
        call(lib.hwgw_segment_attach, pointer, name.encode(), writable)
        return cls(pointer[0], name)

    @classmethod
    def create(
        cls,
        name: str,
        symbols: list[str] | tuple[str, ...],
        *,
        thread_cnt: int = 1,
        commit: str = "",
        journal_sz_bytes: int = 0,
        fanout_sz_bytes: int = 0,
        venues: tuple[str, ...] = (),
        depth_levels: int = 0,
        features: Wanted | None = None,
    ) -> Self:
        """Make the segment of a gateway and hold its lock; UsageError when a gateway of that name runs.

        With several venues symbols stand once for each, in their order.
        """
        from . import __version__

        for symbol in symbols:
            if not 1 <= len(symbol) <= 8 or not symbol.isascii():
                raise UsageError(f"symbol {symbol!r} is not 1 to 8 ASCII characters")
        joined = "".join(f"{symbol:<8}" for symbol in symbols).encode()
        keep = [ffi.new("char[]", value) for value in (name.encode(), __version__.encode(), commit.encode(), joined)]
        keep.append(ffi.new("char[]", b"".join(venue.encode().ljust(16, b"\0") for venue in venues)))
        keep.append(native_features(features or {}))
        cfg = ffi.new(
            "struct hwgw_segment_cfg *",
            {
                "name": keep[0],
                "version": keep[1],
                "commit": keep[2],
                "symbols": keep[3],
                "thread_cnt": thread_cnt,
                "instrument_cnt": len(symbols),
                "journal_sz_bytes": journal_sz_bytes,
                "fanout_sz_bytes": fanout_sz_bytes,
                "depth_levels": depth_levels,
                "venues": keep[-2],
                "venue_cnt": len(venues),
                "features": keep[-1],
            },
        )
        pointer = ffi.new("struct hwgw_segment **")
        call(lib.hwgw_segment_create, pointer, cfg)
        return cls(pointer[0], name, owner=True)

    @property
    def pointer(self) -> Any:
        """struct hwgw_segment *, for native calls; valid until close."""
        return self._pointer

    def close(self) -> None:
        """Unmap; the views are invalid afterwards. The owner removes the file too, unless a halt is latched."""
        if self._pointer:
            lib.hwgw_segment_close(self._pointer, self._owner)
            self._pointer = ffi.NULL

    @property
    def config(self) -> Path | None:
        """The configuration file the gateway was started from, or None."""
        name = bytes(self.head["config"]).rstrip(b"\0")
        return Path(os.fsdecode(name)) if name else None

    def running(self) -> bool:
        """Whether a process holds the gateway's lock (asked from another process than the gateway's own)."""
        return bool(lib.hwgw_segment_locked(self._pointer))

    def confined(self) -> dict[str, Any]:
        """What the data process has given up, and the system calls it was refused."""
        bits = int(self.head["confined"])
        given = {name: bool(bits & bit) for bit, name in enum_names("confined").items()}
        calls = int(self.head["refused_calls"])
        return {**given, "refused_calls": calls, "refused_call": int(self.head["refused_call"]) if calls else None}

    def placement(self) -> dict[str, Any]:
        """Memory and power states of the data process, checked after they were set, and what was not had."""
        bits, head = int(self.head["placement"]), self.head
        held = {name: bool(bits & bit) for bit, name in enum_names("placement").items()}
        reason = field_text(head["placement_reason"])
        latency = int(head["dma_latency_us"])
        return {
            **held, "locked_kib": int(head["locked_kib"]), "huge_kib": int(head["huge_kib"]),
            "dma_latency_us": latency if latency >= 0 else None, "reason": reason,
        }  # fmt: skip

    def counters(self) -> dict[str, int]:
        """Every counter by stage.name, summed over the pipelines."""
        names = [counter.full_name for counter in specs.counters()]
        total = np.zeros(len(names), np.uint64)
        for thread in range(self.thread_cnt):
            block = lib.hwgw_segment_counters(self._pointer, thread)
            total += np.frombuffer(ffi.buffer(block, 8 * len(names)), np.uint64)
        return {name: int(value) for name, value in zip(names, total.tolist(), strict=True) if name != "none.none"}

    def rounds(self) -> tuple[int, ...]:
        """How many rounds each pipeline has made."""
        at = [counter.full_name for counter in specs.counters()].index("pipeline.loops")
        return tuple(int(lib.hwgw_segment_counters(self._pointer, thread)[at]) for thread in range(self.thread_cnt))

    def latency_ns(self) -> dict[str, dict[str, int]]:
        """Per stage p50, p99, p999, p9999, max and cnt, over all pipelines."""
        hist = ffi.new("char[]", lib.hwgw_hist_sz_bytes())
        rate = 1e9 / int(self.head["tsc_hz"])
        result = {}
        for stage, name in enumerate(STAGES):
            merged = ffi.cast("struct hwgw_hist *", hist)
            ffi.memmove(hist, bytes(len(hist)), len(hist))
            for thread in range(self.thread_cnt):
                lib.hwgw_hist_merge(merged, lib.hwgw_segment_hist(self._pointer, thread, stage))
            row = {key: round(lib.hwgw_hist_percentile(merged, pct) * rate) for key, pct in PERCENTILES.items()}
            row["max"] = round(lib.hwgw_hist_max(merged) * rate)
            row["cnt"] = int(lib.hwgw_hist_cnt(merged))
            result[name] = row
        return result

    def tob(self, instrument: int) -> np.void:
        """A consistent copy of one top-of-book row."""
        if not 0 <= instrument < self.instrument_cnt:
            raise UsageError(f"instrument {instrument}: 0 to {self.instrument_cnt - 1} are allowed")
        row = ffi.new("struct hwgw_tob *")
        for _ in range(100):
            if lib.hwgw_tob_read(lib.hwgw_segment_tob(self._pointer, instrument), row):
                break
            time.sleep(0.0001)
        else:
            raise CheckFailed(f"{self.name}: the top of book of instrument {instrument} was left half written")
        copy: np.void = view(row, "tob", 1).copy()[0]
        return copy

    def limits(self) -> np.ndarray[Any, Any] | None:
        """A copy of the limits in force, or None when none were loaded."""
        generation = int(self.control["limits_generation"])
        if not generation:
            return None
        dtype = specs.dtype("risk", "limits")
        table = lib.hwgw_segment_limits(self._pointer, generation & 1)
        return np.frombuffer(ffi.buffer(table, dtype.itemsize), dtype).copy()

    def publish_limits(self, limits: np.ndarray[Any, Any]) -> int:
        """Put a limits record (table risk, layout limits) in force; the generation that pipelines will acknowledge.

        CheckFailed when one has not acknowledged the generation before: its gate may still read the other table.
        """
        raw = limits.tobytes()
        if len(raw) != ffi.sizeof("struct hwgw_limits"):
            raise UsageError(f"a limits table has {ffi.sizeof('struct hwgw_limits')} bytes, this one {len(raw)}")
        table = ffi.from_buffer("struct hwgw_limits *", bytearray(raw))
        end = time.monotonic() + _ACKNOWLEDGE_SECONDS
        while not (generation := int(lib.hwgw_limits_publish(self._pointer, table))):
            if time.monotonic() > end:
                raise CheckFailed(
                    f"{self.name}: a pipeline has not acknowledged the limits in force within"
                    f" {_ACKNOWLEDGE_SECONDS:g} s: no newer ones were written"
                )
            time.sleep(0.001)
        return generation

    def arm(self, strategy: int) -> None:
        """Ask the gate to arm a strategy by its number; one that is armed begins a new run of fills and refusals."""
        lib.hwgw_arm(self._pointer, self._strategy_number(strategy), True)

    def disarm(self, strategy: int) -> None:
        """Ask the gate to disarm a strategy: none of its orders passes."""
        lib.hwgw_arm(self._pointer, self._strategy_number(strategy), False)

    def cancel_all(self) -> int:
        """Ask every pipeline to cancel what it has open at the venue; the number of the request."""
        return int(lib.hwgw_cancel_all(self._pointer))

    def cancelled(self, request: int) -> tuple[int, int] | None:
        """Of a request to cancel: orders that were open, and those whose end is not known yet; None: not begun."""
        if any(int(row["cancel_seq_ack"]) < request for row in self.threads):
            return None
        asked, left = (sum(int(row[key]) for row in self.threads) for key in ("cancel_asked", "cancel_left"))
        return asked, left

    def _strategy_number(self, strategy: int) -> int:
        if not 0 <= strategy < len(self.strategy_rows):
            raise UsageError(f"strategy {strategy}: 0 to {len(self.strategy_rows) - 1} are allowed")
        return strategy

    def beat(self) -> None:
        """Tell the data plane that the control plane is alive."""
        lib.hwgw_beat(self._pointer)

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Hold the line by which the data process sees at once that the process of this thread was killed."""
        held = lib.hwgw_life_hold(self._pointer)
        try:
            yield
        finally:
            if held:
                lib.hwgw_life_release(self._pointer)

    def breakers(self) -> dict[str, dict[str, Any]]:
        """The circuit breaker rules by name: kind, scope, action, how often each tripped, and its last trip."""
        rows = view(lib.hwgw_segment_breaker(self._pointer, 0), "breaker_row", lib.HWGW_BREAKER_RULES_MAX, "breaker")
        enums = {name: enum_names(name, "breaker") for name in ("kind", "scope", "action")}
        found = {}
        for row in rows:
            if not (name := bytes(row["name"]).rstrip(b"\0").decode("ascii", "replace")):
                continue
            entry: dict[str, Any] = {key: enums[key].get(int(row[key]), "none") for key in enums}
            entry["trips"] = int(row["trips"])
            if entry["trips"]:
                entry |= {"time_ns": int(row["ts_ns"]), "value": int(row["value"]), "limit": int(row["limit"])}
                entry["of"] = self._whom(entry["scope"], int(row["index"]))
            found[name] = entry
        return found

    def _whom(self, scope: str, index: int) -> str:
        if scope == "instrument" and index < self.instrument_cnt:
            return str(self.symbols[index])
        if scope == "strategy":
            return str(bytes(self.strategy_rows[index]["name"]).rstrip(b"\0"), "utf-8", "replace")
        return "gateway" if scope == "gateway" else str(index)

    def exposure(self) -> dict[str, dict[str, int]]:
        """Money at stake of the gateway ("gateway") and of each account in use (its number), in px x qty units."""
        keys = ("cash", "mark", "open_notional", "filled_notional", "open_cnt")
        rows = {"gateway": self.exposures[-1]}
        rows |= {str(i): row for i, row in enumerate(self.exposures[:-1]) if int(row["is_used"])}
        return {
            name: {**{key: int(row[key]) for key in keys}, "pnl": int(row["cash"]) + int(row["mark"])}
            for name, row in rows.items()
        }

    def strategies(self) -> dict[str, dict[str, Any]]:
        """What each strategy of the configuration has done, by name; number is what arm() takes.

        of: of a shadow, the number of the live strategy that it is beside; else -1. fees: on paper, by the model, in
        1/1,000,000; pnl is before them.
        """
        keys = (
            *("account", "fills", "rejects", "passed", "refused"),
            *("executed_qty", "executed_notional", "cash", "mark", "fees"),
        )
        found: dict[str, dict[str, Any]] = {}
        modes = enum_names("strategy_mode")
        for number, row in enumerate(self.strategy_rows):
            if name := bytes(row["name"]).rstrip(b"\0").decode("utf-8", "replace"):
                values = {key: int(row[key]) for key in keys}
                found[name] = {
                    "number": number, "mode": modes[int(row["mode"])], "of": int(row["of"]) - 1,
                    "armed": bool(row["is_armed"]), **values,
                    "pnl": values["cash"] + values["mark"],
                }  # fmt: skip
        return found

    def channel_status(self) -> list[dict[str, Any]]:
        """What each feed channel of each pipeline says of itself; lines are A, B ... and the re-request servers last.

        lag_ns: upper edge of each step -> packets that another line had brought before, later by less than that.
        """
        states = enum_names("feed_state")
        tick_ns = 1e9 / int(self.head["tsc_hz"])
        found = []
        for thread in range(self.thread_cnt):
            rows = view(lib.hwgw_segment_channel(self._pointer, thread, 0), "channel", lib.HWGW_CHANNELS_MAX)
            for index, row in enumerate(rows):
                line_cnt = int(row["line_cnt"])
                if not line_cnt:
                    continue
                slots = row["line_lag"].reshape(lib.HWGW_LINES_MAX, -1)
                lines: dict[str, dict[str, Any]] = {
                    name: {
                        key: int(row[f"line_{key}"][at]) for key in ("frames", "first", "late", "missed", "next_seq")
                    }
                    for at, name in [*enumerate("ABCD"[:line_cnt]), (lib.HWGW_LINE_RECOVERY, "recovery")]
                }
                for at, name in enumerate("ABCD"[:line_cnt]):
                    lags = {round((128 << step) * tick_ns): int(cnt) for step, cnt in enumerate(slots[at]) if cnt}
                    lines[name]["lag_ns"] = lags
                found.append(
                    {
                        "pipeline": thread,
                        "channel": index,
                        "state": states[int(row["state"])],
                        "session": field_text(row["session"]).strip(),
                        **{key: int(row[key]) for key in _CHANNEL_KEYS},
                        "changes": self.feed_changes(thread, index),
                        "lines": lines,
                    }
                )
        return found

    def feed_changes(self, pipeline: int, channel: int, after: int = 0) -> list[dict[str, Any]]:
        """The changes of state of a feed channel behind number `after`, oldest first, as far as they are still kept."""
        states = enum_names("feed_state")
        row = view(lib.hwgw_segment_channel(self._pointer, pipeline, channel), "channel", 1)[0]
        cnt, ring = int(row["change_cnt"]), row["change"].copy()
        # one that is being overwritten while it is copied has the number of neither
        kept = [ring[number % len(ring)] for number in range(max(after + 1, cnt - len(ring) + 2), cnt + 1)]
        return [
            {
                **{key: int(entry[key]) for key in ("number", "ts_ns", "next_seq", "missing_cnt")},
                "from": states[int(entry["from"])],
                "to": states[int(entry["to"])],
            }
            for entry in kept
            if after < int(entry["number"]) <= cnt
        ]

    def sessions(self) -> list[dict[str, Any]]:
        """The order sessions of each pipeline, and what became of their orders since it began."""
        states, protocols = enum_names("session_state"), enum_names("order_protocol")
        entries = enum_names("entry_state")
        return [
            {
                "pipeline": number,
                "venue": field_text(row["venue"]),
                "state": states[int(row["state"])],
                "reason": field_text(row["reason"]),
                "protocol": protocols[int(row["protocol"])],
                "address": str(ipaddress.IPv4Address(int(row["address"]))),
                "reconciling": bool(row["is_reconciling"]),
                "entry": entries[int(row["entry"])],
                **{key: int(row[key]) for key in SESSION_KEYS},
            }
            for number, thread in enumerate(self.threads)
            for row in thread["session"][: int(thread["session_cnt"])]
        ]

    def quality(self) -> list[dict[str, Any]]:
        """What became of the orders of each strategy at each venue that it sent some to, since the pipelines began."""
        sessions = [row["venue"] for row in self.sessions()]
        kinds = specs.load("segment").constant("sessions_max"), specs.load("risk").constant("strategies_max")
        rows = view(lib.hwgw_segment_quality(self._pointer, 0, 0), "quality", kinds[0] * kinds[1])
        names = {row["number"]: name for name, row in self.strategies().items()}
        found = []
        for at in np.flatnonzero(rows["sent"]):
            venue, strategy = divmod(int(at), kinds[1])
            name = sessions[venue] if venue < len(sessions) else ""
            found.append({"venue": name, "strategy": names.get(strategy, str(strategy)), **quality_of(rows[at])})
        return found

    def thread_status(self) -> list[dict[str, Any]]:
        """What each pipeline says of itself."""
        kinds = ("thread_state", "session_state", "feed_state", "receive_state")
        states, sessions, feeds, receives = (enum_names(name) for name in kinds)
        now_ns = int(lib.hwgw_now_ns())
        return [
            {
                "state": states[int(row["state"])],
                "cpu": int(row["cpu"]),
                "fifo_priority": int(row["fifo_priority"]),
                "memory_node": int(row["memory_node"]),
                "cpu_node": int(row["cpu_node"]),
                "tid": int(row["tid"]),
                "session": sessions[int(row["session_state"])],
                "reconciling": bool(row["is_reconciling"]),
                "feed": feeds[int(row["feed_state"])],
                "receive": receives[int(row["receive_state"])],
                "receive_reason": field_text(row["receive_reason"]),
                "next_seq": int(row["next_seq"]),
                "last_ref": int(row["last_ref"]),
                "open_orders": int(row["open_cnt"]),
                "limits_generation": int(row["generation_ack"]),
                "alive_age_ns": max(0, now_ns - int(row["alive_ns"])) if int(row["alive_ns"]) else None,
                "error": text(ffi.from_buffer("char[]", bytes(row["error"]) + b"\0")),
            }
            for row in self.threads
        ]


def process_alive(pid: int) -> bool:
    """Whether a process of that id exists (and is not just a zombie of ours)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (OSError, IndexError):
        return False
