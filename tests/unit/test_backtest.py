"""The backtest: every answer of the venue model against the golden one, two ways of keeping the market, one hash.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hwgw_sim.golden import itch
from hwgw_sim.golden import venue as golden
from hwgw_sim.stream import Stream, join, split
from support.recorded import SYMBOLS, latency, settings, strewn
from support.rig import compile_strategy

from hwgw import venue_model as models
from hwgw.backtest import figures, sweep
from hwgw.backtest import run as runs
from hwgw.errors import UsageError

SEED = int(os.environ.get("HWGW_SEED", "1"))  # conftest.py sets it
MESSAGES = int(os.environ.get("HWGW_MESSAGES", "100000"))


@pytest.fixture(scope="module")
def random_strategy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_strategy("random_strategy.c", tmp_path_factory.mktemp("strategy") / "random.so")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated feed with auctions, halts and resumptions strewn in."""
    path = tmp_path_factory.mktemp("feed") / "market.itch50"
    path.write_bytes(join(strewn(MESSAGES, SEED)))
    return path


def events(path: Path) -> Iterator[dict[str, int]]:
    for message in split(path.read_bytes()):
        event = itch.event(message)
        event["instrument"] = event["locate"] - 1 if event["locate"] else itch.INSTRUMENT_NONE
        yield event


def sent_orders(records: np.ndarray) -> Iterator[dict[str, int]]:
    """Every order that passed, as the venue gets it: replace and cancel with what was executed of their chain."""
    executed: dict[int, int] = {}
    for record in records:
        order = {name: int(record["order"][name]) for name in record["order"].dtype.names}
        kind, ref = order["kind"], order["ref"]
        if kind == golden.EXECUTED:
            executed[ref] = executed.get(ref, 0) + order["qty"]
        elif kind == golden.REPLACED:
            executed[ref] = executed.get(order["orig_ref"], 0)
        elif kind in (golden.NEW, golden.REPLACE, golden.CANCEL) and not record["record"]["verdict"]:
            if kind == golden.REPLACE:
                executed[ref] = executed.get(order["orig_ref"], 0)
                order["qty"] += executed[ref]
            elif kind == golden.CANCEL and order["qty"]:
                order["qty"] += executed.get(ref, 0)
            yield order


def referee(path: Path, result: runs.Result) -> golden.Venue:
    model = result.model
    venue = golden.Venue(
        SYMBOLS, model.order.ns.tolist(), model.answer.ns.tolist(), model.seed, impact=model.has_impact,
        fee_maker=model.fee_maker, fee_taker=model.fee_taker,
    )  # fmt: skip
    coming = [(venue.arrival(order["ts_ns"]), order) for order in sent_orders(result.records)]
    at = 0
    for event in events(path):
        while at < len(coming) and coming[at][0] < event["ts_ns"]:
            venue.arrive(coming[at][1], coming[at][0])
            at += 1
        venue.event(event)
    for arrival, order in coming[at:]:
        venue.arrive(order, arrival)
    return venue


def assert_alike(path: Path, result: runs.Result) -> golden.Venue:
    venue = referee(path, result)
    kinds = (golden.ACCEPTED, golden.REJECTED, golden.CANCELED, golden.EXECUTED, golden.REPLACED)
    told = result.records[np.isin(result.records["order"]["kind"], kinds)]["order"]
    ours = [{name: int(row[name]) for name in venue.answers[0]} for row in told]
    for index, (mine, theirs) in enumerate(zip(ours, venue.answers, strict=False)):
        assert mine == theirs, f"answer {index}, seed {SEED}"
    assert len(ours) == len(venue.answers)
    fills = [{name: int(row[name]) for name in venue.fills[0]} for row in result.fills]
    assert fills == venue.fills
    return venue


MODEL = models.Model(
    latency(3_000), latency(*range(5_000, 60_000, 7)), latency(*range(4_000, 9_000, 3)), -2000, 3000, seed=SEED
)


def test_every_answer_is_that_of_the_golden_venue(market: Path, random_strategy: Path) -> None:
    result = runs.run(market, settings(random_strategy, seed=SEED), MODEL)
    assert result.problems == ()
    assert result.halts == ()
    venue = assert_alike(market, result)
    causes = result.figures["fills_by_cause"]
    assert result.figures["messages"] >= MESSAGES
    assert len(venue.fills) > 500
    assert set(causes) == {"taker", "queue", "through", "crossed", "print"}, causes
    kinds = {answer["kind"] for answer in venue.answers}
    assert kinds == {golden.ACCEPTED, golden.REJECTED, golden.CANCELED, golden.EXECUTED, golden.REPLACED}
    assert result.figures["fees"] == pytest.approx(sum(fill["fee"] for fill in venue.fills) / 1e6)


@pytest.mark.parametrize("impact", [False, True])
def test_a_market_kept_twice_gives_the_same_journal(market: Path, random_strategy: Path, impact: bool) -> None:
    """One pass over one set of books is no approximation: books of the venue's own give the same bytes."""
    short = market.with_name("short.itch50")
    short.write_bytes(join(list(split(market.read_bytes()))[:30_000]))
    model = replace(MODEL, has_impact=impact)
    once = runs.run(short, settings(random_strategy, seed=SEED, every=2), model)
    twice = runs.run(short, settings(random_strategy, seed=SEED, every=2), replace(model, own_books=True))
    assert once.state["shares_books"]
    assert not twice.state["shares_books"]
    assert len(once.records) > 1000
    assert once.hash == twice.hash
    assert once.fills.tobytes() == twice.fills.tobytes()


def test_random_feed_latency_and_many_open_orders_agree_with_the_golden_venue(
    market: Path, random_strategy: Path
) -> None:
    """The market must be kept twice when messages overtake answers; 1,000 orders rest at once."""
    short = market.with_name("many.itch50")
    short.write_bytes(join(list(split(market.read_bytes()))[:20_000]))
    model = replace(
        MODEL, feed=latency(*range(0, 50_000, 11)), answer=latency(100, 90_000), has_impact=False, sample_ns=10**6
    )
    made = settings(random_strategy, seed=SEED, every=1, live_max=1000, market_pct=0, spread_px=5000)
    result = runs.run(short, made, model)
    assert not result.state["shares_books"]
    assert_alike(short, result)
    assert int(result.samples["open_cnt"].max()) > 100


def run_hash(path: str, strategy: str, seed: int) -> tuple[str, bytes]:
    result = runs.run(Path(path), settings(Path(strategy), seed=seed), MODEL)
    return result.hash, result.records.tobytes()[:96]


PINNED = {
    "{constant: 20us}": "fcee666f108841c188c2200c8e500cef",
    "{low: 5us, high: 90us}": "a8758d9465e76eafec66a011e767f13c",
    "{median: 30us, sigma: 0.8}": "bf4f123e60d1d7d69277c3bbc80369bb",
    "{histogram: measured.csv}": "ffa084eb6b29c415431a19255c1934dc",
}
"""The hash of all records of one feed, strategy and seed by latency of orders: another machine has to find the same.
They change when a record's layout does, or what the strategy of the tests is told; then they are found anew."""


@pytest.mark.parametrize("latency_text", PINNED)
def test_every_machine_has_the_same_journal(tmp_path: Path, random_strategy: Path, latency_text: str) -> None:
    feed = tmp_path / "feed.itch50"
    feed.write_bytes(join(strewn(20_000, 7)))
    (tmp_path / "measured.csv").write_text("latency_ns,count\n12000,70\n31000,25\n250000,5\n")
    others = "feed_latency: {low: 1us, high: 9us}\nanswer_latency: {constant: 7us}\nseed: 5\n"
    text = f"{others}order_latency: {latency_text}\n"
    model = models.loads(text.encode(), str(tmp_path / "model.yaml"))
    result = runs.run(feed, settings(random_strategy, seed=7, every=2), model)
    assert len(result.records) > 1000
    assert len(result.fills) > 100
    assert result.hash == PINNED[latency_text]


def busy(stop: Any) -> None:
    while not stop.is_set():
        sum(range(10_000))


@pytest.fixture
def load() -> Iterator[None]:
    """A process for each processor that does nothing else than to be in the way."""
    context = get_context("spawn")
    stop = context.Event()
    processes = [context.Process(target=busy, args=(stop,), daemon=True) for _ in range(os.cpu_count() or 1)]
    for process in processes:
        process.start()
    yield
    stop.set()
    for process in processes:
        process.join()


@pytest.mark.usefixtures("load")
def test_one_input_and_one_seed_give_one_journal(market: Path, random_strategy: Path) -> None:
    """Two processes in parallel, under load; `make determinism` does 100 runs. Another seed gives another journal."""
    count = int(os.environ.get("HWGW_RUNS", "8"))
    short = market.with_name("same.itch50")
    short.write_bytes(join(list(split(market.read_bytes()))[:20_000]))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run_hash, str(short), str(random_strategy), 7) for _ in range(count)]
        other = pool.submit(run_hash, str(short), str(random_strategy), 8)
        hashes = {future.result() for future in futures}
    assert len(hashes) == 1
    assert other.result()[0] not in {hash_ for hash_, _ in hashes}


def test_fee_rebates_and_positions_are_those_of_the_gate(market: Path, random_strategy: Path) -> None:
    """Cash and marks by hand, from the fills alone, are the equity that the gate has."""
    result = runs.run(market, settings(random_strategy, seed=SEED), MODEL)
    sign = np.where(result.fills["side"] == 1, 1, -1).astype(np.int64)
    money = int((sign * result.fills["px"].astype(np.int64) * result.fills["qty"]).sum())
    last = result.samples[-1]
    assert int(last["equity"]) == int(last["net"]) - money
    assert int(last["filled_notional"]) == int((result.fills["px"].astype(np.int64) * result.fills["qty"]).sum())


# ---- damage and nonsense ----


def test_a_feed_whose_time_goes_back_is_a_problem(market: Path, random_strategy: Path, tmp_path: Path) -> None:
    messages = list(split(market.read_bytes()))[:5000]
    late = messages[4000]
    messages[4000] = late[:5] + (1).to_bytes(6, "big") + late[11:]
    path = tmp_path / "back.itch50"
    path.write_bytes(join(messages))
    result = runs.run(path, settings(random_strategy), MODEL)
    said = "the time of 1 messages goes back, first of message 4001; allowed is a feed in order of time"
    assert result.problems == (f"{path}: {said}",)


GOOD = "feed_latency: {constant: 5us}\norder_latency: {constant: 20us}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("order_latency: {constant: 1us}\n", "1: feed_latency: missing"),
        (GOOD + "answer_latency: {constant: 1us, low: 2us}\n", "answer_latency: constant, low: one of constant"),
        (GOOD + "answer_latency: {low: 9us, high: 2us}\n", "low 9000 ns is not below high 2000 ns"),
        (GOOD + "answer_latency: {median: 9us}\n", "median and sigma belong together"),
        (GOOD + "answer_latency: {median: 9us, sigma: 0.5, max: 1us}\n", "max 1000 ns is below the median 9000 ns"),
        (GOOD + "answer_latency: {max: 1us}\n", "one of constant, low and high"),
        (GOOD + "answer_latency: {constant: -1us}\n", "-1us: not a duration"),
        (GOOD + "fees: {maker: -0.0040, taker: 0.0030}\n", "the venue pays for every trade"),
        (GOOD + "answer_latency: {histogram: nowhere.csv}\n", "nowhere.csv: No such file or directory"),
        (GOOD + "impcat: true\n", "unknown key (did you mean impact?)"),
        (GOOD + "sample: 1us\n", "sample: 1us: out of range"),
    ],
)
def test_models_that_make_no_sense_are_named(text: str, says: str) -> None:
    from hwgw.errors import ConfigError

    with pytest.raises(ConfigError) as told:
        models.loads(text.encode())
    assert says in str(told.value)


def test_a_histogram_keeps_its_shares(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("latency_ns,count\n1000,1\n5000,8\n90000,1\n")
    found = models.loads((GOOD + "answer_latency: {histogram: h.csv}\n").encode(), str(tmp_path / "model.yaml")).answer
    assert found.ns.tolist() == [1000, *[5000] * 8, 90000]
    for bad, says in (
        ("", "does not begin"),
        ("latency_ns,count\n1,x\n", "line 2"),
        ("latency_ns,count\n1,0\n", "nothing"),
    ):
        (tmp_path / "h.csv").write_text(bad)
        with pytest.raises(Exception, match=says):
            models.loads((GOOD + "answer_latency: {histogram: h.csv}\n").encode(), str(tmp_path / "model.yaml"))


# ---- as a user ----


def hwgw(*args: str) -> Any:
    return subprocess.run([sys.executable, "-m", "hwgw.cli", *args], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def aapl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("aapl")
    with Stream(3, 2, 100) as stream:
        (folder / "day.itch50").write_bytes(stream.records(20_000))
    (folder / "model.yaml").write_text(GOOD + "fees: {maker: -0.002, taker: 0.003}\n")
    return folder / "day.itch50", folder / "model.yaml"


def test_the_command_writes_what_it_says(aapl: tuple[Path, Path], tmp_path: Path) -> None:
    import json

    import pyarrow.parquet as pq

    feed, model = aapl
    done = hwgw(
        "backtest", str(feed), "--model", str(model), "--strategy", "builtin:imbalance", "--json",
        "--out", str(tmp_path), "--sweep", "enter_pct=10,30", "--latency", "0s:1ms:2", "--processes", "2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["schema"] == "hwgw.backtest/1"
    assert told["feeds"][0]["messages"] == 20_000
    assert [row["params"] for row in told["sweep"]] == [["enter_pct=10"], ["enter_pct=30"]]
    assert [row["delay_ns"] for row in told["latency"]] == [0, 1_000_000]
    assert told["latency"][0]["pnl"] == told["feeds"][0]["pnl"]
    assert pq.read_table(tmp_path / "fills.parquet").num_rows == told["feeds"][0]["fills"] > 0
    assert pq.read_table(tmp_path / "orders.parquet").num_rows > 0
    rows = pq.read_table(tmp_path / "sweep.parquet").to_pylist()
    assert [(row["param_enter_pct"], row["pnl"]) for row in rows] == [
        (pct, each["pnl"]) for pct, each in zip(("10", "30"), told["sweep"], strict=True)
    ]
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 4
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert json.loads((tmp_path / "result.json").read_text())["total"]["pnl"] == told["total"]["pnl"]


def test_what_earned_most_on_the_feeds_before_is_tried_on_the_next() -> None:
    """By hand: over two feeds the sums are a: 3, b: 5, c: 1 and then a: -6, b: -3, c: -10; a and c begin alike."""
    earned = {"a": (1, 2, -8, 4), "b": (6, -1, -2, 5), "c": (1, 0, -10, 4)}
    nothing = dict.fromkeys((*figures.ADDS, "drawdown_max", "exposure_gross_max"), 0)
    feeds = [Path(f"day{number}") for number in range(4)]
    rows = [
        {**nothing, "feed": str(feed), "params": [f"edge={name}"], "pnl": pnl[number]}
        for name, pnl in earned.items()
        for number, feed in enumerate(feeds)
    ]
    found = sweep.walk_forward(rows, feeds, 2)
    assert [(row["params"], row["trained_on"], row["feed"]) for row in found] == [
        (["edge=b"], ["day0", "day1"], "day2"), (["edge=b"], ["day1", "day2"], "day3"),
    ]  # fmt: skip
    assert [(row["pnl_trained"], row["pnl"]) for row in found] == [(5, -2), (-3, 5)]
    alike = [row for row in rows if row["params"] != ["edge=b"]]
    assert [row["params"] for row in sweep.walk_forward(alike, feeds, 1)] == [["edge=a"], ["edge=a"], ["edge=a"]]
    with pytest.raises(UsageError, match="1 to 3 are allowed with 4 feeds"):
        sweep.check_walk(feeds, 4)


def test_a_walk_forward_is_in_the_report_and_its_rows_are_those_of_the_sweep(
    aapl: tuple[Path, Path], tmp_path: Path
) -> None:
    import json

    import pyarrow.parquet as pq

    feeds = []
    for number in range(3):
        feeds.append(tmp_path / f"day{number}.itch50")
        with Stream(SEED + number, 2, 100) as stream:
            feeds[-1].write_bytes(stream.records(8_000))
    out = tmp_path / "out"
    done = hwgw(
        "backtest", *map(str, feeds), "--model", str(aapl[1]), "--strategy", "builtin:imbalance", "--json",
        "--sweep", "enter_pct=10,30", "--walk-forward", "1", "--processes", "1", "--out", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    pnl = {(row["feed"], row["params"][0]): row["pnl"] for row in told["sweep"]}
    assert len(pnl) == 6
    for row, before, after in zip(told["walk_forward"], feeds, feeds[1:], strict=False):
        best = max(("enter_pct=10", "enter_pct=30"), key=lambda each: pnl[str(before), each])
        assert (row["params"], row["trained_on"], row["feed"]) == ([best], [str(before)], str(after))
        assert (row["pnl_trained"], row["pnl"]) == (pnl[str(before), best], pnl[str(after), best])
    rows = pq.read_table(out / "walk_forward.parquet").to_pylist()
    assert [(row["feed"], row["pnl"]) for row in rows] == [(row["feed"], row["pnl"]) for row in told["walk_forward"]]
    page = (out / "report.html").read_text()
    assert page.count("<h2>Walk forward</h2>") == page.count("<h2>Sweep</h2>") == 1


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--strategy", "builtin:none"], 3, "no built-in 'none'"),
        (["--strategy", "builtin"], 2, "--strategy builtin: not a strategy"),
        (["--strategy", "builtin:imbalance", "--param", "qty=x"], 2, "--param qty x: not a number"),
        (["--strategy", "builtin:imbalance", "--param", "qt=1"], 3, "unknown parameter qt"),
        (["--strategy", "builtin:imbalance", "--symbol", "NOBODY"], 1, "no message of the symbols"),
        (["--strategy", "builtin:imbalance", "--latency", "1:2:3"], 2, "FROM:TO:STEPS"),
        (["--strategy", "builtin:imbalance", "--walk-forward", "1"], 2, "name one"),
        (["--strategy", "builtin:imbalance", "--sweep", "qty=1,2", "--walk-forward", "1"], 2, "name at least two"),
        ([], 2, "--config or --strategy"),
    ],
)
def test_mistakes_are_named(aapl: tuple[Path, Path], args: list[str], code: int, says: str) -> None:
    done = hwgw("backtest", str(aapl[0]), "--model", str(aapl[1]), *args)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_feed_or_is_cut_is_named(aapl: tuple[Path, Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut.itch50"
    cut.write_bytes(aapl[0].read_bytes()[:-5])
    other = tmp_path / "other.itch50"
    other.write_bytes(b"GET / HTTP/1.1\r\n")
    for path, says in ((cut, "allowed are whole records"), (other, "is no ITCH 5.0 message")):
        done = hwgw("backtest", str(path), "--model", str(aapl[1]), "--strategy", "builtin:imbalance")
        assert done.returncode == 1, done.stderr
        assert says in done.stderr
