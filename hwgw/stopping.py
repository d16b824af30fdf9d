"""The end that SIGINT, SIGTERM and SIGHUP ask for, of commands that run until they are told to stop.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator

from .closing import Closing

__all__ = ["Stop", "signals_stop"]


class Stop(Closing):
    """What threading.Event is for threads, for signal handlers: they may set it at whatever step of a wait.

    An Event may not be set by a handler: Python runs handlers between two steps of the main thread, and where that one
    waits for the event and holds its lock, set() would wait for this lock for good.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._poll = select.poll()
        self._poll.register(self._read, select.POLLIN)

    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._is_set

    def set(self) -> None:
        """Ask for the end."""
        self._is_set = True
        with contextlib.suppress(BlockingIOError):  # full: who waits wakes up all the same
            os.write(self._write, b"\0")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the end is asked for, so long at most; whether it is."""
        if not self._is_set:
            self._poll.poll(None if seconds is None else seconds * 1000)
        return self._is_set

    def close(self) -> None:
        """Give the pipe back."""
        if self._read >= 0:
            os.close(self._read)
            os.close(self._write)
            self._read = self._write = -1


@contextlib.contextmanager
def signals_stop() -> Iterator[Stop]:
    """What SIGINT, SIGTERM and SIGHUP (the terminal is gone) set instead of raising; nohup(1) takes SIGHUP out."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    numbers += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    with Stop() as stop:
        before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
