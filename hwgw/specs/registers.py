"""The register map of the card, read strictly; what is made of it: C header, Verilog, names for Python, a page.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from . import counters as counter_table
from . import reader
from .model import SpecError

ACCESS = ("const", "rw", "ro", "command", "strobe")
KEYS = {"name", "offset", "access", "value", "width", "latched", "unit", "note", "fields"}
FIELD_KEYS = {"name", "bit", "width", "reset", "unit", "note"}
WINDOW_KEYS = {"name", "offset", "words", "unit", "note"}
UNITS = ("feed", "gate", "card")
LINES = ("a", "b")


@dataclass(frozen=True, slots=True)
class Part:
    """Some bits of a register."""

    name: str
    bit: int
    width: int
    reset: int
    note: str
    unit: str


@dataclass(frozen=True, slots=True)
class Register:
    """One register: offset in bytes; words of 32 bits, lowest first."""

    name: str
    offset: int
    access: str
    width: int
    value: int
    latched: bool
    note: str
    unit: str
    parts: tuple[Part, ...]

    @property
    def words(self) -> int:
        """How many words it takes."""
        return (self.width + 31) // 32

    @property
    def mask(self) -> int:
        """The bits of a writable register that hold something."""
        return sum(((1 << part.width) - 1) << part.bit for part in self.parts) if self.parts else (1 << self.width) - 1

    @property
    def reset(self) -> int:
        """What it reads as after reset."""
        return sum(part.reset << part.bit for part in self.parts)

    @property
    def is_writable(self) -> bool:
        """A write is not an error."""
        return self.access in ("rw", "command", "strobe")


@dataclass(frozen=True, slots=True)
class Window:
    """Words one behind the other that are only written."""

    name: str
    offset: int
    words: int
    note: str
    unit: str


@dataclass(frozen=True, slots=True)
class Slot:
    """One 64-bit counter: line a or b, gate, or "" where the card has it once; name is stage.name, index its bank's."""

    name: str
    line: str
    index: int
    offset: int

    @property
    def full_name(self) -> str:
        """Line and name."""
        return f"{self.line}.{self.name}" if self.line else self.name


@dataclass(frozen=True, slots=True)
class Map:
    """The whole map."""

    title: str
    address_bits: int
    registers: tuple[Register, ...]
    windows: tuple[Window, ...]
    slots: tuple[Slot, ...]
    gate_slots: tuple[Slot, ...]
    line_counters: tuple[str, ...]
    channel_counters: tuple[str, ...]
    gate_counters: tuple[str, ...]
    counters_offset: int
    gate_counters_offset: int

    def register(self, name: str) -> Register:
        """The register with this name."""
        for register in self.registers:
            if register.name == name:
                return register
        raise KeyError(f"the card has no register {name}; it has {', '.join(r.name for r in self.registers)}")


def _part(where: str, node: dict[str, Any], unit: str) -> Part:
    if unknown := set(node) - FIELD_KEYS:
        raise SpecError(f"{where}: unknown keys {sorted(unknown)}")
    part = Part(
        node["name"],
        node["bit"],
        node.get("width", 1),
        node.get("reset", 0),
        node.get("note", ""),
        node.get("unit", unit),
    )
    if part.bit + part.width > 32 or part.reset >> part.width or part.unit not in UNITS:
        raise SpecError(f"{where}.{part.name}: does not fit")
    return part


def _register(node: dict[str, Any]) -> Register:
    where = f"registers.yaml: {node.get('name')}"
    if unknown := set(node) - KEYS:
        raise SpecError(f"{where}: unknown keys {sorted(unknown)}")
    unit = node.get("unit", UNITS[0])
    parts = tuple(_part(where, part, unit) for part in node.get("fields", ()))
    made = Register(
        node["name"], node["offset"], node["access"], node.get("width", 32), node.get("value", 0),
        node.get("latched", False), node.get("note", ""), unit, parts,
    )  # fmt: skip
    if made.access not in ACCESS:
        raise SpecError(f"{where}: access {made.access}: one of {', '.join(ACCESS)}")
    if (
        made.offset % 4
        or (made.access == "const") != ("value" in node)
        or (made.width > 32 and parts)
        or unit not in UNITS
    ):
        raise SpecError(f"{where}: offset, value or width cannot be")
    if (made.latched and made.access != "ro") or (made.access == "command" and not parts):
        raise SpecError(f"{where}: only ro registers are latched, and a command needs fields")
    bits = [bit for part in parts for bit in range(part.bit, part.bit + part.width)]
    if len(bits) != len(set(bits)):
        raise SpecError(f"{where}: fields overlap")
    return made


def _window(node: dict[str, Any]) -> Window:
    if set(node) != WINDOW_KEYS:
        raise SpecError(f"registers.yaml: {node.get('name')}: a window has the keys {', '.join(sorted(WINDOW_KEYS))}")
    return Window(node["name"], node["offset"], node["words"], node["note"], node["unit"])


@cache
def load() -> Map:
    """The map."""
    name = "registers.yaml"
    node = reader.parse((Path(__file__).parent / name).read_text(encoding="utf-8"), name)
    registers = tuple(map(_register, node["registers"]))
    windows = tuple(map(_window, node["windows"]))
    bank = node["counters"]
    line, channel, gate = tuple(bank["line"]), tuple(bank["channel"]), tuple(bank["gate"])
    known = {counter.full_name for counter in counter_table()}
    if strange := [counter for counter in (*line, *channel, *gate) if counter not in known]:
        raise SpecError(f"{name}: counters.yaml has no {', '.join(strange)}")
    names = [(counter, which) for which in LINES for counter in line] + [(counter, "") for counter in channel]
    slots = tuple(
        Slot(counter, which, index, bank["offset"] + 8 * index) for index, (counter, which) in enumerate(names)
    )
    gate_slots = tuple(
        Slot(counter, "gate", index, bank["gate_offset"] + 8 * index) for index, counter in enumerate(gate)
    )
    sized = [(r.offset, r.words) for r in registers] + [(w.offset, w.words) for w in windows]
    sized += [(s.offset, 2) for s in (*slots, *gate_slots)]
    words = [offset + 4 * i for offset, count in sized for i in range(count)]
    is_odd = any(offset % 512 for offset in (bank["offset"], bank["gate_offset"]))
    is_odd |= any(w.offset % (4 * w.words) or w.words & w.words - 1 for w in windows)
    if len(words) != len(set(words)) or max(words) >> node["address_bits"] or is_odd:
        raise SpecError(f"{name}: registers overlap or do not fit into {node['address_bits']} address bits")
    return Map(
        node["title"], node["address_bits"], registers, windows, slots, gate_slots, line, channel, gate,
        bank["offset"], bank["gate_offset"],
    )  # fmt: skip


# ---- C and documentation ----

HEADER = """/* hwgw_registers.h: the registers of the card, in bytes from its base.
 *
 * SPDX-License-Identifier: MIT
 * Generated by cffi_build/gen.py from hwgw/specs/registers.yaml; not edited by hand.
 */
#ifndef HWGW_REGISTERS_H
#define HWGW_REGISTERS_H

#include "hwgw_records.h"
"""


def c_header() -> list[str]:
    """hwgw_registers.h."""
    lines = [HEADER]
    for register in load().registers:
        upper = f"HWGW_REG_{register.name.upper()}"
        lines.append(f"#define {upper} {register.offset:#06x} /* {register.note} */")
        if register.access == "const":
            lines.append(f"#define {upper}_VALUE {register.value:#x}u")
        lines += [
            f"#define {upper}_{part.name.upper()} {((1 << part.width) - 1) << part.bit:#x}u /* {part.note} */"
            for part in register.parts
        ]
    lines += [f"#define HWGW_REG_{w.name.upper()} {w.offset:#06x} /* {w.note} */" for w in load().windows]
    lines.append(f"#define HWGW_REG_COUNTERS {load().counters_offset:#05x}")
    lines.append(f"#define HWGW_REG_COUNTERS_CNT {len(load().slots)}")
    lines.append("\n/* which counter of ours each of the card's is, in their order; those of the lines add up */")
    lines.append("static const uint16_t hwgw_reg_counter[HWGW_REG_COUNTERS_CNT] = {")
    lines += [f"    HWGW_CNT_{slot.name.replace('.', '_').upper()}," for slot in load().slots]
    lines.append("};\n")
    lines.append(f"#define HWGW_REG_GATE_COUNTERS {load().gate_counters_offset:#06x}")
    lines.append(f"#define HWGW_REG_GATE_COUNTERS_CNT {len(load().gate_slots)}")
    lines.append("static const uint16_t hwgw_reg_gate_counter[HWGW_REG_GATE_COUNTERS_CNT] = {")
    lines += [f"    HWGW_CNT_{slot.name.replace('.', '_').upper()}," for slot in load().gate_slots]
    lines.append("};\n\n#endif")
    return lines
