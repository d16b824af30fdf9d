"""A gateway that is killed under load and started again has the orders, positions and cash that the venue has.

SPDX-License-Identifier: MIT

`make crash` kills it N times (200), the tests three times.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwgw_sim.exchange.fix import FixAcceptor
from support.frames_ledger import FramesLedger
from support.market import Market, is_alive, until

from hwgw import journal
from hwgw.journal.again import again
from hwgw.native import lib
from hwgw.segment import Segment

CRASHES = int(os.environ.get("HWGW_CRASHES", "3"))
PATIENCE_S = 60.0
ROLES = ("control", "data", "writer")


def pids(segment: Segment) -> dict[str, int]:
    writer = int(lib.hwgw_segment_journal(segment.pointer, 0).writer_pid)
    return dict(zip(ROLES, (int(segment.head["control_pid"]), int(segment.head["data_pid"]), writer), strict=True))


def has(segment: Segment) -> dict[str, Any]:
    """What the gateway shows."""
    rows = zip(segment.symbols, segment.positions, strict=True)
    return {
        "positions": {symbol: int(row["pos"]) for symbol, row in sorted(rows) if int(row["pos"])},
        "cash": int(segment.threads[0]["cash"]),
        "open_orders": int(segment.threads[0]["open_cnt"]),
    }


@contextlib.contextmanager
def started(market: Market) -> Iterator[Segment]:
    """The gateway that was started last; when it does not come up, what it and the machine say of that."""
    try:
        with market.attached("pipeline.loops", PATIENCE_S) as segment:
            yield segment
    except AssertionError as error:
        if "gave up waiting until the gateway counts" not in str(error):
            raise
        done = subprocess.run(
            [sys.executable, "-m", "hwgw.cli", "status", market.name], capture_output=True, text=True, check=False
        )
        raise AssertionError(f"{error}: {done.stdout}{done.stderr}; load {os.getloadavg()}") from None


def agreed(market: Market, segment: Segment, ledger: FramesLedger) -> dict[str, Any]:
    """Stop the orders and wait until gateway, venue and the journal's own messages say the same; what they say."""
    segment.halt("compare", "operator")
    last: list[Any] = []

    def same() -> bool:
        venue = market.exchange.look()["DEMO"]
        told = ledger.catch_up()
        ours = has(segment)
        theirs = {key: venue[key] for key in ours} | {"positions": dict(sorted(venue["positions"].items()))}
        frames = {"positions": told.flat(), "cash": told.cash, "open_orders": len(told.open)}
        orders = {int(ref): left for ref, left in venue["orders"].items()}
        last[:] = [ours, theirs, frames, orders, told.open]
        return ours == theirs == frames and orders == told.open

    try:
        until(same, "gateway, venue and journal agree", PATIENCE_S)
    except AssertionError as error:
        raise AssertionError(
            f"{error}: gateway {last[0]}, venue {last[1]}, messages {last[2]}, open {last[3:]}"
        ) from None
    segment.resume("operator")
    return dict(last[0])


def kill(victims: tuple[str, ...], market: Market, at: dict[str, int]) -> None:
    """SIGKILL to some of the gateway's processes; the rest is stopped in order; until all are gone."""
    for role in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(at[role], signal.SIGKILL)
    process = market.started[-1]
    if "control" not in victims and "data" not in victims:
        process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"a gateway whose {victims} were killed does not end") from None
    until(lambda: not any(map(is_alive, at.values())), "its processes are gone", PATIENCE_S)


def judged_again(folder: Path, name: str, crashes: int) -> None:
    """Every run of the journal comes out as recorded, those behind a crash from what was rebuilt for them."""
    found = again(journal.files_of(folder, name))
    assert (found.counts["differences"], found.contradiction) == (0, ""), found.differences
    assert (found.counts["runs"], found.counts["rebuilt_runs"]) == (crashes + 1, crashes)
    assert found.counts["unknown_runs"] == 0
    assert found.counts["without"] <= crashes
    assert found.compared > crashes


def test_killed_under_load_it_comes_back_with_what_the_venue_has(tmp_path: Path, rng: random.Random) -> None:
    folder = tmp_path / "journal"
    seconds = 60 + 30 * CRASHES
    with Market(tmp_path, rate=20_000, seconds=seconds, recovery=[]) as market:
        market.journal = {"folder": str(folder), "stall": "10s"}
        ledger = FramesLedger(folder, market.name)
        compared = traded = unanswered = 0
        for crash in range(CRASHES + 1):
            market.start()
            with started(market) as segment:
                until(lambda: not segment.halts, "the venue agrees with what was rebuilt", PATIENCE_S)
                state = agreed(market, segment, ledger)
                compared += len(state["positions"]) + state["open_orders"]
                if crash == CRASHES:
                    break
                sent = segment.counters()["order.encoded"]
                want = sent + rng.randrange(1, 120)
                until(lambda: segment.counters()["order.encoded"] >= want, "orders leave", PATIENCE_S)  # noqa: B023
                time.sleep(rng.random() * 0.002)
                victims = (
                    ROLES if crash % 2 == 0 else rng.choice([("data",), ("control",), ("writer",), ("data", "writer")])
                )
                at = pids(segment)
                kill(victims, market, at)
                counters = segment.counters()
                traded += counters["session.executed"]
                unanswered += counters["order.encoded"] - counters["session.accepted"]
        process = market.started[-1]
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=PATIENCE_S)
        assert b"Traceback" not in stderr, stderr.decode()
        report = market.exchange.stop()
        ledger.catch_up()
        orders, user = report["orders"], report["users"]["DEMO"]
        kinds = ledger.kinds
        assert (kinds["A"], kinds["U"], kinds["C"], kinds["E"], kinds["J"]) == tuple(
            orders[name] for name in ("accepted", "replaced", "canceled", "executed", "rejected")
        )
        assert ledger.executed_shares == orders["executed_shares"]
        assert (ledger.flat(), ledger.cash) == (dict(sorted(user["positions"].items())), user["cash"])
        assert orders["ignored_ref"] == 0  # no reference was used twice
        assert ledger.refs >= kinds["A"] + kinds["U"]
        assert ledger.runs == CRASHES + 1
        found = journal.verify(journal.files_of(folder, market.name))
        assert found.is_whole, found.problem
        judged_again(folder, market.name, CRASHES)
        assert compared >= CRASHES
        assert traded > CRASHES
        print(
            f"{CRASHES} crashes: {compared} positions and orders equal, {kinds.total()} messages, {ledger.refs} orders"
        )
        Path(f"/dev/shm/hwgw-{market.name}").unlink(missing_ok=True)


def open_by_side(segment: Segment) -> dict[tuple[str, str], int]:
    rows = zip(segment.symbols, segment.positions, strict=True)
    both = {(name, side): int(row[f"open_{side}_cnt"]) for name, row in rows for side in ("buy", "sell")}
    return {key: cnt for key, cnt in both.items() if cnt}


def agreed_with(market: Market, segment: Segment, acceptor: FixAcceptor) -> dict[str, Any]:
    """Wait until gateway, exchange and its FIX gateway say the same; what they say."""
    sides = {"1": "buy", "2": "sell", "5": "sell", "6": "sell"}
    last: list[Any] = []

    def same() -> bool:
        venue, ours = market.exchange.look()["DEMO"], has(segment)
        theirs = {key: venue[key] for key in ours} | {"positions": dict(sorted(venue["positions"].items()))}
        orders = Counter((order.symbol, sides[order.side]) for order in list(acceptor.orders.values()))
        last[:] = [ours, theirs, open_by_side(segment), dict(orders)]
        return ours == theirs and last[2] == last[3]

    try:
        until(same, "gateway and venue agree", PATIENCE_S)
    except AssertionError as error:
        raise AssertionError(f"{error}: {last}") from None
    return dict(last[0])


def test_a_fix_session_killed_under_load_comes_back_with_what_the_venue_has(tmp_path: Path, rng: random.Random) -> None:
    seconds = 60 + 30 * CRASHES
    with (
        Market(tmp_path, rate=5_000, seconds=seconds, recovery=[]) as market,
        FixAcceptor(market.exchange.address, user=("DEMO", "DEMO")) as acceptor,
    ):
        market.journal = {"folder": str(tmp_path / "journal"), "stall": "10s"}
        market.session = {"protocol": "fix44", "port": acceptor.port, "sender": "HWGW", "target": "VENUE"}
        answered = compared = 0
        runs = max(2, CRASHES - 1)  # all but the last are killed
        for crash in range(runs):
            market.start()
            with started(market) as segment:
                until(lambda: not segment.halts, "the venue agrees with what was rebuilt", PATIENCE_S)
                assert not acceptor.errors, acceptor.errors
                segment.halt("compare", "operator")
                last = agreed_with(market, segment, acceptor)
                compared += crash > 0 and bool(last["open_orders"] or last["positions"])
                if crash == runs - 1:
                    break
                segment.resume("operator")
                sent = segment.counters()["order.encoded"]
                want = sent + rng.randrange(1, 60)
                until(lambda: segment.counters()["order.encoded"] >= want, "orders leave", PATIENCE_S)  # noqa: B023
                kill(ROLES if crash % 2 == 0 else ("data", "control"), market, pids(segment))
                answered += segment.counters()["session.accepted"]
        market.started[-1].send_signal(signal.SIGTERM)
        _, stderr = market.started[-1].communicate(timeout=PATIENCE_S)
        assert b"Traceback" not in stderr, stderr.decode()
        assert answered > 0
        assert compared == runs - 1  # each time there was something to compare
        assert not acceptor.errors, acceptor.errors
        found = journal.verify(journal.files_of(tmp_path / "journal", market.name))
        assert found.is_whole, found.problem
        judged_again(tmp_path / "journal", market.name, runs - 1)
        Path(f"/dev/shm/hwgw-{market.name}").unlink(missing_ok=True)


def test_a_damaged_journal_refuses_and_anew_begins_with_its_reason_on_record(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with Market(tmp_path, rate=5_000, recovery=[]) as market:
        market.journal = {"folder": str(folder), "stall": "10s"}
        market.start()
        with market.attached() as segment:
            until(lambda: segment.counters()["session.accepted"] > 5, "orders are accepted", PATIENCE_S)
        market.started[-1].send_signal(signal.SIGTERM)
        market.started[-1].communicate(timeout=PATIENCE_S)
        (file,) = journal.files_of(folder, market.name)
        raw = bytearray(file.read_bytes())
        raw[200] ^= 1
        file.write_bytes(raw)
        _, stderr = market.start().communicate(timeout=PATIENCE_S)
        assert market.started[-1].returncode == 1
        assert b"does not have the hash of what it holds" in stderr
        assert b"--anew REASON" in stderr
        assert b"Traceback" not in stderr
        market.start_file(market.config(), "--anew", "a bit was flipped on purpose")
        with started(market) as segment:
            # the venue tells again of orders that this run knows nothing of: a person has to look
            until(lambda: [halt["reason"] for halt in segment.halts] == ["state"], "it halts", PATIENCE_S)
            assert has(segment)["positions"] == {}
        market.started[-1].send_signal(signal.SIGTERM)
        _, stderr = market.started[-1].communicate(timeout=PATIENCE_S)
        assert b"Traceback" not in stderr
        files = journal.files_of(folder, market.name)
        assert journal.verify(files[1:]).is_whole
        opening = next(iter(journal.records(next(iter(journal.blocks(files[1])))))).open()
        assert (int(opening["is_anew"]), opening["reason"]) == (1, b"a bit was flipped on purpose")
        assert journal.replay(folder, market.name).blocks[0].file == files[1]
        Path(f"/dev/shm/hwgw-{market.name}").unlink(missing_ok=True)
