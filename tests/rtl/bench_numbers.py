"""Tests of hwgw_feed about numbers and times at their bounds, run inside a simulator by test_rtl.py.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from itertools import product

import cocotb
from rtl import traffic
from rtl.feed_rig import IDLE, QUIET, Beat, Rig, beats, generator
from rtl.traffic import FLOWS, frame, packet
from support import rtl
from support.rtl_model import Feed, unpack

SIZE = int(os.environ.get("HWGW_RTL_SIZE", "1"))  # how much longer than the short form
POWERS = (0, 1, 2, 8, 15, 16, 17, 31, 32, 33, 47, 48, 62)
DISTANCES = sorted({sign * (2**power + more) for power in POWERS for more in (-1, 0, 1) for sign in (1, -1)})
AHEAD = (1, 2, 2**15, 2**16 - 1, 2**16, 2**16 + 1, 2**17 + 5, 2**33)
HOLDS = (0, 1, 2, 3, 1000, *((65_535,) if SIZE > 1 else ()))
LOCATE, INSTRUMENT = 13, 77


@cocotb.test()
async def a_packet_at_every_distance_from_the_expected_number(dut):
    """In front of it and behind it, without a bound, as far as the bound and one further, on both lines: as in C."""
    rng = generator()
    rig, compared = Rig(dut), 0
    bounded = [(far, most) for far in DISTANCES for most in (far, far - 1) if most > 0 and far < 2**32]
    cases = [*((distance, 0) for distance in DISTANCES), *bounded]
    for turn, (distance, jump_max) in enumerate(cases if SIZE > 1 else rng.sample(cases, 12)):
        base = rng.randint(max(1, -1 - distance), 2**64 - 2**33 - max(0, distance))
        if turn % 4 == 0:
            base |= 2**32 - 2  # the numbers of the first packet go past a word
        await rig.start(verified=0, jump_max=jump_max)
        model = Feed(FLOWS, jump_max=jump_max, is_all=True, channel=7)
        lanes: tuple[list[Beat], list[Beat]] = ([], [])
        expected = []
        for seq, line, idle in ((base, 0, 0), (base + 3 + distance, turn % 2, 40)):
            data = frame(line, packet(seq, [traffic.message(rng) for _ in range(3)]))
            expected += [record for record, _ in model.frame(line, data)]
            lanes[line].extend([*[IDLE] * idle, *beats(data)])
        await rig.play(*lanes)
        compared += await rig.check(model, expected)
        assert int(dut.next_seq.value) == model.mold.next_seq, (distance, jump_max)
    rtl.note(events_compared=compared)


def phases(message: bytes) -> Iterator[tuple[dict[str, int], list[Beat], list[Beat], int, tuple[set[int], set[int]]]]:
    """Settings, the beats of both lines, when line B's begin, and the numbers that each carries."""
    begin = beats(frame(0, packet(1, [message])))
    at, jump = len(begin) + 30, [*begin, *[IDLE] * 30, *beats(frame(0, packet(61, [message] * 2)))]
    for number, skew in product((1, 30, 61, 62, 63, 2**20), range(-12, 13)):
        yield {}, jump, beats(frame(1, packet(number, [message]))), at + skew, ({1, 61, 62}, {number})
    many = beats(frame(0, packet(1, [message] * 12)))
    for number, skew in product((3, 7, 8, 9, 14), range(-8, 24)):
        yield {"jump_max": 1}, many, beats(frame(1, packet(number, [message]))), skew, ({*range(1, 13)}, {number})
    for number, session, skew in product((30, 61, 70), (traffic.SESSION, b"another   "), range(-8, 20)):
        heartbeat = beats(frame(1, packet(number, [], session=session)))
        yield {"verified": 1}, jump, heartbeat, at + skew, ({1, 61, 62}, set())
    cut = beats(frame(1, packet(30, [message]))[:-6])  # its header leaves, and no end comes
    for skew in range(-24, 12):
        follows = [*cut, *beats(frame(1, packet(61, [message])))]
        yield {}, jump, follows, at + skew, ({1, 61, 62}, {61})
    slow = beats(frame(0, packet(2**20, [message] * 2)), idle=[0] * 12 + [30])  # in its second message
    for skew in range(0, 30, 3):
        again = beats(frame(1, packet(2**20 + 1, [message])))
        yield {}, [*begin, *[IDLE] * 30, *slow], again, at + skew, ({1, 2**20, 2**20 + 1}, {2**20 + 1})


@cocotb.test()
async def a_header_in_every_phase_of_what_the_other_line_does(dut):
    """Line B's packet comes while line A gives up a hole, or delivers: numbers rise, and all are accounted for."""
    rng = generator()
    rig, model, compared = Rig(dut), Feed(FLOWS, is_all=True, channel=7), 0
    message = traffic.message(rng, "D")
    cases = list(phases(message))
    for settings, run_a, run_b, start, carried in cases if SIZE > 1 else rng.sample(cases, 12):
        await rig.start(**{"verified": 0, **settings})
        await rig.play([*[IDLE] * -min(start, 0), *run_a], [*[IDLE] * max(start, 0), *run_b])
        got = [(unpack(record), record) for _, record in await rig.events()]
        seqs = [event["seq"] for event, _ in got]
        assert seqs == sorted(set(seqs))
        for event, record in got:
            assert event["seq"] in carried[event["line"]]
            assert record[:24] + bytes(8) + record[32:] == model.message(event["line"], event["seq"], message, 0)
        a, b, channel = await rig.counters()
        assert a.get("mold.messages", 0) + a.get("mold.duplicates", 0) == len(carried[0])
        refused = b.get("mold.drop_gap", 0)
        assert b.get("mold.messages", 0) + b.get("mold.duplicates", 0) + refused == len(carried[1])
        assert a.get("mold.messages", 0) + b.get("mold.messages", 0) == len(seqs)
        missing = int(dut.next_seq.value) - seqs[0] - len(seqs)
        assert channel.get("mold.missing", 0) == missing, (settings, start, carried)
        compared += len(got)
    rtl.note(events_compared=compared)


@cocotb.test()
async def a_line_whose_store_is_half_full_waits_no_longer(dut):
    """For the other line to fill a hole, on either line: what is behind the hole comes long before the hold is over."""
    rng = generator()
    rig, model, compared, hold = Rig(dut), Feed(FLOWS, is_all=True, channel=7), 0, 60_000
    messages = [traffic.message(rng, "S") for _ in range(600)]
    for line in (0, 1):
        await rig.start(verified=0, hold_cycles=hold)
        run = [
            beat
            for seq, part in ((1, messages[:1]), (3, messages[1:]))
            for beat in beats(frame(line, packet(seq, part)))
        ]
        await rig.play(*([[], run] if line else [run]))
        events = await rig.events()
        assert [record[:24] + bytes(8) + record[32:] for _, record in events] == [
            model.message(line, seq, message, 0) for seq, message in zip((1, *range(3, 602)), messages, strict=True)
        ]
        assert events[-1][0] - events[0][0] < hold // 10
        assert (await rig.counters())[2]["mold.gaps"] == 1
        compared += len(events)
    rtl.note(events_compared=compared)


@cocotb.test()
async def a_hole_is_given_up_after_just_so_many_cycles(dut):
    """What stands behind a hole is as many cycles later as the hold has, up to the longest."""
    rng = generator()
    rig, model, compared = Rig(dut), Feed(FLOWS, is_all=True, channel=7), 0
    message, late = traffic.message(rng, "D"), {}
    run = [*beats(frame(0, packet(1, [message]))), *[IDLE] * 40, *beats(frame(0, packet(5, [message])))]
    for hold in HOLDS:
        await rig.start(verified=0, hold_cycles=hold)
        await rig.play(run, quiet=QUIET + hold)
        events = await rig.events()
        assert [record[:24] + bytes(8) + record[32:] for _, record in events] == [
            model.message(0, seq, message, 0) for seq in (1, 5)
        ]
        late[hold] = events[1][0] - unpack(events[1][1])["t_rx"]
        channel = (await rig.counters())[2]
        assert (channel["mold.gaps"], channel["mold.missing"]) == (1, 3)
        compared += len(events)
    assert {hold: cycles - late[0] for hold, cycles in late.items()} == {hold: hold for hold in HOLDS}
    rtl.note(events_compared=compared)


def add_and_execute(rng: random.Random, ref: int, px: int, qty: int) -> tuple[bytes, bytes]:
    """An order at a price, and an execution of it."""
    locate, number = LOCATE.to_bytes(2, "big"), ref.to_bytes(8, "big")
    add, execute = traffic.message(rng, "A"), traffic.message(rng, "E")
    add = add[:1] + locate + add[3:11] + number + b"B" + add[20:32] + px.to_bytes(4, "big")
    return add, execute[:1] + locate + execute[3:11] + number + qty.to_bytes(4, "big") + execute[23:]


@cocotb.test()
async def what_was_before_a_restart_is_forgotten_256_times(dut):
    """Orders and last trades are those of one session; all bits of prices, quantities and the count of restarts."""
    rng = generator()
    rig = Rig(dut)
    await rig.start(verified=0)
    await rig.subscribe(LOCATE, INSTRUMENT)
    px, qty, before, unknown, trades = rng.getrandbits(32), rng.getrandbits(32), b"", 0, 0
    for restart in range(256):
        assert await rig.price(INSTRUMENT) == (0, 0)
        if restart.bit_count() in (0, 1, 7, 8) or rng.random() < 0.05:
            px, qty = px ^ 0xFFFFFFFF, (qty ^ 0xFFFFFFFF) or 1
            add, execute = add_and_execute(rng, rng.getrandbits(64), px, qty)
            await rig.play(beats(frame(0, packet(1, [add, execute]))))
            assert await rig.price(INSTRUMENT) == (px, qty)
            trades += 1
            if before:
                await rig.play((), beats(frame(1, packet(3, [before]))))
                assert await rig.price(INSTRUMENT) == (px, qty), "of an order of the session before"
                unknown += 1
            before = execute
        await rig.pulse("restart")
    channel = (await rig.counters())[2]
    assert (channel["book.top_changes"], channel["book.drop_unknown_ref"]) == (trades, unknown)
    assert unknown > 16
    rtl.note(events_compared=2 * trades + unknown)


@cocotb.test()
async def a_line_that_skips_known_copies_while_the_other_jumps_keeps_its_place(dut):
    """Line A gives up a hole while line B is still in copies that are known; B then goes on behind A, in its place."""
    rng = generator()
    rig, model = Rig(dut), Feed(FLOWS, is_all=True, channel=7)
    stream = [traffic.message(rng, "D") for _ in range(120)]
    records = [[model.message(line, seq, message, 0) for seq, message in enumerate(stream, 1)] for line in (0, 1)]
    first, behind, whole = (
        beats(frame(line, packet(1 + begin, stream[begin:end])))
        for line, begin, end in ((0, 0, 40), (0, 60, 62), (1, 0, 120))
    )
    compared = 0
    for skew in range(6):  # the jump meets each phase of a message of 21 bytes
        await rig.start(verified=0)
        await rig.play([*first, *[IDLE] * 40, *behind], [*[IDLE] * (len(first) + skew), *whole])
        compared += await rig.check_some([*records[0][:40], *records[0][60:62], *records[1][62:]])
        _, counted, channel = await rig.counters()
        assert counted["mold.duplicates"] == 62
        assert channel["mold.gaps"] == 1
        assert channel["mold.missing"] == 20
    rtl.note(events_compared=compared)


@cocotb.test()
async def of_two_lines_far_ahead_the_nearer_goes_on_first(dut):
    """Both lines stand behind holes, of one message and of more than 2^16: the lower number is next, then the other."""
    rng = generator()
    rig, model = Rig(dut), Feed(FLOWS, is_all=True, channel=7)
    message, compared = traffic.message(rng, "D"), 0
    cases = [(nearer, near, more) for nearer in (0, 1) for near in AHEAD for more in AHEAD]
    cases = cases if SIZE > 1 else rng.sample(cases, 6)
    cases += [(nearer, rng.randint(2**16, 2**62), rng.randint(1, 2**17)) for nearer in (0, 1)]
    for nearer, near, more in cases:
        await rig.start(verified=0, hold_cycles=200)
        seqs = {nearer: 2 + near, 1 - nearer: 2 + near + more}
        runs = {0: beats(frame(0, packet(1, [message]))), 1: []}
        for line, start in zip(rng.sample((0, 1), 2), (40, 80), strict=True):
            runs[line] += [IDLE] * (start - len(runs[line])) + beats(frame(line, packet(seqs[line], [message])))
        await rig.play(runs[0], runs[1])
        taken = ((0, 1), (nearer, seqs[nearer]), (1 - nearer, seqs[1 - nearer]))
        compared += await rig.check_some([model.message(line, seq, message, 0) for line, seq in taken])
        channel = (await rig.counters())[2]
        assert (channel["mold.gaps"], channel["mold.missing"]) == (1 + (more > 1), seqs[1 - nearer] - 3), (near, more)
    assert compared == 3 * len(cases)
    rtl.note(events_compared=compared)
