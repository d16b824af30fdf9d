"""A run that began with what was rebuilt from the records before it is judged again, and its gate begins as it did.

SPDX-License-Identifier: MIT

Verdicts of such a run hang on what it began with: its limits leave room for a few orders beside those that were open.
"""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from support import rig as r
from support.chains import Monkey, gate
from support.desk import SYMBOLS, Desk, probe
from support.restored import NEW, REPLACE, RING, TYPES, Day, Records, judged, opening, restored
from support.rig import open_limits

from hwgw import specs
from hwgw.native import lib

TURNS = 60
Raw = tuple[bytes, int]
REASONS = {reason.name: reason.code for reason in specs.reasons()}
PASSED = 0


def clock_offset_ns() -> int:
    return time.time_ns() - int(lib.hwgw_now_ns())


def first(symbols: tuple[str, ...] = SYMBOLS) -> Raw:
    return opening(symbols, clock_offset_ns())


@pytest.fixture(scope="module")
def day(seed: int) -> Day:
    return Day(random.Random(seed), TURNS)


def verdicts(raw: bytes) -> list[int]:
    """Of new orders and replaces, in their order."""
    found, at = [], 0
    while at < len(raw):
        if raw[at + 4] == TYPES["gate"] and raw[at + 32] in (NEW, REPLACE):
            found.append(int.from_bytes(raw[at + 6 : at + 8], "little"))
        at += -(-(32 + int.from_bytes(raw[at : at + 4], "little")) // 32) * 32
    return found


def run(
    rng: random.Random, *blocks: Raw, seq: int, messages: list[bytes], next_ref: int, strategies: Any = (),
    limits: Any = None, symbols: tuple[str, ...] = SYMBOLS, turns: int = 15, has_monkey: bool = True,
    armed: bool = True, rearmed: bool = False,
) -> Records:  # fmt: skip
    """A run behind these blocks: the venue agrees, strategies order (a monkey last), and nobody answers."""
    monkey = Monkey(rng)
    chosen = [*strategies, *([(monkey.desc, {})] if has_monkey else [])]
    options: dict[str, Any] = {"strategies": chosen, "limits": limits, "journal_sz_bytes": RING, "armed": armed}
    with restored(*blocks, symbols=symbols, **options) as here:
        here.log_in(seq, messages, next_ref)
        here.until(lambda: not here.rig.segment.halts, "agreement")
        for said in (here.rig.segment.disarm, here.rig.segment.arm) if rearmed else ():
            said(0)
            here.rig.publish()
        for locate, symbol in enumerate(symbols, 1):
            here.rig.quote(symbol, locate)
        for turn in range(turns):
            here.rig.feed(r.add(1, symbols[0], 10_000 + turn, "B", 1, 1_000_000))
            here.rig.step()
        here.rig.publish()
        return Records(here.rig)


def whole(records: Records) -> Raw:
    return records.first(len(records.ends))


class Crashed:
    """A day of which any beginning is on record, and what the venue had by then."""

    def __init__(self, day: Day, rng: random.Random) -> None:
        logged_in = next(n for n, (kind, *_) in enumerate(day.records, 1) if kind == TYPES["login"]) + 1
        cnt = rng.randrange(max(logged_in, len(day.records.ends) // 2), len(day.records.ends) + 1)
        had, ref = day.until(cnt)
        most = sum(each <= ref for each in day.refs)
        least = next((n for n, (sent, _) in enumerate(day.states) if sent >= had), len(day.states) - 1)
        taken = rng.randint(min(least, most), most)
        self.blocks = [first(), day.records.first(cnt)]
        self.messages = day.store[had : day.states[taken][0]]
        self.next_ref = day.refs[taken - 1] + 1 if taken else 1
        self.seq = had + 1
        with restored(*self.blocks) as look:
            self.gate = gate(look)  # type: ignore[arg-type]

    def begin(self) -> dict[str, Any]:
        return {"seq": self.seq, "messages": self.messages, "next_ref": self.next_ref}


def narrow(at: Any, symbols: tuple[str, ...] = SYMBOLS, strategy: int = 0) -> Any:
    """Room for a few shares and orders beside what the gate was rebuilt with."""
    limits = open_limits(len(symbols))
    limits["gateway"]["open_max"] = at["gateway.open_cnt"] + 6
    limits["gateway"]["credit_max"] = at["gateway.open_notional"] + at["gateway.filled_notional"] + 10**9
    for old, symbol in enumerate(SYMBOLS):
        row = limits["instrument"][0, symbols.index(symbol)]
        row["long_max"] = max(0, at[f"instrument.{old:04}.long_worst"]) + 250
        row["short_max"] = max(0, at[f"instrument.{old:04}.short_worst"]) + 250
    limits["strategy"]["rejects_run_max"][0, strategy] = at["strategy.00.rejects"] + 12
    return limits


def test_a_run_that_was_rebuilt_comes_out_as_recorded(day: Day, rng: random.Random) -> None:
    """Whatever the crash fell between, and what the venue had not told by then."""
    refused: set[int] = set()
    for _ in range(8):
        past = Crashed(day, rng)
        again = run(rng, *past.blocks, **past.begin(), limits=narrow(past.gate))
        found = judged(*past.blocks, first(), whole(again))
        assert (found.counts["differences"], found.contradiction, found.is_rebuilt) == (0, "", True), found
        assert (found.counts["runs"], found.counts["rebuilt_runs"], found.counts["unknown_runs"]) == (2, 1, 0)
        own = verdicts(again.raw)
        judged_then = len(own) + len(verdicts(past.blocks[1][0]))
        assert found.counts["without"] <= 1  # the crash fell between the last record and what it was judged by
        assert judged_then - found.counts["without"] <= found.counts["orders"] <= judged_then
        assert PASSED in own
        refused.update(own)
    names = {name for name, code in REASONS.items() if code in refused}
    assert len({"open_orders", "position", "credit", "strategy"} & names) >= 2, names


def test_a_strategy_that_the_start_does_not_arm_is_not_armed_by_its_past(day: Day, rng: random.Random) -> None:
    """A person had armed it while it ran; the next start is told by its configuration alone, and nothing leaves."""
    past = Crashed(day, rng)
    second = run(rng, *past.blocks, **past.begin(), rearmed=True)
    assert set(verdicts(second.raw)) - {REASONS["strategy"]}
    blocks = [*past.blocks, first(), whole(second)]
    seq = past.seq + len(past.messages) + 1
    third = run(rng, *blocks, seq=seq, messages=[], next_ref=past.next_ref, armed=False)
    assert set(verdicts(third.raw)) == {REASONS["strategy"]}
    found = judged(*blocks, first(), whole(third))
    assert (found.counts["differences"], found.contradiction, found.counts["rebuilt_runs"]) == (0, "", 2)


def test_a_third_run_begins_with_what_the_second_left(day: Day, rng: random.Random) -> None:
    past = Crashed(day, rng)
    second = run(rng, *past.blocks, **past.begin())
    blocks = [*past.blocks, first(), whole(second)]
    seq = past.seq + len(past.messages) + 1  # behind the answer to the account query
    third = run(rng, *blocks, seq=seq, messages=[], next_ref=past.next_ref, limits=narrow(past.gate))
    found = judged(*blocks, first(), whole(third))
    assert (found.counts["differences"], found.contradiction) == (0, "")
    assert (found.counts["runs"], found.counts["rebuilt_runs"]) == (3, 2)
    assert len(set(verdicts(third.raw))) > 1


def test_symbols_and_strategies_may_have_other_numbers_in_each_run(day: Day, rng: random.Random) -> None:
    past = Crashed(day, rng)
    symbols = ("ZVZZT", *reversed(SYMBOLS))
    limits = narrow(past.gate, symbols, strategy=1)
    silent = probe(every=10**9)
    again = run(rng, *past.blocks, **past.begin(), strategies=silent, limits=limits, symbols=symbols)
    found = judged(*past.blocks, first(symbols), whole(again))
    assert (found.counts["differences"], found.contradiction) == (0, "")
    assert found.counts["rebuilt_runs"] == 1
    assert len(set(verdicts(again.raw))) > 1


def test_recent_orders_and_allowances_are_on_the_clock_of_the_new_run(rng: random.Random) -> None:
    """An order of the first run makes its like of the second a duplicate; allowances begin empty and fill."""
    limits = open_limits(len(SYMBOLS))
    limits["checks_enabled"] |= 1 << REASONS["duplicate"]
    limits["dup_window_ns"] = 3600 * 10**9
    with Desk(journal_sz_bytes=RING, limits=limits, px=900_000) as desk:
        desk.rig.quote()
        desk.wait(3)
        before = Records(desk.rig)
    assert verdicts(before.raw) == [PASSED]
    blocks = [first(), whole(before)]
    begin: dict[str, Any] = {"seq": 2, "messages": [], "next_ref": 1, "strategies": probe(px=900_000)}
    begin["has_monkey"] = False
    same = run(rng, *blocks, **begin, limits=limits, turns=3)
    assert verdicts(same.raw)[0] == REASONS["duplicate"]
    found = judged(*blocks, first(), whole(same))
    assert (found.counts["differences"], found.contradiction) == (0, "")
    assert (found.counts["rebuilt_runs"], found.counts["orders"]) == (1, 1 + len(verdicts(same.raw)))

    limits = open_limits(len(SYMBOLS))
    limits["gateway"]["rate_burst"], limits["gateway"]["rate_refill_ns"] = 1, 1_000_000
    slow = run(rng, *blocks, **begin, limits=limits, turns=2000)
    assert set(verdicts(slow.raw)) == {PASSED, REASONS["rate"]}
    found = judged(*blocks, first(), whole(slow))
    assert (found.counts["differences"], found.contradiction) == (0, "")
    assert found.counts["orders"] == 1 + len(verdicts(slow.raw))


def test_a_verdict_that_was_changed_behind_a_restart_is_the_one_difference(day: Day, rng: random.Random) -> None:
    past = Crashed(day, rng)
    again = run(rng, *past.blocks, **past.begin(), limits=narrow(past.gate))
    places = [at for at in orders_of(again.raw) if not int.from_bytes(again.raw[at + 6 : at + 8], "little")]
    at = rng.choice(places)
    forged = bytearray(again.raw)
    forged[at + 6] = REASONS["qty"]
    found = judged(*past.blocks, first(), (bytes(forged), len(again.ends)))
    assert found.counts["differences"] == 1
    (row,) = found.differences
    assert (row.run, row.block, row.record) == (2, 4, int.from_bytes(again.raw[at + 16 : at + 24], "little"))
    assert (row.recorded, row.replayed) == ("qty", "pass")


def orders_of(raw: bytes) -> list[int]:
    """Where the records of new orders begin."""
    found, at = [], 0
    while at < len(raw):
        if raw[at + 4] == TYPES["gate"] and raw[at + 32] == NEW:
            found.append(at)
        at += -(-(32 + int.from_bytes(raw[at : at + 4], "little")) // 32) * 32
    return found


def test_a_beginning_that_is_not_what_is_rebuilt_contradicts(day: Day, rng: random.Random) -> None:
    past = Crashed(day, rng)
    again = run(rng, *past.blocks, **past.begin())
    at = again.raw.index(next(payload for kind, _, payload in again if kind == TYPES["restored"]))
    cash = specs.dtype("journal", "journal_restored").fields["cash"][1]  # type: ignore[index]
    forged = bytearray(again.raw)
    forged[at + cash] ^= 1
    found = judged(*past.blocks, first(), (bytes(forged), len(again.ends)))
    assert "block 4" in found.contradiction
    assert "this run began with" in found.contradiction


def test_a_run_whose_past_is_missing_is_not_compared(day: Day, rng: random.Random) -> None:
    past = Crashed(day, rng)
    again = run(rng, *past.blocks, **past.begin())
    found = judged(first(), whole(again))
    assert (found.counts["unknown_runs"], found.counts["rebuilt_runs"], found.compared) == (1, 0, 0)
    assert found.counts["unknown_records"] == len(again.ends)
    cnt = past.blocks[1][1]
    assert f"was rebuilt from {cnt} records of pipeline 0, 0 stand before it" in found.contradiction
