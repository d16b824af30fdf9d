"""hwgw alert: rules over a gateway and the channels they are told by.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import Output, all_problems, log_form, verb

if TYPE_CHECKING:
    from hwgw.alerts.settings import Alerts
    from hwgw.segment import Segment

CONFIG = click.argument("config", type=click.Path(path_type=Path, readable=False))


@click.group("alert")
def command() -> None:
    """Tell people when something is wrong with a gateway.

    Rules and channels stand in gateway.yaml under alerts; `hwgw run` starts the watcher itself.
    """


def _alerts(config: Path) -> tuple[str, Alerts]:
    from hwgw.config import load
    from hwgw.errors import ConfigError

    settings = load(config)
    if settings.alerts is None:
        raise ConfigError(f"{config}: it has no section alerts")
    return settings.name, settings.alerts


@verb("test", of="alert")
@CONFIG
@click.option("--channel", "names", multiple=True, metavar="NAME", help="Only this channel; repeatable.")
@all_problems
def _test(out: Output, config: Path, names: tuple[str, ...]) -> int:
    """Send a test notice by every channel.

    Of CONFIG; says of each whether its receiver took it. Exit code 1 when one did not.
    """
    import time

    from hwgw.alerts.channels import ERRORS, deliver
    from hwgw.alerts.settings import Rule
    from hwgw.alerts.watch import notice_of
    from hwgw.errors import UsageError

    gateway, alerts = _alerts(config)
    unknown = set(names) - alerts.by_name.keys()
    if unknown:
        there = ", ".join(alerts.by_name) or "none"
        raise UsageError(f"--channel {', '.join(sorted(unknown))}: no such channel; there are {there}")
    rule = Rule("test", "test", (), "note")
    rows = []
    for channel in alerts.channels:
        if names and channel.name not in names:
            continue
        notice = notice_of(gateway, rule, "", "test", "a test of this channel: nothing is wrong", time.time_ns())
        begin, why = time.monotonic_ns(), ""
        try:
            deliver(channel, notice)
        except ERRORS as error:
            why = f"{type(error).__name__}: {error}"
        took_ns = time.monotonic_ns() - begin
        rows.append({"channel": channel.name, "kind": channel.kind, "ok": not why, "why": why, "took_ns": took_ns})
        out.say(f"{channel.name} ({channel.kind}): {why or f'sent in {took_ns / 1e6:,.1f} ms'}")
    out.emit({"gateway": gateway, "channels": rows})
    return 0 if all(row["ok"] for row in rows) else 1


@verb("watch", of="alert")
@CONFIG
@click.option(
    "--until-gone", is_flag=True, help="End when the gateway has ended and that was told, or by Ctrl-C; not by SIGTERM."
)
@log_form
@all_problems
def _watch(out: Output, config: Path, until_gone: bool, form: str) -> int:
    """Watch a gateway and tell what its rules say.

    The gateway that CONFIG describes, until Ctrl-C; it need not run yet, and may be started anew. It reads shared
    memory: the gateway does not notice, and a hung Python process of it does not matter.
    """
    import signal

    from hwgw.alerts.watch import Watcher
    from hwgw.errors import HwgwError
    from hwgw.logs import Log
    from hwgw.segment import Segment, gateways
    from hwgw.stopping import signals_stop

    gateway, alerts = _alerts(config)

    log = Log(f"hwgw alert watch: {gateway}", form, is_quiet=out.level < 0)

    def say(level: str, line: str) -> None:
        log.say("alert" if level == "info" else "channel", line, level)

    watcher = Watcher(gateway, alerts, say)
    seen: list[Segment] = []
    has_ended = False

    def find() -> bool:
        """Whether to go on: lead the watcher to the segment that there is now, and away from one that has ended."""
        nonlocal has_ended
        there = seen[0] if seen else None
        if there is not None and there.running():
            return True
        if there is not None and has_ended:  # its last words have been looked at
            watcher.attach(None)
            seen.clear()
            there.close()
            there = None
        has_ended = there is not None
        fresh: Segment | None = None
        try:
            fresh = Segment.attach(gateway) if gateway in gateways() else None
        except HwgwError as error:
            say("warning", str(error))
        if fresh is not None and fresh.running():
            watcher.attach(fresh)
            seen[:] = [fresh]
            has_ended = False
            if there is not None:
                there.close()
            say("info", "watching")
            return True
        if fresh is not None:
            fresh.close()
        return not (until_gone and there is not None)

    with signals_stop() as stop:
        if until_gone:  # a service manager that ends all of a gateway's processes means the gateway
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            watcher.run(stop, find)
        finally:
            watcher.close()
    sent = {name: {"sent": each.sent_cnt, "failed": each.failed_cnt} for name, each in watcher.channels.items()}
    out.emit({"gateway": gateway, "channels": sent})
    return 0


for member in (_test, _watch):
    command.add_command(member)
