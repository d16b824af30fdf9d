"""The generated C of the tables, compiled by itself for tests and called through cffi.

SPDX-License-Identifier: MIT
"""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cffi
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BEGIN, END = "/* hwgw cdef begin */", "/* hwgw cdef end */"
FLAGS = [
    "-std=gnu11",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wvla",
    "-Werror",
]


def generate(folder: Path) -> None:
    """Run the generator as a build does."""
    subprocess.run([sys.executable, "-B", str(ROOT / "cffi_build" / "gen.py"), str(folder)], check=True)


def compile_c(folder: Path, name: str, sources: list[Path], cdef: str) -> SimpleNamespace:
    """Compile sources with the project's warnings; ffi and lib of the result."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    target = folder / f"{name}.so"
    includes = [f"-I{folder}", f"-I{ROOT / 'cffi_build' / 'src'}", f"-I{ROOT / 'cffi_build' / 'include'}"]
    command = [compiler, *FLAGS, *includes, "-shared", "-fPIC", *map(str, sources), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ffi = cffi.FFI()
    ffi.cdef(cdef)
    return SimpleNamespace(ffi=ffi, lib=ffi.dlopen(str(target)))


def cdef_of(header: Path) -> str:
    """What stands between the cdef markers of a header."""
    return header.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]


class Layouts:
    """The layouts as C sees them: get, set and init call every generated function of a layout."""

    def __init__(self, folder: Path) -> None:
        generate(folder)
        cdef = cdef_of(folder / "hwgw_records.h") + cdef_of(folder / "hwgw_fields.h")
        built = compile_c(folder, "fields", [folder / "hwgw_fields.c"], cdef)
        self.folder, self.ffi, self.lib = folder, built.ffi, built.lib

    def find(self, protocol: str, name: str):
        layout = self.lib.hwgw_layout_find(protocol.encode(), name.encode())
        assert layout != self.ffi.NULL, f"C has no layout {protocol}.{name}"
        return layout

    def fields(self, layout) -> list:
        return [layout.fields[index] for index in range(layout.field_cnt)]

    def get(self, layout, data: bytes) -> dict[str, int | str | bytes]:
        """Every field of a layout through its accessor; text as str."""
        assert len(data) >= layout.len
        buffer = self.ffi.new("uint8_t[]", data)
        values = self.ffi.new("struct hwgw_value[]", layout.field_cnt)
        layout.get(buffer, values)
        result = {}
        for field, value in zip(self.fields(layout), values, strict=True):
            name, number = self.ffi.string(field.name).decode(), value.number
            if field.kind == self.lib.HWGW_VALUE_INT:
                number -= (number >> 63) << 64
            elif field.kind == self.lib.HWGW_VALUE_CHAR:
                number = chr(number)
            elif field.kind in (self.lib.HWGW_VALUE_TEXT, self.lib.HWGW_VALUE_BYTES):
                assert value.bytes == buffer + field.offset
                number = self.ffi.buffer(value.bytes, field.len)[:]
                number = number.decode("latin-1") if field.kind == self.lib.HWGW_VALUE_TEXT else number
            result[name] = number
        return result

    def set(self, layout, values: dict[str, int | str | bytes], size: int | None = None) -> bytes:
        """A layout written through its setters, in a buffer of size bytes of 0xA5."""
        buffer = self.ffi.new("uint8_t[]", b"\xa5" * (size or layout.len))
        array = self.ffi.new("struct hwgw_value[]", layout.field_cnt)
        keep = []
        for field, slot in zip(self.fields(layout), array, strict=True):
            value = values[self.ffi.string(field.name).decode()]
            if field.kind == self.lib.HWGW_VALUE_CHAR:
                slot.number = ord(value)
            elif field.kind in (self.lib.HWGW_VALUE_TEXT, self.lib.HWGW_VALUE_BYTES):
                keep.append(self.ffi.new("uint8_t[]", value if isinstance(value, bytes) else value.encode("latin-1")))
                slot.bytes = keep[-1]
            else:
                slot.number = value % (1 << 64)
        layout.set(buffer, array)
        return self.ffi.buffer(buffer)[: size or layout.len]

    def init(self, layout) -> bytes:
        """A layout as its init function leaves it."""
        buffer = self.ffi.new("uint8_t[]", b"\xa5" * layout.len)
        layout.init(buffer)
        return self.ffi.buffer(buffer)[: layout.len]
