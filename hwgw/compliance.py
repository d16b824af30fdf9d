"""What a gateway did on a day, for those who vouch for its market access: from its record and its journal alone.

SPDX-License-Identifier: MIT

Nothing here asks the running gateway: the chained record says who changed what and why, the journal says what was
ordered and refused. Both are proven first, and what cannot be proven stands at the head of the report.
"""

from __future__ import annotations

import datetime
import html
import zoneinfo
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import __version__, about, audit, specs
from .errors import CheckFailed, UsageError
from .journal import blocks, records, verify
from .risk import rows
from .risk.control import Book

__all__ = ["FORMATS", "Day", "Report", "day_of", "make", "markdown", "page", "paper"]

FORMATS = ("md", "html", "json", "pdf")
NEAR_PCT = 90  # of a limit that one order can reach by itself
_ORDERS = ("new", "replace")
_ANSWERS = ("accepted", "replaced", "rejected", "executed", "canceled", "broken")
_MONEY = 10_000


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a time zone, in ns of CLOCK_REALTIME."""

    text: str
    zone: str
    start_ns: int
    end_ns: int

    def holds(self, time_ns: int) -> bool:
        """Whether a moment is of this day."""
        return self.start_ns <= time_ns < self.end_ns


def day_of(text: str, zone: str) -> Day:
    """A day as YYYY-MM-DD where a venue is; days with a change of clocks have 23 or 25 hours."""
    try:
        where = zoneinfo.ZoneInfo(zone)
        date = datetime.date.fromisoformat(text)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError, OSError):
        raise UsageError(f"--day {text} --zone {zone}: a day is YYYY-MM-DD, a zone such as America/New_York") from None
    edges = []
    for one in (date, date + datetime.timedelta(days=1)):
        moment = datetime.datetime.combine(one, datetime.time(), where)
        edges.append(int(moment.timestamp()) * 10**9)
    return Day(text, zone, edges[0], edges[1])


@dataclass(slots=True)
class Report:
    """Everything that the report says."""

    gateway: str
    day: Day
    made_ns: int
    problems: list[str] = field(default_factory=list)  # what could not be proven
    acts: list[dict[str, Any]] = field(default_factory=list)  # of the day, oldest first
    acts_all: int = 0
    limits: dict[str, Any] = field(default_factory=dict)
    hash: str = ""
    limits_note: str = ""
    orders: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    by_symbol: Counter[tuple[str, str]] = field(default_factory=Counter)  # (symbol, reason)
    venues: dict[str, Counter[str]] = field(default_factory=dict)  # of several: what went there and came back
    halts: list[dict[str, Any]] = field(default_factory=list)  # as the gate was told
    near: list[dict[str, Any]] = field(default_factory=list)
    near_all: int = 0
    versions: list[dict[str, Any]] = field(default_factory=list)
    journal: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As --json shows it."""
        return {
            "gateway": self.gateway, "day": self.day.text, "zone": self.day.zone, "made_ns": self.made_ns,
            "problems": self.problems, "limits": self.limits, "limits_hash": self.hash, "limits_note": self.limits_note,
            "acts": self.acts, "acts_on_record": self.acts_all, "orders": dict(self.orders),
            "refused": dict(self.refused),
            "refused_by_symbol": [{"symbol": s, "reason": r, "cnt": n} for (s, r), n in self.by_symbol.most_common()],
            "venues": {venue: dict(counts) for venue, counts in sorted(self.venues.items())},
            "halts": self.halts, "near_misses": self.near, "near_miss_cnt": self.near_all, "versions": self.versions,
            "journal": self.journal, "reported_by": {"version": __version__, "commit": about.commit()},
        }  # fmt: skip


def _record(report: Report) -> None:
    if not audit.path(report.gateway).exists():
        report.problems.append(f"{audit.path(report.gateway)}: nothing is on record")
        return
    try:
        for entry in audit.verify(report.gateway):
            report.acts_all += 1
            if report.day.holds(int(entry["time_ns"])):
                report.acts.append(entry)
    except CheckFailed as error:
        report.problems.append(f"the record is not whole: {error}")


def _limits(report: Report, book: Book | None) -> None:
    """The limits of a file, held against the last change on record: no others than were in force are shown as such."""
    if book is None:
        report.limits_note = "no configuration was named (--config), so the limits themselves are not shown"
        return
    report.hash = book.digest
    report.limits = {name: rows.text(limit.value, limit.unit) for name, limit in book.limits.items()}
    if book.gateway != report.gateway:
        report.problems.append(f"the configuration is that of {book.gateway}, not of {report.gateway}")
    changed = [act for act in report.acts if act["action"] == "limits"]
    if changed and changed[-1]["hash"] != book.digest:
        report.problems.append(
            f"the limits of the configuration (hash {book.digest[:16]}) are not those of the day's last change"
            f" (hash {str(changed[-1]['hash'])[:16]})"
        )
    elif changed:
        report.limits_note = "equal to the day's last change on record"
    else:
        report.limits_note = "as configured; no change of this day is on record"


class _Reader:
    """The journal's records of the day, counted."""

    def __init__(self, report: Report, book: Book | None) -> None:
        table = specs.load("order")
        self.kinds = {int(code.value): code.slug for code in table.enum("kind").values}
        self.reasons = {reason.code: reason.name for reason in specs.reasons()}
        self.report, self.book = report, book
        self.symbols: list[str] = []
        self.offset_ns = 0
        self.venue_shift = table.constant("venue_shift")
        self.sessions: dict[int, str] = {}  # of the run at hand: the venue's name by number
        self.went: dict[int, str] = {}  # where an order went, by its reference

    def read(self, files: Sequence[Path]) -> None:
        """Every file, up to the first block that is not what was written."""
        for file in files:
            for block in blocks(file):
                for record in records(block):
                    if record.type == "symbols":
                        raw = bytes(record.payload)
                        self.symbols = [
                            raw[i : i + 8].decode("ascii", "replace").rstrip() for i in range(0, len(raw), 8)
                        ]
                    elif record.type == "open":
                        self._open(record.open())
                    elif record.type == "session":
                        self._session(record.fields())
                    elif record.type == "venue_halt":
                        self._venue_halt(record.fields(), record.ts_ns + self.offset_ns)
                    elif record.type == "gate":
                        self._gate(record.order(), record.verdict, record.ts_ns + self.offset_ns)

    def _open(self, run: Any) -> None:
        self.offset_ns = int(run["clock_offset_ns"])
        self.sessions = {}
        if int(run["is_anew"]):
            self.went = {}
        text = {key: run[key].decode("ascii", "replace").rstrip("\0") for key in ("name", "version", "commit")}
        if self.report.day.holds(int(run["start_ns"])):
            self.report.versions.append({"time_ns": int(run["start_ns"]), **text})

    def _session(self, row: dict[str, Any]) -> None:
        if row["name"]:  # one without a name is alone
            self.sessions[int(row["number"])] = str(row["name"])
            self.report.venues.setdefault(str(row["name"]), Counter())

    def _venue_of(self, order: Any) -> str:
        return self.sessions.get(int(order["venue_ref"]) >> self.venue_shift, "")

    def _venue(self, order: Any, kind: str, verdict: int) -> None:
        """Count an order, or what the venue said of it, at its venue."""
        venue = self._venue_of(order) if kind in _ORDERS else self.went.get(int(order["ref"]), "")
        what = "refused" if verdict and kind in _ORDERS else kind
        if venue and kind in (*_ORDERS, *_ANSWERS):
            self.report.venues[venue][what] += 1
            self.report.venues[venue]["executed_qty"] += int(order["qty"]) if kind == "executed" else 0

    def _venue_halt(self, row: dict[str, Any], time_ns: int) -> None:
        if self.report.day.holds(time_ns):
            reason = f"venue {row['name']}: {row['text']} (uid {row['uid']})"
            self.report.halts.append({
                "time_ns": time_ns, "what": "halt" if row["is_halted"] else "resume", "reason": reason,
            })  # fmt: skip

    def _gate(self, order: Any, verdict: int, time_ns: int) -> None:
        kind = self.kinds.get(int(order["kind"]), "?")
        if kind in _ORDERS and not verdict:  # of a day before, too: it may be answered in this one
            self.went[int(order["ref"])] = self._venue_of(order)
        if not self.report.day.holds(time_ns):
            return
        self.report.orders[kind] += 1
        self._venue(order, kind, verdict)
        index = int(order["instrument"])
        symbol = self.symbols[index] if index < len(self.symbols) else ""
        if kind in ("halt", "resume"):
            reason = self.reasons.get(int(order["reason"]), str(int(order["reason"])))
            self.report.halts.append({"time_ns": time_ns, "what": kind, "reason": reason})
        if kind not in (*_ORDERS, "cancel"):
            return
        if verdict:
            reason = self.reasons.get(verdict, str(verdict))
            self.report.refused[reason] += 1
            self.report.by_symbol[symbol, reason] += 1
        elif kind in _ORDERS:
            self._near(order, symbol, time_ns)

    def _near(self, order: Any, symbol: str, time_ns: int) -> None:
        """An order that passed, but with little room: of those limits that one order alone can reach."""
        if self.book is None:
            return
        qty, px = int(order["qty"]), int(order["px"])
        for key, value in (("qty_max", qty), ("notional_max", qty * px)):
            limit = self.book.limits.get(f"instruments.{symbol}.{key}")
            if limit and limit.value and NEAR_PCT * limit.value <= 100 * value <= 100 * limit.value:
                self.report.near_all += 1
                row = {"time_ns": time_ns, "symbol": symbol, "limit": limit.name, "ref": int(order["ref"]),
                       "value": rows.text(value, limit.unit), "of": rows.text(limit.value, limit.unit),
                       "pct": round(100 * value / limit.value, 1)}  # fmt: skip
                self.report.near.append(row)
                self.report.near.sort(key=lambda one: -one["pct"])
                del self.report.near[20:]


def make(gateway: str, day: Day, files: Sequence[Path], book: Book | None) -> Report:
    """The report of a day; files are all the journal's, in their order, so that the chain can be proven."""
    report = Report(gateway, day, int(datetime.datetime.now(datetime.UTC).timestamp()) * 10**9)
    _record(report)
    _limits(report, book)
    if not files:
        report.problems.append("no journal was named (--journal): what was ordered and refused is not known")
        return report
    proof = verify(files)
    report.journal = {
        "files": len(files), "blocks": proof.blocks, "records": proof.records, "whole": proof.is_whole,
        "problem": proof.problem, "closed": proof.closed, "torn_bytes": proof.torn_bytes,
    }  # fmt: skip
    if proof.problem:
        report.problems.append(f"the journal is damaged: {proof.problem}")
    elif not proof.closed:
        report.problems.append(
            "the journal's last file was not closed: its gateway runs, or died, or the end is cut off"
        )
    try:
        _Reader(report, book).read(files)
    except CheckFailed as error:
        if not proof.problem:
            report.problems.append(f"the journal is damaged: {error}")
    return report


# ---- in writing ----


def _when(time_ns: int, zone: str) -> str:
    moment = datetime.datetime.fromtimestamp(time_ns / 1e9, zoneinfo.ZoneInfo(zone))
    return moment.strftime("%H:%M:%S.%f %Z")


def _why(act: dict[str, Any]) -> str:
    """What an act says of itself beside who and when."""
    left_out = {"seq", "time_ns", "uid", "login_uid", "pid", "gateway", "action", "prev"}
    return "; ".join(f"{key} {_plain(value)}" for key, value in act.items() if key not in left_out)


def _who(act: dict[str, Any]) -> str:
    login = act.get("login_uid")
    return f"uid {act['uid']}" + (f", login {login}" if login not in (None, act["uid"]) else "")


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, dict):
        return " ".join(f"{key}={_plain(one)}" for key, one in value.items())
    return str(value)


Table = tuple[str, str, list[str], list[list[str]]]  # title, remark, heads, rows


def _tables(report: Report) -> Iterator[Table]:
    zone = report.day.zone
    proven = [["record", f"{report.acts_all} acts"], ["journal", _plain(report.journal) or "not named"]]
    proven += [["not proven", problem] for problem in report.problems]
    yield "Proof", "everything below rests on these", ["what", "result"], proven
    limits = [
        [name, value] for name, value in report.limits.items() if not name.startswith("accounts.") or value != "0"
    ]
    yield "Limits in force", f"{report.limits_note}; hash {report.hash or 'unknown'}", ["limit", "value"], limits
    acts = [[_when(int(a["time_ns"]), zone), str(a["action"]), _who(a), _why(a)] for a in report.acts]
    yield "Who changed what", "halts, resumes, limits, arming, breakers", ["time", "act", "who", "what and why"], acts
    counts = [[kind, f"{cnt:,}"] for kind, cnt in sorted(report.orders.items())]
    yield "Events of the gate", "", ["kind", "count"], counts
    notes = {reason.name: reason.note for reason in specs.reasons()}
    refused = [[name, f"{cnt:,}", notes.get(name, "")] for name, cnt in report.refused.most_common()]
    yield "Refused by reason", f"{report.refused.total():,} of all orders", ["reason", "count", "means"], refused
    by_symbol = [[symbol, reason, f"{cnt:,}"] for (symbol, reason), cnt in report.by_symbol.most_common(50)]
    yield "Refused by instrument", "the 50 most frequent", ["instrument", "reason", "count"], by_symbol
    if report.venues:
        heads = ["new", "replace", "refused", "accepted", "rejected", "executed", "executed_qty", "canceled"]
        venues = [[venue, *(f"{cnt[head]:,}" for head in heads)] for venue, cnt in sorted(report.venues.items())]
        remark = "orders that passed and that were refused here; what the venue said of them; shares executed"
        yield "Venues", remark, ["venue", *(head.replace("_qty", " shares") for head in heads)], venues
    halts = [[_when(row["time_ns"], zone), row["what"], row["reason"]] for row in report.halts]
    yield "Halts", "as the gate was told", ["time", "what", "reason"], halts
    near = [
        [_when(r["time_ns"], zone), r["symbol"], r["limit"], r["value"], r["of"], f"{r['pct']} %"] for r in report.near
    ]
    remark = (
        f"{report.near_all:,} orders passed at {NEAR_PCT} % or more of a limit that one order can reach; the 20 nearest"
    )
    yield "Near misses", remark, ["time", "instrument", "limit", "order", "limit's value", "share"], near
    runs = [[_when(row["time_ns"], zone), row["version"], row["commit"]] for row in report.versions]
    yield "Software", f"reported by hwgw {__version__}, {about.commit()}", ["run began", "version", "commit"], runs


def _title(report: Report) -> str:
    return f"Market access of {report.gateway}, {report.day.text} ({report.day.zone})"


def markdown(report: Report) -> str:
    """The report as Markdown."""
    lines = [f"# {_title(report)}", ""]
    for title, remark, heads, body in _tables(report):
        lines += [f"## {title}", ""] + ([f"{remark}.", ""] if remark else [])
        if body:
            escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in body]
            lines += [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
            lines += [f"| {' | '.join(row)} |" for row in escaped]
        else:
            lines.append("None.")
        lines.append("")
    return "\n".join(lines)


_STYLE = (
    "body{font:14px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}table{border-collapse:collapse}"
    "td,th{border:1px solid #999;padding:.2em .6em;text-align:left;vertical-align:top}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}}@media print{h2{break-after:avoid}}"
)


def page(report: Report) -> str:
    """The report as one HTML file with nothing from elsewhere; a browser prints it to PDF."""
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(_title(report))}</title>"]
    parts += [f"<style>{_STYLE}</style><h1>{html.escape(_title(report))}</h1>"]
    for title, remark, heads, body in _tables(report):
        parts.append(f"<h2>{html.escape(title)}</h2>" + (f"<p>{html.escape(remark)}.</p>" if remark else ""))
        if not body:
            parts.append("<p>None.</p>")
            continue
        rows_html = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in body]
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heads)
        parts.append(f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows_html)}</table>")
    return "\n".join(parts) + "\n"


def paper(report: Report) -> bytes:
    """The report as PDF; UsageError where fpdf2 is missing."""
    from .compliance_pdf import pdf

    return pdf(report, _title(report), list(_tables(report)))
