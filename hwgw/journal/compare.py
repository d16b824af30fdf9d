"""Where two strategies of one day part: what each ordered on the same message of the feed, and what came of it.

SPDX-License-Identifier: MIT

Two orders are the same decision when the same message of the feed caused them (its sequence number), for the same
symbol and side; terms and time may differ, and are compared. Fill rate and slippage are those of `hwgw journal report`.
PnL is cash and positions at the last price that either gate valued the symbol at, before fees; what trades on paper
pays those of its model. Runs that did not begin together are not compared: it is the last run of each journal that
counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import specs
from ..errors import CheckFailed, UsageError
from ..settings import FEE_PLACES, MODES
from .files import Record, blocks, records
from .report import Reader, percentiles
from .virtual import BACKTEST

__all__ = ["Day", "compare", "day", "lines", "money"]

Key = tuple[int, str, int]  # feed sequence number, symbol, side


@dataclass(slots=True)
class Traded:
    """What a strategy ordered and was filled."""

    number: int
    mode: str
    of: int  # number of the live strategy that it is beside, or -1
    orders: dict[Key, list[tuple[int, int, int, int]]] = field(default_factory=dict)  # ts_ns, qty, px, verdict
    order_cnt: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    waiting: dict[int, int] = field(default_factory=dict)  # by reference: decided, not filled yet
    filled_ns: list[int] = field(default_factory=list)  # from the decision to the first fill
    cash: int = 0
    due: dict[int, int] = field(default_factory=dict)  # by match number: the fee of an execution that is not told yet
    fees: int = 0  # in 1/1,000,000
    position: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Day:
    """The last run of a journal. offset_ns: from its clock to the time of day; marks: symbol -> (time, price)."""

    offset_ns: int = 0
    start_ns: int = 0
    feed: str = ""  # of a backtest
    strategies: dict[str, Traded] = field(default_factory=dict)
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)
    reader: Reader = field(default_factory=Reader)


def _last_run(files: Sequence[Path]) -> Iterator[Record]:
    found: list[Record] = []
    for file in files:
        for block in blocks(file):
            for record in records(block):
                if record.type == "open":
                    found.clear()
                found.append(record)
    return iter(found)


def day(files: Sequence[Path]) -> Day:
    """Read the last run of one gateway's files, in two passes: a strategy's name stands behind its first records."""
    found = Day()
    all_ = list(_last_run(files))
    by_number: dict[int, Traded] = {}
    symbols: list[str] = []
    for record in all_:
        if record.type == "strategy":
            row = record.fields()
            traded = Traded(int(row["id"]), MODES[int(row["mode"])], int(row["of"]) - 1)
            by_number[traded.number] = found.strategies[str(row["name"])] = traded
        elif record.type == "symbols":
            raw = bytes(record.payload)
            symbols = [raw[at : at + 8].decode("ascii", "replace").rstrip() for at in range(0, len(raw), 8)]
        elif record.type == "open":
            found.offset_ns = int(record.open()["clock_offset_ns"])
            found.start_ns = int(record.open()["start_ns"])
            reason = record.open()["reason"].decode()
            found.feed = reason.removeprefix(BACKTEST) if reason.startswith(BACKTEST) else ""
    reasons = {reason.code: reason.name for reason in specs.reasons()}
    kinds = {int(code.value): code.slug for code in specs.load("order").enum("kind").values}
    for record in all_:
        found.reader.take(record)
        if record.type == "fee":
            row = record.fields()
            if int(row["strategy"]) in by_number:
                by_number[int(row["strategy"])].due[int(row["match"])] = int(row["fee"])
        elif record.type == "basis":
            row = record.fields()
            if int(row["instrument"]) < len(symbols) and int(row["mark_px"]):
                found.marks[symbols[int(row["instrument"])]] = (record.ts_ns + found.offset_ns, int(row["mark_px"]))
        elif record.type == "gate":
            event = record.order()
            traded_by = by_number.get(int(event["strategy"]))
            if traded_by and int(event["instrument"]) < len(symbols):
                symbol = symbols[int(event["instrument"])]
                _event(traded_by, kinds.get(int(event["kind"]), ""), event, symbol, record, reasons)
    return found


def _event(by: Traded, kind: str, event: Any, symbol: str, record: Record, reasons: dict[int, str]) -> None:
    side, qty, px = int(event["side"]), int(event["qty"]), int(event["px"])
    if kind in ("new", "replace"):
        by.order_cnt += 1
        if not record.verdict:
            by.waiting[int(event["ref"])] = record.ts_ns
        else:
            by.refused[reasons.get(record.verdict, str(record.verdict))] += 1
        key = (int(event["seq"]), symbol, side)
        by.orders.setdefault(key, []).append((record.ts_ns, qty, px, record.verdict))
    elif kind in ("executed", "broken"):
        if kind == "executed" and (decided_ns := by.waiting.pop(int(event["ref"]), None)) is not None:
            by.filled_ns.append(record.ts_ns - decided_ns)
        by.fees += by.due.pop(int(event["venue_ref"]), 0) if kind == "executed" else 0
        signed = qty if (side == 1) == (kind == "executed") else -qty
        by.position[symbol] += signed
        by.cash -= signed * px


def money(mode: str, pnl: int, fees: int) -> dict[str, float | None]:
    """Profit in the currency unit; what a venue took of a live strategy is not known here. pnl in 1/10,000."""
    if mode == "live":
        return {"pnl": pnl / 10_000, "fees": None, "pnl_after_fees": None}
    return {"pnl": pnl / 10_000, "fees": fees / 10**FEE_PLACES, "pnl_after_fees": (100 * pnl - fees) / 10**FEE_PLACES}


def _figures(of: Day, name: str, marks: dict[str, tuple[int, int]]) -> dict[str, Any]:
    by = of.strategies[name]
    groups = [group for group in of.reader.groups.values() if group.strategy == name]
    new = sum(group.new + group.replaces for group in groups)
    filled, qty = sum(group.orders_filled for group in groups), sum(group.executed_qty for group in groups)
    slipped = sum(group.slippage_qty for group in groups)
    cost = sum(group.cost["mid"] for group in groups)
    pnl = by.cash + sum(held * marks[symbol][1] for symbol, held in by.position.items() if held)
    return {
        "strategy": name, "mode": by.mode, "orders": by.order_cnt, "passed": new, "refused": dict(by.refused),
        "orders_filled": filled, "fill_rate": filled / new if new else None, "executed_qty": qty,
        **money(by.mode, pnl, by.fees),
        "slippage_bps": cost / slipped if slipped else None, "decided_to_first_fill_ns": percentiles(by.filled_ns),
        "positions": {symbol: held for symbol, held in sorted(by.position.items()) if held},
    }  # fmt: skip


def compare(first: Day, a: str, second: Day, b: str) -> dict[str, Any]:
    """Two strategies of the same gateway, live and beside it, or both of one journal."""
    for of, name in ((first, a), (second, b)):
        if name not in of.strategies:
            raise UsageError(f"{name}: no strategy of that day; there are {', '.join(of.strategies) or 'none'}")
    if abs(first.start_ns - second.start_ns) > 60 * 10**9:
        raise CheckFailed("the last runs of the two journals did not begin together: they are of different days")
    if first.feed != second.feed:
        raise CheckFailed(f"the two journals are of backtests of different feeds: {first.feed} and {second.feed}")
    one, other = first.strategies[a].orders, second.strategies[b].orders
    same = terms = verdicts = 0
    lags: list[int] = []
    for key, rows in one.items():
        for mine, theirs in zip(rows, other.get(key, []), strict=False):
            same += 1
            terms += mine[1:3] != theirs[1:3]
            verdicts += mine[3] != theirs[3]
            lags.append(theirs[0] + second.offset_ns - mine[0] - first.offset_ns)
    marks = {**first.marks, **{s: m for s, m in second.marks.items() if m > first.marks.get(s, (0, 0))}}
    return {
        "a": _figures(first, a, marks), "b": _figures(second, b, marks), "same": same,
        "only_a": first.strategies[a].order_cnt - same, "only_b": second.strategies[b].order_cnt - same,
        "other_terms": terms, "other_verdict": verdicts, "b_behind_a_ns": percentiles(lags),
    }  # fmt: skip


_ROWS = (
    ("mode", "mode"), ("orders", "orders"), ("passed", "passed"), ("refused", "refused"), ("fills", "fills"),
    ("orders filled", "orders_filled"), ("fill rate", "fill_rate"), ("shares", "executed_qty"), ("PnL", "pnl"),
    ("fees of the model", "fees"), ("PnL after fees", "pnl_after_fees"),
    ("slippage, bp of mid", "slippage_bps"), ("decided to first fill", "decided_to_first_fill_ns"),
    ("descriptor to order", "segment_latency_ns"),
)  # fmt: skip


def _took(ns: int) -> str:
    return f"{ns / 1e3:,.1f} us" if ns < 10**6 else f"{ns / 1e6:,.1f} ms"


def _text(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key == "refused" and isinstance(value, dict):
        return f"{sum(value.values()):,}"
    if key.endswith("_ns"):
        return f"p50 {_took(value['p50'])}, p99 {_took(value['p99'])}" if value["cnt"] else "-"
    if key == "fill_rate":
        return f"{value:.1%}"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def lines(row: dict[str, Any]) -> list[str]:
    """A comparison as text for a terminal of 80 columns; also of what two segments show."""
    first, second = row["a"], row["b"]
    text = [f"{'':<22}{first['strategy']:<30}{second['strategy']}"]
    for label, key in _ROWS:
        if key in first:
            text.append(f"{label:<22}{_text(key, first[key]):<30}{_text(key, second[key])}")
    if "same" not in row:
        return text
    lag = row["b_behind_a_ns"]
    alone = f"only {first['strategy']} {row['only_a']:,}, only {second['strategy']} {row['only_b']:,}"
    text.append(f"{'on the same message':<22}{row['same']:,} orders; {alone}")
    terms, verdicts = f"{row['other_terms']:,}", f"{row['other_verdict']:,}"
    text.append(f"{'of these':<22}{terms} with another price or quantity, {verdicts} with another verdict")
    if lag["cnt"]:
        text.append(f"{'decided later by':<22}{_text('_ns', lag)}")
    return text
