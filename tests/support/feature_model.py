"""The features once more, with NumPy over whole columns, from the golden books: what features.c is compared with.

SPDX-License-Identifier: MIT

Written from the formulas of hwgw/specs/features.yaml, not from the C code: columns instead of rows, Python's integers
where 64 bits might not do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hwgw_sim.golden import itch
from hwgw_sim.golden.book import ADD, BUY, EXECUTE, EXECUTE_WITH_PRICE, SELL, TRADE, Books

DEPTH = 10
QTY_MAX = 2**32 - 1
ONE = 2**16


@dataclass
class Tape:
    """What happened to one instrument: levels behind each change of the top, and the trades between them."""

    seq: list[int] = field(default_factory=list)
    levels: list[list[list[tuple[int, int]]]] = field(default_factory=list)  # row, side, level: px and qty
    trades: list[tuple[int, int, int]] = field(default_factory=list)  # index of the next row, sign, qty
    queues: list[list[tuple[int, int]]] = field(default_factory=list)  # row, side: ahead and behind


def tapes(messages: Iterable[bytes], own: dict[int, set[int]] | None = None) -> dict[bytes, Tape]:
    """By symbol. own: references of the orders that count as ours, by side; they are looked for in every book."""
    golden, symbols, numbers = Books(1000), dict[int, bytes](), dict[bytes, int]()
    made: dict[bytes, Tape] = {}
    for seq, message in enumerate(messages, 1):
        try:
            event = itch.event(message)
        except itch.DecodeError:
            continue
        locate = event["locate"]
        if locate and (message[:1] == b"R" or (event["kind"] == ADD and locate not in symbols)):
            symbols[locate] = message[11:19] if message[:1] == b"R" else message[24:32]
        if locate not in symbols:
            continue
        instrument = event["instrument"] = numbers.setdefault(symbols[locate], len(numbers))
        tape = made.setdefault(symbols[locate], Tape())
        book = golden.books[instrument]
        resting = book.orders.get(event["ref"])
        cause, top_changed = golden.apply(event)
        if event["flags"] & 1 and cause in ("book.updates", "book.ignored"):
            sign = None
            if event["kind"] in (EXECUTE, EXECUTE_WITH_PRICE):
                sign = {BUY: -1, SELL: 1}[resting.side]
            elif event["kind"] == TRADE:
                (bid, _, _), (ask, _, _) = book.best()
                sign = int(np.sign(2 * event["px"] - bid - ask)) if bid and ask else 0
            if sign is not None:
                tape.trades.append((len(tape.seq), sign, event["qty"]))
        if top_changed:
            tape.seq.append(seq)
            tape.levels.append(
                [[(px, qty) for px, _, qty in golden.depth(instrument, side, DEPTH)] for side in (BUY, SELL)]
            )
            if own:
                tape.queues.append([queue(golden.orders(instrument, side), own[side]) for side in (BUY, SELL)])
    return made


def queue(orders: list[tuple[int, int, int]], own: set[int]) -> tuple[int, int]:
    """Shares in front of and behind the first of our orders at its price; -1 when there is none."""
    at = next((idx for idx, (ref, _, _) in enumerate(orders) if ref in own), None)
    if at is None:
        return -1, -1
    px = orders[at][2]
    ahead = sum(qty for _, qty, other in orders[:at] if other == px)
    return ahead, sum(qty for _, qty, other in orders[at + 1 :] if other == px)


def columns(tape: Tape, params: dict[str, int]) -> dict[str, np.ndarray[Any, Any]]:
    """Every feature of every row, as columns of Python integers."""
    cnt = len(tape.seq)
    px, qty = (np.zeros((2, cnt, DEPTH), object) for _ in range(2))
    for row, sides in enumerate(tape.levels):
        for side, levels in enumerate(sides):
            for n, (level_px, level_qty) in enumerate(levels):
                px[side, row, n], qty[side, row, n] = level_px, level_qty
    (bid, ask), (bid_qty, ask_qty) = px[:, :, 0], np.minimum(qty[:, :, 0], QTY_MAX)
    both = (bid > 0) & (ask > 0)
    found: dict[str, np.ndarray[Any, Any]] = {"spread": np.where(both, ask - bid, 0)}
    mid = (bid + ask) * ONE // 2
    found["mid"] = np.where(both, mid, 0)
    all_qty = np.maximum(bid_qty + ask_qty, 1)
    found["microprice"] = np.where(both, bid * ONE + (ask - bid) * (2 * ONE * bid_qty // all_qty) // 2, 0)

    bids, asks = np.minimum(qty[:, :, : params["imbalance"]].sum(axis=2), QTY_MAX)
    found["imbalance"] = np.where(bids + asks > 0, 2 * ONE * bids // np.maximum(bids + asks, 1) - ONE, 0)

    depth = params["slope"]
    behind = np.minimum(qty[:, :, 1:depth].sum(axis=(0, 2)), QTY_MAX)
    last_bid = np.where(px[0, :, :depth] > 0, px[0, :, :depth], QTY_MAX).min(axis=1)  # best first: bids fall
    span = np.where(bid > 0, bid - last_bid, 0) + np.where(ask > 0, px[1, :, :depth].max(axis=1) - ask, 0)
    found["slope"] = np.where(span > 0, ONE * behind // np.maximum(span, 1), 0)

    asked = np.where(ask > 0, ask, QTY_MAX)
    flow = np.zeros(cnt, object)
    for side_px, side_qty, sign in ((bid, bid_qty, 1), (-asked, ask_qty, -1)):
        now, was = side_px[1:], side_px[:-1]
        flow[1:] += sign * (np.where(now >= was, side_qty[1:], 0) - np.where(now <= was, side_qty[:-1], 0))
    found["ofi"] = flow
    found["ofi_decay"] = decayed(flow, params["ofi_decay"])

    at = np.array([row for row, _, _ in tape.trades], int)
    signs = [sign for _, sign, _ in tape.trades]
    sums = [0, *decayed(np.array([s * q for _, s, q in tape.trades], object), params["trade_flow"])]
    before = np.searchsorted(at, np.arange(cnt), side="right")
    found["trade_sign"] = np.array([0, *signs], object)[before]
    found["trade_flow"] = np.array(sums, object)[before]
    volume = np.concatenate([[0], np.cumsum([q for _, _, q in tape.trades], dtype=object)])[before]
    found["trade_volume"] = np.diff(volume, prepend=0)
    for side, name in enumerate(("bid", "ask")):
        for place, what in enumerate(("ahead", "behind")):
            told = [row[side][place] for row in tape.queues] if tape.queues else [-1] * cnt
            found[f"queue_{name}_{what}"] = np.array(told, object)
    for name in ("ema_short", "ema_long"):
        found[name] = averaged(mid, both, params[name])
    return found


def decayed(values: np.ndarray[Any, Any], shift: int) -> np.ndarray[Any, Any]:
    """S <- S - floor(S / 2^shift) + value, with 16 binary places."""
    total, sums = 0, []
    for value in values:
        total = total - total // 2**shift + value * ONE
        sums.append(total)
    return np.array(sums, object)


def averaged(mid: np.ndarray[Any, Any], both: np.ndarray[Any, Any], shift: int) -> np.ndarray[Any, Any]:
    """E <- E + floor((mid - E) / 2^shift) where there is a middle."""
    average, made = None, []
    for value, is_there in zip(mid, both, strict=True):
        if is_there:
            average = value if average is None else average + (value - average) // 2**shift
        made.append(average or 0)
    return np.array(made, object)
