"""hwgw_ports.vh: lists of ports that several modules have alike, each written once.

SPDX-License-Identifier: MIT

Each group gives two macros: HWGW_<GROUP>_PORTS, declarations for the module that has them, and HWGW_<GROUP>_PINS,
connections to wires of the same names. Both end with a comma, so that what follows goes on in the list. A group of what
the registers drive gives HWGW_<GROUP>_WIRES too, for the module between them and the receive path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hwgw.specs.registers import LINES, Map, load

Port = tuple[str, int, str]
"""Direction, width, name."""

AXI_STREAM = (("tdata", 64), ("tkeep", 8), ("tvalid", 1), ("tlast", 1), ("tuser", 1))
EVENT_BITS = 512
NOT_OF_THE_FEED = ("scratch", "price_instrument", "snapshot")
"""What the registers have for themselves: hwgw_card connects it."""


def lines() -> list[Port]:
    """The streams of the MACs, which are never stalled."""
    return [("input", width, f"s_axis_{line}_{name}") for line in LINES for name, width in AXI_STREAM]


def event() -> list[Port]:
    """The stream of event records to the host."""
    return [
        ("output", EVENT_BITS, "m_axis_event_tdata"),
        ("output", 1, "m_axis_event_tvalid"),
        ("input", 1, "m_axis_event_tready"),
    ]


def axil(table: Map) -> list[Port]:
    """The slave's side of AXI-Lite."""
    bits = table.address_bits
    return [
        ("input", bits, "s_axil_awaddr"), ("input", 1, "s_axil_awvalid"), ("output", 1, "s_axil_awready"),
        ("input", 32, "s_axil_wdata"), ("input", 4, "s_axil_wstrb"), ("input", 1, "s_axil_wvalid"),
        ("output", 1, "s_axil_wready"), ("output", 2, "s_axil_bresp"), ("output", 1, "s_axil_bvalid"),
        ("input", 1, "s_axil_bready"), ("input", bits, "s_axil_araddr"), ("input", 1, "s_axil_arvalid"),
        ("output", 1, "s_axil_arready"), ("output", 32, "s_axil_rdata"), ("output", 2, "s_axil_rresp"),
        ("output", 1, "s_axil_rvalid"), ("input", 1, "s_axil_rready"),
    ]  # fmt: skip


def settings(table: Map) -> Iterator[tuple[str, int]]:
    """Name and width of what a writable register drives: cfg_* for as long as it says so."""
    for register in table.registers:
        if register.access in ("rw", "strobe"):
            parts = [(part.name, part.width) for part in register.parts] or [(register.name, register.width)]
            yield from ((f"cfg_{name}", width) for name, width in parts)


def commands(table: Map) -> Iterator[str]:
    """What is high for one cycle after a write: cmd_*."""
    for register in table.registers:
        if register.access == "command":
            yield from (f"cmd_{part.name}" for part in register.parts)
        if register.access == "strobe":
            yield f"cmd_{register.name}"


def control(table: Map) -> list[Port]:
    """What the registers tell the receive path."""
    every = [*settings(table), *((name, 1) for name in commands(table))]
    return [("input", width, name) for name, width in every if name.split("_", 1)[1] not in NOT_OF_THE_FEED]


def declared(width: int) -> str:
    """The range of a port or wire."""
    return f"[{width - 1:>3}:0]" if width > 1 else " " * 7


def macro(name: str, rows: Sequence[str]) -> str:
    """A macro of several lines."""
    return f"`define {name} \\\n" + " \\\n".join(f"  {row}" for row in rows) + "\n"


def group(name: str, ports: list[Port], with_wires: bool = False) -> Iterator[str]:
    """The macros of a group."""
    yield macro(f"HWGW_{name}_PORTS", [f"{way:<6} wire {declared(width)} {port}," for way, width, port in ports])
    yield macro(f"HWGW_{name}_PINS", [f".{port}({port})," for _, _, port in ports])
    if with_wires:
        yield macro(f"HWGW_{name}_WIRES", [f"wire {declared(width)} {port};" for _, width, port in ports])


def macros() -> Iterator[str]:
    """The lines of hwgw_ports.vh behind its head."""
    table = load()
    yield "`ifndef HWGW_PORTS_VH\n`define HWGW_PORTS_VH\n"
    yield from group("LINES", lines())
    yield from group("EVENT", event())
    yield from group("AXIL", axil(table))
    yield from group("CONTROL", control(table), with_wires=True)
    yield "`endif"
