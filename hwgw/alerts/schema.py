"""The section alerts of gateway.yaml: its keys, and which of them belong to which kind.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwgw import specs
from hwgw.private_file import others_mode
from hwgw.strict_yaml import Bad, Key, Keyed, Listing, Node, Section, choice, decimal, duration, integer, pattern

from .settings import Alerts, Channel, Rule

__all__ = ["ALERTS", "CHANNEL_KEYS", "RULE_KEYS", "alerts"]

SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
RULES_MAX, CHANNELS_MAX = 64, 16
PART_MAX = 10 * 10_000
NAME = pattern(r"[A-Za-z0-9_-]{1,31}", "1 to 31 of a-z A-Z 0-9 _ -")
PATH = pattern(r"[^\0]{1,1000}", "a file name")
MAIL = pattern(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,250}", "a mail address")
COUNTERS = tuple(counter.full_name for counter in specs.counters() if counter.full_name != "none.none")

# the keys of each kind that it needs, and those that it may have
CHANNEL_KEYS = {
    "webhook": (("url",), ("token_file",)),
    "smtp": (("server", "from", "to"), ("port", "tls")),
    "syslog": ((), ("path",)),
    "exec": (("command",), ()),
    "unix": (("path",), ()),
}
RULE_KEYS = {
    "halted": ((), ()),
    "instrument_halted": ((), ()),
    "venue_halted": ((), ()),
    "breaker": ((), ("window",)),
    "feed": ((), ()),
    "session": ((), ()),
    "receive": ((), ()),
    "gone": ((), ()),
    "heartbeat": ((), ("bound",)),
    "limit": ((), ("above",)),
    "journal": ((), ("above",)),
    "counter": (("counter",), ("count_max", "window")),
}
CHANNEL = Section(
    {
        "kind": Key(choice(*CHANNEL_KEYS)),
        "url": Key(pattern(r"https?://[!-~]{1,1000}", "a URL of http or https"), ""),
        "token_file": Key(PATH, ""),
        "server": Key(pattern(r"[A-Za-z0-9.:-]{1,253}", "a host name or address"), ""),
        "port": Key(integer(1, 65_535), 25),
        "tls": Key(choice("none", "starttls"), "none"),
        "from": Key(MAIL, ""),
        "to": Key(Listing(MAIL, 1, 32), ()),
        "path": Key(PATH, ""),
        "command": Key(Listing(PATH, 1, 32), ()),
    }
)
RULE = Section(
    {
        "when": Key(choice(*RULE_KEYS)),
        "channels": Key(Listing(NAME, 1, CHANNELS_MAX)),
        "severity": Key(choice("page", "ticket", "note"), "page"),
        "for": Key(duration(0, DAY_NS), 0),
        "above": Key(decimal(0, PART_MAX), 9_000),
        "bound": Key(duration(1_000_000, DAY_NS), SECOND_NS),
        "counter": Key(choice(*COUNTERS), ""),
        "count_max": Key(integer(0, 2**63 - 1), 0),
        "window": Key(duration(100_000_000, DAY_NS), 60 * SECOND_NS),
    }
)
ALERTS = Section(
    {
        "poll": Key(duration(20_000, SECOND_NS), 1_000_000),
        "interval": Key(duration(10_000_000, 60 * SECOND_NS), 250_000_000),
        "settle": Key(duration(0, DAY_NS), SECOND_NS),
        "repeat": Key(duration(0, DAY_NS), 0),
        "fifo_priority": Key(integer(0, 98), 0),
        "channels": Key(Keyed(NAME, CHANNEL)),
        "rules": Key(Keyed(NAME, RULE)),
    }
)


def _fit(node: Node, kind: str, keys: tuple[tuple[str, ...], tuple[str, ...]], own: tuple[str, ...], bad: Bad) -> None:
    needed, allowed = keys
    for key in needed:
        if key not in node:
            bad(node.where(key), f"missing; {kind} needs it")
    for key in node.lines:
        if key not in (*needed, *allowed, *own):
            some = ", ".join((*needed, *allowed)) or "none of its own"
            bad(node.where(key), f"{kind} has no use for it; its keys are {some}")


def _is_in_the_clear(url: str) -> bool:
    """Whether others than this host can read what is sent there."""
    if not url.startswith("http:"):
        return False
    try:
        host = urllib.parse.urlsplit(url).hostname or ""
        return host != "localhost" and not ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or nothing that can be
        return True


def _others_mode(file: str) -> int:
    """As others_mode; 0 for one that is not there, which is told when it is needed."""
    try:
        return others_mode(Path(file))
    except OSError:
        return 0


def alerts(node: Node, path: Callable[[str], str], bad: Bad) -> Alerts:
    """The settings of what was read; path makes a file name absolute, bad notes what does not fit together."""
    channels: list[Channel] = []
    for name, at in node["channels"].values.items():
        _fit(at, at["kind"], CHANNEL_KEYS[at["kind"]], ("kind",), bad)
        token_file = path(at["token_file"])
        if token_file and _is_in_the_clear(at["url"]):
            bad(at.where("token_file"), "sent in the clear; a token goes over https, or to this host")
        if token_file and (mode := _others_mode(token_file)):
            bad(at.where("token_file"), f"{token_file}: others can read it (mode {mode:04o}); chmod 600 it")
        values: dict[str, Any] = {key: at[key] for key in ("url", "server", "port", "tls")}
        place = at["path"] and path(at["path"])
        to, command = tuple(at["to"]), tuple(at["command"])
        channels.append(Channel(name, at["kind"], **values, token_file=token_file, sender=at["from"], recipients=to,
                                path=place, command=command))  # fmt: skip
    known = {channel.name: channel for channel in channels}
    rules = []
    for name, at in node["rules"].values.items():
        _fit(at, at["when"], RULE_KEYS[at["when"]], ("when", "channels", "severity", "for"), bad)
        for channel in at["channels"]:
            if channel not in known:
                bad(at.where("channels"), f"{channel}: no such channel; there are {', '.join(known) or 'none'}")
        rules.append(Rule(name, at["when"], tuple(at["channels"]), at["severity"], at["for"], at["above"], at["bound"],
                          at["counter"], at["count_max"], at["window"]))  # fmt: skip
    for what, cnt, most in (("rules", len(rules), RULES_MAX), ("channels", len(channels), CHANNELS_MAX)):
        if cnt > most:
            bad(node.where(what), f"{cnt} {what}; at most {most} are allowed")
    times = {f"{key}_ns": node[key] for key in ("poll", "interval", "settle", "repeat")}
    priority = node["fifo_priority"]
    return Alerts(tuple(channels), tuple(rules), **times, fifo_priority=priority, by_name=known)
