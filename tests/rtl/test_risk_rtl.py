"""The risk gate in Verilog equals the C gate and the golden model, and cannot be brought to pass what it must not.

SPDX-License-Identifier: MIT

HWGW_RTL_FULL=1 (make rtl) runs a million events; HWGW_RISK_RTL_EVENTS (make soak-risk) as many as it says.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hwgw_sim.golden import limits
from hwgw_sim.golden.risk import Risk
from support import gate_build, risk, risk_rtl, rtl
from support.risk_stream import Stream
from support.streams import each

from fpga import tools
from hwgw import specs
from hwgw.conformance import SharedObjectGate, run, scenarios

pytestmark = pytest.mark.skipif(bool(risk_rtl.missing()), reason=risk_rtl.missing())

DTYPE = specs.dtype("order", "order")
EVENTS = int(os.environ.get("HWGW_RISK_RTL_EVENTS") or (1_000_000 if rtl.IS_FULL else 150_000))
# a table takes as many cycles as 700 events: what is far longer than a million events has fewer of them
TABLES_PER_MILLION, WHOLE = (2000, 5000) if EVENTS <= 10_000_000 else (20, 20_000)
STREAM_EVENTS = 125_000
"""A stream begins anew from reset after so many: an older one spends its credit, and then shows little but refusals."""
REASONS = range(19)
FACTS = {"pass", "halted", "clock", "malformed", "loss", "state"}


@pytest.fixture(scope="module")
def library() -> Path:
    return risk_rtl.build()


def test_headers_made_of_other_tables_give_another_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the C gate of yesterday's reasons runs beside the Verilog of today's."""
    before = risk_rtl.objects()
    headers = shutil.copytree(gate_build.generated(), tmp_path / "headers")
    records = headers / "hwgw_records.h"
    records.write_text(records.read_text(encoding="utf-8") + "#define HWGW_RISK_REASON_NEW_ONE 99\n", encoding="utf-8")
    monkeypatch.setattr(risk_rtl, "generated", lambda: str(headers))
    after = risk_rtl.objects()
    assert after != before
    shutil.rmtree(after.parent)


def pack(event: risk.Event) -> bytes:
    record = np.zeros(1, DTYPE)
    for name, value in event.items():
        record[name] = value
    return record.tobytes()


def race(library: Path, seed: int, turn: int, events: int) -> tuple[list[int], list[int], int, int]:
    """One gate of eight: orders and facts by their answer, events, looks at state."""
    burst_max = (1, 16)[turn % 2]
    orders, facts = np.zeros(32, np.int64), np.zeros(32, np.int64)
    states = 0
    for begin in range(0, events, STREAM_EVENTS):
        gates = risk_rtl.Race(seed + turn + begin, library)
        gates.run(min(STREAM_EVENTS, events - begin), burst_max, TABLES_PER_MILLION, WHOLE, pauses=turn % 4 == 3)
        counts = gates.counts
        orders += list(counts.orders)
        facts += list(counts.facts)
        states += counts.states
        assert counts.events == sum(counts.orders) + sum(counts.facts)
        assert counts.whole >= counts.events // (WHOLE + 1000)
        assert burst_max > 1 or counts.states == counts.events
        for kind, cycles in (("NEW", 8), ("REPLACE", 8), ("CANCEL", 10), ("ACCEPTED", 10), ("BEAT", 8), ("ARM", 8)):
            code = getattr(risk.Kind, kind)
            assert burst_max > 1 or counts.latency_min[code] == counts.latency_max[code] == cycles, kind
    return orders.tolist(), facts.tolist(), int(orders.sum() + facts.sum()), states


def test_c_and_verilog_are_equal_in_all_state_after_every_event(library: Path, seed: int):
    """Eight gates: each event alone, and in bursts, back to back or with pauses; state is compared after the burst."""
    jobs = [(library, seed, turn, EVENTS // 8) for turn in range(8)]
    seen: Counter[str] = Counter()
    facts: Counter[str] = Counter()
    compared = states = 0
    for of_orders, of_facts, event_cnt, state_cnt in each(race, jobs, is_long="HWGW_RISK_RTL_EVENTS" in os.environ):
        seen += Counter({risk.NAMES[reason]: of_orders[reason] for reason in REASONS})
        facts += Counter({name: of_facts[code] for code, name in risk.NAMES.items() if name in FACTS})
        compared += event_cnt
        states += state_cnt
    print(f"{compared} events, {states} looks at state; {dict(seen)}, facts {dict(facts)}")
    assert compared >= EVENTS
    assert states >= EVENTS // 2
    scarce = {name for name in (risk.NAMES[reason] for reason in REASONS) if seen[name] < EVENTS // 10_000}
    assert scarce == set(), seen
    assert set(facts) == FACTS, facts


def test_the_golden_model_and_verilog_are_equal(library: Path, rng: random.Random):
    event_cnt = 20_000 if rtl.IS_FULL else 4_000
    golden, race = Risk(), risk_rtl.Race(1, library)
    stream = Stream(golden, rng, tables=0.0005)
    given = stream.start()
    states = 0
    for number in range(event_cnt):
        event, table = given.pop(0) if given else stream.next()
        want = golden.event(event, table)
        assert race.event(pack(event), table) == want, (number, event)
        if number % 500 == 499:
            assert race.dump(1) == golden.dump(), (number, event)
            states += 1
    assert race.counts.events == event_cnt
    assert states == event_cnt // 500


def test_every_scenario_of_the_conformance_kit_is_as_expected(library: Path):
    outcomes = run(lambda: SharedObjectGate(library))
    assert [(o.scenario.name, o.step, o.want, o.got) for o in outcomes if not o.passed] == []
    assert len(outcomes) == len(scenarios()) >= 60


class Bench:
    """The Verilated gate alone, up, armed and with generous limits."""

    def __init__(self, library: Path) -> None:
        self.race = risk_rtl.Race(0, library)
        self.lib, self.model, self.ffi = self.race.lib, self.race.model, self.race.ffi
        self.ts, self.ref, self.generation = 10**9, 0, 0
        self.load()
        for kind, fields in (("beat", {}), ("arm", {}), ("feed", {"qty": 1}), ("ref", {"px": risk.PX})):
            assert self.say(kind, **fields) == "pass"

    def table(self) -> bytes:
        self.generation += 1
        account = dict(risk.GENEROUS_ACCOUNT)
        instrument = {
            "flags": 1, "qty_max": 2**32 - 1, "notional_max": 2**64 - 1, "collar_px_min": risk.PX // 2,
            "long_max": 2**31 - 1, "short_max": 2**31 - 1, "locate_qty": 2**32 - 1,
        }  # fmt: skip
        strategy = risk.GENEROUS_BUCKET | {"fills_max": 2**32 - 1, "rejects_run_max": 2**32 - 1}
        return limits.seal(risk.GENEROUS | {
            "generation": self.generation, "gateway": account, "account": [account] * 16, "strategy": [strategy] * 64,
            "instrument": [instrument if i == risk.INSTRUMENT else {} for i in range(1024)],
        })  # fmt: skip

    def offer(self, words: bytes) -> None:
        self.lib.risk_model_table(self.model, self.ffi.from_buffer("uint64_t[]", words), len(words) // 8)

    def load(self) -> None:
        self.offer(self.table())
        assert self.say("limits", venue_ref=self.generation) == "pass"

    def say(self, kind: str, **fields: int) -> str:
        self.ts += 1000
        usual = {"ts_ns": self.ts, "strategy": risk.STRATEGY, "instrument": risk.INSTRUMENT}
        reason = self.ffi.new("uint8_t *")
        record = pack(risk.make(kind, **usual | fields))
        assert self.lib.risk_model_events(self.model, self.ffi.from_buffer(record), 1, reason), "the gate hangs"
        return risk.NAMES[reason[0]]

    def order(self, **fields: int) -> str:
        self.ref += 1
        usual = {"ref": self.ref, "account": risk.ACCOUNT, "side": 1, "type": 1, "tif": 1, "px": risk.PX, "qty": 100}
        return self.say("new", **usual | fields)


def test_the_halt_wire_refuses_the_next_order_and_lets_cancels_pass(library: Path):
    bench = Bench(library)
    assert bench.order() == "pass"
    first = bench.ref
    bench.lib.risk_model_halt(bench.model, 1, risk.Reason.SESSION)
    assert bench.order() == "halted"
    assert bench.lib.risk_model_halted(bench.model) == risk.Reason.SESSION
    assert bench.say("resume") == "pass"
    assert bench.order() == "halted"  # the level is still there
    assert bench.say("cancel", ref=first) == "pass"
    bench.lib.risk_model_halt(bench.model, 0, 0)
    assert bench.order() == "halted"  # it has latched
    assert bench.say("resume") == "pass"
    bench.ref -= 3
    assert bench.order() == "pass"
    bench.lib.risk_model_halt(bench.model, 1, 255)
    assert bench.order() == "halted"
    assert bench.lib.risk_model_halted(bench.model) == risk.Reason.OPERATOR  # a reason that is none


@pytest.mark.parametrize("bit", [0, 40, 64])
def test_a_limit_that_lost_a_bit_puts_the_table_out_of_force(library: Path, bit: int):
    bench = Bench(library)
    assert bench.order() == "pass"
    for bank in (0, 1024):
        bench.lib.risk_model_flip(bench.model, risk_rtl.MEMORY["limits_instrument"], bank + risk.INSTRUMENT, bit)
    assert bench.order() == "halted"
    assert bench.say("resume") == "pass"
    assert bench.order() == "halted"
    assert bench.say("cancel", ref=1) == "pass"
    bench.load()
    bench.ref = 1
    assert bench.order() == "pass"


def test_a_row_of_an_account_or_strategy_that_lost_a_bit_does_too(library: Path):
    bench = Bench(library)
    rows = [("account", 16, risk.ACCOUNT), ("strategy", 64, risk.STRATEGY), ("account", 16, 0), ("account", 16, 15)]
    for name, cnt, row in rows:
        assert bench.order() == "pass"
        for bank in (0, cnt):
            bench.lib.risk_model_flip(bench.model, risk_rtl.MEMORY[f"limits_{name}"], bank + row, 3)
        if row in (0, 15):  # the order reads its own account alone; a reference walks over all of them
            assert risk.ACCOUNT not in (0, 15)
            assert bench.order(qty=101) == "pass"
            assert bench.say("ref", px=risk.PX, account=risk.ACCOUNT) == "pass"
        assert bench.order(qty=102) == "halted", (name, row)
        bench.load()
        assert bench.order(qty=103) == "pass"


@pytest.mark.parametrize("cycles", [1, 4, 6])
def test_a_halt_while_a_resume_is_inside_outlives_it(library: Path, cycles: int):
    bench = Bench(library)
    assert bench.say("halt", reason=risk.Reason.SESSION) == "pass"
    assert bench.order() == "halted"
    bench.lib.risk_model_halt_in(bench.model, cycles, risk.Reason.FEED)
    assert bench.say("resume") == "pass"
    assert bench.lib.risk_model_halted(bench.model) == risk.Reason.FEED
    assert bench.order() == "halted"
    assert bench.say("resume") == "pass"
    assert bench.order() == "pass"


def test_a_table_that_was_on_its_way_while_one_was_taken_is_not_taken(library: Path):
    bench = Bench(library)
    words = bench.ffi.from_buffer("uint64_t[]", bench.table())
    half = len(words) // 2
    bench.lib.risk_model_words(bench.model, words, half, 0)
    assert bench.say("limits", venue_ref=bench.generation) == "halted"
    bench.lib.risk_model_words(bench.model, words + half, len(words) - half, 1)
    assert bench.say("limits", venue_ref=bench.generation) == "halted"
    bench.load()
    assert bench.order() == "pass"


def test_a_table_that_is_not_whole_is_not_taken(library: Path):
    bench = Bench(library)
    for cut in ((0, -8), (8, None), (0, 8)):
        bench.offer(bench.table()[cut[0] : cut[1]])
        assert bench.say("limits", venue_ref=bench.generation) == "halted"
        assert bench.order() == "halted"
        bench.load()
        bench.ref = 0
    bench.offer(bench.table() + bytes(8))
    assert bench.say("limits", venue_ref=bench.generation) == "halted"
    bench.load()
    assert bench.order() == "pass"
    assert bench.say("limits", venue_ref=bench.generation) == "halted"  # what was offered is used up


def test_reset_forgets_everything(library: Path):
    bench = Bench(library)
    assert bench.order() == "pass"
    bench.lib.risk_model_reset(bench.model)
    assert bench.race.dump(1) == ""
    assert bench.lib.risk_model_verdict_cnt(bench.model) == 0
    bench.offer(bench.table())
    bench.lib.risk_model_reset(bench.model)
    assert bench.say("limits", venue_ref=bench.generation) == "halted"  # what was offered before, too
    assert bench.order() == "halted"
    assert bench.say("cancel", ref=1) == "malformed"


def test_the_last_verdicts_and_the_counters_are_what_was_answered(library: Path):
    bench = Bench(library)
    before = bench.lib.risk_model_verdict_cnt(bench.model)
    said = [bench.order(qty=100 + i, px=risk.PX if i % 3 else 0) for i in range(100)]
    assert bench.lib.risk_model_verdict_cnt(bench.model) == before + 100
    out = bench.ffi.new("uint64_t[2]")
    for back in range(64):
        number = before + 99 - back
        bench.lib.risk_model_last(bench.model, number, out)
        low, ts = out[0], out[1]
        assert risk.NAMES[low & 0xFF] == said[99 - back]
        assert low >> 8 & 0xFF == risk.Kind.NEW
        assert low >> 16 & 0xFFFF == risk.INSTRUMENT
        assert low >> 32 == bench.ref - back
        assert ts == bench.ts - 1000 * back
    for name in ("pass", "malformed"):
        code = next(reason.code for reason in specs.reasons() if reason.name == name)
        assert bench.lib.risk_model_pulses(bench.model, code) == said.count(name) > 30


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_random_pauses_on_every_interface_give_the_same_verdicts(tmp_path: Path, seed: int, simulator: str):
    if simulator == "icarus" and (why := tools.missing("iverilog", "vvp")):
        pytest.skip(why)
    if simulator == "verilator" and not rtl.IS_FULL:
        pytest.skip("the model takes half a minute to compile; make rtl runs it")
    found = rtl.run("bench_risk", "risk_bench", ["any_pauses_give_the_same_verdicts"], tmp_path, simulator, seed)
    assert found["failed"] == {}, f"{found['failed']}; seed {seed}; log {found['log']}"
    assert found["events_compared"] >= 250
    assert len(found["reasons"]) >= 3
