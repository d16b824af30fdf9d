"""gateway.yaml to typed, frozen settings, strictly: what is not said exactly is an error that names file, line and key.

SPDX-License-Identifier: MIT

config_schema.py has every key with its type and range. This turns what was read into Settings and checks what concerns
several keys: symbols without limits, ports used twice, a heartbeat slower than its own limit. The annotated example is
deploy/examples/gateway.yaml.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from . import config_journal, config_limits, config_venues, strict_yaml, venue_model
from .alerts.schema import alerts
from .config_schema import (
    CAPACITY,
    CARD_LINES,
    DISPLAY,
    GATEWAY,
    MIB,
    RECEIVE_KEYS,
)
from .config_secrets import Passwords
from .errors import ConfigError
from .native import builtin_strategies
from .settings import (
    MODES,
    Channel,
    Confine,
    Control,
    Deferral,
    Latency,
    Line,
    Model,
    Paper,
    Pipeline,
    Placement,
    Publish,
    Ramp,
    Receive,
    Recover,
    Risk,
    Route,
    Rule,
    Session,
    Settings,
    Snapshot,
    Strategy,
    Throttle,
    twin_name,
)
from .strict_yaml import Node, Problem, ProblemsError

__all__ = ["ProblemsError", "load", "loads"]

NAME_MAX = 31


class Maker:
    """Builds settings from what was read and notes in problems what does not fit together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[Problem] = []
        self.passwords = Passwords(self.path, self.bad)

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
                self.passwords.of(snapshot),
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
                    mode=node["mode"],
                    of=node["of"] or "",
                )
            )
        for node, strategy in zip(nodes, made, strict=True):
            self.beside(node, strategy, made)
        return tuple(made)

    def beside(self, node: Node, strategy: Strategy, all_: list[Strategy]) -> None:
        """A shadow is beside a live strategy, and trades for its account."""
        live = {each.name: each for each in all_ if each.mode == "live"}
        if strategy.mode != "shadow":
            if strategy.of:
                self.bad(node.where("of"), f"{strategy.of}: goes with mode: shadow")
        elif strategy.of not in live:
            known = f"{', '.join(live)} are there" if live else "there is none"
            self.bad(node.where("of"), f"{strategy.of or 'missing'}: not a live strategy; {known}")
        elif strategy.account != live[strategy.of].account:
            want = live[strategy.of].account
            self.bad(node.where("account"), f"{strategy.account}: {strategy.of}, which it is beside, has {want}")

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

    def session(self, node: Node, when_lost: str = "halt") -> Session:
        is_fix = node["protocol"].startswith("fix")
        transport = "tcp" if is_fix else "soupbintcp"
        if node["transport"] not in (None, transport):
            self.bad(node.where("transport"), f"{node['protocol']} goes over {transport}")
        for key in ("sender", "target"):
            if is_fix and not node[key]:
                self.bad(node.where(key), f"missing; {node['protocol']} names both sides")
            elif node[key] and not is_fix:
                self.bad(node.where(key), f"{node['protocol']} has none; it is of fix42 and fix44")
        if is_fix and node["dead_link"] * 10 <= node["heartbeat"] * 12:
            self.bad(node.where("dead_link"), "not above 1.2 times heartbeat, after which the venue is asked")
        has_mass = node["protocol"] == "fix44" or (node["protocol"] == "ouch50" and bool(node["firm"]))
        if node["mass_cancel"] and not has_mass:
            is_ouch50 = node["protocol"] == "ouch50"
            why = "ouch50 names the firm in it, and firm is missing" if is_ouch50 else f"{node['protocol']} has none"
            self.bad(node.where("mass_cancel"), f"{why}; it is of fix44, and of ouch50 with a firm")
        if node["disable_on_halt"] and not (node["protocol"] == "ouch50" and node["firm"]):
            why = "has none" if node["protocol"] != "ouch50" else "names the firm in it, and firm is missing"
            self.bad(node.where("disable_on_halt"), f"{node['protocol']} {why}; it is of ouch50 with a firm")
        if node["disconnect_tag"] and not is_fix:
            self.bad(node.where("disconnect_tag"), f"{node['protocol']} has none; it is of fix42 and fix44")
        if node["backup"] and not node["reconnect"]:
            self.bad(node.where("backup"), "is never tried without reconnect")
        throttle = node["throttle"]
        if throttle and throttle["cancel_reserve"] >= throttle["burst"]:
            self.bad(throttle.where("cancel_reserve"), f"not below burst, {throttle['burst']}: no order would leave")
        return Session(
            cancel_on_disconnect=node["cancel_on_disconnect"],
            disable_on_halt=node["disable_on_halt"],
            disconnect_tag=node["disconnect_tag"],
            backup=(node["backup"]["address"], node["backup"]["port"]) if node["backup"] else None,
            throttle=Throttle(**throttle.values) if throttle else None,
            mass_cancel=has_mass if node["mass_cancel"] is None else node["mass_cancel"],
            address=node["address"],
            port=node["port"],
            username=node["username"],
            password=self.passwords.of(node),
            session=node["session"],
            firm=node["firm"],
            capacity=CAPACITY[node["capacity"]],
            display=DISPLAY[node["display"]],
            protocol=node["protocol"],
            sender=node["sender"],
            target=node["target"],
            heartbeat_ns=node["heartbeat"],
            reset_sequence=node["reset_sequence"],
            login_timeout_ns=node["login_timeout"],
            dead_link_ns=node["dead_link"],
            reconnect_ns=node["reconnect"],
            when_lost=node["when_lost"] or when_lost,
            route=Route(**node["route"].values) if node["route"] else Route(),
        )

    def rules(self, node: Node, strategies: tuple[Strategy, ...], root: Node) -> tuple[Rule, ...]:
        """Rules of the card: of an instrument each, for a live strategy, where the card receives, judges and sends."""
        names: dict[str, str] = {}
        instruments: dict[str, str] = {}
        live = [each.name for each in strategies if each.mode == "live"]
        if node["rules"] and node["send"] != "card":
            self.bad(node.where("rules"), "an order of a rule leaves by the card: send: card is needed")
        if node["rules"] and [each["receive"]["backend"] for each in root["pipelines"]] != ["card"]:
            self.bad(node.where("rules"), "one pipeline with backend card is needed, whose events rules go by")
        for rule in node["rules"]:
            self.once(names, rule["name"], rule.where("name"))
            self.once(instruments, rule["instrument"], rule.where("instrument"))
            if rule["instrument"] not in root["instruments"]["symbols"]:
                self.bad(rule.where("instrument"), f"{rule['instrument']}: none of instruments.symbols")
            if rule["strategy"] not in live:
                self.bad(rule.where("strategy"), f"{rule['strategy']}: no live strategy; there are {', '.join(live)}")
        fields = [field.name for field in dataclasses.fields(Rule)]
        return tuple(Rule(**{name: rule[name] for name in fields}) for rule in node["rules"])

    def risk(self, node: Node, sessions: tuple[Session, ...], strategies: tuple[Strategy, ...], root: Node) -> Risk:
        """Whose gate judges, and who sends: the card what its own gate lets pass, on one connection, as OUCH 5.0."""
        if node["send"] == "card":
            if node["where"] == "host":
                self.bad(node.where("send"), "card: its gate does not judge; where: card or both is needed")
            if len(sessions) != 1:
                self.bad(node.where("send"), f"card: it sends on one connection; there are {len(sessions)} sessions")
            elif sessions[0].protocol != "ouch50":
                self.bad(node.where("send"), f"card: it speaks ouch50; the session speaks {sessions[0].protocol}")
        return Risk(node["where"], node["card"], node["send"], rules=self.rules(node, strategies, root))

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
            limits = config_limits.limits(node["limits"], symbols["symbols"], strategies, node["strategies"], self.bad)
            config_limits.check_heartbeat(node, control, limits, self.bad)
        else:
            limits = config_limits.nothing(len(symbols["symbols"]))
            if strategies:
                self.bad(node.where("limits"), "missing; strategies send nothing without limits")
        sessions = config_venues.sessions(node, self.session, self.bad)
        journal = config_journal.journal(at, node, self.path, self.bad) if (at := node["journal"]) else None
        ramp = self.ramp(at, control) if (at := node["ramp"]) else None
        if ramp and not node["limits"]:
            self.bad(node.where("ramp"), "there are no limits to raise")
        paper = self.paper(at) if (at := node["paper"]) else None
        self.twins(node, strategies, paper)
        told = alerts(node["alerts"], self.path, self.bad) if node["alerts"] else None
        tokens = [channel.token_file for channel in told.channels] if told else []
        pipelines = config_venues.venues(node, self.pipelines(node["pipelines"]), sessions, self.bad)
        return Settings(
            name=node["name"],
            paper=paper,
            ramp=ramp,
            symbols=tuple(symbols["symbols"]),
            orders_max=symbols["orders_max"],
            pipelines=pipelines,
            strategies=strategies,
            limits=limits,
            sessions=sessions,
            router=config_venues.router(node, sessions, self.bad),
            control=control,
            risk=self.risk(at, sessions, strategies, node) if (at := node["risk"]) else Risk(),
            confine=confine,
            placement=placement,
            journal=journal,
            alerts=told,
            secrets=self.passwords.places(*tokens),
            publish=Publish(at["depth"], self.features(at)) if (at := node["publish"]) else Publish(),
            fanout_bytes=int(node["fanout"]["ring_mib"]) * MIB if node["fanout"] else 0,
            reference=symbols["reference"],
            levels_max=symbols["levels_max"],
        )

    def ramp(self, node: Node, control: Control) -> Ramp:
        """Steps rise, something takes them back, and no signature is asked for what was never signed."""
        steps = tuple(node["steps"])
        if list(steps) != sorted(set(steps)):
            self.bad(node.where("steps"), f"{', '.join(map(str, steps))}: each must be above the one before")
        refusals = dict(node["refusals"].values) if node["refusals"] else {}
        if not refusals and node["rejects_pct"] is None and node["loss_max"] is None:
            self.bad((node.line, node.path), "nothing takes a step back: refusals, rejects_pct or loss_max is needed")
        if control.limits_keys:
            self.bad((node.line, node.path), "its steps are not signed: it cannot be with control.limits_keys")
        return Ramp(steps, node["hold"], node["orders_min"], refusals, node["rejects_pct"], node["loss_max"])

    def paper(self, node: Node) -> Paper:
        """The venue of strategies that are not live: a delay and whether they leave a mark, or a MODEL.yaml."""
        at_once = Latency.constant(0)
        model = Model(at_once, Latency.constant(node["latency"] or 0), at_once, has_impact=node["impact"])
        given = [key for key in ("latency", "impact") if key in node]
        if node["model"] is None:
            if "latency" not in given:
                self.bad((node.line, node.path), "missing; latency or model is needed")
            return Paper(model)
        place, file = node.where("model"), node["model"]
        if given:
            self.bad(place, f"{file}: goes without {' and '.join(given)}: it has its own")
        try:
            model = venue_model.load(self.folder / file)
        except ProblemsError as error:
            for problem in error.problems:
                self.bad(place, f"{file}: {problem}")
        except OSError as error:
            self.bad(place, f"{file}: {error.strerror}")
        if not model.shares_books:
            least, feed = int(model.answer.ns[0]), model.feed.text
            text = "on paper feed_latency is a constant, and no answer is faster than it"
            self.bad(place, f"{file}: feed_latency {feed}, answer_latency from {least} ns: {text}")
        return Paper(model, file)

    def twins(self, node: Node, strategies: tuple[Strategy, ...], paper: Paper | None) -> None:
        """Strategies that are not live need a model of the venue, and a segment of their own."""
        modes = {strategy.mode for strategy in strategies} - {"live"}
        if modes and paper is None:
            self.bad(node.where("paper"), "missing; a strategy that is not live needs paper.latency or paper.model")
        if paper and not modes:
            self.bad(node.where("paper"), "no strategy has mode paper or shadow")
        for mode in sorted(modes):
            if len(twin_name(node["name"], mode)) > NAME_MAX:
                self.bad(node.where("name"), f"longer than {NAME_MAX - len(mode) - 1}; {mode} is added to it")
        if any(node["name"].endswith(f"-{mode}") for mode in MODES[1:]):
            self.bad(node.where("name"), "ends like the segment of strategies that are not live")


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
