"""Makes docs/backtest-latency.svg, profit by order latency over five seeds: `python docs/backtest_latency.py`

SPDX-License-Identifier: MIT
"""

import statistics
import tempfile
from pathlib import Path

from hwgw_sim.stream import Stream

from hwgw import venue_model as model
from hwgw.backtest import report, setting, sweep

MESSAGES, SYMBOLS, LIVE, STEPS, FURTHEST_NS = 2_000_000, 8, 2000, 11, 1_000_000
SEEDS = range(1, 6)
MODEL = b"feed_latency: {constant: 5us}\norder_latency: {constant: 5us}\nfees: {maker: -0.0020, taker: 0.0030}\n"
LINES = {"highest": max, "median": statistics.median, "lowest": min}


def profits(seed: int) -> list[tuple[int, float]]:
    """Further latency in ns and profit, of a day of that seed."""
    with tempfile.TemporaryDirectory() as folder, Stream(seed, SYMBOLS, LIVE) as stream:
        feed = Path(folder) / "day.itch50"
        feed.write_bytes(stream.records(MESSAGES))
        strategy = setting.strategy("builtin:imbalance", ["cooldown_ns=100us"])
        task = sweep.Task(feed, setting.of_strategy(strategy, setting.symbols_of(feed)), model.loads(MODEL))
        rows = [ran.row for ran in sweep.run_all(sweep.latencies(task, 0, FURTHEST_NS, STEPS))]
    return [(row["delay_ns"], row["pnl"]) for row in rows]


if __name__ == "__main__":
    days = [profits(seed) for seed in SEEDS]
    delays = [delay_ns for delay_ns, _ in days[0]]
    by_delay = [[pnl for _, pnl in step] for step in zip(*days, strict=True)]
    drawn = {name: [of(pnl) for pnl in by_delay] for name, of in LINES.items()}
    picture = report.curve("Profit by further order latency, five seeds", [ns / 1000 for ns in delays], drawn, "us")
    Path(__file__).with_name("backtest-latency.svg").write_text(picture + "\n", encoding="utf-8")
    for delay_ns, pnl in zip(delays, by_delay, strict=True):
        print(f"{delay_ns:>9,} ns  {min(pnl):>12,.2f}  {statistics.median(pnl):>12,.2f}  {max(pnl):>12,.2f}")
