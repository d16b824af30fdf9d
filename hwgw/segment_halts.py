"""Halts of a gateway, of its instruments and of its venues: said, taken back, listed.

SPDX-License-Identifier: MIT

All of it is words of the shared segment that a control tool may write: it works while the gateway's Python is stopped,
hung or gone. A halt keeps the record of who said it first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import specs
from .closing import Closing
from .errors import UsageError
from .native import lib
from .segment_rows import field_text, view

__all__ = ["Halts"]


def _reason_code(name: str) -> int:
    for entry in specs.reasons():
        if entry.name == name and entry.code:
            return entry.code
    names = ", ".join(entry.name for entry in specs.reasons() if entry.code)
    raise UsageError(f"halt reason {name!r}: unknown; allowed: {names}")


class Halts(Closing):
    """The part of Segment that halts; everything else of it is in segment.py."""

    _pointer: Any
    name: str
    control: np.void
    threads: np.ndarray[Any, Any]
    symbols: tuple[str, ...]
    instrument_cnt: int

    @property
    def venues(self) -> tuple[str, ...]:
        """The names of several venues; empty when there is one."""
        thread = self.threads[0]
        names = [bytes(row["venue"]).rstrip(b"\0").decode("ascii", "replace") for row in thread["session"]]
        return tuple(names[: int(thread["session_cnt"])]) if int(thread["session_cnt"]) > 1 else ()

    def halt(self, text_: str, reason: str = "operator") -> bool:
        """Add a reason to those the gateway is halted for; False when it is one of them already (its record stays)."""
        return bool(lib.hwgw_halt(self._pointer, _reason_code(reason), text_.encode()[:95]))

    def halt_wait(self, seconds: float) -> bool:
        """Wait until no order that was judged before the last halt or resume is on its way; False after so long."""
        return bool(lib.hwgw_halt_wait(self._pointer, int(seconds * 1e9)))

    def halt_listen(self, seq: int, seconds: float) -> int:
        """Sleep until there are not seq halts and resumes any more, for so long at most; how many there are."""
        return int(lib.hwgw_halt_listen(self._pointer, seq, int(seconds * 1e9)))

    def resume(self, *reasons: str) -> tuple[str, ...]:
        """Take reasons (all of them when none is named) from those it is halted for; the ones that were among them."""
        mask = sum(1 << _reason_code(reason) for reason in set(reasons)) if reasons else 2**32 - 1
        cleared = int(lib.hwgw_resume(self._pointer, mask))
        return tuple(entry.name for entry in specs.reasons() if cleared >> entry.code & 1)

    @property
    def halts(self) -> tuple[dict[str, Any], ...]:
        """What the gateway is halted for, oldest first: reason, text, time_ns, uid and pid of who said so."""
        mask = int(self.control["halt"])
        records = self.control["halt_record"] if mask else ()
        rows = [self._record(records[entry.code], entry.name) for entry in specs.reasons() if mask >> entry.code & 1]
        return tuple(sorted(rows, key=lambda row: row["time_ns"]))

    def _record(self, row: Any, reason: str) -> dict[str, Any]:
        return {
            "reason": reason,
            "text": field_text(row["text"]),
            "time_ns": int(row["ts_ns"]),
            "uid": int(row["uid"]),
            "pid": int(row["pid"]),
        }

    @property
    def instrument_halts(self) -> dict[str, dict[str, Any]]:
        """The instruments that are halted, by symbol, with the record as in halts."""
        rows = view(lib.hwgw_segment_instrument_halt(self._pointer, 0), "halt_record", self.instrument_cnt)
        words = self.control["instrument_halt"].tolist()
        names = specs.reasons()
        return {
            symbol: self._record(rows[i], names[int(rows[i]["reason"])].name)
            for i, symbol in enumerate(self.symbols)
            if words[i // 64] >> i % 64 & 1
        }

    def instrument(self, symbol: str) -> int:
        """The number of a symbol; UsageError when the gateway does not have it."""
        if symbol not in self.symbols:
            raise UsageError(f"{self.name} has no symbol {symbol!r}; it has {', '.join(self.symbols[:20])}")
        return self.symbols.index(symbol)

    def halt_instrument(self, symbol: str, text_: str) -> bool:
        """Halt one instrument; False when it is halted already (its record stays)."""
        number, reason = self.instrument(symbol), _reason_code("operator")
        return bool(lib.hwgw_halt_instrument(self._pointer, number, reason, text_.encode()[:95]))

    def resume_instrument(self, symbol: str) -> bool:
        """Let the orders of one instrument pass again; False when it was not halted."""
        return bool(lib.hwgw_resume_instrument(self._pointer, self.instrument(symbol)))

    @property
    def venue_halts(self) -> dict[str, dict[str, Any]]:
        """The venues that are halted, by name, with the record as in halts."""
        mask, rows = int(self.control["venue_halt"]), self.control["venue_halt_record"]
        return {venue: self._record(rows[i], "operator") for i, venue in enumerate(self.venues) if mask >> i & 1}

    def venue(self, name: str) -> int:
        """The number of a venue; UsageError when the gateway does not have it."""
        if name not in self.venues:
            has = f"it has {', '.join(self.venues)}" if self.venues else "it has one session: halt the gateway"
            raise UsageError(f"{self.name} has no venue {name!r}; {has}")
        return self.venues.index(name)

    def halt_venue(self, venue: str, text_: str) -> bool:
        """Halt one venue: no order goes there; False when it is halted already (its record stays)."""
        return bool(lib.hwgw_halt_venue(self._pointer, self.venue(venue), text_.encode()[:95]))

    def resume_venue(self, venue: str, text_: str = "resumed") -> bool:
        """Let orders go to a venue again; False when it was not halted."""
        return bool(lib.hwgw_resume_venue(self._pointer, self.venue(venue), text_.encode()[:95]))

    @property
    def halted(self) -> dict[str, Any] | None:
        """The oldest of the halts; None when the gateway is not halted."""
        return next(iter(self.halts), None)
