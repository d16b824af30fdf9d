"""YAML to Table, strictly: what a table does not say exactly is an error that names file, layout and field.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from .model import (
    NUMBER,
    TEXT,
    TYPE_LENGTH,
    TYPES,
    Bits,
    Code,
    Constant,
    Counter,
    Enum,
    Feature,
    Field,
    Layout,
    Ledger,
    Reason,
    Source,
    SpecError,
    Table,
    slug,
)

TABLE_KEYS = {
    "protocol", "title", "version_basis", "byte_order", "transport", "c_struct", "constants", "reasons",
    "layouts", "messages", "packets", "option_tags", "enums", "features", "stages", "per_reason", "ledgers",
    "sources", "uncertain",
}  # fmt: skip
LAYOUT_KEYS = {
    "name", "code", "length", "direction", "versions", "since", "book_effect",
    "stock_locate_use", "appendage", "allowed_tags", "tail", "note", "fields", "confirmed_by",
}  # fmt: skip
FIELD_KEYS = {"name", "offset", "length", "type", "enum", "const", "pad", "count", "bits", "unit", "looser", "note"}
TAG_KEYS = {"tag", "name", "value_length", "type", "default", "note", "confirmed_by"}
APPENDAGE = ("", "none", "optional", "required")
LAYOUT_LISTS = (("layouts", "layout"), ("messages", "message"), ("packets", "packet"))

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_Loader):  # type: ignore[misc]
    """Refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise SpecError(f"line {key_node.start_mark.line + 1}: key {key!r} stands twice")
            seen.add(key)
        result: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return result


def parse(text: str, file: str) -> dict[str, Any]:
    """The YAML document of a table."""
    try:
        document = yaml.load(text, _StrictLoader)
    except SpecError as error:
        raise SpecError(f"{file}: {error}") from None
    except yaml.YAMLError as error:
        raise SpecError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise SpecError(f"{file}: not a mapping")
    return document


def read(path: Path, records: Mapping[str, Layout] | None = None) -> Table:
    """The table in a file; records: layouts of other tables that a field may have as its type."""
    return table(parse(path.read_text(encoding="utf-8"), path.name), path.name, records or {})


def table(document: Mapping[str, Any], file: str, records: Mapping[str, Layout]) -> Table:
    """The table that a parsed document describes."""
    _keys(
        file,
        document,
        TABLE_KEYS,
        ("protocol", "title", "version_basis", "byte_order", "sources", "uncertain"),
    )
    if document["byte_order"] not in ("big", "native"):
        raise SpecError(f"{file}: byte_order is {document['byte_order']!r}, not big or native")
    if document["protocol"] + ".yaml" != file:
        raise SpecError(f"{file}: protocol is {document['protocol']!r}, not the name of the file")
    sources = tuple(Source(str(s["id"]), s["kind"], s["ref"]) for s in document["sources"])
    enums = {name: _enum(file, name, codes) for name, codes in document.get("enums", {}).items()}
    layouts: list[Layout] = []
    known = dict(records)
    for key, kind in LAYOUT_LISTS:
        for item in document.get(key, []):
            layouts.append(_layout(file, item, kind, known, enums))
            known[layouts[-1].name] = layouts[-1]
    layouts.extend(_tag(file, item) for item in document.get("option_tags", []))
    _unique(f"{file}: layout", (x.name for x in layouts))
    _unique(
        f"{file}: code",
        (
            " ".join(filter(None, (x.kind, x.direction, repr(x.code), x.versions)))
            for x in layouts
            if x.code is not None
        ),
    )
    tags = {x.code for x in layouts if x.kind == "tag"}
    for layout in layouts:
        for tag in layout.allowed_tags:
            if tag not in tags:
                raise SpecError(f"{file}: {layout.name}: allowed tag {tag} is not defined")
        for source in layout.confirmed_by:
            if source not in {s.id for s in sources}:
                raise SpecError(f"{file}: {layout.name}: unknown source {source}")
        for field in layout.fields:
            _const(file, layout, field, enums)
    features = _features(file, document.get("features", []))
    if features:
        layouts.append(_features_layout(document["protocol"], features))
    reasons = tuple(Reason(r["code"], r["name"], r["note"]) for r in document.get("reasons", []))
    if [r.code for r in reasons] != list(range(len(reasons))):
        raise SpecError(f"{file}: reasons: codes are not 0, 1, 2 ...")
    _unique(f"{file}: reason", (r.name for r in reasons))
    return Table(
        name=document["protocol"],
        title=document["title"],
        version_basis=document["version_basis"],
        byte_order=document["byte_order"],
        transport=document.get("transport", ""),
        c_struct=document.get("c_struct", False),
        constants=MappingProxyType({n: _constant(file, n, v) for n, v in document.get("constants", {}).items()}),
        layouts=tuple(layouts),
        enums=MappingProxyType(enums),
        reasons=reasons,
        sources=sources,
        uncertain=tuple(document["uncertain"]),
        features=features,
    )


def _features(file: str, items: Iterable[Mapping[str, Any]]) -> tuple[Feature, ...]:
    made = []
    for index, item in enumerate(items):
        where = f"{file}: feature {item.get('name', index)}"
        _keys(where, item, {"name", "unit", "formula", "param", "confirmed_by"}, ("name", "unit", "formula"))
        feature = Feature(index, item["name"], item["unit"], item["formula"])
        if param := item.get("param"):
            _keys(f"{where}: param", param, {"name", "min", "max", "default"}, ("name", "min", "max", "default"))
            if not param["min"] <= param["default"] <= param["max"]:
                raise SpecError(f"{where}: default {param['default']} is not {param['min']} to {param['max']}")
            feature = replace(feature, param=param["name"], **{key: param[key] for key in ("min", "max", "default")})
        made.append(feature)
    _unique(f"{file}: feature", (feature.name for feature in made))
    return tuple(made)


def _features_layout(name: str, features: tuple[Feature, ...]) -> Layout:
    """The record of all features: a signed 64-bit integer each, in their order."""
    fields = tuple(Field(f.name, 8 * f.index, 8, "int", unit=f.unit, note=f.unit) for f in features)
    return Layout(name, "layout", 8 * len(features), fields, note="what was not asked for is 0")


def counters(document: Mapping[str, Any], file: str, reasons: tuple[Reason, ...]) -> tuple[Counter, ...]:
    """The counters in order; those of the reasons follow the stage risk. Index 0 is none."""
    _keys(file, document, TABLE_KEYS, ("stages", "per_reason", "ledgers"))
    result: list[Counter] = []
    for stage, items in document["stages"].items():
        for item in items:
            _keys(f"{file}: {stage}", item, {"name", "unit", "note"}, ("name", "unit", "note"))
            result.append(Counter(len(result), stage, item["name"], item["unit"], item["note"]))
        if stage == "risk":
            for reason in reasons[1:]:
                result.append(Counter(len(result), stage, f"refused_{reason.name}", "orders", reason.note))
    _unique(f"{file}: counter", (c.full_name for c in result))
    if result[0].full_name != "none.none":
        raise SpecError(f"{file}: the first counter is {result[0].full_name}, not none.none")
    return tuple(result)


def ledgers(document: Mapping[str, Any], file: str, known: tuple[Counter, ...]) -> tuple[Ledger, ...]:
    """The sums that must hold, with wildcards expanded to the counters they stand for."""
    names = [counter.full_name for counter in known]

    def expand(ledger: str, pattern: str) -> list[str]:
        stem = pattern.removesuffix("*")
        found = [name for name in names if name == pattern or (stem != pattern and name.startswith(stem))]
        if not found:
            raise SpecError(f"{file}: ledger {ledger}: no counter {pattern}")
        return found

    result = []
    for item in document["ledgers"]:
        name = item["name"]
        _keys(f"{file}: ledger {name}", item, {"name", "total", "used", "drops"}, ("total", "used", "drops"))
        (total,) = expand(name, item["total"])
        used = [n for pattern in item["used"] for n in expand(name, pattern)]
        drops = [n for pattern in item["drops"] for n in expand(name, pattern)]
        _unique(f"{file}: ledger {name}: counter", [total, *used, *drops])
        result.append(Ledger(name, total, tuple(used), tuple(drops)))
    _unique(f"{file}: ledger", (ledger.name for ledger in result))
    return tuple(result)


def _layout(
    file: str, item: Mapping[str, Any], kind: str, records: Mapping[str, Layout], enums: Mapping[str, Enum]
) -> Layout:
    where = f"{file}: {item.get('name', kind)}"
    _keys(where, item, LAYOUT_KEYS, ("name", "length", "fields"))
    if kind != "layout" and "code" not in item:
        raise SpecError(f"{where}: no code")
    if item.get("appendage", "") not in APPENDAGE:
        raise SpecError(f"{where}: appendage is {item['appendage']!r}, not none, optional or required")
    fields = tuple(_field(where, field, records, enums) for field in item["fields"])
    position = 0
    for field in fields:
        if field.offset != position:
            fault = "hole" if field.offset > position else "overlap"
            raise SpecError(f"{where}: {fault}: field {field.name} is at {field.offset}, not {position}")
        position += field.length
    if position != item["length"]:
        raise SpecError(f"{where}: fields end at {position}, length says {item['length']}")
    _unique(f"{where}: field", [f.name for f in fields] + [b.name for f in fields for b in f.bits])
    return Layout(
        name=item["name"],
        kind=kind,
        length=item["length"],
        fields=fields,
        code=item.get("code"),
        direction=item.get("direction"),
        versions=item.get("versions", ""),
        since=item.get("since", ""),
        tail=item.get("tail", ""),
        appendage=item.get("appendage", ""),
        allowed_tags=tuple(item.get("allowed_tags", ())),
        book_effect=item.get("book_effect", ""),
        stock_locate_use=item.get("stock_locate_use", ""),
        note=item.get("note", ""),
        confirmed_by=tuple(item.get("confirmed_by", ())),
    )


def _field(where: str, item: Mapping[str, Any], records: Mapping[str, Layout], enums: Mapping[str, Enum]) -> Field:
    where = f"{where}: {item.get('name', 'field')}"
    _keys(where, item, FIELD_KEYS, ("name", "offset", "length", "type"))
    kind, length, count = item["type"], item["length"], item.get("count", 1)
    for key in ("offset", "length", "count"):
        if key in item and (not isinstance(item[key], int) or item[key] < (key != "offset")):
            raise SpecError(f"{where}: {key} is {item[key]!r}")
    if length % count:
        raise SpecError(f"{where}: length {length} is not a multiple of count {count}")
    if kind in records:
        size = records[kind].length
    elif kind in TYPES:
        size = TYPE_LENGTH.get(kind, length // count)
    else:
        raise SpecError(f"{where}: unknown type {kind!r}")
    if size * count != length:
        raise SpecError(f"{where}: length is {length}, type {kind} needs {size * count}")
    if kind in NUMBER and size not in (1, 2, 4, 6, 8):
        raise SpecError(f"{where}: an integer of {size} bytes is not supported")
    if "enum" in item:
        if item["enum"] not in enums:
            raise SpecError(f"{where}: unknown enum {item['enum']!r}")
        enum = enums[item["enum"]]
        if enum.is_text != (kind in TEXT):
            raise SpecError(f"{where}: enum {enum.name} does not fit type {kind}")
        for code in enum.values:
            if isinstance(code.value, str) and len(code.value) > size:
                raise SpecError(f"{where}: code {code.value!r} of enum {enum.name} is longer than the field")
    return Field(
        name=item["name"],
        offset=item["offset"],
        length=length,
        type=kind,
        enum=item.get("enum"),
        const=item.get("const"),
        pad=item.get("pad"),
        count=count,
        bits=_bits(where, item.get("bits", ()), 8 * length),
        unit=item.get("unit", ""),
        looser=item.get("looser", ""),
        note=item.get("note", ""),
    )


def _bits(where: str, items: Iterable[Mapping[str, Any]], width: int) -> tuple[Bits, ...]:
    result = []
    left = width
    for item in items:
        _keys(f"{where}: bits", item, {"name", "bits"}, ("name", "bits"))
        left -= item["bits"]
        result.append(Bits(item["name"], item["bits"], left))
    if result and left:
        raise SpecError(f"{where}: bits sum to {width - left}, the field has {width}")
    return tuple(result)


def _tag(file: str, item: Mapping[str, Any]) -> Layout:
    """An option as it stands in an appendage: its length, its tag, its value."""
    where = f"{file}: tag {item.get('tag')}"
    _keys(where, item, TAG_KEYS, ("tag", "name", "value_length", "type"))
    length = item["value_length"]
    fields = [
        {"name": "length", "offset": 0, "length": 1, "type": "uint", "const": 1 + length},
        {"name": "tag", "offset": 1, "length": 1, "type": "uint", "const": item["tag"]},
        {"name": "value", "offset": 2, "length": length, "type": item["type"], "note": item.get("note", "")},
    ]
    return Layout(
        name=f"tag_{item['name']}",
        kind="tag",
        length=2 + length,
        fields=tuple(_field(where, field, {}, {}) for field in fields),
        code=item["tag"],
        note=f"default {item['default']}" if "default" in item else "",
        confirmed_by=tuple(item.get("confirmed_by", ())),
    )


def _const(file: str, layout: Layout, field: Field, enums: Mapping[str, Enum]) -> None:
    where = f"{file}: {layout.name}: {field.name}"
    const = field.const
    if const is None:
        return
    if field.type in TEXT:
        if not isinstance(const, str) or len(const) != field.length:
            raise SpecError(f"{where}: const {const!r} is not {field.length} characters")
    elif not isinstance(const, int) or not 0 <= const < 1 << 8 * field.length:
        raise SpecError(f"{where}: const {const!r} does not fit {field.length} bytes")
    if field.name in ("message_type", "packet_type") and const != layout.code:
        raise SpecError(f"{where}: const {const!r} is not the code {layout.code!r}")


def _enum(file: str, name: str, items: Mapping[Any, Any]) -> Enum:
    where = f"{file}: enum {name}"
    codes, ranges = [], []
    is_text = any(isinstance(key, str) and ".." not in key for key in items)
    for key, meaning in items.items():
        if not isinstance(meaning, str) or not slug(meaning):
            raise SpecError(f"{where}: meaning of {key!r} is {meaning!r}, not text")
        if isinstance(key, str) and ".." in key:
            ranges.append((key, meaning))
        elif isinstance(key, bool) or not isinstance(key, str if is_text else int):
            raise SpecError(f"{where}: key {key!r} is not {'a quoted code' if is_text else 'an integer'}")
        else:
            codes.append(Code(key, meaning))
    _unique(f"{where}: meaning", (code.slug for code in codes))
    return Enum(name, tuple(codes), tuple(ranges))


def _constant(file: str, name: str, value: Any) -> Constant:
    note = ""
    if isinstance(value, dict):
        _keys(f"{file}: constant {name}", value, {"value", "note"}, ("value",))
        value, note = value["value"], value.get("note", "")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SpecError(f"{file}: constant {name} is {value!r}, not an integer from 0")
    return Constant(name, value, note)


def _keys(where: str, item: Any, known: set[str], needed: Iterable[str]) -> None:
    if not isinstance(item, dict):
        raise SpecError(f"{where}: {item!r} is not a mapping")
    for key in item:
        if key not in known:
            raise SpecError(f"{where}: unknown key {key!r}; known are {', '.join(sorted(known))}")
    for key in needed:
        if key not in item:
            raise SpecError(f"{where}: no {key}")


def _unique(where: str, names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise SpecError(f"{where} {name} stands twice")
        seen.add(name)
