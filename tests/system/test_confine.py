"""What the data process has given up once it runs: capabilities, and all system calls it does not need.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hwgw_sim.card
import pytest
import yaml
from hwgw_sim.lab import Lab
from support.market import Market, is_alive, until
from support.rig import compile_strategy

from hwgw import native
from hwgw.segment import Segment

OPENAT, SOCKET = 257, 41  # of x86-64, asm/unistd_64.h
CAP_NET_ADMIN = 12  # linux/capability.h
REOPEN, DRIVER = 1, 2  # what is allowed besides, confine.h
FORBIDDEN = {0: 41, REOPEN: 38, DRIVER: 32}  # calls of forbidden_strategy.c


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    with Market(tmp_path) as market:
        yield market


def start(market: Market, **confine: Any) -> None:
    """Start a gateway with these keys of confine."""
    path = market.config()
    settings = yaml.safe_load(path.read_text())
    settings["confine"] = confine
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    market.start_file(path)


def threads(segment: Segment) -> list[dict[str, str]]:
    """What the kernel says of every thread of the data process."""
    tasks = sorted(Path(f"/proc/{int(segment.head['data_pid'])}/task").iterdir())
    return [dict(re.findall(r"^(\w+):\s+(.*)$", (task / "status").read_text(), re.MULTILINE)) for task in tasks]


def test_every_thread_runs_without_capabilities_and_behind_the_filter(market: Market) -> None:
    process = market.start()
    with market.attached("session.executed") as segment:
        rows = threads(segment)
        assert len(rows) == 2  # the pipeline, and the one that waits for signals
        for row in rows:
            for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                assert int(row[kind], 16) == 0, (kind, row[kind])
            assert (row["NoNewPrivs"], row["Seccomp"]) == ("1", "2")
        assert segment.confined() == {
            "privileges_dropped": True, "calls_filtered": True, "refused_calls": 0, "refused_call": None,
        }  # fmt: skip
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert segment.confined()["refused_calls"] == 0
        assert segment.halted is None


def test_a_card_that_sends_keeps_one_capability_in_the_pipelines_thread_and_no_more_calls(market: Market) -> None:
    if why := hwgw_sim.card.missing():
        pytest.skip(why)
    path = market.config()
    settings = yaml.safe_load(path.read_text())
    settings["risk"] = {"where": "both", "send": "card"}
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    market.start_file(path)
    with market.attached("session.executed") as segment:
        rows = {row["Pid"]: row for row in threads(segment)}
        pipeline = str(int(segment.threads[0]["tid"]))
        kept = {pid: int(row["CapEff"], 16) for pid, row in rows.items()}
        assert kept == {pid: 1 << CAP_NET_ADMIN if pid == pipeline else 0 for pid in rows}
        assert len(rows) == 2
        assert {row["Seccomp"] for row in rows.values()} == {"2"}
        # on loopback there is no Ethernet for the card, so the host sends; the questions to the kernel are on the list
        counters = segment.counters()
        assert counters["loan.unfit"] > 0
        assert counters["loan.by_host"] > 0
        assert segment.confined()["refused_calls"] == 0
        assert segment.halted is None


@pytest.mark.parametrize("deaf", [0, 1])
def test_threads_of_others_give_up_their_privileges_too_or_the_gateway_does_not_start(
    market: Market, deaf: int
) -> None:
    built = compile_strategy("threaded_strategy.c", market.folder / "threaded.so")
    use = {"name": "own", "use": f"c:{built}", "account": 1, "armed": True, "params": {"deaf": deaf}}
    market.strategies = [use]
    process = market.start()
    if deaf:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 7, said
        assert re.search(rb"thread \d+, which is not ours, does not give up its privileges", said)
        return
    with market.attached("strategy.calls") as segment:
        rows = threads(segment)
        assert len(rows) == 3
        assert {(int(row["CapPrm"], 16), row["NoNewPrivs"], row["Seccomp"]) for row in rows} == {(0, "1", "2")}


def test_what_is_kept_is_kept_and_said(market: Market, hwgw) -> None:
    start(market, privileges="keep", seccomp=False)
    with market.attached() as segment:
        for row in threads(segment):
            mine = re.search(r"^CapEff:\s+(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
            assert (row["CapEff"], row["NoNewPrivs"], row["Seccomp"]) == (mine[1], "0", "0")
        assert "privileges kept, system calls not filtered" in hwgw("status", market.name).stdout


def forbid(market: Market, sets: int) -> None:
    """A strategy that makes calls which nobody may make, or nobody but these."""
    built = compile_strategy("forbidden_strategy.c", market.folder / "forbidden.so")
    market.strategies = [{"name": "bad", "use": f"c:{built}", "account": 1, "armed": True, "params": {"sets": sets}}]


@pytest.mark.parametrize(("confine", "sets"), [({}, 0), ({"privileges": "keep"}, REOPEN)])
def test_calls_that_are_not_on_the_list_fail_are_counted_and_halt(
    market: Market, confine: dict[str, str], sets: int, hwgw
) -> None:
    forbid(market, sets)
    start(market, **confine)
    process = market.started[-1]
    with market.attached("risk.refused_halted") as segment:
        assert segment.halted is not None
        text = f"the data process was refused system call {OPENAT}"
        assert (segment.halted["reason"], " ".join(segment.halted["text"].split())) == ("state", text)
        assert (segment.confined()["refused_calls"], segment.confined()["refused_call"]) == (FORBIDDEN[sets], SOCKET)
        assert is_alive(int(segment.head["data_pid"]))
        look = json.loads(hwgw("status", market.name, "--json").stdout)["gateways"][0]
        assert look["confined"]["refused_calls"] == FORBIDDEN[sets]
        assert f"{FORBIDDEN[sets]} system calls refused, last {SOCKET}" in hwgw("status", market.name).stdout
        # a person looks and decides: it trades, which it would not if one of the calls had been made
        assert segment.resume() == ("state",)
        until(lambda: segment.counters()["session.filled"] > 0, "it trades")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        counters = segment.counters()
    user = market.exchange.stop()["users"]["DEMO"]
    assert sum(user["positions"].values()) == counters["session.executed_shares"]


@pytest.mark.root
def test_a_backend_that_keeps_capabilities_may_make_the_calls_of_its_driver_and_no_others(tmp_path: Path) -> None:
    if not native.backend("dpdk").available:
        pytest.skip(native.backend("dpdk").reason)
    with Lab() as lab, Market(tmp_path, lab) as market:
        market.receive["backend"] = "dpdk"
        forbid(market, DRIVER)
        process = market.start()
        with market.attached("risk.refused_halted") as segment:
            for row in threads(segment):
                assert (int(row["CapEff"], 16), row["Seccomp"]) == (1 << 12 | 1 << 13, "2")  # NET_ADMIN and NET_RAW
            assert segment.confined()["refused_calls"] == FORBIDDEN[DRIVER]
            assert segment.resume() == ("state",)
            until(lambda: segment.counters()["session.filled"] > 0, "it trades")
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
            assert segment.confined()["refused_calls"] == FORBIDDEN[DRIVER]


def test_the_order_session_reconnects_behind_the_filter(market: Market) -> None:
    settings = yaml.safe_load(market.config().read_text())
    settings["session"]["reconnect"] = "100ms"
    settings["session"]["dead_link"] = "1500ms"
    path = market.folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    market.start_file(path)
    with market.attached() as segment:
        assert segment.counters()["session.logins"] == 1
        os.kill(market.exchange.process.pid, signal.SIGSTOP)  # its heartbeats stop: the link is dead after 1.5 s
        until(lambda: segment.counters()["session.disconnects"] == 1, "the link is dead")
        os.kill(market.exchange.process.pid, signal.SIGCONT)
        until(lambda: segment.counters()["session.logins"] == 2, "it is logged in again")
        assert segment.confined()["refused_calls"] == 0


@pytest.mark.root
@pytest.mark.afxdp
@pytest.mark.parametrize(
    ("backend", "port", "confine", "can_reopen"),
    [
        ("afxdp", "", {}, False),
        ("afxdp", "", {"privileges": "keep"}, True),
        ("packet", "", {"privileges": "keep"}, True),
        ("udp", "", {}, True),
        ("dpdk", "", {"privileges": "keep"}, True),
        ("dpdk", "net_pcap0,rx_iface={device},tx_iface={device}", {}, True),
    ],
)
def test_what_dropped_privileges_cannot_do_is_said_and_the_rest_is_done(
    tmp_path, backend, port, confine, can_reopen, hwgw
) -> None:
    if not native.backend(backend).available:
        pytest.skip(native.backend(backend).reason)
    with Lab() as lab, Market(tmp_path, lab) as market:
        market.receive["backend"] = backend
        if port:
            market.receive["port"] = port.format(device=lab.gateway.interface)
        start(market, **confine)
        with market.attached() as segment:
            device = lab.gateway.interface
            lab.gateway.ip(f"link set {device} down")
            until(lambda: segment.thread_status()[0]["receive"] == "link_down", "the link is down")
            lab.gateway.ip(f"link set {device} up")
            until(lambda: segment.thread_status()[0]["receive"] == "up", "the link is up")
            lab.gateway.ip(f"link del {device}")
            until(lambda: segment.thread_status()[0]["receive"] == "gone", "the interface is gone")
            assert segment.thread_status()[0]["feed"] != "good"
            reason = segment.thread_status()[0]["receive_reason"]
            said = f"{device} is gone; dropped privileges (CAP_NET_RAW and CAP_NET_ADMIN), cannot reopen"
            assert reason == f"{device} is gone" if can_reopen else reason.startswith(said)
            shown = hwgw("status", market.name).stdout
            assert f"{device} is gone" in " ".join(shown.split())
            assert "interface  went down 2 times, came back 1, receive path opened anew 0" in shown
            if can_reopen:
                peer = lab.exchange.interface
                lab.gateway.ip(f"link add {device} type veth peer name {peer} netns {lab.exchange.path}")
                lab.exchange.ip(f"link set {peer} up")
                lab.gateway.ip(f"addr add {lab.gateway.address}/24 dev {device}", f"link set {device} up")
                until(lambda: segment.thread_status()[0]["receive"] == "up", "it is open again")
                assert segment.counters()["rx.reopens"] == 1
                assert bytes(segment.head["receive"]).startswith(backend.encode())
            assert segment.confined()["refused_calls"] == 0, segment.confined()
