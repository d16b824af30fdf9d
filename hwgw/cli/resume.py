"""hwgw resume: clear a halt.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import click

from .common import Output, verb


@verb("resume")
@click.argument("name")
@click.option("--instrument", "symbols", multiple=True, metavar="SYMBOL", help="A halted instrument; repeatable.")
@click.option("--venue", "venues", multiple=True, metavar="VENUE", help="A halted venue; repeatable.")
@click.option("--reason", "reasons", multiple=True, help="A reason to clear (operator, loss, state ...); repeatable.")
def command(out: Output, name: str, symbols: tuple[str, ...], venues: tuple[str, ...], reasons: tuple[str, ...]) -> int:
    """Clear a gateway's halt.

    A gateway is halted for one or more reasons, shown by `hwgw status NAME`, and each that is to be cleared is repeated
    here: who resumes has read why it stopped. Orders pass when none is left; else the exit code is 6.

    With --instrument the halt of that instrument is cleared, with --venue that of the venue, whose reason is repeated
    likewise.
    """
    from hwgw import audit
    from hwgw.errors import CheckFailed, UsageError
    from hwgw.segment import Segment

    def parts(segment: Segment) -> int:
        kind, named = ("instrument", symbols) if symbols else ("venue", venues)
        number = segment.instrument if symbols else segment.venue
        act = segment.resume_instrument if symbols else segment.resume_venue
        now = segment.instrument_halts if symbols else segment.venue_halts
        halts = {part: row for part, row in now.items() if part in named}
        for part in named:
            number(part)
            if part not in halts:
                raise CheckFailed(f"{part} of {name} is not halted")
            if halts[part]["reason"] not in reasons:
                row = halts[part]
                raise UsageError(
                    f"{part} of {name} is halted by {row['reason']}: {row['text']}. To clear that:"
                    f" hwgw resume {name} --{kind} {part} --reason {row['reason']}"
                )
        said = {f"{kind}s": list(halts)}
        audit.record(name, "resume", **said, halts=list(halts.values()))
        for part, row in halts.items():
            act(part)
            out.say(f"{name}: {part} resumed; it had been halted by {row['reason']}: {row['text']}")
        out.emit({"name": name, "cleared": list(halts.values()), **said, "halts": segment.halts})
        return 6 if segment.halts else 0

    if symbols and venues:
        raise UsageError("--instrument and --venue: one of them is allowed at a time")
    with Segment.attach(name, writable=True) as segment:
        if symbols or venues:
            return parts(segment)
        halts = {row["reason"]: row for row in segment.halts}
        if not halts and segment.instrument_halts:
            halted = ", ".join(segment.instrument_halts)
            raise CheckFailed(f"{name} is not halted, but of it {halted}: hwgw resume {name} --instrument SYMBOL")
        if not halts and segment.venue_halts:
            halted = ", ".join(segment.venue_halts)
            raise CheckFailed(f"{name} is not halted, but of it {halted}: hwgw resume {name} --venue VENUE")
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
