"""The udp backend over the loopback device: exact counts, flows, truncation, overflow. Needs no privilege.

SPDX-License-Identifier: MIT
"""

import os
import socket
import time
from pathlib import Path

import pytest
from hwgw_sim.receiver import Receiver, ipv4
from support.ledger import as_user

from hwgw.errors import ConfigError, DeviceError

LOOPBACK = ipv4("127.0.0.1")
GROUPS = [f"239.192.{os.getpid() >> 8 & 255}.{os.getpid() & 255}", "239.193.7.7", "239.193.7.8"]
PORT = 20000 + os.getpid() % 20000
FLOWS = [(group, PORT) for group in GROUPS]


@pytest.fixture
def sender():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        yield sock


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def receiver(flows=FLOWS[:1], **settings):
    return Receiver("udp", flows, local_address=LOOPBACK, **settings)


def test_every_datagram_arrives_once_with_its_flow(sender):
    with receiver(FLOWS) as rx:
        want = []
        for i in range(3000):
            payload = i.to_bytes(4, "big") * (1 + i % 90)
            sender.sendto(payload, FLOWS[i % 3])
            want.append((i % 3, payload))
        frames = rx.settle(3000)
        stats = rx.stats()
        assert len(frames) == 3000
        for flow in range(3):  # order holds within a flow
            assert [f.data for f in frames if f.flow == flow] == [payload for index, payload in want if index == flow]
        assert stats["bytes"] == sum(len(payload) for _, payload in want)
        assert rx.accounted() == 3000
        assert stats["polls"] > 0
        assert stats["polls_idle"] > 0
        assert all(frame.ts_ns == 0 and frame.t_rx > 0 for frame in frames)


def test_a_group_that_others_joined_does_not_come_in(sender):
    with receiver(FLOWS[1:2]) as other, receiver(FLOWS[:1]) as rx:
        sender.sendto(b"other", FLOWS[1])
        sender.sendto(b"ours", FLOWS[0])
        sender.sendto(b"other port", (GROUPS[0], PORT + 1))
        assert [f.data for f in rx.settle(1)] == [b"ours"]
        assert [f.data for f in other.settle(1)] == [b"other"]


def test_two_receivers_of_a_group_both_get_it(sender):
    with receiver() as one, receiver() as two:
        sender.sendto(b"x", FLOWS[0])
        assert len(one.settle(1)) == len(two.settle(1)) == 1


def test_longer_than_a_slot_is_truncated_and_counted(sender):
    with receiver(frame_sz_bytes=64) as rx:
        for length in (63, 64, 65, 1400, 10):
            sender.sendto(bytes(length), FLOWS[0])
        assert [len(f.data) for f in rx.settle(5)] == [63, 64, 10]
        assert rx.stats()["drop_truncated"] == 2
        assert rx.accounted() == 5


def test_an_empty_datagram_is_a_frame(sender):
    with receiver() as rx:
        sender.sendto(b"", FLOWS[0])
        assert [f.data for f in rx.settle(1)] == [b""]


def lost(rx):
    """Datagrams that found the buffer full. In this namespace others may lose some too: then not all are proven."""
    stats = rx.stats()
    assert stats["drop_checksum"] == 0
    return stats["drop_overrun"] + stats["drop_kernel"]


def test_a_full_socket_buffer_loses_exactly_what_is_counted(sender):
    with as_user(65534 if os.geteuid() == 0 else 0):  # root gets a buffer of 128 MiB
        rx = receiver()
    with rx:
        sent = 0
        while not lost(rx) and sent < 1_000_000:
            for _ in range(500):
                sender.sendto(b"0123456789", FLOWS[0])
            sent += 500
        assert 0 < lost(rx) < sent
        received = 0
        while frames := rx.poll():
            received += len(frames)
        assert rx.accounted() == sent
        assert rx.stats()["frames"] == received
        print(f"{sent} sent, {received} buffered; {rx.description}")


def test_held_frames_are_not_overwritten(sender):
    with receiver(frame_cnt=8) as rx:
        for i in range(20):
            sender.sendto(bytes([i]), FLOWS[0])
        time.sleep(0.02)
        held = [frame for _ in range(6) for frame in rx.poll(5, release=False)]
        assert [f.data[0] for f in held] == list(range(8))
        assert rx.poll(release=False) == []
        rx.release()
        assert [f.data[0] for f in rx.settle(20)] == list(range(8, 20))


def test_a_busy_flow_does_not_starve_another(sender):
    with receiver(FLOWS[:2]) as rx:
        for i in range(4000):
            sender.sendto(b"x", FLOWS[i % 2])
        turns = [frame.flow for _ in range(100) for frame in rx.poll(16)]  # far fewer than wait
        assert 400 < len(turns) <= 1600
        assert 0.3 < turns.count(0) / len(turns) < 0.7


def test_kernel_time_is_given_when_asked_for(sender):
    with receiver(FLOWS[:2], timestamps=True) as rx:
        before = time.time_ns()
        for i in range(50):
            sender.sendto(bytes([i]), FLOWS[i % 2])
        after = time.time_ns()
        frames = rx.settle(50)
        assert len(frames) == 50
        slack = 20_000_000  # the kernel switches packet time stamps on some time after the option is set
        assert all(before - slack <= f.ts_ns <= after + 200_000_000 for f in frames)


def test_a_unicast_flow_needs_no_join():
    with receiver([("127.0.0.1", PORT)]) as rx, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"unicast", ("127.0.0.1", PORT))
        assert [f.data for f in rx.settle(1)] == [b"unicast"]


def test_it_works_without_privilege(sender):
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        with receiver() as rx:
            sender.sendto(b"x", FLOWS[0])
            assert len(rx.settle(1)) == 1
            assert rx.description.startswith("udp: 1 socket, recvmmsg, buffer ")
    finally:
        if is_root:
            os.seteuid(0)


def test_set_up_errors_name_what_is_wrong():
    with pytest.raises(ConfigError, match='interface "nosuch0"'):
        Receiver("udp", FLOWS, interface="nosuch0")
    with pytest.raises(DeviceError, match=r"IP_ADD_MEMBERSHIP 239\.192\..*No such device.*name the interface"):
        Receiver("udp", FLOWS, local_address=ipv4("203.0.113.9"))
    with pytest.raises(ConfigError, match="frame_sz_bytes 63; allowed: 64 to 65536"):
        receiver(frame_sz_bytes=63)
    with pytest.raises(ConfigError, match="frame_cnt 65537"):
        receiver(frame_cnt=65537)
    with pytest.raises(DeviceError, match=r"bind for 203\.0\.113\.9:.*Cannot assign"):
        receiver([("203.0.113.9", PORT)])


def test_failed_opens_leave_no_descriptor():
    before = descriptors()
    for _ in range(20):
        with pytest.raises(DeviceError):
            Receiver("udp", [*FLOWS, ("203.0.113.9", PORT)], local_address=LOOPBACK)
    with receiver(FLOWS):
        pass
    assert descriptors() == before
