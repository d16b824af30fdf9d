"""Tests of hwgw_order, run inside a simulator by test_send.py.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from hwgw_sim.golden import order as golden
from support import rtl, soup_venue
from support.order_records import pack, stream

from hwgw.native import ffi, lib

RECORDS = 4_000 if cocotb.SIM_NAME.startswith("Icarus") else 21_000
LATENCY = 2
PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
PORTS = 7 if RECORDS > 4_000 else 3


def symbols(rng: random.Random, cnt: int) -> tuple[str, ...]:
    """As many different ones, of 1 to 8 characters."""
    found: set[str] = set()
    while len(found) < cnt:
        found.add(rng.choice(PRINTABLE[1:]) + "".join(rng.choices(PRINTABLE[1:], k=rng.randint(0, 7))).ljust(7))
    return tuple(sorted(found, key=lambda text: rng.random()))


def make_port(rng: random.Random, number: int) -> golden.Port:
    """Those of a session: no firm, a short one, others whose bits all change; every code; few and all instruments."""
    firm = ("    ", "X   ", "UUUU", "****", "UUUU", *("".join(rng.choices(PRINTABLE, k=4)) for _ in range(2)))[number]
    cnt = (700, 1024, 1023, 1024, 1, 2, rng.randint(1, 1024))[number]
    return golden.Port(symbols(rng, cnt), firm, "POAOPRA"[number], "YANAYNY"[number])


async def start(dut: Any, port: golden.Port) -> None:
    """Reset, and what the session adds to every order."""
    dut.cfg_firm.value = int.from_bytes(port.firm.encode(), "little")
    dut.cfg_capacity.value = ord(port.capacity)
    dut.cfg_display.value = ord(port.display)
    dut.cfg_instruments.value = len(port.symbols)
    dut.cfg_symbol_we.value = 0
    dut.s_valid.value = 0
    dut.rst.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    dut.cfg_symbol_we.value = 1
    for row, text in enumerate(port.symbols):
        dut.cfg_symbol_row.value = row
        dut.cfg_symbol_text.value = int.from_bytes(text.encode(), "little")
        await RisingEdge(dut.clk)
    dut.cfg_symbol_we.value = 0


async def watch(dut: Any, found: list[tuple[int, bytes | None, int]]) -> None:
    """What comes out: its cycle, the packet or None, is it a cancel."""
    cycle = 0
    while True:
        await RisingEdge(dut.clk)
        await ReadOnly()
        cycle += 1
        if int(dut.m_valid.value):
            packet = None
            if int(dut.m_is_good.value):  # rows of symbols that were never written are nothing
                size, value = int(dut.m_len.value), int(dut.m_packet.value)
                assert value >> 8 * size == 0, "bytes behind the end"
                packet = value.to_bytes(size, "little")
            found.append((cycle, packet, int(dut.m_is_cancel.value)))


def said(client: soup_venue.Client, order: golden.Order, port: golden.Port) -> bytes | None:
    """What the golden model makes of a record; C has to make the same."""
    try:
        packet = golden.encode(order, port)
    except golden.EncodeError:
        packet = None
    record = ffi.from_buffer("struct hwgw_order *", pack(order))
    out = ffi.new("uint8_t[128]")
    size = lib.hwgw_order_encode(client.handle, record, out)
    assert (bytes(ffi.buffer(out, size)) if size else None) == packet, f"C and the golden model differ: {order}"
    return packet


@cocotb.test()
async def packets_are_those_of_c_and_of_the_golden_model(dut: Any) -> None:
    rng = random.Random(cocotb.RANDOM_SEED)
    cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
    counts: Counter[str] = Counter()
    for number in range(PORTS):
        port = make_port(rng, number)
        client = soup_venue.Client(
            1,
            {"firm": port.firm.encode(), "capacity": port.capacity.encode(), "display": port.display.encode()},
            tuple(text.encode() for text in port.symbols),
        )
        await start(dut, port)
        found: list[tuple[int, bytes | None, int]] = []
        watcher = cocotb.start_soon(watch(dut, found))
        orders = list(stream(rng, RECORDS // PORTS, len(port.symbols)))
        cycle, came = 0, []
        for order in orders:
            while rng.random() < 0.1:
                dut.s_valid.value = 0
                await RisingEdge(dut.clk)
                cycle += 1
            dut.s_order.value = int.from_bytes(pack(order), "little")
            dut.s_valid.value = 1
            came.append(cycle)
            await RisingEdge(dut.clk)
            cycle += 1
        dut.s_valid.value = 0
        for _ in range(LATENCY + 2):
            await RisingEdge(dut.clk)
        watcher.cancel()
        assert len(found) == len(orders)
        for order, at, (out_at, packet, is_cancel) in zip(orders, came, found, strict=True):
            expected = said(client, order, port)
            if order["kind"] not in (1, 2, 3) or (order["venue_ref"] and order["kind"] != 3):
                counts["options"] += expected is not None
                expected = None  # the host's to send
            assert packet == expected, f"{order}: {packet!r} and not {expected!r}"
            assert out_at - at == LATENCY, f"latency {out_at - at}"
            if packet:
                assert is_cancel == (order["kind"] == 3)
            counts["refused" if expected is None else f"kind {order['kind']}"] += 1
        client.close()
    rtl.note(orders=dict(counts), latency_cycles={"order": {"min": LATENCY, "max": LATENCY}})
