"""The lab: two namespaces and a wire that carry feed and orders, and leave nothing behind however it ends.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hwgw_sim.exchange import ExchangeProcess
from hwgw_sim.golden import mold
from hwgw_sim.lab import CLONE_NEWNET, SO_NETNS_COOKIE, Lab, Namespace
from support.ouch_client import OuchClient, enter

from hwgw.errors import ConfigError

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip (Debian package iproute2)"),
]

GROUP, PORT = "233.54.12.111", 26477


def cookie_of(path: str) -> int:
    """The cookie of the namespace that this file is; inodes are given again, to the lab of somebody else too."""
    found: list[int] = []

    def look() -> None:
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDONLY)
            result = ctypes.CDLL(None).setns(fd, CLONE_NEWNET)
            os.close(fd)
            if result == 0:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    raw = sock.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8)
                    found.append(int.from_bytes(raw, sys.byteorder))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0] if found else 0


def keepers(inode: int, cookie: int) -> list[str]:
    """What keeps a network namespace: processes inside and descriptors of it, as files of /proc."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        links = [process / "ns" / "net"]
        with contextlib.suppress(OSError):  # processes end while we look
            links += (process / "fd").iterdir()
        for link in links:
            with contextlib.suppress(OSError):
                if str(link.readlink()) == f"net:[{inode}]" and cookie_of(str(link)) == cookie:
                    found.append(str(link))
    return found


def inside(pid: int, inode: int, cookie: int) -> bool:
    return f"/proc/{pid}/ns/net" in keepers(inode, cookie)


def gone(inode: int, cookie: int, within_s: float = 5.0) -> bool:
    """Nothing keeps the namespace: no process is in it and no descriptor holds it."""
    deadline = time.monotonic() + within_s
    while keepers(inode, cookie):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def links() -> set[str]:
    done = subprocess.run(["ip", "-j", "link", "show"], capture_output=True, check=True, timeout=10)
    return {link["ifname"] for link in json.loads(done.stdout)}


def describe(side: Namespace) -> dict[str, object]:
    done = side.run(["ip", "-d", "-j", "link", "show", "dev", side.interface], capture_output=True, check=True)
    described: dict[str, object] = json.loads(done.stdout)[0]
    return described


def test_feed_crosses_the_wire_complete_and_every_frame_is_in_the_kernels_count() -> None:
    with Lab() as lab:
        with lab.gateway.entered():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
            sock.bind((GROUP, PORT))
            member = socket.inet_aton(GROUP) + socket.inet_aton(lab.gateway.address)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            sock.settimeout(5)
            options = [
                "--interface",
                lab.exchange.interface,
                "--listen",
                "none",
                "--rate",
                "50000",
                "--messages",
                "40000",
            ]
            channel = mold.Mold()
            frames = 0
            before = lab.gateway.statistics()["rx"]["packets"]
            with ExchangeProcess([*options, "--end-packets", "3"], popen=lab.exchange.popen) as exchange:
                while channel.counters["mold.ends"] < 3:
                    assert channel.packet(0, sock.recv(65536))[0] == "mold.frames"
                    frames += 1
                report = exchange.wait(20)
            after = lab.gateway.statistics()["rx"]["packets"]
        assert channel.counters["mold.gaps"] == 0
        assert channel.next_seq == report["messages_sent"] + 1 > 40_000
        assert frames == report["frames_sent"] == after - before


def test_orders_cross_the_wire() -> None:
    with Lab() as lab:
        options = ["--interface", lab.exchange.interface, "--listen", f"{lab.exchange.address}:0", "--depth", "0"]
        with ExchangeProcess([*options, "--symbols", "AAPL"], popen=lab.exchange.popen) as exchange:
            with pytest.raises(OSError), socket.create_connection(exchange.address, 0.2):
                pass  # the caller's own namespace has no way there
            with lab.gateway.entered():
                client = OuchClient(exchange.address)
            with client:
                client.send(enter(1, "S", 100, "AAPL", 100_0000), enter(2, "B", 100, "AAPL", 100_0000))
                client.until("E")
                client.sync()
                assert client.orders == {}
            assert exchange.stop()["orders"]["executed"] == 2


def test_wire_has_the_queues_and_mtu_asked_for_and_no_offload() -> None:
    with Lab(queues=3, mtu=4000) as lab:
        for side in (lab.exchange, lab.gateway):
            described = describe(side)
            assert (described["num_tx_queues"], described["num_rx_queues"]) == (3, 3)
            assert described["mtu"] == 4000
            assert described["operstate"] == "UP"
            assert not any(side.offload(name) for name in ("tx", "tso", "gso", "gro"))
    for settings in ({"queues": 0}, {"mtu": 100}):
        with pytest.raises(ConfigError, match="are allowed"):
            Lab(**settings)


def test_the_caller_stays_in_its_namespace_and_sees_no_interface_of_the_lab() -> None:
    before, home = links(), Path("/proc/thread-self/ns/net").stat().st_ino
    with Lab() as lab:
        with lab.gateway.entered():
            assert Path("/proc/thread-self/ns/net").stat().st_ino == lab.gateway.inode
        assert Path("/proc/thread-self/ns/net").stat().st_ino == home
        assert not {lab.exchange.interface, lab.gateway.interface} & (links() - before)
        assert len({lab.exchange.inode, lab.gateway.inode, home}) == 3


def test_labs_do_not_disturb_each_other() -> None:
    with Lab() as first, Lab() as second:
        assert first.exchange.inode != second.exchange.inode
        assert describe(first.gateway)["operstate"] == describe(second.gateway)["operstate"] == "UP"


def test_closing_ends_what_runs_in_it_and_nothing_is_left() -> None:
    with Lab() as lab:
        both = [(side.inode, side.cookie) for side in (lab.exchange, lab.gateway)]
        processes = [side.popen(["sleep", "60"]) for side in (lab.exchange, lab.gateway)]
        assert not any(gone(*identity, 0.1) for identity in both)
    assert all(process.returncode == -signal.SIGKILL for process in processes)
    assert all(gone(*identity) for identity in both)


def test_killing_either_side_leaves_the_lab_usable_and_nothing_behind() -> None:
    with Lab() as lab:
        both = [(side.inode, side.cookie) for side in (lab.exchange, lab.gateway)]
        for side in (lab.exchange, lab.gateway):
            process = side.popen(["sleep", "60"])
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait(5) == -signal.SIGKILL
            assert describe(side)["operstate"] == "UP"
    assert all(gone(*identity) for identity in both)


PARENT = """
import sys, time
from hwgw_sim.exchange import ExchangeProcess
from hwgw_sim.lab import Lab
with Lab() as lab:
    exchange = ExchangeProcess(["--interface", lab.exchange.interface, "--rate", "1000"], popen=lab.exchange.popen)
    other = lab.gateway.popen(["sleep", "60"])
    print(exchange.process.pid, other.pid, lab.exchange.inode, lab.exchange.cookie, lab.gateway.inode,
          lab.gateway.cookie, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_nothing_is_left_when_the_parent_is_killed(number: signal.Signals) -> None:
    before = links()
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        exchange, other, *identities = map(int, parent.stdout.readline().split())
        both = [(identities[0], identities[1]), (identities[2], identities[3])]
        assert inside(exchange, *both[0])
        assert inside(other, *both[1])
        parent.send_signal(number)
        parent.wait(10)
    assert all(gone(*identity) for identity in both)
    assert links() <= before | {"lo"}


def test_without_privilege_the_error_says_what_is_missing() -> None:
    script = "from hwgw_sim.lab import Lab\nprint(Lab.missing())\nLab()"
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("hwgw.errors.PrivilegeError: lab: unshare(CLONE_NEWNET): Operation not permitted")
    assert "CAP_NET_ADMIN" in last
    assert done.stdout.startswith("unshare(CLONE_NEWNET): Operation not permitted")
    assert Lab.missing() == ""


def test_a_missing_program_is_named() -> None:
    with Lab() as lab, pytest.raises(ConfigError, match="no-such-program"):
        lab.gateway.popen(["no-such-program"])
