"""Recorded days through the gate once more: every verdict must come out as it did; and through the model of orders.

SPDX-License-Identifier: MIT

The chain of blocks is proven first, to its end; a journal that was not closed is taken as far as it goes. What is
compared, and what is taken from the record, is the contract of cffi_build/src/replay.c. The model of orders is the
session's: what the venue's messages make of each order must be what the gate was told (pipeline_restore.c, which a
start after a crash goes through); a run that was rebuilt by such a start begins with what is rebuilt here.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import specs
from ..errors import CheckFailed
from ..native import call, ffi, lib
from ..segment import Segment
from .files import Block, Record, blocks, records, verify
from .restore import Replay

__all__ = ["Again", "Difference", "Setup", "again", "eras", "of_blocks", "pipelines", "proven"]

SHOWN = 20  # differences that are kept


@dataclass(frozen=True, slots=True)
class Difference:
    """A record that came out otherwise. time_ns: of the day; recorded, replayed: names of verdicts, or prices."""

    run: int
    pipeline: int
    block: int
    record: int
    time_ns: int
    kind: str
    ref: int
    field: str
    recorded: str
    replayed: str


@dataclass(frozen=True, slots=True)
class Again:
    """What a replay found; counts: struct hwgw_replay_result.

    is_rebuilt: the orders were made from the venue's messages, too; contradiction: where these say otherwise.
    """

    counts: dict[str, int]
    differences: tuple[Difference, ...]
    is_rebuilt: bool = False
    contradiction: str = ""

    @property
    def compared(self) -> int:
        """Orders, cancels and events that were judged again."""
        return self.counts["orders"] + self.counts["cancels"] + self.counts["events"]


_serial = itertools.count()
_LIVE = 0


@dataclass(slots=True)
class Setup:
    """What the pipelines of the runs were made of, as the records say it; numbers are those of first sight."""

    symbols: dict[str, None] = field(default_factory=dict)
    strategies: dict[str, int] = field(default_factory=dict)  # name -> account
    sessions: dict[str, int] = field(default_factory=dict)  # venue -> protocol
    threads: int = 1
    is_paper: bool = False

    def take(self, record: Record) -> None:
        if record.type == "open":
            self.threads = max(self.threads, int(record.open()["thread_cnt"]))
        elif record.type == "symbols":
            raw = bytes(record.payload)
            self.symbols |= dict.fromkeys(raw[at : at + 8].decode("ascii").rstrip() for at in range(0, len(raw), 8))
        elif record.type == "strategy":
            row = record.fields()
            self.strategies.setdefault(str(row["name"]), int(row["account"]))
            self.is_paper |= int(row["mode"]) != _LIVE
        elif record.type == "session":
            row = record.fields()
            self.sessions.setdefault(str(row["name"]), int(row["protocol"]))

    @property
    def has_orders(self) -> bool:
        """Whether orders went to venues: those on paper have none, and begin flat every day."""
        return bool(self.sessions) and not self.is_paper


def eras(found: Sequence[Block]) -> Iterator[tuple[Block, ...]]:
    """The blocks from each place on where the journal was begun anew."""
    begins = [0, *(index for index, block in enumerate(found) if index and _is_anew(block))]
    for begin, end in itertools.pairwise([*begins, len(found)]):
        yield tuple(found[begin:end])


def _is_anew(block: Block) -> bool:
    first = next(records(block), None)
    return first is not None and first.type == "open" and bool(int(first.open()["is_anew"]))


@contextmanager
def pipelines(setup: Setup) -> Iterator[Any]:
    """One as new for each thread, in a segment that nobody sees: struct hwgw_pipeline *[]."""
    handles = ffi.new("struct hwgw_pipeline *[]", setup.threads)
    cnt = max(1, len(setup.sessions))
    name = f"replay-{os.getpid()}-{next(_serial)}"
    venues = tuple(setup.sessions) if len(setup.sessions) > 1 else ()
    with Segment.create(name, tuple(setup.symbols) * cnt, thread_cnt=setup.threads, venues=venues) as segment:
        Path(f"/dev/shm/hwgw-{name}").unlink()  # noqa: S108 (the mapping stays; whatever happens, nothing is left)
        try:
            for thread in range(setup.threads):
                handles[thread] = _opened(segment, thread, setup)
            yield handles
        finally:
            for handle in handles:
                lib.hwgw_pipeline_close(handle)


def _opened(segment: Segment, thread: int, setup: Setup) -> Any:
    cfg = ffi.new("struct hwgw_pipeline_cfg *")
    keep: list[Any] = []
    sessions = ffi.new("struct hwgw_session_cfg[]", len(setup.sessions))
    for at, (venue, protocol) in zip(sessions, setup.sessions.items(), strict=True):
        at.address, at.port, at.protocol, at.venue = 0x7F000001, 1, protocol, venue.encode()  # nobody connects
        at.username, at.password, at.requested_session = b" " * 6, b" " * 10, b" " * 10
        at.firm, at.capacity, at.display, at.requested_seq = b" " * 4, b"P", b"Y", 1
        at.sender, at.target, at.heartbeat_s = b"GATEWAY", b"VENUE", 10
        at.login_timeout_ms, at.dead_link_ms = 5000, 15000
    chosen = ffi.new("struct hwgw_strategy_cfg[]", max(1, len(setup.strategies)))
    for number, (name, account) in enumerate(setup.strategies.items()):
        keep.append(ffi.new("char[]", name.encode()))
        chosen[number].strategy, chosen[number].name = lib.hwgw_strategy_at(0), keep[-1]
        chosen[number].id, chosen[number].account = number, account
    cfg.segment, cfg.thread, cfg.cpu = segment.pointer, thread, -1
    cfg.books.instrument_cnt, cfg.books.orders_max = len(setup.symbols) * len(setup.sessions), 1024
    cfg.session, cfg.session_cnt = sessions, len(setup.sessions)
    cfg.strategy, cfg.strategy_cnt = chosen, len(setup.strategies)
    handle = ffi.new("struct hwgw_pipeline **")
    call(lib.hwgw_pipeline_open, handle, cfg)
    return handle[0]


def _verified(era: tuple[Block, ...], runs: int) -> Again:
    """What is found in the blocks of an era; runs: of those before it."""
    setup, offsets = Setup(), []  # offsets: by run, what makes its clock that of the day
    for block in era:
        for record in records(block):
            setup.take(record)
            if record.type == "open":
                offsets.append(int(record.open()["clock_offset_ns"]))
    parts, _keep = Replay(era).native()
    result = ffi.new("struct hwgw_replay_result *")
    out = ffi.new("struct hwgw_replay_difference[]", SHOWN)
    against = ffi.new("struct hwgw_error *")
    with pipelines(setup) if setup.has_orders else nullcontext(ffi.NULL) as handles:
        cnt = setup.threads if setup.has_orders else 0
        call(lib.hwgw_replay_verify, parts, len(era), handles, cnt, result, out, SHOWN, against)
    counts = {name: int(getattr(result, name)) for name, _ in ffi.typeof("struct hwgw_replay_result").fields}
    contradiction = ffi.string(against.text).decode() if against.status else ""
    shown = (_difference(out[i], runs, offsets) for i in range(min(SHOWN, counts["differences"])))
    return Again(counts, tuple(shown), setup.has_orders, contradiction)


def proven(files: Sequence[Path]) -> list[Block]:
    """The blocks of consecutive files of one gateway; CheckFailed when they are damaged."""
    if not files:
        raise CheckFailed("no file of a journal")
    proof = verify(files)
    if proof.problem:
        raise CheckFailed(proof.problem)
    return [block for file in files for block in blocks(file)]


def again(files: Sequence[Path]) -> Again:
    """Replay consecutive files of one gateway; CheckFailed when they are damaged or lack what verdicts depend on."""
    return of_blocks(proven(files))


def of_blocks(found: Sequence[Block]) -> Again:
    """Replay proven blocks; CheckFailed when they lack what verdicts depend on."""
    counts: Counter[str] = Counter()
    differences: list[Difference] = []
    is_rebuilt, contradiction = False, ""
    for era in eras(found):
        try:
            part = _verified(era, counts["runs"])
        except CheckFailed as error:
            raise CheckFailed(f"{era[0].file.parent}: {error}") from None
        differences += part.differences
        counts.update(part.counts)
        is_rebuilt |= part.is_rebuilt
        contradiction = contradiction or part.contradiction
    return Again(dict(counts), tuple(differences[:SHOWN]), is_rebuilt, contradiction)


def _difference(row: Any, runs: int, offsets: list[int]) -> Difference:
    reasons = {reason.code: reason.name for reason in specs.reasons()}
    is_price = row.field == lib.HWGW_REPLAY_FIELD_PRICE

    def said(value: int) -> str:
        return f"{value / 10_000:.4f}" if is_price else reasons.get(value, str(value))

    kind = {int(code.value): code.slug for code in specs.load("order").enum("kind").values}
    return Difference(
        runs + row.run, row.thread, row.block, row.seq, row.ts_ns + offsets[row.run - 1],
        kind.get(row.kind, str(row.kind)), row.ref, "price" if is_price else "verdict", said(row.recorded),
        said(row.replayed),
    )  # fmt: skip
