"""Generic netlink by name: operations and attributes of the families in specs/ethtool.yaml, to and from Python values.

SPDX-License-Identifier: MIT

Family("netdev").do("napi-get", {"id": 257}) -> {"id": 257, "irq": 41, ...}. Values: int, str, bytes, True for a flag,
a list of int for words, a dict for a nest, a list for what may stand several times. A bit set is a dict name -> bool:
as a value to set it names the bits that are to change. What the table does not know in an answer is left out.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from . import netlink
from .errors import DeviceError, InternalError
from .netlink import KERNEL, Transport
from .specs import reader

__all__ = ["Family", "string_set", "tables"]

_NESTED = 0x8000
_WIDTH = {"u8": "=B", "u32": "=I", "u64": "=Q"}
_BITS = {"nomask": 1, "size": 2, "bits": 3, "value": 4, "mask": 5}
_BIT = {"index": 1, "name": 2, "value": 3}


@cache
def tables() -> Mapping[str, Any]:
    """The whole of specs/ethtool.yaml."""
    path = Path(reader.__file__).parent / "ethtool.yaml"
    document: Mapping[str, Any] = reader.parse(path.read_text(encoding="utf-8"), path.name)
    for name, family in document["families"].items():
        for operation, row in family["operations"].items():
            if row["set"] not in family["sets"]:
                raise InternalError(f"{path.name}: {name}: {operation}: no set {row['set']!r}")
        for set_name, attributes in family["sets"].items():
            numbers = [number for number, _ in attributes.values()]
            if len(set(numbers)) != len(numbers):
                raise InternalError(f"{path.name}: {name}: {set_name}: a number stands twice")
    return document


@cache
def string_set(name: str) -> int:
    """The number of a set of strings."""
    return int(tables()["string_sets"][name])


def _pack_bits(bits: Mapping[str, bool]) -> bytes:
    rows = b""
    for name, is_on in bits.items():
        bit = netlink.pack(_BIT["name"], name.encode() + b"\0")
        rows += netlink.pack(1 | _NESTED, bit + (netlink.pack(_BIT["value"], b"") if is_on else b""))
    return netlink.pack(_BITS["bits"] | _NESTED, rows)


def _unpack_bits(data: bytes) -> dict[str, bool]:
    """A bit set in long form: with a mask every bit it names, else the set ones."""
    parts = netlink.attributes(data)
    found = {}
    for _, row in netlink.every(parts.get(_BITS["bits"], b"")):
        bit = netlink.attributes(row)
        is_on = _BIT["value"] in bit or _BITS["nomask"] in parts
        found[_text(bit.get(_BIT["name"], b""))] = is_on
    return found


def _text(value: bytes) -> str:
    return value.split(b"\0")[0].decode("utf-8", "replace")


class Family:
    """One family on one transport. DeviceError when the kernel has it not."""

    def __init__(self, name: str, via: Transport = KERNEL) -> None:
        self.name, self._via = name, via
        self._table = tables()["families"][name]
        number = netlink.generic_family(name, via)
        if number is None:
            raise DeviceError(f"the kernel has no netlink family {name}")
        self._number = number

    def _encode(self, set_name: str, values: Mapping[str, Any]) -> bytes:
        known, out = self._table["sets"][set_name], b""
        for key, value in values.items():
            number, kind = known[key]
            for one in value if kind.endswith("*") else (value,):
                out += self._attribute(number, kind.rstrip("*"), one)
        return out

    def _attribute(self, number: int, kind: str, value: Any) -> bytes:
        if kind in _WIDTH:
            return netlink.pack(number, struct.pack(_WIDTH[kind], value))
        if kind == "uint":
            return netlink.pack(number, struct.pack("=I" if value < 1 << 32 else "=Q", value))
        if kind == "flag":
            return netlink.pack(number, b"") if value else b""
        if kind == "text":
            return netlink.pack(number, value.encode() + b"\0")
        if kind == "words":
            return netlink.pack(number, struct.pack(f"={len(value)}I", *value))
        if kind == "bytes":
            return netlink.pack(number, value)
        if kind == "bits":
            return netlink.pack(number | _NESTED, _pack_bits(value))
        return netlink.pack(number | _NESTED, self._encode(kind, value))

    def _decode(self, set_name: str, data: bytes) -> dict[str, Any]:
        names = {number: (key, kind) for key, (number, kind) in self._table["sets"][set_name].items()}
        out: dict[str, Any] = {}
        for number, value in netlink.every(data):
            if number not in names:
                continue
            key, kind = names[number]
            one = self._value(kind.rstrip("*"), value)
            if kind.endswith("*"):
                out.setdefault(key, []).append(one)
            else:
                out[key] = one
        return out

    def _value(self, kind: str, value: bytes) -> Any:
        if kind in _WIDTH or kind == "uint":
            return int.from_bytes(value, sys.byteorder)
        if kind == "flag":
            return True
        if kind == "text":
            return _text(value)
        if kind == "words":
            return list(struct.unpack(f"={len(value) // 4}I", value[: len(value) // 4 * 4]))
        if kind == "bytes":
            return value
        return _unpack_bits(value) if kind == "bits" else self._decode(kind, value)

    def _ask(self, operation: str, values: Mapping[str, Any], dump: bool) -> list[dict[str, Any]]:
        row = self._table["operations"][operation]
        question = struct.pack("=BBH", row["number"], 1, 0) + self._encode(row["set"], values)
        answers = netlink.ask(netlink.GENERIC, self._number, question, dump=dump, via=self._via)
        return [self._decode(row["set"], answer[4:]) for answer in answers]

    def has(self, operation: str) -> bool:
        """Whether this kernel has the operation: it lists those of the family."""
        number = self._table["operations"][operation]["number"]
        return number in netlink.generic_operations(self.name, self._via)

    def since(self, operation: str) -> str:
        """The first kernel with this operation, for what is said when it is missing; "" = every one that counts."""
        return str(self._table["operations"][operation].get("since", ""))

    def do(self, operation: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """One question, one answer; {} when the kernel only acknowledged."""
        answers = self._ask(operation, values, dump=False)
        return answers[0] if answers else {}

    def dump(self, operation: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Every row that there is."""
        return self._ask(operation, values or {}, dump=True)
