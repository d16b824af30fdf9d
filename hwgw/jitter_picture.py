"""What hwgw.jitter measured, for a terminal of 80 columns and as SVG.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from .jitter import Cpu

__all__ = ["duration", "svg", "text"]

_BAR = 28
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_COLOURS = ("#1b6ca8", "#c8553d", "#588b4c", "#7b4b94", "#b8860b", "#2f7f86", "#8c2f39", "#555555")
_KINDS_SHOWN = 4


def duration(ns: float) -> str:
    """A time with three digits and its unit."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}" if ns / size < 1000 else f"{ns / size:.0f} {unit}"
    return f"{ns:.0f} ns"


def _bar(part: float) -> str:
    eighths = round(max(0.0, min(1.0, part)) * _BAR * 8)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def _share(part: float) -> str:
    """A probability or share, readable when it is tiny."""
    if part == 0:
        return "0"
    return f"{part * 100:.3g}%" if part >= 1e-6 else f"{part * 100:.0e}%"


def _who(cpu: Cpu) -> Iterator[str]:
    """By whom the time was taken, as far as the kernel counts it."""
    if cpu.mode == "gaps":
        rest = max(0, cpu.total_ns - cpu.off_cpu_ns)
        yield (
            f"taken      {duration(cpu.off_cpu_ns)} while another task had the core ({cpu.switches:,} switches),"
            f" {duration(rest)} inside of this one (interrupts, softirqs, firmware, hypervisor)"
        )
    for word, counts in (("interrupts", cpu.interrupts), ("softirqs", cpu.softirqs)):
        if counts:
            some = ", ".join(f"{name} {cnt:,}" for name, cnt in list(counts.items())[:_KINDS_SHOWN])
            more = f" and {len(counts) - _KINDS_SHOWN} more" if len(counts) > _KINDS_SHOWN else ""
            yield f"{word:<10} {some}{more}"
    for remark in cpu.remarks:
        yield f"note       {remark}"


def text(cpu: Cpu) -> Iterator[str]:
    """The lines about one CPU; a line with a label of 11 columns may be wrapped behind it."""
    seconds = cpu.run_ns / 1e9
    if cpu.mode == "gaps":
        yield (
            f"cpu {cpu.cpu:<6} {cpu.cnt:,} interruptions of {duration(cpu.threshold_ns)} and more in {seconds:.1f} s"
            f" ({cpu.scheduler}) took {_share(cpu.share)} of it"
        )
    else:
        skipped = f", {cpu.skipped:,} more fell due meanwhile" if cpu.skipped else ""
        yield f"cpu {cpu.cpu:<6} {cpu.cnt:,} wake-ups in {seconds:.1f} s ({cpu.scheduler}){skipped}; late by:"
    if not cpu.cnt:
        yield from _who(cpu)
        return
    named = {50.0: "median", 90.0: "p90", 99.0: "p99", 99.9: "p99.9", 99.99: "p99.99"}
    parts = [f"{word} {duration(cpu.percentile_ns[pct])}" for pct, word in named.items()]
    yield f"{'each':<10} {', '.join(parts)}, max {duration(cpu.max_ns)}"
    waits = [f"{duration(over)}: {_share(part)}" for over, part in cpu.wait.items() if part > 0]
    if cpu.mode == "gaps" and waits:
        yield f"{'wait over':<10} {', '.join(waits)} (of moments at which a packet may come)"
    most = math.log(max(row.cnt for row in cpu.bins) + 1)
    for row in cpu.bins:
        took = f"{_share(row.total_ns / cpu.run_ns):>8}" if row.total_ns else ""
        bar = _bar(math.log(row.cnt + 1) / most)
        yield f"{duration(row.from_ns):>8} - {duration(row.to_ns):<8} {row.cnt:>9,} {bar:<{_BAR}} {took}".rstrip()
    yield from _who(cpu)
    for row in cpu.bins:
        if row.label:
            yield f"{'regular':<10} {duration(row.from_ns)} to {duration(row.to_ns)}: {row.label}"


# ---- SVG ----

_W, _H, _LEFT, _TOP, _PLOT_W, _PLOT_H, _GUTTER = 960, 420, 62, 48, 390, 300, 84


class _Plot:
    """A log-log plot area."""

    def __init__(self, at: int, title: str, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._left, self._x, self._y = _LEFT + at * (_PLOT_W + _GUTTER), x, y
        self.parts = [f'<text x="{self._left}" y="{_TOP - 14}" class="t">{escape(title)}</text>']

    def x(self, ns: float) -> float:
        low, high = (math.log10(value) for value in self._x)
        return self._left + (math.log10(ns) - low) / (high - low) * _PLOT_W

    def y(self, value: float) -> float:
        low, high = (math.log10(bound) for bound in self._y)
        part = (math.log10(max(value, self._y[0])) - low) / (high - low)
        return _TOP + (1 - min(part, 1.0)) * _PLOT_H

    def grid(self, y_text: str) -> None:
        bottom = _TOP + _PLOT_H
        for decade in range(round(math.log10(self._x[0])), round(math.log10(self._x[1])) + 1):
            at = self.x(10.0**decade)
            self.parts.append(f'<line x1="{at:.1f}" y1="{_TOP}" x2="{at:.1f}" y2="{bottom}" class="g"/>')
            self.parts.append(
                f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{duration(10.0**decade)}</text>'
            )
        for decade in range(round(math.log10(self._y[0])), round(math.log10(self._y[1])) + 1):
            at = self.y(10.0**decade)
            shown = f"{10**decade:,}" if decade >= 0 else f"1e{decade}"
            self.parts.append(
                f'<line x1="{self._left}" y1="{at:.1f}" x2="{self._left + _PLOT_W}" y2="{at:.1f}" class="g"/>'
            )
            self.parts.append(f'<text x="{self._left - 6}" y="{at + 4:.1f}" text-anchor="end">{shown}</text>')
        self.parts.append(f'<text x="{self._left}" y="{bottom + 34}">{escape(y_text)}</text>')


def _decades(low: float, high: float) -> tuple[float, float]:
    """Whole powers of ten around both, at least one apart."""
    first = math.floor(math.log10(low))
    return 10.0**first, 10.0 ** max(first + 1, math.ceil(math.log10(high)))


def svg(cpus: Sequence[Cpu]) -> str:
    """Both pictures of a run: how many interruptions of which length, and how likely a wait is; no links."""
    some = [cpu for cpu in cpus if cpu.cnt]
    x = _decades(
        min((row.from_ns for cpu in some for row in cpu.bins), default=100),
        max((row.to_ns for cpu in some for row in cpu.bins), default=1000),
    )
    most = max((row.cnt for cpu in some for row in cpu.bins), default=1)
    waits = [part for cpu in some for part in cpu.wait.values() if part > 0]
    is_gaps = not cpus or cpus[0].mode == "gaps"
    left = _Plot(0, "interruptions by length" if is_gaps else "wake-ups by lateness", x, (1.0, _decades(1, most)[1]))
    left.grid("interruptions in the run" if is_gaps else "wake-ups in the run")
    share = (_decades(min(waits, default=0.1), 1.0)[0], 1.0)
    right = _Plot(1, "probability of a wait longer than x", _decades(1000, 1e7), share)
    right.grid("share of moments at which a packet may come" if is_gaps else "share of wake-ups")
    legend = []
    for at, cpu in enumerate(some):
        colour = _COLOURS[at % len(_COLOURS)]
        ends = [(end, row.cnt or 1) for row in cpu.bins for end in (row.from_ns, row.to_ns)]
        steps = [f"{left.x(ns):.1f},{left.y(cnt):.1f}" for ns, cnt in ends]
        left.parts.append(f'<polyline points="{" ".join(steps)}" stroke="{colour}" class="l"/>')
        curve = [f"{right.x(over):.1f},{right.y(part):.1f}" for over, part in cpu.wait.items() if part > 0]
        right.parts.append(f'<polyline points="{" ".join(curve)}" stroke="{colour}" class="l"/>')
        what = f"cpu {cpu.cpu}: p99 {duration(cpu.percentile_ns[99.0])}, max {duration(cpu.max_ns)}"
        where = f'x="{_LEFT + at % 4 * 220}" y="{_H - 8 - at // 4 * 14}"'
        if at < 8:  # more do not fit, and cannot be told apart by colour
            legend.append(f'<text {where} fill="{colour}">{escape(what)}</text>')
    style = ".g{stroke:#ddd}.l{fill:none;stroke-width:1.6}.t{font-size:14px;font-weight:bold}"
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_W} {_H}" font-family="sans-serif" font-size="11">',
            f'<style>{style}</style><rect width="{_W}" height="{_H}" fill="#fff"/>',
            *left.parts,
            *right.parts,
            *legend,
            "</svg>",
            "",
        )
    )
