"""hwgw tune discover: what this host is, and where a gateway should run on it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import Output, verb

if TYPE_CHECKING:
    from hwgw.tune.placement import Proposal
    from hwgw.tune.topology import Nic, Topology

# setting: what it is called here
_SHOWN = {
    "rings.rx": "rx ring", "rings.tx": "tx ring", "coalesce.rx_usecs": "rx usecs",
    "coalesce.use_adaptive_rx": "adaptive rx", "features.rx-gro": "GRO", "features.rx-lro": "LRO",
    "features.rx-ntuple-filter": "ntuple", "rss.indir": "RSS over", "ntuple.rules": "rules", "pause.rx": "pause rx",
    "fec.active": "FEC", "timestamp.rx_filter": "time stamps",
}  # fmt: skip


def _runs(irqs: list[tuple[str, str]]) -> str:
    return ", ".join(f"{what} on {where}" for what, where in irqs)


def _nic_lines(nic: Nic, topology: Topology) -> Iterator[str]:
    from hwgw.tune.cpus import list_text

    speed = f"{nic.speed_mbps / 1000:g} Gb/s" if nic.speed_mbps else "speed not told"
    node = f"node {nic.node}" if nic.node is not None else "node not told"
    parts = [f"{nic.driver} {nic.firmware}".strip(), nic.bus, node, f"{speed}, {'up' if nic.is_up else 'DOWN'}"]
    if nic.pcie:
        parts.append(f"PCIe {nic.pcie}{'' if nic.pcie == nic.pcie_best else f' of {nic.pcie_best}'}")
    yield f"nic        {nic.name}: {', '.join(part for part in parts if part)}"
    most = f" of {nic.queues_max}" if nic.queues_max else ""
    have = [f"{word} {nic.settings[key]}" for key, word in _SHOWN.items() if key in nic.settings]
    queues_word = "receive queue" if nic.queues == 1 else "receive queues"
    yield f"           {nic.queues} {queues_word}{most}; {', '.join(have) or 'settings not told'}"
    queues = [
        (f"queue {irq.queue}: IRQ {irq.number}", f"CPU {list_text(irq.effective or irq.allowed)}")
        for irq in nic.irqs
        if irq.queue is not None
    ]
    others = [irq for irq in nic.irqs if irq.queue is None]
    if queues:
        yield f"           {_runs(queues)}"
    if others:
        yield f"           {len(others)} more ({', '.join(irq.name for irq in others[:3])})"
    if nic.clock:
        yield f"           hardware clock {nic.clock}"


def _host_lines(topology: Topology) -> Iterator[str]:
    from hwgw.tune.cpus import list_text
    from hwgw.tune.topology import OPTIONS

    cores, cpus, nodes = len(topology.cores), len(topology.online), len(topology.nodes)
    counts = f"{cpus} CPUs ({cores} cores{', SMT' if topology.smt else ''}), {nodes} node{'s' * (nodes != 1)}"
    yield f"host       Linux {topology.release}, {counts}; {topology.model}"
    for node, members in topology.nodes.items():
        memory = f"{topology.memory_kib[node] / 2**20:.1f} GiB, " if node in topology.memory_kib else ""
        named = ", ".join("+".join(map(str, sorted(core.cpus))) for core in topology.cores if core.node == node)
        caches = {core.cache: core.cache_size for core in topology.cores if core.node == node}
        shared = "; ".join(
            f"last cache {size} for {list_text(cpus)}".replace("  ", " ") for cpus, size in caches.items()
        )
        near = [nic.name for nic in topology.nics if nic.node == node and len(topology.nodes) > 1]
        yield f"node {node:<5} {memory}cores {named}; {shared}{''.join(f'; {name}' for name in near)}"
        assert members  # noqa: S101 (a node without CPUs is not listed)
    tsc = ", ".join(flag.removesuffix("_tsc") for flag in topology.tsc) or "not invariant"
    yield f"clock      {topology.clocksource or 'not told'}; TSC {tsc}"
    known = {True: "yes", False: "NO", None: "not told"}
    yield f"kernel     {', '.join(f'{use} {known[topology.options[name]]}' for name, use in OPTIONS.items())}"
    governors = ", ".join(f"{name} ({cnt})" for name, cnt in topology.governors.items()) or "no frequency control"
    lists = f"isolated {list_text(topology.isolated) or 'none'}, tickless {list_text(topology.tickless) or 'none'}"
    yield f"now        {lists}; governor {governors}; idle driver {topology.idle_driver}"


def _proposal_lines(found: Proposal) -> Iterator[str]:
    from hwgw.tune.cpus import list_text

    yield ""
    for role, cpus in (
        ("feed", found.feed),
        ("order", found.order),
        ("idle", found.idle),
        ("housekeeping", found.housekeeping),
    ):
        if cpus:
            yield f"{role:<13}{list_text(cpus)}"
        for about, reason in found.why:
            if about == role:
                yield f"             {reason}"
    if found.queues:
        yield f"{'queues':<13}" + ", ".join(
            f"{found.nic} queue {queue} to CPU {cpu}" for queue, cpu in found.queues.items()
        )
    for problem in found.problems:
        yield f"  !          {problem}"


@verb("discover", of="tune")
@click.option("--root", default="/", show_default=True, help="A recorded or made tree that stands for the machine.")
@click.option("--nic", default="", metavar="IF", help="The NIC of the feed; default: the fastest that is up.")
@click.option("--feed", type=click.IntRange(1, 64), default=1, show_default=True, help="Pipelines that take the feed.")
@click.option(
    "--order", type=click.IntRange(0, 64), default=0, show_default=True, help="Threads of their own for orders."
)
@click.option(
    "--write", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the proposal as a profile."
)
def discover(out: Output, root: str, nic: str, feed: int, order: int, write: Path | None) -> int:
    """What this host is, and where a gateway should run on it.

    CPUs, caches, nodes, NICs with their queues and interrupts, clocks and kernel options; then which cores should take
    the feed and send the orders, and why. Reads only; takes no privilege. -v adds what is peculiar about each driver.
    """
    from hwgw.tune.host import Host
    from hwgw.tune.placement import propose
    from hwgw.tune.topology import read

    topology = read(Host(root))
    found = propose(topology, nic=nic, feed_cnt=feed, order_cnt=order)
    if write:
        write.write_text(found.profile(), encoding="utf-8")
    out.emit({"host": topology.result(), "proposal": found.result(), "profile": found.profile()})
    for line in _host_lines(topology):
        out.row(line[:11], line[11:])
    for nic_found in topology.nics:
        for line in _nic_lines(nic_found, topology):
            out.row(line[:11], line[11:])
        for quirk in nic_found.quirks if out.level > 0 else ():
            out.row("           ", f"{nic_found.driver}: {quirk}")
    for line in _proposal_lines(found):
        if line:
            out.row(line[:13], line[13:])
        else:
            out.say("")
    return 0
