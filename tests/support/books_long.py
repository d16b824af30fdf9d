"""`make books`: our books against those of the simulated exchange, over as many messages as wished.

SPDX-License-Identifier: MIT

The exchange (sim/exchange/book.c: treaps and linked queues, no line of ours) makes a day of order flow on a virtual
clock and says which orders it has left, as a hash over instrument, side, price, reference and shares in time priority;
`hwgw decode --summary` reads the day through our decoder and books and says the same. Each day has a seed of its own
and another number of live orders, so that ladders of every usual size fill, empty and change places. A difference names
what repeats it.

    python -m support.books_long --messages 1000000000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DAY = 5_000_000
DEPTHS = (12, 25, 50, 100, 200, 400, 1600)  # live orders per symbol
SYMBOLS = 8


@dataclass(frozen=True)
class Day:
    """One day: what it is made from, what came of it, and what does not fit, which is empty when all does."""

    seed: int
    depth: int
    messages: int
    orders_live: int
    wrong: str


def _json(*command: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])  # the exchange says where it is first
    return found


def day(seed: int, depth: int, messages: int, folder: Path) -> Day:
    """Make a day, read it, and compare."""
    record = folder / "day.itch50"
    flow = ("--symbols", SYMBOLS, "--depth", depth, "--seed", seed, "--messages", messages, "--clock", "virtual")
    venue = _json("hwgw_sim.exchange", "--group", "none", *map(str, flow), "--record", str(record))
    try:
        ours = _json("hwgw.cli", "decode", str(record), "--summary", "--json")
    except RuntimeError as error:  # how it died is the finding
        return Day(seed, depth, messages, 0, str(error))
    pairs = (("messages", "messages_sent"), ("orders_live", "open_orders"), ("book_hash", "book_hash"))
    wrong = [f"{mine} {ours[mine]}, the venue {venue[theirs]}" for mine, theirs in pairs if ours[mine] != venue[theirs]]
    if ours["errors"]:
        wrong.append(f"errors {ours['errors']}")
    return Day(seed, depth, int(str(ours["messages"])), int(str(ours["orders_live"])), "; ".join(wrong))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m support.books_long", description="books against those of a venue")
    parser.add_argument("--messages", type=int, default=1_000_000_000)
    parser.add_argument("--day", type=int, default=DAY, help="messages of a day")
    parser.add_argument("--seed", type=int, default=1, help="of the first day")
    parser.add_argument("--keep-on", action="store_true", help="after a difference, too")
    args = parser.parse_args(argv)
    made = bad = number = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        while made < args.messages:
            found = day(args.seed + number, DEPTHS[number % len(DEPTHS)], args.day, Path(folder))
            number, made = number + 1, made + found.messages
            if found.wrong:
                bad += 1
                print(f"books: seed {found.seed}, depth {found.depth}, {args.day} messages: {found.wrong}", flush=True)
                if not args.keep_on:
                    break
            elif number % 20 == 0:
                print(f"books: {number} days, {made:,} messages, {bad} days with a difference", flush=True)
    print(f"books: {number} days, {made:,} messages: {bad} days with a difference", flush=True)
    return 1 if bad or not made else 0


if __name__ == "__main__":
    sys.exit(main())
