"""Looks at gateways for those who watch: one reader per gateway however many watch, none when nobody does.

SPDX-License-Identifier: MIT

Who is slow gets the newest look and misses those between; nothing is queued.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from typing import Any

from hwgw.errors import HwgwError
from hwgw.segment import Segment, gateways
from hwgw.telemetry.view import view

__all__ = ["Looks"]


def look(name: str) -> dict[str, Any]:
    """One look; a gateway that is gone is told as an error, not raised."""
    try:
        with Segment.attach(name) as segment:
            return view(segment)
    except HwgwError as error:
        return {"schema": "hwgw.error/1", "name": name, "error": str(error)}


class _Source:
    """The looks at one gateway."""

    def __init__(self) -> None:
        self.ready = threading.Condition()
        self.number = 0
        self.text = b""
        self.watchers = 0
        self.is_over = False  # nobody reads any more: who watches comes again


class Looks:
    """names: the gateways that may be seen; () = all of this host."""

    def __init__(self, names: Sequence[str] = (), interval_s: float = 0.25) -> None:
        self._names = tuple(names)
        self.interval_s = interval_s
        self._lock = threading.Lock()
        self._sources: dict[str, _Source] = {}

    def names(self) -> list[str]:
        """The gateways that may be seen now."""
        return list(self._names) or gateways()

    def watch(self, name: str) -> _Source:
        """Begin to watch; the reader of a gateway starts with the first who does."""
        with self._lock:
            source = self._sources.get(name)
            if source is None:
                source = _Source()
                threading.Thread(target=self._read, args=(name, source), name=f"look-{name}", daemon=True).start()
                self._sources[name] = source  # there is none without a reader
            source.watchers += 1
            return source

    def leave(self, source: _Source) -> None:
        """End to watch."""
        with self._lock:
            source.watchers -= 1

    def _is_watched(self, name: str, source: _Source) -> bool:
        with self._lock:
            if source.watchers or not source.number:
                return True
            del self._sources[name]  # before the lock goes: who comes now begins anew
            return False

    def _read(self, name: str, source: _Source) -> None:
        try:
            while self._is_watched(name, source):
                text = json.dumps(look(name), separators=(",", ":"), ensure_ascii=False).encode()
                with source.ready:
                    source.text, source.number = text, source.number + 1
                    source.ready.notify_all()
                time.sleep(self.interval_s)
        finally:  # also by a defect: no picture that stands still
            with self._lock:
                if self._sources.get(name) is source:
                    del self._sources[name]
            with source.ready:
                source.is_over = True
                source.ready.notify_all()
