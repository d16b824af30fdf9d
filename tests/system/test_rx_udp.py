"""The udp backend on a veth pair of its own: interfaces, own multicast, and the same ledger as afxdp.

SPDX-License-Identifier: MIT
"""

import socket
from pathlib import Path

import pytest
from hwgw_sim import wire
from hwgw_sim.receiver import Receiver, ipv4
from hwgw_sim.wire import Wire, udp_frame

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


@pytest.mark.parametrize(("size", "counted"), [(200, 10), (10, 0)])
def test_a_wrong_udp_checksum_is_a_kernel_drop_unless_the_datagram_is_tiny(pair, size, counted):
    def checksum_errors():
        with pair.inside("rx"):
            names, values = [
                line.split()
                for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()
                if line.startswith("Udp:")
            ]
        return int(values[names.index("InCsumErrors")])

    with open_rx(pair, interface=pair.device["rx"]) as rx, pair.packet_socket("tx") as raw:
        for i in range(100):
            frame = bytearray(udp_frame(*FLOWS[0], bytes([i]) * size))
            if i % 10 == 0:
                frame[40:42] = b"\x12\x34"
            raw.send(bytes(frame))
        assert len(rx.settle(90 + counted)) == 90
        assert rx.stats()["drop_kernel"] == counted
        assert (
            checksum_errors() == 10
        )  # those up to 76 bytes are nobody's: the kernel checks them before it looks for a socket


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
