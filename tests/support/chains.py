"""A venue that answers at random, as OUCH 5.0 allows, and a strategy that orders, replaces and cancels at random.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hwgw.native import ffi, lib

from . import soup_venue as sv
from .desk import SYMBOLS, Desk

SIDES = {b"B": (lib.HWGW_ORDER_SIDE_BUY, 0), b"S": (lib.HWGW_ORDER_SIDE_SELL, 0), b"T": (lib.HWGW_ORDER_SIDE_SELL, 1)}


@dataclass
class Order:
    """An order as the venue has it."""

    ref: int
    side: bytes
    symbol: bytes
    px: int
    leaves: int
    executed: int = 0  # of the whole chain of replaces

    @property
    def sign(self) -> int:
        return 1 if self.side == b"B" else -1


class Venue:
    """Answers packets at random, each as OUCH 5.0 allows; keeps what is open, positions and cash."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.live: dict[int, Order] = {}
        self.position: Counter[bytes] = Counter()
        self.bought: Counter[bytes] = Counter()
        self.sold: Counter[bytes] = Counter()
        self.short: Counter[bytes] = Counter()
        self.cash = 0
        self.asked: dict[int, int] = {}  # by replace: what is to be open after it
        self.match = itertools.count(1)
        self.did: Counter[str] = Counter()

    def answer(self, packet: bytes) -> list[bytes]:
        kind, ref = packet[3:4], int.from_bytes(packet[4:8], "big")
        if kind == b"O":
            order = Order(ref, packet[8:9], packet[13:21], int.from_bytes(packet[21:29], "big"),
                          int.from_bytes(packet[9:13], "big"))  # fmt: skip
            return self.enter(order)
        if kind == b"U":
            new, qty, px = (int.from_bytes(packet[at : at + n], "big") for at, n in ((8, 4), (12, 4), (16, 8)))
            return self.replace(ref, new, qty, px)
        return self.cancel(ref, int.from_bytes(packet[8:12], "big"))

    def enter(self, order: Order) -> list[bytes]:
        luck = self.rng.random()
        if luck < 0.1:
            self.did["rejected"] += 1
            return [sv.rejected(order.ref, 1)]
        state = b"D" if luck < 0.2 else b"L"
        if 0.2 <= luck < 0.3:
            order.leaves = self.rng.randint(1, order.leaves)
            self.did["accepted less"] += 1
        if state == b"L":
            self.live[order.ref] = order
        self.did["accepted " + state.decode()] += 1
        return [sv.accepted(order.ref, order.side, order.leaves, order.symbol, order.px, state=state)]

    def replace(self, ref: int, new: int, qty: int, px: int) -> list[bytes]:
        old = self.live.get(ref)
        if old is None:
            self.did["replace of nothing"] += 1
            return []  # by the specification: without a word
        if self.rng.random() < 0.1:
            self.did["replace rejected"] += 1
            return [sv.rejected(new, 1)]
        del self.live[ref]
        leaves = self.asked[new] = qty - old.executed
        if leaves <= 0:
            self.did["replaced below what is executed"] += 1
            return [sv.canceled(ref, old.leaves)]
        state = b"D" if self.rng.random() < 0.1 else b"L"
        made = Order(new, old.side, old.symbol, px, leaves, old.executed)
        if state == b"L":
            self.live[new] = made
        self.did["replaced " + state.decode() + (" after fills" if old.executed else "")] += 1
        return [sv.replaced(ref, new, old.side, leaves, old.symbol, px, state=state)]

    def cancel(self, ref: int, qty: int) -> list[bytes]:
        order = self.live.get(ref)
        left = max(0, qty - order.executed) if order else 0
        if order is None or left >= order.leaves:
            self.did["cancel of nothing"] += 1
            return []
        gone, order.leaves = order.leaves - left, left
        if not left:
            del self.live[ref]
        self.did["reduced" if left else "canceled"] += 1
        return [sv.canceled(ref, gone)]

    def trade(self) -> list[bytes]:
        if not self.live or self.rng.random() < 0.8:
            return []
        order = self.rng.choice(list(self.live.values()))
        qty = self.rng.choice([order.leaves, self.rng.randint(1, order.leaves)])
        order.leaves -= qty
        order.executed += qty
        if not order.leaves:
            del self.live[order.ref]
        self.position[order.symbol] += order.sign * qty
        (self.bought if order.sign > 0 else self.sold)[order.symbol] += qty
        self.short[order.symbol] += qty if order.side == b"T" else 0
        self.cash -= order.sign * qty * order.px
        self.did["filled" if not order.leaves else "filled in part"] += 1
        return [sv.executed(order.ref, qty, order.px, next(self.match))]


class Monkey:
    """A strategy that orders at random, its own orders' references among them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.known: dict[int, tuple[int, bytes]] = {}
        self.wanted: dict[int, int] = {}  # by order: what it is to have open
        self.fn = ffi.callback("hwgw_strategy_fn", self.hook)
        self.name = ffi.new("char[]", b"monkey")
        self.desc = ffi.new(
            "struct hwgw_strategy *", {"abi": lib.HWGW_SEGMENT_ABI, "depth": 1, "name": self.name, "fn": self.fn}
        )

    def hook(self, hook: Any, _state: Any, out: Any, out_max: int) -> int:
        order = hook.order
        if hook.cause == lib.HWGW_HOOK_CAUSE_ORDER:
            if order.kind in (lib.HWGW_ORDER_KIND_NEW, lib.HWGW_ORDER_KIND_REPLACE):
                sides = {(side, flags): code for code, (side, flags) in SIDES.items()}
                self.wanted[order.ref] = order.qty
                self.known[order.ref] = (order.instrument, sides[(order.side, order.flags)])
            return 0
        if not hook.flags & lib.HWGW_HOOK_FLAGS_TWO_SIDED:
            return 0
        for index in range(cnt := self.rng.randint(0, 3)):
            self.order(out[index])
        return cnt

    def order(self, out: Any) -> None:
        rng = self.rng
        old = rng.choice(list(self.known)[-6:]) if self.known else 0
        out.kind = rng.choice([lib.HWGW_ORDER_KIND_NEW, lib.HWGW_ORDER_KIND_REPLACE, lib.HWGW_ORDER_KIND_CANCEL])
        if not old:
            out.kind = lib.HWGW_ORDER_KIND_NEW
        out.qty = rng.randint(1, 300)
        if out.kind == lib.HWGW_ORDER_KIND_CANCEL:
            out.ref, out.qty = old, rng.choice([0, out.qty])
            return
        instrument, side = rng.randrange(len(SYMBOLS)), rng.choice(list(SIDES))
        if out.kind == lib.HWGW_ORDER_KIND_REPLACE:
            out.orig_ref = old
            instrument, side = self.known[old]
        out.instrument, (out.side, out.flags) = instrument, SIDES[side]
        out.type, out.px = lib.HWGW_ORDER_TYPE_LIMIT, rng.randint(990_000, 1_010_000)
        out.tif = lib.HWGW_ORDER_TIF_DAY


def gate(desk: Desk) -> Counter[str]:
    """The gate's state; what it does not name is 0."""
    room = ffi.new("char[]", 1 << 22)
    cnt = lib.hwgw_risk_dump(lib.hwgw_pipeline_risk(desk.rig.handle), room, len(room))
    assert 0 < cnt < len(room)
    lines = ffi.buffer(room, cnt)[:].decode().splitlines()
    return Counter({name: int(value) for name, value in (line.split() for line in lines)})


def open_orders(state: Counter[str]) -> dict[int, int]:
    slots = [name[:-4] for name in list(state) if name.startswith("order.") and name.endswith(".ref")]
    return {state[f"{slot}.ref"]: state[f"{slot}.leaves"] for slot in slots if state[f"{slot}.leaves"]}


def settle(desk: Desk, venue: Venue, seen: int) -> int:
    """Turn both until every packet is answered and every answer has arrived; packets seen so far."""
    sent = 0
    while True:
        desk.wait(2 + desk.cnt("order.encoded"))
        answers = [message for packet in desk.packets[seen:] for message in venue.answer(packet)]
        seen = len(desk.packets)
        sent = desk.cnt("session.sequenced") + len(answers)
        desk.venue.sequenced(*answers)
        desk.until(lambda: desk.cnt("session.sequenced") == sent)  # noqa: B023 (called here and now)
        if not answers and len(desk.packets) == 2 + desk.cnt("order.encoded"):
            return seen
