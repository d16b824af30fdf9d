"""Golden MoldUDP64 channel: arbitration of lines by sequence number.

Contract (order of checks; the first that applies names the packet):
1. drop_short      fewer bytes than the 20-byte header
2. drop_blocks     the message blocks do not end where the packet ends (a heartbeat or end has none)
3. drop_session    another session than the first packet's
4. drop_gap        sequence number 0, a last message beyond 2^64 - 2, or more than jump_max ahead of the
                   expected number (jump_max 0 = no bound; the first packet has no expectation)
5. drop_duplicate  data, and every message of it is known
6. frames          used: data with something new, a heartbeat or an end of session

A dropped packet changes nothing but counters and its line's frame count, except that a duplicate speaks for
its line. The first packet that passes checks 1 to 4 sets the expectation: a channel may be joined late. A
number ahead of it is a gap, also when a heartbeat or an end shows it: it is counted with the messages
missing, the state becomes gapped until repair(), and the channel goes on behind the hole. End of session is
final for the state.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgw_sim.golden import Counters

HEADER_LEN = 20
COUNT_HEARTBEAT = 0
COUNT_END = 0xFFFF
SEQ_MAX = (1 << 64) - 1

WAITING, GOOD, GAPPED, STALE, ENDED = range(5)  # feed_state of hwgw/specs/segment.yaml


@dataclass
class Line:
    """What one line of the channel has brought."""

    frames: int = 0  # its packets, whatever became of them
    first: int = 0  # messages this line brought first
    late: int = 0  # messages it brought after another line
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
    """One feed channel."""

    def __init__(self, line_cnt: int = 1, jump_max: int = 0, counters: Counters | None = None) -> None:
        self.session = bytes(10)
        self.state = WAITING
        self.next_seq = 0  # 0 until the first packet
        self.jump_max = jump_max
        self.lines = [Line() for _ in range(line_cnt)]
        self.counters = Counters() if counters is None else counters

    def packet(self, line: int, data: bytes, t_rx: int = 0) -> tuple[str, list[tuple[int, bytes]]]:
        """Takes one packet of a line: its counter, and the new messages as (sequence number, bytes)."""
        self.lines[line].frames += 1
        cause, fresh = self._packet(self.lines[line], data, t_rx)
        self.counters.add(cause)
        return cause, fresh

    def repair(self) -> None:
        """The hole was filled from elsewhere: the state may be good again."""
        if self.state == GAPPED:
            self.state = GOOD

    def _packet(self, line: Line, data: bytes, t_rx: int) -> tuple[str, list[tuple[int, bytes]]]:
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
            return "mold.drop_session", []
        end = seq + len(messages)
        ahead = seq - self.next_seq if joined else 0
        if seq == 0 or end > SEQ_MAX or (self.jump_max and ahead > self.jump_max):
            return "mold.drop_gap", []

        line.t_last = t_rx
        if not joined:
            self.session = session
            self.state = GOOD
            self.next_seq = seq
        known = min(max(self.next_seq - seq, 0), len(messages))
        fresh = list(enumerate(messages, seq))[known:]
        line.late += sum(number >= line.next_seq for number in range(seq, seq + known))
        line.first += len(fresh)
        line.next_seq = max(line.next_seq, end)
        self.counters.add("mold.duplicates", known)
        if is_data and not fresh:
            return "mold.drop_duplicate", []

        if ahead > 0:
            self.counters.add("mold.gaps")
            self.counters.add("mold.missing", ahead)
            if self.state != ENDED:
                self.state = GAPPED
        self.next_seq = max(self.next_seq, end)
        self.counters.add("mold.messages", len(fresh))
        if count == COUNT_HEARTBEAT:
            self.counters.add("mold.heartbeats")
        if count == COUNT_END:
            self.counters.add("mold.ends")
            self.state = ENDED
        return "mold.frames", fresh
