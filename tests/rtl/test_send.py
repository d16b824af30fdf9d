"""The transmit half of the card in simulation: orders into packets, packets into frames, triggers.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support import rtl

from fpga import tools

SIMULATORS = ["verilator", "icarus"]


def run(work: Path, seed: int, simulator: str, bench: str, top: str, *tests: str) -> dict[str, Any]:
    """Runs tests of a bench; asserts that all passed; what they noted."""
    why = tools.missing("iverilog", "vvp") if simulator == "icarus" else tools.missing("verilator", "g++", "make")
    if why:
        pytest.skip(why)
    # not of the path: what it shows of the gate is 120 records
    with_coverage = rtl.IS_FULL and simulator == "verilator" and top != "path_bench"
    found = rtl.run(bench, top, list(tests), work, simulator, seed, with_coverage=with_coverage)
    assert found["failed"] == {}, f"{found['failed']}; seed {seed}; log {found['log']}"
    return found


def good_checksums(pcap: Path) -> int:
    """Frames whose checksums tshark finds right; it must find no other."""
    options = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]
    fields = ["-T", "fields", "-e", "ip.checksum.status", "-e", "tcp.checksum.status"]
    command = ["tshark", "-n", "-r", str(pcap), *options, *fields]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split("\n")
    assert set(filter(None, said)) == {"1\t1"}
    return sum(bool(line) for line in said)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_packets_are_those_of_c_and_of_the_golden_model(tmp_path: Path, seed: int, simulator: str) -> None:
    test = "packets_are_those_of_c_and_of_the_golden_model"
    orders = run(tmp_path, seed, simulator, "bench_order", "hwgw_order", test)["orders"]
    assert orders.pop("options") > 5  # the protocol can say them, and the card does not
    assert sum(orders.values()) == (3_999 if simulator == "icarus" else 21_000)
    assert set(orders) == {"refused", "kind 1", "kind 2", "kind 3"}
    assert min(orders.values()) > 500


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_frames_are_those_of_scapy_and_never_beyond_the_loan(tmp_path: Path, seed: int, simulator: str) -> None:
    test = "frames_are_those_of_scapy_and_never_beyond_the_loan"
    found = run(tmp_path, seed, simulator, "bench_frame", "hwgw_frame", test)
    outcomes = found["outcomes"]
    assert sum(outcomes.values()) == (300 if simulator == "icarus" else 20_000 if rtl.IS_FULL else 1_500)
    assert simulator == "icarus" or set(outcomes) == {"sent", "encode", "halted", "no_loan", "expired", "beyond"}
    assert found["frames"] > sum(outcomes.values()) / 8
    assert found["refused"] > 0
    if simulator == "verilator" and shutil.which("tshark"):
        assert good_checksums(tmp_path / "frames.pcap") == found["frames"]


def test_frames_keep_the_rate_of_the_link(tmp_path: Path, seed: int) -> None:
    tests = (
        "a_frame_begins_a_cycle_after_its_packet_and_takes_a_beat_per_cycle",
        "a_template_that_is_not_ipv4_and_tcp_gets_no_loan",
    )
    found = run(tmp_path, seed, "verilator", "bench_frame", "hwgw_frame", *tests)
    assert found["latency_cycles"]["frame"] == {"min": 1, "max": 1}


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_rules_give_one_order_per_shot_and_count_what_they_refuse(tmp_path: Path, seed: int, simulator: str) -> None:
    test = "orders_are_those_of_the_rules_one_per_shot"
    counts = run(tmp_path, seed, simulator, "bench_trigger", "hwgw_trigger", test)["trigger"]
    assert counts["events"] == (600 if simulator == "icarus" else 30_000 if rtl.IS_FULL else 3_000)
    assert counts["fired"] >= counts["orders"] > counts["events"] / 200
    if simulator == "verilator":
        seen = ["drop_disabled", "drop_spent", "drop_feed", "stores", "refused"]
        seen += ["drop_busy"] if rtl.IS_FULL else []
        assert min(counts.get(name, 0) for name in seen) > 0  # the rarest of them takes more than 3,000 events


def test_a_message_becomes_an_order_frame_within_24_cycles(tmp_path: Path, seed: int) -> None:
    test = "a_message_becomes_an_order_frame_in_a_constant_number_of_cycles"
    found = run(tmp_path, seed, "verilator", "bench_path", "path_bench", test)
    assert found["shots"] == 24
    assert found["latency_cycles"] == {
        "trigger to frame, low lane": {"min": 23, "max": 23},
        "trigger to frame, high lane": {"min": 24, "max": 24},
    }


def test_whatever_records_come_each_is_answered_and_a_good_order_passes_after_them(tmp_path: Path, seed: int) -> None:
    test = "whatever_records_come_each_is_answered_and_a_good_order_passes_after_them"
    records = run(tmp_path, seed, "verilator", "bench_path", "path_bench", test)["records"]
    assert records["passed"] + records["refused"] == 120
    assert records["frames"] >= 24
    assert records["refused"] > 20
