"""Interrupts held back per NAPI context, for as long as a gateway receives from an interface.

SPDX-License-Identifier: MIT

With busy polling a queue is looked at by the thread that wants its frames; its interrupts then only disturb. The kernel
holds them back after `defer_hard_irqs` empty polls until `gro_flush_timeout` has passed, and altogether for
`irq_suspend_timeout` while the application polls (Linux 6.13, netlink family netdev). Set per context these touch the
gateway's own queues alone, where the files of the device would change every queue.

Contexts come and go: a driver makes new ones when its interface goes down, its queues change, or, on veth, an XDP
program comes. `renew` finds and sets them. What was there before is put back by `restore`; a gateway that is killed
does not come to it, and a NIC keeps the values until its contexts go.
"""

from __future__ import annotations

import logging
import socket

from . import napi
from .netlink import KERNEL, Transport
from .settings import Deferral

__all__ = ["Held"]

_log = logging.getLogger(__name__)
_FIELDS = ("defer_hard_irqs", "gro_flush_timeout_ns", "irq_suspend_timeout_ns")


class Held:
    """The contexts of the queues of one interface, and what they had before."""

    def __init__(self, interface: str, queues: tuple[int, ...], wanted: Deferral, via: Transport = KERNEL) -> None:
        self.interface = interface
        self.queues = queues
        self.wanted = {name: value for name in _FIELDS if (value := getattr(wanted, name))}
        self.before: dict[int, dict[str, int]] = {}  # of the contexts that were set
        self.text = ""  # what is held back, or why it is not
        self._via = via

    def renew(self) -> str:
        """Set the contexts that are there now and were not; what is held back, or why it is not."""
        try:
            self._renew()
        except (OSError, KeyError) as error:
            said = error.strerror or str(error) if isinstance(error, OSError) else f"no {error} in this kernel"
            self._say(f"interrupts are not held back: {said}")
        return self.text

    def _renew(self) -> None:
        index = socket.if_nametoindex(self.interface)
        found = {each.id: each for each in napi.contexts(index, self._via)}
        # veth does not tell which queue is whose: then it is every context of the interface
        ours = {row.napi for row in napi.queues(index, self._via) if row.kind == "rx" and row.id in self.queues}
        chosen = sorted(found.keys() & ours) or ([] if ours - {None} else sorted(found))
        self.before = {number: values for number, values in self.before.items() if number in found}
        for number in chosen:
            if number in self.before:
                continue
            now = {name: getattr(found[number], name) for name in self.wanted}
            if None in now.values():
                missing = ", ".join(name for name, value in now.items() if value is None)
                self._say(f"interrupts are not held back: this kernel has no {missing} per NAPI (Linux 6.13)")
                return
            napi.set_context(number, **self.wanted, via=self._via)
            self.before[number] = now
        if not self.before:
            self._say("interrupts are not held back: no queue has a NAPI context")
            return
        numbers = ",".join(map(str, sorted(self.before)))
        values = ", ".join(f"{name.removesuffix('_ns')} {value}" for name, value in self.wanted.items())
        self._say(f"NAPI {numbers}: {values}")

    def _say(self, text: str) -> None:
        if text != self.text:
            _log.info("%s: %s", self.interface, text)
        self.text = text

    def restore(self) -> None:
        """Put back what contexts had that are still there."""
        for number, values in self.before.items():
            try:
                napi.set_context(number, **values, via=self._via)
            except OSError as error:  # it went with its program, or the interface did
                _log.info("%s: NAPI %d keeps nothing of ours: %s", self.interface, number, error)
        self.before = {}
