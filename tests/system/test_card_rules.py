"""Orders that rules of the card make of the feed, without the host, on the host's TCP connection to another namespace.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest
from hwgw_sim.lab import Lab
from support import rig as r
from support import soup_venue as sv
from support.card_host import CHEAP, DIP, OTHER, enters, number_of
from support.card_sender import Ruled, log_in_again, open_orders, sender

from hwgw import audit, rules, specs
from hwgw.errors import CheckFailed, HwgwError, UsageError
from hwgw.native import ffi, lib

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(Lab.missing()), reason=f"no lab: {Lab.missing()}")]
BAD = (
    "loan.unknown",
    "loan.differs",
    "loan.untold",
    "loan.drop_wire",
    "card.differs",
    "card.timeouts",
    "card.drop_rule",
)


def session(lab: Lab, **options: Any) -> dict[str, Any]:
    """Of a sender, with fields that are to be otherwise."""
    return {"address": int(IPv4Address(lab.exchange.address)), "reconnect_ms": 10} | options


def code(reason: str) -> int:
    """Of the table of reasons."""
    return next(row.code for row in specs.reasons() if row.name == reason)


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
            assert packet == enters(ref, CHEAP)
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
        desk.rig.quote("MSFT", 2)
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
            own, *rest = [packet for packet in desk.orders[seen:] if packet == enters(number_of(packet), CHEAP, symbol)]
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
        desk.rig.quote("MSFT", 2)
        desk.settle()
        desk.ask(0)
        desk.ask(1)
        desk.load(0, 1)
        desk.feed(r.add(1, "AAPL", 60_001, "S", 100, CHEAP), r.add(2, "MSFT", 60_002, "S", 100, CHEAP))
        first = number_of(desk.arrive(1))
        assert (desk.orders, desk.state(0)) == ([enters(first, CHEAP)], "fired")
        desk.fire(CHEAP, number=1, symbol="MSFT")
        second = number_of(desk.arrive(2))
        assert second > first
        assert desk.orders[1] == enters(second, CHEAP, b"MSFT    ")
        assert (desk.state(0), desk.state(1)) == ("fired", "fired")
        sound(desk)
        assert desk.cnt("card.fired") == 2
        assert desk.cnt("card.drop_trigger_spent") == 1  # the event of the second rule: the first had the number


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
        row = desk.rows[0]
        said = [int(row[name]) for name in ("fired", "passed", "last_reason")]
        assert (desk.state(), said) == ("fired", [1, 0, code("qty")])
        assert (desk.orders, desk.cnt("risk.refused_qty"), desk.cnt("loan.orders")) == ([], 1, 0)
        desk.rig.segment.publish_limits(r.open_limits(3))
        desk.ask()
        desk.fire(CHEAP)
        assert desk.arrive(1) == enters(number_of(desk.orders[0]), CHEAP)
        sound(desk)


def test_a_strategy_is_told_of_the_order_of_a_rule_with_what_it_has_there(lab: Lab, library: str) -> None:
    """Not with what the hook before had, which was of another instrument."""
    told: list[tuple[int, ...]] = []

    def listen(hook: Any, _state: Any, _out: Any, _max: int) -> int:
        order = hook.order
        if hook.cause == lib.HWGW_HOOK_CAUSE_ORDER and order.kind == lib.HWGW_ORDER_KIND_NEW:
            age_ns = int(hook.now_ns) - int(order.ts_ns)
            told.append((order.ref, hook.instrument, hook.position, hook.open_buy_cnt, hook.open_sell_cnt, age_ns))
        return 0

    fn, name = ffi.callback("hwgw_strategy_fn", listen), ffi.new("char[]", b"listener")
    desc = ffi.new("struct hwgw_strategy *", {"abi": lib.HWGW_SEGMENT_ABI, "depth": 1, "name": name, "fn": fn})
    with sender(lab, library, rules=[DIP], strategy=desc) as desk:
        desk.rig.quote("MSFT", 2)
        for shot in (1, 2):
            desk.settle()
            desk.ask()
            desk.fire(CHEAP)
            ref = number_of(desk.arrive(shot))
            taken = sv.accepted(ref, b"B", 100, b"AAPL    ", CHEAP)
            desk.venue.sequenced(taken, sv.executed(ref, 100, CHEAP, 500 + shot))
            desk.until(lambda: desk.cnt("session.executed") == shot)  # noqa: B023
            desk.rig.feed(r.add(2, "MSFT", 2002 + shot, "S", 500, 1_000_200 - shot))
    assert [row[1:] for row in told] == [(0, 0, 1, 0, 0), (0, 100, 1, 0, 0)]


def test_a_number_that_the_venue_says_is_taken_is_not_the_shots_any_more(lab: Lab, library: str) -> None:
    with sender(lab, library, rules=[DIP]) as desk:
        desk.settle()
        desk.ask()
        desk.load()
        log_in_again(desk, [], 2)  # somebody used 1
        seen = len(desk.packets)
        desk.fire(CHEAP)
        desk.until(lambda: any(packet != sv.soup(b"R") for packet in desk.packets[seen:]))
        assert [packet for packet in desk.packets[seen:] if packet != sv.soup(b"R")] == [enters(2, CHEAP)]


def test_a_stop_takes_the_shot_back_before_anything_else(lab: Lab, library: str) -> None:
    with sender(lab, library, rules=[DIP]) as desk:
        desk.settle()
        desk.ask()
        desk.load()
        desk.rig.segment.control["stop"] = 1
        desk.count += 1
        desk.rig.feed(r.add(1, "AAPL", 50_000 + desk.count, "S", 100, CHEAP))  # the wire has it when the stop is seen
        lib.hwgw_pipeline_run(desk.rig.handle)
        time.sleep(0.006)
        desk.rig.publish()
        assert int(desk.rig.segment.threads[0]["next_seq"]) == desk.rig.seq
        assert (desk.cnt("card.fired"), desk.cnt("card.drop_trigger_disabled")) == (0, 1)
        desk.until(lambda: len(desk.orders) > 0)
        assert desk.orders == [sv.soup(b"O")]
        assert desk.halts() == {}


def test_a_rule_waits_while_the_venues_message_rate_has_no_room_for_it(lab: Lab, library: str) -> None:
    slow = session(lab, throttle_ns=10**11, throttle_burst=2)
    with sender(lab, library, rules=[DIP], session=slow) as desk:
        desk.settle()
        desk.ask()
        desk.fire(CHEAP)
        ref = number_of(desk.arrive(1))
        desk.venue.sequenced(sv.accepted(ref, b"B", 100, b"AAPL    ", CHEAP))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.ask()
        desk.load()
        lib.hwgw_cancel_all(desk.rig.segment.pointer)  # the second message, and the last for a while
        assert desk.arrive(2) == sv.soup(b"U", sv.cancel(ref, 0))
        desk.rig.step()
        assert desk.state() == "waiting"
        desk.offer(CHEAP)
        assert (len(desk.orders), desk.cnt("loan.orders")) == (2, 1)


def test_a_cancel_of_everything_is_of_what_was_made_before(lab: Lab, library: str) -> None:
    """The number that was reserved when it was asked for is not the one of an order that comes behind it."""
    with sender(lab, library, rules=[DIP]) as desk:
        desk.settle()
        desk.ask()
        desk.fire(CHEAP)
        first = number_of(desk.arrive(1))
        desk.venue.sequenced(sv.accepted(first, b"B", 100, b"AAPL    ", CHEAP))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.ask()
        desk.load()
        lib.hwgw_cancel_all(desk.rig.segment.pointer)
        cancel = sv.soup(b"U", sv.cancel(first, 0))
        desk.until(lambda: cancel in desk.orders)
        desk.fire(CHEAP)
        desk.until(lambda: desk.orders.count(cancel) == 3)  # nobody answers, so it goes on
        made = [number_of(packet) for packet in desk.orders if packet == enters(number_of(packet), CHEAP)]
        assert made == [first, first + 2]
        assert set(desk.orders) == {cancel, *(enters(ref, CHEAP) for ref in made)}
        sound(desk)


def test_all_rules_are_told_to_disarm_though_the_pipeline_is_slow(lab: Lab, library: str) -> None:
    with sender(lab, library, rules=[DIP, OTHER]) as desk:
        desk.rig.feed(r.directory(2, "MSFT"), r.add(2, "MSFT", 2001, "B", 500, 1_000_000))
        desk.settle()
        desk.ask(0)
        desk.ask(1)
        with pytest.raises(CheckFailed, match="no pipeline has looked at its rules within 1 s"):
            rules.disarm(desk.rig.segment)  # nobody turns it
        desk.rig.step()
        assert (desk.state(0), desk.state(1)) == ("disarmed", "disarmed")
