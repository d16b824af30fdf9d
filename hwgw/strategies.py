"""Strategies written in Python and compiled by numba: they run in the data process at native speed, without Python.

SPDX-License-Identifier: MIT

    import hwgw
    from hwgw.strategy_types import Cause

    @hwgw.strategy(params={"qty": 100}, state_words=8, features=["spread", "imbalance:5"])
    def take(hook, state, out, out_max):
        if hook.cause != Cause.BOOK or hook.features.imbalance < 40_000:
            return 0
        ...

hook is one record of hwgw/specs/hook.yaml with the book, the features asked for and the position; out is an array of
order records (hwgw/specs/order.yaml); state is an array of int64 whose first words are the parameters in the order
given; the rest is zero at the start and the function's own. The function returns how many orders it wrote. Prices are
1/10,000, quantities shares, times ns; units of features: docs/features.md. hwgw.strategy_types has all of it as types,
and the codes by name:

    from hwgw.strategy_types import Hook, Orders, State

    def take(hook: Hook, state: State, out: Orders, out_max: int) -> int: ...
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import specs
from .errors import ConfigError, UsageError
from .feature_choice import Wanted, parse_all
from .native import ffi, lib
from .settings import Strategy

__all__ = ["Compiled", "declared", "load_numba", "strategy"]

_DEPTH_MAX = 10


@dataclass(frozen=True, slots=True)
class Compiled:
    """A Python function to be compiled, with what the pipeline needs to know of it."""

    function: Callable[..., int]
    params: Mapping[str, int]
    state_words: int
    depth: int
    features: Wanted


def strategy(
    *,
    params: Mapping[str, int] | None = None,
    state_words: int = 0,
    depth: int = 1,
    features: Iterable[str] = (),
) -> Callable[[Callable[..., int]], Compiled]:
    """Mark a function as a strategy; `use: numba:MODULE:FUNCTION` in gateway.yaml takes it.

    params: names and defaults, to be set in gateway.yaml. state_words: int64 words beside them. depth: levels wanted of
    each side, 1 to 10. features: what hook.features is to hold, as in gateway.yaml, whose `features` change parameters
    and add to them. ConfigError: a depth or feature that is not there.
    """
    if not 1 <= depth <= _DEPTH_MAX:
        raise ConfigError(f"strategy depth {depth}: 1 to {_DEPTH_MAX} levels are allowed")
    try:
        wanted = parse_all(features)
    except UsageError as error:
        raise ConfigError(f"strategy: {error}") from None
    return lambda function: Compiled(function, dict(params or {}), state_words, depth, wanted)


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


def declared(settings: Strategy) -> Compiled:
    """Import module:function of a numba strategy; ConfigError when it is none."""
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
    return compiled


def load_numba(settings: Strategy) -> tuple[Any, Any]:
    """Import and compile module:function. Returns a struct hwgw_strategy * and what must stay alive with it."""
    compiled = declared(settings)
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
