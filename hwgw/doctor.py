"""What this machine can and cannot do for hwgw: one row per fact, and what to do about it.

SPDX-License-Identifier: MIT

Facts are read from /proc and /sys and changed nowhere. AF_XDP is really tried: in a network namespace of its own, with
packets over its loopback device, in a process that ends with the try.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import resource
import shutil
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from . import native
from .errors import HwgwError

__all__ = ["FAIL", "OK", "WARN", "Row", "capabilities", "examine", "huge_pages", "privileges"]

OK, WARN, FAIL = "ok", "warn", "fail"
# Linux 5.10 is the first long-term kernel with need-wakeup, bpf_link for XDP and preferred busy polling close by
KERNEL_MIN = (5, 10)
PROBE_FRAMES = 100
UMEM_MIB_WITHOUT_IPC_LOCK = 8
# linux/capability.h; those that a data process may use
CAPABILITIES = {"net_admin": 12, "net_raw": 13, "ipc_lock": 14, "sys_admin": 21, "sys_nice": 23, "bpf": 39}
SIOCSIFFLAGS, SIOCSIFMTU, IFF_UP_RUNNING = 0x8914, 0x8922, 0x41


@dataclass(frozen=True, slots=True)
class Row:
    """One fact: ok, warn (works, but less) or fail (hwgw does not work); todo says what would help."""

    name: str
    status: str
    value: str
    todo: str = ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _kernel() -> Row:
    release = platform.release()
    match = re.match(r"(\d+)\.(\d+)", release)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    todo = "" if version >= KERNEL_MIN else f"Linux {KERNEL_MIN[0]}.{KERNEL_MIN[1]} or newer for the AF_XDP backend"
    return Row("kernel", WARN if todo else OK, f"Linux {release}", todo)


def _cpu() -> list[Row]:
    info = _read("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.*)$", info, re.MULTILINE)
    usable = sorted(os.sched_getaffinity(0))
    rows = [
        Row(
            "cpu",
            WARN if len(usable) < 2 else OK,
            f"{model[1] if model else 'unknown'}, {len(usable)} of {os.cpu_count()} cores usable",
            "two cores: one for the pipeline, one for everything else" if len(usable) < 2 else "",
        )
    ]
    flags = set((re.search(r"^flags\s*: (.*)$", info, re.MULTILINE) or ["", ""])[1].split())
    lacks = [flag for flag in ("constant_tsc", "nonstop_tsc") if flag not in flags]
    rate_mhz = native.lib.hwgw_ticks_hz() / 1e6
    rows.append(
        Row(
            "tsc",
            FAIL if lacks else OK,
            f"{rate_mhz:.1f} MHz, {'without ' + ', '.join(lacks) if lacks else 'constant, nonstop'}",
            "times and stale checks would be wrong: use a machine (or a VM type) with an invariant TSC"
            if lacks
            else "",
        )
    )
    source = _read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    fast = source in ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page")
    todo = "" if fast else "the kernel does not trust the TSC; look for 'clocksource' in its log"
    rows.append(Row("clocksource", OK if fast else WARN, source or "unknown", todo))
    isolated = _read("/sys/devices/system/cpu/isolated")
    todo = (
        "" if isolated else "for steady latency boot with isolcpus=, nohz_full= and rcu_nocbs= for the pipeline's core"
    )
    rows.append(Row("isolated cpus", OK if isolated else WARN, isolated or "none", todo))
    return rows


def _build() -> Row:
    build = native.build()
    value = f"native module {build['version']}, {build['march']}, {build['compiler']}"
    if build["xdp_missing"]:
        return Row("build", WARN, f"{value}, without AF_XDP: {build['xdp_missing']}", "install clang and build again")
    return Row("build", OK, f"{value}, with AF_XDP")


def capabilities() -> set[str]:
    """The effective capabilities of this process, those of CAPABILITIES."""
    mask = re.search(r"^CapEff:\s*([0-9a-f]+)$", _read("/proc/self/status"), re.MULTILINE)
    bits = int(mask[1], 16) if mask else 0
    return {name for name, bit in CAPABILITIES.items() if bits >> bit & 1}


def privileges() -> list[Row]:
    """Who runs this, and how much memory it may pin."""
    have = capabilities()
    who = "root" if os.geteuid() == 0 else f"uid {os.geteuid()}"
    lacks = [name for name in ("net_raw", "net_admin", "bpf", "ipc_lock", "sys_nice") if name not in have]
    todo = (
        f"AF_XDP, pinned memory and SCHED_FIFO want {', '.join('CAP_' + name.upper() for name in lacks)}"
        if lacks
        else ""
    )
    rows = [Row("privileges", WARN if lacks else OK, f"{who}, {', '.join(sorted(have)) or 'no capabilities'}", todo)]
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    enough = soft == resource.RLIM_INFINITY or "ipc_lock" in have or soft >= UMEM_MIB_WITHOUT_IPC_LOCK << 20
    shown = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft >> 10} KiB"
    value = shown + (", not counted with CAP_IPC_LOCK" if "ipc_lock" in have else "")
    todo = "" if enough else f"raise memlock to {UMEM_MIB_WITHOUT_IPC_LOCK} MiB or more (limits.conf, LimitMEMLOCK=)"
    rows.append(Row("memlock", OK if enough else WARN, value, todo))
    return rows


def huge_pages() -> list[Row]:
    """Huge pages, for books and packet memory."""
    info = dict(re.findall(r"^(\w+):\s+(\d+)", _read("/proc/meminfo"), re.MULTILINE))
    free, total, size = (int(info.get(key, "0")) for key in ("HugePages_Free", "HugePages_Total", "Hugepagesize"))
    todo = "" if total else "for large books: sysctl vm.nr_hugepages=512"
    return [Row("huge pages", OK if total else WARN, f"{free} of {total} free, {size} KiB each", todo)]


def _memory() -> list[Row]:
    rows = huge_pages()
    shm = Path("/dev/shm")  # noqa: S108 (the segment's place)
    if not os.access(shm, os.W_OK | os.X_OK):
        return [
            *rows,
            Row("shared memory", FAIL, "not writable", "the shared segment lives there: mount a tmpfs on it"),
        ]
    stat = os.statvfs(shm)
    free_mib = stat.f_bavail * stat.f_frsize >> 20
    todo = "" if free_mib >= 16 else "a gateway's segment takes some MiB: remove what fills it, or remount it larger"
    return [*rows, Row("shared memory", OK if free_mib >= 16 else FAIL, f"{free_mib} MiB free", todo)]


def _programs() -> list[Row]:
    rows = []
    for name, package, cost in (
        ("ip", "iproute2", "hwgw demo has no network namespaces and uses loopback"),
        ("ethtool", "ethtool", "interface settings cannot be read or changed"),
    ):
        found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        rows.append(
            Row(name, OK if found else WARN, found or "not found", "" if found else f"{cost}: install {package}")
        )
    return rows


def _backends() -> list[Row]:
    rows = []
    for backend in native.backends():
        if backend.name == "afxdp" and backend.available:
            rows.append(_afxdp())
        elif backend.available:
            rows.append(Row(f"backend {backend.name}", OK, "available"))
        else:
            rows.append(Row(f"backend {backend.name}", WARN, "not available", backend.reason))
    return rows


def _afxdp() -> Row:
    name = "backend afxdp"
    if "sys_admin" not in capabilities() or not shutil.which("unshare"):
        return Row(
            name, WARN, "not tried", "trying it takes CAP_SYS_ADMIN and unshare(1), for a network namespace of its own"
        )
    command = ["unshare", "-n", sys.executable, "-P", "-c", "from hwgw.doctor import probe; probe()"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return Row(name, WARN, "the try did not end within 20 s", "use the udp backend; look at the kernel's log")
    except ValueError:
        reason = done.stderr.strip().rsplit("\n", 1)[-1]
        return Row(name, WARN, f"the try ended with {done.returncode}", reason or "look at the kernel's log")
    if answer["error"]:
        return Row(name, WARN, "cannot be opened", answer["error"])
    value = f"{answer['received']} of {answer['sent']} packets over a loopback device, {answer['describe']}"
    if answer["received"] != answer["sent"]:
        return Row(name, WARN, value, "packets are lost here: use the udp backend")
    return Row(name, OK, value)


def probe() -> None:
    """Send packets to ourselves through AF_XDP and print what came of it; runs in a network namespace of its own."""
    result = {"sent": PROBE_FRAMES, "received": 0, "describe": "", "error": ""}
    try:
        result["describe"], result["received"] = _probe()
    except (HwgwError, OSError) as error:
        result["error"] = str(error)
    print(json.dumps(result))


def _probe() -> tuple[str, int]:
    ffi, lib = native.ffi, native.lib
    port, local = 26400, 0x7F000001
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        fcntl.ioctl(sender, SIOCSIFMTU, struct.pack("16si20x", b"lo", 1500))
        fcntl.ioctl(sender, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP_RUNNING))
        flows = ffi.new("struct hwgw_flow[1]", [{"group": local, "port": port}])
        words = {
            key: ffi.new("char[]", word)
            for key, word in (("backend", b"afxdp"), ("interface", b"lo"), ("mode", b"auto"))
        }
        cfg = ffi.new("struct hwgw_rx_cfg *", {**words, "flow_cnt": 1, "flows": flows})
        rx = ffi.new("struct hwgw_rx **")
        native.call(lib.hwgw_rx_open, rx, cfg)
        try:
            describe = native.text(lib.hwgw_rx_describe(rx[0]))
            for number in range(PROBE_FRAMES):
                sender.sendto(number.to_bytes(4, "big"), ("127.0.0.1", port))
            frames = ffi.new("struct hwgw_frame[]", PROBE_FRAMES)
            received, end = 0, time.monotonic() + 2
            while received < PROBE_FRAMES and time.monotonic() < end:
                received += lib.hwgw_rx_poll(rx[0], frames, PROBE_FRAMES)
                lib.hwgw_rx_release(rx[0])
            return describe, received
        finally:
            lib.hwgw_rx_close(rx[0])


def examine() -> tuple[Row, ...]:
    """Every row, in the order in which one would mend them."""
    from .doctor_placement import examine as placement

    return (_kernel(), *_cpu(), _build(), *privileges(), *placement(), *_memory(), *_programs(), *_backends())
