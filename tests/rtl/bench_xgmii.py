"""Tests of hwgw_xgmii, run inside a simulator by test_xgmii.py.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import random
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamMonitor, AxiStreamSink
from cocotbext.eth import XgmiiFrame, XgmiiSource
from hwgw_sim.golden import xgmii as golden
from rtl import traffic
from support import rtl
from support.rtl_model import CARD, Feed

SIZE = int(os.environ.get("HWGW_RTL_SIZE", "1"))
WORDS, FRAMES = 2_000 * SIZE, 120 * SIZE
CARD_FRAMES = 24 * SIZE
LATENCY = 8  # cycles after which everything has come out
CAUSES = ("frames", "drop_fcs", "drop_runt", "drop_symbol")
IDLE_WORD = [(1, golden.IDLE)] * 8


class Rig:
    """The DUT, what came out of it, and its pulses."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.frames = AxiStreamMonitor(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
        self.frames.log.setLevel("WARNING")
        self.pulses: Counter[str] = Counter()

    async def start(self) -> None:
        """Reset; the link is idle."""
        self.put(IDLE_WORD)
        self.dut.rst.value = 1
        cocotb.start_soon(Clock(self.dut.clk, 4, "ns").start())
        await self.wait(4)
        self.dut.rst.value = 0
        cocotb.start_soon(self._count())

    def put(self, word: Sequence[golden.Lane]) -> None:
        """Eight lanes."""
        self.dut.xgmii_rxd.value = sum(byte << 8 * lane for lane, (_, byte) in enumerate(word))
        self.dut.xgmii_rxc.value = sum(control << lane for lane, (control, _) in enumerate(word))

    async def wait(self, cycles: int) -> None:
        """Let cycles go by."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)

    async def _count(self) -> None:
        while True:
            await ReadOnly()
            seen = [cause for cause in CAUSES if int(getattr(self.dut, f"pulse_{cause}").value)]
            assert len(seen) <= 1, seen
            self.pulses.update(seen)
            await RisingEdge(self.dut.clk)

    def check(self, expected: Sequence[golden.Frame]) -> Counter[str]:
        """What came out is what was expected, beat by beat and pulse by pulse; how many of each cause."""
        counts: Counter[str] = Counter()
        for number, frame in enumerate(expected):
            got = self.frames.recv_nowait()
            body = frame.data[: -golden.FCS_SZ]
            user = got.tuser if isinstance(got.tuser, int) else [int(bit) for bit in got.tuser]
            is_bad = bool(user if isinstance(user, int) else user[-1])
            assert is_bad == bool(frame.cause), (number, frame)
            assert isinstance(user, int) or not any(user[: (len(got.tdata) - 1) // 8 * 8]), "tuser before tlast"
            if body:
                assert bytes(got.tdata) == body, (number, bytes(got.tdata).hex(), frame)
            else:
                assert (len(got.tdata), is_bad) == (1, True), (number, got)
            counts[f"drop_{frame.cause}" if frame.cause else "frames"] += 1
        assert self.frames.empty()
        assert self.pulses == counts
        return counts


def fcs(data: bytes) -> bytes:
    """A frame with its FCS."""
    return data + zlib.crc32(data).to_bytes(golden.FCS_SZ, "little")


@cocotb.test()
async def frames_of_an_independent_source_come_out_whole_or_marked_bad(dut: Any) -> None:
    rng = random.Random(cocotb.RANDOM_SEED)
    rig = Rig(dut)
    await rig.start()
    source = XgmiiSource(dut.xgmii_rxd, dut.xgmii_rxc, dut.clk, dut.rst)
    source.log.setLevel("WARNING")
    expected, lanes = [], Counter[int]()
    for number in range(FRAMES):
        source.ifg = rng.choice((5, 8, 12, 12, 13, 40))  # 5 is what a receiver has to stand (clause 46.2.1)
        source.force_offset_start = rng.random() < 0.4
        size = rng.choice((60, 61, 62, 63, 64, 65, 66, 67, 68, 200, 1514, rng.randrange(60, 300)))
        data, cause = fcs(rng.randbytes(size)), rng.choice(("", "", "", "fcs", "runt", "symbol"))
        if number == FRAMES // 2:
            data, cause = fcs(rng.randbytes(9000)), ""
        if cause == "fcs":
            at = rng.randrange(8 * len(data))
            data = bytes(byte ^ (1 << at % 8 if index == at // 8 else 0) for index, byte in enumerate(data))
        if cause == "runt":
            data = fcs(rng.randbytes(rng.randrange(60))) if rng.random() < 0.8 else rng.randbytes(rng.randrange(5))
        frame = XgmiiFrame.from_raw_payload(data, tx_complete=lambda sent: lanes.update([sent.start_lane]))
        if cause == "symbol":
            at = rng.randrange(8, len(frame.data))
            frame.data[at] = golden.ERROR
            frame.ctrl = [int(index == at) for index in range(len(frame.data))]
            data = bytes(frame.data[8:])
        await source.send(frame)
        await source.wait()
        await rig.wait(rng.choice((0, 0, 0, 1, 2)))
        expected.append(golden.Frame(data, cause))
    await rig.wait(LATENCY)
    counts = rig.check(expected)
    assert set(counts) == set(CAUSES)
    assert min(lanes[lane] for lane in (0, 4)) > FRAMES // 8, lanes
    rtl.note(frames=FRAMES, causes=dict(counts))


def noise(rng: random.Random) -> list[golden.Lane]:
    """Lanes as no transmitter sends them: starts, ends and errors anywhere, and between them frames that are some."""
    run: list[golden.Lane] = []
    while len(run) < 8 * WORDS:
        chance = rng.random()
        if chance < 0.5:
            data = fcs(rng.randbytes(rng.choice((60, 61, 62, 63, 64, rng.randrange(0, 90)))))
            frame = [(1, golden.START), *((0, byte) for byte in golden.PREAMBLE + data), (1, golden.TERMINATE)]
            if rng.random() < 0.4:
                at = rng.randrange(len(frame))
                odd = (golden.START, golden.TERMINATE, golden.ERROR, golden.IDLE, 0x9C)
                frame[at] = rng.choice((*((1, code) for code in odd), (0, rng.randrange(256))))
            run += [(1, golden.IDLE)] * (-len(run) % 4)
            run += frame
        elif chance < 0.9:
            run += [(1, golden.IDLE)] * rng.randrange(14)
        else:
            run += [
                (rng.randrange(2), rng.choice((0xFB, 0xFD, 0xFE, 0x07, 0x55, 0xD5))) for _ in range(rng.randrange(12))
            ]
    return run + [(1, golden.IDLE)] * (16 - len(run) % 8)


@cocotb.test()
async def whatever_stands_in_the_lanes_every_start_is_one_frame(dut: Any) -> None:
    rng = random.Random(cocotb.RANDOM_SEED)
    rig = Rig(dut)
    await rig.start()
    lanes = noise(rng)
    for at in range(0, len(lanes), 8):
        rig.put(lanes[at : at + 8])
        await rig.wait(1)
    rig.put(IDLE_WORD)
    await rig.wait(LATENCY)
    counts = rig.check(golden.frames(lanes))
    assert set(counts) == set(CAUSES)
    rtl.note(frames=sum(counts.values()), causes=dict(counts))


class Lite:
    """The card's registers through AXI-Lite."""

    def __init__(self, dut: Any) -> None:
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        for half in (self.master.write_if, self.master.read_if):
            half.log.setLevel("WARNING")

    async def write(self, name: str, value: int) -> None:
        """A register."""
        await self.master.write_dword(CARD.register(name).offset, value)

    async def counts(self) -> dict[str, int]:
        """Every counter that is not 0, as a snapshot has it; those of a line begin with it."""
        await self.write(
            "command", 1 << next(part.bit for part in CARD.register("command").parts if part.name == "snapshot")
        )
        while not await self.master.read_dword(CARD.register("snapshot_cnt").offset):
            pass
        found = {slot.full_name: await self.master.read_qword(slot.offset) for slot in CARD.slots}
        return {name: value for name, value in found.items() if value}


@cocotb.test()
async def what_comes_over_xgmii_is_what_the_card_gives(dut: Any) -> None:
    """Both lines from independent sources, some frames bad: events and every counter are those of the golden models."""
    rng = random.Random(cocotb.RANDOM_SEED)
    sources = [
        XgmiiSource(getattr(dut, f"xgmii_{line}_rxd"), getattr(dut, f"xgmii_{line}_rxc"), dut.clk, dut.rst)
        for line in "ab"
    ]
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_event"), dut.clk, dut.rst, byte_lanes=64)
    for end in (*sources, sink):
        end.log.setLevel("WARNING")
    lite = Lite(dut)
    dut.rst.value = 1
    cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    (group_a, port_a), (group_b, port_b) = traffic.FLOWS
    settings = {"group_a": group_a, "port_a": port_a, "group_b": group_b, "port_b": port_b, "channel": 7, "control": 7}
    for name, value in settings.items():
        await lite.write(name, value)
    model = Feed(traffic.FLOWS, is_all=True, channel=7)
    expected, seq = [], 1
    for turn in range(CARD_FRAMES):
        line, messages = rng.randrange(2), [traffic.message(rng) for _ in range(rng.randint(1, 5))]
        sound = fcs(traffic.frame(line, traffic.packet(seq, messages)).ljust(60, b"\0"))
        is_bad = turn % 4 == 3
        sources[line].force_offset_start = rng.random() < 0.5
        for data in (sound[:-1] + bytes((sound[-1] ^ 1,)), sound) if is_bad else (sound,):  # the bad one comes again
            await sources[line].send(XgmiiFrame.from_raw_payload(data))
            await sources[line].wait()
            expected += [record for record, _ in model.frame(line, sound[: -golden.FCS_SZ], is_bad=data != sound)]
        for _ in range(24):
            await RisingEdge(dut.clk)
        seq += len(messages)
    got = [bytes((await sink.recv()).tdata) for _ in expected]
    assert [record[:24] + bytes(8) + record[32:] for record in got] == expected
    assert sink.empty()
    wanted = {
        f"{line}.{name}": count
        for line, counts in zip("ab", model.lines, strict=True)
        for name, count in counts.items()
    }
    wanted |= dict(model.counters) | {"event.records": len(got)}
    assert await lite.counts() == {name: count for name, count in wanted.items() if count}
    rtl.note(events_compared=len(got))
