"""Knobs that are control groups with CPUs of their own: an isolated partition is isolcpus=domain without a reboot.

SPDX-License-Identifier: MIT

The target is the folder of the group (/sys/fs/cgroup/hwgw.slice, control groups of version 2). A value is the CPUs and
the kind of partition, "2,6 isolated". Where there is no such group it is absent; "absent, no controller" when the group
above does not hand cpuset on either. What the kernel makes of it is read back: "2,6 isolated invalid (...)".
"""

from __future__ import annotations

import contextlib
import errno
from pathlib import PurePosixPath

from .cpus import list_text, parse_list
from .host import Host
from .knob import Unsupported, register

__all__ = ["Cpuset"]

ABSENT, NO_CONTROLLER = "absent", "absent, no controller"
_KINDS = ("member", "root", "isolated")


def _above(target: str) -> str:
    return PurePosixPath(target).parent.as_posix()


def _has(host: Host, target: str) -> bool:
    """Whether the group above hands cpuset on."""
    return "cpuset" in (host.read(f"{_above(target)}/cgroup.subtree_control") or "").split()


class Cpuset:
    """See knob.Actuator."""

    def read(self, host: Host, target: str) -> str | None:
        """CPUs and kind of partition; Unsupported where control groups of version 2 have no cpuset."""
        controllers = host.read(f"{_above(target)}/cgroup.controllers")
        if controllers is None or "cpuset" not in controllers.split():
            raise Unsupported(f"no cpuset in {_above(target)}: no control groups of version 2, or without it")
        kind = host.read(f"{target}/cpuset.cpus.partition")
        if kind is None and not host.exists(target):
            return ABSENT if _has(host, target) else NO_CONTROLLER
        cpus = list_text(parse_list(host.read(f"{target}/cpuset.cpus") or ""))
        return f"{cpus or 'none'} {kind or 'member'}"

    def write(self, host: Host, target: str, value: str) -> None:
        """Make the group, or with absent remove it; a group with processes in it is not removed."""
        if value in (ABSENT, NO_CONTROLLER):
            self._remove(host, target, is_controller_off=value == NO_CONTROLLER)
            return
        cpus, _, kind = value.partition(" ")
        if kind not in _KINDS:
            raise Unsupported(f"{target}: {value}: CPUs and one of {', '.join(_KINDS)}, such as: 2,6 isolated")
        if not _has(host, target):
            host.write(f"{_above(target)}/cgroup.subtree_control", "+cpuset")
        host.make_group(target)
        # a partition is given up before its CPUs change, so that the kernel judges them together
        if (host.read(f"{target}/cpuset.cpus.partition") or "member") != "member":
            host.write(f"{target}/cpuset.cpus.partition", "member")
        host.write(f"{target}/cpuset.cpus", "" if cpus == "none" else cpus)
        if kind != "member":
            host.write(f"{target}/cpuset.cpus.partition", kind)

    def _remove(self, host: Host, target: str, *, is_controller_off: bool) -> None:
        if host.exists(target):
            if procs := (host.read(f"{target}/cgroup.procs") or "").split():
                raise OSError(errno.EBUSY, f"{len(procs)} processes are in the group; stop them first")
            if host.exists(f"{target}/cpuset.cpus.partition"):
                host.write(f"{target}/cpuset.cpus.partition", "member")
            host.remove_group(target)
        if is_controller_off and _has(host, target):
            with contextlib.suppress(OSError):  # another group uses it meanwhile
                host.write(f"{_above(target)}/cgroup.subtree_control", "-cpuset")

    def effective(self, host: Host, target: str) -> str | None:
        """The CPUs that the kernel gave it."""
        have = self.read(host, target)
        cpus = host.read(f"{target}/cpuset.cpus.effective")
        if have is None or cpus is None or have in (ABSENT, NO_CONTROLLER):
            return have
        return f"{cpus} {have.partition(' ')[2]}"

    def place(self, host: Host, target: str) -> str:
        """The group."""
        return host.realpath(target)


register("cpuset", Cpuset())
