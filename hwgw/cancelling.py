"""Cancelling everything a running gateway has open at the venue, and waiting until the venue has answered.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from typing import Protocol

from . import audit
from .errors import CheckFailed
from .segment import Segment

__all__ = ["cancel"]

_SECONDS = 1.0  # a pipeline looks each millisecond


class _Says(Protocol):
    def say(self, message: str, /) -> None: ...


def cancel(segment: Segment, seconds: float, out: _Says) -> dict[str, int]:
    """Ask, wait at most so long, say what became of it: orders asked for, ended, and unknown. On record afterwards."""
    request, begin = segment.cancel_all(), time.monotonic()
    while (state := segment.cancelled(request)) is None or (state[1] and time.monotonic() < begin + seconds):
        if state is None and time.monotonic() > begin + max(seconds, _SECONDS):
            raise CheckFailed(f"{segment.name}: no pipeline took the request within {max(seconds, _SECONDS):g} s")
        time.sleep(0.001)
    asked, unknown = state
    row = {"asked": asked, "ended": asked - unknown, "unknown": unknown}
    try:
        audit.record(segment.name, "cancel", **row)
    finally:
        said = f"{asked} open orders, {row['ended']} of them ended" if asked else "nothing was open"
        left = f"; of {unknown} the end is not known, and they are asked for again" if unknown else ""
        out.say(f"{segment.name}: {said}{left}")
    return row
