"""hwgw relay: the events of a gateway for the rack.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import dataclasses
import time

import click

from .common import Output, verb


@verb("relay")
@click.argument("name")
@click.option("--to", required=True, metavar="GROUP:PORT", help="Where to: a multicast group, or one host.")
@click.option("--interface", default="", metavar="ADDRESS", help="Of the interface it leaves by; else as routes say.")
@click.option("--requests", metavar="ADDRESS:PORT", help="Take requests for what was sent there.")
@click.option(
    "--keep", type=click.IntRange(8192, 1 << 26), default=1 << 20, show_default=True, help="Messages to keep."
)
@click.option("--ttl", type=click.IntRange(0, 255), default=1, show_default=True, help="Routers it may pass.")
@click.option("--seconds", type=click.FloatRange(0), help="For so long; else until the gateway ends, or Ctrl-C.")
def command(
    out: Output, name: str, to: str, interface: str, requests: str | None, keep: int, ttl: int, seconds: float | None
) -> int:
    """Send what a gateway's books are given as MoldUDP64.

    Each message is a normalised record (docs/fanout.md), the session is named after the gateway's start. The gateway
    needs a section `fanout`. It does not notice a relay, however slow: what a relay missed it says in its stream.
    """
    import hwgw
    from hwgw.gateway import signals_stop
    from hwgw.relay import Relay

    group, port = endpoint("--to", to)
    asked = endpoint("--requests", requests) if requests else None
    with (
        hwgw.attach(name) as live,
        Relay(live, group, port, interface=interface, requests=asked, keep=keep, ttl=ttl) as relay,
        signals_stop() as stop,
    ):
        out.say(f"{name}: session {relay.report.session} to {to}, {len(live.symbols)} instruments")
        if asked:
            out.say(f"requests at {asked[0]}:{relay.request_port}, the last {keep:,} messages")
        end = None if seconds is None else time.monotonic() + seconds
        report = relay.run(lambda: stop.is_set() or (end is not None and time.monotonic() > end))
    out.say(
        f"{report.messages:,} messages in {report.packets:,} packets; {report.missed:,} missed;"
        f" {report.requests:,} requests, {report.resent:,} sent again; {report.send_errors:,} not taken by the kernel"
    )
    out.emit(dataclasses.asdict(report))
    return 1 if report.missed or report.send_errors else 0


def endpoint(option: str, text: str) -> tuple[str, int]:
    """ADDRESS:PORT; UsageError when it is none."""
    import ipaddress

    from hwgw.errors import UsageError

    address, _, port = text.rpartition(":")
    try:
        good = ipaddress.IPv4Address(address)
        if not port.isdigit() or not 0 < int(port) < 65_536:
            raise ValueError
    except ValueError:
        raise UsageError(f"{option} {text}: IPv4 ADDRESS:PORT is allowed, such as 239.1.1.1:26400") from None
    return str(good), int(port)
