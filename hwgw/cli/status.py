"""hwgw status: one look at the gateways of this host.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from typing import Any

import click

from .common import Output, for_each, verb

CHANGES_SHOWN = 6
TWIN_LEDGERS = ("intents", "orders")  # beside a live gateway, whose feed and session are its own


def _placement(row: dict[str, Any]) -> str:
    """Memory and power states of the data process, and what was not had."""
    parts = [f"{row['locked_kib'] / 1024:,.0f} MiB locked" if row["memory_locked"] else "memory not locked"]
    parts.append(f"{row['huge_kib'] / 1024:,.0f} MiB on huge pages" if row["huge_kib"] else "no huge pages")
    parts += [f"power states of at most {row['dma_latency_us']} us"] if row["latency_held"] else []
    return ", ".join(parts) + (f"; not had: {row['reason']}" if row["reason"] else "")


def _describe(out: Output, name: str, running: bool, look: dict[str, Any]) -> None:
    halted = look["halts"]
    state = "running" if running else "left over by a gateway that is gone"
    out.say(f"{name}: {state}{', HALTED' if halted else ''}")
    for halt in halted:
        out.say(f"  halt       {halt['reason']}: {halt['text']} (uid {halt['uid']}, pid {halt['pid']})")
    for symbol, halt in look["instrument_halts"].items():
        out.say(f"  {symbol:<10} HALTED, {halt['reason']}: {halt['text']} (uid {halt['uid']}, pid {halt['pid']})")
    for venue, halt in look["venue_halts"].items():
        out.say(f"  venue      {venue} HALTED: {halt['text']} (uid {halt['uid']}, pid {halt['pid']})")
    for rule, row in look["breakers"].items():
        trips = f"tripped {row['trips']:,} times, last by {row['of']}" if row["trips"] else "never tripped"
        out.say(f"  breaker    {rule}: {row['kind']} of {row['scope']}, {row['action']}; {trips}")
    out.say(f"  receive    {look['receive']}")
    if look["fell_back"]:
        out.row("  FELL BACK  ", "to udp: AF_XDP could not be had (receive.fallback: none refuses that)")
    out.say(f"  processes  control {look['control_pid']}, data {look['data_pid']}; up {look['up_seconds']:.0f} s")
    if look["mode"] == "live":
        _process(out, look)
    limits = f"generation {look['limits_generation']}, hash {look['limits_hash'][:16]}"
    out.say(f"  limits     {limits if look['limits_generation'] else 'none: nothing passes'}")
    _pipelines(out, look)
    _channels(out, look)
    _figures(out, look)


def _process(out: Output, look: dict[str, Any]) -> None:
    confined = look["confined"]
    kept = [] if confined["privileges_dropped"] else ["privileges kept"]
    kept += [] if confined["calls_filtered"] else ["system calls not filtered"]
    refused = f"; {confined['refused_calls']:,} system calls refused, last {confined['refused_call']}"
    out.say(f"  confined   {', '.join(kept) or 'fully'}{refused if confined['refused_calls'] else ''}")
    out.row("  placement  ", _placement(look["placement"]))


def _pipelines(out: Output, look: dict[str, Any]) -> None:
    for index, row in enumerate(look["pipelines"]):
        cpu = f"cpu {row['cpu']}" if row["cpu"] >= 0 else "not pinned"
        cpu += f", SCHED_FIFO {row['fifo_priority']}" if row["fifo_priority"] else ""
        cpu += f", memory on node {row['memory_node']}" if row["memory_node"] > 0 or row["cpu_node"] > 0 else ""
        out.say(
            f"  pipeline {index} {row['state']}, {cpu}; feed {row['feed']} at {row['next_seq']:,};"
            f" session {row['session']}, {row['open_orders']} open orders"
        )
        for at in [each for each in look["sessions"] if each["pipeline"] == index]:
            if at["entry"] != "enabled" and not at["venue"]:
                out.say(f"  session    order entry at the venue: {at['entry']}")
            if not at["venue"]:
                continue
            text = "HALTED, " if at["venue"] in look["venue_halts"] else ""
            text += f"{at['state']}, {at['open_cnt']} open orders"
            text += f", order entry {at['entry']}" if at["entry"] != "enabled" else ""
            text += f", {at['unknown_cnt']} of them unknown" if at["unknown_cnt"] else ""
            text += ", does not agree with the journal yet" if at["reconciling"] else ""
            text += "" if at["state"] == "up" else f" ({at['reason']})"
            out.say(
                f"  venue      {at['venue']}: {text}; {at['sent']:,} sent, {at['accepted']:,} accepted,"
                f" {at['rejected']:,} rejected, {at['executed_qty']:,} shares executed"
            )
        if row["error"]:
            out.row(f"  pipeline {index} ", f"not had: {row['error']}" if row["state"] != "failed" else row["error"])
        if row["receive_reason"]:
            out.row(f"  pipeline {index} ", f"receives nothing that counts: {row['receive']}: {row['receive_reason']}")


def _channels(out: Output, look: dict[str, Any]) -> None:
    from hwgw.telemetry import describe_change

    for row in look["channels"]:
        waiting = f", {row['missing_cnt']:,} missing, {row['held_cnt']:,} held" if row["missing_cnt"] else ""
        out.say(
            f"  channel {row['channel']}  {row['state']} at {row['next_seq']:,} of session {row['session'] or '?'}"
            f"{waiting}; {row['repairs']:,} repairs, {row['requests']:,} re-requests, {row['snapshots']:,} snapshots"
        )
        for change in row["changes"][-CHANGES_SHOWN:]:
            out.say(f"    {describe_change(change)}")
        for line, cnt in row["lines"].items():
            if cnt["frames"]:
                out.say(
                    f"    {line:<8} {cnt['frames']:,} packets; first with {cnt['first']:,} messages, late with"
                    f" {cnt['late']:,}, jumped over {cnt['missed']:,}"
                )
    link = {name: look["counters"][f"rx.{name}"] for name in ("link_downs", "link_ups", "reopens")}
    if any(link.values()):
        out.say(
            f"  interface  went down {link['link_downs']} times, came back {link['link_ups']},"
            f" receive path opened anew {link['reopens']}"
        )


def describe_quality(row: dict[str, Any]) -> str:
    """One row of quality in words."""

    def us(times: dict[str, int | None]) -> str:
        return "/".join("-" if ns is None else f"{ns / 1000:,.0f}" for ns in times.values()) + " us"

    slip = "no arrival price"
    if row["slip_mid_bps"] is not None:
        slip = f"slippage {row['slip_mid_bps']:+.2f} bp of mid, {row['slip_micro_bps']:+.2f} of microprice"
    reasons = ", ".join(f"{code}: {cnt:,}" for code, cnt in row["reject_reasons"].items())
    rate = "-" if row["fill_rate"] is None else f"{100 * row['fill_rate']:.1f} %"
    return (
        f"{'at ' + row['venue'] + ': ' if row['venue'] else ''}filled {rate} of {row['acknowledged']:,};"
        f" {row['rejected']:,} rejected{f' ({reasons})' if reasons else ''}, {row['lost']:,} lost; {slip};"
        f" to answer {us(row['sent_to_ack_ns'])}, to fill {us(row['ack_to_fill_ns'])} (p50/p99)"
    )


def _figures(out: Output, look: dict[str, Any]) -> None:
    for ledger, row in look["ledgers"].items():
        if look["mode"] != "live" and ledger not in TWIN_LEDGERS:
            continue
        drops = ", ".join(f"{cause} {cnt:,}" for cause, cnt in row["dropped"].items()) or "none dropped"
        verdict = "" if row["exact"] else "  (in flight)"
        out.say(f"  {ledger:<10} {row['total']:,} in, {row['used']:,} used; {drops}{verdict}")
    total = look["latency_ns"]["total"]
    if total["cnt"]:
        out.say(
            f"  latency    descriptor to order bytes p50 {total['p50']:,} ns, p99 {total['p99']:,},"
            f" p99.9 {total['p999']:,}, max {total['max']:,} over {total['cnt']:,} orders"
        )
    for strategy, row in look["strategies"].items():
        out.say(
            f"  {strategy:<10} {row['mode']}, {'armed' if row['armed'] else 'DISARMED'}, {row['passed']:,} orders"
            f" passed, {row['refused']:,} refused; {row['executed_qty']:,} shares, PnL {row['pnl'] / 10_000:,.2f}"
        )
    for row in look["quality"]:
        out.say(f"  {row['strategy']:<10} {describe_quality(row)}")
    for symbol, row in look["positions"].items():
        out.say(f"  {symbol:<10} position {row['position']:,}, {row['fills']:,} fills")


@verb("status")
@click.argument("name", required=False)
def command(out: Output, name: str | None) -> int:
    """What a running gateway does.

    Shows gateway NAME, or every gateway of this host. Exit code 6 when one that runs is halted, else 1 when one does
    not run, whatever it was halted for when it ended: the next of its name begins with that.
    """
    from hwgw.segment import Segment, gateways
    from hwgw.telemetry import snapshot

    names = [name] if name else gateways()
    if not names:
        out.say("no gateway on this host")
    looks: list[dict[str, Any]] = []

    def show(name: str) -> None:
        with Segment.attach(name) as segment:
            running, look = segment.running(), snapshot(segment)
        looks.append({"running": running, **look})
        _describe(out, name, running, look)

    failed = for_each(out, names, show)
    out.emit({"gateways": looks})
    if any(look["running"] and look["halted"] for look in looks):
        return 6
    return failed or (0 if all(look["running"] for look in looks) else 1)
