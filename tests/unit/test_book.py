"""Books: C equals the golden model after every message, and what the bounds do.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import csv
import mmap
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hwgw_sim.golden import itch
from hwgw_sim.golden.book import Books
from hwgw_sim.stream import Stream, split, spoil
from support.feed import EVENT_FIELDS, SIDES, NativeBooks, data_file, decode

from hwgw.errors import ConfigError
from hwgw.native import ffi, lib

ADD, EXECUTE, EXECUTE_WITH_PRICE, REDUCE, DELETE, REPLACE, TRADE = range(1, 8)
BUY, SELL = SIDES


def event(kind: int, **fields: int) -> dict[str, int]:
    blank = {"instrument": 0, "side": 0, "ref": 0, "ref_new": 0, "qty": 0, "px": 0, "flags": 0}
    return blank | {"kind": kind} | fields


def golden_event(message: bytes) -> tuple[dict[str, int], str | None]:
    """The event of a message and no cause, or nothing and the cause of the drop."""
    try:
        return itch.event(message), None
    except itch.DecodeError as error:
        return {}, error.cause


def assert_equal_books(native: NativeBooks, golden: Books, instrument: int) -> int:
    """Compares all that can be read of one instrument; how many orders it has."""
    orders = 0
    assert native.top(instrument) == golden.top(instrument)
    for side in SIDES:
        want = golden.orders(instrument, side)
        assert native.orders(instrument, side) == want
        assert native.depth(instrument, side, 1000) == golden.depth(instrument, side, 1000)
        orders += len(want)
    return orders


def test_equals_the_golden_model_after_every_message_of_a_real_stream(shared):
    messages = list(split(data_file(shared, "itch50/aapl_20200130_first10k.itch50").read_bytes()))
    native, golden = NativeBooks(1), Books(1)
    found = ffi.new("struct hwgw_event *")
    orders_compared = 0
    for message in messages:
        assert decode(message, found) is None
        want = itch.event(message) | {"instrument": 0}
        found.instrument = 0
        assert native.apply_native(found) == golden.apply(want)
        assert {name: getattr(found, name) for name in EVENT_FIELDS} == want
        orders_compared += assert_equal_books(native, golden, 0)
        assert native.hash_instrument(0) == golden.hash_instrument(0)
    assert len(messages) == 10_000
    assert golden.counters["book.updates"] == 4758 + 2 + 849 + 6 + 4083 + 7
    assert native.hash() == golden.hash()
    assert orders_compared > 1_000_000


@pytest.mark.slow
def test_equals_the_golden_model_after_every_one_of_60000_generated_messages(seed):
    """500 symbols and the second hundred of them not subscribed; one message in 25 is damaged."""
    symbols, subscribed = 500, 400
    native, golden = NativeBooks(subscribed, orders_max=4000, levels_max=24), Books(subscribed, 4000, 24)
    found = ffi.new("struct hwgw_event *")
    results: Counter[str] = Counter()
    with Stream(seed, symbols, live_max=4200) as stream:
        for number, message in enumerate(spoil(stream.messages(60_000), seed, 25)):
            cause = decode(message, found)
            want, dropped = golden_event(message)
            assert cause == dropped
            if dropped:
                results[dropped] += 1
                continue
            instrument = found.instrument = want["instrument"] = want["locate"] - 1 & 0xFFFFFFFF
            got = native.apply_native(found)
            assert got == golden.apply(want), (number, message)
            assert found.px == want["px"]
            results[got[0]] += 1
            if instrument < subscribed:
                for side in SIDES:
                    assert native.orders(instrument, side) == golden.orders(instrument, side), number
                assert native.top(instrument) == golden.top(instrument)
                if number % 10 == 0:
                    assert native.hash_instrument(instrument) == golden.hash_instrument(instrument)
            if number % 6_000 == 0:
                assert sum(assert_equal_books(native, golden, i) for i in range(subscribed)) == native.live()
    assert sum(results.values()) > 61_500
    assert native.hash() == golden.hash()
    causes = ("instrument", "unknown_ref", "duplicate_ref", "quantity", "side", "full")
    assert all(results[f"book.drop_{cause}"] > 6 for cause in causes), results
    assert results["itch.drop_length"] > 30
    assert results["itch.drop_unknown"] > 30
    assert results["book.updates"] > 45_000


@pytest.mark.parametrize("spread", ["dense", "strided", "high", "colliding", "random"])
def test_index_finds_every_reference_whatever_their_pattern(spread, rng):
    patterns = {
        "dense": lambda n: 1 + n,
        "strided": lambda n: n << 12,
        "high": lambda n: (n << 32) | 7,
        "colliding": lambda n: 8 * n * 1024,
        "random": lambda _: rng.getrandbits(64),
    }
    native = NativeBooks(1, orders_max=2000)
    live: dict[int, int] = {}
    found = refused = 0
    for n in range(20_000):
        if len(live) == 2000 or (live and rng.random() < 0.45):
            ref = rng.choice(list(live)) if rng.random() < 0.05 else next(iter(live))
            assert native.apply(event(DELETE, ref=ref))[0] == "book.updates"
            assert native.apply(event(DELETE, ref=ref))[0] == "book.drop_unknown_ref"
            del live[ref]
            found += 1
        else:
            ref = patterns[spread](n)
            live[ref] = qty = rng.randrange(1, 1000)
            add = event(ADD, ref=ref, qty=qty, side=rng.choice(SIDES), px=rng.randrange(100))
            assert native.apply(add)[0] == "book.updates"
            assert native.apply(add)[0] == "book.drop_duplicate_ref"
            refused += 1
    assert found > 8_000
    assert refused > 9_000
    got = {ref: qty for side in SIDES for ref, qty, _ in native.orders(0, side)}
    assert got == live
    assert native.live() == len(live)


@pytest.mark.parametrize("side", SIDES)
def test_ladder_of_thousands_of_prices_stays_sorted_while_it_grows_and_shrinks(side, rng):
    native = NativeBooks(1, orders_max=6000)
    prices = rng.sample(range(1, 0xFFFFFFFF), 6000)
    refs = dict(enumerate(prices, 1))
    for ref, px in refs.items():
        assert native.apply(event(ADD, ref=ref, side=side, qty=ref, px=px))[0] == "book.updates"
    compared = 0
    while refs:
        best_first = sorted(refs.items(), key=lambda item: item[1], reverse=side == BUY)
        assert native.orders(0, side) == [(ref, ref, px) for ref, px in best_first]
        compared += len(refs)
        for ref in rng.sample(list(refs), min(len(refs), 700)):
            assert native.apply(event(DELETE, ref=ref))[0] == "book.updates"
            del refs[ref]
    assert compared > 25_000
    assert native.live() == 0
    assert native.apply(event(ADD, ref=1, side=side, qty=5, px=77)) == ("book.updates", True)
    assert native.depth(0, side, 9) == [(77, 1, 5)]


def test_an_order_replaced_at_its_own_price_finds_room_in_a_ladder_that_is_full():
    """The last price of the line leaves it, is worse than all that stay, and so comes back into the ladder."""
    native, golden = NativeBooks(1, orders_max=200, levels_max=100), Books(1, 200, 100)

    ref = 0
    for side, sign in ((BUY, -1), (SELL, 1)):
        for step in (*range(4, 20), 3, 2, 1):  # 7 in the line; 12 of 16 places of the ladder used
            ref += 1
            native.apply(add := event(ADD, side=side, ref=ref, qty=100, px=1_000 + sign * 10 * step))
            golden.apply(add)
    for side, sign in ((BUY, -1), (SELL, 1)):  # three leave the line, and with the new one the ladder is full
        ref += 1
        native.apply(add := event(ADD, side=side, ref=ref, qty=100, px=1_000 + sign * 65))
        golden.apply(add)
    for side in SIDES:
        px = golden.depth(0, side, 4)[-1][0]
        [old] = [order[0] for order in golden.orders(0, side) if order[2] == px]
        ref += 1
        native.apply(replace := event(REPLACE, ref=old, ref_new=ref, qty=50, px=px))
        golden.apply(replace)
        assert_equal_books(native, golden, 0)
    for side in SIDES:
        for order in golden.orders(0, side):
            native.apply(delete := event(DELETE, ref=order[0]))
            golden.apply(delete)
            assert_equal_books(native, golden, 0)
    assert native.live() == 0


@pytest.mark.parametrize("levels", [12, 20, 40, 80])
def test_room_that_was_made_for_a_replace_outlives_the_ladder_that_it_shrinks(levels):
    """The worst price leaves a ladder, which may move to half its places, and comes back as the best of a full line."""
    native, golden = NativeBooks(1, orders_max=200, levels_max=100), Books(1, 200, 100)
    ref = 0
    for side, sign in ((BUY, -1), (SELL, 1)):
        for step in range(levels):
            ref += 1
            native.apply(add := event(ADD, side=side, ref=ref, qty=100, px=10_000 + sign * (1_000 + 10 * step)))
            golden.apply(add)
    replaced = 0
    for side, sign in ((BUY, 1), (SELL, -1)):
        while len(orders := golden.orders(0, side)) > 1:
            (worse, *_), (worst, *_) = orders[-2:]
            ref += 1
            better = event(REPLACE, ref=worse, ref_new=ref, qty=50, px=orders[0][2] + sign)
            for change in (event(DELETE, ref=worst), better):
                assert native.apply(change) == golden.apply(dict(change))
            assert_equal_books(native, golden, 0)
            replaced += 1
    assert replaced == 2 * (levels - 1)
    assert native.hash() == golden.hash()


@pytest.mark.parametrize("prices", [12, 24, 60])
def test_orders_alone_at_their_price_that_are_replaced_there_and_elsewhere(prices, rng):
    """Levels of one order open and close with every event, near the best price and far from it."""
    native, golden = NativeBooks(2, orders_max=200, levels_max=100), Books(2, 200, 100)
    live: dict[int, dict[str, int]] = {}
    updates = 0
    for ref in range(1, 30_001):
        kind = rng.choice((ADD, DELETE, REPLACE, REPLACE)) if live else ADD
        if kind == ADD:
            new = {"instrument": rng.randrange(2), "side": rng.choice(SIDES), "px": 1 + rng.randrange(prices)}
            change = event(ADD, ref=ref, qty=1 + rng.randrange(9), **new)
        else:
            old = rng.choice(list(live))
            new = live.pop(old)
            px = new["px"] if rng.random() < 0.7 else 1 + rng.randrange(prices)
            change = event(kind, ref=old, ref_new=ref, qty=5, px=px, instrument=new["instrument"])
            new = new | {"px": px}
        outcome = native.apply(change)
        assert outcome == golden.apply(dict(change)), ref
        updates += outcome[0] == "book.updates"
        if kind != DELETE and outcome[0] == "book.updates":
            live[ref] = new
        elif kind == REPLACE:
            live[old] = new
        for side in SIDES:
            assert native.depth(change["instrument"], side, 100) == golden.depth(change["instrument"], side, 100), ref
    assert updates > 25_000
    assert native.hash() == golden.hash()


def test_each_event_beyond_a_bound_is_dropped_and_changes_nothing():
    native = NativeBooks(2, orders_max=3, levels_max=2)
    for ref, px in ((1, 100), (2, 101), (3, 101)):
        assert native.apply(event(ADD, ref=ref, side=BUY, qty=10, px=px))[0] == "book.updates"
    before = list(native.state())
    refused = [
        event(ADD, ref=4, side=BUY, qty=10, px=100),  # orders_max, over all instruments
        event(ADD, ref=4, instrument=1, side=BUY, qty=10, px=100),
        event(REPLACE, ref=2, ref_new=9, qty=1, px=102),  # a third price: 101 stays because of order 3
    ]
    for bad in refused:
        assert native.apply(bad) == ("book.drop_full", False)
    assert list(native.state()) == before
    # alone at its price: the price it leaves makes room
    assert native.apply(event(REPLACE, ref=1, ref_new=9, qty=1, px=102)) == ("book.updates", True)
    assert native.depth(0, BUY, 9) == [(102, 1, 1), (101, 2, 20)]


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (event(ADD, instrument=2, ref=9, side=BUY, qty=1, px=1), "instrument"),
        (event(DELETE, instrument=0xFFFFFFFF, ref=1), "instrument"),
        (event(DELETE, ref=7), "unknown_ref"),
        (event(DELETE, instrument=1, ref=1), "unknown_ref"),
        (event(REPLACE, ref=7, ref_new=8, qty=1, px=1), "unknown_ref"),
        (event(ADD, ref=1, side=BUY, qty=1, px=1), "duplicate_ref"),
        (event(REPLACE, ref=1, ref_new=2, qty=1, px=1), "duplicate_ref"),
        (event(REPLACE, ref=1, ref_new=1, qty=1, px=1), "duplicate_ref"),
        (event(ADD, ref=9, side=BUY, qty=0, px=1), "quantity"),
        (event(EXECUTE, ref=1, qty=11), "quantity"),
        (event(EXECUTE_WITH_PRICE, ref=1, qty=0, px=5), "quantity"),
        (event(REDUCE, ref=1, qty=11), "quantity"),
        (event(REPLACE, ref=1, ref_new=9, qty=0, px=1), "quantity"),
        (event(ADD, ref=9, side=0, qty=1, px=1), "side"),
        (event(ADD, ref=9, side=3, qty=1, px=1), "side"),
    ],
)
def test_dropped_event_has_one_cause_and_changes_nothing(bad, cause):
    native = NativeBooks(2)
    for ref, side, px in ((1, BUY, 100), (2, SELL, 101)):
        native.apply(event(ADD, ref=ref, side=side, qty=10, px=px))
    before = list(native.state())
    assert native.apply(dict(bad)) == (f"book.drop_{cause}", False)
    assert list(native.state()) == before


def test_two_instruments_may_use_the_same_reference():
    native = NativeBooks(2)
    for instrument, qty in ((0, 10), (1, 20)):
        assert native.apply(event(ADD, instrument=instrument, ref=5, side=BUY, qty=qty, px=100))[0] == "book.updates"
    assert native.apply(event(REDUCE, instrument=1, ref=5, qty=1))[0] == "book.updates"
    assert native.orders(0, BUY) == [(5, 10, 100)]
    assert native.orders(1, BUY) == [(5, 19, 100)]


def test_top_is_said_to_change_only_when_it_does():
    native = NativeBooks(1)
    assert native.apply(event(ADD, ref=1, side=BUY, qty=10, px=100))[1]
    assert not native.apply(event(ADD, ref=2, side=BUY, qty=10, px=99))[1]
    assert native.apply(event(REDUCE, ref=1, qty=1))[1]
    assert not native.apply(event(DELETE, ref=2))[1]
    # the same price, shares and count under another reference look the same
    assert not native.apply(event(REPLACE, ref=1, ref_new=3, qty=9, px=100))[1]
    assert native.apply(event(REPLACE, ref=3, ref_new=4, qty=8, px=100))[1]
    assert native.apply(event(DELETE, ref=4))[1]


def test_only_printable_trades_set_the_last_price():
    native = NativeBooks(1)
    native.apply(event(ADD, ref=1, side=SELL, qty=10, px=100))
    assert native.apply(event(EXECUTE_WITH_PRICE, ref=1, qty=1, px=105))[0] == "book.updates"
    assert native.top(0)["last_px"] == 0
    executed = event(EXECUTE, ref=1, qty=2, flags=1)
    native.apply(executed)
    assert executed["px"] == 100
    assert (native.top(0)["last_px"], native.top(0)["last_qty"]) == (100, 2)
    assert native.apply(event(TRADE, qty=7, px=103, flags=1)) == ("book.ignored", False)
    assert (native.top(0)["last_px"], native.top(0)["last_qty"]) == (103, 7)


def test_cleared_books_are_as_new():
    native, fresh = NativeBooks(3), NativeBooks(3)
    for ref in range(1, 500):
        native.apply(event(ADD, instrument=ref % 3, ref=ref, side=SIDES[ref % 2], qty=ref, px=ref * 7 % 90 + 1))
    native.clear()
    assert list(native.state()) == list(fresh.state())
    assert native.live() == 0
    for books in (native, fresh):
        books.apply(event(ADD, ref=3, side=BUY, qty=1, px=2))
    assert native.hash() == fresh.hash()


def test_clearing_one_instrument_forgets_its_orders_and_no_others(rng):
    """Thousands of prices and long queues, references of both halves: as if each of its orders had been deleted."""
    native, golden = NativeBooks(3, orders_max=5000), Books(3, 5000)
    own: list[int] = []
    for n in range(4500):
        instrument = n % 3
        ref = n + 1 | (n % 5 << 32)
        px = rng.choice([100, 101, rng.randrange(1, 3000)])
        add = event(ADD, instrument=instrument, ref=ref, side=rng.choice(SIDES), qty=n + 1, px=px)
        assert native.apply(dict(add)) == golden.apply(add)
        if instrument == 1:
            own.append(ref)
    assert native.top(1)["update_cnt"] == len(own) == 1500
    native.clear_instrument(1)
    for ref in own:
        assert golden.apply(event(DELETE, instrument=1, ref=ref))[0] == "book.updates"
    assert native.live() == 3000
    assert native.top(1) == {name: len(own) * (name == "update_cnt") for name in native.top(1)}
    assert sum(assert_equal_books(native, golden, i) for i in (0, 2)) == 3000
    assert native.hash() == golden.hash()
    for ref in own:
        assert native.apply(event(DELETE, instrument=1, ref=ref))[0] == "book.drop_unknown_ref"
    for ref in rng.sample(own, 1000):  # what was given back is used again
        add = event(ADD, instrument=1, ref=ref, side=rng.choice(SIDES), qty=7, px=rng.randrange(1, 3000))
        assert native.apply(dict(add)) == golden.apply(add)
    for instrument in (0, 3):
        native.clear_instrument(instrument)  # 3 is nobody's
    assert native.live() == 1500 + 1000
    assert native.hash_instrument(1) == golden.hash_instrument(1)


@pytest.mark.parametrize(
    ("cfg", "text"),
    [
        ({"instrument_cnt": 0, "orders_max": 1}, "instrument_cnt is 0; 1 to 65536 is allowed"),
        ({"instrument_cnt": 65537, "orders_max": 1}, "instrument_cnt is 65537; 1 to 65536 is allowed"),
        ({"instrument_cnt": 1, "orders_max": 0}, "orders_max is 0; 1 to 67108864 is allowed"),
        ({"instrument_cnt": 1, "orders_max": 67108865}, "orders_max is 67108865; 1 to 67108864 is allowed"),
    ],
)
def test_configuration_out_of_range_names_key_value_and_range(cfg, text):
    with pytest.raises(ConfigError, match=text):
        NativeBooks(**cfg)


def test_resident_books_have_their_memory_before_the_first_message():
    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    before = resident_bytes()
    lazy = NativeBooks(4, 1_000_000)
    between = resident_bytes()
    resident = NativeBooks(4, 1_000_000, resident=True)
    assert between - before < 8_000_000
    assert resident_bytes() - between > 64 * 1_000_000
    # and none is added by the first messages: many prices on few sides, some of them in ladders of thousands
    event = ffi.new("struct hwgw_event *", {"kind": lib.HWGW_EVENT_KIND_ADD, "qty": 1})
    before, changed = resident_bytes(), ffi.new("bool *")
    for ref in range(1, 40_001):
        event.ref, event.instrument, event.side, event.px = ref, ref % 4, 1 + ref // 4 % 2, 1_000_000 + ref
        assert lib.hwgw_books_apply(resident.native, event, changed) == lib.HWGW_CNT_BOOK_UPDATES
    assert resident_bytes() - before <= 64 << 10
    del lazy, resident


def test_unknown_instrument_has_an_empty_book():
    native = NativeBooks(1)
    native.apply(event(ADD, ref=1, side=BUY, qty=1, px=2))
    assert set(native.top(5).values()) == {0}
    assert native.depth(5, BUY, 3) == native.orders(0, 0) == native.orders(0, 3) == []
    assert native.hash_instrument(5) == lib.hwgw_books_hash_instrument(NativeBooks(1).native, 0)


# ---- the recorded ten-level book: see ../shared/data/README.md ----


def px_of(text: str) -> int:
    return round(float(text) * 10_000)


def visible(row: dict[str, str], side: int) -> dict[int, int]:
    """Price to shares of the ten recorded levels of a side."""
    name = "bid" if side == BUY else "ask"
    return {px_of(row[f"{name}_price_{n}"]): int(float(row[f"{name}_size_{n}"])) for n in range(1, 11)}


def rebuilt(before: dict[str, str], row: dict[str, str]) -> NativeBooks:
    """A book of the ten levels before the row, each as one order but for the one the row's event names, after it."""
    side = BUY if row["direction"] == "1" else SELL
    ref, qty, px = int(row["order_id"]), int(row["size"]), px_of(row["price"])
    kind = row["message_type"]
    named_qty, named_px = (int(float(row["old_size"])), px_of(row["old_price"])) if kind == "U" else (qty, px)
    named = int(float(row["old_order_id"])) if kind == "U" else ref
    native = NativeBooks(1, orders_max=64)
    anonymous = 1 << 63
    if kind not in "AF":
        assert native.apply(event(ADD, ref=named, side=side, qty=named_qty, px=named_px))[0] == "book.updates"
    for each in SIDES:
        for level_px, shares in visible(before, each).items():
            is_its_level = kind not in "AF" and (each, level_px) == (side, named_px)
            rest = shares - named_qty if is_its_level else shares
            anonymous += 1
            if rest:
                native.apply(event(ADD, ref=anonymous, side=each, qty=rest, px=level_px))
    happened = {
        "U": event(REPLACE, ref=named, ref_new=ref, qty=qty, px=px),
        "D": event(DELETE, ref=ref),
        "X": event(REDUCE, ref=ref, qty=qty),
        "E": event(EXECUTE, ref=ref, qty=qty),
        "C": event(EXECUTE_WITH_PRICE, ref=ref, qty=qty, px=px_of(row["execution_price"] or "0")),
    }.get(kind, event(ADD, ref=ref, side=side, qty=qty, px=px))
    assert native.apply(happened)[0] == "book.updates"
    return native


def test_each_change_of_a_recorded_ten_level_book_follows_from_its_event(shared):
    with data_file(shared, "book/aapl_20190130_events_book10.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    changes = levels = entered = 0
    for before, row in pairwise(rows):
        native = rebuilt(before, row)
        for side in SIDES:
            known, want = visible(before, side), visible(row, side)
            worst = min(known) if side == BUY else max(known)
            got = {px: qty for px, _, qty in native.depth(0, side, 10)}
            for px, qty in want.items():
                if (px < worst if side == BUY else px > worst) and got.get(px) != qty:
                    entered += 1  # from beyond the tenth level, of which the row before says nothing
                    continue
                assert got[px] == qty, (row["event_index"], px)
                levels += 1
                changes += known.get(px) != qty
            changes += sum(px not in want for px in known)
    assert len(rows) == 5_000
    # of 4,999 x 20 levels, 3,239 changed ones are explained by their events, and 555 came from beyond the tenth
    assert (levels, entered, changes) == (99_980 - 555, 555, 3_239)
