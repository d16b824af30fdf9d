"""OUCH 4.2, both directions: bytes by hand, the golden model, what cannot be.

SPDX-License-Identifier: MIT

The bytes here are packed from the published layout and not by hwgw's tables.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hwgw_sim.golden import order as common
from hwgw_sim.golden import order_ouch42 as golden
from support import soup_venue as wire

from hwgw.native import ffi, lib

BUY, SELL = lib.HWGW_ORDER_SIDE_BUY, lib.HWGW_ORDER_SIDE_SELL
SHORT, EXEMPT = lib.HWGW_ORDER_FLAGS_SHORT_SALE, lib.HWGW_ORDER_FLAGS_SHORT_EXEMPT
DAY, IOC = lib.HWGW_ORDER_TIF_DAY, lib.HWGW_ORDER_TIF_IOC
LIMIT, MARKET = lib.HWGW_ORDER_TYPE_LIMIT, lib.HWGW_ORDER_TYPE_MARKET
POST_ONLY, HIDDEN, ALL_OR_NONE = 1 << 32, 2 << 32, 4 << 32
IGNORED = lib.HWGW_CNT_SESSION_IGNORED
DROP_LENGTH, DROP_UNKNOWN = lib.HWGW_CNT_SESSION_DROP_LENGTH, lib.HWGW_CNT_SESSION_DROP_UNKNOWN
TS = 34_200_000_000_000


def open_client(**options: Any) -> wire.Client:
    return wire.Client(port=1, options={"protocol": lib.HWGW_PROTOCOL_OUCH42} | options)


@pytest.fixture(scope="module")
def client() -> Iterator[wire.Client]:
    session = open_client()
    yield session
    session.close()


encode, decode = wire.Client.encode, wire.Client.decode


def token(ref: int) -> bytes:
    return b"%010d    " % ref


def enter(ref: int, side: bytes, qty: int, symbol: bytes, px: int, tif: int = 99998, firm: bytes = b"    ") -> bytes:
    head = struct.pack(">c14scI8sII4s", b"O", token(ref), side, qty, symbol, px, tif, firm)
    return head + b"YPN" + struct.pack(">I", 0) + b"N "


def replace(orig: int, ref: int, qty: int, px: int, tif: int = 99998) -> bytes:
    return struct.pack(">c14s14sIII", b"U", token(orig), token(ref), qty, px, tif) + b"YN" + bytes(4)


def cancel(ref: int, qty: int) -> bytes:
    return struct.pack(">c14sI", b"X", token(ref), qty)


# ---- encode ----


def test_lengths_are_those_of_the_text() -> None:
    symbol = wire.SYMBOLS[0]
    assert [len(enter(1, b"B", 1, symbol, 1)), len(replace(1, 2, 1, 1)), len(cancel(1, 0))] == [49, 47, 19]


def test_random_orders_equal_bytes_packed_by_hand(client: wire.Client, rng: random.Random) -> None:
    compared = dict.fromkeys(("NEW", "REPLACE", "CANCEL"), 0)
    for _ in range(5_000):
        kind = rng.choice(list(compared))
        ref = rng.choice((rng.randrange(2, 2**32), rng.randrange(2, 100), 10 ** rng.randrange(1, 10), 2**32 - 1))
        qty, px = rng.randrange(1, 1_000_000), rng.randrange(1, 1_999_999_901)
        instrument, (tif, seconds) = rng.randrange(4), rng.choice([(DAY, 99998), (IOC, 0)])
        side, flags, code = rng.choice([(BUY, 0, b"B"), (SELL, 0, b"S"), (SELL, SHORT, b"T"), (SELL, EXEMPT, b"E")])
        fields = {"ref": ref, "qty": qty, "px": px, "tif": tif, "side": side, "flags": flags, "instrument": instrument}
        if kind == "NEW":
            expected = enter(ref, code, qty, wire.SYMBOLS[instrument], px, seconds)
        elif kind == "REPLACE":
            fields["orig_ref"] = rng.randrange(1, ref)
            expected = replace(fields["orig_ref"], ref, qty, px, seconds)
        else:
            expected = cancel(ref, qty)
        assert encode(client, wire.order(kind, **fields)) == wire.soup(b"U", expected)
        compared[kind] += 1
    assert min(compared.values()) > 1_000


@pytest.mark.parametrize(
    ("fields", "display", "minimum"),
    [
        ({"venue_ref": POST_ONLY}, b"P", 0),
        ({"venue_ref": HIDDEN}, b"N", 0),
        ({"venue_ref": ALL_OR_NONE, "tif": IOC}, b"Y", 300),
    ],
)
def test_options_are_the_display_or_a_minimum(
    client: wire.Client, fields: dict[str, int], display: bytes, minimum: int
) -> None:
    seconds = 0 if fields.get("tif") == IOC else 99998
    expected = bytearray(enter(9, b"B", 300, wire.SYMBOLS[0], 1_000_000, seconds))
    expected[40:41], expected[43:47] = display, minimum.to_bytes(4, "big")
    made = encode(client, wire.order(ref=9, qty=300, px=1_000_000, **fields))
    assert made == wire.soup(b"U", bytes(expected))


def test_attributable_and_post_only_is_a_display_of_its_own() -> None:
    session = open_client(display=b"A", firm=b"HWGW")
    made = encode(session, wire.order(ref=9, qty=300, px=1, venue_ref=POST_ONLY))
    session.close()
    assert (made[3 + 40 : 3 + 41], made[3 + 36 : 3 + 40]) == (b"L", b"HWGW")


def test_random_orders_equal_the_golden_model(client: wire.Client, rng: random.Random) -> None:
    port = common.Port(tuple(symbol.decode() for symbol in wire.SYMBOLS))
    values = {
        "kind": [*range(1, 4)] * 4 + [0, 4, 255],
        "side": [BUY, SELL] * 4 + [0, 3],
        "type": [LIMIT] * 8 + [MARKET] * 4 + [0, 3],
        "tif": [DAY, IOC] * 8 + [0, 3],
        "flags": [0] * 8 + [SHORT, EXEMPT, SHORT | EXEMPT, 4],
        "instrument": [0, 1, 2, 3] * 4 + [4],
        "ref": [0, 1, 5, 2**32 - 1],
        "orig_ref": [0, 1, 4, 5, 6],
        "px": [1, 100, 4_777_800, 1_999_999_900] * 2 + [0, 1_999_999_901, 2**32 - 1],
        "qty": [1, 100, 999_999] * 3 + [0, 1_000_000, 2**32 - 1],
        "venue_ref": [0] * 12 + [option << 32 for option in range(9)] + [1, 1 << 20, 1 << 63, 1 << 32 | 50],
    }
    good = bad = 0
    said = set()
    for _ in range(5_000):
        fields = {name: rng.choice(choices) for name, choices in values.items()}
        try:
            expected = golden.encode(fields, port)
        except common.EncodeError:
            expected = b""
        assert encode(client, ffi.new("struct hwgw_order *", fields)) == expected, fields
        good += bool(expected)
        bad += not expected
        if expected and fields["kind"] != lib.HWGW_ORDER_KIND_CANCEL:
            said.add(fields["venue_ref"])
    assert good > 700
    assert bad > 700
    assert said <= {0, POST_ONLY, HIDDEN, ALL_OR_NONE, HIDDEN | ALL_OR_NONE}
    assert len(said) >= 4


# ---- decode ----


def accepted(ref: int, side: bytes, qty: int, symbol: bytes, px: int, state: bytes = b"L") -> bytes:
    head = struct.pack(">cQ14scI8sII4s", b"A", TS, token(ref), side, qty, symbol, px, 99998, b"HWGW")
    return head + b"Y" + struct.pack(">Q", 900) + b"PN" + bytes(4) + b"N" + state + b" "


def replaced(orig: int, ref: int, side: bytes, qty: int, symbol: bytes, px: int, state: bytes = b"L") -> bytes:
    head = struct.pack(">cQ14scI8sII4s", b"U", TS, token(ref), side, qty, symbol, px, 99998, b"HWGW")
    return head + b"Y" + struct.pack(">Q", 901) + b"PN" + bytes(4) + b"N" + state + token(orig) + b" "


def executed(ref: int, qty: int, px: int, match: int) -> bytes:
    return struct.pack(">cQ14sIIcQ", b"E", TS, token(ref), qty, px, b"A", match)


def canceled(ref: int, qty: int, reason: bytes = b"U") -> bytes:
    return struct.pack(">cQ14sIc", b"C", TS, token(ref), qty, reason)


def broken(ref: int, match: int) -> bytes:
    return struct.pack(">cQ14sQc", b"B", TS, token(ref), match, b"E")


def rejected(ref: int, reason: bytes = b"X") -> bytes:
    return struct.pack(">cQ14sc", b"J", TS, token(ref), reason)


LENGTHS = {
    "S": 10, "A": 66, "U": 80, "C": 28, "D": 37, "E": 40, "B": 32, "G": 45, "J": 24, "P": 23, "I": 23, "T": 36, "M": 28,
    "N": 23,
}  # fmt: skip


def sample(code: str) -> bytes:
    """The shortest message of a type, of order 7."""
    made = {
        "A": accepted(7, b"B", 40, b"ADBE    ", 4_777_800),
        "U": replaced(6, 7, b"B", 40, b"ADBE    ", 4_777_800),
        "C": canceled(7, 40),
        "D": b"D" + canceled(7, 40, b"Q")[1:] + struct.pack(">IIc", 40, 1_000_000, b"A"),
        "E": executed(7, 40, 4_777_800, 12),
        "G": b"G" + executed(7, 40, 4_777_800, 12)[1:] + struct.pack(">Ic", 1, b"I"),
        "B": broken(7, 12),
        "J": rejected(7),
    }
    plain = code.encode() + struct.pack(">Q14s", TS, token(7))
    message = made.get(code, plain.ljust(LENGTHS[code])[: LENGTHS[code]])
    assert len(message) == LENGTHS[code]
    return message


def test_each_field_of_each_event_is_decoded(client: wire.Client) -> None:
    kinds = "KIND_ACCEPTED", "KIND_REPLACED", "KIND_CANCELED", "KIND_EXECUTED", "KIND_BROKEN", "KIND_REJECTED"
    names = ("kind", "ref", "orig_ref", "qty", "px", "reason", "venue_ref", "side", "flags")
    accept, replace_, cancel_, execute, break_, reject = (getattr(lib, f"HWGW_ORDER_{kind}") for kind in kinds)
    expected = {
        "A": (accept, 7, 0, 40, 4_777_800, 0, 900, BUY, 0),
        "U": (replace_, 7, 6, 40, 4_777_800, 0, 901, BUY, 0),
        "C": (cancel_, 7, 0, 40, 0, ord("U"), 0, 0, 0),
        "D": (cancel_, 7, 0, 40, 0, ord("Q"), 0, 0, 0),
        "E": (execute, 7, 0, 40, 4_777_800, 0, 12, 0, 0),
        "G": (execute, 7, 0, 40, 4_777_800, 0, 12, 0, 0),
        "B": (break_, 7, 0, 0, 0, ord("E"), 12, 0, 0),
        "J": (reject, 7, 0, 0, 0, ord("X"), 0, 0, 0),
    }
    for code, values in expected.items():
        cause, event = decode(client, sample(code))
        assert cause == 0
        assert tuple(getattr(event, name) for name in names) == values, code
    for code in set(LENGTHS) - set(expected):
        assert decode(client, sample(code))[0] == IGNORED
    dead = accepted(2**32 - 1, b"E", 1, b"ADBE    ", 1, b"D")
    cause, event = decode(client, dead)
    assert (cause, event.ref, event.reason, event.flags) == (0, 2**32 - 1, ord("D"), EXEMPT)


@pytest.mark.parametrize("code", LENGTHS)
def test_every_shorter_message_is_refused_and_every_longer_one_taken(client: wire.Client, code: str) -> None:
    message = sample(code)
    for size in range(1, len(message)):
        assert decode(client, message[:size])[0] == DROP_LENGTH
    assert decode(client, message + b"\0")[0] == decode(client, message)[0]


@pytest.mark.parametrize(
    "message",
    [
        b"F" + executed(7, 40, 1, 12)[1:] + b"N",  # a trade correction
        b"?" * 40,
        accepted(7, b"X", 40, b"ADBE    ", 1),
        accepted(7, b"B", 40, b"ADBE    ", 1, b"X"),
        replaced(6, 7, b"B", 40, b"ADBE    ", 1, b"X"),
    ],
)
def test_value_that_cannot_be_is_unknown(client: wire.Client, message: bytes) -> None:
    assert decode(client, message)[0] == DROP_UNKNOWN


@pytest.mark.parametrize(
    "text", [b"0000000007   x", b"7             ", b"4294967296    ", b"00000000/7    ", b":" * 14]
)
def test_token_that_is_none_of_ours_is_no_order(client: wire.Client, text: bytes) -> None:
    message = bytearray(canceled(7, 40))
    message[9:23] = text
    cause, event = decode(client, bytes(message))
    assert (cause, event.ref) == (0, 0)


def test_damaged_messages_are_decoded_as_by_the_golden_model(client: wire.Client, rng: random.Random) -> None:
    causes = {"session.ignored": IGNORED, "session.drop_length": DROP_LENGTH, "session.drop_unknown": DROP_UNKNOWN}
    seen: dict[int, int] = {}
    for _ in range(5_000):
        message = bytearray(sample(rng.choice(list(LENGTHS))))
        for _ in range(rng.randrange(4)):
            message[rng.randrange(len(message))] = rng.choice((rng.randrange(256), *b"0129 BSTELD"))
        message = message[: len(message) + rng.choice((0, 0, 0, -1))]
        cause, event = decode(client, bytes(message))
        seen[cause] = seen.get(cause, 0) + 1
        wanted, expected = 0, {}
        try:
            expected = golden.decode(bytes(message))
        except common.DecodeError as error:
            wanted = causes[error.cause]
        assert cause == wanted, message
        assert {name: getattr(event, name) for name in expected} == expected, message
    assert set(seen) == {0, *causes.values()}


# ---- the session ----


def pump_up(client: wire.Client, venue: wire.Venue) -> None:
    packets = wire.read(client, venue, 1)
    assert packets[0][2:3] == b"L"


def test_up_is_when_the_venue_has_fallen_silent() -> None:
    """There is no account query: a heartbeat says that the replay is over."""
    venue = wire.Venue()
    client = open_client(port=venue.port, reconnect_ms=100)
    pump_up(client, venue)
    venue.send(wire.login_accepted())
    venue.sequenced(b"S" + struct.pack(">Q", TS) + b"S")
    wire.pump(client, venue, lambda: client.count("ignored") == 1)
    assert (client.state, client.send(ref=1, qty=1, px=1)) == ("LOGIN_SENT", lib.HWGW_CNT_ORDER_DROP_SESSION)
    venue.send(wire.soup(b"H"))
    wire.pump(client, venue, lambda: client.state == "UP")
    for ref in (1, 2, 3):
        assert client.send(ref=ref, qty=100, px=1_000_000) == lib.HWGW_CNT_ORDER_ENCODED
    symbol = wire.SYMBOLS[0]
    assert wire.read(client, venue, 3) == [wire.soup(b"U", enter(r, b"B", 100, symbol, 1_000_000)) for r in (1, 2, 3)]
    venue.sequenced(accepted(1, b"B", 100, symbol, 1_000_000), executed(1, 30, 1_000_000, 5), broken(1, 5))
    events = wire.take(client, venue, 3)
    assert [(e.kind, e.ref, e.qty) for e in events] == [
        (lib.HWGW_ORDER_KIND_ACCEPTED, 1, 100),
        (lib.HWGW_ORDER_KIND_EXECUTED, 1, 30),
        (lib.HWGW_ORDER_KIND_BROKEN, 1, 30),
    ]
    venue.drop()
    wire.pump(client, venue, lambda: client.state == "LOST")
    client.now_ns += 200 * wire.MS
    pump_up(client, venue)
    venue.send(wire.login_accepted(seq=5))
    venue.sequenced(accepted(2, b"B", 100, symbol, 1_000_000))  # it did see this one, and not the third
    events = wire.take(client, venue, 1)
    assert [(e.kind, e.ref) for e in events] == [(lib.HWGW_ORDER_KIND_ACCEPTED, 2)]
    assert client.state == "LOGIN_SENT"
    venue.send(wire.soup(b"H"))
    events = wire.take(client, venue, 1)
    assert [(e.kind, e.ref) for e in events] == [(lib.HWGW_ORDER_KIND_REJECTED, 3)]
    assert (client.state, client.count("withdrawn")) == ("UP", 1)
    client.ledger()
    client.close()
    venue.close()


def test_orders_that_wait_are_taken_back() -> None:
    venue = wire.Venue()
    client = open_client(port=venue.port)
    pump_up(client, venue)
    venue.send(wire.login_accepted() + wire.soup(b"H"))
    wire.pump(client, venue, lambda: client.state == "UP")
    for fields in ({"ref": 1, "qty": 5, "px": 1}, {"kind": "CANCEL", "ref": 1}, {"ref": 2, "qty": 5, "px": 1}):
        assert lib.hwgw_session_order(client.handle, wire.order(**fields)) == lib.HWGW_CNT_ORDER_ENCODED
    lib.hwgw_session_withdraw(client.handle)
    events = wire.take(client, venue, 2)
    assert {(e.kind, e.ref) for e in events} == {(lib.HWGW_ORDER_KIND_REJECTED, ref) for ref in (1, 2)}
    assert wire.read(client, venue, 1) == [wire.soup(b"U", cancel(1, 0))]
    client.close()
    venue.close()
