"""Numbers, bars, sparklines and tables as a terminal shows them.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

__all__ = ["amount", "bar", "causes", "line", "money", "px", "short", "sparkline", "state", "table", "took"]

_RAMP = " ▁▂▃▄▅▆▇█"
_GOOD, _WARN, _BAD = "green", "yellow", "bold red"
_COLOR = {
    **dict.fromkeys(("good", "up", "running", "armed"), _GOOD),
    **dict.fromkeys(
        ("waiting", "holding", "requesting", "reconciling", "snapshot", "connecting", "login sent", "init", "draining"),
        _WARN,
    ),
    **dict.fromkeys(
        ("gapped", "stale", "lost", "rejected", "failed", "gone", "link down", "detached", "changed"), _BAD
    ),
}


def px(value: int) -> str:
    """A price."""
    return f"{value / 10_000:,.4f}" if value else "-"


def money(value: int) -> str:
    """Money in units of the currency, without fractions."""
    return f"{value / 10_000:,.0f}"


def short(value: float) -> str:
    """A number in at most six characters."""
    for limit, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scaled = value / (1000 if unit == "k" else limit)
            return f"{scaled:.1f}{unit}" if abs(scaled) < 100 else f"{scaled:.0f}{unit}"
    return f"{value:,.0f}"


def amount(value: int, unit: str) -> str:
    """What a limit is about, in few characters."""
    return short(value / 10_000 if unit == "money" else value)


def took(ns: float) -> str:
    """A duration in at most seven characters."""
    for scale, unit in ((1, "ns"), (1e3, "us"), (1e6, "ms"), (1e9, "s"), (60e9, "min"), (3600e9, "h")):
        scaled = ns / scale
        if scaled < (1000 if scale < 1e9 else 100) or unit == "h":
            digits = 0 if scale == 1 or scaled >= 100 or scale >= 1e9 else 1 if scaled >= 10 else 2
            return f"{scaled:.{digits}f} {unit}"
    raise AssertionError


def sparkline(values: Sequence[float], width: int) -> str:
    """The last values as one character each, the highest of them full; nothing is drawn where nothing happened."""
    shown = values[-width:]
    most = max(shown, default=0.0)
    marks = "".join(_RAMP[0 if not value else max(1, round(value / most * 8))] for value in shown)
    return marks.rjust(width)


def bar(ratio: float | None, width: int) -> Text:
    """How full something is; None is beyond every bound."""
    filled = width if ratio is None else min(width, round(ratio * width))
    color = _BAD if ratio is None or ratio >= 0.9 else _WARN if ratio >= 0.7 else _GOOD
    return Text.assemble(("█" * filled, color), ("·" * (width - filled), "dim"))


def state(name: str) -> Text:
    """The word for a state, in its colour."""
    return Text(name, _COLOR.get(name, ""))


def line(label: str, *parts: str | Text | tuple[str, str]) -> Text:
    """A label and beside it a text."""
    return Text.assemble((f"{label:<10} ", "dim"), *parts, no_wrap=True, overflow="ellipsis")


def causes(counts: Mapping[str, int]) -> str:
    """Causes and how often."""
    return ", ".join(f"{cause} {cnt:,}" for cause, cnt in counts.items() if cnt) or "none"


def table(*columns: str, left: int = 1, **more: Any) -> Table:
    """A table without lines; the first columns are text."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", **more)
    for index, name in enumerate(columns):
        made.add_column(name, justify="left" if index < left else "right", no_wrap=True)
    return made
