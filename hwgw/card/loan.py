"""Lending a piece of a TCP connection's sequence space to the card, and taking up what the card sent.

SPDX-License-Identifier: MIT

The connection stays the kernel's. Numbers are read, and bytes that the card has sent are put on the socket's queue of
sent data, through TCP_REPAIR (tcp(7), Linux 3.5 or newer; it needs CAP_NET_ADMIN): the kernel then waits for their
acknowledgement, and sends them again when they were lost. docs/decisions/0018 says why so and what was measured.

While a loan is out, nothing else may be written to the socket, and nobody else may lend it. Thread: the socket's.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hwgw.errors import ConfigError, DeviceError, PrivilegeError, UsageError

# linux/tcp.h, linux/sockios.h
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, TCP_REPAIR_WINDOW = 19, 20, 21, 29
REPAIR_ON, REPAIR_OFF_QUIET = 1, -1  # quiet: without a window probe
QUEUE_RECEIVE, QUEUE_SEND = 1, 2
SIOCOUTQ, SIOCOUTQNSD = 0x5411, 0x894B
ESTABLISHED = 1
OPTION_TIMESTAMPS = 1
BYTES_MAX = 14_600  # the card does not know of congestion: no more at once than a new connection may send (RFC 6928)
U32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a loan is made of. window is as it stands in a header, scaled; room is what the peer has left for us."""

    seq: int
    ack: int
    window: int
    room: int


def _queued(sock: socket.socket, request: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(sock, request, bytes(4)))[0])


@contextmanager
def _repair(sock: socket.socket) -> Iterator[None]:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, REPAIR_ON)
    except PermissionError:
        raise PrivilegeError("card: lending a connection to the card needs CAP_NET_ADMIN (TCP_REPAIR)") from None
    try:
        yield
    finally:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, REPAIR_OFF_QUIET)


def numbers(sock: socket.socket) -> Numbers:
    """Where the connection stands. Fails when it is not one that can be lent."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    if info[0] != ESTABLISHED:
        raise DeviceError(
            f"card: the order session's TCP state is {info[0]}; only an established connection can be lent"
        )
    if info[5] & OPTION_TIMESTAMPS:
        raise ConfigError(
            "card: the order session's connection has TCP timestamps, which the card does not send; "
            "set net.ipv4.tcp_timestamps=0 where it is made"
        )
    if unsent := _queued(sock, SIOCOUTQNSD):
        raise DeviceError(f"card: {unsent} bytes wait in the socket; lend when all has been sent")
    with _repair(sock):
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, QUEUE_SEND)
        seq = sock.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ) & U32
        window = struct.unpack("5I", sock.getsockopt(socket.IPPROTO_TCP, TCP_REPAIR_WINDOW, 20))
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, QUEUE_RECEIVE)
        ack = sock.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ) & U32
    _, theirs, _, ours, _ = window
    room = max(0, theirs - _queued(sock, SIOCOUTQ))
    return Numbers(seq, ack, min(0xFFFF, ours >> (info[6] >> 4)), min(room, BYTES_MAX))


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
        with _repair(self.sock):
            self.sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, QUEUE_SEND)
            try:
                taken = self.sock.send(packet, socket.MSG_DONTWAIT)
            except OSError as failure:
                raise DeviceError(
                    f"card: the socket does not take up what was sent: {errno.errorcode[failure.errno or 0]}"
                ) from failure
        if taken != len(packet):
            raise DeviceError(
                f"card: the socket took up {taken} of {len(packet)} bytes that were sent: its buffer is full"
            )
        self.next = self.next + taken & U32
