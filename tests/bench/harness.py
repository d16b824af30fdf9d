"""What the benchmarks share: the result record, interleaved runs, C compiled for a benchmark, machine and commit.

SPDX-License-Identifier: MIT

A module tests/bench/bench_STAGE.py exports `run(options) -> list[Result]`. It measures ours and its baseline by turns
in the same run, so that a neighbour on the machine disturbs both, and prints through options.say what its work amounted
to (a count or a hash), so that an empty run shows. What cannot run here is left out with options.leave_out.
"""

from __future__ import annotations

import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hwgw import native
from hwgw.about import commit

ROOT = Path(__file__).resolve().parent.parent.parent
RUNS_SMALL, RUNS_LARGE = 5, 3
COMPILE_FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O3", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")


class Unavailable(Exception):  # noqa: N818 (a state, not an error)
    """A benchmark cannot run on this machine; the text says why."""


@dataclass(slots=True)
class Options:
    """How to run. smoke: a second or less per benchmark, figures mean nothing."""

    smoke: bool = False
    file: Path | None = None
    seed: int = 1
    quiet: bool = False
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def size(self, full: int, smoke: int) -> int:
        """The amount of work: full, or the smoke test's."""
        return smoke if self.smoke else full

    def runs(self, full: int = RUNS_SMALL) -> int:
        """How often to repeat."""
        return 2 if self.smoke else full

    def say(self, text: str) -> None:
        """Tell what was done, for people."""
        if not self.quiet:
            print(f"  {text}", flush=True)

    def leave_out(self, name: str, reason: str) -> None:
        """A figure that cannot be had here."""
        self.left_out.append((name, reason))
        self.say(f"{name}: left out, {reason}")


@dataclass(frozen=True, slots=True)
class Result:
    """One figure: the median of its runs. ratio is value / baseline_value, whatever the unit."""

    name: str
    value: float
    unit: str
    baseline: str | None
    baseline_value: float | None
    ratio: float | None
    runs: int
    min: float
    max: float
    commit: str
    machine: str

    def as_dict(self) -> dict[str, Any]:
        """The object for JSON."""
        return asdict(self)


def result(
    name: str,
    unit: str,
    values: Sequence[float],
    baseline: str | None = None,
    baseline_values: Sequence[float] = (),
) -> Result:
    """The result of several runs of ours and, when named, of the baseline."""
    if not values or (baseline is None) != (not baseline_values):
        raise ValueError(f"{name}: {len(values)} values, baseline {baseline!r} with {len(baseline_values)}")
    value = statistics.median(values)
    other = statistics.median(baseline_values) if baseline_values else None
    return Result(
        name=name,
        value=value,
        unit=unit,
        baseline=baseline,
        baseline_value=other,
        ratio=value / other if other else None,
        runs=len(values),
        min=min(values),
        max=max(values),
        commit=commit(),
        machine=machine(),
    )


def by_turns(runs: int, *contestants: Callable[[], Any]) -> list[list[Any]]:
    """Call each contestant once per round and collect what they return; every second round in reverse order."""
    collected: list[list[Any]] = [[] for _ in contestants]
    for turn in range(runs):
        order = range(len(contestants))
        for index in reversed(order) if turn % 2 else order:
            collected[index].append(contestants[index]())
    return collected


@cache
def machine() -> str:
    """Processor, cores, hypervisor and kernel in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    info = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    cores = sum(line.startswith("processor") for line in lines)
    virtual = ", virtual machine" if "hypervisor" in info.get("flags", "").split() else ""
    model = f"{info.get('model name', platform.machine())} family {info.get('cpu family')} model {info.get('model')}"
    return (
        f"{model}, {cores} cores at {float(info.get('cpu MHz', 0)) / 1000:.2f} GHz{virtual}, Linux {platform.release()}"
    )


def compile_c(sources: Sequence[Path], target: Path, *flags: str) -> Path:
    """Compile C of a benchmark beside target, against the project's headers and for the same processor."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise Unavailable("no C compiler")
    folder = target.parent
    subprocess.run([sys.executable, "-B", str(ROOT / "cffi_build" / "gen.py"), str(folder)], check=True)
    includes = [f"-I{folder}", f"-I{ROOT / 'cffi_build' / 'src'}", f"-I{ROOT / 'cffi_build' / 'include'}"]
    march = f"-march={native.build()['march']}"
    command = [compiler, *COMPILE_FLAGS, march, *includes, *flags, *map(str, sources), "-o", str(target), "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{target.name}: {done.stderr}")
    return target


def compile_shared(source: Path, folder: Path) -> Path:
    """Compile C of a benchmark into a shared object."""
    return compile_c([source], folder / f"{source.stem}.so", "-shared", "-fPIC")
