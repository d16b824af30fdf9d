"""Backtests: messages per second through pipeline and venue model, beside the same messages into books alone.

SPDX-License-Identifier: MIT

Three days of ten million messages: a generated one of 8 instruments, one of 1,000 with 100,000 orders in the
market, and the recorded morning of AAPL (../shared/data) over and over, as 10,000 messages end before the caches know
them.
"""

from __future__ import annotations

import struct
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hwgw_sim.stream import Stream

from hwgw import specs
from hwgw import venue_model as model
from hwgw.backtest import setting
from hwgw.backtest.run import Opened
from hwgw.feeds.books import FeedBooks
from hwgw.feeds.source import open_source

from .harness import ROOT, Options, Result, Unavailable, by_turns, compile_shared, result

OPEN = 1000
RESTING = Path(__file__).with_name("backtest_resting.c")
RECORDED = ROOT.parent / "shared" / "data" / "itch50" / "aapl_20200130_first10k.itch50"
MODEL = b"feed_latency: {constant: 5us}\norder_latency: {constant: 20us}\n"
BASELINE = "books alone"
FASTER = 1000
"""A recorded morning of five hours is told in as many seconds, so that a thousand of them are a day."""


@dataclass(frozen=True, slots=True)
class Day:
    """A feed: what its figures are called behind backtest_, and its bytes, a part at a time."""

    name: str
    parts: Iterator[bytes]


def _number(message: bytes, field: specs.Field) -> int:
    return int.from_bytes(message[field.offset : field.offset + field.length], "big")


class Recording:
    """A BinaryFILE that can be told again: other references, later and faster, and nothing left in the books."""

    def __init__(self, records: bytes) -> None:
        layouts = {layout.code: layout for layout in specs.load("itch50").layouts if layout.code}
        self.times: list[tuple[int, int]] = []  # place and value
        self.refs: list[tuple[int, int]] = []
        left: dict[int, int] = {}  # shares by reference
        at, locate, delete = 0, b"", layouts["D"]
        while at < len(records):
            (size,) = struct.unpack_from(">H", records, at)
            message = records[at + 2 : at + 2 + size]
            layout, code = layouts[chr(message[0])], chr(message[0])
            self.times.append((at + 2 + layout.field("timestamp").offset, _number(message, layout.field("timestamp"))))
            fields = [field for field in layout.fields if field.name.endswith("order_reference_number")]
            refs = [_number(message, field) for field in fields]
            self.refs += [(at + 2 + field.offset, ref) for field, ref in zip(fields, refs, strict=True) if ref]
            if code in "AF":
                left[refs[0]], locate = _number(message, layout.field("shares")), message[1:3]
            elif code == "U":
                left.pop(refs[0], None)
                left[refs[1]] = _number(message, layout.field("shares"))
            elif code in "ECX":
                taken = "cancelled_shares" if code == "X" else "executed_shares"
                left[refs[0]] = left.get(refs[0], 0) - _number(message, layout.field(taken))
            elif code == "D":
                left.pop(refs[0], None)
            at += 2 + size
        begin = min(ns for _, ns in self.times)
        self.times = [(place, (ns - begin) // FASTER) for place, ns in self.times]
        self.span = self.times[-1][1] + 1
        template, body = bytearray(records), delete.length
        for ref in (ref for ref, shares in left.items() if shares > 0):
            at = len(template) + 2
            template += struct.pack(">H", body) + b"D" + locate + bytes(body - 3)
            self.times.append((at + delete.field("timestamp").offset, self.span - 1))
            self.refs.append((at + delete.field("order_reference_number").offset, ref))
        self.count = len(self.times)
        self.template = np.frombuffer(bytes(template), np.uint8)
        self.step = max(ref for _, ref in self.refs) + 1

    def told(self, turn: int) -> bytes:
        """The turn-th time, from 0."""
        data = self.template.copy()
        for pairs, width, more in ((self.times, 6, turn * self.span), (self.refs, 8, turn * self.step)):
            values = np.array(pairs, np.uint64)
            wide = (values[:, 1] + np.uint64(more)).astype(">u8").view(np.uint8).reshape(-1, 8)
            data[values[:, :1].astype(np.int64) + np.arange(width)] = wide[:, 8 - width :]
        return data.tobytes()


def _days(options: Options) -> Iterator[Day]:
    count = options.size(10_000_000, 20_000)
    for name, symbols, live in (("", 8, 5000), ("wide_", 1000, 100_000)):
        with Stream(options.seed, symbols, live) as stream:
            yield Day(name, (stream.records(min(count, 1_000_000)) for _ in range(0, count, 1_000_000)))
    if not RECORDED.is_file():
        options.leave_out("backtest_recorded_msgs_per_s", f"no {RECORDED.name}")
        return
    recording = Recording(RECORDED.read_bytes())
    yield Day("recorded_", (recording.told(turn) for turn in range(-(-count // recording.count))))


def _scan(batches: list[Any], symbols: list[str]) -> float:
    books = FeedBooks(symbols)
    start = time.thread_time()
    for batch in batches:
        books.apply(batch)
    took = time.thread_time() - start
    lost = {name: cnt for name, cnt in books.counters.items() if name.startswith("book.drop_") and cnt}
    if lost:
        raise RuntimeError(f"the books do not take the feed: {lost}")
    return sum(map(len, batches)) / took


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
    """Of each day, with a strategy that never orders, and with one that keeps 1,000 orders in the market."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            resting = compile_shared(RESTING, Path(folder))
        except Unavailable as error:
            options.leave_out("backtest_open_msgs_per_s", str(error))
            return []
        for day in _days(options):
            feed = Path(folder) / "feed.itch50"
            with feed.open("wb") as file:
                file.writelines(day.parts)
            batches, symbols = list(open_source(feed).batches()), setting.symbols_of(feed)
            for orders in (0, options.size(OPEN, 50)):
                name = f"backtest_{day.name}{'open_' if orders else ''}msgs_per_s"
                chosen = setting.strategy(f"c:{resting}", [f"orders={orders}"])
                settings = setting.of_strategy(chosen, symbols)
                limits = replace(settings.limits, checks_off=("duplicate", "self_cross", "short_sale"))
                settings = replace(settings, limits=limits)
                told: dict[str, Any] = {}
                ours, alone = by_turns(
                    options.runs(), partial(_backtest, batches, settings, told), partial(_scan, batches, symbols)
                )
                count = sum(map(len, batches))
                options.say(f"{name}: {count:,} messages, {told['open_cnt']:,} open, {told['fills']:,} fills")
                if orders and not told["open_cnt"] + told["fills"]:
                    raise RuntimeError(f"{name}: no order was open")
                found.append(result(name, "1/s", ours, BASELINE, alone))
    return found
