"""A live day that kept its frames: strategies decide again what they decided, and what was changed is named.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import itertools
import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import journal_proof
from support.market import Market, until
from support.recorded_day import recorded

from hwgw import specs
from hwgw.journal import files_of

KINDS = {int(code.value): code.slug for code in specs.load("order").enum("kind").values}
BEAT = next(code for code, name in journal_proof.TABLE["enums"]["input_kind"].items() if name.startswith("beat"))
DATAGRAM = journal_proof.LAYOUTS["journal_frame"]["length"]  # where it begins in a payload
COUNT, MESSAGE = 18, 22  # in a packet: of its messages, the first one
PRICE = 32  # in a message that adds an order


class Recorded:
    """The configuration and the journal of a day; protocol: of order entry."""

    def __init__(self, folder: Path, frames: bool, protocol: str = "ouch50") -> None:
        self.file = recorded(folder, rate=5_000, cnt=20, protocol=protocol, frames=frames)
        self.config = folder / "gateway.yaml"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(tmp_path_factory.mktemp("decided"), frames=True)


def told(hwgw: Any, target: Path, *options: str | Path) -> tuple[int, dict[str, Any]]:
    done = hwgw("replay", "--journal", target, "--verify", "--json", *options)
    assert "Traceback" not in done.stderr
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("protocol", ["ouch50", "ouch42", "fix42", "fix44"])
def test_every_order_of_a_day_is_decided_again(
    hwgw, protocol: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Answers are told as the gate took them, so that no protocol is read again; what they say still decides."""
    day = request.getfixturevalue("day") if protocol == "ouch50" else Recorded(tmp_path, True, protocol)
    code, found = told(hwgw, day.file.parent, "--config", day.config)
    assert (code, found["differences"], found["contradiction"]) == (0, 0, ""), found
    rows = journal_proof.read([day.file])
    events = [(KINDS[payload[0]], verdict) for kind, _, _, verdict, payload in rows if kind == "gate"]
    kinds = Counter(kind for kind, _ in events)
    again = found["decided"]
    assert (again["runs"], again["not"], again["changed"], again["difference"]) == (1, [], [], None)
    assert again["frames"] == sum(kind == "frame" for kind, *_ in rows) > 1000
    assert (again["orders"], again["cancels"]) == (kinds["new"] + kinds["replace"], kinds["cancel"])
    assert again["refused"] == sum(verdict != 0 for kind, verdict in events if kind in ("new", "replace", "cancel"))
    answers = ("accepted", "rejected", "canceled", "executed", "replaced", "broken")
    assert again["answers"] <= sum(kinds[kind] for kind in answers)  # without those that the gate was given back
    assert min(kinds["new"], kinds["executed"]) > 20
    beats = sum(kind == "input" and payload[0] == BEAT for kind, *_, payload in rows)
    assert again["inputs"] > beats > 10
    said = hwgw("replay", "--journal", day.file, "--verify", "--config", day.config)
    assert (said.returncode, said.stderr) == (0, "")
    assert f"{again['orders']:,} orders" in said.stdout
    assert said.stdout.endswith("0 differences\n")
    if protocol != "ouch50":  # of that day it is said below, in more words
        made = day.config.read_text().replace("qty: 100\n", "qty: 90\n")
        day.config.write_text(made)
        code, found = told(hwgw, day.file, "--config", day.config)
        assert (code, found["decided"]["difference"]["field"]) == (1, "qty")


def test_a_run_that_goes_on_behind_another_decides_again(hwgw, tmp_path: Path) -> None:
    """It comes late to a feed that nobody repairs, so its orders are refused; positions and references go on."""
    folder = tmp_path / "journal"
    with Market(tmp_path, rate=5_000, symbols=4) as market:
        market.journal = {"folder": str(folder), "frames": True}
        for sign in ("session.executed", "risk.refused_feed"):
            process = market.start()
            with market.attached(sign) as segment:
                until(lambda: segment.counters()[sign] >= 50, f"50 {sign}")  # noqa: B023 (called here and now)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0, process.communicate()
        files = files_of(folder, market.name)
    code, found = told(hwgw, folder, "--config", tmp_path / "gateway.yaml")
    assert (code, found["differences"], found["contradiction"]) == (0, 0, ""), found
    again, rows = found["decided"], journal_proof.read(files)
    assert (found["rebuilt_runs"], again["runs"], again["not"], again["difference"]) == (1, 2, [], None)
    kinds = Counter(KINDS[payload[0]] for kind, *_, payload in rows if kind == "gate")
    assert again["orders"] == kinds["new"] + kinds["replace"] > 100


def test_another_parameter_is_named_with_the_first_order(hwgw, day: Recorded, tmp_path: Path) -> None:
    made = yaml.safe_load(day.config.read_text())
    for strategy in made["strategies"]:
        strategy["params"]["qty"] = 90
    other = tmp_path / "gateway.yaml"
    other.write_text(yaml.safe_dump(made))
    code, found = told(hwgw, day.file, "--config", other)
    again = found["decided"]
    assert (code, found["differences"]) == (1, 0)
    assert again["changed"] == ["revert.qty: 100 recorded, 90 now", "lean.qty: 100 recorded, 90 now"]
    row = again["difference"]
    assert (row["about"], row["field"], row["recorded"], row["now"]) == ("new 1", "qty", "100", "90")
    said = hwgw("replay", "--journal", day.file, "--verify", "--config", other)
    assert said.returncode == 1
    assert f"record {row['record']} (block" in said.stdout
    assert "new 1: qty 100 recorded, 90 now" in said.stdout
    assert said.stdout.endswith("1 differences\n")


def test_one_byte_of_a_price_in_a_frame_is_found(hwgw, day: Recorded, tmp_path: Path) -> None:
    """Of an order that made a new best price. The chain is made anew behind it: only the books find it."""
    rows = journal_proof.read([day.file])
    message, place = DATAGRAM + MESSAGE, DATAGRAM + MESSAGE + PRICE + 2
    adds = [
        (seq, payload)
        for (kind, _, seq, _, payload), (then, *_, verdict, order) in itertools.pairwise(rows)
        if (kind, then, verdict) == ("frame", "gate", 0)
        and KINDS[order[0]] == "new"
        and payload[DATAGRAM + COUNT : DATAGRAM + COUNT + 2] == b"\0\1"
        and payload[message : message + 1] == b"A"
    ]
    seq, payload = adds[len(adds) // 2]
    file = tmp_path / day.file.name
    file.write_bytes(day.file.read_bytes())
    journal_proof.changed(file, seq, payload[place] ^ 1, journal_proof.PAYLOAD + place, 1, "frame")
    assert hwgw("journal", "verify", file).returncode == 0
    code, found = told(hwgw, file, "--config", day.config)
    row = found["decided"]["difference"]
    assert (code, found["differences"]) == (1, 0)
    assert row["record"] - seq in (1, 2, 3)  # the order, what it was judged by, the book it was decided on
    assert found["decided"]["frames"] < sum(kind == "frame" for kind, *_ in rows)


def test_without_a_configuration_the_strategies_were_not_asked(hwgw, day: Recorded) -> None:
    code, found = told(hwgw, day.file)
    assert (code, found["differences"], found["decided"]["runs"]) == (0, 0, 0)
    said = hwgw("replay", "--journal", day.file, "--verify").stdout
    assert "NOT        decided again: run 1: its strategies are those of a configuration" in said


def test_a_journal_without_frames_says_that_strategies_were_not_run(
    hwgw, tmp_path_factory: pytest.TempPathFactory
) -> None:
    day = Recorded(tmp_path_factory.mktemp("undecided"), frames=False)
    code, found = told(hwgw, day.file, "--config", day.config)
    assert (code, found["differences"]) == (1, 0)  # it was asked for, and nothing could be decided
    assert found["decided"]["not"] == [{"run": 1, "why": "it has no frames (journal.frames), or no strategies"}]
    code, found = told(hwgw, day.file)
    assert (code, found["differences"]) == (0, 0)


def test_frames_are_shown_as_they_came(hwgw, day: Recorded) -> None:
    done = hwgw("journal", "show", day.file, "--json")
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    frames = [row["data"] for row in shown if row["type"] == "frame"]
    rows = journal_proof.read([day.file])
    assert frames == [payload[DATAGRAM:].hex() for kind, *_, payload in rows if kind == "frame"]
    whats = {row["what"] for row in shown if row["type"] == "input"}
    assert "stop" in whats
    assert {row["values"][0] for row in shown if row["type"] == "params"} == {100}
