"""Line outages against a running gateway: what must hold when one line dies, and when both do. Tests run it short.

    PYTHONPATH=tests python -m support.drill --seconds 60

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwgw.demo.stage import recovery_keys
from hwgw.segment import Segment
from hwgw.telemetry import ledger_rows

from .market import Market, until

START_S = 1.0  # of the outage, from the first message on


@contextmanager
def trading(
    folder: Path,
    faults: list[str],
    channel: dict[str, Any],
    seconds: float = 30,
    recover: dict[str, Any] | None = None,
    **market: Any,
) -> Iterator[tuple[Market, Segment]]:
    """An exchange whose lines have these faults, and a gateway that has begun to hear it."""
    options = [word for line in faults for word in ("--faults", line)]
    options += market.pop("options", [])
    with Market(folder, recovery=options, seconds=seconds, **market) as made:
        made.channel = channel
        if recover:
            made.channel = channel | {"recover": recovery_keys(made.exchange.ready)["recover"] | recover}
        made.start()
        with made.attached("mold.frames") as segment:
            yield made, segment


def watch(segment: Segment, done: Any, seconds: float) -> list[str]:
    """The states the channel went through, in order, until done; from the record that the gateway keeps."""
    log: list[dict[str, Any]] = []
    end = time.monotonic() + seconds
    while True:
        is_done = done()
        log += segment.feed_changes(0, 0, log[-1]["number"] if log else 0)
        states = [change["to"] for change in log]
        if is_done:
            return states
        assert time.monotonic() < end, f"gave up; the channel went {' -> '.join(states[-20:])}"
        time.sleep(0.0005)


def books_agree(segment: Segment, *, whole: bool) -> None:
    """No message contradicted a book, every ledger is exact, and nothing was given up."""
    counters = segment.counters()
    contradictions = {
        name: counters[f"book.drop_{name}"] for name in ("unknown_ref", "duplicate_ref", "quantity", "side")
    }
    assert not any(contradictions.values()), contradictions
    assert counters["book.updates"] > 1000
    assert counters["book.unsound"] == 0
    assert counters["hold.lost"] == 0
    assert counters["mold.missing"] == sum(counters[f"hold.{name}"] for name in ("filled", "covered", "missing_now"))
    if whole:
        assert counters["hold.covered"] == counters["recover.snapshots"] == 0
    for name in ("holes", "held", "snapshots"):
        (row,) = (row for row in ledger_rows(counters) if row.name == name)
        assert row.exact, row


def one_line_dead(folder: Path, outage_s: float, rate: int = 5000) -> dict[str, int]:
    """Line A is dead for so long, B lives: nothing is asked for, and no order is refused for it."""
    channel = {"reorder_window": "100ms"}
    outage = f"outage={START_S:g}-{START_S + outage_s:g}"
    with trading(folder, [outage, ""], channel, 30 + outage_s, rate=rate) as (_, segment):
        before = segment.counters()["risk.refused_feed"]

        def missed() -> int:
            return int(segment.channel_status()[0]["lines"]["A"]["missed"])

        until(lambda: missed() > 0.5 * rate * outage_s, "line A is back", 20 + outage_s)
        row = segment.channel_status()[0]
        counters = segment.counters()
        assert row["lines"]["B"]["first"] > 0.6 * rate * outage_s
        assert (row["requests"], row["snapshots"]) == (0, 0)
        refused = counters["risk.refused_feed"] - before
        assert refused < 20 + 2 * outage_s  # while a packet of B is a moment late, at most
        books_agree(segment, whole=True)
        return {"missed by A": missed(), "missed by both": 0, "refused": refused, "orders": counters["order.encoded"]}


def log_of(market: Market) -> list[str]:
    """What the gateway, which is told to stop, has written of its channel."""
    process = market.started[-1]
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=30)[1].decode()
    return [line.partition(": channel 0: ")[2] for line in said.splitlines() if ": channel 0: " in line]


def both_lines_dead(folder: Path, outage_s: float, rate: int = 4000) -> tuple[list[str], dict[str, int]]:
    """Both are: stale, orders refused, then the hole is repaired and orders leave again. Its log, and counts.

    However wide the hole is, it is asked for message by message: a snapshot would move no book that a strategy sees,
    and so nobody would want an order that could be refused.
    """
    # orders go on being wanted: the books that the strategies see move when the hole is being filled
    channel: dict[str, Any] = {"stale": "200ms", "reorder_window": "2ms"}
    if 2 * rate * outage_s > 65_536:  # what comes behind the hole is kept by its distance from the hole's beginning
        channel["hold_max"] = 1 << 20
    outage = f"outage={START_S:g}-{START_S + outage_s:g}"
    recover = {"messages_max": 0, "rate": 10_000}
    with trading(folder, [outage, outage], channel, 60 + outage_s, recover, rate=rate) as (market, segment):
        until(lambda: segment.counters()["order.encoded"] > 0, "orders leave")
        refused = segment.counters()["risk.refused_feed"]

        def repaired() -> bool:
            row = segment.channel_status()[0]
            return row["repairs"] > 0 and row["state"] == "good" and row["requests"] > 0

        states = watch(segment, repaired, 20 + 2 * outage_s)
        assert "stale" in states
        behind = states[states.index("stale") :]
        assert "requesting" in behind, states
        assert states[-1] == "good", states
        until(lambda: segment.counters()["risk.refused_feed"] > refused, "orders were refused for the feed")
        row = segment.channel_status()[0]
        counters = segment.counters()
        assert row["lines"]["recovery"]["first"] > 0.5 * rate * outage_s
        assert counters["mold.missing"] > 0.5 * rate * outage_s
        before = counters["order.encoded"]
        until(lambda: segment.counters()["order.encoded"] > before, "orders leave again")
        books_agree(segment, whole=True)
        log = log_of(market)
        assert [line.split(" -> ")[1].split()[0] for line in log][: len(states)] == states, log
        return log[: len(states)], {
            "missing": counters["mold.missing"], "re-requests": row["requests"],
            "refused": counters["risk.refused_feed"] - refused,
        }  # fmt: skip


def main() -> int:
    """Both drills at full length; AssertionError when one fails."""
    parser = argparse.ArgumentParser(prog="python -m support.drill", description="line outages of so many seconds")
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        told = one_line_dead(Path(folder), seconds)
    print(f"one line dead for {seconds:g} s: {', '.join(f'{name} {cnt:,}' for name, cnt in told.items())}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        log, told = both_lines_dead(Path(folder), seconds)
    print(f"both lines dead for {seconds:g} s: {', '.join(f'{name} {cnt:,}' for name, cnt in told.items())}")
    print("\n".join(log[:40]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
