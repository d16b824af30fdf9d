"""The gate's C files as a shared object behind the three functions of the conformance kit, whole or changed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import atexit
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


@cache
def _object(source: str) -> str | None:
    """An unchanged source, compiled once per run."""
    target = ROOT / "build" / "tests" / f"gate-{os.getpid()}-{Path(source).stem}.o"
    atexit.register(target.unlink, missing_ok=True)
    return str(target) if _compile(source, target) else None


def _compile(source: str, target: Path) -> bool:
    includes = (generated(), str(ROOT / "cffi_build" / "include"), str(ROOT / "cffi_build" / "src"))
    command = ["cc", *FLAGS, *(f"-I{path}" for path in includes), "-c", "-o", str(target), source]
    return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0


def library(built: Path, *sources: Path) -> None:
    """Compile sources that read the gate's own headers to a shared object; CalledProcessError when they cannot be."""
    includes = (generated(), str(ROOT / "cffi_build" / "include"), str(ROOT / "cffi_build" / "src"))
    flags = [flag for flag in FLAGS if flag not in ("-O1", "-w")]
    command = ["cc", *flags, "-O2", "-Wall", "-Wextra", "-Werror", *(f"-I{path}" for path in includes)]
    subprocess.run([*command, "-o", str(built), *map(str, sources)], check=True, timeout=120)


def build(built: Path, changed: Mapping[str, str] | None = None, more: Sequence[str] = ()) -> bool:
    """Compile the gate to built; changed maps a source's name to other text. False when that does not compile."""
    objects: list[str] = []
    temporary: list[Path] = []
    for name in (*SOURCES, *more):
        if changed and name in changed:
            text = built.with_name(f"{built.stem}-{name}")
            text.write_text(changed[name], encoding="utf-8")
            temporary += [text, text.with_suffix(".o")]
            if not _compile(str(text), temporary[-1]):
                return False
            objects.append(str(temporary[-1]))
        elif compiled := _object(str(ROOT / "cffi_build" / "src" / name)):
            objects.append(compiled)
    gate = _object(str(ROOT / "tests" / "conformance" / "gate.c"))
    command = ["cc", *FLAGS, "-o", str(built), *objects, str(gate)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    for path in temporary:
        path.unlink(missing_ok=True)
    return done.returncode == 0
