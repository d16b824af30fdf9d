"""The states of a feed channel with a hold, in a pipeline without servers: what each means for books and orders.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time

import pytest
from support import rig as r
from support.desk import SYMBOLS, probe
from support.rig import Rig

from hwgw.native import lib

GOOD = lib.HWGW_SEGMENT_TOB_FLAGS_FEED_GOOD
LONG_NS = 60 * 10**9  # a reorder window that no test outlasts


def state(rig: Rig) -> str:
    rig.publish()
    (row,) = rig.segment.channel_status()
    return str(row["state"])


def is_good(rig: Rig) -> bool:
    return bool(int(rig.segment.tob(0)["flags"]) & GOOD)


def steps_until(rig: Rig, wanted: str) -> None:
    end = time.monotonic() + 5
    while state(rig) != wanted:
        rig.step()
        assert time.monotonic() < end, f"{state(rig)} instead of {wanted}"


def bid(ref: int, px: int) -> bytes:
    return r.add(1, "AAPL", ref, "B", 100, px)


def test_a_hole_makes_the_feed_bad_and_what_fills_it_makes_it_good_with_every_message_applied():
    with Rig(SYMBOLS, probe(), hold_max=64, window_ns=LONG_NS) as rig:
        rig.quote()
        assert (state(rig), is_good(rig)) == ("good", True)
        passed = rig.cnt("risk.passed")
        late = r.frame(r.mold(rig.seq, [bid(71, 1_000_010)]))
        rig.seq += 1
        rig.feed(bid(72, 1_000_020), bid(73, 1_000_030))
        assert (state(rig), is_good(rig)) == ("holding", False)
        assert int(rig.segment.tob(0)["bid_px"]) == 1_000_000, "what is held is not applied"
        rig.push(late)
        assert (state(rig), is_good(rig)) == ("good", True)
        assert int(rig.segment.tob(0)["bid_px"]) == 1_000_030
        assert rig.cnt("risk.passed") == passed, "no order left on the books of the repair"
        assert rig.cnt("risk.refused_feed") == 3
        rig.feed(bid(74, 1_000_040))
        assert rig.cnt("risk.passed") == passed + 1
        assert rig.ledgers() > 5


def test_a_hole_that_nobody_can_fill_is_given_up_after_the_window_and_stays_known():
    with Rig(SYMBOLS, hold_max=64, window_ns=1_000_000) as rig:
        rig.quote()
        rig.seq += 2
        rig.feed(bid(72, 1_000_020))
        assert state(rig) == "holding"
        steps_until(rig, "gapped")
        assert int(rig.segment.tob(0)["bid_px"]) == 1_000_020
        assert not is_good(rig)
        assert (rig.cnt("hold.lost"), rig.cnt("recover.skips")) == (2, 1)
        rig.feed(bid(73, 1_000_030))
        assert (state(rig), is_good(rig)) == ("gapped", False)
        assert rig.ledgers() > 5


def test_a_late_start_waits_for_the_messages_before_it():
    with Rig(SYMBOLS, hold_max=64, window_ns=1_000_000) as rig:
        rig.seq = 40
        rig.quote()
        assert state(rig) == "holding"
        assert rig.cnt("itch.messages") == 0
        steps_until(rig, "gapped")
        assert rig.cnt("itch.messages") == 3
        assert not is_good(rig)


def test_another_session_begins_with_empty_books():
    with Rig(SYMBOLS, hold_max=64, window_ns=LONG_NS) as rig:
        rig.quote()
        rig.push(r.frame(r.mold(rig.seq, [], count=0xFFFF)))
        assert (state(rig), is_good(rig)) == ("ended", False)
        rig.push(r.frame(r.mold(1, [r.directory(1, "AAPL")], session=b"THENEXTDAY")))
        assert state(rig) == "good"
        assert int(rig.segment.tob(0)["bid_px"]) == 0
        assert lib.hwgw_books_live(lib.hwgw_pipeline_books(rig.handle)) == 0
        (row,) = rig.segment.channel_status()
        assert (row["session"], row["sessions"], row["next_seq"]) == ("THENEXTDAY", 1, 2)
        assert rig.ledgers() > 5


def test_the_same_session_from_the_beginning_is_noticed_when_the_channel_is_stale():
    with Rig(SYMBOLS, hold_max=64, window_ns=LONG_NS, stale_ns=1_000_000) as rig:
        rig.quote()
        rig.feed(*(bid(70 + n, 1_000_010 + n) for n in range(5)))
        steps_until(rig, "stale")
        for seq in (1, 2, 3):
            assert lib.hwgw_books_live(lib.hwgw_pipeline_books(rig.handle)) == 7
            rig.push(r.frame(r.mold(seq, [r.directory(1, "AAPL")])))
        # the third is the first that counts: the two before it are a hole now
        assert state(rig) == "holding"
        assert lib.hwgw_books_live(lib.hwgw_pipeline_books(rig.handle)) == 0
        assert not is_good(rig)
        for seq in (1, 2):
            rig.push(r.frame(r.mold(seq, [bid(80 + seq, 999_000 + seq)])))
        assert (state(rig), is_good(rig)) == ("good", True)
        assert int(rig.segment.tob(0)["bid_px"]) == 999_002


@pytest.mark.parametrize("hold_max", [0, 64])
def test_a_message_of_a_wrong_length_makes_the_channel_gapped(hold_max):
    with Rig(SYMBOLS, hold_max=hold_max, window_ns=LONG_NS) as rig:
        rig.quote()
        rig.feed(bid(71, 1_000_010)[:-1])
        assert (state(rig), is_good(rig)) == ("gapped", False)
        assert rig.cnt("itch.drop_length") == 1
        assert rig.ledgers() > 5


def test_a_time_stamp_that_steps_back_is_counted_and_the_book_stays_good():
    with Rig(SYMBOLS, hold_max=64, window_ns=LONG_NS) as rig:
        rig.quote()
        ahead, back = (bytearray(bid(70 + n, 1_000_010 + n)) for n in range(2))
        ahead[5:11] = (10**9).to_bytes(6, "big")
        back[5:11] = (10**9 - 1).to_bytes(6, "big")
        rig.feed(bytes(ahead), bytes(back))
        assert rig.cnt("itch.time_steps") == 1
        assert is_good(rig)
