"""hwgw sim: the simulated exchange against a gateway.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import functools
from pathlib import Path

import click

from hwgw.errors import UsageError

from .common import Output, all_problems, verb
from .live_run import run_live
from .units import number

RATES = {"": 1, "k": 10**3, "M": 10**6}
RATE_MAX = 10**9
SECONDS_MAX = 86_400


@click.group("sim")
def command() -> None:
    """The simulated exchange against a gateway."""


@verb("load", of="sim")
@click.option("--profile", "profile_name", default="steady", show_default=True, metavar="NAME|FILE",
              help="Rate over time: steady, bursts, opening, or a file of your own.")  # fmt: skip
@click.option("--rate", default="100k", show_default=True, metavar="MSGS_PER_S",
              help="The highest rate of the profile: 200000, 500k, 5M.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0.1, SECONDS_MAX), default=10.0, show_default=True)
@click.option("--symbols", type=click.IntRange(1, 1000), help="Of the order flow (8, or those of --config).")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the order flow and of the lines' faults.")
@click.option("--lines", "wanted", type=click.Choice(["A", "A,B"]), help="Where the feed is published (A,B).")
@click.option("--faults", multiple=True, metavar="FAULTS",
              help="Of the feed, twice: of lines A and B: loss=1%,duplicate=1%,reorder=16,outage=2-4 ...")  # fmt: skip
@click.option("--entry-faults", metavar="FAULTS",
              help="Of order entry: late=5%,late_ms=50,duplicate=1%,reject_storm=9,breaks=5%,cuts=3 ...")  # fmt: skip
@click.option("--backend", type=click.Choice(["auto", "afxdp", "packet", "udp"]), default="auto", show_default=True,
              help="How the gateway receives; auto: AF_XDP where it can be had.")  # fmt: skip
@click.option("--config", "config_path", type=click.Path(path_type=Path, readable=False), metavar="FILE",
              help="Play the venue of this configuration, whose gateway runs and has done nothing yet.")  # fmt: skip
@click.option("--interface", default="", metavar="IF", help="With --config: where the feed leaves.")
@click.option("--reach", type=click.FloatRange(0, 100), default=97.0, show_default=True, metavar="PCT",
              help="Fail below so much of the rate: a load that was not made proves nothing.")  # fmt: skip
@all_problems
def load(
    out: Output,
    profile_name: str,
    rate: str,
    seconds: float,
    symbols: int | None,
    seed: int,
    wanted: str | None,
    faults: tuple[str, ...],
    entry_faults: str | None,
    backend: str,
    config_path: Path | None,
    interface: str,
    reach: float,
) -> int:
    """Load a gateway, with faults on both sides if wished, and hold both accounts against each other.

    Starts a gateway as the demo does, or takes the running one of --config. Exit code 0 when every frame, message,
    request and answer is accounted for, both sides agree on the positions, and the rate was reached; else 1.
    """
    from hwgw_sim.exchange.misbehave import parse_misbehaviour

    from hwgw.bad_line import parse
    from hwgw.load.profile import find
    from hwgw.load.report import failures, lines
    from hwgw.load.stage import Options, run

    if len(faults) > 2:
        raise UsageError(f"--faults: {len(faults)} of them; one for both lines, or two, of A and of B, are allowed")
    for text in faults:
        parse(text)
    has_b = wanted != "A"
    if len(faults) > 1 and not has_b:
        raise UsageError("--faults: there is no line B")
    if interface and config_path is None:
        raise UsageError(f"--interface {interface}: it goes with --config")
    if config_path is not None and (backend != "auto" or symbols is not None or wanted is not None):
        raise UsageError(f"--config {config_path}: it says how its gateway receives, its lines and its symbols")
    highest = round(number("--rate", rate, RATES, 1, RATE_MAX))
    entry = parse_misbehaviour(entry_faults) if entry_faults is not None else None
    options = Options(
        find(profile_name), highest, seconds, symbols or 8, backend, seed, faults, entry, config_path, interface,
        has_b,
    )  # fmt: skip
    judge = functools.partial(failures, reach_pct=reach)
    return run_live(out, "hwgw sim load", seconds, functools.partial(run, options), lines, judge)


command.add_command(load)
