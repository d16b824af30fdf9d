"""hwgw capture on a veth pair: the files hold what was sent, frame by frame, and the ledger is exact.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hwgw_sim import wire
from hwgw_sim.exchange.process import ExchangeProcess
from hwgw_sim.wire import Wire, udp_frame
from support import captures
from support.forked import Forked, inside

from hwgw import rx
from hwgw.cli import execute

GROUPS = ("239.1.2.3:26400", "239.1.2.4:26401")
READY_S = 20

pytestmark = [
    pytest.mark.root,
    pytest.mark.afxdp,
    pytest.mark.skipif(bool(wire.missing()), reason=f"no network namespace of our own: {wire.missing()}"),
]


@pytest.fixture(scope="module")
def pair() -> Iterator[Wire]:
    with Wire() as made:
        yield made


class Capturing:
    """A running `hwgw capture` in the receiving namespace."""

    def __init__(self, pair: Wire, *options: str | Path, popen: Any = Forked, **kwargs: Any) -> None:
        command = [sys.executable, "-m", "hwgw.cli", "capture", "-v", pair.device["rx"], *map(str, options)]
        with pair.inside("rx"):
            self.process = popen(
                command, stdout=subprocess.PIPE, stderr=kwargs.pop("stderr", subprocess.PIPE), text=True, **kwargs
            )
        if self.process.stderr is not None:
            self.first = self.process.stderr.readline()  # with -v it says what was opened

    def end(self, number: int = signal.SIGINT) -> tuple[str, str]:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[str, str]:
        stdout, stderr = self.process.communicate(timeout=30)
        return stdout, stderr

    def __enter__(self) -> Capturing:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def numbered(cnt: int, rng: random.Random) -> list[bytes]:
    """Frames of both groups, each with its number and a random length."""
    frames = []
    for number in range(cnt):
        group, port = GROUPS[number % 2].split(":")
        frames.append(udp_frame(group, int(port), number.to_bytes(4, "big") + rng.randbytes(rng.randrange(1400))))
    return frames


def send(pair: Wire, frames: list[bytes], pause_every: int = 50) -> None:
    with pair.packet_socket("tx") as raw:
        for number, data in enumerate(frames):
            raw.send(data)
            if number % pause_every == 0:
                time.sleep(0.001)


def test_the_file_holds_every_frame_of_the_groups_and_no_other(pair: Wire, tmp_path: Path, rng: random.Random) -> None:
    frames = numbered(3000, rng)
    other = udp_frame("239.9.9.9", 9, b"not asked for")
    mixed = [data for pair_ in zip(frames, [other] * len(frames), strict=True) for data in pair_]
    target = tmp_path / "out.pcapng"
    before_ns = time.time_ns()
    with Capturing(pair, "--group", GROUPS[0], "--group", GROUPS[1], "--write", target, "--json") as capture:
        assert "afxdp" in capture.first
        send(pair, mixed)
        stdout, _ = capture.end()
    assert capture.process.returncode == 0
    found = captures.read(target)
    assert [data for _, data in found.frames] == frames
    times = [ts for ts, _ in found.frames]
    assert times == sorted(times)
    assert before_ns < times[0] < times[-1] < time.time_ns()
    report = json.loads(stdout)
    assert report["schema"] == "hwgw.capture/1"
    assert report["ledger"] == {"offered": 3000, "written": 3000, "dropped": {}, "exact": True}
    assert report["files"] == [str(target)]
    assert report["bytes"] == target.stat().st_size
    (statistics,) = found.statistics
    assert (statistics["usrdeliv"], statistics["filteraccept"], statistics["osdrop"]) == (3000, 3000, 0)
    assert "ifrecv" not in statistics  # what the filter let pass is known, what the interface received is not


def test_rotation_under_load_loses_nothing_between_files(pair: Wire, tmp_path: Path, rng: random.Random) -> None:
    frames = numbered(4000, rng)
    target = tmp_path / "out.pcapng"
    options = ["--group", GROUPS[0], "--group", GROUPS[1], "--write", target, "--rotate-size", "200kB", "--json"]
    with Capturing(pair, *options, "--count", "4000") as capture:
        send(pair, frames)
        stdout, _ = capture.wait()
    assert capture.process.returncode == 0
    report = json.loads(stdout)
    names = sorted(tmp_path.glob("out.*.pcapng"))
    assert len(names) == report["file_cnt"] > 10
    assert [str(name) for name in names] == report["files"]
    parts = [captures.read(name) for name in names]
    assert [data for part in parts for _, data in part.frames] == frames
    assert sum(part.statistics[0]["usrdeliv"] for part in parts) == 4000
    assert all(name.stat().st_size <= 200_000 for name in names)


def test_frames_of_several_queues_lie_in_one_file_with_their_queue(tmp_path: Path, rng: random.Random) -> None:
    target = tmp_path / "out.pcapng"
    frames = numbered(400, rng)
    with Wire(queues=2) as pair:
        options = ["--group", GROUPS[0], "--group", GROUPS[1], "--count", "400"]  # all queues, unless told
        with Capturing(pair, *options, "--write", target) as capture:
            for queue in (0, 1):
                with pair.inside("tx"):
                    out = rx.open("afxdp", interface=pair.device["tx"], queues=[queue], tx_only=True, tx_frame_cnt=256)
                with out:
                    assert out.send(frames[queue::2]) == 200
                    assert out.flush(5) == 0
            capture.wait()
    assert capture.process.returncode == 0
    found = captures.read(target)
    for queue in (0, 1):
        of_queue = [data for (_, data), at in zip(found.frames, found.queues, strict=True) if at == queue]
        assert of_queue == frames[queue::2]


def test_losses_of_a_stopped_capture_stand_in_ledger_and_file(pair: Wire, tmp_path: Path) -> None:
    """While the process is stopped the ring overflows; what is lost is counted, in the report and in the file."""
    target = tmp_path / "out.pcapng"
    frames = [udp_frame("239.1.2.3", 26400, number.to_bytes(4, "big") * 20) for number in range(3000)]
    with Capturing(pair, "--group", GROUPS[0], "--frames", "1024", "--write", target, "--json") as capture:
        send(pair, frames[:500], pause_every=10)
        time.sleep(0.3)
        capture.process.send_signal(signal.SIGSTOP)
        send(pair, frames[500:2500])
        capture.process.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        send(pair, frames[2500:], pause_every=10)
        time.sleep(0.1)
        stdout, _ = capture.end(signal.SIGTERM)
    ledger = json.loads(stdout)["ledger"]
    assert ledger["exact"]
    assert ledger["offered"] == 3000
    lost = sum(ledger["dropped"].values())
    assert lost > 1000
    found = captures.read(target)
    assert len(found.frames) == ledger["written"] == 3000 - lost
    (statistics,) = found.statistics
    assert statistics["usrdeliv"] == 3000 - lost
    assert statistics["osdrop"] + statistics["ifdrop"] == lost
    assert statistics["filteraccept"] == 3000
    numbers = [int.from_bytes(data[42:46], "big") for _, data in found.frames]
    assert numbers == sorted(set(numbers))
    assert numbers[:500] == list(range(500))
    assert numbers[-500:] == list(range(2500, 3000))


def test_a_full_disk_ends_with_5_and_what_was_not_written_is_in_the_ledger(pair: Wire) -> None:
    with Capturing(pair, "--group", GROUPS[0], "--write", "/dev/full", "--json") as capture:
        send(pair, [udp_frame("239.1.2.3", 26400, bytes(100))] * 200)
        stdout, stderr = capture.wait()
    assert capture.process.returncode == 5
    assert stderr == "hwgw capture: /dev/full: No space left on device; what was written before is complete\n"
    ledger = json.loads(stdout)["ledger"]
    assert ledger["exact"]
    assert (ledger["written"], ledger["dropped"].get("disk")) == (0, ledger["offered"])


def test_seconds_end_a_capture_of_nothing_with_a_complete_file(pair: Wire, tmp_path: Path) -> None:
    target = tmp_path / "out.pcapng"
    with Capturing(pair, "--group", GROUPS[0], "--write", target, "--seconds", "200ms") as capture:
        stdout, stderr = capture.wait()
    assert (capture.process.returncode, stderr) == (0, "")
    assert stdout.startswith("0 frames = 0 written + 0 lost (none)\n")
    assert captures.read(target).frames == []


def test_a_terminal_shows_one_status_line_that_goes_away(pair: Wire, tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    with Capturing(
        pair, "--group", GROUPS[0], "--write", tmp_path / "out.pcapng", "--seconds", "700ms", stderr=follower
    ) as capture:
        os.close(follower)
        stdout, _ = capture.wait()
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal whose other side is closed
        while part := os.read(leader, 4096):
            shown += part
    os.close(leader)
    status = shown.decode().replace("\r\n", "\n")
    assert status.count("\r\x1b[K0 frames, 0.0 MB in 1 files, up") >= 3
    assert status.endswith("\r\x1b[K")
    assert status.count("\n") == 1  # of the remark that -v asked for
    assert "0 frames = 0 written" in stdout


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        ((), 2, "name the frames: --group G:P (repeatable), or --all"),
        (("--group", "239.1.2.3"), 3, "groups '239.1.2.3': allowed is IPV4:PORT"),
        (("--group", GROUPS[0], "--rotate-size", "5MB5"), 2, "--rotate-size 5MB5: allowed are N, NkB, NMB"),
        (("--group", GROUPS[0], "--rotate-size", "5"), 2, "from 65536 to"),
        (("--group", GROUPS[0], "--rotate-time", "5d"), 2, "--rotate-time 5d: allowed are N, Nms, Ns, Nmin, Nh"),
        (("--group", GROUPS[0], "--files", "3"), 2, "--files 3 goes with --rotate-size or --rotate-time"),
        (("--group", GROUPS[0], "--queues", "a"), 2, "--queues a: allowed are numbers and ranges, such as 0,2-3"),
        (("--group", GROUPS[0], "--queues", "7"), 3, "queue 7"),
    ],
)
def test_a_mistake_is_one_line_with_its_exit_code(
    pair: Wire,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    exit_code: int,
    message: str,
) -> None:
    target = tmp_path / "out.pcapng"
    with pair.inside("rx"):
        assert execute(["capture", pair.device["rx"], "--write", str(target), *options]) == exit_code
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert message in said.err
    assert not target.exists()


def test_frames_of_queues_that_are_not_taken_are_told_with_what_takes_them(tmp_path: Path) -> None:
    with (
        Wire(queues=2) as wire2,
        Capturing(wire2, "--group", GROUPS[0], "--queues", "0", "--write", tmp_path / "x.pcapng") as capture,
    ):
        with (
            wire2.inside("tx"),
            rx.open("afxdp", interface=wire2.device["tx"], queues=[1], tx_only=True, tx_frame_cnt=64) as out,
        ):
            group, port = GROUPS[0].split(":")
            assert out.send([udp_frame(group, int(port), bytes(20))] * 30) == 30
            assert out.flush(5) == 0
        stdout, _ = capture.end()
    assert "30 frames = 0 written + 30 lost (other_queue 30)" in stdout
    assert "--queues takes more" in stdout
    assert max(len(line) for line in stdout.splitlines() if str(tmp_path) not in line) < 80


@pytest.mark.parametrize("backend", ["afxdp", "auto"])
def test_without_privilege_the_error_names_what_is_needed(pair: Wire, tmp_path: Path, backend: str) -> None:
    command = [sys.executable, "-m", "hwgw.cli", "capture", pair.device["rx"], "--group", GROUPS[0]]
    command += ["--backend", backend, "--write", str(tmp_path / "x.pcapng")]
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--clear-groups", "--no-new-privs"]
    if subprocess.run([*bare, sys.executable, "-c", "import hwgw.cli"], check=False, capture_output=True).returncode:
        pytest.skip("another user may not read this Python or this tree")
    with pair.inside("rx"):
        done = subprocess.run([*bare, *command], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 4
    assert "CAP_NET_RAW" in done.stderr or "CAP_NET_ADMIN" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(bool(captures.missing()), reason=f"missing: {captures.missing()}")
def test_a_capture_of_the_exchange_is_dissected_by_wireshark(pair: Wire, tmp_path: Path) -> None:
    """The packets that the exchange says it sent are in the file, each MoldUDP64 to Wireshark, with every message."""
    target = tmp_path / "out.pcapng"
    with Capturing(pair, "--group", "239.192.0.1:26400", "--write", target, "--json") as capture:
        options = ["--messages", "20000", "--rate", "100000", "--group", "239.192.0.1", "--port", "26400"]
        options += ["--interface", pair.device["tx"], "--listen", "none"]
        with ExchangeProcess(options, inside(pair._lab.exchange)) as exchange:
            report = exchange.wait(30)
        stdout, _ = capture.end()
    sent = report["frames_sent"]
    ledger = json.loads(stdout)["ledger"]
    assert ledger["exact"]
    assert ledger["written"] == sent
    assert f"Number of packets:   {sent}\n" in captures.wireshark("capinfos", "-M", target)
    fields = ["-T", "fields", "-e", "frame.protocols", "-e", "moldudp64.sequence", "-e", "moldudp64.count"]
    rows = captures.wireshark("tshark", "-r", target, "-d", "udp.port==26400,moldudp64", *fields).splitlines()
    got = [row.split("\t") for row in rows]
    assert len(got) == sent
    assert all("moldudp64" in protocols for protocols, _, _ in got)
    messages = sum(int(count) for _, _, count in got if int(count) != 0xFFFF)
    assert messages == report["messages_sent"] >= 20000
