"""What a host would have to change to be as a profile says: read, compared, written nowhere.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..strict_yaml import Problem, ProblemsError
from . import check, expand, persist
from .host import Host
from .knob import DISRUPTIVE, FIRMWARE, Knob, Setting, Unsupported, actuator, same
from .owners import Owner, Owners
from .profile import Profile
from .roles import Roles, resolve
from .state import State

__all__ = ["Change", "Plan", "look", "make", "path_of"]

TEXT_MAX = 60


@dataclass(frozen=True, slots=True)
class Change:
    """One place that is not as wanted."""

    setting: Setting
    old: str
    owner: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As --json shows it."""
        knob = self.setting.knob
        return {
            "knob": knob.name, "path": path_of(self.setting), "old": self.old, "new": self.setting.want,
            "class": knob.change_class, "reason": knob.reason, "risk": knob.risk, "source": knob.source,
            "group": knob.group, "owner": self.owner,
        }  # fmt: skip


@dataclass(slots=True)
class Plan:
    """Everything a profile wants, and what of it is to be done."""

    profile: Profile
    roles: Roles
    settings: list[Setting] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    pending: list[Setting] = field(default_factory=list)  # set for the next boot
    unsupported: list[tuple[Setting, str]] = field(default_factory=list)
    missing: list[expand.Missing] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    foreign: list[Change] = field(default_factory=list)  # a service that runs sets these too


def path_of(setting: Setting) -> str:
    """Where a setting is, for people."""
    kind, target = setting.knob.kind, setting.target
    if kind == "sysctl":
        return "/proc/sys/" + target.translate(str.maketrans("./", "/."))
    if kind == "irq":
        return f"/proc/irq/{target}/smp_affinity_list"
    if kind == "thread":
        return f"/proc/{target.partition(' ')[0]}/status"
    return {
        "cmdline": f"/proc/cmdline {target}",
        "service": f"unit {target}",
        "nic": f"ethtool {target}",
        "mount": target.rpartition(" ")[0],
    }.get(kind, target)


def look(setting: Setting, host: Host) -> tuple[str, str]:
    """The value that is set, and why there is none."""
    try:
        have = actuator(setting.knob.kind).read(host, setting.target)
    except Unsupported as error:
        return "", str(error)
    except OSError as error:
        return "", error.strerror or str(error)
    if have is None:
        path = path_of(setting)
        return "", (host.why(path) if path.startswith("/") and " " not in path else "") or "not on this host"
    return have, ""


def _place(setting: Setting, host: Host) -> str:
    try:
        return f"{setting.knob.kind} {actuator(setting.knob.kind).place(host, setting.target)}"
    except Unsupported:
        return f"{setting.knob.kind} {setting.target}"


def wanted(profile: Profile, host: Host, *, keep: bool = False, mistakes: list[Problem] | None = None) -> Plan:
    """The settings of a profile on a host; ProblemsError names what contradicts itself."""
    roles, problems = resolve(profile, host)
    settings, missing, wrong = expand.settings(profile, roles, host)
    problems += [*check.problems(profile, roles, settings, host, are_roles_wrong=bool(problems)), *wrong]
    plan = Plan(profile, roles, missing=missing, warnings=check.warnings(profile, roles, missing, host))
    seen: dict[str, Setting] = {}
    for setting in settings:
        place = _place(setting, host)
        earlier = seen.setdefault(place, setting)
        if earlier is setting:
            plan.settings.append(setting)
        elif not same(setting.knob.compare, earlier.want, setting.want):
            text = f"{setting.want}: {earlier.knob.name} wants {earlier.want} at the same place, {place}"
            problems.append(profile.problem(f"knobs.{setting.knob.name}", text))
    if problems:
        raise ProblemsError(profile.file, problems)
    if keep:
        plan.settings += persist.settings(plan.settings, profile, host)
    return plan


def _stop(owner: Owner) -> Setting:
    """The service of an owner, as a knob of its own: its undo starts it again."""
    knob = Knob(
        name=f"owner.{owner.name}", group="irq", kind="service", place=owner.unit, change_class=DISRUPTIVE,
        reason="it sets knobs of this profile too: two programs that set one knob undo each other",
        verify="as systemd has it", undo="start it again", risk="medium", source="hwgw",
    )  # fmt: skip
    return Setting(knob, owner.unit, "stopped")


def _claim(plan: Plan, owned: list[tuple[Owner, Change]], host: Host, *, is_taken: bool) -> None:
    """Decide about knobs that a running service sets too: refused, or taken over by stopping it first."""
    stopped = {s.target for s in plan.settings if s.knob.kind == "service" and s.want == "stopped"}
    stops: dict[str, Change] = {}
    for owner, change in owned:
        if owner.unit in stopped:
            plan.changes.append(change)  # the profile stops it by itself
            continue
        if not is_taken:
            plan.foreign.append(change)
            continue
        plan.changes.append(change)
        if owner.unit not in stops and actuator("service").read(host, owner.unit) == "running":
            stops[owner.unit] = Change(_stop(owner), "running", str(owner))
        elif owner.unit not in stops:
            plan.warnings.append((change.setting.knob.name, f"{owner} is no service: it goes on, and may set it back"))
    order = {id(setting): at for at, setting in enumerate(plan.settings)}
    plan.changes.sort(key=lambda change: order[id(change.setting)])
    plan.changes[:0] = stops.values()


def make(profile: Profile, host: Host, state: State, *, keep: bool = False, take_over: bool = False) -> Plan:
    """The whole plan; keep adds the files that bring it back after a boot, take_over stops services in the way."""
    plan = wanted(profile, host, keep=keep)
    owners = Owners(host)
    refused = state.refused(host.boot_id)
    owned: list[tuple[Owner, Change]] = []
    for setting in plan.settings:
        have, why = look(setting, host)
        why = why or refused.get(_place(setting, host), "")
        if setting.knob.change_class == FIRMWARE:
            continue
        if why:
            plan.unsupported.append((setting, why))
        elif not same(setting.knob.compare, have, setting.want):
            change = Change(setting, have, owners.of(setting))
            if (owner := owners.owner(setting.knob)) is not None:
                owned.append((owner, change))
            else:
                plan.changes.append(change)
        elif setting.knob.kind == "cmdline" and actuator("cmdline").effective(host, setting.target) != setting.want:
            plan.pending.append(setting)
    _claim(plan, owned, host, is_taken=take_over)
    plan.warnings += [
        (change.setting.knob.name, f"{change.owner} sets it too")
        for change in {c.setting.knob.name: c for c in plan.changes if c.owner}.values()
    ]
    return plan
