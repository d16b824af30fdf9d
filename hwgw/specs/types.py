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

Prices are 1/10,000, quantities shares, times ns. The objects themselves are numba's records and arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Features", "Hook", "Level", "Order", "Orders", "State"]

State = NDArray[np.int64]
"""The parameters in their order, then the function's own words, 0 at the start."""
'''
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


def text() -> Iterator[str]:
    """The module, line by line."""
    yield HEAD
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
