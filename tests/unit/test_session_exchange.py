"""The order session against the simulated exchange, through a relay that cuts the connection.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
import time

import pytest
from support.account import PATIENCE_S, SYMBOLS, Account, Relay, act
from support.exchange import running
from support.soup_venue import MS, Client

from hwgw.native import lib


# in OUCH 4.2 each login waits for the exchange's heartbeat, a second
@pytest.mark.parametrize(("protocol", "acts_max", "cuts_wanted"), [("ouch50", 4_000, 40), ("ouch42", 600, 4)])
def test_position_cash_and_counters_equal_the_exchanges_after_random_orders_and_disconnects(
    rng: random.Random, protocol: str, acts_max: int, cuts_wanted: int
) -> None:
    account = Account()
    user = ("HWGW01", "SIMULATOR", protocol)
    with running(symbols=SYMBOLS, pace="rate", rate=20_000, seed=rng.randrange(2**31), users=(user,)) as run:
        relay = Relay(run.address)
        options = {"username": b"HWGW01", "password": b"SIMULATOR ", "reconnect_ms": 1}
        options["protocol"] = getattr(lib, f"HWGW_PROTOCOL_{protocol.upper()}")
        client = Client(relay.port, options, tuple(name.ljust(8).encode() for name in SYMBOLS))
        skew_ns = 0
        acts = cuts = 0

        def turn(cut_after: int | None = None) -> None:
            client.now_ns = time.monotonic_ns() + skew_ns
            for event in client.poll(rng.choice([1, 4, 64])):
                account.apply(event)
            relay.step(cut_after)

        try:
            end = time.monotonic() + PATIENCE_S
            while acts < acts_max:
                turn()
                if client.state == "LOGIN_SENT" and protocol == "ouch42":
                    time.sleep(0.001)
                if client.state == "UP":
                    act(client, account, rng)
                    acts += 1
                    if acts % (acts_max // cuts_wanted) == 0:
                        cuts += 1
                        turn(cut_after=rng.randrange(60))
                elif client.state == "LOST":
                    skew_ns += MS  # the back-off passes quicker
                assert time.monotonic() < end
            while account.left or client.state != "UP":
                turn()
                if client.state == "UP" and account.left:
                    client.send(kind="CANCEL", ref=rng.choice(list(account.left)))
                elif client.state == "LOST":
                    skew_ns += MS
                assert time.monotonic() < end, f"{len(account.left)} orders open, {client.state}: {client.reason}"
            assert client.poll() == []
            client.ledger()
            counted = {
                name: client.count(name)
                for name in ("accepted", "rejected", "replaced", "canceled", "executed", "executed_shares", "logins")
            }
            report = run.end()
            orders, mine = report["orders"], report["users"]["HWGW01"]
            assert counted == {name: orders[name] for name in counted if name != "logins"} | {
                "logins": report["sessions"]["logins"]
            }
            assert mine["positions"] == {name: position for name, position in account.position.items() if position}
            assert (mine["cash"], mine["open_orders"]) == (account.cash, 0)
            assert min(counted[name] for name in counted if name != "logins") > 5, counted
            assert client.count("logins") >= cuts == cuts_wanted
            assert client.count("withdrawn") > (10 if protocol == "ouch50" else -1)
            assert [client.count(name) for name in ("drop_order", "drop_unknown", "drop_length", "drop_framing")] == [
                0
            ] * 4
        finally:
            client.close()
            relay.close()
