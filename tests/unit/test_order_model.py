"""The life of an order: every event in every state, against the C code, by what the venue says and the link does.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import soup_venue as wire
from support.soup_venue import MS, Client, Venue, log_in, pump, read

from hwgw.native import lib
from hwgw.specs import order_model

MODEL = order_model.load()
STATES = [state.name for state in MODEL.states]
AAPL = b"AAPL    "
REF, OTHER, QTY = 5, 6, 100


def state_of(client: Client, ref: int = REF) -> str:
    return STATES[lib.hwgw_session_order_state(client.handle, ref)]


def lose(client: Client, venue: Venue) -> None:
    venue.drop()
    pump(client, venue, lambda: client.state == "LOST")


def come_back(client: Client, venue: Venue) -> None:
    """Logged in again; what the venue knows is not asked yet answered, so the replay goes on."""
    client.now_ns += 1000 * MS
    read(client, venue, 1)
    venue.send(wire.login_accepted(seq=lib.hwgw_session_next_seq(client.handle)))
    read(client, venue, 1)


def bring(client: Client, venue: Venue, state: str, event: str) -> None:
    """An order (of number REF, unless the event is about a replace) in a state."""
    log_in(client, venue)
    if state == "free":
        return
    if event == "takes over":  # it replaces a live order
        client.send(ref=1, qty=QTY, px=1)
        venue.sequenced(wire.accepted(1, b"B", QTY, AAPL, 1))
        pump(client, venue, lambda: state_of(client, 1) == "live")
        client.send(kind="REPLACE", orig_ref=1, ref=REF, qty=QTY, px=2)
    elif event == "withdrawn" and state == "sent":  # it waits in the buffer
        assert lib.hwgw_session_order(client.handle, wire.order(ref=REF, qty=QTY, px=1)) == lib.HWGW_CNT_ORDER_ENCODED
    else:
        client.send(ref=REF, qty=QTY, px=1)
    if state == "live":
        answer = wire.replaced(1, REF, b"B", QTY, AAPL, 2) if event == "takes over" else None
        venue.sequenced(answer or wire.accepted(REF, b"B", QTY, AAPL, 1))
        pump(client, venue, lambda: state_of(client) == "live")
    if event == "replaced":  # by another that is under way
        client.send(kind="REPLACE", orig_ref=REF, ref=OTHER, qty=QTY, px=2)
    if state == "unknown":
        lose(client, venue)
        if event not in ("link lost", "handed over"):
            come_back(client, venue)
    assert state_of(client) == state


MESSAGES = {
    "accepted": wire.accepted(REF, b"B", QTY, AAPL, 1),
    "takes over": wire.replaced(1, REF, b"B", QTY, AAPL, 2),
    "replaced": wire.replaced(REF, OTHER, b"B", QTY, AAPL, 2),
    "executed": wire.executed(REF, QTY - 1, 1, 9),
    "filled": wire.executed(REF, QTY, 1, 9),
    "reduced": wire.canceled(REF, QTY - 1),
    "canceled": wire.canceled(REF, QTY),
    "rejected": wire.rejected(REF, 1),
}


def happen(client: Client, venue: Venue, state: str, event: str) -> bool:
    """Let it happen; whether it was taken for legal."""
    events: list[Any] = []
    if event in MESSAGES:
        counted = client.count("sequenced")
        venue.sequenced(MESSAGES[event])
        pump(client, venue, lambda: client.count("sequenced") > counted, events)
        return all(each.kind != lib.HWGW_ORDER_KIND_HALT for each in events)
    if event == "handed over":
        return client.send(ref=REF, qty=QTY, px=1) == lib.HWGW_CNT_ORDER_ENCODED
    if event == "link lost":
        if client.state != "LOST":
            lose(client, venue)
        return True
    assert event == "withdrawn"
    if state == "unknown":  # the venue's next reference is below it
        venue.sequenced(wire.query_response(REF))
        pump(client, venue, lambda: client.state == "UP", events)
    else:
        lib.hwgw_session_withdraw(client.handle)
    events += client.poll()
    return [(each.kind, each.ref) for each in events] == [(lib.HWGW_ORDER_KIND_REJECTED, REF)]


@pytest.mark.parametrize("event", [event.name for event in MODEL.events])
@pytest.mark.parametrize("state", STATES)
def test_event_does_in_a_state_what_the_table_says(client: Client, venue: Venue, state: str, event: str) -> None:
    bring(client, venue, state, event)
    is_legal = happen(client, venue, state, event)
    behind = MODEL.next(state, event)
    assert (is_legal, state_of(client)) == (behind is not None, behind or state)
    client.ledger()


def test_the_diagram_of_the_page_is_that_of_the_table(root: Path) -> None:
    page = (root / "docs" / "order-entry.md").read_text(encoding="utf-8")
    assert order_model.diagram() in page, "make docs writes it"
    assert page.count(order_model.BEGIN) == 1
