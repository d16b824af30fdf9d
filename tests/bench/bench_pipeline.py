"""Tick to order: a frame goes in, the bytes of an order come out; and what one thread takes when frames do not stop.

SPDX-License-Identifier: MIT

A real pipeline without a receive backend, its gate with every check on, its order session logged in to a venue over
loopback TCP that accepts and cancels each order (pipeline_driver.c). Frames carry one message each of a seeded stream.
The strategy fires immediate-or-cancel orders at every n-th update of the top of a two-sided book.

paced: a frame is due every GAP_US whatever became of the one before, idle rounds of the loop in between; so the code
and the books have gone cold in part, as in life. Two times are taken of each order: from the descriptor (the pipeline's
own histogram `total`) and from when its frame was due, which counts the wait for the loop too (no coordinated
omission). back to back: the next frame is there when the last one is done. packed: the same, 16 messages to a frame.

The baseline (pipeline_reference.c) gets the same frames on the same schedule, fires by the same rule and sends to a
venue of its own; both venues must have seen the same orders in the end.
"""

from __future__ import annotations

import os
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import cffi
import numpy as np
from hwgw_sim.stream import Stream, split
from hwgw_sim.wire import udp_frame

from hwgw import specs
from hwgw.errors import ConfigError
from hwgw.feature_choice import native_features, parse_all
from hwgw.journal.writer import Writer
from hwgw.linear import LinearSignal
from hwgw.native import call, ffi, lib
from hwgw.segment import Segment
from hwgw.settings import Journal, Strategy
from hwgw.strategies import load_numba
from hwgw.telemetry import ledger_rows

from .harness import Options, Result, Unavailable, compile_shared, result

GROUP, PORT = "239.1.1.1", 26400
HEADERS_SZ = 42  # Ethernet, IPv4, UDP
SESSION = b"BENCH     "
GAP_US = 20
EVERY_PACED, EVERY_FLOOD = 4, 64
PACKED = 16  # messages to a frame, as in a burst
PART_CNT = 25_000
PERCENTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
BASELINE = "plain C"
HOOKS_PER_BATCH = 64
NUMBERS = count(1)  # of the pipelines of this process
NUMBA = "tests.bench.strategies:reads_features"

DRIVER = """
struct samples {
  uint64_t due; uint64_t entered; uint32_t *from_due; uint32_t *from_entry; uint32_t cnt; uint32_t max;
};
struct venue;
struct reference;
void shot_set(uint64_t every);
void record_hooks(void *hooks, uint32_t max);
uint32_t recorded_hooks(void);
uint32_t drive(void *frames, void *step, void *object, const uint8_t *data, const uint32_t *lens, uint32_t cnt,
               uint64_t gap, struct samples *samples);
uint64_t hook_batches(void *fn, const void *hooks, uint32_t hook_cnt, void *state, uint32_t per, uint32_t *ticks,
                      uint32_t batches);
uint64_t feature_batches(void *fn, void *set, const void *hooks, uint32_t hook_cnt, uint32_t per, uint32_t *ticks,
                         uint32_t batches);
uint64_t halt_and_watch(void *halt, void *segment, uint32_t reason, const uint64_t *counter, uint64_t watch,
                        uint64_t *late);
uint64_t spawn_and_watch(const char *path, const char *argument, const uint32_t *halt, uint64_t patience);
uint64_t publish_and_watch(void *publish, void *segment, const void *limits, const uint64_t *acknowledged,
                           uint64_t patience);
void clock_reads(uint32_t *ticks, uint32_t cnt);
struct venue *venue_open(void);
uint16_t venue_port(const struct venue *venue);
uint64_t venue_orders(const struct venue *venue);
uint64_t venue_hash(const struct venue *venue);
void venue_close(struct venue *venue);
"""
REFERENCE = """
struct reference;
struct reference *reference_open(uint16_t port);
void reference_set(struct reference *reference, void *samples, uint64_t every);
void reference_frames(struct reference *reference, const uint8_t *data, const uint32_t *lens, uint32_t cnt);
_Bool reference_step(struct reference *reference);
uint64_t reference_messages(const struct reference *reference);
uint64_t reference_orders(const struct reference *reference);
uint64_t reference_wrong(const struct reference *reference);
void reference_close(struct reference *reference);
"""


Chunk: TypeAlias = tuple[bytes | memoryview, np.ndarray[Any, Any]]


class Native:
    """The compiled driver and baseline. `driver` and `reference` are cffi libraries of the interface `ffi`."""

    def __init__(self, folder: Path) -> None:
        here = Path(__file__).parent
        self.driver_path = compile_shared(here / "pipeline_driver.c", folder)
        self.ffi = cffi.FFI()
        self.ffi.cdef(DRIVER)
        self.ffi.cdef(REFERENCE, override=True)
        self.driver: Any = self.ffi.dlopen(str(self.driver_path))
        self.reference: Any = self.ffi.dlopen(str(compile_shared(here / "pipeline_reference.c", folder)))

    def pointer(self, value: Any) -> Any:
        """A pointer of hwgw.native as this interface's void *."""
        return self.ffi.cast("void *", int(ffi.cast("uintptr_t", value)))


class Frames:
    """The seeded stream as frames, chunk by chunk: bytes one behind the other, and the length of each."""

    def __init__(self, seed: int, symbol_cnt: int, live_max: int) -> None:
        self._stream = Stream(seed, symbol_cnt, live_max)
        self._seq = 1
        self._heads: dict[int, bytes] = {}

    def next(self, cnt: int) -> Chunk:
        """The next cnt messages, a frame each."""
        parts = []
        for message in split(self._stream.records(cnt)):
            head = self._heads.get(len(message))
            if head is None:
                payload = SESSION + bytes(10) + struct.pack(">H", len(message)) + message
                head = self._heads[len(message)] = udp_frame(GROUP, PORT, payload)[:HEADERS_SZ] + SESSION
            parts.append(head + struct.pack(">QHH", self._seq, 1, len(message)) + message)
            self._seq += 1
        return b"".join(parts), np.array([len(part) for part in parts], np.uint32)

    def packed(self, cnt: int, per: int) -> Chunk:
        """The next cnt messages, so many to a frame."""
        messages, parts = list(split(self._stream.records(cnt))), []
        for at in range(0, cnt, per):
            blocks = [struct.pack(">H", len(message)) + message for message in messages[at : at + per]]
            payload = SESSION + struct.pack(">QH", self._seq, len(blocks)) + b"".join(blocks)
            parts.append(udp_frame(GROUP, PORT, payload))
            self._seq += len(blocks)
        return b"".join(parts), np.array([len(part) for part in parts], np.uint32)

    def close(self) -> None:
        """Give the generator's memory back."""
        self._stream.close()


def parts(chunk: Chunk) -> Iterator[Chunk]:
    """The chunk in pieces with fewer orders than the gate can have open, should the venue be held up."""
    data, lens = memoryview(chunk[0]), chunk[1]
    for from_idx in range(0, len(lens), PART_CNT):
        part = lens[from_idx : from_idx + PART_CNT]
        sz = int(part.sum())
        yield data[:sz], part
        data = data[sz:]


class Samples:
    """What the driver wrote of each order, in ticks."""

    def __init__(self, native: Native, room: int) -> None:
        self.from_due, self.from_entry = np.zeros(room, np.uint32), np.zeros(room, np.uint32)
        buffer = native.ffi.from_buffer
        self._keep = (buffer("uint32_t[]", self.from_due), buffer("uint32_t[]", self.from_entry))
        fields = {"from_due": self._keep[0], "from_entry": self._keep[1], "max": room}
        self.native = native.ffi.new("struct samples *", fields)

    def take(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Copies of both columns; the next run starts empty."""
        cnt = int(self.native.cnt)
        self.native.cnt = 0
        return self.from_due[:cnt].copy(), self.from_entry[:cnt].copy()


def wide_limits(symbol_cnt: int) -> np.ndarray[Any, Any]:
    """A limits table with every check on and room for all orders of the benchmark."""
    table = np.zeros(1, specs.dtype("risk", "limits"))
    row = table[0]
    row["checks_enabled"] = sum(1 << reason.code for reason in specs.reasons())
    row["beat_age_max_ns"] = 600 * 10**9
    row["ref_age_max_ns"] = 600 * 10**9
    row["dup_window_ns"] = 1
    for account in (row["gateway"], row["account"][0]):
        account["credit_max"], account["loss_max"], account["open_max"] = 10**17, 10**17, 4096
        account["rate_burst"], account["rate_refill_ns"] = 1_000_000, 1
    strategy = row["strategy"][0]
    strategy["rate_burst"], strategy["rate_refill_ns"] = 1_000_000, 1
    strategy["fills_max"] = strategy["rejects_run_max"] = 1_000_000
    instruments = row["instrument"][:symbol_cnt]
    instruments["flags"] = 1
    instruments["qty_max"], instruments["notional_max"] = 100_000, 10**15
    instruments["collar_q16"] = 65536 // 2
    instruments["long_max"] = instruments["short_max"] = instruments["locate_qty"] = 10**9
    return table


@dataclass(frozen=True, slots=True)
class Drive:
    """What became of a schedule: seconds in all, and frames handed over more than a gap late."""

    seconds: float
    late: int


class Ours:
    """A pipeline logged in to its venue, with a journal and its writer if one is given."""

    def __init__(
        self, native: Native, stack: ExitStack, symbol_cnt: int, live_max: int, journal: Journal | None = None
    ) -> None:
        self.native = native
        symbols = [f"S{i:07d}" for i in range(1, symbol_cnt + 1)]
        name = f"bench-{os.getpid()}-{next(NUMBERS)}"
        ring_bytes = journal.ring_bytes if journal else 0
        self.segment = stack.enter_context(Segment.create(name, symbols, journal_sz_bytes=ring_bytes))
        if journal:
            stack.callback(Writer(self.segment, journal, name).close)
        self.venue = native.driver.venue_open()
        if not self.venue:
            raise Unavailable("no loopback TCP")
        stack.callback(native.driver.venue_close, self.venue)
        self.segment.publish_limits(wide_limits(symbol_cnt))
        self.segment.arm(0)
        self.segment.beat()

        loaded = ffi.new("const struct hwgw_strategy **")
        call(lib.hwgw_strategy_load, loaded, str(native.driver_path).encode())
        params = ffi.new("int64_t[1]")
        strategies = ffi.new("struct hwgw_strategy_cfg[]", [{"strategy": loaded[0], "params": params}])
        group = int.from_bytes(bytes(map(int, GROUP.split("."))), "big")
        flows = ffi.new("struct hwgw_flow[]", [{"group": group, "port": PORT}])
        session = ffi.new(
            "struct hwgw_session_cfg *",
            {
                "address": 0x7F000001,
                "port": native.driver.venue_port(self.venue),
                "username": b"bench ",
                "password": b" " * 10,
                "requested_session": b" " * 10,
                "firm": b"    ",
                "capacity": b"P",
                "display": b"Y",
                "requested_seq": 1,
                "login_timeout_ms": 5_000,
                "dead_link_ms": 600_000,
            },
        )
        cfg = ffi.new("struct hwgw_pipeline_cfg *")
        cfg.segment, cfg.cpu, cfg.sample_shift = self.segment.pointer, -1, 4
        cfg.rx.flows, cfg.rx.flow_cnt = flows, 1
        cfg.books.instrument_cnt, cfg.books.orders_max = symbol_cnt, 2 * live_max + 1_000
        cfg.books.huge_pages = True  # as a gateway opens them
        cfg.channel_cnt = 1
        cfg.channel[0].line_cnt, cfg.channel[0].stale_ns = 1, 600 * 10**9
        cfg.strategy, cfg.strategy_cnt, cfg.session, cfg.session_cnt = strategies, 1, session, 1
        cfg.journal_frames = journal is not None and journal.frames
        out = ffi.new("struct hwgw_pipeline **")
        call(lib.hwgw_pipeline_open, out, cfg)
        self.pipeline = out[0]
        stack.callback(lib.hwgw_pipeline_close, self.pipeline)
        self.stages = specs.load("segment").enums["hist"].values
        self._until(lambda: self.segment.thread_status()[0]["session"] == "up", "the session is not up")

    def _until(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + 5
        while not done():
            lib.hwgw_pipeline_step(self.pipeline)
            if time.monotonic() > end:
                raise RuntimeError(f"{what} after 5 s: {self.segment.counters()}")

    def run(self, chunk: Chunk, every: int, gap: int, samples: Samples) -> Drive:
        """Drive one chunk and wait for the venue's last answers."""
        native = self.native
        native.driver.shot_set(every)
        self.segment.beat()
        functions = (ffi.addressof(lib, name) for name in ("hwgw_pipeline_frames", "hwgw_pipeline_step"))
        driven = _drive(native, *map(native.pointer, functions), native.pointer(self.pipeline), chunk, gap, samples)
        self._until(self._is_quiet, "the venue has not answered")
        return driven

    def forget(self) -> None:
        """Empty the histograms."""
        for stage in range(len(self.stages)):
            ffi.memmove(self._hist(stage), bytes(lib.hwgw_hist_sz_bytes()), lib.hwgw_hist_sz_bytes())

    def _is_quiet(self) -> bool:
        counters = self.segment.counters()
        return counters["session.canceled"] == counters["order.encoded"]

    def _hist(self, stage: int) -> Any:
        return lib.hwgw_segment_hist(self.segment.pointer, 0, stage)

    def check(self) -> dict[str, int]:
        """Nothing was lost, refused or dropped on the way; the counters."""
        counters = self.segment.counters()
        wrong = [row for row in ledger_rows(counters) if not row.exact or row.drops]
        if (
            wrong
            or self.segment.halted
            or counters["mold.gaps"]
            or counters["order.encoded"] != self.native.driver.venue_orders(self.venue)
        ):
            raise RuntimeError(f"the pipeline lost or refused something: {wrong} {self.segment.halted}")
        return counters


class Baseline:
    """pipeline_reference.c with its own venue."""

    def __init__(self, native: Native, stack: ExitStack) -> None:
        self.native = native
        self.venue = native.driver.venue_open()
        self.object = native.reference.reference_open(native.driver.venue_port(self.venue)) if self.venue else None
        if not self.object:
            raise Unavailable("no loopback TCP")
        stack.callback(native.driver.venue_close, self.venue)
        stack.callback(native.reference.reference_close, self.object)

    def run(self, chunk: Chunk, every: int, gap: int, samples: Samples) -> Drive:
        """As Ours.run."""
        native = self.native
        native.reference.reference_set(self.object, samples.native, every)
        functions = (native.ffi.addressof(native.reference, name) for name in ("reference_frames", "reference_step"))
        driven = _drive(native, *functions, self.object, chunk, gap, samples)
        end = time.monotonic() + 5
        while native.driver.venue_orders(self.venue) != native.reference.reference_orders(self.object):
            native.reference.reference_step(self.object)
            if time.monotonic() > end:
                raise RuntimeError("the baseline's orders did not arrive")
        return driven


def _drive(native: Native, frames: Any, step: Any, target: Any, chunk: Chunk, gap: int, samples: Samples) -> Drive:
    data, lens = chunk
    void = native.ffi.cast
    lengths = native.ffi.from_buffer("uint32_t[]", lens)
    start = time.perf_counter()
    late = native.driver.drive(
        void("void *", frames), void("void *", step), void("void *", target),
        native.ffi.from_buffer("uint8_t[]", data), lengths, len(lens), gap, samples.native,
    )  # fmt: skip
    return Drive(time.perf_counter() - start, int(late))


@contextmanager
def two_cores() -> Iterator[Callable[[], None]]:
    """Threads started inside stay on the first core; calling what is yielded moves the caller to the last one."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        yield lambda: os.sched_setaffinity(0, {max(allowed)})
    finally:
        os.sched_setaffinity(0, allowed)


def ns(ticks: float) -> float:
    """Ticks as nanoseconds, with fractions."""
    return ticks * 1e9 / lib.hwgw_ticks_hz()


class Scenario:
    """One stream through both contestants: warm-up, paced runs, flooded runs."""

    def __init__(self, options: Options, native: Native, symbol_cnt: int, live_max: int) -> None:
        self.options, self.native, self.symbol_cnt, self.live_max = options, native, symbol_cnt, live_max
        self.paced: dict[str, list[float]] = {}
        self.flooded: dict[str, list[float]] = {}
        self.hooks: Any = None
        self.hook_cnt = 0

    def _note(self, into: dict[str, list[float]], name: str, value: float) -> None:
        into.setdefault(name, []).append(value)

    def run(self, paced_cnt: int, flood_cnt: int) -> None:
        """Everything; the figures are in .paced and .flooded afterwards."""
        with ExitStack() as stack:
            settle = stack.enter_context(two_cores())
            ours = Ours(self.native, stack, self.symbol_cnt, self.live_max)
            baseline = Baseline(self.native, stack)
            settle()
            frames = Frames(self.options.seed, self.symbol_cnt, self.live_max)
            stack.callback(frames.close)
            samples = Samples(self.native, max(paced_cnt, flood_cnt))
            contestants: list[tuple[str, Any]] = [("ours", ours), ("baseline", baseline)]
            warm = frames.next(2 * self.live_max + 1_000)
            for _, contestant in contestants:
                contestant.run(warm, 0, 0, samples)
            gap = int(GAP_US * lib.hwgw_ticks_hz() / 1e6)
            for _ in range(self.options.runs()):
                chunk = frames.next(paced_cnt)
                ours.forget()
                for name, contestant in contestants:
                    late = sum(contestant.run(part, EVERY_PACED, gap, samples).late for part in parts(chunk))
                    self._note(self.paced, f"{name} late", late)
                    self._latencies(name, ours, samples)
                contestants.reverse()
            for turn in range(2 * self.options.runs()):
                figure = "packed" if turn % 2 else "msgs"
                chunk = frames.packed(flood_cnt, PACKED) if turn % 2 else frames.next(flood_cnt)
                for name, contestant in contestants:
                    driven = contestant.run(chunk, EVERY_FLOOD, 0, samples)
                    self._note(self.flooded, f"{name} {figure}_per_s", flood_cnt / driven.seconds)
                    samples.take()
                if turn % 2:
                    contestants.reverse()
            self._record(frames, ours, baseline, samples)
            self._compare(ours, baseline)

    def _latencies(self, name: str, ours: Ours, samples: Samples) -> None:
        due, entry = samples.take()
        if not len(due):
            raise RuntimeError(f"{name}: no order in a paced run: {ours.segment.halted} {ours.segment.counters()}")
        for label, pct in PERCENTILES.items():
            self._note(self.paced, f"{name} due {label}", ns(float(np.percentile(due, pct, method="inverted_cdf"))))
            self._note(self.paced, f"{name} entry {label}", ns(float(np.percentile(entry, pct, method="inverted_cdf"))))
        self._note(self.paced, f"{name} entry max", ns(float(entry.max())))
        if name != "ours":
            return
        for index, stage in enumerate(ours.stages):
            hist = ours._hist(index)
            for label, pct in PERCENTILES.items():
                self._note(self.paced, f"{stage.slug} {label}", ns(lib.hwgw_hist_percentile(hist, pct)))
            self._note(self.paced, f"{stage.slug} max", ns(lib.hwgw_hist_max(hist)))
        self._note(self.paced, "orders", float(len(due)))

    def _record(self, frames: Frames, ours: Ours, baseline: Baseline, samples: Samples) -> None:
        """Hooks as they came, for the cost of a strategy alone."""
        cnt = self.options.size(4096, 256)
        self.hooks = ffi.new("struct hwgw_hook[]", cnt)
        self.native.driver.record_hooks(self.native.pointer(self.hooks), cnt)
        chunk = frames.next(8 * cnt)
        ours.run(chunk, 0, 0, samples)
        baseline.run(chunk, 0, 0, samples)
        self.hook_cnt = int(self.native.driver.recorded_hooks())
        self.native.driver.record_hooks(self.native.ffi.NULL, 0)

    def _compare(self, ours: Ours, baseline: Baseline) -> None:
        counters = ours.check()
        driver, reference = self.native.driver, self.native.reference
        hashes = [driver.venue_hash(venue) for venue in (ours.venue, baseline.venue)]
        messages = reference.reference_messages(baseline.object)
        wrong = reference.reference_wrong(baseline.object)
        if wrong or hashes[0] != hashes[1] or messages != counters["itch.messages"]:
            raise RuntimeError(
                f"ours and the baseline did different work: {wrong} wrong, orders {hashes[0]:016x} and"
                f" {hashes[1]:016x}, messages {counters['itch.messages']} and {messages}"
            )
        self.options.say(
            f"{self.symbol_cnt} symbols, {lib.hwgw_books_live(lib.hwgw_pipeline_books(ours.pipeline))} live orders:"
            f" {messages} messages, {counters['strategy.calls']} calls, {counters['order.encoded']} orders, the same"
            f" from both (hash {hashes[0]:016x})"
        )


def _latency_results(prefix: str, scenario: Scenario) -> list[Result]:
    paced = scenario.paced
    out = [
        result(f"{prefix}_ns_{label}", "ns", paced[f"total {label}"], BASELINE, paced[f"baseline entry {label}"])
        for label in (*PERCENTILES, "max")
    ]
    return out + [
        result(
            f"{prefix}_scheduled_ns_{label}", "ns", paced[f"ours due {label}"], BASELINE, paced[f"baseline due {label}"]
        )
        for label in PERCENTILES
    ]


def _clock(options: Options, native: Native) -> Result:
    """The cost of the clock itself: what each stage time contains once."""
    cnt = options.size(100_000, 1_000)
    ticks = np.zeros(cnt, np.uint32)
    values = []
    for _ in range(options.runs()):
        native.driver.clock_reads(native.ffi.from_buffer("uint32_t[]", ticks), cnt)
        values.append(ns(float(np.median(ticks))))
    return result("tsc_read_ns_p50", "ns", values)


def _strategies(folder: Path) -> Iterator[tuple[str, str, Any, Any]]:
    """Name, figure, struct hwgw_strategy * of what is measured alone, and what keeps it alive."""
    for name, figure in (("mean_reversion", "hook_ns_p50"), ("imbalance", "hook_imbalance_ns_p50")):
        yield name, figure, lib.hwgw_strategy_find(name.encode()), None
    np.savez(folder / "signal.npz", features=["spread", "imbalance"], weights=[0.5, 1e-5], enter=1e9)
    yield "linear", "hook_linear_ns_p50", *LinearSignal.from_npz(folder / "signal.npz").descriptor("linear")
    with suppress(ConfigError):  # numba is an extra
        yield "numba", "hook_numba_ns_p50", *load_numba(Strategy("numba", "numba", NUMBA, {}))


def _hooks(options: Options, native: Native, scenario: Scenario, folder: Path) -> list[Result]:
    """Strategies in a loop over hooks that were seen: the p50 of batches, per call."""
    batches = options.size(20_000, 50)
    ticks = np.zeros(batches, np.uint32)
    out = []
    for name, figure, strategy, _keep in _strategies(folder):
        state = ffi.new("char[]", int(strategy.state_sz_bytes))
        if strategy.init:
            strategy.init(state, strategy.param_defaults)
        else:
            ffi.memmove(state, strategy.param_defaults, 8 * strategy.param_cnt)
        values, orders = [], 0
        for _ in range(options.runs()):
            orders += native.driver.hook_batches(
                native.pointer(strategy.fn), native.pointer(scenario.hooks), scenario.hook_cnt, native.pointer(state),
                HOOKS_PER_BATCH, native.ffi.from_buffer("uint32_t[]", ticks), batches,
            )  # fmt: skip
            values.append(ns(float(np.median(ticks))) / HOOKS_PER_BATCH)
        options.say(f"{name}: {len(values) * batches * HOOKS_PER_BATCH} calls gave {orders} orders")
        out.append(result(figure, "ns", values))
    return out


def _features(options: Options, native: Native, scenario: Scenario) -> list[Result]:
    """The row of features alone, over the same hooks: one of them, and all but the places in the queue."""
    batches = options.size(20_000, 50)
    ticks = np.zeros(batches, np.uint32)
    every = [feature.name for feature in specs.features() if not feature.name.startswith("queue_")]
    out = []
    for figure, wanted in (("features_one_ns_p50", ["spread"]), ("features_all_ns_p50", every)):
        made = ffi.new("struct hwgw_feature_set **")
        call(lib.hwgw_features_open, made, native_features(parse_all(wanted)), scenario.symbol_cnt)
        values = []
        for _ in range(options.runs()):
            native.driver.feature_batches(
                native.pointer(ffi.addressof(lib, "hwgw_features_row")), native.pointer(made[0]),
                native.pointer(scenario.hooks), scenario.hook_cnt, HOOKS_PER_BATCH,
                native.ffi.from_buffer("uint32_t[]", ticks), batches,
            )  # fmt: skip
            values.append(ns(float(np.median(ticks))) / HOOKS_PER_BATCH)
        lib.hwgw_features_close(made[0])
        out.append(result(figure, "ns", values))
    return out


def run(options: Options) -> list[Result]:
    """See the head of this file."""
    if len(os.sched_getaffinity(0)) < 2:
        raise Unavailable("one core: the venue and the pipeline need one each")
    with tempfile.TemporaryDirectory(prefix="hwgw-bench-") as folder:
        native = Native(Path(folder))
        deep = Scenario(options, native, options.size(1_000, 50), options.size(200_000, 2_000))
        deep.run(options.size(100_000, 4_000), options.size(400_000, 4_000))
        shallow = Scenario(options, native, 8, options.size(4_000, 500))
        shallow.run(options.size(100_000, 4_000), options.size(400_000, 4_000))
        for name, scenario in (("deep", deep), ("shallow", shallow)):
            middle = {key: statistics.median(values) for key, values in scenario.paced.items()}
            options.say(
                f"{name}, paced: {middle['orders']:.0f} orders a run, a frame each {GAP_US} us,"
                f" late by more than that: {middle['ours late']:.0f} of ours, {middle['baseline late']:.0f} of the"
                f" baseline"
            )
        out = _latency_results("tick_to_order", deep) + _latency_results("tick_to_order_shallow", shallow)
        for stage in ("strategy", "risk", "order", "session"):
            out += [
                result(f"pipeline_{stage}_ns_{label}", "ns", deep.paced[f"{stage} {label}"]) for label in ("p50", "p99")
            ]
        for name, scenario in (("pipeline", deep), ("pipeline_shallow", shallow)):
            rates = scenario.flooded
            for kind in ("msgs", "packed"):
                rate = f"{kind}_per_s"
                out.append(result(f"{name}_{rate}", "1/s", rates[f"ours {rate}"], BASELINE, rates[f"baseline {rate}"]))
        out.append(_clock(options, native))
        out += _hooks(options, native, deep, Path(folder))
        out += _features(options, native, deep)
    return out
