"""A limits table as people read it: one named limit per line, which of two tables lets more pass, and by which limit.

SPDX-License-Identifier: MIT

Names are those of gateway.yaml (instruments.AAPL.qty_max); units and directions come from hwgw/specs/risk.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwgw import specs
from hwgw.risk import CHECKS, breakers

__all__ = ["Change", "Limit", "changes", "limits_of", "text"]

_NS = (("h", 3_600_000_000_000), ("min", 60_000_000_000), ("s", 10**9), ("ms", 10**6), ("us", 1000))


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: value in the unit of the table; looser is up, down, clear or any."""

    name: str
    value: int
    unit: str
    looser: str


@dataclass(frozen=True, slots=True)
class Change:
    """A limit in two tables."""

    name: str
    old: int
    new: int
    unit: str
    is_looser: bool


def text(value: int, unit: str) -> str:
    """A value as gateway.yaml would spell it."""
    if unit in ("money", "px"):
        whole, part = divmod(value, 10_000)
        fraction = f"{part:04d}".rstrip("0")
        return f"{whole:,}.{fraction:0<2}"
    if unit == "ns":
        return next((f"{value // scale}{name}" for name, scale in _NS if value and value % scale == 0), f"{value}ns")
    if unit == "q16":
        return f"{value * 100 / 65_536:.4g} %"
    if unit == "flag":
        return "true" if value else "false"
    if unit == "mask":
        return "[" + ", ".join(str(bit) for bit in range(value.bit_length()) if value >> bit & 1) + "]"
    if unit == "action":
        return next((name for name, code in breakers.ACTIONS.items() if code == value), "none")
    if unit == "rule":
        return breakers.shape_text(value)
    if unit == "checks":
        return "off: " + (", ".join(check.name for check in CHECKS if not value >> check.code & 1) or "none")
    return f"{value:,}"


def _label(name: str) -> str:
    return name.removesuffix("_ns").replace("_q16", "_pct")


def _record(layout: str, row: Any, prefix: str) -> Iterator[Limit]:
    table = specs.load("risk")
    for field in table.layout(layout).fields:
        if not field.looser:
            continue
        value = int(row[field.name])
        if field.enum is None:
            yield Limit(prefix + _label(field.name), value, field.unit, field.looser)
            continue
        directions = dict(part.split() for part in field.looser.split(", "))
        for code in table.enum(field.enum).values:
            bit = int(code.value)
            yield Limit(prefix + code.slug, int(bool(value & bit)), "flag", directions[code.slug])


def _breaker(row: Any) -> Iterator[Limit]:
    """A circuit breaker rule: what it is as one number, of which any change is looser, and its limits."""
    if not int(row["kind"]):
        return
    kind, prefix = breakers.kind_of(row), f"breakers.{row['name'].decode()}."
    shape = int(row["kind"]) | int(row["scope"]) << 8 | int(row["only"]) << 16
    yield Limit(f"{prefix}rule", shape, "rule", "any")
    yield Limit(f"{prefix}action", int(row["action"]), "action", "down")
    slow = breakers.SLOW_UNIT if kind == "latency_p99" else 1
    unit = "money" if kind == "loss" else "events"
    yield Limit(prefix + breakers.limit_key(kind), int(row["limit"]) // slow, unit, "up")
    if kind == "latency_p99":
        yield Limit(f"{prefix}bound", int(row["bound_ns"]), "ns", "up")
    yield Limit(f"{prefix}step", int(row["step_ns"]), "ns", "down")


def limits_of(record: np.void, symbols: Sequence[str], strategies: Mapping[int, str]) -> dict[str, Limit]:
    """Every limit of a table (one record) by name: the gateway's, of all accounts, the named strategies and symbols."""
    found = [*_record("limits", record, ""), *_record("limits_account", record["gateway"], "gateway.")]
    for number, row in enumerate(record["account"]):
        found += _record("limits_account", row, f"accounts.{number}.")
    for number, name in strategies.items():
        found += _record("limits_strategy", record["strategy"][number], f"strategies.{name}.")
    for symbol, row in zip(symbols, record["instrument"], strict=False):
        found += _record("limits_instrument", row, f"instruments.{symbol}.")
    for row in record["breaker"]:
        found += _breaker(row)
    return {limit.name: limit for limit in found}


def _is_looser(old: int, new: int, direction: str) -> bool:
    if direction == "any":
        return True
    if direction == "clear":
        return bool(old & ~new)
    return new > old if direction == "up" else new < old


def changes(old: Mapping[str, Limit], new: Mapping[str, Limit]) -> list[Change]:
    """What differs, in the order of the table; both must be of the same symbols and strategies.

    A circuit breaker rule that is gone is looser, one that is new is not.
    """
    if {name for name in old.keys() ^ new.keys() if not name.startswith("breakers.")}:
        raise ValueError("the tables are not of the same symbols and strategies")
    found = []
    for name, was in old.items():
        now = new[name].value if name in new else 0
        if name not in new or was.value != now:
            found.append(
                Change(name, was.value, now, was.unit, name not in new or _is_looser(was.value, now, was.looser))
            )
    found += [Change(name, 0, now.value, now.unit, False) for name, now in new.items() if name not in old]
    return found
