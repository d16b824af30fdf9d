"""What a gateway.yaml says, typed and frozen: config.py makes these, gateway.py and the limits read them.

SPDX-License-Identifier: MIT

Everything is in the units of the data plane: prices and money in 1/10,000 (money is price x shares), quantities in
shares, durations in ns, addresses as 32-bit integers in host order. config.py has checked
every range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .alerts.settings import Alerts

__all__ = [
    "FEE_PLACES", "MODES", "SECOND_NS",
    "AccountLimits", "Breaker", "Channel", "Confine", "Control", "InstrumentLimits", "Latency", "Limits", "Line",
    "Model", "Paper",
    "Pipeline", "Placement", "Publish", "Ramp", "Receive", "Recover", "Route", "Router", "Session", "Settings",
    "Snapshot", "Strategy", "StrategyLimits", "Throttle", "twin_name",
]  # fmt: skip

SECOND_NS = 10**9
FEE_PLACES = 6


@dataclass(frozen=True, slots=True)
class Line:
    """One multicast group and port that carries a feed channel."""

    group: int
    port: int


@dataclass(frozen=True, slots=True)
class Recover:
    """MoldUDP64 re-request servers, asked in turn: (address, port) each. messages_max 0 = no bound."""

    servers: tuple[tuple[int, int], ...]
    timeout_ns: int = 5_000_000
    retries: int = 4
    rate: int = 1000
    messages_max: int = 10_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A GLIMPSE 5.0 server over SoupBinTCP."""

    address: int
    port: int
    username: str
    password: str
    timeout_ns: int = 5_000_000_000
    retry_ns: int = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Channel:
    """One sequenced stream of ITCH 5.0 over MoldUDP64; lines A, B ... carry the same messages.

    hold_max 0: delivery goes on behind holes, and nothing is repaired.
    """

    name: str
    lines: tuple[Line, ...]
    stale_ns: int = 3_000_000_000
    jump_max: int = 0
    hold_max: int = 65_536
    reorder_window_ns: int = 200_000
    recover: Recover | None = None
    snapshot: Snapshot | None = None
    venue: int = 0
    """The session whose venue it tells of."""


@dataclass(frozen=True, slots=True)
class Deferral:
    """How the interrupts of the receive queues are held back; 0 leaves a value as it is."""

    defer_hard_irqs: int = 0
    gro_flush_timeout_ns: int = 0
    irq_suspend_timeout_ns: int = 0


@dataclass(frozen=True, slots=True)
class Receive:
    """A receive backend and what it is opened with."""

    backend: str = "auto"
    fallback: str = "udp"
    interface: str = ""
    queues: tuple[int, ...] = (0,)
    mode: str = "auto"
    local_address: int = 0
    path: str = ""
    busy_poll_us: int = 0
    napi: Deferral | None = None
    frame_cnt: int = 0
    huge_pages: bool = False
    loopback: bool = False
    capture_time: bool = False
    timestamps: bool = False
    udp_checksum: bool = False
    port: str = ""
    card: str = ""
    eal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The receive queues of one thread, its channels and its core."""

    receive: Receive
    channels: tuple[Channel, ...]
    cpu: int = -1
    fifo_priority: int = 0
    batch: int = 64
    sample_shift: int = 4


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy and its parameters.

    kind: builtin (target: its name), c (a shared object), linear (an .npz file), numba (module:function).
    """

    name: str
    kind: str
    target: str
    params: Mapping[str, int]
    account: int = 0
    armed: bool = True
    features: Mapping[str, int | None] = field(default_factory=dict)  # and the parameter of each that has one
    mode: str = "live"  # paper and shadow: judged and recorded beside the live ones, never sent
    of: str = ""  # of a shadow: the live strategy that it is beside


@dataclass(frozen=True, slots=True)
class Throttle:
    """The venue's message rate; the last cancel_reserve messages of a burst are for cancels."""

    messages_per_second: int
    burst: int
    cancel_reserve: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """What the router may give a venue, and its fees per share; a rebate is negative."""

    enabled: bool = True
    take_fee: int = 0
    make_fee: int = 0
    order_max: int = 2**32 - 1
    open_max: int = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Router:
    """How orders without a venue are split; costs in price units per share: of a millisecond, and of a miss."""

    children_max: int = 8
    latency_px: int = 0
    fill_px: int = 0
    retries_max: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """Order entry: OUCH 5.0 or 4.2 over SoupBinTCP, FIX 4.2 or 4.4 (which alone has sender to reset_sequence)."""

    address: int
    port: int
    username: str
    password: str
    session: str = ""
    firm: str = ""
    capacity: str = "P"
    display: str = "Y"
    protocol: str = "ouch50"
    sender: str = ""
    target: str = ""
    heartbeat_ns: int = 10_000_000_000
    reset_sequence: bool = False
    mass_cancel: bool = False
    disable_on_halt: bool = False
    cancel_on_disconnect: bool = False
    disconnect_tag: int = 0
    backup: tuple[int, int] | None = None
    throttle: Throttle | None = None
    login_timeout_ns: int = 5_000_000_000
    dead_link_ns: int = 15_000_000_000
    reconnect_ns: int = 0
    venue: str = ""
    """Its name among several."""
    when_lost: str = "halt"
    route: Route = Route()


@dataclass(frozen=True, slots=True)
class InstrumentLimits:
    """Limits of one symbol, resolved: the most specific pattern has won."""

    enabled: bool
    qty_max: int
    notional_max: int
    collar_q16: int
    collar_px_min: int
    collar_both: bool
    long_max: int
    short_max: int
    locate_qty: int = 0
    restricted_accounts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """Limits of an account, or of the whole gateway."""

    credit_max: int
    loss_max: int
    open_max: int
    rate_burst: int
    rate_refill_ns: int


@dataclass(frozen=True, slots=True)
class StrategyLimits:
    """Limits of a strategy."""

    rate_burst: int
    rate_refill_ns: int
    fills_max: int
    rejects_run_max: int


@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit breaker rule; kind, scope and action are those of hwgw/specs/breaker.yaml, only None = each.

    limit: events; of latency_p99 orders beyond one in a hundred; of loss money. bound_ns: of latency_p99.
    """

    name: str
    kind: str
    scope: str
    action: str
    limit: int
    window_ns: int
    bound_ns: int = 0
    only: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The whole table. checks_off names the reasons that are switched off; instruments follow Settings.symbols."""

    beat_age_max_ns: int
    ref_age_max_ns: int
    dup_window_ns: int
    gateway: AccountLimits
    accounts: Mapping[int, AccountLimits]
    strategies: Mapping[int, StrategyLimits]
    instruments: tuple[InstrumentLimits, ...]
    checks_off: tuple[str, ...] = ()
    breakers: tuple[Breaker, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Latency:
    """Equally likely delays in ns, ascending; text says where they come from."""

    ns: NDArray[np.uint64]
    text: str

    @classmethod
    def constant(cls, ns: int) -> Latency:
        """The same delay each time."""
        return cls(np.array([ns], np.uint64), f"{ns} ns")

    @property
    def median_ns(self) -> int:
        """The one in the middle."""
        return int(self.ns[len(self.ns) // 2])


@dataclass(frozen=True, slots=True)
class Model:
    """What MODEL.yaml says. Fees in 1/1,000,000 of the currency unit per share, negative is a rebate."""

    feed: Latency
    order: Latency
    answer: Latency
    fee_maker: int = 0
    fee_taker: int = 0
    has_impact: bool = True
    seed: int = 1
    sample_ns: int = SECOND_NS
    own_books: bool = False

    def delayed(self, ns: int) -> Model:
        """The same with ns more on the way of orders to the venue."""
        if not ns:
            return self
        more = Latency(self.order.ns + np.uint64(ns), f"{self.order.text} + {ns} ns")
        return replace(self, order=more)

    def described(self) -> dict[str, Any]:
        """For results: what was assumed."""
        return {
            "feed_latency": self.feed.text, "order_latency": self.order.text, "answer_latency": self.answer.text,
            "fee_maker": self.fee_maker / 10**FEE_PLACES, "fee_taker": self.fee_taker / 10**FEE_PLACES,
            "impact": self.has_impact, "seed": self.seed, "sample_ns": self.sample_ns,
        }  # fmt: skip

    @property
    def shares_books(self) -> bool:
        """Whether the venue may take the gateway's books for its market, as on paper it must."""
        return len(self.feed.ns) == 1 and int(self.answer.ns[0]) >= int(self.feed.ns[0])


@dataclass(frozen=True, slots=True)
class Paper:
    """The model of the venue that takes the orders of strategies that are not live; file: where it is written."""

    model: Model
    file: str = ""

    @property
    def text(self) -> str:
        """How far away the venue is."""
        away_us = (self.model.feed.median_ns + self.model.order.median_ns) / 1000
        if not self.file:
            return f"{away_us:g} us away"
        return f"{away_us:.0f} us away in the middle, by {self.file}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the card's trigger: what the feed has to say of an instrument, and the order that is made then."""

    name: str
    instrument: str
    strategy: str
    when: str
    when_px: int
    when_qty: int
    side: str
    px: int
    qty: int
    tif: str


@dataclass(frozen=True, slots=True)
class Risk:
    """Whose gate judges: the host's, the card's, or both; send: who puts the orders that pass on the wire.

    library is that of the simulated card, once it is built.
    """

    where: str = "host"
    card: str = "sim"
    send: str = "host"
    library: str = ""
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """The control plane's own habits."""

    heartbeat_ns: int = 50_000_000
    limits_keys: tuple[bytes, ...] = ()
    cancel_on_halt: bool = False
    stale_halt_ns: int = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Confine:
    """What the data process gives up when everything is open: its capabilities, and all other system calls."""

    drop_privileges: bool = True
    seccomp: bool = True


@dataclass(frozen=True, slots=True)
class Placement:
    """How the data process lies on the host, beside the cores of its pipelines. dma_latency_us -1: any power state."""

    lock_memory: bool = True
    dma_latency_us: int = -1


@dataclass(frozen=True, slots=True)
class Journal:
    """Where everything the gate is told and says is recorded, and how safely."""

    folder: str
    sync: str = "group"
    group_ns: int = 1_000_000
    ring_bytes: int = 2**24
    file_max_bytes: int = 2**28
    stall_ns: int = 1_000_000_000
    frames: bool = False
    """With what strategies decide by, so that they can be made to decide again."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """Limits that rise: steps in percent of the sizes, the time and orders that each holds, and what takes it back."""

    steps: tuple[int, ...]
    hold_ns: int
    orders_min: int = 0
    refusals: Mapping[str, int] = field(default_factory=dict)
    rejects_pct: int | None = None  # in 1/10,000
    loss_max: int | None = None


MODES = ("live", "paper", "shadow")


def twin_name(name: str, mode: str) -> str:
    """The segment, and the journal, of the strategies of a mode."""
    return name if mode == "live" else f"{name}-{mode}"


@dataclass(frozen=True, slots=True)
class Publish:
    """What the segment shows of each book beside its top: levels of either side, features and their parameters."""

    depth: int = 0
    features: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where a configuration has its passwords and tokens: in keys of its own, or in files.

    absent: keys and files of those that are credentials of systemd's, which only the unit is given that they are for.
    """

    inline: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """A gateway."""

    name: str
    symbols: tuple[str, ...]
    orders_max: int
    pipelines: tuple[Pipeline, ...]
    strategies: tuple[Strategy, ...]
    limits: Limits
    sessions: tuple[Session, ...] = ()
    router: Router = Router()
    control: Control = Control()
    risk: Risk = Risk()
    reference: str = "mid"
    levels_max: int = 0
    paper: Paper | None = None
    ramp: Ramp | None = None
    confine: Confine = Confine()
    placement: Placement = Placement()
    journal: Journal | None = None
    alerts: Alerts | None = None
    publish: Publish = Publish()
    fanout_bytes: int = 0
    """Of each pipeline's fan-out ring; 0: none."""
    path: str = ""
    secrets: Secrets = Secrets()

    def of_mode(self, mode: str) -> dict[int, Strategy]:
        """The strategies of a mode by their number."""
        return {number: each for number, each in enumerate(self.strategies) if each.mode == mode}
