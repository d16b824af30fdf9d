"""The risk gate between a producer, a consumer and a writer of limits that pause at random, against the golden model.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge
from hwgw_sim.golden.risk import Risk
from support.risk import NAMES, make
from support.risk_stream import Stream
from support.rtl import note

from hwgw import specs

FIELDS = specs.load("order").layout("order").fields
EVENT_CNT = 250 * int(os.environ["HWGW_RTL_SIZE"])
PATIENCE = 200_000


def pack(event: dict[str, int]) -> int:
    """A record as the number on the port."""
    return sum(event[field.name] << 8 * field.offset for field in FIELDS)


class Bench:
    """The gate, and what it said."""

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut, self.rng = dut, rng
        self.said: list[tuple[int, int]] = []
        self.pause = 0.5

    async def reset(self) -> None:
        """From reset to ready."""
        dut = self.dut
        for name in ("s_axis_event_tvalid", "s_axis_limits_tvalid", "s_axis_limits_tlast", "m_axis_verdict_tready"):
            getattr(dut, name).value = 0
        dut.s_axis_event_tdata.value = dut.s_axis_limits_tdata.value = 0
        dut.rst.value = 1
        cocotb.start_soon(Clock(dut.clk, 2, unit="ns").start())
        for _ in range(4):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        for _ in range(PATIENCE):
            await FallingEdge(dut.clk)
            if dut.is_ready.value:
                return
        raise AssertionError("never ready")

    async def offer(self, port: str, word: int, pause: float) -> None:
        """One word into a stream, after a pause of some cycles."""
        while self.rng.random() < pause:
            await FallingEdge(self.dut.clk)
        getattr(self.dut, f"s_axis_{port}_tdata").value = word
        getattr(self.dut, f"s_axis_{port}_tvalid").value = 1
        for _ in range(PATIENCE):
            await ReadOnly()
            is_taken = bool(getattr(self.dut, f"s_axis_{port}_tready").value)
            await FallingEdge(self.dut.clk)
            if is_taken:
                getattr(self.dut, f"s_axis_{port}_tvalid").value = 0
                return
        raise AssertionError(f"{port}: never taken")

    async def table(self, table: bytes) -> None:
        """A table of limits, word by word."""
        words = [int.from_bytes(table[at : at + 8], "little") for at in range(0, len(table), 8)]
        for number, word in enumerate(words):
            self.dut.s_axis_limits_tlast.value = number + 1 == len(words)
            await self.offer("limits", word, 0.05 * self.pause)

    async def listen(self) -> None:
        """Takes answers, with pauses."""
        dut = self.dut
        while True:
            dut.m_axis_verdict_tready.value = self.rng.random() >= self.pause
            await ReadOnly()
            if dut.m_axis_verdict_tvalid.value and dut.m_axis_verdict_tready.value:
                self.said.append((int(dut.m_axis_verdict_tdata.value), int(dut.m_axis_verdict_tuser.value)))
            await FallingEdge(dut.clk)

    async def until(self, count: int) -> None:
        """Waits for so many answers."""
        for _ in range(PATIENCE):
            if len(self.said) >= count:
                return
            await FallingEdge(self.dut.clk)
        raise AssertionError(f"{len(self.said)} answers of {count}")


@cocotb.test()
async def any_pauses_give_the_same_verdicts(dut: Any) -> None:
    """Random events with random pauses on every interface; the pauses are other ones every 50 events."""
    rng = random.Random(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await bench.reset()
    golden = Risk()
    stream = Stream(golden, rng, tables=0.0)
    given = stream.start()
    while given[0][1] is None or golden.generation == 0:  # a table that is taken comes first
        event, table = given[0]
        if table is not None and Risk().event(event, table) == 0:
            break
        given[0] = stream.limits()
    cocotb.start_soon(bench.listen())
    want: list[tuple[int, int]] = []
    for number in range(EVENT_CNT):
        if number % 50 == 0:
            bench.pause = rng.choice((0.0, 0.3, 0.9))
        event, table = given.pop(0) if given else stream.next()
        if table is not None:
            await bench.until(len(want))
            await bench.table(table)
        want.append((pack(make("none") | event), golden.event(event, table)))
        await bench.offer("event", want[-1][0], bench.pause)
    await bench.until(len(want))
    for number, (got, expected) in enumerate(zip(bench.said, want, strict=True)):
        assert got == expected, f"event {number}: {NAMES[got[1]]}, not {NAMES[expected[1]]}"
    note(events_compared=len(want), reasons={NAMES[reason]: 1 for _, reason in want})
