"""What this hwgw is: version and commit.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from hwgw import __version__, native

__all__ = ["__version__", "commit"]


def commit() -> str:
    """The commit of the working tree when this is one, else the one the native module was built from."""
    tree = Path(__file__).resolve().parent.parent
    if (tree / ".git").exists():
        try:
            command = ["git", "-C", str(tree), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
            answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
        except (OSError, subprocess.SubprocessError):
            pass
        else:
            return answer.stdout.strip()
    return native.build()["commit"]
