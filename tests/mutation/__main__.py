"""Change the gate's C code in one place at a time and count how many changes its tests notice.

SPDX-License-Identifier: MIT

The gate's tests (contract, boundaries, random streams) are run once and what they say to the gate is recorded with
the golden model's answers and states. Each mutant is compiled behind the three functions of the conformance kit and
must answer otherwise somewhere in that record or in a scenario of the kit. What survives is listed with its line:
some mutants mean the same as the original, and docs/risk.md explains them.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import pickle
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cffi import FFI

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.gate_build import build  # noqa: E402

from hwgw.conformance import scenarios  # noqa: E402
from tests.mutation.record import digest  # noqa: E402

TESTS = tuple(f"test_risk{of}.py" for of in ("", "_contract", "_orders", "_carry", "_boundaries"))
# what decides, from and to: behind it only copies of state, which other tests compare, and requests for memory
PARTS = {
    "risk.c": ("#include", "bool hwgw_risk_halted("),
    "risk_fact.c": ("#include", ""),
    "risk.h": ("/* everything of an order that the duplicate check", "/* asks ahead for"),
}
MORE = ("risk_dump.c",)
DUMP_SZ = 8 << 20
SWAPS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&",
    "+": "-", "-": "+", "+=": "-=", "-=": "+=", "++": "--", "--": "++", "|=": "&=", "<<": ">>", ">>": "<<",
}  # fmt: skip
TOKEN = re.compile(
    r"(?P<skip>/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|^\s*#(?:[^\n]*\\\n)*[^\n]*|_Static_assert\([^;]*;|->)"
    r"|(?P<op><<=|>>=|<=|>=|==|!=|&&|\|\||\+\+|--|\+=|-=|\|=|<<|>>|<|>|(?<=\s)[+-](?=\s))"
    r"|(?P<not>!(?=[\w(]))|(?P<number>(?<![\w.])\d+(?=[uU]?[lL]*\b))",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Mutant:
    """One change: the whole text of one source, and what stands where in it."""

    source: str
    line: int
    old: str
    new: str
    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.old} -> {self.new or 'nothing'}: {self.code}"


def mutants(source: str) -> Iterator[Mutant]:
    """Every change of one token of what decides: each comparison, sign, connective, negation and constant."""
    text = (ROOT / "cffi_build" / "src" / source).read_text(encoding="utf-8")
    begin, end = (text.find(mark) if mark else len(text) for mark in PARTS[source])
    assert 0 <= begin < end
    for match in TOKEN.finditer(text, begin, end):
        if match["skip"]:
            continue
        old = match[0]
        if match["op"]:
            news = [SWAPS[old]] if old in SWAPS else []
        elif match["not"]:
            news = [""]
        else:
            news = [str(int(old) + 1)]
        line = text.count("\n", 0, match.start()) + 1
        for new in news:
            changed = text[: match.start()] + new + text[match.end() :]
            yield Mutant(source, line, old, new, text.splitlines()[line - 1].strip(), changed)


class Loaded:
    """A gate in a shared object, with its dump."""

    def __init__(self, path: Path) -> None:
        self.ffi = FFI()
        self.ffi.cdef(
            "void *gate_open(void); uint32_t gate_event(void *, const void *, const void *); void gate_close(void *);"
            "bool hwgw_risk_carry(void *risk, const void *order, uint32_t px);"
            "uint32_t hwgw_risk_dump(const void *risk, char *text, uint32_t sz);"
        )
        self.lib: Any = self.ffi.dlopen(str(path))
        self.text = self.ffi.new("char[]", DUMP_SZ)
        self.gates: dict[int, Any] = {}
        self.tables: dict[int, Any] = {}

    def event(self, gate: int, record: bytes, table: bytes | int | None) -> int:
        """One event to the gate of that number, made when it is new; with a price an order that is carried."""
        if gate not in self.gates:
            self.gates[gate] = self.lib.gate_open()
        if isinstance(table, int):
            return int(self.lib.hwgw_risk_carry(self.gates[gate], self.ffi.from_buffer(record), table))
        if table is None:
            return int(self.lib.gate_event(self.gates[gate], self.ffi.from_buffer(record), self.ffi.NULL))
        given = self.ffi.new("uint64_t[]", len(table) // 8)
        self.ffi.memmove(given, table, len(table))
        answer = int(self.lib.gate_event(self.gates[gate], self.ffi.from_buffer(record), given))
        self.tables[gate] = given
        return answer

    def look(self, gate: int) -> bytes:
        """The digest of a gate's whole state."""
        if gate not in self.gates:
            self.gates[gate] = self.lib.gate_open()
        size = self.lib.hwgw_risk_dump(self.gates[gate], self.text, DUMP_SZ)
        return digest(bytes(self.ffi.buffer(self.text, size)).decode())


def noticed(path: Path) -> str:
    """What noticed that this gate is not ours; empty when nothing did."""
    loaded = Loaded(path)
    for number, (name, steps) in enumerate(KNOWN.scenarios):
        for record, table, expect in steps:
            if loaded.event(-1 - number, record, table) != expect:
                return f"scenario {name}"
    for at, item in enumerate(KNOWN.trace, 1):
        if len(item) == 2:
            if loaded.look(item[0]) != item[1]:
                return f"state at item {at}"
        elif loaded.event(*item[:3]) != item[3]:
            return f"verdict at item {at}"
    return ""


class Known:
    """What every mutant is held against: read once, and there in every process that is forked from this one."""

    def __init__(self) -> None:
        self.scenarios: list[tuple[str, list[tuple[bytes, bytes | None, int]]]] = []
        self.trace: list[tuple[Any, ...]] = []
        self.seconds_max = 0  # of processor time: a mutant that takes longer hangs, which is noticed too

    def read(self, trace: Path) -> None:
        """The scenarios of the kit, and what the gate's tests said."""
        codes = {reason: code for code, reason in _reasons().items()}
        for each in scenarios():
            steps = [(step.record, step.table, codes[step.expect]) for step in each.steps]
            self.scenarios.append((each.name, steps))
        with trace.open("rb") as stream:
            while True:
                try:
                    self.trace.append(pickle.load(stream))
                except EOFError:
                    return


KNOWN = Known()


def _reasons() -> dict[int, str]:
    from hwgw import specs

    return {reason.code: reason.name for reason in specs.reasons()}


def judge(job: tuple[int, Mutant, str]) -> tuple[int, str]:
    """Compile one mutant and try it in a process of its own; who noticed it, "does not compile", or nothing."""
    index, mutant, folder = job
    built = Path(folder) / f"gate{index}.so"
    if not build(built, {mutant.source: mutant.text}, MORE):
        return index, "does not compile"
    ours, theirs = os.pipe()
    if (pid := os.fork()) == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (KNOWN.seconds_max, KNOWN.seconds_max + 5))
        try:
            os.write(theirs, f"said {noticed(built)}".encode())
        finally:
            os._exit(0)
    os.close(theirs)
    answer = os.read(ours, 4096).decode()
    os.close(ours)
    _, status = os.waitpid(pid, 0)
    built.unlink()
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return index, "hangs"
    return index, answer.removeprefix("said ") if answer else "ends the process"


def record(trace: Path, seed: int) -> int:
    """Run the gate's tests once and write the trace; how many bytes it has."""
    environment = {**os.environ, "HWGW_GATE_TRACE": str(trace), "HWGW_SEED": str(seed)}
    files = [str(ROOT / "tests" / "unit" / name) for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutation.record", *files]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=600)
    return trace.stat().st_size


def main() -> int:
    """Judge every mutant, print the survivors and the score."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="only mutants whose file or line contains this text")
    parser.add_argument("--every", type=int, default=1, help="judge every Nth mutant")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="write the result as JSON")
    options = parser.parse_args()
    chosen = [mutant for source in PARTS for mutant in mutants(source)]
    chosen = [mutant for mutant in chosen if options.only in f"{mutant.source}: {mutant.code}"][:: options.every]
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        print(f"mutants: recording the gate's tests: {record(trace, options.seed) >> 20} MiB", flush=True)
        whole = Path(folder) / "whole.so"
        KNOWN.read(trace)
        begin = time.process_time()
        if not build(whole, None, MORE) or (wrong := noticed(whole)):
            raise SystemExit(f"mutants: the gate itself does not pass: {wrong}")
        KNOWN.seconds_max = 10 + int(3 * (time.process_time() - begin))
        jobs = [(index, mutant, folder) for index, mutant in enumerate(chosen)]
        gc.freeze()
        with multiprocessing.Pool(options.jobs) as pool:
            verdicts = {}
            for index, verdict in pool.imap_unordered(judge, jobs):
                verdicts[index] = verdict
                if not verdict:
                    print(f"survives: {chosen[index]}", flush=True)
                if len(verdicts) % 50 == 0:
                    print(f"mutants: {len(verdicts)} of {len(jobs)}", flush=True)
    compiled = [index for index, verdict in verdicts.items() if verdict != "does not compile"]
    if len(compiled) * 10 < len(chosen) * 9:  # headers that changed meanwhile, rather than mutants
        raise SystemExit(f"mutants: {len(compiled)} of {len(chosen)} compile: nothing can be said of the others")
    alive = [index for index in compiled if not verdicts[index]]
    caught = len(compiled) - len(alive)
    by_kit = sum(verdicts[index].startswith("scenario") for index in compiled)
    share = f"{caught} of {len(compiled)} noticed ({caught / len(compiled):.1%})"
    print(f"mutants: {share}, {by_kit} by the conformance kit; {len(chosen) - len(compiled)} do not compile")
    if options.output:
        rows = [{"source": m.source, "line": m.line, "old": m.old, "new": m.new} for m in chosen]
        result = {"noticed": caught, "compiled": len(compiled), "mutants": rows, "verdicts": verdicts}
        options.output.write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
