"""A seeded bad line: loses, repeats, delays, reorders and damages packets, or is out for a while.

SPDX-License-Identifier: MIT

Settings, how they are written on a command line, and the transform itself (cffi_build/src/bad_line.c), which replay and
the simulated exchange share. The kernel's netem is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .errors import UsageError
from .native import ffi, lib

__all__ = ["Faults", "Line", "parse", "stats_of"]


@dataclass(frozen=True, slots=True)
class Faults:
    """What a line does. loss, duplicate, damage: 0 to 1. One packet in ten comes up to reorder packets late.

    delay_us: the others up to so much. outage: from, to in seconds since the start, when everything is lost.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    damage: float = 0.0
    reorder: int = 0
    delay_us: int = 0
    outage: tuple[float, float] = (0.0, 0.0)
    seed: int = 1

    def fill(self, cfg: Any) -> None:
        """Fill struct hwgw_bad_line_cfg."""
        cfg.seed = self.seed % 2**64
        cfg.loss_ppm, cfg.duplicate_ppm, cfg.damage_ppm = (
            round(share * 1_000_000) for share in (self.loss, self.duplicate, self.damage)
        )
        cfg.reorder_max, cfg.delay_us = self.reorder, self.delay_us
        cfg.outage_from_ns, cfg.outage_to_ns = (round(at * 1e9) for at in self.outage)


def _share(text: str) -> float:
    value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def parse(text: str, seed: int = 1) -> Faults:
    """Faults of `loss=1%,duplicate=0.1%,damage=0.01%,reorder=16,delay_us=50,outage=2-4`; any of them, in any order."""
    found: dict[str, Any] = {"seed": seed}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        try:
            if name in ("loss", "duplicate", "damage"):
                found[name] = _share(value)
            elif name in ("reorder", "delay_us", "seed") and value.isdecimal():
                found[name] = int(value)
            elif name == "outage":
                first, _, last = value.partition("-")
                found[name] = (float(first), float(last))
            else:
                raise ValueError
        except ValueError:
            raise UsageError(
                f"faults {part!r}: loss, duplicate, damage = 0 to 1 or N%, reorder, delay_us, seed = N,"
                " outage = FROM-TO in seconds are allowed"
            ) from None
        del equals
    return Faults(**found)


def stats_of(line: Any) -> dict[str, int]:
    """Of a struct hwgw_bad_line *: taken, lost, duplicated, reordered, damaged."""
    stats = ffi.new("struct hwgw_bad_line_stats *")
    lib.hwgw_bad_line_stats(line, stats)
    return {name: int(getattr(stats, name)) for name in ("taken", "lost", "duplicated", "reordered", "damaged")}


class Line:
    """A bad line in this process; a context manager. Times are seconds since its start."""

    def __init__(self, faults: Faults) -> None:
        cfg = ffi.new("struct hwgw_bad_line_cfg *")
        faults.fill(cfg)
        self._native = lib.hwgw_bad_line_open(cfg)
        if self._native == ffi.NULL:
            raise MemoryError("a line with faults")
        self._out = ffi.new("uint8_t[]", lib.HWGW_BAD_LINE_PACKET_SZ)

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        lib.hwgw_bad_line_close(self._native)

    def take(self, packet: bytes, seconds: float = 0.0) -> None:
        """A packet goes in, at most 1,472 bytes."""
        lib.hwgw_bad_line_take(self._native, packet, len(packet), round(seconds * 1e9))

    def give(self, seconds: float = 0.0) -> Iterator[bytes]:
        """The packets that arrive now."""
        while length := lib.hwgw_bad_line_give(self._native, self._out, round(seconds * 1e9)):
            yield bytes(ffi.buffer(self._out, length))

    @property
    def stats(self) -> dict[str, int]:
        """taken, lost, duplicated, reordered, damaged."""
        return stats_of(self._native)
