"""Builds the C programs of tests/c and hwgw._native under sanitizers, those of tests/fuzz with libFuzzer; says where.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
OPTIONS = {
    # -O1 compiles in half the time of -O3 and runs as fast under sanitizers; it also guesses wrong about one snprintf
    "sanitize": ["-DHWGW_SANITIZE=ON", "-DCMAKE_C_FLAGS_RELEASE=-O1 -Wno-error=format-truncation"],
    "fuzz": ["-DHWGW_FUZZ=ON", "-DCMAKE_C_COMPILER=clang"],
}


def _run(*command: str | Path) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}", pytrace=False)


def _tree(kind: str, *target: str) -> Path:
    """Bring the programs of a kind, or the target that is named, up to date and return the tree they are built in."""
    scripts = Path(sys.executable).parent
    cmake, ninja = (shutil.which(name, path=scripts) or shutil.which(name) for name in ("cmake", "ninja"))
    if not cmake or not ninja:
        pytest.skip("needs cmake and ninja")
    folder = ROOT / "build" / kind
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _run(
            cmake, "-S", ROOT, "-B", folder, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}",
            "-DCMAKE_BUILD_TYPE=Release", f"-DPython_EXECUTABLE={sys.executable}", *OPTIONS[kind],
        )  # fmt: skip
        _run(cmake, "--build", folder, *(("--target", *target) if target else ()))
    return folder


@cache
def build(kind: str) -> Path:
    """Bring the programs of a kind up to date and return the folder they are in."""
    return _tree(kind) / "bin"


@cache
def module() -> Path:
    """The same of hwgw._native under ASan and UBSan, for support.sanitized; the file."""
    folder = _tree("sanitize", "hwgw_native") / "cffi_build" / "hwgw"
    return next(folder.glob("_native*.so"))
