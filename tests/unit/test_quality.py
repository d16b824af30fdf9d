"""Live figures of execution: what a strategy's orders at a venue cost, how they ended, how long they took.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from support import rig as r
from support import soup_venue as sv
from support.desk import Desk

from hwgw import specs
from hwgw.cli.status import describe_quality
from hwgw.native import lib
from hwgw.segment_rows import slots_ns
from hwgw.telemetry import snapshot

DAY = lib.HWGW_ORDER_TIF_DAY
BID, ASK, BIDS, ASKS = 1_000_000, 1_000_200, 500, 200


def test_rates_reasons_and_slippage_are_those_of_the_answers() -> None:
    with Desk(qty=100, tif=DAY, orders=4) as desk:
        desk.rig.feed(r.directory(1, "AAPL"))
        desk.rig.feed(r.add(1, "AAPL", 1, "B", BIDS, BID))
        desk.rig.feed(r.add(1, "AAPL", 2, "S", ASKS, ASK))
        desk.wait(6)
        assert desk.rig.segment.quality()[0]["sent"] == 4
        fills = [(60, ASK), (40, BID)]
        desk.venue.sequenced(
            *(sv.accepted(ref, b"B", 100, b"AAPL    ", ASK) for ref in (1, 2)),
            sv.rejected(3, 29),
            sv.rejected(4, 29),
            *(sv.executed(1, qty, px, 7000 + px) for qty, px in fills),
        )
        desk.until(lambda: desk.cnt("session.executed") == 2)
        (row,) = snapshot(desk.rig.segment)["quality"]
        counts = {key: row[key] for key in ("sent", "acknowledged", "rejected", "lost", "filled", "executed_qty")}
        assert counts == {"sent": 4, "acknowledged": 2, "rejected": 2, "lost": 0, "filled": 1, "executed_qty": 100}
        assert (row["fill_rate"], row["reject_reasons"]) == (0.5, {"29": 2})
        mid, micro = Fraction(BID + ASK, 2), Fraction(BID * ASKS + ASK * BIDS, BIDS + ASKS)
        for key, base in (("slip_mid_bps", mid), ("slip_micro_bps", micro)):
            cost = sum(qty * (px - base) for qty, px in fills)
            assert row[key] == pytest.approx(float(10_000 * cost / (100 * mid)), abs=1e-2)
        assert row["slip_micro_bps"] < row["slip_mid_bps"]
        assert row["sent_to_ack_ns"]["p50"] <= row["sent_to_ack_ns"]["p99"]
        text = describe_quality(row)
        assert "filled 50.0 % of 2; 2 rejected (29: 2), 0 lost; slippage +0.20 bp of mid" in text
        desk.rig.ledgers()


def test_what_was_taken_back_is_lost_and_no_rejection() -> None:
    with Desk(qty=100, tif=DAY) as desk:
        desk.rig.quote()
        desk.wait(3)
        desk.venue.drop()
        desk.until(lambda: desk.cnt("session.disconnects") == 1)
        (row,) = desk.rig.segment.quality()
        assert (row["sent"], row["lost"], row["rejected"], row["fill_rate"]) == (1, 0, 0, None)


def test_a_quantile_is_the_end_of_the_slot_that_holds_it(rng: random.Random) -> None:
    field = specs.dtype("segment", "quality")["ack_ns"]
    slots = np.zeros(field.shape, np.uint32)
    assert slots_ns(slots, 0.5) is None
    times = [rng.randrange(1, 2**31) for _ in range(1000)]
    for ns in times:
        octave = ns.bit_length() - 1
        slots[2 * octave + (ns >> (octave - 1) & 1 if octave else 0)] += 1
    for share in (0.5, 0.99):
        exact = sorted(times)[int(share * len(times)) - 1]
        found = slots_ns(slots, share)
        assert found is not None
        assert exact <= found <= 2 * exact
