"""`hwgw tune report` in its three forms, and the verdict of `apply --measure`.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support import hosts

from hwgw import cli
from hwgw.jitter import WAITS_NS, Bin, Cpu
from hwgw.tune import measure, plan, profile, report, verify
from hwgw.tune.host import Host
from hwgw.tune.state import State


def cpu(wait: float, *, busy: float = 0.0, steal: float = 0.0, p99: int = 5_000, number: int = 2) -> Cpu:
    """A run of one second in which a packet waits for 10 us and more with this probability."""
    return Cpu(
        cpu=number, mode="gaps", scheduler="other", threshold_ns=200, run_ns=10**9, rounds=10**7, loop_ns=20.0, cnt=100,
        min_ns=200, mean_ns=1000.0, max_ns=90_000, total_ns=10**6, skipped=0, switches=3, faults=0,
        percentile_ns=dict.fromkeys((50.0, 90.0, 99.0, 99.9, 99.99, 99.999), p99), wait=dict.fromkeys(WAITS_NS, wait),
        off_cpu_ns=round(busy * 10**9), steal_ns=round(steal * 10**9), smi=None, bins=[Bin(200, 300, 100, 25_000)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> report.Report:
    host = Host(hosts.make(tmp_path_factory.mktemp("report") / "host"))
    state = State(host, tmp_path_factory.mktemp("state"))
    return report.make(profile.load("latency"), host, state, [cpu(0.01), cpu(0.02, number=3)])


class Reader(HTMLParser):
    """Tags, attributes and cells of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def test_html_stands_alone_and_says_what_verify_says(made: report.Report) -> None:
    page = report.render(made, "html")
    reader = Reader()
    reader.feed(page)
    assert {"script", "link", "img", "iframe", "a"}.isdisjoint(reader.tags)
    assert {"href", "src", "xlink:href"}.isdisjoint(name for name, _ in reader.attributes)
    assert "url(" not in page
    assert "@import" not in page
    assert reader.tags.count("svg") == 1
    assert reader.tags.count("polyline") == 4
    names = {row.setting.knob.name for row in made.rows}
    assert len(names) > 60
    for name in names:
        assert name in reader.text, name


def test_markdown_counts_every_place_once(made: report.Report) -> None:
    text = report.render(made, "md")
    cells = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in text.splitlines() if line.startswith("|")]
    places = [int(row[3]) for row in cells if len(row) == 6 and row[3].isdigit()]
    assert sum(places) == len(made.rows) == sum(made.counts.values())
    assert "| eth0 | mlx5_core" in text
    assert "IRQ 100 of queue 0 is on CPU 0, not on 2" in text


def test_metrics_are_in_the_exposition_format(made: report.Report) -> None:
    lines = report.render(made, "prom").splitlines()
    samples = {}
    for line in lines:
        if line.startswith("# TYPE"):
            assert re.fullmatch(r"# TYPE hwgw_\w+ gauge", line)
        elif not line.startswith("# HELP"):
            match = re.fullmatch(r'(hwgw_\w+(?:\{(?:\w+="[^"\n]*",?)+\})?) (-?[\d.e+-]+)', line)
            assert match, line
            assert match[1] not in samples
            samples[match[1]] = float(match[2])
    assert samples['hwgw_tune_places{profile="latency",verdict="drift"}'] == made.counts[verify.DRIFT]
    drift = sum(value for name, value in samples.items() if name.startswith("hwgw_tune_drift"))
    assert drift == made.counts[verify.DRIFT] + made.counts[verify.FOREIGN]
    assert samples['hwgw_jitter_wait_ratio{cpu="3",over_us="10"}'] == 0.02


def test_the_verb_writes_what_the_name_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = hosts.make(tmp_path / "host")
    for name, begin in (("r.html", "<!doctype html>"), ("r.prom", "# HELP hwgw_tune_places")):
        file = tmp_path / name
        assert cli.execute(["tune", "report", "--root", str(tree), "--write", str(file)]) == 0
        assert file.read_text().startswith(begin)
    capsys.readouterr()
    assert cli.execute(["tune", "report", "--root", str(tree), "--write", str(tmp_path / "r.pdf")]) == 2
    assert "the name ends with .html, .md, .prom" in capsys.readouterr().err
    assert cli.execute(["tune", "report", "--root", str(tree), "--jitter", "1"]) == 2
    assert "cannot be measured" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.part"))


# ---- apply --measure ----


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ((0.05, 0.06, 0.05), (0.01, 0.01, 0.02), "better"),
        ((0.01, 0.01, 0.02), (0.05, 0.06, 0.05), "worse"),
        ((0.05, 0.01, 0.03), (0.02, 0.04, 0.03), "no difference seen"),
        ((0.05, 0.06), (0.01, 0.01), "none: 2 pairs of runs, 3 are the least"),
    ],
)
def test_a_verdict_needs_pairs_that_agree(before: tuple[float, ...], after: tuple[float, ...], verdict: str) -> None:
    found = measure.compare([[cpu(one)] for one in before], [[cpu(one)] for one in after])
    assert found.verdict == verdict


def test_the_interval_is_that_of_students_t() -> None:
    """Differences -3, -4, -5 %: mean -4, deviation 1, t(2) = 4.303 at 95 %: half width 4.303 / sqrt(3)."""
    found = measure.compare([[cpu(0.05)]] * 3, [[cpu(0.02)], [cpu(0.01)], [cpu(0.0)]])
    half = 4.303 * 0.01 / math.sqrt(3)
    assert found.change == pytest.approx(-0.04)
    assert (found.low, found.high) == pytest.approx((-0.04 - half, -0.04 + half))


@pytest.mark.parametrize(
    ("disturbed", "said"),
    [({"busy": 0.8}, "other tasks had a measured CPU for 80%"), ({"steal": 0.05}, "the hypervisor gave up to 5.0%")],
)
def test_a_host_that_is_not_quiet_gets_no_verdict(disturbed: dict[str, float], said: str) -> None:
    found = measure.compare([[cpu(0.05, **disturbed)]] * 3, [[cpu(0.01, **disturbed)]] * 3)
    assert found.verdict == "none: the host was not quiet enough"
    assert said in found.doubts[0]


def test_the_worst_cpu_counts() -> None:
    assert measure.figure([cpu(0.01), cpu(0.07, number=3), cpu(0.02, number=4)]) == 0.07


def test_runs_alternate_and_end_applied() -> None:
    """Without, with, three times; each undo before the next run without."""
    said: list[str] = []

    def measured() -> list[Cpu]:
        said.append("with" if said.count("apply") > said.count("undo") else "without")
        return [cpu(0.01 if said[-1] == "with" else 0.05)]

    found = measure.run(3, measured, lambda: said.append("apply"), lambda: said.append("undo"))
    assert said == ["without", "apply", "with", "undo"] * 2 + ["without", "apply", "with"]
    assert found.verdict == "better"
    assert json.loads(json.dumps(found.result()))["before"] == [0.05] * 3


def test_a_report_reads_only(tmp_path: Path) -> None:
    tree = hosts.make(tmp_path / "host")
    before = hosts.snapshot(tree, leave_out=())
    host = Host(tree)
    state = State(host)
    text = report.render(report.make(profile.load("latency"), host, state), "md")
    assert "Jitter" not in text
    assert len(plan.make(profile.load("latency"), host, state).changes) > 80
    assert hosts.snapshot(tree, leave_out=()) == before


@pytest.mark.root
def test_a_profile_is_measured_on_this_host_and_put_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sysctl: without, with, without, with; the last apply stands, and rollback restores what was there."""
    knob = Path("/proc/sys/vm/stat_interval")
    before = knob.read_text()
    wanted = "7" if before.strip() != "7" else "8"
    file = tmp_path / "one.yaml"
    file.write_text(f"about: one sysctl\nroles: {{housekeeping: rest}}\nknobs: {{vm.stat_interval: {wanted}}}\n")
    state = ["--state", str(tmp_path / "state")]
    try:
        assert cli.execute(
            ["tune", "apply", "-p", str(file), *state, "--measure", "0.05", "--rounds", "2", "--json"]
        ) == 0  # fmt: skip
        result = json.loads(capsys.readouterr().out)
        assert knob.read_text().strip() == wanted
        assert [len(result["measure"][side]) for side in ("before", "after")] == [2, 2]
        assert result["measure"]["verdict"].startswith("none: ")
        assert [row["new"] for row in result["written"]] == [wanted]
        assert cli.execute(["tune", "rollback", *state]) == 0
        assert knob.read_text() == before
    finally:
        knob.write_text(before)
