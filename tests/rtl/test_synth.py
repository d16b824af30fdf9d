"""What the synthesis table says of a netlist, on small ones; yosys and nextpnr are only run by make synth.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fpga import tools
from fpga.synth import __main__ as synth
from fpga.synth import netlist


def cell(kind: str, out: dict[str, list[int]], **pins: list[int | str]) -> dict[str, Any]:
    directions = dict.fromkeys(pins, "input") | dict.fromkeys(out, "output")
    return {"type": kind, "parameters": {}, "port_directions": directions, "connections": {**pins, **out}}


def module(ports: dict[str, tuple[str, list[int]]], cells: dict[str, Any]) -> dict[str, Any]:
    named = {name: {"direction": direction, "bits": bits} for name, (direction, bits) in ports.items()}
    return {"ports": named, "cells": cells, "netnames": {name: {"bits": port["bits"]} for name, port in named.items()}}


def test_a_carry_chain_is_one_level_and_registers_end_ways() -> None:
    cells = {
        "from": cell("FDRE", {"Q": [3]}, C=[2], D=["0"]),
        "lut": cell("LUT2", {"O": [4]}, I0=[3], I1=[5]),
        "low": cell("CARRY4", {"CO": [6], "O": [7]}, S=[4], CI=["0"]),
        "middle": cell("CARRY4", {"CO": [8], "O": [9]}, S=[3], CI=[6]),
        "high": cell("CARRY4", {"CO": [10], "O": [11]}, S=[3], CI=[8]),
        "choose": cell("LUT3", {"O": [12]}, I0=[11], I1=[3], I2=[7]),
        "to": cell("FDRE", {"Q": [5]}, C=[2], D=[12]),
    }
    made = module({"clk": ("input", [2])}, cells)
    assert netlist.levels(made) == 3  # lut, the chain, choose
    cells["again"] = cell("LUT1", {"O": [13]}, I0=[12])
    assert netlist.levels(made) == 4
    assert netlist.count(made, netlist.XCUP) == {"lut": 3, "ff": 2, "bram": 0, "dsp": 0, "lutram": 0, "carry": 3}


def test_a_cell_that_two_others_wait_for_is_no_loop() -> None:
    cells = {
        "last": cell("LUT2", {"O": [7]}, I0=[5], I1=[6]),
        "short": cell("LUT1", {"O": [5]}, I0=[3]),
        "long": cell("LUT2", {"O": [6]}, I0=[5], I1=[4]),
        "before": cell("LUT1", {"O": [4]}, I0=[5]),
    }
    for order in itertools.permutations(cells):
        assert netlist.levels(module({"clk": ("input", [2])}, {name: cells[name] for name in order})) == 4


def test_a_loop_without_a_register_is_an_error() -> None:
    cells = {"one": cell("LUT1", {"O": [3]}, I0=[4]), "two": cell("LUT1", {"O": [4]}, I0=[3])}
    with pytest.raises(SystemExit, match="in a loop"):
        netlist.levels(module({"clk": ("input", [2])}, cells))


def test_every_port_gets_a_flip_flop_and_the_module_stays_as_it_is() -> None:
    cells = {"lut": cell("LUT4", {"Z": [6]}, A=[3], B=[4], C=[5], D=["0"])}
    made = module({"clk": ("input", [2]), "a": ("input", [3, 4]), "b": ("input", [5]), "z": ("output", [6, 3])}, cells)
    pinned = netlist.with_pins(made)
    assert pinned["cells"]["lut"] == cells["lut"]
    assert set(pinned["ports"]) == {"clk", "d", "load", "q"}
    flops = {name: c["connections"] for name, c in pinned["cells"].items() if c["type"] == "TRELLIS_FF"}
    assert [flops[f"pin_{name}"]["Q"] for name in ("a_0", "a_1", "b_0")] == [[3], [4], [5]]
    assert flops["pin_a_1"]["DI"] == [3]  # shifted on
    assert [pinned["cells"][f"pin_z_{bit}_mux"]["connections"]["B"] for bit in (0, 1)] == [[6], [3]]
    assert pinned["ports"]["q"]["bits"] == flops["pin_z_1"]["Q"]
    assert len(flops) == 6  # three in, two out, and load's
    init = int(pinned["cells"]["pin_z_0_mux"]["parameters"]["INIT"], 2)
    for a, b, c in ((1, 1, 0), (1, 0, 1), (0, 1, 0), (0, 0, 1)):  # load takes B, else C is shifted on
        assert init >> (a | b << 1 | c << 2) & 1 == (b if a else c)


def test_designs_are_chosen_by_part_and_by_name() -> None:
    assert [target.top for target in synth.chosen("udp,hwgw_risk")] == ["hwgw_udp", "hwgw_risk"]
    assert {target.part for target in synth.chosen(None)} == {"receive", "transmit", "small"}
    assert {target.goal_mhz for target in synth.chosen("receive")} == {200.0}
    assert {target.goal_mhz for target in synth.chosen("transmit,whole")} == {156.25}
    assert synth.chosen("hwgw_skid")[0].goal_mhz == 156.25
    small = synth.chosen("small")[0]
    assert (small.top, small.name, ("hwgw_risk", "SLOT_W", 10) in small.size) == ("hwgw_risk", "hwgw_risk_small", True)
    assert {target.name for target in synth.chosen("risk")} == {"hwgw_risk"}
    with pytest.raises(ValueError, match="nothing"):
        synth.chosen("udp,nothing")


def test_each_wrapper_of_a_part_stands_in_for_a_module() -> None:
    """One that is called like no module would be read beside it, and never used."""
    own = set((Path(synth.__file__).parent / "ecp5").glob("*.v"))
    assert own == {path for path in synth.files("ecp5") if path not in tools.sources()}
    assert {path.name for path in own} == {"hwgw_risk_dsp.v"}
    assert synth.files("xcup") == tools.sources()
    assert all("(* hwgw_operands_kept *)" in path.read_text(encoding="utf-8") for path in own)
    assert synth.KEEP_OPERANDS.endswith(" a:hwgw_operands_kept")


@pytest.mark.skipif(tools.missing("iverilog") != "", reason=tools.missing("iverilog"))
@pytest.mark.parametrize("folder", [tools.RTL, Path(synth.__file__).parent / "ecp5"], ids=["rtl", "ecp5"])
def test_a_wrapper_does_what_its_module_says(folder: Path, tmp_path: Path, seed: int) -> None:
    bench, wrapper = Path(__file__).parent / "dsp_bench.v", folder / "hwgw_risk_dsp.v"
    made = tmp_path / "dsp"
    subprocess.run(
        ["iverilog", "-g2005", "-Wall", "-s", "dsp_bench", "-o", made, bench, wrapper], check=True, timeout=60
    )
    done = subprocess.run([made, f"+seed={seed % 2**31}"], check=True, timeout=60, capture_output=True, text=True)
    words = done.stdout.split()
    assert words[:3] == ["equal:", "4096", "products,"], done.stdout
    assert int(words[3]) > 500
