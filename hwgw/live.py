"""A running gateway as NumPy sees it: hwgw.attach(name).

SPDX-License-Identifier: MIT

Everything is read from the shared segment, which costs the gateway nothing and cannot change it. Views show what is
there now, word by word; what must hold together is copied under its lock by top() and tops(). Layouts and units:
hwgw/specs/segment.yaml (prices 1/10,000, quantities shares, times ns).
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import published, specs
from .closing import Closing
from .errors import CheckFailed, UsageError
from .fanout import Events
from .native import lib
from .segment import Segment, gateways
from .telemetry import FeedLog, ledger_rows, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Live", "attach"]


class Live(Closing):
    """What a gateway publishes. Arrays are read-only views of its memory; they stay valid after close()."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self.name: str = segment.name
        self.symbols: tuple[str, ...] = segment.instruments
        self.venues: tuple[str, ...] = segment.venues
        self._index = {symbol: index for index, symbol in enumerate(segment.instruments)}
        with Path(f"/dev/shm/hwgw-{segment.name}").open("rb") as file:  # noqa: S108 (the segment's place)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        head = self._view("segment_header", 0, 1)[0]
        if head["start_ns"] != segment.head["start_ns"] or head["control_pid"] != segment.head["control_pid"]:
            raise CheckFailed(f"{segment.name}: the gateway was replaced while it was attached to; attach again")
        self.head: np.void = head
        cnt = len(self.symbols)
        risk = specs.load("risk")
        self._rows: NDArray[np.void] = self._view("tob", int(head["tob_offset"]), cnt)
        self.positions: NDArray[np.void] = self._view("position", int(head["position_offset"]), cnt)
        """A row per symbol: pos, long_worst, short_worst, open orders, cash, shares bought and sold, fills."""
        self.exposures: NDArray[np.void] = self._view(
            "exposure", int(head["exposure_offset"]), risk.constant("accounts_max") + 1
        )
        """A row per account; the last one is the gateway."""
        self.threads: NDArray[np.void] = self._view("thread", int(head["thread_offset"]), int(head["thread_cnt"]))
        """What each pipeline says of itself."""
        self.channels: NDArray[np.void] = self._view(
            "channel", int(head["channel_offset"]), int(head["thread_cnt"]) * lib.HWGW_CHANNELS_MAX
        ).reshape(int(head["thread_cnt"]), lib.HWGW_CHANNELS_MAX)
        """By pipeline and channel: state, numbers, lines; feeds() has it in words."""
        self._log: FeedLog | None = None

    def _view(self, layout: str, offset: int, cnt: int) -> NDArray[np.void]:
        return np.frombuffer(self._map, specs.dtype("segment", layout), cnt, offset)

    def _open(self) -> Segment:
        if not self._segment.pointer:
            raise UsageError(f"{self.name}: this view of it is closed")
        return self._segment

    @property
    def running(self) -> bool:
        """Whether the gateway still runs; when it does not, what is seen is what it left."""
        return self._open().running()

    def _number(self, symbol: str) -> int:
        try:
            return self._index[symbol]
        except KeyError:
            some = ", ".join(self.symbols[:20])
            raise UsageError(f"symbol {symbol!r}: {self.name} does not subscribe to it; it has {some}") from None

    def top(self, symbol: str) -> np.void:
        """The top of book of a symbol: one consistent copy. CheckFailed when the gateway died while it wrote it."""
        return self._open().tob(self._number(symbol))

    def tops(self) -> NDArray[np.void]:
        """The top of book of every symbol, each row consistent in itself; flags: 1 feed good, 2 trading, 4 crossed."""
        return published.consistent(self._rows, self.symbols, f"{self.name}: the top of book")

    def depth(self, symbol: str) -> NDArray[np.void]:
        """The best levels of a symbol, best first: rows of bid and ask, each px, cnt and qty; 0 where there is none.

        CheckFailed: its configuration has no publish.depth.
        """
        return published.depth(self._open(), self._number(symbol))

    @property
    def features(self) -> NDArray[np.void]:
        """A copy of the features that are shown: a row per symbol with ts_ns, seq, row_cnt and a column per feature.

        CheckFailed: its configuration has no publish.features.
        """
        return published.features(self._open())

    @property
    def feature_names(self) -> dict[str, int | None]:
        """The features that are shown, each with its parameter."""
        return published.feature_names(self._open())

    def position(self, symbol: str) -> np.void:
        """The live row of a symbol in positions."""
        row: np.void = self.positions[self._number(symbol)]
        return row

    def exposure(self) -> dict[str, dict[str, int]]:
        """Money at stake of the gateway ("gateway") and of each account in use (its number), in px x qty units."""
        return self._open().exposure()

    def strategies(self) -> dict[str, dict[str, Any]]:
        """What each strategy has done, by name."""
        return self._open().strategies()

    def counters(self) -> dict[str, int]:
        """Every counter by stage.name, over all pipelines."""
        return self._open().counters()

    def ledgers(self) -> dict[str, bool]:
        """The sums that must hold, by name: True when nothing is unaccounted for (between two frames)."""
        return {row.name: row.exact for row in ledger_rows(self.counters())}

    def latency_ns(self) -> Mapping[str, Mapping[str, int]]:
        """By stage (rx decode book strategy risk order session total): p50, p99, p999, p9999, max, cnt."""
        return self._open().latency_ns()

    def feeds(self) -> list[dict[str, Any]]:
        """Each feed channel: state, numbers, repairs, lines, and its last changes of state."""
        return self._open().channel_status()

    def feed_changes(self) -> Iterator[str]:
        """Changes of state since the last call, a line each, as `hwgw run` writes them."""
        self._log = self._log or FeedLog(self._open())
        return self._log.lines()

    def events(self, *, thread: int = 0, oldest: bool = False) -> Events:
        """What the books are given, from now on or from the oldest record there is. CheckFailed: it shares none."""
        return Events(lambda: self._open().pointer, lambda: self._segment.running(), thread, oldest)

    def status(self) -> dict[str, Any]:
        """All of it as plain values: what `hwgw status --json` shows."""
        return snapshot(self._open())

    def close(self) -> None:
        """Detach. Arrays that were taken stay valid, and live while the gateway does."""
        self._segment.close()


def attach(name: str, *, left_over: bool = False) -> Live:
    """Look into a running gateway of this host; use it as a context.

    left_over: also into what a gateway that is gone has left. UsageError: there is none of that name (the text names
    those there are); CheckFailed: it does not run; PrivilegeError: its memory may not be read.
    """
    known = gateways()
    if name not in known:
        raise UsageError(f"no gateway {name!r} on this host; there are {', '.join(known) or 'none'}")
    segment = Segment.attach(name)
    try:
        if not left_over and not segment.running():
            raise CheckFailed(f"gateway {name!r} does not run: what is there was left over (left_over=True shows it)")
        return Live(segment)
    except BaseException:
        segment.close()
        raise
