"""Tests of hwgw_trigger, run inside a simulator by test_send.py.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import random
import struct
from collections import Counter
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from support import rtl
from support.order_records import unpack as unpack_order
from support.rtl_model import FIELDS as EVENT_FIELDS
from support.rtl_model import pack as pack_event

from hwgw.specs import load

SIZE = int(os.environ.get("HWGW_RTL_SIZE", "1"))
EVENTS = 600 if cocotb.SIM_NAME.startswith("Icarus") else 3_000 * SIZE
RULE = struct.Struct("<BBBBBBHIIIIQ")
WHEN = {code.slug: int(code.value) for code in load("rule").enum("when").values}
KIND = {code.slug: int(code.value) for code in load("event").enum("kind").values}
TRADES = (KIND["execute_with_price"], KIND["trade"], KIND["cross"])
ROWS = 6  # instruments that events are of at a time: few, so that they meet in the pipeline
FIELDS = (
    "when",
    "side",
    "tif",
    "flags",
    "account",
    "strategy",
    "armed",
    "when_px",
    "when_qty",
    "px",
    "qty",
    "reserved",
)

EVENT_USED = ("kind", "side", "px", "qty", "flags", "seq", "t_rx", "instrument")

Fields = dict[str, int]


def make_rule(rng: random.Random) -> Fields:
    """A rule; one in ten is none."""
    rule = {
        "when": rng.randint(1, 4), "side": rng.choice((1, 2)), "tif": rng.choice((1, 2)), "flags": rng.randrange(4),
        "account": rng.randrange(256), "strategy": rng.randrange(256),
        "armed": rng.choice((0, 1, 1, 2, 5, 1 << rng.randrange(16), rng.getrandbits(16))),
        "when_px": rng.choice((0, 0, 100, 100, 101, 101, 0xFFFFFFFF, 0xFFFFFFFF, rng.getrandbits(32))),
        "when_qty": rng.choice((0, 0, 1, 1, 50, 50, rng.getrandbits(32) >> rng.randrange(32))),
        "px": rng.getrandbits(32), "qty": rng.randint(1, 0xFFFFFFFF), "reserved": rng.getrandbits(64),
    }  # fmt: skip
    if rng.random() < 0.1:
        name = rng.choice(("when", "side", "tif", "flags", "qty"))
        least = {"when": 5, "side": 3, "tif": 3, "flags": 4, "qty": 0}[name]
        rule[name] = rng.choice((least, rng.randint(least, 255))) if least else 0
        if name not in ("flags", "qty") and rng.random() < 0.2:
            rule[name] = 0
    return rule


def is_rule(rule: Fields) -> bool:
    """What the card takes for one."""
    return (
        1 <= rule["when"] <= 4
        and rule["side"] in (1, 2)
        and rule["tif"] in (1, 2)
        and rule["flags"] <= 3
        and rule["qty"] > 0
    )


def make_event(rng: random.Random, rows: list[int]) -> Fields:
    """An event; most are of kinds and prices that rules look for."""
    event = dict.fromkeys((field.name for field in EVENT_FIELDS), 0)
    event |= {
        "kind": rng.choice((KIND["add"], KIND["add"], KIND["add"], *TRADES, KIND["execute"], KIND["replace"], 12)),
        "side": rng.randrange(3), "px": rng.choice((0, 99, 100, 101, 102, 0xFFFFFFFF, rng.getrandbits(32))),
        "qty": rng.choice((0, 1, 49, 50, 51, rng.getrandbits(32) >> rng.randrange(32))),
        "flags": rng.choice((0, 1, 2, 3)), "seq": rng.getrandbits(64), "t_rx": rng.getrandbits(64),
        "instrument": rng.choice((*[rng.choice(rows)] * 9, 1024, rng.getrandbits(32) | 1 << rng.randrange(10, 32))),
    }  # fmt: skip
    for field in EVENT_FIELDS:  # what a rule does not look at, and codes that no feed gives
        if field.name not in EVENT_USED or (field.name in ("kind", "side", "flags") and rng.random() < 0.03):
            event[field.name] = rng.getrandbits(8 * field.length)
    return event


def wanted(rng: random.Random, row: int, rule: Fields) -> Fields:
    """What a rule waits for, in fields of an event."""
    side = {WHEN["offered"]: 2, WHEN["bid"]: 1}.get(rule["when"], 0)
    kind, flags = (KIND["add"], 0) if side else (rng.choice(TRADES), 1)
    terms = {"px": rule["when_px"], "qty": rule["when_qty"], "instrument": row}
    return {"kind": kind, "side": side, "flags": flags} | terms


def hits(rule: Fields, event: Fields) -> bool:
    """Its event has come, whatever is armed."""
    is_add, is_printed = event["kind"] == KIND["add"], event["flags"] & 1 and event["kind"] in TRADES
    come = {
        WHEN["offered"]: is_add and event["side"] == 2 and event["px"] <= rule["when_px"],
        WHEN["bid"]: is_add and event["side"] == 1 and event["px"] >= rule["when_px"],
        WHEN["traded_down"]: is_printed and event["px"] <= rule["when_px"],
        WHEN["traded_up"]: is_printed and event["px"] >= rule["when_px"],
    }
    return bool(come[rule["when"]]) and event["qty"] >= rule["when_qty"]


def order_of(rule: Fields, event: Fields) -> Fields:
    """The order of a shot, but for its number and fields that are 0."""
    same = ("side", "tif", "flags", "account", "strategy", "px", "qty")
    return {name: rule[name] for name in same} | {
        "kind": 1, "type": 1, "instrument": event["instrument"], "seq": event["seq"], "t_rx": event["t_rx"],
    }  # fmt: skip


async def start(dut: Any) -> None:
    """Reset; wait until the rows are clear."""
    for name in ("cfg_enable", "is_feed_good", "cfg_instrument", "cfg_rule", "cmd_store", "cmd_disarm",
                 "cfg_shot_ref", "cmd_shot", "s_event", "s_valid", "m_axis_order_tready"):  # fmt: skip
        getattr(dut, name).value = 0
    dut.rst.value = 1
    cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    for _ in range(2000):
        await RisingEdge(dut.clk)
        await ReadOnly()
        if int(dut.is_ready.value):
            break
    await RisingEdge(dut.clk)


def put_event(dut: Any, event: Fields | None) -> None:
    """At the port, or nothing."""
    dut.s_valid.value = int(event is not None)
    if event is not None:
        dut.s_event.value = int.from_bytes(pack_event(event), "little")


@cocotb.test()
async def orders_are_those_of_the_rules_one_per_shot(dut: Any) -> None:
    rng = random.Random(cocotb.RANDOM_SEED)
    await start(dut)
    rows, taken = list(range(ROWS)), 0.6  # how often an order at the port is
    rules: dict[int, Fields] = {}
    armed: Counter[int] = Counter()
    waiting: tuple[int, Fields] | None = None  # a store
    before: Fields | None = None  # the event that is judged in this cycle
    behind: Fields | None = None  # the one after it
    stored_row = -1  # by the cycle before
    stored_row_before = -1  # and by the one before that
    held: Fields | None = None  # the order at the port
    shot = 0  # the number that an order may have
    is_fired = False  # since the last number
    counts: Counter[str] = Counter()
    told: Counter[str] = Counter()
    expected_pulse = ""
    is_ready_in = 0
    for _ in range(EVENTS * 2):
        if counts["events"] == EVENTS:
            break
        if rng.random() < 0.003:
            rows = rng.sample(range(1024), ROWS)
        if rng.random() < 0.02:
            taken = rng.choice((0.05, 0.6, 1.0))
        event = make_event(rng, rows) if rng.random() < 0.7 else None
        if event is not None and rules and rng.random() < 0.2:
            at = rng.choice([*rules])
            event |= wanted(rng, at, rules[at])
        is_on, is_good = rng.random() < 0.8, rng.random() < 0.8
        is_taken = rng.random() < taken
        command = "disarm" if rng.random() < 0.0005 else "store" if rng.random() < 0.15 else ""
        rule, row = make_rule(rng), rng.choice(rows)
        number = rng.choice((0, *[rng.getrandbits(32)] * 5)) if rng.random() < 0.4 else None
        put_event(dut, event)
        dut.cfg_enable.value, dut.is_feed_good.value = int(is_on), int(is_good)
        dut.m_axis_order_tready.value = int(is_taken)
        dut.cmd_store.value, dut.cmd_disarm.value = int(command == "store"), int(command == "disarm")
        dut.cfg_rule.value = int.from_bytes(RULE.pack(*(rule[name] for name in FIELDS)), "little")
        dut.cfg_instrument.value = row
        dut.cmd_shot.value = int(number is not None)
        dut.cfg_shot_ref.value = rng.getrandbits(32) if number is None else number
        await ReadOnly()
        # what stands at the port
        assert int(dut.m_axis_order_tvalid.value) == (held is not None)
        if held is not None:
            record = unpack_order(int(dut.m_axis_order_tdata.value).to_bytes(64, "little"))
            assert {name: value for name, value in record.items() if value} == {
                name: value for name, value in held.items() if value
            }
        pulses = {"fired", "drop_disabled", "drop_spent", "drop_feed", "drop_busy"}
        seen = {name for name in pulses if int(getattr(dut, f"pulse_{name}").value)}
        assert seen == ({expected_pulse} if expected_pulse else set())
        told["refused"] += int(dut.pulse_refused.value)
        assert (int(dut.is_loaded.value), int(dut.is_fired.value)) == (shot != 0, is_fired)
        is_ready = is_ready_in == 0
        assert int(dut.is_ready.value) == is_ready
        # the cycle
        expected_pulse, is_fire = "", False
        if before is not None and is_ready and command != "disarm":
            at = before["instrument"]
            if at in rules and armed[at] and at not in (stored_row, stored_row_before) and hits(rules[at], before):
                is_free = held is None or is_taken
                expected_pulse = (
                    "drop_spent" if is_on and not shot and is_fired
                    else "drop_disabled" if not (is_on and shot and number is None)
                    else "drop_feed" if not is_good else "fired" if is_free else "drop_busy"
                )  # fmt: skip
                counts[expected_pulse] += 1
                is_fire = expected_pulse == "fired"
        if held is not None and is_taken:
            counts["orders"] += 1
            held = None
        stored_row, stored_row_before = -1, stored_row
        if is_fire and before is not None:
            held = order_of(rules[before["instrument"]], before) | {"ref": shot}
            shot, is_fired = 0, True
            armed[before["instrument"]] -= 1
        elif waiting is not None and is_ready:
            stored_row, rules[waiting[0]] = waiting[0], waiting[1]
            armed[waiting[0]] = waiting[1]["armed"]
        if number is not None:
            shot, is_fired = number, is_fired and not number
            counts["numbers"] += 1
        was_waiting = waiting is not None
        if stored_row >= 0:
            waiting = None
        if command == "store" and is_ready and is_rule(rule) and not was_waiting:
            waiting = (row, rule)
            counts["stores"] += 1
        elif command == "store":
            counts["refused"] += 1
        is_ready_in = max(0, is_ready_in - 1)
        if command == "disarm":
            armed.clear()
            shot = 0
            waiting, is_ready_in = None, 1024
            counts["disarms"] += 1
        before = behind
        behind = event if event is not None and is_ready and event["instrument"] < 1024 else None
        counts["events"] += is_ready and event is not None
        await RisingEdge(dut.clk)
        if is_ready_in > 3:  # nothing can happen but the walk
            put_event(dut, None)
            dut.cmd_store.value = dut.cmd_disarm.value = dut.cmd_shot.value = 0
            dut.m_axis_order_tready.value = 1
            for _ in range(is_ready_in - 3):
                await RisingEdge(dut.clk)
            before, behind, expected_pulse, is_ready_in = None, None, "", 3
            counts["orders"] += held is not None
            held = None
    put_event(dut, None)
    dut.cmd_store.value = dut.cmd_shot.value = 0
    await ReadOnly()
    told["refused"] += int(dut.pulse_refused.value)
    assert told["refused"] == counts["refused"]
    rtl.note(trigger=dict(counts), latency_cycles={"trigger": {"min": 3, "max": 3}})
