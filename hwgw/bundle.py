"""Signed bundles of configuration: made in one place, checked and installed in another; an older one is not taken.

SPDX-License-Identifier: MIT

A file: a line that names the format, a line with the Ed25519 signature of the manifest, the manifest as one line of
JSON, and the contents of its files end to end. Nothing but the first three lines is read before the signature is
checked. Paths are relative, of letters, digits, dot, dash and underscore; only plain files are taken.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import __version__, audit, config
from .errors import CheckFailed, ConfigError, DeviceError, UsageError
from .risk import signature
from .settings import Settings

__all__ = ["Bundle", "highest", "install", "make", "read"]

SCHEMA = "hwgw.bundle/1"
_HEAD = b"hwgw-bundle 1\n"
_SIGNED = b"hwgw bundle 1\n"  # told apart from limits, which the same key may sign
_FILES_MAX, _BYTES_MAX, _MANIFEST_MAX, _SERIAL_MAX = 1000, 64 << 20, 1 << 20, 10**12 - 1
_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
_PATH = re.compile(rf"{_PART}(/{_PART}){{0,3}}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,24}")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose signature and contents are right."""

    name: str
    serial: int
    made_ns: int
    version: str  # of the hwgw that made it
    key: str  # that signed it
    hash: str  # of the manifest
    files: dict[str, bytes]


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def _collect(folder: Path) -> Iterator[tuple[str, bytes]]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    total = cnt = 0
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder).as_posix()
        if file.is_dir() and not file.is_symlink():
            continue
        if file.is_symlink() or not file.is_file():
            raise UsageError(f"{file}: only plain files go into a bundle")
        if not _PATH.fullmatch(path):
            raise UsageError(f"{file}: letters, digits, . _ - are allowed in a name, 4 parts at most")
        data = file.read_bytes()
        cnt, total = cnt + 1, total + len(data)
        if cnt > _FILES_MAX or total > _BYTES_MAX:
            raise UsageError(f"{folder}: more than {_FILES_MAX} files or {_BYTES_MAX >> 20} MiB")
        yield path, data
    if not cnt:
        raise UsageError(f"{folder}: no files")


def _no_secrets(folder: Path, settings: Sequence[Settings], warn: Callable[[str], None]) -> None:
    """A bundle is signed and not encrypted: files with secrets do not go in, and keys with some are told of."""
    for each in settings:
        for file in map(Path, each.secrets.files):
            if folder.resolve() in file.resolve().parents:
                raise UsageError(f"{file}: a secret, and a bundle is not encrypted; name a file outside of {folder}")
        for key in each.secrets.inline:
            warn(
                f"{Path(each.path).name}: {key} is in the bundle for all to read; {key}_file names a file outside of it"
            )


def make(folder: Path, name: str, serial: int, key_file: Path, warn: Callable[[str], None] = lambda _: None) -> bytes:
    """A bundle of every file of a folder, signed by a private key file; what hwgw check refuses does not go in.

    warn: is given a line for each password that stands in a file of it.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"--name {name}: 1 to 24 letters, digits, _ and - are allowed")
    if not 1 <= serial <= _SERIAL_MAX:
        raise UsageError(f"--serial {serial}: 1 to {_SERIAL_MAX} is allowed")
    files = dict(_collect(folder))
    _no_secrets(folder, _check(folder, files), warn)
    manifest = {
        "schema": SCHEMA, "name": name, "serial": serial, "made_ns": time.time_ns(), "version": __version__,
        "files": [{"path": path, "bytes": len(data), "blake2b": _hash(data)} for path, data in files.items()],
    }  # fmt: skip
    line = json.dumps(manifest, ensure_ascii=True, separators=(",", ":")).encode()
    signed = signature.sign(_SIGNED + line, key_file)
    return b"".join([_HEAD, signed.encode(), b"\n", line, b"\n", *files.values()])


def _manifest(line: bytes, file: Path) -> dict[str, Any]:
    """A signed manifest; one that cannot be is an error all the same: keys can be misused by mistake too."""
    try:
        found: dict[str, Any] = json.loads(line)
        rows = [(row["path"], row["bytes"], row["blake2b"]) for row in found["files"]]
        is_right = (
            found["schema"] == SCHEMA and _NAME.fullmatch(found["name"]) and isinstance(found["made_ns"], int)
            and type(found["serial"]) is int and 1 <= found["serial"] <= _SERIAL_MAX
            and all(_PATH.fullmatch(path) and type(sz) is int and sz >= 0 for path, sz, _ in rows)
            and 0 < len(rows) <= _FILES_MAX and len({path for path, _, _ in rows}) == len(rows)
            and sum(sz for _, sz, _ in rows) <= _BYTES_MAX
        )  # fmt: skip
    except (ValueError, KeyError, TypeError):
        is_right = False
    if not is_right:
        raise ConfigError(f"{file}: its manifest is not one of this version ({SCHEMA})")
    return found


def read(file: Path, keys: Sequence[bytes]) -> Bundle:
    """A bundle, when one of the keys signed it and every file is as signed; ConfigError otherwise."""
    try:
        with file.open("rb") as stream:
            head, signed, line = (stream.readline(_MANIFEST_MAX) for _ in range(3))
            if head != _HEAD or not signed.endswith(b"\n") or not line.endswith(b"\n"):
                raise ConfigError(f"{file}: not a bundle of hwgw, or cut off")
            line = line[:-1]
            text = signed[:-1].decode("ascii", "replace")
            key = signature.holder(_SIGNED + line, text, keys, f"{file}: its signature")
            if not key:
                raise ConfigError(f"{file}: signed by none of the {len(keys)} key(s) that may; nothing was changed")
            said = _manifest(line, file)
            files = {}
            for row in said["files"]:
                data = stream.read(row["bytes"])
                if len(data) != row["bytes"] or _hash(data) != row["blake2b"]:
                    raise ConfigError(f"{file}: {row['path']} is not what was signed")
                files[row["path"]] = data
            if stream.read(1):
                raise ConfigError(f"{file}: there is more in it than was signed")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    made, version = said["made_ns"], str(said.get("version", ""))
    return Bundle(said["name"], said["serial"], made, version, key, _hash(line), files)


def _check(folder: Path, files: dict[str, bytes]) -> list[Settings]:
    """Every gateway's file as hwgw check reads it, where it lies."""
    gateways = [path for path in files if "/" not in path and path.endswith(".yaml")]
    if not gateways:
        raise ConfigError(f"{folder}: no NAME.yaml of a gateway in it")
    return [config.load(folder / path) for path in gateways]


def highest(name: str) -> int:
    """The highest serial that was installed here under a name, from the chained record; 0 when none was."""
    record = f"bundle-{name}"
    if not audit.path(record).exists():
        return 0
    return max((int(entry["serial"]) for entry in audit.verify(record) if entry["action"] == "bundle"), default=0)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _stage(bundle: Bundle, folder: Path) -> None:
    folder.mkdir(mode=0o750)
    for path, data in bundle.files.items():
        file = folder / path
        file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        with os.fdopen(fd, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        _sync(file.parent)


def install(bundle: Bundle, target: Path) -> Path:
    """Put a bundle in place under target/releases and switch target/current to it; the release's folder.

    On record before the switch: what cannot be recorded is not installed. CheckFailed for a serial that is not above
    every one before.
    """
    releases = target / "releases"
    try:
        releases.mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = os.open(releases / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.closing(os.fdopen(lock)) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            before = highest(bundle.name)
            if bundle.serial <= before:
                raise CheckFailed(
                    f"{bundle.name}: serial {bundle.serial} is not above {before}, which was installed already;"
                    " an older bundle is not taken, make a new one of its files"
                )
            staged, final = releases / f".{bundle.serial:012d}", releases / f"{bundle.serial:012d}"
            for left in (staged, final):  # of a run that was cut off: it is not on record
                shutil.rmtree(left, ignore_errors=True)
            try:
                _stage(bundle, staged)
                _check(staged, bundle.files)
            except BaseException:
                shutil.rmtree(staged, ignore_errors=True)
                raise
            staged.rename(final)
            _sync(releases)
            audit.record(f"bundle-{bundle.name}", "bundle", serial=bundle.serial, hash=bundle.hash, key=bundle.key,
                         files=len(bundle.files), target=str(target))  # fmt: skip
            link = target / ".current.part"
            link.unlink(missing_ok=True)
            link.symlink_to(final.relative_to(target))
            link.replace(target / "current")
            _sync(target)
    except OSError as error:
        raise DeviceError(f"{error.filename or target}: {error.strerror}") from None
    return final
