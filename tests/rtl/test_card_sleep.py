"""The simulated card with parts that sleep beside the same Verilog in which every clock ticks always: no cycle differs.

SPDX-License-Identifier: MIT

Only in the long form (make rtl): it needs a second model.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import hwgw_sim.card
import pytest
from hwgw_sim.golden.frame import Template
from hwgw_sim.golden.risk import Risk
from rtl import traffic
from support.order_records import pack
from support.risk import Event, make
from support.risk_stream import Stream

from hwgw.card import Card, Gate
from hwgw.card.gate import VERDICT
from hwgw.errors import DeviceError
from hwgw.specs import registers

pytestmark = pytest.mark.skipif(not os.environ.get("HWGW_RTL_FULL"), reason="a second model of the card: make rtl")
STEPS, RESET_STEPS = 3_000, 200
TEMPLATE = Template(bytes(range(1, 7)), bytes(range(2, 8)), bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)), 40000, 5000)
MAP = registers.load()
ORDER_RING = next(window for window in MAP.windows if window.name == "order_ring")
DOORBELLS = ("order_head", "verdict_tail", "sent_tail")  # one that is ahead would keep out all that follow
WRITABLE = [row for row in MAP.registers if row.access in ("rw", "strobe", "command") and row.name not in DOORBELLS]


class Pair:
    """Both models; whatever is asked of one is asked of the other, and must be answered alike."""

    def __init__(self) -> None:
        self.asleep, self.awake = (
            hwgw_sim.card.SimulatedCard(hwgw_sim.card.build(how)) for how in ((hwgw_sim.card.SLEEP,), ())
        )
        assert self.asleep.library != self.awake.library
        self.compared: Counter[str] = Counter()
        self.name = "sim"

    def __getattr__(self, name: str) -> Any:
        def both(*arguments: Any) -> Any:
            said = []
            for card in (self.asleep, self.awake):
                try:
                    said.append(getattr(card, name)(*arguments))
                except DeviceError as error:
                    said.append(str(error))
            assert said[0] == said[1], (name, arguments, self.asleep.cycles)
            self.compared[name] += 1
            if isinstance(said[0], str):
                raise DeviceError(said[0])
            return said[0]

        return both

    def check(self) -> None:
        """Everything that has come out since the last call, with its cycle."""
        assert self.asleep.cycles == self.awake.cycles
        self.compared["event records"] += len(self.event_cycles())
        for name in ("events", "verdicts", "sent"):
            self.compared[f"bytes of {name}"] += len(getattr(self, name)())
        self.compared["frames sent"] += len(self.tx())


@pytest.fixture
def pair() -> Iterator[Pair]:
    if why := hwgw_sim.card.missing():
        pytest.skip(why)
    made = Pair()
    yield made
    made.close()


def test_no_cycle_differs_whatever_comes_and_however_long_nothing_does(pair: Pair, seed: int) -> None:
    rng = random.Random(seed)
    card = Card(pair)
    gate = Gate(card)
    gate.reset()
    card.configure(dict(zip("ab", zip(traffic.GROUPS, traffic.PORTS, strict=True), strict=True)))
    header = TEMPLATE.header(0, 0, 0, b"").ljust(56, b"\0")
    for word in range(len(header) // 4):
        card["template_word"] = word
        card["template_data"] = int.from_bytes(header[4 * word :][:4], "little")
    seq = [1, 1]

    def frame() -> None:
        line = rng.randrange(2)
        messages = [traffic.message(rng) for _ in range(rng.randrange(6))]
        data = traffic.frame(line, traffic.packet(seq[line], messages))
        seq[line] = max(seq) if rng.random() < 0.1 else seq[line] + len(messages)
        if rng.random() < 0.2:
            data = data[: rng.randrange(1, len(data))]
        pair.frame(line, data, rng.getrandbits(60))

    def give(event: Event, table: bytes | None) -> None:
        stream.gate.event(event, table)
        if table is not None:
            gate.write(table)
        gate.put(gate.head % gate.entries, pack(event))
        gate.head += 1
        card["order_head"] = gate.head & 0xFFFFFFFF

    def record() -> None:
        give(*stream.next())

    def torn() -> None:
        pair.write(ORDER_RING.offset + 4 * rng.randrange(ORDER_RING.words), rng.getrandbits(32))

    def register() -> None:
        row = rng.choice(WRITABLE)
        was = card.transport.read(row.offset)
        pair.write(row.offset, rng.getrandbits(rng.choice((1, 4, 32))))
        pair.run(rng.choice((rng.randrange(40), 600)))  # longer than most parts linger
        if row.access == "rw":
            pair.write(row.offset, was)
        for _ in range(4):
            offset = 4 * rng.randrange(ORDER_RING.offset // 4)
            with contextlib.suppress(DeviceError):  # no register there, which both have to say
                pair.read(offset)

    def pins() -> None:
        pair.halt(True)
        pair.time(rng.getrandbits(50))
        pair.run(rng.randrange(300))
        pair.halt(False)
        give(stream.stamp(make("resume")), None)

    def watchdog() -> None:
        card["watchdog"] = rng.randrange(600)
        pair.run(rng.choice((100, 300, 700)))
        card["watchdog"] = 0
        give(stream.stamp(make("resume")), None)

    def lend() -> None:
        given = {"sends": 1, "instruments": 1024, "loan_seq": rng.getrandbits(32), "loan_expiry": 2**64 - 1}
        given["loan_end"] = given["loan_seq"] + rng.randrange(2000) & 0xFFFFFFFF
        for name, value in (given | {rng.choice(("lend", "renew", "return")): 1}).items():
            card[name] = value

    def tails() -> None:
        card["verdict_tail"] = card["verdict_head"]
        card["sent_tail"] = card["sent_head"]

    ways = (frame, frame, frame, record, record, record, tails, tails, lend, torn, register, pins, watchdog)
    for step in range(STEPS):
        if step % RESET_STEPS == 0:  # by now numbers of records and of the card may differ, as no answer is looked at
            gate.reset()
            stream = Stream(Risk(), rng)
            for event, table in stream.start():
                give(event, table)
                pair.run(100)
                tails()
        rng.choice(ways)()
        if rng.random() < 0.3:
            pair.run(rng.choice((1, 3, 40, 300, 700)))
        pair.check()
    assert pair.compared["event records"] > STEPS / 10
    assert pair.compared["bytes of verdicts"] > VERDICT.itemsize * STEPS / 20
    assert pair.compared["frames sent"] > STEPS / 400
    assert min(pair.compared[name] for name in ("read", "write", "frame", "run", "halt")) > STEPS / 20
    print(dict(pair.compared), card.counters())
