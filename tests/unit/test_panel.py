"""The demo's panel is whole on a terminal of 80 x 24, also when its numbers are large.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import io
import os

import pytest
from rich.console import Console

from hwgw import specs
from hwgw.demo.panel import Panel
from hwgw.segment import Segment


@pytest.mark.parametrize("symbol_cnt", [1, 8])
def test_panel_is_whole_in_80_by_24(monkeypatch: pytest.MonkeyPatch, symbol_cnt: int) -> None:
    names = [counter.full_name for counter in specs.counters() if counter.full_name != "none.none"]
    counters = {name: 0 if "drop_" in name or "refused_" in name else 12_345_678 for name in names}
    latency = {stage: dict.fromkeys(("p50", "p99", "p999", "max", "cnt"), 99_999_999) for stage in (
        "rx", "decode", "book", "strategy", "risk", "order", "session", "total",
    )}  # fmt: skip
    counters |= {name: 123_456 for name in names if name.startswith("session.")}
    monkeypatch.setattr(Segment, "counters", lambda _: counters)
    monkeypatch.setattr(Segment, "latency_ns", lambda _: latency)
    with Segment.create(f"panel-{os.getpid()}", [f"SIM{index:05d}" for index in range(symbol_cnt)]) as segment:
        segment.positions["pos"] = -123_456
        text = io.StringIO()
        console = Console(file=text, width=80, height=24, force_terminal=True, color_system=None)
        console.print(Panel(segment, "hwgw demo: 8 symbols, 100,000 messages/s, afxdp", 86_400))
    lines = text.getvalue().splitlines()
    assert len(lines) <= 24
    assert {len(line) for line in lines} == {80}
    whole = "\n".join(lines)
    assert "…" not in whole
    assert whole.count("12,345,678") == 5
    assert whole.count("100,000 ") == 4 * 8 + 1  # and one in the title
    assert whole.count(" -123,456 ") == min(symbol_cnt, 4)
    assert "123,456 rejected" in whole
