"""Execution quality from a journal: what became of orders, how fast, at what price against the market at the decision.

SPDX-License-Identifier: MIT

Input: the files of a gateway. Output: a group per venue (its name; of a session without one user@address:port of the
login) and strategy. Reasons of rejections are in the words of the venue's protocol. An order is known by its
reference; those of a run that began anew are others. A fill counts for the order, or replace, that it filled, and
against the book that this one was decided on. Slippage is signed so that positive is worse than the reference: a buy
above it, a sell below; weighted by shares, in basis points of the reference.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from .. import specs
from ..errors import DeviceError
from ..specs import fix
from ..specs.model import slug
from .files import Record, blocks, records

__all__ = ["Group", "Reader", "histograms", "percentiles", "report"]

SPANS = ("decided_to_sent", "sent_to_acknowledged", "decided_to_acknowledged", "decided_to_first_fill")
BPS = 10_000


@cache
def _names(table: str, enum: str) -> dict[int, str]:
    return {int(code.value): code.slug for code in specs.load(table).enum(enum).values}


@dataclass(slots=True)
class _Order:
    group: Group
    sign: int
    decided_ns: int
    rejects: dict[int, str]
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


@cache
def _rejects(protocol: str, kind: str) -> dict[int, str]:
    """Reasons of rejections of a new order or a replace, as the gate has them: numbers, of OUCH 4.2 letters."""
    if protocol.startswith("fix"):
        enum = "cxl_rej_reason_102" if kind == "replace" else "ord_rej_reason_103"
        return {int(code): slug(text) for code, text in fix.load().enums[enum].items()}
    codes = specs.load(protocol).enum("reject_reason").values
    return {int(code.value) if protocol == "ouch50" else ord(str(code.value)): code.slug for code in codes}


@dataclass(slots=True)
class _Session:
    """An order session of the run at hand."""

    venue: str = "no venue"
    protocol: str = "ouch50"
    has_name: bool = False
    unsent: list[int] = field(default_factory=list)


class Reader:
    """Follows the records of one gateway."""

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str], Group] = {}
        self.strategies: dict[int, str] = {}
        self.sessions: defaultdict[int, _Session] = defaultdict(_Session)  # by number
        self.orders: dict[int, _Order] = {}
        self.reasons = {reason.code: reason.name for reason in specs.reasons()}
        self.protocols = _names("segment", "order_protocol")
        self.venue_shift = specs.load("order").constant("venue_shift")
        self.kinds = _names("order", "kind")

    def take(self, record: Record) -> None:
        """The next record."""
        if record.type == "gate":
            self._event(record)
        elif record.type == "arrival":
            self._arrival(record.fields())
        elif record.type == "sent":
            row = record.fields()
            self._sent(self.sessions[int(row["venue"])], int(row["last_ref"]), record.ts_ns)
        elif record.type == "strategy":
            row = record.fields()
            self.strategies[int(row["id"])] = str(row["name"])
        elif record.type == "session":
            row = record.fields()
            session = self.sessions[int(row["number"])]
            session.protocol = self.protocols[int(row["protocol"])]
            session.has_name = bool(row["name"])
            session.venue = str(row["name"]) or session.venue
        elif record.type == "login":
            row = record.fields()
            session = self.sessions[int(row["venue"])]
            address = ".".join(str(int(row["address"]) >> shift & 255) for shift in (24, 16, 8, 0))
            if not session.has_name:
                session.venue = f"{row['username']}@{address}:{row['port']}"
        elif record.type == "open":
            for session in self.sessions.values():
                session.unsent.clear()
            if int(record.open()["is_anew"]):
                self.orders.clear()

    def _group(self, session: _Session, strategy: int) -> Group:
        key = (session.venue, self.strategies.get(strategy, f"strategy {strategy}"))
        if key not in self.groups:
            self.groups[key] = Group(*key)
        return self.groups[key]

    def _event(self, record: Record) -> None:
        event = record.order()
        kind, ref = self.kinds.get(int(event["kind"]), ""), int(event["ref"])
        if kind in ("new", "replace"):
            session = self.sessions[int(event["venue_ref"]) >> self.venue_shift]
            group = self._group(session, int(event["strategy"]))
            if record.verdict:
                group.refused[self.reasons.get(record.verdict, str(record.verdict))] += 1
                return
            group.new += kind == "new"
            group.replaces += kind == "replace"
            sign = 1 if int(event["side"]) == 1 else -1
            self.orders[ref] = _Order(group, sign, record.ts_ns, _rejects(session.protocol, kind))
            session.unsent.append(ref)
        elif order := self.orders.get(ref):
            self._answer(order, kind, event, record.ts_ns)

    def _answer(self, order: _Order, kind: str, event: Any, now_ns: int) -> None:
        group = order.group
        if kind in ("accepted", "replaced") or (kind == "rejected" and int(event["reason"])):
            if order.sent_ns and now_ns >= order.sent_ns:
                group.times["sent_to_acknowledged"].append(now_ns - order.sent_ns)
                group.times["decided_to_acknowledged"].append(now_ns - order.decided_ns)
            order.acknowledged = kind != "rejected"
            group.acknowledged += order.acknowledged
            if kind == "rejected":
                code = int(event["reason"])
                group.rejected[order.rejects.get(code, str(code))] += 1
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

    def _sent(self, session: _Session, last_ref: int, now_ns: int) -> None:
        for ref in session.unsent:
            order = self.orders.get(ref)
            if order and ref <= last_ref:
                order.sent_ns = now_ns
                order.group.times["decided_to_sent"].append(now_ns - order.decided_ns)
        session.unsent = [ref for ref in session.unsent if ref > last_ref]


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


def histograms(groups: Sequence[Group], folder: Path) -> list[Path]:
    """Every span of every group as VENUE-STRATEGY-SPAN.csv, which a backtest's model reads as a latency."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for group in groups:
            for span, times in group.times.items():
                if not times:
                    continue
                name = re.sub(r"[^A-Za-z0-9.@_-]", "_", f"{group.venue}-{group.strategy}-{span}")
                rows = [f"{ns},{cnt}" for ns, cnt in sorted(Counter(times).items())]
                written.append(folder / f"{name}.csv")
                written[-1].write_text("\n".join(["latency_ns,count", *rows]) + "\n", encoding="ascii")
    except OSError as error:
        raise DeviceError(f"--histograms {folder}: {error.strerror}") from None
    return written
