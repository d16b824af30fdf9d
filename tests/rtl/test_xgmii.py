"""XGMII in simulation: its receiver by itself, and the card behind two of them; the benches are in bench_xgmii.py.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import rtl

from fpga import tools

SIMULATORS = ["icarus", *(["verilator"] if rtl.IS_FULL else [])]  # Icarus has nothing to compile


def run(work: Path, seed: int, simulator: str, top: str, *tests: str) -> dict[str, Any]:
    """Runs tests; asserts that all passed; what they noted."""
    why = tools.missing("iverilog", "vvp") if simulator == "icarus" else tools.missing("verilator", "g++", "make")
    if why:
        pytest.skip(why)
    with_coverage = rtl.IS_FULL and simulator == "verilator"
    found = rtl.run("bench_xgmii", top, list(tests), work, simulator, seed, with_coverage=with_coverage)
    assert found["failed"] == {}, f"{found['failed']}; seed {seed}; log {found['log']}"
    return found


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_every_frame_comes_out_whole_or_marked_bad_and_counted_once(tmp_path: Path, seed: int, simulator: str) -> None:
    tests = (
        "frames_of_an_independent_source_come_out_whole_or_marked_bad",
        "whatever_stands_in_the_lanes_every_start_is_one_frame",
    )
    found = run(tmp_path, seed, simulator, "hwgw_xgmii", *tests)
    assert found["frames"] > 240
    assert min(found["causes"][name] for name in ("frames", "drop_fcs", "drop_runt", "drop_symbol")) > 10


def test_what_comes_over_xgmii_is_what_the_card_gives(tmp_path: Path, seed: int) -> None:
    found = run(tmp_path, seed, "icarus", "xgmii_bench", "what_comes_over_xgmii_is_what_the_card_gives")
    assert found["events_compared"] > 40
