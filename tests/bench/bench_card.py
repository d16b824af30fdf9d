"""The simulated card: frames and clock cycles per second of the whole RTL behind CFFI.

SPDX-License-Identifier: MIT

Frames of 230 bytes with messages of the generator, in sequence on line A, in batches of 256 per call; the event records
are taken out after each batch. The time is this process's own, so that neighbours on the machine disturb it less.
"""

from __future__ import annotations

import random
import struct
import time

import hwgw_sim.card
import numpy as np
from hwgw_sim import wire
from hwgw_sim.stream import Stream

from hwgw.card import Card

from .harness import RUNS_LARGE, Options, Result, result

FRAME_SZ, BATCH = 230, 256
GROUP, PORT, SESSION = "233.54.12.111", 26477, b"000000001A"
HEADERS_SZ = len(wire.udp_frame(GROUP, PORT, b""))
MOLD_SZ, LENGTH_SZ = 20, 2
FILLER = 12  # a system event: what is left of a frame is made of these, and of a last one that is longer


def _payload(records: bytes, at: int, seq: int) -> tuple[bytes, int, int]:
    """A packet that makes a frame of FRAME_SZ, where the next record begins, and how many messages it has."""
    room = FRAME_SZ - HEADERS_SZ - MOLD_SZ
    body, count = b"", 0
    while len(body) + LENGTH_SZ < room:
        size = LENGTH_SZ + int.from_bytes(records[at : at + LENGTH_SZ], "big")
        left = room - len(body) - size
        if left and left < LENGTH_SZ + FILLER:  # the last one fills the frame: of no known length, so it is counted
            break
        if left < 0:
            break
        body, at, count = body + records[at : at + size], at + size, count + 1
    if len(body) < room:
        last = room - len(body) - LENGTH_SZ
        body, count = body + last.to_bytes(LENGTH_SZ, "big") + bytes(last), count + 1
    return SESSION + struct.pack(">QH", seq, count) + body, at, count


def _frames(cnt: int, seed: int) -> tuple[bytes, int]:
    """So many frames one behind the other, and how many messages they carry."""
    with Stream(random.Random(seed).randrange(2**32), 64, 2000) as stream:
        records = stream.records(cnt * 8)
    blob, at, seq = [], 0, 1
    for _ in range(cnt):
        payload, at, count = _payload(records, at, seq)
        blob.append(wire.udp_frame(GROUP, PORT, payload))
        seq += count
    assert {len(frame) for frame in blob} == {FRAME_SZ}
    return b"".join(blob), seq - 1


def run(options: Options) -> list[Result]:
    """Both figures, from the same runs."""
    if why := hwgw_sim.card.missing():
        options.leave_out("card_frames_per_s", why)
        return []
    batches = options.size(400, 2)
    data, messages = _frames(batches * BATCH, options.seed)
    lens = np.full(BATCH, FRAME_SZ, np.uint32)
    frames_per_s, cycles_per_s = [], []
    for _ in range(options.runs(RUNS_LARGE)):
        with Card(hwgw_sim.card.SimulatedCard()) as card:
            card.configure({"a": (GROUP, PORT)})
            model, events = card.transport, 0
            first, begin = model.cycles, time.process_time()
            for at in range(0, len(data), BATCH * FRAME_SZ):
                model.frames(0, data[at : at + BATCH * FRAME_SZ], lens)
                events += len(model.events()) // hwgw_sim.card.EVENT_SZ
            seconds = time.process_time() - begin
            cycles = model.cycles - first
            model.run(100)
            events += len(model.events()) // hwgw_sim.card.EVENT_SZ
            totals = card.counters()
        assert totals["mold.messages"] == messages
        assert events == totals["itch.messages"] == messages - totals["itch.drop_length"] - totals["itch.drop_unknown"]
        frames_per_s.append(batches * BATCH / seconds)
        cycles_per_s.append(cycles / seconds)
    options.say(f"card: {batches * BATCH:,} frames of {FRAME_SZ} bytes, {messages:,} messages, {events:,} events")
    return [
        result("card_frames_per_s", "frames/s of CPU", frames_per_s),
        result("card_cycles_per_s", "cycles/s of CPU", cycles_per_s),
    ]
