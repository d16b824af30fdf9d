"""Command lines: the linter's findings, our own fragment, and the files that bring a profile back after a boot.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support import hosts

from hwgw.cli import execute
from hwgw.tune import boot, lint, persist, plan, profile
from hwgw.tune.host import Host
from hwgw.tune.knob import Unsupported, actuator
from hwgw.tune.state import State


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Return a made host that nothing writes to."""
    return Host(hosts.make(tmp_path_factory.mktemp("made")))


# command line | level and what is said
FINDINGS = [
    ("isolcpus=2,6 isolcpus=3,7", "warning", "isolcpus=3,7: stands 2 times; the last counts, and the next editor sees the first"),
    ("isolcpus=managed,2,6", "error", "isolcpus=managed,2,6: managed is no flag of it; domain, nohz, managed_irq are"),
    ("isolcpus=managed_irq,2,6", "warning",
     "isolcpus=managed_irq,2,6: without domain (or no flag at all) the scheduler goes on balancing onto these CPUs"),
    ("isolcpus=4-N irqaffinity=0-3", "warning", "isolcpus=4-N: CPU 4 shares its core with CPU 0, which is not isolated"),
    ("isolcpus=4-7 irqaffinity=0-7", "error", "irqaffinity=0-7: CPU 4-7 is isolated by isolcpus or nohz_full"),
    ("nohz_full=N", "error",
     "nohz_full=N: N stands for nothing: the last CPU may be written N only after a - (0-N), since Linux 5.12"),
    ("isolcpus=0-7", "error", "isolcpus=0-7: no CPU is left for everything else: the kernel ignores it"),
    ("isolcpus=2,6 nohz_full=2", "warning", "nohz_full=2: not the CPUs of isolcpus (2,6): one of the two halves is missing"),
    ("kthread_cpus=0-1", "error", "kthread_cpus=0-1: no option of mainline kernels: it is passed to init and does nothing"),
    ("rcutree.kthread_prio=11", "error", "rcutree.kthread_prio=11: this kernel was built without CONFIG_PREEMPT_RT: it is ignored"),
    ("mce=off", "error", "mce=off: uncorrected memory errors would go unnoticed; ignore_ce is enough"),
    ("idle=poll", "warning", "idle=poll: with SMT on, idle siblings take half of every core"),
    ("mitigations=off", "warning", "mitigations=off: a decision of the site's risk officer: write down the reason"),
    ("transparent_hugepage=no", "error", "transparent_hugepage=no: not known; always, madvise, never are"),
    ("nosmt elevator=none", "error", "elevator=none: ignored since Linux 5.0; the scheduler of a disk is set in /sys/block"),
    ("hugepages=0:16,1:16", "warning",
     "hugepages=0:16,1:16: without hugepagesz= before it these are pages of the default size"),
    ("systemd.cpu_affinity=0-2 nohz_full=2,6", "error",
     "systemd.cpu_affinity=0-2: CPU 2 is isolated by isolcpus or nohz_full"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "level", "said"), FINDINGS, ids=[row[0] for row in FINDINGS])
def test_linter_names_what_does_not_do_what_it_says(made: Host, line: str, level: str, said: str) -> None:
    """Rules of kernel/sched/isolation.c, of the kernel's configuration, and what users ran into."""
    assert (level, said) in [(finding.level, str(finding)) for finding in lint.lint(line, made)]


def test_clean_lines_have_no_findings(made: Host) -> None:
    """What the latency profile puts there, and what a distribution does."""
    wanted = plan.wanted(profile.load("latency"), made)
    ours = boot.text_of([(s.knob.place, s.want) for s in wanted.settings if s.knob.kind == "cmdline"])
    assert ours.split()[0] == "isolcpus=managed_irq,domain,2,6"
    assert lint.lint(f"{hosts.CMDLINE} {ours}", made) == []
    assert lint.lint("mitigations=auto,no_guest_host,no_guest_guest", made) == []
    assert lint.lint('root=/dev/sda1 ro quiet console=tty0 console=ttyS0 dyndbg="file x.c +p" -- single', made) == []


def test_linter_knows_the_kernel_it_runs_under(capsys: pytest.CaptureFixture[str]) -> None:
    """On this machine, with its own configuration."""
    host = Host()
    if "CONFIG_NO_HZ_FULL" not in host.kernel_config:
        pytest.skip("needs the configuration of the running kernel (/proc/config.gz or /boot/config-*)")
    has = host.kernel_config["CONFIG_NO_HZ_FULL"] == "y"
    code = execute(["tune", "lint-cmdline", f"nohz_full={max(host.online)}"])
    assert ("built without CONFIG_NO_HZ_FULL" in capsys.readouterr().out) is not has
    assert code == (0 if has and len(host.online) > 1 else 1)


def test_options_are_parsed_as_the_kernel_parses_them() -> None:
    """Quotes hold blanks, - and _ are one, what follows -- is init's."""
    line = 'a=1 b dyndbg="file x +p" transparent-hugepage=never -- c=2'
    assert boot.options(line) == [("a", "1"), ("b", "set"), ("dyndbg", "file x +p"), ("transparent_hugepage", "never")]


def test_grub_fragment_is_ours_alone(tmp_path: Path) -> None:
    """The user's line stays; a shell that reads both gets both; the last option out removes the file."""
    host = Host(hosts.make(tmp_path))
    before = (tmp_path / "etc/default/grub").read_bytes()
    cmdline = actuator("cmdline")
    cmdline.write(host, "isolcpus", "domain,2,6")
    cmdline.write(host, "nosoftlockup", "set")
    assert cmdline.read(host, "isolcpus") == "domain,2,6"
    assert cmdline.effective(host, "isolcpus") == "absent"
    script = '. "$1"; . "$2"; printf %s "$GRUB_CMDLINE_LINUX_DEFAULT"'
    files = [str(tmp_path / "etc/default/grub"), str(tmp_path / boot.FRAGMENT.lstrip("/"))]
    done = subprocess.run(["sh", "-euc", script, "sh", *files], capture_output=True, text=True, check=True)
    assert done.stdout == "quiet isolcpus=domain,2,6 nosoftlockup"
    assert (tmp_path / "etc/default/grub").read_bytes() == before
    with pytest.raises(Unsupported, match="cannot stand in a boot fragment"):
        cmdline.write(host, "tsc", "$(reboot)")
    cmdline.write(host, "isolcpus", "absent")
    cmdline.write(host, "nosoftlockup", "absent")
    assert not (tmp_path / boot.FRAGMENT.lstrip("/")).exists()


@pytest.mark.parametrize("grub", [None, "GRUB_ENABLE_BLSCFG=true"])
def test_boot_loader_entry_of_our_own(tmp_path: Path, grub: str | None) -> None:
    """No GRUB, or one that reads entries: a copy of the running kernel's with our options behind its own."""
    entry = f"title Linux\nversion {hosts.RELEASE}\nlinux /vmlinuz-{hosts.RELEASE}\noptions root=UUID=1 ro"
    files: dict[str, str | None] = {"/etc/default/grub": grub, "/boot/loader/entries/one.conf": entry}
    host = Host(hosts.make(tmp_path, files=files))
    cmdline = actuator("cmdline")
    cmdline.write(host, "skew_tick", "1")
    cmdline.write(host, "tsc", "reliable")
    text = (tmp_path / f"boot/loader/entries/hwgw-{hosts.RELEASE}.conf").read_text(encoding="utf-8")
    assert "title Linux (hwgw)\n" in text
    assert "options root=UUID=1 ro skew_tick=1 tsc=reliable\n" in text
    assert (tmp_path / "boot/loader/entries/one.conf").read_text(encoding="utf-8") == entry + "\n"
    assert cmdline.read(host, "tsc") == "reliable"
    (tmp_path / "bare").mkdir()
    bare = Host(hosts.make(tmp_path / "bare", files={"/etc/default/grub": None}))
    with pytest.raises(Unsupported, match="no boot loader that hwgw knows"):
        cmdline.read(bare, "tsc")


def test_files_for_the_next_boot_are_taken_by_what_reads_them(tmp_path: Path) -> None:
    """systemd-analyze with nothing on stderr, sh, udevadm where it can; all of them ours and gone after rollback."""
    tree = hosts.make(tmp_path / "host")
    host = Host(tree)
    site = tmp_path / "site.yaml"
    site.write_text(
        "include: [latency]\nknobs:\n  cpu.dma_latency: recommended\n  nic.channels: recommended\n", encoding="utf-8"
    )
    wanted = profile.load(str(site))
    wanted.nics["eth0"] = profile.Nic("eth0", 4)
    wanted.origin = ("--profile", str(site), "--nic", "eth0")
    settings = [s for s in plan.wanted(wanted, host, keep=True).settings if s.knob.kind == "etc"]
    assert [s.target for s in settings] == [
        persist.UNIT, "/etc/sysctl.d/99-zz-hwgw.conf", persist.LATENCY_UNIT, persist.UDEV, "/etc/systemd/network/10-hwgw-eth0.link",
    ]  # fmt: skip
    readers = set()
    for setting in settings:
        actuator("etc").write(host, setting.target, setting.want)
        local = tree / setting.target.lstrip("/")
        # the programs of the made host are not on this one
        text = setting.want.replace("/usr/bin/hwgw", "/bin/true").replace("/usr/bin/python3", "/bin/true")
        local.write_text(text, encoding="utf-8")
        reader, complaint = persist.validate(setting.target, local)
        assert complaint == "", f"{setting.target}: {reader}: {complaint}"
        readers.add(reader)
    if shutil.which("systemd-analyze"):
        assert "systemd-analyze verify" in readers
        wrong = tmp_path / "wrong.service"
        wrong.write_text("[Service]\nType=oneshot\nExecStart=/bin/true\nNonsense=1\n", encoding="utf-8")
        assert "Nonsense" in persist.validate("/etc/systemd/system/wrong.service", wrong)[1]  # although it ends with 0
    unit = next(s.want for s in settings if s.target == persist.UNIT)
    assert f"ExecStart=/usr/bin/hwgw tune apply --on-error continue --profile {site} --nic eth0\n" in unit
    link = settings[-1].want
    assert "PermanentMACAddress=b8:ce:f6:00:00:01\n" in link
    assert "CombinedChannels=4\n" in link
    sysctl = settings[1].want
    assert "vm.swappiness = 10\n" in sysctl
    assert State(host).standing() == []
