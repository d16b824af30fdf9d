"""Every fuzz target builds, takes its corpus and survives two seconds of fuzzing; `make fuzz` does the rest.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import programs

HERE = Path(__file__).parent
RUNS = re.compile(r"stat::number_of_executed_units:\s+(\d+)")


@pytest.mark.parametrize("name", [source.stem for source in sorted(HERE.glob("fuzz_*.c"))])
def test_target_finds_nothing_in_two_seconds(name: str, seed: int, tmp_path: Path) -> None:
    """No crash, no leak, no undefined behaviour, and it did run."""
    if not shutil.which("clang"):
        pytest.skip("needs clang for libFuzzer")
    target = programs.build("fuzz") / name
    corpus = [str(HERE / "corpus" / name)] if (HERE / "corpus" / name).is_dir() else []
    limits = [
        "-max_total_time=2",
        "-print_final_stats=1",
        f"-seed={seed % 2**31 or 1}",
        f"-artifact_prefix={tmp_path}/",
    ]
    (tmp_path / "found").mkdir()
    command = [target, *limits, str(tmp_path / "found"), *corpus]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"HWGW_SEED={seed} {name}\n{done.stderr[-4000:]}"
    runs = RUNS.search(done.stderr)
    assert runs
    assert int(runs[1]) > 100, f"only {runs[1]} inputs were tried"  # a journal is a millisecond, and machines are busy
