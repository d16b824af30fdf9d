"""hwgw jitter: how long and how often the cores of this host are taken away.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path

import click

from .common import Output, verb


@verb("jitter")
@click.option("--cpus", metavar="LIST", help="CPUs to measure, such as 1,4-6; default: all that this process may use.")
@click.option(
    "--seconds", type=click.FloatRange(0.01, 86_400), default=5.0, show_default=True, help="Length of the run."
)
@click.option("--wakeups", is_flag=True, help="Sleep to a time and record how late one is, as cyclictest does.")
@click.option("--fifo", type=click.IntRange(1, 99), metavar="PRIORITY", help="Run the meter with SCHED_FIFO.")
@click.option(
    "--threshold",
    type=click.IntRange(50, 10**9),
    default=200,
    show_default=True,
    metavar="NS",
    help="Shortest interruption that counts.",
)
@click.option(
    "--interval",
    type=click.IntRange(20, 10**6),
    default=200,
    show_default=True,
    metavar="US",
    help="With --wakeups: from one to the next.",
)
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also draw it into a file."
)
def command(
    out: Output,
    cpus: str | None,
    seconds: float,
    wakeups: bool,
    fifo: int | None,
    threshold: int,
    interval: int,
    svg: Path | None,
) -> int:
    """How long and how often this host's cores are taken away.

    A thread on each CPU looks at the time stamp counter without a pause; whenever two looks are further apart than
    the threshold, something else had the core: an interrupt, another task, the firmware, the hypervisor. Says how
    often, how long, how likely a packet is to wait, and what the kernel counted meanwhile. Every measured CPU is busy
    for the whole run.
    """
    import os

    from hwgw import jitter, jitter_picture

    chosen = jitter.cpu_list(cpus) if cpus else sorted(os.sched_getaffinity(0))
    out.note(f"measuring CPUs {', '.join(map(str, chosen))} for {seconds:g} s")
    found = jitter.measure(
        chosen, seconds, mode="wakeups" if wakeups else "gaps", fifo=fifo or 0, threshold_ns=threshold,
        interval_ns=interval * 1000,
    )  # fmt: skip
    if svg:
        svg.write_text(jitter_picture.svg(found), encoding="utf-8")
    out.emit({"cpus": [cpu.result() for cpu in found]})
    for cpu in found:
        for line in jitter_picture.text(cpu):
            out.row(line[:11], line[11:]) if line[0] != " " else out.say(line)
        out.say("")
    return 0
