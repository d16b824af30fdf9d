"""hwgw top: what gateways do, live in the terminal.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import sys

import click

from .common import Output, verb

PAGES = ("overview", "feed", "books", "orders", "risk", "latency", "card")


@verb("top")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--page", type=click.Choice(PAGES), default=PAGES[0], show_default=True, help="The page to begin with.")
@click.option(
    "--interval", type=click.FloatRange(0.1, 60), default=0.5, show_default=True, help="Seconds between looks."
)
@click.option("--once", is_flag=True, help="Print the page and end; also without a terminal and with --json.")
def command(out: Output, names: tuple[str, ...], page: str, interval: float, once: bool) -> int:
    """What gateways do, live.

    Shows the gateways NAMES, or those of this host, one at a time: rates with their history, feed, books, orders, use
    of limits, latencies, card. Keys are shown with ?; left and right seek back in time; h halts, after a question.

    Everything is read from shared memory: gateways do not notice.
    """
    from hwgw.errors import DeviceError, UsageError
    from hwgw.segment import gateways

    known = gateways()
    chosen = list(names) or known
    if not chosen:
        raise UsageError("no gateway on this host")
    for name in chosen:
        if name not in known:
            raise UsageError(f"no gateway {name!r} on this host; there are {', '.join(known) or 'none'}")
    if once or out.as_json or not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        return _once(out, chosen, page, interval)
    try:
        from hwgw.top.app import Top
    except ModuleNotFoundError as error:
        raise DeviceError(f"{error.name} is not installed: pip install 'hwgw[top]'; --once needs none") from None
    Top(chosen, interval, page).run()
    return 0


def _once(out: Output, names: list[str], page: str, interval: float) -> int:
    """Two looks, so that there are rates, printed in 80 columns."""
    import io
    import shutil
    import time

    from rich.console import Console

    from hwgw.segment import Segment
    from hwgw.telemetry.history import RATES, History
    from hwgw.telemetry.view import view
    from hwgw.top import headline
    from hwgw.top import page as page_of

    looks = []
    for name in names:
        history = History(step_seconds=0)
        with Segment.attach(name) as segment:
            history.add(view(segment))
            time.sleep(min(interval, 1.0))
            look = view(segment)
        history.add(look)
        rates = {key: round((history.rates(key, 1) or [0.0])[-1], 3) for key in RATES}
        looks.append({**look, "rates": rates})
        width = max(80, shutil.get_terminal_size((80, 24)).columns) if sys.stdout.isatty() else 80
        text = io.StringIO()
        console = Console(file=text, width=width, force_terminal=sys.stdout.isatty())
        console.print(headline(look))
        console.print(page_of(page, look, history))
        out.say(text.getvalue().rstrip())
    out.emit({"gateways": looks})
    return 6 if any(look["halts"] for look in looks) else 0 if all(look["running"] for look in looks) else 1
