"""How much of each limit is used: what the risk gate compares with it at the next order.

SPDX-License-Identifier: MIT

Meanings are those of docs/risk.md: credit is open and filled notional, loss what cash and mark are below zero; a
position limit is held against the worst case of the open orders. Rates and windows are the gate's own and are not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..segment import Segment

__all__ = ["Usage", "usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """One limit and what is used of it, in unit (money in 1/10,000 of the currency, shares, orders, events)."""

    scope: str
    of: str
    limit: str
    used: int
    allowed: int
    unit: str

    @property
    def ratio(self) -> float:
        """Used over allowed; infinite when something is used of a limit that allows nothing."""
        if self.allowed:
            return self.used / self.allowed
        return float("inf") if self.used else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values; ratio is None where it is infinite."""
        ratio = self.ratio
        return {
            "scope": self.scope,
            "of": self.of,
            "limit": self.limit,
            "used": self.used,
            "allowed": self.allowed,
            "unit": self.unit,
            "ratio": None if ratio == float("inf") else round(ratio, 6),
        }


def _money(scope: str, of: str, row: Any, limits: Any) -> list[Usage]:
    credit = int(row["open_notional"]) + int(row["filled_notional"])
    loss = max(0, -(int(row["cash"]) + int(row["mark"])))
    return [
        Usage(scope, of, "credit_max", credit, int(limits["credit_max"]), "money"),
        Usage(scope, of, "loss_max", loss, int(limits["loss_max"]), "money"),
        Usage(scope, of, "open_max", int(row["open_cnt"]), int(limits["open_max"]), "orders"),
    ]


def usage(segment: Segment) -> list[Usage]:
    """Every limit that has a level: of the gateway, accounts and strategies in use, and instruments; [] without limits.

    An instrument stands for both of its sides; one that was never touched uses nothing and is listed all the same.
    """
    table = segment.limits()
    if table is None:
        return []
    limits = table[0]
    found = _money("gateway", "gateway", segment.exposures[-1], limits["gateway"])
    for number, row in enumerate(segment.exposures[:-1]):
        if int(row["is_used"]):
            found += _money("account", str(number), row, limits["account"][number])
    for name, row in segment.strategies().items():
        own = limits["strategy"][row["number"]]
        found += [
            Usage("strategy", name, "fills_max", row["fills"], int(own["fills_max"]), "events"),
            Usage("strategy", name, "rejects_run_max", row["rejects"], int(own["rejects_run_max"]), "events"),
        ]
    for number, symbol in enumerate(segment.symbols):
        row, own = segment.positions[number], limits["instrument"][number]
        for side in ("long", "short"):
            worst = max(0, int(row[f"{side}_worst"]))
            found.append(Usage("instrument", symbol, f"{side}_max", worst, int(own[f"{side}_max"]), "shares"))
    return found
