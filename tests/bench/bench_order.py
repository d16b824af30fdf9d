"""Cost of an order: its encoding by template against field by field, and its whole way into the send buffer.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ctypes
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from hwgw.native import call, ffi, lib

from .harness import Options, Result, by_turns, compile_shared, result

SYMBOL_CNT = 64
ORDER_CNT = 4096  # the session's table; also more orders than a branch predictor learns by heart
BATCH_SZ = 64


def session_new(names: Any) -> Any:
    """A session that is never connected; names must outlive it."""
    cfg = ffi.new("struct hwgw_session_cfg *")
    cfg.address, cfg.port, cfg.requested_seq = 0x7F000001, 1, 1
    cfg.username, cfg.password, cfg.requested_session, cfg.firm = b" " * 6, b" " * 10, b" " * 10, b" " * 4
    cfg.capacity, cfg.display = b"P", b"Y"
    cfg.login_timeout_ms, cfg.dead_link_ms = 5_000, 15_000
    cfg.symbols, cfg.instrument_cnt = names, SYMBOL_CNT
    handle = ffi.new("struct hwgw_session **")
    call(lib.hwgw_session_open, handle, cfg)
    return handle[0]


def orders_new(seed: int) -> Any:
    """Limit orders as a strategy may send them: both sides, some short, some immediate or cancel."""
    rng = random.Random(seed)
    orders = ffi.new("struct hwgw_order[]", ORDER_CNT)
    for index in range(ORDER_CNT):
        order = orders[index]
        order.kind, order.type = lib.HWGW_ORDER_KIND_NEW, lib.HWGW_ORDER_TYPE_LIMIT
        order.side = rng.choice((lib.HWGW_ORDER_SIDE_BUY, lib.HWGW_ORDER_SIDE_SELL))
        if order.side == lib.HWGW_ORDER_SIDE_SELL and rng.random() < 0.3:
            order.flags = lib.HWGW_ORDER_FLAGS_SHORT_SALE
        order.tif = rng.choice((lib.HWGW_ORDER_TIF_DAY, lib.HWGW_ORDER_TIF_IOC))
        order.ref, order.instrument = index + 1, rng.randrange(SYMBOL_CNT)
        order.px, order.qty = rng.randrange(1, 10_000_000), rng.randrange(1, 1_000)
    return orders


def run(options: Options) -> list[Result]:
    """encode_ns_p50 with the plain encoder as baseline, and session_order_ns_p50."""
    with tempfile.TemporaryDirectory() as folder:
        bench = ctypes.CDLL(str(compile_shared(Path(__file__).parent / "order_bench.c", Path(folder))))
    bench.bench_encode.restype = bench.bench_session.restype = ctypes.c_uint64
    names = ffi.new("char[]", b"".join(f"SYM{index:<5}".encode() for index in range(SYMBOL_CNT)))
    orders = orders_new(options.seed)
    session = session_new(names)
    batch_cnt = options.size(20_000, 1_000)
    ticks = (ctypes.c_uint64 * batch_cnt)()
    ns = 1e9 / lib.hwgw_ticks_hz() / BATCH_SZ
    work: set[int] = set()

    def pointer(value: Any) -> ctypes.c_void_p:
        return ctypes.c_void_p(int(ffi.cast("uintptr_t", value)))

    def measure(function: Any, encode: ctypes.c_void_p) -> float:
        work.add(function(encode, pointer(session), pointer(orders), ORDER_CNT, BATCH_SZ, batch_cnt, ticks))
        return statistics.median(ticks) * ns

    ours = pointer(ffi.addressof(lib, "hwgw_order_encode"))
    plain = ctypes.cast(bench.bench_encode_plain, ctypes.c_void_p)
    encode = by_turns(
        options.runs(), lambda: measure(bench.bench_encode, ours), lambda: measure(bench.bench_encode, plain)
    )
    if len(work) != 1:
        raise AssertionError(f"the two encoders wrote different bytes: {work}")
    options.say(f"{batch_cnt * BATCH_SZ:,} orders a run, {BATCH_SZ} between two time stamps, bytes {work.pop():016x}")

    send = pointer(ffi.addressof(lib, "hwgw_session_order"))
    (whole,) = by_turns(options.runs(), lambda: measure(bench.bench_session, send))
    if work != {batch_cnt * BATCH_SZ}:
        raise AssertionError(f"the session encoded {work} of {batch_cnt * BATCH_SZ} orders")
    lib.hwgw_session_close(session)
    return [
        result("encode_ns_p50", "ns", encode[0], "field by field, without template", encode[1]),
        result("session_order_ns_p50", "ns", whole),
    ]
