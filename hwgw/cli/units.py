"""Numbers with units on the command line: 100MB, 60s, 10000pps, 0,2-3.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from hwgw.errors import UsageError

SIZES = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
TIMES = {"": 1.0, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


def number(option: str, value: str, units: Mapping[str, float], low: float, high: float) -> float:
    """A decimal number with one of the units; UsageError names the option, the value and what is allowed."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)", value, re.ASCII)
    found = float(match[1]) * units[match[2]] if match and match[2] in units else None
    if found is None or not low <= found <= high:
        words = ", ".join(f"N{unit}" for unit in units)
        raise UsageError(f"{option} {value}: allowed are {words}, from {low:g} to {high:g}")
    return found


def size(option: str, value: str | None, low: int = 0) -> int:
    """Bytes; 0 when the option was not given."""
    return int(number(option, value, SIZES, low, 1e15)) if value is not None else 0


def seconds(option: str, value: str | None) -> float | None:
    """Seconds, or None when the option was not given."""
    return number(option, value, TIMES, 1e-3, 1e9) if value is not None else None


def integers(option: str, value: str) -> list[int]:
    """A list such as 0,2-3."""
    found: list[int] = []
    for part in value.split(","):
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < first + 256:
            raise UsageError(f"{option} {value}: allowed are numbers and ranges, such as 0,2-3")
        found += range(first, last + 1)
    return found


@contextmanager
def stopping() -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM is put into the list, so that work ends in order; a second one acts as always."""
    got: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: FrameType | None) -> None:
        got.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for each in before:
        signal.signal(each, note)
    try:
        yield got
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
