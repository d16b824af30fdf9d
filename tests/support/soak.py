"""`make soak`: a gateway under load for long: memory flat, no allocation, no descriptor more, the ledger exact.

SPDX-License-Identifier: MIT

The simulated exchange on one side of a veth pair, a gateway with AF_XDP and two strategies on the other (without root:
loopback and kernel sockets). The gateway is started with alloc_count.c preloaded, which counts every call of the
allocator per thread; memory and descriptors of the data process are read from /proc once a second.

    python -m support.soak --seconds 3600 --json soak.json

The rate is 80 % of the highest that a run of 20 s takes without a loss, found first by trying, unless --rate gives one.
Ends with a verdict: exit code 0 when every bound held, 1 when one was broken.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hwgw_sim.lab import Lab

from hwgw import native
from hwgw.demo.report import failures, report
from hwgw.demo.stage import USER
from hwgw.load.stage import FRAMES, limits
from hwgw.native import ffi, lib
from hwgw.segment import PERCENTILES, STAGES, Segment
from hwgw.telemetry import snapshot

from .market import Market, is_alive
from .rig import include_folder

HERE = Path(__file__).parent
RSS_SPREAD_KIB_MAX = 64
LOAD = 0.8
WARM_UP_SHARE, WARM_UP_S_MAX = 0.2, 60.0
PROBE_S, PROOF_S = 2.0, 20.0
PROOFS_MAX = 10
PROGRESS_S = 60.0
PROBE_FIRST, PROBE_HIGHEST = 50_000, 3_200_000
KEPT_UP = 0.97  # of the rate asked for: what a paced exchange gives when nothing holds it up
ORDERS_KEPT_UP = 0.1  # last quarter to first: a gateway that only looks on is no soak of one

FUNCTIONS = ("malloc", "calloc", "realloc", "memalign", "free", "mmap", "munmap", "brk")
ROWS = 4096
ROW = struct.Struct(f"=II{len(FUNCTIONS)}Q{len(FUNCTIONS)}Q")
TABLE_BYTES = 8 + ROWS * ROW.size


def compile_object(source: Path, target: Path, *libraries: str) -> Path:
    """A shared object from one C file of this folder."""
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-shared", "-fPIC", "-fno-builtin"]
    subprocess.run([*command, "-I", include_folder(), "-o", target, source, *libraries], check=True, timeout=60)
    return target


class Allocations:
    """The table that alloc_count.c writes."""

    def __init__(self, folder: Path) -> None:
        self.object = compile_object(HERE / "alloc_count.c", folder / "alloc_count.so", "-ldl", "-lpthread")
        path = folder / "alloc_counts"
        path.write_bytes(bytes(TABLE_BYTES))
        self.environment = {"LD_PRELOAD": str(self.object), "HWGW_ALLOC_COUNTS": str(path)}
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), TABLE_BYTES)

    def of(self, pid: int) -> dict[str, int]:
        """Calls by function, over every thread of a process that called any."""
        total = dict.fromkeys(FUNCTIONS, 0)
        for row in self._rows():
            if row[0] == pid:
                for name, value in zip(FUNCTIONS, row[2:], strict=False):
                    total[name] += value
        return total

    def callers(self, pid: int, functions: list[str]) -> list[str]:
        """Who called those functions last, as object and offset, for people."""
        found = set()
        for row in self._rows():
            for name in functions if row[0] == pid else ():
                if address := row[2 + len(FUNCTIONS) + FUNCTIONS.index(name)]:
                    found.add(f"{name} from {_place(pid, address)}")
        return sorted(found)

    def _rows(self) -> Iterator[tuple[int, ...]]:
        used = min(struct.unpack_from("=Q", self._map)[0], ROWS - 1)
        for index in range(used + 1):
            yield ROW.unpack_from(self._map, 8 + index * ROW.size)

    def close(self) -> None:
        self._map.close()


def _place(pid: int, address: int) -> str:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, _, offset, *rest = line.split(maxsplit=5)
            low, high = (int(part, 16) for part in span.split("-"))
            if low <= address < high:
                name = Path(rest[-1]).name if len(rest) > 2 else "memory without a file"
                return f"{name}+{address - low + int(offset, 16):#x}"
    return f"{address:#x}"


def resident_kib(pid: int) -> int:
    """Resident memory, shared pages included, to the page."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/{pid}/smaps_rollup has no Rss")


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


class Histograms:
    """A copy of the latency histograms of the first pipeline."""

    def __init__(self, segment: Segment) -> None:
        sz = lib.hwgw_hist_sz_bytes()
        self._tsc_hz = int(segment.head["tsc_hz"])
        self.words = [
            np.frombuffer(ffi.buffer(lib.hwgw_segment_hist(segment.pointer, 0, stage), sz), np.uint64).copy()
            for stage in range(len(STAGES))
        ]

    def since(self, before: Histograms) -> dict[str, dict[str, int]]:
        """Percentiles in ns of what was recorded between two copies, by stage."""
        found = {}
        for name, now, then in zip(STAGES, self.words, before.words, strict=True):
            between = now - then
            between[1] = np.iinfo(np.uint64).max  # the largest is not known of a part; the slots decide
            if not between[0]:
                continue
            hist = ffi.from_buffer("struct hwgw_hist *", between)
            found[name] = {
                key: round(lib.hwgw_hist_percentile(hist, pct) * 1e9 / self._tsc_hz) for key, pct in PERCENTILES.items()
            } | {"cnt": int(between[0])}
        return found


@dataclass
class Settings:
    seconds: float
    rate: int = 0  # 0: measured first
    symbols: int = 8
    strategies: list[dict[str, Any]] = field(default_factory=list)  # of the demo unless given


@dataclass
class Soak:
    """What a run found."""

    rate: int
    capacity: int | None
    limit: str
    result: dict[str, Any] = field(default_factory=dict)
    rss_kib: list[int] = field(default_factory=list)
    achieved: float = 0.0  # messages/s, what was published while it was measured
    control_rss_kib: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    allocations: dict[str, int] = field(default_factory=dict)
    callers: list[str] = field(default_factory=list)
    first: dict[str, dict[str, int]] = field(default_factory=dict)
    last: dict[str, dict[str, int]] = field(default_factory=dict)

    def broken(self) -> list[str]:
        """The bounds that did not hold."""
        found = [f"ledger: {text}" for text in failures(self.result)]
        if any(self.allocations.values()):
            calls = ", ".join(f"{name} {cnt:,}" for name, cnt in self.allocations.items() if cnt)
            found.append(f"allocations after the start: {calls}; {'; '.join(self.callers)}")
        if (spread := max(self.rss_kib) - min(self.rss_kib)) > RSS_SPREAD_KIB_MAX:
            found.append(f"resident memory moved by {spread} KiB; at most {RSS_SPREAD_KIB_MAX} are allowed")
        if self.capacity is not None and self.achieved < KEPT_UP * self.rate:
            found.append(f"load: {self.achieved:,.0f} messages/s and not {self.rate:,}: the exchange was held up")
        if len(set(self.descriptors)) > 1:
            found.append(f"descriptors: {min(self.descriptors)} to {max(self.descriptors)}")
        orders = [each.get("order", {}).get("cnt", 0) for each in (self.first, self.last)]
        if orders[1] < orders[0] * ORDERS_KEPT_UP:
            found.append(f"orders: {orders[0]:,} in the first quarter, {orders[1]:,} in the last")
        return found

    def load_pct(self) -> float | None:
        """What was published, in percent of the highest rate without a loss."""
        return None if self.capacity is None else round(100 * self.achieved / self.capacity, 1)

    def verdict(self) -> str:
        """One line for people."""
        seconds, broken = self.result["seconds"], self.broken()
        load = f"{self.achieved:,.0f} messages/s"
        load += "" if self.capacity is None else f", {self.load_pct()} % of capacity"
        lost = sum(self.result["ledger"]["dropped"].values())
        what = f"{seconds:,.0f} s at {load}: {self.result['messages']:,} messages, {lost:,} packets lost"
        return f"SOAK BROKEN  {what}; {len(broken)} bounds did not hold" if broken else f"SOAK HELD  {what}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict(),
            "schema": "hwgw.soak/1",
            "seconds": self.result["seconds"],
            "backend": self.result["backend"],
            "receive": self.result["receive"],
            "rate_msgs_per_s": self.rate,
            "achieved_msgs_per_s": round(self.achieved),
            "capacity_msgs_per_s": self.capacity,
            "load_pct": self.load_pct(),
            "limit": self.limit,
            "ledger": self.result["ledger"],
            "messages": self.result["messages"],
            "orders_sent": self.result["orders"]["sent"],
            "position_match": self.result["position_match"],
            "rss_kib": _span(self.rss_kib),
            "rss_spread_kib_max": RSS_SPREAD_KIB_MAX,
            "control_rss_kib": _span(self.control_rss_kib),
            "descriptors": _span(self.descriptors),
            "allocations": self.allocations,
            "callers": self.callers,
            "latency_ns": {"first_quarter": self.first, "last_quarter": self.last},
            "broken": self.broken(),
        }

    def lines(self) -> list[str]:
        """A short table for people."""
        ledger, rss = self.result["ledger"], _span(self.rss_kib)
        capacity = (
            "given" if self.capacity is None else f"{LOAD:.0%} of {self.capacity:,}, the limit being {self.limit}"
        )
        rows = [
            ("receive", self.result["receive"]),
            ("load", f"{self.rate:,} messages/s ({capacity}), {self.result['seconds']:,.0f} s"),
            (
                "ledger",
                f"{ledger['sent']:,} packets sent = {ledger['received']:,} used + {sum(ledger['dropped'].values()):,}"
                f" dropped: {'exact' if ledger['exact'] else 'NOT EXACT'}",
            ),
            ("dropped", ", ".join(f"{name} {cnt:,}" for name, cnt in ledger["dropped"].items()) or "nothing"),
            ("messages", f"{self.result['messages']:,}; orders {self.result['orders']['sent']:,}"),
            ("resident", f"{rss['min']:,} to {rss['max']:,} KiB over {rss['samples']} samples after warm-up"),
            ("allocator", f"{sum(self.allocations.values()):,} calls since the start"),
            ("descriptors", f"{min(self.descriptors)} to {max(self.descriptors)}"),
        ]
        lines = [f"{name:<12}{text}" for name, text in rows]
        lines.append(f"{'latency ns':<12}{'first quarter: p50, p99, p99.9':>36}{'last quarter':>36}")
        for stage in self.last:
            parts = [self.first.get(stage), self.last[stage]]
            cells = [f"{row['p50']:>12,}{row['p99']:>12,}{row['p999']:>12,}" if row else "-" for row in parts]
            lines.append(f"{stage:<12}{cells[0]:>36}{cells[1]:>36}")
        return lines + [f"BROKEN      {text}" for text in self.broken()] + [self.verdict()]


def _span(values: list[int]) -> dict[str, int]:
    return {"first": values[0], "min": min(values), "max": max(values), "last": values[-1], "samples": len(values)}


@contextlib.contextmanager
def _market(rate: int, symbols: int, folder: Path) -> Iterator[Market]:
    """An exchange at that rate, until it is stopped, and room for a gateway, whose core everything else keeps off."""
    cpus = sorted(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:
        lab = None if Lab.missing() else stack.enter_context(Lab())
        if len(cpus) > 1:
            os.sched_setaffinity(0, cpus[:-1])
            stack.callback(os.sched_setaffinity, 0, cpus)
        market = stack.enter_context(Market(folder, lab, rate=rate, seconds=0, symbols=symbols))
        market.cpu = cpus[-1] if len(cpus) > 1 else None
        afxdp = next(backend for backend in native.backends() if backend.name == "afxdp")
        if lab and afxdp.available:
            market.receive["frames"] = FRAMES
        elif lab:
            market.receive = {"backend": "udp", "interface": lab.gateway.interface}
        yield market


def _finish(market: Market, segment: Segment) -> dict[str, Any]:
    """The exchange's day ends, then the gateway: both accounts of the run held against each other."""
    gateway = market.started[-1]
    statement = market.exchange.stop(30)
    gateway.terminate()
    gateway.wait(30)
    look = snapshot(segment)
    return report(look, statement, USER, look["backend"])


def _kept_up(rate: int, symbols: int, seconds: float) -> tuple[bool, str]:
    """Whether a run at that rate loses nothing and gets what it asked for, and what was the limit if not."""
    with tempfile.TemporaryDirectory() as folder, _market(rate, symbols, Path(folder)) as market:
        market.start(**limits())
        with market.attached("itch.messages") as segment:
            first, begun = segment.counters()["itch.messages"], time.monotonic()
            time.sleep(seconds)
            got = (segment.counters()["itch.messages"] - first) / (time.monotonic() - begun)
            result = _finish(market, segment)
    if result["ledger"]["dropped"] or result["gaps"]:
        return False, "the gateway (it lost frames)"
    if got < KEPT_UP * rate:
        return False, "the exchange (it published less than asked for)"
    return True, ""


def _tried(rate: int, symbols: int, seconds: float) -> tuple[bool, str]:
    fine, why = _kept_up(rate, symbols, seconds)
    say(f"{rate:,} messages/s for {seconds:g} s: {'nothing lost' if fine else why}")
    return fine, why


def say(text: str) -> None:
    print(f"soak: {text}", file=sys.stderr, flush=True)


def capacity(symbols: int) -> tuple[int, str]:
    """The highest rate, within an eighth, that a long run takes; and what gave in above it.

    Short runs find a rate; one of PROOF_S proves it, or an eighth less, and so on.
    """
    rate, limit = _search(symbols)
    for _ in range(PROOFS_MAX):
        fine, why = _tried(rate, symbols, PROOF_S)
        if fine:
            return rate, limit
        rate, limit = rate - rate // 8, why
    raise SystemExit(f"soak: no rate passes for {PROOF_S:g} s without loss, the last was {rate:,}; the limit: {limit}")


def _search(symbols: int) -> tuple[int, str]:
    good, bad, limit = 0, PROBE_FIRST, "none found"
    while bad <= PROBE_HIGHEST:
        fine, why = _tried(bad, symbols, PROBE_S)
        if not fine:
            limit = why
            break
        good, bad = bad, bad * 2
    while good and bad - good > good // 8:
        middle = (good + bad) // 2
        fine, why = _tried(middle, symbols, PROBE_S)
        if fine:
            good = middle
        else:
            bad, limit = middle, why
    if not good:
        raise SystemExit(f"soak: not even {PROBE_FIRST:,} messages/s pass without loss; the limit: {limit}")
    return good, limit


def run(settings: Settings) -> Soak:
    """One soak; the bounds are judged by Soak.broken."""
    highest, limit = (None, "") if settings.rate else capacity(settings.symbols)
    rate = settings.rate or int(LOAD * (highest or 0))
    soak = Soak(rate, highest, limit)
    warm_up = min(WARM_UP_SHARE * settings.seconds, WARM_UP_S_MAX)
    period = min(1.0, settings.seconds / 50)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        allocations = stack.enter_context(contextlib.closing(Allocations(folder)))
        market = stack.enter_context(_market(rate, settings.symbols, folder))
        market.strategies = settings.strategies
        market.environment = allocations.environment
        market.start(**limits())
        segment = stack.enter_context(market.attached("itch.messages"))
        pid, control = int(segment.head["data_pid"]), int(segment.head["control_pid"])
        before, begun = allocations.of(pid), time.monotonic()
        if not sum(before.values()):
            raise SystemExit("soak: the counting object was not loaded: nothing is known of allocations")
        quarters, first = [Histograms(segment)], segment.counters()["itch.messages"]
        said = PROGRESS_S
        while (passed := time.monotonic() - begun) < settings.seconds and is_alive(pid):
            if passed >= settings.seconds * len(quarters) / 4:
                quarters.append(Histograms(segment))
            if passed >= warm_up:
                soak.rss_kib.append(resident_kib(pid))
                soak.control_rss_kib.append(resident_kib(control))
                soak.descriptors.append(descriptors(pid))
            if passed >= said:
                now = segment.counters()
                drops = sum(value for name, value in now.items() if name.startswith("rx.drop_"))
                rss = f"resident {soak.rss_kib[-1]:,} KiB" if soak.rss_kib else "warming up"
                say(f"{passed:,.0f} s, {now['itch.messages']:,} messages, {drops:,} frames lost, {rss}")
                said += PROGRESS_S
            time.sleep(period)
        soak.achieved = (segment.counters()["itch.messages"] - first) / (time.monotonic() - begun)
        if not is_alive(pid):
            raise SystemExit(f"soak: the gateway ended: {market.started[-1].communicate()[1].decode()}")
        after = allocations.of(pid)
        soak.allocations = {name: after[name] - before[name] for name in FUNCTIONS}
        soak.callers = allocations.callers(pid, [name for name, cnt in soak.allocations.items() if cnt])
        end = Histograms(segment)
        soak.first, soak.last = quarters[1].since(quarters[0]), end.since(quarters[-1])
        soak.result = _finish(market, segment)
    return soak


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m support.soak", description="a gateway under load for long")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--rate", type=int, default=0, help="messages per second (80 %% of what is measured first)")
    parser.add_argument("--symbols", type=int, default=8)
    parser.add_argument("--strategy", metavar="SOURCE.c", type=Path, help="this strategy instead of the demo's two")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    if args.seconds < 1:
        parser.error("--seconds: at least 1")
    with tempfile.TemporaryDirectory() as folder:
        strategies = []
        if args.strategy:
            built = compile_object(args.strategy, Path(folder) / "strategy.so")
            strategies = [{"name": "given", "use": f"c:{built}", "account": 1, "armed": True}]
        soak = run(Settings(args.seconds, args.rate, args.symbols, strategies))
    print("\n".join(soak.lines()))
    if args.json:
        args.json.write_text(json.dumps(soak.as_dict(), indent=1) + "\n")
    return 1 if soak.broken() else 0


if __name__ == "__main__":
    sys.exit(main())
