"""The report of a backtest: one HTML page with pictures in it and nothing from elsewhere.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .figures import MONEY_UNIT, drawdown, net

if TYPE_CHECKING:
    from .run import Result

__all__ = ["curve", "page"]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 230, 80, 12, 26, 34
POINTS_MAX = 1500
TICKS = 5
COLOURS = ("#1b6ca8", "#c8553d", "#588b4c", "#7b4b94")
STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:800px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.6em 0}
td,th{padding:.15em 1em .15em 0;text-align:left;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto}.bad{color:#a00}code{font-size:90%}"""


def _ticks(low: float, high: float) -> list[float]:
    """Round values between two, some five of them."""
    span = (high - low) or 1.0
    step = 10.0 ** np.floor(np.log10(span / TICKS))
    step *= next(by for by in (1, 2, 5, 10) if span / (step * by) <= TICKS)
    first = np.ceil(low / step) * step
    return [float(value) for value in np.arange(first, high + step / 1e6, step)]


def _thin(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """No more points than can be seen, with the extremes of what is left out."""
    if len(x) <= POINTS_MAX:
        return x, y
    keep: set[int] = {0, len(x) - 1}
    for part in np.array_split(np.arange(len(x)), POINTS_MAX // 2):
        keep |= {int(part[np.argmin(y[part])]), int(part[np.argmax(y[part])])}
    chosen = sorted(keep)
    return x[chosen], y[chosen]


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def curve(
    title: str, x: Sequence[float] | NDArray[Any], lines: dict[str, Any], x_label: str, *, is_time: bool = False
) -> str:
    """Lines over a common x as an SVG picture."""
    across = np.asarray(x, float)
    every = [np.asarray(values, float) for values in lines.values()]
    low, high = min(float(v.min()) for v in every), max(float(v.max()) for v in every)
    low, high = (low, high) if high > low else (low - 1, high + 1)
    first, last = float(across.min()), float(across.max())
    last = last if last > first else first + 1

    def at(value: float) -> float:
        return LEFT + (value - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif"'
        f' font-size="11"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<text x="{LEFT}" y="16" font-size="13" font-weight="600">{escape(title)}</text>'
    ]
    parts.extend(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(tick):.1f}" y2="{up(tick):.1f}" stroke="#ddd"/>'
        f'<text x="{LEFT - 6}" y="{up(tick) + 4:.1f}" text-anchor="end">{tick:,.6g}</text>'
        for tick in _ticks(low, high)
    )
    for tick in _ticks(first, last):
        text = _clock(tick) if is_time else f"{tick:,.6g}"
        parts.append(f'<text x="{at(tick):.1f}" y="{HEIGHT - 18}" text-anchor="middle">{text}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{escape(x_label)}</text>')
    for index, (name, values) in enumerate(zip(lines, every, strict=True)):
        colour = COLOURS[index % len(COLOURS)]
        points = " ".join(f"{at(a):.1f},{up(b):.1f}" for a, b in zip(*_thin(across, values), strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
        if len(lines) > 1:
            place = WIDTH - RIGHT - 110 * index
            parts.append(f'<text x="{place}" y="16" text-anchor="end" fill="{colour}">{escape(name)}</text>')
    return "".join(parts) + "</svg>"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(each)}" for key, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return "; ".join(map(str, value)) or "none"
    return str(value)


def _table(rows: Iterable[tuple[str, Any]]) -> str:
    cells = "".join(f"<tr><th>{escape(key)}</th><td>{escape(_text(value))}</td></tr>" for key, value in rows)
    return f"<table>{cells}</table>"


def pictures(result: Result) -> Iterable[str]:
    """Equity, drawdown and exposure over the day."""
    seconds, equity = result.samples["ts_ns"] / 1e9, net(result.samples)
    before = result.samples["equity"] / MONEY_UNIT
    yield curve("Profit and loss", seconds, {"after fees": equity, "before": before}, "time of day", is_time=True)
    yield curve("Drawdown", seconds, {"drawdown": drawdown(equity)}, "time of day", is_time=True)
    exposure = {"gross": result.samples["gross"] / MONEY_UNIT, "net": result.samples["net"] / MONEY_UNIT}
    yield curve("Exposure", seconds, exposure, "time of day", is_time=True)


def _rows(title: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    head = "".join(f"<th>{each}</th>" for each in heads)
    lines = ("".join(f"<td>{escape(_text(cell))}</td>" for cell in row) for row in rows)
    return [f"<h2>{title}</h2>", f"<table><tr>{head}</tr>", *(f"<tr>{line}</tr>" for line in lines), "</table>"]


def page(
    results: Sequence[Result],
    delays: Sequence[dict[str, Any]] = (),
    sweep: Sequence[dict[str, Any]] = (),
    walked: Sequence[dict[str, Any]] = (),
) -> str:
    """The whole page: each run's figures and pictures, what a sweep found, and what was chosen and came of it."""
    body = ["<h1>Backtest</h1>"]
    for result in results:
        body.append(f"<h2>{escape(str(result.path))}</h2>")
        body += [f'<p class="bad">{escape(problem)}</p>' for problem in result.problems]
        uses = [
            f"{each.kind}:{each.target} " + " ".join(f"{k}={v}" for k, v in each.params.items())
            for each in result.settings.of_mode("live").values()
        ]
        aside = [each.name for each in result.settings.strategies if each.mode != "live"]
        assumed = [("strategies", uses), ("left out", aside), ("symbols", ", ".join(result.settings.symbols[:20]))]
        body += [
            _table(result.figures.items()),
            "<h3>Assumed</h3>",
            _table([*assumed, *result.model.described().items()]),
        ]
        body += pictures(result)
        told = ((row.name, row.total, row.used, row.drops) for row in result.ledgers if row.total or row.drops)
        body += _rows("Ledgers", ("", "total", "used", "dropped"), told)
        body += ["<h3>Counters</h3>", _table((name, cnt) for name, cnt in result.counters.items() if cnt)]
    if delays:
        x = [row["delay_ns"] / 1000 for row in delays]
        body += [
            "<h2>Latency</h2>",
            curve("Profit by further order latency", x, {"pnl": [r["pnl"] for r in delays]}, "us"),
        ]
    if sweep:
        cells = [
            (" ".join(row["params"]), row["feed"], row["pnl"], row["drawdown_max"], row["fills"])
            for row in sorted(sweep, key=lambda row: -row["pnl"])
        ]
        body += _rows("Sweep", ("parameters", "feed", "profit", "drawdown", "fills"), cells)
    if walked:
        cells = [
            (" ".join(row["params"]), ", ".join(row["trained_on"]), row["pnl_trained"], row["feed"], row["pnl"])
            for row in walked
        ]
        body += _rows("Walk forward", ("parameters", "chosen on", "profit there", "tried on", "profit"), cells)
    text = "\n".join(body)
    head = f'<meta charset="utf-8"><title>hwgw backtest</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{text}</body></html>\n'
