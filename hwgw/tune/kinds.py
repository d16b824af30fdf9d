"""The kinds of knobs that are files of the kernel; load() imports the modules that bring the others.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import importlib
from functools import cache

from .host import Host
from .knob import COMPARE, Unsupported, register

__all__ = ["load"]

# modules that register actuators when they are imported
MODULES = ("processes", "boot", "hold", "mounts", "cpusets", "persist", "nic.actuator")


@cache
def load() -> None:
    """Import every module that registers an actuator."""
    for name in MODULES:
        importlib.import_module(f"{__package__}.{name}")


class File:
    """A file of the kernel: what is set is what is read back."""

    def read(self, host: Host, target: str) -> str | None:
        """The text of the file."""
        return host.read(target)

    def write(self, host: Host, target: str, value: str) -> None:
        """One write; of a choice only the word."""
        host.write(target, COMPARE["choice"](value))

    def effective(self, host: Host, target: str) -> str | None:
        """The text of the file."""
        return host.read(target)

    def place(self, host: Host, target: str) -> str:
        """Its path without symbolic links."""
        return host.realpath(target)


class Sysctl(File):
    """A sysctl by its dotted name; a / stands for a dot within a name (net.ipv4.conf.eth0/7.rp_filter)."""

    @staticmethod
    def path(target: str) -> str:
        """Its file."""
        return "/proc/sys/" + target.translate(str.maketrans("./", "/."))

    def read(self, host: Host, target: str) -> str | None:
        """Its value."""
        return host.read(self.path(target))

    def write(self, host: Host, target: str, value: str) -> None:
        """Set it."""
        host.write(self.path(target), value)

    def effective(self, host: Host, target: str) -> str | None:
        """Its value."""
        return self.read(host, target)

    def place(self, host: Host, target: str) -> str:
        """Its file."""
        return host.realpath(self.path(target))


class Irq:
    """The CPUs of an interrupt; in force is where it is delivered, which may wait for the next one."""

    @staticmethod
    def _path(target: str, name: str) -> str:
        return f"/proc/irq/{target}/{name}"

    def read(self, host: Host, target: str) -> str | None:
        """The list of CPUs it may go to."""
        return host.read(self._path(target, "smp_affinity_list"))

    def write(self, host: Host, target: str, value: str) -> None:
        """Set the list; EPERM (EIO before Linux 6.12) is how a managed interrupt answers."""
        try:
            host.write(self._path(target, "smp_affinity_list"), value)
        except OSError as error:
            if error.strerror in ("Operation not permitted", "Input/output error"):
                raise Unsupported(
                    f"IRQ {target}: managed by its driver ({error.strerror}); isolcpus=managed_irq moves it"
                ) from None
            raise

    def effective(self, host: Host, target: str) -> str | None:
        """The CPUs it goes to; what is set, where the kernel does not tell."""
        return host.read(self._path(target, "effective_affinity_list")) or self.read(host, target)

    def place(self, host: Host, target: str) -> str:
        """The file of the list."""
        return host.realpath(self._path(target, "smp_affinity_list"))


register("file", File())
register("sysctl", Sysctl())
register("irq", Irq())
