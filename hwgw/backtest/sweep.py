"""Many backtests over processes: parameters, latencies, and choices made on some days and tried on the next.

SPDX-License-Identifier: MIT

Every run is a process's own; one that dies is told as such and the rest goes on to its end.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from hwgw.errors import DeviceError, UsageError
from hwgw.feeds.source import Flow
from hwgw.settings import Settings

from .cluster import run_on
from .figures import total
from .model import Model
from .run import run
from .setting import with_params

__all__ = ["Task", "choices", "latencies", "parse_sweeps", "run_all", "walk_forward"]

RUNS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Task:
    """One backtest, and what tells it from the others."""

    path: Path
    settings: Settings
    model: Model
    groups: tuple[Flow, ...] = ()
    params: tuple[str, ...] = ()
    delay_ns: int = 0


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
        )
        for params in combined
    ]


def latencies(task: Task, low_ns: int, high_ns: int, steps: int) -> list[Task]:
    """The task with more and more delay on the way of its orders."""
    delays = [low_ns + (high_ns - low_ns) * i // max(1, steps - 1) for i in range(steps)]
    return [replace(task, model=task.model.delayed(ns), delay_ns=ns) for ns in delays]


def _work(task: Task) -> dict[str, Any]:
    result = run(task.path, task.settings, task.model, groups=task.groups)
    return {
        "feed": str(task.path), "params": list(task.params), "delay_ns": task.delay_ns, **result.figures,
        "problems": list(result.problems),
    }  # fmt: skip


def run_all(
    tasks: Sequence[Task], processes: int = 0, done: Callable[[int], None] = lambda _: None, cluster: str = ""
) -> list[dict[str, Any]]:
    """The figures of every task, in their order; processes 0: as many as this process may use cores.

    cluster: on Dask instead, LOCAL or the address of a scheduler (cluster.py).
    """
    count = min(processes or len(os.sched_getaffinity(0)), len(tasks))
    if cluster:
        return run_on(cluster, tasks, _work, count, done)
    if count <= 1:
        found = []
        for index, task in enumerate(tasks):
            found.append(_work(task))
            done(index + 1)
        return found
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        try:
            futures = {pool.submit(_work, task): index for index, task in enumerate(tasks)}
            rows: dict[int, dict[str, Any]] = {}
            for finished, future in enumerate(as_completed(futures), 1):
                rows[futures[future]] = future.result()
                done(finished)
        except BrokenProcessPool:
            raise DeviceError(
                "backtest: a process of the sweep was killed; fewer --processes need less memory"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [rows[index] for index in range(len(tasks))]


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
