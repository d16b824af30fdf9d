"""Who vouches for a limits table: its canonical bytes, their hash, and Ed25519 signatures over them.

SPDX-License-Identifier: MIT

A signature is detached: FILE.sig beside the file, one line of hexadecimal digits. What is signed is not the spelling
of a file but what it means: the gateway's name, its symbols and strategies by number, and every byte of the resolved
table, so that a comment may change and a limit may not. Needs PyNaCl for keys and signatures; the hash needs nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwgw.errors import ConfigError, UsageError
from hwgw.private_file import others_mode

__all__ = ["canonical", "digest", "generate", "holder", "private", "public_key", "sign", "signature_file", "verify"]

KEY_BYTES, SIGNATURE_BYTES, KEYS_MAX = 32, 64, 4


def canonical(record: np.void, gateway: str, symbols: Sequence[str], strategies: Mapping[int, str]) -> bytes:
    """What is hashed and signed. The generation and the checksum are the running gateway's business and left out."""
    table = np.array(record, copy=True)
    table["checksum"] = table["generation"] = 0
    names = "\n".join([f"gateway {gateway}", *(f"symbol {name}" for name in symbols)])
    names += "".join(f"\nstrategy {number} {name}" for number, name in sorted(strategies.items()))
    return b"hwgw limits 1\n" + names.encode() + b"\n\n" + table.tobytes()


def digest(data: bytes) -> str:
    """BLAKE2b-256 of canonical bytes, in hexadecimal: what status shows and the record keeps."""
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def _nacl() -> Any:
    try:
        import nacl.exceptions
        import nacl.signing
    except ImportError as error:
        raise UsageError("signatures need PyNaCl: pip install 'hwgw[signature]'") from error
    return nacl


def signature_file(file: Path) -> Path:
    """Where the signature of a limits file stands."""
    return file.with_name(file.name + ".sig")


def generate(file: Path) -> str:
    """Make a private key in a new file that only its owner reads; the public key in hexadecimal."""
    key = _nacl().signing.SigningKey.generate()
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{file}: exists already; a key is never written over") from None
    with os.fdopen(fd, "wb") as stream:
        stream.write(key.encode().hex().encode() + b"\n")
    public: str = key.verify_key.encode().hex()
    return public


def _hex(text: str, length: int, what: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != length or len(text) != 2 * length:
        raise ConfigError(f"{what}: not {2 * length} hexadecimal digits")
    return raw


def _line(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error.strerror if isinstance(error, OSError) else 'not ASCII text'}") from None


def private(file: Path) -> None:
    """ConfigError for a file that others than its owner can read; one that is not there is for its reader to name."""
    if file.exists() and others_mode(file):
        raise ConfigError(f"{file}: others can read it; chmod 600 it")


def sign(data: bytes, key_file: Path) -> str:
    """The signature of canonical bytes by a private key file, in hexadecimal."""
    private(key_file)
    seed = _hex(_line(key_file), KEY_BYTES, str(key_file))
    signature: str = _nacl().signing.SigningKey(seed).sign(data).signature.hex()
    return signature


def public_key(text: str) -> bytes:
    """A public key from its 64 hexadecimal digits, or from the first line of a file that holds them."""
    file = Path(text)
    return _hex(_line(file) if "/" in text or file.exists() else text, KEY_BYTES, f"public key {text}")


def holder(data: bytes, signature: str, keys: Sequence[bytes], what: str) -> str:
    """The key of those that made a signature of data, in hexadecimal; empty when none did."""
    raw = _hex(signature, SIGNATURE_BYTES, what)
    nacl = _nacl()
    for key in keys:
        try:
            nacl.signing.VerifyKey(key).verify(data, raw)
        except nacl.exceptions.BadSignatureError:
            continue
        return key.hex()
    return ""


def verify(data: bytes, file: Path, keys: Sequence[bytes]) -> str:
    """Check FILE.sig against the keys that may sign; the key that did, in hexadecimal. ConfigError when none did."""
    beside = signature_file(file)
    if not beside.exists():
        raise ConfigError(f"{beside}: missing; this gateway takes signed limits only: hwgw limits sign {file}")
    if key := holder(data, _line(beside), keys, str(beside)):
        return key
    raise ConfigError(
        f"{beside}: not a signature of these limits (hash {digest(data)[:16]}) by any of the {len(keys)} key(s)"
        " that may sign; nothing was changed"
    )
