"""What `hwgw run` does beside its gateway: the watcher of alerts is started anew, but not for ever.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from hwgw.cli import run
from hwgw.logs import Log


class Process:
    """A watcher that ends when the test says so."""

    made: list[Process] = []  # noqa: RUF012 (of the test)

    def __init__(self, command: list[str], **_: object) -> None:
        self.command, self.returncode = command, None
        self.made.append(self)

    def poll(self) -> int | None:
        return self.returncode


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as the test has it."""
    at = [1000.0]
    Process.made = []
    monkeypatch.setattr(run.time, "monotonic", lambda: at[0])
    monkeypatch.setattr(run.subprocess, "Popen", Process)
    return at


def test_a_watcher_that_ends_at_once_again_and_again_is_given_up_and_that_is_told(now: list[float]) -> None:
    out = io.StringIO()
    alerts = run._Alerts(Path("gateway.yaml"), Log("gw", stream=out))
    for _ in range(20):
        alerts.look()
        Process.made[-1].returncode = 7
    assert len(Process.made) == 5
    assert out.getvalue().count("ended with status 7") == 5
    assert out.getvalue().endswith("gw: NO ALERTS: their watcher ended 5 times, each within 60 s\n")


def test_one_that_ran_for_long_is_always_started_anew(now: list[float]) -> None:
    alerts = run._Alerts(Path("gateway.yaml"), Log("gw", stream=io.StringIO()))
    for number in range(1, 20):
        assert len(Process.made) == number
        alerts.look()
        assert len(Process.made) == number  # it runs
        now[0] += 61
        Process.made[-1].returncode = -9
        alerts.look()
