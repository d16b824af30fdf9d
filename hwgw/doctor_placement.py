"""What of a gateway's placement this process may have: each thing is tried in a child that ends with the try.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

from .doctor import OK, WARN, Row

__all__ = ["examine"]

_MCL_CURRENT, _MCL_ONFAULT = 1, 4
_FIFO_TRIED = 50
_LATENCY_TRIED_US = 100


def _pin() -> str:
    """Every usable CPU; the last one stays."""
    for cpu in sorted(os.sched_getaffinity(0)):
        os.sched_setaffinity(0, {cpu})
        if os.sched_getaffinity(0) != {cpu}:
            raise OSError(0, f"CPU {cpu} was not kept")
    return "each usable CPU"


def _fifo() -> str:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_FIFO_TRIED))
    if os.sched_getscheduler(0) & 0xFF != os.SCHED_FIFO:
        raise OSError(0, "not kept")
    return f"SCHED_FIFO {_FIFO_TRIED}"


def _lock() -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_ONFAULT):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    locked = next((line.split()[1] for line in status.splitlines() if line.startswith("VmLck:")), "0")
    if locked == "0":
        raise OSError(0, "nothing shows in VmLck")
    return f"{int(locked) >> 10} MiB of this process"


def _latency() -> str:
    fd = os.open("/dev/cpu_dma_latency", os.O_RDWR | os.O_CLOEXEC)
    os.write(fd, struct.pack("=i", _LATENCY_TRIED_US))
    have = struct.unpack("=i", os.pread(fd, 4, 0))[0]
    if have > _LATENCY_TRIED_US:
        raise OSError(0, f"{have} us in force")
    return f"held for a moment, {have} us in force"


# what, the try, and what to do when it is refused
_TRIES: tuple[tuple[str, Callable[[], str], str], ...] = (
    ("pinning", _pin, "a pipeline would run on any core: look at the cpuset of this process"),
    ("priority", _fifo, "fifo_priority needs CAP_SYS_NICE, or LimitRTPRIO= (limits.conf: rtprio)"),
    ("locked memory", _lock, "lock_memory needs CAP_IPC_LOCK, or LimitMEMLOCK=infinity (limits.conf: memlock)"),
    ("power states", _latency, "cpu_dma_latency_us needs to write /dev/cpu_dma_latency (root)"),
)


def _tried(attempt: Callable[[], str]) -> tuple[bool, str]:
    """In a child, so that nothing of it stays."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = [True, attempt()]
        except OSError as error:
            answer = [False, error.strerror or str(error)]
        except BaseException as error:
            answer = [False, repr(error)]
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    done, text = json.loads(said) if said else (False, "the try ended without an answer")
    return bool(done), str(text)


def _nodes() -> Row:
    folder = Path("/sys/devices/system/node")
    nodes = sorted(path.name[4:] for path in folder.glob("node[0-9]*"))
    if len(nodes) < 2:
        return Row("memory nodes", OK, "one: all memory is near")
    return Row("memory nodes", OK, f"{len(nodes)}; a pipeline's memory is asked for on the node of its cpu")


def _shared_huge() -> Row:
    try:
        text = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled").read_text(encoding="ascii")
    except OSError:
        return Row("huge segment", OK, "not told: this kernel has no huge pages for shared memory")
    chosen = text.partition("[")[2].partition("]")[0]
    return Row("huge segment", OK, f"shared memory on huge pages: {chosen} (/dev/shm follows its mount option huge=)")


def examine() -> list[Row]:
    """A row for everything that is tried, and for where memory lies."""
    rows = []
    for name, attempt, todo in _TRIES:
        done, text = _tried(attempt)
        rows.append(Row(name, OK if done else WARN, text if done else f"not had: {text}", "" if done else todo))
    return [*rows, _nodes(), _shared_huge()]
