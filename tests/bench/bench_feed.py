"""Decode, books and rows from records in memory, against a peer and plain code; memory and instructions of the books.

SPDX-License-Identifier: MIT

Figures are per second of CPU time of the thread: neighbours on the machine take turns on the core, and what they take
is not ours. Streams are made, or read, before the first clock is; every figure walks the same bytes in memory several
times. With --file the stream is the user's; else shallow (45,000 live orders) and deep (1,250,000) ones over 8,000
symbols are generated from the seed and kept in build/streams. The peer is itch-book from PyPI
(tests/bench/requirements.txt), whose rows must be ours; the final books must be those of plain code. Instructions are
counted by callgrind, which no neighbour moves.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import importlib.metadata
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from hwgw_sim.stream import Stream

from hwgw import specs
from hwgw.feeds.books import FeedBooks
from hwgw.feeds.source import MESSAGE, Batch
from hwgw.native import ffi, lib

from .harness import ROOT, RUNS_LARGE, Options, Result, by_turns, compile_c, compile_shared, result

HERE = Path(__file__).parent
SYMBOLS = 8000
SHALLOW, DEEP = (10_000_000, 45_000), (11_000_000, 1_250_000)  # messages, live orders
CHUNK = 65_536  # messages
PEER_CHUNK = 4 << 20  # bytes
PEER = "itch-book"
GENERATOR = (ROOT / "sim" / "stream.c", ROOT / "sim" / "stream.h", ROOT / "hwgw" / "specs" / "itch50.yaml")
MIB = 1 << 20
COUNTED = 500_000  # messages for callgrind, and as many before, which fill the books and are not counted
Bytes = np.ndarray[Any, np.dtype[np.uint8]]
COUNT_SOURCES = ("book", "book_ladder", "book_open", "book_view", "instruments", "itch", "scan_books", "scan_records")


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


def stream_new(options: Options, shape: tuple[int, int]) -> Bytes:
    """BinaryFILE records of a generated stream; a deep one grows all the way. Full sizes are kept in build/streams."""
    messages, live = (options.size(shape[0], 60_000), options.size(shape[1], shape[1] // 100))
    symbols, ramp = options.size(SYMBOLS, 200), messages if shape is DEEP else 0
    made_by = b"".join(path.read_bytes() for path in GENERATOR)
    key = hashlib.sha256(made_by + repr((options.seed, symbols, live, ramp, messages)).encode()).hexdigest()[:16]
    kept = ROOT / "build" / "streams" / f"{key}.itch50"
    if not options.smoke and kept.is_file():
        return np.fromfile(kept, np.uint8)
    with Stream(options.seed, symbols, live, ramp) as stream:
        data = np.frombuffer(stream.records(messages), np.uint8)
    if not options.smoke:
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part")
        data.tofile(part)
        part.rename(kept)
    return data


def rate(work: Callable[[], int]) -> tuple[float, int]:
    """Messages per second of CPU time, and the messages."""
    start = time.thread_time_ns()
    cnt = work()
    return cnt * 1e9 / (time.thread_time_ns() - start), cnt


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def batches(data: Bytes) -> Iterator[Batch]:
    """Records in memory as hwgw reads them from a file."""
    used, ended, cnt = ffi.new("uint32_t *"), ffi.new("bool *"), 0
    while len(data) and not ended[0]:
        window = data[: 64 * MIB]
        messages = np.empty(CHUNK, MESSAGE)
        place = ffi.cast("struct hwgw_scan_message *", messages.ctypes.data)
        view = ffi.from_buffer("uint8_t[]", window)
        found = lib.hwgw_scan_records(view, len(window), cnt + 1, place, CHUNK, used, ended)
        if not found:
            return
        yield Batch(window, messages[:found], None)
        data, cnt = data[used[0] :], cnt + found


def refused(books: FeedBooks) -> int:
    """Events that were dropped."""
    return sum(cnt for name, cnt in books.counters.items() if name.startswith("book.drop_"))


def peer_session(tables: list[str]) -> Any:
    """A session of the peer, or None when it is not installed."""
    try:
        return importlib.import_module("itch_book._core").Session(tables, 0, [])
    except ImportError:
        return None


def measure_decode(options: Options, data: Any, library: Any) -> list[Result]:
    """Every field of every message into a sum, which all ways must agree on."""
    names = ("bench_shuffled", "bench_columns", "bench_in_order", "bench_plain", "bench_framing")
    pointer, work = ctypes.c_void_p(data.ctypes.data), {}

    def run(name: str) -> float:
        total = ctypes.c_uint64()
        found, cnt = rate(lambda: int(getattr(library, name)(pointer, ctypes.c_uint64(len(data)), ctypes.byref(total))))
        work[name] = cnt, total.value
        return found

    shuffled, columns, in_order, plain, framing = by_turns(options.runs(), *[lambda n=name: run(n) for name in names])
    if len({work[name] for name in names[:4]}) != 1:
        raise AssertionError(f"the decoders disagree: {work}")
    cnt, total = work["bench_shuffled"]
    options.say(f"decode: {cnt:,} messages, sum of every field {total:016x}")
    plainly = "switch with byte-wise loads"
    return [
        result("decode_msgs_per_s", "1/s", shuffled, plainly, plain),
        result("decode_columns_msgs_per_s", "1/s", columns, plainly, plain),
        result("decode_in_order_msgs_per_s", "1/s", in_order, plainly, plain),
        result("framing_msgs_per_s", "1/s", framing),
    ]


def measure_books(options: Options, name: str, data: Bytes, live_max: int, library: Any) -> list[Result]:
    """The same records into our books, the peer's and the reference's; the reference's must end equal to ours."""
    ends: set[tuple[int, int]] = set()
    grown: dict[str, list[float]] = {"ours": [], "peer": []}

    def ours() -> float:
        before = resident()
        books = FeedBooks(orders_max=live_max, resident=True)
        found, _ = rate(lambda: sum(books.apply(batch) or len(batch) for batch in batches(data)))
        grown["ours"].append((resident() - before) / MIB)
        ends.add((books.hash(), refused(books)))
        return found

    def peer() -> float:
        before = resident()
        session = peer_session([])
        found, _ = rate(lambda: session.feed(data) or session.stats()["messages"])
        grown["peer"].append((resident() - before) / MIB)
        return found

    def reference() -> float:
        other = ctypes.c_void_p(library.reference_open())
        pointer, size = ctypes.c_void_p(data.ctypes.data), ctypes.c_uint64(len(data))
        found, _ = rate(lambda: int(library.reference_apply(other, pointer, size)))
        ends.add((library.reference_hash(other), next(iter(ends))[1] if ends else 0))
        library.reference_close(other)
        return found

    has_peer = peer_session([]) is not None
    mine, *others = by_turns(options.runs(RUNS_LARGE), ours, *[peer] * has_peer)
    plain = [reference()]  # once: it takes as long as all of the others
    if len(ends) != 1:
        raise AssertionError(f"the two books end differently: {ends}")
    ((final, dropped),) = ends
    options.say(f"{name}: {len(data) / MIB:,.0f} MiB, {dropped:,} refused, book hash {final:016x}")
    baseline, theirs = (PEER, others[0]) if others else ("linked levels and chained hash", plain)
    found = [
        result(f"book_{name}_msgs_per_s", "1/s", mine, baseline, theirs),
        result(f"book_{name}_plain_msgs_per_s", "1/s", plain),
    ]
    if name == "deep":
        most = max(grown["peer"], default=0.0)
        is_fresh = most > min(grown["ours"]) / 10  # else its allocator lived on what an earlier run had left
        found.append(result("book_deep_rss_mb", "MiB", grown["ours"], *((PEER, [most]) if is_fresh else ())))
    return found


def measure_rows(options: Options, name: str, data: Bytes, live_max: int) -> list[Result]:
    """A NumPy row for every change of the best levels, ours and the peer's, which must say the same."""
    rows: list[np.ndarray[Any, Any]] = []
    symbols: list[str] = []
    theirs: dict[str, np.ndarray[Any, Any]] = {}
    messages = 0

    def ours() -> float:
        nonlocal messages
        books = FeedBooks(orders_max=live_max, resident=True)
        rows.clear()
        start = time.thread_time_ns()
        for batch in batches(data):
            rows.append(books.rows(batch, 1))
        spent = time.thread_time_ns() - start
        messages = books.counters["itch.messages"]
        symbols[:] = books.symbols
        return sum(map(len, rows)) * 1e9 / spent

    def peer() -> float:
        session, found = peer_session(["bbo"]), []
        start = time.thread_time_ns()
        for at in range(0, len(data), PEER_CHUNK):
            session.feed(data[at : at + PEER_CHUNK])
            found.append(session.take_bbo())
        spent = time.thread_time_ns() - start
        theirs.update({key: np.concatenate([table[key] for table in found]) for key in found[0]})
        return len(theirs["seq"]) * 1e9 / spent

    has_peer = peer_session([]) is not None
    mine, *others = by_turns(options.runs(RUNS_LARGE), ours, *[peer] * has_peer)
    all_rows = np.concatenate(rows)
    if has_peer:
        compared = rows_compare(all_rows, theirs)
        options.say(f"{name}: {len(all_rows):,} rows of {len(symbols):,} symbols, {compared:,} equal to {PEER}'s")
    rows.clear()
    per_message = [value * messages / len(all_rows) for value in mine]
    return [
        result(f"tob_rows_{name}_per_s", "1/s", mine, *((PEER, others[0]) if others else ())),
        result(f"tob_rows_{name}_msgs_per_s", "1/s", per_message),
    ]


def rows_compare(ours: np.ndarray[Any, Any], theirs: dict[str, np.ndarray[Any, Any]]) -> int:
    """Every row of the peer must be ours; ours also has those where only the number of orders changed. How many."""
    places = np.searchsorted(ours["seq"], theirs["seq"])
    if places.max(initial=0) >= len(ours) or not np.array_equal(ours["seq"][places], theirs["seq"]):
        raise AssertionError(f"{PEER} has rows that are not ours")
    for name, other in (("bid_px", "bid_px"), ("bid_qty", "bid_sz"), ("ask_px", "ask_px"), ("ask_qty", "ask_sz")):
        if not np.array_equal(ours[name][places].astype(np.int64), theirs[other].astype(np.int64)):
            raise AssertionError(f"{PEER} has another {name}")
    return len(places)


def counter_new(options: Options, folder: Path) -> Path | None:
    """The program that callgrind watches, or None when it is not to be."""
    if options.smoke:
        return None
    if not shutil.which("valgrind"):
        options.leave_out("book_*_instructions", "valgrind is not installed")
        return None
    sources = [HERE / "feed_count.c", *(ROOT / "cffi_build" / "src" / f"{stem}.c" for stem in COUNT_SOURCES)]
    return compile_c(sources, folder / "feed_count", "-D_GNU_SOURCE", "-flto")


def count_instructions(options: Options, name: str, data: Bytes, live_max: int, program: Path | None) -> list[Result]:
    """Executed instructions and mispredicted branches per message, from records to books, by callgrind."""
    if program is None:
        return []
    path, out = program.parent / "stream.itch50", program.parent / "callgrind.out"
    data[: 128 * COUNTED].tofile(path)
    valgrind = ["valgrind", "--tool=callgrind", "--branch-sim=yes", "--toggle-collect=counted"]
    command = [*valgrind, f"--callgrind-out-file={out}", program, path, str(live_max), str(COUNTED), str(COUNTED)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    applied, final = done.stdout.split()
    text = out.read_text()
    events = re.findall(r"^events: (.*)$", text, re.MULTILINE)[0].split()
    sums = re.findall(r"^(?:totals|summary): (.*)$", text, re.MULTILINE)[-1].split()
    totals = dict.fromkeys(events, 0) | dict(zip(events, map(int, sums), strict=False))  # zeros at the end are left out
    if not totals["Ir"]:
        raise AssertionError("callgrind collected nothing: counted() has another name in the program")
    options.say(f"{name}: callgrind over {int(applied):,} messages, book hash {final}")
    return [
        result(f"book_{name}_instructions", "1/message", [totals["Ir"] / int(applied)]),
        result(f"book_{name}_mispredictions", "1/message", [(totals["Bcm"] + totals["Bim"]) / int(applied)]),
    ]


def run(options: Options) -> list[Result]:
    """See run_in."""
    with tempfile.TemporaryDirectory() as folder:
        return run_in(options, Path(folder))


def run_in(options: Options, folder: Path) -> list[Result]:
    """decode_msgs_per_s, book_*_msgs_per_s, book_deep_rss_mb, tob_rows_*_per_s and what stands beside them."""
    if peer_session([]) is None:
        options.leave_out(PEER, "pip install -r tests/bench/requirements.txt")
    else:
        options.say(f"{PEER} {importlib.metadata.version(PEER)}")
    (folder / "feed_fields.h").write_text(fields_header())
    decode = ctypes.CDLL(str(compile_shared(HERE / "feed_decode.c", folder)))
    reference = ctypes.CDLL(str(compile_shared(HERE / "feed_reference.c", folder)))
    counter = counter_new(options, folder)
    for name in ("bench_shuffled", "bench_columns", "bench_in_order", "bench_plain", "bench_framing"):
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
    for name, shape in (("shallow", SHALLOW), ("deep", DEEP)):
        live_max = 4 << 20 if options.file else shape[1]
        if name == "deep" and not options.file:
            del shallow
            deep = stream_new(options, DEEP)
        data = shallow if name == "shallow" else deep
        results += measure_books(options, name, data, live_max, reference)
        results += measure_rows(options, name, data, live_max)
        results += count_instructions(options, name, data, live_max, counter)
    return results
