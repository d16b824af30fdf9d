"""Rates, templates and schedules: what is read, what is made of it, what is refused. Nothing is sent here.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.utils import RawPcapWriter

from hwgw import rx, send
from hwgw.errors import CheckFailed, ConfigError, DeviceError, UsageError
from hwgw.native import call, ffi, lib


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10000pps", ("frames", 10_000_000)),
        ("2.5Mpps", ("frames", 2_500_000_000)),
        ("0.001pps", ("frames", 1)),
        ("0.29kpps", ("frames", 290_000)),
        ("10Mbps", ("bits", 10_000_000_000)),
        ("100Gbps", ("bits", 10**14)),
        ("recorded", ("recorded", 0)),
        ("max", ("max", 0)),
    ],
)
def test_a_rate_is_read_exactly(text: str, rate: tuple[str, int]) -> None:
    found = send.Rate.parse(text)
    assert (found.kind, found.milli) == rate


@pytest.mark.parametrize(
    "text", ["", "10", "pps", "-1pps", "1e6pps", "0pps", "10 pps", "2Tbps", "10000Gbps", "MAX", "¹pps"]
)
def test_a_wrong_rate_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(UsageError, match=rf"rate {text}: allowed are recorded, max, and N with one of pps, kpps"):
        send.Rate.parse(text)


# ---- templates, read by scapy ----


def first(template: str) -> Any:
    source = send.datagrams(template, "lo")
    return Ether(source.keep[0].tobytes())


def test_a_template_becomes_the_datagram_that_it_describes() -> None:
    packet = first("udp 239.129.2.3:26400 len=100 sport=4000 ttl=7 dscp=46 src=10.1.2.3 smac=02:00:00:00:0a:0B")
    assert (packet.dst, packet.src, packet.type) == ("01:00:5e:01:02:03", "02:00:00:00:0a:0b", 0x0800)
    ip, udp = packet[IP], packet[UDP]
    assert (ip.version, ip.ihl, ip.tos, ip.len, ip.id, ip.flags, ip.ttl) == (4, 5, 46 << 2, 128, 0, "DF", 7)
    assert (ip.src, ip.dst, udp.sport, udp.dport, udp.len, udp.chksum) == (
        "10.1.2.3",
        "239.129.2.3",
        4000,
        26400,
        108,
        0,
    )
    assert len(udp.payload) == 100
    said = ip.chksum
    del ip.chksum
    assert IP(bytes(ip)).chksum == said


def test_what_a_template_leaves_out_comes_from_the_interface() -> None:
    packet = first("udp 239.1.2.3:5")
    assert (packet[IP].src, packet.src) == ("127.0.0.1", "00:00:00:00:00:00")
    assert (packet[IP].ttl, packet[UDP].sport, len(packet[UDP].payload)) == (16, 40000, 64)


def test_a_vlan_tag_stands_before_the_datagram() -> None:
    source = send.datagrams("udp 239.1.2.3:5 vlan=100 checksum=on", "lo")
    packet = Ether(source.keep[0].tobytes())
    assert (packet[Dot1Q].vlan, packet[Dot1Q].type, packet[UDP].dport) == (100, 0x0800, 5)
    assert (source.number_at, source.time_at, source.udp_at) == (46, 54, 38)


def test_a_batch_of_frames_shares_no_memory() -> None:
    source = send.datagrams("udp 239.1.2.3:5 len=16", "lo")
    assert len(source) == lib.HWGW_BATCH_MAX
    addresses = source.frames["data"]
    assert np.diff(addresses.astype(np.int64)).min() >= 58
    assert int(addresses[0]) == source.keep.__array_interface__["data"][0]


@pytest.mark.parametrize(
    ("template", "error", "reason"),
    [
        ("tcp 239.1.2.3:5", UsageError, 'allowed is "udp ADDRESS:PORT'),
        ("udp", UsageError, 'allowed is "udp ADDRESS:PORT'),
        ("udp 239.1.2:5", UsageError, "'239.1.2' is no IPv4 address"),
        ("udp 239.1.2.3", UsageError, "is no IPv4 address"),
        ("udp 239.1.2.3:0", UsageError, "port=0: allowed are 1 to 65535"),
        ("udp 239.1.2.3:5 len=15", UsageError, "len=15: allowed are 16 to 65508"),
        ("udp 239.1.2.3:5 len=65509", UsageError, "len=65509"),
        ("udp 239.1.2.3:5 ttl=256", UsageError, "ttl=256: allowed are 1 to 255"),
        ("udp 239.1.2.3:5 vlan=4095", UsageError, "vlan=4095: allowed are 1 to 4094"),
        ("udp 239.1.2.3:5 speed=5", UsageError, "speed=5: allowed are len, sport, ttl"),
        ("udp 239.1.2.3:5 ttl=5 ttl=6", UsageError, "ttl=6: allowed are .* each once"),
        ("udp 239.1.2.3:5 smac=2:0:0:0:0:0", UsageError, "allowed is a MAC address"),
        ("udp 239.1.2.3:5 checksum=yes", UsageError, "checksum=yes: allowed are on and off"),
        ("udp 203.0.113.77:5", ConfigError, "lo has no MAC address for it; give dmac="),
    ],
)
def test_a_wrong_template_is_refused(template: str, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        send.datagrams(template, "lo")


def test_an_interface_that_is_not_there_is_named() -> None:
    with pytest.raises(DeviceError, match="the MTU of nothere0: No such device"):
        send.datagrams("udp 239.1.2.3:5", "nothere0")


# ---- files ----


def write(path: Path, times_ns: list[int]) -> Path:
    with RawPcapWriter(str(path), linktype=1, nano=True) as writer:
        writer.write_header(None)
        for number, ts in enumerate(times_ns):
            writer.write_packet(bytes([number]) * 60, sec=ts // 10**9, usec=ts % 10**9)
    return path


def test_due_times_of_a_file_are_those_of_the_recording_and_never_fall(tmp_path: Path) -> None:
    start = 1_700_000_000_000_000_000
    source = send.read(write(tmp_path / "x.pcap", [start, start + 5, start + 3, start + 900]))
    assert source.due_ns is not None
    assert source.due_ns.tolist() == [0, 5, 5, 900]
    assert source.pass_ns == 900 + 300  # the next pass begins one mean gap later
    assert source.frames["len"].tolist() == [60] * 4


def test_a_file_that_cannot_be_sent_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="there is no frame in it"):
        send.read(write(tmp_path / "x.pcap", []))
    path = write(tmp_path / "y.pcap", [1, 2, 3])
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    with pytest.raises(CheckFailed, match=r"y\.pcap: 1 records cannot be sent \(file 1\)"):
        send.read(path)
    path.write_bytes(data[:24] + struct.pack("<IIII", 0, 0, 60, 99) + data[40:])
    with pytest.raises(CheckFailed, match=r"1 records cannot be sent \(truncated 1\)"):
        send.read(path)


def test_a_recording_without_duration_is_not_repeated(tmp_path: Path) -> None:
    source = send.read(write(tmp_path / "x.pcap", [5]))
    with rx.open("pcap", path=tmp_path / "x.pcap") as receiver:
        with pytest.raises(UsageError, match="the recording has no duration"):
            send.run(receiver, source, send.Rate.parse("recorded"), count=2)
        with pytest.raises(UsageError, match="opened without tx_frame_cnt"):
            send.run(receiver, source, send.Rate.parse("max"), count=2)


# ---- schedules ----


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"frame_cnt": 0}, "no frame to send"),
        ({"number_at": 42}, "too few frames to number"),
        ({"frame_cnt": 256, "number_at": 53}, "too short for what is to be written into it"),
        ({"frame_cnt": 256, "time_at": 53}, "too short"),
        ({"frame_cnt": 256, "udp_at": 19}, "too short"),
        ({"due_ns": [5, 4, 6]}, "a due time is before the last"),
        ({"due_ns": [5, 6, 7], "pass_ns": 6}, "a pass ends before its last frame is due"),
    ],
)
def test_an_impossible_schedule_is_refused(fields: dict[str, Any], reason: str) -> None:
    frames = ffi.new("struct hwgw_frame[256]", [{"len": 60}] * 256)
    due = ffi.new("uint64_t[]", fields.pop("due_ns")) if "due_ns" in fields else ffi.NULL
    cfg = ffi.new("struct hwgw_pace_cfg *", {"frames": frames, "frame_cnt": 3, "due_ns": due, **fields})
    with pytest.raises(UsageError, match=f"pace: .*{reason}"):
        call(lib.hwgw_pace_open, ffi.new("struct hwgw_pace **"), cfg)
