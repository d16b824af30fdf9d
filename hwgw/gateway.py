"""Builds, starts, watches and stops a gateway: settings -> shared segment -> data process.

SPDX-License-Identifier: MIT

The data process is forked, not spawned, so that compiled Python strategies (numba) keep their addresses; it runs C
only and never returns into Python. The parent keeps the segment and the heartbeat. If the parent dies, the data process
cancels, logs out and ends; if the parent only stops, the gate refuses by control_stale; halt works in every case.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import native, parameters
from .child import await_ready, fork
from .closing import Closing
from .deferral import Held
from .errors import (
    CheckFailed,
    ConfigError,
    DeviceError,
    HwgwError,
    PrivilegeError,
    UsageError,
)
from .feature_choice import Wanted, native_features
from .journal import Replay, replay
from .journal.start import rescue
from .journal.writer import Writer
from .linear import WORD, LinearSignal
from .native import call, ffi, lib
from .risk import signature
from .risk.control import of_settings
from .risk.ramp import scaled
from .segment import Segment, gateways
from .settings import MODES, Channel, Pipeline, Receive, Session, Settings, Strategy
from .strategies import declared, load_numba
from .twins import Twin, twins
from .venue_model import native_model

__all__ = ["Gateway", "choose_backend"]

_SIOCGIFFLAGS, _IFF_LOOPBACK = 0x8913, 0x8
_STOP_SECONDS = 10.0
RISK_WHERE = {"host": lib.HWGW_RISK_WHERE_HOST, "card": lib.HWGW_RISK_WHERE_CARD, "both": lib.HWGW_RISK_WHERE_BOTH}
# what a start with a journal settles by itself: the venue is asked before any order leaves
_RESOLVED = ("session", "journal", "reconcile")
_RENEW_SECONDS = 1.0  # so long a NAPI context that was made anew goes without what was asked for


def _is_loopback(interface: str) -> bool:
    request = struct.pack("16sh14x", interface.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            flags = struct.unpack("16sh14x", fcntl.ioctl(probe, _SIOCGIFFLAGS, request))[1]
        except OSError:
            return False  # the backend says what is wrong with it
    return bool(flags & _IFF_LOOPBACK)


def choose_backend(receive: Receive) -> tuple[str, str]:
    """The backend that "auto" means here, and why it is not afxdp, which it would be; the others mean themselves.

    afxdp is taken when it can run and an interface (not lo) is named, else udp. "none" opens no backend: frames are
    pushed into the pipeline, by tests, benchmarks and replay.
    """
    if receive.backend != "auto":
        return receive.backend, ""
    if not receive.interface or _is_loopback(receive.interface):
        return "udp", ""
    afxdp = native.backend("afxdp")
    if afxdp.available or receive.fallback == "none":
        return "afxdp", ""
    return "udp", f"no afxdp: {afxdp.reason}"


def _channel(cfg: Any, channel: Channel) -> None:
    """struct hwgw_channel_cfg of a channel."""
    cfg.line_cnt = len(channel.lines)
    cfg.jump_max = channel.jump_max
    cfg.stale_ns = channel.stale_ns
    cfg.hold_max = channel.hold_max
    cfg.recover.window_ns = channel.reorder_window_ns
    if channel.recover:
        cfg.recover.server_cnt = len(channel.recover.servers)
        for server, (address, port) in zip(cfg.recover.server, channel.recover.servers, strict=False):
            server.address, server.port = address, port
        cfg.recover.timeout_ns = channel.recover.timeout_ns
        cfg.recover.retries = channel.recover.retries
        cfg.recover.rate = channel.recover.rate
        cfg.recover.messages_max = channel.recover.messages_max
    if channel.snapshot:
        cfg.recover.snapshot.address, cfg.recover.snapshot.port = channel.snapshot.address, channel.snapshot.port
        cfg.recover.username = f"{channel.snapshot.username:<6}".encode()
        cfg.recover.password = f"{channel.snapshot.password:<10}".encode()
        cfg.recover.snapshot_timeout_ns = channel.snapshot.timeout_ns
        cfg.recover.snapshot_retry_ns = channel.snapshot.retry_ns


class NativeSettings:
    """Settings as C structs. Keeps every Python-owned piece of memory alive as long as itself."""

    def __init__(
        self,
        settings: Settings,
        segment: Segment,
        past: Replay,
        halts: bool,
        beside: tuple[Twin, ...] = (),
        keeps: bool = False,
    ) -> None:
        """past: what the pipeline is rebuilt from; halts: with the halt that stands at its end.

        keeps: the versions of its strategies are kept, to come back to.
        """
        self._keep: list[Any] = []
        self._keeps = keeps
        self._settings = settings
        self.why = ""  # not the backend that "auto" would take
        self._segment = segment
        sessions = self._sessions()
        strategies, strategy_cnt = self._strategies("live", segment.name)
        twins = self._twins(beside)
        self.confine = ffi.new(
            "struct hwgw_confine_cfg *",
            {"drop_privileges": settings.confine.drop_privileges, "seccomp": settings.confine.seccomp},
        )
        self.placement = ffi.new(
            "struct hwgw_placement_cfg *",
            {"lock_memory": settings.placement.lock_memory, "dma_latency_us": settings.placement.dma_latency_us},
        )
        self.pipelines = ffi.new("struct hwgw_pipeline_cfg[]", len(settings.pipelines))
        replay_parts, keep = past.native()
        self._keep += [replay_parts, keep]
        for thread, pipeline in enumerate(settings.pipelines):
            self._pipeline(self.pipelines[thread], thread, pipeline)
            self.pipelines[thread].replay = replay_parts
            self.pipelines[thread].replay_cnt = len(past.blocks)
            self.pipelines[thread].replay_halts = halts
            self._router(self.pipelines[thread].router)
            self.pipelines[thread].session, self.pipelines[thread].session_cnt = sessions, len(settings.sessions)
            self.pipelines[thread].strategy = strategies
            self.pipelines[thread].strategy_cnt = strategy_cnt
            self.pipelines[thread].twin, self.pipelines[thread].twin_cnt = twins, len(beside)

    def _string(self, value: str) -> Any:
        self._keep.append(ffi.new("char[]", value.encode()))
        return self._keep[-1]

    def _pipeline(self, cfg: Any, thread: int, pipeline: Pipeline) -> None:
        settings = self._settings
        flows = [
            {"group": line.group, "port": line.port, "channel": channel_idx, "line": line_idx}
            for channel_idx, channel in enumerate(pipeline.channels)
            for line_idx, line in enumerate(channel.lines)
        ]
        native_flows = ffi.new("struct hwgw_flow[]", flows)
        self._keep.append(native_flows)
        cfg.segment = self._segment.pointer
        cfg.thread = thread
        cfg.cpu = pipeline.cpu
        cfg.fifo_priority = pipeline.fifo_priority
        cfg.ref_is_last = settings.reference == "last"
        cfg.batch = pipeline.batch
        cfg.sample_shift = pipeline.sample_shift
        cfg.udp_checksum = pipeline.receive.udp_checksum
        receive, rx = pipeline.receive, cfg.rx
        backend, why = choose_backend(receive)
        self.why = self.why or why
        rx.backend = ffi.NULL if backend == "none" else self._string(backend)
        rx.interface = self._string(receive.interface)
        rx.mode = self._string(receive.mode)
        rx.path = self._string(receive.path)
        rx.port = self._string(receive.port)
        eal_args = ffi.new("char *[]", [self._string(argument) for argument in receive.eal])
        self._keep.append(eal_args)
        rx.eal_args = eal_args
        rx.eal_arg_cnt = len(receive.eal)
        rx.cpu = pipeline.cpu
        rx.local_address = receive.local_address
        queues = ffi.new("uint32_t[]", list(receive.queues))
        self._keep.append(queues)
        rx.queues = queues
        rx.queue_cnt = len(receive.queues)
        rx.frame_cnt = receive.frame_cnt
        rx.busy_poll_us = receive.busy_poll_us
        rx.huge_pages = receive.huge_pages
        rx.capture_time = receive.capture_time
        rx.loopback = receive.loopback
        rx.timestamps = receive.timestamps
        rx.flows = native_flows
        rx.flow_cnt = len(flows)
        cfg.books.instrument_cnt = len(settings.symbols) * max(1, len(settings.sessions))
        cfg.books.orders_max = settings.orders_max
        cfg.books.levels_max = settings.levels_max
        cfg.books.huge_pages = True
        cfg.channel_cnt = len(pipeline.channels)
        for index, channel in enumerate(pipeline.channels):
            _channel(cfg.channel[index], channel)
            cfg.channel[index].venue = channel.venue
        cfg.cancel_on_halt = settings.control.cancel_on_halt
        cfg.stale_halt_ns = settings.control.stale_halt_ns
        cfg.risk_where = RISK_WHERE[settings.risk.where]
        cfg.risk_card = self._string(settings.risk.library)
        cfg.card_sends = settings.risk.send == "card"
        cfg.rule, cfg.rule_cnt = self._rules(), len(settings.risk.rules)
        cfg.end_with_feed = receive.backend == "pcap"
        cfg.journal_stall_ns = settings.journal.stall_ns if settings.journal else 0
        cfg.journal_frames = settings.journal is not None and settings.journal.frames

    def _rules(self) -> Any:
        settings = self._settings
        rows = ffi.new("struct hwgw_rule_cfg[]", max(1, len(settings.risk.rules)))
        self._keep.append(rows)
        numbers = [strategy.name for strategy in settings.strategies]
        for row, rule in zip(rows, settings.risk.rules, strict=False):
            row.name, row.instrument = self._string(rule.name), settings.symbols.index(rule.instrument)
            at = row.rule
            at.when = getattr(lib, f"HWGW_RULE_WHEN_{rule.when.upper()}")
            at.side = getattr(lib, f"HWGW_ORDER_SIDE_{rule.side.upper()}")
            at.tif = getattr(lib, f"HWGW_ORDER_TIF_{rule.tif.upper()}")
            at.strategy = numbers.index(rule.strategy)
            at.when_px, at.when_qty, at.px, at.qty = rule.when_px, rule.when_qty, rule.px, rule.qty
        return rows

    def fall_back(self, why: str) -> bool:
        """After an open that failed: udp where "auto" had chosen afxdp; False when nothing was left to choose."""
        chosen = [
            cfg
            for cfg, pipeline in zip(self.pipelines, self._settings.pipelines, strict=True)
            if pipeline.receive.backend == "auto"
            and pipeline.receive.fallback == "udp"
            and cfg.rx.backend
            and native.text(cfg.rx.backend) == "afxdp"
        ]
        for cfg in chosen:
            cfg.rx.backend = self._string("udp")
        self.why = why if chosen else self.why
        return bool(chosen)

    def _router(self, cfg: Any) -> None:
        router, sessions = self._settings.router, self._settings.sessions
        cfg.venue_cnt, cfg.children_max = len(sessions), router.children_max
        cfg.latency_px, cfg.fill_px, cfg.retries_max = router.latency_px, router.fill_px, router.retries_max
        for row, session in zip(cfg.venue, sessions, strict=False):
            route = session.route
            row.is_off, row.take_fee, row.make_fee = not route.enabled, route.take_fee, route.make_fee
            row.order_max, row.open_max = route.order_max, route.open_max

    def _sessions(self) -> Any:
        sessions = self._settings.sessions
        cfgs = ffi.new("struct hwgw_session_cfg[]", max(1, len(sessions)))
        self._keep.append(cfgs)
        for cfg, session in zip(cfgs, sessions, strict=False):
            self._session(cfg, session)
        return cfgs

    def _session(self, cfg: Any, session: Session) -> None:
        cfg.venue, cfg.halts_alone = session.venue.encode(), session.when_lost == "halt"
        cfg.protocol = getattr(lib, f"HWGW_PROTOCOL_{session.protocol.upper()}")
        cfg.sender, cfg.target = session.sender.encode(), session.target.encode()
        cfg.heartbeat_s, cfg.reset_seq = session.heartbeat_ns // 1_000_000_000, session.reset_sequence
        cfg.address = session.address
        cfg.port = session.port
        cfg.username = f"{session.username:<6}".encode()
        cfg.password = f"{session.password:<10}".encode()
        cfg.requested_session = f"{session.session:<10}".encode()
        cfg.firm = f"{session.firm:<4}".encode()
        cfg.capacity = session.capacity.encode()
        cfg.display = session.display.encode()
        cfg.mass_cancel, cfg.cancel_on_disconnect = session.mass_cancel, session.cancel_on_disconnect
        cfg.disable_on_halt, cfg.disconnect_tag = session.disable_on_halt, session.disconnect_tag
        cfg.backup_address, cfg.backup_port = session.backup or (0, 0)
        if session.throttle:
            cfg.throttle_ns = -(-1_000_000_000 // session.throttle.messages_per_second)
            cfg.throttle_burst, cfg.throttle_reserve = session.throttle.burst, session.throttle.cancel_reserve
        cfg.requested_seq = 1
        cfg.login_timeout_ms = session.login_timeout_ns // 1_000_000
        cfg.dead_link_ms = session.dead_link_ns // 1_000_000
        cfg.reconnect_ms = session.reconnect_ns // 1_000_000

    def _twins(self, beside: tuple[Twin, ...]) -> Any:
        cfg = ffi.new("struct hwgw_twin_cfg[]", max(1, len(beside)))
        self._keep.append(cfg)
        if self._settings.paper:
            model, keep = native_model(self._settings.paper.model)
            self._keep.append(keep)
        for row, twin in zip(cfg, beside, strict=False):
            row.segment, row.mode = twin.segment.pointer, MODES.index(twin.mode)
            row.strategy, row.strategy_cnt = self._strategies(twin.mode, twin.segment.name)
            row.model = model
        return cfg

    def _strategies(self, mode: str, gateway: str) -> tuple[Any, int]:
        chosen = self._settings.of_mode(mode)
        cfg = ffi.new("struct hwgw_strategy_cfg[]", max(1, len(chosen)))
        self._keep.append(cfg)
        names = [strategy.name for strategy in self._settings.strategies]
        for index, (number, strategy) in enumerate(chosen.items()):
            desc = self._descriptor(strategy)
            cfg[index].mode = MODES.index(mode)
            cfg[index].of = names.index(strategy.of) + 1 if strategy.of else 0
            cfg[index].strategy = desc
            cfg[index].params = self._params(strategy, desc)
            if self._keeps:
                cfg[index].version = parameters.begun(gateway, strategy, desc, cfg[index].params)
            cfg[index].name = self._string(strategy.name)
            cfg[index].id = number
            cfg[index].account = strategy.account
            cfg[index].features = self._features(strategy)
        return cfg, len(chosen)

    def _descriptor(self, strategy: Strategy) -> Any:
        if strategy.kind == "builtin":
            desc = lib.hwgw_strategy_find(strategy.target.encode())
            if not desc:
                names = ", ".join(native.text(lib.hwgw_strategy_at(i).name) for i in range(lib.hwgw_strategy_cnt()))
                raise ConfigError(f"strategy {strategy.name!r}: no built-in {strategy.target!r}; there are {names}")
            return desc
        if strategy.kind == "c":
            found = ffi.new("const struct hwgw_strategy **")
            call(lib.hwgw_strategy_load, found, str(Path(strategy.target).resolve()).encode())
            return found[0]
        if strategy.kind == "linear":
            desc, keep = LinearSignal.from_npz(strategy.target).descriptor(strategy.name)
        else:
            desc, keep = load_numba(strategy)
        self._keep.append(keep)
        return desc

    def _features(self, strategy: Strategy) -> Any:
        """What the strategy says itself that it wants, and what the configuration says, which counts more."""
        own: Wanted = {}
        if strategy.kind == "numba":
            own = declared(strategy).features
        elif strategy.kind == "linear":
            own = LinearSignal.from_npz(strategy.target).features
            for name in own.keys() & strategy.features.keys():
                if own[name] != strategy.features[name]:
                    raise ConfigError(
                        f"strategy {strategy.name!r}: feature {name}: {strategy.target} was made for"
                        f" {own[name] or 'its default'}, features say {strategy.features[name] or 'its default'}"
                    )
        self._keep.append(native_features({**own, **strategy.features}))
        return self._keep[-1]

    def _params(self, strategy: Strategy, desc: Any) -> Any:
        names = [native.text(desc.param_names[i]) for i in range(desc.param_cnt)]
        known = [name for name in names if name != WORD]
        unknown = set(strategy.params) - set(known)
        if unknown:
            raise ConfigError(
                f"strategy {strategy.name!r}: unknown parameter {', '.join(sorted(unknown))};"
                f" {strategy.target} takes {', '.join(known) or 'none'}"
            )
        values = [strategy.params.get(name, desc.param_defaults[i]) for i, name in enumerate(names)]
        self._keep.append(ffi.new("int64_t[]", values or [0]))
        return self._keep[-1]


class Gateway(Closing):
    """A running gateway, seen from its control process.

    start() returns when every pipeline is open, or raises what the data process reported. The heartbeat runs on a
    thread of its own from then on. stop() ends in order; leaving the context stops too.

    With a journal it is rebuilt from what earlier runs put on record, and halted (reconcile) until the venue agrees;
    anew: why not.
    """

    def __init__(self, settings: Settings, commit: str = "", anew: str = "") -> None:
        self.settings = settings
        self.past = Replay()
        self._anew = anew
        journal = settings.journal
        if anew and not journal:
            raise UsageError("--anew: there is no journal to begin without; it needs a section journal")
        left_over = settings.name in gateways()
        if journal:
            rescue(Path(journal.folder), settings.name, bool(anew))
            if not anew:
                self.past = replay(Path(journal.folder), settings.name)
        self.segment = Segment.create(
            settings.name,
            settings.symbols * max(1, len(settings.sessions)),
            thread_cnt=len(settings.pipelines),
            commit=commit,
            journal_sz_bytes=journal.ring_bytes if journal else 0,
            fanout_sz_bytes=settings.fanout_bytes,
            venues=tuple(session.venue for session in settings.sessions),
            depth_levels=settings.publish.depth,
            features=settings.publish.features,
        )
        self._writer: Writer | None = None
        self._pid = 0
        self._status: int | None = None
        self._held: list[Held] = []
        self._beat_stop = threading.Event()
        self._beat_thread: threading.Thread | None = None
        self.twins: tuple[Twin, ...] = ()
        try:
            self.twins = twins(settings, commit)
            keeps = settings.path not in ("", "/dev/stdin")  # one of no file, such as a demo's, does not come again
            self._native = NativeSettings(settings, self.segment, self.past, not left_over, self.twins, keeps)
            settled = {row["reason"] for row in self.segment.halts} & set(_RESOLVED)
            if settled and (self.past.blocks or anew):
                self.segment.resume(*settled)
            self._publish_limits()
            for number, strategy in settings.of_mode("live").items():
                if strategy.armed:
                    self.segment.arm(number)
        except BaseException:
            self._give_up()
            raise

    def _publish_limits(self) -> None:
        """The limits of the configuration, signed where keys are set, and where they came from for those who reload."""
        settings, head = self.settings, self.segment.head
        book = of_settings(settings)
        keys = settings.control.limits_keys
        if keys:
            signature.verify(book.canonical, Path(settings.path), keys)
        head["limits_key"] = np.frombuffer(b"".join(keys).ljust(head["limits_key"].nbytes, b"\0"), np.uint64)
        head["limits_key_cnt"] = len(keys)
        if len(path := os.fsencode(settings.path)) <= head["config"].itemsize:
            head["config"] = path
        ramp = settings.ramp
        self.segment.publish_limits(scaled(book, ramp.steps[0]).table if ramp else book.table)

    def start(self) -> None:
        """Fork the journal's writer and the data process, and wait until the pipelines are open."""
        if self.settings.journal:
            self._writer = Writer(self.segment, self.settings.journal, self.settings.name, self._anew)
        for twin in self.twins:
            twin.start()
        try:
            self._launch()
        except (ConfigError, DeviceError, PrivilegeError) as error:
            if not str(error).startswith("rx afxdp: ") or not self._native.fall_back(f"no afxdp: {error}"):
                raise
            self._pid, self._status = 0, None
            self.segment.control["stop"] = 0
            self._launch()
        self._held = [
            Held(each.receive.interface, each.receive.queues, each.receive.napi)
            for each in self.settings.pipelines
            if each.receive.napi
        ]
        self.segment.head["fell_back"] = bool(self._native.why)
        notes = [each.renew() for each in self._held] + [self._native.why] * bool(self._native.why)
        if notes:
            receive = bytes(self.segment.head["receive"]).rstrip(b"\0")
            room = self.segment.head.dtype["receive"].itemsize - 1
            self.segment.head["receive"] = "; ".join([receive.decode(), *notes]).encode()[:room]
        self._leave_the_pipelines_alone()
        self._beat_thread = threading.Thread(target=self._beat, name="hwgw-heartbeat", daemon=True)
        self._beat_thread.start()

    def _beats(self) -> None:
        self.segment.beat()
        for twin in self.twins:
            twin.segment.beat()

    def _launch(self) -> None:
        native, cnt = self._native, len(self.settings.pipelines)
        self._beats()
        self._pid, ready = fork(
            lambda answer: lib.hwgw_gateway_run(
                self.segment.pointer, native.pipelines, cnt, native.placement, native.confine, answer
            )
        )
        try:
            await_ready(ready, "the data process", self._beats)
        except HwgwError as cause:
            try:
                self._end()
            except CheckFailed as late:  # comes of the first, which is what has to be read
                raise type(cause)(f"{cause}; {late}") from cause
            raise
        except BaseException:
            with contextlib.suppress(CheckFailed):
                self._end()
            raise

    def _leave_the_pipelines_alone(self) -> None:
        """Keep this process off the cores its pipelines are pinned to, where others are left."""
        others = os.sched_getaffinity(0) - {pipeline.cpu for pipeline in self.settings.pipelines}
        if others:
            os.sched_setaffinity(0, others)

    def _beat(self) -> None:
        due = time.monotonic() + _RENEW_SECONDS
        with self.segment.alive():
            while not self._beat_stop.wait(self.settings.control.heartbeat_ns / 1e9):
                self._beats()
                if self._held and time.monotonic() > due:
                    due = time.monotonic() + _RENEW_SECONDS
                    for each in self._held:
                        each.renew()

    def _ended(self, status: int) -> None:
        """Note how the data process ended; one that was killed left its orders at the venue, so the halt is latched."""
        self._status = status
        if status < 0:
            reason = "session" if self.settings.journal else "state"  # what it left open is settled by the next start
            self.segment.halt(f"the data process was killed by {signal.Signals(-status).name}", reason)

    def poll(self) -> int | None:
        """The data process's exit status, or None while it runs; negative is the signal that killed it."""
        if self._status is None and self._pid:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._ended(os.waitstatus_to_exitcode(status))
        if self._writer and self._status is None and self._writer.poll() is not None:
            self.segment.halt(f"the journal's writer ended with status {self._writer.poll()}", "journal")
        for twin in self.twins if self._status is None else ():
            twin.poll()
        return self._status

    def _end(self) -> None:
        """Ask the data process to cancel, log out and end; CheckFailed when it does not and is killed."""
        if not self._pid or self.poll() is not None:
            return
        self.segment.control["stop"] = 1
        end = time.monotonic() + _STOP_SECONDS
        while self.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        if self.poll() is None:
            os.kill(self._pid, signal.SIGKILL)
            _, status = os.waitpid(self._pid, 0)
            self._ended(os.waitstatus_to_exitcode(status))
            raise CheckFailed(f"the data process did not stop within {_STOP_SECONDS:g} s and was killed")

    def stop(self) -> int:
        """End the data process in order, then the heartbeat and the journal. Its exit status."""
        try:
            self._end()
        finally:  # in every case: it writes into the segment, which goes next
            self._beat_stop.set()
            if self._beat_thread:
                self._beat_thread.join()
            for each in self._held:
                each.restore()
            self._held = []
            self._close_journal()
        return self._status or 0

    def _close_journal(self) -> None:
        """When the data process is gone, so that the journal holds all of it; what is missing latches the halt."""
        for twin in self.twins:
            twin.close_journal()
        writer, self._writer = self._writer, None
        if writer and (status := writer.close()) != 0:
            what = "hangs" if status is None else f"ended with status {status}"
            self.segment.halt(f"the journal was not closed: its writer {what}", "journal")

    def close(self) -> None:
        """Stop, and give up the segment."""
        try:
            self.stop()
        finally:
            self._give_up()

    def _give_up(self) -> None:
        given, self.twins = self.twins, ()
        for twin in given:
            twin.close()
        self.segment.close()
