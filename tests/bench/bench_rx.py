"""Receive: AF_XDP, packet sockets, DPDK, kernel sockets; through the interface, the pipeline and Python, by turns.

SPDX-License-Identifier: MIT

One run, one veth pair, one sender, frames of 100 and of 1,000 bytes. One core injects, the other receives; the receive
half of veth's soft interrupt runs on the injecting core, so that the rate is the limit of injection and kernel path as
much as of the receiver. Throughput is the highest rate at which no frame of a run was lost; a run that loses frames is
repeated, then at a lower rate. One way is from the moment a frame was due (10,000 a second) to the moment the way had
it, the receiver spinning. Every frame is a MoldUDP64 packet, numbered by the sender; through the pipeline it has come
when mold has used it.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgw_sim import wire
from hwgw_sim.wire import Wire, udp_frame

from hwgw import native
from hwgw.errors import HwgwError

from .harness import RUNS_SMALL, Options, Result, Unavailable, by_turns, result
from .rx_ways import GROUP, PORT, Got, Load, Local, Python, Remote, Source, cores, huge_pages

SIZES = (100, 1000)  # bytes of a frame
HEADERS_BYTES = 42
GAP_NS = 100_000
LEAD_NS = 2_000_000  # from the decision to send to the first paced frame
SLICE = 2_000  # paced frames in one go
PAUSE_S = 0.1  # after which neighbours have had their turn
TRIES_MAX = 12
BACK_OFF = 0.9
FRAMES = 16_384  # of the ring: rides out a few milliseconds in which a neighbour has the core
WARM_UP = 50_000
HUGE_PAGES = FRAMES * 2048 // (2 << 20)
SESSION = b"RX BENCH  "

# Way -> the backend that must be available for it.
BACKEND_OF = {
    "udp": "udp",
    "packet": "packet",
    **dict.fromkeys(("afxdp", "afxdp_generic", "afxdp_huge", "afxdp_pipeline", "python"), "afxdp"),
    **dict.fromkeys(("dpdk", "dpdk_packet"), "dpdk"),
}

# Way -> its name for people, in the order of the table.
TEXTS = {
    "recvmsg": "kernel sockets, `recvmsg`, spinning",
    "udp": "`udp`: `recvmmsg`",
    "packet": "`packet`",
    "afxdp_generic": "`afxdp`, generic mode",
    "afxdp": "`afxdp`, native mode",
    "afxdp_huge": "`afxdp`, native mode, huge pages",
    "afxdp_pipeline": "`afxdp`, native mode, through the whole pipeline",
    "python": "`afxdp`, native mode, batches in Python",
    "dpdk_packet": "`dpdk`, net_af_packet",
    "dpdk": "`dpdk`, net_af_xdp",
}

# Shares of recvmmsg and of DPDK's own af_xdp driver that were set as goals, and Mpps from Python.
GOALS = (
    ("rx_afxdp_pipeline_mpps", "rx_udp_mpps", 2.8),
    ("rx_afxdp_pipeline_mpps", "rx_dpdk_mpps", 1.3),
    ("rx_python_mpps", None, 1.5),
)


@dataclass(frozen=True)
class Measured:
    """One run of one way at one size."""

    mpps: float
    p50: float
    p99: float
    p999: float


class Bench:
    """The pair, the compiled load and the cores it runs on."""

    def __init__(self, pair: Wire, folder: Path, pause_s: float = PAUSE_S) -> None:
        self.tx_cpu, rx_cpu = cores()
        self.pause_s = pause_s
        self.pair, self.folder = pair, folder
        self.load = Load(folder, rx_cpu)
        made = self.load.ffi.new("int[2]")
        if failed := self.load.lib.load_injector(made, made + 1):
            raise Unavailable(f"loading the injector: {os.strerror(-failed)}")
        self.program, self.map = made
        for end in ("tx", "rx"):  # gives both ends a NAPI context, which injected frames and plain sockets need
            pair.run(end, "ethtool", "-K", pair.device[end], "gro", "on")
        self.ifindex = pair.index("tx")
        self.seq = 1

    def close(self) -> None:
        """Give program and map back."""
        os.close(self.program)
        os.close(self.map)

    def frame(self, size: int) -> bytes:
        """A packet of one message of no known type, as long as the frame has room: decoded, counted, and no more."""
        room = size - HEADERS_BYTES - 22
        payload = SESSION + struct.pack(">QHH", self.seq, 1, room) + b"\xff" * room
        return udp_frame(GROUP, PORT, payload)

    def _take_seq(self, cnt: int) -> int:
        self.seq += cnt
        return self.seq - cnt

    def _inject(self, size: int, cnt: int, frames_per_s: int) -> int:
        """Send cnt frames at a rate (0 = as fast as it goes); ns from the first to the last."""
        span = self.load.ffi.new("uint64_t *")
        arguments = (self.program, self.map, self.ifindex, self.frame(size), size, cnt, frames_per_s)
        with self.pair.inside("tx"):
            failed = self.load.lib.load_flood(*arguments, self._take_seq(cnt), self.tx_cpu, span)
        if failed:
            raise OSError(-failed, f"injecting: {os.strerror(-failed)}")
        return int(span[0])

    def flood(self, source: Source, size: int, cnt: int, frames_per_s: int) -> tuple[int, float]:
        """The same into a source: frames that arrived, and their rate in Mpps."""
        source.begin(cnt)
        try:
            self._inject(size, cnt, frames_per_s)
        finally:
            got = source.end()
        return got.frames, got.frames * 1e3 / got.span_ns if got.span_ns else 0.0

    def lossless_mpps(self, source: Source, size: int, cnt: int) -> float:
        """The rate of the first run without loss, beginning with the highest."""
        rate = 0
        for attempt in range(TRIES_MAX):
            arrived, mpps = self.flood(source, size, cnt, rate)
            if arrived == cnt:
                return mpps
            time.sleep(self.pause_s)
            if attempt % 2:  # the first loss at a rate may have been a neighbour's doing
                rate = int((rate or mpps * 1e6) * BACK_OFF)
        raise Unavailable(f"{TRIES_MAX} runs lost frames, the last at {rate} frames/s: the machine is too busy")

    def injector_mpps(self, open_source: Callable[[], Source], size: int, cnt: int) -> float:
        """What the sender does alone: nobody polls, so that each frame goes all the way into a ring that is full."""
        with open_source():
            self._inject(size, min(cnt, WARM_UP), 0)
            return cnt * 1e3 / self._inject(size, cnt, 0)

    def _paced(self, source: Source, size: int, cnt: int) -> Got:
        frame = self.load.ffi.new("uint8_t[]", self.frame(size))
        source.begin(cnt, paced=True)
        try:
            start_ns = time.monotonic_ns() + LEAD_NS
            source.schedule(start_ns, GAP_NS)
            with self.pair.packet_socket("tx") as raw:
                arguments = (raw.fileno(), frame, size, cnt, GAP_NS, self._take_seq(cnt), start_ns)
                failed = self.load.lib.load_paced(*arguments, self.tx_cpu)
        finally:
            got = source.end()
        if failed:
            raise OSError(-failed, f"sending: {os.strerror(-failed)}")
        return got

    def one_way_us(self, source: Source, size: int, cnt: int) -> tuple[float, float, float]:
        """p50, p99 and p99.9 at a fixed rate, in slices so short that the scheduler takes no core back meanwhile."""
        values: list[int] = []
        while len(values) < cnt:
            part = min(SLICE, cnt - len(values))
            got = self._paced(source, size, part)
            if got.frames != part:
                raise Unavailable(f"{part - got.frames} of {part} paced frames were lost")
            values += got.latency_ns
            time.sleep(self.pause_s)
        values.sort()
        return values[cnt // 2] / 1e3, values[cnt * 99 // 100] / 1e3, values[cnt * 999 // 1000] / 1e3

    def measure(self, open_source: Callable[[], Source], size: int, flood_cnt: int, paced_cnt: int) -> Measured:
        """One run: throughput, then one way, on one opening."""
        with open_source() as source:
            self.flood(source, size, min(flood_cnt, WARM_UP), 0)
            time.sleep(self.pause_s)
            mpps = self.lossless_mpps(source, size, flood_cnt)
            time.sleep(self.pause_s)
            return Measured(mpps, *self.one_way_us(source, size, paced_cnt))

    def ways(self) -> dict[str, Callable[[], Source]]:
        """Name in the figures -> what opens it on the receiving end."""
        device, address = self.pair.device["rx"], self.pair.address["rx"]

        def inside(opener: Callable[..., Source], *given: Any, **settings: Any) -> Callable[[], Source]:
            def opened() -> Source:
                with self.pair.inside("rx"):
                    return opener(self.load, *given, **settings)

            return opened

        def remote(**settings: Any) -> Callable[[], Source]:
            path = self.pair.path("rx")
            return lambda: Remote(self.load, self.folder, path, "dpdk", frame_cnt=FRAMES, **settings)

        native_mode = {"interface": device, "mode": "native", "frame_cnt": FRAMES}
        return {
            "recvmsg": inside(Local.plain, address),
            "udp": inside(Local.backend, "udp", interface=device),
            "packet": inside(Local.backend, "packet", interface=device, frame_cnt=FRAMES),
            "afxdp_generic": inside(Local.backend, "afxdp", **{**native_mode, "mode": "generic"}),
            "afxdp": inside(Local.backend, "afxdp", **native_mode),
            "afxdp_huge": inside(Local.backend, "afxdp", **native_mode, huge_pages=True),
            "afxdp_pipeline": inside(Local.pipeline, "afxdp", **native_mode),
            "python": inside(Python, "afxdp", **native_mode),
            "dpdk_packet": remote(port=f"net_af_packet0,iface={device}"),
            "dpdk": remote(port=f"net_af_xdp0,iface={device}"),
        }


def _usable(bench: Bench, ways: Mapping[str, Callable[[], Source]], options: Options, huge: str) -> list[str]:
    """The ways that open and receive here; the others are named with the reason."""
    found = []
    absent = {backend.name: backend.reason for backend in native.backends() if not backend.available}
    known = {backend.name for backend in native.backends()}
    for name, open_source in ways.items():
        backend = BACKEND_OF.get(name, "")
        try:
            if backend and (backend not in known or backend in absent):
                raise Unavailable(absent.get(backend, f"this hwgw has no backend {backend}"))
            if name == "afxdp_huge" and huge:
                raise Unavailable(huge)
            if options.smoke:  # its only run will tell
                found.append(name)
                continue
            with open_source() as source:
                arrived, _ = bench.flood(source, SIZES[0], 100, 10_000)
                if not arrived:
                    raise Unavailable(f"{source.what}: no frame of 100 arrived")
                if name == "afxdp_huge" and "; huge pages" not in source.what:
                    raise Unavailable(source.what)
                options.say(f"{name:15s} {source.what}")
        except (Unavailable, HwgwError) as reason:
            options.leave_out(f"rx_{name}", str(reason))
        else:
            found.append(name)
    return found


def _figures(found: Mapping[tuple[str, int], list[Measured]]) -> list[Result]:
    """Rates and times of every way against recvmmsg; 100-byte frames have the plain names."""

    def figure(name: str, unit: str, key: tuple[str, int], field: str) -> Result:
        ours = [getattr(one, field) for one in found[key]]
        against = "recvmsg" if key[0] == "udp" else "udp"
        if key[0] == against or (against, key[1]) not in found or key[0] == "recvmsg":
            return result(name, unit, ours)
        theirs = [getattr(one, field) for one in found[against, key[1]]]
        return result(name, unit, ours, {"udp": "kernel recvmmsg", "recvmsg": "kernel recvmsg"}[against], theirs)

    results = []
    for key in found:
        way, size = key
        tail = "" if size == SIZES[0] else f"_{size}b"
        middle = "" if way == "afxdp" else f"{way}_"
        results.append(figure(f"rx_{way}{tail}_mpps", "Mpps", key, "mpps"))
        for field in ("p50", "p99", "p999"):
            results.append(figure(f"rx_oneway_{middle}us{tail}_{field}", "us", key, field))
    return results


def _judge(results: list[Result], options: Options) -> list[Result]:
    """The goals: said for people, and the ratio to DPDK as a figure of its own."""
    by_name = {each.name: each for each in results}
    more = []
    for ours, against, goal in GOALS:
        if ours not in by_name or (against and against not in by_name):
            continue
        value = by_name[ours].value
        if against is None:
            options.say(f"{ours}: {value:.2f} Mpps, the goal is {goal}")
            continue
        ratio = value / by_name[against].value
        options.say(f"{ours} / {against}: {ratio:.2f}, the goal is {goal}")
        more.append(result(f"{ours.removesuffix('_mpps')}_to_{against.split('_')[1]}", "ratio", [ratio]))
    return more


def run(options: Options, only: tuple[str, ...] = (), sizes: tuple[int, ...] = ()) -> list[Result]:
    """Lossless rate and one-way time of each way to receive; only these ways and sizes, when some are named."""
    sizes = sizes or (SIZES[:1] if options.smoke else SIZES)
    if missing := wire.missing():
        raise Unavailable(missing)
    flood_cnt, paced_cnt = options.size(500_000, 10_000), options.size(10_000, 200)
    with contextlib.ExitStack() as stack:
        pair = stack.enter_context(Wire())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        huge = stack.enter_context(huge_pages(HUGE_PAGES))
        bench = stack.enter_context(contextlib.closing(Bench(pair, Path(folder), 0.01 if options.smoke else PAUSE_S)))
        ways = {name: way for name, way in bench.ways().items() if not only or name in only}
        keys = [(name, size) for name in _usable(bench, ways, options, huge) for size in sizes]
        busy: dict[tuple[str, int], str] = {}

        def job(name: str, size: int) -> Measured | None:
            try:
                return bench.measure(ways[name], size, flood_cnt, paced_cnt)
            except (Unavailable, HwgwError) as reason:
                busy[name, size] = str(reason)
                return None

        jobs: list[Callable[[], Any]] = [lambda key=key: job(*key) for key in keys]
        injected = []
        if "afxdp" in dict(keys):
            jobs.append(lambda: bench.injector_mpps(ways["afxdp"], SIZES[0], flood_cnt))
        runs = by_turns(1 if options.smoke else RUNS_SMALL, *jobs)
        if len(runs) > len(keys):
            injected = runs.pop()
        found = {key: all_runs for key, all_runs in zip(keys, runs, strict=True) if key not in busy}
    for (name, size), reason in busy.items():
        options.leave_out(f"rx_{name}, {size} bytes", reason)
    for (name, size), runs in found.items():
        medians = [statistics.median(getattr(one, field) for one in runs) for field in ("mpps", "p50", "p99", "p999")]
        text = "{:15s} {:5d} B  {:.2f} Mpps lossless, one way {:.2f} us p50, {:.2f} p99, {:.2f} p99.9"
        options.say(text.format(name, size, *medians))
    results = _figures(found)
    if injected:
        options.say(f"the injector alone, nobody polling: {statistics.median(injected):.2f} Mpps of {SIZES[0]} bytes")
        results.append(result("rx_injector_mpps", "Mpps", injected))
    return results + _judge(results, options)


def matrix(results: list[Result]) -> str:
    """Markdown: a row per way, its rates and times at both sizes; the ratio is to recvmmsg's rate."""
    by_name = {each.name: each for each in results}

    def cell(way: str, size: int) -> str:
        tail = "" if size == SIZES[0] else f"_{size}b"
        middle = "" if way == "afxdp" else f"{way}_"
        if f"rx_{way}{tail}_mpps" not in by_name:
            return " - | - | - |"
        rate, base = by_name[f"rx_{way}{tail}_mpps"], by_name.get(f"rx_udp{tail}_mpps")
        times = [by_name[f"rx_oneway_{middle}us{tail}_{field}"].value for field in ("p50", "p99", "p999")]
        ratio = f"{rate.value / base.value:.2f}" if base else "-"
        spread = f"{rate.value:.2f} ({rate.min:.2f} to {rate.max:.2f})"
        return f" {spread} | {ratio} | {' / '.join(f'{value:.2f}' for value in times)} |"

    head = "".join(f" Mpps, {size} B | ratio | one way us p50 / p99 / p99.9 |" for size in SIZES)
    rows = [
        f"| {text} |{''.join(cell(way, size) for size in SIZES)}\n"
        for way, text in TEXTS.items()
        if f"rx_{way}_mpps" in by_name
    ]
    lines = [f"| way |{head}\n", "|---|" + "--:|--:|--:|" * len(SIZES) + "\n", *rows]
    if injected := by_name.get("rx_injector_mpps"):
        lines.append(f"\nThe injector alone, into a ring that nobody polls: {injected.value:.2f} Mpps.\n")
    return "".join(lines)
