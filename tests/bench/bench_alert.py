"""Alerts: from before the store that halts a gateway until a subscriber in another process holds the notice.

SPDX-License-Identifier: MIT

Three processes' worth of work in two: this one halts and waits in recv() on a datagram socket, the watcher polls the
segment, finds the halt, makes the notice and sends it. Halts come at moments of their own, with milliseconds between.
The baseline is a datagram to a process that sends it back, halved: what the sockets and the wake-up cost alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hwgw.alerts.settings import Alerts, Channel, Rule
from hwgw.alerts.watch import Watcher
from hwgw.segment import Segment

from .harness import RUNS_LARGE, Options, Result, result

POLLS_US = (50, 1000)
TIMEOUT_S = 30.0


@contextlib.contextmanager
def _child(act: Callable[[], None]) -> Iterator[None]:
    """Another process that does this until it is killed."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _socket(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(path))
    made.settimeout(TIMEOUT_S)
    return made


def _halts(options: Options, folder: Path, poll_us: int, cnt: int) -> list[float]:
    """Microseconds of each trial."""
    path, rng, values = folder / f"told-{poll_us}", random.Random(options.seed), []
    rules = (Rule("halted", "halted", ("local",)),)
    alerts = Alerts((Channel("local", "unix", path=str(path)),), rules, poll_ns=poll_us * 1000, settle_ns=0)
    with Segment.create(f"bench-alert-{os.getpid()}", ["AAPL"]) as segment, _socket(path) as told:

        def watch() -> None:
            watcher = Watcher(segment.name, alerts)
            watcher.attach(segment)
            watcher.run(threading.Event())

        with _child(watch):
            for _ in range(cnt):
                time.sleep(rng.uniform(0.001, 0.003))
                begin = time.perf_counter_ns()
                segment.halt("bench")
                notice = told.recv(65_536)
                values.append((time.perf_counter_ns() - begin) / 1e3)
                if json.loads(notice)["state"] != "firing":
                    raise AssertionError(notice)
                segment.resume()
                if json.loads(told.recv(65_536))["state"] != "recovered":
                    raise AssertionError("it was not told that the halt is over")
        segment.resume()
    path.unlink()
    return values


def _echoes(folder: Path, cnt: int) -> list[float]:
    """Microseconds of half a way there and back."""
    with _socket(folder / "there") as there, _socket(folder / "here") as here:

        def back() -> None:
            while data := there.recv(65_536):
                there.sendto(data, str(folder / "here"))

        values = []
        with _child(back):
            for _ in range(cnt):
                time.sleep(0.001)
                begin = time.perf_counter_ns()
                here.sendto(b"x" * 300, str(folder / "there"))
                here.recv(65_536)
                values.append((time.perf_counter_ns() - begin) / 2e3)
    for name in ("there", "here"):
        (folder / name).unlink()
    return values


def run(options: Options) -> list[Result]:
    """p50 and p99 at two polls, each of several runs."""
    cnt, found = options.size(2_000, 20), []
    figures: dict[str, list[float]] = {}
    base: dict[str, list[float]] = {"p50": [], "p99": []}
    with tempfile.TemporaryDirectory() as place:
        for _ in range(options.runs(RUNS_LARGE)):
            for poll_us in POLLS_US:
                parts = statistics.quantiles(_halts(options, Path(place), poll_us, cnt), n=100, method="inclusive")
                for key, at in (("p50", 49), ("p99", 98)):
                    figures.setdefault(f"alert_poll_{poll_us}_us_{key}", []).append(parts[at])
            parts = statistics.quantiles(_echoes(Path(place), cnt), n=100, method="inclusive")
            base["p50"].append(parts[49])
            base["p99"].append(parts[98])
    for name, values in figures.items():
        key = name.rpartition("_")[2]
        found.append(result(name, "us", values, f"datagram_{key}", base[key]))
    options.say(f"alert: {cnt} halts told and {cnt} recoveries, each run and poll")
    return found
