"""gateway.yaml as a schema: every key, its type, its range and what it is when it is not said.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from dataclasses import replace

from . import feature_choice, specs
from .alerts.schema import ALERTS
from .errors import UsageError
from .native import lib
from .risk import SWITCHABLE, breakers
from .strict_yaml import (
    BadValueError,
    Key,
    Keyed,
    Listing,
    Scalar,
    Section,
    boolean,
    choice,
    decimal,
    duration,
    integer,
    ipv4,
    pattern,
)

SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
U31_MAX, U32_MAX, I63_MAX = 2**31 - 1, 2**32 - 1, 2**63 - 1
INSTRUMENTS_MAX = specs.load("risk").constant("instruments_max")
ACCOUNTS_MAX = specs.load("risk").constant("accounts_max")
STRATEGIES_MAX = specs.load("risk").constant("strategies_max")
PX_MAX = specs.load("risk").constant("px_max")


NAME = pattern(r"[A-Za-z0-9_-]{1,31}", "1 to 31 of a-z A-Z 0-9 _ -")
FLAG = boolean()
PORT = integer(1, 65_535)
SHARES = integer(0, U32_MAX)
POSITION = integer(0, U31_MAX)
MONEY = decimal(0, I63_MAX)
ACCOUNT = integer(0, ACCOUNTS_MAX - 1)
SYMBOL = pattern(r"[!-)+-~]{1,8}", "a symbol of 1 to 8 printable characters without blank and *")
SYMBOL_PATTERN = pattern(r"[!-)+-~]{1,8}|[!-)+-~]{0,7}\*", "a symbol, or its beginning and a * at the end,")
VENUE = pattern(r"[A-Za-z0-9_-]{1,15}", "the name of a venue, 1 to 15 of a-z A-Z 0-9 _ -,")
PATH = pattern(r"[^\0]{1,1000}", "a file name")

LINE = Section({"group": Key(ipv4()), "port": Key(PORT)})
ENDPOINT = Section({"address": Key(ipv4()), "port": Key(PORT)})
RECOVER = Section(
    {
        "servers": Key(Listing(ENDPOINT, 1, lib.HWGW_SERVERS_MAX)),
        "timeout": Key(duration(100_000, 60 * SECOND_NS), 5_000_000),
        "retries": Key(integer(0, 1000), 4),
        "rate": Key(integer(1, 1_000_000), 1000),
        "messages_max": Key(integer(0, U32_MAX), 10_000),
    }
)
USERNAME = pattern(r"[!-~]{1,6}", "1 to 6 printable characters")
PASSWORD = replace(pattern(r"[!-~]{1,10}", "1 to 10 printable characters"), is_secret=True)
SNAPSHOT = Section(
    {
        "protocol": Key(choice("glimpse"), "glimpse"),
        "transport": Key(choice("soupbintcp"), "soupbintcp"),
        "address": Key(ipv4()),
        "port": Key(PORT),
        "username": Key(USERNAME),
        "password": Key(PASSWORD, None),
        "password_file": Key(PATH, None),
        "timeout": Key(duration(1_000_000, 600 * SECOND_NS), 5 * SECOND_NS),
        "retry": Key(duration(1_000_000, 600 * SECOND_NS), SECOND_NS),
    }
)
CHANNEL = Section(
    {
        "name": Key(NAME),
        "venue": Key(VENUE, ""),
        "protocol": Key(choice("itch50"), "itch50"),
        "transport": Key(choice("moldudp64"), "moldudp64"),
        "lines": Key(Listing(LINE, 1, lib.HWGW_LINES_MAX)),
        "stale": Key(duration(1_000_000, DAY_NS), 3 * SECOND_NS),
        "jump_max": Key(integer(0, I63_MAX), 0),
        "hold_max": Key(integer(0, lib.HWGW_HOLD_MAX), 65_536),
        "reorder_window": Key(duration(0, SECOND_NS), 200_000),
        "recover": Key(RECOVER, None),
        "snapshot": Key(SNAPSHOT, None),
    }
)
NAPI = Section(
    {
        "defer_hard_irqs": Key(integer(0, 2**31 - 1), 0),
        "gro_flush_timeout": Key(duration(0, SECOND_NS), 0),
        "irq_suspend_timeout": Key(duration(0, SECOND_NS), 0),
    }
)
RECEIVE = Section(
    {
        "backend": Key(choice("auto", "afxdp", "packet", "udp", "pcap", "dpdk", "card"), "auto"),
        "fallback": Key(choice("udp", "none"), "udp"),
        "interface": Key(pattern(r"(?!\.{1,2}$)[^\s/:]{1,15}", "the name of a network interface"), ""),
        "queues": Key(Listing(integer(0, lib.HWGW_QUEUES_MAX - 1), 1, lib.HWGW_QUEUES_MAX), ()),
        "mode": Key(choice("auto", "native", "generic"), "auto"),
        "busy_poll": Key(duration(0, SECOND_NS), 0),
        "napi": Key(NAPI, None),
        "frames": Key(integer(64, 2**20), 0),
        "huge_pages": Key(FLAG, False),
        "local_address": Key(ipv4(), 0),
        "loopback": Key(FLAG, False),
        "card": Key(choice("sim"), "sim"),
        "path": Key(PATH, ""),
        "capture_time": Key(FLAG, False),
        "timestamps": Key(FLAG, False),
        "udp_checksum": Key(choice("trust", "verify"), "trust"),
        "port": Key(pattern(r"[!-~]{1,400}", "a PCI address, or a device and its arguments"), ""),
        "eal": Key(Listing(pattern(r"[!-~]{1,400}", "an EAL argument"), 1, 40), ()),
    }
)
CARD_LINES = 2
# the backends that know a key of receive; the rest know them all
RECEIVE_KEYS = {
    "fallback": ("auto",),
    "interface": ("auto", "afxdp", "packet", "udp", "dpdk", "card"),
    "card": ("card",),
    "queues": ("auto", "afxdp", "dpdk"),
    "mode": ("auto", "afxdp"),
    "busy_poll": ("auto", "afxdp", "udp"),
    "napi": ("auto", "afxdp", "packet", "udp"),
    "frames": ("auto", "afxdp", "packet", "udp", "dpdk", "card"),
    "huge_pages": ("auto", "afxdp", "dpdk"),
    "local_address": ("auto", "udp"),
    "loopback": ("auto", "udp"),
    "path": ("pcap",),
    "capture_time": ("pcap",),
    "timestamps": ("auto", "afxdp", "packet", "udp", "dpdk"),
    "udp_checksum": ("auto", "afxdp", "packet", "pcap", "dpdk"),
    "port": ("dpdk",),
    "eal": ("dpdk",),
}
PIPELINE = Section(
    {
        "cpu": Key(integer(0, 1023), -1),
        "fifo_priority": Key(integer(0, 98), 0),
        "batch": Key(integer(1, lib.HWGW_BATCH_MAX), 64),
        "sample_shift": Key(integer(0, 20), 4),
        "receive": Key(RECEIVE),
        "channels": Key(Listing(CHANNEL, 1, lib.HWGW_CHANNELS_MAX)),
    }
)
INSTRUMENTS = Section(
    {
        "symbols": Key(Listing(SYMBOL, 1, INSTRUMENTS_MAX)),
        "orders_max": Key(integer(1024, 2**26)),  # what the books can hold (book.h)
        "levels_max": Key(integer(0, 2**20), 0),
        "reference": Key(choice("mid", "last"), "mid"),
    }
)


def parameter(name: str) -> Scalar:
    """The unit of a strategy's parameter is at the end of its name."""
    if name.endswith("_px"):
        return decimal(-PX_MAX, PX_MAX)
    return duration(0, DAY_NS) if name.endswith("_ns") else integer(-I63_MAX, I63_MAX)


def _use(text: str) -> tuple[str, str]:
    kind, _, target = text.partition(":")
    if kind not in ("builtin", "c", "numba", "linear") or not target.strip():
        raise BadValueError("not a strategy")
    module, _, function = target.partition(":")
    if kind == "numba" and not (function.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise BadValueError("not a module and a function")
    return kind, target


def _feature(text: str) -> tuple[str, int | None]:
    try:
        return feature_choice.parse(text)
    except UsageError as error:
        raise BadValueError(str(error).partition(": ")[2].partition(";")[0]) from None


FEATURE_NAMES = ", ".join(f"{f.name}:{f.param}" if f.param else f.name for f in specs.features())
FEATURE = Scalar(_feature, f"one of {FEATURE_NAMES}", quoted=True)


def _shown_feature(text: str) -> tuple[str, int | None]:
    name, value = _feature(text)
    if name.startswith("queue_"):
        raise BadValueError("of a strategy's own orders")
    return name, value


SHOWN_FEATURE = Scalar(_shown_feature, f"one of {FEATURE_NAMES} but queue_*", quoted=True)
PARAMETER_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_]{0,62}", "the name of a parameter")
STRATEGY = Section(
    {
        "name": Key(NAME),
        "use": Key(Scalar(_use, "builtin:NAME, c:FILE.so, linear:FILE.npz or numba:MODULE:FUNCTION", quoted=True)),
        "params": Key(Keyed(PARAMETER_NAME, integer(0, 0), by_name=parameter), None),
        "account": Key(ACCOUNT, 0),
        "armed": Key(FLAG, False),
        "features": Key(Listing(FEATURE, 0, len(specs.features())), ()),
        "mode": Key(choice("live", "paper", "shadow"), "live"),
        "of": Key(NAME, None),
    }
)


def _whom(text: str) -> str:
    if not 1 <= len(text) <= 31:
        raise BadValueError("not the name of anything")
    return text


ACCOUNT_LIMITS = Section(
    {
        "credit_max": Key(MONEY, None),
        "loss_max": Key(MONEY, None),
        "open_max": Key(integer(0, specs.load("risk").constant("open_orders_max")), None),
        "rate_burst": Key(SHARES, None),
        "rate_refill": Key(duration(0, DAY_NS), None),
    }
)
STRATEGY_LIMITS = Section(
    {
        "rate_burst": Key(SHARES, None),
        "rate_refill": Key(duration(0, DAY_NS), None),
        "fills_max": Key(SHARES, None),
        "rejects_run_max": Key(SHARES, None),
    }
)
INSTRUMENT_LIMITS = Section(
    {
        "enabled": Key(FLAG, None),
        "qty_max": Key(SHARES, None),
        "notional_max": Key(MONEY, None),
        "collar_pct": Key(decimal(0, 100 * 10**4), None),
        "collar_px_min": Key(decimal(0, PX_MAX), None),
        "collar_both": Key(FLAG, None),
        "long_max": Key(POSITION, None),
        "short_max": Key(POSITION, None),
        "locate_qty": Key(SHARES, None),
        "restricted_accounts": Key(Listing(ACCOUNT), None),
    }
)
BREAKER_NAME = pattern(r"[a-z0-9_-]{1,15}", "1 to 15 of a-z 0-9 _ -")
BREAKER = Section(
    {
        "kind": Key(choice(*breakers.KINDS)),
        "scope": Key(choice(*breakers.SCOPES)),
        "only": Key(Scalar(_whom, "an account, a strategy or a symbol", quoted=False), None),
        "window": Key(duration(1_000_000, DAY_NS)),
        "count_max": Key(SHARES, None),
        "loss_max": Key(MONEY, None),
        "slow_max": Key(SHARES, None),
        "bound": Key(duration(1, DAY_NS), None),
        "action": Key(choice(*breakers.ACTIONS)),
    }
)
LIMITS = Section(
    {
        "checks_off": Key(Listing(choice(*SWITCHABLE)), None),
        "beat_age_max": Key(duration(0, DAY_NS), None),
        "ref_age_max": Key(duration(0, DAY_NS), None),
        "dup_window": Key(duration(0, DAY_NS), None),
        "gateway": Key(ACCOUNT_LIMITS),
        "accounts": Key(Keyed(ACCOUNT, ACCOUNT_LIMITS)),
        "strategies": Key(Keyed(NAME, STRATEGY_LIMITS)),
        "instruments": Key(Keyed(SYMBOL_PATTERN, INSTRUMENT_LIMITS)),
        "breakers": Key(Keyed(BREAKER_NAME, BREAKER), None),
    }
)


def _codes(enum: str, *names: str) -> dict[str, str]:
    table = specs.load("ouch50").enum(enum)
    return {code.slug: str(code.value) for code in table.values if code.slug in names}


COMP_ID = pattern(r"[!-<>-~]{1,16}", "1 to 16 printable characters without = and blanks")
FEE = decimal(-(10**6), 10**6)  # per share
ROUTE = Section(
    {
        "enabled": Key(FLAG, True),
        "take_fee": Key(FEE, 0),
        "make_fee": Key(FEE, 0),
        "order_max": Key(SHARES, U32_MAX),
        "open_max": Key(SHARES, U32_MAX),
    }
)
CAPACITY = _codes("capacity", "agency", "principal", "riskless", "other")
DISPLAY = _codes("display", "visible", "hidden", "attributable")
THROTTLE = Section(
    {
        "messages_per_second": Key(integer(1, 1_000_000)),
        "burst": Key(integer(1, 100_000)),
        "cancel_reserve": Key(integer(0, 99_999), 0),
    }
)
SESSION = Section(
    {
        "protocol": Key(choice("ouch50", "ouch42", "fix42", "fix44"), "ouch50"),
        "transport": Key(choice("soupbintcp", "tcp"), None),
        "address": Key(ipv4()),
        "port": Key(PORT),
        "sender": Key(COMP_ID, ""),
        "target": Key(COMP_ID, ""),
        "heartbeat": Key(duration(SECOND_NS, 3600 * SECOND_NS), 10 * SECOND_NS),
        "reset_sequence": Key(FLAG, False),
        "username": Key(USERNAME),
        "password": Key(PASSWORD, None),
        "password_file": Key(PATH, None),
        "session": Key(pattern(r"[A-Za-z0-9]{1,10}", "1 to 10 letters and digits"), ""),
        "firm": Key(pattern(r"[A-Za-z0-9]{1,4}", "1 to 4 letters and digits"), ""),
        "capacity": Key(choice(*CAPACITY), "principal"),
        "display": Key(choice(*DISPLAY), "visible"),
        "mass_cancel": Key(FLAG, None),
        "disable_on_halt": Key(FLAG, False),
        "cancel_on_disconnect": Key(FLAG, False),
        "disconnect_tag": Key(integer(1, 99_999), 0),
        "backup": Key(Section({"address": Key(ipv4()), "port": Key(PORT)}), None),
        "throttle": Key(THROTTLE, None),
        "login_timeout": Key(duration(1_000_000, 600 * SECOND_NS), 5 * SECOND_NS),
        "dead_link": Key(duration(SECOND_NS, 600 * SECOND_NS), 15 * SECOND_NS),
        "reconnect": Key(duration(0, 600 * SECOND_NS), 0),
        "when_lost": Key(choice("halt", "others"), None),
        "route": Key(ROUTE, None),
    }
)
SESSIONS_MAX = specs.load("segment").constant("sessions_max")
ROUTER = Section(
    {
        "children_max": Key(integer(1, SESSIONS_MAX), SESSIONS_MAX),
        "latency_cost": Key(decimal(0, lib.HWGW_ROUTE_LATENCY_MAX), 0),
        "fill_cost": Key(decimal(0, lib.HWGW_ROUTE_FILL_MAX), 0),
        "retries_max": Key(integer(0, 3), 0),
    }
)
CONTROL = Section(
    {
        "heartbeat": Key(duration(1_000_000, 10 * SECOND_NS), 50_000_000),
        "cancel_on_halt": Key(FLAG, False),
        "stale_halt": Key(duration(0, DAY_NS), 5 * SECOND_NS),
        "limits_keys": Key(Listing(pattern(r"[0-9a-f]{64}", "a public key of 64 hexadecimal digits"), 0, 4), ()),
    }
)
RULE = Section(
    {
        "name": Key(NAME),
        "instrument": Key(SYMBOL),
        "strategy": Key(NAME),
        "when": Key(choice("offered", "bid", "traded_down", "traded_up")),
        "when_px": Key(decimal(1, PX_MAX)),
        "when_qty": Key(SHARES, 1),
        "side": Key(choice("buy", "sell")),
        "px": Key(decimal(1, PX_MAX)),
        "qty": Key(integer(1, U32_MAX)),
        "tif": Key(choice("day", "ioc"), "ioc"),
    }
)
RISK = Section(
    {
        "where": Key(choice("host", "card", "both"), "host"),
        "card": Key(choice("sim"), "sim"),
        "send": Key(choice("host", "card"), "host"),
        "rules": Key(Listing(RULE, 0, specs.load("segment").constant("rules_max")), ()),
    }
)
MIB = 2**20
JOURNAL = Section(
    {
        "folder": Key(PATH),
        "sync": Key(choice("none", "group", "every"), "group"),
        "group": Key(duration(0, SECOND_NS), 1_000_000),
        "ring_mib": Key(choice(*(str(2**shift) for shift in range(9))), "16"),
        "file_max_mib": Key(integer(1, 65_536), 256),
        "stall": Key(duration(10_000_000, 60 * SECOND_NS), SECOND_NS),
        "frames": Key(FLAG, False),
    }
)
PUBLISH = Section(
    {
        "depth": Key(integer(0, lib.HWGW_HOOK_LEVELS_MAX), 0),
        "features": Key(Listing(SHOWN_FEATURE, 0, len(specs.features())), ()),
    }
)
FANOUT_MAX_MIB = specs.load("segment").constant("fanout_max_bytes") // MIB
FANOUT = Section({"ring_mib": Key(choice(*(str(1 << bit) for bit in range(FANOUT_MAX_MIB.bit_length()))), "16")})
RAMP = Section(
    {
        "steps": Key(Listing(integer(1, 100), 2, 20)),
        "hold": Key(duration(SECOND_NS, DAY_NS)),
        "orders_min": Key(integer(0, U32_MAX), 0),
        "refusals": Key(Keyed(choice(*(reason.name for reason in specs.reasons() if reason.code)), SHARES), None),
        "rejects_pct": Key(decimal(0, 100 * 10**4), None),
        "loss_max": Key(MONEY, None),
    }
)
PAPER = Section({"latency": Key(duration(0, SECOND_NS), None), "impact": Key(FLAG, True), "model": Key(PATH, None)})
GATEWAY = Section(
    {
        "name": Key(NAME),
        "pipelines": Key(Listing(PIPELINE, 1, 1)),
        "instruments": Key(INSTRUMENTS),
        "strategies": Key(Listing(STRATEGY, 0, STRATEGIES_MAX), []),
        "limits": Key(LIMITS, None),
        "risk": Key(RISK, None),
        "session": Key(SESSION, None),
        "sessions": Key(Keyed(VENUE, SESSION), None),
        "router": Key(ROUTER, None),
        "confine": Key(Section({"privileges": Key(choice("drop", "keep"), "drop"), "seccomp": Key(FLAG, True)}), None),
        "placement": Key(
            Section({"lock_memory": Key(FLAG, True), "cpu_dma_latency_us": Key(integer(0, 10_000), -1)}), None
        ),
        "control": Key(CONTROL, None),
        "journal": Key(JOURNAL, None),
        "alerts": Key(ALERTS, None),
        "fanout": Key(FANOUT, None),
        "publish": Key(PUBLISH, None),
        "paper": Key(PAPER, None),
        "ramp": Key(RAMP, None),
    }
)
