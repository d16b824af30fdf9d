"""hwgw card: the FPGA card, or the simulated one.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import Output, verb

if TYPE_CHECKING:
    from hwgw.card import Card

WHERE = click.option(
    "--card", "where", default="sim", show_default=True, metavar="CARD",
    help="sim, a PCI address, a resource file, or a UIO device.",
)  # fmt: skip
LINE = click.option(
    "--line", type=click.Choice(["a", "b"]), default="a", show_default=True, help="Line it comes in on."
)
FLOW = click.option("--flow", metavar="GROUP:PORT", help="Flow of the line; that of the first packet unless given.")
FRAMES_AT_ONCE = 256
IPV4_PLAIN = b"\x45"  # version 4, no options


@click.group("card")
def command() -> None:
    """The FPGA card.

    CARD is sim (the RTL, simulated), a PCI address such as 0000:01:00.0, a resource file, or /dev/uioN.
    """


def _hex(value: int, width: int) -> str:
    return f"0x{value:0{(width + 3) // 4}x}"


@verb("probe", of="card")
@WHERE
def probe(out: Output, where: str) -> int:
    """Whether a card of ours is there, and of which version."""
    from hwgw.card import open_card

    with open_card(where) as card:
        version = f"{card.version >> 16}.{card.version & 0xFFFF}"
        out.say(f"{where}: hwgw card, register map {version}, feed {card.state}")
        out.emit({"card": where, "identity": card["identity"], "map": version, "state": card.state})
    return 0


@verb("regs", of="card")
@WHERE
@click.argument("assignments", nargs=-1, metavar="[NAME | NAME=VALUE]...")
def regs(out: Output, where: str, assignments: tuple[str, ...]) -> int:
    """Read registers, all unless some are named, and write those with a value.

    Acts in the order given. A value is decimal, or hexadecimal with 0x.
    """
    from hwgw.card import open_card
    from hwgw.errors import UsageError

    with open_card(where) as card:
        shown: dict[str, int] = {}
        for text in assignments:
            name, given, value = text.partition("=")
            if given:
                try:
                    card[name] = int(value, 0)
                except ValueError:
                    raise UsageError(f"card regs: {text}: {value!r} is no number") from None
            else:
                shown[name] = card[name]
        if not assignments:
            card.snapshot()
            shown = card.dump()
        widths = {register.name: register.width for register in card.map.registers}
        for name, number in shown.items():
            out.say(f"{name:<18} {_hex(number, widths.get(name, 32)):<20} {number}")
        out.emit({"card": where, "registers": shown})
    return 0


@verb("load", of="card")
@WHERE
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def load(out: Output, where: str, file: Path) -> int:
    """Configure a card as FILE says, a gateway.yaml whose first channel it is to receive."""
    from ipaddress import IPv4Address

    from hwgw.card import open_card
    from hwgw.config import load as read
    from hwgw.specs.registers import LINES

    channel = read(file).pipelines[0].channels[0]
    lines = {name: (str(IPv4Address(line.group)), line.port) for name, line in zip(LINES, channel.lines, strict=False)}
    with open_card(where) as card:
        card.configure(lines)
        card["jump_max"] = min(channel.jump_max, 0xFFFFFFFF)
        flows = {name: f"{group}:{port}" for name, (group, port) in lines.items()}
        out.say(f"{where}: channel {channel.name}: " + ", ".join(f"line {k.upper()} {v}" for k, v in flows.items()))
        out.emit({"card": where, "channel": channel.name, "lines": flows})
    return 0


def _stats(out: Output, card: Card, where: str, **more: Any) -> None:
    card.snapshot()
    lines = card.lines()
    for name, value in lines.items():
        if value or out.level > 0:
            out.say(f"{name:<26} {value:>16,}")
    result = {"card": where, "state": card.state, "next_seq": card["next_seq"], "counters": lines}
    out.emit({**result, **more})


@verb("stats", of="card")
@WHERE
def stats(out: Output, where: str) -> int:
    """Every counter as of one cycle; with -v those that are 0, too."""
    from hwgw.card import open_card

    with open_card(where) as card:
        out.say(f"{where}: feed {card.state}")
        _stats(out, card, where)
    return 0


def _flow(frames: Sequence[bytes], wanted: str | None) -> tuple[str, int]:
    """The flow that was asked for, or that of the first UDP packet."""
    from ipaddress import IPv4Address

    from hwgw.errors import UsageError
    from hwgw.specs import load as table

    if wanted:
        group, _, port = wanted.rpartition(":")
        if not group or not port.isdigit():
            raise UsageError(f"--flow {wanted}: GROUP:PORT is wanted, such as 233.54.12.111:26477")
        return group, int(port)
    ethernet = table("ethernet")
    ethernet_header, ip, udp = (ethernet.layout(n) for n in ("ethernet_header", "ipv4_header", "udp_header"))
    at, port_at = ethernet_header.length, ethernet_header.length + ip.length + udp.field("destination_port").offset
    group_at = at + ip.field("destination").offset
    for frame in frames:
        if frame[at : at + 1] == IPV4_PLAIN and frame[at + ip.field("protocol").offset] == ethernet.enum(
            "ip_protocol"
        ).code("udp"):
            return str(IPv4Address(frame[group_at : group_at + 4])), int.from_bytes(frame[port_at : port_at + 2], "big")
    raise UsageError("no UDP packet over IPv4 without options among the frames; say --flow GROUP:PORT")


def _frames(path: Path) -> Iterator[bytes]:
    """Frames of a capture file."""
    from hwgw.native import call, ffi, lib

    pointer = ffi.new("struct hwgw_rx **")
    backend, name = ffi.new("char[]", b"pcap"), ffi.new("char[]", str(path).encode())
    cfg = ffi.new("struct hwgw_rx_cfg *", {"backend": backend, "path": name, "all_frames": True})
    call(lib.hwgw_rx_open, pointer, cfg)
    room = ffi.new(f"struct hwgw_frame[{FRAMES_AT_ONCE}]")
    try:
        while not lib.hwgw_rx_ended(pointer[0]):
            for index in range(lib.hwgw_rx_poll(pointer[0], room, FRAMES_AT_ONCE)):
                yield bytes(ffi.buffer(room[index].data, room[index].len))
            lib.hwgw_rx_release(pointer[0])
    finally:
        lib.hwgw_rx_close(pointer[0])


@verb("trace", of="card")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("card.fst"), show_default=True, help="Waves (FST)."
)
@click.option("--frames", type=click.IntRange(1), default=100, show_default=True, help="So many frames of the file.")
@LINE
@FLOW
def trace(out: Output, file: Path, output: Path, frames: int, line: str, flow: str | None) -> int:
    """Play a capture into the simulated card and write what every signal did.

    Beside the waves stands OUTPUT.events, a line of JSON per event record: its time in the waves (two per cycle), that
    of the first beat of its frame, and its fields.
    """
    from itertools import islice

    import numpy as np
    from hwgw_sim.card.signals import SignalCard

    from hwgw.card import Card
    from hwgw.specs import dtype

    chosen = list(islice(_frames(file), frames))
    flows = {line: _flow(chosen, flow)}
    signals = SignalCard()
    with Card(signals) as card, contextlib.ExitStack() as end:
        card.configure(flows)
        signals.trace(str(output))
        end.callback(signals.end_trace)
        for data in chosen:
            signals.frame("ab".index(line), data, now=2 * signals.cycles)
        signals.run(200)
        cycles = signals.event_cycles()
        records = np.frombuffer(signals.events(), dtype("event", "event"))
        with output.with_suffix(output.suffix + ".events").open("w", encoding="utf-8") as stream:
            for cycle, record in zip(cycles, records, strict=True):
                fields = {name: int(record[name]) for name in record.dtype.names}
                stream.write(json.dumps({"time": 2 * cycle, "frame_time": fields.pop("t_rx"), **fields}) + "\n")
        out.say(f"{output}: {len(chosen)} frames, {signals.cycles:,} cycles, {len(records)} events")
        _stats(out, card, "sim", frames=len(chosen), cycles=signals.cycles, events=len(records), output=str(output))
    return 0


def _rule(row: dict[str, Any]) -> str:
    px = {key: f"{row[key] / 10_000:.4f}" for key in ("when_px", "px")}
    when = f"{row['when'].replace('_', ' ')} {row['when_qty']} at {px['when_px']}"
    made = f"{row['fired']} made, {row['passed']} passed" + (f", last {row['last_reason']}" if row["fired"] else "")
    return (
        f"{row['name']:<16} {row['state']:<8} {row['instrument']}: {when} -> {row['side']} {row['qty']} {row['tif']} at"
        f" {px['px']}; {made}"
    )


@verb("rules", of="card")
@click.argument("name")
def _rules(out: Output, name: str) -> int:
    """The rules of gateway NAME: what each waits for, what it makes then, and how it stands."""
    from hwgw.rules import rules
    from hwgw.segment import Segment

    with Segment.attach(name) as segment:
        rows = rules(segment)
    for row in rows.values():
        out.say(_rule(row))
    out.emit({"name": name, "rules": rows})
    return 0


@verb("arm", of="card")
@click.argument("name")
@click.argument("rule")
@click.argument("terms", nargs=-1, metavar="[KEY=VALUE]...")
def _arm(out: Output, name: str, rule: str, terms: tuple[str, ...]) -> int:
    """Arm RULE of gateway NAME for one order.

    KEY is when_px, when_qty, px or qty, each as in gateway.yaml; what is not named stays. A rule that is armed already
    goes on with the new terms.
    """
    from hwgw.rules import arm
    from hwgw.segment import Segment

    with Segment.attach(name, writable=True) as segment:
        row = arm(segment, rule, terms)
    out.say(_rule(row))
    out.emit({"name": name, "rule": row})
    return 0


@verb("disarm", of="card")
@click.argument("name")
@click.argument("rules", nargs=-1, metavar="[RULE]...")
def _disarm(out: Output, name: str, rules: tuple[str, ...]) -> int:
    """Disarm rules of gateway NAME, all unless some are named; once it says so, none of them makes an order."""
    from hwgw.rules import disarm
    from hwgw.segment import Segment

    with Segment.attach(name, writable=True) as segment:
        rows = disarm(segment, rules)
    for row in rows.values():
        out.say(_rule(row))
    out.emit({"name": name, "rules": rows})
    return 0


for each in (probe, regs, load, stats, trace, _rules, _arm, _disarm):
    command.add_command(each)
