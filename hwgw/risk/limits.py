"""Settings to the limits table that the gate reads: one record of hwgw/specs/risk.yaml with its checksum.

SPDX-License-Identifier: MIT

What the settings do not name stays 0, which lets nothing pass. The checksum is the CRC32C of every byte behind its
field; publishing (hwgw_limits_publish) writes the generation and seals the table again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwgw import specs
from hwgw.errors import ConfigError
from hwgw.native import ffi, lib
from hwgw.risk import CHECKS, SWITCHABLE, breakers
from hwgw.settings import AccountLimits, InstrumentLimits, Limits, StrategyLimits

__all__ = ["checks_enabled", "checksum", "limits_table", "seal"]


def checksum(table: np.ndarray[Any, Any]) -> int:
    """The CRC32C of the table behind its checksum field."""
    return int(lib.hwgw_limits_checksum(ffi.from_buffer("struct hwgw_limits *", table)))


def seal(table: np.ndarray[Any, Any]) -> None:
    """Write the checksum of the table into it."""
    table["checksum"] = checksum(table)


def checks_enabled(off: tuple[str, ...]) -> int:
    """The mask of the checks that are on, by reason code."""
    for name in off:
        if name not in SWITCHABLE:
            raise ConfigError(f"checks_off: {name!r} cannot be switched off; {', '.join(SWITCHABLE)} can")
    return sum(1 << check.code for check in CHECKS if check.name not in off)


def _account(row: Any, limits: AccountLimits) -> None:
    row["credit_max"] = limits.credit_max
    row["loss_max"] = limits.loss_max
    row["open_max"] = limits.open_max
    row["rate_burst"] = limits.rate_burst
    row["rate_refill_ns"] = limits.rate_refill_ns


def _strategy(row: Any, limits: StrategyLimits) -> None:
    row["rate_refill_ns"] = limits.rate_refill_ns
    row["rate_burst"] = limits.rate_burst
    row["fills_max"] = limits.fills_max
    row["rejects_run_max"] = limits.rejects_run_max


def _instrument(row: Any, limits: InstrumentLimits, flags: dict[str, int]) -> None:
    row["flags"] = flags["enabled"] * limits.enabled | flags["collar_both"] * limits.collar_both
    row["restricted_accounts"] = sum(1 << account for account in set(limits.restricted_accounts))
    row["qty_max"] = limits.qty_max
    row["notional_max"] = limits.notional_max
    row["collar_px_min"] = limits.collar_px_min
    row["collar_q16"] = limits.collar_q16
    row["long_max"] = limits.long_max
    row["short_max"] = limits.short_max
    row["locate_qty"] = limits.locate_qty


def limits_table(limits: Limits) -> np.ndarray[Any, Any]:
    """The sealed table (an array of one record, generation 0); instrument i is limits.instruments[i]."""
    table = np.zeros(1, specs.dtype("risk", "limits"))
    record = table[0]
    if len(limits.instruments) > len(record["instrument"]):
        raise ConfigError(f"{len(limits.instruments)} instruments; {len(record['instrument'])} fit the limits table")
    record["checks_enabled"] = checks_enabled(limits.checks_off)
    record["beat_age_max_ns"] = limits.beat_age_max_ns
    record["ref_age_max_ns"] = limits.ref_age_max_ns
    record["dup_window_ns"] = limits.dup_window_ns
    _account(record["gateway"], limits.gateway)
    for number, account in limits.accounts.items():
        _account(record["account"][number], account)
    for number, strategy in limits.strategies.items():
        _strategy(record["strategy"][number], strategy)
    codes = specs.load("risk").enum("instrument_flags").values
    flags = {code.slug: int(code.value) for code in codes if code.value is not None}
    for row, instrument in zip(record["instrument"], limits.instruments, strict=False):
        _instrument(row, instrument, flags)
    for row, rule in zip(record["breaker"], limits.breakers, strict=False):
        breakers.fill(row, rule)
    seal(table)
    return table
