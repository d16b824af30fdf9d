"""Send frames by a schedule: a recorded capture, or numbered datagrams made from a template.

SPDX-License-Identifier: MIT

    source = hwgw.send.datagrams("udp 239.1.2.3:26400 len=100", interface="eth1")
    with hwgw.rx.open("packet", interface="eth1", tx_only=True, tx_frame_cnt=1024) as out:
        report = hwgw.send.run(out, source, hwgw.send.Rate.parse("10000pps"), count=100_000)

The schedule is absolute and kept in C: a frame is due at its time from the start, whatever became of those before it,
so the rate does not drift, and lateness is measured from the due time for every frame. A numbered datagram holds two
64-bit big-endian integers at the start of its payload: its number, from 0, and the CLOCK_REALTIME in ns at which it was
due (with rate max: at which it was sent).
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import specs
from .batch import FRAME, NO_FLOW
from .closing import Closing
from .errors import CheckFailed, ConfigError, DeviceError, UsageError
from .native import call, ffi, lib
from .rx import SLICE_NS, Receiver
from .rx import open as open_rx

__all__ = ["Datagrams", "Rate", "Report", "Source", "datagrams", "part", "read", "run"]

UNITS = {"pps": 1, "kpps": 10**3, "Mpps": 10**6, "bps": 1, "kbps": 10**3, "Mbps": 10**6, "Gbps": 10**9}
RATE_MAX = 10**12
STAMP_BYTES = 16
TEMPLATE_KEYS = ("len", "sport", "ttl", "dscp", "vlan", "src", "smac", "dmac", "checksum")
SIOCGIFADDR, SIOCGIFHWADDR, SIOCGIFMTU = 0x8915, 0x8927, 0x8921
FLUSH_S = 5.0
STUCK_S = 2.0
SEND_BUFFER_BYTES = 4 << 20
LATE_EDGES_NS = [step * 10**power for power in range(2, 10) for step in (1, 2, 5)]  # 100 ns to 5 s


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast: kind frames or bits with so many thousandths per second, or recorded, or max."""

    kind: str
    milli: int = 0

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read 10000pps, 2.5Mpps, 100Mbps, recorded or max; bits are those of the frames, from MAC to payload."""
        if text in ("recorded", "max"):
            return cls(text)
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(pps|kpps|Mpps|bps|kbps|Mbps|Gbps)", text, re.ASCII)
        value = Fraction(match[1]) * UNITS[match[2]] if match else Fraction(0)
        if not match or not Fraction(1, 1000) <= value <= RATE_MAX:
            raise UsageError(
                f"rate {text}: allowed are recorded, max, and N with one of {', '.join(UNITS)}, up to 1e12"
            )
        return cls("bits" if match[2].endswith("bps") else "frames", int(value * 1000))


@dataclass(frozen=True, slots=True)
class Source:
    """Frames to send. due_ns: when each was recorded, from the first; pass_ns: how long all of them take."""

    frames: NDArray[np.void]
    keep: Any
    due_ns: NDArray[np.uint64] | None = None
    pass_ns: int = 0
    number_at: int = 0
    time_at: int = 0
    udp_at: int = 0

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a schedule. taken = sent + the drops; lateness from the due time to the hand-over."""

    taken: int
    sent: int
    bytes: int
    dropped: dict[str, int]
    unsent: int
    span_ns: int
    late_ns: dict[str, int] = field(default_factory=dict)
    late_steps: dict[int, int] = field(default_factory=dict)  # upper edge in ns, -1: beyond the last -> frames
    refused: str = ""  # why the kernel took none, the last time it did not

    @property
    def pps(self) -> float:
        """Frames per second between the first and the last."""
        return (self.taken - 1) * 1e9 / self.span_ns if self.span_ns and self.taken > 1 else 0.0

    @property
    def bps(self) -> float:
        """Bits of the frames per second, at that rate."""
        return self.pps * 8 * self.bytes / self.taken if self.taken else 0.0


class Datagrams(Closing):
    """A UDP socket of the kernel as a way out: payloads to groups or hosts. A context manager."""

    backend = "kernel"
    state, reason = "up", ""

    def __init__(self, targets: Sequence[tuple[str, int]], *, local_address: str = "", ttl: int = 1) -> None:
        """local_address: of the interface that sends multicast; else the kernel's choice. DeviceError: none such."""
        self.targets = tuple(targets)
        self._native = ffi.new("struct hwgw_flow[]", len(self.targets))
        for to, (group, port) in zip(self._native, self.targets, strict=True):
            to.group, to.port = int(ipaddress.IPv4Address(group)), port
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._told = ffi.new("struct hwgw_pace_report *")  # of this schedule
        self._taken = self._refused = 0  # of those before it
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            if local_address:
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(local_address))
                self._socket.bind((local_address, 0))
        except OSError as error:
            self._socket.close()
            raise DeviceError(f"send: local address {local_address}: {error.strerror}") from None

    @property
    def describe(self) -> str:
        """Where it sends."""
        return f"kernel UDP to {', '.join(f'{group}:{port}' for group, port in self.targets)}"

    def fill(self, cfg: Any) -> None:
        """Of a struct hwgw_pace_cfg: what a socket needs. A schedule of its own begins."""
        self._taken += int(self._told.taken)
        self._refused += int(self._told.refused)
        self._told = ffi.new("struct hwgw_pace_report *")
        cfg.is_udp, cfg.fd = True, self._socket.fileno()
        cfg.targets, cfg.target_cnt = self._native, len(self.targets)

    def pace(self, pace: Any, slice_ns: int) -> bool:
        """One step of a struct hwgw_pace; True when it has come to its end."""
        is_over = bool(lib.hwgw_pace_step_udp(pace, slice_ns))
        lib.hwgw_pace_report(pace, self._told)
        return is_over

    def stats(self) -> dict[str, int]:
        """As of a receiver, since open: frames sent, and those that the kernel refused."""
        refused = self._refused + int(self._told.refused)
        return {"tx_frames": self._taken + int(self._told.taken) - refused, "tx_drop_refused": refused}

    def flush(self, timeout: float | None = None) -> int:
        """What the kernel took is on its way."""
        return 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def run(
    receiver: Receiver | Datagrams,
    source: Source,
    rate: Rate,
    count: int = 0,
    seconds: float | None = None,
    *,
    stop: Callable[[], bool] = lambda: False,
    steer: Callable[[Any, Any, bool], str] | None = None,
) -> Report:
    """Send count frames (0 = each once) of a source, over and over, at a rate; ends early at seconds or stop().

    steer(pace, report, is_over) is asked every 20 ms whether to go, wait or end (hwgw.replay.Player).
    """
    if rate.kind == "recorded" and source.due_ns is None:
        raise UsageError("rate recorded: a template has no recorded times; give pps, bps or max")
    if rate.kind == "recorded" and source.pass_ns == 0 and count > len(source):
        raise UsageError("rate recorded: the recording has no duration, so it cannot be repeated; give pps, bps or max")
    if not 0 <= count < 1 << 62:
        raise UsageError(f"count {count}: allowed are 0 to 2^62")
    cfg = ffi.new("struct hwgw_pace_cfg *")
    cfg.frames = ffi.from_buffer("struct hwgw_frame[]", source.frames)
    cfg.frame_cnt, cfg.send_cnt = len(source), count
    cfg.number_at, cfg.time_at, cfg.udp_at = source.number_at, source.time_at, source.udp_at
    if rate.kind == "recorded":
        cfg.due_ns = ffi.from_buffer("uint64_t[]", source.due_ns)
        cfg.pass_ns = source.pass_ns
    else:
        cfg.rate_milli, cfg.rate_is_bits = rate.milli, rate.kind == "bits"
    if isinstance(receiver, Datagrams):
        receiver.fill(cfg)
    out = ffi.new("struct hwgw_pace **")
    call(lib.hwgw_pace_open, out, cfg)
    pace = ffi.gc(out[0], lib.hwgw_pace_close)
    before = receiver.stats()
    end = time.monotonic() + seconds if seconds is not None else float("inf")
    told = ffi.new("struct hwgw_pace_report *")
    moved_s, taken = time.monotonic(), 0
    is_over = False
    while (now := time.monotonic()) < end and not stop():
        what = steer(pace, told, is_over) if steer else "end" if is_over else "go"
        if what == "end":
            break
        if what == "wait":
            time.sleep(SLICE_NS / 1e9)
        else:
            is_over = receiver.pace(pace, SLICE_NS)
        lib.hwgw_pace_report(pace, told)
        if told.taken != taken or what == "wait":
            moved_s, taken = now, int(told.taken)
        _check_moves(receiver, now - moved_s)
    unsent = receiver.flush(FLUSH_S)
    lib.hwgw_pace_report(pace, told)
    spent = {name: value - before[name] for name, value in receiver.stats().items()}
    late = {name: int(getattr(told, f"late_{name}")) for name in ("p50", "p99", "p999", "max")}
    return Report(
        taken=int(told.taken),
        sent=spent["tx_frames"],
        bytes=int(told.bytes),
        dropped={name.removeprefix("tx_drop_"): n for name, n in spent.items() if name.startswith("tx_drop_") and n},
        unsent=unsent,
        span_ns=int(told.span_ns),
        late_ns=late if rate.kind != "max" else {},
        late_steps=_late_steps(pace) if rate.kind != "max" else {},
        refused=os.strerror(told.refused_errno) if told.refused else "",
    )


def _late_steps(pace: Any) -> dict[int, int]:
    """Upper edge in ns of each step of 1, 2 and 5 -> frames that were later than the one before, up to this."""
    hist, rate = lib.hwgw_pace_late(pace), lib.hwgw_ticks_hz() / 1e9
    steps, before = {}, 0
    for edge in LATE_EDGES_NS:
        upto = int(lib.hwgw_hist_upto(hist, round(edge * rate)))
        if upto > before:
            steps[edge] = upto - before
        before = upto
    if beyond := int(lib.hwgw_hist_cnt(hist)) - before:
        steps[-1] = beyond
    return steps


def _check_moves(receiver: Receiver | Datagrams, seconds: float) -> None:
    """DeviceError when nothing has left for long and the interface says why."""
    if seconds < STUCK_S:
        return
    receiver.stats()
    if receiver.state != "up":
        raise DeviceError(f"send: nothing has left for {seconds:.0f} s: {receiver.reason or receiver.state}")


def read(path: str | PathLike[str]) -> Source:
    """The frames of a pcap or pcapng file, in place, and when they were recorded. Damage is an error."""
    receiver = open_rx("pcap", path=path)
    parts: list[NDArray[np.void]] = [batch.frames.copy() for batch in receiver]
    drops = receiver.ledger().drops
    if drops:
        said = ", ".join(f"{name} {cnt}" for name, cnt in drops.items())
        cnt = sum(map(len, parts))
        where = f": behind frame {cnt} the file is cut short or damaged" if "file" in drops else ""
        raise CheckFailed(
            f"{path}: {sum(drops.values())} records cannot be sent ({said}){where}; allowed are whole frames"
        )
    if not parts:
        raise CheckFailed(f"{path}: there is no frame in it")
    frames = np.concatenate(parts)
    times = np.maximum.accumulate(frames["ts_ns"])  # a capture of several queues may step back
    due = np.ascontiguousarray(times - times[0])
    last = int(due[-1])
    gap = last // (len(due) - 1) if len(due) > 1 else 0
    return Source(frames, receiver, due, last + gap)


def part(source: Source, start_ns: int, until_ns: int | None, speed: Fraction) -> Source:
    """The frames of a recording from one time behind its first to another, `speed` times as fast."""
    if source.due_ns is None:
        raise UsageError("replay: a template has no recorded times")
    kept = source.due_ns >= start_ns
    if until_ns is not None:
        kept &= source.due_ns < until_ns
    if not kept.any():
        raise CheckFailed(f"replay: no frame from {start_ns} ns on until {until_ns or int(source.due_ns[-1])} ns")
    due = source.due_ns[kept] - source.due_ns[kept][0]
    if speed != 1:
        due = np.array([ns * speed.denominator // speed.numerator for ns in due.tolist()], np.uint64)
    return Source(np.ascontiguousarray(source.frames[kept]), source.keep, np.ascontiguousarray(due), int(due[-1]))


# ---- templates ----


def datagrams(template: str, interface: str) -> Source:
    """Numbered UDP datagrams: "udp GROUP:PORT [len=N] [sport=N] [ttl=N] [dscp=N] [vlan=ID] [src=IP] [smac=MAC] ...".

    len: bytes of payload, at least 16, default 64. sport 40000, ttl 16. src and smac: those of the interface. dmac:
    that of the group; of a unicast address the one the kernel knows. checksum=on: the UDP checksum, default off.
    """
    words = template.split()
    if len(words) < 2 or words[0] != "udp":
        raise UsageError(f'template "{template}": allowed is "udp ADDRESS:PORT [{"=.. ".join(TEMPLATE_KEYS)}=..]"')
    given: dict[str, str] = {}
    for word in words[2:]:
        key, equals, value = word.partition("=")
        if key not in TEMPLATE_KEYS or not equals or key in given:
            raise UsageError(f'template "{template}": {word}: allowed are {", ".join(TEMPLATE_KEYS)}, each once')
        given[key] = value
    group, _, port = words[1].rpartition(":")
    target = _ipv4(template, words[1], group)
    mtu = _mtu(interface)
    head = specs.load("ethernet")
    overhead = head.layout("ipv4_header").length + head.layout("udp_header").length
    size = _number(template, given, "len", 64, STAMP_BYTES, mtu - overhead)
    source = _ipv4(template, "src", given["src"]) if "src" in given else _own_address(interface)
    smac = _mac(template, given["smac"]) if "smac" in given else _own_mac(interface)
    dmac = _mac(template, given["dmac"]) if "dmac" in given else _mac_of(target, interface)
    if given.get("checksum", "off") not in ("on", "off"):
        raise UsageError(f'template "{template}": checksum={given["checksum"]}: allowed are on and off')
    link = _link(dmac, smac, _number(template, given, "vlan", 0, 1, 4094) if "vlan" in given else None)
    frame = (
        link
        + _ip(
            source,
            target,
            overhead + size,
            _number(template, given, "ttl", 16, 1, 255),
            _number(template, given, "dscp", 0, 0, 63),
        )
        + _udp(
            _number(template, given, "sport", 40000, 1, 65535),
            _number(template, {"port": port}, "port", 0, 1, 65535),
            size,
        )
        + bytes(size)
    )
    rows = np.frombuffer(bytearray(frame * lib.HWGW_BATCH_MAX), np.uint8).reshape(lib.HWGW_BATCH_MAX, len(frame))
    frames = np.zeros(len(rows), FRAME)
    frames["data"] = rows.__array_interface__["data"][0] + np.arange(len(rows)) * len(frame)
    frames["len"], frames["flow"] = len(frame), NO_FLOW
    payload_at = len(frame) - size
    udp_at = payload_at - head.layout("udp_header").length if given.get("checksum") == "on" else 0
    return Source(frames, rows, number_at=payload_at, time_at=payload_at + 8, udp_at=udp_at)


def _record(layout: str, **values: Any) -> bytes:
    record = np.zeros(1, specs.dtype("ethernet", layout))
    for name, value in values.items():
        record[name] = value
    return record.tobytes()


def _link(dmac: bytes, smac: bytes, vlan: int | None) -> bytes:
    kinds = specs.load("ethernet").enum("ethertype")
    macs = {"destination": np.frombuffer(dmac, np.uint8), "source": np.frombuffer(smac, np.uint8)}
    if vlan is None:
        return _record("ethernet_header", **macs, ethertype=kinds.code("ipv4"))
    inner = int(kinds.code("ipv4")).to_bytes(2, "big")
    return _record("ethernet_header", **macs, ethertype=kinds.code("vlan")) + vlan.to_bytes(2, "big") + inner


def _ip(source: int, target: int, length: int, ttl: int, dscp: int) -> bytes:
    table = specs.load("ethernet")
    bits = {bit.name: 1 << bit.shift for bit in table.layout("ipv4_header").field("flags_fragment").bits}
    values = {
        "version_ihl": table.constant("ipv4_version_ihl"),
        "dscp_ecn": dscp << 2,
        "total_length": length,
        "flags_fragment": bits["df"],
        "ttl": ttl,
        "protocol": table.enum("ip_protocol").code("udp"),
        "source": source,
        "destination": target,
    }
    words = struct.unpack("!10H", _record("ipv4_header", **values))
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return _record("ipv4_header", **values, header_checksum=~total & 0xFFFF)


def _udp(source: int, target: int, size: int) -> bytes:
    length = specs.load("ethernet").layout("udp_header").length + size
    return _record("udp_header", source_port=source, destination_port=target, length=length)


def _number(template: str, given: dict[str, str], key: str, default: int, low: int, high: int) -> int:
    text = given.get(key, str(default))
    value = int(text) if text.isascii() and text.isdecimal() else -1
    if not low <= value <= high:
        raise UsageError(f'template "{template}": {key}={text}: allowed are {low} to {high}')
    return value


def _ipv4(template: str, key: str, text: str) -> int:
    try:
        return int(ipaddress.IPv4Address(text))
    except ValueError:
        raise UsageError(f'template "{template}": {key}: {text!r} is no IPv4 address') from None


def _mac(template: str, text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", text):
        raise UsageError(f'template "{template}": {text}: allowed is a MAC address such as 02:00:00:00:00:01')
    return bytes.fromhex(text.replace(":", ""))


def _ask(interface: str, request: int, what: str) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            return fcntl.ioctl(sock, request, struct.pack("16s24x", interface.encode()[:15]))[16:]
        except OSError as error:
            raise DeviceError(f"send: {what} of {interface}: {error.strerror}") from None


def _own_address(interface: str) -> int:
    return int.from_bytes(_ask(interface, SIOCGIFADDR, "the IPv4 address (or give src=)")[4:8], "big")


def _own_mac(interface: str) -> bytes:
    return _ask(interface, SIOCGIFHWADDR, "the MAC address")[2:8]


def _mtu(interface: str) -> int:
    return int(struct.unpack("=i", _ask(interface, SIOCGIFMTU, "the MTU")[:4])[0])


def _mac_of(target: int, interface: str) -> bytes:
    """The MAC address of a group by its low bits; of another address the kernel's neighbour table."""
    table = specs.load("ethernet")
    if target >> 28 == 14:
        return (table.constant("multicast_mac_prefix") | target & table.constant("multicast_mac_mask")).to_bytes(
            6, "big"
        )
    address = str(ipaddress.IPv4Address(target))
    for line in Path("/proc/thread-self/net/arp").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[0] == address and columns[5] == interface and columns[3] != "00:00:00:00:00:00":
            return bytes.fromhex(columns[3].replace(":", ""))
    raise ConfigError(f"send: {address}: {interface} has no MAC address for it; give dmac=, or ping it first")
