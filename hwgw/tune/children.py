"""Processes that began while their parents were confined: rollback lets them run where their parents may again.

SPDX-License-Identifier: MIT

A child takes over its parent's CPUs, so restoring only those that were moved would leave every later child narrow.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from .cpus import Cpus, list_text, parse_list
from .expand import PF_KTHREAD, PF_NO_SETAFFINITY
from .host import Host
from .state import Entry

__all__ = ["widen"]

_ANCESTORS_MAX = 64
_TICKS_HZ = 100  # USER_HZ of every architecture that Linux runs on today, alpha apart


def _stat(host: Host, tid: int) -> tuple[int, int, str]:
    """Parent, flags and start of a thread."""
    stat = (host.read(f"/proc/{tid}/stat") or "").rpartition(")")[2].split()
    return (int(stat[1]), int(stat[6]), stat[19]) if len(stat) > 19 else (0, PF_NO_SETAFFINITY, "")


def widen(entries: Iterable[Entry], host: Host, since_s: float) -> list[str]:
    """Give children of moved threads that began since then the CPUs their parents had; a line for each."""
    moved = {}
    narrow: set[Cpus] = set()
    for entry in entries:
        if entry.said["kind"] == "thread":
            moved[entry.said["target"]] = parse_list(entry.said["old"])
            narrow.add(parse_list(entry.said["new"]))
    if not moved:
        return []
    first = parse_list(next((entry.said["old"] for entry in entries if entry.said["target"].startswith("1 ")), ""))
    notes = []
    for _, tid in host.threads():
        parent, flags, started = _stat(host, tid)
        allowed = host.status(tid).get("Cpus_allowed_list", "")
        if flags & (PF_KTHREAD | PF_NO_SETAFFINITY) or f"{tid} {started}" in moved or parse_list(allowed) not in narrow:
            continue
        if int(started) < int(since_s * _TICKS_HZ):
            continue  # it was confined before, by somebody else
        wide = _inherited(host, parent, moved) or first
        if wide and wide != parse_list(allowed):
            with contextlib.suppress(OSError):
                host.pin(tid, wide)
                notes.append(f"thread {tid} began meanwhile: {allowed} -> {list_text(wide)}, as its parent")
    return notes


def _inherited(host: Host, parent: int, moved: dict[str, Cpus]) -> Cpus:
    """The CPUs that the nearest moved ancestor had."""
    for _ in range(_ANCESTORS_MAX):
        if parent < 1:
            break
        above, _, started = _stat(host, parent)
        if wide := moved.get(f"{parent} {started}"):
            return wide
        parent = above
    return frozenset()
