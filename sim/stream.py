"""Seeded ITCH 5.0 streams for tests and benchmarks, and what can be wrong with one.

SPDX-License-Identifier: MIT

The generator is sim/stream.c; its header says what it makes. spoil() puts errors of every kind that the feed path must
count and survive between the messages of a sound stream.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

from hwgw_sim._native import ffi, lib

from hwgw.closing import Closing

LENGTH_SZ = 2
RECORD_SZ_MAX = 52


class Stream(Closing):
    """A generator of BinaryFILE records; the same arguments give the same bytes."""

    def __init__(self, seed: int, symbol_cnt: int, live_max: int, ramp: int = 0) -> None:
        cfg = {"seed": seed, "symbol_cnt": symbol_cnt, "live_max": live_max, "ramp": ramp}
        self._stream: Any = lib.hwgw_sim_stream_open(ffi.new("struct hwgw_sim_stream_cfg *", cfg))
        if self._stream == ffi.NULL:
            raise ValueError(f"no stream of {cfg}: see sim/stream.h for what is allowed")

    def close(self) -> None:
        """Give the memory back."""
        lib.hwgw_sim_stream_close(self._stream)
        self._stream = ffi.NULL

    @property
    def live(self) -> int:
        """Live orders now."""
        return int(lib.hwgw_sim_stream_live(self._stream))

    def records(self, cnt: int) -> bytes:
        """The next cnt messages, each behind its 2-byte length."""
        buffer = ffi.new("uint8_t[]", cnt * RECORD_SZ_MAX + RECORD_SZ_MAX)
        made = ffi.new("uint64_t *")
        sz = lib.hwgw_sim_stream_fill(self._stream, buffer, len(buffer), cnt, made)
        assert made[0] == cnt
        return bytes(ffi.buffer(buffer, sz))

    def messages(self, cnt: int) -> list[bytes]:
        """The next cnt messages."""
        return list(split(self.records(cnt)))


def split(records: bytes) -> Iterator[bytes]:
    """The messages of whole BinaryFILE records."""
    at = 0
    while at < len(records):
        end = at + LENGTH_SZ + int.from_bytes(records[at : at + LENGTH_SZ], "big")
        yield records[at + LENGTH_SZ : end]
        at = end


def join(messages: Iterable[bytes]) -> bytes:
    """BinaryFILE records of messages."""
    return b"".join(len(message).to_bytes(LENGTH_SZ, "big") + message for message in messages)


def spoil(messages: Iterable[bytes], seed: int, every: int) -> Iterator[bytes]:
    """The messages, with one bad message after about each `every` of them.

    Bad ones: an add, execution, cancel, delete or replace again, of shares 0 or too many, of a side that is none, of a
    reference nobody has, of a locate nobody has, of a wrong length, of an unknown type, and no byte at all.
    """
    rng = random.Random(seed)
    orders: list[bytes] = []
    for message in messages:
        yield message
        if message[:1] in (b"A", b"F", b"E", b"C", b"X", b"D", b"U"):
            orders.append(message)
            if len(orders) > 500:
                del orders[: rng.randrange(1, 200)]
        if orders and rng.random() < 1 / every:
            yield _damage(rng.choice(orders), rng)


def _damage(message: bytes, rng: random.Random) -> bytes:
    bad = bytearray(message)
    shares = {"A": 20, "F": 20, "E": 19, "C": 19, "X": 19, "U": 27}.get(chr(bad[0]))
    match rng.randrange(8):
        case 0:  # what was there before, once more
            pass
        case 1 if shares:
            bad[shares : shares + 4] = bytes(4)
        case 2 if shares:
            bad[shares : shares + 4] = b"\xff" * 4
        case 3 if bad[0] in b"AF":
            bad[11:19] = rng.randbytes(8)
            bad[19] = rng.choice(b" xb")
        case 4:
            bad[11:19] = rng.randbytes(8)
        case 5:
            bad[1:3] = b"\xff\xfe"
        case 6:
            bad = bad[: rng.randrange(len(bad))] if rng.random() < 0.5 else bad + b"\0"
        case _:
            bad[0] = rng.choice(b"\x00GZ~\xff")
    return bytes(bad)
