"""A recorded day through the gate once more: every verdict must come out as it did.

SPDX-License-Identifier: MIT

The chain of blocks is proven first, to its end; a journal that was not closed is taken as far as it goes. What is
compared, and what is taken from the record, is the contract of cffi_build/src/replay.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import specs
from ..errors import CheckFailed
from ..native import call, ffi, lib
from .files import blocks, records, verify
from .restore import Replay

__all__ = ["Again", "Difference", "again"]

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
