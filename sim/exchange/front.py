"""A thread between one client and the exchange: what the fronts of the simulated exchange share.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from typing import Self


class Front:
    """Listens at `port`. A context manager.

    venue: the exchange, once the client is logged in there, in OUCH 5.0. peer: the client. errors: what the thread met
    that cannot be.
    """

    turn_s = 0.05

    def __init__(
        self, exchange: tuple[str, int], user: tuple[str, str], listen: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        self.exchange, self.user = exchange, user
        self.listener = socket.create_server(listen)
        self.port = int(self.listener.getsockname()[1])
        self.venue: socket.socket | None = None
        self.peer: socket.socket | None = None
        self.buffers = {"venue": b"", "peer": b""}
        self.last_tx = time.monotonic()
        self.errors: list[BaseException] = []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin, when everything is there that the thread needs."""
        self.thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.thread.join(10)
        for end in (self.peer, self.venue, self.listener):
            if end is not None:
                end.close()

    def _run(self) -> None:
        try:
            while not self.is_over.is_set():
                ends = [end for end in (self.venue, self.listener, self.peer) if end]
                for end in select.select(ends, [], [], self.turn_s)[0]:
                    if end is self.listener:
                        self._cut()
                        self.peer, _ = self.listener.accept()
                        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        self._accepted()
                    elif end is self.venue:
                        self._read_venue()
                    elif end is self.peer:
                        self._read_peer()
                self._turn()
        except BaseException as error:
            self.errors.append(error)

    def _read_peer(self) -> None:
        assert self.peer is not None
        try:
            data = self.peer.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self._cut()
            return
        self.buffers["peer"] += data
        self._from_peer()

    def _read_venue(self) -> None:
        assert self.venue is not None
        data = self.venue.recv(65536)
        if not data:
            self._venue_gone()
            return
        self.buffers["venue"] += data
        for kind, payload in self._packets("venue"):
            self._from_venue(kind, payload)

    def _packets(self, name: str) -> list[tuple[bytes, bytes]]:
        """The whole SoupBinTCP packets that have come: type and payload."""
        found, buffer = [], self.buffers[name]
        while len(buffer) >= 3 and len(buffer) >= (size := 2 + int.from_bytes(buffer[:2], "big")):
            found.append((buffer[2:3], buffer[3:size]))
            buffer = buffer[size:]
        self.buffers[name] = buffer
        return found

    def _log_in(self) -> None:
        """As the user, from the first message on."""
        self.venue = socket.create_connection(self.exchange)
        login = self.user[0].ljust(6) + self.user[1].ljust(10) + " " * 10 + "1".rjust(20)
        self._to_venue(b"L", login.encode())

    def _to_venue(self, kind: bytes, payload: bytes = b"") -> None:
        assert self.venue is not None
        self.venue.sendall(struct.pack(">Hc", 1 + len(payload), kind) + payload)

    # ---- what a front is ----

    def _accepted(self) -> None:
        """A client has connected."""

    def _cut(self) -> None:
        """Close the connection of the client, if there is one."""
        raise NotImplementedError

    def _from_peer(self) -> None:
        """More has come from the client."""
        raise NotImplementedError

    def _from_venue(self, kind: bytes, payload: bytes) -> None:
        """A packet of the exchange."""
        raise NotImplementedError

    def _venue_gone(self) -> None:
        """The exchange has closed its connection."""
        self.is_over.set()

    def _turn(self) -> None:
        """Once per turn of the loop: what is due by the clock."""
        raise NotImplementedError
