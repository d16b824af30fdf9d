"""Tests of hwgw_feed, run inside a simulator by test_rtl.py.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Sequence

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource
from hwgw_sim import wire
from hwgw_sim.layers import MoldUDP64, MoldUDP64Block, itch50
from hwgw_sim.stream import Stream, split
from rtl import traffic
from rtl.feed_rig import IDLE, Rig, beats, generator
from rtl.traffic import FLOWS, frame, packet
from scapy.layers.inet import IP, UDP, IPOption_Router_Alert
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.utils import RawPcapReader
from support import rtl
from support.rtl_model import Feed, c_event, unpack

from hwgw import specs

SIZE = int(os.environ.get("HWGW_RTL_SIZE", "1"))  # how much longer than the short form
SHARE = 3 if cocotb.SIM_NAME.startswith("Icarus") else 1  # it is slow, and there to agree
STATE = {code.slug: int(code.value) for code in specs.load("segment").enum("feed_state").values}
SYMBOLS = {1: 5, 2: 1023, 3: 0, 13: 77, 16383: 512}  # locate -> instrument
JUDGED = 3  # cycles from a packet header at the line to a message that can be taken
JOINED = 2  # more, of the packet that sets session and number
VERIFIED = 19  # cycles from the last beat of a frame to the event of its one message
SETTINGS = 4 * SIZE
WIDTHS = {
    "group_a": 32, "port_a": 16, "group_b": 32, "port_b": 16, "jump_max": 32, "channel": 16, "hold_cycles": 16,
}  # fmt: skip
QUIET_SWITCH = 32  # cycles between frames of different lines, so that their order is certain


def same_as_c(record: bytes, message: bytes) -> bool:
    """True when the C decoder makes this record of the message; what it does not fill is taken from the record."""
    event = unpack(record)
    known = {name: event[name] for name in ("line", "seq", "channel", "instrument", "t_rx")}
    return c_event(message, **known) == record


def plain(record: bytes) -> bytes:
    """A record without its line and time stamp."""
    return record[:3] + record[4:24] + record[32:]


def bins(line: int, messages: Sequence[bytes]) -> dict[str, int]:
    """Functional coverage: type, lane in which the block begins, where in the packet, line."""
    found, at = {}, 20
    for idx, message in enumerate(messages):
        place = (
            "only" if len(messages) == 1 else "first" if idx == 0 else "last" if idx == len(messages) - 1 else "middle"
        )
        if message[:1] and any(chr(message[0]) == layout.code for layout in traffic.TYPES):
            found[f"{chr(message[0])} {at % 8} {place} {'AB'[line]}"] = 1
        at += 2 + len(message)
    return found


async def faults(dut, **settings: int) -> None:
    """Frames one after another with every fault, on both lines, against the golden models: events and counters."""
    rng = generator()
    rig = Rig(dut)
    jump_max = rng.choice((0, 1000, 1000))
    await rig.start(jump_max=jump_max, all=0, verified=1, **settings)
    model = Feed(FLOWS, jump_max=jump_max, channel=7)
    for locate, instrument in SYMBOLS.items():
        await rig.subscribe(locate, instrument)
        model.symbols[locate] = instrument
    stream = [traffic.message(rng) for _ in range(700 * SIZE // SHARE)]
    expected: list[bytes] = []
    lanes: tuple[list, list] = ([], [])
    compared = frames = 0
    covered: dict[str, int] = {}
    last = 0
    for seq, messages in traffic.cut(rng, stream):
        for line in rng.sample((0, 1), 2):
            dice = rng.random()
            if dice < 0.08:
                continue  # lost
            payload = packet(seq, messages)
            if dice < 0.30 and (compared or expected):  # one that is far ahead may not be the first of all
                payload = traffic.spoilt(rng, seq, messages, model.mold.next_seq, jump_max)
            data = frame(line, payload)
            if 0.30 <= dice < 0.55:
                data = traffic.special(rng, data, line)
            is_bad = rng.random() < 0.03
            repeats = 2 if rng.random() < 0.05 else 1
            for _ in range(repeats):
                given = model.frame(line, data, is_bad)
                assert all(same_as_c(record, message) for record, message in given)
                if given:
                    covered |= bins(line, messages)
                expected += [record for record, _ in given]
                idle = [rng.choice((0, 0, 0, 1, 3)) for _ in range(len(data) // 8)] if rng.random() < 0.2 else ()
                run = beats(data, is_bad, idle)
                if line != last:
                    lanes[line].extend([(0, 0, 0, 0)] * (len(lanes[last]) + QUIET_SWITCH - len(lanes[line])))
                lanes[line].extend(run)
                last = line
                frames += 1
        if frames > 150 or seq + len(messages) > len(stream):
            await rig.play(*lanes)
            compared += await rig.check_some(expected)
            expected, lanes, frames, last = [], ([], []), 0, 0
    await rig.check(model, [], with_events=False)
    assert compared > 100 * SIZE // SHARE
    assert int(dut.next_seq.value) == model.mold.next_seq
    assert int(dut.state.value) == model.mold.state
    for locate, instrument in SYMBOLS.items():
        assert await rig.price(instrument) == model.trades.last.get(instrument, (0, 0)), locate
    rtl.note(events_compared=compared, functional=covered)


@cocotb.test()
async def faults_and_special_frames(dut):
    """Verified: as C, whatever comes."""
    await faults(dut)


def group_name(group: int) -> str:
    """An address as wire.py takes it."""
    return ".".join(map(str, group.to_bytes(4, "big")))


@cocotb.test()
async def any_settings_sessions_and_numbers(dut):
    """Flows, session, numbers, bounds at random; numbers that cannot be; types that are none; the end; switched off."""
    rng = generator()
    rig, compared = Rig(dut), 0
    settings: dict[str, int] = {}
    turn = -1
    while (turn := turn + 1) < SETTINGS or (compared < 8 and turn < 10 * SETTINGS):  # of few turns all may be refused
        # every other turn has the complement of the one before, so that each bit changes, and back
        settings = {
            name: settings[name] ^ (1 << width) - 1 if turn % 2 else rng.getrandbits(width)
            for name, width in WIDTHS.items()
        }
        flows = [(settings[f"group_{line}"], settings[f"port_{line}"]) for line in "ab"]
        if turn % 4 > 1:
            settings["jump_max"] = rng.choice((0, rng.randint(1, 2 ** rng.randint(1, 32) - 1)))
        jump_max, channel = settings["jump_max"], settings["channel"]
        is_all, session = rng.randrange(2), rng.randbytes(10)
        await rig.start(**settings, all=is_all)
        model = Feed(flows, jump_max=jump_max, is_all=bool(is_all), channel=channel)
        locate, instrument = rng.choice((1, 2, 13)), rng.getrandbits(10)
        await rig.subscribe(locate, instrument)
        model.symbols[locate] = instrument
        seq = rng.getrandbits(rng.choice((4, 32, 64))) or 1
        expected, lanes = [], ([], [])
        far = (jump_max or 2**40) + rng.getrandbits(rng.choice((4, 30, 62))) + 1
        for number, is_sound in enumerate((False, True, True, False, True, True)):
            messages = [traffic.message(rng) for _ in range(rng.randint(1, 4))]
            messages.insert(rng.randrange(2), bytes((rng.randrange(0x80, 0x100),)) + rng.randbytes(rng.randint(8, 40)))
            line, first = rng.randrange(2), seq
            if not is_sound:
                first = seq + far if number and jump_max and seq + far + 4 < 2**64 else 0
            group, port = flows[line]
            data = wire.udp_frame(group_name(group), port, packet(first, messages, session=session))
            expected += [record for record, _ in model.frame(line, data)]
            if SIZE > 1 and turn == 1 and number == 1:
                data += bytes(66_000 - len(data))  # the counter of a frame's length stays where it is
            start = max(map(len, lanes)) + QUIET_SWITCH
            lanes[line].extend([IDLE] * (start - len(lanes[line])) + beats(data))
            if is_sound and model.mold.next_seq == seq + len(messages):
                seq += len(messages)
        line = rng.randrange(2)
        data = wire.udp_frame(group_name(flows[line][0]), flows[line][1], packet(seq, [], 0xFFFF, session))
        expected += [record for record, _ in model.frame(line, data)]
        await rig.play(*lanes)
        await rig.play(*([[], beats(data)] if line else [beats(data)]))
        dut.cfg_enable.value = 0
        await rig.play(beats(data), beats(data))
        compared += await rig.check(model, expected)
        assert int(dut.next_seq.value) == model.mold.next_seq
        assert int(dut.state.value) == model.mold.state
        assert int(dut.session.value).to_bytes(10, "little") == session
        if turn == 0:
            for restart in range(256):  # last trades carry the number of restarts, mod 256 (hwgw_top.v)
                await rig.pulse("restart")
                known = model.trades.last.get(instrument, (0, 0)) if restart == 255 else (0, 0)
                assert await rig.price(instrument) == known
            assert int(dut.next_seq.value) == 0
    rtl.note(events_compared=compared)


@cocotb.test()
async def messages_of_every_type_at_once(dut):
    """Not verified: good packets of every type at every alignment, back to back, with and without idle cycles."""
    rng = generator()
    rig, model = Rig(dut), Feed(FLOWS, is_all=True, channel=7)
    await rig.start(verified=0)
    stream = [traffic.message(rng) for _ in range(1500 * SIZE // SHARE)]
    expected, run, compared = [], [], 0
    covered: dict[str, int] = {}
    line = rng.randrange(2)
    for seq, messages in traffic.cut(rng, stream, rng.choice((3, 9, 30))):
        data = frame(line, packet(seq, messages))
        for record, message in model.frame(line, data):
            assert same_as_c(record, message)
            expected.append(record)
        covered |= bins(line, messages)
        run += beats(data, idle=[rng.randrange(3) for _ in range(len(data) // 8)] if rng.random() < 0.3 else ())
        if len(expected) > 500 or seq + len(messages) > len(stream):
            await rig.play(*((run, ()) if line == 0 else ((), run)))
            compared += await rig.check_some(expected)
            expected, run = [], []
            line = rng.randrange(2)
    await rig.check(model, [], with_events=False)
    assert compared == len(stream)
    rtl.note(events_compared=compared, functional=covered)


async def both(rig: Rig, stream: Sequence[bytes], packets: tuple[Iterable, Iterable], skew: int) -> int:
    """Both lines at once, back to back: every message that a line carries arrives once, in order; how many."""
    model = Feed(FLOWS, is_all=True, channel=7)
    carried = [[], []]
    lanes = [[], [(0, 0, 0, 0)] * skew]
    for line in (0, 1):
        for seq, messages in packets[line]:
            carried[line] += range(seq, seq + len(messages))
            lanes[line] += beats(frame(line, packet(seq, messages)))
    await rig.play(*lanes)
    union = sorted(set(carried[0]) | set(carried[1]))
    got = [record for _, record in await rig.events()]
    a, b, channel = await rig.counters()
    wanted = [model.message(0, seq, stream[seq - 1], 0) for seq in union]
    assert [unpack(record)["seq"] for record in got] == union
    for mine, theirs, seq in zip(got, wanted, union, strict=True):
        line = mine[3]
        assert seq in carried[line], f"message {seq} of line {'AB'[line]}, which did not carry it"
        assert plain(mine) == plain(theirs), seq
    lost = union[-1] - union[0] + 1 - len(union)
    assert channel.get("mold.missing", 0) == lost, channel
    assert a.get("mold.messages", 0) + b.get("mold.messages", 0) == len(union)
    assert a.get("mold.duplicates", 0) + b.get("mold.duplicates", 0) == sum(map(len, carried)) - len(union)
    assert a.get("rx.frames", 0) == a.get("mold.frames", 0) + a.get("mold.drop_duplicate", 0), a
    assert b.get("rx.frames", 0) == b.get("mold.frames", 0) + b.get("mold.drop_duplicate", 0), b
    return len(union)


@cocotb.test()
async def both_lines_at_line_rate(dut):
    """No bubble, no loss: one-message frames and 9,000-byte frames of the shortest messages, both lines at once."""
    rng = generator()
    rig = Rig(dut)
    compared = 0
    shortest = [traffic.message(rng, "S") for _ in range(1900)]
    deletes = [traffic.message(rng, "D") for _ in range(200)]
    mixed = [traffic.message(rng) for _ in range(300)]
    for verified in (0, 1):
        for stream, most in ((deletes, 1), (mixed, 2), (shortest, 635)):
            await rig.start(verified=verified, hold_cycles=60000)
            cuts = (
                list(traffic.cut(random.Random(1), stream, most))
                if most < 600
                else [(1 + at, stream[at : at + most]) for at in range(0, len(stream), most)]
            )
            compared += await both(rig, stream, (cuts, cuts), skew=rng.choice((0, 0, 1, 2, 5, 9, 40)))
    assert compared == 2 * 2400
    rtl.note(events_compared=compared)


@cocotb.test()
async def lines_that_lose_fill_each_other(dut):
    """Loss, duplicates and different packets on both lines, with a hold: nothing is missing but what both lost."""
    rng = generator()
    rig = Rig(dut)
    compared = 0
    for _ in range(3 * SIZE):
        await rig.start(verified=rng.randrange(2), hold_cycles=3000)
        stream = [traffic.message(rng) for _ in range(300)]
        packets = ([], [])
        for line in (0, 1):
            for seq, messages in traffic.cut(rng, stream, rng.choice((2, 8, 20))):
                if seq == 1 or rng.random() > 0.15:
                    packets[line].append((seq, messages))
                    if rng.random() < 0.1:
                        packets[line].append(rng.choice(packets[line]))
        compared += await both(rig, stream, packets, skew=rng.randrange(30))
    rtl.note(events_compared=compared)


@cocotb.test()
async def latency_is_constant_per_alignment(dut):
    """From the beat with the last byte of a message to its event, to the host's port and to its price."""
    rng = generator()
    rig = Rig(dut)
    await rig.start(verified=0)
    for locate in range(1, 65536, 6553):
        await rig.subscribe(locate, locate % 1024)
    stream = [traffic.message(rng) for _ in range(400)]
    run, ends = [], {}
    for seq, messages in traffic.cut(rng, stream, 6):
        at = 42 + 20
        behind = (20 + 1 + len(messages[0])) // 8 - 19 // 8  # beats from the header to the first message
        for idx, message in enumerate(messages):
            at += 2 + len(message)
            ends[seq + idx] = (at - 1) // 8, (at - 1) % 8, message[:1], idx == 0, behind
        run += beats(frame(0, packet(seq, messages)))
        run += [(0, 0, 0, 0)] * 8  # as much as there is on a wire between frames, and more
    await rig.play(run)
    events = await rig.events()
    assert len(events) == 400
    first = unpack(events[0][1])["t_rx"]
    seen: dict[str, set[int]] = {}
    by_type: dict[str, int] = {}
    for cycle, record in events:
        event = unpack(record)
        beat, lane, letter, is_head, behind = ends[event["seq"]]
        latency = cycle - (event["t_rx"] + beat)
        # a first message waits until its header is judged, that of the first packet of all until it has set session and
        # number; what follows at once waits behind it, in the RAM of its line's store
        wait = max(0, (JUDGED + JOINED if event["t_rx"] == first else JUDGED) - behind)
        late = latency - (9 if lane < 2 else 10)
        if is_head:
            assert late == wait, event
        elif wait:
            assert 0 <= late <= max(wait, 2), event
        if not wait:
            seen.setdefault("now" if lane < 2 else "next", set()).add(latency)
        kind = letter.decode()
        key = f"{kind} {latency}"
        by_type[key] = by_type.get(key, 0) + 1
    assert seen == {"now": {9}, "next": {10}}, seen
    await ReadOnly()
    store = int(dut.store_min.value), int(dut.store_max.value)
    await RisingEdge(dut.clk)
    assert store == (2, 2)
    await rig.start(verified=1)
    waits = set()
    for seq in range(1, 40):
        data = frame(0, packet(seq, [stream[seq]]))
        await rig.play(beats(data))
        [(cycle, record)] = await rig.events()
        if seq > 1:
            waits.add(cycle - (unpack(record)["t_rx"] + (len(data) - 1) // 8))
    assert waits == {VERIFIED}, waits
    verified = {"min": min(waits), "max": max(waits)}
    bounds = {"decode": {"min": 9, "max": 10}, "event": {"min": store[0], "max": store[1]}, "decode_verified": verified}
    rtl.note(latency_histogram=by_type, latency_cycles=bounds, events_compared=len(events))


@cocotb.test()
async def control(dut):
    """Enable, symbols, prices, repair and restart."""
    rng = generator()
    rig = Rig(dut)
    await rig.start(all=0)
    add = traffic.message(rng, "A")
    add = (
        add[:1]
        + (13).to_bytes(2, "big")
        + add[3:19]
        + b"B"
        + (100).to_bytes(4, "big")
        + add[24:32]
        + (1234500).to_bytes(4, "big")
    )
    execute = traffic.message(rng, "E")
    execute = execute[:1] + add[1:3] + execute[3:11] + add[11:19] + (40).to_bytes(4, "big") + execute[23:]
    assert int(dut.state.value) == STATE["waiting"]

    rig.dut.cfg_enable.value = 0
    await rig.wait(2)
    await rig.play(beats(frame(0, packet(1, [add]))))
    assert await rig.counters() == ({}, {}, {})
    rig.dut.cfg_enable.value = 1
    await rig.play(beats(frame(0, packet(1, [add]))))
    assert [record for _, record in await rig.events()] == []  # locate 13 is not on
    assert (await rig.counters())[2] == {"itch.messages": 1, "book.drop_instrument": 1}
    assert int(dut.state.value) == STATE["good"]

    await rig.subscribe(13, 77)
    await rig.play((), beats(frame(1, packet(2, [add, execute]))))
    events = [unpack(record) for _, record in await rig.events()]
    assert [(event["seq"], event["instrument"], event["line"]) for event in events] == [(2, 77, 1), (3, 77, 1)]
    assert await rig.price(77) == (1234500, 40)
    await rig.subscribe(13, 77, is_on=False)
    await rig.play((), beats(frame(1, packet(4, [add]))))
    assert await rig.events() == []
    await rig.subscribe(13, 77)

    await rig.play(beats(frame(0, packet(9, [add]))))
    assert int(dut.state.value) == STATE["gapped"]
    assert (await rig.counters())[2]["mold.missing"] == 4
    await rig.pulse("repair")
    assert int(dut.state.value) == STATE["good"]
    await rig.play(beats(frame(0, packet(10, [], count=0xFFFF))))
    assert int(dut.state.value) == STATE["ended"]
    await rig.play(beats(frame(0, packet(1, [add], session=b"another   "))))
    assert (await rig.counters())[0]["mold.drop_session"] == 1

    await rig.pulse("restart")
    assert int(dut.state.value) == STATE["waiting"]
    assert await rig.price(77) == (0, 0)
    await rig.events()
    await rig.play(beats(frame(0, packet(5, [execute], session=b"another   "))))
    assert int(dut.session.value).to_bytes(10, "little") == b"another   "
    assert len(await rig.events()) == 1
    assert await rig.price(77) == (0, 0)  # the order of the session before is forgotten
    assert (await rig.counters())[2]["book.drop_unknown_ref"] == 1
    rtl.note(events_compared=3)


@cocotb.test()
async def what_does_not_fit_is_counted(dut):
    """A packet of more messages than are kept, and events that the host does not take."""
    rng = generator()
    rig = Rig(dut)
    await rig.start(verified=1)
    many = [traffic.message(rng, "S") for _ in range(1100)]
    for line in (0, 1):
        run = beats(frame(line, packet(1, many)))
        await rig.play(*([[], run] if line else [run]))
        assert (await rig.counters())[line] == {"rx.drop_ring_full": 1}
    await rig.play(beats(frame(0, packet(1, many[:1000]))))
    assert len(await rig.events()) == 1000

    await rig.start(verified=0)
    dut.m_axis_event_tready.value = 0
    await rig.play(beats(frame(0, packet(1, many[:600]))))
    channel = (await rig.counters())[2]
    assert channel["event.records"] == 513  # 512 in the store and one at the port
    assert channel["event.drop_full"] == 87
    kept = [record for _, record in await rig.events()][:513]
    assert await rig.take(513) == kept
    rtl.note(events_compared=1513)


@cocotb.test()
async def bad_frames_that_are_not_waited_for(dut):
    """Not verified: of a frame found bad at its end what was complete has left; of one with bad headers nothing."""
    rng = generator()
    rig, model = Rig(dut), Feed(FLOWS, is_all=True, channel=7)
    await rig.start(verified=0)
    runs: tuple[list, list] = ([], [])
    expected, seq, causes = [], 1, {}
    for _ in range(60 * SIZE):
        messages = [traffic.message(rng) for _ in range(rng.randint(1, 9))]
        good = frame(0, packet(seq, messages))
        ends = [42 + 20 + sum(2 + len(message) for message in messages[: k + 1]) for k in range(len(messages))]
        kind = rng.choice(("nic", "cut", "more", "less", "checksum", "foreign", "fragment"))
        short, right = good[: rng.randint(62, len(good) - 1)], int.from_bytes(good[24:26], "big")
        data, cause, done = {
            "nic": (good, "rx.drop_nic", len(messages)),
            "cut": (short, "net.drop_ip_length", sum(end <= len(short) for end in ends)),
            "more": (frame(0, packet(seq, messages, len(messages) + 1)), "mold.drop_blocks", len(messages)),
            "less": (frame(0, packet(seq, [*messages, b"x" * 20], len(messages))), "mold.drop_blocks", len(messages)),
            "checksum": (good[:24] + (right + 1).to_bytes(2, "big") + good[26:], "net.drop_ip_checksum", 0),
            "foreign": (good[:36] + bytes([good[36] ^ 1]) + good[37:], "net.drop_foreign", 0),
            "fragment": (traffic.patched(good, 6, b"\x20\x00"), "net.drop_fragment", 0),
        }[kind]
        causes[cause] = causes.get(cause, 0) + 1
        runs[0].extend(beats(data, kind == "nic"))
        runs[0].extend(beats(good))
        expected += [model.message(0, seq + k, message, 0) for k, message in enumerate(messages)]
        causes["mold.duplicates"] = causes.get("mold.duplicates", 0) + done
        used = "mold.frames" if done < len(messages) else "mold.drop_duplicate"
        causes[used] = causes.get(used, 0) + 1
        seq += len(messages)
    await rig.play(*runs)
    assert await rig.check_some(expected) == seq - 1
    a, b, _ = await rig.counters()
    causes |= {"mold.messages": seq - 1, "rx.frames": 120 * SIZE - causes.get("rx.drop_nic", 0)}
    assert a == {name: count for name, count in causes.items() if count}
    assert b == {}
    rtl.note(events_compared=len(expected))


@cocotb.test()
async def many(dut):
    """A generated market, long: golden and C agree with the Verilog on each event and on every last trade."""
    rng = generator()
    rig, model = Rig(dut), Feed(FLOWS, is_all=True, channel=7)
    await rig.start(verified=0)
    total = 1000 if SIZE == 1 else 100_000
    for locate in range(1, 21):
        await rig.subscribe(locate, locate)
        model.symbols[locate] = locate
    compared, seq = 0, rng.getrandbits(63)  # far from the end of numbers, and every bit of one is to change
    with Stream(seed=rng.getrandbits(32), symbol_cnt=20, live_max=2000) as stream:
        while compared < total:
            messages = stream.messages(1000)
            expected, run = [], []
            for start, part in traffic.cut(rng, messages, 40, seq):
                data = frame(0, packet(start, part))
                for record, message in model.frame(0, data):
                    assert same_as_c(record, message)
                    expected.append(record)
                run += beats(data)
            await rig.play(run)
            compared += await rig.check_some(expected)
            seq += len(messages)
    await rig.check(model, [], with_events=False)
    for locate in range(1, 21):
        assert await rig.price(locate) == model.trades.last.get(locate, (0, 0))
    assert compared == total
    rtl.note(events_compared=compared, trades={"known": model.trades.count, "unknown": model.trades.unknown})


def capture(name: str) -> tuple[list[bytes], list[bytes]]:
    """The frames of a shared capture, and the messages that it was made from."""
    folder = rtl.ROOT.parent / "shared" / "data"
    with RawPcapReader(str(folder / "mold" / f"{name}.mold.pcap")) as reader:
        frames = [data for data, _ in reader]
    return frames, list(split((folder / "itch50" / f"{name}.itch50").read_bytes()))


@cocotb.test()
async def captures(dut):
    """Real messages: a capture on line A; on line B, a little later, the same messages in other packets."""
    rng = generator()
    rig = Rig(dut)
    compared = 0
    names = ["open_20191230_first1000"] + ["aapl_20200130_first10k"] * (SIZE > 1)
    for name in names:
        frames, messages = capture(name)
        for verified in (0, 1) if SIZE > 1 else (rng.randrange(2),):
            await rig.start(verified=verified, hold_cycles=3000)
            model = Feed(FLOWS, is_all=True, channel=7)
            wanted = [model.message(0, seq, message, 0) for seq, message in enumerate(messages, 1)]
            assert all(same_as_c(record, message) for record, message in zip(wanted, messages, strict=True))
            again = [frame(1, packet(seq, part)) for seq, part in traffic.cut(rng, messages, 20)]
            run_a = [beat for data in frames for beat in beats(data)]
            run_b = [(0, 0, 0, 0)] * rng.randrange(60) + [beat for data in again for beat in beats(data)]
            await rig.play(run_a, run_b)
            got = [record for _, record in await rig.events()]
            for mine, theirs in zip(got, wanted, strict=True):
                assert plain(mine) == plain(theirs)
            a, b, channel = await rig.counters()
            assert channel["itch.messages"] == len(messages)
            assert "mold.gaps" not in channel
            assert a.get("mold.messages", 0) + b.get("mold.messages", 0) == len(messages)
            compared += len(got)
    rtl.note(events_compared=compared)


@cocotb.test()
async def axi_sources_and_sink(dut):
    """Scapy's packets, with tags and options, from sources that pause to a sink that pauses, on both lines."""
    rng = generator()
    rig = Rig(dut)
    await rig.start(verified=1)
    model = Feed(FLOWS, is_all=True, channel=7)
    sources = [AxiStreamSource(AxiStreamBus.from_prefix(dut, f"s_axis_{line}"), dut.clk) for line in "ab"]
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_event"), dut.clk, byte_lanes=64)
    for each in (*sources, sink):
        each.log.setLevel("WARNING")
        each.set_pause_generator(iter(lambda: rng.random() < 0.4, None))
    expected = []
    seq = 1
    for turn in range(23):
        line = rng.randrange(2)
        letters = [str(layout.code) for layout in traffic.TYPES]
        blocks = [MoldUDP64Block() / itch50(traffic.message(rng, letters[(turn + k) % 23])) for k in range(10)]
        mold = MoldUDP64(session=traffic.SESSION, sequence_number=seq, blocks=blocks)
        ip = IP(src="10.1.1.1", dst=traffic.GROUPS[line], options=[IPOption_Router_Alert()] * rng.randrange(3))
        tag = rng.choice((None, Dot1Q(vlan=5), Dot1AD(vlan=7) / Dot1Q(vlan=5)))
        data = Ether() / tag / ip if tag else Ether() / ip
        data = bytes(data / UDP(sport=1, dport=traffic.PORTS[line]) / mold)
        expected += [record for record, _ in model.frame(line, data)]
        await sources[line].send(data)
        await sources[line].wait()
        await rig.wait(QUIET_SWITCH)
        seq += 10
    got = [bytes((await sink.recv()).tdata) for _ in expected]
    assert [record[:24] + bytes(8) + record[32:] for record in got] == expected
    assert sink.empty()
    assert [record for _, record in await rig.events()] == got
    await rig.check(model, [], with_events=False)
    rtl.note(events_compared=len(got))
