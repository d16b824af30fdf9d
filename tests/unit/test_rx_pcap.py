"""The pcap backend against files written here byte by byte, and against scapy's own writers.

SPDX-License-Identifier: MIT
"""

import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest
from hwgw_sim.receiver import Receiver

from hwgw.errors import ConfigError
from hwgw.native import lib

SHARED = Path(__file__).resolve().parents[3] / "shared/data/mold"
NS = 1_580_425_200_123_456_789
FRAMES = [bytes([i]) * (60 + i) for i in range(5)]
NONE = 0xFFFF


def pcap(records, order="<", nano=False, link=1, magic=None):
    """records: (time in ns, frame) or (time, frame, captured, original)."""
    out = struct.pack(order + "IHHiIII", magic or (0xA1B23C4D if nano else 0xA1B2C3D4), 2, 4, 0, 0, 65535, link)
    for ts, frame, *lengths in records:
        captured, original = lengths or (len(frame), len(frame))
        out += struct.pack(order + "IIII", ts // 10**9, ts % 10**9 // (1 if nano else 1000), captured, original) + frame
    return out


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def section(order):
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order, resolution=None, offset=None, link=1, snap=0):
    options = struct.pack(order + "HH", 2, 3) + b"if0\0"  # if_name, padded to four bytes
    if resolution is not None:
        options += struct.pack(order + "HHBxxx", 9, 1, resolution)
    if offset is not None:
        options += struct.pack(order + "HHq", 14, 8, offset)
    return block(order, 1, struct.pack(order + "HHI", link, 0, snap) + options + bytes(4))


def enhanced(order, frame, units, index=0, captured=None, original=None):
    captured = len(frame) if captured is None else captured
    original = len(frame) if original is None else original
    head = struct.pack(order + "IIIII", index, units >> 32, units & 0xFFFFFFFF, captured, original)
    return block(order, 6, head + frame + bytes(-len(frame) % 4) + struct.pack(order + "HHI", 2, 4, 1) + bytes(4))


def obsolete(order, frame, units, index=0):
    head = struct.pack(order + "HHIIII", index, 0, units >> 32, units & 0xFFFFFFFF, len(frame), len(frame))
    return block(order, 2, head + frame)


def simple(order, frame, original=None):
    return block(order, 3, struct.pack(order + "I", original or len(frame)) + frame)


@pytest.fixture
def read(tmp_path):
    """Everything a file gives: [(time, frame)], counters, description."""

    def inner(data):
        path = tmp_path / "capture"
        path.write_bytes(data)
        with Receiver("pcap", path=str(path)) as rx:
            frames = rx.drain()
            assert rx.ended
            assert all(frame.flow == NONE for frame in frames)
            stats = rx.stats()
            assert stats["frames"] == len(frames)
            assert stats["bytes"] == sum(len(frame.data) for frame in frames)
            return [(frame.ts_ns, frame.data) for frame in frames], stats, rx.description

    return inner


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("nano", [False, True], ids=["us", "ns"])
def test_pcap_gives_frames_and_times(read, order, nano):
    records = [(NS + i * 1000, frame) for i, frame in enumerate(FRAMES)]
    found, stats, _ = read(pcap(records, order, nano))
    assert found == [(ts if nano else ts // 1000 * 1000, frame) for ts, frame in records]
    assert stats["drop_file"] == stats["drop_truncated"] == 0


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_pcapng_gives_every_kind_of_packet_block(read, order):
    file = section(order) + interface(order, resolution=9)
    file += enhanced(order, FRAMES[0], NS) + block(order, 5, bytes(12)) + block(order, 0x80000BAD, b"vendor block")
    file += obsolete(order, FRAMES[1], NS + 1) + simple(order, FRAMES[2]) + enhanced(order, FRAMES[3], NS + 3)
    found, stats, description = read(file)
    assert found == [(NS, FRAMES[0]), (NS + 1, FRAMES[1]), (0, FRAMES[2]), (NS + 3, FRAMES[3])]
    assert stats["drop_file"] == 0
    assert "pcapng" in description


@pytest.mark.parametrize(
    ("resolution", "offset", "units", "want"),
    [
        (None, None, NS // 1000, NS // 1000 * 1000),
        (0, None, 1_580_425_200, 1_580_425_200 * 10**9),
        (3, None, NS // 10**6, NS // 10**6 * 10**6),
        (9, None, NS, NS),
        (12, None, 5_123_456_789_999, 5_123_456_789),
        (30, None, 2**64 - 1, 0),
        (0x80 | 0, None, 12, 12 * 10**9),
        (0x80 | 20, None, 3 * 2**20 + 2**19, 3_500_000_000),
        (0x80 | 63, None, 2**63 + 2**62, 1_500_000_000),
        (0x80 | 64, None, 2**63, 500_000_000),
        (0x80 | 127, None, 2**64 - 1, 0),
        (9, 1_000_000_000, 7, 10**18 + 7),
        (9, -1, 3 * 10**9, 2 * 10**9),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_interface_options_scale_the_time(read, order, resolution, offset, units, want):
    found, _, _ = read(section(order) + interface(order, resolution, offset) + enhanced(order, FRAMES[0], units))
    assert found == [(want, FRAMES[0])]


def test_each_packet_uses_its_own_interface(read):
    file = section("<") + interface("<", 9) + interface("<", 6, offset=100)
    file += (
        enhanced("<", FRAMES[0], 5, index=1)
        + enhanced("<", FRAMES[1], 5, index=0)
        + obsolete("<", FRAMES[2], 6, index=1)
    )
    found, _, _ = read(file)
    assert [ts for ts, _ in found] == [100_000_005_000, 5, 100_000_006_000]


def test_queue_is_the_interface_within_its_section(tmp_path):
    """Comments, statistics, name resolution, secrets and custom blocks between them change nothing."""
    comment = struct.pack("<HH", 1, 6) + b"a note\0\0" + bytes(4)
    head = struct.pack("<IIIII", 1, 0, 77, len(FRAMES[1]), len(FRAMES[1]))
    commented = block("<", 6, head + FRAMES[1] + bytes(-len(FRAMES[1]) % 4) + comment)
    file = block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + comment)
    file += interface("<", 9) + interface("<", 9) + enhanced("<", FRAMES[0], 76, index=0) + commented
    for kind in (4, 5, 10, 0xBAD, 0x40000BAD):
        file += block("<", kind, bytes(20) + comment)
    file += interface("<", 9) + enhanced("<", FRAMES[2], 78, index=2) + obsolete("<", FRAMES[3], 79, index=1)
    file += simple("<", FRAMES[4]) + section(">") + interface(">", 9) + enhanced(">", FRAMES[0], 80)
    (tmp_path / "capture").write_bytes(file)
    with Receiver("pcap", path=str(tmp_path / "capture")) as rx:
        frames = rx.drain()
        assert [frame.queue for frame in frames] == [0, 1, 2, 1, 0, 0]
        assert [frame.ts_ns for frame in frames] == [76, 77, 78, 79, 0, 80]
        assert [frame.data for frame in frames] == [*FRAMES, FRAMES[0]]
        assert rx.accounted() == 6
        assert lib.hwgw_rx_clock(rx.rx) == lib.HWGW_RX_CLOCK_CAPTURE


def test_what_wireshark_merged_reads_back_as_wireshark_reads_it(tmp_path):
    if missing := [program for program in ("mergecap", "tshark") if not shutil.which(program)]:
        pytest.skip(f"{', '.join(missing)} is not installed")
    parts = [tmp_path / "a.pcap", tmp_path / "b.pcap"]
    parts[0].write_bytes(pcap([(NS + 2 * i, frame) for i, frame in enumerate(FRAMES)], nano=True))
    parts[1].write_bytes(pcap([(NS + 2000 * i, frame[::-1]) for i, frame in enumerate(FRAMES)], order=">"))
    merged = tmp_path / "merged.pcapng"
    run = {"check": True, "capture_output": True, "text": True}
    subprocess.run(["mergecap", "-F", "pcapng", "-I", "none", "-w", merged, *parts], **run)
    fields = ["frame.interface_id", "frame.time_epoch", "frame.len"]
    options = [word for field in fields for word in ("-e", field)]
    said = subprocess.run(["tshark", "-n", "-r", merged, "-T", "fields", *options], **run).stdout.splitlines()
    with Receiver("pcap", path=str(merged)) as rx:
        frames = rx.drain()
        assert len(frames) == len(said) == 10
        for frame, line in zip(frames, said, strict=True):
            number, seconds, length = line.split()
            whole, _, fraction = seconds.partition(".")
            assert (frame.queue, len(frame.data)) == (int(number), int(length))
            assert frame.ts_ns == int(whole) * 10**9 + int(fraction.ljust(9, "0"))
        assert {frame.queue for frame in frames} == {0, 1}
        assert rx.accounted() == 10


def test_sections_may_have_different_byte_orders_and_interfaces(read):
    file = section("<") + interface("<", 9) + enhanced("<", FRAMES[0], 1)
    file += section(">") + interface(">", 6) + enhanced(">", FRAMES[1], 2)
    file += section("<") + enhanced("<", FRAMES[2], 3)  # this one has no interface
    found, stats, _ = read(file)
    assert found == [(1, FRAMES[0]), (2000, FRAMES[1])]
    assert stats["drop_file"] == 1


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_scapy_files_read_back_exactly(read, tmp_path, kind):
    scapy = pytest.importorskip("scapy.all", reason="scapy is not installed")
    packets = [scapy.Ether(frame) for frame in FRAMES]
    for i, packet in enumerate(packets):
        packet.time = 1_600_000_000 + i
    path = tmp_path / "scapy"
    (scapy.wrpcap if kind == "pcap" else scapy.wrpcapng)(str(path), packets)
    found, stats, _ = read(path.read_bytes())
    assert found == [((1_600_000_000 + i) * 10**9, frame) for i, frame in enumerate(FRAMES)]
    assert stats["drop_file"] == 0


@pytest.mark.parametrize("name", ["aapl_20200130_first10k.mold.pcap", "open_20191230_first1000.mold.pcap"])
def test_shared_captures_give_the_frames_that_scapy_reads(read, name):
    scapy = pytest.importorskip("scapy.all", reason="scapy is not installed")
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is absent")
    found, stats, _ = read((SHARED / name).read_bytes())
    with scapy.RawPcapReader(str(SHARED / name)) as reader:
        want = [data for data, _ in reader]
    assert len(want) > 50
    assert [frame for _, frame in found] == want
    assert stats["drop_file"] == 0


def boundaries(file, first, sizes):
    """Where each record begins and ends."""
    ends = [first]
    for size in sizes:
        ends.append(ends[-1] + size)
    assert ends[-1] == len(file)
    return ends


def test_a_pcap_cut_anywhere_gives_its_whole_records_and_one_drop(read):
    file = pcap([(NS, frame) for frame in FRAMES])
    ends = boundaries(file, 24, [16 + len(frame) for frame in FRAMES])
    for length in range(24, len(file) + 1):
        found, stats, description = read(file[:length])
        whole = sum(end <= length for end in ends[1:])
        assert [frame for _, frame in found] == FRAMES[:whole]
        assert stats["drop_file"] == (length not in ends)
        assert ("damaged at byte" in description) == (length not in ends)


def test_a_pcapng_cut_anywhere_gives_its_whole_records_and_one_drop(read):
    parts = [section("<"), interface("<", 9), *(enhanced("<", frame, NS) for frame in FRAMES)]
    file = b"".join(parts)
    ends = boundaries(file, len(parts[0]), [len(part) for part in parts[1:]])
    for length in range(ends[0], len(file) + 1):
        found, stats, _ = read(file[:length])
        whole = sum(end <= length for end in ends[2:])
        assert [frame for _, frame in found] == FRAMES[:whole]
        assert stats["drop_file"] == (length not in ends)


def test_reading_goes_on_behind_a_record_whose_framing_holds(read):
    file = section("<") + interface("<", 9)
    file += enhanced("<", FRAMES[0], 1, index=7)  # no such interface
    file += enhanced("<", FRAMES[0], 1, captured=4000, original=4000)  # longer than its block
    file += enhanced("<", FRAMES[0], 1, original=10)  # captured more than there was
    file += block("<", 6, bytes(8)) + block("<", 3, b"") + block("<", 1, b"")  # too short for their kind
    file += interface("<", 9, link=113) + enhanced("<", FRAMES[0], 1, index=1)  # Linux cooked, behind the first packet
    file += enhanced("<", FRAMES[1], 2)
    found, stats, description = read(file)
    assert found == [(2, FRAMES[1])]
    assert stats["drop_file"] == 7
    assert "damaged at" not in description
    found, stats, _ = read(pcap([(NS, FRAMES[0], len(FRAMES[0]), 10), (NS, FRAMES[1])], nano=True))
    assert found == [(NS, FRAMES[1])]
    assert stats["drop_file"] == 1


@pytest.mark.parametrize("length", [0, 8, 11, 13, 0xFFFFFFFF, 0xFFFFFFF0])
def test_an_impossible_block_length_ends_the_file_with_one_drop(read, length):
    file = section("<") + interface("<", 9) + enhanced("<", FRAMES[0], 1)
    at = len(file)
    file += struct.pack("<II", 6, length) + bytes(200)
    found, stats, description = read(file)
    assert [frame for _, frame in found] == FRAMES[:1]
    assert stats["drop_file"] == 1
    assert f"damaged at byte {at}" in description


def test_a_block_length_that_is_no_multiple_of_four_ends_the_file_with_one_drop(read):
    body = enhanced("<", FRAMES[1], 1)[8:-4] + b"x"
    size = struct.pack("<I", 12 + len(body))
    odd = struct.pack("<I", 6) + size + body + size
    found, stats, _ = read(
        section("<") + interface("<") + enhanced("<", FRAMES[0], 1) + odd + enhanced("<", FRAMES[2], 1)
    )
    assert (len(found), stats["drop_file"]) == (1, 1)


def test_block_lengths_that_differ_end_the_file_with_one_drop(read):
    bad = bytearray(enhanced("<", FRAMES[1], 1))
    bad[-1] ^= 1
    found, stats, _ = read(
        section("<") + interface("<") + enhanced("<", FRAMES[0], 1) + bad + enhanced("<", FRAMES[2], 1)
    )
    assert (len(found), stats["drop_file"]) == (1, 1)


def test_an_absurd_record_length_ends_the_pcap_with_one_drop(read):
    file = pcap([(NS, FRAMES[0]), (NS, bytes(300_000), 300_000, 300_000)])
    found, stats, _ = read(file)
    assert (len(found), stats["drop_file"]) == (1, 1)


def test_frames_the_capture_cut_off_are_truncated(read):
    found, stats, _ = read(pcap([(NS, FRAMES[0][:40], 40, 60), (NS, FRAMES[1])], nano=True))
    assert found == [(NS, FRAMES[1])]
    assert (stats["drop_truncated"], stats["drop_file"]) == (1, 0)
    found, stats, _ = read(
        section("<") + interface("<", snap=40) + simple("<", FRAMES[0][:40], 60) + simple("<", FRAMES[1][:20], 20)
    )
    assert found == [(0, FRAMES[1][:20])]
    assert (stats["drop_truncated"], stats["drop_file"]) == (1, 0)


@pytest.mark.parametrize(
    ("link", "name"),
    [(113, "Linux cooked"), (276, "Linux cooked v2"), (101, "raw IP"), (0, "BSD loopback"), (127, "127")],
)
def test_other_link_types_are_refused_by_name(read, link, name):
    for file in (
        pcap([(NS, FRAMES[0])], link=link),
        section("<") + interface("<", link=link) + enhanced("<", FRAMES[0], 1),
    ):
        with pytest.raises(ConfigError, match=f"link type {link} .*only Ethernet") as caught:
            read(file)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\xd4", "neither pcap nor pcapng"),
        (b"hello, world", "neither pcap nor pcapng"),
        (pcap([])[:23], "ends inside the file header"),
        (section("<")[:20], "section header is damaged"),
        (block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 2, 0, -1)), "section header is damaged"),
        (block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x11111111, 1, 0, -1)), "section header is damaged"),
    ],
)
def test_files_that_are_no_capture_are_refused_with_the_reason(read, data, reason):
    with pytest.raises(ConfigError, match=reason):
        read(data)


def test_a_missing_file_and_a_directory_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        Receiver("pcap", path=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="not a regular file"):
        Receiver("pcap", path=str(tmp_path))


def test_a_capture_without_packets_ends_at_once(read):
    for file in (pcap([]), section("<"), section(">") + interface(">")):
        found, stats, _ = read(file)
        assert (found, stats["drop_file"]) == ([], 0)


def test_capture_time_holds_frames_back(tmp_path):
    path = tmp_path / "paced"
    steps_s = [0, 0.05, 0.05, 0.12]
    path.write_bytes(pcap([(NS + int(step * 1e9), FRAMES[0]) for step in steps_s], nano=True))
    with Receiver("pcap", path=str(path), capture_time=True) as rx:
        start = time.monotonic()
        came = []
        while not rx.ended and time.monotonic() - start < 5:
            cnt = len(rx.poll())
            came += [time.monotonic() - start] * cnt
    assert len(came) == len(steps_s)
    # the backend's clock starts at its first poll, a moment behind ours
    assert all(step <= at < step + 1 for at, step in zip(came, steps_s, strict=True)), came


def test_without_capture_time_everything_comes_at_once(tmp_path):
    path = tmp_path / "paced"
    path.write_bytes(pcap([(NS + i * 10**9, FRAMES[0]) for i in range(300)]))
    with Receiver("pcap", path=str(path)) as rx:
        assert [len(rx.poll(100)), len(rx.poll()), len(rx.poll()), rx.ended] == [100, 200, 0, True]
