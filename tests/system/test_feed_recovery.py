"""A gateway against an exchange with bad lines: holes are repaired through real sockets, and meanwhile no order leaves.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time

from support import drill
from support.market import Market, until

from hwgw.demo.stage import recovery_keys


def test_a_line_that_dies_while_the_other_lives_is_not_missed(tmp_path):
    drill.one_line_dead(tmp_path, 1.5)


def test_both_lines_dead_means_feed_refusals_and_then_re_requests_state_by_state(tmp_path):
    log, told = drill.both_lines_dead(tmp_path, 1)
    went = [line.split(" at ")[0].split(" ", 1)[1] for line in log]
    at = went.index("good -> stale")
    assert [line for line in went[at:] if "requesting" in line]
    assert told["refused"] > 0


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
            drill.books_agree(segment, whole=False)


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
            drill.books_agree(segment, whole=False)


def test_a_request_server_that_loses_a_third_still_repairs_every_hole(tmp_path):
    lossy = {"rate": 4000, "options": ["--request-loss", "0.3"]}
    with drill.trading(tmp_path, ["loss=10%", "loss=10%,reorder=8"], {}, **lossy) as (_, segment):
        until(lambda: segment.counters()["recover.frames"] > 20, "answers came")
        counters = segment.counters()
        assert counters["recover.request_timeouts"] > 0
        until(lambda: segment.counters()["hold.filled"] > 100, "a hundred messages were filled in")
        until(lambda: segment.channel_status()[0]["state"] == "good", "the channel is good")
        drill.books_agree(segment, whole=False)
