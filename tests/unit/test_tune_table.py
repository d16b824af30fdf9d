"""The table of knobs: every row is whole, every knob can be explained, every word of it means something.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hwgw.cli import execute
from hwgw.errors import UsageError
from hwgw.tune import expand, profile, table
from hwgw.tune.knob import COMPARE, actuator

# one or more of every group of the catalogue that the table was made from
SAMPLE = {
    "cpu.governor": "file", "vm.dirty_bytes": "sysctl", "irq.devices": "irq", "nic.channels": "nic",
    "boot.isolcpus": "cmdline",
    "irq.irqbalance": "service", "kernel.threads": "thread", "cpu.dma_latency": "hold", "firmware.smi_rate": "report",
}  # fmt: skip


def test_every_knob_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Where, what, why, risk, verification, undo and source of each; as text and as JSON."""
    assert len(table.knobs()) >= 290
    assert execute(["tune", "explain", "--json", *table.knobs()]) == 0
    said = json.loads(capsys.readouterr().out)["knobs"]
    assert [row["knob"] for row in said] == list(table.knobs())
    for row in said:
        for key in ("place", "class", "risk", "reason", "verify", "undo", "source", "group"):
            assert len(row[key]) > 2, (row["knob"], key)
    assert execute(["tune", "explain", *table.knobs()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line in table.knobs() for line in lines) == len(table.knobs())
    assert max(map(len, lines)) <= 100
    assert execute(["tune", "explain"]) == 0
    assert capsys.readouterr().out.count("\n") > len(table.knobs())


def test_kinds_compare_and_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Every kind but report has something that reads and writes it."""
    assert {name: table.knobs()[name].kind for name in SAMPLE} == SAMPLE
    for knob in table.knobs().values():
        assert knob.compare in COMPARE
        if knob.kind != "report":
            assert actuator(knob.kind)
        if knob.kind == "report":
            assert knob.want is None, f"{knob.name} is never written: nothing can be recommended"
    words = set(re.findall(r"\$([a-z_0-9]+)", " ".join(knob.want or "" for knob in table.knobs().values())))
    assert words <= set(expand.WORDS)
    assert len(words) > 8


def test_a_knob_is_found_by_its_place_and_a_typing_mistake_is_named() -> None:
    """People know the sysctl, not our name for it."""
    assert table.get("net.core.busy_poll").name == "net.busy_poll"
    with pytest.raises(UsageError, match=r"cpu.govenor: no such knob \(did you mean cpu.governor"):
        table.get("cpu.govenor")


def test_no_shipped_profile_gives_up_a_protection() -> None:
    """Mitigations are the site's decision; knobs of high risk too."""
    for name in profile.SHIPPED:
        for knob in profile.load(name).knobs:
            assert not knob.startswith("security.")
            assert table.knobs()[knob].risk != "high", (name, knob)


def test_page_is_that_of_the_table(root: Path) -> None:
    """`make docs` writes it."""
    assert (root / "docs/KNOBS.md").read_text(encoding="utf-8") == "\n".join(table.page()).rstrip() + "\n"
