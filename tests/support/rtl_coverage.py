"""What of the card's Verilog the benches have seen: as measured, and after the exceptions of tests/rtl/coverage.yaml.

SPDX-License-Identifier: MIT

A point is a line, a branch, or one direction of one bit that changes; its name is kind, file, line and what. An
exception says which missed points are not to be had, and why; it never hides one that was seen.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fpga import tools

EXCEPTIONS = tools.ROOT / "tests" / "rtl" / "coverage.yaml"
KEYS = {"kind", "file", "what", "why"}


@dataclass(frozen=True, slots=True)
class Point:
    """Something that a run either does or does not."""

    kind: str
    file: str
    line: int
    what: str
    place: str  # tells points of one line apart


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Points of a kind in a module's file that nothing can reach; what: a pattern for the whole of Point.what."""

    kind: str
    file: str
    what: str
    why: str

    def covers(self, point: Point) -> bool:
        """True for a point that it is about."""
        return (self.kind, self.file) == (point.kind, point.file) and bool(re.fullmatch(self.what, point.what))


@dataclass(slots=True)
class Coverage:
    """Every point of fpga/rtl, and those that were seen."""

    every: set[Point] = field(default_factory=set)
    seen: set[Point] = field(default_factory=set)

    def missed(self, kind: str) -> list[Point]:
        """Points of a kind that no run has seen."""
        found = (point for point in self.every - self.seen if point.kind == kind)
        return sorted(found, key=lambda point: (point.file, point.line, point.what, point.place))

    def kinds(self) -> list[str]:
        """line, branch, toggle and whatever else was measured."""
        return sorted({point.kind for point in self.every})

    def percent(self, kind: str, without: set[Point] = frozenset()) -> float:  # type: ignore[assignment]
        """How much of a kind was seen; without: points that do not count."""
        every = [point for point in self.every if point.kind == kind and point not in without]
        seen = sum(point in self.seen for point in every)
        return round(100 * seen / len(every), 2) if every else 100.0


def exceptions() -> list[Unreachable]:
    """The rows of coverage.yaml; a row with another key, or for a file that is not there, is an error."""
    rows = yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8"))["exceptions"]
    result = []
    for row in rows:
        if set(row) != KEYS:
            raise ValueError(f"{EXCEPTIONS.name}: {row}: the keys are {', '.join(sorted(KEYS))}")
        if not (tools.RTL / row["file"]).exists():
            raise ValueError(f"{EXCEPTIONS.name}: fpga/rtl has no {row['file']}")
        re.compile(row["what"])
        result.append(Unreachable(**row))
    return result


def _points(text: str) -> Iterator[tuple[Point, int]]:
    """The points of fpga/rtl in what verilator_coverage --write made, with how often each was seen."""
    for line in text.splitlines():
        # C '\1key\2value\1key\2value...' count: f file, l line, n column, page v_KIND/module, o what
        if not line.startswith("C "):
            continue
        body, _, count = line[3:].rpartition("' ")
        point = dict(part.split("\2", 1) for part in body.split("\1") if "\2" in part)
        path = Path(point["f"])
        if path.parent != tools.RTL:
            continue
        kind = point["page"].split("/")[0].removeprefix("v_")
        yield Point(kind, path.name, int(point["l"]), point.get("o", ""), point.get("n", "")), int(count)


def read(folder: Path) -> Coverage:
    """What the runs whose data lie in this folder have seen together; a module that stands twice counts once."""
    merged = folder / "merged"
    command = ["verilator_coverage", "--write", str(merged), *sorted(map(str, folder.glob("*.dat")))]
    subprocess.run(command, check=True, env=tools.environment(), timeout=300, stdout=subprocess.DEVNULL)
    result = Coverage()
    for point, count in _points(merged.read_text(encoding="utf-8", errors="replace")):
        result.every.add(point)
        if count:
            result.seen.add(point)
    return result


def report(folder: Path) -> dict[str, Any]:
    """Percent per kind as measured, and the same after the named exceptions; {} when nothing was measured.

    missed.json in the folder gets the points that were missed and that no exception names.
    """
    if not list(folder.glob("*.dat")):
        return {}
    found, named = read(folder), exceptions()
    excused = {point for point in found.every - found.seen if any(row.covers(point) for row in named)}
    left = [
        f"{kind} {point.file}:{point.line} {point.what}"
        for kind in found.kinds()
        for point in found.missed(kind)
        if point not in excused
    ]
    (folder / "missed.json").write_text(json.dumps(left, indent=1) + "\n", encoding="utf-8")
    return {
        **{kind: found.percent(kind) for kind in found.kinds()},
        "after_exceptions": {kind: found.percent(kind, excused) for kind in found.kinds()},
        "excused": len(excused),
        "unused_exceptions": [
            f"{row.file} {row.what}" for row in named if not any(row.covers(point) for point in excused)
        ],
    }
