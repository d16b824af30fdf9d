"""Accounts and strategies in the shared segment: what executions made of them, and arming by name.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import threading
import time

import pytest
from support import soup_venue as sv
from support.desk import SYMBOLS, Desk, probe
from support.rig import Rig, open_limits

from hwgw import audit, cli
from hwgw.errors import UsageError
from hwgw.native import lib
from hwgw.segment import Segment


def test_executions_move_cash_mark_and_counts_of_gateway_account_and_strategy():
    with Desk(qty=100, tif=lib.HWGW_ORDER_TIF_DAY) as desk:
        desk.rig.quote()  # bid 100.00, ask 100.02: the probe buys 100 at the ask
        desk.wait(3)
        desk.venue.sequenced(
            sv.accepted(1, b"B", 100, b"AAPL    ", 1_000_200),
            sv.executed(1, 60, 1_000_100, 7),
            sv.executed(1, 10, 1_000_000, 8),
        )
        desk.until(lambda: desk.cnt("session.executed") == 2)
        desk.rig.publish()
        segment = desk.rig.segment
        cash = -(60 * 1_000_100 + 10 * 1_000_000)
        mark = 70 * 1_000_100  # the midpoint
        money = {"cash": cash, "mark": mark, "pnl": cash + mark}
        at_stake = {"open_notional": 30 * 1_000_200, "filled_notional": -cash, "open_cnt": 1}
        assert segment.exposure() == {"gateway": {**money, **at_stake}, "0": {**money, **at_stake}}
        rows = segment.strategies()
        assert list(rows) == ["probe"]
        assert rows["probe"] == {
            "number": 0, "mode": "live", "of": -1, "armed": True, "account": 0, "fills": 2, "rejects": 0,
            "passed": 1, "refused": 0, "executed_qty": 70, "executed_notional": -cash, **money, "fees": 0,
        }  # fmt: skip


def test_refusals_are_the_strategys_and_its_run_ends_with_an_order_that_passes():
    limits = open_limits(len(SYMBOLS))
    limits["instrument"]["qty_max"] = 10
    with Rig(SYMBOLS, probe(qty=100), limits=limits) as rig:
        rig.quote()
        rig.publish()
        row = rig.segment.strategies()["probe"]
        assert (row["passed"], row["refused"], row["rejects"], row["armed"]) == (0, 1, 1, True)
        assert rig.segment.publish_limits(open_limits(len(SYMBOLS)))
        rig.quote("MSFT", locate=2)
        rig.publish()
        row = rig.segment.strategies()["probe"]
        assert (row["passed"], row["refused"]) == (1, 1)


class Stepping:
    """A rig whose pipeline goes round on a thread, as a gateway's does, while the test talks to it."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.over = rig, threading.Event()
        self.thread = threading.Thread(target=self.turn)

    def turn(self) -> None:
        while not self.over.is_set():
            self.rig.step()
            time.sleep(0.0005)

    def __enter__(self) -> Rig:
        self.thread.start()
        return self.rig

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


def test_what_the_gate_disarmed_comes_back_by_arm_alone_and_both_are_on_record(capsys):
    limits = open_limits(len(SYMBOLS))
    limits["instrument"]["qty_max"] = 10
    limits["strategy"]["rejects_run_max"] = 1
    with Rig(SYMBOLS, probe(qty=100), limits=limits) as rig:
        name = rig.segment.name
        rig.quote()  # refused once, which is one too many
        rig.publish()
        assert rig.segment.strategies()["probe"]["armed"] is False
        with Stepping(rig):
            assert cli.execute(["arm", name, "probe", "--json"]) == 0
            row = json.loads(capsys.readouterr().out)["strategies"]["probe"]
            assert (row["armed"], row["rejects"]) == (True, 0)
            assert cli.execute(["disarm", name, "probe"]) == 0
            assert rig.segment.strategies()["probe"]["armed"] is False
            assert cli.execute(["disarm", name, "probe"]) == 0  # twice is no mistake
            assert cli.execute(["arm", name, "probe"]) == 0
        assert [act["action"] for act in audit.verify(name)] == ["arm", "disarm", "disarm", "arm"]


def test_arming_says_what_is_wrong(capsys):
    with Rig(SYMBOLS, probe()) as rig:
        assert cli.execute(["arm", rig.segment.name, "porbe"]) == 2
        assert "has no strategy 'porbe'; it has probe" in capsys.readouterr().err
        with pytest.raises(UsageError, match="0 to 63"):
            rig.segment.arm(64)
    with Segment.create("test-empty-strategies", []) as empty:
        assert cli.execute(["disarm", empty.name, "x"]) == 2
        assert "it has none" in capsys.readouterr().err


def test_arming_a_gateway_without_a_pipeline_is_not_said_to_be_done(capsys):
    with Rig(SYMBOLS, probe()) as rig:
        rig.publish()
        assert rig.segment.strategies()["probe"]["armed"] is True
        assert cli.execute(["disarm", rig.segment.name, "probe"]) == 1
        assert "probe not disarmed within 1 s" in capsys.readouterr().err
