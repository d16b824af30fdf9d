"""Order entry of the simulated exchange: OUCH over SoupBinTCP, held against a plain client that keeps its own account.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hwgw_sim.exchange import default_symbols
from hwgw_sim.golden import itch
from support.exchange import messages_of, rebuild, running
from support.ouch_client import LoginRefusedError, OuchClient, cancel, enter, entry, replace

from hwgw import specs


def reason(name: str) -> int:
    return int(specs.load("ouch50").enum("reject_reason").code(name))


# ---- order entry ----


def test_partial_fills_cancel_and_replace_reach_both_clients_and_the_feed(tmp_path: Path) -> None:
    path = tmp_path / "feed.itch50"
    users = (("MAKER", "ONE"), ("TAKER", "TWO"))
    with running(depth=0, users=users, record=path) as run:
        symbol = run.symbol
        with (
            OuchClient(run.address, user="maker", password="one") as maker,
            OuchClient(run.address, user="TAKER", password="TWO") as taker,
        ):
            maker.send(enter(1, "S", 300, symbol, 100_0000), enter(2, "S", 200, symbol, 100_0100))
            assert maker.sync() == 3
            taker.send(enter(10, "B", 400, symbol, 100_0000))  # 300 trade, 100 rest
            assert taker.sync() == 11
            maker.sync()
            made, took = maker.messages[-2], taker.messages[-2]
            assert (made["ref"], made["qty"], made["px"], made["liquidity"]) == (1, 300, 100_0000, "A")
            assert (took["ref"], took["qty"], took["px"], took["liquidity"]) == (10, 300, 100_0000, "R")
            assert made["match"] == took["match"]
            taker.send(cancel(10, 350))  # of 400, 300 are done: 50 of the 100 go
            assert taker.until("C")["qty"] == 50
            taker.send(replace(10, 11, 500, 100_0200))  # chain of 500, 300 done: 200 trade at the better price
            replaced = taker.until("U")
            assert (replaced["orig"], replaced["ref"], replaced["qty"]) == (10, 11, 200)
            fill = taker.until("E")
            assert (fill["ref"], fill["qty"], fill["px"]) == (11, 200, 100_0100)
            maker.send(enter(3, "S", 100, symbol, 101_0000, display="N"), enter(4, "S", 100, symbol, 101_0000))
            maker.send(replace(4, 5, 120, 101_0000), cancel(3))
            maker.sync()
            assert maker.orders == {5: {"side": "S", "symbol": symbol, "left": 120}}
            assert taker.orders == {}
            assert maker.cash == -taker.cash == 300 * 100_0000 + 200 * 100_0100
            report = run.end()
    assert report["users"]["MAKER"] == {"cash": maker.cash, "open_orders": 1, "positions": {symbol: -500}}
    assert report["users"]["TAKER"] == {"cash": taker.cash, "open_orders": 0, "positions": {symbol: 500}}
    assert report["market"]["positions"] == {}
    messages = list(messages_of(path))
    decoded = [itch.decode(message) for message in messages][7:-3]
    quantities = ("shares", "executed_shares", "cancelled_shares")
    shown = [(f["message_type"], next((f[name] for name in quantities if name in f), None)) for f in decoded]
    assert shown == [
        ("A", 300), ("A", 200), ("E", 300), ("A", 100), ("X", 50), ("D", None), ("E", 200), ("A", 100), ("U", 120)
    ]  # fmt: skip
    entered = {message["order"] for client in (maker, taker) for message in client.messages if message["type"] == "A"}
    added = {f["order_reference_number"] for f in decoded if f["message_type"] == "A"}
    assert len(added) == 4
    assert added < entered  # all but the hidden one
    assert f"{rebuild(messages, 2).hash():016x}" == report["book_hash"]


def test_hidden_orders_trade_behind_displayed_ones_and_are_printed_as_trades(tmp_path: Path) -> None:
    path = tmp_path / "feed.itch50"
    with running(depth=0, record=path) as run, OuchClient(run.address) as client:
        symbol = run.symbol
        client.send(enter(1, "S", 100, symbol, 50_0000, display="N"), enter(2, "S", 100, symbol, 50_0000))
        client.send(enter(3, "B", 150, symbol, 50_0000, tif="3"))
        client.sync()
        made = [(m["ref"], m["qty"], m["liquidity"]) for m in client.messages if m["type"] == "E" and m["ref"] < 3]
        assert made == [(2, 100, "A"), (1, 50, "J")]
        assert run.end()["hidden_orders"] == 1
    decoded = [itch.decode(message) for message in messages_of(path)][7:-3]
    assert "".join(str(fields["message_type"]) for fields in decoded) == "AEP"
    assert (decoded[2]["shares"], decoded[2]["price"], decoded[2]["order_reference_number"]) == (50, 50_0000, 0)


def test_immediate_or_cancel_and_post_only_never_rest() -> None:
    post_only = b"\x02\x0cP"
    with running(depth=0) as run, OuchClient(run.address) as client:
        symbol = run.symbol
        client.send(enter(1, "S", 100, symbol, 50_0000), enter(2, "B", 150, symbol, 50_0000, tif="3"))
        assert client.until("C") | {"timestamp": 0} == {
            "type": "C", "timestamp": 0, "ref": 2, "qty": 50, "reason": "I", "tags": b""
        }  # fmt: skip
        client.send(enter(3, "S", 100, symbol, 50_0000, tags=post_only))
        client.send(enter(4, "B", 100, symbol, 50_0000, tags=post_only))
        canceled = client.until("C")
        assert (canceled["ref"], canceled["qty"], canceled["reason"]) == (4, 100, "G")
        accepted = [message for message in client.messages if message["type"] == "A"]
        assert [message["tags"] for message in accepted] == [b"", b"", post_only, post_only]
        assert list(client.orders) == [3]


REJECTS = [
    ("invalid_quantity", {"qty": 0}),
    ("invalid_quantity", {"qty": 1_000_000}),
    ("invalid_price", {"px": 0}),
    ("invalid_price", {"px": 10_0050}),
    ("invalid_price", {"px": 2_000_000_000}),
    ("invalid_price", {"px": 0x7FFFFFFF}),
    ("invalid_price", {"px": 2**32 + 10_0000}),
    ("invalid_symbol", {"symbol": "NOSUCH"}),
    ("invalid_symbol", {"symbol": ""}),
    ("invalid_side", {"side": "X"}),
    ("invalid_display", {"display": "Z"}),
    ("iso_not_allowed", {"sweep": "?"}),
    ("invalid_cross_order", {"cross": "O"}),
    ("other", {"capacity": "?"}),
    ("other", {"tif": "6"}),
    ("processing_error", {"tags": b"\x09\x03\0\0"}),
    ("processing_error", {"tags": b"\0"}),
    ("invalid_min_qty", {"tags": b"\x05\x03\0\0\0\x64"}),
    ("invalid_max_floor", {"tags": b"\x05\x05\0\0\0\x64"}),
    ("pegging_not_allowed", {"tags": b"\x02\x06M"}),
    ("other", {"tags": b"\x02\x1c\x01"}),
]


def test_every_fault_of_an_order_is_rejected_with_its_reason_and_consumes_the_number() -> None:
    good = {"side": "B", "qty": 100, "px": 10_0000}
    with running(depth=0) as run, OuchClient(run.address) as client:
        for ref, (name, fault) in enumerate(REJECTS, 1):
            client.send(enter(ref, **({"symbol": run.symbol} | good | fault)))  # type: ignore[arg-type]
            rejected = client.next() if ref > 1 else client.until("J")
            assert (rejected["type"], rejected["ref"], rejected["reason"]) == ("J", ref, reason(name)), (name, fault)
            assert rejected["clordid"] == f"order {ref}"
        client.send(enter(len(REJECTS), symbol=run.symbol, **good))  # type: ignore[arg-type]
        assert client.sync() == len(REJECTS) + 1  # ignored: a number that was seen before
        report = run.end()
    assert report["orders"]["rejected_by_reason"] == dict(Counter(name for name, _ in REJECTS))
    assert report["orders"]["ignored_ref"] == 1
    assert report["orders"]["accepted"] == 0


def test_replace_rules_of_the_reference_numbers() -> None:
    with running(depth=0) as run, OuchClient(run.address) as client:
        symbol = run.symbol
        client.send(enter(5, "B", 100, symbol, 10_0000))
        client.send(replace(4, 6, 100, 10_0000))  # unknown original: ignored, 6 is free
        assert client.sync() == 6
        client.send(replace(5, 5, 100, 10_0000))  # not above the last: ignored
        assert client.sync() == 6
        client.send(replace(5, 6, 100, 10_0050))  # invalid price: the order is canceled, 6 is free
        assert client.until("C")["reason"] == "Z"
        assert client.sync() == 6
        client.send(enter(6, "B", 100, symbol, 10_0000), replace(6, 9, 100, 10_0100), cancel(6), cancel(9, 100))
        assert client.sync() == 10
        assert client.orders == {9: {"side": "B", "symbol": symbol, "left": 100}}
        orders = run.end()["orders"]
    assert (orders["ignored_ref"], orders["ignored_order"]) == (1, 3)


def test_disabled_order_entry_refuses_new_orders_alone_until_it_is_enabled() -> None:
    def said(client: OuchClient, code: str, ref: int) -> None:
        client.send(entry(code, ref))
        answer = client.until({"D": "G", "E": "K"}[code])
        assert (answer["ref"], answer["firm"]) == (ref, "FIRM")

    with running(depth=0) as run:
        with OuchClient(run.address) as client:
            symbol = run.symbol
            client.send(enter(1, "B", 100, symbol, 10_0000), enter(2, "B", 100, symbol, 10_0000))
            said(client, "D", 3)
            client.send(enter(4, "B", 100, symbol, 10_0000))
            assert (rejected := client.until("J"))["ref"] == 4
            assert rejected["reason"] == 12
            client.send(replace(1, 5, 50, 10_0100), cancel(2))  # what is booked may still change
            client.until("C")
        with OuchClient(run.address) as client:  # it is of the account, not of the connection
            client.sync()
            client.send(enter(6, "B", 100, symbol, 10_0000))
            while client.until("J")["ref"] != 6:
                pass
            said(client, "E", 7)
            said(client, "E", 8)
            client.send(entry("D", 8))  # not above the last: ignored
            client.send(enter(9, "B", 100, symbol, 10_0000))
            assert client.sync() == 10
            assert client.orders == {
                5: {"side": "B", "symbol": symbol, "left": 50}, 9: {"side": "B", "symbol": symbol, "left": 100},
            }  # fmt: skip
        orders = run.end()["orders"]
    assert (orders["disables_in"], orders["enables_in"], orders["ignored_ref"]) == (2, 2, 1)
    assert orders["rejected_by_reason"] == {"firm": 2}


def test_what_cannot_be_carried_out_is_counted_and_the_connection_goes_on() -> None:
    with running(depth=0) as run, OuchClient(run.address) as client:
        client.send(b"M" + bytes(9), b"?", b"", enter(1, "B", 100, run.symbol, 10_0000)[:40], b"X\0\0")
        assert client.sync() == 1
        report = run.end()
    assert report["orders"]["ignored_type"] == 3
    assert report["orders"]["dropped_length"] == 2


def test_orders_before_the_open_are_rejected() -> None:
    with running(depth=0, start_delay_ms=60_000) as run, OuchClient(run.address) as client:
        client.send(enter(1, "B", 100, run.symbol, 10_0000))
        assert client.until("J")["reason"] == reason("destination_closed")


# ---- sessions ----


def test_login_is_checked() -> None:
    with running(depth=0, session="ABC") as run:
        for settings, code in (
            ({"password": "WRONG"}, "A"),
            ({"user": "NOBODY"}, "A"),
            ({"session": "OTHER"}, "S"),
            ({"seq": 99}, "S"),
        ):
            with pytest.raises(LoginRefusedError, match=rf"^{code}$"):
                OuchClient(run.address, **settings)  # type: ignore[arg-type]
        with OuchClient(run.address, session="ABC") as client:
            assert (client.session, client.next_seq) == ("ABC       ", 1)
            assert client.next()["event"] == "S"
        report = run.end()
    assert (report["sessions"]["logins"], report["sessions"]["logins_rejected"]) == (1, 4)


def test_replay_after_a_reconnect_is_what_was_sent_before() -> None:
    with running(depth=0) as run:
        with OuchClient(run.address) as first:
            for ref in range(1, 40):
                first.send(enter(ref, "BS"[ref % 2], 100, run.symbol, 10_0000 + 100 * (ref % 3)))
            first.sync()
        with OuchClient(run.address, seq=1) as second:
            second.read_to(first.next_seq)
            assert second.raw == first.raw
            assert len(first.raw) > 60
            assert second.orders == first.orders
        middle = len(first.raw) // 2
        with OuchClient(run.address, seq=middle) as third:
            third.read_to(first.next_seq)
            third.send(cancel(min(first.orders)))
            third.until("C")
            assert third.raw[: len(first.raw) - middle + 1] == first.raw[middle - 1 :]
        with OuchClient(run.address, seq=0) as latest:
            assert latest.sync() == 40
            assert len(latest.raw) == 1


def test_a_second_login_takes_the_session_over() -> None:
    with running(depth=0) as run, OuchClient(run.address) as first, OuchClient(run.address) as second:
        assert first.next()["type"] == "S"
        with pytest.raises((EOFError, ConnectionError)):
            first.next()
        assert second.sync() == 1
        assert run.end()["sessions"]["closed_takeover"] == 1


def test_replay_store_is_bounded_and_says_so() -> None:
    with running(depth=0, replay_bytes=4096) as run:
        with OuchClient(run.address) as client:
            for ref in range(1, 201):
                client.send(enter(ref, "B", 100, run.symbol, 10_0000))
                client.sync()
            last = client.next_seq
        with pytest.raises(LoginRefusedError, match=r"^S$"):
            OuchClient(run.address, seq=1)
        with OuchClient(run.address, seq=last - 20) as client:
            client.read_to(last)
            assert client.sync() == 201
            assert len(client.raw) == 21


def test_a_client_that_does_not_read_is_closed_and_nobody_waits_for_it() -> None:
    users = (("SLOW", "X"), ("QUICK", "Y"))
    with running(depth=0, users=users, replay_bytes=65536) as run:
        with OuchClient(run.address, user="SLOW", password="X") as slow:
            slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            slow.socket.settimeout(0.2)
            try:
                for _ in range(40_000):
                    slow.send(*[b"Q"] * 50)
            except (TimeoutError, ConnectionError):
                pass
            with OuchClient(run.address, user="QUICK", password="Y") as quick:
                assert quick.sync() == 1
        assert run.end()["sessions"]["closed_slow"] == 1


def test_heartbeats_go_out_when_idle_and_a_silent_client_is_closed() -> None:
    with running(depth=0, client_timeout_ms=1_500) as run, OuchClient(run.address) as client:
        client.drain()
        assert client.heartbeats in (1, 2)
        assert run.end()["sessions"]["closed_silent"] == 1


def test_impossible_framing_closes_the_connection() -> None:
    with running(depth=0) as run:
        for size in (0, 60_000):
            with OuchClient(run.address) as client:
                client.socket.sendall(struct.pack(">Hc", size, b"U"))
                client.drain()
        assert run.end()["sessions"]["closed_framing"] == 2


def test_session_ends_with_the_day_and_nothing_is_lost_before_it() -> None:
    with running(depth=0) as run, OuchClient(run.address) as client:
        client.send(*[enter(ref, "B", 100, run.symbol, 10_0000) for ref in range(1, 501)])
        client.until("A")
        run.exchange.stop()
        client.drain()
        assert client.ended
        assert client.messages[-1]["event"] == "E"
        client.socket.close()
        report = run.end()
    assert sum(message["type"] == "A" for message in client.messages) == report["orders"]["accepted"]
    assert len(client.orders) == report["users"]["HWGW01"]["open_orders"] == report["orders"]["open"]


def test_cancel_on_disconnect_empties_the_book_of_that_user_alone() -> None:
    users = (("ONE", "X"), ("TWO", "Y"))
    with (
        running(depth=0, users=users, cancel_on_disconnect=True) as run,
        OuchClient(run.address, user="TWO", password="Y") as two,
    ):
        two.send(enter(1, "B", 100, run.symbol, 9_0000))
        two.sync()
        with OuchClient(run.address, user="ONE", password="X") as one:
            one.send(*[enter(ref, "B", 100, run.symbol, 10_0000) for ref in range(1, 11)])
            one.sync()
        with OuchClient(run.address, user="ONE", password="X") as one:
            one.read_to(1 + 1 + 10 + 1 + 10)  # system event, accepted, query, canceled
            assert one.orders == {}
            assert sum(message["type"] == "C" for message in one.messages) == 10
        report = run.end()
    assert {name: user["open_orders"] for name, user in report["users"].items()} == {"ONE": 0, "TWO": 1}


def test_the_close_cancels_day_orders_before_the_session_ends(tmp_path: Path) -> None:
    path = tmp_path / "feed.itch50"
    with running(depth=0, cancel_at_close=True, record=path) as run, OuchClient(run.address) as client:
        client.send(*[enter(ref, "B", 100, run.symbol, 10_0000) for ref in range(1, 11)])
        client.until("A")
        run.exchange.stop()
        client.drain()
        assert client.ended
        assert [message["reason"] for message in client.messages if message["type"] == "C"] == ["E"] * 10
        assert client.messages[-1]["event"] == "E"
        assert client.orders == {}
        client.socket.close()
        report = run.end()
    assert report["users"]["HWGW01"]["open_orders"] == 0
    published = "".join(chr(message[0]) for message in messages_of(path))
    assert published == "SRRHHSS" + "A" * 10 + "D" * 10 + "SSS"


# ---- conservation ----


def trade_at_random(client: OuchClient, symbols: tuple[str, ...], rng: random.Random, until: float) -> None:
    """Enters, replaces and cancels orders around what it last saw until the time is up."""
    ref = 0
    px = dict.fromkeys(symbols, 0)
    while time.monotonic() < until:
        batch = []
        for _ in range(rng.randrange(1, 8)):
            ref += 1
            symbol = rng.choice(symbols)
            limit = px[symbol] + rng.randrange(-20, 21) * 100 if px[symbol] else rng.randrange(10, 500) * 10_000
            limit = max(limit, 100)  # two clients trading with one another may walk a price down to nothing
            roll = rng.random()
            if roll < 0.7 or not client.orders:
                tif, display = rng.choice("003"), rng.choice("YYAN")
                batch.append(
                    enter(ref, rng.choice("BSTE"), rng.randrange(1, 900), symbol, limit, tif=tif, display=display)
                )
            elif roll < 0.85:
                old = rng.choice(list(client.orders))
                limit = px[client.orders[old]["symbol"]] + rng.randrange(-20, 21) * 100
                batch.append(replace(old, ref, rng.randrange(1, 900), max(limit, 100)))
            else:
                batch.append(cancel(rng.choice(list(client.orders)), rng.choice((0, 0, 50))))
        client.send(*batch)
        seen = len(client.messages)
        client.sync()
        for message in client.messages[seen:]:
            if message["type"] == "A":
                name = {message["ref"]: message["symbol"]}
            if message["type"] == "E" and message["ref"] in name:
                px[name[message["ref"]]] = message["px"] // 100 * 100


def test_shares_and_cash_of_all_parties_balance_and_agree_with_feed_and_clients(
    tmp_path: Path, rng: random.Random
) -> None:
    path = tmp_path / "feed.itch50"
    users = (("ONE", "X"), ("TWO", "Y"))
    with running(pace="rate", rate=30_000, users=users, record=path, symbols=default_symbols(3), depth=40) as run:
        symbols = run.exchange.symbols
        clients = [OuchClient(run.address, user=name, password=password) for name, password in users]
        until = time.monotonic() + 2.0
        threads = [
            threading.Thread(target=trade_at_random, args=(client, symbols, random.Random(rng.random()), until))
            for client in clients
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        run.exchange.stop()
        for client in clients:
            client.drain()
            assert client.ended
            client.socket.close()
        report = run.end()
    parties = [report["market"], *report["users"].values()]
    for symbol in symbols:
        assert sum(party["positions"].get(symbol, 0) for party in parties) == 0
    assert sum(party["cash"] for party in parties) == 0
    for client, user in zip(clients, report["users"].values(), strict=True):
        assert {name: qty for name, qty in client.position.items() if qty} == user["positions"]
        assert client.cash == user["cash"]
        assert len(client.orders) == user["open_orders"]
        kinds = Counter(message["type"] for message in client.messages)
        assert all(kinds[kind] for kind in "AUCE"), kinds
    executions = [message for client in clients for message in client.messages if message["type"] == "E"]
    assert len(executions) == report["orders"]["executed"] > 100
    assert sum(message["qty"] for message in executions) == report["orders"]["executed_shares"]
    messages = list(messages_of(path))
    assert f"{rebuild(messages, 3).hash():016x}" == report["book_hash"]
    printed: dict[int, int] = defaultdict(int)
    for message in messages:
        if message[0] in b"ECP":
            fields = itch.decode(message)
            printed[int(fields["match_number"])] += int(fields.get("executed_shares") or fields["shares"])
    assert sum(printed.values()) == report["match_shares"]
    assert all(printed[message["match"]] == message["qty"] for message in executions)
