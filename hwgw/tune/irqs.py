"""Which interrupt belongs to which queue of a NIC, by what drivers call them.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re

from .host import Host

__all__ = ["name", "names", "of_device", "of_queues", "renumbered"]

# the queue's number in the name of its interrupt: mlx5_comp3@pci:..., ice-eth0-TxRx-3, eth0-Tx-Rx-3, virtio0-input.3,
# eth0-rx-3, eth0-3
_QUEUE = re.compile(r"(?:mlx\d_comp|(?:TxRx|Tx-Rx|rx|fp|input)[-.])(\d+)(?:@.*)?$|^[A-Za-z][\w.]*-(\d+)$")


def name(host: Host, irq: int) -> str:
    """What an interrupt is for, as the kernel names it; empty when nobody uses it."""
    said = host.read(f"/sys/kernel/irq/{irq}/actions")
    return host.irq_actions(irq).replace("!", "/") if said is None else said


def names(host: Host) -> dict[int, str]:
    """What each interrupt is for; without those that nobody uses."""
    return {irq: said for irq in host.irqs() if (said := name(host, irq))}


def of_device(host: Host, nic: str) -> list[int]:
    """The interrupts of the device behind a NIC; a virtio device's are those of the PCI device it stands on."""
    device = host.realpath(f"/sys/class/net/{nic}/device")
    for folder in (device, device.rpartition("/")[0]):
        if found := [int(name) for name in host.names(f"{folder}/msi_irqs")]:
            return found
    return []


def of_queues(host: Host, nic: str) -> dict[int, int]:
    """The interrupt of each receive queue."""
    said = names(host)
    found = {}
    for irq in of_device(host, nic):
        if match := _QUEUE.search(said.get(irq, "")):
            found[int(match[1] or match[2])] = irq
    return found


def renumbered(host: Host, irq: int, wanted: str) -> int | None:
    """The number that an interrupt of that name has now; numbers change when a driver makes its queues anew."""
    if name(host, irq) == wanted:
        return irq
    same = [number for number, now in names(host).items() if now == wanted]
    return same[0] if len(same) == 1 else None
