"""Levels and features in the segment: those of the golden books, never torn, and not there unless they are asked for.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np
import pytest
from hwgw_sim.golden import itch
from hwgw_sim.golden.book import BUY, SELL, Books
from hwgw_sim.stream import Stream, spoil
from support import feature_model as model
from support.desk import SYMBOLS
from support.rig import Rig

import hwgw
from hwgw import specs
from hwgw.errors import CheckFailed, ConfigError, UsageError
from hwgw.segment import Segment
from hwgw.telemetry.view import view

SHOWN = [feature for feature in specs.features() if not feature.name.startswith("queue_")]


def golden_levels(messages: list[bytes]) -> dict[str, list[list[tuple[int, int, int]]]]:
    """Per symbol and side: price, orders and shares of the ten best levels."""
    books, numbers, locates = Books(100), dict[str, int](), dict[int, int]()
    for message in messages:
        try:
            event = itch.event(message)
        except itch.DecodeError:
            continue
        if message[:1] in b"RAF":
            name = (message[11:19] if message[:1] == b"R" else message[24:32]).decode().rstrip()
            locates.setdefault(event["locate"], numbers.setdefault(name, len(numbers)))
        if event["locate"] in locates:
            event["instrument"] = locates[event["locate"]]
            books.apply(event)
    return {
        name: [books.depth(number, side, specs.load("hook").constant("levels_max")) for side in (BUY, SELL)]
        for name, number in numbers.items()
    }


def shown_levels(rows: np.ndarray[Any, Any], side: str) -> list[tuple[int, int, int]]:
    there = rows[side][rows[side]["cnt"] > 0]
    assert not any(rows[side][len(there) :].tobytes()), "behind the last level there is nothing"
    return [(int(level["px"]), int(level["cnt"]), int(level["qty"])) for level in there]


def test_levels_and_features_are_those_of_the_golden_books(seed: int, rng: random.Random) -> None:
    symbols = tuple(f"S{number:07}" for number in (1, 2, 3))
    with Stream(seed, len(symbols), 400) as stream:
        messages = [message for message in spoil(stream.messages(4_000), seed, 400) if message]
    params = {feature.name: rng.randint(feature.min, feature.max) for feature in SHOWN if feature.param}
    asked = [f"{each.name}:{params[each.name]}" if each.param else each.name for each in SHOWN]
    depth, compared, done = rng.randint(1, 10), 0, 0
    with Rig(symbols, depth=depth, shown=asked) as rig, hwgw.attach(rig.segment.name, left_over=True) as live:
        assert live.feature_names == {each.name: params.get(each.name) for each in SHOWN}
        for end in (rng.randrange(100, 1000), rng.randrange(1000, 3000), len(messages)):
            while done < end:
                cnt = min(rng.randrange(1, 60), end - done)
                rig.feed(*messages[done : done + cnt])
                done += cnt
                if rng.random() < 0.3:
                    rig.step()
            rig.step()
            golden, tapes = golden_levels(messages[:end]), model.tapes(messages[:end])
            rows = live.features
            for number, symbol in enumerate(symbols):
                seen = live.depth(symbol)
                assert len(seen) == depth
                for side, wanted in zip(("bid", "ask"), golden[symbol], strict=True):
                    assert shown_levels(seen, side) == wanted[:depth]
                    compared += len(wanted[:depth])
                tape = tapes[symbol.encode()]
                assert (int(rows[number]["row_cnt"]), int(rows[number]["seq"])) == (len(tape.seq), tape.seq[-1])
                columns = model.columns(tape, {**{f.name: f.default for f in specs.features()}, **params})
                for each in SHOWN:
                    assert int(rows[number][each.name]) == columns[each.name][-1], each.name
                    compared += 1
        look = view(rig.segment)
        assert look["depth_levels"] == depth
        for symbol in symbols:
            shown = [[(px, cnt, qty) for px, qty, cnt in look["depth"][symbol][side]] for side in ("bid", "ask")]
            assert shown == [wanted[:depth] for wanted in golden[symbol]]
        assert look["feature_rows"][symbols[1]]["microprice"] == int(live.features[1]["microprice"])
        assert look["features"]["spread"] == {"unit": "1/10,000", "parameter": None}
    assert compared > 3 * 3 * len(SHOWN)


def test_features_that_are_shown_are_never_torn() -> None:
    """Bids rise in a thread of their own while we look: spread and middle say the same bid in every copy."""
    cnt, ask = 40_000, 2_000_000
    with Rig(SYMBOLS, depth=3, shown=["spread", "mid"]) as rig:
        rig.quote(ask=ask)
        writer = threading.Thread(target=rig.push, args=rig.rising(cnt))  # one call into C, without the GIL
        seen: set[int] = set()
        with hwgw.attach(rig.segment.name, left_over=True) as live:
            writer.start()
            while writer.is_alive() or len(seen) < 2:
                row = live.features[0]
                bid = ask - int(row["spread"])
                assert int(row["mid"]) == (ask + bid) * 32_768
                seen.add(bid)
            writer.join()
            rig.step()
            assert int(live.depth("AAPL")[0]["bid"]["px"]) == 1_000_000 + cnt
            assert live.depth("MSFT").view(np.uint8).sum() == 0


def test_a_row_that_was_left_half_written_is_an_error_not_a_number() -> None:
    with Rig(SYMBOLS, depth=1, shown=["mid"]) as rig, hwgw.attach(rig.segment.name, left_over=True) as live:
        rig.quote()
        rig.step()
        assert int(live.depth("AAPL")[0]["bid"]["qty"]) == 500
        rig.segment.depth_rows["lock"][0] += 1
        rig.segment.feature_rows["lock"][1] += 1
        with pytest.raises(CheckFailed, match=r"depth of AAPL was left half written"):
            live.depth("AAPL")
        with pytest.raises(CheckFailed, match=r"features of MSFT was left half written"):
            _ = live.features


def test_what_is_not_asked_for_is_not_there(rng: random.Random) -> None:
    with Rig(SYMBOLS) as rig, hwgw.attach(rig.segment.name, left_over=True) as live:
        rig.quote()
        rig.step()
        plain = int(rig.segment.head["sz_bytes"])
        assert live.feature_names == {}
        with pytest.raises(CheckFailed, match=r"shows no levels: .* no publish\.depth"):
            live.depth("AAPL")
        with pytest.raises(CheckFailed, match=r"shows no features: .* no publish\.features"):
            _ = live.features
        with pytest.raises(UsageError, match="does not subscribe"):
            live.depth("NONE")
    levels_wanted = rng.randint(11, 2**32 - 1)
    with pytest.raises(ConfigError, match=f"depth of {levels_wanted} levels: 0 to 10 are allowed"):
        Segment.create("too-deep", ["AAPL"], depth_levels=levels_wanted)
    with Rig(SYMBOLS, depth=1, shown=["mid"]) as rig:
        assert int(rig.segment.head["sz_bytes"]) - plain == len(SYMBOLS) * (384 + 192) + 64, "to the end of a block"
