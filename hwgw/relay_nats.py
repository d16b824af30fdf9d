"""The relay's way out by NATS: every packet a message of a JetStream stream, once and in order.

SPDX-License-Identifier: MIT

A message is a packet as the group of the UDP relay gets it, of up to PACKET_MAX records. Its header Nats-Msg-Id is
SESSION-NUMBER, and Nats-Expected-Last-Msg-Id that of the packet before: the server refuses what would stand behind a
hole, and takes a second time what it has already as had. So up to WINDOW packets are on the way at once, and after a
lost connection those without an answer are sent again, in their order. The stream keeps them for slow readers; while
the server takes none, they wait with the relay, which drops the oldest and says so by the numbers.

The client runs in a thread of its own: the relay never waits for the server. nats-py speaks TLS when the server asks
for it, whatever the URL says; somebody in between could ask for none. So with tls:// a connection whose server does not
ask for TLS is given up before anything is sent, each time anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .errors import ConfigError, DeviceError, UsageError
from .risk.signature import private

__all__ = ["PACKET_MAX", "Nats"]

PACKET_MAX, WINDOW = 1000, 64
CONNECT_S, ACK_S, END_S, AGAIN_S = 5, 5.0, 10.0, 0.2
_PLACE = re.compile(r"(nats|tls)://([A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):\d+")
_HERE = re.compile(r"nats://(127\.\d+\.\d+\.\d+|localhost|\[::1\]):\d+")
_SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def _client(must_encrypt: bool) -> Any:
    """A client of nats-py that begins nothing with a server that does not ask for TLS, when it must encrypt."""
    from nats.aio.client import Client

    class Encrypting(Client):
        async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
            if initial_connection and not info.get("tls_required"):
                transport: Any = self._transport  # the client leaves it open when it tries again
                transport.close()
                raise ssl.SSLError("the server does not ask for TLS")
            await super()._process_info(info, initial_connection)

    return Encrypting() if must_encrypt else Client()


def _said(error: BaseException) -> str:
    """Why no connection came about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate: {error.verify_message}"
    return "no server answers" if isinstance(error, TimeoutError) else str(error) or type(error).__name__


class Nats:
    """A publisher to subject in stream (made when there is none: files, of max_bytes at most, the oldest go).

    place: nats://HOST:PORT on this host, tls://HOST:PORT elsewhere. credentials: a file of the server's, which only its
    owner reads. authority: certificates that the server's is checked with, else those of the system. UsageError,
    ConfigError: something of these is wrong; DeviceError: no server that answers.
    """

    packet_max, beats = PACKET_MAX, False

    def __init__(
        self,
        place: str,
        stream: str,
        subject: str,
        *,
        credentials: Path | None = None,
        authority: Path | None = None,
        max_bytes: int = 1 << 30,
    ) -> None:
        try:
            import nats
            import nats.js.errors
        except ImportError as error:
            raise UsageError("--nats needs nats-py: pip install 'hwgw[nats]'") from error
        self._nats: Any = nats
        if not _PLACE.fullmatch(place):
            raise UsageError(f"--nats {place}: nats://HOST:PORT or tls://HOST:PORT is allowed")
        if not place.startswith("tls://") and not _HERE.fullmatch(place):
            raise UsageError(f"--nats {place}: what leaves this host wants tls://HOST:PORT")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", stream) or not _SUBJECT.fullmatch(subject):
            raise UsageError(
                f"stream {stream}, subject {subject}: letters, digits, _ and - are allowed, dots in a subject"
            )
        options: dict[str, Any] = {
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": AGAIN_S,
            "name": f"hwgw {subject}",
        }
        if credentials:
            if not credentials.exists():
                raise ConfigError(f"{credentials}: no such file")
            private(credentials)
            options["user_credentials"] = str(credentials)
        if place.startswith("tls://"):
            try:
                options["tls"] = ssl.create_default_context(cafile=str(authority) if authority else None)
            except OSError as error:
                raise ConfigError(f"{authority}: {error.strerror or error}") from None
        self.errors = 0
        self.failed = 0
        """Times that the server refused or did not answer, and what had no answer was sent again."""
        self.duplicates = 0
        """Packets that the server had already: their answer was lost."""
        self._subject, self._stream = subject, stream
        self._window: deque[tuple[str, str, bytes]] = (
            deque()
        )  # id, id before, packet; added by send, removed by the pump
        self._before = ""
        self._loop = asyncio.new_event_loop()
        self._more = asyncio.Event()
        self._client: Any = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()
        try:
            self._do(self._open(place, options, max_bytes), CONNECT_S + 5)
        except Exception as error:
            self.close()
            raise DeviceError(f"--nats {place}: {_said(error)}") from error
        self._pumping = asyncio.run_coroutine_threadsafe(self._pump(), self._loop)

    def _do(self, work: Any, seconds: float) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    async def _open(self, place: str, options: dict[str, Any], max_bytes: int) -> None:
        wrong: asyncio.Future[None] = self._loop.create_future()

        async def heard(error: Exception) -> None:
            """What goes wrong later shows in the answers that fail; here nothing is tried again that stays wrong."""
            if isinstance(error, ssl.SSLError) and not wrong.done():
                wrong.set_exception(error)

        client = _client(must_encrypt="tls" in options)
        connecting = asyncio.create_task(
            client.connect(place, error_cb=heard, connect_timeout=CONNECT_S, allow_reconnect=True, **options)
        )
        try:
            await asyncio.wait((connecting, wrong), timeout=CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
            if wrong.done():
                wrong.result()
            if not connecting.done():
                raise TimeoutError
            connecting.result()
        finally:
            connecting.cancel()
            wrong.cancel()
        self._client, self._js = client, client.jetstream(timeout=ACK_S)
        try:
            await self._js.stream_info(self._stream)
        except self._nats.js.errors.NotFoundError:
            await self._js.add_stream(
                name=self._stream, subjects=[self._subject], max_bytes=max_bytes, discard="old", storage="file"
            )

    async def _give(self, number: str, before: str, packet: bytes) -> None:
        headers = {"Nats-Msg-Id": number} | ({"Nats-Expected-Last-Msg-Id": before} if before else {})
        answer = await self._js.publish(self._subject, packet, timeout=ACK_S, stream=self._stream, headers=headers)
        self.duplicates += bool(answer.duplicate)

    async def _pump(self) -> None:
        """Send what is in the window, in order; after a failure what has no answer once more."""
        on_way: deque[asyncio.Task[None]] = deque()
        while True:
            self._more.clear()
            for at in range(len(on_way), len(self._window)):
                on_way.append(asyncio.create_task(self._give(*self._window[at])))
                on_way[-1].add_done_callback(lambda _: self._more.set())
            while on_way and on_way[0].done() and not on_way[0].exception():
                on_way.popleft()
                self._window.popleft()
            if on_way and on_way[0].done():
                self.failed += 1
                await asyncio.gather(*on_way, return_exceptions=True)
                on_way.clear()  # what had an answer all the same is taken as had when it comes again
                await asyncio.sleep(AGAIN_S)
            else:
                await self._more.wait()

    @property
    def readers(self) -> int | None:
        """The stream's readers are the server's business."""
        return None

    def send(self, packet: bytes) -> bool:
        """Into the window, when it has room."""
        if len(self._window) >= WINDOW:
            return False
        session, seq = packet[:10].decode("ascii"), int.from_bytes(packet[10:18], "big")
        number = f"{session}-{seq}"
        self._window.append((number, self._before, packet))
        self._before = number
        self._loop.call_soon_threadsafe(self._more.set)
        return True

    def requests(self) -> Iterator[tuple[bytes, Callable[[bytes], None]]]:
        """None: the stream has what was sent."""
        yield from ()

    def end(self, packet: bytes) -> None:
        """Send it and wait until the window is empty, ten seconds at most; what is left then is an error."""

        async def empty() -> None:
            while self._window:
                await asyncio.sleep(0.005)

        with contextlib.suppress(TimeoutError):
            self._do(asyncio.wait_for(empty(), END_S), END_S + 1)
        self.send(packet)
        with contextlib.suppress(TimeoutError):
            self._do(asyncio.wait_for(empty(), END_S), END_S + 1)
        self.errors += len(self._window)

    def close(self) -> None:
        """Close the connection and end the thread."""

        async def over() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            if self._client:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(self._client.close(), 2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        if self._thread.is_alive():
            self._do(over(), 5)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
