"""hwgw.attach: what a running gateway publishes, read-only, consistent, and safe to hold on to.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from support import rig as r
from support.desk import SYMBOLS
from support.rig import Rig

import hwgw
from hwgw.errors import CheckFailed, UsageError
from hwgw.native import lib


@pytest.fixture
def rig():
    with Rig(SYMBOLS, hold_max=64, window_ns=1_000_000) as made:
        made.quote("AAPL", 1)
        made.quote("MSFT", 2, 2_000_000, 2_000_400)
        made.publish()
        yield made


def test_it_shows_books_positions_counters_and_feeds(rig):
    with hwgw.attach(rig.segment.name, left_over=True) as live:
        assert live.symbols == SYMBOLS
        top = live.top("MSFT")
        assert (int(top["bid_px"]), int(top["ask_px"]), int(top["bid_qty"])) == (2_000_000, 2_000_400, 500)
        assert live.tops()["bid_px"].tolist() == [1_000_000, 2_000_000, 0]
        assert live.counters()["itch.messages"] == 6
        assert all(live.ledgers().values())
        assert set(live.ledgers()) >= {"frames", "messages", "events"}
        assert live.latency_ns()["decode"]["cnt"] == 6
        (feed,) = live.feeds()
        assert (feed["state"], feed["next_seq"], feed["lines"]["A"]["frames"]) == ("good", 7, 6)
        assert int(live.channels[0, 0]["next_seq"]) == 7
        assert int(live.position("AAPL")["pos"]) == 0
        assert live.exposure()["gateway"]["cash"] == 0
        assert [line.split(" ", 3)[3] for line in live.feed_changes()] == ["waiting -> good at 2"]
        assert live.status()["counters"] == live.counters()
        rig.feed(r.add(1, "AAPL", 7, "B", 10, 1_000_100))
        assert int(live.top("AAPL")["bid_px"]) == 1_000_100, "it is live"


def test_views_cannot_be_written_and_outlive_the_context(rig):
    with hwgw.attach(rig.segment.name, left_over=True) as live:
        views = [live.positions, live.exposures, live.threads, live.channels, live.head]
    assert len(views) == 5
    for view in views:
        with pytest.raises(ValueError, match="read-only"):
            view[view.dtype.names[0]] = 1
    assert int(views[3][0, 0]["next_seq"]) == 7
    rig.feed(r.add(1, "AAPL", 7, "B", 10, 1_000_100))
    rig.publish()
    assert int(views[3][0, 0]["next_seq"]) == 8, "what was taken stays valid, and live"
    with pytest.raises(UsageError, match="is closed"):
        live.counters()


def test_snapshots_of_tops_are_never_torn(rig):
    """The pipeline raises price and shares of the best bid together, in a thread of its own, while we look."""
    cnt = 40_000
    writer = threading.Thread(target=rig.push, args=rig.rising(cnt))  # one call into C, without the GIL
    seen: set[int] = set()
    with hwgw.attach(rig.segment.name, left_over=True) as live:
        writer.start()
        while writer.is_alive():
            top = live.tops()[0]
            px, qty = int(top["bid_px"]), int(top["bid_qty"])
            assert qty == (px - 1_000_000 or 500), (px, qty)
            seen.add(px)
        writer.join()
        assert int(live.tops()[0]["bid_px"]) == 1_000_000 + cnt
    assert len(seen) > 1


def test_a_row_that_stays_half_written_is_an_error_not_a_hang(rig):
    row = lib.hwgw_segment_tob(rig.segment.pointer, 1)
    with hwgw.attach(rig.segment.name, left_over=True) as live:
        row.lock += 1
        with pytest.raises(CheckFailed, match="MSFT was left half written"):
            live.tops()
        row.lock += 1
        assert len(live.tops()) == 3


def test_names_that_do_not_run_are_named(rig):
    with pytest.raises(UsageError, match=rf"no gateway 'nobody' on this host; there are .*{rig.segment.name}"):
        hwgw.attach("nobody")
    with pytest.raises(UsageError, match=r"no gateway '\.\./etc' on this host"):
        hwgw.attach("../etc")
    wrong = r"symbol 'TSLA': .* does not subscribe to it; it has AAPL, MSFT, IBM"
    with hwgw.attach(rig.segment.name, left_over=True) as live, pytest.raises(UsageError, match=wrong):
        live.top("TSLA")


def test_a_gateway_that_is_gone_is_told_from_one_that_runs(tmp_path: Path):
    name = f"live-{os.getpid()}"
    path = Path(f"/dev/shm/hwgw-{name}")
    code = textwrap.dedent(
        f"""
        import os, sys
        from hwgw.segment import Segment
        made = Segment.create({name!r}, ["AAPL"])
        print("made", flush=True)
        sys.stdin.readline()
        os._exit(0)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout.readline() == "made\n"
            with hwgw.attach(name) as live:
                assert live.running
                other.communicate("\n", timeout=20)
                assert not live.running
            with pytest.raises(CheckFailed, match=f"gateway '{name}' does not run: .*left over"):
                hwgw.attach(name)
            with hwgw.attach(name, left_over=True) as live:
                assert len(live.tops()) == 1
        finally:
            other.kill()
            path.unlink(missing_ok=True)
    assert isinstance(live.positions, np.ndarray)
