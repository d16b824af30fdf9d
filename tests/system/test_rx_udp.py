"""The udp backend on a veth pair of its own: interfaces, own multicast, and the same ledger as afxdp.

SPDX-License-Identifier: MIT
"""

import os
import socket
import time
from pathlib import Path

import pytest
from hwgw_sim import wire
from hwgw_sim.receiver import Receiver, ipv4
from hwgw_sim.wire import Wire, udp_frame
from support import backlog

from hwgw.native import lib

FLOWS = [("239.1.2.3", 26400), ("239.1.2.4", 26401)]

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(wire.missing()), reason=f"no network namespace of our own: {wire.missing()}"),
]


@pytest.fixture
def pair():
    with Wire() as made:
        yield made


def open_rx(pair, flows=FLOWS, **settings):
    with pair.inside("rx"):
        return Receiver("udp", flows, **settings)


@pytest.mark.parametrize("by", ["interface", "local_address"])
def test_every_datagram_of_the_wire_arrives_once(pair, by):
    settings = {"interface": pair.device["rx"], "local_address": ipv4(pair.address["rx"])}
    with open_rx(pair, **{by: settings[by]}) as rx, pair.packet_socket("tx") as raw:
        frames = []
        for i in range(5000):
            raw.send(udp_frame(*FLOWS[i % 2], i.to_bytes(4, "big")))
            if i % 100 == 0:
                frames += rx.settle(i + 1, quiet_s=0)
        frames += rx.settle(5000)
        for flow in range(2):
            numbers = [int.from_bytes(frame.data, "big") for frame in frames if frame.flow == flow]
            assert numbers == list(range(flow, 5000, 2))
        assert rx.accounted() == 5000


def namespace(pair, name):
    """A counter of the receiving namespace's Udp line."""
    with pair.inside("rx"):
        lines = [
            line.split()
            for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()
            if line.startswith("Udp:")
        ]
    return int(lines[1][lines[0].index(name)])


def drops(rx):
    return {name: value for name, value in rx.stats().items() if name.startswith("drop_") and value}


def spoiled(size, flow=FLOWS[0]):
    """A datagram with a wrong UDP checksum."""
    frame = bytearray(udp_frame(*flow, bytes(size)))
    frame[40:42] = b"\x12\x34"
    return bytes(frame)


def small_buffer(pair, **settings):
    """A receiver whose socket buffer is as small as one without privilege gets."""
    os.seteuid(65534)
    try:
        return Receiver("udp", FLOWS, interface=pair.device["rx"], **settings)
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(("size", "counted"), [(200, 10), (77, 10), (76, 0), (10, 0)])
def test_a_wrong_udp_checksum_is_counted_unless_the_datagram_is_tiny(pair, size, counted):
    size -= 8  # of the UDP header
    with open_rx(pair, interface=pair.device["rx"]) as rx, pair.packet_socket("tx") as raw:
        for i in range(100):
            raw.send(spoiled(size) if i % 10 == 0 else udp_frame(*FLOWS[0], bytes([i]) * size))
        assert len(rx.settle(90 + counted)) == 90
        assert drops(rx) == ({"drop_checksum": counted} if counted else {})
        # those up to 76 bytes are nobody's: the kernel checks them before it looks for a socket
        assert namespace(pair, "InCsumErrors") == 10


@pytest.mark.parametrize("looks", [False, True], ids=["one look", "many looks"])
def test_each_drop_of_the_kernel_has_its_cause(pair, looks):
    """A full buffer, wrong checksums and own multicast that was refused, mixed; exact however often one looks."""
    with pair.inside("rx"):
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(pair.address["rx"]))
        rx = small_buffer(pair)
    with own, rx, pair.packet_socket("tx") as raw:
        sent = turns = 0
        while namespace(pair, "RcvbufErrors") < 300 and sent < 100_000:
            for i in range(200):
                raw.send(udp_frame(*FLOWS[i % 2], bytes(1000)))
            for flow in FLOWS:
                raw.send(spoiled(300, flow))
            own.sendto(b"own", FLOWS[0])
            sent += 203
            turns += 1
            if looks:
                rx.stats()
        full = namespace(pair, "RcvbufErrors")
        assert full >= 300
        rx.settle(sent)
        assert drops(rx) == {"drop_overrun": full, "drop_checksum": 2 * turns, "drop_kernel": turns}
        assert rx.accounted() == sent


def test_drops_of_other_sockets_are_never_taken_for_ours(pair):
    """What may have been another cause, going by the namespace's counters, stays unnamed."""
    elsewhere = ("239.1.2.9", 9)
    with pair.inside("rx"):
        other = small_buffer(pair)
        bad = Receiver("udp", [elsewhere], interface=pair.device["rx"])
        rx = Receiver("udp", FLOWS, interface=pair.device["rx"])

    def overrun_other(cnt):
        """Until the other socket, which nobody reads, has lost so many; ours is read in time."""
        sent, end = 0, namespace(pair, "RcvbufErrors") + cnt
        while namespace(pair, "RcvbufErrors") < end and sent < 100_000:
            raw.send(udp_frame(*FLOWS[0], bytes(1000)))
            sent += 1
            if sent % 50 == 0:
                rx.drain()
        rx.drain()
        return sent

    with other, bad, rx, pair.packet_socket("tx") as raw:
        sent = overrun_other(100)
        assert drops(rx) == {}
        for i in range(60):  # only checksums: those of others cannot make ours doubtful
            raw.send(spoiled(300) if i % 2 else spoiled(300, elsewhere))
        assert drops(rx) == {"drop_checksum": 30}
        for _ in range(30):
            raw.send(spoiled(300))
        sent += overrun_other(10)
        assert drops(rx) == {"drop_checksum": 30 + 20, "drop_kernel": 10}
        assert rx.accounted() == sent + 60
        assert bad.accounted() == 30


def test_what_the_kernels_backlog_loses_in_front_of_the_socket_is_counted(pair):
    fits = backlog.limit()
    with open_rx(pair, interface=pair.device["rx"]) as rx:
        dropped = backlog.overflow(pair, *FLOWS[0])
        got = rx.settle(backlog.FRAMES)
        assert rx.accounted() == backlog.FRAMES
        assert drops(rx) == {"drop_kernel": dropped}
        assert fits < len(got) < backlog.FRAMES


@pytest.mark.parametrize("flow_cnt", [1, 2])
def test_busy_poll_without_a_napi_context_is_switched_off_and_told(pair, flow_cnt):
    with (
        open_rx(pair, FLOWS[:flow_cnt], interface=pair.device["rx"], busy_poll_us=50) as rx,
        pair.packet_socket("tx") as raw,
    ):
        assert "busy poll" not in rx.description
        raw.send(udp_frame(*FLOWS[0], b"x"))
        assert len(rx.settle(1)) == 1
        rx.stats()
        assert rx.description.count("; busy poll does nothing here (no NAPI id), off") == 1


def test_time_stamps_are_of_the_kind_that_clock_says(pair):
    with open_rx(pair, interface=pair.device["rx"], timestamps=True) as rx, pair.packet_socket("tx") as raw:
        assert lib.hwgw_rx_clock(rx.rx) == lib.HWGW_RX_CLOCK_KERNEL  # a veth pair has no clock of its own
        time.sleep(0.1)  # the kernel switches packet time stamps on some time after the option is set
        before = time.time_ns()
        for _ in range(50):
            raw.send(udp_frame(*FLOWS[0], b"x"))
        after = time.time_ns()
        stamps = [frame.ts_ns for frame in rx.settle(50)]
        assert len(stamps) == 50
        assert before <= stamps[0]
        assert stamps == sorted(stamps)
        assert stamps[-1] <= after


def test_a_group_joined_on_one_interface_does_not_come_in_by_another(pair):
    by_wire = open_rx(pair, interface=pair.device["rx"])
    with by_wire, open_rx(pair, interface="lo") as by_lo, pair.packet_socket("tx") as raw:
        raw.send(udp_frame(*FLOWS[0], b"by the wire"))
        with pair.inside("rx"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            own.sendto(b"by lo", FLOWS[0])
        assert [frame.data for frame in by_wire.settle(1)] == [b"by the wire"]
        assert [frame.data for frame in by_lo.settle(1)] == [b"by lo"]


@pytest.mark.parametrize("loopback", [False, True])
def test_own_multicast_comes_in_only_when_asked_for(pair, loopback):
    with open_rx(pair, interface=pair.device["rx"], loopback=loopback) as rx, pair.packet_socket("tx") as raw:
        with pair.inside("rx"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(pair.address["rx"]))
            for _ in range(20):
                own.sendto(b"own", FLOWS[0])
        raw.send(udp_frame(*FLOWS[0], b"other"))
        frames = [frame.data for frame in rx.settle(21)]
        assert frames == [b"own"] * (20 * loopback) + [b"other"]
        assert rx.stats()["drop_kernel"] == (0 if loopback else 20)  # refused, and not silently
