"""hwgw rollback: limits and strategies of a running gateway back to versions that were in force.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import calendar
import re
import time

import click

from .common import Output, verb
from .limits import LOOSER


def _time_ns(text: str) -> int:
    """A time as hwgw limits versions prints it, in UTC; ns since 1970."""
    from hwgw.errors import UsageError

    allowed = f"--to {text}: a time in UTC is allowed, such as 2026-03-31 14:30:00 or 2026-03-31T14:30:00.123456789Z"
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:\.(\d{1,9}))?Z?", text, re.ASCII)
    if not match or (match[4] and not match[3]):
        raise UsageError(allowed)
    try:
        when = time.strptime(f"{match[1]} {match[2]}{match[3] or ':00'}", "%Y-%m-%d %H:%M:%S")
    except ValueError:
        raise UsageError(allowed) from None
    return calendar.timegm(when) * 10**9 + int((match[4] or "0").ljust(9, "0"))


def _by_strategy(given: tuple[str, ...]) -> dict[str, str]:
    from hwgw.errors import UsageError

    found: dict[str, str] = {}
    for each in given:
        strategy, equals, version = each.partition("=")
        if not (strategy and equals and version):
            raise UsageError(f"--strategy {each}: STRATEGY=VERSION is allowed, such as lean=7")
        if strategy in found:
            raise UsageError(f"--strategy {each}: {strategy} is named twice")
        found[strategy] = version
    return found


@verb("rollback")
@click.argument("name")
@click.option("--limits", default="", metavar="N|HASH", help="A version of the limits: hwgw limits versions NAME.")
@click.option(
    "--strategy", "strategies", multiple=True, metavar="S=N|HASH",
    help="A version of a strategy: hwgw strategy versions NAME; repeatable.",
)  # fmt: skip
@click.option("--to", default="", metavar="TIME", help="Instead: all that was in force at this time, in UTC.")
@LOOSER
def command(out: Output, name: str, limits: str, strategies: tuple[str, ...], to: str, allow_looser: bool) -> int:
    """Put limits and strategies in force that were in force before.

    All of them or none: each is looked up and checked before anything is changed, strategies are changed before
    limits, and when one is not taken the others are put back. Limits and parameters, not code; both hold until the
    gateway restarts.
    """
    from hwgw import rollback
    from hwgw.errors import UsageError
    from hwgw.segment import Segment

    from . import limits as of_limits
    from . import strategy as of_strategies

    wanted = _by_strategy(strategies)
    if bool(to) == bool(limits or wanted):
        raise UsageError("name versions (--limits, --strategy) or a time (--to), and not both")
    if to:
        at_ns = _time_ns(to)
    with Segment.attach(name, writable=True) as segment:
        plan = rollback.of_time(segment, at_ns) if to else rollback.of_versions(segment, limits, wanted)
        versions = [f"limits to {limits}"] * bool(limits) + [f"{each} to {of}" for each, of in wanted.items()]
        done = rollback.carry_out(
            segment, plan, f"rollback of {', '.join(versions) or f'all to {to}'}", allow_looser=allow_looser
        )
    if not plan.limits and not plan.strategies:
        out.say(f"{name}: what was in force at {to} is in force")
    rows = [of_strategies.told(out, name, each) for each in done.strategies]
    row = of_limits.told(out, name, done.limits) if done.limits else None
    out.emit({"name": name, "limits": row, "strategies": rows})
    return 0
