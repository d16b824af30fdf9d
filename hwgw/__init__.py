"""hwgw: a hardware gateway between an exchange's network and a trading strategy.

SPDX-License-Identifier: MIT

`import hwgw` is cheap; hwgw.rx (receive and send frames) and hwgw.capture are loaded when they are used.
"""

from types import ModuleType

__version__ = "0.1.0"

LAZY = ("capture", "rx")


def __getattr__(name: str) -> ModuleType:
    """Import a public module on first use."""
    if name not in LAZY:
        raise AttributeError(f"module 'hwgw' has no attribute {name!r}")
    import importlib

    return importlib.import_module(f"hwgw.{name}")
