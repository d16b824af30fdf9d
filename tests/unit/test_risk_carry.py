"""An order that passed elsewhere is taken as a pass is, and never when it cannot have passed: golden model and C gate.

Carried orders come from the journal of an earlier process, and from a gate on a card.
"""

from __future__ import annotations

import pytest
from hwgw_sim.golden.risk import BUY, DAY, INSTRUMENTS_MAX, LIMIT, PX_MAX, SELL, SLOT_CNT, STRATEGIES_MAX, Kind, Reason
from hwgw_sim.golden.risk_state import ACCOUNTS_MAX
from support.risk import ACCOUNT, INSTRUMENT, PX, STRATEGY, Bench, make

WITHOUT_RATE = 2**32 - 1 - (1 << Reason.RATE)
I32_MAX, U32_MAX = 2**31 - 1, 2**32 - 1
# five of these are exactly 2^64 - 1 = 3 x 5 x 17 x 257 x 641 x 65,537 x 6,700,417
FIFTH_PX, FIFTH_QTY = 257 * 6_700_417, 3 * 17 * 641 * 65_537


@pytest.fixture
def bench() -> Bench:
    return Bench(checks_enabled=WITHOUT_RATE)


def order(ref: int = 1, **fields: int):
    usual = {
        "ref": ref, "instrument": INSTRUMENT, "account": ACCOUNT, "strategy": STRATEGY, "side": BUY, "type": LIMIT,
        "tif": DAY, "px": PX, "qty": 100,
    }  # fmt: skip
    return make("new", **usual | fields)


def test_a_carried_order_leaves_the_state_of_one_that_passed(bench):
    passed = Bench(checks_enabled=WITHOUT_RATE)
    orders = [
        order(1), order(2, side=SELL, flags=1, px=PX + 5), order(3, qty=70, px=PX + 4, account=0, strategy=STRATEGY),
        order(7, side=SELL, flags=2, px=PX + 9, qty=1),
        order(9, qty=50, px=PX - 3) | {"kind": Kind.REPLACE, "orig_ref": 1},
    ]  # fmt: skip
    for each in orders:
        each["ts_ns"] = passed.ts + 1
        assert passed.send(each) == "pass"
        assert bench.carry(each, each["px"])
    want = passed.golden.dump().replace(f"last_ts {passed.golden.last_ts}", f"last_ts {bench.golden.last_ts}")
    assert bench.golden.dump() == want
    assert want.count("order.") >= 5 * 8


def test_the_price_is_the_one_it_had_where_it_passed(bench):
    assert bench.carry(order(type=2, px=0), PX + 17)
    assert bench.golden.slots[1].px == bench.at.own_bid_max == PX + 17
    assert bench.golden.gateway.open_notional == 100 * (PX + 17)


@pytest.mark.parametrize(
    ("fields", "px"),
    [
        ({"side": 0}, PX), ({"side": 3}, PX), ({"qty": 0}, PX), ({}, 0), ({}, PX_MAX + 1),
        ({"account": ACCOUNTS_MAX}, PX), ({"strategy": STRATEGIES_MAX}, PX),
        ({"instrument": INSTRUMENTS_MAX}, PX), ({"ref": 0}, PX), ({"ref": 5}, PX),
        ({"ref": 4}, PX), ({"ref": 5 + SLOT_CNT}, PX),
    ],
    ids=str,
)  # fmt: skip
def test_an_order_that_cannot_have_passed_changes_nothing(bench, fields, px):
    assert bench.carry(order(5), PX)
    before = bench.golden.dump()
    assert not bench.carry(order(6) | fields, px)
    assert bench.golden.dump() == before
    assert bench.carry(order(6), PX)


@pytest.mark.parametrize(
    ("fields", "px"),
    [
        ({"side": SELL}, PX), ({}, 1), ({}, PX_MAX), ({"qty": 1}, PX), ({"account": ACCOUNTS_MAX - 1}, PX),
        ({"strategy": STRATEGIES_MAX - 1}, PX), ({"instrument": INSTRUMENTS_MAX - 1}, PX), ({"ref": U32_MAX}, PX),
    ],
    ids=str,
)  # fmt: skip
def test_the_last_of_each_range_can(bench, fields, px):
    assert bench.carry(order(5), PX)
    assert bench.carry(order(6) | fields, px)


def test_a_reference_that_has_ended_does_not_come_again(bench):
    assert bench.carry(order(5), PX)
    assert bench.say("rejected", ref=5) == "pass"
    assert not bench.carry(order(5), PX)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_exposure_may_fill_its_width_and_no_more(bench, side):
    assert bench.carry(order(1, side=side, qty=100), 1)
    assert not bench.carry(order(2, side=side, qty=I32_MAX - 99), 1)
    assert bench.carry(order(2, side=side, qty=I32_MAX - 100), 1)
    assert (bench.at.long_worst if side == BUY else bench.at.short_worst) == I32_MAX
    assert not bench.carry(order(3, side=side, qty=1), 1)
    assert bench.carry(order(3, side=SELL if side == BUY else BUY, qty=I32_MAX), 1)


def test_shares_sold_short_may_fill_their_width_and_no_more(bench):
    for turn in range(2):
        for place, side in enumerate((SELL, BUY), 1):
            ref = 2 * turn + place
            assert bench.carry(order(ref, side=side, flags=int(side == SELL), qty=I32_MAX), 1)
            assert bench.say("executed", ref=ref, qty=I32_MAX, px=1) == "pass"
    assert bench.at.short_used == U32_MAX - 1
    assert not bench.carry(order(5, side=SELL, flags=1, qty=2), 1)
    assert bench.carry(order(5, side=SELL, flags=1, qty=1), 1)
    assert not bench.carry(order(6, side=SELL, flags=2, qty=1), 1)
    assert bench.carry(order(6, side=SELL, flags=0, qty=1), 1)
    assert bench.carry(order(7, side=BUY, qty=1), 1)


def test_open_notional_may_fill_its_width_and_no_more(bench):
    for ref in range(1, 5):
        assert bench.carry(order(ref, instrument=ref, qty=FIFTH_QTY), FIFTH_PX)
    assert not bench.carry(order(5, instrument=9, qty=FIFTH_QTY + 1), FIFTH_PX)
    assert bench.carry(order(5, instrument=9, qty=FIFTH_QTY), FIFTH_PX)
    assert bench.golden.gateway.open_notional == 2**64 - 1
    assert not bench.carry(order(6, instrument=10, qty=1), 1)
    assert not bench.carry(order(6, instrument=10, qty=1, account=ACCOUNT + 1), 1)  # the gateway's is full as well
