"""The reader of the Verilog's coverage: percent as measured, and after exceptions that name only what was missed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from support import rtl, rtl_coverage

from fpga import tools

HOLD = tools.RTL / "hwgw_hold.v"


def data(path: Path, points: list[tuple[str, int, str, int]]) -> None:
    """A file as a model with coverage writes it: kind, line, what and count of each point of hwgw_hold."""
    rows = [
        f"C '\1f\2{HOLD}\1l\2{line}\1n\x025\1t\2{kind}\1page\2v_{kind}/hwgw_hold\1o\2{what}\1h\2TOP.hold' {count}"
        for kind, line, what, count in points
    ]
    path.write_text("\n".join(["# SystemC::Coverage-3", *rows]) + "\n", encoding="utf-8")


@pytest.mark.skipif(bool(tools.missing("verilator_coverage")), reason=tools.missing("verilator_coverage"))
def test_coverage_is_told_with_and_without_what_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data(
        tmp_path / "a.dat",
        [("toggle", 9, "used[0]:0->1", 3), ("toggle", 9, "used[1]:0->1", 0), ("line", 4, "block", 1)],
    )
    data(
        tmp_path / "b.dat",
        [("toggle", 9, "used[2]:0->1", 0), ("toggle", 9, "used[3]:0->1", 2), ("line", 4, "block", 0)],
    )
    names = tmp_path / "names.yaml"
    names.write_text(
        "goals: {feed: {toggle: 66, line: 101}}\n"
        "exceptions:\n"
        "- {kind: toggle, file: hwgw_hold\\.v, what: 'used\\[1\\].*', why: for the test}\n"
        "- {kind: toggle, file: .*, what: 'used\\[[0]\\].*', why: seen all the same}\n"
        "- {kind: toggle, file: .*, what: 'used\\[2\\].*', why: not on that line, at: nothing that stands there}\n"
        "- {kind: branch, file: hwgw_hold\\.v, what: '.*', why: there is none}\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(rtl_coverage, "EXCEPTIONS", names)
    found = rtl_coverage.report(tmp_path)
    assert found["feed"]["measured"] == {"line": 100.0, "toggle": 50.0}
    assert found["feed"]["after_exceptions"]["toggle"] == pytest.approx(
        66.67
    )  # one of four is excused, two of three seen
    assert found["order"]["measured"] == {"line": 100.0, "toggle": 100.0}  # nothing of it was measured
    assert (found["excused"], found["missed"]) == (1, 1)
    wrong = [r".* used\[[0]\].*: seen 1 times", r".* used\[2\].*: no such point", r"hwgw_hold\.v .*: no such point"]
    assert found["wrong_exceptions"] == wrong
    assert rtl_coverage.complaints(found) == ["feed: line 100.0 %, the goal is 101 %", *wrong]
    assert json.loads((tmp_path / "missed.json").read_text(encoding="utf-8")) == ["toggle hwgw_hold.v:9 used[2]:0->1"]


def test_the_names_that_are_committed_can_be_read_and_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(rtl_coverage.exceptions(), list)
    names = tmp_path / "names.yaml"
    monkeypatch.setattr(rtl_coverage, "EXCEPTIONS", names)
    for row, what in (
        ("{kind: toggle, file: hwgw_none.v, what: a, why: b}", "no hwgw_none.v"),
        ("{kind: toggle, file: hwgw_hold.v, what: a}", "the keys are"),
    ):
        names.write_text(f"exceptions: [{row}]\n", encoding="utf-8")
        with pytest.raises(ValueError, match=what):
            rtl_coverage.exceptions()


WIDE = """module wide (input clk, input bit_in, output reg [95:0] q);
  always @(posedge clk) q <= {64'd0, 31'd0, bit_in};
endmodule
"""
WIDE_MAIN = """#include "Vwide.h"
#include "verilated.h"
#include "verilated_cov.h"
int main() {
  VerilatedContext context;
  Vwide top(&context);
  for (int i = 0; i < 8; i++) { top.bit_in = i >> 1 & 1; top.clk = i & 1; top.eval(); }
  context.coveragep()->write("wide.dat");
}
"""


@pytest.mark.skipif(not rtl.IS_FULL, reason="of coverage, which is measured in make rtl alone")
@pytest.mark.skipif(bool(tools.missing("verilator", "make", "g++")), reason=tools.missing("verilator", "make", "g++"))
def test_a_bit_of_a_wide_vector_that_never_changes_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "wide.v").write_text(WIDE, encoding="utf-8")
    (tmp_path / "main.cpp").write_text(WIDE_MAIN, encoding="utf-8")
    rtl.mend_coverage(tmp_path / "obj_dir")
    command = [
        "verilator",
        "--cc",
        "--exe",
        "--build",
        "--quiet",
        "-Wno-fatal",
        *rtl.COVERAGE_ARGS,
        "wide.v",
        "main.cpp",
    ]
    for step in (command, ["obj_dir/Vwide"]):
        subprocess.run(step, cwd=tmp_path, check=True, timeout=120, env=tools.environment(), stdout=subprocess.DEVNULL)
    rows = re.findall(r"q\[(\d+)\]:(?:0->1|1->0).*' (\d+)$", (tmp_path / "wide.dat").read_text(), re.MULTILINE)
    assert len(rows) == 2 * 96
    assert {int(bit) for bit, count in rows if int(count)} == {0}


def test_nothing_measured_is_nothing_told(tmp_path: Path) -> None:
    assert rtl_coverage.report(tmp_path) == {}
    assert rtl_coverage.complaints({}) == ["no coverage was measured"]
