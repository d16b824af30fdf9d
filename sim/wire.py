"""A wire on one machine: a veth pair between two anonymous network namespaces of this process.

SPDX-License-Identifier: MIT

The namespaces have no name and no process of their own: descriptors hold them, so the kernel removes both, and the pair
with them, when this process ends, however it ends. The ends are called "tx" and "rx" by habit; they are alike.
Namespaces belong to threads: `inside` moves the calling thread, and sockets opened there stay there.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def missing() -> str:
    """What keeps this process from making a wire; empty when nothing does."""
    try:
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return str(error)
    try:
        if _libc.unshare(CLONE_NEWNET):
            return f"unshare(CLONE_NEWNET): {os.strerror(ctypes.get_errno())}; needs root"
        _enter(before)
    finally:
        os.close(before)
    return ""


def _enter(namespace_fd: int) -> None:
    if _libc.setns(namespace_fd, CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


class Wire:
    """Two ends, each a namespace with one device (.device[end]) and one address (.address[end])."""

    def __init__(self, queues: int = 1, mtu: int = 1500) -> None:
        self.namespace: dict[str, int] = {}
        self.device = {"tx": f"htx{os.getpid()}", "rx": f"hrx{os.getpid()}"}
        self.address = {"tx": "10.77.0.1", "rx": "10.77.0.2"}
        try:
            for end in ("tx", "rx"):
                self.namespace[end] = self._create()
            rx_namespace = f"/proc/{os.getpid()}/fd/{self.namespace['rx']}"
            counts = ["numrxqueues", str(queues), "numtxqueues", str(queues)]
            self.run("tx", "ip", "link", "add", self.device["tx"], "mtu", str(mtu), *counts, "type", "veth",
                     "peer", "name", self.device["rx"], "mtu", str(mtu), *counts, "netns", rx_namespace)  # fmt: skip
            for end in ("tx", "rx"):
                self.run(end, "ip", "link", "set", "lo", "up")
                self.run(end, "ip", "addr", "add", f"{self.address[end]}/24", "dev", self.device[end])
                self.run(end, "ip", "link", "set", self.device[end], "up")
                self.run(end, "ip", "route", "add", "224.0.0.0/4", "dev", self.device[end])
            self._wait_for_carrier()
        except BaseException:
            self.close()
            raise

    def _wait_for_carrier(self) -> None:
        """Until the kernel has noticed that both ends are up; before, a device swallows what it is given, silently."""
        limit = time.monotonic() + 10
        for end in ("tx", "rx"):
            while True:
                link = json.loads(self.run(end, "ip", "-j", "link", "show", "dev", self.device[end]))[0]
                if link["operstate"] == "UP" and link["qdisc"] != "noop":
                    break
                if time.monotonic() > limit:
                    raise RuntimeError(f"{self.device[end]} has no carrier after 10 s: {link}")
                time.sleep(0.005)

    @staticmethod
    def _create() -> int:
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.unshare(CLONE_NEWNET):
                code = ctypes.get_errno()
                raise OSError(code, f"unshare(CLONE_NEWNET): {os.strerror(code)}")
            try:
                # neighbour and router discovery of IPv6 would be frames nobody sent
                for scope in ("all", "default"):
                    path = Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6")
                    if path.exists():
                        path.write_text("1")
                return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            finally:
                _enter(before)
        finally:
            os.close(before)

    @contextlib.contextmanager
    def inside(self, end: str) -> Iterator[None]:
        """The calling thread is in the namespace of that end."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(self.namespace[end])
            try:
                yield
            finally:
                _enter(before)
        finally:
            os.close(before)

    def run(self, end: str, *command: str) -> str:
        """Run a program in the namespace of that end; its output."""
        with self.inside(end):
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        if done.returncode:
            raise RuntimeError(
                f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout

    def packet_socket(self, end: str) -> socket.socket:
        """A socket that sends whole frames out of that end."""
        with self.inside(end):
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
            raw.bind((self.device[end], 0))
        return raw

    def index(self, end: str) -> int:
        """The interface index of that end, in its namespace."""
        with self.inside(end):
            return socket.if_nametoindex(self.device[end])

    def statistics(self, end: str) -> dict[str, int]:
        """The columns of net/dev of that end's device."""
        kinds = {
            "rx": ("bytes", "packets", "errors", "dropped", "fifo", "frame", "compressed", "multicast"),
            "tx": ("bytes", "packets", "errors", "dropped", "fifo", "collisions", "carrier", "compressed"),
        }
        names = [f"{way}_{kind}" for way, columns in kinds.items() for kind in columns]
        with self.inside(end):
            for line in Path("/proc/thread-self/net/dev").read_text().splitlines():
                name, _, values = line.strip().partition(":")
                if name == self.device[end]:
                    return dict(zip(names, map(int, values.split()), strict=True))
        raise RuntimeError(f"{self.device[end]} is not in net/dev")

    def close(self) -> None:
        """Give both namespaces back; the kernel removes the pair."""
        while self.namespace:
            os.close(self.namespace.popitem()[1])

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def udp_frame(group: str, port: int, payload: bytes, source: str = "10.77.0.1", source_port: int = 40000) -> bytes:
    """An Ethernet frame with an IPv4 UDP datagram to a multicast group, without UDP checksum."""
    destination = socket.inet_aton(group)
    mac = b"\x01\x00\x5e" + bytes([destination[1] & 0x7F]) + destination[2:]
    total = 28 + len(payload)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, total, 0, 0x4000, 16, 17, 0, socket.inet_aton(source), destination)
    words = sum(struct.unpack("!10H", header))
    words = (words & 0xFFFF) + (words >> 16)
    words = (words & 0xFFFF) + (words >> 16)
    header = header[:10] + struct.pack("!H", ~words & 0xFFFF) + header[12:]
    udp = struct.pack("!HHHH", source_port, port, 8 + len(payload), 0)
    return mac + b"\x02\x00\x00\x00\x00\x01" + b"\x08\x00" + header + udp + payload
