"""A whole file through decoder and books, in C: what it holds, what is wrong with it, what book it leaves.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hwgw.errors import CheckFailed

from .books import FeedBooks
from .progress import batches
from .source import Capture, Flow, RecordFile


@dataclass(frozen=True)
class Summary:
    """messages are those handed to the decoder; errors are the drop counters, and what mold found missing."""

    format: str
    messages: int = 0
    types: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    first_timestamp_ns: int | None = None
    last_timestamp_ns: int | None = None
    book_hash: str = ""
    instruments: int = 0
    orders_live: int = 0
    flows: tuple[Flow, ...] = ()
    damage: str = ""


def _errors(counters: dict[str, int]) -> dict[str, int]:
    return {name: cnt for name, cnt in counters.items() if ".drop_" in name or name == "mold.missing"}


def summarize(source: RecordFile | Capture, *, progress: bool | None = False) -> Summary:
    """Read a source to its end; damage is in the result, not raised."""
    books, messages, damage = FeedBooks(), 0, ""
    try:
        for batch in batches(source, progress=progress):
            books.apply(batch)
            messages += len(batch)
    except CheckFailed as error:
        damage = str(error)
    counters = source.counters()
    # a second line of the same stream is no error
    counters.pop("mold.drop_duplicate", None)
    found, own = books.totals, books.counters
    decoded = own.get("itch.messages", 0)
    return Summary(
        format=source.format,
        messages=messages,
        types={chr(byte): cnt for byte, cnt in enumerate(found.types) if cnt},
        errors=_errors(counters) | _errors(own) | ({"file.damage": 1} if damage else {}),
        first_timestamp_ns=found.first_ts_ns if decoded else None,
        last_timestamp_ns=found.last_ts_ns if decoded else None,
        book_hash=f"{books.hash():016x}",
        instruments=len(books.symbols),
        orders_live=books.live,
        flows=tuple(source.flows()),
        damage=damage,
    )
