"""What became of each feed channel, change by change, as lines for a log.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..segment import Segment

__all__ = ["FeedLog", "describe_change"]

LINES_MAX = 10
"""Changes of a channel that one look writes out; more are told in one line. Lines that race make thousands a second."""


def describe_change(change: Mapping[str, Any]) -> str:
    """A change of state as text: when, from what to what, at which message."""
    when = datetime.datetime.fromtimestamp(change["ts_ns"] / 1e9).astimezone()
    missing = f", {change['missing_cnt']:,} missing" if change["missing_cnt"] else ""
    return f"{when:%H:%M:%S.%f} {change['from']} -> {change['to']} at {change['next_seq']:,}{missing}"


class FeedLog:
    """Reads the changes of a running gateway; each is told once."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._told: dict[tuple[int, int], int] = {}

    def lines(self) -> Iterator[str]:
        """What has changed since the last call. Call it many times a second: 62 changes of a channel are kept."""
        for row in self._segment.channel_status():
            at = (row["pipeline"], row["channel"])
            told = self._told.get(at, 0)
            fresh = [change for change in row["changes"] if change["number"] > told]
            if not fresh:
                continue
            lost = fresh[0]["number"] - told - 1
            self._told[at] = fresh[-1]["number"]
            name = f"channel {row['channel']}" if row["pipeline"] == 0 else f"pipeline {at[0]} channel {at[1]}"
            if lost:
                yield f"{name}: {lost:,} changes of state went by unseen"
            shown = len(fresh) if len(fresh) <= LINES_MAX else LINES_MAX - 1
            for change in fresh[:shown]:
                yield f"{name}: {describe_change(change)}"
            if rest := fresh[shown:]:
                went = ", ".join(f"{cnt} to {state}" for state, cnt in Counter(c["to"] for c in rest).most_common())
                yield f"{name}: {len(rest)} more changes within a moment ({went}), last {describe_change(rest[-1])}"
