"""Whether a host is as a profile says: the state in force, not the one that was asked for.

SPDX-License-Identifier: MIT

Verdicts: ok; drift (set otherwise, or set and not in force); pending reboot (set for the next boot); unsupported (this
host does not have it); foreign owner (set otherwise, and a service that sets it too runs).
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .cpus import parse_list
from .host import Host
from .knob import COMPARE, FIRMWARE, Setting, Unsupported, actuator, same
from .lint import isolcpus
from .owners import Owners
from .plan import Plan, look, path_of
from .state import State

__all__ = ["DRIFT", "FOREIGN", "OK", "PENDING", "UNSUPPORTED", "Row", "summary", "verify"]

OK, DRIFT, PENDING, UNSUPPORTED, FOREIGN = "ok", "drift", "pending reboot", "unsupported", "foreign owner"
SAMPLE_S = 0.2


@dataclass(frozen=True, slots=True)
class Row:
    """One place: what is wanted, what is in force, and what that means."""

    setting: Setting
    have: str
    verdict: str
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As --json shows it."""
        knob = self.setting.knob
        return {"knob": knob.name, "path": path_of(self.setting), "want": self.setting.want, "have": self.have,
                "verdict": self.verdict, "note": self.note, "class": knob.change_class}  # fmt: skip


class _Sample:
    """Counters now, to be compared with those a moment later."""

    def __init__(self, host: Host, settings: list[Setting]) -> None:
        self.host = host
        self.interrupts = _interrupts(host)
        self.usage = {s.target: host.read(_usage(s.target)) for s in settings if s.knob.name == "cpu.idle_states"}
        if host.live:
            time.sleep(SAMPLE_S)
        self.later = _interrupts(host)

    def strayed(self, irq: str, allowed: frozenset[int]) -> int:
        """Interrupts that came to other CPUs meanwhile."""
        before, after = self.interrupts.get(irq, {}), self.later.get(irq, {})
        return sum(after[cpu] - before.get(cpu, 0) for cpu in after if cpu not in allowed)

    def entered(self, target: str) -> int:
        """How often an idle state was entered meanwhile."""
        return int(self.host.read(_usage(target)) or "0") - int(self.usage.get(target) or "0")


def _usage(target: str) -> str:
    return target.replace("/disable", "/usage")


def _interrupts(host: Host) -> dict[str, dict[int, int]]:
    """The counts of each interrupt by CPU."""
    lines = (host.read("/proc/interrupts") or "").splitlines()
    cpus = [int(name[3:]) for name in lines[0].split()] if lines else []
    found = {}
    for line in lines[1:]:
        if match := re.match(r"\s*(\d+):((?:\s+\d+)+)", line):
            counts = [int(text) for text in match[2].split()][: len(cpus)]
            found[match[1]] = dict(zip(cpus, counts, strict=False))
    return found


def _boot(setting: Setting, host: Host) -> tuple[str, str, str]:
    """An option of the command line: what this boot has, the verdict and why."""
    target, want = setting.target, setting.want
    running = actuator("cmdline").effective(host, target) or ""
    if running != want:
        coming = actuator("cmdline").read(host, target)
        return running, PENDING if coming == want else DRIFT, "in force from the next boot on" if coming == want else ""
    shown = setting.knob.effective
    if target in ("isolcpus", "nohz_full") and host.exists(shown):
        cpus = isolcpus(want, host)[0] if target == "isolcpus" else parse_list(want)
        have = host.read(shown) or ""
        if parse_list(have if have != "(null)" else "") != cpus:
            return running, DRIFT, f"on the command line, but {shown} says {have or 'none'}: the kernel ignored it"
    return running, OK, ""


def _irq(setting: Setting, have: str, sample: _Sample, host: Host) -> tuple[str, str, str]:
    """An interrupt: where it is delivered, and whether any came elsewhere."""
    effective = actuator("irq").effective(host, setting.target) or have
    allowed = parse_list(setting.want)
    if parse_list(effective) <= allowed:
        return effective, OK, ""
    strayed = sample.strayed(setting.target, allowed)
    if strayed == 0 and host.live:
        return effective, OK, f"set; in force with its next interrupt (none came to CPU {effective} meanwhile)"
    came = f"{strayed} came" if host.live else "nobody can tell whether any come"
    return effective, DRIFT, f"set to {have}, still delivered to CPU {effective}: {came}"


def _rows(plan: Plan, host: Host, state: State) -> Iterator[Row]:
    owners = Owners(host)
    refused = state.refused(host.boot_id)
    sample = _Sample(host, plan.settings)
    for setting in plan.settings:
        knob = setting.knob
        if knob.change_class == FIRMWARE:
            continue
        have, why = look(setting, host)
        if not why:
            why = refused.get(f"{knob.kind} {actuator(knob.kind).place(host, setting.target)}", "")
        if why:
            yield Row(setting, have, UNSUPPORTED, why)
            continue
        if knob.kind == "cmdline":
            yield Row(setting, *_boot(setting, host))
            continue
        if same(knob.compare, have, setting.want):
            yield _in_force(setting, have, sample, host)
        elif who := owners.running(knob):
            yield Row(setting, have, FOREIGN, f"{who} sets it too")
        else:
            yield Row(setting, COMPARE["choice"](have) if knob.compare == "choice" else have, DRIFT)
    for item in plan.missing:
        yield Row(Setting(item.knob, item.path, item.want), "", UNSUPPORTED, item.why)


def _in_force(setting: Setting, have: str, sample: _Sample, host: Host) -> Row:
    """What is set: is it so?"""
    knob = setting.knob
    if knob.kind == "irq":
        return Row(setting, *_irq(setting, have, sample, host))
    try:
        effective = actuator(knob.kind).effective(host, setting.target)
    except (OSError, Unsupported):
        effective = have
    if effective is not None and not same(knob.compare, effective, setting.want):
        return Row(setting, effective, DRIFT, f"set to {have}, in force is {effective}")
    if knob.name == "cpu.idle_states" and (cnt := sample.entered(setting.target)):
        return Row(setting, have, DRIFT, f"disabled, but entered {cnt} times meanwhile")
    if knob.name == "cpu.governor":
        now, high = (host.read(setting.target.replace("governor", name)) for name in ("min_freq", "max_freq"))
        return Row(setting, have, OK, f"{now} to {high} kHz")
    return Row(setting, COMPARE["choice"](have) if knob.compare == "choice" else have, OK)


def verify(plan: Plan, host: Host, state: State) -> list[Row]:
    """Every place of a profile with its verdict."""
    return list(_rows(plan, host, state))


def summary(rows: list[Row]) -> dict[str, int]:
    """How often each verdict was given; those that never were, too."""
    cnt = Counter(row.verdict for row in rows)
    return {verdict: cnt[verdict] for verdict in (OK, DRIFT, PENDING, UNSUPPORTED, FOREIGN)}
