"""hwgw capture: frames of an interface to pcapng files.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from hwgw.errors import CheckFailed, HwgwError, UsageError

from .common import Output, choose, verb, wrapped
from .units import integers, seconds, size, stopping

if TYPE_CHECKING:
    from hwgw.capture import Capture, PcapngWriter
    from hwgw.rx import Receiver

BACKENDS = ("auto", "afxdp", "packet", "dpdk")
CLOCKS = {"none": "the descriptor", "kernel": "the kernel", "hardware": "the NIC", "capture": "the file"}
FRAMES_AS_ROOT = 16_384
"""Buffers per queue; without CAP_IPC_LOCK the memory lock limit allows the backend's default at most."""
FRAMES_OF_ALL = 65_536
"""Of all queues together, 128 MiB, unless that leaves a queue less than 1,024."""


@verb("capture")
@click.argument("interface")
@click.option("--write", "path", required=True, metavar="FILE", help="The pcapng file; - is stdout.")
@click.option("--group", "groups", multiple=True, metavar="G:P", help="Frames of this group and port (repeatable).")
@click.option(
    "--all", "all_frames", is_flag=True, help="Every frame of the queues; afxdp then takes them from the host."
)
@click.option("--backend", type=click.Choice(BACKENDS), default="auto", help="How to receive; afxdp, else packet.")
@click.option("--queues", metavar="LIST", help="Receive queues, such as 0,2-3; all of them by default.")
@click.option("--frames", "frame_cnt", type=click.IntRange(min=0), default=0, metavar="N", help="Buffers per queue.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Stop after N frames.")
@click.option("--seconds", "limit", metavar="TIME", help="Stop after this time.")
@click.option("--rotate-size", metavar="SIZE", help="Next file before one grows larger than this (100MB).")
@click.option("--rotate-time", metavar="TIME", help="Next file when one is this old (60s).")
@click.option("--files", "files_max", type=click.IntRange(min=1), metavar="N", help="Keep only the N newest files.")
def command(
    out: Output,
    interface: str,
    path: str,
    groups: tuple[str, ...],
    all_frames: bool,
    backend: str,
    queues: str | None,
    frame_cnt: int,
    count: int | None,
    limit: str | None,
    rotate_size: str | None,
    rotate_time: str | None,
    files_max: int | None,
) -> None:
    """Record frames of an interface to pcapng files.

    Times are in nanoseconds: the NIC's where it has them, else the kernel's. Each file ends with a statistics block
    that holds the frames in it and the frames lost. When files rotate, names are FILE.00001.pcapng and so on, and no
    frame is lost in between. Ctrl-C ends in order. Exit code 1 when the sums do not agree.
    """
    from hwgw import rx
    from hwgw.capture import ROTATE_BYTES_MIN, PcapngWriter

    if bool(groups) == all_frames:
        raise UsageError("name the frames: --group G:P (repeatable), or --all")
    if files_max and not (rotate_size or rotate_time):
        raise UsageError(f"--files {files_max} goes with --rotate-size or --rotate-time")
    if path == "-" and out.as_json:
        raise UsageError("--json writes to stdout, and so does --write -")
    rotate_bytes = size("--rotate-size", rotate_size, ROTATE_BYTES_MIN)
    rotate_s, stop_s = seconds("--rotate-time", rotate_time) or 0, seconds("--seconds", limit)
    chosen = choose(backend, ("afxdp", "packet"), "capture")
    numbers = [0] if queues is None else integers("--queues", queues)
    if queues is None and chosen == "afxdp":
        numbers = list(range(_queue_cnt(interface)))
    if not frame_cnt and chosen == "afxdp" and os.geteuid() == 0:
        room = 1 << (FRAMES_OF_ALL // len(numbers)).bit_length() - 1
        frame_cnt = max(1024, min(FRAMES_AS_ROOT, room))
    # from here on a Ctrl-C ends in order, also one that comes before the first frame
    with (
        stopping() as stopped,
        rx.open(
            chosen,
            interface=interface,
            groups=groups,
            all_frames=all_frames,
            queues=numbers,
            frame_cnt=frame_cnt,
            timestamps=True,
        ) as receiver,
    ):
        out.note(receiver.describe)
        writer = PcapngWriter(
            path,
            interface=interface,
            description=receiver.describe,
            filter=" or ".join(receiver.filters),
            rotate_bytes=rotate_bytes,
            rotate_s=rotate_s,
            files_max=files_max or 0,
            with_queue=len(numbers) > 1,
        )
        start, failed = time.monotonic(), None
        try:
            _record(out, receiver, writer, count, stop_s, stopped)
        except HwgwError as error:
            failed = error
        _report(out, receiver, writer, path, time.monotonic() - start)
    if failed:
        raise failed


def _queue_cnt(interface: str) -> int:
    """Receive queues in use; 1 where the driver does not tell, or there is no such interface, which the open says."""
    from hwgw import nic

    try:
        channels = nic.read(interface).channels
    except UsageError:
        return 1
    return channels.receive if channels and channels.receive else 1


def _record(
    out: Output,
    receiver: Receiver,
    writer: PcapngWriter,
    count: int | None,
    limit: float | None,
    stopped: list[int],
) -> None:
    from hwgw.capture import record

    is_shown = sys.stderr.isatty() and out.level >= 0 and not out.as_json

    def show(now: Capture) -> None:
        line = f"{now.frames:,} frames, {now.bytes_written / 1e6:,.1f} MB in {now.files} files, {receiver.state}"
        click.echo(f"\r\x1b[K{line}", nl=False, err=True)

    try:
        with writer:
            record(receiver, writer, count, limit, stop=lambda: bool(stopped), progress=show if is_shown else None)
    finally:
        if is_shown:
            click.echo("\r\x1b[K", nl=False, err=True)


def _report(out: Output, receiver: Receiver, writer: PcapngWriter, path: str, took_s: float) -> None:
    ledger = receiver.ledger()
    dropped = dict(ledger.drops)
    if writer.foreign:
        dropped["foreign"] = writer.foreign
    if writer.error and ledger.used > writer.foreign + writer.frames_written:
        dropped["disk"] = ledger.used - writer.foreign - writer.frames_written
    exact = ledger.offered == writer.frames_written + sum(dropped.values())
    files = [str(name) for name in writer.files] or [path]
    result = {
        "backend": receiver.backend,
        "describe": receiver.describe,
        "clock": receiver.clock,
        "state": receiver.state,
        "seconds": round(took_s, 3),
        "files": files,
        "file_cnt": writer.file_cnt,
        "bytes": writer.bytes_written,
        "ledger": {
            "offered": ledger.offered,
            "written": writer.frames_written,
            "dropped": dropped,
            "exact": exact,
        },
    }
    out.emit(result)
    err = path == "-"
    if not out.as_json and out.level >= 0:
        lost = ", ".join(f"{name} {cnt:,}" for name, cnt in dropped.items()) or "none"
        lines = [
            f"{ledger.offered:,} frames = {writer.frames_written:,} written + {sum(dropped.values()):,} lost ({lost})",
            f"{writer.bytes_written:,} bytes in {writer.file_cnt} file{'s' * (writer.file_cnt > 1)}: {files[-1]}",
            f"{took_s:.1f} s, times of {CLOCKS[receiver.clock]}; {receiver.describe}",
        ]
        if dropped.get("other_queue"):
            lines.append("other_queue: they came in on queues that are not taken; --queues takes more, such as 0-3")
        for line in lines:
            for part in wrapped(line):
                click.echo(part, err=err)
    if not exact:
        raise CheckFailed(f"{ledger.offered} frames, but {writer.frames_written} written and {dropped} lost")
