"""hwgw events: what a gateway's books are given.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from .common import Output, verb

if TYPE_CHECKING:
    from hwgw.live import Live


@verb("events")
@click.argument("name")
@click.option("--symbol", "symbols", multiple=True, help="Only of this instrument; repeatable.")
@click.option("--kind", "kinds", multiple=True, help="Only of this kind (add, execute, trade, feed ...); repeatable.")
@click.option("--oldest", is_flag=True, help="From the oldest one that is there; else from now on.")
@click.option("--count", type=click.IntRange(1), help="End after so many.")
@click.option("--seconds", type=click.FloatRange(0), help="For so long; else until the gateway ends, or Ctrl-C.")
def command(
    out: Output,
    name: str,
    symbols: tuple[str, ...],
    kinds: tuple[str, ...],
    oldest: bool,
    count: int | None,
    seconds: float | None,
) -> int:
    """What a gateway's books are given, as it happens.

    A line each, with --json an object each; what could not be read in time is counted at the end and makes the exit
    code 1. The gateway needs a section `fanout` (docs/fanout.md) and does not notice a reader.
    """
    import numpy as np

    import hwgw
    from hwgw import specs
    from hwgw.errors import UsageError
    from hwgw.stopping import signals_stop

    enum = specs.load("event").enum("kind")
    names = {int(code.value): code.meaning for code in enum.values}
    for kind in kinds:
        if kind not in names.values():
            raise UsageError(f"--kind {kind}: {', '.join(list(names.values())[1:])} are allowed")
    with hwgw.attach(name) as live, signals_stop() as stop:
        wanted = [live.symbols.index(symbol) for symbol in symbols if live.top(symbol) is not None]
        codes = [code for code, kind in names.items() if kind in kinds]
        events, left = live.events(oldest=oldest), count
        end = None if seconds is None else time.monotonic() + seconds
        while not stop.is_set() and left != 0 and (end is None or time.monotonic() < end):
            ended = not live.running
            batch = events.read(8192)
            if ended and not len(batch):
                break
            if not len(batch):
                stop.wait(0.005)
            if wanted:
                batch = batch[np.isin(batch["instrument"], wanted)]
            if codes:
                batch = batch[np.isin(batch["kind"], codes)]
            batch = batch[:left]
            left = None if left is None else left - len(batch)
            for record in batch:
                _show(out, live, record, names)
    if events.missed:
        click.echo(f"{events.missed:,} events came faster than they could be shown", err=True)
    return 1 if events.missed else 0


def _show(out: Output, live: Live, record: Any, names: dict[int, str]) -> None:
    kind, index = names.get(int(record["kind"]), "?"), int(record["instrument"])
    symbol = live.symbols[index] if index < len(live.symbols) else ""
    if out.as_json:
        row = {key: int(record[key]) for key in ("seq", "ts_ns", "ref", "ref_new", "qty", "px", "channel", "flags")}
        side = {1: "buy", 2: "sell"}.get(int(record["side"]), "")
        click.echo(json.dumps({"schema": "hwgw.events/1", "kind": kind, "symbol": symbol, "side": side, **row}))
        return
    seconds, ns = divmod(int(record["ts_ns"]), 10**9)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ns:09}" if record["ts_ns"] else ""
    words = [f"{clock:18} {int(record['seq']):>12} {symbol:8} {kind:18}"]
    if record["side"]:
        words.append("buy " if record["side"] == 1 else "sell")
    if kind == "feed":
        words.append("good" if record["qty"] else "not good")
    elif record["qty"]:
        words.append(f"{int(record['qty']):>9,}" + (f" at {int(record['px']) / 10_000:.4f}" if record["px"] else ""))
    if record["ref"] and kind != "directory":
        words.append(f"ref {int(record['ref'])}")
    out.say(" ".join(words).rstrip())
