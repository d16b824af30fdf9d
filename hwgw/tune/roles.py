"""Roles to CPUs on a host: what auto, rest and siblings come to, and what of it contradicts itself.

SPDX-License-Identifier: MIT

auto takes whole cores: first of the NIC's node, never the one with CPU 0, which the kernel keeps for itself. What is
isolated are feed, order and idle, and the journal's CPUs unless they are housekeeping CPUs too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import UsageError
from ..strict_yaml import Problem
from . import placement, topology
from .cpus import Cpus, list_text, parse_list
from .host import Host
from .profile import ROLES, Profile

__all__ = ["Roles", "resolve"]


@dataclass(frozen=True, slots=True)
class Roles:
    """Which CPUs do what."""

    feed: Cpus = frozenset()
    order: Cpus = frozenset()
    journal: Cpus = frozenset()
    housekeeping: Cpus = frozenset()
    idle: Cpus = frozenset()

    @property
    def isolated(self) -> Cpus:
        """CPUs that belong to the gateway alone."""
        return self.feed | self.order | self.idle | (self.journal - self.housekeeping)


def _node(profile: Profile, host: Host) -> int | None:
    """The node of the NIC that matters: one that the profile names, else the fastest that is up."""

    def rank(name: str) -> tuple[bool, bool, int]:
        speed = host.read(f"/sys/class/net/{name}/speed") or ""
        is_up = host.read(f"/sys/class/net/{name}/operstate") == "up"
        return name in profile.nics, is_up, int(speed) if speed.isdigit() else 0

    best = max(host.nics(), key=rank, default=None)
    return None if best is None else host.nic_node(best)


def _given(profile: Profile, host: Host, problems: list[Problem]) -> dict[str, Cpus]:
    """The roles that name their CPUs."""
    found: dict[str, Cpus] = {}
    for role in ROLES:
        text = profile.roles.get(role, "none")
        if text.startswith("auto") or text in ("rest", "siblings", "none"):
            allowed = {"housekeeping": ("rest", "none"), "idle": ("siblings", "none")}.get(role, ("auto", "none"))
            if text.partition(" ")[0] not in allowed:
                also = " or ".join(allowed)
                problems.append(profile.problem(f"roles.{role}", f"{text}: a list of CPUs, {also} is allowed here"))
            continue
        try:
            cpus = parse_list(text)
        except UsageError as error:
            problems.append(profile.problem(f"roles.{role}", str(error)))
            continue
        possible, online = list_text(host.possible), list_text(host.online)
        if beyond := cpus - host.possible:
            problems.append(
                profile.problem(
                    f"roles.{role}", f"{text}: there is no CPU {list_text(beyond)}; this host has {possible}"
                )
            )
        elif off := cpus - host.online:
            problems.append(
                profile.problem(f"roles.{role}", f"{text}: CPU {list_text(off)} is off line; {online} are on")
            )
        found[role] = cpus & host.online
    return found


def _auto(profile: Profile, host: Host, found: dict[str, Cpus], problems: list[Problem]) -> None:
    """Give roles that say auto the best cores that are left; the core of CPU 0 is not for them."""
    taken = frozenset({0}).union(*found.values())
    left = [core for core in topology.cores(host) if not core.cpus & taken]
    free = [core.cpus for core in placement.nearest_first(left, _node(profile, host))]
    for role in ("feed", "order", "journal"):
        text = profile.roles.get(role, "none")
        if role in found or not text.startswith("auto"):
            continue
        wanted = int(text.partition(" ")[2] or "1")
        if len(free) < wanted:
            have = f"{len(free)} free core{'s' if len(free) != 1 else ''} beside that of CPU 0"
            problems.append(profile.problem(f"roles.{role}", f"{text}: {wanted} wanted, this host has {have}"))
            continue
        found[role] = frozenset(min(core) for core in free[:wanted])
        del free[:wanted]


def _contradictions(profile: Profile, host: Host, roles: Roles) -> Iterator[Problem]:
    is_twice = False  # what follows from it is not said again
    for one, other in (("feed", "order"), ("feed", "journal"), ("order", "journal"), ("feed", "housekeeping"),
                       ("order", "housekeeping"), ("idle", "housekeeping"), ("feed", "idle"),
                       ("order", "idle")):  # fmt: skip
        if both := getattr(roles, one) & getattr(roles, other):
            key = f"roles.{other}" if f"roles.{other}" in profile.where else f"roles.{one}"
            text = f"CPU {list_text(both)} is in {one} too; a CPU has one role"
            is_twice = True
            yield profile.problem(key, text)
    isolated = roles.isolated
    if isolated and 0 in isolated:
        role = next(role for role in ROLES if 0 in getattr(roles, role))
        text = "CPU 0 cannot be isolated: the kernel boots on it and keeps timers and interrupts there"
        yield profile.problem(f"roles.{role}", text)
    if isolated and not roles.housekeeping:
        yield profile.problem(
            "roles.housekeeping", "no CPU is left; interrupts and every other process need at least one"
        )
    for cpu in sorted(isolated):
        split = host.siblings(cpu) & roles.housekeeping
        if split and not is_twice and not profile.share_cores:
            role = next(role for role in ROLES if cpu in getattr(roles, role))
            with_whom = f"CPU {list_text(split)}, a housekeeping CPU"
            text = f"CPU {cpu} shares its core with {with_whom}; isolate both, or say share_cores: true"
            yield profile.problem(f"roles.{role}", text)


def resolve(profile: Profile, host: Host) -> tuple[Roles, list[Problem]]:
    """The CPUs of every role on this host, and what is wrong with them."""
    problems: list[Problem] = []
    found = _given(profile, host, problems)
    _auto(profile, host, found, problems)
    working = found.get("feed", frozenset()) | found.get("order", frozenset()) | found.get("journal", frozenset())
    if "idle" not in found and profile.roles.get("idle", "siblings") == "siblings" and not profile.share_cores:
        siblings = frozenset().union(*(host.siblings(cpu) for cpu in working)) & host.online
        found["idle"] = siblings - working - found.get("housekeeping", frozenset())
    taken = working | found.get("idle", frozenset())
    if "housekeeping" not in found:
        found["housekeeping"] = host.online - taken
    roles = Roles(**found)
    problems += _contradictions(profile, host, roles)
    return roles, problems
