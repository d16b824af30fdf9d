"""What a demo run proves: the exchange's account of the run held against the gateway's.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["failures", "lines", "report"]

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
        "card": "none",
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
        "orders": {
            "sent": counters["order.encoded"],
            "accepted": counters["session.accepted"],
            "filled": counters["session.filled"],
            "executions": counters["session.executed"],
            "shares": counters["session.executed_shares"],
            "canceled": counters["session.canceled"],
            "replaced": counters["session.replaced"],
            "rejected": counters["session.rejected"],
            "refused": look["refused"],
            "dropped": {name: cnt for name, cnt in counters.items() if name.startswith("order.drop_") and cnt},
        },
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
    if not result["position_match"]:
        found.append("the gateway's positions are not the exchange's")
    if result["halted"]:
        found.append(f"the gateway is halted ({result['halted']['reason']}): {result['halted']['text']}")
    return found


def _ns(value: int) -> str:
    return f"{value:,} ns" if value < 10_000 else f"{value / 1000:,.1f} us"


def lines(result: Mapping[str, Any]) -> list[str]:
    """The report as text, a line each."""
    ledger, orders = result["ledger"], result["orders"]
    drops = ", ".join(f"{cause} {cnt:,}" for cause, cnt in ledger["dropped"].items()) or "none"
    unsent = "".join(f"; {name} {cnt:,}" for name, cnt in orders["dropped"].items())
    refused = ", ".join(f"{reason} {cnt:,}" for reason, cnt in orders["refused"].items()) or "none"
    rate = result["messages"] / result["seconds"] if result["seconds"] else 0
    lost = sum(ledger["dropped"].values())
    verdict = "exact" if ledger["exact"] else "DOES NOT ADD UP"
    agree = "agree" if result["position_match"] else "DISAGREE"
    rows = {
        "receive": result["receive"],
        "ledger": f"{ledger['sent']:,} packets sent = {ledger['received']:,} used + {lost:,} dropped ({drops}):"
        f" {verdict}",
        "feed": f"{result['messages']:,} of {result['messages_sent']:,} messages decoded in {result['seconds']:.1f} s"
        f" ({rate:,.0f}/s), {result['book_updates']:,} book updates, {result['gaps']:,} gaps",
        "orders": f"{orders['sent']:,} sent, {orders['accepted']:,} accepted, {orders['filled']:,} filled,"
        f" {orders['rejected']:,} rejected by the venue; refused by risk: {refused}{unsent}",
        "executions": f"{orders['executions']:,} for {orders['shares']:,} shares, {orders['canceled']:,} cancels,"
        f" {orders['replaced']:,} replaces",
        "positions": f"{len(result['positions'])} symbols; gateway and exchange {agree}",
        "latency": "".join(f"{name:>12}" for name in ("p50", "p99", "p99.9", "max", "samples")),
    }
    text = [f"{name:<12}{row}" for name, row in rows.items()]
    text += [
        f"  {stage:<10}"
        + "".join(f"{_ns(row[key]):>12}" for key in ("p50", "p99", "p999", "max"))
        + f"{row['cnt']:>12,}"
        for stage, row in result["latency_ns"].items()
    ]
    text.append("  total is from the receive descriptor to the encoded order; session is the send to the kernel")
    return text
