"""Runs a test in a process of its own, forked from this one: for what a process can do once, such as starting DPDK.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import functools
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

LIMIT_S = 30.0


def _child(test: Callable[..., Any], arguments: dict[str, Any], writer: int) -> None:
    status = 1
    try:
        test(**arguments)
        status = 0
    except BaseException:
        os.write(writer, traceback.format_exc().encode())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def alone(test: Callable[..., Any]) -> Callable[..., None]:
    """The test, in a child; its fixtures are made here and given back here. What it raises is shown as text."""

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _child(test, arguments, writer)
        os.close(writer)
        said, end = b"", time.monotonic() + LIMIT_S
        while select.select([reader], [], [], max(0.0, end - time.monotonic()))[0]:
            chunk = os.read(reader, 65_536)
            if not chunk:
                break
            said += chunk
        else:
            os.kill(pid, signal.SIGKILL)
        os.close(reader)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert time.monotonic() < end, f"still running after {LIMIT_S:g} s"
        assert status == 0, said.decode() or f"the child ended with {status}"

    return run
