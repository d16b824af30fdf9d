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
@click.option("--cancel", is_flag=True, help="Also cancel what is open, and wait 5 s for the answers.")
@click.option("--reason", default="halted by the operator", show_default=True, help="For the record; at most 95 bytes.")
def command(
    out: Output, names: tuple[str, ...], all_: bool, symbols: tuple[str, ...], cancel: bool, reason: str
) -> int:
    """Stop a gateway's orders at once.

    Latches the halt of every gateway NAME: from the next order on none leaves; cancels still pass. With --instrument
    only that instrument's orders are stopped.

    One that cannot be halted is told and does not keep the others from it.

    One store into shared memory: it works while the gateway's Python process is stopped, hung or gone. Then it waits
    until the data processes have acknowledged it, a second at most: after that no order is on its way any more.
    """
    from hwgw import audit, cancelling
    from hwgw.errors import HwgwError, UsageError
    from hwgw.segment import Segment, gateways

    if bool(names) == all_:
        raise UsageError("name the gateways to halt, or say --all; there are: " + (", ".join(gateways()) or "none"))
    if cancel and symbols:
        raise UsageError("--cancel goes with the whole gateway; with --instrument set control.cancel_on_halt")
    results = []

    def halt_instruments(segment: Segment) -> None:
        for symbol in symbols:
            segment.instrument(symbol)  # all of them are known before the first is halted
        for symbol in dict.fromkeys(symbols):
            first = segment.halt_instrument(symbol, reason)
            try:
                audit.record(segment.name, "halt", text=reason, instrument=symbol, newly=first)
            except HwgwError as error:
                click.echo(f"hwgw halt: {error}", err=True)
            row = segment.instrument_halts.get(symbol, {})
            results.append({"name": segment.name, "instrument": symbol, "newly": first, "halts": [row]})
            already = f"was halted already ({row.get('reason')}: {row.get('text')})"
            out.say(f"{segment.name}: {symbol} {'halted' if first else already}")

    def halt(name: str) -> None:
        with Segment.attach(name, writable=True) as segment:
            if symbols:
                halt_instruments(segment)
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
