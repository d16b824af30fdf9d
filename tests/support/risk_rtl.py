"""The Verilated risk gate beside the C gate in one shared object, built from fpga/rtl and tests/rtl/risk.

SPDX-License-Identifier: MIT

A model is compiled once per source text; other text can be given for a module, and the one for all its small changes
(tests/mutation/verilog.py) with mutant.v, the package that says which of them is in force.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cffi import FFI

from fpga import tools

from . import rtl as benches
from .gate_build import FLAGS, ROOT, SOURCES, generated

HERE = ROOT / "tests" / "rtl" / "risk"
C_SOURCES = [*(ROOT / "cffi_build" / "src" / name for name in (*SOURCES, "risk_dump.c")),
             HERE / "state.c", HERE / "stream.c", HERE / "race.c", HERE / "gate.c"]  # fmt: skip
VERILATOR = ("--cc", "--exe", "--quiet", "-O3", "--x-assign", "unique", "--x-initial", "unique", "--no-timing",
             "-Wno-fatal", "-Wno-lint", "--top-module", "hwgw_risk")  # fmt: skip
BUILDS = ROOT / "build" / "risk"
SECONDS_MAX = 900
MEMORY = {
    name.lower(): index
    for index, name in enumerate(re.findall(r"  MEMORY_(\w+),", (HERE / "model.h").read_text(encoding="utf-8")))
}


def compiler(optimize: str) -> str:
    """Of a model that is to be quick clang makes a ninth fewer instructions than GCC, as quickly."""
    return "clang++" if optimize == "-O3" and shutil.which("clang++") else "g++"


def missing() -> str:
    """Why the gate cannot be simulated here, "" when it can."""
    return tools.missing("verilator", "make", "g++", "perl")


def rtl() -> list[Path]:
    """The Verilog of the gate."""
    return [path for path in tools.sources() if path.stem.startswith("hwgw_risk")]


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(
        command, cwd=cwd, env=tools.environment(), capture_output=True, text=True, timeout=SECONDS_MAX
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {(done.stdout + done.stderr).strip()[-1500:]}")


def _compile(*more: str) -> list[str]:
    """The command of the C half."""
    includes = (generated(), ROOT / "cffi_build" / "include", ROOT / "cffi_build" / "src", HERE, tools.GENERATED)
    flags = [flag for flag in FLAGS if flag != "-shared" and flag != "-O1"]
    return ["cc", *flags, "-O2", *(f"-I{path}" for path in includes), *more, *map(str, C_SOURCES)]


def _read_by_the_compiler() -> list[Path]:
    """Sources and headers of the C half, those that are made from the tables too, whoever includes them."""
    rules = subprocess.run(_compile("-MM"), check=True, capture_output=True, text=True, timeout=60).stdout
    return [Path(word) for word in rules.replace("\\\n", " ").split() if not word.endswith(":")]


def objects() -> Path:
    """The C half as an archive: it does not change with the Verilog."""
    tools.generate()
    digest = hashlib.sha256()
    for name, text in sorted({(path.name, path.read_bytes()) for path in _read_by_the_compiler()}):
        digest.update(name.encode() + b"\0" + text)
    folder = BUILDS / f"c-{digest.hexdigest()[:12]}"
    archive = folder / "librace.a"
    if archive.exists():
        return archive
    work = BUILDS / f"c.{os.getpid()}"
    work.mkdir(parents=True)
    _run(_compile("-c"), work)
    _run(["ar", "rcs", "librace.a", *(path.name for path in sorted(work.glob("*.o")))], work)
    folder.mkdir(parents=True, exist_ok=True)
    (work / "librace.a").replace(archive)
    shutil.rmtree(work)
    return archive


def build(changed: Mapping[str, str] | None = None, optimize: str = "-O3", with_coverage: bool = False) -> Path:
    """The shared object; changed maps a module's file name to other text. RuntimeError when that does not compile.

    with_coverage: a model that is closed writes what it has seen into the folder that HWGW_RTL_COVERAGE names.
    """
    archive = objects()
    texts = {path.name: path.read_text(encoding="utf-8") for path in rtl()} | dict(changed or {})
    inputs = [*tools.GENERATED.glob("*.vh"), HERE / "model.cpp", *HERE.glob("*.h"), archive]
    options = (*VERILATOR, *(benches.COVERAGE_ARGS if with_coverage else ()))
    compilers = f"CXX={compiler(optimize)} LINK={compiler(optimize)}"
    text = "\0".join([*(f"{name}\n{body}" for name, body in sorted(texts.items())), *options, optimize, compilers])
    text += benches.WIDE_MENDED if with_coverage else ""
    digest = hashlib.sha256(text.encode() + b"".join(path.read_bytes() for path in sorted(inputs))).hexdigest()[:12]
    library = BUILDS / f"{'mutant-' if changed else ''}{digest}" / "librisk.so"
    if library.exists():
        return library
    BUILDS.mkdir(parents=True, exist_ok=True)
    with (BUILDS / (f"lock-{digest}" if changed else "lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if library.exists():
            return library
        work = BUILDS / f"{digest}.{os.getpid()}"
        source = work / "source" if changed else tools.RTL
        work.mkdir(parents=True)
        if with_coverage:
            benches.mend_coverage(work)
        if changed:
            source.mkdir()
            for name, body in texts.items():
                (source / name).write_text(body, encoding="utf-8")
        package = [str(source / "mutant.v")] if "mutant.v" in texts else []
        defines = " -DRISK_MUTANTS" if package else ""
        command = [
            "verilator", *options, "--build", "-j", "2", f"-I{tools.GENERATED}", f"-I{source}",
            "--Mdir", str(work), "-CFLAGS", f"-fPIC -march=native -I{HERE}{defines}",
            "-MAKEFLAGS", f"OPT_FAST={optimize} OPT_SLOW=-O0 OPT_GLOBAL=-O1 {compilers}",
            "-LDFLAGS", f"-shared -Wl,--whole-archive {archive} -Wl,--no-whole-archive", "-o", library.name,
            *package, str(source / "hwgw_risk.v"), str(HERE / "model.cpp"),
        ]  # fmt: skip
        try:
            _run(command, ROOT)
            library.parent.mkdir(exist_ok=True)
            (work / library.name).replace(library)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            if changed:
                (BUILDS / f"lock-{digest}").unlink(missing_ok=True)
    return library


def _cdef() -> str:
    text = (HERE / "race.h").read_text(encoding="utf-8")
    found = re.search(r"/\* race cdef begin \*/(.*)/\* race cdef end \*/", text, re.DOTALL)
    assert found
    return found.group(1)


class Race:
    """Both gates in one process."""

    DUMP_SZ = 8 << 20

    def __init__(self, seed: int, library: Path | None = None) -> None:
        self.ffi = FFI()
        self.ffi.cdef(_cdef())
        model = (HERE / "model.h").read_text(encoding="utf-8")
        for name in ("halt", "flip", "last", "pulses", "verdict_cnt", "reset", "latency", "table", "events", "halted",
                     "pauses", "plain", "mutate", "words", "halt_in", "count"):  # fmt: skip
            found = re.search(rf"^\w+ risk_model_{name}\([^;]*;", model, re.MULTILINE)
            assert found, name
            self.ffi.cdef(found[0])
        self.lib: Any = self.ffi.dlopen(str(library or build()))
        self.seed = seed
        self._race = self.ffi.gc(self.lib.race_open(seed), self.lib.race_close)
        self.model = self.lib.race_model(self._race)

    def run(
        self, events: int, burst_max: int = 1, tables_per_million: int = 500, whole: int = 1000, pauses: bool = False
    ) -> None:
        """As race_run, with pauses on every interface or none; a difference is an AssertionError with both states."""
        self.lib.risk_model_pauses(self.model, (self.seed << 1 | 1) & 0xFFFFFFFF if pauses else 0)
        if self.lib.race_run(self._race, events, burst_max, tables_per_million, whole):
            raise AssertionError(f"seed {self.seed}: {self.said()}")

    def widen(self) -> None:
        """Resets both gates; from now on run() gives numbers of every size."""
        self.lib.race_widen(self._race)

    def event(self, record: bytes, table: bytes | None = None) -> int:
        """One event into both gates; the answer."""
        given = self.ffi.NULL if table is None else self.ffi.from_buffer(table)
        answer = int(self.lib.race_event(self._race, self.ffi.from_buffer(record), given))
        if answer < 0:
            raise AssertionError(self.said())
        return answer

    def said(self) -> str:
        """What differs."""
        lines = sorted(set(self.dump(0).splitlines()) ^ set(self.dump(1).splitlines()))
        text: str = self.ffi.string(self.lib.race_text(self._race)).decode()
        return text + "\n" + "\n".join(lines[:24])

    def dump(self, which: int) -> str:
        """State of the C gate (0) or the Verilated one (1)."""
        text = self.ffi.new("char[]", self.DUMP_SZ)
        size = self.lib.race_dump(self._race, which, text, self.DUMP_SZ)
        return bytes(self.ffi.buffer(text, size)).decode()

    @property
    def counts(self) -> Any:
        """struct race_counts."""
        return self.lib.race_counts(self._race)
