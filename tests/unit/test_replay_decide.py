"""A run that kept its frames decides again: what strategies want, what is judged and by what comes out as recorded.

SPDX-License-Identifier: MIT

Expected counts are taken from the records of the ring as they lie there; what is changed is changed in their bytes.
"""

from __future__ import annotations

import random
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import pytest
from support import rig as r
from support.chains import Monkey, Venue, settle
from support.desk import SYMBOLS, Desk
from support.restored import RING, TYPES, Day, Records, judged, opening, restored, sealed
from support.rig import Rig

from hwgw import specs
from hwgw.backtest import setting
from hwgw.backtest.decided import Decided, decided
from hwgw.errors import CheckFailed, ConfigError
from hwgw.journal import Block
from hwgw.journal.again import Setup, pipelines
from hwgw.journal.files import records as read
from hwgw.journal.restore import Replay
from hwgw.native import call, ffi, lib
from hwgw.risk import breakers
from hwgw.settings import Breaker, Channel, Line, Pipeline, Receive, Recover, Settings, Snapshot, Strategy

from .test_replay_rebuilt import Crashed, first, narrow

NEW, REPLACE, CANCEL = lib.HWGW_ORDER_KIND_NEW, lib.HWGW_ORDER_KIND_REPLACE, lib.HWGW_ORDER_KIND_CANCEL
INPUTS = {code.slug: int(code.value) for code in specs.load("journal").enum("input_kind").values}
LINES = {code.slug: int(code.value) for code in specs.load("journal").enum("frame_line").values}
PARAMS = {"qty": 100, "levels": 1, "enter_pct": 20, "leave_pct": 5, "follow_px": 100, "cooldown_ns": 20_000}
FRAME = 32  # bytes before the datagram
TURNS = 800


def strategy(**params: int) -> Any:
    return lib.hwgw_strategy_find(b"imbalance"), {**PARAMS, **params}


def settings(
    stale_ns: int = 0,
    hold_max: int = 0,
    window_ns: int = 0,
    lines: int = 1,
    recover: Recover | None = None,
    snapshot: Snapshot | None = None,
    **params: int,
) -> Settings:
    """What the rig's pipeline is, as a configuration would say it."""
    made = setting.of_strategy(Strategy("imbalance", "builtin", "imbalance", {**PARAMS, **params}), SYMBOLS, 100_000)
    groups = tuple(Line(r.GROUP + line, r.PORT) for line in range(lines))
    channel = Channel("feed", groups, stale_ns, 0, hold_max, window_ns, recover, snapshot)
    return replace(made, pipelines=(Pipeline(Receive(backend="none"), (channel,)),))


class Market:
    """Orders of a market of two symbols at random, one message in a packet each."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.live: list[tuple[int, int]] = []
        self.ref = 0

    def message(self) -> bytes:
        rng = self.rng
        if len(self.live) > 8 and rng.random() < 0.5:
            locate, ref = self.live.pop(rng.randrange(len(self.live)))
            return r.delete(locate, ref)
        self.ref += 1
        locate, side = rng.choice((1, 2)), rng.choice("BS")
        px = 1_000_000 + rng.choice((0, 100, 200, 300)) * (-1 if side == "B" else 1) + (50 if side == "S" else -50)
        self.live.append((locate, 50_000 + self.ref))
        return r.add(locate, SYMBOLS[locate - 1], 50_000 + self.ref, side, 100 * rng.randint(1, 9), px)


def talk(desk: Desk, turn: int) -> None:
    """What people say in the middle of a day."""
    segment = desk.rig.segment
    match turn:
        case 120:
            segment.halt("a test says so")
        case 200:
            segment.resume()
        case 220:
            segment.disarm(0)
        case 300:
            segment.arm(0)
        case 320:
            segment.halt_instrument("AAPL", "likewise")
        case 440:
            segment.resume_instrument("AAPL")
        case 480:
            table = r.open_limits(len(SYMBOLS))
            table["instrument"]["long_max"][0, 0] = 150
            segment.publish_limits(table)
        case 640:
            segment.publish_limits(r.open_limits(len(SYMBOLS)))
        case _:
            return
    desk.rig.publish()


def traded(rng: random.Random, chosen: Any, says: Any = talk, **options: Any) -> Records:
    """The records of a day at a venue that answers at random."""
    options = {"journal_sz_bytes": RING, "frames": True, "cancel_on_halt": True, **options}
    venue, market, seen = Venue(rng), Market(rng), 2
    with Desk(strategy=chosen[0], params=chosen[1], **options) as desk:
        for locate, symbol in enumerate(SYMBOLS, 1):
            desk.rig.feed(r.directory(locate, symbol))
        for turn in range(TURNS):
            says(desk, turn)
            desk.rig.segment.beat()
            desk.rig.feed(market.message())
            desk.rig.step()
            if turn % 3 == 0:
                fills = venue.trade()
                total = desk.cnt("session.sequenced") + len(fills)
                desk.venue.sequenced(*fills)
                desk.until(lambda: desk.cnt("session.sequenced") == total)  # noqa: B023 (called here and now)
                seen = settle(desk, venue, seen)
        desk.rig.publish()
        assert desk.rig.ledgers() > 5
        return Records(desk.rig)


def blocks(records: Records, raw: bytes | None = None) -> list[Block]:
    """As the writer puts them into a file: a block with the beginning of the run, then the ring's."""
    found = records.raw if raw is None else raw
    return [sealed(opening(), 1), sealed((found, len(records.ends)), 2)]


def recorded(records: Records) -> Counter[str]:
    """What is on record, counted in its bytes."""
    found: Counter[str] = Counter()
    for kind, verdict, payload in records:
        found["frames"] += kind == TYPES["frame"] and payload[4] < LINES["answer"]
        if kind != TYPES["gate"]:
            continue
        found["orders"] += payload[0] in (NEW, REPLACE)
        found["replaces"] += payload[0] == REPLACE
        found["cancels"] += payload[0] == CANCEL
        found["refused"] += payload[0] in (NEW, REPLACE, CANCEL) and verdict != 0
        found["answers"] += lib.HWGW_ORDER_KIND_ACCEPTED <= payload[0] <= lib.HWGW_ORDER_KIND_BROKEN
    return found


def same(found: Decided, records: Records) -> Counter[str]:
    """It came out as recorded; what there was of each."""
    assert (found.runs, found.refused, found.changed, found.difference) == (1, [], [], None)
    had = recorded(records)
    assert {key: found.counts[key] for key in ("frames", "orders", "cancels", "refused")} == {
        key: had[key] for key in ("frames", "orders", "cancels", "refused")
    }
    return had


def inputs(records: Records) -> Counter[int]:
    return Counter(payload[0] for kind, _, payload in records if kind == TYPES["input"])


@pytest.fixture(scope="module")
def day(seed: int) -> Records:
    return traded(random.Random(f"{seed} decided"), strategy())


# ---- as recorded ----


def test_a_strategy_wants_again_what_it_wanted(day: Records) -> None:
    had = same(decided(blocks(day), settings()), day)
    assert had["orders"] > 20
    assert min(had["cancels"], had["answers"], had["refused"]) > 4
    verdicts = {verdict for kind, verdict, payload in day if kind == TYPES["gate"] and payload[0] in (NEW, REPLACE)}
    names = {reason.name for reason in specs.reasons() if reason.code in verdicts}
    assert {"pass", "halted", "strategy", "instrument_halt"} <= names
    again = judged(opening(), day.first(len(day.ends)))  # the gate alone, and the model of orders
    assert (again.counts["differences"], again.counts["without"]) == (0, 0)


def test_all_that_an_input_brings_about_has_its_time(day: Records) -> None:
    at, frame_ns, seen = 0, 0, 0
    for end in day.ends:
        kind, ts_ns = day.raw[at + 4], int.from_bytes(day.raw[at + 24 : at + 32], "little")
        if kind == TYPES["frame"]:
            frame_ns = ts_ns
        elif kind == TYPES["input"] and day.raw[at + 32] != INPUTS["beat"]:  # one comes within a frame
            frame_ns = 0
        elif kind == TYPES["gate"] and day.raw[at + 32] == NEW and frame_ns:
            seen += ts_ns == frame_ns
            assert ts_ns >= frame_ns
        at = end
    assert seen > 20


def decided_by(chosen: Any, found: Records, *before: tuple[bytes, int]) -> Any:
    """What comes of it with a strategy that no configuration knows; before: of the runs that it went on from."""
    out = ffi.new("struct hwgw_decided_result *")
    of_run = (first() if before else opening(), found.first(len(found.ends)))
    parts, keep = Replay(tuple(sealed(raw, seq) for seq, raw in enumerate((*before, *of_run), 1))).native()
    setup = Setup()
    for seq, raw in enumerate((*before, *of_run), 1):
        for record in read(sealed(raw, seq)):
            setup.take(record)
    past = pipelines(setup) if before else nullcontext([ffi.NULL])
    with past as earlier, Rig(SYMBOLS, [chosen], journal_sz_bytes=RING, bare=True) as rig:
        call(lib.hwgw_decide_again, rig.handle, parts, len(before), len(before) + 2, earlier[0], out)
    assert keep
    return out


def test_orders_replaces_and_cancels_at_random_come_out_as_recorded(rng: random.Random) -> None:
    """Several from one call, of whatever instrument; the strategy draws the same as long as it is asked the same."""
    draw = rng.getrandbits(64)
    one, other = Monkey(random.Random(draw)), Monkey(random.Random(draw))
    records = traded(rng, (one.desc, {}))
    out = decided_by((other.desc, {}), records)
    had = recorded(records)
    assert not out.is_different
    assert (out.frames, out.orders, out.cancels, out.refused) == tuple(
        had[key] for key in ("frames", "orders", "cancels", "refused")
    )
    assert min(had["orders"], had["cancels"], had["replaces"]) > 20
    assert had["answers"] >= out.answers > 20  # without what the gate was given back of orders that did not leave


def test_a_run_behind_a_crash_decides_again(rng: random.Random) -> None:
    """Whatever the crash fell between: open orders, positions and references are those that its start had rebuilt."""
    day = Day(random.Random(rng.getrandbits(64)), 60, frames=True)
    for _ in range(4):
        past, draw = Crashed(day, rng), rng.getrandbits(64)
        one, other = Monkey(random.Random(draw)), Monkey(random.Random(draw))
        options: dict[str, Any] = {"strategies": [(one.desc, {})], "journal_sz_bytes": RING, "frames": True}
        with restored(*past.blocks, **options, limits=narrow(past.gate)) as here:
            here.log_in(**past.begin())
            here.until(lambda: not here.rig.segment.halts, "agreement")
            for locate, symbol in enumerate(SYMBOLS, 1):
                here.rig.quote(symbol, locate)
            for turn in range(30):
                here.rig.feed(r.add(1, "AAPL", 10_000 + turn, "B", 1, 1_000_000))
                here.rig.step()
            here.rig.publish()
            run = Records(here.rig)
        out, had = decided_by((other.desc, {}), run, *past.blocks), recorded(run)
        assert not out.is_different
        assert (out.orders, out.refused) == (had["orders"], had["refused"])
        assert had["orders"] > 10
        with pytest.raises(CheckFailed, match="0 stand before it: a file is missing"):
            decided_by((other.desc, {}), run, past.blocks[0])


@contextmanager
def alone(**channel: Any) -> Iterator[Rig]:
    """Without a venue: no order leaves."""
    with Rig(SYMBOLS, [strategy()], frames=True, **{"journal_sz_bytes": RING, **channel}) as rig:
        for locate, symbol in enumerate(SYMBOLS, 1):
            rig.feed(r.directory(locate, symbol))
        yield rig


def test_orders_that_could_not_leave_did_not_leave_again(rng: random.Random) -> None:
    market = Market(rng)
    with alone() as rig:
        for _ in range(TURNS):
            rig.feed(market.message())
        dropped, records = rig.cnt("order.drop_session"), Records(rig)
    had = same(decided(blocks(records), settings()), records)
    assert had["orders"] > 20
    assert inputs(records)[INPUTS["dropped"]] == dropped > 20


def test_holes_and_silence_come_when_they_came(rng: random.Random) -> None:
    """A feed that says nothing for too long, packets that change places, and some that never come."""
    channel = {"stale_ns": 3_000_000, "hold_max": 256, "window_ns": 20_000_000}
    market, silences, losses = Market(rng), (50, 100, 150, 200), (270, 310, 350, 390)
    with alone(**channel) as rig:
        for turn in range(TURNS):
            if turn in silences:
                time.sleep(0.01)
                rig.publish()
            elif turn % 40 == 20:
                late = [r.frame(r.mold(rig.seq + n, [market.message()])) for n in (0, 1)]
                rig.push(late[1])
                rig.step()
                rig.push(late[0])
                rig.seq += 2
            elif turn in losses:
                market.message()
                rig.seq += 1
                rig.feed(market.message())
                want, end = rig.cnt("recover.skips") + 1, time.monotonic() + 5
                while rig.cnt("recover.skips") < want and time.monotonic() < end:
                    rig.step()
                    time.sleep(0.001)
            rig.feed(market.message())
            rig.step()
        skips, records = rig.cnt("recover.skips"), Records(rig)
    had = same(decided(blocks(records), settings(**channel)), records)
    assert had["orders"] > 10
    assert skips >= len(losses)
    seen = inputs(records)
    assert seen[INPUTS["age"]] >= len(silences)
    assert seen[INPUTS["recovery"]] >= len(losses)
    feed = [payload for kind, _, payload in records if kind == TYPES["gate"] and payload[0] == lib.HWGW_ORDER_KIND_FEED]
    assert len(feed) > 2 * len(silences)


def test_two_lines_that_lose_and_overtake_come_as_they_came(rng: random.Random) -> None:
    """What one lost the other brings, sooner or later; what comes twice is on record twice."""
    channel = {"hold_max": 256, "window_ns": 10**10, "lines": 2}
    market = Market(rng)
    with alone(**channel) as rig:
        late: list[bytes] = []
        for _ in range(TURNS):
            packet = r.mold(rig.seq, [market.message()])
            rig.seq += 1
            both = [r.frame(packet, r.GROUP + line) for line in (0, 1)]
            if rng.random() < 0.2:  # of one line only
                both.remove(rng.choice(both))
            if rng.random() < 0.2:  # it is late
                late.append(both.pop())
            rig.push(*both)
            if len(late) > 2 or rng.random() < 0.3:
                rig.push(*late)
                late = []
            rig.step()
        rig.push(*late)
        counters, records = rig.segment.counters(), Records(rig)
    had = same(decided(blocks(records), settings(**channel)), records)
    assert had["orders"] > 20
    assert had["frames"] == counters["mold.frames"] + sum(
        cnt for name, cnt in counters.items() if name.startswith("mold.drop_")
    )
    assert min(counters["mold.gaps"], counters["mold.drop_duplicate"], counters["hold.filled"]) > 2


@pytest.mark.parametrize(
    ("scope", "action", "verdict"),
    [("gateway", "halt_gateway", "halted"), ("instrument", "halt_instrument", "instrument_halt")],
)
def test_what_a_breaker_stopped_it_stops_again(scope: str, action: str, verdict: str, rng: random.Random) -> None:
    """It counts in the pipeline that is told: the order too many is refused, and those behind it."""
    limits = r.open_limits(len(SYMBOLS))
    breakers.fill(limits["breaker"][0][0], Breaker("rule", "order_rate", scope, action, 6, 3600 * 10**9))

    def says(desk: Desk, turn: int) -> None:
        if turn == TURNS // 2:
            desk.rig.segment.resume()
            for symbol in SYMBOLS:
                desk.rig.segment.resume_instrument(symbol)
            desk.rig.publish()

    records = traded(rng, strategy(), says, limits=limits)
    same(decided(blocks(records), settings()), records)
    verdicts = Counter(said for kind, said, payload in records if kind == TYPES["gate"] and payload[0] == NEW)
    codes = {reason.name: reason.code for reason in specs.reasons()}
    assert verdicts[codes["breaker"]] > 0
    assert verdicts[codes[verdict]] > 0


def test_new_parameters_are_taken_when_they_were(rng: random.Random) -> None:
    def says(desk: Desk, turn: int) -> None:
        if turn == TURNS // 2:
            values = ffi.new("int64_t[]", [70, 1, 20, 5, 100, 1000, 20_000])
            assert lib.hwgw_params_publish(desk.rig.segment.pointer, 0, values, bytes(range(16)))
            desk.rig.publish()

    records = traded(rng, strategy(), says)
    same(decided(blocks(records), settings()), records)
    sizes = {int.from_bytes(payload[24:28], "little") for kind, _, payload in records if kind == TYPES["gate"]}
    assert {70, 100} <= sizes


# ---- otherwise ----


def test_another_parameter_is_named_with_the_first_order_that_it_changes(day: Records) -> None:
    found = decided(blocks(day), settings(qty=90))
    assert found.changed == ["imbalance.qty: 100 recorded, 90 now"]
    assert found.difference
    assert (found.difference.field, found.difference.recorded, found.difference.now) == ("qty", "100", "90")
    assert found.difference.about == "new 1"
    assert found.counts["orders"] == 0


def test_an_order_that_is_not_wanted_now_is_named(day: Records) -> None:
    found = decided(blocks(day), settings(enter_pct=100))
    assert found.difference
    assert found.difference.field == "record"
    assert found.difference.recorded.startswith("new ")


def places(records: Records) -> Iterator[tuple[int, int]]:
    """Where each record begins and ends."""
    at = 0
    for end in records.ends:
        yield at, end
        at = end


def test_one_bit_of_a_price_in_a_frame_is_found(day: Records) -> None:
    """In the frame that an order was decided on: the book is another one from there on."""
    raw, price = bytearray(day.raw), FRAME + 32 + 20 + 2 + 35
    last, changed, number = 0, 0, 0
    for index, (at, _) in enumerate(places(day)):
        if raw[at + 4] == TYPES["frame"]:
            last = at if raw[at + 32 + FRAME + 22 : at + 32 + FRAME + 23] == b"A" else 0
        passed = raw[at + 4] == TYPES["gate"] and raw[at + 32] == NEW and raw[at + 6 : at + 8] == b"\0\0"
        if passed and last and index > len(day.ends) // 2:
            changed, number = last, index
            break
    assert changed, "no order was decided on a frame that adds one"
    assert struct.unpack(">I", raw[changed + price - 3 : changed + price + 1])[0] in range(990_000, 1_010_000)
    raw[changed + price] ^= 1
    found = decided(blocks(day, bytes(raw)), settings())
    assert found.difference
    assert found.difference.record - number in (1, 2, 3)  # that order, its basis or the book it was decided on
    assert found.counts["orders"] > 5


def test_a_changed_verdict_is_found_with_its_order(day: Records) -> None:
    raw = bytearray(day.raw)
    at = next(at for at, _ in places(day) if raw[at + 4] == TYPES["gate"] and raw[at + 32] == NEW and not raw[at + 6])
    raw[at + 6] = 9
    found = decided(blocks(day, bytes(raw)), settings())
    names = {reason.code: reason.name for reason in specs.reasons()}
    assert found.difference
    assert (found.difference.field, found.difference.recorded, found.difference.now) == ("verdict", names[9], names[0])


def test_a_beginning_of_a_run_comes_out_as_far_as_it_goes(day: Records, rng: random.Random) -> None:
    for _ in range(20):
        cnt = rng.randrange(len(day.ends) // 4, len(day.ends))
        found = decided([sealed(opening(), 1), sealed(day.first(cnt), 2)], settings())
        assert (found.runs, found.difference) == (1, None)


# ---- what cannot ----


def test_a_run_without_frames_says_so(rng: random.Random) -> None:
    records = traded(rng, strategy(), frames=False)
    found = decided(blocks(records), settings())
    assert (found.runs, found.refused) == (0, [(1, "it has no frames (journal.frames), or no strategies")])
    assert not {kind for kind, _, _ in records} & {TYPES[kind] for kind in ("frame", "input", "params")}


def test_what_is_not_the_runs_own_is_refused_by_name(day: Records) -> None:
    def why(given: Settings | None, found: list[Block]) -> str:
        made = decided(found, given)
        assert made.runs == 0
        return made.refused[0][1]

    assert why(None, blocks(day)) == "its strategies are those of a configuration: --config FILE"
    other = replace(settings(), symbols=("AAPL", "IBM", "MSFT"))
    assert "its symbols are AAPL, MSFT, IBM; the configuration has AAPL, IBM, MSFT" in why(other, blocks(day))
    named = replace(settings(), strategies=(replace(settings().strategies[0], name="lean"),))
    assert "its strategies are imbalance (account 0); the configuration has lean (account 0)" in why(named, blocks(day))
    raw = bytearray(day.raw)
    at = next(at for at, _ in places(day) if raw[at + 4] == TYPES["restored"])
    raw[at + 32 + 8] = 7  # records
    with pytest.raises(CheckFailed, match="rebuilt from 7 records, 0 stand before it: a file is missing"):
        decided(blocks(day, bytes(raw)), settings())


def test_a_frame_of_a_line_that_is_not_configured_is_an_error(day: Records) -> None:
    raw = bytearray(day.raw)
    at = next(at for at, _ in places(day) if raw[at + 4] == TYPES["frame"])
    raw[at + 32 + 4] = 3
    with pytest.raises(CheckFailed, match=r"run 1: block 2, record \d+: a frame of channel 0, line 3, which"):
        decided(blocks(day, bytes(raw)), settings())


def test_frames_are_not_kept_where_they_do_not_say_everything() -> None:
    with pytest.raises(ConfigError, match="a journal with frames cannot have a pipeline that is not live"):
        Rig(SYMBOLS, [strategy()], journal_sz_bytes=RING, frames=True, bare=True)


def test_a_ring_that_is_full_of_frames_stops_orders_and_not_the_feed(rng: random.Random) -> None:
    market = Market(rng)
    with Rig(SYMBOLS, [strategy()], journal_sz_bytes=65_536, frames=True) as rig:
        for locate, symbol in enumerate(SYMBOLS, 1):
            rig.feed(r.directory(locate, symbol))
        while not rig.segment.halts:
            rig.feed(market.message())
        assert [row["reason"] for row in rig.segment.halts] == ["journal"]
        passed, messages = rig.cnt("risk.passed"), rig.cnt("itch.messages")
        for _ in range(TURNS):
            rig.feed(market.message())
        assert rig.cnt("itch.messages") == messages + TURNS
        assert rig.cnt("risk.passed") == passed
        assert rig.ledgers() > 5
