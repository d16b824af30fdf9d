"""Golden Ethernet, VLAN, IPv4 and UDP: one frame to the payload of a configured flow, or the cause why not.

Written from the formats in hwgw/specs/ethernet.yaml with slices of bytes. Order of checks, the first that fails is the
cause: Ethernet header and up to two tags complete (drop_short), ethertype IPv4 (drop_ethertype), 20 bytes of IPv4
(drop_short), version 4 and header length of 20 or more (drop_ip_header), options complete (drop_short), total length
not below the header and within the frame (drop_ip_length), header checksum (drop_ip_checksum), not a fragment
(drop_fragment), UDP (drop_protocol), UDP length of 8 or more and within the datagram (drop_udp_length), a configured
group and port (drop_foreign). What lies behind the lengths is padding.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Sequence

Flow = tuple[int, int]  # group and port

TAGS = (0x8100, 0x88A8)
IPV4 = 0x0800
UDP = 17


def _be16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def checksum_sum(header: bytes) -> int:
    """The ones' complement sum of an even number of bytes; 0xFFFF says that a header's checksum is right."""
    total = sum(_be16(header, at) for at in range(0, len(header), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def payload(frame: bytes, flows: Sequence[Flow]) -> tuple[str, bytes, int]:
    """The cause of the drop, "" when there is none; the UDP payload; the index of its flow."""
    cause, ip = _ethernet(frame)
    if cause:
        return cause, b"", 0
    cause, header, datagram = _ipv4(ip)
    if cause:
        return cause, b"", 0
    if len(datagram) < 8 or not 8 <= _be16(datagram, 4) <= len(datagram):
        return "net.drop_udp_length", b"", 0
    flow = (int.from_bytes(header[16:20], "big"), _be16(datagram, 2))
    if flow not in flows:
        return "net.drop_foreign", b"", 0
    return "", datagram[8 : _be16(datagram, 4)], list(flows).index(flow)


def _ethernet(frame: bytes) -> tuple[str, bytes]:
    """What follows the Ethernet header and its tags."""
    if len(frame) < 14:
        return "net.drop_short", b""
    ethertype, rest = _be16(frame, 12), frame[14:]
    for _ in range(2):
        if ethertype in TAGS:
            if len(rest) < 4:
                return "net.drop_short", b""
            ethertype, rest = _be16(rest, 2), rest[4:]
    return ("", rest) if ethertype == IPV4 else ("net.drop_ethertype", b"")


def _ipv4(ip: bytes) -> tuple[str, bytes, bytes]:
    """The header and what the datagram holds."""
    if len(ip) < 20:
        return "net.drop_short", b"", b""
    size = 4 * (ip[0] & 15)
    total = _be16(ip, 2)
    header = ip[:size]
    if ip[0] >> 4 != 4 or size < 20:
        cause = "net.drop_ip_header"
    elif len(ip) < size:
        cause = "net.drop_short"
    elif not size <= total <= len(ip):
        cause = "net.drop_ip_length"
    elif checksum_sum(header) != 0xFFFF:
        cause = "net.drop_ip_checksum"
    elif _be16(ip, 6) & 0x3FFF:
        cause = "net.drop_fragment"
    elif ip[9] != UDP:
        cause = "net.drop_protocol"
    else:
        cause = ""
    return cause, header, ip[size:total]
