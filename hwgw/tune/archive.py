"""A recorded host as one file: a gzipped tar of the files and links that hwgw looks at, which --root takes as it is.

SPDX-License-Identifier: MIT

Names are sorted, times and owners are zero: the same files give the same bytes. Unpacking writes regular files first
and links afterwards, takes no name that leaves the folder, and nothing but files and links.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ..errors import UsageError

__all__ = ["MANIFEST", "is_archive", "pack", "unpack"]

MANIFEST = ".hwgw-record.json"
_SZ_MAX = 256 << 20  # unpacked


def pack(files: Mapping[str, bytes], links: Mapping[str, str]) -> bytes:
    """The archive; names are absolute as on the host."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted({*files, *links}):
            info = tarfile.TarInfo(name.lstrip("/"))
            info.mode = 0o644
            if name in links:
                info.type, info.linkname = tarfile.SYMTYPE, links[name]
                tar.addfile(info)
            else:
                info.size = len(files[name])
                tar.addfile(info, io.BytesIO(files[name]))
    return gzip.compress(raw.getvalue(), mtime=0)


def is_archive(path: Path) -> bool:
    """Whether a file begins as one."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"\x1f\x8b"
    except OSError:
        return False


def _inside(name: str, path: Path) -> PurePosixPath:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise UsageError(f"{path}: {name!r} would lead out of the folder: not an archive of hwgw tune record")
    return pure


def unpack(path: Path) -> Path:
    """The tree of an archive, in a new folder; the caller removes it."""
    root = Path(tempfile.mkdtemp(prefix="hwgw-host-"))
    try:
        _unpack(path, root)
    except BaseException:
        shutil.rmtree(root)
        raise
    return root


def _unpack(path: Path, root: Path) -> None:
    total, links = 0, []
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                pure = _inside(member.name, path)
                total += member.size
                if total > _SZ_MAX:
                    raise UsageError(f"{path}: more than {_SZ_MAX >> 20} MiB: not an archive of hwgw tune record")
                if member.issym():
                    links.append((root / pure, member.linkname))
                elif member.isreg() and (file := tar.extractfile(member)) is not None:
                    (root / pure).parent.mkdir(parents=True, exist_ok=True)
                    (root / pure).write_bytes(file.read())
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, OSError) as error:
        raise UsageError(f"{path}: cannot be read as an archive of hwgw tune record: {error}") from None
    if not (root / MANIFEST).is_file():
        raise UsageError(f"{path}: has no {MANIFEST}: not an archive of hwgw tune record")
    for link, target in links:
        link.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(link):
            link.symlink_to(target)
