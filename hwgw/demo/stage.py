"""Sets a demo up, runs it and takes it down: the exchange on one side, the gateway on the other, a wire between them.

SPDX-License-Identifier: MIT

With root the sides are two anonymous network namespaces joined by a veth pair (hwgw_sim.lab); without, two processes on
loopback. The kernel ends both processes and removes the namespaces when this one is gone, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from hwgw_sim.exchange.process import ExchangeProcess, end_of
from hwgw_sim.lab import Lab

from hwgw import native
from hwgw.card import prepare
from hwgw.errors import BY_EXIT_CODE, HwgwError, InternalError
from hwgw.journal import files_of
from hwgw.journal.again import again
from hwgw.journal.compare import compare, day
from hwgw.segment import Segment, gateways, remove_left_over
from hwgw.settings import MODES, twin_name
from hwgw.telemetry import snapshot

from .report import report

__all__ = [
    "Options", "Sides", "Watch", "attach", "core_for_the_pipeline", "ended", "gateway_process", "gateway_yaml",
    "interruptible", "mortal", "recovery_keys", "run", "sweep", "wire",
]  # fmt: skip

USER, PASSWORD = "DEMO", "DEMO"
GROUP, GROUP_B, PORT = "233.54.12.111", "233.49.196.111", 26477
FRAMES = 16_384  # a second of the default rate, for a machine that is busy with other things
_START_SECONDS = 20.0
END_SECONDS = 10.0
Watch = Callable[[Segment, str], contextlib.AbstractContextManager[Callable[[], None]]]


@dataclass(frozen=True, slots=True)
class Options:
    """What `hwgw demo` was asked for; rate 0 is as fast as the exchange can, seconds 0 the whole capture."""

    seconds: float
    symbols: int
    rate: int
    backend: str
    feed: Path | None = None
    pace: str = ""
    seed: int = 1
    faults: str = ""  # of each line, as hwgw.bad_line.parse reads them
    card: str = ""  # sim: through the card's RTL
    shadow: bool = False  # another version of the first strategy beside it
    risk: str = "host"  # whose gate judges
    send: str = "host"  # who puts orders on the wire


@dataclass(frozen=True, slots=True)
class Sides:
    """Where each side runs and how they reach each other."""

    backend: str
    exchange: Callable[..., subprocess.Popen[bytes]]
    gateway: Callable[..., subprocess.Popen[bytes]]
    exchange_address: str
    exchange_options: tuple[str, ...]
    receive: dict[str, Any]
    missing: str  # what could not be had here, for people
    entered: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext  # the exchange's side
    send: str = "udp"  # how the exchange gets most onto the wire: its option of that name


def _missing(name: str) -> str:
    """Why this backend cannot run here; empty when it can."""
    found = next(backend for backend in native.backends() if backend.name == name)
    return "" if found.available else found.reason


def mortal(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that is told to stop when this one is gone, and does not hear the terminal's Ctrl-C."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "INT", "--", *command], start_new_session=True, **options)


@contextlib.contextmanager
def wire(wanted: str, sends: bool = False) -> Iterator[Sides]:
    """The best wire this process may make. wanted: auto, or a backend; an error where that cannot be had.

    sends: the card puts orders on it.
    """
    missing = Lab.missing()
    options: tuple[str, ...]
    if missing:
        if wanted in ("afxdp", "packet", "card"):
            raise BY_EXIT_CODE[4](f"{wanted} needs a veth pair: {missing}; run as root, or say --backend udp")
        receive = {"backend": "udp", "local_address": "127.0.0.1", "loopback": True}
        options = ("--loopback", "--local-address", "127.0.0.1")
        yield Sides("udp", mortal, mortal, "127.0.0.1", options, receive, missing)
        return
    with Lab() as lab:
        absent = "" if wanted == "udp" else _missing("afxdp" if wanted == "auto" else wanted)
        if sends:  # the card sends no TCP timestamps, so the connection must not have them
            lab.gateway.run(["sysctl", "-qw", "net.ipv4.tcp_timestamps=0"], check=True)
        if wanted != "auto" and absent:
            raise BY_EXIT_CODE[5](f"{wanted}: {absent}; say --backend udp to receive through kernel sockets")
        backend = wanted if wanted != "auto" else "udp" if absent else "afxdp"
        receive = {"backend": backend, "interface": lab.gateway.interface, "frames": FRAMES}
        options = ("--interface", lab.exchange.interface)
        exchange = partial(lab.exchange.popen, start_new_session=True)
        gateway = partial(lab.gateway.popen, death="INT", start_new_session=True)
        address, entered, send = lab.exchange.address, lab.exchange.entered, "packet" if _missing("afxdp") else "afxdp"
        yield Sides(backend, exchange, gateway, address, options, receive, absent, entered, send)


def _exchange_options(options: Options, sides: Sides) -> list[str]:
    at = sides.exchange_address
    given = [
        *sides.exchange_options, "--group", GROUP, "--port", str(PORT), "--group-b", GROUP_B, "--port-b", str(PORT),
        "--requests", f"{at}:0", "--snapshots", f"{at}:0", "--listen", f"{at}:0", "--user", f"{USER}:{PASSWORD}",
        "--wait-clients", "1", "--cancel-at-close", "--seed", str(options.seed),
    ]  # fmt: skip
    if options.feed:
        given += ["--feed", str(options.feed), "--seconds", str(options.seconds)]
        given += ["--pace", *(options.pace or ("rate" if options.rate else "max")).split()]
    else:
        given += ["--symbols", str(options.symbols), "--seconds", str(options.seconds)]
    if options.rate:
        given += ["--rate", str(options.rate)]
    if options.faults:
        given += ["--faults", options.faults, "--faults", options.faults, "--request-loss", "0.01"]
    return given


def recovery_keys(ready: dict[str, Any]) -> dict[str, Any]:
    """The exchange's recovery servers as keys of the channel."""
    (address, requests), (_, snapshots) = ready["requests"], ready["snapshots"]
    return {
        "recover": {"servers": [{"address": address, "port": requests}], "timeout": "20ms", "rate": 5000},
        "snapshot": {"address": address, "port": snapshots, "username": USER, "password": PASSWORD},
    }


def gateway_yaml(
    name: str,
    symbols: list[str],
    receive: dict[str, Any],
    address: str,
    port: int,
    cpu: int | None = None,
    recovery: dict[str, Any] | None = None,
    risk: tuple[str, str] = ("host", "host"),
) -> dict[str, Any]:
    """The configuration of the demo's gateway; the limits are those of a small prop desk.

    recovery: more keys of the channel, see recovery_keys; risk: whose gate judges, and who sends.
    """
    lines = [{"group": GROUP, "port": PORT}, {"group": GROUP_B, "port": PORT}]
    pipeline: dict[str, Any] = {
        "receive": receive,
        "channels": [{"name": "demo", "lines": lines, "stale": "3s", **(recovery or {})}],
    }
    if cpu is not None:
        pipeline["cpu"] = cpu
    account = {
        "credit_max": 1_000_000_000, "loss_max": 10_000_000, "open_max": 1000,
        "rate_burst": 1000, "rate_refill": "50us",
    }  # fmt: skip
    strategy = {"rate_burst": 500, "rate_refill": "100us", "fills_max": 10_000_000, "rejects_run_max": 100_000}
    return {
        "name": name,
        "pipelines": [pipeline],
        "instruments": {"symbols": symbols, "orders_max": 1 << 20, "reference": "mid"},
        "strategies": [
            {"name": "revert", "use": "builtin:mean_reversion", "account": 1, "armed": True,
             "params": {"qty": 100, "edge_px": 0.02, "position_max": 2000, "cooldown_ns": "200us"}},
            {"name": "lean", "use": "builtin:imbalance", "account": 2, "armed": True,
             "params": {"qty": 100, "position_max": 2000, "cooldown_ns": "500us"}},
        ],
        "limits": {
            "beat_age_max": "1s", "ref_age_max": "10s", "dup_window": "100us",
            "gateway": dict(account),
            "accounts": {1: dict(account), 2: dict(account)},
            "strategies": {"revert": dict(strategy), "lean": dict(strategy)},
            "instruments": {
                "*": {"enabled": True, "qty_max": 1000, "notional_max": 1_000_000, "collar_pct": 5,
                      "collar_px_min": 0.05, "collar_both": False, "long_max": 5000, "short_max": 5000,
                      "locate_qty": 1_000_000, "restricted_accounts": []},
            },
        },
        "risk": {"where": risk[0], "send": risk[1]},
        "session": {"address": address, "port": port, "username": USER, "password": PASSWORD},
    }  # fmt: skip


def ended(process: subprocess.Popen[bytes]) -> HwgwError:
    """Why a gateway ended by itself."""
    _, stderr = process.communicate(timeout=END_SECONDS)
    error: HwgwError = end_of("the gateway", process.returncode, stderr)
    return error


def attach(name: str, process: subprocess.Popen[bytes]) -> Segment:
    """The segment of the gateway once its pipeline runs."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise ended(process)
        with contextlib.suppress(HwgwError):
            segment = Segment.attach(name)
            if segment.thread_status()[0]["state"] == "running":
                return segment
            segment.close()
        time.sleep(0.01)
    raise InternalError(f"the gateway did not run within {_START_SECONDS:g} s")


SHADOW_EDGE_PX = 0.03  # the live one asks for 0.02


def with_shadow(made: dict[str, Any], folder: str) -> dict[str, Any]:
    """The same gateway with a second version of its first strategy beside it, and a journal of both."""
    first = made["strategies"][0]
    second = {**first, "name": f"{first['name']}2", "mode": "shadow", "of": first["name"]}
    second["params"] = {**first["params"], "edge_px": SHADOW_EDGE_PX}
    strategies = [*made["strategies"], second]
    return {**made, "strategies": strategies, "paper": {"latency": "50us"}, "journal": {"folder": folder}}


def _compared(folder: Path, name: str) -> dict[str, Any]:
    """The shadow against its strategy, from the journals, which are judged again."""
    files = {mode: files_of(folder, twin_name(name, mode)) for mode in ("live", "shadow")}
    replayed = {mode: again(of_mode) for mode, of_mode in files.items()}
    days = {mode: day(of_mode) for mode, of_mode in files.items()}
    (second,) = days["shadow"].strategies
    return {
        "comparison": compare(days["live"], second.removesuffix("2"), days["shadow"], second),
        "replayed": {
            mode: {"compared": found.compared, "differences": found.counts["differences"]}
            for mode, found in replayed.items()
        },
    }


@contextlib.contextmanager
def gateway_process(sides: Sides, made: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway of this configuration; its segments are gone when it is."""
    # a file without a name, so that nothing is left of it whatever ends this process
    with tempfile.TemporaryFile("w+", encoding="utf-8") as config:
        yaml.safe_dump(made, config, sort_keys=False)
        config.flush()
        command = [sys.executable, "-P", "-m", "hwgw.cli", "-q", "run", "/dev/stdin"]
        process = sides.gateway(command, stdin=config, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(END_SECONDS)
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stderr:
                process.stderr.close()
            for mode in MODES:
                with contextlib.suppress(HwgwError, OSError):
                    remove_left_over(twin_name(made["name"], mode))


def sweep() -> None:
    """Remove the segments of killed demos and loads; the exchange that their open orders were at is gone, too."""
    for name in gateways():
        if re.fullmatch(r"(demo-[0-9]+(-shadow)?|load-[0-9]+)", name):
            with contextlib.suppress(HwgwError, OSError):
                remove_left_over(name)
    for folder in Path(tempfile.gettempdir()).glob("hwgw-demo-*"):  # the journals of one with a shadow
        found = re.fullmatch(r"hwgw-demo-([0-9]+)-.+", folder.name)
        if found and folder.stat().st_uid == os.geteuid() and not Path(f"/proc/{found[1]}").exists():
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP interrupt as Ctrl-C does; a signal that the caller ignores stays ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def core_for_the_pipeline() -> Iterator[int | None]:
    """A core for the pipeline alone, or None: this process and those it starts keep to the others."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        yield None
        return
    os.sched_setaffinity(0, cpus[:-1])
    try:
        yield cpus[-1]
    finally:
        os.sched_setaffinity(0, cpus)


def run(options: Options, watch: Watch, say: Callable[[str], None]) -> dict[str, Any]:
    """One demo. watch shows the run: it gets the segment and a title and gives a function called ten times a second.

    Ctrl-C (or SIGTERM, SIGHUP) ends the exchange's day early; the report is made all the same.
    """
    name = f"demo-{os.getpid()}"
    sweep()
    if options.card:
        prepare(say)
    with (
        interruptible(),
        core_for_the_pipeline() as cpu,
        wire(options.backend, options.send == "card") as sides,
        tempfile.TemporaryDirectory(prefix=f"hwgw-{name}-") if options.shadow else contextlib.nullcontext("") as shadow,
        ExchangeProcess(_exchange_options(options, sides), sides.exchange) as exchange,
    ):
        if sides.missing:
            say(f"no AF_XDP, receiving through kernel sockets (udp): {sides.missing}")
        symbols: list[str] = exchange.ready["names"]
        address, port = exchange.ready["listen"]
        keys = {} if sides.backend == "card" else recovery_keys(exchange.ready)  # the card repairs nothing
        made = gateway_yaml(name, symbols, sides.receive, address, port, cpu, keys, (options.risk, options.send))
        gateway = gateway_process(sides, with_shadow(made, shadow) if shadow else made)
        with gateway as process, attach(name, process) as segment:
            rate = f"{options.rate:,} messages/s" if options.rate else "at full speed"
            what = options.feed.name if options.feed else f"{len(symbols)} symbols, {rate}"
            with watch(segment, f"hwgw demo: {what}, {sides.backend}") as tick:
                try:
                    while exchange.process.poll() is None and process.poll() is None:
                        tick()
                        time.sleep(0.1)
                except KeyboardInterrupt:
                    say("interrupted: closing the exchange's day")
                statement = exchange.stop()
                tick()
            if process.poll() is not None:
                raise ended(process)
            process.send_signal(signal.SIGINT)
            process.wait(END_SECONDS)
            found = report(snapshot(segment), statement, USER, sides.backend)
            return {**found, **_compared(Path(shadow), name)} if shadow else found
