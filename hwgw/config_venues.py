"""The sections of gateway.yaml about venues: sessions, whose feed a channel is, and the router.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from .config_schema import INSTRUMENTS_MAX, SESSIONS_MAX
from .settings import Pipeline, Router, Session
from .strict_yaml import Bad, Node

__all__ = ["router", "sessions", "venues"]


def sessions(node: Node, make: Callable[[Node, str], Session], bad: Bad) -> tuple[Session, ...]:
    """One without a name, or those of several venues; make: of its section, and what it does when it is lost."""
    if node["session"] and node["sessions"]:
        bad(node.where("session"), "both session and sessions; one is allowed")
    if not node["sessions"]:
        return (make(node["session"], "halt"),) if node["session"] else ()
    given = node["sessions"]
    if not 1 <= len(given.values) <= SESSIONS_MAX:
        bad((given.line, given.path), f"{len(given.values)} venues; 1 to {SESSIONS_MAX} are allowed")
    return tuple(dataclasses.replace(make(at, "others"), venue=name) for name, at in given.values.items())


def venues(node: Node, pipelines: tuple[Pipeline, ...], found: tuple[Session, ...], bad: Bad) -> tuple[Pipeline, ...]:
    """Each channel with the number of its venue; every venue needs a channel, or nothing is known of its prices."""
    names = [session.venue for session in found]
    told = set()
    made = []
    for at, pipeline in zip(node["pipelines"], pipelines, strict=True):
        channels = []
        for where, channel in zip(at["channels"], pipeline.channels, strict=True):
            name = where["venue"] or (names[0] if len(names) == 1 else "")
            if name not in names and (names or name):
                allowed = f"one of {', '.join(names)} is needed" if any(names) else "there are no sessions with names"
                bad(where.where("venue"), f"{name}: no such venue; {allowed}" if name else f"missing; {allowed}")
            told.add(name)
            channels.append(dataclasses.replace(channel, venue=names.index(name) if name in names else 0))
        if pipeline.receive.backend == "card" and len(names) > 1:
            bad(at["receive"].where("backend"), "card: it has one venue; sessions has several")
        made.append(dataclasses.replace(pipeline, channels=tuple(channels)))
    for name in names:
        if len(names) > 1 and name not in told:
            bad(node["sessions"].where(name), "no channel names this venue")
    symbols = node["instruments"]["symbols"]
    if len(names) * len(symbols) > INSTRUMENTS_MAX:
        text = f"{len(symbols)} at {len(names)} venues; at most {INSTRUMENTS_MAX} in all"
        bad(node["instruments"].where("symbols"), text)
    return tuple(made)


def router(node: Node, found: tuple[Session, ...], bad: Bad) -> Router:
    """Of use with several venues only; so is what a session says of it."""
    if len(found) < 2:
        for at in (node, *([node["session"]] if node["session"] else ())):
            for key in ("router", "route", "when_lost"):
                if key in at:
                    bad(at.where(key), "there is one venue; it is of sessions with several")
    at = node["router"]
    return Router(at["children_max"], at["latency_cost"], at["fill_cost"], at["retries_max"]) if at else Router()
