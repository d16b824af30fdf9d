"""What hwgw_feed has to give for frames that come one after another: the golden models in the order of the stages.

SPDX-License-Identifier: MIT

Feed.frame() takes one frame of a line and says which events it gives. Counters are kept where the Verilog keeps them:
per line and per channel, under the names of hwgw/specs/counters.yaml. c_event() is the same record by the C decoder.
"""

from __future__ import annotations

from hwgw_sim.golden import Counters, itch, mold, net

from hwgw import specs
from hwgw.native import ffi, lib
from hwgw.specs import registers

CARD = registers.load()
BLOCK_MIN = 8  # hwgw_mold.v: a shorter block makes its packet drop_blocks
ORDER_W = 12
FIELDS = specs.load("event").layout("event").fields
KIND = {code.slug: int(code.value) for code in specs.load("event").enum("kind").values}
NONE = itch.INSTRUMENT_NONE

Event = dict[str, int]


def pack(event: Event) -> bytes:
    """The 64 bytes of an event."""
    return b"".join(event[field.name].to_bytes(field.size, "little") for field in FIELDS)


def unpack(record: bytes) -> Event:
    """The fields of 64 bytes."""
    return {f.name: int.from_bytes(record[f.offset : f.offset + f.length], "little") for f in FIELDS}


def c_event(message: bytes, **known: int) -> bytes:
    """What the C decoder makes of a message, b"" when it refuses; known: the fields it does not fill."""
    event = ffi.new("struct hwgw_event *")
    if lib.hwgw_itch_decode(ffi.from_buffer(message) if message else ffi.NULL, len(message), event):
        return b""
    for name, value in known.items():
        setattr(event, name, value)
    return bytes(ffi.buffer(event))


class Trades:
    """Last trades as hwgw_top.v keeps them: plain executions take their price from the orders it still remembers."""

    def __init__(self) -> None:
        self.last: dict[int, tuple[int, int]] = {}
        self.rows: dict[int, tuple[int, int]] = {}
        self.count = self.unknown = 0

    @staticmethod
    def row(ref: int) -> int:
        """The row of an order."""
        return (ref ^ (ref >> ORDER_W)) & ((1 << ORDER_W) - 1)

    def take(self, event: Event) -> None:
        """An event of a subscribed instrument."""
        kind, px = event["kind"], event["px"]
        if kind in (KIND["add"], KIND["replace"]):
            ref = event["ref_new"] if kind == KIND["replace"] else event["ref"]
            self.rows[self.row(ref)] = (ref, px)
        if not event["flags"] & 1 or not event["qty"]:
            return
        if kind == KIND["execute"]:
            ref, px = self.rows.get(self.row(event["ref"]), (None, 0))
            if ref != event["ref"]:
                self.unknown += 1
                return
        self.last[event["instrument"]] = (px, event["qty"])
        self.count += 1


class Feed:
    """The receive path with two lines; frames must not overlap in time."""

    def __init__(self, flows: list[net.Flow], jump_max: int = 0, is_all: bool = False, channel: int = 0) -> None:
        self.flows = flows
        self.mold = mold.Mold(line_cnt=2, jump_max=jump_max)
        self.is_all = is_all
        self.channel = channel
        self.symbols: dict[int, int] = {}
        self.lines = (Counters(), Counters())
        self.counters = Counters()
        self.trades = Trades()

    def frame(self, line: int, frame: bytes, is_bad: bool = False, t_rx: int = 0) -> list[tuple[bytes, bytes]]:
        """The events of one frame, each with its message."""
        mine = self.lines[line]
        if is_bad:
            mine.add("rx.drop_nic")
            return []
        mine.add("rx.frames")
        cause, payload, _ = net.payload(frame, [self.flows[line]])
        if cause:
            mine.add(cause)
            return []
        return self.packet(line, payload, t_rx)

    def packet(self, line: int, payload: bytes, t_rx: int = 0) -> list[tuple[bytes, bytes]]:
        """The same from the payload on."""
        mine = self.lines[line]
        count = int.from_bytes(payload[18:20], "big")
        blocks = mold.blocks(payload, count) if 0 < count < mold.COUNT_END and len(payload) >= mold.HEADER_LEN else []
        if blocks and min(map(len, blocks)) < BLOCK_MIN:
            mine.add("mold.drop_blocks")
            return []
        self.mold.counters = Counters()
        _, messages = self.mold.packet(line, payload)
        for name, value in self.mold.counters.items():
            if name in CARD.line_counters:
                mine.add(name, value)
            elif name in CARD.channel_counters:
                self.counters.add(name, value)
        result = []
        for seq, message in messages:
            record = self.message(line, seq, message, t_rx)
            if record:
                result.append((record, message))
        return result

    def message(self, line: int, seq: int, message: bytes, t_rx: int) -> bytes:
        """The event of one message, b"" when it gives none."""
        event = itch.take(message, self.counters)
        if event is None:
            return b""
        event |= {"line": line, "seq": seq, "channel": self.channel, "t_rx": t_rx}
        event["instrument"] = self.symbols.get(event["locate"], NONE)
        if event["instrument"] == NONE and event["locate"] and not self.is_all:
            self.counters.add("book.drop_instrument")
            return b""
        if event["instrument"] != NONE:
            self.trades.take(event)
        return pack(event)
