"""What each kind of rule looks at: the conditions that hold now, by key, with a text for a person.

SPDX-License-Identifier: MIT

A condition is read from single words of the segment. FAST kinds are those whose words are also watched for a change at
every poll (signature()), so that they are told within a poll of the store that caused them.
"""

from __future__ import annotations

from collections.abc import Callable

from hwgw.native import ffi, lib
from hwgw.segment import Segment
from hwgw.telemetry.usage import usage

from .settings import Rule

__all__ = ["FAST", "GONE", "KINDS", "Marks", "Words"]

FAST = frozenset(("halted", "instrument_halted", "venue_halted", "breaker", "feed", "session", "receive"))
Found = dict[str, str]


class Marks:
    """Counts of the past of a rule: what rises is compared with what it was a window ago."""

    def __init__(self) -> None:
        self._past: dict[str, list[tuple[int, int]]] = {}

    def rise(self, key: str, value: int, now_ns: int, window_ns: int) -> int:
        """How much a count has risen within the window."""
        rows = self._past.setdefault(key, [(now_ns, value)])
        if value < rows[-1][1]:  # started anew
            rows[:] = [(now_ns, 0)]
        if value != rows[-1][1]:
            rows.append((now_ns, value))
        while len(rows) > 1 and now_ns - rows[1][0] >= window_ns:
            rows.pop(0)
        return value - rows[0][1] if len(rows) > 1 else 0


class Words:
    """The words of a segment that fast rules are about, to be compared as bytes."""

    def __init__(self, segment: Segment) -> None:
        control = lib.hwgw_segment_control(segment.pointer)
        rows = [(control, name) for name in ("halt", "halt_seq", "instrument_halt", "venue_halt")]
        for number in range(segment.thread_cnt):
            thread = lib.hwgw_segment_thread(segment.pointer, number)
            rows += [(thread, name) for name in ("state", "session_state", "receive_state")]
            for index in range(lib.HWGW_CHANNELS_MAX):
                channel = lib.hwgw_segment_channel(segment.pointer, number, index)
                rows += [(channel, "state")] if channel.line_cnt else []
        for number in range(lib.HWGW_BREAKER_RULES_MAX):
            rule = lib.hwgw_segment_breaker(segment.pointer, number)
            rows += [(rule, "trips")] if rule.kind else []
        self._views = [ffi.buffer(ffi.addressof(row[0], name)) for row, name in rows]

    def signature(self) -> bytes:
        """Changes when one of them does."""
        return b"".join([view[:] for view in self._views])


def _halted(segment: Segment, rule: Rule, marks: Marks, now_ns: int) -> Found:
    return {row["reason"]: f"halted, {row['reason']}: {row['text']} (uid {row['uid']})" for row in segment.halts}


def _instruments(segment: Segment, rule: Rule, marks: Marks, now_ns: int) -> Found:
    rows = segment.instrument_halts.items()
    return {symbol: f"{symbol} halted, {row['reason']}: {row['text']} (uid {row['uid']})" for symbol, row in rows}


def _venues(segment: Segment, rule: Rule, marks: Marks, now_ns: int) -> Found:
    rows = segment.venue_halts.items()
    return {venue: f"venue {venue} halted: {row['text']} (uid {row['uid']})" for venue, row in rows}


def _breaker(segment: Segment, rule: Rule, marks: Marks, now_ns: int) -> Found:
    found = {}
    for name, row in segment.breakers().items():
        if marks.rise(name, row["trips"], now_ns, rule.window_ns):
            found[name] = f"breaker {name} tripped by {row.get('of')}: {row.get('value')} above {row.get('limit')}"
    return found


def _feed(segment: Segment, rule: Rule, marks: Marks, now_ns: int) -> Found:
    rows = [row for row in segment.channel_status() if row["state"] != "good"]
    return {f"{row['pipeline']}/{row['channel']}": f"feed channel {row['channel']} is {row['state']}" for row in rows}


def _state(key: str, word: str, quiet: frozenset[str]) -> Callable[[Segment, Rule, Marks, int], Found]:
    def look(segment: Segment, rule: Rule, marks: Marks, now_ns: int) -> Found:
        rows = enumerate(segment.thread_status())
        return {str(i): f"{word} of pipeline {i} is {row[key]}" for i, row in rows if row[key] not in quiet}

    return look


GONE = {"gateway": "the gateway does not run"}


def _gone(segment: Segment, rule: Rule, marks: Marks, now_ns: int) -> Found:
    return {} if segment.running() else GONE


def _heartbeat(segment: Segment, rule: Rule, marks: Marks, now_ns: int) -> Found:
    if not (beat_ns := int(segment.control["beat_ns"])):
        return {}  # it starts, which may take long with a journal to go on from
    age = int(lib.hwgw_now_ns()) - beat_ns
    return {"control": f"the control process was last heard {age / 1e6:,.0f} ms ago"} if age > rule.bound_ns else {}


def _limit(segment: Segment, rule: Rule, marks: Marks, now_ns: int) -> Found:
    found = {}
    for row in usage(segment):
        if row.used * 10_000 > row.allowed * rule.above:
            found[f"{row.of}.{row.limit}"] = f"{row.limit} of {row.of}: {row.used:,} of {row.allowed:,} used"
    return found


def _journal(segment: Segment, rule: Rule, marks: Marks, now_ns: int) -> Found:
    found = {}
    for thread in range(segment.thread_cnt):
        ring = lib.hwgw_segment_journal(segment.pointer, thread)
        if ring and int(ring.error):
            found[str(thread)] = f"the journal cannot be written (errno {int(ring.error)})"
        elif ring and (int(ring.head) - int(ring.written)) * 10_000 > int(ring.sz_bytes) * rule.above:
            found[str(thread)] = (
                f"{int(ring.head) - int(ring.written):,} of {int(ring.sz_bytes):,} bytes of the journal wait"
            )
    return found


def _counter(segment: Segment, rule: Rule, marks: Marks, now_ns: int) -> Found:
    value = segment.counters()[rule.counter]
    rise = marks.rise(rule.counter, value, now_ns, rule.window_ns)
    if rise <= rule.count_max:
        return {}
    return {rule.counter: f"{rule.counter} rose by more than {rule.count_max:,} within {rule.window_ns / 1e9:g} s"}


KINDS: dict[str, Callable[[Segment, Rule, Marks, int], Found]] = {
    "halted": _halted,
    "instrument_halted": _instruments,
    "venue_halted": _venues,
    "breaker": _breaker,
    "feed": _feed,
    "session": _state("session", "the order session", frozenset(("up", "none"))),
    "receive": _state("receive", "the receive path", frozenset(("up",))),
    "gone": _gone,
    "heartbeat": _heartbeat,
    "limit": _limit,
    "journal": _journal,
    "counter": _counter,
}
