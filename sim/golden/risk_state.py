"""Golden risk gate: what it remembers, item by item, with the names of docs/risk.md.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from hwgw_sim.golden import limits

from hwgw import specs

U64_MAX = (1 << 64) - 1
ACCOUNTS_MAX = specs.load("risk").constant("accounts_max")


@dataclass
class Instrument:
    """One instrument over all accounts."""

    feed_good: int = 0
    long_worst: int = 0
    mark_px: int = 0
    open_buy_cnt: int = 0
    open_sell_cnt: int = 0
    own_ask_min: int = 0
    own_bid_max: int = 0
    pos: int = 0
    ref_px: int = 0
    ref_ts: int = 0
    short_used: int = 0
    short_worst: int = 0
    account_pos: list[int] = field(default_factory=lambda: [0] * ACCOUNTS_MAX)


@dataclass
class Bucket:
    """A rate allowance in nanoseconds."""

    level: int = 0
    level_ts: int = 0

    def content(self, limit: limits.Record, ts: int) -> int:
        """What is in it at ts."""
        cap = min(limit["rate_burst"] * limit["rate_refill_ns"], U64_MAX)
        return min(cap, self.level + max(ts - self.level_ts, 0), U64_MAX)

    def has_room(self, limit: limits.Record, ts: int) -> bool:
        """Is one more order allowed."""
        return limit["rate_burst"] > 0 and self.content(limit, ts) >= limit["rate_refill_ns"]

    def take(self, limit: limits.Record, ts: int) -> None:
        """One order; the bucket has room."""
        self.level = self.content(limit, ts) - limit["rate_refill_ns"]
        self.level_ts = ts


@dataclass
class Account(Bucket):
    """An account, or the gateway over all of them."""

    cash: int = 0
    filled_notional: int = 0
    mark: int = 0
    open_cnt: int = 0
    open_notional: int = 0


@dataclass
class Strategy(Bucket):
    """What a strategy may still do."""

    armed: int = 0
    fills: int = 0
    rejects: int = 0


@dataclass
class Order:
    """A slot of the order table: the live order, or the last one that ended there."""

    account: int = 0
    executed: int = 0
    flags: int = 0
    instrument: int = 0
    leaves: int = 0
    orig_ref: int = 0
    px: int = 0
    ref: int = 0
    side: int = 0
    strategy: int = 0
    tif: int = 0
    type: int = 0


@dataclass(frozen=True)
class Recent:
    """A passed order in the ring."""

    account: int
    instrument: int
    px: int
    qty: int
    side: int
    ts: int


class State:
    """Everything between two events. What was never touched has no entry and reads as 0."""

    def __init__(self) -> None:
        self.generation = 0  # of the limits in force, 0 = none
        self.halt = 0  # reason of the latch
        self.last_beat = 0
        self.last_ref = 0
        self.last_ts = 0
        self.instruments: defaultdict[int, Instrument] = defaultdict(Instrument)
        self.accounts: defaultdict[int, Account] = defaultdict(Account)
        self.gateway = Account()
        self.strategies: defaultdict[int, Strategy] = defaultdict(Strategy)
        self.slots: defaultdict[int, Order] = defaultdict(Order)
        self.recent: list[Recent] = []  # newest first

    def items(self) -> Iterator[tuple[str, int]]:
        """Every state item that is not 0, with its name."""
        for name in ("generation", "halt", "last_beat", "last_ref", "last_ts"):
            if value := getattr(self, name):
                yield name, value
        yield from _items("gateway", self.gateway)
        for prefix, width, records in (
            ("account", 2, self.accounts),
            ("strategy", 2, self.strategies),
            ("instrument", 4, self.instruments),
            ("order", 4, self.slots),
            ("recent", 1, dict(enumerate(self.recent))),
        ):
            for index, record in records.items():
                yield from _items(f"{prefix}.{index:0{width}}", record)

    def dump(self) -> str:
        """The canonical state: one `name value` line per item that is not 0, sorted."""
        return "".join(sorted(f"{name} {value}\n" for name, value in self.items()))


def _items(prefix: str, record: Account | Strategy | Instrument | Order | Recent) -> Iterator[tuple[str, int]]:
    for name, value in vars(record).items():
        if isinstance(value, list):
            yield from ((f"{prefix}.account.{index:02}.pos", pos) for index, pos in enumerate(value) if pos)
        elif value:
            yield f"{prefix}.{name}", value
