"""The afxdp backend on a veth pair of its own: exact counts, what passes to the kernel, and what is left behind.

SPDX-License-Identifier: MIT
"""

import json
import os
import select
import shutil
import signal
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

from hwgw.errors import ConfigError, DeviceError, PrivilegeError
from hwgw.native import ffi, lib, text

FLOWS = [("239.1.2.3", 26400), ("239.1.2.4", 26401)]
MODES = ["native", "generic"]
RING = 2048  # of the default 4,096 frames


def unavailable():
    reason = ffi.new("char[200]")
    if not lib.hwgw_rx_available(b"afxdp", reason, 200):
        return text(reason)
    return wire.missing()


pytestmark = [
    pytest.mark.root,
    pytest.mark.afxdp,
    pytest.mark.skipif(bool(unavailable()), reason=f"no AF_XDP on a veth pair here: {unavailable()}"),
]


@pytest.fixture
def pair():
    with Wire() as made:
        yield made


@pytest.fixture
def sender(pair):
    with pair.packet_socket("tx") as raw:
        yield raw


def open_rx(pair, mode="native", flows=FLOWS, **settings):
    settings.setdefault("interface", pair.device["rx"])
    with pair.inside("rx"):
        return Receiver("afxdp", flows, mode=mode, **settings)


def until(condition):
    """Wait for it, 5 s at most; the caller asserts what came of it."""
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def program(pair):
    """The XDP program on the receiving end as ip(8) shows it, or None."""
    link = json.loads(pair.run("rx", "ip", "-j", "link", "show", "dev", pair.device["rx"]))[0]
    return link.get("xdp", {}).get("prog")


def numbered(i, flow=0, size=60):
    group, port = FLOWS[flow]
    return udp_frame(group, port, i.to_bytes(4, "big") + bytes(size))


def tagged(frame, *tags):
    return frame[:12] + b"".join(struct.pack("!HH", tpid, vid) for tpid, vid in tags) + frame[12:]


def with_options(frame):
    """The same datagram with four bytes of IPv4 options (router alert)."""
    header = bytearray(frame[14:34] + b"\x94\x04\x00\x00")
    header[0] = 0x46
    header[2:4] = struct.pack("!H", len(frame) - 14 + 4)
    header[10:12] = b"\0\0"
    words = sum(struct.unpack("!12H", header))
    words = (words & 0xFFFF) + (words >> 16)
    header[10:12] = struct.pack("!H", ~(words + (words >> 16)) & 0xFFFF)
    return frame[:14] + bytes(header) + frame[34:]


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
    with open_rx(pair, mode) as rx:
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
        assert stats["drop_kernel"] == 1000 - len(got)
        assert rx.accounted() == 1000


def test_first_fragments_pass_to_the_kernel_and_are_counted(pair, sender):
    with open_rx(pair) as rx:
        first, later = bytearray(numbered(0)), bytearray(numbered(1))
        first[20:22] = b"\x20\x00"
        later[20:22] = b"\x00\x10"
        for frame in (first, later, numbered(2)):
            sender.send(bytes(frame))
        assert len(rx.settle(2)) == 1
        assert rx.stats()["drop_kernel"] == 1


HOLDER = """
import os, sys, ctypes, time
ctypes.CDLL(None).setns(os.open(sys.argv[1], os.O_RDONLY), 0x40000000)
from hwgw_sim.receiver import Receiver
rx = Receiver("afxdp", [("239.1.2.3", 26400)], interface=sys.argv[2], mode=sys.argv[3])
print(rx.description, flush=True)
while True:
    rx.poll()
"""


@pytest.mark.parametrize("mode", MODES)
def test_kill_9_takes_the_program_off_and_a_second_open_works_at_once(pair, sender, mode):
    namespace = pair.path("rx")
    for _ in range(3):
        command = [sys.executable, "-c", HOLDER, namespace, pair.device["rx"], mode]
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert f"{mode} mode" in holder.stdout.readline()
            assert program(pair)["name"] == "hwgw_steer"
            for i in range(100):
                sender.send(numbered(i))  # killed in mid-stream
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.stdout.close()
            holder.wait(timeout=10)
        with open_rx(pair, mode) as rx:
            for i in range(100):
                sender.send(numbered(i))
            assert len(rx.settle(100)) == 100
    assert program(pair) is None


def test_a_receiver_that_dropped_every_privilege_goes_on_receiving(pair, sender):
    with open_rx(pair) as rx:
        os.seteuid(65534)
        try:
            for i in range(300):
                sender.send(numbered(i))
            assert len(rx.settle(300)) == 300
            assert rx.accounted() == 300
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("frame_cnt", [512, 4096])
def test_without_the_right_to_lock_memory_the_limit_decides_and_is_named(pair, frame_cnt):
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv (util-linux)")
    namespace = pair.path("rx")
    code = """
import os, sys, ctypes
ctypes.CDLL(None).setns(os.open(sys.argv[1], os.O_RDONLY), 0x40000000)
from hwgw_sim.receiver import Receiver
try:
    print(Receiver("afxdp", [("239.1.2.3", 26400)], interface=sys.argv[2], frame_cnt=int(sys.argv[3])).description)
except Exception as error:
    print(type(error).__name__, error)
"""
    command = ["setpriv", "--bounding-set=-ipc_lock,-sys_resource", "prlimit", f"--memlock={4 << 20}", sys.executable]
    command += ["-c", code, namespace, pair.device["rx"], str(frame_cnt)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    if frame_cnt == 512:
        assert said.startswith("afxdp: ")
    else:
        assert "PrivilegeError rx afxdp: XDP_UMEM_REG of 8192 KiB: " in said
        assert "RLIMIT_MEMLOCK is 4096 KiB: give CAP_IPC_LOCK, raise the limit (ulimit -l) or lower frame_cnt" in said
    assert program(pair) is None


def test_opening_and_closing_many_times_leaves_nothing(pair, sender):
    open_rx(pair).close()
    before = descriptors()
    for i in range(25):
        with open_rx(pair, MODES[i % 2]) as rx:
            sender.send(numbered(i))
            assert len(rx.settle(1, quiet_s=0)) == 1
    assert program(pair) is None
    assert descriptors() == before


def test_a_second_receiver_is_told_who_holds_the_interface(pair):
    with open_rx(pair):
        for mode in ("auto", "native", "generic"):
            with pytest.raises(
                DeviceError, match=r'is held by XDP program "hwgw_steer" \(id \d+\) through bpf_link \d+; stop'
            ):
                open_rx(pair, mode)
        assert program(pair) is not None


def test_a_program_attached_by_netlink_is_named_and_can_be_taken_off_as_told(pair, tmp_path):
    source = tmp_path / "foreign.c"
    source.write_text('__attribute__((section("xdp"), used)) int foreign(void *c) { return 2; }\n')
    made = subprocess.run(
        ["clang", "-O2", "-g", "-target", "bpf", "-c", source, "-o", tmp_path / "foreign.o"], check=False
    )
    if made.returncode:
        pytest.skip("clang cannot compile for BPF here")
    pair.run(
        "rx", "ip", "link", "set", "dev", pair.device["rx"], "xdp", "obj", str(tmp_path / "foreign.o"), "sec", "xdp"
    )
    with pytest.raises(DeviceError, match=r'held by XDP program "foreign" \(id \d+\); take it off: ip link') as caught:
        open_rx(pair)
    advice = str(caught.value).partition("take it off: ")[2]
    pair.run("rx", *advice.split())
    open_rx(pair).close()


def test_a_device_without_native_mode_falls_back_and_says_why(pair):
    pair.run("rx", "ip", "link", "set", "lo", "mtu", "1500")
    with pytest.raises(DeviceError, match="BPF_LINK_CREATE native on lo"):
        open_rx(pair, "native", interface="lo")
    with open_rx(pair, "auto", interface="lo") as rx:
        assert "generic mode (native: " in rx.description
        with pair.inside("rx"), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
            raw.bind(("lo", 0))
            for i in range(100):
                raw.send(numbered(i))
        assert len(rx.settle(100)) == rx.accounted() == 100


def test_auto_takes_native_on_veth(pair):
    with open_rx(pair, "auto") as rx:
        assert "native mode, copy" in rx.description
        assert "no zero copy (the driver has none)" in rx.description


def test_busy_poll_that_does_nothing_is_said_and_switched_off(pair, sender):
    with open_rx(pair, busy_poll_us=50) as rx:
        rx.poll()
        assert rx.stats()["wakeups"] > 0
        sender.send(numbered(0))
        rx.settle(1)
        first = rx.stats()["wakeups"]
        rx.poll()
        assert "busy poll does nothing here (no NAPI id), off" in rx.description
        assert rx.stats()["wakeups"] == first


def test_huge_pages_work_or_the_reason_is_said(pair, sender):
    with open_rx(pair, huge_pages=True) as rx:
        assert (
            "; huge pages" in rx.description
            or "; no huge pages (Cannot allocate memory; see vm.nr_hugepages)" in rx.description
        )
        for i in range(5000):
            sender.send(numbered(i))
            if i % 500 == 0:
                rx.settle(i + 1, quiet_s=0)
        rx.settle(5000)
        assert rx.stats()["frames"] == 5000


def test_an_mtu_beyond_the_frame_is_refused_with_what_to_do():
    with Wire(mtu=3000) as pair, pair.packet_socket("tx") as raw:
        with pytest.raises(ConfigError, match=r"MTU 3000 of .* \(at most 1770\); set frame_sz_bytes to 4096"):
            open_rx(pair)
        with open_rx(pair, frame_sz_bytes=4096) as rx:
            raw.send(numbered(0, size=2900))
            assert [len(f.data) for f in rx.settle(1)] == [2946]
    with (
        Wire(mtu=9000) as pair,
        pytest.raises(ConfigError, match=r"MTU 9000 of .* lower it to 3818: ip link set .* mtu 3818, or use the udp"),
    ):
        open_rx(pair, frame_sz_bytes=4096)


def test_set_up_errors_name_what_is_wrong(pair):
    before = descriptors()
    for settings, error, reason in [
        ({"interface": "nosuch0"}, ConfigError, 'interface "nosuch0": No such device'),
        ({"interface": ""}, ConfigError, "it needs the name of a device"),
        ({"mode": "fast"}, ConfigError, 'mode "fast"; allowed: auto, native, generic'),
        ({"queues": [7]}, ConfigError, "queue 7: Invalid argument; has the interface that queue"),
        ({"queues": [256]}, ConfigError, "queue 256; allowed: 0 to 255"),
        ({"frame_cnt": 1000}, ConfigError, "frame_cnt 1000; allowed: powers of two from 64"),
        ({"frame_sz_bytes": 1024}, ConfigError, "frame_sz_bytes 1024; allowed: powers of two from 2048 to 4096"),
    ]:
        with pytest.raises(error, match=reason):
            open_rx(pair, **settings)
    pair.run("rx", "ip", "link", "set", pair.device["rx"], "down")
    with pytest.raises(DeviceError, match="is down: ip link set"):
        open_rx(pair)
    assert program(pair) is None
    assert descriptors() == before


def test_without_privilege_the_call_and_the_remedy_are_named(pair):
    reason = ffi.new("char[200]")
    with pair.inside("rx"):
        os.seteuid(65534)
        try:
            assert not lib.hwgw_rx_available(b"afxdp", reason, 200)
            with pytest.raises(
                PrivilegeError, match=r"BPF_MAP_CREATE.*Operation not permitted; run as root or with CAP_NET_ADMIN"
            ):
                Receiver("afxdp", FLOWS, interface=pair.device["rx"])
        finally:
            os.seteuid(0)
    assert "needs root or CAP_NET_RAW" in text(reason)


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
    assert counted.startswith("1000 {")
