"""The soak in its short form: what it measures holds, and it fails when it must.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import soak

SUPPORT = Path(soak.__file__).parent
pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path, capsys):
    """The command of `make soak`: its exit code, what it prints and its JSON."""

    def run(*options):
        output = tmp_path / "soak.json"
        status = soak.main(["--json", str(output), *options])
        return status, capsys.readouterr().out, json.loads(output.read_text())

    return run


def test_a_gateway_under_load_neither_allocates_nor_grows_nor_loses(run):
    status, said, found = run("--seconds", "2", "--rate", "40000")
    assert (status, found["broken"]) == (0, []), said
    assert found["schema"] == "hwgw.soak/1"
    assert found["messages"] > 60_000
    assert found["orders_sent"] > 100
    assert found["ledger"]["exact"]
    assert found["ledger"]["sent"] == found["ledger"]["received"] > 1000
    assert set(found["allocations"]) == set(soak.FUNCTIONS)
    assert not any(found["allocations"].values())
    assert found["rss_kib"]["samples"] > 10
    assert found["rss_kib"]["min"] > 1000
    assert found["descriptors"]["min"] == found["descriptors"]["max"] > 5
    quarters = [found["latency_ns"][name] for name in ("first_quarter", "last_quarter")]
    for stages in quarters:
        assert len(stages) > 1
        for each in stages.values():
            assert 0 < each["p50"] <= each["p99"] <= each["p999"]
            assert each["cnt"] > 0
    assert sum(stages["total"]["cnt"] for stages in quarters if "total" in stages) > 10
    assert "allocator   0 calls since the start" in said
    assert said.splitlines()[-1] == found["verdict"]
    said_last = r"SOAK HELD  \d+ s at [\d,]+ messages/s: [\d,]+ messages, 0 packets lost"
    assert re.fullmatch(said_last, found["verdict"])
    assert 0 < found["achieved_msgs_per_s"] < 45_000


def test_a_strategy_that_takes_memory_fails_the_soak_by_both_bounds_and_is_named(run):
    strategy = ["--strategy", str(SUPPORT / "leaky_strategy.c")]
    status, _, found = run("--seconds", "1", "--rate", "40000", *strategy)
    assert status == 1
    assert found["allocations"]["malloc"] > 1000  # one a call
    assert found["rss_kib"]["max"] - found["rss_kib"]["min"] > soak.RSS_SPREAD_KIB_MAX
    assert any(text.startswith("malloc from strategy.so+0x") for text in found["callers"])
    assert [text.split(":")[0] for text in found["broken"]][:1] == ["allocations after the start"]
    assert any("resident memory moved" in text for text in found["broken"])
    assert found["ledger"]["exact"]  # it is wrong in that alone
    assert found["verdict"].startswith("SOAK BROKEN  ")


COUNTED = """
import ctypes, os, sys, threading
from pathlib import Path
sys.path[:0] = {path!r}
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.calloc.restype = libc.realloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
def work(times):
    for _ in range(times):
        libc.free(libc.realloc(libc.malloc(100), 5000))
if os.fork():
    os.wait()
else:
    work(1000)  # one process more, with a row of its own
    os._exit(0)
thread = threading.Thread(target=work, args=(100000,))
thread.start()
thread.join()
print(os.getpid(), flush=True)
"""


def test_the_counting_object_counts_every_call_of_every_thread_and_child(tmp_path):
    counting = soak.Allocations(tmp_path)
    environment = {**os.environ, **counting.environment, "PYTHONMALLOC": "malloc"}
    process = subprocess.Popen(
        [sys.executable, "-c", COUNTED.format(path=sys.path)], env=environment, stdout=subprocess.PIPE
    )
    out, _ = process.communicate(timeout=60)
    counts = counting.of(int(out))
    assert counts["malloc"] >= counts["realloc"] >= 100_000
    assert counts["free"] >= 100_000
    assert counts["mmap"] > 0
    pids = {row[0] for row in counting._rows() if row[0]}
    assert int(out) in pids
    children = [counting.of(pid) for pid in pids - {int(out)}]
    assert any(child["realloc"] >= 1000 for child in children)
    assert counting.of(1) == dict.fromkeys(soak.FUNCTIONS, 0)
    counting.close()


@pytest.mark.parametrize(("most", "limit"), [(300_000, "loss"), (60_000, "loss"), (10**9, "none found")])
def test_the_capacity_is_found_within_an_eighth(monkeypatch, most, limit):
    tried = []

    def kept_up(rate, symbols, seconds):
        tried.append(rate)
        return rate <= most, "loss"

    monkeypatch.setattr(soak, "_kept_up", kept_up)
    found, why = soak.capacity(8)
    assert why == limit
    assert found <= most
    assert found * 9 // 8 + 1 >= min(most, soak.PROBE_HIGHEST)
    assert len(tried) < 15


def test_a_rate_that_a_long_run_does_not_take_is_stepped_down(monkeypatch):
    """Short runs pass at 400,000; one in 20 s is lost above 290,000."""
    tried = []

    def kept_up(rate, symbols, seconds):
        tried.append((rate, seconds))
        return rate <= (400_000 if seconds < soak.PROOF_S else 290_000), "the gateway (it lost frames)"

    monkeypatch.setattr(soak, "_kept_up", kept_up)
    found, why = soak.capacity(8)
    assert 290_000 * 7 / 8 <= found <= 290_000
    assert why == "the gateway (it lost frames)"
    assert tried[-1] == (found, soak.PROOF_S)
    monkeypatch.setattr(soak, "_kept_up", lambda rate, symbols, seconds: (seconds < soak.PROOF_S, "loss"))
    with pytest.raises(SystemExit, match="no rate passes for 20 s without loss, the last was"):
        soak.capacity(8)


def test_a_machine_that_takes_not_even_the_least_is_said(monkeypatch):
    monkeypatch.setattr(soak, "_kept_up", lambda rate, symbols, seconds: (False, "the gateway (it lost frames)"))
    with pytest.raises(SystemExit, match="not even 50,000 messages/s pass without loss; the limit: the gateway"):
        soak.capacity(8)
