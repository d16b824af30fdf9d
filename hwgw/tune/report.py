"""A report of a host: what it is, what is set and why, what is missing, how it feels; Markdown, HTML, Prometheus.

SPDX-License-Identifier: MIT

HTML has no scripts, no links and nothing from elsewhere; the jitter picture is drawn into it.
"""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .. import __version__
from ..jitter import Cpu
from ..jitter_picture import duration, svg
from . import placement, plan, table, verify
from .cpus import list_text
from .host import Host
from .profile import Profile
from .state import State
from .topology import Topology, read

__all__ = ["FORMATS", "Report", "make", "render"]

FORMATS = ("html", "md", "prom")
_ORDER = (verify.DRIFT, verify.FOREIGN, verify.PENDING, verify.UNSUPPORTED, verify.OK)
_VALUE_MAX = 60


@dataclass(slots=True)
class Report:
    """Everything that a report says."""

    host: str
    topology: Topology
    proposal: placement.Proposal
    profile: str
    about: str
    roles: dict[str, str]
    rows: list[verify.Row]
    generation: int  # that stands; 0 = hwgw has changed nothing
    jitter: Sequence[Cpu] = ()
    when: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Places by verdict, worst first."""
        return {verdict: sum(row.verdict == verdict for row in self.rows) for verdict in _ORDER}


def make(profile: Profile, host: Host, state: State, jitter: Sequence[Cpu] = ()) -> Report:
    """Read the host; nothing is written."""
    topology = read(host)
    found = plan.make(profile, host, state)
    standing = state.standing()
    roles = {
        role: list_text(getattr(found.roles, role)) for role in ("feed", "order", "journal", "housekeeping", "idle")
    }
    return Report(
        host=host.read("/proc/sys/kernel/hostname") or "unknown", topology=topology,
        proposal=placement.propose(topology) if len(topology.cores) > 1 else placement.Proposal(),
        profile=profile.name, about=profile.about, roles={role: cpus for role, cpus in roles.items() if cpus},
        rows=verify.verify(found, host, state), generation=standing[-1].number if standing else 0, jitter=jitter,
        when=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        problems=[f"{knob}: {text}" for knob, text in found.warnings],
    )  # fmt: skip


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _VALUE_MAX else f"{text[: _VALUE_MAX - 3]}..."


def _grouped(report: Report, verdict: str) -> Iterable[tuple[str, str, str, int, str, str]]:
    """Knob, have, want, places, note, reason: places of one knob that are alike are one row."""
    rows: dict[tuple[str, str, str, str], int] = {}
    for row in report.rows:
        if row.verdict == verdict:
            key = (row.setting.knob.name, _short(row.have), _short(row.setting.want), row.note)
            rows[key] = rows.get(key, 0) + 1
    for (name, have, want, note), cnt in rows.items():
        yield name, have or "(empty)", want, cnt, note, table.get(name).reason if name in table.knobs() else ""


def _facts(topology: Topology) -> list[tuple[str, str]]:
    cores = f"{len(topology.cores)} cores{', SMT' if topology.smt else ''}, {len(topology.nodes)} nodes"
    rows = [
        ("kernel", topology.release),
        ("processor", f"{topology.model}, {len(topology.online)} CPUs, {cores}"),
        ("clock", f"{topology.clocksource}, TSC {' '.join(topology.tsc) or 'not invariant'}"),
        ("isolated", list_text(topology.isolated) or "none"),
    ]
    for nic in topology.nics:
        speed = f", {nic.speed_mbps / 1000:g} Gb/s" if nic.speed_mbps else ""
        node = f", node {nic.node}" if nic.node is not None else ""
        rows.append((nic.name, f"{nic.driver} {nic.firmware}{node}{speed}, {nic.queues} receive queues"))
    return rows


def _jitter_rows(cpus: Sequence[Cpu]) -> list[tuple[str, ...]]:
    return [
        (
            str(cpu.cpu), f"{cpu.run_ns / 1e9:.1f} s", f"{cpu.cnt:,}", f"{cpu.share:.3%}",
            duration(cpu.percentile_ns[99.0]), duration(cpu.max_ns), f"{cpu.wait[10_000]:.3%}",
        )
        for cpu in cpus
    ]  # fmt: skip


_JITTER_HEAD = ("CPU", "run", "interruptions", "time taken", "p99", "max", "wait over 10 us")
_TITLES = {
    verify.DRIFT: "Not as the profile says", verify.FOREIGN: "Set by somebody else",
    verify.PENDING: "From the next boot on",
    verify.UNSUPPORTED: "Not on this host", verify.OK: "As the profile says",
}  # fmt: skip
_KNOB_HEAD = ("knob", "is", "wanted", "places", "note", "why")


def _sections(report: Report) -> Iterable[tuple[str, str, tuple[str, ...], list[tuple[str, ...]]]]:
    """Title, a sentence, the head of a table, its rows."""
    yield "Host", "", ("", ""), [*_facts(report.topology)]
    why = [(role, reason) for role, reason in report.proposal.why]
    problems = [("stands against it", problem) for problem in report.proposal.problems]
    proposed: list[tuple[str, ...]] = [*why, *problems]
    yield "Placement that hwgw proposes", "", ("role", "why"), proposed
    counts = ", ".join(f"{cnt} {verdict}" for verdict, cnt in report.counts.items() if cnt)
    stands = (
        f"generation {report.generation} of hwgw tune stands" if report.generation else "hwgw tune has changed nothing"
    )
    roles = ", ".join(f"{role} {cpus}" for role, cpus in report.roles.items())
    yield f"Profile {report.profile}", f"{report.about}. CPUs: {roles}. {counts}; {stands}.", (), []
    for verdict in _ORDER:
        knobs: list[tuple[str, ...]] = [
            (name, have, want, str(cnt), note, reason)
            for name, have, want, cnt, note, reason in _grouped(report, verdict)
        ]
        if knobs:
            yield _TITLES[verdict], "", _KNOB_HEAD, knobs
    if report.problems:
        yield "Owners", "", ("", ""), [("note", problem) for problem in report.problems]
    if report.jitter:
        yield "Jitter", "See docs/jitter.md for what the figures are.", _JITTER_HEAD, _jitter_rows(report.jitter)


def _markdown(report: Report) -> str:
    lines = [f"# {report.host}", "", f"hwgw {__version__}, {report.when}", ""]
    for title, text, head, rows in _sections(report):
        lines += [f"## {title}", ""]
        lines += [text, ""] if text else []
        if rows:
            lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
            lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows] + [""]
    return "\n".join(lines)


_STYLE = """body{font:14px/1.45 sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.6em 0 1.6em;width:100%}td,th{border-bottom:1px solid #ddd;padding:.25em .6em;
text-align:left;vertical-align:top}th{background:#f4f4f4}td:first-child{white-space:nowrap;font-family:monospace}
h2{margin-top:1.8em;border-bottom:2px solid #1b6ca8}.drift{color:#a11}"""


def _html(report: Report) -> str:
    say = html.escape
    out = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{say(report.host)}</title><style>{_STYLE}</style>",
        f"<h1>{say(report.host)}</h1><p>hwgw {say(__version__)}, {say(report.when)}</p>",
    ]
    for title, text, head, rows in _sections(report):
        mark = ' class="drift"' if title == _TITLES[verify.DRIFT] else ""
        out.append(f"<h2{mark}>{say(title)}</h2>")
        out += [f"<p>{say(text)}</p>"] if text else []
        if rows:
            top = "".join(f"<th>{say(cell)}</th>" for cell in head)
            body = "".join("<tr>" + "".join(f"<td>{say(cell)}</td>" for cell in row) + "</tr>" for row in rows)
            out.append(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>")
        if title == "Jitter":
            out.append(svg(report.jitter))
    return "\n".join([*out, "</html>", ""])


def _metric(name: str, about: str, rows: Iterable[tuple[dict[str, str], float]]) -> Iterable[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} gauge"
    for labels, value in rows:
        quoted = (label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for label in labels.values())
        text = ",".join(f'{key}="{label}"' for key, label in zip(labels, quoted, strict=True))
        yield f"{name}{{{text}}} {value:.12g}" if text else f"{name} {value:.12g}"


def _prometheus(report: Report) -> str:
    base = {"profile": report.profile}
    drift: dict[str, int] = {}
    for row in report.rows:
        name = row.setting.knob.name
        drift[name] = drift.get(name, 0) + (row.verdict in (verify.DRIFT, verify.FOREIGN))
    lines = [
        *_metric("hwgw_tune_places", "Places of knobs by verdict.",
                 ((base | {"verdict": verdict}, cnt) for verdict, cnt in report.counts.items())),
        *_metric("hwgw_tune_drift", "Places of a knob that are not as the profile says.",
                 ((base | {"knob": name}, cnt) for name, cnt in drift.items())),
        *_metric("hwgw_tune_generation", "Generation of hwgw tune that stands, 0 = none.", [({}, report.generation)]),
        *_metric("hwgw_tune_report_timestamp_seconds", "When this was written.", [({}, round(time.time()))]),
    ]  # fmt: skip
    if report.jitter:
        by_cpu = [(cpu, {"cpu": str(cpu.cpu)}) for cpu in report.jitter]
        lines += [
            *_metric("hwgw_jitter_taken_ratio", "Share of the run that was taken from the CPU.",
                     ((label, cpu.share) for cpu, label in by_cpu)),
            *_metric("hwgw_jitter_max_seconds", "Longest interruption.",
                     ((label, cpu.max_ns / 1e9) for cpu, label in by_cpu)),
            *_metric("hwgw_jitter_wait_ratio", "Probability that a packet has to wait for longer.",
                     ((label | {"over_us": f"{over / 1000:g}"}, share) for cpu, label in by_cpu
                      for over, share in cpu.wait.items())),
        ]  # fmt: skip
    return "\n".join([*lines, ""])


def render(report: Report, how: str) -> str:
    """One of FORMATS."""
    return {"html": _html, "md": _markdown, "prom": _prometheus}[how](report)
