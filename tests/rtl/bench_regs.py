"""cocotb bench of the registers: random accesses and pulses against a model made from the table.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import logging
import os
import random
from collections import Counter
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from hwgw.specs import registers

MAP = registers.load()
RANDOM = random.Random(int(os.environ["HWGW_SEED"]))
ACCESSES = int(os.environ["HWGW_ACCESSES"])
CNT = len(MAP.slots)
GATE_CNT = len(MAP.gate_slots)
WIDE = next(slot.index for slot in MAP.slots if slot.name == "mold.missing")


class Bench:
    """The registers, an AXI-Lite master that pauses at random, and what they should hold."""

    def __init__(self, dut: Any) -> None:
        for name in ("cocotb.regs_top", "cocotb.regs_top.s_axil"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.dut = dut
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.master.write_if.log.setLevel(logging.WARNING)
        self.master.read_if.log.setLevel(logging.WARNING)
        self.stored = {register.name: register.reset for register in MAP.registers}
        self.pulses: Counter[int] = Counter()
        self.copies: list[tuple[Counter[int], dict[str, int]]] = []
        self.commands: Counter[str] = Counter()
        self.is_pulsing = False

    async def start(self) -> None:
        """Reset, and pauses on every channel of the bus."""
        dut = self.dut
        for name in ("pulse", "gate_pulse", "amount", "state", "now", "next_seq", "session", "price_px", "price_qty"):
            getattr(dut, name).value = 0
        Clock(dut.clk, 10, "ns").start()
        dut.rst.value = 1
        for _ in range(4):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        writer, reader = self.master.write_if, self.master.read_if
        for channel in (writer.aw_channel, writer.w_channel, writer.b_channel, reader.ar_channel, reader.r_channel):
            pauses = random.Random(RANDOM.random())
            channel.set_pause_generator(iter(lambda pauses=pauses: pauses.random() < 0.3, None))
        cocotb.start_soon(self.drive())
        for _ in range(CNT + 4):
            await RisingEdge(dut.clk)

    async def drive(self) -> None:
        """Pulses and status of each cycle, counted as the contract says; what a snapshot is to hold."""
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            bits = RANDOM.getrandbits(CNT) & RANDOM.getrandbits(CNT) if self.is_pulsing else 0
            amount = RANDOM.getrandbits(40)
            status = {
                "now": RANDOM.getrandbits(64),
                "next_seq": RANDOM.getrandbits(64),
                "session": RANDOM.getrandbits(80),
            }
            dut.pulse.value = bits
            dut.gate_pulse.value = bits & (1 << GATE_CNT) - 1  # each the same as a counter of the feed
            dut.amount.value = amount
            for name, value in status.items():
                getattr(dut, name).value = value
            await ReadOnly()
            for name in ("restart", "repair", "snapshot", "symbol_we"):
                self.commands[name] += int(getattr(dut, name).value)
            if dut.snapshot.value:
                self.copies.append((Counter(self.pulses), status))
            for index in range(CNT):
                if bits >> index & 1:
                    self.pulses[index] += amount if index == WIDE else 1

    async def read(self, offset: int) -> tuple[int, bool]:
        """A word, and whether the answer was an error."""
        answer = await self.master.read(offset, 4)
        return int.from_bytes(answer.data, "little"), answer.resp != AxiResp.OKAY

    async def write(self, offset: int, value: int) -> bool:
        """Whether the answer was an error."""
        answer = await self.master.write(offset, value.to_bytes(4, "little"))
        return bool(answer.resp != AxiResp.OKAY)

    async def wide(self, offset: int, words: int) -> int:
        """A value of several words."""
        return sum([(await self.read(offset + 4 * word))[0] << 32 * word for word in range(words)])


@cocotb.test()
async def random_accesses_find_what_the_table_says(dut: Any) -> None:
    """Every word of the address range, read and written at random."""
    bench = Bench(dut)
    await bench.start()
    by_offset = {r.offset + 4 * word: (r, word) for r in MAP.registers for word in range(r.words)}
    words = {r.offset + 4 * word for r in MAP.registers for word in range(r.words)}
    words |= {slot.offset + 4 * word for slot in (*MAP.slots, *MAP.gate_slots) for word in (0, 1)}
    entries = {window.offset + 4 * word for window in MAP.windows for word in range(window.words)}
    read = written = errors = commands = 0
    for _ in range(ACCESSES):
        offset = (
            RANDOM.choice(sorted(words)) if RANDOM.random() < 0.8 else 4 * RANDOM.randrange(1 << MAP.address_bits - 2)
        )
        register, word = by_offset.get(offset, (None, 0))
        shift = 32 * word
        if RANDOM.random() < 0.5:
            value, failed = await bench.read(offset)
            assert failed == (offset not in words), hex(offset)
            if register and register.access == "const":
                assert value == register.value
            elif register and register.access in ("rw", "strobe"):
                assert value == bench.stored[register.name] >> shift & 0xFFFFFFFF, register.name
            elif failed or (register and register.access == "command"):
                assert value == 0
            read += 1
        else:
            value = RANDOM.getrandbits(32)
            if register and register.name == "command":
                value &= 3  # snapshots have a test of their own
                commands += value.bit_count()
            failed = await bench.write(offset, value)
            assert failed == (offset not in entries and (register is None or not register.is_writable)), hex(offset)
            if register and register.access in ("rw", "strobe"):
                old = bench.stored[register.name] & ~(0xFFFFFFFF << shift)
                bench.stored[register.name] = old | value << shift & register.mask
            written += 1
        errors += failed
    for register in MAP.registers:
        if register.access in ("rw", "strobe"):
            assert await bench.wide(register.offset, register.words) == bench.stored[register.name], register.name
    assert commands == bench.commands["restart"] + bench.commands["repair"]
    assert min(read, written) > ACCESSES // 3
    assert errors > ACCESSES // 20


@cocotb.test()
async def bytes_that_are_not_enabled_keep_their_value(dut: Any) -> None:
    """Each subset of a word's bytes."""
    bench = Bench(dut)
    await bench.start()
    scratch = MAP.register("scratch").offset
    for _ in range(16):
        old, new = RANDOM.getrandbits(32), RANDOM.getrandbits(32)
        first = RANDOM.randrange(4)
        count = RANDOM.randrange(1, 5 - first)
        await bench.write(scratch, old)
        await bench.master.write(scratch + first, new.to_bytes(4, "little")[first : first + count])
        mask = ((1 << 8 * count) - 1) << 8 * first
        assert (await bench.read(scratch))[0] == (old & ~mask) | (new & mask)


@cocotb.test()
async def a_snapshot_is_of_one_cycle(dut: Any) -> None:
    """Counters and status under pulses in every cycle, from zero on."""
    bench = Bench(dut)
    await bench.start()
    snapshot_cnt = MAP.register("snapshot_cnt").offset
    begin = (await bench.read(snapshot_cnt))[0]
    for turn in range(1, 4):
        bench.is_pulsing = True
        for _ in range(RANDOM.randrange(300)):
            await RisingEdge(dut.clk)
        await bench.write(MAP.register("command").offset, 4)
        while (await bench.read(snapshot_cnt))[0] != begin + turn:
            pass
        pulses, status = bench.copies[-1]
        assert len(bench.copies) == turn
        for slot in MAP.slots:
            assert await bench.wide(slot.offset, 2) == pulses[slot.index] % 2**64, slot.full_name
        for slot in MAP.gate_slots:
            assert slot.index < WIDE
            assert await bench.wide(slot.offset, 2) == pulses[slot.index], slot.full_name
        for name, value in status.items():
            register = MAP.register(name)
            assert await bench.wide(register.offset, register.words) == value, name
    assert sum(bool(count) for count in pulses.values()) == CNT


@cocotb.test()
async def a_symbol_is_stored_when_its_locate_is_written(dut: Any) -> None:
    """One pulse per write, with the row beside it."""
    bench = Bench(dut)
    await bench.start()
    seen: list[tuple[int, int, int]] = []

    async def watch() -> None:
        while True:
            await RisingEdge(dut.clk)
            await ReadOnly()
            if dut.symbol_we.value:
                seen.append(tuple(int(x.value) for x in (dut.symbol_locate, dut.symbol_instrument, dut.symbol_is_on)))

    cocotb.start_soon(watch())
    rows = [(RANDOM.getrandbits(16), RANDOM.getrandbits(10), RANDOM.getrandbits(1)) for _ in range(20)]
    for locate, instrument, is_on in rows:
        await bench.write(MAP.register("symbol").offset, instrument | is_on << 16)
        await bench.write(MAP.register("symbol_locate").offset, locate)
    assert seen == rows


@cocotb.test()
async def whole_words_of_a_window_and_the_last_word_of_a_strobe_are_told_of(dut: Any) -> None:
    """Where, what, and nothing for a part of a word."""
    bench = Bench(dut)
    await bench.start()
    ring = MAP.windows[0]
    limits = MAP.register("limits")
    seen: list[tuple[int, ...]] = []

    async def watch() -> None:
        while True:
            await RisingEdge(dut.clk)
            await ReadOnly()
            if dut.order_ring.value:
                seen.append((int(dut.ring_addr.value), int(dut.ring_data.value)))
            if dut.limits.value:
                seen.append((int(dut.limits_word.value),))

    cocotb.start_soon(watch())
    told: list[tuple[int, ...]] = []
    for _ in range(20):
        word, value = RANDOM.randrange(ring.words), RANDOM.getrandbits(64)
        if RANDOM.random() < 0.3:
            answer = await bench.master.write(ring.offset + 4 * word + RANDOM.randrange(1, 4), b"x")
            assert answer.resp != AxiResp.OKAY
        elif RANDOM.random() < 0.5:
            assert not await bench.write(ring.offset + 4 * word, value & 0xFFFFFFFF)
            told.append((word, value & 0xFFFFFFFF))
        else:
            await bench.write(limits.offset, value & 0xFFFFFFFF)
            await bench.write(limits.offset + 4, value >> 32)
            told.append((value,))
        assert (await bench.read(ring.offset + 4 * word))[1]
    assert seen == told
    assert {len(each) for each in told} == {1, 2}
