"""Commands that pages show, held against the command line.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re

import click

from hwgw.cli import cli

OPTION = re.compile(r"(?<![\w/-])(--[a-z][a-z0-9-]+|-[a-zA-Z])(?![\w-])")
WORD = re.compile(r"[a-z][a-z-]*")
OF_ALL = {"--help", "-h", "--json", "-q", "-v", "--quiet", "--verbose", "--debug", "--version"}


def wrong(line: str) -> str:
    """What is wrong with a line that calls hwgw; empty when nothing is."""
    rest = re.split(r"[|;&>]{1,2} |[|]$", re.sub(r"^(.*?/)?hwgw ", "", line))[0]
    words = rest.replace("\\|", "|").split()
    command: click.Command = cli
    context = click.Context(cli, info_name="hwgw")
    known = set(OF_ALL)
    while isinstance(command, click.Group):
        known |= {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        words = words[1:] if words and words[0] in OF_ALL else words
        if not words or not WORD.fullmatch(words[0].strip("[],.;:")):
            break
        inner = command.get_command(context, words[0].strip("[],.;:"))
        if inner is None:
            return f"no verb {words[0]} of {context.command_path}"
        command, context, words = inner, click.Context(inner, context, words[0]), words[1:]
    known |= {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    if isinstance(command, click.Group):  # every member, where a group is spoken of
        for member in command.list_commands(context):
            if inner := command.get_command(context, member):
                known |= {name for parameter in inner.params for name in parameter.opts}
    unknown = [option for option in OPTION.findall(" ".join(words)) if option not in known]
    return f"no {', '.join(unknown)} of {context.command_path}" if unknown else ""
