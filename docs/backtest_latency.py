"""Makes docs/backtest-latency.svg, profit by order latency: `python docs/backtest_latency.py`

SPDX-License-Identifier: MIT
"""

import tempfile
from pathlib import Path

from hwgw_sim.stream import Stream

from hwgw import venue_model as model
from hwgw.backtest import report, setting, sweep

MESSAGES, SYMBOLS, LIVE, STEPS, FURTHEST_NS = 2_000_000, 8, 2000, 11, 1_000_000
MODEL = b"feed_latency: {constant: 5us}\norder_latency: {constant: 5us}\nfees: {maker: -0.0020, taker: 0.0030}\n"

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Stream(1, SYMBOLS, LIVE) as stream:
        feed = Path(folder) / "day.itch50"
        feed.write_bytes(stream.records(MESSAGES))
        strategy = setting.strategy("builtin:imbalance", ["cooldown_ns=100us"])
        task = sweep.Task(feed, setting.of_strategy(strategy, setting.symbols_of(feed)), model.loads(MODEL))
        rows = [ran.row for ran in sweep.run_all(sweep.latencies(task, 0, FURTHEST_NS, STEPS))]
    delays = [row["delay_ns"] / 1000 for row in rows]
    picture = report.curve("Profit by further order latency", delays, {"pnl": [row["pnl"] for row in rows]}, "us")
    Path(__file__).with_name("backtest-latency.svg").write_text(picture + "\n", encoding="utf-8")
    for row in rows:
        print(f"{row['delay_ns']:>9,} ns  {row['pnl']:>12,.2f}  {row['fills']:,} fills")
