"""The gate's C files as a shared object behind the three functions of the conformance kit, whole or changed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
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
    """Compile the gate to built; changed maps the name of a source or header to other text. False when it does not."""
    changed = changed or {}
    is_header_changed = any(name.endswith(".h") for name in changed)
    objects = [_object(str(ROOT / "tests" / "conformance" / "gate.c"))]
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        for name, text in changed.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        for name in (*SOURCES, *more):
            source, target = ROOT / "cffi_build" / "src" / name, Path(folder, name).with_suffix(".o")
            if is_header_changed:  # beside the header, where the compiler looks first
                source = Path(shutil.copy(source, folder))
            elif name in changed:
                source = Path(folder, name)
            else:
                objects.append(_object(str(source)))
                continue
            if not _compile(str(source), target):
                return False
            objects.append(str(target))
        command = ["cc", *FLAGS, "-o", str(built), *filter(None, objects)]
        return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0
