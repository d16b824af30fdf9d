"""Golden risk gate: docs/risk.md in plain integers. The contract is that page; this file follows it section by section.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from hwgw_sim.golden import limits
from hwgw_sim.golden.risk_state import (
    ACCOUNTS_MAX,
    U64_MAX,
    Account,
    Bucket,
    Instrument,
    Order,
    Recent,
    State,
)

from hwgw import specs

Event = Mapping[str, int]

RISK = specs.load("risk")
ORDER = specs.load("order")
INSTRUMENTS_MAX = RISK.constant("instruments_max")
STRATEGIES_MAX = RISK.constant("strategies_max")
SLOT_CNT = RISK.constant("open_orders_max")
RECENT_MAX = RISK.constant("recent_max")
PX_MAX = RISK.constant("px_max")
ALL_INSTRUMENTS = 0xFFFFFFFF

I32_MAX = (1 << 31) - 1
U32_MAX = (1 << 32) - 1

Reason: Any = SimpleNamespace(**{reason.name.upper(): reason.code for reason in RISK.reasons})
Kind: Any = SimpleNamespace(**{code.slug.upper(): code.value for code in ORDER.enum("kind").values})

BUY, SELL = (ORDER.enum("side").code(name) for name in ("buy", "sell"))
LIMIT, MARKET = (ORDER.enum("type").code(name) for name in ("limit", "market"))
DAY, IOC = (ORDER.enum("tif").code(name) for name in ("day", "ioc"))
SHORT_FLAGS = ORDER.enum("flags").code("short_sale") | ORDER.enum("flags").code("short_exempt")
ENABLED = RISK.enum("instrument_flags").code("enabled")
COLLAR_BOTH = RISK.enum("instrument_flags").code("collar_both")


class Refused(Exception):  # noqa: N818 a verdict, not an error
    """The first check that fails."""

    def __init__(self, reason: int) -> None:
        super().__init__(reason)
        self.reason = reason


class Unbelievable(Exception):  # noqa: N818
    """What the venue said cannot be so."""


class Risk(State):
    """The gate."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = limits.none()

    # ---- events ----

    def event(self, event: Event, table: bytes | None = None) -> int:
        """Judges or applies one event; the reason, as hwgw_risk_event."""
        kind = event["kind"]
        if not Kind.NEW <= kind <= Kind.DISARM:  # a mass cancel is the session's, not the gate's
            return int(Reason.MALFORMED)
        is_back = event["ts_ns"] < self.last_ts
        is_order = kind in (Kind.NEW, Kind.REPLACE, Kind.CANCEL)
        if is_back and not is_order:
            self._latch(Reason.CLOCK)
        if kind in (Kind.NEW, Kind.REPLACE):
            answer = self._order(event, is_back)
        elif kind == Kind.CANCEL:
            answer = self._cancel(event, is_back)
        elif kind == Kind.LIMITS:
            answer = self._limits(event, table)
        else:
            answer = self._fact(event, is_back)
        if is_back:
            self._latch(Reason.CLOCK)
            answer = answer if is_order else Reason.CLOCK
        self.last_ts = max(self.last_ts, event["ts_ns"])
        return int(answer)

    def _latch(self, reason: int) -> None:
        self.halt = self.halt or reason

    def _is_on(self, reason: int) -> bool:
        return bool(self.limits["checks_enabled"] >> reason & 1)

    def _accounts_of(self, account: int) -> tuple[tuple[Account, limits.Record], ...]:
        """An account and the gateway, each with its limits."""
        return (
            (self.accounts[account], self.limits["account"][account]),
            (self.gateway, self.limits["gateway"]),
        )

    def _buckets_of(self, account: int, strategy: int) -> tuple[tuple[Bucket, limits.Record], ...]:
        own = (self.strategies[strategy], self.limits["strategy"][strategy])
        return (own, *self._accounts_of(account))

    # ---- orders ----

    def _order(self, event: Event, is_back: bool) -> int:
        try:
            px = self._check(event, is_back)
        except Refused as refused:
            if event["strategy"] < STRATEGIES_MAX:
                strategy = self.strategies[event["strategy"]]
                strategy.rejects = min(strategy.rejects + 1, U32_MAX)
                self._tire(event["strategy"])
            return refused.reason
        self._pass(event, px)
        return int(Reason.PASS)

    def _check(self, event: Event, is_back: bool) -> int:
        """The 18 checks in order; the price of the order when all pass."""

        def refuse_if(failed: bool, reason: int, always: bool = False) -> None:
            if failed and (always or self._is_on(reason)):
                raise Refused(reason)

        ts, qty, is_buy = event["ts_ns"], event["qty"], event["side"] == BUY
        stale = self.last_beat == 0 or ts - self.last_beat > self.limits["beat_age_max_ns"]
        refuse_if(self.halt != 0 or self.generation == 0, Reason.HALTED, always=True)
        refuse_if(stale, Reason.CONTROL_STALE)
        refuse_if(is_back, Reason.CLOCK, always=True)
        refuse_if(self._is_malformed(event), Reason.MALFORMED, always=True)

        tired = self._tire(event["strategy"])
        refuse_if(tired or not self.strategies[event["strategy"]].armed, Reason.STRATEGY)

        refuse_if(event["instrument"] >= INSTRUMENTS_MAX, Reason.INSTRUMENT, always=True)
        state = self.instruments[event["instrument"]]
        limit = self.limits["instrument"][event["instrument"]]
        refuse_if(not limit["flags"] & ENABLED, Reason.INSTRUMENT)
        refuse_if(bool(limit["restricted_accounts"] >> event["account"] & 1), Reason.INSTRUMENT)
        refuse_if(not state.feed_good, Reason.FEED)
        refuse_if(qty > limit["qty_max"], Reason.QTY)

        band = max(limit["collar_px_min"], state.ref_px * limit["collar_q16"] >> 16)
        px = self._price(event, state, band)
        notional = px * qty
        refuse_if(notional > limit["notional_max"], Reason.NOTIONAL)

        is_market = event["type"] == MARKET
        no_ref = state.ref_px == 0 or ts - state.ref_ts > self.limits["ref_age_max_ns"]
        both = bool(limit["flags"] & COLLAR_BOTH)
        refuse_if(no_ref, Reason.COLLAR, always=is_market)
        refuse_if((is_buy or both) and px > state.ref_px + band, Reason.COLLAR)
        refuse_if((not is_buy or both) and px < state.ref_px - band, Reason.COLLAR)

        worst = (state.long_worst if is_buy else state.short_worst) + qty
        refuse_if(worst > limit["long_max" if is_buy else "short_max"], Reason.POSITION)
        refuse_if(worst > I32_MAX, Reason.POSITION, always=True)

        if not is_buy:
            is_short = event["flags"] != 0
            refuse_if(not is_short and worst > 0, Reason.SHORT_SALE)
            refuse_if(is_short and state.short_used + qty > limit["locate_qty"], Reason.SHORT_SALE)
            refuse_if(is_short and state.short_used + qty > U32_MAX, Reason.SHORT_SALE, always=True)

        for account, its_limit in self._accounts_of(event["account"]):
            used = account.open_notional + account.filled_notional + notional
            refuse_if(used > its_limit["credit_max"], Reason.CREDIT)
            refuse_if(account.open_notional + notional > U64_MAX, Reason.CREDIT, always=True)

        for account, its_limit in self._accounts_of(event["account"]):
            refuse_if(account.open_cnt >= its_limit["open_max"], Reason.OPEN_ORDERS)
        refuse_if(self.slots[event["ref"] % SLOT_CNT].leaves > 0, Reason.OPEN_ORDERS, always=True)

        same = Recent(event["account"], event["instrument"], px, qty, event["side"], 0)
        for recent in self.recent:
            is_same = recent == Recent(**vars(same) | {"ts": recent.ts})
            refuse_if(is_same and ts - recent.ts <= self.limits["dup_window_ns"], Reason.DUPLICATE)

        if is_buy:
            refuse_if(state.open_sell_cnt > 0 and px >= state.own_ask_min, Reason.SELF_CROSS)
        else:
            refuse_if(state.open_buy_cnt > 0 and px <= state.own_bid_max, Reason.SELF_CROSS)

        for bucket, its_limit in self._buckets_of(event["account"], event["strategy"]):
            refuse_if(not bucket.has_room(its_limit, ts), Reason.RATE)

        if self._is_lossy(event["account"]):
            self._latch(Reason.LOSS)
            raise Refused(Reason.LOSS)
        return px

    def _is_malformed(self, event: Event) -> bool:
        is_buy = event["side"] == BUY
        if (
            event["side"] not in (BUY, SELL)
            or event["type"] not in (LIMIT, MARKET)
            or event["tif"] not in (DAY, IOC)
            or event["flags"] & ~(0 if is_buy else SHORT_FLAGS)
            or event["qty"] == 0
            or (event["px"] == 0) != (event["type"] == MARKET)
            or event["px"] > PX_MAX
            or event["account"] >= ACCOUNTS_MAX
            or event["strategy"] >= STRATEGIES_MAX
            or event["ref"] <= self.last_ref
        ):
            return True
        if event["kind"] == Kind.NEW:
            return event["orig_ref"] != 0
        original = self._live(event["orig_ref"])
        return original is None or any(
            getattr(original, name) != event[name] for name in ("instrument", "account", "side", "flags")
        )

    @staticmethod
    def _price(event: Event, state: Instrument, band: int) -> int:
        """The order's price; of a market order the far edge of the collar, 0 when there is none."""
        if event["type"] == LIMIT:
            return event["px"]
        if state.ref_px == 0:
            return 0
        return min(state.ref_px + band, PX_MAX) if event["side"] == BUY else max(state.ref_px - band, 1)

    def _pass(self, event: Event, px: int) -> None:
        ts, qty = event["ts_ns"], event["qty"]
        state = self.instruments[event["instrument"]]
        if event["side"] == BUY:
            state.long_worst += qty
            state.open_buy_cnt += 1
            state.own_bid_max = max(state.own_bid_max, px)
        else:
            state.short_worst += qty
            state.open_sell_cnt += 1
            state.own_ask_min = min(state.own_ask_min or px, px)
            state.short_used += qty if event["flags"] else 0
        for account, _ in self._accounts_of(event["account"]):
            account.open_notional += px * qty
            account.open_cnt += 1
        if self._is_on(Reason.RATE):
            for bucket, limit in self._buckets_of(event["account"], event["strategy"]):
                bucket.take(limit, ts)
        same = {name: event[name] for name in ("account", "instrument", "side")}
        self.recent = [Recent(**same, px=px, qty=qty, ts=ts), *self.recent][:RECENT_MAX]
        self.strategies[event["strategy"]].rejects = 0
        self.last_ref = event["ref"]
        kept = ("account", "flags", "instrument", "orig_ref", "ref", "side", "strategy", "tif", "type")
        self.slots[event["ref"] % SLOT_CNT] = Order(px=px, leaves=qty, **{name: event[name] for name in kept})

    def carry(self, event: Event, px: int) -> bool:
        """Takes an order that passed elsewhere, priced at px there, as hwgw_risk_carry; rate has to be off."""
        side, qty = event["side"], event["qty"]
        if (
            side not in (BUY, SELL)
            or qty == 0
            or not 0 < px <= PX_MAX
            or event["account"] >= ACCOUNTS_MAX
            or event["strategy"] >= STRATEGIES_MAX
            or event["instrument"] >= INSTRUMENTS_MAX
            or event["ref"] <= self.last_ref
        ):
            return False
        state = self.instruments[event["instrument"]]
        sold_short = qty if side == SELL and event["flags"] else 0
        if (
            self.slots[event["ref"] % SLOT_CNT].leaves > 0
            or (state.long_worst if side == BUY else state.short_worst) + qty > I32_MAX
            or state.short_used + sold_short > U32_MAX
            or any(held.open_notional + px * qty > U64_MAX for held, _ in self._accounts_of(event["account"]))
        ):
            return False
        self._pass(event, px)
        return True

    def _cancel(self, event: Event, is_back: bool) -> int:
        order = self._live(event["ref"])
        if order is None:
            return int(Reason.MALFORMED)
        if self._is_on(Reason.RATE) and not is_back:
            for bucket, limit in self._buckets_of(order.account, order.strategy):
                if bucket.has_room(limit, event["ts_ns"]):
                    bucket.take(limit, event["ts_ns"])
        return int(Reason.PASS)

    def _live(self, ref: int) -> Order | None:
        order = self.slots[ref % SLOT_CNT]
        return order if order.ref == ref and order.leaves > 0 else None

    # ---- strategies ----

    def _tire(self, index: int) -> bool:
        """Disarms a strategy that has reached one of its run limits; has it."""
        strategy, limit = self.strategies[index], self.limits["strategy"][index]
        tired = strategy.fills >= limit["fills_max"] or strategy.rejects >= limit["rejects_run_max"]
        tired = tired and self.generation != 0
        if tired:
            strategy.armed = 0
        return bool(tired)

    # ---- facts: what the venue, the feed and the control plane say ----

    def _fact(self, event: Event, is_back: bool) -> int:
        kind = event["kind"]
        try:
            match kind:
                case Kind.ACCEPTED:
                    self._known(event["ref"])
                case Kind.REJECTED:
                    order = self._known(event["ref"])
                    self._release(order, order.leaves)
                case Kind.CANCELED:
                    self._release(self._known(event["ref"], event["qty"]), event["qty"])
                case Kind.EXECUTED:
                    return self._executed(event)
                case Kind.REPLACED:
                    self._replaced(event)
                case Kind.BROKEN:
                    return self._broken(event)
                case Kind.REF:
                    return self._ref(event)
                case Kind.FEED:
                    every = event["instrument"] == ALL_INSTRUMENTS
                    for index in range(INSTRUMENTS_MAX) if every else (event["instrument"],):
                        if index < INSTRUMENTS_MAX:
                            self.instruments[index].feed_good = int(event["qty"] == 1)
                case Kind.BEAT:
                    self.last_beat = event["ts_ns"]
                case Kind.HALT:
                    is_reason = Reason.PASS < event["reason"] <= max(vars(Reason).values())
                    self._latch(event["reason"] if is_reason else Reason.OPERATOR)
                case Kind.RESUME:
                    self.halt = self.halt if is_back else 0
                case Kind.ARM | Kind.DISARM:
                    self._arm(event, is_back)
        except Unbelievable:
            self._latch(Reason.STATE)
            return int(Reason.STATE)
        return int(Reason.PASS)

    def _arm(self, event: Event, is_back: bool) -> None:
        if event["strategy"] >= STRATEGIES_MAX:
            return
        strategy = self.strategies[event["strategy"]]
        if event["kind"] == Kind.DISARM:
            strategy.armed = 0
        elif not is_back:
            strategy.armed, strategy.fills, strategy.rejects = 1, 0, 0

    def _limits(self, event: Event, table: bytes | None) -> int:
        if limits.is_sound(table, event["venue_ref"]):
            assert table is not None
            self.limits = limits.unpack(table)
            self.generation = event["venue_ref"]
            return int(Reason.PASS)
        self.limits = limits.none()
        self.generation = 0
        return int(Reason.HALTED)

    def _known(self, ref: int, qty: int | None = None) -> Order:
        """The live order that the venue speaks of, with at least qty left."""
        order = self._live(ref)
        if order is None or (qty is not None and not 0 < qty <= order.leaves):
            raise Unbelievable
        return order

    def _release(self, order: Order, qty: int) -> None:
        state = self.instruments[order.instrument]
        if order.side == BUY:
            state.long_worst -= qty
        else:
            state.short_worst -= qty
            state.short_used -= qty if order.flags else 0
        self._shrink(order, qty)

    def _shrink(self, order: Order, qty: int) -> None:
        """Takes qty off the open quantity; at 0 the order has ended."""
        state = self.instruments[order.instrument]
        order.leaves -= qty
        ended = order.leaves == 0
        for account, _ in self._accounts_of(order.account):
            account.open_notional -= order.px * qty
            account.open_cnt -= ended
        if order.side == BUY:
            state.open_buy_cnt -= ended
            state.own_bid_max = state.own_bid_max if state.open_buy_cnt else 0
        else:
            state.open_sell_cnt -= ended
            state.own_ask_min = state.own_ask_min if state.open_sell_cnt else 0

    def _executed(self, event: Event) -> int:
        qty, px = event["qty"], event["px"]
        order = self._known(event["ref"], qty)
        if not 0 < px <= PX_MAX:
            raise Unbelievable
        self._shrink(order, qty)
        order.executed += qty
        for account, _ in self._accounts_of(order.account):
            account.filled_notional = min(account.filled_notional + qty * px, U64_MAX)
        state = self.instruments[order.instrument]
        if order.side == BUY:
            state.short_worst -= qty
        else:
            state.long_worst -= qty
        self._trade(order.instrument, order.account, qty if order.side == BUY else -qty, px)
        strategy = self.strategies[order.strategy]
        strategy.fills = min(strategy.fills + 1, U32_MAX)
        self._tire(order.strategy)
        return self._loss_of(order.account)

    def _trade(self, index: int, account_index: int, qty: int, px: int) -> None:
        """Position, cash and mark after qty (negative: sold) at px."""
        state = self.instruments[index]
        if state.ref_px == 0:
            self._revalue(state, px)
        state.pos += qty
        state.account_pos[account_index] += qty
        for account, _ in self._accounts_of(account_index):
            account.cash -= qty * px
            account.mark += qty * state.mark_px

    def _revalue(self, state: Instrument, px: int) -> None:
        for index, pos in enumerate(state.account_pos):
            self.accounts[index].mark += pos * (px - state.mark_px)
            self.gateway.mark += pos * (px - state.mark_px)
        state.mark_px = px

    def _replaced(self, event: Event) -> None:
        order = self._known(event["ref"], event["qty"])
        original = self._known(event["orig_ref"])
        if order.orig_ref != original.ref:
            raise Unbelievable
        self._release(original, original.leaves)
        if order.leaves > event["qty"]:
            self._release(order, order.leaves - event["qty"])

    def _broken(self, event: Event) -> int:
        ref, qty, px = event["ref"], event["qty"], event["px"]
        if (
            qty == 0
            or not 0 < px <= PX_MAX
            or not 0 < ref <= self.last_ref
            or event["instrument"] >= INSTRUMENTS_MAX
            or event["account"] >= ACCOUNTS_MAX
            or event["side"] not in (BUY, SELL)
        ):
            raise Unbelievable
        sign = 1 if event["side"] == BUY else -1
        state = self.instruments[event["instrument"]]
        raised = (state.short_worst if sign > 0 else state.long_worst) + qty
        if raised > I32_MAX:  # which bounds the position, too
            raise Unbelievable
        order = self.slots[ref % SLOT_CNT]
        if order.ref < ref:
            raise Unbelievable
        if order.ref == ref:
            is_other = any(getattr(order, name) != event[name] for name in ("instrument", "account", "side"))
            if is_other or qty > order.executed:
                raise Unbelievable
            order.executed -= qty
        state.long_worst -= sign * qty
        state.short_worst += sign * qty
        self._trade(event["instrument"], event["account"], -sign * qty, px)
        return self._loss_of(event["account"])

    def _ref(self, event: Event) -> int:
        if event["instrument"] >= INSTRUMENTS_MAX or not 0 < event["px"] <= PX_MAX:
            return int(Reason.PASS)
        state = self.instruments[event["instrument"]]
        self._revalue(state, event["px"])
        state.ref_px, state.ref_ts = event["px"], event["ts_ns"]
        return self._loss_of(*(index for index, pos in enumerate(state.account_pos) if pos))

    # ---- loss ----

    def _is_lossy(self, *accounts: int) -> bool:
        pairs = [(self.gateway, self.limits["gateway"])]
        pairs += [(self.accounts[index], self.limits["account"][index]) for index in accounts]
        lossy = any(account.cash + account.mark < -limit["loss_max"] for account, limit in pairs)
        return lossy and self._is_on(Reason.LOSS)

    def _loss_of(self, *accounts: int) -> int:
        if not self._is_lossy(*accounts):
            return int(Reason.PASS)
        self._latch(Reason.LOSS)
        return int(Reason.LOSS)
