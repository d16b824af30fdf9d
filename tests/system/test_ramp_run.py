"""hwgw run with a ramp, as processes: limits rise when a step has held, and a halt takes the step back.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import itertools
import json
import signal
from pathlib import Path
from typing import Any

import yaml
from support import journal_proof
from support.market import Market, until

from hwgw import specs
from hwgw.journal import files_of
from hwgw.segment import Segment

QTY_MAX = 200  # of the configuration; a quarter of it lets 40 shares pass, and not 100
PARAMS = {"edge_px": 0.02, "position_max": 400, "cooldown_ns": "200us"}
ROWS: list[dict[str, Any]] = [
    {"name": name, "use": "builtin:mean_reversion", "account": account, "armed": True, "params": {**PARAMS, "qty": qty}}
    for name, account, qty in (("little", 1, 40), ("much", 2, 100))
]
RAMP = {"steps": [25, 100], "hold": "1s", "orders_min": 20, "loss_max": 1_000_000}
QTY = next(reason.code for reason in specs.reasons() if reason.name == "qty")
FIELDS = specs.dtype("order", "order").fields


def verdicts(files: list[Path], strategy: int) -> list[int]:
    """Of a strategy's orders, passed (0) or refused for their quantity, runs of the same as one."""
    assert FIELDS
    kind_at, strategy_at = int(FIELDS["kind"][1]), int(FIELDS["strategy"][1])
    rows = [
        verdict
        for kind, _, _, verdict, payload in journal_proof.read(files)
        if kind == "gate" and payload[kind_at] == 1 and payload[strategy_at] == strategy and verdict in (0, QTY)
    ]
    assert len(rows) > 100
    return [verdict for verdict, _ in itertools.groupby(rows)]


def test_limits_rise_when_a_step_has_held_and_a_halt_takes_it_back(hwgw, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with Market(tmp_path, rate=20_000) as market:
        market.strategies, market.journal = ROWS, {"folder": str(folder)}
        path = market.config()
        made = yaml.safe_load(path.read_text())
        made["limits"]["instruments"]["*"]["qty_max"] = QTY_MAX
        path.write_text(yaml.safe_dump({**made, "ramp": RAMP}))
        process = market.start_file(path)
        name = market.name

        def steps() -> list[str]:
            acts = json.loads(hwgw("audit", name, "--json").stdout or "{}").get("acts", [])
            return [act["source"] for act in acts if act["action"] == "limits"]

        def qty_max(segment: Segment) -> int:
            """Of one symbol, as the command shows it."""
            shown = json.loads(hwgw("limits", "show", name, "--json").stdout)["limits"]
            (found,) = (row for row in shown if row["name"] == f"instruments.{segment.symbols[0]}.qty_max")
            return int(found["value"])

        with market.attached() as segment:

            def of(strategy: str, what: str) -> int:
                return int(segment.strategies()[strategy][what])

            until(lambda: of("much", "passed") > 0, "the first step has held, and 100 shares pass")
            assert (steps(), qty_max(segment)) == (["ramp rises to step 2 of 2 (100 %)"], QTY_MAX)
            assert segment.counters()["risk.refused_qty"] > 0
            assert of("little", "passed") >= RAMP["orders_min"]

            assert hwgw("halt", name, "--reason", "a test says so").returncode == 0
            until(lambda: len(steps()) == 2, "the halt takes the step back")
            assert qty_max(segment) == QTY_MAX // 4
            before, passed = segment.counters()["risk.refused_qty"], of("much", "passed")
            assert hwgw("resume", name, "--reason", "operator").returncode == 0
            until(lambda: segment.counters()["risk.refused_qty"] > before, "100 shares are too many again")
            until(lambda: of("much", "passed") > passed, "it rises again")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, process.communicate()
        said, warned = (text.decode() for text in process.communicate())
    assert "limits begin at step 1 of 2 (25 %)" in said
    rises, falls = "rises to step 2 of 2 (100 %)", "falls back: halted: operator to step 1 of 2 (25 %)"
    assert steps() == [f"ramp {what}" for what in (rises, falls, rises)]
    told = [line.partition("ramp: ")[2] for line in warned.splitlines() if "ramp: " in line]
    assert [line for line in told if not line.startswith("stays ")] == [rises, falls, rises]
    files = files_of(folder, name)
    assert verdicts(files, 0) == [0]
    assert verdicts(files, 1) == [QTY, 0, QTY, 0]  # no order between two steps is judged by the other
    assert hwgw("replay", "--journal", folder, "--name", name, "--verify").returncode == 0
