"""What a service manager is told, and that nobody else is told anything.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hwgw.notify import Notifier


@pytest.fixture
def manager() -> Iterator[tuple[str, socket.socket]]:
    """Return the address of a manager's socket, and the socket."""
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"{folder}/notify")
        listener.setblocking(False)
        yield f"{folder}/notify", listener


def heard(listener: socket.socket) -> list[str]:
    """Every datagram that waits."""
    found = []
    while True:
        try:
            found.append(listener.recv(4096).decode())
        except BlockingIOError:
            return found


def test_states_are_said_once_and_on_one_line(manager: tuple[str, socket.socket]) -> None:
    """sd_notify(3): lines of KEY=VALUE."""
    address, listener = manager
    found = Notifier({"NOTIFY_SOCKET": address})
    found.ready("running, udp")
    found.state("running, udp")
    found.state("HALTED\n(loss)")
    assert not found.alive((1,))  # nobody waits for signs of life
    found.stopping("the end")
    assert heard(listener) == [
        f"READY=1\nSTATUS=running, udp\nMAINPID={os.getpid()}",
        "STATUS=HALTED (loss)",
        "STOPPING=1\nSTATUS=the end",
    ]
    found.close()
    found.state("more")
    assert heard(listener) == []


def test_a_sign_of_life_takes_a_round_of_every_pipeline(manager: tuple[str, socket.socket]) -> None:
    """Twice per WATCHDOG_USEC, and not while one of them hangs."""
    address, listener = manager
    now = [0.0]
    found = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000000"}, lambda: now[0])
    assert found.period_s == 2.0
    told = []
    for at, rounds in [(0.0, (5, 5)), (1.9, (9, 9)), (2.0, (9, 5)), (3.0, (10, 5)), (3.1, (11, 6)), (5.2, (12, 7))]:
        now[0] = at
        told.append(found.alive(rounds))
    assert told == [True, False, False, False, True, True]
    assert heard(listener) == ["WATCHDOG=1"] * 3
    found.close()


@pytest.mark.parametrize(
    "environment",
    [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": "/nonexistent/notify"}],
)
def test_without_a_manager_nothing_is_said_and_nothing_fails(environment: dict[str, str]) -> None:
    found = Notifier({**environment, "WATCHDOG_USEC": "1000000"})
    found.ready("x")
    assert not found.alive((1,))


def test_a_watchdog_of_another_process_is_not_ours(manager: tuple[str, socket.socket]) -> None:
    """WATCHDOG_PID names the one that is meant."""
    found = Notifier({"NOTIFY_SOCKET": manager[0], "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"})
    assert found.period_s == 0
    found.close()


def test_a_crash_leaves_no_core_file(tmp_path: Path) -> None:
    """Also none for a program behind a pipe: the kernel leaves that out for a limit of 1 byte alone (core(5))."""
    script = (
        "import os, resource; from hwgw.cli.run import _leave_no_core; _leave_no_core();\n"
        "print(*resource.getrlimit(resource.RLIMIT_CORE), flush=True); os.abort()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    soft, hard = map(int, done.stdout.split())
    assert (soft, hard) == (min(1, hard) if hard >= 0 else 1, resource.getrlimit(resource.RLIMIT_CORE)[1])
    assert done.returncode < 0
    assert list(tmp_path.iterdir()) == []
