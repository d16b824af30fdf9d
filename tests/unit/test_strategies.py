"""Strategies: the built-in ones do what their text says; C objects and numba functions run like them.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from support import rig as r
from support import soup_venue as sv
from support.desk import Desk

import hwgw
from hwgw import specs
from hwgw.errors import ConfigError
from hwgw.native import builtin_strategies, call, ffi, lib
from hwgw.settings import Strategy


def builtin(name: str):
    return lib.hwgw_strategy_find(name.encode())


def numba(target: str, **params: int):
    pytest.importorskip("numba", reason="needs the package numba")
    from hwgw.strategies import load_numba

    desc, keep = load_numba(Strategy("mine", "numba", target, params))
    numba.keep.append(keep)  # type: ignore[attr-defined]
    return desc


numba.keep = []  # type: ignore[attr-defined]


def unsequenced(desk: Desk) -> list[bytes]:
    """What the venue has read of OUCH, without the account query of the login."""
    return [packet[3:] for packet in desk.packets if packet[2:3] == b"U"][1:]


def entered(desk: Desk, cnt: int) -> list[bytes]:
    """The cnt messages that the strategy caused; not more."""
    desk.until(lambda: len(unsequenced(desk)) >= cnt)
    assert len(unsequenced(desk)) == cnt
    return unsequenced(desk)


# ---- numba ----


def test_a_numba_strategy_reads_the_hook_keeps_its_state_and_sends():
    with Desk(strategy=numba("support.numba_strategies:buy_every_second"), params={"qty": 9}) as desk:
        desk.rig.quote()
        for ref in range(1, 6):
            desk.rig.feed(r.add(1, "AAPL", ref, "B", 10, 1_000_000 + ref))
        assert desk.cnt("strategy.calls") == 7
        sent = entered(desk, 3)
        assert sent == [sv.enter(ref, b"B", 9, b"AAPL    ", 1_000_300, tif=b"3") for ref in (1, 2, 3)]


def test_a_numba_strategy_gets_the_depth_it_asks_for():
    with Desk(strategy=numba("support.numba_strategies:count_depth"), params={}) as desk:
        desk.rig.quote()
        for i in range(1, 3):
            desk.rig.feed(
                r.add(1, "AAPL", i, "B", 10 * i, 1_000_000 - i), r.add(1, "AAPL", 10 + i, "S", 100, 1_000_200 + i)
            )
        desk.rig.feed(r.add(1, "AAPL", 50, "B", 1, 1_000_000))
        assert entered(desk, 1) == [sv.enter(1, b"B", 501 + 10 + 20 + 500 + 200, b"AAPL    ", 1_000_200, tif=b"3")]


def orders(desk: Desk, cnt: int) -> list[tuple[int, int]]:
    """Quantity and price of the cnt orders that the venue has got."""
    return [struct.unpack_from(">I8sQ", message, 6)[::2] for message in entered(desk, cnt)]


PLACE = ["spread", "imbalance:2", "queue_bid_ahead", "queue_bid_behind"]


def test_a_numba_strategy_is_told_its_orders_place_in_the_queue_as_the_feed_and_the_venue_move_it():
    target = numba("support.numba_strategies:tell_place")
    with Desk(strategy=target, params={}, features=PLACE) as desk:
        desk.rig.quote(bid=1_000_000, ask=1_000_200)  # 500 shares each; our order of 100 goes out at once
        assert orders(desk, 1) == [(100, 1_000_000)]
        desk.rig.feed(r.add(1, "AAPL", 7777, "B", 100, 1_000_000))  # it is in the feed before the venue tells us
        desk.venue.sequenced(sv.accepted(1, b"B", 100, b"AAPL    ", 1_000_000, number=7777))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        steps = [
            (r.add(1, "AAPL", 8001, "B", 50, 1_000_000), (500, 50)),
            (r.executed(1, 1001, 200), (300, 50)),
            (r.add(1, "AAPL", 8002, "B", 25, 1_000_000), (300, 75)),
            (r.delete(1, 8001), (300, 25)),
            (r.delete(1, 1001), (0, 25)),
            (r.executed(1, 7777, 40), (0, 25)),
            (r.add(1, "AAPL", 8003, "B", 10, 1_000_100), (0, 25)),  # a better price comes before ours
            (r.executed(1, 7777, 60), None),  # not at the top: no call
            (r.add(1, "AAPL", 8004, "B", 10, 1_000_100), (-1, -1)),
        ]
        told = [(-1, -1)]  # the add, before the venue's answer
        for message, place in steps:
            desk.rig.feed(message)
            told += [place] if place else []
        assert orders(desk, 1 + len(told))[1:] == [(2 + ahead, 1_000_202 + behind) for ahead, behind in told]
        assert desk.cnt("strategy.unfollowed") == 0


def test_an_order_that_the_venue_has_cancelled_or_replaced_is_no_longer_followed_under_its_old_number():
    target = numba("support.numba_strategies:tell_place")
    with Desk(strategy=target, params={}, features=PLACE) as desk:
        desk.rig.quote(bid=1_000_000, ask=1_000_200)
        assert len(orders(desk, 1)) == 1
        desk.venue.sequenced(sv.accepted(1, b"B", 100, b"AAPL    ", 1_000_000, number=7777))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.rig.feed(r.add(1, "AAPL", 7777, "B", 100, 1_000_000))
        desk.venue.sequenced(sv.canceled(1, 100))
        desk.until(lambda: desk.cnt("session.canceled") == 1)
        desk.rig.feed(r.add(1, "AAPL", 8001, "B", 50, 1_000_000))
        assert orders(desk, 3)[1:] == [(502, 1_000_202), (1, 1_000_201)]


def test_features_begin_anew_with_the_books_and_are_zero_for_who_did_not_ask():
    asked = numba("support.numba_strategies:tell_imbalance")
    with Desk(strategy=asked, params={}, features=["imbalance:2"]) as desk:
        desk.rig.quote()
        desk.rig.feed(r.add(1, "AAPL", 5, "B", 500, 999_000))
        # (500 - 500) / 1000 and (1000 - 500) / 1500, with 16 binary places, rounded down
        assert [px - 65_536 for _, px in orders(desk, 1)] == [0]
        desk.rig.feed(r.add(1, "AAPL", 6, "B", 500, 1_000_000))
        assert [px - 65_536 for _, px in orders(desk, 2)] == [0, 2 * 65_536 * 1500 // 2000 - 65_536]
    with Desk(strategy=asked, params={}) as desk:
        desk.rig.quote()
        desk.rig.feed(r.add(1, "AAPL", 6, "B", 500, 1_000_000))
        assert [px - 65_536 for _, px in orders(desk, 2)] == [0, 0]


@pytest.mark.parametrize(("features", "wrong"), [(["spred"], "'spred': unknown"), (["slope:1"], "levels 2 to 10")])
def test_a_decorator_names_a_feature_that_is_not_there(features, wrong):
    with pytest.raises(ConfigError, match=wrong):
        hwgw.strategy(features=features)


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("support.numba_strategies:missing", "cannot import"),
        ("no_such_module:f", "cannot import"),
        ("support.numba_strategies:not_marked", "not marked"),
        ("support.numba_strategies", "not module:function"),
    ],
)
def test_a_numba_target_that_is_none_is_a_configuration_error(target, wrong):
    with pytest.raises(ConfigError, match=wrong):
        numba(target)


def test_the_types_of_a_strategy_are_those_of_the_tables(root):
    from hwgw.specs import types

    made = types.files()["strategy_types.py"]
    assert made == (root / "hwgw" / "strategy_types.py").read_text(encoding="utf-8")
    for table, name in types.LAYOUTS:
        for field in specs.load(table).layout(name).fields:
            assert field.name in types.HIDDEN or f"\n    {field.name}: " in made


# ---- shared objects ----


FUNCTION = (
    "static int32_t f(const struct hwgw_hook *h, void *s, struct hwgw_order *o, int32_t m)"
    "{ (void)h; (void)s; (void)o; return m; }"
)


def descriptor(fields: str) -> str:
    return f'{FUNCTION}const struct hwgw_strategy hwgw_strategy = {{.name = "x", {fields}}};'


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("int x;", "exports no"),
        (descriptor(".abi = 99, .depth = 1, .fn = f"), "another hwgw ABI"),
        (descriptor(".abi = HWGW_SEGMENT_ABI, .depth = 1") + "void *use = (void *)f;", "fn or name"),
        (descriptor(".abi = HWGW_SEGMENT_ABI, .depth = 11, .fn = f"), "depth is not 1 to 10"),
        (descriptor(".abi = HWGW_SEGMENT_ABI, .depth = 1, .fn = f, .param_cnt = 1"), "no names or defaults"),
    ],
)
def test_a_shared_object_that_is_no_strategy_is_refused_with_the_reason(tmp_path, source, wrong):
    path = tmp_path / "bad.c"
    path.write_text(f'#include "hwgw.h"\n{source}\n')
    built = tmp_path / "bad.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-I", r.include_folder(), "-o", built, path], check=True, timeout=60)
    found = ffi.new("const struct hwgw_strategy **")
    with pytest.raises(ConfigError, match=wrong):
        call(lib.hwgw_strategy_load, found, str(built).encode())


def test_a_missing_shared_object_is_named():
    found = ffi.new("const struct hwgw_strategy **")
    with pytest.raises(ConfigError, match=r"nowhere\.so"):
        call(lib.hwgw_strategy_load, found, str(Path("nowhere.so").absolute()).encode())


# ---- built in ----


def test_every_built_in_strategy_has_named_parameters():
    known = builtin_strategies()
    assert set(known) == {"mean_reversion", "imbalance"}
    assert all(len(set(names)) == len(names) > 0 for names in known.values())


MEAN = {"qty": 100, "edge_px": 100, "ema_shift": 6, "position_max": 150, "cooldown_ns": 0, "warmup": 4}


def settle(desk: Desk, cnt: int = 6) -> None:
    """Updates of the top that leave the midpoint where it is."""
    for ref in range(100, 100 + cnt):
        desk.rig.feed(r.add(1, "AAPL", ref, "B", 1, 1_000_000))


def test_mean_reversion_buys_below_the_average_and_sells_above_it_marked_short():
    with Desk(strategy=builtin("mean_reversion"), params=MEAN) as desk:
        desk.rig.quote(bid=1_000_000, ask=1_000_200)
        settle(desk)
        assert desk.cnt("strategy.intents") == 0
        desk.rig.feed(r.delete(1, 1001), *(r.delete(1, ref) for ref in range(100, 106)))
        desk.rig.feed(r.add(1, "AAPL", 7, "B", 50, 999_700), r.add(1, "AAPL", 8, "S", 50, 999_900))
        sent = entered(desk, 1)
        assert sent == [sv.enter(1, b"B", 100, b"AAPL    ", 999_900, tif=b"3")]
        desk.venue.sequenced(sv.accepted(1, b"B", 100, b"AAPL    ", 999_900), sv.canceled(1, 100, b"I"))
        desk.until(lambda: desk.cnt("session.canceled") == 1)
        desk.rig.feed(r.delete(1, 7), r.delete(1, 8), r.delete(1, 1002))
        desk.rig.feed(r.add(1, "AAPL", 9, "S", 50, 1_001_000), r.add(1, "AAPL", 10, "B", 50, 1_000_700))
        assert entered(desk, 2)[1] == sv.enter(2, b"T", 100, b"AAPL    ", 1_000_700, tif=b"3")


def test_mean_reversion_holds_still_within_its_edge_and_with_an_order_open():
    with Desk(strategy=builtin("mean_reversion"), params=MEAN) as desk:
        desk.rig.quote(bid=1_000_000, ask=1_000_200)
        settle(desk, 30)
        desk.rig.feed(r.add(1, "AAPL", 8, "S", 50, 1_000_050))  # 25 below the average at most
        assert desk.cnt("strategy.intents") == 0


LEAN = {"qty": 100, "levels": 3, "enter_pct": 40, "leave_pct": 10, "follow_px": 100, "position_max": 1000,
        "cooldown_ns": 0}  # fmt: skip


def test_imbalance_joins_follows_and_leaves():
    with Desk(strategy=builtin("imbalance"), params=LEAN) as desk:
        desk.rig.quote(bid=1_000_000, ask=1_000_200)
        assert desk.cnt("strategy.intents") == 0
        desk.rig.feed(r.add(1, "AAPL", 7, "B", 900, 1_000_000))
        assert entered(desk, 1) == [sv.enter(1, b"B", 100, b"AAPL    ", 1_000_000)]
        desk.venue.sequenced(sv.accepted(1, b"B", 100, b"AAPL    ", 1_000_000))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.rig.feed(r.add(1, "AAPL", 8, "B", 10, 1_000_050))  # moved by less than follow_px
        assert desk.cnt("strategy.intents") == 1
        desk.rig.feed(r.add(1, "AAPL", 9, "B", 10, 1_000_100))
        assert entered(desk, 2)[1] == sv.replace(1, 2, 100, 1_000_100)
        desk.rig.feed(r.add(1, "AAPL", 10, "B", 10, 1_000_190))  # the replace is still on its way
        assert desk.cnt("strategy.intents") == 2
        desk.venue.sequenced(sv.replaced(1, 2, b"B", 100, b"AAPL    ", 1_000_100))
        desk.until(lambda: desk.cnt("session.replaced") == 1)
        desk.rig.feed(r.delete(1, 7), r.delete(1, 1001), r.delete(1, 10), r.delete(1, 8))
        desk.rig.feed(r.add(1, "AAPL", 11, "S", 5000, 1_000_150))
        assert entered(desk, 3)[2] == sv.cancel(2, 0)
        desk.rig.ledgers()


@pytest.mark.parametrize(
    ("name", "param", "value", "allowed"),
    [
        ("mean_reversion", "ema_shift", 64, "0 to 32"),
        ("mean_reversion", "qty", 0, "1 to 1000000"),
        ("imbalance", "levels", 11, "1 to 10"),
        ("imbalance", "enter_pct", -1, "0 to 100"),
    ],
)
def test_a_parameter_out_of_range_is_named_with_what_is_allowed(name, param, value, allowed):
    with pytest.raises(ConfigError, match=f"'{name}': {param} is {value}; {allowed} are allowed"):
        r.Rig(("AAPL",), [(builtin(name), {param: value})])


def test_every_default_is_in_range():
    for name in builtin_strategies():
        desc = builtin(name)
        for i in range(desc.param_cnt):
            assert desc.param_min[i] <= desc.param_defaults[i] <= desc.param_max[i], (name, i)
