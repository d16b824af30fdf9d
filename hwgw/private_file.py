"""Files that only their owner may read: passwords, keys, tokens.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_of_a_unit", "others_mode", "password_in"]

_CREDENTIALS = Path("/run/credentials")  # of systemd.exec(5), a folder for each unit that runs


def others_mode(file: Path) -> int:
    """The mode of a file that others than its owner can read, else 0. OSError when there is none.

    systemd may give a credential by an access control list, whose mask stands where the group's mode does.
    """
    mode = file.stat().st_mode & 0o777
    is_credential = str(file.parent) == os.environ.get("CREDENTIALS_DIRECTORY")
    return mode if mode & (0o037 if is_credential else 0o077) else 0


def is_of_a_unit(file: Path) -> bool:
    """Whether it is a credential that systemd gives to another process than this, and that is not here now."""
    if _CREDENTIALS not in file.parents or str(file.parent) == os.environ.get("CREDENTIALS_DIRECTORY"):
        return False
    return not os.access(file, os.R_OK, effective_ids=True)


def password_in(file: Path) -> tuple[str, str]:
    """The one line of a file that nobody else can read, and what is wrong with it."""
    try:
        mode, text = others_mode(file), file.read_text(encoding="ascii").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        return "", str(error.strerror) if isinstance(error, OSError) else "not ASCII text"
    if mode:
        return text, f"others can read it (mode {mode:04o}); chmod 600 it"
    if not 1 <= len(text) <= 10 or not all("!" <= char <= "~" for char in text):
        return text, "not one line of 1 to 10 printable characters"
    return text, ""
