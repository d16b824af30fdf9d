"""Order records for the card's transmit half: those that can be said, those that cannot, and what lies between.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from hwgw_sim.golden import order as golden

from hwgw.specs import load

RECORD = load("order").layout("order")
CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
LAYOUT = struct.Struct("<" + "".join(CODES[field.length] for field in RECORD.fields))
U32 = 0xFFFFFFFF
CODES_OF = ("kind", "side", "type", "tif")  # fields of 8 bits that name one of a few

EDGES: dict[str, tuple[int, ...]] = {
    "kind": (0, 4, 7, 17, 19, 255),
    "side": (0, 1, 2, 3, 255),
    "type": (0, 1, 2, 3, 129),
    "tif": (0, 1, 2, 3, 130),
    "flags": (0, 1, 2, 3, 4, 0x100, 0xFFFF),
    "ref": (0, 1, 2, 0x7FFFFFFF, 0x80000000, U32),
    "px": (0, 1, golden.PX_MAX, golden.PX_MAX + 1, 0x7FFFFFFF, 0x80000000, U32),
    "venue_ref": (1, 50, 1 << 20, 1 << 32, 2 << 32, 4 << 32, 1 << 63),
    "qty": (0, 1, golden.QTY_MAX, golden.QTY_MAX + 1, 0x000F0000, U32),
}


def pack(order: golden.Order) -> bytes:
    """The 64 bytes of a record."""
    return LAYOUT.pack(*(order[field.name] for field in RECORD.fields))


def unpack(data: bytes) -> golden.Order:
    """The fields of a record."""
    return dict(zip((field.name for field in RECORD.fields), LAYOUT.unpack(data), strict=True))


def good(rng: random.Random, instruments: int) -> golden.Order:
    """A record that the card can say; what its kind does not use is noise."""
    order = {field.name: rng.getrandbits(8 * field.length) for field in RECORD.fields}
    side = rng.choice((1, 2))
    order |= {
        "kind": rng.choice((1, 1, 2, 3)),
        "side": side,
        "flags": 0 if side == 1 else rng.randrange(4),
        "type": rng.choice((1, 1, 1, 2)),
        "tif": rng.choice((1, 2)),
        "instrument": rng.randrange(instruments),
        "px": rng.randint(1, golden.PX_MAX),
        "qty": rng.randint(1, golden.QTY_MAX),
        "ref": rng.randint(2, U32),
    }
    order["orig_ref"] = rng.randint(1, order["ref"] - 1)
    if order["kind"] != 3:
        order["venue_ref"] = 0  # no options
    return order


def stream(rng: random.Random, count: int, instruments: int) -> Iterator[golden.Order]:
    """Half of them good; in the others one or two fields lie at an edge of what is allowed."""
    edges = EDGES | {"instrument": (0, instruments - 1, instruments, 1023, 1024, 1024 + instruments - 1, 0x10000, U32)}
    for _ in range(count):
        order = good(rng, instruments)
        if rng.random() < 0.5:
            for name in rng.sample([*edges, "orig_ref"], rng.choice((1, 1, 2))):
                near = (0, order["ref"], order["ref"] - 1 & U32, order["ref"] + 1 & U32, U32)
                order[name] = rng.choice(edges.get(name, near))
                if name in CODES_OF and rng.random() < 0.3:
                    order[name] = rng.getrandbits(8)
        yield order
