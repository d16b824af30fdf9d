"""Tests of hwgw_send behind hwgw_feed, run inside a simulator by test_send.py.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamSink
from hwgw_sim.golden import order as golden
from hwgw_sim.golden.frame import Template
from rtl import traffic
from rtl.feed_rig import beats
from support import rtl
from support.order_records import pack, unpack
from support.risk import ACCOUNT, INSTRUMENT, PX, STRATEGY, Bench, make

from hwgw.specs import load

SHOTS = 24
LOCATE = 13
RULE = load("rule").layout("rule")
SENT = int(load("sent").enum("outcome").code("sent"))
TEMPLATE = Template(bytes(range(1, 7)), bytes(range(2, 8)), bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)), 40000, 5000)
LOAN = {"seq": 0xFFFFFF00, "end": 0x00010000, "ack": 77, "window": 500, "expiry": 2**64 - 1}
SYMBOL = "HWGW    "
PORT = golden.Port(tuple(SYMBOL for _ in range(1024)))


class Table(Bench):
    """Generous limits as the table's bytes."""

    def __init__(self) -> None:
        self.ts = self.generation = 0
        self.table = b""
        self.limit()

    def send(self, event: dict[str, int], table: bytes | None = None) -> str:
        """Keeps the table."""
        self.table = table or self.table
        return "pass"


def rule(**changes: int) -> int:
    """The bits of a rule: buys 100 when they are offered at PX or below."""
    values = {
        "when": 1, "side": 1, "tif": 2, "account": ACCOUNT, "strategy": STRATEGY, "armed": 1, "when_px": PX, "px": PX,
        "qty": 100,
    } | changes  # fmt: skip
    return sum(values.get(field.name, 0) << 8 * field.offset for field in RULE.fields)


def offer(rng: random.Random, px: int) -> bytes:
    """An added sell order of the instrument."""
    data = bytearray(traffic.message(rng, "A"))
    layout = traffic.TABLE.message("A")
    values = {"stock_locate": LOCATE, "shares": 100, "price": px}
    for name, value in values.items():
        field = layout.field(name)
        data[field.offset : field.offset + field.length] = value.to_bytes(field.length, "big")
    data[layout.field("side").offset] = ord("S")
    return bytes(data)


class Rig:
    """The whole path."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.frames, self.verdicts, self.sent = (
            AxiStreamSink(AxiStreamBus.from_prefix(dut, prefix), dut.clk, dut.rst)
            for prefix in ("m_axis", "m_axis_verdict", "m_axis_sent")
        )
        for sink in (self.frames, self.verdicts, self.sent):
            sink.log.setLevel("WARNING")
        self.seq = 1

    async def wait(self, cycles: int) -> None:
        """Let cycles go by."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)

    async def until(self, name: str, value: int = 1, most: int = 40_000) -> None:
        """Wait for a port."""
        for _ in range(most):
            await ReadOnly()
            seen = int(getattr(self.dut, name).value)
            await RisingEdge(self.dut.clk)
            if seen == value:
                return
        raise AssertionError(f"{name} is not {value} after {most} cycles")

    async def pulse(self, name: str, **values: int) -> None:
        """One cycle of a command, with what it takes."""
        for port, value in values.items():
            getattr(self.dut, port).value = value
        getattr(self.dut, name).value = 1
        await self.wait(1)
        getattr(self.dut, name).value = 0

    async def record(self, kind: str, **fields: int) -> None:
        """A record of the host, taken."""
        event = make(kind, **{"strategy": STRATEGY, "account": ACCOUNT} | fields)
        await self.put(pack(event))

    async def put(self, record: bytes) -> None:
        """64 bytes, taken."""
        self.dut.s_axis_record_tdata.value = int.from_bytes(record, "little")
        self.dut.s_axis_record_tvalid.value = 1
        await self.until("s_axis_record_tready")
        self.dut.s_axis_record_tvalid.value = 0

    async def verdict(self) -> tuple[dict[str, int], int]:
        """The next record and the gate's answer."""
        got = await self.verdicts.recv()
        user = got.tuser[0] if isinstance(got.tuser, list | bytearray) else got.tuser
        return unpack(bytes(got.tdata)), int(user)

    async def start(self) -> None:
        """Everything that an order needs."""
        dut = self.dut
        for port in dut:
            if port._name.startswith(("s_axis", "cfg_", "cmd_", "halt")) and not port._name.endswith("tready"):
                if port._name != "halted":
                    port.value = 0
        dut.cfg_group_a.value, dut.cfg_port_a.value = traffic.FLOWS[0]
        dut.rst.value = 1
        cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
        await self.wait(4)
        dut.rst.value = 0
        await self.until("is_ready")
        text = int.from_bytes(SYMBOL.encode(), "little")
        await self.pulse(
            "cfg_symbol_we", cfg_symbol_locate=LOCATE, cfg_symbol_instrument=INSTRUMENT, cfg_symbol_text=text
        )
        header = TEMPLATE.header(0, 0, 0, b"")
        for word in range(14):
            data = int.from_bytes(header[4 * word : 4 * word + 4], "little")
            await self.pulse("cmd_template_data", cfg_template_word=word, cfg_template_data=data)
        await self.pulse("cmd_lend", **{f"cfg_loan_{name}": value for name, value in LOAN.items()})
        await self.wait(2)
        await ReadOnly()
        assert int(dut.loan_is_out.value) == 1
        await self.wait(1)
        await self._limits(Table().table)
        for kind, fields in (
            ("limits", {"venue_ref": 1}), ("beat", {}), ("arm", {}), ("feed", {"instrument": INSTRUMENT, "qty": 1}),
            ("ref", {"instrument": INSTRUMENT, "px": PX}),
        ):  # fmt: skip
            await self.record(kind, **fields)
            _, reason = await self.verdict()
            assert reason == 0, (kind, reason)
        await self.play([traffic.message(random.Random(1), "S")])  # the feed knows its session now
        await self.wait(40)

    async def _limits(self, table: bytes) -> None:
        dut = self.dut
        for at in range(0, len(table), 8):
            dut.s_axis_limits_tdata.value = int.from_bytes(table[at : at + 8], "little")
            dut.s_axis_limits_tvalid.value = 1
            dut.s_axis_limits_tlast.value = int(at + 8 >= len(table))
            await self.until("s_axis_limits_tready")
        dut.s_axis_limits_tvalid.value = 0
        await self.until("is_table_offered")

    async def play(self, messages: list[bytes]) -> dict[int, int]:
        """A packet of line A; the cycle of each beat."""
        dut = self.dut
        cycles = {}
        for number, (data, keep, last, _) in enumerate(beats(traffic.frame(0, traffic.packet(self.seq, messages)))):
            dut.s_axis_a_tdata.value, dut.s_axis_a_tkeep.value = data, keep
            dut.s_axis_a_tlast.value, dut.s_axis_a_tvalid.value = last, 1
            await ReadOnly()
            cycles[number] = int(dut.cycle.value)
            await RisingEdge(dut.clk)
        dut.s_axis_a_tvalid.value = 0
        self.seq += len(messages)
        return cycles


async def first_beat(dut: Any, seen: list[int]) -> None:
    """The cycles in which frames begin."""
    is_begin = True
    while True:
        await ReadOnly()
        if int(dut.m_axis_tvalid.value):
            if is_begin:
                seen.append(int(dut.cycle.value))
            is_begin = bool(int(dut.m_axis_tlast.value) and int(dut.m_axis_tready.value))
        await RisingEdge(dut.clk)


@cocotb.test()
async def a_message_becomes_an_order_frame_in_a_constant_number_of_cycles(dut: Any) -> None:
    rng = random.Random(cocotb.RANDOM_SEED)
    rig = Rig(dut)
    await rig.start()
    begun: list[int] = []
    cocotb.start_soon(first_beat(dut, begun))
    dut.cfg_trigger_enable.value = 1
    latency: dict[str, list[int]] = {"low lane": [], "high lane": []}
    seq = LOAN["seq"]
    for shot in range(SHOTS):
        await rig.pulse("cmd_rule_store", cfg_symbol_instrument=INSTRUMENT, cfg_rule=rule())
        await rig.pulse("cmd_shot", cfg_shot_ref=3 * shot + 7)  # the host's numbers, with gaps
        await rig.wait(3)
        before = [traffic.message(rng, rng.choice("DXPE")) for _ in range(rng.randrange(4))]
        if shot < 8:  # every lane: types of all lengths before it
            before = [traffic.message(rng, "SDXEAUCP"[shot])]
        messages = [*before, offer(rng, PX), offer(rng, PX)]  # the second finds no shot left
        cycles = await rig.play(messages)
        end = (
            42 + 20 + sum(2 + len(message) for message in messages[:-1]) - 1
        )  # the place of the last byte of the first
        verdict, reason = await rig.verdict()
        assert (reason, verdict["instrument"], verdict["ref"]) == (0, INSTRUMENT, 3 * shot + 7), verdict
        frame = bytes((await rig.frames.recv()).tdata)
        packet = golden.encode(verdict, PORT)
        assert (verdict["px"], verdict["qty"], verdict["seq"]) == (PX, 100, rig.seq - 2)
        assert frame == TEMPLATE.frame(seq, LOAN["ack"], LOAN["window"], packet)
        record = bytes((await rig.sent.recv()).tdata)
        assert (record[0], int.from_bytes(record[4:8], "little")) == (SENT, seq)
        assert record[8 : 8 + len(packet)] == packet
        seq = seq + len(packet) & 0xFFFFFFFF
        assert len(begun) == shot + 1
        latency["low lane" if end % 8 < 2 else "high lane"].append(begun[-1] - cycles[end // 8])
        await rig.record("rejected", ref=verdict["ref"])  # so that nothing stays open
        assert (await rig.verdict())[1] == 0
    await rig.wait(100)
    assert all(sink.empty() for sink in (rig.frames, rig.verdicts, rig.sent))
    spread = {f"trigger to frame, {lane}": {"min": min(of), "max": max(of)} for lane, of in latency.items() if of}
    rtl.note(latency_cycles=spread, shots=SHOTS)


@cocotb.test()
async def whatever_records_come_each_is_answered_and_a_good_order_passes_after_them(dut: Any) -> None:
    rng = random.Random(cocotb.RANDOM_SEED)
    rig = Rig(dut)
    await rig.start()
    counts: Counter[str] = Counter()
    highest = 0
    for number in range(120):
        record = make("new", ref=0, instrument=INSTRUMENT, account=ACCOUNT, strategy=STRATEGY, side=1, type=1, tif=1,
                      px=PX, qty=100)  # fmt: skip
        is_good = number % 5 == 4
        if not is_good:  # nothing here may latch a halt or disarm: acknowledgements and times are the gate's own tests
            record["kind"] = rng.choice((1, 1, 1, 2, 3, 0, 18, 99, 255))
            name = rng.choice(("side", "type", "tif", "flags", "account", "instrument", "qty", "px"))
            record[name] = (
                rng.choice((0, 77, 0xFF)) if name not in ("instrument", "px", "qty") else rng.choice((0, 7777))
            )
            record["orig_ref"], record["venue_ref"] = rng.getrandbits(32), 0
            if record["kind"] == 3:
                record["ref"] = highest + 1000
        await rig.put(pack(record))
        verdict, reason = await rig.verdict()
        counts["passed" if reason == 0 else "refused"] += 1
        if is_good:
            assert reason == 0, (number, verdict, reason)
            assert verdict["ref"] > highest
        if reason == 0 and verdict["kind"] in (1, 2, 3):
            highest = max(highest, verdict["ref"])
            sent = bytes((await rig.sent.recv()).tdata)
            assert sent[0] == SENT
            frame = bytes((await rig.frames.recv()).tdata)
            assert frame[54:] == golden.encode(verdict, PORT)
            counts["frames"] += 1
            await rig.record("rejected", ref=verdict["ref"])
            assert (await rig.verdict())[1] == 0
    await rig.wait(50)
    assert all(sink.empty() for sink in (rig.frames, rig.verdicts, rig.sent))
    # halt: nothing but a cancel; nothing leaves
    dut.halt.value = 1
    await rig.record("new", instrument=INSTRUMENT, side=1, type=1, tif=1, px=PX, qty=100)
    assert (await rig.verdict())[1] != 0
    await rig.wait(30)
    assert all(sink.empty() for sink in (rig.frames, rig.sent))
    rtl.note(records=dict(counts))
