"""The C gate equals the golden gate: verdict, reason and all state, after every event."""

from __future__ import annotations

import os
import random
from collections import Counter

from support.risk import NAMES, Pair
from support.risk_stream import Stream
from support.streams import each

VERDICTS = {NAMES[code] for code in range(19)}
FACTS = {"pass", "malformed", "clock", "state", "loss", "halted"}
STREAM_EVENTS = 3_000  # of a stream in the default length
LONG_EVENTS = 20_000  # of a stream at most: it begins anew from reset, before every slot of the table is taken
DUMP_EVERY = 1_000


def run(pair: Pair, rng: random.Random, event_cnt: int) -> Stream:
    stream = Stream(pair.golden, rng)
    for event, table in stream.start():
        pair.send(event, table)
    while pair.event_cnt < event_cnt:
        pair.send(*stream.next())
    pair.compare()
    return stream


def test_small_streams_are_equal_in_all_state_after_every_event(rng):
    """As text, which is made from scratch on both sides."""
    total = dumps = live = 0
    for _ in range(12):
        pair = Pair()
        stream = run(pair, rng, 250)
        found = [order.ref for order in pair.golden.slots.values() if order.leaves]
        assert sorted(order.ref for order in stream.live()) == sorted(found)
        total += pair.event_cnt
        dumps += pair.dump_cnt
        live += len(found)
    assert total == 12 * 250
    assert dumps >= total
    assert live > 0


def long_stream(name: str, event_cnt: int) -> tuple[Counter[tuple[str, str]], int, int]:
    pair = Pair(DUMP_EVERY, is_imaged=True)
    try:
        run(pair, random.Random(name), event_cnt)
    except AssertionError as error:
        raise AssertionError(f"stream {name}: {error}") from error
    return pair.answers, pair.image_cnt, pair.dump_cnt


def test_long_streams_are_equal_in_all_state_after_every_event_and_show_every_reason(seed):
    """HWGW_RISK_EVENTS sets the length, with as many processes as processors; the default is 12,000 events."""
    event_cnt = int(os.environ.get("HWGW_RISK_EVENTS", "12000"))
    stream_cnt = max(4, event_cnt // LONG_EVENTS)
    jobs = [(f"{seed} long {number}", event_cnt // stream_cnt) for number in range(stream_cnt)]
    answers: Counter[tuple[str, str]] = Counter()
    images = dumps = 0
    for seen, imaged, dumped in each(long_stream, jobs, is_long="HWGW_RISK_EVENTS" in os.environ):
        answers += seen
        images += imaged
        dumps += dumped
    assert answers.total() == images == event_cnt // stream_cnt * stream_cnt
    assert dumps >= images // DUMP_EVERY

    verdicts, facts = Counter(), Counter()
    for (kind, reason), count in answers.items():
        (verdicts if kind in ("new", "replace") else facts)[reason] += count
    print(
        f"{images} events in {stream_cnt} streams, {dumps} dumps: {dict(verdicts.most_common())}, facts {dict(facts)}"
    )
    assert set(verdicts) == VERDICTS, verdicts
    assert set(facts) == FACTS, facts
    assert min(answers["broken", "pass"], answers["replaced", "pass"], answers["cancel", "pass"]) > 10
