"""What the benches send: messages of every type, packets cut from a stream, frames with every fault that is counted.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

from hwgw_sim import wire
from hwgw_sim.golden import mold, net

from hwgw import specs

GROUPS = ("233.54.12.111", "233.49.196.111")
PORTS = (26477, 26478)
FLOWS: list[net.Flow] = [
    (int.from_bytes(bytes(map(int, group.split("."))), "big"), port) for group, port in zip(GROUPS, PORTS, strict=True)
]
SESSION = b"000000001A"
TYPES = [layout for layout in specs.load("itch50").layouts if layout.kind == "message"]
TABLE = specs.load("itch50")


def packet(seq: int, messages: Sequence[bytes], count: int | None = None, session: bytes = SESSION) -> bytes:
    """A MoldUDP64 packet."""
    head = session + seq.to_bytes(8, "big") + (len(messages) if count is None else count).to_bytes(2, "big")
    return head + b"".join(len(message).to_bytes(2, "big") + message for message in messages)


def frame(line: int, payload: bytes) -> bytes:
    """A frame of a line's flow."""
    return wire.udp_frame(GROUPS[line], PORTS[line], payload)


def message(rng: random.Random, letter: str | None = None) -> bytes:
    """A message of a type, or of any, with fields at random; codes are mostly those of the table."""
    layout = TABLE.message(letter) if letter else rng.choice(TYPES)
    data = bytearray(rng.randbytes(layout.length))
    data[0] = ord(str(layout.code))
    data[1:3] = rng.choice((0, 1, 2, 3, 13, 500, 16383, 16384, 65535)).to_bytes(2, "big")
    for field in layout.fields:
        if field.enum and field.length == 1 and rng.random() < 0.9:
            codes = [code.value for code in TABLE.enum(field.enum).values if isinstance(code.value, str)]
            data[field.offset] = ord(rng.choice(codes)) if codes else 32
    if layout.name == "cross_trade" and rng.random() < 0.5:
        data[11:15] = bytes(4)
    return bytes(data)


def cut(
    rng: random.Random, messages: Sequence[bytes], most: int = 12, seq: int = 1
) -> Iterator[tuple[int, list[bytes]]]:
    """A stream in packets of 1 to `most` messages."""
    at = 0
    while at < len(messages):
        cnt = rng.randint(1, most)
        yield seq + at, list(messages[at : at + cnt])
        at += cnt


# ---- frames with something special ----


def u16(value: int) -> bytes:
    """A number in two bytes, modulo 65,536: a length that was the greatest may get one more."""
    return (value & 0xFFFF).to_bytes(2, "big")


def fixed(header: bytes) -> bytes:
    """An IPv4 header with its checksum put right."""
    header = header[:10] + b"\0\0" + header[12:]
    return header[:10] + (0xFFFF ^ net.checksum_sum(header)).to_bytes(2, "big") + header[12:]


def patched(data: bytes, at: int, value: bytes) -> bytes:
    """A frame without tags or options with some bytes of its IPv4 header changed and the checksum put right."""
    data = data[: 14 + at] + value + data[14 + at + len(value) :]
    return data[:14] + fixed(data[14:34]) + data[34:]


def tagged(data: bytes, tags: Iterable[tuple[int, int]]) -> bytes:
    """A frame with VLAN tags (ethertype, control information), the outer one first."""
    words = b"".join(kind.to_bytes(2, "big") + tci.to_bytes(2, "big") for kind, tci in tags)
    return data[:12] + words + data[12:]


def with_options(data: bytes, words: int, rng: random.Random) -> bytes:
    """A frame with so many words of IPv4 options."""
    total = int.from_bytes(data[16:18], "big") + 4 * words
    header = bytes([0x45 + words]) + data[15:16] + u16(total) + data[18:34] + rng.randbytes(4 * words)
    return data[:14] + fixed(header) + data[34:]


def special(rng: random.Random, data: bytes, line: int) -> bytes:
    """A frame as it may come: with tags, options, padding, or wrong in one or two of the ways that are counted."""
    tags = [(rng.choice(net.TAGS), rng.getrandbits(16)) for _ in range(rng.choice((1, 1, 2, 2, 3)))]
    length = int.from_bytes(data[16:18], "big")
    udp_len = int.from_bytes(data[38:40], "big")
    kinds = [
        lambda: tagged(data, tags),
        lambda: with_options(data, rng.randint(1, 10), rng),
        lambda: tagged(with_options(data, rng.randint(1, 10), rng), tags),
        lambda: data + rng.randbytes(rng.choice((1, 2, 5, 8, 18, 46, 400, 3000))),  # padding, up to a giant
        lambda: tagged(data, tags) + bytes(rng.randint(1, 9)),
        lambda: data[: rng.randint(1, min(len(data) - 1, 90))],  # runts
        lambda: tagged(data, tags)[: rng.randint(1, 60)],
        lambda: data[: -rng.randint(1, min(40, len(data) - 1))],  # truncated
        lambda: data[:12] + rng.choice((b"\x86\xdd", b"\x08\x06", b"\x05\xdc", b"\x88\xf7", b"\x08\x01")) + data[14:],
        lambda: data[:14] + bytes([rng.choice((0x65, 0x44, 0x40, 0x05, 0x41, 0x4F, 0x46))]) + data[15:],
        lambda: data[:24] + rng.randbytes(2) + data[26:],  # checksum
        lambda: data[:26] + rng.randbytes(1) + data[27:],
        lambda: patched(data, 2, u16(rng.choice((0, 19, 20, 27, 28, length - 1, length + 1, 65535)))),
        lambda: patched(data, 6, rng.choice((0x2000, 0x0001, 0x1FFF, 0x6000, 0x8000, 0xC000)).to_bytes(2, "big")),
        lambda: patched(data, 9, bytes([rng.choice((1, 2, 6, 16, 18, 255))])),
        lambda: patched(data, 16, rng.randbytes(4)),
        lambda: patched(data, 19, bytes([data[33] ^ 1])),
        lambda: data[:36] + (PORTS[line] ^ 1 << rng.randrange(16)).to_bytes(2, "big") + data[38:],
        lambda: data[:38] + u16(rng.choice((0, 7, 8, 27, udp_len - 1, udp_len + 1, 65535))) + data[40:],
        lambda: frame(1 - line, data[42:]),
        lambda: rng.randbytes(rng.randint(1, 120)),
        lambda: data[:12] + rng.randbytes(rng.randint(1, 90)),
    ]
    result = rng.choice(kinds)()
    return (
        special(rng, result, line)
        if rng.random() < 0.1 and len(result) > 80 and result[12:15] == b"\x08\0\x45"
        else result
    )


def spoilt(rng: random.Random, seq: int, messages: list[bytes], next_seq: int, jump_max: int) -> bytes:
    """A packet with something wrong, or without messages; too far ahead only when jump_max refuses that."""
    good = packet(seq, messages)
    near = min(next_seq + rng.choice((1, 2, 3)), mold.SEQ_MAX)
    far = next_seq + rng.choice((jump_max + 1, 70_000, 1 << 20, 1 << 33, 1 << 62)) if jump_max else near
    far = min(far, mold.SEQ_MAX)  # the numbers end
    high = mold.SEQ_MAX if jump_max else 0
    bad = bytes([rng.choice(b"ZzaT")]) + rng.randbytes(rng.randint(7, 80))
    kinds = [
        lambda: good[: rng.randint(0, len(good) - 1)],
        lambda: good + rng.randbytes(rng.randint(1, 9)),
        lambda: packet(seq, messages, count=len(messages) + rng.choice((-1, 1, 2, 300))),
        lambda: packet(seq, messages, session=SESSION[:9] + b"B"),
        lambda: packet(seq, messages, session=b"\0" + SESSION[1:]),
        lambda: packet(0, messages),
        lambda: packet(mold.SEQ_MAX, messages),
        lambda: packet(mold.SEQ_MAX - len(messages) + 1, messages),
        lambda: packet(max(high - len(messages), 0), messages),
        lambda: packet(next_seq, []),
        lambda: packet(max(next_seq - rng.randint(1, 5), 0), []),
        lambda: packet(near, []),
        lambda: packet(near, messages),
        lambda: packet(far, []),
        lambda: packet(far, messages),
        lambda: packet(seq, [*messages, rng.randbytes(rng.randint(0, 7))]),
        lambda: packet(seq, [rng.randbytes(rng.randint(0, 7)), *messages]),
        lambda: packet(seq, [*messages, bad]),
        lambda: packet(seq, [bad, *messages, bad]),
        lambda: packet(seq, [messages[0] + b"x", *messages]),
        lambda: packet(seq, [messages[0][:-1], *messages]),
        lambda: packet(seq, [b"A" * rng.choice((62, 63, 64, 300))]),
        lambda: good[:20] + rng.randbytes(len(good) - 20),
    ]
    return rng.choice(kinds)()
