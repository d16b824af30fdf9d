"""Plays scenarios to a gate and says where it answered otherwise; writes the page that explains them.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hwgw import specs

from .gate import Gate
from .scenario import Scenario, scenarios

__all__ = ["Outcome", "page", "run"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one scenario; step is the first that was answered otherwise, 0 when none was."""

    scenario: Scenario
    played: int
    step: int = 0
    want: str = ""
    got: str = ""

    @property
    def passed(self) -> bool:
        """Every verdict was the expected one."""
        return self.step == 0


def play(gate: Gate, scenario: Scenario) -> Outcome:
    """One scenario on a gate after reset, until the first wrong answer."""
    names = {reason.code: reason.name for reason in specs.reasons()}
    for number, step in enumerate(scenario.steps, 1):
        code = gate.event(step.record, step.table)
        got = names.get(code, f"code {code}")
        if got != step.expect:
            return Outcome(scenario, number, number, step.expect, got)
    return Outcome(scenario, len(scenario.steps))


def run(make: Callable[[], Gate], chosen: Iterable[Scenario] | None = None) -> list[Outcome]:
    """Every scenario, each on a gate of its own."""
    outcomes = []
    for scenario in scenarios() if chosen is None else chosen:
        with make() as gate:
            outcomes.append(play(gate, scenario))
    return outcomes


def page() -> str:
    """docs/conformance.md: every scenario with its story and the accident it prevents."""
    lines = [
        "# Conformance scenarios of a pre-trade gate",
        "",
        "Written by `hwgw conformance --page`. Each scenario is a short stream of events with the verdict a gate must",
        "give; the meaning of events and verdicts is [risk.md](risk.md). Any gate can be tried: put it behind the",
        "three functions of `hwgw_gate.h` in a shared object and run `hwgw conformance --gate ./libmygate.so`.",
    ]
    topic = ""
    for scenario in scenarios():
        if scenario.topic != topic:
            topic = scenario.topic
            lines += ["", f"## {topic.replace('_', ' ').capitalize()}", ""]
            lines += [
                "| scenario | what happens | the accident it prevents | verdicts other than pass |",
                "|---|---|---|---|",
            ]
        verdicts = ", ".join(dict.fromkeys(step.expect for step in scenario.steps if step.expect != "pass")) or "none"
        lines.append(f"| {scenario.name} | {scenario.story} | {scenario.prevents} | {verdicts} |")
    return "\n".join(lines) + "\n"
