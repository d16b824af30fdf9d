"""The steps of the Makefile: nothing is done twice, a changed source is built again, what is missing is said.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = (
    "deps",
    "venv",
    "build",
    "demo",
    "test",
    "bench",
    "bench-rx",
    "ledger",
    "soak",
    "lint",
    "fuzz",
    "clean",
    "journal-proof",
    "rtl",
    "formal",
    "synth",
)


def make(root: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *args], cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_help_is_the_default_and_names_every_step(root: Path) -> None:
    done = make(root)
    assert done.returncode == 0
    for step in STEPS:
        assert f"make {step}" in done.stdout


SOURCES = (
    *("cffi_build/src/book.c", "cffi_build/include/hwgw.h", "cffi_build/CMakeLists.txt", "hwgw/specs/itch50.yaml"),
    *("pyproject.toml", "requirements.txt", "sim/__init__.py"),
)


@pytest.mark.parametrize("source", SOURCES)
def test_changed_source_is_built_again(root: Path, source: str) -> None:
    if not (root / ".venv" / "build.stamp").exists():
        pytest.skip("needs a tree built by make")
    assert (root / source).exists()
    assert make(root, "--question", f"--what-if={source}", "build").returncode == 1


# `pip install --help` of pip 23.0.1, which is what python3-venv of Debian 12 puts into a new .venv
PIP_23_0 = {
    *("--quiet", "--no-compile", "--no-build-isolation", "--no-deps", "--editable", "--config-settings"),
    *("--dry-run", "--report", "--ignore-installed", "--target"),
    *("--requirement", "-r", "--upgrade", "--find-links", "--only-binary", "--no-index", "--ignore-requires-python"),
}


def test_the_pip_of_debian_12_knows_every_option_that_is_given_to_it(root: Path) -> None:
    calls = re.findall(r"bin\)/pip install (.*)", (root / "Makefile").read_text())
    options = [word.split("=")[0] for call in calls for word in call.split() if word.startswith("-")]
    assert len(options) >= 6
    assert set(options) <= PIP_23_0


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Return a PATH folder with a shell and little else, and an id(1) that says nobody."""
    for name in ("bash", "env", "cut", "tr"):
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    (tmp_path / "id").write_text("#!/bin/bash\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    return tmp_path


def deps(root: Path, path: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(path), "HOME": str(path), "PYTHON": sys.executable}
    script = root / "deploy" / "deps.sh"
    return subprocess.run([path / "bash", script], env=environment, capture_output=True, text=True, check=False)


def test_what_is_missing_is_said_and_only_a_compiler_stops(root: Path, bare: Path) -> None:
    done = deps(root, bare)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "deps: not root, nothing is installed"
    assert "deps: missing gcc libc6-dev: the data plane cannot be compiled (apt-get install gcc libc6-dev)" in lines
    assert any(line.startswith("deps: missing clang: AF_XDP is left out") for line in lines)

    gcc = shutil.which("gcc")
    assert gcc
    (bare / "gcc").symlink_to(gcc)
    done = deps(root, bare)
    assert "libc6-dev" not in done.stdout
    assert "deps: missing clang" in done.stdout
    assert done.returncode == 0, done.stdout


def test_root_installs_what_is_missing_and_updates_only_when_that_fails(root: Path, bare: Path) -> None:
    (bare / "id").write_text("#!/bin/bash\necho 0\n")
    log = bare / "apt.log"
    for name in ("gcc", "g++", "git", "ip", "ethtool", "llvm-objdump", "perl", "ccache", "iverilog"):
        (bare / name).write_text("#!/bin/bash\n")
        (bare / name).chmod(0o755)
    apt = bare / "apt-get"
    # the first try fails, as with package lists that are not there; clang appears with the later ones
    apt.write_text(
        f'#!/bin/bash\necho "$*" >> {log}\n'
        f'[ "$1" = update ] && exit 0\n[ -e {bare}/tried ] || {{ : > {bare}/tried; exit 100; }}\n'
        f'[[ "$*" == *" clang" ]] && {{ echo "#!/bin/bash" > {bare}/clang; echo "echo {apt}" >> {bare}/clang; }}\n'
        f"/bin/chmod -f 755 {bare}/clang; exit 0\n"
    )
    apt.chmod(0o755)
    done = deps(root, bare)
    assert done.returncode == 0, done.stdout + done.stderr
    calls = log.read_text().splitlines()
    assert "clang" in calls[0]
    assert "gcc" not in calls[0]
    assert all("DPkg::Lock::Timeout=300" in call for call in calls)
    assert sum(call.startswith("update") for call in calls) == 1
    log.unlink()
    again = deps(root, bare).stdout.splitlines()
    if any("librte" in line or "dpdk" in line for line in again):
        pytest.skip("needs DPDK's libraries and headers for its last step (make deps as root)")
    assert again == ["deps: everything is installed"]
    assert not log.exists()
