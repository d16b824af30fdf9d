"""The order session over loopback TCP: bytes in any pieces, lost connections, timers, a venue that does not read.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
import resource
import time
from typing import Any

import pytest
from support import soup_venue as wire
from support.soup_orders import (
    AAPL,
    DROP_BACKLOG,
    DROP_SESSION,
    ENCODED,
    SELL,
    accept,
    brief,
    enter,
    fill_up,
    lose,
    replace,
)
from support.soup_venue import MS, SESSION, Client, Venue, log_in, pump, read, soup, take

from hwgw.native import lib

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
