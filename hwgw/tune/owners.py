"""Who else sets the same knobs: services that run, and files of sysctl.d that come back at boot.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from .host import Host
from .knob import Knob, Setting, same

__all__ = ["OUR_SYSCTL", "Owner", "Owners"]

OUR_SYSCTL = "/etc/sysctl.d/99-zz-hwgw.conf"
_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
_COMM_LEN = 15  # the kernel cuts the names of processes


@dataclass(frozen=True, slots=True)
class Owner:
    """A service that sets a knob too."""

    name: str
    pid: int
    unit: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"


class Owners:
    """What runs on a host and what its sysctl files say, looked up once."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @cached_property
    def _running(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for pid in self.host.names("/proc"):
            if pid.isdigit() and (name := self.host.read(f"/proc/{pid}/comm")):
                found.setdefault(name, int(pid))
        return found

    @cached_property
    def _sysctls(self) -> dict[str, tuple[str, str]]:
        """The value and file of every sysctl that a file sets; a later name counts, /etc hides the same name below."""
        files: dict[str, str] = {}
        for folder in reversed(_FOLDERS):
            files |= {name: f"{folder}/{name}" for name in self.host.names(folder) if name.endswith(".conf")}
        if self.host.exists("/etc/sysctl.conf"):
            files.setdefault("99-sysctl.conf", "/etc/sysctl.conf")
        found = {}
        for _, path in sorted(files.items()):
            if path == OUR_SYSCTL:
                continue
            text = self.host.read(path) or ""
            for key, value in re.findall(r"^\s*-?([a-zA-Z0-9_./-]+)\s*=\s*(.*?)\s*$", text, re.MULTILINE):
                dotted = key.replace("/", ".") if "/" in key.split(".", 1)[0] else key
                found[dotted] = (value, path)
        return found

    def owner(self, knob: Knob) -> Owner | None:
        """A service that runs and sets this knob; its unit is that of its control group."""
        for name in knob.owners:
            if (pid := self._running.get(name[:_COMM_LEN])) is not None:
                groups = self.host.read(f"/proc/{pid}/cgroup") or ""
                unit = re.search(r"/([^/\n]+\.service)$", groups, re.MULTILINE)
                return Owner(name, pid, unit[1] if unit else f"{name}.service")
        return None

    def running(self, knob: Knob) -> str:
        """The same in words; empty when none does."""
        return str(self.owner(knob) or "")

    def of(self, setting: Setting) -> str:
        """Who else sets it: a service that runs, or a file that says otherwise at boot."""
        if who := self.running(setting.knob):
            return who
        value, path = self._sysctls.get(setting.target, ("", "")) if setting.knob.kind == "sysctl" else ("", "")
        return path if path and not same(setting.knob.compare, value, setting.want) else ""
