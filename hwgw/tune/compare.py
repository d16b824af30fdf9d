"""What two hosts are set to differently: by knob, with the places where it matters.

SPDX-License-Identifier: MIT

Hosts of a fleet need not be of one size: a knob that every CPU of both has at one value is equal, however many CPUs
there are. Where the same place exists on both, the values there are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import survey, table
from .cpus import list_text
from .host import Host
from .knob import same
from .topology import Topology, read

__all__ = ["Difference", "compare", "facts"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A knob or fact that is not the same; places = those where both have it and it differs."""

    name: str
    one: str
    other: str
    places: tuple[str, ...] = ()
    kind: str = "knob"

    def as_dict(self) -> dict[str, Any]:
        """As --json shows it."""
        return {"kind": self.kind, "name": self.name, "a": self.one, "b": self.other, "places": list(self.places)}


def _summary(rows: dict[str, str]) -> str:
    """One value, or each with how many places have it."""
    counts: dict[str, int] = {}
    for value in rows.values():
        text = " ".join(value.split())
        counts[text] = counts.get(text, 0) + 1
    if not counts:
        return "not there"
    if len(counts) == 1:
        return next(iter(counts)) or "(empty)"
    return ", ".join(f"{value or '(empty)'} ({cnt})" for value, cnt in sorted(counts.items(), key=lambda row: -row[1]))


def _equal(how: str, one: dict[str, str], other: dict[str, str]) -> tuple[bool, tuple[str, ...]]:
    both = [place for place in one if place in other]
    differ = tuple(place for place in both if not same(how, one[place], other[place]))
    if differ:
        return False, differ
    if both:
        return bool(set(one) <= set(other) or set(other) <= set(one) or _kinds(one) == _kinds(other)), ()
    return _kinds(one) == _kinds(other), ()


def _kinds(rows: dict[str, str]) -> set[str]:
    return {" ".join(value.split()) for value in rows.values()}


def facts(topology: Topology) -> dict[str, str]:
    """What names a host's hardware and kernel, as text."""
    found = {
        "kernel": topology.release, "processor": topology.model, "CPUs": list_text(topology.online),
        "cores": str(len(topology.cores)), "nodes": str(len(topology.nodes)),
        "isolated": list_text(topology.isolated) or "none",
        "tickless": list_text(topology.tickless) or "none", "clocksource": topology.clocksource,
        "TSC": " ".join(topology.tsc) or "not invariant", "idle driver": topology.idle_driver,
    }  # fmt: skip
    for nic in topology.nics:
        found[f"{nic.name} driver"] = f"{nic.driver} {nic.firmware}".strip()
        found[f"{nic.name} node"] = "not told" if nic.node is None else str(nic.node)
        found[f"{nic.name} PCIe"] = nic.pcie or "not told"
    for name, is_on in topology.options.items():
        found[name] = {True: "yes", False: "no", None: "not told"}[is_on]
    return found


def compare(one: Host, other: Host) -> Iterator[Difference]:
    """Facts first, then knobs in the order of their table."""
    mine, theirs = facts(read(one)), facts(read(other))
    for name in dict.fromkeys((*mine, *theirs)):
        if mine.get(name) != theirs.get(name):
            yield Difference(name, mine.get(name, "not there"), theirs.get(name, "not there"), kind="fact")
    have, had = survey.values(one), survey.values(other)
    for name in dict.fromkeys((*table.knobs(), *have, *had)):
        left, right = have.get(name, {}), had.get(name, {})
        if name == "boot.cmdline":
            for word in dict.fromkeys((*left, *right)):
                if left.get(word) != right.get(word) and word != "root":
                    yield Difference(f"{name} {word}", left.get(word, "not there"), right.get(word, "not there"))
            continue
        if not left and not right:
            continue
        knob = table.knobs().get(name)
        is_equal, places = _equal(knob.compare if knob else "text", left, right)
        if not is_equal:
            yield Difference(name, _summary(left), _summary(right), places)
