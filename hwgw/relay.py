"""The events of a gateway for others: sequenced MoldUDP64 packets of our own, by an outlet, and again for who asks.

SPDX-License-Identifier: MIT

Each message is a record `event` of hwgw/specs/event.yaml, 64 bytes, little-endian. The session names the relay's
start, so that a new start is a new session. Its first messages are a directory record for each instrument, which a
receiver that joins late asks for like any other; then what the fan-out ring gives. What the relay itself missed is said
in a record `missed`, whose ref is how many. The last messages are kept and sent again to whoever asks (MoldUDP64
request packet); older ones are gone, and a request for them is answered by nothing.

An outlet is a way out: Udp here, ZeroMQ in relay_zeromq.py, NATS in relay_nats.py. One that takes nothing for now is
asked again; what has left the messages that are kept meanwhile is dropped, and the numbers say so.
"""

from __future__ import annotations

import functools
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from . import specs
from .closing import Closing
from .errors import UsageError

if TYPE_CHECKING:
    from .live import Live

__all__ = ["Follower", "History", "Outlet", "Relay", "Report", "Udp", "session_of"]

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
    """The session's name: ten characters of the start time, in base 36, that rise with it."""
    digits, value = b"", start_ns // 1000
    while value:
        value, digit = divmod(value, 36)
        digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit : digit + 1] + digits
    return digits.rjust(_SESSION_SZ, b"0")[-_SESSION_SZ:]


def _cnt(packet: bytes) -> int:
    return int.from_bytes(packet[_HEADER.length - 2 : _HEADER.length], "big")


class History:
    """The messages of a session by number: the first ones for good, of the others the last `keep`."""

    def __init__(self, session: bytes, first: NDArray[np.void], keep: int) -> None:
        self.session = session
        self._first = first
        self._kept = np.zeros(keep, _EVENT)
        self._cnt = 0  # behind the first ones

    @property
    def first_cnt(self) -> int:
        """How many are kept for good."""
        return len(self._first)

    @property
    def next(self) -> int:
        """The number of the message that comes next."""
        return _FIRST + len(self._first) + self._cnt

    @property
    def oldest(self) -> int:
        """The number of the oldest message behind the first ones that is kept."""
        return self.next - min(self._cnt, len(self._kept))

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

    def packets(self, seq: int, cnt: int, packet_max: int = PACKET_MAX) -> Iterator[bytes]:
        """Packets with the messages from seq on, at most cnt; it ends where they are gone or not there yet."""
        while cnt > 0 and len(records := self._take(seq, min(cnt, packet_max))):
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


class Follower:
    """What a receiver has to know of packets: their records in order, what is missing, and when it is over."""

    def __init__(self) -> None:
        self.session = b""
        self.next = _FIRST
        self.missed = 0
        """Messages that were lost on the way, not counting what the records `missed` tell."""
        self.is_over = False

    def records(self, packet: bytes) -> NDArray[np.void]:
        """The records of a packet that were not had before; what is missing in front of them is counted."""
        session, seq = packet[:_SESSION_SZ], int.from_bytes(packet[_SESSION_SZ : _SESSION_SZ + 8], "big")
        cnt = _cnt(packet)
        if session != self.session:
            self.session, self.next, self.is_over = session, _FIRST, False
        if cnt == _END:
            self.is_over, cnt = True, 0
        self.missed += max(0, seq - self.next)
        have = max(0, self.next - seq)
        self.next = max(self.next, seq + cnt)
        records: NDArray[np.void] = np.frombuffer(packet, _BLOCK, cnt, _HEADER.length)["event"][have:]
        return records


@dataclass
class Report:
    """What a relay has done."""

    session: str
    messages: int = 0
    packets: int = 0
    missed: int = 0
    """Records that the fan-out ring had overwritten before the relay came to them."""
    dropped: int = 0
    """Messages that the outlet had not taken when they left those that are kept; receivers see a gap."""
    behind: int = 0
    """Messages that the outlet has still to take."""
    send_errors: int = 0
    """Packets that were not taken when they were sent; receivers see a gap and ask."""
    readers: int | None = None
    """How many are connected, where the outlet knows."""
    requests: int = 0
    requests_bad: int = 0
    """Of another session or length."""
    resent: int = 0


def directory(live: Live) -> NDArray[np.void]:
    """A directory record for each instrument of a gateway."""
    if live.venues:
        names = ", ".join(live.venues)
        raise UsageError(f"{live.name} has the venues {names}: a relay names instruments by the symbol alone")
    first = np.zeros(len(live.symbols), _EVENT)
    first["kind"] = _KIND["directory"]
    first["instrument"] = np.arange(len(first))
    first["ref"] = [int.from_bytes(symbol.ljust(8).encode(), "big") for symbol in live.symbols]
    return first


class Outlet(Protocol):
    """A way out."""

    packet_max: int
    """Messages in a packet at most."""
    beats: bool
    """Whether it wants to be told each second that nothing is new."""
    errors: int
    """Packets that were lost although they were sent."""

    @property
    def readers(self) -> int | None:
        """How many are connected; None where that cannot be known."""

    def send(self, packet: bytes) -> bool:
        """Take a packet, or not for now: then it comes again. Never waits."""

    def requests(self) -> Iterator[tuple[bytes, Callable[[bytes], None]]]:
        """What was asked since, each with what takes a packet of the answer; an empty one ends it."""

    def end(self, packet: bytes) -> None:
        """Send the last packet and what is left, waiting for it some seconds at most."""

    def close(self) -> None:
        """Close it."""


class Udp:
    """MoldUDP64 to a group or one host, and a port where requests are taken.

    group, port: where to. interface: the address of the interface it leaves by, or "" for what the routes say.
    requests: where requests are taken, address and port (0: any), or None. UsageError: an address that is none of this
    host's.
    """

    packet_max, beats = PACKET_MAX, True

    def __init__(
        self, group: str, port: int, *, interface: str = "", requests: tuple[str, int] | None = None, ttl: int = 1
    ) -> None:
        self.errors = 0
        self._to = (group, port)
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._requests: socket.socket | None = None
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

    @property
    def readers(self) -> int | None:
        """A group does not know."""
        return None

    def send(self, packet: bytes) -> bool:
        """Send; what the kernel does not take is lost and counted."""
        self._send(packet, self._to)
        return True

    def _send(self, packet: bytes, to: tuple[str, int]) -> None:
        if not packet:
            return
        try:
            self._sock.sendto(packet, to)
        except OSError:
            self.errors += 1

    def requests(self) -> Iterator[tuple[bytes, Callable[[bytes], None]]]:
        """Requests, at most so many at a time; an answer ends with its last packet."""
        if not self._requests:
            return
        for _ in range(REQUESTS_PER_ROUND):
            try:
                request, sender = self._requests.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:  # a receiver that is gone: its port was unreachable
                continue
            yield request, functools.partial(self._send, to=sender)

    def end(self, packet: bytes) -> None:
        """Three times, as one may be lost."""
        for _ in range(3):
            self.send(packet)

    def close(self) -> None:
        """Close the sockets."""
        self._sock.close()
        if self._requests:
            self._requests.close()


class Relay(Closing):
    """Gives an outlet what a gateway shares, and those who ask. Use it as a context, which closes the outlet.

    keep: messages that can be asked for, at least KEEP_MIN.
    """

    def __init__(self, live: Live, outlet: Outlet, *, keep: int = KEEP) -> None:
        self._live, self.outlet = live, outlet
        try:
            if keep < KEEP_MIN:
                raise UsageError(f"keep {keep}: at least {KEEP_MIN} messages")
            self._events = live.events(oldest=True)
        except BaseException:
            outlet.close()
            raise
        self.history = History(session_of(time.time_ns()), directory(live), keep)
        self.report = Report(self.history.session.decode())
        self._sent = _FIRST
        self._quiet_since = 0.0

    def step(self) -> bool:
        """Send what is new, answer requests, or say that nothing is new; whether there was anything to do."""
        missed = self._events.missed
        batch = self._events.read(BATCH)
        if self._events.missed > missed:
            lost = np.zeros(1, _EVENT)
            lost["kind"], lost["ref"] = _KIND["missed"], self._events.missed - missed
            self.history.add(lost)
        self.history.add(batch)
        was = self._sent
        self._pass_on()
        report = self.report
        report.missed, report.messages = self._events.missed, self._sent - _FIRST - report.dropped
        report.behind, report.send_errors = self.history.next - self._sent, self.outlet.errors
        report.readers = self.outlet.readers
        now = time.monotonic()
        if self._sent > was:
            self._quiet_since = now
        elif self.outlet.beats and now - self._quiet_since >= HEARTBEAT_S:
            self._quiet_since = now
            report.packets += self.outlet.send(self.history.heartbeat())
        return self._answer() or self._sent > was or len(batch) > 0

    def _pass_on(self) -> None:
        first = _FIRST + self.history.first_cnt
        if first <= self._sent < self.history.oldest:
            self.report.dropped += self.history.oldest - self._sent
            self._sent = self.history.oldest
        while self._sent < self.history.next:
            for packet in self.history.packets(self._sent, self.history.next - self._sent, self.outlet.packet_max):
                if not self.outlet.send(packet):
                    return
                self.report.packets += 1
                self._sent += _cnt(packet)

    def _answer(self) -> bool:
        turns = 0
        for request, answer in self.outlet.requests():
            turns += 1
            seq, cnt = (
                int.from_bytes(request[(at := _REQUEST.field(name)).offset :][: at.length], "big")
                for name in ("sequence_number", "requested_message_count")
            )
            is_ours = request[:_SESSION_SZ] == self.history.session
            if len(request) != _REQUEST.length or not is_ours or seq < _FIRST:
                self.report.requests_bad += 1
            else:
                self.report.requests += 1
                for packet in self.history.packets(seq, min(cnt, REQUEST_MAX), self.outlet.packet_max):
                    answer(packet)
                    self.report.packets += 1
                    self.report.resent += _cnt(packet)
            answer(b"")
        return turns > 0

    def run(self, is_over: Callable[[], bool], each: Callable[[Report], None] = lambda _: None) -> Report:
        """Until is_over, or until the gateway has ended and its last event was sent; then the session is ended.

        each is told the report in every round.
        """
        while not is_over():
            ended = not self._live.running
            if not self.step():
                if ended and not self.report.behind:
                    break
                time.sleep(IDLE_S)
            each(self.report)
        self.outlet.end(self.history.end())
        self.report.send_errors = self.outlet.errors
        return self.report

    def close(self) -> None:
        """Close the outlet."""
        self.outlet.close()
