"""The simulated exchange as a process of its own.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from hwgw.errors import BY_EXIT_CODE, CheckFailed, DeviceError, HwgwError, InternalError

Popen = Callable[..., "subprocess.Popen[bytes]"]


def end_of(what: str, returncode: int, stderr: bytes) -> HwgwError:
    """Why a process ended that should still run: what killed it, its last words, or that it was stopped."""
    if returncode < 0:
        return CheckFailed(f"{what} was killed by {signal.Signals(-returncode).name}")
    text = stderr.decode("utf-8", "replace").strip().splitlines()
    if text:
        words = text[-1].removeprefix("hwgw run: ").removeprefix("exchange: ")
        return BY_EXIT_CODE.get(returncode, InternalError)(f"{what}: {words}")
    if returncode == 0:
        return CheckFailed(f"{what} was stopped from outside before the end of the run")
    return BY_EXIT_CODE.get(returncode, InternalError)(f"{what} ended with exit code {returncode}")


class ExchangeProcess:
    """Starts `python -m hwgw_sim.exchange OPTIONS`, waits until it listens, and reads its report at the end.

    popen: what starts it, for example `lab.exchange.popen`. The thread that starts it must outlive it: the kernel ends
    the exchange with its parent thread. A context manager; leaving it kills what still runs.
    """

    def __init__(self, options: Sequence[str], popen: Popen = subprocess.Popen, ready_timeout_s: float = 20.0) -> None:
        command = [sys.executable, "-P", "-m", "hwgw_sim.exchange", *options]
        self.process = popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            self.ready: dict[str, Any] = self._read_ready(ready_timeout_s)
        except BaseException:
            self.kill()
            raise

    def look(self, timeout_s: float = 20.0) -> dict[str, Any]:
        """What every user has at this moment: cash, positions, and shares left of each open order by its reference."""
        self.process.send_signal(signal.SIGUSR1)
        users: dict[str, Any] = self._line(timeout_s, "did not answer")["look"]
        return users

    def _read_ready(self, timeout_s: float) -> dict[str, Any]:
        return self._line(timeout_s, "was not ready")

    def _line(self, timeout_s: float, failure: str) -> dict[str, Any]:
        stdout = self.process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], timeout_s)[0]:
            raise DeviceError(f"the exchange {failure} within {timeout_s:g} s")
        line = stdout.readline()
        if not line:
            self._fail()
        found: dict[str, Any] = json.loads(line)
        return found

    def _fail(self) -> None:
        _, stderr = self.process.communicate(timeout=10)
        raise end_of("the exchange", self.process.returncode, stderr)

    @property
    def address(self) -> tuple[str, int]:
        """Where order entry listens."""
        host, port = self.ready["listen"]
        return host, port

    def stop(self, timeout_s: float = 10.0) -> dict[str, Any]:
        """End the session and return the report."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Wait for the end that the options ask for and return the report."""
        try:
            stdout, stderr = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise DeviceError(f"the exchange did not end within {timeout_s:g} s") from None
        if self.process.returncode:
            raise end_of("the exchange", self.process.returncode, stderr)
        report: dict[str, Any] = json.loads(stdout.splitlines()[-1])
        return report

    def kill(self) -> None:
        """End it at once, without a report."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> ExchangeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
