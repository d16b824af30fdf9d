"""hwgw compare: where two strategies part, one live and one beside it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import Output, verb

if TYPE_CHECKING:
    from hwgw.journal.compare import Day


@verb("compare")
@click.argument("name")
@click.argument("a", required=False)
@click.argument("b", required=False)
@click.option(
    "--journal", "journals", type=click.Path(path_type=Path, readable=False), metavar="FOLDER", multiple=True,
    help="From the journals of a day, order by order, instead of the running gateway. Repeatable: of two backtests.",
)  # fmt: skip
def command(out: Output, name: str, a: str | None, b: str | None, journals: tuple[Path, ...]) -> int:
    """Where two strategies part.

    Gateway NAME's strategy A against B, of any mode; without them, each shadow against the live strategy that it is
    beside. Orders, refusals, fills, PnL and latency; with --journal also which orders were decided on the same message
    of the feed, and how far apart. Fees are those of the model of the venue, for what trades on paper.
    """
    from hwgw.errors import UsageError
    from hwgw.journal.compare import lines

    if a and not b:
        raise UsageError(f"{a}: name two strategies, or none for every shadow")
    found = _of_journals(journals, name, a, b) if journals else _of_segments(name, a, b)
    out.emit({"name": name, "journal": ", ".join(map(str, journals)), "pairs": found})
    for row in found:
        for line in lines(row):
            out.say(line)
    return 0


def _pairs(known: dict[str, tuple[int, int]], a: str | None, b: str | None) -> list[tuple[str, str]]:
    """Of strategies with their number and that of the one they are beside."""
    from hwgw.errors import UsageError

    if a and b:
        if missing := [each for each in (a, b) if each not in known]:
            raise UsageError(f"{missing[0]}: no such strategy; there are {', '.join(known) or 'none'}")
        return [(a, b)]
    names = {number: name for name, (number, _) in known.items()}
    pairs = [(names[of], name) for name, (_, of) in known.items() if of in names]
    if not pairs:
        raise UsageError(f"no shadow is there to compare; name two of {', '.join(known) or 'no strategies'}")
    return pairs


def _of_segments(name: str, a: str | None, b: str | None) -> list[dict[str, Any]]:
    from hwgw.journal.compare import money
    from hwgw.segment import Segment, gateways
    from hwgw.settings import MODES, twin_name
    from hwgw.telemetry import snapshot

    there = gateways()
    looks: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for mode in MODES:
        if mode == "live" or twin_name(name, mode) in there:
            with Segment.attach(twin_name(name, mode)) as segment:
                look = snapshot(segment)
            looks |= {strategy: (look, row) for strategy, row in look["strategies"].items()}
    known = {strategy: (row["number"], row["of"]) for strategy, (_, row) in looks.items()}

    def figures(strategy: str) -> dict[str, Any]:
        look, row = looks[strategy]
        total = look["latency_ns"]["total"]
        return {
            "strategy": strategy, "mode": row["mode"], "passed": row["passed"], "refused": row["refused"],
            "fills": row["fills"], "executed_qty": row["executed_qty"], **money(row["mode"], row["pnl"], row["fees"]),
            "segment_latency_ns": {key: total[key] for key in ("cnt", "p50", "p99", "max")},
        }  # fmt: skip

    return [{"a": figures(first), "b": figures(second)} for first, second in _pairs(known, a, b)]


def _of_journals(folders: tuple[Path, ...], name: str, a: str | None, b: str | None) -> list[dict[str, Any]]:
    from hwgw.errors import UsageError
    from hwgw.journal import files_of
    from hwgw.journal.compare import compare, day
    from hwgw.settings import MODES, twin_name

    where: dict[str, Day] = {}
    for folder in folders:
        files = [files_of(folder, twin_name(name, mode)) for mode in MODES]
        if not files[0]:
            raise UsageError(f"{folder}: no journal of {name}")
        for each in map(day, filter(None, files)):
            if twice := sorted(where.keys() & each.strategies.keys()):
                raise UsageError(f"{folder}: strategy {twice[0]} is in another journal, too; allowed is one of a name")
            where |= dict.fromkeys(each.strategies, each)
    known = {each: (of.strategies[each].number, of.strategies[each].of) for each, of in where.items()}
    return [compare(where[first], first, where[second], second) for first, second in _pairs(known, a, b)]
