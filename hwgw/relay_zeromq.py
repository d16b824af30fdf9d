"""The relay's way out by ZeroMQ: a publisher, and a socket that takes requests, both behind CurveZMQ keys.

SPDX-License-Identifier: MIT

A message is a packet as the group of the UDP relay gets it, of up to PACKET_MAX records: session, number of the first,
how many. A reader that does not keep up loses packets when its queue of QUEUE is full, and sees it by the numbers;
neither the others nor the relay wait for it. A request is the MoldUDP64 request packet to the second socket; the answer
is packets, and an empty message at the end.

Off the host nothing goes without keys: the relay has one, and every reader one of those that it was told of. A key is
one line of 40 characters (Z85), the private one in a file that only its owner reads.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .errors import ConfigError, UsageError
from .risk.signature import private

__all__ = ["PACKET_MAX", "ZeroMQ", "make_key", "public_keys", "secret_key"]

PACKET_MAX, QUEUE, REQUESTS_PER_ROUND, LINGER_MS = 1000, 1000, 64, 2000
_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_PLACE = re.compile(r"ipc://\S+|tcp://(127\.\d+\.\d+\.\d+|\d+\.\d+\.\d+\.\d+|\*):(\d+|\*)")


def _zmq() -> Any:
    try:
        import zmq
    except ImportError as error:
        raise UsageError("--zeromq needs pyzmq: pip install 'hwgw[zeromq]'") from error
    return zmq


def make_key(file: Path) -> str:
    """Make a private key in a new file that only its owner reads; the public key."""
    public, secret = _zmq().curve_keypair()
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{file}: exists already; a key is never written over") from None
    with os.fdopen(fd, "wb") as stream:
        stream.write(secret + b"\n")
    return str(public.decode())


def _keys(file: Path) -> list[bytes]:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error.strerror if isinstance(error, OSError) else 'not ASCII text'}") from None
    keys = [line.split()[0] for line in lines if line.strip() and not line.startswith("# ")]
    for number, key in enumerate(keys, 1):
        if not _KEY.fullmatch(key):
            raise ConfigError(f"{file}: key {number} has {len(key)} characters; 40 of Z85 are a key")
    return [key.encode() for key in keys]


def secret_key(file: Path) -> bytes:
    """The private key of a file; ConfigError when others can read it or it holds none."""
    private(file)
    keys = _keys(file)
    if len(keys) != 1:
        raise ConfigError(f"{file}: {len(keys)} keys; one private key is wanted")
    return keys[0]


def public_keys(file: Path) -> list[bytes]:
    """The public keys of a file, one on a line, what follows a key is a remark; ConfigError when it holds none."""
    keys = _keys(file)
    if not keys:
        raise ConfigError(f"{file}: no key; one on a line is wanted")
    return keys


class ZeroMQ:
    """A publisher at place (tcp://ADDRESS:PORT or ipc://PATH) and, where asked for, requests at another.

    key: the private key, readers: the public keys that may connect; both or none, and none only on this host.
    queue: packets for a reader that does not keep up, beside what the kernel holds (buffer_bytes; -1: as it likes).
    UsageError: a place that cannot be had.
    """

    packet_max, beats, errors = PACKET_MAX, True, 0

    def __init__(
        self,
        place: str,
        *,
        requests: str = "",
        key: bytes | None = None,
        readers: Sequence[bytes] = (),
        queue: int = QUEUE,
        buffer_bytes: int = -1,
    ) -> None:
        zmq = _zmq()
        for option, each in (("--zeromq", place), *((("--requests", requests),) if requests else ())):
            match = _PLACE.fullmatch(each)
            if not match:
                raise UsageError(f"{option} {each}: tcp://ADDRESS:PORT or ipc://PATH is allowed")
            if not key and not each.startswith(("ipc://", "tcp://127.")):
                raise UsageError(f"{option} {each}: keys are needed for what leaves this host: --key and --readers")
        if bool(key) != bool(readers):
            raise UsageError("--key and --readers belong together: who may connect is named, key by key")
        self._zmq, self._readers = zmq, 0
        self._auth: Any = None
        self._queue, self._buffer_bytes = queue, buffer_bytes
        self._context = zmq.Context(io_threads=1)
        self._sockets: list[Any] = []
        try:
            if key:
                self._allow(set(readers))
            self._out = self._socket(zmq.XPUB, place, key)
            self._in: Any = self._socket(zmq.ROUTER, requests, key) if requests else None
        except BaseException:
            self.close()
            raise
        self.place = self._out.getsockopt_string(zmq.LAST_ENDPOINT)
        self.request_place = self._in.getsockopt_string(zmq.LAST_ENDPOINT) if self._in else ""
        self.public = zmq.curve_public(key).decode() if key else ""

    def _allow(self, keys: set[bytes]) -> None:
        from zmq.auth.thread import ThreadAuthenticator

        class Provider:
            def callback(self, domain: str, key: bytes) -> bool:
                return key in keys

        self._auth = ThreadAuthenticator(self._context)
        self._auth.start()
        self._auth.configure_curve_callback(domain="*", credentials_provider=Provider())

    def _socket(self, kind: int, place: str, key: bytes | None) -> Any:
        zmq = self._zmq
        one = self._context.socket(kind)
        self._sockets.append(one)
        one.sndhwm, one.sndbuf = self._queue, self._buffer_bytes
        one.linger = LINGER_MS
        if kind == zmq.XPUB:
            one.setsockopt(zmq.XPUB_VERBOSER, 1)
        if key:
            one.curve_secretkey, one.curve_server = key, True
        try:
            one.bind(place)
        except zmq.ZMQError as error:
            raise UsageError(f"{place}: {error.strerror}; an address of this host is needed") from error
        return one

    @property
    def readers(self) -> int | None:
        """How many have subscribed."""
        while True:
            try:
                told = self._out.recv(self._zmq.NOBLOCK)
            except self._zmq.Again:
                return self._readers
            self._readers += {b"\1": 1, b"\0": -1}.get(told[:1], 0)

    def send(self, packet: bytes) -> bool:
        """To everybody whose queue has room."""
        self._out.send(packet, self._zmq.NOBLOCK)
        return True

    def requests(self) -> Iterator[tuple[bytes, Callable[[bytes], None]]]:
        """Requests, at most so many at a time; what does not go into the queue of one who asks is not sent to him."""
        for _ in range(REQUESTS_PER_ROUND if self._in else 0):
            try:
                sender, *parts = self._in.recv_multipart(self._zmq.NOBLOCK)
            except self._zmq.Again:
                return
            yield parts[-1] if parts else b"", functools.partial(self._answer, sender)

    def _answer(self, to: bytes, packet: bytes) -> None:
        self._in.send_multipart([to, packet], self._zmq.NOBLOCK)

    def end(self, packet: bytes) -> None:
        """Once; closing waits until it has left."""
        self.send(packet)

    def close(self) -> None:
        """Close the sockets; what is queued has two seconds to leave."""
        for one in self._sockets:
            one.close()
        if self._auth:
            self._auth.stop()
        self._context.term()
