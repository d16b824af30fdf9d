"""What contradicts itself, or this host, in a profile: found before anything is written.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from ..errors import HwgwError, UsageError
from ..strict_yaml import Problem
from . import irqs, lint
from .boot import text_of
from .cpus import Cpus, list_text, parse_list, parse_mask
from .expand import Missing
from .host import Host
from .knob import Setting, Unsupported, actuator
from .profile import LEAVE, RECOMMENDED, Profile
from .roles import Roles

__all__ = ["problems", "warnings"]

_SWITCH = ("0", "1", "on", "off", "Y", "N", "y", "n")
_AVAILABLE = {
    "scaling_governor": "scaling_available_governors",
    "current_clocksource": "available_clocksource",
    "energy_performance_preference": "energy_performance_available_preferences",
    "current_governor": "available_governors",
}
# knobs whose CPUs must not be isolated ones
_KEEP_OFF = ("irq.", "kernel.workqueue", "kernel.threads", "kernel.watchdog_cpumask", "sched.tasks")
_HUGE = {"mem.hugepages_2m": ("hugepages_2m", 2048), "mem.hugepages_1g": ("hugepages_1g", 1048576)}
_HUGE_SHARE_PCT = 80


def _queues(name: str, host: Host) -> tuple[int, int]:
    """How many receive queues a NIC has, and how many it can have."""
    has = max(len(host.glob(f"/sys/class/net/{name}/queues/rx-[0-9]*")), len(irqs.of_queues(host, name)))
    most = has
    for setting in ("channels.combined_max", "channels.rx_max"):
        with contextlib.suppress(OSError, Unsupported, HwgwError):
            most = max(most, int(actuator("nic").read(host, f"{name} {setting}") or "0"))
    return has, most


def _nics(profile: Profile, roles: Roles, host: Host) -> Iterator[Problem]:
    there = host.nics()
    for nic in profile.nics.values():
        key = f"nics.{nic.name}"
        if nic.name not in host.names("/sys/class/net"):
            yield profile.problem(key, f"{nic.name}: no such interface; this host has {', '.join(there) or 'none'}")
            continue
        has, most = _queues(nic.name, host)
        if nic.queue_cnt is not None and most and nic.queue_cnt > most:
            text = f"{nic.queue_cnt} queues wanted; {nic.name} can have {most}"
            yield profile.problem(key, text)
        last = (nic.queue_cnt or has) - 1
        users: dict[int, int] = {}
        for queue, cpu in sorted(nic.hot.items()):
            at = f"{key}.hot.{queue}"
            if has and queue > last:
                yield profile.problem(at, f"there is no queue {queue}; {nic.name} would have 0 to {last}")
            if cpu not in host.online:
                yield profile.problem(at, f"there is no CPU {cpu}; {list_text(host.online)} are on")
            elif cpu in users:
                text = f"CPU {cpu} consumes queue {users[cpu]} already; each hot queue has a CPU of its own"
                yield profile.problem(at, text)
            elif cpu not in roles.feed | roles.order:
                text = f"CPU {cpu} is neither a feed ({list_text(roles.feed) or 'none'}) nor an order CPU"
                yield profile.problem(at, f"{text} ({list_text(roles.order) or 'none'})")
            users.setdefault(cpu, queue)


def _cpus(setting: Setting) -> Cpus | None:
    compare = setting.knob.compare
    if compare == "mask":
        return parse_mask(setting.want)
    return parse_list(setting.want) if compare in ("cpus", "within") else None


def _value(setting: Setting, roles: Roles, host: Host) -> str:
    """What is wrong with the value wanted at a place; empty when nothing is."""
    knob, want = setting.knob, setting.want
    if knob.compare == "number" and not re.fullmatch(r"-?[0-9]+", want):
        return f"{want}: not a whole number"
    if knob.compare == "switch" and want not in _SWITCH:
        return f"{want}: on or off (1 or 0) is allowed"
    try:
        cpus = _cpus(setting)
    except UsageError as error:
        return str(error)
    if cpus is not None:
        if beyond := cpus - host.possible:
            return f"{want}: there is no CPU {list_text(beyond)}; this host has {list_text(host.possible)}"
        if not cpus and "workqueue" in knob.name:
            return f"{want}: an empty mask is refused by the kernel"
        own = roles.feed | roles.order if knob.name in ("irq.queues", "irq.xps") else frozenset()
        if knob.name.startswith(_KEEP_OFF) and (bad := (cpus & roles.isolated) - own):
            return f"{want}: CPU {list_text(bad)} is isolated; nothing else may be put there"
    if knob.kind == "service" and want not in ("running", "stopped"):
        return f"{want}: running or stopped is allowed"
    if knob.kind == "file" and host.exists(setting.target):
        return _choice(setting, host)
    return ""


def _choice(setting: Setting, host: Host) -> str:
    have = (host.read(setting.target) or "").split()
    allowed: list[str] = []
    if sum(word.startswith("[") for word in have) == 1 and len(have) > 1:
        allowed = [word.strip("[]") for word in have]
    folder, _, name = setting.target.rpartition("/")
    if name in _AVAILABLE:
        allowed = (host.read(f"{folder}/{_AVAILABLE[name]}") or "").split()
    if allowed and setting.want not in allowed:
        return f"{setting.want}: not offered here; {', '.join(allowed)} are"
    return ""


def _pairs(profile: Profile, wanted: dict[str, str]) -> Iterator[Problem]:
    from . import table

    for name in wanted:
        twin = table.knobs()[name].twin
        if twin in wanted and name > twin:
            yield profile.problem(f"knobs.{name}", f"{twin} is set too; setting either makes the kernel zero the other")


def _whole(profile: Profile, roles: Roles, host: Host, wanted: dict[str, str]) -> Iterator[Problem]:
    for name in wanted:
        if name.startswith("security.") and name not in profile.reasons:
            text = "gives up a protection: write down who decided and why, under reasons"
            yield profile.problem(f"knobs.{name}", text)
    for name in profile.reasons:
        if name not in wanted and name.startswith("security."):
            yield profile.problem(f"reasons.{name}", "a reason for a knob that is not set")
    if wanted.get("sched.rt_runtime") == "-1" and not roles.isolated:
        text = "-1: without isolated CPUs a spinning real-time thread hangs the host"
        yield profile.problem("knobs.sched.rt_runtime", text)
    for name, (key, size_kib) in _HUGE.items():
        cnt = profile.numbers.get(key, 0)
        most = host.memory_kib * _HUGE_SHARE_PCT // 100 // size_kib
        if name in wanted and cnt > most:
            text = (
                f"{cnt} pages of {size_kib // 1024} MiB wanted; this host has memory for {most} at {_HUGE_SHARE_PCT} %"
            )
            yield profile.problem(key, text)


def _boot(profile: Profile, settings: list[Setting], host: Host) -> Iterator[Problem]:
    """The rules of the linter, on what the profile would put on the command line."""
    ours = {s.knob.place: s for s in settings if s.knob.kind == "cmdline"}
    line = text_of([(place, setting.want) for place, setting in ours.items()])
    for finding in lint.lint(line, host):
        setting = ours.get(finding.option)
        if finding.level == lint.ERROR and setting is not None:
            yield profile.problem(f"knobs.{setting.knob.name}", f"{setting.want}: {finding.text}")


def problems(
    profile: Profile, roles: Roles, settings: list[Setting], host: Host, *, are_roles_wrong: bool = False
) -> list[Problem]:
    """Every mistake; with one a profile is refused. What only follows from wrong roles is not said again."""
    if are_roles_wrong:
        settings = [setting for setting in settings if profile.knobs.get(setting.knob.name) != RECOMMENDED]
    wanted = {name: value for name, value in profile.knobs.items() if value != LEAVE}
    found = [*_nics(profile, roles, host), *_pairs(profile, wanted), *_whole(profile, roles, host, wanted)]
    found += _boot(profile, settings, host)
    seen = set()
    for setting in settings:
        text = _value(setting, roles, host)
        if text and (setting.knob.name, text) not in seen:
            seen.add((setting.knob.name, text))
            found.append(profile.problem(f"knobs.{setting.knob.name}", text))
    return found


def warnings(profile: Profile, roles: Roles, missing: list[Missing], host: Host) -> list[tuple[str, str]]:
    """What works, but not as well as it could, by knob or role."""
    found = []
    for nic in profile.nics:
        away = roles.feed - host.nodes.get(host.nic_node(nic), host.online)
        if away and nic in host.nics():
            where = f"not on node {host.nic_node(nic)}, that of {nic}"
            text = f"CPU {list_text(away)} is {where}: every packet crosses the interconnect"
            found.append(("roles.feed", text))
    if not profile.nics and any(name.startswith(("nic.", "napi.")) for name in profile.knobs):
        found.append(("nics", "no NIC is named (nics: in the profile, --nic or --config): NIC knobs are left alone"))
    if roles.feed and len(host.online) > 1 and not roles.isolated <= host.isolated:
        found.append(("boot.isolcpus", f"CPU {list_text(roles.isolated - host.isolated)} is not isolated in this boot"))
    found += [(item.knob.name, item.why) for item in missing]
    return found
