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


def _cores(host: Host, node: int) -> Iterator[Cpus]:
    """Whole cores, those of the node first, lowest CPU first; the core of CPU 0 not at all."""
    on_node = host.nodes.get(node, frozenset())
    seen: set[int] = set(host.siblings(0))
    for cpu in sorted(host.online, key=lambda cpu: (cpu not in on_node, cpu)):
        if cpu not in seen:
            core = host.siblings(cpu) & host.online
            seen |= core
            yield core


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


def _auto(profile: Profile, host: Host, found: dict[str, Cpus], node: int, problems: list[Problem]) -> None:
    free = [core for core in _cores(host, node) if not core & frozenset().union(*found.values())]
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
    nic = next((name for name in profile.nics if name in host.nics()), None) or next(iter(host.nics()), None)
    found = _given(profile, host, problems)
    _auto(profile, host, found, host.nic_node(nic) if nic else 0, problems)
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
