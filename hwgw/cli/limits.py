"""hwgw limits: the pre-trade limits of a file or of a running gateway.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import Output, all_problems, verb

if TYPE_CHECKING:
    from hwgw.risk.control import Applied, Book
    from hwgw.risk.rows import Change, Limit

LOOSER = click.option("--allow-looser", is_flag=True, help="Also take what lets more pass than now.")


@click.group("limits")
def command() -> None:
    """The limits that orders are checked against.

    TARGET is the NAME of a running gateway or a FILE: a whole gateway.yaml, or, where a running gateway is named too,
    what stands under its key limits.
    """


def _book(target: str, gateway: str | None = None) -> Book:
    from hwgw.risk import control
    from hwgw.segment import Segment

    if "/" in target or target.endswith((".yaml", ".yml")):
        if gateway is None:
            return control.read(Path(target))
        with Segment.attach(gateway) as segment:
            return control.read(Path(target), segment)
    with Segment.attach(target) as segment:
        return control.in_force(segment)


def _as_dict(limit: Limit) -> dict[str, Any]:
    from hwgw.risk import rows

    return {"name": limit.name, "value": limit.value, "unit": limit.unit, "text": rows.text(limit.value, limit.unit)}


def _changes(found: list[Change]) -> list[dict[str, Any]]:
    from hwgw.risk import rows

    return [
        {
            "name": change.name,
            "old": rows.text(change.old, change.unit),
            "new": rows.text(change.new, change.unit),
            "looser": change.is_looser,
        }
        for change in found
    ]


def _say_changes(out: Output, found: list[Change]) -> None:
    width = max((len(change.name) for change in found), default=0)
    for row in _changes(found):
        out.say(f"  {row['name']:<{width}}  {row['old']} -> {row['new']}{'  (looser)' if row['looser'] else ''}")


def _groups(book: Book) -> list[tuple[str, list[Limit]]]:
    """Limits under their heading; instruments, accounts and strategies with equal limits share one."""
    groups: dict[str, dict[str, list[Limit]]] = {}
    for limit in book.limits.values():
        section, _, rest = limit.name.partition(".")
        who, _, key = rest.rpartition(".")
        heading = section if rest else ""
        groups.setdefault(heading, {}).setdefault(who, []).append(limit)
    shown: list[tuple[str, list[Limit]]] = []
    for heading, members in groups.items():
        equal: dict[tuple[int, ...], list[str]] = {}
        for who, limits in members.items():
            equal.setdefault(tuple(limit.value for limit in limits), []).append(who)
        for values, names in equal.items():
            if heading == "accounts" and not any(values):
                continue  # nothing passes for these
            listed = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
            shown.append((f"{heading} {listed}".strip(), members[names[0]]))
    return shown


@verb("show", of="limits")
@click.argument("target")
@click.option("--gateway", help="The running gateway that a file of limits alone is for.")
@all_problems
def show(out: Output, target: str, gateway: str | None) -> int:
    """What the limits are."""
    from hwgw.risk import rows

    book = _book(target, gateway)
    generation = int(book.table["generation"][0])
    out.emit(
        {
            "gateway": book.gateway, "generation": generation, "hash": book.digest,
            "limits": [_as_dict(limit) for limit in book.limits.values()],
        }
    )  # fmt: skip
    in_force = f"generation {generation}, " if generation else ""
    out.say(f"{book.gateway}: {in_force}hash {book.digest}")
    for heading, limits in _groups(book):
        if heading:
            out.row("  ", heading)
        for limit in limits:
            label = limit.name.rsplit(".", 1)[-1]
            out.say(
                f"    {label:<20} {rows.text(limit.value, limit.unit)}"
                if heading
                else f"  {label:<22} {rows.text(limit.value, limit.unit)}"
            )
    return 0


@verb("check", of="limits")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option("--gateway", help="The running gateway it is for: what would change, and whether it may.")
@all_problems
def check(out: Output, file: Path, gateway: str | None) -> int:
    """Whether a file's limits are right; nothing is changed.

    With --gateway also what it would change there. Exit code 3 when the file is wrong.
    """
    from hwgw.risk import control, signature
    from hwgw.segment import Segment

    if gateway is None:
        book = control.read(file)
        out.say(f"{file}: ok, hash {book.digest}")
        out.emit({"file": str(file), "hash": book.digest, "changes": []})
        return 0
    with Segment.attach(gateway) as segment:
        book = control.read(file, segment)
        if keys := control.keys_of(segment):
            signature.verify(book.canonical, file, keys)
        found = control.in_force(segment).changes(book)
    out.say(f"{file}: ok, hash {book.digest}, {len(found)} change(s)")
    _say_changes(out, found)
    out.emit({"file": str(file), "hash": book.digest, "changes": _changes(found)})
    return 0


@verb("diff", of="limits")
@click.argument("old")
@click.argument("new")
@all_problems
def diff(out: Output, old: str, new: str) -> int:
    """What differs between two targets.

    Exit code 1 when something does.
    """
    from hwgw.errors import UsageError

    first = _book(old)
    second = _book(new, old if "/" not in old and not old.endswith((".yaml", ".yml")) else None)
    try:
        found = first.changes(second)
    except ValueError as error:
        raise UsageError(f"{old} and {new}: {error}") from None
    _say_changes(out, found)
    out.say(f"{len(found)} of {len(first.limits)} limits differ")
    out.emit({"old": old, "new": new, "changes": _changes(found)})
    return 1 if found else 0


def told(out: Output, name: str, applied: Applied) -> dict[str, Any]:
    """Say what became of a change; the same as an object."""
    _say_changes(out, applied.changes)
    if applied.changes:
        out.say(
            f"{name}: {len(applied.changes)} limit(s) changed, generation {applied.generation} acknowledged by every"
            f" pipeline after {applied.acknowledged_ns / 1000:.0f} us; hash {applied.digest}"
        )
    else:
        out.say(f"{name}: nothing to change")
    return {
        "generation": applied.generation, "hash": applied.digest, "key": applied.key,
        "acknowledged_ns": applied.acknowledged_ns, "changes": _changes(applied.changes),
    }  # fmt: skip


def _applied(out: Output, name: str, applied: Applied) -> int:
    out.emit({"name": name, **told(out, name, applied)})
    return 0


@verb("reload", of="limits")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, readable=False), required=False)
@LOOSER
@all_problems
def reload(out: Output, name: str, file: Path | None, allow_looser: bool) -> int:
    """Put a file's limits in force in a running gateway.

    Without FILE, those of the configuration it was started with. All of them at once, or nothing: an order is judged
    by the old table or by the new one.
    """
    from hwgw.errors import UsageError
    from hwgw.risk import control
    from hwgw.segment import Segment

    with Segment.attach(name, writable=True) as segment:
        source = file or segment.config
        if source is None:
            raise UsageError(f"{name} was not started from a file: name one")
        book = control.read(source, segment)
        applied = control.apply(segment, book, str(source), allow_looser=allow_looser, file=source)
    return _applied(out, name, applied)


@verb("set", of="limits")
@click.argument("name")
@click.argument("assignments", nargs=-1, required=True, metavar="KEY=VALUE...")
@LOOSER
def set_(out: Output, name: str, assignments: tuple[str, ...], allow_looser: bool) -> int:
    """Change single limits of a running gateway.

    KEY is spelled as by `hwgw limits show --json` (instruments.AAPL.qty_max), VALUE as in gateway.yaml. Holds until the
    gateway restarts: what is to stay belongs into its file.
    """
    from hwgw.risk import control
    from hwgw.segment import Segment

    with Segment.attach(name, writable=True) as segment:
        book = control.changed(control.in_force(segment), assignments)
        applied = control.apply(segment, book, " ".join(assignments), allow_looser=allow_looser)
    return _applied(out, name, applied)


@verb("versions", of="limits")
@click.argument("name")
def versions_(out: Output, name: str) -> int:
    """The limits that were in force, by their hash.

    Changes on record, oldest first: number, time, hash, and who or what changed them. The first line is what was in
    force before the first change.
    """
    from hwgw.risk.versions import versions

    from .journal import day_time

    found = list(versions(name))
    if found and found[0].before:
        out.say(f"{'':>6}  {'':<30}  {found[0].before[:16]}  before the first change")
    for row in found:
        out.say(f"{row.number:>6}  {day_time(row.time_ns)}  {row.hash[:16]}  uid {row.uid}: {row.source}")
    if not found:
        out.say(f"{name}: its limits were never changed while it ran")
    out.emit({"name": name, "versions": [vars(row) for row in found]})
    return 0


@verb("rollback", of="limits")
@click.argument("name")
@click.option("--to", required=True, metavar="N|HASH", help="Number of a change, or the first digits of a hash.")
@LOOSER
def rollback(out: Output, name: str, to: str, allow_looser: bool) -> int:
    """Put limits in force that were in force before.

    Of any version that hwgw limits versions shows, or of the one before the first. All of them at once, as any change;
    signed limits need the signature they came with.
    """
    from hwgw.risk import control
    from hwgw.segment import Segment

    with Segment.attach(name, writable=True) as segment:
        book, file = control.of_version(segment, to)
        applied = control.apply(segment, book, f"rollback to {to}", allow_looser=allow_looser, file=file)
    return _applied(out, name, applied)


@verb("keygen", of="limits")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
def keygen(out: Output, file: Path) -> int:
    """Make a key that signs limits.

    Writes the private key to FILE, which only its owner may read, and shows the public one for control.limits_keys.
    """
    from hwgw.risk import signature

    public = signature.generate(file)
    out.say(f"{file}: written; public key for control.limits_keys: {public}")
    out.emit({"file": str(file), "public": public})
    return 0


@verb("sign", of="limits")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path), help="The private key's file.")
@click.option("--gateway", help="The running gateway that a file of limits alone is for.")
@all_problems
def sign(out: Output, file: Path, key_file: Path, gateway: str | None) -> int:
    """Sign a file's limits.

    Writes FILE.sig. The signature is about what the file means (name, symbols, strategies, every limit), not its
    spelling.
    """
    from hwgw.risk import signature

    book = _book(str(file.absolute()), gateway)
    beside = signature.signature_file(file)
    beside.write_text(signature.sign(book.canonical, key_file) + "\n", encoding="ascii")
    out.say(f"{beside}: signed, hash {book.digest}")
    out.emit({"file": str(beside), "hash": book.digest})
    return 0


for member in (show, check, diff, set_, reload, versions_, rollback, sign, keygen):
    command.add_command(member)
