"""A recorded day through the gate once more: every verdict must come out as it did; and through the model of orders.

SPDX-License-Identifier: MIT

The chain of blocks is proven first, to its end; a journal that was not closed is taken as far as it goes. What is
compared, and what is taken from the record, is the contract of cffi_build/src/replay.c. The model of orders is the
session's: what the venue's messages make of each order must be what the gate was told (pipeline_restore.c, which a
start after a crash goes through). FIX sessions are not: which identifiers they had is not on record.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import specs
from ..errors import CheckFailed
from ..native import call, ffi, lib
from ..segment import Segment
from .files import Block, Record, blocks, records, verify
from .restore import Replay

__all__ = ["Again", "Difference", "again", "orders"]

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
    """What a replay found; counts: struct hwgw_replay_result."""

    counts: dict[str, int]
    differences: tuple[Difference, ...]

    @property
    def compared(self) -> int:
        """Orders, cancels and events that were judged again."""
        return self.counts["orders"] + self.counts["cancels"] + self.counts["events"]


_OUCH = (lib.HWGW_PROTOCOL_OUCH50, lib.HWGW_PROTOCOL_OUCH42)
_serial = itertools.count()


@dataclass(slots=True)
class _Setup:
    """What the pipeline of the runs was made of, as the records say it."""

    symbols: dict[str, None] = field(default_factory=dict)
    strategies: dict[str, int] = field(default_factory=dict)  # name -> account
    sessions: dict[int, tuple[bytes, int]] = field(default_factory=dict)  # venue and protocol by number
    threads: int = 1
    messages: int = 0

    def take(self, record: Record) -> None:
        if record.type == "open":
            self.threads = int(record.open()["thread_cnt"])
        elif record.type == "symbols":
            raw = bytes(record.payload)
            self.symbols |= dict.fromkeys(raw[at : at + 8].decode("ascii").rstrip() for at in range(0, len(raw), 8))
        elif record.type == "strategy":
            row = record.fields()
            self.strategies[str(row["name"])] = int(row["account"])
        elif record.type == "session":
            row = record.fields()
            self.sessions[int(row["number"])] = str(row["name"]).encode(), int(row["protocol"])
        elif record.type == "venue":
            self.messages += 1


def orders(files: Sequence[Path]) -> int | None:
    """Rebuild every order from the venue's messages; how many these are, None where the journal has no OUCH session.

    CheckFailed where an event that the gate was told of is not what they say.
    """
    found = [block for file in files for block in blocks(file)]
    begins = [index for index, block in enumerate(found) if _is_anew(block)]
    part = Replay(tuple(found[begins[-1] :] if begins else found))
    setup = _Setup()
    for block in part.blocks:
        for record in records(block):
            setup.take(record)
    if not setup.sessions or any(protocol not in _OUCH for _, protocol in setup.sessions.values()):
        return None
    cnt = len(setup.sessions)
    name = f"replay-{os.getpid()}-{next(_serial)}"
    venues = tuple(venue.decode() for venue, _ in setup.sessions.values()) if cnt > 1 else ()
    with Segment.create(name, tuple(setup.symbols) * cnt, thread_cnt=setup.threads, venues=venues) as segment:
        Path(f"/dev/shm/hwgw-{name}").unlink()  # noqa: S108 (the mapping stays; whatever happens, nothing is left)
        for thread in range(setup.threads):
            _rebuild(segment, thread, setup, part)
    return setup.messages


def _is_anew(block: Block) -> bool:
    first = next(records(block), None)
    return first is not None and first.type == "open" and bool(int(first.open()["is_anew"]))


def _rebuild(segment: Segment, thread: int, setup: _Setup, part: Replay) -> None:
    cfg = ffi.new("struct hwgw_pipeline_cfg *")
    keep: list[Any] = [cfg, *part.native()]
    sessions = ffi.new("struct hwgw_session_cfg[]", len(setup.sessions))
    for number, (venue, protocol) in setup.sessions.items():
        at = sessions[number]
        at.address, at.port, at.protocol, at.venue = 0x7F000001, 1, protocol, venue  # nobody connects
        at.username, at.password, at.requested_session = b" " * 6, b" " * 10, b" " * 10
        at.firm, at.capacity, at.display, at.requested_seq = b" " * 4, b"P", b"Y", 1
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
    cfg.replay, cfg.replay_cnt = keep[1], len(part.blocks)
    handle = ffi.new("struct hwgw_pipeline **")
    call(lib.hwgw_pipeline_open, handle, cfg)
    lib.hwgw_pipeline_close(handle[0])


def _offsets(files: Sequence[Path]) -> list[int]:
    """By run: what makes a gateway clock the time of day."""
    found = []
    for file in files:
        for block in blocks(file):
            first = next(records(block), None)
            if first is not None and first.type == "open":
                found.append(int(first.open()["clock_offset_ns"]))
    return found


def again(files: Sequence[Path]) -> Again:
    """Replay consecutive files of one gateway; CheckFailed when they are damaged or lack what verdicts depend on."""
    if not files:
        raise CheckFailed("no file of a journal")
    proof = verify(files)
    if proof.problem:
        raise CheckFailed(proof.problem)
    parts, _keep = Replay(tuple(block for file in files for block in blocks(file))).native()
    result = ffi.new("struct hwgw_replay_result *")
    out = ffi.new("struct hwgw_replay_difference[]", SHOWN)
    cnt = proof.blocks
    try:
        call(lib.hwgw_replay_verify, parts, cnt, result, out, SHOWN)
    except CheckFailed as error:
        raise CheckFailed(f"{files[0].parent}: {error}") from None
    counts = {name: int(getattr(result, name)) for name, _ in ffi.typeof("struct hwgw_replay_result").fields}
    offsets = _offsets(files)
    shown = tuple(_difference(out[i], offsets) for i in range(min(SHOWN, counts["differences"])))
    return Again(counts, shown)


def _difference(row: Any, offsets: list[int]) -> Difference:
    reasons = {reason.code: reason.name for reason in specs.reasons()}
    is_price = row.field == lib.HWGW_REPLAY_FIELD_PRICE

    def said(value: int) -> str:
        return f"{value / 10_000:.4f}" if is_price else reasons.get(value, str(value))

    kind = {int(code.value): code.slug for code in specs.load("order").enum("kind").values}
    return Difference(
        row.run, row.thread, row.block, row.seq, row.ts_ns + offsets[row.run - 1], kind.get(row.kind, str(row.kind)),
        row.ref, "price" if is_price else "verdict", said(row.recorded), said(row.replayed),
    )  # fmt: skip
