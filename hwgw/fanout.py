"""The events a gateway shares with other processes of its host: hwgw.attach(name).events().

SPDX-License-Identifier: MIT

A batch is a NumPy array of records `event` (hwgw/specs/event.yaml): what the gateway's books were given, in that order.
Reading costs the gateway nothing and cannot hold it up; a reader that is overtaken is told how many records it missed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import specs
from .errors import CheckFailed
from .native import ffi, lib

__all__ = ["Events"]

_POLL_S = 0.0002


class Events:
    """A reader of one pipeline's fan-out ring; it lives as long as what it was made from is open."""

    def __init__(self, pointer: Callable[[], Any], running: Callable[[], bool], thread: int, oldest: bool) -> None:
        self._pointer, self._running = pointer, running
        self._reader = ffi.new("struct hwgw_fanout *")
        self._dtype = specs.dtype("event", "event")
        if not lib.hwgw_fanout_open(self._reader, lib.hwgw_segment_head(pointer()), thread, oldest):
            raise CheckFailed("the gateway shares no events: give it a section `fanout` in its gateway.yaml")

    @property
    def next(self) -> int:
        """The number of the record that comes next; the gateway's first is 0."""
        return int(self._reader.next)

    @property
    def missed(self) -> int:
        """Records that were overwritten before this reader came to them."""
        return int(self._reader.missed)

    def read(self, most: int = 65_536) -> NDArray[np.void]:
        """What was put since, at most so many records, maybe none: a copy of its own."""
        self._pointer()  # still open?
        batch: NDArray[np.void] = np.empty(most, self._dtype)
        cnt = lib.hwgw_fanout_read(self._reader, ffi.from_buffer("struct hwgw_event *", batch.view(np.uint8)), most)
        return batch[:cnt]

    def __iter__(self) -> Iterator[NDArray[np.void]]:
        """Batches with at least one record, until the gateway has ended and its last record was read."""
        while True:
            ended = not self._running()
            batch = self.read()
            if len(batch):
                yield batch
            elif ended:
                return
            else:
                time.sleep(_POLL_S)
