"""hwgw arm: let a strategy's orders pass.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import click

from .common import Output, verb


@verb("arm")
@click.argument("name")
@click.argument("strategies", nargs=-1, required=True, metavar="STRATEGY...")
def command(out: Output, name: str, strategies: tuple[str, ...]) -> int:
    """Let a strategy's orders pass.

    Arms every STRATEGY of gateway NAME. One that is armed already begins a new run: its counts of fills and of refusals
    in a row start again. What the gate has disarmed for one of these comes back only by this.
    """
    from hwgw.arming import arm
    from hwgw.segment import Segment

    with Segment.attach(name, writable=True) as segment:
        rows = arm(segment, strategies)
    for strategy in rows:
        out.say(f"{name}: {strategy} armed")
    out.emit({"name": name, "strategies": rows})
    return 0
