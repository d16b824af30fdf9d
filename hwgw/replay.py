"""A recording once more: its MoldUDP64 packets for one line or two, through a bad line if that is wished, and a player.

SPDX-License-Identifier: MIT

    recorded = hwgw.replay.recording("day.pcap")
    source, stats = hwgw.replay.lines(recorded, flows, targets=2, faults=(Faults(loss=0.01), Faults(seed=2)))
    with hwgw.send.Datagrams([("239.1.2.3", 26400), ("239.1.2.4", 26400)]) as out:
        report = hwgw.send.run(out, source, hwgw.send.Rate("recorded"))

Faults are laid over the schedule before the first frame leaves (cffi_build/src/bad_line.c): one seed gives one replay.
"""

from __future__ import annotations

import ipaddress
import os
import re
import select
import sys
import termios
import tty
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np
from numpy.typing import NDArray

from . import framed, specs
from .bad_line import Faults, stats_of
from .batch import FRAME
from .errors import CheckFailed, UsageError
from .feeds.source import CAPTURE_MAGICS, Flow
from .native import ffi, lib
from .send import Source, read

__all__ = ["Player", "degrade", "files", "is_capture", "lines", "recording", "terminal", "words"]

ROW = np.dtype([("due_ns", "u8"), ("at", "u8"), ("len", "u4"), ("from", "u4"), ("is_damaged", "?")], align=True)
assert ffi.sizeof("struct hwgw_bad_line_row") == ROW.itemsize  # noqa: S101 (the struct is C's)
SECOND_NS, DAY_NS = 1_000_000_000, 86_400 * 1_000_000_000
# keys that seek, as a terminal sends them (ECMA-48: CUF, CUB, CUU, CUD; DEC's Prev and Next), in ns of the recording
SEEKS = {
    "\x1b[C": SECOND_NS, "\x1b[D": -SECOND_NS, "\x1b[A": 60 * SECOND_NS, "\x1b[B": -60 * SECOND_NS,
    "\x1b[5~": 600 * SECOND_NS, "\x1b[6~": -600 * SECOND_NS,
}  # fmt: skip
KEYS = (
    "space pause  . one frame  q end  g HH:MM:SS Enter go to a time\n"
    "seek: <- -> 1 s  down up 1 minute  PgDn PgUp 10 minutes\n"
)
KEY = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|.", re.DOTALL)
TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])", re.ASCII)


def files(path: str | os.PathLike[str]) -> list[Path]:
    """A recording's files: itself, or those of a folder in the order of their names."""
    whole = Path(path)
    if not whole.is_dir():
        return [whole]
    found = sorted(each for each in whole.iterdir() if each.is_file() and not each.name.startswith("."))
    if not found:
        raise CheckFailed(f"{path}: there is no file in the folder")
    return found


def is_capture(path: Path) -> bool:
    """Whether a file is pcap or pcapng, by its first bytes; anything else is taken for a BinaryFILE."""
    try:
        with path.open("rb") as file:
            return file.read(4) in CAPTURE_MAGICS
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def recording(path: str | os.PathLike[str], flow: Flow = framed.FLOW) -> Source:
    """The frames of a recording: a capture, a BinaryFILE (as a feed to flow), or a folder of them, one after the other.

    CheckFailed when it is damaged, has none, or its times go back, at which frame.
    """
    parts: list[Source] = []
    number, found = 1, files(path)
    kinds = [is_capture(file) for file in found]
    if len(set(kinds)) > 1:
        raise CheckFailed(f"{path}: captures and BinaryFILEs, whose times are not of one kind; allowed is one of both")
    for file, is_recorded in zip(found, kinds, strict=True):
        source = _ordered(file, read(file) if is_recorded else framed.frames(file, flow, number))
        if parts and source.frames["ts_ns"][0] < parts[-1].frames["ts_ns"][-1]:
            raise CheckFailed(
                f"{file}: begins before the end of the file before it; allowed is an order of time by name"
            )
        number = 1 if is_recorded else framed.behind(source)
        parts.append(source)
    if len(parts) == 1:
        return parts[0]
    frames = np.concatenate([each.frames for each in parts])
    due = np.ascontiguousarray(frames["ts_ns"] - frames["ts_ns"][0])
    return Source(frames, [each.keep for each in parts], due, int(due[-1]))


def _ordered(path: Path, source: Source) -> Source:
    times = source.frames["ts_ns"]
    steps = np.flatnonzero(times[1:] < times[:-1])
    if len(steps):
        back = int(times[steps[0]]) - int(times[steps[0] + 1])
        raise CheckFailed(
            f"{path}: frame {int(steps[0]) + 2} is of an earlier time than the one before it, by {back} ns; allowed are"
            " frames in order of time"
        )
    return source


def _payloads(source: Source, flows: Sequence[Flow]) -> NDArray[np.void]:
    """What each frame brought to one of the flows, by C's own parser; flow is an index, else HWGW_FLOW_NONE."""
    native = ffi.new("struct hwgw_flow[]", max(1, len(flows)))
    for to, flow in zip(native, flows, strict=False):
        to.group, to.port = int(ipaddress.IPv4Address(flow.group)), flow.port
    found: NDArray[np.void] = np.zeros(len(source), FRAME)
    lib.hwgw_net_payloads(
        native, len(flows), ffi.from_buffer("struct hwgw_frame[]", source.frames), len(source),
        ffi.from_buffer("struct hwgw_frame[]", found, require_writable=True),
    )  # fmt: skip
    return found


def _through(
    packets: NDArray[np.void], due: NDArray[np.uint64], faults: Faults
) -> tuple[NDArray[np.void], NDArray[np.uint8], dict[str, int]]:
    """A schedule of packets through one line: what arrives, its bytes, and what the line did."""
    if len(packets) and int(packets["len"].max()) > lib.HWGW_BAD_LINE_PACKET_SZ:
        raise UsageError(
            f"--faults: a packet of {packets['len'].max()} bytes; at most {lib.HWGW_BAD_LINE_PACKET_SZ} are allowed"
        )
    cfg = ffi.new("struct hwgw_bad_line_cfg *")
    faults.fill(cfg)
    line = ffi.gc(lib.hwgw_bad_line_open(cfg), lib.hwgw_bad_line_close)
    if line == ffi.NULL:
        raise MemoryError("a line with faults")
    rows: NDArray[np.void] = np.zeros(2 * len(packets), ROW)
    data: NDArray[np.uint8] = np.empty(2 * int(packets["len"].sum(dtype=np.uint64)) + 1, np.uint8)
    packets, due = np.ascontiguousarray(packets), np.ascontiguousarray(due)
    cnt = lib.hwgw_bad_line_schedule(
        line, ffi.from_buffer("struct hwgw_frame[]", packets), ffi.from_buffer("uint64_t[]", due), len(packets),
        ffi.from_buffer("struct hwgw_bad_line_row[]", rows, require_writable=True),
        ffi.from_buffer("uint8_t[]", data, require_writable=True),
    )  # fmt: skip
    return rows[:cnt], data, stats_of(line)


def _faults_of(faults: Sequence[Faults], line: int) -> Faults:
    """Those of a line: one specification goes for all, each with a seed of its own."""
    if line < len(faults):
        return faults[line]
    return replace(faults[-1], seed=faults[-1].seed + line)


def _merged(parts: list[NDArray[np.void]], dues: list[NDArray[np.uint64]], keep: Any) -> Source:
    frames, due = np.concatenate(parts), np.concatenate(dues)
    order = np.argsort(due, kind="stable")
    if not len(order):
        raise CheckFailed("replay: no frame is left to send: every packet was lost")
    due = np.ascontiguousarray(due[order])
    return Source(np.ascontiguousarray(frames[order]), keep, due, int(due[-1]))


def _times(source: Source) -> NDArray[np.uint64]:
    if source.due_ns is None:
        raise UsageError("replay: a template has no recorded times")
    return source.due_ns


def lines(
    source: Source, flows: Sequence[Flow], targets: Sequence[int], faults: Sequence[Faults] = ()
) -> tuple[Source, list[dict[str, int]]]:
    """The packets of one line of a capture as UDP payloads for each of the targets (their numbers), and what was done.

    flows: those of the capture. UsageError when they are several channels, of which one has to be named.
    """
    channels = sorted({flow.channel for flow in flows})
    if len(channels) != 1:
        said = ", ".join(str(flow) for flow in flows)
        raise UsageError(f"the capture has {len(channels)} channels ({said}); name one with --group G:P")
    first = [min(flows, key=lambda flow: flow.line)]
    found, due = _payloads(source, first), _times(source)
    kept = found["flow"] != lib.HWGW_FLOW_NONE
    if not kept.any():
        raise CheckFailed(f"replay: no packet of {first[0]} in this part of the recording")
    packets, due = found[kept], due[kept] - due[kept][0]
    parts, dues, stats, keep = [], [], [], [source.keep]
    for target in targets:
        of_line = packets.copy()
        when = due
        if faults:
            rows, data, done = _through(packets, due, _faults_of(faults, target))
            of_line, when = packets[rows["from"]], np.ascontiguousarray(rows["due_ns"])
            of_line["data"], of_line["len"] = data.__array_interface__["data"][0] + rows["at"], rows["len"]
            keep.append(data)
            stats.append(done)
        of_line["flow"] = target
        parts.append(of_line)
        dues.append(when)
    return _merged(parts, dues, keep), stats


def degrade(source: Source, flows: Sequence[Flow], faults: Sequence[Faults]) -> tuple[Source, list[dict[str, int]]]:
    """The frames of a capture as they arrive through bad lines: those of line A, of line B; all others as they were."""
    found, due = _payloads(source, flows), _times(source)
    at = np.array([flow.line for flow in flows] or [0])
    other = found["flow"] == lib.HWGW_FLOW_NONE
    line = np.where(other, -1, at[np.minimum(found["flow"], len(at) - 1)])
    parts, dues, stats, keep = [source.frames[other]], [due[other]], [], [source.keep]
    start = int(source.frames["ts_ns"][0])
    for number in sorted(set(line[~other].tolist())):
        index = np.flatnonzero(line == number)
        rows, data, done = _through(found[index], due[index], _faults_of(faults, number))
        frames = source.frames[index][rows["from"]]
        for row in np.flatnonzero(rows["is_damaged"]):
            each = int(index[rows["from"][row]])
            made = _rebuilt(source.frames[each], found[each], data[int(rows["at"][row]) :][: int(rows["len"][row])])
            frames["data"][row], frames["len"][row] = made.__array_interface__["data"][0], len(made)
            keep.append(made)
        parts.append(frames)
        dues.append(np.ascontiguousarray(rows["due_ns"]))
        stats.append(done)
    merged = _merged(parts, dues, keep)
    merged.frames["ts_ns"] = start + _times(merged)
    return merged, stats


def _rebuilt(frame: np.void, payload: np.void, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame with another payload, its lengths and checksums right: what is damaged is what the packet says."""
    table = specs.load("ethernet")
    udp_sz, ip_sz = table.layout("udp_header").length, table.layout("ipv4_header").length
    head_sz = int(payload["data"]) - int(frame["data"])
    head = bytearray(ffi.buffer(ffi.cast("uint8_t *", int(frame["data"])), head_sz)[:])
    ends = head_sz - udp_sz
    ip = next(at for at in range(ends - ip_sz, 1, -4) if head[at] == 0x40 | (ends - at) // 4)
    head[head_sz - 4 : head_sz] = (udp_sz + len(data)).to_bytes(2, "big") + b"\0\0"
    head[ip + 2 : ip + 4] = (head_sz - ip + len(data)).to_bytes(2, "big")
    head[ip + 10 : ip + 12] = b"\0\0"
    words_ = np.frombuffer(bytes(head[ip : head_sz - udp_sz]), ">u2")
    total = int(words_.sum(dtype=np.uint64))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    head[ip + 10 : ip + 12] = (~total & 0xFFFF).to_bytes(2, "big")
    return np.concatenate([np.frombuffer(bytes(head), np.uint8), data])


def words(stats: Sequence[dict[str, int]]) -> list[str]:
    """What each line did, in words."""
    return [
        f"line {'AB'[number] if number < 2 else number}: "
        + ", ".join(f"{name} {cnt:,}" for name, cnt in each.items() if cnt)
        for number, each in enumerate(stats)
    ]


class Player:
    """Keys and a progress line on a terminal, for send.run(steer=); a context that gives the terminal back.

    Space pauses and goes on, . sends one frame and pauses, q ends. The arrows to the sides seek by a second of the
    recording, up and down by a minute, PgUp and PgDn by ten; g HH:MM:SS Enter goes to a time of its day: the first
    behind its beginning, of a capture in UTC, of a BinaryFILE as its messages have it.
    """

    def __init__(self, source: Source, speed: Fraction, keys: TextIO | None, screen: TextIO) -> None:
        """keys: a terminal to read from, None: the line alone."""
        self._due, self._speed = _times(source), speed
        self._begin_ns = int(source.frames["ts_ns"][0]) - self._recorded(0)
        self._keys, self._screen = keys, screen
        self._paused = False
        self._typed: str | None = None
        self._said = ""
        self._before: Any = None

    def __enter__(self) -> Self:
        if self._keys is not None:
            self._before = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
            self._say(KEYS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keys is not None:
            termios.tcsetattr(self._keys, termios.TCSADRAIN, self._before)
        self._say("\r\x1b[K")

    def _say(self, text: str) -> None:
        self._screen.write(text)
        self._screen.flush()

    def __call__(self, pace: Any, told: Any, is_over: bool) -> str:
        """What send.run is to do now: go, wait or end."""
        at = int(told.next)
        if is_over and at >= len(self._due):
            return "end"
        self._paused |= is_over
        for key in self._pressed():
            if key == "q":
                return "end"
            if key == " ":
                self._paused = not self._paused
                if not self._paused:
                    lib.hwgw_pace_go(pace, at, 0)
            elif key == ".":
                self._paused = True
                lib.hwgw_pace_go(pace, at, at + 1)
                self._line(at, told)
                return "go"
            elif (to := self._sought(key, at)) is not None:
                at = min(int(np.searchsorted(self._due, max(0, to))), len(self._due) - 1)
                lib.hwgw_pace_go(pace, at, 0)
        self._line(at, told)
        return "wait" if self._paused else "go"

    def _pressed(self) -> list[str]:
        """The keys since the last look, without those of a time that is being typed."""
        if self._keys is None or not select.select([self._keys], [], [], 0)[0]:
            return []
        found = []
        for key in KEY.findall(os.read(self._keys.fileno(), 1024).decode("ascii", "ignore")):
            self._said = ""
            if self._typed is None:
                self._typed = "" if key == "g" else None
                found += [key] * (key != "g")
            elif key in "\r\n":
                found.append("g" + self._typed)
                self._typed = None
            elif key in "\b\x7f":
                self._typed = self._typed[:-1]
            else:
                self._typed = self._typed + key if key in "0123456789:" else None  # any other key leaves it
        return found

    def _sought(self, key: str, at: int) -> int | None:
        """When a key that seeks goes to, as the schedule has it; None for any other, or a time that is not there."""
        here = self._recorded(min(at, len(self._due) - 1))
        if key in SEEKS:
            return int((here + SEEKS[key]) / self._speed)
        if key[0] != "g":
            return None
        match, last = TIME.fullmatch(key[1:]), self._recorded(len(self._due) - 1)
        if not match:
            self._said = f"{key[1:]}: HH:MM:SS is allowed"
            return None
        hours, minutes, seconds = map(int, match.groups())
        behind = ((hours * 3600 + minutes * 60 + seconds) * SECOND_NS - self._begin_ns) % DAY_NS
        if behind > last and DAY_NS - behind < SECOND_NS:
            behind = 0  # within the second that it begins in
        if behind > last:
            self._said = f"{key[1:]}: {self._clock(0)} to {self._clock(last)} are allowed"
            return None
        return int(behind // self._speed)

    def _recorded(self, at: int) -> int:
        """How far behind the beginning of the recording a frame is, in ns; the schedule is `speed` times as fast."""
        return int(int(self._due[at]) * self._speed)

    def _clock(self, behind_ns: int) -> str:
        seconds = (self._begin_ns + behind_ns) // SECOND_NS % 86_400
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"

    def _line(self, at: int, told: Any) -> None:
        last = len(self._due) - 1
        here, whole = (self._recorded(min(n, last)) for n in (at, last))
        state = "paused " if self._paused else ""
        if self._typed is not None or self._said:
            state = (self._said or f"go to {self._typed}_") + "  "
        late = f"late p99 {int(told.late_p99) / 1000:,.0f} us" if told.late_max else ""
        at_s, of_s = here / SECOND_NS, whole / SECOND_NS
        text = f"{state}{at_s:,.3f} of {of_s:,.3f} s, frame {at:,} of {last + 1:,}  {self._clock(here)}  {late}"
        width = os.get_terminal_size(self._screen.fileno()).columns
        self._say("\r\x1b[K" + (text[: width - 1] if width else text))


def terminal() -> tuple[TextIO | None, TextIO] | None:
    """Where keys and the progress line go; None when there is no terminal."""
    if not sys.stderr.isatty():
        return None
    return sys.stdin if sys.stdin.isatty() else None, sys.stderr
