"""Features in C equal the NumPy model over the golden books, bit by bit; and cost nothing when they are not asked for.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hwgw_sim.stream import Stream, join, split, spoil
from support import feature_model as model
from support.feed import data_file

import hwgw
from hwgw import specs
from hwgw.errors import UsageError
from hwgw.feature_choice import parse_all
from hwgw.specs import docs

AAPL = "itch50/aapl_20200130_first10k.itch50"
NAMES = [feature.name for feature in specs.features()]
PARAMS = {feature.name: feature.default for feature in specs.features() if feature.param}


def asked(params: dict[str, int]) -> list[str]:
    return [f"{name}:{params[name]}" if name in params else name for name in NAMES]


def drawn(rng: random.Random) -> dict[str, int]:
    """A parameter for each feature that has one, anywhere in its range."""
    return {f.name: rng.randint(f.min, f.max) for f in specs.features() if f.param}


def compare(found: Any, tapes: dict[bytes, model.Tape], params: dict[str, int]) -> int:
    """All rows and columns; how many values were compared."""
    rows = np.concatenate(list(found))
    compared = 0
    for number, symbol in enumerate(found.symbols):
        tape = tapes[symbol.ljust(8).encode()]
        of_symbol = rows[rows["instrument"] == number]
        assert of_symbol["seq"].tolist() == tape.seq
        for name, column in model.columns(tape, params).items():
            got = of_symbol[name].tolist()
            wrong = [i for i, (a, b) in enumerate(zip(got, column.tolist(), strict=True)) if a != b]
            assert not wrong, f"{symbol} {name} row {wrong[0]}: {got[wrong[0]]}, the model says {column[wrong[0]]}"
            compared += len(got)
    assert compared == len(rows) * len(NAMES)
    return compared


def test_features_of_the_real_capture_equal_the_numpy_model(shared: Path, rng: random.Random) -> None:
    path = data_file(shared, AAPL)
    messages = list(split(path.read_bytes()))
    # eight orders at prices that were best at some time count as ours
    adds = {int.from_bytes(m[11:19], "big"): m for m in messages if m[:1] in b"AF"}
    tops = np.concatenate(list(hwgw.books(path)))
    touch = {b"B": set(tops["bid_px"].tolist()), b"S": set(tops["ask_px"].tolist())}
    refs = [ref for ref, m in adds.items() if int.from_bytes(m[32:36], "big") in touch[m[19:20]]]
    chosen = rng.sample(refs, 8)
    own = {side: {ref for ref in chosen if adds[ref][19:20] == code} for side, code in ((1, b"B"), (2, b"S"))}
    total, tapes = 0, model.tapes(messages, own)
    for params in (PARAMS, drawn(rng)):
        found = hwgw.features(path, asked(params), ["AAPL"])
        for side, name in ((1, "buy"), (2, "sell")):
            for ref in own[side]:
                found.follow("AAPL", name, ref)
        total += compare(found, tapes, params)
    assert total > 2 * 16 * 1500


def test_the_real_capture_exercises_every_feature(shared: Path) -> None:
    path = data_file(shared, AAPL)
    rows = np.concatenate(list(hwgw.features(path, asked(PARAMS))))
    quiet = [name for name in NAMES if not name.startswith("queue") and len(np.unique(rows[name])) < 3]
    assert quiet == []


@pytest.mark.parametrize("spoilt", [0, 5])
def test_features_of_generated_streams_equal_the_numpy_model(
    tmp_path: Path, seed: int, rng: random.Random, spoilt: int
) -> None:
    with Stream(seed, 5, live_max=300) as stream:
        messages = stream.messages(6000)
    if spoilt:
        messages = [message for message in spoil(messages, seed, spoilt) if message]
    (tmp_path / "day.itch50").write_bytes(join(messages))
    params = drawn(rng)
    assert compare(hwgw.features(tmp_path / "day.itch50", asked(params)), model.tapes(messages), params) > 16 * 400


def test_our_place_in_the_queue_is_followed_through_executions_cancels_and_replaces(
    tmp_path: Path, seed: int, rng: random.Random
) -> None:
    with Stream(seed, 1, live_max=120) as stream:
        messages = stream.messages(5000)
    (tmp_path / "day.itch50").write_bytes(join(messages))
    adds = [m for m in messages if m[:1] in b"AF"][200:]
    compared = moved = 0
    for _ in range(2):
        chosen = {int.from_bytes(m[11:19], "big"): m[19:20] for m in rng.sample(adds, 8)}
        own = {side: {ref for ref, code in chosen.items() if code == name} for side, name in ((1, b"B"), (2, b"S"))}
        symbol = adds[0][24:32].decode().rstrip()
        found = hwgw.features(tmp_path / "day.itch50", asked(PARAMS), [symbol])
        for ref, code in chosen.items():
            found.follow(symbol, {b"B": "buy", b"S": "sell"}[code], ref)
        tapes = model.tapes(messages, own)
        compared += compare(found, tapes, PARAMS)
        told = model.columns(tapes[symbol.ljust(8).encode()], PARAMS)
        moved += sum(len(np.unique(told[f"queue_{side}_ahead"])) for side in ("bid", "ask"))
    assert compared > 2 * 16 * 200
    assert moved > 4


def test_only_what_is_asked_for_is_in_the_rows(shared: Path) -> None:
    rows = next(iter(hwgw.features(data_file(shared, AAPL), ["spread", "imbalance:3"])))
    assert rows.dtype.names == ("seq", "ts_ns", "instrument", "channel", "spread", "imbalance")


@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        (["spred"], r"feature 'spred': unknown; spread, mid, .* are there"),
        (["imbalance:11"], r"feature 'imbalance:11': levels 1 to 10 are allowed"),
        (["imbalance:x"], r"feature 'imbalance:x': levels 1 to 10 are allowed"),
        (["spread:1"], r"feature 'spread:1': spread has no parameter"),
        (["ofi", "ofi"], r"feature 'ofi' stands twice"),
        ("spread", r"features 'spread': not a list"),
        ([], r"none is asked for"),
    ],
)
def test_what_cannot_be_asked_for_is_named(shared: Path, wanted: Any, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        hwgw.features(data_file(shared, AAPL), wanted)


def test_more_own_orders_than_can_be_followed_are_refused(shared: Path) -> None:
    found = hwgw.features(data_file(shared, AAPL), ["queue_bid_ahead"], ["AAPL"])
    for ref in range(1, 9):
        found.follow("AAPL", "buy", ref)
    with pytest.raises(UsageError, match="at most 8 orders of a symbol"):
        found.follow("AAPL", "buy", 9)
    assert parse_all(["queue_bid_ahead"]) == {"queue_bid_ahead": None}


def test_the_page_has_the_table_of_the_features(root: Path) -> None:
    page = (root / "docs" / "features.md").read_text(encoding="utf-8")
    told = page.split("<!-- features begin -->\n")[1].split("<!-- features end -->")[0]
    assert told.strip() == "\n".join(docs.feature_rows()).strip()
    assert told.count("\n") == 2 + len(NAMES)
