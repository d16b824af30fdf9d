"""A gateway with a strategy on paper and a shadow, as processes: journals, segments, metrics and the comparison.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import signal
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import journal_proof
from support.market import Market, until

from hwgw import specs
from hwgw.journal import files_of
from hwgw.segment import Segment

PARAMS = {"qty": 100, "edge_px": 0.02, "position_max": 2000, "cooldown_ns": "200us"}
ROWS: list[dict[str, Any]] = [
    {"name": "a", "use": "builtin:mean_reversion", "account": 1, "armed": True, "params": PARAMS},
    {"name": "b", "use": "builtin:mean_reversion", "account": 1, "armed": True, "params": {**PARAMS, "qty": 50},
     "mode": "shadow", "of": "a"},
    {"name": "c", "use": "builtin:imbalance", "account": 2, "armed": True, "params": {"qty": 100}, "mode": "paper"},
]  # fmt: skip
FIELDS = specs.dtype("order", "order").fields


def judged(files: list[Path]) -> dict[tuple[int, int, int], list[int]]:
    """Verdicts by feed message, instrument and side, by the reader that shares no code."""
    assert FIELDS
    found: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for kind, _, _, verdict, payload in journal_proof.read(files):
        if kind == "gate" and payload[0] in (1, 2):
            at = {name: int(FIELDS[name][1]) for name in ("seq", "instrument", "side")}
            seq = int.from_bytes(payload[at["seq"] : at["seq"] + 8], "little")
            instrument = int.from_bytes(payload[at["instrument"] : at["instrument"] + 4], "little")
            found[seq, instrument, payload[at["side"]]].append(verdict)
    return found


def decisions(files: list[Path]) -> Counter[tuple[int, int, int]]:
    """Orders by feed message, instrument and side."""
    return Counter({key: len(verdicts) for key, verdicts in judged(files).items()})


VENUE = """
feed_latency: {constant: 10us}
order_latency: {low: 50us, high: 150us}
answer_latency: {constant: 10us}
fees: {maker: -0.002, taker: 0.003}
"""
QTY = next(reason.code for reason in specs.reasons() if reason.name == "qty")


def test_paper_and_shadow_beside_a_live_gateway(hwgw, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with Market(tmp_path, rate=20_000, symbols=4) as market:
        market.journal = {"folder": str(folder)}
        market.strategies = ROWS
        path = market.config()
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "paper": {"latency": "100us"}}))
        process = market.start_file(path)
        names = [market.name, f"{market.name}-shadow", f"{market.name}-paper"]
        with market.attached("session.executed") as live, Segment.attach(names[1]) as b, Segment.attach(names[2]) as c:
            rows = (("a", live), ("b", b), ("c", c))
            until(lambda: min(each.strategies()[name]["fills"] for name, each in rows) > 50, "all trade")
            assert [list(segment.strategies()) for segment in (live, b, c)] == [["a"], ["b"], ["c"]]
            said = hwgw("status", names[1]).stdout
            assert f"beside {market.name}: shadow, orders go to a model of the venue, 100 us away" in said
            assert "b          shadow, armed" in said
            found = json.loads(hwgw("compare", market.name, "--json").stdout)["pairs"]
            assert [(row["a"]["strategy"], row["b"]["strategy"]) for row in found] == [("a", "b")]
            metrics = hwgw("metrics", names[2]).stdout
            assert f'hwgw_strategy_live{{gateway="{names[2]}",strategy="c"}} 0.0' in metrics
            assert hwgw("limits", "diff", names[1], path).returncode == 0
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, process.communicate()
        assert [name for name in names if Path(f"/dev/shm/hwgw-{name}").exists()] == []
        statement = market.exchange.stop()
    files = {name: files_of(folder, name) for name in names}
    by = [decisions(files[name]) for name in names]
    # what came to the venue are the orders that passed the live gate, and no others
    rows = journal_proof.read(files[names[0]])
    assert statement["orders"]["in"] == sum(
        kind == "gate" and payload[0] == 1 and not verdict for kind, _, _, verdict, payload in rows
    )
    for name in names:
        assert hwgw("replay", "--journal", folder, "--name", name, "--verify").returncode == 0
    (pair,) = json.loads(hwgw("compare", market.name, "--journal", folder, "--json").stdout)["pairs"]
    same = sum((by[0] & by[1]).values())
    assert (pair["same"], pair["only_a"], pair["only_b"]) == (same, by[0].total() - same, by[1].total() - same)
    assert pair["same"] > 0
    assert pair["other_terms"] == pair["same"]  # 50 shares where the other has 100
    assert pair["b"]["mode"] == "shadow"
    done = hwgw("compare", market.name, "a", "c", "--journal", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "on the same message" in done.stdout
    done = hwgw("compare", market.name, "a", "nobody", "--journal", folder)
    assert done.returncode == 2
    assert "nobody: no such strategy; there are a, c, b" in done.stderr


def test_a_shadow_with_narrower_limits_shows_what_they_would_refuse(hwgw, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with Market(tmp_path, rate=20_000, symbols=4) as market:
        market.journal = {"folder": str(folder)}
        market.strategies = [ROWS[0], {**ROWS[0], "name": "b", "params": {**PARAMS}, "mode": "shadow", "of": "a"}]
        path = market.config()
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "paper": {"model": "venue.yaml"}}))
        (tmp_path / "venue.yaml").write_text(VENUE)
        process = market.start_file(path)
        live_name, beside = market.name, f"{market.name}-shadow"

        def digest(name: str) -> str:
            return str(json.loads(hwgw("limits", "show", name, "--json").stdout)["hash"])

        with market.attached("session.executed") as live, Segment.attach(beside) as shadow:
            until(lambda: shadow.strategies()["b"]["passed"] > 20, "the shadow's orders pass")
            of_live, of_shadow = digest(live_name), digest(beside)
            narrower = [f"instruments.{symbol}.qty_max=50" for symbol in live.symbols]
            assert hwgw("limits", "set", beside, *narrower).returncode == 0
            assert digest(live_name) == of_live
            assert digest(beside) != of_shadow
            passed = live.strategies()["a"]["passed"]
            until(lambda: shadow.counters()["risk.refused_qty"] > 20, "the shadow's orders are refused")
            until(lambda: live.strategies()["a"]["passed"] > passed + 20, "the live ones go on")
            assert "a model of the venue, 110 us away in the middle, by venue.yaml" in hwgw("status", beside).stdout
            (running,) = json.loads(hwgw("compare", live_name, "--json").stdout)["pairs"]
            assert running["b"]["refused"] > running["a"]["refused"]
            assert live.counters()["risk.refused_qty"] == 0
            b = running["b"]
            assert b["pnl_after_fees"] == pytest.approx(b["pnl"] - b["fees"])
            assert b["fees"] > 0
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, process.communicate()
    files = [files_of(folder, name) for name in (live_name, beside)]
    of_a, of_b = map(judged, files)
    pairs = [pair for key in of_a.keys() & of_b.keys() for pair in zip(of_a[key], of_b[key], strict=False)]
    assert not [verdict for verdicts in of_a.values() for verdict in verdicts if verdict == QTY]
    assert pairs.count((0, QTY)) > 0
    (found,) = json.loads(hwgw("compare", live_name, "--journal", folder, "--json").stdout)["pairs"]
    assert (found["same"], found["other_verdict"]) == (len(pairs), sum(one != other for one, other in pairs))
    assert found["b"]["refused"]["qty"] == sum(verdicts.count(QTY) for verdicts in of_b.values())
    assert "qty" not in found["a"]["refused"]
    # every order takes at once what it can get, or nothing
    assert found["b"]["fees"] == pytest.approx(found["b"]["executed_qty"] * 0.003)
    assert found["b"]["pnl_after_fees"] == pytest.approx(found["b"]["pnl"] - found["b"]["fees"])
    assert (found["a"]["fees"], found["a"]["pnl_after_fees"]) == (None, None)
    assert "PnL after fees        -  " in hwgw("compare", live_name, "--journal", folder).stdout
    for name in (live_name, beside):
        assert hwgw("replay", "--journal", folder, "--name", name, "--verify").returncode == 0
