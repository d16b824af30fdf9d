"""A signal that ends a command: heard whenever it comes, also in the middle of the wait for it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from hwgw.stopping import Stop, signals_stop

PATIENCE_S = 60
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def alarm() -> Iterator[None]:
    """Who is stuck is told of as an error: a handler may raise out of a lock."""

    def ring(*_: object) -> None:
        raise TimeoutError("stuck")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def at_step(number: int, act: Callable[[], object], run: Callable[[], object]) -> bool:
    """Run something and act before its step (opcode) of this number; whether there was one."""
    left = number

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                act()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return left <= 0


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_at_whatever_step_of_a_wait_is_heard(number: signal.Signals) -> None:
    step = 1
    while True:
        with signals_stop() as stop:
            came = at_step(step, lambda: signal.raise_signal(number), lambda stop=stop: stop.wait(0.001))
            assert stop.is_set() == came, step
            if not came:
                break
            assert stop.wait()  # not only noted: who waits on does not wait
        step += 1
    assert step > 15


@pytest.mark.usefixtures("alarm")
def test_who_waits_is_woken() -> None:
    with signals_stop() as stop:
        late = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGTERM))
        late.start()
        assert stop.wait()
        late.join()


def test_signals_that_nobody_waits_for_are_no_error_however_many() -> None:
    with Stop() as stop:
        assert not stop.wait(0)
        for _ in range(100_000):  # more than a pipe holds
            stop.set()
        assert stop.wait(0)


def test_handlers_are_as_they_were() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    with signals_stop():
        assert not {signal.getsignal(number) for number in NUMBERS} & set(before)
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_under_nohup_a_terminal_that_goes_is_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_stop() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.wait(0)
            signal.raise_signal(signal.SIGTERM)
            assert stop.wait()
    finally:
        signal.signal(signal.SIGHUP, before)
