"""Tests of hwgw_gate, run inside a simulator by test_gate.py: all that the host can do, beside the golden models.

SPDX-License-Identifier: MIT

What was judged, and in which order, the card says itself; that the records are those that were given, what the answer
is, what becomes of an order, and the bytes that leave are those of the golden gate, encoder and lender.
"""

from __future__ import annotations

import os
import random
from collections import Counter, deque
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge
from hwgw_sim.golden import frame, limits, order
from hwgw_sim.golden.risk import Kind, Reason, Risk
from rtl.bench_frame import make_template
from rtl.bench_trigger import FIELDS, RULE, is_rule, make_event, make_rule
from support.order_records import pack
from support.risk import NAMES, Event, make
from support.risk_stream import ACCOUNTS, INSTRUMENTS, STRATEGIES, Stream
from support.rtl import note
from support.rtl_model import pack as pack_event

from hwgw.specs import load, registers

SIZE = int(os.environ["HWGW_RTL_SIZE"])
EPOCHS, RECORDS = (5, 400) if SIZE > 1 else (1, 150)
VERDICT = load("verdict").layout("verdict").fields
OUTCOME = {code.slug: int(code.value) for code in load("sent").enum("outcome").values}
SLOTS = [slot.name.removeprefix("card.") for slot in registers.load().gate_slots]
ECHO = (
    "kind", "side", "type", "tif", "flags", "account", "strategy", "ref", "orig_ref", "instrument", "px", "qty",
    "ts_ns", "t_rx", "seq",
)  # fmt: skip
ENTRIES = 64
U32, U64 = 0xFFFFFFFF, (1 << 64) - 1
PATIENCE = 60_000
CLEARING = 1 << 14
ORDERS = (Kind.NEW, Kind.REPLACE)
COMMANDS = ("order_head", "verdict_tail", "sent_tail", "limits", "limits_restart", "lend", "renew", "return", "disarm",
            "symbol_row", "template_data", "rule_instrument", "shot_ref", "gate_reset", "heartbeat")  # fmt: skip


class Rig:
    """The gate, one cycle at a time, and what has to come of it."""

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut, self.rng = dut, rng
        self.ports: dict[str, int] = {}
        self.pulses: list[str] = []
        self.now = 0
        self.template = make_template(rng)
        self.port = order.Port((" " * 8,) * 1024)
        self.counts: Counter[str] = Counter()  # of all epochs
        self.begin()

    def begin(self) -> None:
        """Nothing is known, as after a reset."""
        self.golden, self.lender = Risk(), frame.Lender()
        self.table: bytes | None = None
        self.given: deque[tuple[Event, bool]] = deque()  # records at or in the card; is it torn
        self.passed: deque[tuple[Event, list[int]]] = deque()  # orders, and the halts since then
        self.frames: list[bytes] = []
        self.seen: list[bytes] = []
        self.beats = bytearray()
        self.head = self.number = self.verdicts = self.sents = self.judged = self.last_ref = 0
        self.rules: dict[int, Event] = {}
        self.shots: set[int] = set()
        self.events: dict[int, Event] = {}  # by their sequence number
        self.told: Counter[str] = Counter()
        self.want: Counter[str] = Counter()
        self.pauses, self.bells, self.event_rate = (0.0, 0.0, 0.0), 0.5, 0.0

    # ---- a cycle ----

    def set(self, **ports: int) -> None:
        """Ports that stay."""
        for name, value in ports.items():
            if self.ports.get(name) != value:
                self.ports[name] = value
                getattr(self.dut, name).value = value

    async def tick(self, **ports: int) -> None:
        """One cycle; commands among the ports are over behind it."""
        dut, rng = self.dut, self.rng
        if "cmd_verdict_tail" not in ports and rng.random() < self.bells:
            ports |= {"cmd_verdict_tail": 1, "cfg_verdict_tail": self.verdicts & U32}
        if "cmd_sent_tail" not in ports and rng.random() < self.bells:
            ports |= {"cmd_sent_tail": 1, "cfg_sent_tail": self.sents & U32}
        self.now += rng.choice((0, 1, 100, 10_000))
        event = self.event() if rng.random() < self.event_rate else None
        names = ("m_axis_tx_tready", "m_axis_verdict_tready", "m_axis_sent_tready")
        ready = {name: int(rng.random() >= pause) for name, pause in zip(names, self.pauses, strict=True)}
        self.set(**dict.fromkeys(self.pulses, 0), now=self.now, s_event_valid=int(event is not None))
        self.set(**ready, **ports, cfg_verdict_index=rng.randrange(64))
        if event is not None:
            self.set(s_event=int.from_bytes(pack_event(event), "little"))
        self.pulses = [name for name in ports if name.startswith(("cmd_", "win_order"))]
        await ReadOnly()
        self.waiting = int(dut.store_level.value)  # words of a table
        pulse = int(dut.pulse.value)
        while pulse:
            self.told[SLOTS[(pulse & -pulse).bit_length() - 1]] += 1
            pulse &= pulse - 1
        if ports.get("cmd_limits") or ports.get("cmd_limits_restart"):
            is_end = ports.get("cmd_limits_restart") and int(dut.sts_limits_words.value)
            self.want["drop_limits"] += bool((ports.get("cmd_limits") or is_end) and not int(dut.store_ready.value))
        if ready["m_axis_tx_tready"] and int(dut.m_axis_tx_tvalid.value):
            self.beat()
        if ready["m_axis_sent_tready"] and int(dut.m_axis_sent_tvalid.value):
            self.sent(int(dut.m_axis_sent_tdata.value).to_bytes(64, "little"))
        if ready["m_axis_verdict_tready"] and int(dut.m_axis_verdict_tvalid.value):
            self.verdict(int(dut.m_axis_verdict_tdata.value).to_bytes(64, "little"))
        await RisingEdge(dut.clk)

    def event(self) -> Event:
        """Of an instrument with a rule, mostly."""
        event = make_event(self.rng, list(self.rules) or [5])
        self.events[event["seq"]] = event
        return event

    def state(self) -> int:
        """sts_gate_state."""
        return int(self.dut.sts_gate_state.value)

    # ---- what comes out ----

    def verdict(self, data: bytes) -> None:
        """The answer to the record that was to be judged next, or to an order of a rule."""
        got = {f.name: int.from_bytes(data[f.offset : f.offset + f.length], "little") for f in VERDICT}
        self.verdicts += 1
        self.judged = self.judged + 1 & U32
        torn = False
        if got["source"]:
            event = make("none") | {name: got[name] for name in ECHO}
            self.shot(event)
        else:
            event, torn = self.given.popleft()
            assert got["number"] == self.number, (got, self.number)
            self.number = self.number + 1 & U32
            if torn:
                event = event | {name: got[name] for name in ECHO} | {"kind": 0}
            elif event["kind"] in ORDERS and event["ref"] == 0:
                event = event | {"ref": self.last_ref + 1 & U32}
                self.counts["numbered"] += 1
            if self.ports["cfg_stamps"]:
                assert self.stamped <= got["ts_ns"] <= self.now, (got, self.stamped, self.now)
                event = event | {"ts_ns": got["ts_ns"]}
            assert {name: got[name] for name in ECHO} == {name: event[name] for name in ECHO}, event
        if event["kind"] in ORDERS:
            self.last_ref = max(self.last_ref, event["ref"])
        table = None
        if event["kind"] == Kind.LIMITS:
            table, self.table = self.table, None
        before = self.golden.halt
        reason = self.golden.event(event, table)
        assert got["reason"] == reason, f"{event}: {NAMES[got['reason']]} and not {NAMES[reason]}"
        assert got["halted"] in (before, self.golden.halt), (got, before, self.golden.halt)
        is_limit = event["kind"] in ORDERS and event["type"] == 1
        assert not is_limit or got["px_judged"] == event["px"], got
        assert event["kind"] in ORDERS or got["px_judged"] == 0
        self.counts[f"{'rule' if got['source'] else 'torn' if torn else 'host'} {NAMES[reason]}"] += 1
        self.want.update({"records": not got["source"], "drop_torn": torn, "fired": got["source"]})
        if event["kind"] in (*ORDERS, Kind.CANCEL):
            self.want[f"risk.{'passed' if not reason else 'refused_' + NAMES[reason]}"] += 1
            if not reason and self.ports["cfg_sends"]:
                self.passed.append((event, []))
        if self.golden.halt:
            for _, halts in self.passed:
                halts.append(self.golden.halt)

    def shot(self, event: Event) -> None:
        """An order of a rule: one of its rule, of an event, under a number that was given for it."""
        rule, source = self.rules[event["instrument"]], self.events[event["seq"]]
        same = ("side", "tif", "flags", "account", "strategy", "px", "qty")
        assert {name: event[name] for name in same} == {name: rule[name] for name in same}
        assert (event["kind"], event["type"], event["orig_ref"]) == (Kind.NEW, 1, 0)
        assert (source["instrument"], source["t_rx"]) == (event["instrument"], event["t_rx"])
        assert self.stamped <= event["ts_ns"] <= self.now
        self.shots.remove(event["ref"])

    def packet(self, event: Event) -> bytes | None:
        """What the card makes of an order that passed."""
        if event["kind"] in ORDERS and event["venue_ref"]:
            return None  # options are the host's to send
        try:
            return bytes(order.encode(event, self.port))
        except order.EncodeError:
            return None

    def sent(self, data: bytes) -> None:
        """What became of the order that passed first of those that are not told of."""
        event, halts = self.passed.popleft()
        self.sents += 1
        packet = self.packet(event)
        is_halted = data[0] == OUTCOME["halted"]
        is_cancel = event["kind"] == Kind.CANCEL
        size = len(packet) if packet else 1
        outcome, seq = self.lender.packet(size, packet is not None, is_cancel, is_halted)
        assert (data[0], int.from_bytes(data[4:8], "little")) == (outcome, seq), (data, event, self.lender)
        assert not is_halted or halts
        if packet is not None:
            assert (data[1], data[8 : 8 + len(packet)]) == (len(packet), packet)
        if outcome == OUTCOME["sent"]:
            assert packet is not None
            self.frames.append(self.template.frame(seq, self.lender.ack, self.lender.window, packet))
        self.counts[f"outcome {outcome}"] += 1
        self.want["frames" if outcome == OUTCOME["sent"] else "drop_frame"] += 1

    def beat(self) -> None:
        """Of a frame."""
        keep = int(self.dut.m_axis_tx_tkeep.value).bit_count()
        self.beats += int(self.dut.m_axis_tx_tdata.value).to_bytes(8, "little")[:keep]
        if int(self.dut.m_axis_tx_tlast.value):
            self.seen.append(bytes(self.beats))
            self.beats.clear()

    # ---- what goes in ----

    async def reset(self, is_hard: bool, epoch: int) -> None:
        """From reset to ready, numbers of the rings anywhere."""
        dut = self.dut
        if is_hard:
            self.set(**dict.fromkeys([f"cmd_{name}" for name in COMMANDS], 0), win_order_ring=0)
            self.set(s_event_valid=0, halt=0)
            self.set(rst=1, cfg_gate_halt=0, cfg_watchdog=0, cfg_stamps=0, cfg_sends=0, cfg_trigger_enable=0)
            self.set(m_axis_tx_tready=1, m_axis_verdict_tready=1, m_axis_sent_tready=1, is_feed_good=0, now=0)
            await ClockCycles(dut.clk, 4)
            self.set(rst=0)
        self.begin()
        self.set(cfg_trigger_enable=0, cfg_sends=0)
        self.set(**dict.fromkeys(self.pulses, 0))
        self.pulses.clear()
        await ClockCycles(dut.clk, CLEARING + 8)
        await ReadOnly()
        assert self.state() & 1
        for name in ("order_tail", "verdict_head", "sent_head"):
            assert int(getattr(dut, f"sts_{name}").value) == 0
        await RisingEdge(dut.clk)
        # as after so many records
        self.head = self.number = self.rng.choice((0, U32 - 20, self.rng.getrandbits(32)))
        dut.u_ring.head_q.value = dut.u_ring.tail_q.value = self.head
        self.verdicts, self.sents = (self.rng.choice((0, U32 - 20, self.rng.getrandbits(32))) for _ in range(2))
        dut.u_verdict.head_q.value = dut.u_verdict.tail_q.value = self.verdicts
        dut.u_sent.head_q.value = dut.u_sent.tail_q.value = self.sents
        self.judged = self.rng.choice((0, U32 - 20, self.rng.getrandbits(32)))
        dut.u_send.u_risk.verdict_cnt.value = self.judged
        times = (0x5555555555555555, 0xAAAAAAAAAAAAAAAA, 2**64 - 2**33, 0)
        self.now = self.stamped = times[epoch % 4] ^ self.rng.getrandbits(32)
        await ClockCycles(dut.clk, 2)

    async def idle(self) -> None:
        """Everything that was given is answered, and has left; what rules make, too."""
        dut, quiet = self.dut, 0
        kept, self.bells, self.event_rate = (self.bells, self.event_rate), max(self.bells, 0.05), 0.0
        pauses, self.pauses = self.pauses, tuple(min(pause, 0.97) for pause in self.pauses)  # type: ignore[assignment]
        for _ in range(PATIENCE):
            await self.tick()
            is_inside = bool(self.given or self.passed or self.state() & 0x20 or int(dut.u_send.trigger_valid.value))
            quiet = 0 if is_inside or int(dut.sts_verdict_cnt.value) != self.judged else quiet + 1
            if quiet == 20:
                break
        else:
            raise AssertionError(f"{len(self.given)} records are not answered, {len(self.passed)} orders not told of")
        self.bells, self.event_rate = kept
        self.pauses = pauses
        assert self.seen == self.frames, "frames"
        assert not self.beats

    async def give(self, event: Event, table: bytes | None) -> None:
        """A record into the ring; words of the table before it."""
        rng = self.rng
        if table is not None:
            await self.idle()
            await self.limits(table)
        while (self.head - int(self.dut.sts_order_tail.value) & U32) >= ENTRIES:
            await self.tick()
        words = pack(event)
        is_torn = rng.random() < 0.02
        left_out = rng.randrange(16) if is_torn else 16
        for word in rng.sample(range(16), 16):
            if word != left_out:
                await self.tick(win_order_ring=1, win_addr=self.head % ENTRIES * 16 + word,
                                win_data=int.from_bytes(words[4 * word :][:4], "little"))  # fmt: skip
        self.given.append((event, is_torn))
        self.head = self.head + 1 & U32
        await self.tick(cmd_order_head=1, cfg_order_head=self.head)

    async def wrong(self) -> None:
        """What the host must not do."""
        rng = self.rng
        used = self.head - int(self.dut.sts_order_tail.value) & U32
        way = rng.randrange(4)
        if way == 0 and used >= 3:  # the last one is the card's for some cycles
            await self.tick(win_order_ring=1, win_addr=(self.head - 1) % ENTRIES * 16 + rng.randrange(16),
                            win_data=rng.getrandbits(32))  # fmt: skip
            self.want["drop_overrun"] += 1
        elif way == 1:
            self.want["drop_doorbell"] += 1
            head = self.head + rng.choice((ENTRIES + 1, 1 << rng.randrange(8, 32), -1 - rng.randrange(40)))
            await self.tick(cmd_order_head=1, cfg_order_head=head & U32)
        elif way == 2:
            self.want["drop_doorbell"] += 1
            await self.tick(cmd_verdict_tail=1, cfg_verdict_tail=self.verdicts + rng.randrange(2, 99) & U32)
        else:
            self.want["drop_doorbell"] += 1
            await self.tick(cmd_sent_tail=1, cfg_sent_tail=self.sents + (1 << rng.randrange(1, 31)) & U32)

    async def limits(self, table: bytes) -> None:
        """Words of a table, now and then after a part of another and words that nobody could take."""
        if self.rng.random() < 0.5:
            for _ in range(self.rng.randrange(3, 40)):
                await self.tick(cmd_limits=1, cfg_limits=self.rng.getrandbits(64))
            await self.tick(cmd_limits_restart=1)
            while int(self.dut.sts_limits_words.value):  # nor was that
                await self.tick()
                await self.tick(cmd_limits_restart=1)
            await self.tick()
        for at in range(0, len(table), 8):
            while self.waiting > 4:
                await self.tick()
            await self.tick(cmd_limits=1, cfg_limits=int.from_bytes(table[at : at + 8], "little"))
        for _ in range(40):
            await self.tick()
        self.table = table

    async def settings(self) -> None:
        """Nothing is inside: a loan, rules, symbols, halts, other pauses."""
        await self.idle()
        rng, dut = self.rng, self.dut
        has_rules = self.ports["cfg_stamps"] and rng.random() < 0.8  # of the card's time, so the host's has to be, too
        self.set(cfg_sends=int(rng.random() < 0.8), cfg_trigger_enable=int(has_rules))
        self.set(is_feed_good=int(rng.random() < 0.9))
        self.pauses = tuple(rng.choice((0.0, 0.3, 0.97)) for _ in range(3))  # type: ignore[assignment]
        self.bells, self.event_rate = rng.choice((0.2, 0.02, 0.003)), rng.choice((0.0, 0.1, 0.7))
        if self.lender.is_out and rng.random() < 0.5:
            await self.tick(cmd_return=1)
            self.lender.give_back()
        if not self.lender.is_out:
            if rng.random() < 0.3:
                await self.connection()
            seq, size = rng.choice((rng.getrandbits(32), U32 - 100)), rng.choice((30, 400, 1 << 20))
            ack, window = rng.getrandbits(32), rng.getrandbits(16)
            expiry = rng.choice((U64, U64, U64, self.now))
            self.set(cfg_loan_seq=seq, cfg_loan_end=seq + size & U32, cfg_loan_ack=ack, cfg_loan_window=window,
                     cfg_loan_expiry=expiry)  # fmt: skip
            await self.tick(cmd_lend=1)
            assert self.lender.lend(seq, seq + size & U32, ack, window, expiry)
        elif rng.random() < 0.5:
            end = self.lender.next + 5000 & U32
            self.set(cfg_loan_end=end)
            await self.tick(cmd_renew=1)
            assert self.lender.renew(end, self.lender.ack, self.lender.window, self.lender.expiry)
        for _ in range(30):
            await self.tick(**rng.choice(({}, {"cmd_heartbeat": 1})))
        self.lender.expire(self.now)
        await self.rule()
        if rng.random() < 0.4:
            await self.halt()
        assert bool(self.state() & 0x10) == self.lender.is_out
        assert int(dut.sts_loan_next.value) == self.lender.next

    async def connection(self) -> None:
        """Another template, and other symbols and texts of the session."""
        rng = self.rng
        self.template = make_template(rng)
        words = self.template.header(0, 0, 0, b"").ljust(56, b"\0")
        for word in range(15):  # the last one is none
            data = int.from_bytes(words[4 * word :][:4], "little")
            await self.tick(cmd_template_data=1, cfg_template_word=word, cfg_template_data=data)
        self.want["drop_loan"] += 1
        symbols = [*self.port.symbols, *[" " * 8] * 1024][:1024]
        for row in (*INSTRUMENTS, rng.randrange(1024)):
            symbols[row] = "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef0123.+", k=8))
            text = int.from_bytes(symbols[row].encode(), "little")
            await self.tick(cmd_symbol_row=1, cfg_symbol_row=row, cfg_symbol_text=text)
        firm = rng.choice(("UUUU", "****", "    ", "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ ", k=4))))
        cnt = rng.choice((1024, 1024, 1023, 8, rng.randrange(1, 1024)))
        self.port = order.Port(tuple(symbols[:cnt]), firm, rng.choice("APRO"), rng.choice("YNA"))
        self.set(cfg_firm=int.from_bytes(firm.encode(), "little"), cfg_capacity=ord(self.port.capacity),
                 cfg_display=ord(self.port.display), cfg_instruments=cnt)  # fmt: skip

    async def rule(self) -> None:
        """Other rules; what is none is refused."""
        rng = self.rng
        if rng.random() < 0.2:
            await self.tick(cmd_disarm=1)
            for _ in range(1100):
                await self.tick()
            self.rules.clear()
        for row in (*INSTRUMENTS, rng.randrange(1024)):
            rule = make_rule(rng)
            if rng.random() < 0.7:  # one that may pass
                rule |= {"account": rng.choice(ACCOUNTS), "strategy": rng.choice(STRATEGIES)}
                rule |= {"px": rng.choice((100_000, 99_950)), "qty": rng.choice((1, 100)), "armed": 3, "when_qty": 0}
            value = int.from_bytes(RULE.pack(*(rule[name] for name in FIELDS)), "little")
            rate, self.event_rate = self.event_rate, 0.0  # orders of the rule before are over
            for _ in range(6):
                await self.tick()
            await self.tick(cmd_rule_instrument=1, cfg_rule_instrument=row, cfg_rule=value)
            await self.idle()
            self.event_rate = rate
            if is_rule(rule):
                self.rules[row] = rule
            else:
                self.want["drop_rule"] += 1

    async def halt(self) -> None:
        """The pin, the register or the watchdog; the latch stays."""
        rng, dut = self.rng, self.dut
        rate, self.event_rate = self.event_rate, 0.0
        way = rng.choice(("halt", "cfg_gate_halt", "watchdog"))
        if way == "watchdog":
            self.set(cfg_watchdog=rng.choice((60, U32, rng.randrange(60, 2**32))))
            await self.tick(cmd_heartbeat=1)
            await self.tick()
            dut.silence_q.value = self.ports["cfg_watchdog"] - 30  # as if it had been so long
            for _ in range(25):
                await self.tick()
            assert not self.state() & 0xC
            for _ in range(20):
                await self.tick()
            assert self.state() & 0xC == 0xC
            self.want["watchdog_halts"] += 1
            await self.tick(cmd_heartbeat=1)
            self.set(cfg_watchdog=0)
        else:
            self.set(**{way: 1})
            for _ in range(rng.randrange(1, 20)):
                await self.tick()
            self.set(**{way: 0})
        for _ in range(4):
            await self.tick()
        self.golden.halt = self.golden.halt or (Reason.CONTROL_LOST if way == "watchdog" else Reason.OPERATOR)
        assert self.state() >> 8 & 0xFF == self.golden.halt, way
        assert not self.state() & 0xC
        self.event_rate = rate

    async def shoot(self) -> None:
        """A number for an order of a rule."""
        number = self.rng.choice((0, *[self.last_ref + self.rng.randrange(1, 40)] * 9)) & U32
        if number in self.shots:
            return
        self.shots |= {number} - {0}
        await self.tick(cmd_shot_ref=1, cfg_shot_ref=number)

    async def cut(self) -> None:
        """A reset of the gate in the middle of whatever is inside leaves no frame in pieces."""
        self.bells, self.event_rate = 0.2, 0.0
        self.pauses = (self.rng.choice((0.0, 0.5, 0.97)), 0.0, 0.0)
        await self.tick(cmd_gate_reset=1)
        for _ in range(PATIENCE):
            await self.tick()
            if not int(self.dut.is_ready.value):  # the bit of the status word is low while the reset waits, too
                break
        else:
            raise AssertionError("no reset")
        assert not self.beats
        more = self.seen[len(self.frames) :]
        assert self.seen[: len(self.frames)] == self.frames
        assert len(more) <= 1
        if more:  # whose record is gone
            packet = self.packet(self.passed[0][0])
            assert packet
            assert more[0] == self.template.frame(self.lender.next, self.lender.ack, self.lender.window, packet)
        self.counts["cut frames"] += len(more)
        self.counts["cut records"] += len(self.given)

    async def end(self) -> None:
        """Everything was counted."""
        await self.idle()
        for _ in range(4):
            await self.tick()
        kept = {name for name in SLOTS if not name.startswith("drop_trigger") and name != "limits_damaged"}
        for name in kept:
            assert self.told[name] == self.want[name], (name, self.told[name], self.want[name])
        self.counts.update({name: self.told[name] for name in SLOTS if not name.startswith("risk.")})


def generous(generation: int) -> bytes:
    """Limits that let pass whatever can be said, once."""
    off = 1 << Reason.SELF_CROSS | 1 << Reason.LOSS | 1 << Reason.POSITION
    account = {"rate_burst": U32, "credit_max": U64, "loss_max": U64, "open_max": U32}
    instrument = {"flags": 1, "qty_max": U32, "notional_max": U64, "collar_px_min": U32, "long_max": 2**31 - 1,
                  "short_max": 2**31 - 1, "locate_qty": U32}  # fmt: skip
    return limits.seal({
        "generation": generation, "checks_enabled": U32 & ~off, "beat_age_max_ns": U64, "ref_age_max_ns": U64,
        "gateway": account, "account": [account] * 16,
        "strategy": [{"rate_burst": U32, "fills_max": U32, "rejects_run_max": U32}] * 64,
        "instrument": [instrument if row in INSTRUMENTS else {} for row in range(1024)],
    })  # fmt: skip


def plain(rng: random.Random) -> Event:
    """An order that such limits let pass, of any size."""
    side = rng.choice((1, 2))
    whose = {"account": rng.choice(ACCOUNTS), "strategy": rng.choice(STRATEGIES), "instrument": rng.choice(INSTRUMENTS)}
    terms = {"type": rng.choice((1, 1, 2)), "tif": rng.choice((1, 2)), "flags": rng.choice((1, 2)) if side == 2 else 0}
    sizes = {"px": rng.randint(1, order.PX_MAX), "qty": rng.randint(1, order.QTY_MAX)}
    return make("new", side=side, **whose, **terms, **sizes)


async def play(rig: Rig, count: int, is_open: bool) -> None:
    """So many records, and whatever else the host does between them."""
    rng = rig.rng
    stream = Stream(rig.golden, rng, tables=0.0)
    stream.generation = min(rng.getrandbits(64), U64 - 2**20)
    given = stream.start()
    while Risk().event(*given[0]) != 0:  # the first table is one
        given[0] = stream.limits()
    if is_open:
        given[0] = (given[0][0] | {"venue_ref": stream.generation}, generous(stream.generation))
    for number in range(count):
        phase = number % 160
        if phase in (0, 40, 80):
            await rig.settings()
        if phase == 20:
            rig.pauses = tuple(rng.choice((0.0, 0.3, 0.97)) for _ in range(3))  # type: ignore[assignment]
        if phase == 82:  # one of the rings fills: that of the orders, or those of the answers
            rig.bells, rig.pauses = rng.choice(((0.01, (0.3, 0.995, 0.3)), (0.0, (0.0, 0.3, 0.3))))
        if given:
            event, table = given.pop(0)
        elif is_open and rng.random() < 0.7:
            event, table = stream.stamp(plain(rng)), None
        else:
            event, table = stream.next()
        if event["kind"] in ORDERS and rng.random() < 0.3:
            event["ref"] = 0  # the card's to number
        if event["kind"] in ORDERS and rng.random() < 0.02:
            event["ref"] = rng.getrandbits(32)
        if event["kind"] in ORDERS and rng.random() < 0.12:  # malformed, or none of its kind
            name = rng.choice(("kind", "side", "type", "tif", "flags", "account", "strategy", "instrument", "orig_ref",
                               "px", "qty"))  # fmt: skip
            event[name] = {"kind": rng.randrange(18, 256), "flags": rng.getrandbits(16)}.get(name, rng.getrandbits(8))
            if name in ("instrument", "orig_ref", "px", "qty"):
                event[name] = rng.getrandbits(32)
        event["reason"] = rng.randrange(32) if event["kind"] == Kind.HALT else rng.getrandbits(32)
        if event["type"] == 2 and event["kind"] in ORDERS:
            event["px"] = 0
        if event["kind"] in ORDERS and rng.random() < 0.05:
            event["venue_ref"] = rng.getrandbits(64)
        event |= {"t_rx": rng.getrandbits(64), "seq": rng.getrandbits(64)}
        if rig.ports["cfg_stamps"]:
            event["ts_ns"] = rng.getrandbits(64)  # not looked at
        await rig.give(event, table)
        if rng.random() < 0.1:
            await rig.wrong()
        if rig.rules and rng.random() < 0.5:
            await rig.shoot()
        if phase < 82 and rng.random() < 0.3:
            await rig.idle()


@cocotb.test()
async def whatever_the_host_does_the_card_answers_as_the_golden_models(dut: Any) -> None:
    rng = random.Random(cocotb.RANDOM_SEED)
    rig = Rig(dut, rng)
    cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
    for epoch in range(EPOCHS):
        await rig.reset(epoch % 2 == 0, epoch)
        rig.set(cfg_stamps=int(epoch % 4 != 1))
        await rig.connection()
        await play(rig, RECORDS, is_open=epoch % 2 == 0)
        await rig.end()
        if epoch % 2 == 0:  # the next one begins with a reset by the register
            stream = Stream(rig.golden, rng, tables=0.0)
            rig.pauses, rig.bells = (0.99, 0.5, 0.9), 0.02
            for _ in range(rng.randrange(1, 30)):
                event, table = stream.next()
                await rig.give(event, None)
            await rig.cut()
    note(gate=dict(rig.counts))
