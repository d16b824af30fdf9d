"""systemd as process 1 of namespaces of its own: real units to start and stop, nothing of this machine's touched.

SPDX-License-Identifier: MIT

    with booted(folder, {"steady.service": "[Unit]\\nDefaultDependencies=no\\n[Service]\\n..."}) as inside:
        inside("systemctl", "start", "steady.service")
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Inside = Callable[..., subprocess.CompletedProcess[str]]
_UNIFIED = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
# Nothing of this machine can be written: the root, /sys and /proc/sys are read-only there, and /run, /tmp and /var are
# empty ones of its own. Nothing of the distribution's boot is started either (no systemd-tmpfiles, which clears /tmp,
# no systemd-sysctl): the target has no default dependencies. What a helper of systemd mounts for a unit (credentials)
# its siblings see, as on a machine; nobody outside does.
_SCRIPT = """
echo $$ > "$1/cgroup.procs" || exit 3
exec unshare -m -p -u -i -n -C --fork --kill-child sh -c '
mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system || exit 4
cp "$1"/* /run/systemd/system/ || exit 5
mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /var && mount -t tmpfs tmpfs /dev/shm || exit 6
mount -t proc proc /proc && mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys || exit 7
mount -o remount,bind,ro / || exit 8
mount -o remount,bind,ro /sys || exit 9
umount -l /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 10
mount --make-rshared / || exit 11
export container=hwgw
exec /lib/systemd/systemd --system --unit=hwgw-test.target --log-target=null --show-status=no' sh "$2"
"""
_TARGET = {
    "hwgw-test.target": "[Unit]\nDefaultDependencies=no\n",
    "-.slice": "[Unit]\nDefaultDependencies=no\n",
}


def why_not() -> str:
    """Why systemd cannot be run here; empty when it may work."""
    if os.geteuid() != 0:
        return "needs root, for namespaces"
    if not Path("/lib/systemd/systemd").exists() or not shutil.which("systemctl"):
        return "systemd is not installed"
    if not any((root / "cgroup.procs").exists() for root in _UNIFIED):
        return "no control groups of version 2 here"
    return ""


def _first_child(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return None
    return int(text.split()[0]) if text.split() else None


def _remove(group: Path) -> None:
    """A control group with those below it; processes that were killed take a moment to leave."""
    end = time.monotonic() + 10
    while group.exists() and time.monotonic() < end:
        for folder in sorted(group.rglob("*/"), key=lambda path: -len(path.parts)):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            group.rmdir()
        time.sleep(0.05)


@contextlib.contextmanager
def booted(folder: Path, units: dict[str, str]) -> Iterator[Inside | str]:
    """A function that runs a command beside a systemd of these units; or in words why there is none."""
    source = folder / "units"
    source.mkdir()
    for name, text in (_TARGET | units).items():
        (source / name).write_text(text, encoding="utf-8")
    group = next(root for root in reversed(_UNIFIED) if (root / "cgroup.procs").exists()) / f"hwgw-test-{os.getpid()}"
    group.mkdir()
    shell = subprocess.Popen(
        ["sh", "-c", _SCRIPT, "sh", str(group), str(source)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield _wait(shell)
    finally:
        if (init := _first_child(shell.pid)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(init, signal.SIGKILL)
        shell.kill()
        shell.communicate()
        _remove(group)


def _wait(shell: subprocess.Popen[bytes]) -> Inside | str:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if shell.poll() is not None:
            assert shell.stderr is not None
            return f"systemd did not start: {shell.returncode} {shell.stderr.read().decode()[-200:]}"
        init = _first_child(shell.pid)
        if init is not None:

            def inside(*argv: str, pid: int = init) -> subprocess.CompletedProcess[str]:
                enter = ["nsenter", "-t", str(pid), "-m", "-p", "-n", "-u", "-i", "-C"]
                return subprocess.run(
                    [*enter, *argv], capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
                )

            if inside("systemctl", "is-active", "hwgw-test.target").stdout.strip() == "active":
                return inside
        time.sleep(0.2)
    return "systemd did not come up within 30 s"
