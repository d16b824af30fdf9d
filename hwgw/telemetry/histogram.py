"""Latencies of a gateway in steps of 1, 2 and 5, over all of its pipelines.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ..native import ffi, lib
from ..segment import STAGES, Segment

__all__ = ["BUCKETS_NS", "StageHistogram", "histograms"]

BUCKETS_NS = [step * 10**power for power in range(1, 9) for step in (1, 2, 5)]  # 10 ns to 500 ms


@dataclass(frozen=True, slots=True)
class StageHistogram:
    """upto[i] of cnt samples took at most BUCKETS_NS[i]; what is recorded meanwhile only makes a later one larger."""

    upto: list[int]
    cnt: int
    sum_ns: float

    @property
    def steps(self) -> list[int]:
        """Samples of each step alone; the last is those beyond all bounds."""
        edges = [0, *self.upto, self.cnt]
        return [after - before for before, after in itertools.pairwise(edges)]


def histograms(segment: Segment) -> dict[str, StageHistogram]:
    """By stage; read lowest step first."""
    hist = ffi.new("char[]", lib.hwgw_hist_sz_bytes())
    merged = ffi.cast("struct hwgw_hist *", hist)
    rate = int(segment.head["tsc_hz"]) / 1e9
    found = {}
    for index, stage in enumerate(STAGES):
        ffi.memmove(hist, bytes(len(hist)), len(hist))
        for thread in range(segment.thread_cnt):
            lib.hwgw_hist_merge(merged, lib.hwgw_segment_hist(segment.pointer, thread, index))
        upto = [int(lib.hwgw_hist_upto(merged, round(ns * rate))) for ns in BUCKETS_NS]
        found[stage] = StageHistogram(
            upto, max(int(lib.hwgw_hist_cnt(merged)), upto[-1]), lib.hwgw_hist_sum(merged) / rate
        )
    return found
