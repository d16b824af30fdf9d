"""A venue for the tests of the order session: SoupBinTCP and OUCH 5.0 with sockets and struct only.

SPDX-License-Identifier: MIT

Written from the published layouts and not from hwgw's tables or C, so that a mistake there cannot hide here.
Nothing in it runs by itself: a test accepts, reads and writes when it wants, and sets the session's clock.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hwgw import specs
from hwgw.native import call, ffi, lib

MS = 1_000_000
SYMBOLS = (b"AAPL    ", b"CVLT    ", b"ADBE    ", b"ZVZZT   ")
USERNAME, PASSWORD = b"trader", b"secret    "
SESSION = b" 20261120A"
PATIENCE_S = 5.0  # real time a test waits for loopback TCP; reached only when something is broken


# ---- bytes ----


def soup(kind: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">Hc", 1 + len(payload), kind) + payload


def login_request(session: bytes, seq: int, username: bytes = USERNAME, password: bytes = PASSWORD) -> bytes:
    return soup(b"L", username + password + session + str(seq).rjust(20).encode())


def login_accepted(session: bytes = SESSION, seq: int = 1) -> bytes:
    return soup(b"A", session + str(seq).rjust(20).encode())


def enter(ref: int, side: bytes, qty: int, symbol: bytes, px: int, tif: bytes = b"0", firm: bytes = b"") -> bytes:
    tags = b"\x05\x02" + firm if firm else b""
    fixed = struct.pack(">cIcI8sQ", b"O", ref, side, qty, symbol, px) + tif + b"YPNN" + b" " * 14
    return fixed + struct.pack(">H", len(tags)) + tags


def replace(orig: int, ref: int, qty: int, px: int, tif: bytes = b"0") -> bytes:
    return struct.pack(">cIIIQ", b"U", orig, ref, qty, px) + tif + b"YN" + b" " * 14 + b"\0\0"


def cancel(ref: int, qty: int) -> bytes:
    return struct.pack(">cII", b"X", ref, qty)


def accepted(
    ref: int, side: bytes, qty: int, symbol: bytes, px: int, *, state: bytes = b"L", number: int = 900
) -> bytes:
    head = struct.pack(">cQIcI8sQ", b"A", 34_200_000_000_000, ref, side, qty, symbol, px)
    tail = b"0Y" + struct.pack(">Q", number) + b"PNN" + state + b" " * 14
    return head + tail + b"\0\0"


def replaced(
    orig: int, ref: int, side: bytes, qty: int, symbol: bytes, px: int, *, state: bytes = b"L", number: int = 901
) -> bytes:
    head = struct.pack(">cQIIcI8sQ", b"U", 34_200_000_000_000, orig, ref, side, qty, symbol, px)
    return head + b"0Y" + struct.pack(">Q", number) + b"PNN" + state + b" " * 14 + b"\0\0"


def executed(ref: int, qty: int, px: int, match: int) -> bytes:
    return struct.pack(">cQIIQcQH", b"E", 34_200_000_000_001, ref, qty, px, b"A", match, 0)


def canceled(ref: int, qty: int, reason: bytes = b"U") -> bytes:
    return struct.pack(">cQIIc", b"C", 34_200_000_000_002, ref, qty, reason)


def aiq_canceled(ref: int, qty: int) -> bytes:
    return struct.pack(">cQIIcIQcc", b"D", 34_200_000_000_002, ref, qty, b"Q", qty, 1_000_000, b"A", b"O")


def broken(ref: int, match: int) -> bytes:
    return struct.pack(">cQIQc14s", b"B", 34_200_000_000_003, ref, match, b"E", b" " * 14)


def rejected(ref: int, reason: int) -> bytes:
    return struct.pack(">cQIH14s", b"J", 34_200_000_000_004, ref, reason, b" " * 14)


def entry_changed(ref: int, code: bytes, firm: bytes) -> bytes:
    """The answer to a request to disable (G) or enable (K) order entry."""
    return struct.pack(">cQI4sH", code, 34_200_000_000_006, ref, firm, 0)


def query_response(next_ref: int) -> bytes:
    return struct.pack(">cQI", b"Q", 34_200_000_000_005, next_ref)


# ---- the session under test ----


@dataclass
class Client:
    """A session, its counters and its clock."""

    port: int
    options: dict[str, Any] = field(default_factory=dict)
    symbols: tuple[bytes, ...] = SYMBOLS

    def __post_init__(self) -> None:
        self.now_ns = 1_000_000_000
        self.counters = ffi.new("uint64_t[]", lib.HWGW_COUNTER_CNT)
        self.room = ffi.new("struct hwgw_order[]", 256)
        self.names = ffi.new("char[]", b"".join(self.symbols))
        self.cfg = ffi.new("struct hwgw_session_cfg *")
        cfg = {
            "address": 0x7F000001,
            "port": self.port,
            "username": USERNAME,
            "password": PASSWORD,
            "requested_session": b" " * 10,
            "firm": b"    ",
            "capacity": b"P",
            "display": b"Y",
            "requested_seq": 1,
            "login_timeout_ms": 5_000,
            "dead_link_ms": 15_000,
            "reconnect_ms": 100,
            "symbols": self.names,
            "instrument_cnt": len(self.symbols),
        } | self.options
        for name, value in cfg.items():
            setattr(self.cfg, name, value)
        handle = ffi.new("struct hwgw_session **")
        call(lib.hwgw_session_open, handle, self.cfg)
        self.handle = handle[0]

    def close(self) -> None:
        lib.hwgw_session_close(self.handle)
        self.handle = ffi.NULL

    def poll(self, room: int = 256) -> list[Any]:
        cnt = lib.hwgw_session_poll(self.handle, self.now_ns, self.counters, self.room, room)
        assert cnt <= room
        return [ffi.new("struct hwgw_order *", self.room[i])[0] for i in range(cnt)]

    def send(self, **fields: Any) -> int:
        """Encode one order and hand it to the kernel; the counter of the outcome."""
        outcome = lib.hwgw_session_order(self.handle, order(**fields))
        lib.hwgw_session_flush(self.handle, self.now_ns, self.counters)
        return int(outcome)

    def encode(self, wanted: Any) -> bytes:
        """The packet of an order, as the session would send it."""
        out = ffi.new("uint8_t[]", lib.HWGW_PACKET_SZ_MAX)
        return bytes(ffi.buffer(out, lib.hwgw_order_encode(self.handle, wanted, out)))

    def decode(self, message: bytes) -> tuple[int, Any]:
        """What a message of the venue says: the counter of its cause or 0, and the event."""
        event = ffi.new("struct hwgw_order *")
        data = ffi.new("uint8_t[]", list(message))  # no byte longer, so that a sanitizer notices a read past its end
        return lib.hwgw_session_decode(self.handle, data, len(message), event), event

    def count(self, name: str) -> int:
        return int(self.counters[getattr(lib, f"HWGW_CNT_SESSION_{name.upper()}")])

    @property
    def state(self) -> str:
        names = ("NONE", "CONNECTING", "LOGIN_SENT", "UP", "LOGGING_OUT", "CLOSED", "REJECTED", "LOST")
        values = {getattr(lib, f"HWGW_SEGMENT_SESSION_STATE_{name}"): name for name in names}
        return values[lib.hwgw_session_state(self.handle)]

    @property
    def reason(self) -> str:
        return ffi.string(lib.hwgw_session_reason(self.handle)).decode()

    def ledger(self) -> None:
        """Every sequenced message is counted once."""
        row = next(row for row in specs.ledgers() if row.name == "sequenced")
        names = [name.removeprefix("session.") for name in (*row.used, *row.drops)]
        assert {"accepted", "resent", "drop_order"} <= set(names)
        assert self.count("sequenced") == sum(self.count(name) for name in names)


def order(kind: str = "NEW", **fields: Any) -> Any:
    """A struct hwgw_order; a day limit buy of instrument 0 unless fields say otherwise."""
    result = ffi.new("struct hwgw_order *")
    result.kind = getattr(lib, f"HWGW_ORDER_KIND_{kind}")
    base = {"side": lib.HWGW_ORDER_SIDE_BUY, "type": lib.HWGW_ORDER_TYPE_LIMIT, "tif": lib.HWGW_ORDER_TIF_DAY}
    if kind == "CANCEL":
        base = {}
    for name, value in (base | fields).items():
        setattr(result, name, value)
    return result


# ---- the venue ----


class Venue:
    """A listening socket, at most one connection, and the packets read from it."""

    def __init__(self, receive_sz: int = 0, address: str = "127.0.0.1") -> None:
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_sz:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_sz)
        self.listener.bind((address, 0))
        self.listener.listen(4)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.connection: socket.socket | None = None
        self.received = bytearray()
        self.is_reading = True
        self.is_closed_by_peer = False

    def close(self) -> None:
        self.drop()
        self.listener.close()

    def drop(self) -> None:
        """Close the connection."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None
        self.received.clear()
        self.is_closed_by_peer = False

    def step(self) -> None:
        if self.connection is None:
            try:
                self.connection, _ = self.listener.accept()
            except BlockingIOError:
                return
            self.connection.setblocking(False)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.is_reading:
            return
        try:
            data = self.connection.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if data:
            self.received += data
        else:
            self.is_closed_by_peer = True

    def packets(self) -> list[bytes]:
        """Take the whole packets received so far."""
        taken = []
        while len(self.received) >= 2:
            sz = 2 + int.from_bytes(self.received[:2], "big")
            if len(self.received) < sz:
                break
            taken.append(bytes(self.received[:sz]))
            del self.received[:sz]
        return taken

    def send(self, data: bytes) -> None:
        assert self.connection is not None
        self.connection.setblocking(True)
        self.connection.sendall(data)
        self.connection.setblocking(False)

    def sequenced(self, *messages: bytes) -> None:
        self.send(b"".join(soup(b"S", message) for message in messages))


def pump(client: Client, venue: Venue, until: Callable[[], bool], events: list[Any] | None = None) -> list[Any]:
    """Turn client and venue until the condition holds; the events of the client."""
    events = [] if events is None else events
    end = time.monotonic() + PATIENCE_S
    while True:
        events += client.poll()
        venue.step()
        if until():
            return events
        assert time.monotonic() < end, f"gave up waiting: {client.state}, {client.reason}"
        waiting = [s for s in (venue.listener, venue.connection) if s is not None and venue.is_reading]
        select.select(waiting, [], [], 0.0005)


def take(client: Client, venue: Venue, cnt: int) -> list[Any]:
    """Turn both until the client gave cnt events in all; then nothing more may come."""
    events: list[Any] = []
    pump(client, venue, lambda: len(events) >= cnt, events)
    events += client.poll()
    assert len(events) == cnt
    return events


def read(client: Client, venue: Venue, cnt: int) -> list[bytes]:
    """Turn both until the venue has read cnt packets."""
    packets: list[bytes] = []

    def enough() -> bool:
        packets.extend(venue.packets())
        return len(packets) >= cnt

    pump(client, venue, enough)
    assert len(packets) == cnt
    return packets


def log_in(client: Client, venue: Venue, *, seq: int = 1, next_ref: int = 1, session: bytes = SESSION) -> list[Any]:
    """Take a client from its first or next connection to up; the events since the account query."""
    packets = read(client, venue, 1)
    assert packets[0][2:3] == b"L"
    venue.send(login_accepted(session, seq))
    assert read(client, venue, 1) == [soup(b"U", b"Q")]
    venue.sequenced(query_response(next_ref))
    return pump(client, venue, lambda: client.state == "UP")
