"""Knobs that last as long as somebody holds a file open: /dev/cpu_dma_latency.

SPDX-License-Identifier: MIT

A small process of its own holds it, named in /run/hwgw; ending it is the undo. The persistent unit starts the same.

    python -m hwgw.tune.hold /dev/cpu_dma_latency 1
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time

from .host import Host
from .knob import Unsupported, register

__all__ = ["NONE", "Hold", "holder"]

NONE = str(2000 * 10**6)  # us, PM_QOS_CPU_LATENCY_DEFAULT_VALUE: nobody asks for anything
_STATE = "/run/hwgw/tune-hold.json"
_PATIENCE_S = 5.0


def holder(host: Host) -> int | None:
    """The process that holds it for us, if it lives."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        said = json.loads(host.read(_STATE) or "")
        if host.started(said["pid"]) == said["started"]:
            return int(said["pid"])
    return None


def _end(host: Host) -> None:
    pid = holder(host)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + _PATIENCE_S
        while host.started(pid) and time.monotonic() < end and (host.status(pid).get("State", "Z"))[:1] != "Z":
            time.sleep(0.01)
    host.remove(_STATE)


class Hold:
    """A latency in us that a process asks for, for every CPU."""

    def read(self, host: Host, target: str) -> str | None:
        """The lowest latency that anybody asks for; 2,000 s when nobody does."""
        raw = host.raw(target)
        if raw is None:
            return None
        if len(raw) == 4:
            return str(struct.unpack("=i", raw)[0])
        return raw.decode("ascii", "replace").strip()

    def write(self, host: Host, target: str, value: str) -> None:
        """Have it held at this value, or at 2,000 s by nobody."""
        if not host.live:
            host.write(target, value)
            return
        _end(host)
        if value == NONE:
            return
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hwgw.tune.hold", target, value],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            text=True,
        )  # fmt: skip
        assert process.stdout is not None  # noqa: S101 (for the type checker)
        said = process.stdout.readline().strip()
        process.stdout.close()
        if said != "held":
            process.wait(timeout=_PATIENCE_S)
            raise Unsupported(f"{target}: {said or 'the holding process ended'}")
        process.returncode = 0  # it outlives us on purpose

    def effective(self, host: Host, target: str) -> str | None:
        """As read: the kernel answers with what is in force."""
        return self.read(host, target)

    def place(self, host: Host, target: str) -> str:
        """The device."""
        return host.realpath(target)


def main(argv: list[str]) -> int:
    """Hold a latency until a signal comes."""
    path, value = argv
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, struct.pack("=i", int(value)))
    except OSError as error:
        print(error.strerror, flush=True)
        return 1
    # named before it is told: whoever started this may be gone by now, and rollback has to find it
    host, pid = Host(), os.getpid()
    host.install(_STATE, json.dumps({"pid": pid, "started": host.started(pid)}).encode())
    print("held", flush=True)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    return 0


register("hold", Hold())

if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    sys.exit(main(sys.argv[1:]))
