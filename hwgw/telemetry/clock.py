"""What the kernel says of the host's clock: adjtimex(2), read only.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

__all__ = ["Clock", "clock"]

# struct timex of linux/timex.h on 64-bit: words of 8 bytes; the members read here and their places
_WORDS = 26
_OFFSET, _FREQUENCY, _MAXERROR, _ESTERROR, _STATUS = 1, 2, 3, 4, 5
_STA_UNSYNC, _STA_NANO = 0x0040, 0x2000
_FREQUENCY_UNIT = 65_536  # of one part in a million


@dataclass(frozen=True, slots=True)
class Clock:
    """offset_ns is what the kernel still slews; error_ns_max bounds how wrong it may be, as its discipline says."""

    is_synchronized: bool
    offset_ns: int
    error_ns_max: int
    error_ns_estimated: int
    frequency_ppm: float


def clock() -> Clock:
    """The state of CLOCK_REALTIME of this host. OSError when the kernel refuses."""
    words = (ctypes.c_int64 * _WORDS)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(ctypes.byref(words)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    status = words[_STATUS] & 0xFFFF_FFFF
    return Clock(
        not status & _STA_UNSYNC,
        words[_OFFSET] if status & _STA_NANO else words[_OFFSET] * 1000,
        words[_MAXERROR] * 1000,
        words[_ESTERROR] * 1000,
        words[_FREQUENCY] / _FREQUENCY_UNIT,
    )
