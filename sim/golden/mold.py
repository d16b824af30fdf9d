"""Golden MoldUDP64 channel: arbitration of lines by sequence number, and what is kept behind a hole.

Contract (order of checks; the first that applies names the packet):
1. drop_short      fewer bytes than the 20-byte header
2. drop_blocks     the message blocks do not end where the packet ends (a heartbeat or end has none)
3. drop_session    another session than the channel's. Without a hold that is final; with one, a new session begins
                   with the second packet in a row that names it, or at number 1 after the end of the old one, and
                   the packet counts anew
4. drop_gap        sequence number 0, a last message beyond 2^64 - 2, or more than jump_max ahead of the expected
                   number (jump_max 0 = no bound; the first packet has no expectation). With a hold also further
                   ahead of everything seen than the hold is long, unless the one such packet before was as far
5. drop_duplicate  data, and every message of it is known; no data, and its number is below the expected one
6. frames          used: data with something new, a heartbeat or an end of session

A dropped packet changes nothing but counters and its line's frame count, except that a duplicate speaks for its line.
A number above all that was seen is a gap, also when a heartbeat or an end shows it, with the messages missing.

Without a hold the first packet that passes checks 1 to 4 sets the expectation (a channel may be joined late) and the
channel goes on behind a hole, gapped until repair(). With a hold of hold_max messages the channel expects number 1
first; messages behind a hole are kept and come out when it closes. The hold keeps the numbers from its base on, which
moves up, discarding what is below, when a newer message needs the room. skip() gives the first hole up, freeze() stops
delivery and rebase(n) goes on at n: a snapshot has everything before it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgw_sim.golden import Counters

HEADER_LEN = 20
COUNT_HEARTBEAT = 0
COUNT_END = 0xFFFF
SEQ_MAX = (1 << 64) - 1
FAR_CNT = 1 << 20  # a snapshot is not so much older than what the lines bring
HELD_LEN_MAX = 54  # bytes of a message that can be kept

WAITING, GOOD, GAPPED, STALE, ENDED, HOLDING = range(6)  # feed_state of hwgw/specs/segment.yaml

Messages = list[tuple[int, bytes]]


@dataclass
class Line:
    """What one line of the channel has brought."""

    frames: int = 0  # its packets, whatever became of them
    first: int = 0  # messages this line brought first
    late: int = 0  # messages it brought after another line
    missed: int = 0  # numbers it jumped over
    next_seq: int = 0  # highest sequence number + messages seen
    t_last: int = 0  # ticks of its last packet that passed checks 1 to 4


def blocks(data: bytes, count: int) -> list[bytes] | None:
    """The count messages behind the header, or None when they do not end exactly at the end of data."""
    messages = []
    cursor = HEADER_LEN
    for _ in range(count):
        if cursor + 2 > len(data):
            return None
        end = cursor + 2 + int.from_bytes(data[cursor : cursor + 2], "big")
        if end > len(data):
            return None
        messages.append(data[cursor + 2 : end])
        cursor = end
    return messages if cursor == len(data) else None


class Mold:
    """One feed channel; hold_max 0 is without a hold, else a power of two."""

    def __init__(
        self, line_cnt: int = 1, jump_max: int = 0, counters: Counters | None = None, hold_max: int = 0
    ) -> None:
        self.jump_max = jump_max
        self.hold_max = hold_max
        self.lines = [Line() for _ in range(line_cnt)]
        self.counters = Counters() if counters is None else counters
        self._begin()

    def _begin(self) -> None:
        self.session = bytes(10)
        self.other: bytes | None = None
        self.next_seq = 0  # 0 until the first packet
        self.seen = 0  # highest number known to exist + 1
        self.far = 0
        self.base = 0  # lowest number that can be kept
        self.held: dict[int, bytes] = {}
        self.lost = self.ended = self.frozen = False
        self.frozen_seq = 0

    @property
    def state(self) -> int:
        """What the channel is worth, by feed_state of the segment."""
        if not self.next_seq:
            return WAITING
        if self.frozen or self.seen > self.next_seq:
            return HOLDING
        if self.ended:
            return ENDED
        return GAPPED if self.lost else GOOD

    def packet(self, line: int, data: bytes, t_rx: int = 0) -> tuple[str, Messages]:
        """Takes one packet of a line: its counter, and the messages delivered as (sequence number, bytes)."""
        self.lines[line].frames += 1
        cause, fresh = self._packet(self.lines[line], data, t_rx)
        if cause == "rolled":
            cause, fresh = self._packet(self.lines[line], data, t_rx)
        self.counters.add(cause)
        return cause, fresh

    def repair(self) -> None:
        """What was lost does not matter any more: the state may be good again."""
        self.lost = False

    def skip(self) -> Messages:
        """Gives the first hole up; what was kept behind it."""
        if self.frozen or self.seen <= self.next_seq or not self.hold_max:
            return []
        to = min(self.held, default=self.seen)
        self.counters.add("hold.lost", to - self.next_seq)
        self.counters.add("hold.missing_now", self.next_seq - to)
        self.next_seq = to
        self.base = max(self.base, to)
        self.lost = True
        return self._drain()

    def freeze(self) -> None:
        """Nothing is delivered before rebase()."""
        self.frozen = True
        self.frozen_seq = self.seen

    def rebase(self, seq: int) -> Messages:
        """Everything before seq is covered by a snapshot; what was kept from there on."""
        before = self._missing_cnt()
        for number in [number for number in self.held if number < seq]:
            self._release(number, "hold.superseded")
        far = max(self.hold_max, FAR_CNT)
        known = max(self.next_seq, seq)
        if self.frozen and self.frozen_seq > seq + far:  # the venue is not there yet: strays
            for number in [number for number in self.held if number >= seq + far]:
                self._release(number, "hold.superseded")
            self.seen = max(known, max(self.held, default=0) + 1)
        if not self.held or self.seen < known:
            self.seen = known
        start = self.next_seq or 1
        self.counters.add("hold.jumped", max(0, seq - start))
        self.counters.add("hold.again", max(0, start - seq))
        self.next_seq = self.base = seq
        after = self._missing_cnt()
        self.counters.add("hold.missing_now", after - before)
        self.counters.add("mold.missing", max(0, after - before))
        self.counters.add("hold.covered", max(0, before - after))
        self.frozen = self.lost = False
        return self._drain()

    # ---- the hold ----

    def _missing_cnt(self) -> int:
        return self.seen - self.next_seq - len(self.held)

    def _missing(self, cnt: int) -> None:
        self.counters.add("mold.missing", cnt)
        self.counters.add("hold.missing_now", cnt)

    def _filled(self) -> None:
        self.counters.add("hold.filled")
        self.counters.add("hold.missing_now", -1)

    def _release(self, number: int, cause: str) -> bytes:
        self.counters.add("hold.now", -1)
        self.counters.add(cause)
        return self.held.pop(number)

    def _drain(self) -> Messages:
        delivered = []
        while not self.frozen and self.next_seq in self.held:
            delivered.append((self.next_seq, self._release(self.next_seq, "hold.released")))
            self.counters.add("mold.messages")
            self.next_seq += 1
            self.base = max(self.base, self.next_seq)
        return delivered

    def _discard(self, numbers: list[int]) -> None:
        for number in numbers:
            self._release(number, "hold.discarded")
            self._missing(1)

    def _hold(self, number: int, message: bytes, seen: int) -> bool:
        if len(message) > HELD_LEN_MAX or number < self.base:
            self.counters.add("hold.refused")
            if number >= seen:
                self._missing(1)
            return False
        if number - self.base >= self.hold_max:
            self.base = number - self.hold_max + 1
            self._discard([kept for kept in self.held if kept < self.base])
        self._discard([kept for kept in self.held if (kept - number) % self.hold_max == 0])
        self.held[number] = message
        self.counters.add("hold.messages")
        self.counters.add("hold.now")
        if number < seen:
            self._filled()
        return True

    # ---- packets ----

    def _is_far(self, seq: int, expected: int) -> bool:
        if not self.next_seq:
            return False
        if self.jump_max and seq - expected > self.jump_max:
            return True
        if not self.hold_max or seq - max(self.seen, expected) <= self.hold_max:
            return False
        alone = not self.far or abs(seq - self.far) > self.hold_max
        self.far = seq
        return alone

    def _other_session(self, session: bytes, seq: int) -> bool:
        again, self.other = session == self.other, session
        return bool(self.hold_max and seq and (again or (self.ended and seq == 1)))

    def _roll(self) -> None:
        self.counters.add("hold.lost", self._missing_cnt())
        self.counters.add("hold.missing_now", -self._missing_cnt())
        for number in list(self.held):
            self._release(number, "hold.superseded")
        for line in self.lines:
            line.next_seq = 0
        self.counters.add("mold.sessions")
        self._begin()

    def _packet(self, line: Line, data: bytes, t_rx: int) -> tuple[str, Messages]:
        if len(data) < HEADER_LEN:
            return "mold.drop_short", []
        session = data[:10]
        seq = int.from_bytes(data[10:18], "big")
        count = int.from_bytes(data[18:20], "big")
        is_data = count not in (COUNT_HEARTBEAT, COUNT_END)
        messages = blocks(data, count if is_data else 0)
        if messages is None:
            return "mold.drop_blocks", []
        joined = self.next_seq != 0
        if joined and session != self.session:
            if self._other_session(session, seq):
                self._roll()
                return "rolled", []
            return "mold.drop_session", []
        expected = self.next_seq if joined else 1 if self.hold_max else seq
        end = seq + len(messages)
        if seq == 0 or end > SEQ_MAX or (seq > expected and self._is_far(seq, expected)):
            return "mold.drop_gap", []

        self.other = None
        if not joined:
            self.session = session
            self.next_seq = self.seen = self.base = expected
        known = min(max(expected - seq, 0), len(messages))
        line.late += sum(number >= line.next_seq for number in range(seq, seq + known))
        line.missed += seq - line.next_seq if line.next_seq and seq > line.next_seq else 0
        line.t_last = t_rx
        self.counters.add("mold.duplicates", known)
        brought = line.next_seq
        line.next_seq = max(line.next_seq, end)
        if (is_data and known == len(messages)) or (not is_data and seq < expected):
            return "mold.drop_duplicate", []

        fresh = list(enumerate(messages, seq))[known:]
        seen = self.seen
        if seq > seen:
            self.counters.add("mold.gaps")
            if self.hold_max:
                self._missing(seq - seen)
            else:
                self.counters.add("mold.missing", seq - seen)
                self.counters.add("hold.lost", seq - seen)
                self.lost = True
                self.next_seq = seq
        self.seen = max(seen, end, seq)
        if count == COUNT_END:
            self.ended = True
        if not is_data:
            self.counters.add("mold.ends" if count == COUNT_END else "mold.heartbeats")
            return "mold.frames", []

        if not self.frozen and fresh[0][0] == self.next_seq:
            for number, _ in fresh:
                if number in self.held:
                    self._release(number, "hold.superseded")
                    line.late += number >= brought
                else:
                    line.first += 1
                    if number < seen:
                        self._filled()
            self.next_seq = end
            self.base = max(self.base, end)
            self.counters.add("mold.messages", len(fresh))
            return "mold.frames", fresh + self._drain()
        again = 0
        for number, message in fresh:
            if number in self.held:
                again += 1
                line.late += number >= brought
            else:
                line.first += self._hold(number, message, seen)
        self.counters.add("mold.duplicates", again)
        return ("mold.drop_duplicate" if again == len(fresh) else "mold.frames"), []
