"""What a demo run proves: the exchange's account of the run held against the gateway's.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from hwgw.journal.compare import lines as compared

__all__ = ["failures", "lines", "report"]

_WIDTH = 79
_LABEL_WIDTH = 11
_KINDS = {"new": "in", "replace": "replaces_in", "cancel": "cancels_in"}
_FRAME_STAGES = ("rx.drop_", "net.drop_", "mold.drop_")


def _agree(look: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether every position and the cash are the same on both sides."""
    ours = {symbol: row["position"] for symbol, row in look["positions"].items() if row["position"]}
    cash = sum(row["cash"] for row in look["positions"].values())
    return ours == dict(theirs["positions"]) and cash == int(theirs["cash"])


def report(look: Mapping[str, Any], exchange: Mapping[str, Any], user: str, backend: str) -> dict[str, Any]:
    """The result of `hwgw demo --json`: names as the architecture fixes them.

    look: telemetry.snapshot of the stopped gateway; exchange: its closing statement; user: our name there. The frame
    ledger is that of both sides: sent is what the exchange put on the wire, received what the gateway used.
    """
    counters = look["counters"]
    dropped = {name: cnt for name, cnt in counters.items() if name.startswith(_FRAME_STAGES) and cnt}
    sent, received = int(exchange["frames_sent"]), int(counters["mold.frames"])
    inner = {name: row for name, row in look["ledgers"].items() if not row["exact"]}
    latency = {
        stage: {key: row[key] for key in ("p50", "p99", "p999", "max", "cnt")}
        for stage, row in look["latency_ns"].items()
        if row["cnt"]
    }
    return {
        "backend": backend,
        "receive": look["receive"],
        "card": "sim" if backend == "card" else "none",
        "seconds": round(float(exchange["elapsed_s"]), 3),
        "ledger": {
            "sent": sent,
            "received": received,
            "dropped": dropped,
            "exact": sent == received + sum(dropped.values()) and not inner,
        },
        "ledgers": look["ledgers"],
        "messages": counters["itch.messages"],
        "messages_sent": int(exchange["messages_sent"]),
        "book_updates": counters["book.updates"],
        "gaps": counters["mold.gaps"],
        "recovery": {
            "missing": counters["mold.missing"],
            "filled": counters["hold.filled"],
            "covered": counters["hold.covered"],
            "lost": counters["hold.lost"] + counters["hold.missing_now"],
            "requests": counters["recover.requests"],
            "answers": counters["recover.frames"],
            "snapshots": counters["recover.snapshots"],
        },
        "faults": exchange["faults"],
        "orders": {
            "sent": counters["order.encoded"],
            "at_exchange": {kind: int(exchange["orders"][key]) for kind, key in _KINDS.items()},
            "accepted": counters["session.accepted"],
            "filled": counters["session.filled"],
            "executions": counters["session.executed"],
            "shares": counters["session.executed_shares"],
            "canceled": counters["session.canceled"],
            "replaced": counters["session.replaced"],
            "rejected": counters["session.rejected"],
            "refused": look["refused"],
            "dropped": {name: cnt for name, cnt in counters.items() if name.startswith("order.drop_") and cnt},
            "by_card": counters["loan.orders"],
        },
        "loan": {name: cnt for name, cnt in counters.items() if name.startswith("loan.") and cnt},
        "card_frames": counters["card.frames"],
        "positions": {
            symbol: {key: row[key] for key in ("position", "cash", "fills")}
            for symbol, row in look["positions"].items()
        },
        "position_match": _agree(look, exchange["users"][user]),
        "halted": look["halted"],
        "latency_ns": latency,
    }


def failures(result: Mapping[str, Any]) -> list[str]:
    """Why the run does not count as good; empty when it does."""
    found = []
    ledger = result["ledger"]
    if not ledger["exact"]:
        lost = ledger["sent"] - ledger["received"] - sum(ledger["dropped"].values())
        found.append(f"the packet ledger does not add up: {lost:+,} frames unaccounted for")
        found += [
            f"the ledger of {name} does not add up" for name, row in result["ledgers"].items() if not row["exact"]
        ]
    if not result["messages"]:
        found.append("no message was decoded")
    if result["recovery"]["lost"]:
        found.append(f"{result['recovery']['lost']:,} messages of the feed are lost for good")
    if not result["position_match"]:
        found.append("the gateway's positions are not the exchange's")
    for mode, row in result.get("replayed", {}).items():
        if row["differences"] or not row["compared"]:
            found.append(f"the {mode} journal, judged again, has {row['differences']:,} other verdicts")
    if result["orders"]["by_card"] != result["card_frames"]:
        cnt = result["orders"]["by_card"]
        found.append(f"the card counts {result['card_frames']:,} orders sent, the gateway {cnt:,}")
    if result["halted"]:
        found.append(f"the gateway is halted ({result['halted']['reason']}): {result['halted']['text']}")
    return found


def _ns(value: int) -> str:
    return f"{value:,} ns" if value < 10_000 else f"{value / 1000:,.1f} us"


def _row(label: str, text: str) -> list[str]:
    """A label and a text beside it, wrapped."""
    return textwrap.wrap(
        f"{label:<{_LABEL_WIDTH}}{text}", _WIDTH, subsequent_indent=" " * _LABEL_WIDTH, break_on_hyphens=False
    )


def _causes(causes: Mapping[str, int]) -> str:
    return ", ".join(f"{cause} {cnt:,}" for cause, cnt in causes.items()) or "none"


def lines(result: Mapping[str, Any]) -> list[str]:
    """The report as text for a terminal of 80 columns, a line each."""
    ledger, orders = result["ledger"], result["orders"]
    kinds, recovery = orders["at_exchange"], result["recovery"]
    rate = result["messages"] / result["seconds"] if result["seconds"] else 0
    lost = sum(ledger["dropped"].values())
    by_card = f", {orders['by_card']:,} of them by the card" if orders["by_card"] else ""
    drops = f" ({_causes(ledger['dropped'])})" if lost else ""
    verdict = "exact" if ledger["exact"] else "DOES NOT ADD UP"
    agree = "agree" if result["position_match"] else "DISAGREE"
    rows = {
        "receive": result["receive"],
        "ledger": f"{ledger['sent']:,} packets sent = {ledger['received']:,} used + {lost:,} dropped{drops}: {verdict}",
        "feed": f"{result['messages']:,} of {result['messages_sent']:,} messages decoded in {result['seconds']:.1f} s"
        f" ({rate:,.0f}/s)",
        "books": f"{result['book_updates']:,} updates, {result['gaps']:,} gaps in the feed",
        "recovery": f"{recovery['missing']:,} messages missing = {recovery['filled']:,} came later +"
        f" {recovery['covered']:,} covered by {recovery['snapshots']:,} snapshots + {recovery['lost']:,} lost;"
        f" {recovery['requests']:,} re-requests",
        "orders": f"{orders['sent']:,} sent ({kinds['new']:,} new, {kinds['replace']:,} replaces,"
        f" {kinds['cancel']:,} cancels){by_card}",
        "venue": f"{orders['accepted']:,} accepted, {orders['replaced']:,} replaced, {orders['canceled']:,} canceled,"
        f" {orders['filled']:,} filled, {orders['rejected']:,} rejected",
        "risk": f"refused: {_causes(orders['refused'])}",
        "fills": f"{orders['executions']:,} executions, {orders['shares']:,} shares",
        "positions": f"{len(result['positions'])} symbols; gateway and exchange {agree}",
    }
    text = [line for label, row in rows.items() for line in _row(label, row)]
    text += [
        "",
        f"{'latency':<{_LABEL_WIDTH}}" + "".join(f"{name:>13}" for name in ("p50", "p99", "p99.9", "max", "samples")),
    ]
    text += [
        f"{stage:<{_LABEL_WIDTH}}"
        + "".join(f"{_ns(row[key]):>13}" for key in ("p50", "p99", "p999", "max"))
        + f"{row['cnt']:>13,}"
        for stage, row in result["latency_ns"].items()
    ]
    text += _row("", "total is from the receive descriptor to the encoded order, session the send")
    if comparison := result.get("comparison"):
        rows = result["replayed"].values()
        other = sum(row["differences"] for row in rows)
        verdicts = f"{other:,} VERDICTS CAME OUT OTHERWISE" if other else "every verdict as recorded"
        text += ["", *compared(comparison)]
        text += _row(
            "replayed", f"{sum(row['compared'] for row in rows):,} orders and events of both journals: {verdicts}"
        )
    return text
