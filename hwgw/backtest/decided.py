"""Recorded runs whose strategies decide again: each order, verdict and what it was judged by must come out as it did.

SPDX-License-Identifier: MIT

What a run is told, what is compared and what is taken from the record is the contract of replay_decide.c. The journal
has the frames (journal.frames), the limits and everything that was said; the configuration has what it does not: the
strategies' code and parameters, channels, books. A run that cannot be decided again is named with its reason.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwgw import specs
from hwgw.errors import CheckFailed
from hwgw.gateway import NativeSettings
from hwgw.journal import Block, Record, records
from hwgw.journal.again import Setup, eras, pipelines
from hwgw.journal.restore import Replay
from hwgw.native import call, ffi, lib, text
from hwgw.segment import Segment
from hwgw.settings import MODES, Receive, Risk, Settings

__all__ = ["COUNTS", "SERVERS", "Decided", "Differs", "decided"]

RING_BYTES = 1 << 22  # what one input brings about has to fit
SERVERS = ("requests", "replies", "loads", "snapshot_messages")
COUNTS = ("frames", *SERVERS, "answers", "inputs", "orders", "cancels", "refused", "compared")
_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class Differs:
    """The first record that came out otherwise: what it is about, which field, as it is on record and as it is now.

    field "record": there is another record in its place, or none.
    """

    run: int
    pipeline: int
    block: int
    record: int
    time_ns: int
    about: str
    field: str
    recorded: str
    now: str


@dataclass(slots=True)
class Decided:
    """What came of it; counts: struct hwgw_decided_result over all runs that were decided again."""

    runs: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[int, str]] = field(default_factory=list)
    """Runs that were not, and why."""
    changed: list[str] = field(default_factory=list)
    """Parameters that the configuration has otherwise than the record."""
    difference: Differs | None = None


@dataclass(slots=True)
class _Run:
    """A run as its records say that it began."""

    blocks: list[Block]
    offset_ns: int = 0
    symbols: tuple[str, ...] = ()
    strategies: dict[int, dict[str, Any]] = field(default_factory=dict)
    params: dict[int, tuple[int, ...]] = field(default_factory=dict)
    sessions: int = 0
    restored: dict[str, Any] | None = None
    before: list[Block] = field(default_factory=list)
    """Of the runs before it that it may have gone on from."""

    def read(self) -> _Run:
        for record in itertools.chain.from_iterable(map(records, self.blocks)):
            self._take(record)
            if self.restored is not None:
                break
        return self

    def _take(self, record: Record) -> None:
        raw = bytes(record.payload)
        if record.type == "open":
            self.offset_ns = int(record.open()["clock_offset_ns"])
        elif record.type == "symbols":
            self.symbols = tuple(raw[at : at + 8].decode("ascii").rstrip() for at in range(0, len(raw), 8))
        elif record.type == "strategy":
            row = record.fields()
            self.strategies[int(row["id"])] = row
        elif record.type == "params":
            head = specs.dtype("journal", "journal_params").itemsize
            values = np.frombuffer(raw, np.int64, offset=head)
            self.params[int(record.fields()["id"])] = tuple(map(int, values))
        elif record.type == "session":
            self.sessions += 1
        elif record.type == "restored":
            self.restored = record.fields()

    @property
    def is_rebuilt(self) -> bool:
        """Whether it began with what runs before it had left."""
        return bool(self.restored and (self.restored["now_ns"] or self.restored["records"]))

    def past(self) -> Setup:
        """What those runs were made of."""
        setup = Setup()
        for record in itertools.chain.from_iterable(map(records, [*self.before, *self.blocks])):
            setup.take(record)
        return setup

    def cannot(self, settings: Settings | None) -> str:
        """Why its strategies cannot decide again; empty when they can."""
        if not self.params:
            return "it has no frames (journal.frames), or no strategies"
        if self.restored is None:
            return "it ended before it had begun"
        if self.is_rebuilt and not self.sessions:
            return "it began with what runs before it had left, and without an order session that is not rebuilt"
        if settings is None:
            return "its strategies are those of a configuration: --config FILE"
        if len(settings.pipelines) != 1 or len(settings.sessions) > 1 or self.sessions > 1:
            return "it has several venues"
        if self.symbols != settings.symbols:
            return f"its symbols are {', '.join(self.symbols)}; the configuration has {', '.join(settings.symbols)}"
        was = {number: (str(row["name"]), int(row["account"])) for number, row in self.strategies.items()}
        has = {number: (each.name, each.account) for number, each in settings.of_mode(MODES[0]).items()}
        if was != has:
            said = [", ".join(f"{name} (account {account})" for name, account in each.values()) for each in (was, has)]
            return f"its strategies are {said[0]}; the configuration has {said[1] or 'none'}"
        return ""


def _runs(era: Sequence[Block]) -> list[_Run]:
    """Those of an era: behind the first one each may have begun with what those before it had left."""
    runs: list[_Run] = []
    for index, block in enumerate(era):
        first = next(records(block), None)
        if first is not None and first.type == "open":
            runs.append(_Run([], before=list(era[:index])))
        if not runs:
            raise CheckFailed(f"{block.file}: block {block.seq}: the beginning of its run is missing")
        runs[-1].blocks.append(block)
    return [run.read() for run in runs]


@contextmanager
def _pipeline(settings: Settings) -> Iterator[Any]:
    """One as new on a virtual clock, in a segment that nobody sees: limits and armed strategies come of the record."""
    alone = replace(
        settings,
        pipelines=(replace(settings.pipelines[0], receive=Receive(backend="none")),),
        sessions=(),
        journal=None,
        paper=None,
        risk=Risk(),
    )
    name = f"decided-{os.getpid()}-{next(_serial)}"
    with Segment.create(name, settings.symbols, journal_sz_bytes=RING_BYTES) as segment:
        Path(f"/dev/shm/hwgw-{name}").unlink()  # noqa: S108 (the mapping stays; whatever happens, nothing is left)
        native = NativeSettings(alone, segment, Replay(), halts=False)
        cfg = native.pipelines[0]
        cfg.virtual_clock, cfg.books.huge_pages = True, False
        opened = ffi.new("struct hwgw_pipeline **")
        call(lib.hwgw_pipeline_open, opened, ffi.addressof(cfg))
        try:
            yield opened[0], cfg
        finally:
            lib.hwgw_pipeline_close(opened[0])


def _changed(run: _Run, cfg: Any) -> Iterator[str]:
    """Parameters that a strategy begins with and did not begin with then."""
    for row in cfg.strategy[0 : cfg.strategy_cnt]:
        was, desc = run.params.get(int(row.id), ()), row.strategy
        now = [(text(desc.param_names[index]), int(row.params[index])) for index in range(desc.param_cnt)]
        name = run.strategies[int(row.id)]["name"]
        if desc.param_cnt > lib.HWGW_SEGMENT_PARAMS_MAX:  # more than the segment shows: weights, which are in a file
            continue
        if len(was) != len(now):
            yield f"{name}: {len(was)} parameters recorded, {len(now)} now"
        for old, (word, new) in zip(was, now, strict=False):
            if old != new:
                yield f"{name}.{word}: {old} recorded, {new} now"


def decided(found: Sequence[Block], settings: Settings | None) -> Decided:
    """Let the strategies of proven blocks decide again, run by run, up to the first difference.

    settings: the gateway's; None: every run is refused. CheckFailed when a record cannot be.
    """
    result = Decided()
    for number, run in enumerate(itertools.chain.from_iterable(map(_runs, eras(found))), 1):
        why = run.cannot(settings)
        if not why and result.difference:
            why = "a run before it came out otherwise"
        if why or settings is None:
            result.refused.append((number, why))
        else:
            _decide(result, number, run, settings)
    return result


def _decide(result: Decided, number: int, run: _Run, settings: Settings) -> None:
    before = run.before if run.is_rebuilt else []
    parts, _keep = Replay((*before, *run.blocks)).native()
    out = ffi.new("struct hwgw_decided_result *")
    past: AbstractContextManager[Any] = pipelines(run.past()) if run.is_rebuilt else nullcontext([ffi.NULL])
    with past as earlier, _pipeline(settings) as (pipeline, cfg):
        result.changed += _changed(run, cfg)
        cnt = len(before) + len(run.blocks)
        try:
            call(lib.hwgw_decide_again, pipeline, parts, len(before), cnt, earlier[0], out)
        except CheckFailed as error:
            raise CheckFailed(f"{run.blocks[0].file.parent}: run {number}: {error}") from None
    result.runs += 1
    result.counts.update({name: int(getattr(out, name)) for name in COUNTS})
    if out.is_different:
        result.difference = _differs(out.difference, number, run)


# ---- words ----


def _slugs(table: str, enum: str) -> dict[int, str]:
    return {int(code.value): code.slug for code in specs.load(table).enum(enum).values}


def _row(kind: str, raw: bytes) -> Any:
    """The first bytes of a payload by its layout."""
    dtype = specs.dtype("order", "order") if kind == "gate" else specs.dtype("journal", f"journal_{kind}")
    return np.frombuffer(raw[: dtype.itemsize], dtype)[0]


def _about(kind: str, row: Any) -> str:
    if kind == "gate":
        return f"{_slugs('order', 'kind').get(int(row['kind']), '?')} {int(row['ref'])}"
    if kind == "frame":
        return f"frame {_slugs('journal', 'frame_line').get(int(row['line']), '?')}"
    if kind == "input":
        return f"input {_slugs('journal', 'input_kind').get(int(row['what']), '?')}"
    return f"{kind} {int(row['ref'])}" if "ref" in (row.dtype.names or ()) else kind


def _said(kind: str, row: Any, verdict: int, symbols: tuple[str, ...]) -> str:
    """A whole record."""
    if kind != "gate":
        return _about(kind, row)
    reasons = {reason.code: reason.name for reason in specs.reasons()}
    index, side = int(row["instrument"]), _slugs("order", "side").get(int(row["side"]), "")
    what = [_about(kind, row), side, str(int(row["qty"]))]
    what += [symbols[index] if index < len(symbols) else str(index), f"at {int(row['px']) / 10_000:.4f}"]
    return f"{' '.join(filter(None, what))} ({reasons.get(verdict, verdict)})"


def _data(frame: Any, raw: bytes) -> str:
    """What stands behind the head of a frame, as much of it as there is."""
    return raw[frame.dtype.itemsize :][: int(frame["len"])].hex()


def _differs(found: Any, run_number: int, run: _Run) -> Differs:
    types = _slugs("journal", "record_type")
    kinds = types.get(int(found.type), "?"), types.get(int(found.type_now), "")
    was = _row(kinds[0], bytes(found.recorded))
    now = _row(kinds[1], bytes(found.now)) if kinds[1] else None
    name, values = "record", (_said(kinds[0], was, int(found.verdict), run.symbols), "nothing")
    if now is not None:
        values = values[0], _said(kinds[1], now, int(found.verdict_now), run.symbols)
    is_like = now is not None and kinds[0] == kinds[1] and _about(kinds[0], was) == _about(kinds[1], now)
    if is_like and now is not None:
        unlike = [key for key in was.dtype.names if key != "t_rx" and np.any(was[key] != now[key])]
        reasons = {reason.code: reason.name for reason in specs.reasons()}
        if unlike and unlike[0].endswith("px"):
            name, values = unlike[0], (f"{int(was[unlike[0]]) / 10_000:.4f}", f"{int(now[unlike[0]]) / 10_000:.4f}")
        elif unlike:
            name, values = unlike[0], (str(was[unlike[0]]), str(now[unlike[0]]))
        elif kinds[0] == "frame":
            name, values = "data", (_data(was, bytes(found.recorded)), _data(now, bytes(found.now)))
        else:
            verdicts = int(found.verdict), int(found.verdict_now)
            name, values = "verdict", (reasons.get(verdicts[0], "?"), reasons.get(verdicts[1], "?"))
    return Differs(
        run_number, 0, int(found.block), int(found.seq), int(found.ts_ns) + run.offset_ns, _about(kinds[0], was), name,
        *values,
    )  # fmt: skip
