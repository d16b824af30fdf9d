"""What a numba strategy is given, as types; made from the tables by `python -m hwgw.specs.types hwgw`.

SPDX-License-Identifier: MIT

    def take(hook: Hook, state: State, out: Orders, out_max: int) -> int: ...

Prices are 1/10,000, quantities shares, times ns. The objects themselves are numba's records and arrays; the codes are
numbers with names, which numba compiles to the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SAME_INSTRUMENT",
    "Cause",
    "Features",
    "Hook",
    "HookFlags",
    "Kind",
    "Level",
    "Order",
    "OrderFlags",
    "Orders",
    "Side",
    "State",
    "Tif",
    "Type",
]

State = NDArray[np.int64]
"""The parameters in their order, then the function's own words, 0 at the start."""

SAME_INSTRUMENT = 0xFFFFFFFF
"""Of an order: the instrument that the hook speaks of."""


class Cause(IntEnum):
    """Codes `cause` of hwgw/specs/hook.yaml."""

    BOOK = 1
    ORDER = 2


class HookFlags(IntEnum):
    """Codes `flags` of hwgw/specs/hook.yaml."""

    FEED_GOOD = 1
    TRADING = 2
    TWO_SIDED = 4


class Kind(IntEnum):
    """Codes `kind` of hwgw/specs/order.yaml."""

    NONE = 0
    NEW = 1
    REPLACE = 2
    CANCEL = 3
    ACCEPTED = 4
    REJECTED = 5
    CANCELED = 6
    EXECUTED = 7
    REPLACED = 8
    BROKEN = 9
    REF = 10
    FEED = 11
    LIMITS = 12
    BEAT = 13
    HALT = 14
    RESUME = 15
    ARM = 16
    DISARM = 17
    MASS_CANCEL = 18
    DISABLE = 19
    ENABLE = 20
    DISABLED = 21
    ENABLED = 22


class Side(IntEnum):
    """Codes `side` of hwgw/specs/order.yaml."""

    BUY = 1
    SELL = 2


class Type(IntEnum):
    """Codes `type` of hwgw/specs/order.yaml."""

    LIMIT = 1
    MARKET = 2


class Tif(IntEnum):
    """Codes `tif` of hwgw/specs/order.yaml."""

    DAY = 1
    IOC = 2


class OrderFlags(IntEnum):
    """Codes `flags` of hwgw/specs/order.yaml."""

    SHORT_SALE = 1
    SHORT_EXEMPT = 2


class Level(Protocol):
    """One record `level` of hwgw/specs/hook.yaml."""

    px: int
    cnt: int
    """Orders at this price"""
    qty: int
    """Displayed shares at this price"""


class Features(Protocol):
    """One record `features` of hwgw/specs/features.yaml."""

    spread: int
    """1/10,000: a1 - b1; negative while the book is crossed; 0 unless two-sided"""
    mid: int
    """1/10,000 x 2^16: (a1 + b1) / 2; 0 unless two-sided"""
    microprice: int
    """1/10,000 x 2^16: b1 + (a1 - b1) B / (B + A), B and A the shares at b1 and a1, the ratio with 17 binary places;
    0 unless two-sided"""
    imbalance: int
    """2^-16: 2 B / (B + A) - 1, B and A the shares of the best n levels of either side; -2^16 to 2^16; 0 when both
    are empty"""
    slope: int
    """Shares per 1/10,000, x 2^16: (B - B1 + A - A1) / (b1 - bn + an - a1): shares behind the best level, over the
    best n levels, by the price they are spread over; 0 when no side has two levels"""
    ofi: int
    """Shares: order-flow imbalance of this change: [b >= b0] B - [b <= b0] B0 - [a <= a0] A + [a >= a0] A0, 0 marks
    the top before; a side without orders has the worst price there is and 0 shares; 0 with the first row"""
    ofi_decay: int
    """Shares x 2^16: S <- S - floor(S / 2^k) + ofi"""
    trade_sign: int
    """1: who began the last printable trade: 1 a buyer, -1 a seller. Of a displayed order: against its side; of a
    hidden one: above or below the middle, 0 at it or without one. Auctions do not count"""
    trade_volume: int
    """Shares: printable trades since the last row of this instrument, auctions left out"""
    trade_flow: int
    """Shares x 2^16: with each trade S <- S - floor(S / 2^k) + sign x shares"""
    queue_bid_ahead: int
    """Shares: displayed in front of our buy order at its price: of the one with the best price, there of the first;
    -1 when none of ours is in the book"""
    queue_bid_behind: int
    """Shares: behind the same order, at its price; -1 when there is none"""
    queue_ask_ahead: int
    """Shares: the same of our sell order"""
    queue_ask_behind: int
    """Shares: the same of our sell order"""
    ema_short: int
    """1/10,000 x 2^16: E <- E + floor((mid - E) / 2^k) with each two-sided row, mid with the first; 0 before"""
    ema_long: int
    """1/10,000 x 2^16: the same, with its own k"""


class Order(Protocol):
    """One record `order` of hwgw/specs/order.yaml."""

    kind: int
    """0 none, 1 new, 2 replace, 3 cancel, 4 accepted, 5 rejected, 6 canceled, 7 executed, 8 replaced, 9 broken, 10
    ref, 11 feed, 12 limits, 13 beat, 14 halt, 15 resume, 16 arm, 17 disarm, 18 mass cancel, 19 disable, 20
    enable, 21 disabled, 22 enabled"""
    side: int
    """1 buy, 2 sell"""
    type: int
    """1 limit, 2 market"""
    tif: int
    """1 day, 2 ioc"""
    flags: int
    """1 short sale, 2 short exempt"""
    account: int
    strategy: int
    ref: int
    """OUCH UserRefNum"""
    orig_ref: int
    """Replace and replaced only"""
    instrument: int
    """Dense index; of a mass cancel all ones = every instrument"""
    px: int
    """Limit price; execution price of executed and broken; reference price of ref"""
    qty: int
    """Order quantity; executed, canceled or broken quantity; new intended total of cancel; 1 good or 0 not good of
    feed"""
    reason: int
    """Halt reason; venue code of canceled and rejected, 0 = concluded by the session; order state of accepted and
    replaced when dead; in the journal, of a market order that passed, the price it was judged at"""
    ts_ns: int
    t_rx: int
    """Ticks at the descriptor of the frame that caused it, 0 when none"""
    seq: int
    """Feed sequence number of the message that caused it; session sequence number when the venue said it"""
    venue_ref: int
    """Order reference or match number given by the venue; generation of limits; of new and replace what the gate has
    no opinion on: displayed quantity, options, session"""


class Hook(Protocol):
    """One record `hook` of hwgw/specs/hook.yaml."""

    cause: int
    """1 book, 2 order"""
    instrument: int
    flags: int
    """1 feed good, 2 trading, 4 two sided"""
    depth_cnt: int
    """Levels filled per side; 1 unless the strategy asks for more, at most 10"""
    ts_ns: int
    """Exchange time of the event"""
    now_ns: int
    """Gateway clock"""
    seq: int
    last_px: int
    """Last trade, 0 when none yet"""
    last_qty: int
    position: int
    """Signed shares"""
    open_buy_cnt: int
    """Own open buy orders"""
    open_sell_cnt: int
    bid: Sequence[Level]
    """Best first"""
    ask: Sequence[Level]
    """Best first"""
    order: Order
    """The own order event when cause is order, else all 0"""
    features: Features
    """What the strategy asked for, of this update of the book; of use when the cause is book"""


Orders = Sequence[Order]
"""Room for out_max orders, to be filled from the first on."""
