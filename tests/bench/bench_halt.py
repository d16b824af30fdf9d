"""Halt: from before the store that another process makes to the last byte of an order that still leaves.

SPDX-License-Identifier: MIT

The pipeline of bench_pipeline.py under load: a frame every few microseconds, an order at every second update of a top
of book, sent to a venue over loopback TCP that answers each. Another thread halts at a moment of its own, watches the
count of bytes handed to the venue, and resumes. A trial's figure is the time until the halt was in force and the last
byte had gone, whichever was later. What the pipeline had judged before it saw the halt may still go, and is counted.
halt_tree.py does it to a gateway of processes, whose control process is alive, stopped or killed.
"""

from __future__ import annotations

import math
import random
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from hwgw import specs
from hwgw.native import ffi, lib

from . import halt_tree
from .bench_pipeline import Frames, Native, Ours, Samples, two_cores
from .harness import RUNS_LARGE, Options, Result, Unavailable, result

SYMBOLS, LIVE = 100, 4_000
EVERY, GAP_US, WATCH_US = 2, 5, 200
CHUNK = 50_000


def _trials(options: Options, ours: Ours, native: Native, frames: Frames, cnt: int) -> tuple[list[float], int, int]:
    """Halt so often while frames are driven; microseconds of each trial, orders in all, and late bytes in all."""
    over, samples = threading.Event(), Samples(native, 1 << 20)
    gap = lib.hwgw_ticks_hz() * GAP_US // 1_000_000
    chunks = [frames.next(CHUNK) for _ in range(1 if options.smoke else 4)]
    failed: list[BaseException] = []

    def drive() -> None:
        try:
            while not over.is_set():
                chunk = chunks.pop(0) if chunks else frames.next(CHUNK)
                ours.run(chunk, EVERY, gap, samples)
        except BaseException as error:
            failed.append(error)

    counters = lib.hwgw_segment_counters(ours.segment.pointer, 0)
    index = next(each.index for each in specs.counters() if each.full_name == "session.tx_bytes")
    counter = native.ffi.cast("uint64_t *", int(ffi.cast("uintptr_t", counters + index)))
    watch = lib.hwgw_ticks_hz() * WATCH_US // 1_000_000
    halt, segment = native.pointer(ffi.addressof(lib, "hwgw_halt")), native.pointer(ours.segment.pointer)
    late, values, bytes_late, rng = native.ffi.new("uint64_t *"), [], 0, random.Random(options.seed)
    thread = threading.Thread(target=drive)
    orders = ours.segment.counters()["order.encoded"]
    thread.start()
    try:
        while len(values) < cnt and not failed:
            before = counter[0]
            time.sleep(rng.uniform(0.0002, 0.002))
            if counter[0] == before:
                continue  # between two chunks nothing is sent, and a halt would show nothing
            ticks = native.driver.halt_and_watch(halt, segment, lib.HWGW_RISK_REASON_OPERATOR, counter, watch, late)
            ours.segment.resume()
            values.append(lib.hwgw_ticks_to_ns(ticks) / 1e3)
            bytes_late += int(late[0])
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]
    return values, ours.segment.counters()["order.encoded"] - orders, bytes_late


def run(options: Options) -> list[Result]:
    """p50, p99.9 and the worst of a thousand halts, of each run."""
    tree: list[Result] = []
    try:
        tree = halt_tree.run(options)
    except (Unavailable, AssertionError) as reason:  # a process that did not come up in time; the other figures stand
        options.leave_out("halt_alive_us_*, halt_stopped_us_*, halt_killed_us_*, limits_ack_us_*", str(reason))
    cnt = options.size(1_000, 20)
    runs: list[list[float]] = []
    with tempfile.TemporaryDirectory() as folder, two_cores() as last_core, ExitStack() as stack:
        native = Native(Path(folder))
        frames = Frames(options.seed, SYMBOLS, LIVE)
        stack.callback(frames.close)
        ours = Ours(native, stack, SYMBOLS, LIVE)
        last_core()
        for _ in range(options.runs(RUNS_LARGE)):
            values, orders, late = _trials(options, ours, native, frames, cnt)
            runs.append(sorted(values))
            options.say(f"halt: {cnt} trials among {orders:,} orders, {late} bytes went after one was in force")
    return tree + [
        result(name, "us", [values[math.ceil(len(values) * part) - 1] for values in runs])
        for name, part in (("halt_us_p50", 0.5), ("halt_us_p999", 0.999), ("halt_us_max", 1.0))
    ]
