"""The image of the gate's state, which long runs compare after every event, holds what the dump holds."""

from __future__ import annotations

import random

import pytest
from support.risk import Pair
from support.risk_image import GLOBALS
from support.risk_stream import Stream

from hwgw.native import ffi, lib


def warm(seed: int) -> Pair:
    """Gates that have seen some events and passed some orders, equal after each."""
    pair = Pair(10**9, is_imaged=True)
    stream = Stream(pair.golden, random.Random(seed))
    for event, table in stream.start():
        pair.send(event, table)
    while pair.event_cnt < 400 or len(set(pair.golden.recent)) < 2:
        pair.send(*stream.next())
    assert pair.image_cnt == pair.event_cnt
    return pair


def test_a_changed_byte_of_the_c_gate_shows_in_the_image_when_it_shows_in_the_dump(rng):
    pair = warm(rng.getrandbits(32))
    memory = ffi.buffer(pair.native.risk, lib.hwgw_risk_sz_bytes())
    before = pair.native.dump()
    seen = {True: 0, False: 0}
    used = [at for at in range(64, len(memory)) if memory[at] != b"\0"]  # the first line points to the limits
    for at in [rng.choice(used) for _ in range(300)] + [rng.randrange(64, len(memory)) for _ in range(300)]:
        was = memory[at]
        memory[at] = bytes([was[0] ^ 1 << rng.randrange(8)])
        shows = pair.native.dump() != before
        assert not (shows and pair.image.is_equal(pair.native.address)), at
        seen[shows] += 1
        memory[at] = was
    assert pair.image.is_equal(pair.native.address)
    assert min(seen.values()) > 20, seen


@pytest.mark.parametrize("name", ["accounts", "strategies", "instruments", "slots"])
def test_a_changed_item_of_the_golden_model_shows_in_the_image(name, rng):
    pair = warm(rng.getrandbits(32))
    table, tried = getattr(pair.golden, name), 0
    for index in sorted(table)[:5]:
        for item, value in list(vars(table[index]).items()):
            other = [*value[:-1], value[-1] + 1] if isinstance(value, list) else value + 1
            setattr(table[index], item, other)
            assert not pair.image.is_equal(pair.native.address), (index, item)
            setattr(table[index], item, value)
            assert pair.image.is_equal(pair.native.address)
            tried += 1
    assert tried >= 5 * 3


def test_a_changed_item_of_the_whole_golden_gate_shows_in_the_image(rng):
    pair = warm(rng.getrandbits(32))
    for item in GLOBALS:
        value = getattr(pair.golden, item)
        setattr(pair.golden, item, value + 1)
        assert not pair.image.is_equal(pair.native.address), item
        setattr(pair.golden, item, value)
    for item, value in list(vars(pair.golden.gateway).items()):
        setattr(pair.golden.gateway, item, value + 1)
        assert not pair.image.is_equal(pair.native.address), item
        setattr(pair.golden.gateway, item, value)
    pair.golden.recent = pair.golden.recent[1:] + pair.golden.recent[:1]
    assert not pair.image.is_equal(pair.native.address)


def test_a_difference_is_reported_with_the_event_and_the_items(rng):
    pair = warm(rng.getrandbits(32))
    pair.golden.gateway.cash += 1
    with pytest.raises(AssertionError, match=rf"state after event {pair.event_cnt + 1}, \{{.*\}}:\ngateway\.cash"):
        pair.send(dict.fromkeys(pair.history[-1], 0))
