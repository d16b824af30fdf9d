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
from support.market import until

from hwgw import audit, cli
from hwgw.native import lib
from hwgw.segment import Segment

TOOL = Path(sys.executable).with_name("hwgw-halt")
SAID = "{}: {}: halted, but its data process has not acknowledged it for a second\n"


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


def test_it_waits_until_no_order_is_on_its_way_and_names_the_gateway_that_does_not_answer(name, capsys):
    stuck, good = f"{name}-stuck", f"{name}-good"
    with Segment.create(stuck, ["AAPL"]) as hung, Segment.create(good, ["AAPL"]) as gateway:
        for segment in (hung, gateway):
            segment.threads[0]["state"] = lib.HWGW_SEGMENT_THREAD_STATE_RUNNING
            lib.hwgw_segment_head(segment.pointer).data_pid = os.getpid()
        process = subprocess.Popen([str(TOOL), stuck, good], stderr=subprocess.PIPE, text=True)
        until(lambda: gateway.halted and hung.halted, "both are halted, though one does not answer")
        gateway.threads[0]["halt_seq_ack"] = gateway.control["halt_seq"]
        assert process.communicate(timeout=20)[1] == SAID.format("hwgw-halt", stuck)
        assert cli.execute(["halt", stuck, good]) == 0
        assert capsys.readouterr().err == SAID.format("hwgw halt", stuck)
        hung.threads[0]["halt_seq_ack"] = hung.control["halt_seq"]
        assert hung.halt_wait(0)
        hung.threads[0]["halt_seq_ack"] -= 1
        assert not hung.halt_wait(0.01)
        child = subprocess.Popen(["true"])
        child.wait()
        lib.hwgw_segment_head(hung.pointer).data_pid = child.pid
        assert hung.halt_wait(0)  # who is gone sends nothing
        for segment in (hung, gateway):
            segment.resume()
    for gone in (stuck, good):
        audit.path(gone).unlink(missing_ok=True)


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
