"""What a kernel does when a file is written, done to a made or recorded tree.

SPDX-License-Identifier: MIT

Choices keep their brackets, masks their width, twins (dirty ratio and bytes, an interrupt's mask and list) follow each
other, and what a kernel refuses is refused with its errno. A tree may say more in .hwgw-made.json at its root:
{"refuse": {"/proc/irq/20/*": "EPERM"}, "clamp": {"/sys/.../nr_hugepages": 3}, "lag": ["/proc/irq/30/*"]}: a write that
fails, a number that is granted in part, an interrupt whose effective mask does not follow.
"""

from __future__ import annotations

import errno
import fnmatch
import json
import os
import re
from pathlib import Path
from typing import Any

from .cpus import Cpus, list_text, mask_text, parse_list, parse_mask

__all__ = ["NAME", "PART", "Rules"]

NAME = ".hwgw-made.json"
PART = ".hwgw-made.part"
# the files of a control group that matter here, as a new group has them
GROUP = {"cgroup.procs": "", "cpuset.cpus": "", "cpuset.cpus.effective": "", "cpuset.cpus.partition": "member",
         "memory.high": "max", "memory.max": "max"}  # fmt: skip
_TWINS = {
    f"/proc/sys/vm/dirty_{stem}{one}": f"/proc/sys/vm/dirty_{stem}{other}"
    for stem in ("", "background_")
    for one, other in (("ratio", "bytes"), ("bytes", "ratio"))
}


class Rules:
    """How the files of one tree behave."""

    def __init__(self, root: Path) -> None:
        self.root = root
        file = root / NAME
        self.said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    def _local(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _matches(self, what: str, path: str) -> Any:
        rules = self.said.get(what, {})
        for pattern in rules:
            if fnmatch.fnmatchcase(path, pattern):
                return rules[pattern] if isinstance(rules, dict) else True
        return None

    def write(self, path: str, value: str) -> None:
        """Write a value to a real path of the machine."""
        local = self._local(path)
        old = local.read_text(encoding="utf-8")
        if refused := self._matches("refuse", path):
            number = getattr(errno, refused)
            raise OSError(number, os.strerror(number), path)
        if (most := self._matches("clamp", path)) is not None:
            value = str(min(int(value), int(most)))
        self.put(path, self._shaped(path, old, value))
        self._follow(path)

    def made_group(self, path: str) -> None:
        """The files of a new control group."""
        for name, text in GROUP.items():
            self.put(f"{path}/{name}", f"{text}\n")

    def remove_group(self, path: str) -> None:
        """They go with it."""
        for name in GROUP:
            self._local(f"{path}/{name}").unlink(missing_ok=True)

    def put(self, path: str, text: str) -> None:
        """All or nothing, as a write to a kernel's file is: a file of its own, then in the place of the other."""
        part = self.root / PART
        part.write_text(text, encoding="utf-8")
        part.replace(self._local(path))

    def _shaped(self, path: str, old: str, value: str) -> str:
        end = "\n" if old.endswith("\n") or not old else ""
        words = old.split()
        chosen = [word for word in words if word.startswith("[")]
        if len(chosen) == 1 and len(words) > 1:
            plain = [word.strip("[]") for word in words]
            if value not in plain:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
            return " ".join(f"[{word}]" if word == value else word for word in plain) + end
        if path.endswith("/scaling_governor"):
            allowed = self._local(path).with_name("scaling_available_governors")
            if allowed.is_file() and value not in allowed.read_text(encoding="utf-8").split():
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        if re.search(r"(cpumask|smp_affinity|_cpus)$", path) and re.fullmatch(r"[0-9a-f,]+", value):
            cpus = parse_mask(value)
            if not cpus and not path.endswith("_cpus"):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
            if cpus and max(cpus) >= 4 * len(old.strip().replace(",", "")):
                raise OSError(errno.EOVERFLOW, os.strerror(errno.EOVERFLOW), path)
            return mask_text(cpus, 4 * len(old.strip().replace(",", ""))) + end
        if path.endswith("smp_affinity_list"):
            return list_text(parse_list(value)) + end
        if path.endswith("/cgroup.subtree_control"):
            handed = set(old.split())
            for word in value.split():
                (handed.add if word[0] == "+" else handed.discard)(word[1:])
            return " ".join(sorted(handed)) + end
        if path.endswith("/cpuset.cpus.partition"):
            return value + self._judged(path, value) + end
        if path in _TWINS and path.endswith("_bytes") and value == "0":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return "\t".join(value.split()) + end if "\t" in old else value + end

    def _judged(self, path: str, value: str) -> str:
        """What the kernel says of a partition: kernel/cgroup/cpuset.c, perr_strings."""
        folder = path.rpartition("/")[0]
        cpus = parse_list(self._local(f"{folder}/cpuset.cpus").read_text(encoding="utf-8").strip())
        isolated = parse_list(self._local("/sys/devices/system/cpu/isolated").read_text(encoding="utf-8").strip())
        if value == "member":
            return ""
        if not cpus:
            return " invalid (cpuset.cpus and cpuset.cpus.exclusive are empty)"
        return " invalid (partition config conflicts with housekeeping setup)" if cpus & isolated else ""

    def _follow(self, path: str) -> None:
        if path.endswith(("/cpuset.cpus", "/cpuset.cpus.partition")):
            self._partition(path.rpartition("/")[0])
        if path in _TWINS and self._local(_TWINS[path]).is_file():
            self.put(_TWINS[path], "0\n")
        if match := re.fullmatch(r"(/proc/irq/\d+)/smp_affinity(_list)?", path):
            text = self._local(path).read_text(encoding="utf-8")
            cpus = parse_list(text) if match[2] else parse_mask(text)
            self._affinity(match[1], cpus, is_lagging=bool(self._matches("lag", path)))

    def _partition(self, folder: str) -> None:
        """What a group may use, and what the root group says is isolated."""
        cpus = self._local(f"{folder}/cpuset.cpus").read_text(encoding="utf-8")
        kind = self._local(f"{folder}/cpuset.cpus.partition").read_text(encoding="utf-8").strip()
        self.put(f"{folder}/cpuset.cpus.effective", cpus)
        self.put("/sys/fs/cgroup/cpuset.cpus.isolated", cpus if kind == "isolated" else "\n")

    def _affinity(self, irq: str, cpus: Cpus, *, is_lagging: bool) -> None:
        """Mask, list and what is effective: one CPU of them, the lowest, unless the interrupt has not come yet."""
        for name, shown in (("smp_affinity", cpus), ("effective_affinity", frozenset({min(cpus)}))):
            if is_lagging and name.startswith("effective"):
                continue
            mask, listed = self._local(f"{irq}/{name}"), self._local(f"{irq}/{name}_list")
            if mask.is_file():
                width = 4 * len(mask.read_text(encoding="utf-8").strip().replace(",", ""))
                self.put(f"{irq}/{name}", mask_text(shown, width) + "\n")
            if listed.is_file():
                self.put(f"{irq}/{name}_list", list_text(shown) + "\n")

    def pin(self, tid: int, cpus: Cpus) -> None:
        """A thread's affinity, as its status shows it."""
        path = f"/proc/{tid}/status"
        old = self._local(path).read_text(encoding="utf-8")
        mask = re.search(r"^Cpus_allowed:\t(\S+)$", old, re.MULTILINE)
        new = re.sub(r"^(Cpus_allowed_list:\t).*$", rf"\g<1>{list_text(cpus)}", old, flags=re.MULTILINE)
        if mask:
            text = mask_text(cpus, 4 * len(mask[1].replace(",", "")))
            new = re.sub(r"^(Cpus_allowed:\t).*$", rf"\g<1>{text}", new, flags=re.MULTILINE)
        self.put(path, new)
