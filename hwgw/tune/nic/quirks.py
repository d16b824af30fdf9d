"""What is peculiar about a driver: read from quirks.yaml.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...errors import InternalError
from ...specs import reader

__all__ = ["Quirk", "find", "of_driver", "table"]


@dataclass(frozen=True, slots=True)
class Quirk:
    """Of which driver and settings (patterns) something is true, and what; step = the setting is rounded to it."""

    driver: str
    setting: str
    text: str
    source: str
    step: int = 1


@cache
def table() -> tuple[Quirk, ...]:
    """Every row."""
    path = Path(__file__).with_name("quirks.yaml")
    rows = reader.parse(path.read_text(encoding="utf-8"), path.name)["quirks"]
    try:
        return tuple(Quirk(**row) for row in rows)
    except TypeError as error:
        raise InternalError(f"{path.name}: {error}") from None


def of_driver(driver: str) -> list[Quirk]:
    """The rows about a driver."""
    return [row for row in table() if fnmatch.fnmatchcase(driver, row.driver)]


def find(driver: str, setting: str) -> list[Quirk]:
    """The rows about a setting of a driver."""
    return [row for row in of_driver(driver) if fnmatch.fnmatchcase(setting, row.setting)]
