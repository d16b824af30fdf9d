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
KEYS = {"name", "offset", "access", "value", "width", "latched", "note", "fields"}
FIELD_KEYS = {"name", "bit", "width", "reset", "note"}
LINES = ("a", "b")


@dataclass(frozen=True, slots=True)
class Part:
    """Some bits of a register."""

    name: str
    bit: int
    width: int
    reset: int
    note: str


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
class Slot:
    """One 64-bit counter: line a or b, or "" where the card has it once; name is stage.name."""

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
    slots: tuple[Slot, ...]
    line_counters: tuple[str, ...]
    channel_counters: tuple[str, ...]
    counters_offset: int

    def register(self, name: str) -> Register:
        """The register with this name."""
        for register in self.registers:
            if register.name == name:
                return register
        raise KeyError(f"the card has no register {name}; it has {', '.join(r.name for r in self.registers)}")


def _part(where: str, node: dict[str, Any]) -> Part:
    if unknown := set(node) - FIELD_KEYS:
        raise SpecError(f"{where}: unknown keys {sorted(unknown)}")
    part = Part(node["name"], node["bit"], node.get("width", 1), node.get("reset", 0), node.get("note", ""))
    if part.bit + part.width > 32 or part.reset >> part.width:
        raise SpecError(f"{where}.{part.name}: does not fit")
    return part


def _register(node: dict[str, Any]) -> Register:
    where = f"registers.yaml: {node.get('name')}"
    if unknown := set(node) - KEYS:
        raise SpecError(f"{where}: unknown keys {sorted(unknown)}")
    parts = tuple(_part(where, part) for part in node.get("fields", ()))
    made = Register(
        node["name"], node["offset"], node["access"], node.get("width", 32), node.get("value", 0),
        node.get("latched", False), node.get("note", ""), parts,
    )  # fmt: skip
    if made.access not in ACCESS:
        raise SpecError(f"{where}: access {made.access}: one of {', '.join(ACCESS)}")
    if made.offset % 4 or (made.access == "const") != ("value" in node) or (made.width > 32 and made.access != "ro"):
        raise SpecError(f"{where}: offset, value or width cannot be")
    if (made.latched and made.access != "ro") or (made.access == "command" and not parts):
        raise SpecError(f"{where}: only ro registers are latched, and a command needs fields")
    bits = [bit for part in parts for bit in range(part.bit, part.bit + part.width)]
    if len(bits) != len(set(bits)):
        raise SpecError(f"{where}: fields overlap")
    return made


@cache
def load() -> Map:
    """The map."""
    name = "registers.yaml"
    node = reader.parse((Path(__file__).parent / name).read_text(encoding="utf-8"), name)
    registers = tuple(map(_register, node["registers"]))
    bank = node["counters"]
    line, channel = tuple(bank["line"]), tuple(bank["channel"])
    known = {counter.full_name for counter in counter_table()}
    if strange := [counter for counter in (*line, *channel) if counter not in known]:
        raise SpecError(f"{name}: counters.yaml has no {', '.join(strange)}")
    names = [(counter, which) for which in LINES for counter in line] + [(counter, "") for counter in channel]
    slots = tuple(
        Slot(counter, which, index, bank["offset"] + 8 * index) for index, (counter, which) in enumerate(names)
    )
    words = [r.offset + 4 * i for r in registers for i in range(r.words)] + [
        s.offset + 4 * i for s in slots for i in (0, 1)
    ]
    if len(words) != len(set(words)) or max(words) >> node["address_bits"] or bank["offset"] % 512:
        raise SpecError(f"{name}: registers overlap or do not fit into {node['address_bits']} address bits")
    return Map(node["title"], node["address_bits"], registers, slots, line, channel, bank["offset"])


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
        lines.append(f"#define {upper} {register.offset:#05x} /* {register.note} */")
        if register.access == "const":
            lines.append(f"#define {upper}_VALUE {register.value:#x}u")
        lines += [
            f"#define {upper}_{part.name.upper()} {((1 << part.width) - 1) << part.bit:#x}u /* {part.note} */"
            for part in register.parts
        ]
    lines.append(f"#define HWGW_REG_COUNTERS {load().counters_offset:#05x}")
    lines.append(f"#define HWGW_REG_COUNTERS_CNT {len(load().slots)}")
    lines.append("\n/* which counter of ours each of the card's is, in their order; those of the lines add up */")
    lines.append("static const uint16_t hwgw_reg_counter[HWGW_REG_COUNTERS_CNT] = {")
    lines += [f"    HWGW_CNT_{slot.name.replace('.', '_').upper()}," for slot in load().slots]
    lines.append("};\n\n#endif")
    return lines
