"""The live panel of a demo run: what a gateway's shared segment says, ten times a second, in 80 x 24 characters.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel as Frame
from rich.table import Table
from rich.text import Text

from hwgw.segment import Segment
from hwgw.telemetry import snapshot

__all__ = ["Panel"]

_RATES = (
    ("packets", "mold.frames"),
    ("messages", "itch.messages"),
    ("book updates", "book.updates"),
    ("hook calls", "strategy.calls"),
    ("orders", "order.encoded"),
    ("executions", "session.executed"),
)
_WINDOW_SECONDS = 1.0
_SYMBOLS_SHOWN = 4
_DROPS = (
    "rx.drop_",
    "net.drop_",
    "mold.drop_",
    "itch.drop_",
    "book.drop_",
    "strategy.drop_",
    "order.drop_",
    "session.drop_",
)


def _px(value: int) -> str:
    return f"{value / 10_000:,.4f}" if value else "-"


def _us(value_ns: int) -> str:
    """Nanoseconds as microseconds in at most seven characters, up to a second."""
    digits = 3 if value_ns < 10_000 else 1 if value_ns < 1_000_000 else 0
    return f"{value_ns / 1000:,.{digits}f}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left", no_wrap=True)
    return table


def _line(label: str, text: str) -> Text:
    return Text.assemble((f"{label:<8}", "dim"), text, no_wrap=True, overflow="crop")


def _causes(counts: dict[str, int]) -> str:
    return ", ".join(f"{cause} {cnt:,}" for cause, cnt in counts.items()) or "none"


class Panel:
    """Renders a segment; rates are over the last second."""

    def __init__(self, segment: Segment, title: str, seconds: float) -> None:
        self._segment = segment
        self._title = title
        self._seconds = seconds
        self._start = time.monotonic()
        self._past: list[tuple[float, dict[str, int]]] = []

    def _rates(self, counters: dict[str, int]) -> dict[str, float]:
        now = time.monotonic()
        self._past.append((now, counters))
        while len(self._past) > 1 and now - self._past[1][0] >= _WINDOW_SECONDS:
            self._past.pop(0)
        then, before = self._past[0]
        elapsed = max(now - then, 1e-9)
        return {name: (counters[name] - before[name]) / elapsed for _, name in _RATES}

    def _flow(self, look: dict[str, Any]) -> Table:
        counters = look["counters"]
        rates = self._rates(counters)
        table = _table("", "total", "per second")
        for label, name in _RATES:
            table.add_row(label, f"{counters[name]:,}", f"{rates[name]:,.0f}")
        return table

    def _books(self) -> Table:
        table = _table("book", "bid shares", "bid", "ask", "ask shares", "last", "position")
        for index, symbol in enumerate(self._segment.instruments[:_SYMBOLS_SHOWN]):
            top = self._segment.tob(index)
            table.add_row(
                symbol,
                f"{int(top['bid_qty']):,}",
                _px(int(top["bid_px"])),
                _px(int(top["ask_px"])),
                f"{int(top['ask_qty']):,}",
                _px(int(top["last_px"])),
                f"{int(self._segment.positions[index]['pos']):,}",
            )
        return table

    @staticmethod
    def _latency(look: dict[str, Any]) -> Table:
        table = _table("latency", "p50", "p99", "p99.9", "max us")
        for stage, row in look["latency_ns"].items():
            if row["cnt"]:
                table.add_row(stage, *(_us(row[key]) for key in ("p50", "p99", "p999", "max")))
        return table

    def __rich__(self) -> RenderableType:
        look = snapshot(self._segment)
        row, counters = look["pipelines"][0], look["counters"]
        elapsed = time.monotonic() - self._start
        state = f"feed {row['feed']}, session {row['session']}, {row['open_orders']} open orders"
        if look["halted"]:
            state += f", HALTED ({look['halted']['reason']})"
        orders = {name: f"session.{name}" for name in ("accepted", "filled", "canceled", "rejected")}
        dropped = {name: cnt for name, cnt in counters.items() if cnt and name.startswith(_DROPS)}
        length = f" of {self._seconds:.0f}" if self._seconds else ""
        side = Table.grid(padding=(0, 1, 0, 0))
        side.add_row(self._flow(look), self._latency(look))
        body = Group(
            _line("receive", look["receive"]),
            _line("state", state),
            Text(),
            side,
            Text(),
            self._books(),
            Text(),
            _line("orders", ", ".join(f"{counters[name]:,} {what}" for what, name in orders.items())),
            _line("refused", _causes(look["refused"])),
            _line("dropped", _causes(dropped)),
        )
        return Frame(body, title=self._title, subtitle=f"{elapsed:.0f}{length} s, Ctrl-C ends it")
