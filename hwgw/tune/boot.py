"""Knobs that are options of the kernel's command line; set in a fragment of our own, never in the user's line.

SPDX-License-Identifier: MIT

With GRUB the fragment is /etc/default/grub.d/60-hwgw.cfg; with boot loader entries (BLS: systemd-boot, and the GRUB of
Fedora and RHEL, which has no grub.d) it is an entry of our own, copied from the one of the running kernel. Read is what
the next boot will have, in force is what this one has.
"""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath

from .host import Host
from .knob import Unsupported, register

__all__ = ["ABSENT", "FRAGMENT", "SET", "fragment", "hint", "options", "text_of"]

ABSENT, SET = "absent", "set"
FRAGMENT = "/etc/default/grub.d/60-hwgw.cfg"
_ENTRIES = "/boot/loader/entries"
_HEAD = "# Written by hwgw tune; edits are lost. In force after update-grub (or grub2-mkconfig) and a reboot.\n"
_LINE = re.compile(r'^GRUB_CMDLINE_LINUX_DEFAULT="\$GRUB_CMDLINE_LINUX_DEFAULT (.*)"$', re.MULTILINE)


def options(text: str) -> list[tuple[str, str]]:
    """The options of a command line up to --, as (name, value); an option without a value is set."""
    found = []
    for word in re.findall(r'(?:[^\s"]|"[^"]*")+', text):
        if word in ("--", "---"):
            break
        name, equals, value = word.partition("=")
        found.append((name.replace("-", "_"), value.strip('"') if equals else SET))
    return found


def text_of(found: list[tuple[str, str]]) -> str:
    """Options as a command line."""
    return " ".join(name if value == SET else f"{name}={value}" for name, value in found)


def fragment(host: Host) -> str:
    """Where our options go on this host; where entries are used, GRUB reads its own options from them."""
    has_grub = host.exists("/etc/default/grub")
    if has_grub and (host.exists(PurePosixPath(FRAGMENT).parent.as_posix()) or not host.names(_ENTRIES)):
        return FRAGMENT
    if host.names(_ENTRIES):
        return f"{_ENTRIES}/hwgw-{host.release}.conf"
    raise Unsupported("no boot loader that hwgw knows: neither /etc/default/grub nor /boot/loader/entries is here")


def hint(host: Host) -> str:
    """What brings the fragment into force."""
    if fragment(host) != FRAGMENT:
        return "choose the entry that ends with (hwgw) at the next boot"
    return "run update-grub (grub2-mkconfig -o /boot/grub2/grub.cfg where that is not there), then reboot"


def _ours(host: Host) -> list[tuple[str, str]]:
    """The options in our fragment; of a boot loader entry, those after the ones it was copied with."""
    text = host.read(fragment(host)) or ""
    if match := _LINE.search(text):
        return options(match[1])
    match = re.search(r"^# hwgw: (.*)$", text, re.MULTILINE)
    return options(match[1]) if match else []


def _running_entry(host: Host) -> str:
    """The text of the boot loader entry that the running kernel was booted from, by its release."""
    for name in host.names(_ENTRIES):
        text = host.read(f"{_ENTRIES}/{name}") or ""
        if not name.startswith("hwgw-") and re.search(rf"^linux\s.*{re.escape(host.release)}", text, re.MULTILINE):
            return text
    raise Unsupported(f"{_ENTRIES}: none of the entries is that of the running kernel {host.release}")


def _render(host: Host, found: list[tuple[str, str]]) -> bytes:
    line = text_of(found)
    if PurePosixPath(fragment(host)).suffix == ".cfg":
        return f'{_HEAD}GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {line}"\n'.encode()
    entry = _running_entry(host)
    entry = re.sub(r"^(title\s.*)$", r"\1 (hwgw)", entry, count=1, flags=re.MULTILINE)
    entry = re.sub(r"^(options\s.*)$", rf"\1 {line}", entry, count=1, flags=re.MULTILINE)
    return f"# hwgw: {line}\n{entry}\n".encode()


class Cmdline:
    """One option by its name; values are absent, set (a flag) or what follows the = sign."""

    def read(self, host: Host, target: str) -> str | None:
        """What the next boot will have, as far as our fragment and the running line tell."""
        return dict(_ours(host)).get(target) or self.effective(host, target)

    def write(self, host: Host, target: str, value: str) -> None:
        """Put an option into our fragment, or with absent take it out; the last one out removes the file."""
        if shlex.quote(value) != value and re.search(r'["$`\\\s]', value):
            raise Unsupported(f"{target}={value}: blanks, quotes, $ and \\ cannot stand in a boot fragment")
        found = dict(_ours(host))
        found.pop(target, None)
        if value != ABSENT:
            found[target] = value
        if found:
            host.install(fragment(host), _render(host, list(found.items())))
        else:
            host.remove(fragment(host))

    def effective(self, host: Host, target: str) -> str | None:
        """What this boot has; of an option that stands twice the last counts."""
        return dict(options(host.cmdline)).get(target.replace("-", "_"), ABSENT)

    def place(self, host: Host, target: str) -> str:
        """The option in the fragment."""
        return f"{fragment(host)} {target}"


register("cmdline", Cmdline())
