"""Mounts and swap for real: in a mount namespace of its own, and on a swap file of its own.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hwgw.tune.host import Host
from hwgw.tune.knob import actuator

pytestmark = pytest.mark.root
_INSIDE = """
import pathlib, sys
from hwgw.tune.host import Host
from hwgw.tune.knob import actuator
mount, host, folder = actuator("mount"), Host(), sys.argv[1]
here, huge = f"{folder}/disk atime", f"{folder}/huge hugetlbfs"
def options():
    return next(line.split()[3] for line in open("/proc/mounts") if line.split()[1] == f"{folder}/disk")
print(mount.read(host, here), options())
for value in ("noatime", "strictatime", "relatime"):
    mount.write(host, here, value)
    print(mount.read(host, here), options())
print(mount.read(host, huge))
mount.write(host, huge, "pagesize=2M")
print(mount.read(host, huge))
mount.write(host, huge, "absent, no directory")
print(mount.read(host, huge), pathlib.Path(folder, "huge").exists())
print(mount.read(host, f"{folder}/nothing atime"))
"""


def test_a_mount_changes_how_it_keeps_access_times_and_nothing_else(tmp_path: Path) -> None:
    """Flags that are not said again would be taken off: nosuid, nodev and noexec stay."""
    if "hugetlbfs" not in Path("/proc/filesystems").read_text(encoding="ascii"):
        pytest.skip("this kernel has no hugetlbfs")
    folder = tmp_path / "m"
    (folder / "disk").mkdir(parents=True)
    script = f'mount -t tmpfs -o nosuid,nodev,noexec,size=1m tmpfs {folder}/disk && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, "-c", _INSIDE, str(folder)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line.split(" ")[0] for line in lines[:4]] == ["relatime", "noatime", "strictatime", "relatime"]
    for line in lines[:4]:
        kept = line.split(" ")[1].split(",")
        assert {"rw", "nosuid", "nodev", "noexec"} <= set(kept)
    assert lines[4:] == ["absent, no directory", "pagesize=2M", "absent, no directory False", "None"]


def test_a_swap_file_goes_out_of_use_and_back_with_its_priority(tmp_path: Path) -> None:
    """On a file of its own; what the machine swaps to besides is left alone."""
    if not shutil.which("mkswap", path="/usr/sbin:/sbin:/usr/bin"):
        pytest.skip("needs mkswap (util-linux)")
    file = tmp_path / "swap"
    file.write_bytes(bytes(1 << 20))
    file.chmod(0o600)
    subprocess.run(["mkswap", str(file)], check=True, capture_output=True, timeout=60)
    host, swap = Host(), actuator("swap")
    others = [line for line in Path("/proc/swaps").read_text(encoding="ascii").splitlines() if str(file) not in line]
    assert swap.read(host, str(file)) == "off"
    try:
        swap.write(host, str(file), "on 5")
    except OSError as error:
        pytest.skip(f"swapon: {error.strerror}")
    try:
        assert swap.read(host, str(file)) == "on 5"
        swap.write(host, str(file), "off")
        assert swap.read(host, str(file)) == "off"
        swap.write(host, str(file), "on")
        assert swap.read(host, str(file)) == "on"
    finally:
        swap.write(host, str(file), "off")
    assert Path("/proc/swaps").read_text(encoding="ascii").splitlines() == others
