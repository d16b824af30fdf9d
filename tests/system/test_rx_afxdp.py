"""The afxdp backend on a veth pair of its own: exact counts, and what passes to the kernel.

SPDX-License-Identifier: MIT
"""

import select
import socket
import time
from pathlib import Path

import pytest
from hwgw_sim.wire import Wire, udp_frame

from hwgw.native import ffi, lib
from tests.support.afxdp import FLOWS, MARKS, MODES, RING, numbered, open_rx, tagged, until, with_options

pytestmark = MARKS


@pytest.mark.parametrize("mode", MODES)
def test_every_frame_of_the_flows_arrives_unchanged_and_in_order(pair, sender, mode):
    with open_rx(pair, mode) as rx:
        assert f"queue 0, {mode} mode, copy, 4096 frames of 2048 bytes" in rx.description
        sent, got = [], []
        for i in range(10_000):
            frame = numbered(i, i % 2, size=i % 1400)
            if i % 5 == 1:
                frame = tagged(frame, (0x8100, 7))
            if i % 5 == 2:
                frame = tagged(frame, (0x88A8, 8), (0x8100, 9))
            if i % 5 == 3:
                frame = with_options(frame)
            sender.send(frame)
            sent.append(frame)
            if i % 500 == 0:
                got += rx.settle(i + 1, quiet_s=0)
        got += rx.settle(10_000)
        assert [f.data for f in got] == sent
        stats = rx.stats()
        assert (stats["frames"], stats["bytes"]) == (10_000, sum(map(len, sent)))
        assert rx.accounted() == 10_000


@pytest.mark.parametrize("mode", MODES)
def test_frames_parse_to_their_flow(pair, sender, mode):
    with open_rx(pair, mode) as rx:
        for i, frame in enumerate(
            [numbered(0), numbered(1, 1), tagged(numbered(2), (0x8100, 1)), with_options(numbered(3))]
        ):
            sender.send(frame)
            assert frame.count(i.to_bytes(4, "big"))
        flows = ffi.new(
            "struct hwgw_flow[]", [{"group": 0xEF010203, "port": 26400}, {"group": 0xEF010204, "port": 26401}]
        )
        datagram = ffi.new("struct hwgw_datagram *")
        found = []
        for frame in rx.settle(4):
            memory = ffi.from_buffer("uint8_t[]", frame.data)
            assert lib.hwgw_net_parse(flows, 2, memory, len(frame.data), datagram) == 0
            found.append((datagram.flow, int.from_bytes(ffi.buffer(datagram.data, 4), "big"), datagram.len))
        assert found == [(0, 0, 64), (1, 1, 64), (0, 2, 64), (0, 3, 64)]


@pytest.mark.parametrize("mode", MODES)
def test_foreign_traffic_passes_to_the_kernel_meanwhile(pair, sender, mode):
    with open_rx(pair, mode) as rx:
        with pair.inside("rx"):
            listener = socket.create_server((pair.address["rx"], 7000))
            plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            plain.bind(("", 26999))
            group = socket.inet_aton(FLOWS[0][0]) + socket.inet_aton(pair.address["rx"])
            plain.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            flow_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            flow_socket.bind(("", FLOWS[0][1]))
            flow_socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            flow_socket.setblocking(False)
        with listener, plain, flow_socket:
            with pair.inside("tx"):
                tcp = socket.create_connection((pair.address["rx"], 7000), timeout=5)  # ARP and TCP work
                talker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with tcp, talker, listener.accept()[0] as answerer:
                plain.settimeout(2)
                for i in range(300):
                    sender.send(numbered(i))
                    talker.sendto(b"unicast %d" % i, (pair.address["rx"], 26999))
                    talker.sendto(b"group %d" % i, (FLOWS[0][0], 26999))  # the group of a flow, another port
                    tcp.sendall(b"%4d" % i)
                    assert {plain.recv(100), plain.recv(100)} == {b"unicast %d" % i, b"group %d" % i}
                    assert answerer.recv(4, socket.MSG_WAITALL) == b"%4d" % i
            got = rx.settle(300)
            assert [int.from_bytes(f.data[42:46], "big") for f in got] == list(range(300))
            with pytest.raises(BlockingIOError):
                flow_socket.recv(100)  # the flow itself went past the kernel
            assert rx.accounted() == 300


def test_the_groups_are_joined_on_the_wire_and_left_at_close(pair):
    with pair.inside("tx"):
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        sniffer.bind((pair.device["tx"], 0x0800))
        sniffer.setblocking(False)

    def reports(wanted):
        """IGMPv3 (group, record type) pairs until all wanted were seen, 5 s at most."""
        seen = set()
        end = time.monotonic() + 5
        while not wanted <= seen and time.monotonic() < end:
            if not select.select([sniffer], [], [], 0.1)[0]:
                continue
            packet = sniffer.recv(2000)[14:]
            igmp = packet[(packet[0] & 15) * 4 :]
            if packet[9] == 2 and igmp[0] == 0x22:
                cnt, at = int.from_bytes(igmp[6:8], "big"), 8
                for _ in range(cnt):
                    seen.add((socket.inet_ntoa(igmp[at + 4 : at + 8]), igmp[at]))
                    at += 8 + 4 * int.from_bytes(igmp[at + 2 : at + 4], "big")
        return seen

    with sniffer:
        rx = open_rx(pair)
        joined = {(group, 4) for group, _ in FLOWS}  # change to exclude nothing
        assert joined <= reports(joined)
        rx.close()
        left = {(group, 3) for group, _ in FLOWS}  # change to include nothing
        assert left <= reports(left)


@pytest.mark.parametrize("mode", MODES)
def test_a_full_ring_and_an_empty_fill_ring_are_told_apart_and_add_up(pair, sender, mode):
    with open_rx(pair, mode) as rx:
        for i in range(RING + 1500):  # nobody polls
            sender.send(numbered(i))
        until(lambda: rx.stats()["drop_ring_full"] >= 1500)
        stats = rx.stats()
        assert (stats["drop_ring_full"], stats["drop_fill_empty"]) == (1500, 0)

        def hold(accounted):
            until(lambda: not rx.poll(release=False) and rx.accounted() >= accounted)

        hold(RING + 1500)  # the ring is free again, the frames are not
        assert rx.stats()["frames"] == RING
        for i in range(RING + 700):
            sender.send(numbered(i))
            if i % 100 == 0:
                rx.poll(release=False)
        hold(2 * RING + 1500 + 700)
        stats = rx.stats()
        assert stats["frames"] == 2 * RING
        assert (stats["drop_ring_full"], stats["drop_fill_empty"]) == (1500, 700)

        rx.release()
        for i in range(500):
            sender.send(numbered(i))
        assert len(rx.settle(2 * RING + 1500 + 700 + 500)) == 500
        assert {name for name, value in rx.stats().items() if value and name.startswith("drop_")} == {
            "drop_ring_full",
            "drop_fill_empty",
        }
        assert rx.accounted() == 2 * RING + 1500 + 700 + 500


@pytest.mark.parametrize("mode", MODES)
def test_frames_that_outgrow_the_buffer_are_truncated_and_counted(pair, sender, mode):
    with open_rx(pair, mode, frame_sz_bytes=2048) as rx:  # by name: it is not opened anew for a larger MTU
        for end in ("tx", "rx"):  # behind the back of the check at open
            pair.run(end, "ip", "link", "set", pair.device[end], "mtu", "2500")
        sizes = [100, 1700, 2100, 60, 1900]  # 1,792 bytes are left of a frame of 2,048
        for _ in range(40):
            for size in sizes:
                sender.send(numbered(size, size=size))
        got = rx.settle(5 * 40)
        assert len(got) == 3 * 40
        assert max(len(f.data) for f in got) == 1700 + 46
        stats = rx.stats()
        assert stats["drop_truncated"] == 2 * 40
        assert rx.accounted() == 5 * 40

        for i in range(2 * RING + 300):  # with every frame held, the fill ring is empty as well
            sender.send(numbered(i))
            if i % 100 == 0:
                rx.poll(release=False)
        until(lambda: not rx.poll(release=False) and rx.accounted() >= 5 * 40 + 2 * RING + 300)
        stats = rx.stats()
        assert (stats["drop_fill_empty"], stats["drop_truncated"], stats["drop_nic"]) == (300, 2 * 40, 0)
        assert rx.accounted() == 5 * 40 + 2 * RING + 300


@pytest.mark.parametrize("mode", MODES)
def test_frames_of_another_queue_are_counted_and_not_lost_silently(mode):
    with Wire(queues=2) as pair, pair.packet_socket("tx") as raw, open_rx(pair, mode, queues=[1]) as rx:
        for i in range(1000):  # the source port decides the queue
            raw.send(udp_frame(*FLOWS[0], bytes(20), source_port=1024 + i))
        got = rx.settle(1000)
        stats = rx.stats()
        # generic mode on veth knows queue 0 only, so everything is of another queue
        assert 100 < len(got) < 900 if mode == "native" else got == []
        assert stats["drop_other_queue"] == 1000 - len(got)
        assert rx.accounted() == 1000


def test_first_fragments_pass_to_the_kernel_and_are_counted(pair, sender):
    with open_rx(pair) as rx:
        first, later = bytearray(numbered(0)), bytearray(numbered(1))
        first[20:22] = b"\x20\x00"
        later[20:22] = b"\x00\x10"
        for frame in (first, later, numbered(2)):
            sender.send(bytes(frame))
        assert len(rx.settle(2)) == 1
        assert rx.stats()["drop_fragment"] == 1


def test_small_rings_lose_only_what_they_count_under_a_slow_reader(pair, sender):
    with open_rx(pair, frame_cnt=64) as rx:
        for i in range(20_000):
            sender.send(numbered(i, i % 2))
            if i % 40 == 0:
                rx.poll(20)
        rx.settle(20_000)
        stats = rx.stats()
        assert stats["frames"] > 5000
        assert stats["drop_ring_full"] > 1000
        assert rx.accounted() == 20_000


def test_the_example_of_the_documentation_runs(capsys):
    page = Path(__file__).resolve().parents[2] / "docs/receive.md"
    code = page.read_text().partition("```python\n")[2].partition("```")[0]
    exec(compile(code, str(page), "exec"), {})
    description, counted = capsys.readouterr().out.splitlines()
    assert description.startswith("afxdp: ")
    assert counted == "1000 Ledger(offered=1000, used=1000, drops={})"
