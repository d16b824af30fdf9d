"""`make soak-risk`: the C gate against the Verilated one over as many events as wished, in as many processes as wished.

SPDX-License-Identifier: MIT

The events are those of tests/rtl/risk/stream.c: streams of 125,000, each from reset with a seed of its own, a billion
apart, by turns each event alone, in bursts, alone, in bursts with pauses on every interface. After every event or burst
the answers, the state that belongs to no row and the rows that it can have touched are compared, all state every 20,000
events and at the end. A stream that is over is a line of the record (--record); a race that is started again with the
same record goes on behind it, unless the gates have changed, which is refused.

    nice python -m support.race_long --events 1000000000 --jobs 1 --json race.json

Ends with one summary, which --json writes, too: exit code 0 when no stream found a difference and none was poor in a
reason, 1 otherwise.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import risk, risk_rtl

STREAM_EVENTS = 125_000
"""A stream begins anew from reset after so many: an older one spends its credit, and then shows little but refusals."""
SEED_STEP = 10**9
TABLES_PER_MILLION, WHOLE = 20, 20_000  # a table takes as many cycles as 700 events
CYCLES = {"NEW": 8, "REPLACE": 8, "CANCEL": 10, "ACCEPTED": 10, "BEAT": 8, "ARM": 8}  # from a record to its answer
REASONS = [risk.NAMES[reason] for reason in range(19)]
FACTS = {"pass", "halted", "clock", "malformed", "loss", "state"}
SCARCE = 10_000  # one event of so many at least gives each reason
PROGRESS_S = 60.0
SUMS = ("events", "looks", "whole_looks", "cycles", "tables")


def stream(
    library: Path, seed: int, turn: int, events: int,
    tables_per_million: int = TABLES_PER_MILLION, whole: int = WHOLE,
) -> dict[str, Any]:  # fmt: skip
    """One pair of gates from reset: what was compared, and the answers by name. AssertionError at a difference.

    turn: 1 and 3 of 4 in bursts of up to 16, 3 with pauses on every interface besides.
    """
    burst_max = (1, 16)[turn % 2]
    gates = risk_rtl.Race(seed, library)
    gates.run(events, burst_max, tables_per_million, whole, pauses=turn % 4 == 3)
    counts = gates.counts
    orders = {risk.NAMES[code]: cnt for code, cnt in enumerate(counts.orders) if cnt}
    facts = {risk.NAMES[code]: cnt for code, cnt in enumerate(counts.facts) if cnt}
    assert counts.events == sum(orders.values()) + sum(facts.values())
    assert counts.whole >= counts.events // (whole + 1000)
    assert burst_max > 1 or counts.states == counts.events
    for kind, cycles in CYCLES.items():
        code = getattr(risk.Kind, kind)
        assert burst_max > 1 or counts.latency_min[code] == counts.latency_max[code] == cycles, f"latency of {kind}"
    numbers = (counts.events, counts.states, counts.whole, counts.cycles, counts.tables)
    return {**dict(zip(SUMS, numbers, strict=True)), "orders": orders, "facts": facts}


def _job(library: Path, first: int, number: int) -> dict[str, Any]:
    """A stream by its number: a line of the record."""
    seed, begin = first + number * SEED_STEP, time.process_time()
    try:
        found = stream(library, seed, number, STREAM_EVENTS)
    except AssertionError as difference:
        found = {"wrong": f"stream {number}, seed {seed}: {difference}"}
    return {"stream": number, "seed": seed, **found, "processor_s": round(time.process_time() - begin, 3)}


@contextmanager
def alone(record: Path) -> Iterator[None]:
    """Nobody else writes this record meanwhile, or ValueError."""
    record.parent.mkdir(parents=True, exist_ok=True)
    with record.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{record} is written by another race") from None
        yield


def kept(path: Path, head: dict[str, Any]) -> list[dict[str, Any]]:
    """The streams on record; a line that was cut off is dropped. ValueError when it is of other gates or seeds."""
    if not path.exists():
        path.write_text(json.dumps(head) + "\n", encoding="utf-8")
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    lines = [json.loads(line) for line in whole.splitlines()]
    if not lines or lines[0] != head:
        raise ValueError(
            f"{path} is of {lines[0] if lines else 'nothing'}, not of {head}: name another record, or remove it"
        )
    return lines[1:]


def streams(library: Path, first: int, numbers: Sequence[int], jobs: int) -> Iterator[dict[str, Any]]:
    """Each stream as it is over, jobs at a time in a process each."""
    rest, waiting = iter(numbers), set[Future[dict[str, Any]]]()
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("fork")) as pool:
        try:
            while True:
                for number in rest:
                    waiting.add(pool.submit(_job, library, first, number))
                    if len(waiting) >= 2 * jobs:
                        break
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def summary(head: dict[str, Any], lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of all streams: sums, answers by reason, seeds, processor time, and what is wrong, [] when nothing is."""
    wrong = [line["wrong"] for line in lines if "wrong" in line]
    good = [line for line in lines if "wrong" not in line]
    total: dict[str, Any] = {name: sum(line[name] for line in good) for name in SUMS}
    for name in ("orders", "facts"):
        answers: Counter[str] = Counter()
        for line in good:
            answers.update(line[name])
        total[name] = dict(sorted(answers.items()))
    scarce = [name for name in REASONS if total["orders"].get(name, 0) < max(1, total["events"] // SCARCE)]
    wrong += [f"{total['orders'].get(name, 0)} orders with {name} in {total['events']} events" for name in scarce]
    if set(total["facts"]) != FACTS:
        wrong.append(f"facts were answered with {sorted(total['facts'])}, not with {sorted(FACTS)}")
    numbers = [line["stream"] for line in lines]
    return {
        **head, **total, "streams": len(numbers), "seed_last": head["seed"] + max(numbers, default=0) * SEED_STEP,
        "processor_s": round(sum(line["processor_s"] for line in lines), 1), "wrong": wrong,
    }  # fmt: skip


def race(library: Path, events: int, seed: int, jobs: int, record: Path) -> dict[str, Any]:
    """The summary of so many events, those on record included; stops at the first difference."""
    head = {"gates": library.parent.name, "seed": seed, "seed_step": SEED_STEP, "stream_events": STREAM_EVENTS,
            "tables_per_million": TABLES_PER_MILLION, "whole": WHOLE}  # fmt: skip
    with alone(record):
        return _race(library, events, jobs, record, head)


def _race(library: Path, events: int, jobs: int, record: Path, head: dict[str, Any]) -> dict[str, Any]:
    seed, lines = head["seed"], kept(record, head)
    over = {line["stream"] for line in lines}
    want = -(-events // STREAM_EVENTS)
    numbers = [number for number in range(want) if number not in over]
    begin = told = time.monotonic()
    has_difference = any("wrong" in line for line in lines)
    with record.open("a", encoding="utf-8") as file:
        for line in () if has_difference else streams(library, seed, numbers, jobs):
            lines.append(line)
            file.write(json.dumps(line) + "\n")
            file.flush()
            if "wrong" in line:
                break
            now, left = time.monotonic(), want - len(lines)
            if now - told >= PROGRESS_S or not left:
                told, rate = now, (len(lines) - len(over)) * STREAM_EVENTS / (now - begin)
                print(f"race: {len(lines) * STREAM_EVENTS:,} of {want * STREAM_EVENTS:,} events, {rate:,.0f}/s, "
                      f"{left * STREAM_EVENTS / rate:,.0f} s left", flush=True)  # fmt: skip
    return summary(head, lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m support.race_long", description=str(__doc__).splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first stream")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes at a time")
    parser.add_argument("--record", type=Path, help="default build/risk/race-SEED.jsonl")
    parser.add_argument("--json", type=Path, help="write the summary, too")
    args = parser.parse_args(argv)
    if args.events < 1 or args.jobs < 1:
        parser.error(f"--events {args.events} --jobs {args.jobs}: each is at least 1")
    if why := risk_rtl.missing():
        parser.error(why)
    record = args.record or risk_rtl.BUILDS / f"race-{args.seed}.jsonl"
    try:
        found = race(risk_rtl.build(), args.events, args.seed, args.jobs, record)
    except ValueError as error:
        parser.error(str(error))
    text = json.dumps(found, indent=1)
    print(text)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
