"""hwgw decode: the messages of a file.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from hwgw.errors import CheckFailed, UsageError

from .common import Output, verb

if TYPE_CHECKING:
    from hwgw.feeds.source import Capture, RecordFile
    from hwgw.feeds.writers import Writer

FORMATS = ("table", "json", "csv", "parquet")


@verb("decode")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option("--format", "form", type=click.Choice(FORMATS), help="How messages are written; table by default.")
@click.option("--type", "types", multiple=True, metavar="CODE", help="Only messages of this type (repeatable).")
@click.option("--symbol", "symbols", multiple=True, metavar="NAME", help="Only messages of this symbol (repeatable).")
@click.option("--group", "groups", multiple=True, metavar="G:P", help="Capture: only this group and port (repeatable).")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop after N messages.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write there instead of to stdout.")
@click.option("--summary", is_flag=True, help="Counts by type and cause, time span and book hash instead of messages.")
def command(
    out: Output,
    file: Path,
    form: str | None,
    types: tuple[str, ...],
    symbols: tuple[str, ...],
    groups: tuple[str, ...],
    limit: int | None,
    output: Path | None,
    summary: bool,
) -> None:
    """Decode a capture file.

    FILE is a BinaryFILE of ITCH 5.0 (2-byte length, message; also gzipped) or a pcap or pcapng of MoldUDP64. JSON (one
    object per message), CSV and Parquet hold the integers of the wire; the table shows prices as decimals. Parquet of
    one --type is a file, else a folder with a file per type. Exit code 1 when something could not be decoded.
    """
    from hwgw.feeds.source import Flow, open_source

    source = open_source(file, tuple(Flow.parse(group) for group in groups))
    if summary:
        if form or types or symbols or limit or output:
            raise UsageError("--summary is of the whole file: it goes with --group and --json only")
        _summarize(out, source)
    else:
        # beside a table on the same terminal a bar would be in the way
        progress = None if out.level >= 0 and (output or not sys.stdout.isatty()) else False
        _decode(source, form or ("json" if out.as_json else "table"), (types, symbols), limit, output, progress)


def _summarize(out: Output, source: RecordFile | Capture) -> None:
    from hwgw.feeds.summary import summarize
    from hwgw.feeds.writers import clock

    found = summarize(source, progress=None if out.level >= 0 else False)
    out.emit(asdict(found))
    out.say(f"{source.path}: {found.messages:,} messages of {found.instruments:,} symbols, {found.format}")
    if found.first_timestamp_ns is not None and found.last_timestamp_ns is not None:
        out.say(f"  time    {clock(found.first_timestamp_ns)} to {clock(found.last_timestamp_ns)}")
    by_count = sorted(found.types.items(), key=lambda item: -item[1])
    out.say(f"  types   {'  '.join(f'{code} {cnt:,}' for code, cnt in by_count)}")
    out.say(f"  errors  {', '.join(f'{name} {cnt:,}' for name, cnt in found.errors.items()) or 'none'}")
    for flow in found.flows:
        out.say(f"  flow    {flow} is line {'ABCD'[flow.line]} of channel {flow.channel}")
    out.say(f"  book    {found.orders_live:,} live orders, hash {found.book_hash}")
    if found.damage:
        raise CheckFailed(found.damage)


def _decode(
    source: RecordFile | Capture,
    form: str,
    wanted: tuple[tuple[str, ...], tuple[str, ...]],
    limit: int | None,
    output: Path | None,
    progress: bool | None,
) -> None:
    import numpy as np

    from hwgw.feeds.columns import LAYOUTS, Selection, broken, split
    from hwgw.feeds.progress import batches

    selection = Selection(frozenset(wanted[0]), frozenset(wanted[1]))
    left, failed, first = limit, Counter[str](), ""
    with ExitStack() as stack:
        writer = _writer(form, selection.types or frozenset(LAYOUTS), output, stack)
        for batch in batches(source, progress=progress):
            mask = selection.select(batch)
            if left is not None:
                mask[np.flatnonzero(mask)[left:]] = False
                left -= int(mask.sum())
            bad = list(broken(batch, mask))
            writer.write(batch, list(split(batch, mask)), bad)
            failed.update(cause for _, cause in bad)
            if bad and not first:
                message = batch.messages[bad[0][0]]
                first = f"{batch.where(bad[0][0])}: {message['len']} bytes of type {chr(batch.types[bad[0][0]])!r}"
            if left == 0:
                break
    if failed:
        causes = ", ".join(f"{name} {cnt:,}" for name, cnt in failed.items())
        allowed = "allowed are the types and lengths of ITCH 5.0"
        raise CheckFailed(
            f"{source.path}: {failed.total():,} messages not decoded ({causes}), first {first}; {allowed}"
        )


def _writer(form: str, types: frozenset[str], output: Path | None, stack: ExitStack) -> Writer:
    from hwgw.feeds import writers

    writer: Writer
    if form == "parquet":
        if output is None:
            raise UsageError("--format parquet: name a file (of one --type) or a folder with --output")
        writer = writers.ParquetWriter(output, types)
    else:
        file: IO[str] = sys.stdout
        if output is not None:
            file = stack.enter_context(output.open("w", encoding="utf-8", newline=""))
        match form:
            case "json":
                writer = writers.JsonWriter(file)
            case "csv":
                writer = writers.CsvWriter(file, types)
            case _:
                writer = writers.TableWriter(file)
    stack.callback(writer.close)
    return writer
