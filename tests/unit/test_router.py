"""The router: C equals the golden model on random streams; each rule of docs/routing.md at its boundary.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from typing import Any

import pytest
from hwgw_sim.golden import router as golden
from hwgw_sim.golden.router import ALL_OR_NONE, BUY, IOC, MARKET, OPTION_SHIFT, POST_ONLY, Cause, Kind, Quote, Venue

from hwgw.native import ffi, lib

LIMIT, DAY, SELL = lib.HWGW_ORDER_TYPE_LIMIT, lib.HWGW_ORDER_TIF_DAY, lib.HWGW_ORDER_SIDE_SELL
PX = 1_000_000
Q16 = 1 << 16


def order(**fields: Any) -> dict[str, int]:
    usual = {"kind": Kind.NEW, "side": BUY, "type": LIMIT, "tif": IOC, "px": PX, "qty": 100, "ref": 0, "ts_ns": 0}
    options = fields.pop("options", 0)
    return {**usual, "venue_ref": options << OPTION_SHIFT, "reason": 0, "orig_ref": 0, **fields}


class Both:
    """The same in C and in plain integers, compared after every step."""

    def __init__(self, *venues: Venue, children_max: int = 8, latency_px: int = 0, fill_px: int = 0) -> None:
        self.golden = golden.Router(venues, children_max, latency_px, fill_px)
        cfg = ffi.new("struct hwgw_router_cfg *")
        cfg.venue_cnt, cfg.children_max = len(venues), children_max
        cfg.latency_px, cfg.fill_px = latency_px, fill_px
        for row, venue in zip(cfg.venue, venues, strict=False):
            for name, value in dataclasses.asdict(venue).items():
                setattr(row, name, value)
        self._memory = ffi.new("uint64_t[]", lib.hwgw_router_sz_bytes() // 8 + 1)
        self.native = ffi.cast("struct hwgw_router *", self._memory)
        lib.hwgw_router_init(self.native, cfg)
        self.cnt = len(venues)
        self._quotes = ffi.new("struct hwgw_route_quote[]", self.cnt)
        self._candidates = ffi.new("struct hwgw_journal_candidate[]", self.cnt)

    def route(self, quotes: list[Quote], **fields: Any) -> list[golden.Candidate]:
        """The candidates, with the shares they got."""
        parent = order(**fields)
        placed, found = self.golden.route(parent, quotes)
        for row, quote in zip(self._quotes, quotes, strict=True):
            row.px, row.shown, row.is_up, row.is_good, row.is_halted, row.is_refused = dataclasses.astuple(quote)
        assert lib.hwgw_router_route(self.native, ffi.new("struct hwgw_order *", parent), self._quotes,
                                     self._candidates) == placed  # fmt: skip
        for native, want in zip(self._candidates, found, strict=True):
            got = {name: int(getattr(native, name)) for name in dataclasses.asdict(want)}
            assert got == dataclasses.asdict(want)
        assert placed == sum(at.qty for at in found) <= parent["qty"]
        assert sorted(at.rank for at in found if at.rank) == list(range(1, 1 + sum(at.qty > 0 for at in found)))
        return found

    def sent(self, venue: int, **fields: Any) -> None:
        fields = order(**fields)
        self.golden.sent(venue, fields)
        lib.hwgw_router_sent(self.native, venue, ffi.new("struct hwgw_order *", fields))
        self.compare()

    def answer(self, venue: int, kind: int, is_live: bool, **fields: int) -> None:
        event = {"kind": kind, "ref": 0, "orig_ref": 0, "qty": 0, "reason": 0, "ts_ns": 0, **fields}
        self.golden.answer(venue, event, is_live)
        lib.hwgw_router_answer(self.native, venue, ffi.new("struct hwgw_order *", event), is_live)
        self.compare()

    def recent(self, venue: int) -> tuple[int, int, int]:
        """Acknowledgement time, fill rate and open orders by the C code."""
        ack, fill, cnt = ffi.new("uint64_t *"), ffi.new("uint32_t *"), ffi.new("uint32_t *")
        lib.hwgw_router_venue(self.native, venue, ack, fill, cnt)
        return int(ack[0]), int(fill[0]), int(cnt[0])

    def compare(self) -> None:
        for venue, want in enumerate(self.golden.recent):
            assert self.recent(venue) == dataclasses.astuple(want)


def qtys(found: list[golden.Candidate]) -> list[int]:
    return [at.qty for at in found]


# ---- random streams ----


class Stream:
    """Orders, what was sent and what venues answer, in any order; few prices, so that ties happen."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        most = (2**32 - 1, 2**32 - 1, 0, 50, 100, 350)
        venues = [
            Venue(
                rng.random() < 0.1, rng.randint(-30, 30), rng.randint(-30, 30), rng.choice(most),
                rng.choice((2**32 - 1, 3, 40)),
            )
            for _ in range(rng.randint(1, 8))
        ]  # fmt: skip
        self.both = Both(
            *venues, children_max=rng.randint(1, 8), latency_px=rng.choice((0, 1, 10_000)),
            fill_px=rng.choice((0, 3, 10**6)),
        )  # fmt: skip
        self.ref, self.now = 0, 1
        self.live: dict[int, tuple[int, int]] = {}  # venue and what is left
        self.seen: Counter[str] = Counter()

    def parent(self) -> None:
        rng = self.rng
        quotes = [
            Quote(
                rng.choice((0, PX - 2, PX - 1, PX, PX + 1)), rng.choice((0, 1, 50, 100, 1000)), rng.random() < 0.9,
                rng.random() < 0.9, rng.random() < 0.1, rng.random() < 0.1,
            )
            for _ in range(self.both.cnt)
        ]  # fmt: skip
        fields = {
            "side": rng.choice((BUY, SELL)), "type": rng.choice((LIMIT, LIMIT, MARKET)), "tif": rng.choice((DAY, IOC)),
            "px": rng.choice((PX - 1, PX)), "qty": rng.choice((1, 99, 100, 101, 1_000)),
            "options": rng.choice((0, 0, 0, POST_ONLY, ALL_OR_NONE)),
        }  # fmt: skip
        for at in sorted(self.both.route(quotes, **fields), key=lambda at: at.rank):
            self.seen[f"cause {at.cause}"] += 1
            if at.rank:
                self.seen[f"rank {at.rank}"] += 1
                self.ref += 1
                self.both.sent(
                    at.venue, **fields | {"qty": at.qty, "ref": self.ref, "ts_ns": rng.choice((0, self.now))}
                )
                self.live[self.ref] = (at.venue, at.qty)

    def answer(self) -> None:
        rng = self.rng
        ref = rng.choice(list(self.live))
        venue, left = self.live[ref]
        kind = rng.choice((Kind.ACCEPTED, Kind.EXECUTED, Kind.EXECUTED, Kind.CANCELED, Kind.REJECTED, Kind.REPLACED))
        part = left if kind in (Kind.REJECTED, Kind.REPLACED) else rng.randint(1, left)
        fields = {"ref": ref, "qty": part, "ts_ns": self.now, "reason": rng.choice((0, 1))}
        if kind == Kind.REPLACED:
            self.ref += 1
            self.both.sent(venue, kind=Kind.REPLACE, ref=self.ref, orig_ref=ref, qty=part, ts_ns=self.now - 1)
            fields |= {"ref": self.ref, "orig_ref": ref}
            self.live[self.ref] = self.live.pop(ref)
        elif kind != Kind.ACCEPTED:
            self.live[ref] = (venue, left - part)
            if left == part:
                del self.live[ref]
        self.both.answer(venue, kind, fields["ref"] in self.live, **fields)
        self.seen[f"kind {kind}"] += 1

    def run(self, steps: int) -> Counter[str]:
        for _ in range(steps):
            self.now += self.rng.choice((0, 1, 999_999, 10**8, 2 * 10**9))
            if self.live and (self.rng.random() < 0.6 or len(self.live) > 1000):
                self.answer()
            else:
                self.parent()
        return self.seen


def test_random_streams_give_the_same_children_and_the_same_state(rng):
    seen: Counter[str] = Counter()
    wanted = {f"cause {value}" for value in vars(Cause).values()} | {"rank 1", "rank 2", "rank 3", "rank 4"}
    streams = 0
    while streams < 25 or (not wanted <= set(seen) and streams < 500):  # four venues at once are rare in a stream
        seen += Stream(rng).run(150)
        streams += 1
    assert wanted <= set(seen), wanted - set(seen)
    kinds = (Kind.ACCEPTED, Kind.EXECUTED, Kind.CANCELED, Kind.REJECTED, Kind.REPLACED)
    assert all(seen[f"kind {kind}"] for kind in kinds)


# ---- price, size, fees ----


@pytest.mark.parametrize(("side", "better"), [(BUY, -1), (SELL, 1)])
def test_the_better_price_goes_first_and_the_rest_to_the_next(side, better):
    both = Both(Venue(), Venue())
    found = both.route([Quote(PX, 500), Quote(PX + better, 60)], side=side, px=PX)
    assert qtys(found) == [40, 60]
    assert [at.rank for at in found] == [2, 1]


@pytest.mark.parametrize(("fee", "first"), [(9, 1), (10, 0), (11, 0)])
def test_a_fee_counts_like_price(fee, first):
    """10 units dearer with no fee, against a fee of 9, 10 and 11; at a tie the lower number goes first."""
    both = Both(Venue(), Venue(take_fee=fee))
    found = both.route([Quote(PX, 100), Quote(PX - 10, 100)], px=PX)
    assert found[first].qty == 100


def test_at_a_tie_more_displayed_goes_first_and_then_the_lower_number():
    both = Both(Venue(), Venue(), Venue())
    assert qtys(both.route([Quote(PX, 100), Quote(PX, 101), Quote(PX, 101)])) == [0, 100, 0]


@pytest.mark.parametrize(("px", "got"), [(PX - 1, [100, 0]), (PX, [0, 100]), (PX + 1, [0, 100])])
def test_nothing_is_taken_beyond_the_limit(px, got):
    """The second venue is the better one by its rebate as soon as the limit reaches it."""
    both = Both(Venue(), Venue(take_fee=-100))
    assert qtys(both.route([Quote(PX - 1, 100), Quote(PX, 100)], px=px)) == got


def test_what_is_not_displayed_anywhere_goes_to_the_cheapest_to_take_or_to_rest():
    venues = (Venue(make_fee=10), Venue(make_fee=-20))
    quotes = [Quote(PX - 1, 10), Quote(PX, 10)]
    assert qtys(Both(*venues).route(quotes, tif=IOC)) == [90, 10]
    assert qtys(Both(*venues).route(quotes, tif=DAY)) == [10, 90]


def test_an_order_that_takes_nothing_rests_where_that_costs_least():
    both = Both(Venue(make_fee=-19), Venue(make_fee=-20), Venue(make_fee=-20))
    found = both.route([Quote(0, 0), Quote(PX + 1, 5), Quote(PX + 1, 5)], tif=DAY)
    assert qtys(found) == [0, 100, 0]


# ---- limits ----


@pytest.mark.parametrize(("most", "got"), [(99, [99, 1]), (100, [100, 0]), (101, [100, 0]), (0, [0, 100])])
def test_a_child_is_never_larger_than_order_max(most, got):
    both = Both(Venue(order_max=most), Venue())
    assert qtys(both.route([Quote(PX - 1, 1000), Quote(PX, 1000)])) == got


def test_what_fits_nowhere_is_not_placed():
    assert qtys(Both(Venue(order_max=30), Venue(order_max=30)).route([Quote(PX, 1000), Quote(PX, 1000)])) == [30, 30]


@pytest.mark.parametrize(("children", "got"), [(1, [0, 100, 0]), (2, [0, 50, 50]), (3, [20, 50, 30])])
def test_no_more_children_than_allowed(children, got):
    both = Both(Venue(), Venue(), Venue(), children_max=children)
    quotes = [Quote(PX, 50), Quote(PX - 2, 50), Quote(PX - 1, 30)]
    if children == 2:
        quotes[2] = Quote(PX - 1, 50)
    assert qtys(both.route(quotes)) == got


def test_open_max_counts_orders_that_have_not_ended():
    both = Both(Venue(open_max=2), Venue())
    quotes = [Quote(PX - 1, 100), Quote(PX, 100)]
    for ref in (1, 2):
        assert qtys(both.route(quotes)) == [100, 0]
        both.sent(0, ref=ref, ts_ns=1)
    found = both.route(quotes)
    assert (qtys(found), found[0].cause) == ([0, 100], Cause.OPEN_ORDERS)
    both.answer(0, Kind.EXECUTED, True, ref=1, qty=99)
    assert qtys(both.route(quotes)) == [0, 100]
    both.answer(0, Kind.EXECUTED, False, ref=1, qty=1)
    assert qtys(both.route(quotes)) == [100, 0]


@pytest.mark.parametrize(
    ("venue", "quote", "cause"),
    [
        (Venue(is_off=True), Quote(0, 0, is_up=False), Cause.OFF),
        (Venue(is_off=True), Quote(PX, 1, is_halted=True), Cause.OFF),
        (Venue(), Quote(PX, 1, is_up=False, is_halted=True), Cause.HALTED),
        (Venue(), Quote(PX, 1, is_halted=True, is_refused=True), Cause.HALTED),
        (Venue(), Quote(PX, 1, is_up=False, is_refused=True), Cause.REFUSED),
        (Venue(), Quote(PX, 1, is_up=False, is_good=False), Cause.SESSION),
        (Venue(), Quote(PX, 1, is_good=False), Cause.FEED),
        (Venue(), Quote(0, 0), Cause.NO_PRICE),
        (Venue(), Quote(PX + 5, 1000), Cause.NOT_NEEDED),
    ],
)
def test_a_venue_that_gets_nothing_says_why(venue, quote, cause):
    found = Both(Venue(), venue).route([Quote(PX, 100), quote])
    assert (qtys(found), found[1].cause) == ([100, 0], cause)
    assert qtys(Both(venue).route([quote]))[0] == (100 if cause == Cause.NOT_NEEDED else 0)


def test_all_or_none_goes_whole_to_a_venue_that_displays_it_or_to_none():
    both = Both(Venue(order_max=99), Venue(), Venue())
    quotes = [Quote(PX - 3, 500), Quote(PX - 2, 99), Quote(PX - 1, 100)]
    found = both.route(quotes, options=ALL_OR_NONE)
    assert (qtys(found), found[0].cause) == ([0, 0, 100], Cause.TOO_SMALL)
    assert qtys(both.route([*quotes[:2], Quote(PX - 1, 99)], options=ALL_OR_NONE)) == [0, 100, 0]


def test_post_only_goes_where_it_rests():
    both = Both(Venue(make_fee=-30), Venue())
    found = both.route([Quote(PX, 1), Quote(PX + 1, 1)], tif=DAY, options=POST_ONLY)
    assert (qtys(found), found[0].cause) == ([0, 100], Cause.WOULD_TAKE)


# ---- recent ----


def test_a_slow_answer_costs_as_much_as_said():
    """8 ms weigh an eighth: 1 ms, worth 10 units. Against a price 9, 10 and 11 units dearer."""
    for dearer, first in ((9, 1), (10, 0), (11, 0)):
        both = Both(Venue(), Venue(), latency_px=10)
        both.sent(0, ref=1, ts_ns=1)
        both.answer(0, Kind.ACCEPTED, True, ref=1, ts_ns=8_000_001)
        assert both.recent(0)[0] == 1_000_000
        assert both.route([Quote(PX, 100), Quote(PX + dearer, 100)], px=2 * PX)[first].qty == 100


def test_an_order_that_was_missed_costs_as_much_as_said():
    """One of sixteen: the rate falls to 15/16 of all, worth 16 units x 1/16."""
    both = Both(Venue(), Venue(), fill_px=16)
    both.sent(0, ref=1, ts_ns=1)
    both.answer(0, Kind.CANCELED, False, ref=1, qty=100)
    assert both.recent(0)[1] == Q16 * 15 // 16
    assert qtys(both.route([Quote(PX - 1, 100), Quote(PX, 100)])) == [100, 0]
    assert qtys(both.route([Quote(PX, 100), Quote(PX, 100)])) == [0, 100]


def test_what_the_session_concluded_says_nothing_of_the_venue():
    both = Both(Venue())
    both.sent(0, ref=1, ts_ns=1)
    both.answer(0, Kind.REJECTED, False, ref=1, ts_ns=10**9)
    assert both.recent(0) == (0, Q16, 0)
    both.answer(0, Kind.REJECTED, False, ref=1, ts_ns=10**9)
    assert both.recent(0) == (0, Q16, 0)
