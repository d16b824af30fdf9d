"""Write received frames to pcapng files: nanosecond times, drop counts, rotation without a gap.

SPDX-License-Identifier: MIT

    with hwgw.rx.open("afxdp", interface="eth1", groups=["239.1.2.3:26400"]) as rx:
        rx.recv_into_pcapng("feed.pcapng", seconds=10)

C formats the frames into buffers; a thread writes them, so that the ring is given back before the disk is asked. When
the disk is slower than the wire for longer than the buffers last, the receiver waits, the ring fills, and what it
loses is counted there. Every file ends with an interface statistics block of its own: frames in the file (delivered),
frames lost since the file before (osdrop, and ifdrop for those that the interface missed), and their sum
(filteraccept; also ifrecv when there was no filter).
"""

from __future__ import annotations

import logging
import os
import platform
import queue
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import __version__
from .errors import DeviceError, HwgwError, PrivilegeError, UsageError
from .native import ffi, lib

if TYPE_CHECKING:
    from .rx import Batch, Receiver

__all__ = ["Capture", "PcapngWriter", "record"]

log = logging.getLogger(__name__)

BUFFER_BYTES = 1 << 20
BUFFERS = 32
STATISTICS_BYTES = 256
ROTATE_BYTES_MIN = 64 << 10
LINGER_S = 0.5
"""The longest time a frame waits in a buffer."""
QUIET_S = 0.02
DRAIN_S = 0.25
"""At the end: until nothing has come for QUIET_S, at most DRAIN_S."""
RECV_FRAMES = 4096
UNSTEERED = ("dpdk", "pcap")
"""Backends whose frames may be of no group, although groups were named."""


@dataclass(slots=True)
class _Part:
    """Work for the writing thread: bytes of a buffer, or the end of a file."""

    buffer: Any = None
    used: int = 0
    frames: int = 0
    open_path: Path | None = None
    close: bool = False


class PcapngWriter:
    """Writes batches to a pcapng file, or to numbered files when it rotates.

    path: the file; "-" is stdout. rotate_bytes, rotate_s: begin the next file before one grows larger or gets older;
    names are then NAME.00001.EXT and so on, and with files_max only the newest are kept. interface, description,
    filter: what the file says of the interface. A frame lies in exactly one file. Used by one thread.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        interface: str = "",
        description: str = "",
        filter: str = "",  # noqa: A002 (what pcapng calls it)
        rotate_bytes: int = 0,
        rotate_s: float = 0,
        files_max: int = 0,
        with_queue: bool = False,
    ) -> None:
        self.path = Path(path)
        self.rotates = bool(rotate_bytes or rotate_s)
        if rotate_bytes and rotate_bytes < ROTATE_BYTES_MIN:
            raise UsageError(f"capture: rotate_bytes {rotate_bytes}: allowed are 0 and {ROTATE_BYTES_MIN} or more")
        if rotate_s < 0 or files_max < 0 or (files_max and not self.rotates):
            raise UsageError("capture: files_max needs rotate_bytes or rotate_s, and none may be negative")
        if self.rotates and str(path) == "-":
            raise UsageError("capture: stdout cannot rotate")
        self._rotate_bytes, self._rotate_ns, self._files_max = rotate_bytes, int(rotate_s * 1e9), files_max
        self._about = [_c(word) for word in (platform.machine(), platform.platform(), f"hwgw {__version__}")]
        self._interface = [_c(word) for word in (interface, description, filter)]
        self._unfiltered = not filter
        self._with_queue = with_queue
        self._clock = ffi.new("struct hwgw_pcapng_clock *")
        self._done = ffi.new("uint32_t *")
        self._drops: Callable[[], Mapping[str, int]] = dict
        self._dropped = (0, 0)

        self.frames = 0
        """Frames that were taken; those on disk are frames_written."""
        self.frames_written = 0
        self.foreign = 0
        """Frames of no group, left out by record()."""
        self.bytes_written = 0
        self.file_cnt = 0
        self.files: deque[Path] = deque()
        self.error: HwgwError | None = None
        self._closed = False

        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(BUFFERS):
            self._free.put(np.empty(BUFFER_BYTES, np.uint8))
        self._work: queue.SimpleQueue[_Part | None] = queue.SimpleQueue()
        self._fd = -1
        self._thread = threading.Thread(target=self._write_all, name="hwgw-capture", daemon=True)
        self._open_first()
        self._thread.start()
        self._begin_file()

    # ---- the thread that receives: formatting ----

    def count_drops(self, stats: Callable[[], Mapping[str, int]]) -> None:
        """Where the drop counts of the statistics blocks come from: Receiver.stats."""
        self._drops = stats
        self._dropped = self._drops_now()

    def _drops_now(self) -> tuple[int, int]:
        try:
            stats = self._drops()
        except UsageError:  # the receiver is closed: what it said last
            return self._dropped
        drops = {name: cnt for name, cnt in stats.items() if name.startswith("rx_drop_")}
        nic = drops.pop("rx_drop_nic", 0)
        return nic, sum(drops.values())

    def _name(self, number: int) -> Path:
        if not self.rotates:
            return self.path
        return self.path.with_name(f"{self.path.stem}.{number:05d}{self.path.suffix}")

    def _begin_file(self) -> None:
        self.file_cnt += 1
        self._file_frames = self._file_bytes = 0
        self._file_start_ns = time.time_ns()
        self._take_buffer()
        self._format(lib.hwgw_pcapng_section, *self._about)
        self._format(lib.hwgw_pcapng_interface, *self._interface)

    def _end_file(self) -> None:
        nic, kernel = self._drops_now()
        counts = {
            "start_ns": self._file_start_ns,
            "end_ns": time.time_ns(),
            "interface_drops": nic - self._dropped[0],
            "os_drops": kernel - self._dropped[1],
            "delivered": self._file_frames,
            "unfiltered": self._unfiltered,
        }
        self._dropped = (nic, kernel)
        if BUFFER_BYTES - self._used < STATISTICS_BYTES:
            self._ship()
            self._take_buffer()
        self._format(lib.hwgw_pcapng_statistics, 0, ffi.new("struct hwgw_pcapng_counts *", counts))
        self._ship()
        self._work.put(_Part(close=True))

    def _take_buffer(self) -> None:
        while True:
            if self.error:
                raise self.error
            try:
                self._buffer = self._free.get(timeout=LINGER_S)
                break
            except queue.Empty:
                continue  # the disk is behind: frames wait in the ring
        self._c_buffer = ffi.from_buffer("uint8_t[]", self._buffer, require_writable=True)
        self._used = self._buffer_frames = 0
        self._buffer_since = time.monotonic()

    def _format(self, function: Callable[..., int], *args: Any) -> None:
        written = int(function(self._c_buffer + self._used, BUFFER_BYTES - self._used, *args))
        self._used += written
        self._file_bytes += written

    def _ship(self) -> None:
        self._work.put(_Part(buffer=self._buffer, used=self._used, frames=self._buffer_frames))
        self._buffer = None

    def write(self, batch: Batch, chosen: NDArray[np.bool_] | None = None) -> int:
        """Format a batch, or the chosen of its frames; it can be released afterwards. Returns how many frames.

        Raises what the disk said.
        """
        if self._closed:
            raise UsageError(f"capture: {self.path}: the writer is closed")
        if self.error:
            raise self.error
        shown = batch.frames if chosen is None else batch.frames[chosen]
        cnt = len(shown)
        if cnt and int(shown["flow"].min()) != lib.HWGW_FLOW_NONE:
            raise UsageError("capture: the udp backend gives payloads, not frames; use afxdp, packet or dpdk")
        frames, done, alone = ffi.from_buffer("struct hwgw_frame[]", shown), 0, False
        while done < cnt:
            room = BUFFER_BYTES - self._used
            file_room = self._rotate_bytes - STATISTICS_BYTES - self._file_bytes if self._rotate_bytes else room
            limit, most = (room, 1) if alone else (max(min(room, file_room), 0), cnt - done)
            target = self._c_buffer + self._used
            used = lib.hwgw_pcapng_packets(
                target,
                limit,
                0,
                frames + done,
                most,
                self._with_queue,
                self._clock,
                self._done,
            )
            fitted = int(self._done[0])
            self._used += int(used)
            self._file_bytes += int(used)
            self._file_frames += fitted
            self._buffer_frames += fitted
            self.frames += fitted
            done += fitted
            if done == cnt:
                break
            if file_room < room and (self._file_frames or fitted):
                self.rotate()
                alone = False
            else:
                alone = file_room < room  # larger than a file may be: it gets one of its own
                self._ship()
                self._take_buffer()
        return cnt

    def rotate(self) -> None:
        """End this file and begin the next."""
        self._end_file()
        self._work.put(_Part(open_path=self._name(self.file_cnt + 1)))
        self._begin_file()

    def tick(self) -> None:
        """Give the disk what has waited for half a second, and rotate by time; call it now and then."""
        if self.error:
            raise self.error
        if self._rotate_ns and time.time_ns() - self._file_start_ns >= self._rotate_ns:
            self.rotate()
        elif self._used and time.monotonic() - self._buffer_since > LINGER_S:
            self._ship()
            self._take_buffer()

    def close(self) -> None:
        """End the file with its statistics and wait until all is written; a second call does nothing.

        Ctrl-C ends the wait for a disk that hangs: the file is then not complete.
        """
        if self._closed:
            return
        self._closed, waits = True, True
        try:
            if not self.error:
                self._end_file()
        except KeyboardInterrupt:
            waits = False
            raise
        finally:
            self._work.put(None)
            if waits:
                self._thread.join()
        if self.error:
            raise self.error

    def __enter__(self) -> PcapngWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if value is None:
            self.close()
            return
        if isinstance(value, KeyboardInterrupt) and self._free.empty():  # it was the disk that was waited for
            self._closed = True
            self._work.put(None)
            return
        try:
            self.close()
        except HwgwError as error:
            if error is not value:
                log.error("%s", error)

    # ---- the thread that writes ----

    def _open_first(self) -> None:
        if str(self.path) == "-":
            self._fd = os.dup(1)
            self._path = self.path
        else:
            self._open(self._name(1))
        self._offset = 0

    def _open(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            kind = PrivilegeError if isinstance(error, PermissionError) else DeviceError
            raise kind(f"capture: {path}: {error.strerror}") from None
        self._path, self._offset = path, 0
        self.files.append(path)
        while self._files_max and len(self.files) > self._files_max:
            self.files.popleft().unlink(missing_ok=True)

    def _write_all(self) -> None:
        while (part := self._work.get()) is not None:
            if self.error is None:
                try:
                    self._do(part)
                except OSError as error:
                    self._fail(f"capture: {self._path}: {error.strerror}; what was written before is complete")
                except HwgwError as error:
                    self.error = error
            if part.buffer is not None:
                self._free.put(part.buffer)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _fail(self, message: str) -> None:
        self.error = DeviceError(message)

    def _do(self, part: _Part) -> None:
        if part.open_path is not None:
            self._open(part.open_path)
        elif part.close:
            os.close(self._fd)
            self._fd = -1
        else:
            data, at = memoryview(part.buffer)[: part.used], 0
            try:
                while at < part.used:
                    at += os.write(self._fd, data[at:])
            except OSError:
                self._keep_whole(part, at)
                raise
            self._offset += part.used
            self.bytes_written += part.used
            self.frames_written += part.frames

    def _keep_whole(self, part: _Part, at: int) -> None:
        """Cut off the block that was only written in part."""
        frames = ffi.new("uint64_t *")
        whole = int(lib.hwgw_pcapng_whole(ffi.from_buffer("uint8_t[]", part.buffer), at, frames))
        self.frames_written += int(frames[0])
        self.bytes_written += whole
        if stat.S_ISREG(os.fstat(self._fd).st_mode):  # the reader of a pipe sees the cut
            os.ftruncate(self._fd, self._offset + whole)


def _c(word: str) -> Any:
    return ffi.new("char[]", word.encode())


@dataclass(frozen=True, slots=True)
class Capture:
    """How a capture stands."""

    frames: int
    frames_written: int
    bytes_written: int
    files: int


def record(
    receiver: Receiver,
    target: str | os.PathLike[str] | PcapngWriter,
    count: int | None = None,
    seconds: float | None = None,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[Capture], None] | None = None,
) -> int:
    """Write what a receiver gets until count frames, seconds, stop() or the end; see Receiver.recv_into_pcapng.

    After stop() and seconds what had come before is still taken from the ring. progress is called several times a
    second. A writer that is given stays open.
    """
    if isinstance(target, PcapngWriter):
        return _record(receiver, target, count, seconds, stop, progress)
    with PcapngWriter(target, description=receiver.describe, filter=" or ".join(receiver.filters)) as writer:
        return _record(receiver, writer, count, seconds, stop, progress)


def _record(
    receiver: Receiver,
    writer: PcapngWriter,
    count: int | None,
    seconds: float | None,
    stop: Callable[[], bool],
    progress: Callable[[Capture], None] | None,
) -> int:
    writer.count_drops(receiver.stats)
    is_mixed = receiver.backend in UNSTEERED and bool(receiver.filters)
    first = writer.frames
    end = time.monotonic() + seconds if seconds is not None else float("inf")
    ticked, draining = time.monotonic(), False
    while True:
        left = RECV_FRAMES if count is None else min(count - (writer.frames - first), RECV_FRAMES)
        if left <= 0:
            break
        with receiver.recv(left, timeout=QUIET_S if draining else 0.05) as batch:
            got = len(batch)
            if is_mixed and got:
                ours = batch.payloads["drop"] == 0
                writer.foreign += got - writer.write(batch, ours)
            else:
                writer.write(batch)
        now = time.monotonic()
        if (draining and (not got or now > end)) or (not got and receiver.ended):
            break
        if not draining and (now >= end or stop()):
            draining, end = True, now + DRAIN_S
        if now - ticked > 0.1:
            ticked = now
            writer.tick()
            if progress:
                progress(Capture(writer.frames, writer.frames_written, writer.bytes_written, writer.file_cnt))
    return writer.frames - first
