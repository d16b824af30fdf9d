"""Lines about what happens, for people or as JSON, at a bounded rate. The data process writes none.

SPDX-License-Identifier: MIT

An event has a name; of each name so many lines may come at once and so many a second after that. What is held back is
counted and told with the next line of that name that passes, so that a storm neither fills a disk nor goes unnoticed.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import threading
import time
from typing import Any, TextIO

__all__ = ["FORMS", "Log", "plain"]

FORMS = ("human", "json")
BURST, PER_SECOND = 50, 5.0
_NAMES_MAX = 256  # of events with a bucket of their own


def plain(text: str) -> str:
    """A text in one line without control characters: what others wrote makes no lines and moves no cursor."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class Log:
    """Lines to a stream, stderr unless another is given, each written whole; from any thread. What the stream does not
    take is counted as held back.

    human: "who: text". json: one object a line with time (UTC, microseconds), level, who, pid, event, text, the fields
    of the event and, when lines were held back, suppressed.
    """

    def __init__(self, who: str, form: str = "human", stream: TextIO | None = None, *, is_quiet: bool = False) -> None:
        if form not in FORMS:
            raise ValueError(f"form {form!r}: {' or '.join(FORMS)} are allowed")
        self.who, self.form, self._stream, self._is_quiet = who, form, stream, is_quiet
        self._lock = threading.Lock()
        self._buckets: dict[str, list[float]] = {}  # tokens, when they were counted, lines held back

    def say(self, event: str, text: str, level: str = "info", **fields: Any) -> bool:
        """Write a line about an event; False when it was held back. level: info, warning or error."""
        if self._is_quiet and level == "info":
            return True
        with self._lock:
            suppressed = self._take(event)
            if suppressed < 0:
                return False
            line = self._line(event, text, level, suppressed, fields)
            stream = self._stream or sys.stderr
            try:
                stream.write(line + "\n")
                stream.flush()
            except OSError:  # a reader that went away, a full disk: no reason for who writes to end
                self._buckets[self._bucket(event)][2] += suppressed + 1
                return False
        return True

    def _bucket(self, event: str) -> str:
        """The name under which lines of an event are counted."""
        return event if event in self._buckets or len(self._buckets) < _NAMES_MAX else "other"

    def _take(self, event: str) -> int:
        """How many lines of the event were held back before this one, or -1 when it is held back too."""
        now = time.monotonic()
        bucket = self._buckets.setdefault(self._bucket(event), [float(BURST), now, 0.0])
        bucket[0] = min(BURST, bucket[0] + (now - bucket[1]) * PER_SECOND)
        bucket[1] = now
        if bucket[0] < 1:
            bucket[2] += 1
            return -1
        bucket[0] -= 1
        suppressed, bucket[2] = int(bucket[2]), 0.0
        return suppressed

    def _line(self, event: str, text: str, level: str, suppressed: int, fields: dict[str, Any]) -> str:
        if self.form == "human":
            held = f" ({suppressed:,} more of these were not written)" if suppressed else ""
            return f"{self.who}: {plain(text)}{held}"
        when = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        row = {
            "time": when,
            "level": level,
            "who": self.who,
            "pid": os.getpid(),
            "event": event,
            "text": text,
            **fields,
        }
        if suppressed:
            row["suppressed"] = suppressed
        return json.dumps(row, ensure_ascii=False, default=str)
