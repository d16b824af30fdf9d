"""A backtest as a user sees it: who of a gateway.yaml trades, and what a day can be checked by.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from hwgw_sim.stream import Stream
from support import journal_proof
from support.captures import pcap
from support.rig import frame, mold

from hwgw.demo.stage import gateway_yaml
from hwgw.journal import files_of, verify
from hwgw.journal.virtual import VirtualJournal

SYMBOLS = ["S0000001", "S0000002"]
MODEL = "feed_latency: {constant: 5us}\norder_latency: {constant: 20us}\nfees: {maker: -0.002, taker: 0.003}\n"


def hwgw(*args: object) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "hwgw.cli", *map(str, args)], capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A generated feed of 20,000 messages, and a model."""
    folder = tmp_path_factory.mktemp("day")
    with Stream(3, len(SYMBOLS), 100) as stream:
        (folder / "day.itch50").write_bytes(stream.records(20_000))
    (folder / "model.yaml").write_text(MODEL)
    return folder / "day.itch50", folder / "model.yaml"


# ---- who trades ----


def gateway(path: Path, *modes: str, **limits: Any) -> Path:
    """A gateway.yaml with a strategy of each mode, named by it and a letter; a shadow is beside the first.

    limits: of the gateway, other than those of a demo.
    """
    made = gateway_yaml("gw", SYMBOLS, {"backend": "udp", "local_address": "127.0.0.1"}, "127.0.0.1", 1)
    bucket = made["limits"]["strategies"]["revert"]
    rows = []
    for letter, mode in zip("abc", modes, strict=False):
        row = {"name": f"{mode}_{letter}", "use": "builtin:imbalance", "mode": mode, "account": 1}
        rows.append({**row, "of": f"{modes[0]}_a"} if mode == "shadow" else row)
    made["strategies"] = rows
    made["limits"]["gateway"] |= limits
    made["limits"]["strategies"] = {row["name"]: dict(bucket) for row in rows}
    if set(modes) != {"live"}:
        made["paper"] = {"latency": "50us"}
    path.write_text(yaml.safe_dump(made))
    return path


def traded(day: tuple[Path, Path], config: Path, out: Path, *args: str) -> tuple[dict[str, Any], set[int]]:
    """What a backtest of a configuration says, and the numbers of the strategies that ordered."""
    done = hwgw("backtest", day[0], "--model", day[1], "--config", config, "--out", out, "--json", *args)
    assert done.returncode == 0, done.stderr
    orders = pq.read_table(out / "orders.parquet", columns=["strategy", "ref"]).to_pydict()
    return json.loads(done.stdout), {
        number for number, ref in zip(orders["strategy"], orders["ref"], strict=True) if ref
    }


def test_strategies_of_another_mode_take_no_part_and_are_named(day: tuple[Path, Path], tmp_path: Path) -> None:
    """What the live one does is what it does alone, to the byte."""
    all_three = gateway(tmp_path / "three.yaml", "live", "shadow", "paper")
    told, numbers = traded(day, all_three, tmp_path / "three")
    alone, _ = traded(day, gateway(tmp_path / "one.yaml", "live"), tmp_path / "one")
    assert (told["strategies"], told["left_out"]) == (["live_a"], {"shadow_b": "shadow", "paper_c": "paper"})
    assert numbers == {0}
    assert told["feeds"][0]["orders_passed"] > 10
    assert told["feeds"][0]["hash"] == alone["feeds"][0]["hash"]
    assert (alone["strategies"], alone["left_out"]) == (["live_a"], {})
    said = hwgw("backtest", day[0], "--model", day[1], "--config", all_three).stdout
    assert "left out: shadow_b (shadow), paper_c (paper); --mode" in " ".join(said.split())


@pytest.mark.parametrize(("mode", "number"), [("shadow", 1), ("paper", 2)])
def test_a_mode_that_is_asked_for_trades_alone_under_its_own_number(
    day: tuple[Path, Path], tmp_path: Path, mode: str, number: int
) -> None:
    config = gateway(tmp_path / "three.yaml", "live", "shadow", "paper")
    told, numbers = traded(day, config, tmp_path / "out", "--mode", mode, "--sweep", "qty=100,50", "--processes", "1")
    assert numbers == {number}
    assert len(told["strategies"]) == 1
    assert told["strategies"][0].startswith(mode)
    assert set(told["left_out"].values()) == {"live", "shadow", "paper"} - {mode}
    # a sweep is of the one that trades
    assert told["sweep"][0]["hash"] == told["feeds"][0]["hash"] != told["sweep"][1]["hash"]


@pytest.mark.parametrize(
    ("modes", "args", "says"),
    [
        (("paper",), (), "no strategy of mode live; there are paper_a (paper): --mode says which trade"),
        (("live",), ("--mode", "shadow"), "no strategy of mode shadow; there are live_a (live)"),
        ((), ("--strategy", "builtin:imbalance", "--mode", "paper"), "--mode paper: it goes with --config"),
    ],
)
def test_a_mode_that_nobody_has_is_a_mistake(
    day: tuple[Path, Path], tmp_path: Path, modes: tuple[str, ...], args: tuple[str, ...], says: str
) -> None:
    named = ("--config", gateway(tmp_path / "gw.yaml", *modes)) if modes else ()
    done = hwgw("backtest", day[0], "--model", day[1], *named, *args)
    assert (done.returncode, says in " ".join(done.stderr.split())) == (2, True), done.stderr


def test_a_replay_into_a_pipeline_leaves_the_same_out(day: tuple[Path, Path], tmp_path: Path) -> None:
    config = gateway(tmp_path / "two.yaml", "live", "paper")
    alone = gateway(tmp_path / "one.yaml", "live")
    told, one = (
        json.loads(hwgw("replay", day[0], "--to", "gateway", "--config", each, "--json").stdout)
        for each in (config, alone)
    )
    assert told["left_out"] == {"paper_b": "paper"}
    assert told["orders"] == one["orders"] > 0


# ---- the journal ----


def said(*args: object, code: int = 0) -> dict[str, Any]:
    """What a program says with --json."""
    done = hwgw(*args, "--json")
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def shown(folder: Path) -> list[dict[str, Any]]:
    done = hwgw("journal", "show", folder, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def kept(day: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A day with orders that the gate refuses, its folder and what result.json says."""
    folder = tmp_path_factory.mktemp("kept")
    config = gateway(folder / "gw.yaml", "live", open_max=1)
    traded(day, config, folder / "out")
    return folder / "out", json.loads((folder / "out" / "result.json").read_text())


def test_the_journal_of_a_backtest_says_what_its_result_says(kept: tuple[Path, dict[str, Any]]) -> None:
    folder, result = kept
    figures = result["feeds"][0]
    rows = [row for row in shown(folder) if row["type"] != "basis"]
    kinds = [row["kind"] for row in rows if "kind" in row]
    ordered = [row for row in rows if row.get("kind") in ("new", "replace", "cancel")]
    executed = [row for row in rows if row.get("kind") == "executed"]
    refused = [row for row in ordered if row["verdict"] != "pass"]
    assert len(ordered) - len(refused) == figures["orders_passed"] > 10
    assert len(refused) == figures["orders_refused"]["open_orders"] == sum(figures["orders_refused"].values()) > 0
    assert len(executed) == figures["fills"] > 3
    assert sum(row["qty"] for row in executed) == figures["shares"]
    assert {"accepted", "canceled"} <= set(kinds)
    told = said("journal", "report", folder)
    (group,) = told["groups"]
    assert (group["strategy"], group["executed_qty"]) == ("live_a", figures["shares"])
    assert group["refused"] == figures["orders_refused"]
    assert group["orders_filled"] == figures["orders_filled"]


def test_the_journal_is_whole_and_has_every_record_that_the_hash_is_of(kept: tuple[Path, dict[str, Any]]) -> None:
    """Read by a reader that shares no code; BLAKE2b over the records as they were put is the hash of the result."""
    folder, result = kept
    files = files_of(folder, "gw")
    rows = journal_proof.read(files)
    assert [kind for kind, *_ in rows[:2]] == ["open", "symbols"]
    assert {"strategy", "restored", "limits", "table", "gate", "basis", "arrival"} <= {kind for kind, *_ in rows}
    opening = journal_proof.fields("journal_open", rows[0][4])
    assert opening["reason"].rstrip(b"\0") == b"backtest of day.itch50"
    told = said("journal", "verify", folder)
    assert (told["whole"], told["records"], told["runs"]) == (True, len(rows), 1)
    size, digest, cnt = journal_proof.LAYOUTS["journal_block"]["length"], hashlib.blake2b(digest_size=16), 0
    raw, at = files[0].read_bytes(), 0
    while at < len(raw):
        block = journal_proof.fields("journal_block", raw[at : at + size])
        inside = raw[at + size : at + size + block["len"]]
        while inside:
            record = journal_proof.fields("journal_record", inside)
            whole = -(-(32 + record["len"]) // 32) * 32
            if record["thread"] != 255:
                digest.update(inside[:8] + bytes(4) + inside[12:whole])  # the checksum is the writer's
                cnt += 1
            inside = inside[whole:]
        at += size + block["len"]
    assert (digest.hexdigest(), cnt) == (result["feeds"][0]["hash"], len(rows) - 2)


def test_the_journal_judged_again_has_no_difference_and_a_changed_verdict_is_one(
    kept: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, result = kept
    told = said("replay", "--journal", folder, "--verify")
    assert (told["differences"], told["compared"] > 50) == (0, True)
    assert told["refused"] == sum(result["feeds"][0]["orders_refused"].values())
    passed = next(row for row in shown(folder) if row.get("kind") == "new" and row.get("verdict") == "pass")
    (file,) = files_of(folder, "gw")
    changed = tmp_path / file.name
    shutil.copy(file, changed)
    journal_proof.changed(changed, passed["seq"], 5)
    assert said("replay", "--journal", tmp_path, "--verify", code=1)["differences"] == 1


def test_one_input_gives_one_journal_file(day: tuple[Path, Path], kept: tuple[Path, Any], tmp_path: Path) -> None:
    """By the byte: nothing of the machine's clock is in it, nor of how the file was read."""
    traded(day, kept[0].parent / "gw.yaml", tmp_path)
    (again,), (first,) = files_of(tmp_path, "gw"), files_of(kept[0], "gw")
    assert again.read_bytes() == first.read_bytes()


def test_records_fill_blocks_and_files_however_they_are_put(kept: tuple[Path, Any], tmp_path: Path) -> None:
    (file,) = files_of(kept[0], "gw")
    size, raw = journal_proof.LAYOUTS["journal_block"]["length"], file.read_bytes()
    block = journal_proof.fields("journal_block", raw)
    rows = journal_proof.read([file])
    body = raw[size : size + block["len"]][32 + 256 + 64 :]  # behind open and two symbols
    for name, step in (("whole", len(body)), ("pieces", 1)):
        with VirtualJournal(tmp_path / name, "gw", SYMBOLS, "backtest of day.itch50", 300_000) as journal:
            for _ in range(60):
                at = 0
                while at < len(body):
                    end = at
                    while end < len(body) and end - at < step:
                        length = int.from_bytes(body[end : end + 4], "little")
                        end += -(-(32 + length) // 32) * 32
                    journal.put(body[at:end])
                    at = end
    whole, pieces = (files_of(tmp_path / name, "gw") for name in ("whole", "pieces"))
    assert [each.read_bytes() for each in whole] == [each.read_bytes() for each in pieces]
    assert len(whole) > 2
    assert all(each.stat().st_size <= 300_000 for each in whole)
    again = journal_proof.read(whole)
    assert again == rows[:2] + 60 * rows[2:]


def test_a_backtest_that_breaks_off_leaves_what_was_there(day: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = ("--model", day[1], "--strategy", "builtin:imbalance", "--out", out)
    assert hwgw("backtest", day[0], *args).returncode == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    cut = tmp_path / "day.itch50"
    cut.write_bytes(day[0].read_bytes()[:-5])
    done = hwgw("backtest", cut, *args)
    assert (done.returncode, "allowed are whole records" in done.stderr) == (1, True), done.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_journal_that_is_broken_off_says_that_it_is_not_whole(tmp_path: Path) -> None:
    with pytest.raises(KeyError), VirtualJournal(tmp_path, "gw", SYMBOLS, "backtest of day.itch50"):
        raise KeyError
    report = verify(files_of(tmp_path, "gw"))
    assert (report.problem, report.closed) == ("", False)


def test_days_on_workers_have_their_journals_each_in_its_folder(day: tuple[Path, Path], tmp_path: Path) -> None:
    """A second run replaces them."""
    other, out = tmp_path / "next.itch50", tmp_path / "out"
    with Stream(4, len(SYMBOLS), 100) as stream:
        other.write_bytes(stream.records(15_000))
    args = ("backtest", day[0], other, "--model", day[1], "--strategy", "builtin:imbalance", "--out", out)
    for processes in (2, 1):
        told = said(*args, "--processes", processes)
        for folder, row in zip(("001-day", "002-next"), told["feeds"], strict=True):
            rows = journal_proof.read(files_of(out / folder, "backtest"))
            assert sum(kind == "gate" for kind, *_ in rows) > 10
            executed = [row_ for row_ in shown(out / folder) if row_.get("kind") == "executed" and "qty" in row_]
            assert len(executed) == row["fills"] > 0
            assert row["counters"]["itch.messages"] == row["messages"]


def test_the_journal_of_a_gateway_is_never_replaced(day: tuple[Path, Path], tmp_path: Path) -> None:
    with VirtualJournal(tmp_path, "gw", SYMBOLS, "new day") as journal:
        pass
    (file,) = journal.files
    before = file.read_bytes()
    done = hwgw("backtest", day[0], "--model", day[1], "--strategy", "builtin:imbalance", "--out", tmp_path)
    assert (done.returncode, "gw-000001.journal is of no backtest" in " ".join(done.stderr.split())) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.read_bytes() == before


def test_two_modes_of_a_day_are_compared_order_by_order(day: tuple[Path, Path], tmp_path: Path) -> None:
    """The shadow has the live one's parameters: each on its own, they order the same on the same messages."""
    config = gateway(tmp_path / "gw.yaml", "live", "shadow")
    outs = []
    for mode in ("live", "shadow"):
        told, _ = traded(day, config, tmp_path / mode, "--mode", mode)
        outs += ["--journal", tmp_path / mode]
    (pair,) = said("compare", "gw", "live_a", "shadow_b", *outs)["pairs"]
    assert pair["same"] == pair["a"]["orders"] == pair["b"]["orders"] > 10
    assert (pair["only_a"], pair["only_b"], pair["other_terms"], pair["other_verdict"]) == (0, 0, 0, 0)
    assert pair["a"]["executed_qty"] == pair["b"]["executed_qty"] == told["feeds"][0]["shares"]
    assert pair["a"]["pnl"] == pair["b"]["pnl"] != 0
    twice = hwgw("compare", "gw", "live_a", "shadow_b", *outs[:2], *outs[:2])
    assert (twice.returncode, "strategy live_a is in another journal" in " ".join(twice.stderr.split())) == (2, True)


def test_backtests_of_different_feeds_are_not_compared(day: tuple[Path, Path], tmp_path: Path) -> None:
    config = gateway(tmp_path / "gw.yaml", "live", "shadow")
    shutil.copy(day[0], tmp_path / "other.itch50")
    traded(day, config, tmp_path / "a")
    traded((tmp_path / "other.itch50", day[1]), config, tmp_path / "b", "--mode", "shadow")
    done = hwgw("compare", "gw", "live_a", "shadow_b", "--journal", tmp_path / "a", "--journal", tmp_path / "b")
    assert (done.returncode, "feeds: day.itch50 and other.itch50" in " ".join(done.stderr.split())) == (1, True)


# ---- counters and ledgers ----


def test_counters_and_ledgers_of_a_day_are_in_its_result(kept: tuple[Path, dict[str, Any]]) -> None:
    folder, result = kept
    figures = result["feeds"][0]
    counters, ledgers = figures["counters"], figures["ledgers"]
    assert counters["itch.messages"] == ledgers["messages"]["total"] == ledgers["messages"]["used"] == 20_000
    assert counters["risk.passed"] == figures["orders_passed"] == ledgers["intents"]["used"]
    refused = {f"risk.refused_{name}": cnt for name, cnt in figures["orders_refused"].items()}
    assert ledgers["intents"]["dropped"] == refused != {}
    assert all(row["exact"] for row in ledgers.values())
    page = (folder / "report.html").read_text()
    assert f"<th>risk.passed</th><td>{figures['orders_passed']:,}</td>" in page
    assert "<h2>Ledgers</h2>" in page


# ---- captures that are not whole ----

PER_FRAME = 20


def frames(day: tuple[Path, Path], cnt: int) -> list[tuple[int, bytes]]:
    """The first messages of the day in MoldUDP64 packets, one per millisecond."""
    with Stream(3, len(SYMBOLS), 100) as stream:
        messages = stream.messages(cnt * PER_FRAME)
    return [
        (10**18 + i * 10**6, frame(mold(1 + i * PER_FRAME, messages[i * PER_FRAME : (i + 1) * PER_FRAME])))
        for i in range(cnt)
    ]


def test_frames_of_a_capture_are_in_the_ledger_by_what_became_of_them(day: tuple[Path, Path], tmp_path: Path) -> None:
    """Each frame twice, two that are not IPv4 and one of another session."""
    recorded = frames(day, 100)
    odd = [(10**18, b"\0" * 20), (10**18, b"\0" * 20)]
    other = [(10**18 + 10**9, frame(mold(1, [], session=b"OTHERDAY  ")))]
    twice = [each for pair in zip(recorded, recorded, strict=True) for each in pair]
    path = pcap(tmp_path / "day.pcap", [*odd, *twice, *other])
    told = said("backtest", path, "--model", day[1], "--strategy", "builtin:imbalance")
    ledger = told["feeds"][0]["ledgers"]["frames"]
    assert (ledger["total"], ledger["used"], ledger["exact"]) == (203, 100, True)
    assert ledger["dropped"] == {"net.drop_ethertype": 2, "mold.drop_duplicate": 100, "mold.drop_session": 1}
    assert told["feeds"][0]["ledgers"]["messages"]["used"] == 100 * PER_FRAME


def test_a_hole_in_a_capture_is_a_problem_behind_the_results(day: tuple[Path, Path], tmp_path: Path) -> None:
    recorded = frames(day, 200)
    path = pcap(tmp_path / "hole.pcap", recorded[:60] + recorded[63:])
    args = ("backtest", path, "--model", day[1], "--strategy", "builtin:imbalance")
    told = said(*args, "--out", tmp_path / "out", code=1)
    figures = told["feeds"][0]
    assert figures["problems"][0] == f"{path}: {3 * PER_FRAME} messages are missing; allowed is a feed without a gap"
    assert figures["counters"]["mold.missing"] == figures["ledgers"]["holes"]["dropped"]["hold.lost"] == 3 * PER_FRAME
    assert figures["ledgers"]["messages"]["total"] == 197 * PER_FRAME
    assert all(row["exact"] for row in figures["ledgers"].values())
    assert json.loads((tmp_path / "out" / "result.json").read_text())["feeds"][0]["problems"] == figures["problems"]
    done = hwgw(*args)
    assert (done.returncode, f"{3 * PER_FRAME} messages are missing" in " ".join(done.stderr.split())) == (1, True)


@pytest.mark.parametrize("lacks", [1, 16, 200])
def test_a_capture_that_is_cut_is_named_with_the_byte_and_leaves_no_result(
    day: tuple[Path, Path], tmp_path: Path, lacks: int
) -> None:
    recorded = frames(day, 50)
    whole = pcap(tmp_path / "whole.pcap", recorded)
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(whole.read_bytes()[:-lacks])
    begins = whole.stat().st_size - 16 - len(recorded[-1][1])  # of the record that is not whole
    done = hwgw("backtest", cut, "--model", day[1], "--strategy", "builtin:imbalance", "--out", tmp_path / "out")
    text = " ".join(done.stderr.split())
    assert (done.returncode, "allowed is a whole capture" in text) == (1, True), text
    assert f"{cut}: " in text
    assert f"byte {begins}" in text
    assert list((tmp_path / "out").iterdir()) == []
