"""Time stamps of the afxdp backend: whose they are, and that each belongs to its frame.

SPDX-License-Identifier: MIT
"""

import itertools
import time

import pytest
from hwgw_sim.wire import Wire

from hwgw.native import lib
from tests.support.afxdp import MARKS, MODES, number, numbered, open_rx, settle_all

pytestmark = MARKS

KERNEL, HARDWARE, NONE = lib.HWGW_RX_CLOCK_KERNEL, lib.HWGW_RX_CLOCK_HARDWARE, lib.HWGW_RX_CLOCK_NONE


@pytest.fixture
def nic_with_a_clock():
    """Interfaces pass for ones that stamp; on veth the driver's function is there and gives 0."""
    lib.hwgw_fault_set(lib.HWGW_FAULT_HARDWARE_TIME)
    yield
    lib.hwgw_fault_set(0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mtu", [1500, 9000])
def test_each_frame_has_its_own_kernel_time(mode, mtu):
    sizes = [60, 1000, *([5000] if mtu == 9000 else [])]
    with Wire(mtu=mtu) as pair, pair.packet_socket("tx") as raw, open_rx(pair, mode, timestamps=True) as rx:
        assert "time stamps: the kernel's (no hardware time stamps: the driver has none)" in rx.description
        assert lib.hwgw_rx_clock(rx.rx) == KERNEL
        sent, got = [], []
        for i in range(6000):  # every buffer is used more than once
            sent.append(time.time_ns())
            raw.send(numbered(i, size=sizes[i % len(sizes)]))
            if i % 50 == 0:
                got += rx.settle(i + 1, quiet_s=0)
        got += rx.settle(6000)
        now = time.time_ns()
        assert [number(f.data) for f in got] == list(range(6000))
        slack = 100_000  # between two readings of the clocks
        assert all(before - slack <= f.ts_ns <= now + slack for before, f in zip(sent, got, strict=True))
        assert all(a.ts_ns <= b.ts_ns + slack for a, b in itertools.pairwise(got))
        assert len({f.ts_ns for f in got}) > 5000


def test_without_asking_there_is_no_time(pair, sender):
    with open_rx(pair) as rx:
        sender.send(numbered(0))
        assert [f.ts_ns for f in rx.settle(1)] == [0]
        assert lib.hwgw_rx_clock(rx.rx) == NONE


def test_a_nic_that_stamps_nothing_is_noticed_and_the_kernel_stamps_instead(pair, sender, nic_with_a_clock):
    with open_rx(pair, timestamps=True) as rx:
        if "time stamps: the kernel's" in rx.description:
            pytest.skip(f"no metadata functions on veth here: {rx.description}")
        assert "; time stamps: the NIC's" in rx.description
        assert lib.hwgw_rx_clock(rx.rx) == HARDWARE
        for i in range(64):
            sender.send(numbered(i))
        assert [f.ts_ns for f in rx.settle(64)] == [0] * 64
        rx.stats()
        assert lib.hwgw_rx_clock(rx.rx) == KERNEL
        assert "the NIC stamped none of the first 64 frames: the kernel's time stamps instead" in rx.description
        before = time.time_ns()
        sender.send(numbered(64))
        (frame,) = rx.settle(65)
        assert before - 100_000 < frame.ts_ns < time.time_ns() + 100_000
        assert (rx.accounted(), rx.state) == (65, "up")


def test_generic_mode_has_no_nic_time(pair, nic_with_a_clock):
    with open_rx(pair, "generic", timestamps=True) as rx:
        assert "(no hardware time stamps: generic mode has none)" in rx.description


def test_who_asks_for_time_leaves_the_others_as_they_are(nic_with_a_clock):
    with Wire(queues=4) as pair, pair.packet_socket("tx") as raw, open_rx(pair, queues=[0, 1]) as plain:
        with open_rx(pair, queues=[2, 3], timestamps=True) as timed:
            for i in range(400):
                raw.send(numbered(i, source_port=1024 + i))
            without, having = settle_all([plain, timed], 400)
            assert min(len(without), len(having)) > 100
            assert all(f.ts_ns == 0 for f in without)
            timed.stats()
            raw.send(numbered(0))
            settle_all([plain, timed], 401)
            assert (plain.state, timed.state) == ("up", "up")
        assert plain.stats()["reopens"] == 0
