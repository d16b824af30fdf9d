"""Arming and disarming strategies of a running gateway, by name, and waiting until the gate has done it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from . import audit
from .errors import CheckFailed, UsageError
from .segment import Segment

__all__ = ["arm", "disarm"]

_SECONDS = 1.0  # a pipeline looks before every order and each millisecond


def _rows(segment: Segment, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    there = segment.strategies()
    for name in names:
        if name not in there:
            raise UsageError(f"{segment.name} has no strategy {name!r}; it has {', '.join(there) or 'none'}")
    return {name: there[name] for name in dict.fromkeys(names)}


def _await(segment: Segment, names: Sequence[str], armed: bool) -> dict[str, dict[str, Any]]:
    end = time.monotonic() + _SECONDS
    while True:
        rows = _rows(segment, names)
        late = [name for name, row in rows.items() if row["armed"] != armed]
        if not late:
            return rows
        if time.monotonic() > end:
            why = "its limits let it have no fill or no refusal, or no pipeline runs" if armed else "no pipeline runs"
            raise CheckFailed(
                f"{segment.name}: {', '.join(late)} not {'armed' if armed else 'disarmed'} within {_SECONDS:g} s: {why}"
            )
        time.sleep(0.001)


def arm(segment: Segment, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Arm strategies by name, on record first; their rows once the gate says so."""
    rows = _rows(segment, names)
    audit.record(segment.name, "arm", strategies=list(rows))
    for row in rows.values():
        segment.arm(row["number"])
    return _await(segment, names, True)


def disarm(segment: Segment, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Disarm strategies by name; their rows once the gate says so. Done first, then recorded."""
    rows = _rows(segment, names)
    for row in rows.values():
        segment.disarm(row["number"])
    try:
        return _await(segment, names, False)
    finally:
        audit.record(segment.name, "disarm", strategies=list(rows))
