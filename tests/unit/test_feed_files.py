"""Whole files from Python: bounded memory, a bar for people only, Arrow and Parquet of rows.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hwgw_sim.stream import Stream
from support.feed import data_file

import hwgw
from hwgw.cli import execute
from hwgw.feeds import progress
from hwgw.feeds.source import BATCH_BYTES, open_source

MEMORY = """
import json, resource, sys
import hwgw
cnt = sum(len(columns["seq"]) for batch in hwgw.decode(sys.argv[1]) for columns in batch.values())
rows = sum(len(batch) for batch in hwgw.books(sys.argv[1], ["S0000001"], depth=3, orders_max=10_000))
rows += sum(len(batch) for batch in hwgw.features(sys.argv[1], ["imbalance:5", "ofi"], orders_max=10_000))
print(json.dumps([cnt, rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path, seed: int) -> None:
    """The bytes of 2 batches and of 10: the same peak, but for a quarter of the difference."""
    told = []
    with Stream(seed, 20, live_max=2000) as stream:
        for number, batches in enumerate((2, 8)):
            path = tmp_path / f"{number}.itch50"
            cnt = 0
            with path.open("wb") as file:
                if number:
                    file.write((tmp_path / "0.itch50").read_bytes())
                    cnt = told[0][0]
                while file.tell() < (batches + 2 * number) * BATCH_BYTES:
                    file.write(stream.records(50_000))
                    cnt += 50_000
            ran = subprocess.run([sys.executable, "-c", MEMORY, path], capture_output=True, text=True, timeout=120)
            assert ran.returncode == 0, ran.stderr
            told.append(json.loads(ran.stdout))
            assert told[-1][0] == cnt, "every message was decoded"
            assert ran.stderr == "", "no bar where nobody looks"
    sizes = [(tmp_path / f"{number}.itch50").stat().st_size for number in range(2)]
    assert sizes[1] - sizes[0] > 7 * BATCH_BYTES
    assert told[1][1] > told[0][1] > 1000
    grown = 1024 * (told[1][2] - told[0][2])
    assert grown < (sizes[1] - sizes[0]) / 4, f"{grown} bytes more for {sizes[1] - sizes[0]} more of file"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", ["itch50/aapl_20200130_first10k.itch50", "mold/aapl_20200130_first10k.mold.pcap"])
def test_the_bar_is_drawn_on_a_terminal_when_it_takes_long_and_leaves_the_line_clean(
    shared: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    told: dict[Any, str] = {}
    for wanted, stream in ((None, Terminal()), (None, io.StringIO()), (False, Terminal())):
        source = open_source(data_file(shared, kind))
        cnt = sum(len(batch) for batch in progress.batches(source, progress=wanted, stream=stream))
        assert cnt == 10_000
        told[wanted, stream.isatty()] = stream.getvalue()
    drawn = told.pop((None, True))
    assert set(told.values()) == {""}
    assert "[##############################] 100%  10,000 messages" in drawn
    assert drawn.endswith("\r\x1b[K")


def test_a_quick_file_has_no_bar(shared: Path) -> None:
    stream = Terminal()
    assert list(progress.batches(open_source(data_file(shared, "itch50/aapl_20200130_first10k.itch50")),
                                 progress=None, stream=stream))  # fmt: skip
    assert stream.getvalue() == ""


def test_quiet_silences_the_bar_of_the_command_line(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    path = data_file(shared, "itch50/aapl_20200130_first10k.itch50")
    said = []
    for quiet in ([], ["-q"]):
        main, terminal = pty.openpty()
        with os.fdopen(terminal, "w") as stream:
            monkeypatch.setattr(sys, "stderr", stream)
            arguments = ["decode", *quiet, "--format", "csv", "--output", str(tmp_path / "out.csv"), str(path)]
            assert execute(arguments) == 0
            stream.write(".")
            stream.flush()
            said.append(os.read(main, 65_536))
        os.close(main)
    assert b"10,000 messages" in said[0]
    assert said[1] == b"."


def test_rows_as_arrow_and_parquet_are_the_rows(shared: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the package pyarrow")
    path = data_file(shared, "itch50/aapl_20200130_first10k.itch50")
    compared = 0
    for make in (
        lambda: hwgw.books(path),
        lambda: hwgw.books(path, ["AAPL"], depth=3),
        lambda: hwgw.features(path, ["spread", "imbalance:3"]),
    ):
        rows = np.concatenate(list(make()))
        make().parquet(tmp_path / "rows.parquet")
        table = parquet.read_table(tmp_path / "rows.parquet")
        assert table.column_names == list(rows.dtype.names)
        assert sum(len(each) for each in make().arrow()) == len(table) == len(rows)
        for name in rows.dtype.names:
            assert table[name].to_pylist() == rows[name].tolist()
            compared += rows[name].size
    assert compared > 3 * 1500 * 6
