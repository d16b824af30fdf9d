"""What docs/risk.md says beyond single limits and orders: reset, prices, rate, loss, halts, switches, damaged tables.

Every step goes to the golden model and to the C gate, which must agree in verdict and all state.
"""

from __future__ import annotations

import pytest
from hwgw_sim.golden import limits
from hwgw_sim.golden.risk import BUY, MARKET, PX_MAX, SELL, SLOT_CNT
from support.risk import INSTRUMENT, NAMES, PX, STRATEGY, Bench, Pair, make

ALL = 2**32 - 1


@pytest.fixture
def bench() -> Bench:
    return Bench()


# ---- reset ----


def test_nothing_passes_after_reset():
    pair = Pair()
    order = make("new", ref=1, side=BUY, type=1, tif=1, px=1, qty=1, ts_ns=1)
    assert pair.send(order) == "halted"
    assert pair.golden.dump() == "last_ts 1\nstrategy.00.rejects 1\n"


def test_state_at_reset_is_empty():
    pair = Pair()
    pair.compare()
    assert pair.native.dump() == ""


def test_facts_before_the_first_limits_are_taken():
    pair = Pair()
    for kind, fields, answer in (
        ("ref", {"px": 5}, "pass"),
        ("feed", {"qty": 1}, "pass"),
        ("beat", {}, "pass"),
        ("arm", {}, "pass"),
        ("executed", {"ref": 1, "qty": 1, "px": 1}, "state"),
        ("resume", {}, "pass"),
        ("cancel", {"ref": 1}, "malformed"),
        ("broken", {"ref": 1, "qty": 1, "px": 1, "side": BUY}, "state"),
    ):
        assert pair.send(make(kind, ts_ns=1, **fields)) == answer


def test_each_missing_precondition_is_refused_in_order():
    pair = Pair()

    def order() -> str:
        return pair.send(make("new", ref=1, side=BUY, type=1, tif=1, px=5, qty=1, ts_ns=100))

    record = {"generation": 1, "checks_enabled": ALL, "account": [{}] * 16, "strategy": [{}] * 64}
    assert order() == "halted"
    assert pair.send(make("limits", venue_ref=1, ts_ns=100), limits.seal(record)) == "pass"
    assert order() == "control_stale"
    pair.send(make("beat", ts_ns=100))
    assert order() == "strategy"
    record |= {"strategy": [{"fills_max": 9, "rejects_run_max": 99}] * 64}
    pair.send(make("limits", venue_ref=1, ts_ns=100), limits.seal(record))
    pair.send(make("arm", ts_ns=100))
    assert order() == "instrument"
    for limit, reason in (
        ({"flags": 1}, "feed"),
        ({"flags": 1}, "qty"),
        ({"qty_max": 1}, "collar"),
        ({}, "notional"),
        ({"notional_max": 5}, "position"),
        ({"long_max": 1}, "credit"),
    ):
        record["instrument"] = [record.get("instrument", [{}])[0] | limit]
        pair.send(make("limits", venue_ref=1, ts_ns=100), limits.seal(record))
        if reason == "qty":
            pair.send(make("feed", qty=1, ts_ns=100))
        if reason == "notional":
            pair.send(make("ref", px=5, ts_ns=100))
        # without a reference the price check comes first only when the notional fits
        want = "notional" if reason == "collar" else reason
        assert order() == want, reason
    for part, reason in (("credit_max", "open_orders"), ("open_max", "rate"), ("rate_burst", "pass")):
        record["gateway"] = record.get("gateway", {}) | {part: 5}
        record["account"] = [record["gateway"]]
        record["strategy"] = [record["strategy"][0] | ({"rate_burst": 1} if part == "rate_burst" else {})] * 64
        pair.send(make("limits", venue_ref=1, ts_ns=100), limits.seal(record))
        assert order() == reason


# ---- prices ----


def test_market_order_takes_the_far_edge_of_the_collar(bench):
    bench.limit(instrument={"collar_px_min": 500})
    bench.order(BUY, type=MARKET, px=0)
    assert bench.golden.slots[1].px == PX + 500
    bench.say("rejected", ref=1)
    bench.order(SELL, type=MARKET, px=0)
    assert bench.golden.slots[2].px == PX - 500


def test_market_price_stays_in_range():
    bench = Bench(instrument={"collar_px_min": ALL})
    bench.order(BUY, type=MARKET, px=0)
    assert bench.golden.slots[1].px == PX_MAX
    bench.say("rejected", ref=1)
    bench.order(SELL, type=MARKET, px=0)
    assert bench.golden.slots[2].px == 1


@pytest.mark.parametrize("beyond", [-2, -1, 0, 1, 2])
def test_market_price_is_exact_at_the_ends_of_the_range(beyond):
    bench = Bench(instrument={"collar_px_min": PX_MAX - PX + beyond})
    bench.order(BUY, type=MARKET, px=0)
    assert bench.golden.slots[1].px == min(PX_MAX + beyond, PX_MAX)
    bench = Bench(instrument={"collar_px_min": PX + beyond})
    bench.order(SELL, type=MARKET, px=0)
    assert bench.golden.slots[1].px == max(-beyond, 1)


@pytest.mark.parametrize("checks", [ALL, ALL & ~(1 << 10)], ids=["collar on", "collar off"])
def test_market_order_without_a_fresh_reference_is_refused(checks):
    bench = Bench(checks_enabled=checks, ref_age_max_ns=10_000)
    bench.say("feed", instrument=6, qty=1)
    bench.limit(checks_enabled=checks, ref_age_max_ns=10_000)
    off = checks != ALL
    now = bench.ts + 20_000
    assert bench.order(BUY, type=MARKET, px=0, ts_ns=now) == "collar"
    assert bench.order(BUY, ts_ns=now) == ("pass" if off else "collar")


def test_reference_that_cannot_be_is_left_alone(bench):
    for px in (0, PX_MAX + 1):
        assert bench.say("ref", instrument=INSTRUMENT, px=px) == "pass"
    assert bench.say("ref", instrument=1024, px=5) == "pass"
    assert bench.at.ref_px == PX


# ---- own orders ----


def test_self_cross_is_conservative_until_the_side_is_empty(bench):
    bench.order(SELL, px=PX + 10)
    bench.order(SELL, px=PX + 50)
    bench.say("canceled", ref=1, qty=100)
    assert bench.order(BUY, px=PX + 20) == "self_cross"
    bench.say("canceled", ref=2, qty=100)
    assert bench.order(BUY, px=PX + 20) == "pass"
    assert bench.order(SELL, px=PX + 20) == "self_cross"
    assert bench.order(SELL, px=PX + 21) == "pass"


def test_duplicate_looks_at_the_last_eight_passed_orders(bench):
    bench.limit(dup_window_ns=10**9)
    assert bench.order(BUY) == "pass"
    for qty in range(1, 8):
        assert bench.order(BUY, qty=qty) == "pass"
    assert bench.order(BUY) == "duplicate"
    for change in ({"px": PX - 1}, {"account": 4}, {"side": SELL, "px": PX + 9}):
        assert bench.order(change.pop("side", BUY), **change) == "pass"
    assert bench.order(BUY) == "pass"


def test_duplicate_is_found_where_all_recent_orders_are_like_it(bench):
    bench.limit(dup_window_ns=2000)
    for _ in range(8):
        bench.ts += 2000
        assert bench.order(BUY) == "pass"
    assert len(set(bench.golden.recent)) == len({recent.ts for recent in bench.golden.recent}) == 8
    assert bench.order(BUY) == "duplicate"


# ---- rate ----


def test_passed_orders_in_any_window_stay_within_burst_and_rate(bench):
    bench.limit(gateway={"rate_burst": 4, "rate_refill_ns": 10_000})
    bench.ts += 10**6
    times = []
    for index in range(300):
        bench.ts += (0, 0, 500, 7000, 20_000)[index * 7 % 5]
        if bench.order(BUY, qty=1 + index) == "pass":
            times.append(bench.ts)
    assert 50 < len(times) < 300
    for start in range(len(times)):
        for end in range(start, len(times)):
            assert end - start + 1 <= 4 + (times[end] - times[start]) // 10_000 + 1


def test_refused_order_takes_no_rate_and_no_reference(bench):
    bench.limit(strategy={"rate_burst": 1, "rate_refill_ns": 10**9})
    bench.ts += 10**10
    for _ in range(5):
        assert bench.order(BUY, qty=0) == "malformed"
    assert bench.golden.last_ref == 0
    assert bench.order(BUY, ref=1) == "pass"
    assert bench.order(BUY, ref=2) == "rate"


def test_rate_with_absurd_limits_does_not_wrap(bench):
    for part in ("strategy", "account", "gateway"):
        bench.limit(**{part: {"rate_burst": ALL, "rate_refill_ns": 2**64 - 1}})
        assert bench.order(BUY) == "rate"
    bench.limit(strategy={"rate_burst": 0, "rate_refill_ns": 0})
    assert bench.order(BUY) == "rate"


# ---- strategies ----


def test_strategy_disarms_itself_after_its_fills(bench):
    bench.limit(strategy={"fills_max": 2})
    bench.order(BUY)
    for _ in range(2):
        bench.say("executed", ref=1, qty=10, px=PX)
    assert bench.golden.strategies[STRATEGY].armed == 0
    assert bench.order(BUY) == "strategy"
    bench.limit()
    assert bench.order(BUY) == "strategy"
    bench.say("arm")
    assert bench.order(BUY) == "pass"


def test_strategy_disarms_itself_after_refusals_in_a_row(bench):
    bench.limit(strategy={"rejects_run_max": 3})
    for _ in range(2):
        bench.order(BUY, qty=0)
    assert bench.order(BUY) == "pass"
    for _ in range(3):
        bench.order(BUY, qty=0)
    assert bench.order(BUY, qty=7) == "strategy"


# ---- loss ----


def test_loss_latches_on_a_reference_price_without_an_order(bench):
    bench.hold(100)
    bench.limit(gateway={"loss_max": 1000})
    assert bench.say("ref", instrument=INSTRUMENT, px=PX - 10) == "pass"
    assert bench.say("ref", instrument=INSTRUMENT, px=PX - 11) == "loss"
    assert bench.order(BUY) == "halted"
    bench.say("resume")
    assert bench.order(BUY) == "loss"
    assert bench.golden.halt == 18


def test_loss_of_one_account_does_not_hide_behind_another(bench):
    bench.hold(100)
    bench.order(SELL, account=4)
    bench.say("executed", ref=bench.ref, qty=100, px=PX)
    bench.limit(account={"loss_max": 1000})
    assert bench.say("ref", instrument=INSTRUMENT, px=PX + 11) == "loss"
    assert bench.golden.gateway.cash + bench.golden.gateway.mark == 0


def test_position_without_a_reference_is_valued_at_its_price():
    bench = Bench(checks_enabled=ALL & ~(1 << 10 | 1 << 7), account={"loss_max": 1000})
    assert bench.order(SELL, instrument=1023, px=PX) == "pass"
    assert bench.say("executed", ref=1, qty=50, px=PX) == "pass"
    assert bench.say("executed", ref=1, qty=25, px=PX + 20) == "pass"
    assert bench.golden.gateway.cash + bench.golden.gateway.mark == -50 * 20
    assert bench.say("executed", ref=1, qty=25, px=PX + 21) == "loss"


def test_money_is_exact_beyond_64_bits(bench):
    bench.limit(instrument={"collar_px_min": ALL}, checks_enabled=ALL & ~(1 << 13 | 1 << 16 | 1 << 18))
    for _ in range(6):
        for side in (BUY, SELL):
            bench.order(side, px=PX_MAX, qty=2**31 - 1, account=side, flags=0)
            assert bench.say("executed", ref=bench.ref, qty=2**31 - 1, px=PX_MAX) == "pass"
    assert bench.golden.accounts[BUY].cash == -6 * (2**31 - 1) * PX_MAX
    assert abs(bench.golden.accounts[BUY].cash) > 2**64
    assert bench.golden.gateway.cash == 0
    assert bench.golden.gateway.filled_notional == 2**64 - 1


# ---- clock, halt, limits ----


@pytest.mark.parametrize("kind", ["beat", "ref", "feed", "accepted", "limits", "halt", "resume", "arm", "disarm"])
def test_step_back_of_the_clock_latches_whatever_the_event(bench, kind):
    bench.order(BUY)
    ts = bench.golden.last_ts
    fields = {"instrument": INSTRUMENT, "px": PX, "qty": 1, "ref": 1, "reason": 20}
    assert bench.say(kind, ts_ns=ts - 1, **fields) == "clock"
    assert (bench.golden.halt, bench.golden.last_ts) == (3, ts)


def test_fill_from_before_is_still_a_fill(bench):
    bench.order(BUY)
    assert bench.say("executed", ref=1, qty=100, px=PX, ts_ns=1) == "clock"
    assert bench.at.pos == 100


def test_old_resume_and_old_arm_do_nothing(bench):
    bench.say("disarm")
    bench.say("halt")
    bench.say("resume", ts_ns=5)
    bench.say("arm", ts_ns=5)
    assert (bench.golden.halt, bench.golden.strategies[STRATEGY].armed) == (20, 0)


def test_halt_keeps_its_first_reason_until_resume(bench):
    bench.say("halt", reason=22)
    bench.say("halt", reason=20)
    assert bench.golden.halt == 22
    bench.say("resume")
    for reason in (0, len(NAMES), ALL):
        bench.say("halt", reason=reason)
        assert bench.golden.halt == 20
        bench.say("resume")
    assert bench.order(BUY) == "pass"


def test_beat_at_time_zero_is_no_beat():
    pair = Pair()
    record = {"generation": 1, "checks_enabled": ALL, "beat_age_max_ns": 2**64 - 1}
    pair.send(make("limits", venue_ref=1), limits.seal(record))
    pair.send(make("beat"))
    assert pair.send(make("new", ref=1, side=BUY, type=1, tif=1, px=1, qty=1)) == "control_stale"


def test_every_single_damaged_byte_of_a_table_is_noticed(rng):
    """One flipped bit anywhere: in each field before the arrays, and at 200 random places."""
    bench = Bench()
    table = limits.seal({"generation": 2, "checks_enabled": ALL})
    places = [*range(0, 200, 7), *(rng.randrange(len(table)) for _ in range(200))]
    for at in places:
        damaged = table[:at] + bytes([table[at] ^ 1 << rng.randrange(8)]) + table[at + 1 :]
        event = make("limits", venue_ref=2, ts_ns=bench.ts)
        assert bench.native.event(event, damaged) == 1
        if at % 7 == 0 and at < 40:
            assert bench.golden.event(event, damaged) == 1
    assert len(places) == 229


def test_damaged_table_refuses_everything_until_a_good_one_comes(bench):
    assert bench.order(BUY) == "pass"
    table = bytearray(limits.seal({"generation": 9}))
    for bad, generation in ((bytes(table[:-1] + b"\1"), 9), (bytes(table), 8), (None, 9)):
        assert bench.say("limits", bad, venue_ref=generation) == "halted"
        assert bench.order(BUY) == "halted"
        assert bench.golden.halt == 0
    bench.limit()
    assert bench.order(BUY) == "pass"


def test_lowered_limit_refuses_new_exposure_and_recalls_nothing(bench):
    bench.order(BUY, qty=100)
    bench.limit(instrument={"long_max": 50})
    assert bench.order(BUY, qty=1) == "position"
    assert bench.say("executed", ref=1, qty=100, px=PX) == "pass"
    assert bench.order(SELL, qty=100, flags=0) == "pass"


@pytest.mark.parametrize(
    ("bit", "bad", "reason"),
    [
        (2, {"ts_ns": 10**13}, "control_stale"),
        (6, {"instrument": 6}, "instrument"),
        (8, {"qty": 1001}, "qty"),
        (9, {"qty": 1001}, "notional"),
        (10, {"px": PX + 501}, "collar"),
        (11, {"qty": 1001}, "position"),
        (13, {"qty": 1001}, "credit"),
    ],
)
def test_check_is_off_only_by_its_bit(bit, bad, reason):
    limit = {"flags": 1, "collar_px_min": 500}
    limit |= {8: {"qty_max": 1000}, 9: {"notional_max": 1000 * PX}, 11: {"long_max": 1000}}.get(bit, {})
    account = {"credit_max": 1000 * PX} if bit == 13 else {}
    bench = Bench(instrument=limit, account=account, ref_age_max_ns=10**14)
    bench.say("feed", instrument=6, qty=1)
    bench.say("ref", instrument=6, px=PX)
    assert bench.order(BUY, **bad | ({"ts_ns": bench.ts + bad["ts_ns"]} if "ts_ns" in bad else {})) == reason
    bench = Bench(instrument=limit, account=account, ref_age_max_ns=10**14, checks_enabled=ALL & ~(1 << bit))
    bench.say("feed", instrument=6, qty=1)
    bench.say("ref", instrument=6, px=PX)
    bad |= {"ts_ns": bench.ts + bad["ts_ns"]} if "ts_ns" in bad else {}
    assert bench.order(BUY, **bad) in (("pass", "qty") if bit == 6 else ("pass",))


def test_halted_clock_and_malformed_cannot_be_switched_off():
    bench = Bench(checks_enabled=0)
    assert bench.order(BUY) == "pass"
    assert bench.order(BUY, qty=0) == "malformed"
    assert bench.order(BUY, instrument=1024) == "instrument"
    assert bench.order(BUY, ref=1 + SLOT_CNT) == "open_orders"
    assert bench.order(BUY, ts_ns=1) == "clock"
    assert bench.order(BUY) == "halted"


def test_feed_of_all_instruments_at_once(bench):
    bench.say("feed", instrument=ALL, qty=0)
    assert bench.order(BUY) == "feed"
    bench.say("feed", instrument=ALL, qty=1)
    assert bench.order(BUY) == "pass"
    bench.say("feed", instrument=INSTRUMENT, qty=2)
    assert bench.order(BUY) == "feed"
    bench.say("feed", instrument=1024, qty=1)


def test_a_market_order_without_a_reference_has_no_notional_and_is_refused_by_the_collar(bench):
    """Check 9 is passed over, even where no notional at all is allowed."""
    bench.limit(instrument={"notional_max": 0})
    other = 1022  # has limits, and never had a reference price
    assert bench.say("feed", instrument=other, qty=1) == "pass"
    for side in (BUY, SELL):
        assert bench.order(side, instrument=other, type=MARKET, px=0, qty=100) == "collar"
