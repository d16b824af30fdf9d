"""docs/notebook.md: its cells are those of notebook.py, they run, print what the page says, and draw a picture.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import importlib.util
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from support.desk import SYMBOLS
from support.feed import data_file
from support.rig import Rig

import hwgw


def blocks(root: Path, language: str) -> list[str]:
    page = (root / "docs" / "notebook.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_the_cells_of_the_page_are_those_of_the_file(root: Path) -> None:
    cells = (root / "docs" / "notebook.py").read_text(encoding="utf-8").split("# %% ")[1:]
    code = [cell.partition("\n")[2].strip() for cell in cells]
    assert [block.strip() for block in blocks(root, "python")[: len(code)]] == code
    assert len(code) == 4


def test_the_cells_run_and_print_what_the_page_says(root: Path, shared: Path, tmp_path: Path) -> None:
    if not importlib.util.find_spec("matplotlib"):
        pytest.skip("needs the package matplotlib")
    picture = tmp_path / "notebook.png"
    path = data_file(shared, "itch50/aapl_20200130_first10k.itch50")
    environment = {**os.environ, "MPLCONFIGDIR": str(root / "build" / "matplotlib")}  # it keeps its list of fonts there
    command = [sys.executable, root / "docs" / "notebook.py", path, picture]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [block.strip() for block in blocks(root, "text")]
    raw, shown = picture.read_bytes(), (root / "docs" / "notebook.png").read_bytes()
    assert raw[:8] == shown[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", raw[16:24]) == struct.unpack(">II", shown[16:24])
    assert len(raw) > 20_000


def test_the_cell_on_a_running_gateway_runs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Rig(SYMBOLS, hold_max=64) as rig:
        rig.quote()
        rig.publish()
        attach = hwgw.attach

        def here(_: str) -> object:
            return attach(rig.segment.name, left_over=True)

        code = blocks(root, "python")[-1]
        try:
            hwgw.attach = here  # the rig is of this process, and has another name
            exec(compile(code, "notebook.md", "exec"), {})
        finally:
            del hwgw.attach
    assert capsys.readouterr().out.startswith("AAPL 0.02 good\n")
