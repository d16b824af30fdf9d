"""What no program of tests/c can reach, under ASan and UBSan: a card that judges and sends, a run that decides again,
orders on paper.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import hwgw_sim.card
import pytest
from hwgw_sim.lab import Lab
from support import programs, sanitized

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(Lab.missing()), reason=f"no lab: {Lab.missing()}"),
]
TESTS = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["test_card_rules.py", "test_card_rule_faults.py", "test_card_send.py"])
def test_orders_of_the_card_hold_their_claims_under_sanitizers(name: str, seed: int) -> None:
    if why := hwgw_sim.card.missing():
        pytest.skip(why)
    hold(TESTS / "system" / name, seed)


@pytest.mark.parametrize("name", ["test_replay_decide.py", "test_replay_repaired.py"])
def test_a_run_that_decides_again_holds_its_claims_under_sanitizers(name: str, seed: int) -> None:
    hold(TESTS / "unit" / name, seed)


def test_orders_on_paper_hold_their_claims_under_sanitizers(seed: int) -> None:
    hold(TESTS / "unit" / "test_paper_model.py", seed)


def hold(file: Path, seed: int) -> None:
    """Every test of the file passes and no sanitizer speaks."""
    module = str(programs.module())
    environment = os.environ | {
        "HWGW_SANITIZED": module,
        "LD_PRELOAD": sanitized.preloads(),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own are not ours to judge
        "PYTHONPATH": str(TESTS),
        "HWGW_SEED": str(seed),
    }
    command = ["-m", "pytest", "-q", "-n0", "-p", "support.sanitized", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=600, env=environment, check=False
    )
    said = f"HWGW_SEED={seed}\n{done.stdout}{done.stderr}"
    assert done.returncode == 0, said
    assert not re.search("Sanitizer|runtime error", said), said
    assert f"tested: {module}\n" in done.stderr, said
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, said
    assert int(passed[1]) > 5
