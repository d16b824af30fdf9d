"""Cost of an order: its encoding by template against field by field, its whole way into the send buffer, its answers.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ctypes
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from hwgw_sim.exchange.fix import frame
from hwgw_sim.golden import order as golden
from hwgw_sim.golden import order_ouch42 as golden_ouch42

from hwgw.native import call, ffi, lib

from .harness import Options, Result, by_turns, compile_shared, result

SYMBOL_CNT = 64
ORDER_CNT = 4096  # the session's table; also more orders than a branch predictor learns by heart
BATCH_SZ = 64


def session_new(names: Any, protocol: int = 0) -> Any:
    """A session that is never connected; names must outlive it."""
    cfg = ffi.new("struct hwgw_session_cfg *")
    cfg.protocol, cfg.sender, cfg.target, cfg.heartbeat_s = protocol, b"HWGW", b"VENUE", 10
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


MESSAGE_SZ = 256
TABLES = {"ouch50": golden.OUCH, "ouch42": golden_ouch42.OUCH}
PROTOCOLS = (*TABLES, "fix44")


def message_of(protocol: str, kind: str, ref: int) -> bytes:
    """An acknowledgement of the venue: accepted, executed or canceled."""
    if protocol == "fix44":
        exec_type = {"accepted": "0", "executed": "F", "canceled": "4"}[kind]
        fields = [(35, "8"), (49, "VENUE"), (56, "HWGW"), (34, ref % 10**6), (52, "20260105-14:30:00.000"), (37, 900)]
        fields += [(11, f"{ref:010d}"), (17, ref), (150, exec_type), (39, "0"), (55, "AAPL"), (54, 1), (38, 100)]
        fields += [(44, "100.2500"), (151, 60), (14, 40), (6, "100.2500"), (32, 40), (31, "100.2500")]
        return frame("FIX.4.4", fields)
    table = TABLES[protocol]
    order: dict[str, int | str] = {"side": "B", "order_state": "L", "price": 1_000_000}
    layouts = {
        "accepted": ("order_accepted", "accepted", order),
        "executed": ("order_executed", "executed", {}),
        "canceled": ("order_canceled", "canceled", {}),
    }
    ouch50, ouch42, values = layouts[kind]
    if protocol == "ouch50":
        return golden.build(table, ouch50, user_ref_num=ref, quantity=100, **values)
    shares = {"accepted": "shares", "executed": "executed_shares", "canceled": "decrement_shares"}[kind]
    return golden.build(table, ouch42, order_token=golden_ouch42.token(ref), **{shares: 100}, **values)


def decode_ns(bench: Any, options: Options, protocol: str, names: Any, rng: random.Random) -> list[float]:
    """Nanoseconds to decode an acknowledgement: by turns accepted, executed, canceled, in no order."""
    session = session_new(names, getattr(lib, f"HWGW_PROTOCOL_{protocol.upper()}"))
    refs = [rng.randrange(1, 2**32) for _ in range(ORDER_CNT)]
    made = [message_of(protocol, rng.choice(("accepted", "executed", "canceled")), ref) for ref in refs]
    data = b"".join(message.ljust(MESSAGE_SZ, b"\0") for message in made)
    lens = (ctypes.c_uint32 * ORDER_CNT)(*map(len, made))
    batch_cnt = options.size(20_000, 1_000)
    ticks = (ctypes.c_uint64 * batch_cnt)()
    function = ctypes.c_void_p(int(ffi.cast("uintptr_t", ffi.addressof(lib, "hwgw_session_decode"))))
    handle = ctypes.c_void_p(int(ffi.cast("uintptr_t", session)))

    def measure() -> float:
        done = bench.bench_decode(function, handle, data, lens, ORDER_CNT, BATCH_SZ, batch_cnt, ticks)
        if done != sum(refs[index % ORDER_CNT] for index in range(batch_cnt * BATCH_SZ)) % 2**64:
            raise AssertionError(f"{protocol}: not every message was decoded")
        return statistics.median(ticks) * 1e9 / lib.hwgw_ticks_hz() / BATCH_SZ

    (spent,) = by_turns(options.runs(), measure)
    lib.hwgw_session_close(session)
    return spent


def run(options: Options) -> list[Result]:
    """encode_ns_p50 with the plain encoder as baseline, and session_order_ns_p50."""
    with tempfile.TemporaryDirectory() as folder:
        bench = ctypes.CDLL(str(compile_shared(Path(__file__).parent / "order_bench.c", Path(folder))))
    bench.bench_encode.restype = bench.bench_session.restype = bench.bench_decode.restype = ctypes.c_uint64
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

    session = session_new(names, lib.HWGW_PROTOCOL_OUCH42)
    (ouch42,) = by_turns(options.runs(), lambda: measure(bench.bench_encode, ours))
    lib.hwgw_session_close(session)
    session = session_new(names, lib.HWGW_PROTOCOL_FIX44)
    (fix44,) = by_turns(options.runs(), lambda: measure(bench.bench_encode, ours))
    lib.hwgw_session_close(session)
    rng = random.Random(options.seed)
    decoded = {protocol: decode_ns(bench, options, protocol, names, rng) for protocol in PROTOCOLS}
    return [
        result("encode_ns_p50", "ns", encode[0], "field by field, without template", encode[1]),
        result("session_order_ns_p50", "ns", whole),
        result("encode_ouch42_ns_p50", "ns", ouch42),
        result("encode_fix44_ns_p50", "ns", fix44),
        *(result(f"decode_{protocol}_ns_p50", "ns", spent) for protocol, spent in decoded.items()),
    ]
