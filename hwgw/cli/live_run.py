"""A run with the simulated exchange as its verbs show it: live panel, result, what was wrong with it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from .common import Output

if TYPE_CHECKING:
    from hwgw.segment import Segment


def run_live(
    out: Output,
    name: str,
    seconds: float,
    run: Callable[..., dict[str, Any]],
    lines: Callable[[dict[str, Any]], Iterable[str]],
    failures: Callable[[dict[str, Any]], Sequence[str]],
) -> int:
    """run(watch, remark) with the panel where there is a terminal, then its lines, JSON and failures; the exit code."""
    from rich.console import Console
    from rich.live import Live

    from hwgw.demo.panel import Panel

    console = Console(stderr=True) if out.as_json else Console()

    @contextlib.contextmanager
    def watch(segment: Segment, title: str) -> Iterator[Callable[[], None]]:
        if out.as_json or out.level < 0 or not console.is_terminal:
            out.say(title)
            yield lambda: None
            return
        panel = Panel(segment, title, seconds)
        with Live(panel, console=console, auto_refresh=False, transient=False) as live:
            yield live.refresh

    result = run(watch, lambda line: click.echo(line, err=True))
    wrong = failures(result)
    for line in lines(result):
        out.say(line)
    out.emit({**result, "failures": wrong})
    for line in wrong:
        click.echo(f"{name}: {line}", err=True)
    return 1 if wrong else 0
