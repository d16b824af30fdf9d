"""Golden itch: real messages field by field, and what each type becomes as an event."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hwgw_sim.golden import Counters, itch

from hwgw import specs

SHARED = Path(__file__).parents[3] / "shared"


def blank(letter: str, **values: int | str) -> bytes:
    """A message of a type, zero but for its type and the given fields."""
    layout = specs.load("itch50").message(letter)
    message = bytearray(layout.length)
    message[0] = ord(letter)
    for name, value in values.items():
        field = layout.field(name)
        size = field.length
        raw = value.to_bytes(size, "big") if isinstance(value, int) else value.encode().ljust(size)
        message[field.offset : field.offset + size] = raw
    return bytes(message)


def read_binaryfile(path: Path) -> list[bytes]:
    if not path.exists():
        pytest.skip(f"../shared/data/itch50/{path.name} is not here")
    data = path.read_bytes()
    messages, cursor = [], 0
    while cursor < len(data):
        length = int.from_bytes(data[cursor : cursor + 2], "big")
        messages.append(data[cursor + 2 : cursor + 2 + length])
        cursor += 2 + length
    return messages


def test_real_messages_decode_field_by_field():
    path = SHARED / "specs" / "vectors.json"
    if not path.exists():
        pytest.skip("../shared/specs/vectors.json is not here")
    compared = Counter()
    for vector in json.loads(path.read_text()):
        if vector["protocol"] == "itch50":
            assert itch.decode(bytes.fromhex(vector["hex"])) == vector["decoded"]
            compared[vector["kind"]] += len(vector["decoded"])
    assert len(compared) == 17
    assert compared.total() == 147


@pytest.mark.parametrize(
    ("message", "want"),
    [
        (blank("A", order_reference_number=5, side="B", shares=7, price=9),
         {"kind": "add", "side": 1, "ref": 5, "qty": 7, "px": 9}),
        (blank("F", order_reference_number=5, side="S", shares=7, price=9),
         {"kind": "add", "side": 2, "ref": 5, "qty": 7, "px": 9}),
        (blank("A", order_reference_number=5, side="?", shares=7, price=9),
         {"kind": "add", "side": 0, "ref": 5, "qty": 7, "px": 9}),
        (blank("E", order_reference_number=5, executed_shares=7, match_number=8),
         {"kind": "execute", "ref": 5, "ref_new": 8, "qty": 7, "flags": 1}),
        (blank("C", order_reference_number=5, executed_shares=7, match_number=8, printable="Y",
               execution_price=9),
         {"kind": "execute_with_price", "ref": 5, "ref_new": 8, "qty": 7, "px": 9, "flags": 1}),
        (blank("C", order_reference_number=5, executed_shares=7, match_number=8, printable="N",
               execution_price=9),
         {"kind": "execute_with_price", "ref": 5, "ref_new": 8, "qty": 7, "px": 9}),
        (blank("X", order_reference_number=5, cancelled_shares=7), {"kind": "reduce", "ref": 5, "qty": 7}),
        (blank("D", order_reference_number=5), {"kind": "delete", "ref": 5}),
        (blank("U", original_order_reference_number=5, new_order_reference_number=6, shares=7, price=9),
         {"kind": "replace", "ref": 5, "ref_new": 6, "qty": 7, "px": 9}),
        (blank("P", side="B", shares=7, price=9, match_number=8),
         {"kind": "trade", "side": 1, "ref_new": 8, "qty": 7, "px": 9, "flags": 1}),
        (blank("Q", shares=7, cross_price=9, match_number=8),
         {"kind": "cross", "ref_new": 8, "qty": 7, "px": 9, "flags": 1}),
        (blank("Q", shares=2**32, cross_price=9), {"kind": "cross", "qty": 2**32 - 1, "px": 9, "flags": 1}),
        (blank("B", match_number=8), {"kind": "break", "ref_new": 8}),
        (blank("H", trading_state="T"), {"kind": "status", "flags": 2}),
        (blank("H", trading_state="H"), {"kind": "status"}),
        (blank("h", operational_halt_action="T"), {"kind": "status", "flags": 2}),
        (blank("h", operational_halt_action="H"), {"kind": "status"}),
        (blank("R", stock="ABC", round_lot_size=100), {"kind": "directory", "ref": 0x4142432020202020}),
        (blank("S", event_code="Q"), {"kind": "system"}),
        (blank("Y"), {"kind": "none"}),
        (blank("L"), {"kind": "none"}),
        (blank("V"), {"kind": "none"}),
        (blank("W"), {"kind": "none"}),
        (blank("K", ipo_price=9), {"kind": "none"}),
        (blank("J"), {"kind": "none"}),
        (blank("I", paired_shares=7), {"kind": "none"}),
        (blank("N"), {"kind": "none"}),
        (blank("O"), {"kind": "none"}),
    ],
    ids=lambda value: chr(value[0]) if isinstance(value, bytes) else None,
)  # fmt: skip
def test_type_becomes_event(message, want):
    expected = dict.fromkeys((field.name for field in specs.load("event").layout("event").fields), 0)
    expected |= {"code": message[0], "instrument": 0xFFFFFFFF}
    expected |= want | {"kind": itch.code("kind", want["kind"])}
    assert itch.event(message) == expected


def test_every_type_of_the_table_decodes_at_its_length_only():
    layouts = [layout for layout in specs.load("itch50").layouts if layout.kind == "message"]
    assert len(layouts) == 23
    counters = Counters()
    for layout in layouts:
        message = blank(str(layout.code))
        assert itch.take(message, counters) is not None
        assert itch.take(message[:-1], counters) is None
        assert itch.take(message + b"\0", counters) is None
    assert counters == {"itch.messages": 23, "itch.drop_length": 46}


def test_unknown_type_and_empty_message_are_dropped():
    counters = Counters()
    known = {ord(str(layout.code)) for layout in specs.load("itch50").layouts if layout.code}
    for byte in set(range(256)) - known:
        assert itch.take(bytes([byte]) * 12, counters) is None
    assert itch.take(b"", counters) is None
    assert counters == {"itch.drop_unknown": 233, "itch.drop_length": 1}


def test_header_fields_come_through():
    event = itch.event(blank("D", stock_locate=513, timestamp=2**47 + 1, tracking_number=3))
    assert (event["locate"], event["ts_ns"]) == (513, 2**47 + 1)


def test_real_stream_decodes_whole():
    messages = read_binaryfile(SHARED / "data" / "itch50" / "aapl_20200130_first10k.itch50")
    counters = Counters()
    types = Counter(chr(itch.take(message, counters)["code"]) for message in messages)
    assert counters == {"itch.messages": 10_000}
    assert types == {
        "A": 4758, "D": 4083, "E": 849, "P": 240, "L": 52, "U": 7, "X": 6, "F": 2, "R": 1, "H": 1, "Y": 1,
    }  # fmt: skip
