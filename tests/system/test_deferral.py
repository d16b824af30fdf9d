"""Interrupts held back per NAPI context: set while a gateway receives, found again when made anew, put back at its end.

SPDX-License-Identifier: MIT

veth has NAPI contexts while an XDP program is in its driver; the settings are the kernel's own.
"""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
from hwgw_sim.lab import Lab
from hwgw_sim.receiver import Receiver
from hwgw_sim.wire import Wire, missing
from support.market import Market, until

from hwgw import napi
from hwgw.deferral import Held
from hwgw.settings import Deferral

WANTED = Deferral(defer_hard_irqs=100, gro_flush_timeout_ns=200_000, irq_suspend_timeout_ns=20_000_000)
FLOWS = [("239.1.2.3", 26400)]


def tells_contexts() -> bool:
    try:
        return bool(napi.contexts(1) is not None)
    except (OSError, KeyError):
        return False


pytestmark = [
    pytest.mark.root,
    pytest.mark.afxdp,
    pytest.mark.skipif(bool(missing()), reason=f"no network namespaces: {missing()}"),
    pytest.mark.skipif(not tells_contexts(), reason="the kernel tells no NAPI contexts (Linux 6.8)"),
]


def values(ifindex: int) -> list[tuple[int | None, ...]]:
    rows = napi.contexts(ifindex)
    return [(row.defer_hard_irqs, row.gro_flush_timeout_ns, row.irq_suspend_timeout_ns) for row in rows]


def test_contexts_are_set_found_again_and_put_back() -> None:
    with Wire(queues=2) as wire, wire.inside("rx"):
        device, index = wire.device["rx"], wire.index("rx")
        held = Held(device, (0, 1), WANTED)
        assert held.renew() == "interrupts are not held back: no queue has a NAPI context"
        for _ in range(2):  # the second program brings contexts of its own
            with Receiver("afxdp", FLOWS, interface=device, mode="native"):
                before = values(index)
                assert len(before) == 2
                assert (100, 200_000, 20_000_000) not in before
                assert re.fullmatch(r"NAPI \d+,\d+: defer_hard_irqs 100, gro_flush_timeout 200000, .*", held.renew())
                assert values(index) == [(100, 200_000, 20_000_000)] * 2
                assert len(held.before) == 2
        with Receiver("afxdp", FLOWS, interface=device, mode="native"):
            napi.set_context(napi.contexts(index)[0].id, defer_hard_irqs=7)
            before = values(index)
            held.renew()
            assert values(index) == [(100, 200_000, 20_000_000)] * 2
            held.restore()
            assert values(index) == before


def test_an_interface_that_is_not_there_is_said() -> None:
    assert Held("nosuch0", (0,), WANTED).renew() == "interrupts are not held back: no interface with this name"


def test_a_gateway_holds_them_back_and_says_so(tmp_path: Path, hwgw) -> None:
    with Lab() as lab, Market(tmp_path, lab) as market:
        keys = {"defer_hard_irqs": 50, "gro_flush_timeout": "100us"}
        market.receive |= {"mode": "native", "busy_poll": "50us", "napi": keys}
        process = market.start()
        with market.attached("itch.messages") as segment, lab.gateway.entered():
            index = socket.if_nametoindex(lab.gateway.interface)
            until(lambda: b"NAPI" in bytes(segment.head["receive"]), "the gateway has set and said it")
            assert values(index) == [(50, 100_000, 0)]
            (row,) = napi.contexts(index)
            assert f"NAPI {row.id}: defer_hard_irqs 50" in bytes(segment.head["receive"]).decode()
            rows = json.loads(hwgw("doctor", "--nic", lab.gateway.interface, "--json").stdout)["rows"]
            (told,) = [each for each in rows if each["name"] == "deferral"]
            assert told["value"].endswith("= 50, 100,000, 0")
            assert not told["todo"]
        process.terminate()
        until(lambda: process.poll() is not None, "it has ended")
        assert process.returncode == 0
