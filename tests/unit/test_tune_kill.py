"""kill -9 at every write of an apply, and of a rollback: the host comes back byte for byte.

SPDX-License-Identifier: MIT

HWGW_KILL_PROFILE=latency (make tune-kill) does it for the whole profile; by default it is a small one
with a knob of every kind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support import hosts, kill_points

from hwgw.tune import apply, plan, profile
from hwgw.tune.host import Host
from hwgw.tune.state import State

SMALL = """
roles: {feed: 2, idle: siblings}
nics: {eth0: {hot: {1: 2}}}
knobs:
  irq.queues: recommended
  kernel.workqueue_mask: recommended
  mem.thp: recommended
  vm.dirty_bytes: 1000000
  sched.tasks: recommended
  boot.isolcpus: recommended
  boot.nohz_full: recommended
"""


@pytest.fixture
def tree() -> Iterator[Path]:
    """Return a made host in memory: what is tested is the order of writes, not a disk."""
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield hosts.make(Path(folder) / "host")


def chosen(folder: Path) -> profile.Profile:
    """The profile to try."""
    if name := os.environ.get("HWGW_KILL_PROFILE"):
        found = profile.load(name)
        found.nics["eth0"] = profile.Nic("eth0")
        return found
    file = folder / "small.yaml"
    file.write_text(SMALL.lstrip(), encoding="utf-8")
    return profile.load(str(file))


def one_run(folder: Path, wanted: profile.Profile) -> apply.Result:
    """What the command does: recover, plan, apply."""
    host = Host(folder)
    state = State(host)
    with state.locked():
        apply.recover(host, state)
        return apply.apply(plan.make(wanted, host, state, keep=True), host, state)


def back(folder: Path) -> apply.Result:
    """Roll everything back."""
    host = Host(folder)
    state = State(host)
    with state.locked():
        return apply.rollback(host, state, 0)


def forget(folder: Path) -> None:
    """Remove the journals, so that each try begins anew."""
    for file in (folder / "var/lib/hwgw/tune").glob("*.jsonl"):
        file.unlink()


def test_kill_at_every_write_of_an_apply_leaves_a_host_that_comes_back(tree: Path) -> None:
    """After each kill a third of the tries runs apply again before it rolls back."""
    before = hosts.snapshot(tree)
    wanted, report = chosen(tree.parent), tree.parent / "report"
    whole = kill_points.run(lambda: one_run(tree, wanted) and None, -1, report)
    assert whole is not None
    applied = hosts.snapshot(tree)
    changed = {path for path in applied if applied[path] != before.get(path)}
    assert len(changed) >= 14
    assert not back(tree).notes
    assert hosts.snapshot(tree) == before
    assert whole > 60
    torn = 0
    for fatal in range(whole):
        forget(tree)
        assert kill_points.run(lambda: one_run(tree, wanted) and None, fatal, report) is None
        torn += bool(State(Host(tree)).standing() and State(Host(tree)).standing()[0].written())
        if fatal % 3 == 2:
            one_run(tree, wanted)
            assert hosts.snapshot(tree) == applied, f"completed after a kill before write {fatal}"
        result = back(tree)
        assert hosts.snapshot(tree) == before, f"rolled back after a kill before write {fatal}"
        assert result.how == "rolled back"
    assert torn > whole // 2  # most kills did leave something behind
    print(f"{whole} points, {torn} of them with something to put back, {len(changed)} files")


def test_kill_at_every_write_of_a_rollback_is_no_worse(tree: Path) -> None:
    """A rollback that was cut off is gone on with."""
    before = hosts.snapshot(tree)
    wanted, report = chosen(tree.parent), tree.parent / "report"
    one_run(tree, wanted)
    whole = kill_points.run(lambda: back(tree) and None, -1, report)
    assert whole is not None
    assert whole > 30
    for fatal in range(0, whole, 1 if "HWGW_KILL_PROFILE" in os.environ else 2):
        forget(tree)
        one_run(tree, wanted)
        assert kill_points.run(lambda: back(tree) and None, fatal, report) is None
        back(tree)
        assert hosts.snapshot(tree) == before, f"after a kill before write {fatal} of a rollback"


def test_torn_last_record_is_a_record_that_was_not_written(tree: Path) -> None:
    """Power loss may cut the journal's last line anywhere; a line damaged in the middle is refused."""
    before = hosts.snapshot(tree)
    wanted = chosen(tree.parent)
    one_run(tree, wanted)
    file = next((tree / "var/lib/hwgw/tune").glob("*.jsonl"))
    raw = file.read_bytes()
    last = raw.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(last, len(raw), 7):
        file.write_bytes(raw[:cut])
        assert State(Host(tree)).standing()[0].is_interrupted
    back(tree)
    assert hosts.snapshot(tree) == before
    damaged = raw.replace(b'"is":"intent"', b'"is":"intend"', 1)
    assert damaged != raw
    file.write_bytes(damaged)
    with pytest.raises(Exception, match=r"000001.jsonl:2: the journal was changed or damaged"):
        State(Host(tree)).standing()
