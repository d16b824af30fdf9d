"""Limits outside of a whole gateway.yaml: a file with what stands under its key limits, and single values by name.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hwgw import config_limits, specs, strict_yaml
from hwgw.config_schema import ACCOUNT_LIMITS, BREAKER, INSTRUMENT_LIMITS, LIMITS, STRATEGY_LIMITS
from hwgw.errors import ConfigError
from hwgw.risk.breakers import SLOW_UNIT
from hwgw.settings import Limits, Strategy
from hwgw.strict_yaml import Problem, ProblemsError

__all__ = ["is_gateway", "limit_value", "loads_limits"]


def is_gateway(raw: bytes) -> bool:
    """Whether a file looks like a whole gateway.yaml, not like limits alone."""
    return re.search(rb"^pipelines\s*:", raw, re.MULTILINE) is not None


def loads_limits(
    raw: bytes, file: str, symbols: Sequence[str], strategies: Mapping[int, str], accounts: Mapping[int, int]
) -> Limits:
    """Limits from a file that holds what stands under limits in gateway.yaml, for these symbols and strategies."""
    node = strict_yaml.read(raw, file, LIMITS)
    problems: list[Problem] = []
    made = tuple(Strategy(name, "", "", {}, accounts[number]) for number, name in strategies.items())
    places = [strict_yaml.Node(f"strategies.{name}", node["strategies"].line) for name in strategies.values()]
    limits = config_limits.limits(node, symbols, made, places, lambda at, text: problems.append(Problem(*at, text)))
    if problems:
        raise ProblemsError(file, problems)
    return limits


_LIMIT_SECTIONS = {
    "": LIMITS,
    "gateway": ACCOUNT_LIMITS,
    "accounts": ACCOUNT_LIMITS,
    "strategies": STRATEGY_LIMITS,
    "instruments": INSTRUMENT_LIMITS,
    "breakers": BREAKER,
}


def limit_value(section: str, key: str, text: str) -> tuple[str, Any]:
    """One limit as gateway.yaml spells it: its field of the table and its value there, or (bit, on) for a flag."""
    schema = _LIMIT_SECTIONS[section].keys[key].schema if key in _LIMIT_SECTIONS[section].keys else None
    where = f"{section}.{key}" if section else key
    if not isinstance(schema, strict_yaml.Scalar):
        raise ConfigError(f"{where}: it can be changed in a file only: hwgw limits reload")
    try:
        value = schema.parse(text)
    except strict_yaml.BadValueError as error:
        raise ConfigError(f"{where}: {text}: {error}; {schema.allowed} is allowed") from None
    flags = {code.slug: int(code.value) for code in specs.load("risk").enum("instrument_flags").values}
    if section == "instruments" and key in flags:
        return "flags", (flags[key], value)
    if section == "breakers":
        if key not in ("count_max", "loss_max", "slow_max", "bound"):
            raise ConfigError(f"{where}: it can be changed in a file only: hwgw limits reload")
        return ("bound_ns", value) if key == "bound" else ("limit", value * (SLOW_UNIT if key == "slow_max" else 1))
    if key == "collar_pct":
        return "collar_q16", value * 65_536 // (100 * 10**4)
    layout = {"": "limits", "strategies": "limits_strategy", "instruments": "limits_instrument"}
    fields = {field.name for field in specs.load("risk").layout(layout.get(section, "limits_account")).fields}
    return (key if key in fields else f"{key}_ns"), value
