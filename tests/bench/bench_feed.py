"""Decode and books from records in memory, against plain code of the same kind; resident memory of deep books.

SPDX-License-Identifier: MIT

Figures are messages per second of CPU time of the thread: neighbours on the machine take turns on the core, and what
they take is not ours. With --file the stream is the user's; else shallow (45,000 live orders) and deep (1,250,000) ones
over 8,000 symbols are generated from the seed.
"""

from __future__ import annotations

import ctypes
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hwgw_sim.stream import Stream

from hwgw import specs
from hwgw.native import call, ffi, lib

from .harness import RUNS_LARGE, Options, Result, by_turns, compile_shared, result

HERE = Path(__file__).parent
SYMBOLS = 8000
SHALLOW, DEEP = (10_000_000, 45_000), (11_000_000, 1_250_000)  # messages, live orders
CHUNK = 65_536
MIB = 1 << 20


def fields_header() -> str:
    """C that reads every field of every ITCH type: by the accessors, and byte by byte."""
    lines, types = [], []
    for layout in specs.load("itch50").layouts:
        if layout.kind != "message":
            continue
        ours, plain = [], []
        for field in layout.fields:
            accessor = f"itch50_{layout.name}_{field.name}(p)"
            is_text = not field.is_number and field.length > 1
            ours.append(f"text({accessor}, {field.length})" if is_text else f"(uint64_t)(uint8_t){accessor}")
            if field.is_number:
                ours[-1] = f"(uint64_t){accessor}"
            plain.append(f"plain_{'text' if is_text else 'number'}(p + {field.offset}, {field.length})")
        for kind, terms in (("fields", ours), ("plain", plain)):
            body = " +\n         ".join(terms)
            lines.append(f"static inline uint64_t {kind}_{layout.name}(const uint8_t *p) {{\n  return {body};\n}}\n")
        types.append(f"X('{layout.code}', {layout.length}, {layout.name})")
    joined = " \\\n  ".join(types)
    return "\n".join(lines) + f"\n#define TYPES(X) \\\n  {joined}\n"


def stream_new(options: Options, shape: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """BinaryFILE records of a generated stream; a deep one grows all the way."""
    messages, live = (options.size(shape[0], 60_000), options.size(shape[1], shape[1] // 100))
    with Stream(options.seed, options.size(SYMBOLS, 200), live, messages if shape is DEEP else 0) as stream:
        return np.frombuffer(stream.records(messages), np.uint8)


def rate(work: Callable[[], int]) -> tuple[float, int]:
    """Messages per second of CPU time, and the messages."""
    start = time.thread_time_ns()
    cnt = work()
    return cnt * 1e9 / (time.thread_time_ns() - start), cnt


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class OurBooks:
    """Records through decoder and books as hwgw decode --summary runs them."""

    def __init__(self, live_max: int) -> None:
        instruments, books = ffi.new("struct hwgw_instruments **"), ffi.new("struct hwgw_books **")
        call(lib.hwgw_instruments_open, instruments, ffi.NULL, 0, 65_536, True)
        self.instruments = ffi.gc(instruments[0], lib.hwgw_instruments_close)
        cfg = {"instrument_cnt": 65_536, "orders_max": live_max, "huge_pages": True}
        call(lib.hwgw_books_open, books, ffi.new("struct hwgw_books_cfg *", cfg))
        self.books = ffi.gc(books[0], lib.hwgw_books_close)
        self.counters = ffi.new("uint64_t[]", int(lib.HWGW_COUNTER_CNT))
        self.totals = ffi.new("struct hwgw_scan_totals *")
        self.messages = ffi.new("struct hwgw_scan_message[]", CHUNK)

    def apply(self, data: np.ndarray[Any, np.dtype[np.uint8]]) -> int:
        """Every record of data; how many there are."""
        used, ended = ffi.new("uint32_t *"), ffi.new("bool *")
        at, cnt = 0, 0
        while at < len(data) and not ended[0]:
            window = ffi.from_buffer("uint8_t[]", data[at : at + 64 * MIB])
            found = lib.hwgw_scan_records(window, len(window), cnt + 1, self.messages, CHUNK, used, ended)
            lib.hwgw_scan_apply(window, self.messages, found, self.instruments, self.books, self.counters, self.totals)
            if not used[0]:
                break
            at, cnt = at + used[0], cnt + found
        return cnt

    @property
    def refused(self) -> int:
        """Events that were dropped."""
        first, last = lib.HWGW_CNT_BOOK_DROP_INSTRUMENT, lib.HWGW_CNT_BOOK_DROP_FULL
        return sum(self.counters[first : last + 1])

    def hash(self) -> int:
        """Of all books."""
        return int(lib.hwgw_books_hash(self.books))


def measure_decode(options: Options, data: Any, library: Any) -> list[Result]:
    """Every field of every message into a sum, which all ways must agree on."""
    names = ("bench_columns", "bench_in_order", "bench_plain", "bench_framing")
    pointer, work = ctypes.c_void_p(data.ctypes.data), {}

    def run(name: str) -> float:
        total = ctypes.c_uint64()
        found, cnt = rate(lambda: int(getattr(library, name)(pointer, ctypes.c_uint64(len(data)), ctypes.byref(total))))
        work[name] = cnt, total.value
        return found

    columns, in_order, plain, framing = by_turns(options.runs(), *[lambda n=name: run(n) for name in names])
    if len({work[name] for name in names[:3]}) != 1:
        raise AssertionError(f"the decoders disagree: {work}")
    cnt, total = work["bench_columns"]
    options.say(f"decode: {cnt:,} messages, sum of every field {total:016x}")
    return [
        result("decode_msgs_per_s", "1/s", columns, "switch with byte-wise loads", plain),
        result("decode_in_order_msgs_per_s", "1/s", in_order, "switch with byte-wise loads", plain),
        result("framing_msgs_per_s", "1/s", framing),
    ]


def measure_books(options: Options, name: str, data: Any, live_max: int, library: Any) -> list[Result]:
    """The same records into our books and into the reference's, which must end equal."""
    ends: set[tuple[int, int]] = set()
    grown: list[float] = []

    def ours() -> float:
        before = resident()
        books = OurBooks(live_max)
        found, _ = rate(lambda: books.apply(data))
        grown.append((resident() - before) / MIB)
        ends.add((books.hash(), books.refused))
        return found

    def reference() -> float:
        other = ctypes.c_void_p(library.reference_open())
        pointer, size = ctypes.c_void_p(data.ctypes.data), ctypes.c_uint64(len(data))
        found, _ = rate(lambda: int(library.reference_apply(other, pointer, size)))
        ends.add((library.reference_hash(other), next(iter(ends))[1] if ends else 0))
        library.reference_close(other)
        return found

    mine, theirs = by_turns(options.runs(RUNS_LARGE), ours, reference)
    if len(ends) != 1:
        raise AssertionError(f"the two books end differently: {ends}")
    ((final, refused),) = ends
    options.say(f"{name}: {len(data) / MIB:,.0f} MiB, {refused:,} refused, book hash {final:016x}")
    found = [result(f"book_{name}_msgs_per_s", "1/s", mine, "linked levels and chained hash", theirs)]
    if name == "deep":
        found.append(result("book_deep_rss_mb", "MiB", grown))
    return found


def run(options: Options) -> list[Result]:
    """decode_msgs_per_s, book_shallow_ and book_deep_msgs_per_s, book_deep_rss_mb and what stands beside them."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "feed_fields.h").write_text(fields_header())
        decode = ctypes.CDLL(str(compile_shared(HERE / "feed_decode.c", Path(folder))))
        reference = ctypes.CDLL(str(compile_shared(HERE / "feed_reference.c", Path(folder))))
    for name in ("bench_columns", "bench_in_order", "bench_plain", "bench_framing"):
        getattr(decode, name).restype = ctypes.c_uint64
    for name in ("reference_apply", "reference_hash"):
        getattr(reference, name).restype = ctypes.c_uint64
    reference.reference_open.restype = ctypes.c_void_p

    if options.file:
        data = np.fromfile(options.file, np.uint8)
        options.say(f"{options.file}: the stream of every figure")
        shallow = deep = data
    else:
        shallow = stream_new(options, SHALLOW)
    results = measure_decode(options, shallow, decode)
    results += measure_books(options, "shallow", shallow, 4 << 20 if options.file else SHALLOW[1], reference)
    if not options.file:
        del shallow
        deep = stream_new(options, DEEP)
    results += measure_books(options, "deep", deep, 4 << 20 if options.file else DEEP[1], reference)
    return results
