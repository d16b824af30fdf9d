"""A gateway whose card sends, in a lab: its session goes over the veth to the real TCP of another namespace.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Any

from hwgw_sim.lab import Lab

from hwgw import specs
from hwgw.native import ffi, lib

from . import rig as r
from . import soup_venue as sv
from .desk import Desk

PX = 1_000_200  # what the book asks


def timestamps(lab: Lab, value: int) -> None:
    """net.ipv4.tcp_timestamps of the gateway's side."""
    lab.gateway.run(["sysctl", "-qw", f"net.ipv4.tcp_timestamps={value}"], check=True)


class Sender(Desk):
    """A desk in the lab whose card sends; its strategy buys at each book change, day orders."""

    count = 0

    @property
    def orders(self) -> list[bytes]:
        """What came at the venue behind login and account query, but for heartbeats."""
        return [packet for packet in self.packets[2:] if packet != sv.soup(b"R")]

    def arrive(self, cnt: int) -> bytes:
        """Until so many have come in all; the last one."""
        self.until(lambda: len(self.orders) >= cnt)
        assert len(self.orders) == cnt
        return self.orders[-1]

    def order(self) -> None:
        """The book changes, and so there is one order more."""
        self.count += 1
        self.rig.feed(r.add(1, "AAPL", 10_000 + self.count, "B", 100, 1_000_000 + self.count))

    def enters(self, ref: int) -> bytes:
        """What the venue has to get of an order, by OUCH 5.0 and SoupBinTCP."""
        return sv.soup(b"U", sv.enter(ref, b"B", 100, b"AAPL    ", PX))

    def halts(self) -> dict[str, str]:
        """What it is halted for."""
        self.rig.publish()
        return {row["reason"]: row["text"] for row in self.rig.segment.halts}


class Ruled(Sender):
    """A sender whose card also receives, from the veth, so that its rules see what it is fed; its strategy rests."""

    def __init__(
        self, lab: Lab, library: str, rules: Sequence[dict[str, Any]], every: int = 10**6, **options: Any
    ) -> None:
        texts = {"backend": "card", "interface": lab.gateway.interface, "path": library}
        kept = {name: ffi.new("char[]", value.encode()) for name, value in texts.items()}
        with lab.exchange.entered():
            self._cable = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self._cable.bind((lab.exchange.interface, 0))
        super().__init__(rx=kept, rules=rules, every=every, **options)
        self.rig.push = self._push  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._cable.close()

    def _push(self, *frames: bytes) -> None:
        for frame in frames:
            self._cable.send(frame)

    def feed(self, *messages: bytes) -> None:
        """Messages in a packet, until the books have them and a round has gone by."""
        self.rig.feed(*messages)
        self.settle()

    def settle(self) -> None:
        """Until the books have all that was fed, and rules are as they are to be."""

        def is_there() -> bool:
            self.rig.publish()
            return int(self.rig.segment.threads[0]["next_seq"]) == self.rig.seq

        self.until(is_there)
        self.rig.step()

    def offer(self, px: int, shares: int = 100, locate: int = 1, symbol: str = "AAPL") -> None:
        """A sell order is added."""
        self.count += 1
        self.feed(r.add(locate, symbol, 50_000 + self.count, "S", shares, px))

    def ask(self, number: int = 0, armed: bool = True, **terms: int) -> int:
        """Of a rule, until the pipeline has looked at it; the number of what was asked."""
        row = self.rows[number]
        now = {name: int(row[name]) for name in ("when_px", "when_qty", "px", "qty")}
        found = ffi.new("struct hwgw_rule_terms *", now | terms)
        seq = int(lib.hwgw_rule_publish(self.rig.segment.pointer, number, found, armed))
        assert seq
        self.until(lambda: int(row["seq_ack"]) == seq)
        return seq

    def load(self, *numbers: int) -> None:
        """Until these rules are in the card; the venue may be slow to acknowledge, or a heartbeat be on its way."""
        self.until(lambda: all(self.state(number) == "loaded" for number in numbers or (0,)))

    def fire(self, px: int, shares: int = 100, number: int = 0, symbol: str = "AAPL") -> None:
        """Sell orders are added until the rule has made its one order: it may be out of the card when one comes."""
        before = int(self.rows[number]["fired"])
        self.load(number)
        for _ in range(20):
            self.offer(px, shares, number + 1, symbol)
            if int(self.rows[number]["fired"]) > before:
                break
            self.load(number)
        assert int(self.rows[number]["fired"]) == before + 1

    def state(self, number: int = 0) -> str:
        """Of a rule."""
        codes = specs.load("segment").enum("rule_state").values
        return next(code.slug for code in codes if code.value == int(self.rows[number]["state"]))

    @property
    def rows(self) -> Any:
        """The rules in the segment."""
        return self.rig.segment.rule_rows


@contextmanager
def sender(
    lab: Lab, library: str, where: str = "both", stamps: int = 0, rules: Sequence[dict[str, Any]] = (), **options: Any
) -> Iterator[Any]:
    """Logged in over the veth; stamps: with TCP timestamps; rules: a Ruled with these."""
    with lab.exchange.entered():
        venue = sv.Venue(address=lab.exchange.address)
    timestamps(lab, stamps)
    session = {"address": int(IPv4Address(lab.exchange.address)), "reconnect_ms": 10}
    usual = {"venue": venue, "session": session, "risk": (where, library, "card"), "tif": lib.HWGW_ORDER_TIF_DAY}
    given = usual | options
    with (
        lab.gateway.entered(),
        Ruled(lab, library, rules, **given) if rules else Sender(**given) as made,
    ):
        made.rig.quote()  # the first book of two sides is the first order
        made.count += 1
        yield made


def log_in_again(desk: Sender, messages: list[bytes], next_ref: int) -> None:
    """The venue takes the next connection; messages: what it had sent since the last one it was seen to get."""
    desk.venue.drop()
    seen = len(desk.packets)
    desk.wait(seen + 1)
    assert desk.packets[-1][2:3] == b"L"
    desk.venue.send(sv.login_accepted(seq=int(desk.packets[-1][-20:])))
    desk.wait(seen + 2)
    desk.venue.sequenced(*messages, sv.query_response(next_ref))
    desk.until(lambda: int(desk.rig.segment.threads[0]["session_state"]) == lib.HWGW_SEGMENT_SESSION_STATE_UP)


def open_orders(desk: Sender) -> int:
    """At the gate."""
    desk.rig.publish()
    return int(desk.rig.segment.thread_status()[0]["open_orders"])
