"""The simulated exchange inside this process: settings, run, stop, report.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwgw_sim._native import ffi, lib

from hwgw import specs
from hwgw.bad_line import Faults
from hwgw.closing import Closing
from hwgw.errors import BY_EXIT_CODE, ConfigError, HwgwError

SCHEMA = "hwgw.exchange/1"
PACES = {
    "recorded": lib.HWGW_SIM_PACE_RECORDED,
    "scale": lib.HWGW_SIM_PACE_SCALED,
    "rate": lib.HWGW_SIM_PACE_RATE,
    "max": lib.HWGW_SIM_PACE_MAX,
}
DEFAULT_USER = ("HWGW01", "SIMULATOR")
DEFAULT_GROUP = "233.54.12.111"
DEFAULT_PORT = 26477
SYMBOLS_MAX: int = lib.HWGW_SIM_SYMBOLS_MAX


def die_with_parent(parent_pid: int) -> bool:
    """Have the kernel kill this process when its parent thread ends; False when parent_pid is gone already."""
    return bool(lib.hwgw_sim_die_with_parent(parent_pid))


def default_symbols(count: int) -> tuple[str, ...]:
    """Names of generated symbols: SIM00000, SIM00001 and so on."""
    return tuple(f"SIM{index:05d}" for index in range(count))


def default_session() -> str:
    """A session name of ten characters that differs from the last run's."""
    return f"S{time.time_ns() // 1_000_000 % 10**9:09d}"


@dataclass(frozen=True)
class ExchangeConfig:
    """What an exchange publishes, where, and whom it lets in. Times and limits of 0 mean their defaults.

    pace: "rate" (rate messages per second, or steps: so many messages evenly over so many microseconds, one step after
    the other; with the last the source ends), "max", and for a capture also "recorded" and "scale" (recorded time
    divided by pace_scale). group None: nothing is sent, which is of use with record. group_b: a second line with the
    same packets; faults are those of both lines. requests, snapshots: where the recovery servers listen, at one
    address; request_loss: share of re-requests, and of answers, that are lost; request_bytes: how much is kept for
    them, a power of two. send: "udp", or as frames past the kernel's stack by "packet" or "afxdp".
    listen None: no order entry. users: name, password and, if not ouch50, protocol.
    """

    symbols: Sequence[str] = default_symbols(8)
    seed: int = 1
    depth: int = 100
    pace: str = "max"
    rate: int = 0
    steps: Sequence[tuple[int, int]] = ()
    pace_scale: float = 1.0
    batch_us: int = 50
    seconds: float = 0.0
    messages_max: int = 0
    feed: Path | None = None
    linger: float = 0.0
    wait_clients: int = 0
    start_delay_ms: int = 0
    virtual_clock: bool = False
    group: str | None = DEFAULT_GROUP
    port: int = DEFAULT_PORT
    ttl: int = 1
    interface: str = ""
    local_address: str = ""
    loopback: bool = False
    send: str = "udp"
    session: str = field(default_factory=default_session)
    packet_size: int = 0
    heartbeat_ms: int = 0
    end_packets: int = 5
    end_interval_ms: int = 20
    record: Path | None = None
    group_b: str | None = None
    port_b: int = DEFAULT_PORT
    faults: tuple[Faults, Faults] | None = None
    requests: tuple[str, int] | None = None
    snapshots: tuple[str, int] | None = None
    request_loss: float = 0.0
    request_bytes: int = 0
    listen: tuple[str, int] | None = ("127.0.0.1", 0)
    users: Sequence[tuple[str, ...]] = (DEFAULT_USER,)
    client_orders: int = 0
    replay_bytes: int = 0
    client_timeout_ms: int = 0
    cancel_on_disconnect: bool = False
    cancel_at_close: bool = False


def _padded(what: str, value: str, size: int) -> bytes:
    raw = value.encode("ascii", "replace")
    if not raw.strip() or len(raw) > size or not value.isascii() or not value.isprintable():
        raise ConfigError(f"{what} {value!r}: 1 to {size} printable ASCII characters are allowed")
    return raw.ljust(size)


def _address(what: str, value: str) -> int:
    try:
        return int(ipaddress.IPv4Address(value))
    except ValueError as error:
        raise ConfigError(f"{what} {value!r}: an IPv4 address is wanted") from error


def _raise(status: int, text: Any) -> None:
    if status:
        message = ffi.string(text).decode("utf-8", "replace")
        raise BY_EXIT_CODE.get(status, HwgwError)(f"exchange: {message}")


class Exchange(Closing):
    """One run of the simulated exchange; a context manager. run() blocks with the GIL released."""

    def __init__(self, config: ExchangeConfig) -> None:
        self.config = config
        self._keep: list[Any] = []
        self._handle = ffi.NULL
        cfg = self._cfg()
        out = ffi.new("struct hwgw_sim_exchange **")
        text = ffi.new("char[]", lib.HWGW_SIM_ERROR_SZ)
        _raise(lib.hwgw_sim_exchange_open(out, cfg, text, lib.HWGW_SIM_ERROR_SZ), text)
        self._handle = out[0]

    def _cfg(self) -> Any:
        config = self.config
        if config.pace not in PACES:
            raise ConfigError(f"pace {config.pace!r}: one of {', '.join(PACES)} is wanted")
        symbols = b"".join(_padded("symbol", name, 8) for name in config.symbols)
        users = ffi.new("struct hwgw_sim_user[]", max(1, len(config.users)))
        for user, (name, password, *protocol) in zip(users, config.users, strict=False):
            if protocol not in ([], ["ouch50"], ["ouch42"]):
                raise ConfigError(f"user {name}: protocol {protocol[0]!r}: one of ouch50, ouch42 is wanted")
            user.is_ouch42 = protocol == ["ouch42"]
            user.name = _padded("user name", name.upper(), 6)
            user.password = _padded("password", password.upper(), 10)
        cfg = ffi.new("struct hwgw_sim_cfg *")
        strings = {
            "path": str(config.feed) if config.feed else "",
            "interface": config.interface,
            "send": "" if config.send == "udp" else config.send,
            "record_path": str(config.record) if config.record else "",
        }
        for name, value in strings.items():
            self._keep.append(ffi.new("char[]", value.encode()))
            setattr(cfg, name, self._keep[-1])
        self._keep += [ffi.new("char[]", symbols), users]
        cfg.symbols, cfg.users = self._keep[-2:]
        cfg.symbol_cnt, cfg.user_cnt = len(config.symbols), len(config.users)
        cfg.depth, cfg.seed = config.depth, config.seed % 2**64
        cfg.pace, cfg.rate, cfg.pace_scale = PACES[config.pace], config.rate, config.pace_scale
        cfg.batch_us = config.batch_us
        cfg.messages_max = config.messages_max or sum(messages for messages, _ in config.steps)
        self._keep.append(ffi.new("struct hwgw_sim_step[]", [(cnt, us * 1000) for cnt, us in config.steps]))
        cfg.steps, cfg.step_cnt = self._keep[-1], len(config.steps)
        cfg.run_ns, cfg.linger_ns = int(config.seconds * 1e9), int(config.linger * 1e9)
        cfg.wait_clients, cfg.start_delay_ms = config.wait_clients, config.start_delay_ms
        cfg.virtual_clock = config.virtual_clock
        cfg.group = _address("group", config.group) if config.group else 0
        cfg.port, cfg.ttl, cfg.loopback = config.port, config.ttl, config.loopback
        cfg.local_address = _address("local address", config.local_address) if config.local_address else 0
        cfg.session = _padded("session", config.session, 10)
        cfg.packet_sz_max, cfg.heartbeat_ms = config.packet_size, config.heartbeat_ms
        cfg.end_cnt, cfg.end_interval_ms = config.end_packets, config.end_interval_ms
        if config.listen is not None:
            cfg.listen = True
            cfg.listen_address, cfg.listen_port = _address("listen address", config.listen[0]), config.listen[1]
        cfg.group_b = _address("group", config.group_b) if config.group_b else 0
        cfg.port_b, cfg.request_loss_ppm = config.port_b, round(config.request_loss * 1_000_000)
        cfg.request_store_sz_bytes = config.request_bytes
        if config.faults is not None:
            cfg.has_faults = True
            for line, faults in zip(cfg.faults, config.faults, strict=True):
                faults.fill(line)
        if config.requests is not None:
            cfg.requests, cfg.request_port = True, config.requests[1]
            cfg.recovery_address = _address("recovery address", config.requests[0])
        if config.snapshots is not None:
            cfg.snapshots, cfg.snapshot_port = True, config.snapshots[1]
            cfg.recovery_address = _address("recovery address", config.snapshots[0])
        cfg.client_orders_max, cfg.store_sz_bytes = config.client_orders, config.replay_bytes
        cfg.client_timeout_ms, cfg.cancel_on_disconnect = config.client_timeout_ms, config.cancel_on_disconnect
        cfg.cancel_at_close = config.cancel_at_close
        return cfg

    def close(self) -> None:
        """Ends it; the run must be over."""
        lib.hwgw_sim_exchange_close(self._handle)
        self._handle = ffi.NULL

    def run(self) -> None:
        """Serve until the configured end or stop()."""
        text = ffi.new("char[]", lib.HWGW_SIM_ERROR_SZ)
        _raise(lib.hwgw_sim_exchange_run(self._handle, text, lib.HWGW_SIM_ERROR_SZ), text)

    def stop(self) -> None:
        """Ask the run to end; from any thread. It does within 50 ms and the time of the end of session packets."""
        if self._handle != ffi.NULL:
            lib.hwgw_sim_exchange_stop(self._handle)

    @property
    def listen_port(self) -> int:
        """TCP port of order entry, 0 when there is none."""
        return int(lib.hwgw_sim_exchange_listen_port(self._handle))

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols by index; of a capture in order of first appearance."""
        count = lib.hwgw_sim_exchange_symbol_cnt(self._handle)
        names = (bytes(ffi.buffer(lib.hwgw_sim_exchange_symbol(self._handle, index), 8)) for index in range(count))
        return tuple(name.rstrip(b" \0").decode("ascii", "replace") for name in names)

    def ready(self) -> dict[str, Any]:
        """What a peer must know to take part."""
        config = self.config
        return {
            "schema": SCHEMA,
            "ready": True,
            "group": config.group,
            "port": config.port if config.group else None,
            "session": config.session,
            "listen": [config.listen[0], self.listen_port] if config.listen else None,
            "requests": [config.requests[0], int(lib.hwgw_sim_exchange_request_port(self._handle))]
            if config.requests
            else None,
            "snapshots": [config.snapshots[0], int(lib.hwgw_sim_exchange_snapshot_port(self._handle))]
            if config.snapshots
            else None,
            "users": [name.upper() for name, *_ in config.users],
            "symbols": len(self.symbols),
            "names": list(self.symbols),
        }

    def _party(self, party: int, symbols: Sequence[str]) -> dict[str, Any]:
        positions = (int(lib.hwgw_sim_exchange_position(self._handle, party, i)) for i in range(len(symbols)))
        return {
            "cash": int(lib.hwgw_sim_exchange_cash(self._handle, party)),
            "open_orders": int(lib.hwgw_sim_exchange_open_orders(self._handle, party)),
            "positions": {name: position for name, position in zip(symbols, positions, strict=True) if position},
        }

    def look(self) -> dict[str, Any]:
        """Cash, positions and open orders (shares left by reference) of every user, as of a moment of the run."""
        looks = {}
        for index, (name, *_) in enumerate(self.config.users):
            row = self._party(1 + index, self.symbols)
            last = int(lib.hwgw_sim_exchange_last_ref(self._handle, 1 + index))
            left = {
                ref: int(lib.hwgw_sim_exchange_order_left(self._handle, 1 + index, ref)) for ref in range(1, last + 1)
            }
            looks[name.upper()] = {**row, "last_ref": last, "orders": {ref: qty for ref, qty in left.items() if qty}}
        return {"schema": SCHEMA, "look": looks}

    def _clocks(self, step: int) -> dict[str, int]:
        clocks = ffi.new("struct hwgw_sim_clocks *")
        lib.hwgw_sim_exchange_clocks(self._handle, step, clocks)
        names = {"ended": clocks.ns, "busy": clocks.busy_ns, "kernel": clocks.kernel_ns, "waited": clocks.waited_ns}
        return {f"{name}_ns": int(value) for name, value in names.items()}

    def report(self) -> dict[str, Any]:
        """The end report; call it when the run is over. Cash is in 1/10,000 of the currency unit."""
        stats = ffi.new("struct hwgw_sim_stats *")
        lib.hwgw_sim_exchange_stats(self._handle, stats)
        reasons = {code.value: code.slug for code in specs.load("ouch50").enum("reject_reason").values}
        rejected = {reasons.get(code, str(code)): count for code, count in enumerate(stats.rejected) if count}
        by_type = {chr(code): count for code, count in enumerate(stats.messages) if count}
        messages = int(stats.next_seq) - 1
        symbols = self.symbols
        elapsed_s = stats.elapsed_ns / 1e9
        names = [name.upper() for name, *_ in self.config.users]
        return {
            "schema": SCHEMA,
            "session": self.config.session,
            "seed": self.config.seed,
            "elapsed_s": elapsed_s,
            "packets_sent": stats.packets_sent,
            "heartbeats": stats.heartbeats_sent,
            "ends": stats.ends_sent,
            "frames_sent": stats.packets_sent + stats.heartbeats_sent + stats.ends_sent,
            "bytes_sent": stats.bytes_sent,
            "send": {"calls": stats.send_calls, "retries": stats.send_retries, "errors": stats.send_errors},
            "record_errors": stats.record_errors,
            "faults": [
                {name: int(getattr(line, name)) for name in ("taken", "lost", "duplicated", "reordered", "damaged")}
                for line in stats.faults
            ]
            if self.config.faults
            else None,
            "recovery": {
                name: int(getattr(stats, name))
                for name in ("requests_in", "requests_lost", "answers", "answered_messages", "snapshots")
            },
            "steps": [
                {"messages": cnt, "us": us, **self._clocks(index)} for index, (cnt, us) in enumerate(self.config.steps)
            ],
            "processor": self._clocks(-1),
            "messages_sent": messages,
            "messages_by_type": by_type,
            "messages_per_s": messages / elapsed_s if elapsed_s else 0.0,
            "orders": {
                "in": stats.orders_in,
                "accepted": stats.accepted,
                "rejected": sum(rejected.values()),
                "rejected_by_reason": rejected,
                "replaces_in": stats.replaces_in,
                "replaced": stats.replaced,
                "cancels_in": stats.cancels_in,
                "mass_cancels_in": stats.mass_cancels_in,
                "disables_in": stats.disables_in,
                "enables_in": stats.enables_in,
                "canceled": stats.canceled,
                "queries_in": stats.queries_in,
                "executed": stats.executed,
                "executed_shares": stats.executed_shares,
                "open": stats.client_orders_live,
                "ignored_ref": stats.ignored_ref,
                "ignored_order": stats.ignored_order,
                "ignored_type": stats.ignored_type,
                "dropped_length": stats.dropped_length,
            },
            "sessions": {
                name: getattr(stats, name)
                for name in (
                    "connects",
                    "logins",
                    "logins_rejected",
                    "disconnects",
                    "closed_slow",
                    "closed_framing",
                    "closed_silent",
                    "closed_takeover",
                )
            },
            "users": {name: self._party(1 + index, symbols) for index, name in enumerate(names)},
            "market": self._party(0, symbols),
            "matches": stats.matches,
            "match_shares": stats.match_shares,
            "open_orders": stats.orders_live,
            "hidden_orders": stats.hidden_live,
            "book_hash": f"{stats.book_hash:016x}",
            "capture": {name: getattr(stats, name) for name in ("unknown_refs", "bad_records", "book_full")},
            "lateness_ns": {
                "count": stats.lateness_cnt,
                "p50": stats.lateness_p50_ns,
                "p99": stats.lateness_p99_ns,
                "p999": stats.lateness_p999_ns,
                "max": stats.lateness_max_ns,
            },
        }
