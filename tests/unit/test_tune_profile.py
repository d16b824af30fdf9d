"""Profiles: what is read, what the roles come to on a host, and every mistake with the message the user sees.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support import hosts

from hwgw import config
from hwgw.strict_yaml import ProblemsError
from hwgw.tune import plan, profile, roles
from hwgw.tune.cpus import list_text
from hwgw.tune.host import Host
from hwgw.tune.state import State


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Return the made host; nothing here writes to it."""
    return Host(hosts.make(tmp_path_factory.mktemp("made"), files={"/sys/devices/system/cpu/online": "0-7"}))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Return a host with an older kernel, without NO_HZ_FULL, whose TSC stops, and with CPU 7 off line."""
    files = {
        "/proc/sys/kernel/osrelease": "6.1.0-18-amd64",
        "/boot/config-6.1.0-18-amd64": "CONFIG_CPU_ISOLATION=y\n# CONFIG_NO_HZ_FULL is not set\nCONFIG_X86_MCE=y",
        "/proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu tsc constant_tsc",
        "/sys/devices/system/cpu/online": "0-6",
    }
    return Host(hosts.make(tmp_path_factory.mktemp("old"), files=files))


# what is wrong | the profile | line: key: what is said
MISTAKES = [
    ("unknown key", "role: {feed: 2}", "1: role: unknown key (did you mean roles?)"),
    ("key twice", "roles:\n  feed: 2\n  feed: 3", "3: roles.feed: key stands twice (first on line 2)"),
    ("unknown role", "roles: {market: 2}", "1: roles.market: unknown key; feed, order, journal, housekeeping, idle are allowed"),
    ("octal", "idle_exit_us: 017", "1: idle_exit_us: 017: octal is not taken (YAML would read 15)"),
    ("unknown knob", "knobs:\n  cpu.governer: performance",
     "2: knobs.cpu.governer: no such knob (did you mean cpu.governor?); hwgw tune explain lists them"),
    ("knob that is only reported", "knobs: {clock.tsc: on}", "1: knobs.clock.tsc: reported, never set: it is not for a profile"),
    ("nothing is recommended", "knobs: {vm.max_map_count: recommended}",
     "1: knobs.vm.max_map_count: no value is recommended; write one, or leave (262144 where many files are mapped)"),
    ("unknown include", "include: [fast]",
     "1: include: fast: no such profile; latency, throughput, lab, minimal are shipped, others are files beside {file}"),
    ("includes itself", "include: [profile.yaml]", "1: include: profile.yaml: includes itself (profile.yaml)"),
    ("no CPU list", "roles: {feed: two}",
     "1: roles.feed: two: not a list of CPUs; a list such as 2-3,8, auto, auto 2, none, rest (housekeeping) or siblings (idle) "
     "is allowed"),
    ("range backwards", "roles: {feed: 3-2}", "1: roles.feed: 3-2: 3-2 is not a range of CPUs 0 to 8191, the lower one first"),
    ("no such CPU", "roles: {feed: 9}", "1: roles.feed: 9: there is no CPU 9; this host has 0-7"),
    ("rest of the wrong role", "roles: {feed: rest}", "1: roles.feed: rest: a list of CPUs, auto or none is allowed here"),
    ("too few cores", "roles: {feed: auto 4}", "1: roles.feed: auto 4: 4 wanted, this host has 3 free cores beside that of CPU 0"),
    ("quoted where a plain value is meant", "roles: {feed: 2, housekeeping: '0-2'}", "1: roles.housekeeping: '0-2': quoted text"),
    ("isolated overlaps housekeeping", "roles:\n  feed: 2\n  housekeeping: 0-2",
     "3: roles.housekeeping: CPU 2 is in feed too; a CPU has one role"),
    ("two roles", "roles:\n  feed: 2-3\n  order: 3", "3: roles.order: CPU 3 is in feed too; a CPU has one role"),
    ("siblings split", "roles:\n  feed: 2\n  housekeeping: 0-1,6",
     "2: roles.feed: CPU 2 shares its core with CPU 6, a housekeeping CPU; isolate both, or say share_cores: true"),
    ("CPU 0 isolated", "roles: {feed: 0}",
     "1: roles.feed: CPU 0 cannot be isolated: the kernel boots on it and keeps timers and interrupts there"),
    ("nothing left", "roles:\n  feed: 0-7",
     "1: roles.housekeeping: no CPU is left; interrupts and every other process need at least one"),
    ("no such NIC", "nics: {eth7: {queues: 1}}", "1: nics.eth7: eth7: no such interface; this host has eth0"),
    ("more queues than the NIC has", "nics: {eth0: {queues: 32}}", "1: nics.eth0: 32 queues wanted; eth0 can have 16"),
    ("no such queue", "roles: {feed: 2}\nnics: {eth0: {queues: 2, hot: {2: 2}}}",
     "2: nics.eth0.hot.2: there is no queue 2; eth0 would have 0 to 1"),
    ("two hot queues on a CPU", "roles: {feed: 2}\nnics:\n  eth0:\n    hot:\n      0: 2\n      1: 2",
     "6: nics.eth0.hot.1: CPU 2 consumes queue 0 already; each hot queue has a CPU of its own"),
    ("hot queue on a housekeeping CPU", "roles: {feed: 2}\nnics: {eth0: {hot: {0: 1}}}",
     "2: nics.eth0.hot.0: CPU 1 is neither a feed (2) nor an order CPU (none)"),
    ("IRQ on an isolated CPU", "roles: {feed: 2}\nknobs: {irq.devices: 0-2}",
     "2: knobs.irq.devices: 0-2: CPU 2 is isolated; nothing else may be put there"),
    ("workqueue on an isolated CPU", "roles: {feed: 2}\nknobs: {kernel.workqueue_mask: 0f}",
     "2: knobs.kernel.workqueue_mask: 0f: CPU 2 is isolated; nothing else may be put there"),
    ("mask beyond the CPUs", "knobs: {irq.default_mask: 1ff}",
     "1: knobs.irq.default_mask: 1ff: there is no CPU 8; this host has 0-7"),
    ("empty mask", "knobs: {kernel.workqueue_mask: 0}", "1: knobs.kernel.workqueue_mask: 0: an empty mask is refused by the kernel"),
    ("no number", "knobs: {vm.swappiness: low}", "1: knobs.vm.swappiness: low: not a whole number"),
    ("no switch", "knobs: {cpu.boost: maybe}", "1: knobs.cpu.boost: maybe: on or off (1 or 0) is allowed"),
    ("no such choice", "knobs: {mem.thp: seldom}", "1: knobs.mem.thp: seldom: not offered here; always, madvise, never are"),
    ("no such governor", "knobs: {cpu.governor: turbo}",
     "1: knobs.cpu.governor: turbo: not offered here; performance, schedutil, powersave are"),
    ("no such clock", "knobs: {clock.source: kvm-clock}",
     "1: knobs.clock.source: kvm-clock: not offered here; tsc, hpet, acpi_pm are"),
    ("both of a pair", "knobs:\n  vm.dirty_bytes: 1000000\n  vm.dirty_ratio: 10",
     "3: knobs.vm.dirty_ratio: vm.dirty_bytes is set too; setting either makes the kernel zero the other"),
    ("unexplained risk", "knobs: {security.mitigations: off}",
     "1: knobs.security.mitigations: gives up a protection: write down who decided and why, under reasons"),
    ("reason without its knob", "reasons: {security.mitigations: decided by the risk committee}",
     "1: reasons.security.mitigations: a reason for a knob that is not set"),
    ("spinning without isolation", "knobs: {sched.rt_runtime: -1}",
     "1: knobs.sched.rt_runtime: -1: without isolated CPUs a spinning real-time thread hangs the host"),
    ("more memory than there is", "hugepages_1g: 400\nknobs: {mem.hugepages_1g: recommended}",
     "1: hugepages_1g: 400 pages of 1024 MiB wanted; this host has memory for 150 at 80 %"),
    ("unknown flag of isolcpus", "knobs:\n  boot.isolcpus: managed,2",
     "2: knobs.boot.isolcpus: managed,2: managed is no flag of it; domain, nohz, managed_irq are"),
    ("placeholder left in place", "knobs: {boot.nohz_full: N}",
     "1: knobs.boot.nohz_full: N: N stands for nothing: the last CPU may be written N only after a - (0-N), since Linux 5.12"),
    ("boot option beyond the CPUs", "knobs: {boot.rcu_nocbs: 2-9}",
     "1: knobs.boot.rcu_nocbs: 2-9: there is no CPU 8-9; this host has 0-7"),
    ("irqaffinity on isolated CPUs", "knobs:\n  boot.isolcpus: domain,2,6\n  boot.irqaffinity: 0-2",
     "3: knobs.boot.irqaffinity: 0-2: CPU 2 is isolated by isolcpus or nohz_full"),
    ("nohz_full is not isolcpus", "knobs:\n  boot.isolcpus: nohz,domain,2,6\n  boot.nohz_full: 3,7",
     "3: knobs.boot.nohz_full: 3,7: not the CPUs of isolcpus (2,6): one of the two halves is missing"),
    ("machine checks off", "knobs: {boot.mce: off}",
     "1: knobs.boot.mce: off: uncorrected memory errors would go unnoticed; ignore_ce is enough"),
    ("unknown value of an option", "knobs: {boot.idle_poll: spin}",
     "1: knobs.boot.idle_poll: spin: not known; poll, halt, nomwait are"),
    ("unknown word", "knobs: {boot.isolcpus: $fast}",
     "1: knobs.boot.isolcpus: $fast: no such word; there are $feed, $order, $journal"),
    ("service neither way", "knobs: {irq.irqbalance: banned}",
     "1: knobs.irq.irqbalance: banned: running or stopped is allowed"),
]  # fmt: skip
# the same on the older host
MISTAKES_OLD = [
    ("option the kernel was not built with", "knobs: {boot.nohz_full: 3}",
     "1: knobs.boot.nohz_full: 3: this kernel was built without CONFIG_NO_HZ_FULL"),
    ("flag that drops the whole option", "knobs:\n  boot.isolcpus: nohz,domain,3",
     "2: knobs.boot.isolcpus: nohz,domain,3: with the flag nohz a kernel without CONFIG_NO_HZ_FULL drops the whole option"),
    ("option of a newer kernel", "knobs: {boot.rcu_patience: 1000}",
     "1: knobs.boot.rcu_patience: 1000: Linux 6.11 or newer; this is 6.1.0-18-amd64"),
    ("a TSC that is not to be trusted", "knobs: {boot.tsc: reliable}",
     "1: knobs.boot.tsc: reliable: this processor has no nonstop_tsc: time would be wrong"),
    ("CPU that is off line", "roles: {feed: 7}", "1: roles.feed: 7: CPU 7 is off line; 0-6 are on"),
]  # fmt: skip


def refuse(host: Host, folder: Path, text: str) -> ProblemsError:
    """What is said against a profile."""
    file = folder / "profile.yaml"
    file.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(ProblemsError) as caught:
        plan.make(profile.load(str(file)), host, State(host))
    return caught.value


@pytest.mark.parametrize(("what", "text", "said"), MISTAKES, ids=[f"{n}-{row[0]}" for n, row in enumerate(MISTAKES)])
def test_mistake_is_named_with_its_line(made: Host, tmp_path: Path, what: str, text: str, said: str) -> None:
    """One line: file, line, key, value, what is allowed."""
    error = refuse(made, tmp_path, text)
    wanted = said.replace("{file}", str(tmp_path / "profile.yaml"))
    assert any(str(problem).startswith(wanted) for problem in error.problems), [str(p) for p in error.problems]
    assert str(error).startswith(f"{tmp_path / 'profile.yaml'}:")


@pytest.mark.parametrize(("what", "text", "said"), MISTAKES_OLD, ids=[row[0] for row in MISTAKES_OLD])
def test_what_this_kernel_cannot_do_is_named(old: Host, tmp_path: Path, what: str, text: str, said: str) -> None:
    """A profile asks for what an older kernel has not."""
    assert any(str(problem) == said for problem in refuse(old, tmp_path, text).problems)


def test_there_are_many_kinds_of_mistakes() -> None:
    """The table grows, it does not shrink."""
    assert len({row[0] for row in MISTAKES + MISTAKES_OLD}) >= 50


def test_every_mistake_of_a_profile_is_named_at_once(made: Host, tmp_path: Path) -> None:
    """Nobody wants to mend one to see the next."""
    error = refuse(
        made, tmp_path, "roles:\n  feed: 2\n  housekeeping: 0-2\nknobs:\n  vm.swappiness: low\n  cpu.boost: maybe"
    )
    assert [problem.line for problem in error.problems] == [3, 5, 6]


@pytest.mark.parametrize("name", profile.SHIPPED)
def test_shipped_profiles_fit_every_made_host(tmp_path: Path, name: str) -> None:
    """No shipped profile is refused, whatever the NIC."""
    for driver in hosts.DRIVERS:
        host = Host(hosts.make(tmp_path / driver, driver))
        found = profile.load(name)
        found.nics["eth0"] = profile.Nic("eth0")
        assert plan.make(found, host, State(host)).changes
        assert found.about


def test_auto_takes_whole_cores_of_the_nics_node(made: Host) -> None:
    """CPU 0's core is never taken; siblings idle; the rest does everything else."""
    found = profile.load("latency")
    found.roles["order"] = "auto"
    resolved, problems = roles.resolve(found, made)
    assert not problems
    shown = {role: list_text(getattr(resolved, role)) for role in ("feed", "order", "idle", "housekeeping", "isolated")}
    assert shown == {"feed": "2", "order": "3", "idle": "6-7", "housekeeping": "0-1,4-5", "isolated": "2-3,6-7"}


def test_what_a_profile_says_itself_goes_before_what_it_includes(made: Host, tmp_path: Path) -> None:
    """A mistake in an included file is named where it stands."""
    (tmp_path / "base.yaml").write_text(
        "include: [minimal]\nknobs:\n  vm.swappiness: 1\n  vm.stat_interval: 30\n", encoding="utf-8"
    )
    (tmp_path / "site.yaml").write_text(
        "include: [base.yaml]\nknobs:\n  vm.swappiness: 5\n  mem.thp: leave\n", encoding="utf-8"
    )
    found = profile.load(str(tmp_path / "site.yaml"))
    wanted = {change.setting.knob.name: change.setting.want for change in plan.make(found, made, State(made)).changes}
    assert (wanted["vm.swappiness"], wanted["vm.stat_interval"], wanted["cpu.epb"]) == ("5", "30", "0")
    assert "mem.thp" not in wanted
    (tmp_path / "base.yaml").write_text("knobs:\n  vm.stat_interval: often\n", encoding="utf-8")
    with pytest.raises(
        ProblemsError, match=r"1: knobs.vm.stat_interval: often: not a whole number \(from .*base.yaml:2\)"
    ):
        plan.make(profile.load(str(tmp_path / "site.yaml")), made, State(made))


def test_a_gateways_pipelines_give_cpus_and_queues(root: Path, made: Host) -> None:
    """The feed role and the hot queues are those of gateway.yaml."""
    settings = config.loads((root / "deploy/examples/gateway.yaml").read_bytes(), "gateway.yaml", root)
    first = settings.pipelines[0]
    receive = dataclasses.replace(first.receive, interface="eth0", backend="afxdp", queues=(2,))
    settings = dataclasses.replace(settings, pipelines=(dataclasses.replace(first, cpu=3, receive=receive),))
    found = profile.derive(profile.load("latency"), settings, "gateway.yaml")
    resolved, problems = roles.resolve(found, made)
    assert not problems
    assert (resolved.feed, resolved.idle, found.nics["eth0"].hot) == ({3}, {7}, {2: 3})
    changes = plan.make(found, made, State(made)).changes
    queues = {c.setting.target: (c.old, c.setting.want) for c in changes if c.setting.knob.name == "irq.queues"}
    assert queues == {"102": ("2", "3")}  # mlx5_comp2
    unpinned = dataclasses.replace(settings, pipelines=(dataclasses.replace(settings.pipelines[0], cpu=-1),))
    with pytest.raises(ProblemsError, match=r"pipelines\[0\].cpu: missing"):
        profile.derive(profile.load("latency"), unpinned, "gateway.yaml")
