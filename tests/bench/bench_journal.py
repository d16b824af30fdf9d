"""The journal: what a record costs an order on its way, and how many records a second get to disk.

SPDX-License-Identifier: MIT

The baseline of the rate writes the same bytes from one buffer, without rings, checksums or hashes, and syncs once at
the end; the folder is that of temporary files ($TMPDIR), on whatever disk that is.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from hwgw import journal as files
from hwgw.journal.writer import Writer
from hwgw.native import ffi, lib
from hwgw.segment import Segment
from hwgw.settings import Journal

from .harness import Options, Result, by_turns, compile_shared, result

RECORD_BYTES = 96
GAP_NS = 1_000
RING_BYTES = 2**24


def pointer(value: Any) -> ctypes.c_void_p:
    """A C pointer of cffi for ctypes."""
    return ctypes.c_void_p(int(ffi.cast("uintptr_t", value)))


class Desk:
    """A segment, its writer, and the side that puts."""

    def __init__(self, folder: Path, sync: str) -> None:
        self.name = f"bench-journal-{os.getpid()}"
        self.folder = folder
        self.segment = Segment.create(self.name, ["AAPL"], journal_sz_bytes=RING_BYTES)
        self.writer = Writer(self.segment, Journal(str(folder), sync=sync, ring_bytes=RING_BYTES), self.name)
        self.side = lib.hwgw_journal_open(self.segment.pointer, 0)

    def close(self, want: int) -> None:
        """Everything is on disk, or it was no measurement."""
        status = self.writer.close()
        lib.hwgw_journal_close(self.side)
        written = int(lib.hwgw_segment_journal(self.segment.pointer, 0).durable) // RECORD_BYTES
        self.segment.close()
        found = files.files_of(self.folder, self.name)
        size = sum(file.stat().st_size for file in found)
        for file in found:
            file.unlink()
        if status != 0 or written < want or size < want * RECORD_BYTES:
            raise AssertionError(f"the writer ended with {status}, {written} of {want} records and {size} bytes")


def run(options: Options) -> list[Result]:
    """journal_ns_p50, journal_ns_p99 and journal_records_per_s."""
    put_cnt, flood_cnt = options.size(200_000, 2_000), options.size(3_000_000, 20_000)
    ns = 1e9 / lib.hwgw_ticks_hz()
    put = pointer(ffi.addressof(lib, "hwgw_journal_put"))
    ticks = np.zeros(put_cnt, np.uint64)
    with tempfile.TemporaryDirectory() as built:
        bench = ctypes.CDLL(str(compile_shared(Path(__file__).with_name("journal_bench.c"), Path(built))))
    bench.bench_journal.restype = bench.bench_journal_flood.restype = ctypes.c_uint64
    nothing = ctypes.cast(bench.bench_journal_nothing, ctypes.c_void_p)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def paced(timed: ctypes.c_void_p) -> tuple[float, float]:
            desk = Desk(folder, "none")
            lap = RING_BYTES // RECORD_BYTES + 1 if timed is put else 0  # the data process makes its segment resident
            bench.bench_journal_flood(put, pointer(desk.side), ctypes.c_uint64(lap))
            full = bench.bench_journal(
                timed,
                pointer(desk.side),
                ctypes.c_uint64(put_cnt),
                ctypes.c_uint64(int(GAP_NS / ns)),
                ticks.ctypes.data_as(ctypes.c_void_p),
            )
            desk.close(0 if timed is nothing else put_cnt)
            if full:
                raise AssertionError(f"{full} records found no room")
            p50, p99 = np.percentile(ticks, (50, 99))
            return float(p50) * ns, float(p99) * ns

        def flood() -> float:
            desk = Desk(folder, "group")
            begin = time.perf_counter()
            bench.bench_journal_flood(put, pointer(desk.side), ctypes.c_uint64(flood_cnt))
            desk.close(flood_cnt)
            return flood_cnt / (time.perf_counter() - begin)

        def plain() -> float:
            block = os.urandom(262_144)
            begin = time.perf_counter()
            with (folder / "plain").open("wb", buffering=0) as stream:
                for _ in range(flood_cnt * RECORD_BYTES // len(block) + 1):
                    stream.write(block)
                os.fdatasync(stream.fileno())
            rate = flood_cnt / (time.perf_counter() - begin)
            (folder / "plain").unlink()
            return rate

        puts, stamps = by_turns(options.runs(), lambda: paced(put), lambda: paced(nothing))
        rates, plains = by_turns(options.runs(3), flood, plain)
    options.say(
        f"{put_cnt:,} puts a run, one every {GAP_NS} ns; {flood_cnt:,} records a run to disk, all of them there"
    )
    empty = "an empty function between the same time stamps"
    return [
        result("journal_ns_p50", "ns", [p50 for p50, _ in puts], empty, [p50 for p50, _ in stamps]),
        result("journal_ns_p99", "ns", [p99 for _, p99 in puts], empty, [p99 for _, p99 in stamps]),
        result("journal_records_per_s", "records/s", rates, "the same bytes written plainly", plains),
    ]
