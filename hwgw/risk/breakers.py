"""Circuit breaker rules: which kind counts where and takes which keys, the rules of a table, and what became of them.

SPDX-License-Identifier: MIT

The table is hwgw/specs/breaker.yaml, the contract docs/breakers.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwgw import specs
from hwgw.settings import Breaker

__all__ = [
    "ACTIONS",
    "KINDS",
    "RULES_MAX",
    "SCOPES",
    "Who",
    "fill",
    "kind_of",
    "limit_key",
    "make",
    "mistakes",
    "shape_text",
]

TABLE = specs.load("breaker")
RULES_MAX, STEPS = TABLE.constant("rules_max"), TABLE.constant("steps")
ALL = 2**32 - 1
ACCOUNTS_MAX = specs.load("risk").constant("accounts_max")
SLOW_UNIT = 100  # the limit of latency_p99 is in hundredths of an order


def _names(enum: str) -> dict[str, int]:
    return {code.slug: int(code.value) for code in TABLE.enum(enum).values if code.slug != "none"}


KINDS, ACTIONS, SCOPES = _names("kind"), _names("action"), _names("scope")
_LIMIT_KEYS = {"loss": "loss_max", "latency_p99": "slow_max"}
_OF_KINDS = ("count_max", "loss_max", "slow_max", "bound")


def limit_key(kind: str) -> str:
    """The key of gateway.yaml that holds the limit of a rule."""
    return _LIMIT_KEYS.get(kind, "count_max")


def kind_of(row: Any) -> str:
    """The kind of a row of the table."""
    return next(name for name, code in KINDS.items() if code == int(row["kind"]))


def _scopes(kind: str) -> list[str]:
    mask = TABLE.constant(f"scopes_{kind}")
    return [name for name, code in SCOPES.items() if mask >> code & 1]


@dataclass(frozen=True, slots=True)
class Who:
    """Symbols and strategies by number."""

    symbols: Sequence[str]
    strategies: Sequence[str]

    def index(self, scope: str, text: str) -> int | None:
        """The number of whom a rule names, or None."""
        if scope == "account":
            return int(text) if text.isascii() and text.isdigit() and int(text) < ACCOUNTS_MAX else None
        names = self.symbols if scope == "instrument" else self.strategies
        return names.index(text) if text in names else None


def mistakes(values: Mapping[str, Any], given: frozenset[str], who: Who) -> Iterator[tuple[str, str]]:
    """What does not fit together in one rule as it was read: key and text."""
    kind, scope, action = values["kind"], values["scope"], values["action"]
    needed = [limit_key(kind)] + (["bound"] if kind == "latency_p99" else [])
    for key in _OF_KINDS:
        if key in given and key not in needed:
            yield key, f"kind {kind} has no use for it; it takes {' and '.join(needed)}"
        elif key in needed and key not in given:
            yield key, f"missing; kind {kind} needs it"
    if scope not in _scopes(kind):
        yield "scope", f"{scope}: kind {kind} is counted by {', '.join(_scopes(kind))}"
    if action == "halt_instrument" and scope != "instrument":
        yield "action", f"halt_instrument: scope {scope} names no instrument; warn and halt_gateway are allowed"
    if values["only"] is None:
        return
    if scope == "gateway":
        yield "only", "scope gateway has no use for it; account, strategy and instrument have"
    elif who.index(scope, values["only"]) is None:
        allowed = {"account": f"0 to {ACCOUNTS_MAX - 1}", "strategy": ", ".join(who.strategies) or "none"}
        yield (
            "only",
            f"{values['only']}: no such {scope}; {allowed.get(scope, 'one of instruments.symbols')} is allowed",
        )


def make(name: str, values: Mapping[str, Any], who: Who) -> Breaker:
    """The rule that was read."""
    kind, only = values["kind"], values["only"]
    return Breaker(
        name=name,
        kind=kind,
        scope=values["scope"],
        action=values["action"],
        limit=values[limit_key(kind)] or 0,
        window_ns=values["window"],
        bound_ns=values["bound"] or 0,
        only=None if only is None else who.index(values["scope"], only),
    )


def fill(row: Any, rule: Breaker) -> None:
    """Write a rule into its row of the limits table."""
    row["name"] = rule.name.encode()
    row["kind"], row["scope"], row["action"] = KINDS[rule.kind], SCOPES[rule.scope], ACTIONS[rule.action]
    row["only"] = 0 if rule.scope == "gateway" else ALL if rule.only is None else rule.only
    row["limit"] = rule.limit * (SLOW_UNIT if rule.kind == "latency_p99" else 1)
    row["bound_ns"] = rule.bound_ns
    row["step_ns"] = -(-rule.window_ns // (STEPS - 1))  # rounded up: a window is never shorter than it says


def shape_text(value: int) -> str:
    """A rule's kind, scope and only (from the lowest: a byte, a byte, a word) in words."""
    kind = next((name for name, code in KINDS.items() if code == value & 0xFF), "none")
    scope = next((name for name, code in SCOPES.items() if code == value >> 8 & 0xFF), "none")
    if kind == "none" or scope == "gateway":
        return kind if kind == "none" else f"{kind} of the gateway"
    return f"{kind} of " + (f"each {scope}" if value >> 16 == ALL else f"{scope} {value >> 16}")
