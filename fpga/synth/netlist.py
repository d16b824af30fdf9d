"""Netlists as yosys writes them in JSON: how many cells of each kind, how deep, and with shift registers for pins.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

Module = dict[str, Any]

ECP5 = {"lut": r"LUT4", "ff": r"TRELLIS_FF", "bram": r"DP16KD|PDPW16KD", "dsp": r"MULT18X18D|ALU54B",
        "lutram": r"TRELLIS_DPR16X4", "carry": r"CCU2C"}  # fmt: skip
XCUP = {"lut": r"LUT[1-6]|INV", "ff": r"FD[RSCP]E", "bram": r"RAMB(18|36)E2", "dsp": r"DSP48E2",
        "lutram": r"RAM\d+.*|SRL.*", "carry": r"CARRY[48]"}  # fmt: skip
"""What kind of resource a cell is."""

CLOCKED = re.compile(r"FD[RSCP]E|RAMB.*|SRL.*")
FREE = re.compile(r"BUF.*|IBUF|OBUF|VCC|GND")


def count(module: Module, kinds: dict[str, str]) -> dict[str, int]:
    """How many cells of a module are of each kind."""
    cells = [cell["type"] for cell in module["cells"].values()]
    return {kind: sum(1 for cell in cells if re.fullmatch(pattern, cell)) for kind, pattern in kinds.items()}


def _pins(cell: Module, direction: str) -> Iterator[tuple[str, int]]:
    """Port and net of each pin of a direction that is connected to a net."""
    for port, bits in cell["connections"].items():
        if cell["port_directions"][port] == direction:
            yield from ((port, bit) for bit in bits if isinstance(bit, int))


def levels(module: Module) -> int:
    """The longest way from register to register in cells; a carry chain is one, however long it is.

    A DSP without registers is one, too. Block RAM, shift registers and flip-flops begin and end ways; distributed RAM
    is read through its address. Needs the netlist of synth_xilinx, flattened.
    """
    driver = {
        bit: name
        for name, cell in module["cells"].items()
        if not CLOCKED.fullmatch(cell["type"]) and not FREE.fullmatch(cell["type"])
        for _, bit in _pins(cell, "output")
    }
    sources: dict[str, list[tuple[str, bool]]] = {}  # per cell: what drives it, and whether along a carry chain
    for name in set(driver.values()):
        cell = module["cells"][name]
        is_ram = cell["type"].startswith("RAM")
        sources[name] = [
            (driver[bit], port == "CI" and module["cells"][driver[bit]]["type"].startswith("CARRY"))
            for port, bit in _pins(cell, "input")
            if bit in driver and not (is_ram and port.startswith(("D", "W", "ADDRD", "ADDRH")))
        ]
    depth: dict[str, int] = {}
    for first in sources:
        stack = [first]
        above: set[str] = set()  # those of the stack that wait for what stands behind them
        while stack:
            name = stack[-1]
            waits = [source for source, _ in sources[name] if source not in depth]
            if not waits:
                stack.pop()
                above.discard(name)
                depth[name] = max((depth[s] + (0 if along else 1) for s, along in sources[name]), default=1)
                continue
            above.add(name)
            if above.intersection(waits):
                raise SystemExit(f"synth: {name} is in a loop without a register")
            stack += waits
    return max(depth.values(), default=0)


def with_pins(module: Module) -> Module:
    """An ECP5 module of many ports as one of four pins, clk, d, load and q, for a part that has no pins for all.

    A shift register drives the inputs and another one takes the outputs, so that each path that is timed begins and
    ends at a flip-flop. The cells of the module stay as they are.
    """
    bits = itertools.chain.from_iterable(net["bits"] for net in module["netnames"].values())
    fresh = itertools.count(1 + max(bit for bit in bits if isinstance(bit, int)))
    clk = module["ports"]["clk"]["bits"][0]
    cells = dict(module["cells"])
    names = dict(module["netnames"])

    def cell(name: str, kind: str, parameters: dict[str, str], out: tuple[str, int], **pins: int | str) -> int:
        port, bit = out
        directions = dict.fromkeys(pins, "input") | {port: "output"}
        cells[name] = {"hide_name": 0, "type": kind, "parameters": parameters, "attributes": {},
                       "port_directions": directions,
                       "connections": {pin: [net] for pin, net in pins.items()} | {port: [bit]}}  # fmt: skip
        return bit

    # yosys puts a blank behind a text of binary digits, to tell it from a number
    def flop(name: str, d: int | str, q: int) -> int:
        parameters = {"CEMUX": "1 ", "CLKMUX": "CLK", "GSR": "AUTO", "LSRMUX": "LSR", "REGSET": "RESET"}
        return cell(name, "TRELLIS_FF", parameters, ("Q", q), CLK=clk, LSR="0", DI=d)

    pin_d, pin_load = next(fresh), next(fresh)
    load = flop("pin_load", pin_load, next(fresh))
    at: int | str = pin_d
    for name, port in module["ports"].items():
        if port["direction"] == "input" and name != "clk":
            for index, bit in enumerate(port["bits"]):
                at = flop(f"pin_{name}_{index}", at, bit)
    at = "0"
    for name, port in module["ports"].items():
        if port["direction"] == "output":
            for index, bit in enumerate(port["bits"]):
                # A ? B : C
                mux = {"INIT": "1101100011011000"}
                taken = cell(f"pin_{name}_{index}_mux", "LUT4", mux, ("Z", next(fresh)), A=load, B=bit, C=at, D="0")
                at = flop(f"pin_{name}_{index}", taken, next(fresh))
    ports = {
        "clk": {"direction": "input", "bits": [clk]},
        "d": {"direction": "input", "bits": [pin_d]},
        "load": {"direction": "input", "bits": [pin_load]},
        "q": {"direction": "output", "bits": [at]},
    }
    return {**module, "ports": ports, "cells": cells, "netnames": names}
