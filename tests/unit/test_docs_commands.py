"""Every command that the pages show is one that there is: verb, options, targets of make, programs of the tree.

SPDX-License-Identifier: MIT

What a command does is tried where it belongs (test_tune_tour, test_notebook, test_python_rx_page run their pages); here
every one of every page is held against the command line itself, so that a renamed option cannot stay on a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from hwgw.cli import cli

OPTION = re.compile(r"(?<![\w/-])(--[a-z][a-z0-9-]+|-[a-zA-Z])(?![\w-])")
WORD = re.compile(r"[a-z][a-z-]*")
OF_ALL = {"--help", "-h", "--json", "-q", "-v", "--quiet", "--verbose", "--debug", "--version"}


def pages(root: Path) -> Iterator[tuple[Path, str]]:
    """README and the pages of docs/ that are written by hand."""
    for page in (
        root / "README.md",
        *sorted((root / "docs").glob("*.md")),
        *sorted((root / "docs/decisions").glob("*.md")),
    ):
        yield page, page.read_text(encoding="utf-8")


def shown(text: str) -> Iterator[str]:
    """Lines of blocks, continued ones as one, and code within sentences."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            yield from re.split(r"\s{3,}(?=hwgw )", line.split(" #")[0].strip())
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", outside))


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


def test_every_call_of_hwgw_on_a_page_is_one_that_there_is(root: Path) -> None:
    """Verbs and options."""
    found, cnt = [], 0
    for page, text in pages(root):
        for line in shown(text):
            # "hwgw VERB: ..." is what a command said
            if re.match(r"(sudo |\$ |\.venv/bin/|/usr/bin/)?hwgw (?![a-z-]+:)[a-z-]", line):
                cnt += 1
                if problem := wrong(re.sub(r"^(sudo |\$ )", "", line)):
                    found.append(f"{page.relative_to(root)}: {line[:100]}: {problem}")
    assert found == []
    assert cnt > 150


def test_every_target_of_make_on_a_page_is_in_the_makefile(root: Path) -> None:
    """With the variables that it reads."""
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = {name for names in re.findall(r"^([a-z][a-z .-]*):", makefile, re.MULTILINE) for name in names.split()}
    variables = set(re.findall(r"\$[({](?:if \$\()?([A-Z]+)", makefile)) | {"CARD", "JSON", "FILE", "N", "CMAKE_ARGS"}
    found, cnt = [], 0
    for page, text in pages(root):
        for line in shown(text):
            if match := re.match(r"make ([a-z-]+)((?: [A-Z]+=\S+)*)", line):
                cnt += 1
                if match[1] not in targets or set(re.findall(r"([A-Z]+)=", match[2])) - variables:
                    found.append(f"{page.relative_to(root)}: {line}")
    assert found == []
    assert cnt > 30
