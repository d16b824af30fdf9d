"""The C gate equals the golden gate: verdict, reason and all state, after every event."""

from __future__ import annotations

import os
import random
from collections import Counter

from support.risk import NAMES, Pair
from support.risk_stream import Stream

VERDICTS = {NAMES[code] for code in range(19)}


def run(pair: Pair, rng: random.Random, event_cnt: int, **options: float) -> None:
    stream = Stream(pair.golden, rng, **options)
    for event, table in stream.start():
        pair.send(event, table)
    while pair.event_cnt < event_cnt:
        pair.send(*stream.next())
    pair.compare()


def test_small_streams_are_equal_in_all_state_after_every_event(rng):
    total = dumps = 0
    for _ in range(12):
        pair = Pair()
        run(pair, rng, 250)
        total += pair.event_cnt
        dumps += pair.dump_cnt
    assert total == 12 * 250
    assert dumps >= total


def test_long_streams_are_equal_and_show_every_reason(rng):
    """HWGW_RISK_EVENTS sets the length; the default is 12,000 events in four streams."""
    event_cnt = int(os.environ.get("HWGW_RISK_EVENTS", "12000"))
    answers: Counter[tuple[str, str]] = Counter()
    dumps = 0
    for _ in range(4):
        pair = Pair(dump_every=23)
        run(pair, rng, event_cnt // 4)
        answers += pair.answers
        dumps += pair.dump_cnt
    assert answers.total() == event_cnt // 4 * 4
    assert dumps >= event_cnt // 23

    verdicts, facts = Counter(), Counter()
    for (kind, reason), count in answers.items():
        (verdicts if kind in ("new", "replace") else facts)[reason] += count
    assert set(verdicts) == VERDICTS, verdicts
    assert set(facts) == {"pass", "malformed", "clock", "state", "loss", "halted"}, facts
    assert min(answers["broken", "pass"], answers["replaced", "pass"], answers["cancel", "pass"]) > 10
