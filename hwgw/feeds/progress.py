"""A progress bar on stderr for what takes long; on a terminal only.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO, TypeVar

from .source import Batch, Capture, RecordFile

__all__ = ["batches", "slices"]

PATIENCE_S = 1.0  # what is done sooner needs no bar
INTERVAL_S = 0.2
WIDTH = 30

T = TypeVar("T")


def batches(source: RecordFile | Capture, *, progress: bool | None, stream: TextIO | None = None) -> Iterator[Batch]:
    """The batches of a source, with a bar beside it. progress None: when stderr is a terminal; False: never."""
    return _shown(source.batches(), len, source.fraction, "messages", progress, stream)


def slices(cnt: int, size: int, what: str, *, progress: bool | None, stream: TextIO | None = None) -> Iterator[slice]:
    """0 to cnt in slices of a size, with a bar of what they are beside it; progress as for batches()."""
    at = 0

    def cut() -> Iterator[slice]:
        nonlocal at
        while at < cnt:
            begin, at = at, min(cnt, at + size)
            yield slice(begin, at)

    return _shown(cut(), lambda each: each.stop - each.start, lambda: at / cnt, what, progress, stream)


def _shown(
    items: Iterable[T], size: Callable[[T], int], fraction: Callable[[], float], what: str, progress: bool | None,
    stream: TextIO | None,
) -> Iterator[T]:  # fmt: skip
    """The items, with a bar of how many have been worked off when the next is asked for."""
    out = stream or sys.stderr
    if not (out.isatty() if progress is None else progress):
        yield from items
        return
    start = drawn = time.monotonic()
    cnt, is_drawn = 0, False
    try:
        for item in items:
            yield item
            cnt += size(item)
            now = time.monotonic()
            if now - start >= PATIENCE_S and now - drawn >= INTERVAL_S:
                drawn, is_drawn = now, True
                out.write(f"\r{bar(fraction(), cnt, now - start, what)}")
                out.flush()
    finally:
        if is_drawn:  # the line is left clean for what comes next
            out.write("\r\x1b[K")
            out.flush()


def bar(fraction: float, cnt: int, seconds: float, what: str = "messages") -> str:
    """One line: how much is done, how many of what, rate, and how long it will still take."""
    done = round(WIDTH * fraction)
    left = f"{seconds * (1 - fraction) / fraction:,.0f} s left" if fraction > 0 else ""
    rate = cnt / seconds / 1e6 if seconds > 0 else 0.0
    return f"[{'#' * done}{' ' * (WIDTH - done)}] {fraction:4.0%}  {cnt:,} {what}, {rate:.1f} M/s, {left}\x1b[K"
