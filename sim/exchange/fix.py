"""A FIX 4.2 or 4.4 gateway of the simulated exchange: an acceptor that trades in OUCH 5.0 for its one client.

SPDX-License-Identifier: MIT

A thread between two sockets. Numbers, orders and what was sent live as long as the acceptor, over any number of
connections; a resend repeats reports and fills the rest. Every request is answered: a cancel or replace that came too
late by an OrderCancelReject. Written with plain dicts, and not from hwgw's C or its table of FIX.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hwgw_sim.exchange.front import Front
from hwgw_sim.golden.order import OUCH, build, parse, tag

SOH = b"\1"
SIDES = {"1": "B", "2": "S", "5": "T", "6": "E"}
TIMES = {"0": "0", "3": "3", "4": "3"}
SESSION_TYPES = "A012345"
DISCONNECT_TAG = 9001  # of the logon: Y has everything cancelled when the connection is gone; each venue has its own
Fields = list[tuple[int, Any]]


def now_text() -> str:
    """UTC as FIX writes it."""
    return datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.%f")[:-3]


def frame(begin: str, fields: Fields) -> bytes:
    """A whole message of the fields from 35 on."""
    body = b"".join(b"%d=%s\1" % (number, str(value).encode()) for number, value in fields)
    head = b"8=%s\0019=%d\1" % (begin.encode(), len(body))
    return head + body + b"10=%03d\1" % (sum(head + body) % 256)


def split(buffer: bytes) -> tuple[dict[int, str] | None, bytes]:
    """The first message of the buffer as its fields, and the rest."""
    end = buffer.find(b"\00110=")
    if end < 0 or len(buffer) < end + 8:
        return None, buffer
    whole, rest = buffer[: end + 8], buffer[end + 8 :]
    if sum(whole[: end + 1]) % 256 != int(whole[end + 4 : end + 7]):
        raise ValueError(f"checksum of {whole!r}")
    fields = dict(part.split(b"=", 1) for part in whole.split(SOH) if part)
    start = whole.index(SOH, whole.index(SOH) + 1) + 1
    if int(fields[b"9"]) != end + 1 - start:
        raise ValueError(f"body length of {whole!r}")
    return {int(number): value.decode() for number, value in fields.items()}, rest


@dataclass
class Order:
    """An order of the client, by the identifier it has now."""

    ref: int
    id: str
    symbol: str
    side: str
    total: int
    px: int
    cum: int = 0
    leaves: int = 0
    money: int = 0
    order_id: int = 0
    pending: dict[int, tuple[str, str, int]] = field(default_factory=dict)  # ref or -n -> id, kind, total


class FixAcceptor(Front):
    """Listens at `port`; client: (SenderCompID, TargetCompID) as the client says them. A context manager.

    errors: what the thread met that cannot be. refuses_mass_cancel: to be set by a test.
    """

    def __init__(
        self, exchange: tuple[str, int], version: str = "44", client: tuple[str, str] = ("HWGW", "VENUE"),
        user: tuple[str, str] = ("HWGW01", "SIMULATOR"),
    ) -> None:  # fmt: skip
        super().__init__(exchange, user)
        self.begin, self.client, self.version = f"FIX.4.{version[1]}", client, version
        self.is_logged_on = False
        self.tx_seq, self.rx_seq = 1, 1
        self.log: list[tuple[str, str, Fields]] = []  # of each number: type, time, fields
        self.orders: dict[int, Order] = {}
        self.by_id: dict[str, int] = {}
        self.next_ref, self.exec_id, self.cancels = 1, 0, 0
        self.heartbeat_s = 30.0
        self.counts: dict[str, int] = {}
        self.refuses_mass_cancel = self.cancels_on_disconnect = False
        self.start()

    # ---- the loop ----

    def _turn(self) -> None:
        if time.monotonic() - self.last_tx > min(self.heartbeat_s, 1.0):
            if self.venue:
                self._to_venue(b"R")
            self.last_tx = time.monotonic()
            if self.is_logged_on:
                self.send("0", [])

    def cut(self) -> None:
        """Close the connection of the client."""
        if self.peer:
            self.peer.close()
            if self.cancels_on_disconnect:
                self._cancel_all("")
        self.peer, self.is_logged_on, self.buffers["peer"] = None, False, b""

    _cut = cut

    def _from_peer(self) -> None:
        while self.peer:
            message, self.buffers["peer"] = split(self.buffers["peer"])
            if message is None:
                return
            self._on_fix(message)

    def _from_venue(self, kind: bytes, payload: bytes) -> None:
        if kind == b"S":
            self._on_ouch(payload)

    # ---- FIX out ----

    def _write(self, seq: int, kind: str, fields: Fields, original: str = "") -> None:
        header: Fields = [(35, kind), (49, self.client[1]), (56, self.client[0]), (34, seq), (52, now_text())]
        if original:
            header += [(43, "Y"), (122, original)]
        if self.peer is None or not self.is_logged_on:
            return
        try:
            self.peer.sendall(frame(self.begin, header + fields))
        except ConnectionError:
            self.cut()

    def send(self, kind: str, fields: Fields) -> None:
        """One message with the next number; it counts, and is repeated on demand, even when nobody is there."""
        self.log.append((kind, now_text(), fields))
        self.tx_seq += 1
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self._write(self.tx_seq - 1, kind, fields)

    def _resend(self, first: int, last: int) -> None:
        last = self.tx_seq - 1 if last in (0, 999999) else min(last, self.tx_seq - 1)
        seq = first
        while seq <= last:
            kind, original, fields = self.log[seq - 1]
            if kind in SESSION_TYPES:
                until = seq
                while until <= last and self.log[until - 1][0] in SESSION_TYPES:
                    until += 1
                self._write(seq, "4", [(123, "Y"), (36, until)], original)
                seq = until
            else:
                self._write(seq, kind, fields, original)
                seq += 1

    # ---- FIX in ----

    def _on_fix(self, message: dict[int, str]) -> None:
        kind, seq = message[35], int(message[34])
        if message[8] != self.begin or (message[49], message[56]) != self.client:
            raise ValueError(f"a message of another session: {message}")
        if kind == "A":
            self._on_logon(message, seq)
            return
        if not self.is_logged_on:
            self.cut()
            return
        if kind == "4" and message.get(123) != "Y":
            self.rx_seq = int(message[36])
            return
        if seq > self.rx_seq:
            if kind == "2":
                self._resend(int(message[7]), int(message[16]))
            self.send("2", [(7, self.rx_seq), (16, 0)])
            return
        if seq < self.rx_seq:
            if message.get(43) != "Y":
                self._logout(f"MsgSeqNum too low, expecting {self.rx_seq} but received {seq}")
            return
        self.rx_seq += 1
        if kind == "1":
            self.send("0", [(112, message[112])])
        elif kind == "2":
            self._resend(int(message[7]), int(message[16]))
        elif kind == "4":
            self.rx_seq = int(message[36])
        elif kind == "5":
            self.send("5", [])
            self.cut()
        elif kind in "DGFq":
            {"D": self._enter, "G": self._replace, "F": self._cancel, "q": self._mass_cancel}[kind](message)

    def _on_logon(self, message: dict[int, str], seq: int) -> None:
        self.is_logged_on = True
        self.heartbeat_s = float(message[108])
        self.cancels_on_disconnect = message.get(DISCONNECT_TAG) == "Y"
        fields: Fields = [(98, 0), (108, message[108])]
        if message.get(141) == "Y":
            self.tx_seq, self.rx_seq, self.log = 1, 1, []
            fields.append((141, "Y"))
        if seq < self.rx_seq:
            self._logout(f"MsgSeqNum too low, expecting {self.rx_seq} but received {seq}")
            return
        if self.venue is None:
            self._log_in()
        self.send("A", fields)
        if seq > self.rx_seq:
            self.send("2", [(7, self.rx_seq), (16, 0)])
        else:
            self.rx_seq += 1

    def _logout(self, text: str) -> None:
        self.send("5", [(58, text)])
        self.cut()

    # ---- requests ----

    def _terms(self, message: dict[int, str]) -> dict[str, Any]:
        tags = tag(12, b"P") if message.get(18) == "6" else b""
        if message.get(59) == "4":
            tags += tag(3, int(message[38]).to_bytes(4, "big"))
        return {
            "quantity": int(message[38]),
            "price": round(float(message.get(44, "214748.3647")) * 10000),
            "time_in_force": TIMES.get(message.get(59, "0"), "6"),
            "display": "N" if message.get(111) == "0" else "Y",
            "intermarket_sweep": "N",
            "appendage_length": len(tags),
        } | {"tags": tags}

    def _take_ref(self) -> int:
        self.next_ref += 1
        return self.next_ref - 1

    def _enter(self, message: dict[int, str]) -> None:
        ref, terms = self._take_ref(), self._terms(message)
        tags = terms.pop("tags")
        order = Order(ref, message[11], message[55], message[54], terms["quantity"], terms["price"])
        order.leaves = order.total
        if order.id in self.by_id:
            self._report(order, "8", "8", [(103, 6)], leaves=0)
            return
        self.orders[ref], self.by_id[order.id] = order, ref
        fields = {"user_ref_num": ref, "side": SIDES[order.side], "symbol": order.symbol, "capacity": "P"}
        self._to_venue(b"U", build(OUCH, "enter_order", cross_type="N", **fields, **terms) + tags)

    def _replace(self, message: dict[int, str]) -> None:
        order = self.orders.get(self.by_id.get(message[41], 0))
        if order is None or order.id != message[41] or message[11] in self.by_id:
            self._cancel_reject(message[11], message[41], "2", 1)
            return
        ref, terms = self._take_ref(), self._terms(message)
        tags = terms.pop("tags")
        order.pending[ref] = (message[11], "G", terms["quantity"])
        self._to_venue(
            b"U",
            build(OUCH, "replace_order", orig_user_ref_num=order.ref, user_ref_num=ref, **terms) + tags,
        )

    def _cancel(self, message: dict[int, str]) -> None:
        order = self.orders.get(self.by_id.get(message[41], 0))
        if order is None or order.id != message[41]:
            self._cancel_reject(message[11], message[41], "1", 1)
            return
        self.cancels += 1
        order.pending[-self.cancels] = (message[11], "F", 0)
        self._to_venue(b"U", build(OUCH, "cancel_order", user_ref_num=order.ref))

    def _mass_cancel(self, message: dict[int, str]) -> None:
        about: Fields = [(37, "NONE"), (11, message[11]), (530, message[530])]
        if self.refuses_mass_cancel or self.version == "42":
            self.send("r", [*about, (531, "0"), (532, "0")])
            return
        self.send("r", [*about, (531, message[530])])
        self._cancel_all(message.get(55, ""))

    def _cancel_all(self, symbol: str) -> None:
        fields = {"user_ref_num": self._take_ref(), "firm": "FIRM", "symbol": symbol}
        self._to_venue(b"U", build(OUCH, "mass_cancel", appendage_length=0, **fields))

    # ---- reports ----

    def _cancel_reject(self, request: str, original: str, answer_to: str, reason: int) -> None:
        self.send("9", [(37, "NONE"), (11, request), (41, original), (39, "8"), (434, answer_to), (102, reason)])

    def _report(
        self, order: Order, exec_type: str, status: str, more: Fields, *, request: str = "", leaves: int | None = None
    ) -> None:
        self.exec_id += 1
        ids: Fields = [(11, request), (41, order.id)] if request else [(11, order.id)]
        kinds: Fields = [(20, 0)] if self.version == "42" and not any(number == 20 for number, _ in more) else []
        average = order.money / order.cum / 10000 if order.cum else 0
        left = order.leaves if leaves is None else leaves
        self.send(
            "8",
            [
                (37, order.order_id or "NONE"), *ids, (17, f"E{self.exec_id}"), *kinds, (150, exec_type), (39, status),
                (55, order.symbol), (54, order.side), (38, order.total), (44, f"{order.px / 10000:.4f}"),
                (151, left), (14, order.cum), (6, f"{average:.4f}"), *more, (60, now_text()),
            ],
        )  # fmt: skip

    def _end(self, order: Order) -> None:
        """The order is over: what was asked of it since came too late."""
        self.orders.pop(order.ref, None)
        for request, kind, _ in order.pending.values():
            self._cancel_reject(request, order.id, "2" if kind == "G" else "1", 0)
        order.pending.clear()

    def _on_ouch(self, message: bytes) -> None:
        try:
            layout = OUCH.message(chr(message[0]), "host_to_client")
        except KeyError:
            return
        fields = parse(OUCH, layout.name, message)
        name = layout.name
        if name == "order_replaced":
            self._on_replaced(fields)
            return
        order = self.orders.get(int(fields.get("user_ref_num", 0)))
        if order is None:
            return
        if name == "order_accepted":
            order.order_id, order.px = int(fields["order_reference_number"]), int(fields["price"])
            self._report(order, "0", "0", [])
        elif name == "order_executed":
            self._on_executed(order, int(fields["quantity"]), int(fields["price"]))
        elif name == "rejected":
            order.leaves = 0
            self._report(order, "8", "8", [(103, 99), (58, f"venue reason {fields['reason']}")])
            self._end(order)
        elif name == "order_canceled":
            self._on_canceled(order, int(fields["quantity"]))

    def _on_replaced(self, fields: dict[str, int | str]) -> None:
        order = self.orders.pop(int(fields["orig_user_ref_num"]))
        ref = int(fields["user_ref_num"])
        request, _, total = order.pending.pop(ref)
        new = Order(ref, request, order.symbol, order.side, total, int(fields["price"]), order.cum)
        new.leaves, new.money = int(fields["quantity"]), order.money
        new.order_id = int(fields["order_reference_number"])
        self.orders[ref], self.by_id[request] = new, ref
        status = "5" if self.version == "42" else "0"
        old, new.id = new.id, order.id
        self._report(new, "5", status, [], request=request)
        new.id = old
        self._end(order)

    def _on_executed(self, order: Order, qty: int, px: int) -> None:
        order.cum, order.leaves, order.money = order.cum + qty, order.leaves - qty, order.money + qty * px
        status = "2" if order.leaves == 0 else "1"
        exec_type = status if self.version == "42" else "F"
        self._report(order, exec_type, status, [(32, qty), (31, f"{px / 10000:.4f}")])
        if order.leaves == 0:
            self._end(order)

    def _on_canceled(self, order: Order, qty: int) -> None:
        order.leaves = 0
        asked = next((ref for ref, (_, kind, _) in order.pending.items() if kind == "F"), None)
        request = order.pending.pop(asked)[0] if asked is not None else ""
        self._report(order, "4", "4", [], request=request)
        self._end(order)
