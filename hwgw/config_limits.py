"""The section of gateway.yaml about limits: of the gateway, accounts, strategies and instruments; and breakers.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import strict_yaml
from .config_schema import I63_MAX
from .risk import breakers
from .settings import AccountLimits, Breaker, Control, InstrumentLimits, Limits, Strategy, StrategyLimits
from .strict_yaml import Bad, Node

__all__ = ["check_heartbeat", "limits", "nothing"]


def limits(node: Node, symbols: Sequence[str], strategies: tuple[Strategy, ...], nodes: list[Node], bad: Bad) -> Limits:
    """The section limits; nodes: those of the strategies, in their order."""
    off = tuple(node["checks_off"] or ())
    for name in {name for name in off if off.count(name) > 1}:
        bad(node.where("checks_off"), f"{name} stands twice")

    def need(at: Node, key: str, *checks: str, default: int = 0) -> Any:
        """A limit is required while one of its checks is on."""
        if at[key] is None and any(check not in off for check in checks):
            bad(at.where(key), f"missing; the check {checks[0]} needs it (or stands in limits.checks_off)")
        return default if at[key] is None else at[key]

    def account(at: Node) -> AccountLimits:
        given = AccountLimits(
            credit_max=need(at, "credit_max", "credit"),
            loss_max=need(at, "loss_max", "loss"),
            open_max=need(at, "open_max", "open_orders"),
            rate_burst=need(at, "rate_burst", "rate"),
            rate_refill_ns=need(at, "rate_refill", "rate"),
        )
        _rate(bad, at, given.rate_burst, given.rate_refill_ns)
        return given

    accounts = {number: account(at) for number, at in node["accounts"].values.items()}
    for strategy, at in zip(strategies, nodes, strict=True):
        if strategy.account not in accounts:
            bad(at.where("account"), f"{strategy.account}: no limits; add limits.accounts.{strategy.account}")

    given = node["strategies"].values
    names = {strategy.name for strategy in strategies}
    for name in given:
        if name not in names:
            bad(node["strategies"].where(name), "no strategy of this name")
    by_strategy = {}
    for idx, strategy in enumerate(strategies):
        at = given.get(strategy.name, given.get(strategy.of))  # a shadow without its own has those of the other
        if at is None:
            bad(nodes[idx].where("name"), f"{strategy.name}: no limits; add limits.strategies.{strategy.name}")
            continue
        by_strategy[idx] = StrategyLimits(
            rate_burst=need(at, "rate_burst", "rate"),
            rate_refill_ns=need(at, "rate_refill", "rate"),
            fills_max=need(at, "fills_max", "strategy"),
            rejects_run_max=need(at, "rejects_run_max", "strategy"),
        )
        _rate(bad, at, by_strategy[idx].rate_burst, by_strategy[idx].rate_refill_ns)
    return Limits(
        beat_age_max_ns=need(node, "beat_age_max", "control_stale"),
        ref_age_max_ns=need(node, "ref_age_max", "collar"),
        dup_window_ns=need(node, "dup_window", "duplicate"),
        gateway=account(node["gateway"]),
        accounts=accounts,
        strategies=by_strategy,
        instruments=_instruments(node["instruments"], symbols, off, bad),
        checks_off=off,
        breakers=_breakers(node["breakers"], symbols, strategies, bad) if node["breakers"] else (),
    )


def _breakers(node: Node, symbols: Sequence[str], strategies: tuple[Strategy, ...], bad: Bad) -> tuple[Breaker, ...]:
    """Each rule, with the keys that its kind needs and no others."""
    if len(node.values) > breakers.RULES_MAX:
        bad((node.line, node.path), f"{len(node.values)} rules; at most {breakers.RULES_MAX} are allowed")
    who = breakers.Who(tuple(symbols), tuple(strategy.name for strategy in strategies))
    made = []
    for name, at in node.values.items():
        for key, text in breakers.mistakes(at.values, frozenset(at.lines), who):
            bad(at.where(key), text)
        made.append(breakers.make(name, at.values, who))
    return tuple(made)


def _rate(bad: Bad, node: Node, burst: int, refill_ns: int) -> None:
    """The bucket holds burst x refill in 64 bits."""
    if burst * refill_ns > I63_MAX:
        bad(node.where("rate_burst"), f"rate_burst x rate_refill is {burst * refill_ns} ns; at most {I63_MAX} fit")


def _instruments(node: Node, symbols: Sequence[str], off: tuple[str, ...], bad: Bad) -> tuple[InstrumentLimits, ...]:
    """Per symbol and key the most specific pattern that names it: the symbol itself, then the longest start."""
    ranked = sorted(node.values, key=lambda name: (name.endswith("*"), -len(name)))
    used = set()
    made = []
    missing: dict[tuple[str, str], list[str]] = {}
    for symbol in symbols:
        fitting = [name for name in ranked if name == symbol or (name.endswith("*") and symbol.startswith(name[:-1]))]
        used.update(fitting)

        def pick(key: str, default: Any, check: str = "", fitting: list[str] = fitting, symbol: str = symbol) -> Any:
            found = next((node[name][key] for name in fitting if node[name][key] is not None), None)
            if found is None and check and check not in off:
                missing.setdefault((key, check), []).append(symbol)
            return default if found is None else found

        made.append(
            InstrumentLimits(
                enabled=pick("enabled", bool(fitting)),
                qty_max=pick("qty_max", 0, "qty"),
                notional_max=pick("notional_max", 0, "notional"),
                collar_q16=pick("collar_pct", 0, "collar") * 65_536 // (100 * 10**4),
                collar_px_min=pick("collar_px_min", 0, "collar"),
                collar_both=pick("collar_both", False),
                long_max=pick("long_max", 0, "position"),
                short_max=pick("short_max", 0, "position"),
                locate_qty=pick("locate_qty", 0),
                restricted_accounts=tuple(pick("restricted_accounts", ())),
            )
        )
    for (key, check), without in missing.items():
        some = ", ".join(without[:3]) + (f" and {len(without) - 3} more" if len(without) > 3 else "")
        bad((node.line, strict_yaml.join(node.path, key)), f"missing for {some}; the check {check} needs it")
    for name in node.values:
        if name not in used:
            bad(node.where(name), "fits none of instruments.symbols")
    return tuple(made)


def check_heartbeat(node: Node, control: Control, found: Limits, bad: Bad) -> None:
    """One late beat must not refuse orders, and a slow one must never look alive."""
    if "control_stale" in found.checks_off or 2 * control.heartbeat_ns <= found.beat_age_max_ns:
        return
    where = node["control"].where("heartbeat") if node["control"] else node.where("control")
    text = f"{control.heartbeat_ns} ns is more than half of limits.beat_age_max ({found.beat_age_max_ns} ns)"
    bad(where, f"{text}; the gate would refuse orders between two beats")


def nothing(cnt: int) -> Limits:
    """Limits under which nothing passes, for a gateway that only listens."""
    closed = InstrumentLimits(False, 0, 0, 0, 0, False, 0, 0)
    return Limits(0, 0, 0, AccountLimits(0, 0, 0, 0, 0), {}, {}, (closed,) * cnt)
