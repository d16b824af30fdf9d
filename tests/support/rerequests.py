"""A MoldUDP64 re-request server of a few lines, for pipelines that are turned by a test.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence

from .rig import mold

ANSWER_MAX = 20  # messages


class Rerequests:
    """Over loopback UDP, turned by the test."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = int(self.socket.getsockname()[1])
        self.asked: list[tuple[bytes, int, int]] = []
        """Session, first number and count of each request, as they came."""

    def step(self, said: Sequence[bytes], answer: Callable[[bytes], Sequence[bytes]] = lambda packet: [packet]) -> None:
        """Answer what waits; said: every message from number 1; answer: what becomes of the packet that says it."""
        while True:
            try:
                request, who = self.socket.recvfrom(64)
            except BlockingIOError:
                return
            session, seq, cnt = struct.unpack(">10sQH", request)
            self.asked.append((session, seq, cnt))
            for packet in answer(mold(seq, said[seq - 1 : seq - 1 + min(cnt, ANSWER_MAX)], session=session)):
                self.socket.sendto(packet, who)

    def close(self) -> None:
        self.socket.close()
