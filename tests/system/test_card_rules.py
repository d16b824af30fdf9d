"""Orders that rules of the card make of the feed, without the host, on the host's TCP connection to another namespace.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hwgw_sim.card
import numpy as np
import pytest
from hwgw_sim.lab import Lab
from support import rig as r
from support import soup_venue as sv
from support.card_sender import Ruled, log_in_again, open_orders, sender
from support.lying import Liar
from support.restored import RING, TYPES, Records, opening, restored

from hwgw import audit, rules, specs
from hwgw.errors import CheckFailed, HwgwError, UsageError
from hwgw.native import lib

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(Lab.missing()), reason=f"no lab: {Lab.missing()}")]
ORDER = specs.dtype("order", "order")
SHOT, GATE = TYPES["shot"], TYPES["gate"]
CHEAP = 1_000_100  # what the rules wait for: the book is 1,000,000 bid, 1,000,200 asked
BUY = {
    "when": lib.HWGW_RULE_WHEN_OFFERED, "side": lib.HWGW_ORDER_SIDE_BUY, "tif": lib.HWGW_ORDER_TIF_DAY,
    "when_px": CHEAP, "when_qty": 100, "px": CHEAP, "qty": 100,
}  # fmt: skip
DIP = {"name": "dip", "instrument": 0} | BUY
OTHER = {"name": "other", "instrument": 1} | BUY
BAD = (
    "loan.unknown",
    "loan.differs",
    "loan.untold",
    "loan.drop_wire",
    "card.differs",
    "card.timeouts",
    "card.drop_rule",
)


@pytest.fixture(scope="module")
def library() -> str:
    """The simulated card."""
    if why := hwgw_sim.card.missing():
        pytest.skip(why)
    return str(hwgw_sim.card.build())


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def enters(ref: int, symbol: bytes = b"AAPL    ") -> bytes:
    """What the venue has to get of an order of a rule, by OUCH 5.0 and SoupBinTCP."""
    return sv.soup(b"U", sv.enter(ref, b"B", 100, symbol, CHEAP))


def number_of(packet: bytes) -> int:
    """UserRefNum of an order at the venue."""
    return int.from_bytes(packet[4:8], "big")


def sound(desk: Ruled) -> None:
    """Nothing was that cannot be, and every ledger is exact."""
    time.sleep(0.006)  # the card's own counters are read every 5 ms
    desk.rig.publish()
    assert [desk.cnt(name) for name in BAD] == [0] * len(BAD)
    assert desk.cnt("card.frames") == desk.cnt("loan.orders")
    assert desk.halts() == {}
    desk.until(lambda: desk.cnt("rx.polls_idle") > 0)
    desk.rig.ledgers()


@pytest.mark.parametrize("where", ["card", "both"])
def test_a_rule_makes_one_order_per_arming_and_the_host_has_it_with_all_it_does(
    lab: Lab, library: str, where: str
) -> None:
    with sender(lab, library, where, rules=[DIP], cancel_on_halt=True) as desk:
        desk.settle()
        desk.offer(CHEAP)  # nobody has armed it
        assert (desk.state(), desk.orders) == ("disarmed", [])
        last = 0
        for shot in range(1, 5):
            desk.ask()
            desk.load()
            desk.offer(CHEAP + 1)  # dearer than the rule says
            desk.offer(CHEAP, 99)  # less
            assert (int(desk.rows[0]["fired"]), len(desk.orders)) == (shot - 1, shot - 1)
            desk.fire(CHEAP)
            desk.offer(CHEAP)  # there is no second one
            packet = desk.arrive(shot)
            ref = number_of(packet)
            assert packet == enters(ref)
            assert ref > last
            last = ref
            row = desk.rows[0]
            assert [int(row[name]) for name in ("fired", "passed", "last_ref")] == [shot, shot, ref]
            assert desk.state() == "fired"
            assert open_orders(desk) == 1
            taken = sv.accepted(ref, b"B", 100, b"AAPL    ", CHEAP)
            desk.venue.sequenced(taken, sv.executed(ref, 100, CHEAP, 500 + shot))
            desk.until(lambda: desk.cnt("session.executed") == shot)  # noqa: B023
        assert int(desk.rig.segment.positions[0]["pos"]) == 400
        assert int(desk.rig.segment.positions[0]["cash"]) == -400 * CHEAP
        assert (desk.cnt("loan.orders"), desk.cnt("order.encoded")) == (4, 4)
        desk.ask()
        desk.fire(CHEAP)
        ref = number_of(desk.arrive(5))
        desk.venue.sequenced(sv.accepted(ref, b"B", 100, b"AAPL    ", CHEAP))
        desk.until(lambda: desk.cnt("session.accepted") == 5)
        desk.rig.segment.halt("for the test", "operator")
        assert desk.arrive(6) == sv.soup(b"U", sv.cancel(ref, 0))  # the host's own way to it
        desk.venue.sequenced(sv.canceled(ref, 100))
        desk.until(lambda: desk.cnt("session.canceled") == 1)
        assert open_orders(desk) == 0
        desk.rig.segment.resume()
        desk.rig.publish()
        sound(desk)


def test_orders_of_rules_and_of_strategies_share_the_connection_and_no_number_is_used_twice(
    lab: Lab, library: str
) -> None:
    with sender(lab, library, rules=[DIP, OTHER], every=1) as desk:
        desk.rig.feed(r.directory(2, "MSFT"), r.add(2, "MSFT", 2001, "B", 500, 1_000_000))
        desk.rig.feed(r.add(2, "MSFT", 2002, "S", 500, 1_000_200))
        desk.settle()
        seen = len(desk.orders)
        mixed = {b"AAPL    ": 0, b"MSFT    ": 0}
        for turn in range(12):
            number, symbol = turn % 2, (b"AAPL    ", b"MSFT    ")[turn % 2]
            desk.ask(0)
            desk.ask(1)
            desk.load(0, 1)
            # the event makes the rule's order in the card, and then the strategy's in the host
            desk.fire(CHEAP - turn, number=number, symbol=symbol.decode())
            desk.until(lambda: len(desk.orders) >= desk.cnt("order.encoded"))
            own, *rest = [packet for packet in desk.orders[seen:] if packet == enters(number_of(packet), symbol)]
            mixed[symbol] += 1
            seen = len(desk.orders)
            desk.load(1 - number)  # again, behind the strategy's order
            desk.ask(1 - number, armed=False)
            assert not rest or own != rest[0]
        refs = [number_of(packet) for packet in desk.orders]
        assert refs == sorted(set(refs))
        assert desk.cnt("order.encoded") == len(refs)
        assert (desk.cnt("loan.by_host"), set(mixed.values())) == (0, {6})
        sound(desk)
        assert desk.cnt("card.fired") == 12


def test_two_rules_in_one_packet_make_one_order_and_the_other_has_its_own_number(lab: Lab, library: str) -> None:
    with sender(lab, library, rules=[DIP, OTHER]) as desk:
        desk.rig.feed(r.directory(2, "MSFT"))
        desk.rig.feed(r.add(2, "MSFT", 2001, "B", 500, 1_000_000), r.add(2, "MSFT", 2002, "S", 500, 1_000_200))
        desk.settle()
        desk.ask(0)
        desk.ask(1)
        desk.load(0, 1)
        desk.feed(r.add(1, "AAPL", 60_001, "S", 100, CHEAP), r.add(2, "MSFT", 60_002, "S", 100, CHEAP))
        first = number_of(desk.arrive(1))
        assert (desk.orders, desk.state(0)) == ([enters(first)], "fired")
        desk.fire(CHEAP, number=1, symbol="MSFT")
        second = number_of(desk.arrive(2))
        assert second > first
        assert desk.orders[1] == enters(second, b"MSFT    ")
        assert (desk.state(0), desk.state(1)) == ("fired", "fired")
        sound(desk)
        assert desk.cnt("card.fired") == 2
        assert desk.cnt("card.drop_trigger_disabled") >= 1  # the event of the second rule found no number


def test_what_stops_orders_takes_the_rules_out_of_the_card(lab: Lab, library: str) -> None:
    with sender(lab, library, rules=[DIP]) as desk:
        desk.settle()
        segment = desk.rig.segment

        def quiet(state: str) -> None:
            desk.rig.step()
            assert desk.state() == state
            desk.offer(CHEAP)
            assert (desk.orders, desk.cnt("risk.orders")) == ([], 0)

        desk.ask()
        segment.halt("for the test", "operator")
        quiet("waiting")
        segment.resume()
        desk.rig.publish()
        desk.load()
        segment.halt_instrument("AAPL", "for the test")
        quiet("waiting")
        segment.resume_instrument("AAPL")
        segment.disarm(0)
        desk.rig.publish()
        quiet("waiting")
        segment.arm(0)
        desk.rig.publish()
        desk.load()
        desk.ask(armed=False)
        quiet("disarmed")
        desk.rig.publish()
        time.sleep(0.006)
        desk.rig.publish()
        assert (desk.cnt("card.fired"), desk.cnt("card.drop_trigger_disabled")) == (0, 4)  # it had no number each time
        for wrong in ({"px": 0}, {"px": 2_000_000_000}, {"qty": 0}, {"qty": 1_000_000}):
            seq = desk.ask(**wrong)
            assert (desk.state(), int(desk.rows[0]["seq_refused"])) == ("disarmed", seq)
        desk.ask(px=CHEAP + 50)
        time.sleep(1.1)  # a heartbeat of the session takes the connection in between
        desk.until(lambda: desk.cnt("session.heartbeats_tx") > 0)
        desk.fire(CHEAP)
        packet = desk.arrive(1)
        assert packet == sv.soup(b"U", sv.enter(number_of(packet), b"B", 100, b"AAPL    ", CHEAP + 50))
        sound(desk)


def told(desk: Ruled, call: Callable[[], Any]) -> Any:
    """What a control tool gets, which waits for the pipeline."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except HwgwError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        desk.rig.step()
    if isinstance(found[0], HwgwError):
        raise found[0]
    return found[0]


def test_rules_are_armed_and_disarmed_by_name_and_that_is_on_record(lab: Lab, library: str) -> None:
    with sender(lab, library, rules=[DIP, OTHER]) as desk:
        desk.settle()
        segment = desk.rig.segment
        assert set(rules.rules(segment)) == {"dip", "other"}
        row = told(desk, lambda: rules.arm(segment, "dip", ["px=100.0075", "when_qty=300"]))
        assert (row["instrument"], row["when"], row["when_px"], row["when_qty"]) == ("AAPL", "offered", CHEAP, 300)
        assert (row["side"], row["px"], row["qty"], row["tif"], row["fired"]) == ("buy", 1_000_075, 100, "day", 0)
        desk.load()
        desk.offer(CHEAP, 299)
        desk.fire(CHEAP, 300)
        packet = desk.arrive(1)
        assert packet == sv.soup(b"U", sv.enter(number_of(packet), b"B", 100, b"AAPL    ", 1_000_075))
        row = rules.rules(segment)["dip"]
        assert (row["state"], row["fired"], row["passed"], row["last_reason"]) == ("fired", 1, 1, "pass")
        told(desk, lambda: rules.arm(segment, "dip"))
        assert {row["state"] for row in told(desk, lambda: rules.disarm(segment)).values()} == {"disarmed"}
        desk.offer(CHEAP, 300)
        assert len(desk.orders) == 1
        with pytest.raises(CheckFailed, match="dip could not be said with these terms; nothing was changed"):
            told(desk, lambda: rules.arm(segment, "dip", ["qty=1000000"]))
        for terms, text in ((["side=sell"], "terms of a rule are when_px"), (["px=x"], "px=x: ")):
            with pytest.raises(UsageError, match=text):
                rules.arm(segment, "dip", terms)
        with pytest.raises(UsageError, match="no rule 'dib'; it has dip, other"):
            rules.disarm(segment, ["dib"])
        acts = [(entry["action"], entry["armed"]) for entry in audit.verify(segment.name)]
        assert acts == [("rule", True), ("rule", True), ("rule", False), ("rule", True), ("rule", "refused")]


@pytest.mark.parametrize("where", ["card", "both"])
def test_what_the_gate_refuses_does_not_leave_and_the_rule_says_why(lab: Lab, library: str, where: str) -> None:
    limits = r.open_limits(3)
    limits["instrument"][0, :3]["qty_max"] = 99
    with sender(lab, library, where, rules=[DIP], limits=limits) as desk:
        desk.settle()
        desk.ask()
        desk.fire(CHEAP)
        reason = next(reason.code for reason in specs.reasons() if reason.name == "qty")
        row = desk.rows[0]
        assert (desk.state(), int(row["fired"]), int(row["passed"]), int(row["last_reason"])) == ("fired", 1, 0, reason)
        assert (desk.orders, desk.cnt("risk.refused_qty"), desk.cnt("loan.orders")) == ([], 1, 0)
        desk.rig.segment.publish_limits(r.open_limits(3))
        desk.ask()
        desk.fire(CHEAP)
        assert desk.arrive(1) == enters(number_of(desk.orders[0]))
        sound(desk)


def test_a_rule_that_the_host_s_gate_and_the_card_see_differently_halts(lab: Lab, library: str, tmp_path: Path) -> None:
    liar = Liar(library, tmp_path)
    with sender(lab, liar.path, rules=[DIP]) as desk:
        desk.settle()
        desk.ask()
        collar = next(reason.code for reason in specs.reasons() if reason.name == "collar")
        liar.says.lie_ref, liar.says.lie_reason = desk.cnt("risk.orders") + 1, collar
        desk.fire(CHEAP)
        assert desk.halts()["card"] == "order 1, kind 1, instrument 0: the host says pass, the card collar"
        assert open_orders(desk) == 0
        desk.ask()
        assert desk.state() == "waiting"


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
        desk.rig.feed(r.directory(2, "MSFT"), r.add(2, "MSFT", 2001, "B", 500, 1_000_000))
        desk.rig.feed(r.add(2, "MSFT", 2002, "S", 500, 1_000_200))
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
