"""The driver of the card: names instead of addresses, and nothing before the card has said who it is.

SPDX-License-Identifier: MIT

Names, offsets and widths are those of hwgw/specs/registers.yaml. Thread: one at a time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from ipaddress import IPv4Address

from hwgw.errors import DeviceError, UsageError
from hwgw.specs import load, registers
from hwgw.specs.registers import Part, Register, Slot

from ..closing import Closing
from .transport import Transport, connect

SNAPSHOT_SECONDS = 1.0
NOBODY = str(IPv4Address(0))
GONE = 0xFFFFFFFF  # what a bus reads when nobody answers


class Card(Closing):
    """One card behind a transport. A part of a register is named like one: card["enable"] = 1."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.map = registers.load()
        self._parts: dict[str, tuple[Register, Part]] = {
            part.name: (register, part) for register in self.map.registers for part in register.parts
        }
        self._registers = {register.name: register for register in self.map.registers}
        identity = transport.read(self._registers["identity"].offset)
        wanted = self._registers["identity"].value
        if identity == GONE:
            raise DeviceError(f"card {transport.name}: no card answers (every bit reads 1): not there, or not enabled")
        if identity != wanted:
            raise DeviceError(f"card {transport.name}: identity {identity:#010x} is not that of hwgw ({wanted:#010x})")
        self.version = transport.read(self._registers["version"].offset)
        major = self._registers["version"].value >> 16
        if self.version >> 16 != major:
            spoken = f"{self.version >> 16}.{self.version & 0xFFFF}"
            raise DeviceError(
                f"card {transport.name}: register map {spoken}, this hwgw speaks {major}.x; load its bitstream"
            )

    def close(self) -> None:
        """Let the transport go."""
        self.transport.close()

    # ---- registers by name ----

    def __getitem__(self, name: str) -> int:
        if name in self._parts:
            register, part = self._parts[name]
            return self.transport.read(register.offset) >> part.bit & (1 << part.width) - 1
        register = self._find(name)
        words = [self.transport.read(register.offset + 4 * word) for word in range(register.words)]
        return sum(word << 32 * index for index, word in enumerate(words))

    def __setitem__(self, name: str, value: int) -> None:
        register, part = self._parts.get(name, (None, None))
        if register is None or part is None:
            register = self._find(name)
        width = part.width if part else register.width
        if not register.is_writable:
            raise UsageError(f"card: register {name} is only read")
        if not 0 <= value < 1 << width:
            raise UsageError(f"card: register {name} = {value}: 0 to {(1 << width) - 1} are allowed")
        if part and register.access == "command":
            value <<= part.bit
        elif part:
            mask = ((1 << part.width) - 1) << part.bit
            value = self.transport.read(register.offset) & ~mask | value << part.bit
        for word in range(register.words):
            self.transport.write(register.offset + 4 * word, value >> 32 * word & 0xFFFFFFFF)

    def _find(self, name: str) -> Register:
        if name not in self._registers:
            raise UsageError(f"card: no register {name}; there are {', '.join([*self._registers, *self._parts])}")
        return self._registers[name]

    # ---- what they are for ----

    def configure(self, lines: Mapping[str, tuple[str, int]], channel: int = 0) -> None:
        """Which group and port each line ("a", "b") carries; one that is not given carries nothing. Enables."""
        self["enable"] = 0
        for line in registers.LINES:
            group, port = lines.get(line, (NOBODY, 0))
            self[f"group_{line}"] = int(IPv4Address(group))
            self[f"port_{line}"] = port
        self["channel"] = channel
        self["restart"] = 1
        self["enable"] = 1

    def load_symbols(self, rows: Mapping[int, int | None]) -> None:
        """Locate to instrument; None: not subscribed. Events of the others stay away once `all` is 0."""
        for locate, instrument in rows.items():
            if not 0 <= locate <= 0xFFFF:
                raise UsageError(f"card: locate {locate}: 0 to 65535 are allowed")
            self["symbol_instrument"] = instrument or 0
            self["symbol_is_on"] = int(instrument is not None)
            self["symbol_locate"] = locate

    def price(self, instrument: int) -> tuple[int, int]:
        """Last trade: price in 1/10,000 and shares; 0, 0 before the first."""
        self["price_instrument"] = instrument
        return self["price_px"], self["price_qty"]

    def snapshot(self) -> None:
        """Latches every counter and what the map calls latched, all of one cycle."""
        before = self["snapshot_cnt"]
        self["snapshot"] = 1
        end = time.monotonic() + SNAPSHOT_SECONDS
        while self["snapshot_cnt"] == before:
            if time.monotonic() > end:
                raise DeviceError(f"card {self.transport.name}: no snapshot within {SNAPSHOT_SECONDS:g} s")

    def lines(self) -> dict[str, int]:
        """Every counter of the last snapshot by its full name: a.rx.frames, mold.gaps, gate.risk.passed ..."""
        return {slot.full_name: self._counter(slot) for slot in (*self.map.slots, *self.map.gate_slots)}

    def _counter(self, slot: Slot) -> int:
        read = self.transport.read
        return read(slot.offset) | read(slot.offset + 4) << 32

    def counters(self) -> dict[str, int]:
        """A new snapshot, the lines added up: names as in counters.yaml."""
        self.snapshot()
        total: dict[str, int] = {}
        for slot in (*self.map.slots, *self.map.gate_slots):
            total[slot.name] = total.get(slot.name, 0) + self._counter(slot)
        return total

    @property
    def state(self) -> str:
        """State of the feed, by its name in the segment table."""
        return str(load("segment").enum("feed_state").meaning(self["state"]))

    @property
    def session(self) -> str:
        """Session of the last snapshot."""
        return self["session"].to_bytes(10, "little").decode("ascii", "replace")

    def dump(self) -> dict[str, int]:
        """Every register as it reads now, commands apart; latched ones and counters are of the last snapshot."""
        return {register.name: self[register.name] for register in self.map.registers if register.access != "command"}


def open_card(where: str) -> Card:
    """The card that a name means: sim, a PCI address, a resource file, a UIO device."""
    transport = connect(where)
    try:
        return Card(transport)
    except BaseException:
        transport.close()
        raise
