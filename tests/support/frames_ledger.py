"""What a journal's messages of the venue add up to: orders, positions and cash by the published layouts alone.

SPDX-License-Identifier: MIT

It shares no code with the session, the gate or their tables, so that a mistake there cannot hide here.
"""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path
from typing import Any

from hwgw import journal


class FramesLedger:
    """Reads on where it stopped; everything since the first file counts."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.read: dict[Path, int] = {}
        self.next_seq = 1
        self.kinds: Counter[str] = Counter()
        self.open: dict[int, int] = {}
        self.terms: dict[int, tuple[str, int]] = {}  # symbol, sign
        self.positions: Counter[str] = Counter()
        self.cash = 0
        self.executed_shares = 0
        self.last_ref = 0
        self.refs = 0
        self.runs = 0

    def catch_up(self) -> FramesLedger:
        for file in journal.files_of(self.folder, self.name):
            for block in journal.blocks(file, self.read.get(file, 0)):
                self.read[file] = block.end
                for record in journal.records(block):
                    self._record(record)
        return self

    def _record(self, record: Any) -> None:
        if record.type == "open":
            self.runs += 1
        elif record.type == "venue":
            (seq,) = struct.unpack_from("<Q", record.payload)
            assert seq == self.next_seq, f"message {seq} is on record where {self.next_seq} belongs"
            self.next_seq += 1
            self._message(bytes(record.payload[16:]))
        elif record.type == "gate" and record.payload[0] in (1, 2) and record.verdict == 0:
            (ref,) = struct.unpack_from("<I", record.payload, 8)
            assert ref > self.last_ref, f"reference {ref} after {self.last_ref}"
            self.last_ref, self.refs = ref, self.refs + 1

    def _message(self, m: bytes) -> None:
        kind = chr(m[0])
        self.kinds[kind] += 1
        if kind in "AU":
            shift = 0 if kind == "A" else 4
            side, qty, symbol = struct.unpack_from(">cI8s", m, 13 + shift)
            (ref,) = struct.unpack_from(">I", m, 9 + shift)
            state = m[47 + shift : 48 + shift]
            if kind == "U":
                del self.open[struct.unpack_from(">I", m, 9)[0]]
            self.terms[ref] = symbol.decode().strip(), 1 if side == b"B" else -1
            if state == b"L":
                self.open[ref] = qty
        elif kind == "E":
            ref, qty, px = struct.unpack_from(">IIQ", m, 9)
            symbol, sign = self.terms[ref]
            self.positions[symbol] += sign * qty
            self.cash -= sign * qty * px
            self.executed_shares += qty
            self._less(ref, qty)
        elif kind in "CD":
            self._less(*struct.unpack_from(">II", m, 9))
        elif kind == "J":
            assert struct.unpack_from(">I", m, 9)[0] not in self.open
        else:
            assert kind in "SQ", kind

    def _less(self, ref: int, qty: int) -> None:
        self.open[ref] -= qty
        assert self.open[ref] >= 0
        if not self.open[ref]:
            del self.open[ref]

    def assert_agrees(self, report: dict[str, Any], user: str = "DEMO") -> None:
        """Orders by what became of them, positions and cash are those of an exchange's report at its end."""
        self.catch_up()
        orders, account = report["orders"], report["users"][user]
        names = {"A": "accepted", "U": "replaced", "C": "canceled", "E": "executed", "J": "rejected"}
        assert {name: self.kinds[kind] for kind, name in names.items()} == {n: orders[n] for n in names.values()}
        assert (self.flat(), self.cash) == (dict(sorted(account["positions"].items())), account["cash"])

    def flat(self) -> dict[str, int]:
        return {symbol: position for symbol, position in sorted(self.positions.items()) if position}
