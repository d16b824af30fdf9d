"""Two simulated exchanges, one gateway: orders go to the better one, a lost one is passed over, all three agree.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from support.market import Market, until
from support.rig import compile_probe

from hwgw import specs
from hwgw.demo.stage import PASSWORD, USER
from hwgw.telemetry import ledger_rows

VENUES = ("NORTH", "SOUTH")
ROUTE = specs.load("order").enum("option").code("route")


class Wire:
    """A TCP connection's way to somewhere, which can be cut: both ends see it closed, and nobody gets through."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address, self.is_cut, self.is_over = address, False, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.pairs: dict[socket.socket, socket.socket] = {}
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _drop(self, end: socket.socket) -> None:
        other = self.pairs.pop(end)
        self.pairs.pop(other, None)
        end.close()
        other.close()

    def _run(self) -> None:
        while not self.is_over:
            if self.is_cut:
                for end in list(self.pairs):
                    if end in self.pairs:
                        self._drop(end)
            for ready in select.select([self.listener, *self.pairs], [], [], 0.005)[0]:
                if ready is self.listener:
                    near, _ = self.listener.accept()
                    if self.is_cut:
                        near.close()
                        continue
                    far = socket.create_connection(self.address)
                    for end in (near, far):
                        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.pairs |= {near: far, far: near}
                elif ready in self.pairs:
                    try:
                        data = ready.recv(65536)
                        self.pairs[ready].sendall(data)
                    except OSError:
                        data = b""
                    if not data:
                        self._drop(ready)

    def close(self) -> None:
        self.is_over = True
        self.thread.join()
        for end in list(self.pairs):
            end.close()
        self.listener.close()


@contextlib.contextmanager
def two_markets(folder: Path) -> Iterator[tuple[Market, Market, Wire]]:
    with contextlib.ExitStack() as stack:
        (folder / "south").mkdir()
        north, south = (stack.enter_context(Market(path, rate=4_000)) for path in (folder, folder / "south"))
        wire = Wire(south.exchange.address)
        stack.callback(wire.close)
        yield north, south, wire


def config(north: Market, south: Market, wire: Wire) -> Path:
    """The demo's configuration, with a venue more."""
    made: dict[str, Any] = yaml.safe_load(north.config().read_text())
    (channel,) = made["pipelines"][0]["channels"]
    made["pipelines"][0]["channels"] = [
        channel | {"name": venue, "venue": venue, "lines": [channel["lines"][0] | {"port": port}]}
        for venue, port in zip(VENUES, (north.port, south.port), strict=True)
    ]
    session = made.pop("session") | {"reconnect": "10ms"}
    made["sessions"] = {"NORTH": session, "SOUTH": session | {"address": "127.0.0.1", "port": wire.port}}
    made["limits"]["instruments"]["*"] |= {"long_max": 10**6}
    made["journal"] = {"folder": str(north.folder / "journal")}
    path = north.folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(made, sort_keys=False))
    return path


def test_orders_go_to_the_better_venue_and_round_a_lost_one(tmp_path, hwgw):
    with two_markets(tmp_path) as (north, south, wire):
        assert north.exchange.ready["names"] == south.exchange.ready["names"]
        probe = compile_probe(tmp_path / "probe.so")
        north.strategies = [
            {"name": "parents", "use": f"c:{probe}", "account": 1, "armed": True,
             "params": {"qty": 150, "every": 20, "option": ROUTE}},
        ]  # fmt: skip
        process = north.start_file(config(north, south, wire))
        with north.attached() as segment:

            def row(venue: str) -> dict[str, Any]:
                return next(each for each in segment.sessions() if each["venue"] == venue)

            until(lambda: all(row(venue)["executed"] > 10 for venue in VENUES), "both execute")
            wire.is_cut = True
            until(lambda: row("SOUTH")["losses"] == 1, "the south is lost")
            before = {venue: row(venue)["sent"] for venue in VENUES}
            until(lambda: row("NORTH")["sent"] > before["NORTH"] + 20, "the north goes on")
            assert row("SOUTH")["sent"] == before["SOUTH"]
            assert segment.halted is None
            done = hwgw("status", north.name)
            assert "venue      SOUTH: " in done.stdout
            wire.is_cut = False
            until(lambda: row("SOUTH")["sent"] > before["SOUTH"] + 5, "the south is back")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, process.communicate()
            counters = segment.counters()
            assert [each for each in ledger_rows(counters) if not each.exact] == []
            held = {name: int(each["pos"]) for name, each in zip(segment.instruments, segment.positions, strict=True)}
            cash = [sum(int(each["cash"]) for each in half) for half in (segment.positions[:4], segment.positions[4:])]
        for venue, market, money in zip(VENUES, (north, south), cash, strict=True):
            theirs = market.exchange.stop()["users"][USER]
            ours = {name.removesuffix(f"@{venue}"): pos for name, pos in held.items() if pos and name.endswith(venue)}
            assert (ours, money, 0) == (theirs["positions"], theirs["cash"], theirs["open_orders"])
        assert PASSWORD not in done.stdout

    rows = [
        json.loads(line) for line in hwgw("journal", "show", str(tmp_path / "journal"), "--json").stdout.splitlines()
    ]
    sent = {each["ref"]: each for each in rows if each["type"] == "gate" and each["kind"] == "new"}
    routes = [each for each in rows if each["type"] == "route"]
    assert len(routes) == counters["router.parents"] > 40
    compared = avoided = 0
    for route in routes:
        chosen = [each for each in route["candidates"] if each["ref"]]
        for each in chosen:
            child = sent[each["ref"]]
            assert (child["venue"], child["qty"], child["symbol"]) == (each["venue"], each["qty"], route["symbol"])
        near = [each for each in route["candidates"] if each["cause"] in ("none", "not_needed") and not each["is_far"]]
        if len(near) == 2 and near[0]["px"] != near[1]["px"]:
            first = next(each for each in chosen if each["ref"] == route["first_ref"])
            assert first["px"] == min(each["px"] for each in near)  # they are all buys, without fees
            compared += 1
        avoided += any(each["cause"] == "session" for each in route["candidates"])
    assert compared > 0
    assert avoided > 0
    text = hwgw("journal", "show", str(tmp_path / "journal")).stdout
    assert "nothing, session; shows" in text
