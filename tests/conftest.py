"""What every test can use: a seed that is printed and accepted, the shared data, the command line, and honest skips.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import forked, tables

ROOT = Path(__file__).resolve().parent.parent
# every process that a test starts would compile anew what has no .pyc; those of tests lie beside what was built
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = str(ROOT / "build" / "pycache")
SEED = int(os.environ.get("HWGW_SEED") or secrets.randbelow(2**32))
os.environ["HWGW_SEED"] = str(SEED)  # the processes of `pytest -n 2` take the same
# what runs alone: interfaces, huge pages, processors and lists of gateways belong to the host
OF_THE_HOST = ("system", "bench")
OF_THE_HOST_UNITS = ("test_bench", "test_cli_gateways", "test_gateway", "test_halt_tool")


def pytest_report_header() -> str:
    """Print what repeats this run."""
    return f"HWGW_SEED={SEED}"


def together(nodeid: str) -> str:
    """What a test has to run in one process with, one after the other: its folder or its file."""
    file = Path(nodeid.partition("::")[0])
    if file.parent.name in OF_THE_HOST or file.stem in OF_THE_HOST_UNITS:
        return "host"
    return "rtl" if file.parent.name == "rtl" else str(file)  # benches share what Verilator builds


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spread tests over processes by together(). pytest-xdist's own groups do nothing with pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return together(nodeid)

    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and say what is missing."""
    from hwgw import native

    afxdp = native.backend("afxdp")
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("afxdp") and not afxdp.available:
            item.add_marker(pytest.mark.skip(reason=f"AF_XDP is not available: {afxdp.reason}"))


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the source tree."""
    return ROOT


@pytest.fixture(scope="session")
def seed() -> int:
    """Return the seed of this run: HWGW_SEED, or a new one, printed in the header."""
    return SEED


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What tests tell gateways is recorded in a folder of this run, for programs that tests start as well."""
    folder = tmp_path_factory.mktemp("state")
    before = os.environ.get("HWGW_STATE_DIR")
    os.environ["HWGW_STATE_DIR"] = str(folder)
    yield folder
    os.environ.pop("HWGW_STATE_DIR") if before is None else os.environ.update(HWGW_STATE_DIR=before)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Return a random generator whose stream depends on the seed and the test's name only."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the shared data and specifications beside the tree."""
    path = ROOT.parent / "shared"
    if not path.is_dir():
        pytest.skip("needs ../shared (facts and recorded data), which is not here")
    return path


@pytest.fixture(scope="session")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> tables.Layouts:
    """Return the generated wire layouts, compiled on their own."""
    return tables.Layouts(tmp_path_factory.mktemp("generated"))


@pytest.fixture(scope="session")
def hwgw() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs the command line in a process of its own, at most 60 s."""

    def run(*args: str | Path, timeout: float = 60, **kwargs: object) -> subprocess.CompletedProcess[str]:
        return forked.run([sys.executable, "-m", "hwgw.cli", *args], timeout=timeout, **kwargs)

    return run
