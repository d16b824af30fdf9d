"""Tests of hwgw_frame, run inside a simulator by test_send.py.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
from collections import Counter
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamSink
from hwgw_sim.golden import frame as golden
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap
from support import rtl

from hwgw.specs import load

SIZE = int(os.environ.get("HWGW_RTL_SIZE", "1"))
PACKETS = 300 if cocotb.SIM_NAME.startswith("Icarus") else 2_000 * SIZE if SIZE > 1 else 1_500
OUTCOMES = {int(code.value): code.slug for code in load("sent").enum("outcome").values}
U32 = 0xFFFFFFFF


def make_template(rng: random.Random) -> golden.Template:
    """Any connection; one in two has sums that the lengths, or the window, carry over."""
    found = golden.Template(
        rng.randbytes(6), rng.randbytes(6), rng.randbytes(4), rng.randbytes(4), rng.randrange(65536),
        rng.randrange(65536), rng.randrange(256), rng.randrange(1, 256), rng.choice((0, rng.randrange(65536))),
    )  # fmt: skip
    if rng.random() < 0.5:
        return found
    header = dataclasses.replace(found, identification=0, source_port=0).header(0, 0, 0, b"")
    own = header[14:16] + bytes(4) + header[20:24] + bytes(2) + header[26:34]  # IPv4 without lengths and checksums
    of_tcp = header[26:34] + b"\0\6" + header[34:38] + header[46:48]
    return dataclasses.replace(
        found,
        identification=(golden.checksum(own) - rng.randrange(90)) % 0xFFFF,
        source_port=(golden.checksum(of_tcp) - rng.randrange(3)) % 0xFFFF,
    )


def by_scapy(template: golden.Template, seq: int, ack: int, window: int, payload: bytes) -> bytes:
    """The frame as scapy builds it."""

    def mac(raw: bytes) -> str:
        return raw.hex(":")

    def address(raw: bytes) -> str:
        return ".".join(map(str, raw))

    return bytes(
        Ether(dst=mac(template.mac_destination), src=mac(template.mac_source), type=0x0800)
        / IP(src=address(template.source), dst=address(template.destination), tos=template.dscp_ecn, ttl=template.ttl,
             id=template.identification, flags="DF", proto=6)
        / TCP(sport=template.source_port, dport=template.destination_port, seq=seq, ack=ack, flags="PA", window=window)
        / payload
    )  # fmt: skip


class Rig:
    """hwgw_frame, cycle by cycle, beside the golden model."""

    def __init__(self, dut: Any, rng: random.Random, pauses: float) -> None:
        self.dut, self.rng = dut, rng
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
        self.records = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_sent"), dut.clk, dut.rst)
        for end in (self.sink, self.records):
            end.log.setLevel("WARNING")
            end.set_pause_generator(rng.random() < pauses for _ in itertools.count())
        self.lender = golden.Lender()
        self.template = make_template(rng)
        self.now = rng.getrandbits(40)
        self.judged_by: int | None = None  # the time of the cycle before, when the loan is that of the cycle before
        self.is_busy = False
        self.is_sound = True  # what has been loaded is a template
        self.waiting: tuple[bytes, int, bool, bool] | None = None
        self.expected: list[tuple[int, int, bytes, int]] = []
        self.frames: list[bytes] = []
        self.refused = self.told_refused = 0
        self.stalled: tuple[int, int, int] | None = None  # the beat that was not taken in the cycle before

    async def start(self) -> None:
        """Reset and load the template."""
        dut = self.dut
        for name in ("halt", "cmd_template_data", "cmd_lend", "cmd_renew", "cmd_return", "s_valid", "s_len", "s_packet",
                     "s_is_good", "s_is_cancel", "cfg_loan_seq", "cfg_loan_end", "cfg_loan_ack", "cfg_loan_window",
                     "cfg_loan_expiry", "cfg_template_word", "cfg_template_data", "now"):  # fmt: skip
            getattr(dut, name).value = 0
        dut.rst.value = 1
        cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
        for _ in range(4):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        header = self.template.header(1, 2, 3, b"")  # numbers, window, lengths and checksums are not read
        await self.load(header)

    async def load(self, header: bytes) -> None:
        """The words of a template."""
        dut = self.dut
        for word in range(14):
            dut.cfg_template_word.value = word
            dut.cfg_template_data.value = int.from_bytes(header[4 * word : 4 * word + 4], "little")
            dut.cmd_template_data.value = 1
            await RisingEdge(dut.clk)
        dut.cmd_template_data.value = 0

    async def change(self) -> None:
        """Another time and another template, when no loan is out; before it, now and then, what is none."""
        while await self.cycle() or self.is_busy:
            pass
        self.now = self.rng.getrandbits(64) >> self.rng.randrange(64)
        self.now = min(self.now, 2**64 - 2**32)
        if self.rng.random() < 0.5:
            self.is_sound = False
            await self.write(self.rng.randbytes(56))
            await self.cycle("lend", **fresh_loan(self, self.rng))
        self.template = make_template(self.rng)
        await self.write(self.template.header(1, 2, 3, b"").ljust(56, b"\0"))
        self.is_sound = True

    async def write(self, words: bytes) -> None:
        """As load, cycle by cycle, in any order, and words that there are not."""
        for word in self.rng.sample(range(16), 16):
            data = int.from_bytes(words[4 * word :][:4], "little")
            await self.cycle("template", word=word, data=data)

    def offer(self, packet: bytes, is_good: bool, is_cancel: bool, size: int | None = None) -> None:
        """Put a packet at the port; it stays until it is taken. size: what it says of its length."""
        self.waiting = (packet, len(packet) if size is None else size, is_good, is_cancel)
        self.dut.s_packet.value = int.from_bytes(packet, "little")
        self.dut.s_len.value = self.waiting[1]
        self.dut.s_is_good.value = int(is_good)
        self.dut.s_is_cancel.value = int(is_cancel)
        self.dut.s_valid.value = 1

    async def cycle(
        self, command: str = "", halt: bool = False, step: int = 1, word: int = 3, data: int = 0, **loan: int
    ) -> bool:
        """One cycle; True when the packet at the port was taken."""
        dut, lender = self.dut, self.lender
        for name, value in loan.items():
            getattr(dut, f"cfg_loan_{name}").value = value
        for name in ("lend", "renew", "return"):
            getattr(dut, f"cmd_{name}").value = int(command == name)
        dut.cmd_template_data.value = int(command == "template")
        dut.cfg_template_word.value, dut.cfg_template_data.value = word, data
        dut.halt.value = int(halt)
        dut.now.value = self.now
        await ReadOnly()
        self._stable()
        self.told_refused += int(dut.pulse_refused.value)
        assert int(dut.loan_is_out.value) == lender.is_out
        was_busy = int(dut.is_busy.value)
        self.is_busy = bool(was_busy)
        if lender.is_out and was_busy == 0:
            assert int(dut.loan_next.value) == lender.next
        is_taken = bool(self.waiting) and bool(int(dut.s_ready.value))
        was_out = lender.is_out
        if self.judged_by is not None:
            lender.expire(self.judged_by)
        if is_taken:
            self._judge(halt)
        self._command(command, bool(was_busy), was_out, loan, word)
        self.now += step
        await RisingEdge(dut.clk)
        if is_taken:
            dut.s_valid.value = 0
            self.waiting = None
        return is_taken

    def _stable(self) -> None:
        """A beat that is not taken stays as it is."""
        dut = self.dut
        if not int(dut.m_axis_tvalid.value):
            assert self.stalled is None
            return
        beat = (int(dut.m_axis_tdata.value), int(dut.m_axis_tkeep.value), int(dut.m_axis_tlast.value))
        assert self.stalled in (None, beat)
        self.stalled = None if int(dut.m_axis_tready.value) else beat

    def _judge(self, halt: bool) -> None:
        packet, size, is_good, is_cancel = self.waiting or (b"", 0, False, False)
        lender = self.lender
        outcome, seq = lender.packet(size, is_good, is_cancel, halt)
        self.expected.append((outcome, seq, packet, size))
        if OUTCOMES[outcome] == "sent":
            frame = by_scapy(self.template, seq, lender.ack, lender.window, packet)
            assert frame == self.template.frame(seq, lender.ack, lender.window, packet), "scapy and the golden model"
            self.frames.append(frame)

    def _command(self, command: str, was_busy: bool, was_out: bool, loan: dict[str, int], word: int) -> None:
        """What a command does; lend and renew are judged by the loan as it stood at the beginning of the cycle."""
        lender = self.lender
        self.judged_by = self.now
        if command == "lend":
            done = not was_busy and not was_out and self.is_sound and lender.lend(**loan)
        elif command == "renew":
            is_over = was_out and not lender.is_out
            lender.is_out = was_out
            done = lender.renew(**{name: value for name, value in loan.items() if name != "seq"})
            lender.is_out = was_out and not is_over
        elif command == "return":
            lender.give_back()
            done = True
        else:
            done = command != "template" or not (was_out or was_busy or word >= 14)
        if done and command in ("lend", "renew"):
            self.judged_by = None
        self.refused += not done

    async def finish(self) -> Counter[str]:
        """Wait until all has left; compare everything; outcomes."""
        for _ in range(1000):
            await self.cycle()
            if not self.waiting and not int(self.dut.is_busy.value) and self.records.count() == len(self.expected):
                break
        await self.cycle()
        counts: Counter[str] = Counter()
        for outcome, seq, packet, size in self.expected:
            record = bytes(self.records.recv_nowait().tdata)
            got = (record[0], record[1], int.from_bytes(record[4:8], "little"), record[8:])
            assert got == (outcome, size, seq, packet.ljust(56, b"\0")), (got, OUTCOMES[outcome], seq, packet)
            counts[OUTCOMES[outcome]] += 1
        assert self.records.empty()
        for frame in self.frames:
            got_frame = bytes(self.sink.recv_nowait().tdata)
            assert got_frame == frame, f"{got_frame.hex()} and not {frame.hex()}"
        assert self.sink.empty()
        assert counts["sent"] == len(self.frames)
        assert self.told_refused == self.refused
        return counts


def fresh_loan(rig: Rig, rng: random.Random) -> dict[str, int]:
    """A loan for some packets and some time; now and then one that cannot be."""
    seq = rng.choice((rng.getrandbits(32), U32 - rng.randrange(200)))
    size = rng.choice((0, 1, 60, 400, 1 << 30, (1 << 30) + 1, *[rng.randrange(200, 5000)] * 14))
    expiry = rig.now + rng.choice((0, 1, 40, *[rng.randrange(400, 6000)] * 10))
    ack, window = (U32, 0xFFFF) if rng.random() < 0.1 else (rng.getrandbits(32), rng.getrandbits(16))
    if rng.random() < 0.1:
        expiry = rng.choice((2**64 - 1, rng.randrange(rng.getrandbits(64) | 1)))
    return {"seq": seq, "end": seq + size & U32, "ack": ack, "window": window, "expiry": expiry}


@cocotb.test()
async def frames_are_those_of_scapy_and_never_beyond_the_loan(dut: Any) -> None:
    rng = random.Random(cocotb.RANDOM_SEED)
    rig = Rig(dut, rng, 0.3)
    await rig.start()
    is_halted, taken, commands = False, 0, 0
    for _ in range(60 * PACKETS):
        if rig.waiting is None and not rig.lender.is_out and rng.random() < 0.05:
            await rig.change()
        if rig.waiting is None and rng.random() < 0.5:
            packet = rng.randbytes(rng.choice((12, 43, 50, 56, rng.randint(0, 56))))
            if rng.random() < 0.1:
                packet = b"\xff" * len(packet)  # the highest sums
            size = rng.randint(57, 63) if rng.random() < 0.02 else None
            rig.offer(packet, rng.random() < 0.97, rng.random() < 0.3, size)
        command, loan = "", {}
        is_short = (rig.lender.end - rig.lender.next + 100 & U32) < 200
        if rng.random() < (0.2 if is_short or not rig.lender.is_out else 0.02):
            command = rng.choice(("lend", "renew", "renew", "return", "template") if rig.lender.is_out else ("lend",))
            loan = fresh_loan(rig, rng)
            if command == "renew":
                loan["end"] = rig.lender.next + rng.choice((0, 30, 500, 1000, 3000, 5000, U32)) & U32
            commands += 1
        is_halted ^= rng.random() < (0.2 if is_halted else 0.005)
        taken += await rig.cycle(command, is_halted, rng.choice((0, 1, 1, 2, 9)), **loan)
        if taken == PACKETS:
            break
    counts = await rig.finish()
    assert taken == PACKETS == sum(counts.values())
    wrpcap("frames.pcap", list(map(Ether, rig.frames)))
    rtl.note(outcomes=dict(counts), frames=len(rig.frames), refused=rig.refused, commands=commands)


@cocotb.test()
async def a_frame_begins_a_cycle_after_its_packet_and_takes_a_beat_per_cycle(dut: Any) -> None:
    rng = random.Random(cocotb.RANDOM_SEED)
    rig = Rig(dut, rng, 0.0)
    await rig.start()
    await rig.cycle("lend", seq=7, end=7 + 56 * 300, ack=1, window=2, expiry=1 << 63)
    cycles = []
    for size in (*range(1, 57), 50, 50):
        rig.offer(rng.randbytes(size), True, False)
        while not await rig.cycle():
            pass
        await ReadOnly()
        assert int(dut.m_axis_tvalid.value) == 1
        begin = 1
        while not int(dut.m_axis_tlast.value):
            await RisingEdge(dut.clk)
            await ReadOnly()
            assert int(dut.m_axis_tvalid.value) == 1
            begin += 1
        assert begin == -(-(54 + size) // 8)
        await RisingEdge(dut.clk)
        cycles.append(1)
    counts = await rig.finish()
    assert counts == {"sent": 58}
    rtl.note(latency_cycles={"frame": {"min": min(cycles), "max": max(cycles)}})


@cocotb.test()
async def a_template_that_is_not_ipv4_and_tcp_gets_no_loan(dut: Any) -> None:
    rng = random.Random(cocotb.RANDOM_SEED)
    rig = Rig(dut, rng, 0.0)
    await rig.start()
    sound = rig.template.header(0, 0, 0, b"")
    loan = {"seq": 1, "end": 1000, "ack": 1, "window": 2, "expiry": 1 << 63}
    refused = 0
    for at, value in ((12, 0x81), (14, 0x46), (23, 17), (46, 0x60), (47, 0x11)):
        await rig.load(sound[:at] + bytes([value]) + sound[at + 1 :])
        for name, number in loan.items():
            getattr(dut, f"cfg_loan_{name}").value = number
        dut.cmd_lend.value = 1
        await RisingEdge(dut.clk)
        dut.cmd_lend.value = 0
        await ReadOnly()
        assert int(dut.loan_is_out.value) == 0
        refused += int(dut.pulse_refused.value)
        await RisingEdge(dut.clk)
    assert refused == 5
    await rig.load(sound)
    await rig.cycle("lend", **loan)
    rig.offer(b"order", True, False)
    while not await rig.cycle():
        pass
    assert await rig.finish() == {"sent": 1}
