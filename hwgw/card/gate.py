"""The risk gate of a card: records in, verdicts out, limits, halt; as docs/decisions/0028 has the rings.

SPDX-License-Identifier: MIT

What a pipeline does in C (card_gate.c) here goes through the driver: for tests, tools, and whoever brings up a board.
One of the two may drive a card at a time. Thread: one.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, cast

import numpy as np

from hwgw import specs
from hwgw.errors import DeviceError, UsageError

from .driver import Card

ENTRY_SZ = specs.load("order").layout("order").length
VERDICT = specs.dtype("verdict", "verdict")
LAST_CNT = 64
READY_SECONDS = 5.0
POLL_CYCLES = 16


class Rings(Protocol):
    """What a transport with a shell behind it has besides registers."""

    def verdicts(self) -> bytes:
        """The verdicts that the shell has put into memory since the last call."""

    def run(self, cycles: int) -> None:
        """Time passes: the clock of a simulated card moves, a real one's does anyway."""


class Gate:
    """The gate of one card. reset() first: it begins with no table, no order, nothing armed."""

    def __init__(self, card: Card) -> None:
        if not hasattr(card.transport, "verdicts"):
            raise DeviceError(
                f"card {card.transport.name}: no ring of verdicts is mapped; only registers can be reached"
            )
        self.card = card
        self.rings = cast(Rings, card.transport)
        self._window = next(window for window in card.map.windows if window.name == "order_ring")
        self.entries = self._window.words * 4 // ENTRY_SZ
        self.head = self.taken = 0

    def reset(self) -> None:
        """Begins anew and waits until the gate has cleared its state."""
        self.card["gate_reset"] = 1
        self._await(lambda: bool(self.card["gate_is_ready"]), "the gate does not become ready", 512)
        self.rings.verdicts()  # they were for whoever had it before
        self.head = self.taken = 0

    def _await(self, is_done: Callable[[], bool], what: str, cycles: int = POLL_CYCLES) -> None:
        end = time.monotonic() + READY_SECONDS
        while not is_done():
            self.rings.run(cycles)
            if time.monotonic() > end:
                raise DeviceError(f"card {self.card.transport.name}: {what} within {READY_SECONDS:g} s")

    def write(self, table: bytes) -> None:
        """The words of a limits table, whatever the card makes of them."""
        self.card["limits_restart"] = 1
        offset = self.card.map.register("limits").offset
        write = self.card.transport.write
        for low, high in struct.iter_unpack("<II", table):
            write(offset, low)
            write(offset + 4, high)

    def offer(self, table: bytes) -> None:
        """Writes a limits table that has to be sound; a record of kind limits with its generation puts it in force."""
        self.write(table)
        self._await(lambda: bool(self.card["table_is_offered"]), "the limits table was not taken: size or checksum")

    def give(self, records: Sequence[bytes]) -> np.ndarray[Any, Any]:
        """Order records into the ring, and their verdicts, of the trigger's orders that came between, too."""
        found = [*self._give(records)]
        return np.frombuffer(b"".join(found), VERDICT)

    def _give(self, records: Sequence[bytes]) -> Iterator[bytes]:
        for at in range(0, len(records), self.entries):
            some = records[at : at + self.entries]
            for record in some:
                if len(record) != ENTRY_SZ:
                    raise UsageError(f"card: an order record of {len(record)} bytes: {ENTRY_SZ} are wanted")
                self.put(self.head % self.entries, record)
                self.head += 1
            self.card["order_head"] = self.head & 0xFFFFFFFF
            missing = len(some)
            while missing:
                got = b""

                def is_there() -> bool:
                    nonlocal got
                    got = self.take()
                    return bool(got)

                self._await(is_there, "no verdict")
                missing -= int(np.count_nonzero(np.frombuffer(got, VERDICT)["source"] == 0))
                yield got

    def put(self, entry: int, record: bytes) -> None:
        """The words of an entry; whole or not, the doorbell is another matter."""
        for index, (word,) in enumerate(struct.iter_unpack("<I", record)):
            self.card.transport.write(self._window.offset + entry * ENTRY_SZ + 4 * index, word)

    def take(self) -> bytes:
        """The verdicts that are there, and the doorbell for them."""
        got = self.rings.verdicts()
        if got:
            self.taken += len(got) // ENTRY_SZ
            self.card["verdict_tail"] = self.taken & 0xFFFFFFFF
        return got

    def last(self) -> list[dict[str, int | str]]:
        """The last verdicts that the card keeps, the oldest first; of any source."""
        names = {reason.code: reason.name for reason in specs.reasons()}
        count = self.card["verdict_cnt"]
        found: list[dict[str, int | str]] = []
        for number in range(max(0, count - LAST_CNT), count):
            self.card["verdict_index"] = number % LAST_CNT
            bits = self.card["verdict"]
            found.append({
                "number": number, "reason": names.get(bits & 0xFF, str(bits & 0xFF)), "kind": bits >> 8 & 0xFF,
                "instrument": bits >> 16 & 0xFFFF, "ref": bits >> 32 & 0xFFFFFFFF, "ts_ns": bits >> 64,
            })  # fmt: skip
        return found

    @property
    def halted(self) -> str:
        """Name of the latch's reason, "" when it is not set."""
        code = self.card["gate_halted"]
        return next((reason.name for reason in specs.reasons() if reason.code == code), str(code)) if code else ""
