"""What docs/risk.md says of an order's life: what is malformed, replaced, canceled, broken, and what moves exposure.

Every step goes to the golden model and to the C gate, which must agree in verdict and all state.
"""

from __future__ import annotations

import pytest
from hwgw_sim.golden.risk import BUY, IOC, MARKET, PX_MAX, SELL, SLOT_CNT
from support.risk import ACCOUNT, INSTRUMENT, PX, STRATEGY, Bench, make

ALL = 2**32 - 1


@pytest.fixture
def bench() -> Bench:
    return Bench()


# ---- malformed ----


@pytest.mark.parametrize(
    "bad",
    [
        {"side": 0}, {"side": 3}, {"type": 0}, {"type": 3}, {"tif": 0}, {"tif": 3}, {"qty": 0}, {"px": 0},
        {"px": PX_MAX + 1}, {"flags": 1}, {"flags": 2}, {"flags": 4}, {"account": 16}, {"strategy": 64},
        {"orig_ref": 1}, {"type": MARKET}, {"ref": 0},
        {"side": SELL, "flags": 4}, {"side": SELL, "flags": 0x101},
    ],
    ids=str,
)  # fmt: skip
def test_field_that_cannot_be_is_malformed(bench, bad):
    assert bench.order(bad.pop("side", BUY), **bad) == "malformed"


@pytest.mark.parametrize("good", [{"tif": IOC}, {"type": MARKET, "px": 0}, {"ref": 2**32 - 1}], ids=str)
def test_unusual_orders_pass(bench, good):
    for side in (BUY, SELL):
        assert Bench().order(side, **good) == "pass"


@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_short_markings_of_a_sell(bench, flags):
    assert bench.order(SELL, flags=flags) == ("pass" if flags else "short_sale")
    if flags:
        bench.say("rejected", ref=1)
    bench.hold(500)
    assert bench.order(SELL, flags=flags, qty=50) == "pass"


def test_last_reference_of_all_ends_the_day(bench):
    assert bench.order(BUY, ref=2**32 - 1) == "pass"
    assert bench.order(BUY, ref=2**32 - 1) == "malformed"


def test_unknown_kind_is_malformed_and_changes_nothing(bench):
    before = bench.golden.dump()
    for kind in (0, 18, 255):
        assert bench.send(make("none", ts_ns=bench.ts + 10**9) | {"kind": kind}) == "malformed"
    assert bench.golden.dump() == before


# ---- life of an order ----


def test_buy_moves_exposure_as_the_contract_says(bench):
    assert bench.order(BUY, qty=100) == "pass"
    assert bench.worst == (100, 0, 0)
    assert bench.say("accepted", ref=1) == "pass"
    assert bench.worst == (100, 0, 0)
    assert bench.say("executed", ref=1, qty=30, px=PX - 5) == "pass"
    assert bench.worst == (100, -30, 30)
    account = bench.golden.accounts[ACCOUNT]
    assert (account.open_notional, account.filled_notional) == (70 * PX, 30 * (PX - 5))
    assert (account.cash, account.mark) == (-30 * (PX - 5), 30 * PX)
    assert bench.say("canceled", ref=1, qty=50) == "pass"
    assert bench.worst == (50, -30, 30)
    assert bench.say("executed", ref=1, qty=20, px=PX) == "pass"
    assert bench.worst == (50, -50, 50)
    assert (account.open_notional, account.open_cnt, bench.at.open_buy_cnt) == (0, 0, 0)
    assert (bench.at.own_bid_max, bench.golden.slots[1].executed) == (0, 50)


def test_sell_mirrors_buy(bench):
    assert bench.order(SELL, qty=100) == "pass"
    assert bench.worst == (0, 100, 0)
    bench.say("executed", ref=1, qty=30, px=PX)
    assert bench.worst == (-30, 100, -30)
    assert bench.at.short_used == 100
    bench.say("canceled", ref=1, qty=50)
    assert (*bench.worst, bench.at.short_used) == (-30, 50, -30, 50)
    assert bench.golden.gateway.cash == 30 * PX


def test_rejected_gives_everything_back(bench):
    before = {line for line in bench.golden.dump().splitlines() if line.startswith(("instrument", "account"))}
    bench.order(BUY)
    bench.say("rejected", ref=1)
    after = {line for line in bench.golden.dump().splitlines() if line.startswith(("instrument", "account"))}
    assert {line.split(".")[-1].split()[0] for line in before ^ after} <= {"level", "level_ts"}


@pytest.mark.parametrize(
    "say",
    [
        {"kind": "accepted", "ref": 2},
        {"kind": "rejected", "ref": 2},
        {"kind": "rejected", "ref": 0},
        {"kind": "canceled", "ref": 2, "qty": 1},
        {"kind": "canceled", "ref": 1, "qty": 101},
        {"kind": "canceled", "ref": 1, "qty": 0},
        {"kind": "canceled", "ref": 1 + SLOT_CNT, "qty": 1},
        {"kind": "executed", "ref": 2, "qty": 1, "px": PX},
        {"kind": "executed", "ref": 1, "qty": 101, "px": PX},
        {"kind": "executed", "ref": 1, "qty": 0, "px": PX},
        {"kind": "executed", "ref": 1, "qty": 1, "px": 0},
        {"kind": "executed", "ref": 1, "qty": 1, "px": PX_MAX + 1},
        {"kind": "replaced", "ref": 1, "orig_ref": 2, "qty": 1},
        {"kind": "replaced", "ref": 1, "orig_ref": 1, "qty": 1},
        {"kind": "broken", "ref": 1, "qty": 1, "px": PX, "instrument": INSTRUMENT, "account": ACCOUNT, "side": BUY},
    ],
    ids=str,
)
def test_what_the_venue_cannot_say_latches_state(bench, say):
    bench.order(BUY)
    say = dict(say)
    before = bench.golden.dump()
    assert bench.say(say.pop("kind"), **say) == "state"
    changed = set(bench.golden.dump().splitlines()) ^ set(before.splitlines())
    assert {line.split()[0] for line in changed} == {"halt", "last_ts"}
    assert bench.order(BUY) == "halted"
    bench.say("resume")
    assert bench.order(BUY) == "pass"


# ---- replace ----


def test_replace_reserves_and_replaced_releases(bench):
    bench.order(BUY, qty=100)
    assert bench.order(BUY, "replace", orig_ref=1, qty=80, px=PX + 1) == "pass"
    assert bench.worst == (180, 0, 0)
    assert bench.say("executed", ref=1, qty=30, px=PX) == "pass"
    assert bench.say("replaced", ref=2, orig_ref=1, qty=50) == "pass"
    assert bench.worst == (30 + 50, -30, 30)
    assert (bench.golden.gateway.open_notional, bench.golden.gateway.open_cnt) == (50 * (PX + 1), 1)
    assert bench.say("accepted", ref=1) == "state"


def test_replace_at_the_limit_is_strict(bench):
    bench.limit(instrument={"long_max": 150})
    bench.order(BUY, qty=100)
    assert bench.order(BUY, "replace", orig_ref=1, qty=60) == "position"
    assert bench.order(BUY, "replace", orig_ref=1, qty=50) == "pass"


@pytest.mark.parametrize(
    "change", [{"instrument": 6}, {"account": 1}, {"flags": 2}, {"orig_ref": 9}, {"orig_ref": 0}], ids=str
)
def test_replace_across_terms_is_malformed(bench, change):
    bench.order(SELL, qty=100)
    assert bench.order(SELL, "replace", **{"orig_ref": 1} | change) == "malformed"
    assert bench.order(BUY, "replace", orig_ref=1) == "malformed"


def test_replaced_by_an_order_that_did_not_ask_for_it_latches_state(bench):
    bench.order(BUY, qty=100)
    bench.order(BUY, qty=101)
    assert bench.say("replaced", ref=2, orig_ref=1, qty=101) == "state"


# ---- cancel ----


def test_cancel_of_a_live_order_always_passes(bench):
    bench.order(BUY)
    bench.order(BUY, qty=101)
    bench.say("disarm")
    bench.say("feed", instrument=INSTRUMENT, qty=0)
    bench.limit(beat_age_max_ns=0, strategy={"rate_burst": 0}, instrument={"flags": 0})
    bench.say("halt")
    bench.send(make("limits", ts_ns=bench.ts, venue_ref=0))
    assert bench.say("cancel", ref=1) == "pass"
    assert bench.say("cancel", ref=2, ts_ns=bench.ts - 10**6) == "pass"
    assert bench.say("cancel", ref=3) == "malformed"
    assert bench.order(BUY) == "halted"


def test_cancel_takes_rate_where_there_is_some(bench):
    bench.order(BUY)
    bench.limit(strategy={"rate_burst": 5, "rate_refill_ns": 1000}, account={"rate_burst": 0})
    level_ts = bench.golden.accounts[ACCOUNT].level_ts
    bench.say("cancel", ref=1)
    assert bench.golden.strategies[STRATEGY].level == 5 * 1000 - 1000
    assert bench.golden.accounts[ACCOUNT].level_ts == level_ts
    before = bench.golden.strategies[STRATEGY].level_ts
    bench.limit(checks_enabled=ALL & ~(1 << 17))
    bench.say("cancel", ref=1)
    assert bench.golden.strategies[STRATEGY].level_ts == before


# ---- broken trades ----


def broken(bench: Bench, **fields: int) -> str:
    usual = {"instrument": INSTRUMENT, "account": ACCOUNT, "side": BUY, "px": PX}
    return bench.say("broken", **usual | fields)


def test_bust_after_flat_reverses_position_and_cash(bench):
    bench.hold(100)
    bench.order(SELL, qty=100, flags=0)
    bench.say("executed", ref=2, qty=100, px=PX + 10)
    assert bench.worst == (0, 0, 0)
    assert broken(bench, ref=1, qty=100) == "pass"
    assert bench.worst == (-100, 100, -100)
    assert bench.golden.gateway.cash == 100 * (PX + 10)
    assert bench.golden.gateway.filled_notional == 100 * PX + 100 * (PX + 10)
    assert broken(bench, ref=1, qty=1) == "state"


def test_bust_may_carry_exposure_over_its_limit_which_then_refuses(bench):
    bench.hold(100)
    bench.limit(instrument={"short_max": 0})
    assert broken(bench, ref=1, qty=100) == "pass"
    assert bench.order(SELL, qty=1) == "position"
    assert bench.order(BUY, qty=1) == "pass"


def test_bust_of_an_order_whose_slot_was_taken_is_believed(bench):
    bench.hold(100)
    bench.order(BUY, ref=1 + SLOT_CNT)
    assert broken(bench, ref=1, qty=100) == "pass"
    assert bench.at.pos == 0
    assert broken(bench, ref=2, qty=1) == "state"  # never passed: its slot is empty


@pytest.mark.parametrize(
    "lie",
    [{"side": SELL}, {"account": 1}, {"instrument": 6}, {"qty": 101}, {"qty": 0}, {"px": 0}, {"px": PX_MAX + 1},
     {"ref": 0}, {"ref": 2}, {"instrument": 1024}, {"account": 16}, {"side": 0}, {"side": 3}],
    ids=str,
)  # fmt: skip
def test_bust_that_contradicts_the_order_latches_state(bench, lie):
    bench.hold(100)
    assert broken(bench, **{"ref": 1, "qty": 100} | lie) == "state"
    assert bench.at.pos == 100


@pytest.mark.parametrize("lie", [{"instrument": 1024}, {"instrument": ALL}, {"account": 16}, {"side": 0}], ids=str)
def test_bust_of_a_taken_slot_must_still_be_in_range(bench, lie):
    bench.hold(100)
    bench.order(BUY, ref=1 + SLOT_CNT)
    assert broken(bench, **{"ref": 1, "qty": 100} | lie) == "state"


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_bust_may_fill_the_width_of_exposure_and_no_more(bench, side, offset):
    bench.hold(100 if side == BUY else -100)
    other = SELL if side == BUY else BUY
    bench.order(other, ref=1 + SLOT_CNT, qty=2**31 - 1 + 100 - 10)
    assert max(bench.worst[:2]) == 2**31 - 1 - 10
    assert broken(bench, ref=1, side=side, qty=10 + offset) == ("state" if offset > 0 else "pass")


@pytest.mark.parametrize(("qty", "answer"), [(0, "state"), (1, "pass"), (80, "pass"), (81, "state")])
def test_replaced_says_what_is_open_at_most_what_was_asked(bench, qty, answer):
    bench.order(BUY, qty=100)
    bench.order(BUY, "replace", orig_ref=1, qty=80)
    assert bench.say("replaced", ref=2, orig_ref=1, qty=qty) == answer
    assert bench.worst[0] == (qty if answer == "pass" else 180)
