"""hwgw sim load: what was asked for is what was sent, and every account adds up, with faults on both sides.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.market import free_port, until

from hwgw.demo.stage import GROUP, GROUP_B, gateway_yaml
from hwgw.load.stage import limits

LINE_A, LINE_B = "loss=2%,duplicate=1%,reorder=8", "loss=2%,damage=1%"
OVER = 64  # the order flow's last action may publish some messages more, and the day's end some


def check(result: dict[str, Any], asked: int) -> None:
    """The sums that no run may break, each made again from its parts. A channel that began anew counts anew."""
    assert result["schema"] == "hwgw.sim-load/1"
    assert result["failures"] == []
    load, feed, requests = result["load"], result["feed"], result["requests"]
    assert load["asked_messages"] == sum(level["messages"] for level in load["levels"]) == asked
    assert load["is_whole"]
    assert load["asked_seconds"] <= load["seconds"]
    assert all(0 < level["reached_msgs_per_s"] <= level["asked_msgs_per_s"] * 1.001 for level in load["levels"])
    assert asked <= feed["sent"] == result["messages_sent"] < asked + OVER
    assert feed["exact"] is (None if feed["sessions"] else True)
    if not feed["sessions"]:
        assert feed["sent"] == feed["used"] + sum(feed["dropped"].values()) + feed["covered"] + feed["lost"]
    assert requests["sent"] == requests["arrived"] + requests["lost_in_cuts"] > 0
    assert result["ledger"]["exact"]
    assert all(row["exact"] for row in result["ledgers"].values())


@pytest.mark.parametrize(
    ("profile", "asked"), [("steady", 48_000), ("opening", 11_712)]
)  # 48,000 x 1 s; of the opening 24.4 %
def test_a_load_sends_what_its_profile_says_and_every_sum_is_exact(hwgw, profile: str, asked: int) -> None:
    done = hwgw("sim", "load", "--profile", profile, "--rate", "48k", "--seconds", "1", "--reach", "0", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    check(result, asked)
    rows = result["answers"]["kinds"]
    assert all(row["said"] == row["heard"] for row in rows.values())
    assert rows["accepted"]["said"] > 0
    assert result["requests"]["lost_in_cuts"] == 0
    assert result["position_match"] is True
    assert result["halted"] is None
    assert result["feed"]["exact"] is True
    assert result["entry_faults"] is result["faults"] is None
    assert not list(Path(os.environ["HWGW_STATE_DIR"]).glob("load-*"))  # its gateway keeps nothing to come back to


def test_a_feed_on_one_line_is_half_the_packets_and_what_it_loses_is_asked_for_again(hwgw) -> None:
    options = ["--rate", "48k", "--seconds", "1", "--lines", "A", "--faults", "loss=5%", "--reach", "0", "--json"]
    done = hwgw("sim", "load", *options)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    check(result, 48_000)
    line, none = result["faults"]
    assert line["lost"] > 0
    assert not any(none.values())
    assert result["ledger"]["dropped"].get("mold.drop_duplicate", 0) == 0
    recovery = result["recovery"]
    assert recovery["missing"] == recovery["filled"] + recovery["covered"] > 0
    assert result["position_match"] is True


def test_bad_lines_and_a_bad_venue_are_accounted_for(hwgw) -> None:
    entry = "late=10%,late_ms=5,reject_storm=3,breaks=20%,cuts=1"
    options = ["--profile", "bursts", "--rate", "200k", "--seconds", "1.5", "--entry-faults", entry]
    lines = ["--faults", LINE_A, "--faults", LINE_B]
    done = hwgw("sim", "load", *options, *lines, "--reach", "0", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    check(result, 48_900)  # a second at 19 %; of the next 495 ms at a tenth and 5 ms at the whole
    done = {"lost": (0, 1), "duplicated": (0,), "reordered": (0,), "damaged": (1,)}
    assert all(result["faults"][number][name] > 0 for name, numbers in done.items() for number in numbers)
    assert result["ledger"]["dropped"]["mold.drop_duplicate"] > 0
    assert result["gaps"] > 0
    recovery = result["recovery"]
    assert recovery["missing"] == recovery["filled"] + recovery["covered"] > 0
    venue = result["entry_faults"]
    assert venue["stormed"] == 3
    assert venue["late"] > 0
    assert result["answers"]["kinds"]["rejected"]["said"] >= 3
    assert result["answers"]["kinds"]["broken"]["said"] == venue.get("broken", 0)
    assert result["position_match"] is True
    # the day may be over before the cut, and a session that is lost with nothing open leaves nothing unknown
    halted = result["halted"]
    assert halted["reason"] == "session" if halted else "halted" not in result["orders"]["refused"]
    assert venue.get("cuts") or not halted


def test_a_venue_that_contradicts_itself_is_noticed(hwgw) -> None:
    options = ["--rate", "50k", "--seconds", "1", "--entry-faults", "duplicate=1"]
    done = hwgw("sim", "load", *options, "--reach", "0", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    check(result, 50_000)
    assert result["halted"]["reason"] == "state"
    assert sum(result["answers"]["disbelieved"].values()) > 0
    assert result["position_match"] is None


def test_a_load_that_cannot_be_made_fails_and_says_so(hwgw) -> None:
    """More than the exchange matches on an idle core, with nothing sent (docs/simulator.md)."""
    done = hwgw("sim", "load", "--rate", "20M", "--seconds", "0.1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("hwgw sim load: the load was ")
    assert max(map(len, done.stdout.splitlines())) < 80


@pytest.fixture
def given(tmp_path: Path):
    """A gateway that runs, and its configuration; its venue is nobody yet."""
    name = f"load-given-{os.getpid()}"
    receive = {"backend": "udp", "local_address": "127.0.0.1", "loopback": True}
    port, entry, requests, snapshots = (free_port() for _ in range(4))
    made = gateway_yaml(name, ["AAPL", "MSFT"], receive, "127.0.0.1", entry)
    channel = made["pipelines"][0]["channels"][0]
    channel["lines"] = [{"group": group, "port": port} for group in (GROUP, GROUP_B)]
    channel["recover"] = {"servers": [{"address": "127.0.0.1", "port": requests}], "timeout": "20ms", "rate": 5000}
    channel["snapshot"] = {"address": "127.0.0.1", "port": snapshots, "username": "DEMO", "password": "DEMO"}
    made["limits"].update(limits())
    made["session"]["reconnect"] = "20ms"
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(made, sort_keys=False))
    process = subprocess.Popen(
        [sys.executable, "-m", "hwgw.cli", "run", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        until(lambda: Path(f"/dev/shm/hwgw-{name}").exists() or process.poll() is not None, "the gateway is up")
        yield path
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_a_gateway_that_runs_is_loaded_once(hwgw, given: Path) -> None:
    load = ["sim", "load", "--config", str(given), "--rate", "40k", "--seconds", "1", "--reach", "0", "--json"]
    done = hwgw(*load, "--faults", LINE_A, "--faults", "")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    check(result, 40_000)
    assert result["faults"][0]["lost"] > 0 == result["faults"][1]["lost"]
    assert result["position_match"] is True
    again = hwgw(*load)
    assert again.returncode == 1
    assert "has worked before (mold.frames " in again.stderr


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--rate", "fast"], 2, "--rate fast: allowed are N, Nk, NM"),
        (["--profile", "wild"], 2, "--profile wild: steady, bursts, opening, or a FILE.yaml are allowed"),
        (["--faults", "noise=1"], 2, "faults 'noise=1': loss, duplicate, damage"),
        (["--entry-faults", "late=7"], 2, "order entry faults 'late=7': "),
        (["--interface", "x"], 2, "--interface x: it goes with --config"),
        (["--config", "absent.yaml"], 3, "absent.yaml: No such file"),
        (["--config", "a.yaml", "--symbols", "4"], 2, "it says how its gateway receives, its lines and its symbols"),
        (["--config", "a.yaml", "--lines", "A"], 2, "it says how its gateway receives, its lines and its symbols"),
        (["--lines", "A", "--faults", "loss=1%", "--faults", "loss=1%"], 2, "--faults: there is no line B"),
    ],
)
def test_wrong_options_are_named(hwgw, options: list[str], status: int, said: str) -> None:
    done = hwgw("sim", "load", *options)
    assert done.returncode == status
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
