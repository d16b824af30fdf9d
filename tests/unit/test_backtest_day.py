"""A backtest as a user sees it: who of a gateway.yaml trades, and what is said of a day.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from hwgw_sim.stream import Stream

from hwgw.demo.stage import gateway_yaml

SYMBOLS = ["S0000001", "S0000002"]
MODEL = "feed_latency: {constant: 5us}\norder_latency: {constant: 20us}\nfees: {maker: -0.002, taker: 0.003}\n"


def hwgw(*args: object) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "hwgw.cli", *map(str, args)], capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A generated feed of 20,000 messages, and a model."""
    folder = tmp_path_factory.mktemp("day")
    with Stream(3, len(SYMBOLS), 100) as stream:
        (folder / "day.itch50").write_bytes(stream.records(20_000))
    (folder / "model.yaml").write_text(MODEL)
    return folder / "day.itch50", folder / "model.yaml"


# ---- who trades ----


def gateway(path: Path, *modes: str) -> Path:
    """A gateway.yaml with a strategy of each mode, named by it and a letter; a shadow is beside the first."""
    made = gateway_yaml("gw", SYMBOLS, {"backend": "udp", "local_address": "127.0.0.1"}, "127.0.0.1", 1)
    bucket = made["limits"]["strategies"]["revert"]
    rows = []
    for letter, mode in zip("abc", modes, strict=False):
        row = {"name": f"{mode}_{letter}", "use": "builtin:imbalance", "mode": mode, "account": 1}
        rows.append({**row, "of": f"{modes[0]}_a"} if mode == "shadow" else row)
    made["strategies"] = rows
    made["limits"]["strategies"] = {row["name"]: dict(bucket) for row in rows}
    if set(modes) != {"live"}:
        made["paper"] = {"latency": "50us"}
    path.write_text(yaml.safe_dump(made))
    return path


def traded(day: tuple[Path, Path], config: Path, out: Path, *args: str) -> tuple[dict[str, Any], set[int]]:
    """What a backtest of a configuration says, and the numbers of the strategies that ordered."""
    done = hwgw("backtest", day[0], "--model", day[1], "--config", config, "--out", out, "--json", *args)
    assert done.returncode == 0, done.stderr
    orders = pq.read_table(out / "orders.parquet", columns=["strategy", "ref"]).to_pydict()
    return json.loads(done.stdout), {
        number for number, ref in zip(orders["strategy"], orders["ref"], strict=True) if ref
    }


def test_strategies_of_another_mode_take_no_part_and_are_named(day: tuple[Path, Path], tmp_path: Path) -> None:
    """What the live one does is what it does alone, to the byte."""
    all_three = gateway(tmp_path / "three.yaml", "live", "shadow", "paper")
    told, numbers = traded(day, all_three, tmp_path / "three")
    alone, _ = traded(day, gateway(tmp_path / "one.yaml", "live"), tmp_path / "one")
    assert (told["strategies"], told["left_out"]) == (["live_a"], {"shadow_b": "shadow", "paper_c": "paper"})
    assert numbers == {0}
    assert told["feeds"][0]["orders_passed"] > 10
    assert told["feeds"][0]["hash"] == alone["feeds"][0]["hash"]
    assert (alone["strategies"], alone["left_out"]) == (["live_a"], {})
    said = hwgw("backtest", day[0], "--model", day[1], "--config", all_three).stdout
    assert "left out: shadow_b (shadow), paper_c (paper); --mode" in " ".join(said.split())


@pytest.mark.parametrize(("mode", "number"), [("shadow", 1), ("paper", 2)])
def test_a_mode_that_is_asked_for_trades_alone_under_its_own_number(
    day: tuple[Path, Path], tmp_path: Path, mode: str, number: int
) -> None:
    config = gateway(tmp_path / "three.yaml", "live", "shadow", "paper")
    told, numbers = traded(day, config, tmp_path / "out", "--mode", mode, "--sweep", "qty=100,50", "--processes", "1")
    assert numbers == {number}
    assert len(told["strategies"]) == 1
    assert told["strategies"][0].startswith(mode)
    assert set(told["left_out"].values()) == {"live", "shadow", "paper"} - {mode}
    # a sweep is of the one that trades
    assert told["sweep"][0]["hash"] == told["feeds"][0]["hash"] != told["sweep"][1]["hash"]


@pytest.mark.parametrize(
    ("modes", "args", "says"),
    [
        (("paper",), (), "no strategy of mode live; there are paper_a (paper): --mode says which trade"),
        (("live",), ("--mode", "shadow"), "no strategy of mode shadow; there are live_a (live)"),
        ((), ("--strategy", "builtin:imbalance", "--mode", "paper"), "--mode paper: it goes with --config"),
    ],
)
def test_a_mode_that_nobody_has_is_a_mistake(
    day: tuple[Path, Path], tmp_path: Path, modes: tuple[str, ...], args: tuple[str, ...], says: str
) -> None:
    named = ("--config", gateway(tmp_path / "gw.yaml", *modes)) if modes else ()
    done = hwgw("backtest", day[0], "--model", day[1], *named, *args)
    assert (done.returncode, says in " ".join(done.stderr.split())) == (2, True), done.stderr


def test_a_replay_into_a_pipeline_leaves_the_same_out(day: tuple[Path, Path], tmp_path: Path) -> None:
    config = gateway(tmp_path / "two.yaml", "live", "paper")
    alone = gateway(tmp_path / "one.yaml", "live")
    told, one = (
        json.loads(hwgw("replay", day[0], "--to", "gateway", "--config", each, "--json").stdout)
        for each in (config, alone)
    )
    assert told["left_out"] == {"paper_b": "paper"}
    assert told["orders"] == one["orders"] > 0
