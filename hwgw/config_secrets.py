"""Passwords of a configuration: where they stand, and what they are.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .private_file import is_of_a_unit, password_in
from .settings import Secrets
from .strict_yaml import Node

__all__ = ["Passwords"]

Bad = Callable[[tuple[int, str], str], None]


class Passwords:
    """Reads each and remembers where it stood. path makes a file name absolute, bad notes what is wrong."""

    def __init__(self, path: Callable[[str], str], bad: Bad) -> None:
        self._path, self._bad = path, bad
        self._inline: list[str] = []
        self._files: list[str] = []
        self._absent: list[str] = []

    def of(self, node: Node) -> str:
        """The password of a section, from where exactly one of its two keys says."""
        password, file = node["password"], node["password_file"]
        if (password is None) == (file is None):
            text = (
                "both password and password_file; one is allowed"
                if file
                else "missing; password or password_file is required"
            )
            self._bad(node.where("password"), text)
        elif file is not None:
            return self._in(node.where("password_file"), Path(self._path(file)))
        else:
            self._inline.append(node.where("password")[1])
        return password or ""

    def _in(self, where: tuple[int, str], file: Path) -> str:
        self._files.append(str(file))
        if is_of_a_unit(file):
            self._absent.append(f"{where[1]}: {file}")
            return ""
        text, problem = password_in(file)
        if problem:
            self._bad(where, f"{file}: {problem}")
        return text

    def places(self, *more_files: str) -> Secrets:
        """Where they stood, and other files with secrets."""
        return Secrets(tuple(self._inline), (*self._files, *filter(None, more_files)), tuple(self._absent))
