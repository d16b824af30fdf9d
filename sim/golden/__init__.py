"""Golden models of mold, itch, book, risk and order: plain integers, written from the specification.

They are the referee of the C and Verilog stages: the same inputs must give the same outputs, counters and
state. Nothing here is quick, and nothing here is taken from the code it judges. Counters are a dict of
`stage.name` -> int with the names of hwgw/specs/counters.yaml; a model counts the cause of each input
itself, where in C the caller does.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from functools import lru_cache

FNV_BASIS = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
_U64 = (1 << 64) - 1


def fnv1a(data: bytes, value: int = FNV_BASIS) -> int:
    """FNV-1a 64 of data, going on from value."""
    for byte in data:
        value = ((value ^ byte) * FNV_PRIME) & _U64
    return value


def _crc_row(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_CRC32C if value & 1 else 0)
    return value


_CRC32C = 0x82F63B78  # RFC 3720 appendix B.4, reflected
_CRC_ROWS = [_crc_row(value) for value in range(256)]


@lru_cache(maxsize=64)  # a limits table is sealed and checked, often several times
def crc32c(data: bytes) -> int:
    """CRC32C of data."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _CRC_ROWS[(value ^ byte) & 255] ^ value >> 8
    return value ^ 0xFFFFFFFF


class Counters(dict[str, int]):
    """`stage.name` -> count; what was never counted is 0 and takes no entry."""

    def __missing__(self, name: str) -> int:
        return 0

    def add(self, name: str, count: int = 1) -> None:
        """Counts; a count of 0 leaves no entry."""
        if count:
            self[name] = self[name] + count
