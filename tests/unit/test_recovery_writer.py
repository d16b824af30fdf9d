"""A writer killed at any of its writes, everything else killed with it: what is rebuilt is what was put, all of it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from support import rig as r
from support import soup_venue as sv
from support.chains import Monkey, Venue, gate, open_orders, settle
from support.desk import SYMBOLS, Desk, session_cfg
from support.rig import Rig

from hwgw.journal import files_of, replay, verify
from hwgw.journal import start as beginning
from hwgw.journal.writer import Writer
from hwgw.native import lib
from hwgw.settings import Journal

RING = 2**20
TURNS = 12


def rebuilt(folder: Path, name: str) -> dict[str, Any]:
    """What the next process of the gateway begins with."""
    past = replay(folder, name)
    blocks = [(bytes(block.body), block.record_cnt) for block in past.blocks]
    venue = sv.Venue()
    try:
        with Rig(SYMBOLS, session=session_cfg(venue.port), replay=blocks, orders_max=1000) as again:
            state = gate(type("Desk", (), {"rig": again})())  # type: ignore[arg-type]
            again.publish()
            return {
                "orders": open_orders(state), "cash": int(again.segment.threads[0]["cash"]),
                "positions": [int(row["pos"]) for row in again.segment.positions],
                "last_ref": int(again.segment.threads[0]["last_ref"]),
            }  # fmt: skip
    finally:
        venue.close()


def put(rng: random.Random, folder: Path, call: int, offset: int) -> tuple[str, dict[str, Any], bool]:
    """A desk trades; its writer dies at its call-th write behind offset bytes; then all is gone. Name and state."""
    monkey, answers = Monkey(rng), Venue(rng)
    with Desk(strategy=monkey.desc, journal_sz_bytes=RING) as desk:
        segment = desk.rig.segment
        for locate, symbol in enumerate(SYMBOLS, 1):
            desk.rig.quote(symbol, locate)
        seen = 2
        for turn in range(TURNS):
            desk.rig.feed(r.add(1, "AAPL", 10_000 + turn, "B", 1, 1_000_000))
            seen = settle(desk, answers, seen)
            if turn == TURNS // 2:  # half of it waits when the writer begins, half comes while it works or is dead
                lib.hwgw_fault_journal(call, offset)
                try:
                    with pytest.MonkeyPatch.context() as patch:
                        patch.setattr("hwgw.journal.writer.await_ready", lambda ready, _: os.close(ready))
                        writer = Writer(segment, Journal(str(folder), sync="every", ring_bytes=RING), segment.name)
                finally:
                    lib.hwgw_fault_journal(0, 0)
        if died := writer.close() == -signal.SIGKILL:
            lib.hwgw_segment_journal(segment.pointer, 0).closing = 0
        desk.rig.publish()
        state = {
            "orders": open_orders(gate(desk)), "cash": int(segment.threads[0]["cash"]),
            "positions": [int(row["pos"]) for row in segment.positions],
            "last_ref": int(segment.threads[0]["last_ref"]),
        }  # fmt: skip
        # kill -9 of all: the segment stays as it is, and nobody holds its lock
        name = segment.name
        kept = Path(f"/dev/shm/hwgw-{name}").read_bytes()
    Path(f"/dev/shm/hwgw-{name}").write_bytes(kept)
    return name, state, died


def test_nothing_acknowledged_is_lost_or_invented_wherever_the_writer_dies(tmp_path: Path, rng: random.Random) -> None:
    died_cnt = compared = 0
    for call in range(1, 11):
        folder = tmp_path / str(call)
        name, state, died = put(rng, folder, call, rng.choice([0, 1, 64, 127, 128, 200, 900, 10**9]))
        try:
            found = files_of(folder, name)
            if not found or not verify(found).blocks:
                continue  # it died before its run had begun on disk: nothing is rebuilt, and the venue's word halts
            beginning.rescue(folder, name)
            assert verify(files_of(folder, name)).is_whole
            assert rebuilt(folder, name) == state
            died_cnt += died
            compared += len(state["orders"]) + 1
        finally:
            Path(f"/dev/shm/hwgw-{name}").unlink()
    assert died_cnt >= 3
    assert compared > died_cnt
