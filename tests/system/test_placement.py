"""Where a gateway runs and lies: what it says of itself is what the kernel says; what is refused is said with a reason.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.market import Market, until

LATENCY = Path("/dev/cpu_dma_latency")
CPU = max(os.sched_getaffinity(0))
PRIORITY, LATENCY_US = 7, 33
NOBODY_ASKS_US = 2_000_000_000

pytestmark = pytest.mark.root


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    with Market(tmp_path) as market:
        yield market


def start(market: Market, pipeline: dict[str, Any], placement: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start a gateway with these keys of its pipeline and of its placement."""
    path = market.config()
    settings = yaml.safe_load(path.read_text())
    settings["pipelines"][0].update(pipeline)
    settings["placement"] = placement
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return market.start_file(path)


def latency_us() -> int:
    """What the kernel holds power states to."""
    return int(struct.unpack("=i", LATENCY.read_bytes()[:4])[0])


def status(pid: int) -> dict[str, str]:
    return dict(re.findall(r"^(\w+):\s+(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))


def test_what_is_had_is_what_the_kernel_says(market: Market, hwgw) -> None:
    before = latency_us()
    process = start(market, {"cpu": CPU, "fifo_priority": PRIORITY}, {"cpu_dma_latency_us": LATENCY_US})
    with market.attached() as segment:
        (row,) = segment.thread_status()
        tid, pid = row["tid"], int(segment.head["data_pid"])
        assert os.sched_getaffinity(tid) == {CPU}
        assert row["cpu"] == CPU
        assert os.sched_getscheduler(tid) & 0xFF == os.SCHED_FIFO
        assert os.sched_getparam(tid).sched_priority == row["fifo_priority"] == PRIORITY
        assert row["error"] == ""
        assert row["memory_node"] == row["cpu_node"] or row["cpu_node"] == -1
        had = segment.placement()
        assert (had["memory_locked"], had["latency_held"], had["reason"]) == (True, True, "")
        locked = int(status(pid)["VmLck"].split()[0])
        assert locked > 0
        assert had["locked_kib"] == pytest.approx(locked, rel=0.2)  # what is touched later is locked later
        assert latency_us() == had["dma_latency_us"] <= LATENCY_US
        assert before >= had["dma_latency_us"]
        text = hwgw("status", market.name).stdout
        assert f"cpu {CPU}, SCHED_FIFO {PRIORITY}" in text
        assert re.search(r"placement  [\d,]+ MiB locked, .*power states of at most", text)
        look = json.loads(hwgw("status", market.name, "--json").stdout)["gateways"][0]
        assert look["placement"] == had, "an observer that maps the segment read-only sees the same"
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    until(lambda: latency_us() == before, "nobody holds the latency any more")


def test_what_is_refused_is_said_with_the_reason_and_the_gateway_runs(market: Market, hwgw) -> None:
    """Without the capabilities, a core that is not there, and a limit of 64 KiB."""
    if not shutil.which("setpriv") or not shutil.which("prlimit"):
        pytest.skip("needs setpriv and prlimit (util-linux)")
    less = ["setpriv", "--bounding-set=-ipc_lock,-sys_nice,-sys_resource", "prlimit", "--memlock=65536", "--rtprio=0"]
    market.popen = lambda command, **more: subprocess.Popen([*less, *command], **more)
    start(market, {"cpu": 63, "fifo_priority": PRIORITY}, {"lock_memory": True})
    with market.attached() as segment:
        (row,) = segment.thread_status()
        assert (row["cpu"], row["fifo_priority"]) == (-1, 0)
        assert row["error"] == "CPU 63: EINVAL; SCHED_FIFO 7: EPERM"
        had = segment.placement()
        assert (had["memory_locked"], had["latency_held"], had["dma_latency_us"]) == (False, False, None)
        assert had["reason"] == "memory not locked: Cannot allocate memory (memlock 64 KiB)"
        assert status(int(segment.head["data_pid"]))["VmLck"].split()[0] == "0"
        text = " ".join(hwgw("status", market.name).stdout.split())
        assert "not had: CPU 63: EINVAL; SCHED_FIFO 7: EPERM" in text
        assert "not had: memory not locked: Cannot allocate memory (memlock 64 KiB)" in text
        assert "running" in text


def test_nothing_is_asked_for_when_it_is_switched_off(market: Market) -> None:
    before = latency_us()
    start(market, {}, {"lock_memory": False})
    with market.attached() as segment:
        had = segment.placement()
        assert (had["memory_locked"], had["latency_held"], had["locked_kib"], had["reason"]) == (False, False, 0, "")
        assert latency_us() == before
