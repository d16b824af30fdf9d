"""hwgw: a hardware gateway between an exchange's network and a trading strategy.

SPDX-License-Identifier: MIT

`import hwgw` is cheap; what follows is loaded when it is used: hwgw.rx (receive and send frames), hwgw.capture,
hwgw.send, hwgw.decode(path) (the messages of a file as columns), hwgw.books(path) (rows of its order books) and
hwgw.features(path, ...) (what strategies are called with); hwgw.strategy and hwgw.LinearSignal, which make
strategies; hwgw.attach(name), a running gateway.
"""

from typing import Any

__version__ = "0.1.0"

LAZY = ("capture", "rx", "send")
LAZY_FUNCTIONS = {
    "books": "hwgw.feeds.books",
    "decode": "hwgw.feeds.messages",
    "LinearSignal": "hwgw.linear",
    "attach": "hwgw.live",
    "features": "hwgw.feeds.features",
    "strategy": "hwgw.strategies",
}


def __getattr__(name: str) -> Any:
    """Import a public module or function on first use."""
    import importlib

    if name in LAZY:
        return importlib.import_module(f"hwgw.{name}")
    if name in LAZY_FUNCTIONS:
        return getattr(importlib.import_module(LAZY_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'hwgw' has no attribute {name!r}")
