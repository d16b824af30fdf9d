"""What a session's events say we have, random orders for it, and a relay that cuts its connection.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
import select
import socket
from collections import Counter
from typing import Any

from hwgw_sim.exchange import default_symbols

from hwgw.native import lib

from .soup_venue import Client

SYMBOLS = default_symbols(4)
PATIENCE_S = 30.0


class Relay:
    """Carries bytes between one client and the exchange, and cuts both connections when told; cut bytes are lost."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.pair: tuple[socket.socket, ...] = ()

    def cut(self) -> None:
        for end in self.pair:
            end.close()
        self.pair = ()

    def close(self) -> None:
        self.cut()
        self.listener.close()

    def step(self, cut_after: int | None = None) -> None:
        """Carry what waits; with cut_after only so many bytes each way, and then cut."""
        if not self.pair:
            try:
                client, _ = self.listener.accept()
            except BlockingIOError:
                return
            self.pair = (client, socket.create_connection(self.address))
        readable = select.select(self.pair, [], [], 0)[0]
        for source in readable:
            target = self.pair[1 - self.pair.index(source)]
            try:
                data = source.recv(65_536)
            except ConnectionError:
                data = b""
            if not data:
                self.cut()
                return
            target.sendall(data[:cut_after])
        if cut_after is not None:
            self.cut()


class Account:
    """What the events say we have, kept apart from the session's own table."""

    def __init__(self) -> None:
        self.left: dict[int, int] = {}
        self.done: dict[int, int] = {}
        self.instrument: dict[int, int] = {}
        self.side: dict[int, int] = {}
        self.position: Counter[str] = Counter()
        self.cash = 0

    def apply(self, event: Any) -> None:
        assert event.kind != lib.HWGW_ORDER_KIND_HALT
        assert event.ref in self.left, f"event {event.kind} of {event.ref}, which has ended"
        sign = 1 if event.side == lib.HWGW_ORDER_SIDE_BUY else -1
        if event.kind == lib.HWGW_ORDER_KIND_REPLACED:
            del self.left[event.orig_ref]
            self.left[event.ref], self.done[event.ref] = event.qty, self.done[event.orig_ref]
        elif event.kind == lib.HWGW_ORDER_KIND_REJECTED:
            self.left[event.ref] = 0
        elif event.kind in (lib.HWGW_ORDER_KIND_EXECUTED, lib.HWGW_ORDER_KIND_CANCELED):
            self.left[event.ref] -= event.qty
        if event.kind == lib.HWGW_ORDER_KIND_EXECUTED:
            self.done[event.ref] += event.qty
            self.position[SYMBOLS[event.instrument]] += sign * event.qty
            self.cash -= sign * event.qty * event.px
        assert self.left[event.ref] >= 0
        if self.left[event.ref] == 0:
            del self.left[event.ref]


def act(client: Client, account: Account, rng: random.Random, *, cancel_whole: bool = False) -> None:
    """Send one random order, replace or cancel, at prices from far away to far through the market."""
    kind = rng.choice(["NEW", "NEW", "REPLACE", "CANCEL"])
    target = rng.choice(list(account.left)) if account.left else 0
    side = rng.choice((lib.HWGW_ORDER_SIDE_BUY, lib.HWGW_ORDER_SIDE_SELL))
    px = rng.choice([100, 500_000, 1_000_000, 5_000_000, 1_000_050])  # the last one is no tick: a reject
    fields: dict[str, int] = {"ref": lib.hwgw_session_next_ref(client.handle), "qty": rng.randrange(1, 400), "px": px}
    if kind == "NEW":
        tif = rng.choice((lib.HWGW_ORDER_TIF_DAY, lib.HWGW_ORDER_TIF_IOC))
        fields |= {"instrument": rng.randrange(len(SYMBOLS)), "side": side, "tif": tif}
    elif not target:
        return
    elif kind == "CANCEL":
        fields = {"ref": target, "qty": 0 if cancel_whole else rng.choice([0, rng.randrange(300)])}
    else:
        fields |= {"orig_ref": target, "instrument": account.instrument[target], "side": account.side[target]}
        fields["qty"] += account.done[target]
    outcome = client.send(kind=kind, **fields)
    if outcome != lib.HWGW_CNT_ORDER_ENCODED:
        assert outcome == lib.HWGW_CNT_ORDER_DROP_SESSION, (outcome, kind, fields)
    elif kind != "CANCEL":
        ref = fields["ref"]
        account.left[ref], account.done[ref] = fields["qty"], 0
        account.instrument[ref], account.side[ref] = fields["instrument"], fields["side"]
