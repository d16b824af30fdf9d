"""hwgw demo: the whole path on one machine.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import functools
from pathlib import Path

import click

from hwgw.errors import UsageError

from .common import Output, verb
from .live_run import run_live

CARD_RATE = 20_000  # messages per second that a simulated card follows beside everything else of a demo on two cores
JUDGED_RATE = 2_000  # the same when it judges, too: each change of a reference price goes through its ring


@verb("demo")
@click.option(
    "--seconds", type=click.FloatRange(0.5, 86_400), help="Length of the day (10; a capture: its whole length)."
)
@click.option(
    "--symbols", type=click.IntRange(1, 1000), default=8, show_default=True, help="Symbols of the order flow."
)
@click.option("--rate", type=click.IntRange(0), metavar="MSGS_PER_S",
              help="Feed messages per second (100,000; a capture 2,000); 0 = as fast as the exchange can.")  # fmt: skip
@click.option("--backend", type=click.Choice(["auto", "afxdp", "packet", "udp"]), default="auto", show_default=True,
              help="How the gateway receives; auto: AF_XDP where it can be had.")  # fmt: skip
@click.option(
    "--card", type=click.Choice(["sim"]), help=f"Receive through the card's RTL, simulated (--rate {CARD_RATE:,})."
)
@click.option("--risk", type=click.Choice(["host", "card", "both"]), default="host", show_default=True,
              help=f"Whose gate judges the orders; the card's needs --card (--rate {JUDGED_RATE:,}).")  # fmt: skip
@click.option("--send", type=click.Choice(["host", "card"]), default="host", show_default=True,
              help="Who puts orders on the wire; the card needs --risk card or both.")  # fmt: skip
@click.option("--feed", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE.itch50",
              help="Publish this capture (BinaryFILE framing) instead of an order flow.")  # fmt: skip
@click.option("--pace", metavar="PACE", default="", help="Pace of a capture: recorded or 'scale X', instead of a rate.")
@click.option(
    "--loss", default="", metavar="SHARE", help="Each line of the feed loses so many packets, 1% for example."
)
@click.option("--faults", default="", metavar="FAULTS",
              help="Both lines are bad: loss=1%,duplicate=1%,reorder=16,damage=0.1%,outage=2-4 ...")  # fmt: skip
@click.option("--shadow", is_flag=True, help="A second version of the first strategy beside it, and how they compare.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the order flow.")
def command(
    out: Output,
    seconds: float | None,
    symbols: int,
    rate: int | None,
    backend: str,
    card: str | None,
    risk: str,
    send: str,
    feed: Path | None,
    pace: str,
    loss: str,
    faults: str,
    shadow: bool,
    seed: int,
) -> int:
    """The simulated exchange against the gateway, on one machine.

    As root: two network namespaces, a veth pair, AF_XDP. Without: kernel sockets on loopback. Ends with a report that
    must add up: exit code 0 when every packet is accounted for and both sides agree on the positions, else 1.
    """
    if pace and (feed is None or rate is not None):
        raise UsageError(f"--pace {pace}: it goes with --feed, and takes the place of --rate")

    if card and backend not in ("auto", "card"):
        raise UsageError(f"--card {card}: it is a backend of its own, beside --backend {backend}")
    if risk != "host" and not card:
        raise UsageError(f"--risk {risk}: there is no card; say --card sim")
    if send == "card" and risk == "host":
        raise UsageError(f"--send {send}: it sends what its own gate lets pass; say --risk card or --risk both")
    if card and (loss or faults):
        raise UsageError(
            f"--card {card}: the card repairs nothing, so --loss and --faults would end with books that lack"
        )

    faults = ",".join(filter(None, (f"loss={loss}" if loss else "", faults)))

    from hwgw.bad_line import parse
    from hwgw.demo.report import failures, lines
    from hwgw.demo.stage import Options, run

    parse(faults)
    length = seconds if seconds is not None else 0 if feed else 10
    if rate is None:
        rate = 2_000 if feed else JUDGED_RATE if risk != "host" else CARD_RATE if card else 100_000
    chosen = "card" if card else backend
    options = Options(
        length, symbols, 0 if pace else rate, chosen, feed, pace, seed, faults, card or "", shadow, risk, send
    )
    return run_live(out, "hwgw demo", length, functools.partial(run, options), lines, failures)
