"""Strategies written in Python and compiled by numba: they run in the data process at native speed, without Python.

SPDX-License-Identifier: MIT

    from hwgw.strategies import strategy

    @strategy(params={"qty": 100, "edge_px": 200}, state_words=8)
    def take(hook, state, out, out_max):
        ...
        return 0

hook is one record of hwgw/specs/hook.yaml, out an array of order records (hwgw/specs/order.yaml), state an array of
int64 whose first words are the parameters in the order given; the rest is zero at the start and the function's own.
The function returns how many orders it wrote. Prices are 1/10,000, quantities shares, times ns.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import specs
from .errors import ConfigError
from .native import ffi, lib
from .settings import Strategy

__all__ = ["Compiled", "load_numba", "strategy"]

_DEPTH_MAX = 10


@dataclass(frozen=True, slots=True)
class Compiled:
    """A Python function to be compiled, with what the pipeline needs to know of it."""

    function: Callable[..., int]
    params: Mapping[str, int]
    state_words: int
    depth: int


def strategy(
    *, params: Mapping[str, int] | None = None, state_words: int = 0, depth: int = 1
) -> Callable[[Callable[..., int]], Compiled]:
    """Mark a function as a strategy. depth: levels wanted, 1 to 10; state_words: int64 words beside the params."""
    if not 1 <= depth <= _DEPTH_MAX:
        raise ConfigError(f"strategy depth {depth}: 1 to {_DEPTH_MAX} levels are allowed")
    return lambda function: Compiled(function, dict(params or {}), state_words, depth)


def _compile(compiled: Compiled) -> Any:
    """The cfunc of a strategy: raw pointers become arrays, then its function is called."""
    try:
        import numba as package
    except ImportError as error:
        raise ConfigError("a numba strategy needs the package numba: pip install hwgw[numba]") from error
    numba: Any = package
    types = numba.types
    hook_type = types.CPointer(numba.from_dtype(specs.dtype("hook", "hook")))
    order_type = types.CPointer(numba.from_dtype(specs.dtype("order", "order")))
    signature = types.int32(hook_type, types.CPointer(types.int64), order_type, types.int32)
    body = numba.njit(compiled.function)
    words = len(compiled.params) + compiled.state_words + 1

    def entry(hook: Any, state: Any, out: Any, out_max: int) -> int:
        cnt: int = body(numba.carray(hook, 1)[0], numba.carray(state, words), numba.carray(out, out_max), out_max)
        return cnt

    return numba.cfunc(signature)(entry)


def load_numba(settings: Strategy) -> tuple[Any, Any]:
    """Import and compile module:function. Returns a struct hwgw_strategy * and what must stay alive with it."""
    module_name, _, attribute = settings.target.partition(":")
    if not module_name or not attribute:
        raise ConfigError(f"strategy {settings.name!r}: numba target {settings.target!r} is not module:function")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        compiled = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"strategy {settings.name!r}: cannot import {settings.target!r}: {error}") from error
    if not isinstance(compiled, Compiled):
        raise ConfigError(f"strategy {settings.name!r}: {settings.target!r} is not marked with @strategy")
    cfunc = _compile(compiled)
    names = [ffi.new("char[]", name.encode()) for name in compiled.params]
    name_list = ffi.new("const char *[]", [*names, ffi.NULL])
    defaults = ffi.new("int64_t[]", [*compiled.params.values(), 0])
    name = ffi.new("char[]", settings.name.encode())
    desc = ffi.new(
        "struct hwgw_strategy *",
        {
            "abi": lib.HWGW_SEGMENT_ABI,
            "state_sz_bytes": 8 * (len(compiled.params) + compiled.state_words + 1),
            "depth": compiled.depth,
            "param_cnt": len(compiled.params),
            "name": name,
            "param_names": name_list,
            "param_defaults": defaults,
            "init": ffi.NULL,
            "fn": ffi.cast("hwgw_strategy_fn", cfunc.address),
        },
    )
    return desc, (desc, cfunc, names, name_list, defaults, name)
