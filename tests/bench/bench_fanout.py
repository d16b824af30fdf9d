"""The fan-out ring: what sharing an event costs the pipeline, and how fast one reader takes them.

SPDX-License-Identifier: MIT

The baseline of a put is the same loop in a gateway without such a ring. Events of a batch lie between two time stamps.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path

import numpy as np

from hwgw.native import ffi, lib
from hwgw.segment import Segment

from .harness import Options, Result, by_turns, compile_shared, result

RING_BYTES = 1 << 24
PER = 64


def run(options: Options) -> list[Result]:
    """fanout_ns_p50, fanout_ns_p99 and fanout_reads_per_s."""
    batches = options.size(20_000, 200)
    ns = 1e9 / lib.hwgw_ticks_hz()
    ticks = np.zeros(batches, np.uint64)
    took, total = ctypes.c_uint64(), ctypes.c_uint64()
    with tempfile.TemporaryDirectory() as folder:
        bench = ctypes.CDLL(str(compile_shared(Path(__file__).with_name("fanout_bench.c"), Path(folder))))
    bench.bench_fanout_read.restype = ctypes.c_uint64
    with Segment.create(f"bench-fanout-{os.getpid()}", ["AAPL"], fanout_sz_bytes=RING_BYTES) as segment:
        base = ctypes.c_void_p(int(ffi.cast("uintptr_t", lib.hwgw_segment_head(segment.pointer))))

        def put(is_shared: bool) -> tuple[float, float]:
            bench.bench_fanout_put(
                base, ctypes.c_bool(is_shared), ctypes.c_uint64(batches), ctypes.c_uint64(PER),
                ticks.ctypes.data_as(ctypes.c_void_p),
            )  # fmt: skip
            p50, p99 = np.percentile(ticks, (50, 99))
            return float(p50) * ns / PER, float(p99) * ns / PER

        def read() -> float:
            want = min(batches * PER, RING_BYTES // 64 // 2)
            seen = bench.bench_fanout_read(base, ctypes.c_uint64(want), ctypes.byref(took), ctypes.byref(total))
            if seen != want:
                raise AssertionError(f"{seen} of {want} events were read")
            return float(seen * 1e9 / (took.value * ns))

        put(True)
        ours, without, reads = by_turns(options.runs(), lambda: put(True), lambda: put(False), read)
    options.say(f"{batches * PER:,} events a run, {PER} between two time stamps, hash {total.value:x}")
    baseline = "a gateway without the ring"
    return [
        result("fanout_ns_p50", "ns", [p50 for p50, _ in ours], baseline, [p50 for p50, _ in without]),
        result("fanout_ns_p99", "ns", [p99 for _, p99 in ours], baseline, [p99 for _, p99 in without]),
        result("fanout_reads_per_s", "records/s", reads),
    ]
