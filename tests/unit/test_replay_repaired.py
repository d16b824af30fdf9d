"""Holes of a run that kept its frames: what servers said is told again, and what was asked is asked again.

SPDX-License-Identifier: MIT

The servers are the test's own, over sockets. Expected counts are those of the servers, of the pipeline's counters and
of the records as they lie in the ring.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from support import rig as r
from support.desk import SYMBOLS
from support.glimpse import Glimpse, end_of_snapshot
from support.rerequests import Rerequests
from support.restored import TYPES, Records
from support.rig import Rig

from hwgw.backtest.decided import decided
from hwgw.native import lib
from hwgw.settings import Recover, Settings, Snapshot

from .test_replay_decide import (
    FRAME,
    INPUTS,
    LINES,
    NEW,
    Market,
    alone,
    blocks,
    inputs,
    places,
    same,
    settings,
    strategy,
)

RING = 2**22  # nobody takes the records: servers are read up to a half of it
LOCAL = 0x7F000001
WINDOW_NS, TIMEOUT_NS, RETRIES = 20_000, 3_000_000, 20
SESSION, SEQ = 0, 10  # in a packet


class Feed(Market):
    """A market whose messages are known to servers."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.said: list[bytes] = [r.directory(locate, symbol) for locate, symbol in enumerate(SYMBOLS, 1)]
        self.open: dict[bytes, bytes] = {}

    def message(self) -> bytes:
        message = super().message()
        ref = message[11:19]
        if message[:1] == b"A":
            self.open[ref] = message
        else:
            del self.open[ref]
        self.said.append(message)
        return message

    def snapshot(self) -> list[bytes]:
        return [*self.said[: len(SYMBOLS)], *self.open.values(), end_of_snapshot(len(self.said) + 1)]


def until_good(rig: Rig, *turns: Any) -> None:
    end = time.monotonic() + 10
    while True:
        rig.publish()
        if rig.segment.channel_status()[0]["state"] == "good":
            return
        rig.step()
        for turn in turns:
            turn()
        assert time.monotonic() < end, rig.segment.counters()


def lines(records: Records) -> Counter[int]:
    return Counter(payload[4] for kind, _, payload in records if kind == TYPES["frame"])


def repaired(records: Records, config: Settings, counters: dict[str, int]) -> Counter[str]:
    """The run came out as recorded, with as many requests, answers, loads and messages of snapshots as there were."""
    found = decided(blocks(records), config)
    had, of = same(found, records), lines(records)
    assert found.counts["requests"] == of[LINES["request"]] == counters["recover.requests"]
    answers = counters["recover.frames"] + counters["recover.drop_frames"]
    assert found.counts["replies"] == of[LINES["answer"]] == answers
    assert found.counts["loads"] == inputs(records)[INPUTS["load"]] == counters["recover.loads"]
    assert found.counts["snapshot_messages"] == of[LINES["snapshot"]]
    return had


def decided_by_servers(records: Records) -> int:
    """Orders that were decided on what a server said."""
    is_server, cnt = False, 0
    for kind, _, payload in records:
        if kind == TYPES["frame"]:
            is_server = payload[4] in (LINES["answer"], LINES["snapshot"])
        cnt += kind == TYPES["gate"] and payload[0] == NEW and is_server
    return cnt


@pytest.fixture
def server() -> Iterator[Rerequests]:
    made = Rerequests()
    yield made
    made.close()


@pytest.fixture
def glimpse() -> Iterator[Glimpse]:
    made = Glimpse()
    yield made
    made.close()


def asking(*ports: int) -> dict[str, Any]:
    """What asks these servers, for the rig and for the configuration."""
    return {
        "rig": {"servers": ports, "recover": {"timeout_ns": TIMEOUT_NS, "retries": RETRIES}},
        "settings": {"recover": Recover(tuple((LOCAL, port) for port in ports), TIMEOUT_NS, RETRIES, 0, 0)},
    }


HOLD = {"hold_max": 1024, "window_ns": WINDOW_NS}


def asked(rng: random.Random, server: Rerequests, turns: int = 600) -> tuple[Records, Settings, dict[str, int]]:
    """A day with losses on both lines and a server that loses, repeats and damages what it says."""
    feed, ask = Feed(rng), asking(server.port)

    def answer(packet: bytes) -> list[bytes]:
        match rng.randrange(8):
            case 0:
                return []
            case 1:
                return [packet, packet]
            case 2:
                return [packet[: rng.randrange(len(packet))], packet]
            case _:
                return [packet]

    with alone(**HOLD, **ask["rig"], lines=2, journal_sz_bytes=RING) as rig:
        for _ in range(turns):
            packet = r.mold(rig.seq, [feed.message()])
            rig.seq += 1
            rig.push(*(r.frame(packet, r.GROUP + line) for line in (0, 1) if rng.random() < 0.75))
            rig.step()
            if rng.random() < 0.8:
                server.step(feed.said, answer)
        feed.message()
        rig.seq += 1
        rig.feed(feed.message())
        want, end = rig.cnt("recover.request_timeouts") + 1, time.monotonic() + 10
        while rig.cnt("recover.request_timeouts") < want:
            rig.step()
            server.step(feed.said, lambda _: [])
            assert time.monotonic() < end
        until_good(rig, lambda: server.step(feed.said, answer))
        counters = rig.segment.counters()
        assert rig.ledgers() > 5
        return Records(rig), settings(**HOLD, **ask["settings"], lines=2), counters


def test_answers_of_a_server_are_told_again_and_what_was_asked_is_asked_again(
    server: Rerequests, rng: random.Random
) -> None:
    records, config, counters = asked(rng, server)
    had = repaired(records, config, counters)
    assert had["orders"] > 5
    assert min(counters["hold.filled"], counters["recover.frames"]) > 2
    assert counters["recover.repairs"] > 0
    assert min(counters["recover.drop_frames"], counters["recover.request_timeouts"]) > 0
    assert decided_by_servers(records) > 0
    said = [payload for kind, _, payload in records if kind == TYPES["frame"] and payload[4] == LINES["request"]]
    sent = [
        (each[FRAME:][:10], int.from_bytes(each[FRAME:][10:18]), int.from_bytes(each[FRAME:][18:])) for each in said
    ]
    assert sent == server.asked


def test_a_bit_of_prices_in_answers_is_found(server: Rerequests, rng: random.Random) -> None:
    """Of every order that answers add, so that some are at the top of their book: which ones is the market's chance."""
    records, config, _ = asked(rng, server)
    raw, first = bytearray(records.raw), len(records.ends)
    for index, (at, _) in enumerate(places(records)):
        message = at + 64 + 22
        is_answer = raw[at + 4] == TYPES["frame"] and raw[at + 36] == LINES["answer"]
        if is_answer and raw[message : message + 1] == b"A" and raw[at + 64 + 18 : at + 64 + 20] == b"\0\1":
            raw[message + 35] ^= 64
            first = min(first, index)
    found = decided(blocks(records, bytes(raw)), config)
    assert found.difference
    assert found.difference.record > first


def test_a_request_that_is_not_the_one_on_record_is_named(server: Rerequests, rng: random.Random) -> None:
    records, config, _ = asked(rng, server, 200)
    raw = bytearray(records.raw)
    at = [at for at, _ in places(records) if raw[at + 4] == TYPES["frame"] and raw[at + 36] == LINES["request"]][3]
    raw[at + 32 + FRAME + 17] ^= 1  # the last byte of the number
    found = decided(blocks(records, bytes(raw)), config)
    assert found.difference
    assert (found.difference.about, found.difference.field) == ("frame request", "data")
    assert found.difference.recorded == raw[at + 64 : at + 84].hex()
    assert found.difference.now == records.raw[at + 64 : at + 84].hex()
    assert found.counts["requests"] == 3
    # one that asks nobody gives the hole up where there is the first request
    asks = config.pipelines[0].channels[0]
    channel = replace(asks, recover=None)
    alike = replace(config, pipelines=(replace(config.pipelines[0], channels=(channel,)),))
    found = decided(blocks(records), alike)
    assert found.difference
    assert found.difference.about == found.difference.recorded == "frame request"
    assert found.counts["requests"] == 0


def test_a_hole_that_waits_costs_no_record(server: Rerequests, rng: random.Random) -> None:
    """A round in which nothing comes and nothing is asked is not on record, however many there are."""
    feed, ask = Feed(rng), asking(server.port)
    ask["rig"]["recover"]["timeout_ns"] = 60 * 10**9
    with alone(**HOLD, **ask["rig"], journal_sz_bytes=RING) as rig:
        feed.message()
        rig.seq += 1
        rig.feed(feed.message())
        for _ in range(3000):
            rig.step()
        assert rig.cnt("recover.requests") == 1
        seen = inputs(Records(rig))
        assert 1 <= seen[INPUTS["recovery"]] <= 3
        until_good(rig, lambda: server.step(feed.said))
        seen = inputs(Records(rig))
    assert seen[INPUTS["recovery"]] <= 5


def test_servers_wait_while_the_ring_is_more_than_half_full(server: Rerequests, rng: random.Random) -> None:
    """What they say stays in the kernel until the writer has taken enough; nothing of it is lost."""
    feed, ask = Feed(rng), asking(server.port)
    with alone(**HOLD, **ask["rig"], journal_sz_bytes=65_536) as rig:
        ring = lib.hwgw_segment_journal(rig.segment.pointer, 0)
        while ring.head - ring.written <= ring.sz_bytes // 2:
            rig.feed(feed.message())
        feed.message()
        rig.seq += 1
        rig.feed(feed.message())
        end = time.monotonic() + 5
        while rig.cnt("recover.waits") < 20 or not server.asked:
            rig.step()
            server.step(feed.said)
            assert time.monotonic() < end
        assert rig.cnt("recover.frames") == rig.cnt("recover.drop_frames") == 0
        ring.written = ring.head
        until_good(rig)
        assert rig.cnt("recover.frames") == 1
        assert not rig.segment.halts


# ---- snapshots ----


def snapping(glimpse: Glimpse, retry_ns: int = 10**6) -> dict[str, Any]:
    return {
        "rig": {"snapshot_port": glimpse.port},
        "settings": {"snapshot": Snapshot(LOCAL, glimpse.port, "tester", "", 2 * 10**9, retry_ns)},
    }


def snapped(rng: random.Random, glimpse: Glimpse) -> tuple[Records, Settings, dict[str, int]]:
    """A day that is joined late, with holes that nobody fills; every second snapshot ends in the middle."""
    feed, snap = Feed(rng), snapping(glimpse)

    def serve() -> None:
        logins, whole = glimpse.logins, feed.snapshot()
        is_cut = logins % 2 == 1
        glimpse.step(whole[: rng.randrange(1, len(whole))] if is_cut else whole)
        if is_cut and glimpse.logins > logins:
            glimpse.client.close()

    with Rig(SYMBOLS, [strategy()], frames=True, **HOLD, **snap["rig"], journal_sz_bytes=RING) as rig:
        for _ in range(30):
            feed.message()
        rig.seq = len(feed.said) + 1
        for turn in range(1200):
            if turn % 80 == 40:
                feed.message()
                rig.seq += 1
            rig.feed(feed.message())
            rig.step()
            if rng.random() < 0.2:
                serve()
        rig.feed(feed.message())
        until_good(rig, serve)
        for _ in range(40):
            rig.feed(feed.message())
        counters = rig.segment.counters()
        assert rig.ledgers() > 5
        return Records(rig), settings(**HOLD, **snap["settings"]), counters


def test_snapshots_begin_and_end_again_where_they_did(glimpse: Glimpse, rng: random.Random) -> None:
    records, config, counters = snapped(rng, glimpse)
    had = repaired(records, config, counters)
    assert had["orders"] > 5
    assert min(counters["recover.snapshots"], counters["recover.load_failures"]) > 0
    assert inputs(records)[INPUTS["failed"]] > 0
    said = [
        payload[FRAME:] for kind, _, payload in records if kind == TYPES["frame"] and payload[4] == LINES["snapshot"]
    ]
    assert sum(each[:1] == b"G" for each in said) == counters["recover.snapshots"]
    assert counters["recover.snapshot_orders"] > 5


def test_one_bit_of_a_snapshot_is_found(glimpse: Glimpse, rng: random.Random) -> None:
    """The price of an order in it: the book is another one behind it."""
    records, config, _ = snapped(rng, glimpse)
    raw = bytearray(records.raw)
    adds = [
        at
        for at, _ in places(records)
        if raw[at + 4] == TYPES["frame"] and raw[at + 36] == LINES["snapshot"] and raw[at + 64 : at + 65] == b"A"
    ]
    for at in adds:  # of all, so that one is at the top of its book
        raw[at + 64 + 35] ^= 64
    found = decided(blocks(records, bytes(raw)), config)
    assert found.difference
    # one that does not end
    gone = next(at for at, _ in places(records) if raw[at + 36] == LINES["snapshot"] and raw[at + 64] == ord("G"))
    length = next(end - at for at, end in places(records) if at == gone)
    less = records.raw[:gone] + records.raw[gone + length :]
    cut = Records.__new__(Records)
    cut.raw = less
    cut.ends = [end - length * (end > gone) for end in records.ends if end != gone + length]
    assert decided(blocks(cut), config).difference


def test_the_repair_of_one_instrument_comes_as_it_came(glimpse: Glimpse, rng: random.Random) -> None:
    """A message contradicts a book; the channel goes on, and what comes of it meanwhile is applied later."""
    feed, snap = Feed(rng), snapping(glimpse)
    with alone(**HOLD, **snap["rig"], journal_sz_bytes=RING) as rig:
        for turn in range(600):
            if turn % 100 == 50:
                wrong = r.delete(1, 10**6 + turn)  # of an order that nobody added
                feed.said.append(wrong)
                rig.feed(wrong)
            rig.feed(feed.message())
            rig.step()
            if rng.random() < 0.05:
                glimpse.step(feed.snapshot())
        end = time.monotonic() + 10
        while rig.cnt("recover.instruments") < rig.cnt("book.unsound"):
            rig.step()
            glimpse.step(feed.snapshot())
            assert time.monotonic() < end, rig.segment.counters()
        counters, records = rig.segment.counters(), Records(rig)
    had = repaired(records, settings(**HOLD, **snap["settings"]), counters)
    assert had["orders"] > 5
    assert min(counters["recover.instruments"], counters["book.drop_covered"]) > 0
    assert counters["mold.gaps"] == 0


def test_a_repair_whose_messages_do_not_fit_begins_anew_again(glimpse: Glimpse, rng: random.Random) -> None:
    """More comes than is kept while its snapshot is awaited: that attempt is over, and the next one comes in time."""
    feed, snap, channel = Feed(rng), snapping(glimpse), {"hold_max": 16, "window_ns": WINDOW_NS}
    with alone(**channel, **snap["rig"], journal_sz_bytes=RING) as rig:
        for turn in range(120):
            if turn == 20:
                wrong = r.delete(1, 10**6)
                feed.said.append(wrong)
                rig.feed(wrong)
            rig.feed(feed.message())
            rig.step()
        assert rig.cnt("book.drop_unsound") >= 16
        end = time.monotonic() + 10
        while not rig.cnt("recover.instruments"):
            rig.step()
            glimpse.step(feed.snapshot())
            assert time.monotonic() < end, rig.segment.counters()
        for _ in range(60):
            rig.feed(feed.message())
        counters, records = rig.segment.counters(), Records(rig)
    had = repaired(records, settings(**channel, **snap["settings"]), counters)
    assert had["orders"] > 5
    assert counters["recover.loads"] > 0
