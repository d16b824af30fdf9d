"""The pre-trade gate as the control plane sees it: which checks there are, and the limits table.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from hwgw import specs

__all__ = ["CHECKS", "SWITCHABLE"]

_LAST = next(reason.code for reason in specs.reasons() if reason.name == "loss")

CHECKS = tuple(reason for reason in specs.reasons() if 0 < reason.code <= _LAST)
"""The checks in their order; the reasons behind them are reasons to halt only."""

_ALWAYS_ON = {"halted", "clock", "malformed"}
SWITCHABLE = tuple(reason.name for reason in CHECKS if reason.name not in _ALWAYS_ON)
"""The checks that a configuration may switch off; without the others no check means anything."""
