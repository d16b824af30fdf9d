"""The risk gate of the simulated card through its rings and registers: it says what the golden gate says.

SPDX-License-Identifier: MIT

HWGW_RTL_FULL=1 (make rtl) is the long form.
"""

from __future__ import annotations

import os
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hwgw_sim.card
import numpy as np
import pytest
from hwgw_sim import wire
from hwgw_sim.golden import order as golden
from hwgw_sim.golden.frame import Template
from hwgw_sim.golden.risk import Risk
from support.order_records import pack, unpack
from support.rig import add
from support.risk import ACCOUNT, INSTRUMENT, NAMES, PX, STRATEGY, Bench, Event, Kind, make
from support.risk_stream import Stream

from hwgw import specs
from hwgw.card import Bar, Card, Gate
from hwgw.card.gate import VERDICT
from hwgw.errors import DeviceError
from hwgw.specs import registers

EVENTS = 20_000 if os.environ.get("HWGW_RTL_FULL") else 1200
GROUP, PORT, SESSION, LOCATE, SYMBOL = "233.54.12.111", 26477, b"000000001A", 13, "HWGW    "
TEMPLATE = Template(bytes(range(1, 7)), bytes(range(2, 8)), bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)), 40000, 5000)
LOAN = {"seq": 5000, "end": 9000, "ack": 77, "window": 500}
CODES = golden.Port(tuple(SYMBOL for _ in range(1024)))
RULE = specs.load("rule").layout("rule")
FLOOD = 20_000 if os.environ.get("HWGW_RTL_FULL") else 1500
ECHO = (
    "kind", "side", "type", "tif", "flags", "account", "strategy", "ref", "orig_ref", "instrument", "px", "qty",
    "ts_ns", "t_rx", "seq",
)  # fmt: skip


@pytest.fixture
def gate() -> Iterator[Gate]:
    if why := hwgw_sim.card.missing():
        pytest.skip(why)
    with Card(hwgw_sim.card.SimulatedCard()) as card:
        made = Gate(card)
        made.reset()
        yield made


class CardBench(Bench):
    """The bench of the gate with the card instead of C and golden."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        super().__init__()

    def send(self, event: Event, table: bytes | None = None) -> str:
        if table is not None:
            self.gate.offer(table)
        return NAMES[int(self.gate.give([pack(event)])[-1]["reason"])]


def counters(gate: Gate) -> dict[str, int]:
    gate.card.snapshot()
    return {name.removeprefix("gate."): value for name, value in gate.card.lines().items() if name.startswith("gate.")}


def test_the_card_answers_as_the_golden_gate(gate: Gate, seed: int) -> None:
    golden = Risk()
    stream = Stream(golden, random.Random(seed))
    given: list[tuple[Event, int]] = []
    answers: Counter[str] = Counter()
    compared = 0

    def flush() -> None:
        nonlocal compared
        found = gate.give([pack(event) for event, _ in given])
        assert len(found) == len(given)
        for (event, reason), verdict in zip(given, found, strict=True):
            assert NAMES[int(verdict["reason"])] == NAMES[reason], (compared, event, seed)
            assert {name: int(verdict[name]) for name in ECHO} == {name: event[name] for name in ECHO}
            assert (verdict["number"], verdict["source"]) == (compared, 0)
            compared += 1
        given.clear()

    events = iter(stream.start())
    for _ in range(EVENTS):
        event, table = next(events, None) or stream.next()
        if event["kind"] in (Kind.NEW, Kind.REPLACE) and not event["ref"]:
            event["ref"] = 1  # 0 asks the card for the next number
        if table is not None:
            flush()
            gate.write(table)
            gate.rings.run(50)
        reason = golden.event(event, table)
        given.append((event, reason))
        if event["kind"] in (Kind.NEW, Kind.REPLACE, Kind.CANCEL):
            answers[NAMES[reason]] += 1
        if len(given) == stream.rng.choice((1, 7, gate.entries)):
            flush()
    flush()
    assert compared == EVENTS
    assert len(answers) > 5 < answers["pass"]
    assert gate.halted == ("" if not golden.halt else NAMES[golden.halt])
    assert gate.card["gate_generation"] == golden.generation
    found = counters(gate)
    assert found["card.records"] == EVENTS
    assert {name: found[f"risk.{'' if name == 'pass' else 'refused_'}{name.replace('pass', 'passed')}"]
            for name in answers} == answers  # fmt: skip
    last = gate.last()
    assert [row["number"] for row in last] == list(range(EVENTS - 64, EVENTS))


def test_until_limits_are_in_force_nothing_passes_and_a_reset_forgets_them(gate: Gate) -> None:
    new = make("new", ref=1, instrument=INSTRUMENT, side=1, type=1, tif=1, px=PX, qty=100)
    assert NAMES[int(gate.give([pack(new)])[0]["reason"])] == "halted"
    bench = CardBench(gate)
    assert bench.order() == "pass"
    gate.reset()
    assert gate.card["gate_generation"] == 0
    assert NAMES[int(gate.give([pack(new)])[0]["reason"])] == "halted"


def test_limits_flip_between_two_orders_of_one_doorbell(gate: Gate) -> None:
    bench = CardBench(gate)
    before, after = bench.order(qty=50), []

    def queue(event: Event, table: bytes | None = None) -> str:
        if table is not None:
            gate.offer(table)
        after.append(pack(event))
        return "pass"

    bench.send = queue  # type: ignore[method-assign]
    bench.order(qty=50)
    bench.limit(instrument={"qty_max": 49})
    bench.order(qty=50)
    assert [before, *(NAMES[int(verdict["reason"])] for verdict in gate.give(after))] == ["pass", "pass", "pass", "qty"]


def test_each_way_to_halt_latches_until_a_resume(gate: Gate) -> None:
    bench = CardBench(gate)
    card, rings = gate.card, card_of(gate)

    def pin(level: bool) -> None:
        rings.halt(level)
        rings.run(2)

    def register(level: bool) -> None:
        card["gate_halt"] = int(level)

    def watchdog(level: bool) -> None:
        card["watchdog"] = 500 * level
        if level:
            for _ in range(20):
                card["heartbeat"] = 1
                rings.run(100)
            assert gate.halted == ""
            rings.run(600)
        card["heartbeat"] = 1
        rings.run(4)

    ways: tuple[tuple[Callable[[bool], None], str], ...] = (
        (pin, "operator"), (register, "operator"), (watchdog, "control_lost"),
    )  # fmt: skip
    for hold, reason in ways:
        assert bench.order() == "pass"
        ref = bench.ref
        hold(True)
        assert gate.halted == reason
        assert bench.order() == "halted"
        hold(False)
        assert gate.halted == reason
        assert bench.order() == "halted"
        assert bench.order(kind="cancel", ref=ref) == "pass"
        assert bench.say("resume") == "pass"
        bench.ref = ref
    assert bench.order() == "pass"
    assert counters(gate)["card.watchdog_halts"] == 1


def card_of(gate: Gate) -> hwgw_sim.card.SimulatedCard:
    transport = gate.card.transport
    assert isinstance(transport, hwgw_sim.card.SimulatedCard)
    return transport


def test_entries_that_are_torn_or_not_the_hosts_and_wrong_doorbells_are_refused(gate: Gate) -> None:
    bench = CardBench(gate)
    card, rings = gate.card, card_of(gate)
    for _ in range(gate.entries):  # each entry holds a whole record of an earlier lap
        bench.order(qty=1)
    record = pack(make("new", ref=10**6, instrument=INSTRUMENT, account=2, strategy=3, side=1, type=1, tif=1, px=PX,
                       qty=1, ts_ns=bench.ts + 1000))  # fmt: skip
    window = card.map.windows[0]
    for word in range(15):
        rings.write(
            window.offset + gate.head % gate.entries * 64 + 4 * word, int.from_bytes(record[4 * word :][:4], "little")
        )
    gate.head += 1
    card["order_head"] = gate.head
    rings.run(50)
    (verdict,) = hwgw_verdicts(gate)
    assert (NAMES[int(verdict["reason"])], verdict["kind"], verdict["number"]) == ("malformed", 0, gate.head - 1)

    for head in (gate.head - 1, gate.head + gate.entries + 1, gate.head ^ 1 << 31):
        card["order_head"] = head & 0xFFFFFFFF
    for tail in (gate.taken - 1, gate.taken + 1):
        card["verdict_tail"] = tail
    card["sent_tail"] = 1
    rings.run(4)
    assert (card["order_tail"], len(hwgw_verdicts(gate))) == (gate.head, 0)

    # the host takes no verdicts: the card stops at a full ring, the order ring fills, and nothing is written over it
    taken = gate.taken
    head = gate.head
    for _ in range(3):
        for at in range(gate.entries // 2):
            gate.put((head + at) % gate.entries, record)
        head += gate.entries // 2
        card["order_head"] = head
        rings.run(1000)
    # one more is in the gate, and one waits in front of it
    assert (card["verdict_head"] - taken, card["order_tail"] - gate.head) == (gate.entries, gate.entries + 2)
    gate.put((card["order_tail"]) % gate.entries, bytes(64))
    gate.head = head
    found = hwgw_verdicts(gate)
    rings.run(1000)
    found += hwgw_verdicts(gate)
    assert [int(verdict["number"]) for verdict in found] == list(range(gate.head - len(found), gate.head))
    assert {NAMES[int(verdict["reason"])] for verdict in found} == {"pass", "malformed"}  # a number is used once
    assert sum(not verdict["reason"] for verdict in found) == 1
    bench.ref = 10**6
    assert bench.order() == "pass"
    kept = {name: value for name, value in counters(gate).items() if name.startswith("card.drop") and value}
    assert kept == {"card.drop_torn": 1, "card.drop_overrun": 16, "card.drop_doorbell": 6}


def test_nothing_of_an_older_record_is_ever_taken_for_a_new_one(gate: Gate) -> None:
    """Orders that the card numbers itself, so that each would pass once more; then doorbells for what nobody wrote."""
    bench = CardBench(gate)
    whose = {"instrument": INSTRUMENT, "account": ACCOUNT, "strategy": STRATEGY}
    fields = whose | {"side": 1, "type": 1, "tif": 1, "px": PX}
    answers: list[list[str]] = []
    for lap in range(5):
        for entry in range(gate.entries):
            record = pack(make("new", ts_ns=bench.ts + 1000, qty=1 + gate.entries * lap + entry, **fields))
            if lap in (0, 1):
                gate.put((gate.head + entry) % gate.entries, record)
            elif lap == 3 and entry == 7:  # all but a word of it
                for word in range(15):
                    offset = gate.card.map.windows[0].offset + (gate.head + entry) % gate.entries * 64 + 4 * word
                    card_of(gate).write(offset, int.from_bytes(record[4 * word :][:4], "little"))
        gate.head += gate.entries
        gate.card["order_head"] = gate.head
        card_of(gate).run(40 * gate.entries)
        answers.append([NAMES[int(verdict["reason"])] for verdict in hwgw_verdicts(gate)])
    assert answers[:2] == [["pass"] * gate.entries] * 2
    assert answers[2:] == [["malformed"] * gate.entries] * 3
    assert counters(gate)["card.drop_torn"] == 3 * gate.entries


def hwgw_verdicts(gate: Gate) -> list[Any]:
    """What is in the ring now."""
    return list(np.frombuffer(gate.take(), VERDICT))


def lend(gate: Gate) -> None:
    """The card sends: fields, header, a loan."""
    card = gate.card
    header = TEMPLATE.header(0, 0, 0, b"").ljust(56, b"\0")
    for word in range(len(header) // 4):
        card["template_word"] = word
        card["template_data"] = int.from_bytes(header[4 * word :][:4], "little")
    values = {"firm": 0x20202020, "capacity": ord("P"), "display": ord("Y"), "instruments": 1024}
    values |= {"symbol_text": int.from_bytes(SYMBOL.encode(), "little"), "symbol_row": INSTRUMENT, "sends": 1}
    values |= {f"loan_{name}": value for name, value in LOAN.items()} | {"loan_expiry": 2**64 - 1, "lend": 1}
    for name, value in values.items():
        card[name] = value
    gate.rings.run(40)
    assert (card["loan_is_out"], card["frame_is_busy"]) == (1, 0)


def test_an_order_of_the_host_and_one_of_a_rule_leave_as_frames_under_the_loan(gate: Gate) -> None:
    card, rings = gate.card, card_of(gate)
    bench = CardBench(gate)
    card.configure({"a": (GROUP, PORT)})
    card.load_symbols({LOCATE: INSTRUMENT})
    lend(gate)

    assert bench.order(qty=300) == "pass"
    rings.run(100)
    whose = {"account": ACCOUNT, "strategy": STRATEGY}
    rules = {"when": 1, "side": 1, "tif": 2, "armed": 1, "when_px": PX, "px": PX, "qty": 100} | whose
    card["rule"] = sum(rules.get(field.name, 0) << 8 * field.offset for field in RULE.fields)
    card["rule_instrument"] = INSTRUMENT
    card["trigger_enable"] = 1
    shot = bench.ref + 5  # the host's number
    assert (card["shot_is_loaded"], card["shot_is_fired"]) == (0, 0)
    card["shot_ref"] = shot
    assert (card["shot_is_loaded"], card["shot_is_fired"]) == (1, 0)
    bench.ts += 1000
    rings.time(bench.ts)
    for seq, px in enumerate((PX + 1, PX, PX), 1):  # dearer than the rule says; the shot; there is no second one
        message = add(LOCATE, "HWGW", seq, "S", 100, px)
        rings.frame(0, wire.udp_frame(GROUP, PORT, SESSION + struct.pack(">QHH", seq, 1, len(message)) + message))
    rings.run(200)
    assert card.state == "good"
    (fired,) = hwgw_verdicts(gate)
    assert (fired["source"], fired["reason"], fired["ref"], fired["ts_ns"]) == (1, 0, shot, bench.ts)
    assert (card["shot_is_loaded"], card["shot_is_fired"]) == (0, 1)
    card["shot_ref"] = 0
    assert (card["shot_is_loaded"], card["shot_is_fired"]) == (0, 1)  # it was made before that

    usual = {"kind": Kind.NEW, "side": 1, "type": 1, "instrument": INSTRUMENT, "px": PX} | whose
    orders = [usual | {"ref": bench.ref, "tif": 1, "qty": 300}, usual | {"ref": shot, "tif": 2, "qty": 100}]
    packets = [golden.encode(make("none") | order, CODES) for order in orders]
    at = LOAN["seq"]
    told = np.frombuffer(rings.sent(), specs.dtype("sent", "sent"))
    for packet, frame, record in zip(packets, rings.tx(), told, strict=True):
        assert frame == TEMPLATE.frame(at, LOAN["ack"], LOAN["window"], packet)
        assert (record["outcome"], record["seq"]) == (1, at)
        assert bytes(record["packet"])[: record["length"]] == packet
        at += len(packet)
    card["sent_tail"] = len(told)
    assert card["loan_next"] == at
    card["return"] = 1
    bench.ref = shot
    assert bench.order(qty=301) == "pass"
    rings.run(100)
    assert (np.frombuffer(rings.sent(), specs.dtype("sent", "sent"))["outcome"].tolist(), rings.tx()) == ([4], [])
    found = counters(gate)
    assert (found["card.fired"], found["card.frames"], found["card.drop_frame"], found["card.drop_loan"]) == (
        1,
        2,
        1,
        0,
    )


@pytest.mark.parametrize("cycles", [10, 14, 18])
def test_a_reset_waits_for_the_end_of_a_frame_and_nothing_is_ready_until_then(gate: Gate, cycles: int) -> None:
    """Else the next host would give what the reset then forgets."""

    class Posting(CardBench):
        """It does not wait for an answer."""

        def send(self, event: Event, table: bytes | None = None) -> str:
            if event["kind"] != Kind.NEW:
                return super().send(event, table)
            self.gate.put(self.gate.head % self.gate.entries, pack(event))
            self.gate.card["order_head"] = self.gate.head + 1
            return ""

    card, rings = gate.card, card_of(gate)
    bench = Posting(gate)
    lend(gate)
    bench.order(qty=300)
    rings.run(cycles)
    card["gate_reset"] = 1
    is_ready = card["gate_is_ready"]
    assert rings.tx() == []  # it was asked while the frame was under way
    assert is_ready == 0
    for _ in range(200):
        if card["gate_is_ready"]:
            break
        rings.run(512)  # a row of the gate per cycle
    assert (card["gate_is_ready"], card["loan_is_out"], card["order_tail"]) == (1, 0, 0)
    assert [len(frame) for frame in rings.tx()] == [14 + 20 + 20 + 50]


def test_after_a_flood_of_random_writes_and_records_a_good_order_passes(gate: Gate, seed: int) -> None:
    rng = random.Random(seed)
    card, rings = gate.card, card_of(gate)
    table = registers.load()
    offsets = [r.offset + 4 * word for r in table.registers for word in range(r.words) if r.is_writable]
    ring = [table.windows[0].offset + 4 * word for word in range(table.windows[0].words)]
    refused = 0
    for _ in range(FLOOD):
        chance = rng.random()
        if chance < 0.5:
            offset = rng.choice(offsets)
        elif chance < 0.9:
            offset = rng.choice(ring)
        else:
            offset = 4 * rng.randrange(1 << table.address_bits - 2)
        value = rng.choice(
            (rng.getrandbits(32), rng.getrandbits(5), (card["order_tail"] + rng.randrange(70)) & 0xFFFFFFFF)
        )
        try:
            rings.write(offset, value)
        except DeviceError:
            refused += 1
        if rng.random() < 0.1:
            record = unpack(rng.randbytes(64)) | {"kind": rng.randrange(20)}
            gate.put(rng.randrange(gate.entries), pack(record))
        if rng.random() < 0.05:
            rings.halt(rng.random() < 0.5)
            rings.verdicts()
            rings.tx()
            rings.sent()
    assert refused > FLOOD // 100
    rings.halt(False)
    for register in table.registers:  # what a driver configures; the rest is forgotten by the reset
        if register.name in ("gate_control", "watchdog"):
            rings.write(register.offset, 0)
    gate.reset()
    bench = CardBench(gate)
    assert bench.order() == "pass"
    assert bench.say("accepted", ref=bench.ref) == "pass"
    assert bench.order(qty=0) == "malformed"


def test_a_card_without_rings_or_that_is_pulled_out_is_an_error(gate: Gate, tmp_path: Path) -> None:
    table = registers.load()
    words = bytearray(1 << table.address_bits)
    for register in table.registers:
        if register.access == "const":
            words[register.offset : register.offset + 4] = register.value.to_bytes(4, "little")
    (tmp_path / "resource0").write_bytes(words)
    with (
        Card(Bar(str(tmp_path / "resource0"))) as card,
        pytest.raises(DeviceError, match="no ring of verdicts is mapped"),
    ):
        Gate(card)
    card_of(gate).unplug()
    with pytest.raises(DeviceError, match=r"card: write of 0x1000: AXI response 3"):
        gate.give([bytes(64)])
