"""What happens to an interface of a wire: made again under its name, robbed of its program; and how it looks.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import time
from collections.abc import Callable

from hwgw_sim.wire import Wire

_libc = ctypes.CDLL(None, use_errno=True)
BPF_LINK_GET_FD_BY_ID, BPF_LINK_GET_NEXT_ID, BPF_OBJ_GET_INFO_BY_FD, BPF_LINK_DETACH = 30, 31, 15, 34


def bpf(command: int, attr: bytes) -> tuple[int, bytes]:
    memory = ctypes.create_string_buffer(attr.ljust(128, b"\0"), 128)
    return _libc.syscall(321, command, memory, 128), memory.raw


def detach(program_id: int) -> None:
    """What an operator does with bpftool link detach."""
    start = 0
    while True:
        result, raw = bpf(BPF_LINK_GET_NEXT_ID, struct.pack("=I", start))
        assert result == 0, "no bpf_link holds the program"
        start = struct.unpack_from("=I", raw, 4)[0]
        fd, _ = bpf(BPF_LINK_GET_FD_BY_ID, struct.pack("=I", start))
        try:
            info = ctypes.create_string_buffer(128)
            assert bpf(BPF_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", fd, 128, ctypes.addressof(info)))[0] == 0
            if struct.unpack_from("=III", info.raw)[2] == program_id:
                assert bpf(BPF_LINK_DETACH, struct.pack("=I", fd))[0] == 0
                return
        finally:
            os.close(fd)


def link(wire: Wire, end: str = "rx") -> dict:
    return json.loads(wire.run(end, "ip", "-j", "link", "show", "dev", wire.device[end]))[0]


def operstate(wire: Wire) -> str:
    return link(wire)["operstate"]


def make_again(wire: Wire, before_up: Callable[[], object] = bool) -> None:
    """A new pair under the names of the old one, with its addresses. before_up is called when it is there, not up."""
    tx, rx = wire.device["tx"], wire.device["rx"]
    wire.run("rx", "ip", "link", "add", rx, "type", "veth", "peer", "name", tx, "netns", wire.path("tx"))
    wire.run("rx", "ip", "addr", "add", f"{wire.address['rx']}/24", "dev", rx)
    wire.run("tx", "ip", "link", "set", tx, "up")
    before_up()
    wire.run("rx", "ip", "link", "set", rx, "up")


def shape(pair: Wire, rate: str = "8kbit burst 2000") -> None:
    """A shaper on the sending end; at first a byte a millisecond passes."""
    pair.run("tx", *f"tc qdisc replace dev {pair.device['tx']} root tbf limit 10000000 rate {rate}".split())


def shaped_bridge(pair: Wire, name: str = "bridge0") -> str:
    """A bridge to send unicast through to 02:77:00:00:00:99: behind it a shaper."""
    device = pair.device["tx"]
    for command in (
        f"ip link add {name} type bridge mcast_snooping 0",
        f"ip link set {device} master {name}",
        f"ip link set {name} up",
        f"bridge fdb add 02:77:00:00:00:99 dev {device} master static",
    ):
        pair.run("tx", *command.split())
    shape(pair)
    end = time.monotonic() + 5
    while "state forwarding" not in pair.run("tx", "bridge", "link"):
        assert time.monotonic() < end, "the bridge does not forward"
        time.sleep(0.01)
    return name
