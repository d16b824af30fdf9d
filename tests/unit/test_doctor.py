"""`hwgw doctor` says what is there, what is not and what to do, and changes nothing.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hwgw import cli, doctor, native

Run = Callable[..., subprocess.CompletedProcess[str]]
NAMES = {
    "kernel", "cpu", "tsc", "clocksource", "isolated cpus", "build", "privileges", "memlock", "huge pages",
    "shared memory", "ip", "ethtool", "backend afxdp", "backend packet", "backend udp", "backend pcap",
    "backend dpdk", "backend card", "pinning", "priority", "locked memory", "power states", "memory nodes",
    "huge segment",
}  # fmt: skip


def test_every_row_is_there_and_those_that_are_not_ok_say_what_to_do(hwgw: Run) -> None:
    done = hwgw("doctor", "--json")
    result = json.loads(done.stdout)
    assert result["schema"] == "hwgw.doctor/1"
    rows = {row["name"]: row for row in result["rows"]}
    assert len(rows) == len(result["rows"])
    assert set(rows) == NAMES
    for row in rows.values():
        assert row["status"] in ("ok", "warn", "fail")
        assert bool(row["todo"]) == (row["status"] != "ok"), row
        assert row["value"]
    assert sum(result["summary"].values()) == len(rows)
    assert done.returncode == (1 if result["summary"]["fail"] else 0)


def test_row_that_fails_makes_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    row = doctor.Row("tsc", doctor.FAIL, "without nonstop_tsc", "another machine")
    monkeypatch.setattr(doctor, "examine", lambda: (row,))
    assert cli.execute(["doctor"]) == 1
    assert "fail  tsc" in capsys.readouterr().out


@pytest.mark.root
@pytest.mark.afxdp
def test_afxdp_is_really_tried_and_leaves_nothing_behind() -> None:
    before = sorted(Path("/sys/class/net").iterdir())
    (row,) = (row for row in doctor._backends() if row.name == "backend afxdp")
    assert row.status == "ok"
    assert row.value.startswith(f"{doctor.PROBE_FRAMES} of {doctor.PROBE_FRAMES} packets")
    assert sorted(Path("/sys/class/net").iterdir()) == before


@pytest.mark.root
def test_user_without_capabilities_gets_warnings_and_no_failure() -> None:
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    if subprocess.run([*nobody, sys.executable, "-c", "import hwgw"], capture_output=True, check=False).returncode:
        pytest.skip("needs a source tree and an interpreter that another user can read")
    command = [*nobody, sys.executable, "-m", "hwgw.cli", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["privileges"]["status"] == "warn"
    assert "CAP_NET_RAW" in rows["privileges"]["todo"]
    assert rows["backend afxdp"]["status"] == "warn"
    assert rows["backend udp"]["status"] == "ok"


def test_build_without_afxdp_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    build = native.build() | {"xdp_missing": "clang was not found at build time"}
    monkeypatch.setattr(native, "build", lambda: build)
    row = doctor._build()
    assert row.status == "warn"
    assert row.value.endswith("without AF_XDP: clang was not found at build time")


def test_unusable_shared_memory_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    row = next(row for row in doctor._memory() if row.name == "shared memory")
    assert row.status == "fail"
