"""A bad line: what the settings say happens, no more, and the same again with the same seed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import pytest

from hwgw.bad_line import Faults, Line, parse
from hwgw.errors import UsageError

PACKETS = [b"SESSION001" + seq.to_bytes(8, "big") + b"\x00\x01" + b"\x00\x04data" for seq in range(1, 5001)]


def through(faults: Faults) -> tuple[list[bytes], dict[str, int]]:
    """The packets that arrive when one is sent each millisecond."""
    with Line(faults) as line:
        out: list[bytes] = []
        for index, packet in enumerate(PACKETS):
            line.take(packet, index / 1000)
            out += line.give(index / 1000)
        out += line.give(1000.0)
        return out, line.stats


def test_a_perfect_line_changes_nothing():
    assert through(Faults())[0] == PACKETS


def test_loss_and_duplicates_are_as_many_as_asked_for():
    out, stats = through(Faults(loss=0.2, duplicate=0.1, seed=3))
    assert 800 < stats["lost"] < 1200
    assert 300 < stats["duplicated"] < 500
    assert len(out) == len(PACKETS) - stats["lost"] + stats["duplicated"]
    assert set(out) <= set(PACKETS)


def test_reordered_packets_come_late_and_none_is_lost():
    out, stats = through(Faults(reorder=64, seed=3))
    assert sorted(out) == sorted(PACKETS)
    late = [at - PACKETS.index(packet) for at, packet in enumerate(out)]
    assert stats["reordered"] > 300
    assert 10 < max(late) <= 64


def test_an_outage_is_from_when_to_when():
    out, stats = through(Faults(outage=(1.0, 2.5)))
    assert stats["lost"] == 1500
    assert out == PACKETS[:1000] + PACKETS[2500:]


def test_damaged_packets_are_counted_and_the_same_seed_gives_the_same():
    faults = Faults(damage=0.1, loss=0.05, reorder=8, seed=9)
    first, stats = through(faults)
    assert (first, stats) == through(faults)
    assert stats["damaged"] > 300
    assert sum(packet not in set(PACKETS) for packet in first) > 250
    assert first != through(Faults(damage=0.1, loss=0.05, reorder=8, seed=10))[0]


def test_the_words_of_the_command_line():
    assert parse("loss=1%,reorder=16,outage=2-4.5", 7) == Faults(loss=0.01, reorder=16, outage=(2.0, 4.5), seed=7)
    for wrong in ("loss=2", "loss", "reorder=-1", "outage=1", "speed=9"):
        with pytest.raises(UsageError, match=wrong.partition("=")[0]):
            parse(wrong)
