"""hwgw cancel: everything a gateway has open at the venue.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import click

from .common import Output, for_each, verb


@verb("cancel")
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--all", "all_", is_flag=True, help="Every gateway of this host.")
@click.option("--wait", "seconds", type=click.FloatRange(0, 600), default=5.0, show_default=True,
              help="Seconds to wait for the venue's answers.")  # fmt: skip
def command(out: Output, names: tuple[str, ...], all_: bool, seconds: float) -> int:
    """Cancel everything a gateway has open.

    Every order that gateway NAME has open at the venue now is cancelled: with one message where the venue has one, else
    one by one, and again every 250 ms until each has ended. Orders that follow are not touched: `hwgw halt --cancel`
    stops those, too.

    The exit code is 1 when orders are left whose end is not known; the gateway goes on asking.
    """
    from hwgw.cancelling import cancel
    from hwgw.errors import UsageError
    from hwgw.segment import Segment, gateways

    if bool(names) == all_:
        raise UsageError("name the gateways, or say --all; there are: " + (", ".join(gateways()) or "none"))
    results = []

    def one(name: str) -> None:
        with Segment.attach(name, writable=True) as segment:
            results.append({"name": name, **cancel(segment, seconds, out)})

    failed = for_each(out, gateways() if all_ else names, one)
    out.emit({"gateways": results})
    return failed or (1 if any(row["unknown"] for row in results) else 0)
