"""hwgw tune explain and lint-cmdline: what a knob is, what is wrong with a command line.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path

import click

from .common import Output, verb
from .tune_common import host_options, open_host


@verb("explain", of="tune")
@click.argument("knobs", nargs=-1, metavar="[KNOB]...")
def explain(out: Output, knobs: tuple[str, ...]) -> int:
    """What a knob does, what it risks, how it is checked and undone.

    A knob is named as in a profile (cpu.governor) or by its place (net.core.busy_poll); without one all are listed.
    """
    from hwgw.tune import table

    chosen = [table.get(name) for name in knobs] or list(table.knobs().values())
    out.emit({"knobs": [table.explain(knob) for knob in chosen]})
    titles, group = table.groups(), ""
    for knob in chosen:
        if not knobs:
            if knob.group != group:
                group = knob.group
                out.say(titles[group])
            out.row(f"  {knob.name:<28} ", knob.reason)
            continue
        out.say(knob.name)
        want = "leave it" if knob.want is None else knob.want
        needs = [*knob.needs, *([f"Linux {knob.kernel_min}"] if knob.kernel_min else [])]
        for label, text in (
            ("where", knob.place), ("kind", f"{knob.kind}, {knob.change_class}, risk {knob.risk}"),
            ("recommended", want), ("why", knob.reason), ("trap", knob.trap), ("verify", knob.verify),
            ("in force", knob.effective), ("undo", knob.undo), ("needs", ", ".join(needs)), ("twin", knob.twin),
            ("set by too", ", ".join(knob.owners)), ("source", knob.source),
        ):  # fmt: skip
            if text and not (knob.kind == "report" and label == "recommended"):
                out.row(f"  {label:<12} ", text)
    return 0


@verb("lint-cmdline", of="tune")
@host_options
@click.argument("line", required=False)
def lint_cmdline(out: Output, root: str, state: Path | None, line: str | None) -> int:
    """What is wrong with a kernel command line on this host.

    LINE, or the one the kernel was booted with. Exit code 1 when an option does not do what it says.
    """
    from hwgw.tune import lint

    host, _ = open_host(root, state)
    text = host.cmdline if line is None else line
    findings = lint.lint(text, host)
    known = f"options of {host.release}" if host.kernel_config else "the kernel's options are not known here"
    for finding in findings:
        out.row(f"{finding.level:<8} ", str(finding))
    errors = sum(finding.level == lint.ERROR for finding in findings)
    out.say(f"{errors} errors, {len(findings) - errors} warnings ({known})")
    out.emit(
        {
            "cmdline": text, "release": host.release, "config_known": bool(host.kernel_config),
            "findings": [{"level": f.level, "option": f.option, "value": f.value, "text": f.text} for f in findings],
        }
    )  # fmt: skip
    return 1 if errors else 0
