"""hwgw halt: no order leaves any more.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import click

from .common import Output, for_each, verb


@verb("halt")
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--all", "all_", is_flag=True, help="Every gateway of this host.")
@click.option("--instrument", "symbols", multiple=True, metavar="SYMBOL", help="Only this instrument; repeatable.")
@click.option("--venue", "venues", multiple=True, metavar="VENUE", help="Only orders to this venue; repeatable.")
@click.option("--cancel", is_flag=True, help="Also cancel what is open, and wait 5 s for the answers.")
@click.option("--reason", default="halted by the operator", show_default=True, help="For the record; at most 95 bytes.")
def command(
    out: Output,
    names: tuple[str, ...],
    all_: bool,
    symbols: tuple[str, ...],
    venues: tuple[str, ...],
    cancel: bool,
    reason: str,
) -> int:
    """Stop a gateway's orders at once.

    Latches the halt of every gateway NAME: from the next order on none leaves; cancels still pass. With --instrument
    only that instrument's orders are stopped, with --venue only those to that venue: others go on, and the router
    passes it over.

    One that cannot be halted is told and does not keep the others from it.

    One store into shared memory: it works while the gateway's Python process is stopped, hung or gone. Then it waits
    until the data processes have acknowledged it, a second at most: after that no order is on its way any more.
    """
    from hwgw import audit, cancelling
    from hwgw.errors import HwgwError, UsageError
    from hwgw.segment import Segment, gateways

    if bool(names) == all_:
        raise UsageError("name the gateways to halt, or say --all; there are: " + (", ".join(gateways()) or "none"))
    if symbols and venues:
        raise UsageError("--instrument and --venue: one of them is allowed at a time")
    if cancel and (symbols or venues):
        part = "--instrument" if symbols else "--venue"
        raise UsageError(f"--cancel goes with the whole gateway; with {part} set control.cancel_on_halt")
    results = []

    def halt_parts(segment: Segment) -> None:
        kind = "instrument" if symbols else "venue"
        number, act = (segment.instrument, segment.halt_instrument) if symbols else (segment.venue, segment.halt_venue)
        for part in symbols + venues:
            number(part)  # all of them are known before the first is halted
        for part in dict.fromkeys(symbols + venues):
            first = act(part, reason)
            try:
                audit.record(segment.name, "halt", text=reason, newly=first, **{kind: part})
            except HwgwError as error:
                click.echo(f"hwgw halt: {error}", err=True)
            row = (segment.instrument_halts if symbols else segment.venue_halts).get(part, {})
            results.append({"name": segment.name, kind: part, "newly": first, "halts": [row]})
            already = f"was halted already ({row.get('reason')}: {row.get('text')})"
            out.say(f"{segment.name}: {part} {'halted' if first else already}")

    def halt(name: str) -> None:
        with Segment.attach(name, writable=True) as segment:
            if symbols or venues:
                halt_parts(segment)
                return
            first = segment.halt(reason)
            try:
                audit.record(name, "halt", text=reason, newly=first)
            except HwgwError as error:  # the halt stands; that it is not on record does not undo it
                click.echo(f"hwgw halt: {error}", err=True)
            halts = segment.halts
            others = ", ".join(f"{row['reason']}: {row['text']}" for row in halts)
            out.say(f"{name}: halted" if first else f"{name}: was halted already ({others})")
            results.append({"name": name, "newly": first, "halts": halts})

    def cancelled(name: str) -> dict[str, int]:
        with Segment.attach(name, writable=True) as segment:
            return cancelling.cancel(segment, 5.0, out)

    def acknowledged(name: str) -> bool:
        with Segment.attach(name) as segment:
            return segment.halt_wait(1.0)

    failed = for_each(out, gateways() if all_ else names, halt)
    for row in results:  # after the last of them is halted: one that is stuck keeps no other waiting
        row["acknowledged"] = acknowledged(str(row["name"]))
    for name in dict.fromkeys(str(row["name"]) for row in results if not row["acknowledged"]):
        click.echo(f"hwgw halt: {name}: halted, but its data process has not acknowledged it for a second", err=True)
    unknown = 0
    for row in results if cancel else ():
        row["cancel"] = ended = cancelled(str(row["name"]))
        unknown += ended["unknown"]
    out.emit({"gateways": results})
    return failed or (1 if unknown else 0)
