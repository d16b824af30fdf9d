"""Zero copy is believed when a frame has come. No driver here has it: a copy-mode socket passes for one.

SPDX-License-Identifier: MIT
"""

import os

import pytest
from hwgw_sim.wire import Wire

from hwgw.native import lib
from tests.support.afxdp import MARKS, number, numbered, open_rx, until

pytestmark = MARKS


@pytest.fixture
def fault():
    yield lib.hwgw_fault_set
    lib.hwgw_fault_set(0)


def test_the_first_frame_proves_it(pair, sender, fault):
    fault(lib.HWGW_FAULT_ZERO_COPY)
    with open_rx(pair) as rx:
        assert "zero copy (to be proven by the first frame)" in rx.description
        rx.stats()
        assert "zero copy proven" not in rx.description
        sender.send(numbered(0))
        assert len(rx.settle(1)) == 1
        for i in range(500):
            sender.send(numbered(i))
        assert len(rx.settle(501)) == 500
        assert "queue 0: zero copy proven" in rx.description
        assert rx.accounted() == 501


def test_zero_copy_that_delivers_nothing_becomes_copy_and_what_it_lost_is_counted(pair, sender, fault):
    fault(lib.HWGW_FAULT_ZERO_COPY | lib.HWGW_FAULT_NO_DELIVERY)
    with open_rx(pair, tx_frame_cnt=64) as rx:
        fault(0)
        for i in range(63):
            sender.send(numbered(i))
        assert rx.drain(0.05) == []
        rx.stats()
        assert rx.drain(0.05) == []
        assert rx.accounted() == 0  # too few to judge; the traffic may be somebody else's trouble
        for i in range(63, 100):
            sender.send(numbered(i))
        until(lambda: rx.stats()["drop_kernel"])
        assert rx.stats()["drop_kernel"] == 100
        assert "queue 0: zero copy delivered none of 100 frames, copy mode instead" in rx.description
        for i in range(1000):
            sender.send(numbered(i))
        assert [number(f.data) for f in rx.settle(1100)] == list(range(1000))
        stats = rx.stats()
        assert (stats["frames"], stats["drop_kernel"], rx.accounted()) == (1000, 100, 1100)
        assert (rx.state, stats["reopens"]) == ("up", 0)
        assert rx.send([numbered(0)]) == 1
        assert rx.unsent() == 0
        assert rx.sent()["frames"] == 1


def test_copy_mode_is_taken_up_without_privileges_too(pair, sender, fault):
    fault(lib.HWGW_FAULT_ZERO_COPY | lib.HWGW_FAULT_NO_DELIVERY)
    with open_rx(pair, frame_cnt=64) as rx:
        os.seteuid(65534)
        try:
            for i in range(80):
                sender.send(numbered(i))
            until(lambda: rx.stats()["drop_kernel"])
            assert "queue 0: zero copy delivered none of 80 frames, copy mode instead" in rx.description
            for i in range(30):
                sender.send(numbered(i))
            assert [number(f.data) for f in rx.settle(110)] == list(range(30))
            assert (rx.accounted(), rx.stats()["reopens"]) == (110, 0)
        finally:
            os.seteuid(0)


def test_when_copy_mode_fails_too_the_path_is_opened_anew(pair, sender, fault):
    fault(lib.HWGW_FAULT_ZERO_COPY | lib.HWGW_FAULT_NO_DELIVERY)
    with open_rx(pair, tx_frame_cnt=64) as rx:
        fault(lib.HWGW_FAULT_NO_COPY)  # the next open works
        for i in range(80):
            sender.send(numbered(i))
        seen = set()

        def is_open_again():
            seen.add(rx.state)
            rx.poll()
            rx.release()
            rx.send([])
            return rx.stats()["reopens"] == 1 and rx.state == "up"

        until(is_open_again)
        assert "changed" in seen
        assert rx.stats()["drop_kernel"] == 80
        for i in range(100):
            sender.send(numbered(i))
        assert [number(f.data) for f in rx.settle(180)] == list(range(100))
        assert (rx.accounted(), rx.stats()["reopens"]) == (180, 1)


def test_a_queue_without_traffic_is_not_judged_by_its_neighbour(fault):
    fault(lib.HWGW_FAULT_ZERO_COPY | lib.HWGW_FAULT_NO_DELIVERY)
    with Wire(queues=2) as pair, pair.packet_socket("tx") as raw, open_rx(pair, queues=[0, 1]) as rx:
        fault(0)
        for _ in range(100):
            raw.send(numbered(1))  # the same queue each time
        until(lambda: rx.stats()["drop_kernel"])
        assert rx.stats()["drop_kernel"] == rx.accounted() == 100
        assert rx.description.count("copy mode instead") == 1
        assert "zero copy proven" not in rx.description
        raw.send(numbered(2))
        assert [number(f.data) for f in rx.settle(101)] == [2]
