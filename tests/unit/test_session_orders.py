"""The orders of a session: what it sends and refuses, what the venue says and does not say of them.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from support import soup_venue as wire
from support.soup_orders import (
    AAPL,
    BUY,
    DROP_ENCODE,
    ENCODED,
    KINDS,
    SELL,
    SHORT,
    accept,
    accept_replace,
    brief,
    enter,
    replace,
)
from support.soup_venue import MS, Client, Venue, log_in, pump, read, soup, take

from hwgw.native import lib

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
        for number in range(60_000):
            if number >= 6_000 and drops > 20:
                break
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
            read = lib.hwgw_session_next_seq(client.handle) == len(market.log) + 1
            if not left and client.state == "UP" and read:
                break
            if client.state == "UP" and attempt % 50 == 0:
                for ref in left:
                    client.send(kind="CANCEL", ref=ref)
        assert left == {}
        assert market.live == {}
        assert read, (lib.hwgw_session_next_seq(client.handle), len(market.log))
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
