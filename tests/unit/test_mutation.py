"""The program that changes the gate's code: it finds what decides, changes one token and nothing else.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
from pathlib import Path

import pytest
from support import risk_rtl

from fpga import tools
from tests.mutation import rtl
from tests.mutation.__main__ import PARTS, mutants
from tests.mutation.verilog import Module


@pytest.mark.parametrize("source", PARTS)
def test_each_mutant_differs_in_one_line_of_code(source, root):
    text = (root / "cffi_build" / "src" / source).read_text(encoding="utf-8")
    made = list(mutants(source))
    assert len(made) > 20
    for mutant in made:
        changed = [line for line in difflib.ndiff(text.splitlines(), mutant.text.splitlines()) if line[0] in "+-"]
        assert len(changed) == 2, mutant.line
        assert mutant.code in changed[0]
        assert not mutant.code.startswith(("/*", "*", "#", "//"))


def test_every_limit_of_a_comparison_is_among_them():
    codes = {(mutant.old, mutant.new) for source in PARTS for mutant in mutants(source)}
    assert {("<", "<="), (">", ">="), ("<=", "<"), (">=", ">"), ("+", "-"), ("!", ""), ("&&", "||")} <= codes


SMALL = """module small (
    input wire clk,
    output reg [3:0] m_q
);
  localparam MAX = 7;  // not changed
  wire [3:0] more = m_q + 4'd1;  // a comment stays
  always @(posedge clk) begin
    if (m_q <= more && !(more == MAX)) m_q <= more <= 4'd9 ? more : -m_q;
    m_q[1:0] <= {2{1'b0}};
  end
endmodule
"""


def test_a_verilog_module_has_every_change_once_and_is_itself_without_them():
    module = Module("small.v", SMALL, 1)
    text = module.changed()
    found = [(mutant.line, mutant.old, mutant.new) for mutant in module.mutants]
    assert found == [
        (6, "+", "-"), (6, "4'd1", "4'h2"), (8, "<=", "<"), (8, "&&", "without left"), (8, "&&", "without right"),
        (8, "!", ""), (8, "==", "!="), (8, "statement", "left out"), (8, "<=", "<"), (8, "4'd9", "4'ha"), (8, "-", ""),
        (9, "statement", "left out"), (9, "1'b0", "1'h1"),
    ]  # fmt: skip
    assert [mutant.number for mutant in module.mutants] == list(range(1, 14))
    assert {int(n) for n in re.findall(r"mutant::on == (\d+)", text)} == set(range(1, 14))
    assert "wire [3:0] more = ((mutant::on == 1) ? ((m_q) - " in text
    assert "localparam MAX = 7;  // not changed" in text
    assert "input wire clk" in text


@pytest.mark.skipif(bool(risk_rtl.missing()), reason=risk_rtl.missing())
def test_the_gate_with_all_its_changes_is_verilog(tmp_path: Path):
    tools.generate()
    texts, found = rtl.mutants()
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = ["verilator", "--lint-only", "--quiet", "-Wno-lint", "--no-timing", "--top-module", "hwgw_risk"]
    command += [f"-I{tools.GENERATED}", f"-I{tmp_path}", str(tmp_path / "mutant.v"), str(tmp_path / "hwgw_risk.v")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=tools.environment())
    assert done.returncode == 0, done.stderr[:2000]
    assert len(found) > 1500


def test_what_judges_mutants_is_every_test_that_needs_no_more_than_a_gate():
    names = [name for name, _ in rtl.tries(None, Path("gate"), argparse.Namespace(seed=1, events=1))]
    assert names.count("test_fills_and_refusals_of_a_strategy_stay_at_the_highest_number_there_is") == 2
    assert "test_reset_forgets_everything" in names
    assert not [name for name in names if "headers" in name or "long_race" in name]
