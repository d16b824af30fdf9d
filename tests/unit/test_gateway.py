"""The control process's side of a gateway: what it does when the data process does not do as it is told.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from hwgw import child
from hwgw import gateway as module
from hwgw.errors import CheckFailed, InternalError
from hwgw.gateway import Gateway
from hwgw.segment import Segment
from hwgw.settings import AccountLimits, Channel, Control, InstrumentLimits, Limits, Line, Pipeline, Receive, Settings

ACCOUNT = AccountLimits(credit_max=1, loss_max=1, open_max=1, rate_burst=1, rate_refill_ns=1)
INSTRUMENT = InstrumentLimits(
    enabled=True, qty_max=1, notional_max=1, collar_q16=1, collar_px_min=1, collar_both=False, long_max=1, short_max=1
)


def settings(name: str) -> Settings:
    """A gateway that receives nothing and trades nothing, and whose heart beats every 10 s."""
    return Settings(
        name=f"{name}-{os.getpid()}",
        symbols=("AAPL",),
        orders_max=1000,
        pipelines=(Pipeline(Receive(backend="none"), (Channel("x", (Line(0xE9360C6F, 26477),)),)),),
        strategies=(),
        limits=Limits(10**9, 10**9, 0, ACCOUNT, {}, {}, (INSTRUMENT,)),
        control=Control(heartbeat_ns=10_000_000_000),
    )


def test_the_heart_stops_before_the_segment_goes_even_when_the_data_process_had_to_be_killed(monkeypatch):
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.2)
    gateway = Gateway(settings("killed"))
    gateway.start()
    os.kill(int(gateway.segment.head["data_pid"]), signal.SIGSTOP)
    with pytest.raises(CheckFailed, match="was killed"):
        gateway.close()
    try:
        assert gateway._beat_thread is not None
        assert not gateway._beat_thread.is_alive()  # else its next beat writes into what is no longer mapped
        with Segment.attach(gateway.settings.name) as left:  # for the next start, which has to begin halted
            assert left.halted is not None
            assert left.halted["text"] == "the data process was killed by SIGKILL"
    finally:
        gateway._beat_stop.set()
        Path(f"/dev/shm/hwgw-{gateway.settings.name}").unlink(missing_ok=True)


def test_a_start_that_takes_too_long_says_so_first_whatever_comes_of_it(monkeypatch):
    """One that is still opening does not hear that it shall stop."""
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.2)
    monkeypatch.setattr("hwgw.child.READY_SECONDS", 0.2)
    started: list[int] = []

    def fork(_: object) -> tuple[int, int]:
        pid, ready = child.fork(lambda _: time.sleep(600) or 0)
        started.append(pid)
        return pid, ready

    monkeypatch.setattr(module, "fork", fork)
    gateway = Gateway(settings("slow"))
    try:
        with pytest.raises(InternalError) as error:
            gateway.start()
        first, _, then = str(error.value).partition("; ")
        assert first.startswith("the data process was not ready within 0.2 s")
        assert then == "the data process did not stop within 0.2 s and was killed"
        with pytest.raises(ChildProcessError):  # it is gone and was waited for
            os.waitpid(started[0], os.WNOHANG)
        gateway.close()
    finally:
        Path(f"/dev/shm/hwgw-{gateway.settings.name}").unlink(missing_ok=True)
