"""A capture straight into a pipeline without a network, on the clock of the capture: what a gateway makes of it.

SPDX-License-Identifier: MIT

Frames, lines and holes are as on the wire; orders that pass the gate end in `order.drop_session`: there is no venue.
Channels of a file are never stale: what was not recorded says nothing.
"""

from __future__ import annotations

import ipaddress
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from hwgw import framed, replay, specs
from hwgw.bad_line import Faults
from hwgw.errors import CheckFailed, UsageError
from hwgw.feeds.progress import slices
from hwgw.feeds.source import Capture, Flow
from hwgw.gateway import NativeSettings
from hwgw.journal.restore import Replay
from hwgw.native import call, ffi, lib
from hwgw.risk.control import of_settings
from hwgw.segment import Segment
from hwgw.send import part
from hwgw.settings import Channel, Line, Pipeline, Receive, Settings
from hwgw.telemetry import LedgerRow, ledger_rows

__all__ = ["Offline", "Window", "flows_of", "run"]

_STATES = {int(code.value): code.slug for code in specs.load("segment").enum("feed_state").values}
SLICE_FRAMES = 1 << 15  # between two looks at the clock for the bar
_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a recording that counts, in ns from its first frame; until None: to its end."""

    start_ns: int = 0
    until_ns: int | None = None

    def __post_init__(self) -> None:
        if self.until_ns is not None and self.until_ns <= self.start_ns:
            raise UsageError(f"--until {self.until_ns} ns is not behind --from {self.start_ns} ns")


@dataclass(frozen=True, slots=True)
class Offline:
    """What became of the frames; book_hash is over all books at the end."""

    flows: tuple[Flow, ...]
    frames: int
    span_ns: int
    counters: dict[str, int]
    ledgers: tuple[LedgerRow, ...]
    states: tuple[str, ...]
    book_hash: str
    faults: list[dict[str, int]]


def flows_of(path: Path, groups: tuple[Flow, ...] = ()) -> tuple[Flow, ...]:
    """The groups and ports of a recording that carry MoldUDP64, with channel and line; CheckFailed without any.

    A BinaryFILE has the one that it is to be framed for.
    """
    found: dict[Path, tuple[Flow, ...]] = {}
    for file in replay.files(path):
        if not replay.is_capture(file):
            found[file] = (framed_for(groups),)
            continue
        capture = Capture(file, groups)
        for _ in capture.batches():
            pass
        found[file] = tuple(capture.flows())
    (first, flows), *others = found.items()
    for file, own in others:
        if own != flows:
            said, wanted = (", ".join(map(str, each)) for each in (own, flows))
            raise CheckFailed(f"{file}: channels and lines {said}; allowed are those of {first}: {wanted}")
    return flows


def framed_for(groups: Sequence[Flow]) -> Flow:
    """The group and port that a BinaryFILE is framed for."""
    if len(groups) > 1:
        raise UsageError(f"--group {groups[1]}: a BinaryFILE is framed for one group and port")
    return groups[0] if groups else framed.FLOW


def _wired(settings: Settings, flows: tuple[Flow, ...]) -> Settings:
    """The settings with the channels and lines that the capture has."""
    channels = []
    for channel in sorted({flow.channel for flow in flows}):
        lines = sorted((flow for flow in flows if flow.channel == channel), key=lambda flow: flow.line)
        wire = tuple(Line(int(ipaddress.IPv4Address(flow.group)), flow.port) for flow in lines)
        channels.append(Channel(f"channel{channel}", wire, stale_ns=0))
    pipeline = Pipeline(Receive(backend="none"), tuple(channels), sample_shift=20)
    return replace(settings, pipelines=(pipeline,), sessions=(), journal=None)


def run(
    path: Path,
    settings: Settings,
    flows: tuple[Flow, ...],
    window: Window = Window(),
    faults: Sequence[Faults] = (),
    progress: bool | None = False,
) -> Offline:
    """Give the frames of a capture to a pipeline. CheckFailed when it is damaged or its times go back.

    faults: of its lines A, B; they arrive as these let them. progress: a bar for it (feeds/progress.py).
    """
    wired = _wired(settings, flows)
    name = f"replay-{os.getpid()}-{next(_serial)}"
    segment = Segment.create(name, settings.symbols)
    Path(f"/dev/shm/hwgw-{name}").unlink()  # noqa: S108 (the mapping stays; whatever happens, nothing is left)
    pipeline = ffi.new("struct hwgw_pipeline **")
    try:
        segment.publish_limits(of_settings(wired).table)
        for number, strategy in wired.of_mode("live").items():
            if strategy.armed:
                segment.arm(number)
        native = NativeSettings(wired, segment, Replay(), halts=False)
        cfg = native.pipelines[0]
        cfg.virtual_clock, cfg.books.huge_pages = True, False
        call(lib.hwgw_pipeline_open, pipeline, ffi.addressof(cfg))
        frames, span_ns, stats = _push(path, pipeline[0], window, flows, faults, progress)
        lib.hwgw_pipeline_publish(pipeline[0])
        counters = segment.counters()
        rows = [lib.hwgw_segment_channel(segment.pointer, 0, i) for i in range(len(wired.pipelines[0].channels))]
        states = tuple(_STATES.get(int(row.state), "unknown") for row in rows)
        book_hash = f"{lib.hwgw_books_hash(lib.hwgw_pipeline_books(pipeline[0])):016x}"
    finally:
        lib.hwgw_pipeline_close(pipeline[0])
        segment.close()
    return Offline(flows, frames, span_ns, counters, tuple(ledger_rows(counters)), states, book_hash, stats)


def _push(
    path: Path, pipeline: Any, window: Window, flows: Sequence[Flow], faults: Sequence[Faults], progress: bool | None
) -> tuple[int, int, list[dict[str, int]]]:
    """Every frame of the window at its time; how many, the time between first and last, what bad lines did."""
    recorded = replay.recording(path, flows[0])
    first = int(recorded.frames["ts_ns"][0])
    source, stats = part(recorded, window.start_ns, window.until_ns, Fraction(1)), list[dict[str, int]]()
    if faults:
        source, stats = replay.degrade(source, flows, faults)
    frames = ffi.from_buffer("struct hwgw_frame[]", source.frames)
    for each in slices(len(source), SLICE_FRAMES, "frames", progress=progress):
        lib.hwgw_pipeline_timed(pipeline, frames + each.start, each.stop - each.start, first)
    return len(source), source.pass_ns, stats
