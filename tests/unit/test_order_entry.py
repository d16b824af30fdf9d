"""Order entry that is disabled at the venue while the gateway is halted, and enabled again (OUCH 5.0).

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hwgw_sim.golden.order import Port, encode
from hwgw_sim.golden.order import kind as kind_of
from support import soup_venue as sv
from support.desk import SYMBOLS, Desk, probe, session_cfg
from support.exchange import running
from support.rig import Rig

from hwgw import specs
from hwgw.errors import ConfigError
from hwgw.native import lib

from .test_mass_cancel import OUCH, until
from .test_recovery import RING, Records, opening, restored

DAY = lib.HWGW_ORDER_TIF_DAY
BLANK = {field.name: 0 for field in specs.load("order").layout("order").fields}
ENTRY = {code.value: code.slug for code in specs.load("segment").enum("entry_state").values}


def request(code: bytes, ref: int) -> bytes:
    """The packet that disables (D) or enables (E)."""
    return sv.soup(b"U", struct.pack(">cI4sH", code, ref, b"FIRM", 0))


@contextlib.contextmanager
def trader(**options: Any) -> Iterator[Desk]:
    """Logged in, asked to enable by reference 1, and not answered yet."""
    session = {"firm": b"FIRM", "disable_on_halt": True} | options.pop("session", {})
    with Desk(qty=100, tif=DAY, session=session, **options) as desk:
        desk.wait(3)
        assert desk.packets[2] == request(b"E", 1)
        yield desk


def entry(desk: Desk) -> str:
    desk.rig.publish()
    (session,) = desk.rig.segment.sessions()
    assert session["entry"] == ENTRY[int(desk.rig.segment.threads[0]["session"][0]["entry"])]
    return str(session["entry"])


def told(desk: Desk, ref: int, code: bytes, state: str) -> None:
    desk.venue.sequenced(sv.entry_changed(ref, code, b"FIRM"))
    desk.until(lambda: entry(desk) == state)


def test_requests_are_the_golden_models() -> None:
    port = Port(tuple(name.strip() for name in SYMBOLS), firm="FIRM")
    with trader() as desk:
        assert desk.packets[2] == encode(BLANK | {"kind": kind_of("enable"), "ref": 1}, port)
        desk.rig.segment.halt("drill")
        desk.wait(4)
        assert desk.packets[3] == encode(BLANK | {"kind": kind_of("disable"), "ref": 2}, port)


def test_orders_wait_for_the_venues_word_and_a_halt_takes_it_back() -> None:
    with trader() as desk:
        desk.rig.quote()
        assert (entry(desk), desk.cnt("order.drop_disabled"), desk.cnt("order.encoded")) == ("enabling", 1, 0)
        told(desk, 1, b"K", "enabled")
        desk.rig.quote("MSFT", 2)
        desk.wait(4)
        ref = int.from_bytes(desk.packets[3][4:8], "big")
        assert desk.packets[3][3:4] == b"O"
        desk.rig.segment.halt("drill")
        desk.wait(5)
        assert desk.packets[4] == request(b"D", ref + 1)
        assert entry(desk) == "disabling"
        told(desk, ref + 1, b"G", "disabled")
        desk.rig.segment.resume("operator")
        desk.wait(6)
        assert desk.packets[5] == request(b"E", ref + 2)
        desk.rig.quote("IBM", 3)
        assert desk.cnt("order.drop_disabled") == 2  # until the answer
        told(desk, ref + 2, b"K", "enabled")
        counted = [desk.cnt(name) for name in ("order.entry_requests", "session.disabled", "session.enabled")]
        assert counted == [3, 1, 2]
        desk.rig.ledgers()


def test_the_venue_is_told_before_what_is_open_is_cancelled() -> None:
    with trader(session={"mass_cancel": True}, cancel_on_halt=True) as desk:
        told(desk, 1, b"K", "enabled")
        desk.rig.quote()
        desk.wait(4)
        ref = int.from_bytes(desk.packets[3][4:8], "big")
        desk.venue.sequenced(sv.accepted(ref, b"B", 100, b"AAPL    ", 1_000_200))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.rig.segment.halt("drill")
        desk.wait(6)
        mass = sv.soup(b"U", struct.pack(">cI4s8sH", b"C", ref + 2, b"FIRM", b" " * 8, 0))
        assert desk.packets[4:6] == [request(b"D", ref + 1), mass]


def test_only_the_answer_to_the_last_request_counts() -> None:
    with trader() as desk:
        desk.rig.segment.halt("drill")
        desk.wait(4)
        assert desk.packets[3] == request(b"D", 2)
        desk.rig.segment.resume("operator")
        desk.wait(5)
        assert desk.packets[4] == request(b"E", 3)
        desk.venue.sequenced(sv.entry_changed(1, b"K", b"FIRM"), sv.entry_changed(2, b"G", b"FIRM"))
        desk.until(lambda: desk.cnt("session.disabled") == 1)
        assert (entry(desk), desk.cnt("session.enabled")) == ("enabling", 1)
        told(desk, 3, b"K", "enabled")
        desk.rig.ledgers()


def test_a_refused_request_is_counted_halts_nothing_and_is_not_repeated() -> None:
    with trader() as desk:
        told(desk, 1, b"K", "enabled")
        desk.rig.segment.halt("drill")
        desk.wait(4)
        desk.venue.sequenced(sv.rejected(2, 12))
        desk.until(lambda: desk.cnt("session.entry_rejects") == 1)
        assert entry(desk) == "unknown"
        assert [row["reason"] for row in desk.rig.segment.halts] == ["operator"]
        for _ in range(50):
            desk.rig.step()
        assert len(desk.packets) == 4
        desk.rig.segment.resume("operator")
        desk.wait(5)
        assert desk.packets[4] == request(b"E", 3)
        told(desk, 3, b"K", "enabled")
        desk.rig.ledgers()


def test_a_refused_mass_cancel_goes_one_by_one_and_halts_nothing() -> None:
    with trader(session={"mass_cancel": True}) as desk:
        told(desk, 1, b"K", "enabled")
        desk.rig.quote()
        desk.wait(4)
        ref = int.from_bytes(desk.packets[3][4:8], "big")
        desk.venue.sequenced(sv.accepted(ref, b"B", 100, b"AAPL    ", 1_000_200))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.rig.segment.cancel_all()
        desk.wait(5)
        desk.venue.sequenced(sv.rejected(ref + 1, 16))
        desk.wait(6)
        assert desk.packets[5] == sv.soup(b"U", sv.cancel(ref, 0))
        assert (desk.cnt("session.mass_cancel_rejects"), desk.rig.segment.halts) == (1, ())
        desk.rig.ledgers()


def test_nothing_is_known_after_a_new_login() -> None:
    with trader(session={"reconnect_ms": 1}) as desk:
        told(desk, 1, b"K", "enabled")
        desk.venue.drop()
        desk.packets.clear()
        desk.wait(1)
        assert entry(desk) == "unknown"
        desk.venue.send(sv.login_accepted(seq=3))
        desk.wait(2)
        desk.venue.sequenced(sv.query_response(2))
        desk.wait(3)
        assert desk.packets[2] == request(b"E", 2)
        told(desk, 2, b"K", "enabled")


def test_the_answer_to_a_request_of_an_earlier_process_halts_nothing_but_its_reconciliation_ends() -> None:
    with trader(journal_sz_bytes=RING) as desk:
        told(desk, 1, b"K", "enabled")
        desk.rig.segment.halt("drill")
        desk.wait(4)
        desk.rig.publish()
        records = Records(desk.rig)
    with restored(opening(), records.first(len(records.ends))) as again:
        assert set(again.halts()) == {"reconcile"}
        again.log_in(3, [sv.rejected(2, 12)], 3)  # it had been sent, and was refused
        again.until(lambda: not again.halts(), "the venue agrees")
        counted = [again.rig.cnt(f"session.{name}") for name in ("entry_rejects", "drop_order", "ignored")]
        assert counted == [1, 0, 2]
        again.rig.ledgers()


def test_a_halted_gateway_is_disabled_at_the_simulated_exchange_until_it_is_resumed() -> None:
    cfg = {"disable_on_halt": True, "mass_cancel": True}
    with running(depth=0, symbols=SYMBOLS) as run:
        session = session_cfg(run.address[1], **OUCH, **cfg)
        with Rig(SYMBOLS, probe(tif=DAY, px=900_000), session=session, cancel_on_halt=True) as rig:

            def is_entry(state: str) -> bool:
                rig.publish()
                return bool(rig.segment.sessions()[0]["entry"] == state)

            until(rig, lambda: is_entry("enabled") and rig.cnt("session.enabled") == 1, "order entry is enabled")
            rig.quote()
            until(rig, lambda: rig.cnt("session.accepted") == 1, "the order is accepted")
            rig.segment.halt("drill")
            until(rig, lambda: is_entry("disabled") and rig.cnt("session.canceled") == 1, "all is stopped")
            rig.segment.resume("operator")
            until(rig, lambda: is_entry("enabled"), "it is enabled again")
            rig.quote("MSFT", 2)
            until(rig, lambda: rig.cnt("session.accepted") == 2, "orders are accepted again")
            assert rig.segment.halts == ()
            rig.ledgers()
        orders = run.end()["orders"]
        assert (orders["disables_in"], orders["enables_in"], orders["mass_cancels_in"]) == (1, 2, 1)
        assert (orders["accepted"], orders["rejected"]) == (2, 0)


@pytest.mark.parametrize("options", [{}, {"firm": b"FIRM", "protocol": lib.HWGW_PROTOCOL_OUCH42}])
def test_a_session_that_cannot_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"disable_on_halt is of OUCH 5\.0 with a firm"):
        Rig(SYMBOLS, probe(), session=session_cfg(1, disable_on_halt=True, **options))
