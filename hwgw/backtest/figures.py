"""The figures of a backtest: what was earned, at what risk, and how well orders were filled.

SPDX-License-Identifier: MIT

Money in the currency unit, prices per share, quantities in shares. Definitions are those of docs/backtest.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwgw import specs
from hwgw.native import lib

if TYPE_CHECKING:
    from .run import Result

__all__ = ["FEE_UNIT", "MONEY_UNIT", "drawdown", "figures", "net", "total"]

MONEY_UNIT, FEE_UNIT = 1e4, 1e6
NEW, REPLACE, CANCEL = (int(getattr(lib, f"HWGW_ORDER_KIND_{name}")) for name in ("NEW", "REPLACE", "CANCEL"))
BUY = int(lib.HWGW_ORDER_SIDE_BUY)
CAUSES = {int(code.value): code.slug for code in specs.load("backtest").enum("cause").values}
ADDS = ("pnl", "pnl_before_fees", "fees", "turnover", "fills", "shares", "shares_ordered", "orders_passed", "messages")


def net(samples: NDArray[np.void]) -> NDArray[np.float64]:
    """Equity after fees, per row."""
    found: NDArray[np.float64] = samples["equity"] / MONEY_UNIT - samples["fees"] / FEE_UNIT
    return found


def drawdown(equity: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far below its highest so far (0 at the start counts) each value is."""
    peak = np.maximum.accumulate(np.maximum(equity, 0.0)) if len(equity) else equity
    return peak - equity


def _slippage(fills: NDArray[np.void]) -> float | None:
    """Paid per share above the middle that the strategy saw when it ordered; below it is negative."""
    seen = fills[fills["mid2"] > 0]
    shares = int(seen["qty"].sum())
    if not shares:
        return None
    sign = np.where(seen["side"] == BUY, 1.0, -1.0)
    paid = sign * (seen["px"].astype(np.float64) - seen["mid2"] / 2) * seen["qty"]
    return float(paid.sum() / shares / MONEY_UNIT)


def figures(result: Result) -> dict[str, Any]:
    """The figures of one run."""
    fills, samples, counters, state = result.fills, result.samples, result.counters, result.state
    equity = net(samples)
    last = samples[-1]
    passed = result.records[result.records["record"]["verdict"] == 0]["order"]
    ordered = int(passed[passed["kind"] == NEW]["qty"].astype(np.int64).sum())
    shares = int(fills["qty"].astype(np.int64).sum())
    taken = fills["cause"] == 1
    counts = np.bincount(fills["cause"], minlength=len(CAUSES) + 1)
    return {
        "messages": counters["itch.messages"] + sum(n for key, n in counters.items() if key.startswith("itch.drop_")),
        "first_timestamp_ns": state["first_ns"],
        "last_timestamp_ns": state["last_ns"],
        "pnl": float(equity[-1]),
        "pnl_before_fees": int(last["equity"]) / MONEY_UNIT,
        "fees": int(last["fees"]) / FEE_UNIT,
        "drawdown_max": float(drawdown(equity).max()),
        "turnover": float((fills["px"].astype(np.float64) * fills["qty"]).sum() / MONEY_UNIT),
        "exposure_gross_max": int(samples["gross"].max()) / MONEY_UNIT,
        "exposure_gross_mean": float(samples["gross"].mean() / MONEY_UNIT),
        "exposure_net_last": int(last["net"]) / MONEY_UNIT,
        "orders_passed": counters["risk.passed"],
        "orders_refused": result.refused,
        "orders_at_venue": state["orders"],
        "orders_filled": len(np.unique(fills["ref"])),
        "orders_open": state["open_cnt"],
        "shares_ordered": ordered,
        "fills": len(fills),
        "fills_by_cause": {CAUSES[code]: int(n) for code, n in enumerate(counts) if code in CAUSES and n},
        "shares": shares,
        "fill_rate": shares / ordered if ordered else None,
        "slippage": _slippage(fills),
        "slippage_taker": _slippage(fills[taken]),
        "slippage_maker": _slippage(fills[~taken]),
        "halts": list(result.halts),
        "hash": result.hash,
    }


def total(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Several runs, each from flat: sums, and what follows from them."""
    sums: dict[str, Any] = {name: sum(each[name] for each in found) for name in ADDS}
    curve = np.concatenate([[0.0], np.cumsum([each["pnl"] for each in found])])
    ordered = sums["shares_ordered"]
    return {
        **sums,
        "drawdown_max": max([float(drawdown(curve).max()), *(each["drawdown_max"] for each in found)]),
        "exposure_gross_max": max(each["exposure_gross_max"] for each in found),
        "fill_rate": sums["shares"] / ordered if ordered else None,
        "runs": len(found),
    }
