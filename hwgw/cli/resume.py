"""hwgw resume: clear a halt.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import click

from .common import Output, verb


@verb("resume")
@click.argument("name")
@click.option("--reason", "reasons", multiple=True, help="A reason to clear (operator, loss, state ...); repeatable.")
def command(out: Output, name: str, reasons: tuple[str, ...]) -> int:
    """Clear a gateway's halt.

    A gateway is halted for one or more reasons, shown by `hwgw status NAME`, and each that is to be cleared is repeated
    here: who resumes has read why it stopped. Orders pass when none is left; else the exit code is 6.
    """
    from hwgw import audit
    from hwgw.errors import CheckFailed, UsageError
    from hwgw.segment import Segment

    with Segment.attach(name, writable=True) as segment:
        halts = {row["reason"]: row for row in segment.halts}
        if not halts:
            raise CheckFailed(f"{name} is not halted")
        if not reasons:
            shown = "; ".join(f"{reason}: {row['text']}" for reason, row in halts.items())
            again = " ".join(f"--reason {reason}" for reason in halts)
            raise UsageError(f"{name} is halted by {shown}. To clear that: hwgw resume {name} {again}")
        for reason in reasons:
            if reason not in halts:
                raise CheckFailed(f"{name} is not halted by {reason}, but by {', '.join(halts)}")
        cleared = [halts[reason] for reason in dict.fromkeys(reasons)]
        # before the act, and with who had halted: a halt by hwgw-halt stands in the segment alone until now
        audit.record(name, "resume", reasons=[row["reason"] for row in cleared], halts=cleared)
        segment.resume(*reasons)
        left = segment.halts
        for row in cleared:
            out.say(f"{name}: resumed; it had been halted by {row['reason']}: {row['text']}")
        for row in left:
            out.say(f"{name}: still halted by {row['reason']}: {row['text']}")
        out.emit({"name": name, "cleared": cleared, "halts": left})
    return 6 if left else 0
