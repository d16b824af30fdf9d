"""Limits and strategies of a running gateway, together back to versions that were in force.

SPDX-License-Identifier: MIT

All of it is looked up and checked before anything is changed. The strategies go first, each as a whole, the limits
last: whether a strategy allows its values shows only then, and what is put back when something is not taken needs no
signature. Each change is one of its own, on record with the same source.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import parameters
from .errors import BY_EXIT_CODE, CheckFailed, HwgwError, UsageError
from .risk import control, versions
from .segment import Segment

__all__ = ["Done", "Plan", "carry_out", "of_time", "of_versions"]

PUT_BACK = "put back: a rollback was not taken whole"


@dataclass(frozen=True)
class Plan:
    """What is to be in force: limits with the file they are kept in, or None, and a version of each strategy named."""

    limits: tuple[control.Book, Path] | None
    strategies: Sequence[parameters.Version]


@dataclass(frozen=True)
class Done:
    """What became of a plan."""

    limits: control.Applied | None
    strategies: Sequence[parameters.Applied]


def of_versions(segment: Segment, limits: str, strategies: Mapping[str, str]) -> Plan:
    """Versions by number or hash: of the limits ("" leaves them), and by strategy."""
    found = control.of_version(segment, limits) if limits else None
    running = segment.strategies()
    for strategy in strategies:
        if strategy not in running:
            raise UsageError(f"{segment.name} has no strategy {strategy!r}; it has {', '.join(running) or 'none'}")
    return Plan(found, [parameters.find(segment.name, strategy, to) for strategy, to in strategies.items()])


def of_time(segment: Segment, at_ns: int) -> Plan:
    """What was in force at a time (ns since 1970) and is not now, by the audit record.

    UsageError: a time to come. CheckFailed: the record does not say it.
    """
    if at_ns > time.time_ns():
        raise UsageError("this time is yet to come")
    name = segment.name
    acts = [(row.time_ns, row.hash, row.before) for row in versions.versions(name)]
    digest = _then(segment, "limits", acts, at_ns)
    strategies = []
    for strategy in segment.strategies():
        acts = [(row["time_ns"], row["hash"], row["before"]) for row in parameters.versions(name, strategy)]
        if version := _then(segment, f"parameters of {strategy}", acts, at_ns):
            strategies.append(parameters.find(name, strategy, version))
    return Plan(control.of_version(segment, digest) if digest else None, strategies)


def _then(segment: Segment, what: str, acts: Sequence[tuple[int, str, str]], at_ns: int) -> str:
    """Hash of what was in force at a time, of changes as (time, hash, hash before); "": it is in force still.

    A change holds until the gateway restarts, which is not on record: what was in force between the last change of a
    run and the first of the next one is said by neither unless they agree.
    """
    began_ns = int(segment.head["start_ns"])
    if at_ns >= began_ns:
        acts = [act for act in acts if act[0] >= began_ns]
    last = next((act for act in reversed(acts) if act[0] <= at_ns), None)
    later = next((act for act in acts if act[0] > at_ns), None)
    if later is None and at_ns >= began_ns:
        return ""
    before = later[2] if later else ""
    if (last is None and at_ns < began_ns) or not before or (last and last[1] != before):
        raise CheckFailed(
            f"{segment.name}: its record does not say which {what} were in force then: a restart, which begins with"
            " those of the file, is not on it; name versions"
        )
    return before


def carry_out(segment: Segment, plan: Plan, source: str, *, allow_looser: bool = False) -> Done:
    """Put all of a plan in force, or leave all as it was; an error says so, or what could not be put back."""
    there = [parameters.check(segment, version)[0] for version in plan.strategies]
    limits = None
    if plan.limits:
        limits = control.check(segment, plan.limits[0], allow_looser=allow_looser, file=plan.limits[1])[0]
    try:
        strategies = [parameters.apply(segment, version, source) for version in plan.strategies]
        applied = None
        if plan.limits:
            book, file = plan.limits
            applied = control.apply(segment, book, source, allow_looser=allow_looser, file=file)
        return Done(applied, strategies)
    except HwgwError as error:
        said = _put_back(segment, plan, there, limits)
        raise BY_EXIT_CODE[error.exit_code](f"{error}; {said}") from error


def _put_back(
    segment: Segment, plan: Plan, strategies: Sequence[parameters.Version], limits: control.Book | None
) -> str:
    """Undo what a plan has changed: what was in force is again. What somebody else changed meanwhile stays."""
    back, failed = [], []
    for version, before in zip(plan.strategies, strategies, strict=True):
        try:
            if version != before and parameters.in_force(segment, before.strategy) == version:
                parameters.apply(segment, before, PUT_BACK)
                back.append(before.strategy)
        except HwgwError as error:
            failed.append(f"{before.strategy}: {error}")
    try:
        if plan.limits and limits and control.in_force(segment).digest == plan.limits[0].digest != limits.digest:
            file = versions.keep(segment.name, limits.canonical)
            control.apply(segment, limits, PUT_BACK, allow_looser=True, file=file)
            back.append("limits")
    except HwgwError as error:
        failed.append(f"limits: {error}")
    if failed:
        return f"NOT PUT BACK: {'; '.join(failed)}"
    return f"put back: {', '.join(back)}" if back else "nothing was changed"
