"""The messages of a file, in batches: BinaryFILE (.itch50, also gzipped) and MoldUDP64 in pcap and pcapng.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ipaddress
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from hwgw import specs
from hwgw.errors import CheckFailed, UsageError
from hwgw.native import call, ffi, lib, text

BATCH_MESSAGES_MAX = 65_536
BATCH_BYTES = 4 << 20
CAPTURE_WORDS = (
    specs.load("pcapng").constant("pcap_magic_us"),
    specs.load("pcapng").constant("pcap_magic_ns"),
    int(specs.load("pcapng").enum("block_type").code("section_header")),
)
CAPTURE_MAGICS = {word.to_bytes(4, order) for word in CAPTURE_WORDS for order in ("big", "little")}
PCAP_HEADER_SZ = 16  # of a record
GZIP_MAGIC = b"\x1f\x8b"
GZIP_WBITS = 31  # zlib: a gzip header and trailer around the largest window
LENGTH_SZ = specs.load("itch50").constant("binaryfile_length_sz")
# struct hwgw_scan_message
MESSAGE = np.dtype([("seq", "u8"), ("offset", "u4"), ("len", "u2"), ("channel", "u2")])
assert ffi.sizeof("struct hwgw_scan_message") == MESSAGE.itemsize  # noqa: S101 (the struct is C's)


@dataclass(frozen=True)
class Batch:
    """Messages and the bytes they lie in. base: where data begins in the file (decompressed), None in a capture."""

    data: NDArray[np.uint8]
    messages: NDArray[np.void]
    base: int | None

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def types(self) -> NDArray[np.uint8]:
        """The first byte of each message, 0 of an empty one."""
        first = self.data[np.minimum(self.messages["offset"], max(len(self.data) - 1, 0))]
        return np.where(self.messages["len"] > 0, first, 0).astype(np.uint8)

    def where(self, index: int) -> str:
        """Where a message stands, for an error text."""
        message = self.messages[index]
        if self.base is None:
            return f"message {message['seq']}"
        return f"offset {self.base + int(message['offset']) - LENGTH_SZ}"


@dataclass(frozen=True)
class Flow:
    """A group and port that brought messages; line 0 is A of its channel."""

    group: str
    port: int
    channel: int = 0
    line: int = 0

    def __str__(self) -> str:
        return f"{self.group}:{self.port}"

    @classmethod
    def parse(cls, value: str, option: str = "--group") -> Self:
        """Read G:P; UsageError when it is neither."""
        group, _, port = value.rpartition(":")
        try:
            address = ipaddress.IPv4Address(group)
            number = int(port) if port.isascii() and port.isdecimal() else 0
        except ValueError:
            number = 0
        if not 0 < number < 1 << 16:
            raise UsageError(f"{option} {value}: allowed is IPV4:PORT with a port of 1 to 65535")
        return cls(str(address), number)


class Gunzip:
    """Reads a gzip file in bounded memory; damage ends it, but all that could be decompressed before it is given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._member = zlib.decompressobj(GZIP_WBITS)
        self.damage = ""

    def read(self, size: int) -> bytes:
        """Up to size bytes; none at the end or at damage."""
        while not self.damage:
            packed = self._member.unconsumed_tail or self._member.unused_data or self._file.read(BATCH_BYTES)
            if self._member.eof:
                if not packed.strip(b"\0"):
                    return b""
                self._member = zlib.decompressobj(GZIP_WBITS)
            elif not packed:
                self._fail("it ends too early")
                break
            try:
                data = self._member.decompress(packed, size)
            except zlib.error as error:
                self._fail(str(error))
                break
            if data:
                return data
        return b""

    def _fail(self, reason: str) -> None:
        self.damage = f"the gzip stream is damaged ({reason}); allowed is a whole one"


class RecordFile:
    """A BinaryFILE: a 2-byte big-endian length and so many bytes for each message; length 0 ends the session."""

    format = "binaryfile"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size, self._read = path.stat().st_size, 0
        with path.open("rb") as file:
            self._is_gzip = file.read(2) == GZIP_MAGIC

    def counters(self) -> dict[str, int]:
        """A record file has no frames."""
        return {}

    def flows(self) -> list[Flow]:
        """Nor flows."""
        return []

    def batches(self) -> Iterator[Batch]:
        """Read the file once. CheckFailed, after every whole message, when it is damaged or cut off."""
        with self.path.open("rb") as file:
            for batch in self._batches(Gunzip(file) if self._is_gzip else file):
                self._read = file.tell()
                yield batch

    def fraction(self) -> float:
        """How much of the file was read, 0 to 1."""
        return self._read / self._size if self._size else 1.0

    def _batches(self, file: BinaryIO | Gunzip) -> Iterator[Batch]:
        rest, base, seq, ended = b"", 0, 1, False
        while not ended:
            chunk = file.read(BATCH_BYTES)
            data = rest + chunk
            if seq == 1 and (data or not getattr(file, "damage", "")):
                self._check_first(data)
            used = 0
            while not ended:
                batch, taken, ended = self._cut(data, used, base, seq)
                used, seq = used + taken, seq + len(batch)
                if not len(batch):
                    break
                yield batch
            base, rest = base + used, data[used:]
            if not chunk:
                break
        if isinstance(file, Gunzip) and file.damage:
            raise CheckFailed(f"{self.path}: offset {base} of the decompressed data: {file.damage}")
        if rest or (ended and file.read(1)):
            raise CheckFailed(f"{self.path}: offset {base}: {self._leftover(rest, ended)}")

    def _cut(self, data: bytes, at: int, base: int, seq: int) -> tuple[Batch, int, bool]:
        messages = np.empty(BATCH_MESSAGES_MAX, MESSAGE)
        used, ended = ffi.new("uint32_t *"), ffi.new("bool *")
        view = memoryview(data)[at:]
        cnt = lib.hwgw_scan_records(
            ffi.from_buffer(view), len(view), seq,
            ffi.cast("struct hwgw_scan_message *", messages.ctypes.data), BATCH_MESSAGES_MAX, used, ended,
        )  # fmt: skip
        return Batch(np.frombuffer(view, np.uint8), messages[:cnt], base + at), used[0], ended[0]

    def _check_first(self, data: bytes) -> None:
        """A stream begins with a message we know; what does not is another kind of file."""
        length = int.from_bytes(data[:LENGTH_SZ], "big")
        kind = data[LENGTH_SZ : LENGTH_SZ + 1]
        allowed = "allowed is BinaryFILE (.itch50, also gzipped), pcap or pcapng"
        if not data:
            raise CheckFailed(f"{self.path}: offset 0: the file is empty; {allowed}")
        try:
            known = specs.load("itch50").message(kind.decode("latin-1")).length
        except KeyError:
            known = None
        if length != known:
            found = f"a record of {length} bytes that begins with {kind!r}"
            raise CheckFailed(f"{self.path}: offset 0: {found} is no ITCH 5.0 message; {allowed}")

    def _leftover(self, rest: bytes, ended: bool) -> str:
        if ended:
            return "more data behind the record of length 0 that ends the session; allowed is none"
        if len(rest) < LENGTH_SZ:
            return f"the file ends in the length of a record; allowed are {LENGTH_SZ} bytes"
        length = int.from_bytes(rest[:LENGTH_SZ], "big")
        return f"a record of {length} bytes of which {len(rest) - LENGTH_SZ} are there; allowed are whole records"


class Capture:
    """MoldUDP64 packets in a pcap or pcapng file; duplicates of a second line are left out."""

    format = "moldudp64 capture"

    def __init__(self, path: Path, groups: tuple[Flow, ...] = ()) -> None:
        self.path = path
        self._size = path.stat().st_size
        flows = ffi.new("struct hwgw_flow[]", max(1, len(groups)))
        for flow, wanted in zip(flows, groups, strict=False):
            flow.group, flow.port = int(ipaddress.IPv4Address(wanted.group)), wanted.port
        out = ffi.new("struct hwgw_scan **")
        call(lib.hwgw_scan_open, out, os.fsencode(path), flows, len(groups))
        self._scan: Any = ffi.gc(out[0], lib.hwgw_scan_close)

    def batches(self) -> Iterator[Batch]:
        """Read the file once. CheckFailed, after every whole frame, when it is damaged or has no MoldUDP64."""
        while True:
            data = np.empty(BATCH_BYTES, np.uint8)
            messages = np.empty(BATCH_MESSAGES_MAX, MESSAGE)
            cnt = lib.hwgw_scan_next(
                self._scan, ffi.cast("uint8_t *", data.ctypes.data), len(data),
                ffi.cast("struct hwgw_scan_message *", messages.ctypes.data), len(messages),
            )  # fmt: skip
            if not cnt:
                break
            yield Batch(data, messages[:cnt], None)
        counters = self.counters()
        if counters.get("rx.drop_file"):
            raise CheckFailed(f"{self.path}: {text(lib.hwgw_scan_describe(self._scan))}; allowed is a whole capture")
        if not counters.get("mold.frames"):
            dropped = ", ".join(f"{name} {cnt}" for name, cnt in counters.items() if ".drop_" in name) or "no frames"
            raise CheckFailed(f"{self.path}: no MoldUDP64 packet found ({dropped}); name its group with --group G:P")

    def fraction(self) -> float:
        """How much of the file was read, 0 to 1; about, from the frames and a header before each."""
        counters = self.counters()
        done = counters.get("rx.bytes", 0) + PCAP_HEADER_SZ * counters.get("rx.frames", 0)
        return min(1.0, done / self._size) if self._size else 1.0

    def counters(self) -> dict[str, int]:
        """The rx, net and mold counters so far that are not 0."""
        counts = ffi.new("uint64_t[]", int(lib.HWGW_COUNTER_CNT))
        lib.hwgw_scan_counters(self._scan, counts)
        return named_counters(counts)

    def flows(self) -> list[Flow]:
        """What brought messages so far."""
        flows = ffi.new("struct hwgw_flow[]", int(lib.HWGW_FLOWS_MAX))
        cnt = lib.hwgw_scan_flows(self._scan, flows, len(flows))
        return [Flow(str(ipaddress.IPv4Address(f.group)), f.port, f.channel, f.line) for f in flows[0:cnt]]


def named_counters(counts: Any) -> dict[str, int]:
    """A C counter block as `stage.name` -> count, without zeros."""
    return {f"{c.stage}.{c.name}": counts[c.index] for c in specs.counters() if counts[c.index]}


def open_source(path: Path, groups: tuple[Flow, ...] = ()) -> RecordFile | Capture:
    """Find out by its first bytes what a file is."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic in CAPTURE_MAGICS:
        return Capture(path, groups)
    if groups:
        raise UsageError(f"--group {groups[0]}: {path} is no capture; only pcap and pcapng have groups")
    return RecordFile(path)
