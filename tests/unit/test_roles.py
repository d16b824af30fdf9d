"""Who may do what at a gateway: the file mode of its segment, and the roles of deploy/sudoers as the pages tell them.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hwgw import cli
from hwgw.errors import PrivilegeError
from hwgw.segment import Segment

OWNER, VIEWER, STRANGER, GROUP = 65_501, 65_502, 65_503, 65_510
GROUPS = ("hwgw-halt", "hwgw-limits", "hwgw-admin")
WRITE_FILES = {"limits keygen", "limits sign", "bundle make", "bundle install"}


def sudoers(root: Path) -> dict[str, list[str]]:
    """The commands of each group."""
    text = (root / "deploy/sudoers").read_text(encoding="utf-8").replace("\\\n", " ")
    aliases = {
        name: [" ".join(each.split()) for each in commands.split(",")]
        for name, commands in re.findall(r"^Cmnd_Alias (\w+) = (.+)$", text, re.MULTILINE)
    }
    lines = re.findall(r"^%(\S+) ALL=\(hwgw\) (?:NOPASSWD: )?(.+)$", text, re.MULTILINE)
    return {group: [each for alias in names.split(", ") for each in aliases[alias]] for group, names in lines}


def test_every_command_of_a_role_is_one_verb_and_none_writes_files_as_the_gateways_user(root: Path) -> None:
    for group, commands in sudoers(root).items():
        for command in commands:
            if command == "/usr/bin/hwgw-halt *":
                continue
            program, *words, rest = command.split()
            assert (program, rest) == ("/usr/bin/hwgw", "*"), group
            found: click.Command | None = cli.cli
            for word in words:
                assert isinstance(found, click.Group), command
                found = found.get_command(click.Context(found), word)
            assert found, command
            assert not isinstance(found, click.Group), (
                f"{command}: whatever is added to the group would be allowed, too"
            )
            assert " ".join(words) not in WRITE_FILES


def test_each_role_may_what_the_one_below_may_and_the_page_says_what_more(root: Path) -> None:
    roles, page = sudoers(root), (root / "docs/control.md").read_text(encoding="utf-8")
    assert tuple(roles) == GROUPS
    below: set[str] = set()
    for group, commands in roles.items():
        assert below < set(commands)
        (said,) = re.findall(rf"^\| `{group}` \| (.+) \|$", page, re.MULTILINE)
        words = {command.removeprefix("/usr/bin/").removesuffix(" *").split()[-1] for command in set(commands) - below}
        assert {word for word in words if not re.search(rf"\b{word}\b", said)} == set()
        named = set(
            re.findall(r"\b(resume|arm|halt|cancel|disarm|reload|set|rollback)\b", said.replace("`hwgw-halt`", ""))
        )
        assert named == words - {"hwgw-halt"}
        below = set(commands)


@pytest.mark.skipif(not shutil.which("visudo"), reason="needs visudo (sudo)")
def test_sudo_reads_it(root: Path) -> None:
    done = subprocess.run(
        ["visudo", "-c", "-f", root / "deploy/sudoers"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def being(uid: int, gid: int) -> Iterator[None]:
    """Act as another user of one group."""
    groups, mine = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(mine)
        os.setgroups(groups)


@pytest.mark.root
def test_the_owner_controls_the_group_looks_and_others_see_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    name = f"roles-{os.getpid()}-{time.monotonic_ns() % 1_000_000}"
    with Segment.create(name, ["AAPL"]) as gateway:
        file = Path(f"/dev/shm/hwgw-{name}")
        assert file.stat().st_mode & 0o777 == 0o640
        os.chown(file, OWNER, GROUP)
        for uid, gid in ((VIEWER, GROUP), (STRANGER, STRANGER)):
            with being(uid, gid):
                with pytest.raises(PrivilegeError):
                    Segment.attach(name, writable=True)
                assert cli.execute(["halt", name]) == 4
                assert cli.execute(["status", name]) == (0 if gid == GROUP else 4)
                said = capsys.readouterr()
                assert f"{name}: Permission denied" in said.err
                assert (f"{name}: running" in said.out) == (gid == GROUP)
        assert gateway.halted is None
        with being(OWNER, GROUP):
            assert cli.execute(["halt", name]) == 0
        assert gateway.halted is not None
        assert gateway.halted["text"] == "halted by the operator"
        gateway.resume()
