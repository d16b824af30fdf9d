"""hwgw demo: the whole path, both sides agree, and nothing is left behind.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import hwgw_sim.card
import pytest
from support.feed import data_file
from support.market import until

from hwgw import specs

STAGES = {"rx", "decode", "book", "strategy", "risk", "order", "session", "total"}


def check(result: dict, backend: str) -> None:
    """The promised names, and sums that no run may break."""
    ledger, orders = result["ledger"], result["orders"]
    assert result["schema"] == "hwgw.demo/1"
    card = "sim" if backend == "card" else "none"
    assert (result["backend"], result["card"], result["failures"]) == (backend, card, [])
    assert ledger["exact"] is True
    assert ledger["sent"] == ledger["received"] + sum(ledger["dropped"].values()) > 0
    assert result["messages"] <= result["messages_sent"]
    assert result["book_updates"] > 0
    assert orders["sent"] > 0
    assert orders["accepted"] > 0
    assert orders["filled"] > 0
    assert result["position_match"] is True
    assert set(result["latency_ns"]) == STAGES - (
        {"rx", "decode"} if backend == "card" else set()
    )  # the card does them
    for row in result["latency_ns"].values():
        assert 0 < row["p50"] <= row["p99"] <= row["p999"] <= row["max"]
    assert set(result["ledgers"]) == {ledger.name for ledger in specs.ledgers()}


@pytest.mark.root
@pytest.mark.afxdp
def test_the_demo_receives_by_afxdp_trades_and_adds_up(hwgw):
    done = hwgw("demo", "--seconds", "2", "--symbols", "5", "--rate", "50000", "--backend", "afxdp", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    check(result, "afxdp")
    assert result["receive"].startswith("afxdp: gateway0 queue 0, native mode")
    assert result["messages"] == result["messages_sent"] > 90_000
    assert result["gaps"] == 0


@pytest.mark.root
def test_the_demo_goes_from_the_wire_through_the_rtl_of_feed_gate_and_frames_to_the_venues_tcp(hwgw):
    if why := hwgw_sim.card.missing():
        pytest.skip(why)
    done = hwgw("demo", "--card", "sim", "--risk", "both", "--send", "card", "--seconds", "3", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    check(result, "card")
    assert result["receive"].startswith("card sim (RTL by Verilator) behind packet: gateway0")
    assert result["messages"] == result["messages_sent"] > 5_000
    assert result["gaps"] == 0
    # line B brings every packet once more, and the card says so
    assert result["ledger"]["dropped"] == {
        "mold.drop_duplicate": result["ledger"]["sent"] - result["ledger"]["received"]
    }
    # orders that left by the card, as the card, the gateway and the venue count them; cancels are the host's
    loan, at_exchange = result["loan"], result["orders"]["at_exchange"]
    assert loan["loan.orders"] == result["card_frames"] > 10
    assert loan["loan.orders"] + loan.get("loan.by_host", 0) == at_exchange["new"] + at_exchange["replace"]
    assert not {"loan.unknown", "loan.differs", "loan.untold", "loan.drop_wire"} & set(loan)
    assert result["orders"]["dropped"] == {}


def test_a_demo_with_bad_lines_repairs_every_hole_and_adds_up(hwgw):
    done = hwgw("demo", "--seconds", "2", "--rate", "10000", "--backend", "udp", "--loss", "5%", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    check(result, "udp")
    recovery = result["recovery"]
    assert sum(line["lost"] for line in result["faults"]) > 100
    assert result["gaps"] > 0
    assert recovery["missing"] == recovery["filled"] + recovery["covered"] > 0
    assert recovery["lost"] == 0


@pytest.mark.root
def test_the_demo_receives_by_a_packet_socket_trades_and_adds_up(hwgw):
    done = hwgw("demo", "--seconds", "2", "--symbols", "5", "--rate", "20000", "--backend", "packet", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    check(result, "packet")
    assert result["receive"].startswith("packet: gateway0, 2 flows, ring of ")
    assert result["messages"] == result["messages_sent"] > 30_000


@pytest.mark.root
@pytest.mark.afxdp
def test_the_demo_publishes_a_real_capture_message_for_message(hwgw, shared):
    capture = data_file(shared, "itch50/aapl_20200130_first10k.itch50")
    done = hwgw("demo", "--feed", capture, "--rate", "5000", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    check(result, "afxdp")
    assert result["messages"] == result["messages_sent"] == 10_000


def nobody() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]


def as_nobody(*args: str) -> subprocess.CompletedProcess[str]:
    """The command line without any privilege."""
    command = [*nobody(), sys.executable, "-m", "hwgw.cli", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")


def nobody_can_run() -> bool:
    """Whether a user without privileges can start this Python, and it again (a home folder may be in the way)."""
    again = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', 'import hwgw.native']))"
    return (
        subprocess.run(
            [*nobody(), sys.executable, "-c", again], capture_output=True, timeout=60, check=False
        ).returncode
        == 0
    )


def test_without_root_the_demo_takes_loopback_and_says_what_it_could_not_do():
    if not nobody_can_run():
        pytest.skip("the unprivileged user cannot read this tree's Python environment")
    done = as_nobody("demo", "--seconds", "2", "--rate", "20000")
    assert done.returncode == 0, done.stderr
    assert re.search(r"receiving through kernel sockets \(udp\): .*root", done.stderr)
    assert ": exact" in done.stdout
    assert "gateway and exchange agree" in done.stdout


def test_without_root_asking_for_afxdp_is_a_privilege_error():
    if not nobody_can_run():
        pytest.skip("the unprivileged user cannot read this tree's Python environment")
    done = as_nobody("demo", "--backend", "afxdp")
    assert done.returncode == 4
    assert "--backend udp" in done.stderr
    assert done.stderr.count("\n") == 1


def start_demo(*args: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hwgw.cli", "demo", *args]
    return subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def segment_of(demo: subprocess.Popen[str]) -> Path:
    return Path(f"/dev/shm/hwgw-demo-{demo.pid}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_an_interrupt_ends_the_day_early_and_the_report_still_adds_up(number):
    demo = start_demo("--seconds", "60", "--rate", "20000", "--json")
    until(lambda: segment_of(demo).exists(), "the gateway is up")
    time.sleep(2)
    os.killpg(demo.pid, number)
    stdout, stderr = demo.communicate(timeout=30)
    assert demo.returncode == 0, stderr
    result = json.loads(stdout)
    assert result["ledger"]["exact"] is True
    assert result["position_match"] is True
    assert result["seconds"] < 30
    assert not segment_of(demo).exists()


def descendants(pid: int) -> list[int]:
    """Processes below pid, by /proc."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_killing_the_demo_leaves_no_process_and_no_file_that_the_next_one_does_not_remove(hwgw, tmp_path):
    demo = start_demo("--seconds", "60", "--rate", "20000", TMPDIR=str(tmp_path))
    until(lambda: segment_of(demo).exists(), "the gateway is up")
    time.sleep(1)
    below = descendants(demo.pid)
    assert len(below) >= 3  # exchange, control and data process
    demo.kill()
    demo.communicate()
    until(lambda: not alive(below), f"{below} are gone", 10)
    assert not list(tmp_path.iterdir())
    done = hwgw("demo", "--seconds", "0.5", "--rate", "1000")
    assert done.returncode == 0, done.stderr
    assert not segment_of(demo).exists()


@pytest.mark.parametrize(
    ("side", "idx", "number", "line"),
    [
        ("exchange", 0, signal.SIGKILL, "the exchange was killed by SIGKILL"),
        ("gateway", 0, signal.SIGKILL, "the gateway was killed by SIGKILL"),
        ("gateway", 0, signal.SIGTERM, "the gateway was stopped from outside before the end of the run"),
        ("gateway", 1, signal.SIGKILL, "the gateway: the data process was killed by SIGKILL"),
    ],
)
def test_the_end_of_a_side_ends_the_demo_with_one_line_that_names_it(side, idx, number, line):
    demo = start_demo("--seconds", "60", "--rate", "20000")
    until(lambda: segment_of(demo).exists(), "the gateway is up")
    time.sleep(1)
    words = {"exchange": b"hwgw_sim.exchange", "gateway": b"hwgw.cli\0-q\0run"}
    found = [pid for pid in descendants(demo.pid) if words[side] in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(found[idx], number)
    _, stderr = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert stderr.splitlines()[-1] == f"hwgw demo: {line}"  # above it, without root, what could not be done
    until(lambda: not alive(found), f"{found} are gone", 10)
    until(lambda: not segment_of(demo).exists(), "the segment is gone", 5)


@pytest.mark.parametrize("args", [("--pace", "recorded"), ("--pace", "max", "--rate", "5", "--feed", __file__)])
def test_a_pace_that_would_be_ignored_is_a_usage_error(hwgw, args):
    done = hwgw("demo", *args)
    assert done.returncode == 2
    assert re.fullmatch(r"hwgw demo: --pace \w+: it goes with --feed, and takes the place of --rate\n", done.stderr)


@pytest.mark.parametrize("scale", ["0", "-1", "inf", "nan", "x"])
def test_a_scale_that_is_no_scale_is_a_usage_error(hwgw, scale, tmp_path):
    feed = tmp_path / "empty.itch50"
    feed.touch()
    done = hwgw("demo", "--feed", feed, "--pace", f"scale {scale}", "--backend", "udp")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"hwgw demo: the exchange: --pace scale {scale}: a number above 0 is wanted"


def test_the_report_fits_80_columns(hwgw):
    """With a shadow, which adds the comparison: its journal and that of the live strategies replay."""
    done = hwgw("demo", "--seconds", "1", "--rate", "50000", "--shadow")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) > 30
    assert max(map(len, lines)) < 80
    rows = {line[:22].rstrip(): line[22:].split() for line in lines}
    assert rows["mode"] == ["live", "shadow"]
    assert min(int(cnt.replace(",", "")) for cnt in rows["orders filled"]) > 0
    assert "every verdict as recorded" in done.stdout
