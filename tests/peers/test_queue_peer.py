"""Who stands where in a queue: our venue and hftbacktest's, the same market-by-order feed and the same orders.

SPDX-License-Identifier: MIT

Its market-by-order model (L3FIFOQueueModel, no partial fills) and ours without impact agree on who stands before whom.
What differs has two causes, docs/backtest.md: each difference has to be of one of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hwgw_sim.golden import itch
from hwgw_sim.golden import venue as golden
from hwgw_sim.stream import Stream, join, split
from support.rig import compile_strategy

from hwgw import venue_model as models
from hwgw.backtest import run as runs
from hwgw.backtest import setting

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build" / "peers" / "queue"
SEED = int(os.environ.get("HWGW_SEED", "1"))  # conftest.py sets it
MESSAGES = int(os.environ.get("HWGW_MESSAGES", "40000"))
ORDER_NS = 20_003

# hftbacktest/types.py of its wheel: what an event is, for whom, and of which side
EVENT = np.dtype(
    [("ev", "u8"), ("exch_ts", "i8"), ("local_ts", "i8"), ("px", "f8"), ("qty", "f8"), ("order_id", "u8"),
     ("ival", "i8"), ("fval", "f8")], align=True
)  # fmt: skip
ADD, CANCEL, MODIFY, FILL = 10, 11, 12, 13
FOR_ALL = 1 << 31 | 1 << 30
SIDES = {golden.BUY: 1 << 29, golden.SELL: 1 << 28}
FILLED = 3  # status, hftbacktest/order.py
ORDER = np.dtype(
    [(name, "i8") for name in ("sent_ns", "kind", "instrument", "side", "ref", "px", "qty", "type", "tif")]
)


class Feed(NamedTuple):
    """Symbols, the events of each for hftbacktest, and what comes at (instrument, ns): shares, prices of executions."""

    path: Path
    symbols: list[str]
    rows: list[list[tuple[Any, ...]]]
    shares: dict[tuple[int, int], list[int]]
    executed_px: dict[tuple[int, int], set[int]]


def feed_of(messages: list[bytes], path: Path) -> Feed:
    """The input of both, without trades outside the book: an execution is a fill, then what it leaves of its order."""
    path.write_bytes(join([message for message in messages if message[:1] != b"P"]))
    places = {int.from_bytes(message[1:3], "big"): message[11:19] for message in messages if message[:1] == b"R"}
    numbers = {locate: number for number, locate in enumerate(places)}
    symbols = [symbol.decode().strip() for symbol in places.values()]
    feed = Feed(path, symbols, [[] for _ in places], defaultdict(list), defaultdict(set))
    live: dict[int, list[int]] = {}
    for event in map(itch.event, messages):
        kind, ref, qty, at = event["kind"], event["ref"], event["qty"], event["ts_ns"]
        number = numbers.get(event["locate"], -1)

        def tell(what: int, ref: int, qty: int, number: int = number, at: int = at) -> None:
            side, px, _ = live[ref]
            feed.rows[number].append((what | FOR_ALL | SIDES[side], at, at + 1, px / 10_000, qty, ref, 0, 0.0))
            if what in (ADD, FILL):
                feed.shares[number, at].append(qty)
            if what == FILL:
                feed.executed_px[number, at].add(px)

        if kind == golden.ADD:
            live[ref] = [event["side"], event["px"], qty]
            tell(ADD, ref, qty)
        elif kind in (golden.EXECUTE, golden.EXECUTE_WITH_PRICE, golden.REDUCE):
            if kind != golden.REDUCE and event["flags"] & golden.PRINTABLE:
                tell(FILL, ref, qty)
            live[ref][2] -= qty
            tell(MODIFY if live[ref][2] else CANCEL, ref, live[ref][2])
        elif kind in (golden.DELETE, golden.FEED_REPLACE):
            tell(CANCEL, ref, 0)
            if kind == golden.FEED_REPLACE:
                live[event["ref_new"]] = [live[ref][0], event["px"], qty]
                tell(ADD, event["ref_new"], qty)
    return feed


def in_our_market(feed: Feed, strategy: Path, qty_max: int) -> runs.Result:
    """A backtest that takes nothing from the market, all delays constant."""
    chosen = setting.strategy(f"c:{strategy}", [f"qty_max={qty_max}", f"seed={SEED}"])
    made = setting.of_strategy(chosen, feed.symbols, 1 << 14)
    off = ("duplicate", "self_cross", "short_sale", "notional", "collar", "position", "credit", "loss")
    made = replace(made, limits=replace(made.limits, checks_off=off))
    delays = [models.Latency(np.array([ns], np.uint64), "test") for ns in (3_000, ORDER_NS, 4_000)]
    result = runs.run(feed.path, made, models.Model(*delays, 0, 0, has_impact=False, seed=SEED))
    assert result.problems == result.halts == ()
    return result


def sent(records: np.ndarray) -> np.ndarray:
    """Every order that passed the gate, in the order of sending."""
    orders = records["order"]
    kinds = np.isin(orders["kind"], (golden.NEW, golden.CANCEL))
    orders = orders[kinds & (records["record"]["verdict"] == 0)]
    found = np.zeros(len(orders), ORDER)
    for name in ORDER.names or ():
        found[name] = orders["ts_ns" if name == "sent_ns" else name]
    return found


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Feed, runs.Result, np.ndarray]]:
    """By case: the feed, our backtest and what became of its orders in the other market."""
    if not (PLACE / "hftbacktest").is_dir():
        pytest.skip(f"needs hftbacktest and its numpy in {PLACE}; make peers")
    folder = tmp_path_factory.mktemp("queue")
    strategy = compile_strategy("queue_strategy.c", folder / "queue.so")
    with Stream(SEED, 4, 200) as stream:
        generated = feed_of(stream.messages(MESSAGES), folder / "generated.itch50")
    cases = {"one share": (generated, 1), "many shares": (generated, 400)}
    recorded = ROOT.parent / "shared/data/itch50/aapl_20200130_first10k.itch50"
    if recorded.is_file():
        cases["recorded"] = (feed_of(list(split(recorded.read_bytes())), folder / "recorded.itch50"), 1)
    ours, files = {}, []
    for number, (name, (feed, qty_max)) in enumerate(cases.items()):
        ours[name] = in_our_market(feed, strategy, qty_max)
        files += [folder / f"{number}.npz", folder / f"{number}.npy"]
        # the clock there ends with the last event: one a second behind, of a bid that meets nobody
        end_ns = 10**9 + max(rows[-1][1] for rows in feed.rows)
        tail = (ADD | FOR_ALL | SIDES[golden.BUY], end_ns, end_ns + 1, 0.01, 1, 0, 0, 0.0)
        events = {f"events_{place}": np.array([*rows, tail], EVENT) for place, rows in enumerate(feed.rows)}
        np.savez(files[-2], orders=sent(ours[name].records), order_ns=ORDER_NS, **events)
    command = [sys.executable, str(Path(__file__).with_name("queue_peer.py")), *map(str, files)]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(PLACE)}, check=True, timeout=300)
    return {name: (cases[name][0], ours[name], np.load(files[2 * n + 1])) for n, name in enumerate(cases)}


def judged(feed: Feed, result: runs.Result, theirs: np.ndarray) -> Counter[str]:
    """Each order that was sent, by what both say of its first execution; a difference without a cause fails."""
    first: dict[int, np.void] = {}
    given: Counter[tuple[int, int]] = Counter()
    for fill in result.fills:
        first.setdefault(int(fill["ref"]), fill)
        if fill["cause"] != golden.TAKER:
            given[int(fill["instrument"]), int(fill["ts_ns"])] += int(fill["qty"])
    place = {int(row["ref"]): int(row["instrument"]) for row in sent(result.records)}
    seen: Counter[str] = Counter()
    for row in theirs:
        ref, mine = int(row["ref"]), first.get(int(row["ref"]))
        their_ns = int(row["exch_ns"]) if row["status"] == FILLED else 0
        our_ns = int(mine["ts_ns"]) if mine is not None else 0
        if our_ns == their_ns:
            assert mine is None or int(mine["px"]) == int(row["px"]), f"order {ref}, seed {SEED}"
            seen[CAUSES[int(mine["cause"])] if mine is not None else "not filled"] += 1
        elif mine is not None and (not their_ns or our_ns < their_ns):
            # better than every order of the feed: there nobody executes against it, as it is in no book
            executed = feed.executed_px[place[ref], our_ns]
            assert mine["cause"] == golden.THROUGH, f"order {ref}, seed {SEED}: {mine} {row}"
            assert any(golden.better(int(mine["side"]), int(mine["px"]), px) for px in executed)
            seen["ours earlier: better than the book"] += 1
        else:
            # whoever is reached has all it wants there; here orders before it had taken what there was
            brought = feed.shares[place[ref], their_ns]
            assert min(brought) <= given[place[ref], their_ns] <= sum(brought), f"order {ref}, seed {SEED}: {row}"
            seen["theirs earlier: no shares left"] += 1
    assert seen.total() == len(theirs) == int((sent(result.records)["kind"] == golden.NEW).sum())
    return seen


CAUSES = {golden.TAKER: "taker", golden.QUEUE: "queue", golden.THROUGH: "through", golden.CROSSED: "crossed"}


@pytest.mark.parametrize(
    ("case", "queue_min", "same_min"), [("one share", 400, 0.9), ("many shares", 100, 0.5), ("recorded", 30, 0.4)]
)
def test_orders_are_executed_when_hftbacktest_executes_them(
    markets: dict[str, tuple[Feed, runs.Result, np.ndarray]], case: str, queue_min: int, same_min: float
) -> None:
    """By the same events, at the same nanosecond and price; it takes some seconds to read the feeds twice."""
    if case not in markets:
        pytest.skip("needs ../shared/data/itch50")
    seen = judged(*markets[case])
    print(case, dict(seen))
    same = sum(count for what, count in seen.items() if "earlier" not in what)
    assert seen["queue"] >= queue_min, seen
    assert same >= same_min * seen.total(), seen
