"""The order session over loopback TCP: how a connection begins and ends, and packets that cannot be.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from typing import Any

import pytest
from support import soup_venue as wire
from support.soup_orders import AAPL, DROP_ENCODE, DROP_SESSION, ENCODED, accept, brief, enter, fill_up, lose
from support.soup_venue import MS, SESSION, Client, Venue, log_in, pump, read, soup, take

from hwgw.native import lib

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
