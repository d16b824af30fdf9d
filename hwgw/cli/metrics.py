"""hwgw metrics: what gateways count, for Prometheus.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from .common import Output, verb

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

DEFAULT = "127.0.0.1:9464"


@verb("metrics")
@click.argument("names", nargs=-1)
@click.option("--listen", metavar="ADDRESS:PORT", help=f"Serve http://ADDRESS:PORT/metrics, such as {DEFAULT}.")
@click.option("--seconds", type=click.FloatRange(0), help="Serve for so long; else until Ctrl-C.")
def command(out: Output, names: tuple[str, ...], listen: str | None, seconds: float | None) -> int:
    """Metrics of gateways for Prometheus.

    Of the gateways NAMES, or of all on this host. Without --listen they are printed once, as Prometheus' textfile
    collector takes them. They are read from shared memory: gateways do not notice.
    """
    has_client()
    from prometheus_client import CollectorRegistry, generate_latest

    from hwgw.errors import UsageError
    from hwgw.stopping import signals_stop
    from hwgw.telemetry.metrics import GatewayCollector

    if seconds is not None and listen is None:
        raise UsageError("--seconds: so long they are served, which takes --listen ADDRESS:PORT")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(GatewayCollector(names))
    if listen is None:
        text = generate_latest(registry).decode()
        if out.as_json:
            out.emit({"text": text})
        else:
            click.echo(text, nl=False)
        return 0
    with serving(listen, registry) as url:
        out.say(url)
        with signals_stop() as stop:
            stop.wait(seconds)
    return 0


def has_client() -> None:
    """UsageError when Prometheus' client, which is an extra, is not installed."""
    from hwgw.errors import UsageError

    try:
        import prometheus_client  # noqa: F401 (whether it is there)
    except ImportError as error:
        raise UsageError("metrics need prometheus-client: pip install 'hwgw[metrics]'") from error


@contextlib.contextmanager
def serving(listen: str, registry: CollectorRegistry) -> Iterator[str]:
    """A server of metrics at ADDRESS:PORT while the context lasts; its URL."""
    from prometheus_client import start_http_server

    from hwgw.errors import UsageError

    address, colon, port = listen.rpartition(":")
    if not colon or not address or not port.isdigit() or not 0 < int(port) < 65_536:
        raise UsageError(f"--listen {listen}: ADDRESS:PORT is allowed, such as {DEFAULT}")
    try:
        server, thread = start_http_server(int(port), address, registry)
    except OSError as error:
        raise UsageError(f"--listen {listen}: {error.strerror}") from error
    try:
        yield f"http://{address}:{port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
