"""Journal files: blocks, records, and the proof that nothing was changed, removed, inserted or swapped.

SPDX-License-Identifier: MIT

A file is blocks end to end; each holds the BLAKE2b-256 of the block before it, over file borders, and its own; every
record has its CRC-32C and a number that rises by one per pipeline and run. Only what a crash leaves is not an error of
the chain: a last block that is not whole, in the last file or in one whose successor says how many bytes that were.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from .. import specs
from ..errors import CheckFailed, UsageError
from ..native import ffi, lib

__all__ = ["Block", "Damaged", "Record", "Report", "blocks", "files_of", "names", "records", "verify"]

_FILE = re.compile(r"(?P<name>[A-Za-z0-9_-]{1,31})-(?P<number>[0-9]{6})\.journal")


class Damaged(CheckFailed):
    """A journal is not what was written; names the file and the byte."""


@dataclass(frozen=True, slots=True)
class Block:
    """A whole block whose hash is right."""

    file: Path
    offset: int
    kind: str
    seq: int
    ts_ns: int
    record_cnt: int
    before: bytes
    hash: bytes
    body: memoryview

    @property
    def end(self) -> int:
        """Offset behind it."""
        return self.offset + _header().itemsize + len(self.body)


@dataclass(frozen=True, slots=True)
class Record:
    """One record; payload is a record of another table (an order for type gate) or bytes."""

    type: str
    thread: int
    verdict: int
    seq: int
    ts_ns: int
    payload: memoryview

    def order(self) -> np.void:
        """The gate event of a record of type gate."""
        found: np.void = np.frombuffer(self.payload, specs.dtype("order", "order"))[0]
        return found

    def fields(self) -> dict[str, int | str]:
        """What a record of a type with a layout of its own says, without what may follow; text without its padding.

        Bytes that are a hash are in hexadecimal.
        """
        dtype = specs.dtype("journal", f"journal_{self.type}")
        row = np.frombuffer(self.payload[: dtype.itemsize], dtype)[0]
        found: dict[str, int | str] = {}
        for name in dtype.names or ():
            if dtype[name].kind == "S":
                found[name] = bytes(row[name]).rstrip(b"\0").decode("ascii", "replace").strip()
            elif not dtype[name].shape:
                found[name] = int(row[name])
            elif dtype[name].base.itemsize == 1:
                found[name] = row[name].tobytes().hex()
        return found

    def open(self) -> np.void:
        """What a record of type open says of its run."""
        found: np.void = np.frombuffer(self.payload, specs.dtype("journal", "journal_open"))[0]
        return found


@dataclass(slots=True)
class Report:
    """What verify found."""

    files: int = 0
    blocks: int = 0
    records: int = 0
    bytes: int = 0
    runs: int = 0
    types: Counter[str] = field(default_factory=Counter)
    torn_bytes: int = 0
    closed: bool = False
    problem: str = ""

    @property
    def is_whole(self) -> bool:
        """Nothing is wrong, and the last file was closed."""
        return not self.problem and self.closed


@cache
def _header() -> np.dtype[Any]:
    return specs.dtype("journal", "journal_block")


@cache
def _record() -> np.dtype[Any]:
    return specs.dtype("journal", "journal_record")


@cache
def _kinds(enum: str) -> dict[int, str]:
    return {int(code.value): code.slug for code in specs.load("journal").enum(enum).values}


@cache
def _packing(layout: str) -> struct.Struct:
    """A layout of unsigned integers for struct: an object per record is what reading costs."""
    codes = {1: "B", 2: "H", 4: "I", 8: "Q"}
    return struct.Struct("=" + "".join(codes[field.size] for field in specs.load("journal").layout(layout).fields))


@cache
def _constant(name: str) -> int:
    return int(specs.load("journal").constant(name))


def names(folder: Path) -> list[str]:
    """The gateways that have a journal in a folder."""
    return sorted({found["name"] for path in folder.glob("*.journal") if (found := _FILE.fullmatch(path.name))})


def files_of(folder: Path, name: str) -> list[Path]:
    """The files of a gateway, oldest first."""
    found = ((match, path) for path in folder.glob(f"{name}-*.journal") if (match := _FILE.fullmatch(path.name)))
    return [path for match, path in sorted(found, key=lambda pair: pair[1].name) if match["name"] == name]


def number(file: Path) -> int:
    """The number in a file's name; UsageError when it is not the name of a journal."""
    found = _FILE.fullmatch(file.name)
    if not found:
        raise UsageError(f"{file}: a journal is named NAME-NUMBER.journal, such as gw1-000001.journal")
    return int(found["number"])


def blocks(file: Path, start: int = 0, limit: int = 0) -> Iterator[Block]:
    """Every whole block of a file, from the offset of one on; a rest that is none is left over. Damaged else.

    limit: read so many blocks at most; 0 = all.
    """
    size = limit * (_header().itemsize + _constant("block_max_bytes")) or -1
    with file.open("rb") as stream:
        stream.seek(start)
        raw = memoryview(stream.read(size))
    yield from islice(_blocks(file, start, raw), limit or None)


def _blocks(file: Path, start: int, raw: memoryview) -> Iterator[Block]:
    size, offset = _header().itemsize, 0
    while offset + size <= len(raw):
        head = np.frombuffer(raw[offset : offset + size], _header())[0]
        kind = _kinds("block_kind").get(int(head["kind"]))
        length = int(head["len"])
        where = f"{file}: byte {start + offset}"
        if int(head["magic"]) != _constant("magic"):
            raise Damaged(f"{where}: no block begins here")
        if int(head["version"]) != _constant("version"):
            raise Damaged(f"{where}: version {head['version']}; this hwgw reads {_constant('version')}")
        if offset + size + length > len(raw) and length <= _constant("block_max_bytes"):
            return
        body = raw[offset + size : offset + size + length]
        bare = bytearray(raw[offset : offset + size])
        at = _header().fields["hash"][1]  # type: ignore[index]
        bare[at : at + _constant("hash_sz_bytes")] = bytes(_constant("hash_sz_bytes"))
        digest = hashlib.blake2b(bare, digest_size=_constant("hash_sz_bytes"))
        digest.update(body)
        if digest.digest() != head["hash"].tobytes() or kind is None:
            raise Damaged(f"{where}: block {head['seq']} does not have the hash of what it holds")
        yield Block(
            file, start + offset, kind, int(head["seq"]), int(head["ts_ns"]), int(head["record_cnt"]),
            head["before"].tobytes(), head["hash"].tobytes(), body,
        )  # fmt: skip
        offset += size + length


def _damaged(where: tuple[Block, int, int], what: str) -> Damaged:
    block, index, at = where
    at += block.offset + _header().itemsize
    return Damaged(f"{block.file}: byte {at}: record {index} of block {block.seq} {what}")


def records(block: Block) -> Iterator[Record]:
    """Every record of a block, checked; Damaged when one is not what was put."""
    size, align, at = _record().itemsize, _constant("record_align_bytes"), 0
    unpack, types = _packing("journal_record").unpack_from, _kinds("record_type")
    crc_at = _record().fields["crc32c"][1]  # type: ignore[index]
    body, checksum, borrow = block.body, lib.hwgw_crc32c, ffi.from_buffer
    for index in range(block.record_cnt):
        where = (block, index, at)
        if at + size > len(body):
            raise _damaged(where, "is behind the end of its block")
        length, code, thread, verdict, crc, _, seq, ts_ns = unpack(body, at)
        whole = -(-(size + length) // align) * align
        kind = types.get(code)
        if at + whole > len(body) or kind is None:
            raise _damaged(where, "has a length or a type that cannot be")
        bare = bytearray(body[at : at + size + length])
        bare[crc_at : crc_at + 4] = b"\0\0\0\0"
        if checksum(borrow(bare), len(bare)) != crc:
            raise _damaged(where, "does not have the checksum of what it holds")
        if whole != size + length and any(body[at + size + length : at + whole]):
            raise _damaged(where, "is followed by what is no fill")
        yield Record(kind, thread, verdict, seq, ts_ns, body[at + size : at + size + length])
        at += whole
    if at != len(block.body):
        raise Damaged(f"{block.file}: block {block.seq} holds {len(block.body) - at} bytes behind its last record")


class _Chain:
    """What verify knows of the blocks so far."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.seq = 0
        self.hash: bytes | None = None
        self.next: dict[int, int] = {}
        self.excused = False  # an open record has said what the file before ends with

    def link(self, block: Block) -> None:
        """The block follows the one before."""
        where = f"{block.file}: byte {block.offset}"
        if self.hash is None:  # a chain may be looked at from any file on; its first block shows nothing of it
            if block.seq == 1 and any(block.before):
                raise Damaged(f"{where}: the first block of all follows another")
        elif block.seq != self.seq + 1 or block.before != self.hash:
            raise Damaged(f"{where}: block {block.seq} does not follow block {self.seq}: something between is missing")
        self.seq, self.hash = block.seq, block.hash
        self.report.blocks += 1
        self.report.closed = block.kind == "close"

    def number(self, block: Block, record: Record, left: int) -> None:
        """The record follows the one before of its pipeline; left: bytes behind the last block of the file before."""
        if record.type == "open":
            self.next = {}
            self.report.runs += 1
            told = int(record.open()["torn_bytes"])
            if self.report.files > 1 and told != left:
                raise Damaged(f"{block.file}: says that the file before ends with {told} torn bytes; there are {left}")
            self.excused = True
        want = self.next.get(record.thread, record.seq)
        if record.seq != want:
            text = f"record {record.seq} of pipeline {record.thread} stands where {want} belongs"
            raise Damaged(f"{block.file}: block {block.seq}: {text}")
        self.next[record.thread] = record.seq + 1
        self.report.records += 1
        self.report.types[record.type] += 1


def verify(files: Sequence[Path]) -> Report:
    """Prove consecutive files of one gateway; the report says what was found up to the first problem."""
    report = Report()
    try:
        _verify_chain(files, _Chain(report))
        if report.torn_bytes and report.closed:
            raise Damaged(f"{files[-1]}: {report.torn_bytes} bytes stand behind its close block")
    except Damaged as error:
        report.problem = str(error)
    return report


def _verify_chain(files: Sequence[Path], chain: _Chain) -> None:
    report = chain.report
    left = 0  # bytes behind the last whole block of the file before
    for file in files:
        if left and report.closed:
            raise Damaged(f"{files[report.files - 1]}: {left} bytes stand behind its close block")
        found, closed = list(blocks(file)), report.closed
        report.files += 1
        for block in found:
            if block.offset and report.closed:
                raise Damaged(f"{file}: byte {block.offset}: a block behind the close block")
            chain.link(block)
        for block in found:
            for record in records(block):
                chain.number(block, record, left)
        if left and found and not chain.excused:
            raise Damaged(f"{files[report.files - 2]}: ends with {left} bytes that are no block")
        report.closed = found[-1].kind == "close" if found else closed
        end = found[-1].end if found else 0
        report.bytes += end
        left, chain.excused = file.stat().st_size - end, False
    report.torn_bytes = left
