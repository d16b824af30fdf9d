"""hwgw relay: the events of a gateway for the rack.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import Output, verb

if TYPE_CHECKING:
    from hwgw.relay import Outlet, Report


_FILE = click.Path(path_type=Path, dir_okay=False)


@verb("relay")
@click.argument("name", required=False)
@click.option("--to", metavar="GROUP:PORT", help="MoldUDP64 to a multicast group, or to one host.")
@click.option("--zeromq", metavar="PLACE", help="Publish by ZeroMQ at tcp://ADDRESS:PORT or ipc://PATH.")
@click.option("--nats", metavar="SERVER", help="Into a JetStream stream of tls://HOST:PORT (nats:// on this host).")
@click.option("--interface", default="", metavar="ADDRESS", help="Of the interface --to leaves by; else as routes say.")
@click.option("--requests", metavar="PLACE", help="Take requests for what was sent: ADDRESS:PORT, ZeroMQ tcp://...")
@click.option("--key", type=_FILE, help="ZeroMQ: the private key (CurveZMQ); only its owner may read the file.")
@click.option("--readers", type=_FILE, help="ZeroMQ: the public keys that may connect, one on a line.")
@click.option("--make-key", type=_FILE, help="Make a private key in a new file, print its public one, and end.")
@click.option("--stream", metavar="STREAM", help="NATS: the stream, made when there is none.  [default: HWGW_NAME]")
@click.option("--subject", metavar="SUBJECT", help="NATS: the subject.  [default: hwgw.NAME.events]")
@click.option("--credentials", type=_FILE, help="NATS: a credentials file; only its owner may read it.")
@click.option("--authority", type=_FILE, help="NATS: certificates that the server's is checked with.")
@click.option("--metrics", metavar="ADDRESS:PORT", help="Serve what the relay has done for Prometheus there.")
@click.option(
    "--keep", type=click.IntRange(8192, 1 << 26), default=1 << 20, show_default=True, help="Messages to keep."
)
@click.option("--ttl", type=click.IntRange(0, 255), help="Routers --to may pass.  [default: 1]")
@click.option("--seconds", type=click.FloatRange(0), help="For so long; else until the gateway ends, or Ctrl-C.")
def command(
    out: Output, name: str | None, make_key: Path | None, metrics: str | None, seconds: float | None, **options: Any
) -> int:
    """Send what a gateway's books are given as MoldUDP64.

    To a group (--to), by ZeroMQ or into NATS: one of them. Each message is a normalised record (docs/fanout.md), the
    session is named after the relay's start. The gateway needs a section `fanout`. It does not notice a relay, however
    slow: what a relay missed it says in its stream.
    """
    import hwgw
    from hwgw.errors import UsageError
    from hwgw.relay import Relay
    from hwgw.stopping import signals_stop

    if make_key:
        from hwgw.relay_zeromq import make_key as made

        public = made(make_key)
        out.say(f"{make_key}: public key {public}")
        out.emit({"file": str(make_key), "public": public})
        return 0
    if not name:
        raise UsageError("NAME is missing: which gateway?")
    to, outlet_of = _way_out(name, options)
    with hwgw.attach(name) as live, Relay(live, outlet_of(), keep=options["keep"]) as relay, signals_stop() as stop:
        out.say(f"{name}: session {relay.report.session} to {to}, {len(live.symbols)} instruments")
        for line in _said(relay.outlet, options["keep"]):
            out.say(line)
        end = None if seconds is None else time.monotonic() + seconds
        with _metrics(metrics, relay.report, name, to) as url:
            if url:
                out.say(url)
            report = relay.run(lambda: stop.is_set() or (end is not None and time.monotonic() > end))
    out.say(
        f"{report.messages:,} messages in {report.packets:,} packets; {report.missed:,} missed, {report.dropped:,}"
        f" dropped, {report.send_errors:,} packets not taken; {report.requests:,} requests, {report.resent:,} resent"
    )
    out.emit(dataclasses.asdict(report))
    return 1 if report.missed or report.dropped or report.send_errors else 0


@contextlib.contextmanager
def _metrics(listen: str | None, report: Report, name: str, to: str) -> Iterator[str]:
    if listen is None:
        yield ""
        return
    from .metrics import has_client, serving

    has_client()
    from prometheus_client import CollectorRegistry

    from hwgw.relay_metrics import RelayCollector

    registry = CollectorRegistry(auto_describe=False)
    registry.register(RelayCollector(report, name, to))
    with serving(listen, registry) as url:
        yield url


# which options belong to which way out
_WAYS = {
    "to": ("interface", "requests", "ttl"),
    "zeromq": ("requests", "key", "readers"),
    "nats": ("stream", "subject", "credentials", "authority"),
}


def _way_out(name: str, options: dict[str, Any]) -> tuple[str, Callable[[], Outlet]]:
    """Where to, and what opens it."""
    from hwgw.errors import UsageError

    chosen = [way for way in _WAYS if options[way]]
    if len(chosen) != 1:
        raise UsageError("where to? One of --to, --zeromq and --nats is wanted")
    (way,) = chosen
    for other in {option for group in _WAYS.values() for option in group} - set(_WAYS[way]):
        if options[other] not in (None, ""):
            raise UsageError(f"--{other} does not belong to --{way}; --{way} takes --{', --'.join(_WAYS[way])}")
    to = options[way]
    if way == "to":
        from hwgw.relay import Udp

        group, port = endpoint("--to", to)
        asked = endpoint("--requests", options["requests"]) if options["requests"] else None
        ttl = 1 if options["ttl"] is None else options["ttl"]
        return to, lambda: Udp(group, port, interface=options["interface"], requests=asked, ttl=ttl)
    if way == "zeromq":
        from hwgw.relay_zeromq import ZeroMQ, public_keys, secret_key

        key = secret_key(options["key"]) if options["key"] else None
        readers = public_keys(options["readers"]) if options["readers"] else ()
        return to, lambda: ZeroMQ(to, requests=options["requests"] or "", key=key, readers=readers)
    from hwgw.relay_nats import Nats

    stream = options["stream"] or f"HWGW_{name}"
    subject = options["subject"] or f"hwgw.{name}.events"
    files = {"credentials": options["credentials"], "authority": options["authority"]}
    return f"{to}, {subject} in {stream}", lambda: Nats(to, stream, subject, **files)


def _said(outlet: Outlet, keep: int) -> Iterator[str]:
    """Where requests are taken, and by which key."""
    from hwgw.relay import Udp
    from hwgw.relay_zeromq import ZeroMQ

    place = str(outlet.request_port or "") if isinstance(outlet, Udp) else getattr(outlet, "request_place", "")
    if place:
        yield f"requests at {place}, the last {keep:,} messages"
    if isinstance(outlet, ZeroMQ) and outlet.public:
        yield f"its public key is {outlet.public}"


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
