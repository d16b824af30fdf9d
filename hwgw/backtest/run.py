"""Runs a backtest: a feed, settings and a model go in, fills, accounts, orders and figures come out.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import hashlib
import itertools
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgw import specs
from hwgw.errors import CheckFailed
from hwgw.feeds.progress import batches
from hwgw.feeds.source import Flow, open_source
from hwgw.gateway import NativeSettings
from hwgw.journal.restore import Replay
from hwgw.native import call, ffi, lib
from hwgw.risk.control import of_settings
from hwgw.segment import Segment
from hwgw.settings import Model, Settings
from hwgw.telemetry import LedgerRow, ledger_rows
from hwgw.venue_model import native_model

from .figures import figures

__all__ = ["RECORD", "Opened", "Result", "run"]

HEAD = specs.dtype("journal", "journal_record")
GATE = int(specs.load("journal").enum("record_type").code("gate"))
ALIGN = specs.load("journal").constant("record_align_bytes")
RECORD = np.dtype([("record", HEAD), ("order", specs.dtype("order", "order"))])
JOURNAL_BYTES = 1 << 22
FRAME_STAGES = ("rx.", "net.", "mold.")
NO_LEDGER = ("sequenced",)  # no session, no session's ledger
_serial = itertools.count()


@dataclass(slots=True)
class Result:
    """What came of a backtest. fills, samples: hwgw/specs/backtest.yaml; records: journal_record and order."""

    path: Path
    settings: Settings
    model: Model
    fills: NDArray[np.void]
    samples: NDArray[np.void]
    records: NDArray[np.void]
    hash: str
    counters: dict[str, int]
    state: dict[str, int]
    refused: dict[str, int]
    halts: tuple[str, ...]
    figures: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    ledgers: tuple[LedgerRow, ...] = ()
    journal: tuple[bytes, ...] = ()
    """All records as the ring had them, in parts, where they were asked for."""


class Opened:
    """The native side of one run: a segment of its own that nobody else can see, a pipeline, the venue."""

    def __init__(self, settings: Settings, model: Model) -> None:
        self._keep: list[Any] = []
        name = f"bt-{os.getpid()}-{next(_serial)}"
        self.segment = Segment.create(name, settings.symbols, journal_sz_bytes=JOURNAL_BYTES)
        Path(f"/dev/shm/hwgw-{name}").unlink()  # noqa: S108 (the mapping stays; whatever happens, nothing is left)
        self._backtest = self._pipeline = ffi.NULL
        try:
            self._open(settings, model)
        except BaseException:
            self.close()
            raise

    def _open(self, settings: Settings, model: Model) -> None:
        self.segment.publish_limits(of_settings(settings).table)
        for number in settings.of_mode("live"):
            self.segment.arm(number)
        native = NativeSettings(settings, self.segment, Replay(), halts=False)
        self._keep.append(native)
        cfg = native.pipelines[0]
        cfg.virtual_clock = True
        cfg.books.huge_pages = False
        pipeline = ffi.new("struct hwgw_pipeline **")
        call(lib.hwgw_pipeline_open, pipeline, ffi.addressof(cfg))
        self._pipeline = pipeline[0]
        told, keep = native_model(model)
        self._keep.append(keep)
        backtest = ffi.new("struct hwgw_backtest **")
        call(lib.hwgw_backtest_open, backtest, self._pipeline, ffi.addressof(cfg.books), told)
        self._backtest = backtest[0]

    def close(self) -> None:
        lib.hwgw_backtest_close(self._backtest)
        lib.hwgw_pipeline_close(self._pipeline)
        self._backtest = self._pipeline = ffi.NULL
        self.segment.close()

    def messages(self, data: NDArray[np.uint8], messages: NDArray[np.void]) -> None:
        native = ffi.cast("struct hwgw_scan_message *", messages.ctypes.data)
        call(lib.hwgw_backtest_messages, self._backtest, ffi.from_buffer("uint8_t[]", data), native, len(messages))

    def finish(self) -> None:
        call(lib.hwgw_backtest_finish, self._backtest)

    def rows(self) -> tuple[bytes, bytes, bytes]:
        """Fills, samples and records since the last call."""
        cnt = ffi.new("uint64_t *")
        found = []
        for take, size in (
            (lib.hwgw_backtest_fills, ffi.sizeof("struct hwgw_venue_fill")),
            (lib.hwgw_backtest_samples, ffi.sizeof("struct hwgw_venue_sample")),
            (lib.hwgw_backtest_records, 1),
        ):
            at = take(self._backtest, cnt)
            found.append(bytes(ffi.buffer(at, cnt[0] * size)) if cnt[0] else b"")
        return found[0], found[1], found[2]

    def state(self) -> dict[str, int]:
        told = ffi.new("struct hwgw_backtest_state *")
        lib.hwgw_backtest_state(self._backtest, told)
        return {name: int(getattr(told, name)) for name, _ in ffi.typeof("struct hwgw_backtest_state").fields}


def run(
    path: Path,
    settings: Settings,
    model: Model,
    *,
    groups: Sequence[Flow] = (),
    progress: bool | None = False,
    keep_records: bool = True,
    keep_journal: bool = False,
) -> Result:
    """Trade through a feed from flat to its end.

    CheckFailed when it is damaged or is no feed; what was found wrong with a whole one is in problems.
    """
    native = Opened(settings, model)
    parts: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])
    kept: list[bytes] = []
    digest = hashlib.blake2b(digest_size=16)
    problems: list[str] = []

    def collect() -> None:
        fills, samples, records = native.rows()
        parts[0].append(fills)
        parts[1].append(samples)
        digest.update(records)
        if keep_journal:
            kept.append(records)
        if keep_records:
            parts[2].append(b"".join(_gate(records)))

    try:
        source = open_source(path, tuple(groups))
        for batch in batches(source, progress=progress):
            native.messages(batch.data, batch.messages)
            collect()
        native.finish()
        collect()
        if missing := source.counters().get("mold.missing", 0):
            problems.append(f"{path}: {missing:,} messages are missing; allowed is a feed without a gap")
        counters, state = _counters(native.segment.counters(), source.counters()), native.state()
        halts = tuple(f"{row['reason']}: {row['text']}" for row in native.segment.halts)
    finally:
        native.close()
    ledgers = tuple(row for row in ledger_rows(counters) if row.name not in NO_LEDGER)
    problems += _problems(path, counters, ledgers, state)
    fills = np.frombuffer(b"".join(parts[0]), specs.dtype("backtest", "venue_fill"))
    samples = np.frombuffer(b"".join(parts[1]), specs.dtype("backtest", "venue_sample"))
    refused = {
        name.removeprefix("risk.refused_"): cnt
        for name, cnt in counters.items()
        if name.startswith("risk.refused_") and cnt
    }
    result = Result(
        path, settings, model, fills, samples, np.frombuffer(b"".join(parts[2]), RECORD), digest.hexdigest(), counters,
        state, refused, halts, problems=tuple(problems), ledgers=ledgers, journal=tuple(kept),
    )  # fmt: skip
    result.figures = figures(result)
    return result


def _counters(own: dict[str, int], source: dict[str, int]) -> dict[str, int]:
    """The counters of the pipeline; of a capture, what was made of its frames, before any message came to it.

    A hole of a capture is lost: nobody fills it.
    """
    if not source:
        return own
    of_frames = {name: source.get(name, 0) for name in own if name.startswith(FRAME_STAGES)}
    return {**own, **of_frames, "hold.lost": own["hold.lost"] + source.get("mold.missing", 0)}


def _gate(records: bytes) -> Iterator[bytes]:
    """Those of the gate, of records end to end."""
    head, header = struct.Struct("=IB"), HEAD.itemsize
    at = 0
    while at < len(records):
        payload, code = head.unpack_from(records, at)
        size = -(-(header + payload) // ALIGN) * ALIGN
        if code == GATE:
            yield records[at : at + size]
        at += size


def _problems(name: Path, counters: dict[str, int], ledgers: Sequence[LedgerRow], state: dict[str, int]) -> list[str]:
    """What makes the result worth less than it looks, each with its number and what is allowed."""
    found = []
    if state["time_steps"]:
        found.append(
            f"{name}: the time of {state['time_steps']:,} messages goes back, first of message"
            f" {state['time_step_seq']}; allowed is a feed in order of time"
        )
    wrong = {key: cnt for key, cnt in counters.items() if key.startswith("itch.drop_") and cnt}
    wrong |= {
        key: cnt for key, cnt in counters.items() if key.startswith("book.drop_") and cnt and key[10:] != "instrument"
    }
    if wrong:
        found.append(f"{name}: messages that cannot be ({', '.join(f'{key} {cnt:,}' for key, cnt in wrong.items())})")
    if not counters["book.updates"]:
        found.append(f"{name}: no message of the symbols")
    broken = [row.name for row in ledgers if not row.exact]
    if broken:
        raise CheckFailed(f"{name}: the ledgers of {', '.join(broken)} are not exact: a defect of hwgw")
    return found
