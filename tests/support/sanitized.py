"""A plugin of pytest: tests run with the hwgw._native that HWGW_SANITIZED names instead of the one that is installed.

SPDX-License-Identifier: MIT

Its sanitizers have to be there before Python is: the process is started with them preloaded, those that it starts are
not.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

NAME = "hwgw._native"


def preloads() -> str:
    """The libraries that such a process begins with; C++'s, so that what is loaded later may throw."""
    found = []
    for library in ("libasan.so", "libubsan.so", "libstdc++.so"):
        said = subprocess.run(["cc", f"-print-file-name={library}"], capture_output=True, text=True, check=True)
        found.append(said.stdout.strip())
    return " ".join(found)


def _load(path: Path) -> None:
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)


def _headers(folder: Path) -> None:
    """What strategies of tests are compiled against, beside the module as where it is installed."""
    installed = importlib.util.find_spec(NAME)
    assert installed is not None
    assert installed.origin is not None
    shutil.copytree(Path(installed.origin).parent / "include", folder / "include", dirs_exist_ok=True)


if wanted := os.environ.pop("HWGW_SANITIZED", ""):
    os.environ.pop("LD_PRELOAD", None)
    _headers(Path(wanted).parent)
    _load(Path(wanted))


def pytest_unconfigure() -> None:
    """Say what was tested, for who started this."""
    from hwgw import native

    assert native.lib is sys.modules[NAME].lib
    print(f"tested: {sys.modules[NAME].__file__}", file=sys.stderr)
