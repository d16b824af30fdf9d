"""What the tests of the afxdp backend share: opening on a wire, frames that can be told apart, who holds the interface.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hwgw_sim import wire
from hwgw_sim.receiver import Frame, Receiver
from hwgw_sim.wire import Wire, udp_frame

from hwgw.native import ffi, lib, text

FLOWS = [("239.1.2.3", 26400), ("239.1.2.4", 26401)]
MODES = ["native", "generic"]
RING = 2048  # of the default 4,096 frames


def unavailable() -> str:
    """What is missing, one line; empty when nothing is."""
    reason = ffi.new("char[200]")
    if not lib.hwgw_rx_available(b"afxdp", reason, 200):
        return text(reason)
    return wire.missing()


MARKS = [
    pytest.mark.root,
    pytest.mark.afxdp,
    pytest.mark.skipif(bool(unavailable()), reason=f"no AF_XDP on a veth pair here: {unavailable()}"),
]


def open_rx(pair: Wire, mode: str = "native", flows: Any = FLOWS, **settings: Any) -> Receiver:
    """A receiver on the receiving end."""
    settings.setdefault("interface", pair.device["rx"])
    with pair.inside("rx"):
        return Receiver("afxdp", flows, mode=mode, **settings)


def until(condition: Callable[[], object]) -> None:
    """Wait for it, 5 s at most; the caller asserts what came of it."""
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)


def settle_all(receivers: list[Receiver], sent: int) -> list[list[Frame]]:
    """What each gets, until together they account for the frames sent since they were opened."""
    got: list[list[Frame]] = [[] for _ in receivers]

    def is_all_there() -> bool:
        for frames, rx in zip(got, receivers, strict=True):
            frames += rx.drain()
        return sum(rx.accounted() for rx in receivers) >= sent

    until(is_all_there)
    for frames, rx in zip(got, receivers, strict=True):
        frames += rx.drain(0.01)
    return got


def descriptors() -> int:
    """Open descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def program(pair: Wire) -> dict[str, Any] | None:
    """The XDP program on the receiving end as ip(8) shows it, or None."""
    link = json.loads(pair.run("rx", "ip", "-j", "link", "show", "dev", pair.device["rx"]))[0]
    return link.get("xdp", {}).get("prog")


def numbered(i: int, flow: int = 0, size: int = 60, source_port: int = 40000) -> bytes:
    """A frame of a flow whose payload begins with i."""
    group, port = FLOWS[flow]
    return udp_frame(group, port, i.to_bytes(4, "big") + bytes(size), source_port=source_port)


def number(frame: bytes) -> int:
    """The i of a numbered frame."""
    return int.from_bytes(frame[42:46], "big")


def tagged(frame: bytes, *tags: tuple[int, int]) -> bytes:
    """The same frame with VLAN tags."""
    return frame[:12] + b"".join(struct.pack("!HH", tpid, vid) for tpid, vid in tags) + frame[12:]


def with_options(frame: bytes) -> bytes:
    """The same datagram with four bytes of IPv4 options (router alert)."""
    header = bytearray(frame[14:34] + b"\x94\x04\x00\x00")
    header[0] = 0x46
    header[2:4] = struct.pack("!H", len(frame) - 14 + 4)
    header[10:12] = b"\0\0"
    words = sum(struct.unpack("!12H", header))
    words = (words & 0xFFFF) + (words >> 16)
    header[10:12] = struct.pack("!H", ~(words + (words >> 16)) & 0xFFFF)
    return frame[:14] + bytes(header) + frame[34:]
