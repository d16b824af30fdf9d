"""hwgw_feed under a bench: drives both lines beat by beat, reads counters and the log of events.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from rtl.traffic import FLOWS
from support.rtl_model import Feed

from hwgw.specs import registers

CARD = registers.load()
QUIET = 24  # cycles in which everything that is under way arrives, but for what waits in the stores

_on: set[int] = set()  # locates that are on

Beat = tuple[int, int, int, int]  # data, keep, last, user
IDLE: Beat = (0, 0, 0, 0)


def generator() -> random.Random:
    """The generator of this run, from the seed that cocotb was given."""
    return random.Random(cocotb.RANDOM_SEED)


def beats(data: bytes, is_bad: bool = False, idle: Iterable[int] = ()) -> list[Beat]:
    """A frame as beats of 8 bytes; idle: how many empty cycles stand before each of its first beats."""
    result: list[Beat] = []
    gaps = iter(idle)
    for at in range(0, len(data), 8):
        part = data[at : at + 8]
        is_last = at + 8 >= len(data)
        result += [IDLE] * next(gaps, 0)
        keep = (1 << len(part)) - 1
        result.append((int.from_bytes(part, "little"), keep, int(is_last), int(is_last and is_bad)))
    return result


class Rig:
    """One DUT; start() resets it."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.read_cnt = 0
        self._clock: Any = None

    async def start(self, **settings: int) -> None:
        """Reset with these settings (cfg_ is left out); the flows are those of FLOWS."""
        dut = self.dut
        defaults = {
            "enable": 1, "verified": 1, "group_a": FLOWS[0][0], "port_a": FLOWS[0][1], "group_b": FLOWS[1][0],
            "port_b": FLOWS[1][1], "channel": 7, "jump_max": 0, "hold_cycles": 0, "all": 1,
            "symbol_locate": 0, "symbol_is_on": 0, "symbol_instrument": 0,
        }  # fmt: skip
        for name, value in (defaults | settings).items():
            getattr(dut, f"cfg_{name}").value = value
        for name in ("restart", "repair", "symbol_locate"):
            getattr(dut, f"cmd_{name}").value = 0
        for line in "ab":
            self._put(line, IDLE)
        dut.m_axis_event_tready.value = 1
        dut.price_instrument.value = 0
        dut.log_idx.value = 0
        dut.now_base.value = random.getrandbits(64)  # every bit of a time stamp is to change
        dut.rst.value = 1
        if self._clock is None:
            self._clock = cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
        await self.wait(4)
        dut.rst.value = 0
        await self.wait(2)
        for locate in sorted(_on):  # reset leaves the locate table as it is
            await self.subscribe(locate, 0, is_on=False)
        self.read_cnt = 0

    def _put(self, line: str, beat: Beat) -> None:
        dut = self.dut
        data, keep, last, user = beat
        valid = getattr(dut, f"s_axis_{line}_tvalid")
        valid.value = int(keep != 0)
        if keep:
            getattr(dut, f"s_axis_{line}_tdata").value = data
            getattr(dut, f"s_axis_{line}_tkeep").value = keep
            getattr(dut, f"s_axis_{line}_tlast").value = last
            getattr(dut, f"s_axis_{line}_tuser").value = user

    async def wait(self, cycles: int) -> None:
        """Let cycles go by."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)

    async def play(self, a: Sequence[Beat] = (), b: Sequence[Beat] = (), quiet: int = QUIET) -> None:
        """Drive the beats of both lines from the same cycle on, then wait."""
        edge = RisingEdge(self.dut.clk)
        was = {"a": False, "b": False}
        for at in range(max(len(a), len(b))):
            for line, run in (("a", a), ("b", b)):
                beat = run[at] if at < len(run) else IDLE
                if beat[1] or was[line]:
                    self._put(line, beat)
                was[line] = bool(beat[1])
            await edge
        for line in "ab":
            self._put(line, IDLE)
        await self.wait(quiet)
        for _ in range(400):
            await ReadOnly()
            is_busy = int(self.dut.is_busy.value)
            await self.wait(QUIET)
            if not is_busy:
                return
        raise AssertionError("records wait for good")

    async def pulse(self, name: str) -> None:
        """One cycle of a cmd_ input."""
        getattr(self.dut, f"cmd_{name}").value = 1
        await self.wait(1)
        getattr(self.dut, f"cmd_{name}").value = 0
        await self.wait(3)

    async def subscribe(self, locate: int, instrument: int, is_on: bool = True) -> None:
        """A row of the locate table."""
        self.dut.cfg_symbol_locate.value = locate
        self.dut.cfg_symbol_instrument.value = instrument
        self.dut.cfg_symbol_is_on.value = int(is_on)
        _on.add(locate) if is_on else _on.discard(locate)
        await self.pulse("symbol_locate")

    async def events(self) -> list[tuple[int, bytes]]:
        """The events since the last call: cycle and record."""
        await ReadOnly()
        end = int(self.dut.log_cnt.value)
        assert end - self.read_cnt <= 1 << 14, f"{end - self.read_cnt} events: more than the log of the bench holds"
        await RisingEdge(self.dut.clk)
        result = []
        for idx in range(self.read_cnt, end):
            self.dut.log_idx.value = idx
            await RisingEdge(self.dut.clk)
            await ReadOnly()
            entry = int(self.dut.log_entry.value)
            result.append((entry >> 512, (entry & ((1 << 512) - 1)).to_bytes(64, "little")))
            await RisingEdge(self.dut.clk)
        self.read_cnt = end
        return result

    async def counters(self) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """Counters other than 0 of line A, line B and the channel."""
        await ReadOnly()
        found = []
        for bus, names in (
            ("counts_a", CARD.line_counters),
            ("counts_b", CARD.line_counters),
            ("counts", CARD.channel_counters),
        ):
            value = int(getattr(self.dut, bus).value)
            counts = {name: (value >> 32 * idx) & 0xFFFFFFFF for idx, name in enumerate(names)}
            found.append({name: count for name, count in counts.items() if count})
        if "mold.missing" in found[2]:
            found[2]["mold.missing"] = int(self.dut.missing_sum.value)
        assert int(self.dut.clash_cnt.value) == 0, "a verdict did not meet the end of its packet"
        await RisingEdge(self.dut.clk)
        return found[0], found[1], found[2]

    async def check_some(self, expected: Sequence[bytes]) -> int:
        """The events since the last call are those expected, but for their time stamps; how many were compared."""
        got = [record[:24] + bytes(8) + record[32:] for _, record in await self.events()]
        for idx, (mine, theirs) in enumerate(zip(got, expected, strict=False)):
            assert mine == theirs, f"event {idx} of {len(expected)}: {mine.hex(' ', 8)} and not {theirs.hex(' ', 8)}"
        assert len(got) == len(expected), f"{len(got)} events and not {len(expected)}"
        return len(expected)

    async def check(self, model: Feed, expected: Sequence[bytes], with_events: bool = True) -> int:
        """The counters are those of the model, and the events, as check_some() has them."""
        compared = await self.check_some(expected) if with_events else 0
        counted_a, counted_b, counted = await self.counters()
        assert counted_a == dict(model.lines[0]), f"line A: {counted_a} and not {dict(model.lines[0])}"
        assert counted_b == dict(model.lines[1]), f"line B: {counted_b} and not {dict(model.lines[1])}"
        unknown, changes = model.trades.unknown, model.trades.count
        wanted = dict(model.counters) | {"event.records": self.read_cnt, "book.top_changes": changes}
        wanted["book.drop_unknown_ref"] = unknown
        wanted = {name: value for name, value in wanted.items() if value}
        assert counted == wanted, f"channel: {counted} and not {wanted}"
        return compared

    async def price(self, instrument: int) -> tuple[int, int]:
        """Price and quantity of the last trade of an instrument."""
        self.dut.price_instrument.value = instrument
        await self.wait(3)
        await ReadOnly()
        result = int(self.dut.price_px.value), int(self.dut.price_qty.value)
        await RisingEdge(self.dut.clk)
        return result

    async def take(self, cnt: int) -> list[bytes]:
        """So many records from the host's port, which is opened for them."""
        dut = self.dut
        dut.m_axis_event_tready.value = 1
        result = []
        for _ in range(4 * cnt):
            await ReadOnly()
            if int(dut.m_axis_event_tvalid.value):
                result.append(int(dut.m_axis_event_tdata.value).to_bytes(64, "little"))
            await RisingEdge(dut.clk)
            if len(result) == cnt:
                break
        dut.m_axis_event_tready.value = 0
        return result
