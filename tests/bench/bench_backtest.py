"""Backtests: messages per second through pipeline and venue model, beside the same messages into books alone.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwgw_sim.stream import Stream

from hwgw.backtest import model, setting
from hwgw.backtest.run import Opened
from hwgw.feeds.books import FeedBooks
from hwgw.feeds.source import open_source

from .harness import Options, Result, Unavailable, by_turns, compile_shared, result

SYMBOLS, LIVE = 8, 5000
OPEN = 1000
RESTING = Path(__file__).with_name("backtest_resting.c")
MODEL = b"feed_latency: {constant: 5us}\norder_latency: {constant: 20us}\n"
BASELINE = "books alone"


def _scan(batches: list[Any], symbols: list[str]) -> float:
    books = FeedBooks(symbols)
    start = time.thread_time()
    for batch in batches:
        books.apply(batch)
    return sum(map(len, batches)) / (time.thread_time() - start)


def _backtest(batches: list[Any], settings: Any, told: dict[str, Any]) -> float:
    opened = Opened(settings, model.loads(MODEL))
    try:
        start = time.thread_time()
        for batch in batches:
            opened.messages(batch.data, batch.messages)
            opened.rows()
        took = time.thread_time() - start
        told.update(opened.state(), orders_passed=opened.segment.counters()["risk.passed"])
    finally:
        opened.close()
    return sum(map(len, batches)) / took


def run(options: Options) -> list[Result]:
    """With a strategy that never orders, and with one that keeps 1,000 orders in the market."""
    count = options.size(3_000_000, 20_000)
    with tempfile.TemporaryDirectory() as folder, Stream(options.seed, SYMBOLS, LIVE) as stream:
        feed = Path(folder) / "feed.itch50"
        feed.write_bytes(stream.records(count))
        batches, symbols = list(open_source(feed).batches()), setting.symbols_of(feed)
        try:
            resting = compile_shared(RESTING, Path(folder))
        except Unavailable as error:
            options.leave_out("backtest_open_msgs_per_s", str(error))
            return []
        cases = [("backtest_msgs_per_s", 0), ("backtest_open_msgs_per_s", options.size(OPEN, 50))]
        found = []
        for name, orders in cases:
            chosen = setting.strategy(f"c:{resting}", [f"orders={orders}"])
            settings = setting.of_strategy(chosen, symbols)
            settings = replace(
                settings, limits=replace(settings.limits, checks_off=("duplicate", "self_cross", "short_sale"))
            )
            told: dict[str, Any] = {}
            ours, alone = by_turns(
                options.runs(), lambda s=settings, t=told: _backtest(batches, s, t), lambda: _scan(batches, symbols)
            )
            options.say(f"{name}: {count:,} messages, {told['open_cnt']:,} open, {told['fills']:,} fills")
            if orders and not told["open_cnt"]:
                raise RuntimeError(f"{name}: no order is open")
            found.append(result(name, "1/s", ours, BASELINE, alone))
    return found
