"""Builds and runs cocotb benches of the card's Verilog; a model is compiled once per simulator and source text.

SPDX-License-Identifier: MIT

A bench is a Python module in tests/rtl whose name begins with bench_, and a Verilog top beside it or in fpga/rtl.
What a bench measured it writes with note(); run() gives it back. HWGW_RTL_FULL=1 is the long form of `make rtl`, with
coverage of the code.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from fpga import tools

ROOT = tools.ROOT
BENCHES = ROOT / "tests" / "rtl"
BUILDS = ROOT / "build" / "rtl"
COVERAGE = BUILDS / "coverage"
COVERAGE_ARGS = ("--coverage", "--coverage-max-width", "600", "-Wno-COVERIGN")
ELSEWHERE = {"hwgw_gate": ("hwgw_risk", "hwgw_fifo")}  # modules below a top whose coverage other benches measure
IS_FULL = bool(os.environ.get("HWGW_RTL_FULL"))


# GCC 12 has ended with a segmentation fault over the precompiled header of a large model
PLAIN_HEADER = " ".join(f"VK_PCH_I_{speed}=-include\\ Vtop__pch.h" for speed in ("FAST", "SLOW"))


# Verilator 5.052: a change in a word of a vector of more than 64 bits is counted in those above it, too
WIDE_AS_IT_IS = "for (int j = 0; j < width - i * VL_EDATASIZE; ++j) {"
WIDE_MENDED = "for (int j = 0; j < VL_EDATASIZE && j < width - i * VL_EDATASIZE; ++j) {"


def mend_coverage(folder: Path) -> None:
    """Puts Verilator's header of coverage, with toggles of wide vectors counted right, where a model is compiled."""
    found = subprocess.run(
        ["verilator", "--getenv", "VERILATOR_ROOT"],
        check=True, capture_output=True, text=True, timeout=60, env=tools.environment(),
    )  # fmt: skip
    header = Path(found.stdout.strip()) / "include" / "verilated_cov.h"
    folder.mkdir(parents=True, exist_ok=True)
    text = header.read_text(encoding="utf-8").replace(WIDE_AS_IT_IS, WIDE_MENDED)
    (folder / header.name).write_text(text, encoding="utf-8")


def _sources(top: str) -> list[Path]:
    own = BENCHES / f"{top}.v"  # a module of the card may be its own top
    return [*tools.sources(), *([own] if own.exists() else [])]


def _build_args(top: str, simulator: str, with_coverage: bool) -> list[str]:
    if simulator == "icarus":
        return ["-g2005"]
    args = ["--x-assign", "unique", "--x-initial", "unique", "-Wno-TIMESCALEMOD", "--output-split", "8000"]
    # short runs are over before an optimized model is compiled, and with the counters of coverage that takes minutes
    args += ["-CFLAGS", "-O1" if IS_FULL and not with_coverage else "-O0"]
    if not with_coverage:
        return args
    if top in ELSEWHERE:
        BUILDS.mkdir(parents=True, exist_ok=True)
        config = BUILDS / f"{top}.vlt"
        off = (f'coverage_off -file "*/{name}*.v"' for name in ELSEWHERE[top])
        config.write_text("\n".join(["`verilator_config", *off, ""]), encoding="utf-8")
        args.append(str(config))
    return [*args, *COVERAGE_ARGS]


def models_tell_coverage() -> None:
    """From now on the models of this process that were built with coverage write it, with that of the benches."""
    COVERAGE.mkdir(parents=True, exist_ok=True)
    os.environ["HWGW_RTL_COVERAGE"] = str(COVERAGE)


def build(top: str, simulator: str, parameters: dict[str, int], with_coverage: bool = False) -> Path:
    """The folder of a compiled model, compiled when nothing that was compiled fits."""
    from cocotb_tools.runner import get_runner

    tools.generate()
    os.environ.update(tools.environment())
    args = _build_args(top, simulator, with_coverage)
    files = [*_sources(top), *sorted(tools.GENERATED.glob("*.vh"))]
    text = "\0".join([*(path.read_text(encoding="utf-8") for path in files), *args, repr(sorted(parameters.items()))])
    text += WIDE_MENDED if with_coverage else ""
    folder = BUILDS / f"{top}-{simulator}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    stamp = folder / "built"
    if not stamp.exists():
        if with_coverage:
            mend_coverage(folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MAKEFLAGS", PLAIN_HEADER)
            get_runner(simulator).build(
                sources=_sources(top), includes=[tools.GENERATED, tools.RTL], hdl_toplevel=top, parameters=parameters,
                build_args=args, build_dir=folder, log_file=folder.with_suffix(".log"), timescale=("1ns", "1ps"),
            )  # fmt: skip
        stamp.touch()
    return folder


def run(
    bench: str, top: str, tests: list[str], work: Path, simulator: str = "verilator", seed: int = 1,
    parameters: dict[str, int] | None = None, with_coverage: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Runs tests of a bench; what they noted, with `failed`, the names and reasons of those that did not pass."""
    from cocotb_tools.runner import get_runner

    folder = build(top, simulator, parameters or {}, with_coverage)
    work.mkdir(parents=True, exist_ok=True)
    notes = work / "notes.json"
    notes.unlink(missing_ok=True)
    results = work / "results.xml"
    runner = get_runner(simulator)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    size = "10" if IS_FULL and simulator == "verilator" else "1"
    extra = {"HWGW_RTL_SIZE": size, "HWGW_RTL_NOTES": str(notes), "PYTHONPATH": paths, "COCOTB_LOG_LEVEL": "WARNING"}
    with contextlib.suppress(SystemExit):  # says that a test failed, which the results say better
        runner.test(
            test_module=f"rtl.{bench}", hdl_toplevel=top, testcase=tests, build_dir=folder, test_dir=work, seed=seed,
            hdl_toplevel_lang="verilog", results_xml=str(results), log_file=work / "log", extra_env=extra,
        )  # fmt: skip
    data = work / "coverage.dat"
    if data.exists():
        COVERAGE.mkdir(parents=True, exist_ok=True)
        data.rename(COVERAGE / f"{os.getpid()}-{time.monotonic_ns()}.dat")
    found: dict[str, Any] = json.loads(notes.read_text(encoding="utf-8")) if notes.exists() else {}
    cases = list(ElementTree.parse(results).iter("testcase"))
    ran = {case.get("name") for case in cases if case.find("skipped") is None}
    found["failed"] = {
        case.get("name"): (failure.get("error_msg") or failure.get("message") or failure.text or "failed")
        for case in cases
        for failure in case.iter("failure")
    } | {name: "did not run" for name in tests if name not in ran}
    found["log"] = str(work / "log")
    return found


def note(**values: Any) -> None:
    """Adds to what run() gives back: numbers add up, lists are joined, dicts likewise by key."""
    path = Path(os.environ["HWGW_RTL_NOTES"])
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    merge(kept, values)
    path.write_text(json.dumps(kept), encoding="utf-8")


def merge(kept: dict[str, Any], values: dict[str, Any]) -> None:
    """Adds values to kept, as note() says."""
    for key, value in values.items():
        if isinstance(value, dict):
            merge(kept.setdefault(key, {}), value)
        else:
            kept[key] = kept[key] + value if key in kept else value
