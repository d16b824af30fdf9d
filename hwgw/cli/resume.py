"""hwgw resume: clear a halt.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import click

from .common import Output, verb


@verb("resume")
@click.argument("name")
@click.option("--reason", help="Resume only if this is the reason of the halt (operator, loss, state ...).")
def command(out: Output, name: str, reason: str | None) -> int:
    """Clear a gateway's halt.

    Whatever had set it: look at `hwgw status NAME` first.
    """
    from hwgw.errors import CheckFailed
    from hwgw.segment import Segment

    with Segment.attach(name, writable=True) as segment:
        halted = segment.halted
        if halted is None:
            raise CheckFailed(f"{name} is not halted")
        if reason is not None and halted["reason"] != reason:
            raise CheckFailed(f"{name} is halted by {halted['reason']}, not by {reason}: {halted['text']}")
        segment.resume()
        out.say(f"{name}: resumed; it had been halted by {halted['reason']}: {halted['text']}")
        out.emit({"name": name, "was": halted})
    return 0
