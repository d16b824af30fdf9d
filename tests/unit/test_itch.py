"""ITCH decoder and instruments: C equals the golden model and the table on every type.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hwgw_sim.golden import itch
from hwgw_sim.stream import Stream, split
from support.feed import EVENT_FIELDS, data_file, decode

from hwgw import specs
from hwgw.errors import ConfigError
from hwgw.native import call, ffi, lib

TYPES = {layout.code: layout.length for layout in specs.load("itch50").layouts if layout.kind == "message"}
NOT_SUBSCRIBED = 0xFFFFFFFF


def fields(event: Any) -> dict[str, int]:
    return {name: getattr(event, name) for name in EVENT_FIELDS}


def random_message(rng: random.Random, code: str) -> bytes:
    """Any bytes behind the type, with code letters that mean something in half of the cases."""
    message = bytearray(code.encode() + rng.randbytes(TYPES[code] - 1))
    for offset in (19, 20, 31):
        if offset < len(message) and rng.random() < 0.5:
            message[offset] = rng.choice(b"BSTHQYN")
    if code == "Q" and rng.random() < 0.5:
        message[11:15] = bytes(4)
    return bytes(message)


def test_every_type_gives_the_event_of_the_golden_model(rng):
    event = ffi.new("struct hwgw_event *")
    seen: Counter[tuple[str, int, int]] = Counter()
    for _ in range(400):
        for code in TYPES:
            message = random_message(rng, code)
            ffi.memmove(event, b"\xa5" * 64, 64)
            event.seq = event.t_rx = event.line = event.channel = 0
            assert decode(message, event) is None
            assert fields(event) == itch.event(message)
            seen[code, event.side, event.flags] += 1
    assert len(TYPES) == 23
    assert sum(seen.values()) == 9_200
    assert all(seen[code, side, 0] > 5 for code in "AF" for side in (0, 1, 2))
    assert all(seen[code, 0, flag] > 5 for code, flag in (("C", 0), ("C", 1), ("H", 0), ("H", 2), ("h", 0), ("h", 2)))


def test_what_the_caller_set_is_left_alone():
    event = ffi.new("struct hwgw_event *", {"seq": 7, "t_rx": 8, "line": 1, "channel": 2})
    assert decode(random_message(random.Random(1), "A"), event) is None
    assert (event.seq, event.t_rx, event.line, event.channel) == (7, 8, 1, 2)
    assert event.instrument == NOT_SUBSCRIBED


@pytest.mark.parametrize("code", sorted(TYPES))
def test_any_other_length_is_dropped(code):
    event = ffi.new("struct hwgw_event *")
    checked = 0
    for length in range(1, 70):
        held = ffi.new("uint8_t[]", (code.encode() + bytes(69))[:length])
        want = 0 if length == TYPES[code] else lib.HWGW_CNT_ITCH_DROP_LENGTH
        assert lib.hwgw_itch_decode(held, length, event) == want
        checked += 1
    assert checked == 69


def test_unknown_types_and_empty_messages_are_dropped():
    event = ffi.new("struct hwgw_event *")
    unknown = [byte for byte in range(256) if chr(byte) not in TYPES]
    assert len(unknown) == 233
    for byte in unknown:
        assert decode(bytes([byte]) + bytes(30), event) == "itch.drop_unknown"
    assert decode(b"", event) == "itch.drop_length"


def test_real_opening_of_322_symbols_equals_the_golden_model(shared):
    messages = list(split(data_file(shared, "itch50/open_20191230_first1000.itch50").read_bytes()))
    event = ffi.new("struct hwgw_event *")
    for message in messages:
        assert decode(message, event) is None
        assert fields(event) == itch.event(message)
    assert len(messages) == 1000


# ---- instruments ----


class Instruments:
    def __init__(self, names: list[str], maximum: int, dynamic: bool = False) -> None:
        out = ffi.new("struct hwgw_instruments **")
        text = "".join(name.ljust(8) for name in names).encode()
        call(lib.hwgw_instruments_open, out, text, len(names), maximum, dynamic)
        self.native = ffi.gc(out[0], lib.hwgw_instruments_close)
        self.event = ffi.new("struct hwgw_event *")

    def resolve(self, message: bytes, channel: int = 0) -> int:
        assert decode(message, self.event) is None
        self.event.channel = channel
        lib.hwgw_instruments_resolve(self.native, message, len(message), self.event)
        return int(self.event.instrument)

    def names(self) -> list[str]:
        cnt = lib.hwgw_instruments_cnt(self.native)
        pointers = [lib.hwgw_instruments_name(self.native, index) for index in range(cnt)]
        return [bytes(ffi.buffer(pointer, 8)).decode().rstrip() for pointer in pointers]


def message(code: str, locate: int, symbol: str = "") -> bytes:
    body = bytearray(code.encode() + locate.to_bytes(2, "big") + bytes(TYPES[code] - 3))
    offset = {"R": 11, "A": 24, "F": 24, "H": 11}.get(code)
    if offset:
        body[offset : offset + 8] = symbol.ljust(8).encode()
    return bytes(body)


def test_locate_is_learned_from_directory_and_add_orders_and_then_holds_for_every_type():
    instruments = Instruments(["AAPL", "MSFT"], 2)
    assert instruments.resolve(message("D", 7)) == NOT_SUBSCRIBED
    assert instruments.resolve(message("H", 7, "MSFT")) == NOT_SUBSCRIBED
    assert instruments.resolve(message("R", 7, "MSFT")) == 1
    assert instruments.resolve(message("F", 9, "AAPL")) == 0
    assert [instruments.resolve(message(code, locate)) for code, locate in (("D", 7), ("E", 9), ("U", 9))] == [1, 0, 0]
    # a directory message corrects what was learned, an add order does not
    assert instruments.resolve(message("A", 7, "AAPL")) == 1
    assert instruments.resolve(message("R", 7, "AAPL")) == 0


def test_symbol_that_is_not_listed_is_not_subscribed():
    instruments = Instruments(["AAPL"], 1)
    assert instruments.resolve(message("R", 3, "TSLA")) == NOT_SUBSCRIBED
    assert instruments.resolve(message("A", 3, "TSLA")) == NOT_SUBSCRIBED
    assert instruments.resolve(message("A", 0, "AAPL")) == NOT_SUBSCRIBED, "locate 0 is nobody's"
    assert instruments.names() == ["AAPL"]


def test_dynamic_symbols_take_the_next_index_up_to_the_maximum():
    instruments = Instruments(["AAPL"], 3, dynamic=True)
    found = [
        instruments.resolve(message("R", locate, name)) for locate, name in ((1, "B"), (2, "C"), (3, "D"), (4, "AAPL"))
    ]
    assert found == [1, 2, NOT_SUBSCRIBED, 0]
    assert instruments.names() == ["AAPL", "B", "C"]


def test_channels_have_their_own_locates():
    instruments = Instruments(["AAPL", "MSFT"], 2)
    assert instruments.resolve(message("R", 5, "AAPL"), channel=0) == 0
    assert instruments.resolve(message("D", 5), channel=1) == NOT_SUBSCRIBED
    assert instruments.resolve(message("R", 5, "MSFT"), channel=63) == 1
    assert instruments.resolve(message("D", 5), channel=0) == 0
    assert instruments.resolve(message("D", 5), channel=63) == 1
    assert instruments.resolve(message("R", 5, "MSFT"), channel=64) == NOT_SUBSCRIBED


def test_thousands_of_symbols_resolve_to_their_own_index(seed):
    with Stream(seed, 5000, live_max=3000) as stream:
        instruments = Instruments([], 5000, dynamic=True)
        messages = stream.messages(20_003)
    resolved = Counter(instruments.resolve(each) == int.from_bytes(each[1:3], "big") - 1 for each in messages)
    assert resolved == {True: 20_000, False: 3}, "only the three system events have no instrument"
    assert instruments.names() == [f"S{number:07}" for number in range(1, 5001)]


@pytest.mark.parametrize(
    ("names", "maximum", "text"),
    [
        (["AAPL", "AAPL"], 2, "symbol AAPL *is listed twice"),
        ([], 0, "0 symbols with a maximum of 0; 1 to 65536 instruments are allowed"),
        (["A", "B"], 1, "2 symbols with a maximum of 1"),
        ([], 65537, "maximum of 65537"),
    ],
)
def test_wrong_instruments_are_refused_with_what_is_allowed(names, maximum, text):
    with pytest.raises(ConfigError, match=text):
        Instruments(names, maximum)
