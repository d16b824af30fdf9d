"""What trades in a backtest: the settings of a gateway.yaml, or of a strategy named on the command line.

SPDX-License-Identifier: MIT

A gateway.yaml is taken as it is, with its limits and the strategies of one mode, all armed; what belongs to wire, venue
and machine is left out. Without one the limits are wide, and every check is on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwgw import config, config_schema, specs
from hwgw.errors import CheckFailed, UsageError
from hwgw.feeds.source import Flow, open_source
from hwgw.settings import (
    AccountLimits,
    Channel,
    InstrumentLimits,
    Limits,
    Line,
    Pipeline,
    Receive,
    Settings,
    Strategy,
    StrategyLimits,
)  # fmt: skip
from hwgw.strict_yaml import BadValueError

__all__ = ["of_config", "of_strategy", "strategy", "symbols_of", "watching", "with_params"]

ORDERS_MAX = 1 << 20
LINE = Line(0xE9360C6F, 26477)  # nothing is received there; a channel has a line
INSTRUMENTS_MAX = specs.load("risk").constant("instruments_max")
OPEN_MAX = specs.load("risk").constant("open_orders_max")
WIDE = 2**62
FAR_NS = 10**18


def _pipeline() -> Pipeline:
    """One channel that is pushed, never stale (a file says nothing while nothing happens), without a hold."""
    channel = Channel("feed", (LINE,), stale_ns=0, hold_max=0, reorder_window_ns=0)
    return Pipeline(Receive(backend="none"), (channel,), sample_shift=20)


def of_config(path: Path, mode: str = "live") -> tuple[Settings, dict[str, str]]:
    """The settings of a gateway.yaml for its strategies of one mode, and what takes no part, each with why.

    They share a gate, as those of a mode do beside a venue; another mode has another, and so a backtest of its own.
    ProblemsError when the file is wrong, UsageError when it has no strategy of the mode.
    """
    settings = config.load(path)
    if not settings.strategies:
        raise UsageError(f"{path}: it names no strategy; a backtest needs one")
    left_out = {each.name: each.mode for each in settings.strategies if each.mode != mode}
    if not settings.of_mode(mode):
        there = ", ".join(f"{name} ({other})" for name, other in left_out.items())
        raise UsageError(f"{path}: no strategy of mode {mode}; there are {there}: --mode says which trade")
    left_out |= {f"rule {rule.name}": "of the card" for rule in settings.risk.rules}
    return replace(
        settings,
        pipelines=(_pipeline(),),
        # numbers, and with them limits, stay those of the gateway: who takes no part is a shadow that has no twin
        strategies=tuple(
            replace(each, armed=True, mode="live" if each.mode == mode else "shadow", of="")
            for each in settings.strategies
        ),
        paper=None,
        sessions=(),
        journal=None,
    ), left_out


def _parse(what: str, value: str, schema: Any) -> Any:
    """A value by the schema of gateway.yaml."""
    try:
        return schema.parse(value)
    except BadValueError as error:
        raise UsageError(f"{what} {value}: {error}; {schema.allowed} is allowed") from None


def strategy(use: str, params: Sequence[str] = (), features: Sequence[str] = ()) -> Strategy:
    """A strategy as gateway.yaml would spell it: builtin:NAME, NAME=VALUE for each parameter, its features."""
    keys: Any = config_schema.STRATEGY.keys
    kind, target = _parse("--strategy", use, keys["use"].schema)
    chosen = dict(_parse("--feature", each, keys["features"].schema.item) for each in features)
    return with_params(Strategy("strategy", kind, target, {}, armed=True, features=chosen), params)


def with_params(base: Strategy, params: Sequence[str]) -> Strategy:
    """The same strategy with other parameters, each NAME=VALUE."""
    schema: Any = config_schema.STRATEGY.keys["params"].schema
    values: dict[str, int] = dict(base.params)
    for each in params:
        name, equals, text = each.partition("=")
        if not equals or not name:
            raise UsageError(f"--param {each}: NAME=VALUE is allowed")
        values[name] = _parse(f"--param {name}", text, schema.by_name(name))
    return replace(base, params=values)


def _limits(symbol_cnt: int) -> Limits:
    account = AccountLimits(WIDE, WIDE, OPEN_MAX, 2**31, 0)
    instrument = InstrumentLimits(
        enabled=True, qty_max=10**6, notional_max=WIDE, collar_q16=65536, collar_px_min=10**9, collar_both=False,
        long_max=10**9, short_max=10**9, locate_qty=10**9,
    )  # fmt: skip
    return Limits(
        beat_age_max_ns=FAR_NS, ref_age_max_ns=FAR_NS, dup_window_ns=0, gateway=account, accounts={0: account},
        strategies={0: StrategyLimits(2**31, 0, 2**31, 2**31)}, instruments=(instrument,) * symbol_cnt,
    )  # fmt: skip


def of_strategy(chosen: Strategy, symbols: Sequence[str], orders_max: int = ORDERS_MAX) -> Settings:
    """Settings for one strategy and symbols, with wide limits."""
    if not 1 <= len(symbols) <= INSTRUMENTS_MAX:
        raise UsageError(f"{len(symbols)} symbols; 1 to {INSTRUMENTS_MAX} are allowed: name some with --symbol")
    return Settings(
        name="backtest", symbols=tuple(symbols), orders_max=orders_max, pipelines=(_pipeline(),), strategies=(chosen,),
        limits=_limits(len(symbols)),
    )  # fmt: skip


def watching(symbols: Sequence[str], orders_max: int = ORDERS_MAX) -> Settings:
    """Settings without a strategy: a feed is taken, nothing is ordered."""
    none = Strategy("none", "builtin", "imbalance", {})
    return replace(of_strategy(none, symbols, orders_max), strategies=())


def symbols_of(path: Path, groups: Sequence[Flow] = ()) -> list[str]:
    """Every symbol that a feed's directory names before its first order; CheckFailed when it names none."""
    layout = specs.load("itch50").message("R")
    field = layout.field("stock")
    names: dict[str, None] = {}
    for batch in open_source(path, tuple(groups)).batches():
        types = batch.types
        for message in batch.messages[types == ord("R")]:
            at = int(message["offset"]) + field.offset
            names[batch.data[at : at + field.length].tobytes().decode("latin-1").rstrip()] = None
        if (types == ord("A")).any():
            break
    if not names:
        raise CheckFailed(f"{path}: it names no symbol before its first order; name some with --symbol or --config")
    return list(names)
