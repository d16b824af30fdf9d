"""The packet backend on a veth pair of its own: exact counts for every loss, frames as on the wire, and sending.

SPDX-License-Identifier: MIT
"""

import contextlib
import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hwgw_sim import wire
from hwgw_sim.receiver import Receiver
from hwgw_sim.wire import Wire, udp_frame
from support import backlog
from support.links import shape, shaped_bridge

from hwgw.errors import ConfigError, DeviceError, PrivilegeError
from hwgw.native import ffi, lib, text

FLOWS = [("239.1.2.3", 26400), ("239.1.2.4", 26401)]
RING = 4096
HEAD = 82  # of a slot, in front of the frame: tpacket2_hdr 32, sockaddr_ll 20, 14 to align the IP header, 16 for a tag


def unavailable():
    reason = ffi.new("char[200]")
    if not lib.hwgw_rx_available(b"packet", reason, 200):
        return text(reason)
    return wire.missing()


pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(unavailable()), reason=f"no packet socket on a veth pair here: {unavailable()}"),
]


def open_rx(pair, flows=FLOWS, end="rx", **settings):
    settings.setdefault("interface", pair.device[end])
    with pair.inside(end):
        return Receiver("packet", flows, **settings)


def numbered(i, flow=0, size=60):
    return udp_frame(*FLOWS[flow], i.to_bytes(4, "big") + bytes(size))


def tagged(frame, *tags):
    return frame[:12] + b"".join(struct.pack("!HH", tpid, vid) for tpid, vid in tags) + frame[12:]


def ip_header(header):
    """The header with its checksum put right."""
    header = bytearray(header)
    header[10:12] = b"\0\0"
    words = sum(struct.unpack(f"!{len(header) // 2}H", header))
    words = (words & 0xFFFF) + (words >> 16)
    header[10:12] = struct.pack("!H", ~(words + (words >> 16)) & 0xFFFF)
    return bytes(header)


def with_options(frame):
    """The same datagram with four bytes of IPv4 options (router alert)."""
    header = bytearray(frame[14:34] + b"\x94\x04\x00\x00")
    header[0] = 0x46
    header[2:4] = struct.pack("!H", len(frame) - 14 + 4)
    return frame[:14] + ip_header(header) + frame[34:]


def fragment(frame, offset, more):
    """The frame with other fragment bits; offset in units of 8 bytes."""
    header = bytearray(frame[14:34])
    header[6:8] = struct.pack("!H", more << 13 | offset)
    return frame[:14] + ip_header(header) + frame[34:]


def number_of(frame):
    return int.from_bytes(frame.data[42:46], "big")


def drops(rx):
    return {name: value for name, value in rx.stats().items() if name.startswith("drop_") and value}


def counter(rx, name):
    counters = ffi.new("uint64_t[]", lib.HWGW_COUNTER_CNT)
    lib.hwgw_rx_stats(rx.rx, counters)
    return counters[getattr(lib, f"HWGW_CNT_{name.upper()}")]


def parse(frame):
    """The cause that net gives, 0 = none."""
    flows = ffi.new("struct hwgw_flow[]", [{"group": 0xEF010203, "port": 26400}, {"group": 0xEF010204, "port": 26401}])
    return lib.hwgw_net_parse(flows, 2, ffi.from_buffer(frame), len(frame), ffi.new("struct hwgw_datagram *"))


# ---- frames ----


@pytest.mark.parametrize("flow_cnt", [2, 64])
def test_every_frame_of_the_flows_arrives_unchanged_and_in_order(pair, sender, flow_cnt):
    others = [("239.1.2.4", port) for port in range(1, flow_cnt - 1)]
    with open_rx(pair, [*others, *FLOWS]) as rx:
        assert f"packet: {pair.device['rx']}, {flow_cnt} flows, ring of 4096 frames of 2048 bytes" in rx.description
        sent, got = [], []
        for i in range(6000):
            frame = numbered(i, i % 2, size=i % 1400)
            if i % 3 == 1:
                frame = with_options(frame)
            frame = tagged(frame, *[(), ((0x8100, 7),), ((0x88A8, 8), (0x8100, 9)), ((0x8100, 0x2001),)][i % 4])
            sender.send(frame)
            sent.append(frame)
            if i % 500 == 0:
                got += rx.settle(i + 1, quiet_s=0)
        got += rx.settle(6000)
        assert [frame.data for frame in got] == sent
        assert {parse(frame) for frame in sent} == {0}
        stats = rx.stats()
        assert (stats["frames"], stats["bytes"]) == (6000, sum(map(len, sent)))
        assert drops(rx) == {}
        assert {(frame.flow, frame.ts_ns) for frame in got} == {(lib.HWGW_FLOW_NONE, 0)}


FOREIGN = {
    "other port": udp_frame(FLOWS[0][0], 26402, b"x" * 50),
    "port of another flow": udp_frame(FLOWS[0][0], FLOWS[1][1], b"x" * 50),
    "other group": udp_frame("239.1.2.5", FLOWS[0][1], b"x" * 50),
    "tagged, other port": tagged(udp_frame(FLOWS[0][0], 1, b"x" * 50), (0x8100, 3)),
    "three tags": tagged(numbered(0), (0x88A8, 1), (0x8100, 2), (0x8100, 3)),
    "tcp": numbered(0)[:23] + b"\x06" + numbered(0)[24:],
    "arp": numbered(0)[:12] + b"\x08\x06" + numbered(0)[14:],
    "ends before its port": numbered(0)[:36],
    "fragment of another group": fragment(udp_frame("239.1.2.5", 1, b"x" * 50), 4, 0),
    "options that look like the port": with_options(udp_frame(FLOWS[0][0], 9, b"x" * 50))[:34]
    + struct.pack("!HH", 0, FLOWS[0][1])
    + with_options(udp_frame(FLOWS[0][0], 9, b"x" * 50))[38:],
}


def test_only_the_flows_enter_the_ring(pair, sender):
    with open_rx(pair) as rx:
        for i in range(20):
            for frame in FOREIGN.values():
                sender.send(frame)
            sender.send(numbered(i))
        assert [number_of(frame) for frame in rx.settle(20)] == list(range(20))
        assert rx.accounted() == 20


def test_all_frames_gives_everything_that_comes_and_nothing_that_goes(pair, sender):
    def promiscuity():
        return json.loads(pair.run("rx", "ip", "-d", "-j", "link", "show", "dev", pair.device["rx"]))[0]["promiscuity"]

    frames = [*FOREIGN.values(), numbered(1), b"\x02\x77\x00\x00\x00\x99" + numbered(2)[6:]]  # somebody else's address
    with open_rx(pair, [], all_frames=True) as rx, pair.packet_socket("rx") as own:
        assert promiscuity() == 1
        assert "all frames" in rx.description
        for frame in frames:
            sender.send(frame)
            own.send(frame)
        assert [frame.data for frame in rx.settle(len(frames))] == frames
        assert rx.accounted() == len(frames)
    assert promiscuity() == 0


def test_what_this_host_sends_is_not_received(pair, sender):
    with open_rx(pair) as rx:
        with pair.inside("rx"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(pair.address["rx"]))
            for _ in range(20):
                own.sendto(b"own", FLOWS[0])
        sender.send(numbered(7))
        assert [number_of(frame) for frame in rx.settle(1)] == [7]
        assert rx.accounted() == 1


def test_fragments_of_the_flows_reach_net_which_counts_them(pair, sender):
    parts = [
        fragment(numbered(0), 0, 1),
        fragment(numbered(0), 185, 1),
        tagged(fragment(numbered(0, 1), 370, 0), (0x8100, 4)),
    ]
    with open_rx(pair) as rx:
        for _ in range(10):
            for part in parts:
                sender.send(part)
        got = rx.settle(30)
        assert [frame.data for frame in got] == parts * 10
        assert [parse(frame.data) for frame in got] == [lib.HWGW_CNT_NET_DROP_FRAGMENT] * 30
        assert rx.accounted() == 30


def test_two_receivers_and_the_kernels_own_sockets_all_get_it(pair, sender):
    with pair.inside("rx"):
        plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        plain.bind(("", FLOWS[0][1]))
        group = socket.inet_aton(FLOWS[0][0]) + socket.inet_aton(pair.address["rx"])
        plain.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        plain.settimeout(2)
    with plain, open_rx(pair) as one, open_rx(pair, FLOWS[:1]) as two:
        for i in range(50):
            sender.send(numbered(i))
            assert plain.recv(100)[:4] == i.to_bytes(4, "big")
        for rx in (one, two):
            assert [number_of(frame) for frame in rx.settle(50)] == list(range(50))


def test_an_unfinished_checksum_is_noted(pair):
    with open_rx(pair) as rx:
        with pair.inside("tx"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talker:
            talker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(pair.address["tx"]))
            talker.sendto(b"offloaded", FLOWS[0])
        assert [frame.data[42:] for frame in rx.settle(1)] == [b"offloaded"]
        rx.stats()
        assert rx.description.count("; the sender leaves checksums unfinished") == 1


def test_a_finished_checksum_is_not_noted(pair, sender):
    with open_rx(pair) as rx:
        sender.send(numbered(0))
        assert len(rx.settle(1)) == 1
        assert "checksum" not in rx.description


@pytest.mark.parametrize("asked", [False, True])
def test_kernel_time_is_given_when_asked_for(pair, sender, asked):
    with open_rx(pair, timestamps=asked) as rx:
        assert lib.hwgw_rx_clock(rx.rx) == (lib.HWGW_RX_CLOCK_KERNEL if asked else lib.HWGW_RX_CLOCK_NONE)
        assert ("software time stamps" in rx.description) == asked
        before = time.time_ns()
        for i in range(100):
            sender.send(numbered(i))
        after = time.time_ns()
        stamps = [frame.ts_ns for frame in rx.settle(100)]
        assert len(stamps) == 100
        assert stamps == sorted(stamps)
        if asked:
            assert before <= stamps[0]
            assert stamps[-1] <= after
        else:
            assert set(stamps) == {0}


# ---- losses ----


def test_a_full_ring_loses_exactly_what_is_counted(pair, sender):
    with open_rx(pair) as rx:
        for i in range(RING + 1500):  # nobody polls
            sender.send(numbered(i))
        first = rx.stats()["drop_ring_full"]
        for i in range(100):
            sender.send(numbered(i))
        assert (first, rx.stats()["drop_ring_full"]) == (1500, 1600)  # the kernel forgets what was read; we do not
        assert [number_of(frame) for frame in rx.settle(RING + 1600)] == list(range(RING))
        for i in range(300):
            sender.send(numbered(i))
        assert [number_of(frame) for frame in rx.settle(RING + 1900)] == list(range(300))
        assert drops(rx) == {"drop_ring_full": 1600}
        assert rx.accounted() == RING + 1900


def test_held_frames_are_not_overwritten(pair, sender):
    with open_rx(pair, frame_cnt=64) as rx:
        pointers = ffi.new("struct hwgw_frame[]", 64)
        for i in range(80):
            sender.send(numbered(i))
        held = 0
        while held < 64:
            held += lib.hwgw_rx_poll(rx.rx, pointers + held, min(10, 64 - held))
        assert lib.hwgw_rx_poll(rx.rx, pointers, 10) == 0  # every slot is held
        for i in range(1000, 1050):
            sender.send(numbered(i))
        assert [int.from_bytes(ffi.buffer(frame.data + 42, 4), "big") for frame in pointers] == list(range(64))
        assert drops(rx) == {"drop_ring_full": 16 + 50}
        rx.release()
        for i in range(200):
            sender.send(numbered(i))
            assert [number_of(frame) for frame in rx.settle(64 + 66 + i + 1, quiet_s=0)] == [i]
        assert rx.accounted() == 64 + 66 + 200


def test_longer_than_a_slot_is_truncated_and_counted(pair, sender):
    with open_rx(pair, frame_sz_bytes=512) as rx:
        room = 512 - HEAD
        assert f"(MTU 1500: beyond {room - 14} they are cut off and dropped)" in rx.description
        sizes = [room, room + 1, 60, 1500, room - 1]
        frames = [numbered(i, size=size - 46) for i, size in enumerate(sizes)]
        for _ in range(40):
            for frame in frames:
                sender.send(frame)
        got = rx.settle(200)
        assert [frame.data for frame in got] == [frames[0], frames[2], frames[4]] * 40
        assert drops(rx) == {"drop_truncated": 80}
        assert rx.accounted() == 200


def test_frames_that_are_all_too_long_do_not_stop_the_ring(pair, sender):
    with open_rx(pair, frame_sz_bytes=512, frame_cnt=64) as rx:
        for i in range(640):
            sender.send(numbered(i, size=1000))
            assert rx.poll(release=False) == []  # a caller that got nothing has nothing to release
        sender.send(numbered(640))
        assert [number_of(frame) for frame in rx.settle(641)] == [640]
        assert drops(rx) == {"drop_truncated": 640}


@pytest.mark.parametrize(("mtu", "slot"), [(1500, 2048), (3996, 4096), (3997, 8192), (9000, 16384)])
def test_slots_are_as_large_as_the_mtu_asks_for(mtu, slot):
    with Wire(mtu=mtu) as pair, pair.packet_socket("tx") as sender, open_rx(pair, frame_cnt=256) as rx:
        assert f"of {slot} bytes" in rx.description
        assert "cut off" not in rx.description
        longest = numbered(0, size=mtu - 32)
        frames = [longest, tagged(longest, (0x8100, 5)), numbered(1)]
        for frame in frames * 20:
            sender.send(frame)
        assert [frame.data for frame in rx.settle(60)] == frames * 20
        assert len(longest) == mtu + 14
        assert drops(rx) == {}


def test_what_the_kernels_backlog_loses_in_front_of_the_socket_is_counted(pair):
    fits = backlog.limit()
    with open_rx(pair, frame_cnt=16384) as rx:
        dropped = backlog.overflow(pair, *FLOWS[0])
        got = rx.settle(backlog.FRAMES)
        assert rx.accounted() == backlog.FRAMES
        assert drops(rx) == {"drop_kernel": dropped}
        assert fits < len(got) < backlog.FRAMES


IN_A_NAMESPACE_WITH_ITS_OWN_SYSFS = """
import json, sys
from hwgw_sim.receiver import Receiver
with Receiver("packet", [(sys.argv[2], int(sys.argv[3]))], interface=sys.argv[1], frame_cnt=16384) as rx:
    print("open", flush=True)
    input()
    rx.settle(int(sys.argv[4]))
    print(json.dumps(rx.stats()), flush=True)
"""


def test_the_interfaces_counters_are_read_from_sysfs_where_that_is_ours(pair):
    backlog.limit()
    program = [sys.executable, "-c", IN_A_NAMESPACE_WITH_ITS_OWN_SYSFS, pair.device["rx"], *map(str, FLOWS[0])]
    own_sysfs = ["unshare", "-m", "sh", "-c", 'mount -t sysfs none /sys && exec "$@"', "sh"]
    with pair.inside("rx"):
        child = subprocess.Popen(
            [*own_sysfs, *program, str(backlog.FRAMES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    with child:
        assert child.stdout.readline() == "open\n"
        opened = {path.readlink().name for path in Path(f"/proc/{child.pid}/fd").iterdir()}
        assert opened >= {"rx_missed_errors", "rx_dropped", "softnet_stat"}
        dropped = backlog.overflow(pair, *FLOWS[0])
        stats = json.loads(child.communicate("\n", timeout=20)[0])
    assert stats["drop_kernel"] == dropped > 0
    assert stats["frames"] + dropped == backlog.FRAMES


def test_frames_that_no_protocol_wants_are_not_taken_for_lost_ones(pair, sender):
    """The interface counts a second VLAN tag as dropped, behind us; other interfaces' backlogs overflow meanwhile."""
    backlog.limit()
    with Wire() as other, open_rx(pair) as rx:
        assert backlog.overflow(other, *FLOWS[0]) > 0
        time.sleep(0.11)
        rx.stats()
        for i in range(100):
            sender.send(tagged(numbered(i), (0x88A8, 8), (0x8100, 9)))
        assert len(rx.settle(100)) == 100
        assert pair.statistics("rx")["rx_dropped"] == 100
        assert drops(rx) == {}


# ---- set-up ----


def test_the_groups_are_joined_on_the_wire_and_in_the_interface(pair):
    def addresses():
        entries = json.loads(pair.run("rx", "ip", "-j", "maddress", "show", "dev", pair.device["rx"]))[0]["maddr"]
        return {entry.get("link") or entry.get("address") for entry in entries}

    wanted = {"239.1.2.3", "239.1.2.4", "01:00:5e:01:02:03", "01:00:5e:01:02:04"}
    with pair.inside("tx"):
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        sniffer.bind((pair.device["tx"], 0x0800))
    with sniffer:
        assert not wanted & addresses()
        with open_rx(pair):
            assert wanted <= addresses()
            seen, end = b"", time.monotonic() + 5
            while not all(socket.inet_aton(group) in seen for group, _ in FLOWS) and time.monotonic() < end:
                if select.select([sniffer], [], [], 0.1)[0]:
                    frame = sniffer.recv(2000)
                    seen += frame[34:] if frame[23] == 2 else b""  # IGMP
            assert all(socket.inet_aton(group) in seen for group, _ in FLOWS)
        assert not wanted & addresses()


def test_without_the_capability_open_says_which(pair):
    if os.geteuid() != 0:
        pytest.skip("needs root to give it up")
    reason = ffi.new("char[200]")
    with pair.inside("rx"):
        os.seteuid(65534)
        try:
            with pytest.raises(PrivilegeError, match=r"socket\(AF_PACKET\).*run as root or with CAP_NET_RAW"):
                Receiver("packet", FLOWS, interface=pair.device["rx"])
            assert not lib.hwgw_rx_available(b"packet", reason, 200)
            assert "needs root or CAP_NET_RAW" in text(reason)
        finally:
            os.seteuid(0)


@contextlib.contextmanager
def only(*capabilities):
    """This thread as another user, with these capabilities in effect; their numbers are those of linux/capability.h."""
    os.seteuid(65534)  # takes all from what is in effect, and leaves what is permitted
    try:
        libc, header = ctypes.CDLL(None), struct.pack("Ii", 0x20080522, 0)
        data = ctypes.create_string_buffer(24)
        assert libc.capget(header, data) == 0
        _, *kept = struct.unpack("6I", data.raw)
        effective = sum(1 << number for number in capabilities)
        assert libc.capset(header, struct.pack("6I", effective, *kept)) == 0
        yield
    finally:
        os.seteuid(0)


def test_cap_net_raw_is_all_that_opening_takes_and_receiving_takes_none(pair, sender):
    if os.geteuid() != 0:
        pytest.skip("needs root to give it up")
    cap_net_raw = 13
    with pair.inside("rx"), only(cap_net_raw):
        rx = Receiver("packet", FLOWS, interface=pair.device["rx"], tx_frame_cnt=64, timestamps=True)
        everything = Receiver("packet", interface=pair.device["rx"], all_frames=True)
    with rx, everything:
        for i in range(100):
            sender.send(numbered(i))
        with only():
            assert [number_of(frame) for frame in rx.settle(100)] == list(range(100))
            assert len(everything.settle(100)) == 100
            assert send(rx, [numbered(1)]) == 1


def test_set_up_errors_name_what_is_wrong_and_leave_nothing(pair):
    def descriptors():
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = descriptors()
    with pytest.raises(ConfigError, match='interface "nosuch0"'):
        open_rx(pair, interface="nosuch0")
    with pytest.raises(ConfigError, match="it needs the name of a device"):
        open_rx(pair, interface="")
    with pytest.raises(ConfigError, match="no flow; name at least one group"):
        open_rx(pair, [])
    for size in (128, 3000, 32768):
        with pytest.raises(ConfigError, match=f"frame_sz_bytes {size}; allowed: powers of two from 256 to 16384"):
            open_rx(pair, frame_sz_bytes=size)
    for cnt, size in ((32, 2048), (100, 2048), (1 << 17, 16384)):
        with pytest.raises(ConfigError, match=f"frame_cnt {cnt} of {size} bytes; allowed"):
            open_rx(pair, frame_cnt=cnt, frame_sz_bytes=size)
    with pytest.raises(ConfigError, match="queue 3; a packet socket gets all queues"):
        open_rx(pair, queues=[0, 3])
    pair.run("rx", "ip", "tuntap", "add", "mode", "tun", "name", "tun0")
    with pytest.raises(ConfigError, match="tun0 has link type 65534; only Ethernet"):
        open_rx(pair, interface="tun0")
    pair.run("rx", "ip", "link", "set", pair.device["rx"], "down")
    with pytest.raises(DeviceError, match="is down: ip link set"):
        open_rx(pair)
    assert descriptors() == before


def test_the_link_may_go_and_come_back(pair, sender):
    with open_rx(pair) as rx:
        sender.send(numbered(0))
        assert [number_of(frame) for frame in rx.settle(1)] == [0]
        pair.run("rx", "ip", "link", "set", pair.device["rx"], "down")
        assert rx.drain(0.01) == []
        pair.run("rx", "ip", "link", "set", pair.device["rx"], "up")
        end = time.monotonic() + 5
        got = []
        while not got and time.monotonic() < end:  # the carrier takes its time
            sender.send(numbered(1))
            got = rx.drain(0.01)
        assert number_of(got[0]) == 1


# ---- sending ----


def send(rx, frames):
    """How many the backend took."""
    memory = [ffi.from_buffer(frame) for frame in frames]
    array = ffi.new("struct hwgw_frame[]", [{"data": data, "len": len(data)} for data in memory])
    return lib.hwgw_rx_send(rx.rx, array, len(frames))


def test_frames_sent_arrive_unchanged_and_are_counted(pair):
    with open_rx(pair) as rx, open_rx(pair, [], end="tx", tx_only=True, tx_frame_cnt=512) as tx:
        assert tx.description == f"packet: {pair.device['tx']}, sends only, sendmmsg"
        frames = [tagged(numbered(i, size=i % 1400), *[(), ((0x8100, 5),)][i % 2]) for i in range(2000)]
        got = []
        for at in range(0, 2000, 100):
            assert send(tx, frames[at : at + 100]) == 100
            got += rx.settle(at + 100, quiet_s=0)
        assert [frame.data for frame in got + rx.drain(0.02)] == frames
        assert lib.hwgw_rx_unsent(tx.rx) == 0
        assert (counter(tx, "tx_frames"), counter(tx, "tx_bytes")) == (2000, sum(map(len, frames)))
        assert counter(tx, "tx_wakeups") == 20
        assert tx.poll() == []
        assert tx.accounted() == 0


def test_one_socket_receives_and_sends(pair, sender):
    with open_rx(pair, tx_frame_cnt=64) as both, open_rx(pair, [FLOWS[1]], end="tx") as far:
        sender.send(numbered(1))
        assert send(both, [numbered(2, 1)]) == 1
        assert [number_of(frame) for frame in far.settle(1)] == [2]
        assert [number_of(frame) for frame in both.settle(1)] == [1]


def test_what_can_never_be_sent_is_taken_and_counted_by_cause(pair):
    with open_rx(pair) as rx, open_rx(pair, [], end="tx", tx_only=True, tx_frame_cnt=64) as tx:
        mixed = [numbered(1), b"x" * 13, numbered(2, size=1500), numbered(3), b"", numbered(4, size=9000), numbered(5)]
        assert send(tx, mixed) == len(mixed)
        assert [number_of(frame) for frame in rx.settle(3)] == [1, 3, 5]
        assert [counter(tx, f"tx_{name}") for name in ("frames", "drop_short", "drop_long", "drop_kernel")] == [
            3,
            2,
            2,
            0,
        ]
        for end in ("rx", "tx"):  # without carrier, then down itself; until the kernel has noticed it takes none
            pair.run(end, "ip", "link", "set", pair.device[end], "down")
            taken, limit = 0, time.monotonic() + 5
            while taken < 10 and time.monotonic() < limit:
                taken += send(tx, [numbered(6)] * (10 - taken))
            assert taken == 10
        assert [counter(tx, f"tx_{name}") for name in ("frames", "drop_kernel")] == [3, 20]


def test_sending_goes_past_the_queueing_discipline(pair):
    shape = "root tbf rate 8kbit burst 2000 limit 1000"
    with open_rx(pair) as rx, open_rx(pair, [], end="tx", tx_only=True, tx_frame_cnt=64) as tx:
        pair.run("tx", "tc", "qdisc", "replace", "dev", pair.device["tx"], *shape.split())
        assert send(tx, [numbered(i) for i in range(200)]) == 200
        assert [number_of(frame) for frame in rx.settle(200)] == list(range(200))


def test_a_full_send_buffer_takes_no_more_and_loses_none(pair):
    """Frames wait in front of a shaper, on a port of the bridge they are sent through; unicast is not copied there."""
    frames = [b"\x02\x77\x00\x00\x00\x99" + numbered(i)[6:] for i in range(500)]
    sending = {"interface": shaped_bridge(pair), "end": "tx", "tx_only": True, "tx_frame_cnt": 64}
    with open_rx(pair) as rx, open_rx(pair, [], **sending) as tx:
        taken = 0
        while more := send(tx, frames[taken : taken + 100]):
            taken += more
        waiting = lib.hwgw_rx_unsent(tx.rx)
        arrived = len(rx.drain(0.02))  # later: what the shaper lets pass meanwhile is no longer waiting
        assert 64 <= taken < 500
        assert 0 < arrived < taken
        assert taken - arrived <= waiting <= taken
        assert counter(tx, "tx_full") > 0
        shape(pair, "100gbit burst 100000000")
        end = time.monotonic() + 5
        while (taken < 500 or lib.hwgw_rx_unsent(tx.rx)) and time.monotonic() < end:
            taken += send(tx, frames[taken : taken + 100])
        assert taken == 500
        assert [number_of(frame) for frame in rx.settle(500)] == list(range(arrived, 500))
        assert lib.hwgw_rx_unsent(tx.rx) == 0
        assert (counter(tx, "tx_frames"), counter(tx, "tx_drop_kernel")) == (500, 0)


def test_sending_needs_room_to_be_asked_for(pair):
    with open_rx(pair) as rx:
        assert send(rx, [numbered(1)]) == 0
    with pytest.raises(ConfigError, match="tx_only without tx_frame_cnt"):
        open_rx(pair, tx_only=True)
