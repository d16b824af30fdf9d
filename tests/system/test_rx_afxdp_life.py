"""The afxdp backend's life on an interface: opening, who holds it, what is left behind, what it says when it cannot.

SPDX-License-Identifier: MIT
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hwgw_sim.receiver import Receiver
from support.forked import Forked

from hwgw.errors import ConfigError, DeviceError, PrivilegeError
from hwgw.native import ffi, lib, text
from tests.support.afxdp import FLOWS, MARKS, MODES, descriptors, numbered, open_rx, program, until

pytestmark = MARKS

HOLDER = """
import os, sys, ctypes, time
ctypes.CDLL(None).setns(os.open(sys.argv[1], os.O_RDONLY), 0x40000000)
from hwgw_sim.receiver import Receiver
rx = Receiver("afxdp", [("239.1.2.3", 26400)], interface=sys.argv[2], mode=sys.argv[3])
print(rx.description, flush=True)
while True:
    rx.poll()
"""


@contextlib.contextmanager
def held(pair, mode="native", extra="", script=HOLDER):
    """Another process holds the interface."""
    command = [sys.executable, "-c", script.replace("while True", extra + "\nwhile True"), pair.path("rx")]
    holder = Forked([*command, pair.device["rx"], mode], stdout=subprocess.PIPE, text=True)
    try:
        assert f"{mode} mode" in holder.stdout.readline()
        yield holder
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.stdout.close()
        holder.wait(timeout=10)


@pytest.mark.parametrize("mode", MODES)
def test_kill_9_takes_the_program_off_and_a_second_open_works_at_once(pair, sender, mode):
    for _ in range(3):
        with held(pair, mode):
            assert program(pair)["name"] == "hwgw_steer"
            for i in range(100):
                sender.send(numbered(i))  # killed in mid-stream
        with open_rx(pair, mode) as rx:
            for i in range(100):
                sender.send(numbered(i))
            assert len(rx.settle(100)) == 100
    assert program(pair) is None


def test_a_receiver_that_dropped_every_privilege_goes_on_receiving(pair, sender):
    with open_rx(pair) as rx:
        os.seteuid(65534)
        try:
            for i in range(300):
                sender.send(numbered(i))
            assert len(rx.settle(300)) == 300
            assert rx.accounted() == 300
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("frame_cnt", [512, 4096])
def test_without_the_right_to_lock_memory_the_limit_decides_and_is_named(pair, frame_cnt):
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv (util-linux)")
    namespace = pair.path("rx")
    code = """
import os, sys, ctypes
ctypes.CDLL(None).setns(os.open(sys.argv[1], os.O_RDONLY), 0x40000000)
from hwgw_sim.receiver import Receiver
try:
    print(Receiver("afxdp", [("239.1.2.3", 26400)], interface=sys.argv[2], frame_cnt=int(sys.argv[3])).description)
except Exception as error:
    print(type(error).__name__, error)
"""
    command = ["setpriv", "--bounding-set=-ipc_lock,-sys_resource", "prlimit", f"--memlock={4 << 20}", sys.executable]
    command += ["-c", code, namespace, pair.device["rx"], str(frame_cnt)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    if frame_cnt == 512:
        assert said.startswith("afxdp: ")
    else:
        assert "PrivilegeError rx afxdp: XDP_UMEM_REG of 8192 KiB: " in said
        assert "RLIMIT_MEMLOCK is 4096 KiB: give CAP_IPC_LOCK, raise the limit (ulimit -l) or lower frame_cnt" in said
    assert program(pair) is None


def test_opening_and_closing_many_times_leaves_nothing(pair, sender):
    open_rx(pair).close()
    before = descriptors()
    for i in range(25):
        with open_rx(pair, MODES[i % 2]) as rx:
            sender.send(numbered(i))
            assert len(rx.settle(1, quiet_s=0)) == 1
    assert program(pair) is None
    assert descriptors() == before


def test_another_process_is_told_who_holds_the_interface(pair):
    with held(pair) as holder:
        for mode in ("auto", "native", "generic"):
            with pytest.raises(
                DeviceError,
                match=r'is held by XDP program "hwgw_steer" \(id \d+\) through bpf_link \d+; stop the process '
                rf"that owns it: pid {holder.pid} \(python",
            ):
                open_rx(pair, mode)
        assert program(pair) is not None


FORK = """
sys.stdout.flush()
child = os.fork()
if child == 0:
    got = sum(len(rx.poll()) for _ in range(1000))
    rx.release()
    try:
        print("child", os.getpid(), got, rx.memory, flush=True)
        time.sleep(60)
    finally:
        os._exit(0)
"""


def test_a_forked_child_receives_nothing_and_does_not_keep_the_program(pair, sender):
    with held(pair, extra=FORK) as holder:
        word, child, got, memory = holder.stdout.readline().split()
        assert (word, got, memory) == ("child", "0", "None")
        assert program(pair) is not None
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=10)
        try:
            os.kill(int(child), 0)  # lives on
            until(lambda: program(pair) is None)
            assert program(pair) is None
            with open_rx(pair) as rx:
                sender.send(numbered(0))
                assert len(rx.settle(1)) == 1
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_forked_child_that_closes_leaves_the_parent_receiving(pair, sender):
    with open_rx(pair) as rx:
        child = os.fork()
        if child == 0:
            try:
                rx.close()
                with open_rx(pair, interface="lo", mode="generic", frame_sz_bytes=4096) as own:  # its own works
                    os._exit(0 if "generic" in own.description else 1)
            except BaseException as error:
                os._exit(3 if "MTU" in str(error) else 2)
        assert os.waitpid(child, 0)[1] in (0, 3 << 8)
        for i in range(300):
            sender.send(numbered(i))
        assert len(rx.settle(300)) == rx.accounted() == 300


def test_a_program_attached_by_netlink_is_named_and_can_be_taken_off_as_told(pair, tmp_path):
    source = tmp_path / "foreign.c"
    source.write_text('__attribute__((section("xdp"), used)) int foreign(void *c) { return 2; }\n')
    made = subprocess.run(
        ["clang", "-O2", "-g", "-target", "bpf", "-c", source, "-o", tmp_path / "foreign.o"], check=False
    )
    if made.returncode:
        pytest.skip("clang cannot compile for BPF here")
    pair.run(
        "rx", "ip", "link", "set", "dev", pair.device["rx"], "xdp", "obj", str(tmp_path / "foreign.o"), "sec", "xdp"
    )
    with pytest.raises(DeviceError, match=r'held by XDP program "foreign" \(id \d+\); take it off: ip link') as caught:
        open_rx(pair)
    advice = str(caught.value).partition("take it off: ")[2]
    pair.run("rx", *advice.split())
    open_rx(pair).close()


def test_a_device_without_native_mode_falls_back_and_says_why(pair):
    pair.run("rx", "ip", "link", "set", "lo", "mtu", "1500")
    with pytest.raises(DeviceError, match="BPF_LINK_CREATE native on lo"):
        open_rx(pair, "native", interface="lo")
    with open_rx(pair, "auto", interface="lo") as rx:
        assert "generic mode (native: " in rx.description
        with pair.inside("rx"), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
            raw.bind(("lo", 0))
            for i in range(100):
                raw.send(numbered(i))
        assert len(rx.settle(100)) == rx.accounted() == 100


def test_auto_takes_native_on_veth(pair):
    with open_rx(pair, "auto") as rx:
        assert "native mode, copy" in rx.description
        assert "no zero copy (the driver has none)" in rx.description


def test_busy_poll_that_does_nothing_is_said_and_switched_off(pair, sender):
    with open_rx(pair, busy_poll_us=50) as rx:
        rx.poll()
        assert rx.stats()["wakeups"] > 0
        sender.send(numbered(0))
        rx.settle(1)
        first = rx.stats()["wakeups"]
        rx.poll()
        assert "busy poll does nothing here (no NAPI id), off" in rx.description
        assert rx.stats()["wakeups"] == first


BUSY = """
import sys
from pathlib import Path
from hwgw.native import lib
from tests.support.afxdp import numbered, until
from hwgw_sim.receiver import Receiver
lib.hwgw_fault_set(lib.HWGW_FAULT_NAPI)
for values in ((0, 0), (2, 200000)):
    for name, value in zip(("napi_defer_hard_irqs", "gro_flush_timeout"), values):
        Path(f"/sys/class/net/{sys.argv[1]}/{name}").write_text(str(value))
    with Receiver("afxdp", [("239.1.2.3", 26400)], interface=sys.argv[1], busy_poll_us=20) as rx:
        print("open", flush=True)
        until(lambda: rx.poll())
        rx.stats()
        first = rx.stats()["wakeups"]
        rx.poll()
        print(rx.stats()["wakeups"] > first, rx.description, flush=True)
"""


def test_busy_poll_needs_deferred_interrupts_and_says_how_to_have_them(pair, sender):
    """In a mount namespace whose sysfs shows the receiving end; the driver passes for one that can be busy polled."""
    device = pair.device["rx"]
    inside = f"mount -t sysfs none /sys && exec {sys.executable} -c '{BUSY}' {device}"
    command = ["nsenter", f"--net={pair.path('rx')}", "unshare", "--mount", "sh", "-c", inside]
    said = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        for _ in range(2):
            assert run.stdout.readline() == "open\n"
            sender.send(numbered(0))
            said.append(run.stdout.readline())
    assert run.returncode == 0
    path = f"/sys/class/net/{device}"
    assert said[0].startswith("True afxdp: ")
    assert said[0].endswith(
        f"; busy poll, but {device} does not hold its interrupts back: echo 2 > {path}/napi_defer_hard_irqs; "
        f"echo 200000 > {path}/gro_flush_timeout\n"
    )
    assert said[1].startswith("True afxdp: ")
    assert said[1].endswith("; busy poll\n")


HUGE_PAGES = Path("/proc/sys/vm/nr_hugepages")


def huge_kib():
    """Huge pages mapped by this process."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "_Hugetlb:" in line)


def huge_free():
    """Huge pages of the machine that nobody has."""
    return int(Path("/proc/meminfo").read_text().partition("HugePages_Free:")[2].split()[0])


@pytest.fixture
def huge_pages():
    before = int(HUGE_PAGES.read_text())
    HUGE_PAGES.write_text(str(before + 16))
    if huge_free() < 16:
        HUGE_PAGES.write_text(str(before))
        pytest.skip("no 16 free huge pages to be had")
    yield
    HUGE_PAGES.write_text(str(before))


def test_huge_pages_are_used_and_given_back_also_after_kill_9(pair, sender, huge_pages):
    free = huge_free()
    with open_rx(pair, huge_pages=True) as rx:
        assert rx.description.count("; huge pages") == 1
        assert huge_kib() == 4096 * 2048 >> 10
        for i in range(5000):
            sender.send(numbered(i))
            if i % 500 == 0:
                rx.settle(i + 1, quiet_s=0)
        rx.settle(5000)
        assert rx.stats()["frames"] == 5000
    assert huge_kib() == 0
    until(lambda: huge_free() >= free)  # the socket is taken down a moment later
    assert huge_free() >= free
    huge = HOLDER.replace("mode=sys.argv[3])", "mode=sys.argv[3], huge_pages=True)")
    with held(pair, script=huge) as holder:
        taken = free - huge_free()
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=10)
        until(lambda: huge_free() >= free)
        assert huge_free() >= free
        assert taken >= 4


def test_without_huge_pages_the_reason_is_said(pair):
    if huge_free():
        pytest.skip("there are free huge pages")
    with open_rx(pair, huge_pages=True) as rx:
        assert "; no huge pages (Cannot allocate memory; see vm.nr_hugepages)" in rx.description
    assert huge_kib() == 0


def test_set_up_errors_name_what_is_wrong(pair):
    before = descriptors()
    for settings, error, reason in [
        ({"interface": "nosuch0"}, ConfigError, 'interface "nosuch0": No such device'),
        ({"interface": ""}, ConfigError, "it needs the name of a device"),
        ({"mode": "fast"}, ConfigError, 'mode "fast"; allowed: auto, native, generic'),
        ({"queues": [7]}, ConfigError, "queue 7: Invalid argument; has the interface that queue"),
        ({"queues": [256]}, ConfigError, "queue 256; allowed: 0 to 255"),
        ({"frame_cnt": 1000}, ConfigError, "frame_cnt 1000; allowed: powers of two from 64"),
        ({"frame_sz_bytes": 1024}, ConfigError, "frame_sz_bytes 1024; allowed: powers of two from 2048 to 4096"),
    ]:
        with pytest.raises(error, match=reason):
            open_rx(pair, **settings)
    pair.run("rx", "ip", "link", "set", pair.device["rx"], "down")
    with pytest.raises(DeviceError, match="is down: ip link set"):
        open_rx(pair)
    assert program(pair) is None
    assert descriptors() == before


def test_without_privilege_the_call_and_the_remedy_are_named(pair):
    reason = ffi.new("char[200]")
    with pair.inside("rx"):
        os.seteuid(65534)
        try:
            assert not lib.hwgw_rx_available(b"afxdp", reason, 200)
            with pytest.raises(
                PrivilegeError, match=r"BPF_MAP_CREATE.*Operation not permitted; run as root or with CAP_NET_ADMIN"
            ):
                Receiver("afxdp", FLOWS, interface=pair.device["rx"])
        finally:
            os.seteuid(0)
    assert "needs root or CAP_NET_RAW" in text(reason)
