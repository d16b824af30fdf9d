"""The registers of the card on Icarus, driven through AXI-Lite by cocotb; the benches are in bench_regs.py.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fpga import tools
from hwgw.specs import registers

pytestmark = pytest.mark.skipif(bool(tools.missing("iverilog", "vvp")), reason=tools.missing("iverilog", "vvp"))
ACCESSES = 4000 if os.environ.get("HWGW_RTL_FULL") else 400


def test_registers_hold_what_the_table_says(tmp_path: Path, root: Path) -> None:
    runner_module = pytest.importorskip("cocotb_tools.runner", reason="cocotb is not installed (make venv)")
    table = registers.load()
    generated = tools.generate()
    runner = runner_module.get_runner("icarus")
    runner.build(
        sources=[generated / "hwgw_regs.v", tools.RTL / "hwgw_counters.v", root / "tests" / "rtl" / "regs_top.v"],
        includes=[generated],
        hdl_toplevel="regs_top",
        defines={
            "CNT": len(table.slots),
            "GATE_CNT": len(table.gate_slots),
            "WIDE": next(slot.index for slot in table.slots if slot.name == "mold.missing"),
        },
        build_dir=tmp_path,
        build_args=["-g2005-sv"],
        timescale=("1ns", "1ps"),
    )
    seed = int(os.environ.get("HWGW_SEED", "1"))
    print(f"seed {seed}")
    results = runner.test(
        hdl_toplevel="regs_top",
        test_module="rtl.bench_regs",
        build_dir=tmp_path,
        test_dir=tmp_path,
        extra_env={"HWGW_SEED": str(seed), "HWGW_ACCESSES": str(ACCESSES), "COCOTB_LOG_LEVEL": "WARNING"},
    )
    cases = ET.parse(results).findall(".//testcase")
    assert len(cases) == 5
    assert not [
        case.get("name") for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
