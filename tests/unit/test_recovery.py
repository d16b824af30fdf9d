"""A pipeline rebuilt from any beginning of its journal agrees with a venue that has seen no more than was on record.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np
import pytest
from support import soup_venue as sv
from support.chains import gate
from support.desk import SYMBOLS, Desk, probe, session_cfg
from support.restored import HEAD, RING, TYPES, Day, Records, opening, restored
from support.rig import Rig

from hwgw import specs
from hwgw.errors import CheckFailed
from hwgw.native import ffi, lib

TURNS, PREFIXES = 60, 30
ORDER = specs.dtype("order", "order")
NEW, REPLACE = lib.HWGW_ORDER_KIND_NEW, lib.HWGW_ORDER_KIND_REPLACE


@pytest.fixture(scope="module")
def day(seed: int) -> Day:
    return Day(random.Random(seed), TURNS)


# what a restart does not carry over: clocks, rate allowances, reference prices, limits, the feed
VOLATILE = re.compile(
    r".*(level|level_ts|ref_px|ref_ts|mark|mark_px|feed_good|\.ts|armed)|last_beat|last_ts|generation|halt"
)


def test_the_gate_is_rebuilt_item_by_item(day: Day) -> None:
    with restored(opening(), day.records.first(len(day.records.ends))) as again:
        ours = gate(again)  # type: ignore[arg-type]
    keep = {name for name in {*ours, *day.gate} if not VOLATILE.fullmatch(name)}
    assert {name: ours[name] for name in keep} == {name: day.gate[name] for name in keep}
    assert ours["last_ref"] == day.gate["last_ref"] > TURNS // 2
    assert sum(name.startswith("order.") for name in keep) > TURNS
    assert any(name.endswith("fills") for name in keep)


def test_rebuilt_from_any_record_on_it_agrees_with_the_venue(day: Day, rng: random.Random) -> None:
    """The venue has what it could have had by then: all that was on record, or less, where the rest was lost."""
    logged_in = next(n for n, (kind, *_) in enumerate(day.records, 1) if kind == TYPES["login"]) + 1
    compared = unknown = 0
    for cnt in rng.sample(range(logged_in, len(day.records.ends) + 1), PREFIXES):
        messages, ref = day.until(cnt)
        most = sum(each <= ref for each in day.refs)  # orders the venue can have got
        least = next((n for n, (sent, _) in enumerate(day.states) if sent >= messages), len(day.states) - 1)
        taken = rng.randint(min(least, most), most)
        sent, state = day.states[taken]
        with restored(opening(), day.records.first(cnt)) as again:
            assert "reconcile" in again.halts()
            unknown += "0 without an answer" not in again.halts()["reconcile"]
            again.log_in(messages + 1, day.store[messages:sent], day.refs[taken - 1] + 1 if taken else 1)
            again.until(lambda: not again.rig.segment.halts, f"agreement after {cnt} records")
            assert again.state() == state, cnt
            assert lib.hwgw_pipeline_risk(again.rig.handle)
            assert int(again.rig.segment.threads[0]["last_ref"]) >= ref
            compared += len(state["orders"]) + len(state["positions"])
    assert compared > PREFIXES
    assert unknown > 3


def test_a_second_crash_begins_with_what_the_first_recovery_had(day: Day) -> None:
    """The record a run begins with is compared with what its past adds up to."""
    blocks = [opening(), day.records.first(len(day.records.ends))]
    with restored(*blocks) as first:
        first_state = first.state()
    rig = Rig(SYMBOLS, session=session_cfg(9), replay=blocks, journal_sz_bytes=RING, orders_max=1000)
    with rig:
        begun = Records(rig)
    assert [kind for kind, _, _ in begun].count(TYPES["restored"]) == 1
    blocks += [opening(), begun.first(len(begun.ends))]
    with restored(*blocks) as second:
        assert second.state() == first_state
    at = begun.raw.index(next(payload for kind, _, payload in begun if kind == TYPES["restored"]))
    forged = bytearray(begun.raw)
    forged[at + 32] ^= 1  # cash
    with pytest.raises(CheckFailed, match=r"contradicts itself: block 4, record \d+: this run began with"):
        restored_once(*blocks[:-1], (bytes(forged), len(begun.ends)))


def restored_once(*blocks: tuple[bytes, int], **options: Any) -> None:
    with restored(*blocks, **options):
        pass


def test_what_the_records_say_twice_must_be_the_same(day: Day, rng: random.Random) -> None:
    """A quantity changed in an event of the gate, or in a message of the venue, is noticed."""
    found = 0
    at = 0
    for (kind, _, payload), end in zip(day.records, day.records.ends, strict=True):
        offset = None
        if kind == TYPES["gate"] and payload[0] == lib.HWGW_ORDER_KIND_EXECUTED:
            offset = at + 32 + 24
        elif kind == TYPES["venue"] and payload[16:17] == b"E":
            offset = at + 32 + 16 + 13 + 3
        at = end
        if offset is None or found == 12:
            continue
        forged = bytearray(day.records.raw)
        forged[offset] ^= 1
        found += 1
        with pytest.raises(CheckFailed, match="contradicts itself"):
            restored_once(opening(), (bytes(forged), len(day.records.ends)))
    assert found == 12


@pytest.mark.parametrize("gone", ["record", "message"])
def test_a_record_that_is_missing_is_named(day: Day, gone: str) -> None:
    kinds = [kind for kind, _, _ in day.records]
    at = kinds.index(TYPES["venue"], 20)
    begin, end = day.records.ends[at - 1], day.records.ends[at]
    raw = bytearray(day.records.raw[:begin] + day.records.raw[end:])
    if gone == "message":  # its number is taken by those behind it
        pos = begin
        while pos < len(raw):
            number = int.from_bytes(raw[pos + 16 : pos + 24], "little") - 1
            raw[pos + 16 : pos + 24] = number.to_bytes(8, "little")
            pos += -(-(32 + int.from_bytes(raw[pos : pos + 4], "little")) // 32) * 32
    with pytest.raises(
        CheckFailed, match=r"block 2, record \d+: .*(where \d+ belongs|is not what the venue's messages)"
    ):
        restored_once(opening(), (bytes(raw), len(kinds) - 1))


def test_a_venue_that_took_more_than_is_on_record_keeps_it_halted(day: Day) -> None:
    cnt = len(day.records.ends)
    messages, _ = day.until(cnt)
    with restored(opening(), day.records.first(cnt)) as again:
        again.rig.publish()
        recorded = int(again.rig.segment.threads[0]["last_ref"])  # of orders that were refused, too
        again.log_in(messages + 1, [], recorded + 7)
        again.until(lambda: "has taken references" in again.halts().get("reconcile", ""))
        assert f"up to {recorded + 6}, the journal ends at {recorded}" in again.halts()["reconcile"]
        again.rig.segment.resume("reconcile")  # a person has decided
        for _ in range(50):
            again.rig.step()
        assert again.halts() == {}


def test_an_order_nobody_knows_the_end_of_blocks_and_a_late_answer_frees(day: Day) -> None:
    """The venue says that it took the reference, and not what became of it."""
    cnt, order = last_new(day)
    messages, ref = day.until(cnt)
    assert ref == order.ref
    symbol = SYMBOLS[order.instrument].ljust(8).encode()
    with restored(opening(), day.records.first(cnt)) as again:
        before = again.state()["orders"]
        assert before[ref] == order.qty
        taken = day.refs.index(ref)
        again.log_in(messages + 1, day.store[messages : day.states[taken][0]], ref + 1)
        again.until(lambda: "nobody knows what became" in again.halts().get("reconcile", ""))
        assert again.state()["orders"][ref] == order.qty  # neither sent again nor taken for rejected
        assert len(again.packets) == 2
        side = {(1, 0): b"B", (2, 0): b"S", (2, 1): b"T"}[(order.side, order.flags)]
        again.venue.sequenced(sv.accepted(ref, side, order.qty, symbol, order.px))
        again.until(lambda: not again.rig.segment.halts, "the late answer")
        assert again.state()["orders"][ref] == order.qty


def last_new(day: Day) -> tuple[int, Any]:
    """The records up to the last new order that the venue got, and that order."""
    kinds = list(day.records)
    for cnt in range(len(kinds), 0, -1):
        kind, verdict, payload = kinds[cnt - 1]
        if kind == TYPES["gate"] and payload[0] == NEW and not verdict:
            order = ffi.new("struct hwgw_order *")
            ffi.memmove(order, payload, len(payload))
            if order.ref in day.refs:
                return cnt, order
    raise AssertionError("the venue got no new order")


def test_instruments_are_known_by_their_symbols(day: Day) -> None:
    cnt = len(day.records.ends)
    other = ("ZVZZT", *reversed(SYMBOLS))
    with (
        restored(opening(), day.records.first(cnt)) as again,
        restored(opening(), day.records.first(cnt), symbols=other) as moved,
    ):
        assert moved.state() == again.state()
    with pytest.raises(CheckFailed, match=r"order \d+ is of an instrument that this gateway does not have any more"):
        restored_once(opening(), day.records.first(cnt), symbols=("ZVZZT",))


@pytest.mark.parametrize("kind", ["offer", "shot"])
def test_an_order_without_a_verdict_that_the_gate_cannot_have_let_pass_has_not_left(kind: str) -> None:
    """The card had it when the process died. An order that rests has its place in the table, so it was refused."""
    with Desk(journal_sz_bytes=RING, tif=lib.HWGW_ORDER_TIF_DAY, px=900_000) as desk:
        desk.rig.quote()
        desk.wait(3)
        desk.venue.sequenced(sv.accepted(1, b"B", 100, b"AAPL    ", 900_000))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        records = Records(desk.rig)
    order = np.zeros(1, ORDER)
    own = {"kind": NEW, "ref": 1 + specs.load("risk").constant("open_orders_max"), "px": 900_000, "qty": 100}
    own |= {"side": lib.HWGW_ORDER_SIDE_BUY, "type": lib.HWGW_ORDER_TYPE_LIMIT, "tif": lib.HWGW_ORDER_TIF_DAY}
    for name, value in own.items():
        order[name] = value
    head = np.frombuffer(records.raw[records.ends[-2] :], HEAD, 1).copy()
    head["len"], head["type"], head["seq"], head["verdict"] = order.nbytes, TYPES[kind], head["seq"] + 1, 0
    last = records.raw + head.tobytes() + order.tobytes()
    with restored(opening(), (last, len(records.ends) + 1)) as again:
        assert "1 open orders, 0 without an answer" in again.halts()["reconcile"]
        again.log_in(3, [], 2)
        again.until(lambda: again.halts() == {}, "the venue agrees")
        assert again.state()["orders"] == {1: 100}


def test_orders_of_a_strategy_that_is_gone_are_cancelled_with_the_rest() -> None:
    """Nobody is left who would: the halt has to reach them."""
    refs = (1, 2, 3)
    with Desk(journal_sz_bytes=RING, orders=len(refs), tif=lib.HWGW_ORDER_TIF_DAY, px=900_000) as desk:
        desk.rig.quote()
        desk.wait(2 + len(refs))
        desk.venue.sequenced(*(sv.accepted(ref, b"B", 100, b"AAPL    ", 900_000) for ref in refs))
        desk.until(lambda: desk.cnt("session.accepted") == len(refs))
        records = Records(desk.rig)
    with restored(opening(), records.first(len(records.ends)), cancel_on_halt=True) as again:
        again.log_in(2 + len(refs), [], 1 + len(refs))
        again.until(lambda: not again.rig.segment.halts, "agreement")
        assert again.state()["orders"] == dict.fromkeys(refs, 100)
        again.rig.segment.halt("a test")
        cancels = [sv.soup(b"U", sv.cancel(ref, 0)) for ref in refs]
        again.until(lambda: set(cancels) <= set(again.packets), "a cancel of each")
        again.venue.sequenced(*(sv.canceled(ref, 100) for ref in refs))
        again.until(lambda: not again.state()["orders"], "an answer to each")
        again.rig.ledgers()


def test_what_a_strategy_that_is_gone_did_is_nobody_elses(day: Day) -> None:
    """The one that has its number now begins with no fills and no money."""
    blocks = [opening(), day.records.first(len(day.records.ends))]
    with restored(*blocks, strategies=probe(every=10**9)) as again:
        state = gate(again)  # type: ignore[arg-type]
        again.rig.publish()
        row = again.rig.segment.strategy_rows[0]
        assert bytes(row["name"]).rstrip(b"\0") == b"probe"
        assert (int(row["cash"]), int(row["executed_qty"]), int(row["fills"])) == (0, 0, 0)
        left = again.state()["orders"]
    with restored(*blocks) as alone:
        before = gate(alone)  # type: ignore[arg-type]
        assert alone.state()["orders"] == left
    last = lib.HWGW_RISK_STRATEGIES_MAX - 1
    assert state[f"strategy.{last:02}.fills"] == before["strategy.00.fills"] == day.gate["strategy.00.fills"] > 0
    owners = {name: owner for name, owner in state.items() if name.startswith("order.") and name.endswith(".strategy")}
    assert set(owners.values()) == {last}


def test_a_session_that_a_strategy_names_is_not_its_to_say() -> None:
    """The bits of the session in venue_ref are the pipeline's, with one venue, too."""
    day_order = {"orders": 1, "tif": lib.HWGW_ORDER_TIF_DAY, "px": 900_000}
    with Desk(journal_sz_bytes=RING, option=5 << 16, **day_order) as desk:
        desk.rig.quote()
        desk.until(lambda: desk.cnt("risk.passed") == 1)
        records = Records(desk.rig)
        encoded = desk.cnt("order.encoded")
    with restored(opening(), records.first(len(records.ends))) as again:
        assert again.state()["orders"] == {1: 100}
    assert encoded == 1


def test_the_next_reference_comes_from_the_journal_although_nobody_answered(day: Day) -> None:
    """An order that is on record and that the venue never saw: its number is used up."""
    cnt, _ = last_new(day)
    messages, ref = day.until(cnt)
    taken = day.refs.index(ref)
    with restored(opening(), day.records.first(cnt)) as again:
        again.log_in(messages + 1, day.store[messages : day.states[taken][0]], ref)
        again.until(lambda: not again.rig.segment.halts, "agreement")
        assert ref not in again.state()["orders"]  # lost on its way, and the venue's next reference says so
        again.rig.publish()
        assert int(again.rig.segment.threads[0]["last_ref"]) >= ref


def test_a_session_that_is_over_is_left_when_nothing_was_open(rng: random.Random) -> None:
    with Desk(journal_sz_bytes=RING, every=10**9) as desk:
        records = Records(desk.rig)
    with restored(opening(), records.first(len(records.ends))) as again:
        again.until(lambda: len(again.packets) == 1)
        assert again.packets[0] == sv.login_request(sv.SESSION, 2)
        again.venue.send(sv.soup(b"J", b"S"))
        again.until(lambda: again.rig.cnt("session.disconnects") == 1)
        again.venue.drop()
        again.until(lambda: len(again.packets) == 2)
        assert again.packets[1] == sv.login_request(b" " * 10, 1)
        again.venue.send(sv.login_accepted(b" 20261121A", 1))
        again.until(lambda: len(again.packets) == 3)
        again.venue.sequenced(sv.query_response(1))
        again.until(lambda: not again.rig.segment.halts, "agreement")


def test_a_session_that_is_over_with_orders_open_stays_halted(day: Day) -> None:
    passed = [kind == TYPES["gate"] and payload[0] == NEW and not verdict for kind, verdict, payload in day.records]
    cnt = max(number for number, is_new in enumerate(passed, 1) if is_new)  # it ends with an order without an answer
    with restored(opening(), day.records.first(cnt)) as again:
        again.until(lambda: len(again.packets) == 1)
        again.venue.send(sv.soup(b"J", b"S"))
        again.until(lambda: "session is not available" in again.halts().get("reconcile", ""))
