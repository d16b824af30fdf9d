"""hwgw(1), from the command line itself: every verb, its text and its options.

SPDX-License-Identifier: MIT

    python deploy/man.py > hwgw.1
"""

from __future__ import annotations

import re
import sys

import click

from hwgw import __version__
from hwgw.cli import cli

# what every verb has is said once
COMMON = {"as_json", "quiet", "verbose", "debug", "help"}
CODES = (
    "0 ok, 1 check failed or difference found, 2 usage, 3 configuration, 4 privilege, 5 hardware or driver, 6 halted by"
    " risk, 7 internal, 130 interrupted, 141 the reader of a pipe went away."
)


def escaped(text: str) -> str:
    """Text that roff takes for nothing else."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def paragraphs(text: str) -> list[str]:
    """A help text as paragraphs; those that click leaves alone (a line of \\b before them) keep their lines."""
    lines = []
    for block in re.split(r"\n\s*\n", text.replace("\f", "").strip()):
        if block.startswith("\b\n"):
            lines += [".PP", ".nf", escaped(block[2:]), ".fi"]
        else:
            lines += [".PP", escaped(" ".join(block.split()))]
    return lines


def option(context: click.Context, parameter: click.Parameter) -> list[str]:
    """A parameter as click shows it in --help."""
    record = parameter.get_help_record(context)
    return [".TP", f".B {escaped(record[0])}", escaped(record[1])] if record else []


def verbs(context: click.Context, command: click.Command) -> list[str]:
    """A verb, or every verb of a group."""
    if isinstance(command, click.Group):
        lines = []
        for name in command.list_commands(context):
            if inner := command.get_command(context, name):
                lines += verbs(click.Context(inner, context, name), inner)
        return lines
    pieces = " ".join(command.collect_usage_pieces(context))
    lines = [".SS", escaped(f"{context.command_path} {pieces}"), *paragraphs(command.help or "")[1:]]
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name not in COMMON:
            lines += option(context, parameter)
    return lines


def page() -> str:
    """The whole page."""
    root = click.Context(cli, info_name="hwgw")
    lines = [
        '.\\" Made by deploy/man.py. SPDX-License-Identifier: MIT',
        f'.TH HWGW 1 "" "hwgw {__version__}"', ".SH NAME",
        "hwgw \\- hardware gateway: market data in, checked orders out", ".SH SYNOPSIS", ".B hwgw",
        "[\\fIoptions\\fR] \\fIverb\\fR [\\fIarguments\\fR]", ".SH DESCRIPTION",
        "A gateway between an exchange and a strategy. Every verb takes \\fB\\-\\-json\\fR (one object on stdout), "
        "\\fB\\-q\\fR, \\fB\\-v\\fR, \\fB\\-\\-debug\\fR and \\fB\\-\\-help\\fR.", ".SH VERBS",
    ]  # fmt: skip
    lines += verbs(root, cli)
    lines += [".SH EXIT STATUS", CODES, ".SH FILES"]
    for path, text in (
        ("/etc/hwgw/current", "the installed bundle"),
        ("/etc/hwgw/metrics.conf", "where hwgw\\-metrics.service listens"),
        ("/var/lib/hwgw", "records of what gateways were told, and journals"),
        ("/usr/share/doc/hwgw", "the documentation"),
    ):
        lines += [".TP", f".I {path}", text]
    return "\n".join([*lines, ".SH SEE ALSO", ".BR hwgw\\-halt (1)"]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
