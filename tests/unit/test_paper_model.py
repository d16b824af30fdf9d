"""The model of the venue on paper is that of a backtest: one file, one set of keys, the same answers and fills.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hwgw_sim.stream import join, split
from support import rig as r
from support.recorded import latency, settings, strewn
from support.rig import Rig, compile_strategy

from hwgw import config, journal
from hwgw.backtest import run as runs
from hwgw.demo.stage import gateway_yaml
from hwgw.errors import ConfigError
from hwgw.journal.writer import Writer
from hwgw.native import call, ffi, lib
from hwgw.risk.control import of_settings
from hwgw.settings import Journal, Model
from hwgw.strict_yaml import ProblemsError

SEED = int(os.environ.get("HWGW_SEED", "1"))  # conftest.py sets it
MESSAGES = 20_000
FEED_NS = 3_000
MODELS = {
    "a day's latencies": Model(
        latency(FEED_NS), latency(*range(5_000, 60_000, 7)), latency(*range(4_000, 9_000, 3)), -2000, 3000, seed=SEED
    ),
    "without impact": Model(latency(0), latency(20_000), latency(0), has_impact=False),
    "no way at all": Model(latency(0), latency(0), latency(0)),
}
TOLD = ("kind", "side", "ref", "orig_ref", "instrument", "px", "qty", "ts_ns", "venue_ref")
FEE = ("match", "ref", "fee", "cause")
ORDER, EXECUTED = (1, 2, 3), 7
NEWS = (*ORDER, 4, 5, 6, EXECUTED, 8)


def told(order: Any, verdict: int) -> tuple[int, ...]:
    return (verdict, *(int(order[name]) for name in TOLD))


def on_paper(path: Path, made: Any, model: Model, folder: Path) -> tuple[list[tuple[int, ...]], list[Any], int]:
    """What a twin's gate was told when the frames of a feed came at their times, by its journal; fees; the last time.

    Fees as (match, order, fee, cause).
    """
    (strategy,) = made.strategies
    desc = ffi.new("const struct hwgw_strategy **")
    call(lib.hwgw_strategy_load, desc, str(strategy.target).encode())
    limits = of_settings(made).table.copy()
    limits["account"][0, 0] = limits["account"][0, strategy.account]
    limits["beat_age_max_ns"] = 2**62
    paper = [(desc[0], dict(strategy.params))]
    with Rig(made.symbols, paper=paper, model=model, limits=limits, bare=True, journal_sz_bytes=2**26) as rig:
        twin, now_ns, feed_ns = rig.paper, 1, int(model.feed.ns[0])
        assert twin is not None
        lib.hwgw_pipeline_advance(rig.handle, now_ns)
        twin.beat()  # once: nobody else does on this clock
        for seq, message in enumerate(split(path.read_bytes()), 1):
            now_ns = max(now_ns, int.from_bytes(message[5:11], "big") + feed_ns)
            lib.hwgw_pipeline_advance(rig.handle, now_ns)
            rig.push(r.frame(r.mold(seq, [message])))
        assert twin.halts == ()
        assert twin.counters()["mold.messages"] == 0
        assert Writer(twin, Journal(str(folder), ring_bytes=2**26), twin.name).close() == 0
        records = [
            record
            for file in journal.files_of(folder, twin.name)
            for block in journal.blocks(file)
            for record in journal.records(block)
        ]
        gate = [told(each.order(), each.verdict) for each in records if each.type == "gate"]
        found = [row for row in gate if row[1] in NEWS]
        fees = [tuple(each.fields()[key] for key in FEE) for each in records if each.type == "fee"]
        (shown,) = (row["fees"] for row in twin.strategies().values())
        assert shown == sum(fee for _, _, fee, _ in fees)
    return found, fees, now_ns


@pytest.fixture(scope="module")
def random_strategy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_strategy("random_strategy.c", tmp_path_factory.mktemp("strategy") / "random.so")


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_paper_and_a_backtest_of_the_same_frames_fill_alike(
    tmp_path: Path, random_strategy: Path, model: Model
) -> None:
    """Every order, verdict and answer, with its terms and its nanosecond, and every fee."""
    path = tmp_path / "market.itch50"
    path.write_bytes(join(strewn(MESSAGES, SEED)))
    made = settings(random_strategy, seed=SEED)
    result = runs.run(path, made, model)
    assert result.problems == ()
    tested = [told(row["order"], int(row["record"]["verdict"])) for row in result.records]
    tested = [row for row in tested if row[1] in NEWS]
    paper, fees, end_ns = on_paper(path, made, model, tmp_path / "journal")
    for index, (ours, theirs) in enumerate(zip(paper, tested, strict=False)):
        assert ours == theirs, f"record {index}, seed {SEED}"
    assert {row[1] for row in paper} >= {*ORDER, 4, 6, EXECUTED, 8}
    assert sum(row[1] == EXECUTED for row in paper) > 100
    if model.fee_maker or model.fee_taker:
        match_at = 1 + TOLD.index("venue_ref")
        assert {row[match_at] for row in paper if row[1] == EXECUTED} <= {match for match, *_ in fees}
        assert {fee < 0 for _, _, fee, _ in fees} == {True, False}
        assert fees == [tuple(int(row[key]) for key in FEE) for row in result.fills[: len(fees)]]
    else:
        assert fees == []
    at_ns = 1 + TOLD.index("ts_ns")
    assert all(row[at_ns] >= end_ns for row in tested[len(paper) :])  # after the last frame nobody is told any more


# ---- configuration ----


def loaded(tmp_path: Path, paper: dict[str, Any]) -> config.Settings:
    made = gateway_yaml("gw", ["AAPL"], {"backend": "udp", "local_address": "127.0.0.1"}, "127.0.0.1", 1)
    made["strategies"] = [{"name": "a", "use": "builtin:mean_reversion", "account": 1, "mode": "paper"}]
    made["limits"]["strategies"] = {"a": made["limits"]["strategies"]["revert"]}
    path = tmp_path / "gw.yaml"
    path.write_text(yaml.safe_dump({**made, "paper": paper}))
    return config.load(path)


GOOD = """
feed_latency: {constant: 5us}
order_latency: {histogram: way.csv}
answer_latency: {low: 5us, high: 9us}
fees: {maker: -0.0020, taker: 0.0030}
seed: 7
"""


def test_a_gateway_names_the_model_of_a_backtest(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/m.yaml").write_text(GOOD)
    (tmp_path / "models/way.csv").write_text("latency_ns,count\n20000,3\n90000,1\n")
    paper = loaded(tmp_path, {"model": "models/m.yaml"}).paper
    assert paper is not None
    assert paper.model.order.ns.tolist() == [20_000, 20_000, 20_000, 90_000]
    assert (paper.model.feed.ns.tolist(), paper.model.fee_maker, paper.model.seed) == ([5000], -2000, 7)
    assert paper.text == "25 us away in the middle, by models/m.yaml"


@pytest.mark.parametrize(
    ("paper", "text", "says"),
    [
        ({}, "", "paper: missing; latency or model is needed"),
        ({"model": "none.yaml"}, "", "paper.model: none.yaml: No such file or directory"),
        (
            {"model": "m.yaml", "latency": "5us"},
            "order_latency: {constant: 9us}",
            "goes without latency: it has",
        ),
        ({"model": "m.yaml", "impact": False}, "order_latency: {constant: 9us}", "goes without impact: it has its own"),
        ({"model": "m.yaml"}, "order_latency: {low: 9us, high: 8us}", "m.yaml: 2: order_latency: low 9000 ns is not"),
        ({"model": "m.yaml"}, "order_latency: {constant: 9us}\nfees: {maker: -1}", "the venue pays for every trade"),
        (
            {"model": "m.yaml"},
            "order_latency: {constant: 4us}",
            "answer_latency from 4000 ns: on paper feed",
        ),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, paper: Any, text: str, says: str) -> None:
    (tmp_path / "m.yaml").write_text(f"feed_latency: {{constant: 5us}}\n{text}\n")
    with pytest.raises(ProblemsError) as error:
        loaded(tmp_path, paper)
    assert says in "\n".join(map(str, error.value.problems))


def test_a_feed_latency_that_varies_is_refused_by_the_file_and_by_the_pipeline(
    tmp_path: Path, random_strategy: Path
) -> None:
    (tmp_path / "m.yaml").write_text("feed_latency: {low: 1us, high: 5us}\norder_latency: {constant: 9us}\n")
    with pytest.raises(ProblemsError, match="on paper feed_latency is a constant"):
        loaded(tmp_path, {"model": "m.yaml"})
    desc = ffi.new("const struct hwgw_strategy **")
    call(lib.hwgw_strategy_load, desc, str(random_strategy).encode())
    for model in (
        replace(MODELS["no way at all"], feed=latency(1, 2)),
        replace(MODELS["no way at all"], feed=latency(5), answer=latency(4, 9)),
    ):
        with pytest.raises(ConfigError, match="on paper the feed latency of the model is a constant"):
            Rig(["AAPL"], paper=[(desc[0], {})], model=model)
