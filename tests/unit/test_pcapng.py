"""The pcapng writer against scapy and, where it is installed, Wireshark. Frames come from a file: no privilege needed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hwgw_sim.wire import udp_frame
from scapy.utils import RawPcapWriter
from support import captures

from hwgw import rx
from hwgw.capture import ROTATE_BYTES_MIN, PcapngWriter
from hwgw.errors import DeviceError, UsageError
from hwgw.native import ffi, lib

START_NS = 1_700_000_000_123_456_789
Make = Callable[..., tuple[Path, list[tuple[int, bytes]]]]


@pytest.fixture
def source(tmp_path: Path, rng: random.Random) -> Make:
    """A capture of random frames, written by scapy, and what is in it."""

    def make(cnt: int, size_max: int = 1514) -> tuple[Path, list[tuple[int, bytes]]]:
        frames, now = [], START_NS
        for _ in range(cnt):
            now += rng.randrange(5000)
            frames.append((now, rng.randbytes(rng.randrange(14, size_max + 1))))
        with RawPcapWriter(str(tmp_path / "source.pcap"), linktype=1, nano=True, snaplen=1 << 17) as writer:
            writer.write_header(None)
            for ts, data in frames:
                writer.write_packet(data, sec=ts // 10**9, usec=ts % 10**9)
        return tmp_path / "source.pcap", frames

    return make


def test_every_frame_is_in_the_file_with_its_nanoseconds(source: Make, tmp_path: Path) -> None:
    path, frames = source(3000)
    with rx.open("pcap", path=path) as receiver:
        assert receiver.recv_into_pcapng(tmp_path / "out.pcapng") == 3000
    found = captures.read(tmp_path / "out.pcapng")
    assert found.frames == frames
    assert found.queues == [None] * 3000
    (statistics,) = found.statistics
    assert (statistics["usrdeliv"], statistics["filteraccept"], statistics["ifrecv"]) == (3000, 3000, 3000)
    assert (statistics["osdrop"], statistics["ifdrop"]) == (0, 0)
    assert 0 <= statistics["end"] - statistics["start"] < 60 * 10**9
    assert abs(statistics["end"] - time.time_ns()) < 60 * 10**9


def test_count_stops_exactly_and_the_rest_can_follow(source: Make, tmp_path: Path) -> None:
    path, frames = source(1000)
    with rx.open("pcap", path=path) as receiver:
        assert receiver.recv_into_pcapng(tmp_path / "a.pcapng", count=123) == 123
        assert receiver.recv_into_pcapng(tmp_path / "b.pcapng") == 877
    assert captures.read(tmp_path / "a.pcapng").frames == frames[:123]
    assert captures.read(tmp_path / "b.pcapng").frames == frames[123:]


def test_frames_of_no_group_are_left_out_and_counted(tmp_path: Path) -> None:
    frames = [udp_frame(f"239.1.2.{number % 3}", 26400, bytes([number])) for number in range(90)]
    with RawPcapWriter(str(tmp_path / "x.pcap"), linktype=1, nano=True) as file:
        file.write_header(None)
        for number, data in enumerate(frames):
            file.write_packet(data, sec=1, usec=number)
    with (
        rx.open("pcap", path=tmp_path / "x.pcap", groups=["239.1.2.0:26400", "239.1.2.2:26400"]) as receiver,
        PcapngWriter(tmp_path / "out.pcapng") as writer,
    ):
        assert receiver.recv_into_pcapng(writer) == 60
        assert (writer.foreign, receiver.ledger().used) == (30, 90)
    found = captures.read(tmp_path / "out.pcapng").frames
    assert [data for _, data in found] == [data for number, data in enumerate(frames) if number % 3 != 1]


def test_rotation_by_size_loses_and_doubles_nothing(source: Make, tmp_path: Path) -> None:
    path, frames = source(2000)
    limit = ROTATE_BYTES_MIN + 777
    with (
        rx.open("pcap", path=path) as receiver,
        PcapngWriter(tmp_path / "out.pcapng", rotate_bytes=limit, with_queue=True) as writer,
    ):
        assert receiver.recv_into_pcapng(writer) == 2000
    names = sorted(tmp_path.glob("out.*.pcapng"))
    assert len(names) == writer.file_cnt > 10
    assert names[0].name == "out.00001.pcapng"
    together = []
    for number, name in enumerate(names, 1):
        assert name.name == f"out.{number:05d}.pcapng"
        assert name.stat().st_size <= limit
        if number < len(names):
            assert name.stat().st_size > limit - 2000  # the next frame would not have fitted
        found = captures.read(name)
        assert found.statistics[0]["usrdeliv"] == len(found.frames)
        assert set(found.queues) == {0}
        together += found.frames
    assert together == frames
    assert writer.frames_written == 2000
    assert writer.bytes_written == sum(name.stat().st_size for name in names)


def test_a_frame_larger_than_a_file_may_be_gets_one_of_its_own(tmp_path: Path, rng: random.Random) -> None:
    frames = [(START_NS + number, rng.randbytes(size)) for number, size in enumerate([100, 65_400, 65_500, 200, 300])]
    with RawPcapWriter(str(tmp_path / "source.pcap"), linktype=1, nano=True, snaplen=1 << 17) as file:
        file.write_header(None)
        for ts, data in frames:
            file.write_packet(data, sec=ts // 10**9, usec=ts % 10**9)
    with (
        rx.open("pcap", path=tmp_path / "source.pcap") as receiver,
        PcapngWriter(tmp_path / "out.pcapng", rotate_bytes=ROTATE_BYTES_MIN) as writer,
    ):
        assert receiver.recv_into_pcapng(writer) == 5
    found = [captures.read(name).frames for name in sorted(tmp_path.glob("out.*.pcapng"))]
    assert found == [frames[:1], frames[1:2], frames[2:3], frames[3:]]


def test_only_the_newest_files_are_kept(source: Make, tmp_path: Path) -> None:
    path, frames = source(2000)
    with (
        rx.open("pcap", path=path) as receiver,
        PcapngWriter(tmp_path / "out.pcapng", rotate_bytes=ROTATE_BYTES_MIN, files_max=3) as writer,
    ):
        receiver.recv_into_pcapng(writer)
    names = sorted(tmp_path.glob("out.*.pcapng"))
    assert names == list(writer.files)
    assert [name.name for name in names] == [f"out.{writer.file_cnt - i:05d}.pcapng" for i in (2, 1, 0)]
    kept = [frame for name in names for frame in captures.read(name).frames]
    assert kept == frames[-len(kept) :]


def test_rotation_by_time_begins_a_file_for_each_period(source: Make, tmp_path: Path) -> None:
    path, frames = source(40)
    with (
        rx.open("pcap", path=path) as receiver,
        PcapngWriter(tmp_path / "out.pcapng", rotate_s=0.05) as writer,
    ):
        for _ in range(4):
            with receiver.recv(10) as batch:
                writer.write(batch)
            time.sleep(0.06)
            writer.tick()
    names = sorted(tmp_path.glob("out.*.pcapng"))
    parts = [captures.read(name).frames for name in names]
    assert [len(part) for part in parts] == [10, 10, 10, 10, 0]
    assert [frame for part in parts for frame in part] == frames


@pytest.mark.parametrize("room", range(0, 400, 7))
def test_packets_stop_at_the_end_of_the_buffer_and_write_nothing_behind_it(room: int) -> None:
    data = [bytes([n]) * (14 + n) for n in range(9)]
    buffers = [ffi.from_buffer(block) for block in data]
    frames = ffi.new("struct hwgw_frame[]", 9)
    for frame, block, buffer in zip(frames, data, buffers, strict=True):
        frame.data, frame.len, frame.ts_ns = ffi.cast("uint8_t *", buffer), len(block), START_NS
    out = ffi.new("uint8_t[]", b"\xee" * 500)
    done, clock = ffi.new("uint32_t *"), ffi.new("struct hwgw_pcapng_clock *")
    used = lib.hwgw_pcapng_packets(out, room, 0, frames, 9, False, clock, done)
    sizes = [32 + (14 + n + 3) // 4 * 4 for n in range(9)]  # of each block, by the draft
    fit = max(n for n in range(10) if sum(sizes[:n]) <= room)
    assert (done[0], used) == (fit, sum(sizes[:fit]))
    assert bytes(ffi.buffer(out, 500))[room:] == b"\xee" * (500 - room)
    packets = ffi.new("uint64_t *")
    for cut in range(used + 1):
        whole = max(n for n in range(fit + 1) if sum(sizes[:n]) <= cut)
        assert (lib.hwgw_pcapng_whole(out, cut, packets), packets[0]) == (sum(sizes[:whole]), whole)


def test_frames_without_a_time_get_that_of_their_descriptor_and_never_go_back() -> None:
    data = b"\x55" * 60
    buffer = ffi.from_buffer(data)
    frames = ffi.new("struct hwgw_frame[]", 3)
    now_ticks, now_ns = lib.hwgw_ticks(), time.time_ns()
    hz = lib.hwgw_ticks_hz()
    for frame, ago_ms in zip(frames, (500, 250, 400), strict=True):
        frame.data, frame.len, frame.t_rx = ffi.cast("uint8_t *", buffer), 60, now_ticks - hz * ago_ms // 1000
    out = ffi.new("uint8_t[]", 500)
    done, clock = ffi.new("uint32_t *"), ffi.new("struct hwgw_pcapng_clock *")
    assert lib.hwgw_pcapng_packets(out, 500, 0, frames, 3, False, clock, done) == 3 * 92
    times = [struct.unpack_from("<II", bytes(ffi.buffer(out, 276)), 92 * n + 12) for n in range(3)]
    first, second, third = ((high << 32) + low for high, low in times)
    assert abs(first - (now_ns - 500_000_000)) < 5_000_000
    assert abs(second - (now_ns - 250_000_000)) < 5_000_000
    assert third == second


def test_a_full_disk_is_an_error_and_what_was_written_stays_readable(source: Make, tmp_path: Path) -> None:
    path, frames = source(3000)
    limit = 1_234_567
    script = f"""
import resource, sys
import hwgw
from hwgw.capture import PcapngWriter
from hwgw.errors import DeviceError
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))  # the file system takes no more
writer = PcapngWriter(sys.argv[2])
with hwgw.rx.open("pcap", path=sys.argv[1]) as rx:
    try:
        with writer:
            rx.recv_into_pcapng(writer)
    except DeviceError as error:
        print(error)
        print(writer.frames_written, writer.bytes_written)
"""
    target = tmp_path / "out.pcapng"
    done = subprocess.run([sys.executable, "-c", script, path, target], capture_output=True, text=True, check=True)
    message, counts = done.stdout.splitlines()
    assert message == f"capture: {target}: File too large; what was written before is complete"
    written, size = map(int, counts.split())
    assert target.stat().st_size == size
    assert limit - 1600 < size <= limit
    got = captures.frames_of(target)
    assert got == [data for _, data in frames[: len(got)]]
    assert len(got) == written > 500


def test_an_error_of_the_disk_reaches_the_receiving_thread(source: Make) -> None:
    path, _ = source(3000)
    with rx.open("pcap", path=path) as receiver:
        with pytest.raises(DeviceError, match=r"capture: /dev/full: No space left on device"):
            receiver.recv_into_pcapng("/dev/full")
        assert receiver.state == "up"


def test_ctrl_c_ends_a_capture_whose_disk_hangs(tmp_path: Path) -> None:
    """The disk is a pipe that nobody reads; the frames are more than all buffers hold."""
    record = struct.pack("<IIII", 1, 0, 60_000, 60_000) + bytes(60_000)
    (tmp_path / "source.pcap").write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 17, 1) + record * 700)
    os.mkfifo(tmp_path / "pipe")
    script = f"""
import hwgw
with hwgw.rx.open("pcap", path="{tmp_path}/source.pcap") as rx:
    print("begin", flush=True)
    rx.recv_into_pcapng("{tmp_path}/pipe")
"""
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begin\n"
        time.sleep(1)  # the buffers are full by then; before, Ctrl-C has to end it as well
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
        assert stderr.rstrip().endswith("KeyboardInterrupt")
    finally:
        process.kill()
        process.communicate()
        os.close(reader)


def test_what_cannot_be_written_is_refused(source: Make, tmp_path: Path) -> None:
    path, _ = source(3)
    with pytest.raises(DeviceError, match=r"capture: .*/none/x\.pcapng: No such file or directory"):
        PcapngWriter(tmp_path / "none" / "x.pcapng")
    with pytest.raises(UsageError, match="rotate_bytes 5: allowed are 0 and 65536 or more"):
        PcapngWriter(tmp_path / "x.pcapng", rotate_bytes=5)
    with pytest.raises(UsageError, match="files_max needs"):
        PcapngWriter(tmp_path / "x.pcapng", files_max=5)
    with pytest.raises(UsageError, match="stdout cannot rotate"):
        PcapngWriter("-", rotate_s=5)
    with rx.open("udp", groups=["127.0.0.1:45454"], local_address="127.0.0.1") as receiver:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"x", ("127.0.0.1", 45454))
        with pytest.raises(UsageError, match="udp backend gives payloads, not frames"):
            receiver.recv_into_pcapng(tmp_path / "x.pcapng", seconds=5)
    writer = PcapngWriter(tmp_path / "y.pcapng")
    writer.close()
    writer.close()
    assert captures.read(tmp_path / "y.pcapng").frames == []
    with rx.open("pcap", path=path) as receiver, pytest.raises(UsageError, match="the writer is closed"):
        writer.write(receiver.recv())


@pytest.mark.skipif(bool(captures.missing()), reason=f"missing: {captures.missing()}")
def test_wireshark_reads_it_without_a_warning(source: Make, tmp_path: Path) -> None:
    path, frames = source(500)
    target = tmp_path / "out.pcapng"
    with (
        rx.open("pcap", path=path) as receiver,
        PcapngWriter(target, interface="eth7", description="a wire", filter="udp port 5", with_queue=True) as writer,
    ):
        receiver.recv_into_pcapng(writer)
    told = captures.wireshark("capinfos", "-M", target)
    for line in (
        "Number of packets:   500",
        "File timestamp precision:  nanoseconds (9)",
        "Name = eth7",
        "Description = a wire",
        "Filter string = udp port 5",
        "Number of stat entries = 1",
        "Capture application: hwgw",
    ):
        assert line in told
    rows = captures.wireshark("tshark", "-r", target, "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len")
    got = [line.split("\t") for line in rows.splitlines()]
    assert got == [[f"{ts // 10**9}.{ts % 10**9:09d}", str(len(data))] for ts, data in frames]
