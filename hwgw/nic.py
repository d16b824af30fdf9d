"""What the kernel and the driver say of one network interface: read, never changed, and without the program ethtool.

SPDX-License-Identifier: MIT

Facts come from rtnetlink, the ethtool ioctl, the netdev family of generic netlink (Linux 6.3 and later) and sysfs, all
of the calling thread's network namespace but sysfs, whose view is compared by address before it is believed. What is
not told is None.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path

from . import netlink
from .errors import UsageError
from .napi import Napi, contexts

__all__ = ["Channels", "Nic", "Program", "Timestamps", "names", "read"]

# linux/ethtool.h
_GDRVINFO, _GRINGPARAM, _GFLAGS, _GRXCLSRLCNT = 0x3, 0x10, 0x25, 0x2E
_GCHANNELS, _GET_TS_INFO, _GRSSH, _GLINKSETTINGS = 0x3C, 0x41, 0x46, 0x4C
_FLAG_NTUPLE, _FLAG_LRO = 1 << 27, 1 << 15
_SPEED_UNKNOWN = 0xFFFFFFFF
_TS_RX_HARDWARE, _TS_RX_SOFTWARE, _TS_RAW_HARDWARE = 1 << 2, 1 << 3, 1 << 6
_FILTER_ALL = 1 << 1
# linux/if_link.h
_GETLINK = 18
_ADDRESS, _IFNAME, _MTU, _LINKINFO, _PROMISCUITY, _XDP = 1, 3, 4, 18, 30, 43
_MIN_MTU, _MAX_MTU, _PARENT_NAME, _PARENT_BUS = 50, 51, 56, 57
_INFO_KIND = 1
_XDP_ATTACHED, _XDP_PROGRAMS = 2, (4, 5, 6, 7)
_XDP_MODES = {1: "native", 2: "generic", 3: "hardware", 4: "several modes"}
_UP, _LOOPBACK, _LOWER_UP = 0x1, 0x8, 0x10000
# linux/netdev.h
_DEV_GET, _QUEUE_GET = 1, 10
_XDP_FEATURES = ("basic", "redirect", "transmit", "zero copy", "offload", "multi-buffer", "multi-buffer transmit")
_METADATA = ("timestamp", "hash", "vlan tag")
# linux/bpf.h
_PROG_FD, _OBJ_INFO, _LINK_FD, _LINK_NEXT, _SYS_BPF = 13, 15, 30, 31, 321
_LINK_TYPE_XDP = 6


@dataclass(frozen=True, slots=True)
class Channels:
    """Queues: in use and the most there can be."""

    rx: int
    rx_max: int
    tx: int
    tx_max: int
    combined: int
    combined_max: int

    @property
    def receive(self) -> int:
        """Receive queues in use."""
        return self.rx + self.combined


@dataclass(frozen=True, slots=True)
class Timestamps:
    """What time stamps of received frames there can be."""

    software: bool
    hardware: bool
    hardware_all: bool  # of every frame, not of PTP's only
    clock: int | None  # /dev/ptpN


@dataclass(frozen=True, slots=True)
class Program:
    """An attached XDP program; name and link need privileges."""

    id: int
    name: str | None
    link: int | None


@dataclass(slots=True)
class Nic:
    """An interface. Units are in the names."""

    name: str
    index: int
    is_up: bool
    has_carrier: bool
    is_loopback: bool
    mtu: int
    mtu_min: int
    mtu_max: int
    address: str
    kind: str = ""  # veth, tun ... ; empty for hardware
    promiscuity: int = 0
    driver: str = ""
    driver_version: str = ""
    firmware: str = ""
    bus: str = ""
    numa_node: int | None = None
    speed_mbps: int | None = None
    channels: Channels | None = None
    rx_ring: int | None = None
    rx_ring_max: int | None = None
    xdp_mode: str = ""
    programs: tuple[Program, ...] = ()
    xdp_features: tuple[str, ...] | None = None  # None: the kernel has no netdev family
    zero_copy_segments: int = 0
    metadata: tuple[str, ...] = ()
    napi_ids: tuple[int, ...] | None = None
    napi: tuple[Napi, ...] = ()  # all contexts of the interface; none where the kernel does not tell
    timestamps: Timestamps | None = None
    rss_key_bytes: int = 0
    rss_table_entries: int = 0
    has_ntuple: bool = False
    steering_rules: int | None = None  # None: the driver steers no flows
    lro: bool = False
    unread: list[str] = field(default_factory=list)  # what could not be read, and why


def names() -> list[str]:
    """The interfaces of the calling thread's namespace."""
    return [name for _, name in socket.if_nameindex()]


def _word(value: bytes | None) -> int:
    return int(struct.unpack("=I", value[:4])[0]) if value and len(value) >= 4 else 0


def _text(value: bytes | None) -> str:
    return (value or b"").split(b"\0")[0].decode("ascii", "replace").strip()


def _bits(value: bytes | None, names: tuple[str, ...]) -> tuple[str, ...]:
    mask = int.from_bytes((value or b"")[:8], "little")
    return tuple(name for bit, name in enumerate(names) if mask >> bit & 1)


def _ask(name: str, command: int, size: int) -> bytes | None:
    """The structure that an ethtool command fills, size bytes; None when the driver has it not."""
    try:
        return netlink.KERNEL.ethtool(name, struct.pack("=I", command).ljust(size, b"\0"))
    except OSError:
        return None


def _link(name: str) -> Nic:
    try:
        index = socket.if_nametoindex(name)
        body = netlink.ask(netlink.ROUTE, _GETLINK, struct.pack("=BxHiII", 0, 0, index, 0, 0))[0]
    except OSError:
        raise UsageError(f"no interface {name!r} here; there are {', '.join(names())}") from None
    flags = struct.unpack_from("=I", body, 8)[0]
    attrs = netlink.attributes(body[16:])
    info = netlink.attributes(attrs.get(_LINKINFO, b""))
    xdp = netlink.attributes(attrs.get(_XDP, b""))
    nic = Nic(
        name=_text(attrs.get(_IFNAME)),
        index=index,
        is_up=bool(flags & _UP),
        has_carrier=bool(flags & _LOWER_UP),
        is_loopback=bool(flags & _LOOPBACK),
        mtu=_word(attrs.get(_MTU)),
        mtu_min=_word(attrs.get(_MIN_MTU)),
        mtu_max=_word(attrs.get(_MAX_MTU)),
        address=":".join(f"{byte:02x}" for byte in attrs.get(_ADDRESS, b"")),
        kind=_text(info.get(_INFO_KIND)),
        promiscuity=_word(attrs.get(_PROMISCUITY)),
        bus="/".join(filter(None, (_text(attrs.get(_PARENT_BUS)), _text(attrs.get(_PARENT_NAME))))),
        xdp_mode=_XDP_MODES.get((xdp.get(_XDP_ATTACHED) or b"\0")[0], ""),
    )
    ids = sorted({_word(xdp.get(kind)) for kind in _XDP_PROGRAMS} - {0})
    nic.programs = tuple(Program(number, _program_name(number), _program_link(number, index)) for number in ids)
    return nic


# ---- bpf(2): who holds the interface ----


def _bpf(command: int, attr: bytes) -> tuple[int, bytes]:
    if platform.machine() != "x86_64":
        return -1, b""
    memory = ctypes.create_string_buffer(attr.ljust(128, b"\0"), 128)
    return int(ctypes.CDLL(None).syscall(_SYS_BPF, command, memory, 128)), memory.raw


def _bpf_info(fd: int) -> bytes | None:
    info = ctypes.create_string_buffer(256)
    result, _ = _bpf(_OBJ_INFO, struct.pack("=IIQ", fd, 256, ctypes.addressof(info)))
    os.close(fd)
    return info.raw if result == 0 else None


def _program_name(number: int) -> str | None:
    fd, _ = _bpf(_PROG_FD, struct.pack("=I", number))
    info = _bpf_info(fd) if fd >= 0 else None
    return _text(info[64:80]) if info else None  # struct bpf_prog_info, name


def _program_link(number: int, index: int) -> int | None:
    start = 0
    while True:
        result, raw = _bpf(_LINK_NEXT, struct.pack("=I", start))
        if result < 0:
            return None
        start = int(struct.unpack_from("=I", raw, 4)[0])
        fd, _ = _bpf(_LINK_FD, struct.pack("=I", start))
        info = _bpf_info(fd) if fd >= 0 else None
        if info:
            kind, link, program = struct.unpack_from("=III", info)
            if (kind, program, struct.unpack_from("=I", info, 16)[0]) == (_LINK_TYPE_XDP, number, index):
                return int(link)


# ---- the driver ----


def _ethtool(nic: Nic) -> None:
    if raw := _ask(nic.name, _GDRVINFO, 196):
        nic.driver, nic.driver_version = _text(raw[4:36]), _text(raw[36:68])
        nic.firmware = _text(raw[68:100])
        nic.bus = nic.bus or _text(raw[100:132])
    if raw := _ask(nic.name, _GCHANNELS, 36):
        rx_max, tx_max, _, all_max, rx, tx, _, both = struct.unpack_from("=8I", raw, 4)
        nic.channels = Channels(rx, rx_max, tx, tx_max, both, all_max)
    if raw := _ask(nic.name, _GRINGPARAM, 36):
        values = struct.unpack_from("=8I", raw, 4)
        nic.rx_ring_max, nic.rx_ring = int(values[0]), int(values[4])
    if raw := _ask(nic.name, _GLINKSETTINGS, 512):
        speed = _word(raw[4:8])
        nic.speed_mbps = speed if speed not in (0, _SPEED_UNKNOWN, 0xFFFF) else None
    if raw := _ask(nic.name, _GET_TS_INFO, 44):
        what, clock = struct.unpack_from("=Ii", raw, 4)
        filters = _word(raw[28:32])
        nic.timestamps = Timestamps(
            software=bool(what & _TS_RX_SOFTWARE),
            hardware=bool(what & _TS_RX_HARDWARE and what & _TS_RAW_HARDWARE),
            hardware_all=bool(filters & _FILTER_ALL),
            clock=int(clock) if clock >= 0 else None,
        )
    if raw := _ask(nic.name, _GRSSH, 24):
        nic.rss_table_entries, nic.rss_key_bytes = struct.unpack_from("=II", raw, 8)
    if raw := _ask(nic.name, _GFLAGS, 8):
        flags = _word(raw[4:8])
        nic.has_ntuple, nic.lro = bool(flags & _FLAG_NTUPLE), bool(flags & _FLAG_LRO)
    if raw := _ask(nic.name, _GRXCLSRLCNT, 192):
        nic.steering_rules = _word(raw[184:188])  # struct ethtool_rxnfc, rule_cnt behind the flow specification


def _netdev(nic: Nic) -> None:
    family = netlink.generic_family("netdev")
    if family is None:
        nic.unread.append("the kernel has no netlink family netdev (Linux 6.3 and later)")
        return
    try:
        attrs = netlink.generic(family, _DEV_GET, netlink.pack(1, struct.pack("=I", nic.index)))[0]
    except OSError as error:
        nic.unread.append(f"netdev: {error.strerror}")
        return
    nic.xdp_features = _bits(attrs.get(3), _XDP_FEATURES)
    nic.zero_copy_segments = _word(attrs.get(4))
    nic.metadata = _bits(attrs.get(5), _METADATA)
    try:
        queues = netlink.generic(family, _QUEUE_GET, netlink.pack(2, struct.pack("=I", nic.index)), dump=True)
    except OSError as error:
        nic.unread.append(f"NAPI ids: {error.strerror} (Linux 6.8 and later)")
        return
    # of receive queues (type 0); one without a NAPI context has no id
    nic.napi_ids = tuple(sorted({_word(row.get(4)) for row in queues if _word(row.get(3)) == 0} - {0}))
    nic.napi = tuple(contexts(nic.index))


def _numa_node(nic: Nic) -> int | None:
    folder = Path("/sys/class/net") / nic.name
    try:
        if (folder / "address").read_text().strip() != nic.address:
            return None
        node = int((folder / "device" / "numa_node").read_text())
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None


def read(name: str) -> Nic:
    """Everything about an interface; UsageError when there is none of that name."""
    if not re.fullmatch(r"[^\s/]{1,15}", name):
        raise UsageError(f"interface {name!r}: not the name of an interface")
    nic = _link(name)
    _ethtool(nic)
    _netdev(nic)
    nic.numa_node = _numa_node(nic)
    return nic
