"""What a tripped circuit breaker does: it refuses, halts one instrument or all, is counted, shown and cleared.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support import rig as r
from support import soup_venue as sv
from support.desk import SYMBOLS, Desk, probe
from support.restored import RING, Records, judged, opening
from support.rig import Rig, open_limits

from hwgw import audit, cli
from hwgw.cli.run import _tripped
from hwgw.native import lib
from hwgw.risk import breakers
from hwgw.segment import Segment
from hwgw.settings import Breaker

HOUR = 3600 * 10**9


def limits(*rules: Breaker, cnt: int = len(SYMBOLS)):
    """Limits that let everything pass, with these rules."""
    table = open_limits(cnt)
    for row, rule in zip(table["breaker"][0], rules, strict=False):
        breakers.fill(row, rule)
    return table


def rule(kind: str, scope: str, action: str, limit: int, **more: int) -> Breaker:
    return Breaker("rule", kind, scope, action, limit, HOUR, **more)


class Quotes:
    """Each turn is one order of the probe: another bid of one share above the last one."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.ref, self.px = rig, 50_000, 1_000_000

    def turn(self, symbol: str = "AAPL", locate: int = 1) -> None:
        self.ref, self.px = self.ref + 1, self.px + 1
        self.rig.feed(r.add(locate, symbol, self.ref, "B", 1, self.px))


def test_no_more_orders_leave_than_the_rule_allows_and_the_gateway_is_halted(capsys):
    with Rig(SYMBOLS, probe(), limits=limits(rule("order_rate", "gateway", "halt_gateway", 3))) as rig:
        name, quotes = rig.segment.name, Quotes(rig)
        rig.quote()  # the first order
        for _ in range(5):
            quotes.turn()
        assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_breaker"), rig.cnt("risk.refused_halted")) == (3, 1, 2)
        assert (rig.cnt("breaker.gateway_halts"), rig.cnt("breaker.warnings")) == (1, 0)
        (halt,) = rig.segment.halts
        assert (halt["reason"], halt["text"]) == ("breaker", "breaker rule: the gateway: 4 orders, 3 allowed")
        assert rig.ledgers() > 5
        rig.publish()
        assert int(rig.segment.exposures[-1]["open_cnt"]) == 0  # without a session all were given back
        row = rig.segment.breakers()["rule"]
        assert (row["kind"], row["trips"], row["value"], row["limit"], row["of"]) == ("order_rate", 1, 4, 3, "gateway")
        assert cli.execute(["status", name]) == 6
        said = capsys.readouterr().out
        assert "HALTED" in said
        assert "rule: order_rate of gateway, halt_gateway; tripped 1 times, last by gateway" in said
        assert cli.execute(["resume", name, "--reason", "breaker"]) == 0
        for _ in range(4):
            quotes.turn()
        assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_breaker")) == (6, 2)


@pytest.mark.parametrize(
    ("kind", "scope", "action"),
    [
        ("order_rate", "gateway", "halt_gateway"),
        ("order_rate", "instrument", "halt_instrument"),
        ("refusal_rate", "gateway", "halt_gateway"),
    ],
)
def test_a_trip_is_judged_again_as_it_was(kind, scope, action):
    """The order that trips a rule was judged before the halt that comes of it, and stands before it on record."""
    table = limits(rule(kind, scope, action, 3))
    if kind == "refusal_rate":
        table["instrument"][0, : len(SYMBOLS)]["qty_max"] = 99
    with Rig(SYMBOLS, probe(), limits=table, journal_sz_bytes=RING) as rig:
        quotes = Quotes(rig)
        rig.quote()
        for _ in range(6):
            quotes.turn()
        refused = rig.cnt("risk.orders") - rig.cnt("risk.passed")
        assert refused > 2
        records = Records(rig)
    found = judged(opening(), records.first(len(records.ends)))
    assert (found.counts["differences"], found.counts["without"], found.contradiction) == (0, 0, "")
    assert found.counts["refused"] == refused


def test_a_halted_instrument_stops_alone_and_comes_back_by_its_own_resume(capsys):
    with Rig(SYMBOLS, probe(), limits=limits(rule("order_rate", "instrument", "halt_instrument", 1))) as rig:
        name, quotes = rig.segment.name, Quotes(rig)
        rig.quote()
        quotes.turn()
        quotes.turn()
        assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_breaker"), rig.cnt("risk.refused_instrument_halt")) == (
            1, 1, 1,
        )  # fmt: skip
        rig.quote("MSFT", locate=2)
        assert rig.cnt("risk.passed") == 2
        assert rig.segment.halted is None
        assert list(rig.segment.instrument_halts) == ["AAPL"]
        assert cli.execute(["status", name]) == 0
        assert "AAPL       HALTED, breaker: breaker rule: AAPL: 2 orders, 1 allowed" in capsys.readouterr().out
        # who resumes has read why it stopped
        assert cli.execute(["resume", name]) == 1
        assert "is not halted, but of it AAPL" in capsys.readouterr().err
        assert cli.execute(["resume", name, "--instrument", "AAPL"]) == 2
        assert "--instrument AAPL --reason breaker" in capsys.readouterr().err
        assert cli.execute(["resume", name, "--instrument", "MSFT", "--reason", "breaker"]) == 1
        assert cli.execute(["resume", name, "--instrument", "TSLA", "--reason", "breaker"]) == 2
        assert "has no symbol 'TSLA'; it has AAPL, MSFT, IBM" in capsys.readouterr().err
        assert list(rig.segment.instrument_halts) == ["AAPL"]
        assert cli.execute(["resume", name, "--instrument", "AAPL", "--reason", "breaker"]) == 0
        quotes.turn()
        assert rig.cnt("risk.passed") == 3
        (act,) = audit.verify(name)
        assert (act["action"], act["instruments"], act["halts"][0]["reason"]) == ("resume", ["AAPL"], "breaker")
        assert rig.ledgers() > 5


def test_a_person_halts_one_instrument_and_cancels_still_pass(capsys):
    with Desk(qty=100, tif=lib.HWGW_ORDER_TIF_DAY) as desk:
        name = desk.rig.segment.name
        desk.rig.quote()
        desk.wait(3)
        assert cli.execute(["halt", name, "--instrument", "AAPL", "--instrument", "TSLA"]) == 2
        assert desk.rig.segment.instrument_halts == {}
        assert cli.execute(["halt", name, "--instrument", "AAPL", "--reason", "news"]) == 0
        assert cli.execute(["halt", name, "--instrument", "AAPL"]) == 0
        assert "AAPL was halted already (operator: news)" in capsys.readouterr().out
        row = desk.rig.segment.instrument_halts["AAPL"]
        assert (row["reason"], row["text"], row["uid"], row["pid"]) == ("operator", "news", os.getuid(), os.getpid())
        desk.rig.quote("MSFT", locate=2)
        desk.wait(4)
        assert [act["instrument"] for act in audit.verify(name)] == ["AAPL", "AAPL"]


def test_a_halted_instrument_loses_its_open_orders_where_that_is_wanted_and_others_keep_theirs():
    with Desk(qty=100, tif=lib.HWGW_ORDER_TIF_DAY, cancel_on_halt=True) as desk:
        desk.rig.quote()
        desk.rig.quote("MSFT", locate=2)
        desk.wait(4)
        desk.venue.sequenced(sv.accepted(1, b"B", 100, b"AAPL    ", 1_000_200))
        desk.venue.sequenced(sv.accepted(2, b"B", 100, b"MSFT    ", 1_000_200))
        desk.until(lambda: desk.cnt("session.accepted") == 2)
        desk.rig.segment.halt_instrument("MSFT", "news")
        desk.wait(5)
        assert desk.packets[4] == sv.soup(b"U", sv.cancel(2, 0))  # of MSFT
        time.sleep(0.01)
        desk.rig.step()
        assert len(desk.packets) == 5


def test_halted_instruments_outlive_the_gateway_by_symbol():
    name = f"test-latch-{os.getpid()}"
    gateway = Segment.create(name, ["AAPL", "MSFT", "IBM"])
    assert gateway.halt_instrument("IBM", "first") is True
    assert gateway.halt_instrument("IBM", "again") is False
    gateway.close()
    gateway = Segment.create(name, ["IBM", "AAPL"])
    assert [(symbol, row["text"]) for symbol, row in gateway.instrument_halts.items()] == [("IBM", "first")]
    gateway.close()
    # one that is no symbol any more halts all of it: forgotten, it would trade when it comes back
    gateway = Segment.create(name, ["AAPL"])
    assert gateway.instrument_halts == {}
    assert [(row["reason"], row["text"]) for row in gateway.halts] == [
        ("state", "IBM was halted and is no symbol of this gateway any more")
    ]
    gateway.resume()
    gateway.close()
    assert not Path(f"/dev/shm/hwgw-{name}").exists()


def test_a_warning_is_counted_and_told_and_stops_nothing():
    with Rig(SYMBOLS, probe(), limits=limits(rule("order_rate", "strategy", "warn", 1, only=0))) as rig:
        seen: dict[str, int] = {}
        assert list(_tripped(rig.segment, seen)) == []
        rig.quote()
        quotes = Quotes(rig)
        for _ in range(4):
            quotes.turn()
        assert (rig.cnt("risk.passed"), rig.cnt("breaker.warnings")) == (5, 2)
        assert rig.segment.halted is None
        ((name, text),) = _tripped(rig.segment, seen)
        assert (name, text) == ("rule", "order_rate of probe: 2 above 1, warn, the last of 2 trips")
        assert list(_tripped(rig.segment, seen)) == []
        (act,) = audit.verify(rig.segment.name)
        assert (act["action"], act["rule"], act["trips"]) == ("breaker", "rule", 2)


def test_refusals_trip_and_halt():
    table = limits(rule("refusal_rate", "account", "halt_gateway", 2, only=0))
    table["instrument"]["qty_max"] = 10
    with Rig(SYMBOLS, probe(qty=100), limits=table) as rig:
        rig.quote()
        quotes = Quotes(rig)
        for _ in range(3):
            quotes.turn()
        assert (rig.cnt("risk.refused_qty"), rig.cnt("risk.refused_halted")) == (3, 1)
        assert rig.segment.halts[0]["text"] == "breaker rule: account 0: 3 refusals, 2 allowed"


def test_a_feed_that_gaps_halts_its_instruments():
    with Rig(SYMBOLS, probe(), limits=limits(rule("feed_gap", "instrument", "halt_instrument", 0))) as rig:
        rig.quote()
        assert rig.segment.instrument_halts == {}
        rig.seq += 5
        rig.feed(r.add(1, "AAPL", 70_000, "B", 1, 1_000_100))
        assert list(rig.segment.instrument_halts) == list(SYMBOLS)  # a channel's gap is one of all its instruments
        assert rig.segment.instrument_halts["IBM"]["text"] == "breaker rule: IBM: 1 feed gaps, 0 allowed"


@pytest.mark.parametrize(("kind", "limit"), [("reject_rate", 1), ("fill_rate", 1)])
def test_what_the_venue_says_trips(kind, limit):
    table = limits(rule(kind, "instrument", "halt_instrument", limit))
    with Desk(qty=100, tif=lib.HWGW_ORDER_TIF_DAY, limits=table) as desk:
        for turn in range(2):
            assert desk.rig.segment.instrument_halts == {}
            desk.rig.quote() if turn == 0 else Quotes(desk.rig).turn()
            desk.wait(3 + turn)
            told = sv.rejected(turn + 1, 1) if kind == "reject_rate" else sv.executed(turn + 1, 10, 1_000_200, turn + 1)
            if kind == "fill_rate":
                desk.venue.sequenced(sv.accepted(turn + 1, b"B", 100, b"AAPL    ", 1_000_200))
            desk.venue.sequenced(told)
            what = "session.rejected" if kind == "reject_rate" else "session.executed"
            desk.until(lambda what=what, turn=turn: desk.cnt(what) == turn + 1)
        assert list(desk.rig.segment.instrument_halts) == ["AAPL"]


def test_a_loss_of_an_interval_halts():
    table = limits(rule("loss", "gateway", "halt_gateway", 70_000))
    with Desk(qty=100, tif=lib.HWGW_ORDER_TIF_DAY, limits=table) as desk:
        desk.rig.quote()
        desk.wait(3)
        desk.venue.sequenced(sv.accepted(1, b"B", 100, b"AAPL    ", 1_000_200), sv.executed(1, 100, 1_000_200, 7))
        desk.until(lambda: desk.cnt("session.executed") == 1)
        assert desk.rig.segment.halted is None  # bought at the ask, worth the midpoint: 100 x 0.0100 lost
        desk.rig.feed(r.delete(1, 1001))
        desk.rig.feed(r.add(1, "AAPL", 7, "B", 100, 998_600))  # midpoint 99.94: 700 x 100 below
        assert (
            (desk.rig.segment.halted or {}).get("text", "").startswith("breaker rule: the gateway: 8.0000 lost, 7.0000")
        )


def test_slow_orders_halt():
    table = limits(rule("latency_p99", "gateway", "halt_gateway", 0, bound_ns=1))
    with Desk(qty=100, limits=table) as desk:
        desk.rig.quote()
        desk.wait(3)
        assert desk.rig.segment.halts[0]["text"] == (
            "breaker rule: the gateway: more than 1 % of orders and 0 took over 1 ns"
        )


def test_a_control_plane_that_stays_away_latches_and_one_that_is_late_does_not():
    table = limits()
    table["beat_age_max_ns"] = 10_000_000
    with Rig(SYMBOLS, probe(), limits=table, stale_halt_ns=30_000_000) as rig:
        rig.segment.beat()
        rig.publish()
        time.sleep(0.02)
        rig.publish()
        assert rig.segment.halted is None
        time.sleep(0.03)
        rig.publish()
        assert rig.segment.halted["reason"] == "control_stale"
        assert "no heartbeat of the control process for " in rig.segment.halted["text"]
        rig.segment.beat()
        rig.publish()
        rig.quote()
        assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_halted")) == (0, 1)
        rig.segment.resume("control_stale")
        Quotes(rig).turn()
        assert rig.cnt("risk.passed") == 1


def test_new_limits_bring_and_take_rules_while_it_runs():
    with Rig(SYMBOLS, probe(), limits=limits()) as rig:
        assert rig.segment.breakers() == {}
        rig.segment.publish_limits(limits(rule("order_rate", "gateway", "warn", 0)))
        rig.quote()
        assert rig.segment.breakers()["rule"]["trips"] == 1
        rig.segment.publish_limits(limits())
        Quotes(rig).turn()
        assert rig.segment.breakers() == {}
