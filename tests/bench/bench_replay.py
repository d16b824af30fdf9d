"""Replay: messages per second that leave, and how late they are, through the kernel and on an interface.

SPDX-License-Identifier: MIT

A BinaryFILE of generated messages, one or thirty in a packet, as fast as it goes and on a schedule of a million of them
a second. kernel: UDP to a group on loopback that nobody has joined; packet, afxdp: frames out of one end of a veth
pair, which the stack at the other end takes. Baseline of the rates: sendto() in a loop over the same payloads.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from hwgw_sim.stream import Stream, join
from hwgw_sim.wire import Wire

from hwgw import framed, replay, rx, send, specs
from hwgw.native import ffi

from .harness import Options, Result, by_turns, result

GROUP, PORT, LOOPBACK = "239.1.2.3", 26400, "127.0.0.1"
PACKED = 30  # that fit 1,500 bytes, whatever their types
STEP_NS = 1000  # of the schedule: a message each
FRAMES = 4096
BASELINE = "sendto() in Python"
STAMP = specs.load("itch50").layout("message_header").field("timestamp")
HEADERS_SZ = sum(
    specs.load("ethernet").layout(name).length for name in ("ethernet_header", "ipv4_header", "udp_header")
)


def _feed(options: Options, count: int, packed: int, path: Path) -> send.Source:
    """Messages whose times make packets of so many, a microsecond for each message."""
    with Stream(options.seed, 8, 1000) as stream:
        messages = stream.messages(count)

    def timed() -> Iterator[bytes]:
        for index, message in enumerate(messages):
            ns = index // packed * packed * STEP_NS
            yield message[: STAMP.offset] + ns.to_bytes(STAMP.length, "big") + message[STAMP.offset + STAMP.length :]

    path.write_bytes(join(timed()))
    source = framed.frames(path)
    if not 0.99 * count / packed <= len(source) <= 1.01 * count / packed + 1:  # a part of the file ends a packet
        raise RuntimeError(f"{count} messages are in {len(source)} packets, not {packed} in each")
    return source


def _sent(out: Any, source: send.Source, rate: str) -> send.Report:
    report = send.run(out, source, send.Rate.parse(rate))
    if report.sent != len(source):
        raise RuntimeError(f"{report.sent} of {len(source)} packets left, dropped: {report.dropped} {report.refused}")
    return report


def _loop(source: send.Source) -> float:
    """Packets per second of a loop over sendto()."""
    payloads = [
        bytes(ffi.buffer(ffi.cast("uint8_t *", int(row["data"])), int(row["len"])))[HEADERS_SZ:]
        for row in source.frames[: 1 << 16]
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
        start = time.perf_counter()
        for payload in payloads:
            out.sendto(payload, (GROUP, PORT))
        return len(payloads) / (time.perf_counter() - start)


def _ways(options: Options, stack: ExitStack) -> Iterator[tuple[str, Any]]:
    yield "kernel", stack.enter_context(send.Datagrams([(GROUP, PORT)], local_address=LOOPBACK))
    if os.geteuid():
        options.leave_out("replay_packet_*, replay_afxdp_*", "frames on an interface need root")
        return
    pair = stack.enter_context(Wire())
    for backend in ("packet", "afxdp"):
        with pair.inside("tx"):
            interface = pair.device["tx"]
            out = rx.open(backend, interface=interface, tx_frame_cnt=FRAMES, tx_only=True)
        with out:
            yield backend, out


def run(options: Options) -> list[Result]:
    """replay_WAY_{max,schedule}_msgs_per_s and replay_WAY_late_us_*; `single`: a message in each packet."""
    found = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        count = options.size(1_000_000, 60_000)
        feeds = {packed: _feed(options, count, packed, Path(folder) / f"{packed}.itch50") for packed in (1, PACKED)}
        for way, out in _ways(options, stack):
            for packed, recorded in feeds.items():
                source = replay.lines(recorded, [framed.FLOW], [0])[0] if way == "kernel" else recorded
                name = f"replay_{way}{'_single' if packed == 1 else ''}"
                ours, loop = by_turns(options.runs(3), partial(_sent, out, source, "max"), partial(_loop, recorded))
                each = count / len(source)  # messages in a packet
                rates = [each * report.pps for report in ours]
                found.append(result(f"{name}_max_msgs_per_s", "1/s", rates, BASELINE, [each * pps for pps in loop]))
                kept = [_sent(out, source, "recorded") for _ in range(options.runs(3))]
                found.append(result(f"{name}_schedule_msgs_per_s", "1/s", [each * report.pps for report in kept]))
                for mark in ("p50", "p99"):
                    late = [report.late_ns[mark] / 1000 for report in kept]
                    found.append(result(f"{name}_late_us_{mark}", "us", late))
                options.say(f"{name}: {len(source):,} packets, all left")
    return found
