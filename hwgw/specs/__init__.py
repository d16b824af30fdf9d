"""The tables: every wire format and every record of our own, read once and kept.

load(name) gives a Table; dtype(table, layout) and column(array, field) are its NumPy view; counters(),
ledgers() and reasons() are what the data plane counts and why the risk gate refuses.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import reader
from .model import Counter, Enum, Feature, Field, Layout, Ledger, Reason, SpecError, Table

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "NATIVE", "WIRE", "Counter", "Enum", "Feature", "Field", "Layout", "Ledger", "Reason", "SpecError", "Table",
    "column", "counters", "dtype", "features", "ledgers", "load", "reasons",
]  # fmt: skip

WIRE = ("ethernet", "moldudp64", "itch50", "soupbintcp", "glimpse", "ouch50", "ouch42")
# a table may use the records of those before it
NATIVE = (
    "order",
    "event",
    "verdict",
    "sent",
    "rule",
    "features",
    "hook",
    "breaker",
    "segment",
    "risk",
    "pcapng",
    "journal",
    "backtest",
)
_HERE = Path(__file__).parent


@cache
def load(name: str) -> Table:
    """The table of a protocol or of a record of our own: one of WIRE or NATIVE."""
    if name not in WIRE + NATIVE:
        raise SpecError(f"no table {name!r}; there are {', '.join(WIRE + NATIVE)}")
    records = {}
    if name in NATIVE:
        for earlier in NATIVE[: NATIVE.index(name)]:
            records.update({layout.name: layout for layout in load(earlier).layouts})
    return reader.read(_HERE / f"{name}.yaml", records)


@cache
def _counter_document() -> dict[str, Any]:
    return reader.parse((_HERE / "counters.yaml").read_text(encoding="utf-8"), "counters.yaml")


@cache
def counters() -> tuple[Counter, ...]:
    """Every counter of the data plane, by index."""
    return reader.counters(_counter_document(), "counters.yaml", reasons())


@cache
def ledgers() -> tuple[Ledger, ...]:
    """The sums that hold whenever a pipeline is between two frames."""
    return reader.ledgers(_counter_document(), "counters.yaml", counters())


def features() -> tuple[Feature, ...]:
    """What strategies may ask for beside the book, by index."""
    return load("features").features


def reasons() -> tuple[Reason, ...]:
    """The reasons of the risk gate, by code."""
    return load("risk").reasons


def dtype(table: str, layout: str) -> np.dtype[Any]:
    """The NumPy dtype of a layout: same offsets, same size, the table's byte order."""
    from . import arrays

    return arrays.dtype(table, layout)


def column(array: np.ndarray[Any, Any], field: str) -> np.ndarray[Any, Any]:
    """A field of an array of dtype() as native integers, 6-byte ones too; text and records as they are."""
    from . import arrays

    return arrays.column(array, field)
