"""The machine, or a recorded or made tree in its place: the only way `hwgw tune` touches either.

SPDX-License-Identifier: MIT

Every path is named as it is on the machine (/proc/sys/vm/swappiness) and looked up under the root. With a root that is
not / nothing outside of it is read or written, symbolic links included, and no program is run; made.py does to a
written file what a kernel would. Reading takes no privilege and never raises: what cannot be read is None, why() says
why. Writing raises OSError as the kernel gives it.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import gzip
import os
import re
import shutil
import subprocess
import weakref
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import UsageError
from . import archive, made
from .cpus import Cpus, parse_list

__all__ = ["Host"]

_LINKS_MAX = 40
_RUN_TIMEOUT_S = 30
_CPU = "/sys/devices/system/cpu"


class Host:
    """A machine under a root; live is True when that is the machine this runs on."""

    def __init__(self, root: Path | str = "/") -> None:
        self.root = Path(root).resolve()
        if self.root.is_file() and archive.is_archive(self.root):
            self.root = archive.unpack(self.root)
            weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)  # with what was written to it
        if not self.root.is_dir():
            raise UsageError(f"--root {root}: no such directory; a recorded or made host tree, or /, is one")
        self.live = self.root == Path("/")
        self._rules = None if self.live else made.Rules(self.root)

    # ---- where things are ----

    def realpath(self, path: str) -> str:
        """The path without symbolic links, as it is named on the machine; links never lead out of the root."""
        if self.live:
            return os.path.realpath(path)
        pending = [part for part in path.split("/")[::-1] if part not in ("", ".")]
        base = str(self.root)
        found: list[str] = []
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                del found[-1:]
                continue
            try:
                target = os.readlink("/".join((base, *found, part)))  # noqa: PTH115 (a third of the time of a plan)
            except OSError:
                found.append(part)
                continue
            links += 1
            if links > _LINKS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                found.clear()
            pending.extend(piece for piece in target.split("/")[::-1] if piece not in ("", "."))
        return "/" + "/".join(found)

    def local(self, path: str) -> Path:
        """Where a path of the machine is on this one, links resolved inside of the root."""
        return Path(path) if self.live else Path(str(self.root) + self.realpath(path))

    def exists(self, path: str) -> bool:
        """Whether there is such a file or directory."""
        try:
            return self.local(path).exists()
        except OSError:
            return False

    def names(self, path: str) -> list[str]:
        """The names in a directory, numbers in their order; none when it is not there."""
        try:
            found = [entry.name for entry in self.local(path).iterdir()]
        except OSError:
            return []
        return sorted(found, key=lambda name: [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", name)])

    def glob(self, pattern: str) -> list[str]:
        """The paths that match; * and [..] stand for part of one name, and links to directories are followed."""
        found = ["/"]
        for part in PurePosixPath(pattern).parts[1:]:
            if not re.search(r"[*?\[]", part):
                found = [f"{base.rstrip('/')}/{part}" for base in found]
                continue
            found = [
                f"{base.rstrip('/')}/{name}"
                for base in found
                for name in self.names(base)
                if fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))
            ]
        return [path for path in found if self.exists(path)]

    # ---- reading ----

    def raw(self, path: str) -> bytes | None:
        """What is in a file, byte for byte; None when it cannot be read."""
        try:
            return self.local(path).read_bytes()
        except OSError:
            return None

    def read(self, path: str) -> str | None:
        """What is in a file without blanks around it; None when it cannot be read."""
        raw = self.raw(path)
        return None if raw is None else raw.decode("utf-8", "replace").strip("\n\0 \t")

    def why(self, path: str) -> str:
        """Why a file cannot be read; empty when it can."""
        try:
            self.local(path).read_bytes()
        except OSError as error:
            return error.strerror or str(error)
        return ""

    # ---- writing ----

    def write(self, path: str, value: str) -> None:
        """Write a value to a file of the kernel, in one system call, as `echo value > path` would."""
        local = self.local(path)
        if self._rules is not None:
            self._rules.write(self.realpath(path), value)
            return
        fd = os.open(local, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, f"{value}\n".encode())
        finally:
            os.close(fd)

    def put(self, path: str, text: str) -> None:
        """On a made host: what a file of the kernel shows from now on. The machine's own change by system calls."""
        assert self._rules is not None  # noqa: S101 (for the type checker)
        self._rules.put(path, text)

    def make_group(self, path: str) -> None:
        """A control group, if it is not there yet."""
        local = self.local(path)
        if not local.is_dir():
            local.mkdir()
            if self._rules is not None:
                self._rules.made_group(self.realpath(path))

    def remove_group(self, path: str) -> None:
        """Remove a control group without processes."""
        local = self.local(path)
        if self._rules is not None:
            self._rules.remove_group(self.realpath(path))
        local.rmdir()

    def install(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Put a whole file in place, durably: a crash leaves the old one or the new one."""
        local = self.local(path)
        local.parent.mkdir(parents=True, exist_ok=True)
        part = local.with_name(f".{local.name}.hwgw-part")
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            part.replace(local)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        self._sync(local.parent)

    def remove(self, path: str) -> None:
        """Remove a file that install() put there, durably; it may be gone already."""
        local = self.local(path)
        local.unlink(missing_ok=True)
        local.with_name(f".{local.name}.hwgw-part").unlink(missing_ok=True)
        if local.parent.is_dir():
            self._sync(local.parent)

    @staticmethod
    def _sync(folder: Path) -> None:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def run(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a program of the machine, at most 30 s; refused where the machine is a tree."""
        if not self.live:
            raise UsageError(f"{argv[0]}: no program is run under --root {self.root}, which stands for another machine")
        return subprocess.run(list(argv), capture_output=True, text=True, timeout=_RUN_TIMEOUT_S, check=False)

    @property
    def has_services(self) -> bool:
        """Whether systemd runs here and can be asked: sd_booted(3)."""
        return self.live and self.exists("/run/systemd/system")

    # ---- facts ----

    @cached_property
    def boot_id(self) -> str:
        """What tells one boot from another."""
        return self.read("/proc/sys/kernel/random/boot_id") or "unknown"

    @cached_property
    def release(self) -> str:
        """The kernel's release, such as 6.1.0-18-amd64."""
        return self.read("/proc/sys/kernel/osrelease") or "unknown"

    @cached_property
    def version(self) -> tuple[int, int]:
        """The first two numbers of the release."""
        match = re.match(r"(\d+)\.(\d+)", self.release)
        return (int(match[1]), int(match[2])) if match else (0, 0)

    @property
    def cmdline(self) -> str:
        """What the kernel was booted with."""
        return self.read("/proc/cmdline") or ""

    @cached_property
    def kernel_config(self) -> dict[str, str]:
        """The options the kernel was built with (CONFIG_NO_HZ_FULL: y), n for those that are off; empty if unknown."""
        text = ""
        if packed := self.raw("/proc/config.gz"):
            with contextlib.suppress(OSError, EOFError):
                text = gzip.decompress(packed).decode("ascii", "replace")
        text = text or self.read(f"/boot/config-{self.release}") or ""
        found = dict(re.findall(r'^(CONFIG_\w+)="?([^"\n]*)"?$', text, re.MULTILINE))
        found.update(dict.fromkeys(re.findall(r"^# (CONFIG_\w+) is not set$", text, re.MULTILINE), "n"))
        return found

    def _cpus(self, name: str) -> Cpus:
        return parse_list(self.read(f"{_CPU}/{name}") or "")

    @cached_property
    def possible(self) -> Cpus:
        """CPUs that there may be; masks are that wide."""
        return self._cpus("possible") or self.online

    @property
    def online(self) -> Cpus:
        """CPUs that are in use."""
        return self._cpus("online")

    @property
    def isolated(self) -> Cpus:
        """CPUs that the running kernel keeps out of load balancing."""
        return self._cpus("isolated")

    def siblings(self, cpu: int) -> Cpus:
        """The CPUs that share a core with this one, itself included."""
        return parse_list(self.read(f"{_CPU}/cpu{cpu}/topology/thread_siblings_list") or str(cpu)) or frozenset({cpu})

    @cached_property
    def nodes(self) -> dict[int, Cpus]:
        """The CPUs of each NUMA node."""
        found = {}
        for path in self.glob("/sys/devices/system/node/node[0-9]*"):
            found[int(path.rpartition("node")[2])] = parse_list(self.read(f"{path}/cpulist") or "")
        return found or {0: self.online}

    @cached_property
    def memory_kib(self) -> int:
        """How much memory there is."""
        match = re.search(r"^MemTotal:\s+(\d+) kB", self.read("/proc/meminfo") or "", re.MULTILINE)
        return int(match[1]) if match else 0

    def nics(self) -> list[str]:
        """Network interfaces with a device behind them."""
        return [name for name in self.names("/sys/class/net") if self.exists(f"/sys/class/net/{name}/device")]

    def nic_node(self, nic: str) -> int:
        """The NUMA node of a NIC; 0 where the firmware does not say."""
        return max(0, int(self.read(f"/sys/class/net/{nic}/device/numa_node") or "0"))

    def irqs(self) -> list[int]:
        """The numbers of the interrupts that can be steered."""
        return [int(name) for name in self.names("/proc/irq") if name.isdigit()]

    def irq_actions(self, irq: int) -> str:
        """What an interrupt is for, by the directories of /proc/irq; several share one line."""
        folder = f"/proc/irq/{irq}"
        return ",".join(part for part in self.names(folder) if self.local(f"{folder}/{part}").is_dir())

    # ---- threads ----

    def threads(self) -> Iterator[tuple[int, int]]:
        """Every thread as (process, thread); they come and go."""
        for pid in self.names("/proc"):
            if pid.isdigit():
                for tid in self.names(f"/proc/{pid}/task") or [pid]:
                    yield int(pid), int(tid)

    def status(self, tid: int) -> dict[str, str]:
        """What /proc says of a thread; empty when it is gone."""
        return dict(re.findall(r"^(\w+):[ \t]*(.*)$", self.read(f"/proc/{tid}/status") or "", re.MULTILINE))

    def started(self, tid: int) -> str:
        """When a thread began, in clock ticks since boot: with its number this tells it from a later one."""
        stat = (self.read(f"/proc/{tid}/stat") or "").rpartition(")")[2].split()
        return stat[19] if len(stat) > 19 else ""

    def pin(self, tid: int, cpus: Cpus) -> None:
        """Let a thread run on these CPUs only."""
        if self.live:
            os.sched_setaffinity(tid, cpus)
        else:
            assert self._rules is not None  # noqa: S101 (for the type checker)
            self._rules.pin(tid, cpus)

    def facts(self) -> dict[str, Any]:
        """What names this host in a record: kernel, boot, CPUs."""
        return {"release": self.release, "boot_id": self.boot_id, "cpus": len(self.online), "root": str(self.root)}
