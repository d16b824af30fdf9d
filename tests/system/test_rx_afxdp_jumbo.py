"""Frames larger than one buffer: put together, counted when they cannot be, and sent; on veth and tap, in both modes.

SPDX-License-Identifier: MIT
"""

import contextlib
import fcntl
import os
import struct

import pytest
from hwgw_sim.receiver import Receiver
from hwgw_sim.wire import Wire

from hwgw.errors import DeviceError
from hwgw.native import ffi, lib
from tests.support.afxdp import FLOWS, MARKS, MODES, number, numbered, open_rx, settle_all, until

pytestmark = MARKS

ROOM = 1792  # of a buffer of 2,048 bytes
SIZES = [60, ROOM - 46, ROOM - 45, 2100, 3538, 3539, 8000, 8950]  # 46 bytes of headers and number
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000


@pytest.fixture
def jumbo():
    with Wire(mtu=9000) as made:
        yield made


@contextlib.contextmanager
def tap(pair, mtu):
    """A tap device in the receiving namespace; what is written to the descriptor comes in on it."""
    with pair.inside("rx"):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"tap0", IFF_TAP | IFF_NO_PI))
    try:
        for command in (f"ip link set tap0 mtu {mtu} up", "ip address add 10.78.0.2/24 dev tap0"):
            pair.run("rx", *command.split())
        yield fd
    finally:
        os.close(fd)


def varied(cnt):
    return [numbered(i, i % 2, SIZES[i % len(SIZES)]) for i in range(cnt)]


@pytest.mark.parametrize("mode", MODES)
def test_frames_of_every_size_arrive_unchanged_and_in_order(jumbo, mode):
    with jumbo.packet_socket("tx") as raw, open_rx(jumbo, mode) as rx:
        assert f"{mode} mode, copy, 4096 frames" in rx.description
        assert "MTU 9000: frames longer than 1792 bytes are put together from several buffers" in rx.description
        frames, got = varied(2000), []
        for i, frame in enumerate(frames):
            raw.send(frame)
            if i % 100 == 0:
                got += rx.settle(i + 1, quiet_s=0)
        got += rx.settle(2000)
        assert [f.data for f in got] == frames
        stats = rx.stats()
        assert stats["gathered"] == sum(len(frame) > ROOM for frame in frames) == 1500
        assert (stats["frames"], stats["bytes"], rx.accounted()) == (2000, sum(map(len, frames)), 2000)


@pytest.mark.parametrize("mode", MODES)
def test_a_tap_device_gives_large_frames_too(pair, mode):
    with tap(pair, 9000) as fd, open_rx(pair, mode, interface="tap0") as rx:
        assert f"{mode} mode" in rx.description
        frames = varied(400)
        for frame in frames:
            os.write(fd, frame)
        assert [f.data for f in rx.settle(400)] == frames
        assert rx.stats()["gathered"] == 300
        assert rx.accounted() == 400


def test_small_frames_stay_in_place_and_all_lie_in_the_memory(jumbo):
    with jumbo.packet_socket("tx") as raw, open_rx(jumbo, frame_cnt=256) as rx:
        memory = rx.memory
        start = int(ffi.cast("uintptr_t", ffi.from_buffer(memory)))
        umem = 256 * 2048
        frames, where = ffi.new("struct hwgw_frame[256]"), []
        for frame in varied(16):
            raw.send(frame)
        until(lambda: jumbo.statistics("rx")["rx_packets"] >= 16)
        assert lib.hwgw_rx_poll(rx.rx, frames, 256) == 16
        for frame in frames[0:16]:
            at = int(ffi.cast("uintptr_t", frame.data)) - start
            assert bytes(memory[at : at + frame.len]) == bytes(ffi.buffer(frame.data, frame.len))
            where.append((frame.len > ROOM, at >= umem))
        assert where.count((False, False)) == 4
        assert where.count((True, True)) == 12
        lib.hwgw_rx_release(rx.rx)


@pytest.mark.parametrize("mode", MODES)
def test_a_full_ring_and_missing_buffers_are_counted_to_the_frame(jumbo, mode):
    with jumbo.packet_socket("tx") as raw, open_rx(jumbo, mode, frame_cnt=256) as rx:
        for i in range(100):  # of six buffers each; the ring has 128 entries
            raw.send(numbered(i, size=8950))
        got = [number(f.data) for f in rx.settle(100)]
        assert got == list(range(21))
        stats = rx.stats()
        assert (stats["drop_ring_full"], stats["drop_fill_empty"], stats["drop_truncated"]) == (79, 0, 0)

        held = []
        for i in range(60):  # 42 frames take 252 of the 256 buffers
            raw.send(numbered(i, size=8950))
            until(lambda i=i: jumbo.statistics("rx")["rx_packets"] >= 101 + i)
            held += rx.poll(release=False)
        assert [number(f.data) for f in held] == list(range(42))
        stats = rx.stats()
        assert (stats["drop_ring_full"], stats["drop_fill_empty"], stats["drop_truncated"]) == (79, 18, 0)
        assert (stats["drop_nic"], rx.accounted()) == (0, 160)
        rx.release()
        raw.send(numbered(7, size=8950))
        assert [number(f.data) for f in rx.settle(161)] == [7]


def test_held_frames_keep_their_slots_and_the_rest_waits_in_the_ring(jumbo):
    with jumbo.packet_socket("tx") as raw, open_rx(jumbo, frame_cnt=8192) as rx:
        for i in range(600):
            raw.send(numbered(i, size=2000))
        until(lambda: jumbo.statistics("rx")["rx_packets"] >= 600)
        held = [f for _ in range(5) for f in rx.poll(release=False)]
        assert [number(f.data) for f in held] == list(range(512))
        rx.release()
        assert [number(f.data) for f in rx.settle(600)] == list(range(512, 600))
        assert rx.stats()["frames"] == 600


def test_frames_beyond_the_mtu_at_open_are_counted_until_the_path_is_opened_anew_for_them():
    with Wire(mtu=3000) as pair, pair.packet_socket("tx") as raw, open_rx(pair) as rx:
        for end in ("tx", "rx"):  # behind its back
            pair.run(end, "ip", "link", "set", pair.device[end], "mtu", "9000")
        for i in range(90):
            raw.send(numbered(i, size=[60, 2900, 8000][i % 3]))
        got = rx.drain(0.1)  # nobody has looked at the interface so far
        assert [number(f.data) for f in got] == [i for i in range(90) if i % 3 < 2]
        until(lambda: rx.poll() == [] and rx.stats()["reopens"] == 1 and rx.state == "up")
        stats = rx.stats()
        assert (stats["drop_truncated"], stats["gathered"], stats["reopens"], rx.accounted()) == (30, 30, 1, 90)
        frames = varied(80)
        for frame in frames:
            raw.send(frame)
        assert [f.data for f in rx.settle(170)] == frames
        assert rx.accounted() == 170


def test_a_larger_buffer_needs_no_parts():
    with Wire(mtu=3000) as pair, pair.packet_socket("tx") as raw, open_rx(pair, frame_sz_bytes=4096) as rx:
        assert "several buffers" not in rx.description
        raw.send(numbered(0, size=2900))
        assert [len(f.data) for f in rx.settle(1)] == [2946]
        assert rx.stats()["gathered"] == 0


def test_receivers_with_and_without_parts_share_a_program():
    with (
        Wire(queues=4, mtu=3000) as pair,
        pair.packet_socket("tx") as raw,
        open_rx(pair, queues=[0, 1], frame_sz_bytes=4096) as whole,
    ):
        with open_rx(pair, queues=[2, 3]) as parts:  # replaces the program by one that takes parts
            for i in range(400):
                raw.send(numbered(i, size=2900, source_port=1024 + i))
            got = settle_all([whole, parts], 400)
            assert min(map(len, got)) > 100
            assert sorted(number(f.data) for frames in got for f in frames) == list(range(400))
            assert all(len(f.data) == 2946 for frames in got for f in frames)
            assert (whole.stats()["gathered"], parts.stats()["gathered"]) == (0, len(got[1]))
            assert (whole.state, parts.state) == ("up", "up")
        assert whole.stats()["reopens"] == 0


@pytest.mark.parametrize("mode", MODES)
def test_large_frames_can_be_sent(jumbo, mode):
    with (
        open_rx(jumbo, mode) as rx,
        jumbo.inside("tx"),
        Receiver("afxdp", [], interface=jumbo.device["tx"], tx_only=True, tx_frame_cnt=64) as tx,
    ):
        frames = varied(160)
        for at in range(0, 160, 40):
            assert tx.send(frames[at : at + 40]) == 40
            assert [f.data for f in rx.settle(at + 40)] == frames[at : at + 40]
        assert tx.send([numbered(0, size=9000)]) == 1
        sent = tx.sent()
        assert (sent["frames"], sent["bytes"], sent["drop_long"]) == (160, sum(map(len, frames)), 1)
        assert tx.unsent() == 0


def test_a_driver_that_cannot_is_named_with_what_to_do(pair):
    pair.run("rx", "ip", "link", "set", "lo", "mtu", "9000")
    with pytest.raises(
        DeviceError,
        match=r"BPF_LINK_CREATE native on lo: .*; MTU 9000 needs frames in several buffers, .*: lower the MTU, set "
        r"frame_sz_bytes to 4096, or use the packet backend",
    ):
        open_rx(pair, "native", interface="lo", flows=FLOWS)
