"""A day of the simulated exchange: the card judges, sends, and makes orders of rules beside those of the strategies.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import hwgw_sim.card
import pytest
from hwgw_sim.exchange.process import ExchangeProcess
from hwgw_sim.lab import Lab

from hwgw import rules
from hwgw.demo.report import failures, report
from hwgw.demo.stage import END_SECONDS, USER, Options, _exchange_options, attach, gateway_process, gateway_yaml, wire
from hwgw.errors import CheckFailed
from hwgw.journal import files_of
from hwgw.journal.again import again
from hwgw.segment import Segment
from hwgw.telemetry import snapshot

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(Lab.missing()), reason=f"no lab: {Lab.missing()}")]
RULES = 4
DEAREST = 199_000  # every sell order is offered at less


def test_a_day_with_rules_adds_up_on_all_sides_and_is_judged_again(tmp_path: Path) -> None:
    if why := hwgw_sim.card.missing():
        pytest.skip(why)
    hwgw_sim.card.build()
    name = f"rules-{os.getpid()}"
    options = Options(seconds=4, symbols=8, rate=2000, backend="card", card="sim", risk="both", send="card")
    with (
        wire("card", sends=True) as sides,
        ExchangeProcess(_exchange_options(options, sides), sides.exchange) as exchange,
    ):
        symbols = exchange.ready["names"]
        made = gateway_yaml(name, symbols, sides.receive, *exchange.ready["listen"], risk=(options.risk, options.send))
        usual = {"strategy": "revert", "when": "offered", "when_px": DEAREST, "side": "buy", "px": 1, "qty": 100}
        made["risk"]["rules"] = [
            {"name": f"rule{i}", "instrument": symbol, **usual} for i, symbol in enumerate(symbols[:RULES])
        ]
        made["journal"] = {"folder": str(tmp_path)}
        with (
            gateway_process(sides, made) as process,
            attach(name, process) as segment,
            Segment.attach(name, writable=True) as control,
        ):
            while exchange.process.poll() is None and process.poll() is None:
                for row in rules.rules(control).values():
                    px = int(control.tob(row["number"])["ask_px"])
                    if row["state"] in ("disarmed", "fired") and px:
                        with contextlib.suppress(CheckFailed):  # a busy machine
                            rules.arm(control, row["name"], [f"px={px / 10_000:.4f}"])
                time.sleep(0.05)
            statement = exchange.stop()
            process.send_signal(signal.SIGINT)
            process.wait(END_SECONDS)
            found = report(snapshot(segment), statement, USER, sides.backend)
            counters = segment.counters()
            rows = rules.rules(segment).values()
    assert failures(found) == []
    fired, passed = (sum(int(row[key]) for row in rows) for key in ("fired", "passed"))
    assert (fired, counters["card.differs"]) == (counters["card.fired"], 0)
    assert fired >= passed > RULES
    assert counters["loan.orders"] == counters["card.frames"] > passed  # those of the strategies
    replayed = again(files_of(tmp_path, name))
    assert replayed.counts["differences"] == 0
    assert replayed.compared > counters["risk.orders"] > fired
