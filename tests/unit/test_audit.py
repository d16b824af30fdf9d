"""The record of what people told a gateway: complete, chained, and in the way of nothing that stops orders.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwgw import audit, cli
from hwgw.errors import CheckFailed, DeviceError, UsageError
from hwgw.risk import versions
from hwgw.segment import Segment

OWNER, VIEWER, GROUP = 65_534, 65_533, 65_534  # who runs gateways, who may look at them, and what both are in


@pytest.fixture
def name():
    """A gateway name of this test's own."""
    yield (name := f"test-{os.getpid()}-{time.monotonic_ns() % 1_000_000}")
    audit.path(name).unlink(missing_ok=True)


def test_acts_are_numbered_chained_and_signed_with_who_and_when(name):
    before = time.time_ns()
    assert [audit.record(name, "halt", text=str(i)) for i in range(3)] == [1, 2, 3]
    acts = list(audit.verify(name))
    assert [(act["seq"], act["action"], act["text"]) for act in acts] == [
        (1, "halt", "0"),
        (2, "halt", "1"),
        (3, "halt", "2"),
    ]
    assert all((act["uid"], act["pid"], act["gateway"]) == (os.getuid(), os.getpid(), name) for act in acts)
    assert before <= acts[0]["time_ns"] <= acts[1]["time_ns"] <= acts[2]["time_ns"] <= time.time_ns()
    assert len({act["prev"] for act in acts}) == 3


def test_every_changed_bit_removed_swapped_or_cut_line_is_found(name, rng):
    for i in range(5):
        audit.record(name, "resume", reasons=["loss"], note=i)
    file = audit.path(name)
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    damaged = [
        b"".join(lines[:2] + lines[3:]),
        b"".join([lines[1], lines[0], *lines[2:]]),
        b"".join([*lines, lines[-1]]),
        whole[:-1],
        b"\n" + whole,
    ]
    body = len(b"".join(lines[:-1]))  # nothing behind the last line vouches for it
    for _ in range(200):
        at = rng.randrange(body)
        damaged.append(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
    for raw in damaged:
        file.write_bytes(raw)
        with pytest.raises(CheckFailed, match="line"):
            list(audit.verify(name))
    assert len(damaged) == 205
    file.write_bytes(whole)
    assert len(list(audit.verify(name))) == 5


def test_writers_of_many_processes_make_one_chain(name):
    code = f"from hwgw import audit\nfor i in range(20): audit.record({name!r}, 'halt', i=i)"
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    acts = list(audit.verify(name))
    assert [act["seq"] for act in acts] == list(range(1, 81))
    assert sorted(act["i"] for act in acts) == sorted(list(range(20)) * 4)


def test_nothing_on_record_and_an_unreadable_record_are_said(name):
    with pytest.raises(UsageError, match="nothing is on record"):
        list(audit.verify(name))
    audit.path(name).write_bytes(b"not json\n")
    with pytest.raises(CheckFailed, match="last line cannot be read"):
        audit.record(name, "halt")


def test_a_halt_that_cannot_be_recorded_stands_and_a_resume_that_cannot_is_refused(name, monkeypatch, tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("HWGW_STATE_DIR", str(blocked / "folder"))
    with Segment.create(name, ["AAPL"]) as gateway:
        assert cli.execute(["halt", name]) == 0
        assert "HWGW_STATE_DIR" in capsys.readouterr().err
        assert gateway.halted is not None
        with pytest.raises(DeviceError, match="Not a directory"):
            audit.record(name, "resume")
        assert cli.execute(["resume", name, "--reason", "operator"]) == 5
        assert gateway.halted is not None
        gateway.resume()


def test_resume_repeats_each_reason_and_leaves_the_others(name, capsys):
    with Segment.create(name, ["AAPL"]) as gateway:
        assert cli.execute(["halt", name, "--reason", "lunch"]) == 0
        gateway.halt("an order that cannot be", "state")
        assert cli.execute(["resume", name]) == 2
        assert f"hwgw resume {name} --reason operator --reason state" in capsys.readouterr().err
        assert cli.execute(["resume", name, "--reason", "loss"]) == 1
        assert "not halted by loss, but by operator, state" in capsys.readouterr().err
        assert cli.execute(["resume", name, "--reason", "operator", "--json"]) == 6
        told = json.loads(capsys.readouterr().out)
        assert [row["reason"] for row in told["cleared"]] == ["operator"]
        assert [row["reason"] for row in told["halts"]] == ["state"]
        assert [row["reason"] for row in gateway.halts] == ["state"]
        assert cli.execute(["resume", name, "--reason", "state"]) == 0
        assert gateway.halted is None
        assert cli.execute(["resume", name, "--reason", "state"]) == 1
        capsys.readouterr()
        assert cli.execute(["audit", name, "--json"]) == 0
        acts = json.loads(capsys.readouterr().out)["acts"]
        assert [(act["action"], act.get("text") or act["reasons"]) for act in acts] == [
            ("halt", "lunch"), ("resume", ["operator"]), ("resume", ["state"]),
        ]  # fmt: skip
        assert cli.execute(["audit", name]) == 0
        assert "3 acts, the chain is whole" in capsys.readouterr().out


@contextlib.contextmanager
def being(uid: int) -> Iterator[None]:
    """Act as another user of GROUP."""
    gid = os.getegid()
    os.setegid(GROUP)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)


@pytest.fixture
def of_the_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder as deploy/systemd makes it: 0750 of the user that runs gateways."""
    place = Path(tempfile.mkdtemp())  # not below a folder of root's, as pytest's are
    place.chmod(0o755)
    folder = place / "hwgw"
    folder.mkdir()
    os.chown(folder, OWNER, GROUP)
    folder.chmod(0o750)
    monkeypatch.setattr(audit, "_OF_THE_HOST", folder)
    monkeypatch.delenv("HWGW_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "home"))
    yield folder
    shutil.rmtree(place)


@pytest.mark.root
def test_what_root_begins_the_user_of_the_gateway_goes_on_with(name, of_the_host):
    def act() -> int:
        versions.keep(name, b"limits of " + str(os.geteuid()).encode())
        with audit.only_writer(name, "limits"):
            return audit.record(name, "halt")

    assert act() == 1
    with being(OWNER):
        assert act() == 2
    assert act() == 3
    assert [entry["action"] for entry in audit.verify(name)] == ["halt"] * 3
    made = [of_the_host, *of_the_host.rglob("*")]
    assert len(made) == 6  # record, lock, folder of limits and two of them
    assert {(file.stat().st_uid, file.stat().st_gid) for file in made} == {(OWNER, GROUP)}


@pytest.mark.root
def test_one_record_whoever_acts_and_who_may_look_sees_it(name, of_the_host):
    """The user of the gateway without the variable of its unit, as under sudo."""
    with being(OWNER):
        assert audit.state_folder() == of_the_host
        audit.record(name, "resume")
    with being(VIEWER):
        assert audit.state_folder() == of_the_host.parent / "home/hwgw"
        assert [entry["action"] for entry in audit.verify(name)] == ["resume"]
        with pytest.raises(DeviceError, match="Permission denied"):
            audit.record(name, "halt")  # what he could write would be a record of his own


@pytest.mark.root
def test_who_may_not_look_finds_nothing(name, of_the_host):
    audit.record(name, "resume")
    os.seteuid(VIEWER)
    try:
        with pytest.raises(UsageError, match="nothing is on record"):
            list(audit.verify(name))
    finally:
        os.seteuid(0)


def test_a_link_in_the_place_of_the_record_is_not_followed(name, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"")
    audit.path(name).symlink_to(other)
    with pytest.raises(DeviceError, match="symbolic link"):
        audit.record(name, "halt")
    assert other.read_bytes() == b""
