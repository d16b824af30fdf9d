"""A numba strategy that is measured: it reads book, features and position, and hardly ever wants an order.

SPDX-License-Identifier: MIT
"""

import hwgw


@hwgw.strategy(params={"qty": 100, "enter": 1 << 40}, state_words=1, features=["spread", "imbalance"])
def reads_features(hook, state, out, out_max):
    """Buys when the imbalance, scaled by the spread, is far above what it ever is."""
    if hook.cause != 1 or hook.bid[0].px == 0 or hook.ask[0].px == 0 or hook.position > 1000:
        return 0
    state[2] += hook.features.imbalance * (1 + hook.features.spread) - (state[2] >> 6)
    if state[2] < state[1]:
        return 0
    out[0].kind = 1
    out[0].side = 1
    out[0].type = 1
    out[0].tif = 2
    out[0].instrument = 0xFFFFFFFF
    out[0].px = hook.ask[0].px
    out[0].qty = state[0]
    return 1
