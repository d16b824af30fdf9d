"""The processes that a gateway consists of: forked here, native from then on.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

from .errors import BY_EXIT_CODE, HwgwError, InternalError

__all__ = ["await_ready", "fork"]

READY_SECONDS = 20.0
_LOOK_SECONDS = 0.05


def fork(run: Callable[[int], int]) -> tuple[int, int]:
    """The pid of a child that never returns, and the descriptor to give to await_ready.

    run: what the child does; it is given the descriptor on which it says that it is ready, and gives the exit status.
    """
    ready_read, ready_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 7
        try:
            os.close(ready_read)
            status = run(ready_write)
        finally:
            os._exit(status)
    os.close(ready_write)
    return pid, ready_read


def await_ready(ready: int, what: str, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Return when the child says that it is ready, or raise what it reported; closes the descriptor.

    The child writes "0" or "exit-code message", and closes its end. what: the child's name in the texts.
    meanwhile: called some twenty times a second. InternalError: no answer within READY_SECONDS, or none at all.
    """
    answer, end = b"", time.monotonic() + READY_SECONDS
    try:
        while True:
            meanwhile()
            if select.select([ready], [], [], _LOOK_SECONDS)[0]:
                chunk = os.read(ready, 4096)
                if not chunk:
                    break
                answer += chunk
            elif time.monotonic() > end:
                raise InternalError(
                    f"{what} was not ready within {READY_SECONDS:g} s: is the host that busy, or its memory that short?"
                )
    finally:
        os.close(ready)
    if answer == b"0":
        return
    code, _, message = answer.decode("utf-8", "replace").partition(" ")
    if not code.isdigit():
        raise InternalError(f"{what} ended before it was ready")
    raise BY_EXIT_CODE.get(int(code), HwgwError)(message)
