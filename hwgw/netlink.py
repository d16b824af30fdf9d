"""Netlink: one question, its answers, their attributes, and what the kernel says when it refuses.

SPDX-License-Identifier: MIT

Every question takes one socket and is over when the kernel has answered. The sockets are of the calling thread's
network namespace. A refusal is an OSError (PermissionError ... by its number) whose text ends with the extended
acknowledgement where the kernel gave one. Who answers can be exchanged: a Transport other than KERNEL replays what was
recorded on another host (Recorded) or is a made device of a test.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

__all__ = [
    "GENERIC", "KERNEL", "ROUTE", "Attributes", "Kernel", "Recorded", "Recorder", "Transport",
    "ask", "attributes", "every", "generic", "generic_family",
    "generic_groups", "generic_operations", "pack",
]  # fmt: skip

ROUTE, GENERIC = 0, 16
_REQUEST, _ACK, _DUMP, _DUMP_INTERRUPTED = 0x1, 0x4, 0x300, 0x10
_ERROR, _DONE = 2, 3
_CAPPED, _ACK_TLVS = 0x100, 0x200  # flags of an error message
_SAID, _OFFSET, _MISSING = 1, 2, 5  # attributes of an error message
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_CONTROL_FAMILY, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 0x10, 3, 1, 2
_FAMILY_OPS, _OP_ID = 6, 1
_FAMILY_GROUPS, _GROUP_NAME, _GROUP_ID = 7, 1, 2
_TYPE_MASK = 0x3FFF
_SIOCETHTOOL = 0x8946
_PATIENCE_S = 5.0
_DUMPS_MAX = 4  # a table that changes while it is read is read again, so often

Attributes = dict[int, bytes]


def every(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes of one level in order, with those that stand several times."""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        yield kind & _TYPE_MASK, data[at + 4 : at + length]
        at += (length + 3) & ~3


def attributes(data: bytes) -> Attributes:
    """The attributes of one level by type; the last of a type wins."""
    return dict(every(data))


def pack(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


class Transport(Protocol):
    """Who answers: the kernel, a recording, a made device."""

    def netlink(self, protocol: int, kind: int, body: bytes, dump: bool) -> list[bytes]:
        """The bodies of the answers to one question; OSError is what was said instead."""

    def ethtool(self, name: str, request: bytes) -> bytes:
        """One ethtool ioctl of an interface: the structure as it comes back."""


def _refusal(body: bytes, flags: int) -> OSError | None:
    code = -struct.unpack_from("=i", body)[0]
    if not code:
        return None
    text = os.strerror(code)
    if flags & _ACK_TLVS and len(body) >= 20:
        length = struct.unpack_from("=I", body, 4)[0]  # of our own message, which comes back whole unless capped
        found = attributes(body[20:] if flags & _CAPPED else body[4 + ((length + 3) & ~3) :])
        if said := found.get(_SAID):
            text += ": " + said.split(b"\0")[0].decode("utf-8", "replace")
        if missing := found.get(_MISSING):
            text += f" (attribute {struct.unpack('=I', missing[:4])[0]} is missing)"
    return OSError(code, text)


class Kernel:
    """The kernel of this machine."""

    def netlink(self, protocol: int, kind: int, body: bytes, dump: bool) -> list[bytes]:
        """See Transport."""
        for _ in range(_DUMPS_MAX):
            answers = self._once(protocol, kind, body, dump)
            if answers is not None:
                return answers
        raise OSError(errno.EBUSY, "the table changed while it was read, several times")

    def _once(self, protocol: int, kind: int, body: bytes, dump: bool) -> list[bytes] | None:
        flags = _REQUEST | (_DUMP if dump else _ACK)
        answers: list[bytes] = []
        whole = True
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as sock:
            sock.settimeout(_PATIENCE_S)
            for option in (_CAP_ACK, _EXT_ACK):
                sock.setsockopt(_SOL_NETLINK, option, 1)
            sock.bind((0, 0))
            sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
            while True:
                data = sock.recv(1 << 18)
                at = 0
                while at + 16 <= len(data):
                    length, what, said = struct.unpack_from("=IHH", data, at)
                    part = data[at + 16 : at + length]
                    whole &= not said & _DUMP_INTERRUPTED
                    if what in (_ERROR, _DONE):
                        refusal = _refusal(part, said) if len(part) >= 4 else None
                        if refusal:
                            raise refusal
                        return answers if whole else None
                    answers.append(part)
                    at += (length + 3) & ~3

    def ethtool(self, name: str, request: bytes) -> bytes:
        """See Transport."""
        buffer = ctypes.create_string_buffer(request, len(request))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            fcntl.ioctl(sock, _SIOCETHTOOL, struct.pack("=16sQ16x", name.encode(), ctypes.addressof(buffer)))
        return buffer.raw


KERNEL = Kernel()


class Recorder:
    """Asks another transport and keeps what it said: a recording for Recorded."""

    def __init__(self, of: Transport = KERNEL) -> None:
        self._of = of
        self.rows: list[dict[str, Any]] = []

    def _keep(self, question: dict[str, Any], answer: Any) -> Any:
        """Keep the answer or the refusal of a question."""
        try:
            said = answer()
        except OSError as error:
            self.rows.append({**question, "errno": error.errno, "text": error.strerror})
            raise
        self.rows.append({**question, "answers": [part.hex() for part in said]})
        return said

    def netlink(self, protocol: int, kind: int, body: bytes, dump: bool) -> list[bytes]:
        """See Transport."""
        question = {"protocol": protocol, "kind": kind, "body": body.hex(), "dump": dump}
        said: list[bytes] = self._keep(question, lambda: self._of.netlink(protocol, kind, body, dump))
        return said

    def ethtool(self, name: str, request: bytes) -> bytes:
        """See Transport."""
        question = {"ethtool": name, "body": request.hex()}
        return bytes(self._keep(question, lambda: [self._of.ethtool(name, request)])[0])


class Recorded:
    """Answers what a Recorder kept. A question that was asked several times gets its answers in turn, then the last one
    for ever; one that was never asked is refused with EOPNOTSUPP."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
        for row in rows:
            self._rows.setdefault(self._key(row), []).append(row)

    @staticmethod
    def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row.get(part) for part in ("protocol", "kind", "body", "dump", "ethtool"))

    def _answer(self, question: dict[str, Any]) -> list[bytes]:
        rows = self._rows.get(self._key(question))
        if not rows:
            raise OSError(errno.EOPNOTSUPP, f"{os.strerror(errno.EOPNOTSUPP)}: not in the recording")
        row = rows.pop(0) if len(rows) > 1 else rows[0]
        if "errno" in row:
            raise OSError(row["errno"], row["text"])
        return [bytes.fromhex(part) for part in row["answers"]]

    def netlink(self, protocol: int, kind: int, body: bytes, dump: bool) -> list[bytes]:
        """See Transport."""
        return self._answer({"protocol": protocol, "kind": kind, "body": body.hex(), "dump": dump})

    def ethtool(self, name: str, request: bytes) -> bytes:
        """See Transport."""
        return self._answer({"ethtool": name, "body": request.hex()})[0]


def ask(protocol: int, kind: int, body: bytes, *, dump: bool = False, via: Transport = KERNEL) -> list[bytes]:
    """The bodies of the answers to one question; OSError is what the kernel said."""
    return via.netlink(protocol, kind, body, dump)


def _family(name: str, via: Transport) -> Attributes:
    body = struct.pack("=BBH", _GET_FAMILY, 1, 0) + pack(_FAMILY_NAME, name.encode() + b"\0")
    try:
        return attributes(ask(GENERIC, _CONTROL_FAMILY, body, via=via)[0][4:])
    except OSError as error:
        if error.errno == errno.ENOENT:
            return {}
        raise


def generic_family(name: str, via: Transport = KERNEL) -> int | None:
    """The number of a generic netlink family; None when the kernel has none of that name."""
    found = _family(name, via)
    return int(struct.unpack("=H", found[_FAMILY_ID][:2])[0]) if found else None


def generic_operations(name: str, via: Transport = KERNEL) -> set[int]:
    """The numbers of the operations that the kernel has of a generic netlink family."""
    rows = every(_family(name, via).get(_FAMILY_OPS, b""))
    return {struct.unpack("=I", attributes(row)[_OP_ID][:4])[0] for _, row in rows}


def generic_groups(name: str, via: Transport = KERNEL) -> dict[str, int]:
    """The multicast groups of a generic netlink family by name."""
    rows = (attributes(row) for _, row in every(_family(name, via).get(_FAMILY_GROUPS, b"")))
    return {row[_GROUP_NAME].rstrip(b"\0").decode(): struct.unpack("=I", row[_GROUP_ID][:4])[0] for row in rows}


def generic(family: int, command: int, body: bytes, *, dump: bool = False, via: Transport = KERNEL) -> list[Attributes]:
    """The answers of a generic netlink family, as attributes."""
    question = struct.pack("=BBH", command, 1, 0) + body
    return [attributes(answer[4:]) for answer in ask(GENERIC, family, question, dump=dump, via=via)]
