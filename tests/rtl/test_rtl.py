"""The receive path of the card in simulation: every bench on Verilator, the short ones on Icarus as well.

SPDX-License-Identifier: MIT

HWGW_RTL_FULL=1 (make rtl) runs longer, with more seeds and with coverage of the Verilog, which HWGW_RTL_JSON gets.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import rtl

from fpga import tools

Run = Callable[..., dict[str, Any]]
FUNCTIONAL_BINS = 23 * 2 * (1 + 1 + 8 + 8)  # type, line, and place with lane; first and only messages begin in lane 4
SIMULATORS = ["verilator", "icarus"]


@pytest.fixture(scope="module")
def totals() -> Iterator[dict[str, Any]]:
    """What all benches noted; written out at the end."""
    found: dict[str, Any] = {"tests": 0, "passed": 0, "events_compared": 0, "functional": {}}
    yield found
    if os.environ.get("HWGW_RTL_JSON"):
        Path(os.environ["HWGW_RTL_JSON"]).write_text(json.dumps(report(found), indent=2) + "\n", encoding="utf-8")


def report(found: dict[str, Any]) -> dict[str, Any]:
    """The object of `make rtl JSON=FILE`."""
    covered = 100 * len(found["functional"]) / FUNCTIONAL_BINS
    return {
        "schema": "hwgw.rtl/1",
        "tests": found["tests"],
        "passed": found["passed"],
        "events_compared": found["events_compared"],
        "coverage": {"functional": round(covered, 2)},  # that of the code: support.rtl_coverage, when all have run
        "latency_cycles": found.get("latency_cycles", {}),
        "latency_histogram": dict(sorted(found.get("latency_histogram", {}).items())),
    }


@pytest.fixture
def run(tmp_path: Path, seed: int, totals: dict[str, Any]) -> Run:
    """Runs tests of a bench; asserts that all passed; what they noted."""

    def start(
        bench: str, top: str, *tests: str, simulator: str = "verilator", turn: int = 0, is_long: bool = False
    ) -> dict[str, Any]:
        why = tools.missing("iverilog", "vvp") if simulator == "icarus" else tools.missing("verilator", "g++", "make")
        if why:
            pytest.skip(why)
        with_coverage = rtl.IS_FULL and simulator == "verilator" and not is_long
        found = rtl.run(bench, top, list(tests), tmp_path, simulator, seed + turn, with_coverage=with_coverage)
        totals["tests"] += len(tests)
        totals["passed"] += len(tests) - len(found["failed"])
        rtl.merge(
            totals, {name: value for name, value in found.items() if name not in ("failed", "log", "latency_cycles")}
        )
        totals.setdefault("latency_cycles", {}).update(found.get("latency_cycles", {}))
        assert found["failed"] == {}, f"{found['failed']}; seed {seed + turn}; log {found['log']}"
        return found

    return start


def feed(run: Run, *tests: str, **how: Any) -> dict[str, Any]:
    """Tests of hwgw_feed."""
    return run("bench_feed", "feed_bench", *tests, **how)


def numbers(run: Run, *tests: str) -> dict[str, Any]:
    """Tests of hwgw_feed at the bounds of numbers."""
    return run("bench_numbers", "feed_bench", *tests)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_whatever_comes_events_and_counters_are_those_of_the_golden_models_and_of_c(run: Run, simulator: str):
    for turn in range(2 if rtl.IS_FULL and simulator == "verilator" else 1):  # one takes as long as all others together
        assert feed(run, "faults_and_special_frames", simulator=simulator, turn=turn)["events_compared"] > 33


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_every_type_at_every_alignment_is_decoded(run: Run, simulator: str):
    assert feed(run, "messages_of_every_type_at_once", simulator=simulator)["events_compared"] >= 500


def test_any_settings_session_and_numbers_do_what_they_say(run: Run):
    assert feed(run, "any_settings_sessions_and_numbers")["events_compared"] >= 8


def test_both_lines_at_line_rate_lose_nothing(run: Run):
    assert feed(run, "both_lines_at_line_rate")["events_compared"] == 4800


def test_lines_fill_the_holes_of_each_other(run: Run):
    assert feed(run, "lines_that_lose_fill_each_other")["events_compared"] > 500


def test_a_line_that_skips_known_copies_while_the_other_jumps_keeps_its_place(run: Run):
    name = "a_line_that_skips_known_copies_while_the_other_jumps_keeps_its_place"
    assert numbers(run, name)["events_compared"] == 6 * 100


def test_numbers_and_holds_at_their_bounds_and_what_a_restart_forgets(run: Run):
    names = (
        "a_packet_at_every_distance_from_the_expected_number",
        "a_header_in_every_phase_of_what_the_other_line_does",
        "a_line_whose_store_is_half_full_waits_no_longer",
        "a_hole_is_given_up_after_just_so_many_cycles",
        "of_two_lines_far_ahead_the_nearer_goes_on_first",
        "what_was_before_a_restart_is_forgotten_256_times",
    )
    assert numbers(run, *names)["events_compared"] > 1_200


def test_latency_is_constant(run: Run):
    assert feed(run, "latency_is_constant_per_alignment")["events_compared"] == 400


def test_registers_of_the_channel_do_what_they_say(run: Run):
    assert feed(run, "control")["events_compared"] == 3


def test_what_does_not_fit_is_counted_and_nothing_else_is_lost(run: Run):
    assert feed(run, "what_does_not_fit_is_counted")["events_compared"] == 1513


def test_frames_found_bad_at_their_end_are_counted_once_and_what_left_is_not_sent_again(run: Run):
    assert feed(run, "bad_frames_that_are_not_waited_for")["events_compared"] > 100


def test_a_generated_market_gives_the_same_events_and_last_trades(run: Run):
    found = feed(run, "many", is_long=True)
    assert found["events_compared"] == (100_000 if rtl.IS_FULL else 1000)
    assert found["trades"]["known"] > found["trades"]["unknown"]


def test_real_captures_give_the_same_events(run: Run):
    if not (tools.ROOT.parent / "shared" / "data" / "mold").exists():
        pytest.skip("../shared/data/mold is not here")
    found = feed(run, "captures", is_long=True)
    assert found["events_compared"] == (22_000 if rtl.IS_FULL else 1000)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_scapy_packets_through_axi_stream_sources_and_a_sink_that_pauses(run: Run, simulator: str):
    assert feed(run, "axi_sources_and_sink", simulator=simulator)["events_compared"] == 230
