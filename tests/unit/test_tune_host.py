"""The host under `hwgw tune`: paths stay inside of the root, made files answer as a kernel would.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from support import hosts

from hwgw.errors import UsageError
from hwgw.tune import cpus, irqs
from hwgw.tune.host import Host
from hwgw.tune.knob import COMPARE, Unsupported, actuator, same


@pytest.fixture
def made(tmp_path: Path) -> Host:
    """Return the made host with an mlx5-like NIC."""
    return Host(hosts.make(tmp_path))


@pytest.mark.parametrize(
    ("text", "members"),
    [("", []), ("3", [3]), ("0-2,8", [0, 1, 2, 8]), ("0-14:1/4", [0, 4, 8, 12]), ("0-7:2/4", [0, 1, 4, 5])],
)
def test_cpu_lists_are_read_as_the_kernel_reads_them(text: str, members: list[int]) -> None:
    """Documentation/admin-guide/kernel-parameters.rst, "CPU lists": N-M, and N-M:used/group."""
    assert sorted(cpus.parse_list(text)) == members


@pytest.mark.parametrize("text", ["N", "3-1", "1,,x", "0-99999", "0-7:3/2"])
def test_what_is_no_cpu_list_is_refused(text: str) -> None:
    """A placeholder left in place is found."""
    with pytest.raises(UsageError):
        cpus.parse_list(text)


def test_masks_have_the_kernels_groups_of_32() -> None:
    """A mask of 72 CPUs as /proc/irq/N/smp_affinity prints it."""
    assert cpus.mask_text([0, 33, 71], 72) == "80,00000002,00000001"
    assert cpus.parse_mask("80,00000002,00000001") == {0, 33, 71}
    assert cpus.list_text([5, 1, 2, 3, 0, 7]) == "0-3,5,7"
    assert cpus.mask_text(range(8), 8) == "ff"


def test_made_host_has_two_nodes_and_a_nic(made: Host) -> None:
    """The facts that placement rests on."""
    assert not made.live
    assert made.online == frozenset(range(8))
    assert made.nodes == {0: {0, 1, 4, 5}, 1: {2, 3, 6, 7}}
    assert made.siblings(2) == {2, 6}
    assert made.nics() == ["eth0"]
    assert made.nic_node("eth0") == 1
    assert made.kernel_config["CONFIG_NO_HZ_FULL"] == "y"
    assert made.kernel_config["CONFIG_PREEMPT_RT"] == "n"
    assert irqs.name(made, 103) == "mlx5_comp3@pci:0000:81:00.0"
    assert len(made.irqs()) == 17
    assert made.irq_actions(103) == "mlx5_comp3@pci:0000:81:00.0"


@pytest.mark.parametrize("driver", sorted(hosts.DRIVERS))
def test_every_variant_has_its_drivers_interrupts(tmp_path: Path, driver: str) -> None:
    """The names differ by driver, the number of queues too."""
    made = Host(hosts.make(tmp_path, driver))
    queues = hosts.DRIVERS[driver][2]
    assert [irqs.name(made, 100 + n) for n in range(queues)] == [
        hosts.DRIVERS[driver][3].format(n=n) for n in range(queues)
    ]
    assert made.read("/sys/class/net/eth0/device/uevent").startswith(f"DRIVER={driver}")  # type: ignore[union-attr]


def test_links_do_not_lead_out_of_the_root(tmp_path: Path) -> None:
    """An absolute link is one of the machine, and .. ends at its root."""
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "secret").write_text("outside", encoding="utf-8")
    (tmp_path / "root" / "etc" / "away").symlink_to(tmp_path / "secret")
    (tmp_path / "root" / "etc" / "up").symlink_to("../../../../secret")
    (tmp_path / "root" / "etc" / "loop").symlink_to("loop")
    host = Host(tmp_path / "root")
    assert host.read("/etc/away") is None
    assert host.read("/etc/up") is None
    assert host.read("/../secret") is None
    assert host.read("/etc/loop") is None
    assert host.realpath("/etc/up") == "/secret"
    with pytest.raises(UsageError, match="no program is run under --root"):
        host.run(["true"])


def test_aliases_have_one_real_path(made: Host) -> None:
    """TuneD restores a wrong value when a knob is listed under two names."""
    alias = "/sys/bus/workqueue/devices/writeback/cpumask"
    assert made.realpath(alias) == "/sys/devices/virtual/workqueue/writeback/cpumask"
    assert actuator("file").place(made, alias) == "/sys/devices/virtual/workqueue/writeback/cpumask"


def test_made_files_answer_as_a_kernel(made: Host) -> None:
    """Brackets, twins, width of masks, refusals: what was seen on Linux 6.18."""
    thp = "/sys/kernel/mm/transparent_hugepage/enabled"
    made.write(thp, "never")
    assert made.read(thp) == "always madvise [never]"
    with pytest.raises(OSError, match="Invalid argument"):
        made.write(thp, "sometimes")
    made.write("/proc/sys/vm/dirty_bytes", "1000000")
    assert made.read("/proc/sys/vm/dirty_ratio") == "0"
    with pytest.raises(OSError, match="Invalid argument"):
        made.write("/proc/sys/vm/dirty_bytes", "0")
    made.write("/proc/sys/vm/dirty_ratio", "20")
    assert made.read("/proc/sys/vm/dirty_bytes") == "0"
    made.write("/sys/devices/virtual/workqueue/cpumask", "3")
    assert made.read("/sys/devices/virtual/workqueue/cpumask") == "03"
    with pytest.raises(OSError) as caught:
        made.write("/sys/devices/virtual/workqueue/cpumask", "100")
    assert caught.value.errno == errno.EOVERFLOW
    actuator("irq").write(made, "100", "0-1")
    assert (made.read("/proc/irq/100/smp_affinity"), actuator("irq").effective(made, "100")) == ("03", "0")
    with pytest.raises(Unsupported, match="IRQ 22: managed"):
        actuator("irq").write(made, "22", "0-1")
    with pytest.raises(OSError, match="No such file"):
        made.write("/sys/kernel/mm/missing", "1")


def test_threads_are_told_apart_by_their_start(made: Host) -> None:
    """A number may come again; an affinity is set only where it is still the same thread."""
    thread = actuator("thread")
    assert (16, 16) in list(made.threads())
    target = f"16 {made.started(16)}"
    thread.write(made, target, "0-1,4-5")
    assert thread.read(made, target) == "0-1,4-5"
    assert made.status(16)["Cpus_allowed"] == "33"
    assert thread.read(made, "16 1") is None
    with pytest.raises(Unsupported, match="it has ended"):
        thread.write(made, "16 1", "0")


def test_values_are_compared_by_what_they_mean() -> None:
    """A string comparison of an energy bias, a mask or a choice fails for ever."""
    assert same("bias", "performance", "0")
    assert same("mask", "0f", "0000,0000000f")
    assert same("cpus", "0,1,2", "0-2")
    assert same("choice", "always madvise [never]", "never")
    assert same("text", "4096\t131072\t6291456", "4096 131072 6291456")
    assert same("switch", "N", "0")
    assert not same("mask", "0f", "1f")
    assert not same("text", None, "0")
    assert same("within", "0-1", "0-3")
    assert not same("within", "0-4", "0-3")
    assert set(COMPARE) >= {"text", "exact", "choice", "mask", "cpus", "within", "number", "bias", "switch"}
