"""kill -9 before the n-th system call that writes: what a power loss at any point looks like to the next run.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = ("write", "pwrite", "ftruncate", "fsync", "fchmod", "replace", "unlink", "open")
_WRITING = os.O_WRONLY | os.O_RDWR


class Points:
    """Counts the calls that change a file system, and dies before the chosen one."""

    def __init__(self, fatal: int) -> None:
        self.fatal = fatal
        self.cnt = 0

    def wrap(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        """A call that counts, and at its turn never happens."""

        def call(*args: Any, **kwargs: Any) -> Any:
            if name != "open" or (len(args) > 1 and args[1] & _WRITING):
                if self.cnt == self.fatal:
                    os.kill(os.getpid(), signal.SIGKILL)
                self.cnt += 1
            return real(*args, **kwargs)

        return call


def run(work: Callable[[], None], fatal: int, report: Path) -> int | None:
    """Do the work in a forked process that dies at a call; how many calls it made, None when it died."""
    report.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        points = Points(fatal)
        real = {name: getattr(os, name) for name in CALLS}
        try:
            for name in CALLS:
                setattr(os, name, points.wrap(real[name], name))
            work()
            for name in CALLS:
                setattr(os, name, real[name])
            report.write_text(str(points.cnt), encoding="ascii")
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert os.WEXITSTATUS(status) == 0
    return int(report.read_text(encoding="ascii"))
