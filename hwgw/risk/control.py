"""Limits of a running gateway: what is in force, what a file would make of it, and the change from one to the other.

SPDX-License-Identifier: MIT

Works on the shared segment alone, so the gateway's own Python process may be stopped or hung. One writer at a time (a
lock in the state folder); a table is put in force whole or not at all, and every pipeline acknowledges its
generation.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwgw import audit, config
from hwgw.errors import CheckFailed, ConfigError, UsageError
from hwgw.risk import files, rows, signature, versions
from hwgw.risk.limits import limits_table
from hwgw.segment import Segment
from hwgw.settings import MODES, Settings, twin_name

__all__ = ["Applied", "Book", "of_settings"]

_ACKNOWLEDGE_SECONDS = 1.0


@dataclass(frozen=True)
class Book:
    """A limits table (an array of one record) and what its numbers stand for."""

    gateway: str
    symbols: tuple[str, ...]
    strategies: dict[int, str]
    table: np.ndarray[Any, Any]

    @property
    def limits(self) -> dict[str, rows.Limit]:
        """Every limit by name."""
        return rows.limits_of(self.table[0], self.symbols, self.strategies)

    @property
    def canonical(self) -> bytes:
        """What a signature is about."""
        return signature.canonical(self.table[0], self.gateway, self.symbols, self.strategies)

    @property
    def digest(self) -> str:
        """Hash of the canonical bytes."""
        return signature.digest(self.canonical)

    def changes(self, other: Book) -> list[rows.Change]:
        """What other would change."""
        return rows.changes(self.limits, other.limits)


@dataclass(frozen=True)
class Applied:
    """What became of a change."""

    generation: int
    changes: list[rows.Change]
    digest: str
    acknowledged_ns: int
    key: str


def of_settings(settings: Settings, mode: str = "live") -> Book:
    """The limits that a configuration describes for its strategies of a mode; nothing passes of the others."""
    names = {number: strategy.name for number, strategy in settings.of_mode(mode).items()}
    of_mode = {number: row for number, row in settings.limits.strategies.items() if number in names}
    table = limits_table(dataclasses.replace(settings.limits, strategies=of_mode))
    return Book(twin_name(settings.name, mode), settings.symbols, names, table)


def in_force(segment: Segment) -> Book:
    """The limits of a running gateway; CheckFailed when it has none."""
    table = segment.limits()
    if table is None:
        raise CheckFailed(f"{segment.name}: no limits are in force")
    names = {row["number"]: name for name, row in segment.strategies().items()}
    return Book(segment.name, segment.symbols, names, table)


def keys_of(segment: Segment) -> list[bytes]:
    """The public keys that may sign this gateway's limits; empty when no signature is asked for."""
    raw = segment.head["limits_key"].tobytes()
    return [raw[at : at + signature.KEY_BYTES] for at in range(0, int(segment.head["limits_key_cnt"]) * 32, 32)]


def read(file: Path, segment: Segment | None = None) -> Book:
    """The limits of a file: a whole gateway.yaml, or, for a running gateway, the mapping under its key limits alone."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    if files.is_gateway(raw):
        settings = config.loads(raw, str(file), file.absolute().parent)
        modes = {twin_name(settings.name, mode): mode for mode in MODES}
        book = of_settings(settings, modes.get(segment.name, "live") if segment else "live")
        if segment is not None:
            _fits(book, segment, file)
        return book
    if segment is None:
        raise UsageError(
            f"{file}: limits alone mean nothing without a running gateway; name it, or a whole gateway.yaml"
        )
    there = in_force(segment)
    accounts = {row["number"]: row["account"] for row in segment.strategies().values()}
    limits = files.loads_limits(raw, str(file), there.symbols, there.strategies, accounts)
    return Book(there.gateway, there.symbols, there.strategies, limits_table(limits))


def _fits(book: Book, segment: Segment, file: Path) -> None:
    there = in_force(segment)
    for what, new, old in (
        ("name", book.gateway, there.gateway),
        ("instruments.symbols", book.symbols, there.symbols),
        ("strategies", book.strategies, there.strategies),
    ):
        if new != old:
            raise ConfigError(
                f"{file}: {what} is not that of the running gateway; limits alone can change while it runs"
            )


def _await(segment: Segment, generation: int) -> int:
    start = time.monotonic_ns()
    while True:
        late = [row for row in segment.thread_status() if row["limits_generation"] < generation]
        if not [row for row in late if row["state"] != "stopped"]:
            return time.monotonic_ns() - start
        if time.monotonic_ns() - start > _ACKNOWLEDGE_SECONDS * 1e9:
            raise CheckFailed(
                f"{segment.name}: generation {generation} is in force, but a pipeline has not acknowledged it within"
                f" {_ACKNOWLEDGE_SECONDS:g} s: look at hwgw status {segment.name}"
            )
        time.sleep(0.0001)


def check(
    segment: Segment, book: Book, *, allow_looser: bool = False, file: Path | None = None
) -> tuple[Book, list[rows.Change], str]:
    """What a book would change: what is in force, the changes, the key that signed it; nothing is changed.

    Refuses what is looser unless allowed (CheckFailed) and, where keys are set, what no key has signed.
    """
    key = ""
    if keys := keys_of(segment):
        if file is None:
            raise UsageError(f"{segment.name} takes signed limits only: change a file, sign it and reload")
        key = signature.verify(book.canonical, file, keys)
    there = in_force(segment)
    found = there.changes(book)
    looser = [change.name for change in found if change.is_looser]
    if looser and not allow_looser:
        some = ", ".join(looser[:3]) + (f" and {len(looser) - 3} more" if len(looser) > 3 else "")
        raise CheckFailed(f"{segment.name}: {some} would be looser; nothing was changed (--allow-looser allows it)")
    return there, found, key


def apply(
    segment: Segment, book: Book, source: str, *, allow_looser: bool = False, file: Path | None = None
) -> Applied:
    """Put a book in force that check() takes.

    On record first (who, when, source, hash, each change); nothing is written when there is no change.
    """
    with audit.only_writer(segment.name, "limits"):
        there, found, key = check(segment, book, allow_looser=allow_looser, file=file)
        if not found:
            return Applied(int(segment.control["limits_generation"]), [], book.digest, 0, key)
        told = [f"{c.name} {rows.text(c.old, c.unit)} -> {rows.text(c.new, c.unit)}" for c in found]
        versions.keep(segment.name, there.canonical)
        versions.keep(segment.name, book.canonical, file if key else None)
        audit.record(
            segment.name, "limits", source=source, hash=book.digest, before=there.digest, key=key, changes=told
        )
        generation = segment.publish_limits(book.table)
        return Applied(generation, found, book.digest, _await(segment, generation), key)


def of_version(segment: Segment, to: str) -> tuple[Book, Path]:
    """A version that was in force, by number or hash, and its file; ConfigError when it does not fit the gateway."""
    file = versions.find(segment.name, to)
    book = Book(segment.name, *versions.load(file, segment.name))
    _fits(book, segment, file)
    return book, file


def changed(book: Book, assignments: Sequence[str]) -> Book:
    """A copy of a book with some limits changed, each spelled KEY=VALUE as in gateway.yaml."""
    table = book.table.copy()
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or name not in book.limits:
            known = ", ".join(sorted({limit.rsplit(".", 1)[-1] for limit in book.limits}))
            raise UsageError(f"{assignment!r}: KEY=VALUE is allowed, such as gateway.open_max=10; limits are {known}")
        _set(table[0], book, name, value)
    return Book(book.gateway, book.symbols, book.strategies, table)


def _set(record: np.void, book: Book, name: str, value: str) -> None:
    section, _, rest = name.partition(".")
    if not rest:
        section, rest = "", name
    place: Any = record
    who, _, key = rest.rpartition(".")
    if section == "gateway":
        place = record["gateway"]
    elif section == "accounts":
        place = record["account"][int(who)]
    elif section == "strategies":
        place = record["strategy"][next(number for number, known in book.strategies.items() if known == who)]
    elif section == "instruments":
        place = record["instrument"][book.symbols.index(who)]
    elif section == "breakers":
        place = next(row for row in record["breaker"] if row["name"].decode() == who)
    field, raw = files.limit_value(section, key, value)
    if isinstance(raw, tuple):  # a bit of the flags
        bit, is_set = raw
        place[field] = int(place[field]) | bit if is_set else int(place[field]) & ~bit
    else:
        place[field] = raw
