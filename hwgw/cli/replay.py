"""hwgw replay: a recording once more, on a wire or straight into a pipeline; and a journal, judged again.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hwgw.errors import CheckFailed, UsageError

from .common import Output, all_problems, choose, verb
from .units import stopping

if TYPE_CHECKING:
    from hwgw.backtest.decided import Decided
    from hwgw.backtest.offline import Window
    from hwgw.bad_line import Faults

PATH = click.Path(path_type=Path, readable=False)
SPEED_MAX = 10**6
# what goes with which way of replaying
TAKES = {
    "--journal": ("--journal", "--verify", "--name", "--config"),
    "--to gateway": ("--to", "--speed", "--from", "--until", "--group", "--faults", "--config"),
    "--to G:P": ("--to", "--speed", "--from", "--until", "--group", "--faults", "--lines", "--local-address", "--ttl"),
    "--to IF": ("--to", "--speed", "--from", "--until", "--group", "--faults", "--backend"),
}


def _window(start: str | None, until: str | None) -> Window:
    from hwgw.backtest.offline import Window
    from hwgw.strict_yaml import BadValueError, duration

    schema = duration(0, 7 * 86_400 * 10**9)

    def read(option: str, text: str) -> int:
        try:
            return int(schema.parse(text))
        except BadValueError as error:
            raise UsageError(f"{option} {text}: {error}; {schema.allowed} is allowed") from None

    return Window(read("--from", start) if start else 0, read("--until", until) if until else None)


def _speed(text: str) -> Fraction | None:
    """How many times as fast; None: as fast as can be."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)x", text, re.ASCII)
    if text in ("recorded", "max"):
        return Fraction(1) if text == "recorded" else None
    found = Fraction(match[1]) if match else Fraction(0)
    if not Fraction(1, 1000) <= found <= SPEED_MAX:
        raise UsageError(f"--speed {text}: recorded, max, and Nx are allowed, such as 2x or 0.5x")
    return found


@verb("replay")
@click.argument("file", type=PATH, required=False)
@click.option(
    "--to",
    metavar="IF|G:P|gateway",
    help="An interface; group and port (two with a comma: lines A and B); gateway: a pipeline without a network.",
)
@click.option("--journal", type=PATH, metavar="FOLDER|FILE", help="With --verify: the journal of a gateway.")
@click.option(
    "--verify", is_flag=True, help="Judge what a journal holds again, with --config decide too: all must be the same."
)
@click.option("--name", help="The gateway, where the folder of --journal holds the journals of several.")
@click.option(
    "--speed",
    default="recorded",
    show_default=True,
    metavar="SPEED",
    help="recorded, max, or Nx such as 10x; gateway: max.",
)
@click.option("--from", "start", metavar="TIME", help="Begin so long behind the first frame, such as 500ms.")
@click.option("--until", metavar="TIME", help="End so long behind the first frame.")
@click.option("--lines", metavar="A,B", help="G:P: the lines to publish; B is the next group unless --to names it.")
@click.option(
    "--faults",
    multiple=True,
    metavar="FAULTS",
    help="A bad line, such as loss=1%,duplicate=0.1%,reorder=16,delay_us=50,outage=2-4,seed=7; twice: of A and of B.",
)
@click.option("--local-address", default="", metavar="IP", help="G:P: the address of the interface to send from.")
@click.option("--ttl", type=click.IntRange(1, 255), default=1, show_default=True, help="G:P: of multicast.")
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="G:P",
    help="Only this group and port of a capture (repeatable); the one that a BinaryFILE is framed for.",
)
@click.option(
    "--config",
    "config_path",
    type=PATH,
    metavar="FILE",
    help="gateway: symbols, strategies, limits of one. With --verify: the strategies that decide again.",
)
@click.option(
    "--backend", type=click.Choice(("auto", "packet", "afxdp", "dpdk")), default="auto", help="For an interface."
)
@all_problems
def command(
    out: Output, file: Path | None, to: str | None, journal: Path | None, verify: bool, name: str | None, speed: str,
    start: str | None, until: str | None, groups: tuple[str, ...], config_path: Path | None, backend: str,
    lines: str | None, faults: tuple[str, ...], local_address: str, ttl: int,
) -> int:  # fmt: skip
    """Replay a recording, or the journal of a gateway.

    FILE is a capture (pcap or pcapng), a BinaryFILE of ITCH 5.0 (also gzipped), which is framed into MoldUDP64, or a
    folder of such files, one after the other by their names.

    To an interface, frames leave by an exact schedule; to a group and port, the packets of one channel leave through
    the kernel, on one line or two; to gateway, frames go into a pipeline on the capture's own clock, as fast as it
    takes them, and the ledgers say what became of each. Exit code 1 when frames were lost here, the capture is damaged
    or its times go back.

    On a terminal: space pauses, . sends one frame, q ends; the arrows seek by a second and by a minute, PgUp and PgDn
    by ten minutes, g HH:MM:SS Enter goes to a time of the recording.

    --journal FOLDER --verify judges a recorded day again; with --config strategies decide again, where the journal
    has the frames. Exit code 1 when an order or a verdict comes out otherwise, or nothing could be compared.
    """
    if journal or verify or name:
        if file:
            raise UsageError(f"FILE {file}: goes with --to; --journal takes {', '.join(TAKES['--journal'])}")
        _only("--journal")
        if not journal or not verify:
            raise UsageError("--journal FOLDER and --verify go together")
        return _again(out, journal, name, config_path)
    if not file or not to:
        raise UsageError(
            "FILE|FOLDER --to IF|GROUP:PORT|gateway replays a capture; --journal FOLDER --verify a journal"
        )
    targets = _targets(to, lines)
    _only("--to gateway" if to == "gateway" else "--to G:P" if targets else "--to IF")
    pace, window = _speed(speed), _window(start, until)
    bad = _faults(faults)
    if to == "gateway":
        if pace is not None and "--speed" in _given():
            raise UsageError(
                f"--speed {speed}: a pipeline without a network takes frames as fast as it can; max is allowed"
            )
        _offline(out, file, window, groups, config_path, bad)
        return 0
    _send(out, file, targets or to, pace, window, backend, groups, bad, local_address, ttl)
    return 0


def _given() -> list[str]:
    """The options that the command line names, but for those of every verb."""
    context = click.get_current_context()
    named = click.core.ParameterSource.COMMANDLINE
    known = {option for taken in TAKES.values() for option in taken}
    return [
        each.opts[0]
        for each in context.command.params
        if each.name and context.get_parameter_source(each.name) is named and each.opts[0] in known
    ]


def _only(way: str) -> None:
    """UsageError for the first option that this way of replaying would not look at."""
    for option in _given():
        if option not in TAKES[way]:
            others = " and ".join(other for other, taken in TAKES.items() if option in taken)
            raise UsageError(f"{option}: it goes with {others}; {way} takes {', '.join(TAKES[way])}")


def _again(out: Output, target: Path, name: str | None, config_path: Path | None) -> int:
    from dataclasses import asdict

    from hwgw import config
    from hwgw.backtest.decided import COUNTS, decided
    from hwgw.journal.again import of_blocks, proven

    from .journal import day_time, files_given

    settings = config.load(config_path) if config_path else None
    began = time.monotonic()
    blocks = proven(files_given((str(target),), name))
    found = of_blocks(blocks)
    took_s = time.monotonic() - began
    decisions = decided(blocks, settings)
    counts = found.counts
    out.row(
        "compared   ",
        f"{found.compared:,}: {counts['orders']:,} orders, {counts['cancels']:,} cancels, {counts['events']:,} events,"
        f" in {took_s:.3f} s",
    )
    out.row("refused    ", f"{counts['refused']:,} of them or before the gate")
    for key, text in (
        ("ahead", "taken from the record: refused ahead of the gate"),
        ("without", "not compared: a crash cut off what they were judged by"),
        ("rebuilt_runs", "runs began with what was rebuilt, here as there"),
    ):
        if counts[key]:
            out.row("           ", f"{counts[key]:,} {text}")
    if counts["unknown_runs"]:
        cnt = f"{counts['unknown_records']:,} records of {counts['unknown_runs']:,} runs"
        out.row("NOT        ", f"compared: {cnt} that began with what cannot be rebuilt here")
    for row in found.differences[:1]:
        where = f"run {row.run}, pipeline {row.pipeline}, record {row.record} (block {row.block})"
        out.row("DIFFERENT  ", f"{where}, {day_time(row.time_ns)}")
        out.row("           ", f"{row.kind} {row.ref}: {row.field} {row.recorded} recorded, {row.replayed} replayed")
    if found.contradiction:
        out.row("ORDERS     ", found.contradiction)
    elif found.is_rebuilt:
        out.row(
            "orders     ", f"rebuilt from {counts['messages']:,} messages of the venue: every event is what they say"
        )
    _decisions(out, decisions)
    differences = counts["differences"] + (decisions.difference is not None)
    out.say(f"{differences:,} differences")
    out.emit(
        {
            **counts, "compared": found.compared, "venue_messages": counts["messages"] if found.is_rebuilt else None,
            "contradiction": found.contradiction, "seconds": round(took_s, 6),
            "shown": [asdict(row) for row in found.differences],
            "decided": {
                "runs": decisions.runs, **{key: decisions.counts[key] for key in COUNTS},
                "not": [{"run": number, "why": why} for number, why in decisions.refused],
                "changed": decisions.changed,
                "difference": asdict(decisions.difference) if decisions.difference else None,
            },
        }
    )  # fmt: skip
    is_asked = settings is None or decisions.runs > 0
    return 0 if found.compared and is_asked and not differences and not found.contradiction else 1


def _decisions(out: Output, found: Decided) -> None:
    """What strategies that decided again came to, or why they did not."""
    from hwgw.backtest.decided import SERVERS

    from .journal import day_time

    counts = found.counts
    if found.runs:
        out.row(
            "decided    ",
            f"again, by {counts['frames']:,} frames of {found.runs} runs: {counts['orders']:,} orders and"
            f" {counts['cancels']:,} cancels, {counts['refused']:,} of them refused; {counts['answers']:,} answers and"
            f" {counts['inputs']:,} words told",
        )
        if any(counts[name] for name in SERVERS):
            out.row(
                "repaired   ",
                f"again: {counts['requests']:,} re-requests and {counts['loads']:,} loads of snapshots made;"
                f" {counts['replies']:,} answers and {counts['snapshot_messages']:,} messages of snapshots told",
            )
    for number, why in found.refused:
        out.row("NOT        ", f"decided again: run {number}: {why}")
    for what in found.changed:
        out.row("parameter  ", what)
    if row := found.difference:
        where = f"run {row.run}, pipeline {row.pipeline}, record {row.record} (block {row.block})"
        out.row("DECIDED    ", f"otherwise: {where}, {day_time(row.time_ns)}")
        out.row("           ", f"{row.about}: {row.field} {row.recorded} recorded, {row.now} now")


def _faults(texts: tuple[str, ...]) -> tuple[Faults, ...]:
    from hwgw.bad_line import parse

    if len(texts) > 2:
        raise UsageError(f"--faults: {len(texts)} of them; one for all lines, or two, of A and of B, are allowed")
    return tuple(parse(text, 1 + index) for index, text in enumerate(texts))


def _targets(to: str, lines: str | None) -> dict[int, tuple[str, int]]:
    """Line (0: A) -> group and port; none when `to` is no group and port."""
    import ipaddress

    from hwgw.feeds.source import Flow

    if not re.fullmatch(r"[0-9.]+:[0-9]+(,[0-9.]+:[0-9]+)?", to):
        return {}
    named = [Flow.parse(each, "--to") for each in to.split(",")]
    letters = (lines or "AB"[: 2 if len(named) == 2 else 1]).replace(",", "").upper()
    if letters not in ("A", "B", "AB"):
        raise UsageError(f"--lines {lines}: A, B, and A,B are allowed")
    if len(named) == 1:
        named.append(Flow(str(ipaddress.IPv4Address(named[0].group) + 1), named[0].port))
    return {line: (named[line].group, named[line].port) for line in map("AB".index, letters)}


def _offline(
    out: Output, file: Path, window: Window, groups: tuple[str, ...], config_path: Path | None,
    faults: tuple[Faults, ...],
) -> None:  # fmt: skip
    from dataclasses import asdict

    from hwgw.backtest import offline, setting
    from hwgw.feeds.source import Flow
    from hwgw.replay import files, words

    flows = offline.flows_of(file, tuple(Flow.parse(group) for group in groups))
    names = [] if config_path else setting.symbols_of(files(file)[0])  # a day's directory stands at its beginning
    settings, left_out = setting.of_config(config_path) if config_path else (setting.watching(names), {})
    began = time.monotonic()
    found = offline.run(file, settings, flows, window, faults, None if out.level >= 0 else False)
    took_s = time.monotonic() - began
    ledgers = {row.name: row.as_dict() for row in found.ledgers}
    messages = found.counters["itch.messages"]
    out.emit(
        {
            "frames": found.frames, "messages": messages, "span_ns": found.span_ns, "seconds": round(took_s, 6),
            "flows": [asdict(flow) for flow in found.flows], "states": found.states, "ledgers": ledgers,
            "orders": found.counters["risk.orders"], "book_hash": found.book_hash,
            "faults": found.faults, "left_out": left_out,
        }
    )  # fmt: skip
    out.say(f"{file}: {found.frames:,} frames, {messages:,} messages, {found.span_ns / 1e9:,.3f} s in {took_s:.3f} s")
    for row in found.ledgers:
        if row.total or row.drops:
            drops = ", ".join(f"{name} {cnt:,}" for name, cnt in row.drops.items()) or "none"
            out.row(f"  {row.name:<10} ", f"{row.total:,} = {row.used:,} used + dropped: {drops}")
    for row_ in words(found.faults):
        out.say(f"  {row_}")
    out.say(f"  channels   {', '.join(found.states)}; book hash {found.book_hash}")
    if left_out:
        out.row("  left out   ", ", ".join(f"{name} ({why})" for name, why in left_out.items()))
    broken = [row.name for row in found.ledgers if not row.exact]
    if broken:
        raise CheckFailed(f"{file}: ledgers that are not exact: {', '.join(broken)}")


def _send(
    out: Output, file: Path, to: str | dict[int, tuple[str, int]], pace: Fraction | None, window: Window, backend: str,
    groups: tuple[str, ...], faults: tuple[Faults, ...], local_address: str, ttl: int,
) -> None:  # fmt: skip
    from contextlib import nullcontext

    from hwgw import replay, rx
    from hwgw.backtest.offline import flows_of, framed_for
    from hwgw.feeds.source import Flow
    from hwgw.framed import FLOW
    from hwgw.send import Datagrams, Rate, Source, part, run

    speed, named = pace or Fraction(1), tuple(Flow.parse(group) for group in groups)
    are_captures = all(map(replay.is_capture, replay.files(file)))
    if named and are_captures and not isinstance(to, dict) and not faults:
        raise UsageError("--group goes with --to gateway, with --to G:P, with --faults and with a BinaryFILE")
    flow = FLOW if are_captures else framed_for(named)
    source: Source = part(replay.recording(file, flow), window.start_ns, window.until_ns, speed)
    stats: list[dict[str, int]] = []
    opened: Datagrams | rx.Receiver
    if isinstance(to, dict) or faults:
        flows = flows_of(file, named)
    if isinstance(to, dict):
        source, stats = replay.lines(source, flows, tuple(to), faults)
        addresses = [to.get(line, ("0.0.0.0", 0)) for line in range(max(to) + 1)]  # noqa: S104 (a line not published)
        opened = Datagrams(addresses, local_address=local_address, ttl=ttl)
    else:
        if faults:
            source, stats = replay.degrade(source, flows, faults)
        opened = rx.open(choose(backend, ("packet", "afxdp"), "send"), interface=to, tx_only=True, tx_frame_cnt=4096)
    seen = replay.terminal() if not out.as_json and out.level >= 0 else None
    player = replay.Player(source, speed, *seen) if seen else None
    with opened as sender:
        out.note(sender.describe)
        began = time.monotonic()
        with stopping() as stopped, player or nullcontext():
            rate = Rate("max" if pace is None else "recorded")
            report = run(sender, source, rate, stop=lambda: bool(stopped), steer=player)
        took_s, backend = time.monotonic() - began, sender.backend
    lost = sum(report.dropped.values()) + report.unsent
    out.emit(
        {
            "backend": backend, "frames": len(source), "taken": report.taken, "sent": report.sent,
            "bytes": report.bytes, "dropped": report.dropped, "unsent": report.unsent, "seconds": round(took_s, 6),
            "pps": round(report.pps, 3), "late_ns": report.late_ns, "interrupted": bool(stopped), "faults": stats,
            "late_steps": {str(edge): cnt for edge, cnt in report.late_steps.items()},
        }
    )  # fmt: skip
    out.say(f"{file}: {report.taken:,} of {len(source):,} frames, {report.sent:,} sent, {lost:,} lost, {took_s:.3f} s")
    for line in replay.words(stats):
        out.say(f"  {line}")
    if report.late_ns:
        out.say(f"late: {', '.join(f'{key} {value / 1000:,.1f} us' for key, value in report.late_ns.items())}")
    most = max(report.late_steps.values(), default=1)
    for edge, cnt in report.late_steps.items():
        upto = f"up to {edge / 1000:>11,.1f} us" if edge > 0 else "later              "
        out.say(f"  {upto} {'#' * max(1, round(cnt / most * 40)):<40} {cnt:,}")
    if lost:
        why = f" ({report.refused})" if report.refused else ""
        raise CheckFailed(
            f"{report.taken} frames, {report.sent} sent, {report.dropped} lost{why}, {report.unsent} unsent"
        )
