"""The ledgers of hwgw/specs/counters.yaml evaluated: what came in is what was used plus what was dropped, by cause.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .. import specs

__all__ = ["LedgerRow", "ledger_rows"]


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One sum: total, used, and the causes that are not 0."""

    name: str
    total: int
    used: int
    drops: Mapping[str, int]

    @property
    def exact(self) -> bool:
        """Whether nothing is unaccounted for."""
        return self.total == self.used + sum(self.drops.values())

    def as_dict(self) -> dict[str, object]:
        """The row for JSON."""
        return {"total": self.total, "used": self.used, "dropped": dict(self.drops), "exact": self.exact}


def ledger_rows(counters: Mapping[str, int]) -> list[LedgerRow]:
    """Every ledger of the tables over these counters (stage.name -> value)."""
    return [
        LedgerRow(
            ledger.name,
            counters[ledger.total],
            sum(counters[name] for name in ledger.used),
            {name: counters[name] for name in ledger.drops if counters[name]},
        )
        for ledger in specs.ledgers()
    ]
