"""`hwgw tune discover` on made hosts whose topology is known, and on this one.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import hosts

from hwgw.cli.tune_discover import discover
from hwgw.errors import UsageError
from hwgw.tune.host import Host
from hwgw.tune.placement import propose
from hwgw.tune.topology import read


def made(tmp_path: Path, driver: str = "mlx5_core", **files: str | None) -> Host:
    return Host(hosts.make(tmp_path / "host", driver, files=dict(files)))


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(discover, list(args))
    return result.exit_code, result.output


def test_the_made_host_is_told_as_it_was_made(tmp_path: Path) -> None:
    topology = read(made(tmp_path))
    assert [sorted(core.cpus) for core in topology.cores] == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert [core.node for core in topology.cores] == [0, 0, 1, 1]
    assert {core.cache for core in topology.cores} == {frozenset({0, 1, 4, 5}), frozenset({2, 3, 6, 7})}
    assert (topology.release, topology.clocksource, len(topology.tsc)) == (hosts.RELEASE, "tsc", 2)
    (nic,) = topology.nics
    assert (nic.name, nic.driver, nic.node, nic.speed_mbps, nic.queues, nic.queues_max) == (
        "eth0", "mlx5_core", 1, 100_000, 8, 16
    )  # fmt: skip
    assert (nic.pcie, nic.firmware) == ("16.0 GT/s x16", "22.36.1010 (MT_0000000359)")
    assert [(irq.number, irq.queue) for irq in nic.irqs if irq.queue is not None] == [(100 + n, n) for n in range(8)]
    assert topology.options["CONFIG_PREEMPT_RT"] is False
    assert topology.options["CONFIG_NO_HZ_FULL"] is True


def test_feed_and_orders_go_near_the_nic_and_siblings_rest(tmp_path: Path) -> None:
    found = propose(read(made(tmp_path)), feed_cnt=1, order_cnt=1)
    assert (found.feed, found.order) == ((2,), (3,))
    assert (found.idle, found.housekeeping) == ({6, 7}, {0, 1, 4, 5})
    assert found.queues == {0: 2}
    said = " / ".join(reason for _, reason in found.why)
    for word in ("on eth0's node 1", "shared by CPUs 2-3,6-7 only", "sibling 6 idle", "same last cache as the first"):
        assert word in said
    problems = "\n".join(found.problems)
    assert "IRQ 100 of queue 0 is on CPU 0, not on 2" in problems
    assert "IRQ 102, 103, 106, 107 of eth0 on CPU 2-3,6-7" in problems
    assert "CPU 2-3 not isolated" in problems


def test_what_cannot_be_near_is_said(tmp_path: Path) -> None:
    found = propose(read(made(tmp_path)), feed_cnt=3)
    assert found.feed == (2, 3, 1)
    assert "CPU 1 is not on node 1 of eth0: each packet crosses between the nodes" in found.problems
    assert any(reason.startswith("CPU 1: NOT on eth0's node; another last cache") for _, reason in found.why)
    with pytest.raises(
        UsageError, match="3 feed and 1 order threads want 4 cores of their own; beside the core of CPU 0"
    ):
        propose(read(made(tmp_path / "again")), feed_cnt=3, order_cnt=1)


def test_the_cache_with_most_room_is_taken(tmp_path: Path) -> None:
    """Node 1 with two caches, CPU 3's larger domain wins over the lower number."""
    cache = "/sys/devices/system/cpu/cpu{}/cache/index3/shared_cpu_list"
    node = {"/sys/devices/system/node/node1/cpulist": "1-3,5-7", "/sys/devices/system/node/node0/cpulist": "0,4"}
    files = node | {cache.format(cpu): "1,5" for cpu in (1, 5)} | {cache.format(cpu): "2-3,6-7" for cpu in (2, 3, 6, 7)}
    found = propose(read(made(tmp_path, **files)), feed_cnt=2)
    assert found.feed == (2, 3)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"numa_node": "-1"}, "the firmware does not tell the node of eth0"),
        ({"current_link_width": "4"}, "eth0 runs at PCIe 16.0 GT/s x4, it could 16.0 GT/s x16"),
        ({"net/eth0/operstate": "down"}, "eth0 is down"),
    ],
)
def test_a_card_in_trouble_is_named(tmp_path: Path, files: dict[str, str], said: str) -> None:
    base = f"/sys/devices/pci0000:80/{hosts.PCI}"
    host = made(tmp_path, **{f"{base}/{name}": value for name, value in files.items()})
    assert said in "\n".join(propose(read(host)).problems)


def test_more_feed_threads_than_queues_are_named(tmp_path: Path) -> None:
    found = propose(read(made(tmp_path, "virtio_net")), feed_cnt=2)
    assert any(problem.startswith("2 feed threads and 1 receive queues on eth0") for problem in found.problems)
    assert found.queues == {0: 2}


@pytest.mark.parametrize("driver", sorted(hosts.DRIVERS))
def test_every_driver_is_shown_in_80_columns(tmp_path: Path, driver: str) -> None:
    tree = made(tmp_path, driver).root
    code, text = run("--root", str(tree), "--order", "1", "-v")
    assert code == 0
    assert max(map(len, text.splitlines())) <= 80
    for word in (driver, "feed         2", "order        3", "idle         6-7", "housekeeping 0-1,4-5", "IRQ 100"):
        assert word in text
    code, said = run("--root", str(tree), "--json")
    result = json.loads(said)
    assert (code, result["schema"], result["proposal"]["feed"]) == (0, "hwgw.tune-discover/1", "2")
    assert result["host"]["nics"][0]["driver"] == driver


def test_the_proposal_is_a_profile(tmp_path: Path) -> None:
    tree = made(tmp_path).root
    file = tmp_path / "proposed.yaml"
    code, _ = run("--root", str(tree), "--order", "1", "--write", str(file))
    assert code == 0
    assert file.read_text() == (
        "about: proposed by hwgw tune discover\ninclude: [latency]\nroles:\n  feed: 2\n  order: 3\n"
        "  housekeeping: 0-1,4-5\n  idle: 6-7\nnics:\n  eth0:\n    hot: {0: 2}\n"
    )


def test_this_host_is_told_as_the_kernel_tells_it() -> None:
    topology = read(Host())
    assert topology.release == os.uname().release
    assert sorted(cpu for core in topology.cores for cpu in core.cpus) == sorted(topology.online)
    assert topology.online >= os.sched_getaffinity(0)
    names = {path.name for path in Path("/sys/class/net").iterdir() if (path / "device").exists()}
    assert {nic.name for nic in topology.nics} == names


def test_a_nic_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--nic eth9: no such NIC with a device behind it; there are eth0"):
        propose(read(made(tmp_path)), nic="eth9")
