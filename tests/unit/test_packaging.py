"""The build gives what it says: one wheel with everything inside, commands that answer, a header that matches.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import hwgw as package
from hwgw import about, native
from hwgw.cli import VERBS, cli

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a source distribution of this tree and the wheel made from it, without clang."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), "-Ccmake.define.HWGW_XDP=OFF",
               "-Ccmake.define.HWGW_DPDK=OFF", "-Ccmake.define.HWGW_LTO=OFF",
               "-Cbuild-dir=", str(root)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_source_distribution_carries_its_commit(built: Path) -> None:
    """There is no repository behind a source distribution, so the commit is in it."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
        commit = next(name for name in archive.getnames() if name.endswith("cffi_build/commit.txt"))
        data = archive.extractfile(commit)
        assert data
        assert data.read().decode().strip() == about.commit()
    assert {"LICENSE", "pyproject.toml", "cffi_build/include/hwgw.h", "tests/conftest.py"} <= names
    assert not {name for name in names if name.startswith(("build/", ".venv/")) or name.endswith((".so", ".pyc"))}


def test_wheel_works_from_an_empty_directory(built: Path, tmp_path: Path) -> None:
    """The wheel, alone in a new environment with the pinned packages, answers with version, tables and backends."""
    wheel = next(built.glob("*.whl"))
    assert re.search(r"-cp311-abi3-", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {
        "hwgw/_native.abi3.so",
        "hwgw/specs/itch50.yaml",
        "hwgw/specs/knobs.yaml",
        "hwgw/tune/profiles/latency.yaml",
        "hwgw_sim/__init__.py",
        *(f"hwgw/include/{name}.h" for name in ("hwgw", "hwgw_base", "hwgw_rx", "hwgw_feed", "hwgw_records")),
        "hwgw/py.typed",
    } <= names
    assert not {name for name in names if name.endswith((".c", ".pyc")) or name.startswith("tests")}

    venv.create(tmp_path / "venv", with_pip=False)
    site = next((tmp_path / "venv" / "lib").glob("python3*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # the packages hwgw depends on come from this environment, hwgw itself from the wheel alone
    for entry in Path(next(p for p in sys.path if p.endswith("site-packages"))).iterdir():
        if "hwgw" not in entry.name and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    empty = tmp_path / "empty"
    empty.mkdir()
    python = tmp_path / "venv" / "bin" / "python"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    script = "from hwgw import specs; assert sum(x.kind == 'message' for x in specs.load('itch50').layouts) == 23"
    for command in (["-c", script], ["-m", "hwgw.cli", "version", "--json"]):
        done = subprocess.run(
            [python, *command], cwd=empty, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["schema"] == "hwgw.version/1"
    assert result["version"] == package.__version__
    assert result["commit"] == about.commit()
    assert result["backends"]["afxdp"]["available"] is False
    assert "HWGW_XDP=OFF" in result["native"]["xdp_missing"]
    reason = "not built in: switched off at build time (HWGW_DPDK=OFF)"
    assert result["backends"]["dpdk"] == {"available": False, "reason": reason}


def test_version_names_every_backend(hwgw: Run) -> None:
    """A backend is available, or the reason is given."""
    done = hwgw("version", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert set(result["backends"]) == set(native.BACKENDS)
    for name, backend in result["backends"].items():
        assert backend["available"] is (backend["reason"] == ""), name
    assert result["native_abi"] == native.abi()
    assert re.fullmatch(r"unknown|[0-9a-f]{40}(-dirty)?", result["commit"])


def test_every_function_of_the_public_headers_is_callable(root: Path) -> None:
    """The cdef is cut out of the headers: each of its functions is in the module."""
    include = root / "cffi_build" / "include"
    names = ("hwgw_base.h", "hwgw_rx.h", "hwgw_feed.h", "hwgw.h")
    text = "".join((include / name).read_text(encoding="utf-8") for name in names)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    names = set(re.findall(r"^[a-z][\w ]*[ *](hwgw_\w+)\(", text, re.MULTILINE))
    assert len(names) > 60
    assert {name for name in names if not callable(getattr(native.lib, name, None))} == set()


def test_help_lists_every_verb_with_its_own_text(hwgw: Run) -> None:
    """The table of verbs, the modules and their help agree."""
    context = cli.make_context("hwgw", ["version"])
    assert cli.list_commands(context) == list(VERBS)
    for name, text in VERBS.items():
        command = cli.get_command(context, name)
        assert command, f"hwgw/cli/{name}.py is missing"
        assert command.name == name
        assert (command.help or "").split("\n")[0] == text
        members: list[click.Command] = [command]
        if isinstance(command, click.Group):
            parts = (command.get_command(context, part) for part in command.list_commands(context))
            members = [part for part in parts if part]
            assert members
        for member in members:
            assert any("--json" in parameter.opts for parameter in member.params), f"{name} {member.name} has no --json"
    assert all(f"  {name} " in hwgw("--help").stdout for name in VERBS)


@pytest.mark.parametrize(
    ("args", "exit_code", "message"),
    [
        (["nonsense"], 2, "hwgw: No such command 'nonsense'."),
        (["version", "--nonsense"], 2, "hwgw version: No such option '--nonsense'."),
        (["version", "extra"], 2, "hwgw version: Got unexpected extra argument (extra)"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(hwgw: Run, args: list[str], exit_code: int, message: str) -> None:
    """A user's mistake is one line, without a traceback."""
    done = hwgw(*args)
    assert done.returncode == exit_code
    assert done.stdout == ""
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_reader_that_goes_away_is_no_error(root: Path) -> None:
    """`hwgw version | head -0` is quiet."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "hwgw.cli", "version"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_version_answers_quickly(hwgw: Run) -> None:
    """Nothing heavy is imported for a small verb."""
    script = "import sys; from hwgw.cli import execute; execute(['version', '-q']); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"numpy", "rich", "scapy", "numba", "pyarrow"}
