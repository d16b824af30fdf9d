"""plan, apply, verify, rollback and status on a made host: nothing twice, nothing left behind, nothing claimed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from support import hosts

from hwgw.cli import execute
from hwgw.tune import apply, plan, profile, verify
from hwgw.tune.host import Host
from hwgw.tune.state import State

NIC = ("--nic", "eth0")
Tune = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def tree() -> Iterator[Path]:
    """Return a made host in memory."""
    with TemporaryDirectory(dir="/dev/shm") as folder:
        Path(folder).chmod(0o755)  # for the user nobody
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


def write(tree: Path, path: str, text: str) -> None:
    """Change a file behind the back of what is tested."""
    (tree / path.lstrip("/")).write_text(text + "\n", encoding="utf-8")


def file(folder: Path, text: str) -> str:
    """A profile of these lines."""
    path = folder / "site.yaml"
    path.write_text(text + "\n", encoding="utf-8")
    return str(path)


def test_second_apply_writes_nothing_and_rollback_is_byte_identical(tree: Path, tune: Tune) -> None:
    """The whole latency profile with its files for the next boot, there and back."""
    before = hosts.snapshot(tree)
    code, planned = tune("plan", *NIC, "--persist")
    assert code == 1
    assert len(planned["changes"]) > 100
    assert hosts.snapshot(tree) == before
    assert not (tree / "var").exists()
    code, first = tune("apply", *NIC, "--persist")
    assert (code, first["generation"], first["failed"]) == (0, 1, [])
    assert len(first["written"]) + len(first["refused"]) == len(planned["changes"])
    assert [row["why"] for row in first["refused"]] == [
        "IRQ 22: managed by its driver (Operation not permitted); isolcpus=managed_irq moves it"
    ]
    applied = hosts.snapshot(tree)
    code, second = tune("apply", *NIC, "--persist")
    assert (code, second["generation"], second["written"]) == (0, 0, [])
    assert hosts.snapshot(tree) == applied
    code, again = tune("plan", *NIC, "--persist")
    assert (code, again["changes"]) == (0, [])
    assert len(again["pending"]) == 9
    code, checked = tune("verify", *NIC, "--persist")
    assert code == 0
    assert checked["summary"]["drift"] == checked["summary"]["foreign owner"] == 0
    assert checked["summary"]["pending reboot"] == 9
    assert checked["summary"]["ok"] > 130
    code, back = tune("rollback")
    assert (code, back["notes"], back["standing"]) == (0, [], [])
    assert back["restored"] == len(first["written"])
    assert hosts.snapshot(tree) == before


def test_rollback_goes_to_any_generation(tree: Path, tune: Tune) -> None:
    """Three generations over one another; each is found again byte for byte."""
    seen = [hosts.snapshot(tree)]
    for name in ("minimal", "latency", "throughput"):
        assert tune("apply", "--profile", name)[0] == 0
        seen.append(hosts.snapshot(tree))
    assert len({tuple(sorted(one.items())) for one in seen}) == 4
    code, said = tune("rollback", "--to", "1")
    assert (code, said["standing"]) == (0, [1])
    assert hosts.snapshot(tree) == seen[1]
    assert tune("rollback", "--to", "3")[0] == 2
    assert tune("rollback", "--to", "0")[0] == 0
    assert hosts.snapshot(tree) == seen[0]
    code, said = tune("status")
    assert (code, [row["outcome"] for row in said["generations"]]) == (0, ["undone"] * 3)


@pytest.mark.parametrize(
    ("on_error", "outcome", "swappiness"),
    [("revert", "reverted", "60"), ("stop", "stopped", "60"), ("continue", "applied", "10")],
)
def test_failed_write_reverts_stops_or_goes_on(
    tree: Path, tune: Tune, on_error: str, outcome: str, swappiness: str
) -> None:
    """Less than what was asked for is a failure too: huge pages are granted in part without an error."""
    rules = json.loads((tree / ".hwgw-made.json").read_text(encoding="utf-8"))
    rules["clamp"] = {"/sys/devices/system/node/*/hugepages/hugepages-2048kB/nr_hugepages": 300}
    (tree / ".hwgw-made.json").write_text(json.dumps(rules), encoding="utf-8")
    before = hosts.snapshot(tree)
    got, said = tune("apply", "--on-error", on_error)
    assert (got, said["outcome"]) == (1, outcome)
    assert [row["why"] for row in said["failed"]] == ["512 was written and '300' is read back"]
    assert Host(tree).read("/proc/sys/vm/swappiness") == swappiness  # comes after the huge pages
    if on_error == "revert":
        assert hosts.snapshot(tree) == before
        assert State(Host(tree)).standing() == []
    else:
        assert Host(tree).read("/proc/sys/vm/stat_interval") == "10"  # comes before them
        tune("rollback")
        assert hosts.snapshot(tree) == before


def test_drift_foreign_owner_and_what_is_not_in_force(tree: Path, tune: Tune) -> None:
    """What TuneD's verify lumps together, or does not see."""
    write(tree, "/proc/sys/vm/swappiness", "10")
    rules = json.loads((tree / ".hwgw-made.json").read_text(encoding="utf-8"))
    rules["lag"] = ["/proc/irq/16/*"]
    (tree / ".hwgw-made.json").write_text(json.dumps(rules), encoding="utf-8")
    write(tree, "/proc/irq/16/effective_affinity_list", "2")
    assert tune("apply")[0] == 0
    hosts.process(tree, 950, "tuned", cpus="0")
    write(tree, "/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never")
    write(tree, "/proc/sys/kernel/sched_autogroup_enabled", "1")
    code, said = tune("verify")
    assert code == 1
    rows = {(row["knob"], row["path"]): row for row in said["knobs"]}
    thp = rows["mem.thp", "/sys/kernel/mm/transparent_hugepage/enabled"]
    assert (thp["verdict"], thp["have"], thp["note"]) == (
        "foreign owner", "[always] madvise never", "tuned (process 950) sets it too",
    )  # fmt: skip
    auto = rows["sched.autogroup", "/proc/sys/kernel/sched_autogroup_enabled"]
    assert (auto["verdict"], auto["want"], auto["have"]) == ("drift", "0", "1")
    late = rows["irq.devices", "/proc/irq/16/smp_affinity_list"]
    assert (late["verdict"], late["have"]) == ("drift", "2")
    assert late["note"] == "set to 0-1,3-5,7, still delivered to CPU 2: nobody can tell whether any come"
    assert rows["boot.isolcpus", "/proc/cmdline isolcpus"]["verdict"] == "pending reboot"
    assert rows["irq.devices", "/proc/irq/22/smp_affinity_list"]["verdict"] == "unsupported"
    assert said["summary"] == {
        "ok": len(rows) - 15, "drift": 2, "pending reboot": 9, "unsupported": 3, "foreign owner": 1,
    }  # fmt: skip


def test_after_the_reboot_what_the_kernel_ignored_is_drift(tree: Path, tune: Tune) -> None:
    """An option on the command line is not yet a CPU that is isolated."""
    assert tune("apply")[0] == 0
    fragment = (tree / "etc/default/grub.d/60-hwgw.cfg").read_text(encoding="utf-8")
    ours = (
        fragment.splitlines()[-1].removeprefix('GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT ').rstrip('"')
    )
    write(tree, "/proc/cmdline", f"{hosts.CMDLINE} {ours}")
    write(tree, "/proc/sys/kernel/random/boot_id", "another")
    write(tree, "/sys/devices/system/cpu/nohz_full", "2,6")
    rows = {row["knob"]: row for row in tune("verify")[1]["knobs"] if row["knob"].startswith("boot.")}
    assert rows["boot.nohz_full"]["verdict"] == "ok"
    assert rows["boot.isolcpus"]["verdict"] == "drift"
    assert rows["boot.isolcpus"]["note"].endswith("isolated says none: the kernel ignored it")
    write(tree, "/sys/devices/system/cpu/isolated", "2,6")
    knobs = tune("verify")[1]["knobs"]
    assert {row["verdict"] for row in knobs if row["knob"].startswith("boot.")} == {"ok"}


def test_after_a_reboot_rollback_takes_back_files_alone(tree: Path, tune: Tune) -> None:
    """What was written to the running kernel went with it; the new one's values are not ours to change."""
    assert tune("apply", "--persist")[0] == 0
    write(tree, "/proc/sys/kernel/random/boot_id", "another")
    write(tree, "/proc/sys/vm/swappiness", "45")
    code, said = tune("rollback")
    assert (code, said["notes"]) == (0, [])
    assert Host(tree).read("/proc/sys/vm/swappiness") == "45"
    assert not (tree / "etc/default/grub.d/60-hwgw.cfg").exists()
    assert not (tree / "etc/systemd/system/hwgw-tune.service").exists()


def test_children_begun_meanwhile_are_widened_with_their_parent(tree: Path, tune: Tune) -> None:
    """TuneD leaves them on the housekeeping CPUs for good."""
    assert tune("apply")[0] == 0
    assert Host(tree).status(840)["Cpus_allowed_list"] == "0-1,3-5,7"
    write(tree, "/proc/uptime", "90000.00 1.0")
    hosts.process(tree, 2001, "bash", parent=840, cpus="0-1,3-5,7", started=8_999_000)
    hosts.process(tree, 2002, "make", parent=2001, cpus="0-1,3-5,7", started=8_999_900)
    hosts.process(tree, 2003, "narrow", parent=840, cpus="0", started=8_999_950)
    code, said = tune("rollback")
    assert code == 0
    allowed = {tid: Host(tree).status(tid)["Cpus_allowed_list"] for tid in (840, 2001, 2002, 2003)}
    assert allowed == {840: "0-7", 2001: "0-7", 2002: "0-7", 2003: "0"}
    assert len(said["notes"]) == 2


def test_renumbered_interrupt_is_found_by_its_name(tree: Path, tune: Tune) -> None:
    """A driver that makes its queues anew gets new numbers."""
    assert tune("apply")[0] == 0
    for old, new in ((f"/proc/irq/{n}", f"/proc/irq/{n + 50}") for n in range(100, 108)):
        (tree / old.lstrip("/")).rename(tree / new.lstrip("/"))
        (tree / f"sys/kernel/irq/{old[10:]}").rename(tree / f"sys/kernel/irq/{new[10:]}")
    assert Host(tree).read("/proc/irq/152/smp_affinity_list") == "0-1,3-5,7"
    assert tune("rollback")[1]["notes"] == []
    assert Host(tree).read("/proc/irq/152/smp_affinity_list") == "2"
    assert Host(tree).read("/proc/irq/153/smp_affinity_list") == "3"


def test_a_knob_under_two_names_is_written_and_put_back_once(tree: Path) -> None:
    """Where TuneD saves its own value as the original."""
    host = Host(tree)
    state = State(host)
    wanted = profile.load("latency")
    with state.locked():
        result = apply.apply(plan.make(wanted, host, state), host, state)
        places = [entry.said["place"] for entry in state.generation(1).entries.values()]
        assert len(places) == len(set(places))
        assert places.count("/sys/devices/virtual/workqueue/writeback/cpumask") == 1
        assert host.read("/sys/bus/workqueue/devices/writeback/cpumask") == "bb"
        assert result.how == "applied"
        apply.rollback(host, state)
    assert host.read("/sys/bus/workqueue/devices/writeback/cpumask") == "ff"


def test_what_somebody_else_changed_meanwhile_is_said(tree: Path, tune: Tune) -> None:
    """It is put back all the same: the host is to be as it was found."""
    assert tune("apply")[0] == 0
    write(tree, "/proc/sys/vm/swappiness", "33")
    code, said = tune("rollback")
    assert (code, said["notes"]) == (0, ["vm.swappiness: was 33 meanwhile, not the 10 that was written"])
    assert Host(tree).read("/proc/sys/vm/swappiness") == "60"


def test_who_else_sets_a_sysctl_at_boot_is_named(tree: Path, tune: Tune) -> None:
    """A file of sysctl.d that says otherwise would win at the next boot."""
    write(tree, "/etc/sysctl.d/99-site.conf", "vm.swappiness = 1\nnet.ipv4.igmp_max_memberships=5000")
    changes = {row["knob"]: row for row in tune("plan")[1]["changes"]}
    assert changes["vm.swappiness"]["owner"] == "/etc/sysctl.d/99-site.conf"
    assert changes["net.igmp_max"]["owner"] == ""


def test_plan_needs_no_privilege_and_writes_nothing(tree: Path) -> None:
    """As nobody, and as root where every write fails."""
    before = hosts.snapshot(tree)
    host, wanted = Host(tree), profile.load("latency")
    expected = len(plan.make(wanted, host, State(host)).changes)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            found = Host(tree)
            cnt = len(plan.make(wanted, found, State(found)).changes)
            rows = verify.verify(plan.wanted(wanted, found), found, State(found))
            os.write(writer, f"{cnt} {sum(row.verdict == verify.OK for row in rows)}".encode())
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    cnt, ok = map(int, os.read(reader, 100).split())
    assert cnt == expected > 90
    assert ok > 20
    os.close(reader)
    os.close(writer)
    assert hosts.snapshot(tree) == before


@pytest.mark.root
def test_plan_works_on_a_read_only_root(tree: Path) -> None:
    """Not even root can write to a file system that is mounted read-only."""
    script = (
        f'mount --bind {tree} {tree} && mount -o remount,bind,ro {tree} && ! touch {tree}/x 2>/dev/null && exec "$@"'
    )
    command = ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, "-m", "hwgw.cli", "tune"]
    done = subprocess.run(
        [*command, "plan", "--json", "--root", str(tree)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert len(json.loads(done.stdout)["changes"]) > 90
    done = subprocess.run(
        [*command, "apply", "--root", str(tree)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in (4, 5)
    assert "Read-only file system" in done.stderr
    assert done.stderr.count("\n") == 1


def test_plan_json_has_the_promised_names(tree: Path, tune: Tune) -> None:
    """The names that scripts rely on, with a word of each in the right place."""
    _, said = tune("plan", *NIC)
    assert said["schema"] == "hwgw.tune-plan/1"
    for row in said["changes"]:
        assert {"knob", "path", "old", "new", "class", "reason", "risk"} <= set(row)
        assert row["class"] in ("runtime", "disruptive", "reboot")
    assert {row["level"] for row in said["problems"]} == {"warning"}
    order = [row["group"] for row in said["changes"]]
    assert list(dict.fromkeys(order)) == ["nic", "irq", "cpu", "background", "memory", "sched", "net", "noise", "boot"]
    _, said = tune("verify")
    assert {"knob", "path", "want", "have", "verdict"} <= set(said["knobs"][0])
    assert list(said["summary"]) == ["ok", "drift", "pending reboot", "unsupported", "foreign owner"]


def test_contradiction_is_exit_3_with_every_problem(tree: Path, tune: Tune, capsys: pytest.CaptureFixture[str]) -> None:
    """Text on stderr, the same with --json on stdout; nothing is written by apply either."""
    path = file(tree.parent, "roles:\n  feed: 2\n  housekeeping: 0-2\nknobs:\n  vm.swappiness: low")
    before = hosts.snapshot(tree)
    code, said = tune("plan", "--profile", path)
    assert (code, said["changes"]) == (3, [])
    assert [(row["line"], row["knob"]) for row in said["problems"]] == [
        (3, "roles.housekeeping"),
        (5, "knobs.vm.swappiness"),
    ]
    assert execute(["tune", "apply", "--root", str(tree), "--profile", path]) == 3
    assert capsys.readouterr().err.splitlines() == [
        f"{path}:3: roles.housekeeping: CPU 2 is in feed too; a CPU has one role",
        f"{path}:5: knobs.vm.swappiness: low: not a whole number",
    ]
    assert hosts.snapshot(tree) == before


def test_service_that_runs_is_planned_and_under_a_root_not_touched(tree: Path, tune: Tune) -> None:
    """Nothing of this machine is started or stopped for another one."""
    (tree / "sys/fs/cgroup/system.slice/irqbalance.service").mkdir()
    write(tree, "/sys/fs/cgroup/system.slice/irqbalance.service/cgroup.procs", "777")
    hosts.process(tree, 777, "irqbalance", cpus="0")
    changes = {row["knob"]: row for row in tune("plan")[1]["changes"]}
    assert (changes["irq.irqbalance"]["old"], changes["irq.irqbalance"]["new"]) == ("running", "stopped")
    assert changes["irq.devices"]["owner"] == "irqbalance (process 777)"
    code, said = tune("apply")
    assert (code, said["failed"]) == (0, [])
    refused = {row["knob"]: row["why"] for row in said["refused"]}
    assert refused["irq.irqbalance"] == f"irqbalance.service: no service is started or stopped under --root {tree}"


def test_process_that_went_back_to_isolated_cpus_is_drift(tree: Path, tune: Tune) -> None:
    """Affinity is that of the threads that run now, not of those that were moved."""
    assert tune("apply")[0] == 0
    hosts.process(tree, 3000, "backup", cpus="0-7")
    rows = [row for row in tune("verify")[1]["knobs"] if row["verdict"] == "drift"]
    assert [(row["knob"], row["path"], row["have"]) for row in rows] == [("sched.tasks", "/proc/3000/status", "0-7")]


def test_full_disk_stops_before_the_write_that_it_could_not_record(
    tree: Path, tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No intent, no write; what was written before is put back by rollback."""
    before, real, cnt = hosts.snapshot(tree), State.record, 0

    def full(state: State, record: dict[str, Any], **kwargs: bool) -> None:
        nonlocal cnt
        cnt += record["is"] == "intent"
        if cnt == 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(state, record, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(State, "record", full)
        assert tune("apply")[0] == 5
    assert hosts.snapshot(tree) != before
    code, said = tune("status")
    assert (code, said["interrupted"], said["generations"][0]["places"]) == (1, True, 18)  # one of the 19 was refused
    assert tune("rollback")[1]["restored"] == 18
    assert hosts.snapshot(tree) == before


def test_only_one_run_at_a_time(tree: Path, tune: Tune, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run says so and ends."""
    with State(Host(tree)).locked():
        assert tune("apply")[0] == 5
    assert tune("apply", "--profile", "minimal")[0] == 0


def test_watch_says_what_changed(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Quiet while nothing happens."""
    assert execute(["tune", "apply", "-q", "--root", str(tree), "--profile", "minimal"]) == 0
    capsys.readouterr()
    args = ["tune", "verify", "--root", str(tree), "--profile", "minimal", "--watch", "--every", "0.1", "--looks", "3"]
    assert execute(args) == 0
    assert capsys.readouterr().out.count("minimal (") == 1
