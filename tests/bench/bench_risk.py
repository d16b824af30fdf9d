"""Cost of a verdict: all 18 checks and the reservation, 1,000 instruments live, each order timed on its own.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ctypes
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from hwgw import specs
from hwgw.native import ffi, lib

from .harness import COMPILE_FLAGS, ROOT, Options, Result, by_turns, compile_shared, result

INSTRUMENT_CNT = 1_000
ACCOUNT_CNT, STRATEGY_CNT = 4, 8
PX = 1_000_000
ALIGN = 128
U64_MAX = 2**64 - 1


def limits_new() -> Any:
    """Limits that refuse nothing of this load, every check on."""
    table = np.zeros(1, specs.dtype("risk", "limits"))
    bucket = {"rate_burst": 1_000, "rate_refill_ns": 100}
    account = bucket | {"credit_max": U64_MAX, "loss_max": U64_MAX, "open_max": 4_096}
    instrument = {
        "flags": 1,
        "qty_max": 1_000,
        "notional_max": 10**10,
        "collar_px_min": 50_000,
        "collar_q16": 3_276,
        "long_max": 2**31 - 1,
        "short_max": 2**31 - 1,
        "locate_qty": 2**32 - 1,
    }
    for part, values in (
        ("gateway", account),
        ("account", account),
        ("strategy", bucket | {"fills_max": 2**32 - 1, "rejects_run_max": 2**32 - 1}),
        ("instrument", instrument),
    ):
        for name, value in values.items():
            table[part][name] = value
    table["generation"], table["checks_enabled"] = 1, 2**32 - 1
    table["beat_age_max_ns"] = table["ref_age_max_ns"] = U64_MAX
    memory = ffi.new("struct hwgw_limits *")
    ffi.memmove(memory, table.tobytes(), ffi.sizeof("struct hwgw_limits"))
    memory.checksum = lib.hwgw_limits_checksum(memory)
    return memory


def gate_new(limits: Any) -> tuple[Any, Any]:
    """A gate that is up, and the memory that holds it."""
    memory = ffi.new("char[]", lib.hwgw_risk_sz_bytes() + ALIGN)
    address = int(ffi.cast("uintptr_t", memory))
    risk = ffi.cast("struct hwgw_risk *", address + -address % ALIGN)
    lib.hwgw_risk_init(risk)

    def say(table: Any = ffi.NULL, **fields: int) -> None:
        if lib.hwgw_risk_event(risk, ffi.new("struct hwgw_order *", {"ts_ns": 1_000} | fields), table) != 0:
            raise AssertionError(f"the gate did not take {fields}")

    say(limits, kind=lib.HWGW_ORDER_KIND_LIMITS, venue_ref=1)
    say(kind=lib.HWGW_ORDER_KIND_BEAT)
    for strategy in range(STRATEGY_CNT):
        say(kind=lib.HWGW_ORDER_KIND_ARM, strategy=strategy)
    for instrument in range(INSTRUMENT_CNT):
        say(kind=lib.HWGW_ORDER_KIND_FEED, instrument=instrument, qty=1)
        say(kind=lib.HWGW_ORDER_KIND_REF, instrument=instrument, px=PX)
    return risk, memory


def orders_new(rng: random.Random, order_cnt: int) -> Any:
    """Limit orders of both sides inside the collar, bids below the reference and asks above it."""
    orders = ffi.new("struct hwgw_order[]", order_cnt)
    for order in orders:
        is_buy = rng.random() < 0.5
        away = rng.randrange(1, 5_000)
        order.kind, order.type, order.tif = lib.HWGW_ORDER_KIND_NEW, lib.HWGW_ORDER_TYPE_LIMIT, lib.HWGW_ORDER_TIF_DAY
        order.side = lib.HWGW_ORDER_SIDE_BUY if is_buy else lib.HWGW_ORDER_SIDE_SELL
        order.flags = 0 if is_buy else lib.HWGW_ORDER_FLAGS_SHORT_SALE
        order.account, order.strategy = rng.randrange(ACCOUNT_CNT), rng.randrange(STRATEGY_CNT)
        order.instrument = rng.randrange(INSTRUMENT_CNT)
        order.px, order.qty = PX - away if is_buy else PX + away, rng.randrange(1, 100)
    return orders


def pointer(value: Any) -> ctypes.c_void_p:
    """A C pointer of cffi for ctypes."""
    return ctypes.c_void_p(int(ffi.cast("uintptr_t", value)))


def instructions(options: Options) -> list[Result]:
    """Executed instructions of one passed order, in the gate and in circuit breakers; no neighbour moves them."""
    valgrind, compiler = shutil.which("valgrind"), shutil.which("cc")
    if not valgrind or not compiler:
        options.leave_out("risk_instructions", "needs valgrind and a C compiler")
        return []
    cnt, found = options.size(100_000, 2_000), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-B", str(ROOT / "cffi_build" / "gen.py"), name], check=True)
        sources = [ROOT / "cffi_build" / "src" / file for file in ("risk.c", "risk_fact.c", "breaker.c")]
        includes = [f"-I{folder}", f"-I{ROOT / 'cffi_build' / 'src'}", f"-I{ROOT / 'cffi_build' / 'include'}"]
        command = [compiler, *COMPILE_FLAGS, "-march=x86-64-v2", *includes, "-o", str(folder / "count")]
        subprocess.run([*command, str(Path(__file__).with_name("risk_count.c")), *map(str, sources)], check=True)
        for figure, function, rules in (
            ("risk_instructions", "judge", 0), ("breaker_instructions_no_rule", "count", 0),
            ("breaker_instructions_4_rules", "count", 4),
        ):  # fmt: skip
            watch = [valgrind, "--tool=callgrind", f"--toggle-collect={function}", "--callgrind-out-file=/dev/null"]
            watched = [*watch, str(folder / "count"), str(cnt), str(rules)]
            done = subprocess.run(watched, capture_output=True, text=True, check=True)
            total = re.search(r"Collected : (\d+)", done.stderr)
            found.append(result(figure, "1/order", [int(total[1]) / cnt if total else 0.0]))
    return found


def run(options: Options) -> list[Result]:
    """risk_ns_p50 and risk_ns_p99, with what the two time stamps alone cost beside them."""
    order_cnt = options.size(200_000, 2_000)
    limits = limits_new()
    risk, memory = gate_new(limits)
    orders = orders_new(random.Random(options.seed), order_cnt)
    ref, ts_ns = ctypes.c_uint32(0), ctypes.c_uint64(10**9)
    ticks = np.zeros(order_cnt, np.uint64)
    ns = 1e9 / lib.hwgw_ticks_hz()
    judge = pointer(ffi.addressof(lib, "hwgw_risk_event"))

    with tempfile.TemporaryDirectory() as folder:
        bench = ctypes.CDLL(str(compile_shared(Path(__file__).with_name("risk_bench.c"), Path(folder))))
    bench.bench_risk.restype = ctypes.c_uint64
    nothing = ctypes.cast(bench.bench_risk_nothing, ctypes.c_void_p)

    def measure(everything: ctypes.c_void_p, timed: ctypes.c_void_p) -> tuple[float, float]:
        passed = bench.bench_risk(
            everything,
            timed,
            pointer(risk),
            pointer(orders),
            ctypes.c_uint32(order_cnt),
            ctypes.byref(ref),
            ctypes.byref(ts_ns),
            ticks.ctypes.data_as(ctypes.c_void_p),
        )
        if passed != order_cnt:
            raise AssertionError(f"{passed} of {order_cnt} orders passed: this is not the whole path")
        p50, p99 = np.percentile(ticks, (50, 99))
        return float(p50) * ns, float(p99) * ns

    gate, stamps = by_turns(options.runs(), lambda: measure(judge, judge), lambda: measure(nothing, nothing))
    del memory
    options.say(f"{order_cnt:,} passed orders a run in {INSTRUMENT_CNT:,} instruments, last ref {ref.value:,}")
    baseline = "an empty function between the same time stamps"
    return [
        result("risk_ns_p50", "ns", [p50 for p50, _ in gate], baseline, [p50 for p50, _ in stamps]),
        result("risk_ns_p99", "ns", [p99 for _, p99 in gate], baseline, [p99 for _, p99 in stamps]),
        *instructions(options),
    ]
