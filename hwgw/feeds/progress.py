"""A progress bar on stderr for files that take long; on a terminal only.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TextIO

from .source import Batch, Capture, RecordFile

__all__ = ["batches"]

PATIENCE_S = 1.0  # what is done sooner needs no bar
INTERVAL_S = 0.2
WIDTH = 30


def batches(source: RecordFile | Capture, *, progress: bool | None, stream: TextIO | None = None) -> Iterator[Batch]:
    """The batches of a source, with a bar beside it. progress None: when stderr is a terminal; False: never."""
    out = stream or sys.stderr
    if not (out.isatty() if progress is None else progress):
        yield from source.batches()
        return
    start = drawn = time.monotonic()
    messages, is_drawn = 0, False
    try:
        for batch in source.batches():
            yield batch
            messages += len(batch)
            now = time.monotonic()
            if now - start >= PATIENCE_S and now - drawn >= INTERVAL_S:
                drawn, is_drawn = now, True
                out.write(f"\r{bar(source.fraction(), messages, now - start)}")
                out.flush()
    finally:
        if is_drawn:  # the line is left clean for what comes next
            out.write("\r\x1b[K")
            out.flush()


def bar(fraction: float, messages: int, seconds: float) -> str:
    """One line: how much of the file, messages, rate, and how long it will still take."""
    done = round(WIDTH * fraction)
    left = f"{seconds * (1 - fraction) / fraction:,.0f} s left" if fraction > 0 else ""
    rate = messages / seconds / 1e6 if seconds > 0 else 0.0
    return f"[{'#' * done}{' ' * (WIDTH - done)}] {fraction:4.0%}  {messages:,} messages, {rate:.1f} M/s, {left}\x1b[K"
