"""Orders and answers of the session's tests, in short.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from typing import Any

from hwgw.native import lib

from . import soup_venue as wire
from .soup_venue import MS, Client, Venue, pump

BUY, SELL = lib.HWGW_ORDER_SIDE_BUY, lib.HWGW_ORDER_SIDE_SELL
SHORT = lib.HWGW_ORDER_FLAGS_SHORT_SALE
ENCODED, DROP_SESSION = lib.HWGW_CNT_ORDER_ENCODED, lib.HWGW_CNT_ORDER_DROP_SESSION
DROP_BACKLOG, DROP_ENCODE = lib.HWGW_CNT_ORDER_DROP_BACKLOG, lib.HWGW_CNT_ORDER_DROP_ENCODE
KINDS = {
    getattr(lib, f"HWGW_ORDER_KIND_{name}"): name
    for name in ("ACCEPTED", "REJECTED", "CANCELED", "EXECUTED", "REPLACED", "BROKEN", "HALT")
}
AAPL = b"AAPL    "


def brief(events: list[Any]) -> list[tuple[str, int, int]]:
    return [(KINDS[event.kind], event.ref, event.qty) for event in events]


def enter(client: Client, ref: int, qty: int = 100, px: int = 1_000_000, **fields: Any) -> None:
    assert client.send(ref=ref, qty=qty, px=px, **fields) == ENCODED


def replace(client: Client, orig: int, ref: int, qty: int = 100, px: int = 1_000_100, **fields: Any) -> None:
    assert client.send(kind="REPLACE", orig_ref=orig, ref=ref, qty=qty, px=px, **fields) == ENCODED


def accept(ref: int, qty: int = 100, px: int = 1_000_000, **fields: Any) -> bytes:
    return wire.accepted(ref, b"B", qty, AAPL, px, **fields)


def accept_replace(orig: int, ref: int, qty: int = 100, px: int = 1_000_100, **fields: Any) -> bytes:
    return wire.replaced(orig, ref, b"B", qty, AAPL, px, **fields)


def lose(client: Client, venue: Venue) -> None:
    """Drop the connection and let the longest back-off pass."""
    if client.state != "LOST":
        venue.drop()
        pump(client, venue, lambda: client.state == "LOST")
    venue.drop()
    client.now_ns += 32 * 100 * MS


def fill_up(client: Client, venue: Venue) -> int:
    """Send until the buffers are full; the number of orders that were taken."""
    venue.is_reading = False
    for ref in range(1, 4_000):
        outcome = client.send(ref=ref, qty=1, px=1)
        if outcome != ENCODED:
            assert outcome == DROP_BACKLOG
            break
    else:
        raise AssertionError("the buffers took 4,000 orders")
    calm = 0
    while calm < 50:  # until the kernel has moved what it can to the venue's side
        before = client.count("tx_bytes")
        client.poll()
        time.sleep(0.001)
        calm = calm + 1 if client.count("tx_bytes") == before else 0
    return ref - 1
