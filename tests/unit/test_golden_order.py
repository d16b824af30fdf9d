"""Golden order: bytes of orders against the tables and real packets, venue messages to events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hwgw_sim.golden.order import KINDS, DecodeError, EncodeError, Port, build, decode, encode, kind, parse, tag

from hwgw import specs

SHARED = Path(__file__).parents[3] / "shared"
OUCH = specs.load("ouch50")
SOUP = specs.load("soupbintcp")
PORT = Port(symbols=("AAPL", "CVLT"), firm="LIME", capacity="A")
BUY, SELL = 1, 2
LIMIT, MARKET = 1, 2
DAY, IOC = 1, 2


def order(kind_name: str = "new", **fields: int) -> dict[str, int]:
    blank = {field.name: 0 for field in specs.load("order").layout("order").fields}
    usual = {"ref": 113, "instrument": 1, "side": BUY, "qty": 225, "px": 630200, "type": LIMIT, "tif": DAY}
    return blank | usual | fields | {"kind": kind(kind_name)}


def blank_message(name: str, **fields: int | str) -> bytes:
    return build(OUCH, name, **fields)


def real_packets() -> dict[str, dict]:
    path = SHARED / "specs" / "vectors.json"
    if not path.exists():
        pytest.skip("../shared/specs/vectors.json is not here")
    vectors = json.loads(path.read_text())
    return {vector["kind"]: vector for vector in vectors if vector["protocol"] == "soupbintcp+ouch50"}


def test_enter_order_equals_a_real_packet():
    """The captured order (sell short, firm tag) but for its free-text clordid, which ours leaves blank."""
    want = bytearray.fromhex(real_packets()["UO"]["hex"])
    offset = 3 + OUCH.layout("enter_order").field("clordid").offset
    want[offset : offset + 14] = b" " * 14
    assert encode(order(side=SELL, flags=1), PORT) == bytes(want)


def test_cancel_equals_a_real_packet():
    assert encode(order("cancel", ref=7679601, qty=0), PORT).hex() == real_packets()["UX"]["hex"]


def test_real_packets_parse_field_by_field():
    compared = 0
    for vector in real_packets().values():
        data = bytes.fromhex(vector["hex"])
        want = dict(vector["decoded"])
        ouch = want.pop("ouch", None)
        header = {key: value for key, value in parse(SOUP, "client_heartbeat", data).items() if key in want}
        assert header == want
        compared += len(want)
        if ouch:
            direction = "client_to_host" if want["packet_type"] == "U" else "host_to_client"
            fields = parse(OUCH, OUCH.message(ouch["message_type"], direction).name, data[3:])
            assert {name: fields[name] for name in ouch} == ouch
            compared += len(ouch)
    assert compared == 6 * 2 + 3 + 5 + 13 + 16


def test_replace_carries_both_references_and_the_chain_total():
    data = encode(order("replace", orig_ref=113, ref=114, qty=500, tif=IOC), PORT)
    assert parse(SOUP, "unsequenced_data", data) == {"packet_length": 41, "packet_type": "U"}
    fields = parse(OUCH, "replace_order", data[3:])
    assert fields == {
        "message_type": "U", "orig_user_ref_num": 113, "user_ref_num": 114, "quantity": 500, "price": 630200,
        "time_in_force": "3", "display": "Y", "intermarket_sweep": "N", "clordid": " " * 14, "appendage_length": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("side", "flags", "letter"), [(BUY, 0, "B"), (SELL, 0, "S"), (SELL, 1, "T"), (SELL, 2, "E"), (SELL, 3, "E")]
)
def test_side_letter_carries_the_short_marking(side, flags, letter):
    fields = parse(OUCH, "enter_order", encode(order(side=side, flags=flags), PORT)[3:])
    assert fields["side"] == letter


def test_market_order_carries_the_market_price():
    fields = parse(OUCH, "enter_order", encode(order(type=MARKET, px=0, tif=IOC), PORT)[3:])
    assert (fields["price"], fields["time_in_force"]) == (0x7FFFFFFF, "3")


def test_blank_firm_sends_no_appendage():
    data = encode(order(), Port(symbols=PORT.symbols))
    assert len(data) == 3 + 47
    assert data[-2:] == b"\0\0"


@pytest.mark.parametrize(
    "bad",
    [
        order("accepted"),
        order(ref=0),
        order("cancel", ref=0),
        order(side=0),
        order(side=3),
        order(flags=1),
        order(side=SELL, flags=4),
        order(type=0),
        order(type=3),
        order(tif=0),
        order(tif=3),
        order(px=0),
        order(px=1_999_999_901),
        order(qty=0),
        order(qty=1_000_000),
        order(instrument=2),
        order("replace", orig_ref=0),
        order("replace", orig_ref=113),
        order("replace", orig_ref=112, qty=0),
        order("replace", orig_ref=112, px=0),
        order("replace", orig_ref=112, tif=3),
    ],
)
def test_what_the_protocol_cannot_say_is_not_encoded(bad):
    with pytest.raises(EncodeError):
        encode(bad, PORT)


def test_edges_of_price_and_quantity_are_encoded():
    for px in (1, 1_999_999_900):
        for qty in (1, 999_999):
            fields = parse(OUCH, "enter_order", encode(order(px=px, qty=qty), PORT)[3:])
            assert (fields["price"], fields["quantity"]) == (px, qty)


@pytest.mark.parametrize(
    ("message", "want"),
    [
        (
            blank_message("order_accepted", user_ref_num=5, side="T", quantity=7, price=9, order_state="L",
                          order_reference_number=11),
            {"kind": "accepted", "ref": 5, "side": SELL, "flags": 1, "qty": 7, "px": 9, "venue_ref": 11},
        ),
        (
            blank_message("order_accepted", user_ref_num=5, side="B", quantity=7, price=9, order_state="D"),
            {"kind": "accepted", "ref": 5, "side": BUY, "qty": 7, "px": 9, "reason": ord("D")},
        ),
        (
            blank_message("order_replaced", user_ref_num=6, orig_user_ref_num=5, side="E", quantity=7, price=9,
                          order_state="L", order_reference_number=11),
            {"kind": "replaced", "ref": 6, "orig_ref": 5, "side": SELL, "flags": 2, "qty": 7, "px": 9,
             "venue_ref": 11},
        ),
        (
            blank_message("order_canceled", user_ref_num=5, quantity=7, reason="U"),
            {"kind": "canceled", "ref": 5, "qty": 7, "reason": ord("U")},
        ),
        (
            blank_message("aiq_canceled", user_ref_num=5, decrement_shares=7, quantity_prevented=8,
                          execution_price=9),
            {"kind": "canceled", "ref": 5, "qty": 7, "reason": ord("Q")},
        ),
        (
            blank_message("order_executed", user_ref_num=5, quantity=7, price=9, match_number=11),
            {"kind": "executed", "ref": 5, "qty": 7, "px": 9, "venue_ref": 11},
        ),
        (
            blank_message("broken_trade", user_ref_num=5, match_number=11, reason="E"),
            {"kind": "broken", "ref": 5, "venue_ref": 11, "reason": ord("E")},
        ),
        (
            blank_message("rejected", user_ref_num=5, reason=32),
            {"kind": "rejected", "ref": 5, "reason": 32},
        ),
        (
            blank_message("disable_order_entry_response", user_ref_num=5, firm="FIRM"),
            {"kind": "disabled", "ref": 5},
        ),
        (
            blank_message("enable_order_entry_response", user_ref_num=6, firm="FIRM"),
            {"kind": "enabled", "ref": 6},
        ),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)  # fmt: skip
def test_venue_message_becomes_event(message, want):
    blank = {field.name: 0 for field in specs.load("order").layout("order").fields}
    assert decode(message) == blank | want | {"kind": kind(want["kind"])}


def test_every_other_venue_message_is_ignored():
    names = {layout.name for layout in OUCH.layouts if layout.direction == "host_to_client"} - set(KINDS)
    for name in names:
        with pytest.raises(DecodeError, match=r"^session\.ignored$"):
            decode(blank_message(name))
    assert len(names) == 8


ACCEPTED = blank_message("order_accepted", side="B", order_state="L")
CANCELED = blank_message("order_canceled", user_ref_num=5, quantity=7, reason="U")


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (b"", "drop_length"),
        (ACCEPTED[:-1], "drop_length"),
        (ACCEPTED[:-2] + b"\0\1", "drop_length"),
        (ACCEPTED[:-2] + b"\0\2" + b"\0\5", "drop_length"),
        (ACCEPTED[:-2] + b"\0\2" + b"\2\5", "drop_length"),
        (CANCELED[:-1], "drop_length"),
        (CANCELED + b"\0\1", "drop_length"),
        (blank_message("aiq_canceled")[:-2], "drop_length"),
        (b"F" + bytes(48), "drop_unknown"),
        (b"O" + bytes(100), "drop_unknown"),
        (b"\xff" + bytes(100), "drop_unknown"),
        (CANCELED + b"\0\3" + tag(28, b"\1"), "drop_unknown"),
        (CANCELED + b"\0\4" + tag(28, b"\0\0"), "drop_unknown"),
        (blank_message("order_accepted", side="X", order_state="L"), "drop_unknown"),
        (blank_message("order_accepted", side="B", order_state="X"), "drop_unknown"),
        (blank_message("order_accepted", side="B", order_state="L", price=2**32), "drop_unknown"),
        (blank_message("order_executed", price=2**32), "drop_unknown"),
    ],
)  # fmt: skip
def test_message_that_cannot_be_read_has_one_cause(message, cause):
    with pytest.raises(DecodeError) as error:
        decode(message)
    assert error.value.cause == f"session.{cause}"


@pytest.mark.parametrize(
    "message",
    [
        CANCELED + b"x",
        CANCELED + b"\0\0",
        CANCELED + b"\0\3" + tag(28, b"\0"),
        CANCELED + b"\0\6" + tag(99, b"abcd"),
        CANCELED + b"\0\0later text",
        blank_message("aiq_canceled")[:-1],
    ],
)
def test_longer_and_older_messages_are_read(message):
    assert decode(message)["kind"] == kind("canceled")
