"""hwgw-halt: the same halt without Python, and quickly.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwgw import audit, cli
from hwgw.segment import Segment

TOOL = Path(sys.executable).with_name("hwgw-halt")


def tool(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(TOOL), *args], capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture
def name():
    """A gateway name of this test's own."""
    yield (name := f"test-{os.getpid()}-{time.monotonic_ns() % 1_000_000}")
    audit.path(name).unlink(missing_ok=True)


def test_it_halts_each_gateway_named_and_says_which_it_could_not(name):
    with Segment.create(name, ["AAPL"]) as gateway:
        done = tool(f"{name}-none", name, "--reason", "the button")
        assert done.returncode == 2
        assert (done.stdout, f"{name}-none" in done.stderr) == (f"{name}: halted\n", True)
        assert [(row["reason"], row["text"], row["uid"]) for row in gateway.halts] == [
            ("operator", "the button", os.getuid())
        ]
        again = tool(name)
        assert (again.returncode, again.stdout) == (0, f"{name}: was halted by an operator already\n")
        assert gateway.halts[0]["text"] == "the button"
        gateway.resume()


def test_what_it_did_is_on_record_with_the_resume(name):
    with Segment.create(name, ["AAPL"]):
        assert tool(name, "--reason", "the button").returncode == 0
        assert cli.execute(["resume", name, "--reason", "operator"]) == 0
    (act,) = audit.verify(name)
    assert [(row["reason"], row["text"]) for row in act["halts"]] == [("operator", "the button")]


@pytest.mark.parametrize("args", [(), ("--all", "one"), ("--reason",), ("--al",), ("x",) * 65])
def test_a_wrong_command_line_halts_nothing_and_says_how_it_goes(args):
    done = tool(*args)
    assert done.returncode == 2
    assert done.stderr.startswith("hwgw-halt: ")
    assert "hwgw-halt NAME... | --all [--reason TEXT]" in done.stderr


def test_it_needs_no_python():
    libraries = subprocess.run(["ldd", str(TOOL)], capture_output=True, text=True, timeout=20, check=True).stdout
    assert "python" not in libraries
    assert "libc.so" in libraries
