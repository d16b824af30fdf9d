"""Where the journal of a gateway goes on: number, block and hash for the writer of the next run; what a crash left.

SPDX-License-Identifier: MIT

A gateway whose two processes and writer all died (a kill -9 of everything, not of the machine) leaves its last records
in the rings of its segment. They are taken to disk before the next run replaces the segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckFailed, DeviceError, UsageError
from ..native import call, ffi, lib
from ..segment import Segment
from .files import Block, Damaged, blocks, files_of, number, records

__all__ = ["Start", "rescue", "start"]


@dataclass(frozen=True, slots=True)
class Start:
    """What the writer of the next file has to know."""

    number: int = 1
    seq: int = 0
    before: bytes = bytes(32)
    torn_bytes: int = 0


def _last(folder: Path, name: str) -> tuple[Path, list[Block], int] | None:
    """The last file, its blocks, and the bytes behind the last one."""
    files = files_of(folder, name)
    if not files:
        return None
    try:
        found = list(blocks(files[-1]))
    except Damaged as error:
        text = "no run goes on behind a journal that is damaged; keep its files, and name another folder"
        raise CheckFailed(f"{error}: {text}, or say why to begin anew: hwgw run CONFIG --anew REASON") from None
    end = found[-1].end if found else 0
    return files[-1], found, files[-1].stat().st_size - end


def start(folder: Path, name: str, anew: bool = False) -> Start:
    """Find where the next run of a gateway begins; makes the folder.

    anew: behind files that are damaged a chain of its own begins.
    """
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise DeviceError(f"journal.folder: {folder}: {error.strerror}") from error
    try:
        last = _last(folder, name)
    except CheckFailed:
        if not anew:
            raise
        return Start(number(files_of(folder, name)[-1]) + 1)
    if last is None:
        return Start()
    file, found, torn = last
    if not found:  # its writer died before the first block was whole: the chain ends in the file before
        files = files_of(folder, name)
        before = list(blocks(files[-2])) if len(files) > 1 else []
        seq, digest = (before[-1].seq, before[-1].hash) if before else (0, bytes(32))
        return Start(number(file) + 1, seq, digest, torn)
    return Start(number(file) + 1, found[-1].seq, found[-1].hash, torn)


def rescue(folder: Path, name: str, anew: bool = False) -> int:
    """Take to disk what the rings of a gateway that is gone hold, and close its journal; the number of records.

    anew: nothing is taken behind files that are damaged, instead of CheckFailed.
    """
    try:
        segment = Segment.attach(name, writable=True)
    except (UsageError, CheckFailed):
        return 0  # no segment, or one of another build
    with segment:
        if not int(segment.head["journal_kib"]) or lib.hwgw_segment_locked(segment.pointer):
            return 0
        try:
            last = _last(folder, name)
        except CheckFailed:
            if not anew:
                raise
            return 0
        rings = [lib.hwgw_segment_journal(segment.pointer, i) for i in range(int(segment.head["thread_cnt"]))]
        waiting = sum(int(ring.records - ring.written_records) for ring in rings)
        if last is None or not last[1] or last[1][-1].kind == "close":
            return 0
        file, found, _ = last
        run = [record for block in found for record in records(block) if record.type == "open"]
        if run and int(run[-1].open()["start_ns"]) != int(segment.head["start_ns"]):
            return 0  # another run's
        cfg = ffi.new("struct hwgw_journal_cfg *")
        keep = ffi.new("char[]", str(folder).encode())
        cfg.folder, cfg.number, cfg.is_salvage = keep, number(file), True
        cfg.sync = lib.HWGW_JOURNAL_SYNC_EVERY
        cfg.file_max_bytes = 2**63
        cfg.seq, cfg.file_sz = found[-1].seq, found[-1].end
        ffi.memmove(cfg.before, found[-1].hash, len(found[-1].hash))
        for record in (record for block in found[-1:] for record in records(block)):
            if record.thread < len(rings):
                cfg.skip[record.thread] = max(int(cfg.skip[record.thread]), record.seq)
        call(lambda *args: lib.hwgw_journal_run(segment.pointer, cfg, -1, *args))
        return waiting
