"""hwgw serve: the dashboard in a browser.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path

import click

from .common import Output, log_form, verb

DEFAULT = "127.0.0.1:8470"


@verb("serve")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--listen", metavar="ADDRESS:PORT", default=DEFAULT, show_default=True, help="Where; port 0: any.")
@click.option("--control", is_flag=True, help="Allow halting; who does needs the token.")
@click.option("--token-file", type=click.Path(path_type=Path), help="A token of 20 characters or more, mode 600.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain, PEM.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its key, PEM.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="A name browsers reach it by; repeatable.")
@click.option("--seconds", type=click.FloatRange(0), help="Serve for so long; else until Ctrl-C.")
@log_form
def command(
    out: Output,
    names: tuple[str, ...],
    listen: str,
    control: bool,
    token_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    hosts: tuple[str, ...],
    seconds: float | None,
    form: str,
) -> int:
    """A dashboard of gateways in the browser.

    Of the gateways NAMES, or of all on this host: latencies, packet ledger, books, feed, limits, orders, live. It only
    shows, unless --control is given. On loopback everybody on this host may look; any other address needs --token-file,
    --tls-cert and --tls-key, and so does no one's browser reach it by a name that is not that address or a --host.
    """
    import secrets
    import ssl
    import threading

    from hwgw.errors import ConfigError, UsageError
    from hwgw.logs import Log
    from hwgw.stopping import signals_stop
    from hwgw.web.guard import Access, is_loopback, read_token
    from hwgw.web.looks import Looks
    from hwgw.web.server import Server

    address, colon, port_text = listen.rpartition(":")
    address = address.removeprefix("[").removesuffix("]")
    if not colon or not address or not port_text.isdigit() or not 0 <= int(port_text) < 65_536:
        raise UsageError(f"--listen {listen}: ADDRESS:PORT is allowed, such as {DEFAULT}")
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key belong together")
    if not is_loopback(address) and (token_file is None or tls_cert is None):
        raise UsageError(f"--listen {listen}: others reach it there: --token-file, --tls-cert and --tls-key are needed")
    token = read_token(token_file) if token_file else secrets.token_urlsafe(24) if control else ""
    tls = None
    if tls_cert is not None and tls_key is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            tls.load_cert_chain(tls_cert, tls_key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{tls_cert}, {tls_key}: {error.strerror or error}") from None

    log = Log("hwgw serve", form, is_quiet=out.level < 0)

    def say(line: str) -> None:
        log.say("request", line)

    access = Access((), token=token, is_control=control, tls=tls is not None)
    try:
        server = Server((address, int(port_text)), access, Looks(names), tls, say)
    except OSError as error:
        raise UsageError(f"--listen {listen}: {error.strerror or error}") from error
    port = server.server_address[1]
    reached = {address, *hosts, *(("localhost", "127.0.0.1", "::1") if is_loopback(address) else ())}
    usual = 443 if tls else 80
    shown = {f"[{name}]" if ":" in name else name for name in reached}
    access.hosts = frozenset(
        text.lower() for name in shown for text in ((f"{name}:{port}", name) if port == usual else (f"{name}:{port}",))
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    name = f"[{address}]" if ":" in address else hosts[0] if hosts else address
    url = f"http{'s' if tls else ''}://{name}:{port}/"
    out.say(url + (f"#token={token}" if control and token_file is None else ""))
    try:
        with signals_stop() as stop:
            stop.wait(seconds)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    out.emit({"url": url})
    return 0
