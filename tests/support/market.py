"""The simulated exchange and a gateway as processes on loopback, for tests of what outlives what.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hwgw_sim.exchange.process import ExchangeProcess
from hwgw_sim.lab import Lab

from hwgw.demo.stage import GROUP, GROUP_B, PASSWORD, USER, gateway_yaml, recovery_keys
from hwgw.errors import HwgwError
from hwgw.segment import Segment

from .forked import Forked, inside

PATIENCE_S = 20.0
LOOPBACK = {"backend": "udp", "local_address": "127.0.0.1", "loopback": True}


def until(done: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"gave up waiting until {what}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def free_port() -> int:
    """A UDP port that nobody on this host uses now, so that tests beside each other do not hear each other."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


class Market:
    """An exchange and the gateways that trade there: on loopback, or on both sides of a lab."""

    def __init__(
        self,
        folder: Path,
        lab: Lab | None = None,
        *,
        rate: int = 20_000,
        seconds: float = 60,
        symbols: int = 4,
        recovery: Sequence[str] | None = None,
        clients: int = 1,
        protocol: str = "ouch50",
    ) -> None:
        """protocol: what the exchange's user speaks.

        recovery: more options of the exchange; then there are a line B and recovery servers as well."""
        self.folder = folder
        self.port = free_port()
        self.popen = Forked if lab is None else inside(lab.gateway)
        self.receive = LOOPBACK if lab is None else {"backend": "afxdp", "interface": lab.gateway.interface}
        place = (
            ["--loopback", "--local-address", "127.0.0.1"]
            if lab is None
            else ["--interface", lab.exchange.interface, "--listen", f"{lab.exchange.address}:0"]
        )
        options = [
            *place, "--group", GROUP, "--port", str(self.port), "--user",
            f"{USER}:{PASSWORD}:{protocol}",
            "--wait-clients", str(clients), "--symbols", str(symbols), "--rate", str(rate), "--seconds", str(seconds),
            "--cancel-at-close",
        ]  # fmt: skip
        self.recovery = recovery is not None
        if recovery is not None:
            options += ["--group-b", GROUP_B, "--port-b", str(self.port), *recovery]
            at = "127.0.0.1" if lab is None else lab.exchange.address
            options += ["--requests", f"{at}:0", "--snapshots", f"{at}:0"]
        self.channel: dict[str, Any] = {}  # more keys of the channel
        self.exchange = ExchangeProcess(options, Forked if lab is None else inside(lab.exchange))
        self.strategies: list[dict[str, Any]] = []  # of the demo unless a test names its own
        self.session: dict[str, Any] = {}  # more keys of the session
        self.journal: dict[str, Any] | None = None  # the section of that name
        self.publish: dict[str, Any] = {}  # that section
        self.risk = ("host", "host")  # whose gate judges, and who sends
        self.rules: list[dict[str, Any]] = []  # of the card
        self.cpu: int | None = None  # of the pipeline; None: not pinned
        self.environment: dict[str, str] = {}  # of the gateway, beside ours
        self.name = f"market-{os.getpid()}-{self.port}"
        self.started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Market:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        self.exchange.kill()
        path = Path(f"/dev/shm/hwgw-{self.name}")
        if path.exists():
            with contextlib.suppress(HwgwError), Segment.attach(self.name) as left:
                until(lambda: not left.running(), "the data process is gone")
            path.unlink(missing_ok=True)

    def config(self, **limits: Any) -> Path:
        names = self.exchange.ready["names"]
        settings = gateway_yaml(self.name, names, dict(self.receive), *self.exchange.address, self.cpu, risk=self.risk)
        channel = settings["pipelines"][0]["channels"][0]
        channel["lines"] = [line | {"port": self.port} for line in channel["lines"][: 1 + self.recovery]]
        if self.recovery:
            channel.update(recovery_keys(self.exchange.ready))
        channel.update(self.channel)
        settings["limits"].update(limits)
        settings["strategies"] = self.strategies or settings["strategies"]
        settings["session"].update(self.session)
        if self.journal:
            settings["journal"] = self.journal
        if self.rules:
            settings["risk"]["rules"] = self.rules
        if self.publish:
            settings["publish"] = self.publish
        bucket = settings["limits"]["strategies"]["revert"]
        settings["limits"]["strategies"] = {each["name"]: dict(bucket) for each in settings["strategies"]}
        path = self.folder / "gateway.yaml"
        path.write_text(yaml.safe_dump(settings, sort_keys=False))
        return path

    def start(self, **limits: Any) -> subprocess.Popen[bytes]:
        return self.start_file(self.config(**limits))

    def start_file(self, path: Path, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "hwgw.cli", "run", str(path), *options]
        environment = {**os.environ, **self.environment}
        self.started.append(self.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment))
        return self.started[-1]

    @contextlib.contextmanager
    def attached(self, sign: str = "order.encoded", seconds: float = PATIENCE_S) -> Iterator[Segment]:
        """The segment of the gateway that was started last, once a counter (orders sent) has moved."""
        found: list[Segment] = []

        def runs() -> bool:
            assert self.started[-1].poll() is None, self.started[-1].communicate()[1].decode()
            with contextlib.suppress(HwgwError):
                segment = Segment.attach(self.name, writable=True)
                if int(segment.head["control_pid"]) == self.started[-1].pid and segment.counters()[sign]:
                    found.append(segment)
                    return True
                segment.close()
            return False

        until(runs, f"the gateway counts {sign}", seconds)
        with found[0] as segment:
            yield segment
