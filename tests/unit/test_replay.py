"""Replay: a capture into a pipeline on its own clock, and the schedule of its frames on a wire.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hwgw_sim.stream import Stream
from support.rig import frame, mold

from hwgw import send
from hwgw.errors import CheckFailed

SEED = int(os.environ.get("HWGW_SEED", "1"))
START_NS, STEP_NS, PER_FRAME = 1_700_000_000 * 10**9, 1_000_000, 10


def pcap(path: Path, frames: list[tuple[int, bytes]]) -> Path:
    """A pcap file with nanoseconds (draft-ietf-opsawg-pcap, section 4 and 5)."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)]
    for ns, data in frames:
        out.append(struct.pack("<IIII", ns // 10**9, ns % 10**9, len(data), len(data)) + data)
    path.write_bytes(b"".join(out))
    return path


def day(cnt: int = 200) -> list[tuple[int, bytes]]:
    with Stream(SEED, 3, 50) as stream:
        messages = stream.messages(cnt * PER_FRAME)
    return [
        (START_NS + i * STEP_NS, frame(mold(1 + i * PER_FRAME, messages[i * PER_FRAME : (i + 1) * PER_FRAME])))
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
    found = told(str(whole), "--to", "gateway", "--until", "100ms")
    assert found["frames"] == 100


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--to", "gateway", "--speed", "5y"], 2, "--speed 5y: recorded, max, and Nx"),
        (["--to", "gateway", "--from", "2s", "--until", "1s"], 2, "is not behind --from"),
        (["--to", "gateway", "--from", "2"], 2, "the unit is missing"),
        (["--to", "nowhere0", "--config", "x.yaml"], 2, "go with --to gateway"),
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
    for path, says in ((back, "frame 11 is of an earlier time"), (cut, "damaged"), (other, "no MoldUDP64 packet")):
        done = hwgw("replay", str(path), "--to", "gateway")
        assert done.returncode == 1, done.stderr
        assert says in done.stderr


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
