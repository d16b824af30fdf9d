"""A day at random, and a pipeline rebuilt from the records that it left in its ring, with a venue that waits for it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hwgw import specs
from hwgw.journal.again import Again, of_blocks
from hwgw.journal.files import Block
from hwgw.native import ffi, lib

from . import rig as r
from . import soup_venue as sv
from .chains import Monkey, Venue, gate, open_orders, settle
from .desk import SYMBOLS, Desk, session_cfg
from .rig import Rig

RING = 2**21
TYPES = {code.slug: int(code.value) for code in specs.load("journal").enum("record_type").values}
NEW, REPLACE = lib.HWGW_ORDER_KIND_NEW, lib.HWGW_ORDER_KIND_REPLACE
HEAD = specs.dtype("journal", "journal_record")


def opening(symbols: tuple[str, ...] = SYMBOLS, clock_offset_ns: int = 0) -> tuple[bytes, int]:
    """The block a writer begins with."""
    names = b"".join(name.ljust(8).encode() for name in symbols)
    run = np.zeros(1, specs.dtype("journal", "journal_open"))
    run["clock_offset_ns"], run["thread_cnt"], run["instrument_cnt"] = clock_offset_ns, 1, len(symbols)
    parts = []
    for kind, payload in (("open", run.tobytes()), ("symbols", names)):
        head = bytearray(HEAD.itemsize)
        head[0:4] = len(payload).to_bytes(4, "little")
        head[4], head[5] = TYPES[kind], 255
        parts.append(bytes(head) + payload + bytes(-len(payload) % 32))
    return b"".join(parts), 2


def sealed(raw: tuple[bytes, int], seq: int) -> Block:
    """Records of a ring as a block of a file: each has its checksum there."""
    data, at = bytearray(raw[0]), 0
    where = HEAD.fields["crc32c"][1]  # type: ignore[index]
    while at < len(data):
        end = at + HEAD.itemsize + int.from_bytes(data[at : at + 4], "little")
        data[at + where : at + where + 4] = bytes(4)
        data[at + where : at + where + 4] = lib.hwgw_crc32c(bytes(data[at:end]), end - at).to_bytes(4, "little")
        at += -(-(end - at) // 32) * 32
    return Block(Path("journal/day"), 0, "data", seq, 0, raw[1], bytes(32), bytes(32), memoryview(bytes(data)))


def judged(*blocks: tuple[bytes, int]) -> Again:
    """What hwgw replay --verify says of these blocks."""
    return of_blocks([sealed(raw, seq) for seq, raw in enumerate(blocks, 1)])


class Records:
    """What the ring of a pipeline holds, cut into records."""

    def __init__(self, rig: Rig) -> None:
        ring = lib.hwgw_segment_journal(rig.segment.pointer, 0)
        assert ring.head < RING, "it went round"
        self.raw = bytes(ffi.buffer(ffi.cast("uint8_t *", ring) + ffi.sizeof("struct hwgw_journal_ring"), ring.head))
        self.ends, at = [], 0
        while at < len(self.raw):
            length = int.from_bytes(self.raw[at : at + 4], "little")
            at += -(-(32 + length) // 32) * 32
            self.ends.append(at)

    def __iter__(self) -> Iterator[tuple[int, int, bytes]]:
        """Type, verdict and payload of each."""
        at = 0
        for end in self.ends:
            length = int.from_bytes(self.raw[at : at + 4], "little")
            yield self.raw[at + 4], int.from_bytes(self.raw[at + 6 : at + 8], "little"), self.raw[at + 32 :][:length]
            at = end

    def first(self, cnt: int) -> tuple[bytes, int]:
        return (self.raw[: self.ends[cnt - 1]] if cnt else b""), cnt


class Day:
    """A desk that traded at random, its records, and what the venue had at each reference it took."""

    def __init__(self, rng: random.Random, turns: int, **options: Any) -> None:
        """options: as in Desk."""
        self.store: list[bytes] = [sv.query_response(1)]
        self.refs: list[int] = []
        self.states: list[tuple[int, Any]] = []  # before each of refs: messages sent, the venue
        venue, monkey = Venue(rng), Monkey(rng)
        answer = venue.answer

        def answered(packet: bytes) -> list[bytes]:
            if packet[3:4] in b"OU":
                at = 4 if packet[3:4] == b"O" else 8
                self.refs.append(int.from_bytes(packet[at : at + 4], "big"))
                self.states.append((len(self.store), self.state(venue)))
            self.store += (made := answer(packet))
            return made

        venue.answer = answered  # type: ignore[method-assign]
        with Desk(strategy=monkey.desc, journal_sz_bytes=RING, **options) as desk:
            for locate, symbol in enumerate(SYMBOLS, 1):
                desk.rig.quote(symbol, locate)
            seen = 2
            for turn in range(turns):
                desk.rig.feed(r.add(1, "AAPL", 10_000 + turn, "B", 1, 1_000_000))
                fills = [message for _ in range(4) for message in venue.trade()]
                self.store += fills
                if fills:
                    total = desk.cnt("session.sequenced") + len(fills)
                    desk.venue.sequenced(*fills)
                    desk.until(lambda: desk.cnt("session.sequenced") == total)  # noqa: B023
                seen = settle(desk, venue, seen)
            assert desk.rig.segment.halted is None
            desk.rig.publish()
            self.gate = gate(desk)
            self.records = Records(desk.rig)
        self.states.append((len(self.store), self.state(venue)))

    @staticmethod
    def state(venue: Venue) -> dict[str, Any]:
        return {
            "orders": {ref: order.leaves for ref, order in venue.live.items()},
            "positions": {symbol.decode().strip(): pos for symbol, pos in venue.position.items() if pos},
            "cash": venue.cash,
        }

    def until(self, cnt: int) -> tuple[int, int]:
        """Of the first cnt records: messages of the venue, and the highest reference that passed."""
        messages = ref = 0
        for kind, verdict, payload in list(self.records)[:cnt]:
            messages += kind == TYPES["venue"]
            if kind == TYPES["gate"] and payload[0] in (NEW, REPLACE) and not verdict:
                ref = int.from_bytes(payload[8:12], "little")
        return messages, ref


class Restored:
    """A pipeline rebuilt from records, and a venue that waits for it."""

    def __init__(self, *blocks: tuple[bytes, int], symbols: tuple[str, ...] = SYMBOLS, **options: Any) -> None:
        """options: as in Rig."""
        self.venue = sv.Venue()
        self.packets: list[bytes] = []
        try:
            cfg = session_cfg(self.venue.port)
            self.rig = Rig(symbols, session=cfg, replay=blocks, orders_max=1000, **options)
        except BaseException:
            self.venue.close()
            raise

    def close(self) -> None:
        self.rig.__exit__()
        self.venue.close()

    def until(self, done: Callable[[], bool], what: str = "") -> None:
        end = time.monotonic() + sv.PATIENCE_S
        while not done():
            self.rig.step()
            self.venue.step()
            self.packets += self.venue.packets()
            assert time.monotonic() < end, f"gave up waiting: {what} {self.rig.segment.halts}"

    def log_in(self, seq: int, messages: list[bytes], next_ref: int) -> None:
        self.until(lambda: len(self.packets) == 1, "a login")
        assert self.packets[0] == sv.login_request(sv.SESSION, seq)
        self.venue.send(sv.login_accepted(seq=seq))
        self.until(lambda: len(self.packets) == 2, "the account query")
        self.venue.sequenced(*messages, sv.query_response(next_ref))
        self.until(lambda: int(self.rig.segment.threads[0]["session_state"]) == lib.HWGW_SEGMENT_SESSION_STATE_UP, "up")

    def halts(self) -> dict[str, str]:
        self.rig.publish()
        return {row["reason"]: row["text"] for row in self.rig.segment.halts}

    def state(self) -> dict[str, Any]:
        self.rig.publish()
        rows = zip(self.rig.segment.symbols, self.rig.segment.positions, strict=True)
        return {
            "orders": open_orders(gate(self)),  # type: ignore[arg-type]
            "positions": {symbol: int(row["pos"]) for symbol, row in rows if int(row["pos"])},
            "cash": int(self.rig.segment.threads[0]["cash"]),
        }


@contextmanager
def restored(*blocks: tuple[bytes, int], **options: Any) -> Iterator[Restored]:
    made = Restored(*blocks, **options)
    try:
        yield made
    finally:
        made.close()
