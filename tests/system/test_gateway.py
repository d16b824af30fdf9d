"""A gateway as processes: what a signal, a crash or a second start does to orders.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import pytest
from hwgw_sim.exchange.fix import FixAcceptor
from hwgw_sim.lab import Lab
from support.market import Market, is_alive, until
from support.rig import compile_probe

from hwgw.demo.stage import PASSWORD, USER
from hwgw.segment import Segment
from hwgw.telemetry import ledger_rows


@pytest.fixture
def market(tmp_path):
    with Market(tmp_path) as market:
        yield market


def flow(segment: Segment, name: str, seconds: float) -> int:
    """By how much a counter grows in so many seconds."""
    before = segment.counters()[name]
    time.sleep(seconds)
    return segment.counters()[name] - before


def sent(segment: Segment) -> int:
    """Orders and replaces that went to a venue; order.encoded counts cancels, too, which a halt repeats."""
    return sum(int(row["sent"]) for row in segment.sessions())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_gateway_stops_in_order_on_a_signal_and_both_sides_agree(market, number):
    process = market.start()
    with market.attached() as segment:
        until(lambda: segment.counters()["session.executed"] > 20, "there are executions")
        process.send_signal(number)
        assert process.wait(15) == 0
        rows = ledger_rows(segment.counters())
        assert len(rows) == 11
        assert [row for row in rows if not row.exact] == []
        assert segment.thread_status()[0]["open_orders"] == 0
        ours = {name: int(row["pos"]) for name, row in zip(segment.symbols, segment.positions, strict=True)}
        cash = sum(int(row["cash"]) for row in segment.positions)
    theirs = market.exchange.stop()["users"]["DEMO"]
    assert {name: pos for name, pos in ours.items() if pos} == theirs["positions"]
    assert (cash, 0) == (theirs["cash"], theirs["open_orders"])
    assert not Path(f"/dev/shm/hwgw-{market.name}").exists()


def test_under_nohup_a_gateway_outlives_its_terminal(market):
    """A shell that ends sends SIGHUP to all of a job, not to its first process alone."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = market.start()
    finally:
        signal.signal(signal.SIGHUP, before)
    with market.attached() as segment:
        until(lambda: segment.counters()["session.executed"] > 20, "there are executions")
        for pid in (process.pid, int(segment.head["data_pid"])):
            os.kill(pid, signal.SIGHUP)
        assert flow(segment, "session.executed", 1.0) > 0
        assert segment.thread_status()[0]["state"] == "running"
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert segment.thread_status()[0]["open_orders"] == 0


@pytest.mark.parametrize("protocol", ["ouch42", "fix42", "fix44"])
def test_both_sides_agree_whatever_protocol_they_speak(tmp_path, protocol):
    is_fix = protocol.startswith("fix")
    with (
        Market(tmp_path, rate=2_000, protocol="ouch50" if is_fix else protocol) as market,
        contextlib.ExitStack() as stack,
    ):
        market.session = {"protocol": protocol}
        if is_fix:
            user = (USER, PASSWORD)
            acceptor = stack.enter_context(FixAcceptor(market.exchange.address, protocol[3:], user=user))
            market.session |= {
                "transport": "tcp", "sender": "HWGW", "target": "VENUE", "address": "127.0.0.1", "port": acceptor.port,
            }  # fmt: skip
        else:
            market.session["transport"] = "soupbintcp"
        process = market.start()
        with market.attached() as segment:
            until(lambda: segment.counters()["session.executed"] > 20, "there are executions")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            counters = segment.counters()
            assert [row for row in ledger_rows(counters) if not row.exact] == []
            assert segment.thread_status()[0]["open_orders"] == 0
            ours = {name: int(row["pos"]) for name, row in zip(segment.symbols, segment.positions, strict=True)}
            cash = sum(int(row["cash"]) for row in segment.positions)
        if is_fix:
            until(lambda: not acceptor.is_logged_on, "the logout is read")
            assert (acceptor.errors, acceptor.counts["5"]) == ([], 1)
        theirs = market.exchange.stop()["users"][USER]
    assert {name: pos for name, pos in ours.items() if pos} == theirs["positions"]
    assert (cash, 0) == (theirs["cash"], theirs["open_orders"])
    assert [counters[f"session.drop_{cause}"] for cause in ("order", "unknown", "length", "framing")] == [0] * 4


@pytest.mark.parametrize("kind", ["numba", "object"])
def test_a_strategy_of_ones_own_runs_in_the_data_process(market, monkeypatch, kind):
    if kind == "numba":
        pytest.importorskip("numba", reason="needs the package numba")
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        use, params, qty = "numba:support.numba_strategies:buy_every_second", {}, 7
    else:
        use, params, qty = f"c:{compile_probe(market.folder / 'probe.so')}", {"qty": 3, "every": 50}, 3
    market.strategies = [{"name": kind, "use": use, "account": 1, "armed": True, "params": params}]
    process = market.start()
    with market.attached() as segment:
        until(lambda: segment.counters()["session.executed"] > 20, "there are executions")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        counters = segment.counters()
    # every order was of the strategy's own quantity: what was executed and what was cancelled make whole orders
    user = market.exchange.stop()["users"]["DEMO"]
    assert sum(user["positions"].values()) == counters["session.executed_shares"] <= qty * counters["order.encoded"]
    assert counters["session.executed"] >= counters["session.filled"] > 0
    assert user["open_orders"] == 0


def test_halt_stops_orders_while_the_control_process_is_stopped(market, hwgw):
    process = market.start(beat_age_max="60s")
    with market.attached() as segment:
        process.send_signal(signal.SIGSTOP)
        assert flow(segment, "order.encoded", 0.5) > 0
        done = hwgw("halt", market.name, "--reason", "drill")
        assert (done.returncode, done.stderr) == (0, "")  # acknowledged: no order is on its way any more
        before = sent(segment)
        assert before > 0
        time.sleep(0.5)
        assert sent(segment) == before
        assert flow(segment, "risk.refused_halted", 0.5) > 0
        assert flow(segment, "itch.messages", 0.2) > 0
        assert hwgw("status", market.name).returncode == 6
        assert hwgw("resume", market.name, "--reason", "loss").returncode == 1
        assert hwgw("resume", market.name, "--reason", "operator").returncode == 0
        assert flow(segment, "order.encoded", 0.5) > 0
        process.send_signal(signal.SIGCONT)


def test_a_control_process_that_does_not_beat_stops_orders(market):
    process = market.start(beat_age_max="200ms")
    with market.attached() as segment:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        assert flow(segment, "order.encoded", 0.5) == 0
        assert flow(segment, "risk.refused_control_stale", 0.5) > 0
        assert segment.halted is None
        process.send_signal(signal.SIGCONT)
        until(lambda: flow(segment, "order.encoded", 0.1) > 0, "orders leave again")


def test_a_gateway_whose_words_nobody_reads_goes_on(market):
    """A log collector that died is no reason to stop, nor one for an exit code."""
    process = market.start()
    with market.attached("session.executed") as segment:
        process.stderr.close()
        for _ in range(3):
            segment.halt("nobody reads this")
            time.sleep(0.2)  # some looks of the control process
            segment.resume()
            time.sleep(0.2)
        assert process.poll() is None
        before = segment.counters()["session.executed"]
        until(lambda: segment.counters()["session.executed"] > before, "it trades")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0


def test_killing_the_control_process_cancels_and_ends_and_a_second_start_works(market, hwgw):
    process = market.start()
    with market.attached() as segment:
        data_pid = int(segment.head["data_pid"])
        process.kill()
        process.wait()
        until(lambda: not is_alive(data_pid), "the data process is gone", 5)
        assert segment.halted is not None
        assert segment.halted["reason"] == "control_lost"
        assert segment.thread_status()[0]["open_orders"] == 0
        assert not segment.running()
    process = market.start()
    with market.attached("itch.messages") as segment:
        # the venue replays the orders of before: they are not this run's, so a person has to look
        until(lambda: segment.halted is not None, "the replay is noticed")
        assert segment.halted["reason"] == "state"
        assert flow(segment, "itch.messages", 0.2) > 0
        assert hwgw("resume", market.name, "--reason", "state").returncode == 0
        # and its books are not whole, because the feed had begun before it
        until(lambda: segment.counters()["risk.refused_feed"] > 0, "orders are refused by feed")
        assert segment.counters()["order.encoded"] == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert market.exchange.stop()["users"]["DEMO"]["open_orders"] == 0


def test_killing_the_data_process_ends_the_gateway_with_an_error(market):
    process = market.start()
    with market.attached() as segment:
        os.kill(int(segment.head["data_pid"]), signal.SIGKILL)
        assert process.wait(10) == 1
        # its orders are still at the venue: the next start has to begin halted
        assert segment.halted is not None
        assert segment.halted["reason"] == "state"
    assert b"killed by SIGKILL" in process.communicate()[1]
    with Segment.create(market.name, ["AAPL"]) as again:
        assert again.halted is not None
        assert again.halted["text"] == "the data process was killed by SIGKILL"
        again.resume()


def programs(lab: Lab) -> list[str]:
    """The XDP programs on the gateway's interface, as the kernel tells them."""
    shown = lab.gateway.run(["ip", "-j", "link", "show", "dev", lab.gateway.interface], capture_output=True, check=True)
    return [json.dumps(link["xdp"]) for link in json.loads(shown.stdout) if "xdp" in link]


@pytest.mark.root
@pytest.mark.afxdp
def test_killing_both_processes_leaves_no_xdp_program_and_a_second_start_receives(tmp_path):
    with Lab() as lab, Market(tmp_path, lab) as market:
        assert programs(lab) == []
        process = market.start()
        with market.attached() as segment:
            assert len(programs(lab)) == 1
            os.kill(int(segment.head["data_pid"]), signal.SIGKILL)  # first, so that it cannot stop in order
            process.kill()
            process.wait()
            until(lambda: not segment.running(), "both are gone")
        until(lambda: programs(lab) == [], "the program is gone", 2)
        market.start()
        with market.attached("itch.messages") as segment:
            assert len(programs(lab)) == 1
            assert bytes(segment.head["receive"]).startswith(b"afxdp: ")
            assert flow(segment, "itch.messages", 0.2) > 0


def test_a_second_gateway_of_the_same_name_is_refused(market, hwgw):
    process = market.start()
    with market.attached():
        done = hwgw("run", market.config())
        assert done.returncode == 2
        assert f"already running (pid {process.pid})" in done.stderr
        assert done.stderr.count("\n") == 1


def test_status_tells_what_runs_and_what_is_left_over(market, hwgw):
    process = market.start()
    with market.attached():
        done = hwgw("status", market.name, "--json")
        assert done.returncode == 0, done.stderr
        look = json.loads(done.stdout)
        assert look["schema"] == "hwgw.status/1"
        gateway = look["gateways"][0]
        assert (gateway["running"], gateway["control_pid"]) == (True, process.pid)
        assert gateway["counters"]["order.encoded"] > 0
        assert "descriptor to order bytes p50" in hwgw("status", market.name).stdout
        process.kill()
        process.wait()
    with Segment.attach(market.name) as left:
        until(lambda: not left.running(), "the data process is gone")
    done = hwgw("status", market.name)
    assert done.returncode == 1  # it does not run; 6 is for one that runs
    assert "left over by a gateway that is gone, HALTED" in done.stdout


def test_the_gateway_says_why_it_cannot_open(market, hwgw):
    path = market.config()
    path.write_text(path.read_text().replace("local_address: 127.0.0.1", "local_address: 203.0.113.7"))
    done = hwgw("run", path)
    assert done.returncode == 5
    assert "203.0.113.7" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_example_runs_on_the_loopback_interface_with_and_without_root(hwgw, root, tmp_path):
    if 1 not in os.sched_getaffinity(0):
        pytest.skip("the example pins its pipeline to core 1, which is not usable here")
    text = (root / "deploy/examples/gateway.yaml").read_text()
    config = tmp_path / "gateway.yaml"
    config.write_text(text.replace("name: example", f"name: example-{os.getpid()}", 1))
    done = hwgw("run", config, "--seconds", "0.5")
    assert done.returncode == 0, done.stderr
    assert "running, udp: 2 sockets on lo" in done.stdout
