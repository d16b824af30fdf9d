"""Golden book: operations and error causes, a real stream, and a recorded ten-level book."""

from __future__ import annotations

import csv
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hwgw_sim.golden import Counters, crc32c, fnv1a, itch
from hwgw_sim.golden.book import (
    ADD,
    BUY,
    CROSS,
    DELETE,
    EXECUTE,
    EXECUTE_WITH_PRICE,
    NONE,
    PRINTABLE,
    REDUCE,
    REPLACE,
    SELL,
    TRADE,
    Books,
)

SHARED = Path(__file__).parents[3] / "shared"


def event(kind: int, **fields: int) -> dict[str, int]:
    blank = {"instrument": 0, "side": 0, "ref": 0, "ref_new": 0, "qty": 0, "px": 0, "flags": 0}
    return blank | {"kind": kind} | fields


def add(ref: int, side: int, qty: int, px: int, **fields: int) -> dict[str, int]:
    return event(ADD, ref=ref, side=side, qty=qty, px=px, **fields)


@pytest.fixture
def books() -> Books:
    """Bids 100 (refs 1 and 2), 99 (3); asks 101 (4), 102 (5)."""
    books = Books(2)
    for ref, side, qty, px in (
        (1, BUY, 10, 100),
        (2, BUY, 20, 100),
        (3, BUY, 30, 99),
        (4, SELL, 40, 101),
        (5, SELL, 50, 102),
    ):
        assert books.apply(add(ref, side, qty, px))[0] == "book.updates"
    return books


def test_levels_are_sorted_and_orders_keep_time_priority(books):
    assert books.depth(0, BUY, 10) == [(100, 2, 30), (99, 1, 30)]
    assert books.depth(0, SELL, 10) == [(101, 1, 40), (102, 1, 50)]
    assert books.depth(0, SELL, 1) == [(101, 1, 40)]
    assert books.orders(0, BUY) == [(1, 10, 100), (2, 20, 100), (3, 30, 99)]
    assert books.live() == 5
    assert books.depth(1, BUY, 10) == []


def test_top_shows_best_levels_last_trade_and_updates(books):
    books.apply(event(EXECUTE, ref=4, qty=15, flags=PRINTABLE))
    assert books.top(0) == {
        "bid_px": 100, "bid_qty": 30, "bid_cnt": 2, "ask_px": 101, "ask_qty": 25, "ask_cnt": 1,
        "last_px": 101, "last_qty": 15, "update_cnt": 6,
    }  # fmt: skip
    assert set(books.top(1).values()) == {0}


def test_execute_fills_in_the_resting_price_and_keeps_priority(books):
    done = event(EXECUTE, ref=1, qty=4, flags=PRINTABLE)
    assert books.apply(done) == ("book.updates", True)
    assert done["px"] == 100
    assert books.orders(0, BUY)[:2] == [(1, 6, 100), (2, 20, 100)]
    books.apply(event(EXECUTE, ref=1, qty=6, flags=PRINTABLE))
    assert books.orders(0, BUY)[0] == (2, 20, 100)


def test_execute_with_price_prints_its_own_price_when_printable(books):
    books.apply(event(EXECUTE_WITH_PRICE, ref=4, qty=1, px=77))
    assert books.top(0)["last_px"] == 0
    books.apply(event(EXECUTE_WITH_PRICE, ref=4, qty=2, px=78, flags=PRINTABLE))
    assert (books.top(0)["last_px"], books.top(0)["last_qty"]) == (78, 2)
    assert books.orders(0, SELL)[0] == (4, 37, 101)


def test_reduce_keeps_priority_and_removes_at_zero(books):
    assert books.apply(event(REDUCE, ref=1, qty=9)) == ("book.updates", True)
    assert books.orders(0, BUY)[0] == (1, 1, 100)
    books.apply(event(REDUCE, ref=1, qty=1))
    assert books.depth(0, BUY, 1) == [(100, 1, 20)]


def test_delete_removes_the_level_with_its_last_order(books):
    assert books.apply(event(DELETE, ref=3)) == ("book.updates", False)
    assert books.depth(0, BUY, 10) == [(100, 2, 30)]


def test_replace_loses_priority_and_keeps_side(books):
    assert books.apply(event(REPLACE, ref=1, ref_new=9, qty=10, px=100)) == ("book.updates", False)
    assert books.orders(0, BUY) == [(2, 20, 100), (9, 10, 100), (3, 30, 99)]
    assert books.apply(event(REPLACE, ref=9, ref_new=10, qty=5, px=103)) == ("book.updates", True)
    assert books.orders(0, BUY)[0] == (10, 5, 103)
    assert books.counters["book.crossed"] == 1


@pytest.mark.parametrize("kind", [TRADE, CROSS])
def test_trades_set_the_last_price_only(books, kind):
    before = books.hash()
    assert books.apply(event(kind, qty=3, px=55, flags=PRINTABLE)) == ("book.ignored", False)
    assert (books.top(0)["last_px"], books.top(0)["last_qty"], books.top(0)["update_cnt"]) == (55, 3, 5)
    books.apply(event(kind, qty=0, px=56, flags=PRINTABLE))
    books.apply(event(kind, qty=4, px=57))
    assert books.top(0)["last_px"] == 55
    assert books.hash() == before


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (event(NONE, instrument=0xFFFFFFFF), "book.ignored"),
        (event(TRADE, instrument=0xFFFFFFFF, qty=1, px=1, flags=PRINTABLE), "book.ignored"),
        (add(9, BUY, 1, 1, instrument=2), "book.drop_instrument"),
        (event(DELETE, ref=1, instrument=0xFFFFFFFF), "book.drop_instrument"),
        (event(DELETE, ref=9), "book.drop_unknown_ref"),
        (event(EXECUTE, ref=9, qty=1), "book.drop_unknown_ref"),
        (event(EXECUTE_WITH_PRICE, ref=9, qty=1, px=1), "book.drop_unknown_ref"),
        (event(REDUCE, ref=1, qty=1, instrument=1), "book.drop_unknown_ref"),
        (event(REPLACE, ref=9, ref_new=10, qty=1, px=1), "book.drop_unknown_ref"),
        (add(1, BUY, 1, 1), "book.drop_duplicate_ref"),
        (event(REPLACE, ref=1, ref_new=2, qty=1, px=1), "book.drop_duplicate_ref"),
        (event(REPLACE, ref=1, ref_new=1, qty=1, px=1), "book.drop_duplicate_ref"),
        (add(9, BUY, 0, 1), "book.drop_quantity"),
        (event(EXECUTE, ref=1, qty=0), "book.drop_quantity"),
        (event(EXECUTE, ref=1, qty=11), "book.drop_quantity"),
        (event(EXECUTE_WITH_PRICE, ref=1, qty=11, px=1), "book.drop_quantity"),
        (event(REDUCE, ref=1, qty=11), "book.drop_quantity"),
        (event(REDUCE, ref=1, qty=0), "book.drop_quantity"),
        (event(REPLACE, ref=1, ref_new=9, qty=0, px=1), "book.drop_quantity"),
        (add(9, 0, 1, 1), "book.drop_side"),
        (add(9, 3, 1, 1), "book.drop_side"),
    ],
)
def test_bad_event_has_one_cause_and_changes_nothing(books, bad, cause):
    before = (books.hash(), books.top(0), books.live())
    count = dict(books.counters)
    assert books.apply(bad) == (cause, False)
    assert (books.hash(), books.top(0), books.live()) == before
    assert books.counters == count | {cause: 1}


def test_full_books_refuse_orders_and_levels():
    books = Books(1, orders_max=3, levels_max=2)
    assert books.apply(add(1, BUY, 1, 10))[0] == "book.updates"
    assert books.apply(add(2, BUY, 1, 11))[0] == "book.updates"
    assert books.apply(add(3, BUY, 1, 12))[0] == "book.drop_full"
    assert books.apply(event(REPLACE, ref=1, ref_new=4, qty=1, px=12))[0] == "book.updates"
    assert books.apply(add(5, BUY, 1, 11))[0] == "book.updates"
    assert books.apply(event(REPLACE, ref=5, ref_new=6, qty=1, px=13))[0] == "book.drop_full"
    assert books.apply(add(7, SELL, 1, 20))[0] == "book.drop_full"
    assert books.apply(event(REPLACE, ref=5, ref_new=8, qty=1, px=12))[0] == "book.updates"


def test_hash_is_fnv1a_over_the_orders(books):
    def record(instrument: int, side: int, px: int, ref: int, qty: int) -> bytes:
        parts = ((instrument, 4), (side, 1), (px, 4), (ref, 8), (qty, 4))
        return b"".join(value.to_bytes(size, "little") for value, size in parts)

    assert Books(3).hash() == 0xCBF29CE484222325
    books.apply(add(1, SELL, 5, 7, instrument=1))
    first = [
        (0, 1, 100, 1, 10),
        (0, 1, 100, 2, 20),
        (0, 1, 99, 3, 30),
        (0, 2, 101, 4, 40),
        (0, 2, 102, 5, 50),
    ]
    second = [(1, 2, 7, 1, 5)]
    assert books.hash_instrument(0) == fnv1a(b"".join(record(*row) for row in first))
    assert books.hash_instrument(1) == fnv1a(b"".join(record(*row) for row in second))
    assert books.hash() == fnv1a(b"".join(record(*row) for row in first + second))
    books.clear()
    assert books.hash() == 0xCBF29CE484222325


def test_crc32c_matches_the_vectors_of_rfc_3720():
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(bytes(range(31, -1, -1))) == 0x113FDB5C


def test_fnv1a_matches_the_published_vectors():
    assert fnv1a(b"") == 0xCBF29CE484222325
    assert fnv1a(b"a") == 0xAF63DC4C8601EC8C
    assert fnv1a(b"foobar") == 0x85944171F73967E8


def test_random_operations_keep_the_aggregates_of_a_flat_list():
    """The same operations on a plain list of orders, sorted when asked, must give the same book."""
    rng = random.Random(20200130)
    books, flat = Books(1), {}
    for ref in range(1, 3001):
        kind = rng.choice((ADD, ADD, ADD, REDUCE, EXECUTE, DELETE, REPLACE))
        old = rng.choice(list(flat)) if flat else 0
        if kind == ADD or not flat:
            flat[ref] = [rng.choice((BUY, SELL)), rng.randint(1, 9), rng.randint(1, 20)]
            books.apply(add(ref, *flat[ref]))
        elif kind == REPLACE:
            flat[ref] = [flat.pop(old)[0], rng.randint(1, 9), rng.randint(1, 20)]
            books.apply(event(REPLACE, ref=old, ref_new=ref, qty=flat[ref][1], px=flat[ref][2]))
        elif kind == DELETE:
            del flat[old]
            books.apply(event(DELETE, ref=old))
        else:
            qty = rng.randint(1, flat[old][1])
            flat[old][1] -= qty
            books.apply(event(kind, ref=old, qty=qty))
            if flat[old][1] == 0:
                del flat[old]
        for side in (BUY, SELL):
            want = [(ref, qty, px) for ref, (its_side, qty, px) in flat.items() if its_side == side]
            want.sort(key=lambda row: -row[2] if side == BUY else row[2])
            assert books.orders(0, side) == want
    assert books.counters["book.updates"] == 3000


def test_real_stream_applies_without_one_error():
    path = SHARED / "data" / "itch50" / "aapl_20200130_first10k.itch50"
    if not path.exists():
        pytest.skip("../shared/data/itch50 is not here")
    data, cursor = path.read_bytes(), 0
    counters = Counters()
    books = Books(1, counters=counters)
    while cursor < len(data):
        length = int.from_bytes(data[cursor : cursor + 2], "big")
        message = itch.take(data[cursor + 2 : cursor + 2 + length], counters)
        assert message is not None
        books.apply(message | {"instrument": 0})
        cursor += 2 + length
    effects = 4758 + 2 + 849 + 6 + 4083 + 7  # A F E X D U
    top_changes = counters.pop("book.top_changes")
    assert counters.pop("book.crossed", 0) == 0
    assert counters == {"itch.messages": 10_000, "book.updates": effects, "book.ignored": 10_000 - effects}
    assert 0 < top_changes < effects


# ---- the recorded ten-level book: see ../shared/data/README.md ----

DEPTH = 10


def price(text: str) -> int:
    return round(float(text) * 10_000)


def row_levels(row: dict[str, str], side: int) -> list[tuple[int, int]]:
    name = "bid" if side == BUY else "ask"
    ranks = range(1, DEPTH + 1)
    return [(price(row[f"{name}_price_{n}"]), int(float(row[f"{name}_size_{n}"]))) for n in ranks]


class Oracle:
    """Runs the golden book beside the recorded one.

    The record starts in mid-session: shares of older orders stand as one anonymous order per level, from
    which an older order is cut out when an event names it. Inside the frontier (the worst price ever shown
    on its side) the book is known completely and must be equal; a level that enters from beyond it brings
    its older shares.
    """

    def __init__(self, first: dict[str, str]) -> None:
        self.books = Books(1)
        self.anonymous = 1 << 63
        self.frontier = {}
        self.level_cnt = 0
        self.entered_cnt = 0
        for side in (BUY, SELL):
            levels = row_levels(first, side)
            self.frontier[side] = levels[-1][0]
            for px, qty in levels:
                self.add_anonymous(side, qty, px)

    def add_anonymous(self, side: int, qty: int, px: int) -> None:
        self.anonymous += 1
        assert self.books.apply(add(self.anonymous, side, qty, px))[0] == "book.updates"

    def is_inside(self, side: int, px: int) -> bool:
        return px >= self.frontier[side] if side == BUY else px <= self.frontier[side]

    def cut_out(self, ref: int, side: int, qty: int, px: int) -> None:
        """Gives an order from before the record its own place."""
        if ref in self.books.books[0].orders:
            return
        if self.is_inside(side, px):
            orders = self.books.orders(0, side)
            older = [old for old, left, at in orders if at == px and old > 1 << 63 and left >= qty]
            assert older, f"order {ref} of {qty} at {px} is not in the book"
            self.books.apply(event(REDUCE, ref=older[0], qty=qty))
        self.books.apply(add(ref, side, qty, px))

    def apply(self, row: dict[str, str]) -> None:
        side = BUY if row["direction"] == "1" else SELL
        ref, qty, px = int(row["order_id"]), int(row["size"]), price(row["price"])
        kind = row["message_type"]
        if kind in "AF":
            happened = add(ref, side, qty, px)
        elif kind == "U":
            old = int(float(row["old_order_id"]))
            self.cut_out(old, side, int(float(row["old_size"])), price(row["old_price"]))
            happened = event(REPLACE, ref=old, ref_new=ref, qty=qty, px=px)
        else:
            self.cut_out(ref, side, qty, px)
            code = {"D": DELETE, "X": REDUCE, "E": EXECUTE, "C": EXECUTE_WITH_PRICE}[kind]
            happened = event(code, ref=ref, qty=qty, px=price(row["execution_price"]) if kind == "C" else 0)
        assert self.books.apply(happened)[0] == "book.updates", row

    def compare(self, row: dict[str, str]) -> None:
        for side in (BUY, SELL):
            want = row_levels(row, side)
            for px, qty in want:
                if not self.is_inside(side, px):
                    known = sum(left for _, left, at in self.books.orders(0, side) if at == px)
                    assert known <= qty
                    if qty > known:
                        self.add_anonymous(side, qty - known, px)
                    self.frontier[side] = px
                    self.entered_cnt += 1
                else:
                    self.level_cnt += 1
            assert [(px, qty) for px, _, qty in self.books.depth(0, side, DEPTH)] == want, row


def test_book_equals_the_recorded_ten_levels_after_every_event():
    path = SHARED / "data" / "book" / "aapl_20190130_events_book10.csv"
    if not path.exists():
        pytest.skip("../shared/data/book is not here")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    oracle = Oracle(rows[0])
    row_changes = level_changes = 0
    for before, row in pairwise(rows):
        oracle.apply(row)
        oracle.compare(row)
        changes = sum(len(set(row_levels(before, side)) ^ set(row_levels(row, side))) for side in (BUY, SELL))
        row_changes += changes > 0
        level_changes += changes
    assert len(rows) == 5_000
    assert (row_changes, level_changes) == (2_615, 5_240)
    assert (oracle.level_cnt, oracle.entered_cnt) == (4_999 * 2 * DEPTH - 4, 4)
