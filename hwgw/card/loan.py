"""Lending a piece of a TCP connection's sequence space to the card, and taking up what the card sent.

SPDX-License-Identifier: MIT

The kernel's side of it is cffi_build/src/loan.c, for the order session of a pipeline and for what is here, which is for
tests and for whoever brings up a board. docs/decisions/0018 says why so and what was measured.

While a loan is out, nothing else may be written to the socket, and nobody else may lend it. Thread: the socket's.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from hwgw.errors import DeviceError, UsageError
from hwgw.native import call, ffi, lib

U32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a loan is made of. window is as it stands in a header, scaled; room is what the peer has left for us."""

    seq: int
    ack: int
    window: int
    room: int


def numbers(sock: socket.socket) -> Numbers:
    """Where the connection stands. Fails when it is not one that can be lent."""
    found = ffi.new("struct hwgw_loan_numbers *")
    call(lib.hwgw_loan_numbers, sock.fileno(), found)
    return Numbers(found.seq, found.ack, found.window, found.room)


def header(sock: socket.socket) -> tuple[bytes, int]:
    """What the frames of this connection begin with, and the index of the interface they leave by."""
    room, index = ffi.new(f"uint8_t[{lib.HWGW_LOAN_HEADER_SZ}]"), ffi.new("int32_t *")
    call(lib.hwgw_loan_header, sock.fileno(), room, index)
    return bytes(room), int(index[0])


class Loan:
    """A loan of one connection: what was lent, and what of it the host has taken up."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.numbers = numbers(sock)
        self.next = self.numbers.seq

    @property
    def end(self) -> int:
        """The first number that is not lent."""
        return self.numbers.seq + self.numbers.room & U32

    def told(self, seq: int, packet: bytes) -> None:
        """Take up what the card has sent: in its order, each once.

        The sooner, the better: until then the kernel drops whatever acknowledges these bytes.
        """
        if seq != self.next:
            raise DeviceError(f"card: sent bytes begin at {seq}, and not at {self.next}: the connection is lost to us")
        if not packet:
            raise UsageError("card: nothing was sent")
        call(lib.hwgw_loan_tell, self.sock.fileno(), packet, len(packet))
        self.next = self.next + len(packet) & U32
