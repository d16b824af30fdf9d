"""Sets a load up, runs it and takes it down: the exchange by a profile, a gateway, bad lines and a bad venue between.

SPDX-License-Identifier: MIT

The gateway is one of the demo's, with limits that a long run does not use up; or, with a configuration, one that runs
already, whose venue is played here.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgw_sim.exchange.misbehave import MisbehavingVenue, Misbehaviour
from hwgw_sim.exchange.process import ExchangeProcess

from hwgw import config
from hwgw.demo import stage as demo
from hwgw.errors import CheckFailed, UsageError
from hwgw.segment import Segment
from hwgw.settings import Settings
from hwgw.telemetry import snapshot

from .profile import Profile, Step, schedule, words
from .report import Run, report

__all__ = ["FRAMES", "Options", "limits", "run"]

FRAMES = 65_536  # half of them wait in the ring: a third of a second at 4 M messages/s
LATER = 4, 5.0  # a run ends after so many times its seconds and so many more, done or not
SETTLE_S = 10.0
RECONNECT = "20ms"

# The demo's limits are those of a desk for some minutes: an hour at full load would end at its credit, loss or fills.
ACCOUNT = {
    "credit_max": 100_000_000_000_000, "loss_max": 1_000_000_000_000, "open_max": 1000, "rate_burst": 1000,
    "rate_refill": "50us",
}  # fmt: skip
STRATEGY = {"rate_burst": 500, "rate_refill": "100us", "fills_max": 4_000_000_000, "rejects_run_max": 4_000_000_000}


def limits() -> dict[str, Any]:
    """What replaces them; each a copy of its own, as the configuration knows no aliases."""
    accounts = {number: dict(ACCOUNT) for number in (1, 2)}
    return {
        "gateway": dict(ACCOUNT), "accounts": accounts,
        "strategies": {name: dict(STRATEGY) for name in ("revert", "lean")},
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """What `hwgw sim load` was asked for; rate is that of a share of 1 of the profile."""

    profile: Profile
    rate: int
    seconds: float
    symbols: int
    backend: str = "auto"
    seed: int = 1
    faults: tuple[str, ...] = ()  # of line A and, given twice, of line B, as hwgw.bad_line.parse reads them
    entry: Misbehaviour | None = None
    config: Path | None = None  # of a gateway that runs
    interface: str = ""  # with it: where the feed leaves
    has_b: bool = True  # the feed is published on line B, too


@dataclass(frozen=True, slots=True)
class _Place:
    """Who plays against whom: options of the exchange, and the gateway's configuration unless it runs already."""

    sides: demo.Sides
    options: tuple[str, ...]
    user: tuple[str, str]
    settings: Settings | None = None


def _own(sides: demo.Sides, symbols: int, has_b: bool) -> _Place:
    at = sides.exchange_address
    options = (
        *sides.exchange_options, "--send", sides.send, "--group", demo.GROUP, "--port", str(demo.PORT),
        *(("--group-b", demo.GROUP_B, "--port-b", str(demo.PORT)) if has_b else ()),
        "--requests", f"{at}:0", "--snapshots", f"{at}:0", "--listen", f"{at}:0", "--user",
        f"{demo.USER}:{demo.PASSWORD}", "--symbols", str(symbols),
    )  # fmt: skip
    return _Place(sides, options, (demo.USER, demo.PASSWORD))


def _given(settings: Settings, interface: str, is_bad: bool) -> _Place:
    """The venue that a configuration names. UsageError when it names what the exchange cannot be."""
    channels = [channel for pipeline in settings.pipelines for channel in pipeline.channels]
    what = f"--config {settings.path}"
    if len(settings.sessions) != 1 or len(channels) != 1 or len(channels[0].lines) > 2:
        raise UsageError(f"{what}: one order session and one channel of one or two lines are allowed")
    (session,), (channel,) = settings.sessions, channels
    if session.protocol not in ("ouch50", "ouch42") or (is_bad and session.protocol != "ouch50"):
        raise UsageError(f"{what}: protocol {session.protocol}; ouch50, and without --entry-faults ouch42 are allowed")
    receive = settings.pipelines[0].receive
    at, line = _text(session.address), channel.lines
    options = ["--group", _text(line[0].group), "--port", str(line[0].port), "--symbols", ",".join(settings.symbols)]
    if interface:
        options += ["--interface", interface]
    else:
        options += ["--local-address", _text(receive.local_address) if receive.local_address else at]
        options += ["--loopback"] if receive.loopback else []
    if len(line) > 1:
        options += ["--group-b", _text(line[1].group), "--port-b", str(line[1].port)]
    if session.session:
        options += ["--session", session.session]
    users = {session.username: f"{session.username}:{session.password}:{session.protocol}"}
    if channel.recover:
        server, port = channel.recover.servers[0]
        options += ["--requests", f"{_text(server)}:{port}"]
    if channel.snapshot:
        options += ["--snapshots", f"{_text(channel.snapshot.address)}:{channel.snapshot.port}"]
        users.setdefault(channel.snapshot.username, f"{channel.snapshot.username}:{channel.snapshot.password}")
    options += ["--listen", f"{at}:{0 if is_bad else session.port}"]
    for user in users.values():
        options += ["--user", user]
    sides = demo.Sides(receive.backend, demo.mortal, demo.mortal, at, (), {}, "")
    return _Place(sides, tuple(options), (session.username, session.password), settings)


def _text(address: int) -> str:
    return str(ipaddress.IPv4Address(address))


@contextlib.contextmanager
def _entry(
    place: _Place, exchange: ExchangeProcess, how: Misbehaviour | None
) -> Iterator[tuple[tuple[str, int], MisbehavingVenue | None]]:
    """Where the gateway finds order entry, and the venue that misbehaves there."""
    if how is None:
        yield exchange.address, None
        return
    port = place.settings.sessions[0].port if place.settings else 0
    with place.sides.entered():
        front = MisbehavingVenue(exchange.address, place.user, how, (exchange.address[0], port))
    with front:
        yield (exchange.address[0], front.port), front


def _gateway_yaml(
    name: str, place: _Place, ready: dict[str, Any], entry: tuple[str, int], cpu: int | None, has_b: bool
) -> Any:
    receive = {**place.sides.receive}
    if "frames" in receive:
        receive["frames"] = FRAMES
    made = demo.gateway_yaml(name, ready["names"], receive, *entry, cpu, demo.recovery_keys(ready))
    channel = made["pipelines"][0]["channels"][0]
    channel["lines"] = channel["lines"][: 1 + has_b]
    made["limits"].update(limits())
    made["session"]["reconnect"] = RECONNECT
    return made


@contextlib.contextmanager
def _gateway(
    place: _Place, ready: dict[str, Any], entry: tuple[str, int], cpu: int | None, has_b: bool
) -> Iterator[tuple[Segment, subprocess.Popen[bytes] | None]]:
    """The segment of the gateway, and its process when it is ours."""
    if place.settings is None:
        name = f"load-{os.getpid()}"
        made = _gateway_yaml(name, place, ready, entry, cpu, has_b)
        with demo.gateway_process(place.sides, made) as process, demo.attach(name, process) as segment:
            yield segment, process
        return
    with Segment.attach(place.settings.name) as segment:
        yield segment, None


def _fresh(settings: Settings) -> None:
    """CheckFailed unless that gateway runs and nothing has happened yet: what is counted is to be of this load."""
    with Segment.attach(settings.name) as segment:
        counters = segment.counters()
        used = {name: counters[name] for name in ("mold.frames", "order.encoded") if counters[name]}
        if used:
            said = ", ".join(f"{name} {cnt:,}" for name, cnt in used.items())
            raise CheckFailed(f"{settings.name} has worked before ({said}); a load wants one that has just begun")


def _settled(segment: Segment) -> None:
    """Until nothing moves any more."""
    names = ("mold.frames", "itch.messages", "order.encoded", "session.sequenced", "recover.frames")
    end, before = time.monotonic() + SETTLE_S, [-1]
    while time.monotonic() < end:
        counters = segment.counters()
        now = [counters[name] for name in names]
        if now == before:
            return
        before = now
        time.sleep(0.5)


def _threads(pid: int) -> dict[str, Counter[str]]:
    """By thread of a process: ns it was on a processor, and ready to run while others had it; empty when it is gone."""
    found = {}
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            busy, waited, _ = map(int, path.read_text().split())
            found[path.parent.name] = Counter(busy_ns=busy, waited_ns=waited)
    return found


@contextlib.contextmanager
def _pipeline_clocks(segment: Segment) -> Iterator[Counter[str]]:
    """Filled at the end: of the data process's thread that was busiest meanwhile, and polls of all."""
    pid = int(segment.head["data_pid"])
    clocks: Counter[str] = Counter(ended_ns=0, busy_ns=0, waited_ns=0)
    before, start = _threads(pid), time.monotonic_ns()
    polls = {name: segment.counters()[f"rx.{name}"] for name in ("polls", "polls_idle")}
    try:
        yield clocks
    finally:
        spent = [now - before.get(thread, Counter()) for thread, now in _threads(pid).items()]
        clocks.update(max(spent, key=lambda thread: thread["busy_ns"], default=Counter()))
        clocks["ended_ns"] = time.monotonic_ns() - start
        counters = segment.counters()
        clocks.update({name: counters[f"rx.{name}"] - cnt for name, cnt in polls.items()})


def run(options: Options, watch: demo.Watch, say: Any) -> dict[str, Any]:
    """One load and its report. watch shows it, as of the demo.

    Ctrl-C (or SIGTERM, SIGHUP) ends the exchange's day early; the report is made all the same.
    """
    steps = schedule(options.profile, options.rate, options.seconds)
    demo.sweep()
    with contextlib.ExitStack() as stack:
        stack.enter_context(demo.interruptible())
        if options.config is None:
            cpu = stack.enter_context(demo.core_for_the_pipeline())
            place = _own(stack.enter_context(demo.wire(options.backend)), options.symbols, options.has_b)
        else:
            settings = config.load(options.config)
            cpu, place = None, _given(settings, options.interface, options.entry is not None)
            _fresh(settings)
        if place.sides.missing:
            say(f"no AF_XDP, receiving through kernel sockets (udp): {place.sides.missing}")
        exchange = stack.enter_context(ExchangeProcess(_exchange_options(options, place, steps), place.sides.exchange))
        entry, front = stack.enter_context(_entry(place, exchange, options.entry))
        segment, process = stack.enter_context(_gateway(place, exchange.ready, entry, cpu, options.has_b))
        title = f"hwgw sim load: {options.profile.name}, {options.rate:,} messages/s, {place.sides.backend}"
        with watch(segment, title) as tick, _pipeline_clocks(segment) as pipeline:
            try:
                while exchange.process.poll() is None and (process is None or process.poll() is None):
                    tick()
                    time.sleep(0.1)
            except KeyboardInterrupt:
                say("interrupted: closing the exchange's day")
            statement = exchange.stop()
            _drain(front)
            tick()
        if process is None:
            _settled(segment)
        else:
            if process.poll() is not None:
                raise demo.ended(process)
            process.send_signal(signal.SIGINT)
            process.wait(demo.END_SECONDS)
        if front and front.errors:
            raise front.errors[0]
        done = Run(options.profile, options.rate, tuple(steps), options.entry, place.user[0].upper())
        return report(done, snapshot(segment), statement, front, place.sides.backend, pipeline)


def _drain(front: MisbehavingVenue | None) -> None:
    """Until the venue has said everything, to a client that may have been cut off just now."""
    end = time.monotonic() + SETTLE_S + (front.how.late_s if front else 0)
    while front and not front.has_ended and not front.errors and time.monotonic() < end:
        time.sleep(0.01)


def _exchange_options(options: Options, place: _Place, steps: list[Step]) -> list[str]:
    given = [
        *place.options, "--seed", str(options.seed), "--steps", words(steps), "--wait-clients", "1",
        "--cancel-at-close", "--seconds", str(options.seconds * LATER[0] + LATER[1]),
    ]  # fmt: skip
    for faults in options.faults if len(options.faults) != 1 or not options.has_b else options.faults * 2:
        given += ["--faults", faults]
    return given
