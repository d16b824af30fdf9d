"""MoldUDP64 channel: C equals the golden model, and what each kind of packet does.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hwgw_sim.golden import Counters
from hwgw_sim.golden.mold import ENDED, GAPPED, GOOD, HOLDING, WAITING, Mold
from support.feed import COUNTERS

from hwgw import specs
from hwgw.native import call, ffi, lib

SESSION = b"0000000001"
COUNTER_CNT = max(COUNTERS) + 1


def packet(seq: int, messages: list[bytes] | int, session: bytes = SESSION) -> bytes:
    """A downstream packet of messages, or of a bare count."""
    if isinstance(messages, int):
        return session + seq.to_bytes(8, "big") + messages.to_bytes(2, "big")
    blocks = b"".join(len(message).to_bytes(2, "big") + message for message in messages)
    return session + seq.to_bytes(8, "big") + len(messages).to_bytes(2, "big") + blocks


class NativeMold:
    """struct hwgw_mold with the methods of hwgw_sim.golden.mold.Mold."""

    def __init__(self, line_cnt: int = 1, jump_max: int = 0, hold_max: int = 0) -> None:
        self.native = ffi.gc(ffi.new("struct hwgw_mold *"), lib.hwgw_mold_fini)
        lib.hwgw_mold_init(self.native, 3, line_cnt)
        if hold_max:
            call(lib.hwgw_mold_hold, self.native, hold_max)
        self.native.jump_max = jump_max
        self.line_cnt = line_cnt
        self._counters = ffi.new("uint64_t[]", COUNTER_CNT)
        self._iter = ffi.new("struct hwgw_mold_iter *")

    def packet(self, line: int, data: bytes, t_rx: int = 0) -> tuple[str, list[tuple[int, bytes]]]:
        # its own block of exactly these bytes, so that a read past the end is one that a sanitizer sees
        held = ffi.new("uint8_t[]", data)
        args = (self.native, line, held, len(data), t_rx, self._counters, self._iter)
        cause = lib.hwgw_mold_packet(*args)
        if COUNTERS[cause] == "mold.drop_session" and self.native.state == WAITING:
            cause = lib.hwgw_mold_packet(*args)  # the first of a new session
        self._counters[cause] += 1
        return COUNTERS[cause], self._delivered()

    def _delivered(self) -> list[tuple[int, bytes]]:
        fresh = []
        length, seq = ffi.new("uint32_t *"), ffi.new("uint64_t *")
        while (message := lib.hwgw_mold_next(self._iter, length, seq)) != ffi.NULL:
            fresh.append((seq[0], bytes(ffi.buffer(message, length[0]))))
        return fresh

    def repair(self) -> None:
        lib.hwgw_mold_repair(self.native)

    def skip(self) -> list[tuple[int, bytes]]:
        lib.hwgw_mold_skip(self.native, self._counters, self._iter)
        return self._delivered()

    def freeze(self) -> None:
        lib.hwgw_mold_freeze(self.native)

    def rebase(self, seq: int) -> list[tuple[int, bytes]]:
        lib.hwgw_mold_rebase(self.native, seq, self._counters, self._iter)
        return self._delivered()

    @property
    def counters(self) -> dict[str, int]:
        return {name: self._counters[index] for index, name in COUNTERS.items() if self._counters[index]}

    def state(self) -> tuple[Any, ...]:
        lines = self.native.line[0 : self.line_cnt]
        each = [(line.frames, line.first, line.late, line.missed, line.next_seq, line.t_last) for line in lines]
        native = self.native
        return bytes(native.session), native.state, native.next_seq, native.seen_seq, native.held_cnt, each


def golden_state(mold: Mold) -> tuple[Any, ...]:
    each = [(line.frames, line.first, line.late, line.missed, line.next_seq, line.t_last) for line in mold.lines]
    return mold.session, mold.state, mold.next_seq, mold.seen, len(mold.held), each


def channel_packet(rng: random.Random, head: int, stream: dict[int, bytes]) -> bytes:
    """A packet around sequence number head: mostly sound, of any cut, early, late or damaged."""
    kind = rng.random()
    seq = max(0, head + round(rng.gauss(0, 6)))
    if kind < 0.06:
        return packet(seq, rng.choice([0, 0, 0, 0xFFFF]) if rng.random() < 0.7 else 0)
    data = bytearray(
        packet(
            seq, [stream.setdefault(seq + n, rng.randbytes(rng.randrange(0, 40))) for n in range(rng.randrange(1, 9))]
        )
    )
    if kind < 0.10:
        del data[rng.randrange(len(data)) :]
    elif kind < 0.14:
        data += rng.randbytes(rng.randrange(1, 4))
    elif kind < 0.18:
        data[rng.randrange(10, len(data))] ^= 1 << rng.randrange(8)
    elif kind < 0.20:
        data[rng.randrange(10)] ^= 1
    elif kind < 0.22:
        data[10:18] = rng.choice([0, 1 << 40, (1 << 64) - 1, (1 << 64) - 3]).to_bytes(8, "big")
    return bytes(data)


@pytest.mark.parametrize("line_cnt", [1, 2, 4])
def test_equals_the_golden_model_on_packets_of_every_kind(line_cnt, seed):
    seen: Counter[str] = Counter()
    delivered = 0
    for run in range(60):
        rng = random.Random(f"{seed} {line_cnt} {run}")
        jump_max = rng.choice([0, 50, 50])
        native, golden = NativeMold(line_cnt, jump_max), Mold(line_cnt, jump_max)
        stream: dict[int, bytes] = {}
        head = rng.choice([1, 1, 5_000_000_000])
        for step in range(200):
            data = channel_packet(rng, head, stream)
            line = rng.randrange(line_cnt)
            got = native.packet(line, data, step)
            assert got == golden.packet(line, data, step)
            assert native.state() == golden_state(golden)
            seen[got[0]] += 1
            delivered += len(got[1])
            head += rng.randrange(0, 4)
            if rng.random() < 0.05:
                native.repair()
                golden.repair()
        assert native.counters == Counters(golden.counters)
        # the ledger: each packet has one name
        drops = sum(count for name, count in native.counters.items() if name.startswith("mold.drop_"))
        assert native.counters.get("mold.frames", 0) + drops == 200
        assert native.counters.get("mold.messages", 0) == sum(line[1] for line in native.state()[-1])
    assert sum(seen.values()) == 12_000
    assert delivered > 5_000
    names = {f"mold.{counter.name}" for counter in specs.counters() if counter.stage == "mold"}
    kinds = {name for name in names if name.startswith("mold.drop_")} | {"mold.frames"}
    assert set(seen) == kinds, f"never seen: {kinds - set(seen)}"


HELD = ("messages", "released", "superseded", "discarded", "filled", "covered", "lost")


@pytest.mark.parametrize("hold_max", [16, 64])
def test_a_channel_with_a_hold_equals_the_golden_model(hold_max, seed):
    """Packets of every kind, holes given up, snapshots, new sessions: delivered messages, states, lines, counters."""
    seen: Counter[str] = Counter()
    states: Counter[int] = Counter()
    delivered = 0
    for run in range(60):
        rng = random.Random(f"{seed} {hold_max} {run}")
        native, golden = NativeMold(3, 0, hold_max), Mold(3, 0, None, hold_max)
        session = SESSION
        stream: dict[int, bytes] = {}
        head = rng.choice([1, 1, 1, 5_000])
        for step in range(200):
            data = channel_packet(rng, head, stream)
            if data[:10] == SESSION:
                data = session + data[10:]
            if int.from_bytes(data[10:18], "big") >= 1 << 40:  # strays: no two of them agree
                data = data[:10] + rng.randrange(1 << 40, 1 << 62).to_bytes(8, "big") + data[18:]
            line = rng.randrange(3)
            got = native.packet(line, data, step)
            assert got == golden.packet(line, data, step)
            delivered += len(got[1])
            seen[got[0]] += 1
            act = rng.random()
            if act < 0.02:
                assert native.skip() == golden.skip()
            elif act < 0.03:
                native.freeze()
                golden.freeze()
            elif act < 0.05 or (golden.frozen and act < 0.2):
                at = max(1, golden.next_seq + rng.randrange(-5, 20))
                if golden.next_seq:
                    assert native.rebase(at) == golden.rebase(at)
            elif act < 0.055:
                session = b"%010d" % rng.randrange(10**9)
                head = 1
                stream = {}
            assert native.state() == golden_state(golden)
            assert native.counters == {name: count for name, count in golden.counters.items() if count}
            states[golden.state] += 1
            head += rng.randrange(0, 4)
        count = Counter(native.counters)
        held = ("released", "now", "superseded", "discarded")
        assert count["hold.messages"] == sum(count[f"hold.{name}"] for name in held)
        missing = ("filled", "missing_now", "lost", "covered")
        assert count["mold.missing"] == sum(count[f"hold.{name}"] for name in missing)
        for name in HELD:
            seen[name] += count[f"hold.{name}"]
        seen["sessions"] += count["mold.sessions"]
    assert delivered > 1_500
    assert {WAITING, GOOD, GAPPED, ENDED, HOLDING} <= set(states)
    assert all(seen[name] for name in (*HELD, "sessions")), seen


def test_messages_behind_a_hole_wait_for_it():
    mold = NativeMold(2, 0, 16)
    assert mold.packet(0, packet(1, [b"a"])) == ("mold.frames", [(1, b"a")])
    assert mold.packet(0, packet(4, [b"d", b"e"])) == ("mold.frames", [])
    assert mold.native.state == HOLDING
    assert mold.packet(1, packet(2, [b"b", b"c"])) == ("mold.frames", [(2, b"b"), (3, b"c"), (4, b"d"), (5, b"e")])
    assert (mold.native.state, mold.native.next_seq) == (GOOD, 6)
    assert mold.counters["hold.filled"] == 2
    assert mold.packet(1, packet(4, [b"d", b"e"])) == ("mold.drop_duplicate", [])


def test_a_late_start_with_a_hold_is_a_hole_from_the_first_message():
    mold = NativeMold(1, 0, 16)
    assert mold.packet(0, packet(9, [b"i"])) == ("mold.frames", [])
    assert (mold.native.state, mold.native.next_seq, mold.native.seen_seq) == (HOLDING, 1, 10)
    mold.freeze()
    assert mold.rebase(8) == []
    assert mold.packet(0, packet(8, [b"h"])) == ("mold.frames", [(8, b"h"), (9, b"i")])
    assert mold.native.state == GOOD


def test_one_packet_far_ahead_is_a_stray_and_a_second_one_is_not():
    mold = NativeMold(1, 0, 16)
    mold.packet(0, packet(1, [b"a"]))
    assert mold.packet(0, packet(1000, [b"x"])) == ("mold.drop_gap", [])
    assert mold.native.state == GOOD
    assert mold.packet(0, packet(1001, [b"y"])) == ("mold.frames", [])
    assert mold.native.state == HOLDING


def test_strays_that_agree_end_with_the_next_snapshot():
    for mold in (NativeMold(1, 0, 16), Mold(1, 0, None, 16)):
        mold.packet(0, packet(1, [b"a"]))
        mold.packet(0, packet(1 << 49, [b"x"]))
        mold.packet(0, packet(1 << 49, [b"y"]))
        assert mold.packet(0, packet(2, [b"b"])) == ("mold.frames", [(2, b"b")])
        mold.freeze()
        assert mold.rebase(3) == []
        assert mold.packet(0, packet(3, [b"c"])) == ("mold.frames", [(3, b"c")])
        assert (mold.native if isinstance(mold, NativeMold) else mold).state == GOOD


def test_a_new_session_after_the_end_of_the_old_one_begins_at_once():
    mold = NativeMold(1, 0, 16)
    mold.packet(0, packet(1, [b"a"]))
    mold.packet(0, packet(2, 0xFFFF))
    assert mold.native.state == ENDED
    assert mold.packet(0, packet(1, [b"A"], b"0000000002")) == ("mold.frames", [(1, b"A")])
    assert (mold.native.state, mold.native.session_cnt) == (GOOD, 1)


def test_first_packet_in_mid_day_is_no_gap():
    mold = NativeMold()
    assert mold.native.state == WAITING
    assert mold.packet(0, packet(1000, [b"a", b"b"])) == ("mold.frames", [(1000, b"a"), (1001, b"b")])
    assert (mold.native.state, mold.native.next_seq) == (GOOD, 1002)
    assert mold.counters == {"mold.frames": 1, "mold.messages": 2}


def test_partial_overlap_gives_only_what_is_new():
    mold = NativeMold(2)
    mold.packet(0, packet(1, [b"a", b"b", b"c"]))
    assert mold.packet(1, packet(2, [b"b", b"c", b"d", b"e"])) == ("mold.frames", [(4, b"d"), (5, b"e")])
    assert mold.counters["mold.duplicates"] == 2
    assert mold.native.line[1].late == 2
    assert mold.native.line[1].first == 2


def test_heartbeat_reveals_the_loss_of_the_last_packets():
    mold = NativeMold()
    mold.packet(0, packet(1, [b"a"]))
    assert mold.packet(0, packet(2, 0)) == ("mold.frames", [])
    assert mold.native.state == GOOD
    mold.packet(0, packet(5, 0))
    assert (mold.native.state, mold.native.next_seq) == (GAPPED, 5)
    assert (mold.counters["mold.gaps"], mold.counters["mold.missing"]) == (1, 3)


def test_gap_is_latched_until_repair():
    mold = NativeMold()
    mold.packet(0, packet(1, [b"a"]))
    assert mold.packet(0, packet(3, [b"c"])) == ("mold.frames", [(3, b"c")])
    mold.packet(0, packet(4, [b"d"]))
    assert mold.native.state == GAPPED
    mold.repair()
    assert mold.native.state == GOOD


def test_end_of_session_is_final():
    mold = NativeMold()
    mold.packet(0, packet(1, [b"a"]))
    mold.packet(0, packet(2, 0xFFFF))
    mold.repair()
    assert mold.native.state == ENDED
    assert mold.packet(0, packet(2, [b"b"])) == ("mold.frames", [(2, b"b")])
    assert mold.native.state == ENDED
    assert mold.counters["mold.ends"] == 1


def test_another_session_is_dropped():
    mold = NativeMold()
    mold.packet(0, packet(1, [b"a"]))
    assert mold.packet(0, packet(1, [b"x"], b"0000000002")) == ("mold.drop_session", [])
    assert mold.native.next_seq == 2


def test_largest_packet_is_walked_to_its_end():
    mold = NativeMold()
    messages = [b""] * 65534
    cause, fresh = mold.packet(0, packet(1, messages))
    assert cause == "mold.frames"
    assert len(fresh) == 65534
    assert mold.native.next_seq == 65535
