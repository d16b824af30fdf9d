"""Sets of CPUs as the kernel writes them: lists (0-3,8) and masks (ff,0000000f).

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import UsageError

__all__ = ["CPU_MAX", "Cpus", "list_text", "mask_text", "parse_list", "parse_mask"]

CPU_MAX = 8191  # NR_CPUS_RANGE_END of x86-64
Cpus = frozenset[int]


def parse_list(text: str) -> Cpus:
    """The CPUs of a list such as 0-3,8; strides (0-14:1/2) too, which the kernel takes on its command line."""
    cpus: set[int] = set()
    for part in filter(None, (part.strip() for part in text.strip().split(","))):
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+)/(\d+))?)?", part)
        if not match:
            raise UsageError(f"{text.strip()}: {part!r} is not a CPU list; numbers and ranges such as 0-3,8 are")
        low, high = int(match[1]), int(match[2] or match[1])
        if high < low or high > CPU_MAX:
            raise UsageError(f"{text.strip()}: {part} is not a range of CPUs 0 to {CPU_MAX}, the lower one first")
        used, group = int(match[3] or 1), int(match[4] or 1)
        if not 1 <= used <= group:
            raise UsageError(f"{text.strip()}: {part}: of each group at least one and at most all are taken")
        cpus |= {cpu for cpu in range(low, high + 1) if (cpu - low) % group < used}
    return frozenset(cpus)


def list_text(cpus: Iterable[int]) -> str:
    """The list as the kernel prints it: ascending, ranges where two or more follow each other."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and runs[-1][1] == cpu - 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in runs)


def parse_mask(text: str) -> Cpus:
    """The CPUs of a hexadecimal mask in groups of 32 bits."""
    digits = text.strip().removeprefix("0x").replace(",", "")
    if not re.fullmatch(r"[0-9a-fA-F]+", digits):
        raise UsageError(f"{text.strip()!r} is not a CPU mask; hexadecimal digits such as ff,0000000f are")
    bits = int(digits, 16)
    return frozenset(cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1)


def mask_text(cpus: Iterable[int], cpu_cnt: int = 1) -> str:
    """The mask as the kernel prints it for so many possible CPUs: groups of 32 bits, zero-padded."""
    bits = 0
    for cpu in cpus:
        bits |= 1 << cpu
    digit_cnt = max(-(-cpu_cnt // 4), -(-bits.bit_length() // 4), 1)
    digits = f"{bits:0{digit_cnt}x}"
    first = len(digits) % 8 or 8
    return ",".join([digits[:first], *(digits[at : at + 8] for at in range(first, len(digits), 8))])
