"""Limits and strategies put back together: all of them or none, to versions by name or to what was in force at a time.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.rig import Rig, open_limits

from hwgw import audit, cli, parameters, segment
from hwgw.cli.journal import day_time
from hwgw.cli.rollback import _time_ns
from hwgw.errors import CheckFailed, UsageError
from hwgw.native import ffi, lib
from hwgw.risk import control, versions

NAMES = ("mean_reversion", "imbalance")


class Desk:
    """A gateway of two built-in strategies that goes round on a thread; its versions are kept as by hwgw run."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.segment, self.name = rig, rig.segment, rig.segment.name
        for number, name in enumerate(NAMES):
            desc = lib.hwgw_strategy_find(name.encode())
            params = {ffi.string(desc.param_names[i]).decode(): desc.param_defaults[i] for i in range(desc.param_cnt)}
            version = parameters.Version(self.name, name, f"builtin:{name}", "1", params)
            parameters._keep(version)
            self.segment.strategy_params[number]["version"] = list(bytes.fromhex(version.digest))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._turn)
        self._thread.start()

    def _turn(self) -> None:
        while not self._over.is_set():
            self.rig.publish()
            time.sleep(0.001)

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def says(self, *words: str, code: int = 0) -> None:
        assert cli.execute([words[0], *words[1:]]) == code

    def back(self, *options: str, code: int = 0) -> None:
        self.says("rollback", self.name, *options, code=code)

    def limits(self, qty_max: int) -> str:
        """Narrower limits are put in force; their hash."""
        self.says("limits", "set", self.name, f"instruments.AAPL.qty_max={qty_max}")
        return control.in_force(self.segment).digest

    def strategy(self, name: str, qty: int) -> str:
        self.says("strategy", "set", self.name, name, f"qty={qty}")
        return parameters.in_force(self.segment, name).digest

    @property
    def state(self) -> tuple[int, int, int]:
        """qty_max of AAPL, then qty of each strategy, as the pipeline has them."""
        rows = [int(self.segment.strategy_params[number]["value"][0]) for number in range(2)]
        return (control.in_force(self.segment).limits["instruments.AAPL.qty_max"].value, rows[0], rows[1])

    @property
    def sources(self) -> list[str]:
        return [row["source"] for row in audit.verify(self.name)]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for module in (control, segment):  # the thread that goes round may be kept waiting on a busy machine
        monkeypatch.setattr(module, "_ACKNOWLEDGE_SECONDS", 30.0)
    monkeypatch.setattr(parameters, "_SECONDS", 30.0)
    limits = open_limits(1)
    limits["instrument"]["qty_max"][0, 0] = 1000
    strategies = [(lib.hwgw_strategy_find(name.encode()), {}) for name in NAMES]
    with Rig(("AAPL",), strategies, limits=limits) as rig:
        made = Desk(rig)
        yield made
        made.stop()


def test_limits_and_strategies_go_back_in_one_command(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    first = desk.state
    limits = desk.limits(500)
    version = desk.strategy("imbalance", 70)
    desk.limits(400)
    desk.strategy("imbalance", 80)
    desk.strategy("mean_reversion", 90)
    assert desk.state == (400, 90, 80)
    capsys.readouterr()
    desk.back("--limits", "1", "--strategy", f"imbalance={version[:10]}", "--allow-looser", "--json")
    assert desk.state == (500, 90, 70)
    done = json.loads(capsys.readouterr().out)
    assert (done["limits"]["hash"], [row["hash"] for row in done["strategies"]]) == (limits, [version])
    assert done["strategies"][0]["changes"] == [{"name": "qty", "old": 80, "new": 70}]
    assert desk.sources[-2:] == [f"rollback of limits to 1, imbalance to {version[:10]}"] * 2
    kept = next(versions.versions(desk.name)).before, next(parameters.versions(desk.name, "mean_reversion"))["before"]
    desk.back("--limits", kept[0], "--strategy", f"mean_reversion={kept[1]}", "--allow-looser")
    assert desk.state == (first[0], first[1], 70)


def test_nothing_is_changed_unless_all_of_it_may_be(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.limits(500)
    good = desk.strategy("imbalance", 70)
    desk.limits(400)
    desk.strategy("imbalance", 80)
    other = parameters.Version(desk.name, "imbalance", "builtin:imbalance", "2", dict.fromkeys(("qty",), 1))
    parameters._keep(other)
    before = desk.state, desk.sources
    ours = "--strategy", f"imbalance={good[:12]}"
    for options, code, said in (
        (["--limits", "1", *ours], 1, "would be looser"),
        (["--limits", "9999", *ours], 2, "9999: no change of limits of"),
        (["--limits", "0123abcd", *ours], 2, "0123abcd: no version begins so"),
        (
            ["--limits", "1", "--strategy", "imbalance=1", "--allow-looser"],
            2,
            "1: no change of imbalance has this numb",
        ),
        (["--limits", "1", "--strategy", "other=7", "--allow-looser"], 2, "has no strategy 'other'; it has mean_rev"),
        (["--limits", "1", "--strategy", f"imbalance={other.digest}", "--allow-looser"], 1, "code is not"),
        (["--limits", "1", "--strategy", "imbalance", "--allow-looser"], 2, "STRATEGY=VERSION is allowed"),
        ([*ours, *ours], 2, "imbalance is named twice"),
        ([], 2, "name versions (--limits, --strategy) or a time (--to), and not both"),
        (["--limits", "1", "--to", "2026-01-01 00:00"], 2, "and not both"),
        (["--to", "yesterday"], 2, "--to yesterday: a time in UTC is allowed, such as"),
        (["--to", "2999-01-01T00:00"], 2, "this time is yet to come"),
        (["--to", "2001-01-01T00:00"], 1, "its record does not say which limits were in force then"),
    ):
        desk.back(*options, code=code)
        assert said in capsys.readouterr().err, options
    assert (desk.state, desk.sources) == before
    desk.says("rollback", "nobody-there", "--limits", "1", code=2)
    assert "nobody-there" in capsys.readouterr().err


def test_what_was_changed_is_put_back_when_a_strategy_does_not_take_its_version(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.limits(500)
    good = desk.strategy("imbalance", 70)
    desk.limits(400)
    desk.strategy("imbalance", 80)
    desk.says("strategy", "set", desk.name, "mean_reversion", "qty=2000000", code=1)  # kept, and refused
    refused = next(parameters.versions(desk.name, "mean_reversion"))["hash"]
    before = desk.state
    capsys.readouterr()
    ask = "--limits", "1", "--strategy", f"imbalance={good}", "--strategy", f"mean_reversion={refused}"
    desk.back(*ask, "--allow-looser", code=1)
    error = capsys.readouterr().err
    assert "mean_reversion does not allow qty 100 -> 2000000: nothing was changed; put back: imbalance" in error
    assert desk.state == before
    source = f"rollback of limits to 1, imbalance to {good}, mean_reversion to {refused}"
    assert desk.sources[-4:] == [source, source, "refused", "put back: a rollback was not taken whole"]


def test_strategies_are_put_back_when_the_limits_are_not_taken(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.limits(500)
    good = desk.strategy("imbalance", 70)
    desk.limits(400)
    desk.strategy("imbalance", 80)
    before, really = desk.state, control.apply

    def late(running: segment.Segment, book: control.Book, source: str, **keys: Any) -> control.Applied:
        done = really(running, book, source, **keys)
        if source.startswith("rollback"):
            raise CheckFailed("a pipeline has not acknowledged it")
        return done

    monkeypatch.setattr(control, "apply", late)
    capsys.readouterr()
    desk.back("--limits", "1", "--strategy", f"imbalance={good}", "--allow-looser", code=1)
    assert "a pipeline has not acknowledged it; put back: imbalance, limits" in capsys.readouterr().err
    assert desk.state == before


def test_what_cannot_be_put_back_is_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.limits(500)
    good = desk.strategy("imbalance", 70)
    desk.strategy("imbalance", 80)
    really = parameters.apply

    def gone(running: segment.Segment, version: parameters.Version, source: str) -> parameters.Applied:
        if not source.startswith("rollback"):
            raise CheckFailed("nobody looks")
        return really(running, version, source)

    def refused(*_: Any, **__: Any) -> control.Applied:
        raise CheckFailed("not these")

    monkeypatch.setattr(parameters, "apply", gone)
    monkeypatch.setattr(control, "apply", refused)
    capsys.readouterr()
    desk.back("--limits", "1", "--strategy", f"imbalance={good}", code=1)
    assert "not these; NOT PUT BACK: imbalance: nobody looks" in capsys.readouterr().err
    assert desk.state[2] == 70


def test_a_time_brings_back_what_was_in_force_then(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    states = [desk.state]
    times = [time.time_ns()]
    for act in (
        lambda: desk.limits(500),
        lambda: desk.strategy("imbalance", 70),
        lambda: desk.limits(400),
        lambda: desk.strategy("mean_reversion", 90),
    ):
        act()
        states.append(desk.state)
        times.append(time.time_ns())
    assert len(set(states)) == len(states)
    for at_ns, state in sorted(zip(times, states, strict=True), reverse=True):
        assert _time_ns(day_time(at_ns)) == at_ns
        desk.back("--to", day_time(at_ns), "--allow-looser")
        assert desk.state == state
    assert desk.sources[-1] == f"rollback of all to {day_time(times[0])}"
    now = day_time(time.time_ns())
    capsys.readouterr()
    desk.back("--to", now)
    assert f"{desk.name}: what was in force at {now} is in force" in capsys.readouterr().out
    shown = list(versions.versions(desk.name))[1]  # at the very moment of a change it is in force
    desk.back("--to", day_time(shown.time_ns))
    assert desk.state == states[3]


def test_what_was_in_force_before_a_restart_is_said_only_where_the_record_does(desk: Desk) -> None:
    from hwgw import rollback

    start_ns = int(desk.segment.head["start_ns"])
    acts = [(start_ns - 300, "b", "a"), (start_ns - 100, "c", "b"), (start_ns + 100, "e", "d")]
    said = {start_ns - 200: "b", start_ns: "d", start_ns + 50: "d", start_ns + 100: ""}
    for at_ns, digest in said.items():
        assert rollback._then(desk.segment, "limits", acts, at_ns) == digest
    for at_ns in (start_ns - 400, start_ns - 50):
        with pytest.raises(CheckFailed, match="does not say which limits were in force then: a restart"):
            rollback._then(desk.segment, "limits", acts, at_ns)
    agree = [*acts[:2], (start_ns + 100, "e", "c")]
    assert rollback._then(desk.segment, "limits", agree, start_ns - 50) == "c"
    with pytest.raises(CheckFailed):
        rollback._then(desk.segment, "limits", acts[:2], start_ns - 50)


@pytest.mark.parametrize("text", ["2026-02-30 10:00", "2026-03-31", "2026-03-31 14:30.5", "2026-03-31 14:30:00+01:00"])
def test_times_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a time in UTC is allowed"):
        _time_ns(text)


def test_a_time_is_read_as_it_is_printed() -> None:
    assert _time_ns("1970-01-02 00:00:01.5") == 86_401_500_000_000
    assert _time_ns("1970-01-01T00:01Z") == 60 * 10**9


@pytest.mark.root
def test_who_may_not_write_the_segment_puts_nothing_back(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.limits(500)
    desk.limits(400)
    capsys.readouterr()
    os.seteuid(65_503)
    try:
        code = cli.execute(["rollback", desk.name, "--limits", "1", "--allow-looser"])
    finally:
        os.seteuid(0)
    assert code == 4
    assert f"{desk.name}: Permission denied" in capsys.readouterr().err
    assert desk.state[0] == 400
