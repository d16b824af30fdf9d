"""The events of a gateway for the rack: sequenced MoldUDP64 multicast of our own, with a re-request server.

SPDX-License-Identifier: MIT

Each message is a record `event` of hwgw/specs/event.yaml, 64 bytes, little-endian. The session names the gateway's
start, so that a new start is a new session. Its first messages are a directory record for each instrument, which a
receiver that joins late asks for like any other; then what the fan-out ring gives. What the relay itself missed is said
in a record `missed`, whose ref is how many. The last messages are kept and sent again to whoever asks (MoldUDP64
request packet, unicast); older ones are gone, and a request for them is answered by nothing.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from . import specs
from .errors import UsageError

if TYPE_CHECKING:
    from .live import Live

__all__ = ["History", "Relay", "Report", "session_of"]

_EVENT = specs.dtype("event", "event").newbyteorder("<")
_KIND = {code.slug: code.value for code in specs.load("event").enum("kind").values}
_MOLD = specs.load("moldudp64")
_HEADER = _MOLD.layout("downstream_packet_header")
_REQUEST = _MOLD.layout("request_packet")
_BLOCK = np.dtype([("len", ">u2"), ("event", _EVENT)])
_HEARTBEAT, _END = _MOLD.constant("heartbeat_count"), _MOLD.constant("end_of_session_count")
_FIRST = _MOLD.constant("first_sequence_number")
_SESSION_SZ = _HEADER.field("session").length
_FRAME_PAYLOAD_MAX = 1500 - 20 - 8  # of an Ethernet frame without IPv4 options
PACKET_MAX = (_FRAME_PAYLOAD_MAX - _HEADER.length) // _BLOCK.itemsize
HEARTBEAT_S = _MOLD.constant("heartbeat_interval_ms") / 1000
IDLE_S = 0.0002
BATCH = 64 * PACKET_MAX
REQUESTS_PER_ROUND, REQUEST_MAX = 64, 10_000
KEEP_MIN, KEEP = 4 * BATCH, 1 << 20


def session_of(start_ns: int) -> bytes:
    """The session's name: ten characters of the gateway's start time, in base 36, that rise with it."""
    digits, value = b"", start_ns // 1000
    while value:
        value, digit = divmod(value, 36)
        digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit : digit + 1] + digits
    return digits.rjust(_SESSION_SZ, b"0")[-_SESSION_SZ:]


class History:
    """The messages of a session by number: the first ones for good, of the others the last `keep`."""

    def __init__(self, session: bytes, first: NDArray[np.void], keep: int) -> None:
        self.session = session
        self._first = first
        self._kept = np.zeros(keep, _EVENT)
        self._cnt = 0  # behind the first ones

    @property
    def next(self) -> int:
        """The number of the message that comes next."""
        return _FIRST + len(self._first) + self._cnt

    def add(self, batch: NDArray[np.void]) -> int:
        """Take messages; the number of the first of them."""
        seq, keep = self.next, len(self._kept)
        at = (self._cnt + np.arange(len(batch))) % keep
        self._kept[at[-keep:]] = batch[-keep:]
        self._cnt += len(batch)
        return seq

    def _take(self, seq: int, cnt: int) -> NDArray[np.void]:
        """Messages from seq on, as far as they stand beside one another; none when they are gone or not there yet."""
        at = seq - _FIRST
        if at < len(self._first):
            return self._first[at : at + cnt]
        at -= len(self._first)
        if at >= self._cnt or at < self._cnt - len(self._kept):
            return self._first[:0]
        slot, cnt = at % len(self._kept), min(cnt, self._cnt - at)
        return self._kept[slot : slot + cnt]

    def packets(self, seq: int, cnt: int) -> Iterator[bytes]:
        """Packets with the messages from seq on, at most cnt; it ends where they are gone or not there yet."""
        while cnt > 0 and len(records := self._take(seq, min(cnt, PACKET_MAX))):
            blocks = np.empty(len(records), _BLOCK)
            blocks["len"], blocks["event"] = _EVENT.itemsize, records
            yield self.head(seq, len(records)) + blocks.tobytes()
            seq += len(records)
            cnt -= len(records)

    def head(self, seq: int, cnt: int) -> bytes:
        """The header of a downstream packet."""
        return self.session + seq.to_bytes(8, "big") + cnt.to_bytes(2, "big")

    def heartbeat(self) -> bytes:
        """What says that nothing is new."""
        return self.head(self.next, _HEARTBEAT)

    def end(self) -> bytes:
        """What says that nothing more comes."""
        return self.head(self.next, _END)


@dataclass
class Report:
    """What a relay has done."""

    session: str
    messages: int = 0
    packets: int = 0
    missed: int = 0
    """Records that the fan-out ring had overwritten before the relay came to them."""
    send_errors: int = 0
    """Packets that the kernel did not take; receivers see a gap and ask."""
    requests: int = 0
    requests_bad: int = 0
    """Of another session or length."""
    resent: int = 0


def directory(live: Live) -> NDArray[np.void]:
    """A directory record for each instrument of a gateway."""
    first = np.zeros(len(live.symbols), _EVENT)
    first["kind"] = _KIND["directory"]
    first["instrument"] = np.arange(len(first))
    first["ref"] = [int.from_bytes(symbol.ljust(8).encode(), "big") for symbol in live.symbols]
    return first


class Relay:
    """Sends what a gateway shares to a group, and again to those who ask. Use it as a context.

    group, port: where to, a multicast group or one host. interface: the address of the interface it leaves by, or ""
    for what the routes say. requests: where requests are taken, address and port (0: any), or None. keep: messages that
    can be asked for, at least KEEP_MIN. UsageError: an address that is none of this host's.
    """

    def __init__(
        self,
        live: Live,
        group: str,
        port: int,
        *,
        interface: str = "",
        requests: tuple[str, int] | None = None,
        keep: int = KEEP,
        ttl: int = 1,
    ) -> None:
        if keep < KEEP_MIN:
            raise UsageError(f"keep {keep}: at least {KEEP_MIN} messages")
        self._live = live
        self._events = live.events(oldest=True)
        self.history = History(session_of(int(live.head["start_ns"])), directory(live), keep)
        self.report = Report(self.history.session.decode())
        self._to = (group, port)
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._requests: socket.socket | None = None
        self._sent = _FIRST
        self._quiet_since = 0.0
        try:
            self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            if interface:
                self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
            if requests:
                self._requests = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self._requests.setblocking(False)
                self._requests.bind(requests)
        except OSError as error:
            self.close()
            place = f"{requests[0]}:{requests[1]}" if self._requests and requests else interface
            raise UsageError(f"{place}: {error.strerror or error}; an address of this host is needed") from error

    @property
    def request_port(self) -> int:
        """Where requests are taken; 0: nowhere."""
        return int(self._requests.getsockname()[1]) if self._requests else 0

    def step(self) -> bool:
        """Send what is new, answer requests, or say that nothing is new; whether there was anything to do."""
        missed = self._events.missed
        batch = self._events.read(BATCH)
        if self._events.missed > missed:
            lost = np.zeros(1, _EVENT)
            lost["kind"], lost["ref"] = _KIND["missed"], self._events.missed - missed
            self.history.add(lost)
        self.history.add(batch)
        self.report.missed = self._events.missed
        was = self._sent
        for packet in self.history.packets(was, self.history.next - was):
            self._send(packet)
        self._sent = self.history.next
        self.report.messages = self._sent - _FIRST
        now = time.monotonic()
        if self._sent > was:
            self._quiet_since = now
        elif now - self._quiet_since >= HEARTBEAT_S:
            self._quiet_since = now
            self._send(self.history.heartbeat())
        return self._answer() or self._sent > was

    def _send(self, packet: bytes, to: tuple[str, int] | None = None) -> None:
        try:
            self._sock.sendto(packet, to or self._to)
        except OSError:
            self.report.send_errors += 1
        else:
            self.report.packets += 1

    def _answer(self) -> bool:
        if not self._requests:
            return False
        for turn in range(REQUESTS_PER_ROUND):
            try:
                request, sender = self._requests.recvfrom(2048)
            except BlockingIOError:
                return turn > 0
            except OSError:  # a receiver that is gone: its port was unreachable
                continue
            seq, cnt = (
                int.from_bytes(request[(at := _REQUEST.field(name)).offset :][: at.length], "big")
                for name in ("sequence_number", "requested_message_count")
            )
            is_ours = request[:_SESSION_SZ] == self.history.session
            if len(request) != _REQUEST.length or not is_ours or seq < _FIRST:
                self.report.requests_bad += 1
                continue
            self.report.requests += 1
            for packet in self.history.packets(seq, min(cnt, REQUEST_MAX)):
                self._send(packet, sender)
                self.report.resent += int.from_bytes(packet[_HEADER.length - 2 : _HEADER.length], "big")
        return True

    def run(self, is_over: Callable[[], bool]) -> Report:
        """Until is_over, or until the gateway has ended and its last event was sent; then the session is ended."""
        while not is_over():
            ended = not self._live.running
            if not self.step():
                if ended:
                    break
                time.sleep(IDLE_S)
        for _ in range(3):
            self._send(self.history.end())
        return self.report

    def close(self) -> None:
        """Close the sockets."""
        self._sock.close()
        if self._requests:
            self._requests.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
