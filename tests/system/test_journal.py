"""A gateway's journal: every order before it leaves, everything the gate was told; without a journal no order.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support import journal_proof
from support.market import Market, until

from hwgw import journal, specs
from hwgw.native import lib
from hwgw.segment import Segment

KINDS = {int(code.value): code.slug for code in specs.load("order").enum("kind").values}


def events(files: list[Path]) -> tuple[Counter[str], Counter[int], list[Any]]:
    """Events by kind, verdicts of new orders, and the orders that passed, from the second reader."""
    import numpy as np

    kinds: Counter[str] = Counter()
    verdicts: Counter[int] = Counter()
    passed = []
    for kind, _, _, verdict, payload in journal_proof.read(files):
        if kind != "gate":
            continue
        order = np.frombuffer(payload, specs.dtype("order", "order"))[0]
        name = KINDS[int(order["kind"])]
        kinds[name] += 1
        if name in ("new", "replace", "cancel"):
            verdicts[verdict] += 1
            if not verdict:
                passed.append(order)
    return kinds, verdicts, passed


def stop(market: Market, number: int) -> None:
    process = market.started[-1]
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert b"Traceback" not in stderr, stderr.decode()


def test_every_order_verdict_and_answer_is_in_the_journal(tmp_path):
    folder = tmp_path / "journal"
    with Market(tmp_path, rate=20_000) as market:
        market.journal = {"folder": str(folder), "sync": "group", "group": "1ms"}
        market.start()
        with market.attached() as segment:
            until(lambda: segment.counters()["session.accepted"] > 200, "orders are accepted")
            market.started[-1].send_signal(signal.SIGTERM)
            until(lambda: not segment.running(), "the data process is gone")
            counters = segment.counters()
        stop(market, signal.SIGTERM)
        files = journal.files_of(folder, market.name)
        report = journal.verify(files)
        assert report.is_whole, report.problem
        kinds, verdicts, passed = events(files)
        assert sum(verdicts.values()) == counters["risk.orders"] > 200
        assert verdicts[0] == len(passed) == counters["risk.passed"]
        for reason in specs.reasons()[1:]:
            assert verdicts[reason.code] == counters.get(f"risk.refused_{reason.name}", 0), reason.name
        assert kinds["accepted"] == counters["session.accepted"]
        assert kinds["executed"] == counters["session.executed"]
        assert kinds["canceled"] == counters["session.canceled"]
        assert kinds["limits"] == 1
        assert counters["order.drop_journal"] == 0
        refs = [int(order["ref"]) for order in passed if KINDS[int(order["kind"])] == "new"]
        assert refs == sorted(set(refs))


def halted_for(segment: Segment) -> str:
    return next((str(halt["text"]) for halt in segment.halts if halt["reason"] == "journal"), "")


def writer_of(segment: Segment) -> int:
    return int(lib.hwgw_segment_journal(segment.pointer, 0).writer_pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_writer_that_is_gone_or_stopped_halts(tmp_path, number):
    with Market(tmp_path, rate=20_000) as market:
        market.journal = {"folder": str(tmp_path / "journal"), "stall": "200ms"}
        market.start()
        with market.attached() as segment:
            pid = writer_of(segment)
            os.kill(pid, number)
            try:
                until(lambda: halted_for(segment), "the gateway halts for its journal")
                before = segment.counters()["risk.passed"]
                time.sleep(0.1)
                after = segment.counters()
                assert after["risk.passed"] - before <= 1  # the one that was being judged
            finally:
                os.kill(pid, signal.SIGCONT) if number == signal.SIGSTOP else None
            stop(market, signal.SIGTERM)
        Path(f"/dev/shm/hwgw-{market.name}").unlink()


def test_what_a_killed_data_process_had_put_gets_to_disk(tmp_path):
    folder = tmp_path / "journal"
    with Market(tmp_path, rate=20_000) as market:
        market.journal = {"folder": str(folder)}
        market.start()
        with market.attached() as segment:
            until(lambda: segment.counters()["session.accepted"] > 100, "orders are accepted")
            os.kill(int(segment.head["data_pid"]), signal.SIGKILL)
            _, stderr = market.started[-1].communicate(timeout=30)
            assert b"killed by SIGKILL" in stderr
            put = int(lib.hwgw_segment_journal(segment.pointer, 0).records)
            passed = segment.counters()["risk.passed"]
        files = journal.files_of(folder, market.name)
        assert journal.verify(files).is_whole
        _, _, orders = events(files)
        assert sum(journal.verify(files).types.values()) == put + 2
        assert len(orders) - passed in (0, 1)  # the counter follows the record
        Path(f"/dev/shm/hwgw-{market.name}").unlink()


def test_all_processes_killed_leave_the_rest_in_the_ring_and_the_next_run_takes_it(tmp_path):
    folder = tmp_path / "journal"
    with Market(tmp_path, rate=20_000) as market:
        market.journal = {"folder": str(folder), "stall": "10s"}
        market.start()
        with market.attached() as segment:
            writer = writer_of(segment)
            os.kill(writer, signal.SIGSTOP)  # so that something is left
            ring = lib.hwgw_segment_journal(segment.pointer, 0)
            until(lambda: ring.records > ring.written_records + 20, "records wait")
            for pid in (int(segment.head["control_pid"]), int(segment.head["data_pid"]), writer):
                os.kill(pid, signal.SIGKILL)
            market.started[-1].communicate(timeout=30)
            until(lambda: not segment.running(), "everything is gone")
            put = int(ring.records)
        assert not journal.verify(journal.files_of(folder, market.name)).is_whole
        again = market.start()
        until(lambda: len(journal.files_of(folder, market.name)) == 2, "the next run has begun")
        until(lambda: segment_of(market) is not None, "it runs")
        again.send_signal(signal.SIGTERM)
        again.communicate(timeout=30)
        files = journal.files_of(folder, market.name)
        first = journal.verify(files[:1])
        assert first.is_whole, first.problem
        assert first.records - first.types["open"] - first.types["symbols"] == put
        assert journal.verify(files).is_whole
        Path(f"/dev/shm/hwgw-{market.name}").unlink(missing_ok=True)


def segment_of(market: Market) -> int | None:
    try:
        with Segment.attach(market.name) as segment:
            return int(segment.head["data_pid"]) or None
    except Exception:
        return None


@pytest.mark.root
def test_a_full_disk_halts_and_says_so(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=True)
    try:
        with Market(tmp_path, rate=20_000) as market:
            market.journal = {"folder": str(folder)}
            market.start()
            with market.attached() as segment:
                until(lambda: halted_for(segment), "the gateway halts", 30)
                assert "No space left on device" in halted_for(segment)
                stop(market, signal.SIGTERM)
            Path(f"/dev/shm/hwgw-{market.name}").unlink()
    finally:
        subprocess.run(["umount", str(folder)], check=True)
