"""Scenarios from their data files: what happens, as event records, and what a gate has to answer.

SPDX-License-Identifier: MIT

A file is a list of scenarios: name, prevents (the accident), story, limits (over the generous ones below) and events.
An event is a mapping whose first key is its kind and its subject; as names an order for later events, expect is the
verdict (pass when left out), wait and back move the clock, repeat plays it several times. Unless bare is true,
limits, a beat, a good feed, a reference price and an armed strategy come first. Everything not said has the values of
DEFAULTS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hwgw import specs
from hwgw.errors import InternalError
from hwgw.risk.limits import seal

__all__ = ["DEFAULTS", "Scenario", "Step", "scenarios"]

INSTRUMENT, ACCOUNT, STRATEGY = 5, 2, 3
OTHER = {"instrument": 6, "account": 4, "strategy": 9}  # where a scenario needs a second one
DEFAULTS = {"instrument": INSTRUMENT, "account": ACCOUNT, "strategy": STRATEGY, "px": 1_000_000, "qty": 100}
STEP_NS, START_NS = 1_000, 1_000_000_000
_UNITS_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
_ORDERS = ("new", "replace")
_OF_AN_ORDER = ("cancel", "accepted", "rejected", "canceled", "executed", "replaced", "broken")


@dataclass(frozen=True, slots=True)
class Step:
    """One event: its record, its table when it is of kind limits, the reason it must get, and its words."""

    text: str
    record: bytes
    table: bytes | None
    expect: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario, ready to be played."""

    name: str
    topic: str
    prevents: str
    story: str
    steps: tuple[Step, ...]


@cache
def _enum(name: str) -> dict[str, int]:
    return {code.slug: int(code.value) for code in specs.load("order").enum(name).values if code.value is not None}


def _number(text: str, key: str) -> int:
    if key == "px":
        return int(Decimal(text) * 10_000)
    if key in OTHER and text == "other":
        return OTHER[key]
    if key == "instrument" and text == "all":
        return 2**32 - 1
    base, _, power = text.partition("^")
    return int(base) ** int(power) if power else int(text.replace("_", ""))


def _duration(text: str) -> int:
    digits = text.rstrip("nsum")
    return int(digits) * _UNITS_NS[text[len(digits) :]]


class _Table:
    """Generous limits, changed key by key."""

    def __init__(self) -> None:
        self.array = np.zeros(1, specs.dtype("risk", "limits"))
        record = self.array[0]
        record["checks_enabled"] = 2**32 - 1
        record["beat_age_max_ns"] = record["ref_age_max_ns"] = 10**12
        for place in (record["gateway"], record["account"]):
            place["credit_max"] = place["loss_max"] = 2**64 - 1
            place["open_max"] = 2**32 - 1
        for place in (record["gateway"], record["account"], record["strategy"]):
            place["rate_burst"], place["rate_refill_ns"] = 1000, 1000
        record["strategy"]["fills_max"] = record["strategy"]["rejects_run_max"] = 2**32 - 1
        for number in (INSTRUMENT, OTHER["instrument"]):
            row = record["instrument"][number]
            row["flags"], row["qty_max"], row["notional_max"] = 1, 2**32 - 1, 2**64 - 1
            row["collar_px_min"] = 500_000
            row["long_max"] = row["short_max"] = 2**31 - 1
            row["locate_qty"] = 2**32 - 1

    def change(self, changes: Mapping[str, str]) -> None:
        record = self.array[0]
        for name, text in changes.items():
            section, _, key = name.rpartition(".")
            if name == "checks_off":
                off = {reason.name: reason.code for reason in specs.reasons()}
                for check in text.split():
                    record["checks_enabled"] &= np.uint32(~(1 << off[check]) & 0xFFFFFFFF)
                continue
            value = _number(text, "px" if key == "collar_px_min" else key)
            if section == "":
                record[key] = value
            elif section == "gateway":
                record["gateway"][key] = value
            elif section == "instrument":  # both instruments of the kit, and no other
                for number in (INSTRUMENT, OTHER["instrument"]):
                    record["instrument"][number][key] = value
            else:
                record[section][key] = value

    def bytes(self, generation: int) -> bytes:
        self.array["generation"] = generation
        seal(self.array)
        return self.array.tobytes()


class _Player:
    """Turns the events of one scenario into steps."""

    def __init__(self, limits: Mapping[str, str]) -> None:
        self.table = _Table()
        self.table.change(limits)
        self.generation, self.ts, self.last_ref = 0, START_NS, 0
        self.refs: dict[str, int] = {}
        self.orders: dict[int, dict[str, int]] = {}
        self.steps: list[Step] = []

    def play(self, event: Mapping[str, Any]) -> None:
        for _ in range(int(event.get("repeat", "1"))):
            self._one(dict(event))

    def _one(self, event: dict[str, Any]) -> None:
        text = ", ".join(f"{key} {value}" for key, value in event.items() if key not in ("expect", "repeat"))
        kind = next(iter(event))
        subject = event.pop(kind)
        expect = event.pop("expect", "pass")
        label = event.pop("as", None)
        event.pop("repeat", None)
        self.ts += STEP_NS + _duration(event.pop("wait", "0ns"))
        back = _duration(event.pop("back", "0ns"))
        fields = {"kind": _enum("kind")[kind], "ts_ns": self.ts - back}
        table = None
        if kind == "limits":
            table = self._limits(fields, subject)
        elif kind in _ORDERS:
            self._order(fields, kind, subject, event, label)
        elif kind in _OF_AN_ORDER:
            fields["ref"] = self._ref(subject)
            known = self.orders.get(fields["ref"], DEFAULTS)
            fields |= {key: known[key] for key in ("instrument", "account", "strategy", "side") if key in known}
            if kind in ("executed", "broken"):
                fields["px"] = DEFAULTS["px"]
            if kind == "replaced":
                fields["orig_ref"] = self._ref(event.pop("of"))
        elif kind == "ref":
            fields |= {"instrument": INSTRUMENT, "px": _number(subject, "px")}
        elif kind == "feed":
            fields |= {"instrument": INSTRUMENT, "qty": int(subject == "good")}
        elif kind == "halt":
            fields["reason"] = next(reason.code for reason in specs.reasons() if reason.name == subject)
        elif kind in ("arm", "disarm"):
            fields["strategy"] = _number(subject, "strategy") if subject != "it" else STRATEGY
        for key, value in event.items():
            names = _enum(key) if key in ("side", "type", "tif", "flags") else {}
            fields[key] = names[value] if value in names else _number(value, key)
        record = np.zeros(1, specs.dtype("order", "order"))
        for key, value in fields.items():
            record[key] = value
        self.steps.append(Step(text, record.tobytes(), table, expect))

    def _limits(self, fields: dict[str, int], subject: Any) -> bytes:
        self.generation += 1
        if isinstance(subject, dict):
            self.table.change(subject)
        raw = bytearray(self.table.bytes(self.generation))
        fields["venue_ref"] = self.generation
        if subject == "damaged":
            raw[-1] ^= 1  # one bit of the last byte
        elif subject == "of another generation":
            fields["venue_ref"] += 1
        return bytes(raw)

    def _order(self, fields: dict[str, int], kind: str, side: str, event: dict[str, Any], label: str | None) -> None:
        code = _enum("side").get(side)
        fields |= DEFAULTS | {"side": int(side) if code is None else code, "type": _enum("type")["limit"]}
        fields["tif"] = _enum("tif")["day"]
        if side == "sell":
            fields["flags"] = _enum("flags")["short_sale"]
        if event.get("type") == "market":
            fields["px"] = 0
        if event.get("flags") == "long":
            del event["flags"]
            fields["flags"] = 0
        if kind == "replace":
            fields["orig_ref"] = self._ref(event.pop("of"))
        if "ref" not in event:
            self.last_ref += 1
            fields["ref"] = self.last_ref
        else:
            fields["ref"] = _number(event["ref"], "ref")
        if label:
            self.refs[label] = fields["ref"]
        self.orders[fields["ref"]] = {
            key: _number(event[key], key) if key in event else fields[key]
            for key in ("instrument", "account", "strategy", "side")
        }

    def _ref(self, subject: str) -> int:
        return self.refs[subject] if subject in self.refs else _number(subject, "ref")


_PROLOGUE = (
    {"limits": "these"}, {"beat": "now"}, {"feed": "good"}, {"feed": "good", "instrument": "other"},
    {"ref": "100"}, {"ref": "100", "instrument": "other"}, {"arm": "it"}, {"arm": "other"},
)  # fmt: skip
_KEYS = {"name", "prevents", "story", "limits", "events", "bare"}


@cache
def scenarios() -> tuple[Scenario, ...]:
    """Every scenario of the kit, by topic."""
    made = []
    for file in sorted(Path(__file__).parent.glob("*.yaml")):
        for entry in yaml.load(file.read_text(encoding="utf-8"), yaml.BaseLoader):  # noqa: S506 (only strings)
            if unknown := set(entry) - _KEYS:
                raise InternalError(f"{file.name}: {entry.get('name')}: unknown key {', '.join(sorted(unknown))}")
            player = _Player(entry.get("limits", {}))
            try:
                for event in (*(() if entry.get("bare") == "true" else _PROLOGUE), *entry["events"]):
                    player.play(event)
            except (KeyError, ValueError) as error:
                raise InternalError(f"{file.name}: {entry['name']}: {error!r}") from error
            made.append(Scenario(entry["name"], file.stem, entry["prevents"], entry["story"], tuple(player.steps)))
    return tuple(made)
