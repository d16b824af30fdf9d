"""What a table says, as frozen dataclasses: Table > Layout > Field, Enum > Code, Constant.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InternalError

# types whose length is fixed; the others (uint, int, ascii, ascii_number) have the length of their field
TYPE_LENGTH: Mapping[str, int] = {
    "price4": 4,
    "price8": 8,
    "price8x4": 8,
    "int_price4": 4,
    "mac": 6,
    "ipv4": 4,
}
SIGNED = frozenset({"int", "int_price4"})
TEXT = frozenset({"ascii", "ascii_number"})
RAW = TEXT | {"mac"}
NUMBER = frozenset({"uint", "price4", "price8", "price8x4", "ipv4"}) | SIGNED
TYPES = NUMBER | RAW


class SpecError(InternalError):
    """A table that contradicts itself: names the file, the layout and the field."""


def slug(meaning: str) -> str:
    """The identifier of an enum code: its meaning up to the first punctuation, in snake case."""
    return re.sub(r"[^a-z0-9]+", "_", re.split(r"[,;:(/.=]", meaning)[0].strip().lower()).strip("_")


@dataclass(frozen=True, slots=True)
class Constant:
    """A named number of a protocol or of a record."""

    name: str
    value: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """One value of an enum."""

    value: int | str
    meaning: str

    @property
    def slug(self) -> str:
        """The identifier of the code."""
        return slug(self.meaning)


@dataclass(frozen=True, slots=True)
class Enum:
    """What the values of a field mean; ranges ("1..9", meaning) are documentation only."""

    name: str
    values: tuple[Code, ...]
    ranges: tuple[tuple[str, str], ...] = ()

    @property
    def is_text(self) -> bool:
        """True when the codes are characters."""
        return any(isinstance(code.value, str) for code in self.values)

    def code(self, name: str) -> int | str:
        """The value whose slug is name."""
        for code in self.values:
            if code.slug == name:
                return code.value
        raise KeyError(f"enum {self.name} has no {name}; it has {', '.join(code.slug for code in self.values)}")

    def meaning(self, value: int | str) -> str | None:
        """What value means; None when it has no meaning of its own."""
        return next((code.meaning for code in self.values if code.value == value), None)


@dataclass(frozen=True, slots=True)
class Bits:
    """A part of an integer field; shift counts from the least significant bit."""

    name: str
    width: int
    shift: int


@dataclass(frozen=True, slots=True)
class Field:
    """One field: offset and length in bytes, length over all count elements.

    Of a limit, looser says which change lets more pass: up, down, clear (a bit of a mask) or, bit by bit of its enum,
    such as "enabled up, collar_both down".
    """

    name: str
    offset: int
    length: int
    type: str
    enum: str | None = None
    const: int | str | None = None
    pad: str | None = None
    count: int = 1
    bits: tuple[Bits, ...] = ()
    unit: str = ""
    looser: str = ""
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes of one element."""
        return self.length // self.count

    @property
    def is_number(self) -> bool:
        """True for integers of any meaning."""
        return self.type in NUMBER

    @property
    def is_signed(self) -> bool:
        """True for two's complement."""
        return self.type in SIGNED

    @property
    def is_record(self) -> bool:
        """True when the type is another layout."""
        return self.type not in TYPES


@dataclass(frozen=True, slots=True)
class Layout:
    """Contiguous fields of fixed offsets. kind: layout, message, packet or tag."""

    name: str
    kind: str
    length: int
    fields: tuple[Field, ...]
    code: int | str | None = None
    direction: str | None = None
    versions: str = ""
    since: str = ""
    tail: str = ""
    appendage: str = ""
    allowed_tags: tuple[int, ...] = ()
    book_effect: str = ""
    stock_locate_use: str = ""
    note: str = ""
    confirmed_by: tuple[str, ...] = ()

    def field(self, name: str) -> Field:
        """The field with this name."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"layout {self.name} has no field {name}; it has {', '.join(f.name for f in self.fields)}")


@dataclass(frozen=True, slots=True)
class Feature:
    """A number made of the book for strategies; param is the name of its parameter, "" when it has none."""

    index: int
    name: str
    unit: str
    formula: str
    param: str = ""
    min: int = 0
    max: int = 0
    default: int = 0


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the risk gate refuses, or why it halted."""

    code: int
    name: str
    note: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where facts come from."""

    id: str
    kind: str
    ref: str


@dataclass(frozen=True, slots=True)
class Table:
    """One file of hwgw/specs."""

    name: str
    title: str
    version_basis: str
    byte_order: str
    transport: str
    c_struct: bool
    constants: Mapping[str, Constant]
    layouts: tuple[Layout, ...]
    enums: Mapping[str, Enum]
    reasons: tuple[Reason, ...]
    sources: tuple[Source, ...]
    uncertain: tuple[str, ...]
    features: tuple[Feature, ...] = ()

    def layout(self, name: str) -> Layout:
        """The layout with this name, of any kind."""
        for layout in self.layouts:
            if layout.name == name:
                return layout
        raise KeyError(f"table {self.name} has no layout {name}; it has {', '.join(x.name for x in self.layouts)}")

    def enum(self, name: str) -> Enum:
        """The enum with this name."""
        return self.enums[name]

    def constant(self, name: str) -> int:
        """The value of a constant."""
        return self.constants[name].value

    def message(self, code: int | str, direction: str | None = None) -> Layout:
        """The message or packet with this code; of several versions the first."""
        for layout in self.layouts:
            fits = direction is None or layout.direction in (direction, "both")
            if layout.kind in ("message", "packet") and layout.code == code and fits:
                return layout
        raise KeyError(f"table {self.name} has no message {code!r}" + (f" {direction}" if direction else ""))


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of the data plane; role is drop (a unit that ended here) or count."""

    index: int
    stage: str
    name: str
    unit: str
    note: str

    @property
    def full_name(self) -> str:
        """stage.name."""
        return f"{self.stage}.{self.name}"

    @property
    def role(self) -> str:
        """Either drop, a unit that ended here, or count."""
        return "drop" if self.name.startswith(("drop_", "refused_")) else "count"


@dataclass(frozen=True, slots=True)
class Ledger:
    """total = sum(used) + sum(drops), in names of counters; wildcards are expanded."""

    name: str
    total: str
    used: tuple[str, ...]
    drops: tuple[str, ...]
