"""`hwgw tune record` and `diff`: an archive stands for its host, and differences are those that were made.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from support import hosts

from hwgw import cli
from hwgw.errors import UsageError
from hwgw.tune import archive, placement, plan, profile, survey, topology
from hwgw.tune.compare import compare
from hwgw.tune.host import Host
from hwgw.tune.record import record
from hwgw.tune.state import State


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hosts.make(tmp_path_factory.mktemp("made") / "host")


@pytest.fixture(scope="module")
def file(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "host.tar.gz"
    path.write_bytes(record(Host(tree))[0])
    return path


def changes(host: Host, state: Path) -> list[dict[str, object]]:
    return [change.as_dict() for change in plan.make(profile.load("latency"), host, State(host, state)).changes]


def test_an_archive_stands_for_its_host(tree: Path, file: Path, tmp_path: Path) -> None:
    """What discover, plan and every knob say of it is what they say of the tree it was made from."""
    one, other = Host(tree), Host(file)
    assert topology.read(other).result() == topology.read(one).result()
    assert placement.propose(topology.read(other)).result() == placement.propose(topology.read(one)).result()
    mine, theirs = changes(one, tmp_path / "a"), changes(other, tmp_path / "b")
    assert len(mine) > 80
    assert theirs == mine
    values = survey.values(one)
    assert survey.values(other) == values
    assert len(values) > 120
    assert sum(map(len, values.values())) > 290
    assert list(compare(one, other)) == []


def test_links_stay_links(tree: Path, file: Path) -> None:
    """A knob that can be reached by two names stays one, or its old value would be saved twice."""
    one, other = Host(tree), Host(file)
    for path in ("/sys/bus/workqueue/devices/writeback/cpumask", "/sys/class/net/eth0/device/numa_node"):
        assert other.realpath(path) == one.realpath(path) != path
        assert other.read(path) == one.read(path)


def test_arguments_of_processes_are_not_kept(tree: Path) -> None:
    (tree / "proc/840/cmdline").write_bytes(b"/usr/sbin/sshd\0--password=hunter2\0")
    data, about = record(Host(tree))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = tar.extractfile("proc/840/cmdline")
        assert member is not None
        assert member.read() == b"/usr/sbin/sshd"
    assert b"hunter2" not in b"".join(_contents(data))
    assert about["files"]


def _contents(data: bytes) -> list[bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [file.read() for member in tar if member.isreg() and (file := tar.extractfile(member))]


@pytest.mark.parametrize(
    ("path", "value", "name", "shown"),
    [
        ("/proc/sys/vm/swappiness", "10", "vm.swappiness", ("60", "10")),
        ("/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "performance", "cpu.governor",
         ("schedutil", "schedutil (7), performance (1)")),
        ("/.hwgw-nic/eth0/coalesce.rx_usecs", "0", "nic.coalesce_rx_usecs", ("8", "0")),
        ("/proc/irq/103/smp_affinity_list", "0-1", "irq.devices", None),
        ("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]", "memory.thp",
         ("[always] madvise never", "always madvise [never]")),
    ],
)  # fmt: skip
def test_a_change_is_found_and_nothing_else(
    tree: Path, file: Path, path: str, value: str, name: str, shown: tuple[str, str] | None
) -> None:
    other = Host(file)
    other.local(path).write_text(f"{value}\n")
    found = list(compare(Host(tree), other))
    names = {row.name for row in found}
    assert names, "the change was not seen"
    assert names <= {name, "irq.queues", "irq.managed"} or len(names) == 1, names
    if shown:
        assert [(row.one, row.other) for row in found] == [shown]


def test_hosts_of_different_size_compare_by_value(tree: Path, file: Path) -> None:
    """One CPU less at the same settings is a fact, not a difference of settings."""
    other = Host(file)
    other.local("/sys/devices/system/cpu/online").write_text("0-6\n")
    found = list(compare(Host(tree), other))
    assert {row.name for row in found if row.kind == "fact"} >= {"CPUs"}
    assert [row.name for row in found if row.kind == "knob"] == []


def test_the_command_line_compares_by_option(tree: Path, file: Path) -> None:
    other = Host(file)
    other.local("/proc/cmdline").write_text(f"{hosts.CMDLINE} isolcpus=2-3 token=abc\n")
    found = [(row.name, row.one, row.other) for row in compare(Host(tree), other)]
    assert ("boot.cmdline isolcpus", "not there", "2-3") in found
    assert not any("token" in name or "abc" in value for name, _, value in found)


def test_the_verbs(tree: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "a.tar.gz"
    assert cli.execute(["tune", "record", str(kept), "--root", str(tree), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["bytes"] == kept.stat().st_size
    assert result["files"] > 700
    host = Host(file)
    (host.root / "proc/sys/vm/swappiness").write_text("10\n")
    assert cli.execute(["tune", "diff", str(kept), str(host.root), "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["differences"]
    assert (row["name"], row["a"], row["b"]) == ("vm.swappiness", "60", "10")


def _evil(name: str, *, kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        info.size = 4 if kind == tarfile.REGTYPE else 0
        tar.addfile(info, io.BytesIO(b"evil"))
    return raw.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (_evil("../outside"), "would lead out of the folder"),
        (_evil("/etc/outside"), "would lead out of the folder"),
        (_evil("proc/cmdline"), "has no .hwgw-record.json"),
        (b"\x1f\x8b but no archive", "cannot be read as an archive"),
    ],
)
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=said):
        Host(path)
    assert not (tmp_path / "outside").exists()


def test_a_link_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    """A link to / and a file below it: the file lands beside the link's name, within the folder."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, kind, text in (("proc", tarfile.SYMTYPE, str(tmp_path)), ("proc/stolen", tarfile.REGTYPE, "evil"),
                                 (archive.MANIFEST, tarfile.REGTYPE, "{}")):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, text if kind == tarfile.SYMTYPE else ""
            info.size = len(text) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(text.encode()))
    path = tmp_path / "x.tar.gz"
    path.write_bytes(raw.getvalue())
    host = Host(path)
    assert not (tmp_path / "stolen").exists()
    assert host.read("/proc/stolen") == "evil"


def test_this_host_is_recorded_and_read_back(tmp_path: Path) -> None:
    live, file = Host(), tmp_path / "this.tar.gz"
    file.write_bytes(record(live)[0])
    one, other = topology.read(live), topology.read(Host(file))
    assert other.cores == one.cores
    assert [(nic.name, nic.driver, nic.settings.get("driver.name")) for nic in other.nics] == [
        (nic.name, nic.driver, nic.settings.get("driver.name")) for nic in one.nics
    ]
