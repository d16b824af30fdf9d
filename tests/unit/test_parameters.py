"""Parameters of strategies: taken whole between two events, refused whole, on record, and put back by one call.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import rig as r
from support.rig import Rig

from hwgw import audit, parameters
from hwgw.errors import CheckFailed, HwgwError, UsageError
from hwgw.native import ffi, lib
from hwgw.parameters import Version

NAMES = ("qty", "edge_px", "cooldown_ns")
DEFAULTS = {"qty": 100, "edge_px": 200, "cooldown_ns": 0}


class Strategy:
    """Notes its parameters at each call, and counts its calls in a word of its own state behind them."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []
        names = [ffi.new("char[]", name.encode()) for name in (*NAMES, "noting")]
        values = [ffi.new("int64_t[]", row) for row in (list(DEFAULTS.values()), [1, 0, 0], [1000, 10**6, 10**9])]
        self.keep = [*names, ffi.new("const char *[]", names[:3]), ffi.callback("hwgw_strategy_fn", self.hook), *values]
        self.desc = ffi.new(
            "struct hwgw_strategy *",
            {
                "abi": lib.HWGW_SEGMENT_ABI, "depth": 1, "name": names[3], "fn": self.keep[5], "param_cnt": 3,
                "param_names": self.keep[4], "param_defaults": values[0], "param_min": values[1],
                "param_max": values[2], "state_sz_bytes": 40,
            },
        )  # fmt: skip

    def hook(self, _hook: Any, state: Any, _out: Any, _max: int) -> int:
        words = ffi.cast("int64_t *", state)
        words[3] += 1
        self.seen.append(tuple(words[0:4]))
        return 0


class Desk:
    """A pipeline with that strategy, whose start was kept as a gateway's is."""

    def __init__(self) -> None:
        self.strategy = Strategy()
        self.rig = Rig(("AAPL",), [(self.strategy.desc, {})])
        self.name = self.rig.segment.name
        self.first = Version(self.name, "noting", "c:noting.so", "1", DEFAULTS)
        parameters._keep(self.first)
        self.rig.segment.strategy_params[0]["version"] = list(bytes.fromhex(self.first.digest))
        self.ref = 0

    def event(self) -> None:
        self.ref += 1
        self.rig.feed(r.add(1, "AAPL", self.ref, "B", 100, 1_000_000 + self.ref))

    def told(self, act: Callable[[], Any]) -> Any:
        """What act gives while the pipeline turns."""
        found: list[Any] = []

        def run() -> None:
            try:
                found.append(act())
            except HwgwError as error:
                found.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive():
            self.rig.publish()
        if isinstance(found[0], HwgwError):
            raise found[0]
        return found[0]

    def set(self, *assignments: str) -> parameters.Applied:
        version = parameters.changed(parameters.in_force(self.rig.segment, "noting"), assignments)
        return self.apply(version, " ".join(assignments))

    def back(self, to: str) -> parameters.Applied:
        return self.apply(parameters.find(self.name, "noting", to), f"rollback to {to}")

    def apply(self, version: Version, source: str) -> parameters.Applied:
        found: parameters.Applied = self.told(lambda: parameters.apply(self.rig.segment, version, source))
        return found


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    with made.rig:
        made.rig.feed(r.directory(1, "AAPL"))
        yield made


def test_parameters_change_whole_while_the_strategys_own_state_stays(desk: Desk) -> None:
    desk.event()
    done = desk.set("qty=300", "edge_px=0.05", "cooldown_ns=1us")
    assert done.changes == [("qty", 100, 300), ("edge_px", 200, 500), ("cooldown_ns", 0, 1000)]
    desk.event()
    calls = [row[3] for row in desk.strategy.seen]
    assert calls == list(range(1, len(calls) + 1))
    assert len(calls) >= 2
    assert {row[:3] for row in desk.strategy.seen} == {(100, 200, 0), (300, 500, 1000)}
    assert desk.strategy.seen[-1][:3] == (300, 500, 1000)


def test_a_value_that_is_not_allowed_changes_nothing_and_is_on_record(desk: Desk) -> None:
    desk.set("qty=1000")
    with pytest.raises(CheckFailed, match=r"noting does not allow qty 1000 -> 1001; edge_px 0\.02 -> 0\.03: "):
        desk.set("qty=1001", "edge_px=0.03")
    desk.event()
    assert desk.strategy.seen[-1][:3] == (1000, 200, 0)
    assert parameters.in_force(desk.rig.segment, "noting").params == {**DEFAULTS, "qty": 1000}
    found = list(parameters.versions(desk.name, "noting"))
    assert [row["source"] for row in found] == ["qty=1000", "qty=1001 edge_px=0.03", "refused"]
    assert found[2]["hash"] == found[0]["hash"] == found[1]["before"]


def test_any_version_comes_back_by_its_number_or_its_hash(desk: Desk) -> None:
    for qty in (200, 300, 400):
        desk.set(f"qty={qty}")
    assert desk.back("2").version.params["qty"] == 300
    assert desk.back(desk.first.digest[:9]).version == desk.first
    desk.event()
    assert desk.strategy.seen[-1][:3] == tuple(DEFAULTS.values())
    assert [row["source"] for row in audit.verify(desk.name)][-2:] == [
        "rollback to 2", f"rollback to {desk.first.digest[:9]}"
    ]  # fmt: skip
    assert desk.back("5").changes == []  # it is in force
    assert len(list(audit.verify(desk.name))) == 5


def test_what_is_not_there_is_named(desk: Desk) -> None:
    desk.set("qty=200")
    for to, said in (("9", "no change of noting has this number"), ("0123abcd9", "no version of noting begins so"),
                     ("xyz", "the number of a change, or at least 8 digits")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            parameters.find(desk.name, "noting", to)
    for assignment, said in (("size=1", "parameters of noting are qty, edge_px"), ("qty=x", "not a number"),
                             ("edge_px=1e3", "not"), ("cooldown_ns=5", "the unit is missing")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            parameters.changed(desk.first, [assignment])
    with pytest.raises(UsageError, match="has no strategy 'other'; it has noting"):
        parameters.in_force(desk.rig.segment, "other")


def test_code_is_not_changed_while_it_runs(desk: Desk) -> None:
    other = Version(desk.name, "noting", "c:noting.so", "2", {**DEFAULTS, "qty": 5})
    with pytest.raises(CheckFailed, match=r"is of c:noting\.so \(2\), and c:noting\.so \(1\) runs"):
        desk.apply(other, "x")


def test_a_version_that_was_changed_or_not_kept_is_refused(desk: Desk) -> None:
    done = desk.set("qty=200")
    desk.set("qty=100")
    file = parameters._folder(desk.name) / done.version.digest
    file.write_bytes(file.read_bytes().replace(b"200,", b"900,", 1))
    with pytest.raises(CheckFailed, match="it does not have the hash that is its name"):
        parameters.find(desk.name, "noting", "1")
    file.unlink()
    with pytest.raises(CheckFailed, match="this version of a strategy was not kept"):
        parameters.find(desk.name, "noting", "1")


def test_nobody_waits_for_a_pipeline_that_does_not_turn(desk: Desk) -> None:
    version = parameters.changed(desk.first, ["qty=7"])
    with pytest.raises(CheckFailed, match="no pipeline has looked at new parameters within 1 s"):
        parameters.apply(desk.rig.segment, version, "qty=7")
    desk.rig.publish()
    assert parameters.in_force(desk.rig.segment, "noting").params["qty"] == 7


def test_a_gateway_of_no_file_has_no_versions(desk: Desk) -> None:
    desk.rig.segment.strategy_params[0]["version"] = 0
    with pytest.raises(CheckFailed, match="started from no file, so that no version of noting was kept"):
        parameters.in_force(desk.rig.segment, "noting")
