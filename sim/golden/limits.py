"""Golden limits table: the bytes of hwgw/specs/risk.yaml to plain integers and back, and whether they may be used.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any

from hwgw_sim.golden import crc32c

from hwgw import specs

LAYOUT = specs.load("risk").layout("limits")
RECORDS = {layout.name: layout for name in ("breaker", "risk") for layout in specs.load(name).layouts}
CHECKSUM_SZ = LAYOUT.field("checksum").length

Record = dict[str, Any]


@lru_cache(maxsize=10_000)
def unpack(data: bytes, layout: str = LAYOUT.name) -> Record:
    """Every field of a record by its layout: integers, lists, and records within it as dicts, to be read only."""
    record: Record = {}
    for field in RECORDS[layout].fields:
        values: list[Any] = []
        for at in range(field.offset, field.offset + field.length, field.size):
            raw = data[at : at + field.size]
            if field.is_record:
                values.append(unpack(raw, field.type))
            else:
                values.append(int.from_bytes(raw, "little", signed=field.is_signed))
        record[field.name] = values if field.count > 1 else values[0]
    return record


def pack(record: Record, layout: specs.Layout = LAYOUT) -> bytes:
    """The bytes of a record; a field or element that is not given is 0."""
    data = bytearray(layout.length)
    if not record:
        return bytes(data)
    for field in layout.fields:
        given = record.get(field.name, [])
        values = given if field.count > 1 else [given or 0]
        assert len(values) <= field.count, field.name
        for at, value in zip(itertools.count(field.offset, field.size), values, strict=False):
            if field.is_record:
                raw = pack(value or {}, RECORDS[field.type])
            else:
                raw = int(value).to_bytes(field.size, "little", signed=field.is_signed)
            data[at : at + field.size] = raw
    return bytes(data)


def seal(record: Record) -> bytes:
    """A whole table with its checksum."""
    body = pack(record)[CHECKSUM_SZ:]
    return crc32c(body).to_bytes(CHECKSUM_SZ, "little") + body


def is_sound(data: bytes | None, generation: int) -> bool:
    """May this table be taken as that generation."""
    if data is None or len(data) != LAYOUT.length:
        return False
    record = unpack(data)
    return record["checksum"] == crc32c(data[CHECKSUM_SZ:]) and 0 != generation == record["generation"]


def none() -> Record:
    """The limits before any table is taken: every limit 0, every check on."""
    return unpack(bytes(LAYOUT.length)) | {"checks_enabled": 0xFFFFFFFF}
