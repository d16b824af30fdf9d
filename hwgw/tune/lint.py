"""What is wrong with a kernel command line on a host: contradictions, and options that its kernel does not have.

SPDX-License-Identifier: MIT

The rules on isolation are those of kernel/sched/isolation.c; what a kernel has is read from its configuration
(/proc/config.gz or /boot/config-RELEASE). An error does not do what it says; a warning does, and one should know.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import UsageError
from . import table
from .boot import SET, options
from .cpus import Cpus, list_text, parse_list
from .expand import lacks
from .host import Host

__all__ = ["ERROR", "WARNING", "Finding", "isolcpus", "lint"]

ERROR, WARNING = "error", "warning"
_FLAGS = ("domain", "nohz", "managed_irq")
_REPEATED = {"console", "hugepages", "hugepagesz", "earlycon", "dyndbg"}
_CHOICES = {
    "transparent_hugepage": ("always", "madvise", "never"),
    "idle": ("poll", "halt", "nomwait"),
    "tsc": ("reliable", "noirqtime", "unstable", "nowatchdog", "recalibrate", "watchdog"),
    "numa_balancing": ("enable", "disable"),
    "preempt": ("none", "voluntary", "full", "lazy"),
    "skew_tick": ("0", "1"),
}
# kinds of attack since Linux 6.17
_MITIGATIONS = re.compile(r"off|auto([,;](nosmt|no_(user|guest)_(kernel|user|host|guest)|no_cross_thread))*")
# given to the kernel by habit, and not options of it
_FOREIGN = {
    "kthread_cpus": "no option of mainline kernels: it is passed to init and does nothing",
    "elevator": "ignored since Linux 5.0; the scheduler of a disk is set in /sys/block",
    "nohz_full_all": "there is no such option",
    "rcu_nocb": "the option is rcu_nocbs",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about an option."""

    level: str
    option: str
    value: str
    text: str

    def __str__(self) -> str:
        return f"{self.option}{'' if self.value == SET else f'={self.value}'}: {self.text}"


def _cpus(name: str, value: str, host: Host) -> tuple[Cpus, str]:
    """The CPUs of a list, and what is wrong with it."""
    if value in ("all", "N"):
        if value == "all":
            return host.possible, ""
        return frozenset(), "N stands for nothing: the last CPU may be written N only after a - (0-N), since Linux 5.12"
    try:
        cpus = parse_list(re.sub(r"-N\b", f"-{max(host.possible, default=0)}", value))
    except UsageError as error:
        return frozenset(), str(error)
    if beyond := cpus - host.possible:
        return cpus, f"there is no CPU {list_text(beyond)}; this host has {list_text(host.possible)}"
    return cpus, ""


def isolcpus(value: str, host: Host) -> tuple[Cpus, Iterator[str], bool]:
    """The CPUs of isolcpus, what is wrong, and whether the kernel takes them out of its domains."""
    words, wrong = value.split(","), []
    flags = []
    while words and re.fullmatch(r"[a-z_]+", words[0]):
        flags.append(words.pop(0))
    for flag in flags:
        if flag not in _FLAGS:
            wrong.append(f"{flag} is no flag of it; {', '.join(_FLAGS)} are")
        elif flag == "nohz" and host.kernel_config.get("CONFIG_NO_HZ_FULL", "n") != "y" and host.kernel_config:
            wrong.append("with the flag nohz a kernel without CONFIG_NO_HZ_FULL drops the whole option")
    cpus, text = _cpus("isolcpus", ",".join(words), host)
    if text:
        wrong.append(text)
    return cpus, iter(wrong), not flags or "domain" in flags


def _lists(found: dict[str, str], host: Host) -> Iterator[Finding]:
    sets: dict[str, Cpus] = {}
    for name in ("nohz_full", "rcu_nocbs", "irqaffinity", "systemd.cpu_affinity", "workqueue.unbound_cpus"):
        if name in found and found[name] != SET:
            sets[name], text = _cpus(name, found[name].replace(" ", ","), host)
            if text:
                yield Finding(ERROR, name, found[name], text)
    if "isolcpus" in found:
        sets["isolcpus"], wrong, is_domain = isolcpus(found["isolcpus"], host)
        yield from (Finding(ERROR, "isolcpus", found["isolcpus"], text) for text in wrong)
        if not is_domain:
            text = "without domain (or no flag at all) the scheduler goes on balancing onto these CPUs"
            yield Finding(WARNING, "isolcpus", found["isolcpus"], text)
    isolated = sets.get("isolcpus", frozenset()) | sets.get("nohz_full", frozenset())
    if isolated and not host.online - isolated:
        yield Finding(
            ERROR, "isolcpus", found.get("isolcpus", SET), "no CPU is left for everything else: the kernel ignores it"
        )
    if 0 in isolated:
        yield Finding(WARNING, "isolcpus", found.get("isolcpus", SET), "CPU 0 boots and keeps timers; isolate another")
    if {"isolcpus", "nohz_full"} <= set(sets) and sets["isolcpus"] != sets["nohz_full"]:
        level = ERROR if "nohz" in found["isolcpus"] else WARNING
        text = f"not the CPUs of isolcpus ({list_text(sets['isolcpus']) or 'none'}): one of the two halves is missing"
        yield Finding(level, "nohz_full", found["nohz_full"], text)
    for name in ("irqaffinity", "systemd.cpu_affinity", "workqueue.unbound_cpus"):
        if both := sets.get(name, frozenset()) & isolated:
            yield Finding(ERROR, name, found[name], f"CPU {list_text(both)} is isolated by isolcpus or nohz_full")
    for cpu in sorted(isolated):
        split = host.siblings(cpu) - isolated & host.online
        if split:
            text = f"CPU {cpu} shares its core with CPU {list_text(split)}, which is not isolated"
            yield Finding(WARNING, "isolcpus", found.get("isolcpus", SET), text)
            break


def _single(name: str, value: str, found: dict[str, str], host: Host) -> Iterator[Finding]:
    knob = next((k for k in table.knobs().values() if k.kind == "cmdline" and k.place == name), None)
    if name in _FOREIGN:
        yield Finding(ERROR, name, value, _FOREIGN[name])
    if name == "mitigations" and not _MITIGATIONS.fullmatch(value):
        yield Finding(ERROR, name, value, "not known; off, auto, auto,nosmt and kinds of attack behind auto are")
    if name in _CHOICES and value not in _CHOICES[name]:
        yield Finding(ERROR, name, value, f"not known; {', '.join(_CHOICES[name])} are")
    if knob and (why := lacks(knob, host)):
        yield Finding(ERROR, name, value, f"{why}: it is ignored")
    if name == "tsc" and value in ("reliable", "nowatchdog"):
        flags = set(
            (re.search(r"^flags\s*: (.*)$", host.read("/proc/cpuinfo") or "", re.MULTILINE) or ["", ""])[1].split()
        )
        if lacking := {"constant_tsc", "nonstop_tsc"} - flags:
            yield Finding(
                ERROR, name, value, f"this processor has no {', '.join(sorted(lacking))}: time would be wrong"
            )
    if (name, value) == ("mce", "off"):
        yield Finding(ERROR, name, value, "uncorrected memory errors would go unnoticed; ignore_ce is enough")
    if (name, value) == ("idle", "poll") and host.read("/sys/devices/system/cpu/smt/active") == "1":
        yield Finding(WARNING, name, value, "with SMT on, idle siblings take half of every core")
    if (name, value) == ("mitigations", "off") or (name in ("pti", "mds", "spectre_v2") and value == "off"):
        yield Finding(WARNING, name, value, "a decision of the site's risk officer: write down the reason")
    if name == "hugepages" and "hugepagesz" not in found and "default_hugepagesz" not in found and ":" in value:
        yield Finding(WARNING, name, value, "without hugepagesz= before it these are pages of the default size")


def lint(text: str, host: Host) -> list[Finding]:
    """Everything to know about a command line, errors first."""
    listed = options(text)
    found = dict(listed)
    findings = [
        Finding(WARNING, name, found[name], f"stands {cnt} times; the last counts, and the next editor sees the first")
        for name, cnt in Counter(name for name, _ in listed).items()
        if cnt > 1 and name not in _REPEATED
    ]
    findings += _lists(found, host)
    for name, value in found.items():
        findings += _single(name, value, found, host)
    return sorted(findings, key=lambda finding: finding.level)
