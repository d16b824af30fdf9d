"""The line by which the data process sees at once that the control process is gone.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from hwgw.native import lib
from hwgw.segment import Segment

FREE, HELD, ENDED = lib.HWGW_LIFE_FREE, lib.HWGW_LIFE_HELD, lib.HWGW_LIFE_ENDED
LONG = 60 * 10**9  # who waits for it is told before, or the test does not end

HOLDER = """
import signal, sys
from hwgw.segment import Segment
with Segment.attach(sys.argv[1], writable=True) as segment, segment.alive():
    print("held", flush=True)
    signal.pause()
"""


@pytest.fixture
def segment() -> Iterator[Segment]:
    found = Segment.create(f"life-{os.getpid()}", ("AAPL",))
    yield found
    found.close()


def waits(segment: Segment, ns: int) -> int:
    return int(lib.hwgw_life_wait(segment.pointer, ns))


def test_who_waits_is_told_whether_anybody_holds_it(segment: Segment) -> None:
    held, leave = threading.Event(), threading.Event()

    def holds() -> None:
        with segment.alive():
            held.set()
            leave.wait()

    assert waits(segment, 1000) == FREE
    for _ in range(3):
        thread = threading.Thread(target=holds)
        thread.start()
        held.wait()
        begin = time.monotonic_ns()
        assert waits(segment, 2_000_000) == HELD
        assert time.monotonic_ns() - begin >= 2_000_000  # a wait, and not a look
        leave.set()
        thread.join()
        held.clear(), leave.clear()
        begin = time.monotonic_ns()
        assert waits(segment, 2_000_000) == FREE
        assert time.monotonic_ns() - begin >= 2_000_000


def test_the_end_of_a_thread_that_holds_it_is_told_once(segment: Segment) -> None:
    """The process lives on, so neither a signal nor getppid tells."""
    held, leave = threading.Event(), threading.Event()

    def ends() -> None:
        assert lib.hwgw_life_hold(segment.pointer)
        held.set()
        leave.wait()

    thread = threading.Thread(target=ends)
    thread.start()
    held.wait()
    threading.Timer(0.05, leave.set).start()
    assert waits(segment, LONG) == ENDED
    thread.join()
    assert waits(segment, 1000) == HELD  # by who was told


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_the_end_of_a_process_is_told_and_a_stopped_one_lives(segment: Segment, how: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, segment.name], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process:
        try:
            assert process.stdout.readline() == "held\n"
            process.send_signal(signal.SIGSTOP)
            assert waits(segment, 50_000_000) == HELD
            threading.Timer(0.05, lambda: process.send_signal(how)).start()
            threading.Timer(0.1, lambda: process.send_signal(signal.SIGCONT)).start()
            assert waits(segment, LONG) == ENDED
        finally:
            process.kill()


def test_it_can_be_held_again_behind_one_who_died(segment: Segment) -> None:
    thread = threading.Thread(target=lambda: lib.hwgw_life_hold(segment.pointer))
    thread.start()
    thread.join()
    with segment.alive():
        pass
    assert waits(segment, 1000) == FREE
