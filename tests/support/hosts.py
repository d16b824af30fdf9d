"""A made host: 8 CPUs with SMT on two NUMA nodes, a 100G NIC on the second node, and everything `hwgw tune` looks at.

SPDX-License-Identifier: MIT

    make(folder)                     an mlx5-like NIC, eth0, on node 1
    make(folder, driver="ice")       or ena, virtio_net
    snapshot(folder)                 every file and link, to compare byte for byte

Numbering is that of a two-socket machine: cores 0-1 (siblings 4-5) on node 0, cores 2-3 (siblings 6-7) on node 1. The
values are the defaults of Debian 12 on such a machine.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from hwgw.tune import made

CPUS = 8
NODES = {0: (0, 1, 4, 5), 1: (2, 3, 6, 7)}
NIC_NODE = 1
PCI = "0000:81:00.0"
MASK_ALL = "ff"
BOOT_ID = "5c3ac21e-1f8f-4b0a-9d5c-6f2b8f0a7e11"
RELEASE = "6.12.9-amd64"
DRIVERS = {
    # driver: version of firmware, vendor and device, queues, action of queue n, actions that are no queue
    "mlx5_core": ("22.36.1010 (MT_0000000359)", "0x15b3 0x101d", 8, "mlx5_comp{n}@pci:" + PCI, ["mlx5_async0@pci:" + PCI]),
    "ice": ("4.40 0x8001af1d 1.3534.0", "0x8086 0x1592", 8, "ice-eth0-TxRx-{n}", ["ice-" + PCI + ":misc"]),
    "ena": ("", "0x1d0f 0xec20", 8, "eth0-Tx-Rx-{n}", ["ena-mgmnt@pci:" + PCI]),
    "virtio_net": ("", "0x1af4 0x1000", 1, "virtio0-input.{n}", ["virtio0-config", "virtio0-output.0"]),
}  # fmt: skip
# what each NIC is set to, a file each in /.hwgw-nic/eth0
_SETTINGS_ALL = {
    "coalesce.rx_usecs": "8", "coalesce.rx_max_frames": "128", "coalesce.tx_usecs": "8", "coalesce.tx_max_frames": "128",
    "coalesce.use_adaptive_rx": "1", "coalesce.use_adaptive_tx": "1", "features.rx-gro": "on", "features.rx-lro": "off",
    "features.rx-gro-hw": "off", "features.rx-gro-list": "off", "features.rx-hashing": "on", "features.rx-checksum": "on",
    "features.rx-ntuple-filter": "off", "features.tx-tcp-segmentation": "on", "features.tx-generic-segmentation": "on",
    "features.highdma": "on", "features.fixed": "highdma", "link.autoneg": "on", "link.up": "on",
    "napi.defer_hard_irqs": "0", "napi.gro_flush_timeout": "0", "napi.irq_suspend_timeout": "0", "napi.threaded": "0",
}  # fmt: skip
_SETTINGS_PHYSICAL = _SETTINGS_ALL | {
    "channels.combined": "8", "channels.combined_max": "16", "rings.rx": "1024", "rings.rx_max": "8192", "rings.tx": "1024",
    "rings.tx_max": "8192", "rings.tx_push": "0", "pause.rx": "on", "pause.tx": "on", "pause.autoneg": "off", "fec.mode": "auto",
    "fec.active": "rs", "rss.indir": "0-7", "rss.hfunc": "toeplitz", "rss.udp4_fields": "sd", "rss.contexts": "none",
    "rss.key": ":".join(f"{byte:02x}" for byte in range(40)), "ntuple.rules": "none", "timestamp.rx_filter": "none",
    "timestamp.tx_type": "off", "link.speed": "100000",
}  # fmt: skip
SETTINGS = {
    "mlx5_core": _SETTINGS_PHYSICAL | {"priv_flags.rx_cqe_compress": "on", "priv_flags.rx_striding_rq": "on",
                                       "priv_flags.skb_tx_mpwqe": "on", "coalesce.use_cqe_mode_rx": "1"},
    "ice": _SETTINGS_PHYSICAL | {"priv_flags.channel-pkt-inspect-optimize": "on"},
    "ena": {name: value for name, value in _SETTINGS_PHYSICAL.items() if not name.startswith(("pause", "fec", "timestamp"))},
    "virtio_net": _SETTINGS_ALL | {"channels.combined": "1", "channels.combined_max": "1", "rings.rx": "256", "rings.rx_max": "256",
                                   "features.fixed": "highdma rx-lro rx-ntuple-filter rx-hashing"},
}  # fmt: skip
SYSCTLS = {
    "kernel.hung_task_timeout_secs": "120", "kernel.nmi_watchdog": "1", "kernel.numa_balancing": "1",
    "kernel.perf_cpu_time_max_percent": "25", "kernel.perf_event_max_sample_rate": "100000", "kernel.perf_event_paranoid": "3",
    "kernel.printk": "4\t4\t1\t7", "kernel.randomize_va_space": "2", "kernel.sched_autogroup_enabled": "1",
    "kernel.sched_rt_period_us": "1000000", "kernel.sched_rt_runtime_us": "950000", "kernel.soft_watchdog": "1",
    "kernel.timer_migration": "1", "kernel.watchdog": "1", "kernel.watchdog_cpumask": "0-7", "kernel.core_pattern": "core",
    "vm.compact_unevictable_allowed": "1", "vm.compaction_proactiveness": "20", "vm.dirty_background_bytes": "0",
    "vm.dirty_background_ratio": "10", "vm.dirty_bytes": "0", "vm.dirty_ratio": "20", "vm.dirty_writeback_centisecs": "500",
    "vm.max_map_count": "65530", "vm.min_free_kbytes": "67584", "vm.overcommit_memory": "0", "vm.stat_interval": "1",
    "vm.swappiness": "60", "vm.watermark_boost_factor": "15000", "vm.watermark_scale_factor": "10", "vm.zone_reclaim_mode": "0",
    "net.core.bpf_jit_enable": "1", "net.core.bpf_jit_harden": "0", "net.core.busy_poll": "0", "net.core.busy_read": "0",
    "net.core.default_qdisc": "pfifo_fast", "net.core.dev_weight": "64", "net.core.flow_limit_cpu_bitmap": "00",
    "net.core.gro_normal_batch": "8", "net.core.netdev_budget": "300", "net.core.netdev_budget_usecs": "8000",
    "net.core.netdev_max_backlog": "1000", "net.core.netdev_tstamp_prequeue": "1", "net.core.optmem_max": "131072",
    "net.core.rmem_default": "212992", "net.core.rmem_max": "212992", "net.core.rps_default_mask": "00",
    "net.core.rps_sock_flow_entries": "0", "net.core.skb_defer_max": "64", "net.core.tstamp_allow_data": "1",
    "net.core.wmem_default": "212992", "net.core.wmem_max": "212992",
    "net.ipv4.conf.all.arp_announce": "0", "net.ipv4.conf.all.arp_ignore": "0", "net.ipv4.conf.all.force_igmp_version": "0",
    "net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.eth0.arp_announce": "0", "net.ipv4.conf.eth0.arp_ignore": "0",
    "net.ipv4.conf.eth0.force_igmp_version": "0", "net.ipv4.conf.eth0.rp_filter": "1", "net.ipv4.igmp_max_memberships": "20",
    "net.ipv4.ip_early_demux": "1", "net.ipv4.ip_local_port_range": "32768\t60999",
    "net.ipv4.neigh.default.base_reachable_time_ms": "30000", "net.ipv4.neigh.default.gc_stale_time": "60",
    "net.ipv4.tcp_autocorking": "1", "net.ipv4.tcp_congestion_control": "cubic", "net.ipv4.tcp_dsack": "1",
    "net.ipv4.tcp_fastopen": "1", "net.ipv4.tcp_fin_timeout": "60", "net.ipv4.tcp_low_latency": "0",
    "net.ipv4.tcp_mtu_probing": "0", "net.ipv4.tcp_no_metrics_save": "0", "net.ipv4.tcp_notsent_lowat": "4294967295",
    "net.ipv4.tcp_rmem": "4096\t131072\t6291456", "net.ipv4.tcp_sack": "1", "net.ipv4.tcp_slow_start_after_idle": "1",
    "net.ipv4.tcp_timestamps": "1", "net.ipv4.tcp_tw_reuse": "2", "net.ipv4.tcp_wmem": "4096\t16384\t4194304",
    "net.ipv4.udp_early_demux": "1", "net.ipv4.udp_mem": "763452\t1017937\t1526904", "net.ipv4.udp_rmem_min": "4096",
}  # fmt: skip
CONFIG = (
    "CPU_ISOLATION NO_HZ_FULL RCU_NOCB_CPU GENERIC_IRQ_EFFECTIVE_AFF_MASK HUGETLBFS TRANSPARENT_HUGEPAGE NUMA_BALANCING CPUSETS "
    "NET_RX_BUSY_POLL BPF_JIT XDP_SOCKETS PREEMPT_DYNAMIC X86_AMD_PSTATE X86_INTEL_PSTATE X86_MCE INTEL_IDLE ACPI_PROCESSOR "
    "SOFTLOCKUP_DETECTOR HARDLOCKUP_DETECTOR AUDIT PCIEASPM INTEL_IOMMU AMD_IOMMU IOMMU_SUPPORT SMP CPU_FREQ CPU_IDLE "
    "CPU_MITIGATIONS HPET_TIMER X86_BUS_LOCK_DETECT INIT_ON_ALLOC_DEFAULT_ON HIGH_RES_TIMERS DETECT_HUNG_TASK SCHED_AUTOGROUP KSM"
)
CMDLINE = f"BOOT_IMAGE=/boot/vmlinuz-{RELEASE} root=UUID=1f4e5d2c-9d1b-4a55-8f0e-3f3b8c1c5a10 ro quiet"
STATES = [("POLL", 0), ("C1", 1), ("C1E", 4), ("C6", 170)]
# (thread, its name, CPUs, kernel thread, may not be moved)
THREADS = [
    (1, "systemd", "0-7", False, False), (2, "kthreadd", "0-7", True, False), (16, "rcu_preempt", "0-7", True, False),
    (22, "ksoftirqd/2", "2", True, True), (24, "kworker/2:0", "2", True, True), (30, "rcuop/2", "0-7", True, False),
    (41, "kcompactd0", "0-1,4-5", True, False), (612, "systemd-journal", "0-7", False, False), (840, "sshd", "0-7", False, False),
    (900, "chronyd", "0-7", False, False),
]  # fmt: skip


def _cpu(files: dict[str, str], links: dict[str, str]) -> None:
    base = "/sys/devices/system/cpu"
    files |= {f"{base}/{name}": "0-7" for name in ("online", "possible", "present")}
    files |= {f"{base}/{name}": "" for name in ("offline", "isolated", "nohz_full")}
    files |= {f"{base}/smt/control": "on", f"{base}/smt/active": "1", f"{base}/cpufreq/boost": "1"}
    files |= {f"{base}/cpuidle/current_driver": "intel_idle", f"{base}/cpuidle/current_governor": "menu"}
    files[f"{base}/cpuidle/available_governors"] = "menu teo haltpoll"
    for name, text in (("meltdown", "Not affected"), ("spectre_v2", "Mitigation: Enhanced / Automatic IBRS"),
                       ("mds", "Not affected")):  # fmt: skip
        files[f"{base}/vulnerabilities/{name}"] = text
    for cpu in range(CPUS):
        here, core = f"{base}/cpu{cpu}", cpu % 4
        node = next(number for number, cpus in NODES.items() if cpu in cpus)
        siblings = f"{core},{core + 4}"
        files |= {
            f"{here}/topology/thread_siblings_list": siblings, f"{here}/topology/core_id": str(core % 2),
            f"{here}/topology/core_cpus_list": siblings,
            f"{here}/topology/physical_package_id": str(node), f"{here}/topology/die_id": "0",
            f"{here}/cache/index0/level": "1", f"{here}/cache/index0/type": "Data",
            f"{here}/cache/index0/size": "48K", f"{here}/cache/index0/shared_cpu_list": siblings,
            f"{here}/cache/index2/level": "2", f"{here}/cache/index2/type": "Unified",
            f"{here}/cache/index2/size": "2048K", f"{here}/cache/index2/shared_cpu_list": siblings,
            f"{here}/cache/index3/level": "3", f"{here}/cache/index3/type": "Unified",
            f"{here}/cache/index3/size": "36864K", f"{here}/cache/index3/shared_cpu_list": ",".join(map(str, NODES[node])),
            f"{here}/cpufreq/scaling_driver": "acpi-cpufreq", f"{here}/cpufreq/scaling_governor": "schedutil",
            f"{here}/cpufreq/scaling_available_governors": "performance schedutil powersave",
            f"{here}/cpufreq/scaling_min_freq": "800000", f"{here}/cpufreq/scaling_max_freq": "3600000",
            f"{here}/cpufreq/cpuinfo_min_freq": "800000", f"{here}/cpufreq/cpuinfo_max_freq": "3600000",
            f"{here}/cpufreq/scaling_cur_freq": "2400000",
            f"{here}/cpufreq/energy_performance_preference": "balance_performance",
            f"{here}/power/energy_perf_bias": "6", f"{here}/power/pm_qos_resume_latency_us": "0",
            f"/sys/devices/system/machinecheck/machinecheck{cpu}/ignore_ce": "0",
            f"/sys/devices/system/machinecheck/machinecheck{cpu}/check_interval": "300",
        }  # fmt: skip
        if cpu:
            files[f"{here}/online"] = "1"
        # what udev finds a CPU by
        files[f"{here}/uevent"] = "DRIVER=processor\nMODALIAS=cpu:type:x86,ven0000fam0006mod006A"
        links[f"{here}/subsystem"] = "../../../../bus/cpu"
        links[f"/sys/bus/cpu/devices/cpu{cpu}"] = f"../../../devices/system/cpu/cpu{cpu}"
        for number, (name, latency_us) in enumerate(STATES):
            state = f"{here}/cpuidle/state{number}"
            files |= {f"{state}/name": name, f"{state}/latency": str(latency_us), f"{state}/disable": "0"}
            files |= {f"{state}/usage": str(1000 + 100 * cpu + number), f"{state}/time": "123456"}
        links[f"{here}/node{node}"] = f"../../node/node{node}"
    for node, cpus in NODES.items():
        here = f"/sys/devices/system/node/node{node}"
        files |= {
            f"{here}/cpulist": f"{cpus[0]}-{cpus[1]},{cpus[2]}-{cpus[3]}",
            f"{here}/distance": "10 21" if node == 0 else "21 10",
        }
        files[f"{here}/meminfo"] = f"Node {node} MemTotal:       98304000 kB\nNode {node} MemFree:        90112000 kB"
        for size in ("2048", "1048576"):
            for name in ("nr_hugepages", "free_hugepages", "surplus_hugepages"):
                files[f"{here}/hugepages/hugepages-{size}kB/{name}"] = "0"
    flags = "fpu tsc msr constant_tsc nonstop_tsc tsc_reliable rdtscp avx2 avx512f"
    files["/proc/cpuinfo"] = "\n\n".join(
        f"processor\t: {cpu}\nvendor_id\t: GenuineIntel\nmodel name\t: Made Processor 8-way @ 3.60GHz\n"
        f"microcode\t: 0x2b000590\nflags\t\t: {flags}"
        for cpu in range(CPUS)
    )


def _kernel(files: dict[str, str], links: dict[str, str]) -> None:
    files |= {"/proc/sys/" + name.replace(".", "/"): value for name, value in SYSCTLS.items()}
    files |= {
        "/proc/cmdline": CMDLINE, "/proc/sys/kernel/osrelease": RELEASE, "/proc/sys/kernel/random/boot_id": BOOT_ID,
        "/proc/sys/kernel/hostname": "made", "/proc/sys/kernel/version": "#1 SMP PREEMPT_DYNAMIC", "/proc/sys/kernel/tainted": "0",
        "/proc/meminfo": "MemTotal:       196608000 kB\nMemFree:        180224000 kB\nHugePages_Total:       0\n"
        "HugePages_Free:        0\nHugepagesize:       2048 kB",
        "/proc/swaps": "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/nvme0n1p3\tpartition\t8388604\t0\t\t-2",
        "/proc/mounts": "sysfs /sys sysfs rw 0 0\nproc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"
        "/dev/nvme0n1p2 / ext4 rw,relatime,errors=remount-ro 0 0",
        "/proc/loadavg": "0.10 0.12 0.09 1/420 4711", "/proc/uptime": "86400.00 600000.00",
        "/proc/stat": "\n".join(f"cpu{cpu} 100 0 100 8000 10 0 5 0 0 0" for cpu in range(CPUS)),
        "/sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never",
        "/sys/kernel/mm/transparent_hugepage/defrag": "always defer defer+madvise [madvise] never",
        "/sys/kernel/mm/transparent_hugepage/khugepaged/defrag": "1",
        "/sys/kernel/mm/ksm/run": "0", "/sys/kernel/mm/lru_gen/enabled": "0x0007",
        "/sys/kernel/rcu_normal": "0", "/sys/kernel/rcu_expedited": "0",
        "/sys/devices/virtual/workqueue/cpumask": MASK_ALL,
        "/sys/devices/virtual/workqueue/writeback/cpumask": MASK_ALL,
        "/sys/devices/virtual/workqueue/writeback/numa": "1",
        "/sys/devices/virtual/workqueue/blkcg_punt_bio/cpumask": MASK_ALL,
        "/sys/devices/virtual/workqueue/nvme-wq/cpumask": MASK_ALL,
        "/sys/module/workqueue/parameters/cpu_intensive_thresh_us": "10000",
        "/sys/module/workqueue/parameters/power_efficient": "N",
        "/sys/module/pcie_aspm/parameters/policy": "[default] performance powersave powersupersave",
        "/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
        "/sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm",
        "/dev/cpu_dma_latency": "2000000000",
        f"/boot/config-{RELEASE}": "\n".join(f"CONFIG_{name}=y" for name in CONFIG.split()) + "\n# CONFIG_PREEMPT_RT is not set\n"
        "# CONFIG_CMDLINE_BOOL is not set\nCONFIG_HZ=250\nCONFIG_NR_CPUS=8192",
        "/etc/default/grub": 'GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""',
        "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"',
        "/etc/sysctl.d/99-site.conf": "# the site's own\nvm.overcommit_memory = 0",
        "/usr/lib/sysctl.d/50-default.conf": "-net.ipv4.conf.all.rp_filter = 0",
        "/sys/block/nvme0n1/queue/scheduler": "[none] mq-deadline kyber", "/sys/block/nvme0n1/queue/nomerges": "0",
        "/sys/block/nvme0n1/queue/rq_affinity": "1", "/sys/block/nvme0n1/queue/add_random": "0",
        "/sys/block/nvme0n1/queue/iostats": "1", "/sys/block/nvme0n1/queue/read_ahead_kb": "128",
        "/sys/block/nvme0n1/queue/nr_requests": "1023", "/sys/block/nvme0n1/queue/wbt_lat_usec": "2000",
        "/sys/block/nvme0n1/device/model": "Made SSD", "/sys/firmware/acpi/platform_profile": "balanced",
        "/sys/firmware/acpi/platform_profile_choices": "low-power balanced performance",
        "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids",
        "/sys/fs/cgroup/cgroup.subtree_control": "cpu io memory pids", "/sys/fs/cgroup/cpuset.cpus.isolated": "",
        "/sys/fs/cgroup/system.slice/chrony.service/cgroup.procs": "900",
    }  # fmt: skip
    for name in ("writeback", "blkcg_punt_bio", "nvme-wq"):
        links[f"/sys/bus/workqueue/devices/{name}"] = f"../../../devices/virtual/workqueue/{name}"
    for tid, name, cpus, is_kernel, is_bound in THREADS:
        flags = (0x00200000 if is_kernel else 0) | (0x04000000 if is_bound else 0)
        stat = f"{tid} ({name}) S {2 if is_kernel and tid != 2 else 0} 0 0 0 -1 {flags} " + "0 " * 12 + f"{tid * 7} 0 0"
        bits = sum(1 << cpu for part in cpus.split(",") for cpu in _range(part))
        status = (
            f"Name:\t{name}\nState:\tS (sleeping)\nTgid:\t{tid}\nPid:\t{tid}\nPPid:\t{2 if is_kernel and tid != 2 else 0}\n"
            f"Uid:\t0\t0\t0\t0\nCpus_allowed:\t{bits:02x}\nCpus_allowed_list:\t{cpus}\nvoluntary_ctxt_switches:\t10"
        )
        for folder in (f"/proc/{tid}", f"/proc/{tid}/task/{tid}"):
            files |= {f"{folder}/stat": stat, f"{folder}/comm": name}
        files |= {f"/proc/{tid}/status": status, f"/proc/{tid}/cmdline": "" if is_kernel else f"/usr/sbin/{name}"}


def _range(part: str) -> range:
    low, _, high = part.partition("-")
    return range(int(low), int(high or low) + 1)


def _irqs(files: dict[str, str], driver: str, queues: int) -> None:
    _, _, _, action, others = DRIVERS[driver]
    rows = [(1, "i8042", "0-7"), (9, "acpi", "0-7"), (16, "ehci_hcd:usb1", "0-7")]
    rows += [
        (20 + n, f"nvme0q{n}", str(n) if n else "0-7") for n in range(5)
    ]  # managed: their CPUs are the driver's choice
    rows += [(90 + at, name, "0-7") for at, name in enumerate(others)]
    rows += [(100 + n, action.format(n=n), str(n % CPUS)) for n in range(queues)]
    lines = [" " * 11 + "".join(f"CPU{cpu:<8}" for cpu in range(CPUS))]
    for irq, name, cpus in rows:
        listed = [cpu for part in cpus.split(",") for cpu in _range(part)]
        files |= {
            f"/proc/irq/{irq}/smp_affinity": f"{sum(1 << cpu for cpu in listed):02x}", f"/proc/irq/{irq}/smp_affinity_list": cpus,
            f"/proc/irq/{irq}/effective_affinity": f"{1 << listed[0]:02x}",
            f"/proc/irq/{irq}/effective_affinity_list": str(listed[0]),
            f"/proc/irq/{irq}/affinity_hint": "00", f"/proc/irq/{irq}/node": str(NIC_NODE if irq >= 90 else 0),
            f"/proc/irq/{irq}/{name.replace('/', '!')}/.keep": "",
            f"/sys/kernel/irq/{irq}/actions": name, f"/sys/kernel/irq/{irq}/chip_name": "IR-PCI-MSI",
        }  # fmt: skip
        counts = "".join(f"{1000 * (irq % 7) if cpu == listed[0] else 0:>11}" for cpu in range(CPUS))
        lines.append(f"{irq:>4}:{counts}  IR-PCI-MSI {irq}-edge      {name}")
        if irq >= 90:
            files[f"/sys/devices/pci0000:80/{PCI}/msi_irqs/{irq}"] = "msix"
    files["/proc/interrupts"] = "\n".join(lines)
    files["/proc/irq/default_smp_affinity"] = MASK_ALL


def _nic(files: dict[str, str], links: dict[str, str], driver: str, queues: int) -> None:
    _, ids, _, _, _ = DRIVERS[driver]
    device, vendor = f"/sys/devices/pci0000:80/{PCI}", ids.split()
    net = f"{device}/net/eth0"
    files |= {
        f"{device}/numa_node": str(NIC_NODE), f"{device}/local_cpulist": "2-3,6-7", f"{device}/vendor": vendor[0],
        f"{device}/device": vendor[1], f"{device}/class": "0x020000", f"{device}/power/control": "auto",
        f"{device}/current_link_speed": "16.0 GT/s PCIe", f"{device}/max_link_speed": "16.0 GT/s PCIe",
        f"{device}/current_link_width": "16", f"{device}/max_link_width": "16", f"{device}/d3cold_allowed": "1",
        f"{device}/link/l1_aspm": "1",
        f"{device}/uevent": f"DRIVER={driver}\nPCI_SLOT_NAME={PCI}", f"{net}/address": "b8:ce:f6:00:00:01", f"{net}/mtu": "1500",
        f"{net}/operstate": "up", f"{net}/carrier": "1", f"{net}/speed": "100000", f"{net}/duplex": "full", f"{net}/ifindex": "2",
        f"{net}/tx_queue_len": "1000", f"{net}/gro_flush_timeout": "0", f"{net}/napi_defer_hard_irqs": "0",
        f"{net}/threaded": "0", f"{net}/type": "1", f"{net}/flags": "0x1003", f"/sys/module/{driver}/version": "6.12.9",
    }  # fmt: skip
    for queue in range(queues):
        files |= {f"{net}/queues/rx-{queue}/rps_cpus": "00", f"{net}/queues/rx-{queue}/rps_flow_cnt": "0"}
        files[f"{net}/queues/tx-{queue}/xps_rxqs"] = "0"
        if queues > 1:
            files[f"{net}/queues/tx-{queue}/xps_cpus"] = f"{1 << queue % CPUS:02x}"
    links["/sys/class/net/eth0"] = f"../../devices/pci0000:80/{PCI}/net/eth0"
    links[f"{net}/device"] = f"../../../{PCI}"
    links[f"{device}/driver"] = f"../../../bus/pci/drivers/{driver}"
    links[f"/sys/bus/pci/devices/{PCI}"] = f"../../../devices/pci0000:80/{PCI}"
    facts = {"driver.name": driver, "driver.firmware": DRIVERS[driver][0], "driver.bus": PCI}
    files |= {f"/.hwgw-nic/eth0/{name}": value for name, value in (SETTINGS[driver] | facts).items()}
    files["/sys/class/net/lo/operstate"] = "unknown"
    files[f"/sys/bus/pci/drivers/{driver}/uevent"] = ""


def make(
    folder: Path, driver: str = "mlx5_core", *, queues: int | None = None, files: dict[str, str | None] | None = None
) -> Path:
    """Write a host to an empty or new folder; files add to it, or with None take away."""
    texts: dict[str, str] = {}
    links: dict[str, str] = {}
    cnt = DRIVERS[driver][2] if queues is None else queues
    _cpu(texts, links)
    _kernel(texts, links)
    _irqs(texts, driver, cnt)
    _nic(texts, links, driver, cnt)
    for path, text in (files or {}).items():
        if text is None:
            texts.pop(path)
        else:
            texts[path] = text
    for path, text in texts.items():
        local = folder / path.lstrip("/")
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_text(text + "\n", encoding="utf-8")
    for path, target in links.items():
        local = folder / path.lstrip("/")
        local.parent.mkdir(parents=True, exist_ok=True)
        local.symlink_to(target)
    managed = {f"/proc/irq/{irq}/smp_affinity*": "EPERM" for irq in range(21, 25)}
    (folder / ".hwgw-made.json").write_text(json.dumps({"refuse": managed}), encoding="utf-8")
    return folder


def snapshot(folder: Path, leave_out: tuple[str, ...] = ("var/lib/hwgw",)) -> dict[str, bytes]:
    """Every file and link of a tree by its path, byte for byte; directories too."""
    found: dict[str, bytes] = {}
    base = str(folder)
    for here, folders, names in os.walk(base):
        inside = here[len(base) + 1 :]
        folders[:] = [name for name in folders if f"{inside}/{name}" not in leave_out]
        for name in [*names, *folders]:
            path = f"{here}/{name}"
            if os.path.islink(path):  # noqa: PTH114 (this runs some hundred thousand times)
                found[path[len(base) + 1 :]] = str(Path(path).readlink()).encode()
            elif name in names and name != made.PART:
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                    found[path[len(base) + 1 :]] = file.read()
    return found


def process(
    folder: Path, pid: int, name: str, *, parent: int = 1, cpus: str = "0-7", started: int | None = None
) -> None:
    """Let a process be on a made host."""
    started = pid * 7 if started is None else started
    bits = sum(1 << cpu for part in cpus.split(",") for cpu in _range(part))
    stat = f"{pid} ({name}) S {parent} 0 0 0 -1 0 " + "0 " * 12 + f"{started} 0 0"
    status = f"Name:\t{name}\nPid:\t{pid}\nPPid:\t{parent}\nCpus_allowed:\t{bits:02x}\nCpus_allowed_list:\t{cpus}"
    for base in (f"proc/{pid}", f"proc/{pid}/task/{pid}"):
        (folder / base).mkdir(parents=True)
        for what, text in (("stat", stat), ("status", status), ("comm", name), ("cmdline", f"/usr/sbin/{name}")):
            (folder / base / what).write_text(text + "\n", encoding="utf-8")
