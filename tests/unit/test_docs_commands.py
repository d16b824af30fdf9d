"""Every command that the pages show is one that there is: verb, options, targets of make, programs of the tree.

SPDX-License-Identifier: MIT

What a command does is tried where it belongs (test_tune_tour, test_notebook, test_python_rx_page run their pages); here
every one of every page is held against the command line itself, so that a renamed option cannot stay on a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from support.shown import wrong


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


def test_every_test_that_a_page_names_is_there(root: Path) -> None:
    """A page that says what was tried says it of a test that tries it."""
    found, cnt = [], 0
    for page, text in pages(root):
        for file, name in re.findall(r"(tests/[a-z_0-9/]+\.py)(?:::(\w+))?", text):
            cnt += 1
            there = (root / file).read_text(encoding="utf-8") if (root / file).is_file() else ""
            if not there or (name and not re.search(rf"^def {name}\(", there, re.MULTILINE)):
                found.append(f"{page.relative_to(root)}: {file} {name}")
    assert found == []
    assert cnt > 60
