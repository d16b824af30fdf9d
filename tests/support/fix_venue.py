"""A FIX venue for the tests of the order session: simplefix over a socket that a test turns.

SPDX-License-Identifier: MIT

Nothing in it runs by itself, and nothing of hwgw's is used to write or to read a message.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .soup_venue import PATIENCE_S, Client, Venue

Message = dict[int, str]


class FixVenue(Venue):
    """A listening socket, at most one connection, its numbers, and the messages read from it."""

    def __init__(self, version: str) -> None:
        super().__init__()
        self.version = version
        self.tx_seq = 1
        self.exec_id = 0

    def make(
        self, kind: str, *fields: tuple[int, Any], seq: int = 0, dup: bool = False, sender: str = "VENUE"
    ) -> bytes:
        """A message; with the next number unless seq is given."""
        import simplefix

        message = simplefix.FixMessage()
        message.append_pair(8, f"FIX.4.{self.version[1]}")
        message.append_pair(35, kind)
        message.append_pair(49, sender)
        message.append_pair(56, "HWGW")
        message.append_pair(34, seq or self.tx_seq)
        message.append_pair(52, "20260105-14:30:00.000")
        if dup:
            message.append_pair(43, "Y")
            message.append_pair(122, "20260105-14:29:59.000")
        for number, value in fields:
            message.append_pair(number, value)
        self.tx_seq += not seq
        return bytes(message.encode())

    def send(self, kind: Any, *fields: tuple[int, Any], **options: Any) -> None:
        self.raw(self.make(kind, *fields, **options))

    def raw(self, data: bytes) -> None:
        super().send(data)

    def messages(self) -> list[Message]:
        """Take the whole messages received so far; each must be what simplefix makes of its fields."""
        import simplefix

        taken: list[Message] = []
        while (end := self.received.find(b"\x0110=")) >= 0 and len(self.received) >= end + 8:
            data = bytes(self.received[: end + 8])
            del self.received[: end + 8]
            parser = simplefix.FixParser()
            parser.append_buffer(data)
            message = parser.get_message()
            assert message is not None
            assert message.encode() == data
            taken.append({int(number): value.decode() for number, value in message.pairs})
        return taken

    def read(self, client: Client, cnt: int, events: list[Any] | None = None) -> list[Message]:
        """Turn both until the venue has read cnt messages; what the client says of orders goes to events."""
        found: list[Message] = []

        def enough() -> bool:
            found.extend(self.messages())
            return len(found) >= cnt

        pump(client, self, enough, events)
        assert len(found) == cnt, found
        return found

    def answer_test(self, client: Client) -> None:
        """The test request that confirms a logon or a filled gap."""
        (test,) = self.read(client, 1)
        assert test[35] == "1", test
        self.send("0", (112, test[112]))
        pump(client, self, lambda: client.state == "UP")

    def log_in(self, client: Client) -> None:
        (logon,) = self.read(client, 1)
        assert logon[35] == "A"
        self.send("A", (98, 0), (108, logon[108]))
        self.answer_test(client)

    def report(
        self, order: Message, exec_type: str, *, leaves: int | None = None, cum: int = 0, request: str = ""
    ) -> list[tuple[int, Any]]:
        """What every execution report of an order says."""
        self.exec_id += 1
        left = int(order[38]) - cum if leaves is None else leaves
        old = [(20, 0)] if self.version == "42" else []
        return [
            (37, 900), (11, request or order[11]), (17, f"X{self.exec_id}"), *old, (150, exec_type), (39, "0"),
            (55, order[55]), (54, order[54]), (38, order[38]), (44, order.get(44, "1")), (151, left), (14, cum),
            (6, 0),
        ]  # fmt: skip


def pump(client: Client, venue: Venue, until: Callable[[], bool], events: list[Any] | None = None) -> None:
    """Turn client and venue until the condition holds."""
    end = time.monotonic() + PATIENCE_S
    while not until():
        found = client.poll()
        if events is not None:
            events += found
        venue.step()
        assert time.monotonic() < end, f"gave up waiting: {client.state}, {client.reason}"
        time.sleep(0.0002)
