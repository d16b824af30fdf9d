"""Execution quality from a journal: what became of orders, how fast, at what price against the market at the decision.

SPDX-License-Identifier: MIT

Input: the files of a gateway. Output: a group per venue (user@address:port of the login) and strategy. An order is
known by its reference; those of a run that began anew are others. A fill counts for the order, or replace, that it
filled, and against the book that this one was decided on. Slippage is signed so that positive is worse than the
reference: a buy above it, a sell below; weighted by shares, in basis points of the reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from .. import specs
from .files import Record, blocks, records

__all__ = ["Group", "Reader", "percentiles", "report"]

SPANS = ("decided_to_sent", "sent_to_acknowledged", "decided_to_first_fill")
BPS = 10_000


@cache
def _names(table: str, enum: str) -> dict[int, str]:
    return {int(code.value): code.slug for code in specs.load(table).enum(enum).values}


@dataclass(slots=True)
class _Order:
    group: Group
    sign: int
    decided_ns: int
    mid: float = 0.0  # 0: there was no book of two sides
    micro: float = 0.0
    sent_ns: int = 0
    acknowledged: bool = False
    filled: bool = False


@dataclass(slots=True)
class Group:
    """What one strategy's orders at one venue came to."""

    venue: str
    strategy: str
    new: int = 0
    replaces: int = 0
    acknowledged: int = 0
    lost: int = 0  # taken back, or never at the venue
    orders_filled: int = 0
    executed_qty: int = 0
    slippage_qty: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    cost: dict[str, float] = field(default_factory=lambda: {"mid": 0.0, "microprice": 0.0})
    times: dict[str, list[int]] = field(default_factory=lambda: {span: [] for span in SPANS})

    def filled(self, order: _Order, qty: int, px: int) -> None:
        """Count an execution of one of its orders."""
        self.executed_qty += qty
        if order.mid:
            self.slippage_qty += qty
            self.cost["mid"] += order.sign * (px - order.mid) / order.mid * BPS * qty
            self.cost["microprice"] += order.sign * (px - order.micro) / order.micro * BPS * qty

    def as_dict(self) -> dict[str, Any]:
        """Plain values; times in ns, slippage in basis points or None where nothing was filled."""
        qty = self.slippage_qty
        return {
            "venue": self.venue, "strategy": self.strategy, "new": self.new, "replaces": self.replaces,
            "refused": dict(self.refused.most_common()), "acknowledged": self.acknowledged,
            "rejected": dict(self.rejected.most_common()), "lost": self.lost, "orders_filled": self.orders_filled,
            "fill_rate": self.orders_filled / self.acknowledged if self.acknowledged else None,
            "executed_qty": self.executed_qty, "slippage_qty": qty,
            "slippage_bps": {kind: cost / qty if qty else None for kind, cost in self.cost.items()},
            "latency_ns": {span: percentiles(times) for span, times in self.times.items()},
        }  # fmt: skip


def percentiles(times: list[int]) -> dict[str, int]:
    """How many, and p50, p99, p999 and max of them; zeros of none."""
    ordered = sorted(times)
    at = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
    row = {
        name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0 for name, share in at.items()
    }
    return {"cnt": len(ordered), **row, "max": ordered[-1] if ordered else 0}


class Reader:
    """Follows the records of one gateway."""

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str], Group] = {}
        self.strategies: dict[int, str] = {}
        self.venue = "no venue"
        self.orders: dict[int, _Order] = {}
        self.unsent: list[int] = []
        self.reasons = {reason.code: reason.name for reason in specs.reasons()}
        self.codes = _names("ouch50", "reject_reason")
        self.kinds = _names("order", "kind")

    def take(self, record: Record) -> None:
        """The next record."""
        if record.type == "gate":
            self._event(record)
        elif record.type == "arrival":
            self._arrival(record.fields())
        elif record.type == "sent":
            self._sent(int(record.fields()["last_ref"]), record.ts_ns)
        elif record.type == "strategy":
            row = record.fields()
            self.strategies[int(row["id"])] = str(row["name"])
        elif record.type == "login":
            row = record.fields()
            address = ".".join(str(int(row["address"]) >> shift & 255) for shift in (24, 16, 8, 0))
            self.venue = f"{row['username']}@{address}:{row['port']}"
        elif record.type == "open":
            self.unsent.clear()
            if int(record.open()["is_anew"]):
                self.orders.clear()

    def _group(self, strategy: int) -> Group:
        key = (self.venue, self.strategies.get(strategy, f"strategy {strategy}"))
        if key not in self.groups:
            self.groups[key] = Group(*key)
        return self.groups[key]

    def _event(self, record: Record) -> None:
        event = record.order()
        kind, ref = self.kinds.get(int(event["kind"]), ""), int(event["ref"])
        if kind in ("new", "replace"):
            group = self._group(int(event["strategy"]))
            if record.verdict:
                group.refused[self.reasons.get(record.verdict, str(record.verdict))] += 1
                return
            group.new += kind == "new"
            group.replaces += kind == "replace"
            self.orders[ref] = _Order(group, 1 if int(event["side"]) == 1 else -1, record.ts_ns)
            self.unsent.append(ref)
        elif order := self.orders.get(ref):
            self._answer(order, kind, event, record.ts_ns)

    def _answer(self, order: _Order, kind: str, event: Any, now_ns: int) -> None:
        group = order.group
        if kind in ("accepted", "replaced") or (kind == "rejected" and int(event["reason"])):
            if order.sent_ns and now_ns >= order.sent_ns:
                group.times["sent_to_acknowledged"].append(now_ns - order.sent_ns)
            order.acknowledged = kind != "rejected"
            group.acknowledged += order.acknowledged
            if kind == "rejected":
                code = int(event["reason"])
                group.rejected[self.codes.get(code, str(code))] += 1
        elif kind == "rejected":
            group.lost += 1
        elif kind == "executed":
            if not order.filled:
                order.filled = True
                group.orders_filled += 1
                if now_ns >= order.decided_ns and order.sent_ns:
                    group.times["decided_to_first_fill"].append(now_ns - order.decided_ns)
            group.filled(order, int(event["qty"]), int(event["px"]))

    def _arrival(self, row: dict[str, int | str]) -> None:
        order = self.orders.get(int(row["ref"]))
        bid, ask, bids, asks = (int(row[key]) for key in ("bid_px", "ask_px", "bid_qty", "ask_qty"))
        if order and bid and ask and bids + asks:
            order.mid = (bid + ask) / 2
            order.micro = (bid * asks + ask * bids) / (bids + asks)

    def _sent(self, last_ref: int, now_ns: int) -> None:
        for ref in self.unsent:
            order = self.orders.get(ref)
            if order and ref <= last_ref:
                order.sent_ns = now_ns
                order.group.times["decided_to_sent"].append(now_ns - order.decided_ns)
        self.unsent = [ref for ref in self.unsent if ref > last_ref]


def _records(files: Sequence[Path]) -> Iterator[Record]:
    for file in files:
        for block in blocks(file):
            yield from records(block)


def report(files: Sequence[Path]) -> list[Group]:
    """The groups of consecutive files of one gateway, by venue and strategy."""
    reader = Reader()
    for record in _records(files):
        reader.take(record)
    return [reader.groups[key] for key in sorted(reader.groups)]
