"""What gateway.yaml says under alerts, typed and frozen.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Alerts", "Channel", "Rule"]


@dataclass(frozen=True, slots=True)
class Channel:
    """A way out. kind: webhook, smtp, syslog, exec, unix; of the rest what that kind needs."""

    name: str
    kind: str
    url: str = ""
    token_file: str = ""
    server: str = ""
    port: int = 25
    tls: str = "none"
    sender: str = ""
    recipients: tuple[str, ...] = ()
    path: str = ""
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition and whom it concerns.

    above: part of a limit or of the journal's ring, in 1/10,000. bound_ns: age of a heartbeat. for_ns: so long it must
    hold before anybody is told.
    """

    name: str
    when: str
    channels: tuple[str, ...]
    severity: str = "page"
    for_ns: int = 0
    above: int = 9_000
    bound_ns: int = 1_000_000_000
    counter: str = ""
    count_max: int = 0
    window_ns: int = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Alerts:
    """poll_ns: how often what is told by single words is looked at; interval_ns: the rest. repeat_ns 0 = told once.

    fifo_priority: of SCHED_FIFO for the thread that looks, 0 = as it was started.
    """

    channels: tuple[Channel, ...] = ()
    rules: tuple[Rule, ...] = ()
    poll_ns: int = 1_000_000
    interval_ns: int = 250_000_000
    settle_ns: int = 1_000_000_000
    repeat_ns: int = 0
    fifo_priority: int = 0
    by_name: dict[str, Channel] = field(default_factory=dict, compare=False)
