"""The pipeline: what reaches the segment equals the golden models, every ledger is exact, and it fails closed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hwgw_sim.golden.book import Books
from hwgw_sim.golden.itch import DecodeError
from hwgw_sim.golden.itch import event as golden_event
from hwgw_sim.stream import Stream
from support import rig as r
from support import soup_venue as sv
from support.desk import SYMBOLS, Desk, probe
from support.rig import Rig

from hwgw.native import ffi, lib

TOP_FIELDS = ("bid_px", "ask_px", "bid_qty", "ask_qty", "bid_cnt", "ask_cnt", "last_px", "last_qty")


# ---- the feed reaches the segment ----


def test_every_top_of_book_row_equals_the_golden_book_after_every_packet(rng):
    symbols = [f"S{i:07}" for i in range(1, 21)]
    golden = Books(len(symbols), 100_000)
    compared = 0
    with Stream(rng.getrandbits(32), len(symbols), 500) as stream, Rig(symbols) as rig:
        messages = stream.messages(20_000)
        at = 0
        while at < len(messages):
            packet = messages[at : at + rng.randint(1, 20)]
            at += len(packet)
            rig.feed(*packet)
            touched = set()
            for message in packet:
                event = golden_event(message)
                locate = event["locate"]
                event["instrument"] = locate - 1 if locate else 0xFFFFFFFF
                golden.apply(event)
                if locate:
                    touched.add(locate - 1)
            for index in touched:
                row, top = rig.segment.tob(index), golden.top(index)
                assert {key: int(row[key]) for key in TOP_FIELDS} == {key: top[key] for key in TOP_FIELDS}
                compared += 1
        assert rig.cnt("itch.messages") == len(messages)
        assert rig.cnt("book.top_changes") > 1000
        assert lib.hwgw_books_hash(lib.hwgw_pipeline_books(rig.handle)) == golden.hash()
        rig.ledgers()
    assert compared > 10_000


def spoiled_frames(messages: list[bytes], rng) -> Iterator[bytes]:
    """Packets of a stream with every kind of damage that the feed path knows, and good ones between."""
    seq = 1
    for kind, message in zip(itertools.cycle(range(12)), messages, strict=False):
        good = r.frame(r.mold(seq, [message]))
        if kind == 0:
            yield good[: rng.randrange(len(good))]
        elif kind == 1:
            yield r.frame(r.mold(seq, [message]), port=r.PORT + 1)
        elif kind == 2:
            yield r.frame(r.mold(seq, [message]), flags=0x2001)  # more fragments, and not the first
        elif kind == 3:
            yield r.frame(r.mold(seq, [message], count=2))
        elif kind == 4:
            yield r.frame(r.mold(seq, [message], session=b"ANOTHERDAY"))
        elif kind == 5:
            yield r.frame(r.mold(seq, [message + b"\0"]))
            seq += 1
            continue
        elif kind == 6:
            yield r.frame(r.mold(seq, [b"\xff" + message[1:]]))
            seq += 1
            continue
        elif kind == 7:
            seq += rng.randint(1, 5)  # a hole
            good = r.frame(r.mold(seq, [message]))
        elif kind == 8:
            yield r.frame(r.mold(seq, []))  # heartbeat
        elif kind == 9:
            yield bytes([good[i] ^ (1 << rng.randrange(8)) if i == 24 else good[i] for i in range(len(good))])
        yield good
        if rng.random() < 0.1:
            yield good
        seq += 1


def test_every_ledger_is_exact_after_each_frame_whatever_comes(rng):
    with Stream(rng.getrandbits(32), 10, 100) as stream:
        messages = stream.messages(1500)
    probe = r.probe_strategy()
    checked = 0
    with Rig([f"S{i:07}" for i in range(1, 9)], [(probe, {"every": 3})]) as rig:
        for each in spoiled_frames(messages, rng):
            rig.push(each)
            checked += rig.ledgers()
        counters = rig.segment.counters()
    assert checked > 9000
    seen = {
        "net.drop_short", "net.drop_foreign", "net.drop_fragment", "net.drop_ip_checksum", "mold.drop_blocks",
        "mold.drop_session", "mold.drop_duplicate", "mold.heartbeats", "mold.gaps", "itch.drop_length",
        "itch.drop_unknown", "book.drop_instrument", "book.drop_unknown_ref", "book.updates", "risk.refused_feed",
    }  # fmt: skip
    assert {name for name in seen if not counters[name]} == set()


@pytest.mark.parametrize("verify", [False, True])
def test_a_wrong_udp_checksum_is_dropped_only_where_it_is_to_be_verified(verify):
    with Rig(SYMBOLS, udp_checksum=verify) as rig:
        rig.feed(r.directory(1, "AAPL"))  # without a checksum: right in either case
        wrong = bytearray(r.frame(r.mold(2, [r.delete(1, 1)])))
        wrong[40:42] = b"\x12\x34"
        rig.push(bytes(wrong))
        assert rig.cnt("net.drop_udp_checksum") == verify
        assert rig.cnt("mold.frames") == 2 - verify
        rig.ledgers()


def test_golden_and_c_agree_on_what_a_damaged_message_is():
    with pytest.raises(DecodeError):
        golden_event(r.delete(1, 1) + b"\0")
    with Rig(SYMBOLS) as rig:
        rig.feed(r.delete(1, 1) + b"\0")
        assert rig.cnt("itch.drop_length") == 1


def test_trades_off_the_book_reach_the_row(rng):
    with Stream(rng.getrandbits(32), 1, 50) as stream, Rig(["S0000001"]) as rig:
        prints = 0
        for message in stream.messages(5000):
            rig.feed(message)
            if message[:1] == b"P":
                event = golden_event(message)
                assert (int(rig.segment.tob(0)["last_px"]), int(rig.segment.tob(0)["last_qty"])) == (
                    event["px"], event["qty"])  # fmt: skip
                prints += 1
        assert prints > 10


# ---- orders ----


def test_an_order_without_a_session_is_dropped_and_its_exposure_given_back():
    with Rig(SYMBOLS, probe()) as rig:
        rig.quote()
        assert rig.cnt("risk.passed") == rig.cnt("order.drop_session") == 1
        own = ffi.new("struct hwgw_position *")
        lib.hwgw_risk_position(lib.hwgw_pipeline_risk(rig.handle), 0, own)
        assert (own.long_worst, own.short_worst, own.open_buy_cnt) == (0, 0, 0)
        rig.ledgers()


def test_halt_stops_the_very_next_order_and_resume_lets_it_go():
    with Rig(SYMBOLS, probe()) as rig:
        rig.quote()
        rig.segment.halt("test")
        rig.feed(r.add(1, "AAPL", 77, "B", 1, 1_000_050))
        assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_halted")) == (1, 1)
        rig.segment.resume()
        rig.feed(r.add(1, "AAPL", 78, "B", 1, 1_000_060))
        assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_halted")) == (2, 1)
        rig.ledgers()


def test_without_limits_nothing_passes():
    from hwgw.segment import Segment

    publish, Segment.publish_limits = Segment.publish_limits, lambda *_: 0
    try:
        with Rig(SYMBOLS, probe()) as rig:
            rig.quote()
            assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_halted")) == (0, 1)
    finally:
        Segment.publish_limits = publish


def test_new_limits_hold_for_the_next_order_and_are_acknowledged():
    with Rig(SYMBOLS, probe(qty=100)) as rig:
        rig.quote()
        tight = r.open_limits(len(SYMBOLS))
        tight["instrument"]["qty_max"] = 99
        generation = rig.segment.publish_limits(tight)
        rig.feed(r.add(1, "AAPL", 77, "B", 1, 1_000_050))
        assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_qty")) == (1, 1)
        assert int(rig.segment.threads[0]["generation_ack"]) == generation == 2


def test_a_damaged_limits_table_lets_nothing_pass():
    with Rig(SYMBOLS, probe()) as rig:
        rig.quote()
        table = lib.hwgw_segment_limits(rig.segment.pointer, 0)
        good = r.open_limits(len(SYMBOLS))
        assert rig.segment.publish_limits(good) == 2
        table.instrument[0].qty_max ^= 1
        rig.feed(r.add(1, "AAPL", 77, "B", 1, 1_000_050))
        assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_halted")) == (1, 1)


def test_a_disarmed_strategy_is_refused_until_it_is_armed():
    with Rig(SYMBOLS, probe()) as rig:
        rig.segment.disarm(0)
        rig.quote()
        assert rig.cnt("risk.refused_strategy") == 1
        rig.segment.arm(0)
        rig.feed(r.add(1, "AAPL", 77, "B", 1, 1_000_050))
        assert rig.cnt("risk.passed") == 1


def test_an_old_heartbeat_refuses_and_a_new_one_lets_go():
    stale = r.open_limits(len(SYMBOLS))
    stale["beat_age_max_ns"] = 20_000_000
    with Rig(SYMBOLS, probe(), limits=stale) as rig:
        rig.segment.beat()
        rig.publish()
        rig.quote()
        assert rig.cnt("risk.passed") == 1
        time.sleep(0.03)
        rig.feed(r.add(1, "AAPL", 77, "B", 1, 1_000_050))
        assert rig.cnt("risk.refused_control_stale") == 1
        rig.segment.beat()
        rig.feed(r.add(1, "AAPL", 78, "B", 1, 1_000_060))
        assert rig.cnt("risk.passed") == 2


def test_more_intents_than_there_is_room_for_are_counted_and_not_taken():
    with Rig(SYMBOLS, probe(orders=8, say=11)) as rig:
        rig.quote()
        assert (rig.cnt("strategy.intents"), rig.cnt("strategy.drop_overflow")) == (8, 3)
        rig.ledgers()


def test_an_order_in_an_instrument_out_of_range_is_refused():
    with Rig(SYMBOLS, probe(instrument=1_000_000)) as rig:
        rig.quote()
        assert rig.cnt("risk.refused_instrument") == 1


# ---- the feed is good only while it is whole ----


def flag(rig: Rig, index: int = 0) -> bool:
    return bool(int(rig.segment.tob(index)["flags"]) & lib.HWGW_SEGMENT_TOB_FLAGS_FEED_GOOD)


def test_a_hole_makes_the_feed_bad_and_the_gate_refuses():
    with Rig(SYMBOLS, probe()) as rig:
        rig.quote()
        assert flag(rig)
        rig.seq += 1
        rig.feed(r.add(1, "AAPL", 77, "B", 1, 1_000_050))
        assert not flag(rig)
        assert (rig.cnt("mold.gaps"), rig.cnt("mold.missing"), rig.cnt("risk.refused_feed")) == (1, 1, 1)


def test_a_late_start_is_not_good():
    with Rig(SYMBOLS, probe()) as rig:
        rig.seq = 5
        rig.quote()
        assert not flag(rig)
        assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_feed")) == (0, 1)


def test_a_silent_feed_is_stale_until_its_next_packet_in_sequence():
    with Rig(SYMBOLS, probe(), stale_ns=20_000_000) as rig:
        rig.quote()
        assert flag(rig)
        time.sleep(0.03)
        rig.publish()
        assert not flag(rig)
        assert rig.segment.thread_status()[0]["feed"] == "stale"
        rig.feed()  # a heartbeat
        assert flag(rig)
        rig.feed(r.add(1, "AAPL", 77, "B", 1, 1_000_050))
        assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_feed")) == (2, 0)


def test_a_message_that_contradicts_a_book_spoils_that_instrument_alone():
    with Rig(SYMBOLS, probe()) as rig:
        rig.quote("AAPL", 1)
        rig.quote("MSFT", 2)
        rig.feed(r.delete(1, 424242))
        assert rig.cnt("book.drop_unknown_ref") == 1
        assert (flag(rig, 0), flag(rig, 1)) == (False, True)
        rig.feed(r.add(1, "AAPL", 77, "B", 1, 1_000_050))
        rig.feed(r.add(2, "MSFT", 78, "B", 1, 1_000_050))
        assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_feed")) == (3, 1)


def test_a_message_of_wrong_length_is_a_hole():
    with Rig(SYMBOLS, probe()) as rig:
        rig.quote()
        rig.feed(r.delete(1, 1) + b"\0")
        assert not flag(rig)


def test_an_ended_session_is_not_good():
    with Rig(SYMBOLS) as rig:
        rig.quote()
        rig.push(r.frame(r.mold(rig.seq, [], count=0xFFFF)))
        assert not flag(rig)
        assert rig.segment.thread_status()[0]["feed"] == "ended"


def test_the_trading_flag_follows_the_trading_action():
    with Rig(SYMBOLS) as rig:
        rig.quote()
        for state, is_trading in (("T", True), ("H", False), ("T", True), ("P", False), ("Q", False)):
            rig.feed(r.trading_action(1, "AAPL", state))
            assert bool(int(rig.segment.tob(0)["flags"]) & lib.HWGW_SEGMENT_TOB_FLAGS_TRADING) == is_trading


def test_stage_times_are_taken_of_sampled_messages():
    with Rig(SYMBOLS, sample_shift=2) as rig:
        rig.quote()
        for ref in range(100, 197):
            rig.feed(r.add(1, "AAPL", ref, "B", 1, 999_000))
        latency = rig.segment.latency_ns()
        assert rig.cnt("itch.messages") == 100
        assert [latency[stage]["cnt"] for stage in ("rx", "decode")] == [25, 25]
        assert latency["total"]["cnt"] == 0


# ---- the venue ----


def test_an_order_leaves_fills_and_reaches_the_position():
    with Desk(qty=100) as desk:
        desk.rig.quote()
        desk.wait(3)
        assert desk.packets[2] == sv.soup(b"U", sv.enter(1, b"B", 100, b"AAPL    ", 1_000_200, tif=b"3"))
        desk.venue.sequenced(
            sv.accepted(1, b"B", 100, b"AAPL    ", 1_000_200),
            sv.executed(1, 60, 1_000_100, 7001),
            sv.canceled(1, 40, b"I"),
        )
        desk.until(lambda: desk.cnt("session.canceled") == 1)
        desk.rig.publish()
        row = desk.rig.segment.positions[0]
        assert (int(row["pos"]), int(row["cash"]), int(row["fill_cnt"])) == (60, -60 * 1_000_100, 1)
        assert (int(row["open_buy_cnt"]), int(row["long_worst"]), int(row["short_worst"])) == (0, 60, -60)
        assert (desk.cnt("session.accepted"), desk.cnt("session.executed_shares")) == (1, 60)
        assert desk.rig.segment.latency_ns()["total"]["cnt"] == 1
        desk.rig.ledgers()


@pytest.mark.parametrize("cancel_on_halt", [True, False])
def test_a_halt_cancels_what_is_open_until_the_venue_has_answered_where_that_is_wanted(cancel_on_halt):
    with Desk(qty=100, tif=lib.HWGW_ORDER_TIF_DAY, orders=2, cancel_on_halt=cancel_on_halt) as desk:
        desk.rig.quote()
        desk.wait(4)  # login, query, two orders
        desk.venue.sequenced(*(sv.accepted(ref, b"B", 100, b"AAPL    ", 1_000_200) for ref in (1, 2)))
        desk.until(lambda: desk.cnt("session.accepted") == 2)
        desk.rig.segment.halt("drill")
        if not cancel_on_halt:
            end = time.monotonic() + 0.4
            while time.monotonic() < end:
                desk.rig.step()
                desk.venue.step()
                desk.packets += desk.venue.packets()
            assert len(desk.packets) == 4
            assert desk.rig.segment.halted is not None
            return
        desk.wait(6)
        asked = {packet[3:8] for packet in desk.packets[4:6]}  # behind length and packet type
        assert asked == {b"X" + ref.to_bytes(4, "big") for ref in (1, 2)}
        desk.venue.sequenced(sv.canceled(1, 100))  # the other answer is lost: it is asked for again
        desk.wait(7)
        assert desk.packets[6][3:8] == b"X" + (2).to_bytes(4, "big")
        desk.venue.sequenced(sv.canceled(2, 100))
        desk.until(lambda: desk.cnt("session.canceled") == 2)
        desk.rig.publish()
        assert desk.rig.segment.thread_status()[0]["open_orders"] == 0
        desk.rig.ledgers()


def test_a_session_lost_with_an_order_open_latches_the_halt():
    with Desk(qty=100, tif=lib.HWGW_ORDER_TIF_DAY) as desk:
        desk.rig.quote()
        desk.wait(3)
        desk.venue.sequenced(sv.accepted(1, b"B", 100, b"AAPL    ", 1_000_200))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.venue.drop()
        desk.until(lambda: desk.rig.segment.halted is not None)
        assert desk.rig.segment.halted["reason"] == "session"


def test_a_session_lost_without_orders_only_stops_orders():
    with Desk(qty=100) as desk:
        desk.venue.drop()
        desk.until(lambda: desk.cnt("session.disconnects") == 1)
        desk.rig.quote()
        assert desk.rig.segment.halted is None
        assert desk.cnt("order.drop_session") == 1
        desk.rig.ledgers()


def test_an_execution_of_an_order_that_is_not_ours_latches_the_halt():
    with Desk(qty=100) as desk:
        desk.venue.sequenced(sv.executed(99, 100, 1_000_000, 1))
        desk.until(lambda: desk.rig.segment.halted is not None)
        assert desk.rig.segment.halted["reason"] == "state"
        desk.rig.quote()
        assert (desk.cnt("risk.passed"), desk.cnt("risk.refused_halted")) == (0, 1)
        desk.rig.ledgers()


def test_the_segment_is_resident_before_the_first_frame():
    with Rig(SYMBOLS) as rig:
        path = f"/dev/shm/hwgw-{rig.segment.name}"
        blocks = Path("/proc/self/smaps").read_text().split(path)[1:]
        sizes = [re.search(r"Size: +(\d+) kB.*?Rss: +(\d+) kB", block, re.DOTALL).groups() for block in blocks]
    assert len(sizes) == 1
    assert int(sizes[0][0]) == int(sizes[0][1]) > 1000
