"""Many backtests: days, parameters, latencies, and choices made on some days and tried on the next.

SPDX-License-Identifier: MIT

Each is a task; where tasks run is said by cluster.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from hwgw.errors import UsageError
from hwgw.feeds.source import Flow
from hwgw.settings import Model, Settings

from .cluster import LOCAL, run_on
from .figures import total
from .run import Result, run
from .setting import with_params

__all__ = ["Ran", "Task", "choices", "distinct", "latencies", "parse_sweeps", "run_all", "walk_forward"]

RUNS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Task:
    """One backtest, and what tells it from the others. is_whole: not its figures alone are wanted."""

    path: Path
    settings: Settings
    model: Model
    groups: tuple[Flow, ...] = ()
    params: tuple[str, ...] = ()
    delay_ns: int = 0
    is_whole: bool = False

    def __str__(self) -> str:
        delay = [f"{self.delay_ns / 1000:,.1f} us more"] if self.delay_ns else []
        return " ".join([str(self.path), *self.params, *delay])


class Ran(NamedTuple):
    """What came of a task: its row, as in the documents, and of a whole one fills, accounts, orders, journal."""

    row: dict[str, Any]
    result: Result | None


def parse_sweeps(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """NAME=A,B,C of each parameter to every combination of NAME=VALUE."""
    axes: list[list[str]] = []
    for text in texts:
        name, equals, values = text.partition("=")
        found = [value for value in values.split(",") if value]
        if not equals or not name or not found:
            raise UsageError(f"--sweep {text}: NAME=VALUE,VALUE,... is allowed")
        axes.append([f"{name}={value}" for value in found])
    combined = list(itertools.product(*axes))
    if len(combined) > RUNS_MAX:
        raise UsageError(f"--sweep: {len(combined):,} combinations; at most {RUNS_MAX:,} are allowed")
    return combined


def choices(task: Task, combined: Iterable[tuple[str, ...]]) -> list[Task]:
    """The task with each combination of parameters of the first strategy that trades."""
    number, first = next(iter(task.settings.of_mode("live").items()))
    before, behind = task.settings.strategies[:number], task.settings.strategies[number + 1 :]
    return [
        replace(
            task,
            settings=replace(task.settings, strategies=(*before, with_params(first, params), *behind)),
            params=params,
            is_whole=False,
        )
        for params in combined
    ]


def latencies(task: Task, low_ns: int, high_ns: int, steps: int) -> list[Task]:
    """The task with more and more delay on the way of its orders."""
    delays = [low_ns + (high_ns - low_ns) * i // max(1, steps - 1) for i in range(steps)]
    return [replace(task, model=task.model.delayed(ns), delay_ns=ns, is_whole=False) for ns in delays]


def _ran(task: Task, row: dict[str, Any], result: Result | None) -> Ran:
    """As the task names itself, wherever and for whom it ran."""
    told = {"feed": str(task.path), "params": list(task.params), "delay_ns": task.delay_ns}
    kept = replace(result, path=task.path, settings=task.settings) if result and task.is_whole else None
    return Ran({**row, **told}, kept)


def _work(task: Task, *, progress: bool | None = False) -> Ran:
    result = run(
        task.path, task.settings, task.model, groups=task.groups, progress=progress, keep_journal=task.is_whole
    )
    named = {"feed": "", "params": [], "delay_ns": 0}
    row = {
        **named, **result.figures, "problems": list(result.problems),
        "counters": {name: cnt for name, cnt in result.counters.items() if cnt},
        "ledgers": {each.name: each.as_dict() for each in result.ledgers},
    }  # fmt: skip
    return _ran(task, row, result)


def distinct(tasks: Sequence[Task]) -> tuple[list[Task], list[int]]:
    """The tasks without those that are the first of their feed once more, and for every task which of these it is."""
    first: dict[Path, int] = {}
    kept: list[Task] = []
    places = []
    for task in tasks:
        at = first.setdefault(task.path, len(kept))
        if at < len(kept) and (kept[at].settings, kept[at].model) == (task.settings, task.model):
            places.append(at)
        else:
            places.append(len(kept))
            kept.append(task)
    return kept, places


def _in_full(task: Task) -> Task:
    """With files named from the root: a worker elsewhere has another working directory."""
    strategies = tuple(
        replace(each, target=str(Path(each.target).absolute())) if each.kind in ("c", "linear") else each
        for each in task.settings.strategies
    )
    return replace(task, path=task.path.absolute(), settings=replace(task.settings, strategies=strategies))


def run_all(
    tasks: Sequence[Task],
    done: Callable[[int], None] = lambda _: None,
    where: str = "",
    workers: int = 1,
    progress: bool | None = False,
) -> list[Ran]:
    """What came of every task, in their order; of those that are alike one is run. done: how many of distinct() are.

    where: cluster.LOCAL with so many workers, the address of a scheduler, or empty: this process, one after another,
    with progress a bar for each feed (feeds/progress.py).
    """
    kept, places = distinct(tasks)
    if where:
        ran = run_on(where, kept if where == LOCAL else [_in_full(task) for task in kept], _work, workers, done)
    else:
        ran = []
        for task in kept:
            ran.append(_work(task, progress=progress))
            done(len(ran))
    return [_ran(task, *ran[place]) for task, place in zip(tasks, places, strict=True)]


def check_walk(feeds: Sequence[Path], train: int) -> None:
    """UsageError unless there is a feed behind `train` others."""
    if len(feeds) < 2:
        raise UsageError("--walk-forward: it chooses on some feeds and tries on the next; name at least two")
    if not 1 <= train < len(feeds):
        raise UsageError(f"--walk-forward {train}: 1 to {len(feeds) - 1} are allowed with {len(feeds)} feeds")


def walk_forward(rows: Sequence[dict[str, Any]], feeds: Sequence[Path], train: int) -> list[dict[str, Any]]:
    """Of the rows of a sweep over several feeds: what earned most on `train` feeds, on the feed behind them.

    Of parameters that earned the same, those that were named first.
    """
    by_key = {(row["feed"], tuple(row["params"])): row for row in rows}
    combined = list(dict.fromkeys(tuple(row["params"]) for row in rows))
    found = []
    for at in range(train, len(feeds)):
        seen, test = [str(feed) for feed in feeds[at - train : at]], str(feeds[at])
        trained = {params: total([by_key[feed, params] for feed in seen])["pnl"] for params in combined}
        best = max(combined, key=lambda params: trained[params])
        row = by_key[test, best]
        found.append(
            {"trained_on": seen, "feed": test, "params": list(best), "pnl_trained": trained[best], "pnl": row["pnl"]}
        )
    return found
