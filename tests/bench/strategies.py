"""A numba strategy that is measured: it reads book, features and position, and hardly ever wants an order.

SPDX-License-Identifier: MIT
"""

import hwgw
from hwgw.strategy_types import SAME_INSTRUMENT, Cause, Kind, Side, Tif, Type


@hwgw.strategy(params={"qty": 100, "enter": 1 << 40}, state_words=1, features=["spread", "imbalance"])
def reads_features(hook, state, out, out_max):
    """Buys when the imbalance, scaled by the spread, is far above what it ever is."""
    if hook.cause != Cause.BOOK or hook.bid[0].px == 0 or hook.ask[0].px == 0 or hook.position > 1000:
        return 0
    state[2] += hook.features.imbalance * (1 + hook.features.spread) - (state[2] >> 6)
    if state[2] < state[1]:
        return 0
    out[0].kind = Kind.NEW
    out[0].side = Side.BUY
    out[0].type = Type.LIMIT
    out[0].tif = Tif.IOC
    out[0].instrument = SAME_INSTRUMENT
    out[0].px = hook.ask[0].px
    out[0].qty = state[0]
    return 1
