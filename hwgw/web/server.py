"""The HTTP server of the dashboard: a few fixed answers, looks as server-sent events, and, when asked for, a halt.

SPDX-License-Identifier: MIT

Every request is judged before it is answered: form, Host, Origin, token. A connection carries one request; how many
there are is bounded, a request must come within seconds, its body is small. What is refused gets a status and a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from hwgw import audit
from hwgw.errors import HwgwError
from hwgw.segment import Segment

from .guard import COOKIE, Access, RefusedError
from .looks import Looks, look

__all__ = ["CLIENTS_MAX", "STREAMS_MAX", "Server"]

CLIENTS_MAX = 48
STREAMS_MAX = 24
BODY_MAX = 4096
LENGTH_DIGITS_MAX = 20
REQUEST_SECONDS = 10.0
STREAM_SECONDS = 10.0  # a watcher that takes nothing for so long is let go

FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/charts.js": ("charts.js", "text/javascript; charset=utf-8"),
    "/words.js": ("words.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Connection": "close",
}


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _bounded(connection: socket.socket) -> Iterator[threading.Timer]:
    """What is done meanwhile ends in time however slowly the other side drips; the timer, which may be cancelled."""
    late = threading.Timer(REQUEST_SECONDS, _shut, (connection,))
    late.daemon = True
    late.start()
    try:
        yield late
    finally:
        late.cancel()


class Server(ThreadingHTTPServer):
    """Listens from the start; serve_forever() serves. log gets a line per refusal and act."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(
        self,
        address: tuple[str, int],
        access: Access,
        looks: Looks,
        tls: ssl.SSLContext | None = None,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.access, self.looks, self.tls, self.log = access, looks, tls, log
        self.clients = threading.BoundedSemaphore(CLIENTS_MAX)
        self.streams = threading.BoundedSemaphore(STREAMS_MAX)
        self.stopping = threading.Event()
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """One thread per connection, up to a number of them; who comes then is told to come back."""
        if not self.clients.acquire(blocking=False):
            self.log(f"{client_address[0]}: refused, {CLIENTS_MAX} connections are open")
            with contextlib.suppress(OSError):
                if self.tls is None:
                    request.settimeout(1)
                    request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
                                    b"Connection: close\r\n\r\n")  # fmt: skip
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread is to be had: what it would give back is given back here
            self.clients.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Gives the place back at the end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.clients.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """TLS is agreed on here, in the thread of the connection, so that nobody else waits for it."""
        request.settimeout(REQUEST_SECONDS)
        if self.tls is not None:
            request = self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        try:
            if self.tls is not None:
                with _bounded(request):
                    request.do_handshake()
            super().finish_request(request, client_address)
        finally:
            if self.tls is not None:
                with contextlib.suppress(OSError):
                    request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What a client does wrong below HTTP (no TLS, gone in the middle) is its own affair."""
        import sys

        error = sys.exception() if hasattr(sys, "exception") else sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.log(f"{client_address[0]}: {type(error).__name__}: {error}")

    def server_close(self) -> None:
        """Stop listening; watchers are let go."""
        self.stopping.set()
        super().server_close()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_SECONDS

    def handle(self) -> None:
        """One request, which must be there and answered in time however it is dripped; events alone last."""
        self.close_connection = True
        with _bounded(self.connection) as self._late:
            self.handle_one_request()

    def version_string(self) -> str:
        """Nothing about what runs here."""
        return "hwgw"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name of the base class)
        """Requests are not logged one by one; refusals and acts are."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses, in our form."""
        self.server.log(f"{self.client_address[0]}: {code} {message or ''}".rstrip())
        self.close_connection = True
        self.request_version = self.protocol_version  # of a line that is no request it would be one without a head
        with contextlib.suppress(OSError):
            self._answer(code, json.dumps({"error": message or str(code)}).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str, **more: str) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body)), **more}.items():
            self.send_header(name, value)
        if self.server.tls is not None:
            self.send_header("Strict-Transport-Security", "max-age=31536000")
        self.end_headers()
        if getattr(self, "command", None) != "HEAD":
            self.wfile.write(body)

    def _json(self, status: int, value: Any, **more: str) -> None:
        self._answer(status, json.dumps(value, ensure_ascii=False).encode(), "application/json", **more)

    # ---- what is asked ----

    def do_GET(self) -> None:
        """Files, looks, events."""
        self._guarded(self._get)

    def do_HEAD(self) -> None:
        """As GET, without the body."""
        self._guarded(self._get)

    def do_POST(self) -> None:
        """Log in, halt."""
        self._guarded(self._post)

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            self.server.access.host(self.headers.get_all("Host") or [])
            if self.headers.get("Transfer-Encoding") is not None:
                raise RefusedError(400, "Transfer-Encoding is not taken")
            changes = self.command == "POST"
            self.server.access.origin(self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site"), changes=changes)
            act()
        except RefusedError as refused:
            self.send_error(refused.status, str(refused))
        except (BrokenPipeError, ConnectionError, TimeoutError):
            pass  # it went away

    def _see(self) -> None:
        if not self.server.access.may_see(self.headers.get("Authorization"), self.headers.get("Cookie")):
            raise RefusedError(401, "log in with the token")

    def _get(self) -> None:
        if (self.headers.get("Content-Length") or "0").strip() != "0":
            raise RefusedError(400, "a GET has no body")
        url = self._url()
        if url.path in FILES:
            name, kind = FILES[url.path]
            self._answer(200, (resources.files(__package__) / name).read_bytes(), kind)
            return
        if url.path == "/api/session":
            access = self.server.access
            seen = access.may_see(self.headers.get("Authorization"), self.headers.get("Cookie"))
            self._json(200, {"needs_token": access.needs_token, "may_see": seen, "control": access.is_control})
            return
        if url.path not in ("/api/gateways", "/api/view", "/events"):
            raise RefusedError(404, "no such page")
        self._see()
        if url.path == "/api/gateways":
            self._json(200, {"gateways": self.server.looks.names(), "control": self.server.access.is_control})
            return
        try:
            fields = parse_qs(url.query, max_num_fields=4)
        except ValueError:
            raise RefusedError(400, "too many fields") from None
        name = self._name(fields.get("gateway", []))
        if url.path == "/api/view":
            self._json(200, look(name))
        elif self.command == "HEAD":
            raise RefusedError(405, "events are streamed to GET")
        else:
            self._events(name)

    def _url(self) -> SplitResult:
        try:
            return urlsplit(self.path)
        except ValueError:
            raise RefusedError(400, "no target that can be") from None

    def _name(self, given: list[str]) -> str:
        if len(given) != 1 or given[0] not in self.server.looks.names():
            raise RefusedError(404, "no such gateway")
        return given[0]

    def _events(self, name: str) -> None:
        """The newest look whenever there is one, until the watcher goes."""
        if not self.server.streams.acquire(blocking=False):
            raise RefusedError(503, f"{STREAMS_MAX} watch already")
        self._late.cancel()
        source = None
        try:
            source = self.server.looks.watch(name)
            self.connection.settimeout(STREAM_SECONDS)
            self.send_response(200)
            for key, value in {**HEADERS, "Content-Type": "text/event-stream"}.items():
                self.send_header(key, value)
            self.end_headers()
            seen = 0
            while not self.server.stopping.is_set():
                with source.ready:
                    if source.number == seen and not source.is_over:
                        source.ready.wait(timeout=1.0)
                    if source.is_over:
                        return
                    # a reader that hangs is not told as a picture again; a comment finds out whether anybody is there
                    line = b"data: " + source.text if source.number != seen else b":"
                    seen = source.number
                self.wfile.write(line + b"\n\n")
                self.wfile.flush()
        finally:
            if source is not None:
                self.server.looks.leave(source)
            self.server.streams.release()

    def _body(self) -> dict[str, Any]:
        length = (self.headers.get("Content-Length") or "").strip()
        if not length.isascii() or not length.isdigit():
            raise RefusedError(411, "a Content-Length is needed")
        if len(length) > LENGTH_DIGITS_MAX or int(length) > BODY_MAX:
            raise RefusedError(413, f"at most {BODY_MAX} bytes are taken")
        if (self.headers.get("Content-Type") or "").partition(";")[0].strip() != "application/json":
            raise RefusedError(415, "application/json is taken")
        raw = self.rfile.read(int(length))
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            raise RefusedError(400, "not JSON") from None
        if not isinstance(value, dict):
            raise RefusedError(400, "a JSON object is taken")
        return value

    def _post(self) -> None:
        path = self._url().path
        if path not in ("/api/login", "/api/halt"):
            raise RefusedError(404, "no such page")
        body = self._body()
        if path == "/api/login":
            session = self.server.access.login(str(body.get("token", "")))
            flags = "; Secure" if self.server.tls is not None else ""
            cookie = f"{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200{flags}"
            self._json(200, {"control": self.server.access.is_control}, **{"Set-Cookie": cookie})
            return
        self._see()
        if not self.server.access.is_control:
            raise RefusedError(403, "this server shows only; hwgw serve --control can halt")
        self._halt(self._name([str(body.get("gateway", ""))]), body)

    def _halt(self, name: str, body: dict[str, Any]) -> None:
        """Latch first, record after, as hwgw halt does."""
        if body.get("confirm") != name:
            raise RefusedError(400, "confirm must be the gateway's name")
        said = " ".join(str(body.get("reason", "")).split())
        text = f"{said or 'halted'} (dashboard, {self.client_address[0]})"
        begin = time.monotonic_ns()
        try:
            with Segment.attach(name, writable=True) as segment:
                newly = segment.halt(text)
                took_ns = time.monotonic_ns() - begin
        except HwgwError as error:
            raise RefusedError(409, str(error)) from None
        recorded = ""
        try:
            audit.record(name, "halt", text=text, newly=newly)
        except HwgwError as error:  # the halt stands
            recorded = str(error)
        self.server.log(f"{self.client_address[0]}: halted {name} (uid {os.getuid()}): {said}")
        self._json(200, {"name": name, "newly": newly, "took_ns": took_ns, "not_recorded": recorded})
