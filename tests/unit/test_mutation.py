"""The program that changes the gate's code: it finds what decides, changes one token and nothing else.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import difflib
import re

import pytest

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
