"""Strategies on paper: orders that are judged, filled by a model and recorded, and never reach the session.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support import rig as r
from support import soup_venue as sv
from support.desk import Desk, probe, session_cfg
from support.rig import Rig

from hwgw import config, journal
from hwgw.demo.stage import gateway_yaml
from hwgw.errors import ConfigError
from hwgw.journal.writer import Writer
from hwgw.native import ffi, lib
from hwgw.settings import Journal
from hwgw.strict_yaml import ProblemsError

BID, ASK = 1_000_000, 1_000_200


def live_state(desk: Desk) -> tuple[Any, ...]:
    """What a strategy on paper must not change."""
    segment = desk.rig.segment
    desk.rig.publish()
    counters = segment.counters()
    stages = ("risk.", "order.", "session.", "strategy.")
    kept = {name: cnt for name, cnt in counters.items() if name.startswith(stages)}
    return kept, segment.exposure(), [row.tobytes() for row in segment.positions], segment.halts, segment.strategies()


def test_an_order_on_paper_never_reaches_the_session(tmp_path: Path) -> None:
    """It is judged, filled at the ask by the model and recorded, in a segment and a journal of its own."""
    with Desk(journal_sz_bytes=2**20, orders=0, paper=probe(orders=1, every=1)) as desk:
        rig, paper = desk.rig, desk.rig.paper
        assert paper is not None
        before = live_state(desk)
        rig.quote("AAPL", 1, BID, ASK)
        desk.until(lambda: int(paper.positions[0]["pos"]) == 100)
        rig.feed(r.add(1, "AAPL", 1003, "B", 10, BID + 100))
        desk.until(lambda: int(paper.positions[0]["pos"]) == 200)
        rig.publish()
        counters = paper.counters()
        assert (counters["risk.passed"], counters["order.encoded"]) == (2, 2)
        assert int(paper.positions[0]["cash"]) == -200 * ASK  # 300 of the 500 shares of the feed's order are left
        assert paper.strategies()["probe"]["mode"] == "paper"
        after = live_state(desk)
        calls = "strategy.calls"
        assert after[0].pop(calls) >= before[0].pop(calls)
        assert after == before
        assert desk.packets[2:] == []
        assert desk.cnt("order.encoded") == 0
        for segment in (rig.segment, paper):
            assert Writer(segment, Journal(str(tmp_path), ring_bytes=2**20), segment.name).close() == 0
        kinds = [
            [int(record.order()["kind"]) for record in journal.records(block) if record.type == "gate"]
            for file in journal.files_of(tmp_path, paper.name)
            for block in journal.blocks(file)
        ]
        assert sum(kind == 1 for each in kinds for kind in each) == 2
        live = [
            int(record.order()["kind"])
            for file in journal.files_of(tmp_path, rig.segment.name)
            for block in journal.blocks(file)
            for record in journal.records(block)
            if record.type == "gate"
        ]
        assert 1 not in live
        assert 7 not in live


def test_what_halts_or_uses_up_paper_leaves_the_live_gate_alone_and_the_other_way_round() -> None:
    limits = r.open_limits(3)
    limits["strategy"]["fills_max"] = 2
    with Desk(orders=1, every=1, limits=limits, paper=probe(orders=1, every=1)) as desk:
        rig, paper = desk.rig, desk.rig.paper
        assert paper is not None
        rig.quote("AAPL", 1, BID, ASK)
        for turn in range(4):
            rig.feed(r.add(1, "AAPL", 1003 + turn, "B", 1, BID + 1 + turn))
            rig.step()
        rig.publish()
        counters = paper.counters()
        assert counters["risk.refused_strategy"] > 0  # two fills of the model have tired it
        assert not paper.strategies()["probe"]["armed"]
        assert rig.segment.strategies()["probe"]["armed"]
        passed = desk.cnt("risk.passed")
        assert passed == desk.cnt("risk.orders") == 5
        paper.halt("a test says so")
        rig.feed(r.add(1, "AAPL", 1100, "B", 1, BID + 50))
        assert desk.cnt("risk.passed") == passed + 1
        rig.segment.halt("likewise")
        paper.resume()
        rig.feed(r.add(1, "AAPL", 1101, "B", 1, BID + 51))
        assert desk.cnt("risk.passed") == passed + 1
        assert paper.halts == ()


def test_a_cancel_on_paper_is_known_by_its_order_whatever_instrument_it_names() -> None:
    """What a strategy leaves in the field is no place in the segment: the data process is the live strategies', too."""
    sent: list[int] = []

    def hook(hook: Any, _state: Any, out: Any, _out_max: int) -> int:
        if hook.cause == lib.HWGW_HOOK_CAUSE_ORDER or not hook.flags & lib.HWGW_HOOK_FLAGS_TWO_SIDED:
            return 0
        out[0].instrument = 0x7FFFFFFF
        if sent:
            out[0].kind, out[0].ref = lib.HWGW_ORDER_KIND_CANCEL, 1
        else:
            out[0].kind, out[0].instrument, out[0].qty, out[0].px = lib.HWGW_ORDER_KIND_NEW, 0, 100, BID - 100
            out[0].side, out[0].type = lib.HWGW_ORDER_SIDE_BUY, lib.HWGW_ORDER_TYPE_LIMIT
            out[0].tif = lib.HWGW_ORDER_TIF_DAY
        sent.append(out[0].kind)
        return 1

    fn, name = ffi.callback("hwgw_strategy_fn", hook), ffi.new("char[]", b"careless")
    desc = ffi.new("struct hwgw_strategy *", {"abi": lib.HWGW_SEGMENT_ABI, "depth": 1, "name": name, "fn": fn})
    with Desk(orders=0, paper=[(desc, {})]) as desk:
        rig, paper = desk.rig, desk.rig.paper
        assert paper is not None
        rig.quote("AAPL", 1, BID, ASK)
        rig.feed(r.add(1, "AAPL", 1003, "B", 10, BID + 100))
        rig.publish()
        assert sent == [lib.HWGW_ORDER_KIND_NEW, lib.HWGW_ORDER_KIND_CANCEL]
        assert paper.counters()["order.encoded"] == 2
        assert int(paper.threads[0]["open_cnt"]) == 0


def test_an_order_on_paper_for_no_instrument_is_not_sent_to_the_model() -> None:
    """With the checks of the gate off it comes that far."""
    limits = r.open_limits(3)
    limits["checks_enabled"] = 0
    limits["instrument"][0, 900] = limits["instrument"][0, 0]
    with Desk(orders=0, limits=limits, paper=probe(orders=1, every=1, instrument=900, px=BID)) as desk:
        rig, paper = desk.rig, desk.rig.paper
        assert paper is not None
        rig.quote("AAPL", 1, BID, ASK)
        rig.publish()
        counters = paper.counters()
        assert (counters["risk.passed"], counters["order.drop_encode"], counters["order.encoded"]) == (1, 1, 0)
        assert int(paper.threads[0]["open_cnt"]) == 0


def test_a_pipeline_takes_no_strategy_of_another_mode() -> None:
    """By construction: one on paper cannot be opened beside a session, nor a live one in a twin."""
    venue = sv.Venue()
    try:
        for mode in ("paper", "shadow"):
            with pytest.raises(ConfigError, match=r"strategy 'probe' has mode [12], its pipeline 0"):
                Rig(["AAPL"], probe(orders=1), session=session_cfg(venue.port), mode=mode)
    finally:
        venue.close()


# ---- configuration ----


def settings(tmp_path: Path, strategies: list[dict[str, Any]], **keys: Any) -> config.Settings:
    made = gateway_yaml("gw", ["AAPL"], {"backend": "udp", "local_address": "127.0.0.1"}, "127.0.0.1", 1)
    made["strategies"] = strategies
    bucket = made["limits"]["strategies"]["revert"]
    made["limits"]["strategies"] = {row["name"]: dict(bucket) for row in strategies if row.get("mode") != "shadow"}
    path = tmp_path / "gw.yaml"
    path.write_text(yaml.safe_dump({**made, **keys}))
    return config.load(path)


def strategy(name: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "use": "builtin:mean_reversion", "account": 1, **keys}


PAPER = {"latency": "50us"}


def test_a_shadow_has_the_limits_of_the_one_it_is_beside(tmp_path: Path) -> None:
    rows = [strategy("a"), strategy("b", mode="shadow", of="a"), strategy("c", mode="paper", account=2)]
    found = settings(tmp_path, rows, paper=PAPER)
    assert [(each.mode, each.of) for each in found.strategies] == [("live", ""), ("shadow", "a"), ("paper", "")]
    assert found.limits.strategies[1] == found.limits.strategies[0]
    assert found.paper
    model = found.paper.model
    assert [each.ns.tolist() for each in (model.feed, model.order, model.answer)] == [[0], [50_000], [0]]
    assert model.has_impact


@pytest.mark.parametrize(
    ("rows", "keys", "says"),
    [
        (
            [strategy("a", mode="paper")],
            {},
            "paper: missing; a strategy that is not live needs paper.latency or paper.model",
        ),
        ([strategy("a")], {"paper": PAPER}, "no strategy has mode paper or shadow"),
        ([strategy("a"), strategy("b", mode="shadow")], {"paper": PAPER}, "of: missing: not a live strategy; a are"),
        ([strategy("a", of="a")], {}, "of: a: goes with mode: shadow"),
        ([strategy("a"), strategy("b", mode="shadow", of="a", account=2)], {"paper": PAPER}, "has 1"),
        ([strategy("a", mode="dark")], {}, "mode"),
        ([strategy("a", mode="paper")], {"paper": PAPER, "name": "n" * 26}, "longer than 25"),
        ([strategy("a")], {"name": "x-shadow"}, "ends like the segment"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, rows: Any, keys: Any, says: str) -> None:
    with pytest.raises(ProblemsError) as error:
        settings(tmp_path, rows, **keys)
    assert says in "\n".join(map(str, error.value.problems))
