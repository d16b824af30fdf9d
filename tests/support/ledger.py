"""The ledger of losses: a backend at the end of a wire, numbered frames sent to it, and what became of each.

SPDX-License-Identifier: MIT

A row of BACKENDS is a backend in a mode. A Line sends over a veth pair of its own and gives an Account: which numbers
came, and how far every counter moved - ours, and the kernel's, which are the witness for what the kernel keeps. WHERE
says where each kind of frame (support.frames) must show. Causes that come from outside: support.ledger_causes.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwgw_sim import wire
from hwgw_sim.receiver import Frame, Receiver, ipv4, make_flows
from hwgw_sim.wire import Wire

from hwgw.native import ffi, lib, text

from .frames import GROUP, KINDS, NUMBER, PORT, SIZE, payload
from .rig import Rig

FLOWS = [(GROUP, PORT)]
SETTLE_S = 5.0
NET_CAUSES = {
    getattr(lib, name): "net." + name.removeprefix("HWGW_CNT_NET_").lower()
    for name in dir(lib)
    if name.startswith("HWGW_CNT_NET_")
}
# counters of the kernel that say what it did with a frame; the rest of them count good traffic or bytes
KERNEL = {
    "Ip:": ("InHdrErrors", "InAddrErrors", "InUnknownProtos", "InDiscards", "ReasmReqds"),
    "IpExt:": ("InTruncatedPkts", "InCsumErrors", "InNoRoutes"),
    "Udp:": ("NoPorts", "InErrors", "RcvbufErrors", "InCsumErrors", "IgnoredMulti"),
}
DELIVERED = "delivered"
NOWHERE = "nowhere"  # the kernel takes the frame and counts it nowhere


@dataclass(frozen=True)
class Backend:
    """One row: a backend in a mode."""

    name: str
    backend: str
    family: str  # of WHERE
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def is_apart(self) -> bool:
        """Wants a process of its own: what it loads is set up once per process and stays."""
        return self.backend == "dpdk"

    @property
    def missing(self) -> str:
        """Why it cannot be measured here; empty when it can."""
        reason = ffi.new("char[200]")
        if not lib.hwgw_rx_available(self.backend.encode(), reason, 200):
            return text(reason)
        return wire.missing()


BACKENDS = (
    Backend("afxdp native", "afxdp", "afxdp", {"mode": "native"}),
    Backend("afxdp generic", "afxdp", "afxdp", {"mode": "generic"}),
    Backend("afxdp all frames", "afxdp", "afxdp all", {"mode": "native", "all_frames": True}),
    Backend("packet", "packet", "packet"),
    Backend("packet all frames", "packet", "packet all", {"all_frames": True}),
    Backend("udp", "udp", "udp"),
    Backend("pcap", "pcap", "pcap"),
    Backend("dpdk net_af_packet", "dpdk", "dpdk packet", {"port": "net_af_packet0,iface={device}"}),
    Backend("dpdk net_af_xdp", "dpdk", "dpdk xdp", {"port": "net_af_xdp0,iface={device}"}),
)

# What the kernel does with frames that are not of a flow, or cannot be told to be: not ours, and not lost by us.
_KERNEL_KEEPS: dict[str, tuple[str, ...]] = {
    "too short": ("Ip:InHdrErrors",),
    "ethertype": ("dev:rx_dropped",),
    "IP version": ("Ip:InHdrErrors",),
    "IP header length": ("Ip:InHdrErrors",),
    "protocol": ("Ip:InUnknownProtos",),
    "foreign port": ("Udp:IgnoredMulti",),
    "foreign group": (NOWHERE,),
    "later fragment": ("Ip:ReasmReqds",),
}
_NET = {
    "IP length": ("net.drop_ip_length",),
    "IP checksum": ("net.drop_ip_checksum",),
    "UDP length": ("net.drop_udp_length",),
}
_GOOD = dict.fromkeys(("data", "vlan tag", "IP options"), (DELIVERED,))
_ALL_FRAMES = {
    **_GOOD,
    **_NET,
    "too short": ("net.drop_short",),
    "ethertype": ("net.drop_ethertype",),
    "IP version": ("net.drop_ip_header",),
    "IP header length": ("net.drop_ip_header",),
    "protocol": ("net.drop_protocol",),
    "UDP checksum": (DELIVERED,),
    "UDP checksum, short": (DELIVERED,),
    "foreign port": ("net.drop_foreign",),
    "foreign group": ("net.drop_foreign",),
    "first fragment": ("net.drop_fragment",),
    "later fragment": ("net.drop_fragment",),
}
# What the kernel's stack counts of a frame that a packet socket saw as well; nobody listens to the group.
_STACK = {
    "data": ("Udp:IgnoredMulti",),
    "IP options": ("Udp:IgnoredMulti",),
    "too short": ("Ip:InHdrErrors",),
    "IP version": ("Ip:InHdrErrors",),
    "IP header length": ("Ip:InHdrErrors",),
    "IP length": ("IpExt:InTruncatedPkts",),
    "IP checksum": ("IpExt:InCsumErrors", "Ip:InHdrErrors"),
    "protocol": ("Ip:InUnknownProtos",),
    "UDP length": ("Udp:InErrors",),
    "UDP checksum": ("Udp:IgnoredMulti",),
    "UDP checksum, short": ("Udp:InCsumErrors", "Udp:InErrors"),
    "foreign port": ("Udp:IgnoredMulti",),
    "first fragment": ("Ip:ReasmReqds",),
    "later fragment": ("Ip:ReasmReqds",),
}
# what the packet backend's socket filter refuses: not of a flow
_FILTERED = {"too short", "ethertype", "IP header length", "protocol", "foreign port", "foreign group"}
# Family -> kind -> where it shows: first the counter that names it, then those that move along with it.
WHERE: dict[str, dict[str, tuple[str, ...]]] = {
    "afxdp": {
        **_GOOD,
        **_KERNEL_KEEPS,
        **_NET,
        "ethertype": (NOWHERE,),
        "UDP checksum": (DELIVERED,),
        "UDP checksum, short": (DELIVERED,),
        "first fragment": ("rx.drop_fragment", "Ip:ReasmReqds"),
    },
    "udp": {
        **_GOOD,
        **_KERNEL_KEEPS,
        "vlan tag": (NOWHERE,),
        "IP length": ("IpExt:InTruncatedPkts",),
        "IP checksum": ("IpExt:InCsumErrors", "Ip:InHdrErrors"),
        "UDP length": ("Udp:InErrors",),
        "UDP checksum": ("rx.drop_checksum", "Udp:InCsumErrors", "Udp:InErrors"),
        "UDP checksum, short": ("Udp:InCsumErrors", "Udp:InErrors"),
        "first fragment": ("Ip:ReasmReqds",),
    },
    "packet": {
        kind: (*(() if kind in _FILTERED else ours), *_STACK.get(kind, ())) or (NOWHERE,)
        for kind, ours in _ALL_FRAMES.items()
    },
    "packet all": {kind: (*ours, *_STACK.get(kind, ())) for kind, ours in _ALL_FRAMES.items()},
    "afxdp all": _ALL_FRAMES,
    "pcap": _ALL_FRAMES,
    "dpdk xdp": _ALL_FRAMES,
    # its sockets have the kernel put fragments together first: one that stays alone never comes and is counted twice
    "dpdk packet": {kind: (*ours, *_STACK.get(kind, ())) for kind, ours in _ALL_FRAMES.items()}
    | dict.fromkeys(("first fragment", "later fragment"), ("Ip:ReasmReqds", "Ip:ReasmReqds")),
}


@dataclass
class Account:
    """What became of the frames that were sent: the numbers that came, in order, and the counters that moved."""

    sent: int = 0
    numbers: list[int] = field(default_factory=list)
    moved: dict[str, int] = field(default_factory=dict)  # rx.drop_*, net.drop_*, kernel counters
    expected: dict[str, int] = field(default_factory=dict)  # counters
    expected_numbers: list[int] = field(default_factory=list)
    note: str = ""

    @property
    def delivered(self) -> int:
        return len(self.numbers)

    @property
    def ours(self) -> dict[str, int]:
        """The drop counters of hwgw that moved."""
        return {name: value for name, value in self.moved.items() if name.startswith(("rx.", "net."))}

    @property
    def kernel(self) -> dict[str, int]:
        """The counters of the kernel that moved."""
        return {name: value for name, value in self.moved.items() if name not in self.ours}


class Line:
    """A backend at the end of a wire, and the sender at the other; for pcap the wire is a file.

    With pipeline it is opened by a pipeline of its own (.rig), which takes the frames in.
    """

    def __init__(
        self,
        row: Backend,
        *,
        wire_queues: int = 1,
        mtu: int = 1500,
        user: int = 0,
        pipeline: bool = False,
        **settings: Any,
    ) -> None:
        self.row = row
        self.account = Account()
        self._flows = make_flows(FLOWS)
        self._datagram = ffi.new("struct hwgw_datagram *")
        self._net: dict[str, int] = {}
        self._stats: dict[str, int] = {}
        self._accounted = 0
        self._settings = {**row.settings, **settings}
        self._user = user
        self._records: list[bytes] = []
        self._stack = contextlib.ExitStack()
        self.rx: Receiver | None = None
        self.rig: Rig | None = None
        if row.backend == "pcap":
            return
        self.pair = self._stack.enter_context(Wire(queues=wire_queues, mtu=mtu))
        self._raw = self._stack.enter_context(self.pair.packet_socket("tx"))
        device = self.pair.device["rx"]
        self._settings["interface"] = device
        if "port" in self._settings:
            self._settings["port"] = str(self._settings["port"]).format(device=device)
        with self.pair.inside("rx"), as_user(user):
            if pipeline:
                self.rig = self._stack.enter_context(_rig(row.backend, self._settings))
            else:
                self.rx = Receiver(row.backend, FLOWS, **self._settings)
        self.restart()

    def restart(self) -> None:
        """A new account: what was sent and counted before is not in it."""
        self.account, self._net = Account(), {}
        self._kernel = self._kernel_now()
        self._wire = self.pair.statistics("tx")["tx_packets"]
        self._stats = self.rx.stats() if self.rx else {}
        self._accounted = self.rx.accounted() if self.rx else 0

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        if self.rx:
            self.rx.close()
        self._stack.close()

    # ---- sending ----

    def send(self, frame: bytes) -> None:
        """One frame onto the wire."""
        self.account.sent += 1
        if self.row.backend == "pcap":
            self._records.append(frame)
        else:
            self._raw.send(frame)

    def send_kind(self, kind: str, number: int, size: int = SIZE) -> None:
        self.send(KINDS[kind](payload(number, size)))

    # ---- receiving ----

    def take(self, frames: list[Frame]) -> None:
        """Account for frames that were polled: net.c names what is wrong, or the payload is that of its number."""
        for frame in frames:
            content = frame.data
            if frame.flow == lib.HWGW_FLOW_NONE:
                memory = ffi.from_buffer("uint8_t[]", content)
                cause = lib.hwgw_net_parse(self._flows, len(FLOWS), memory, len(content), self._datagram)
                if cause:
                    self._net[NET_CAUSES[cause]] = self._net.get(NET_CAUSES[cause], 0) + 1
                    continue
                content = bytes(ffi.buffer(self._datagram.data, self._datagram.len))
            (number,) = NUMBER.unpack_from(content)
            assert content == payload(number, len(content)), f"frame {number} was changed"
            self.account.numbers.append(number)

    def poll(self, release: bool = True) -> int:
        """One poll, accounted for; how many frames it gave."""
        assert self.rx is not None
        frames = self.rx.poll(release=release)
        self.take(frames)
        return len(frames)

    def settle(self, owed: int | None = None) -> Account:
        """Poll until what is owed to us has come or is counted as lost (else: until nothing comes), then sum up."""
        if self.row.backend == "pcap":
            self._replay()
        assert self.rx is not None
        end = time.monotonic() + SETTLE_S
        quiet = time.monotonic()
        while time.monotonic() < end:
            now = time.monotonic()
            if self.poll():
                quiet = now
            elif self.rx.ended or now - quiet > (
                0.02 if owed is None or self.rx.accounted() >= self._accounted + owed else 0.5
            ):
                break
        return self.sum_up()

    def sum_up(self) -> Account:
        """The account as of now."""
        assert self.rx is not None
        now = self.rx.stats()
        moved = {f"rx.{name}": now[name] - self._stats.get(name, 0) for name in now if name.startswith("drop_")}
        moved |= self._net
        if self.row.backend != "pcap":
            moved |= self.kernel()
        self.account.moved = {name: value for name, value in moved.items() if value}
        return self.account

    def kernel(self) -> dict[str, int]:
        """How far the kernel's counters moved."""
        now = self._kernel_now()
        return {name: now[name] - self._kernel[name] for name in now}

    def on_the_wire(self) -> int:
        """Frames that left the sending interface, by its own counter: what the sender sent."""
        return self.pair.statistics("tx")["tx_packets"] - self._wire

    def _kernel_now(self) -> dict[str, int]:
        found = {"dev:rx_dropped": self.pair.statistics("rx")["rx_dropped"]}
        with self.pair.inside("rx"):
            for name in ("snmp", "netstat"):
                lines = Path(f"/proc/thread-self/net/{name}").read_text().splitlines()
                for keys, values in zip(lines[::2], lines[1::2], strict=True):
                    head, *rest = keys.split()
                    row = dict(zip(rest, values.split()[1:], strict=True))
                    found |= {head + key: int(row[key]) for key in KERNEL.get(head, ()) if key in row}
        return found

    def _replay(self) -> None:
        """The frames as a capture in nanoseconds, read back."""
        limit = int(self._settings.pop("snap_bytes", 65535))
        parts = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, limit, 1)]
        for frame in self._records:
            kept = frame[:limit]
            parts += [struct.pack("<IIII", 0, 0, len(kept), len(frame)), kept]
        with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
            file.write(b"".join(parts)[: int(self._settings.pop("cut_bytes", 1 << 62))])
            file.flush()
            self.rx = Receiver("pcap", FLOWS, path=file.name, **self._settings)


def _rig(backend: str, settings: Mapping[str, Any]) -> Rig:
    """A pipeline that receives the flow through that backend."""
    fields = {**settings, "backend": backend}
    texts = {name: ffi.new("char[]", value.encode()) for name, value in fields.items() if isinstance(value, str)}
    return Rig(["AAPL"], rx={**fields, **texts}, flow={"group": ipv4(GROUP), "port": PORT})


@contextlib.contextmanager
def as_user(user: int) -> Iterator[None]:
    """Open as somebody without privileges: udp then gets the small socket buffer that everybody may have."""
    before = os.geteuid()
    if user:
        os.seteuid(user)
    try:
        yield
    finally:
        if user:
            os.seteuid(before)


# frames that fit in while nobody polls: the share of those that the backend was opened with, or a number of its own
DPDK_SLOTS = {"dpdk packet": 512, "dpdk xdp": 2048}
RING_SHARE = {"afxdp": 2, "afxdp all": 2, "packet": 1, "packet all": 1}


def ring_slots(row: Backend, frame_cnt: int) -> int | None:
    """Frames that wait for a poll at most; None when that is not a number of frames."""
    return frame_cnt // RING_SHARE[row.family] if row.family in RING_SHARE else None


def ring_full(row: Backend) -> str:
    """The counter of frames that came while nobody polled."""
    return {"udp": "rx.drop_overrun", "dpdk xdp": "rx.drop_fill_empty"}.get(row.family, "rx.drop_ring_full")


def provable(row: Backend, counts: Mapping[str, int]) -> dict[str, int]:
    """The counts with those causes added up that a backend cannot always tell apart when they come at once.

    udp: a wrong checksum is proven by counters of the whole namespace, unless another error moved them meanwhile.
    """
    merged = dict(counts)
    if row.backend == "udp" and (unproven := merged.pop("rx.drop_kernel", 0)):
        merged["rx.drop_checksum"] = merged.get("rx.drop_checksum", 0) + unproven
    return merged


def owed(row: Backend, kind: str, cnt: int) -> int:
    """How many of cnt frames of a kind come to us or are ours to count."""
    return cnt if any(name == DELIVERED or name.startswith(("rx.", "net.")) for name in WHERE[row.family][kind]) else 0


def expect(row: Backend, kinds: Mapping[str, int]) -> dict[str, int]:
    """The counters that so many frames of each kind must move."""
    expected: dict[str, int] = {}
    for kind, cnt in kinds.items():
        for name in WHERE[row.family][kind]:
            if name not in (DELIVERED, NOWHERE):
                expected[name] = expected.get(name, 0) + cnt
    return expected


# ---- causes that a frame carries in itself ----


def measure_kind(line: Line, kind: str, cnt: int = 50) -> Account:
    """cnt frames of a kind between as many good ones, which must all come."""
    row = line.row
    for i in range(cnt):
        line.send_kind("data", 2 * i)
        line.send_kind(kind, 2 * i + 1)
    account = line.settle(cnt + owed(row, kind, cnt))
    account.expected = expect(row, {kind: cnt, "data": cnt})
    account.expected_numbers = list(range(0, 2 * cnt, 1 if DELIVERED in WHERE[row.family][kind] else 2))
    return account


@contextlib.contextmanager
def lines(row: Backend) -> Iterator[Callable[[], Line]]:
    """A function that gives a line with a new account: the same one again, but for pcap, where each is a file."""
    with contextlib.ExitStack() as stack:
        shared = None if row.backend == "pcap" else stack.enter_context(Line(row))

        def fresh() -> Line:
            if shared is None:
                return stack.enter_context(Line(row))
            shared.restart()
            return shared

        yield fresh
