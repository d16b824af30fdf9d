"""Every benchmark runs at its smallest size, so that none can rot.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

KEYS = ["name", "value", "unit", "baseline", "baseline_value", "ratio", "runs", "min", "max", "commit", "machine"]
MODULES = sorted(
    path.stem.removeprefix("bench_") for path in (Path(__file__).parent.parent / "bench").glob("bench_*.py")
)


@pytest.mark.parametrize("module", MODULES)
def test_benchmark_runs_and_reports_every_field(root: Path, tmp_path: Path, module: str) -> None:
    output = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "--smoke", "--output", str(output), module]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(output.read_text())
    assert results or "not measured:" in done.stdout, "neither a figure nor a reason"
    for result in results:
        assert list(result) == KEYS
        assert result["name"] in done.stdout
        assert result["min"] <= result["value"] <= result["max"]
        assert result["value"] > 0
        assert (result["baseline"] is None) == (result["baseline_value"] is None) == (result["ratio"] is None)


def test_there_are_benchmarks() -> None:
    assert "pipeline" in MODULES
