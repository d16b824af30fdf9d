"""Frames of every kind that can come in on a feed's wire, each with its number in it, for the ledger of losses.

SPDX-License-Identifier: MIT

A kind is a function of the UDP payload that gives the frame around it. What is wrong with a kind is wrong in exactly
one place; everything else in the frame is right. `payload` makes one that begins with a number (8 bytes, big endian).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from hwgw_sim.wire import udp_frame

GROUP, PORT = "239.1.2.3", 26400
FOREIGN_GROUP, FOREIGN_PORT = "239.9.9.9", 26401
SIZE = 200  # the kernel looks at the checksum of datagrams up to 76 bytes before it looks for a socket
NUMBER = struct.Struct("!Q")
IP = 14  # where the IPv4 header begins
UDP = 34
_COUNTING = bytes(range(256)) * 80

Kind = Callable[[bytes], bytes]


def payload(number: int, size: int = SIZE) -> bytes:
    """The number, and then bytes that depend on it."""
    begin = number & 0xFF
    return NUMBER.pack(number) + _COUNTING[begin : begin + size - NUMBER.size]


def checksummed(frame: bytearray) -> bytes:
    """The frame with a right IPv4 header checksum (RFC 791)."""
    end = IP + (frame[IP] & 15) * 4
    frame[IP + 10 : IP + 12] = b"\0\0"
    words = sum(struct.unpack(f"!{(end - IP) // 2}H", frame[IP:end]))
    words = (words & 0xFFFF) + (words >> 16)
    words = (words & 0xFFFF) + (words >> 16)
    frame[IP + 10 : IP + 12] = struct.pack("!H", ~words & 0xFFFF)
    return bytes(frame)


def data(content: bytes) -> bytes:
    """A good datagram of the flow."""
    return udp_frame(GROUP, PORT, content)


def _changed(content: bytes, at: int, value: bytes, seal: bool = True) -> bytes:
    frame = bytearray(data(content))
    frame[at : at + len(value)] = value
    return checksummed(frame) if seal else bytes(frame)


def udp_checksum(content: bytes) -> bytes:
    """A UDP checksum that is not 0 (which means none) and not right."""
    frame = data(content)
    pseudo = frame[IP + 12 : IP + 20] + struct.pack("!HH", 17, 8 + len(content))
    body = pseudo + frame[UDP:] + bytes(len(content) % 2)
    words = sum(struct.unpack(f"!{len(body) // 2}H", body))
    while words >> 16:
        words = (words & 0xFFFF) + (words >> 16)
    right = ~words & 0xFFFF or 0xFFFF
    wrong = right ^ 0x0101 or 0x0202
    return frame[: UDP + 6] + struct.pack("!H", wrong) + frame[UDP + 8 :]


def tagged(content: bytes) -> bytes:
    """A good datagram with one VLAN tag (802.1Q)."""
    frame = data(content)
    return frame[:12] + struct.pack("!HH", 0x8100, 7) + frame[12:]


def options(content: bytes) -> bytes:
    """A good datagram with four bytes of IPv4 options (no operation, end of list)."""
    frame = bytearray(data(content))
    frame[IP] = 0x46
    frame[IP + 2 : IP + 4] = struct.pack("!H", len(frame) - IP + 4)
    frame[UDP:UDP] = b"\x01\x01\x01\x00"
    return checksummed(frame)


def _fragment(content: bytes, word: int) -> bytes:
    frame = bytearray(data(content))
    frame[IP + 4 : IP + 6] = struct.pack("!H", zlib.crc32(content) & 0xFFFF)  # of a datagram of its own
    frame[IP + 6 : IP + 8] = struct.pack("!H", word)
    return checksummed(frame)


KINDS: dict[str, Kind] = {
    "data": data,
    "vlan tag": tagged,
    "IP options": options,
    "too short": lambda content: data(content)[: IP + 12],
    "ethertype": lambda content: _changed(content, 12, b"\x88\xb5", seal=False),
    "IP version": lambda content: _changed(content, IP, b"\x65"),
    "IP header length": lambda content: _changed(content, IP, b"\x44", seal=False),
    "IP length": lambda content: _changed(content, IP + 2, struct.pack("!H", 28 + len(content) + 1)),
    "IP checksum": lambda content: _changed(content, IP + 10, b"\xba\xad", seal=False),
    "protocol": lambda content: _changed(content, IP + 9, b"\xfd"),
    "UDP length": lambda content: _changed(content, UDP + 4, struct.pack("!H", 8 + len(content) + 1)),
    "UDP checksum": udp_checksum,
    "UDP checksum, short": lambda content: udp_checksum(content[:60]),
    "foreign port": lambda content: _changed(content, UDP + 2, struct.pack("!H", FOREIGN_PORT)),
    "foreign group": lambda content: udp_frame(FOREIGN_GROUP, PORT, content),
    "first fragment": lambda content: _fragment(content, 0x2000),
    "later fragment": lambda content: _fragment(content, 0x2010),
}
