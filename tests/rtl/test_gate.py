"""The order half of the card in simulation, all of it: what the host does at random, beside the golden models.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support import rtl

from fpga import tools


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_whatever_the_host_does_the_card_answers_as_the_golden_models(
    tmp_path: Path, seed: int, simulator: str
) -> None:
    if why := tools.missing("iverilog", "vvp") if simulator == "icarus" else tools.missing("verilator", "g++", "make"):
        pytest.skip(why)
    if simulator == "verilator" and not rtl.IS_FULL:
        pytest.skip("the model takes a minute to compile; make rtl runs it")
    test = "whatever_the_host_does_the_card_answers_as_the_golden_models"
    is_told = simulator == "verilator"
    found = rtl.run("bench_gate", "hwgw_gate", [test], tmp_path, simulator, seed, with_coverage=is_told)
    assert found["failed"] == {}, f"{found['failed']}; seed {seed}; log {found['log']}"
    print(found["gate"])
