"""SoupBinTCP and OUCH with programs that are not ours: Nasdaq's nasdaq-protocols, npm's soupbintcp, Wireshark.

SPDX-License-Identifier: MIT

Each talks to our exchange as a client and to our gateway's session as a server. Their OUCH messages are packed and
read by support/, which is written from the published layouts.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hwgw_sim.exchange.fix import FixAcceptor
from support import captures
from support import soup_venue as wire
from support.exchange import running
from support.ouch_client import cancel, decode, enter, replace
from support.soup_venue import Client

from hwgw.native import lib

ROOT = Path(__file__).parents[2]
NODE_MODULES = ROOT / "build" / "peers" / "node_modules"
PATIENCE_S = 20.0
BUY, SELL = lib.HWGW_ORDER_SIDE_BUY, lib.HWGW_ORDER_SIDE_SELL


def nasdaq() -> Any:
    return pytest.importorskip("nasdaq_protocols.soup", reason="needs tests/peers/requirements.txt")


def node() -> str:
    program = shutil.which("node")
    if not program:
        pytest.skip("needs node")
    if not (NODE_MODULES / "soupbintcp").is_dir():
        pytest.skip(f"needs the npm package soupbintcp in {NODE_MODULES}; make peers")
    return program


def turn(client: Client, until: Callable[[], bool], events: list[Any]) -> None:
    """Poll the session on a clock that runs until the condition holds."""
    end = time.monotonic() + PATIENCE_S
    while not until():
        client.now_ns = time.monotonic_ns()
        events += client.poll()
        assert time.monotonic() < end, f"gave up waiting: {client.state}, {client.reason}"
        time.sleep(0.0005)


# ---- as clients of our exchange ----


def test_nasdaqs_client_trades_with_our_exchange() -> None:
    soup = nasdaq()

    async def trade(address: tuple[str, int], symbol: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
        session = await soup.connect_async(address, "hwgw01", "simulator", sequence=1, server_heartbeat_interval=3)
        first = []
        for message in (
            enter(1, "S", 300, symbol, 100_0000),
            replace(1, 2, 250, 100_0100),
            cancel(2, 100),
            enter(3, "B", 60, symbol, 100_0100, tif="3"),
        ):
            session.send_unseq_data(message)
        session.send_debug("hello")
        while len(first) < 7:  # S A U C A E E
            first.append(decode((await asyncio.wait_for(session.receive_msg(), PATIENCE_S)).data))
        await asyncio.sleep(4)  # only heartbeats keep it alive
        assert not session.is_closed()
        session.send_unseq_data(b"Q")
        first.append(decode((await asyncio.wait_for(session.receive_msg(), PATIENCE_S)).data))
        sequence = session.sequence
        await session.close()
        again = []
        session = await soup.connect_async(address, "HWGW01", "SIMULATOR", "S20261120A", sequence=1)
        while len(again) < len(first):
            again.append(decode((await asyncio.wait_for(session.receive_msg(), PATIENCE_S)).data))
        session.logout()
        with pytest.raises(ConnectionRefusedError):
            await soup.connect_async(address, "HWGW01", "WRONG")
        return first, again, sequence

    with running(depth=0, session="S20261120A") as run:
        first, again, sequence = asyncio.run(trade(run.address, run.symbol))
        report = run.end()
    assert [message["type"] for message in first] == list("SAUCAEEQ")
    assert [first[i]["qty"] for i in range(1, 7)] == [300, 250, 150, 60, 60, 60]
    assert first[7]["next_ref"] == 4
    assert again == first
    assert sequence == 8
    assert (report["orders"]["accepted"], report["orders"]["executed"], report["sessions"]["logins"]) == (2, 2, 2)
    assert report["sessions"]["logins_rejected"] == 1
    assert report["sessions"]["closed_framing"] == 0


def test_npms_client_trades_with_our_exchange() -> None:
    program = node()
    with running(depth=0) as run:
        messages = [enter(1, "S", 300, run.symbol, 100_0000), cancel(1), b"Q"]
        command = [program, "soup_peer.js", "client", str(run.address[1]), "hwgw01", "simulator", "4"]
        done = subprocess.run(
            [*command, *(message.hex() for message in messages)],
            cwd=Path(__file__).parent, env={"NODE_PATH": str(NODE_MODULES)}, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        report = run.end()
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.split("\n")
    assert lines[0] == "accept 1"
    assert [decode(bytes.fromhex(line))["type"] for line in lines[1:5]] == list("SACQ")
    assert lines[5:] == ["end", ""]
    assert (report["orders"]["accepted"], report["orders"]["canceled"]) == (1, 1)


# ---- as servers of our gateway's session ----


@contextmanager
def nasdaqs_server(answer: Callable[[bytes], list[bytes]]) -> Iterator[tuple[int, list[Any]]]:
    """Nasdaq's server session in a thread: its port, and what it was told in order."""
    soup = nasdaq()
    told: list[Any] = []
    ready = threading.Event()
    state: dict[str, Any] = {}

    class Server(soup.SoupServerSession, session_type="server"):  # type: ignore[misc, name-defined]
        async def on_login(self, msg: Any) -> Any:
            told.append(msg)
            if msg.password != "secret":
                return soup.LoginRejected(soup.LoginRejectReason.NOT_AUTHORIZED)
            return soup.LoginAccepted("20261120A", 1)

        async def on_unsequenced(self, msg: Any) -> None:
            told.append(msg.data)
            for message in answer(msg.data):
                self.send_seq_msg(message)

        async def on_debug(self, msg: Any) -> None:
            told.append(msg)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Server, "127.0.0.1", 0)
        state.update(loop=loop, stop=asyncio.Event(), port=server.sockets[0].getsockname()[1])
        ready.set()
        await state["stop"].wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield state["port"], told
    finally:
        state["loop"].call_soon_threadsafe(state["stop"].set)
        thread.join(PATIENCE_S)


def venue_says(message: bytes) -> list[bytes]:
    """A venue that takes each order, fills 40 of it, and cancels what is asked for."""
    if message[:1] == b"Q":
        return [wire.query_response(5)]
    if message[:1] == b"O":
        ref, qty = int.from_bytes(message[1:5], "big"), int.from_bytes(message[6:10], "big")
        px = int.from_bytes(message[18:26], "big")
        accepted = wire.accepted(ref, message[5:6], qty, message[10:18], px)
        return [accepted, wire.executed(ref, 40, px, 77)]
    return [wire.canceled(int.from_bytes(message[1:5], "big"), 60)]


def trade_with(port: int) -> list[Any]:
    """Our session against a server that says what venue_says does: the events."""
    client = Client(port, {"username": b"trader", "password": b"secret    "})
    events: list[Any] = []
    turn(client, lambda: client.state == "UP", events)
    assert lib.hwgw_session_next_ref(client.handle) == 5
    assert client.send(ref=5, qty=100, px=1_000_000) == lib.HWGW_CNT_ORDER_ENCODED
    turn(client, lambda: len(events) == 2, events)
    assert client.send(kind="CANCEL", ref=5) == lib.HWGW_CNT_ORDER_ENCODED
    turn(client, lambda: len(events) == 3, events)
    idle_until = time.monotonic() + 2.5  # heartbeats both ways
    turn(client, lambda: time.monotonic() > idle_until, events)
    assert client.state == "UP"
    assert client.count("heartbeats_tx") >= 1
    client.ledger()
    lib.hwgw_session_logout(client.handle)
    turn(client, lambda: client.state == "CLOSED", events)
    client.close()
    kinds = (lib.HWGW_ORDER_KIND_ACCEPTED, lib.HWGW_ORDER_KIND_EXECUTED, lib.HWGW_ORDER_KIND_CANCELED)
    assert [(event.kind, event.ref, event.qty) for event in events] == list(
        zip(kinds, (5, 5, 5), (100, 40, 60), strict=True)
    )
    return events


ORDERS = [b"Q", wire.enter(5, b"B", 100, wire.SYMBOLS[0], 1_000_000), wire.cancel(5, 0)]


def test_our_session_trades_with_nasdaqs_server() -> None:
    with nasdaqs_server(venue_says) as (port, told):
        trade_with(port)
        login, *rest = told
        assert (login.user, login.password, login.session, login.sequence) == ("trader", "secret", "", "1")
        assert rest == ORDERS
        refused = Client(port, {"username": b"trader", "password": b"wrong     "})
        turn(refused, lambda: refused.state == "REJECTED", [])
        assert "password is wrong" in refused.reason
        refused.close()


def test_our_session_trades_with_npms_server() -> None:
    rules = [f"{message[:1].hex()}={reply.hex()}" for message in ORDERS for reply in venue_says(message)]
    command = [node(), "soup_peer.js", "server", "20261120A", *rules]
    with subprocess.Popen(
        command, cwd=Path(__file__).parent, env={"NODE_PATH": str(NODE_MODULES)}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            trade_with(int(process.stdout.readline()))
            told, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert told.split("\n") == ["login trader 1", *(order.hex() for order in ORDERS), "logout", ""]


# ---- Wireshark ----


@contextmanager
def captured(port: int, path: Path) -> Iterator[None]:
    """Everything on that TCP port of loopback goes to path."""
    if missing := captures.missing():
        pytest.skip(f"needs {missing}")
    command = ["tshark", "-i", "lo", "-f", f"tcp port {port}", "-w", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as capture:
        assert capture.stderr is not None
        try:
            while "Capturing on" not in (line := capture.stderr.readline()):
                assert line, "tshark ended before it captured"
            end = time.monotonic() + PATIENCE_S
            while not path.exists() and time.monotonic() < end:
                time.sleep(0.05)
            yield
            time.sleep(1.5)  # a capture is read from the kernel's ring once a second
        finally:
            capture.terminate()
            capture.communicate(timeout=PATIENCE_S)


def trade_twenty(client: Client) -> tuple[int, list[Any]]:
    """Twenty orders that trade with each other, and the logout; the sequenced messages and the events."""
    events: list[Any] = []
    turn(client, lambda: client.state == "UP", events)
    for ref in range(1, 21):
        side = BUY if ref % 2 else SELL
        assert client.send(ref=ref, qty=10, px=1_000_000, side=side) == lib.HWGW_CNT_ORDER_ENCODED
    turn(client, lambda: sum(event.kind == lib.HWGW_ORDER_KIND_EXECUTED for event in events) >= 20, events)
    lib.hwgw_session_logout(client.handle)
    turn(client, lambda: client.state == "CLOSED", events)
    sequenced = client.count("sequenced")
    client.close()
    return sequenced, events


def seen_by_wireshark(path: Path, port: int, protocol: str, field: str) -> Counter[str]:
    """How often each value of a field stands in the capture, in which nothing may be malformed or an error."""
    decoded = ["-r", str(path), "-d", f"tcp.port=={port},{protocol}", "-n"]
    rows = captures.wireshark("tshark", *decoded, "-T", "fields", "-e", field).split()
    assert captures.wireshark("tshark", *decoded, "-Y", "_ws.malformed || _ws.expert.severity >= 8388608") == ""
    return Counter(value.strip("'") for row in rows for value in row.split(","))


@pytest.mark.root
@pytest.mark.parametrize("protocol", ["ouch50", "ouch42"])
def test_wireshark_decodes_order_entry_without_a_malformed_packet(tmp_path: Path, protocol: str) -> None:
    with running(depth=0, users=(("trader", "secret", protocol),)) as run:
        port = run.address[1]
        with captured(port, tmp_path / "orders.pcapng"):
            options = {"protocol": getattr(lib, f"HWGW_PROTOCOL_{protocol.upper()}")}
            sequenced, _ = trade_twenty(Client(port, options, (run.symbol.encode().ljust(8),)))
    seen = seen_by_wireshark(tmp_path / "orders.pcapng", port, "soupbintcp", "soupbintcp.packet_type")
    for beat in "HR":
        seen.pop(beat, None)
    asked = protocol == "ouch50"  # the account query
    assert seen == {"L": 1, "A": 1, "U": 20 + asked, "S": sequenced, "O": 1}
    assert sequenced == 41 + asked  # start of day, accepted, executed
    if protocol == "ouch42":  # the version that Wireshark knows
        ours = seen_by_wireshark(tmp_path / "orders.pcapng", port, "soupbintcp", "ouch.packet_type")
        assert (ours["O"], ours["A"], ours["E"]) == (20, 20, 20)


@pytest.mark.root
@pytest.mark.parametrize("version", ["42", "44"])
def test_wireshark_decodes_fix_without_a_malformed_packet(tmp_path: Path, version: str) -> None:
    with running(depth=0) as run, FixAcceptor(run.address, version) as acceptor:
        with captured(acceptor.port, tmp_path / "fix.pcapng"):
            options = {
                "protocol": getattr(lib, f"HWGW_PROTOCOL_FIX{version}"), "sender": b"HWGW", "target": b"VENUE",
                "heartbeat_s": 10, "username": b" " * 6, "password": b" " * 10,
            }  # fmt: skip
            trade_twenty(Client(acceptor.port, options, (run.symbol.encode().ljust(8),)))
        assert acceptor.errors == []
    seen = seen_by_wireshark(tmp_path / "fix.pcapng", acceptor.port, "fix", "fix.MsgType")
    assert (seen["A"], seen["D"], seen["8"], seen["5"], seen["1"]) == (2, 20, 40, 2, 1)
