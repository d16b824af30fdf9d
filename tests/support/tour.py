"""Pages with real output: every `$ command` in a console block of a page is run, what it prints stands below it.

SPDX-License-Identifier: MIT

    python -m support.tour docs/TUNE.md      runs the page on a made host and writes what came out

Commands run one after the other in a folder with a made host, `host`; hwgw in this process, everything else by sh.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hwgw.cli import execute

from . import hosts

_BLOCK = re.compile(r"(```console\n)(.*?)(```\n)", re.DOTALL)
_TIMES = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")
_TIME = "2026-11-20 08:00:00Z"
_FILE = re.compile(r"```yaml\n# ([a-z]+\.yaml)\n(.*?)```\n", re.DOTALL)


def _run(line: str) -> str:
    first, _, rest = line.partition(" | ")
    if not first.startswith("hwgw "):
        return _shell(line)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = execute(shlex.split(first)[1:])
    if rest:
        return _shell(rest, said.getvalue())
    return said.getvalue() + (f"(exit code {code})\n" if code else "")


def _shell(line: str, text: str = "") -> str:
    done = subprocess.run(["sh", "-c", line], input=text, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def _commands(block: str) -> Iterator[str]:
    yield from (line[2:] for line in block.splitlines() if line.startswith("$ "))


def replay(page: str) -> tuple[str, int]:
    """The page with what its commands print today, and how many commands there were."""
    cnt = 0

    def block(match: re.Match[str]) -> str:
        nonlocal cnt
        out = []
        for command in _commands(match[2]):
            cnt += 1
            out.append(f"$ {command}\n{_run(command)}")
        return match[1] + _TIMES.sub(_TIME, "".join(out)) + match[3]

    before = Path.cwd()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.chdir(folder)
        try:
            hosts.make(Path("host"))
            for name, text in _FILE.findall(page):
                Path(name).write_text(text, encoding="utf-8")
            return _BLOCK.sub(block, page), cnt
        finally:
            os.chdir(before)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        file = Path(name)
        text, cnt = replay(file.read_text(encoding="utf-8"))
        file.write_text(text, encoding="utf-8")
        print(f"{name}: {cnt} commands")
