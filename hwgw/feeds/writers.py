"""Decoded messages as text for people, or as JSON, CSV and Parquet with the integers of the wire.

SPDX-License-Identifier: MIT

A writer gets one batch after the other and is closed at the end. JSON and CSV keep the order of the file; Parquet has
one file per type. JSON, CSV and Parquet carry raw integers (price4: 1/10,000, price8: 1/100,000,000, timestamp: ns
since midnight) and text as on the wire, with its padding; only the table is made to be read by people.
"""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwgw.errors import UsageError
from hwgw.specs import Layout

from .columns import LAYOUTS, SYMBOL, TypeColumns
from .source import Batch

FORMATS = ("table", "json", "csv", "parquet")
SCALES = {"price4": 4, "price8": 8}
HEADER = ("message_type", "stock_locate", "tracking_number", "timestamp")
NS_PER_S = 1_000_000_000


class Writer(Protocol):
    """What decode calls."""

    def write(self, batch: Batch, parts: list[TypeColumns], broken: list[tuple[int, str]]) -> None:
        """Take one batch: its wanted messages by type, and those that cannot be decoded."""

    def close(self) -> None:
        """Finish the output."""


def _strings(values: NDArray[Any]) -> list[str]:
    """Wire text as str; NumPy cuts trailing zero bytes, the wire pads with spaces."""
    return [value.decode("latin-1") for value in values.tolist()]


def _values(part: TypeColumns) -> list[list[Any]]:
    """The fields of the messages as Python values, one list per field."""
    columns = [part.column(field.name) for field in part.layout.fields]
    return [_strings(column) if column.dtype.kind == "S" else column.tolist() for column in columns]


class JsonWriter:
    """One object per line: seq, then the fields of the table; a message that cannot be decoded has error and bytes."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode

    def write(self, batch: Batch, parts: list[TypeColumns], broken: list[tuple[int, str]]) -> None:
        """Write the lines of a batch in the order of the file."""
        lines: dict[int, str] = {}
        for part in parts:
            names = ("seq", *(field.name for field in part.layout.fields))
            seqs = batch.messages["seq"][part.rows].tolist()
            objects = (dict(zip(names, row, strict=True)) for row in zip(seqs, *_values(part), strict=True))
            lines.update(zip(part.rows.tolist(), map(self._encode, objects), strict=True))
        for row, cause in broken:
            message = batch.messages[row]
            start = int(message["offset"])
            found = bytes(batch.data[start : start + int(message["len"])])
            line = {"seq": int(message["seq"]), "message_type": chr(found[0]) if found else ""}
            lines[row] = self._encode(line | {"error": cause, "bytes": found.hex()})
        self._file.writelines(f"{lines[row]}\n" for row in sorted(lines))

    def close(self) -> None:
        """Nothing is left over."""


class CsvWriter:
    """One table: seq and every field of the wanted types; a cell is empty where the type has no such field."""

    def __init__(self, file: IO[str], types: Iterable[str]) -> None:
        names = {field.name: None for code in LAYOUTS if code in types for field in LAYOUTS[code].fields}
        self._names = tuple(names)
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(("seq", *self._names))

    def write(self, batch: Batch, parts: list[TypeColumns], broken: list[tuple[int, str]]) -> None:
        """Fill whole columns and write them row by row in C."""
        rows = np.sort(np.concatenate([part.rows for part in parts])) if parts else np.empty(0, np.intp)
        cells = {name: np.full(len(rows), "", object) for name in self._names}
        for part in parts:
            places = np.searchsorted(rows, part.rows)
            for field, values in zip(part.layout.fields, _values(part), strict=True):
                cells[field.name][places] = values
        seqs = batch.messages["seq"][rows].tolist()
        self._writer.writerows(zip(seqs, *(cells[name].tolist() for name in self._names), strict=True))

    def close(self) -> None:
        """Nothing is left over."""


def arrow_module(name: str) -> Any:
    """A module of pyarrow, which is an extra."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError("Arrow and Parquet need pyarrow: pip install 'hwgw[parquet]'") from None


def arrow_table(batch: Batch, part: TypeColumns) -> Any:
    """The messages of one type as an Arrow table: seq and its fields, text as strings."""
    columns = {"seq": batch.messages["seq"][part.rows]}
    return arrow_module("pyarrow").table(
        columns | {field.name: _arrow_column(part, field.name) for field in part.layout.fields}
    )


def _arrow_column(part: TypeColumns, name: str) -> Any:
    arrow = arrow_module("pyarrow")
    values = np.ascontiguousarray(part.column(name))
    if values.dtype.kind != "S":
        return arrow.array(values)
    size = values.dtype.itemsize
    raw = arrow.Array.from_buffers(arrow.binary(size), len(values), [None, arrow.py_buffer(values.tobytes())])
    try:
        return raw.cast(arrow.binary()).cast(arrow.string())
    except arrow.ArrowInvalid:  # no UTF-8: bytes that ASCII does not have
        return arrow.array(_strings(values))


class ParquetWriter:
    """One file for one type, else a folder with a file per type that occurs."""

    def __init__(self, path: Path, types: Iterable[str]) -> None:
        self._parquet = arrow_module("pyarrow.parquet")
        self._path = path
        self._is_folder = len(set(types)) != 1
        if self._is_folder:
            path.mkdir(exist_ok=True)
        self._writers: dict[str, Any] = {}

    def write(self, batch: Batch, parts: list[TypeColumns], broken: list[tuple[int, str]]) -> None:
        """Write one row group per type."""
        for part in parts:
            table = arrow_table(batch, part)
            name = part.layout.name
            if name not in self._writers:
                path = self._path / f"{name}.parquet" if self._is_folder else self._path
                self._writers[name] = self._parquet.ParquetWriter(path, table.schema)
            self._writers[name].write_table(table)

    def close(self) -> None:
        """Write the footers."""
        for writer in self._writers.values():
            writer.close()


class TableWriter:
    """Columns for people: number, time of day, type, symbol, and the other fields by name; prices are decimal."""

    LINE = "{:>10}  {:<18}  {} {:<27} {:<8}  {}\n"

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._symbols: dict[tuple[int, int], str] = {}
        file.write(self.LINE.format("seq", "time", "t", "message", "symbol", "fields").replace("  \n", "\n"))

    def write(self, batch: Batch, parts: list[TypeColumns], broken: list[tuple[int, str]]) -> None:
        """Write the lines of a batch in the order of the file."""
        rows: list[tuple[int, Layout, tuple[Any, ...]]] = []
        for part in parts:
            rows += zip(
                part.rows.tolist(), (part.layout,) * len(part.rows), zip(*_values(part), strict=True), strict=True
            )
        messages = batch.messages
        lines = dict(broken)
        text = {row: (layout, values) for row, layout, values in sorted(rows, key=lambda each: each[0])}
        for row in sorted(text.keys() | lines.keys()):
            seq = int(messages["seq"][row])
            if row in lines:
                start, length = int(messages["offset"][row]), int(messages["len"][row])
                found = f"{lines[row]} {bytes(batch.data[start : start + length]).hex()}"
                self._file.write(self.LINE.format(seq, "", "?", "not decoded", "", found))
            else:
                self._file.write(self._line(seq, int(messages["channel"][row]), *text[row]))

    def _line(self, seq: int, channel: int, layout: Layout, values: tuple[Any, ...]) -> str:
        named = dict(zip((field.name for field in layout.fields), values, strict=True))
        key = (channel, named["stock_locate"])
        symbol = str(named.get(SYMBOL, "")).rstrip() or self._symbols.get(key, "")
        if symbol and named["stock_locate"]:
            self._symbols[key] = symbol
        shown = (field for field in layout.fields if field.name not in (*HEADER, SYMBOL))
        fields = " ".join(f"{field.name}={readable(named[field.name], field.type)}" for field in shown)
        time = clock(named["timestamp"])
        return self.LINE.format(seq, time, layout.code, layout.name, symbol, fields)

    def close(self) -> None:
        """Nothing is left over."""


def readable(value: Any, kind: str) -> str:
    """A field for people: exact decimal price, text without its padding."""
    if kind in SCALES:
        return f"{Decimal(value).scaleb(-SCALES[kind]):f}"
    return str(value).rstrip() or "-"


def clock(timestamp_ns: int) -> str:
    """Nanoseconds since midnight as HH:MM:SS.nnnnnnnnn."""
    seconds, ns = divmod(timestamp_ns, NS_PER_S)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ns:09}"
