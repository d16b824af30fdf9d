"""Generated files: written when their text has changed, so that what depends on them is not made again.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from .model import SpecError


def emit(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write the files into folder; the names of those that were written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in files.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            written.append(name)
    return written


def main(program: str, arguments: list[str], files: Callable[[], Mapping[str, str]]) -> int:
    """A program whose only argument is the folder; the exit code."""
    if len(arguments) != 1:
        print(f"usage: {program} OUTDIR", file=sys.stderr)
        return 2
    try:
        emit(Path(arguments[0]), files())
    except SpecError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    return 0
