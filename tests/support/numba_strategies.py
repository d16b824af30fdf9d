"""Strategies for tests, as a user writes them."""

import hwgw
from hwgw.strategies import strategy
from hwgw.strategy_types import SAME_INSTRUMENT, Cause, Kind, Side, Tif, Type


@strategy(params={"qty": 7, "edge_px": 100}, state_words=1)
def buy_every_second(hook, state, out, out_max):
    """Buys at the ask on every second call of a two-sided book; state[2] counts the calls."""
    if hook.cause != Cause.BOOK or out_max < 1 or hook.ask[0].px == 0 or hook.bid[0].px == 0:
        return 0
    state[2] += 1
    if state[2] % 2:
        return 0
    out[0].kind = Kind.NEW
    out[0].side = Side.BUY
    out[0].type = Type.LIMIT
    out[0].tif = Tif.IOC
    out[0].instrument = SAME_INSTRUMENT
    out[0].px = hook.ask[0].px + state[1]
    out[0].qty = state[0]
    return 1


@strategy(depth=3)
def count_depth(hook, state, out, out_max):
    """Sends an order whose quantity is the displayed shares of three levels of both sides."""
    if hook.cause != Cause.BOOK or hook.depth_cnt < 3:
        return 0
    total = 0
    for i in range(3):
        total += hook.bid[i].qty + hook.ask[i].qty
    out[0].kind = Kind.NEW
    out[0].side = Side.BUY
    out[0].type = Type.LIMIT
    out[0].tif = Tif.IOC
    out[0].instrument = hook.instrument
    out[0].px = hook.ask[0].px
    out[0].qty = total
    return 1


@hwgw.strategy(params={"qty": 100}, state_words=1, features=["spread", "queue_bid_ahead", "queue_bid_behind"])
def tell_place(hook, state, out, out_max):
    """Joins the bid once; then each order says by quantity and price how many shares are ahead of it and behind it."""
    if hook.cause != Cause.BOOK or hook.features.spread <= 0:
        return 0
    out[0].kind = Kind.NEW
    out[0].side = Side.BUY
    out[0].type = Type.LIMIT
    out[0].instrument = hook.instrument
    if state[1] == 0:
        state[1] = 1
        out[0].tif = Tif.DAY
        out[0].px = hook.bid[0].px
        out[0].qty = state[0]
        return 1
    out[0].tif = Tif.IOC
    out[0].qty = hook.features.queue_bid_ahead + 2
    out[0].px = hook.ask[0].px + hook.features.queue_bid_behind + 2
    return 1


@hwgw.strategy(features=["imbalance:2"])
def tell_imbalance(hook, state, out, out_max):
    """Each order's price is the imbalance of two levels, from 65,536 up."""
    if hook.cause != Cause.BOOK or hook.bid[0].px == 0 or hook.ask[0].px == 0:
        return 0
    out[0].kind = Kind.NEW
    out[0].side = Side.BUY
    out[0].type = Type.LIMIT
    out[0].tif = Tif.IOC
    out[0].instrument = hook.instrument
    out[0].qty = 1
    out[0].px = hook.features.imbalance + 65536
    return 1


def not_marked(hook, state, out, out_max):
    """Lacks the decorator."""
    return 0
