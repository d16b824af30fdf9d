"""Every tests/c/test_*.c is a program that ends with 0 when its claims hold; here each runs under ASan and UBSan.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support import programs

SOURCES = sorted(Path(__file__).parent.glob("test_*.c"))


@pytest.mark.parametrize("name", [source.stem for source in SOURCES])
def test_program_holds_its_claims_under_sanitizers(name: str, seed: int) -> None:
    """The program ends with 0 and no sanitizer speaks."""
    program = programs.build("sanitize") / name
    environment = os.environ | {"HWGW_SEED": str(seed), "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0"}
    done = subprocess.run([program], capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, f"HWGW_SEED={seed} {name}: exit {done.returncode}\n{done.stdout}{done.stderr}"
