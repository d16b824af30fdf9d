"""The process that writes a gateway's journal, as its control process sees it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from ..child import await_ready, fork
from ..native import ffi, lib
from ..segment import Segment
from ..settings import Journal
from .start import Start, start

__all__ = ["Writer"]

_CLOSE_SECONDS = 10.0
_SYNC = {"none": "HWGW_JOURNAL_SYNC_NONE", "group": "HWGW_JOURNAL_SYNC_GROUP", "every": "HWGW_JOURNAL_SYNC_EVERY"}


class Writer:
    """Forks the writer and returns when the journal is open on disk, or raises what it reported.

    anew: why the run begins without what the journal holds before it; empty when it does not.
    It takes records until close() says that no more come, or until this process and the data process are gone.
    """

    def __init__(self, segment: Segment, journal: Journal, name: str, anew: str = "") -> None:
        self._segment = segment
        self._status: int | None = None
        begin = start(Path(journal.folder), name, bool(anew))
        self._keep = ffi.new("char[]", os.fsencode(journal.folder))
        self._anew = ffi.new("char[]", anew.encode()) if anew else ffi.NULL
        cfg = self._cfg(journal, begin)
        self.pid, ready = fork(lambda answer: lib.hwgw_journal_run(segment.pointer, cfg, answer, ffi.NULL))
        await_ready(ready, "the journal's writer")

    def _cfg(self, journal: Journal, begin: Start) -> Any:
        cfg = ffi.new("struct hwgw_journal_cfg *")
        cfg.folder, cfg.anew = self._keep, self._anew
        cfg.number, cfg.seq, cfg.torn_bytes = begin.number, begin.seq, begin.torn_bytes
        ffi.memmove(cfg.before, begin.before, len(begin.before))
        cfg.sync, cfg.group_ns = getattr(lib, _SYNC[journal.sync]), journal.group_ns
        cfg.file_max_bytes = journal.file_max_bytes
        return cfg

    def poll(self) -> int | None:
        """The writer's exit status, or None while it runs; negative is the signal that killed it."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def close(self) -> int | None:
        """Nothing more is put: let it take the rest and close. Its exit status; None when its disk hangs."""
        lib.hwgw_segment_journal(self._segment.pointer, 0).closing = 1
        end = time.monotonic() + _CLOSE_SECONDS
        while self.poll() is None and time.monotonic() < end:
            time.sleep(0.001)
        return self._status
