"""Who else sets a knob: refused, taken over, given back; and what goes back alone: a group, a knob.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from support import hosts, kill_points

from hwgw.cli import execute
from hwgw.errors import UsageError
from hwgw.tune import apply, host, plan, profile
from hwgw.tune.host import Host
from hwgw.tune.knob import actuator
from hwgw.tune.state import State

Tune = Callable[..., tuple[int, dict[str, Any]]]
SYSTEMCTL = Path(__file__).parents[1] / "support/fake_systemctl.py"
SITE = """
roles: {feed: 2, idle: siblings}
knobs:
  irq.default_mask: recommended
  mem.swap: recommended
  mem.hugetlbfs: recommended
  mem.cgroup_max: recommended
  vm.swappiness: recommended
  sched.cpuset: recommended
  sched.limits: recommended
  sched.systemd: recommended
  noise.filesystems: recommended
  noise.tuned: stopped
"""


@pytest.fixture
def tree() -> Iterator[Path]:
    """Return a made host in memory."""
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield hosts.make(Path(folder) / "host")


@pytest.fixture
def tune(tree: Path, capsys: pytest.CaptureFixture[str]) -> Tune:
    """Return a function that runs a verb on the made host: its exit code and what it says with --json."""

    def run(verb: str, *args: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = execute(["tune", verb, "--json", "--root", str(tree), *args])
        text = capsys.readouterr().out
        return code, json.loads(text.splitlines()[0]) if text else {}

    return run


@pytest.fixture
def systemd(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the units of a systemd on the made host: a fake systemctl that answers as the real one does."""
    units = tree.parent / "units.json"
    units.write_text("{}", encoding="utf-8")

    def run(self: Host, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        assert argv[0] == "systemctl"
        command = [sys.executable, str(SYSTEMCTL), str(units), *argv[1:]]
        return subprocess.run(command, capture_output=True, text=True, timeout=host._RUN_TIMEOUT_S, check=False)

    monkeypatch.setattr(Host, "has_services", True)
    monkeypatch.setattr(Host, "run", run)
    return units


def site(folder: Path, text: str = SITE) -> str:
    """A profile of these lines."""
    path = folder / "site.yaml"
    path.write_text(text.lstrip(), encoding="utf-8")
    return str(path)


def units(file: Path, **states: Any) -> None:
    """Let the fake systemd have these units."""
    file.write_text(json.dumps({f"{name}.service": row for name, row in states.items()}), encoding="utf-8")


def active(file: Path) -> dict[str, str]:
    """The state of every unit."""
    return {name: row["active"] for name, row in json.loads(file.read_text(encoding="utf-8")).items()}


def test_a_running_owner_is_refused_and_nothing_is_written(
    tree: Path, tune: Tune, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every knob of it is named, once."""
    hosts.process(tree, 950, "tuned", cpus="0")
    before = hosts.snapshot(tree)
    code, said = tune("plan", "--profile", "minimal")
    refused = [row for row in said["problems"] if row["level"] == "refused"]
    assert code == 1
    assert {"mem.thp", "vm.swappiness", "cpu.governor"} <= {row["knob"] for row in refused}
    assert not {row["knob"] for row in refused} & {row["knob"] for row in said["changes"]}
    assert execute(["tune", "apply", "--root", str(tree), "--profile", "minimal"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("hwgw tune: tuned (process 950) sets cpu.governor, cpu.epp, cpu.epb, ")
    assert error.rstrip().endswith("or say --take-over; nothing was written")
    assert hosts.snapshot(tree) == before


def test_take_over_stops_the_owner_first_and_rollback_starts_it_again(tree: Path, tune: Tune, systemd: Path) -> None:
    """Its unit is that of its control group, whatever the process is called."""
    hosts.process(tree, 950, "tuned", cpus="0")
    (tree / "proc/950/cgroup").write_text("0::/system.slice/site-tuned.service\n", encoding="ascii")
    units(systemd, **{"site-tuned": {"active": "active"}})
    before = hosts.snapshot(tree)
    assert tune("apply", "--profile", "minimal")[0] == 1
    code, said = tune("apply", "--profile", "minimal", "--take-over", "--persist")
    assert (code, said["failed"], said["refused"]) == (0, [], [])
    assert (said["written"][0]["knob"], said["written"][0]["path"]) == ("owner.tuned", "unit site-tuned.service")
    assert active(systemd) == {"site-tuned.service": "inactive"}
    assert "--take-over" in (tree / "etc/systemd/system/hwgw-tune.service").read_text(encoding="utf-8")
    assert tune("rollback")[0] == 0
    assert active(systemd) == {"site-tuned.service": "active"}
    assert hosts.snapshot(tree) == before


def test_an_owner_that_is_no_service_is_said_and_written_over(tree: Path, tune: Tune, systemd: Path) -> None:
    """Nobody can stop it for the user."""
    hosts.process(tree, 950, "tuned", cpus="0")
    code, said = tune("plan", "--profile", "minimal", "--take-over")
    assert code == 1
    assert any("is no service: it goes on, and may set it back" in row["problem"] for row in said["problems"])
    assert not any(row["knob"].startswith("owner.") for row in said["changes"])


def test_what_the_profile_stops_by_itself_is_no_foreign_owner(tree: Path, tune: Tune, systemd: Path) -> None:
    """latency stops irqbalance."""
    hosts.process(tree, 777, "irqbalance", cpus="0")
    units(systemd, irqbalance={"active": "active"})
    code, said = tune("apply")
    assert (code, said["failed"]) == (0, [])
    assert active(systemd) == {"irqbalance.service": "inactive"}


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ({"active": "active", "again": True}, "stopped was written and 'running' is read back"),
        ({"active": "active", "refuse": True}, "Operation refused, unit tuned.service may be requested by dependency"),
        ({"active": "active", "hang": 2}, "systemctl stop tuned.service: no end within 0.5 s"),
    ],
    ids=["comes back", "refuses", "hangs"],
)
def test_a_service_that_does_not_stop_fails_the_apply_whole(
    tree: Path, tune: Tune, systemd: Path, unit: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written before is put back."""
    if "hang" in unit:
        monkeypatch.setattr(host, "_RUN_TIMEOUT_S", 0.5)

        def run(self: Host, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
            if "stop" in argv or "start" in argv:
                raise subprocess.TimeoutExpired(list(argv), 0.5)
            return subprocess.CompletedProcess(list(argv), 0, "ActiveState=active\n", "")

        monkeypatch.setattr(Host, "run", run)
    units(systemd, tuned=unit)
    before = hosts.snapshot(tree)
    code, got = tune("apply", "--profile", site(tree.parent, "knobs: {vm.swappiness: 10, noise.tuned: stopped}"))
    assert (code, got["outcome"]) == (1, "reverted")
    assert said in got["failed"][0]["why"]
    assert hosts.snapshot(tree) == before


def test_every_new_kind_there_and_back(tree: Path, tune: Tune, systemd: Path) -> None:
    """Swap, mounts, an isolated partition, limits and a drop-in: applied, verified, byte-identical after rollback."""
    units(systemd, tuned={"active": "active"})
    before = hosts.snapshot(tree)
    wanted = site(tree.parent)
    code, said = tune("apply", "--profile", wanted)
    assert (code, said["failed"], said["refused"]) == (0, [], [])
    made = Host(tree)
    assert "noatime" in (made.read("/proc/mounts") or "").splitlines()[3]
    assert "hugetlbfs /dev/hugepages hugetlbfs rw,nosuid,nodev,relatime,pagesize=2M 0 0" in (
        made.read("/proc/mounts") or ""
    )
    assert actuator("swap").read(made, "/dev/nvme0n1p3") == "off"
    assert made.read("/sys/fs/cgroup/hwgw.slice/cpuset.cpus.partition") == "isolated"
    assert made.read("/sys/fs/cgroup/cpuset.cpus.isolated") == "2,6"
    assert "@hwgw - memlock unlimited\n" in (tree / "etc/security/limits.d/90-hwgw.conf").read_text(encoding="utf-8")
    assert "CPUAffinity=0-1,3-5,7\n" in (tree / "etc/systemd/system.conf.d/90-hwgw.conf").read_text(encoding="utf-8")
    code, checked = tune("verify", "--profile", wanted)
    assert (code, checked["summary"]["drift"]) == (0, 0)
    assert checked["summary"]["ok"] == 9
    assert tune("apply", "--profile", wanted)[1]["written"] == []
    assert tune("rollback")[1]["notes"] == []
    assert hosts.snapshot(tree) == before
    assert active(systemd) == {"tuned.service": "active"}


def test_a_partition_that_the_kernel_does_not_grant_is_a_failed_write(tree: Path, tune: Tune) -> None:
    """With its reason; isolcpus has the CPUs already."""
    (tree / "sys/devices/system/cpu/isolated").write_text("2,6\n", encoding="ascii")
    before = hosts.snapshot(tree)
    profile_file = site(tree.parent, "roles: {feed: 2, idle: siblings}\nknobs: {sched.cpuset: recommended}")
    code, said = tune("apply", "--profile", profile_file)
    assert (code, said["outcome"]) == (1, "reverted")
    assert "isolated invalid (partition config conflicts with housekeeping setup)" in said["failed"][0]["why"]
    assert hosts.snapshot(tree) == before


def test_a_group_goes_back_alone_and_the_rest_later(tree: Path, tune: Tune) -> None:
    """Over two generations; what is back is not put back twice."""
    before = hosts.snapshot(tree)
    assert tune("apply", "--profile", "minimal")[0] == 0
    assert tune("apply", "--nic", "eth0", "--persist")[0] == 0
    made = Host(tree)
    code, said = tune("rollback", "--group", "memory")
    assert (code, said["standing"]) == (0, [1, 2])
    assert "the next boot applies the profile again: --group persist takes that back" in said["notes"]
    assert made.read("/proc/sys/vm/swappiness") == "60"
    assert made.read("/sys/kernel/mm/transparent_hugepage/enabled") == "[always] madvise never"
    assert made.read("/proc/sys/kernel/sched_autogroup_enabled") == "0"  # another group
    code, said = tune("rollback", "--knob", "sched.autogroup")
    assert (code, said["restored"]) == (0, 1)
    assert made.read("/proc/sys/kernel/sched_autogroup_enabled") == "1"
    code, said = tune("rollback", "--group", "boot")
    assert code == 0
    assert not (tree / "etc/default/grub.d/60-hwgw.cfg").exists()
    code, said = tune("rollback", "--to", "0")
    assert (code, said["standing"], said["notes"]) == (0, [], [])
    assert hosts.snapshot(tree) == before


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--group", "mem"), 2, "--group mem: no such group; there are nic, irq, napi"),
        (("--group", "clock"), 2, "--group clock: nothing of it was written; background, "),
        (("--knob", "cpu.governer"), 2, "--knob cpu.governer: nothing of it was written; cpu.epb, "),
        (("--group", "cpu", "--to", "0"), 2, "--to, --group and --knob: one of them at a time"),
    ],
)
def test_a_mistake_in_what_goes_back_is_named(
    tree: Path, tune: Tune, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], code: int, said: str
) -> None:
    """Nothing is put back."""
    assert tune("apply", "--profile", "minimal")[0] == 0
    before = hosts.snapshot(tree)
    assert execute(["tune", "rollback", "--root", str(tree), *args]) == code
    assert said in capsys.readouterr().err
    assert hosts.snapshot(tree) == before


def test_one_option_of_the_command_line_does_not_go_back_alone(tree: Path) -> None:
    """They share a file whose earlier text is in the journal."""
    made = Host(tree)
    state = State(made)
    with state.locked():
        apply.apply(plan.make(profile.load("latency"), made, state), made, state)
        with pytest.raises(UsageError, match="share a file and go back together: --group boot"):
            apply.rollback_part(made, state, knob="boot.isolcpus")


def test_kill_at_every_write_of_a_part_is_gone_on_with(tree: Path) -> None:
    """After each kill the next run ends the part that was begun; then the rest goes back, byte for byte."""
    before = hosts.snapshot(tree)
    wanted, report = profile.load(site(tree.parent, SITE.replace("  noise.tuned: stopped\n", ""))), tree.parent / "n"

    def applied() -> None:
        for file in (tree / "var/lib/hwgw/tune").glob("*.jsonl"):
            file.unlink()
        made = Host(tree)
        state = State(made)
        with state.locked():
            assert apply.apply(plan.make(wanted, made, state), made, state).failed == []

    def part() -> None:
        made = Host(tree)
        state = State(made)
        with state.locked():
            apply.recover(made, state)
            apply.rollback_part(made, state, group="memory")

    applied()
    whole = kill_points.run(part, -1, report)
    assert whole is not None
    parted = hosts.snapshot(tree)
    assert parted != before
    assert whole >= 10
    for fatal in range(whole):
        made = Host(tree)
        with State(made).locked():
            apply.rollback(made, State(made), 0)
        assert hosts.snapshot(tree) == before
        applied()
        assert kill_points.run(part, fatal, report) is None
        state = State(made)
        with state.locked():
            apply.recover(made, state)
        if state.standing()[0].entries and any(entry.is_undone for entry in state.standing()[0].entries.values()):
            assert hosts.snapshot(tree) == parted, f"after a kill before write {fatal}"
    with State(Host(tree)).locked():
        apply.rollback(Host(tree), State(Host(tree)), 0)
    assert hosts.snapshot(tree) == before
