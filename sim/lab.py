"""Two network namespaces joined by a veth pair: an exchange and a gateway, with a wire, on one machine.

SPDX-License-Identifier: MIT

    with Lab() as lab:
        exchange = lab.exchange.popen([...])
        gateway = lab.gateway.popen([...])

Nothing has to be cleaned up. The namespaces have no name in the file system: they live by a descriptor of this process
and by the processes in them. The veth pair is made inside them and never shows in the caller's namespace. Processes
started here die with the thread that started them (PR_SET_PDEATHSIG). So when the caller ends, however it ends, the
kernel removes everything. A process that a command leaves behind on its own keeps its namespace, as long as it lives.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hwgw.closing import Closing
from hwgw.errors import ConfigError, DeviceError, PrivilegeError

CLONE_NEWNET = 0x40000000
SIOCETHTOOL = 0x8946
SO_NETNS_COOKIE = 71
# (get, set) of what veth would leave to hardware that is not there: checksums stay undone, frames come in 64 KB pieces
OFFLOADS = {"tx": (0x16, 0x17), "tso": (0x1E, 0x1F), "gso": (0x23, 0x24), "gro": (0x2B, 0x2C)}
PROGRAMS = {"ip": "iproute2", "setpriv": "util-linux"}
PREFIX_LEN = 24
CARRIER_S = 10
NEEDS = "root, or CAP_SYS_ADMIN and CAP_NET_ADMIN, is needed"

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result == 0:
        return
    code = ctypes.get_errno()
    if code == errno.EPERM:
        raise PrivilegeError(f"lab: {call}: {os.strerror(code)}; {NEEDS}")
    raise DeviceError(f"lab: {call}: {os.strerror(code)}")


def _this_namespace() -> int:
    """A descriptor of the namespace that the calling thread is in."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _new_namespace() -> int:
    """A descriptor of a new network namespace; the calling thread stays where it is."""
    made: list[int] = []
    failed: list[BaseException] = []

    def make() -> None:
        try:
            _check(_libc.unshare(CLONE_NEWNET), "unshare(CLONE_NEWNET)")
            made.append(_this_namespace())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=make, name="lab")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


class Namespace:
    """One side of the lab."""

    def __init__(self, interface: str, address: str, mac: str) -> None:
        self.interface = interface
        self.address = address
        self.mac = mac
        self.fd = _new_namespace()
        self.inode = os.fstat(self.fd).st_ino
        self.cookie = self._cookie()
        self.processes: list[subprocess.Popen[Any]] = []

    def _cookie(self) -> int:
        """The kernel's number of this namespace; unlike the inode it is never given again."""
        with self.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), sys.byteorder)

    @property
    def path(self) -> str:
        """The namespace as a file, for as long as the lab is open: what `nsenter --net=` and `ip ... netns` take."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is inside; sockets opened and processes started here stay inside."""
        home = _this_namespace()
        try:
            _check(_libc.setns(self.fd, CLONE_NEWNET), f"setns({self.interface})")
            try:
                yield
            finally:
                _check(_libc.setns(home, CLONE_NEWNET), "setns back")
        finally:
            os.close(home)

    def popen(self, command: Sequence[str], *, death: str = "KILL", **options: Any) -> subprocess.Popen[Any]:
        """Start a command inside; options as for subprocess.Popen. death: its signal when the calling thread ends."""
        program = shutil.which(command[0])
        if program is None:
            raise ConfigError(f"lab: {command[0]}: there is no such program")
        # between fork and prctl the parent may have died: the shell compares, then becomes the command
        guard = ["sh", "-c", '[ "$PPID" = "$0" ] || exit 1; exec "$@"', str(os.getpid())]
        with self.entered():
            process: subprocess.Popen[Any] = subprocess.Popen(
                ["setpriv", "--pdeathsig", death, "--", *guard, program, *command[1:]], **options
            )
        self.processes.append(process)
        return process

    def run(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run a command inside to its end; options as for subprocess.run."""
        with self.entered():
            return subprocess.run(list(command), **options)

    def ip(self, *commands: str) -> None:
        """Run ip(8) commands inside; the first that fails is an error."""
        done = self.run(
            ["ip", "-batch", "-"], input="".join(f"{command}\n" for command in commands), text=True, capture_output=True
        )
        if done.returncode:
            raise DeviceError(f"lab: ip in {self.interface}: {' '.join(done.stderr.split())}")

    def statistics(self) -> dict[str, dict[str, int]]:
        """The kernel's counters of the interface: {"rx": {"packets": ...}, "tx": {...}}."""
        done = self.run(["ip", "-s", "-j", "link", "show", "dev", self.interface], capture_output=True, check=True)
        counters: dict[str, dict[str, int]] = json.loads(done.stdout)[0]["stats64"]
        return counters

    def offload(self, name: str) -> bool:
        """Whether an offload (tx, tso, gso, gro) is on."""
        return bool(self._ethtool(OFFLOADS[name][0], 0))

    def _ethtool(self, command: int, value: int) -> int:
        data = ctypes.create_string_buffer(struct.pack("=II", command, value))
        request = struct.pack("16sP", self.interface.encode(), ctypes.addressof(data))
        with self.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            fcntl.ioctl(sock, SIOCETHTOOL, request)
        return int(struct.unpack("=II", data.raw[:8])[1])

    def offloads_off(self) -> None:
        """Whole frames with their checksums, as a wire carries them."""
        for name, (_, switch) in OFFLOADS.items():
            try:
                self._ethtool(switch, 0)
            except OSError as error:
                raise DeviceError(f"lab: {self.interface}: {name} offload cannot be switched off: {error}") from error

    def without_ipv6(self) -> None:
        """No neighbour discovery on the wire: every frame there is a frame of ours."""
        with self.entered():
            for scope in ("all", "default"):
                path = Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6")
                if path.exists():
                    path.write_text("1")

    def wait_for_carrier(self) -> None:
        """Until the kernel has noticed that the link is up; before, it swallows what it is given, silently."""
        end = time.monotonic() + CARRIER_S
        while True:
            shown = self.run(["ip", "-j", "link", "show", "dev", self.interface], capture_output=True, check=True)
            link = json.loads(shown.stdout)[0]
            if link["operstate"] == "UP" and link["qdisc"] != "noop":
                return
            if time.monotonic() > end:
                raise DeviceError(f"lab: {self.interface} has no carrier after {CARRIER_S} s")
            time.sleep(0.005)

    def close(self) -> None:
        """Kill what was started here and let the namespace go."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.processes.clear()
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class Lab(Closing):
    """The two sides. queues: receive and transmit queues of each end; mtu of both; offloads: leave them on."""

    def __init__(self, *, queues: int = 1, mtu: int = 1500, offloads: bool = False) -> None:
        if not 1 <= queues <= 64:
            raise ConfigError(f"lab: queues {queues}: 1 to 64 are allowed")
        if not 576 <= mtu <= 65535:
            raise ConfigError(f"lab: mtu {mtu}: 576 to 65535 are allowed")
        for program, package in PROGRAMS.items():
            if shutil.which(program) is None:
                raise DeviceError(f"lab: {program} is missing: apt-get install {package}")
        with contextlib.ExitStack() as undo:
            self.exchange = Namespace("exchange0", "10.77.0.1", "02:77:00:00:00:01")
            undo.callback(self.exchange.close)
            self.gateway = Namespace("gateway0", "10.77.0.2", "02:77:00:00:00:02")
            undo.callback(self.gateway.close)
            self._wire(queues, mtu, offloads)
            undo.pop_all()

    @staticmethod
    def missing() -> str:
        """What keeps this process from making a lab, one line; empty when nothing does."""
        for program, package in PROGRAMS.items():
            if shutil.which(program) is None:
                return f"{program} is missing (Debian package {package})"
        try:
            os.close(_new_namespace())
        except (PrivilegeError, DeviceError) as error:
            return str(error).removeprefix("lab: ")
        return ""

    def _wire(self, queues: int, mtu: int, offloads: bool) -> None:
        ends = (self.exchange, self.gateway)
        for end in ends:
            end.without_ipv6()
        count = f"numrxqueues {queues} numtxqueues {queues}"
        left, right = (f"name {end.interface} address {end.mac} mtu {mtu} {count}" for end in ends)
        self.exchange.ip(f"link add {left} type veth peer {right} netns {self.gateway.path}")
        for end, peer in (ends, ends[::-1]):
            end.ip(
                "link set lo up",
                f"address add {end.address}/{PREFIX_LEN} dev {end.interface}",
                f"link set {end.interface} up",
                f"route add 224.0.0.0/4 dev {end.interface}",
                f"neighbour replace {peer.address} lladdr {peer.mac} dev {end.interface} nud permanent",
            )
            if not offloads:
                end.offloads_off()
        for end in ends:
            end.wait_for_carrier()

    def close(self) -> None:
        """End every process started in the lab and let the namespaces go; the kernel removes them."""
        self.exchange.close()
        self.gateway.close()
