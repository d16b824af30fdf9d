"""Tells systemd what became of a gateway: ready, its state in words, that it still goes on, that it stops.

SPDX-License-Identifier: MIT

The protocol of sd_notify(3), a datagram of KEY=VALUE lines to the socket that $NOTIFY_SOCKET names. Without that
variable nothing is said. The watchdog is told only while every pipeline of the data process makes rounds: a gateway
that hangs there is stopped in order by systemd (WatchdogSignal=SIGTERM), and one whose Python hangs as well is killed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping

__all__ = ["Notifier"]


class Notifier:
    """One connection to the service manager, or none."""

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._socket: socket.socket | None = None
        self._said = ""
        self._due = 0.0
        self._rounds: tuple[int, ...] = ()
        self.period_s = 0.0  # between two signs of life; 0 where nobody waits for any
        address = environment.get("NOTIFY_SOCKET", "")
        if address[:1] not in ("/", "@"):
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)  # a manager that does not read must not stop a gateway
        try:
            self._socket.connect("\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            self.close()
            return
        usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        if usec.isdigit() and pid in ("", str(os.getpid())):
            self.period_s = int(usec) / 1e6 / 2  # half of it, as sd_watchdog_enabled(3) says

    def say(self, **words: str | int) -> None:
        """Send KEY=VALUE lines; what the manager does not take is lost, and said again with the next state."""
        if self._socket is not None:
            lines = "\n".join(f"{key}={str(value).replace(chr(10), ' ')}" for key, value in words.items())
            with contextlib.suppress(OSError):
                self._socket.send(lines.encode())

    def ready(self, state: str) -> None:
        """Every pipeline is open."""
        self._said = state
        self.say(READY=1, STATUS=state, MAINPID=os.getpid())

    def state(self, text: str) -> None:
        """The state in words, when it is another one."""
        if text != self._said:
            self._said = text
            self.say(STATUS=text)

    def alive(self, rounds: tuple[int, ...]) -> bool:
        """A sign of life when one is due and every pipeline made rounds since the last; whether it was given."""
        now = self._clock()
        if not self.period_s or now < self._due:
            return False
        if self._rounds and any(one == before for one, before in zip(rounds, self._rounds, strict=True)):
            return False
        self._rounds, self._due = rounds, now + self.period_s
        self.say(WATCHDOG=1)
        return True

    def stopping(self, text: str) -> None:
        """It ends in order: orders are cancelled, sessions logged out."""
        self.say(STOPPING=1, STATUS=text)

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
