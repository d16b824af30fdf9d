"""The journal of what was written to a host: one file per generation, each intent on disk before its write.

SPDX-License-Identifier: MIT

A generation is GENERATION.jsonl in the state folder (/var/lib/hwgw/tune, under --root inside of that tree). Every line
is a record with a checksum at its end; a torn last line is a record that was never written. Records, in their order:

    head    what began it: profile, boot id, time
    intent  number, knob, kind, target, place, old, new: fsynced before the write
    commit  number: written and read back
    refuse  number, why: the kernel would not, nothing was changed
    end     applied, stopped, reverted
    part    numbers: these alone are being put back
    undo    number: the old value is back
    parted  they are
    undone  the whole generation is

A generation without an end was interrupted: what has an intent may or may not have been written.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import audit
from ..errors import CheckFailed, DeviceError, PrivilegeError
from .host import Host

__all__ = ["Entry", "Generation", "State"]

_DIGITS = 6
SCHEMA = "hwgw.tune-journal/1"


@dataclass(slots=True)
class Entry:
    """One intent, and what became of it."""

    number: int
    said: dict[str, Any]
    is_committed: bool = False
    is_undone: bool = False
    refused: str = ""


@dataclass(slots=True)
class Generation:
    """What a file says."""

    number: int
    head: dict[str, Any]
    entries: dict[int, Entry] = field(default_factory=dict)
    end: str = ""
    is_undone: bool = False
    parting: tuple[int, ...] = ()  # being put back without the others: a rollback of a group did not come to its end

    @property
    def is_interrupted(self) -> bool:
        """Whether the run that wrote it, or one that put a part of it back, did not come to its end."""
        return (not self.end or bool(self.parting)) and not self.is_undone

    def written(self) -> list[Entry]:
        """What may have been changed and is not back yet, in the order of the writes."""
        return [entry for entry in self.entries.values() if not entry.is_undone and not entry.refused]


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode()
    return text + b"\t%08x\n" % zlib.crc32(text)


def _records(raw: bytes, file: Path) -> Iterator[dict[str, Any]]:
    lines = raw.split(b"\n")
    for at, line in enumerate(lines[:-1]):
        text, _, check = line.rpartition(b"\t")
        if check != b"%08x" % zlib.crc32(text):
            if at == len(lines) - 2:
                return  # torn: the last line of a run that was cut off
            raise CheckFailed(f"{file}:{at + 1}: the journal was changed or damaged; nothing is undone from it")
        yield json.loads(text)


class State:
    """The generations of one host."""

    def __init__(self, host: Host, folder: Path | None = None) -> None:
        under_root = host.root / "var/lib/hwgw"
        self.folder = folder or (audit.state_folder() if host.live else under_root) / "tune"
        self._is_live = host.live
        self._file: int | None = None
        self._lock: int | None = None

    # ---- reading ----

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:0{_DIGITS}d}.jsonl"

    def numbers(self) -> list[int]:
        """The generations there are, oldest first."""
        try:
            return sorted(int(path.stem) for path in self.folder.glob("[0-9]*.jsonl"))
        except OSError:
            return []

    def generation(self, number: int) -> Generation:
        """One generation."""
        file = self._path(number)
        found: Generation | None = None
        for record in _records(file.read_bytes(), file):
            if found is None:
                found = Generation(number, record)
                continue
            entry = found.entries.get(record.get("n", -1))
            match record["is"]:
                case "intent":
                    found.entries[record["n"]] = Entry(record["n"], record)
                case "commit" if entry:
                    entry.is_committed = True
                case "refuse" if entry:
                    entry.refused = record["why"]
                case "undo" if entry:
                    entry.is_undone = True
                case "end":
                    found.end = record["how"]
                case "part":
                    found.parting = tuple(record["numbers"])
                case "parted":
                    found.parting = ()
                case "undone":
                    found.is_undone = True
        return found or Generation(number, {"boot_id": "", "profile": "", "time": 0})

    def generations(self) -> list[Generation]:
        """All of them, oldest first."""
        return [self.generation(number) for number in self.numbers()]

    def standing(self) -> list[Generation]:
        """Those whose writes are not undone, oldest first."""
        return [found for found in self.generations() if not found.is_undone]

    def refused(self, boot_id: str) -> dict[str, str]:
        """What the kernel refused in this boot, by place: asking again is of no use."""
        found = {}
        for generation in self.generations():
            if generation.head.get("boot_id") == boot_id:
                for entry in generation.entries.values():
                    if entry.refused:
                        found[f"{entry.said['kind']} {entry.said['place']}"] = entry.refused
        return found

    # ---- writing ----

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One run at a time changes a host, and on a machine itself that takes root."""
        if self._is_live and os.geteuid() != 0:
            raise PrivilegeError("changing a host takes root; plan, verify and status do not")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError as error:
            raise PrivilegeError(f"{self.folder}: {error.strerror}; changing a host takes root") from None
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DeviceError(f"{self.folder}: another hwgw tune is at work; wait for it") from None
            yield
        finally:
            os.close(fd)

    def _sync(self) -> None:
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def begin(self, head: dict[str, Any]) -> int:
        """Start a generation; its number."""
        number = (self.numbers() or [0])[-1] + 1
        path = self._path(number)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.record({"is": "head", "schema": SCHEMA, "time": int(time.time()), **head})
        self._sync()
        return number

    def reopen(self, number: int) -> None:
        """Go on with a generation; what was torn at its end is cut off."""
        path = self._path(number)
        raw = path.read_bytes()
        lines = raw.split(b"\n")
        keep = len(raw) - len(lines[-1])
        if len(lines) > 1:
            text, _, check = lines[-2].rpartition(b"\t")
            if check != b"%08x" % zlib.crc32(text):
                keep -= len(lines[-2]) + 1
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        if keep != len(raw):
            os.ftruncate(self._file, keep)

    def record(self, record: dict[str, Any], *, is_durable: bool = True) -> None:
        """Append a record; durable ones are on the disk when this returns."""
        assert self._file is not None  # noqa: S101 (begin or reopen comes first)
        os.write(self._file, _line(record))
        if is_durable:
            os.fsync(self._file)

    def close(self) -> None:
        """End the writing."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
