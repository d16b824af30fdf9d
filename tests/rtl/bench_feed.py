"""Tests of hwgw_feed, run inside a simulator by test_rtl.py.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random

import cocotb
from hwgw_sim.stream import Stream
from rtl.feed_rig import FLOWS, Rig, beats, frame, packet
from support import rtl
from support.rtl_model import Feed, c_event, unpack


def rng() -> random.Random:
    """The generator of this run, from the seed that cocotb was given."""
    return random.Random(cocotb.RANDOM_SEED)


@cocotb.test()
async def one_packet(dut):
    """Messages of one packet, one packet after another, compared with the golden models and the C decoder."""
    rig, model = Rig(dut), Feed(FLOWS, is_all=True, channel=7)
    await rig.start()
    expected = []
    with Stream(seed=rng().getrandbits(32), symbol_cnt=20, live_max=200) as stream:
        seq = 1
        for cnt in (1, 2, 3, 10, 1, 25):
            messages = stream.messages(cnt)
            data = frame(0, packet(seq, messages))
            for record, message in model.frame(0, data):
                event = unpack(record)
                known = {name: event[name] for name in ("line", "seq", "channel", "instrument")}
                assert c_event(message, **known) == record
                expected.append(record)
            await rig.play(beats(data))
            seq += cnt
    compared = await rig.check(model, expected)
    assert compared == 42
    rtl.note(events_compared=compared)
