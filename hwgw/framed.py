"""The messages of a BinaryFILE as the frames of a feed: MoldUDP64 in UDP, each packet due at the time of its messages.

SPDX-License-Identifier: MIT

A venue sends what happens at one instant together: messages of the same timestamp share a packet, as far as it fits an
MTU of 1,500. Numbers are those of the file, from 1, or go on where another file ended. All is made at once and held in
memory: the file, a frame's 62 bytes of headers and 48 of where it lies for each packet.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import specs
from .batch import FRAME, NO_FLOW
from .errors import CheckFailed
from .feeds.source import LENGTH_SZ, Batch, Flow, RecordFile
from .native import ffi
from .send import Source

__all__ = ["FLOW", "SESSION", "behind", "frames"]

FLOW = Flow("233.54.12.111", 26477)
SESSION = b"HWGWREPLAY"
SOURCE = "192.0.2.1"  # RFC 5737: of documentation, nobody's
SOURCE_MAC = bytes.fromhex("020000000001")
SOURCE_PORT = 40000
TTL = 16
HEADERS = np.dtype(
    [
        ("link", specs.dtype("ethernet", "ethernet_header")),
        ("ip", specs.dtype("ethernet", "ipv4_header")),
        ("udp", specs.dtype("ethernet", "udp_header")),
        ("mold", specs.dtype("moldudp64", "downstream_packet_header")),
    ]
)


def _head(flow: Flow) -> NDArray[np.void]:
    """The headers of an empty packet, but for the checksum."""
    table, group = specs.load("ethernet"), int(ipaddress.IPv4Address(flow.group))
    mac = table.constant("multicast_mac_prefix") | group & table.constant("multicast_mac_mask")
    bits = {bit.name: 1 << bit.shift for bit in table.layout("ipv4_header").field("flags_fragment").bits}
    row = np.zeros(1, HEADERS)
    row["link"]["destination"] = np.frombuffer(int(mac).to_bytes(6, "big"), np.uint8)
    row["link"]["source"] = np.frombuffer(SOURCE_MAC, np.uint8)
    row["link"]["ethertype"] = table.enum("ethertype").code("ipv4")
    row["ip"]["version_ihl"] = table.constant("ipv4_version_ihl")
    row["ip"]["flags_fragment"] = bits["df"]
    row["ip"]["ttl"] = TTL
    row["ip"]["protocol"] = table.enum("ip_protocol").code("udp")
    row["ip"]["source"] = int(ipaddress.IPv4Address(SOURCE))
    row["ip"]["destination"] = group
    row["udp"]["source_port"], row["udp"]["destination_port"] = SOURCE_PORT, flow.port
    row["mold"]["session"] = SESSION
    return row


def _checksums(row: NDArray[np.void], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of IPv4 headers that are alike but for their total length."""
    total = int(np.frombuffer(row["ip"].tobytes(), ">u2").sum(dtype=np.int64)) + lengths
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    found: NDArray[np.int64] = ~total & 0xFFFF
    return found


def _times(batch: Batch) -> NDArray[np.int64]:
    """What each message says, in ns since midnight."""
    field = specs.load("itch50").message("S").field("timestamp")  # where it stands in every message
    if (short := batch.messages["len"] < field.offset + field.length).any():
        where = int(np.argmax(short))
        raise CheckFailed(f"{batch.where(where)}: a message of {batch.messages['len'][where]} bytes has no time")
    at = batch.messages["offset"].astype(np.int64)[:, None] + field.offset + np.arange(field.length)
    return np.asarray(batch.data[at].astype(np.int64) @ (256 ** np.arange(field.length - 1, -1, -1)))


def _firsts(times: NDArray[np.int64], begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first message of each packet: of another time than the one before, or where the packet would be too long."""
    table = specs.load("moldudp64")
    most = specs.load("ethernet").constant("udp_payload_max") - table.layout("downstream_packet_header").length
    longest = int((end - begin).max())
    if longest > most // 2:
        raise CheckFailed(f"a message of {longest - LENGTH_SZ} bytes; allowed are {most // 2 - LENGTH_SZ} in a packet")
    room = most - longest  # a message that begins before this ends within the packet
    is_new = np.concatenate([[True], times[1:] != times[:-1]])
    at = begin - begin[np.maximum.accumulate(np.where(is_new, np.arange(len(times)), 0))]
    part = at // room
    return np.flatnonzero(is_new | np.concatenate([[False], part[1:] != part[:-1]]))


def _packets(batch: Batch, row: NDArray[np.void], number: int) -> tuple[NDArray[np.uint8], NDArray[np.void]]:
    """The frames of a batch and where they lie in these bytes; their data is an offset yet. number: the first's."""
    begin = batch.messages["offset"].astype(np.int64) - LENGTH_SZ
    end = begin + LENGTH_SZ + batch.messages["len"]
    times = _times(batch)
    first = _firsts(times, begin, end)
    last = np.append(first[1:], len(times)) - 1
    sizes = end[last] - begin[first]
    heads = np.repeat(row, len(first))
    ip_sz = HEADERS["ip"].itemsize + HEADERS["udp"].itemsize + HEADERS["mold"].itemsize + sizes
    heads["ip"]["total_length"] = ip_sz
    heads["ip"]["header_checksum"] = _checksums(row, ip_sz)
    heads["udp"]["length"] = ip_sz - HEADERS["ip"].itemsize
    heads["mold"]["sequence_number"] = batch.messages["seq"][first] + np.uint64(number - 1)
    heads["mold"]["message_count"] = last - first + 1
    whole = HEADERS.itemsize + sizes
    at = np.concatenate([[0], np.cumsum(whole)])
    out = np.empty(int(at[-1]), np.uint8)
    out[at[:-1, None] + np.arange(HEADERS.itemsize)] = heads.view(np.uint8).reshape(len(first), HEADERS.itemsize)
    # records stand end to end in the file, and blocks of messages do so in a packet, each behind its length
    moved = np.repeat(at[:-1] + HEADERS.itemsize - begin[first], sizes)
    out[np.arange(int(begin[0]), int(end[-1])) + moved] = batch.data[int(begin[0]) : int(end[-1])]
    rows = np.zeros(len(first), FRAME)
    rows["data"], rows["len"], rows["ts_ns"], rows["flow"] = at[:-1], whole, times[first], NO_FLOW
    return out, rows


def frames(path: Path, flow: Flow = FLOW, number: int = 1) -> Source:
    """What a feed of this file would be, to a group and port. CheckFailed when it is no BinaryFILE, or cut off.

    number: of its first message.
    """
    row, parts, keep = _head(flow), [], []
    try:
        for batch in RecordFile(path).batches():
            out, rows = _packets(batch, row, number)
            rows["data"] += np.uint64(out.__array_interface__["data"][0])
            parts.append(rows)
            keep.append(out)
    except OSError as error:
        raise CheckFailed(f"{path}: {error.strerror}") from None
    if not parts:
        raise CheckFailed(f"{path}: there is no message in it")
    found = np.concatenate(parts)
    times = np.maximum.accumulate(found["ts_ns"])
    due = np.ascontiguousarray(times - times[0])
    return Source(found, keep, due, int(due[-1]))


def behind(source: Source) -> int:
    """The number behind the last message of frames that were made here."""
    at = ffi.cast("uint8_t *", int(source.frames["data"][-1]))
    head = np.frombuffer(ffi.buffer(at, HEADERS.itemsize), HEADERS)["mold"][0]
    return int(head["sequence_number"]) + int(head["message_count"])
