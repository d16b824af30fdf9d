"""An exchange for the tests: running in a thread, what it recorded, and the golden books after it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwgw_sim.exchange import Exchange, ExchangeConfig, default_symbols
from hwgw_sim.golden import book, itch


class Running:
    """An exchange in a thread of this process."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.address = ("127.0.0.1", exchange.listen_port)
        self.symbol = exchange.symbols[0]
        self.thread = threading.Thread(target=exchange.run)
        self.thread.start()

    def end(self) -> dict[str, Any]:
        """Stop it and return its report."""
        self.exchange.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.exchange.report()


@contextmanager
def running(**settings: Any) -> Iterator[Running]:
    """A running exchange, without a feed unless asked."""
    settings = {"group": None, "symbols": default_symbols(2), "end_packets": 1} | settings
    with Exchange(ExchangeConfig(**settings)) as exchange:
        run = Running(exchange)
        try:
            yield run
        finally:
            run.end()


def messages_of(path: Path) -> Iterator[bytes]:
    """The messages of a BinaryFILE."""
    data = path.read_bytes()
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        yield data[at + 2 : at + 2 + size]
        at += 2 + size
    assert at == len(data)


def rebuild(messages: list[bytes], symbol_cnt: int) -> book.Books:
    """Golden books after these messages; locate n is instrument n - 1, as the generated feed has it."""
    books = book.Books(symbol_cnt)
    for message in messages:
        event = itch.event(message)
        event["instrument"] = (event["locate"] - 1) & 0xFFFFFFFF
        books.apply(event)
    return books
