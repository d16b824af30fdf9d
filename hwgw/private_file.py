"""Files that only their owner may read: passwords, keys, tokens.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["others_mode"]


def others_mode(file: Path) -> int:
    """The mode of a file that others than its owner can read, else 0. OSError when there is none.

    systemd may give a credential by an access control list, whose mask stands where the group's mode does.
    """
    mode = file.stat().st_mode & 0o777
    is_credential = str(file.parent) == os.environ.get("CREDENTIALS_DIRECTORY")
    return mode if mode & (0o037 if is_credential else 0o077) else 0
