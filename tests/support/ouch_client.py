"""A client of the simulated exchange: SoupBinTCP and OUCH 5.0 with a blocking socket and struct only.

SPDX-License-Identifier: MIT

Written from the published layouts and not from hwgw's tables or C. It keeps its own account (position, cash, open
orders) from what the venue tells it, so that a test can hold the exchange's books against it.
"""

from __future__ import annotations

import socket
import struct
from collections import defaultdict
from typing import Any

PATIENCE_S = 10.0
NAMES = {
    "S": (">cQc", ("type", "timestamp", "event")),
    "A": (
        ">cQIcI8sQccQcccc14sH",
        (
            "type", "timestamp", "ref", "side", "qty", "symbol", "px", "tif", "display", "order", "capacity", "sweep",
            "cross", "state", "clordid", "options",
        ),
    ),
    "U": (
        ">cQIIcI8sQccQcccc14sH",
        (
            "type", "timestamp", "orig", "ref", "side", "qty", "symbol", "px", "tif", "display", "order", "capacity",
            "sweep", "cross", "state", "clordid", "options",
        ),
    ),
    "C": (">cQIIc", ("type", "timestamp", "ref", "qty", "reason")),
    "E": (">cQIIQcQH", ("type", "timestamp", "ref", "qty", "px", "liquidity", "match", "options")),
    "J": (">cQIH14s", ("type", "timestamp", "ref", "reason", "clordid")),
    "Q": (">cQI", ("type", "timestamp", "next_ref")),
    "G": (">cQI4sH", ("type", "timestamp", "ref", "firm", "options")),
    "K": (">cQI4sH", ("type", "timestamp", "ref", "firm", "options")),
}  # fmt: skip


def decode(message: bytes) -> dict[str, Any]:
    """One OUCH message from the venue; its option tags come as `tags`."""
    layout, names = NAMES[chr(message[0])]
    size = struct.calcsize(layout)
    values = (
        value.decode("ascii").rstrip() if isinstance(value, bytes) else value
        for value in struct.unpack(layout, message[:size])
    )
    fields = dict(zip(names, values, strict=True))
    assert len(message) - size == fields.get("options", 0)
    return fields | {"tags": message[size:]}


def enter(
    ref: int, side: str, qty: int, symbol: str, px: int, *, tif: str = "0", display: str = "Y", capacity: str = "P",
    sweep: str = "N", cross: str = "N", tags: bytes = b"",
) -> bytes:  # fmt: skip
    flags = (tif + display + capacity + sweep + cross).encode()
    fixed = struct.pack(">cIcI8sQ", b"O", ref, side.encode(), qty, symbol.encode().ljust(8), px)
    return fixed + flags + f"order {ref}".encode().ljust(14) + struct.pack(">H", len(tags)) + tags


def replace(orig: int, ref: int, qty: int, px: int, *, tif: str = "0", display: str = "Y", tags: bytes = b"") -> bytes:
    flags = (tif + display + "N").encode()
    return (
        struct.pack(">cIIIQ", b"U", orig, ref, qty, px)
        + flags
        + f"order {ref}".encode().ljust(14)
        + struct.pack(">H", len(tags))
        + tags
    )


def entry(code: str, ref: int) -> bytes:
    """Disable (D) or enable (E) order entry of the firm FIRM."""
    return struct.pack(">cI4sH", code.encode(), ref, b"FIRM", 0)


def cancel(ref: int, total: int = 0) -> bytes:
    return struct.pack(">cII", b"X", ref, total)


class LoginRefusedError(Exception):
    """The login was rejected; the argument is the reason."""


class OuchClient:
    """One connection; `messages` are all sequenced messages it has read, decoded."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        user: str = "HWGW01",
        password: str = "SIMULATOR",
        session: str = "",
        seq: int = 1,
    ) -> None:
        self.socket = socket.create_connection(address, timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.messages: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.heartbeats = 0
        self.ended = False
        self.position: dict[str, int] = defaultdict(int)
        self.cash = 0
        self.has_account = seq == 1  # one that starts later cannot know what is open
        self.orders: dict[int, dict[str, Any]] = {}  # live ones: side, symbol, left
        login = user.ljust(6) + password.ljust(10) + session.rjust(10) + str(seq).rjust(20)
        self.socket.sendall(struct.pack(">Hc", 1 + len(login), b"L") + login.encode())
        kind, payload = self.packet()
        if kind == b"J":
            self.socket.close()
            raise LoginRefusedError(payload.decode())
        assert kind == b"A", kind
        self.session, self.next_seq = payload[:10].decode(), int(payload[10:])

    def __enter__(self) -> OuchClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *messages: bytes) -> None:
        """Unsequenced messages, in one write."""
        self.socket.sendall(b"".join(struct.pack(">Hc", 1 + len(message), b"U") + message for message in messages))

    def packet(self) -> tuple[bytes, bytes]:
        """The next packet of any kind; (b"", b"") at the end of the stream."""
        while True:
            if len(self.buffer) >= 3:
                size = struct.unpack_from(">H", self.buffer)[0] + 2
                if len(self.buffer) >= size:
                    packet, self.buffer = self.buffer[:size], self.buffer[size:]
                    return packet[2:3], packet[3:]
            data = self.socket.recv(65536)
            if not data:
                return b"", b""
            self.buffer += data

    def next(self) -> dict[str, Any]:
        """The next sequenced message."""
        while True:
            kind, payload = self.packet()
            if kind == b"H":
                self.heartbeats += 1
            elif kind == b"S":
                self.next_seq += 1
                self.raw.append(payload)
                self.messages.append(decode(payload))
                if self.has_account:
                    self._book(self.messages[-1])
                return self.messages[-1]
            else:
                self.ended = kind == b"Z"
                raise EOFError(kind)

    def until(self, kind: str) -> dict[str, Any]:
        """Read up to and including the next message of this type."""
        while True:
            message = self.next()
            if message["type"] == kind:
                return message

    def read_to(self, seq: int) -> None:
        """Read until message seq is the next one; a replay may hold answers to the queries of an earlier connection."""
        while self.next_seq < seq:
            self.next()

    def drain(self) -> None:
        """Read to the end of the session."""
        try:
            while True:
                self.next()
        except EOFError:
            return

    def sync(self) -> int:
        """Everything sent before has been answered: an account query is; gives the next usable reference number."""
        self.send(b"Q")
        return int(self.until("Q")["next_ref"])

    def _book(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "A":
            self.orders[message["ref"]] = {k: message[k] for k in ("side", "symbol")} | {"left": message["qty"]}
        elif kind == "U":
            self.orders[message["ref"]] = self.orders.pop(message["orig"]) | {"left": message["qty"]}
        elif kind in "CE":
            order = self.orders[message["ref"]]
            order["left"] -= message["qty"]
            assert order["left"] >= 0, message
            if kind == "E":
                sign = 1 if order["side"] == "B" else -1
                self.position[order["symbol"]] += sign * message["qty"]
                self.cash -= sign * message["qty"] * message["px"]
            if order["left"] == 0:
                del self.orders[message["ref"]]
