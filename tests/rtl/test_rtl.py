"""The receive path of the card in simulation: every bench, on Verilator and on Icarus.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import rtl

from fpga import tools

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, seed: int) -> Run:
    """Runs tests of a bench on both simulators or one; asserts that all passed; what they noted."""

    def start(bench: str, top: str, *tests: str, simulator: str = "verilator", **parameters: int) -> dict[str, Any]:
        why = tools.missing("iverilog", "vvp") if simulator == "icarus" else tools.missing("verilator", "g++", "make")
        if why:
            pytest.skip(why)
        found = rtl.run(bench, top, list(tests), tmp_path, simulator, seed, parameters)
        assert found["failed"] == {}, f"{found['failed']}; seed {seed}; log {found['log']}"
        return found

    return start


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_messages_become_the_events_of_the_golden_model_and_of_c(run: Run, simulator: str):
    assert run("bench_feed", "feed_bench", "one_packet", simulator=simulator)["events_compared"] == 42
