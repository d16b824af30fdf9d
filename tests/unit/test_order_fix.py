"""FIX 4.2 and 4.4, both directions, against simplefix, which is not ours, and the facts of the shared table.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import soup_venue as wire

from hwgw.native import lib
from hwgw.specs import fix as table

simplefix = pytest.importorskip("simplefix", reason="needs tests/peers/requirements.txt")

BUY, SELL = lib.HWGW_ORDER_SIDE_BUY, lib.HWGW_ORDER_SIDE_SELL
SHORT, EXEMPT = lib.HWGW_ORDER_FLAGS_SHORT_SALE, lib.HWGW_ORDER_FLAGS_SHORT_EXEMPT
DAY, IOC = lib.HWGW_ORDER_TIF_DAY, lib.HWGW_ORDER_TIF_IOC
LIMIT, MARKET = lib.HWGW_ORDER_TYPE_LIMIT, lib.HWGW_ORDER_TYPE_MARKET
IGNORED = lib.HWGW_CNT_SESSION_IGNORED
DROP_LENGTH, DROP_UNKNOWN = lib.HWGW_CNT_SESSION_DROP_LENGTH, lib.HWGW_CNT_SESSION_DROP_UNKNOWN
VERSIONS = {"42": lib.HWGW_PROTOCOL_FIX42, "44": lib.HWGW_PROTOCOL_FIX44}
IDS = {"sender": b"HWGW", "target": b"VENUE", "heartbeat_s": 10}


@pytest.fixture(params=VERSIONS, scope="module")
def client(request: pytest.FixtureRequest) -> Iterator[wire.Client]:
    session = wire.Client(port=1, options=IDS | {"protocol": VERSIONS[request.param]})
    yield session
    session.close()


def version_of(client: wire.Client) -> str:
    return {number: name for name, number in VERSIONS.items()}[client.cfg.protocol]


encode, decode = wire.Client.encode, wire.Client.decode


def parsed(message: bytes) -> Any:
    """What simplefix reads: it checks nothing, so length and checksum are compared with what it makes of the fields."""
    parser = simplefix.FixParser()
    parser.append_buffer(message)
    found = parser.get_message()
    assert found is not None
    assert parser.get_message() is None
    assert found.encode() == message
    return found


def made(version: str, *fields: tuple[int, Any], kind: str = "8") -> bytes:
    """A message of the venue, by simplefix."""
    message = simplefix.FixMessage()
    message.append_pair(8, f"FIX.4.{version[1]}")
    message.append_pair(35, kind)
    for number, value in ((49, "VENUE"), (56, "HWGW"), (34, 7), (52, "20260105-14:30:00.000"), *fields):
        message.append_pair(number, value)
    return bytes(message.encode())


REPORT = [(37, 900), (11, "0000000007"), (17, "E12"), (39, "0"), (55, "ADBE"), (54, 1), (151, 40), (14, 0), (6, 0)]


# ---- the table ----


def test_table_says_what_the_shared_facts_say(shared: Path) -> None:
    theirs = yaml.safe_load((shared / "specs" / "fix.yaml").read_text())
    ours = table.load()
    compared = 0
    for part in ("session_messages", "application_messages"):
        for code, message in theirs[part].items():
            assert ours.messages[code].fields == {f["tag"]: f["req"] for f in message["fields"]}
            assert ours.messages[code].name == table.snake(message["name"])
            compared += len(message["fields"])
    for field in theirs["header"] + theirs["trailer"]:
        assert ours.tags[table.snake(field["name"])] == field["tag"]
        compared += 1
    facts = {name: {str(k): v for k, v in codes.items()} for name, codes in theirs["enums"].items()}
    own = {  # FIX 4.4, tags 530 and 531: those of their codes that a session needs
        "mass_cancel_request_type_530": {"1": "orders of a security", "7": "all orders"},
        "mass_cancel_response_531": {"0": "request rejected", "1": "orders of a security", "7": "all orders"},
    }
    assert ours.enums == facts | own
    assert compared > 100


# ---- encode ----


def test_random_orders_are_read_by_simplefix_as_they_were_meant(client: wire.Client, rng: random.Random) -> None:
    compared = dict.fromkeys(("NEW", "REPLACE"), 0)
    required = {"NEW": table.load().messages["D"], "REPLACE": table.load().messages["G"]}
    for _ in range(2_000):
        kind = rng.choice(list(compared))
        ref = rng.choice((rng.randrange(2, 2**32), rng.randrange(2, 100), 2**32 - 1))
        px = rng.choice((rng.randrange(1, 2_000_000_000), rng.randrange(1, 20_000), 10_000 * rng.randrange(1, 1000)))
        fields = {
            "ref": ref, "qty": rng.randrange(1, 1_000_000), "px": px, "instrument": rng.randrange(4),
            "tif": rng.choice((DAY, IOC)), "type": rng.choice((LIMIT, LIMIT, MARKET)),
            "ts_ns": 1_767_623_400_000_000_000 + rng.randrange(10**17),
        }  # fmt: skip
        side, flags, code = rng.choice([(BUY, 0, b"1"), (SELL, 0, b"2"), (SELL, SHORT, b"5"), (SELL, EXEMPT, b"6")])
        fields |= {"side": side, "flags": flags}
        if kind == "REPLACE":
            fields["orig_ref"] = rng.randrange(1, ref)
        message = parsed(encode(client, wire.order(kind, **fields)))
        assert message.get(35) == (b"D" if kind == "NEW" else b"G")
        assert message.get(8) == b"FIX.4." + version_of(client)[1].encode()
        assert (message.get(49), message.get(56), message.get(34)) == (b"HWGW", b"VENUE", b"1")
        assert (message.get(11), message.get(54)) == (b"%010d" % ref, code)
        assert message.get(55) == wire.SYMBOLS[fields["instrument"]].strip()
        assert int(message.get(38)) == fields["qty"]
        if fields["type"] == LIMIT:
            assert Decimal(message.get(44).decode()) * 10_000 == px
            assert message.get(40) == b"2"
        else:
            assert (message.get(40), message.get(44)) == (b"1", None)
        assert message.get(59) == (b"3" if fields["tif"] == IOC else b"0")
        when = datetime.fromtimestamp(fields["ts_ns"] // 10**9, UTC).strftime("%Y%m%d-%H:%M:%S")
        assert message.get(52).decode() == message.get(60).decode() == f"{when}.{fields['ts_ns'] // 10**6 % 1000:03d}"
        if kind == "REPLACE":
            assert message.get(41) == b"%010d" % fields["orig_ref"]
        else:
            assert message.get(528 if version_of(client) == "44" else 47) == b"P"
        for number, need in required[kind].fields.items():
            assert need != "Y" or message.get(number) is not None, number
        compared[kind] += 1
    assert min(compared.values()) > 500


@pytest.mark.parametrize(
    ("fields", "number", "value"),
    [
        ({"venue_ref": 1 << 32}, 18, b"6"),
        ({"venue_ref": 2 << 32}, 111, b"0"),
        ({"venue_ref": 4 << 32, "tif": IOC}, 59, b"4"),
        ({"venue_ref": 100}, 111, b"100"),
    ],
)
def test_options_are_fields(client: wire.Client, fields: dict[str, int], number: int, value: bytes) -> None:
    assert parsed(encode(client, wire.order(ref=9, qty=300, px=1_000_000, **fields))).get(number) == value


@pytest.mark.parametrize(
    "fields",
    [
        {"ref": 0}, {"qty": 0}, {"px": 0}, {"side": 0}, {"side": 3}, {"type": 3}, {"tif": 0}, {"tif": 3},
        {"instrument": 4}, {"flags": SHORT}, {"venue_ref": 8 << 32}, {"kind": "REPLACE"},
        {"kind": "REPLACE", "orig_ref": 9}, {"kind": "CANCEL"}, {"kind": "EXECUTED"},
    ],
)  # fmt: skip
def test_what_cannot_be_expressed_gives_nothing(client: wire.Client, fields: dict[str, Any]) -> None:
    assert encode(client, wire.order(**({"ref": 9, "qty": 1, "px": 1} | fields))) == b""


# ---- decode ----


def test_each_field_of_each_event_is_decoded(client: wire.Client) -> None:
    version = version_of(client)
    fill = "F" if version == "44" else "2"
    kinds = {
        "ACCEPTED": [(150, "0"), *REPORT, (38, 40), (44, "477.78")],
        "REPLACED": [(150, "5"), *REPORT, (41, "0000000006"), (44, "477.7800")],
        "EXECUTED": [(150, fill), *REPORT, (32, 30), (31, "477.7801"), (44, "480")],
        "CANCELED": [(150, "4"), *REPORT],
        "REJECTED": [(150, "8"), *REPORT, (103, 6)],
        "BROKEN": [(150, "0"), *REPORT, (20, 1), (19, 55)] if version == "42" else [(150, "H"), *REPORT, (19, 55)],
    }
    expected = {
        "ACCEPTED": (7, 0, 40, 4_777_800, 0, 900, BUY),
        "REPLACED": (7, 6, 40, 4_777_800, 0, 900, BUY),
        "EXECUTED": (7, 0, 30, 4_777_801, 0, None, 0),
        "CANCELED": (7, 0, 0, 0, ord("4"), 0, 0),
        "REJECTED": (7, 0, 0, 0, 6, 0, 0),
        "BROKEN": (7, 0, 0, 0, 0, 55, 0),
    }
    names = ("ref", "orig_ref", "qty", "px", "reason", "venue_ref", "side")
    for kind, fields in kinds.items():
        cause, event = decode(client, made(version, *fields))
        assert (cause, event.kind) == (0, getattr(lib, f"HWGW_ORDER_KIND_{kind}"))
        for name, value in zip(names, expected[kind], strict=True):
            assert value is None or getattr(event, name) == value, (kind, name)
    first = decode(client, made(version, (150, fill), *REPORT, (32, 30), (31, 1)))[1].venue_ref
    assert first >> 63 == 1  # E12 is no number
    other = [(17, "E13") if number == 17 else (number, value) for number, value in REPORT]
    assert decode(client, made(version, (150, fill), *other, (32, 30), (31, 1)))[1].venue_ref != first


def test_cancel_by_request_is_of_the_order_it_names(client: wire.Client) -> None:
    fields = [(11, "C0000000021") if number == 11 else (number, value) for number, value in REPORT]
    cause, event = decode(client, made(version_of(client), (150, "4"), *fields, (41, "0000000007")))
    assert (cause, event.ref) == (0, 7)


def test_refused_replace_ends_the_replacement_and_a_refused_cancel_nothing(client: wire.Client) -> None:
    version = version_of(client)
    fields = [(37, "NONE"), (11, "0000000008"), (41, "0000000007"), (39, "0"), (102, 3)]
    cause, event = decode(client, made(version, *fields, (434, 2), kind="9"))
    assert (cause, event.kind, event.ref, event.reason) == (0, lib.HWGW_ORDER_KIND_REJECTED, 8, 3)
    assert decode(client, made(version, *fields, (434, 1), kind="9"))[0] == IGNORED
    assert decode(client, made(version, *fields, kind="9"))[0] == DROP_UNKNOWN


@pytest.mark.parametrize("exec_type", ["6", "A", "E", "I"])
def test_pending_says_nothing(client: wire.Client, exec_type: str) -> None:
    assert decode(client, made(version_of(client), (150, exec_type), *REPORT))[0] == IGNORED


@pytest.mark.parametrize(
    "fields",
    [
        [(150, "D"), *REPORT],  # restated
        [(150, "G"), *REPORT],  # corrected
        [(150, "0"), *REPORT, (20, 2)],
        [(150, "0"), *[f for f in REPORT if f[0] != 54]],
        [(150, "0"), *[f for f in REPORT if f[0] != 55]],
        [(150, "0"), *REPORT, (44, "1.00001")],  # beyond what we book
        [(150, "0"), *REPORT, (44, "-1")],
        [(150, "0"), *REPORT, (44, "1e3")],
        [(150, "0"), *REPORT, (38, "1.5")],
        [(150, "F"), *REPORT, (31, 1)],
        [(150, "0"), *[f for f in REPORT if f[0] not in (151, 14)], (151, 2**32 - 1), (14, 101)],  # 100 in 32 bits
        [*REPORT],
    ],
)
def test_what_would_change_our_books_unasked_is_unknown(client: wire.Client, fields: list[tuple[int, Any]]) -> None:
    assert decode(client, made(version_of(client), *fields))[0] == DROP_UNKNOWN


def test_data_may_hold_any_byte(client: wire.Client) -> None:
    message = made(version_of(client), (150, "0"), *REPORT, (95, 9), (96, b"a\x0111=9\x01bc"[:9]))
    cause, event = decode(client, message)
    assert (cause, event.ref) == (0, 7)


def test_shorter_message_is_refused(client: wire.Client) -> None:
    message = made(version_of(client), (150, "0"), *REPORT)
    assert {decode(client, message[:size])[0] for size in range(1, len(message))} == {DROP_LENGTH}


def test_another_type_is_unknown(client: wire.Client) -> None:
    for kind in ("B", "UCC", "h"):
        assert decode(client, made(version_of(client), *REPORT, kind=kind))[0] == DROP_UNKNOWN


def test_shared_checksums_are_ours(shared: Path) -> None:
    """The messages of the facts end in the checksums that our reader wants."""
    theirs = yaml.safe_load((shared / "specs" / "fix.yaml").read_text())
    vectors = [v["message"].replace("|", "\1").encode() for v in theirs["checksum"]["test_vectors"]]
    assert len(vectors) == 3
    for message in vectors:
        assert bytes(parsed(message).encode()) == message
