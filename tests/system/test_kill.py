"""A gateway that is killed or stopped under full load leaves nothing behind, and the next one starts at once.

SPDX-License-Identifier: MIT

HWGW_CYCLES sets how often it is killed and started again (make cycles: 100).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hwgw_sim.lab import Lab
from support.forked import inside
from support.market import is_alive, until
from support.rig import GROUP, PORT

from hwgw.errors import HwgwError
from hwgw.segment import Segment
from hwgw.telemetry import ledger_rows

CYCLES = int(os.environ.get("HWGW_CYCLES", "4"))
HUGE_PAGES = Path("/proc/sys/vm/nr_hugepages")
GROUP_TEXT = ".".join(str(GROUP >> shift & 255) for shift in (24, 16, 8, 0))
RECEIVE: tuple[dict[str, Any], ...] = (
    {"backend": "afxdp", "mode": "native", "huge_pages": True},
    {"backend": "afxdp", "mode": "generic"},
    {"backend": "packet"},
    {"backend": "udp"},
)

pytestmark = [
    pytest.mark.root,
    pytest.mark.afxdp,
    pytest.mark.skipif(bool(Lab.missing()), reason=f"no network namespaces: {Lab.missing()}"),
]


def huge_pages_used() -> int:
    """On this host, by whomever."""
    info = Path("/proc/meminfo").read_text()
    total, free = (int(info.partition(f"HugePages_{key}:")[2].split()[0]) for key in ("Total", "Free"))
    return total - free


@pytest.fixture
def huge_pages() -> Iterator[None]:
    """64 huge pages more for the time of a test."""
    before = HUGE_PAGES.read_text()
    HUGE_PAGES.write_text(str(int(before) + 64))
    yield
    HUGE_PAGES.write_text(before)


class Stage:
    """A flooded wire and the gateways on it, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.lab = Lab()
        self.device = self.lab.gateway.interface
        self.folder = folder
        self.name = f"kill-{os.getpid()}"
        self.path = Path(f"/dev/shm/hwgw-{self.name}")
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-m", "support.flood", self.lab.exchange.interface]
        self.flood = inside(self.lab.exchange)(command, env=environment)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.lab.close()
        with contextlib.suppress(HwgwError), Segment.attach(self.name) as left:
            until(lambda: not left.running(), "the data process is gone")
        self.path.unlink(missing_ok=True)

    def start(self, receive: dict[str, Any]) -> tuple[subprocess.Popen[bytes], Segment]:
        """A gateway that receives, and its segment."""
        line = {"group": GROUP_TEXT, "port": PORT}
        settings = {
            "name": self.name,
            "pipelines": [
                {"receive": {**receive, "interface": self.device}, "channels": [{"name": "feed", "lines": [line]}]}
            ],
            "instruments": {"symbols": ["AAPL"], "orders_max": 1024},
        }
        config = self.folder / "gateway.yaml"
        config.write_text(yaml.safe_dump(settings, sort_keys=False))
        command = [sys.executable, "-m", "hwgw.cli", "run", str(config)]
        process = inside(self.lab.gateway)(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        found: list[Segment] = []

        def receives() -> bool:
            assert process.poll() is None, process.communicate()[1].decode()
            assert self.flood.poll() is None
            with contextlib.suppress(HwgwError):
                segment = Segment.attach(self.name, writable=True)
                if int(segment.head["control_pid"]) == process.pid and segment.counters()["itch.messages"] > 10_000:
                    found.append(segment)
                    return True
                segment.close()
            return False

        until(receives, "the gateway receives")
        assert bytes(found[0].head["receive"]).startswith(receive["backend"].encode())
        return process, found[0]

    def link(self) -> dict[str, Any]:
        shown = self.lab.gateway.run(
            ["ip", "-j", "-d", "link", "show", "dev", self.device], capture_output=True, check=True
        )
        return dict(json.loads(shown.stdout)[0])

    def groups(self) -> set[str]:
        shown = self.lab.gateway.run(
            ["ip", "-j", "maddress", "show", "dev", self.device], capture_output=True, check=True
        )
        return {entry.get("address", "") for entry in json.loads(shown.stdout)[0]["maddr"]}

    def is_clean(self) -> bool:
        """Nothing of a gateway is on the interface."""
        link = self.link()
        return (
            "xdp" not in link and (link["promiscuity"], link["allmulti"]) == (0, 0) and GROUP_TEXT not in self.groups()
        )


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as stage:
        yield stage


def test_killed_and_started_again_and_again_it_leaves_nothing(
    stage: Stage, huge_pages: None, rng: random.Random
) -> None:
    used = huge_pages_used()
    assert stage.is_clean()
    for cycle in range(CYCLES):
        receive = RECEIVE[cycle % len(RECEIVE)]
        process, segment = stage.start(receive)
        with segment:
            assert ("xdp" in stage.link()) == (receive["backend"] == "afxdp")
            data = int(segment.head["data_pid"])
            victims = [process.pid, data]
            rng.shuffle(victims)
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):  # the first may have taken it along
                    os.kill(pid, signal.SIGKILL)
            process.communicate()
            until(lambda data=data: not is_alive(data), "the data process is gone", 2)
            until(stage.is_clean, f"cycle {cycle}: the interface is as it was: {stage.link()}", 2)
            until(lambda: huge_pages_used() == used, f"cycle {cycle}: the huge pages are free", 10)
            until(lambda segment=segment: not segment.running(), "the lock is free", 2)
        assert sorted(Path("/dev/shm").glob(f"*{stage.name}*")) == [stage.path]
    process, segment = stage.start(RECEIVE[0])  # what was left over is taken by the next
    with segment:
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        process.communicate()
        until(stage.is_clean, "the interface is as it was", 2)


@pytest.mark.parametrize(
    ("receive", "signal_"),
    list(zip(RECEIVE, (signal.SIGTERM, signal.SIGINT) * 2, strict=True)),
    ids=["native", "generic", "packet", "udp"],
)
def test_a_signal_under_load_stops_it_in_order(stage: Stage, receive: dict[str, Any], signal_: signal.Signals) -> None:
    process, segment = stage.start(receive)
    with segment:
        began = time.monotonic()
        process.send_signal(signal_)
        assert process.wait(10) == 0, process.communicate()[1].decode()
        process.communicate()
        assert time.monotonic() - began < 5
        rows = ledger_rows(segment.counters())
        assert rows
        assert [row for row in rows if not row.exact] == []
        assert segment.thread_status()[0]["state"] == "stopped"
        assert segment.halted is None
    assert not stage.path.exists()
    until(stage.is_clean, "the interface is as it was", 2)


def test_a_control_process_that_is_killed_under_load_takes_the_data_process_along(stage: Stage) -> None:
    process, segment = stage.start(RECEIVE[0])
    with segment:
        data = int(segment.head["data_pid"])
        process.kill()
        process.communicate()
        until(lambda: not is_alive(data), "the data process is gone", 5)
        assert segment.halted is not None
        assert segment.halted["reason"] == "control_lost"
        assert [row for row in ledger_rows(segment.counters()) if not row.exact] == []
    until(stage.is_clean, "the interface is as it was", 2)
