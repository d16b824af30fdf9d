"""Files that bring a profile back after a boot: units, sysctl.d, a udev rule, .link files. Ours alone, never another's.

SPDX-License-Identifier: MIT

Each file is a setting like any other: planned, journalled, undone byte for byte. validate() asks the programs that
would read them, where they are installed.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .host import Host
from .knob import RUNTIME, Knob, Setting, register
from .owners import OUR_SYSCTL
from .profile import Profile

__all__ = ["UNIT", "settings", "validate"]

UNIT = "/etc/systemd/system/hwgw-tune.service"
LATENCY_UNIT = "/etc/systemd/system/hwgw-tune-latency.service"
UDEV = "/etc/udev/rules.d/99-hwgw-tune.rules"
ABSENT = "absent"
_HEAD = "# Written by hwgw tune for the profile {profile}; edits are lost.\n"
_LINK_KEYS = {"nic.channels": "CombinedChannels", "nic.ring_rx": "RxBufferSize", "nic.ring_tx": "TxBufferSize"}


class Etc:
    """A whole file of ours; the value is its text."""

    def read(self, host: Host, target: str) -> str | None:
        """The text, or absent."""
        raw = host.raw(target)
        return ABSENT if raw is None else raw.decode("utf-8", "replace")

    def write(self, host: Host, target: str, value: str) -> None:
        """Put it in place durably."""
        host.install(target, value.encode())

    def effective(self, host: Host, target: str) -> str | None:
        """As read."""
        return self.read(host, target)

    def place(self, host: Host, target: str) -> str:
        """Its path."""
        return host.realpath(target)


register("etc", Etc())


def _program(host: Host) -> str:
    """How a unit starts hwgw: the command beside this interpreter, or on a recorded host where a package puts it."""
    beside = Path(sys.executable).with_name("hwgw")
    if not host.live:
        return "/usr/bin/hwgw"
    return str(beside) if beside.exists() else shutil.which("hwgw") or f"{sys.executable} -m hwgw.cli"


def _unit(profile: Profile, host: Host) -> str:
    arguments = " ".join(shlex.quote(word) for word in profile.origin)
    return (
        f"{_HEAD}[Unit]\nDescription=hwgw tune, profile {{profile}}\n"
        "After=systemd-sysctl.service systemd-modules-load.service\nBefore=multi-user.target\n\n"
        "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        f"ExecStart={_program(host)} tune apply --on-error continue {arguments}\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


def _latency_unit(setting: Setting, host: Host) -> str:
    python = "/usr/bin/python3" if not host.live else sys.executable
    return (
        f"{_HEAD}[Unit]\nDescription=hwgw tune, holds {setting.target}\n\n[Service]\nType=simple\n"
        f"ExecStart={python} -m hwgw.tune.hold {setting.target} {setting.want}\nRestart=on-failure\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


def _link(nic: str, wanted: Sequence[Setting], host: Host) -> str:
    keys = "".join(f"{_LINK_KEYS[s.knob.name]}={s.want}\n" for s in wanted)
    address = host.read(f"/sys/class/net/{nic}/address") or ""
    return (
        f"{_HEAD}[Match]\nPermanentMACAddress={address}\n\n[Link]\n"
        f"# names as they were: a .link file of ours takes the place of the default one\n"
        f"NamePolicy=keep kernel database onboard slot path\nMACAddressPolicy=persistent\n{keys}"
    )


def _setting(path: str, text: str, profile: Profile, reason: str) -> Setting:
    knob = Knob(
        name=f"persist.{path.rpartition('/')[2]}", group="boot", kind="etc", place=path, change_class=RUNTIME,
        reason=reason, verify="read the file back", undo="the file as it was", risk="low", source="hwgw",
        compare="exact",
    )  # fmt: skip
    return Setting(knob, path, text.replace("{profile}", profile.name))


def settings(wanted: Sequence[Setting], profile: Profile, host: Host) -> list[Setting]:
    """The files for what a profile wants."""
    found = [_setting(UNIT, _unit(profile, host), profile, "applies the profile at boot")]
    sysctls = [s for s in wanted if s.knob.kind == "sysctl"]
    if sysctls:
        lines = "".join(f"{s.target} = {s.want}\n" for s in sysctls)
        found.append(
            _setting(OUR_SYSCTL, _HEAD + lines, profile, "sysctls from the first moment, after every other file")
        )
    found += [
        _setting(LATENCY_UNIT, _latency_unit(s, host), profile, "somebody has to hold the file open")
        for s in wanted
        if s.knob.kind == "hold"
    ]
    if profile.nics:
        rules = "".join(
            f'ACTION=="add|move", SUBSYSTEM=="net", ENV{{INTERFACE}}=="{nic}", TAG+="systemd", '
            f'ENV{{SYSTEMD_WANTS}}+="{UNIT.rpartition("/")[2]}"\n'
            for nic in profile.nics
        )
        found.append(_setting(UDEV, _HEAD + rules, profile, "a NIC that comes later is tuned too"))
    for nic in profile.nics:
        of_nic = [s for s in wanted if s.knob.name in _LINK_KEYS and s.target.split()[0] == nic]
        if of_nic and host.read(f"/sys/class/net/{nic}/address"):
            path = f"/etc/systemd/network/10-hwgw-{nic}.link"
            found.append(_setting(path, _link(nic, of_nic, host), profile, "queues and rings before the link is up"))
    return found


def _complaint(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    said = (done.stderr + (done.stdout if done.returncode else "")).strip()
    return said if done.returncode or done.stderr.strip() else ""


def validate(path: str, local: Path) -> tuple[str, str]:
    """What read a file, and what it said against it; the first is empty where no program that reads it is here.

    systemd-analyze ends with 0 for unknown keys, so anything it says on stderr counts.
    """
    if path.endswith(".service") and shutil.which("systemd-analyze"):
        return "systemd-analyze verify", _complaint(["systemd-analyze", "verify", "--man=no", str(local)])
    if path.startswith("/etc/sysctl.d/") and shutil.which("sysctl", path="/usr/sbin:/sbin:/usr/bin"):
        text = local.read_text(encoding="utf-8")
        wrong = [line for line in text.splitlines() if line and not re.fullmatch(r"#.*|[\w./-]+ = \S.*", line)]
        return "the grammar of sysctl.d(5)", "; ".join(wrong)
    if path.endswith(".cfg"):
        return "sh -n", _complaint(["sh", "-n", str(local)])
    if path.endswith(".rules") and shutil.which("udevadm"):
        done = subprocess.run(["udevadm", "verify", "--help"], capture_output=True, timeout=60, check=False)
        if done.returncode == 0:
            return "udevadm verify", _complaint(["udevadm", "verify", str(local)])
    return "", ""
