"""More frames at once than the kernel's backlog of a processor takes, on a wire of our own.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hwgw_sim.wire import Wire

SENDS, SEGMENTS, SEGMENT_SZ = 60, 64, 50
FRAMES = SENDS * SEGMENTS + 1
UDP_SEGMENT = 103
SHAPE = "root tbf limit 10000000"


def limit() -> int:
    """net.core.netdev_max_backlog; skips the test where this cannot overflow it."""
    frames = int(Path("/proc/sys/net/core/netdev_max_backlog").read_text())
    if frames > FRAMES // 2:
        pytest.skip(f"net.core.netdev_max_backlog is {frames}; this test can overflow {FRAMES // 2}")
    return frames


def overflow(pair: Wire, group: str, port: int) -> int:
    """Send FRAMES datagrams: a shaper holds large segmented sends back, then opens. How many the interface dropped."""
    device = pair.device["tx"]
    before = pair.statistics("rx")["rx_dropped"]
    pair.run("tx", "ethtool", "-K", device, "tx-udp-segmentation", "off")
    pair.run("tx", "tc", "qdisc", "replace", "dev", device, *SHAPE.split(), "rate", "8kbit", "burst", "20000")
    with pair.inside("tx"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talker:
        talker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(pair.address["tx"]))
        talker.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SEGMENT_SZ)
        talker.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        for _ in range(SENDS):
            talker.sendto(bytes(SEGMENTS * SEGMENT_SZ), (group, port))
        pair.run("tx", "tc", "qdisc", "change", "dev", device, *SHAPE.split(), "rate", "100gbit", "burst", "100000000")
        talker.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
        talker.sendto(bytes(SEGMENT_SZ), (group, port))
    return pair.statistics("rx")["rx_dropped"] - before
