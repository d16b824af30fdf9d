"""Every limits table that was in force before or after a change, by its hash, so that any can be put in force again.

SPDX-License-Identifier: MIT

A version is a file of the canonical bytes (signature.py) under NAME.limits in the state folder, called by their hash:
what was changed in it is found when it is read. The signature of a table that was signed stands beside it. The audit
record says when each came into force, and what was before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwgw import audit, specs
from hwgw.errors import CheckFailed, DeviceError, UsageError

from . import signature

__all__ = ["Version", "find", "keep", "load", "versions"]

HASH_DIGITS_MIN = 8


@dataclass(frozen=True)
class Version:
    """A change of limits on record: number of the record, the hash it put in force and the one before it."""

    number: int
    time_ns: int
    uid: int
    source: str
    hash: str
    before: str


def _folder(name: str) -> Path:
    return audit.state_folder() / f"{name}.limits"


def keep(name: str, canonical: bytes, signed: Path | None = None) -> Path:
    """Write a table's canonical bytes, once; signed: the file whose signature is kept with them."""
    file = _folder(name) / signature.digest(canonical)
    try:
        for target, data in (
            (file, canonical),
            (signature.signature_file(file), signature.signature_file(signed).read_bytes() if signed else b""),
        ):
            if data and not target.exists():
                audit.keep(target, data)
    except OSError as error:
        raise DeviceError(f"{file}: {error.strerror}; versions of limits are kept there") from error
    return file


def load(file: Path, gateway: str) -> tuple[tuple[str, ...], dict[int, str], np.ndarray[Any, Any]]:
    """Symbols, strategies and table of a version; CheckFailed when it is not what its name says."""
    raw, dtype = file.read_bytes(), specs.dtype("risk", "limits")
    if signature.digest(raw) != file.name:
        raise CheckFailed(f"{file}: it does not have the hash that is its name: it was changed")
    names = raw[: -dtype.itemsize].decode().splitlines()
    symbols = tuple(line.removeprefix("symbol ") for line in names if line.startswith("symbol "))
    strategies = dict(line.split(" ", 2)[1:] for line in names if line.startswith("strategy "))
    if f"gateway {gateway}" not in names:
        raise CheckFailed(f"{file}: limits of another gateway than {gateway}")
    table = np.frombuffer(raw[-dtype.itemsize :], dtype).copy()
    return symbols, {int(number): name for number, name in strategies.items()}, table


def versions(name: str) -> Iterator[Version]:
    """The changes of limits on record, oldest first."""
    for entry in audit.verify(name):
        if entry["action"] == "limits":
            yield Version(
                entry["seq"], entry["time_ns"], entry["uid"], entry["source"], entry["hash"], entry.get("before", "")
            )


def find(name: str, to: str) -> Path:
    """The file of a version, by the number of its record or by the beginning of its hash."""
    folder = _folder(name)
    if to.isascii() and to.isdecimal() and len(to) < HASH_DIGITS_MIN:
        digest = next((row.hash for row in versions(name) if row.number == int(to)), "")
        if not digest:
            raise UsageError(f"{to}: no change of limits of {name} has this number: hwgw limits versions {name}")
        if not (folder / digest).exists():
            raise UsageError(f"{to}: the table with hash {digest[:16]} was not kept in {folder}")
        return folder / digest
    digits = to.lower()
    if len(digits) < HASH_DIGITS_MIN or set(digits) - set("0123456789abcdef"):
        raise UsageError(f"{to}: the number of a change, or at least {HASH_DIGITS_MIN} digits of a hash")
    found = [file for file in folder.glob(f"{digits}*") if not file.name.endswith(".sig")]
    if len(found) != 1:
        what = "more than one version begins" if found else "no version begins"
        raise UsageError(f"{to}: {what} so: hwgw limits versions {name}")
    return found[0]
