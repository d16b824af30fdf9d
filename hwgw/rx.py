"""Receive and send network frames past the kernel: AF_XDP, DPDK, AF_PACKET, kernel sockets and capture files.

SPDX-License-Identifier: MIT

    import hwgw

    with hwgw.rx.open("afxdp", interface="eth1", groups=["239.1.2.3:26400"]) as rx:
        for batch in rx:
            headers = batch.gather(0, 42)          # (n, 42) uint8, copied in C
            sizes = batch.length                   # NumPy view on the ring's own frame array
            first = batch.data[0]                  # read-only NumPy view on the ring's memory

Memory: a batch is valid until its release(), which the next recv() and close() do too. Views that were taken from it
stay safe to read for as long as they live, but after the release the driver writes new frames there, so copy what is to
be kept. What a view points into stays mapped until the last view is gone, also after close(), which gives interface and
queue back at once. (dpdk cannot: there close() with live views waits with it for the last one, and the log warns.)

Threads: a receiver belongs to one thread at a time; a second one that enters it gets UsageError. close() may come from
any thread. Waiting, sending and gathering release the GIL, so receivers in several threads run in parallel.

Fork: a forked child must not use a receiver of its parent (UsageError) or read its views, and never closes it; but it
holds the sockets as long as it lives. Open receivers after the fork.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import native
from .batch import FRAME, PAYLOAD, Batch, outgoing
from .closing import Closing
from .errors import ConfigError, UsageError
from .native import ffi, lib

if TYPE_CHECKING:
    from .capture import PcapngWriter

__all__ = ["BATCH_FRAMES_MAX", "FRAME", "PAYLOAD", "Batch", "Ledger", "Receiver", "backends", "open"]

log = logging.getLogger(__name__)

BATCH_FRAMES_MAX: int = lib.HWGW_WAIT_FRAMES_MAX
SLICE_NS = 20_000_000
"""The longest time in C without looking at signals: Ctrl-C works within this."""
HOUSEKEEPING_NS = 20_000_000
FOREVER_NS = 1 << 62


_COUNTERS = {
    name.removeprefix("HWGW_CNT_").lower(): int(getattr(lib, name))
    for name in dir(lib)
    if name.startswith(("HWGW_CNT_RX_", "HWGW_CNT_TX_"))
}
_STATES = {
    int(getattr(lib, name)): name.removeprefix("HWGW_SEGMENT_RECEIVE_STATE_").lower()
    for name in dir(lib)
    if name.startswith("HWGW_SEGMENT_RECEIVE_STATE_") and not name.endswith("_CNT")
}
_CLOCKS = {
    int(getattr(lib, name)): name.removeprefix("HWGW_RX_CLOCK_").lower()
    for name in dir(lib)
    if name.startswith("HWGW_RX_CLOCK_")
}

_handles: weakref.WeakSet[Any] = weakref.WeakSet()
_forks = 0


def _disown() -> None:
    """In a forked child: what the parent opened is the parent's to close."""
    global _forks
    _forks += 1
    for handle in list(_handles):
        ffi.gc(handle, None)
    _handles.clear()


os.register_at_fork(after_in_child=_disown)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every frame that was for this receiver: offered = used + the drops, by cause."""

    offered: int
    used: int
    drops: Mapping[str, int]


class Receiver(Closing):
    """An open receive backend; made by open(). A context manager and an iterator over batches."""

    def __init__(
        self,
        backend: str,
        handle: Any,
        kept: Any,
        flows: Any,
        flow_cnt: int,
        all_frames: bool,
        can_send: bool,
        spin_ns: int,
    ) -> None:
        self.backend = backend
        self._handle: Any = handle
        self._kept: Any = kept  # what views hold on to; None: the handle itself
        self._kept_refs = sys.getrefcount(kept) - 2  # without this parameter and its caller's variable
        self._flows, self._flow_cnt = flows, flow_cnt
        self._all_frames = all_frames or flow_cnt == 0
        self._can_send = can_send
        self._spin_ns = spin_ns
        self._entered = threading.Lock()
        self._forks = _forks
        self._batch: Batch | None = None
        self._counters = ffi.new("uint64_t[]", lib.HWGW_COUNTER_CNT)
        self._looked_ns = time.monotonic_ns()
        self._describe = native.text(lib.hwgw_rx_describe(handle))
        self._clock = _CLOCKS[int(lib.hwgw_rx_clock(handle))]
        self._state = _STATES[int(lib.hwgw_rx_state(handle))]
        self._reason = ""
        self._ended = bool(lib.hwgw_rx_ended(handle))
        self._reserve(lib.HWGW_BATCH_MAX)

    def _reserve(self, cnt: int) -> None:
        """A frame array of at least so many; views of the old one keep it."""
        self._array: NDArray[np.void] = np.zeros(cnt, FRAME)
        self._frames = ffi.from_buffer("struct hwgw_frame[]", self._array, require_writable=True)
        self._shown = self._array.view()
        self._shown.flags.writeable = False

    # ---- entering the C side ----

    def _enter(self) -> Any:
        handle = self._handle
        if handle is None:
            raise UsageError(f"rx {self.backend}: the receiver is closed")
        if self._forks != _forks:
            raise UsageError(f"rx {self.backend}: the receiver was opened before a fork; open one in this process")
        if not self._entered.acquire(blocking=False):
            raise UsageError(f"rx {self.backend}: the receiver is in use by another thread; open one for each thread")
        if self._handle is not handle:  # another thread has closed it meanwhile
            self._entered.release()
            raise UsageError(f"rx {self.backend}: the receiver is closed")
        return handle

    def _release(self, batch: Batch | None) -> None:
        if batch is None or self._batch is not batch:
            return
        handle = self._enter()
        try:
            self._give_back(handle)
        finally:
            self._entered.release()

    def _give_back(self, handle: Any) -> None:
        batch = self._batch
        if batch is not None:
            self._batch = None
            batch._receiver = batch._keep = None
            lib.hwgw_rx_release(handle)

    def _look(self, handle: Any) -> None:
        """Bring counters and state up to date; the backends watch their interface then."""
        lib.hwgw_rx_stats(handle, self._counters)
        self._state = _STATES.get(int(lib.hwgw_rx_state(handle)), "unknown")
        self._describe = native.text(lib.hwgw_rx_describe(handle))
        self._reason = native.text(lib.hwgw_rx_reason(handle))
        self._looked_ns = time.monotonic_ns()
        # what an interface that went away has left: nobody looks at it when there are no more references than at open
        if self._kept is not None and lib.hwgw_rx_kept_bytes(self._kept):
            if sys.getrefcount(self._kept) == self._kept_refs:
                lib.hwgw_rx_kept_unmap(self._kept)

    def _housekeep(self, handle: Any) -> int:
        """Look at the interface when that is due; returns the time."""
        now = time.monotonic_ns()
        if now - self._looked_ns > HOUSEKEEPING_NS:
            self._look(handle)
        return now

    # ---- receiving ----

    def recv(self, max_frames: int = 256, timeout: float | None = None) -> Batch:
        """Wait for frames and return all that are there, at most max_frames; gives the batch before back.

        timeout: seconds, None = until something comes, 0 = only look. The batch is empty when the time is over or when
        no frame can come any more (`ended`). Signals are handled while it waits.
        """
        if not 1 <= max_frames <= BATCH_FRAMES_MAX:
            raise UsageError(f"recv: max_frames {max_frames}: allowed are 1 to {BATCH_FRAMES_MAX}")
        left = _timeout_ns("recv", timeout)
        handle = self._enter()
        try:
            self._give_back(handle)
            now = self._housekeep(handle)
            if max_frames > len(self._array):
                self._reserve(max_frames)
            end, spin_ns = now + left, self._spin_ns
            while True:
                cnt = int(lib.hwgw_rx_wait(handle, self._frames, max_frames, min(left, SLICE_NS), spin_ns))
                self._ended = bool(lib.hwgw_rx_ended(handle))
                if cnt or left <= 0 or self._handle is not handle or self._ended:
                    break
                left = max(end - self._housekeep(handle), 0)
                spin_ns = max(spin_ns - SLICE_NS, 0)
            batch = Batch(self, self._kept or handle, self._shown[:cnt])
            if self._handle is handle:
                self._batch = batch
            else:
                batch._receiver = batch._keep = None
            return batch
        finally:
            self._entered.release()

    def __iter__(self) -> Iterator[Batch]:
        """Batch after batch, each fetched when it is asked for, until the backend has ended or is closed.

        While the caller works on a batch frames wait in the ring; those that do not fit are lost and counted.
        """
        while self._handle is not None:
            batch = self.recv()
            if len(batch):
                yield batch
            elif self._handle is None or self.ended:
                return

    # ---- sending ----

    def send(
        self,
        frames: Batch | NDArray[np.uint8] | Iterable[Any],
        timeout: float | None = None,
        *,
        lengths: Sequence[int] | NDArray[Any] | None = None,
    ) -> int:
        """Send whole Ethernet frames and return how many were taken; they are copied.

        frames: bytes-like objects; a 2-D uint8 array, a frame in each row, with the lengths (default: whole rows); or
        a batch of any receiver, which forwards it. timeout: how long to wait for room, None = until all are taken. A
        frame that can never be sent (too long) is taken and counted in tx_drop_*. flush() waits until they have left.
        """
        left = _timeout_ns("send", timeout)
        array, cnt, keep = outgoing(frames, lengths)
        handle = self._enter()
        try:
            if not self._can_send:
                raise UsageError(f"rx {self.backend}: opened without tx_frame_cnt, so it cannot send")
            done, end = 0, time.monotonic_ns() + left
            while True:
                done += int(lib.hwgw_rx_send_wait(handle, array + done, cnt - done, min(left, SLICE_NS)))
                left = end - self._housekeep(handle)
                if done == cnt or left <= 0 or self._handle is not handle:
                    return done
        finally:
            self._entered.release()
            del keep

    def flush(self, timeout: float | None = None) -> int:
        """Wait until every frame that was taken has left; returns how many have not when the time is over."""
        left = _timeout_ns("flush", timeout)
        handle = self._enter()
        try:
            end = time.monotonic_ns() + left
            while True:
                unsent = int(lib.hwgw_rx_flush(handle, min(left, SLICE_NS)))
                left = end - self._housekeep(handle)
                if unsent == 0 or left <= 0 or self._handle is not handle:
                    return unsent
        finally:
            self._entered.release()

    def pace(self, pace: Any, slice_ns: int) -> bool:
        """One step of a struct hwgw_pace (hwgw.send.run); True when it has come to its end."""
        handle = self._enter()
        try:
            if not self._can_send:
                raise UsageError(f"rx {self.backend}: opened without tx_frame_cnt, so it cannot send")
            return bool(lib.hwgw_pace_step(pace, handle, slice_ns))
        finally:
            self._entered.release()

    # ---- what it is and what it did ----

    def stats(self) -> dict[str, int]:
        """The counters since open, rx_* and tx_*, as in hwgw/specs/counters.yaml."""
        handle = self._enter()
        try:
            self._look(handle)
            return {name: int(self._counters[index]) for name, index in _COUNTERS.items()}
        finally:
            self._entered.release()

    def ledger(self) -> Ledger:
        """What came in: frames offered, frames handed out by recv, and the losses by cause where there are any."""
        stats = self.stats()
        drops = {name.removeprefix("rx_drop_"): n for name, n in stats.items() if name.startswith("rx_drop_") and n}
        return Ledger(stats["rx_frames"] + sum(drops.values()), stats["rx_frames"], drops)

    def driver_counters(self) -> dict[str, int]:
        """The driver's own counters by its names (DPDK: xstats), since whenever it counts; empty for other backends."""
        handle = self._enter()
        try:
            name, value = ffi.new("char[80]"), ffi.new("uint64_t *")
            found: dict[str, int] = {}
            while lib.hwgw_rx_driver_counter(handle, len(found), name, 80, value):
                found[native.text(name)] = int(value[0])
            return found
        finally:
            self._entered.release()

    @property
    def state(self) -> str:
        """Either closed, or the interface's: up, link_down, gone, detached, changed; as of the last recv or stats."""
        return self._state if self._handle is not None else "closed"

    @property
    def reason(self) -> str:
        """Why the state is not up; "" when it is. recv, send, flush and stats open the backend anew when it helps."""
        return self._reason

    @property
    def clock(self) -> str:
        """Where timestamp_ns comes from: none, capture, kernel or hardware."""
        return self._clock

    @property
    def describe(self) -> str:
        """Backend, mode, and what could not be had and why."""
        return self._describe

    @property
    def filters(self) -> list[str]:
        """The groups in the words of libpcap; empty when every frame comes in."""
        if self._all_frames:
            return []
        flows = [self._flows[index] for index in range(self._flow_cnt)]
        return [f"(udp and dst host {ipaddress.IPv4Address(flow.group)} and dst port {flow.port})" for flow in flows]

    @property
    def ended(self) -> bool:
        """No frame can come any more: closed, or the end of a file, as of the last recv."""
        return self._handle is None or self._ended

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._handle is None

    def close(self) -> None:
        """Stop and give everything back; a second call does nothing. A recv() in another thread ends within 20 ms.

        Views that live keep their memory until they go.
        """
        handle, self._handle = self._handle, None
        if handle is None:
            return
        batch, self._batch = self._batch, None
        if batch is not None:
            batch._receiver = batch._keep = None
        if not self._entered.acquire(blocking=False):
            return  # the thread inside has the last reference and closes as it leaves
        try:
            if self._kept is not None or self._forks != _forks:
                ffi.release(handle)
            else:
                _warn_of_views(self.backend, handle)
        finally:
            self._kept = None
            self._entered.release()

    def recv_into_pcapng(
        self,
        target: str | os.PathLike[str] | PcapngWriter,
        count: int | None = None,
        seconds: float | None = None,
    ) -> int:
        """Write what comes to a pcapng file, until count frames, seconds or the end; returns how many frames.

        target: a path, or a hwgw.capture.PcapngWriter for rotation and statistics. Formatting is C's, and a thread
        writes, so that the ring does not wait for the disk.
        """
        from .capture import record

        return record(self, target, count, seconds)

    def __repr__(self) -> str:
        return f"<hwgw.rx.Receiver {self.state}: {self._describe}>"


def _warn_of_views(backend: str, handle: Any) -> None:
    # this frame's argument, the caller's variable and getrefcount's own argument
    views = sys.getrefcount(handle) - 3
    if views > 0:
        log.warning(
            "rx %s: closed, but %d views still hold its memory and its queue; copy what is kept", backend, views
        )


def _timeout_ns(call: str, timeout: float | None) -> int:
    if timeout is None:
        return FOREVER_NS
    if not 0 <= timeout <= 1e9:
        raise UsageError(f"{call}: timeout {timeout}: allowed are None and 0 to 1e9 seconds")
    return int(timeout * 1e9)


# ---- open ----


def _address(key: str, value: str | int) -> int:
    try:
        return int(ipaddress.IPv4Address(value))
    except ValueError:
        raise ConfigError(f"rx: {key} {value!r}: allowed is an IPv4 address") from None


def _flow(value: str | tuple[str, int]) -> dict[str, int]:
    group, port = value.rpartition(":")[::2] if isinstance(value, str) else value
    number = int(port) if str(port).isascii() and str(port).isdecimal() else 0
    if not group or not 0 < number < 1 << 16:
        raise ConfigError(f"rx: groups {value!r}: allowed is IPV4:PORT with a port of 1 to 65535")
    return {"group": _address("groups", group), "port": number}


def _integer(key: str, value: Any, bits: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << bits:
        raise ConfigError(f"rx: {key} {value!r}: allowed are integers from 0 to {(1 << bits) - 1}")
    return int(value)


def _option(key: str, value: Any, kind: Any, keep: list[Any]) -> Any:
    """A value for a field of struct hwgw_rx_cfg, checked against its type."""
    if kind.kind == "pointer" and kind.item.kind == "primitive" and kind.item.cname == "char":
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str) or "\0" in value:
            raise ConfigError(f"rx: {key} {value!r}: allowed is text")
        keep.append(ffi.new("char[]", os.fsencode(value)))
        return keep[-1]
    if kind.cname in ("_Bool", "bool"):
        if not isinstance(value, bool):
            raise ConfigError(f"rx: {key} {value!r}: allowed are True and False")
        return value
    if kind.kind == "primitive":
        return _integer(key, value, 8 * ffi.sizeof(kind))
    raise ConfigError(f"rx: {key} cannot be given by keyword")


def backends() -> dict[str, str]:
    """Every backend of this version: "" when it can run here, else the reason why not."""
    return {backend.name: backend.reason for backend in native.backends()}


def open(  # noqa: A001 (hwgw.rx.open is what it is called)
    backend: str,
    *,
    interface: str = "",
    groups: Iterable[str | tuple[str, int]] = (),
    queues: Iterable[int] | None = None,
    mode: str = "auto",
    path: str | os.PathLike[str] = "",
    local_address: str | int = 0,
    frame_cnt: int = 0,
    frame_sz_bytes: int = 0,
    tx_frame_cnt: int = 0,
    busy_poll_us: int = 0,
    all_frames: bool = False,
    tx_only: bool = False,
    huge_pages: bool = False,
    capture_time: bool = False,
    loopback: bool = False,
    timestamps: bool = False,
    spin_us: int = 50,
    port: str = "",
    eal: Iterable[str] = (),
    cpu: int | None = None,
    **more: Any,
) -> Receiver:
    """Open a receive backend: afxdp, packet, udp, dpdk or pcap; 0 and "" mean the backend's default.

    interface: the device. groups: "GROUP:PORT" or (group, port), up to 64, multicast or unicast; only they come in
    (dpdk: every frame of the port does; batch.payload tells).
    all_frames: every frame of the queues comes in. queues: receive queues of the device, default 0.
    mode: afxdp: auto, native or generic. path: pcap: the file. local_address: udp: the address to join on.
    frame_cnt, frame_sz_bytes: buffers per queue and their size. tx_frame_cnt: frames that may wait to be sent, 0 = this
    receiver does not send. tx_only: nothing is received. busy_poll_us: ask the driver to poll. huge_pages: buffers on
    huge pages. timestamps: the best time stamp there is. capture_time: pcap: at the file's own pace. loopback: udp: own
    multicast too. spin_us: how long recv spins before it looks every 50 us only; more is quicker and costs a core.
    dpdk: port, a PCI address or a virtual device with its arguments (interface alone means net_af_packet on it); eal,
    arguments of DPDK's environment, which starts once per process; cpu, the core that polls, which DPDK's own threads
    then avoid (docs/dpdk.md).
    more: other fields of struct hwgw_rx_cfg, by their names.

    ConfigError, PrivilegeError or DeviceError say what is wrong, what is allowed and what to do.
    """
    given: dict[str, Any] = {
        "backend": backend, "interface": interface, "mode": mode, "path": path, "frame_cnt": frame_cnt,
        "frame_sz_bytes": frame_sz_bytes, "tx_frame_cnt": tx_frame_cnt, "busy_poll_us": busy_poll_us,
        "all_frames": all_frames, "tx_only": tx_only, "huge_pages": huge_pages, "capture_time": capture_time,
        "loopback": loopback, "timestamps": timestamps, "port": port, **more,
    }  # fmt: skip
    fields = dict(ffi.typeof("struct hwgw_rx_cfg").fields)
    hidden = {"flows", "flow_cnt", "queue_cnt", "kept", "eal_args", "eal_arg_cnt"}
    keep: list[Any] = []
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in fields or key in hidden:
            allowed = sorted({*fields, "groups", "spin_us", "eal"} - hidden - {"backend"})
            raise ConfigError(f"rx: {key} is no setting of a receiver; allowed: {', '.join(allowed)}")
        values[key] = _option(key, value, fields[key].type, keep)
    values["local_address"] = _address("local_address", local_address)
    if isinstance(groups, str):
        raise ConfigError(f"rx: groups {groups!r}: allowed is a list of IPV4:PORT")
    flows = [_flow(group) for group in groups]
    flow_array = ffi.new("struct hwgw_flow[]", flows)
    values |= {"flow_cnt": len(flows), "flows": flow_array if flows else ffi.NULL}
    if queues is not None:
        numbers = [_integer("queues", queue, 32) for queue in queues]
        queue_array = ffi.new("uint32_t[]", numbers)
        values |= {"queues": queue_array, "queue_cnt": len(numbers)}
    if isinstance(eal, str):
        raise ConfigError(f"rx: eal {eal!r}: allowed is a list of arguments")
    arguments = [_option("eal", argument, fields["port"].type, keep) for argument in eal]
    argument_array = ffi.new("char *[]", arguments)
    values |= {"eal_args": argument_array, "eal_arg_cnt": len(arguments)}
    values["cpu"] = -1 if cpu is None else _integer("cpu", cpu, 16)
    spin_ns = 1000 * _integer("spin_us", spin_us, 32)
    kept = ffi.gc(lib.hwgw_rx_kept_open(), lib.hwgw_rx_kept_close)
    values["kept"] = kept
    out = ffi.new("struct hwgw_rx **")
    native.call(lib.hwgw_rx_open, out, ffi.new("struct hwgw_rx_cfg *", values))
    handle = ffi.gc(out[0], lib.hwgw_rx_close)
    _handles.add(handle)
    kept = kept if lib.hwgw_rx_keeps(handle) else None
    return Receiver(backend, handle, kept, flow_array, len(flows), all_frames, tx_frame_cnt > 0, spin_ns)
