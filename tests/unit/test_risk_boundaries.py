"""Every limit of the risk gate at limit - 1, limit and limit + 1, on both sides, flat, long and short.

Each case says where the tested figure stands (offset -1, 0 or 1 from its limit) and what the verdict must be; golden
model and C must both give it, and agree in all state.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hwgw_sim.golden.risk import BUY, MARKET, PX_MAX, SELL, SLOT_CNT
from support.risk import ACCOUNT, INSTRUMENT, PX, STRATEGY, Bench

Case = Callable[[Bench, int, int], tuple[str, str]]  # gate, side, offset -> what came, what must come
QTY = 100
HOLDINGS = {"flat": 0, "long": 300, "short": -300}
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def beyond(offset: int, reason: str) -> str:
    """An inclusive limit: one more than the limit is refused."""
    return reason if offset > 0 else "pass"


def at_least(offset: int, reason: str) -> str:
    """The limit itself is needed: one less is refused."""
    return reason if offset < 0 else "pass"


@case
def beat_age(bench, side, offset):
    now = bench.ts + 50_000
    bench.limit(beat_age_max_ns=now - bench.golden.last_beat - offset)
    return bench.order(side, ts_ns=now), beyond(offset, "control_stale")


@case
def clock(bench, side, offset):
    return bench.order(side, ts_ns=bench.golden.last_ts + offset), at_least(offset, "clock")


@case
def ref_above_the_last(bench, side, offset):
    bench.order(side, ref=50)
    return bench.order(side, ref=51 + offset, qty=101), at_least(offset, "malformed")


@case
def px_max(bench, side, offset):
    bench.limit(instrument={"collar_px_min": 2**32 - 1})
    return bench.order(side, px=PX_MAX + offset, qty=1), beyond(offset, "malformed")


@case
def account_index(bench, side, offset):
    return bench.order(side, account=15 + offset), beyond(offset, "malformed")


@case
def strategy_index(bench, side, offset):
    bench.say("arm", strategy=62)
    bench.say("arm", strategy=63)
    return bench.order(side, strategy=63 + offset), beyond(offset, "malformed")


@case
def fills_max(bench, side, offset):
    for _ in range(3):
        bench.order(BUY)
        bench.say("executed", ref=bench.ref, qty=QTY, px=PX)
    fills = bench.golden.strategies[STRATEGY].fills
    bench.limit(strategy={"fills_max": fills + 1 + offset})
    return bench.order(side), at_least(offset, "strategy")


@case
def rejects_run_max(bench, side, offset):
    for _ in range(3):
        assert bench.order(side, qty=0) == "malformed"
    bench.limit(strategy={"rejects_run_max": 4 + offset})
    return bench.order(side), at_least(offset, "strategy")


@case
def instrument_index(bench, side, offset):
    for instrument in (1022, 1023):
        bench.say("feed", instrument=instrument, qty=1)
        bench.say("ref", instrument=instrument, px=PX)
    return bench.order(side, instrument=1023 + offset), beyond(offset, "instrument")


@case
def qty_max(bench, side, offset):
    bench.limit(instrument={"qty_max": QTY})
    return bench.order(side, qty=QTY + offset), beyond(offset, "qty")


@case
def notional_max(bench, side, offset):
    bench.limit(instrument={"notional_max": QTY * PX - offset})
    return bench.order(side), beyond(offset, "notional")


@case
def notional_max_of_a_market_order(bench, side, offset):
    edge = PX + 500 if side == BUY else PX - 500
    bench.limit(instrument={"collar_px_min": 500, "notional_max": QTY * edge - offset})
    return bench.order(side, type=MARKET, px=0), beyond(offset, "notional")


@case
def ref_age(bench, side, offset):
    now = bench.ts + 50_000
    bench.limit(ref_age_max_ns=now - bench.golden.instruments[INSTRUMENT].ref_ts - offset)
    return bench.order(side, ts_ns=now), beyond(offset, "collar")


@case
def collar_of_its_own_side(bench, side, offset):
    bench.limit(instrument={"collar_px_min": 500})
    px = PX + 500 + offset if side == BUY else PX - 500 - offset
    return bench.order(side, px=px), beyond(offset, "collar")


@case
def collar_of_the_other_side_is_open(bench, side, offset):
    bench.limit(instrument={"collar_px_min": 500})
    px = PX - 500 - offset if side == BUY else PX + 500 + offset
    return bench.order(side, px=px), "pass"


@case
def collar_both(bench, side, offset):
    bench.limit(instrument={"collar_px_min": 500, "flags": 3})
    px = PX - 500 - offset if side == BUY else PX + 500 + offset
    return bench.order(side, px=px), beyond(offset, "collar")


@case
def collar_share_of_the_reference(bench, side, offset):
    band = PX * 655 >> 16
    bench.limit(instrument={"collar_px_min": band - 1, "collar_q16": 655})
    px = PX + band + offset if side == BUY else PX - band - offset
    return bench.order(side, px=px), beyond(offset, "collar")


@case
def position(bench, side, offset):
    state = bench.golden.instruments[INSTRUMENT]
    name, worst = ("long_max", state.long_worst) if side == BUY else ("short_max", state.short_worst)
    bench.limit(instrument={name: worst + QTY - offset})
    return bench.order(side), beyond(offset, "position")


@case
def position_with_an_open_order(bench, side, offset):
    assert bench.order(side, qty=40) == "pass"
    return position(bench, side, offset)


@case
def position_is_not_limited_by_the_other_side(bench, side, offset):
    name = "short_max" if side == BUY else "long_max"
    bench.limit(instrument={name: -(2**31) + 1 + offset})
    return bench.order(side), "pass"


@case
def position_width(bench, side, offset):
    bench.limit(checks_enabled=2**32 - 1 & ~(1 << 11))
    state = bench.golden.instruments[INSTRUMENT]
    worst = state.long_worst if side == BUY else state.short_worst
    return bench.order(side, qty=2**31 - 1 - worst + offset), beyond(offset, "position")


@case
def sell_marked_long(bench, side, offset):
    owned = max(-bench.golden.instruments[INSTRUMENT].short_worst, 1)
    sells_too_much = side == SELL and owned + offset > -bench.golden.instruments[INSTRUMENT].short_worst
    if owned + offset == 0:
        return "pass", "pass"  # an order of no shares is malformed, see there
    return bench.order(side, qty=owned + offset, flags=0), "short_sale" if sells_too_much else "pass"


@case
def locate_qty(bench, side, offset):
    used = bench.golden.instruments[INSTRUMENT].short_used
    bench.limit(instrument={"locate_qty": used + QTY - offset})
    return bench.order(side), beyond(offset, "short_sale") if side == SELL else "pass"


@case
def short_used_width(bench, side, offset):
    bench.limit(checks_enabled=2**32 - 1 & ~(1 << 12))
    state = bench.golden.instruments[INSTRUMENT]
    while state.short_used < 2**32 - 1000:
        bench.hold(2**31 - 1 - state.long_worst)
        bench.hold(-min(2**31, 2**32 - 1000 - state.short_used))
    bench.hold(2**31 - 1 - state.long_worst)
    verdict = bench.order(side, qty=2**32 - 1 - state.short_used + offset)
    return verdict, beyond(offset, "short_sale") if side == SELL else "position"


def credit(bench, side, offset, part):
    assert bench.order(BUY, qty=7, px=PX - 1000) == "pass"
    account = bench.golden.accounts[ACCOUNT] if part == "account" else bench.golden.gateway
    used = account.open_notional + account.filled_notional
    bench.limit(**{part: {"credit_max": used + QTY * PX - offset}})
    return bench.order(side), beyond(offset, "credit")


@case
def credit_of_the_account(bench, side, offset):
    return credit(bench, side, offset, "account")


@case
def credit_of_the_gateway(bench, side, offset):
    return credit(bench, side, offset, "gateway")


def credit_width(bench, side, offset, account):
    """Every check off: what is open adds up to 2^64 - 1 exactly, less what the last order brings."""
    bench.limit(checks_enabled=0)
    left = 2**64 - 1 - bench.golden.gateway.open_notional
    instrument = 100
    while left > 2**31:
        px = min(PX_MAX, left // (2**31 - 1))
        fields = {"instrument": instrument, "account": account, "px": px, "qty": 2**31 - 1}
        assert bench.order(side, **fields) == "pass"
        left -= px * (2**31 - 1)
        instrument += 1
    assert bench.golden.gateway.open_notional == 2**64 - 1 - left
    return bench.order(side, instrument=instrument, px=1, qty=left + offset), beyond(offset, "credit")


@case
def credit_width_of_the_account(bench, side, offset):
    return credit_width(bench, side, offset, ACCOUNT)


@case
def credit_width_of_the_gateway(bench, side, offset):
    return credit_width(bench, side, offset, ACCOUNT + 1)


def open_orders(bench, side, offset, part):
    for qty in (1, 2, 3):
        assert bench.order(side, qty=qty) == "pass"
    bench.limit(**{part: {"open_max": 4 + offset}})
    return bench.order(side), at_least(offset, "open_orders")


@case
def open_orders_of_the_account(bench, side, offset):
    return open_orders(bench, side, offset, "account")


@case
def open_orders_of_the_gateway(bench, side, offset):
    return open_orders(bench, side, offset, "gateway")


@case
def slot(bench, side, offset):
    assert bench.order(side, qty=QTY + 1, ref=1000) == "pass"
    hit = "open_orders" if offset == 0 else "pass"
    return bench.order(side, ref=1000 + SLOT_CNT + offset), hit


@case
def duplicate_window(bench, side, offset):
    assert bench.order(side) == "pass"
    now = bench.ts + 50_000
    bench.limit(dup_window_ns=now - bench.golden.recent[0].ts)
    return bench.order(side, ts_ns=now + offset), "pass" if offset > 0 else "duplicate"


@case
def self_cross(bench, side, offset):
    other = SELL if side == BUY else BUY
    assert bench.order(other, qty=1) == "pass"
    px = PX + offset if side == BUY else PX - offset
    return bench.order(side, px=px), "self_cross" if offset >= 0 else "pass"


def rate(bench, side, offset, part):
    bench.limit(**{part: {"rate_burst": 1, "rate_refill_ns": 10_000}})
    assert bench.order(side, qty=7, ts_ns=bench.ts + 20_000) == "pass"
    bench.ts += 20_000
    return bench.order(side, ts_ns=bench.golden.last_ts + 10_000 + offset), at_least(offset, "rate")


@case
def rate_of_the_strategy(bench, side, offset):
    return rate(bench, side, offset, "strategy")


@case
def rate_of_the_account(bench, side, offset):
    return rate(bench, side, offset, "account")


@case
def rate_of_the_gateway(bench, side, offset):
    return rate(bench, side, offset, "gateway")


@case
def rate_burst(bench, side, offset):
    bench.limit(strategy={"rate_burst": 3 + offset, "rate_refill_ns": 10**9})
    bench.ts += 10**10
    verdicts = [bench.order(side, qty=qty) for qty in (1, 2, 3)]
    return verdicts[-1], at_least(offset, "rate")


def loss(bench, side, offset, part):
    """A round trip that loses 100, whatever is held."""
    assert bench.order(BUY, qty=1, px=PX + 100) == "pass"
    assert bench.say("executed", ref=bench.ref, qty=1, px=PX + 100) == "pass"
    account = bench.golden.accounts[ACCOUNT] if part == "account" else bench.golden.gateway
    assert account.cash + account.mark == -100
    bench.limit(**{part: {"loss_max": 100 - offset}})
    answer = bench.order(side)
    assert (bench.golden.halt != 0) == (offset > 0)
    return answer, beyond(offset, "loss")


@case
def loss_of_the_account(bench, side, offset):
    return loss(bench, side, offset, "account")


@case
def loss_of_the_gateway(bench, side, offset):
    return loss(bench, side, offset, "gateway")


@pytest.mark.parametrize("holding", HOLDINGS)
@pytest.mark.parametrize("side", [BUY, SELL], ids=["buy", "sell"])
@pytest.mark.parametrize("name", CASES)
def test_limit_is_inclusive_and_exact(name, side, holding):
    verdicts = []
    for offset in (-1, 0, 1):
        bench = Bench()
        if HOLDINGS[holding]:
            bench.hold(HOLDINGS[holding])
        got, want = CASES[name](bench, side, offset)
        assert got == want, f"offset {offset}"
        verdicts.append(got)
    assert len(verdicts) == 3
