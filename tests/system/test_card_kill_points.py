"""A data process is killed with rules of the card armed, while a loan is given back, and is back within the loan.

SPDX-License-Identifier: MIT

As in test_card_kill the card is in a process of its own and outlives its hosts: its rules and its loan stand until the
loan expires or the next host resets the gate. What must hold each time: what left was judged and is on record, nothing
leaves outside the loan, and the next host agrees with the venue or stays halted and says why.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import hwgw_sim.card
import pytest
from hwgw_sim.lab import Lab
from support import rig as r
from support import soup_venue as sv
from support.card_host import CHEAP, DIP, OTHER, PATIENCE_S, Host, Hosts, accepted, enters, kept, number_of
from support.far import FarCard
from support.frames_ledger import FramesLedger
from support.market import Market, is_alive, until
from support.restored import TYPES

from hwgw import journal, rules
from hwgw.errors import CheckFailed
from hwgw.segment import Segment

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(Lab.missing()), reason=f"no lab: {Lab.missing()}")]
OFFER, SHOT, GATE = TYPES["offer"], TYPES["shot"], TYPES["gate"]
SYMBOLS = ("AAPL", "MSFT")
RULES = [DIP, OTHER]


@pytest.fixture
def far(lab: Lab, library: str) -> Iterator[FarCard]:
    """A card whose feed begins with its first message."""
    with FarCard(lab, library) as made:
        yield made


class Killed(Hosts):
    """The venue, its feed, and one host at least, logged in with rules in the card."""

    refs = 50_000

    def first(self, *armed: str) -> Host:
        host = self.start()
        self.until(lambda: len(self.packets) == 1, "a login")
        self.log_in(b" " * 10, 1, [], 1)
        for locate, symbol in enumerate(SYMBOLS, 1):
            self.send(self.frame(r.directory(locate, symbol)))
            self.send(self.frame(r.add(locate, symbol, 1000 * locate + 1, "B", 500, 1_000_000)))
            self.send(self.frame(r.add(locate, symbol, 1000 * locate + 2, "S", 500, 1_000_200)))
        self.until(lambda: int(host.segment.threads[0]["next_seq"]) == self.seq, "its books")
        self.arm(host, *armed)
        self.load(host, *armed)
        return host

    def arm(self, host: Host, *names: str) -> None:
        for name in names:
            for _ in range(10):  # a busy machine
                with contextlib.suppress(CheckFailed):
                    rules.arm(host.segment, name)
                    break

    def load(self, host: Host, *names: str) -> None:
        """Until these rules are in the card."""
        self.until(lambda: all(rules.rules(host.segment)[name]["state"] == "loaded" for name in names), "the rules")

    def cheap(self, locate: int = 1) -> bytes:
        """A packet that its rule waits for."""
        self.refs += 1
        return self.frame(r.add(locate, SYMBOLS[locate - 1], self.refs, "S", 100, CHEAP))

    def fire(self, host: Host, *names: str) -> None:
        """Sell orders are added until the first rule has made its order, of which the host dies.

        The rule may be out of the card when one comes.
        """
        for _ in range(50):
            if host.process.poll() is not None:
                break
            self.load(host, *names)
            self.send(self.cheap())
            time.sleep(0.01)
        self.died(host)

    def died(self, host: Host) -> None:
        assert host.process.wait(PATIENCE_S) == -signal.SIGKILL

    def over(self) -> None:
        """The loan is, which nobody gives back, and what was on its way is there."""
        self.until(lambda: not self.far.is_lent, "the end of the loan")

    def judged(self, frames: int) -> None:
        """As many orders left by the card since it had so many as the gate let pass, and at the venue are no others."""
        passed, left = self.far.passed(), self.far.frames - frames
        assert left <= len(passed)
        assert {number_of(packet) for packet in self.orders()} <= set(passed)

    def again(self, host: Host, folder: Path, prepared: Host | None = None) -> Host:
        """The next host, rebuilt from what the last one left, and its login at the venue."""
        self.venue.drop()
        self.packets.clear()
        records = kept(host, folder)
        following = prepared or self.prepare()
        following.open(records)
        self.until(lambda: len(self.packets) == 1, "the next login")
        return following

    def agrees(self, host: Host, open_cnt: int) -> None:
        """The host with the venue, and nothing is wrong between it and its card."""
        self.until(lambda: host.halts() == {}, "the venue agrees")
        self.until(lambda: host.open_orders() == open_cnt, "what is open")
        names = ("loan.unknown", "loan.differs", "loan.untold", "loan.drop_wire", "card.differs", "card.timeouts")
        assert [host.cnt(name) for name in names] == [0] * len(names)


def test_an_order_that_a_rule_made_in_the_moment_of_the_kill_is_the_venues_to_tell(
    lab: Lab, far: FarCard, tmp_path: Path
) -> None:
    with Killed(lab, far, "both", RULES) as at:
        first = at.first("dip")
        far.arm("heard")
        at.fire(first, "dip")
        assert (far.was_lent, far.frames, far.passed()) == (True, 1, [1])
        at.until(lambda: at.orders() == [enters(1, CHEAP)], "the order")
        at.over()
        assert first.news() == [(SHOT, 1)]
        far.feed(at.cheap(1))  # it was one order, and the loan is over
        assert (far.frames, at.orders(), at.venue.is_closed_by_peer) == (1, [enters(1, CHEAP)], False)
        again = at.again(first, tmp_path)
        assert "1 open orders, 1 without an answer" in again.halts()["reconcile"]
        taken = [accepted(1, CHEAP), sv.executed(1, 40, CHEAP, 501)]
        at.log_in(sv.SESSION, 1 + 1, taken, 2)
        at.agrees(again, 1)
        row = again.segment.positions[0]
        assert (int(row["pos"]), int(row["cash"])) == (40, -40 * CHEAP)
        assert far.frames == 1


@pytest.mark.parametrize("is_lent", [True, False])
def test_a_rule_whose_host_is_dead_makes_an_order_within_the_loan_alone_and_it_is_on_record(
    lab: Lab, far: FarCard, tmp_path: Path, is_lent: bool
) -> None:
    with Killed(lab, far, "both", RULES) as at:
        first = at.first("dip")
        far.hold()
        far.arm("loaded")
        at.died(first)
        if not is_lent:
            far.release()
            at.over()
        assert far.is_lent == is_lent
        for _ in range(3):
            far.feed(at.cheap())
        assert (far.frames, far.passed()) == (int(is_lent), [1])
        at.until(lambda: at.venue.is_closed_by_peer, "the end of the connection")
        assert at.orders() == []  # its bytes lie behind the kernel's FIN
        at.judged(0)
        assert first.news() == [(SHOT, 1)]
        again = at.again(first, tmp_path)
        assert "1 open orders, 1 without an answer" in again.halts()["reconcile"]
        at.log_in(sv.SESSION, 1 + 1, [], 1)
        at.agrees(again, 0)
        assert (again.cnt("session.withdrawn"), far.frames) == (1, int(is_lent))


@pytest.mark.parametrize("has_left", [True, False])
def test_of_several_rules_nobody_knows_which_made_it_and_the_next_host_trades_only_when_none_did(
    lab: Lab, far: FarCard, tmp_path: Path, has_left: bool
) -> None:
    with Killed(lab, far, "both", RULES) as at:
        first = at.first("dip", "other")
        if has_left:
            far.arm("heard")
            at.fire(first, "dip", "other")
            at.until(lambda: len(at.orders()) == 1, "the order")
        else:
            far.arm("loaded")
            at.died(first)
        at.over()
        at.judged(0)
        ref = max(number for _, number in first.news())  # both rules may have it
        assert at.orders() == [enters(ref, CHEAP)] * has_left
        again = at.again(first, tmp_path)
        assert "0 open orders, 0 without an answer" in again.halts()["reconcile"]
        at.log_in(sv.SESSION, 1 + 1, [accepted(ref, CHEAP)] if has_left else [], ref + has_left)
        if has_left:
            why = f"references up to {ref}"
            at.until(lambda: why in again.halts().get("reconcile", ""), "the venue does not agree")
            time.sleep(0.3)
            assert "reconcile" in again.halts()
            assert (again.cnt("order.encoded"), far.frames) == (0, 1)
        else:
            at.agrees(again, 0)
            assert far.frames == 0


@pytest.mark.parametrize("where", ["both", "card"])
@pytest.mark.parametrize("point", ["left", "offered"])
def test_a_host_that_is_there_again_within_the_loan_has_a_loan_of_its_own(
    lab: Lab, far: FarCard, tmp_path: Path, point: str, where: str
) -> None:
    """What the last one lent ends when the gate begins anew; what left by then is on record as what may have."""
    has_left = point == "left"
    with Killed(lab, far, where) as at:
        first = at.quoted()
        following = at.prepare()
        frames = far.frames
        far.hold()
        far.arm(point)
        first.do("order")
        at.died(first)
        assert (far.is_lent, far.frames) == (True, frames + has_left)
        if has_left:
            at.until(lambda: len(at.orders()) == 2, "the order")
        at.judged(frames - 1)
        again = at.again(first, tmp_path, following)
        assert not far.is_lent
        assert "2 open orders, 1 without an answer" in again.halts()["reconcile"]
        assert (far.frames, again.cnt("loan.lent")) == (frames + has_left, 0)
        at.log_in(sv.SESSION, 2 + 1, [accepted(2)] if has_left else [], 2 + has_left)
        at.agrees(again, 1 + has_left)
        again.do("quote")
        at.until(lambda: len(at.orders()) == 1, "the next order")
        assert at.orders() == [enters(3)]
        at.until(lambda: again.cnt("loan.orders") == 1, "its record")
        assert far.frames == frames + has_left + 1


@pytest.mark.parametrize("moment", ["before", "next", "behind"])
def test_rules_of_a_dead_host_make_no_order_for_the_one_that_is_there_within_the_loan(
    lab: Lab, far: FarCard, tmp_path: Path, moment: str
) -> None:
    """Their event comes before the next host is there, just before it says a word to the gate, or behind that."""
    with Killed(lab, far, "both", RULES) as at:
        first = at.first("dip")
        following = at.prepare()
        far.hold()
        far.arm("loaded")
        at.died(first)
        assert far.is_lent
        event = at.cheap()
        if moment == "before":
            far.feed(event)
        elif moment == "next":
            far.arm("next", event)
        again = at.again(first, tmp_path, following)
        assert (far.is_lent, far.frames) == (False, int(moment != "behind"))
        if moment == "behind":
            far.feed(event)
        assert far.frames == int(moment != "behind")
        assert "1 open orders, 1 without an answer" in again.halts()["reconcile"]
        at.log_in(sv.SESSION, 1 + 1, [], 1)
        at.agrees(again, 0)
        assert again.cnt("session.withdrawn") == 1
        far.feed(at.cheap())
        assert far.frames == int(moment != "behind")
        assert {row["state"] for row in rules.rules(again.segment).values()} == {"disarmed"}


@pytest.mark.parametrize("where", ["both", "card"])
@pytest.mark.parametrize("point", ["returning", "returned"])
def test_a_host_that_is_killed_while_it_takes_the_loan_back_loses_no_order(
    lab: Lab, far: FarCard, tmp_path: Path, point: str, where: str
) -> None:
    with Killed(lab, far, where) as at:
        first = at.quoted()
        frames = far.frames
        far.arm(point)
        first.segment.halt("for the test", "operator")  # whose cancel is the host's to write, behind the loan
        at.died(first)
        assert far.is_lent == (point == "returning")
        at.over()
        at.until(lambda: at.venue.is_closed_by_peer, "the end of the connection")
        assert (far.frames, [packet for packet in at.packets if packet[2:4] == b"UX"]) == (frames, [])
        again = at.again(first, tmp_path)
        assert "1 open orders, 0 without an answer" in again.halts()["reconcile"]
        at.log_in(sv.SESSION, 1 + 2, [], 2)
        at.agrees(again, 1)
        again.do("quote")
        at.until(lambda: at.orders() == [enters(2)], "the next order")
        at.until(lambda: again.cnt("loan.orders") == 1, "its record")
        assert far.frames == frames + 1


@pytest.mark.parametrize("where", ["both", "card"])
@pytest.mark.parametrize("point", ["unloading", "unloaded", "returning", "returned"])
def test_an_event_that_comes_while_a_host_takes_back_what_it_lent_and_dies_makes_at_most_the_order_on_record(
    lab: Lab, far: FarCard, tmp_path: Path, point: str, where: str
) -> None:
    """The shot is taken back before the loan is: an event in between makes no order."""
    makes_one = point.startswith("unload")
    with Killed(lab, far, where, RULES) as at:
        first = at.first("dip")
        far.arm(point, at.cheap())
        if not makes_one:
            first.segment.halt("for the test", "operator")
        at.died(first)  # a loan is prolonged each 50 ms, and the shot taken back for that
        assert (far.frames, far.passed()) == (int(makes_one), [1] * makes_one)
        if makes_one:
            at.until(lambda: at.orders() == [enters(1, CHEAP)], "the order")
        at.over()
        far.feed(at.cheap())
        assert (far.frames, len(at.orders())) == (int(makes_one), int(makes_one))
        assert first.news() == [(SHOT, 1)]
        again = at.again(first, tmp_path)
        assert "1 open orders, 1 without an answer" in again.halts()["reconcile"]
        at.log_in(sv.SESSION, 1 + 1, [accepted(1, CHEAP)] if makes_one else [], 1 + makes_one)
        at.agrees(again, int(makes_one))
        assert again.cnt("session.withdrawn") == (not makes_one)


def test_a_gateway_killed_with_rules_armed_comes_back_and_agrees_with_the_exchange(
    lab: Lab, far: FarCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a restart in the middle of the day the card's feed has a hole, which stops strategies and rules."""
    monkeypatch.setattr(hwgw_sim.card, "build", lambda: Path(far.path))
    monkeypatch.setattr(hwgw_sim.card, "built", lambda: True)
    folder = tmp_path / "journal"
    with Market(tmp_path, lab, rate=300, seconds=120) as market:
        symbol = market.exchange.ready["names"][0]
        market.receive = {"backend": "card", "card": "sim", "interface": lab.gateway.interface}
        market.risk = ("both", "card")
        market.journal = {"folder": str(folder), "stall": "10s"}
        market.rules = [
            {"name": "dip", "instrument": symbol, "strategy": "revert", "when": "offered", "when_px": 199_000,
             "side": "buy", "px": 199_000, "qty": 1}
        ]  # fmt: skip
        ledger = FramesLedger(folder, market.name)

        def arm(segment: Segment) -> None:
            row = rules.rules(segment)["dip"]
            px = int(segment.tob(0)["ask_px"])
            if row["state"] in ("disarmed", "fired") and px:
                with contextlib.suppress(CheckFailed):  # a busy machine
                    rules.arm(segment, "dip", [f"px={px / 10_000:.4f}"])

        market.start()
        with market.attached("pipeline.loops", PATIENCE_S) as segment:

            def fired(cnt: int) -> bool:
                arm(segment)
                return int(segment.rule_rows[0]["passed"]) >= cnt

            until(lambda: fired(2), "orders of the rule", PATIENCE_S)
            data, frames = int(segment.head["data_pid"]), far.frames
            assert not segment.halts
            far.arm("heard")

            def dead() -> bool:
                if is_alive(data):
                    arm(segment)
                return not is_alive(data)

            until(dead, "it is killed", PATIENCE_S)
            assert (far.kills, far.was_lent) == (1, True)
            assert far.frames > frames
        _, stderr = market.started[-1].communicate(timeout=PATIENCE_S)
        assert b"Traceback" not in stderr, stderr.decode()
        market.start()
        with market.attached("pipeline.loops", PATIENCE_S) as segment:
            until(lambda: not segment.halts, "the venue agrees", PATIENCE_S)
            assert rules.rules(segment)["dip"]["state"] == "disarmed"
        market.started[-1].send_signal(signal.SIGTERM)
        _, stderr = market.started[-1].communicate(timeout=PATIENCE_S)
        assert b"Traceback" not in stderr, stderr.decode()
        report = market.exchange.stop()
        ledger.assert_agrees(report)
        assert (report["orders"]["ignored_ref"], ledger.runs) == (0, 2)
        assert report["orders"]["accepted"] > 2
        assert journal.verify(journal.files_of(folder, market.name)).is_whole
        Path(f"/dev/shm/hwgw-{market.name}").unlink(missing_ok=True)
