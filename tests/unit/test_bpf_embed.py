"""bpf_embed.py embeds what the loader can resolve, and refuses everything else.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import importlib.util
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

GOOD = """
struct context { unsigned int words[6]; };
char flows[8] __attribute__((section(".maps"), used));
char sockets[8] __attribute__((section(".maps"), used));
char terms[] __attribute__((section("license"), used)) = "Dual MIT/GPL";
static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*redirect)(void *map, unsigned long long key, unsigned long long flags) = (void *)51;
__attribute__((section("xdp"), used)) int steer(struct context *context) {
  unsigned int key = context->words[4];
  if (!lookup(flows, &key)) return 2;
  return redirect(sockets, key, 2);
}
"""


@pytest.fixture(scope="module")
def embed(root: Path) -> ModuleType:
    """Return the build script as a module."""
    spec = importlib.util.spec_from_file_location("bpf_embed", root / "cffi_build" / "bpf_embed.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["bpf_embed"] = module
    spec.loader.exec_module(module)
    return module


def compiled(source: str, folder: Path) -> bytes:
    """Compile for BPF as the build does."""
    if not shutil.which("clang"):
        pytest.skip("needs clang to compile for BPF")
    (folder / "x.bpf.c").write_text(source)
    command = ["clang", "-O2", "-g", "-target", "bpf", "-mcpu=v2", "-c", folder / "x.bpf.c", "-o", folder / "x.o"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (folder / "x.o").read_bytes()


def test_instructions_and_map_references_are_those_of_the_object(embed: ModuleType, tmp_path: Path) -> None:
    """Each listed instruction is a 64-bit load, in order of use, and nothing else refers to a map."""
    program = embed.read(compiled(GOOD, tmp_path))
    assert program.section == "xdp"
    assert program.licence == "Dual MIT/GPL"
    assert [name for _, name in program.maps] == ["flows", "sockets"]
    loads = [idx for idx, insn in enumerate(program.insns) if insn[0] == embed.LD_IMM64]
    assert loads == [idx for idx, _ in program.maps]
    calls = [insn[3] for insn in program.insns if insn[0] == embed.CALL]
    assert calls == [1, 51]
    assert any(insn[0] == embed.EXIT for insn in program.insns)


def test_header_compiles_and_holds_every_instruction(embed: ModuleType, tmp_path: Path) -> None:
    """The C compiler sees the bytes of the section."""
    elf = compiled(GOOD, tmp_path)
    program = embed.read(elf)
    (tmp_path / "x.h").write_text(embed.header("x", program))
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "x.h"\nint main(void) {\n'
        "  fwrite(hwgw_xdp_x_insns, sizeof hwgw_xdp_x_insns, 1, stdout);\n"
        '  for (unsigned i = 0; i < HWGW_XDP_X_MAP_CNT; i++) fprintf(stderr, "%u %s\\n", hwgw_xdp_x_maps[i].insn, '
        "hwgw_xdp_x_maps[i].map);\n  return 0;\n}\n"
    )
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", tmp_path / "main", tmp_path / "main.c"], check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, check=True)
    packed = b"".join(struct.pack("<BBhi", *insn) for insn in program.insns)
    assert len(packed) > 8 * 10
    assert done.stdout == packed
    assert packed in elf
    assert done.stderr.decode().splitlines() == [f"{idx} {name}" for idx, name in program.maps]


STEER = '__attribute__((section("xdp"), used)) int steer'
SECOND = '__attribute__((section("tc"), used)) int second(void *c) { return 0; }'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("unsigned int key =", "static volatile int seen; seen++; unsigned int key =", "global data is not"),
        (
            "return redirect",
            'static const char text[] = "x"; lookup(flows, text); return redirect',
            "global data is not",
        ),
        ('section("license")', 'section(".maps")', "no section 'license'"),
        (
            "return redirect",
            "extern int other(void); if (other()) return 1; return redirect",
            "only maps can be resolved",
        ),
        (STEER, f"{SECOND} {STEER}", "one program section is expected, found 2"),
    ],
)
def test_what_cannot_be_resolved_is_refused(
    embed: ModuleType, tmp_path: Path, old: str, new: str, message: str
) -> None:
    """Nothing is left unresolved without an error."""
    assert old in GOOD
    elf = compiled(GOOD.replace(old, new), tmp_path)
    with pytest.raises(embed.BadObjectError, match=message):
        embed.read(elf)


def test_damaged_file_is_an_error_and_not_a_crash(embed: ModuleType, tmp_path: Path) -> None:
    """Every cut of a good object is refused or read; nothing else is raised."""
    elf = compiled(GOOD, tmp_path)
    refused = 0
    for cut in range(0, len(elf), 7):
        try:
            embed.read(elf[:cut])
        except embed.BadObjectError:
            refused += 1
    assert refused == len(range(0, len(elf), 7)), "a cut object was accepted"
    with pytest.raises(embed.BadObjectError, match="not an ELF file"):
        embed.read(b"")


def test_file_of_another_machine_is_refused(embed: ModuleType) -> None:
    """The interpreter itself is an ELF file, and no BPF object."""
    with pytest.raises(embed.BadObjectError, match="not a relocatable BPF object"):
        embed.read(Path(sys.executable).resolve().read_bytes())
