"""hwgw tune plan: what a profile would change.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import Output, all_problems, verb
from .tune_common import open_host, open_profile, profile_options, shorten

if TYPE_CHECKING:
    from hwgw.tune.plan import Plan

_MARK = {"runtime": " ", "disruptive": "!", "reboot": "b"}


def say_changes(out: Output, found: Plan) -> None:
    """The changes, grouped by knob where many places of one change alike."""
    from hwgw.tune import table
    from hwgw.tune.knob import COMPARE
    from hwgw.tune.plan import path_of

    titles = table.groups()
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for change in found.changes:
        knob = change.setting.knob
        old = COMPARE["choice"](change.old) if knob.compare == "choice" else change.old
        key = (knob.group, knob.name, old, change.setting.want)
        rows.setdefault(key, []).append(path_of(change.setting))
    group = ""
    for (in_group, name, old, new), paths in rows.items():
        if in_group != group:
            group = in_group
            out.say(titles[group])
        knob = next(change.setting.knob for change in found.changes if change.setting.knob.name == name)
        cnt = f"  ({len(paths)} places)" if len(paths) > 1 else ""
        out.say(f" {_MARK[knob.change_class]} {name:<28} {shorten(old) or '(empty)'} -> {shorten(new)}{cnt}")
        if out.level > 0:
            for path in paths:
                out.say(f"       {path}")
            out.row("       ", f"{knob.reason}; risk {knob.risk}; {knob.source}")


@verb("plan", of="tune")
@profile_options
@click.option("--persist", is_flag=True, help="With the files that bring the profile back after a boot.")
@click.option("--take-over", is_flag=True, help="With what stops services that set the same knobs.")
@all_problems
def plan(
    out: Output, profile: str, config: Path | None, nics: tuple[str, ...], root: str, state: Path | None, persist: bool,
    take_over: bool,
) -> int:  # fmt: skip
    """What a profile would change on this host; nothing is written.

    Exit code 0: nothing to do; 1: there are changes; 3: the profile contradicts itself or the host. With -v every path,
    reason and source.
    """
    from hwgw.strict_yaml import ProblemsError
    from hwgw.tune import plan as plans
    from hwgw.tune.cpus import list_text

    host, journal = open_host(root, state)
    try:
        found = plans.make(open_profile(profile, config, nics), host, journal, keep=persist, take_over=take_over)
    except ProblemsError as error:
        said = [
            {"file": error.file, "line": p.line, "knob": p.key, "problem": p.text, "level": "error"}
            for p in error.problems
        ]
        out.emit({"changes": [], "problems": said})
        raise
    roles = {
        role: list_text(getattr(found.roles, role)) for role in ("feed", "order", "journal", "housekeeping", "idle")
    }
    problems = [{"knob": knob, "problem": text, "level": "warning"} for knob, text in found.warnings]
    foreign = {c.setting.knob.name: f"{c.owner} sets it too; apply refuses without --take-over" for c in found.foreign}
    problems += [{"knob": knob, "problem": text, "level": "refused"} for knob, text in foreign.items()]
    out.emit(
        {
            "profile": found.profile.name, "host": host.facts(), "roles": roles,
            "changes": [change.as_dict() for change in found.changes], "problems": problems,
            "pending": [{"knob": s.knob.name, "path": plans.path_of(s), "new": s.want} for s in found.pending],
            "unsupported": [
                {"knob": s.knob.name, "path": plans.path_of(s), "want": s.want, "why": why}
                for s, why in found.unsupported
            ],
        }
    )  # fmt: skip
    shown = ", ".join(f"{role} {cpus}" for role, cpus in roles.items() if cpus)
    out.say(f"{found.profile.name}: {found.profile.about}")
    out.row("CPUs: ", shown)
    say_changes(out, found)
    for setting, why in found.unsupported:
        out.note(f"{setting.knob.name}: {plans.path_of(setting)}: {why}")
    for knob, text in found.warnings:
        out.row("note: ", f"{knob}: {text}")
    for knob, text in foreign.items():
        out.row("refused: ", f"{knob}: {text}")
    own = sum(change.setting in found.settings for change in found.changes)
    right = len(found.settings) - own - len(found.foreign) - len(found.unsupported)
    disruptive = sum(change.setting.knob.change_class == "disruptive" for change in found.changes)
    reboot = sum(change.setting.knob.change_class == "reboot" for change in found.changes)
    marks = [f"{disruptive} disruptive (!)"] * bool(disruptive) + [f"{reboot} from the next boot on (b)"] * bool(reboot)
    out.say(
        f"{len(found.changes)} changes{': ' + ', '.join(marks) if marks else ''}; {right} as wanted, "
        f"{len(found.unsupported)} not on this host" + (f", {len(found.foreign)} refused" if found.foreign else "")
    )
    return 1 if found.changes or found.foreign else 0
