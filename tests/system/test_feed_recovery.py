"""A gateway against an exchange with bad lines: holes are repaired through real sockets, and meanwhile no order leaves.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.market import Market, until

from hwgw.demo.stage import recovery_keys
from hwgw.segment import Segment
from hwgw.telemetry import ledger_rows


@contextmanager
def trading(
    folder: Path, faults: list[str], channel: dict[str, Any], **market: Any
) -> Iterator[tuple[Market, Segment]]:
    """An exchange whose lines have these faults, and a gateway that has begun to hear it."""
    options = [word for line in faults for word in ("--faults", line)]
    options += market.pop("options", [])
    with Market(folder, recovery=options, seconds=30, **market) as made:
        made.channel = channel
        made.start()
        with made.attached("mold.frames") as segment:
            yield made, segment


def states_until(segment: Segment, done: Any, seconds: float) -> list[str]:
    """The states of the channel, in order and each once in a row, until done."""
    seen: list[str] = []
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        state = segment.channel_status()[0]["state"]
        if not seen or seen[-1] != state:
            seen.append(state)
        time.sleep(0.0005)
    assert done(), f"gave up; the channel went {' -> '.join(seen)}"
    return seen


def books_agree(segment: Segment, *, whole: bool) -> None:
    """No message contradicted a book, every ledger is exact, and nothing was given up."""
    counters = segment.counters()
    contradictions = {
        name: counters[f"book.drop_{name}"] for name in ("unknown_ref", "duplicate_ref", "quantity", "side")
    }
    assert not any(contradictions.values()), contradictions
    assert counters["book.updates"] > 1000
    assert counters["hold.lost"] == 0
    assert counters["mold.missing"] == sum(counters[f"hold.{name}"] for name in ("filled", "covered", "missing_now"))
    if whole:
        assert counters["hold.covered"] == counters["recover.snapshots"] == 0
    for name in ("holes", "held", "snapshots"):
        (row,) = (row for row in ledger_rows(counters) if row.name == name)
        assert row.exact, row


def test_a_line_that_dies_while_the_other_lives_is_not_missed(tmp_path):
    channel = {"reorder_window": "100ms"}
    with trading(tmp_path, ["outage=1-2.5", ""], channel, rate=5000) as (_, segment):
        before = segment.counters()["risk.refused_feed"]
        until(lambda: segment.channel_status()[0]["lines"]["A"]["missed"] > 1000, "line A is back")
        row = segment.channel_status()[0]
        assert row["lines"]["B"]["first"] > 5000
        assert (row["requests"], row["snapshots"]) == (0, 0)
        counters = segment.counters()
        assert counters["risk.refused_feed"] - before < 20  # while a packet of B is a moment late, at most
        books_agree(segment, whole=True)


def test_both_lines_dead_means_feed_refusals_and_then_re_requests_state_by_state(tmp_path):
    # orders go on being wanted: the books that the strategies see move when the hole is being filled
    channel = {"stale": "200ms", "reorder_window": "2ms"}
    outage = "outage=1-2"
    with trading(tmp_path, [outage, outage], channel, rate=4000) as (_, segment):
        until(lambda: segment.counters()["order.encoded"] > 0, "orders leave")
        refused = segment.counters()["risk.refused_feed"]

        def repaired() -> bool:
            row = segment.channel_status()[0]
            return row["repairs"] > 0 and row["state"] == "good" and row["requests"] > 0

        seen = states_until(segment, repaired, 15)
        assert "stale" in seen
        assert "requesting" in seen[seen.index("stale") :]
        assert segment.counters()["risk.refused_feed"] > refused
        row = segment.channel_status()[0]
        assert row["lines"]["recovery"]["first"] > 1000
        assert row["snapshots"] == 0
        before = segment.counters()["order.encoded"]
        until(lambda: segment.counters()["order.encoded"] > before, "orders leave again")
        books_agree(segment, whole=True)


def test_a_hole_that_is_too_wide_is_repaired_by_a_snapshot(tmp_path):
    outage = "outage=1-1.5"
    channel = {"hold_max": 16_384, "reorder_window": "1ms"}
    with Market(tmp_path, recovery=["--faults", outage, "--faults", outage], seconds=30, rate=8000) as market:
        recover = recovery_keys(market.exchange.ready)["recover"] | {"messages_max": 100}
        market.channel = channel | {"recover": recover}
        market.start()
        with market.attached("mold.frames") as segment:
            until(lambda: segment.channel_status()[0]["snapshots"] > 0, "a snapshot was taken")
            until(lambda: segment.channel_status()[0]["state"] == "good", "the channel is good")
            assert segment.counters()["hold.covered"] > 1000
            books_agree(segment, whole=False)


def test_a_late_start_in_mid_day_is_repaired_by_a_snapshot(tmp_path):
    with Market(tmp_path, recovery=[], seconds=30, rate=20_000, clients=0) as market:
        time.sleep(1)
        market.start()
        with market.attached("mold.frames") as segment:
            until(lambda: segment.channel_status()[0]["state"] == "good", "the channel is good")
            row = segment.channel_status()[0]
            assert row["snapshots"] == 1
            assert row["next_seq"] > 10_000
            assert segment.counters()["recover.snapshot_orders"] > 100
            until(lambda: segment.counters()["order.encoded"] > 0, "orders leave")
            until(lambda: segment.counters()["book.updates"] > 1000, "the books move")
            books_agree(segment, whole=False)


def test_a_request_server_that_loses_a_third_still_repairs_every_hole(tmp_path):
    lossy = {"rate": 4000, "options": ["--request-loss", "0.3"]}
    with trading(tmp_path, ["loss=10%", "loss=10%,reorder=8"], {}, **lossy) as (_, segment):
        until(lambda: segment.counters()["recover.frames"] > 20, "answers came")
        counters = segment.counters()
        assert counters["recover.request_timeouts"] > 0
        until(lambda: segment.counters()["hold.filled"] > 100, "a hundred messages were filled in")
        until(lambda: segment.channel_status()[0]["state"] == "good", "the channel is good")
        books_agree(segment, whole=False)
