"""Orders that the card puts on the wire itself, on the host's TCP connection, to the real TCP of another namespace.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hwgw_sim.lab import Lab
from support import soup_venue as sv
from support.card_sender import PX, log_in_again, open_orders, sender, timestamps
from support.desk import SYMBOLS, probe, session_cfg
from support.lying import Liar
from support.restored import RING, TYPES, Records, opening, restored
from support.rig import Rig

from hwgw import specs
from hwgw.errors import DeviceError
from hwgw.native import lib
from hwgw.specs import registers

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(Lab.missing()), reason=f"no lab: {Lab.missing()}")]
ORDER = specs.dtype("order", "order")
OFFER, GATE = TYPES["offer"], TYPES["gate"]


@pytest.mark.parametrize("where", ["card", "both"])
def test_orders_leave_by_the_card_are_answered_and_the_host_writes_between_them(
    lab: Lab, library: str, where: str
) -> None:
    with sender(lab, library, where, cancel_on_halt=True, journal_sz_bytes=RING) as desk:
        for ref in range(1, 9):
            if ref > 1:
                desk.order()
            assert desk.arrive(ref) == desk.enters(ref)
            answers = [sv.accepted(ref, b"B", 100, b"AAPL    ", PX)]
            if ref < 8:
                answers.append(sv.executed(ref, 100, PX, 500 + ref))
            desk.venue.sequenced(*answers)
            desk.until(lambda: desk.cnt("session.accepted") == ref)  # noqa: B023
        desk.until(lambda: desk.cnt("session.executed") == 7)
        assert (desk.cnt("loan.orders"), desk.cnt("loan.by_host")) == (8, 0)
        returned = desk.cnt("loan.returned")
        desk.rig.segment.halt("for the test", "operator")
        assert desk.arrive(9) == sv.soup(b"U", sv.cancel(8, 0))  # by the host, behind what the card sent
        assert desk.cnt("loan.returned") > returned
        desk.venue.sequenced(sv.canceled(8, 100))
        desk.until(lambda: desk.cnt("session.canceled") == 1)
        desk.order()
        desk.rig.segment.resume()
        desk.rig.publish()
        desk.order()
        assert desk.arrive(10) == desk.enters(10)
        assert (desk.cnt("loan.orders"), desk.cnt("risk.refused_halted")) == (9, 1)

        time.sleep(0.006)  # the card's own counters are read every 5 ms
        desk.rig.publish()
        assert desk.cnt("card.frames") == desk.cnt("loan.orders") == desk.cnt("order.encoded") - 1
        assert int(desk.rig.segment.positions[0]["pos"]) == 700
        assert int(desk.rig.segment.positions[0]["cash"]) == -700 * PX
        names = ("loan.unknown", "loan.differs", "loan.untold", "loan.drop_wire", "card.differs", "card.drop_frame")
        assert [desk.cnt(name) for name in names] == [0] * len(names)
        assert desk.halts() == {}
        desk.rig.ledgers()


@pytest.mark.parametrize("where", ["card", "both"])
def test_an_order_of_which_the_card_does_not_say_what_became_is_the_venues_to_tell(
    lab: Lab, library: str, tmp_path: Path, where: str
) -> None:
    liar = Liar(library, tmp_path)
    with sender(lab, liar.path, where) as desk:
        desk.arrive(1)
        liar.says.lie_hidden = 1
        desk.order()
        desk.until(lambda: desk.cnt("session.disconnects") == 1)
        assert (desk.cnt("loan.orders"), desk.cnt("loan.unknown"), desk.cnt("order.encoded")) == (1, 1, 2)
        assert next(iter(desk.halts())) == "card"
        assert open_orders(desk) == 2
        log_in_again(desk, [sv.accepted(1, b"B", 100, b"AAPL    ", PX)], 2)  # it has not seen the second
        desk.until(lambda: desk.cnt("session.withdrawn") == 1)
        assert open_orders(desk) == 1
        desk.rig.segment.resume()
        desk.order()
        assert (desk.cnt("order.encoded"), desk.cnt("risk.refused_halted")) == (2, 1)  # a lost card stays lost
        assert "card" in desk.halts()
        desk.rig.ledgers()


def test_a_card_that_sends_under_other_numbers_halts_and_the_venue_tells_what_it_has(
    lab: Lab, library: str, tmp_path: Path
) -> None:
    liar = Liar(library, tmp_path)
    with sender(lab, liar.path) as desk:
        desk.arrive(1)
        liar.says.lie_sent = 7
        desk.order()
        assert desk.cnt("loan.differs") == 1
        assert desk.halts()["card"].startswith("order 2: the card sent 50 bytes at ")
        desk.until(lambda: desk.cnt("session.disconnects") == 1)
        said = [sv.accepted(1, b"B", 100, b"AAPL    ", PX), sv.accepted(2, b"B", 100, b"AAPL    ", PX)]
        log_in_again(desk, said, 3)
        desk.until(lambda: desk.cnt("session.accepted") == 2)
        assert open_orders(desk) == 2
        desk.order()
        assert (desk.cnt("loan.orders"), desk.cnt("risk.refused_halted")) == (1, 1)
        desk.rig.ledgers()


def test_an_order_that_the_card_kept_is_given_back_and_the_next_one_leaves(
    lab: Lab, library: str, tmp_path: Path
) -> None:
    liar = Liar(library, tmp_path)
    with sender(lab, liar.path) as desk:
        desk.arrive(1)
        liar.says.lie_late = 200_000_000  # twice as long as a loan
        desk.order()
        assert (desk.cnt("order.drop_card_expired"), desk.cnt("loan.orders"), desk.cnt("order.encoded")) == (1, 1, 1)
        assert open_orders(desk) == 1
        liar.says.lie_late = 0
        desk.order()
        assert desk.arrive(2) == desk.enters(3)
        assert desk.halts() == {}
        desk.rig.ledgers()


def test_a_loan_ends_by_itself_when_the_host_was_away_and_is_lent_anew(lab: Lab, library: str) -> None:
    with sender(lab, library) as desk:
        desk.arrive(1)
        lent = desk.cnt("loan.lent")
        time.sleep(0.15)  # LOAN_NS is 100 ms
        desk.order()
        assert desk.arrive(2) == desk.enters(2)
        assert (desk.cnt("loan.lent"), desk.cnt("loan.orders")) == (lent + 1, 2)
        assert desk.halts() == {}


def test_a_connection_with_timestamps_halts_with_what_is_to_be_done(lab: Lab, library: str) -> None:
    try:
        with sender(lab, library, stamps=1) as desk:
            assert "net.ipv4.tcp_timestamps=0" in desk.halts()["card"]
            assert desk.cnt("loan.unfit") >= 1
            assert (desk.cnt("loan.orders"), desk.cnt("loan.lent")) == (0, 0)
    finally:
        timestamps(lab, 0)


def test_what_the_card_cannot_say_leaves_by_the_host(lab: Lab, library: str) -> None:
    with sender(lab, library, option=lib.HWGW_ORDER_OPTION_POST_ONLY) as desk:
        packet = desk.arrive(1)
        assert packet[3:8] == desk.enters(1)[3:8]
        assert (desk.cnt("loan.by_host"), desk.cnt("loan.orders"), desk.cnt("order.encoded")) == (1, 0, 1)
        assert desk.halts() == {}


def test_an_offer_is_on_record_before_its_bytes_and_without_a_verdict_the_venue_is_asked(
    lab: Lab, library: str
) -> None:
    with sender(lab, library, journal_sz_bytes=RING) as desk:
        desk.arrive(1)
        desk.venue.sequenced(sv.accepted(1, b"B", 100, b"AAPL    ", PX))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.order()
        desk.arrive(2)
        records = Records(desk.rig)
    news = [
        (place, kind, int(order["ref"]))
        for place, (kind, _, payload) in enumerate(records)
        if kind in (OFFER, GATE) and (order := np.frombuffer(payload, ORDER)[0])["kind"] == lib.HWGW_ORDER_KIND_NEW
    ]
    assert [row[1:] for row in news] == [(OFFER, 1), (GATE, 1), (OFFER, 2), (GATE, 2)]
    at = news[2][0]
    with restored(opening(), records.first(at + 1)) as again:  # it ended between both
        assert "2 open orders, 1 without an answer" in again.halts()["reconcile"]
        again.log_in(2 + 1, [sv.accepted(2, b"B", 100, b"AAPL    ", PX)], 3)
        again.until(lambda: again.halts() == {}, "the venue agrees")
        assert again.state()["orders"] == {1: 100, 2: 100}
    with restored(opening(), records.first(at)) as again:
        assert "1 open orders, 0 without an answer" in again.halts()["reconcile"]


def test_a_card_that_does_not_take_the_fields_of_orders_is_an_error_and_nothing_stays_open(
    lab: Lab, library: str, tmp_path: Path
) -> None:
    liar = Liar(library, tmp_path)
    liar.says.lie_deaf = registers.load().register("firm").offset

    def attempt() -> int:
        with lab.gateway.entered(), pytest.raises(DeviceError, match="card: a register does not answer"):
            Rig(SYMBOLS, probe(), session=session_cfg(1), risk=("both", liar.path, "card"))
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    assert attempt() == attempt() == attempt()
