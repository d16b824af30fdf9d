"""Sending through AF_XDP: unchanged, counted, bounded, through the receiver's own socket or without receiving.

SPDX-License-Identifier: MIT
"""

import time

import pytest
from hwgw_sim.receiver import Receiver
from hwgw_sim.wire import Wire

from hwgw.errors import ConfigError, DeviceError
from tests.support.afxdp import FLOWS, MARKS, MODES, number, numbered, open_rx, program, tagged, until
from tests.support.links import shape, shaped_bridge

pytestmark = MARKS


def open_tx(pair, end="tx", tx_frame_cnt=512, **settings):
    settings.setdefault("interface", pair.device[end])
    with pair.inside(end):
        return Receiver("afxdp", [], tx_only=True, tx_frame_cnt=tx_frame_cnt, **settings)


def test_frames_sent_arrive_unchanged_and_one_call_sends_a_batch(pair):
    with open_rx(pair) as rx, open_tx(pair) as tx:
        assert tx.description.startswith(f"afxdp: {pair.device['tx']} queue 0, sends only, copy, 512 buffers of 2048")
        frames = [tagged(numbered(i, i % 2, i % 1400), *[(), ((0x8100, 5),)][i % 2]) for i in range(2000)]
        got = []
        for at in range(0, 2000, 100):
            assert tx.send(frames[at : at + 100]) == 100
            got += rx.settle(at + 100, quiet_s=0)
        assert [f.data for f in got + rx.drain(0.02)] == frames
        sent = tx.sent()
        assert (sent["frames"], sent["bytes"]) == (2000, sum(map(len, frames)))
        assert sent["wakeups"] in (20, 20 * 4)  # a kernel before 6.17 sends 32 frames per call
        assert tx.unsent() == 0
        assert tx.poll() == []
        assert rx.accounted() == 2000


@pytest.mark.parametrize("mode", MODES)
def test_a_receiver_sends_through_its_own_queue(pair, sender, mode):
    with open_rx(pair, mode, tx_frame_cnt=64) as both, pair.inside("tx"):
        assert "; sends on queue 0" in both.description
        with Receiver("afxdp", [FLOWS[1]], interface=pair.device["tx"]) as far:
            for i in range(200):
                sender.send(numbered(i))
                assert both.send([numbered(i, 1)]) == 1
                assert [number(f.data) for f in far.settle(i + 1, quiet_s=0)] == [i]
            assert [number(f.data) for f in both.settle(200)] == list(range(200))
            assert both.sent()["frames"] == 200
            assert far.accounted() == both.accounted() == 200


def test_a_sender_attaches_no_program_and_uses_the_queue_it_is_told(pair):
    with Wire(queues=4) as wide, open_rx(wide, queues=[0, 1, 2, 3]) as rx:
        for queue in (2, 3, 0):
            with open_tx(wide, queues=[queue]) as tx:
                assert "xdp" not in wide.run("tx", "ip", "-d", "link", "show", "dev", wide.device["tx"])
                tx.send([numbered(i) for i in range(50)])
                got = [f.queue for f in rx.settle(rx.accounted() + 50)]
                assert got == [queue] * 50
    with open_tx(pair, end="rx"):
        assert program(pair) is None


def test_what_can_never_be_sent_is_taken_and_counted_by_cause(pair):
    with open_rx(pair) as rx, open_tx(pair, tx_frame_cnt=64) as tx:
        mixed = [numbered(1), b"x" * 13, numbered(2, size=1500), numbered(3), b"", numbered(4, size=9000), numbered(5)]
        assert tx.send(mixed) == len(mixed)
        assert [number(f.data) for f in rx.settle(3)] == [1, 3, 5]
        sent = tx.sent()
        assert (sent["frames"], sent["drop_short"], sent["drop_long"], sent["drop_kernel"]) == (3, 2, 2, 0)


def test_frames_without_carrier_are_counted_and_frames_of_a_down_interface_wait(pair):
    with open_rx(pair) as rx, open_tx(pair, tx_frame_cnt=64) as tx:
        pair.run("rx", "ip", "link", "set", pair.device["rx"], "down")
        until(lambda: "NO-CARRIER" in pair.run("tx", "ip", "link", "show", "dev", pair.device["tx"]))
        assert tx.send([numbered(1)] * 10) == 10
        assert tx.unsent() == 0
        assert (tx.sent()["frames"], tx.sent()["drop_kernel"]) == (0, 10)
        pair.run("tx", "ip", "link", "set", pair.device["tx"], "down")
        taken = tx.send([numbered(i) for i in range(100)])
        assert taken == tx.unsent() == 64
        assert tx.sent()["full"] == 1
        for end in ("rx", "tx"):
            pair.run(end, "ip", "link", "set", pair.device[end], "up")
        until(lambda: "LOWER_UP" in pair.run("rx", "ip", "link", "show", "dev", pair.device["rx"]))
        before = rx.accounted()
        until(lambda: tx.unsent() == 0)
        assert tx.unsent() == 0
        assert [number(f.data) for f in rx.settle(before + 64)] == list(range(64))
        assert (tx.sent()["frames"], tx.sent()["drop_kernel"]) == (64, 10)


def test_no_more_frames_wait_than_were_asked_for_and_none_is_lost(pair):
    """Frames wait in front of a shaper, on a port of the bridge they are sent through; unicast is not copied there."""
    bridge = shaped_bridge(pair)
    frames = [b"\x02\x77\x00\x00\x00\x99" + numbered(i)[6:] for i in range(500)]
    with open_rx(pair) as rx, open_tx(pair, interface=bridge, tx_frame_cnt=64) as tx:
        taken = 0
        while more := tx.send(frames[taken : taken + 100]):
            taken += more
        waiting = tx.unsent()
        arrived = len(rx.drain(0.02))  # later: what the shaper lets pass meanwhile is no longer waiting
        assert 64 <= taken < 500
        assert 0 < arrived < taken
        assert taken - arrived <= waiting <= 64
        assert tx.sent()["full"] > 0
        shape(pair, "100gbit burst 100000000")
        end = time.monotonic() + 5
        while (taken < 500 or tx.unsent()) and time.monotonic() < end:
            taken += tx.send(frames[taken : taken + 100])
        assert taken == 500
        assert [number(f.data) for f in rx.settle(500)] == list(range(arrived, 500))
        assert (tx.sent()["frames"], tx.sent()["drop_kernel"], tx.unsent()) == (500, 0, 0)


def test_what_cannot_be_opened_for_sending_says_why(pair):
    with pytest.raises(ConfigError, match="tx_only without tx_frame_cnt"):
        open_tx(pair, tx_frame_cnt=0)
    with pytest.raises(ConfigError, match="tx_only with 2 queues; one sends"):
        open_tx(pair, queues=[0, 1])
    with open_rx(pair) as rx:
        assert rx.send([numbered(1)]) == 0  # not asked for
        assert rx.sent()["full"] == 1
        with pytest.raises(DeviceError, match="to send where a receiver of yours is, send through that receiver"):
            open_tx(pair, end="rx")


@pytest.mark.parametrize("mode", MODES)
def test_a_flood_from_ring_to_ring_is_accounted_to_the_frame(mode):
    """Faster than a slow reader with small rings on two queues takes; both ends are ours."""
    cnt, batch = 30_000, 250
    with (
        Wire(queues=2) as wide,
        open_rx(wide, mode, queues=[0, 1], frame_cnt=256) as rx,
        open_tx(wide, queues=[0]) as one,
        open_tx(wide, queues=[1]) as two,
    ):
        got = []
        for at in range(0, cnt, batch):
            sent = (one, two)[at // batch % 2].send([numbered(i) for i in range(at, at + batch)])
            assert sent == batch
            got += rx.poll(at // batch % 200)
        got += rx.settle(cnt)
        stats = rx.stats()
        numbers = [number(f.data) for f in got]
        assert len(numbers) == len(set(numbers)) == stats["frames"] > 5000
        assert stats["drop_ring_full"] > 1000
        assert rx.accounted() == cnt
        assert one.sent()["frames"] + two.sent()["frames"] == cnt
        assert one.unsent() + two.unsent() == 0
