"""The verbs that look for gateways on the host: one that is broken does not protect the others.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from hwgw import cli, segment
from hwgw.segment import Segment


@pytest.fixture
def names(monkeypatch):
    """A broken segment between two good ones; the only ones that the command line finds."""
    stem = f"test-{os.getpid()}-{time.monotonic_ns() % 1_000_000}"
    good, broken, late = (f"{stem}-{part}" for part in "abc")
    Path(f"/dev/shm/hwgw-{broken}").write_bytes(b"no segment" * 100)
    monkeypatch.setattr(segment, "gateways", lambda: [broken, good, late])
    with Segment.create(good, ["AAPL"]), Segment.create(late, ["AAPL"]):
        yield broken, good, late
    for name in (broken, good, late):
        Path(f"/dev/shm/hwgw-{name}").unlink(missing_ok=True)


@pytest.mark.parametrize("by_name", [False, True])
def test_halt_halts_every_gateway_it_can_and_says_which_it_could_not(names, by_name, capsys):
    broken, good, late = names
    assert cli.execute(["halt", *([broken, good, late, f"{good}-none"] if by_name else ["--all"])]) == 1
    for name in (good, late):
        with Segment.attach(name) as seen:
            assert seen.halted is not None
    out, err = capsys.readouterr()
    assert f"{good}: halted" in out
    assert f"/dev/shm/hwgw-{broken}" in err
    assert (f"{good}-none" in err) == by_name


def test_status_shows_every_gateway_it_can_and_says_which_it_could_not(names, capsys):
    broken, good, late = names
    assert cli.execute(["status", "--json"]) == 1
    out, err = capsys.readouterr()
    assert [look["name"] for look in json.loads(out)["gateways"]] == [good, late]
    assert f"/dev/shm/hwgw-{broken}" in err


def test_status_ends_with_6_for_a_halted_gateway_that_runs_alone_and_with_1_for_one_that_is_gone(capsys):
    name = f"status-{os.getpid()}"

    def status() -> tuple[int, dict]:
        code = cli.execute(["status", name, "--json"])
        (look,) = json.loads(capsys.readouterr().out)["gateways"]
        return code, look

    with Segment.create(name, ["AAPL"]) as segment:
        assert status()[0] == 0
        segment.halt("drill")
        code, look = status()
        assert (code, look["running"], look["halted"]["reason"]) == (6, True, "operator")
    code, look = status()  # left over, because of the halt
    assert (code, look["running"], look["halted"]["reason"]) == (1, False, "operator")
    with Segment.create(name, ["AAPL"]) as segment:
        assert status()[0] == 6
        segment.resume("operator")
