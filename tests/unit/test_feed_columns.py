"""hwgw.books and hwgw.decode: rows and columns of files equal what the golden models say of the same messages.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hwgw_sim.golden import itch
from hwgw_sim.golden.book import Books
from hwgw_sim.stream import Stream, join, split, spoil
from support.feed import SIDES, data_file

import hwgw
from hwgw.errors import CheckFailed, UsageError

AAPL = "itch50/aapl_20200130_first10k.itch50"
AAPL_CAPTURE = "mold/aapl_20200130_first10k.mold.pcap"
Row = tuple[int, int, str, list[tuple[int, int]], list[tuple[int, int]]]


def golden_rows(messages: list[bytes], depth: int) -> Iterator[Row]:
    """seq, time, symbol, bids, asks (px, qty) behind every message that changed one of the best levels.

    A locate is known from the stock directory, or from an add order that comes first.
    """
    golden, symbols, numbers = Books(1000, 100_000), dict[int, bytes](), dict[bytes, int]()
    for seq, message in enumerate(messages, 1):
        try:
            event = itch.event(message)
        except itch.DecodeError:
            continue
        locate = event["locate"]
        if locate and (message[:1] == b"R" or (message[:1] in b"AF" and locate not in symbols)):
            symbols[locate] = message[11:19] if message[:1] == b"R" else message[24:32]
        if locate not in symbols:
            continue
        symbol = symbols[locate]
        instrument = event["instrument"] = numbers.setdefault(symbol, len(numbers))
        before = [[(px, qty) for px, _, qty in golden.depth(instrument, side, depth)] for side in SIDES]
        _, top_changed = golden.apply(event)
        bids, asks = ([(px, qty) for px, _, qty in golden.depth(instrument, side, depth)] for side in SIDES)
        if top_changed if depth == 1 else [bids, asks] != before:
            yield seq, event["ts_ns"], symbol.decode().rstrip(), bids, asks


def native_rows(found: Any) -> Iterator[Row]:
    """The rows of hwgw.books in the same shape."""
    for batch in found:
        symbols = found.symbols
        for row in batch:
            sides = []
            for side in ("bid", "ask"):
                px, qty = np.atleast_1d(row[f"{side}_px"]), np.atleast_1d(row[f"{side}_qty"])
                sides.append([(int(p), int(q)) for p, q in zip(px, qty, strict=True) if q])
                assert not px[len(sides[-1]) :].any()
            yield int(row["seq"]), int(row["ts_ns"]), symbols[row["instrument"]], sides[0], sides[1]


@pytest.mark.parametrize("depth", [1, 3])
def test_rows_of_a_real_file_equal_the_golden_books(shared, depth):
    path = data_file(shared, AAPL)
    found = hwgw.books(path, depth=depth)
    want = list(golden_rows(list(split(path.read_bytes())), depth))
    assert list(native_rows(found)) == want
    assert len(want) > 1500
    assert found.symbols == ["AAPL"]
    assert found.errors == {}


def test_rows_of_a_capture_are_those_of_the_record_file(shared):
    rows = [np.concatenate(list(hwgw.books(data_file(shared, name)))) for name in (AAPL, AAPL_CAPTURE)]
    assert len(rows[0]) > 1500
    for name in set(rows[0].dtype.names) - {"seq"}:
        assert np.array_equal(rows[0][name], rows[1][name]), name


@pytest.mark.parametrize("depth", [1, 8])
def test_rows_of_a_damaged_stream_equal_the_golden_books_and_damage_is_counted(tmp_path, seed, depth):
    with Stream(seed, 20, live_max=600) as stream:
        messages = list(spoil(stream.messages(4000), seed, 4))
    path = tmp_path / "damaged.itch50"
    path.write_bytes(join(message for message in messages if message))
    found = hwgw.books(str(path), depth=depth)
    want = list(golden_rows([message for message in messages if message], depth))
    assert list(native_rows(found)) == want
    assert len(want) > 1000
    errors = found.errors
    assert all(errors[f"book.drop_{cause}"] > 1 for cause in ("unknown_ref", "duplicate_ref", "quantity")), errors
    assert errors["itch.drop_length"] > 5


def test_symbols_restrict_the_rows_to_theirs_in_the_order_given(tmp_path, seed):
    with Stream(seed, 30, live_max=500) as stream:
        (tmp_path / "day.itch50").write_bytes(stream.records(20_000))
    wanted = ["S0000007", "S0000002", "S0000011"]
    every = hwgw.books(tmp_path / "day.itch50")
    all_rows = np.concatenate(list(every))
    numbers = [every.symbols.index(name) for name in wanted]
    some = hwgw.books(tmp_path / "day.itch50", wanted)
    rows = np.concatenate(list(some))
    expected = all_rows[np.isin(all_rows["instrument"], numbers)]
    assert len(expected) > 500
    assert some.symbols == wanted
    assert some.errors == {}
    for name in rows.dtype.names:
        got = np.array(numbers)[rows[name]] if name == "instrument" else rows[name]
        assert np.array_equal(got, expected[name]), name


def test_rows_before_damage_of_the_file_come_before_the_error(tmp_path, seed):
    with Stream(seed, 5, live_max=100) as stream:
        data = stream.records(5000)
    (tmp_path / "whole.itch50").write_bytes(data)
    (tmp_path / "cut.itch50").write_bytes(data[:-3])
    whole = np.concatenate(list(hwgw.books(tmp_path / "whole.itch50")))
    rows = []
    with pytest.raises(CheckFailed, match=r"cut\.itch50"):
        rows.extend(hwgw.books(tmp_path / "cut.itch50"))
    assert len(np.concatenate(rows)) >= len(whole) - 1 > 500


@pytest.mark.parametrize(("depth", "symbols"), [(0, None), (65, None), (1, ["TOOLONGNAME"])])
def test_argument_out_of_range_is_a_usage_error(shared, depth, symbols):
    with pytest.raises(UsageError, match="allowed"):
        hwgw.books(data_file(shared, AAPL), symbols, depth)


def test_columns_hold_the_integers_of_the_wire(shared):
    path = data_file(shared, AAPL)
    messages = list(split(path.read_bytes()))
    adds = [(seq, message) for seq, message in enumerate(messages, 1) if message[:1] == b"A"]
    found = hwgw.decode(path, symbols=["AAPL"])
    batches = list(found)
    cnt = sum(len(columns["seq"]) for batch in batches for columns in batch.values())
    assert cnt == len(messages)
    assert found.errors == {}
    columns = {name: np.concatenate([b["add_order"][name] for b in batches]) for name in batches[0]["add_order"]}
    assert len(adds) == 4758
    assert columns["seq"].tolist() == [seq for seq, _ in adds]
    assert columns["timestamp"].tolist() == [int.from_bytes(m[5:11], "big") for _, m in adds]
    assert columns["order_reference_number"].tolist() == [int.from_bytes(m[11:19], "big") for _, m in adds]
    assert columns["shares"].tolist() == [int.from_bytes(m[20:24], "big") for _, m in adds]
    assert columns["price"].tolist() == [int.from_bytes(m[32:36], "big") for _, m in adds]
    assert columns["price"].dtype.isnative
    assert set(columns["stock"].tolist()) == {b"AAPL    "}


def test_arrow_and_parquet_hold_what_the_columns_hold(shared, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = data_file(shared, AAPL)
    columns = next(iter(hwgw.decode(path, types=["E"])))["order_executed"]
    table = next(iter(hwgw.decode(path, types=["E"]).arrow()))["order_executed"]
    hwgw.decode(path, types=["E"]).parquet(tmp_path / "e.parquet")
    assert table.equals(parquet.read_table(tmp_path / "e.parquet"))
    assert len(table) == len(columns["seq"]) == 849
    for name in ("seq", "timestamp", "order_reference_number", "executed_shares", "match_number"):
        assert table[name].to_pylist() == columns[name].tolist()


def test_undecodable_messages_are_counted(tmp_path, seed):
    with Stream(seed, 5, live_max=100) as stream:
        messages = stream.messages(1000)
    bad = [b"Z" + bytes(11), messages[500] + b"\0", *messages[:3]]
    Path(tmp_path / "bad.itch50").write_bytes(join([*messages, *bad]))
    found = hwgw.decode(tmp_path / "bad.itch50")
    assert sum(len(columns["seq"]) for batch in found for columns in batch.values()) == 1003
    assert found.errors == {"itch.drop_unknown": 1, "itch.drop_length": 1}
