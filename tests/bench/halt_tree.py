"""Halt and limits of a gateway as `hwgw run` makes it: control process, data process, and this one that halts.

SPDX-License-Identifier: MIT

The simulated exchange sends a feed on loopback and answers orders over TCP; a strategy sends an order at every
update. Where there are two cores the pipeline has the last one for itself. Figures, each of so many trials:

halt_alive     from before the store until the halt was in force and the last byte had gone to the venue
halt_stopped   the same while the control process is stopped by SIGSTOP
halt_tool      from before hwgw-halt is started, the control process stopped, until the halt is in force
halt_killed    from before SIGKILL of the control process until the halt that this makes is in force; each trial is a
               gateway of its own
limits_ack     from a new limits table in the segment until the pipeline has acknowledged it, orders flowing
"""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hwgw import specs
from hwgw.native import ffi, lib
from hwgw.segment import Segment

from .bench_pipeline import Native
from .harness import ROOT, Options, Result, Unavailable, result

sys.path.insert(0, str(ROOT / "tests"))

from support.market import Market, until
from support.rig import compile_probe

RATE, SYMBOLS = 50_000, 4
WATCH_US, PATIENCE_S = 200, 2
FOREVER = {"beat_age_max": "600s"}
TOOL = Path(sys.executable).with_name("hwgw-halt")
NEVER = 2**64 - 1


class Tree:
    """A gateway under load, seen through its segment."""

    def __init__(self, native: Native, segment: Segment, pid: int, say: Callable[[str], None]) -> None:
        self.native, self.segment, self.pid, self.say = native, segment, pid, say
        index = next(each.index for each in specs.counters() if each.full_name == "session.tx_bytes")
        self.sent = self._words("uint64_t *", lib.hwgw_segment_counters(segment.pointer, 0) + index)
        control = lib.hwgw_segment_control(segment.pointer)
        self.halt = self._words("uint32_t *", ffi.addressof(control, "halt"))
        self.ack = self._words(
            "uint64_t *", ffi.addressof(lib.hwgw_segment_thread(segment.pointer, 0), "generation_ack")
        )
        self.target = native.pointer(segment.pointer)
        self.patience = lib.hwgw_ticks_hz() * PATIENCE_S

    def _words(self, kind: str, at: Any) -> Any:
        return self.native.ffi.cast(kind, int(ffi.cast("uintptr_t", at)))

    def flowing(self) -> None:
        """Return while orders leave: a halt between two of them would show nothing."""
        end = time.monotonic() + 20
        before = self.sent[0]
        while self.sent[0] == before or self.halt[0]:
            if self.halt[0]:  # a venue tells a new gateway of the orders of the one before
                self.segment.resume()
            if time.monotonic() > end:
                raise Unavailable(f"no order for 20 s: {self.segment.halts} {self.segment.thread_status()}")
            time.sleep(0.00005)  # the exchange may be on this core

    def trials(self, cnt: int, seconds: float) -> Iterator[int]:
        """The numbers of so many trials, or of as many as the time allows, which is said."""
        end = time.monotonic() + seconds
        for turn in range(cnt):
            if time.monotonic() > end:
                self.say(f"halt: {turn} of {cnt} trials in {seconds} s: orders come too slowly on this machine now")
                return
            yield turn

    def halts(self, cnt: int, rng: random.Random) -> list[float]:
        """So many halts and resumes, in microseconds."""
        function = self.native.pointer(ffi.addressof(lib, "hwgw_halt"))
        watch, late = lib.hwgw_ticks_hz() * WATCH_US // 1_000_000, self.native.ffi.new("uint64_t *")
        values: list[int] = []
        for _ in self.trials(cnt, 14):
            self.flowing()
            time.sleep(rng.uniform(0.0001, 0.0008))
            reason = lib.HWGW_RISK_REASON_OPERATOR
            values.append(self.native.driver.halt_and_watch(function, self.target, reason, self.sent, watch, late))
            self.segment.resume()
        return _us(values)

    def tools(self, cnt: int) -> list[float]:
        """So many runs of hwgw-halt."""
        values: list[int] = []
        for _ in self.trials(cnt, 6):
            self.flowing()
            name = self.segment.name.encode()
            values.append(self.native.driver.spawn_and_watch(bytes(TOOL), name, self.halt, self.patience))
            self.segment.resume()
        return _us(values)

    def limits(self, cnt: int) -> list[float]:
        """So many new tables, by turns with a little other limits."""
        dtype = ffi.sizeof("struct hwgw_limits")
        tables = []
        for qty in (0, 1):
            table = self.segment.limits()
            if table is None:
                raise Unavailable("the gateway has no limits")
            table["instrument"]["qty_max"] += qty
            tables.append(ffi.from_buffer("struct hwgw_limits *", bytearray(table.tobytes())))
            assert len(table.tobytes()) == dtype
        publish = self.native.pointer(ffi.addressof(lib, "hwgw_limits_publish"))
        values = []
        for turn in self.trials(cnt, 10):
            self.flowing()
            table = self.native.pointer(tables[turn % 2])
            values.append(self.native.driver.publish_and_watch(publish, self.target, table, self.ack, self.patience))
        return _us(values)

    def killed(self) -> list[float]:
        """From the control process's end to the time on record of the halt; empty when something else halted meanwhile.

        Nobody spins for it: who ends, and who notices that, may need this core.
        """
        self.flowing()
        begun, end = time.time_ns(), time.monotonic() + PATIENCE_S
        os.kill(self.pid, signal.SIGKILL)
        while not self.halt[0]:
            if time.monotonic() > end:
                raise Unavailable(f"a trial was not over within {PATIENCE_S} s")
            time.sleep(0.001)
        found = self.segment.halts
        return [(found[0]["time_ns"] - begun) / 1e3] if [row["reason"] for row in found] == ["control_lost"] else []


def _us(ticks: list[int]) -> list[float]:
    if NEVER in ticks:
        raise Unavailable(f"a trial was not over within {PATIENCE_S} s")
    return [lib.hwgw_ticks_to_ns(each) / 1e3 for each in ticks]


@contextmanager
def _running(market: Market, native: Native, say: Callable[[str], None]) -> Iterator[tuple[Tree, Any]]:
    process = market.start(**FOREVER)
    with market.attached("session.logins") as segment:
        yield Tree(native, segment, process.pid, say), process


def _killed(market: Market, native: Native, cnt: int, seconds: float, say: Callable[[str], None]) -> list[float]:
    """A gateway per trial; when the time is over there are fewer, and that is said."""
    values: list[float] = []
    end = time.monotonic() + float(os.environ.get("HWGW_KILL_SECONDS", seconds))
    while len(values) < cnt and time.monotonic() < end:
        with _running(market, native, say) as (tree, process):
            values += tree.killed()
            process.wait()
            market.started.remove(process)
            until(lambda segment=tree.segment: not segment.running(), "the data process is gone")
            tree.segment.resume()
        Path(f"/dev/shm/hwgw-{market.name}").unlink(missing_ok=True)
    if len(values) < cnt:
        say(f"halt_killed: {len(values)} of {cnt} trials in the time there was; HWGW_KILL_SECONDS gives more")
    return values


def _results(name: str, values: list[float], *parts: str) -> list[Result]:
    values = sorted(values)
    share = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
    return [result(f"{name}_us_{part}", "us", [values[math.ceil(len(values) * share[part]) - 1]]) for part in parts]


def run(options: Options) -> list[Result]:
    """All figures; at most some 60 s."""
    rng, results = random.Random(options.seed), []
    allowed = os.sched_getaffinity(0)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        native, probe = Native(folder), compile_probe(folder / "probe.so")
        if len(allowed) > 1:
            os.sched_setaffinity(0, allowed - {max(allowed)})
            stack.callback(os.sched_setaffinity, 0, allowed)
        market = stack.enter_context(Market(folder, rate=RATE, seconds=600, symbols=SYMBOLS, recovery=()))
        market.cpu = max(allowed) if len(allowed) > 1 else None
        market.strategies = [{"name": "probe", "use": f"c:{probe}", "account": 1, "armed": True, "params": {"qty": 1}}]
        with _running(market, native, options.say) as (tree, process):
            cnt = options.size(1_000, 10)
            tree.flowing()
            before = tree.segment.counters()["order.encoded"], time.monotonic()
            alive = tree.halts(cnt, rng)
            results += _results("halt_alive", alive, "p50", "p999", "max")
            results += _results("limits_ack", tree.limits(cnt), "p50", "p999", "max")
            process.send_signal(signal.SIGSTOP)
            results += _results("halt_stopped", tree.halts(cnt, rng), "p50", "p999", "max")
            results += _results("halt_tool", tree.tools(options.size(100, 2)), "p50", "p99")
            process.send_signal(signal.SIGCONT)
            rate = (tree.segment.counters()["order.encoded"] - before[0]) / (time.monotonic() - before[1])
            options.say(f"halt: {cnt} trials each, {rate:,.0f} orders/s at {RATE:,} messages/s")
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        killed = _killed(market, native, options.size(1_000, 1), 20, options.say)
        options.say(f"halt_killed: {len(killed)} gateways killed")
        return results + _results("halt_killed", killed, "p50", "p999", "max")
