"""gateway.yaml to typed, frozen settings, strictly: what is not said exactly is an error that names file, line and key.

SPDX-License-Identifier: MIT

The first half is the schema: every key, its type and its range. The second half turns what was read into Settings and
checks what concerns several keys: symbols without limits, ports used twice, a heartbeat slower than its own limit. The
annotated example is deploy/examples/gateway.yaml.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import feature_choice, specs, strict_yaml
from .errors import ConfigError, UsageError
from .native import builtin_strategies, lib
from .risk import SWITCHABLE, breakers
from .settings import (
    AccountLimits,
    Breaker,
    Channel,
    Confine,
    Control,
    Deferral,
    InstrumentLimits,
    Journal,
    Limits,
    Line,
    Pipeline,
    Placement,
    Receive,
    Recover,
    Session,
    Settings,
    Snapshot,
    Strategy,
    StrategyLimits,
)
from .strict_yaml import (
    BadValueError,
    Key,
    Keyed,
    Listing,
    Node,
    Problem,
    ProblemsError,
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

__all__ = ["ProblemsError", "load", "loads"]

SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
U31_MAX, U32_MAX, I63_MAX = 2**31 - 1, 2**32 - 1, 2**63 - 1
INSTRUMENTS_MAX = specs.load("risk").constant("instruments_max")
ACCOUNTS_MAX = specs.load("risk").constant("accounts_max")
STRATEGIES_MAX = specs.load("risk").constant("strategies_max")
PX_MAX = specs.load("risk").constant("px_max")

# ---- the schema ----

NAME = pattern(r"[A-Za-z0-9_-]{1,31}", "1 to 31 of a-z A-Z 0-9 _ -")
FLAG = boolean()
PORT = integer(1, 65_535)
SHARES = integer(0, U32_MAX)
POSITION = integer(0, U31_MAX)
MONEY = decimal(0, I63_MAX)
ACCOUNT = integer(0, ACCOUNTS_MAX - 1)
SYMBOL = pattern(r"[!-)+-~]{1,8}", "a symbol of 1 to 8 printable characters without blank and *")
SYMBOL_PATTERN = pattern(r"[!-)+-~]{1,8}|[!-)+-~]{0,7}\*", "a symbol, or its beginning and a * at the end,")
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
PASSWORD = pattern(r"[!-~]{1,10}", "1 to 10 printable characters")
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


def _parameter(name: str) -> Scalar:
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
PARAMETER_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_]{0,62}", "the name of a parameter")
STRATEGY = Section(
    {
        "name": Key(NAME),
        "use": Key(Scalar(_use, "builtin:NAME, c:FILE.so, linear:FILE.npz or numba:MODULE:FUNCTION", quoted=True)),
        "params": Key(Keyed(PARAMETER_NAME, integer(0, 0), by_name=_parameter), None),
        "account": Key(ACCOUNT, 0),
        "armed": Key(FLAG, False),
        "features": Key(Listing(FEATURE, 0, len(specs.features())), ()),
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


CAPACITY = _codes("capacity", "agency", "principal", "riskless", "other")
DISPLAY = _codes("display", "visible", "hidden", "attributable")
SESSION = Section(
    {
        "protocol": Key(choice("ouch50"), "ouch50"),
        "transport": Key(choice("soupbintcp"), "soupbintcp"),
        "address": Key(ipv4()),
        "port": Key(PORT),
        "username": Key(USERNAME),
        "password": Key(PASSWORD, None),
        "password_file": Key(PATH, None),
        "session": Key(pattern(r"[A-Za-z0-9]{1,10}", "1 to 10 letters and digits"), ""),
        "firm": Key(pattern(r"[A-Za-z0-9]{1,4}", "1 to 4 letters and digits"), ""),
        "capacity": Key(choice(*CAPACITY), "principal"),
        "display": Key(choice(*DISPLAY), "visible"),
        "login_timeout": Key(duration(1_000_000, 600 * SECOND_NS), 5 * SECOND_NS),
        "dead_link": Key(duration(SECOND_NS, 600 * SECOND_NS), 15 * SECOND_NS),
        "reconnect": Key(duration(0, 600 * SECOND_NS), 0),
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
MIB = 2**20
JOURNAL = Section(
    {
        "folder": Key(PATH),
        "sync": Key(choice("none", "group", "every"), "group"),
        "group": Key(duration(0, SECOND_NS), 1_000_000),
        "ring_mib": Key(choice(*(str(2**shift) for shift in range(9))), "16"),
        "file_max_mib": Key(integer(1, 65_536), 256),
        "stall": Key(duration(10_000_000, 60 * SECOND_NS), SECOND_NS),
    }
)
GATEWAY = Section(
    {
        "name": Key(NAME),
        "pipelines": Key(Listing(PIPELINE, 1, 1)),
        "instruments": Key(INSTRUMENTS),
        "strategies": Key(Listing(STRATEGY, 0, STRATEGIES_MAX), []),
        "limits": Key(LIMITS, None),
        "session": Key(SESSION, None),
        "confine": Key(Section({"privileges": Key(choice("drop", "keep"), "drop"), "seccomp": Key(FLAG, True)}), None),
        "placement": Key(
            Section({"lock_memory": Key(FLAG, True), "cpu_dma_latency_us": Key(integer(0, 10_000), -1)}), None
        ),
        "control": Key(CONTROL, None),
        "journal": Key(JOURNAL, None),
    }
)

# ---- what was read becomes settings ----


class Maker:
    """Builds settings from what was read and notes in problems what does not fit together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[Problem] = []

    def bad(self, where: tuple[int, str], text: str) -> None:
        line, key = where
        self.problems.append(Problem(line, key, text))

    def path(self, name: str) -> str:
        """A file name, counted from the configuration's folder."""
        return str((self.folder / name).absolute()) if name else ""

    # ---- receive ----

    def receive(self, node: Node) -> Receive:
        backend = node["backend"]
        for key, backends in RECEIVE_KEYS.items():
            if key in node and backend not in backends:
                self.bad(node.where(key), f"backend {backend} has no use for it; {', '.join(backends)} have")
        needs = {
            "auto": "interface",
            "afxdp": "interface",
            "packet": "interface",
            "card": "interface",
            "pcap": "path",
        }.get(backend)
        if needs and needs not in node:
            self.bad(node.where(needs), f"missing; backend {backend} needs it")
        if backend == "dpdk" and "interface" not in node and "port" not in node:
            self.bad(node.where("port"), "missing; backend dpdk needs it or interface")
        if backend == "udp" and "interface" not in node and "local_address" not in node:
            self.bad(node.where("interface"), "missing; backend udp needs it or local_address")
        if node["busy_poll"] % 1000:
            self.bad(node.where("busy_poll"), "a fraction of a microsecond; whole microseconds are allowed")
        if node["frames"] and node["frames"] & (node["frames"] - 1):
            self.bad(node.where("frames"), f"{node['frames']}: not a power of two")
        napi = node["napi"]
        if napi and "interface" not in node:
            self.bad(node.where("napi"), "it needs interface, whose queues it is about")
        if napi and not (napi["defer_hard_irqs"] or napi["gro_flush_timeout"] or napi["irq_suspend_timeout"]):
            self.bad(node.where("napi"), "nothing to set: give defer_hard_irqs, gro_flush_timeout, irq_suspend_timeout")
        return Receive(
            backend=backend,
            fallback=node["fallback"],
            napi=napi and Deferral(napi["defer_hard_irqs"], napi["gro_flush_timeout"], napi["irq_suspend_timeout"]),
            interface=node["interface"],
            queues=tuple(node["queues"]) or (0,),
            mode=node["mode"],
            local_address=node["local_address"],
            path=self.path(node["path"]),
            card=node["card"] if backend == "card" else "",
            busy_poll_us=node["busy_poll"] // 1000,
            frame_cnt=node["frames"],
            huge_pages=node["huge_pages"],
            loopback=node["loopback"],
            capture_time=node["capture_time"],
            timestamps=node["timestamps"],
            udp_checksum=node["udp_checksum"] == "verify",
            port=node["port"],
            eal=tuple(node["eal"]),
        )

    def pipelines(self, nodes: list[Node]) -> tuple[Pipeline, ...]:
        made = []
        names: dict[str, str] = {}
        flows: dict[tuple[int, int], str] = {}
        for node in nodes:
            channels = []
            for channel in node["channels"]:
                self.once(names, channel["name"], channel.where("name"))
                for line in channel["lines"]:
                    flow = (line["group"], line["port"])
                    self.once(flows, flow, (line.line, line.path), "this group and port")
                channels.append(self.channel(channel))
            receive = self.receive(node["receive"])
            if receive.backend == "card":
                channels = self.card(node["channels"], channels)
            made.append(
                Pipeline(
                    receive=receive,
                    channels=tuple(channels),
                    cpu=node["cpu"],
                    fifo_priority=node["fifo_priority"],
                    batch=node["batch"],
                    sample_shift=node["sample_shift"],
                )
            )
        return tuple(made)

    def card(self, nodes: list[Node], channels: list[Channel]) -> list[Channel]:
        """What the card can do of a pipeline's channels: one, of two lines; what it gives is in sequence already."""
        if len(nodes) > 1:
            self.bad(nodes[1].where("name"), "backend card has one channel")
        for node, channel in zip(nodes, channels, strict=True):
            if len(channel.lines) > CARD_LINES:
                self.bad(node.where("lines"), f"{len(channel.lines)} lines; backend card has {CARD_LINES}, A and B")
            for key in ("hold_max", "reorder_window", "recover", "snapshot"):
                if key in node:
                    self.bad(node.where(key), "backend card has no use for it: the card puts the lines in order itself")
        return [dataclasses.replace(channel, hold_max=0) for channel in channels]

    def channel(self, node: Node) -> Channel:
        """A channel, and how its holes are repaired; what needs the hold must have one."""
        for key in ("reorder_window", "recover", "snapshot"):
            if key in node and not node["hold_max"]:
                self.bad(node.where(key), "needs hold_max above 0")
        recover, snapshot = node["recover"], node["snapshot"]
        servers: dict[tuple[int, int], str] = {}
        for server in recover["servers"] if recover else ():
            self.once(servers, (server["address"], server["port"]), (server.line, server.path), "this address and port")
        return Channel(
            name=node["name"],
            lines=tuple(Line(line["group"], line["port"]) for line in node["lines"]),
            stale_ns=node["stale"],
            jump_max=node["jump_max"],
            hold_max=node["hold_max"],
            reorder_window_ns=node["reorder_window"],
            recover=Recover(
                tuple(servers), recover["timeout"], recover["retries"], recover["rate"], recover["messages_max"]
            )
            if recover
            else None,
            snapshot=Snapshot(
                snapshot["address"],
                snapshot["port"],
                snapshot["username"],
                self.secret(snapshot),
                snapshot["timeout"],
                snapshot["retry"],
            )
            if snapshot
            else None,
        )

    def once(self, seen: dict[Any, str], value: Any, where: tuple[int, str], what: str = "") -> None:
        """Note a value that stands for something else already."""
        if value in seen:
            self.bad(where, f"{what or value} is used already by {seen[value]}")
        seen.setdefault(value, where[1])

    # ---- strategies ----

    def strategies(self, nodes: list[Node]) -> tuple[Strategy, ...]:
        made = []
        names: dict[str, str] = {}
        for node in nodes:
            self.once(names, node["name"], node.where("name"))
            kind, target = node["use"]
            params = dict(node["params"].values) if node["params"] else {}
            if kind == "builtin":
                self.builtin(node, target, params)
            made.append(
                Strategy(
                    name=node["name"],
                    kind=kind,
                    target=self.path(target) if kind in ("c", "linear") else target,
                    params=params,
                    account=node["account"],
                    armed=node["armed"],
                    features=self.features(node),
                )
            )
        return tuple(made)

    def features(self, node: Node) -> dict[str, int | None]:
        """Each at most once."""
        names = [name for name, _ in node["features"]]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.bad(node.where("features"), f"{name} stands twice")
        return dict(node["features"])

    def builtin(self, node: Node, name: str, params: dict[str, int]) -> None:
        """A built-in strategy must be there and know every parameter."""
        known = builtin_strategies()
        if name not in known:
            self.bad(node.where("use"), f"builtin:{name}: unknown; builtin:{', builtin:'.join(known)} are there")
            return
        for param in params:
            if param not in known[name]:
                allowed = ", ".join(known[name])
                self.bad(node["params"].where(param), f"unknown parameter of builtin:{name}; {allowed} are allowed")

    # ---- session ----

    def secret(self, node: Node) -> str:
        """The password, from where exactly one of its two keys says."""
        password, file = node["password"], node["password_file"]
        if (password is None) == (file is None):
            text = (
                "both password and password_file; one is allowed"
                if file
                else "missing; password or password_file is required"
            )
            self.bad(node.where("password"), text)
        elif file is not None:
            password = self.password(node.where("password_file"), Path(self.path(file)))
        return password or ""

    def session(self, node: Node) -> Session:
        return Session(
            address=node["address"],
            port=node["port"],
            username=node["username"],
            password=self.secret(node),
            session=node["session"],
            firm=node["firm"],
            capacity=CAPACITY[node["capacity"]],
            display=DISPLAY[node["display"]],
            login_timeout_ns=node["login_timeout"],
            dead_link_ns=node["dead_link"],
            reconnect_ns=node["reconnect"],
        )

    def password(self, where: tuple[int, str], path: Path) -> str:
        """One line of a file that nobody else can read."""
        try:
            mode, text = path.stat().st_mode, path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not ASCII text"
            self.bad(where, f"{path}: {reason}")
            return ""
        if mode & 0o077:
            self.bad(where, f"{path}: others can read it (mode {mode & 0o777:04o}); chmod 600 it")
        text = text.removesuffix("\n")
        if not 1 <= len(text) <= 10 or not all("!" <= char <= "~" for char in text):
            self.bad(where, f"{path}: not one line of 1 to 10 printable characters")
        return text

    # ---- limits ----

    def limits(self, node: Node, symbols: Node, strategies: tuple[Strategy, ...], nodes: list[Node]) -> Limits:
        off = tuple(node["checks_off"] or ())
        for name in {name for name in off if off.count(name) > 1}:
            self.bad(node.where("checks_off"), f"{name} stands twice")

        def need(at: Node, key: str, *checks: str, default: int = 0) -> Any:
            """A limit is required while one of its checks is on."""
            if at[key] is None and any(check not in off for check in checks):
                self.bad(at.where(key), f"missing; the check {checks[0]} needs it (or stands in limits.checks_off)")
            return default if at[key] is None else at[key]

        def account(at: Node) -> AccountLimits:
            limits = AccountLimits(
                credit_max=need(at, "credit_max", "credit"),
                loss_max=need(at, "loss_max", "loss"),
                open_max=need(at, "open_max", "open_orders"),
                rate_burst=need(at, "rate_burst", "rate"),
                rate_refill_ns=need(at, "rate_refill", "rate"),
            )
            self.rate(at, limits.rate_burst, limits.rate_refill_ns)
            return limits

        accounts = {number: account(at) for number, at in node["accounts"].values.items()}
        for strategy, at in zip(strategies, nodes, strict=True):
            if strategy.account not in accounts:
                self.bad(at.where("account"), f"{strategy.account}: no limits; add limits.accounts.{strategy.account}")

        given = node["strategies"].values
        names = {strategy.name for strategy in strategies}
        for name in given:
            if name not in names:
                self.bad(node["strategies"].where(name), "no strategy of this name")
        by_strategy = {}
        for idx, strategy in enumerate(strategies):
            if strategy.name not in given:
                self.bad(nodes[idx].where("name"), f"{strategy.name}: no limits; add limits.strategies.{strategy.name}")
                continue
            at = given[strategy.name]
            by_strategy[idx] = StrategyLimits(
                rate_burst=need(at, "rate_burst", "rate"),
                rate_refill_ns=need(at, "rate_refill", "rate"),
                fills_max=need(at, "fills_max", "strategy"),
                rejects_run_max=need(at, "rejects_run_max", "strategy"),
            )
            self.rate(at, by_strategy[idx].rate_burst, by_strategy[idx].rate_refill_ns)
        return Limits(
            beat_age_max_ns=need(node, "beat_age_max", "control_stale"),
            ref_age_max_ns=need(node, "ref_age_max", "collar"),
            dup_window_ns=need(node, "dup_window", "duplicate"),
            gateway=account(node["gateway"]),
            accounts=accounts,
            strategies=by_strategy,
            instruments=self.instruments(node["instruments"], symbols, off),
            checks_off=off,
            breakers=self.breakers(node["breakers"], symbols["symbols"], strategies) if node["breakers"] else (),
        )

    def breakers(self, node: Node, symbols: Sequence[str], strategies: tuple[Strategy, ...]) -> tuple[Breaker, ...]:
        """Each rule, with the keys that its kind needs and no others."""
        if len(node.values) > breakers.RULES_MAX:
            self.bad((node.line, node.path), f"{len(node.values)} rules; at most {breakers.RULES_MAX} are allowed")
        who = breakers.Who(tuple(symbols), tuple(strategy.name for strategy in strategies))
        made = []
        for name, at in node.values.items():
            for key, text in breakers.mistakes(at.values, frozenset(at.lines), who):
                self.bad(at.where(key), text)
            made.append(breakers.make(name, at.values, who))
        return tuple(made)

    def rate(self, node: Node, burst: int, refill_ns: int) -> None:
        """The bucket holds burst x refill in 64 bits."""
        if burst * refill_ns > I63_MAX:
            self.bad(
                node.where("rate_burst"), f"rate_burst x rate_refill is {burst * refill_ns} ns; at most {I63_MAX} fit"
            )

    def instruments(self, node: Node, symbols: Node, off: tuple[str, ...]) -> tuple[InstrumentLimits, ...]:
        """Per symbol and key the most specific pattern that names it: the symbol itself, then the longest start."""
        ranked = sorted(node.values, key=lambda name: (name.endswith("*"), -len(name)))
        used = set()
        made = []
        missing: dict[tuple[str, str], list[str]] = {}
        for symbol in symbols["symbols"]:
            fitting = [
                name for name in ranked if name == symbol or (name.endswith("*") and symbol.startswith(name[:-1]))
            ]
            used.update(fitting)

            def pick(
                key: str, default: Any, check: str = "", fitting: list[str] = fitting, symbol: str = symbol
            ) -> Any:
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
            self.bad((node.line, strict_yaml.join(node.path, key)), f"missing for {some}; the check {check} needs it")
        for name in node.values:
            if name not in used:
                self.bad(node.where(name), "fits none of instruments.symbols")
        return tuple(made)

    # ---- all of it ----

    def settings(self, node: Node) -> Settings:
        symbols = node["instruments"]
        for symbol in sorted({name for name in symbols["symbols"] if symbols["symbols"].count(name) > 1}):
            self.bad(symbols.where("symbols"), f"{symbol} stands twice")
        strategies = self.strategies(node["strategies"])
        given = node["confine"]
        confine = Confine(given["privileges"] == "drop", given["seccomp"]) if given else Confine()
        placement = Placement()
        if at := node["placement"]:
            placement = Placement(at["lock_memory"], at["cpu_dma_latency_us"])
        control = Control()
        if at := node["control"]:
            control = Control(
                at["heartbeat"],
                tuple(bytes.fromhex(key) for key in at["limits_keys"]),
                at["cancel_on_halt"],
                at["stale_halt"],
            )
        if node["limits"]:
            limits = self.limits(node["limits"], symbols, strategies, node["strategies"])
            self.heartbeat(node, control, limits)
        else:
            limits = _nothing(len(symbols["symbols"]))
            if strategies:
                self.bad(node.where("limits"), "missing; strategies send nothing without limits")
        journal = None
        if at := node["journal"]:
            ring, largest = int(at["ring_mib"]) * MIB, at["file_max_mib"] * MIB
            journal = Journal(self.path(at["folder"]), at["sync"], at["group"], ring, largest, at["stall"])
        return Settings(
            name=node["name"],
            symbols=tuple(symbols["symbols"]),
            orders_max=symbols["orders_max"],
            pipelines=self.pipelines(node["pipelines"]),
            strategies=strategies,
            limits=limits,
            session=self.session(node["session"]) if node["session"] else None,
            control=control,
            confine=confine,
            placement=placement,
            journal=journal,
            reference=symbols["reference"],
            levels_max=symbols["levels_max"],
        )

    def heartbeat(self, node: Node, control: Control, limits: Limits) -> None:
        """One late beat must not refuse orders, and a slow one must never look alive."""
        if "control_stale" in limits.checks_off or 2 * control.heartbeat_ns <= limits.beat_age_max_ns:
            return
        where = node["control"].where("heartbeat") if node["control"] else node.where("control")
        text = f"{control.heartbeat_ns} ns is more than half of limits.beat_age_max ({limits.beat_age_max_ns} ns)"
        self.bad(where, f"{text}; the gate would refuse orders between two beats")


def _nothing(cnt: int) -> Limits:
    """Limits under which nothing passes, for a gateway that only listens."""
    closed = InstrumentLimits(False, 0, 0, 0, 0, False, 0, 0)
    return Limits(0, 0, 0, AccountLimits(0, 0, 0, 0, 0), {}, {}, (closed,) * cnt)


def loads(raw: bytes, file: str, folder: Path) -> Settings:
    """Settings from the bytes of a configuration; file is its name in messages, folder where its file names start."""
    node = strict_yaml.read(raw, file, GATEWAY)
    maker = Maker(folder)
    settings = maker.settings(node)
    if maker.problems:
        raise ProblemsError(file, maker.problems)
    return settings


def load(path: Path | str) -> Settings:
    """Settings from a file; ProblemsError names everything that is wrong with it."""
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return dataclasses.replace(loads(raw, str(path), path.absolute().parent), path=str(path.absolute()))
