"""Strategies on paper beside several venues: orders stay at the venue they name, or go by the live books.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from typing import Any

from support import rig as r
from support.desk import probe

from .test_venues import PX, ROUTE, STATES, Floor, routes

OPEN = {"take_fee": 0, "make_fee": 0, "order_max": 2**32 - 1, "open_max": 2**32 - 1}


def floor(paper: dict[str, int], **options: Any) -> Floor:
    return Floor(probe={"every": 10**6}, paper=probe(**paper), **options)


def held(made: Floor) -> dict[str, int]:
    paper = made.rig.paper
    assert paper is not None
    return {name: int(row["pos"]) for name, row in zip(paper.instruments, paper.positions, strict=True) if row["pos"]}


def untouched(made: Floor) -> bool:
    """Nothing of it has reached a venue, the live gate or live positions."""
    return made.packets == [[], []] and not made.held() and not made.rig.cnt("risk.orders")


def test_an_order_on_paper_is_filled_at_the_venue_that_it_names():
    with floor({"every": 1, "qty": 60}) as made:
        made.book(0, (PX - 5, 100), (PX + 5, 200))
        made.until(lambda: held(made) == {"AAPL@NORTH": 60}, "it is filled in the north")
        made.book(1, (PX - 3, 100), (PX + 3, 200))
        made.until(lambda: held(made) == {"AAPL@NORTH": 60, "AAPL@SOUTH": 60}, "and in the south")
        paper = made.rig.paper
        assert [int(row["cash"]) for row in paper.positions if row["pos"]] == [-60 * (PX + 5), -60 * (PX + 3)]
        assert {int(paper.positions[i]["long_worst"]) for i in (0, 2)} == {120}  # one exposure per symbol
        assert untouched(made)
        made.rig.ledgers()


def test_a_parent_on_paper_is_split_by_the_live_books_and_its_ledger_is_exact():
    with floor({"every": 2, "qty": 150, "px": PX + 5, "option": ROUTE}) as made:
        made.book(0, (PX - 5, 100), (PX + 2, 100))
        made.book(1, (PX - 5, 100), (PX + 1, 90))
        made.until(lambda: held(made) == {"AAPL@NORTH": 60, "AAPL@SOUTH": 90}, "both have filled")
        made.rig.publish()
        counters = made.rig.paper.counters()
        names = ("router.parents", "router.placed", "router.children", "risk.passed", "order.encoded")
        assert [counters[name] for name in names] == [1, 1, 2, 2, 2]
        assert routes(made) == []  # the live journal has nothing of it
        assert made.rig.cnt("router.parents") == 0
        assert untouched(made)


def test_what_the_router_is_told_of_venues_holds_on_paper_too():
    """A fee at SOUTH makes NORTH the cheaper one, at the worse price."""
    venues = [OPEN, OPEN | {"take_fee": 3}]
    router = {"venue_cnt": 2, "children_max": 8, "venue": venues}
    with floor({"every": 2, "qty": 50, "px": PX + 5, "option": ROUTE}, router=router) as made:
        made.book(0, (PX - 5, 100), (PX + 2, 100))
        made.book(1, (PX - 5, 100), (PX + 1, 90))
        made.until(lambda: held(made) == {"AAPL@NORTH": 50}, "the cheaper one has filled")
        assert untouched(made)


def test_a_venue_that_is_lost_live_is_passed_over_on_paper_and_one_halted_live_is_not():
    with floor({"every": 2, "qty": 50, "px": PX + 5, "option": ROUTE}) as made:
        made.rig.segment.halt_venue("NORTH", "live alone")
        made.venues[1].drop()
        made.until(lambda: made.state(1) != STATES["UP"], "SOUTH is lost")
        made.book(0, (PX - 5, 100), (PX + 2, 100))
        made.book(1, (PX - 5, 100), (PX + 1, 90))
        made.until(lambda: held(made) == {"AAPL@NORTH": 50}, "the other one has filled")
        paper = made.rig.paper
        paper.halt_venue("NORTH", "on paper")
        made.rig.feed(r.add(7, "AAPL", 31, "B", 10, PX - 4), channel=0)
        made.rig.feed(r.add(7, "AAPL", 32, "B", 10, PX - 3), channel=0)
        made.rig.publish()
        assert paper.counters()["router.drop_unplaced"] == 1
        assert held(made) == {"AAPL@NORTH": 50}
