"""The rules of the card of a running gateway: how they stand, arming one for an order, disarming.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

from . import audit, specs
from .config_schema import RULE
from .errors import CheckFailed, UsageError
from .native import ffi, lib
from .segment import Segment
from .strict_yaml import BadValueError, Scalar

__all__ = ["arm", "disarm", "rules"]

TERMS = ("when_px", "when_qty", "px", "qty")
_SECONDS = 1.0  # a pipeline looks in each round


def _slug(table: str, enum: str, code: int) -> str:
    return next((value.slug for value in specs.load(table).enum(enum).values if value.value == code), str(code))


def _plain(segment: Segment, row: Any, number: int) -> dict[str, Any]:
    reasons = {reason.code: reason.name for reason in specs.reasons()}
    at = {key: int(row[key]) for key in (*TERMS, "fired", "passed", "last_ref", "fired_ns")}
    return {
        "number": number, "name": bytes(row["name"]).rstrip(b"\0").decode("ascii", "replace"),
        "instrument": segment.symbols[int(row["instrument"])], "strategy": int(row["strategy"]),
        "when": _slug("rule", "when", int(row["when"])), "side": _slug("order", "side", int(row["side"])),
        "tif": _slug("order", "tif", int(row["tif"])), "state": _slug("segment", "rule_state", int(row["state"])),
        "last_reason": reasons.get(int(row["last_reason"]), str(int(row["last_reason"]))), **at,
    }  # fmt: skip


def rules(segment: Segment) -> dict[str, dict[str, Any]]:
    """Every rule by its name."""
    rows = enumerate(segment.rule_rows)
    found = [_plain(segment, row, number) for number, row in rows if bytes(row["name"]).rstrip(b"\0")]
    return {row["name"]: row for row in found}


def _find(segment: Segment, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    there = rules(segment)
    for name in names:
        if name not in there:
            raise UsageError(f"{segment.name} has no rule {name!r}; it has {', '.join(there) or 'none'}")
    return {name: there[name] for name in dict.fromkeys(names)}


def _terms(given: Sequence[str]) -> dict[str, int]:
    found = {}
    for assignment in given:
        name, equals, value = assignment.partition("=")
        if not equals or name not in TERMS:
            raise UsageError(f"{assignment!r}: KEY=VALUE is allowed; terms of a rule are {', '.join(TERMS)}")
        kind = cast(Scalar, RULE.keys[name].schema)
        try:
            found[name] = kind.parse(value)
        except BadValueError as error:
            raise UsageError(f"{assignment}: {error}; {kind.allowed} is allowed") from None
    return found


def _ask(segment: Segment, rows: Sequence[dict[str, Any]], terms: dict[str, int], *, armed: bool) -> bool:
    """Whether the pipeline has taken it of all these rules, which are asked at once; False: a value is not allowed."""
    waiting = {
        int(row["number"]): ffi.new("struct hwgw_rule_terms *", {name: row[name] for name in TERMS} | terms)
        for row in rows
    }
    asked = dict.fromkeys(waiting, 0)
    end, is_taken = time.monotonic() + _SECONDS, True
    while waiting:
        for number, wanted in [*waiting.items()]:
            at = segment.rule_rows[number]
            asked[number] = asked[number] or int(lib.hwgw_rule_publish(segment.pointer, number, wanted, armed))
            if asked[number] and int(at["seq_ack"]) >= asked[number]:
                is_taken &= int(at["seq_refused"]) != asked[number]
                del waiting[number]
        if waiting and time.monotonic() > end:
            raise CheckFailed(f"{segment.name}: no pipeline has looked at its rules within {_SECONDS:g} s")
        time.sleep(0.0005)
    return is_taken


def arm(segment: Segment, name: str, given: Sequence[str] = ()) -> dict[str, Any]:
    """Arm a rule for one order, on record first; given: new terms as KEY=VALUE. The rule once the pipeline has it."""
    row = _find(segment, [name])[name]
    terms = _terms(given)
    audit.record(segment.name, "rule", rule=name, armed=True, terms={key: row[key] for key in TERMS} | terms)
    if not _ask(segment, [row], terms, armed=True):
        audit.record(segment.name, "rule", rule=name, armed="refused", terms=terms)
        raise CheckFailed(f"{segment.name}: {name} could not be said with these terms; nothing was changed")
    return rules(segment)[name]


def disarm(segment: Segment, names: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Disarm rules, all unless some are named; no order of theirs leaves from here on. Done first, then recorded."""
    rows = _find(segment, names or list(rules(segment)))
    try:
        _ask(segment, [*rows.values()], {}, armed=False)
    finally:
        audit.record(segment.name, "rule", rules=list(rows), armed=False)
    return {name: row for name, row in rules(segment).items() if name in rows}
