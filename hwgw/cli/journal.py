"""hwgw journal: what a gateway decided, was told and did, from its journal.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import Output, verb

if TYPE_CHECKING:
    from hwgw.journal import Record

NAME = click.option("--name", help="The gateway, where a folder holds the journals of several.")
REF = click.option("--ref", type=click.IntRange(1, 2**32 - 1), help="Only what concerns this order reference.")
KIND = click.option("--kind", multiple=True, help="Only events of this kind, such as new or executed; may be repeated.")
TARGETS = click.argument("targets", nargs=-1, required=True, metavar="FOLDER|FILE...")


@click.group("journal")
def command() -> None:
    """What a gateway decided, was told and did, from its journal.

    A journal is the files NAME-NUMBER.journal of one folder (the key journal.folder of gateway.yaml).
    """


def files_given(targets: tuple[str, ...], name: str | None) -> list[Path]:
    """The files of one gateway that a command line names: its folder, or themselves."""
    from hwgw.errors import UsageError
    from hwgw.journal import files_of, names

    paths = [Path(target) for target in targets]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise UsageError(f"{', '.join(missing)}: no such file or folder")
    if not any(path.is_dir() for path in paths):
        return sorted(paths)
    if len(paths) > 1:
        raise UsageError("one folder, or files of one gateway, not both")
    known = names(paths[0])
    if name is None and len(known) != 1:
        found = f"the journals of {', '.join(known)}: --name says which" if known else "no journal"
        raise UsageError(f"{paths[0]}: holds {found}")
    chosen = name or known[0]
    if chosen not in known:
        raise UsageError(f"{paths[0]}: no journal of {chosen}; there are {', '.join(known) or 'none'}")
    return files_of(paths[0], chosen)


@verb("verify", of="journal")
@TARGETS
@NAME
def _verify(out: Output, targets: tuple[str, ...], name: str | None) -> int:
    """Prove that nothing was changed, removed, inserted or swapped.

    Exit code 1 when something was, or when the last file was not closed: its gateway still runs, or died, or the end
    was cut off.
    """
    from hwgw.journal import verify

    files = files_given(targets, name)
    report = verify(files)
    types = ", ".join(f"{cnt:,} {kind}" for kind, cnt in sorted(report.types.items()))
    out.row("journal  ", f"{report.files} files, {report.blocks:,} blocks, {report.bytes:,} bytes, {report.runs} runs")
    out.row("records  ", f"{report.records:,}{f' ({types})' if types else ''}")
    if report.problem:
        out.row("DAMAGED  ", report.problem)
    elif not report.closed:
        torn = f"; {report.torn_bytes} bytes behind its last whole block" if report.torn_bytes else ""
        out.row("OPEN     ", f"{files[-1]} was not closed{torn}: its gateway runs, or died, or the end was cut off")
    else:
        out.say("whole    every block follows the one before, and the last file was closed")
    out.emit(
        {
            "files": report.files, "blocks": report.blocks, "records": report.records, "bytes": report.bytes,
            "runs": report.runs, "types": dict(report.types), "torn_bytes": report.torn_bytes,
            "closed": report.closed, "problem": report.problem, "whole": report.is_whole,
        }
    )  # fmt: skip
    return 0 if report.is_whole else 1


class _Reader:
    """Records as rows for people and for scripts: names instead of codes, the time of day instead of the clock."""

    def __init__(self, ref: int | None, kinds: tuple[str, ...]) -> None:
        from hwgw import specs
        from hwgw.errors import UsageError

        table = specs.load("order")
        self._enums = {
            name: {int(code.value): code.slug for code in table.enum(name).values}
            for name in ("kind", "side", "type", "tif")
        }
        journal = specs.load("journal")
        self._inputs, self._lines = (
            {int(code.value): code.slug for code in journal.enum(name).values} for name in ("input_kind", "frame_line")
        )
        self._reasons = {reason.code: reason.name for reason in specs.reasons()}
        self._ref, self._kinds = ref, kinds
        unknown = sorted(set(kinds) - set(self._enums["kind"].values()))
        if unknown:
            known = ", ".join(self._enums["kind"].values())
            raise UsageError(f"--kind {unknown[0]}: unknown; there are {known}")
        self._symbols: list[str] = []
        self._venues: dict[int, str] = {}
        self._venue_shift = table.constant("venue_shift")
        self._offset_ns = 0

    def rows(self, files: list[Path]) -> Iterator[dict[str, Any]]:
        """A dictionary per record that was asked for."""
        from hwgw.journal import blocks, records

        for file in files:
            for block in blocks(file):
                for record in records(block):
                    row = self.row(record)
                    if row:
                        yield row

    def row(self, record: Record) -> dict[str, Any] | None:
        """One record; None when it was not asked for."""
        if record.type == "symbols":
            raw = bytes(record.payload)
            self._symbols = [raw[at : at + 8].decode("ascii", "replace").rstrip() for at in range(0, len(raw), 8)]
            return None
        if record.type == "open":
            run = record.open()
            self._venues = {}
            self._offset_ns = int(run["clock_offset_ns"])
            return self._run(record, run) if self._ref is None and not self._kinds else None
        if record.type in ("gate", "offer", "shot"):
            return self._event(record)
        if record.type == "session":
            fields = record.fields()
            self._venues[int(fields["number"])] = str(fields["name"])
        return self._other(record) if self._ref is None and not self._kinds else None

    def _other(self, record: Record) -> dict[str, Any]:
        """What is neither a run nor an event of the gate; a message of the venue in hexadecimal digits."""
        row: dict[str, Any] = {"type": record.type, "pipeline": record.thread, "seq": record.seq}
        row["time_ns"] = record.ts_ns + self._offset_ns
        fields = record.fields()
        plain = {key: value for key, value in fields.items() if not key.startswith(("pad", "reserved"))}
        if record.type == "venue":
            plain["message"] = bytes(record.payload[-int(plain.pop("len")) :]).hex()
            plain["number"] = plain.pop("seq")
        elif record.type == "basis":
            plain["kind"] = self._enums["kind"].get(int(plain["kind"]), "?")
        elif record.type == "frame":
            plain["line"] = self._lines.get(int(plain["line"]), "?")
            plain["data"] = bytes(record.payload[-int(plain["len"]) :]).hex() if plain["len"] else ""
        elif record.type == "input":
            plain["what"] = self._inputs.get(int(plain["what"]), "?")
        elif record.type == "params":
            return row | plain | {"values": list(memoryview(bytes(record.payload[8:])).cast("q"))}
        elif record.type == "route":
            return row | self._route(record, plain)
        elif record.type in ("login", "restored"):
            plain["number"] = plain.pop("seq" if record.type == "login" else "next_seq")
        return row | plain

    def _route(self, record: Record, plain: dict[str, Any]) -> dict[str, Any]:
        """A parent in words, and the candidates with what they cost and why they got what they got."""
        import numpy as np

        from hwgw import specs

        head, dtype = specs.dtype("journal", "journal_route"), specs.dtype("journal", "journal_candidate")
        causes = {int(code.value): code.slug for code in specs.load("journal").enum("route_cause").values}
        for key in ("side", "type", "tif"):
            plain["order_type" if key == "type" else key] = self._enums[key].get(plain.pop(key), "?")
        index = plain.pop("instrument")
        plain["symbol"] = self._symbols[index] if index < len(self._symbols) else index
        cnt = plain.pop("candidate_cnt")
        rows = np.frombuffer(record.payload, dtype, cnt, offset=head.itemsize)
        plain["candidates"] = [
            {
                "venue": self._venues.get(int(row["venue"]), str(int(row["venue"]))),
                "qty": int(row["qty"]),
                "ref": plain["first_ref"] + int(row["rank"]) - 1 if row["rank"] else None,
                "cause": causes[int(row["cause"])],
                "take_cost": int(row["take_cost"]) / 65_536 if row["px"] else None,
                "rest_cost": int(row["rest_cost"]) / 65_536,
                "fill_rate": int(row["fill_q16"]) / 65_536,
                **{key: int(row[key]) for key in ("px", "shown", "room", "open_cnt", "take_fee", "make_fee", "ack_ns")},
                "is_far": bool(row["is_far"]),
            }
            for row in rows
        ]
        return plain

    def _run(self, record: Record, run: Any) -> dict[str, Any]:
        names = {key: run[key].decode("ascii", "replace") for key in ("name", "version", "commit")}
        return {"type": "open", "time_ns": record.ts_ns + self._offset_ns, **names, "pipelines": int(run["thread_cnt"])}

    def _event(self, record: Record) -> dict[str, Any] | None:
        order = record.order()
        kind = self._enums["kind"].get(int(order["kind"]), "?")
        refs = (int(order["ref"]), int(order["orig_ref"]))
        if (self._kinds and kind not in self._kinds) or (self._ref is not None and self._ref not in refs):
            return None
        row: dict[str, Any] = {
            "type": record.type, "pipeline": record.thread, "seq": record.seq,
            "time_ns": record.ts_ns + self._offset_ns, "kind": kind,
        }  # fmt: skip
        index = int(order["instrument"])
        if record.type == "gate" and kind in ("new", "replace", "cancel"):
            row["verdict"] = self._reasons.get(record.verdict, str(record.verdict))
        if index < len(self._symbols) and kind not in ("limits", "beat", "halt", "resume", "arm", "disarm"):
            row["symbol"] = self._symbols[index]
        for key in ("side", "type", "tif"):
            if name := self._enums[key].get(int(order[key])):
                row["order_type" if key == "type" else key] = name
        for key in ("ref", "orig_ref", "qty", "px", "account", "strategy", "reason", "venue_ref"):
            if value := int(order[key]):
                row[key] = value
        if kind in ("new", "replace"):
            venue, options = divmod(int(order["venue_ref"]), 1 << self._venue_shift)
            row |= {"venue_ref": options} if "venue_ref" in row else {}
            row |= {"venue": self._venues[venue]} if self._venues.get(venue) else {}
        return row


def _route(row: dict[str, Any]) -> str:
    at = f" at {row['px'] / 10_000:.4f}" if row["px"] else ""
    what = f"{row['side']} {row['qty']} {row['symbol']} {row['order_type']} {row['tif']}{at}"
    why = (
        f" (retry {row['retry']}: ref {row['refused_ref']} was refused, {row['refused_reason']})"
        if row["retry"]
        else ""
    )
    return f"route     parent {row['parent']}  {what}{why}: {row['placed_qty']} placed in {row['child_cnt']} children"


def _candidate(at: dict[str, Any]) -> str:
    got = f"{at['qty']} as ref {at['ref']}" if at["qty"] else f"nothing, {at['cause'].replace('_', ' ')}"
    shows = f"shows {at['shown']} at {at['px'] / 10_000:.4f}" if at["px"] else "shows nothing"
    take = "" if at["take_cost"] is None else f"to take {at['take_cost'] / 10_000:.6f}, "
    far = ", beyond the limit" if at["px"] and at["is_far"] else ""
    return (
        f"{'':>32}{at['venue']:<15} {got}; {shows}{far}; costs {take}to rest {at['rest_cost'] / 10_000:.6f};"
        f" answers in {at['ack_ns']:,} ns, fills {at['fill_rate']:.1%},"
        f" {at['open_cnt']} open, room for {at['room']:,}"
    )


_PLACE = ("type", "pipeline", "seq", "time_ns")


def day_time(time_ns: int) -> str:
    """A time of the day for people, in UTC."""
    seconds, ns = divmod(time_ns, 10**9)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{ns:09d}Z"


def _line(row: dict[str, Any]) -> str:
    when = day_time(row["time_ns"])
    if row["type"] == "open":
        return f"{when}  run of {row['name']}, hwgw {row['version']}, {row['pipelines']} pipelines"
    if row["type"] == "route":
        return "\n".join(
            [f"{when}  {row['pipeline']} {row['seq']:>8}  {_route(row)}", *map(_candidate, row["candidates"])]
        )
    if row["type"] == "frame":
        row = {key: value for key, value in row.items() if key != "data"}
    if row["type"] not in ("gate", "offer", "shot"):
        said = "  ".join(f"{key} {value}" for key, value in row.items() if key not in _PLACE)
        return f"{when}  {row['pipeline']} {row['seq']:>8}  {row['type']:<8}  {said}"
    words = [f"{row['kind'] if row['type'] == 'gate' else row['type']:<8}"]
    if "ref" in row:
        words.append(f"ref {row['ref']}" + (f" for {row['orig_ref']}" if "orig_ref" in row else ""))
    what = [str(row[key]) for key in ("side", "qty", "symbol", "order_type", "tif") if key in row]
    if "px" in row:
        what.append(f"at {row['px'] / 10_000:.4f}")
    words.append(" ".join(what))
    words.append(row.get("verdict", ""))
    if "reason" in row:
        words.append(f"reason {row['reason']}")
    if row["kind"] == "limits":
        words.append(f"generation {row.get('venue_ref', 0)}")
    return f"{when}  {row['pipeline']} {row['seq']:>8}  " + "  ".join(word for word in words if word)


@verb("show", of="journal")
@TARGETS
@NAME
@REF
@KIND
def _show(out: Output, targets: tuple[str, ...], name: str | None, ref: int | None, kind: tuple[str, ...]) -> int:
    """Print the events, oldest first; with --json one object per line."""
    import json

    for row in _Reader(ref, kind).rows(files_given(targets, name)):
        if out.as_json:
            click.echo(json.dumps({"schema": "hwgw.journal-record/1", **row}))
        else:
            out.say(_line(row))
    return 0


@verb("export", of="journal")
@TARGETS
@NAME
@REF
@KIND
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="FILE.parquet or FILE.json.")
def _export(
    out: Output, targets: tuple[str, ...], name: str | None, ref: int | None, kind: tuple[str, ...], output: Path
) -> int:
    """Write the events to a Parquet file, or as JSON, an object per line."""
    import json

    from hwgw.errors import DeviceError, UsageError

    rows = [row for row in _Reader(ref, kind).rows(files_given(targets, name)) if row["type"] == "gate"]
    try:
        if output.suffix == ".json":
            output.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        elif output.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            keys = sorted({key for row in rows for key in row})
            pq.write_table(pa.table({key: [row.get(key) for row in rows] for key in keys}), output)
        else:
            raise UsageError(f"--output {output}: FILE.parquet and FILE.json are allowed")
    except OSError as error:
        raise DeviceError(f"{output}: {error.strerror}") from error
    out.say(f"{output}: {len(rows):,} events")
    out.emit({"output": str(output), "events": len(rows)})
    return 0


@verb("report", of="journal")
@TARGETS
@NAME
@click.option(
    "--histograms",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write each of the times there as latency_ns,count: a latency of a backtest's model.",
)
def _report(out: Output, targets: tuple[str, ...], name: str | None, histograms: Path | None) -> int:
    """What orders came to: how fast, how many filled, at what price against the market they were decided on.

    By venue and strategy. Slippage is in basis points of the midpoint, or of the microprice, at the decision; positive
    is worse than it. Times are on the gateway's clock: decided, sent (the kernel has it), acknowledged, first filled.
    """
    from hwgw.journal import report

    found = report.report(files_given(targets, name))
    groups = [group.as_dict() for group in found]
    written = report.histograms(found, histograms) if histograms else []
    for row in groups:
        out.say(f"{row['venue']} {row['strategy']}")
        refused = ", ".join(f"{reason} {cnt:,}" for reason, cnt in row["refused"].items()) or "none"
        rejected = ", ".join(f"{reason} {cnt:,}" for reason, cnt in row["rejected"].items()) or "none"
        out.row("  orders    ", f"{row['new']:,} new, {row['replaces']:,} replaces; refused here: {refused}")
        out.row(
            "  venue     ", f"{row['acknowledged']:,} acknowledged, {row['lost']:,} never arrived; rejected: {rejected}"
        )
        rate = "" if row["fill_rate"] is None else f" ({row['fill_rate']:.1%} of the acknowledged)"
        out.row("  filled    ", f"{row['orders_filled']:,} orders{rate}, {row['executed_qty']:,} shares")
        for kind in ("mid", "microprice"):
            if (bps := row["slippage_bps"][kind]) is not None:
                out.row("  slippage  ", f"{bps:+.3f} bp against {kind}, over {row['slippage_qty']:,} shares")
        for span, times in row["latency_ns"].items():
            if times["cnt"]:
                text = ", ".join(f"{key} {times[key]:,}" for key in ("p50", "p99", "max"))
                out.row("  time      ", f"{span.replace('_', ' ')}: {text} ns over {times['cnt']:,}")
    if not groups:
        out.say("no orders")
    for path in written:
        out.note(f"written: {path}")
    out.emit({"groups": groups, "histograms": [str(path) for path in written]})
    return 0


@verb("tail", of="journal")
@TARGETS
@NAME
@REF
@KIND
@click.option("--lines", "-n", type=click.IntRange(0), default=10, show_default=True, help="Events to begin with.")
@click.option("--seconds", type=click.FloatRange(0), help="End after so long; else with Ctrl-C or the journal.")
def _tail(
    out: Output, targets: tuple[str, ...], name: str | None, ref: int | None, kind: tuple[str, ...], lines: int,
    seconds: float | None,
) -> int:  # fmt: skip
    """Print the last events and then what comes, until the journal is closed."""
    import json
    from collections import deque

    from hwgw.journal import blocks, records

    reader, end = _Reader(ref, kind), None if seconds is None else time.monotonic() + seconds
    last: deque[dict[str, Any]] = deque(maxlen=lines)
    read: dict[Path, int] = {}  # up to where
    closed = first = True

    def show(row: dict[str, Any]) -> None:
        click.echo(json.dumps({"schema": "hwgw.journal-record/1", **row}) if out.as_json else _line(row))

    while True:
        for file in files_given(targets, name):
            for block in blocks(file, read.get(file, 0)):
                read[file], closed = block.end, block.kind == "close"
                for row in filter(None, map(reader.row, records(block))):
                    if first:
                        last.append(row)
                    else:
                        show(row)
        for row in last if first else ():
            show(row)
        first = False
        if closed or (end is not None and time.monotonic() > end):
            return 0
        time.sleep(0.1)


for _command in (_verify, _show, _export, _report, _tail):
    command.add_command(_command)
