"""Captures: pcap by the book, and what an independent program reads in one: scapy the frames, a walk the statistics.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from scapy.utils import PcapNgReader, RawPcapNgReader

# draft-ietf-opsawg-pcapng: block types and the codes of the options that are looked at
STATISTICS = 5
NAMES = {4: "ifrecv", 5: "ifdrop", 6: "filteraccept", 7: "osdrop", 8: "usrdeliv"}


@dataclass
class File:
    """A capture file: its frames with their times in ns, and its statistics blocks by option name."""

    frames: list[tuple[int, bytes]] = field(default_factory=list)
    queues: list[int | None] = field(default_factory=list)
    statistics: list[dict[str, int]] = field(default_factory=list)


def pcap(path: Path, frames: list[tuple[int, bytes]]) -> Path:
    """A pcap file with nanoseconds (draft-ietf-opsawg-pcap, section 4 and 5)."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)]
    for ns, data in frames:
        out.append(struct.pack("<IIII", ns // 10**9, ns % 10**9, len(data), len(data)) + data)
    path.write_bytes(b"".join(out))
    return path


def read(path: Path) -> File:
    """The frames as scapy reads them, the other blocks by the draft."""
    found = File()
    with RawPcapNgReader(str(path)) as reader:
        for data, meta in reader:
            assert meta.tsresol == 10**9
            found.frames.append(((meta.tshigh << 32) + meta.tslow, data))
    raw, at, last = path.read_bytes(), 0, 0
    while at < len(raw):
        kind, size = struct.unpack_from("<II", raw, at)
        assert size % 4 == 0
        assert raw[at + size - 4 : at + size] == raw[at + 4 : at + 8], f"lengths of the block at {at} differ"
        if kind == 6:
            captured = struct.unpack_from("<I", raw, at + 20)[0]
            options = _options(raw[at + 28 + (captured + 3) // 4 * 4 : at + size - 4])
            found.queues.append(struct.unpack("<I", options[6])[0] if 6 in options else None)
        if kind == STATISTICS:
            options = _options(raw[at + 20 : at + size - 4])
            numbers = {name: struct.unpack("<Q", options[code])[0] for code, name in NAMES.items() if code in options}
            for code, name in ((2, "start"), (3, "end")):
                high, low = struct.unpack("<II", options[code])
                numbers[name] = (high << 32) + low
            found.statistics.append(numbers)
        at, last = at + size, kind
    assert at == len(raw), "the last block is cut off"
    assert last == STATISTICS, "the file does not end with its statistics"
    return found


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        code, size = struct.unpack_from("<HH", data, at)
        if code == 0:
            break
        found[code] = data[at + 4 : at + 4 + size]
        at += 4 + (size + 3) // 4 * 4
    return found


def frames_of(path: Path) -> list[bytes]:
    """The frames alone, also of a file without statistics at its end."""
    with PcapNgReader(str(path)) as reader:
        return [bytes(packet) for packet in reader]


def wireshark(program: str, *args: str | Path) -> str:
    """What tshark or capinfos says; a warning on stderr is a failure."""
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True, timeout=60, check=False)
    said = [line for line in done.stderr.splitlines() if "Running as user" not in line and line]
    assert (done.returncode, said) == (0, []), f"{program}: {done.stderr}"
    return done.stdout


def missing() -> str:
    """Which program of Wireshark is not there, or nothing."""
    lacks = [program for program in ("tshark", "capinfos") if shutil.which(program) is None]
    return f"{' and '.join(lacks)} of Wireshark (Debian package tshark)" if lacks else ""
