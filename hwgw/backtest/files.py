"""What a backtest leaves in a folder: result.json, report.html, the journal; Parquet of fills, accounts, orders.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import recfunctions

from hwgw.errors import UsageError
from hwgw.feeds.tables import rows_table
from hwgw.feeds.writers import arrow_module
from hwgw.journal.virtual import BACKTEST, VirtualJournal, is_backtest

from .report import page

if TYPE_CHECKING:
    from .run import Result

__all__ = ["parts", "prepare", "write"]

JOURNALS = "*.journal"


def parts(folder: Path, feeds: Sequence[Path]) -> list[Path]:
    """Where what came of each feed goes."""
    return [folder] if len(feeds) == 1 else [folder / f"{i:03d}-{feed.stem}" for i, feed in enumerate(feeds, 1)]


def prepare(folder: Path, feeds: Sequence[Path]) -> None:
    """Make the folder before the work is done; an error names what is wrong with it.

    A journal of an earlier backtest is replaced, one of a gateway never.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder}: it is no folder; a folder, or the name of a new one, is allowed")
    arrow_module("pyarrow.parquet")
    if live := [file for part in parts(folder, feeds) for file in part.glob(JOURNALS) if not is_backtest(file)]:
        raise UsageError(f"--out {folder}: {live[0]} is of no backtest; a folder without such a journal is allowed")
    folder.mkdir(parents=True, exist_ok=True)


def _journal(part: Path, result: Result) -> list[Path]:
    """Its records as a journal, in the place of one of an earlier backtest."""
    with TemporaryDirectory(prefix=".journal-", dir=part) as scratch:
        settings, reason = result.settings, BACKTEST + result.path.name
        with VirtualJournal(Path(scratch), settings.name, settings.symbols, reason) as journal:
            for records in result.journal:
                journal.put(records)
        for file in filter(is_backtest, part.glob(JOURNALS)):
            file.unlink()
        return [file.rename(part / file.name) for file in journal.files]


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
    """Write everything; the files, each whole or not there. Results have their journal (run.run: keep_journal)."""
    parquet = arrow_module("pyarrow.parquet")
    written: list[Path] = []
    for result, part in zip(results, parts(folder, [result.path for result in results]), strict=True):
        part.mkdir(exist_ok=True)
        written += _journal(part, result)
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
