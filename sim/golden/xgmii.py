"""Frames out of XGMII, lane by lane: what fpga/rtl/hwgw_xgmii.v takes for a frame, and what it counts it as.

SPDX-License-Identifier: MIT

IEEE 802.3 clause 46 (start, terminate, error, preamble), clause 3.2.9 (FCS), clause 4.2.3.3 (64 bytes at least).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

START, TERMINATE, ERROR, IDLE = 0xFB, 0xFD, 0xFE, 0x07
PREAMBLE = bytes((0x55,)) * 6 + b"\xd5"
FCS_SZ, LEN_MIN, GRID = 4, 64, 4

Lane = tuple[int, int]
"""Control bit and byte."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What lies between preamble and end, FCS included; cause: "" or the counter of what is bad."""

    data: bytes
    cause: str


def frames(lanes: Sequence[Lane]) -> list[Frame]:
    """The frames of a run of lanes that begins with lane 0; one that does not end is none."""
    found = []
    at = 0
    while at < len(lanes):
        if lanes[at] != (1, START):
            at += GRID
            continue
        is_odd = list(lanes[at + 1 : at + 1 + len(PREAMBLE)]) != [(0, byte) for byte in PREAMBLE]
        begin = at + 1 + len(PREAMBLE)
        end = next((i for i in range(begin, len(lanes)) if lanes[i][0] and lanes[i][1] != ERROR), None)
        if end is None:
            break
        has_error = any(control for control, _ in lanes[begin:end])
        data = bytes(byte for _, byte in lanes[begin:end])
        is_whole = zlib.crc32(data[:-FCS_SZ]).to_bytes(FCS_SZ, "little") == data[-FCS_SZ:]
        cause = "symbol" if is_odd or has_error or lanes[end][1] != TERMINATE else "runt" if len(data) < LEN_MIN else ""
        found.append(Frame(data, cause or ("" if is_whole else "fcs")))
        at = -(-end // GRID) * GRID
    return found
