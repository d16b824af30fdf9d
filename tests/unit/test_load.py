"""Profiles of a load, faults of order entry in words, and a report that fails when a sum does not hold.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hwgw_sim.exchange.misbehave import Misbehaviour, parse_misbehaviour

from hwgw.errors import ConfigError, UsageError
from hwgw.load import report
from hwgw.load.profile import Profile, find, profiles, schedule, words

# messages at 1,000,000/s over 10 s, from the shares of profiles.yaml: the integral of the rate over the time
MESSAGES = {"steady": 10_000_000, "bursts": 1_900_000, "opening": 2_440_000}
PEAK_US = {"steady": 10_000_000, "bursts": 1_000_000, "opening": 300_000}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_schedule_has_the_messages_and_the_time_of_its_profile(name: str) -> None:
    steps = schedule(find(name), 1_000_000, 10)
    assert sum(step.us for step in steps) == 10_000_000
    assert sum(step.messages for step in steps) == MESSAGES[name]
    assert sum(step.us for step in steps if step.share == 10_000) == PEAK_US[name]
    assert max(step.messages / step.us for step in steps) == 1.0
    assert set(profiles()) == set(MESSAGES)


def test_a_period_is_repeated_and_the_last_one_cut() -> None:
    steps = schedule(Profile("x", "", 1_000, ((1, 10_000), (3, 0))), 1_000_000, 0.0026)
    assert [(step.messages, step.us) for step in steps] == [(250, 250), (0, 750), (250, 250), (0, 750), (250, 250)]
    assert words(steps) == "250/250,0/750,250/250,0/750,250/250"  # the silence behind the last is not waited for


def test_a_profile_of_ones_own_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("period: 10ms\nsteps:\n- {time: 9, rate: 0.25}\n- {time: 1, rate: 1}\n")
    assert find(str(path)) == Profile("mine", "", 10_000, ((90_000, 2_500), (10_000, 10_000)))
    for text, said in (
        ("steps: [{time: 1, rate: 1.5}]", r"mine\.yaml:1: steps\[0\]\.rate: 1\.5: out of range"),
        ("steps: [{time: 1, rate: 0}]", r"no step has a rate"),
        ("steps: []", r"0 entries"),
        ("shape: x", r"unknown key"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=said):
            find(str(path))
    for name in ("nope", str(tmp_path / "absent.yaml")):
        with pytest.raises(UsageError, match=re.escape(f"--profile {name}: ")):
            find(name)


def test_what_cannot_be_scheduled_is_refused() -> None:
    with pytest.raises(UsageError, match="--seconds 513: at most 512 are allowed with the profile bursts"):
        schedule(find("bursts"), 1000, 513)
    with pytest.raises(UsageError, match="--rate 1: not one message"):
        schedule(find("steady"), 1, 0.5)


def test_faults_of_order_entry_in_words() -> None:
    how = parse_misbehaviour("late=5%,late_ms=20,duplicate=0.01,missing=1%,reject_storm=9,breaks=100%,cuts=3,seed=7")
    assert (how.late, how.late_s, how.duplicate, how.missing) == (0.05, 0.02, 0.01, 0.01)
    assert (how.reject_storm, how.breaks, how.seed, len(how.cut_after)) == (9, 1.0, 7, 3)
    assert how.contradicts
    assert how.cut_after == parse_misbehaviour("cuts=3,seed=7").cut_after != parse_misbehaviour("cuts=3").cut_after
    assert parse_misbehaviour("") == Misbehaviour()
    assert not parse_misbehaviour("late=1,breaks=1,cuts=9").contradicts


@pytest.mark.parametrize("text", ["late", "late=2", "late=-1", "late=nan", "cuts=x", "loss=1%", "late=1%,late=2%"])
def test_other_faults_of_order_entry_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"order entry faults .* are allowed"):
        parse_misbehaviour(text)


def processor(busy: float, kernel: float, waited: float) -> dict[str, float]:
    return {"busy_pct": busy, "kernel_pct": kernel, "waited_pct": waited}


FULL = "the exchange has its processor full (99 % of the time, 60 % in the kernel)"


def result(**changed: Any) -> dict[str, Any]:
    """As far as failures() looks."""
    fine = {
        "ledger": {"exact": True, "sent": 1, "received": 1, "dropped": {}}, "ledgers": {}, "messages": 1,
        "recovery": {"lost": 0}, "position_match": True, "halted": None, "halt_expected": [],
        "feed": {"exact": True}, "requests": {"exact": True, "lost_in_cuts": 0}, "answers": {"exact": True},
        "load": {"is_whole": True, "reached_pct": 99.0, "seconds": 1.0, "levels": [], "exchange": processor(99, 60, 1)},
        "orders": {"by_card": 0}, "card_frames": 0,
    }  # fmt: skip
    return {**fine, **changed}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"feed": {"exact": False}}, "messages of the feed are unaccounted for"),
        ({"requests": {"exact": False, "lost_in_cuts": -2}}, "requests to the venue are unaccounted for: -2"),
        ({"answers": {"exact": False}}, "answers of the venue are unaccounted for"),
        ({"position_match": False}, "the gateway's positions are not the exchange's"),
        (
            {"load": {"is_whole": False, "seconds": 9.0, "levels": [], "exchange": processor(99, 60, 1)}},
            f"the load was cut off after 9.0 s: {FULL}",
        ),
        (
            {"load": {"is_whole": True, "reached_pct": 96.9, "levels": [], "exchange": processor(99, 60, 1)}},
            f"the load was not made: 96.9 % of the rate, 97 % are wanted (--reach): {FULL}",
        ),
        ({"halted": {"reason": "state", "text": "x"}}, "the gateway is halted (state): x"),
    ],
)
def test_each_sum_that_does_not_hold_is_a_failure(changed: dict[str, Any], said: str) -> None:
    assert report.failures(result(), 97) == []
    assert report.failures(result(**changed), 97) == [said]


def test_numbers_that_began_anew_are_not_compared_and_no_failure() -> None:
    names = {"hold.jumped": 3, "hold.again": 0, "mold.sessions": 0}
    base = {"messages": 6, "messages_sent": 10, "recovery": {"lost": 1}}
    assert report._feed(base, names)["exact"] is True
    assert report._feed({**base, "messages": 7}, names)["exact"] is False
    assert report._feed({**base, "messages": 7}, {**names, "hold.again": 1})["exact"] is True
    anew = report._feed(base, {**names, "mold.sessions": 2})
    assert anew["exact"] is None
    assert report.failures(result(feed=anew), 97) == []


def test_a_halt_is_no_failure_when_the_venue_contradicted_itself() -> None:
    halted = {"reason": "state", "text": "x"}
    assert report.failures(result(halted=halted, halt_expected=["state"], position_match=None), 97) == []
    assert len(report.failures(result(halted={"reason": "loss", "text": "x"}, halt_expected=["state"]), 97)) == 1


def counters(**some: int) -> dict[str, int]:
    names = [f"session.{kind}" for kind in report.KINDS] + list(report.DISBELIEVED)
    names += ["order.encoded", "order.mass_cancels", "session.withdrawn"]
    return dict.fromkeys(names, 0) | {name.replace("__", "."): cnt for name, cnt in some.items()}


def test_answers_are_those_that_were_said_but_for_what_was_not_believed() -> None:
    said = {"accepted": 5, "executed": 3}
    assert report._answers(counters(session__accepted=5, session__executed=3), said)["exact"]
    assert not report._answers(counters(session__accepted=5, session__executed=2), said)["exact"]
    assert not report._answers(counters(session__accepted=6, session__executed=2), said)["exact"]
    believed = counters(session__accepted=5, session__executed=2, session__drop_order=1)
    assert report._answers(believed, said)["exact"]


def test_requests_get_lost_with_a_connection_only() -> None:
    venue = {"orders": {"in": 5, "replaces_in": 2, "cancels_in": 1, "mass_cancels_in": 0}}
    for sent, refused, cuts, lost, is_exact in (
        (8, 0, 0, 0, True), (9, 1, 0, 0, True), (9, 0, 0, 1, False), (9, 0, 1, 1, True), (7, 0, 1, -1, False),
    ):  # fmt: skip
        found = report._requests(counters(order__encoded=sent), venue, refused, cuts)
        assert (found["lost_in_cuts"], found["exact"]) == (lost, is_exact)


def test_what_a_run_that_was_cut_off_had_reached_is_told() -> None:
    run = report.Run(find("steady"), 1_000, tuple(schedule(find("steady"), 1_000, 2)), None, "X")
    clocks = {"ended_ns": 13_000_000_000, "busy_ns": 0, "kernel_ns": 0, "waited_ns": 0}
    told = {"steps": [{"messages": 2_000, "us": 2_000_000, "ended_ns": 0}], "lateness_ns": {}, "processor": clocks}
    cut = report._load(run, {**told, "elapsed_s": 13.0, "messages_per_s": 100.0})
    assert (cut["is_whole"], cut["reached_pct"], cut["seconds"], cut["levels"]) == (False, 10.0, 13.0, [])
    end = {"ended_ns": 4_000_000_000, "busy_ns": 3_600_000_000, "kernel_ns": 2_000_000_000, "waited_ns": 400_000_000}
    late = {**told, "steps": [{**told["steps"][0], **end}], "elapsed_s": 4.0, "messages_per_s": 1.0}
    whole = report._load(run, late)
    assert (whole["is_whole"], whole["reached_pct"], whole["seconds"]) == (True, 50.0, 4.0)
    assert [level["reached_msgs_per_s"] for level in whole["levels"]] == [500.0]
    assert whole["levels"][0]["exchange"] == processor(90.0, 50.0, 10.0)
    assert report.bound(whole) == (
        "the exchange waited 10 % of the time for a processor that others had"
        " (on it 90 % of the time, 50 % in the kernel)"
    )


def test_a_pipeline_is_full_when_no_poll_finds_nothing() -> None:
    clocks = {"ended_ns": 2_000, "busy_ns": 1_900, "waited_ns": 100, "polls": 30, "polls_idle": 10}
    assert report._gateway(clocks) == processor(95.0, 0.0, 5.0) | {"idle_polls_pct": 25.0}
    assert report._gateway({**clocks, "polls_idle": 0})["idle_polls_pct"] == 0.0


def test_what_bounds_a_load_is_told_of_the_level_that_was_behind_most() -> None:
    levels = [
        {"asked_msgs_per_s": 100.0, "reached_msgs_per_s": 100.0, "exchange": processor(20, 10, 40)},
        {"asked_msgs_per_s": 1000.0, "reached_msgs_per_s": 700.0, "exchange": processor(98.5, 61, 1)},
    ]
    load = {"levels": levels, "exchange": processor(30, 15, 30)}
    full = "the exchange has its processor full (98.5 % of the time, 61 % in the kernel)"
    assert report.bound(load) == full
    assert report.bound({**load, "levels": levels[:1]}).startswith("the exchange waited 40 % of the time for a")
    idle = {"levels": [], "exchange": processor(50, 20, 0)}
    assert report.bound(idle).startswith("not for want of a processor (the exchange was on one 50 % of the time")
