"""What journal.frames costs: a pipeline that keeps datagrams beside one whose journal has only what its gate was told.

SPDX-License-Identifier: MIT

Both are those of bench_pipeline, each with its own venue and journal, and get the same frames in turns; a third one has
no journal. paced and packed are as there; the ring is empty at the begin of each part, so that no figure but the last
waits for the disk. durable: until every record of what was packed is on disk ($TMPDIR), as fast as the ring has room.
instructions: those of a frame alone, without a strategy, by callgrind (frames_count.c).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cffi
import numpy as np

from hwgw.native import call, ffi, lib
from hwgw.segment import Segment
from hwgw.settings import Journal

from .bench_pipeline import (
    EVERY_FLOOD,
    EVERY_PACED,
    GAP_US,
    GROUP,
    PACKED,
    PERCENTILES,
    PORT,
    Chunk,
    Frames,
    Native,
    Ours,
    Samples,
    ns,
    parts,
    two_cores,
)
from .harness import ROOT, Options, Result, Unavailable, compile_shared, result

BASELINE = "a journal without frames"
KINDS = ("none", "records", "frames")
SYMBOLS, LIVE = 8, 4_000
PART_FRAMES = 5_000  # of a part that has to fit the ring
RING_BYTES = 2**24
COUNTED = [(kind, per) for per in (1, PACKED) for kind in ("records", "frames")]  # what callgrind watches
CALLGRIND = Path("/usr/include/valgrind/callgrind.h")


class Kept:
    """One contestant and the folder of its journal."""

    def __init__(self, native: Native, stack: ExitStack, kind: str, folder: Path, live_max: int) -> None:
        self.folder = folder / kind
        self.folder.mkdir()
        journal = Journal(str(self.folder), ring_bytes=RING_BYTES, frames=kind == "frames")
        self.ours = Ours(native, stack, SYMBOLS, live_max, None if kind == "none" else journal)
        self.ring = lib.hwgw_segment_journal(self.ours.segment.pointer, 0)

    def settle(self) -> None:
        """Until everything put is on disk."""
        end = time.monotonic() + 30
        while self.ring != ffi.NULL and self.ring.durable != self.ring.head:
            if self.ring.error or time.monotonic() > end:
                raise RuntimeError(f"the writer stands: error {self.ring.error}")
            time.sleep(0.0002)

    def run(self, chunk: Chunk, every: int, gap: int, samples: Samples) -> float:
        """Seconds that its parts took, the disk left out."""
        seconds = 0.0
        for part in smaller(chunk):
            seconds += self.ours.run(part, every, gap, samples).seconds
            self.settle()
        return seconds

    def durable(self, chunk: Chunk, samples: Samples) -> float:
        """Seconds until everything is on disk; a part goes in when the ring has room for it."""
        begin = time.perf_counter()
        for part in smaller(chunk):
            while self.ring != ffi.NULL and self.ring.head - self.ring.written > RING_BYTES // 2:
                time.sleep(0.0001)
            self.ours.run(part, 0, 0, samples)
        self.settle()
        return time.perf_counter() - begin

    def put_bytes(self) -> int:
        """What went through the ring so far."""
        return int(self.ring.head) if self.ring != ffi.NULL else 0


def smaller(chunk: Chunk) -> list[Chunk]:
    """The chunk in pieces that the ring has room for."""
    found: list[Chunk] = []
    for data, lens in parts(chunk):
        at = 0
        for from_idx in range(0, len(lens), PART_FRAMES):
            part = lens[from_idx : from_idx + PART_FRAMES]
            size = int(part.sum())
            found.append((memoryview(data)[at : at + size], part))
            at += size
    return found


def instructions(folder: Path, warm_cnt: int, cnt: int) -> dict[tuple[str, int], float]:
    """Executed instructions of a frame by kind and messages in it, of cnt messages behind warm_cnt.

    Empty without valgrind.
    """
    valgrind = shutil.which("valgrind")
    if not valgrind or not CALLGRIND.exists():
        return {}
    shared, out = compile_shared(Path(__file__).with_name("frames_count.c"), folder), folder / "callgrind.out"
    watch = [valgrind, "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    command = [*watch, sys.executable, "-m", "tests.bench.bench_frames", str(shared), str(warm_cnt), str(cnt)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = {}
    for number, (kind, per) in enumerate(COUNTED, 1):
        totals = re.search(r"^totals: (\d+)", out.with_name(f"{out.name}.{number}").read_text(), re.MULTILINE)
        assert totals, "callgrind wrote no sum"
        found[kind, per] = int(totals[1]) * per / cnt
    return found


def alone(shared: str, warm_cnt: int, cnt: int) -> None:
    """For callgrind: frames into pipelines without strategy, session and writer, one for each of COUNTED."""
    interface = cffi.FFI()
    interface.cdef("void count_frames(void *, void *, const uint8_t *, const uint32_t *, uint32_t);")
    counting: Any = interface.dlopen(shared)
    give = ffi.addressof(lib, "hwgw_pipeline_frames")
    for kind, per in COUNTED:
        with ExitStack() as stack:
            frames = Frames(1, SYMBOLS, LIVE)
            stack.callback(frames.close)
            segment, pipeline = _pipeline(stack, kind)
            for is_counted, messages in ((False, warm_cnt), (True, cnt)):
                data, lens = frames.packed(messages, per)
                both = ffi.from_buffer("uint8_t[]", data), ffi.from_buffer("uint32_t[]", lens)
                if is_counted:
                    void = [interface.cast("void *", int(ffi.cast("uintptr_t", each))) for each in (give, pipeline)]
                    theirs = interface.from_buffer("uint8_t[]", data), interface.from_buffer("uint32_t[]", lens)
                    counting.count_frames(*void, *theirs, len(lens))
                else:
                    lib.hwgw_pipeline_frames(pipeline, *both, len(lens))
            applied = segment.counters()["itch.messages"]
            records = int(lib.hwgw_segment_journal(segment.pointer, 0).records)
            if applied != warm_cnt + cnt or (records >= applied // per) != (kind == "frames"):
                raise RuntimeError(f"{kind}: {applied} messages and {records} records of {warm_cnt + cnt} messages")


def _pipeline(stack: ExitStack, kind: str) -> tuple[Segment, Any]:
    """One that takes frames and has a ring that nobody empties."""
    symbols = [f"S{i:07d}" for i in range(1, SYMBOLS + 1)]
    segment = stack.enter_context(Segment.create(f"bench-count-{os.getpid()}", symbols, journal_sz_bytes=2**26))
    group = int.from_bytes(bytes(map(int, GROUP.split("."))), "big")
    flows = ffi.new("struct hwgw_flow[]", [{"group": group, "port": PORT}])
    cfg = ffi.new("struct hwgw_pipeline_cfg *")
    cfg.segment, cfg.cpu, cfg.sample_shift = segment.pointer, -1, 4
    cfg.rx.flows, cfg.rx.flow_cnt = flows, 1
    cfg.books.instrument_cnt, cfg.books.orders_max = SYMBOLS, 2 * LIVE + 1_000
    cfg.channel_cnt, cfg.channel[0].line_cnt, cfg.channel[0].stale_ns = 1, 1, 600 * 10**9
    cfg.journal_frames = kind == "frames"
    out = ffi.new("struct hwgw_pipeline **")
    call(lib.hwgw_pipeline_open, out, cfg)
    stack.callback(lib.hwgw_pipeline_close, out[0])
    return segment, out[0]


class Figures:
    """By kind and name, a value per run."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = {}

    def note(self, kind: str, name: str, value: float) -> None:
        """One more run."""
        self._values.setdefault((kind, name), []).append(value)

    def result(self, name: str, unit: str) -> Result:
        """With frames, against the same journal without."""
        ours, theirs = self._values["frames", name], self._values["records", name]
        return result(f"frames_{name}", unit, ours, BASELINE, theirs)

    def plain(self, name: str) -> float:
        """The median without a journal."""
        return float(np.median(self._values["none", name]))


def _turns(options: Options, native: Native, folder: Path, figures: Figures) -> None:
    live_max, paced_cnt, flood_cnt = options.size(LIVE, 500), options.size(100_000, 4_000), options.size(400_000, 4_000)
    with ExitStack() as stack:
        settle = stack.enter_context(two_cores())
        kept = [(kind, Kept(native, stack, kind, folder, live_max)) for kind in KINDS]
        settle()
        frames = Frames(options.seed, SYMBOLS, live_max)
        stack.callback(frames.close)
        samples = Samples(native, flood_cnt)
        gap = int(GAP_US * lib.hwgw_ticks_hz() / 1e6)

        def each(chunk: Chunk, do: Callable[[str, Kept], None]) -> None:
            for kind, one in kept:
                do(kind, one)
                samples.take()
            kept.append(kept.pop(0))

        warm = frames.next(2 * live_max + 1_000)
        each(warm, lambda _, one: one.run(warm, 0, 0, samples) and None)
        for _ in range(options.runs()):
            _paced(frames.next(paced_cnt), each, gap, samples, figures)
            _flooded("msgs", frames.next(flood_cnt), flood_cnt, each, samples, figures)
            _flooded("packed", frames.packed(flood_cnt, PACKED), flood_cnt, each, samples, figures)
        _compare(options, native, dict(kept))


def _paced(chunk: Chunk, each: Any, gap: int, samples: Samples, figures: Figures) -> None:
    def do(kind: str, one: Kept) -> None:
        before = one.put_bytes()
        one.run(chunk, EVERY_PACED, gap, samples)
        _, entry = samples.take()
        for label, pct in PERCENTILES.items():
            figures.note(kind, f"tick_to_order_ns_{label}", ns(float(np.percentile(entry, pct, method="inverted_cdf"))))
        figures.note(kind, "tick_to_order_ns_max", ns(float(entry.max())))
        figures.note(kind, "ring_bytes_per_frame", (one.put_bytes() - before) / len(chunk[1]))

    each(chunk, do)


def _flooded(figure: str, chunk: Chunk, cnt: int, each: Any, samples: Samples, figures: Figures) -> None:
    half = len(chunk[1]) // 2
    size = int(chunk[1][:half].sum())
    first, second = (chunk[0][:size], chunk[1][:half]), (chunk[0][size:], chunk[1][half:])

    def do(kind: str, one: Kept) -> None:
        figures.note(kind, f"{figure}_per_s", cnt / 2 / one.run(first, EVERY_FLOOD, 0, samples))
        if figure == "packed":
            figures.note(kind, "durable_packed_msgs_per_s", cnt / 2 / one.durable(second, samples))
        else:
            one.run(second, EVERY_FLOOD, 0, samples)

    each(chunk, do)


def _compare(options: Options, native: Native, kept: dict[str, Kept]) -> None:
    """All did the same work, and what should be is on disk."""
    counters = {kind: one.ours.check() for kind, one in kept.items()}
    hashes = {native.driver.venue_hash(one.ours.venue) for one in kept.values()}
    if len(hashes) != 1 or len({row["itch.messages"] for row in counters.values()}) != 1:
        raise RuntimeError(f"the pipelines did different work: orders {hashes}")
    row = counters["frames"]
    records = {kind: int(one.ring.written_records) for kind, one in kept.items() if one.ring != ffi.NULL}
    if records["frames"] < records["records"] + row["mold.frames"]:
        raise RuntimeError(f"{records} records of {row['mold.frames']} frames")
    options.say(
        f"{row['itch.messages']} messages in {row['mold.frames']} frames, {row['order.encoded']} orders, the same from"
        f" all three (hash {hashes.pop():016x}); records on disk: {records}"
    )


def _counted(options: Options, folder: Path) -> list[Result]:
    warm_cnt, cnt = options.size(2 * LIVE, 160), options.size(16_000, 160)
    found = instructions(folder, warm_cnt, cnt)
    if not found:
        options.leave_out("frames_*_instructions", "valgrind and its header are not installed")
        return []
    options.say(f"callgrind over {cnt} messages, {PACKED} or one to a frame")
    names = {1: "frames_instructions", PACKED: "frames_packed_instructions"}
    return [
        result(name, "1/frame", [found["frames", per]], BASELINE, [found["records", per]])
        for per, name in names.items()
    ]


def run(options: Options) -> list[Result]:
    """See the head of this file."""
    if len(os.sched_getaffinity(0)) < 2:
        raise Unavailable("one core: the venue and the pipeline need one each")
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="hwgw-bench-") as folder:
        _turns(options, Native(Path(folder)), Path(folder), figures)
        size = {kind: sum(file.stat().st_size for file in Path(folder, kind).iterdir()) for kind in KINDS}
        options.say(f"journals on disk: {size['frames']:,} bytes with frames, {size['records']:,} without")
        assert size["none"] == 0 < size["records"] < size["frames"]
        counted = _counted(options, Path(folder))
    options.say(
        f"without a journal: p50 {figures.plain('tick_to_order_ns_p50'):.0f} ns,"
        f" p99 {figures.plain('tick_to_order_ns_p99'):.0f} ns, {figures.plain('packed_per_s'):,.0f} packed messages/s"
    )
    names = [*(f"tick_to_order_ns_{label}" for label in (*PERCENTILES, "max")), "ring_bytes_per_frame"]
    out = [figures.result(name, "bytes" if name.startswith("ring") else "ns") for name in names]
    out += [figures.result(name, "1/s") for name in ("msgs_per_s", "packed_per_s", "durable_packed_msgs_per_s")]
    return out + counted


if __name__ == "__main__":
    alone(sys.argv[1], *map(int, sys.argv[2:]))  # under valgrind
