"""What the next run of a gateway is rebuilt from: the proven blocks of its journal, from where it was last begun anew.

SPDX-License-Identifier: MIT

The chain of blocks, their hashes and the torn ends that crashes leave are proven here; what the records say is told
again to gate and session by the pipeline (cffi_build/src/pipeline_restore.c), which proves that it makes sense.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CheckFailed
from ..native import ffi
from .files import Block, Damaged, Report, blocks, files_of, records
from .files import _Chain as Chain

__all__ = ["Replay", "replay"]

ANEW = "to trade without what it holds: hwgw run CONFIG --anew REASON"


@dataclass(frozen=True, slots=True)
class Replay:
    """Proven blocks, oldest first."""

    blocks: tuple[Block, ...] = ()

    @property
    def records(self) -> int:
        """How many records there are."""
        return sum(block.record_cnt for block in self.blocks)

    def native(self) -> tuple[Any, list[Any]]:
        """struct hwgw_replay_part[], and what must live as long as it."""
        keep = [ffi.from_buffer(block.body) for block in self.blocks]
        parts = ffi.new("struct hwgw_replay_part[]", max(1, len(self.blocks)))
        for part, block, data in zip(parts, self.blocks, keep, strict=False):
            part.data, part.len, part.record_cnt, part.block = data, len(block.body), block.record_cnt, block.seq
        return parts, keep


def _opening(block: Block) -> Any:
    """What the block's record of type open says; None when it does not begin a run."""
    first = next(records(block), None)
    return first.open() if first is not None and first.type == "open" else None


def _from_where(files: list[Path]) -> int:
    """The file with which the last run begins that was told to begin anew, or 0."""
    for index in range(len(files) - 1, -1, -1):
        try:
            first = next(blocks(files[index], limit=1), None)
        except Damaged:
            continue  # said below, when it counts
        opening = _opening(first) if first else None
        if opening is not None and int(opening["is_anew"]):
            return index
    return 0


def _proven(files: list[Path]) -> list[Block]:
    chain, found, left = Chain(Report()), [], 0
    for number, file in enumerate(files):
        own = list(blocks(file))
        for index, block in enumerate(own):
            chain.link(block)
            opening = _opening(block) if index == 0 else None
            if opening is None and index == 0 and left:
                raise Damaged(f"{files[number - 1]}: ends with {left} bytes that are no block")
            if opening is not None and number and int(opening["torn_bytes"]) != left:
                raise Damaged(f"{file}: says that {opening['torn_bytes']} torn bytes are before it; there are {left}")
            if number == 0 and index == 0 and block.seq != 1 and (opening is None or not int(opening["is_anew"])):
                raise Damaged(f"{file}: begins with block {block.seq}: what was before it is missing")
        found += own
        left = file.stat().st_size - (own[-1].end if own else 0)
    return found


def replay(folder: Path, name: str) -> Replay:
    """Read and prove what the journal of a gateway holds; CheckFailed when it cannot be trusted."""
    files = files_of(folder, name)
    try:
        return Replay(tuple(_proven(files[_from_where(files) :])))
    except Damaged as error:
        raise CheckFailed(f"{error}; {ANEW}") from None
