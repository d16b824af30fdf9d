"""The knobs of kind nic: "eth0 coalesce.rx_usecs" read and written through the engine.

SPDX-License-Identifier: MIT

On a recorded or made tree a setting is a file, /.hwgw-nic/eth0/coalesce.rx_usecs; a setting without a file is one that
the NIC has not. Such a tree refuses what the kernel would refuse: more than the _max beside it, and what features.fixed
names.
"""

from __future__ import annotations

import errno
import os

from ...errors import HwgwError, UsageError
from ..host import Host
from ..knob import COMPARE, Unsupported, register
from . import quirks, rules
from .engine import READ_ONLY, Nic, is_missing

__all__ = ["FOLDER", "NicActuator", "settings"]

FOLDER = "/.hwgw-nic"
_FILES = {"link.mtu": "mtu", "link.txqlen": "tx_queue_len"}


def _split(target: str) -> tuple[str, str]:
    name, _, setting = target.partition(" ")
    if not name or "." not in setting:
        raise UsageError(f"nic {target!r}: an interface and a setting are meant, such as: eth0 coalesce.rx_usecs")
    return name, setting


def settings(host: Host, name: str) -> dict[str, str]:
    """Every setting of a NIC of the host."""
    if host.live:
        found = Nic(name).all()
    else:
        folder = f"{FOLDER}/{name}"
        found = {entry: host.read(f"{folder}/{entry}") or "" for entry in host.names(folder)}
    files = {key: host.read(f"/sys/class/net/{name}/{file}") for key, file in _FILES.items()}
    return found | {key: value for key, value in files.items() if value is not None}


def _fact(host: Host, name: str, setting: str) -> str:
    return (NicActuator().read(host, f"{name} {setting}") or "").strip()


class NicActuator:
    """See knob.Actuator."""

    def read(self, host: Host, target: str) -> str | None:
        """A setting as text; None when the NIC has it not."""
        name, setting = _split(target)
        if setting in _FILES:
            return host.read(f"/sys/class/net/{name}/{_FILES[setting]}")
        if host.live:
            try:
                return Nic(name).get(setting)
            except UsageError:
                return None
        return host.read(f"{FOLDER}/{name}/{setting}")

    def write(self, host: Host, target: str, value: str) -> None:
        """Set it. Unsupported: the driver has it not, or fixed; OSError ends with the kernel's words and, where one is
        known, with what is peculiar about this driver."""
        name, setting = _split(target)
        try:
            if setting in _FILES:
                host.write(f"/sys/class/net/{name}/{_FILES[setting]}", value)
            elif host.live:
                Nic(name).set(setting, value)
            else:
                self._write_tree(host, name, setting, value)
        except OSError as error:
            hint = "; ".join(quirk.text for quirk in quirks.find(_fact(host, name, "driver.name"), setting))
            text = f"{error.strerror or error}{f' ({hint})' if hint else ''}"
            if is_missing(error):
                raise Unsupported(f"{target}: {text}") from None
            raise OSError(error.errno, text, target) from None

    @staticmethod
    def _write_tree(host: Host, name: str, setting: str, value: str) -> None:
        path = f"{FOLDER}/{name}/{setting}"
        if setting in READ_ONLY or setting.endswith("_max"):
            raise UsageError(f"{name} {setting}: a fact, not a setting")
        if not host.exists(path):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        what, _, feature = setting.partition(".")
        if what == "features" and feature in (host.read(f"{FOLDER}/{name}/features.fixed") or "").split():
            raise OSError(errno.EOPNOTSUPP, f"{os.strerror(errno.EOPNOTSUPP)}: fixed by the driver")
        most = host.read(f"{path}_max")
        if most is not None and value.isdigit() and int(value) > int(most):
            said = "requested channel count" if what == "channels" else "requested ring size"
            raise OSError(errno.EINVAL, f"{os.strerror(errno.EINVAL)}: {said} exceeds maximum")
        if setting == "ntuple.rules":
            value = "; ".join(rule.text() for rule in rules.parse(value)) or "none"
        if what in ("features", "priv_flags", "pause", "eee"):
            value = {"1": "on", "0": "off"}.get(value, value)
        host.write(path, value)

    def effective(self, host: Host, target: str) -> str | None:
        """What is in force: the FEC of the link rather than the modes that are allowed, else what is set."""
        name, setting = _split(target)
        if setting == "fec.mode":
            return self.read(host, f"{name} fec.active") or self.read(host, target)
        return self.read(host, target)

    def place(self, host: Host, target: str) -> str:
        """The setting of the device, whatever the interface is called."""
        name, setting = _split(target)
        device = host.realpath(f"/sys/class/net/{name}")
        return f"{device} {setting}"


def _same_rules(text: str) -> str:
    try:
        return rules.canonical(text)
    except HwgwError:
        return text


COMPARE["rules"] = _same_rules
register("nic", NicActuator())
