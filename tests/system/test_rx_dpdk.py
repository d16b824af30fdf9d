"""The dpdk backend on every virtual device of DPDK: exact ledgers, and sending.

SPDX-License-Identifier: MIT

DPDK starts once per process, so every test runs in a child of its own.
"""

import os
import signal
import socket
import struct
import time

import pytest
from hwgw_sim.receiver import Receiver
from hwgw_sim.wire import udp_frame
from support.alone import alone
from support.dpdk import (
    FLOW,
    counters,
    data,
    needs,
    needs_dpdk,
    needs_tun,
    needs_wire,
    numbered,
    open_rx,
    send,
    until,
    write_pcap,
)

from hwgw.errors import DeviceError
from hwgw.native import lib

pytestmark = needs_dpdk


# ---- one driver after another ----


@needs("net_null")
@alone
def test_net_null_gives_frames_of_its_size_and_batches_of_any_size():
    with open_rx("net_null0,size=100") as rx:
        assert rx.description.startswith("dpdk: net_null0 (net_null) queue 0, 4096 frames of 2048 bytes")
        got = [len(rx.poll(cnt)) for cnt in (1, 1, 7, 64, 256)]
        assert got == [1, 1, 7, 23, 256]  # 32 are fetched at least, and given out as asked
        assert rx.stats()["frames"] == rx.accounted() == 288
        assert rx.stats()["bytes"] == 28_800


@needs("net_null")
@alone
def test_frames_that_are_held_stay_as_they_are_and_end_the_polling_at_their_limit():
    with open_rx("net_null0", frame_cnt=64) as rx:
        held = 0
        while cnt := len(rx.poll(10, release=False)):
            held += cnt
        assert 64 <= held <= 64 + 31  # the last fetch is used up
        assert (rx.stats()["drop_no_buffer"], rx.poll()) == (0, [])
        assert len(rx.poll(10)) == 10  # the poll before has given everything back


@needs("net_ring")
@alone
def test_net_ring_gives_back_what_is_sent_into_it_in_order():
    with open_rx("net_ring0", tx_frame_cnt=1024) as rx:
        frames = [numbered(i) for i in range(500)]
        got = []
        for i in range(0, 500, 100):
            assert send(rx, frames[i : i + 100]) == 100
            got += rx.drain()
        assert data(got) == frames
        assert send(rx, [b"short", bytes(3000), frames[0]]) == 3
        assert data(rx.drain()) == frames[:1]
        sums = counters(rx)
        assert (sums["rx_frames"], sums["tx_frames"], sums["tx_drop_short"], sums["tx_drop_long"]) == (501, 501, 1, 1)
        assert sums["rx_bytes"] == sums["tx_bytes"] == sum(map(len, frames)) + len(frames[0])
        assert lib.hwgw_rx_unsent(rx.rx) == 0

        taken = send(rx, frames * 10, limit_s=0.05)  # nobody reads: the ring fills, and what is not taken is told
        assert 0 < taken < 5000
        assert len(rx.drain()) == taken
        assert counters(rx)["tx_full"] > 0


@needs("net_pcap")
@alone
def test_net_pcap_reads_a_capture_as_the_pcap_backend_does_to_the_microsecond(tmp_path):
    path = tmp_path / "feed.pcap"
    write_pcap(path, [numbered(i) for i in range(2000)])
    with Receiver("pcap", [FLOW], path=str(path)) as rx:
        want = rx.drain()
    with open_rx(f"net_pcap0,rx_pcap={path}") as rx:
        got = rx.drain()
        assert lib.hwgw_rx_clock(rx.rx) == lib.HWGW_RX_CLOCK_CAPTURE
        assert rx.accounted() == 2000
    assert len(got) == 2000
    assert data(got) == data(want)
    assert [frame.ts_ns for frame in got] == [frame.ts_ns // 1000 * 1000 for frame in want]


@needs("net_pcap")
@alone
def test_frames_of_several_buffers_are_gathered_into_one(tmp_path):
    path = tmp_path / "jumbo.pcap"
    frames = [udp_frame(*FLOW, bytes((i + k) & 0xFF for k in range(size))) for i, size in
              enumerate([100, 9000, 2006, 2007, 5000, 16_000] * 70)]  # fmt: skip
    write_pcap(path, [*frames, udp_frame(*FLOW, bytes(20_000))])
    with open_rx(f"net_pcap0,rx_pcap={path}") as rx:
        got = []
        while batch := rx.poll(10):
            got += batch
        assert data(got) == frames
        stats = rx.stats()
        large = sum(len(frame) > 2048 for frame in frames)
        assert (large, stats["gathered"], stats["drop_truncated"]) == (280, 280, 1)
        assert (stats["drop_no_buffer"], rx.accounted()) == (0, 421)
    with open_rx(f"net_pcap0,rx_pcap={path}") as rx:
        while rx.poll(256, release=False):  # nothing is given back: there is room for 256 copies
            pass
        stats = rx.stats()
        assert (stats["gathered"], stats["drop_no_buffer"], rx.accounted()) == (256, 280 - 256, 421)


@pytest.mark.root
@needs("net_memif")
@alone
def test_net_memif_carries_frames_from_one_process_to_another(tmp_path):
    port = f"net_memif0,id=0,socket={tmp_path}/memif,socket-abstract=no"
    frames = [numbered(i) for i in range(3000)]
    parent, child = socket.socketpair()
    sender = os.fork()
    if sender == 0:
        status = 1
        try:
            child.recv(1)
            with open_rx(f"{port},role=client", tx_frame_cnt=256, tx_only=True) as tx:
                done = send(tx, frames)
                until(lambda: lib.hwgw_rx_unsent(tx.rx) == 0)
                child.send(struct.pack("!I", done))
                child.recv(1)
                status = 0 if counters(tx)["tx_frames"] == done and tx.poll() == [] else 2
        finally:
            os._exit(status)
    try:
        with open_rx(f"{port},role=server") as rx:
            parent.send(b"x")
            got = rx.settle(3000)
            assert data(got) == frames
            assert struct.unpack("!I", parent.recv(4)) == (3000,)
            assert (rx.accounted(), rx.stats()["frames"]) == (3000, 3000)
            parent.send(b"x")
            assert os.waitstatus_to_exitcode(os.waitpid(sender, 0)[1]) == 0
            sender = 0
    finally:
        if sender:
            os.kill(sender, signal.SIGKILL)
            os.waitpid(sender, 0)


@pytest.mark.root
@needs_wire
@needs("net_af_packet")
@alone
def test_net_af_packet_counts_what_its_driver_loses_without_telling(pair, sender):
    with pair.inside("rx"), open_rx(f"net_af_packet0,iface={pair.device['rx']}") as rx:
        frames = [numbered(i) for i in range(6000)]
        got = []
        for i, frame in enumerate(frames):
            sender.send(frame)
            if i % 100 == 0:
                got += rx.poll()
        got += rx.settle(6000)
        assert data(got) == frames
        assert rx.accounted() == rx.stats()["frames"] == 6000

        for frame in frames:  # nobody polls: the driver's ring has 512 frames
            sender.send(frame)
        until(lambda: rx.stats()["drop_ring_full"] >= 6000 - 512)
        assert rx.stats()["drop_ring_full"] == 6000 - 512
        assert len(rx.settle(12_000)) == 512
        assert rx.accounted() == 12_000
        assert {name for name, value in rx.stats().items() if value and name.startswith("drop_")} == {"drop_ring_full"}


@pytest.mark.root
@needs_wire
@needs("net_af_packet")
@alone
def test_frames_held_too_long_leave_the_ring_full_and_are_counted(pair, sender):
    with pair.inside("rx"), open_rx(f"net_af_packet0,iface={pair.device['rx']}", frame_cnt=256) as rx:
        for i in range(2000):
            sender.send(numbered(i, size=60))
            rx.poll(64, release=False)
        assert 256 <= rx.stats()["frames"] < 256 + 64
        until(lambda: rx.stats()["frames"] + rx.stats()["drop_ring_full"] >= 2000 - 512)
        assert len(rx.poll(release=False)) == 0
        rx.release()
        rx.settle(2000)
        assert rx.accounted() == 2000


@pytest.mark.root
@needs_wire
@needs("net_af_packet")
@alone
def test_what_the_host_itself_sends_is_no_received_frame(pair):
    with pair.inside("rx"), open_rx(f"net_af_packet0,iface={pair.device['rx']}") as rx:
        before = pair.statistics("rx")["tx_packets"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talker:
            for _ in range(50):
                talker.sendto(b"x", ("239.9.9.9", 9))  # which nobody answers
        assert pair.statistics("rx")["tx_packets"] >= before + 50
        assert (rx.drain(quiet_s=0.02), rx.accounted()) == ([], 0)


@pytest.mark.root
@needs_wire
@needs("net_af_packet")
@alone
def test_net_af_packet_sends_whole_frames_and_leaves_the_interface_as_it_was(pair):
    with pair.inside("rx"):
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        listener.bind((pair.device["rx"], 0x0800))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        listener.settimeout(5)
    shown = ("ip", "-j", "-d", "link", "show", pair.device["tx"])
    before = pair.run("tx", *shown)
    port = f"net_af_packet0,iface={pair.device['tx']}"
    with listener, pair.inside("tx"), open_rx(port, (), tx_frame_cnt=256, tx_only=True) as tx:
        frames = [numbered(i, size=200 + i % 900) for i in range(1000)]
        assert send(tx, frames) == 1000
        assert [listener.recv(2000) for _ in range(1000)] == frames
        assert counters(tx)["tx_frames"] == 1000
        assert not {name for name in counters(tx) if name.startswith("rx_")}
    assert pair.run("tx", *shown) == before


@pytest.mark.root
@pytest.mark.afxdp
@needs_wire
@needs("net_af_xdp")
@alone
def test_net_af_xdp_splits_its_losses_and_gives_the_interface_back(pair, sender):
    shown = ("ip", "-j", "-d", "link", "show", pair.device["rx"])
    before = pair.run("rx", *shown)
    with pair.inside("rx"):
        for _ in range(2):  # the driver leaves its socket open; a second open shows that it is closed for it
            with open_rx(f"net_af_xdp0,iface={pair.device['rx']}") as rx:
                assert "takes everything that comes in on its queues" in rx.description
                frames = [numbered(i) for i in range(2000)]
                for frame in frames:
                    sender.send(frame)
                assert data(rx.settle(2000)) == frames
                for frame in frames * 2:  # nobody polls: its fill ring has 2,048 frames
                    sender.send(frame)
                until(lambda: rx.stats()["drop_fill_empty"] >= 4000 - 2048)
                rx.settle(6000)
                assert rx.accounted() == 6000
                drops = {name for name, value in rx.stats().items() if value and name.startswith("drop_")}
                assert drops == {"drop_fill_empty"}
    assert pair.run("rx", *shown) == before


@pytest.mark.root
@pytest.mark.afxdp
@needs_wire
@needs("net_af_xdp")
@alone
def test_net_af_xdp_goes_on_when_every_buffer_of_its_pool_has_been_used(pair, sender):
    with pair.inside("rx"), open_rx(f"net_af_xdp0,iface={pair.device['rx']}") as rx:
        for start in range(0, 20_000, 500):  # the pool has some 7,000 buffers
            frames = [numbered(start + i) for i in range(500)]
            for frame in frames:
                sender.send(frame)
            assert data(rx.settle(start + 500, quiet_s=0)) == frames
        assert rx.accounted() == rx.stats()["frames"] == 20_000


@pytest.mark.root
@pytest.mark.afxdp
@needs_wire
@needs("net_af_xdp")
@alone
def test_a_queue_that_another_socket_has_is_an_error_and_no_crash(pair):
    with pair.inside("rx"), Receiver("afxdp", [FLOW], interface=pair.device["rx"]) as other:
        for _ in range(2):
            with pytest.raises(DeviceError, match=r"has another program the queue|is open already"):
                open_rx(f"net_af_xdp0,iface={pair.device['rx']}")
        with open_rx("net_null0") as rx:
            assert len(rx.poll(5)) == 5
        assert other.rx


@pytest.mark.root
@needs_wire
@needs("net_pcap")
@alone
def test_net_pcap_on_a_live_interface_counts_what_libpcap_lost(pair, sender):
    with pair.inside("rx"), open_rx(f"net_pcap0,rx_iface={pair.device['rx']}") as rx:
        assert lib.hwgw_rx_clock(rx.rx) == lib.HWGW_RX_CLOCK_KERNEL
        now = time.time_ns()
        for i in range(8000):  # nobody polls
            sender.send(numbered(i))
        got = rx.settle(8000)
        assert rx.accounted() == 8000
        assert rx.stats()["drop_nic"] == 8000 - len(got) > 0
        assert all(abs(frame.ts_ns - now) < 10 * 10**9 for frame in got)


@pytest.mark.root
@needs_wire
@needs_tun
@needs("net_tap")
@alone
def test_net_tap_counts_bad_udp_checksums_and_what_the_kernel_could_not_hand_over(pair):
    nobody_joins = [("10.77.9.9", 26400)]  # or the kernel's IGMP reports would come in as well
    with pair.inside("rx"), open_rx("net_tap0,iface=hwgwtap0", nobody_joins, tx_frame_cnt=64) as rx:
        pair.run("rx", "sysctl", "-qw", "net.ipv6.conf.hwgwtap0.disable_ipv6=1")
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
            raw.bind(("hwgwtap0", 0))
            rx.drain(quiet_s=0.02)
            first = rx.accounted()
            frames = [numbered(i) for i in range(1000)]
            got = []
            for i, frame in enumerate(frames):
                raw.send(frame)
                if i % 20 == 0:
                    got += rx.poll()
            got += rx.settle(first + 1000)
            assert [frame for frame in data(got) if frame in set(frames)] == frames
            bad = bytearray(frames[500])
            bad[40:42] = b"\x12\x34"
            before = rx.stats()["drop_checksum"]
            raw.send(bytes(bad))
            until(lambda: not rx.poll() and rx.stats()["drop_checksum"] > before)
            assert rx.stats()["drop_checksum"] == before + 1

            first, sent = rx.accounted(), pair.run("rx", "ip", "-s", "-j", "link", "show", "hwgwtap0")
            for i in range(3000):  # nobody polls: the interface's queue has 500 or 1,000 frames
                raw.send(frames[i % 1000])
            until(lambda: rx.stats()["drop_ring_full"] > 1000)
            rx.settle(first + 3000)
            assert rx.accounted() == first + 3000, sent
            assert 1000 < rx.stats()["drop_ring_full"] < 3000


@pytest.mark.root
@needs_wire
@needs("net_af_packet")
@alone
def test_several_queues_are_polled_by_turns_and_named_in_the_frames(pair, sender):
    port = f"net_af_packet0,iface={pair.device['rx']},qpairs=2"
    with pair.inside("rx"), open_rx(port, queues=[0, 1]) as rx:
        assert "queues 0 to 1" in rx.description
        assert "the driver has no RSS" in rx.description  # the kernel's fanout spreads by flow instead
        sent = [udp_frame(*FLOW, i.to_bytes(4, "big"), source_port=1024 + i) for i in range(400)]
        for frame in sent:
            sender.send(frame)
        got = rx.settle(400)
        assert {frame.queue for frame in got} == {0, 1}
        assert sorted(data(got)) == sorted(sent)
        assert rx.accounted() == 400


@pytest.mark.root
@needs_wire
@needs("net_af_packet")
@alone
def test_a_named_interface_is_watched_and_the_port_opened_anew_when_it_is_back(pair):
    tx, device = pair.device["tx"], pair.device["rx"]

    def carries(rx, cnt):
        before = rx.stats()["frames"]
        with pair.packet_socket("tx") as raw:
            for i in range(cnt):
                raw.send(numbered(i))
        got = []
        until(lambda: got.extend(rx.poll()) or len(got) == cnt)
        assert data(got) == [numbered(i) for i in range(cnt)]
        assert rx.stats()["frames"] == before + cnt

    def reaches(rx, state):
        until(lambda: not rx.poll() and rx.stats() and rx.state == state)
        assert (rx.state, bool(rx.reason)) == (state, state != "up")

    with pair.inside("rx"), open_rx("", interface=device, eal_args=["--log-level=lib.eal:info"]) as rx:
        assert rx.description.startswith(f"dpdk: net_af_packet_{device} (net_af_packet)")
        carries(rx, 20)
        pair.run("rx", "ip", "link", "set", device, "down")
        reaches(rx, "link_down")
        pair.run("rx", "ip", "link", "set", device, "up")
        reaches(rx, "up")
        pair.run("rx", "ip", "link", "delete", device)
        reaches(rx, "gone")
        pair.run("rx", "ip", "link", "add", device, "type", "veth", "peer", "name", tx, "netns", pair.path("tx"))
        pair.run("rx", "ip", "address", "add", f"{pair.address['rx']}/24", "dev", device)
        pair.run("tx", "ip", "link", "set", tx, "up")
        pair.run("rx", "ip", "link", "set", device, "up")
        reaches(rx, "up")
        until(lambda: '"operstate":"UP"' in pair.run("rx", "ip", "-j", "link", "show", device))
        carries(rx, 30)
        assert (rx.stats()["reopens"], rx.accounted()) == (1, rx.stats()["frames"])
