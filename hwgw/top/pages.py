"""The pages of `hwgw top`: what one look (telemetry.view) and the looks before it say, for a terminal.

SPDX-License-Identifier: MIT

Each page is 80 columns wide and its head fits 20 lines; what there may be many of comes last and is scrolled to.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hwgw.published import readable
from hwgw.telemetry import describe_change
from hwgw.telemetry.history import RATES, History

from .text import amount, bar, causes, line, money, px, short, sparkline, state, table, took

__all__ = ["PAGES", "headline", "page"]

Look = Mapping[str, Any]
SPARK = 40
_HEAT = " ░▒▓█"
_CHANGES = 8


def headline(look: Look, ago_s: float = 0.0) -> Text:
    """One line: who, whether it runs, halted or not, since when; seek is said here."""
    halted = ", ".join(row["reason"] for row in look["halts"])
    parts: list[str | tuple[str, str]] = [(look["name"], "bold"), "  "]
    parts.append(("running", "green") if look["running"] else ("NOT RUNNING", "bold red"))
    parts += [f" {took(look['up_seconds'] * 1e9)}  {look['backend']}  "]
    parts.append((f" HALTED: {halted} ", "bold white on red") if halted else ("orders pass", "green"))
    if look["instrument_halts"]:
        parts.append((f"  {len(look['instrument_halts'])} instruments halted", "bold red"))
    if look["venue_halts"]:
        parts.append((f"  venue {', '.join(look['venue_halts'])} halted", "bold red"))
    if ago_s >= 1:
        parts.append((f"  ◀ {ago_s:.0f} s ago ", "black on yellow"))
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _rates(look: Look, history: History) -> Table:
    rows = table("per second", "now", "most", f"last {SPARK} looks", left=1)
    rows.columns[3].justify = "left"
    for name in RATES:
        values = history.rates(name, SPARK, look["time_ns"])
        now, most = (values[-1], max(values)) if values else (0.0, 0.0)
        color = "red" if name == "dropped" else "yellow" if name == "refused" else "cyan"
        rows.add_row(name, short(now), short(most), Text(sparkline(values, SPARK), color))
    return rows


def overview(look: Look, history: History) -> RenderableType:
    """What needs a person, what flows, how fast, how near to the limits."""
    first = look["pipelines"][0]
    session = "reconciling" if first["reconciling"] else first["session"]
    total = look["latency_ns"]["total"]
    beat = look["heartbeat_age_ns"]
    parts: list[RenderableType] = [
        line(
            "state",
            "feed ",
            state(first["feed"]),
            "  session ",
            state(session),
            "  receive ",
            state(first["receive"]),
            f"  open orders {first['open_orders']}  beat ",
            (took(beat) if beat is not None else "none", "" if beat is not None and beat < 10**9 else "bold red"),
        ),
        *(
            line(
                f"venue {at['venue']}",
                ("HALTED ", "bold red") if at["venue"] in look["venue_halts"] else "",
                state("reconciling" if at["reconciling"] else at["state"]),
                f"  open orders {at['open_cnt']}  sent {short(at['sent'])}  shares {short(at['executed_qty'])}",
            )
            for at in look["sessions"]
            if at["venue"]
        ),
        _rates(look, history),
    ]
    if total["cnt"]:
        words = "  ".join(f"{key} {took(total[key])}" for key in ("p50", "p99", "p999", "max"))
        parts.append(line("latency", f"{words}  over {total['cnt']:,}"))
    for row in sorted(look["usage"], key=lambda row: -(9e9 if row["ratio"] is None else row["ratio"]))[:3]:
        part = "over" if row["ratio"] is None else f"{row['ratio']:6.1%}"
        parts.append(line("limit", bar(row["ratio"], 20), f" {part} of {row['of']} {row['limit']}"))
    tripped = [name for name, row in look["breakers"].items() if row["trips"]]
    parts.append(line("ledgers", *(("all exact", "green") if not (open_ := _inexact(look)) else (open_, "yellow"),)))
    parts.append(line("breakers", (", ".join(tripped), "bold red") if tripped else "none tripped"))
    parts += [line("halt", (f"{halt['reason']}: {halt['text']} (uid {halt['uid']})", "red")) for halt in look["halts"]]
    return Group(*parts)


def _inexact(look: Look) -> str:
    names = [name for name, row in look["ledgers"].items() if not row["exact"]]
    return f"in flight: {', '.join(names)}" if names else ""


def feed(look: Look, history: History) -> RenderableType:
    """Channels, their lines and changes of state; where packets went."""
    parts: list[RenderableType] = []
    for row in look["channels"]:
        parts.append(
            line(
                f"channel {row['channel']}",
                state(row["state"]),
                f" at {row['next_seq']:,} of session",
                f" {row['session'] or '?'}; missing {row['missing_cnt']:,}, held {row['held_cnt']:,}",
            )
        )
        parts.append(
            line(
                "",
                f"{row['repairs']:,} repairs, {row['requests']:,} re-requests,"
                f" {row['snapshots']:,} snapshots, {row['snapshot_failures']:,} failed",
            )
        )
        lines = table("line", "packets", "first with", "late with", "jumped over")
        for name, cnt in row["lines"].items():
            lines.add_row(name, *(f"{cnt[key]:,}" for key in ("frames", "first", "late", "missed")))
        parts += [lines, *(line("", describe_change(change)) for change in row["changes"][-_CHANGES:])]
    ledgers = table("ledger", "in", "used", "dropped, by cause", left=1)
    ledgers.columns[3].justify = "left"
    for name, row in look["ledgers"].items():
        ledgers.add_row(name, short(row["total"]), short(row["used"]), causes(row["dropped"]))
    return Group(*parts, ledgers)


def books(look: Look, history: History) -> RenderableType:
    """The top of every book."""
    rows = table("symbol", "shares", "bid", "ask", "shares", "last", "position", "state")
    for symbol, row in look["books"].items():
        flags = [] if row["good"] else ["not good"]
        flags += ["crossed"] if row["crossed"] else []
        flags += [] if row["trading"] else ["not trading"]
        flags += ["HALTED"] if symbol in look["instrument_halts"] else []
        rows.add_row(
            symbol,
            short(row["bid_qty"]),
            Text(px(row["bid_px"]), "green"),
            Text(px(row["ask_px"]), "red"),
            short(row["ask_qty"]),
            px(row["last_px"]),
            f"{row['position']:,}",
            Text(", ".join(flags) or "good", "yellow" if flags else "green"),
        )
    return Group(rows, Text(), _features(look)) if look["features"] else rows


def _features(look: Look) -> Table:
    """A row per symbol; more features than columns of 80 characters are one below the other."""
    shown = look["features"]
    names = [name if row["parameter"] is None else f"{name}:{row['parameter']}" for name, row in shown.items()]
    rows = table("symbol", *(["feature", "value"] * 2), left=1)
    for index in (1, 3):
        rows.columns[index].justify = "left"
    for symbol, values in look["feature_rows"].items():
        cells = [
            cell
            for name, label in zip(shown, names, strict=True)
            for cell in (label, f"{readable(values[name], shown[name]['unit']):,.6g}")
        ]
        for at in range(0, len(cells), 4):
            rows.add_row(symbol if at == 0 else "", *cells[at : at + 4])
    return rows


def orders(look: Look, history: History) -> RenderableType:
    """What strategies wanted, what left, what the venue said, what stands."""
    counters = look["counters"]
    path = (
        "strategy.intents",
        "risk.passed",
        "order.encoded",
        "session.accepted",
        "session.filled",
        "session.canceled",
        "session.replaced",
        "session.rejected",
        "session.withdrawn",
    )
    flow = table("orders", "total", "orders", "total", "orders", "total", left=1)
    cells = [cell for name in path for cell in (name.replace(".", " "), f"{counters[name]:,}")]
    for at in range(0, len(cells), 6):
        flow.add_row(*cells[at : at + 6])
    for index in (2, 4):
        flow.columns[index].justify = "left"
    who = table("strategy", "mode", "armed", "passed", "refused", "fills", "shares", "PnL")
    for name, row in look["strategies"].items():
        armed = Text("yes", "green") if row["armed"] else Text("NO", "bold red")
        who.add_row(
            name,
            Text(row["mode"], "" if row["mode"] == "live" else "yellow"),
            armed,
            f"{row['passed']:,}",
            f"{row['refused']:,}",
            f"{row['fills']:,}",
            short(row["executed_qty"]),
            money(row["pnl"]),
        )
    went = table("quality", "venue", "filled", "rejected", "bp of mid", "of micro", "answer us", "fill us")
    for row in look["quality"]:
        went.add_row(
            row["strategy"],
            row["venue"] or "-",
            "-" if row["fill_rate"] is None else f"{100 * row['fill_rate']:.1f} %",
            f"{row['rejected']:,}",
            *("-" if row[key] is None else f"{row[key]:+.2f}" for key in ("slip_mid_bps", "slip_micro_bps")),
            *(
                "-" if row[key]["p50"] is None else f"{row[key]['p50'] / 1000:,.0f}"
                for key in ("sent_to_ack_ns", "ack_to_fill_ns")
            ),
        )
    held = table("symbol", "position", "fills", "open buys", "open sells", "cash")
    for symbol, row in look["positions"].items():
        held.add_row(
            symbol,
            f"{row['position']:,}",
            f"{row['fills']:,}",
            f"{row['open_buys']:,}",
            f"{row['open_sells']:,}",
            money(row["cash"]),
        )
    journal = [
        line(
            "journal",
            f"{row['records']:,} records, {row['waiting_bytes']:,} bytes waiting of {row['ring_bytes']:,}",
            (f", error {row['error']}", "bold red") if row["error"] else "",
        )
        for row in look["journal"]
    ]
    return Group(
        flow,
        Text(),
        who,
        Text(),
        went,
        Text(),
        held,
        *(journal or [line("journal", "none")]),
    )


def risk(look: Look, history: History) -> RenderableType:
    """What is used of each limit, what was refused, which rules tripped."""
    used = table("limit", "of", "used", "allowed", "", "", left=2)
    used.columns[4].justify = "left"
    for row in sorted(look["usage"], key=lambda row: -(9e9 if row["ratio"] is None else row["ratio"])):
        part = "over" if row["ratio"] is None else f"{row['ratio']:.1%}"
        used.add_row(
            row["limit"],
            row["of"],
            amount(row["used"], row["unit"]),
            amount(row["allowed"], row["unit"]),
            bar(row["ratio"], 20),
            part,
        )
    generation = f"generation {look['limits_generation']}, hash {look['limits_hash'][:16]}"
    parts: list[RenderableType] = [line("limits", generation), line("refused", causes(look["refused"]))]
    for rule, row in look["breakers"].items():
        trips = (
            (f"tripped {row['trips']:,} times, last by {row['of']}", "bold red") if row["trips"] else "never tripped"
        )
        parts.append(line("breaker", f"{rule}: {row['kind']} of {row['scope']}, {row['action']}; ", trips))
    for name, halt in (look["instrument_halts"] | look["venue_halts"]).items():
        parts.append(line(name, (f"HALTED, {halt['reason']}: {halt['text']}", "red")))
    return Group(*parts, used)


def latency(look: Look, history: History) -> RenderableType:
    """Percentiles of each stage since the start, and where the samples of the last looks lie."""
    rows = table("stage", "p50", "p99", "p99.9", "p99.99", "max", "samples")
    for stage, row in look["latency_ns"].items():
        rows.add_row(
            stage,
            *(took(row[key]) if row["cnt"] else "-" for key in ("p50", "p99", "p999", "p9999", "max")),
            short(row["cnt"]),
        )
    before = history.before(look["time_ns"] - 5 * 10**9, look)
    heat = table("last 5 s", "10ns  100ns 1us   10us  100us 1ms   10ms  100ms ", left=2)
    for stage, steps in look["steps"].items():
        fresh = [now - then for now, then in zip(steps, before["steps"][stage], strict=True)]
        if not sum(fresh):
            fresh = steps
        most = max(fresh) or 1
        marks = Text()
        for cnt in fresh:
            level = 0 if not cnt else min(4, 1 + round(3 * cnt / most))
            marks.append(_HEAT[level] * 2, ("", "blue", "cyan", "yellow", "red")[level])
        heat.add_row(stage, marks)
    return Group(rows, Text(), heat)


def card(look: Look, history: History) -> RenderableType:
    """The receive path, the card among them, and how the data process lies on the host."""
    counters = look["counters"]
    parts = [
        line("receive", look["receive"]),
        *(
            line(f"event {name.removeprefix('drop_')}", f"{counters[f'event.{name}']:,}")
            for name in ("records", "drop_full")
        ),
    ]
    for name, cnt in counters.items():
        if name.startswith(("rx.", "tx.")) and cnt:
            parts.append(line("", f"{name:<28} {cnt:>16,}"))
    for index, row in enumerate(look["pipelines"]):
        where = f"cpu {row['cpu']}" if row["cpu"] >= 0 else "not pinned"
        fifo = f", SCHED_FIFO {row['fifo_priority']}" if row["fifo_priority"] else ""
        parts.append(line(f"pipeline {index}", state(row["state"]), f", {where}{fifo} {row['error']}"))
    placed, confined, host = look["placement"], look["confined"], look["clock"]
    parts.append(
        line("memory", f"{placed['locked_kib'] / 1024:,.0f} MiB locked, {placed['huge_kib'] / 1024:,.0f} MiB huge")
    )
    kept = [name.replace("_", " ") for name in ("privileges_dropped", "calls_filtered") if not confined[name]]
    parts.append(line("confined", f"not {', not '.join(kept)}" if kept else "fully"))
    sync = "disciplined" if host["synchronized"] else "NOT disciplined"
    parts.append(
        line("clock", f"{sync}, error at most {took(host['error_ns_max'])}, TSC {host['tsc_hz'] / 1e6:,.1f} MHz")
    )
    if look["backend"] != "card":
        parts.append(line("card", ("none in use: the gateway receives by ", "dim"), look["backend"]))
    return Group(*parts)


PAGES: dict[str, Callable[[Look, History], RenderableType]] = {
    "overview": overview,
    "feed": feed,
    "books": books,
    "orders": orders,
    "risk": risk,
    "latency": latency,
    "card": card,
}


def page(name: str, look: Look, history: History) -> RenderableType:
    """A page by its name."""
    return PAGES[name](look, history)


def clock_time(time_ns: int) -> str:
    """Time of day of a look."""
    return f"{datetime.datetime.fromtimestamp(time_ns / 1e9).astimezone():%H:%M:%S}"
