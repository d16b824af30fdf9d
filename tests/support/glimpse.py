"""A GLIMPSE server of a few lines, for pipelines that are turned by a test.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import socket
import struct


class Glimpse:
    """A GLIMPSE server over loopback TCP, turned by the test; serves one snapshot per connection."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port = int(self.listener.getsockname()[1])
        self.logins = 0

    def step(self, snapshot: list[bytes]) -> None:
        try:
            client, _ = self.listener.accept()
        except BlockingIOError:
            return
        client.settimeout(5)
        if self.logins:
            self.client.close()
        self.logins += 1
        accepted = b"A" + b"SESSION   " + b"1".rjust(20)
        packets = [accepted, *(b"S" + message for message in snapshot)]
        self.client = client
        client.sendall(b"".join(struct.pack(">H", len(packet)) + packet for packet in packets))

    def close(self) -> None:
        self.listener.close()
        if self.logins:
            self.client.close()


def end_of_snapshot(seq: int) -> bytes:
    return b"G" + str(seq).rjust(20).encode()
