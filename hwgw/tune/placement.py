"""Which CPUs a gateway should have on a host, and why: a proposal, made of the host's topology alone.

SPDX-License-Identifier: MIT

Whole cores of the NIC's node that share a last cache go to the feed, then to orders; their SMT siblings stay idle; the
core of CPU 0 and everything else is housekeeping. What cannot be had is given up in that order, and said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError
from .cpus import Cpus, list_text
from .topology import Core, Nic, Topology

__all__ = ["Proposal", "nearest_first", "propose"]


@dataclass(slots=True)
class Proposal:
    """Roles with their reasons; problems are what stands against it, each with what to do."""

    nic: str = ""
    feed: tuple[int, ...] = ()
    order: tuple[int, ...] = ()
    idle: Cpus = frozenset()
    housekeeping: Cpus = frozenset()
    queues: dict[int, int] = field(default_factory=dict)  # receive queue -> CPU
    why: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def result(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "nic": self.nic, "feed": list_text(self.feed), "order": list_text(self.order), "idle": list_text(self.idle),
            "housekeeping": list_text(self.housekeeping),
            "queues": [{"queue": queue, "cpu": cpu} for queue, cpu in self.queues.items()],
            "why": [{"role": role, "reason": reason} for role, reason in self.why], "problems": self.problems,
        }  # fmt: skip

    def profile(self) -> str:
        """The proposal as a profile for `hwgw tune plan --profile FILE`."""
        lines = ["about: proposed by hwgw tune discover", "include: [latency]", "roles:"]
        lines += [
            f"  {role}: {list_text(cpus) if cpus else 'none'}"
            for role, cpus in (("feed", self.feed), ("order", self.order))
        ]
        lines += [f"  housekeeping: {list_text(self.housekeeping)}", f"  idle: {list_text(self.idle) or 'none'}"]
        if self.nic and self.queues:
            hot = ", ".join(f"{queue}: {cpu}" for queue, cpu in self.queues.items())
            lines += ["nics:", f"  {self.nic}:", f"    hot: {{{hot}}}"]
        return "\n".join(lines) + "\n"


def _choose_nic(topology: Topology, name: str) -> Nic | None:
    if name:
        found = next((nic for nic in topology.nics if nic.name == name), None)
        if found is None:
            there = ", ".join(nic.name for nic in topology.nics) or "none"
            raise UsageError(f"--nic {name}: no such NIC with a device behind it; there are {there}")
        return found
    return max(topology.nics, key=lambda nic: (nic.is_up, nic.speed_mbps or 0, nic.queues), default=None)


def nearest_first(cores: Sequence[Core], node: int | None) -> list[Core]:
    """Cores that may be taken, best first: on the node, in the cache domain that has most of them, in their order."""
    on_node = [core for core in cores if node is None or core.node == node]
    room = {core.cache: sum(other.cache == core.cache for other in on_node) for core in on_node}
    nearest = sorted(on_node, key=lambda core: (-room[core.cache], min(core.cache), core.first))
    return nearest + [core for core in cores if core not in on_node]


def _says(cpu: int, core: Core, lead: Core, nic: Nic | None, topology: Topology) -> str:
    """Why this CPU."""
    parts = []
    if nic and nic.node is not None and len(topology.nodes) > 1:
        parts.append(f"on {nic.name}'s node {nic.node}" if core.node == nic.node else f"NOT on {nic.name}'s node")
    if core is not lead:
        parts.append("same last cache as the first" if core.cache == lead.cache else "another last cache")
    elif core.cache_size and len(core.cache) < len(topology.online):
        parts.append(f"last cache {core.cache_size} shared by CPUs {list_text(core.cache)} only")
    if len(core.cpus) > 1:
        parts.append(f"its sibling {list_text(core.cpus - {cpu})} idle, so that the core is its own")
    if cpu in topology.isolated:
        parts.append("isolated already")
    return "; ".join(parts) or "a core of its own"


def propose(topology: Topology, *, nic: str = "", feed_cnt: int = 1, order_cnt: int = 0) -> Proposal:
    """Place feed_cnt feed pipelines and order_cnt order threads; UsageError when there are not so many cores."""
    chosen = _choose_nic(topology, nic)
    found = Proposal(nic=chosen.name if chosen else "")
    first = next(core for core in topology.cores if 0 in core.cpus or core is topology.cores[0])
    free = [core for core in topology.cores if core is not first]
    wanted = feed_cnt + order_cnt
    if wanted > len(free):
        raise UsageError(
            f"{feed_cnt} feed and {order_cnt} order threads want {wanted} cores of their own; beside the core of CPU"
            f" {first.first}, which the kernel keeps for itself, there are {len(free)}"
        )
    taken = nearest_first(free, chosen.node if chosen else None)[:wanted]
    found.feed = tuple(core.first for core in taken[:feed_cnt])
    found.order = tuple(core.first for core in taken[feed_cnt:])
    used = frozenset(found.feed) | frozenset(found.order)
    found.idle = frozenset().union(*(core.cpus for core in taken)) - used if taken else frozenset()
    found.housekeeping = topology.online - used - found.idle
    for role, cpus in (("feed", found.feed), ("order", found.order)):
        for cpu in cpus:
            core = next(core for core in taken if cpu in core.cpus)
            found.why.append((role, f"CPU {cpu}: {_says(cpu, core, taken[0], chosen, topology)}"))
    found.why.append(
        (
            "housekeeping",
            f"CPU {first.first} keeps the kernel's time and takes what nobody else takes; the rest is for the"
            " operating system, interrupts, the journal and Python",
        )
    )
    if chosen:
        found.queues = {queue: cpu for queue, cpu in enumerate(found.feed) if queue < max(1, chosen.queues)}
    found.problems = [*_problems(topology, found, chosen)]
    return found


def _problems(topology: Topology, found: Proposal, nic: Nic | None) -> list[str]:
    said = []
    used = frozenset(found.feed) | frozenset(found.order)
    if nic is None:
        said.append("no NIC with a device behind it: nearness could not be judged")
    else:
        said += _nic_problems(topology, found, nic, used)
    if not topology.isolated >= used:
        missing = used - topology.isolated
        if topology.options.get("CONFIG_CPU_ISOLATION") is False:
            said.append("this kernel was built without CPU_ISOLATION: cpusets are the other way to keep tasks away")
        else:
            said.append(f"CPU {list_text(missing)} not isolated: hwgw tune plan says what to boot with")
    if topology.options.get("CONFIG_NO_HZ_FULL") is False:
        said.append("this kernel was built without NO_HZ_FULL: the tick stays on every busy core")
    if len(topology.tsc) < 2:
        said.append("no invariant TSC: times would be wrong")
    if topology.clocksource and topology.clocksource not in ("tsc", "kvm-clock"):
        said.append(f"clocksource {topology.clocksource}: reading the time is a system call; tsc is wanted")
    return said


def _nic_problems(topology: Topology, found: Proposal, nic: Nic, used: Cpus) -> list[str]:
    said = []
    if not nic.is_up:
        said.append(f"{nic.name} is down")
    if nic.node is None and len(topology.nodes) > 1:
        said.append(
            f"the firmware does not tell the node of {nic.name}: look at the slot, and give --nic or roles by hand"
        )
    if nic.node is not None and (far := [cpu for cpu in sorted(used) if topology.node_of(cpu) != nic.node]):
        said.append(
            f"CPU {list_text(far)} is not on node {nic.node} of {nic.name}: each packet crosses between the nodes"
        )
    if len(found.feed) > max(1, nic.queues):
        said.append(
            f"{len(found.feed)} feed threads and {nic.queues} receive queues on {nic.name}: at most one thread per"
            f" queue{f', up to {nic.queues_max} can be had' if (nic.queues_max or 0) > nic.queues else ''}"
        )
    if nic.pcie and nic.pcie_best and nic.pcie != nic.pcie_best:
        said.append(f"{nic.name} runs at PCIe {nic.pcie}, it could {nic.pcie_best}: wrong slot, or a bad contact")
    strays: list[tuple[str, Cpus]] = []
    for irq in nic.irqs:
        wanted = found.queues.get(irq.queue) if irq.queue is not None else None
        where = irq.effective or irq.allowed
        if wanted is not None and where != {wanted}:
            said.append(f"IRQ {irq.number} of queue {irq.queue} is on CPU {list_text(where)}, not on {wanted}")
        elif wanted is None and where & (used | found.idle):
            strays.append((str(irq.number), where & (used | found.idle)))
    if strays:
        numbers, cpus = ", ".join(number for number, _ in strays), frozenset().union(*(cpus for _, cpus in strays))
        said.append(f"IRQ {numbers} of {nic.name} on CPU {list_text(cpus)}: to housekeeping, or fewer queues")
    return said
