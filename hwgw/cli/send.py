"""hwgw send: frames on an interface by a schedule.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from hwgw.errors import CheckFailed, UsageError

from .common import Output, choose, verb, wrapped
from .units import seconds, stopping

BACKENDS = ("auto", "packet", "afxdp", "dpdk")


@verb("send")
@click.argument("file", type=click.Path(path_type=Path, readable=False), required=False)
@click.option("--template", metavar="TEXT", help='Numbered datagrams, such as "udp 239.1.2.3:26400 len=100".')
@click.option("--interface", required=True, metavar="IF", help="Where they leave.")
@click.option("--rate", metavar="RATE", help="10000pps, 100Mbps, recorded or max; a file: recorded by default.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Frames in all.")
@click.option("--loop", type=click.IntRange(min=1), metavar="K", help="The file so many times.")
@click.option("--seconds", "limit", metavar="TIME", help="Stop after this time.")
@click.option("--backend", type=click.Choice(BACKENDS), default="auto", help="How to send; packet, else afxdp.")
@click.option("--queue", type=click.IntRange(min=0), default=0, metavar="N", help="afxdp: the queue; 0 by default.")
def command(
    out: Output,
    file: Path | None,
    template: str | None,
    interface: str,
    rate: str | None,
    count: int | None,
    loop: int | None,
    limit: str | None,
    backend: str,
    queue: int,
) -> None:
    """Send a capture file or numbered datagrams by a schedule.

    FILE is a pcap or pcapng of Ethernet frames, sent as they are: at the times of the recording, or at a rate. A
    template makes UDP datagrams that hold their number and the time at which they were due. Every frame has its time
    from the start; the report says how late they were. Frames leave on the interface that is named, past routing,
    firewall and queueing: on a port that carries other traffic they go out between it. Exit code 1 when frames were
    lost here.
    """
    from hwgw import rx
    from hwgw.send import Rate, Source, datagrams, read, run

    if (file is None) == (template is None):
        raise UsageError("name what to send: FILE, or --template")
    if count and loop:
        raise UsageError("--count and --loop say the same; give one")
    stop_s = seconds("--seconds", limit)
    source: Source
    if file is not None:
        speed = Rate.parse(rate or "recorded")
        source = read(file)
        total = count or (loop or (1 if stop_s is None else 1 << 32)) * len(source)
    else:
        if rate is None or loop or (count is None and stop_s is None):
            raise UsageError("--template needs --rate, and --count or --seconds")
        speed = Rate.parse(rate)
        source = datagrams(str(template), interface)
        total = count or 1 << 61
    with rx.open(
        choose(backend, ("packet", "afxdp"), "send"),
        interface=interface,
        queues=[queue],
        tx_only=True,
        tx_frame_cnt=4096,
    ) as sender:
        out.note(sender.describe)
        start = time.monotonic()
        with stopping() as stopped:
            report = run(sender, source, speed, total, stop_s, stop=lambda: bool(stopped))
        took_s = time.monotonic() - start
        describe, name = sender.describe, sender.backend
    lost = sum(report.dropped.values()) + report.unsent
    exact = report.taken == report.sent + sum(report.dropped.values())
    wanted = f"{speed.milli / 1000:g} {'pps' if speed.kind == 'frames' else 'bps'}" if speed.milli else speed.kind
    out.emit(
        {
            "backend": name, "describe": describe, "seconds": round(took_s, 6), "taken": report.taken,
            "sent": report.sent, "bytes": report.bytes, "dropped": report.dropped, "unsent": report.unsent,
            "exact": exact, "rate": {"wanted": wanted, "pps": round(report.pps, 3), "bps": round(report.bps, 3)},
            "late_ns": report.late_ns,
        }
    )  # fmt: skip
    said = ", ".join(f"{cause} {cnt:,}" for cause, cnt in report.dropped.items())
    out.say(
        f"{report.taken:,} frames = {report.sent:,} sent + {sum(report.dropped.values()):,} lost ({said or 'none'})"
    )
    out.say(f"{report.pps:,.0f} frames/s, {report.bps / 1e6:,.3f} Mbit/s in {took_s:.3f} s; wanted: {wanted}")
    if report.late_ns:
        late = ", ".join(f"{key} {value / 1000:,.1f} us" for key, value in report.late_ns.items())
        out.say(f"late: {late}")
    for line in wrapped(describe):
        out.say(line)
    if lost or not exact:
        raise CheckFailed(f"{report.taken} frames, {report.sent} sent, {report.dropped} lost, {report.unsent} unsent")
