"""The shared segment: who owns it, what outlives its owner, and that nobody reads half of anything."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hwgw_sim.golden import crc32c

from hwgw import specs
from hwgw.errors import CheckFailed, HwgwError, UsageError
from hwgw.native import ffi, lib
from hwgw.segment import Segment, gateways

BLOCKS = (
    "thread_offset", "counter_offset", "symbol_offset", "tob_offset", "position_offset", "limits_offset", "hist_offset",
)  # fmt: skip


@pytest.fixture
def name():
    name = f"test-{os.getpid()}-{time.monotonic_ns() % 1_000_000}"
    yield name
    Path(f"/dev/shm/hwgw-{name}").unlink(missing_ok=True)


def run_python(code: str, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=30, check=False)


def start_owner(name: str) -> subprocess.Popen:
    code = (
        "import sys,time\nfrom hwgw.segment import Segment\n"
        "s = Segment.create(sys.argv[1], ['AAPL'])\nprint('up', flush=True)\ntime.sleep(30)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, name], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    return owner


def kill(owner: subprocess.Popen) -> None:
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()


def test_an_observer_sees_what_the_owner_wrote(name):
    with Segment.create(name, ["AAPL", "MSFT"]) as owner, Segment.attach(name) as observer:
        owner.positions[1]["pos"] = -7
        counters = lib.hwgw_segment_counters(owner.pointer, 0)
        counters[lib.HWGW_CNT_NET_DROP_FRAGMENT] = 3
        assert observer.symbols == ("AAPL", "MSFT")
        assert int(observer.positions[1]["pos"]) == -7
        assert {key: value for key, value in observer.counters().items() if value} == {"net.drop_fragment": 3}
        assert name in gateways()
    assert name not in gateways()


def test_an_observer_cannot_write(name):
    code = (
        "import sys\nfrom hwgw.segment import Segment\ns = Segment.attach(sys.argv[1])\n"
        "s.control['halt'] = 1\nprint('wrote')"
    )
    with Segment.create(name, []):
        done = run_python(code, name)
    assert done.returncode == -signal.SIGSEGV
    assert "wrote" not in done.stdout


def test_a_second_gateway_of_a_name_is_refused_with_the_pid_of_the_first(name):
    owner = start_owner(name)
    try:
        with pytest.raises(UsageError, match=f"already running \\(pid {owner.pid}\\)"):
            Segment.create(name, [])
        with Segment.attach(name) as seen:
            assert seen.running()
    finally:
        kill(owner)


def test_what_a_killed_gateway_left_is_replaced_and_old_observers_keep_their_view(name):
    owner = start_owner(name)
    with Segment.attach(name) as old:
        kill(owner)
        assert not old.running()
        with Segment.create(name, ["AAPL", "MSFT", "IBM"]) as new:
            assert old.symbols == ("AAPL",)
            assert int(old.positions[0]["pos"]) == 0
            assert new.symbols == ("AAPL", "MSFT", "IBM")
    assert not list(Path("/dev/shm").glob(f"hwgw-{name}*"))


@pytest.mark.parametrize(("reason", "survives"), [("operator", True), ("state", True), ("control_lost", False)])
def test_a_halt_outlives_a_crash_unless_the_crash_was_its_reason(name, reason, survives):
    owner = start_owner(name)
    with Segment.attach(name, writable=True) as tool:
        assert tool.halt("why", reason)
        assert not tool.halt("again", reason)
    kill(owner)
    with Segment.create(name, ["AAPL"]) as again:
        if survives:
            assert [(row["reason"], row["text"]) for row in again.halts] == [(reason, "why")]
            assert again.resume(reason) == (reason,)
            assert again.resume(reason) == ()
        assert again.halted is None


def test_a_second_reason_does_not_hide_behind_the_first_and_each_is_cleared_by_name(name):
    with Segment.create(name, []) as owner:
        assert owner.halt("the operator said so")
        assert owner.halt("an order that cannot be", "state")
        assert owner.halt("below the limit", "loss")
        assert {row["reason"]: row["text"] for row in owner.halts} == {
            "operator": "the operator said so",
            "state": "an order that cannot be",
            "loss": "below the limit",
        }
        assert [row["time_ns"] for row in owner.halts] == sorted(row["time_ns"] for row in owner.halts)
        assert owner.resume("operator", "clock") == ("operator",)
        assert {row["reason"] for row in owner.halts} == {"state", "loss"}
        assert set(owner.resume()) == {"state", "loss"}
        assert owner.halted is None
        assert owner.halt("anew", "loss")
        assert [row["text"] for row in owner.halts] == ["anew"]
        owner.resume()


def test_what_others_wrote_into_it_makes_no_lines_and_moves_no_cursor(name, hwgw):
    """A person into a halt, a feed into the name of its session, a venue into the reason of a session."""
    bad = b"x\n\x1b[2Jy"
    with Segment.create(name, ["AAPL"]) as owner:
        owner.halt(bad.decode())
        kind = specs.dtype("segment", "channel")
        channel = np.frombuffer(ffi.buffer(lib.hwgw_segment_channel(owner.pointer, 0, 0), kind.itemsize), kind)
        channel["line_cnt"], channel["session"] = 1, bad
        owner.threads["session_cnt"], owner.threads["receive_reason"] = 1, bad
        owner.threads["session"]["reason"] = bad
        said = r"x\n\x1b[2Jy"
        assert owner.halts[0]["text"] == said
        assert owner.channel_status()[0]["session"] == said
        assert owner.sessions()[0]["reason"] == said
        assert owner.thread_status()[0]["receive_reason"] == said
        shown = hwgw("status", name).stdout
        assert f"operator: {said}" in shown
        assert all(line.isprintable() for line in shown.splitlines())
        owner.resume()


def test_an_unknown_reason_is_refused_with_those_there_are(name):
    with Segment.create(name, []) as owner:
        with pytest.raises(UsageError, match=r"'pass': unknown; allowed: halted, control_stale, .*session"):
            owner.halt("why", "pass")
        with pytest.raises(UsageError, match="'moon': unknown"):
            owner.resume("moon")
        assert owner.halted is None


def test_a_halted_gateway_leaves_its_segment_when_it_ends(name):
    with Segment.create(name, []) as owner:
        owner.halt("overnight")
    with Segment.create(name, []) as again:
        assert again.halted is not None
        again.resume()


@pytest.mark.parametrize("bad", ["", "a" * 32, "a/b", "..", "a b", "ü"])
def test_a_bad_name_is_refused_with_what_is_allowed(bad):
    with pytest.raises(UsageError, match="letters, digits"):
        Segment.create(bad, [])


def test_attaching_says_what_is_wrong(name):
    path = Path(f"/dev/shm/hwgw-{name}")
    with pytest.raises(UsageError, match="does not exist"):
        Segment.attach(name)
    path.write_bytes(b"short")
    with pytest.raises(CheckFailed, match="too short"):
        Segment.attach(name)
    path.write_bytes(bytes(100_000))
    with pytest.raises(CheckFailed, match="not a gateway's segment"):
        Segment.attach(name)
    path.unlink()
    with Segment.create(name, []):
        raw = bytearray(path.read_bytes())
        offset = next(f.offset for f in specs.load("segment").layout("segment_header").fields if f.name == "abi")
        raw[offset] += 1
        path.write_bytes(raw)
        with pytest.raises(CheckFailed, match="has ABI 2"):
            Segment.attach(name)


def test_limits_become_visible_as_a_whole_and_sealed(name):
    with Segment.create(name, []) as owner:
        assert owner.limits() is None
        limits = np.zeros(1, specs.dtype("risk", "limits"))
        for generation in (1, 2, 3):
            limits["beat_age_max_ns"] = generation * 1000
            assert owner.publish_limits(limits) == generation
            seen = owner.limits()
            assert (int(seen["generation"][0]), int(seen["beat_age_max_ns"][0])) == (generation, generation * 1000)
            raw = seen.tobytes()
            table = ffi.from_buffer("struct hwgw_limits *", raw)
            assert int(seen["checksum"][0]) == lib.hwgw_limits_checksum(table)
            assert int(seen["checksum"][0]) == crc32c(raw[8:])


def test_a_torn_top_of_book_row_is_never_read(name):
    """A writer that fills a row with one repeated value under the seqlock, as fast as it can, for a second."""
    with Segment.create(name, ["AAPL"]) as owner:
        row = lib.hwgw_segment_tob(owner.pointer, 0)
        stop = threading.Event()

        def write() -> None:
            value = 0
            while not stop.is_set():
                value = (value + 1) & 0xFFFF
                row.lock += 1
                row.bid_px = row.ask_px = row.last_px = value
                row.bid_qty = row.ask_qty = value
                row.lock += 1

        writer = threading.Thread(target=write)
        writer.start()
        reads = 0
        end = time.monotonic() + 1
        while time.monotonic() < end:
            top = owner.tob(0)
            assert len({int(top[key]) for key in ("bid_px", "ask_px", "last_px", "bid_qty", "ask_qty")}) == 1
            assert int(top["lock"]) % 2 == 0
            reads += 1
        stop.set()
        writer.join()
        assert reads > 1000


# ---- what others may leave in /dev/shm ----


@pytest.mark.parametrize(
    ("field", "value"), [("hist_cnt", 1), ("thread_cnt", 0), ("counter_cnt", 1), ("instrument_cnt", 2000)]
)
def test_a_header_that_would_lead_an_observer_astray_is_refused(name, field, value):
    with Segment.create(name, ["AAPL"]) as owner:
        owner.head[field] = value
        sizes = {"hist_cnt": 8 - value, "thread_cnt": 8}
        if field in sizes:  # so that the offsets and the size add up again
            hist_sz = int(owner.head["hist_sz_bytes"])
            path = Path(f"/dev/shm/hwgw-{name}")
            if field == "hist_cnt":
                owner.head["sz_bytes"] -= sizes[field] * hist_sz
            else:
                blocks = {name: int(owner.head[name]) for name in BLOCKS}
                thread, counter = blocks["counter_offset"] - blocks["thread_offset"], 0
                counter = blocks["symbol_offset"] - blocks["counter_offset"]
                owner.head["counter_offset"] -= thread
                for block in BLOCKS[2:]:
                    owner.head[block] -= thread + counter
                owner.head["sz_bytes"] = int(owner.head["hist_offset"])
            os.truncate(path, int(owner.head["sz_bytes"]))
        code = (
            "import sys\nfrom hwgw.errors import CheckFailed\nfrom hwgw.segment import Segment\n"
            "try:\n    with Segment.attach(sys.argv[1]) as s:\n"
            "        s.latency_ns(), s.counters(), s.thread_status()\n"
            "except CheckFailed as error:\n    print(error)"
        )
        done = run_python(code, name)
        assert (done.returncode, done.stderr) == (0, "")
        assert "a layout that this build does not know" in done.stdout


def test_a_pipe_in_the_place_of_a_segment_holds_nobody_up(name):
    os.mkfifo(f"/dev/shm/hwgw-{name}")
    start = time.monotonic()
    for writable in (False, True):
        with pytest.raises(HwgwError):
            Segment.attach(name, writable=writable)
    assert time.monotonic() - start < 5


def test_a_halt_is_carried_over_even_from_a_segment_that_cannot_be_understood(name):
    owner = Segment.create(name, ["AAPL"])
    owner.halt("loss of a lifetime")
    owner.head["counter_cnt"] += 1  # of another build
    owner.close()
    with Segment.create(name, ["AAPL"]) as heir:
        assert heir.halted is not None
        assert heir.halted["reason"] == "state"
        assert "cannot be read" in heir.halted["text"]
        assert heir.resume()
