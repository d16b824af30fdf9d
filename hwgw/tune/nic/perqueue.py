"""Coalescing of single queues, by ioctl (ETHTOOL_PERQUEUE): hot queues at once, the others as they were.

SPDX-License-Identifier: MIT

As text: one number when every queue has it, else "0:8 1:8 4:0", queue and value; queues that are not named stay.
"""

from __future__ import annotations

import struct

from ...errors import UsageError
from ...netlink import Transport

__all__ = ["NAMES", "read", "write"]

_PERQUEUE, _GCOALESCE, _SCOALESCE = 0x4B, 0x0E, 0x0F
_MASK_WORDS = 128  # MAX_NUM_QUEUE / 32
_HEAD_SZ = 8 + 4 * _MASK_WORDS
_COALESCE = struct.Struct("=23I")  # struct ethtool_coalesce
NAMES = {"rx_usecs": 1, "rx_max_frames": 2, "tx_usecs": 5, "tx_max_frames": 6}  # which word of it


def _request(command: int, queues: list[int], rows: list[list[int]]) -> bytes:
    mask = [0] * _MASK_WORDS
    for queue in queues:
        mask[queue // 32] |= 1 << queue % 32
    return struct.pack(f"=2I{_MASK_WORDS}I", _PERQUEUE, command, *mask) + b"".join(_COALESCE.pack(*row) for row in rows)


def _get(name: str, queues: list[int], via: Transport) -> list[list[int]]:
    blank = [[_GCOALESCE] + [0] * 22 for _ in queues]
    answer = via.ethtool(name, _request(_GCOALESCE, queues, blank))
    return [list(_COALESCE.unpack_from(answer, _HEAD_SZ + at * _COALESCE.size)) for at in range(len(queues))]


def read(name: str, cnt: int, via: Transport) -> dict[str, str]:
    """Every setting of the first cnt queues; OSError where the driver has no queues of their own."""
    rows = _get(name, list(range(cnt)), via) if cnt else []
    found = {}
    for setting, word in NAMES.items():
        values = [row[word] for row in rows]
        if values:
            each = " ".join(f"{queue}:{value}" for queue, value in enumerate(values))
            found[setting] = each if len(set(values)) > 1 else str(values[0])
    return found


def write(name: str, cnt: int, setting: str, text: str, via: Transport) -> None:
    """Set one of NAMES; the other settings of each queue are written back as they were."""
    wanted: dict[int, int] = {}
    for part in text.split():
        queue, _, value = part.rpartition(":")
        if not value.isdigit() or int(value) >= 1 << 32 or (queue and (not queue.isdigit() or int(queue) >= cnt)):
            said = f"{part!r}: a number, or one of queues 0 to {cnt - 1} with a colon and a number, is meant"
            raise UsageError(f"{name} queue_coalesce.{setting}: {said}")
        wanted.update(dict.fromkeys([int(queue)] if queue else range(cnt), int(value)))
    if setting not in NAMES or not wanted:
        raise UsageError(f"{name} queue_coalesce.{setting}: there are {', '.join(NAMES)}, each with a value")
    queues = sorted(wanted)
    rows = _get(name, queues, via)
    for number, row in zip(queues, rows, strict=True):
        row[0], row[NAMES[setting]] = _SCOALESCE, wanted[number]
    via.ethtool(name, _request(_SCOALESCE, queues, rows))
