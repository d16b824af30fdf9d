"""Runs independent streams of events, in a long test as many at a time as there are processors.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def each(function: Callable[..., Any], jobs: Iterable[tuple[Any, ...]], is_long: bool) -> Iterator[Any]:
    """What function answers to each job, in order. function is one of a module; what it raises is raised here."""
    if not is_long:
        yield from (function(*job) for job in jobs)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), context) as pool:
        waiting = [pool.submit(function, *job) for job in jobs]
        try:
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()
