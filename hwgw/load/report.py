"""What a load proves: what was asked for and sent, held against the gateway's ledgers, on the feed and in order entry.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwgw_sim.exchange.misbehave import MisbehavingVenue, Misbehaviour

from hwgw.demo import report as demo

from .profile import ONE, Profile, Step

__all__ = ["Run", "failures", "lines", "report"]

KINDS = ("accepted", "rejected", "executed", "canceled", "replaced", "broken")
DISBELIEVED = ("session.drop_unknown", "session.drop_length", "session.drop_order")
CLOCKS = ("ended_ns", "busy_ns", "kernel_ns", "waited_ns")  # of the exchange's steps
FULL_PCT, DISTURBED_PCT = 95.0, 5.0  # of a processor
REQUESTS = ("in", "replaces_in", "cancels_in", "mass_cancels_in")


@dataclass(frozen=True, slots=True)
class Run:
    """What was to be done; user: our name at the exchange."""

    profile: Profile
    rate: int
    steps: tuple[Step, ...]
    entry: Misbehaviour | None
    user: str


def _levels(run: Run, told: list[dict[str, int]]) -> list[dict[str, Any]]:
    """By share of the rate: messages, and the rate at which they left. told: the steps of the exchange's report.

    A step that was to last so long is not faster for having caught up with a late one: it lasted at least so long.
    """
    found: dict[int, Counter[str]] = {}
    before = dict.fromkeys(CLOCKS, 0)
    planned_ns = 0
    for step, row in zip(run.steps, told, strict=True):
        if not row["ended_ns"]:
            break
        took = max(step.us * 1000, row["ended_ns"] - max(before["ended_ns"], planned_ns))
        level = found.setdefault(step.share, Counter())
        level.update(
            {"messages": step.messages, "took_ns": took, **{name: row[name] - before[name] for name in CLOCKS}}
        )
        before, planned_ns = row, planned_ns + step.us * 1000
    return [
        {
            "asked_msgs_per_s": run.rate * share / ONE,
            "reached_msgs_per_s": round(level["messages"] * 1e9 / level["took_ns"], 1) if level["took_ns"] else 0.0,
            "messages": level["messages"], "seconds": round(level["took_ns"] / 1e9, 6),
            "exchange": _processor(level),
        }
        for share, level in sorted(found.items())
        if level["messages"]
    ]  # fmt: skip


def _processor(clocks: Mapping[str, int]) -> dict[str, float]:
    """What a thread had of a processor, in percent of the time; kernel is part of busy."""
    names = {"busy_pct": "busy_ns", "kernel_pct": "kernel_ns", "waited_pct": "waited_ns"}
    return {name: round(100 * clocks[of] / max(1, clocks["ended_ns"]), 1) for name, of in names.items()}


def _cut_pct(exchange: Mapping[str, Any], asked_msgs_per_s: float) -> float:
    """What a run that was cut off had reached, in percent of the rate asked for on the whole."""
    return 100 * float(exchange["messages_per_s"]) / asked_msgs_per_s


def _gateway(clocks: Mapping[str, int]) -> dict[str, float]:
    """A pipeline spins, so that it is always busy; a full one has no poll that finds nothing. That is a share of polls,
    not of time: one that finds nothing is over in nanoseconds."""
    idle, full = clocks["polls_idle"], clocks["polls"]
    idle_pct = round(100 * idle / max(1, idle + full), 1)
    return {**_processor({"kernel_ns": 0, **clocks}), "idle_polls_pct": idle_pct}


def _load(run: Run, exchange: Mapping[str, Any]) -> dict[str, Any]:
    asked = sum(step.messages for step in run.steps)
    asked_s = sum(step.us for step in run.steps) / 1e6
    took_s = max(asked_s, exchange["steps"][-1]["ended_ns"] / 1e9)
    is_whole = bool(exchange["steps"][-1]["ended_ns"])
    return {
        "profile": run.profile.name,
        "rate_msgs_per_s": run.rate,
        "asked_messages": asked,
        "asked_seconds": asked_s,
        "seconds": round(took_s, 6) if is_whole else round(float(exchange["elapsed_s"]), 6),
        "is_whole": is_whole,
        "reached_pct": round(100 * asked_s / took_s if is_whole else _cut_pct(exchange, asked / asked_s), 1),
        "levels": _levels(run, exchange["steps"]),
        "exchange": _processor(exchange["processor"]),
        "lateness_ns": exchange["lateness_ns"],
    }


def _feed(base: Mapping[str, Any], counters: Mapping[str, int]) -> dict[str, Any]:
    """Messages published = decoded + refused by the decoder + covered by a snapshot (or the reverse) + lost.

    exact is None where the channel began anew, as it may when damaged packets name another session.
    """
    dropped = {name: cnt for name, cnt in counters.items() if name.startswith("itch.drop_") and cnt}
    covered = counters["hold.jumped"] - counters["hold.again"]
    used = base["messages"] + sum(dropped.values()) + covered + base["recovery"]["lost"]
    return {
        "sent": base["messages_sent"], "used": base["messages"], "dropped": dropped, "covered": covered,
        "lost": base["recovery"]["lost"], "sessions": counters["mold.sessions"],
        "exact": None if counters["mold.sessions"] else base["messages_sent"] == used,
    }  # fmt: skip


def _requests(counters: Mapping[str, int], exchange: Mapping[str, Any], refused: int, cuts: int) -> dict[str, Any]:
    """Our messages to the venue: what left here arrived there, but for what a lost connection swallowed."""
    sent = counters["order.encoded"] + counters["order.mass_cancels"]
    arrived = sum(int(exchange["orders"][name]) for name in REQUESTS) + refused
    lost = sent - arrived
    may_lose = cuts or counters["session.withdrawn"]
    return {
        "sent": sent, "arrived": arrived, "refused_by_faults": refused, "lost_in_cuts": lost,
        "exact": lost >= 0 if may_lose else lost == 0,
    }  # fmt: skip


def _answers(counters: Mapping[str, int], told: Mapping[str, int]) -> dict[str, Any]:
    """The venue's messages by kind: what it said is what was counted here, but for what was not believed."""
    rows = {kind: {"said": int(told.get(kind, 0)), "heard": counters[f"session.{kind}"]} for kind in KINDS}
    differences = [row["said"] - row["heard"] for row in rows.values()]
    disbelieved = {name: counters[name] for name in DISBELIEVED if counters[name]}
    return {
        "kinds": rows, "disbelieved": disbelieved,
        "exact": min(differences) >= 0 and sum(differences) == sum(disbelieved.values()),
    }  # fmt: skip


def report(
    run: Run,
    look: Mapping[str, Any],
    exchange: Mapping[str, Any],
    front: MisbehavingVenue | None,
    backend: str,
    pipeline: Mapping[str, int],
) -> dict[str, Any]:
    """The result of `hwgw sim load --json`: that of the demo, and load, feed, requests and answers.

    look: telemetry.snapshot of the gateway; exchange: its closing statement; front: the venue that misbehaved;
    pipeline: ended_ns, busy_ns and waited_ns of the gateway's busiest thread meanwhile, its polls and polls_idle.
    """
    counters = look["counters"]
    account = front.account() if front else None
    users = {**exchange["users"], run.user: account} if account else exchange["users"]
    base = demo.report(look, {**exchange, "users": users}, run.user, backend)
    told = account["kinds"] if account else exchange["orders"]
    cuts = front.counts["cuts"] if front else 0
    refused = front.counts["stormed"] if front else 0
    faults = dict(front.counts) if front else None
    contradicts = bool(run.entry and run.entry.contradicts)
    return {
        **base,
        "position_match": None if contradicts else base["position_match"],
        "load": {**_load(run, exchange), "gateway": _gateway(pipeline)},
        "feed": _feed(base, counters),
        "requests": _requests(counters, exchange, refused, cuts),
        "answers": _answers(counters, told),
        "entry_faults": faults,
        "halt_expected": [reason for reason, is_so in (("state", contradicts), ("session", bool(cuts))) if is_so],
    }


def failures(result: Mapping[str, Any], reach_pct: float) -> list[str]:
    """Why the run does not count as good; empty when it does.

    A venue that contradicts itself must be noticed: a halt for that reason is no failure, and positions are not
    compared.
    """
    halted, load = result["halted"], result["load"]
    is_expected = halted and halted["reason"] in result["halt_expected"]
    known = {**result, "halted": None if is_expected else halted}
    if result["position_match"] is None:
        known["position_match"] = True
    found = demo.failures(known)
    if result["feed"]["exact"] is False:
        found.append("messages of the feed are unaccounted for")
    if not result["requests"]["exact"]:
        found.append(f"requests to the venue are unaccounted for: {result['requests']['lost_in_cuts']:+,}")
    if not result["answers"]["exact"]:
        found.append("answers of the venue are unaccounted for")
    if not load["is_whole"]:
        found.append(f"the load was cut off after {load['seconds']:,.1f} s: {bound(load)}")
    elif load["reached_pct"] < reach_pct:
        reached = f"{load['reached_pct']} % of the rate, {reach_pct:g} % are wanted (--reach)"
        found.append(f"the load was not made: {reached}: {bound(load)}")
    return found


def bound(load: Mapping[str, Any]) -> str:
    """What kept the exchange from its rate, by the processor it had where it fell behind most, or else altogether."""
    late = min(load["levels"], key=lambda level: level["reached_msgs_per_s"] / level["asked_msgs_per_s"], default=load)
    had = late["exchange"]
    busy = f"{had['busy_pct']:g} % of the time, {had['kernel_pct']:g} % in the kernel"
    if had["waited_pct"] >= DISTURBED_PCT:
        return f"the exchange waited {had['waited_pct']:g} % of the time for a processor that others had (on it {busy})"
    if had["busy_pct"] >= FULL_PCT:
        return f"the exchange has its processor full ({busy})"
    return f"not for want of a processor (the exchange was on one {busy})"


def _row(label: str, text: str) -> list[str]:
    return textwrap.wrap(f"{label:<11}{text}", 79, subsequent_indent=" " * 11, break_on_hyphens=False)


def _verdict(is_exact: bool | None) -> str:
    if is_exact is None:
        return "not compared, as the channel began anew"
    return "exact" if is_exact else "DOES NOT ADD UP"


def lines(result: Mapping[str, Any]) -> list[str]:
    """The report as text for a terminal of 80 columns, a line each."""
    load, feed, requests, answers = (result[name] for name in ("load", "feed", "requests", "answers"))
    late = {name: f"{load['lateness_ns'][name] / 1000:,.0f} us" for name in ("p50", "p99", "max")}
    had, has = load["exchange"], load["gateway"]
    dropped = "".join(f" + {cnt:,} {name}" for name, cnt in feed["dropped"].items())
    said = ", ".join(
        f"{row['said']:,} {kind}" + ("" if row["said"] == row["heard"] else f" ({row['heard']:,} believed)")
        for kind, row in answers["kinds"].items()
        if row["said"]
    )
    rows = [
        ("load", f"{load['profile']}: {load['asked_messages']:,} messages in {load['seconds']:,.3f} s of"
         f" {load['asked_seconds']:,.3f} s, {load['reached_pct']} % of the rate"),
        *(("", f"{level['reached_msgs_per_s']:,.0f} messages/s of {level['asked_msgs_per_s']:,.0f} for"
           f" {level['seconds']:,.3f} s") for level in load["levels"]),
        ("late", f"p50 {late['p50']}, p99 {late['p99']}, max {late['max']} behind the schedule, by packet"),
        ("processor", f"exchange {had['busy_pct']:g} %, {had['kernel_pct']:g} % in the kernel, waited for it"
         f" {had['waited_pct']:g} %; gateway {has['busy_pct']:g} %, {has['idle_polls_pct']:g} % of its polls idle,"
         f" waited {has['waited_pct']:g} %"),
        ("messages", f"{feed['sent']:,} published = {feed['used']:,} used{dropped} + {feed['covered']:,} covered by"
         f" snapshots + {feed['lost']:,} lost: {_verdict(feed['exact'])}"),
        ("requests", f"{requests['sent']:,} sent = {requests['arrived']:,} at the venue + {requests['lost_in_cuts']:,}"
         f" lost with a connection: {_verdict(requests['exact'])}"),
        ("answers", f"{said or 'none'}: {_verdict(answers['exact'])}"),
    ]  # fmt: skip
    if result["entry_faults"] is not None:
        done = ", ".join(f"{name} {cnt:,}" for name, cnt in result["entry_faults"].items()) or "nothing"
        rows.append(("bad venue", done))
    if result["faults"]:
        rows += [
            ("line " + "AB"[number], ", ".join(f"{name} {cnt:,}" for name, cnt in line.items()))
            for number, line in enumerate(result["faults"])
        ]
    text = [line for label, row in rows for line in _row(label, row)]
    base = demo.lines({**result, "position_match": result["position_match"] is not False})
    if result["position_match"] is None:
        base = [line for line in base if not line.startswith("positions")]
    if result["halted"]:
        base += _row("halted", f"{result['halted']['reason']}: {result['halted']['text']}")
    return [*text, *base]
