"""The record of what people told a gateway: halts, resumes, limits, arming; one line of JSON each, chained.

SPDX-License-Identifier: MIT

One append-only file per gateway name, NAME.audit in the state folder ($HWGW_STATE_DIR, else /var/lib/hwgw for root and
the user whose folder that is, else the XDG state folder). What root makes there belongs to that user, so that a gateway
can go on with what an administrator has begun. Every line carries its number, the time, who (uid, pid,
and login_uid where the kernel knows the login), what, and the BLAKE2b hash of
the line before, so that a change, a deletion or a swap in the middle is found by verify(); that whole lines are missing
at the end can only be told by the number that somebody else kept. Writers append under a lock, one fsync per line:
these are acts of people, not of the data path.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import CheckFailed, DeviceError, UsageError

__all__ = ["keep", "make_folder", "only_writer", "open_ours", "path", "record", "state_folder", "verify"]

_FIRST = "0" * 32
_NO_LOGIN = 2**32 - 1  # include/linux/audit.h, AUDIT_UID_UNSET
_OF_THE_HOST = Path("/var/lib/hwgw")  # of deploy/systemd


def state_folder() -> Path:
    """Where hwgw keeps what must outlive a gateway; not made here."""
    if named := os.environ.get("HWGW_STATE_DIR"):
        return Path(named)
    if os.geteuid() == 0 or _owner(_OF_THE_HOST)[0] == os.geteuid():  # by sudo, too, which drops the variable
        return _OF_THE_HOST
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "hwgw"


def _owner(target: Path) -> tuple[int, int]:
    """User and group of a file; -1 when there is none."""
    try:
        found = target.stat()
    except OSError:
        return -1, -1
    return found.st_uid, found.st_gid


def make_folder(folder: Path) -> None:
    """Make a folder for state; one that root makes belongs to whom the folder around it belongs."""
    if folder.is_dir():
        return
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o750, parents=True)
        if os.geteuid() == 0:
            os.chown(folder, *_owner(folder.parent), follow_symlinks=False)


def open_ours(file: Path, flags: int) -> int:
    """Open a file of state, made with mode 640; one that root makes belongs to whom its folder belongs. No link."""
    fd = os.open(file, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    if flags & os.O_CREAT and os.geteuid() == 0:
        found = os.fstat(fd)
        if found.st_uid == 0 and found.st_size == 0:
            os.fchown(fd, *_owner(file.parent))
    return fd


def keep(file: Path, data: bytes) -> None:
    """Write a file of state, whole or not at all."""
    make_folder(file.parent)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(open_ours(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as stream:
        stream.write(data)
    fresh.replace(file)


def path(name: str) -> Path:
    """The file of a gateway."""
    return state_folder() / f"{name}.audit"


@contextlib.contextmanager
def only_writer(name: str, what: str) -> Iterator[None]:
    """Nobody else changes that of this gateway meanwhile; DeviceError when the lock's file cannot be had."""
    file = state_folder() / f"{name}.{what}.lock"
    try:
        make_folder(file.parent)
        fd = open_ours(file, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise DeviceError(f"{file}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


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
        make_folder(file.parent)
        with open(file, "a+b", opener=lambda _, flags: open_ours(file, flags)) as stream:
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
    if not os.path.lexists(file) and not os.environ.get("HWGW_STATE_DIR"):
        shown = _OF_THE_HOST / file.name  # to who may look at it, and not write there
        file = shown if os.access(shown, os.R_OK, effective_ids=True) else file
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
