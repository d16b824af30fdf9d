"""OUCH 5.0 encoder and decoder against bytes packed by hand and against real messages.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hwgw_sim.golden import order as golden
from support import soup_venue as wire

from hwgw.errors import ConfigError
from hwgw.native import ffi, lib

VECTORS = Path(__file__).parents[3] / "shared" / "specs" / "vectors.json"

BUY, SELL = lib.HWGW_ORDER_SIDE_BUY, lib.HWGW_ORDER_SIDE_SELL
SHORT, EXEMPT = lib.HWGW_ORDER_FLAGS_SHORT_SALE, lib.HWGW_ORDER_FLAGS_SHORT_EXEMPT
LIMIT, MARKET = lib.HWGW_ORDER_TYPE_LIMIT, lib.HWGW_ORDER_TYPE_MARKET
DAY, IOC = lib.HWGW_ORDER_TIF_DAY, lib.HWGW_ORDER_TIF_IOC
IGNORED = lib.HWGW_CNT_SESSION_IGNORED
DROP_LENGTH, DROP_UNKNOWN = lib.HWGW_CNT_SESSION_DROP_LENGTH, lib.HWGW_CNT_SESSION_DROP_UNKNOWN


@pytest.fixture
def client() -> Iterator[wire.Client]:
    session = wire.Client(port=1)
    yield session
    session.close()


def encode(client: wire.Client, order: Any) -> bytes:
    out = ffi.new("uint8_t[]", b"\xa5" * 127)
    cnt = lib.hwgw_order_encode(client.handle, order, out)
    assert cnt <= 79 or not order.venue_ref  # 64 and the tags of options
    assert bytes(ffi.buffer(out, 128))[79 if order.venue_ref else 64 :].strip(b"\xa5") == b"\0"
    return bytes(ffi.buffer(out, cnt))


def decode(message: bytes) -> tuple[int, Any]:
    event = ffi.new("struct hwgw_order *")
    # exactly as long as the message, so that a sanitizer build notices a read past its end
    return lib.hwgw_order_decode(ffi.new("uint8_t[]", list(message)), len(message), event), event


def vectors() -> dict[str, dict[str, Any]]:
    if not VECTORS.exists():
        pytest.skip(f"the real messages are not here: {VECTORS.name} of the shared specifications")
    found = {v["kind"]: v for v in json.loads(VECTORS.read_text()) if v["protocol"] == "soupbintcp+ouch50"}
    assert set(found) == {"UX", "SC", "R", "UO", "SA", "H"}
    return found


# ---- encode ----


@pytest.mark.parametrize(
    ("fields", "side"),
    [
        ({"side": BUY}, b"B"),
        ({"side": SELL}, b"S"),
        ({"side": SELL, "flags": SHORT}, b"T"),
        ({"side": SELL, "flags": EXEMPT}, b"E"),
        ({"side": SELL, "flags": SHORT | EXEMPT}, b"E"),
    ],
)
def test_side_and_short_flags_become_the_side_code(client: wire.Client, fields: dict[str, int], side: bytes) -> None:
    packet = encode(client, wire.order(ref=7, instrument=1, px=630_200, qty=225, **fields))
    assert packet == wire.soup(b"U", wire.enter(7, side, 225, b"CVLT    ", 630_200))


def test_replace_names_both_orders_and_the_total(client: wire.Client) -> None:
    packet = encode(client, wire.order("REPLACE", ref=9, orig_ref=7, px=630_300, qty=300, tif=IOC))
    assert packet == wire.soup(b"U", wire.replace(7, 9, 300, 630_300, b"3"))


@pytest.mark.parametrize("qty", [0, 40, 999_999, 2**32 - 1])
def test_cancel_carries_the_intended_total(client: wire.Client, qty: int) -> None:
    assert encode(client, wire.order("CANCEL", ref=7, qty=qty)) == wire.soup(b"U", wire.cancel(7, qty))


def test_market_order_has_the_price_of_the_table_and_not_its_own(client: wire.Client) -> None:
    for px in (0, 5, 2**32 - 1):
        packet = encode(client, wire.order(ref=1, px=px, qty=1, type=MARKET, tif=IOC))
        assert packet == wire.soup(b"U", wire.enter(1, b"B", 1, b"AAPL    ", 0x7FFFFFFF, b"3"))


def test_firm_is_a_tag_of_enter_only() -> None:
    client = wire.Client(port=1, options={"firm": b"LIME"})
    try:
        packet = encode(client, wire.order(ref=1, px=100, qty=1))
        assert packet == wire.soup(b"U", wire.enter(1, b"B", 1, b"AAPL    ", 100, firm=b"LIME"))
        packet = encode(client, wire.order("REPLACE", ref=2, orig_ref=1, px=100, qty=1))
        assert packet == wire.soup(b"U", wire.replace(1, 2, 1, 100))
    finally:
        client.close()


def test_real_enter_and_cancel_are_encoded_as_they_were_sent() -> None:
    found = vectors()
    client = wire.Client(port=1, options={"firm": b"LIME", "capacity": b"A"})
    try:
        cancel = encode(client, wire.order("CANCEL", ref=7_679_601))
        assert cancel == bytes.fromhex(found["UX"]["hex"])
        enter = encode(client, wire.order(ref=113, side=SELL, flags=SHORT, instrument=1, px=630_200, qty=225))
        # its sender put a text of its own into clordid, which we leave blank
        assert enter == bytes.fromhex(found["UO"]["hex"]).replace(b"H8FUB8IV", b" " * 8)
    finally:
        client.close()


EDGES = [
    ({"px": 1}, True),
    ({"px": 0}, False),
    ({"px": 1_999_999_900}, True),
    ({"px": 1_999_999_901}, False),
    ({"qty": 1}, True),
    ({"qty": 0}, False),
    ({"qty": 999_999}, True),
    ({"qty": 1_000_000}, False),
    ({"type": 0}, False),
    ({"type": 3}, False),
    ({"tif": 0}, False),
    ({"tif": 3}, False),
    ({"ref": 0}, False),
    ({"ref": 2**32 - 1}, True),
]


@pytest.mark.parametrize(
    ("fields", "is_good"),
    [
        *EDGES,
        ({"instrument": 3}, True),
        ({"instrument": 4}, False),
        ({"instrument": 0xFFFFFFFF}, False),
        ({"side": 0}, False),
        ({"side": 3}, False),
        ({"side": BUY, "flags": SHORT}, False),
        ({"side": BUY, "flags": EXEMPT}, False),
        ({"side": SELL, "flags": 4}, False),
        ({"side": SELL, "flags": 0x8001}, False),
    ],
)
def test_new_order_that_cannot_be_expressed_gives_nothing(
    client: wire.Client, fields: dict[str, int], is_good: bool
) -> None:
    packet = encode(client, wire.order(**{"ref": 5, "px": 100, "qty": 10} | fields))
    assert bool(packet) is is_good


@pytest.mark.parametrize(
    ("fields", "is_good"),
    [*EDGES, ({"orig_ref": 0}, False), ({"orig_ref": 5}, False), ({"orig_ref": 6}, False), ({"orig_ref": 1}, True)],
)
def test_replace_that_cannot_be_expressed_gives_nothing(
    client: wire.Client, fields: dict[str, int], is_good: bool
) -> None:
    packet = encode(client, wire.order("REPLACE", **{"ref": 5, "orig_ref": 4, "px": 100, "qty": 10} | fields))
    assert bool(packet) is is_good


def test_kinds_that_are_not_orders_give_nothing(client: wire.Client) -> None:
    orders = {lib.HWGW_ORDER_KIND_NEW, lib.HWGW_ORDER_KIND_REPLACE, lib.HWGW_ORDER_KIND_CANCEL}
    encoded = set()
    for kind in range(256):
        order = wire.order(ref=5, orig_ref=4, px=100, qty=10)
        order.kind = kind
        if encode(client, order):
            encoded.add(kind)
    assert encoded == orders


def test_random_orders_equal_bytes_packed_by_hand(client: wire.Client, rng: random.Random) -> None:
    compared = dict.fromkeys(("NEW", "REPLACE", "CANCEL"), 0)
    for _ in range(20_000):
        kind = rng.choice(list(compared))
        ref, qty, px = rng.randrange(2, 2**32), rng.randrange(1, 1_000_000), rng.randrange(1, 1_999_999_901)
        instrument, (tif, tif_code) = rng.randrange(4), rng.choice([(DAY, b"0"), (IOC, b"3")])
        side, flags, side_code = rng.choice(
            [(BUY, 0, b"B"), (SELL, 0, b"S"), (SELL, SHORT, b"T"), (SELL, EXEMPT, b"E")]
        )
        common = {"ref": ref, "qty": qty, "px": px, "tif": tif, "side": side, "flags": flags, "instrument": instrument}
        if kind == "NEW":
            expected = wire.enter(ref, side_code, qty, wire.SYMBOLS[instrument], px, tif_code)
        elif kind == "REPLACE":
            common["orig_ref"] = rng.randrange(1, ref)
            expected = wire.replace(common["orig_ref"], ref, qty, px, tif_code)
        else:
            expected = wire.cancel(ref, qty)
        assert encode(client, wire.order(kind, **common)) == wire.soup(b"U", expected)
        compared[kind] += 1
    assert min(compared.values()) > 6_000


def test_random_orders_equal_the_golden_model(client: wire.Client, rng: random.Random) -> None:
    port = golden.Port(tuple(symbol.decode() for symbol in wire.SYMBOLS))
    values = {
        "kind": [*range(1, 4)] * 4 + [0, 4, 18, 255],  # 18 needs a firm
        "side": [BUY, SELL] * 4 + [0, 3],
        "type": [LIMIT] * 8 + [MARKET] * 4 + [0, 3],
        "tif": [DAY, IOC] * 8 + [0, 3],
        "flags": [0] * 8 + [SHORT, EXEMPT, SHORT | EXEMPT, 4],
        "instrument": [0, 1, 2, 3] * 4 + [4],
        "ref": [0, 1, 5, 2**32 - 1],
        "orig_ref": [0, 1, 4, 5, 6],
        "px": [1, 100, 4_777_800, 1_999_999_900] * 2 + [0, 1_999_999_901, 2**32 - 1],
        "qty": [1, 100, 999_999] * 3 + [0, 1_000_000, 2**32 - 1],
        "venue_ref": [0] * 12
        + [option << 32 for option in range(9)]
        + [1, 99, 1 << 20, 1 << 31, 1 << 63, 1 << 32 | 50, 2 << 32 | 50],
    }
    good = bad = 0
    with_options: dict[int, int] = {}
    for _ in range(20_000):
        fields = {name: rng.choice(choices) for name, choices in values.items()}
        order = ffi.new("struct hwgw_order *", fields)
        try:
            expected = golden.encode(fields, port)
        except golden.EncodeError:
            expected = b""
        assert encode(client, order) == expected, fields
        good += bool(expected)
        bad += not expected
        if expected and fields["kind"] != lib.HWGW_ORDER_KIND_CANCEL:
            with_options[fields["venue_ref"]] = with_options.get(fields["venue_ref"], 0) + 1
    assert good > 3_000
    assert bad > 3_000
    assert set(with_options) == {0, 1, 99, 1 << 32 | 50} | {option << 32 for option in range(1, 5)} | {6 << 32}


POST_ONLY, HIDDEN, ALL_OR_NONE = 1 << 32, 2 << 32, 4 << 32


@pytest.mark.parametrize(
    ("fields", "display", "tags"),
    [
        ({"venue_ref": POST_ONLY}, b"Y", b"\x02\x0cP"),
        ({"venue_ref": HIDDEN}, b"N", b""),
        ({"venue_ref": ALL_OR_NONE, "tif": IOC}, b"Y", b"\x05\x03" + (300).to_bytes(4, "big")),
        ({"venue_ref": 100}, b"Y", b"\x05\x05" + (100).to_bytes(4, "big")),
        ({"venue_ref": POST_ONLY | 100}, b"Y", b"\x02\x0cP\x05\x05" + (100).to_bytes(4, "big")),
    ],
)
@pytest.mark.parametrize("kind", ["NEW", "REPLACE"])
def test_options_are_tags_or_the_display(
    client: wire.Client, kind: str, fields: dict[str, int], display: bytes, tags: bytes
) -> None:
    tif = b"3" if fields.get("tif") == IOC else b"0"
    given = {"ref": 9, "qty": 300, "px": 1_000_000} | fields
    if kind == "NEW":
        expected, at = wire.enter(9, b"B", 300, wire.SYMBOLS[0], 1_000_000, tif), 27
    else:
        given["orig_ref"] = 4
        expected, at = wire.replace(4, 9, 300, 1_000_000, tif), 22
    expected = expected[:at] + display + expected[at + 1 : -2] + len(tags).to_bytes(2, "big") + tags
    assert encode(client, wire.order(kind, **given)) == wire.soup(b"U", expected)


# ---- decode ----

# code, fixed length, whether the tag list is required; from the published text
MESSAGES = {
    "A": (64, True), "U": (68, True), "E": (36, True), "R": (16, True), "X": (27, True), "G": (19, True),
    "K": (19, True), "C": (18, False), "D": (31, False), "B": (36, False), "J": (29, False), "P": (13, False),
    "I": (13, False), "T": (30, False), "M": (18, False), "Q": (13, False), "S": (10, None),
}  # fmt: skip
EVENTS = {
    "A": "ACCEPTED", "U": "REPLACED", "E": "EXECUTED", "C": "CANCELED", "D": "CANCELED", "B": "BROKEN", "J": "REJECTED",
    "G": "DISABLED", "K": "ENABLED",
}  # fmt: skip


def sample(code: str) -> bytes:
    """The shortest message of a type."""
    made = {
        "A": wire.accepted(7, b"B", 40, b"ADBE    ", 4_777_800),
        "U": wire.replaced(6, 7, b"B", 40, b"ADBE    ", 4_777_800),
    }
    return made.get(code, code.encode() + b"\0" * (MESSAGES[code][0] - 1))


def test_accepted_is_decoded_from_a_real_message() -> None:
    cause, event = decode(bytes.fromhex(vectors()["SA"]["hex"])[3:])
    assert cause == 0
    assert (event.kind, event.ref, event.side, event.flags) == (lib.HWGW_ORDER_KIND_ACCEPTED, 7_682_701, BUY, 0)
    assert (event.qty, event.px, event.venue_ref, event.reason) == (40, 4_777_800, 257_340_661, 0)


def test_canceled_is_decoded_from_a_real_message() -> None:
    cause, event = decode(bytes.fromhex(vectors()["SC"]["hex"])[3:])
    assert cause == 0
    assert (event.kind, event.ref, event.qty, event.reason) == (lib.HWGW_ORDER_KIND_CANCELED, 7_682_701, 40, ord("U"))


def test_each_field_of_each_event_is_decoded() -> None:
    cases: list[tuple[bytes, dict[str, int]]] = [
        (
            wire.accepted(1, b"T", 2, b"ADBE    ", 3, number=4, state=b"D"),
            {"ref": 1, "side": SELL, "flags": SHORT, "qty": 2, "px": 3, "venue_ref": 4, "reason": ord("D")},
        ),
        (
            wire.replaced(5, 6, b"E", 7, b"ADBE    ", 8, number=9),
            {"orig_ref": 5, "ref": 6, "side": SELL, "flags": EXEMPT, "qty": 7, "px": 8, "venue_ref": 9},
        ),
        (wire.executed(10, 11, 12, 13), {"ref": 10, "qty": 11, "px": 12, "venue_ref": 13}),
        (wire.canceled(14, 15, b"I"), {"ref": 14, "qty": 15, "reason": ord("I")}),
        (wire.aiq_canceled(16, 17), {"ref": 16, "qty": 17, "reason": ord("Q")}),
        (wire.broken(18, 19), {"ref": 18, "venue_ref": 19, "reason": ord("E")}),
        (wire.rejected(20, 0x1D), {"ref": 20, "reason": 0x1D}),
        (wire.entry_changed(21, b"G", b"FIRM"), {"ref": 21}),
        (wire.entry_changed(22, b"K", b"FIRM"), {"ref": 22}),
    ]
    for message, expected in cases:
        cause, event = decode(message)
        assert cause == 0
        fields = {name: getattr(event, name) for name, _ in ffi.typeof("struct hwgw_order").fields}
        kind = getattr(lib, f"HWGW_ORDER_KIND_{EVENTS[chr(message[0])]}")
        assert {n: v for n, v in fields.items() if v} == expected | {"kind": kind}
    assert len(cases) == len(EVENTS)


def test_every_code_is_an_event_or_ignored_or_unknown() -> None:
    outcomes = {}
    for code in range(256):
        message = sample(chr(code)) if chr(code) in MESSAGES else bytes([code]) + b"\0" * 99
        outcomes[code] = decode(message)[0]
    assert {chr(c) for c, cause in outcomes.items() if cause == 0} == set(EVENTS)
    assert {chr(c) for c, cause in outcomes.items() if cause == IGNORED} == set(MESSAGES) - set(EVENTS)
    assert sum(cause == DROP_UNKNOWN for cause in outcomes.values()) == 256 - len(MESSAGES)


@pytest.mark.parametrize("code", MESSAGES)
def test_every_shorter_message_is_refused(code: str) -> None:
    message = sample(code)
    assert len(message) == MESSAGES[code][0]
    refused = [decode(message[:sz])[0] for sz in range(1, len(message))]
    assert refused == [DROP_LENGTH] * (len(message) - 1)


def test_nothing_at_all_is_a_wrong_length() -> None:
    assert decode(b"")[0] == DROP_LENGTH


@pytest.mark.parametrize("code", [c for c in MESSAGES if MESSAGES[c][1] is not None])
def test_appendage_is_taken_when_it_fits_and_refused_when_not(code: str) -> None:
    message = sample(code)
    required = MESSAGES[code][1]
    good = decode(message)[0]
    base = message[:-2] if required else message
    if code == "D":  # a tag list can only follow the text that has aiq_strategy
        assert decode(message + b"O")[0] == good
        base = message + b"O"

    def with_tags(tags: bytes, length: int | None = None) -> int:
        return int(decode(base + struct.pack(">H", len(tags) if length is None else length) + tags)[0])

    firm, unknown, index_0, index_3 = b"\x05\x02LIME", b"\x03\x63ab", b"\x02\x1c\x00", b"\x02\x1c\x03"
    assert with_tags(b"") == good
    assert with_tags(firm) == good
    assert with_tags(unknown + firm + index_0) == good
    assert with_tags(firm + index_3) == DROP_UNKNOWN, "an order of another UserRefNum channel is none of ours"
    assert with_tags(b"\x03\x1c\x00\x00") == DROP_UNKNOWN, "an index of another width is not understood"
    assert with_tags(firm, length=7) == DROP_LENGTH
    assert with_tags(b"", length=1) == DROP_LENGTH
    assert with_tags(b"\x06\x02LIME") == DROP_LENGTH
    assert with_tags(b"\x00") == DROP_LENGTH
    assert with_tags(firm + b"\x01") == DROP_LENGTH
    assert decode(base + b"\0\0" + b"xyz")[0] == good, "what follows the tag list is of a later text"


@pytest.mark.parametrize(
    "message",
    [
        wire.accepted(1, b"X", 2, b"ADBE    ", 3),
        wire.accepted(1, b"B", 2, b"ADBE    ", 2**32),
        wire.accepted(1, b"B", 2, b"ADBE    ", 3, state=b"Q"),
        wire.replaced(1, 2, b" ", 2, b"ADBE    ", 3),
        wire.replaced(1, 2, b"B", 2, b"ADBE    ", 2**63),
        wire.executed(1, 2, 2**32, 4),
    ],
)
def test_value_that_cannot_be_is_unknown(message: bytes) -> None:
    assert decode(message)[0] == DROP_UNKNOWN


def test_damaged_messages_are_decoded_as_by_the_golden_model(rng: random.Random) -> None:
    causes = {0: 0, IGNORED: 0, DROP_LENGTH: 0, DROP_UNKNOWN: 0}
    names = {
        0: "",
        IGNORED: "session.ignored",
        DROP_LENGTH: "session.drop_length",
        DROP_UNKNOWN: "session.drop_unknown",
    }
    tags = [b"\x05\x02LIME", b"\x02\x12 ", b"\x02\x1c\x00", b"\x02\x1c\x01", b"\x09\x01\0\0\0\0\0\0\0\1", b"\x00"]
    for _ in range(20_000):
        message = bytearray(sample(rng.choice(list(MESSAGES))))
        listed = b"".join(rng.choices(tags, weights=[4, 4, 4, 1, 4, 1], k=rng.randrange(3)))
        required = MESSAGES[chr(message[0])][1]
        if required:
            message[-2:] = len(listed).to_bytes(2, "big") + listed
        elif required is not None and listed:
            message += (b"O" if message[0] == ord("D") else b"") + len(listed).to_bytes(2, "big") + listed
        for _ in range(rng.choice([0, 0, 1, 2])):
            message[rng.randrange(len(message))] = rng.choice([0, 1, 255, rng.randrange(256), *b"BSTELD"])
        message = message[: rng.choice([len(message)] * 4 + [rng.randrange(len(message) + 1)])]
        cause, event = decode(bytes(message))
        causes[cause] += 1
        expected, expected_cause = {}, ""
        try:
            expected = golden.decode(bytes(message))
        except golden.DecodeError as error:
            expected_cause = error.cause
        assert names[cause] == expected_cause, message.hex()
        assert {name: getattr(event, name) for name in expected} == expected, message.hex()
    assert min(causes.values()) > 500, causes


def test_highest_price_of_32_bits_is_decoded() -> None:
    cause, event = decode(wire.executed(1, 2, 2**32 - 1, 4))
    assert (cause, event.px) == (0, 2**32 - 1)


# ---- configuration ----


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("address", 0, "address and port"),
        ("port", 0, "address and port"),
        ("username", b"a\0", "username"),
        ("password", b"\xff", "password"),
        ("requested_session", b"", "requested_session"),
        ("firm", b"AB", "firm"),
        ("capacity", b"X", "capacity is none of A, P, R, O"),
        ("display", b"X", "display is none of Y, N, A"),
        ("login_timeout_ms", 0, "login_timeout_ms"),
        ("dead_link_ms", 1000, "dead_link_ms"),
        ("instrument_cnt", 0, "at least one symbol"),
        ("symbols", ffi.NULL, "at least one symbol"),
    ],
)
def test_wrong_configuration_is_refused_by_name(option: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        wire.Client(port=1, options={option: value})
