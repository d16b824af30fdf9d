"""Knobs that are mounts and swap devices.

SPDX-License-Identifier: MIT

Mount targets are "PATH atime" (relatime, noatime, strictatime of what is mounted there) and "PATH hugetlbfs" (the page
size mounted there, or absent). Swap targets are what /proc/swaps names; "on", or with a priority that somebody chose
"on 5". Mounts are those of the namespace that hwgw runs in.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .host import Host
from .knob import Unsupported, register

__all__ = ["Mount", "Swap", "disks", "swaps"]

ABSENT, NO_FOLDER = "absent", "absent, no directory"
# include/uapi/linux/mount.h, include/uapi/linux/swap.h
_FLAGS = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1 << 10, "nodiratime": 1 << 11, "relatime": 1 << 21}
_STRICTATIME, _REMOUNT, _BIND = 1 << 24, 1 << 5, 1 << 12
_SWAP_PREFER, _SWAP_PRIO_MASK = 0x8000, 0x7FFF
_ATIMES = ("noatime", "relatime", "strictatime")
_MOUNTS, _SWAPS = "/proc/mounts", "/proc/swaps"


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of /proc/mounts."""

    source: str
    path: str
    kind: str
    options: tuple[str, ...]


def _plain(text: str) -> str:
    """The kernel writes blanks and backslashes of a name in octal."""
    return re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), text)


def _rows(host: Host) -> list[_Row]:
    found = []
    for line in (host.read(_MOUNTS) or "").splitlines():
        words = line.split(" ")
        if len(words) >= 4:
            found.append(_Row(_plain(words[0]), _plain(words[1]), words[2], tuple(words[3].split(","))))
    return found


def _at(host: Host, path: str, kind: str = "") -> _Row | None:
    """What is mounted at a path: of several the last, which hides the others."""
    return next((row for row in reversed(_rows(host)) if row.path == path and kind in ("", row.kind)), None)


def disks(host: Host) -> Iterator[str]:
    """Where disks are mounted that can be written."""
    seen = set()
    for row in _rows(host):
        if row.source.startswith("/dev/") and "ro" not in row.options and row.path not in seen:
            seen.add(row.path)
            yield row.path


def swaps(host: Host) -> list[str]:
    """Every device and file that is swapped to."""
    lines = (host.read(_SWAPS) or "").splitlines()[1:]
    return [_plain(line.split()[0]) for line in lines if line.split() and not line.startswith("#")]


def _call(name: str, *arguments: object) -> None:
    """A function of the C library that gives -1 and errno."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _mount(source: str, path: str, kind: str, flags: int, data: str) -> None:
    words = [text.encode() for text in (source, path, kind)]
    _call("mount", *words, ctypes.c_ulong(flags), data.encode())


def _line(row: _Row) -> str:
    names = [text.replace("\\", "\\134").replace(" ", "\\040") for text in (row.source, row.path)]
    return f"{names[0]} {names[1]} {row.kind} {','.join(row.options)} 0 0"


def _atime(row: _Row) -> str:
    return next((word for word in _ATIMES if word in row.options), "strictatime")


class Mount:
    """See knob.Actuator."""

    @staticmethod
    def _split(target: str) -> tuple[str, str]:
        path, _, what = target.rpartition(" ")
        return path, what

    def read(self, host: Host, target: str) -> str | None:
        """How access times are kept there, or the page size; None where nothing is mounted."""
        path, what = self._split(target)
        if what == "atime":
            row = _at(host, path)
            return _atime(row) if row else None
        row = _at(host, path, "hugetlbfs")
        if row is None:
            return ABSENT if host.exists(path) else NO_FOLDER
        return next((word for word in row.options if word.startswith("pagesize=")), "pagesize=2M")

    def write(self, host: Host, target: str, value: str) -> None:
        """Mount anew with other flags, mount, or unmount."""
        path, what = self._split(target)
        if what == "atime":
            self._set_atime(host, path, value)
        elif value in (ABSENT, NO_FOLDER):
            self._unmount(host, path, is_removed=value == NO_FOLDER)
        else:
            self._huge(host, path, value)

    def _set_atime(self, host: Host, path: str, value: str) -> None:
        row = _at(host, path)
        if row is None or value not in _ATIMES:
            raise Unsupported(f"{path}: {value}: {', '.join(_ATIMES)} of what is mounted there")
        kept = [word for word in row.options if word not in _ATIMES]
        options = [kept[0], value, *kept[1:]] if value != "strictatime" else kept
        if not host.live:
            self._replace(host, row, _Row(row.source, path, row.kind, tuple(options)))
            return
        # flags of this mount alone (bind), all of them said again: what is left out of a remount is taken off
        flags = _REMOUNT | _BIND | (_STRICTATIME if value == "strictatime" else 0)
        for word in options:
            flags |= _FLAGS.get(word, 0)
        _mount("none", path, "", flags, "")

    def _huge(self, host: Host, path: str, value: str) -> None:
        if _at(host, path, "hugetlbfs"):
            raise Unsupported(f"{path}: a hugetlbfs of another page size is mounted there, and may be in use")
        local = host.local(path)
        if not local.is_dir():
            local.mkdir(parents=False)
        if host.live:
            _mount("hugetlbfs", path, "hugetlbfs", _FLAGS["nosuid"] | _FLAGS["nodev"], value)
        else:
            row = _Row("hugetlbfs", path, "hugetlbfs", ("rw", "nosuid", "nodev", "relatime", value))
            host.put(_MOUNTS, "".join(f"{line}\n" for line in [*map(_line, _rows(host)), _line(row)]))

    def _unmount(self, host: Host, path: str, *, is_removed: bool) -> None:
        row = _at(host, path, "hugetlbfs")
        if row and host.live:
            _call("umount2", path.encode(), 0)
        elif row:
            self._replace(host, row, None)
        if is_removed:
            with contextlib.suppress(FileNotFoundError):
                host.local(path).rmdir()

    @staticmethod
    def _replace(host: Host, row: _Row, other: _Row | None) -> None:
        """On a made host the list of mounts is a file."""
        lines = [_line(other if one == row and other else one) for one in _rows(host) if one != row or other]
        host.put(_MOUNTS, "".join(f"{line}\n" for line in lines))

    def effective(self, host: Host, target: str) -> str | None:
        """As read."""
        return self.read(host, target)

    def place(self, host: Host, target: str) -> str:
        """The mount itself."""
        path, what = self._split(target)
        return f"{host.realpath(path)} {what}"


class Swap:
    """See knob.Actuator."""

    @staticmethod
    def _row(host: Host, target: str) -> list[str] | None:
        for line in (host.read(_SWAPS) or "").splitlines()[1:]:
            words = line.split()
            if words and _plain(words[0]) == target:
                return words
        return None

    def read(self, host: Host, target: str) -> str | None:
        """Off, on, or on with a priority; a device that is gone is off."""
        row = self._row(host, target)
        if row is None:
            return "off"
        return f"on {row[4]}" if int(row[4]) >= 0 else "on"

    def write(self, host: Host, target: str, value: str) -> None:
        """Take it out of use, which brings every page of it back to memory, or into use again."""
        word, _, priority = value.partition(" ")
        if word not in ("on", "off") or (priority and not priority.isdigit()):
            raise Unsupported(f"{target}: {value}: off, on, or on with a priority")
        if not host.live:
            self._made(host, target, word, priority)
        elif word == "off":
            try:
                _call("swapoff", target.encode())
            except OSError as error:
                if error.errno != errno.ENOMEM:
                    raise
                raise OSError(error.errno, "there is not memory enough for what is on it") from None
        else:
            flags = _SWAP_PREFER | int(priority) & _SWAP_PRIO_MASK if priority else 0
            _call("swapon", target.encode(), flags)

    @staticmethod
    def _made(host: Host, target: str, word: str, priority: str) -> None:
        """On a made host the list is a file; the line of what was taken out of use stays in its place behind a #."""
        lines = (host.raw(_SWAPS) or b"").decode().splitlines(keepends=True)
        before, after = ("", "#") if word == "off" else ("#", "")
        at = [i for i, line in enumerate(lines[1:], 1) if _plain(line.split()[0]) == before + target]
        if not at:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), target)
        line = lines[at[0]].removeprefix(before)
        if priority and line.split()[4] != priority:
            line = re.sub(r"\S+(\s*)$", rf"{priority}\1", line)
        lines[at[0]] = after + line
        host.put(_SWAPS, "".join(lines))

    def effective(self, host: Host, target: str) -> str | None:
        """As read."""
        return self.read(host, target)

    def place(self, host: Host, target: str) -> str:
        """The device."""
        return f"swap {target}"


register("mount", Mount())
register("swap", Swap())
