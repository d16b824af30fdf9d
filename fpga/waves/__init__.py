"""Timing diagrams: each NAME.json of this folder, in WaveDrom's notation, drawn as NAME.svg beside it.

    python -m fpga.waves

SPDX-License-Identifier: MIT

Of the notation: a list of signals, each with a name, a wave and the data of its boxes. In a wave p is a clock, 0 and
1 are levels, = is a box with the next of the data, x is unknown, and a dot goes on with what was there. Anything else
is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
STEP, ROW, HIGH, SLANT = 34, 26, 16, 3  # pixels: a cycle, a signal, a level, an edge
LETTER = 7.2
STYLE = (
    "text{font:12px monospace;fill:#222}path{fill:none;stroke:#222;stroke-width:1.2}"
    ".box{fill:#e8eef7}.unknown{fill:#ddd}.grid{stroke:#ccc;stroke-width:.6;stroke-dasharray:2 3}"
    "rect.ground{fill:#fff}.value{text-anchor:middle}.name{text-anchor:end}"
)


class WaveError(ValueError):
    """A diagram that is not in the notation; says which signal."""


def runs(name: str, wave: str) -> list[tuple[str, int, int]]:
    """A wave as (character, first cycle, cycles); of a clock each cycle by itself."""
    result: list[tuple[str, int, int]] = []
    for at, mark in enumerate(wave):
        if mark == ".":
            if not result:
                raise WaveError(f"{name}: a wave cannot begin with a dot")
            last, begin, cycles = result[-1]
            result[-1:] = [(last, begin, cycles), ("p", at, 1)] if last == "p" else [(last, begin, cycles + 1)]
        elif mark in "p01=x":
            result.append((mark, at, 1))
        else:
            raise WaveError(f"{name}: {mark!r} is none of p 0 1 = x .")
    return result


def _level(marks: list[tuple[str, int, int]], x: float, top: float) -> Iterator[str]:
    """Lines of a signal that is high or low, or a clock."""
    low, steps, was = top + HIGH, "", None
    for mark, begin, cycles in marks:
        left, right = x + begin * STEP, x + (begin + cycles) * STEP
        if mark == "p":
            steps += f"M{left} {low}V{top}H{left + STEP / 2}V{low}H{right}"
            continue
        y = top if mark == "1" else low
        steps += f"M{left} {y}H{right}" if was in (None, y) else f"M{left} {was}L{left + SLANT} {y}H{right}"
        was = y
    yield f'<path d="{steps}"/>'


def _boxes(name: str, marks: list[tuple[str, int, int]], data: list[str], x: float, top: float) -> Iterator[str]:
    """Boxes of a bus."""
    values = iter(data)
    for mark, begin, cycles in marks:
        left, right, middle = x + begin * STEP, x + (begin + cycles) * STEP, top + HIGH / 2
        kind = "box" if mark == "=" else "unknown"
        yield (
            f'<path class="{kind}" d="M{left} {middle}L{left + SLANT} {top}H{right - SLANT}L{right} {middle}'
            f'L{right - SLANT} {top + HIGH}H{left + SLANT}Z"/>'
        )
        if mark == "=":
            value = next(values, None)
            if value is None:
                raise WaveError(f"{name}: more boxes than data")
            yield f'<text class="value" x="{(left + right) / 2}" y="{top + HIGH - 4}">{escape(value)}</text>'
    if next(values, None) is not None:
        raise WaveError(f"{name}: more data than boxes")


def draw(text: str) -> str:
    """The SVG of a diagram."""
    signals = json.loads(text)["signal"]
    x = 12 + LETTER * max(len(signal["name"]) for signal in signals)
    cycles = max(len(signal["wave"]) for signal in signals)
    width, height = round(x + cycles * STEP + 8), len(signals) * ROW + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        "<!-- SPDX-License-Identifier: MIT; made by fpga/waves -->",
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{width}" height="{height}"/>',
    ]
    lines += [f'<path class="grid" d="M{x + at * STEP} 4V{height - 4}"/>' for at in range(cycles + 1)]
    for row, signal in enumerate(signals):
        name, top = signal["name"], 8 + row * ROW
        marks = runs(name, signal["wave"])
        lines.append(f'<text class="name" x="{x - 6}" y="{top + HIGH - 4}">{escape(name)}</text>')
        is_bus = any(mark in "=x" for mark, _, _ in marks)
        lines += _boxes(name, marks, signal.get("data", []), x, top) if is_bus else _level(marks, x, top)
    return "\n".join([*lines, "</svg>"]) + "\n"


def sources() -> list[Path]:
    """Every diagram of this folder."""
    return sorted(HERE.glob("*.json"))
