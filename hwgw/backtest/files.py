"""What a backtest leaves in a folder: result.json, report.html, and Parquet of fills, accounts and orders.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import recfunctions

from hwgw.errors import UsageError
from hwgw.feeds.tables import rows_table
from hwgw.feeds.writers import arrow_module

from .report import page

if TYPE_CHECKING:
    from .run import Result

__all__ = ["prepare", "write"]


def prepare(folder: Path) -> None:
    """Make the folder before the work is done; an error names what is wrong with it."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder}: it is no folder; a folder, or the name of a new one, is allowed")
    arrow_module("pyarrow.parquet")
    folder.mkdir(parents=True, exist_ok=True)


def _orders(result: Result) -> np.ndarray[Any, Any]:
    """Every record of the gate: verdict and order, without the fill of the record."""
    verdict = result.records["record"]["verdict"]
    found: np.ndarray[Any, Any] = recfunctions.append_fields(
        np.ascontiguousarray(result.records["order"]), "verdict", verdict, usemask=False
    )
    return found


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of one run as columns: its parameters by name, counts by what they count."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        if key == "params":
            found |= {f"param_{name}": text for name, _, text in (each.partition("=") for each in value)}
        elif isinstance(value, Mapping):
            found |= {f"{key}_{name}": cnt for name, cnt in value.items()}
        else:
            found[key] = "; ".join(value) if isinstance(value, list) else value
    return found


def write(
    folder: Path,
    results: Sequence[Result],
    document: Mapping[str, Any],
    delays: Sequence[dict[str, Any]] = (),
    sweep: Sequence[dict[str, Any]] = (),
    walked: Sequence[dict[str, Any]] = (),
) -> list[Path]:
    """Write everything; the files, each whole or not there."""
    parquet = arrow_module("pyarrow.parquet")
    written = []
    for index, result in enumerate(results):
        part = folder if len(results) == 1 else folder / f"{index + 1:03d}-{result.path.stem}"
        part.mkdir(exist_ok=True)
        tables = {"fills": result.fills, "accounts": result.samples, "orders": _orders(result)}
        for name, rows in tables.items():
            parquet.write_table(rows_table(rows), part / f"{name}.parquet")
            written.append(part / f"{name}.parquet")
    for name, runs in (("sweep", sweep), ("walk_forward", walked), ("latency", delays)):
        if runs:
            parquet.write_table(
                arrow_module("pyarrow").Table.from_pylist([_flat(row) for row in runs]), folder / f"{name}.parquet"
            )
            written.append(folder / f"{name}.parquet")
    for name, text in (
        ("result.json", json.dumps(document, indent=1, allow_nan=False) + "\n"),
        ("report.html", page(results, delays, sweep, walked)),
    ):
        (folder / name).write_text(text, encoding="utf-8")
        written.append(folder / name)
    return written
