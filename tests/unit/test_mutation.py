"""The program that changes the gate's code: it finds what decides, changes one token and nothing else.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import difflib

import pytest

from tests.mutation.__main__ import SOURCES, mutants


@pytest.mark.parametrize("source", SOURCES)
def test_each_mutant_differs_in_one_line_of_code(source, root):
    text = (root / "cffi_build" / "src" / source).read_text(encoding="utf-8")
    made = list(mutants(source))
    assert len(made) > 80
    for mutant in made:
        changed = [line for line in difflib.ndiff(text.splitlines(), mutant.text.splitlines()) if line[0] in "+-"]
        assert len(changed) == 2, mutant.line
        assert mutant.code in changed[0]
        assert not mutant.code.startswith(("/*", "*", "#", "//"))


def test_every_limit_of_a_comparison_is_among_them():
    codes = {(mutant.old, mutant.new) for source in SOURCES for mutant in mutants(source)}
    assert {("<", "<="), (">", ">="), ("<=", "<"), (">=", ">"), ("+", "-"), ("!", ""), ("&&", "||")} <= codes
