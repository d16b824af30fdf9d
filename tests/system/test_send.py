"""hwgw send on a veth pair: every frame leaves once, as it is, when it is due, and lateness is told.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hwgw_sim import wire
from hwgw_sim.wire import Wire
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.utils import RawPcapWriter
from support import forked
from support.forked import Forked

from hwgw import rx, send
from hwgw.cli import execute

FLOW = "239.1.2.3:26400"

pytestmark = [
    pytest.mark.root,
    pytest.mark.afxdp,
    pytest.mark.skipif(bool(wire.missing()), reason=f"no network namespace of our own: {wire.missing()}"),
]


@pytest.fixture(scope="module")
def pair() -> Iterator[Wire]:
    with Wire() as made:
        yield made


@pytest.fixture
def receiver(pair: Wire) -> Iterator[rx.Receiver]:
    """What leaves the other end, all of it, with the kernel's time."""
    with pair.inside("rx"):
        opened = rx.open("packet", interface=pair.device["rx"], all_frames=True, frame_cnt=1 << 15, timestamps=True)
    with opened:
        yield opened


def command(pair: Wire, *options: str | Path) -> list[str]:
    return [sys.executable, "-m", "hwgw.cli", "send", "--interface", pair.device["tx"], *map(str, options)]


def sent(pair: Wire, *options: str | Path, exit_code: int = 0) -> dict[str, Any]:
    with pair.inside("tx"):
        done = forked.run(command(pair, *options, "--json"))
    assert done.returncode == exit_code, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def arrived(receiver: rx.Receiver) -> list[tuple[int, bytes]]:
    """What has come: the kernel's time in ns and the frame."""
    got: list[tuple[int, bytes]] = []
    while len(batch := receiver.recv(4096, timeout=0.2)):
        got += zip(batch.timestamp_ns.tolist(), (view.tobytes() for view in batch), strict=True)
    assert receiver.ledger().drops == {}
    return got


def recorded(path: Path, cnt: int, rng: random.Random, gap_ns: int = 100_000) -> list[tuple[int, bytes]]:
    now, frames = 1_700_000_000_000_000_000, []
    for _ in range(cnt):
        now += rng.randrange(2 * gap_ns)
        frames.append((now, bytes.fromhex("01005e010203020000000001") + rng.randbytes(rng.randrange(50, 1500))))
    with RawPcapWriter(str(path), linktype=1, nano=True) as writer:
        writer.write_header(None)
        for ts, data in frames:
            writer.write_packet(data, sec=ts // 10**9, usec=ts % 10**9)
    return frames


@pytest.mark.parametrize("backend", ["packet", "afxdp"])
def test_a_recording_is_sent_as_it_was_recorded(
    pair: Wire, receiver: rx.Receiver, tmp_path: Path, rng: random.Random, backend: str
) -> None:
    frames = recorded(tmp_path / "x.pcap", 2000, rng)
    report = sent(pair, tmp_path / "x.pcap", "--backend", backend)
    got = arrived(receiver)
    assert [data for _, data in got] == [data for _, data in frames]
    assert (report["taken"], report["sent"], report["dropped"], report["unsent"]) == (2000, 2000, {}, 0)
    assert report["bytes"] == sum(len(data) for _, data in frames)
    assert report["exact"]
    assert report["rate"]["wanted"] == "recorded"
    # no frame left before it was due, and none later than the report says
    start = min(ts - due for (ts, _), (due, _) in zip(got, frames, strict=True))
    late = [ts - due - start for (ts, _), (due, _) in zip(got, frames, strict=True)]
    assert min(late) == 0
    assert max(late) < report["late_ns"]["max"] + 20_000_000  # and the way through the kernel of a busy machine
    assert set(report["late_ns"]) == {"p50", "p99", "p999", "max"}
    assert report["late_ns"]["p50"] <= report["late_ns"]["p99"] <= report["late_ns"]["max"]


def test_a_file_is_looped_and_counted(pair: Wire, receiver: rx.Receiver, tmp_path: Path, rng: random.Random) -> None:
    frames = [data for _, data in recorded(tmp_path / "x.pcap", 300, rng, 1000)]
    assert sent(pair, tmp_path / "x.pcap", "--loop", "3")["sent"] == 900
    assert sent(pair, tmp_path / "x.pcap", "--count", "450", "--rate", "max")["sent"] == 450
    assert [data for _, data in arrived(receiver)] == frames * 4 + frames[:150]


@pytest.mark.parametrize("options", ["", "checksum=on", "checksum=on len=1001 vlan=7"])
def test_datagrams_are_numbered_and_hold_the_time_they_were_due(
    pair: Wire, receiver: rx.Receiver, options: str
) -> None:
    before = time.time_ns()
    report = sent(pair, "--template", f"udp {FLOW} {options}", "--rate", "1kpps", "--count", "400")
    got = [Ether(data) for _, data in arrived(receiver)]
    assert len(got) == report["sent"] == 400
    payloads = [bytes(packet[UDP].payload) for packet in got]
    assert [struct.unpack_from(">Q", data)[0] for data in payloads] == list(range(400))
    due = [struct.unpack_from(">Q", data, 8)[0] for data in payloads]
    assert before < due[0] < time.time_ns()
    assert {due[n] - due[0] for n in (1, 399)} <= {
        *range(999_998, 1_000_003),
        *range(399_000_000 - 20, 399_000_000 + 20),
    }
    for packet in got:
        said = (packet[IP].chksum, packet[UDP].chksum)
        del packet[IP].chksum, packet[UDP].chksum
        again = Ether(bytes(packet))
        assert said == (again[IP].chksum, again[UDP].chksum if "checksum" in options else 0)
    assert got[0][IP].src == pair.address["tx"]
    assert ("vlan" in options) == (Dot1Q in got[0])
    assert report["rate"]["pps"] == pytest.approx(1000, rel=0.5)  # a busy machine hands over late


def test_a_rate_in_bits_is_that_of_the_frames(pair: Wire, receiver: rx.Receiver) -> None:
    sent(pair, "--template", f"udp {FLOW} len=958", "--rate", "8Mbps", "--count", "300")  # 1,000 bytes each: 1 ms
    due = [struct.unpack_from(">Q", data, 50)[0] for _, data in arrived(receiver)]
    assert len(due) == 300
    assert due[299] - due[0] == pytest.approx(299_000_000, abs=100)


def test_a_stopped_sender_catches_up_and_the_delay_is_in_the_lateness_of_every_frame(
    pair: Wire, receiver: rx.Receiver
) -> None:
    """No coordinated omission: frames that were due while it stood still count from when they were due."""
    options = ["--template", f"udp {FLOW}", "--rate", "2000pps", "--count", "2000", "--json"]
    with (
        pair.inside("tx"),
        Forked(command(pair, *options), stdout=subprocess.PIPE, text=True) as process,
    ):
        assert len(receiver.recv(timeout=20))
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.4)
        process.send_signal(signal.SIGCONT)
        stdout, _ = process.communicate(timeout=30)
    report = json.loads(stdout)
    assert (report["sent"], report["exact"]) == (2000, True)
    assert report["late_ns"]["max"] > 350_000_000
    assert report["late_ns"]["p99"] > 300_000_000  # 800 of 2,000 frames were due in that time
    assert report["rate"]["pps"] == pytest.approx(2000, rel=0.1)  # and it has caught up


def test_ctrl_c_ends_in_order_with_a_report(pair: Wire, receiver: rx.Receiver) -> None:
    options = ["--template", f"udp {FLOW}", "--rate", "1000pps", "--count", "1000000", "--json"]
    with (
        pair.inside("tx"),
        Forked(command(pair, *options), stdout=subprocess.PIPE, text=True) as process,
    ):
        first = receiver.recv(timeout=20)
        assert len(first)
        cnt = len(first)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=20)
    report = json.loads(stdout)
    assert process.returncode == 0
    assert report["exact"]
    assert report["sent"] == cnt + len(arrived(receiver)) > 50


def test_frames_that_are_too_long_are_lost_by_name_and_end_with_1(
    pair: Wire, receiver: rx.Receiver, tmp_path: Path
) -> None:
    with RawPcapWriter(str(tmp_path / "x.pcap"), linktype=1, nano=True) as writer:
        writer.write_header(None)
        for size in (60, 9000, 100):
            writer.write_packet(b"\x02" * size, sec=1, usec=0)
    report = sent(pair, tmp_path / "x.pcap", exit_code=1)
    assert (report["taken"], report["sent"], report["dropped"], report["exact"]) == (3, 2, {"long": 1}, True)
    assert [len(data) for _, data in arrived(receiver)] == [60, 100]


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        ((), 2, "name what to send: FILE, or --template"),
        (("x.pcap", "--template", f"udp {FLOW}"), 2, "name what to send"),
        (
            ("--template", f"udp {FLOW}", "--count", "5"),
            2,
            "--template needs --rate, and --count or --seconds",
        ),
        (("--template", f"udp {FLOW}", "--rate", "recorded", "--count", "5"), 2, "a template has no recorded times"),
        (("--template", f"udp {FLOW}", "--rate", "5", "--count", "5"), 2, "rate 5: allowed are recorded, max"),
        (("nothere.pcap",), 3, "nothere.pcap: No such file"),
        (("nothere.pcap", "--count", "1", "--loop", "1"), 2, "--count and --loop say the same"),
    ],
)
def test_a_mistake_is_one_line_with_its_exit_code(
    pair: Wire, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], exit_code: int, message: str
) -> None:
    with pair.inside("tx"):
        assert execute(["send", "--interface", pair.device["tx"], *options]) == exit_code
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert message in said.err


def test_a_schedule_in_this_process_needs_a_receiver_that_can_send(pair: Wire) -> None:
    with pair.inside("tx"):
        source = send.datagrams(f"udp {FLOW}", pair.device["tx"])
        with rx.open("packet", interface=pair.device["tx"], tx_only=True, tx_frame_cnt=1024) as out:
            report = send.run(out, source, send.Rate.parse("max"), count=20_000)
    assert (report.taken, report.sent, report.dropped, report.late_ns) == (20_000, 20_000, {}, {})
    assert report.pps > 0
