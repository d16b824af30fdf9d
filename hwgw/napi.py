"""NAPI contexts and queues of an interface (netlink family netdev): which interrupt and queue belongs to which context,
and how it polls.

SPDX-License-Identifier: MIT

The settings of a context die with it: a change of the number of queues and, with most drivers, down and up of the
interface make new contexts with new ids and the settings of the device.
"""

from __future__ import annotations

from dataclasses import dataclass

from .genl import Family
from .netlink import KERNEL, Transport

__all__ = ["Napi", "Queue", "contexts", "queues", "set_context"]

_QUEUE_TYPES = ("rx", "tx")


@dataclass(frozen=True, slots=True)
class Napi:
    """A NAPI context; None is what this kernel or driver does not tell."""

    id: int
    irq: int | None
    pid: int | None  # of its thread, when it has one
    defer_hard_irqs: int | None
    gro_flush_timeout_ns: int | None
    irq_suspend_timeout_ns: int | None
    threaded: int | None  # 0, 1, or 2: its thread polls without a pause


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue and its NAPI context, None where the driver does not tell."""

    id: int
    kind: str  # rx or tx
    napi: int | None


def contexts(ifindex: int, via: Transport = KERNEL) -> list[Napi]:
    """The NAPI contexts of an interface, by id; OSError before Linux 6.8."""
    rows = Family("netdev", via).dump("napi-get", {"ifindex": ifindex})
    names = ("irq", "pid", "defer-hard-irqs", "gro-flush-timeout", "irq-suspend-timeout", "threaded")
    found = [Napi(row["id"], *(row.get(name) for name in names)) for row in rows if row.get("ifindex") == ifindex]
    return sorted(found, key=lambda napi: napi.id)


def queues(ifindex: int, via: Transport = KERNEL) -> list[Queue]:
    """The queues in use, receive ones first; OSError before Linux 6.8."""
    rows = Family("netdev", via).dump("queue-get", {"ifindex": ifindex})
    found = [
        Queue(row["id"], _QUEUE_TYPES[row["type"]], row.get("napi-id")) for row in rows if row.get("ifindex") == ifindex
    ]
    return sorted(found, key=lambda queue: (queue.kind, queue.id))


def set_context(
    number: int,
    *,
    defer_hard_irqs: int | None = None,
    gro_flush_timeout_ns: int | None = None,
    irq_suspend_timeout_ns: int | None = None,
    threaded: int | None = None,
    via: Transport = KERNEL,
) -> None:
    """Change what is not None of one context; OSError before Linux 6.13 (threaded: 6.17), or when refused."""
    wanted = {
        "defer-hard-irqs": defer_hard_irqs,
        "gro-flush-timeout": gro_flush_timeout_ns,
        "irq-suspend-timeout": irq_suspend_timeout_ns,
        "threaded": threaded,
    }
    Family("netdev", via).do(
        "napi-set", {"id": number, **{name: value for name, value in wanted.items() if value is not None}}
    )
