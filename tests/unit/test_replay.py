"""Replay: a capture into a pipeline on its own clock, and the schedule of its frames on a wire.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import socket
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hwgw_sim.stream import Stream
from support.captures import pcap
from support.market import until
from support.rig import frame, mold

from hwgw import replay, send
from hwgw.backtest.offline import flows_of
from hwgw.bad_line import Faults, Line
from hwgw.errors import CheckFailed
from hwgw.feeds.source import Flow

SEED = int(os.environ.get("HWGW_SEED", "1"))
START_NS, STEP_NS, PER_FRAME = 1_700_000_000 * 10**9, 1_000_000, 10


def day(cnt: int = 200, step_ns: int = STEP_NS) -> list[tuple[int, bytes]]:
    with Stream(SEED, 3, 50) as stream:
        messages = stream.messages(cnt * PER_FRAME)
    return [
        (START_NS + i * step_ns, frame(mold(1 + i * PER_FRAME, messages[i * PER_FRAME : (i + 1) * PER_FRAME])))
        for i in range(cnt)
    ]


def hwgw(*args: str) -> Any:
    return subprocess.run([sys.executable, "-m", "hwgw.cli", *args], capture_output=True, text=True, timeout=300)


def told(*args: str) -> dict[str, Any]:
    done = hwgw("replay", *args, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_capture_goes_through_a_pipeline_with_exact_ledgers(tmp_path: Path) -> None:
    """The books at the end are those of hwgw decode, and a second line of the same messages is counted as such."""
    frames = day()
    path = pcap(tmp_path / "day.pcap", [each for pair in zip(frames, frames, strict=True) for each in pair])
    found = told(str(path), "--to", "gateway")
    assert found["schema"] == "hwgw.replay/1"
    assert (found["frames"], found["messages"]) == (400, 200 * PER_FRAME)
    assert found["ledgers"]["frames"]["dropped"] == {"mold.drop_duplicate": 200}
    assert all(row["exact"] for row in found["ledgers"].values())
    assert found["span_ns"] == 199 * STEP_NS
    decoded = json.loads(hwgw("decode", str(path), "--summary", "--json").stdout)
    assert found["book_hash"] == decoded["book_hash"]


def test_a_hole_is_shown_and_a_window_counts_from_the_first_frame(tmp_path: Path) -> None:
    frames = day()
    path = pcap(tmp_path / "hole.pcap", frames[:50] + frames[51:])
    found = told(str(path), "--to", "gateway")
    assert found["states"] != ["good"]
    whole = pcap(tmp_path / "day.pcap", frames)
    found = told(str(whole), "--to", "gateway", "--until", "100ms", "--speed", "max")
    assert found["frames"] == 100


def test_slices_of_a_capture_are_the_capture_and_a_bar_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hwgw.backtest import offline, setting
    from hwgw.feeds import progress

    path = pcap(tmp_path / "day.pcap", day())
    settings, flows = setting.watching(setting.symbols_of(path)), offline.flows_of(path)
    whole = offline.run(path, settings, flows)
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    monkeypatch.setattr(offline, "SLICE_FRAMES", 7)
    found = offline.run(path, settings, flows, progress=True)
    assert (found.frames, found.book_hash, found.counters) == (200, whole.book_hash, whole.counters)
    drawn = capsys.readouterr().err
    assert drawn.count(" frames, ") == -(-200 // 7)
    assert "]   4%  7 frames, " in drawn
    assert "[##############################] 100%  200 frames, " in drawn
    assert drawn.endswith("\r\x1b[K")


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--to", "gateway", "--speed", "5y"], 2, "--speed 5y: recorded, max, and Nx"),
        (["--to", "gateway", "--from", "2s", "--until", "1s"], 2, "is not behind --from"),
        (["--to", "gateway", "--from", "2"], 2, "the unit is missing"),
        (["--to", "nowhere0", "--config", "x.yaml"], 2, "--config: it goes with --journal and --to gateway"),
        (["--to", "lo", "--lines", "A,B"], 2, "--lines: it goes with --to G:P"),
        (["--to", "gateway", "--speed", "2x"], 2, "--speed 2x: a pipeline without a network"),
        (["--to", "gateway", "--speed", "recorded"], 2, "max is allowed"),
        (["--to", "gateway", "--backend", "packet"], 2, "--backend: it goes with --to IF; --to gateway takes --to, --"),
        (["--to", "239.1.2.3:5000", "--backend", "auto"], 2, "--backend: it goes with --to IF; --to G:P takes"),
        (["--to", "gateway", "--name", "x"], 2, "goes with --to; --journal takes --journal, --verify, --name"),
        (["--to", "239.1.2.3:0"], 2, "--to 239.1.2.3:0: allowed is IPV4:PORT"),
        (["--to", "239.1.2.3:5000", "--lines", "C"], 2, "--lines C: A, B, and A,B are allowed"),
        (["--to", "239.1.2.3:5000", "--faults", "loss=2"], 2, "faults 'loss=2'"),
        (["--to", "239.1.2.3:5000", "--local-address", "192.0.2.1"], 5, "local address 192.0.2.1"),
        (["--to", "239.1.2.3:5000", "--faults", "outage=0-9"], 1, "every packet was lost"),
        (["--to", "lo", "--from", "1h"], 1, "no frame from"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, args: list[str], code: int, says: str) -> None:
    done = hwgw("replay", str(pcap(tmp_path / "day.pcap", day(5))), *args)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_damage_wrong_protocols_and_times_that_go_back_are_named(tmp_path: Path) -> None:
    frames = day(20)
    back = pcap(tmp_path / "back.pcap", [*frames[:10], frames[5], *frames[10:]])
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(pcap(tmp_path / "whole.pcap", frames).read_bytes()[:-7])
    other = pcap(tmp_path / "other.pcap", [(START_NS, frame(b"GET / HTTP/1.1\r\n\r\n"))])
    for path, says in (
        (back, "frame 11 is of an earlier time"),
        (cut, r"behind frame 19 the file is cut short|damaged"),
        (other, "no MoldUDP64 packet"),
    ):
        for to in ("gateway", "127.0.0.1:9"):
            done = hwgw("replay", str(path), "--to", to)
            assert done.returncode == 1, done.stderr
            assert re.search(says, done.stderr)


def test_a_part_keeps_the_schedule_of_its_frames(tmp_path: Path) -> None:
    source = send.read(pcap(tmp_path / "day.pcap", day(50)))
    part = send.part(source, 10 * STEP_NS, 20 * STEP_NS, Fraction(1))
    assert part.due_ns is not None
    assert part.due_ns.tolist() == [i * STEP_NS for i in range(10)]
    assert bytes(part.frames[0]) == bytes(source.frames[10])
    faster = send.part(source, 0, None, Fraction(5, 2))
    assert faster.due_ns is not None
    assert faster.due_ns.tolist() == [i * STEP_NS * 2 // 5 for i in range(50)]
    assert int(np.diff(faster.due_ns).max()) == STEP_NS * 2 // 5
    with pytest.raises(CheckFailed, match="no frame from"):
        send.part(source, 10**12, None, Fraction(1))


@pytest.mark.skipif(os.geteuid() != 0, reason="sending frames needs root")
def test_frames_leave_on_an_interface(tmp_path: Path) -> None:
    """On loopback, ten times as fast as recorded: all of them, not sooner than their times."""
    found = told(str(pcap(tmp_path / "day.pcap", day(200))), "--to", "lo", "--backend", "packet", "--speed", "10x")
    assert (found["frames"], found["sent"], found["dropped"], found["unsent"]) == (200, 200, {}, 0)
    assert found["seconds"] >= 199 * STEP_NS / 10 / 1e9
    assert found["late_ns"]["max"] >= found["late_ns"]["p50"] >= 0


# ---- to a group and port, through the kernel ----


class Listener:
    """UDP sockets on loopback with room for all that is sent."""

    def __init__(self, cnt: int) -> None:
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(cnt)]
        for each in self.sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)

    @property
    def to(self) -> str:
        return ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in self.sockets)

    def taken(self, line: int) -> list[bytes]:
        """All that has come to one of them."""
        found = []
        while select.select([self.sockets[line]], [], [], 0)[0]:
            found.append(self.sockets[line].recv(2000))
        return found

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.sockets:
            each.close()


HEAD = 14 + 20 + 8  # Ethernet, IPv4, UDP


def test_packets_of_one_line_leave_on_two_through_the_kernel(tmp_path: Path) -> None:
    frames = day(300)
    path = pcap(tmp_path / "day.pcap", [each for pair in zip(frames, frames, strict=True) for each in pair])
    with Listener(2) as listener:
        found = told(str(path), "--to", listener.to, "--speed", "max")
        wanted = [data[HEAD:] for _, data in frames for _ in range(2)]  # one group: one line brought both
        assert [listener.taken(line) for line in range(2)] == [wanted, wanted]
        assert (found["backend"], found["frames"], found["sent"], found["dropped"]) == ("kernel", 1200, 1200, {})
        only = told(str(path), "--to", listener.to, "--lines", "B", "--speed", "max", "--until", "100ms")
        assert (only["sent"], listener.taken(0), len(listener.taken(1))) == (200, [], 200)


def test_a_socket_sends_one_schedule_behind_another_and_each_is_counted(tmp_path: Path) -> None:
    recorded = replay.recording(pcap(tmp_path / "day.pcap", day(30)))
    with Listener(1) as listener:
        host, port = listener.to.split(":")
        source, _ = replay.lines(recorded, flows_of(tmp_path / "day.pcap"), [0])
        with send.Datagrams([(host, int(port))]) as out:
            reports = [send.run(out, source, send.Rate("max"), count) for count in (30, 70, 5)]
            assert [(report.taken, report.sent, report.dropped) for report in reports] == [
                (30, 30, {}),
                (70, 70, {}),
                (5, 5, {}),
            ]
            assert out.stats() == {"tx_frames": 105, "tx_drop_refused": 0}
        assert len(listener.taken(0)) == 105


def test_what_arrives_through_bad_lines_is_what_the_same_line_lets_through(tmp_path: Path) -> None:
    """The schedule of a replay against the line fed packet by packet; and its report against what came."""
    frames = day(400)
    path, spec = pcap(tmp_path / "day.pcap", frames), "loss=5%,duplicate=3%,damage=2%,reorder=8,outage=0.1-0.15,seed=9"
    expected = []
    for seed in (9, 10):
        with Line(Faults(0.05, 0.03, 0.02, 8, 0, (0.1, 0.15), seed)) as line:
            out: list[bytes] = []
            for index, (_, data) in enumerate(frames):
                line.take(data[HEAD:], index * STEP_NS / 1e9)
                out += line.give(index * STEP_NS / 1e9)
            out += line.give(1e6)
            expected.append((out, line.stats))
    with Listener(2) as listener:
        found = told(str(path), "--to", listener.to, "--faults", spec)
        came = [listener.taken(line) for line in range(2)]
    for line, (packets, stats) in enumerate(expected):
        assert sorted(came[line]) == sorted(packets)
        assert found["faults"][line] == stats
        assert len(came[line]) == stats["taken"] - stats["lost"] + stats["duplicated"]
    assert came[0] != came[1]
    assert found["sent"] == sum(map(len, came)) == sum(found["late_steps"].values())


def test_a_pipeline_behind_bad_lines_repairs_one_with_the_other(tmp_path: Path) -> None:
    """Line B has what A lost; the books are those of the whole recording, and every frame is accounted for."""
    frames = day(400)
    second = [(ns, frame(data[HEAD:], group=0xE9360C70)) for ns, data in frames]
    path = pcap(tmp_path / "two.pcap", [each for pair in zip(frames, second, strict=True) for each in pair])
    whole = told(str(path), "--to", "gateway")
    found = told(str(path), "--to", "gateway", "--faults", "loss=10%,damage=2%", "--faults", "duplicate=5%")
    assert found["book_hash"] == whole["book_hash"]
    assert found["states"] == ["good"]
    assert found["faults"][0]["lost"] > 10 < found["faults"][1]["duplicated"]
    assert found["frames"] == 800 + sum(each["duplicated"] - each["lost"] for each in found["faults"])
    assert all(row["exact"] for row in found["ledgers"].values())


def test_frames_that_are_rebuilt_around_damage_are_whole_frames(tmp_path: Path) -> None:
    """By C's own parser, which checks lengths and the IP checksum: every frame is of the flow, with what is left."""
    source = replay.recording(pcap(tmp_path / "day.pcap", day(300)))
    flows = [Flow("233.54.12.111", 26477)]
    made, (stats,) = replay.degrade(source, flows, [Faults(damage=1.0, seed=SEED)])
    found = replay._payloads(made, flows)
    assert stats["damaged"] == 300
    assert len(made) == 300 - stats["lost"]
    assert found["flow"].tolist() == [0] * len(made)
    assert (found["len"] < source.frames["len"].min() - HEAD).any()
    steps = np.diff(np.asarray(made.due_ns).astype(np.int64))
    assert (steps >= 0).all()


def records(path: Path, messages: list[bytes]) -> Path:
    """A BinaryFILE: the length of each message in two bytes, and the message."""
    path.write_bytes(b"".join(struct.pack(">H", len(each)) + each for each in messages))
    return path


def instants(cnt: int, per: int) -> list[bytes]:
    """Messages of which so many share a time."""
    with Stream(SEED, 3, 50) as stream:
        found = stream.messages(cnt)
    return [
        each[:5] + (10**9 * 34_200 + index // per * STEP_NS).to_bytes(6, "big") + each[11:]
        for index, each in enumerate(found)
    ]


def test_a_binaryfile_is_framed_and_its_books_are_those_of_decode(tmp_path: Path) -> None:
    messages = instants(2000, 7)
    path = records(tmp_path / "day.itch50", messages)
    found = told(str(path), "--to", "gateway")
    assert (found["frames"], found["messages"]) == (-(-2000 // 7), 2000)
    assert found["span_ns"] == (2000 - 1) // 7 * STEP_NS
    assert found["states"] == ["good"]
    assert all(row["exact"] for row in found["ledgers"].values())
    assert found["book_hash"] == json.loads(hwgw("decode", str(path), "--summary", "--json").stdout)["book_hash"]


def test_packets_of_a_binaryfile_share_an_instant_and_fit_an_mtu(tmp_path: Path) -> None:
    """Read back by their bytes; every frame is taken by C's own parser, which checks lengths and the IP checksum."""
    messages = instants(900, 90)  # 90 messages at once are more than a packet holds
    path = records(tmp_path / "day.itch50", messages)
    flow = Flow("233.54.12.111", 26477)
    source = replay.recording(path)
    assert replay._payloads(source, [flow])["flow"].tolist() == [0] * len(source)
    with Listener(1) as listener:
        assert told(str(path), "--to", listener.to, "--speed", "max")["sent"] == len(source)
        packets = listener.taken(0)
    assert len(packets) == len(source) > 10
    seq, found = 1, []
    for packet in packets:
        session, number, cnt = struct.unpack(">10sQH", packet[:20])
        assert (session, number) == (b"HWGWREPLAY", seq)
        at, times = 20, set()
        for _ in range(cnt):
            (size,) = struct.unpack_from(">H", packet, at)
            found.append(packet[at + 2 : at + 2 + size])
            times.add(found[-1][5:11])
            at += 2 + size
        assert (at, len(times)) == (len(packet), 1)
        assert len(packet) <= 1472
        seq += cnt
    assert found == messages
    steps = np.unique(np.diff(np.asarray(source.due_ns).astype(np.int64)))
    assert steps.tolist() == [0, STEP_NS]


def test_a_folder_is_replayed_file_by_file(tmp_path: Path) -> None:
    frames = day(200)
    whole = told(str(pcap(tmp_path / "whole.pcap", frames)), "--to", "gateway")
    folder = tmp_path / "day"
    folder.mkdir()
    pcap(folder / "1.pcap", frames[:120])
    pcap(folder / "2.pcap", frames[120:])
    found = told(str(folder), "--to", "gateway")
    keys = ("frames", "messages", "span_ns", "book_hash", "states")
    assert [found[key] for key in keys] == [whole[key] for key in keys]
    with Listener(1) as listener:
        assert told(str(folder), "--to", listener.to, "--speed", "max")["sent"] == 200
        assert listener.taken(0) == [data[HEAD:] for _, data in frames]


def test_a_day_in_several_binaryfiles_is_one_feed(tmp_path: Path) -> None:
    """Messages are numbered on from file to file: none is taken for one that was there before."""
    messages = instants(2000, 7)
    whole = told(str(records(tmp_path / "day.itch50", messages)), "--to", "gateway")
    folder = tmp_path / "day"
    folder.mkdir()
    for number, (begin, end) in enumerate(((0, 700), (700, 1211), (1211, 2000))):
        records(folder / f"{number}.itch50", messages[begin:end])
    found = told(str(folder), "--to", "gateway")
    keys = ("frames", "messages", "span_ns", "book_hash", "states")
    assert [found[key] for key in keys] == [whole[key] for key in keys]
    assert found["messages"] == 2000


def test_recordings_that_do_not_go_together_are_named(tmp_path: Path) -> None:
    frames = day(20)
    swapped, other, empty, mixed = (tmp_path / name for name in ("swapped", "other", "empty", "mixed"))
    for folder in (swapped, other, empty, mixed):
        folder.mkdir()
    pcap(swapped / "1.pcap", frames[10:])
    pcap(swapped / "2.pcap", frames[:10])
    pcap(other / "1.pcap", frames[:10])
    pcap(other / "2.pcap", [(ns, frame(data[HEAD:], group=0xE9360C70)) for ns, data in frames[10:]])
    messages = instants(20, 1)
    pcap(mixed / "2.pcap", frames)
    records(mixed / "1.itch50", messages)
    cut = records(tmp_path / "cut.itch50", messages)
    cut.write_bytes(cut.read_bytes()[:-3])
    back = records(tmp_path / "back.itch50", [*messages[:10], messages[3], *messages[10:]])
    for path, says in (
        (swapped, "2.pcap: begins before the end of the file before it"),
        (other, r"2.pcap: channels and lines 233.54.12.112:26477; allowed are those of .*1.pcap: 233.54.12.111:26477"),
        (empty, "there is no file in the folder"),
        (mixed, "mixed: captures and BinaryFILEs, whose times are not of one kind; allowed is one of both"),
        (cut, "cut.itch50: offset [0-9]+: a record of"),
        (back, "frame 11 is of an earlier time than the one before it, by 6000000 ns"),
        (records(tmp_path / "text.itch50", [b"GET / HTTP/1.1"]), "is no ITCH 5.0 message; allowed is BinaryFILE"),
        (records(tmp_path / "short.itch50", [*messages[:4], b"A123"]), "a message of 4 bytes has no time"),
    ):
        done = hwgw("replay", str(path), "--to", "127.0.0.1:9" if path == swapped else "gateway")
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
        assert re.search(says, done.stderr), done.stderr
    done = hwgw("replay", str(back), "--to", "gateway", "--group", "239.1.2.3:5000", "--group", "239.1.2.4:5000")
    assert (done.returncode, "is framed for one group" in done.stderr) == (2, True), done.stderr


class Keyboard:
    """A replay at a hundredth of the recorded speed, on a terminal: nothing moves unless a key says so."""

    def __init__(self, path: Path, listener: Listener) -> None:
        self.controller, self._terminal = pty.openpty()
        self._shown = b""
        command = [sys.executable, "-m", "hwgw.cli", "replay", str(path), "--to", listener.to, "--speed", "0.01x"]
        self.process = subprocess.Popen(
            command, stdin=self._terminal, stderr=self._terminal, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Keyboard:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self.controller)
        os.close(self._terminal)

    def has(self, what: bytes) -> bool:
        while select.select([self.controller], [], [], 0)[0]:
            self._shown += os.read(self.controller, 4096)
        return what in self._shown

    def press(self, keys: bytes, what: bytes) -> None:
        """Type, and wait until something is shown that was not before."""
        self._shown = b""
        os.write(self.controller, keys)
        until(lambda: self.has(what), f"it says {what!r}: {self._shown!r}")

    def end(self) -> str:
        os.write(self.controller, b"q")
        said, _ = self.process.communicate(timeout=20)
        return said


def test_keys_pause_step_seek_and_end(tmp_path: Path) -> None:
    path = pcap(tmp_path / "day.pcap", day(3000))
    with Listener(1) as listener, Keyboard(path, listener) as keyboard:
        until(lambda: keyboard.has(b"of 2.999 s, frame"), "the line is shown")
        keyboard.press(b" ", b"paused")
        before = len(listener.taken(0))
        keyboard.press(b"\x1b[C\x1b[C", b"frame 2,")
        assert listener.taken(0) == []
        keyboard.press(b".", b"frame 2,")
        until(lambda: bool(select.select(listener.sockets, [], [], 0)[0]), "one frame comes")
        keyboard.press(b"\x1b[D", b"paused 1.")
        stepped = listener.taken(0)
        said = keyboard.end()
    assert len(stepped) == 1
    seq = struct.unpack_from(">Q", stepped[0], 10)[0]
    assert 20_000 <= seq < 20_000 + 10 * (before + 3), "two seconds behind where it was paused"
    assert f"{before + 1} of 3,000 frames" in said
    assert keyboard.process.returncode == 0


def test_keys_seek_by_minutes_and_to_a_time_of_the_capture(tmp_path: Path) -> None:
    """A frame a second for two hours, from 22:13:20 UTC on: frame 1 waits when the first has left at once."""
    path = pcap(tmp_path / "day.pcap", day(7200, 10**9))
    with Listener(1) as listener, Keyboard(path, listener) as keyboard:
        until(lambda: keyboard.has(b"g HH:MM:SS Enter"), "the keys are shown")
        until(lambda: keyboard.has(b"frame 1 of 7,200  22:13:21"), "the first frame has left")
        assert keyboard.has(b"down up 1 minute  PgDn PgUp 10 minutes")
        keyboard.press(b" ", b"paused 1.000 of 7,199.000 s")
        for keys, shown in (
            (b"\x1b[A", b"frame 61 of 7,200  22:14:21"),
            (b"\x1b[5~", b"frame 661 of 7,200  22:24:21"),
            (b"\x1b[B", b"frame 601 of"),
            (b"\x1b[6~", b"frame 1 of"),
            (b"\x1b[6~", b"frame 0 of"),
            (b"g22:3", b"go to 22:3_"),
            (b"1\x7f0:00\r", b"paused 1,000.000 of 7,199.000 s, frame 1,000 of 7,200  22:30:00"),
            (b"g00:00:05\n", b"frame 6,405 of 7,200  00:00:05"),  # of the next day
            (b"g22:13:20\r", b"frame 0 of"),
            (b"g22:13:19\r", b"22:13:19: 22:13:20 to 00:13:19 are allowed  0.000 of"),
            (b"g24:00:00\r", b"24:00:00: HH:MM:SS is allowed"),
            (b"g2", b"go to 2_"),
            (b"x", b"paused 0.000 of"),
            (b"g23:13:20\r", b"frame 3,600 of"),
        ):
            keyboard.press(keys, shown)
        listener.taken(0)
        keyboard.press(b".", b"frame 3,601 of 7,200  23:13:21")
        (stepped,) = listener.taken(0)
        said = keyboard.end()
    assert struct.unpack_from(">Q", stepped, 10)[0] == 1 + 3600 * PER_FRAME
    assert "2 of 7,200 frames" in said
    assert keyboard.process.returncode == 0
