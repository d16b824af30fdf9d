"""The ledger of every receive backend under every cause of loss that can be induced on it: exact, and by name.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections import Counter

import pytest
from support import ledger, ledger_causes
from support import rig as r
from support.alone import alone
from support.frames import KINDS
from support.ledger import BACKENDS, DELIVERED, NOWHERE, WHERE, Line
from support.ledger_causes import PRESSURES

pytestmark = pytest.mark.root


def name(value):
    return value.name.replace(" ", "-") if isinstance(value, ledger.Backend) else None


def needed(row):
    if row.missing:
        pytest.skip(f"{row.name}: {row.missing}")


HERE = [row for row in BACKENDS if not row.is_apart]


@pytest.fixture(params=HERE, ids=name)
def row(request):
    needed(request.param)
    return request.param


@pytest.fixture(scope="module", params=HERE, ids=name)
def fresh(request):
    needed(request.param)
    with ledger.lines(request.param) as lines:
        yield lines


def assert_as_expected(account):
    """Those numbers came, in order and once; those counters moved, so far, and no other."""
    assert account.numbers == account.expected_numbers
    assert account.moved == account.expected


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "data"])
def test_a_frame_of_each_kind_comes_or_is_counted_under_its_own_cause(fresh, kind):
    line = fresh()
    row = line.row
    account = ledger.measure_kind(line, kind, 50)
    assert_as_expected(account)
    assert account.sent == 100
    # nothing is lost without a name: it came, or one counter of ours or of the kernel says what it was
    first = WHERE[row.family][kind][0]
    assert first in (DELIVERED, NOWHERE) or account.moved[first] >= 50


@pytest.mark.parametrize(
    ("row", "cause"), [each for each in ledger_causes.pairs() if each[0] in HERE], ids=name, indirect=["row"]
)
def test_loss_by_pressure_is_exact_and_of_the_right_cause(row, cause):
    account = PRESSURES[cause](row)
    assert_as_expected(account)
    lost = sum(account.ours.values()) or account.moved.get("dev:rx_dropped", 0)
    assert account.sent == account.delivered + lost
    assert lost > 0 or account.note


def provable(row):
    """Kinds that can come in one moment. udp: the kernel counts a UDP length that is wrong like what a socket's filter
    refused; beside it no other cause is proven (rx_udp_causes.h)."""
    return [kind for kind in KINDS if row.backend != "udp" or kind != "UDP length"]


def test_a_random_mix_of_everything_is_exact_to_the_frame(row, rng):
    frames, sent, fate, came = 512, 0, Counter(), []
    kinds = ["data", *provable(row)]
    slots = ledger.ring_slots(row, frames)
    settings = {"frame_cnt": frames} if slots else {}
    native = row.settings.get("mode") == "native"
    with Line(row, **settings) as line:
        while sent < 3000:
            burst = rng.choice([rng.randrange(1, 200), 256 + rng.randrange(1, 200)])
            used = 0
            for number in range(sent, sent + burst):
                kind = rng.choice(kinds)
                line.send_kind(kind, number, rng.choice([80, 200, 1000]))
                where = WHERE[row.family][kind]
                takes_slot = where[0] == DELIVERED or where[0].startswith("net.")
                if takes_slot and used == slots:
                    fate["rx.drop_ring_full"] += 1
                    fate["dev:rx_dropped"] += native
                    where = where[1:]
                elif where[0] == DELIVERED:
                    came.append(number)
                used += takes_slot and used != slots
                fate.update(each for each in where if each not in (DELIVERED, NOWHERE))
            sent += burst
            if row.backend != "pcap":
                line.settle(len(came) + sum(cnt for each, cnt in fate.items() if each.startswith(("rx.", "net."))))
        account = line.settle() if row.backend == "pcap" else line.sum_up()
    assert account.sent == sent >= 3000
    assert account.numbers == came
    assert len(came) > 300
    assert ledger.provable(row, account.moved) == dict(+fate)
    assert len(fate) >= 5


# ---- the same through a pipeline: frames -> packets -> messages ----


PACKET = 40  # messages


def packet(number):
    """The packet of that number: messages that change no book, one sequence over all numbers."""
    return r.mold(PACKET * number + 1, [r.trading_action(1, "AAPL", "T")] * PACKET)


def stepped(line, frames):
    """Step until so many frames have come in or are counted as lost; the pipeline's counters."""
    for _ in range(10_000):
        line.rig.step()
        line.rig.publish()
        counters = line.rig.segment.counters()
        if counters["rx.frames"] + lost(counters, "rx.") >= frames:
            break
    return counters


def lost(counters, stage):
    return sum(value for each, value in counters.items() if each.startswith(f"{stage}drop_"))


@pytest.fixture(params=[row for row in HERE if row.backend != "pcap"], ids=name)
def live(request):
    needed(request.param)
    return request.param


def test_what_a_pipeline_that_stands_still_loses_is_counted_and_missed_in_the_feed(live):
    small = live.backend == "udp"
    slots = ledger.ring_slots(live, 256) or ledger.DPDK_SLOTS.get(live.family, 0)
    settings = {"user": 65534} if small else {} if live.is_apart else {"frame_cnt": 256}
    with Line(live, pipeline=True, **settings) as line:
        sent = 0
        overrun = slots + 300
        while sent < overrun or (small and line.kernel()["Udp:RcvbufErrors"] < 300):
            for _ in range(500 if small else overrun):
                line.send(KINDS["data"](packet(sent)))
                sent += 1
        before = stepped(line, sent)
        for i in range(10):
            line.send(KINDS["data"](packet(sent + i)))
        counters = stepped(line, sent + 10)
        line.rig.ledgers()
    drops = {each: cnt for each, cnt in counters.items() if ".drop_" in each and cnt}
    cause = ledger.ring_full(live)
    assert drops == {cause: 300 if not small else drops[cause]}
    assert drops[cause] >= 300
    assert before["rx.frames"] == sent - drops[cause]
    assert (counters["mold.gaps"], counters["mold.missing"]) == (1, PACKET * drops[cause])
    assert counters["mold.frames"] == counters["rx.frames"] == sent + 10 - drops[cause]
    assert counters["itch.messages"] == PACKET * counters["mold.frames"]


@pytest.mark.parametrize(("before", "after", "size"), [(1500, 3000, 2500), (3000, 9000, 8900)])
def test_a_pipeline_that_got_only_frames_it_cannot_take_goes_on_with_the_next_good_one(live, before, after, size):
    long, good = 600, 20
    slot = 2048 if before < 2000 or live.backend == "afxdp" else 4096  # given: it is not opened anew for the new MTU
    with Line(live, mtu=before, pipeline=True, frame_sz_bytes=slot, frame_cnt=256) as line:
        for end in ("tx", "rx"):
            line.pair.run(end, "ip", "link", "set", line.pair.device[end], "mtu", str(after))
        for i in range(long):
            line.send_kind("data", i, size)
            line.rig.step()
        stepped(line, long)
        for i in range(good):
            line.send(KINDS["data"](packet(i)))
        counters = stepped(line, long + good)
        line.rig.ledgers()
    assert (counters["rx.drop_truncated"], counters["rx.frames"]) == (long, good)
    assert counters["mold.frames"] == good


def test_a_random_mix_through_a_pipeline_holds_every_ledger(live, rng):
    sent, fate, came = 0, Counter(), []
    kinds = ["data", *(kind for kind in provable(live) if kind != "UDP checksum, short")]  # that one cuts the packet
    with Line(live, pipeline=True) as line:
        while sent < 3000:
            for _ in range(rng.randrange(1, 100)):
                kind = rng.choice(kinds)
                line.send(KINDS[kind](packet(sent)))
                where = WHERE[live.family][kind]
                if where[0] == DELIVERED:
                    came.append(sent)
                fate.update(each for each in where if each not in (DELIVERED, NOWHERE))
                sent += 1
            ours = {each: cnt for each, cnt in fate.items() if each.startswith(("rx.", "net."))}
            counters = stepped(line, len(came) + sum(ours.values()))
            drops = {each: cnt for each, cnt in counters.items() if ".drop_" in each and cnt}
            assert ledger.provable(live, drops) == ours
            assert line.rig.ledgers() >= 6
        moved = {each: cnt for each, cnt in line.kernel().items() if cnt}
    assert moved == {each: cnt for each, cnt in fate.items() if each not in ours}
    assert len(came) > 300
    assert counters["mold.frames"] == len(came)
    assert counters["mold.messages"] == counters["itch.messages"] == PACKET * len(came)
    assert counters["mold.missing"] == PACKET * (came[-1] - came[0] + 1 - len(came))
    assert counters["rx.frames"] == len(came) + lost(counters, "net.")


@pytest.fixture(params=[row for row in BACKENDS if row.is_apart], ids=name)
def apart(request):
    needed(request.param)
    return request.param


@alone
def test_all_of_this_holds_for_a_backend_that_wants_a_process_of_its_own(apart, rng):
    with ledger.lines(apart) as fresh:
        for kind in KINDS:
            if kind != "data":
                test_a_frame_of_each_kind_comes_or_is_counted_under_its_own_cause(fresh, kind)
    causes = [cause for each, cause in ledger_causes.pairs() if each == apart]
    for cause in causes:
        test_loss_by_pressure_is_exact_and_of_the_right_cause(apart, cause)
    assert len(causes) == 4
    test_a_random_mix_of_everything_is_exact_to_the_frame(apart, rng)
    test_what_a_pipeline_that_stands_still_loses_is_counted_and_missed_in_the_feed(apart)
    test_a_random_mix_through_a_pipeline_holds_every_ledger(apart, rng)


def test_the_table_of_the_documentation_names_every_cause_and_every_backend_that_runs_here(root):
    page = (root / "docs" / "receive.md").read_text()
    table = page.partition(ledger_causes.BEGIN)[2].partition(ledger_causes.END)[0]
    causes = {line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")}
    assert causes >= {*KINDS, *PRESSURES} - {"data"}
    assert {each.name for each in BACKENDS if not each.missing and each.name not in table} == set(), "make ledger"
