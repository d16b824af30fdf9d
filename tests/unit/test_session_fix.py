"""The FIX session: logon, numbers, gaps and resends, tests, logout; messages of the venue are made by simplefix.

SPDX-License-Identifier: MIT

And the same session against the simulated exchange's FIX gateway, through a relay that cuts the connection.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hwgw_sim.exchange.fix import FixAcceptor, frame
from support import soup_venue as wire
from support.account import PATIENCE_S, SYMBOLS, Account, Relay, act
from support.exchange import running
from support.fix_venue import FixVenue, pump

from hwgw.native import lib

pytest.importorskip("simplefix", reason="needs tests/peers/requirements.txt")

VERSIONS = {"42": lib.HWGW_PROTOCOL_FIX42, "44": lib.HWGW_PROTOCOL_FIX44}
ENCODED, DROP_SESSION = lib.HWGW_CNT_ORDER_ENCODED, lib.HWGW_CNT_ORDER_DROP_SESSION
MS, S = 1_000_000, 1_000_000_000
KINDS = {
    name: getattr(lib, f"HWGW_ORDER_KIND_{name}")
    for name in ("ACCEPTED", "REJECTED", "CANCELED", "EXECUTED", "REPLACED", "BROKEN", "HALT")
}


def options(port: int, version: str = "44", **more: Any) -> dict[str, Any]:
    return {
        "protocol": VERSIONS[version], "sender": b"HWGW", "target": b"VENUE", "heartbeat_s": 10, "port": port,
        "username": b" " * 6, "password": b" " * 10,
    } | more  # fmt: skip


@pytest.fixture(params=VERSIONS)
def venue(request: pytest.FixtureRequest) -> Iterator[FixVenue]:
    made = FixVenue(request.param)
    yield made
    made.close()


@pytest.fixture
def client(venue: FixVenue) -> Iterator[wire.Client]:
    made = wire.Client(venue.port, options(venue.port, venue.version))
    yield made
    made.close()


@pytest.fixture
def up(client: wire.Client, venue: FixVenue) -> wire.Client:
    venue.log_in(client)
    return client


def kinds(events: list[Any]) -> list[tuple[str, int]]:
    names = {number: name for name, number in KINDS.items()}
    return [(names[event.kind], event.ref) for event in events]


# ---- logon ----


def test_logon_and_a_test_request_make_it_up(client: wire.Client, venue: FixVenue) -> None:
    (logon,) = venue.read(client, 1)
    assert (logon[35], logon[34], logon[49], logon[56]) == ("A", "1", "HWGW", "VENUE")
    assert (logon[98], logon[108], logon.get(141)) == ("0", "10", None)
    venue.send("A", (98, 0), (108, 10))
    (test,) = venue.read(client, 1)
    assert (test[35], test[34], client.state) == ("1", "2", "LOGIN_SENT")
    assert client.send(ref=1, qty=1, px=1) == DROP_SESSION
    venue.send("0", (112, "another"))
    venue.send("0", (112, test[112]))
    pump(client, venue, lambda: client.state == "UP")
    assert (client.count("logins"), client.count("heartbeats_rx"), client.count("sequenced")) == (1, 2, 0)


def test_password_and_reset_go_with_the_logon(venue: FixVenue) -> None:
    more = {"username": b"trader", "password": b"secret    ", "reset_seq": True, "requested_tx_seq": 9}
    client = wire.Client(venue.port, options(venue.port, venue.version, **more))
    (logon,) = venue.read(client, 1)
    assert (logon[34], logon[141]) == ("1", "Y")
    if venue.version == "44":
        assert (logon[553], logon[554]) == ("trader", "secret")
    else:
        assert (logon[95], logon[96]) == ("6", "secret")
    venue.send("A", (98, 0), (108, 10), (141, "Y"))
    venue.answer_test(client)
    assert client.state == "UP"
    client.close()


def test_logout_instead_of_a_logon_is_a_refusal(client: wire.Client, venue: FixVenue) -> None:
    venue.read(client, 1)
    venue.send("5", (58, "MsgSeqNum too low"))
    pump(client, venue, lambda: client.state == "REJECTED")
    assert "logout" in client.reason


@pytest.mark.parametrize(
    "message",
    [
        frame("FIX.4.9", [(35, "A")]),
        b"8=FIX.5.0\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        b"8=FIX.4.4\x019=999999999\x01",
        b"8=FIX.4.4\x019=x\x01",
    ],
)
def test_what_is_no_fix_closes_the_connection(client: wire.Client, venue: FixVenue, message: bytes) -> None:
    venue.read(client, 1)
    venue.raw(message)
    pump(client, venue, lambda: client.state == "LOST")
    assert client.count("drop_framing") == 1


def test_message_of_another_session_closes_the_connection(up: wire.Client, venue: FixVenue) -> None:
    venue.send("0", sender="SOMEBODY")
    pump(up, venue, lambda: up.state == "LOST")


def test_garbled_message_is_ignored_and_shows_as_a_gap(up: wire.Client, venue: FixVenue) -> None:
    garbled = venue.make("0", (112, "x"))
    venue.raw(garbled[:-4] + b"999\x01")
    pump(up, venue, lambda: up.count("drop_framing") == 1)
    assert up.state == "UP"
    venue.send("0")
    (asked,) = venue.read(up, 1)
    assert (asked[35], asked[7], asked[16]) == ("2", str(venue.tx_seq - 2), "0")
    assert up.state == "LOGIN_SENT"


# ---- numbers ----


def test_gap_is_asked_for_filled_and_confirmed_before_an_order_leaves(up: wire.Client, venue: FixVenue) -> None:
    assert up.send(ref=1, qty=100, px=1_000_000) == ENCODED
    (order,) = venue.read(up, 1)
    missing = venue.tx_seq
    venue.tx_seq += 2
    venue.send("8", *venue.report(order, "0"))  # comes too early
    (asked,) = venue.read(up, 1)
    assert (asked[35], asked[7], asked[16]) == ("2", str(missing), "0")
    assert (up.poll(), up.send(ref=2, qty=1, px=1)) == ([], DROP_SESSION)
    venue.send("0")  # another one does not make it ask again
    last = venue.tx_seq - 1
    venue.send("4", (123, "Y"), (36, last - 1), seq=missing, dup=True)
    venue.send("8", *venue.report(order, "0"), seq=last - 1, dup=True)
    venue.send("4", (123, "Y"), (36, last + 1), seq=last, dup=True)
    events: list[Any] = []
    pump(up, venue, lambda: len(events) == 1, events)
    assert kinds(events) == [("ACCEPTED", 1)]
    venue.answer_test(up)
    assert up.state == "UP"
    assert up.send(ref=2, qty=1, px=1) == ENCODED
    up.ledger()


def test_known_message_marked_as_duplicate_is_ignored_and_unmarked_ends_the_session(
    up: wire.Client, venue: FixVenue
) -> None:
    assert up.send(ref=1, qty=100, px=1_000_000) == ENCODED
    (order,) = venue.read(up, 1)
    venue.send("8", *venue.report(order, "0"))
    venue.send("8", *venue.report(order, "0"), seq=venue.tx_seq - 1, dup=True)
    events: list[Any] = []
    pump(up, venue, lambda: up.count("drop_packet") == 1, events)
    assert kinds(events) == [("ACCEPTED", 1)]
    venue.send("8", *venue.report(order, "0"), seq=venue.tx_seq - 1)
    pump(up, venue, lambda: up.state == "REJECTED", events)
    assert kinds(events) == [("ACCEPTED", 1), ("HALT", 0)]


def test_sequence_reset_that_skips_ends_the_session(up: wire.Client, venue: FixVenue) -> None:
    events: list[Any] = []
    venue.send("4", (36, venue.tx_seq + 5))
    pump(up, venue, lambda: up.state == "REJECTED", events)
    assert kinds(events) == [("HALT", 0)]


def test_sequence_reset_back_is_rejected(up: wire.Client, venue: FixVenue) -> None:
    venue.send("4", (36, 1), seq=77)
    (reject,) = venue.read(up, 1)
    assert (reject[35], reject[373], up.state) == ("3", "5", "UP")


def test_venues_resend_request_is_filled_and_unanswered_orders_are_over(up: wire.Client, venue: FixVenue) -> None:
    for ref in (1, 2, 3):
        assert up.send(ref=ref, qty=100, px=1_000_000) == ENCODED
    orders = venue.read(up, 3)
    venue.send("8", *venue.report(orders[0], "0"))
    venue.send("2", (7, orders[1][34]), (16, 0))
    events: list[Any] = []
    (fill,) = venue.read(up, 1, events)
    assert (fill[35], fill[123], fill[43], fill[34]) == ("4", "Y", "Y", orders[1][34])
    assert int(fill[36]) == int(orders[2][34]) + 1
    pump(up, venue, lambda: len(events) == 3, events)
    assert kinds(events) == [("ACCEPTED", 1), ("REJECTED", 3), ("REJECTED", 2)]
    assert up.count("withdrawn") == 2
    up.send(ref=4, qty=1, px=1)
    assert venue.read(up, 1)[0][34] == fill[36]


@pytest.mark.parametrize("fields", [[(7, 1)], [(7, 0), (16, 0)], [(7, 99), (16, 0)], [(7, 2), (16, 1)]])
def test_wrong_resend_request_is_rejected(up: wire.Client, venue: FixVenue, fields: list[tuple[int, Any]]) -> None:
    venue.send("2", *fields)
    (reject,) = venue.read(up, 1)
    assert (reject[35], reject[45], up.state) == ("3", str(venue.tx_seq - 1), "UP")


def test_reject_of_an_orders_message_ends_the_order(up: wire.Client, venue: FixVenue) -> None:
    for ref in (1, 2):
        assert up.send(ref=ref, qty=100, px=1_000_000) == ENCODED
    orders = venue.read(up, 2)
    venue.send("3", (45, orders[0][34]), (373, 5))
    venue.send("j", (45, orders[1][34]), (372, "D"), (380, 3))
    events: list[Any] = []
    pump(up, venue, lambda: len(events) == 2, events)
    assert kinds(events) == [("REJECTED", 1), ("REJECTED", 2)]


# ---- time ----


def test_heartbeats_and_test_requests_both_ways(up: wire.Client, venue: FixVenue) -> None:
    up.now_ns += 10 * S
    (beat,) = venue.read(up, 1)
    assert (beat[35], beat.get(112)) == ("0", None)
    venue.send("1", (112, "are you there"))
    (echo,) = venue.read(up, 1)
    assert (echo[35], echo[112]) == ("0", "are you there")
    up.now_ns += 12 * S
    (test,) = venue.read(up, 1)
    assert test[35] == "1"
    venue.send("0", (112, test[112]))
    pump(up, venue, lambda: up.count("heartbeats_rx") == 2)
    assert up.state == "UP"
    up.now_ns += 15 * S
    pump(up, venue, lambda: up.state == "LOST")
    assert "silent" in up.reason


def test_logout_is_answered_both_ways(up: wire.Client, venue: FixVenue) -> None:
    lib.hwgw_session_logout(up.handle)
    (said,) = venue.read(up, 1)
    assert (said[35], up.state) == ("5", "LOGGING_OUT")
    venue.send("5")
    pump(up, venue, lambda: up.state == "CLOSED")


def test_venues_logout_is_answered_and_final(up: wire.Client, venue: FixVenue) -> None:
    venue.send("5", (58, "the day is over"))
    (said,) = venue.read(up, 1)
    assert said[35] == "5"
    pump(up, venue, lambda: up.state == "CLOSED")
    assert up.count("ends") == 1


# ---- orders ----


def test_cancel_names_the_order_and_takes_all_of_it(up: wire.Client, venue: FixVenue) -> None:
    assert up.send(ref=1, qty=100, px=1_000_000) == ENCODED
    (order,) = venue.read(up, 1)
    venue.send("8", *venue.report(order, "0"))
    wire_order: list[Any] = []
    pump(up, venue, lambda: len(wire_order) == 1, wire_order)
    assert up.send(kind="CANCEL", ref=1, qty=40) == lib.HWGW_CNT_ORDER_DROP_ENCODE
    assert up.send(kind="CANCEL", ref=1) == ENCODED
    (cancel,) = venue.read(up, 1)
    assert (cancel[35], cancel[41], cancel[38], cancel[55], cancel[54]) == ("F", "0000000001", "100", "AAPL", "1")
    assert cancel[11] == f"C{int(cancel[34]):010d}"
    fill = "F" if venue.version == "44" else "1"
    venue.send("8", *venue.report(order, fill, leaves=70, cum=30), (32, 30), (31, "100.0000"))
    venue.send("8", *venue.report(order, "4", leaves=0, cum=30, request=cancel[11]), (41, order[11]))
    events: list[Any] = []
    pump(up, venue, lambda: len(events) == 2, events)
    assert [(e.kind, e.ref, e.qty) for e in events] == [(KINDS["EXECUTED"], 1, 30), (KINDS["CANCELED"], 1, 70)]
    up.ledger()


@pytest.mark.parametrize("why", [[], [(103, 0)]])
def test_rejection_without_a_code_is_the_venues_all_the_same(
    up: wire.Client, venue: FixVenue, why: list[tuple[int, Any]]
) -> None:
    """Reason 0 says that the session took an order back by itself."""
    assert up.send(ref=1, qty=100, px=1_000_000) == ENCODED
    (order,) = venue.read(up, 1)
    venue.send("8", *venue.report(order, "8", leaves=0), *why)
    events: list[Any] = []
    pump(up, venue, lambda: len(events) == 1, events)
    assert [(e.kind, e.ref, e.reason) for e in events] == [(KINDS["REJECTED"], 1, lib.HWGW_ORDER_REJECT_UNSAID)]
    assert (up.count("rejected"), up.count("withdrawn")) == (1, 0)
    up.ledger()


def test_replace_that_came_too_late_is_ended_by_its_own_answer(up: wire.Client, venue: FixVenue) -> None:
    assert up.send(ref=1, qty=100, px=1_000_000) == ENCODED
    (order,) = venue.read(up, 1)
    venue.send("8", *venue.report(order, "0"))
    events: list[Any] = []
    pump(up, venue, lambda: len(events) == 1, events)
    assert up.send(kind="REPLACE", ref=2, orig_ref=1, qty=100, px=1_000_100) == ENCODED
    (replace,) = venue.read(up, 1)
    venue.send("8", *venue.report(order, "4", leaves=0))
    late = ((37, "NONE"), (11, replace[11]), (41, order[11]), (39, "8"), (434, 2), (102, 0))
    venue.send("9", *late)
    pump(up, venue, lambda: len(events) == 3, events)
    assert kinds(events) == [("ACCEPTED", 1), ("CANCELED", 1), ("REJECTED", 2)]
    up.ledger()


RESENT = (97, "Y")  # a new number, and what it says may have been said before


def test_what_was_told_again_as_possibly_sent_before_is_counted_and_not_acted_on(
    up: wire.Client, venue: FixVenue
) -> None:
    """Every kind of report, once as it comes and twice again under new numbers."""
    assert up.send(ref=1, qty=100, px=1_000_000) == ENCODED
    assert up.send(ref=2, qty=100, px=1_000_000) == ENCODED
    first, second = venue.read(up, 2)
    fill, trade_cancel = ("F", [(150, "H")]) if venue.version == "44" else ("1", [(150, "1"), (20, 1)])
    accepted = venue.report(first, "0")
    executed = [*venue.report(first, fill, leaves=70, cum=30), (32, 30), (31, "100.0000")]
    canceled = venue.report(first, "4", leaves=0, cum=30)
    rejected = venue.report(second, "8", leaves=0)
    number = next(value for tag, value in executed if tag == 17)
    broken = [f for f in venue.report(first, "1") if f[0] not in (150, 20)] + [*trade_cancel, (19, number)]
    events: list[Any] = []
    for told, report in enumerate((accepted, executed, canceled, rejected, broken), 1):
        venue.send("8", *report)
        for _ in range(2):
            venue.send("8", *report, RESENT)
        pump(up, venue, lambda told=told: up.count("sequenced") == 3 * told, events)  # type: ignore[misc]
    for report in (accepted, executed):  # of an order that is over, and of an execution that was broken
        venue.send("8", *report, RESENT)
    pump(up, venue, lambda: up.count("resent") == 12, events)
    assert kinds(events) == [("ACCEPTED", 1), ("EXECUTED", 1), ("CANCELED", 1), ("REJECTED", 2), ("BROKEN", 1)]
    assert (up.count("executed_shares"), up.count("drop_unknown"), up.count("drop_order")) == (30, 0, 0)
    up.ledger()


def test_what_may_have_been_sent_before_and_was_not_seen_is_acted_on(up: wire.Client, venue: FixVenue) -> None:
    assert up.send(ref=1, qty=100, px=1_000_000) == ENCODED
    (order,) = venue.read(up, 1)
    fill = "F" if venue.version == "44" else "1"
    venue.send("8", *venue.report(order, "0"), RESENT)
    for cum in (30, 60):  # alike but for their number: two executions
        venue.send("8", *venue.report(order, fill, cum=cum), (32, 30), (31, "100.0000"), RESENT)
    events: list[Any] = []
    pump(up, venue, lambda: len(events) == 3, events)
    assert up.send(kind="REPLACE", ref=2, orig_ref=1, qty=100, px=1_000_100) == ENCODED
    (replace,) = venue.read(up, 1)
    replaced = [*venue.report(replace, "5", cum=60), (41, order[11])]
    venue.send("8", *replaced, RESENT)
    venue.send("8", *replaced, RESENT)
    pump(up, venue, lambda: up.count("resent") == 1, events)
    assert kinds(events) == [("ACCEPTED", 1), ("EXECUTED", 1), ("EXECUTED", 1), ("REPLACED", 2)]
    assert (up.count("executed_shares"), events[-1].qty) == (60, 40)
    up.ledger()


def test_possibly_sent_before_and_contradicting_what_was_seen_halts(up: wire.Client, venue: FixVenue) -> None:
    assert up.send(ref=1, qty=100, px=1_000_000) == ENCODED
    (order,) = venue.read(up, 1)
    fill = "F" if venue.version == "44" else "1"
    venue.send("8", *venue.report(order, "0"))
    executed = venue.report(order, fill, cum=100)
    venue.send("8", *executed, (32, 100), (31, "100.0000"))
    events: list[Any] = []
    pump(up, venue, lambda: len(events) == 2, events)
    never = venue.report({**order, 11: "0000000009"}, "0")  # an order that was never sent
    for report in ([*executed, (32, 99), (31, "100.0000")], never):
        venue.send("8", *report, RESENT)
    pump(up, venue, lambda: len(events) == 4, events)
    assert kinds(events)[2:] == [("HALT", 1), ("HALT", 9)]
    assert (up.count("resent"), up.count("drop_order"), up.count("executed_shares")) == (0, 2, 100)
    up.ledger()


def test_an_execution_that_may_be_older_than_the_memory_halts(up: wire.Client, venue: FixVenue) -> None:
    remembered, burst = 16_384, 512
    fill = "F" if venue.version == "44" else "1"
    assert up.send(ref=1, qty=100_000, px=1_000_000) == ENCODED
    (order,) = venue.read(up, 1)
    venue.send("8", *venue.report(order, "0"))
    first = [*venue.report(order, fill, cum=1), (32, 1), (31, "100.0000")]
    venue.send("8", *first)
    told = 1
    for cnt in [burst] * (remembered // burst):
        sent = [venue.make("8", *venue.report(order, fill, cum=1), (32, 1), (31, "100.0000")) for _ in range(cnt)]
        venue.raw(b"".join(sent))
        told += cnt
        pump(up, venue, lambda told=told: up.count("executed") == told)  # type: ignore[misc]
    venue.send("8", *first, RESENT)
    events: list[Any] = []
    pump(up, venue, lambda: len(events) == 1, events)
    assert kinds(events) == [("HALT", 1)]
    assert (up.count("resent"), up.count("executed_shares")) == (0, remembered + 1)
    up.ledger()


def test_orders_taken_back_leave_a_fill_in_their_place(up: wire.Client, venue: FixVenue) -> None:
    assert up.send(ref=1, qty=100, px=1_000_000) == ENCODED
    (order,) = venue.read(up, 1)
    fields: dict[str, Any]
    for fields in ({"ref": 2, "qty": 5, "px": 1}, {"kind": "CANCEL", "ref": 1}, {"ref": 3, "qty": 5, "px": 1}):
        assert lib.hwgw_session_order(up.handle, wire.order(**fields)) == ENCODED
    lib.hwgw_session_withdraw(up.handle)
    events: list[Any] = []
    pump(up, venue, lambda: len(events) == 2, events)
    assert sorted(kinds(events)) == [("REJECTED", 2), ("REJECTED", 3)]
    said = venue.read(up, 3)
    first = int(order[34]) + 1
    assert [(m[35], int(m[34])) for m in said] == [("4", first), ("F", first + 1), ("4", first + 2)]
    assert [m.get(36) for m in said] == [str(first + 1), None, str(first + 3)]


def test_reconnect_goes_on_where_both_were(up: wire.Client, venue: FixVenue) -> None:
    for ref in (1, 2):
        assert up.send(ref=ref, qty=100, px=1_000_000) == ENCODED
    orders = venue.read(up, 2)
    venue.drop()
    pump(up, venue, lambda: up.state == "LOST")
    venue.tx_seq += 1  # a report that was lost on the way
    up.now_ns += S
    (logon,) = venue.read(up, 1)
    assert (logon[35], int(logon[34])) == ("A", int(orders[1][34]) + 1)
    venue.send("A", (98, 0), (108, 10))
    venue.send("2", (7, orders[1][34]), (16, 0))  # it never saw the second
    events: list[Any] = []
    asked, fill = venue.read(up, 2, events)
    assert (asked[35], fill[35], fill[34], fill[123]) == ("2", "4", orders[1][34], "Y")
    assert int(asked[7]) == venue.tx_seq - 3
    venue.send("8", *venue.report(orders[0], "0"), seq=int(asked[7]), dup=True)
    venue.send("4", (123, "Y"), (36, venue.tx_seq), seq=int(asked[7]) + 1, dup=True)
    pump(up, venue, lambda: len(events) == 2, events)
    assert sorted(kinds(events)) == [("ACCEPTED", 1), ("REJECTED", 2)]
    venue.answer_test(up)
    assert up.state == "UP"
    up.ledger()


def test_logon_that_was_sent_before_is_no_answer_to_ours(up: wire.Client, venue: FixVenue) -> None:
    """Its number is behind what is known: what follows it would be taken a second time, executions too."""
    assert up.send(ref=1, qty=100, px=1_000_000) == ENCODED
    (order,) = venue.read(up, 1)
    fill = "F" if venue.version == "44" else "1"
    venue.send("8", *venue.report(order, "0"))
    executed = [*venue.report(order, fill, leaves=70, cum=30), (32, 30), (31, "100.0000")]
    venue.send("8", *executed)
    pump(up, venue, lambda: up.count("executed") == 1)
    number = int(lib.hwgw_session_next_seq(up.handle))
    venue.drop()
    pump(up, venue, lambda: up.state == "LOST")
    up.now_ns += S
    venue.read(up, 1)
    venue.send("A", (98, 0), (108, 10), seq=2, dup=True)
    pump(up, venue, lambda: up.count("drop_packet") == 1)
    assert (up.state, int(lib.hwgw_session_next_seq(up.handle))) == ("LOGIN_SENT", number)
    venue.send("A", (98, 0), (108, 10))
    venue.answer_test(up)
    venue.send("8", *executed, seq=number - 1, dup=True)
    pump(up, venue, lambda: up.count("drop_packet") == 2)
    assert (up.state, up.count("executed_shares")) == ("UP", 30)
    up.ledger()


# ---- the exchange ----


@pytest.mark.parametrize("version", VERSIONS)
def test_position_and_cash_equal_the_exchanges_after_random_orders_and_disconnects(
    rng: random.Random, version: str
) -> None:
    account = Account()
    acts = cuts = 0
    with (
        running(symbols=SYMBOLS, pace="rate", rate=5_000, seed=rng.randrange(2**31)) as run,
        FixAcceptor(run.address, version) as acceptor,
    ):
        relay = Relay(("127.0.0.1", acceptor.port))
        client = wire.Client(
            relay.port, options(relay.port, version, reconnect_ms=1), tuple(name.ljust(8).encode() for name in SYMBOLS)
        )
        skew_ns = 0

        def turn(cut_after: int | None = None) -> None:
            client.now_ns = time.monotonic_ns() + skew_ns
            for event in client.poll(rng.choice([1, 4, 64])):
                account.apply(event)
            relay.step(cut_after)
            assert not acceptor.errors, acceptor.errors

        try:
            end = time.monotonic() + 2 * PATIENCE_S
            while acts < 400:
                turn()
                if client.state == "UP":
                    act(client, account, rng, cancel_whole=True)
                    acts += 1
                    if acts % 50 == 0:
                        cuts += 1
                        turn(cut_after=rng.randrange(300))
                    time.sleep(0.001)
                elif client.state == "LOST":
                    skew_ns += MS
                assert client.state not in ("REJECTED", "CLOSED"), client.reason
                assert time.monotonic() < end, f"{client.state}: {client.reason}"
            asked: dict[int, float] = {}
            while account.left or client.state != "UP":
                turn()
                if client.state == "UP" and account.left:
                    ref = rng.choice(list(account.left))
                    if time.monotonic() - asked.get(ref, 0) > 0.2:
                        client.send(kind="CANCEL", ref=ref)
                        asked[ref] = time.monotonic()
                elif client.state == "LOST":
                    skew_ns += MS
                assert time.monotonic() < end, f"{len(account.left)} orders open, {client.state}: {client.reason}"
            client.ledger()
            report = run.end()
            mine = report["users"]["HWGW01"]
            assert mine["positions"] == {name: position for name, position in account.position.items() if position}
            assert (mine["cash"], mine["open_orders"]) == (account.cash, 0)
            names = ("accepted", "rejected", "replaced", "canceled", "executed")
            assert min(client.count(name) for name in names) > 3, {name: client.count(name) for name in names}
            assert client.count("logins") >= cuts == 8  # the last cut may not be noticed any more
            drops = ("drop_order", "drop_unknown", "drop_length", "drop_framing")
            assert [client.count(name) for name in drops] == [0] * 4
        finally:
            client.close()
            relay.close()
