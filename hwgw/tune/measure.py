"""Did it help? Jitter with and without a profile, in alternating runs, with a confidence interval.

SPDX-License-Identifier: MIT

Runs alternate (without, with, without, with ...) so that what drifts on the host meanwhile hits both. The figure of a
run is the probability that a packet has to wait for longer than WAIT_NS on the worst of the measured CPUs: it weighs
long holes as what they are, and does not depend on the meter's threshold. The verdict is about the mean difference; its
interval is that of Student's t over the pairs. No verdict where others kept the CPUs busy or the hypervisor took them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..jitter import Cpu

__all__ = ["WAIT_NS", "Comparison", "compare", "figure", "run"]

WAIT_NS = 10_000
ROUNDS_MIN = 3
LOAD_MAX, STEAL_MAX = 0.5, 0.01  # of a measured CPU's time: other tasks on it in every run, and the hypervisor
# two-sided 95 % quantiles of Student's t by degrees of freedom
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
_T_MANY = 2.042  # above that table; exact at 30, on the safe side beyond

Measure = Callable[[], Sequence[Cpu]]


@dataclass(slots=True)
class Comparison:
    """Pairs of runs and what they say."""

    before: list[float]
    after: list[float]
    change: float  # mean of after - before
    low: float  # 95 % interval of it
    high: float
    p99_ns: tuple[float, float]  # median over runs of the worst CPU's, before and after
    max_ns: tuple[int, int]
    verdict: str  # better, worse, no difference seen, or why there is none
    doubts: list[str] = field(default_factory=list)

    def result(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "wait_over_ns": WAIT_NS, "before": self.before, "after": self.after, "change": self.change,
            "interval_95": [self.low, self.high], "p99_ns": list(self.p99_ns), "max_ns": list(self.max_ns),
            "verdict": self.verdict, "doubts": self.doubts,
        }  # fmt: skip

    def text(self) -> list[str]:
        """For people: label of 12 columns, then text."""
        from ..jitter_picture import duration

        pairs = ", ".join(f"{one:.3%} -> {other:.3%}" for one, other in zip(self.before, self.after, strict=True))
        return [
            f"{'wait':<12}over {duration(WAIT_NS)}, worst CPU, without -> with: {pairs}",
            f"change      {self.change:+.4%} of all moments, 95 % interval {self.low:+.4%} to {self.high:+.4%}"
            f" ({len(self.before)} pairs)",
            f"p99         {duration(self.p99_ns[0])} -> {duration(self.p99_ns[1])} (median of the runs' worst CPU)",
            f"max         {duration(self.max_ns[0])} -> {duration(self.max_ns[1])}",
            f"verdict     {self.verdict}",
            *(f"doubt       {doubt}" for doubt in self.doubts),
        ]


def figure(cpus: Sequence[Cpu]) -> float:
    """The probability of a wait on the worst CPU of a run."""
    return max(cpu.wait[WAIT_NS] for cpu in cpus)


def _doubts(runs: Sequence[Sequence[Cpu]]) -> list[str]:
    said = []
    busy = min(max(cpu.off_cpu_ns / max(cpu.run_ns, 1) for cpu in cpus) for cpus in runs)
    if busy > LOAD_MAX:
        said.append(
            f"other tasks had a measured CPU for {busy:.0%} of the time even in the quietest run: stop them first"
        )
    steal = max((cpu.steal_ns or 0) / max(cpu.run_ns, 1) for cpus in runs for cpu in cpus)
    if steal > STEAL_MAX:
        said.append(f"the hypervisor gave up to {steal:.1%} of a run to others")
    return said


def compare(before: Sequence[Sequence[Cpu]], after: Sequence[Sequence[Cpu]]) -> Comparison:
    """Pairs of runs, in the order in which they were made."""
    ones, others = [figure(cpus) for cpus in before], [figure(cpus) for cpus in after]
    changes = [other - one for one, other in zip(ones, others, strict=True)]
    mean = statistics.fmean(changes)
    if len(changes) > 1:
        quantile = _T[len(changes) - 2] if len(changes) - 2 < len(_T) else _T_MANY
        half = quantile * statistics.stdev(changes) / math.sqrt(len(changes))
    else:
        half = math.inf
    doubts = _doubts([*before, *after])
    if len(changes) < ROUNDS_MIN:
        verdict = f"none: {len(changes)} pairs of runs, {ROUNDS_MIN} are the least"
    elif doubts:
        verdict = "none: the host was not quiet enough"
    elif mean + half < 0:
        verdict = "better"
    elif mean - half > 0:
        verdict = "worse"
    else:
        verdict = "no difference seen"
    worst = [[max(cpu.percentile_ns[99.0] for cpu in cpus) for cpus in runs] for runs in (before, after)]
    highest = [max(cpu.max_ns for cpus in runs for cpu in cpus) for runs in (before, after)]
    return Comparison(
        before=ones, after=others, change=mean, low=mean - half, high=mean + half,
        p99_ns=(statistics.median(worst[0]), statistics.median(worst[1])), max_ns=(highest[0], highest[1]),
        verdict=verdict, doubts=doubts,
    )  # fmt: skip


def run(rounds: int, measure: Measure, apply: Callable[[], None], undo: Callable[[], None]) -> Comparison:
    """Measure without and with, so many times; ends with the profile applied. What apply or undo raises ends it."""
    before, after = [], []
    for number in range(rounds):
        if number:
            undo()
        before.append(measure())
        apply()
        after.append(measure())
    return compare(before, after)
