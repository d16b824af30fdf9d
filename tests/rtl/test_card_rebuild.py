"""The card's gate rebuilt from a journal: it refuses and passes by what was before.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from typing import Any

import hwgw_sim.card
import pytest
from support import rig as r
from support.desk import SYMBOLS, probe
from support.lying import Liar
from support.restored import RING, Day, Records, Restored, judged, opening, restored
from support.rig import compile_strategy, open_limits

from hwgw.errors import CheckFailed
from hwgw.native import call, ffi, lib

TURNS = 25


@pytest.fixture(scope="module")
def library() -> str:
    """The simulated card."""
    if why := hwgw_sim.card.missing():
        pytest.skip(why)
    return str(hwgw_sim.card.build())


@pytest.fixture(scope="module")
def day(seed: int) -> Day:
    """Judged by the host, with limits that refuse some."""
    limits = open_limits(len(SYMBOLS))
    limits["instrument"][0, : len(SYMBOLS)]["qty_max"] = 250
    return Day(random.Random(seed), TURNS, limits=limits)


def agree(again: Restored, day: Day) -> None:
    """The venue has no more than is on record, and says so."""
    messages, ref = day.until(len(day.records.ends))
    again.log_in(messages + 1, day.store[messages:], ref + 1)
    again.until(lambda: again.halts() == {}, "the venue agrees")


def same(again: Restored) -> int:
    """The card has answered everything as the host; how many records it had."""
    again.rig.publish()
    assert (again.rig.cnt("card.differs"), again.rig.cnt("card.timeouts")) == (0, 0)
    assert again.rig.cnt("card.verdicts") > 0
    return again.rig.cnt("card.verdicts")


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_the_card_alone_knows_exposure_to_the_share(library: str, day: Day, side: str) -> None:
    records = day.records.first(len(day.records.ends))
    orders = probe(side=getattr(lib, f"HWGW_ORDER_SIDE_{side}"), px=1_000_100, instrument=0)
    with restored(opening(), records, risk=("card", library), strategies=orders) as again:
        assert same(again) > len(day.refs)
        agree(again, day)
        row = again.rig.segment.positions[0]
        worst = int(row["long_worst" if side == "BUY" else "short_worst"])
        assert worst != 0
        found = {}
        for room in (99, 100):
            limits = open_limits(len(SYMBOLS))
            limits["instrument"][0, 0]["long_max" if side == "BUY" else "short_max"] = worst + room
            again.rig.segment.publish_limits(limits)
            before = again.rig.cnt("risk.passed"), again.rig.cnt("risk.refused_position")
            if room == 99:
                again.rig.quote()
            else:
                again.rig.feed(r.add(1, "AAPL", 10_000, "B", 100, 1_000_050))
            found[room] = again.rig.cnt("risk.passed") - before[0], again.rig.cnt("risk.refused_position") - before[1]
        assert found == {99: (0, 1), 100: (1, 0)}
        same(again)


def test_both_gates_go_on_alike_after_a_restart(
    library: str, day: Day, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    built = compile_strategy("random_strategy.c", tmp_path_factory.mktemp("strategy") / "random.so")
    strategy = ffi.new("const struct hwgw_strategy **")
    call(lib.hwgw_strategy_load, strategy, str(built).encode())
    orders: list[tuple[Any, dict[str, int]]] = [(strategy[0], {"seed": seed % 2**31, "every": 3, "spread_px": 3000})]
    limits = open_limits(len(SYMBOLS))
    limits["instrument"][0, : len(SYMBOLS)]["long_max"] = 3_000
    limits["strategy"]["rejects_run_max"] = 30
    records = day.records.first(len(day.records.ends))
    options: dict[str, Any] = {"strategies": orders, "limits": limits, "journal_sz_bytes": RING}
    with restored(opening(), records, risk=("both", library), **options) as again:
        before = same(again)
        agree(again, day)
        for locate, symbol in enumerate(SYMBOLS, 1):
            again.rig.quote(symbol, locate)
        for turn in range(100):  # each raises the best bid of a book, between 100.0000 and 100.0200
            locate = 1 + turn % len(SYMBOLS)
            again.rig.feed(r.add(locate, SYMBOLS[locate - 1], 10_000 + turn, "B", 100, 1_000_001 + turn))
        assert same(again) > before + 100
        assert again.rig.cnt("risk.passed") > 10
        assert again.halts() == {}
        own = Records(again.rig)
    found = judged(
        opening(), records, opening(), own.first(len(own.ends))
    )  # its allowances begin as those of a new gate
    assert (found.counts["differences"], found.contradiction, found.counts["rebuilt_runs"]) == (0, "", 1)


def test_a_card_that_answers_the_past_otherwise_is_an_error_of_the_start(library: str, day: Day, tmp_path: Any) -> None:
    liar = Liar(library, tmp_path)
    liar.says.lie_ref, liar.says.lie_reason = day.refs[0], 5
    records = day.records.first(len(day.records.ends))
    with pytest.raises(CheckFailed, match=f"cannot be rebuilt from the journal: order {day.refs[0]}, kind"):
        Restored(opening(), records, risk=("both", liar.path))
