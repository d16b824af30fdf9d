"""A recorded day judged again: the journal of a gateway that traded, was halted, re-limited and disarmed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import journal_proof
from support.market import Market, until
from support.recorded_day import more, recorded

from hwgw import specs
from hwgw.journal import files_of

from .test_recovery import PATIENCE_S, ROLES, kill, pids, started

COMPARED = 1000
RUNS = 3
NEW, EXECUTED = 1, 7
KINDS = {int(code.value): code.slug for code in specs.load("order").enum("kind").values}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a day with every kind of word from the control plane, and refusals of several kinds."""
    return recorded(tmp_path_factory.mktemp("replay"), rate=20_000, cnt=50, burst=3)


def told(hwgw: Any, target: Path) -> tuple[int, dict[str, Any]]:
    done = hwgw("replay", "--journal", target, "--verify", "--json")
    assert "Traceback" not in done.stderr
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_every_verdict_of_a_day_comes_out_as_recorded(hwgw, day: Path) -> None:
    code, found = told(hwgw, day.parent)
    assert (code, found["differences"], found["shown"]) == (0, 0, [])
    order = specs.dtype("order", "order").fields["kind"][1]  # type: ignore[index]
    rows = journal_proof.read([day])
    events = [(payload[order], verdict) for kind, _, _, verdict, payload in rows if kind == "gate"]
    kinds = Counter(kind for kind, _ in events)
    ahead = sum(verdict == 25 for _, verdict in events)  # instrument_halt
    assert found["orders"] == kinds[1] + kinds[2] - ahead
    assert (found["cancels"], found["ahead"]) == (kinds[3], ahead)
    assert found["events"] == sum(kinds.values()) - kinds[1] - kinds[2] - kinds[3]
    assert found["refused"] == sum(verdict != 0 for kind, verdict in events if kind <= 3)
    assert (found["without"], found["rebuilt_runs"], found["unknown_runs"], found["runs"]) == (0, 0, 0, 1)
    assert found["compared"] > COMPARED
    names = {reason.code: reason.name for reason in specs.reasons()}
    refused = {names[verdict] for kind, verdict in events if kind <= 3 and verdict}
    assert {"halted", "strategy", "instrument_halt", "position"} <= refused
    told_by_venue = sum(kind == "venue" for kind, *_ in journal_proof.read([day]))
    assert (found["venue_messages"], found["contradiction"]) == (told_by_venue, "")
    said = hwgw("replay", "--journal", day, "--verify")
    assert (said.returncode, said.stderr) == (0, "")
    assert f"{found['compared']:,}: {found['orders']:,} orders" in said.stdout
    assert said.stdout.endswith("0 differences\n")


def test_one_changed_verdict_is_the_one_difference(hwgw, day: Path, tmp_path: Path, rng: random.Random) -> None:
    """A chain made anew hides the change from hwgw journal verify, not from the gate."""
    rows = [(seq, verdict, payload) for kind, _, seq, verdict, payload in journal_proof.read([day]) if kind == "gate"]
    orders = [(seq, verdict, payload) for seq, verdict, payload in rows if payload[0] == NEW and verdict != 25]
    for is_passed in (True, False):
        seq, verdict, payload = rng.choice([row for row in orders if (row[1] == 0) == is_passed])
        file = tmp_path / day.name
        file.write_bytes(day.read_bytes())
        journal_proof.changed(file, seq, 9 if is_passed else 0)
        assert hwgw("journal", "verify", file).returncode == 0
        code, found = told(hwgw, file)
        assert (code, found["differences"]) == (1, 1)
        (row,) = found["shown"]
        names = {reason.code: reason.name for reason in specs.reasons()}
        assert (row["record"], row["kind"], row["field"]) == (seq, "new", "verdict")
        assert row["ref"] == int.from_bytes(payload[8:12], "little")
        assert (row["recorded"], row["replayed"]) == (names[9 if is_passed else 0], names[verdict])
        said = hwgw("replay", "--journal", file, "--verify")
        assert f"record {seq} (block" in said.stdout
        assert f"verdict {row['recorded']} recorded, {row['replayed']} replayed" in said.stdout


def test_an_execution_that_the_venue_did_not_tell_contradicts_the_model_of_orders(
    hwgw, day: Path, tmp_path: Path
) -> None:
    """The gate would believe it: only the venue's own messages tell."""
    at = {name: specs.dtype("order", "order").fields[name][1] for name in ("qty", "ref")}  # type: ignore[index]
    rows = [(seq, payload) for kind, _, seq, _, payload in journal_proof.read([day]) if kind == "gate"]
    seq, payload = next((seq, payload) for seq, payload in rows if payload[0] == EXECUTED and payload[at["qty"]] > 1)
    file = tmp_path / day.name
    file.write_bytes(day.read_bytes())
    journal_proof.changed(file, seq, payload[at["qty"]] - 1, journal_proof.PAYLOAD + at["qty"], 1)
    code, found = told(hwgw, file)
    ref = int.from_bytes(payload[at["ref"] : at["ref"] + 4], "little")
    assert code == 1
    assert f"event {EXECUTED} of order {ref} is not what the venue's messages say" in found["contradiction"]
    said = hwgw("replay", "--journal", file, "--verify")
    assert said.returncode == 1
    assert "ORDERS     the journal contradicts itself: block" in said.stdout


@pytest.fixture(scope="module")
def crashed(hwgw, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a gateway that was killed under load twice and stopped in order; people had a word in every run."""
    folder = tmp_path_factory.mktemp("crashed")
    with Market(folder, rate=20_000, symbols=4, seconds=180, recovery=[]) as market:
        market.journal = {"folder": str(folder / "journal"), "stall": "10s"}
        for victims in (ROLES, ("data",), ()):
            market.start()
            with started(market) as segment:
                until(lambda: not segment.halts, "the venue agrees", PATIENCE_S)
                grow = partial(more, segment, seconds=PATIENCE_S)
                grow("risk.passed", 50)
                segment.halt("a test says so")
                grow("risk.refused_halted", 20)
                segment.resume("operator")
                segment.disarm(0)
                grow("risk.refused_strategy", 20)
                segment.arm(0)
                symbol = segment.symbols[1]
                segment.halt_instrument(symbol, "likewise")
                grow("risk.refused_instrument_halt", 5)
                segment.resume_instrument(symbol)
                done = hwgw("strategy", "set", market.name, "revert", "qty=70")
                assert done.returncode == 0, done.stderr
                grow("session.executed", 20)
                table = segment.limits()
                assert table is not None
                table["instrument"]["long_max"] = 150
                table["strategy"]["rate_burst"] = 3
                segment.publish_limits(table)
                grow("risk.refused_position", 20)
                at = pids(segment)
            if victims:
                kill(victims, market, at)
            else:
                market.started[-1].send_signal(signal.SIGTERM)
                assert market.started[-1].wait(30) == 0, market.started[-1].communicate()
        name = market.name
    Path(f"/dev/shm/hwgw-{name}").unlink(missing_ok=True)
    assert len(files_of(folder / "journal", name)) == RUNS
    return folder / "journal"


def runs_of(folder: Path) -> list[list[tuple[str, int, int, int, bytes]]]:
    """The records of each run, by the second reader."""
    found: list[list[tuple[str, int, int, int, bytes]]] = []
    for row in journal_proof.read(sorted(folder.glob("*.journal"))):
        if row[0] == "open":
            found.append([])
        found[-1].append(row)
    return found


def copied(crashed: Path, tmp_path: Path) -> list[Path]:
    shutil.copytree(crashed, tmp_path / "journal")
    return sorted((tmp_path / "journal").glob("*.journal"))


def test_runs_behind_a_crash_come_out_as_recorded(hwgw, crashed: Path) -> None:
    """What each began with is rebuilt, as its own start did; what people changed in any of them is told again."""
    code, found = told(hwgw, crashed)
    assert (code, found["differences"], found["contradiction"]) == (0, 0, ""), found
    assert (found["runs"], found["rebuilt_runs"], found["unknown_runs"], found["unknown_records"]) == (RUNS, 2, 0, 0)
    assert found["without"] <= 2  # a crash may cut off the basis of its last order
    kinds: Counter[str] = Counter()
    for run in runs_of(crashed):
        own = Counter(KINDS[payload[0]] if kind == "gate" else kind for kind, *_, payload in run)
        versions = {payload for kind, *_, payload in run if kind == "strategy"}
        assert len(versions) == len({payload[:32] for payload in versions}) + 1  # one has got other parameters
        assert own["table"] > 1
        kinds += own
    assert found["orders"] + found["ahead"] + found["without"] >= kinds["new"] + kinds["replace"] > COMPARED // 2
    assert found["venue_messages"] == kinds["venue"]
    assert kinds["halt"] >= RUNS
    assert kinds["limits"] >= 2 * RUNS
    said = hwgw("replay", "--journal", crashed, "--verify")
    assert (said.returncode, said.stderr) == (0, "")
    assert "2 runs began with what was rebuilt, here as there" in said.stdout
    assert said.stdout.endswith("0 differences\n")


def test_a_verdict_changed_behind_a_crash_is_the_one_difference(
    hwgw, crashed: Path, tmp_path: Path, rng: random.Random
) -> None:
    last = copied(crashed, tmp_path)[-1]
    rows = [row[2:] for row in runs_of(crashed)[-1] if row[0] == "gate"]
    seq, _, payload = rng.choice([row for row in rows if row[2][0] == NEW and row[1] == 0])
    journal_proof.changed(last, seq, 9)
    assert hwgw("journal", "verify", last.parent).returncode == 0
    code, found = told(hwgw, last.parent)
    assert (code, found["differences"]) == (1, 1)
    (row,) = found["shown"]
    assert (row["run"], row["record"], row["kind"]) == (RUNS, seq, "new")
    assert row["ref"] == int.from_bytes(payload[8:12], "little")
    names = {reason.code: reason.name for reason in specs.reasons()}
    assert (row["recorded"], row["replayed"]) == (names[9], names[0])


def test_a_beginning_that_was_changed_contradicts_what_is_rebuilt(hwgw, crashed: Path, tmp_path: Path) -> None:
    last = copied(crashed, tmp_path)[-1]
    seq, payload = next((row[2], row[4]) for row in runs_of(crashed)[-1] if row[0] == "restored")
    cash, width = specs.dtype("journal", "journal_restored").fields["cash"][1], 8  # type: ignore[index]
    value = int.from_bytes(payload[cash : cash + width], "little") + 1
    journal_proof.changed(last, seq, value % 2**64, journal_proof.PAYLOAD + cash, width, "restored")
    code, found = told(hwgw, last.parent)
    assert code == 1
    assert "this run began with" in found["contradiction"]


def test_one_byte_that_is_another_is_named_with_its_file(hwgw, crashed: Path, tmp_path: Path) -> None:
    first = copied(crashed, tmp_path)[0]
    raw = bytearray(first.read_bytes())
    raw[len(raw) // 2] ^= 1
    first.write_bytes(raw)
    done = hwgw("replay", "--journal", first.parent, "--verify")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{first}: byte " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_behind_a_crash_alone_says_what_is_missing(hwgw, crashed: Path, tmp_path: Path) -> None:
    last = copied(crashed, tmp_path)[-1]
    code, found = told(hwgw, last)
    assert (code, found["compared"], found["unknown_runs"]) == (1, 0, 1)
    assert "stand before it: a file is missing" in found["contradiction"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--verify"], "--journal FOLDER and --verify go together"),
        (["--journal", "."], "--journal FOLDER and --verify go together"),
        (["--journal", ".", "--verify", "--to", "lo"], "--to: it goes with --to gateway and --to G:P and --to IF"),
        (["--journal", ".", "--verify", "--speed", "max"], "--journal takes --journal, --verify, --name, --config"),
        (["--journal", "nowhere", "--verify"], "nowhere: no such file or folder"),
        ([], "FILE|FOLDER --to IF|GROUP:PORT|gateway replays a capture"),
    ],
)
def test_what_makes_no_sense_is_named(hwgw, args: list[str], says: str) -> None:
    done = hwgw("replay", *args)
    assert done.returncode == 2
    assert says in done.stderr
