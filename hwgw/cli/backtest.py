"""hwgw backtest: a strategy on a recorded feed, against a model of the venue.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hwgw.errors import CheckFailed, UsageError
from hwgw.settings import MODES

from .common import Output, all_problems, verb

if TYPE_CHECKING:
    from hwgw.backtest.sweep import Ran, Task

CHECKS = ("counters", "ledgers")  # of a day; of the points of a sweep or a curve the figures are enough
PATH = click.Path(path_type=Path, readable=False)


def _delays(text: str) -> tuple[int, int, int]:
    """FROM:TO:STEPS, the first two with their units."""
    from hwgw.strict_yaml import BadValueError
    from hwgw.venue_model import DELAY

    try:
        low, high, steps = text.split(":")
        found = DELAY.parse(low), DELAY.parse(high), int(steps)
    except (ValueError, BadValueError):
        raise UsageError(f"--latency {text}: FROM:TO:STEPS is allowed, such as 0s:1ms:11") from None
    if found[0] >= found[1] or not 2 <= found[2] <= 1000:
        raise UsageError(f"--latency {text}: FROM below TO and 2 to 1000 STEPS are allowed")
    return found


@verb("backtest")
@click.argument("feeds", type=PATH, nargs=-1, required=True, metavar="FEED...")
@click.option("--model", "model_path", type=PATH, required=True, metavar="MODEL.yaml", help="Latencies, fees, impact.")
@click.option(
    "--config", "config_path", type=PATH, metavar="FILE", help="Strategies, symbols, limits of a gateway.yaml."
)
@click.option("--mode", type=click.Choice(MODES), help="With --config: its strategies of this mode.  [default: live]")
@click.option("--strategy", "use", metavar="USE", help="builtin:NAME, c:FILE.so, linear:FILE.npz, numba:MODULE:NAME.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of --strategy (repeatable).")
@click.option("--feature", "features", multiple=True, metavar="NAME", help="A feature of --strategy (repeatable).")
@click.option("--symbol", "symbols", multiple=True, metavar="NAME", help="Only this symbol (repeatable); else all.")
@click.option("--group", "groups", multiple=True, metavar="G:P", help="Capture: only this group and port (repeatable).")
@click.option("--out", "folder", type=PATH, metavar="DIR", help="Write report, result, journal and Parquet there.")
@click.option("--sweep", "sweeps", multiple=True, metavar="NAME=A,B,..", help="Each value of a parameter (repeatable).")
@click.option("--walk-forward", type=int, metavar="N", help="With --sweep: choose on N feeds, try on the next.")
@click.option("--latency", metavar="FROM:TO:STEPS", help="Again with so much more order latency: 0s:1ms:11.")
@click.option(
    "--processes", type=click.IntRange(0, 1024), default=0, help="Of several runs; 0: one per core, 1: this one."
)
@click.option(
    "--cluster",
    default="",
    metavar="local|ADDRESS",
    help="Dask for the runs: workers of this host (of several the default), or tcp://HOST:PORT.",
)
@all_problems
def command(
    out: Output, feeds: tuple[Path, ...], model_path: Path, config_path: Path | None, mode: str | None, use: str | None,
    params: tuple[str, ...], features: tuple[str, ...], symbols: tuple[str, ...], groups: tuple[str, ...],
    folder: Path | None, sweeps: tuple[str, ...], walk_forward: int | None, latency: str | None, processes: int,
    cluster: str,
) -> int:  # fmt: skip
    """Trade recorded feeds on the clock of the recording, with the code that trades.

    FEED is a BinaryFILE of ITCH 5.0 or a capture of MoldUDP64; each is a day of its own, begun without a position. Name
    strategies by --config or --strategy. Exit code 1 when a feed has a gap, times that go back or messages that cannot
    be.
    """
    from hwgw.backtest import figures, files, setting, sweep
    from hwgw.feeds.source import Flow
    from hwgw.venue_model import load

    if (config_path is None) == (use is None):
        raise UsageError("strategies: name --config or --strategy, one of them")
    if config_path and (params or features or symbols):
        raise UsageError("--param, --feature and --symbol go with --strategy; a --config has its own")
    if mode and not config_path:
        raise UsageError(f"--mode {mode}: it goes with --config, whose strategies have a mode")
    if walk_forward is not None and not sweeps:
        raise UsageError("--walk-forward: it chooses among the values of a --sweep; name one")
    if walk_forward is not None:
        sweep.check_walk(feeds, walk_forward)
    flows = tuple(Flow.parse(group) for group in groups)
    delays, combined = _delays(latency) if latency else None, sweep.parse_sweeps(sweeps) if sweeps else []
    model = load(model_path)
    chosen = setting.strategy(use, params, features) if use else None
    if folder:
        files.prepare(folder, feeds)
    tasks = []
    left_out: dict[str, str] = {}
    for feed in feeds:
        if config_path:
            settings, left_out = setting.of_config(config_path, mode or "live")
        else:
            assert chosen is not None  # noqa: S101 (for the type checker)
            settings = setting.of_strategy(chosen, symbols or setting.symbols_of(feed, flows))
        tasks.append(sweep.Task(feed, settings, model, flows, is_whole=folder is not None))
    points = [each for task in tasks for each in sweep.choices(task, combined)] if combined else []
    delayed = sweep.latencies(tasks[0], *delays) if delays else []
    ran = _many(out, [*tasks, *points, *delayed], processes, cluster)
    rows, results = [each.row for each in ran], [each.result for each in ran if each.result]
    many = [{key: row[key] for key in row if key not in CHECKS} for row in rows[len(tasks) :]]
    swept, curve = many[: len(points)], many[len(points) :]
    found = [{key: row[key] for key in row if key not in ("params", "delay_ns")} for row in rows[: len(tasks)]]
    document: dict[str, Any] = {"model": model.described(), "feeds": found, "total": figures.total(found)}
    document["strategies"] = [each.name for each in tasks[0].settings.of_mode("live").values()]
    document["left_out"] = left_out
    if swept:
        document["sweep"] = swept
    walked = sweep.walk_forward(swept, feeds, walk_forward) if walk_forward is not None else []
    if walked:
        document["walk_forward"] = walked
    if curve:
        document["latency"] = [{"delay_ns": row["delay_ns"], "pnl": row["pnl"], "fills": row["fills"]} for row in curve]
    written = files.write(folder, results, document, curve, swept, walked) if folder else []
    out.emit(document)
    if left_out:
        rest = ", ".join(f"{name} ({why})" for name, why in left_out.items())
        out.row("left out: ", f"{rest}; --mode chooses among live, paper, shadow")
    for task, row in zip(tasks, found, strict=True):
        _say(out, row, len(task.settings.symbols))
    _say_more(out, document)
    for path in written:
        out.note(f"written: {path}")
    problems = [problem for row in found for problem in row["problems"]]
    if problems:
        raise CheckFailed("; ".join(problems))
    return 0


def _many(out: Output, tasks: list[Task], processes: int, cluster: str) -> list[Ran]:
    import sys

    from hwgw.backtest.cluster import choose, missing
    from hwgw.backtest.sweep import distinct, run_all

    cnt = len(distinct(tasks)[0])
    where, workers = choose(cluster, cnt, processes)
    if not where and workers > 1 and out.level >= 0:
        click.echo(
            f"{cnt} runs go one after another: dask is not installed ({missing()}): pip install 'hwgw[dask]'", err=True
        )
    is_shown = out.level >= 0 and not out.as_json and sys.stderr.isatty() and cnt > 1

    def done(finished: int) -> None:
        if is_shown:
            click.echo(f"\r\x1b[K{finished:,} of {cnt:,} runs" + "\n" * (finished == cnt), err=True, nl=False)
        else:
            out.note(f"{finished} of {cnt} runs")

    return run_all(tasks, done, where, workers, None if out.level >= 0 else False)


def _money(value: float | None, places: int = 2) -> str:
    return "-" if value is None else f"{value:,.{places}f}"


def _say(out: Output, found: dict[str, Any], symbol_cnt: int) -> None:
    out.say(f"{found['feed']}: {found['messages']:,} messages, {symbol_cnt} symbols")
    out.row(
        "  profit    ",
        f"{_money(found['pnl'])} = {_money(found['pnl_before_fees'])} less fees of {_money(found['fees'])}",
    )
    most, mean = _money(found["exposure_gross_max"]), _money(found["exposure_gross_mean"])
    out.row("  risk      ", f"drawdown {_money(found['drawdown_max'])}, exposure {most} at most, {mean} on average")
    refused = ", ".join(f"{name} {cnt:,}" for name, cnt in found["orders_refused"].items()) or "none"
    out.row("  orders    ", f"{found['orders_passed']:,} passed, refused: {refused}")
    rate = "-" if found["fill_rate"] is None else f"{found['fill_rate']:.1%}"
    causes = ", ".join(f"{name} {cnt:,}" for name, cnt in found["fills_by_cause"].items()) or "none"
    out.row("  fills     ", f"{found['fills']:,} ({causes}), {found['shares']:,} shares, {rate} of those ordered")
    out.row("  turnover  ", f"{_money(found['turnover'])}, slippage per share {_money(found['slippage'], 4)}")
    for name, row in found["ledgers"].items():
        if row["dropped"] or (row["total"] and name in ("messages", "orders")):
            dropped = ", ".join(f"{cause} {cnt:,}" for cause, cnt in row["dropped"].items()) or "none"
            out.row("  ledger    ", f"{name} {row['total']:,} = {row['used']:,} used + dropped: {dropped}")
    if found["halts"]:
        out.row("  halted    ", "; ".join(found["halts"]))
    out.say(f"  hash      {found['hash']}")


def _say_more(out: Output, document: dict[str, Any]) -> None:
    if len(document["feeds"]) > 1:
        out.say(f"total: profit {_money(document['total']['pnl'])} of {document['total']['runs']} feeds")
    for row in sorted(document.get("sweep", ()), key=lambda row: -row["pnl"]):
        out.say(f"sweep: {' '.join(row['params'])}: profit {_money(row['pnl'])}, {row['fills']:,} fills, {row['feed']}")
    for row in document.get("walk_forward", ()):
        chosen = " ".join(row["params"])
        out.say(
            f"walk forward: {row['feed']}: {chosen}: profit {_money(row['pnl'])}, {_money(row['pnl_trained'])} before"
        )
    for row in document.get("latency", ()):
        out.say(f"latency: {row['delay_ns'] / 1000:,.1f} us more: profit {_money(row['pnl'])}, {row['fills']:,} fills")
