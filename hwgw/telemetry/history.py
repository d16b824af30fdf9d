"""What a gateway did in the last minutes, look by look: rates, and every look again for whoever seeks back.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import bisect
import itertools
import json
import zlib
from collections import deque
from collections.abc import Mapping
from typing import Any

__all__ = ["RATES", "History"]

RATES = {
    "packets": "mold.frames",
    "messages": "itch.messages",
    "updates": "book.updates",
    "hook calls": "strategy.calls",
    "orders": "order.encoded",
    "fills": "session.executed",
    "refused": "risk.refused",
    "dropped": "dropped",
}
"""What rates are kept of: a counter, or the sum of those of a kind."""
_DROPS = ("rx.drop_", "net.drop_", "mold.drop_", "itch.drop_", "book.drop_", "strategy.drop_", "order.drop_")
_NO_LOSS = ("mold.drop_duplicate", "book.drop_instrument")  # a second line, and what nobody subscribed to
_NS = 10**9


def total(counters: Mapping[str, int], name: str) -> int:
    """A counter of RATES: risk.refused are all reasons, dropped all causes that mean a loss."""
    if name == "risk.refused":
        return sum(value for key, value in counters.items() if key.startswith("risk.refused_"))
    if name == "dropped":
        return sum(value for key, value in counters.items() if key.startswith(_DROPS) and key not in _NO_LOSS)
    return counters[name]


class History:
    """Looks of one gateway, oldest first. A look is kept compressed: some 5 kB each with a few symbols."""

    def __init__(self, seconds: float = 600.0, step_seconds: float = 0.5) -> None:
        """Looks nearer together than the step are not kept; those older than seconds are forgotten."""
        self._step_ns = int(step_seconds * _NS)
        kept = max(2, int(seconds / max(step_seconds, 0.05)))
        self._looks: deque[tuple[int, bytes]] = deque(maxlen=kept)
        self._totals: deque[tuple[int, dict[str, int]]] = deque(maxlen=kept)
        self._start = 0

    def add(self, look: Mapping[str, Any]) -> bool:
        """Keep a look unless the last one is too near; looks of a gateway that was started anew begin a new history."""
        when = int(look["time_ns"])
        if started := int(look["control_pid"]):
            if self._start not in (0, started):
                self._looks.clear()
                self._totals.clear()
            self._start = started
        if self._looks and when - self._looks[-1][0] < self._step_ns:
            return False
        packed = zlib.compress(json.dumps(look, separators=(",", ":")).encode(), 1)
        self._looks.append((when, packed))
        self._totals.append((when, {name: total(look["counters"], key) for name, key in RATES.items()}))
        return True

    def __len__(self) -> int:
        return len(self._looks)

    def rates(self, name: str, last: int, until_ns: int | None = None) -> list[float]:
        """Events a second between the last looks, oldest first, at most so many; up to a moment when it is given."""
        rows = [row for row in self._totals if until_ns is None or row[0] <= until_ns][-last - 1 :]
        return [
            max(0, after[1][name] - before[1][name]) * _NS / max(1, after[0] - before[0])
            for before, after in itertools.pairwise(rows)
        ]

    def at(self, time_ns: int) -> dict[str, Any] | None:
        """The newest look that is not younger than a moment, or the oldest; None when there is none."""
        if not self._looks:
            return None
        index = bisect.bisect_right(self._looks, time_ns, key=lambda row: row[0]) - 1
        found: dict[str, Any] = json.loads(zlib.decompress(self._looks[max(0, index)][1]))
        return found

    def span_ns(self) -> tuple[int, int]:
        """Times of the oldest and the newest look; (0, 0) without any."""
        return (self._looks[0][0], self._looks[-1][0]) if self._looks else (0, 0)

    def before(self, time_ns: int, look: Mapping[str, Any]) -> Mapping[str, Any]:
        """The look to compare with: the newest at least a moment older than a look, else itself."""
        found = self.at(time_ns)
        return found if found and found["time_ns"] < look["time_ns"] else look
