"""The journal of a run on a virtual clock: the files that a gateway's writer would leave, from its records.

SPDX-License-Identifier: MIT

Input: records as a journal's ring has them, in the order they were put. Output: NAME-NUMBER.journal in a folder, a
chain that begins anew. Nothing in it is of this machine's clock or of how the records were handed over: a block is as
full as it can be and has the time of its last record, the gateway clock counts from midnight of the recording, and the
day, which a feed does not say, is 1970-01-01. So the same records give the same files. One that is broken off is
not closed, as one that a gateway's death leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from .. import __version__, native, specs
from ..native import ffi, lib
from ..settings import Journal
from .files import Damaged, blocks, records

__all__ = ["BACKTEST", "VirtualJournal", "is_backtest"]

BACKTEST = "backtest of "
"""How the reason begins why such a journal begins anew."""
_WRITER_THREAD = 255  # records of the writer itself
_FILE_MAX_BYTES = Journal("").file_max_bytes


def is_backtest(file: Path) -> bool:
    """Whether a journal's file is of a backtest; False when it cannot be read."""
    try:
        first = next(blocks(file, limit=1), None)
        opening = next(records(first), None) if first else None
    except Damaged:
        return False
    return opening is not None and opening.type == "open" and opening.open()["reason"].startswith(BACKTEST.encode())


class VirtualJournal:
    """A journal that is being written; leaving the context closes it, with its last block only when all went well."""

    def __init__(
        self, folder: Path, name: str, symbols: Sequence[str], reason: str, file_max_bytes: int = _FILE_MAX_BYTES
    ) -> None:
        """Make the folder and the first file. reason: why it begins anew; what has no room (95 characters) is cut."""
        self.files: list[Path] = []
        self._folder, self._name, self._file_max = folder, name, file_max_bytes
        self._header = specs.dtype("journal", "journal_block").itemsize
        room = self._header + specs.load("journal").constant("block_max_bytes")
        self._keep = ffi.new("uint8_t[]", room)
        self._block = ffi.cast("struct hwgw_journal_block *", self._keep)
        self._before, self._seq, self._ts_ns = ffi.new("uint8_t[]", 32), 0, 0
        folder.mkdir(parents=True, exist_ok=True)
        self._open()
        opening = np.zeros(1, specs.dtype("journal", "journal_open"))
        opening["name"], opening["version"], opening["commit"] = name, __version__, native.build()["commit"]
        opening["thread_cnt"], opening["instrument_cnt"], opening["is_anew"] = 1, len(symbols), 1
        opening["reason"] = reason.encode("ascii", "replace")[:95]
        self._own(1, "open", opening.tobytes())
        self._own(2, "symbols", "".join(f"{symbol:<8}" for symbol in symbols).encode())

    def _open(self) -> None:
        self.files.append(self._folder / f"{self._name}-{len(self.files) + 1:06d}.journal")
        self._file = self.files[-1].open("xb")

    def _own(self, seq: int, kind: str, payload: bytes) -> None:
        head = np.zeros(1, specs.dtype("journal", "journal_record"))
        head["len"], head["seq"], head["thread"] = len(payload), seq, _WRITER_THREAD
        head["type"] = int(specs.load("journal").enum("record_type").code(kind))
        align = specs.load("journal").constant("record_align_bytes")
        self.put(head.tobytes() + payload + bytes(-len(payload) % align))

    def put(self, raw: bytes) -> None:
        """Keep whole records, end to end."""
        data, at = ffi.from_buffer("uint8_t[]", raw), 0
        while (at := at + int(lib.hwgw_journal_block_add(self._block, data + at, len(raw) - at))) < len(raw):
            if not self._block.record_cnt:
                raise ValueError(f"{self.files[-1]}: byte {at} of what was put: no whole record that a block holds")
            self._write(lib.HWGW_JOURNAL_BLOCK_KIND_DATA)

    def _write(self, kind: int) -> None:
        """The block at hand, behind a file that is full in the next one."""
        size = self._header + int(self._block.len)
        if self._file.tell() and self._file.tell() + self._header + size > self._file_max:
            at_hand = bytes(ffi.buffer(self._keep, size))
            self._clear()
            self._seal(lib.HWGW_JOURNAL_BLOCK_KIND_ROLL)
            self._file.close()
            self._open()
            ffi.memmove(self._keep, at_hand, size)
        self._seal(kind)

    def _seal(self, kind: int) -> None:
        self._seq += 1
        if self._block.record_cnt:
            self._ts_ns = int(self._block.ts_ns)
        lib.hwgw_journal_block_seal(self._block, kind, self._seq, self._ts_ns, self._before)
        ffi.memmove(self._before, self._block.hash, 32)
        self._file.write(ffi.buffer(self._keep, self._header + int(self._block.len)))
        self._clear()

    def _clear(self) -> None:
        ffi.memmove(self._keep, bytes(self._header), self._header)

    def close(self) -> None:
        """Nothing more is put: what is left, and the block that says so."""
        if self._block.record_cnt:
            self._write(lib.HWGW_JOURNAL_BLOCK_KIND_DATA)
        self._seal(lib.HWGW_JOURNAL_BLOCK_KIND_CLOSE)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is None:
            self.close()
        self._file.close()
