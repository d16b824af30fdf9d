"""CPUs, caches, nodes, NICs, clocks and kernel of a host, as they are.

SPDX-License-Identifier: MIT

Pure: reads the host, which may be a recorded or made tree, and takes no privilege.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from . import irqs
from .cpus import Cpus, list_text, parse_list
from .host import Host
from .nic import actuator, quirks

__all__ = ["OPTIONS", "Core", "Irq", "Nic", "Topology", "cores", "read"]

# kernel option: what it is good for
OPTIONS = {
    "CONFIG_CPU_ISOLATION": "isolcpus=", "CONFIG_NO_HZ_FULL": "nohz_full=", "CONFIG_RCU_NOCB_CPU": "rcu_nocbs=",
    "CONFIG_PREEMPT_RT": "PREEMPT_RT", "CONFIG_XDP_SOCKETS": "AF_XDP", "CONFIG_NET_RX_BUSY_POLL": "busy polling",
    "CONFIG_GENERIC_IRQ_EFFECTIVE_AFF_MASK": "effective IRQ affinity", "CONFIG_HUGETLBFS": "huge pages",
    "CONFIG_CPUSETS": "cpusets",
}  # fmt: skip
_TSC = ("constant_tsc", "nonstop_tsc")


@dataclass(frozen=True, slots=True)
class Core:
    """A physical core: its CPUs (SMT siblings), node, and the CPUs that share its last cache."""

    cpus: Cpus
    node: int
    cache: Cpus
    cache_size: str

    @property
    def first(self) -> int:
        """The CPU by which the core is named."""
        return min(self.cpus)


@dataclass(frozen=True, slots=True)
class Irq:
    """An interrupt of a NIC; queue is None for those that serve no receive queue."""

    number: int
    name: str
    queue: int | None
    allowed: Cpus
    effective: Cpus


@dataclass(slots=True)
class Nic:
    """A network interface with a device behind it."""

    name: str
    driver: str
    firmware: str
    bus: str
    node: int | None
    is_up: bool
    speed_mbps: int | None
    pcie: str
    pcie_best: str
    queues: int
    queues_max: int | None
    clock: str  # /dev/ptpN, or nothing
    irqs: list[Irq] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    quirks: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Topology:
    """The whole."""

    release: str
    model: str
    cores: list[Core]
    nodes: dict[int, Cpus]
    memory_kib: dict[int, int]
    online: Cpus
    isolated: Cpus
    tickless: Cpus
    nics: list[Nic]
    clocksource: str
    tsc: tuple[str, ...]  # of _TSC, those that the processor has
    options: dict[str, bool | None]  # None: nobody can tell
    idle_driver: str
    governors: dict[str, int]  # governor: CPUs
    smt: bool

    def node_of(self, cpu: int) -> int:
        """The node of a CPU."""
        return next((node for node, cpus in self.nodes.items() if cpu in cpus), 0)

    def result(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "release": self.release, "model": self.model, "smt": self.smt,
            "online": list_text(self.online), "isolated": list_text(self.isolated),
            "nohz_full": list_text(self.tickless),
            "cores": [{"cpus": list_text(core.cpus), "node": core.node, "cache": list_text(core.cache),
                       "cache_size": core.cache_size} for core in self.cores],
            "nodes": [{"node": node, "cpus": list_text(cpus), "memory_kib": self.memory_kib.get(node)}
                      for node, cpus in self.nodes.items()],
            "nics": [{**asdict(nic), "irqs": [
                {"irq": irq.number, "name": irq.name, "queue": irq.queue, "allowed": list_text(irq.allowed),
                 "effective": list_text(irq.effective)} for irq in nic.irqs]} for nic in self.nics],
            "clocksource": self.clocksource, "tsc": list(self.tsc), "options": self.options,
            "idle_driver": self.idle_driver, "governors": self.governors,
        }  # fmt: skip


def _cache(host: Host, cpu: int) -> tuple[Cpus, str]:
    """The CPUs that share the last level of cache, and its size."""
    base = f"/sys/devices/system/cpu/cpu{cpu}/cache"
    best = (0, frozenset({cpu}), "")
    for name in host.names(base):
        level = host.read(f"{base}/{name}/level") or ""
        if name.startswith("index") and level.isdigit() and int(level) > best[0]:
            shared = parse_list(host.read(f"{base}/{name}/shared_cpu_list") or str(cpu))
            best = (int(level), shared, host.read(f"{base}/{name}/size") or "")
    return best[1], best[2]


def cores(host: Host) -> list[Core]:
    """Every core with a CPU on line, by its first CPU."""
    found: list[Core] = []
    seen: set[int] = set()
    for cpu in sorted(host.online):
        if cpu in seen:
            continue
        cpus = host.siblings(cpu) & host.online
        seen |= cpus
        node = next((number for number, members in host.nodes.items() if cpu in members), 0)
        cache, size = _cache(host, cpu)
        found.append(Core(cpus, node, cache & host.online, size))
    return found


def _irqs(host: Host, name: str) -> list[Irq]:
    said, queue_of = irqs.names(host), {irq: queue for queue, irq in irqs.of_queues(host, name).items()}
    return [
        Irq(
            number, said[number], queue_of.get(number),
            parse_list(host.read(f"/proc/irq/{number}/smp_affinity_list") or ""),
            parse_list(host.read(f"/proc/irq/{number}/effective_affinity_list") or ""),
        )
        for number in irqs.of_device(host, name) if number in said
    ]  # fmt: skip


def _pcie(host: Host, name: str, which: str) -> str:
    device = f"/sys/class/net/{name}/device"
    for folder in (device, f"{host.realpath(device).rpartition('/')[0]}"):
        speed, width = host.read(f"{folder}/{which}_link_speed"), host.read(f"{folder}/{which}_link_width")
        if speed and width:
            return f"{speed.removesuffix(' PCIe')} x{width}"
    return ""


def _nic(host: Host, name: str) -> Nic:
    base = f"/sys/class/net/{name}"
    have: dict[str, str] = {}
    with contextlib.suppress(OSError):
        have = actuator.settings(host, name)
    node, speed = host.read(f"{base}/device/numa_node"), host.read(f"{base}/speed")
    driver = have.get("driver.name") or host.realpath(f"{base}/device/driver").rpartition("/")[2]
    queues = len([entry for entry in host.names(f"{base}/queues") if entry.startswith("rx-")])
    most = [int(have[key]) for key in ("channels.combined_max", "channels.rx_max") if have.get(key, "0") != "0"]
    clocks = host.names(f"{base}/device/ptp")
    return Nic(
        name=name, driver=driver, firmware=have.get("driver.firmware", ""),
        bus=have.get("driver.bus") or host.realpath(f"{base}/device").rpartition("/")[2],
        node=int(node) if node and node.isdigit() else None, is_up=host.read(f"{base}/operstate") == "up",
        speed_mbps=int(speed) if speed and speed.isdigit() else None,
        pcie=_pcie(host, name, "current"), pcie_best=_pcie(host, name, "max"), queues=queues,
        queues_max=sum(most) or None, clock=f"/dev/{clocks[0]}" if clocks else "", irqs=_irqs(host, name),
        settings=have, quirks=[f"{row.setting}: {row.text}" for row in quirks.of_driver(driver)],
    )  # fmt: skip


def _memory(host: Host) -> dict[int, int]:
    found = {}
    for node in host.nodes:
        match = re.search(r"MemTotal:\s+(\d+) kB", host.read(f"/sys/devices/system/node/node{node}/meminfo") or "")
        if match:
            found[node] = int(match[1])
    return found or {0: host.memory_kib}


def read(host: Host) -> Topology:
    """Everything about the host that placement depends on."""
    info = host.read("/proc/cpuinfo") or ""
    model = re.search(r"^model name\s*: (.*)$", info, re.MULTILINE)
    flags = set((re.search(r"^flags\s*: (.*)$", info, re.MULTILINE) or ["", ""])[1].split())
    config = host.kernel_config
    governors: dict[str, int] = {}
    for cpu in sorted(host.online):
        if name := host.read(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"):
            governors[name] = governors.get(name, 0) + 1
    tickless = host.read("/sys/devices/system/cpu/nohz_full") or ""
    found_cores = cores(host)
    return Topology(
        release=host.release, model=model[1].strip() if model else "", cores=found_cores, nodes=dict(host.nodes),
        memory_kib=_memory(host), online=host.online, isolated=host.isolated,
        tickless=parse_list(tickless) if re.fullmatch(r"[\d,:/-]*", tickless) else frozenset(),
        nics=[_nic(host, name) for name in host.nics()],
        clocksource=host.read("/sys/devices/system/clocksource/clocksource0/current_clocksource") or "",
        tsc=tuple(flag for flag in _TSC if flag in flags),
        options={name: (config.get(name, "n") != "n") if config else None for name in OPTIONS},
        idle_driver=host.read("/sys/devices/system/cpu/cpuidle/current_driver") or "none",
        governors=governors, smt=any(len(core.cpus) > 1 for core in found_cores),
    )  # fmt: skip
