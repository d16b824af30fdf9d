"""The little of netlink that reading needs: one question, its answers, their attributes.

SPDX-License-Identifier: MIT

Only reads; every question takes one socket and is over when the kernel has answered. The sockets are of the calling
thread's network namespace.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

__all__ = ["Attributes", "ask", "attributes", "generic", "generic_family", "pack"]

ROUTE, GENERIC = 0, 16
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_CONTROL_FAMILY, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 0x10, 3, 1, 2
_TYPE_MASK = 0x3FFF
_PATIENCE_S = 5.0

Attributes = dict[int, bytes]


def attributes(data: bytes) -> Attributes:
    """The attributes of one level by type; the last of a type wins."""
    found: Attributes = {}
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def pack(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _messages(sock: socket.socket, *, dump: bool) -> Iterator[bytes]:
    while True:
        data = sock.recv(1 << 18)
        at = 0
        while at + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            body = data[at + 16 : at + length]
            if kind == _ERROR:
                code = -struct.unpack_from("=i", body)[0]
                if code:
                    raise OSError(code, os.strerror(code))
                return
            if kind == _DONE:
                return
            yield body
            at += (length + 3) & ~3
        if not dump and not data:
            return


def ask(protocol: int, kind: int, body: bytes, *, dump: bool = False) -> list[bytes]:
    """The bodies of the answers to one question; OSError is what the kernel said."""
    flags = _REQUEST | (_DUMP if dump else _ACK)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as sock:
        sock.settimeout(_PATIENCE_S)
        sock.bind((0, 0))
        sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        return list(_messages(sock, dump=dump))


def generic_family(name: str) -> int | None:
    """The number of a generic netlink family; None when the kernel has none of that name."""
    body = struct.pack("=BBH", _GET_FAMILY, 1, 0) + pack(_FAMILY_NAME, name.encode() + b"\0")
    try:
        answer = ask(GENERIC, _CONTROL_FAMILY, body)[0]
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return int(struct.unpack("=H", attributes(answer[4:])[_FAMILY_ID][:2])[0])


def generic(family: int, command: int, body: bytes, *, dump: bool = False) -> list[Attributes]:
    """The answers of a generic netlink family, as attributes."""
    return [
        attributes(answer[4:]) for answer in ask(GENERIC, family, struct.pack("=BBH", command, 1, 0) + body, dump=dump)
    ]
