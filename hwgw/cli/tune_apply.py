"""hwgw tune apply and rollback: change a host, and put it back.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import Output, all_problems, verb
from .tune_common import host_options, open_host, open_profile, profile_options

if TYPE_CHECKING:
    from hwgw.tune.apply import Result
    from hwgw.tune.host import Host
    from hwgw.tune.measure import Comparison
    from hwgw.tune.plan import Plan
    from hwgw.tune.state import State


def _say(out: Output, result: Result) -> None:
    for note in result.notes:
        out.row("note: ", note)


def _refuse_foreign(found: Plan) -> None:
    """Nothing is written over a service that would set it back."""
    from hwgw.errors import CheckFailed

    if found.foreign:
        owners: dict[str, list[str]] = {}
        for change in found.foreign:
            names = owners.setdefault(change.owner, [])
            if change.setting.knob.name not in names:
                names.append(change.setting.knob.name)
        said = "; ".join(f"{owner} sets {', '.join(names)} too" for owner, names in owners.items())
        raise CheckFailed(f"{said}: leave these out of the profile, stop it, or say --take-over; nothing was written")


def _measured(
    out: Output, first: Plan, host: Host, journal: State, seconds: float, rounds: int
) -> tuple[Result, Comparison | None]:
    """Apply, undo and apply again, with jitter measured in between; the last apply stands."""
    from hwgw import jitter
    from hwgw.errors import CheckFailed, UsageError
    from hwgw.tune import apply as work
    from hwgw.tune import measure

    if not host.live:
        raise UsageError("--measure: a recorded or made host cannot be measured")
    if not first.changes:
        return work.Result(), None
    cpus = sorted(first.roles.feed | first.roles.order or host.online)
    standing = [found.number for found in journal.standing()]
    results: list[Result] = []

    def change() -> None:
        results.append(work.apply(first, host, journal, "revert", lambda line: click.echo(line, err=True)))
        if results[-1].failed:
            raise CheckFailed("a write failed, so there is nothing to compare; what this run wrote was put back")

    def undo() -> None:
        if work.rollback(host, journal, standing[-1] if standing else 0).how == "incomplete":
            raise CheckFailed("what was written between two runs cannot be put back: see hwgw tune status")

    out.note(f"CPUs {cpus}: {rounds} pairs of {seconds:g} s")
    compared = measure.run(rounds, lambda: jitter.measure(cpus, seconds), change, undo)
    for line in compared.text():
        out.row(line[:12], line[12:])
    return results[-1], compared


@verb("apply", of="tune")
@profile_options
@click.option("--persist", is_flag=True, help="Write the files that bring the profile back after a boot, too.")
@click.option("--take-over", is_flag=True, help="Stop services that set the same knobs; rollback starts them again.")
@click.option(
    "--on-error", type=click.Choice(["revert", "stop", "continue"]), default="revert", show_default=True,
    help="When a write fails: put this run back, stop there, or go on.",
)  # fmt: skip
@click.option(
    "--measure", "seconds", type=click.FloatRange(0.05, 3600), metavar="SECONDS",
    help="Measure jitter so long without and with the profile, by turns, and say whether it helped.",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(2, 100), default=5, show_default=True, help="With --measure: pairs of runs."
)
@all_problems
def apply(
    out: Output,
    profile: str,
    config: Path | None,
    nics: tuple[str, ...],
    root: str,
    state: Path | None,
    persist: bool,
    take_over: bool,
    on_error: str,
    seconds: float | None,
    rounds: int,
) -> int:
    """Change this host to what a profile says.

    Each old value is on disk before the new one is written, so that rollback can put it back whatever happens: kill -9
    and power loss included. What an interrupted run left is put back first. Nothing is written when a service that
    runs sets a knob of the profile too, unless the profile stops it or --take-over does. Exit code 1 when that is so,
    or when a write failed.
    """
    from hwgw.tune import apply as work
    from hwgw.tune import boot, plan

    host, journal = open_host(root, state)
    chosen = open_profile(profile, config, nics)
    if take_over:
        chosen.origin = (*chosen.origin, "--take-over")
    plan.wanted(chosen, host, keep=persist)  # refuse what contradicts itself before anything is written
    compared = None
    with journal.locked():
        recovered = work.recover(host, journal)
        _say(out, recovered)
        if recovered.generation:
            out.say(f"an interrupted run was put back first: {recovered.recovered} places")
        found = plan.make(chosen, host, journal, keep=persist, take_over=take_over)
        _refuse_foreign(found)
        if seconds is None:
            result = work.apply(found, host, journal, on_error, lambda line: click.echo(line, err=True))
        else:
            result, compared = _measured(out, found, host, journal, seconds, rounds)
    _say(out, result)
    out.emit(
        {
            "profile": chosen.name, "generation": result.generation, "outcome": result.how,
            "recovered": recovered.recovered,
            "written": [change.as_dict() for change in result.written] if result.how != "reverted" else [],
            "refused": [{"knob": s.knob.name, "path": plan.path_of(s), "why": why} for s, why in result.refused],
            "failed": [{"knob": s.knob.name, "path": plan.path_of(s), "why": why} for s, why in result.failed],
            **({"measure": compared.result()} if compared else {}),
        }
    )  # fmt: skip
    if not result.generation:
        out.say(f"{chosen.name}: nothing to do")
        return 0
    for setting, why in result.refused:
        out.note(f"{setting.knob.name}: {why}")
    refused = f", {len(result.refused)} refused by the kernel" if result.refused else ""
    if result.how in ("reverted", "incomplete"):
        how_far = " as far as the kernel let" if result.how == "incomplete" else ""
        out.say(f"{chosen.name}: a write failed; {result.recovered} places put back{how_far}")
    else:
        cnt = f"{len(result.written)} written{refused}, {len(result.failed)} failed"
        out.say(f"{chosen.name}: {cnt}: generation {result.generation}")
        if any(change.setting.knob.kind == "cmdline" for change in result.written):
            out.row("next: ", boot.hint(host))
        if persist and any(
            change.setting.target == "/etc/systemd/system/hwgw-tune.service" for change in result.written
        ):
            out.row("next: ", "systemctl daemon-reload && systemctl enable hwgw-tune.service")
    return 1 if result.failed else 0


@verb("rollback", of="tune")
@host_options
@click.option(
    "--to", type=int, help="The generation to go back to; 0 is the host as it was found. Else the one before."
)
@click.option("--group", help="Only the knobs of one group (nic, irq, memory ...), of every generation.")
@click.option("--knob", help="Only one knob, of every generation.")
def rollback(out: Output, root: str, state: Path | None, to: int | None, group: str | None, knob: str | None) -> int:
    """Put back what apply changed.

    Without an option the last generation. With --group or --knob that alone; the rest stands, and later rollbacks
    leave out what is back already. Exit code 1 when something could not be put back.
    """
    from hwgw.errors import UsageError
    from hwgw.tune import apply as work
    from hwgw.tune import table

    host, journal = open_host(root, state)
    standing = [found.number for found in journal.standing()]
    if sum(option is not None for option in (to, group, knob)) > 1:
        raise UsageError("--to, --group and --knob: one of them at a time")
    if group is not None and group not in (groups := [*table.groups(), "persist"]):
        raise UsageError(f"--group {group}: no such group; there are {', '.join(groups)}")
    if to is not None and to != 0 and to not in standing:
        there = ", ".join(map(str, standing)) or "none stands"
        raise UsageError(f"--to {to}: no such generation; {there}, or 0 for the host as it was found")
    if not standing:
        out.say("nothing to put back")
        out.emit({"outcome": "nothing to do", "restored": 0, "notes": [], "standing": []})
        return 0
    with journal.locked():
        if group is None and knob is None:
            result = work.rollback(host, journal, to)
        else:
            recovered = work.recover(host, journal)
            _say(out, recovered)
            result = work.rollback_part(host, journal, group=group or "", knob=knob or "")
    _say(out, result)
    left = [found.number for found in journal.standing()]
    now = f"generation {left[-1]} stands" if left else "the host is as it was found"
    out.say(f"{result.recovered} places put back; {now}")
    out.emit({"outcome": result.how, "restored": result.recovered, "notes": result.notes, "standing": left})
    return 1 if result.how == "incomplete" else 0
