"""The watcher: looks at a segment, knows what was told already, and tells what begins, lasts and ends.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hwgw.segment import Segment
from hwgw.stopping import Stop

from .channels import Local, Say, Sender, open_channel
from .conditions import FAST, GONE, KINDS, Marks, Words
from .settings import Alerts, Rule

__all__ = ["Watcher", "notice_of"]

SCHEMA = "hwgw.alert/1"
_PR_SET_TIMERSLACK = 29


@dataclass(slots=True)
class _Alert:
    """One condition of one rule. told_ns 0: it does not last long enough yet."""

    text: str
    since_ns: int
    told_ns: int = 0
    gone_ns: int = 0


def notice_of(gateway: str, rule: Rule, key: str, state: str, text: str, since_ns: int) -> dict[str, Any]:
    """What goes out. Times are CLOCK_REALTIME; key tells alerts of one rule apart."""
    return {
        "schema": SCHEMA, "gateway": gateway, "rule": rule.name, "when": rule.when, "key": key, "state": state,
        "severity": rule.severity, "text": text, "since_ns": since_ns, "time_ns": time.time_ns(),
    }  # fmt: skip


class Watcher:
    """Rules over one gateway. state of a notice: firing, repeated, recovered.

    An alert that is told stays the same one while its rule and key hold, and until they have not held for settle_ns:
    what flickers is told once. Its recovery is told then. attach() leads it to a segment; without one the gateway is
    gone, and nothing else is said of it.
    """

    def __init__(self, gateway: str, alerts: Alerts, log: Say = lambda *_: None) -> None:
        self.gateway, self._alerts, self._log = gateway, alerts, log
        self.channels: dict[str, Sender | Local] = {each.name: open_channel(each, log) for each in alerts.channels}
        self._marks: dict[str, Marks] = {}
        self._open: dict[tuple[str, str], _Alert] = {}
        self._segment: Segment | None = None
        self._words: Words | None = None
        self._last = b""
        self._seq = 0

    def attach(self, segment: Segment | None) -> None:
        """Look at this segment from now on; the one before may be closed."""
        self._segment = segment
        self._words = Words(segment) if segment is not None else None
        self._last = b""
        self._marks = {rule.name: Marks() for rule in self._alerts.rules}

    def _tell(self, rule: Rule, key: str, state: str, alert: _Alert) -> None:
        notice = notice_of(self.gateway, rule, key, state, alert.text, alert.since_ns)
        for name in rule.channels:
            self.channels[name].send(notice)
        self._log("info", f"{state} {rule.name}: {alert.text}")

    def _rule(self, rule: Rule, now_ns: int) -> None:
        if self._segment is None:
            if rule.when != "gone":
                return
            found = GONE
        else:
            found = KINDS[rule.when](self._segment, rule, self._marks[rule.name], now_ns)
        for key, text in found.items():
            alert = self._open.setdefault((rule.name, key), _Alert(text, now_ns))
            alert.gone_ns, alert.text = 0, text
            if not alert.told_ns:
                if now_ns - alert.since_ns >= rule.for_ns:
                    alert.told_ns = now_ns
                    self._tell(rule, key, "firing", alert)
            elif self._alerts.repeat_ns and now_ns - alert.told_ns >= self._alerts.repeat_ns:
                alert.told_ns = now_ns
                self._tell(rule, key, "repeated", alert)
        for (name, key), alert in [*self._open.items()]:
            if name != rule.name or key in found:
                continue
            alert.gone_ns = alert.gone_ns or now_ns
            if not alert.told_ns:
                del self._open[name, key]
            elif now_ns - alert.gone_ns >= self._alerts.settle_ns:
                del self._open[name, key]
                self._tell(rule, key, "recovered", alert)

    def look(self) -> None:
        """Evaluate every rule."""
        if self._segment is not None:
            self._words = Words(self._segment)  # with channels that have begun meanwhile
            self._last = self._words.signature()
        now_ns = time.time_ns()
        for rule in self._alerts.rules:
            self._rule(rule, now_ns)

    def poll(self) -> bool:
        """Evaluate the fast rules if one of their words changed; whether one did."""
        if self._words is None or (signature := self._words.signature()) == self._last:
            return False
        self._last = signature
        now_ns = time.time_ns()
        for rule in self._alerts.rules:
            if rule.when in FAST:
                self._rule(rule, now_ns)
        return True

    def run(self, stop: Stop | threading.Event, at_look: Callable[[], bool] = lambda: True) -> None:
        """Poll until told to stop. at_look is called before each look at everything and ends it by returning False."""
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)  # sleeps end when they should
        if priority := self._alerts.fifo_priority:
            try:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
            except OSError as error:
                self._log("warning", f"fifo_priority {priority} was not had: {error.strerror}")
        poll_s, interval_s = self._alerts.poll_ns / 1e9, self._alerts.interval_ns / 1e9
        due = 0.0
        while not stop.is_set():
            now = time.monotonic()
            if now < due:
                self.poll()
            elif at_look():
                self.look()
                due = now + interval_s
            else:
                self.look()
                return
            self._sleep(poll_s)

    def _sleep(self, seconds: float) -> None:
        """Until the next poll is due or a halt or resume wakes the watcher."""
        if self._segment is None:
            time.sleep(seconds)
        else:
            self._seq = self._segment.halt_listen(self._seq, seconds)

    def close(self) -> None:
        """Let the channels send what waits."""
        for channel in self.channels.values():
            channel.close()
