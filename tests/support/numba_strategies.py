"""Strategies for tests, as a user writes them."""

from hwgw.strategies import strategy


@strategy(params={"qty": 7, "edge_px": 100}, state_words=1)
def buy_every_second(hook, state, out, out_max):
    """Buys at the ask on every second call of a two-sided book; state[2] counts the calls."""
    if hook.cause != 1 or out_max < 1 or hook.ask[0].px == 0 or hook.bid[0].px == 0:
        return 0
    state[2] += 1
    if state[2] % 2:
        return 0
    out[0].kind = 1
    out[0].side = 1
    out[0].type = 1
    out[0].tif = 2
    out[0].instrument = 0xFFFFFFFF
    out[0].px = hook.ask[0].px + state[1]
    out[0].qty = state[0]
    return 1


@strategy(depth=3)
def count_depth(hook, state, out, out_max):
    """Sends an order whose quantity is the displayed shares of three levels of both sides."""
    if hook.cause != 1 or hook.depth_cnt < 3:
        return 0
    total = 0
    for i in range(3):
        total += hook.bid[i].qty + hook.ask[i].qty
    out[0].kind = 1
    out[0].side = 1
    out[0].type = 1
    out[0].tif = 2
    out[0].instrument = hook.instrument
    out[0].px = hook.ask[0].px
    out[0].qty = total
    return 1


def not_marked(hook, state, out, out_max):
    """Lacks the decorator."""
    return 0
