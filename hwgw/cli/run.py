"""hwgw run: a gateway in the foreground, until it is told to stop.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import Output, log_form, verb

if TYPE_CHECKING:
    from hwgw.logs import Log
    from hwgw.segment import Segment
    from hwgw.settings import Settings


def _tripped(segment: Segment, seen: dict[str, int]) -> Iterator[tuple[str, str]]:
    """The circuit breaker rules that tripped since the last look, put on record."""
    from hwgw import audit
    from hwgw.errors import HwgwError

    for rule, row in segment.breakers().items():
        cnt = row["trips"] - (seen.get(rule, 0) if row["trips"] >= seen.get(rule, 0) else 0)
        seen[rule] = row["trips"]
        if not cnt:
            continue
        text = f"{row['kind']} of {row['of']}: {row['value']:,} above {row['limit']:,}, {row['action']}"
        yield rule, text + (f", the last of {cnt} trips" if cnt > 1 else "")
        try:
            audit.record(segment.name, "breaker", rule=rule, trips=cnt, last=text)
        except HwgwError as error:  # what it halted stays halted
            yield rule, f"not on record: {error}"


class _Watch:
    """Says once what changed since the last look: breakers that tripped, states of the feed, halts."""

    def __init__(self, segment: Segment, log: Log, feed: bool) -> None:
        from hwgw.telemetry import FeedLog

        self._segment, self._log = segment, log
        self._feed = FeedLog(segment) if feed else None
        self._halts: set[str] = set()
        self._trips: dict[str, int] = {}

    def look(self) -> None:
        """Take one look."""
        for rule, text in _tripped(self._segment, self._trips):
            self._log.say("breaker", f"breaker {rule}: {text}", "warning", rule=rule)
        for line in self._feed.lines() if self._feed else ():
            self._log.say("feed", line)
        now = self._segment.halts
        for row in now:
            if row["reason"] not in self._halts:
                who = {"reason": row["reason"], "uid": row["uid"], "by_pid": row["pid"]}
                self._log.say("halted", f"HALTED ({row['reason']}): {row['text']}", "error", **who)
        left = {row["reason"] for row in now}
        if gone := self._halts - left:
            still = f"; still halted: {', '.join(sorted(left))}" if left else ""
            self._log.say("resumed", f"resumed ({', '.join(sorted(gone))}){still}", "warning", reasons=sorted(gone))
        self._halts = left

    @property
    def state(self) -> str:
        """Why no order leaves; empty when nothing holds them."""
        return f"HALTED ({', '.join(sorted(self._halts))})" if self._halts else ""


def _strategies(settings: Settings) -> str:
    beside = [f"{len(there)} {mode}" for mode in ("paper", "shadow") if (there := settings.of_mode(mode))]
    return f"{len(settings.of_mode('live'))} strategies" + (f", beside them {' and '.join(beside)}" if beside else "")


def _leave_no_core() -> None:
    """Keep credentials and positions out of core files, for this process and those it makes.

    1 byte and not 0: the kernel hands a core to a program (systemd-coredump) whatever the limit is, but for this one.
    The hard limit stays, so that whoever looks for a fault can raise it with prlimit(1).
    """
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (1 if hard == resource.RLIM_INFINITY else min(1, hard), hard))


class _Alerts:
    """The watcher of the section alerts, a process of its own; started anew when it ends.

    After STARTS_MAX that each ended within SOUND_SECONDS there is none any more.
    """

    STARTS_MAX, SOUND_SECONDS = 5, 60.0

    def __init__(self, config: Path, log: Log) -> None:
        self._config, self._log, self._starts, self._began = config, log, 0, 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self.look()

    def look(self) -> None:
        """Start it if it does not run."""
        if self._starts > self.STARTS_MAX or (self._process and self._process.poll() is None):
            return
        if self._process:
            self._log.say("alerts", f"the watcher of alerts ended with status {self._process.returncode}", "warning")
        now = time.monotonic()
        self._starts = 1 if now - self._began > self.SOUND_SECONDS else self._starts + 1
        if self._starts > self.STARTS_MAX:
            text = f"NO ALERTS: their watcher ended {self.STARTS_MAX} times, each within {self.SOUND_SECONDS:g} s"
            self._log.say("alerts", text, "error")
            return
        self._began = now
        command = [sys.executable, "-P", "-m", "hwgw.cli", "alert", "watch", str(self._config), "--until-gone", "-q"]
        command += ["--log", self._log.form]
        quiet = subprocess.DEVNULL
        # a session of its own: it tells of an end that Ctrl-C or a kill of the group brings
        self._process = subprocess.Popen(command, stdin=quiet, stdout=quiet, start_new_session=True)

    def close(self) -> None:
        """The gateway is about to end as it was told to: nobody needs to hear."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # it does not hear SIGTERM, which a service manager sends to all
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@verb("run")
@click.argument("config", type=click.Path(path_type=Path, readable=False))
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop after so long.")
@click.option(
    "--anew", metavar="REASON", default="", help="Begin without what the journal holds; the reason is recorded."
)
@log_form
def command(out: Output, config: Path, seconds: float | None, anew: str, form: str) -> int:
    """Run a gateway.

    Runs the gateway that CONFIG describes in the foreground. Ctrl-C, SIGTERM or a terminal that goes away stops it in
    order: orders cancelled, session logged out.

    With a journal, orders, positions and cash are rebuilt from it, and no order leaves until the venue agrees; --anew
    begins with nothing instead, for a journal that is damaged or a day that is to begin flat.

    Under systemd (Type=notify) it says when it is ready, its state, and while every pipeline makes rounds that it is
    alive. No core file is left behind, because passwords would be in it.

    A halt does not end it: the feed and the books go on, no order leaves until `hwgw resume`. It ends with exit code 6
    when it is stopped while halted.
    """
    from contextlib import closing

    from hwgw.about import commit
    from hwgw.card import with_cards
    from hwgw.config import load
    from hwgw.errors import CheckFailed, ConfigError
    from hwgw.gateway import Gateway
    from hwgw.logs import Log
    from hwgw.notify import Notifier
    from hwgw.risk.control import of_settings
    from hwgw.risk.ramp import Ramp
    from hwgw.stopping import signals_stop
    from hwgw.telemetry import snapshot

    settings = with_cards(load(config), lambda line: click.echo(f"hwgw run: {line}", err=True))
    if settings.secrets.absent:
        text = "not there: a credential of systemd's, given to the unit alone that it is for"
        raise ConfigError(f"{config}: {settings.secrets.absent[0]}: {text}")
    log = Log(settings.name, form)
    _leave_no_core()
    with closing(Notifier()) as notifier, signals_stop() as stop, Gateway(settings, commit(), anew) as gateway:
        gateway.start()
        head = snapshot(gateway.segment)
        out.say(f"{settings.name}: running, {head['receive']}, data process {head['data_pid']}")
        out.say(f"{settings.name}: {len(settings.symbols)} symbols, {_strategies(settings)}")
        if gateway.past.blocks:
            rebuilt = f"{gateway.past.records:,} records of the journal"
            open_cnt = sum(row["open_orders"] for row in head["pipelines"])
            out.say(
                f"{settings.name}: rebuilt from {rebuilt}: {len(head['positions'])} positions, {open_cnt} open orders"
            )
        if head["fell_back"]:
            reason = head["receive"].partition("no afxdp: ")[2]
            log.say("fell back", f"FELL BACK to udp, no afxdp: {reason}", "warning", reason=reason)
        notifier.ready(f"running, {head['receive']}")
        end = time.monotonic() + seconds if seconds is not None else None
        watch = _Watch(gateway.segment, log, out.level >= 0)
        alerts = _Alerts(config, log) if settings.alerts else None
        ramp = Ramp(gateway.segment, of_settings(settings), settings.ramp) if settings.ramp else None
        if ramp:
            out.say(f"{settings.name}: limits begin at {ramp.text}")
        while not stop.wait(0.05):
            if gateway.poll() is not None or (end is not None and time.monotonic() >= end):
                break
            watch.look()
            for line in ramp.look() if ramp else ():
                log.say("ramp", line, "warning")
            notifier.state(watch.state or f"running, {head['receive']}")
            notifier.alive(gateway.segment.rounds())
            if alerts:
                alerts.look()
        notifier.stopping("orders are cancelled, the session is logged out")
        if alerts and (stop.is_set() or gateway.poll() is None):
            alerts.close()  # else it stays to tell of the end, and ends then
        status = gateway.stop()
        watch.look()  # what came between the last look and the end
        result = snapshot(gateway.segment)
        out.emit(result)
        counters = result["counters"]
        out.say(
            f"{settings.name}: stopped after {result['up_seconds']:.1f} s: {counters['rx.frames']:,} frames,"
            f" {counters['itch.messages']:,} messages, {counters['order.encoded']:,} orders"
        )
        if status < 0:
            raise CheckFailed(f"the data process was killed by {signal.Signals(-status).name}")
        return status or (6 if result["halted"] else 0)
