"""A live day whose lines lose: what re-request servers and snapshots brought is told again, and every order comes.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support import journal_proof
from support.market import Market, until

from hwgw import specs
from hwgw.demo.stage import recovery_keys
from hwgw.journal import files_of

KINDS = {int(code.value): code.slug for code in specs.load("order").enum("kind").values}
ENUMS = journal_proof.TABLE["enums"]
LINES = {number: name.split(" ")[0] for number, name in ENUMS["frame_line"].items()}
INPUTS = {number: name.split(" ")[0] for number, name in ENUMS["input_kind"].items()}
END = b"G"  # the message that ends a snapshot (GLIMPSE 5.0)


def traded(folder: Path, market: Market, wanted: dict[str, int], **journal: Any) -> tuple[list[Path], dict[str, int]]:
    """The journal of a day until its counters have come so far, and these just before it was stopped."""
    market.journal = {"folder": str(folder / "journal"), "frames": True, **journal}
    process = market.start()
    with market.attached("mold.frames") as segment:
        for name, cnt in wanted.items():
            until(lambda: segment.counters()[name] >= cnt, f"{cnt} {name}", 40)  # noqa: B023 (called here and now)
        counters = segment.counters()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0, process.communicate()
    return files_of(folder / "journal", market.name), counters


def decided(hwgw: Any, folder: Path, files: list[Path]) -> tuple[dict[str, Any], Counter[str]]:
    """What came of it, which is what is on record, counted by the second reader."""
    done = hwgw("replay", "--journal", folder / "journal", "--verify", "--json", "--config", folder / "gateway.yaml")
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert (done.returncode, found["differences"], found["contradiction"]) == (0, 0, ""), found
    again, cnt = found["decided"], Counter[str]()
    assert (again["runs"], again["not"], again["changed"], again["difference"]) == (1, [], [], None)
    for kind, _, _, _, payload in journal_proof.read(files):
        if kind == "frame":
            head = journal_proof.fields("journal_frame", payload)
            cnt[LINES[head["line"]]] += 1
            cnt["ends"] += LINES[head["line"]] == "snapshot" and payload[32:33] == END
        elif kind == "input":
            cnt[INPUTS[payload[0]]] += 1
        elif kind == "gate":
            cnt[KINDS[payload[0]]] += 1
    assert again["frames"] == cnt["a"] + cnt["b"] > 100
    assert (again["orders"], again["cancels"]) == (cnt["new"] + cnt["replace"], cnt["cancel"])
    assert (again["requests"], again["replies"]) == (cnt["request"], cnt["answer"])
    assert (again["loads"], again["snapshot_messages"]) == (cnt["load"], cnt["snapshot"])
    return again, cnt


def test_a_day_of_two_lines_that_lose_is_decided_again_from_what_a_server_answered(hwgw: Any, tmp_path: Path) -> None:
    lossy = ["--faults", "loss=10%", "--faults", "loss=10%,reorder=8", "--request-loss", "0.3"]
    with Market(tmp_path, recovery=lossy, rate=4000) as market:
        wanted = {"recover.frames": 100, "recover.request_timeouts": 5, "order.encoded": 100, "session.executed": 30}
        files, counters = traded(tmp_path, market, wanted)
    again, cnt = decided(hwgw, tmp_path, files)
    assert again["requests"] >= counters["recover.requests"] > 10
    assert again["replies"] >= counters["recover.frames"] + counters["recover.drop_frames"] >= 100
    assert again["orders"] > 10
    # an open hole has a round on record per thing that is done about it, not per look
    assert cnt["recovery"] < 10 * (cnt["request"] + counters["mold.gaps"])
    said = hwgw("replay", "--journal", files[0].parent, "--verify", "--config", tmp_path / "gateway.yaml")
    assert f"repaired   again: {again['requests']:,} re-requests and" in said.stdout


def test_a_day_that_was_joined_late_and_had_an_outage_is_decided_again_from_its_snapshots(
    hwgw: Any, tmp_path: Path
) -> None:
    """Too much is missing to be asked for: the books begin anew, in the middle of the day, behind each snapshot."""
    outage = "outage=1-1.5"
    with Market(tmp_path, recovery=["--faults", outage, "--faults", outage], rate=8000) as market:
        recover = recovery_keys(market.exchange.ready)["recover"] | {"messages_max": 100}
        market.channel = {"hold_max": 16_384, "reorder_window": "1ms", "recover": recover}
        wanted = {"recover.snapshots": 1, "order.encoded": 100, "session.executed": 30}
        files, counters = traded(tmp_path, market, wanted)
    again, cnt = decided(hwgw, tmp_path, files)
    assert again["loads"] >= counters["recover.loads"] >= counters["recover.snapshots"] >= 1
    assert cnt["ends"] >= counters["recover.snapshots"]
    assert again["snapshot_messages"] >= counters["recover.snapshot_messages"] + cnt["ends"] > 5
    assert again["orders"] > 10


@pytest.mark.parametrize("line", ["answer", "snapshot"])
def test_a_byte_of_what_a_server_said_is_found(hwgw: Any, tmp_path: Path, line: str) -> None:
    """The chain is made anew behind it: only the books, and what is asked for, find it."""
    faults = ["--faults", "loss=10%", "--faults", "loss=10%"]
    with Market(tmp_path, recovery=faults, rate=4000) as market:
        if line == "snapshot":
            market.channel = recovery_keys(market.exchange.ready)
            market.channel["recover"] = market.channel["recover"] | {"messages_max": 1}
        sign = {"answer": "recover.frames", "snapshot": "recover.snapshot_orders"}[line]
        files, _ = traded(tmp_path, market, {sign: 20, "order.encoded": 20})
    decided(hwgw, tmp_path, files)
    # the number of an answer's first message, or the digits of that which a snapshot ends with, behind the type
    number = {"answer": 32 + 17, "snapshot": 32 + 1}[line]
    seq, payload = next(
        (seq, payload)
        for kind, _, seq, _, payload in journal_proof.read(files)
        if kind == "frame" and LINES[payload[4]] == line and (line == "answer" or payload[32:33] == END)
    )
    value = payload[number] ^ 1
    if line == "snapshot":  # it ends far sooner, so what it does not cover is missing, and has to be asked for
        number += next(place for place, digit in enumerate(payload[number:]) if digit in b"123456789")
        value = ord("0")
    journal_proof.changed(files[0], seq, value, journal_proof.PAYLOAD + number, 1, "frame")
    done = hwgw("replay", "--journal", files[0], "--verify", "--json", "--config", tmp_path / "gateway.yaml")
    found = json.loads(done.stdout)
    assert (done.returncode, found["differences"]) == (1, 0)
    assert found["decided"]["difference"]["record"] > seq
