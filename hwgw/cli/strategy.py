"""hwgw strategy: the parameters of a running gateway's strategies.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .common import Output, verb

if TYPE_CHECKING:
    from hwgw.parameters import Applied


@click.group("strategy")
def command() -> None:
    """The parameters of a running gateway's strategies.

    NAME is a gateway, or the twin of one (NAME-paper, NAME-shadow). What is changed holds until it restarts: what is to
    stay belongs into its file.
    """


@verb("show", of="strategy")
@click.argument("name")
@click.argument("strategy", required=False)
def show(out: Output, name: str, strategy: str | None) -> int:
    """The parameters in force, and their version."""
    from hwgw import parameters
    from hwgw.segment import Segment

    with Segment.attach(name) as segment:
        chosen = [strategy] if strategy else list(segment.strategies())
        found = [parameters.in_force(segment, each) for each in chosen]
    for version in found:
        out.say(f"{version.strategy}: {version.use}, version {version.digest}")
        out.say(f"  code {version.code}")
        rows = {key: value for key, value in version.params.items() if not key.startswith("_")}
        width = max(map(len, rows), default=0)
        for key, value in rows.items():
            out.say(f"  {key:<{width}}  {parameters.text(key, value)}")
    out.emit({"name": name, "strategies": [{**vars(each), "hash": each.digest} for each in found]})
    return 0


def told(out: Output, name: str, applied: Applied) -> dict[str, Any]:
    """Say what became of a change; the same as an object."""
    from hwgw.parameters import text

    strategy = applied.version.strategy
    for key, old, new in applied.changes:
        out.say(f"  {key}  {text(key, old)} -> {text(key, new)}")
    what = f"{len(applied.changes)} parameter(s) changed" if applied.changes else "nothing to change"
    out.say(f"{name}: {strategy}: {what}; version {applied.version.digest}")
    return {
        "strategy": strategy, "hash": applied.version.digest, "before": applied.before.digest,
        "changes": [{"name": key, "old": old, "new": new} for key, old, new in applied.changes],
    }  # fmt: skip


def _applied(out: Output, name: str, applied: Applied) -> int:
    out.emit({"name": name, **told(out, name, applied)})
    return 0


@verb("set", of="strategy")
@click.argument("name")
@click.argument("strategy")
@click.argument("assignments", nargs=-1, required=True, metavar="KEY=VALUE...")
def set_(out: Output, name: str, strategy: str, assignments: tuple[str, ...]) -> int:
    """Change parameters of a strategy while it runs.

    VALUE as in gateway.yaml. All of them at once, between two events; what the strategy knows of its orders stays.
    """
    from hwgw import parameters
    from hwgw.segment import Segment

    with Segment.attach(name, writable=True) as segment:
        version = parameters.changed(parameters.in_force(segment, strategy), assignments)
        applied = parameters.apply(segment, version, " ".join(assignments))
    return _applied(out, name, applied)


@verb("versions", of="strategy")
@click.argument("name")
@click.argument("strategy", required=False)
def versions(out: Output, name: str, strategy: str | None) -> int:
    """The versions that were in force.

    Changes on record, oldest first: number, time, hash, strategy, and who or what changed it. Before its first change
    stands the version that was in force then.
    """
    from hwgw import parameters

    from .journal import day_time

    found = list(parameters.versions(name, strategy or ""))
    seen: set[str] = set()
    for row in found:
        if row["strategy"] not in seen:
            out.say(f"{'':>6}  {'':<30}  {row['before'][:16]}  {row['strategy']}: before the first change")
        seen.add(row["strategy"])
        said = f"uid {row['uid']}: {row['source']}"
        out.say(f"{row['seq']:>6}  {day_time(row['time_ns'])}  {row['hash'][:16]}  {row['strategy']}: {said}")
    if not found:
        out.say(f"{name}: no parameters were changed while it ran")
    out.emit({"name": name, "versions": found})
    return 0


@verb("rollback", of="strategy")
@click.argument("name")
@click.argument("strategy")
@click.option("--to", required=True, metavar="N|HASH", help="Number of a change, or the first digits of a hash.")
def rollback(out: Output, name: str, strategy: str, to: str) -> int:
    """Put parameters in force that were in force before.

    Of any version that hwgw strategy versions shows, or that the journal names, of the code that runs: code is not
    changed while it runs.
    """
    from hwgw import parameters
    from hwgw.segment import Segment

    with Segment.attach(name, writable=True) as segment:
        applied = parameters.apply(segment, parameters.find(name, strategy, to), f"rollback to {to}")
    return _applied(out, name, applied)


for member in (show, set_, versions, rollback):
    command.add_command(member)
