"""The value of every knob at every place of a host: what record keeps, diff compares and report shows.

SPDX-License-Identifier: MIT

Pure: reads the host. Places that a host does not have are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from . import irqs, mounts, table
from .host import Host
from .knob import Knob, Unsupported, actuator
from .nic.actuator import settings

__all__ = ["Values", "places", "values"]

Values = dict[str, dict[str, str]]  # knob -> target -> value
_SKIPPED = ("thread", "service", "report", "etc")  # come and go, or are not settings
_SECRET = re.compile(r"(key|pass|secret|token|cred)", re.IGNORECASE)


def places(knob: Knob, host: Host) -> list[str]:
    """The targets of a knob on a host, wherever it could be set."""
    if knob.kind in _SKIPPED:
        return []
    place = knob.place
    if knob.kind == "irq":
        return [str(irq) for irq in irqs.names(host)]
    if knob.kind == "nic":
        return [place.replace("{nic}", name) for name in host.nics()]
    if "{nic}" in place:
        return [path for name in host.nics() for path in host.glob(place.replace("{nic}", name))]
    if knob.kind == "swap":
        return mounts.swaps(host)
    if knob.kind == "mount":
        return [place.replace("{mount}", path) for path in mounts.disks(host)] if "{mount}" in place else [place]
    if knob.kind == "cpuset":
        return [place]
    pattern = re.sub(r"\{\w+\}", "*", place)
    if knob.kind in ("file", "hold") or pattern.startswith("/"):
        return host.glob(pattern)
    return [place]


def _shown(knob: Knob, target: str, host: Host, said: dict[int, str]) -> str:
    """What a target is called when two hosts are compared: interrupts by name, because their numbers differ."""
    return said.get(int(target), target) if knob.kind == "irq" else target


def _cmdline(host: Host) -> Iterator[tuple[str, str]]:
    for word in host.cmdline.split():
        name, _, value = word.partition("=")
        if name != "BOOT_IMAGE" and not _SECRET.search(name):
            yield name, value or "set"


def values(host: Host) -> Values:
    """Every value there is."""
    said = irqs.names(host)
    nics = {name: settings(host, name) for name in host.nics()}
    found: Values = {}
    for name, knob in table.knobs().items():
        rows: dict[str, str] = {}
        for target in places(knob, host):
            try:
                if knob.kind == "nic":
                    nic, _, setting = target.partition(" ")
                    value = nics[nic].get(setting)
                elif knob.kind == "cmdline":
                    continue
                else:
                    value = actuator(knob.kind).read(host, target)
            except (OSError, Unsupported):
                continue
            if value is not None:
                rows[_shown(knob, target, host, said)] = value
        if rows:
            found[name] = rows
    if words := dict(_cmdline(host)):
        found["boot.cmdline"] = words
    return found
