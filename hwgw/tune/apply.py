"""Apply and roll back: intent on disk, write, read back, commit, knob by knob; undone in the opposite order.

SPDX-License-Identifier: MIT

A crash at any point leaves a journal that says what may have been written. The next apply puts that back before it does
anything else, and so does rollback. What was written in an earlier boot is gone with it: only files are put back then.
"""

from __future__ import annotations

import base64
import errno
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from ..errors import HwgwError, UsageError
from . import irqs, table
from .boot import fragment
from .children import widen
from .host import Host
from .knob import Knob, Setting, Unsupported, actuator, same
from .plan import Change, Plan, path_of
from .state import Entry, Generation, State

__all__ = ["ON_ERROR", "PERSISTENT", "Result", "apply", "recover", "rollback", "rollback_part"]

ON_ERROR = ("revert", "stop", "continue")
# written again even where the value is there: what the kernel changed beside it comes back too
_AGAIN = ("file", "sysctl", "irq", "thread")
_QUEUES = ("nic.channels", "nic.ring_rx", "nic.ring_tx")
PERSISTENT = ("cmdline", "etc")  # outlive a boot; put back byte for byte
Say = Callable[[str], None]


@dataclass(slots=True)
class Result:
    """What came of a run."""

    generation: int = 0
    written: list[Change] = field(default_factory=list)
    refused: list[tuple[Setting, str]] = field(default_factory=list)
    failed: list[tuple[Setting, str]] = field(default_factory=list)
    how: str = "applied"
    recovered: int = 0  # places put back that an interrupted run had left
    notes: list[str] = field(default_factory=list)


def _file_of(kind: str, target: str, host: Host) -> str:
    return fragment(host) if kind == "cmdline" else target


def _intent(number: int, change: Change, host: Host) -> dict[str, Any]:
    setting = change.setting
    knob = setting.knob
    said: dict[str, Any] = {
        "is": "intent", "n": number, "knob": knob.name, "kind": knob.kind, "target": setting.target,
        "place": actuator(knob.kind).place(host, setting.target), "old": change.old, "new": setting.want,
    }  # fmt: skip
    if knob.kind in PERSISTENT:
        raw = host.raw(_file_of(knob.kind, setting.target, host))
        said["file"] = None if raw is None else base64.b64encode(raw).decode()
    if knob.kind == "irq":
        said["name"] = irqs.name(host, int(setting.target))
    if knob.twin:
        twin = table.get(knob.twin)
        said["twin"] = [twin.kind, twin.place, actuator(twin.kind).read(host, twin.place)]
    return said


def _write(change: Change, host: Host) -> str:
    """Write and read back; what is wrong, or nothing."""
    setting = change.setting
    found = actuator(setting.knob.kind)
    try:
        found.write(host, setting.target, setting.want)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise Unsupported(error.strerror or str(error)) from None
        return error.strerror or str(error)
    except HwgwError as error:
        return str(error)
    have = found.read(host, setting.target)
    if not same(setting.knob.compare, have, setting.want):
        return f"{setting.want} was written and {have!r} is read back"
    return ""


def apply(plan: Plan, host: Host, state: State, on_error: str = "revert", say: Say = lambda _: None) -> Result:
    """Make the changes of a plan; the caller holds the state's lock and has recovered what was interrupted."""
    result = Result()
    if not plan.changes:
        return result
    head = {"profile": plan.profile.name, "file": plan.profile.file, "boot_id": host.boot_id,
            "release": host.release, "uptime_s": float((host.read("/proc/uptime") or "0").split()[0])}  # fmt: skip
    result.generation = state.begin(head)
    try:
        for number, change in enumerate(plan.changes, 1):
            state.record(_intent(number, change, host))
            try:
                wrong = _write(change, host)
            except Unsupported as error:
                state.record({"is": "refuse", "n": number, "why": str(error)})
                result.refused.append((change.setting, str(error)))
                continue
            if not wrong:
                state.record({"is": "commit", "n": number}, is_durable=False)
                result.written.append(change)
                continue
            result.failed.append((change.setting, wrong))
            say(f"{change.setting.knob.name}: {path_of(change.setting)}: {wrong}")
            if on_error == "continue":
                continue
            result.how = "stopped" if on_error == "stop" else "reverted"
            break
        if result.how == "reverted":
            _undo(state.generation(result.generation), host, state, result)
            state.record({"is": "undone"})
        else:
            state.record({"is": "end", "how": result.how})
    finally:
        state.close()
    return result


def _restore_file(entry: Entry, host: Host) -> None:
    path = _file_of(entry.said["kind"], entry.said["target"], host)
    if entry.said["file"] is None:
        host.remove(path)
    else:
        host.install(path, base64.b64decode(entry.said["file"]))


def _restore(entry: Entry, host: Host) -> str:
    """Put an old value back; a remark, or nothing."""
    said = entry.said
    kind, target, old = said["kind"], said["target"], said["old"]
    if kind in PERSISTENT:
        _restore_file(entry, host)
        return ""
    if kind == "irq" and said.get("name"):
        number = irqs.renumbered(host, int(target), said["name"])
        if number is None:
            return f"IRQ {target} ({said['name']}): it is gone"
        target = str(number)
    found = actuator(kind)
    have = found.read(host, target)
    if have is None:
        return f"{said['knob']}: {target}: it is gone"
    if have == old and kind not in _AGAIN:
        return ""
    twin = said.get("twin")
    try:
        if twin and old == "0":
            actuator(twin[0]).write(host, twin[1], twin[2])
        else:
            found.write(host, target, old)
    except (OSError, Unsupported):
        if have != old:
            raise
    remark = ""
    if entry.is_committed and not same(_compare(said["knob"]), have, said["new"]):
        who = said["knob"] if target in (said["knob"], said["place"]) else f"{said['knob']} ({target})"
        remark = f"{who}: was {have} meanwhile, not the {said['new']} that was written"
    return remark


def _compare(name: str) -> str:
    knob: Knob | None = table.knobs().get(name)
    return knob.compare if knob else "text"


def _undo(
    generation: Generation, host: Host, state: State, result: Result, only: Collection[int] | None = None
) -> None:
    """Put back what a generation wrote: last first, but a NIC's knobs in their order, because queues reset the rest."""
    entries = [entry for entry in generation.written() if only is None or entry.number in only]
    order = [e for e in reversed(entries) if e.said["kind"] != "nic"] + [e for e in entries if e.said["kind"] == "nic"]
    same_boot = generation.head.get("boot_id") == host.boot_id
    for entry in order:
        if not same_boot and entry.said["kind"] not in PERSISTENT:
            continue
        try:
            remark = _restore(entry, host)
        except (OSError, Unsupported) as error:
            reason = getattr(error, "strerror", None) or str(error)
            result.notes.append(f"{entry.said['knob']}: {entry.said['target']}: cannot be put back: {reason}")
            result.how = "incomplete"
            continue
        if remark:
            result.notes.append(remark)
        state.record({"is": "undo", "n": entry.number}, is_durable=False)
        result.recovered += 1
    if same_boot:
        result.notes += widen(entries, host, generation.head.get("uptime_s", 0.0))


def _undo_whole(number: int, host: Host, state: State, result: Result) -> None:
    state.reopen(number)
    try:
        before = result.how
        result.how = "applied"
        _undo(state.generation(number), host, state, result)
        if result.how != "incomplete":
            state.record({"is": "undone"})
            result.how = before
    finally:
        state.close()


def _undo_part(number: int, only: Collection[int], host: Host, state: State, result: Result) -> None:
    """Put back some places of a generation; the journal says first which, so that a crash is gone on with."""
    before, result.how = result.how, "applied"
    state.reopen(number)
    try:
        state.record({"is": "part", "numbers": sorted(only)})
        _undo(state.generation(number), host, state, result, only)
        left = state.generation(number)
        if result.how != "incomplete":
            state.record({"is": "parted"} if left.written() else {"is": "undone"})
            result.how = before
    finally:
        state.close()


def recover(host: Host, state: State) -> Result:
    """Put back what an interrupted run left behind; the caller holds the state's lock."""
    result = Result(how="recovered")
    for generation in reversed(state.standing()):
        if generation.is_interrupted:
            result.generation = generation.number
            if generation.end:
                _undo_part(generation.number, generation.parting, host, state, result)
            else:
                _undo_whole(generation.number, host, state, result)
    return result


def _group(said: dict[str, Any]) -> str:
    """The group of a journalled knob; what brings a profile back after a boot is a group of its own."""
    if said["kind"] == "etc" and said["knob"].startswith("persist."):
        return "persist"
    knob = table.knobs().get(said["knob"])
    return knob.group if knob else "irq"  # a service that was taken over


def _parts(state: State, group: str, knob: str) -> dict[int, list[int]]:
    """The places of a group or knob by generation. Options of the command line share a file, and go together."""
    found: dict[int, list[int]] = {}
    standing = {generation.number: generation.written() for generation in state.standing()}
    chosen = [e for entries in standing.values() for e in entries if group == _group(e.said) or knob == e.said["knob"]]
    if not chosen:
        there = {_group(e.said) if group else e.said["knob"] for entries in standing.values() for e in entries}
        what = f"--group {group}" if group else f"--knob {knob}"
        raise UsageError(f"{what}: nothing of it was written; {', '.join(sorted(there)) or 'nothing'} was")
    options = any(entry.said["kind"] == "cmdline" for entry in chosen)
    if options and knob:
        raise UsageError(f"--knob {knob}: options of the command line share a file and go back together: --group boot")
    for number, entries in standing.items():
        numbers = [
            e.number
            for e in entries
            if group == _group(e.said) or knob == e.said["knob"] or (options and e.said["kind"] == "cmdline")
        ]
        if numbers:
            found[number] = numbers
    return found


def rollback_part(host: Host, state: State, *, group: str = "", knob: str = "") -> Result:
    """Undo the places of one group, or of one knob, in every generation; the rest stands."""
    result = Result(how="rolled back")
    parts = _parts(state, group, knob)
    for number in sorted(parts, reverse=True):
        result.generation = number
        _undo_part(number, parts[number], host, state, result)
    left = [e.said for generation in state.standing() for e in generation.written()]
    if any(_group(said) == "persist" for said in left):
        result.notes.append("the next boot applies the profile again: --group persist takes that back")
    if group == "nic" or knob in _QUEUES:
        result.notes.append("queues that are made anew reset what hangs on them: hwgw tune verify tells")
    return result


def rollback(host: Host, state: State, to: int | None = None) -> Result:
    """Undo generations, newest first, until the wanted one is the newest; 0 is the host as it was found."""
    standing = state.standing()
    result = Result(how="rolled back")
    wanted = to if to is not None else (standing[-2].number if len(standing) > 1 else 0)
    for generation in reversed(standing):
        if generation.number > wanted:
            result.generation = generation.number
            _undo_whole(generation.number, host, state, result)
    return result
