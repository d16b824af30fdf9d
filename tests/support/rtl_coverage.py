"""What of the card's Verilog the benches have seen: as measured, and after the exceptions of tests/rtl/coverage.yaml.

    python -m support.rtl_coverage [FILE]    what build/rtl/coverage has, into the object of `make rtl JSON=FILE`; fails
                                             below a goal, and when an exception is not one

SPDX-License-Identifier: MIT

A point is a line, a branch, or one direction of one bit that changes; its name is kind, file, line and what. An
exception says which points cannot be seen, and why; one that was seen all the same shows that the reason is wrong.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fpga import tools

FOLDER = tools.ROOT / "build" / "rtl" / "coverage"
EXCEPTIONS = tools.ROOT / "tests" / "rtl" / "coverage.yaml"
KEYS = {"kind", "file", "what", "why"}
PARTS = {"order": re.compile(r"hwgw_(send|order|frame|trigger|gate|ring|credit|risk\w*)\.v"), "feed": re.compile(r".*")}


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
    """Points of a kind that nothing can reach; file and what: patterns for the whole of Point.file and Point.what.

    at: what the source line of the point has to contain; for branches, which have no names of their own.
    """

    kind: str
    file: str
    what: str
    why: str
    at: str = ""

    def covers(self, point: Point) -> bool:
        """True for a point that it is about."""
        return (
            self.kind == point.kind
            and bool(re.fullmatch(self.file, point.file))
            and bool(re.fullmatch(self.what, point.what))
            and self.at in (_lines(point.file)[point.line - 1] if self.at else "")
        )


@cache
def _lines(file: str) -> list[str]:
    return (tools.RTL / file).read_text(encoding="utf-8").split("\n")


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
        if set(row) - {"at"} != KEYS:
            raise ValueError(f"{EXCEPTIONS.name}: {row}: the keys are {', '.join(sorted(KEYS))}, and at")
        if not any(re.fullmatch(row["file"], path.name) for path in tools.RTL.glob("*.v")):
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


def part(point: Point) -> str:
    """Which half of the card it belongs to: order, or feed with all that is not the order's."""
    return next(name for name, files in PARTS.items() if files.fullmatch(point.file))


def report(folder: Path) -> dict[str, Any]:
    """Percent per half of the card and kind, as measured and after exceptions; {} when nothing was measured.

    missed.json in the folder gets the points that were missed and that no exception names.
    """
    if not list(folder.glob("*.dat")):
        return {}
    found, named = read(folder), exceptions()
    about = {row: [point for point in found.every if row.covers(point)] for row in named}
    excused = {point for points in about.values() for point in points} - found.seen
    left = [
        f"{kind} {point.file}:{point.line} {point.what}"
        for kind in found.kinds()
        for point in found.missed(kind)
        if point not in excused
    ]
    (folder / "missed.json").write_text(json.dumps(left, indent=1) + "\n", encoding="utf-8")
    result: dict[str, Any] = {"excused": len(excused), "missed": len(left)}
    for name in PARTS:
        others = {point for point in found.every if part(point) != name}
        result[name] = {
            "measured": {kind: found.percent(kind, others) for kind in found.kinds()},
            "after_exceptions": {kind: found.percent(kind, others | excused) for kind in found.kinds()},
        }
    result["wrong_exceptions"] = [
        f"{row.file} {row.what}: {'seen ' + str(len(seen)) + ' times' if seen else 'no such point'}"
        for row, points in about.items()
        if (seen := [point for point in points if point in found.seen]) or not points
    ]
    return result


def complaints(found: dict[str, Any]) -> list[str]:
    """Goals that were missed, and exceptions that are none; all there is to say when nothing was measured."""
    goals = yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8"))["goals"]
    below = [
        f"{name}: {kind} {found[name]['after_exceptions'][kind]} %, the goal is {goal} %"
        for name, kinds in goals.items()
        for kind, goal in kinds.items()
        if found and found[name]["after_exceptions"].get(kind, 0.0) < goal
    ]
    return [*below, *found["wrong_exceptions"]] if found else ["no coverage was measured"]


def main() -> int:
    """Tells, and adds to the file; 1 when something is to be mended."""
    found = report(FOLDER)
    said = complaints(found)
    if len(sys.argv) > 1 and sys.argv[1]:
        path = Path(sys.argv[1])
        told = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        told["coverage"] = {**told.get("coverage", {}), **found}
        path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2), *said, sep="\n")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
