"""The states of a feed channel with a hold, in a pipeline without servers: what each means for books and orders.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time

import pytest
from support import rig as r
from support.desk import SYMBOLS, probe
from support.glimpse import Glimpse, end_of_snapshot
from support.rig import Rig

from hwgw.native import lib
from hwgw.telemetry import FeedLog

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


def test_copies_behind_a_stray_are_not_taken_for_a_new_beginning():
    """A damaged session name makes the channel stale until its next packet; copies of the other line come before."""
    with Rig(SYMBOLS, hold_max=64, window_ns=LONG_NS, stale_ns=60_000_000_000) as rig:
        rig.quote()
        sent = [bid(70 + n, 1_000_010 + n) for n in range(5)]
        first = rig.seq
        for message in sent:
            rig.feed(message)
        rig.push(r.frame(r.mold(rig.seq, [bid(80, 1_000_020)], session=b"D?MAGED   ")))
        assert (state(rig), rig.cnt("mold.drop_session")) == ("stale", 1)
        for n, message in enumerate(sent):
            rig.push(r.frame(r.mold(first + n, [message])))
        assert (rig.cnt("mold.drop_duplicate"), rig.cnt("mold.sessions"), state(rig)) == (5, 0, "stale")
        rig.feed(bid(81, 1_000_030))
        assert (state(rig), is_good(rig)) == ("good", True)
        assert lib.hwgw_books_live(lib.hwgw_pipeline_books(rig.handle)) == 2 + 5 + 1
        assert rig.ledgers() > 5


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


# ---- an instrument whose book is wrong, on a channel that is whole ----


def flags(rig: Rig, instrument: int) -> bool:
    return bool(int(rig.segment.tob(instrument)["flags"]) & GOOD)


@pytest.fixture
def glimpse():
    made = Glimpse()
    yield made
    made.close()


def repaired(rig: Rig, glimpse: Glimpse, snapshot: list[bytes]) -> None:
    end = time.monotonic() + 10
    while not flags(rig, 0):
        rig.step()
        glimpse.step(snapshot)
        assert time.monotonic() < end, rig.segment.counters()


def test_a_contradicted_instrument_gets_a_snapshot_of_its_own_while_the_channel_goes_on(glimpse):
    with Rig(SYMBOLS, probe(), hold_max=64, window_ns=LONG_NS, snapshot_port=glimpse.port) as rig:
        rig.quote()
        rig.quote("MSFT", 2)
        rig.feed(r.delete(1, 99))  # of an order that nobody added
        assert (flags(rig, 0), flags(rig, 1), state(rig)) == (False, True, "good")
        refused = rig.cnt("risk.refused_feed")
        end = time.monotonic() + 10
        while not rig.cnt("recover.loads"):
            rig.step()
            assert time.monotonic() < end
        # what comes from now on is kept for AAPL and applied to MSFT
        rig.feed(r.add(1, "AAPL", 71, "B", 100, 1_000_010), r.add(2, "MSFT", 72, "B", 100, 1_000_020))
        rig.feed(r.add(1, "AAPL", 73, "B", 100, 1_000_030))
        assert int(rig.segment.tob(1)["bid_px"]) == 1_000_020
        assert int(rig.segment.tob(0)["bid_px"]) == 1_000_000
        assert rig.cnt("book.deferred_now") == 2
        # the venue's book, which has seen the first of both already; MSFT's part is none of our business
        snapshot = [
            r.directory(1, "AAPL"), r.directory(2, "MSFT"), r.add(2, "MSFT", 1, "B", 1, 1),
            r.add(1, "AAPL", 50, "B", 300, 999_990), r.add(1, "AAPL", 71, "B", 100, 1_000_010),
            r.add(1, "AAPL", 51, "S", 300, 1_000_100), end_of_snapshot(rig.seq - 1),
        ]  # fmt: skip
        repaired(rig, glimpse, snapshot)
        row = rig.segment.tob(0)
        assert (int(row["bid_px"]), int(row["ask_px"])) == (1_000_030, 1_000_100)
        assert lib.hwgw_books_live(lib.hwgw_pipeline_books(rig.handle)) == 4 + 3
        assert int(rig.segment.tob(1)["bid_px"]) == 1_000_020
        counted = {
            name: rig.cnt(f"book.{name}") for name in ("unsound", "deferred_now", "drop_covered", "drop_unsound")
        }
        assert counted == {"unsound": 1, "deferred_now": 0, "drop_covered": 1, "drop_unsound": 0}
        assert (rig.cnt("recover.instruments"), rig.cnt("recover.snapshots"), glimpse.logins) == (1, 1, 1)
        assert rig.cnt("risk.refused_feed") > refused  # by the probe, on what was kept
        passed = rig.cnt("risk.passed")
        rig.feed(r.add(1, "AAPL", 80, "B", 100, 1_000_040))
        assert rig.cnt("risk.passed") > passed
        assert [change["to"] for change in rig.segment.feed_changes(0, 0)] == ["good"]
        assert rig.ledgers() > 5


def test_a_snapshot_older_than_what_was_applied_or_one_that_contradicts_itself_does_not_count(glimpse):
    with Rig(SYMBOLS, hold_max=64, window_ns=LONG_NS, snapshot_port=glimpse.port) as rig:
        rig.quote()
        rig.feed(r.delete(1, 99))
        twice = r.add(1, "AAPL", 50, "B", 300, 999_990)
        bad = ([twice, end_of_snapshot(rig.seq - 1)], [twice, twice, end_of_snapshot(rig.seq)])
        end = time.monotonic() + 10
        for failures, snapshot in enumerate(bad, 1):
            while rig.cnt("recover.load_failures") < failures:
                rig.step()
                glimpse.step(snapshot)
                assert time.monotonic() < end
            assert not flags(rig, 0)
        repaired(rig, glimpse, [twice, end_of_snapshot(rig.seq)])
        assert (rig.cnt("recover.loads"), rig.cnt("recover.instruments")) == (3, 1)
        assert rig.ledgers() > 5


def test_a_snapshot_ahead_of_the_channel_waits_until_the_channel_has_come_so_far(glimpse):
    with Rig(SYMBOLS, hold_max=64, window_ns=LONG_NS, snapshot_port=glimpse.port) as rig:
        rig.quote()
        rig.feed(r.delete(1, 99))
        ahead = [r.add(1, "AAPL", 50, "B", 300, 999_990), end_of_snapshot(rig.seq + 2)]
        end = time.monotonic() + 10
        while not rig.cnt("recover.snapshots"):
            rig.step()
            glimpse.step(ahead)
            assert time.monotonic() < end
        rig.feed(r.add(1, "AAPL", 50, "B", 300, 999_990))  # in the snapshot already
        rig.step()
        assert not flags(rig, 0)
        rig.feed(r.add(2, "MSFT", 60, "B", 300, 999_990), r.add(1, "AAPL", 61, "B", 5, 999_995))
        repaired(rig, glimpse, ahead)
        assert int(rig.segment.tob(0)["bid_px"]) == 999_995
        assert rig.cnt("book.drop_covered") == 1
        assert rig.cnt("book.drop_duplicate_ref") == 0
        assert rig.ledgers() > 5


def test_without_a_snapshot_server_a_contradicted_instrument_stays_bad():
    with Rig(SYMBOLS, hold_max=64, window_ns=LONG_NS) as rig:
        rig.quote()
        rig.feed(r.delete(1, 99))
        for _ in range(200):
            rig.step()
        assert not flags(rig, 0)
        assert (rig.cnt("book.unsound"), rig.cnt("recover.loads")) == (1, 0)


def test_a_book_that_is_crossed_while_it_trades_is_not_good_until_it_is_uncrossed():
    with Rig(SYMBOLS, probe(), hold_max=64, window_ns=LONG_NS) as rig:
        rig.quote()
        crossing = r.add(1, "AAPL", 71, "B", 100, 1_000_200)
        rig.feed(crossing)  # nobody has said that it trades
        assert flags(rig, 0)
        assert (rig.cnt("book.crossed"), rig.cnt("book.crossed_trading")) == (1, 0)
        rig.feed(r.trading_action(1, "AAPL", "T"))
        assert not flags(rig, 0)
        refused = rig.cnt("risk.refused_feed")
        rig.feed(r.add(1, "AAPL", 72, "B", 100, 1_000_210))
        assert rig.cnt("risk.refused_feed") > refused
        assert rig.cnt("book.crossed_trading") == 1
        rig.feed(r.executed(1, 71, 100), r.executed(1, 72, 100))
        assert flags(rig, 0)
        rig.feed(r.trading_action(1, "AAPL", "H"), crossing)  # orders may meet while it is halted
        assert flags(rig, 0)
        assert rig.cnt("book.unsound") == 0
        assert rig.ledgers() > 5


def test_a_book_that_stays_crossed_while_it_trades_is_wrong_and_gets_another(glimpse):
    with Rig(SYMBOLS, hold_max=64, window_ns=LONG_NS, snapshot_port=glimpse.port) as rig:
        rig.quote()
        rig.feed(r.trading_action(1, "AAPL", "T"), r.add(1, "AAPL", 71, "B", 100, 1_000_200))
        assert (flags(rig, 0), rig.cnt("book.unsound")) == (False, 0)
        snapshot = [r.directory(1, "AAPL"), r.trading_action(1, "AAPL", "T"), r.add(1, "AAPL", 71, "B", 100, 1_000_200)]
        repaired(rig, glimpse, [*snapshot, end_of_snapshot(rig.seq)])
        assert rig.cnt("book.unsound") == 1
        assert int(rig.segment.tob(0)["ask_px"]) == 0


# ---- the log ----


def test_every_change_of_state_is_told_once_in_order():
    with Rig(SYMBOLS, hold_max=64, window_ns=1_000_000) as rig:
        log = FeedLog(rig.segment)
        rig.publish()
        assert list(log.lines()) == []
        rig.quote()
        rig.seq += 1
        rig.feed(bid(72, 1_000_020))
        steps_until(rig, "gapped")
        lines = list(log.lines())
        told = ["waiting -> good at 2", "good -> holding at 4, 1 missing", "holding -> gapped at 6"]
        assert [line.split(" ", 3)[3] for line in lines] == told
        assert list(log.lines()) == []


def test_changes_that_went_by_and_crowds_of_them_are_told_as_such():
    with Rig(SYMBOLS, hold_max=64, window_ns=LONG_NS) as rig:
        log = FeedLog(rig.segment)
        rig.quote()

        def flap(cnt: int) -> None:
            for n in range(cnt):
                late = r.frame(r.mold(rig.seq, [bid(100 + 2 * n, 1_000_010)]))
                rig.seq += 1
                rig.feed(bid(101 + 2 * n, 1_000_010))
                rig.push(late)
            rig.publish()

        flap(10)
        lines = list(log.lines())
        assert len(lines) == 10
        assert "12 more changes within a moment (6 to holding, 6 to good), last" in lines[-1]
        flap(50)
        lines = list(log.lines())
        assert lines[0] == "channel 0: 37 changes of state went by unseen"
        assert "-> good at" in lines[-1]
