"""The compiled data plane as Python sees it; the only importer of hwgw._native.

SPDX-License-Identifier: MIT

Status codes of set-up functions become exceptions here: `call(lib.hwgw_books_open, out, cfg)` adds the error argument
and raises what it says. Texts of C come out as str.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import BY_EXIT_CODE, HwgwError, InternalError

try:
    from hwgw._native import ffi, lib
except ImportError as error:
    raise InternalError(f"the native module cannot be loaded ({error}); in a source tree run: make build") from error

__all__ = [
    "Backend",
    "abi",
    "backend",
    "backends",
    "build",
    "builtin_strategies",
    "call",
    "check",
    "ffi",
    "lib",
    "new_error",
    "text",
]

BACKENDS = ("afxdp", "packet", "udp", "pcap", "dpdk", "card")
"""Receive backends of this version, in order of preference; each may still be unavailable on a machine."""


def new_error() -> Any:
    """A struct hwgw_error for a call."""
    return ffi.new("struct hwgw_error *")


def text(value: Any) -> str:
    """A C string or a zero-padded or space-padded char array as str."""
    raw: bytes = ffi.string(value)
    return raw.decode("utf-8", "replace").rstrip(" ")


def check(status: int, error: Any) -> None:
    """Raise the exception of a status other than HWGW_OK; error is the struct the call filled."""
    if status == lib.HWGW_OK:
        return
    message = text(error.text) or f"the data plane gave status {status} without a text"
    raise BY_EXIT_CODE.get(status, HwgwError)(message)


def call(function: Callable[..., int], *args: Any) -> None:
    """Call a set-up function whose last parameter is a struct hwgw_error, and raise what it reports."""
    error = new_error()
    check(function(*args, error), error)


def abi() -> int:
    """The ABI number of the records and of the shared segment."""
    return int(lib.HWGW_SEGMENT_ABI)


def build() -> dict[str, str]:
    """What the native module was built from: version, commit, compiler, march, xdp_missing."""
    info = lib.hwgw_build()
    return {name: text(getattr(info, name)) for name in ("version", "commit", "compiler", "march", "xdp_missing")}


def builtin_strategies() -> dict[str, tuple[str, ...]]:
    """The strategies of the data plane and the names of their parameters."""
    found = {}
    for idx in range(lib.hwgw_strategy_cnt()):
        strategy = lib.hwgw_strategy_at(idx)
        found[text(strategy.name)] = tuple(text(strategy.param_names[i]) for i in range(strategy.param_cnt))
    return found


class Backend:
    """Whether a receive backend can be used here, and why not."""

    __slots__ = ("available", "name", "reason")

    def __init__(self, name: str, available: bool, reason: str) -> None:
        self.name, self.available, self.reason = name, available, reason


def backend(name: str) -> Backend:
    """One receive backend, asked whether it can run here."""
    reason = ffi.new("char[]", 400)
    available = bool(lib.hwgw_rx_available(name.encode(), reason, 400))
    return Backend(name, available, "" if available else text(reason))


def backends() -> tuple[Backend, ...]:
    """Every receive backend of this version, asked whether it can run here; dpdk loads DPDK's libraries to know."""
    return tuple(backend(name) for name in BACKENDS)
