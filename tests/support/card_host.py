"""A pipeline whose card sends, as a process of its own, so that it can be killed: `-m support.card_host SETTINGS`.

SPDX-License-Identifier: MIT

SETTINGS is JSON: address and port of the venue, where and library of the gate; rules of the card, and the interface
that it then receives on. It waits for a line with what it is to be rebuilt from: files of records and how many each
holds. Then it prints the name of its segment; of what comes on its standard input each byte is something to do (DO).
The test's side of it: a Host is such a process, Hosts are those that come to a venue one after another. And what every
test of a card that sends begins with: library and lab (fixtures by tests/system/conftest.py), its rules.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import hwgw_sim.card
import numpy as np
import pytest
from hwgw_sim.lab import Lab

from hwgw import specs
from hwgw.native import ffi, lib
from hwgw.segment import Segment

from . import rig as r
from . import soup_venue as sv
from .card_sender import PX, timestamps
from .desk import SYMBOLS, probe, session_cfg
from .far import FarCard
from .forked import inside
from .restored import RING, TYPES, Records, opening
from .rig import Rig

CHEAP = 1_000_100  # what the rules wait for: the books are 1,000,000 bid, 1,000,200 asked
BUY = {
    "when": lib.HWGW_RULE_WHEN_OFFERED, "side": lib.HWGW_ORDER_SIDE_BUY, "tif": lib.HWGW_ORDER_TIF_DAY,
    "when_px": CHEAP, "when_qty": 100, "px": CHEAP, "qty": 100,
}  # fmt: skip
DIP = {"name": "dip", "instrument": 0} | BUY
OTHER = {"name": "other", "instrument": 1} | BUY
DO = {"quote": b"q", "order": b"o"}  # the first book of two sides; one that has changed: each is an order
TURN_S = 0.0002
PATIENCE_S = 60.0
ORDER = specs.dtype("order", "order")
NEW = lib.HWGW_ORDER_KIND_NEW


def library() -> str:
    """The simulated card; skips where none can be made."""
    if why := hwgw_sim.card.missing():
        pytest.skip(why)
    return str(hwgw_sim.card.build())


@contextlib.contextmanager
def lab() -> Iterator[Lab]:
    """Two namespaces, and connections of the gateway's without TCP timestamps."""
    with Lab() as made:
        timestamps(made, 0)
        yield made


def main(text: str) -> None:
    """Until the end of standard input."""
    given = json.loads(text)
    place = {"address": int(IPv4Address(given["address"])), "reconnect_ms": 10, "login_timeout_ms": 60_000}
    session = session_cfg(given["port"], **place)
    replay = [(Path(path).read_bytes(), cnt) for path, cnt in json.loads(sys.stdin.buffer.readline())]
    os.set_blocking(0, False)
    rules, rx, usual = given["rules"], None, {"tif": lib.HWGW_ORDER_TIF_DAY}
    if rules:
        texts = {"backend": "card", "interface": given["interface"], "path": given["library"]}
        rx = {name: ffi.new("char[]", value.encode()) for name, value in texts.items()}
        usual["every"] = 10**6  # the strategy rests
    with Rig(
        SYMBOLS, probe(**usual), session=session, journal_sz_bytes=RING, replay=replay, cancel_on_halt=True,
        risk=(given["where"], given["library"], "card"), rules=rules, rx=rx,
    ) as rig:  # fmt: skip
        print(rig.segment.name, flush=True)
        count = 0
        while (wanted := _wanted()) != b"":
            if wanted == DO["quote"]:
                rig.quote()
            elif wanted == DO["order"]:
                count += 1
                rig.feed(r.add(1, "AAPL", 10_000 + count, "B", 100, 1_000_000 + count))
            rig.step()
            rig.publish()
            time.sleep(TURN_S)


def _wanted() -> bytes | None:
    """What is to be done now; None: nothing, empty: the end."""
    try:
        return os.read(0, 1)
    except BlockingIOError:
        return None


class Host:
    """A data process, and what it shows; it waits until it is told what it is rebuilt from."""

    segment: Segment

    def __init__(self, lab: Lab, settings: dict[str, object]) -> None:
        command = [sys.executable, "-m", "support.card_host", json.dumps(settings)]
        self.process = inside(lab.gateway)(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.path: Path | None = None

    def open(self, replay: Sequence[tuple[str, int]] = ()) -> None:
        """Until its pipeline is there."""
        self.process.stdin.write(json.dumps(replay).encode() + b"\n")
        self.process.stdin.flush()
        name = self.process.stdout.readline().decode().strip()
        assert name, f"it ended with {self.process.wait(PATIENCE_S)}"
        self.path = Path(f"/dev/shm/hwgw-{name}")
        self.segment = Segment.attach(name, writable=True)

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.path:
            self.segment.close()
            self.path.unlink(missing_ok=True)

    def do(self, what: str) -> None:
        self.process.stdin.write(DO[what])
        self.process.stdin.flush()

    def cnt(self, name: str) -> int:
        return self.segment.counters()[name]

    def halts(self) -> dict[str, str]:
        return {row["reason"]: row["text"] for row in self.segment.halts}

    def is_up(self) -> bool:
        return int(self.segment.threads[0]["session_state"]) == lib.HWGW_SEGMENT_SESSION_STATE_UP

    def open_orders(self) -> int:
        """At the gate."""
        return int(self.segment.thread_status()[0]["open_orders"])

    def news(self) -> list[tuple[int, int]]:
        """Type and reference of each record of a new order."""
        kinds = (TYPES["offer"], TYPES["shot"], TYPES["gate"])
        return [
            (kind, int(order["ref"]))
            for kind, _, payload in Records(self)  # type: ignore[arg-type]
            if kind in kinds and (order := np.frombuffer(payload, ORDER)[0])["kind"] == NEW
        ]


class Hosts:
    """A venue, and the data processes that come to it one after another, all with one card."""

    def __init__(self, lab: Lab, far: FarCard, where: str, rules: Sequence[dict[str, Any]] = ()) -> None:
        """rules: the card also receives, from the veth, so that they see what it is fed."""
        self.lab, self.far = lab, far
        with lab.exchange.entered():
            self.venue = sv.Venue(address=lab.exchange.address)
            self._cable = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self._cable.bind((lab.exchange.interface, 0))
        self._settings = {"address": lab.exchange.address, "port": self.venue.port, "where": where,
                          "library": far.path, "rules": rules, "interface": lab.gateway.interface}  # fmt: skip
        self.packets: list[bytes] = []  # but for heartbeats
        self.hosts: list[Host] = []
        self.seq = 1  # of the feed

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts:
            host.close()
        self.venue.close()
        self._cable.close()

    def prepare(self) -> Host:
        """One that has only to be opened."""
        self.hosts.append(Host(self.lab, self._settings))
        return self.hosts[-1]

    def start(self, replay: Sequence[tuple[str, int]] = ()) -> Host:
        host = self.prepare()
        host.open(replay)
        return host

    def quoted(self) -> Host:
        """A host without rules whose first order is open."""
        host = self.start()
        self.until(lambda: len(self.packets) == 1, "a login")
        self.log_in(b" " * 10, 1, [], 1)
        host.do("quote")
        self.until(lambda: self.orders() == [enters(1)], "an order")
        self.venue.sequenced(accepted(1))
        self.until(lambda: host.cnt("session.accepted") == 1, "its answer")
        return host

    def until(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            self.venue.step()
            self.packets += [packet for packet in self.venue.packets() if packet != sv.soup(b"R")]
            assert time.monotonic() < end, f"gave up waiting for {what}: {self.packets}, {self.hosts[-1].halts()}"
            time.sleep(0.0005)

    def log_in(self, session: bytes, seq: int, messages: Sequence[bytes], next_ref: int) -> None:
        """The venue answers the login that it has, and says what it sent since."""
        assert self.packets[-1] == sv.login_request(session, seq)
        self.venue.send(sv.login_accepted(seq=seq))
        seen = len(self.packets)
        self.until(lambda: len(self.packets) > seen, "the account query")
        self.venue.sequenced(*messages, sv.query_response(next_ref))
        self.until(self.hosts[-1].is_up, "the session")

    def orders(self) -> list[bytes]:
        return [packet for packet in self.packets if packet[2:4] == b"UO"]

    def frame(self, *messages: bytes) -> bytes:
        """The next packet of the feed."""
        self.seq += len(messages)
        return r.frame(r.mold(self.seq - len(messages), messages))

    def send(self, frame: bytes) -> None:
        """A frame of the feed over the veth."""
        self._cable.send(frame)


def number_of(packet: bytes) -> int:
    """UserRefNum of an order at the venue."""
    return int.from_bytes(packet[4:8], "big")


def enters(ref: int, px: int = PX, symbol: bytes = b"AAPL    ") -> bytes:
    """What the venue has to get of an order, by OUCH 5.0 and SoupBinTCP."""
    return sv.soup(b"U", sv.enter(ref, b"B", 100, symbol, px))


def accepted(ref: int, px: int = PX, symbol: bytes = b"AAPL    ") -> bytes:
    """And what it says of it."""
    return sv.accepted(ref, b"B", 100, symbol, px)


def kept(host: Host, folder: Path) -> list[tuple[str, int]]:
    """The records of a host that is gone, as the next one wants them."""
    records = Records(host)  # type: ignore[arg-type]
    blocks = [opening(), records.first(len(records.ends))]
    paths = [folder / str(number) for number in range(len(blocks))]
    for path, (data, _) in zip(paths, blocks, strict=True):
        path.write_bytes(data)
    return [(str(path), cnt) for path, (_, cnt) in zip(paths, blocks, strict=True)]
