"""The order session over loopback TCP against a venue made of sockets and struct.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import random
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import soup_venue as wire
from support.soup_venue import MS, SESSION, Client, Venue, log_in, pump, read, soup, take

from hwgw.native import lib

BUY, SELL = lib.HWGW_ORDER_SIDE_BUY, lib.HWGW_ORDER_SIDE_SELL
SHORT = lib.HWGW_ORDER_FLAGS_SHORT_SALE
ENCODED, DROP_SESSION = lib.HWGW_CNT_ORDER_ENCODED, lib.HWGW_CNT_ORDER_DROP_SESSION
DROP_BACKLOG, DROP_ENCODE = lib.HWGW_CNT_ORDER_DROP_BACKLOG, lib.HWGW_CNT_ORDER_DROP_ENCODE
KINDS = {
    getattr(lib, f"HWGW_ORDER_KIND_{name}"): name
    for name in ("ACCEPTED", "REJECTED", "CANCELED", "EXECUTED", "REPLACED", "BROKEN", "HALT")
}
AAPL = b"AAPL    "


@pytest.fixture
def venue() -> Iterator[Venue]:
    made = Venue()
    yield made
    made.close()


@pytest.fixture
def client(venue: Venue) -> Iterator[Client]:
    made = Client(venue.port)
    yield made
    made.close()


@pytest.fixture
def up(client: Client, venue: Venue) -> Client:
    log_in(client, venue)
    return client


def brief(events: list[Any]) -> list[tuple[str, int, int]]:
    return [(KINDS[event.kind], event.ref, event.qty) for event in events]


def enter(client: Client, ref: int, qty: int = 100, px: int = 1_000_000, **fields: Any) -> None:
    assert client.send(ref=ref, qty=qty, px=px, **fields) == ENCODED


def replace(client: Client, orig: int, ref: int, qty: int = 100, px: int = 1_000_100, **fields: Any) -> None:
    assert client.send(kind="REPLACE", orig_ref=orig, ref=ref, qty=qty, px=px, **fields) == ENCODED


def accept(ref: int, qty: int = 100, px: int = 1_000_000, **fields: Any) -> bytes:
    return wire.accepted(ref, b"B", qty, AAPL, px, **fields)


def accept_replace(orig: int, ref: int, qty: int = 100, px: int = 1_000_100, **fields: Any) -> bytes:
    return wire.replaced(orig, ref, b"B", qty, AAPL, px, **fields)


def lose(client: Client, venue: Venue) -> None:
    """Drop the connection and let the longest back-off pass."""
    if client.state != "LOST":
        venue.drop()
        pump(client, venue, lambda: client.state == "LOST")
    venue.drop()
    client.now_ns += 32 * 100 * MS


# ---- login ----


def test_login_names_user_session_and_number_in_the_padding_of_the_table(client: Client, venue: Venue) -> None:
    (packet,) = read(client, venue, 1)
    assert packet == b"\x00\x2fL" + b"trader" + b"secret    " + b" " * 10 + b" " * 19 + b"1"
    assert client.state == "LOGIN_SENT"


def test_session_is_up_only_when_the_account_query_is_answered(client: Client, venue: Venue) -> None:
    read(client, venue, 1)
    venue.send(wire.login_accepted())
    assert read(client, venue, 1) == [soup(b"U", b"Q")]
    assert client.state == "LOGIN_SENT"
    assert client.send(ref=1, qty=1, px=1) == DROP_SESSION
    venue.sequenced(wire.query_response(41))
    pump(client, venue, lambda: client.state == "UP")
    assert lib.hwgw_session_next_ref(client.handle) == 41
    assert client.send(ref=40, qty=1, px=1) == DROP_ENCODE
    assert client.send(ref=41, qty=1, px=1) == ENCODED
    assert (client.count("connects"), client.count("logins"), client.count("ignored")) == (1, 1, 1)
    client.ledger()


@pytest.mark.parametrize(("code", "words"), [(b"A", "password"), (b"S", "not available"), (b"?", "does not name")])
def test_rejected_login_is_final_and_says_why(client: Client, venue: Venue, code: bytes, words: str) -> None:
    read(client, venue, 1)
    venue.send(soup(b"J", code))
    venue.drop()
    pump(client, venue, lambda: client.state == "REJECTED")
    assert words in client.reason
    client.now_ns += 3_600_000 * MS
    assert client.poll() == []
    assert client.state == "REJECTED"
    assert (client.count("login_rejects"), client.count("connects")) == (1, 1)
    assert client.send(ref=1, qty=1, px=1) == DROP_SESSION


@pytest.mark.parametrize("number", [2, 9, 2**64 - 1])
def test_login_that_resumes_elsewhere_is_refused_and_halts(client: Client, venue: Venue, number: int) -> None:
    read(client, venue, 1)
    venue.send(wire.login_accepted(seq=number))
    events = take(client, venue, 1)
    assert brief(events) == [("HALT", 0, 0)]
    assert events[0].reason == lib.HWGW_RISK_REASON_STATE
    assert client.state == "REJECTED"
    assert client.count("login_rejects") == 1


def test_number_zero_takes_whatever_the_venue_says(venue: Venue) -> None:
    client = Client(venue.port, {"requested_seq": 0})
    try:
        (packet,) = read(client, venue, 1)
        assert packet == wire.login_request(b" " * 10, 0)
        venue.send(wire.login_accepted(seq=77))
        read(client, venue, 1)
        venue.sequenced(wire.query_response(1))
        pump(client, venue, lambda: client.state == "UP")
        assert lib.hwgw_session_next_seq(client.handle) == 78
    finally:
        client.close()


def test_login_without_an_answer_is_given_up_in_time(client: Client, venue: Venue) -> None:
    read(client, venue, 1)
    client.now_ns += 5_000 * MS - 1
    client.poll()
    assert client.state == "LOGIN_SENT"
    client.now_ns += 1
    client.poll()
    assert (client.state, client.count("disconnects")) == ("LOST", 1)


def test_account_query_without_an_answer_is_given_up_in_time(client: Client, venue: Venue) -> None:
    read(client, venue, 1)
    venue.send(wire.login_accepted())
    read(client, venue, 1)
    client.now_ns += 4_999 * MS
    venue.sequenced(wire.canceled(9, 9))  # a replay that goes on is progress
    assert brief(take(client, venue, 1)) == [("HALT", 9, 0)]
    client.now_ns += 4_999 * MS
    client.poll()
    assert client.state == "LOGIN_SENT"
    client.now_ns += 2 * MS
    client.poll()
    assert client.state == "LOST"


# ---- a day at the venue ----


def test_orders_and_answers_pass_unchanged(up: Client, venue: Venue) -> None:
    enter(up, 1, qty=100, px=1_870_000, account=3, strategy=5)
    enter(up, 2, qty=50, px=630_200, instrument=1, side=SELL, flags=SHORT, tif=lib.HWGW_ORDER_TIF_IOC, strategy=6)
    assert read(up, venue, 2) == [
        soup(b"U", wire.enter(1, b"B", 100, AAPL, 1_870_000)),
        soup(b"U", wire.enter(2, b"T", 50, b"CVLT    ", 630_200, b"3")),
    ]
    up.now_ns += 7
    venue.sequenced(
        wire.accepted(1, b"B", 100, AAPL, 1_870_000, number=1234),
        wire.executed(1, 30, 1_869_900, 88),
        wire.accepted(2, b"T", 50, b"CVLT    ", 630_200),
        wire.executed(2, 20, 630_300, 89),
        wire.canceled(2, 30, b"I"),
    )
    events = take(up, venue, 5)
    assert brief(events) == [
        ("ACCEPTED", 1, 100),
        ("EXECUTED", 1, 30),
        ("ACCEPTED", 2, 50),
        ("EXECUTED", 2, 20),
        ("CANCELED", 2, 30),
    ]
    assert [event.px for event in events] == [1_870_000, 1_869_900, 630_200, 630_300, 0]
    assert [event.venue_ref for event in events] == [1234, 88, 900, 89, 0]
    assert [event.seq for event in events] == [2, 3, 4, 5, 6]
    assert {event.ts_ns for event in events} == {up.now_ns}
    assert events[4].reason == ord("I")
    for event in events:
        owner = (event.instrument, event.side, event.flags, event.account, event.strategy)
        assert owner == ((0, BUY, 0, 3, 5) if event.ref == 1 else (1, SELL, SHORT, 0, 6))

    replace(up, 1, 3, qty=130, px=1_870_100, account=3, strategy=5)
    assert up.send(kind="CANCEL", ref=3, qty=0) == ENCODED
    enter(up, 4, qty=999_999, px=1)
    assert read(up, venue, 3) == [
        soup(b"U", wire.replace(1, 3, 130, 1_870_100)),
        soup(b"U", wire.cancel(3, 0)),
        soup(b"U", wire.enter(4, b"B", 999_999, AAPL, 1)),
    ]
    venue.sequenced(
        wire.replaced(1, 3, b"B", 100, AAPL, 1_870_100),
        wire.executed(3, 99, 1_870_000, 90),
        wire.canceled(3, 1, b"U"),
        wire.rejected(4, 0x1D),
        wire.broken(1, 88),
    )
    events = take(up, venue, 5)
    assert brief(events) == [
        ("REPLACED", 3, 100),
        ("EXECUTED", 3, 99),
        ("CANCELED", 3, 1),
        ("REJECTED", 4, 0),
        ("BROKEN", 1, 30),
    ]
    assert events[0].orig_ref == 1
    assert events[3].reason == 0x1D
    assert (events[4].px, events[4].venue_ref, events[4].account, events[4].strategy) == (1_869_900, 88, 3, 5)
    expected = {
        "accepted": 2, "executed": 3, "executed_shares": 149, "filled": 0, "canceled": 2, "replaced": 1, "rejected": 1,
        "broken": 1, "ignored": 1, "sequenced": 11, "drop_order": 0, "withdrawn": 0,
    }  # fmt: skip
    assert {name: up.count(name) for name in expected} == expected
    up.ledger()


def test_real_messages_become_events_of_the_order(shared: Path) -> None:
    vectors = json.loads((shared / "specs" / "vectors.json").read_text())
    real = {v["kind"]: bytes.fromhex(v["hex"]) for v in vectors if v["protocol"] == "soupbintcp+ouch50"}
    venue = Venue()
    client = Client(venue.port)
    try:
        log_in(client, venue, next_ref=7_682_701)
        enter(client, 7_682_701, qty=40, px=4_777_800, instrument=2)
        venue.send(real["H"] + real["SA"] + real["H"] + real["SC"])
        events = take(client, venue, 2)
        assert brief(events) == [("ACCEPTED", 7_682_701, 40), ("CANCELED", 7_682_701, 40)]
        assert (events[0].venue_ref, events[1].reason) == (257_340_661, ord("U"))
        assert client.count("heartbeats_rx") == 2
        read(client, venue, 1)
        client.now_ns += 1_000 * MS
        assert read(client, venue, 1) == [real["R"]]
    finally:
        client.close()
        venue.close()


# ---- pieces ----


def day() -> tuple[bytes, list[tuple[str, int, int]]]:
    """What a venue may send for orders 1 to 4, with every kind of packet, and the events of it."""
    stream = [
        soup(b"+", b"good morning"),
        soup(b"S", accept(1)),
        soup(b"H"),
        soup(b"S", wire.executed(1, 60, 999_900, 5)),
        soup(b"U", b"not counted"),
        soup(b"S", accept(2, state=b"D")),
        soup(b"+", b"d" * 65_534),
        soup(b"S", wire.aiq_canceled(1, 15)),
        soup(b"S", b"S" + bytes(9)),
        soup(b"S", wire.rejected(3, 7)),
        soup(b"?", b"later text"),
        soup(b"S", accept(4)),
        soup(b"S", wire.executed(1, 25, 999_800, 6)),
        soup(b"S", wire.broken(1, 5)),
        soup(b"H"),
        soup(b"S", wire.canceled(4, 100)),
    ]
    events = [
        ("ACCEPTED", 1, 100),
        ("EXECUTED", 1, 60),
        ("ACCEPTED", 2, 100),
        ("CANCELED", 2, 100),
        ("CANCELED", 1, 15),
        ("REJECTED", 3, 0),
        ("ACCEPTED", 4, 100),
        ("EXECUTED", 1, 25),
        ("BROKEN", 1, 60),
        ("CANCELED", 4, 100),
    ]
    return b"".join(stream), events


def check_day(client: Client, events: list[Any]) -> None:
    assert brief(events) == day()[1]
    counted = {
        name: client.count(name) for name in ("heartbeats_rx", "drop_packet", "debug", "accepted_dead", "ignored")
    }
    assert counted == {"heartbeats_rx": 2, "drop_packet": 2, "debug": 2, "accepted_dead": 1, "ignored": 2}
    assert client.state == "UP"
    client.ledger()


def send_day(client: Client) -> None:
    for ref in (1, 2, 3, 4):
        enter(client, ref)


def test_everything_at_once_gives_every_event(up: Client, venue: Venue) -> None:
    send_day(up)
    venue.send(day()[0])
    check_day(up, take(up, venue, len(day()[1])))


def test_byte_by_byte_gives_the_same_events(up: Client, venue: Venue) -> None:
    send_day(up)
    stream, events = day()[0].replace(b"\xff\xff+" + b"d" * 65_534, soup(b"+", b"d" * 20)), []
    for at in range(len(stream)):
        venue.send(stream[at : at + 1])
        events += up.poll()
    pump(up, venue, lambda: len(events) >= len(day()[1]), events)
    check_day(up, events)


def test_random_pieces_and_little_room_give_the_same_events(rng: random.Random) -> None:
    rounds = 20
    for _ in range(rounds):
        venue = Venue()
        client = Client(venue.port)
        try:
            log_in(client, venue)
            send_day(client)
            stream, at, events = day()[0], 0, []
            while at < len(stream):
                sz = rng.choice([1, 2, 3, 40, 1_000, 30_000])
                venue.send(stream[at : at + sz])
                at += sz
                events += client.poll(rng.choice([1, 1, 2, 5]))
            for _ in range(10_000):
                events += client.poll(1)
                if len(events) == len(day()[1]):
                    break
            assert client.poll() == []
            check_day(client, events)
        finally:
            client.close()
            venue.close()


def test_buffer_turns_over_many_times_without_losing_a_message(up: Client, venue: Venue, rng: random.Random) -> None:
    """A megabyte of cancels with debug text of all sizes between them, taken three events at a time."""
    cnt = 3_000
    enter(up, 1, qty=cnt)
    venue.sequenced(accept(1, qty=cnt))
    expected, got = [1] * cnt, []
    take(up, venue, 1)
    sent = 0
    while len(got) < cnt:
        if sent < cnt:
            text = soup(b"+", b"x" * rng.choice([0, 1, 700, rng.randrange(2_000)]))
            venue.send(b"".join(soup(b"S", wire.canceled(1, 1)) + text for _ in range(min(10, cnt - sent))))
            sent += min(10, cnt - sent)
        for _ in range(rng.randrange(1, 6)):
            got += [event.qty for event in up.poll(3)]
    assert got == expected
    assert up.count("rx_bytes") > 900_000
    up.ledger()


# ---- disconnects ----


@pytest.mark.parametrize("is_answered", [False, True], ids=["before the answer", "in the answer"])
def test_disconnect_at_every_byte_of_the_login_is_survived(client: Client, venue: Venue, is_answered: bool) -> None:
    """The venue closes after reading, or after answering, the first n bytes; nothing of a broken login remains."""
    answer = wire.login_accepted() + soup(b"S", wire.query_response(1))
    request = wire.login_request(b" " * 10, 1)
    stops = range(len(answer) if is_answered else len(request) + 1)
    first = len(wire.login_accepted())
    for stop in stops:
        pump(client, venue, lambda: venue.connection is not None and len(venue.received) >= 49)
        # once a login was accepted, its session is asked for by name
        assert venue.packets()[0] == wire.login_request(SESSION if is_answered and stop > first else b" " * 10, 1)
        if is_answered:
            venue.send(answer[:stop])
        lose(client, venue)
        assert client.send(ref=1, qty=1, px=1) == DROP_SESSION
    assert client.count("disconnects") == len(stops)
    log_in(client, venue)
    enter(client, 1)
    client.ledger()


@pytest.mark.parametrize("stop", range(0, 131, 1))
def test_disconnect_at_every_byte_of_an_answer_loses_and_doubles_nothing(up: Client, venue: Venue, stop: int) -> None:
    """The venue accepts, executes and cancels; the connection ends in the midst; the rest comes after a login."""
    answers = [accept(1), wire.executed(1, 40, 999_000, 5), wire.canceled(1, 60)]
    stream = b"".join(soup(b"S", answer) for answer in answers)
    assert len(stream) == 127
    enter(up, 1)
    read(up, venue, 1)
    events: list[Any] = []
    venue.send(stream[:stop])
    venue.drop()
    pump(up, venue, lambda: up.state == "LOST", events)
    ends = [67, 67 + 39, 127]
    whole = sum(end <= stop for end in ends)
    assert len(events) == whole
    lose(up, venue)
    assert read(up, venue, 1) == [wire.login_request(SESSION, 2 + whole)]
    venue.send(wire.login_accepted(seq=2 + whole))
    read(up, venue, 1)
    venue.sequenced(*answers[whole:], wire.query_response(2))
    pump(up, venue, lambda: up.state == "UP", events)
    assert brief(events) == [("ACCEPTED", 1, 100), ("EXECUTED", 1, 40), ("CANCELED", 1, 60)]
    assert [event.seq for event in events] == [2, 3, 4]
    assert up.count("withdrawn") == 0
    up.ledger()


@pytest.mark.parametrize("stop", range(0, 51, 5))
def test_order_that_the_connection_lost_is_withdrawn_after_the_next_login(up: Client, venue: Venue, stop: int) -> None:
    """The venue read only a part of the packet: it never saw the order, and its next UserRefNum says so."""
    venue.is_reading = False
    enter(up, 1, strategy=4)
    venue.connection.setblocking(True)
    assert stop == 0 or len(venue.connection.recv(stop)) == stop
    lose(up, venue)
    venue.is_reading = True
    events = log_in(up, venue, seq=2, next_ref=1) + up.poll()
    assert brief(events) == [("REJECTED", 1, 0)]
    assert events[0].strategy == 4
    assert up.count("withdrawn") == 1
    enter(up, 2)  # the number went unused; the next one is above it
    assert read(up, venue, 1) == [soup(b"U", wire.enter(2, b"B", 100, AAPL, 1_000_000))]


def test_withdrawn_order_is_reported_as_rejected_to_its_owner(up: Client, venue: Venue) -> None:
    enter(up, 1, strategy=4, account=2)
    enter(up, 2, strategy=5, side=SELL)
    replace(up, 1, 3)
    lose(up, venue)
    read(up, venue, 1)
    venue.send(wire.login_accepted(seq=2))
    read(up, venue, 1)
    # the venue got 1 and 2 (it says 3 is next), answered 1 only, and never got 3
    venue.sequenced(accept(1), wire.query_response(3))
    events = take(up, venue, 2)
    assert brief(events) == [("ACCEPTED", 1, 100), ("REJECTED", 3, 0)]
    assert events[1].reason == 0
    venue.sequenced(wire.accepted(2, b"S", 100, AAPL, 1_000_000))  # late, but one of ours
    assert brief(take(up, venue, 1)) == [("ACCEPTED", 2, 100)]
    assert up.count("withdrawn") == 1
    up.ledger()


def test_orders_waiting_to_be_sent_die_with_the_connection(up: Client, venue: Venue) -> None:
    assert lib.hwgw_session_order(up.handle, wire.order(ref=1, qty=100, px=1_000_000)) == ENCODED
    lose(up, venue)
    (packet,) = read(up, venue, 1)
    assert packet == wire.login_request(SESSION, 2), "nothing old goes before the login"
    venue.send(wire.login_accepted(seq=2))
    read(up, venue, 1)
    venue.sequenced(wire.query_response(1))
    assert brief(take(up, venue, 1)) == [("REJECTED", 1, 0)]


def test_reconnects_back_off_and_start_again_after_a_login(venue: Venue) -> None:
    venue.listener.close()  # the port stays ours to name, and refuses
    client = Client(venue.port)
    try:
        waits = []
        for _ in range(8):
            failures = client.count("connect_failures")
            for _ in range(100_000):
                client.poll()
                if client.count("connect_failures") > failures:
                    break
            assert (client.state, client.reason) == ("LOST", "Connection refused")
            before = client.now_ns
            while client.state == "LOST":
                client.now_ns += 10 * MS
                client.poll()
                if client.count("connect_failures") > failures + 1:
                    break
            waits.append((client.now_ns - before) // MS)
        assert waits[:6] == [100, 200, 400, 800, 1600, 3200]
        assert set(waits[6:]) == {3200}
    finally:
        client.close()


def test_process_out_of_descriptors_is_a_failed_attempt_and_no_more(client: Client, venue: Venue) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        client.poll()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (client.state, client.reason) == ("LOST", "Too many open files")
    assert client.count("connect_failures") == 1
    client.now_ns += 100 * MS
    log_in(client, venue)


def test_no_reconnect_when_it_is_switched_off(venue: Venue) -> None:
    client = Client(venue.port, {"reconnect_ms": 0})
    try:
        log_in(client, venue)
        venue.drop()
        pump(client, venue, lambda: client.state == "LOST")
        client.now_ns += 86_400_000 * MS
        client.poll()
        assert client.state == "LOST"
        assert client.reason == "the venue closed the connection"
    finally:
        client.close()


def test_send_to_a_reset_connection_raises_no_signal_and_is_counted(up: Client, venue: Venue) -> None:
    enter(up, 1)
    pump(up, venue, lambda: len(venue.received) > 0)
    venue.connection.setsockopt(wire.socket.SOL_SOCKET, wire.socket.SO_LINGER, wire.struct.pack("ii", 1, 0))
    venue.drop()
    outcomes = {up.send(ref=ref, qty=1, px=1) for ref in range(2, 50)}
    assert outcomes <= {ENCODED, DROP_SESSION}
    up.poll()
    assert up.state == "LOST"
    assert up.count("disconnects") == 1


def test_what_a_reset_connection_had_brought_is_still_read(up: Client, venue: Venue) -> None:
    venue.is_reading = False
    enter(up, 1)
    venue.sequenced(accept(1), wire.executed(1, 30, 1, 1), wire.canceled(1, 70))
    venue.drop()  # with the order unread, which makes it a reset
    outcomes = [up.send(ref=ref, qty=1, px=1) for ref in range(2, 50)]
    assert outcomes[-1] == DROP_SESSION, "a send noticed before anything was read"
    events: list[Any] = []
    pump(up, venue, lambda: up.state == "LOST", events)
    assert brief(events) == [("ACCEPTED", 1, 100), ("EXECUTED", 1, 30), ("CANCELED", 1, 70)]


def test_little_room_for_events_at_a_disconnect_loses_none(up: Client, venue: Venue) -> None:
    enter(up, 1)
    read(up, venue, 1)
    venue.sequenced(accept(1), *(wire.executed(1, 1, 1, n) for n in range(9)), wire.canceled(1, 91))
    venue.drop()
    time.sleep(0.05)  # the end of the connection is known before the first event is taken
    events: list[Any] = []
    for _ in range(1_000):
        events += up.poll(1)
        if up.state == "LOST":
            break
    assert len(events) == 11
    assert events[-1].kind == lib.HWGW_ORDER_KIND_CANCELED


def test_more_than_a_buffer_waiting_at_a_reset_is_read_to_the_end(up: Client, venue: Venue) -> None:
    """The receive buffer is full and the kernel holds more when a send notices the reset."""
    venue.is_reading = False
    enter(up, 1)
    text = soup(b"+", b"x" * 49_997)
    before = up.count("rx_bytes")
    for _ in range(2):
        venue.send(text)
        while up.count("rx_bytes") < before + 50_000:
            assert up.poll(0) == []
        before += 50_000
    venue.send(text)
    venue.sequenced(accept(1), wire.canceled(1, 100))
    while up.count("rx_bytes") < before + 30_000:
        assert up.poll(0) == []
    venue.drop()
    for ref in range(2, 50):
        up.send(ref=ref, qty=1, px=1)
    events: list[Any] = []
    pump(up, venue, lambda: up.state == "LOST", events)
    assert brief(events) == [("ACCEPTED", 1, 100), ("CANCELED", 1, 100)]
    assert up.count("debug") == 3


# ---- timers ----


def test_silent_venue_is_a_dead_link_at_the_limit_and_not_before(up: Client, venue: Venue) -> None:
    up.now_ns += 15_000 * MS - 1
    up.poll()
    assert up.state == "UP"
    up.now_ns += 1
    up.poll()
    assert up.state == "LOST"
    assert "silent" in up.reason


def test_venue_heartbeats_keep_the_link(up: Client, venue: Venue) -> None:
    for beat in range(1, 41):
        up.now_ns += 14_000 * MS
        venue.send(soup(b"H"))
        pump(up, venue, lambda beat=beat: up.count("heartbeats_rx") == beat)
    assert up.state == "UP"


def test_client_heartbeat_goes_out_after_a_second_without_sending(up: Client, venue: Venue) -> None:
    up.now_ns += 999 * MS
    up.poll()
    assert up.count("heartbeats_tx") == 0
    up.now_ns += 1 * MS
    assert read(up, venue, 1) == [soup(b"R")]
    up.now_ns += 600 * MS
    enter(up, 1)  # anything sent starts the second anew
    read(up, venue, 1)
    up.now_ns += 999 * MS
    up.poll()
    assert up.count("heartbeats_tx") == 1
    up.now_ns += 1 * MS
    assert read(up, venue, 1) == [soup(b"R")]


def test_clock_that_stands_or_steps_back_ends_nothing(up: Client) -> None:
    up.now_ns -= 900 * MS
    for _ in range(100):
        assert up.poll() == []
    assert (up.state, up.count("heartbeats_tx")) == ("UP", 0)


# ---- a venue that does not read ----


def fill_up(client: Client, venue: Venue) -> int:
    """Send until the buffers are full; the number of orders that were taken."""
    venue.is_reading = False
    for ref in range(1, 4_000):
        outcome = client.send(ref=ref, qty=1, px=1)
        if outcome != ENCODED:
            assert outcome == DROP_BACKLOG
            break
    else:
        raise AssertionError("the buffers took 4,000 orders")
    calm = 0
    while calm < 50:  # until the kernel has moved what it can to the venue's side
        before = client.count("tx_bytes")
        client.poll()
        time.sleep(0.001)
        calm = calm + 1 if client.count("tx_bytes") == before else 0
    return ref - 1


def test_full_buffers_refuse_orders_take_cancels_and_keep_every_byte() -> None:
    venue = Venue(receive_sz=4_096)
    client = Client(venue.port)
    try:
        log_in(client, venue)
        taken = fill_up(client, venue)
        assert client.count("tx_blocked") > 0
        cancels = 0
        while client.send(kind="CANCEL", ref=1 + cancels) == ENCODED:
            cancels += 1
        assert cancels > 500
        assert client.send(kind="CANCEL", ref=1) == DROP_BACKLOG
        assert client.poll() == []
        assert client.state == "UP"
        venue.is_reading = True
        expected = [soup(b"U", wire.enter(ref, b"B", 1, AAPL, 1)) for ref in range(1, taken + 1)]
        expected += [soup(b"U", wire.cancel(1 + n, 0)) for n in range(cancels)]
        assert read(client, venue, len(expected)) == expected
        assert client.send(ref=taken + 1, qty=1, px=1) == ENCODED, "the refused number was not used up"
    finally:
        client.close()
        venue.close()


def test_venue_that_never_reads_is_a_dead_link_although_it_sends() -> None:
    venue = Venue(receive_sz=4_096)
    client = Client(venue.port)
    try:
        log_in(client, venue)
        fill_up(client, venue)
        last_ns = client.now_ns
        while client.state == "UP" and client.now_ns - last_ns < 15_000 * MS:
            taken = client.count("tx_bytes")
            client.now_ns += 1_000 * MS
            venue.send(soup(b"H"))
            client.poll()
            if client.count("tx_bytes") > taken:  # the kernel still found room for some
                last_ns = client.now_ns
        assert client.now_ns - last_ns == 15_000 * MS
        assert client.state == "LOST"
        assert "not read" in client.reason
    finally:
        client.close()
        venue.close()


# ---- ends ----


def test_end_of_session_is_final(up: Client, venue: Venue) -> None:
    enter(up, 1)
    venue.send(soup(b"S", accept(1)) + soup(b"Z"))
    venue.drop()
    assert brief(take(up, venue, 1)) == [("ACCEPTED", 1, 100)]
    pump(up, venue, lambda: up.state == "CLOSED")
    up.now_ns += 3_600_000 * MS
    up.poll()
    assert up.state == "CLOSED"
    assert (up.count("ends"), up.count("disconnects")) == (1, 0)


def test_logout_sends_what_waits_and_takes_what_still_comes(up: Client, venue: Venue) -> None:
    enter(up, 1)
    assert lib.hwgw_session_order(up.handle, wire.order("CANCEL", ref=1)) == ENCODED
    lib.hwgw_session_logout(up.handle)
    assert up.state == "LOGGING_OUT"
    assert up.send(ref=2, qty=1, px=1) == DROP_SESSION
    assert read(up, venue, 3) == [
        soup(b"U", wire.enter(1, b"B", 100, AAPL, 1_000_000)),
        soup(b"U", wire.cancel(1, 0)),
        soup(b"O"),
    ]
    venue.sequenced(accept(1), wire.canceled(1, 100))
    venue.drop()
    events: list[Any] = []
    pump(up, venue, lambda: up.state == "CLOSED", events)
    assert brief(events) == [("ACCEPTED", 1, 100), ("CANCELED", 1, 100)]
    assert (up.reason, up.count("disconnects")) == ("logged out", 0)


def test_logout_that_the_venue_ignores_ends_in_time(up: Client, venue: Venue) -> None:
    lib.hwgw_session_logout(up.handle)
    read(up, venue, 1)
    up.now_ns += 4_999 * MS
    up.poll()
    assert up.state == "LOGGING_OUT"
    up.now_ns += 1 * MS
    up.poll()
    assert up.state == "CLOSED"
    pump(up, venue, lambda: venue.is_closed_by_peer)


def test_logout_over_a_link_that_takes_nothing_closes_it_at_once() -> None:
    venue = Venue(receive_sz=4_096)
    client = Client(venue.port)
    try:
        log_in(client, venue)
        fill_up(client, venue)
        while client.send(kind="CANCEL", ref=1) == ENCODED:
            pass
        lib.hwgw_session_logout(client.handle)
        assert (client.state, "takes nothing" in client.reason) == ("CLOSED", True)
    finally:
        client.close()
        venue.close()


def test_logout_over_a_broken_link_closes_it_at_once(up: Client, venue: Venue) -> None:
    venue.is_reading = False
    enter(up, 1)
    venue.drop()
    while up.send(ref=lib.hwgw_session_next_ref(up.handle), qty=1, px=1) == ENCODED:
        pass
    lib.hwgw_session_logout(up.handle)
    assert up.state == "CLOSED"


def test_logout_before_the_session_is_up_closes_it(client: Client, venue: Venue) -> None:
    lib.hwgw_session_logout(client.handle)
    assert client.state == "CLOSED"
    client.poll()
    assert (client.state, client.count("connects")) == ("CLOSED", 0)


def test_number_padded_on_the_right_is_read(client: Client, venue: Venue) -> None:
    """Nasdaq's own library pads it there."""
    read(client, venue, 1)
    venue.send(soup(b"A", SESSION + b"1".ljust(20)))
    assert read(client, venue, 1) == [soup(b"U", b"Q")]


# ---- packets that cannot be ----

BAD_BEFORE_LOGIN = {
    "no type": b"\0\0",
    "sequenced": soup(b"S", wire.query_response(1)),
    "heartbeat": soup(b"H"),
    "end": soup(b"Z"),
    "accepted too short": soup(b"A", SESSION + b"1".rjust(19)),
    "accepted too long": soup(b"A", SESSION + b"1".rjust(21)),
    "accepted with number 0": wire.login_accepted(seq=0),
    "accepted without number": soup(b"A", SESSION + b" " * 20),
    "accepted with letters": soup(b"A", SESSION + b"1x".rjust(20)),
    "accepted with a space inside": soup(b"A", SESSION + b"1 1".rjust(20)),
    "accepted with more than 64 bits": soup(b"A", SESSION + str(2**64).rjust(20).encode()),
    "rejected without reason": soup(b"J"),
}
BAD_WHEN_UP = {
    "no type": b"\0\0",
    "accepted again": wire.login_accepted(seq=2),
    "rejected": soup(b"J", b"A"),
}


@pytest.mark.parametrize("packet", BAD_BEFORE_LOGIN.values(), ids=BAD_BEFORE_LOGIN)
def test_packet_that_cannot_be_before_the_login_closes_the_connection(
    client: Client, venue: Venue, packet: bytes
) -> None:
    read(client, venue, 1)
    venue.send(soup(b"+", b"debug may") + packet + wire.login_accepted())
    pump(client, venue, lambda: client.state == "LOST")
    assert (client.count("drop_framing"), client.count("debug"), client.count("logins")) == (1, 1, 0)
    lose(client, venue)
    log_in(client, venue)


@pytest.mark.parametrize("packet", BAD_WHEN_UP.values(), ids=BAD_WHEN_UP)
def test_packet_that_cannot_be_when_up_closes_the_connection(up: Client, venue: Venue, packet: bytes) -> None:
    enter(up, 1)
    read(up, venue, 1)
    venue.send(soup(b"S", accept(1)) + packet + soup(b"S", wire.canceled(1, 100)))
    events: list[Any] = []
    pump(up, venue, lambda: up.state == "LOST", events)
    assert brief(events) == [("ACCEPTED", 1, 100)]
    assert up.count("drop_framing") == 1
    lose(up, venue)
    log_in(up, venue, seq=3, next_ref=2)


def test_another_session_after_a_reconnect_is_refused_and_halts(up: Client, venue: Venue) -> None:
    lose(up, venue)
    assert read(up, venue, 1) == [wire.login_request(SESSION, 2)]
    venue.send(wire.login_accepted(b" 20261120B", seq=2))
    assert brief(take(up, venue, 1)) == [("HALT", 0, 0)]
    assert up.state == "REJECTED"
    assert "another session" in up.reason


# ---- orders the session refuses ----


def test_user_ref_num_must_increase(up: Client) -> None:
    enter(up, 5)
    assert [up.send(ref=ref, qty=1, px=1) for ref in (5, 4, 1, 0)] == [DROP_ENCODE] * 4
    assert lib.hwgw_session_next_ref(up.handle) == 6
    enter(up, 2**32 - 1)
    assert up.send(ref=2**32 - 1, qty=1, px=1) == DROP_ENCODE
    assert lib.hwgw_session_next_ref(up.handle) == 2**32 - 1


def test_order_whose_slot_is_live_is_refused(up: Client, venue: Venue) -> None:
    enter(up, 1)
    assert up.send(ref=4_097, qty=1, px=1) == DROP_ENCODE
    venue.sequenced(wire.rejected(1, 1))
    take(up, venue, 1)
    enter(up, 4_097)


def test_order_that_cannot_be_expressed_uses_up_nothing(up: Client, venue: Venue) -> None:
    assert up.send(ref=1, qty=0, px=1) == DROP_ENCODE
    assert up.send(kind="REPLACE", ref=1, orig_ref=0, qty=1, px=1) == DROP_ENCODE
    assert up.send(kind="EXECUTED", ref=1, qty=1, px=1) == DROP_ENCODE
    enter(up, 1)
    assert len(read(up, venue, 1)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"orig_ref": 2},
        {"orig_ref": 1, "instrument": 1},
        {"orig_ref": 1, "side": SELL, "flags": SHORT},
        {"orig_ref": 1, "venue_ref": lib.HWGW_ORDER_OPTION_POST_ONLY << lib.HWGW_ORDER_OPTION_SHIFT},
    ],
    ids=["of an ended order", "of another instrument", "marked otherwise", "with other options"],
)
def test_replace_unlike_its_original_is_refused(up: Client, venue: Venue, fields: dict[str, int]) -> None:
    enter(up, 1, side=SELL)
    enter(up, 2, side=SELL)
    venue.sequenced(wire.rejected(2, 1))
    take(up, venue, 1)
    assert up.send(**{"kind": "REPLACE", "ref": 3, "qty": 1, "px": 1, "side": SELL} | fields) == DROP_ENCODE
    replace(up, 1, 3, side=SELL)


# ---- what the venue does not say in a message of its own ----


def test_order_accepted_dead_is_canceled_in_full(up: Client, venue: Venue) -> None:
    enter(up, 1, strategy=9)
    venue.sequenced(accept(1, state=b"D"), wire.canceled(1, 100))
    events = take(up, venue, 3)
    assert brief(events) == [("ACCEPTED", 1, 100), ("CANCELED", 1, 100), ("HALT", 1, 0)]
    assert events[0].reason == ord("D")
    assert (events[1].reason, events[1].strategy) == (0, 9)
    assert (up.count("accepted_dead"), up.count("canceled"), up.count("drop_order")) == (1, 0, 1)
    up.ledger()


def test_order_accepted_for_less_gives_the_rest_back(up: Client, venue: Venue) -> None:
    enter(up, 1)
    venue.sequenced(accept(1, qty=70), wire.executed(1, 70, 1, 1))
    assert brief(take(up, venue, 3)) == [("ACCEPTED", 1, 100 - 30), ("CANCELED", 1, 30), ("EXECUTED", 1, 70)]
    assert up.count("filled") == 1


def test_replace_accepted_dead_is_canceled_in_full(up: Client, venue: Venue) -> None:
    enter(up, 1)
    replace(up, 1, 2, qty=150)
    venue.sequenced(accept(1), wire.executed(1, 20, 1, 1), accept_replace(1, 2, qty=130, state=b"D"))
    assert brief(take(up, venue, 4))[2:] == [("REPLACED", 2, 130), ("CANCELED", 2, 130)]
    enter(up, 4_098)  # the slot of 2
    enter(up, 8_193)  # and that of 1


@pytest.mark.parametrize("end", [wire.executed(1, 100, 1, 1), wire.canceled(1, 100), wire.aiq_canceled(1, 100)])
def test_replaces_of_an_ended_order_are_rejected(up: Client, venue: Venue, end: bytes) -> None:
    """Two replaces of order 1 and a chain on one of them: the venue ignores all three without a word."""
    enter(up, 1)
    replace(up, 1, 2)
    replace(up, 1, 3)
    replace(up, 3, 4)
    venue.sequenced(accept(1), end)
    events = take(up, venue, 5)
    assert sorted(brief(events)[2:]) == [("REJECTED", 2, 0), ("REJECTED", 3, 0), ("REJECTED", 4, 0)]
    assert up.count("withdrawn") == 3
    venue.sequenced(accept_replace(1, 2))
    assert brief(take(up, venue, 1)) == [("HALT", 2, 0)], "should the venue think otherwise, nothing more leaves"
    up.ledger()


def test_replaced_order_takes_its_other_replaces_with_it(up: Client, venue: Venue) -> None:
    enter(up, 1)
    replace(up, 1, 2)
    replace(up, 1, 3)
    replace(up, 2, 4)
    venue.sequenced(accept(1), accept_replace(1, 2))
    assert brief(take(up, venue, 3)) == [("ACCEPTED", 1, 100), ("REPLACED", 2, 100), ("REJECTED", 3, 0)]
    venue.sequenced(accept_replace(2, 4), wire.canceled(4, 100))
    assert brief(take(up, venue, 2)) == [("REPLACED", 4, 100), ("CANCELED", 4, 100)]


def test_rejected_replace_leaves_its_original_alone(up: Client, venue: Venue) -> None:
    enter(up, 1)
    replace(up, 1, 2)
    replace(up, 1, 3)
    replace(up, 1, 4)
    venue.sequenced(accept(1), wire.rejected(3, 21), wire.rejected(2, 21), wire.executed(1, 1, 1, 1))
    assert brief(take(up, venue, 4))[1:] == [("REJECTED", 3, 0), ("REJECTED", 2, 0), ("EXECUTED", 1, 1)]
    venue.sequenced(accept_replace(1, 4, qty=99))
    assert brief(take(up, venue, 1)) == [("REPLACED", 4, 99)]


def test_withdrawals_wait_for_room_among_the_events(up: Client, venue: Venue) -> None:
    enter(up, 1)
    for ref in range(2, 102):
        replace(up, 1, ref)
    venue.sequenced(accept(1, state=b"D"), wire.query_response(500))
    events: list[Any] = []
    for _ in range(10_000):
        events += up.poll(1)
        if lib.hwgw_session_next_ref(up.handle) == 500:
            break
    assert brief(events)[:2] == [("ACCEPTED", 1, 100), ("CANCELED", 1, 100)]
    assert sorted(brief(events)[2:]) == [("REJECTED", ref, 0) for ref in range(2, 102)]


# ---- messages that cannot be about our orders ----


UNLIKELY: dict[str, tuple[list[bytes], str]] = {
    "accepted of nothing": ([accept(9)], "drop_order"),
    "accepted of ref 0": ([accept(0)], "drop_order"),
    "accepted again": ([accept(1)], "drop_order"),
    "accepted for more": ([accept(2, qty=101)], "drop_order"),
    "accepted for nothing": ([accept(2, qty=0)], "drop_order"),
    "accepted on another side": ([wire.accepted(2, b"S", 100, AAPL, 1)], "drop_order"),
    "accepted in another symbol": ([wire.accepted(2, b"B", 100, b"CVLT    ", 1)], "drop_order"),
    "a replace accepted as new": ([accept(3)], "drop_order"),
    "executed before accepted": ([wire.executed(2, 1, 1, 1)], "drop_order"),
    "executed for nothing": ([wire.executed(1, 0, 1, 1)], "drop_order"),
    "executed of nothing": ([wire.executed(4_097, 1, 1, 1)], "drop_order"),
    "canceled before accepted": ([wire.canceled(2, 1)], "drop_order"),
    "canceled after the end": ([wire.canceled(1, 100), wire.canceled(1, 1)], "drop_order"),
    "rejected after accepted": ([wire.rejected(1, 1)], "drop_order"),
    "replaced what is not under way": ([accept_replace(1, 2)], "drop_order"),
    "replaced from another": ([accept_replace(2, 3)], "drop_order"),
    "replaced from nothing": ([accept_replace(0, 3)], "drop_order"),
    "replaced for more": ([accept_replace(1, 3, qty=101)], "drop_order"),
    "replaced on another side": ([wire.replaced(1, 3, b"T", 100, AAPL, 1)], "drop_order"),
    "broken without execution": ([wire.broken(1, 7)], "drop_order"),
    "broken of another order": ([wire.executed(1, 1, 1, 7), wire.broken(2, 7)], "drop_order"),
    "broken twice": ([wire.executed(1, 1, 1, 7), wire.broken(1, 7), wire.broken(1, 7)], "drop_order"),
    "broken of ref 0": ([wire.executed(1, 1, 1, 7), wire.broken(1, 7), wire.broken(0, 7)], "drop_order"),
    "empty": ([b""], "drop_length"),
    "cut": ([wire.executed(1, 1, 1, 1)[:-3]], "drop_length"),
    "unknown type": ([b"z" + bytes(60)], "drop_unknown"),
    "trade correction": ([b"F" + bytes(48)], "drop_unknown"),
    "price beyond 32 bits": ([wire.executed(1, 1, 2**32, 1)], "drop_unknown"),
}


@pytest.mark.parametrize(("messages", "counter"), UNLIKELY.values(), ids=UNLIKELY)
def test_message_that_cannot_be_halts_and_is_counted_once(
    up: Client, venue: Venue, messages: list[bytes], counter: str
) -> None:
    """1 is live, 2 is sent, 3 is a replace of 1 under way."""
    enter(up, 1)
    enter(up, 2)
    replace(up, 1, 3)
    venue.sequenced(accept(1), *messages)
    events: list[Any] = []
    pump(up, venue, lambda: up.count("sequenced") == 2 + len(messages), events)
    events += up.poll()
    halts = [event for event in events if event.kind == lib.HWGW_ORDER_KIND_HALT]
    assert [halt.reason for halt in halts] == [lib.HWGW_RISK_REASON_STATE]
    assert [up.count(name) for name in ("drop_order", "drop_length", "drop_unknown")].count(1) == 1
    assert up.count(counter) == 1
    assert up.state == "UP"
    up.ledger()


def test_more_than_was_left_goes_through_for_the_gate_to_see(up: Client, venue: Venue) -> None:
    enter(up, 1)
    enter(up, 2)
    venue.sequenced(accept(1), accept(2), wire.executed(1, 101, 5, 1), wire.canceled(2, 101))
    assert brief(take(up, venue, 4))[2:] == [("EXECUTED", 1, 101), ("CANCELED", 2, 101)]


def test_number_somebody_else_used_is_not_used_again(up: Client, venue: Venue) -> None:
    venue.sequenced(accept(70))
    assert brief(take(up, venue, 1)) == [("HALT", 70, 0)]
    venue.sequenced(wire.rejected(60, 1))
    assert brief(take(up, venue, 1)) == [("HALT", 60, 0)]
    assert lib.hwgw_session_next_ref(up.handle) == 71
    venue.sequenced(accept(2**32 - 1))
    take(up, venue, 1)
    assert lib.hwgw_session_next_ref(up.handle) == 2**32 - 1
    assert up.send(ref=2**32 - 2, qty=1, px=1) == DROP_ENCODE


def test_executions_are_remembered_up_to_the_limit_and_not_beyond(up: Client, venue: Venue) -> None:
    limit = 16_384
    enter(up, 1, qty=limit + 1)
    venue.sequenced(accept(1, qty=limit + 1))
    take(up, venue, 1)
    seen = 0
    for first in range(0, limit + 1, 256):
        cnt = min(256, limit + 1 - first)
        venue.sequenced(*(wire.executed(1, 1, 1_000 + n, 10_000 + n) for n in range(first, first + cnt)))
        seen += len(take(up, venue, cnt))
    assert (seen, up.count("filled")) == (limit + 1, 1)
    venue.sequenced(wire.broken(1, 10_000), wire.broken(1, 10_001), wire.broken(1, 10_000 + limit))
    events = take(up, venue, 3)
    assert brief(events) == [("HALT", 1, 0), ("BROKEN", 1, 1), ("BROKEN", 1, 1)]
    assert [event.px for event in events[1:]] == [1_001, 1_000 + limit]


# ---- everything together ----


class Market:
    """A venue that treats orders at random and replays its messages after a login."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.live: dict[int, int] = {}
        self.done: dict[int, int] = {}  # executed in the chain that ends at this ref
        self.next_ref = 1
        self.match = 0
        self.log: list[bytes] = []

    def take(self, packet: bytes) -> None:
        message = packet[3:]
        code, ref = message[:1], int.from_bytes(message[1:5], "big")
        if code == b"O":
            self.next_ref, qty = ref + 1, int.from_bytes(message[6:10], "big")
            if self.rng.random() < 0.1:
                self.log.append(wire.rejected(ref, 1))
                return
            dead = self.rng.random() < 0.1
            self.log.append(accept(ref, qty=qty, state=b"D" if dead else b"L"))
            if not dead:
                self.live[ref], self.done[ref] = qty, 0
        elif code == b"U":
            ref, orig = int.from_bytes(message[5:9], "big"), ref
            if orig not in self.live:
                return  # ignored, and the number is not consumed
            self.next_ref = ref + 1
            left = int.from_bytes(message[9:13], "big") - self.done[orig]
            if self.rng.random() < 0.1:
                self.log.append(wire.rejected(ref, 21))
            elif left <= 0:
                self.log.append(wire.canceled(orig, self.live.pop(orig)))
            else:
                self.log.append(accept_replace(orig, ref, qty=left))
                del self.live[orig]
                self.live[ref], self.done[ref] = left, self.done[orig]
        elif code == b"X" and ref in self.live:
            self.log.append(wire.canceled(ref, self.live.pop(ref)))
        elif code == b"Q":
            self.log.append(wire.query_response(self.next_ref))

    def trade(self) -> None:
        if self.live and self.rng.random() < 0.5:
            ref = self.rng.choice(list(self.live))
            qty = self.rng.randrange(1, self.live[ref] + 1)
            self.match += 1
            self.log.append(wire.executed(ref, qty, 5, self.match))
            self.live[ref] -= qty
            self.done[ref] += qty
            if not self.live[ref]:
                del self.live[ref]


def test_every_order_ends_exactly_once_whatever_the_connection_does(rng: random.Random) -> None:
    """Random orders, replaces, cancels, executions and disconnects; at the end all is cancelled and nothing is open."""
    venue, market = Venue(), Market(rng)
    client = Client(venue.port)
    left: dict[int, int] = {}  # our picture: sent and not ended
    executed: dict[int, int] = {}
    sent = {"NEW": 0, "REPLACE": 0, "CANCEL": 0}
    drops = 0
    published = 0

    def apply(events: list[Any]) -> None:
        for event in events:
            kind = KINDS[event.kind]
            assert kind != "HALT"
            assert event.ref in left, f"{kind} of {event.ref}, which has ended"
            if kind == "REPLACED":
                assert left.pop(event.orig_ref) > 0
                executed[event.ref] = executed[event.orig_ref]
                left[event.ref] = event.qty
            elif kind == "REJECTED":
                left[event.ref] = 0
            elif kind in ("CANCELED", "EXECUTED"):
                left[event.ref] -= event.qty
                executed[event.ref] += event.qty * (kind == "EXECUTED")
                assert left[event.ref] >= 0
            if left[event.ref] == 0:
                del left[event.ref]

    def turn() -> None:
        nonlocal published
        apply(client.poll(rng.choice([1, 3, 64])))
        venue.step()
        for packet in venue.packets():
            if packet[2:3] == b"L":
                published = int(packet[29:49]) - 1
                venue.send(wire.login_accepted(seq=published + 1))
            elif packet[2:3] == b"U":
                market.take(packet)
        if venue.connection is not None and client.state in ("UP", "LOGIN_SENT") and published < len(market.log):
            batch = market.log[published:]
            data = b"".join(soup(b"S", message) for message in batch)
            cut = rng.random() < 0.05
            try:
                venue.send(data[: rng.randrange(len(data))] if cut else data)
            except OSError:
                cut = True
            published += len(batch)
            if cut:
                venue.drop()

    try:
        for _ in range(6_000):
            turn()
            market.trade()
            client.now_ns += 10 * MS
            if client.state != "UP":
                continue
            kind = rng.choice(["NEW", "NEW", "REPLACE", "REPLACE", "CANCEL"])
            ref = lib.hwgw_session_next_ref(client.handle)
            target = rng.choice(list(left)) if left else 0
            fields: dict[str, int] = {"ref": ref, "qty": rng.randrange(1, 500), "px": 100}
            if kind == "CANCEL":
                fields = {"ref": target}
            elif kind == "REPLACE":
                fields |= {"orig_ref": target, "qty": fields["qty"] + executed.get(target, 0)}
            if kind != "NEW" and not target:
                continue
            if client.send(kind=kind, **fields) == ENCODED:
                sent[kind] += 1
                if kind != "CANCEL":
                    left[ref], executed[ref] = fields["qty"], 0
            if rng.random() < 0.01:
                drops += 1
                if rng.random() < 0.5:
                    turn()
                venue.drop()
        for attempt in range(20_000):
            turn()
            client.now_ns += 10 * MS
            if not left and client.state == "UP":
                break
            if client.state == "UP" and attempt % 50 == 0:
                for ref in left:
                    client.send(kind="CANCEL", ref=ref)
        assert left == {}
        assert market.live == {}
        assert lib.hwgw_session_next_seq(client.handle) == len(market.log) + 1
        client.ledger()
        assert min(sent.values()) > 300, sent
        assert drops > 20
        counted = {
            name: client.count(name) for name in ("withdrawn", "replaced", "executed", "accepted_dead", "logins")
        }
        assert min(counted.values()) > 5, counted
    finally:
        client.close()
        venue.close()
