"""Tables to Python types: what the function of a numba strategy is given, for editors and type checkers.

    python -m hwgw.specs.types hwgw

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from . import features, load
from .emit import main
from .model import Field, Layout

HEAD = '''"""What a numba strategy is given, as types; made from the tables by `python -m hwgw.specs.types hwgw`.

SPDX-License-Identifier: MIT

    def take(hook: Hook, state: State, out: Orders, out_max: int) -> int: ...

Prices are 1/10,000, quantities shares, times ns. The objects themselves are numba's records and arrays; the codes are
numbers with names, which numba compiles to the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SAME_INSTRUMENT",
    "Cause",
    "Features",
    "Hook",
    "HookFlags",
    "Kind",
    "Level",
    "Order",
    "OrderFlags",
    "Orders",
    "Side",
    "State",
    "Tif",
    "Type",
]

State = NDArray[np.int64]
"""The parameters in their order, then the function's own words, 0 at the start."""
'''
ENUMS = (
    ("hook", "cause", "Cause"),
    ("hook", "flags", "HookFlags"),
    ("order", "kind", "Kind"),
    ("order", "side", "Side"),
    ("order", "type", "Type"),
    ("order", "tif", "Tif"),
    ("order", "flags", "OrderFlags"),
)
LAYOUTS = (("hook", "level"), ("features", "features"), ("order", "order"), ("hook", "hook"))
HIDDEN = ("reserved", "pad")


def _type(field: Field) -> str:
    base = field.type.capitalize() if field.is_record else "int"
    return f"Sequence[{base}]" if field.count > 1 else base


def _about(table: str, layout: Layout, field: Field) -> str:
    if layout.name == "features":
        feature = next(each for each in features() if each.name == field.name)
        return f"{feature.unit}: {feature.formula}"
    values = load(table).enum(field.enum).values if field.enum else ()
    codes = ", ".join(f"{code.value} {code.meaning}" for code in values)
    return "; ".join(filter(None, (codes, field.note)))


def _wrapped(text: str) -> Iterator[str]:
    import textwrap

    lines = textwrap.wrap(text[0].upper() + text[1:], 110)
    yield f'    """{lines[0]}' + ('"""' if len(lines) == 1 else "")
    yield from (f"    {line}" for line in lines[1:-1])
    if len(lines) > 1:
        yield f'    {lines[-1]}"""'


def _codes(table: str, enum: str, name: str) -> Iterator[str]:
    yield f"\nclass {name}(IntEnum):"
    yield f'    """Codes `{enum}` of hwgw/specs/{table}.yaml."""\n'
    for code in load(table).enum(enum).values:
        yield f"    {code.meaning.upper().replace(' ', '_')} = {code.value}"
    yield ""


def text() -> Iterator[str]:
    """The module, line by line."""
    yield HEAD
    yield "SAME_INSTRUMENT = 0xFFFFFFFF"
    yield '"""Of an order: the instrument that the hook speaks of."""\n'
    for table, enum, name in ENUMS:
        yield from _codes(table, enum, name)
    for table, name in LAYOUTS:
        layout = load(table).layout(name)
        yield f"\nclass {name.capitalize()}(Protocol):"
        yield f'    """One record `{name}` of hwgw/specs/{table}.yaml."""\n'
        for field in layout.fields:
            if field.name in HIDDEN:
                continue
            yield f"    {field.name}: {_type(field)}"
            if about := _about(table, layout, field):
                yield from _wrapped(about)
        yield ""
    yield "\nOrders = Sequence[Order]"
    yield '"""Room for out_max orders, to be filled from the first on."""'


def files() -> dict[str, str]:
    """The module by its file name."""
    return {"strategy_types.py": "\n".join(text()) + "\n"}


if __name__ == "__main__":
    sys.exit(main("hwgw.specs.types", sys.argv[1:], files))
