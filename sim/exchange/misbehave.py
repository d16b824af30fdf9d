"""A venue that misbehaves on demand: a SoupBinTCP front of the simulated exchange for one client of OUCH 5.0.

SPDX-License-Identifier: MIT

A thread between two sockets. Towards the client it is a venue of its own: what it says is numbered and kept here, so
that it can say more, less or later than the exchange did, and a client that comes back hears it again. What it leaves
out or makes up is decided by a seeded generator and counted.
"""

from __future__ import annotations

import random
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hwgw_sim.exchange.front import Front
from hwgw_sim.golden.order import KINDS, OUCH, build, parse

from hwgw.errors import UsageError

ANSWERS, REQUESTS = b"AUCEJ", b"OUXC"
CUT_BYTES = 200, 20_000  # to a connection that parse() has cut


@dataclass(frozen=True)
class Misbehaviour:
    """Shares of 0 to 1 unless said otherwise.

    late: of answers, which wait late_s, and everything behind them. duplicate, missing: of answers, which come twice or
    never. reject_storm: so many orders, from the first, are refused here and never reach the exchange. breaks: of
    executions, each of which is broken once. cut_after: bytes to the client after which the connection is cut, once
    for each entry.
    """

    late: float = 0
    late_s: float = 0.1
    duplicate: float = 0
    missing: float = 0
    reject_storm: int = 0
    breaks: float = 0
    cut_after: tuple[int, ...] = ()
    seed: int = 1

    @property
    def contradicts(self) -> bool:
        """Whether what it says cannot all be true; a client that notices has to stop."""
        return bool(self.duplicate or self.missing)


def parse_misbehaviour(text: str) -> Misbehaviour:
    """Of `late=5%,late_ms=50,duplicate=1%,missing=1%,reject_storm=100,breaks=10%,cuts=3,seed=7`; any of them."""
    found: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            if name in found:
                raise ValueError
            if name in ("late", "duplicate", "missing", "breaks"):
                found[name] = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
                if not 0 <= found[name] <= 1:
                    raise ValueError
            elif name in ("late_ms", "reject_storm", "cuts", "seed") and value.isdecimal() and int(value) < 1_000_000:
                found[name] = int(value)
            else:
                raise ValueError
        except ValueError:
            raise UsageError(
                f"order entry faults {part!r}: late, duplicate, missing, breaks = 0 to 1 or N%, late_ms, reject_storm,"
                " cuts, seed = N below a million, each once, are allowed"
            ) from None
    if "late_ms" in found:
        found["late_s"] = found.pop("late_ms") / 1000
    draw = random.Random(found.get("seed", 1))
    found["cut_after"] = tuple(draw.randrange(*CUT_BYTES) for _ in range(found.pop("cuts", 0)))
    return Misbehaviour(**found)


class MisbehavingVenue(Front):
    """Listens at `port` for the user of the exchange. A context manager.

    counts: what it did. errors: what its thread met that cannot be.
    """

    def __init__(
        self,
        exchange: tuple[str, int],
        user: tuple[str, str],
        how: Misbehaviour,
        listen: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        super().__init__(exchange, user, listen)
        self.how, self.random = how, random.Random(how.seed)
        self.counts: Counter[str] = Counter()
        self.said: list[bytes] = []  # sequenced messages, from number 1
        self.waiting: list[tuple[float, bytes]] = []  # not said yet, in order: when it may be; b"": the session ends
        self.is_gone = False  # the exchange
        self.is_ending = self.has_ended = False  # the session: everything is said; the client was told so
        self.cuts = list(how.cut_after)
        self.is_logged_in = False
        self.cursor = self.sent = 0  # of said; bytes to this connection
        self.refs: set[int] = set()  # refused here: the exchange has not seen them
        self.start()

    # ---- the loop ----

    turn_s = 0.002

    def _accepted(self) -> None:
        self.sent = 0

    def _turn(self) -> None:
        self._say()
        if time.monotonic() - self.last_tx > 0.5:
            self.last_tx = time.monotonic()
            if self.venue:
                self._to_venue(b"R")
            if self.is_logged_in:
                self._to_peer(b"\0\1H")

    def _cut(self) -> None:
        if self.peer:
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.peer.close()
        self.peer, self.is_logged_in, self.buffers["peer"] = None, False, b""

    def _to_peer(self, data: bytes) -> None:
        """To the client, as far as the next cut."""
        if not self.peer:
            return
        left = self.cuts[0] - self.sent if self.cuts else len(data)
        try:
            self.peer.sendall(data[: max(0, left)])
        except ConnectionError:
            self._cut()
            return
        self.sent += len(data)
        if self.cuts and left <= len(data):
            self.cuts.pop(0)
            self.counts["cuts"] += 1
            self.peer.shutdown(socket.SHUT_WR)  # what was sent still arrives
            self.peer.close()
            self.peer, self.is_logged_in, self.buffers["peer"] = None, False, b""

    def _venue_gone(self) -> None:
        assert self.venue
        self.venue.close()
        self.venue, self.is_gone = None, True

    # ---- the client ----

    def _from_peer(self) -> None:
        for kind, payload in self._packets("peer"):
            if kind == b"L":
                self._login(int(payload[26:46]))
            elif kind == b"O":
                self._cut()
            elif kind == b"U" and self.is_logged_in:
                self._request(payload)

    def _login(self, seq: int) -> None:
        if self.venue is None and not self.is_gone:
            self._log_in()
        seq = seq or len(self.said) + 1
        self.cursor, self.is_logged_in = seq - 1, True
        self.counts["logins"] += 1
        self._to_peer(struct.pack(">Hc", 31, b"A") + b"MISBEHAVES" + str(seq).rjust(20).encode())

    def _request(self, message: bytes) -> None:
        ref = int.from_bytes(message[1:5], "big")
        self.counts["requests"] += message[:1] in REQUESTS
        if message[:1] == b"O" and self.counts["stormed"] < self.how.reject_storm:
            if ref not in self.refs:  # a number that was used is ignored, here as there
                self.counts["stormed"] += 1
                self.refs.add(ref)
                self._queue(build(OUCH, "rejected", user_ref_num=ref, reason=1))
            return
        if self.venue:
            self._to_venue(b"U", message)

    # ---- the exchange ----

    def _from_venue(self, kind: bytes, message: bytes) -> None:
        if kind == b"Z":
            self.waiting.append((time.monotonic(), b""))
        if kind != b"S":
            return
        if message[:1] == b"Q" and self.refs:  # those refused here count, too
            fields = parse(OUCH, "account_query_response", message)
            fields["next_user_ref_num"] = max(int(fields["next_user_ref_num"]), max(self.refs) + 1)
            message = build(OUCH, "account_query_response", **fields)
        is_answer = message[0] in ANSWERS
        if is_answer and self.random.random() < self.how.missing:
            self.counts["missing"] += 1
            return
        self._queue(message)
        if is_answer and self.random.random() < self.how.duplicate:
            self.counts["duplicated"] += 1
            self._queue(message)
        if message[:1] == b"E" and self.random.random() < self.how.breaks:
            fields = parse(OUCH, "order_executed", message)
            self.counts["broken"] += 1
            names = ("timestamp", "user_ref_num", "match_number")
            self._queue(build(OUCH, "broken_trade", reason="E", **{name: fields[name] for name in names}))

    def _queue(self, message: bytes) -> None:
        wait_s = 0.0
        if self.random.random() < self.how.late:
            self.counts["late"] += 1
            wait_s = self.how.late_s
        self.waiting.append((time.monotonic() + wait_s, message))

    def _say(self) -> None:
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            message = self.waiting.pop(0)[1]
            if message:
                self.said.append(message)
            else:
                self.is_ending = True
        while self.is_logged_in and self.cursor < len(self.said):
            message = self.said[self.cursor]
            self.cursor += 1
            self._to_peer(struct.pack(">Hc", 1 + len(message), b"S") + message)
        if self.is_ending and self.is_logged_in and not self.has_ended:
            self._to_peer(b"\0\1Z")
            self.has_ended = self.is_logged_in  # else cut just there: the client will come back and hear it

    # ---- its account ----

    def account(self) -> dict[str, Any]:
        """What it has said: cash and positions of who believes each message once, messages by kind and in all."""
        kinds: Counter[str] = Counter()
        orders: dict[int, tuple[str, int]] = {}  # reference -> symbol, 1 or -1
        trades: dict[tuple[int, int], tuple[int, int]] = {}  # reference and match -> shares, price
        positions: Counter[str] = Counter()
        cash = 0
        for message in self.said:
            name = OUCH.message(chr(message[0]), "host_to_client").name
            fields: dict[str, Any] = parse(OUCH, name, message)
            kinds[KINDS.get(name, "other")] += 1
            ref = fields.get("user_ref_num", 0)
            if name in ("order_accepted", "order_replaced"):
                orders[ref] = str(fields["symbol"]).rstrip(), 1 if fields["side"] == "B" else -1
            elif name in ("order_executed", "broken_trade"):
                symbol, sign = orders.get(ref, ("", 0))
                key = ref, fields["match_number"]
                if name == "order_executed":
                    trades[key] = fields["quantity"], fields["price"]
                qty, px = trades[key]
                sign = sign if name == "order_executed" else -sign
                positions[symbol] += sign * qty
                cash -= sign * qty * px
        return {
            "cash": cash,
            "positions": {symbol: qty for symbol, qty in positions.items() if qty},
            "kinds": dict(kinds),
            "messages": len(self.said),
        }
