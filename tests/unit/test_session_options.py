"""What a session is told to do beside trading: the venue's message rate, a second address, orders of a lost connection.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hwgw_sim.exchange.fix import DISCONNECT_TAG, FixAcceptor
from hwgw_sim.exchange.misbehave import MisbehavingVenue, Misbehaviour
from support import soup_venue as wire
from support.account import Relay
from support.desk import SYMBOLS, Desk, probe, session_cfg
from support.exchange import running
from support.rig import Rig
from support.soup_venue import MS, Client, Venue, log_in, read

from hwgw.native import lib

ENCODED, DROP_THROTTLE = lib.HWGW_CNT_ORDER_ENCODED, lib.HWGW_CNT_ORDER_DROP_THROTTLE
DAY = lib.HWGW_ORDER_TIF_DAY
PATIENCE_S = 20.0


# ---- the message rate ----


def test_messages_in_any_window_stay_within_burst_and_rate_and_the_reserve_is_for_cancels(
    venue: Venue, rng: random.Random
) -> None:
    rate, burst, reserve = rng.choice([(10, 5, 2), (100, 30, 10), (1000, 2, 1)])
    step_ns = 10**9 // rate
    options = {"throttle_ns": step_ns, "throttle_burst": burst, "throttle_reserve": reserve, "dead_link_ms": 10**8}
    client = Client(venue.port, options)
    try:
        log_in(client, venue)
        sent: list[int] = []
        refused = {"NEW": 0, "CANCEL": 0}
        ref = 0
        for _ in range(600):
            client.now_ns += rng.choice([0, 0, 0, rng.randrange(2 * step_ns)])
            client.poll()
            kind = rng.choice(list(refused))
            fields: dict[str, Any] = {"ref": ref + 1, "qty": 1, "px": 1} if kind == "NEW" else {"ref": 1, "qty": 0}
            owed = max(0, sent[-1] - client.now_ns) if sent else 0  # when all that was sent is paid for
            room = burst - (reserve if kind == "NEW" else 0)
            fits = owed + step_ns <= room * step_ns
            assert client.send(kind=kind, **fields) == (ENCODED if fits else DROP_THROTTLE)
            if fits:
                sent.append(max(client.now_ns, sent[-1] if sent else 0) + step_ns)
                ref += kind == "NEW"
                venue.step()
            else:
                refused[kind] += 1
        assert min(refused.values()) > 5
    finally:
        client.close()


def test_what_is_refused_for_the_rate_is_counted_and_its_exposure_given_back() -> None:
    options = {"throttle_ns": 10**12, "throttle_burst": 3, "throttle_reserve": 1}
    with Desk(qty=100, tif=DAY, orders=5, session=options) as desk:
        desk.rig.quote()
        desk.wait(4)
        assert (desk.cnt("order.encoded"), desk.cnt("order.drop_throttle")) == (2, 3)
        desk.venue.sequenced(*(wire.accepted(ref, b"B", 100, b"AAPL    ", 1_000_200) for ref in (1, 2)))
        desk.until(lambda: desk.cnt("session.accepted") == 2)
        desk.rig.publish()
        assert int(desk.rig.segment.positions[0]["open_buy_cnt"]) == 2
        desk.rig.segment.cancel_all()
        desk.wait(5)  # the reserve lets one out
        desk.until(lambda: desk.cnt("order.drop_throttle") == 4)
        desk.rig.ledgers()


# ---- two addresses ----


def closed_port() -> int:
    made = Venue()
    made.close()
    return made.port


def reach(client: Client, venue: Venue, want: Callable[[], bool]) -> None:
    """Turn both with time going on, so that back-off passes."""
    end = time.monotonic() + PATIENCE_S
    while not want():
        client.now_ns += 10 * MS
        client.poll()
        venue.step()
        assert time.monotonic() < end, f"{client.state}: {client.reason}"


def test_the_backup_is_tried_when_nobody_listens_and_both_are_with_back_off(venue: Venue) -> None:
    client = Client(closed_port(), {"backup_address": 0x7F000001, "backup_port": venue.port})
    try:
        reach(client, venue, lambda: client.state == "LOGIN_SENT")
        assert (client.count("connect_failures"), client.count("address_changes")) == (1, 1)
        log_in(client, venue)
        venue.drop()  # one that was up is tried again where it was
        reach(client, venue, lambda: client.state == "LOGIN_SENT")
        assert client.count("address_changes") == 1
        venue.close()
        waits = []
        for _ in range(4):
            while client.state != "LOST":
                client.poll()
            begin = client.now_ns
            while client.state == "LOST":
                client.now_ns += 10 * MS
                client.poll()
            waits.append((client.now_ns - begin) // MS)
        assert waits == [200, 400, 800, 1600]
        assert client.count("address_changes") == 5
    finally:
        client.close()


def test_a_refused_login_is_tried_at_the_other_address_once_and_then_final(venue: Venue) -> None:
    other = Venue()
    client = Client(venue.port, {"backup_address": 0x7F000001, "backup_port": other.port})
    try:
        read(client, venue, 1)
        venue.send(wire.soup(b"J", b"S"))
        venue.step()
        reach(client, other, lambda: client.count("login_rejects") == 1 and client.state == "LOGIN_SENT")
        log_in(client, other)
        other.drop()
        venue.drop()
        for asked, final in ((other, False), (venue, True)):
            reach(client, asked, lambda: len(asked.packets()) == 1)  # noqa: B023
            asked.send(wire.soup(b"J", b"A"))
            reach(client, asked, lambda: client.state == ("REJECTED" if final else "LOST"))  # noqa: B023
        assert (client.count("login_rejects"), "password" in client.reason) == (3, True)
    finally:
        client.close()
        other.close()


# ---- orders of a lost connection ----


@contextlib.contextmanager
def resting(port: int, also: Callable[[], object] = lambda: None, **session: Any) -> Iterator[Rig]:
    """A pipeline that reconnects, with eight orders at the venue; also: what else is to be turned."""
    with Rig(SYMBOLS, probe(orders=8, tif=DAY, px=900_000), session=session_cfg(port, **session)) as rig:
        until(rig, lambda: is_up(rig), "it is up", also)
        rig.quote()
        until(rig, lambda: rig.cnt("session.accepted") == 8, "all are accepted", also)
        yield rig


def is_up(rig: Rig) -> bool:
    return int(rig.segment.threads[0]["session_state"]) == lib.HWGW_SEGMENT_SESSION_STATE_UP


def until(rig: Rig, done: Callable[[], bool], what: str, also: Callable[[], object] = lambda: None) -> None:
    end = time.monotonic() + PATIENCE_S
    while not done():
        rig.step()
        also()
        assert time.monotonic() < end, f"gave up waiting until {what}"


def open_orders(rig: Rig) -> int:
    rig.publish()
    return int(rig.segment.threads[0]["open_cnt"])


USER = {"username": b"HWGW01", "password": b"SIMULATOR ", "reconnect_ms": 1}


@pytest.mark.parametrize("way", ["by the venue", "by us", "nobody"])
def test_what_a_lost_connection_left_open_is_cancelled_by_whom_it_should_be(way: str) -> None:
    with running(depth=0, symbols=SYMBOLS, cancel_on_disconnect=way == "by the venue") as run:
        relay = Relay(run.address)
        with resting(relay.port, relay.step, cancel_on_disconnect=way == "by us", **USER) as rig:
            assert open_orders(rig) == 8
            relay.cut()
            until(rig, lambda: rig.cnt("session.logins") == 2 and is_up(rig), "it is up again", relay.step)
            left = 8 if way == "nobody" else 0
            until(rig, lambda: open_orders(rig) == left, "what should be is cancelled", relay.step)
            assert [halt["reason"] for halt in rig.segment.halts] == ["session"]
            rig.ledgers()
            orders = run.end()["orders"]
            assert (orders["open"], orders["cancels_in"]) == (left, 8 if way == "by us" else 0)
        relay.close()


def test_a_fix_venue_is_told_in_the_logon_by_its_own_tag() -> None:
    session = {
        "protocol": lib.HWGW_PROTOCOL_FIX44, "sender": b"HWGW", "target": b"VENUE", "heartbeat_s": 10,
        "username": b" " * 6, "password": b" " * 10, "reconnect_ms": 1, "disconnect_tag": DISCONNECT_TAG,
    }  # fmt: skip
    with running(depth=0, symbols=SYMBOLS) as run, FixAcceptor(run.address) as acceptor:
        relay = Relay(("127.0.0.1", acceptor.port))
        with resting(relay.port, relay.step, **session) as rig:
            relay.cut()
            until(rig, lambda: rig.cnt("session.logins") == 2 and is_up(rig), "it is up again", relay.step)
            until(rig, lambda: open_orders(rig) == 0, "the venue has cancelled all", relay.step)
            assert acceptor.counts["8"] == 16  # accepted and cancelled, each told once
            assert run.end()["orders"]["open"] == 0
        relay.close()
        assert not acceptor.errors


def test_a_venue_that_cuts_at_any_byte_leaves_nothing_open_behind_a_cancel_by_us(rng: random.Random) -> None:
    cuts = tuple(rng.randrange(60, 700) for _ in range(3))
    with (
        running(depth=0, symbols=SYMBOLS) as run,
        MisbehavingVenue(
            run.address, ("HWGW01", "SIMULATOR"), Misbehaviour(cut_after=cuts, late=0.2, late_s=0.02)
        ) as venue,
    ):
        cfg = session_cfg(venue.port, cancel_on_disconnect=True, **USER)
        with Rig(SYMBOLS, probe(orders=8, tif=DAY, px=900_000), session=cfg) as rig:
            until(rig, lambda: is_up(rig), "it is up")
            rig.quote()
            until(rig, lambda: venue.counts["cuts"] == len(cuts) or rig.cnt("session.accepted") == 8, "it is cut")
            while venue.counts["cuts"] < len(cuts):  # the rest of the bytes are those of the cancels
                before = venue.counts["cuts"]
                rig.segment.cancel_all()
                until(rig, lambda: venue.counts["cuts"] > before or open_orders(rig) == 0, "it goes on")  # noqa: B023
                if open_orders(rig) == 0:
                    break
            until(rig, lambda: is_up(rig) and open_orders(rig) == 0, "nothing is open")
            rig.ledgers()
            assert run.end()["orders"]["open"] == 0
        assert not venue.errors
