"""Backtests on Dask: on a scheduler by its address and on workers of this host, with the results of one process.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hwgw_sim.stream import Stream

from hwgw.backtest import cluster, sweep
from hwgw.errors import DeviceError, HwgwError, UsageError

distributed = pytest.importorskip("distributed", reason="dask is not installed (pip install 'hwgw[dask]')")
pytest.importorskip("cryptography", reason="cryptography is not installed (pip install 'hwgw[dask]')")
import psutil  # noqa: E402  (of dask)

pytestmark = pytest.mark.filterwarnings("default")
DAYS = ("day0.itch50", "day1.itch50", "day2.itch50")
USES = ("--model", "model.yaml", "--strategy")
# the first that imports it dies, the second is told that it cannot, all others have a strategy
FLAKY = """
import os
from pathlib import Path
from hwgw.strategies import strategy

tries = Path(__file__).with_name("tries")
with tries.open("a") as file:
    file.write("x")
if len(tries.read_text()) == 1:
    os._exit(9)
if len(tries.read_text()) == 2:
    raise ImportError("the disk went away")

@strategy()
def idle(hook, state, out, out_max):
    return 0
"""


def listening() -> set[tuple[int, int]]:
    """The process and port of each TCP socket on which this process and its children listen."""
    me = psutil.Process()
    return {
        (each.pid, found.laddr.port)
        for each in (me, *me.children(recursive=True))
        for found in each.net_connections("tcp")
        if found.status == psutil.CONN_LISTEN
    }


@pytest.fixture(scope="module")
def feeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three days and a model."""
    folder = tmp_path_factory.mktemp("feeds")
    for number, name in enumerate(DAYS):
        with Stream(3 + number, 2, 100) as stream:
            (folder / name).write_bytes(stream.records(8_000))
    text = "feed_latency: {constant: 5us}\norder_latency: {constant: 5us}\nfees: {maker: -0.002, taker: 0.003}\n"
    (folder / "model.yaml").write_text(text)
    return folder


class Seen(distributed.SchedulerPlugin):  # type: ignore[misc]
    """What became of the tasks of a scheduler, and on which workers."""

    name = "seen"

    def __init__(self) -> None:
        self.ends: list[tuple[str, str]] = []

    def transition(self, key: str, start: str, finish: str, *args: Any, **more: Any) -> None:
        if start == "processing":
            self.ends.append((finish, str(more.get("worker", ""))))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A scheduler with two workers, as somebody else would run it; its address, what it has seen, where modules lie."""
    folder = tmp_path_factory.mktemp("modules")
    before, sys.path[:] = list(sys.path), [str(folder), *sys.path]  # processes that are spawned take it over
    try:
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address="127.0.0.1:0", silence_logs=50,
            local_directory=str(tmp_path_factory.mktemp("workers")),
        ) as found, distributed.Client(found) as client:  # fmt: skip
            client.register_plugin(Seen())
            ends = found.scheduler.plugins[Seen.name].ends
            yield SimpleNamespace(address=found.scheduler_address, ends=ends, modules=folder)
    finally:
        sys.path[:] = before


def hwgw(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hwgw.cli", "backtest", *args], capture_output=True, text=True, timeout=300, cwd=folder,
        env={**os.environ, **env},
    )  # fmt: skip


def tables(folder: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    return {str(path.relative_to(folder)): pq.read_table(path) for path in sorted(folder.rglob("*.parquet"))}


def test_workers_of_this_host_speak_to_us_alone() -> None:
    """One port of the scheduler, one of each worker, one of who watches it: TLS with our certificate, no HTTP.

    Before the scheduler of the other tests is there: what it starts anew would be among the ports.
    """
    before, at_work = listening(), set[tuple[int, int]]()

    def look(_: int) -> None:
        at_work.update(listening() - before)

    assert cluster.run_on(cluster.LOCAL, [1, 2, 3, 4], _double, 2, look) == [2, 4, 6, 8]
    assert len(at_work) == 5
    assert listening() == before


def _double(number: int) -> int:
    """Twice the number; and nobody without the certificate is listened to by the worker that this runs on."""
    worker = distributed.get_worker()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for address in (worker.address, worker.scheduler.address):
        host, port = address.removeprefix("tls://").rsplit(":", 1)
        with socket.create_connection((host, int(port)), 10) as plain, context.wrap_socket(plain) as stranger:
            try:
                while stranger.recv(1000):
                    pass
            except ssl.SSLError as error:
                assert "CERTIFICATE_REQUIRED" in str(error), error  # noqa: PT017
            else:
                raise AssertionError(f"{address} takes a stranger")
    return 2 * number


def test_days_points_and_latencies_on_a_scheduler_are_those_of_one_process(
    feeds: Path, running: SimpleNamespace, tmp_path: Path
) -> None:
    """12 tasks, of which four are a day once more: enter_pct=20 is what all have, 0 s is no delay."""
    swept = ("--param", "enter_pct=20", "--sweep", "enter_pct=20,30", "--latency", "0s:1ms:3")
    uses = (*DAYS, *USES, "builtin:imbalance", *swept, "--json")
    here = hwgw(feeds, *uses, "--processes", "1", "--out", str(tmp_path / "here"))
    running.ends.clear()
    there = hwgw(feeds, *uses, "--cluster", running.address, "--out", str(tmp_path / "there"), "-v")
    assert (here.returncode, here.stderr) == (there.returncode, "") == (0, ""), there.stderr
    ran = [line for line in there.stderr.splitlines() if not line.startswith("written: ")]
    assert ran == [f"{done} of 8 runs" for done in range(1, 9)]
    assert Counter(end for end, _ in running.ends) == {"memory": 8}
    assert len({worker for _, worker in running.ends}) == 2
    assert there.stdout == here.stdout
    told = json.loads(there.stdout)
    assert (len(told["feeds"]), len(told["sweep"]), len(told["latency"])) == (3, 6, 3)
    assert all(row["fills"] > 0 for row in told["feeds"])
    assert [row["hash"] for row in told["sweep"][::2]] == [row["hash"] for row in told["feeds"]]
    mine, theirs = tables(tmp_path / "here"), tables(tmp_path / "there")
    assert len(theirs) == 3 * 3 + 2
    assert list(mine) == list(theirs)
    assert all(mine[name].equals(theirs[name]) and mine[name].num_rows for name in mine)
    for name in ("result.json", "report.html"):
        assert (tmp_path / "here" / name).read_text() == (tmp_path / "there" / name).read_text()


def test_days_without_a_sweep_are_tasks_and_a_damaged_one_is_read_once(
    feeds: Path, running: SimpleNamespace, tmp_path: Path
) -> None:
    running.ends.clear()
    done = hwgw(feeds, *DAYS, *USES, "builtin:imbalance", "--cluster", running.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.partition(":")[0] for line in done.stdout.splitlines() if " messages, " in line] == list(DAYS)
    assert Counter(end for end, _ in running.ends) == {"memory": 3}
    cut = tmp_path / "cut.itch50"
    cut.write_bytes((feeds / DAYS[0]).read_bytes()[:-5])
    running.ends.clear()
    done = hwgw(feeds, str(cut), *USES, "builtin:imbalance", "--cluster", running.address)
    assert (done.returncode, "allowed are whole records" in done.stderr) == (1, True), done.stderr
    assert [end for end, _ in running.ends] == ["memory"]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["a scheduler", "this host"])
def test_what_fails_is_tried_again_and_what_dies_goes_to_another(
    feeds: Path, running: SimpleNamespace, where: str
) -> None:
    """Without --cluster, too: in one process the first import would be the end of it. Dask does not say a word."""
    pytest.importorskip("numba", reason="numba is not installed")
    name = f"flaky_{where.split()[-1]}"
    (running.modules / f"{name}.py").write_text(FLAKY)
    place = ("--cluster", running.address) if where == "a scheduler" else ()
    uses = (*DAYS[:2], *USES, f"numba:{name}:idle", "--processes", "0", *place)
    done = hwgw(feeds, *uses, PYTHONPATH=str(running.modules))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.count("0 passed, refused: none") == 2
    assert len((running.modules / "tries").read_text()) >= 3
    (running.modules / "tries").unlink()


def test_what_fails_each_time_is_named_with_its_task(feeds: Path, running: SimpleNamespace) -> None:
    done = hwgw(feeds, *DAYS, *USES, "builtin:nobody", "--cluster", running.address)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
    assert "day" in done.stderr
    assert "no built-in 'nobody'" in done.stderr
    assert f"(3 tries; --cluster {running.address})" in done.stderr


def test_another_version_of_a_worker_is_named(running: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = cluster._version()
    monkeypatch.setattr(cluster, "_version", lambda: "0.0.0")
    with pytest.raises(HwgwError, match=rf"worker tcp://127.0.0.1:[0-9]+ has hwgw {ours}, this is 0.0.0"):
        cluster.run_on(running.address, [1], _double)


def test_where_runs_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert cluster.choose("", 1, 0) == ("", 1)
    assert cluster.choose("", 5, 0) == (cluster.LOCAL, 5)
    assert cluster.choose("", 50, 0) == (cluster.LOCAL, 8)
    assert cluster.choose("", 50, 1) == ("", 1)
    assert cluster.choose("local", 1, 0) == (cluster.LOCAL, 1)
    assert cluster.choose("tcp://far:1", 1, 0)[0] == "tcp://far:1"
    with pytest.raises(UsageError, match="--processes 2: of workers of this host"):
        cluster.choose("tcp://far:1", 9, 2)
    monkeypatch.setattr(cluster, "missing", lambda: "No module named 'distributed'")
    assert cluster.choose("", 50, 0) == ("", 8)
    with pytest.raises(UsageError, match=r"pip install 'hwgw\[dask\]'"):
        cluster.choose("local", 50, 0)


def test_a_cluster_that_is_not_there_or_has_no_workers_is_named(feeds: Path) -> None:
    uses = (DAYS[0], *USES, "builtin:imbalance", "--cluster")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        done = hwgw(feeds, *uses, f"tcp://127.0.0.1:{closed.getsockname()[1]}")
    assert (done.returncode, "no scheduler answers there" in done.stderr) == (5, True), done.stderr
    with distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", silence_logs=50) as idle:
        done = hwgw(feeds, *uses, idle.scheduler_address)
    assert (done.returncode, "it has no workers" in done.stderr) == (5, True), done.stderr


def _slowly(number: int) -> int:
    time.sleep(0.5)
    return number


def test_a_scheduler_that_goes_away_is_named() -> None:
    found = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0",
        silence_logs=50,
    )  # fmt: skip
    with found, pytest.raises(DeviceError, match=f"--cluster {found.scheduler_address}: the scheduler went away"):
        cluster.run_on(found.scheduler_address, list(range(9)), _slowly, 1, lambda _: found.close())


def test_without_dask_runs_go_one_after_another_and_it_says_so(feeds: Path, tmp_path: Path) -> None:
    (tmp_path / "distributed.py").write_text("raise ImportError('not here')")
    uses = (*DAYS, *USES, "builtin:imbalance", "--json")
    done = hwgw(feeds, *uses, "--processes", "2", PYTHONPATH=str(tmp_path))
    says = "3 runs go one after another: dask is not installed (not here): pip install 'hwgw[dask]'\n"
    assert (done.returncode, done.stderr) == (0, says)
    assert done.stdout == hwgw(feeds, *uses, "--processes", "1").stdout
    done = hwgw(feeds, *uses, "--cluster", "local", PYTHONPATH=str(tmp_path))
    assert (done.returncode, "pip install 'hwgw[dask]'" in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr


def test_tasks_that_are_a_day_once_more_are_known(feeds: Path) -> None:
    from hwgw import venue_model as model
    from hwgw.backtest import setting

    assumed, strategy = model.load(feeds / "model.yaml"), setting.strategy("builtin:imbalance", ["qty=3"])
    days = [sweep.Task(feeds / name, setting.of_strategy(strategy, ["S0000001"]), assumed) for name in DAYS]
    points = [each for day in days for each in sweep.choices(day, sweep.parse_sweeps(["qty=2,3"]))]
    kept, places = sweep.distinct([*days, *points, *sweep.latencies(days[0], 0, 10, 2)])
    assert len(kept) == 3 + 3 + 1
    assert places == [0, 1, 2, 3, 0, 4, 1, 5, 2, 0, 6]
    assert [task.params for task in kept] == [(), (), (), ("qty=2",), ("qty=2",), ("qty=2",), ()]
