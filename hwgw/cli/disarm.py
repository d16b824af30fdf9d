"""hwgw disarm: let none of a strategy's orders pass.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import click

from .common import Output, verb


@verb("disarm")
@click.argument("name")
@click.argument("strategies", nargs=-1, required=True, metavar="STRATEGY...")
def command(out: Output, name: str, strategies: tuple[str, ...]) -> int:
    """Let none of a strategy's orders pass.

    Disarms every STRATEGY of gateway NAME. Its open orders stay as they are, and their cancels pass.
    """
    from hwgw.arming import disarm
    from hwgw.segment import Segment

    with Segment.attach(name, writable=True) as segment:
        rows = disarm(segment, strategies)
    for strategy in rows:
        out.say(f"{name}: {strategy} disarmed")
    out.emit({"name": name, "strategies": rows})
    return 0
