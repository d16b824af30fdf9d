"""What a knob is, and how one of each kind is read and written.

SPDX-License-Identifier: MIT

A Knob is a row of hwgw/specs/knobs.yaml: what it is for, where it is, what it should be, what that risks. A Setting is
one place of it on one host with the value wanted there: the governor of CPU 3. The kind of a knob names its Actuator:

    register("nic", NicActuator())     # once, when its module is imported

Targets are text, unique in their kind: a path (file), dotted name (sysctl), IRQ number (irq), "IFNAME WHAT.ATTRIBUTE"
(nic, such as "eth0 coalesce.rx_usecs"), option name (cmdline), unit (service), "TID STARTED" (thread), "PATH atime"
(mount), device (swap), folder (cpuset). Values are text
too, as a person would write them; a knob's compare says when two are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ..errors import InternalError, UsageError
from .cpus import list_text, parse_list, parse_mask
from .host import Host

__all__ = [
    "CLASSES", "COMPARE", "DISRUPTIVE", "FIRMWARE", "KINDS", "REBOOT", "RISKS", "RUNTIME",
    "Actuator", "Knob", "Setting", "Unsupported", "actuator", "register", "same",
]  # fmt: skip

RUNTIME: Final = "runtime"  # at once, nobody notices
DISRUPTIVE: Final = "disruptive"  # at once; links flap, queues are made anew, processes move
REBOOT: Final = "reboot"  # kernel command line
FIRMWARE: Final = "firmware"  # BIOS, NIC firmware, or another program: reported, never written
CLASSES = (RUNTIME, DISRUPTIVE, REBOOT, FIRMWARE)
RISKS = ("low", "medium", "high")
KINDS = (
    "file", "sysctl", "irq", "nic", "cmdline", "service", "thread", "hold", "mount", "swap", "cpuset", "etc", "report",
)  # fmt: skip


class Unsupported(Exception):  # noqa: N818 (an answer, not a defect)
    """This host does not have it, or has it in a form that cannot be set; the text says why."""


@dataclass(frozen=True, slots=True)
class Knob:
    """A row of the table of knobs."""

    name: str
    group: str  # knobs are applied in the order of the groups, then of the table
    kind: str
    place: str  # a target with {cpu} {node} {nic} {irq} {block} to be filled in
    change_class: str
    reason: str
    verify: str
    undo: str
    risk: str
    source: str
    want: str | None = None  # the recommended value, None for leave; $words are facts of the host and roles
    each: str = ""  # what the place is repeated for: cpus, isolated, housekeeping, nodes, nics, irqs, blocks, paths
    compare: str = "text"
    owners: tuple[str, ...] = ()  # services that set it too
    needs: tuple[str, ...] = ()  # kernel options (CONFIG_...) without which it does nothing
    kernel_min: str = ""
    twin: str = ""  # the knob whose value the kernel zeroes when this one is written
    effective: str = ""  # where it is seen in force, when that is another place
    trap: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """One place of a knob on one host, and the value wanted there."""

    knob: Knob
    target: str
    want: str


class Actuator(Protocol):
    """Reads and writes the targets of one kind; Unsupported or OSError says what cannot be done."""

    def read(self, host: Host, target: str) -> str | None:
        """The value that is set; None when this host has no such target."""

    def write(self, host: Host, target: str, value: str) -> None:
        """Set a value; a write that the kernel clamped is found by reading back."""

    def effective(self, host: Host, target: str) -> str | None:
        """The value in force, where that can differ from the one that is set."""

    def place(self, host: Host, target: str) -> str:
        """What tells one piece of state from another whatever it is called: a real path, for what has a path."""


_ACTUATORS: dict[str, Actuator] = {}


def register(kind: str, found: Actuator) -> None:
    """Name what reads and writes the knobs of a kind."""
    if kind not in KINDS:
        raise InternalError(f"actuator of kind {kind}: there are {', '.join(KINDS)}")
    _ACTUATORS[kind] = found


def actuator(kind: str) -> Actuator:
    """What reads and writes the knobs of a kind."""
    from . import kinds

    kinds.load()
    if kind not in _ACTUATORS:
        raise Unsupported(f"hwgw does not set knobs of kind {kind}")
    return _ACTUATORS[kind]


def _chosen(text: str) -> str:
    """The word in brackets of a choice; the text itself when it has none."""
    found = [word for word in text.split() if word.startswith("[") and word.endswith("]")]
    return found[0][1:-1] if found else text


_BIAS = {"performance": 0, "balance-performance": 4, "normal": 6, "balance-power": 8, "power": 15}  # x86 EPB classes


def _cpus(text: str, parse: Callable[[str], Any]) -> str:
    try:
        return list_text(parse(text)) or "none"
    except UsageError:
        return text


COMPARE: dict[str, Callable[[str], str]] = {
    "text": lambda text: " ".join(text.split()),
    "exact": lambda text: text,
    "choice": _chosen,
    "mask": lambda text: _cpus(text, parse_mask),
    "cpus": lambda text: _cpus(text, parse_list),
    "within": lambda text: _cpus(text, parse_list),  # the first may be a part of the second: see same()
    "number": lambda text: str(int(text, 0)) if text.strip().lstrip("-").isdigit() else text,
    "bias": lambda text: str(_BIAS.get(text, text)),
    "switch": lambda text: {"y": "1", "Y": "1", "n": "0", "N": "0", "on": "1", "off": "0"}.get(text, text),
}


def same(compare: str, one: str | None, other: str | None) -> bool:
    """Whether two values of a knob mean the same; with compare within, whether the first keeps to the second."""
    if one is None or other is None:
        return one is other
    if compare == "within":
        return bool(parse_list(one)) and parse_list(one) <= parse_list(other)
    return COMPARE[compare](one) == COMPARE[compare](other)
