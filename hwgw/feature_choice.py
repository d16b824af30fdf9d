"""Which features a strategy asks for: by name, checked against hwgw/specs/features.yaml, as a C struct.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import specs
from .errors import UsageError
from .native import ffi

__all__ = ["Wanted", "native_features", "parse", "parse_all"]

Wanted = Mapping[str, int | None]
"""Features by name, each with its parameter; None: the default, or it has none."""


def parse(text: str) -> tuple[str, int | None]:
    """NAME or NAME:PARAMETER; UsageError names the value and what is allowed."""
    name, colon, value = text.partition(":")
    feature = next((feature for feature in specs.features() if feature.name == name), None)
    if feature is None:
        raise UsageError(f"feature {name!r}: unknown; {', '.join(each.name for each in specs.features())} are there")
    if not colon:
        return name, None
    if not feature.param:
        raise UsageError(f"feature {text!r}: {name} has no parameter")
    number = int(value) if value.isascii() and value.isdecimal() else -1
    if not feature.min <= number <= feature.max:
        raise UsageError(f"feature {text!r}: {feature.param} {feature.min} to {feature.max} are allowed")
    return name, number


def parse_all(texts: Iterable[str]) -> dict[str, int | None]:
    """Several of them; none may stand twice."""
    if isinstance(texts, str):
        raise UsageError(f"features {texts!r}: not a list of names")
    wanted: dict[str, int | None] = {}
    for text in texts:
        name, value = parse(text)
        if name in wanted:
            raise UsageError(f"feature {name!r} stands twice; a strategy has one of each")
        wanted[name] = value
    return wanted


def native_features(wanted: Wanted) -> Any:
    """A struct hwgw_features_cfg *."""
    cfg = ffi.new("struct hwgw_features_cfg *")
    for feature in specs.features():
        cfg.param[feature.index] = feature.default
        if feature.name in wanted:
            cfg.mask |= 1 << feature.index
            value = wanted[feature.name]
            cfg.param[feature.index] = feature.default if value is None else value
    return cfg
