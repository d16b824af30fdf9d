"""The record of what people told a gateway: halts, resumes, limits, arming; one line of JSON each, chained.

SPDX-License-Identifier: MIT

One append-only file per gateway name, NAME.audit in the state folder ($HWGW_STATE_DIR, else /var/lib/hwgw for root and
the XDG state folder for others). Every line carries its number, the time, who (uid, pid,
and login_uid where the kernel knows the login), what, and the BLAKE2b hash of
the line before, so that a change, a deletion or a swap in the middle is found by verify(); that whole lines are missing
at the end can only be told by the number that somebody else kept. Writers append under a lock, one fsync per line:
these are acts of people, not of the data path.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import CheckFailed, DeviceError, UsageError

__all__ = ["path", "record", "state_folder", "verify"]

_FIRST = "0" * 32
_NO_LOGIN = 2**32 - 1  # include/linux/audit.h, AUDIT_UID_UNSET


def state_folder() -> Path:
    """Where hwgw keeps what must outlive a gateway; not made here."""
    if named := os.environ.get("HWGW_STATE_DIR"):
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/lib/hwgw")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "hwgw"


def path(name: str) -> Path:
    """The file of a gateway."""
    return state_folder() / f"{name}.audit"


def _login() -> dict[str, int]:
    """The login behind this process, which sudo does not change; nothing where there was none."""
    try:
        uid = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return {} if uid == _NO_LOGIN else {"login_uid": uid}


def _hash(line: bytes) -> str:
    return hashlib.blake2b(line, digest_size=16).hexdigest()


def _last(raw: bytes, file: Path) -> tuple[int, str]:
    """Number and hash of the last line."""
    if not raw:
        return 0, _FIRST
    line = raw.removesuffix(b"\n").rsplit(b"\n", 1)[-1]
    try:
        return int(json.loads(line)["seq"]), _hash(line)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckFailed(f"{file}: its last line cannot be read; look at it, then move the file away") from error


def record(name: str, action: str, **what: Any) -> int:
    """Append one act and return its number; DeviceError or CheckFailed when it cannot be put on record.

    Whoever loosens something calls this before the act: what cannot be recorded is not done.
    """
    file = path(name)
    try:
        file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        with open(file, "a+b", opener=lambda at, flags: os.open(at, flags, 0o640)) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.seek(0)
            seq, before = _last(stream.read(), file)
            entry = {"seq": seq + 1, "time_ns": time.time_ns(), "uid": os.getuid(), "pid": os.getpid(), "gateway": name}
            line = json.dumps(
                {**entry, **_login(), "action": action, **what, "prev": before}, ensure_ascii=True
            ).encode()
            stream.write(line + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise DeviceError(
            f"{file}: {error.strerror}; what a gateway is told is recorded there (HWGW_STATE_DIR names another folder)"
        ) from error
    return seq + 1


def verify(name: str) -> Iterator[dict[str, Any]]:
    """Every act on record, oldest first; CheckFailed at the first line that is not what was written."""
    file = path(name)
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{file}: nothing is on record for {name}") from None
    before = _FIRST
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            entry = json.loads(line)
            is_whole = entry["seq"] == number and entry["prev"] == before
        except (ValueError, KeyError, TypeError):
            is_whole = False
        if not is_whole:
            raise CheckFailed(f"{file}: line {number} or the one before it was changed, removed or inserted")
        before = _hash(line)
        yield entry
    if raw and not raw.endswith(b"\n"):
        raise CheckFailed(f"{file}: the last line is cut off")
