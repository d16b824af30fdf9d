"""Emits the C source of a cffi API-mode module from headers; the declarations are cut out of them, never retyped.

SPDX-License-Identifier: MIT

CMake runs ``build_native.py --module hwgw._native --output native.c HEADER...``. What stands between the markers of
each header becomes the cdef, in the order given; every header that has such a part is included by the emitted C, so the
C compiler checks each declaration against its definition.
"""

import argparse
import re
from pathlib import Path

from cffi import FFI, CDefError, FFIError

BEGIN = re.compile(r"^/\* hwgw cdef begin \*/$", re.MULTILINE)
END = re.compile(r"^/\* hwgw cdef end \*/$", re.MULTILINE)


def cut(text: str, name: str) -> str:
    """Return what stands between the cdef markers of a header, joined; empty when it has none."""
    begins = [match.end() for match in BEGIN.finditer(text)]
    ends = [match.start() for match in END.finditer(text)]
    marks = sorted([(at, "begin") for at in begins] + [(at, "end") for at in ends])
    if [mark for _, mark in marks] != ["begin", "end"] * len(begins):
        raise SystemExit(f"{name}: cdef begin and end markers do not alternate")
    return "\n".join(text[begin:end] for begin, end in zip(begins, ends, strict=True))


def emit(module: str, headers: list[Path], output: Path) -> None:
    """Write the C source of the module."""
    ffi = FFI()
    used = []
    for header in headers:
        cdef = cut(header.read_text(encoding="utf-8"), str(header))
        if not cdef.strip():
            continue
        try:
            ffi.cdef(cdef)
        except (CDefError, FFIError) as error:
            raise SystemExit(f"{header}: cffi cannot read the part between the markers: {error}") from error
        used.append(header)
    if not used:
        raise SystemExit(f"{module}: no header has a part between cdef markers")
    preamble = "".join(f'#include "{header.resolve()}"\n' for header in used)
    ffi.set_source(module, preamble)
    output.parent.mkdir(parents=True, exist_ok=True)
    ffi.emit_c_code(str(output))
    output.touch()  # cffi leaves an unchanged file alone, and the build tool would ask again each time


def main() -> None:
    """Read the arguments and write the file."""
    parser = argparse.ArgumentParser(description="emit the C source of a cffi module from headers")
    parser.add_argument("--module", required=True, help="full name, such as hwgw._native")
    parser.add_argument("--output", required=True, type=Path, help="C file to write")
    parser.add_argument("headers", nargs="+", type=Path)
    args = parser.parse_args()
    emit(args.module, args.headers, args.output)


if __name__ == "__main__":
    main()
