"""The risk gate in Verilog equals the C gate and the golden model, and cannot be brought to pass what it must not.

SPDX-License-Identifier: MIT

HWGW_RTL_FULL=1 (make rtl) runs a million events; as many as one wishes: support/race_long.py (make soak-risk).
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hwgw_sim.golden import limits
from hwgw_sim.golden.risk import Risk
from support import gate_build, race_long, risk, risk_rtl, rtl
from support.race_long import stream, summary
from support.risk_stream import Stream

from fpga import tools
from hwgw import specs
from hwgw.conformance import SharedObjectGate, run, scenarios

pytestmark = pytest.mark.skipif(bool(risk_rtl.missing()), reason=risk_rtl.missing())

DTYPE = specs.dtype("order", "order")
EVENTS = 1_000_000 if rtl.IS_FULL else 150_000
TABLES_PER_MILLION, WHOLE = 2000, 5000
REASONS = range(19)


@pytest.fixture(scope="module")
def library() -> Path:
    """In the long form it tells what of the Verilog it has seen."""
    if not rtl.IS_FULL:
        return risk_rtl.build()
    rtl.models_tell_coverage()
    return risk_rtl.build(optimize="-O1", with_coverage=True)


@pytest.fixture(scope="module")
def fast() -> Path:
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


def test_c_and_verilog_are_equal_in_all_state_after_every_event(fast: Path, seed: int):
    """Eight gates: each event alone, and in bursts, back to back or with pauses; state is compared after the burst."""
    lines = [
        {"stream": turn, "processor_s": 0} | stream(fast, seed + turn, turn, EVENTS // 8, TABLES_PER_MILLION, WHOLE)
        for turn in range(8)
    ]
    found = summary({"seed": seed}, lines)
    print(f"{found['events']} events, {found['looks']} looks at state; {found['orders']}, facts {found['facts']}")
    assert found["events"] >= EVENTS
    assert found["looks"] >= EVENTS // 2
    assert found["wrong"] == []


def test_a_long_race_goes_on_where_it_stopped_and_finds_a_difference(
    fast: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    record = tmp_path / "race.jsonl"
    monkeypatch.setattr(race_long, "STREAM_EVENTS", 4_000)
    first = race_long.race(fast, 8_000, 5, 2, record)
    assert (first["streams"], first["seed_last"]) == (2, 5 + 10**9)
    with record.open("a") as file:
        file.write('{"stream": 2, "seed"')  # killed while it wrote

    def differs(library: Path, seed: int, turn: int, events: int) -> dict[str, object]:
        assert turn != 3, "a difference"
        return stream(library, seed, turn, events)

    monkeypatch.setattr(race_long, "stream", differs)
    more = race_long.race(fast, 40_000, 5, 2, record)
    lines = [json.loads(line) for line in record.read_text().splitlines()][1:]
    assert {line["stream"] for line in lines[:2]} == {0, 1}
    assert len({line["stream"] for line in lines}) == len(lines) == more["streams"] < 10
    assert more["wrong"][0].startswith("stream 3, seed 3000000005: a difference")
    assert race_long.race(fast, 40_000, 5, 2, record) == more  # what differed is not passed over by starting again
    second = next(line for line in lines if line["stream"] == 1)
    assert stream(fast, 5 + 10**9, 1, 4_000).items() <= second.items()
    with pytest.raises(ValueError, match="name another record"):
        race_long.race(fast, 40_000, 6, 2, record)
    with race_long.alone(record), pytest.raises(ValueError, match="another race"):
        race_long.race(fast, 40_000, 5, 2, record)


@pytest.mark.parametrize(("burst_max", "is_paused"), [(1, False), (16, False), (16, True)])
def test_a_cycle_of_the_race_is_one_of_verilator_s_own(fast: Path, seed: int, burst_max: int, is_paused: bool):
    """model.cpp tells the model of the rising edge itself: the same answers, cycles, latencies and state come of it."""
    seen = []
    for is_plain in (0, 1):
        gates = risk_rtl.Race(seed, fast)
        gates.lib.risk_model_plain(gates.model, is_plain)
        gates.widen()
        gates.run(3000, burst_max, tables_per_million=2000, pauses=is_paused)
        last = gates.ffi.new("uint64_t[2]")
        gates.lib.risk_model_last(gates.model, 0, last)
        pulses = [gates.lib.risk_model_pulses(gates.model, reason) for reason in REASONS]
        seen.append((bytes(gates.ffi.buffer(gates.counts)), gates.dump(1), list(last), pulses))
    assert gates.counts.events >= 3000
    assert gates.counts.cycles > 10 * gates.counts.events
    assert seen[0] == seen[1]


def test_numbers_of_every_size_give_the_same_in_c_and_verilog_after_every_event(library: Path, seed: int):
    """Each gate is reset over and over, then all is of other rows; the wire of the halt is pulled between events."""
    gate_cnt, reset_cnt = (8, 15) if rtl.IS_FULL else (2, 5)
    seen: Counter[str] = Counter()
    for turn in range(gate_cnt):
        gates = risk_rtl.Race(seed + turn, library)
        for _ in range(reset_cnt):
            gates.widen()
            gates.run(2000, (1, 16)[turn % 2], tables_per_million=3000, whole=2000, pauses=turn % 4 == 3)
        assert gates.counts.events >= 2000 * reset_cnt
        assert gates.counts.whole >= reset_cnt
        seen += Counter({risk.NAMES[reason]: gates.counts.orders[reason] for reason in REASONS})
    assert min(seen[risk.NAMES[reason]] for reason in REASONS) > 2 * gate_cnt, seen


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


def test_every_scenario_of_the_conformance_kit_is_as_expected(fast: Path):
    outcomes = run(lambda: SharedObjectGate(fast))
    assert [(o.scenario.name, o.step, o.want, o.got) for o in outcomes if not o.passed] == []
    assert len(outcomes) == len(scenarios()) >= 60


class Bench:
    """The Verilated gate alone, up, armed and with generous limits."""

    def __init__(self, library: Path) -> None:
        self.race = risk_rtl.Race(0, library)
        self.lib, self.model, self.ffi = self.race.lib, self.race.model, self.race.ffi
        self.ts, self.ref, self.generation = 10**9, 0, 0
        self.checks = 2**32 - 1
        self.bucket = dict(risk.GENEROUS_BUCKET)
        self.instruments = (risk.INSTRUMENT,)
        self.load()
        for kind, fields in (("beat", {}), ("arm", {}), ("feed", {"qty": 1}), ("ref", {"px": risk.PX})):
            assert self.say(kind, **fields) == "pass"

    def table(self) -> bytes:
        self.generation += 1
        account = risk.GENEROUS_ACCOUNT | self.bucket
        instrument = {
            "flags": 1, "qty_max": 2**32 - 1, "notional_max": 2**64 - 1, "collar_px_min": risk.PX // 2,
            "long_max": 2**31 - 1, "short_max": 2**31 - 1, "locate_qty": 2**32 - 1,
        }  # fmt: skip
        strategy = self.bucket | {"fills_max": 2**32 - 1, "rejects_run_max": 2**32 - 1}
        return limits.seal(risk.GENEROUS | {
            "generation": self.generation, "checks_enabled": self.checks, "gateway": account,
            "account": [account] * 16, "strategy": [strategy] * 64,
            "instrument": [instrument if i in self.instruments else {} for i in range(1024)],
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


class Both(Bench):
    """Likewise, with the C gate beside it: every answer, and what an event can touch, is compared."""

    def load(self) -> None:
        table = self.table()
        self.ts += 1000
        event = risk.make("limits", ts_ns=self.ts, venue_ref=self.generation)
        assert self.race.event(pack(event), table) == 0

    def say(self, kind: str, **fields: int) -> str:
        self.ts += 1000
        usual = {"ts_ns": self.ts, "strategy": risk.STRATEGY, "instrument": risk.INSTRUMENT}
        return risk.NAMES[self.race.event(pack(risk.make(kind, **usual | fields)))]


@pytest.mark.parametrize("side", [1, 2])
def test_every_place_is_taken_by_an_open_order_and_given_back(library: Path, side: int):
    bench = Both(library)
    first = bench.ref + 1
    for number in range(4096):
        assert bench.order(side=side, flags=side - 1, qty=1 + number) == "pass", number
    assert bench.order(side=side, flags=side - 1) == "open_orders"
    bench.ref -= 1
    assert f"open_{('buy', 'sell')[side - 1]}_cnt 4096\n" in bench.race.dump(1)
    for number in range(4096):
        assert bench.say("canceled", ref=first + number, qty=1 + number) == "pass", number
    assert "open" not in bench.race.dump(1)
    assert bench.order(side=side, flags=side - 1) == "pass"


def test_filled_notional_stays_at_the_highest_number_there_is(library: Path):
    bench = Both(library)
    high, most, other = 1_999_999_900, 2**31 - 1, risk.INSTRUMENT + 1
    bench.checks ^= 1 << risk.Reason.CREDIT | 1 << risk.Reason.SHORT_SALE
    bench.instruments = (risk.INSTRUMENT, other)
    bench.load()
    for instrument in bench.instruments:
        assert bench.say("feed", instrument=instrument, qty=1) == "pass"
        assert bench.say("ref", instrument=instrument, px=high) == "pass"
    for turn in range(5):  # from the shortest position to the longest, and back
        side, qty = 2 - turn % 2, 2 * most if turn else most
        for instrument in bench.instruments:
            assert bench.order(side=side, px=high, qty=qty, instrument=instrument) == "pass"
        if turn == 4:
            assert bench.say("canceled", ref=bench.ref, qty=qty) == "pass"
            bench.ref += 1
            fields = {"side": side, "px": high, "instrument": other}
            assert bench.say("new", ref=bench.ref, account=risk.ACCOUNT, type=1, tif=1, qty=qty, **fields) == "pass"
        for ref in (bench.ref - (2 if turn == 4 else 1), bench.ref):
            assert bench.say("executed", ref=ref, px=high, qty=qty) == "pass"
    assert bench.race.dump(1).count(f"filled_notional {2**64 - 1}\n") == 2
    for _ in range(3):
        bench.checks ^= 1 << risk.Reason.CREDIT
        bench.load()
        is_on = bool(bench.checks >> risk.Reason.CREDIT & 1)
        for account in (risk.ACCOUNT, risk.ACCOUNT + 1):  # nothing of the other one was filled; the gateway is the same
            assert bench.order(px=high, side=1, qty=1, account=account) == ("credit" if is_on else "pass")
            bench.ref -= is_on
    bench.race.widen()
    bench.race.run(50)  # and a reset forgets it


def test_a_bucket_that_nothing_was_taken_of_for_centuries_holds_what_its_limits_say(library: Path):
    bench = Both(library)
    for bucket in ({"rate_burst": 2**32 - 1, "rate_refill_ns": 2**32}, risk.GENEROUS_BUCKET):
        bench.bucket = bucket
        bench.ts = max(bench.ts, 2**64 - 2**42)
        bench.load()
        for kind, fields in (("beat", {}), ("ref", {"px": risk.PX})):
            assert bench.say(kind, **fields) == "pass"
        level = min(bucket["rate_burst"] * bucket["rate_refill_ns"], bench.ts + 1000) - bucket["rate_refill_ns"]
        assert bench.order(qty=7) == "pass"
        assert bench.race.dump(1).count(f"level {level}\n") == 3
        assert bench.order(qty=8) == "pass"


@pytest.mark.parametrize(("name", "lsb"), [("fills", 128), ("rejects", 160)])
def test_fills_and_refusals_of_a_strategy_stay_at_the_highest_number_there_is(library: Path, name: str, lsb: int):
    bench = Bench(library)
    assert bench.order(qty=300) == "pass"

    def count() -> int:
        found = re.findall(rf"^strategy\.{risk.STRATEGY:02}\.{name} (\d+)$", bench.race.dump(1), re.MULTILINE)
        return int(found[0]) if found else 0

    def one_more() -> None:
        if name == "fills":
            assert bench.say("executed", ref=1, px=risk.PX, qty=100) == "pass"
        else:
            assert bench.order(qty=0) in ("malformed", "strategy")

    assert count() == 0
    for bit in range(1, 32):  # as after 2^32 - 2 of them
        bench.lib.risk_model_flip(bench.model, risk_rtl.MEMORY["strategy"], risk.STRATEGY, lsb + bit)
    assert count() == 2**32 - 2
    for _ in range(2):
        one_more()
        assert count() == 2**32 - 1
    assert bench.order() == "strategy"  # as many as the limit, so it was disarmed
    assert bench.say("arm") == "pass"
    assert count() == 0
    assert bench.order() == "pass"


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
    for bit in (0, 32, 63):  # of the word with the checksum
        table = bytearray(bench.table())
        table[bit // 8] ^= 1 << bit % 8
        bench.offer(bytes(table))
        assert bench.say("limits", venue_ref=bench.generation) == "halted"
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


def test_the_last_verdicts_are_what_was_answered_and_their_number_wraps(library: Path):
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
    for instrument in (0xFFFF, 1 << 10, 0xFF00FFFF):  # of which the low half is kept
        assert bench.order(instrument=instrument) == "instrument"
        bench.lib.risk_model_last(bench.model, bench.lib.risk_model_verdict_cnt(bench.model) - 1, out)
        assert out[0] >> 16 & 0xFFFF == instrument & 0xFFFF
        bench.ref -= 1
    bench.lib.risk_model_count(bench.model, 2**32 - 3)
    said = [bench.order(qty=300 + i) for i in range(5)]
    assert bench.lib.risk_model_verdict_cnt(bench.model) == 2  # the number wraps
    for back in range(5):
        bench.lib.risk_model_last(bench.model, (2 - 1 - back) % 2**32, out)
        assert (risk.NAMES[out[0] & 0xFF], out[0] >> 32) == (said[4 - back], bench.ref - back)


def test_the_counters_are_what_was_answered(library: Path):
    bench = Bench(library)
    said = [bench.order(qty=100 + i, px=risk.PX if i % 3 else 0) for i in range(100)]
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
