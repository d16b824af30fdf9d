"""hwgw strategy against a gateway that trades: a change, a rollback, and the journal that names both versions.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

from support.market import Market, until

from hwgw import audit, journal
from hwgw.cli.journal import day_time
from hwgw.journal.files import blocks, records


def test_parameters_of_a_gateway_change_and_come_back_in_one_command(hwgw, tmp_path: Path) -> None:
    with Market(tmp_path, rate=5_000) as market:
        market.journal = {"folder": str(tmp_path / "journal")}
        market.start()
        with market.attached() as segment:
            shown = json.loads(hwgw("strategy", "show", market.name, "revert", "--json").stdout)["strategies"][0]
            assert shown["params"]["qty"] == 100
            done = hwgw("strategy", "set", market.name, "revert", "qty=300", "--json")
            assert done.returncode == 0, done.stderr
            changed = json.loads(done.stdout)
            assert changed["before"] == shown["hash"]
            encoded = segment.counters()["order.encoded"]
            until(lambda: segment.counters()["order.encoded"] > encoded + 20, "it trades with them")
            back = hwgw("strategy", "rollback", market.name, "revert", "--to", shown["hash"][:10], "--json")
            assert back.returncode == 0, back.stderr
            assert json.loads(back.stdout)["hash"] == shown["hash"]
            versions = json.loads(hwgw("strategy", "versions", market.name, "--json").stdout)["versions"]
            assert [row["hash"] for row in versions] == [changed["hash"], shown["hash"]]
            market.started[-1].send_signal(signal.SIGTERM)
            until(lambda: not segment.running(), "the data process is gone")
        market.started[-1].wait(20)
    files = journal.files_of(tmp_path / "journal", market.name)
    said, sizes = [], set()
    for file in files:
        for block in blocks(file):
            for record in records(block):
                if record.type == "strategy":
                    fields = record.fields()
                    if str(fields["name"]) == "revert":
                        said.append(str(fields["version"]))
                elif record.type == "gate" and record.verdict == 0 and len(said) == 2:
                    sizes.add(int(record.order()["qty"]))
    assert said == [shown["hash"], changed["hash"], shown["hash"]]
    assert 300 in sizes


def test_limits_and_parameters_of_a_gateway_that_trades_come_back_together(hwgw, tmp_path: Path) -> None:
    with Market(tmp_path, rate=5_000) as market:
        market.journal = {"folder": str(tmp_path / "journal")}
        market.start()
        name = market.name

        def in_force() -> tuple[str, list[str]]:
            limits = json.loads(hwgw("limits", "show", name, "--json").stdout)["hash"]
            return limits, [
                row["hash"] for row in json.loads(hwgw("strategy", "show", name, "--json").stdout)["strategies"]
            ]

        with market.attached() as segment:
            before, then_ns = in_force(), time.time_ns()
            for change in (
                ("strategy", "set", name, "revert", "qty=300"),
                ("limits", "set", name, *(f"instruments.{symbol}.qty_max=200" for symbol in segment.symbols)),
                ("strategy", "set", name, "lean", "qty=50"),
            ):
                done = hwgw(*change)
                assert done.returncode == 0, done.stderr
            changed = in_force()
            until(lambda: segment.counters()["risk.refused_qty"] > 20, "300 shares are too many")
            done = hwgw("rollback", name, "--to", day_time(then_ns))
            assert (done.returncode, "would be looser" in done.stderr, in_force()) == (1, True, changed)
            done = hwgw("rollback", name, "--to", day_time(then_ns), "--allow-looser", "--json")
            assert done.returncode == 0, done.stderr
            assert in_force() == before
            told = json.loads(done.stdout)
            assert (told["limits"]["hash"], sorted(row["hash"] for row in told["strategies"])) == (
                before[0], sorted(before[1])
            )  # fmt: skip
            passed = segment.counters()["risk.passed"]
            until(lambda: segment.counters()["risk.passed"] > passed + 20, "it trades as before")
            market.started[-1].send_signal(signal.SIGTERM)
            until(lambda: not segment.running(), "the data process is gone")
        market.started[-1].wait(20)
    acts = [row for row in audit.verify(name) if row["action"] in ("limits", "strategy")]
    assert [row["action"] for row in acts] == ["strategy", "limits", "strategy", "strategy", "strategy", "limits"]
    assert {row["source"] for row in acts[3:]} == {f"rollback of all to {day_time(then_ns)}"}
    assert hwgw("replay", "--journal", tmp_path / "journal", "--name", name, "--verify").returncode == 0
