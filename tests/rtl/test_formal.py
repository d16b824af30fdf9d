"""The table of proofs is sound, and where the tools are installed (make formal) two of them are made.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import pytest

from fpga import tools
from fpga.formal import __main__ as formal
from fpga.formal.proofs import PROOFS


def test_every_proof_has_a_bug_that_can_be_planted_and_files_that_exist() -> None:
    tools.generate()
    assert len({proof.name for proof in PROOFS}) == len(PROOFS) >= 10
    for proof in PROOFS:
        text = tools.locate(proof.module).read_text(encoding="utf-8")
        assert formal.planted(proof, text) != text
        harness = (formal.HERE / f"{proof.harness}.v").read_text(encoding="utf-8")
        rules = harness + "".join((formal.HERE / f"{name}.v").read_text(encoding="utf-8") for name in proof.helpers)
        assert f"`ifdef {proof.rule}" in rules
        assert all(tools.locate(module).exists() for module in proof.uses)


@pytest.mark.skipif(bool(formal.missing()), reason=formal.missing())
@pytest.mark.parametrize("name", ["skid.rate", "fifo.stable"])
def test_a_proof_holds_reaches_its_covers_and_finds_its_bug(name: str) -> None:
    row = formal.prove(next(proof for proof in PROOFS if proof.name == name))
    assert formal.is_good(row), row
