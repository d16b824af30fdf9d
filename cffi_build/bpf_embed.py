"""Turns a BPF object file into a C header: its program's instructions and which of them name which map.

SPDX-License-Identifier: MIT

The loader then needs bpf(2) alone: it makes the maps, writes their descriptors into the listed instructions and loads.
Only what hwgw's own programs contain is accepted: one little-endian ELF64 BPF object, one program section, map
references as R_BPF_64_64 relocations against symbols of ``.maps``. Anything else (calls into other sections, global
data) is refused, because it would be left unresolved without anybody noticing.

Usage: ``bpf_embed.py steer.bpf.o hwgw_xdp_steer.h --name steer``.
"""

import argparse
import struct
from dataclasses import dataclass
from pathlib import Path

EM_BPF = 247
SHT_PROGBITS, SHT_SYMTAB, SHT_NOBITS, SHT_REL = 1, 2, 8, 9
SHF_ALLOC, SHF_EXECINSTR = 2, 4
R_BPF_64_64 = 1
LD_IMM64 = 0x18  # BPF_LD | BPF_DW | BPF_IMM, the only instruction of two slots
CALL, EXIT = 0x85, 0x95
PSEUDO_CALL = 1  # src_reg of a call to another function of the object
INSN = struct.Struct("<BBhi")


class BadObjectError(Exception):
    """The object file has something that cannot be embedded."""


@dataclass(frozen=True)
class Section:
    """One ELF section: its name, header fields and bytes."""

    name: str
    kind: int
    flags: int
    size: int
    link: int
    info: int
    data: bytes


@dataclass(frozen=True)
class Program:
    """The program: section name, instructions as (code, registers, offset, immediate), map references, licence."""

    section: str
    insns: tuple[tuple[int, int, int, int], ...]
    maps: tuple[tuple[int, str], ...]
    licence: str


def _string(table: bytes, offset: int) -> str:
    end = table.find(b"\0", offset)
    if offset >= len(table) or end < 0:
        raise BadObjectError(f"string offset {offset} is outside its table of {len(table)} bytes")
    return table[offset:end].decode("ascii", "replace")


def _sections(elf: bytes) -> list[Section]:
    if len(elf) < 64 or elf[:4] != b"\x7fELF":
        raise BadObjectError("not an ELF file")
    if elf[4] != 2 or elf[5] != 1:
        raise BadObjectError("not a little-endian ELF64 file (compile with -target bpf, or bpfel)")
    e_type, machine = struct.unpack_from("<HH", elf, 16)
    if (e_type, machine) != (1, EM_BPF):
        raise BadObjectError(f"not a relocatable BPF object: type {e_type}, machine {machine}")
    (offset,) = struct.unpack_from("<Q", elf, 40)
    entry_sz, cnt, names_idx = struct.unpack_from("<HHH", elf, 58)
    if entry_sz != 64 or cnt == 0 or names_idx >= cnt or offset + cnt * 64 > len(elf):
        raise BadObjectError("the section header table does not fit the file")
    raw = [struct.unpack_from("<IIQQQQIIQQ", elf, offset + i * 64) for i in range(cnt)]

    def body(header: tuple[int, ...]) -> bytes:
        start, size = header[4], header[5]
        if header[1] == SHT_NOBITS:
            return b""
        if start + size > len(elf):
            raise BadObjectError(f"a section of {size} bytes at {start} ends behind the file")
        return elf[start : start + size]

    names = body(raw[names_idx])
    return [Section(_string(names, h[0]), h[1], h[2], h[5], h[6], h[7], body(h)) for h in raw]


def _symbols(sections: list[Section]) -> list[tuple[str, int, int]]:
    tables = [section for section in sections if section.kind == SHT_SYMTAB]
    if len(tables) != 1:
        raise BadObjectError(f"{len(tables)} symbol tables, expected one")
    table = tables[0]
    if len(table.data) % 24 or table.link >= len(sections):
        raise BadObjectError("the symbol table is damaged")
    names = sections[table.link].data
    symbols = []
    for at in range(0, len(table.data), 24):
        name, _, _, section, value = struct.unpack_from("<IBBHQ", table.data, at)
        symbols.append((_string(names, name), section, value))
    return symbols


def read(elf: bytes) -> Program:
    """Return the one program of a BPF object; BadObjectError says what cannot be embedded."""
    sections = _sections(elf)
    programs = [
        (i, section)
        for i, section in enumerate(sections)
        if section.kind == SHT_PROGBITS and section.flags & SHF_EXECINSTR and section.data
    ]
    if len(programs) != 1:
        found = ", ".join(section.name for _, section in programs) or "none"
        raise BadObjectError(f"one program section is expected, found {len(programs)}: {found}")
    program_idx, program = programs[0]
    allowed = {program.name, ".maps", "license"}
    for section in sections:
        if section.flags & SHF_ALLOC and section.size and section.name not in allowed:
            raise BadObjectError(f"section {section.name}: global data is not supported, keep values in a map")
    if len(program.data) % INSN.size:
        raise BadObjectError(f"section {program.name} is not a whole number of instructions")
    insns = list(INSN.iter_unpack(program.data))

    symbols = _symbols(sections)
    maps = []
    for section in sections:
        if section.info != program_idx or section.kind != SHT_REL:
            continue
        if len(section.data) % 16:
            raise BadObjectError(f"section {section.name} is not a whole number of relocations")
        for at in range(0, len(section.data), 16):
            offset, info = struct.unpack_from("<QQ", section.data, at)
            kind, symbol = info & 0xFFFFFFFF, info >> 32
            if symbol >= len(symbols):
                raise BadObjectError(f"relocation at {offset} names symbol {symbol} of {len(symbols)}")
            name, home, _ = symbols[symbol]
            where = sections[home].name if home < len(sections) else f"section {home}"
            if kind != R_BPF_64_64 or where != ".maps":
                raise BadObjectError(
                    f"relocation of type {kind} at {offset} against '{name}' in {where}: only maps can be resolved"
                )
            idx, rest = divmod(offset, INSN.size)
            if rest or idx + 1 >= len(insns) or insns[idx][0] != LD_IMM64:
                raise BadObjectError(f"relocation at {offset} is not on a 64-bit load")
            maps.append((idx, name))
    for idx, (code, registers, _, _) in enumerate(insns):
        if code == CALL and registers >> 4 == PSEUDO_CALL:
            raise BadObjectError(f"instruction {idx} calls a function that was not inlined")

    if insns[-1][0] != EXIT and insns[-1][0] & 0x07 != 0x05:
        raise BadObjectError("the last instruction is neither an exit nor a jump")

    licences = [section.data for section in sections if section.name == "license"]
    if len(licences) != 1:
        raise BadObjectError("no section 'license'")
    licence = _string(licences[0], 0)
    return Program(program.name, tuple(insns), tuple(sorted(maps)), licence)


def header(name: str, program: Program) -> str:
    """Return the C header."""
    guard = f"HWGW_XDP_{name.upper()}_H"
    lines = [
        f"/* Made from {name}.bpf.c by bpf_embed.py: section {program.section}, {len(program.insns)} instructions. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <linux/bpf.h>",
        "#include <stdint.h>",
        "",
        f'#define HWGW_XDP_{name.upper()}_LICENSE "{program.licence}"',
        f"#define HWGW_XDP_{name.upper()}_INSN_CNT {len(program.insns)}u",
        f"#define HWGW_XDP_{name.upper()}_MAP_CNT {len(program.maps)}u",
        "",
        f"static const struct bpf_insn hwgw_xdp_{name}_insns[{len(program.insns)}] = {{",
    ]
    for code, registers, off, imm in program.insns:
        dst, src = registers & 15, registers >> 4
        value = "INT32_MIN" if imm == -(2**31) else str(imm)
        lines.append(f"    {{.code = 0x{code:02x}, .dst_reg = {dst}, .src_reg = {src}, .off = {off}, .imm = {value}}},")
    lines += [
        "};",
        "",
        "/* instructions whose immediate is the descriptor of a map (set src_reg to BPF_PSEUDO_MAP_FD) */",
        "static const struct {",
        "  uint32_t insn;",
        "  const char *map;",
        f"}} hwgw_xdp_{name}_maps[{max(len(program.maps), 1)}] = {{",
        *(f'    {{{idx}, "{map_name}"}},' for idx, map_name in program.maps),
        *([] if program.maps else ["    {0, 0},"]),
        "};",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Read the object named by the arguments and write the header."""
    parser = argparse.ArgumentParser(description="turn a BPF object into a C header")
    parser.add_argument("object", type=Path)
    parser.add_argument("header", type=Path)
    parser.add_argument("--name", required=True, help="word in the names of the header, such as steer")
    args = parser.parse_args()
    try:
        program = read(args.object.read_bytes())
    except BadObjectError as error:
        raise SystemExit(f"{args.object}: {error}") from error
    args.header.write_text(header(args.name, program), encoding="ascii")


if __name__ == "__main__":
    main()
