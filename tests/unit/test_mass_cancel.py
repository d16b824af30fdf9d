"""Cancelling everything at once: the venue's own message where it has one, else one by one; every order's end is known.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hwgw_sim.exchange.fix import FixAcceptor
from support import soup_venue as sv
from support.desk import SYMBOLS, Desk, probe, session_cfg
from support.exchange import running
from support.rig import Rig

from hwgw import audit, cancelling
from hwgw.native import lib

DAY = lib.HWGW_ORDER_TIF_DAY
ORDERS = 8
PATIENCE_S = 20.0
OUCH = {"username": b"HWGW01", "password": b"SIMULATOR ", "firm": b"FIRM"}
FIX = {
    "protocol": lib.HWGW_PROTOCOL_FIX44, "sender": b"HWGW", "target": b"VENUE", "heartbeat_s": 10,
    "username": b" " * 6, "password": b" " * 10,
}  # fmt: skip


def until(rig: Rig, done: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not done():
        rig.step()
        assert time.monotonic() < end, f"gave up waiting until {what}"


@contextlib.contextmanager
def trading(way: str, **options: Any) -> Iterator[tuple[Rig, Any]]:
    """A pipeline with eight orders in each of two symbols that rest at the simulated exchange, and that exchange."""
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(running(depth=0, symbols=SYMBOLS))
        port, session = run.address[1], dict(OUCH)
        if way == "ouch50":
            session["mass_cancel"] = True
        if way.startswith("fix44"):
            acceptor = stack.enter_context(FixAcceptor(run.address))
            acceptor.refuses_mass_cancel = way == "fix44 refused"
            port, session = acceptor.port, FIX | {"mass_cancel": True}
        cfg = session_cfg(port, **session)
        strategies = probe(orders=ORDERS, tif=DAY, px=900_000, every=2)
        rig = stack.enter_context(Rig(SYMBOLS, strategies, session=cfg, **options))
        until(rig, lambda: int(rig.segment.threads[0]["session_state"]) == lib.HWGW_SEGMENT_SESSION_STATE_UP, "up")
        for locate, symbol in enumerate(SYMBOLS[:2], 1):
            rig.quote(symbol, locate)
            rig.quote(symbol, locate + 10)
        until(rig, lambda: rig.cnt("session.accepted") == rig.cnt("order.encoded") >= 2 * ORDERS, "all are accepted")
        yield rig, run


def open_orders(rig: Rig) -> int:
    rig.publish()
    return int(rig.segment.threads[0]["open_cnt"])


@pytest.mark.parametrize("way", ["ouch50", "one by one", "fix44", "fix44 refused"])
def test_a_halt_with_cancel_ends_every_order_with_the_message_the_venue_has(way: str) -> None:
    with trading(way, cancel_on_halt=True) as (rig, run):
        cnt = open_orders(rig)
        rig.segment.halt("drill")
        until(rig, lambda: open_orders(rig) == 0, "all are cancelled")
        mass = 0 if way == "one by one" else 1
        assert rig.cnt("order.mass_cancels") == mass
        assert rig.cnt("session.mass_cancel_rejects") == (way == "fix44 refused")
        assert rig.cnt("session.canceled") == cnt
        assert rig.segment.halted["reason"] == "operator"
        rig.ledgers()
        orders = run.end()["orders"]
        is_mass = way in ("ouch50", "fix44")
        assert (orders["mass_cancels_in"], orders["cancels_in"]) == ((1, 0) if is_mass else (0, cnt))
        assert (orders["canceled"], orders["open"]) == (cnt, 0)


def test_a_halted_instrument_is_cancelled_alone() -> None:
    with trading("ouch50", cancel_on_halt=True) as (rig, run):
        rows = rig.segment.positions
        cnt = [int(row["open_buy_cnt"]) for row in rows]
        assert cnt[0] >= ORDERS <= cnt[1]
        rig.segment.halt_instrument(SYMBOLS[0], "drill")
        until(rig, lambda: open_orders(rig) == cnt[1], "those of one symbol are cancelled")
        assert [int(row["open_buy_cnt"]) for row in rows] == [0, cnt[1], 0]
        assert run.end()["orders"]["mass_cancels_in"] == rig.cnt("order.mass_cancels") == 1


def test_cancel_leaves_strategies_alone_and_new_orders_are_not_touched() -> None:
    with trading("ouch50") as (rig, run):
        cnt = open_orders(rig)
        request = rig.segment.cancel_all()
        assert rig.segment.cancelled(request) is None
        until(rig, lambda: rig.segment.cancelled(request) == (cnt, 0), "all of the request have ended")
        assert rig.segment.halted is None
        rig.quote(SYMBOLS[2], 3)
        rig.quote(SYMBOLS[2], 13)
        until(rig, lambda: rig.cnt("session.accepted") > cnt, "new orders are accepted")
        until(rig, lambda: open_orders(rig) >= ORDERS, "and stay")
        assert rig.segment.cancelled(request) == (cnt, 0)
        assert run.end()["orders"]["mass_cancels_in"] == 1


def test_a_mass_cancel_that_nobody_answers_is_followed_by_cancels_and_its_orders_stay_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    class Out:
        def say(self, message: str, /) -> None:
            print(message)

    monkeypatch.setenv("HWGW_STATE_DIR", str(tmp_path))
    with Desk(qty=100, tif=DAY, orders=2, session={"firm": b"FIRM", "mass_cancel": True}) as desk:
        desk.rig.quote()
        desk.wait(4)
        desk.venue.sequenced(*(sv.accepted(ref, b"B", 100, b"AAPL    ", 1_000_200) for ref in (1, 2)))
        desk.until(lambda: desk.cnt("session.accepted") == 2)
        rows: list[dict[str, int]] = []
        asking = threading.Thread(target=lambda: rows.append(cancelling.cancel(desk.rig.segment, 0.6, Out())))
        asking.start()
        desk.wait(5)
        assert desk.packets[4] == sv.soup(b"U", struct.pack(">cI4s8sH", b"C", 3, b"FIRM", b" " * 8, 0))
        desk.wait(7)
        assert {packet[3:8] for packet in desk.packets[5:7]} == {b"X" + ref.to_bytes(4, "big") for ref in (1, 2)}
        desk.venue.sequenced(sv.executed(2, 100, 1_000_200, 7))  # the fill was quicker
        desk.until(lambda: not asking.is_alive())
        assert rows == [{"asked": 2, "ended": 1, "unknown": 1}]
        assert "2 open orders, 1 of them ended; of 1 the end is not known" in capsys.readouterr().out
        assert audit.path(desk.rig.segment.name).read_text().count('"unknown": 1') == 1
        desk.venue.sequenced(sv.canceled(1, 100))
        desk.until(lambda: desk.rig.segment.cancelled(1) == (2, 0))
        desk.rig.ledgers()


def test_the_reference_of_a_mass_cancel_is_used_up() -> None:
    with Desk(qty=100, tif=DAY, session={"firm": b"FIRM", "mass_cancel": True}) as desk:
        desk.rig.quote()
        desk.wait(3)
        desk.venue.sequenced(sv.accepted(1, b"B", 100, b"AAPL    ", 1_000_200))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.rig.segment.cancel_all()
        desk.wait(4)
        desk.venue.sequenced(sv.canceled(1, 100))
        desk.until(lambda: desk.cnt("session.canceled") == 1)
        desk.rig.quote("MSFT", 2)
        desk.wait(5)
        assert desk.packets[4][3:8] == b"O" + (3).to_bytes(4, "big")
