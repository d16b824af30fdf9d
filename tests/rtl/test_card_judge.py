"""A pipeline whose orders the card's gate judges, alone or beside the host's; and a card that lies, or says nothing.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hwgw_sim.card
import numpy as np
import pytest
from hwgw_sim.stream import Stream
from support.desk import probe
from support.lying import Liar
from support.rig import Rig, add, compile_strategy, open_limits

from hwgw import specs
from hwgw.errors import ConfigError
from hwgw.native import call, ffi, lib

SYMBOLS = ("S0000000", "S0000001", "S0000002", "S0000003")
MESSAGES = 4000


@pytest.fixture(scope="module")
def library() -> str:
    """The simulated card."""
    if why := hwgw_sim.card.missing():
        pytest.skip(why)
    return str(hwgw_sim.card.build())


@pytest.fixture(scope="module")
def strategy(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The strategy that orders at random."""
    built = compile_strategy("random_strategy.c", tmp_path_factory.mktemp("strategy") / "random.so")
    found = ffi.new("const struct hwgw_strategy **")
    call(lib.hwgw_strategy_load, found, str(built).encode())
    return found[0]


def narrow(cnt: int, **instrument: int) -> np.ndarray:
    """Limits of which random orders find some."""
    limits = open_limits(cnt)
    row = limits["instrument"][0, :cnt]
    for name, value in ({"qty_max": 350, "collar_q16": 20, "collar_px_min": 0} | instrument).items():
        row[name] = value
    limits["account"]["open_max"] = 3
    return limits


def answers(rig: Rig) -> Counter[str]:
    """Orders by what the gate said."""
    counters = rig.segment.counters()
    found = {name: value for name, value in counters.items() if name.startswith("risk.refused_") and value}
    return Counter(found | {"passed": counters["risk.passed"]})


def reasons(rig: Rig) -> dict[str, str]:
    """What it is halted for."""
    return {row["reason"]: row["text"] for row in rig.segment.halts}


def test_host_card_and_both_say_the_same_of_the_same_orders(library: str, strategy: Any, seed: int) -> None:
    with Stream(seed % 2**32, len(SYMBOLS), 200) as stream:
        messages = stream.messages(MESSAGES)
    found = {}
    for where in ("host", "card", "both"):
        orders = [(strategy, {"seed": seed % 2**31, "every": 3, "spread_px": 3000})]
        with Rig(SYMBOLS, orders, limits=narrow(len(SYMBOLS)), risk=(where, library)) as rig:
            for message in messages:
                rig.feed(message)
            rig.publish()
            found[where] = answers(rig)
            assert reasons(rig) == {}
            rig.ledgers()
            counters = {name: rig.cnt(f"card.{name}") for name in ("records", "verdicts", "differs", "timeouts")}
        assert (counters["differs"], counters["timeouts"]) == (0, 0)
        assert (counters["records"] > MESSAGES // 10) == (where != "host")
        assert counters["records"] == counters["verdicts"]
    assert found["host"] == found["card"] == found["both"]
    assert found["host"]["passed"] > 10 < found["host"]["risk.refused_qty"]
    assert len(found["host"]) > 2


@contextmanager
def desk(where: str, library: str) -> Iterator[tuple[Rig, Callable[[], Counter[str]]]]:
    """A pipeline with the probe, and what makes it order once."""
    with Rig(("AAPL",), probe(), risk=(where, library)) as rig:
        rig.quote()
        count = 0

        def once() -> Counter[str]:
            nonlocal count
            count += 1
            before = answers(rig)
            rig.feed(add(1, "AAPL", 10_000 + count, "B", 100, 1_000_000 + count))
            return answers(rig) - before

        yield rig, once


@pytest.mark.parametrize("where", ["card", "both"])
def test_limits_and_halts_reach_the_card(library: str, where: str) -> None:
    with desk(where, library) as (rig, once):
        assert once() == {"passed": 1}
        rig.segment.publish_limits(narrow(1, qty_max=99))
        assert once() == {"risk.refused_qty": 1}
        rig.segment.publish_limits(open_limits(1))
        assert once() == {"passed": 1}
        rig.segment.halt("for the test", "operator")
        assert once() == {"risk.refused_halted": 1}
        rig.segment.resume()
        assert once() == {"passed": 1}
        rig.publish()
        assert (rig.cnt("card.differs"), rig.cnt("card.timeouts")) == (0, 0)
        assert rig.cnt("card.records") == rig.cnt("card.verdicts")


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_difference_halts_and_the_order_does_not_leave(library: str, tmp_path: Path, is_refused: bool) -> None:
    liar = Liar(library, tmp_path)
    collar = next(reason.code for reason in specs.reasons() if reason.name == "collar")
    with desk("both", liar.path) as (rig, once):
        assert once() == {"passed": 1}
        ref = rig.cnt("risk.orders") + 1
        if is_refused:
            rig.segment.publish_limits(narrow(1, qty_max=99))
        liar.says.lie_ref, liar.says.lie_reason = ref, 0 if is_refused else collar
        assert once() == {"risk.refused_qty" if is_refused else "risk.refused_collar": 1}
        sides = "host says qty, the card pass" if is_refused else "host says pass, the card collar"
        assert reasons(rig) == {"card": f"order {ref}, kind 1, instrument 0: the {sides}"}
        assert once() == {"risk.refused_halted": 1}
        assert rig.cnt("card.differs") >= 1
        if not is_refused:  # the host's gate was given its order back, the card never had it
            rig.publish()
            assert rig.segment.thread_status()[0]["open_orders"] == 0


@pytest.mark.parametrize("where", ["card", "both"])
def test_a_card_that_does_not_answer_halts_for_good(library: str, tmp_path: Path, where: str) -> None:
    liar = Liar(library, tmp_path)
    with desk(where, liar.path) as (rig, once):
        assert once() == {"passed": 1}
        liar.says.lie_mute = 1
        assert once() == {"risk.refused_halted": 1}
        assert list(reasons(rig)) == ["card"]
        assert "does not answer" in reasons(rig)["card"]
        rig.segment.resume()
        assert once() == {"risk.refused_halted": 1}
        liar.says.lie_mute = 0
        rig.segment.resume()
        assert once() == {"risk.refused_halted": 1}
        assert list(reasons(rig)) == ["card"]
        assert rig.cnt("card.timeouts") == 1
        rig.publish()
        assert rig.segment.thread_status()[0]["open_orders"] == 0


def test_a_card_that_cannot_be_is_an_error(library: str, tmp_path: Path) -> None:
    (tmp_path / "nothing.so").write_bytes(b"nothing")
    for path, text in (("", "no library of the simulated card"), (str(tmp_path / "nothing.so"), "cannot be loaded")):
        with pytest.raises(ConfigError if not path else Exception, match=text), Rig(("AAPL",), risk=("both", path)):
            pass
