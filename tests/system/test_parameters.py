"""hwgw strategy against a gateway that trades: a change, a rollback, and the journal that names both versions.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

from support.market import Market, until

from hwgw import journal
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
