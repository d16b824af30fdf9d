"""Golden TCP segment builder with a loan of sequence numbers: what becomes of a packet, and the bytes of its frame.

The loan is a piece of the host's sequence space. Order of checks of a packet: it can be said; halt (a cancel passes);
a loan is out; it has not ended; the packet fits into what is left. A loan ends when it is returned, or at its expiry.
What is refused changes nothing.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgw import specs

ETHERNET = specs.load("ethernet")
OUTCOME = specs.load("sent").enum("outcome")
PACKET_MAX = 56
LOAN_MAX = 1 << 30
U32 = 0xFFFFFFFF


def outcome(name: str) -> int:
    """A code of sent.yaml."""
    return int(OUTCOME.code(name))


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass(frozen=True)
class Template:
    """What the frames of a connection have in common; addresses as bytes."""

    mac_destination: bytes
    mac_source: bytes
    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    dscp_ecn: int = 0
    ttl: int = 64
    identification: int = 0

    def header(self, seq: int, ack: int, window: int, payload: bytes) -> bytes:
        """The 54 bytes before the payload."""
        segment = len(payload) + ETHERNET.layout("tcp_header").length
        version, fragment = ETHERNET.constant("ipv4_version_ihl"), ETHERNET.constant("ipv4_dont_fragment")
        ip = bytes([version, self.dscp_ecn]) + (segment + 20).to_bytes(2, "big")
        ip += self.identification.to_bytes(2, "big") + fragment.to_bytes(2, "big") + bytes([self.ttl, 6, 0, 0])
        ip += self.source + self.destination
        ip = ip[:10] + checksum(ip).to_bytes(2, "big") + ip[12:]
        tcp = self.source_port.to_bytes(2, "big") + self.destination_port.to_bytes(2, "big")
        tcp += seq.to_bytes(4, "big") + ack.to_bytes(4, "big")
        tcp += ETHERNET.constant("tcp_offset_flags").to_bytes(2, "big") + window.to_bytes(2, "big") + bytes(4)
        pseudo = self.source + self.destination + b"\0\6" + segment.to_bytes(2, "big")
        tcp = tcp[:16] + checksum(pseudo + tcp + payload).to_bytes(2, "big") + tcp[18:]
        return self.mac_destination + self.mac_source + b"\x08\0" + ip + tcp

    def frame(self, seq: int, ack: int, window: int, payload: bytes) -> bytes:
        """The whole frame, without FCS."""
        return self.header(seq, ack, window, payload) + payload


class Lender:
    """The card's side of the loan."""

    def __init__(self) -> None:
        self.is_out = False
        self.is_expired = False
        self.next = self.end = self.ack = self.window = self.expiry = 0

    def lend(self, seq: int, end: int, ack: int, window: int, expiry: int) -> bool:
        """True when it is taken."""
        if self.is_out or not 0 < (end - seq & U32) <= LOAN_MAX:
            return False
        self.next = seq
        self.is_out, self.is_expired = True, False
        self.end, self.ack, self.window, self.expiry = end, ack, window, expiry
        return True

    def renew(self, end: int, ack: int, window: int, expiry: int) -> bool:
        """True when it is taken."""
        if not self.is_out or (end - self.next & U32) > LOAN_MAX:
            return False
        self.end, self.ack, self.window, self.expiry = end, ack, window, expiry
        return True

    def give_back(self) -> None:
        """It ends."""
        self.is_out = False

    def expire(self, now: int) -> None:
        """It ends when its time has come."""
        if self.is_out and now >= self.expiry:
            self.is_out, self.is_expired = False, True

    def packet(self, size: int, is_good: bool, is_cancel: bool, halt: bool) -> tuple[int, int]:
        """What becomes of a packet, and its sequence number."""
        seq = self.next
        if not is_good or not 0 < size <= PACKET_MAX:
            return outcome("encode"), seq
        if halt and not is_cancel:
            return outcome("halted"), seq
        if not self.is_out:
            return outcome("expired" if self.is_expired else "no_loan"), seq
        if size > (self.end - seq & U32) or (self.end - seq & U32) > LOAN_MAX:
            return outcome("beyond"), seq
        self.next = seq + size & U32
        return outcome("sent"), seq
