"""Records what hwgw looks at on a host, so that another machine can plan, verify, discover and compare with it.

SPDX-License-Identifier: MIT

Only files of the kernel, the boot loader's defaults and sysctl.d are read, and of processes what ps(1) shows without
their arguments. Links are kept as links: a knob that can be reached by two names stays one.
"""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Iterator

from .. import __version__
from . import archive, irqs, survey, table
from .host import Host
from .nic.actuator import FOLDER, settings

__all__ = ["FACTS", "record"]

# beside the places of the knobs; * is part of one name
FACTS = (
    "/proc/cpuinfo", "/proc/cmdline", "/proc/meminfo", "/proc/interrupts", "/proc/softirqs", "/proc/stat",
    "/proc/swaps", "/proc/mounts", "/proc/loadavg", "/proc/uptime", "/proc/version", "/proc/config.gz",
    "/boot/config-*", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/random/boot_id",
    "/proc/sys/kernel/hostname", "/proc/sys/kernel/tainted", "/proc/sys/kernel/version",
    "/proc/sys/kernel/sched_rt_*", "/etc/default/grub", "/etc/default/grub.d/*", "/etc/kernel/cmdline",
    "/etc/os-release", "/etc/sysctl.d/*.conf", "/usr/lib/sysctl.d/*.conf", "/etc/sysctl.conf",
    "/proc/irq/default_smp_affinity", "/proc/irq/*/smp_affinity", "/proc/irq/*/smp_affinity_list",
    "/proc/irq/*/effective_affinity", "/proc/irq/*/effective_affinity_list", "/proc/irq/*/affinity_hint",
    "/proc/irq/*/node", "/sys/kernel/irq/*/actions", "/sys/kernel/irq/*/chip_name", "/sys/devices/system/cpu/*",
    "/sys/devices/system/cpu/smt/*", "/sys/devices/system/cpu/vulnerabilities/*",
    "/sys/devices/system/cpu/cpuidle/*", "/sys/devices/system/cpu/cpufreq/boost",
    "/sys/devices/system/cpu/intel_pstate/*", "/sys/devices/system/cpu/cpu[0-9]*/online",
    "/sys/devices/system/cpu/cpu[0-9]*/topology/*", "/sys/devices/system/cpu/cpu[0-9]*/cache/index[0-9]/*",
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/*", "/sys/devices/system/cpu/cpu[0-9]*/cpuidle/state[0-9]*/*",
    "/sys/devices/system/cpu/cpu[0-9]*/power/*", "/sys/devices/system/node/*",
    "/sys/devices/system/node/node[0-9]*/cpulist", "/sys/devices/system/node/node[0-9]*/distance",
    "/sys/devices/system/node/node[0-9]*/meminfo",
    "/sys/devices/system/node/node[0-9]*/hugepages/hugepages-*/*",
    "/sys/devices/system/clocksource/clocksource0/*", "/sys/devices/virtual/workqueue/*",
    "/sys/devices/virtual/workqueue/*/*", "/sys/bus/workqueue/devices/*/cpumask",
    "/sys/bus/workqueue/devices/*/numa", "/sys/kernel/mm/transparent_hugepage/*",
    "/sys/kernel/mm/transparent_hugepage/khugepaged/*", "/sys/kernel/mm/ksm/run",
    "/sys/firmware/acpi/platform_profile*", "/sys/module/*/parameters/policy", "/sys/fs/cgroup/cpuset.cpus*",
    "/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/cgroup.subtree_control",
    "/sys/block/*/queue/*", "/sys/block/*/device/model",
    "/sys/class/ptp/*/clock_name",
    "/dev/cpu_dma_latency",
)  # fmt: skip
_NIC_FILES = (
    "address", "mtu", "operstate", "carrier", "speed", "duplex", "ifindex", "tx_queue_len", "gro_flush_timeout",
    "napi_defer_hard_irqs", "threaded", "type", "flags", "queues/*/*", "device/*", "device/power/*", "device/link/*",
    "device/msi_irqs/*", "device/ptp/*/clock_name", "device/driver/uevent", "device/driver/module/version",
)  # fmt: skip
_PROCESS_FILES = ("stat", "status", "comm")
_SZ_MAX = 1 << 20  # of one file; configuration space and resources of devices are not for reading whole
_NEVER = re.compile(r"/(resource\d*(_wc)?|rom|config|remove|rescan|reset|vpd|uevent_helper|dev_port.*|bl_power)$")


class _Keeper:
    """Files and links of a host, by absolute name."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.files: dict[str, bytes] = {}
        self.links: dict[str, str] = {}
        self.unread: dict[str, str] = {}
        self._known: dict[str, str] = {}

    def _real(self, path: str) -> str:
        """The path without links; the links on the way are kept. Each folder is looked at once."""
        known = self._known.get(path)
        if known is None:
            above, _, part = path.rpartition("/")
            here = f"{self._real(above)}/{part}" if above else f"/{part}"
            try:
                target = str((self._host.root / here.lstrip("/")).readlink())
            except OSError:
                known = here
            else:
                self.links[here] = target
                known = self._host.realpath(here)
            self._known[path] = known
        return known

    def add(self, path: str) -> None:
        """One file as it is now."""
        if _NEVER.search(path) and "/etc/" not in path and "/proc/config" not in path and "/boot/" not in path:
            return
        real = self._real(path)
        local = self._host.root / real.lstrip("/")
        try:
            mode = local.stat().st_mode
        except OSError:
            return
        if not stat.S_ISREG(mode) and not stat.S_ISCHR(mode):
            return
        try:
            with local.open("rb") as file:
                data = file.read(4 if stat.S_ISCHR(mode) else _SZ_MAX)
        except OSError as error:
            self.unread[path] = error.strerror or str(error)
            return
        self.files[real] = data


def _processes(host: Host, keeper: _Keeper) -> None:
    for pid, tid in host.threads():
        for folder in (f"/proc/{pid}", f"/proc/{pid}/task/{tid}", f"/proc/{tid}"):
            for name in _PROCESS_FILES:
                keeper.add(f"{folder}/{name}")
        command = host.read(f"/proc/{pid}/cmdline") or ""
        keeper.files[f"/proc/{pid}/cmdline"] = command.split("\0")[0].encode()  # without arguments: they may be secret


def _patterns(host: Host) -> Iterator[str]:
    yield from FACTS
    for knob in table.knobs().values():
        yield from (path for path in survey.places(knob, host) if path.startswith("/"))
        if knob.kind == "sysctl":
            yield "/proc/sys/" + knob.place.translate(str.maketrans("./", "/."))
    for nic in (*host.nics(), "lo"):
        yield from (f"/sys/class/net/{nic}/{name}" for name in _NIC_FILES)
        device = host.realpath(f"/sys/class/net/{nic}/device")
        yield from (f"{device.rpartition('/')[0]}/{name}" for name in ("msi_irqs/*", "*_link_*", "numa_node", "class"))


def record(host: Host) -> tuple[bytes, dict[str, object]]:
    """The archive of a host, and what is said of it."""
    keeper = _Keeper(host)
    for pattern in dict.fromkeys(_patterns(host)):
        for path in host.glob(pattern) if re.search(r"[*?\[]", pattern) else [pattern]:
            keeper.add(path)
    for irq, action in irqs.names(host).items():  # the folder beside an interrupt's files names who asked for it
        keeper.files[f"/proc/irq/{irq}/{action.replace('/', '!')}/.keep"] = b"\n"
    _processes(host, keeper)
    for nic in host.nics():
        for name, value in settings(host, nic).items():
            if not name.startswith("link.m"):
                keeper.files[f"{FOLDER}/{nic}/{name}"] = f"{value}\n".encode()
    for name in [path for path in keeper.files if path in keeper.links]:
        del keeper.files[name]
    about: dict[str, object] = {
        "schema": "hwgw.host-record/1", "hwgw": __version__, "host": host.facts() | {"root": ""},
        "hostname": host.read("/proc/sys/kernel/hostname") or "", "when": int(time.time()),
        "files": len(keeper.files), "links": len(keeper.links), "unread": dict(sorted(keeper.unread.items())),
    }  # fmt: skip
    keeper.files["/" + archive.MANIFEST] = json.dumps(about, indent=1, sort_keys=True).encode()
    return archive.pack(keeper.files, keeper.links), about
