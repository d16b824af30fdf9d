"""The gate's C files as a shared object behind the three functions of the conformance kit, whole or changed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("risk.c", "risk_fact.c")
FLAGS = ("-std=gnu11", "-O1", "-shared", "-fPIC", "-w", "-D_GNU_SOURCE", "-march=x86-64-v2")


@cache
def generated() -> str:
    """The headers made from the tables, once per run."""
    folder = ROOT / "build" / "tests" / f"headers-{os.environ.get('PYTEST_XDIST_WORKER', 'one')}"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-B", str(ROOT / "cffi_build" / "gen.py"), str(folder)], check=True, timeout=120)
    return str(folder)


def build(built: Path, changed: Mapping[str, str] | None = None, more: Sequence[str] = ()) -> bool:
    """Compile the gate to built; changed maps a source's name to other text. False when that does not compile."""
    folder = built.parent
    sources = []
    for name in (*SOURCES, *more):
        path = ROOT / "cffi_build" / "src" / name
        if changed and name in changed:
            path = folder / f"{built.stem}-{name}"
            path.write_text(changed[name], encoding="utf-8")
        sources.append(str(path))
    includes = (generated(), str(ROOT / "cffi_build" / "include"), str(ROOT / "cffi_build" / "src"))
    command = ["cc", *FLAGS, *(f"-I{path}" for path in includes), "-o", str(built)]
    gate = ROOT / "tests" / "conformance" / "gate.c"
    done = subprocess.run([*command, *sources, str(gate)], capture_output=True, timeout=120, check=False)
    return done.returncode == 0
