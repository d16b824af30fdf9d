"""hwgw.LinearSignal: C and NumPy give the same bits, files that are wrong are named, and its strategy trades by it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hwgw_sim.stream import Stream
from support import rig as r
from support import soup_venue as sv
from support.desk import Desk
from support.feed import data_file

import hwgw
from hwgw import specs
from hwgw.errors import ConfigError, UsageError

NAMES = [feature.name for feature in specs.features()]
GOOD: dict[str, Any] = {"features": ["spread", "imbalance:3"], "weights": [0.5, -2e-3], "enter": 1.5}


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "signal.npz"
    np.savez(path, **{name: value for name, value in (GOOD | arrays).items() if value is not None})
    return path


def numpy_signal(signal: hwgw.LinearSignal, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """One product and one sum after the other, in the order of the table."""
    total = np.full(len(rows), signal.bias)
    for name in NAMES:
        if name in signal.weights:
            total = total + np.float64(signal.weights[name]) * rows[name].astype(np.float64)
    return total


def test_c_and_numpy_give_the_same_signal_on_the_real_capture(shared: Path, tmp_path: Path, rng: random.Random) -> None:
    rows = np.concatenate(list(hwgw.features(data_file(shared, "itch50/aapl_20200130_first10k.itch50"), NAMES)))
    compared = varied = 0
    for _ in range(20):
        chosen = rng.sample(NAMES, rng.randint(1, len(NAMES)))
        weights = [rng.gauss(0, 1) * 10 ** rng.uniform(-9, 3) for _ in chosen]
        signal = hwgw.LinearSignal.from_npz(saved(tmp_path, features=chosen, weights=weights, bias=rng.gauss(0, 9)))
        got, want = signal.signal(rows), numpy_signal(signal, rows)
        assert got.tobytes() == want.tobytes()
        varied += len(np.unique(got)) > 100
        compared += len(got)
    assert compared == 20 * len(rows) > 20_000
    assert varied >= 5


def test_c_and_numpy_give_the_same_signal_on_a_generated_stream(tmp_path: Path, seed: int) -> None:
    with Stream(seed, 8, live_max=400) as stream:
        (tmp_path / "day.itch50").write_bytes(stream.records(20_000))
    rows = np.concatenate(list(hwgw.features(tmp_path / "day.itch50", NAMES)))
    weights = np.random.default_rng(seed).normal(size=len(NAMES))
    signal = hwgw.LinearSignal.from_npz(saved(tmp_path, features=NAMES, weights=weights))
    assert signal.signal(rows).tobytes() == numpy_signal(signal, rows).tobytes()
    assert len(rows) > 1000


@pytest.mark.parametrize(
    ("arrays", "wrong"),
    [
        ({"weights": None}, "no array weights; it needs features, weights, enter"),
        ({"enter": None}, "no array enter"),
        ({"treshold": 1.0}, "unknown array treshold; features, weights, enter, bias, leave are allowed"),
        ({"weights": [1.0]}, r"weights: float64 of shape \(1,\); numbers of shape \(2,\)"),
        ({"weights": [["a", "b"]]}, "weights: <U1 of shape"),
        ({"weights": [0.5, np.nan]}, "weights: nan of imbalance; finite numbers are allowed"),
        ({"weights": [np.inf, 0.5]}, "weights: inf of spread"),
        ({"features": ["spread", "imbalence"]}, "features: feature 'imbalence': unknown; spread, mid"),
        ({"features": ["spread", "spread"]}, "feature 'spread' stands twice"),
        ({"features": [1, 2]}, "features: int64 of shape"),
        ({"features": np.array([], "U1"), "weights": []}, "a list of names is allowed"),
        ({"enter": [1.0]}, r"enter: float64 of shape \(1,\); one number is allowed"),
        ({"enter": 0.0}, "enter: 0; a number above 0 is allowed"),
        ({"bias": np.nan}, "bias: nan; a finite number is allowed"),
        ({"leave": 2.0}, r"leave: 2; at most enter \(1.5\) is allowed"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, arrays: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ConfigError, match=rf"signal\.npz: .*{wrong}"):
        hwgw.LinearSignal.from_npz(saved(tmp_path, **arrays))


@pytest.mark.parametrize("content", [b"", b"PK\3\4 damaged", b"\x93NUMPY", b"not numpy at all"])
def test_a_file_that_is_no_npz_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.npz"):
        hwgw.LinearSignal.from_npz(tmp_path / "bad.npz")


def test_pickled_objects_and_missing_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", features=np.array([{}], dtype=object))
    with pytest.raises(ConfigError, match=r"evil\.npz: not an \.npz file of numbers"):
        hwgw.LinearSignal.from_npz(tmp_path / "evil.npz")
    with pytest.raises(ConfigError, match=r"none\.npz: No such file"):
        hwgw.LinearSignal.from_npz(tmp_path / "none.npz")


def test_rows_without_a_feature_of_the_signal_are_refused(shared: Path, tmp_path: Path) -> None:
    rows = next(iter(hwgw.features(data_file(shared, "itch50/aapl_20200130_first10k.itch50"), ["spread"])))
    with pytest.raises(UsageError, match="no imbalance"):
        hwgw.LinearSignal.from_npz(saved(tmp_path)).signal(rows)


def test_its_strategy_buys_at_enter_sells_at_minus_enter_and_closes_below_leave(tmp_path: Path) -> None:
    """Signal: imbalance / 2^16 + 0.25. 500 against 500 is 0.25, 1500 against 500 is 0.75, 500 against 1500 is -0.25."""
    path = saved(tmp_path, features=["imbalance"], weights=[2.0**-16], bias=0.25, enter=0.7, leave=0.3)
    desc, keep = hwgw.LinearSignal.from_npz(path).descriptor("mine")
    with Desk(strategy=desc, params={"qty": 30, "cooldown_ns": 0}, features=["imbalance"]) as desk:

        def sent() -> list[bytes]:
            return [packet[3:] for packet in desk.packets if packet[2:3] == b"U"][1:]

        def expect(*orders: bytes) -> None:
            desk.until(lambda: len(sent()) >= len(orders))
            assert sent() == list(orders)

        desk.rig.quote(bid=1_000_000, ask=1_000_200)
        assert desk.cnt("strategy.intents") == 0
        desk.rig.feed(r.add(1, "AAPL", 1, "B", 1000, 1_000_000))
        bought = sv.enter(1, b"B", 30, b"AAPL    ", 1_000_200, tif=b"3")
        expect(bought)
        desk.rig.feed(r.add(1, "AAPL", 2, "B", 1000, 1_000_000))  # one order at a time
        assert desk.cnt("strategy.intents") == 1
        desk.venue.sequenced(sv.accepted(1, b"B", 30, b"AAPL    ", 1_000_200), sv.executed(1, 30, 1_000_200, 5))
        desk.until(lambda: desk.cnt("session.executed") == 1)
        desk.rig.feed(r.delete(1, 2), r.delete(1, 1))  # 1500 against 500 buys again, and then it is out
        more = sv.enter(2, b"B", 30, b"AAPL    ", 1_000_200, tif=b"3")
        expect(bought, more)
        desk.venue.sequenced(sv.accepted(2, b"B", 30, b"AAPL    ", 1_000_200), sv.canceled(2, 30, b"I"))
        desk.until(lambda: desk.cnt("session.canceled") == 1)
        desk.rig.feed(r.add(1, "AAPL", 3, "S", 100, 1_000_200))  # 500 against 600: below leave
        closed = sv.enter(3, b"S", 30, b"AAPL    ", 1_000_000, tif=b"3")
        expect(bought, more, closed)
        desk.rig.ledgers()
    assert keep
