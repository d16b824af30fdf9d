"""Change the gate's Verilog in one place at a time and count how many changes its tests notice.

    python -m tests.mutation.rtl [--only TEXT] [--every N [--first M]] [--again FILE] [--events N] [--output FILE]

SPDX-License-Identifier: MIT

The Verilated gate with every change in it is compiled once (verilog.py). Each mutant runs in a process of its own,
forked from gates that have run for a while: it must differ from the C gate somewhere in the next events, answer out of
its time, or fail a quick test of tests/rtl/test_risk_rtl.py. What survives is listed; docs/risk.md explains it.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import os
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

from cffi import FFI

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support import risk, risk_rtl  # noqa: E402

from tests.mutation.verilog import PACKAGE, Module, Mutant  # noqa: E402

SECONDS_MAX = 1800  # a mutant that takes longer hangs, which is noticed too
SLOW = ("every_event",)  # what they say the race below says too
WARM_EVENTS = 3_000
EVENTS = 20_000  # of the last race, on the way to the 150,000 of its own test
CYCLES = {"NEW": 8, "REPLACE": 8, "CANCEL": 10, "ACCEPTED": 10, "BEAT": 8, "ARM": 8}
NOBODY = ""


def mutants() -> tuple[dict[str, str], list[Mutant]]:
    """The texts with every change in them, and the changes by their numbers from 1 on."""
    texts, found = {"mutant.v": PACKAGE}, []
    for path in risk_rtl.rtl():
        module = Module(path.name, path.read_text(encoding="utf-8"), len(found) + 1)
        texts[path.name] = module.changed()
        found += module.mutants
    return texts, found


def _tests() -> ModuleType:
    spec = importlib.util.spec_from_file_location("test_risk_rtl", ROOT / "tests" / "rtl" / "test_risk_rtl.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _race(race: risk_rtl.Race, events: int, burst_max: int, tables_per_million: int) -> None:
    race.run(events, burst_max, tables_per_million, whole=2000, pauses=burst_max > 1)
    if burst_max > 1:
        return  # pauses take time
    for kind, cycles in CYCLES.items():
        code = getattr(risk.Kind, kind)
        least, most = race.counts.latency_min[code], race.counts.latency_max[code]
        assert not most or least == most == cycles, f"{kind} takes {least} to {most} cycles"


def _wide(race: risk_rtl.Race) -> None:
    for _ in range(4):
        race.widen()
        race.run(1_000, 16, 5000, whole=1000, pauses=True)


def _parameters(names: str | Sequence[str], values: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """As a mark of pytest gives them: one name and its values, or some names and tuples."""
    for value in values:
        yield {names: value} if isinstance(names, str) else dict(zip(names, value, strict=True))


def tries(warm: risk_rtl.Race, library: Path, options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What notices mutants, by name, the quickest first. warm: gates that have run for a while, unchanged until now."""
    yield "1000 events one by one", lambda: _race(warm, 1_000, 1, 0)
    yield "4000 in bursts with pauses", lambda: _race(warm, 4_000, 16, 500)
    module = _tests()
    functions = [f for name, f in inspect.getmembers(module, inspect.isfunction) if name.startswith("test_")]
    for function in (f for f in functions if not any(word in f.__name__ for word in SLOW)):
        needs = set(inspect.signature(function).parameters)
        usual = {"library": library, "seed": options.seed}
        marks = [mark.args for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
        for known in [known for names, values in marks for known in _parameters(names, values)] or [{}]:
            given = {name: value for name, value in (usual | known).items() if name in needs}
            if set(given) == needs:  # else it is about the tests themselves
                yield function.__name__, lambda function=function, given=given: function(**given)
    yield "6000 from reset on", lambda: _race(risk_rtl.Race(options.seed + 1, library), 6_000, 1, 2000)
    yield "4 resets, each with 1000 of every size", lambda: _wide(risk_rtl.Race(options.seed + 2, library))
    yield f"{options.events} more", lambda: warm.run(options.events, tables_per_million=1000, whole=2000)


def noticed(warm: risk_rtl.Race, library: Path, number: int, options: argparse.Namespace) -> str:
    """What noticed that this gate is changed, or NOBODY."""
    ffi = FFI()
    ffi.cdef("extern uint32_t risk_model_mutant;")
    lib: Any = ffi.dlopen(str(library))
    lib.risk_model_mutant = number
    warm.lib.risk_model_mutate(warm.model, number)
    for name, attempt in tries(warm, library, options):
        try:
            attempt()
        except (AssertionError, RuntimeError):
            return name
    return NOBODY


def judge(warm: risk_rtl.Race, library: Path, number: int, options: argparse.Namespace) -> str:
    """As noticed, in a process of its own."""
    ours, theirs = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(theirs, f"said {noticed(warm, library, number, options)}".encode())
        finally:
            os._exit(0)
    os.close(theirs)
    is_over = bool(select.select([ours], [], [], SECONDS_MAX)[0])
    if not is_over:
        os.kill(child, signal.SIGKILL)
    answer = os.read(ours, 4096).decode()
    os.close(ours)
    os.waitpid(child, 0)
    if not is_over:
        return "hangs"
    return answer.removeprefix("said ") if answer else "ends the process"


def main() -> int:
    """Judge every mutant, print the survivors and the score; 1 when the gate itself does not pass."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.rtl", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="only mutants whose file or line contains this text")
    parser.add_argument("--every", type=int, default=1, help="judge every Nth mutant")
    parser.add_argument("--first", type=int, default=0, help="from the Mth on, of those counted by --every")
    parser.add_argument("--again", type=Path, help="only those that survived in this result")
    parser.add_argument("--events", type=int, default=EVENTS, help="of the last race")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="write the result as JSON")
    options = parser.parse_args()
    if why := risk_rtl.missing():
        parser.error(why)
    texts, found = mutants()
    chosen = [mutant for mutant in found if options.only in f"{mutant.source}: {mutant.code}"]
    chosen = chosen[options.first :: options.every]
    if options.again:
        rows = json.loads(options.again.read_text(encoding="utf-8"))
        survivors = {(row["source"], row["code"], row["old"], row["new"]) for row in rows if not row["by"]}
        chosen = [m for m in chosen if (m.source, m.code, m.old, m.new) in survivors]
    print(
        f"mutants: {len(chosen)} of {len(found)} in {len(texts) - 1} modules; compiling them into one gate", flush=True
    )
    begin = time.monotonic()
    library = risk_rtl.build(texts, "-O1")
    print(f"mutants: compiled in {time.monotonic() - begin:.0f} s", flush=True)
    warm = risk_rtl.Race(options.seed, library)
    warm.run(WARM_EVENTS, tables_per_million=1000)
    if wrong := judge(warm, library, 0, options):
        raise SystemExit(f"mutants: the gate itself does not pass: {wrong}")
    verdicts: dict[int, str] = {}
    with ThreadPoolExecutor(options.jobs) as pool:
        numbers = [mutant.number for mutant in chosen]
        for number, verdict in zip(numbers, pool.map(lambda n: judge(warm, library, n, options), numbers), strict=True):
            verdicts[number] = verdict
            if verdict == NOBODY:
                mutant = found[number - 1]
                print(f"survives: {number} {mutant.source}:{mutant.line}: {mutant.old} -> {mutant.new or 'nothing'}: "
                      f"{mutant.code}", flush=True)  # fmt: skip
            if len(verdicts) % 50 == 0:
                print(f"mutants: {len(verdicts)} of {len(chosen)}", flush=True)
    alive = [mutant for mutant in chosen if verdicts[mutant.number] == NOBODY]
    for source in sorted({mutant.source for mutant in chosen}):
        here = [verdicts[mutant.number] for mutant in chosen if mutant.source == source]
        print(f"{source:<22} {len(here):>5} mutants {sum(map(bool, here)):>5} noticed")
    for name, cnt in Counter(filter(None, verdicts.values())).most_common():
        print(f"  {cnt:>5} by {name}")
    caught = len(chosen) - len(alive)
    print(f"mutants: {caught} of {len(chosen)} noticed ({caught / len(chosen):.1%})")
    if options.output:
        rows = [
            {"source": m.source, "line": m.line, "old": m.old, "new": m.new, "code": m.code, "by": verdicts[m.number]}
            for m in chosen
        ]
        options.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
