"""A weighted sum of features from a file, evaluated in C: what a model that was fitted elsewhere becomes here.

SPDX-License-Identifier: MIT

The file is an .npz with the arrays

    features  names as in gateway.yaml ("spread", "imbalance:5"), one dimension
    weights   a number for each, in signal per unit of the feature (docs/features.md): fit to rows of hwgw.features
    bias      a number; 0 when it is not there
    enter     a number above 0: at enter or more it buys, at -enter or less it sells
    leave     a number, at most enter; 0 when it is not there: a position whose signal is below it is closed

as np.savez makes it. `use: linear:FILE.npz` in gateway.yaml trades by it (cffi_build/src/strategy_linear.c).
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from . import specs
from .errors import ConfigError, UsageError
from .feature_choice import Wanted, parse_all
from .native import ffi, lib

__all__ = ["WORD", "LinearSignal"]

WORD = "_"
"""The name of parameters that carry the file's content, which nobody sets by hand."""

NEEDED, OPTIONAL = ("features", "weights", "enter"), ("bias", "leave")


@dataclass(frozen=True)
class LinearSignal:
    """Weights by feature, and thresholds; see the module."""

    features: Wanted
    weights: Mapping[str, float]
    enter: float
    bias: float = 0.0
    leave: float = 0.0
    path: str = ""
    _native: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        native = ffi.new("struct hwgw_linear *", {"bias": self.bias, "enter": self.enter, "leave": self.leave})
        for feature in specs.features():
            if feature.name in self.weights:
                native.mask |= 1 << feature.index
                native.weight[feature.index] = self.weights[feature.name]
        object.__setattr__(self, "_native", native)

    @classmethod
    def from_npz(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file; ConfigError names the file, the array, what is wrong with it and what is allowed."""
        name = str(path)
        try:
            with Path(path).open("rb") as raw:
                file = np.load(raw, allow_pickle=False)
                if not isinstance(file, np.lib.npyio.NpzFile):
                    raise ConfigError(f"{name}: a single array; an .npz with {', '.join(NEEDED)} is allowed")
                arrays = {key: file[key] for key in file.files}
        except OSError as error:
            raise ConfigError(f"{name}: {error.strerror or 'not an .npz file'}") from None
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigError(f"{name}: not an .npz file of numbers and names ({error})") from None
        return cls(**_checked(name, arrays), path=name)

    def signal(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """The signal of rows of hwgw.features, by C; UsageError when a feature is not among their columns."""
        missing = [name for name in self.weights if name not in (rows.dtype.names or ())]
        if missing:
            raise UsageError(f"signal: the rows have no {', '.join(missing)}")
        values = np.zeros(len(rows), specs.dtype("features", "features"))
        for name in self.weights:
            values[name] = rows[name]
        signals = np.empty(len(rows))
        lib.hwgw_linear_signals(
            self._native, ffi.cast("struct hwgw_features *", values.ctypes.data), len(rows),
            ffi.cast("double *", signals.ctypes.data),
        )  # fmt: skip
        return signals

    def descriptor(self, name: str) -> tuple[Any, Any]:
        """The strategy as struct hwgw_strategy *, and what must stay alive with it."""
        template = lib.hwgw_strategy_linear()
        words = np.frombuffer(ffi.buffer(self._native), np.int64)
        first = template.param_cnt - len(words)
        defaults = ffi.new("int64_t[]", [*template.param_defaults[0:first], *words.tolist()])
        text = ffi.new("char[]", name.encode())
        desc = ffi.new("struct hwgw_strategy *", template[0])
        desc.param_defaults, desc.name = defaults, text
        return desc, (desc, defaults, text)


def _number(where: str, array: NDArray[Any]) -> float:
    if array.shape != () or array.dtype.kind not in "fiu":
        raise ConfigError(f"{where}: {array.dtype} of shape {array.shape}; one number is allowed")
    if not np.isfinite(array):
        raise ConfigError(f"{where}: {array}; a finite number is allowed")
    return float(array)


def _checked(name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    for key in NEEDED:
        if key not in arrays:
            raise ConfigError(f"{name}: no array {key}; it needs {', '.join(NEEDED)}")
    for key in arrays:
        if key not in NEEDED + OPTIONAL:
            raise ConfigError(f"{name}: unknown array {key}; {', '.join(NEEDED + OPTIONAL)} are allowed")
    names, weights = arrays["features"], arrays["weights"]
    if names.ndim != 1 or names.dtype.kind != "U" or not len(names):
        raise ConfigError(f"{name}: features: {names.dtype} of shape {names.shape}; a list of names is allowed")
    if weights.dtype.kind not in "fiu" or weights.shape != names.shape:
        raise ConfigError(
            f"{name}: weights: {weights.dtype} of shape {weights.shape}; numbers of shape {names.shape}, one for each"
            " feature, are allowed"
        )
    try:
        wanted = parse_all(names.tolist())
    except UsageError as error:
        raise ConfigError(f"{name}: features: {error}") from None
    for feature, weight in zip(wanted, weights.tolist(), strict=True):
        if not np.isfinite(weight):
            raise ConfigError(f"{name}: weights: {weight} of {feature}; finite numbers are allowed")
    numbers = {key: _number(f"{name}: {key}", arrays[key]) for key in ("enter", *OPTIONAL) if key in arrays}
    if numbers["enter"] <= 0:
        raise ConfigError(f"{name}: enter: {numbers['enter']:g}; a number above 0 is allowed")
    if numbers.get("leave", 0.0) > numbers["enter"]:
        raise ConfigError(f"{name}: leave: {numbers['leave']:g}; at most enter ({numbers['enter']:g}) is allowed")
    return {"features": wanted, "weights": dict(zip(wanted, map(float, weights.tolist()), strict=True)), **numbers}
