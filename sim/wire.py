"""A wire for tests of the receive path: a lab whose two ends are driven from this process, without programs in them.

SPDX-License-Identifier: MIT

The ends are called "tx" and "rx" by habit; they are alike. Offloads are left as the kernel makes them. Namespaces
belong to threads: `inside` moves the calling thread, and sockets opened there stay there.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

from hwgw.closing import Closing

from .lab import Lab

__all__ = ["Wire", "missing", "udp_frame"]

missing = Lab.missing


class Wire(Closing):
    """Two ends, each a namespace with one device (.device[end]) and one address (.address[end])."""

    def __init__(self, queues: int = 1, mtu: int = 1500) -> None:
        self._lab = Lab(queues=queues, mtu=mtu, offloads=True)
        self._ends = {"tx": self._lab.exchange, "rx": self._lab.gateway}
        self.device = {name: end.interface for name, end in self._ends.items()}
        self.address = {name: end.address for name, end in self._ends.items()}

    def path(self, end: str) -> str:
        """The namespace of that end as a file: what `ip ... netns` and `nsenter --net=` take."""
        return self._ends[end].path

    def inside(self, end: str) -> contextlib.AbstractContextManager[None]:
        """The calling thread is in the namespace of that end."""
        return self._ends[end].entered()

    def run(self, end: str, *command: str) -> str:
        """Run a program in the namespace of that end; its output."""
        done = self._ends[end].run(command, capture_output=True, text=True, check=False, timeout=20)
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {said}")
        return str(done.stdout)

    def ip(self, end: str, *commands: str) -> None:
        """Run ip(8) commands in the namespace of that end, in one process; the first that fails is an error."""
        self._ends[end].ip(*commands)

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

    def wait_for_carrier(self, end: str) -> None:
        """Until that end sends what it is given, after the other was down."""
        self._ends[end].wait_for_carrier()

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
        self._lab.close()


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
