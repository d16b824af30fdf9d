"""Knobs of a profile to settings of a host: every place of each knob, with the value wanted there.

SPDX-License-Identifier: MIT

Pure: reads the host, writes nothing. A knob whose words mean nothing here (nothing is isolated, no NIC is named) has no
settings; one that this kernel was not built for is given back with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import UsageError
from ..strict_yaml import Problem
from . import irqs, mounts, table
from .cpus import Cpus, list_text, mask_text, parse_list
from .host import Host
from .knob import Knob, Setting, actuator
from .profile import LEAVE, RECOMMENDED, Nic, Profile
from .roles import Roles

__all__ = ["Missing", "Scope", "lacks", "settings"]

_WORD = re.compile(r"\$([a-z_0-9]+)(\.mask)?")
PF_KTHREAD, PF_NO_SETAFFINITY = 0x00200000, 0x04000000  # include/linux/sched.h
_ROLES = ("feed", "order", "journal", "housekeeping", "idle", "isolated")
WORDS = (*_ROLES, "online", "max_freq", "uncore_max", "deep", "hugepages_2m", "hugepages_1g", "queues", "queue_cpu",
         "queue_mask", "rss_queues", "flows")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Missing:
    """A knob of the profile that does nothing on this host, and why."""

    knob: Knob
    path: str
    want: str
    why: str


@dataclass(frozen=True, slots=True)
class Scope:
    """What a place is for: one CPU, node, NIC or queue."""

    cpu: int | None = None
    node: int | None = None
    nic: Nic | None = None
    path: str = ""
    words: dict[str, str] = field(default_factory=dict)


class _NothingError(Exception):
    """A word means nothing here."""


def lacks(knob: Knob, host: Host) -> str:
    """Why this kernel takes no notice of a knob; empty when it does, or when nobody can tell."""
    config = host.kernel_config
    if off := [name for name in knob.needs if config and config.get(name, "n") == "n"]:
        return f"this kernel was built without {', '.join(off)}"
    if knob.kernel_min and host.version != (0, 0):
        needed = tuple(int(part) for part in knob.kernel_min.split("."))
        if host.version < needed:
            return f"Linux {knob.kernel_min} or newer; this is {host.release}"
    return ""


class _Words:
    """What $words mean at a place."""

    def __init__(self, profile: Profile, roles: Roles, host: Host) -> None:
        self.profile, self.roles, self.host = profile, roles, host
        self.width = max(host.possible, default=0) + 1

    def fill(self, text: str, scope: Scope) -> str:
        def one(match: re.Match[str]) -> str:
            name, as_mask = match[1], bool(match[2])
            if name in _ROLES or name == "online":
                cpus: Cpus = self.host.online if name == "online" else getattr(self.roles, name)
                if not cpus:
                    raise _NothingError
                return mask_text(cpus, self.width) if as_mask else list_text(cpus)
            return self._fact(name, scope)

        return _WORD.sub(one, text)

    def _fact(self, name: str, scope: Scope) -> str:
        if name in scope.words:
            return scope.words[name]
        if name == "max_freq":
            return self._read(f"/sys/devices/system/cpu/cpu{scope.cpu}/cpufreq/scaling_max_freq")
        if name == "uncore_max":
            return self._read(scope.path.replace("min_freq", "max_freq"))
        if name == "deep":
            latency = int(self._read(scope.path.replace("/disable", "/latency")))
            if latency <= self.profile.numbers.get("idle_exit_us", 0):
                raise _NothingError
            return "1"
        if name in ("hugepages_2m", "hugepages_1g"):
            cnt = self.profile.numbers.get(name, 0)
            working = self.roles.feed | self.roles.order or self.host.online
            if not cnt or not working & self.host.nodes.get(scope.node or 0, frozenset()):
                raise _NothingError
            return str(cnt)
        if name == "queues" and scope.nic is not None and scope.nic.queue_cnt is not None:
            return str(scope.nic.queue_cnt)
        if name == "flows" and scope.nic is not None and scope.nic.flows:
            return "; ".join(scope.nic.flows)
        if name == "rss_queues" and scope.nic is not None and scope.nic.hot:
            if others := set(range(self._queues(scope.nic))) - set(scope.nic.hot):
                return list_text(others)
        if name in WORDS:
            raise _NothingError
        raise UsageError(f"${name}: no such word; there are {', '.join(f'${word}' for word in WORDS)}")

    def _queues(self, nic: Nic) -> int:
        """How many queues the NIC will have: as the profile sets it, else as it is."""
        if self.profile.knobs.get("nic.channels", LEAVE) != LEAVE and nic.queue_cnt is not None:
            return nic.queue_cnt
        have = actuator("nic").read(self.host, f"{nic.name} channels.combined")
        return int(have) if have and have.isdigit() else 0

    def _read(self, path: str) -> str:
        value = self.host.read(path)
        if not value:
            raise _NothingError
        return value


def _scopes(knob: Knob, profile: Profile, roles: Roles, host: Host) -> Iterator[tuple[str, Scope]]:
    """Every place of a knob as its target, and what that is for; a place that is not there keeps its pattern."""
    nics = [nic for name, nic in profile.nics.items() if name in host.nics()]
    if knob.kind == "thread":
        yield from ((target, Scope()) for target in _threads(host, roles, is_kernel=knob.name.startswith("kernel.")))
        return
    if knob.name == "irq.devices":
        hot = {irq for nic in nics for queue, irq in irqs.of_queues(host, nic.name).items() if queue in nic.hot}
        yield from ((str(irq), Scope()) for irq in irqs.names(host) if irq not in hot)
        return
    if knob.name == "irq.queues":
        for nic in nics:
            for queue, irq in irqs.of_queues(host, nic.name).items():
                if queue in nic.hot:
                    yield str(irq), Scope(nic=nic, words={"queue_cpu": str(nic.hot[queue])})
        return
    if knob.name == "irq.xps":
        width = max(host.possible, default=0) + 1
        for nic in nics:
            for queue, cpu in nic.hot.items():
                words = {"queue_mask": mask_text([cpu], width)}
                yield f"/sys/class/net/{nic.name}/queues/tx-{queue}/xps_cpus", Scope(nic=nic, words=words)
        return
    if "{nic}" in knob.place:
        filled = [(knob.place.replace("{nic}", nic.name), Scope(nic=nic)) for nic in nics]
    elif "{cpu}" in knob.place:
        cpus = roles.isolated if knob.each == "isolated" else host.online
        filled = [(knob.place.replace("{cpu}", str(cpu)), Scope(cpu=cpu)) for cpu in sorted(cpus)]
    elif "{node}" in knob.place:
        filled = [(knob.place.replace("{node}", str(node)), Scope(node=node)) for node in sorted(host.nodes)]
    elif "{block}" in knob.place:
        disks = [name for name in host.names("/sys/block") if host.exists(f"/sys/block/{name}/device")]
        filled = [(knob.place.replace("{block}", name), Scope()) for name in disks]
    elif "{swap}" in knob.place:
        filled = [(name, Scope()) for name in mounts.swaps(host)]
    elif "{mount}" in knob.place:
        filled = [(knob.place.replace("{mount}", path), Scope()) for path in mounts.disks(host)]
    else:
        filled = [(knob.place, Scope())]
    for place, scope in filled:
        if knob.kind == "file" and "*" in place:
            for path in host.glob(place):
                yield path, Scope(scope.cpu, scope.node, scope.nic, path, scope.words)
        else:
            yield place, scope


def _threads(host: Host, roles: Roles, *, is_kernel: bool) -> Iterator[str]:
    """Threads that may be moved; not those that somebody put on isolated CPUs alone."""
    for _, tid in host.threads():
        stat = (host.read(f"/proc/{tid}/stat") or "").rpartition(")")[2].split()
        if len(stat) <= 19:
            continue
        flags = int(stat[6])
        if flags & PF_NO_SETAFFINITY or bool(flags & PF_KTHREAD) is not is_kernel:
            continue
        allowed = host.status(tid).get("Cpus_allowed_list", "")
        if allowed and not parse_list(allowed) <= roles.isolated:
            yield f"{tid} {stat[19]}"


def settings(profile: Profile, roles: Roles, host: Host) -> tuple[list[Setting], list[Missing], list[Problem]]:
    """Everything that a profile wants of a host, in the order in which it is applied."""
    words = _Words(profile, roles, host)
    found: list[Setting] = []
    missing: list[Missing] = []
    problems: list[Problem] = []
    for knob in table.knobs().values():
        said = profile.knobs.get(knob.name, LEAVE)
        if said == LEAVE:
            continue
        want = knob.want if said == RECOMMENDED else said
        if want is None:
            continue
        if why := lacks(knob, host):
            if said == RECOMMENDED:
                missing.append(Missing(knob, knob.place, want, why))
            else:
                problems.append(profile.problem(f"knobs.{knob.name}", f"{said}: {why}"))
            continue
        for target, scope in _scopes(knob, profile, roles, host):
            try:
                found.append(Setting(knob, target, words.fill(want, scope)))
            except _NothingError:
                continue
            except UsageError as error:
                problems.append(profile.problem(f"knobs.{knob.name}", str(error)))
                break
    return found, missing, problems
