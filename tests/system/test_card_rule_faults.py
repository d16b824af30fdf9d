"""Rules of the card when something is wrong: a card that lies, clocks apart, a crash at any record.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hwgw_sim.lab import Lab
from support import soup_venue as sv
from support.card_host import CHEAP, DIP, OTHER, enters, number_of
from support.card_sender import log_in_again, open_orders, sender
from support.lying import Liar
from support.restored import RING, TYPES, Records, opening, restored

from hwgw import specs
from hwgw.native import lib

from .test_card_rules import code, session, sound

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(Lab.missing()), reason=f"no lab: {Lab.missing()}")]
ORDER = specs.dtype("order", "order")
SHOT, GATE = TYPES["shot"], TYPES["gate"]


def test_a_rule_that_the_host_s_gate_and_the_card_see_differently_halts(lab: Lab, library: str, tmp_path: Path) -> None:
    liar = Liar(library, tmp_path)
    with sender(lab, liar.path, rules=[DIP]) as desk:
        desk.settle()
        desk.ask()
        liar.says.lie_ref, liar.says.lie_reason = desk.cnt("risk.orders") + 1, code("collar")
        desk.fire(CHEAP)
        assert desk.halts()["card"] == "order 1, kind 1, instrument 0: the host says pass, the card collar"
        assert open_orders(desk) == 0
        desk.ask()
        assert desk.state() == "waiting"


def test_what_the_order_of_a_rule_latches_holds_for_the_order_that_it_is_taken_in_for(
    lab: Lab, library: str, tmp_path: Path
) -> None:
    """The book is crossed: the gate gets no reference price, and an order of a strategy is what takes the shot back."""
    liar = Liar(library, tmp_path)
    crossing = 999_900
    with sender(lab, liar.path, rules=[DIP], every=1) as desk:
        desk.settle()
        desk.ask()
        for _ in range(20):
            desk.load()
            desk.rig.publish()
            liar.says.lie_ref, liar.says.lie_reason = int(desk.rig.segment.threads[0]["last_ref"]), code("collar")
            before = desk.cnt("order.encoded"), desk.cnt("strategy.calls")
            desk.offer(crossing)
            if desk.state() == "fired":
                break
        assert desk.state() == "fired"
        assert "the host says pass, the card collar" in desk.halts()["card"]
        assert desk.cnt("strategy.calls") > before[1]
        assert (desk.cnt("order.encoded"), desk.cnt("risk.refused_halted")) == (before[0], 1)


@pytest.mark.parametrize("where", ["card", "both"])
def test_an_order_of_a_rule_that_latches_the_gate_halts_the_gateway(
    lab: Lab, library: str, tmp_path: Path, where: str
) -> None:
    liar = Liar(library, tmp_path)
    with sender(lab, liar.path, where, rules=[DIP]) as desk:
        desk.settle()
        desk.ask()
        liar.says.lie_clock = -1_000_000_000  # it stamps its order before what it was told last
        desk.fire(CHEAP)
        assert (desk.state(), int(desk.rows[0]["last_reason"])) == ("fired", code("clock"))
        assert list(desk.halts()) == ["clock"]
        assert (desk.orders, desk.cnt("risk.refused_clock")) == ([], 1)
        liar.says.lie_clock = 0
        desk.rig.segment.resume()
        desk.rig.publish()
        desk.ask()
        desk.fire(CHEAP)
        desk.arrive(1)
        sound(desk)


@pytest.mark.parametrize("where", ["card", "both"])
def test_an_order_of_a_rule_that_the_card_kept_is_given_back_before_the_gates_are_told_of_more(
    lab: Lab, library: str, tmp_path: Path, where: str
) -> None:
    """The card's clock is ahead, so its loan is over; what the order was taken in for is not older than its end."""
    liar = Liar(library, tmp_path)
    with sender(lab, liar.path, where, rules=[DIP]) as desk:
        desk.settle()
        desk.ask()
        for _ in range(20):
            liar.says.lie_clock = 0
            desk.load()
            liar.says.lie_clock = 150_000_000
            desk.offer(CHEAP)
            if desk.state() == "fired":
                break
        liar.says.lie_clock = 0
        assert (desk.state(), int(desk.rows[0]["passed"])) == ("fired", 1)
        assert (desk.cnt("order.drop_card_expired"), desk.cnt("loan.orders"), open_orders(desk)) == (1, 0, 0)
        assert desk.halts() == {}
        time.sleep(0.2)  # until its clock is where the gates are
        desk.ask()
        desk.fire(CHEAP)
        assert desk.arrive(1) == enters(number_of(desk.orders[0]), CHEAP)
        assert desk.halts() == {}


def test_an_order_that_no_rule_says_may_have_left_and_its_number_is_nobodys(
    lab: Lab, library: str, tmp_path: Path
) -> None:
    liar = Liar(library, tmp_path)
    with sender(lab, liar.path, rules=[DIP], journal_sz_bytes=RING) as desk:
        desk.settle()
        desk.ask()
        liar.says.lie_qty = 1
        for _ in range(20):
            desk.load()
            desk.offer(CHEAP)
            if desk.cnt("loan.unknown"):
                break
        assert (desk.cnt("loan.unknown"), desk.cnt("order.encoded")) == (1, 0)
        assert "card" in desk.halts()
        liar.says.lie_qty = 0
        desk.until(lambda: desk.cnt("session.disconnects") == 1)
        desk.ask(armed=False)  # which does not say that it cannot have left
        desk.rig.step()
        log_in_again(desk, [], 1)
        desk.rig.segment.resume()
        desk.rig.publish()
        desk.ask()
        desk.load()
        orders = [np.frombuffer(payload, ORDER)[0] for kind, _, payload in Records(desk.rig) if kind == SHOT]
    new = lib.HWGW_ORDER_KIND_NEW
    assert [(int(order["kind"]), int(order["ref"])) for order in orders] == [(new, 1), (new, 2)]


def test_a_number_used_behind_a_shot_says_that_it_was_taken_back(lab: Lab, library: str) -> None:
    """Two rules might have used it; a cancel of everything has the next one, and then comes the crash."""
    firm = session(lab, firm=b"FIRM", mass_cancel=True)
    options: dict[str, Any] = {"journal_sz_bytes": RING, "cancel_on_halt": True, "session": firm}
    with sender(lab, library, rules=[DIP, OTHER], **options) as desk:
        desk.rig.quote("MSFT", 2)
        desk.settle()
        desk.ask()
        desk.fire(CHEAP)
        desk.arrive(1)
        desk.venue.sequenced(sv.accepted(1, b"B", 100, b"AAPL    ", CHEAP))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.ask(0)
        desk.ask(1)
        desk.load(0, 1)
        desk.rig.segment.halt("for the test", "operator")
        desk.until(lambda: desk.cnt("order.mass_cancels") == 1)
        desk.venue.sequenced(sv.canceled(1, 100))
        desk.until(lambda: desk.cnt("session.canceled") == 1)
        desk.rig.publish()
        last = int(desk.rig.segment.threads[0]["last_ref"])
        records = Records(desk.rig)
    assert [kind for kind, _, _ in records].count(SHOT) > 3  # those of the two rules stand last
    with restored(opening(), records.first(len(records.ends))) as again:
        assert "0 open orders, 0 without an answer" in again.halts()["reconcile"]
        again.log_in(4, [], last + 1)
        again.until(lambda: again.halts() == {}, "the venue agrees")


def test_an_order_of_a_rule_of_which_nobody_knows_is_the_venues_to_tell(lab: Lab, library: str, tmp_path: Path) -> None:
    liar = Liar(library, tmp_path)
    with sender(lab, liar.path, rules=[DIP]) as desk:
        desk.settle()
        desk.ask()
        liar.says.lie_hidden = 1
        desk.fire(CHEAP)
        desk.until(lambda: desk.cnt("session.disconnects") == 1)
        assert (desk.cnt("loan.unknown"), desk.cnt("loan.orders"), open_orders(desk)) == (1, 0, 1)
        assert "card" in desk.halts()
        log_in_again(desk, [], 1)  # it has not seen it
        desk.until(lambda: desk.cnt("session.withdrawn") == 1)
        assert open_orders(desk) == 0


def test_what_a_rule_may_make_is_on_record_before_it_can_and_the_venue_is_asked_after_a_crash(
    lab: Lab, library: str
) -> None:
    with sender(lab, library, rules=[DIP, OTHER], journal_sz_bytes=RING) as desk:
        desk.rig.quote("MSFT", 2)
        desk.settle()
        desk.ask()
        desk.fire(CHEAP)
        desk.arrive(1)
        desk.venue.sequenced(sv.accepted(1, b"B", 100, b"AAPL    ", CHEAP))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.ask()
        desk.load()
        desk.ask(armed=False)  # it cannot leave any more
        desk.rig.step()
        closed = Records(desk.rig)
        cnt_closed = sum(1 for _ in closed)
        desk.ask(0)
        desk.load(0)
        desk.ask(1)
        desk.load(0, 1)
        records = Records(desk.rig)
    rows = [
        (place, kind, int(order["kind"]), int(order["ref"]))
        for place, (kind, _, payload) in enumerate(records)
        if kind in (SHOT, GATE) and (order := np.frombuffer(payload, ORDER)[0])["kind"] in (0, lib.HWGW_ORDER_KIND_NEW)
    ]
    new = lib.HWGW_ORDER_KIND_NEW
    assert [row[1:] for row in rows] == [
        (SHOT, new, 1), (GATE, new, 1), (SHOT, new, 2), (SHOT, 0, 2), (SHOT, new, 3), (SHOT, new, 4), (SHOT, new, 4),
    ]  # fmt: skip
    first = rows[0][0] + 1
    with restored(opening(), records.first(first)) as again:  # between the record and the order
        assert "1 open orders, 1 without an answer" in again.halts()["reconcile"]
        again.log_in(2, [sv.accepted(1, b"B", 100, b"AAPL    ", CHEAP)], 2)
        again.until(lambda: again.halts() == {}, "the venue agrees")
        assert again.state()["orders"] == {1: 100}
    with restored(opening(), records.first(first)) as again:  # it never left
        again.log_in(2, [], 1)
        again.until(lambda: again.halts() == {}, "the venue agrees")
        assert again.state()["orders"] == {}
    with restored(opening(), records.first(cnt_closed)) as again:
        assert "1 open orders, 0 without an answer" in again.halts()["reconcile"]
    whole = rows[-1][0] + 1
    with restored(opening(), records.first(whole)) as again:  # one of two, which did not leave
        assert "1 open orders, 0 without an answer" in again.halts()["reconcile"]
        again.log_in(3, [], 4)
        again.until(lambda: again.halts() == {}, "the venue agrees")
    with restored(opening(), records.first(whole)) as again:  # one of two, which left: a person has to look
        again.log_in(3, [sv.accepted(4, b"B", 100, b"MSFT    ", CHEAP)], 5)
        again.until(lambda: "references up to 4" in again.halts().get("reconcile", ""), "the venue does not agree")
