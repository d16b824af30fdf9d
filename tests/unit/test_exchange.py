"""The simulated exchange, held against independent readers: the golden models, a plain client and plain arithmetic.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hwgw_sim.exchange import Exchange, ExchangeConfig, ExchangeProcess, default_symbols
from hwgw_sim.exchange.__main__ import main
from hwgw_sim.golden import book, itch, mold
from support import books_long
from support.exchange import messages_of, rebuild, running
from support.ouch_client import OuchClient, cancel, enter

from hwgw.errors import ConfigError, DeviceError, UsageError

AAPL = "itch50/aapl_20200130_first10k.itch50"
GROUP = "239.77.1.1"


# ---- the feed ----


def test_two_days_of_half_a_million_messages_leave_the_same_books(seed: int, capsys) -> None:
    """The short form of `make books`."""
    assert books_long.main(["--messages", "1000000", "--day", "500000", "--seed", str(seed % 2**31)]) == 0
    assert re.search(r"books: 2 days, 1,000,\d\d\d messages: 0 days with a difference", capsys.readouterr().out)


def test_books_rebuilt_from_the_feed_equal_the_engines_and_are_never_crossed(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "feed.itch50"
    config = ExchangeConfig(
        group=None, listen=None, symbols=default_symbols(40), seed=seed, messages_max=120_000, record=path
    )
    with Exchange(config) as exchange:
        exchange.run()
        report = exchange.report()
    messages = list(messages_of(path))
    books = rebuild(messages, 40)
    counted = Counter(chr(message[0]) for message in messages)
    assert len(messages) == report["messages_sent"] >= 120_000
    assert dict(counted) == report["messages_by_type"]
    assert all(counted[kind] for kind in "SRHAFECXDUP"), counted
    assert set(books.counters) <= {"book.updates", "book.ignored", "book.top_changes"}, dict(books.counters)
    assert books.counters["book.updates"] > 110_000
    assert f"{books.hash():016x}" == report["book_hash"]
    assert books.live() == report["open_orders"] > 1_000
    stamps = [int.from_bytes(message[5:11], "big") for message in messages]
    assert stamps == sorted(stamps)
    trades = [itch.decode(message) for message in messages if message[0] in b"ECP"]
    assert sum(int(trade.get("executed_shares") or trade["shares"]) for trade in trades) == report["match_shares"]
    assert [trade["match_number"] for trade in trades] == list(range(1, report["matches"] + 1))


def test_symbols_are_announced_before_their_orders(tmp_path: Path) -> None:
    path = tmp_path / "feed.itch50"
    names = ("AAPL", "MSFT", "ZVZZT")
    with Exchange(ExchangeConfig(group=None, listen=None, symbols=names, messages_max=2_000, record=path)) as exchange:
        exchange.run()
    decoded = [itch.decode(message) for message in messages_of(path)]
    assert "".join(str(fields["message_type"]) for fields in decoded[:9]) == "SRRRHHHSS"
    assert [str(fields["event_code"]) for fields in decoded if fields["message_type"] == "S"] == list("OSQMEC")
    directory = {fields["stock_locate"]: str(fields["stock"]).rstrip() for fields in decoded[1:4]}
    assert directory == dict(enumerate(names, 1))
    stocks = [fields for fields in decoded if fields["message_type"] in ("A", "F")]
    assert len(stocks) > 500
    assert all(str(fields["stock"]).rstrip() == directory[fields["stock_locate"]] for fields in stocks)


def recorded(path: Path, seed: int, **settings: Any) -> bytes:
    config = ExchangeConfig(
        group=None, listen=None, seed=seed, messages_max=30_000, record=path, virtual_clock=True, **settings
    )
    with Exchange(config) as exchange:
        exchange.run()
    return path.read_bytes()


def test_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, seed: int) -> None:
    first = recorded(tmp_path / "a", seed)
    assert len(first) > 900_000
    assert recorded(tmp_path / "b", seed) == first
    assert recorded(tmp_path / "c", seed + 1) != first
    paced = recorded(tmp_path / "d", seed, pace="rate", rate=300_000)
    assert len(paced) == len(first)
    assert paced == recorded(tmp_path / "e", seed, pace="rate", rate=300_000, batch_us=300)


def feed_socket() -> tuple[socket.socket, int]:
    """A socket that hears GROUP on loopback, and a port of its own."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    except PermissionError:  # without root as much as net.core.rmem_max allows, which is enough for what is sent here
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
    sock.bind((GROUP, 0))
    member = socket.inet_aton(GROUP) + socket.inet_aton("127.0.0.1")
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    sock.settimeout(5)
    return sock, sock.getsockname()[1]


def receive(sock: socket.socket, channel: mold.Mold) -> tuple[list[bytes], list[int]]:
    """Everything up to the silence behind the end of session: messages, and sizes of the datagrams."""
    messages: list[bytes] = []
    sizes: list[int] = []
    try:
        while True:
            data = sock.recv(65536)
            sizes.append(len(data))
            messages += [message for _, message in channel.packet(0, data)[1]]
            if channel.state == mold.ENDED:
                sock.settimeout(0.3)
    except TimeoutError:
        return messages, sizes


def test_feed_over_loopback_is_complete_and_every_frame_is_counted(tmp_path: Path) -> None:
    sock, port = feed_socket()
    path = tmp_path / "feed.itch50"
    options = f"--group {GROUP} --port {port} --loopback --rate 40000 --messages 30000 --session LOOP --record {path}"
    channel = mold.Mold()
    with sock, ExchangeProcess([*options.split(), "--end-packets", "3"]) as exchange:
        messages, sizes = receive(sock, channel)
        report = exchange.wait(20)
    assert report["send"]["errors"] == 0
    assert len(sizes) == report["frames_sent"] == report["packets_sent"] + report["heartbeats"] + report["ends"]
    assert sum(sizes) == report["bytes_sent"]
    assert max(sizes) <= 1400
    assert report["ends"] == channel.counters["mold.ends"] == 3
    assert channel.counters["mold.gaps"] == 0
    assert channel.next_seq == report["messages_sent"] + 1 > 30_000
    assert channel.session == b"LOOP      "
    assert messages == list(messages_of(path))
    assert f"{rebuild(messages, 8).hash():016x}" == report["book_hash"]
    assert report["lateness_ns"]["count"] > 100


def test_idle_feed_has_heartbeats_that_name_the_next_message() -> None:
    sock, port = feed_socket()
    channel = mold.Mold()
    settings = {"group": GROUP, "port": port, "local_address": "127.0.0.1", "loopback": True, "heartbeat_ms": 20}
    with sock, running(**settings, depth=0, seconds=0.5) as run:
        receive(sock, channel)
        report = run.end()
    assert report["heartbeats"] == channel.counters["mold.heartbeats"]
    assert 3 <= report["heartbeats"] <= 26
    assert channel.counters["mold.gaps"] == 0
    assert channel.next_seq == report["messages_sent"] + 1


def test_schedule_is_open_loop(tmp_path: Path) -> None:
    config = ExchangeConfig(group=None, listen=None, pace="rate", rate=20_000, seconds=1.0, record=tmp_path / "feed")
    with Exchange(config) as exchange:
        exchange.run()
        report = exchange.report()
    assert 20_000 < report["messages_sent"] < 20_040  # all that was due, one action more, and M, E, C
    stamps = [int.from_bytes(message[5:11], "big") for message in messages_of(tmp_path / "feed")][:-3]
    steps = [after - before for before, after in pairwise(stamps)]
    assert all(step % 50_000 < 2 or step % 50_000 > 49_998 for step in steps)  # whole multiples of 1 / rate


def test_one_core_generates_matches_and_sends_more_than_a_million_messages_a_second() -> None:
    config = ExchangeConfig(
        port=9, local_address="127.0.0.1", loopback=True, listen=None, messages_max=1_000_000, end_packets=1
    )
    with Exchange(config) as exchange:
        began = time.thread_time()  # of this thread's core: the machine may be busy with other things
        exchange.run()
        spent = time.thread_time() - began
        report = exchange.report()
    assert report["send"]["errors"] == 0
    assert report["packets_sent"] > 20_000
    assert report["messages_sent"] / spent > 1_000_000


# ---- capture ----


def test_capture_is_published_byte_for_byte_in_order(shared: Path) -> None:
    sock, port = feed_socket()
    channel = mold.Mold()
    options = [
        "--group",
        GROUP,
        "--port",
        str(port),
        "--loopback",
        "--rate",
        "40000",
        "--feed",
        str(shared / "data" / AAPL),
    ]
    with sock, ExchangeProcess(options) as exchange:
        messages, sizes = receive(sock, channel)
        report = exchange.wait(20)
    assert exchange.ready["symbols"] == 1
    assert messages == list(messages_of(shared / "data" / AAPL))
    assert len(messages) == 10_000
    assert len(sizes) == report["frames_sent"]
    wanted = "A4758 D4083 E849 P240 L52 U7 X6 F2 R1 H1 Y1"
    assert report["messages_by_type"] == {item[0]: int(item[1:]) for item in wanted.split()}
    assert report["capture"] == {"unknown_refs": 0, "bad_records": 0, "book_full": 0}
    books = book.Books(1)
    for message in messages:
        books.apply(itch.event(message) | {"instrument": 0})
    assert f"{books.hash():016x}" == report["book_hash"]
    assert books.live() == report["open_orders"]


def test_pace_of_a_capture_is_its_own_time_divided_by_the_scale(tmp_path: Path) -> None:
    path = tmp_path / "feed.itch50"
    times_ms = (1_000, 1_000, 1_400, 1_800)
    system = [struct.pack(">HcHH6sc", 12, b"S", 0, 0, (ms * 10**6).to_bytes(6, "big"), b"O") for ms in times_ms]
    path.write_bytes(b"".join(system))
    for pace, scale, wanted in (("recorded", 1.0, 0.8), ("scale", 4.0, 0.2), ("max", 1.0, 0.0)):
        with Exchange(ExchangeConfig(group=None, listen=None, feed=path, pace=pace, pace_scale=scale)) as exchange:
            exchange.run()
            report = exchange.report()
        assert report["messages_sent"] == 4
        assert wanted <= report["elapsed_s"] < wanted + 0.5, pace


def add(ref: int, side: bytes, qty: int, px: int, ms: int) -> bytes:
    stamp = (ms * 10**6).to_bytes(6, "big")
    return struct.pack(">cHH6sQcI8sI", b"A", 7, 0, stamp, ref, side, qty, b"TEST    ", px)


def executed(ref: int, qty: int, ms: int) -> bytes:
    return struct.pack(">cHH6sQIQ", b"E", 7, 0, (ms * 10**6).to_bytes(6, "big"), ref, qty, 1)


def test_clients_of_a_capture_trade_beside_it_by_the_documented_model(tmp_path: Path) -> None:
    feed, out = tmp_path / "in", tmp_path / "out"
    records = [
        add(1, b"S", 100, 20_0000, 0), add(2, b"S", 100, 20_0100, 0), add(3, b"B", 100, 19_9000, 0),
        executed(3, 40, 1_500),  # a trade at 19.90: through a resting bid of 19.95, not of 19.90
        add(4, b"S", 70, 19_9200, 1_700),  # crosses what is left of the bid of 19.95
        add(5, b"S", 10, 30_0000, 2_200),
    ]  # fmt: skip
    feed.write_bytes(b"".join(len(record).to_bytes(2, "big") + record for record in records))
    settings = {"feed": feed, "pace": "recorded", "record": out, "wait_clients": 1, "linger": 5.0}
    with running(**settings) as run, OuchClient(run.address) as client:
        time.sleep(0.1)
        client.send(enter(1, "B", 150, "TEST", 20_0000))  # takes all of 20.00, 50 rest there unseen
        client.send(enter(2, "B", 150, "TEST", 20_0100, tif="3"))  # finds 100 at 20.01
        client.send(enter(3, "B", 150, "TEST", 20_0100, tif="3"))  # which are taken
        client.send(cancel(1), enter(4, "B", 100, "TEST", 19_9500), enter(5, "B", 100, "TEST", 19_9000))
        client.send(enter(6, "B", 100, "NONE", 19_9000))
        client.sync()
        fills = [(m["ref"], m["qty"], m["px"], m["liquidity"]) for m in client.messages if m["type"] == "E"]
        assert fills == [(1, 100, 20_0000, "R"), (2, 100, 20_0100, "R")]
        made = [client.until("E"), client.until("E")]
        assert [(m["ref"], m["qty"], m["px"], m["liquidity"]) for m in made] == [
            (4, 40, 19_9500, "A"),
            (4, 60, 19_9500, "A"),
        ]
        time.sleep(0.6)
        client.sync()
        assert client.orders == {5: {"side": "B", "symbol": "TEST", "left": 100}}
        report = run.end()
    assert out.read_bytes() == feed.read_bytes()
    assert report["users"]["HWGW01"]["positions"] == {"TEST": 300}
    assert report["market"]["positions"] == {"TEST": -300}
    assert report["market"]["cash"] == -report["users"]["HWGW01"]["cash"] > 0
    assert report["open_orders"] == 5


def test_damaged_capture_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.itch50"
    path.write_bytes(b"\0\x0c" + bytes(12) + b"\0\x0c" + bytes(3))
    with pytest.raises(ConfigError, match=r"bad\.itch50: the record at byte 14 is cut off"):
        Exchange(ExchangeConfig(group=None, listen=None, feed=path))
    path.write_bytes(b"\0\x0cS" + bytes(11) + b"\0\0")  # a zero length ends a complete file
    with Exchange(ExchangeConfig(group=None, listen=None, feed=path)) as exchange:
        exchange.run()
        assert exchange.report()["messages_sent"] == 1


# ---- the process ----


def test_process_reports_stops_at_once_and_releases_its_port() -> None:
    with ExchangeProcess(["--group", "none", "--rate", "1000"]) as exchange:
        with OuchClient(exchange.address) as client:
            assert client.sync() == 1
        began = time.monotonic()
        report = exchange.stop()
        assert time.monotonic() - began < 3
    assert report["schema"] == "hwgw.exchange/1"
    assert report["sessions"]["logins"] == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(exchange.address, 1)


def test_process_dies_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import os, sys, time\n"
        "from hwgw_sim.exchange import ExchangeProcess\n"
        "exchange = ExchangeProcess(['--group', 'none'])\n"
        "print(exchange.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}/stat").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break  # dead; whoever inherited it has not looked yet
        time.sleep(0.02)
    else:
        assert not Path(f"/proc/{child}/stat").exists()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (["--feed", "/nonexistent"], ConfigError, "/nonexistent: No such file"),
        (["--group", "300.1.1.1"], ConfigError, "group '300.1.1.1'"),
        (["--symbols", "TOOLONGNAME"], ConfigError, "symbol 'TOOLONGNAME'"),
        (["--pace", "scale", "2"], UsageError, "--feed"),
        (["--interface", "nosuch0"], ConfigError, "interface nosuch0"),
        (["--listen", "192.0.2.1:1", "--group", "none"], DeviceError, "listen on 192.0.2.1:1"),
        (["--depth", "1", "--group", "none"], ConfigError, "depth"),
    ],
)
def test_mistakes_are_one_line_with_an_exit_code(options: list[str], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        ExchangeProcess(options)


def test_a_bad_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--rate", "-1"])
    assert ended.value.code == 2
    assert "whole number" in capsys.readouterr().err


def test_report_is_one_json_object_in_a_file_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    command = [sys.executable, "-m", "hwgw_sim.exchange", "--group", "none", "--messages", "1000", "--stats", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout)["ready"] is True
    assert json.loads(path.read_text())["messages_sent"] >= 1000


def test_steps_give_each_message_its_time_and_end_with_the_last(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "feed"
    steps = ((2_000, 20_000), (0, 30_000), (4_000, 10_000))  # messages and microseconds: 100,000/s, silence, 400,000/s
    config = ExchangeConfig(
        group=None, listen=None, seed=seed, pace="rate", steps=steps, virtual_clock=True, record=path
    )
    with Exchange(config) as exchange:
        exchange.run()
        report = exchange.report()
    first = 34_200 * 10**9
    stamps = [int.from_bytes(message[5:11], "big") - first for message in messages_of(path)]
    assert 6_000 <= report["messages_sent"] == len(stamps) < 6_064
    wanted = [n * 10_000 for n in range(2_000)] + [50_000_000 + n * 2_500 for n in range(4_000)]
    off = [stamp - due for stamp, due in zip(stamps[:6_000], wanted, strict=True)]
    assert max(off) <= 0  # an action has the time of its first message and may publish some more
    assert off.count(0) > 5_000
    assert not [stamp for stamp in stamps if 20_000_000 <= stamp < 50_000_000]
    assert 2_000 <= sum(stamp < 20_000_000 for stamp in stamps) < 2_064
    ends = [row["ended_ns"] for row in report["steps"]]
    assert [row["messages"] for row in report["steps"]] == [2_000, 0, 4_000]
    assert ends == sorted(ends)
    assert ends[2] >= 50_000_000 + (4_000 - 64) * 2_500  # an action that begins earlier may publish the last ones
