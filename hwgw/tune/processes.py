"""Knobs that are threads and services.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import errno
import subprocess

from .cpus import list_text, parse_list
from .host import Host
from .knob import Unsupported, register

__all__ = ["Thread"]


class Thread:
    """The CPUs of a thread; the target is "TID STARTED", so that a later thread of that number is another one."""

    @staticmethod
    def _tid(host: Host, target: str) -> int | None:
        tid, _, started = target.partition(" ")
        return int(tid) if host.started(int(tid)) == started else None

    def read(self, host: Host, target: str) -> str | None:
        """The CPUs it may run on; None when it has ended."""
        tid = self._tid(host, target)
        return None if tid is None else host.status(tid).get("Cpus_allowed_list")

    def write(self, host: Host, target: str, value: str) -> None:
        """Let it run there only; a thread that ended meanwhile is no error."""
        tid = self._tid(host, target)
        if tid is None:
            raise Unsupported(f"thread {target}: it has ended")
        try:
            host.pin(tid, parse_list(value))
        except ProcessLookupError:
            raise Unsupported(f"thread {target}: it has ended") from None
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EPERM):
                raise
            raise Unsupported(f"thread {target}: the kernel keeps it where it is ({error.strerror})") from None

    def effective(self, host: Host, target: str) -> str | None:
        """The CPUs that it may run on and that are in use."""
        value = self.read(host, target)
        return None if value is None else list_text(parse_list(value) & host.online)

    def place(self, host: Host, target: str) -> str:
        """The thread itself."""
        return f"thread {target}"


register("thread", Thread())


class Service:
    """A unit: running or stopped, as systemctl has it; on a recorded host by the processes of its control group."""

    _ROOTS = (
        "/sys/fs/cgroup/system.slice",
        "/sys/fs/cgroup/systemd/system.slice",
        "/sys/fs/cgroup/unified/system.slice",
    )

    def _processes(self, host: Host, target: str) -> str | None:
        found = [host.read(f"{root}/{target}/cgroup.procs") for root in self._ROOTS]
        return next((text for text in found if text is not None), None)

    @staticmethod
    def _ask(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
        try:
            return host.run(["systemctl", "--no-ask-password", *words])
        except subprocess.TimeoutExpired as error:
            raise OSError(errno.ETIMEDOUT, f"systemctl {' '.join(words)}: no end within {error.timeout:g} s") from None

    def read(self, host: Host, target: str) -> str | None:
        """Running or stopped; a unit that nobody installed is stopped."""
        if host.has_services:
            done = self._ask(host, "show", "--property=ActiveState", target)
            state = done.stdout.strip().removeprefix("ActiveState=")
            if done.returncode == 0 and state:
                return "stopped" if state in ("inactive", "failed") else "running"
        return "running" if self._processes(host, target) else "stopped"

    def write(self, host: Host, target: str, value: str) -> None:
        """Start or stop it, and wait for that; what systemd says against it is the error."""
        if value not in ("running", "stopped"):
            raise Unsupported(f"{target}: {value}; running and stopped are what a unit can be")
        if not host.has_services:
            where = "systemd does not run here" if host.live else f"under --root {host.root}"
            raise Unsupported(f"{target}: no service is started or stopped {where}")
        done = self._ask(host, "start" if value == "running" else "stop", target)
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise OSError(errno.EIO, f"systemctl: {said}")

    def effective(self, host: Host, target: str) -> str | None:
        """As read."""
        return self.read(host, target)

    def place(self, host: Host, target: str) -> str:
        """The unit."""
        return f"unit {target}"


register("service", Service())
