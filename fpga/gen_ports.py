"""hwgw_ports.vh: lists of ports that several modules have alike, each written once.

SPDX-License-Identifier: MIT

Each group gives two macros: HWGW_<GROUP>_PORTS, declarations for the module that has them, and HWGW_<GROUP>_PINS,
connections to wires of the same names. Both end with a comma, so that what follows goes on in the list.
HWGW_<GROUP>_WIRES declares those wires, for a module that stands between two that have the group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hwgw.specs.registers import LINES, Map, load

Port = tuple[str, int, str]
"""Direction, width, name."""

AXI_STREAM = (("tdata", 64), ("tkeep", 8), ("tvalid", 1), ("tlast", 1), ("tuser", 1))
EVENT_BITS = 512


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


def answers() -> list[Port]:
    """What the order half gives: verdicts and records of sent orders to the host, frames to the MAC."""
    wide = [("tdata", EVENT_BITS), ("tvalid", 1)]
    records = [(f"m_axis_{name}", wide) for name in ("verdict", "sent")]
    streams = [*records, ("m_axis_tx", [("tdata", 64), ("tkeep", 8), ("tvalid", 1), ("tlast", 1)])]
    return [
        port
        for stream, outputs in streams
        for port in (
            *(("output", width, f"{stream}_{name}") for name, width in outputs), ("input", 1, f"{stream}_tready"),
        )
    ]  # fmt: skip


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


def settings(table: Map, unit: str) -> Iterator[Port]:
    """What a writable register drives: cfg_* for as long as it says so."""
    for register in table.registers:
        if register.access in ("rw", "strobe"):
            parts = [(part.name, part.width, part.unit) for part in register.parts]
            for name, width, whose in parts or [(register.name, register.width, register.unit)]:
                if whose == unit:
                    yield "input", width, f"cfg_{name}"


def commands(table: Map, unit: str) -> Iterator[Port]:
    """What is high for one cycle after a write: cmd_*."""
    for register in table.registers:
        if register.access == "command":
            yield from (("input", 1, f"cmd_{part.name}") for part in register.parts if part.unit == unit)
        if register.access == "strobe" and register.unit == unit:
            yield "input", 1, f"cmd_{register.name}"


def loan(table: Map) -> list[Port]:
    """What the registers tell the end that makes frames: their header, and the loan of sequence numbers."""
    words = ("loan", "template", "lend", "renew", "return")
    ports = [*settings(table, "gate"), *commands(table, "gate")]
    return [port for port in ports if port[2].removeprefix("cfg_").removeprefix("cmd_").startswith(words)]


def status(table: Map, unit: str) -> Iterator[Port]:
    """What the registers show."""
    for register in table.registers:
        if register.access == "ro" and register.unit == unit:
            yield "output", register.width, f"sts_{register.name}"


def windows(table: Map) -> list[Port]:
    """A word that was written into a window."""
    bits = max(window.words for window in table.windows).bit_length() - 1
    return [*(("input", 1, f"win_{window.name}") for window in table.windows), ("input", bits, "win_addr"),
            ("input", 32, "win_data")]  # fmt: skip


def declared(width: int) -> str:
    """The range of a port or wire."""
    return f"[{width - 1:>3}:0]" if width > 1 else " " * 7


def macro(name: str, rows: Sequence[str]) -> str:
    """A macro of several lines."""
    return f"`define {name} \\\n" + " \\\n".join(f"  {row}" for row in rows) + "\n"


def group(name: str, ports: list[Port]) -> Iterator[str]:
    """The macros of a group."""
    yield macro(f"HWGW_{name}_PORTS", [f"{way:<6} wire {declared(width)} {port}," for way, width, port in ports])
    yield macro(f"HWGW_{name}_PINS", [f".{port}({port})," for _, _, port in ports])
    yield macro(f"HWGW_{name}_WIRES", [f"wire {declared(width)} {port};" for _, width, port in ports])


def macros() -> Iterator[str]:
    """The lines of hwgw_ports.vh behind its head."""
    table = load()
    yield "`ifndef HWGW_PORTS_VH\n`define HWGW_PORTS_VH\n"
    yield from group("LINES", lines())
    yield from group("EVENT", event())
    yield from group("ANSWER", answers())
    yield from group("AXIL", axil(table))
    yield from group("CONTROL", [*settings(table, "feed"), *commands(table, "feed")])
    gate = [*settings(table, "gate"), *commands(table, "gate"), *status(table, "gate"), *windows(table)]
    yield from group("GATE", gate)
    yield from group("LOAN", loan(table))
    yield "`endif"
