"""A data process is killed with a loan out and an order on its way; the next one takes over, and the card with it.

SPDX-License-Identifier: MIT

The card is in a process of its own (support.far), as a card of silicon is in no process at all: what was lent to it
stays lent until it expires, and what it has judged leaves whatever becomes of its host.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import hwgw_sim.card
import pytest
from hwgw_sim.lab import Lab
from support import soup_venue as sv
from support.card_host import PATIENCE_S, Hosts, accepted, enters, kept
from support.far import FarCard
from support.frames_ledger import FramesLedger
from support.market import Market, is_alive, until
from support.restored import TYPES

from hwgw import journal
from hwgw.segment import Segment

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(Lab.missing()), reason=f"no lab: {Lab.missing()}")]
OFFER, GATE = TYPES["offer"], TYPES["gate"]


@pytest.fixture(scope="module")
def far(lab: Lab, library: str) -> Iterator[FarCard]:
    """One card, which each of the tests below takes over from the one before."""
    with FarCard(lab, library) as made:
        yield made


@pytest.mark.parametrize(
    ("point", "where"), [("offered", "both"), ("left", "both"), ("left", "card"), ("told", "both")]
)
def test_what_is_on_record_decides_and_the_venue_is_asked_before_an_order_leaves(
    lab: Lab, far: FarCard, tmp_path: Path, point: str, where: str
) -> None:
    has_left = point != "offered"
    with Hosts(lab, far, where) as at:
        first = at.quoted()
        frames, kills = far.frames, far.kills
        far.arm(point)
        first.do("order")
        assert first.process.wait(PATIENCE_S) == -signal.SIGKILL
        assert (far.kills, far.was_lent, far.frames) == (kills + 1, True, frames + has_left)

        at.until(lambda: not far.is_lent, "the end of the loan, which nobody gives back")
        if has_left:
            at.until(lambda: len(at.orders()) == 2, "the order")
        assert at.orders() == [enters(1), enters(2)][: 1 + has_left]
        if point == "left":  # its bytes were not told to the kernel, whose FIN is one from the past
            assert not at.venue.is_closed_by_peer
        else:
            at.until(lambda: at.venue.is_closed_by_peer, "the end of the connection")
        verdict = [(GATE, 2)] if point == "told" else []
        assert first.news() == [(OFFER, 1), (GATE, 1), (OFFER, 2), *verdict]
        records = kept(first, tmp_path)

        at.venue.drop()
        at.packets.clear()
        again = at.start(records)
        at.until(lambda: len(at.packets) == 1, "the next login")
        assert "2 open orders, 1 without an answer" in again.halts()["reconcile"]
        again.do("quote")
        at.until(lambda: again.cnt("risk.refused_halted") == 1, "an order that is refused")
        assert (again.cnt("order.encoded"), again.cnt("loan.orders"), far.frames) == (0, 0, frames + has_left)
        assert len(at.packets) == 1
        at.log_in(sv.SESSION, 2 + 1, [accepted(2)] if has_left else [], 2 + has_left)
        at.until(lambda: again.halts() == {}, "the venue agrees")
        assert again.cnt("session.withdrawn") == (not has_left)
        at.until(lambda: again.open_orders() == 1 + has_left, "what is open")
        again.do("order")
        at.until(lambda: at.orders() == [enters(4)], "the next order, under a reference that none had")  # 3 was refused
        at.until(lambda: again.cnt("loan.orders") == 1, "its record")
        assert far.frames == frames + has_left + 1
        names = ("loan.unknown", "loan.differs", "loan.untold", "loan.drop_wire", "card.differs", "card.timeouts")
        assert [again.cnt(name) for name in names] == [0] * len(names)
        assert again.halts() == {}


def offers(folder: Path, name: str) -> int:
    """How many orders the card was offered, each behind what the venue said of its next reference in that run."""
    count, has_said = 0, False
    for file in journal.files_of(folder, name):
        for record in (record for block in journal.blocks(file) for record in journal.records(block)):
            if record.type == "open":
                has_said = False
            elif record.type == "venue":
                has_said |= bytes(record.payload[16:17]) == b"Q"
            elif record.type == "offer":
                assert has_said
                count += 1
    return count


def left_by_the_card(segment: Segment) -> None:
    """Until an order has; what stands in its way when none does."""
    try:
        until(lambda: segment.counters()["loan.orders"] > 0, "an order leaves by the card", PATIENCE_S)
    except AssertionError as error:
        counted = {name: value for name, value in segment.counters().items() if value and name.startswith("risk.")}
        raise AssertionError(f"{error}: {segment.halts}, {segment.thread_status()}, {counted}") from None


def test_a_gateway_killed_so_comes_back_and_agrees_with_the_exchange(
    lab: Lab, far: FarCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hwgw_sim.card, "build", lambda: Path(far.path))
    monkeypatch.setattr(hwgw_sim.card, "built", lambda: True)
    folder = tmp_path / "journal"
    with Market(tmp_path, lab, rate=1_000, seconds=120, recovery=[]) as market:
        market.receive = {"backend": "udp", "interface": lab.gateway.interface}  # a ring of packets waits for RCU
        market.risk = ("both", "card")
        market.journal = {"folder": str(folder), "stall": "10s"}
        ledger = FramesLedger(folder, market.name)
        for point in ("left", "offered", ""):
            market.start()
            with market.attached("pipeline.loops", PATIENCE_S) as segment:
                left_by_the_card(segment)  # nothing leaves before the venue agrees
                assert not segment.halts
                data = int(segment.head["data_pid"])
                if not point:
                    segment.halt("compare", "operator")
                    break
                far.arm(point)
                until(lambda data=data: not is_alive(data), "it is killed", PATIENCE_S)  # type: ignore[misc]
                assert far.was_lent
            _, stderr = market.started[-1].communicate(timeout=PATIENCE_S)
            assert b"Traceback" not in stderr, stderr.decode()
        market.started[-1].send_signal(signal.SIGTERM)
        _, stderr = market.started[-1].communicate(timeout=PATIENCE_S)
        assert b"Traceback" not in stderr, stderr.decode()
        report = market.exchange.stop()
        ledger.assert_agrees(report)
        assert report["orders"]["ignored_ref"] == 0  # no reference was used twice
        assert ledger.runs == 3
        assert offers(folder, market.name) > 3
        assert journal.verify(journal.files_of(folder, market.name)).is_whole
        Path(f"/dev/shm/hwgw-{market.name}").unlink(missing_ok=True)
