"""Golden mold: what each packet is called, and what comes out in which order."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hwgw_sim.golden.mold import ENDED, GAPPED, GOOD, WAITING, Mold

SHARED = Path(__file__).parents[3] / "shared"
SESSION = b"SESSION  A"


def packet(seq: int, messages: list[bytes] | None = None, count: int | None = None, session: bytes = SESSION) -> bytes:
    messages = messages or []
    header = session + struct.pack(">QH", seq, len(messages) if count is None else count)
    return header + b"".join(struct.pack(">H", len(message)) + message for message in messages)


def heartbeat(seq: int) -> bytes:
    return packet(seq, count=0)


def end(seq: int) -> bytes:
    return packet(seq, count=0xFFFF)


def numbered(first: int, count: int) -> list[bytes]:
    return [b"m%d" % number for number in range(first, first + count)]


def test_first_packet_sets_session_and_expectation():
    mold = Mold()
    assert (mold.state, mold.next_seq) == (WAITING, 0)
    cause, fresh = mold.packet(0, packet(100, numbered(100, 2)), t_rx=7)
    assert cause == "mold.frames"
    assert fresh == [(100, b"m100"), (101, b"m101")]
    assert (mold.state, mold.next_seq, mold.session) == (GOOD, 102, SESSION)
    assert mold.lines[0].t_last == 7
    assert mold.counters == {"mold.frames": 1, "mold.messages": 2}


def test_two_lines_deliver_each_number_once_in_order():
    mold = Mold(line_cnt=2)
    out = []
    for line, seq, count in ((0, 1, 3), (1, 1, 2), (1, 3, 3), (0, 4, 2), (0, 6, 1), (1, 6, 1)):
        out += mold.packet(line, packet(seq, numbered(seq, count)))[1]
    assert out == [(number, b"m%d" % number) for number in range(1, 7)]
    assert mold.counters == {
        "mold.frames": 3,
        "mold.drop_duplicate": 3,
        "mold.messages": 6,
        "mold.duplicates": 2 + 1 + 2 + 1,
    }
    figures = [(line.frames, line.first, line.late, line.next_seq) for line in mold.lines]
    assert figures == [(3, 4, 2, 7), (3, 2, 4, 7)]
    assert mold.state == GOOD


def test_message_repeated_on_its_own_line_is_duplicate_but_not_late():
    mold = Mold()
    mold.packet(0, packet(1, numbered(1, 2)))
    assert mold.packet(0, packet(1, numbered(1, 2)))[0] == "mold.drop_duplicate"
    assert (mold.counters["mold.duplicates"], mold.lines[0].late) == (2, 0)


@pytest.mark.parametrize("ahead", [packet(5, numbered(5, 1)), heartbeat(5), end(5)], ids=["data", "heartbeat", "end"])
def test_gap_is_counted_and_latched_and_delivery_goes_on(ahead):
    mold = Mold()
    mold.packet(0, packet(1, numbered(1, 2)))
    assert mold.packet(0, ahead)[0] == "mold.frames"
    assert (mold.counters["mold.gaps"], mold.counters["mold.missing"]) == (1, 2)
    was_end = ahead == end(5)
    assert mold.state == (ENDED if was_end else GAPPED)
    following = mold.next_seq
    assert mold.packet(0, packet(following, [b"x"]))[1] == [(following, b"x")]
    assert mold.state == (ENDED if was_end else GAPPED)
    mold.repair()
    assert mold.state == (ENDED if was_end else GOOD)


def test_message_behind_a_gap_is_not_delivered_late():
    mold = Mold(line_cnt=2)
    mold.packet(0, packet(1, numbered(1, 1)))
    mold.packet(0, packet(4, numbered(4, 1)))
    assert mold.packet(1, packet(2, numbered(2, 2))) == ("mold.drop_duplicate", [])


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "mold.drop_short"),
        (heartbeat(2)[:-1], "mold.drop_short"),
        (heartbeat(2) + b"x", "mold.drop_blocks"),
        (end(2) + b"x", "mold.drop_blocks"),
        (packet(2, [b"abc"])[:-1], "mold.drop_blocks"),
        (packet(2, [b"abc"]) + b"x", "mold.drop_blocks"),
        (packet(2, [b"abc"], count=2), "mold.drop_blocks"),
        (packet(2, [b"abc"], count=2) + b"\0", "mold.drop_blocks"),
        (packet(2, [b"abc"], session=b"SESSION  B"), "mold.drop_session"),
        (packet(0, [b"abc"]), "mold.drop_gap"),
        (packet(103, [b"abc"]), "mold.drop_gap"),
        (packet(2**64 - 1, [b"abc"]), "mold.drop_gap"),
        (packet(1, [b"abc"]), "mold.drop_duplicate"),
    ],
)
def test_dropped_packet_has_one_cause_and_changes_nothing(data, cause):
    mold = Mold(jump_max=100)
    mold.packet(0, packet(1, numbered(1, 1)))
    before = (mold.state, mold.next_seq, mold.session)
    assert mold.packet(0, data) == (cause, [])
    assert mold.counters[cause] == 1
    assert (mold.state, mold.next_seq, mold.session) == before
    used = {"mold.frames", "mold.messages", "mold.duplicates", cause}
    assert set(mold.counters) <= used
    assert mold.lines[0].frames == 2


def test_packet_at_jump_max_is_taken():
    mold = Mold(jump_max=100)
    mold.packet(0, heartbeat(2))
    assert mold.packet(0, packet(102, [b"x"]))[0] == "mold.frames"


def test_zero_length_message_takes_a_number():
    mold = Mold()
    assert mold.packet(0, packet(1, [b"", b"a"]))[1] == [(1, b""), (2, b"a")]


def test_heartbeat_of_the_slower_line_is_no_gap():
    mold = Mold(line_cnt=2)
    mold.packet(0, packet(1, numbered(1, 5)))
    assert mold.packet(1, heartbeat(3))[0] == "mold.drop_duplicate"
    assert (mold.state, mold.next_seq, mold.counters["mold.heartbeats"]) == (GOOD, 6, 0)


def test_real_packet_gives_its_message():
    path = SHARED / "specs" / "vectors.json"
    if not path.exists():
        pytest.skip("../shared/specs/vectors.json is not here")
    vectors = [v for v in json.loads(path.read_text()) if v["protocol"] == "moldudp64"]
    for vector in vectors:
        mold = Mold()
        cause, fresh = mold.packet(0, bytes.fromhex(vector["hex"]))
        assert cause == "mold.frames"
        assert [seq for seq, _ in fresh] == [vector["decoded"]["sequence_number"]]
        assert fresh[0][1][:1] == b"D"
        assert mold.session.decode() == vector["decoded"]["session"]
    assert len(vectors) == 1
