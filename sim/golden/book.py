"""Golden order books: per instrument and side a list of price levels, each a list of orders in time priority.

An event is a dict with the fields of hwgw/specs/event.yaml. apply() says what it was; the first that applies:
ignored            kind has no effect on orders: none, trade, cross, break, status, directory, system
drop_instrument    instrument is not one of the books
drop_unknown_ref   execute, reduce, delete, replace of a reference that is not in the book of that instrument
drop_duplicate_ref add or replace to a reference that is in the book of that instrument (its own original too)
drop_quantity      quantity 0, or more than the order has left (delete has none)
drop_side          add that is neither buy nor sell
drop_full          one more order than orders_max, or one more level on that side than levels_max
updates            applied

A dropped event changes nothing. A trade or cross of a known instrument sets the last price and quantity and
is ignored otherwise; an execution sets them too, at its own price or else the order's. Both do so only when
the event is flagged printable and has a quantity. Execute sets event["side"] to the order's, and event["px"]
to its price when it is 0.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hwgw_sim.golden import FNV_BASIS, Counters, fnv1a

Event = dict[str, int]

NONE, ADD, EXECUTE, EXECUTE_WITH_PRICE, REDUCE, DELETE, REPLACE, TRADE, CROSS = range(9)  # kind, event.yaml
BUY, SELL = 1, 2  # side
PRINTABLE = 1  # flags


@dataclass
class Order:
    """A live order; qty is what is left of it."""

    ref: int
    qty: int
    px: int
    side: int


@dataclass
class Level:
    """The orders of one price, in time priority."""

    px: int
    orders: list[Order] = field(default_factory=list)

    @property
    def qty(self) -> int:
        """Shares at this price."""
        return sum(order.qty for order in self.orders)


class Book:
    """One instrument: levels best first, and its orders by reference."""

    def __init__(self) -> None:
        self.sides: dict[int, list[Level]] = {BUY: [], SELL: []}
        self.orders: dict[int, Order] = {}
        self.last_px = 0
        self.last_qty = 0
        self.update_cnt = 0

    def insert(self, order: Order) -> None:
        """Puts the order behind the others of its price."""
        levels = self.sides[order.side]
        is_better = int.__gt__ if order.side == BUY else int.__lt__
        idx = sum(is_better(level.px, order.px) for level in levels)
        if idx == len(levels) or levels[idx].px != order.px:
            levels.insert(idx, Level(order.px))
        levels[idx].orders.append(order)
        self.orders[order.ref] = order

    def remove(self, order: Order) -> None:
        """Takes the order out, and its level when it was the last there."""
        levels = self.sides[order.side]
        level = next(level for level in levels if level.px == order.px)
        level.orders.remove(order)
        if not level.orders:
            levels.remove(level)
        del self.orders[order.ref]

    def reduce(self, order: Order, qty: int) -> None:
        """Takes shares off the order, which keeps its place and ends at 0."""
        order.qty -= qty
        if order.qty == 0:
            self.remove(order)

    def best(self) -> list[tuple[int, int, int]]:
        """px, qty and cnt of the best bid and the best ask, zeros where there is none."""
        tops = []
        for side in (BUY, SELL):
            level = self.sides[side][0] if self.sides[side] else Level(0)
            tops.append((level.px, level.qty, len(level.orders)))
        return tops

    def level_cnt_with(self, side: int, px: int, without: Order | None = None) -> int:
        """Levels of a side after adding px, the order `without` taken out before."""
        prices = {level.px for level in self.sides[side] if level.orders != [without]}
        return len(prices | {px})


class Books:
    """The books of one pipeline."""

    def __init__(
        self, instrument_cnt: int, orders_max: int = 0, levels_max: int = 0, counters: Counters | None = None
    ) -> None:
        self.books = [Book() for _ in range(instrument_cnt)]
        self.orders_max = orders_max  # 0 = no bound
        self.levels_max = levels_max  # 0 = no bound
        self.counters = Counters() if counters is None else counters

    def apply(self, event: Event) -> tuple[str, bool]:
        """Applies one event: its counter, and whether px, qty or cnt of a best level changed."""
        book = self.books[event["instrument"]] if event["instrument"] < len(self.books) else None
        before = book.best() if book else None
        cause = self._apply(book, event)
        self.counters.add(cause)
        if book is None or cause != "book.updates":
            return cause, False
        book.update_cnt += 1
        (bid_px, _, bid_cnt), (ask_px, _, ask_cnt) = after = book.best()
        if after != before:
            self.counters.add("book.top_changes")
        if bid_cnt and ask_cnt and bid_px >= ask_px:
            self.counters.add("book.crossed")
        return cause, after != before

    def _apply(self, book: Book | None, event: Event) -> str:
        kind, qty = event["kind"], event["qty"]
        if kind in (TRADE, CROSS) and book:
            self._print(book, event)
        if kind not in (ADD, EXECUTE, EXECUTE_WITH_PRICE, REDUCE, DELETE, REPLACE):
            return "book.ignored"
        if book is None:
            return "book.drop_instrument"
        if kind == ADD:
            return self._add(book, Order(event["ref"], qty, event["px"], event["side"]))
        order = book.orders.get(event["ref"])
        if order is None:
            return "book.drop_unknown_ref"
        if kind == DELETE:
            book.remove(order)
            return "book.updates"
        if kind == REPLACE:
            return self._replace(book, order, Order(event["ref_new"], qty, event["px"], order.side))
        if not 0 < qty <= order.qty:
            return "book.drop_quantity"
        if kind in (EXECUTE, EXECUTE_WITH_PRICE):
            event["px"] = event["px"] or order.px
            event["side"] = order.side
            self._print(book, event)
        book.reduce(order, qty)
        return "book.updates"

    def _add(self, book: Book, order: Order) -> str:
        if order.ref in book.orders:
            return "book.drop_duplicate_ref"
        if order.qty == 0:
            return "book.drop_quantity"
        if order.side not in (BUY, SELL):
            return "book.drop_side"
        if self.orders_max and self.live() >= self.orders_max:
            return "book.drop_full"
        if self.levels_max and book.level_cnt_with(order.side, order.px) > self.levels_max:
            return "book.drop_full"
        book.insert(order)
        return "book.updates"

    def _replace(self, book: Book, old: Order, new: Order) -> str:
        if new.ref in book.orders:
            return "book.drop_duplicate_ref"
        if new.qty == 0:
            return "book.drop_quantity"
        if self.levels_max and book.level_cnt_with(old.side, new.px, without=old) > self.levels_max:
            return "book.drop_full"
        book.remove(old)
        book.insert(new)
        return "book.updates"

    @staticmethod
    def _print(book: Book, event: Event) -> None:
        if event["flags"] & PRINTABLE and event["qty"]:
            book.last_px, book.last_qty = event["px"], event["qty"]

    # ---- read-outs ----

    def clear(self) -> None:
        """Empties every book."""
        self.books = [Book() for _ in self.books]

    def live(self) -> int:
        """Live orders of all books."""
        return sum(len(book.orders) for book in self.books)

    def top(self, instrument: int) -> dict[str, int]:
        """The book fields of the tob layout of hwgw/specs/segment.yaml."""
        book = self.books[instrument]
        (bid_px, bid_qty, bid_cnt), (ask_px, ask_qty, ask_cnt) = book.best()
        return {
            "bid_px": bid_px,
            "ask_px": ask_px,
            "bid_qty": bid_qty,
            "ask_qty": ask_qty,
            "bid_cnt": bid_cnt,
            "ask_cnt": ask_cnt,
            "last_px": book.last_px,
            "last_qty": book.last_qty,
            "update_cnt": book.update_cnt,
        }

    def depth(self, instrument: int, side: int, level_max: int) -> list[tuple[int, int, int]]:
        """Best levels of a side as (px, cnt, qty), best first."""
        levels = self.books[instrument].sides[side][:level_max]
        return [(level.px, len(level.orders), level.qty) for level in levels]

    def orders(self, instrument: int, side: int) -> list[tuple[int, int, int]]:
        """Every order of a side as (ref, qty, px): best price first, in time priority within a price."""
        levels = self.books[instrument].sides[side]
        return [(order.ref, order.qty, order.px) for level in levels for order in level.orders]

    def hash_instrument(self, instrument: int, value: int = FNV_BASIS) -> int:
        """FNV-1a 64 over instrument u32, side u8, px u32, ref u64, qty u32 (little-endian) of every order."""
        for side in (BUY, SELL):
            for ref, qty, px in self.orders(instrument, side):
                record = (
                    instrument.to_bytes(4, "little")
                    + side.to_bytes(1, "little")
                    + px.to_bytes(4, "little")
                    + ref.to_bytes(8, "little")
                    + qty.to_bytes(4, "little")
                )
                value = fnv1a(record, value)
        return value

    def hash(self) -> int:
        """The same over all instruments in ascending order; an empty book adds nothing."""
        value = FNV_BASIS
        for instrument in range(len(self.books)):
            value = self.hash_instrument(instrument, value)
        return value
