"""How long and how often the cores of this host are taken away from a thread that wants them, and by whom.

SPDX-License-Identifier: MIT

measure() runs the meter of cffi_build/src/jitter.c on some CPUs at once and adds what the kernel counted meanwhile:
interrupts by line, softirqs, context switches, steal. Times are in ns; shares are of the run time.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UsageError
from .native import call, ffi, lib

__all__ = ["MODES", "PERCENTILES", "WAITS_NS", "Bin", "Cpu", "cpu_list", "measure"]

MODES = ("gaps", "wakeups")
THRESHOLD_NS, INTERVAL_NS = 200, 200_000
PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
WAITS_NS = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000, 10_000_000)
GAPS_KEPT = 1 << 20  # per CPU, 16 MiB, for times and periods; the statistics are of all
_PERIODIC_MIN, _PERIODIC_SPREAD = 8, 0.1  # so many in a row, and the middle half of the spacings within so much
_SMI_COUNT_MSR = 0x34
_BINS_PER_DECADE = 4


@dataclass(frozen=True, slots=True)
class Bin:
    """Interruptions that took from from_ns to below to_ns."""

    from_ns: int
    to_ns: int
    cnt: int
    total_ns: int  # 0 for wake-ups and when not all gaps were kept
    period_ns: int | None = None  # they come at this distance, when they come regularly
    label: str = ""


@dataclass(slots=True)
class Cpu:
    """What became of the run on one CPU."""

    cpu: int
    mode: str
    scheduler: str
    threshold_ns: int
    run_ns: int
    rounds: int
    loop_ns: float  # one look at the clock
    cnt: int
    min_ns: int
    mean_ns: float
    max_ns: int
    total_ns: int
    percentile_ns: dict[float, int]
    wait: dict[int, float]  # x in ns -> share of moments at which one would have to wait for longer
    skipped: int
    switches: int
    faults: int
    off_cpu_ns: int  # another task had the core, or the hypervisor counted it
    steal_ns: int | None
    smi: int | None
    interrupts: dict[str, int] = field(default_factory=dict)  # "41 virtio3-rx" -> how many on this CPU
    softirqs: dict[str, int] = field(default_factory=dict)
    bins: list[Bin] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    gaps: np.ndarray[Any, Any] | None = None  # (start, length) in ticks, those kept

    @property
    def share(self) -> float:
        """Part of the run time that was taken."""
        return self.total_ns / self.run_ns if self.run_ns else 0.0

    def result(self) -> dict[str, Any]:
        """For JSON; the first names are those of sysjitter."""
        seconds = self.run_ns / 1e9
        keys = {50.0: "median", 90.0: "90", 99.0: "99", 99.9: "999", 99.99: "9999", 99.999: "99999"}
        return {
            "cpu": self.cpu, "mode": self.mode, "scheduler": self.scheduler, "threshold_ns": self.threshold_ns,
            "runtime_s": round(seconds, 6), "int_n": self.cnt, "int_n_per_sec": round(self.cnt / max(seconds, 1e-9), 3),
            "int_min_ns": self.min_ns, "int_mean_ns": round(self.mean_ns, 1),
            **{f"int_{keys[pct]}_ns": value for pct, value in self.percentile_ns.items()},
            "int_max_ns": self.max_ns, "int_total_ns": self.total_ns, "int_total_pct": round(100 * self.share, 6),
            "wait": [{"over_ns": over, "probability": share} for over, share in self.wait.items()],
            "rounds": self.rounds, "loop_ns": round(self.loop_ns, 2), "skipped": self.skipped,
            "attribution": {
                "off_cpu_ns": self.off_cpu_ns, "switches": self.switches, "faults": self.faults,
                "steal_ns": self.steal_ns, "smi": self.smi, "interrupts": self.interrupts, "softirqs": self.softirqs,
            },
            "histogram": [
                {"from_ns": row.from_ns, "to_ns": row.to_ns, "cnt": row.cnt, "total_ns": row.total_ns,
                 "period_ns": row.period_ns, "label": row.label} for row in self.bins
            ],
            "remarks": self.remarks,
        }  # fmt: skip


# ---- what the kernel counts ----


def cpu_list(text: str) -> list[int]:
    """A list of CPUs as the kernel writes it: 1,4-6; UsageError when it is none."""
    found: set[int] = set()
    for part in text.strip().split(","):
        match = re.fullmatch(r"\s*(\d{1,5})(?:-(\d{1,5}))?\s*", part)
        if not match or (match[2] and int(match[2]) < int(match[1])):
            raise UsageError(f"--cpus {text!r}: {part.strip()!r} is no CPU and no range of CPUs; an example: 1,4-6")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return sorted(found)


def per_cpu(text: str) -> dict[str, dict[int, int]]:
    """/proc/interrupts or /proc/softirqs: line -> CPU -> count. A line's name is its number and who asked for it."""
    lines = text.splitlines()
    cpus = [int(word[3:]) for word in lines[0].split()] if lines else []
    found: dict[str, dict[int, int]] = {}
    for line in lines[1:]:
        name, _, rest = line.partition(":")
        words = rest.split()
        counts = words[: len(cpus)]
        if len(counts) < len(cpus) or not all(word.isdigit() for word in counts):
            continue  # ERR and MIS have one number for all
        is_line = name.strip().isdigit()
        actions = words[len(cpus) + 2 :] if is_line else []  # behind the controller and the kind of trigger
        label = " ".join([name.strip(), *actions[-1:]]) if is_line else name.strip()
        found[label] = dict(zip(cpus, map(int, counts), strict=True))
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _steal(text: str) -> dict[int, int]:
    """/proc/stat: CPU -> ticks that the hypervisor gave to others."""
    rows = re.findall(r"^cpu(\d+)((?: \d+)+)$", text, re.MULTILINE)
    return {int(cpu): int(values.split()[7]) for cpu, values in rows if len(values.split()) > 7}


def _smi(cpu: int) -> int | None:
    try:
        with contextlib.closing(_Fd(f"/dev/cpu/{cpu}/msr")) as msr:
            return int.from_bytes(os.pread(msr.fd, 8, _SMI_COUNT_MSR), "little")
    except OSError:
        return None


class _Fd:
    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self.fd)


@dataclass(slots=True)
class _Counts:
    interrupts: dict[str, dict[int, int]]
    softirqs: dict[str, dict[int, int]]
    steal: dict[int, int]
    smi: dict[int, int | None]


def _counts(cpus: Sequence[int]) -> _Counts:
    return _Counts(
        per_cpu(_read("/proc/interrupts")),
        per_cpu(_read("/proc/softirqs")),
        _steal(_read("/proc/stat")),
        {cpu: _smi(cpu) for cpu in cpus},
    )


def _delta(before: dict[str, dict[int, int]], after: dict[str, dict[int, int]], cpu: int) -> dict[str, int]:
    grown = {name: row.get(cpu, 0) - before.get(name, {}).get(cpu, 0) for name, row in after.items()}
    return dict(sorted(((name, cnt) for name, cnt in grown.items() if cnt > 0), key=lambda row: -row[1]))


# ---- the meter ----


def _edges(low_ns: int, high_ns: int) -> list[int]:
    """Bounds of bins, _BINS_PER_DECADE to a decade, round numbers, around both values."""
    edges, decade = [], 1
    while decade <= high_ns * 10:
        edges += [round(decade * step) for step in (1, 2, 3, 5)]
        decade *= 10
    return [
        edge
        for at, edge in enumerate(edges)
        if (at + 1 < len(edges) and edges[at + 1] > low_ns) and (at == 0 or edges[at - 1] <= high_ns)
    ]


def _period(starts: np.ndarray[Any, Any], ns_per_tick: float) -> int | None:
    """The distance at which interruptions come when they come regularly, in ns."""
    if len(starts) < _PERIODIC_MIN:
        return None
    spacing = np.diff(starts.astype(np.float64)) * ns_per_tick
    low, middle, high = np.percentile(spacing, (25, 50, 75))
    return round(float(middle)) if high - low <= _PERIODIC_SPREAD * middle else None


def _hz() -> int:
    return os.sysconf("SC_CLK_TCK")


def _throttle_ns() -> tuple[int, int] | None:
    """What is kept for other tasks (length, period) when real-time tasks take all; None when nothing is."""
    try:
        runtime = int(_read("/proc/sys/kernel/sched_rt_runtime_us"))
        period = int(_read("/proc/sys/kernel/sched_rt_period_us"))
    except ValueError:
        return None
    return ((period - runtime) * 1000, period * 1000) if 0 <= runtime < period else None


def label(row: Bin, is_fifo: bool, throttle: tuple[int, int] | None) -> str:
    """What a class of interruptions probably is; only what its size and distance say by themselves."""
    if not row.cnt:
        return ""
    if throttle and is_fifo and row.from_ns * 0.9 <= throttle[0] <= row.to_ns * 1.1:
        if row.period_ns is None or abs(row.period_ns - throttle[1]) < throttle[1] // 10:
            return f"RT throttling: {throttle[0] / 1e6:g} ms of each {throttle[1] / 1e6:g} ms go to other tasks"
    for hertz in (100, 250, 300, 1000):
        if row.period_ns and abs(row.period_ns * hertz / 1e9 - 1) < 0.02:
            return f"every {row.period_ns / 1e6:.2f} ms: the timer tick at {hertz} Hz, or a task with this period"
    return f"every {row.period_ns / 1e6:.3g} ms" if row.period_ns else ""


def _bins(row: Any, gaps: np.ndarray[Any, Any] | None, cpu: Cpu, ns_per_unit: float) -> list[Bin]:
    if not cpu.cnt:
        return []
    edges = _edges(cpu.min_ns, cpu.max_ns)
    below = [int(lib.hwgw_hist_upto(row.hist, max(0, int(edge / ns_per_unit) - 1))) for edge in edges]
    below[-1] = cpu.cnt  # the last slot of the histogram has no upper end
    throttle = _throttle_ns()
    found = []
    for low, high, under, upto in zip(edges, edges[1:], below, below[1:], strict=False):
        total, period = 0, None
        if gaps is not None and len(gaps) == cpu.cnt:
            length = gaps["ticks"] * ns_per_unit
            chosen = (length >= low) & (length < high)
            total = round(float(length[chosen].sum()))
            period = _period(gaps["t_ticks"][chosen], ns_per_unit)
        one = Bin(low, high, upto - under, total, period)
        is_fifo = cpu.scheduler.startswith("fifo")
        found.append(Bin(low, high, one.cnt, total, period, label(one, is_fifo, throttle)))
    return found


def _remarks(row: Any, cpu: Cpu) -> list[str]:
    said = []
    if row.fifo_errno:
        said.append(f"SCHED_FIFO {row.fifo_priority} not had: {os.strerror(row.fifo_errno)}")
    if row.lock_errno:
        said.append(f"memory of the meter not locked: {os.strerror(row.lock_errno)} (memlock limit)")
    if cpu.faults:
        said.append(f"{cpu.faults} page faults of the meter's own thread")
    if cpu.mode == "gaps" and cpu.cnt > row.gap_cnt:
        said.append(f"times of the first {row.gap_cnt:,} of {cpu.cnt:,} interruptions kept; the statistics are of all")
    if cpu.loop_ns * 2 > cpu.threshold_ns and cpu.mode == "gaps":
        said.append(
            f"threshold {cpu.threshold_ns} ns is near the {cpu.loop_ns:.0f} ns that one look at the clock takes"
        )
    if cpu.steal_ns:
        share = cpu.steal_ns / max(cpu.run_ns, 1)
        said.append(f"steal: the hypervisor gave {share:.2%} of the time to others; this host cannot mend that")
    if cpu.smi:
        said.append(f"{cpu.smi} system management interrupts: firmware, see the vendor's latency guide")
    return said


def _result(row: Any, mode: str, before: _Counts, after: _Counts) -> Cpu:
    ns_per_tick = 1e9 / float(lib.hwgw_ticks_hz())
    unit = 1.0 if mode == "wakeups" else ns_per_tick
    cnt = int(lib.hwgw_hist_cnt(row.hist))
    run_ns = round((row.end_ticks - row.start_ticks) * ns_per_tick)
    is_fifo = row.fifo_priority > 0 and not row.fifo_errno
    smi_before, smi_after = before.smi[row.cpu], after.smi[row.cpu]
    ticks = after.steal.get(row.cpu, 0) - before.steal.get(row.cpu, 0)
    found = Cpu(
        cpu=row.cpu, mode=mode, scheduler=f"fifo {row.fifo_priority}" if is_fifo else "other",
        threshold_ns=row.threshold_ns if mode == "gaps" else 0, run_ns=run_ns, rounds=row.rounds,
        loop_ns=(run_ns - row.total_ticks * unit) / max(row.rounds, 1) if mode == "gaps" else 0.0, cnt=cnt,
        min_ns=round(row.min_ticks * unit), mean_ns=row.total_ticks * unit / cnt if cnt else 0.0,
        max_ns=round(lib.hwgw_hist_max(row.hist) * unit), total_ns=round(row.total_ticks * unit),
        percentile_ns={pct: round(lib.hwgw_hist_percentile(row.hist, pct) * unit) for pct in PERCENTILES},
        wait={}, skipped=row.skipped, switches=row.switches, faults=row.faults,
        off_cpu_ns=max(0, run_ns - row.cpu_ns) if mode == "gaps" else 0,
        steal_ns=ticks * 1_000_000_000 // _hz() if row.cpu in after.steal else None,
        smi=smi_after - smi_before if smi_after is not None and smi_before is not None else None,
        interrupts=_delta(before.interrupts, after.interrupts, row.cpu),
        softirqs=_delta(before.softirqs, after.softirqs, row.cpu),
    )  # fmt: skip
    if mode == "wakeups":
        found.wait = {over: 1 - lib.hwgw_hist_upto(row.hist, over) / max(cnt, 1) for over in WAITS_NS}
    else:
        found.wait = {
            over: min(1.0, lib.hwgw_hist_excess(row.hist, int(over / unit)) * unit / max(run_ns, 1))
            for over in WAITS_NS
        }
        kind = np.dtype([("t_ticks", np.uint64), ("ticks", np.uint64)])
        raw = ffi.buffer(row.gap, row.gap_cnt * kind.itemsize) if row.gap_cnt else b""
        found.gaps = np.frombuffer(bytes(raw), kind)
    found.bins = _bins(row, found.gaps, found, unit)
    found.remarks = _remarks(row, found)
    return found


def measure(
    cpus: Sequence[int],
    seconds: float,
    *,
    mode: str = "gaps",
    fifo: int = 0,
    threshold_ns: int = THRESHOLD_NS,
    interval_ns: int = INTERVAL_NS,
    progress: Callable[[], None] | None = None,
) -> list[Cpu]:
    """Run the meter on every one of the CPUs at the same time. progress is called ten times a second meanwhile; what it
    raises ends the run."""
    allowed = os.sched_getaffinity(0)
    online = set(cpu_list(_read("/sys/devices/system/cpu/online") or "0"))
    if missing := [cpu for cpu in cpus if cpu not in online]:
        raise UsageError(f"--cpus: CPU {missing[0]} is not online; there are {len(online)}: {_shown(online)}")
    if fifo and online <= set(cpus) and len(online) > 1:
        raise UsageError("--fifo on every CPU would leave none to the rest of the host: leave one out with --cpus")
    rows = ffi.new("struct hwgw_jitter[]", len(cpus))
    keep = []
    for row, cpu in zip(rows, cpus, strict=True):
        row.cpu, row.fifo_priority, row.mode = cpu, fifo, MODES.index(mode)
        row.run_ns, row.threshold_ns, row.interval_ns = round(seconds * 1e9), threshold_ns, interval_ns
        hist = ffi.new("char[]", lib.hwgw_hist_sz_bytes())
        row.hist = ffi.cast("struct hwgw_hist *", hist)
        row.gap_max = GAPS_KEPT if mode == "gaps" else 0
        gaps = ffi.new("struct hwgw_jitter_gap[]", max(1, row.gap_max))
        row.gap = gaps
        keep += [hist, gaps]
    stop = ffi.new("uint32_t *")
    failed: list[BaseException] = []

    def run() -> None:
        try:
            call(lib.hwgw_jitter_run, rows, len(cpus), stop)
        except BaseException as error:
            failed.append(error)

    worker = threading.Thread(target=run, name="hwgw-jitter")
    before = _counts(cpus)
    others = allowed - set(cpus)
    if others:
        os.sched_setaffinity(0, others)  # this thread, which only waits, does not wait where it would disturb
    worker.start()
    try:
        while worker.is_alive():
            worker.join(0.1)
            if progress:
                progress()
    finally:
        stop[0] = 1
        worker.join()
        os.sched_setaffinity(0, allowed)
    if failed:
        raise failed[0]
    after = _counts(cpus)
    return [_result(row, mode, before, after) for row in rows]


def _shown(cpus: set[int]) -> str:
    """A set of CPUs as the kernel writes it."""
    parts: list[str] = []
    ordered = sorted(cpus)
    start = 0
    for at, cpu in enumerate(ordered):
        if at + 1 < len(ordered) and ordered[at + 1] == cpu + 1:
            continue
        parts.append(str(cpu) if cpu == ordered[start] else f"{ordered[start]}-{cpu}")
        start = at + 1
    return ",".join(parts)
